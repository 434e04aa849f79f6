/**
 * What every store keeps of the server's log, whichever database stands behind it. Each store's test runs this with a
 * way to open an empty database.
 */

import { assert } from "./assert.ts";
import type { StoreFixture, TestOptions } from "./store_contract.ts";
import { append, line, newRoom } from "./room_store_contract.ts";
import { concat, encodeHex, encodeUtf8 } from "../lib/bytes.ts";
import { sha256 } from "../lib/hash.ts";
import { encodeTick, registerHeads, type RoomHead, type Tick } from "../lib/log_tick.ts";
import { EMPTY_ROOT, Frontier, hashesOf, leafHash, peakPlaces, rootAt } from "../lib/log_tree.ts";
import type { ServerStore } from "../lib/server_store.ts";
import type { NewTick, StoredLog, StoredToken } from "../lib/server_log_store.ts";

const hashOf = (text: string) => encodeHex(sha256(encodeUtf8(text)));

const newLog = (digit = "1") => ({
  origin: `chat.example/log/${digit.repeat(32)}`,
  vkey: `chat.example/log/${digit.repeat(32)}+00000000+AQ==`,
  charter: { type: "log_charter", note: "ä" },
});

async function started({ log }: ServerStore): Promise<StoredLog> {
  assert(await log.startLog(newLog(), undefined));
  const [stored] = await log.logs();
  assert(stored);
  return stored;
}

/** The frontier of a stored log. */
async function frontierOf({ log }: ServerStore, { id, size }: StoredLog): Promise<Frontier> {
  return new Frontier(size, await log.nodes(id, peakPlaces(size)));
}

/** The tick that a log would get next. */
async function tickOf(
  store: ServerStore,
  stored: StoredLog,
  { heads = [], ...says }: Omit<Tick, "heads"> & { heads?: readonly RoomHead[] },
  named: { note?: number; tokens?: readonly string[]; audit?: NewTick["audit"] } = {},
): Promise<NewTick> {
  const registration = registerHeads(heads, stored.size);
  const tick = encodeTick({ ...says, ...(registration ? { heads: registration.heads } : {}) });
  const frontier = await frontierOf(store, stored);
  const nodes = frontier.append(leafHash(tick));
  return {
    tick,
    tags: registration?.tags ?? new Uint8Array(0),
    heads: registration?.registered ?? [],
    nodes,
    root: encodeHex(frontier.root()),
    tokens: [],
    audit: { leaves: [], nodes: [] },
    ...named,
  };
}

/** A room with checkpoints of these sizes; the time of each is its size, in seconds. */
async function room(store: ServerStore, name: string, ...sizes: number[]): Promise<string> {
  const made = newRoom(name);
  assert(await store.rooms.createRoom(made));
  await append(store.rooms, made.origin, new Frontier(), [line(0)]);
  for (const size of sizes) await checkpoint(store, made.origin, size);
  return made.origin;
}

async function checkpoint(store: ServerStore, origin: string, size: number): Promise<void> {
  const signed = { time: size, size, root: hashOf(`${origin} ${size}`), sig: encodeUtf8("sig"), from: "f".repeat(64) };
  await store.rooms.addCheckpoint(origin, signed);
}

const token = (size: number, time: number): StoredToken => {
  const bytes = encodeUtf8(`token ${size} ${time}`);
  return { size, token: bytes, hash: encodeHex(sha256(bytes)), time };
};

/** Registers the contract's tests under the name of a store. */
export function testLogStore(
  name: string,
  openFixture: () => Promise<Pick<StoreFixture, "store"> & AsyncDisposable>,
  options: TestOptions = {},
): void {
  function test(sentence: string, body: (store: ServerStore) => Promise<void>): void {
    Deno.test({
      name: `${name}: ${sentence}`,
      ...options,
      async fn() {
        await using fixture = await openFixture();
        await body(fixture.store);
      },
    });
  }

  test("a log begins empty, once, and the next one begins behind it", async (store) => {
    assert.deepEqual(await store.log.logs(), []);
    const first = await started(store);
    assert.deepEqual(first, { id: 1, ...newLog(), size: 0, root: encodeHex(EMPTY_ROOT), auditSize: 0 });
    assert.equal(await store.log.startLog(newLog("2"), undefined), false);
    assert.equal(await store.log.startLog(newLog("2"), newLog().origin), true);
    assert.deepEqual((await store.log.logs()).map(({ origin }) => origin), [newLog("2").origin, newLog().origin]);
  });

  test("a tick is appended if the log is what the caller thinks, with its tree", async (store) => {
    const empty = await started(store);
    const first = await tickOf(store, empty, { charter: hashOf("charter") });
    assert(await store.log.appendTick(empty, first));
    assert.equal(await store.log.appendTick(empty, first), false);
    for (let i = 1; i < 9; i++) {
      const [stored] = await store.log.logs();
      assert(stored);
      assert.equal(stored.size, i);
      assert(await store.log.appendTick(stored, await tickOf(store, stored, { audit: hashOf(`audit ${i}`) })));
    }
    const [stored] = await store.log.logs();
    assert(stored);
    const read = (places: Parameters<typeof store.log.nodes>[1]) => store.log.nodes(stored.id, places);
    assert.equal(encodeHex(await rootAt(9, read)), stored.root);
    const ticks = await store.log.ticks(stored.id, 3, 4);
    assert.deepEqual(ticks.map(({ index }) => index), [3, 4, 5, 6]);
    assert.deepEqual((await store.log.ticks(stored.id, 0, 1))[0]?.tick, first.tick);
    assert.deepEqual(await hashesOf([{ from: 3, to: 4 }], read), [leafHash(ticks[0]?.tick ?? new Uint8Array())]);
    assert.equal(await store.log.appendTick({ ...stored, root: hashOf("another") }, first), false);
  });

  test("rooms wait with their newest checkpoint until a tick registers it, longest waiting first", async (store) => {
    const log = await started(store);
    const ops = await room(store, "#ops", 50, 60);
    const dev = await room(store, "#dev", 10);
    const forked = await room(store, "#forked", 1);
    await room(store, "#empty");
    await store.rooms.markForked(forked, 1);
    const waiting = await store.log.unregistered(log.id, 10);
    const head = (origin: string, size: number) => ({ origin, size, time: size, root: hashOf(`${origin} ${size}`) });
    assert.deepEqual(waiting, [head(dev, 10), head(ops, 60)]);
    assert.deepEqual(await store.log.unregistered(log.id, 1), [head(dev, 10)]);
    const tick = await tickOf(store, log, { heads: waiting });
    assert(await store.log.appendTick(log, tick));
    assert.deepEqual(await store.log.unregistered(log.id, 10), []);
    const [found] = await store.log.registrations(log.id, ops, 0, 10);
    assert.equal(found?.tick, 0);
    assert.equal(found?.checkpoint.root, hashOf(`${ops} 60`));
    assert.equal(tick.heads[found?.place ?? -1]?.origin, ops);
    assert.equal((await store.log.headHashes(log.id, 0)).length, 2);
    assert.deepEqual(await store.log.registrations(log.id, ops, 1, 10), []);
    await checkpoint(store, ops, 70);
    await checkpoint(store, dev, 65);
    await checkpoint(store, dev, 80);
    assert.deepEqual(await store.log.unregistered(log.id, 10), [head(dev, 80), head(ops, 70)]);
    await store.rooms.closeLog(ops, 1);
    assert.deepEqual((await store.log.unregistered(log.id, 10)).length, 2);
  });

  test("a note is closed once, and the newest is named once", async (store) => {
    const log = await started(store);
    const note = (size: number) => ({ size, note: encodeUtf8(`note ${size}\n`), hash: hashOf(`note ${size}\n`) });
    assert.equal(await store.log.closedNote(log.id), undefined);
    for (const size of [1, 4, 9]) assert(await store.log.closeNote(log.id, note(size), 1_000 * size));
    assert.equal(await store.log.closeNote(log.id, { ...note(4), note: encodeUtf8("other") }, 5), false);
    assert.deepEqual(await store.log.closedNote(log.id), note(9));
    assert.deepEqual(await store.log.closedNote(log.id, 2), note(4));
    assert.deepEqual(await store.log.closedNote(log.id, 4), note(4));
    assert.equal(await store.log.closedNote(log.id, 10), undefined);
    assert.deepEqual(await store.log.unnamedNote(log.id), note(9));
    assert(await store.log.appendTick(log, await tickOf(store, log, { note: note(9).hash }, { note: 9 })));
    assert.equal(await store.log.unnamedNote(log.id), undefined);
    await store.log.addTokens(log.id, [token(1, 5)], []);
    await store.log.dropNotes(9_000);
    assert.deepEqual(await store.log.closedNote(log.id, 1), note(1));
    assert.deepEqual(await store.log.closedNote(log.id, 2), note(9));
  });

  test("tokens are kept once, named once, and told with their ticks", async (store) => {
    const log = await started(store);
    const tokens = [token(1, 100), token(1, 101), token(7, 99)];
    await store.log.addTokens(log.id, tokens, ["pem a", "pem b"]);
    await store.log.addTokens(log.id, tokens.slice(1), ["pem b"]);
    assert.deepEqual(await store.log.unnamedTokens(log.id, 10), tokens);
    assert.deepEqual((await store.log.tokenCertificates()).toSorted(), ["pem a", "pem b"]);
    assert.equal(await store.log.stampedSize(log.id), 7);
    assert.equal(await store.log.newestTokenTime(), 0);
    const named = tokens.slice(0, 2).map(({ hash }) => hash);
    assert(await store.log.appendTick(log, await tickOf(store, log, { tokens: named }, { tokens: named })));
    assert.deepEqual(await store.log.unnamedTokens(log.id, 10), tokens.slice(2));
    assert.deepEqual(await store.log.tokens(log.id, 0, 1), [{ ...token(1, 100), tick: 0 }]);
    assert.deepEqual(await store.log.tokens(log.id, 1, 9), []);
    assert.equal(await store.log.newestTokenTime(), 101);
  });

  test("rows of the audit log get their leaves with a tick, in order", async (store) => {
    const log = await started(store);
    const key = "ab".repeat(16);
    await store.addAudit([
      { event: "login_failure", occurredAt: 1_700_000_000_000, ipAddress: "192.0.2.1", key, reason: "wrong password" },
      { event: "session_end", occurredAt: 1_700_000_001_000, email: "ada@example.com" },
    ]);
    const rows = await store.log.unloggedAudit(10);
    const [failure, end] = rows;
    assert(failure && end);
    assert.deepEqual(failure, {
      ...{ id: failure.id, index: undefined, occurredAt: "2023-11-14 22:13:20", event: "login_failure" },
      ...{ ip: "192.0.2.1", key, reason: "wrong password" },
    });
    assert.equal(end.email, "ada@example.com");
    const tree = new Frontier();
    const leaves = rows.map(({ id }) => ({ id, leaf: leafHash(concat(encodeUtf8(String(id)))) }));
    const nodes = leaves.flatMap(({ leaf }) => tree.append(leaf));
    const audit = { leaves, nodes };
    assert(await store.log.appendTick(log, await tickOf(store, log, { audit: hashOf("audit") }, { audit })));
    assert.deepEqual(await store.log.unloggedAudit(10), []);
    assert.deepEqual((await store.log.auditFrom(1, 5)).map(({ id, index }) => ({ id, index })), [{
      id: end.id,
      index: 1,
    }]);
    assert.equal((await store.log.logs())[0]?.auditSize, 2);
    assert.deepEqual(new Frontier(2, await store.log.auditNodes(peakPlaces(2))).root(), tree.root());
    assert(await store.log.startLog(newLog("2"), newLog().origin));
    assert.equal((await store.log.logs())[0]?.auditSize, 2);
  });

  test("old rows of the audit log are emptied and keep their places, and a row says which", async (store) => {
    const log = await started(store);
    const at = (time: number, reason: string) => ({ event: "login_failure" as const, occurredAt: time, reason });
    await store.addAudit([at(1_000_000_000, "one"), at(1_000_001_000, "two"), at(2_000_000_000, "three")]);
    const rows = await store.log.unloggedAudit(10);
    const tree = new Frontier();
    const leaves = rows.map(({ id }) => ({ id, leaf: leafHash(encodeUtf8(String(id))) }));
    const audit = { leaves, nodes: leaves.flatMap(({ leaf }) => tree.append(leaf)) };
    assert(await store.log.appendTick(log, await tickOf(store, log, { audit: hashOf("audit") }, { audit })));
    await store.addAudit([at(1_000_002_000, "waits for its leaf")]);
    const prune = (key: string) =>
      store.log.pruneAudit({
        ...{ before: 1_500_000_000, occurredAt: 3_000_000_000, key: key.repeat(32) },
        reason: (from, to) => `${from} to ${to}`,
      });
    assert.equal(await prune("a"), 2);
    assert.equal(await prune("b"), 0);
    assert.deepEqual(
      (await store.log.auditFrom(0, 9)).map(({ id: _, ...row }) => row),
      [
        { index: 0, occurredAt: "1970-01-02 00:00:00", event: "pruned" },
        { index: 1, occurredAt: "1970-01-02 00:00:00", event: "pruned" },
        { index: 2, occurredAt: "1970-01-24 03:33:20", event: "login_failure", reason: "three" },
      ],
    );
    assert.deepEqual(
      (await store.log.unloggedAudit(9)).map(({ event, reason }) => [event, reason]),
      [["login_failure", "waits for its leaf"], ["audit_pruned", "0 to 1"]],
    );
  });
}
