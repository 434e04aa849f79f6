import { DatabaseSync } from "node:sqlite";
import { assert } from "./assert.ts";
import { skipUnless, temporaryFolder } from "./environment.ts";
import { Audit, type Write } from "../lib/server_audit.ts";
import type { Random } from "../lib/bytes.ts";
import { EXIT, Failure } from "../lib/errors.ts";
import { Spool, SPOOL_FILE } from "../lib/server_spool.ts";
import { type AuditRow, type SessionEnd, StoreUnavailable } from "../lib/server_store.ts";
import { openSqliteStore, SQLITE_FILE } from "../lib/store_sqlite.ts";

const LIMIT = 1 << 20;

function row(reason: string): Write {
  return { row: { event: "login_failure", reason, occurredAt: 1_700_000_000_000, key: "0".repeat(32) } };
}

function end(digit: string): Write {
  return { end: { tokenHash: digit.repeat(64), endedAt: 1, messageCount: 2, transcriptHash: "e".repeat(64) } };
}

/** Everything that waits, each batch dropped once it is read. */
async function takeAll(spool: Spool): Promise<Write[]> {
  const writes: Write[] = [];
  while (!spool.empty) {
    writes.push(...await spool.peek());
    await spool.drop();
  }
  return writes;
}

/** The sentence with which opening the folder's spool ends. */
async function refusal(folder: string): Promise<string> {
  try {
    (await Spool.open(folder, { limit: LIMIT, lockWait: 50 })).close();
  } catch (error) {
    assert(error instanceof Failure, String(error));
    assert.equal(error.status, EXIT.unavailable);
    assert.match(error.message, /^[^\n]+$/);
    return error.message;
  }
  assert.fail("the spool opened");
}

Deno.test("a spool gives back what it took, in order, and is empty then", async () => {
  using folder = temporaryFolder();
  const spool = await Spool.open(folder.path, { limit: LIMIT });
  assert.equal(spool.empty, true);
  await spool.append([row("one"), end("1")]);
  await spool.append([row('two ä 😀 " \\\\ |')]);
  assert.equal(spool.empty, false);
  assert.deepEqual(await takeAll(spool), [row("one"), end("1"), row('two ä 😀 " \\\\ |')]);
  assert.equal((await Deno.stat(`${folder.path}/${SPOOL_FILE}`)).size, 0);
  await spool.append([row("three")]);
  assert.deepEqual(await takeAll(spool), [row("three")]);
  spool.close();
});

Deno.test("what is peeked and not dropped stays the oldest", async () => {
  using folder = temporaryFolder();
  const spool = await Spool.open(folder.path, { limit: LIMIT });
  await spool.append([row("one")]);
  assert.deepEqual(await spool.peek(), [row("one")]);
  await spool.append([row("two")]);
  assert.deepEqual(await spool.peek(), [row("one"), row("two")]);
  await spool.drop();
  assert.equal(spool.empty, true);
  spool.close();
});

Deno.test("rows that come between peek() and drop() are kept", async () => {
  using folder = temporaryFolder();
  const spool = await Spool.open(folder.path, { limit: LIMIT });
  await spool.append([row("one")]);
  await spool.peek();
  await spool.append([row("two")]);
  await spool.drop();
  assert.deepEqual(await takeAll(spool), [row("two")]);
  spool.close();
});

Deno.test("a thousand rows come back in several batches, in order", async () => {
  using folder = temporaryFolder();
  const spool = await Spool.open(folder.path, { limit: LIMIT });
  const rows = Array.from({ length: 1000 }, (_, index) => row(`${index} ${"ä".repeat(index % 200)}`));
  await spool.append(rows);
  assert((await spool.peek()).length < 1000);
  assert.deepEqual(await takeAll(spool), rows);
  spool.close();
});

Deno.test("a spool is there again after a restart, a batch that was not the last included", async () => {
  using folder = temporaryFolder();
  const rows = Array.from({ length: 1000 }, (_, index) => row(String(index)));
  const first = await Spool.open(folder.path, { limit: LIMIT });
  await first.append(rows);
  await first.peek();
  await first.drop();
  first.close();
  const second = await Spool.open(folder.path, { limit: LIMIT });
  assert.deepEqual(await takeAll(second), rows);
  second.close();
});

Deno.test({
  name: "a spool's file has mode 0600",
  ...skipUnless("unix"),
  async fn() {
    using folder = temporaryFolder();
    (await Spool.open(folder.path, { limit: LIMIT })).close();
    assert.equal((await Deno.stat(`${folder.path}/${SPOOL_FILE}`)).mode! & 0o777, 0o600);
  },
});

Deno.test("a last line that a crash tore is cut at the start", async () => {
  for (const tail of ['{"row":{"event":"login_fail', "\0".repeat(4096), '{"row":1}\n']) {
    using folder = temporaryFolder();
    const first = await Spool.open(folder.path, { limit: LIMIT });
    await first.append([row("one"), end("1")]);
    first.close();
    await Deno.writeTextFile(`${folder.path}/${SPOOL_FILE}`, tail, { append: true });
    const second = await Spool.open(folder.path, { limit: LIMIT });
    await second.append([row("two")]);
    assert.deepEqual(await takeAll(second), [row("one"), end("1"), row("two")]);
    second.close();
  }
});

Deno.test("a spool that is damaged before its end stops the start, and is left as it is", async () => {
  using folder = temporaryFolder();
  const file = `${folder.path}/${SPOOL_FILE}`;
  const first = await Spool.open(folder.path, { limit: LIMIT });
  await first.append([row("one"), row("two"), row("three")]);
  first.close();
  const damaged = (await Deno.readTextFile(file)).replace('"reason":"two"', '"reason":"two');
  await Deno.writeTextFile(file, damaged);
  assert.match(await refusal(folder.path), /spool\.jsonl holds audit rows .* is damaged behind byte \d+; look at it/);
  assert.equal(await Deno.readTextFile(file), damaged);
});

Deno.test("a second server on the same folder is refused in one sentence, until the first lets go", async () => {
  using folder = temporaryFolder();
  const first = await Spool.open(folder.path, { limit: LIMIT });
  assert.match(await refusal(folder.path), /another server uses /);
  const waiting = Spool.open(folder.path, { limit: LIMIT, lockWait: 5_000 });
  first.close();
  (await waiting).close();
});

Deno.test("a spool is full from three quarters on, takes more up to its limit, and nothing beyond it", async () => {
  using folder = temporaryFolder();
  const spool = await Spool.open(folder.path, { limit: 4096 });
  const writes = Array.from({ length: 100 }, (_, index) => row(String(index)));
  const kept: Write[] = [];
  let keptWhenFull = 0;
  await assert.rejects(async () => {
    for (const write of writes) {
      await spool.append([write]);
      kept.push(write);
      if (!spool.full) keptWhenFull = kept.length + 1;
    }
  }, /full/);
  const { size } = await Deno.stat(`${folder.path}/${SPOOL_FILE}`);
  assert(size <= 4096 && size > 3900, String(size));
  assert(keptWhenFull < kept.length && keptWhenFull > 0.7 * kept.length);
  assert.equal(spool.full, true);
  await assert.rejects(spool.append([row("x"), row("y")]), /full/);
  assert.deepEqual(await takeAll(spool), kept, "a write that was refused is not there, not even in part");
  assert.equal(spool.full, false);
  await spool.append([row("again")]);
  spool.close();
});

Deno.test("an append begins behind the last whole line, whatever a failed one has left", async () => {
  using folder = temporaryFolder();
  const spool = await Spool.open(folder.path, { limit: LIMIT });
  await spool.append([row("one")]);
  const file = `${folder.path}/${SPOOL_FILE}`;
  await Deno.writeTextFile(file, `${JSON.stringify(row("failed"))}\n`.repeat(5), { append: true });
  await spool.append([row("two")]);
  assert.equal(await Deno.readTextFile(file), `${JSON.stringify(row("one"))}\n${JSON.stringify(row("two"))}\n`);
  assert.deepEqual(await takeAll(spool), [row("one"), row("two")]);
  spool.close();
});

Deno.test("overlong texts are cut before they fill the spool", async () => {
  using folder = temporaryFolder();
  const spool = await Spool.open(folder.path, { limit: LIMIT });
  await spool.append([row("x".repeat(100_000))]);
  assert.deepEqual(await takeAll(spool), [row("x".repeat(255))]);
  spool.close();
});

Deno.test("with SQLite and the spool on the disk: locked, restarted, answers lost; every row is there once, in order", async () => {
  using folder = temporaryFolder();
  const row = (reason: string): AuditRow => ({ event: "login_failure", reason, occurredAt: 1e12 });
  const end: SessionEnd = { tokenHash: "1".repeat(64), endedAt: 1e12, messageCount: 1, transcriptHash: "e".repeat(64) };
  const random: Random = (size) => crypto.getRandomValues(new Uint8Array(size));
  const store = await openSqliteStore(folder.path, 0);
  const user = { email: "a@example.com", username: "a", salt: new Uint8Array(16), passwordRecord: "r" };
  const userId = await store.addUser(user, 1e12);
  assert(userId !== undefined);
  await store.openSession({
    userId,
    tokenHash: end.tokenHash,
    clientFingerprint: "c",
    serverFingerprint: "d",
    startedAt: 1e12,
  });
  const options = { limit: LIMIT };

  const first = await Spool.open(folder.path, options);
  const audit = new Audit({ store, spool: first, random });
  using other = new DatabaseSync(`${folder.path}/${SQLITE_FILE}`);
  other.exec("BEGIN IMMEDIATE");
  for (let index = 0; index < 300; index++) await audit.record(row(String(index)));
  await audit.closeSession(end);
  await audit.drain();
  first.close();
  other.exec("COMMIT");

  // The second server's store carries out what it is told, and its answer is lost, once for each of the first calls.
  let lost = 0;
  const lossy = {
    closeSession: (ended: SessionEnd) => store.closeSession(ended),
    async addAudit(rows: readonly AuditRow[]) {
      await store.addAudit(rows);
      if (lost++ < 2) throw new StoreUnavailable("the answer is lost");
    },
  };
  const second = await Spool.open(folder.path, options);
  const later = new Audit({ store: lossy, spool: second, random });
  await later.drain();
  await later.record(row("300"));
  await later.drain();
  await later.drain();
  assert.equal(second.empty, true);
  assert.equal(lost > 2, true);
  second.close();

  assert.deepEqual(await store.unfinishedSessions(), []);
  const reasons = other.prepare("SELECT reason FROM audit_log ORDER BY id").all().map(({ reason }) => reason);
  assert.deepEqual(reasons, Array.from({ length: 301 }, (_, index) => String(index)));
  await store.close();
});

Deno.test({
  name: "a folder is one server's, also after its spool was deleted",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    using folder = temporaryFolder();
    const first = await Spool.open(folder.path, { limit: LIMIT });
    Deno.removeSync(`${folder.path}/${SPOOL_FILE}`);
    await assert.rejects(
      Spool.open(folder.path, { limit: LIMIT, lockWait: 50 }),
      (error) => error instanceof Failure && error.message.startsWith("another server uses "),
    );
    first.close();
    (await Spool.open(folder.path, { limit: LIMIT })).close();
  },
});

Deno.test({
  name: "a spool that was deleted or cut keeps nothing more, and says so",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    for (const change of [Deno.removeSync, (path: string) => Deno.truncateSync(path, 3)]) {
      using folder = temporaryFolder();
      const spool = await Spool.open(folder.path, { limit: LIMIT });
      await spool.append([row("kept")]);
      change(`${folder.path}/${SPOOL_FILE}`);
      await assert.rejects(spool.append([row("lost")]), /deleted or cut by another program; start the server again/);
      spool.close();
    }
  },
});
