/** A hundred people at once, alone and beside people who send garbage. LOAD_CLIENTS makes it another number. */

import { assert } from "./assert.ts";
import { assertHolds, CROWD_LIMITS, quit, startGarbage, storedSessions, talk } from "./crowd.ts";
import { startServer, temporaryFolder } from "./environment.ts";
import { certificates, Client } from "./server.ts";

const CLIENTS = Number(Deno.env.get("LOAD_CLIENTS") ?? 100);
const MESSAGES = 50;

async function load(garbage: boolean): Promise<void> {
  using folder = temporaryFolder();
  const data = `${folder.path}/data`;
  await using server = await startServer(["--certs", await certificates(), "--data", data], {
    cwd: folder.path,
    env: CROWD_LIMITS,
  });
  const sendHome = garbage ? startGarbage(server.port) : undefined;

  const transcripts = await Promise.all(Array.from({ length: CLIENTS }, async (_, person) => {
    const client = await Client.inSession(server);
    const lines: string[] = [];
    const texts = Array.from({ length: MESSAGES }, (_, number) => `line ${number} of person ${person}`);
    assert(await talk(client, texts, lines), "the server ended a session");
    const receipt = await quit(client);
    assert(receipt, "no receipt came");
    await assertHolds(receipt, lines);
    return lines.join("\n");
  }));
  if (sendHome) assert(await sendHome() > 20);

  assert.equal((await server.stop()).status, 0);
  const stored = storedSessions(data).map(({ lines }) => lines.join("\n"));
  assert.deepEqual(stored.sort(), transcripts.sort(), "both sides have the same transcripts");
}

Deno.test(`${CLIENTS} clients at once register, send ${MESSAGES} messages each and quit: all acknowledged, all receipts hold`, () =>
  load(false));

Deno.test("the same with 20 connections of garbage a second beside them", () => load(true));
