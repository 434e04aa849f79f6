/** A server and a witness, both as programs: what a witness is good for. */

import { DatabaseSync } from "node:sqlite";
import { assert } from "./assert.ts";
import { type RunningServer, skipUnless, startServer, temporaryFolder } from "./environment.ts";
import { encodeUtf8 } from "../lib/bytes.ts";
import { parseNote, parseNoteHead } from "../lib/log_note.ts";
import { parseVkey } from "../lib/log_note_key.ts";
import { cosignersOf, isSatisfied, parsePolicy } from "../lib/witness_policy.ts";
import { checkpointPath } from "../lib/witness_request.ts";
import { certificates, Client } from "./server.ts";
import { startWitness } from "./witness_program.ts";

/** Resolves once that is so. */
async function until<T>(look: () => Promise<T | undefined>): Promise<T> {
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

Deno.test({
  name: "a witness cosigns the server's log, and finds a database of yesterday before anything is signed",
  ...skipUnless("unix"),
  fn: async () => {
    using folder = temporaryFolder();
    const certs = await certificates();
    const data = `${folder.path}/data`;
    const start = async (env: Record<string, string> = {}): Promise<RunningServer> =>
      await startServer(["--certs", certs, "--data", data], { cwd: folder.path, env });
    const logs = <T>(query: string): T => {
      using database = new DatabaseSync(`${data}/securechat.db`, { readOnly: true });
      return database.prepare(query).get() as T;
    };
    const sizeInDatabase = () => logs<{ size: number }>("SELECT size FROM server_logs ORDER BY id DESC LIMIT 1").size;

    // Without a witness: the log begins, and its vkey goes to whoever is to be one.
    const first = await start();
    await until(() => Promise.resolve(sizeInDatabase() >= 1 ? true : undefined));
    assert.equal((await first.stop()).status, 0);
    const { vkey } = logs<{ vkey: string }>("SELECT vkey FROM server_logs");
    const origin = parseVkey(vkey)?.name ?? "";
    Deno.writeTextFileSync(`${folder.path}/logs.txt`, `log ${vkey}\nquorum none\n`);
    await using witness = await startWitness(["--name", "witness.example/w1", "--logs", "logs.txt"], folder.path);
    const policy = `witness friend ${witness.vkey} ${witness.url}\nquorum friend\n`;
    Deno.writeTextFileSync(`${folder.path}/policy.txt`, policy);
    const witnessed = async () => {
      const answer = await fetch(`${witness.url}${checkpointPath(origin)}`);
      const note = answer.ok ? parseNote(encodeUtf8(await answer.text())) : void await answer.body?.cancel();
      const head = note && parseNoteHead(note.text);
      return note && head && { note, head };
    };
    const witnessedAt = (size: number) =>
      until(async () => {
        const found = await witnessed();
        return found && found.head.size >= size ? found : undefined;
      });

    const WITNESSED = { WITNESS_POLICY: "policy.txt" };
    const second = await start(WITNESSED);
    const { note } = await witnessedAt(sizeInDatabase());
    const cosigners = await cosignersOf(note, parsePolicy(policy), Math.floor(Date.now() / 1000));
    assert(cosigners && isSatisfied(parsePolicy(policy), cosigners));
    // Rows of the audit log, which the next start has to register.
    (await Client.inSession({ port: second.port })).close();
    assert.equal((await second.stop()).status, 0);

    // A copy, then more ticks, then the copy again; the file that a backup hasn't is gone, too.
    const yesterday = sizeInDatabase();
    Deno.copyFileSync(`${data}/securechat.db`, `${folder.path}/yesterday.db`);
    const third = await start(WITNESSED);
    await witnessedAt(yesterday + 1);
    assert.equal((await third.stop()).status, 0);
    for (const end of ["-wal", "-shm"]) await Deno.remove(`${data}/securechat.db${end}`).catch(() => {});
    Deno.copyFileSync(`${folder.path}/yesterday.db`, `${data}/securechat.db`);
    Deno.removeSync(`${data}/log_newest.note`);

    await using fourth = await start(WITNESSED);
    await until(() => Promise.resolve(fourth.stderr().includes("is not the one that it was") ? true : undefined));
    assert.equal((await fourth.stop()).status, 0);
    assert.equal(sizeInDatabase(), yesterday, "no tick was made");
    assert.deepEqual(
      [...Deno.readDirSync(data)].filter(({ name }) => name === "log_newest.note"),
      [],
      "nor signed a note",
    );
  },
});
