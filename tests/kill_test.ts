/**
 * `kill -9` of the server at random moments under load, KILL_ROUNDS times (5; `deno task test:kill` does fifty): what
 * was acknowledged is in the journal, whatever receipt there is holds, and the next start closes the sessions.
 */

import { assert } from "./assert.ts";
import type { JsonObject } from "../lib/json.ts";
import { assertHolds, CROWD_LIMITS, quit, storedSessions, talk } from "./crowd.ts";
import { startServer, temporaryFolder } from "./environment.ts";
import { certificates, Client } from "./server.ts";

const ROUNDS = Number(Deno.env.get("KILL_ROUNDS") ?? 5);
const PEOPLE = 8;

/** What a person has of a session. */
interface Kept {
  /** The lines that were acknowledged. */
  readonly lines: string[];
  receipt?: JsonObject | undefined;
}

/** Session after session until the server is gone: half of the people have short ones, the others never quit. */
async function live(port: number, person: number, kept: Kept[]): Promise<void> {
  const texts = Array.from({ length: person % 2 ? 15 : 100_000 }, (_, number) => `line ${number}`);
  for (;;) {
    try {
      const client = await Client.inSession({ port });
      const session: Kept = { lines: [] };
      kept.push(session);
      if (!await talk(client, texts, session.lines)) return client.close();
      session.receipt = await quit(client);
      if (!session.receipt) return;
    } catch (error) {
      // A handshake that the kill cut short, or a connection that found nobody: what a client notices of it.
      if (/came for|cannot connect|there is no session/.test(String(error))) return;
      throw error;
    }
  }
}

Deno.test(`after kill -9 under load, ${ROUNDS} times, every acknowledged line is in a journal and every receipt holds`, async () => {
  using folder = temporaryFolder();
  const data = `${folder.path}/data`;
  const start = async () =>
    await startServer(["--certs", await certificates(), "--data", data], { cwd: folder.path, env: CROWD_LIMITS });
  const kept: Kept[] = [];

  for (let round = 0; round < ROUNDS; round++) {
    await using server = await start(); // which closes what the round before left open
    const people = Array.from({ length: PEOPLE }, (_, person) => live(server.port, person, kept));
    await new Promise((resolve) => setTimeout(resolve, 500 + Math.random() * 2500));
    await server.stop("SIGKILL");
    await Promise.all(people);
  }
  await using last = await start();
  assert.equal((await last.stop()).status, 0);

  const stored = storedSessions(data);
  const byFirstLine = new Map(stored.map((session) => [session.lines[0], session]));
  let lines = 0;
  for (const session of kept) {
    const { lines: journal = [], receipt } = byFirstLine.get(session.lines[0]) ?? {};
    if (session.lines.length > 0) assert(receipt, "a session with acknowledged lines has no receipt of the server");
    assert.deepEqual(journal.slice(0, session.lines.length), session.lines, "an acknowledged line is missing");
    if (session.receipt) await assertHolds(session.receipt, session.lines);
    lines += session.lines.length;
  }
  let receipts = 0;
  for (const session of stored) {
    if (session.receipt === undefined) continue;
    await assertHolds(session.receipt, session.lines);
    receipts++;
  }
  console.log(`${kept.length} sessions, ${lines} acknowledged lines, ${receipts} receipts on the server's disk`);
  assert(lines > 0 && receipts > 0, "there was no load");
});
