import { assert } from "./assert.ts";
import { Audit, type Write, type WriteSpool } from "../lib/server_audit.ts";
import type { Random } from "../lib/bytes.ts";
import { type AuditRow, type SessionEnd, StoreUnavailable } from "../lib/server_store.ts";

/** A store that a test switches off. */
class FakeStore {
  down = false;
  /** Whether a write is carried out although its answer is lost. */
  losesAnswers = false;
  calls = 0;
  readonly batches: AuditRow[][] = [];
  readonly ends: SessionEnd[] = [];

  addAudit(rows: readonly AuditRow[]): Promise<void> {
    return this.#answer(() => this.batches.push([...rows]));
  }

  closeSession(end: SessionEnd): Promise<void> {
    return this.#answer(() => this.ends.push(end));
  }

  get reasons(): (string | undefined)[] {
    return this.batches.flat().map(({ reason }) => reason);
  }

  async #answer(write: () => void): Promise<void> {
    this.calls += 1;
    await Promise.resolve();
    if (!this.down || this.losesAnswers) write();
    if (this.down) throw new StoreUnavailable("down");
  }
}

class FakeSpool implements WriteSpool {
  writes: Write[] = [];
  broken = false;
  full = false;
  #peeked = 0;

  get empty(): boolean {
    return this.writes.length === 0;
  }

  append(writes: readonly Write[]): Promise<void> {
    if (this.broken) return Promise.reject(new Error("the spool is full"));
    this.writes.push(...writes);
    return Promise.resolve();
  }

  peek(): Promise<readonly Write[]> {
    this.#peeked = Math.min(2, this.writes.length);
    return Promise.resolve(this.writes.slice(0, this.#peeked));
  }

  drop(): Promise<void> {
    this.writes.splice(0, this.#peeked);
    return Promise.resolve();
  }
}

function fixture() {
  const store = new FakeStore();
  const spool = new FakeSpool();
  let drawn = 0;
  const random: Random = (size) => new Uint8Array(size).fill(++drawn);
  return { store, spool, random, audit: new Audit({ store, spool, random }) };
}

const row = (reason: string): AuditRow => ({ event: "login_failure", reason, occurredAt: 1_700_000_000_000 });
const end: SessionEnd = { tokenHash: "1".repeat(64), endedAt: 1e12, messageCount: 1, transcriptHash: "e".repeat(64) };

Deno.test("Audit.record() writes into the store while it answers", async () => {
  const { store, spool, audit } = fixture();
  await audit.record(row("one"));
  await audit.closeSession(end);
  assert.deepEqual(store.reasons, ["one"]);
  assert.deepEqual(store.ends, [end]);
  assert.equal(spool.empty, true);
});

Deno.test("rows that come while one is written go in together, in order", async () => {
  const { store, audit } = fixture();
  await Promise.all(["one", "two", "three"].map((reason) => audit.record(row(reason))));
  assert.deepEqual(store.batches.map((batch) => batch.map(({ reason }) => reason)), [["one"], ["two", "three"]]);
});

Deno.test("every row has a key of its own", async () => {
  const { store, audit } = fixture();
  await Promise.all([audit.record(row("one")), audit.record(row("two"))]);
  const keys = store.batches.flat().map(({ key }) => key ?? "");
  assert.equal(new Set(keys).size, 2);
  for (const key of keys) assert.match(key, /^[0-9a-f]{32}$/);
});

Deno.test("while the store is away writes go into the spool, and only the first asks it", async () => {
  const { store, spool, audit } = fixture();
  store.down = true;
  await audit.record(row("one"));
  await audit.record(row("two"));
  await audit.closeSession(end);
  assert.equal(store.calls, 1);
  assert.deepEqual(spool.writes.map((write) => "row" in write ? write.row.reason : "end"), ["one", "two", "end"]);
});

Deno.test("as long as something waits in the spool, later writes stay behind it", async () => {
  const { store, spool, audit } = fixture();
  store.down = true;
  await audit.record(row("one"));
  store.down = false;
  await audit.record(row("two"));
  assert.deepEqual(store.reasons, []);
  assert.equal(spool.writes.length, 2);
});

Deno.test("Audit.drain() brings everything into the store in order, then writes go there directly again", async () => {
  const { store, spool, audit } = fixture();
  store.down = true;
  for (const reason of ["one", "two", "three"]) await audit.record(row(reason));
  await audit.closeSession(end);
  store.down = false;
  await audit.drain();
  assert.deepEqual(store.reasons, ["one", "two", "three"]);
  assert.deepEqual(store.ends, [end]);
  assert.equal(spool.empty, true);
  await audit.record(row("four"));
  assert.deepEqual(store.reasons, ["one", "two", "three", "four"]);
});

Deno.test("Audit.drain() leaves the spool as it is while the store is away, and doesn't throw", async () => {
  const { store, spool, audit } = fixture();
  store.down = true;
  await audit.record(row("one"));
  await audit.drain();
  await audit.drain();
  assert.equal(spool.writes.length, 1);
  store.down = false;
  await audit.drain();
  assert.deepEqual(store.reasons, ["one"]);
});

Deno.test("rows recorded during a drain come after those that waited", async () => {
  const { store, audit } = fixture();
  store.down = true;
  for (const reason of ["1", "2", "3", "4", "5"]) await audit.record(row(reason));
  store.down = false;
  const records = [];
  const drains = [audit.drain(), audit.drain()];
  for (const reason of ["6", "7", "8"]) {
    records.push(audit.record(row(reason)));
    await Promise.resolve();
  }
  await Promise.all([...drains, ...records]);
  await audit.drain();
  assert.deepEqual(store.reasons, ["1", "2", "3", "4", "5", "6", "7", "8"]);
});

Deno.test("Audit.record() doesn't wait for a drain that waits for the store", async () => {
  const { store, audit } = fixture();
  store.down = true;
  await audit.record(row("one"));
  const answer = Promise.withResolvers<void>();
  store.addAudit = () => answer.promise;
  const drain = audit.drain();
  await audit.record(row("two"));
  answer.resolve();
  await drain;
});

Deno.test("a store that fails for another reason is no reason to spool: the caller hears of it", async () => {
  const { store, spool, audit } = fixture();
  store.addAudit = () => Promise.reject(new TypeError("a mistake"));
  await assert.rejects(audit.record(row("one")), TypeError);
  assert.equal(spool.empty, true);
});

Deno.test("where the spool takes nothing either, Audit.record() rejects, and works again later", async () => {
  const { store, spool, audit } = fixture();
  store.down = true;
  spool.broken = true;
  await assert.rejects(audit.record(row("one")), /full/);
  await assert.rejects(audit.closeSession(end), /full/);
  store.down = false;
  await audit.record(row("two"));
  assert.deepEqual(store.reasons, ["two"]);
});

Deno.test("Audit.full is the spool's word", () => {
  const { spool, audit } = fixture();
  assert.equal(audit.full, false);
  spool.full = true;
  assert.equal(audit.full, true);
});
