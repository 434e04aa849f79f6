import { DatabaseSync } from "node:sqlite";
import { assert } from "./assert.ts";
import { auditRows, eventually } from "./audit_rows.ts";
import { run, startServer, temporaryFolder } from "./environment.ts";
import { writeCertificates } from "./certificate_folder.ts";

/** A folder with certificates, and the flags that name it. */
async function place() {
  const folder = temporaryFolder();
  await writeCertificates(`${folder.path}/certs`);
  const flags = ["--certs", `${folder.path}/certs`, "--data", `${folder.path}/data`];
  return { folder, flags, [Symbol.dispose]: () => folder[Symbol.dispose]() };
}

async function statusOf(flags: readonly string[]) {
  const { status, stdout, stderr } = await run(["log", "status", "--json", ...flags]);
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout);
}

/** Starts and ends a server. */
async function serveOnce(flags: readonly string[]): Promise<string> {
  const server = await startServer([...flags]);
  await server[Symbol.asyncDispose]();
  return server.stderr();
}

Deno.test("log status shows the log's key and size while its server runs", async () => {
  using at = await place();
  const none = await run(["log", "status", ...at.flags]);
  assert.equal(none.status, 2, none.stderr);
  await using server = await startServer([...at.flags]);
  const found = await statusOf(at.flags);
  assert.match(found.log, /^localhost\/log\/[0-9a-f]{32}$/);
  assert(found.vkey.startsWith(`${found.log}+`));
  assert.equal(found.key, "here");
  const { stdout } = await run(["log", "status", ...at.flags]);
  assert.match(stdout, /^vkey +localhost\/log\/.*\nticks +\d+, root [0-9a-f]{64}$/m);
  assert(server);
});

Deno.test("log restart begins a log that names the one before, keeps the old key, and not while a server runs", async () => {
  using at = await place();
  await serveOnce(at.flags);
  const before = await statusOf(at.flags);
  {
    await using _server = await startServer([...at.flags]);
    const refused = await run(["log", "restart", "--yes", ...at.flags]);
    assert.equal(refused.status, 5, refused.stderr);
    assert.match(refused.stderr, /another server uses/);
  }
  const asked = await run(["log", "restart", ...at.flags]);
  assert.equal(asked.status, 2, asked.stderr);
  assert.match(asked.stderr, /not a terminal: confirm with --yes/);
  const { status, stdout, stderr } = await run(["log", "restart", "--yes", "--within", "900", ...at.flags]);
  assert.equal(status, 0, stderr);
  const after = await statusOf(at.flags);
  assert(stdout.includes(after.vkey));
  assert.notEqual(after.log, before.log);
  assert.equal(after.within, 900);
  assert.deepEqual(after.earlier.map(({ log }: { log: string }) => log), [before.log]);
  const keys = [...Deno.readDirSync(`${at.folder.path}/certs`)].map(({ name }) => name).filter((name) =>
    /log_key/.test(name)
  );
  assert.equal(keys.length, 2, keys.join());
  await serveOnce(at.flags);
  assert.equal((await statusOf(at.flags)).log, after.log);
});

Deno.test("log restart refuses promises that its ticks can't keep, or that no charter takes", async () => {
  using at = await place();
  for (const [within, said] of [["59", /from 60 to 86400/], ["100", /at least 300/], ["x", /number/]] as const) {
    const { status, stderr } = await run(["log", "restart", "--yes", "--within", within, ...at.flags]);
    assert.equal(status, 2, stderr);
    assert.match(stderr, said);
  }
});

Deno.test("a server whose database was lost begins no second log by itself, and says what to do", async () => {
  using at = await place();
  {
    await using _server = await startServer([...at.flags]);
    await eventually(() => void Deno.statSync(`${at.folder.path}/data/log_newest.note`));
  }
  for (const end of ["", "-wal", "-shm"]) {
    await Deno.remove(`${at.folder.path}/data/securechat.db${end}`).catch(() => {}); // not all of them are there
  }
  assert.match(await serveOnce(at.flags), /the database has no log, though .*log_newest\.note .*log restart/);
  assert.equal((await run(["log", "status", ...at.flags])).status, 1);
  assert(auditRows(`${at.folder.path}/data`).some((row) => row.startsWith("log_behind: the database has no log")));
  assert.equal((await run(["log", "restart", "--yes", ...at.flags])).status, 0);
  await serveOnce(at.flags);
  assert.equal((await run(["log", "status", ...at.flags])).status, 0);
});

Deno.test("audit verify holds while the server runs, against the note that it wrote", async () => {
  using at = await place();
  await using server = await startServer([...at.flags]);
  const note = `${at.folder.path}/data/log_newest.note`;
  await eventually(() => void Deno.statSync(note));
  const { status, stdout, stderr } = await run(["audit", "verify", "--note", note, ...at.flags.slice(2)]);
  assert.equal(status, 0, stdout + stderr);
  assert.match(stdout, /^The audit log holds/);
  assert(server);
});

Deno.test("log status says that the database is behind the newest note on the disk", async () => {
  using at = await place();
  {
    await using _server = await startServer([...at.flags]);
    await eventually(() => void Deno.statSync(`${at.folder.path}/data/log_newest.note`));
  }
  assert.equal((await statusOf(at.flags)).wrong, null);
  {
    using database = new DatabaseSync(`${at.folder.path}/data/securechat.db`);
    database.exec("UPDATE server_logs SET size = 0");
  }
  assert.match(
    (await statusOf(at.flags)).wrong,
    /^the database has 0 ticks, and .*log_newest\.note was signed over 1$/,
  );
});
