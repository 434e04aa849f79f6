import { Buffer } from "node:buffer";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { assert } from "./assert.ts";
import { temporaryFolder } from "./environment.ts";
import { append, fingerprint, line, newRoom, type RoomStoreFixture, testRoomStore } from "./room_store_contract.ts";
import { testDeviceStore } from "./device_store_contract.ts";
import { type Bytes, concat, encodeUtf8 } from "../lib/bytes.ts";
import { MIGRATIONS } from "../lib/store_migrations.ts";
import {
  consistencyProof,
  Frontier,
  inclusionProof,
  leafHash,
  nodeHash,
  type NodePlace,
  peakPlaces,
  verifyConsistency,
  verifyInclusion,
} from "../lib/log_tree.ts";
import { StoreUnavailable } from "../lib/server_store.ts";
import { openSqliteStore, SQLITE_FILE, SqliteStore } from "../lib/store_sqlite.ts";

const openFixture = async (): Promise<RoomStoreFixture> => {
  const folder = temporaryFolder();
  const store = await openSqliteStore(folder.path);
  return {
    store,
    second: () => openSqliteStore(folder.path),
    async [Symbol.asyncDispose]() {
      await store.close();
      folder[Symbol.dispose]();
    },
  };
};

testRoomStore("SQLite", openFixture);
testDeviceStore("SQLite", openFixture);

const ROOM = newRoom("#ops");

/** A body of that size that is found again wherever it lies, whole or in part. */
function planted(size: number, index: number): Bytes {
  return Uint8Array.from(Buffer.from(`<planted ${index}>`.repeat(size).slice(0, size)));
}

/** Which of the planted bodies the database's files still have a part of. */
function found(folder: string): number[] {
  const files = [...Deno.readDirSync(folder)].filter(({ name }) => name.startsWith(SQLITE_FILE));
  const texts = files.map(({ name }) => Buffer.from(Deno.readFileSync(`${folder}/${name}`)).toString("latin1"));
  const indexes = texts.flatMap((text) => [...text.matchAll(/planted ([0-9]+)>/g)].map(([, index]) => Number(index)));
  return [...new Set(indexes)].toSorted((a, b) => a - b);
}

/** Sizes of bodies that share a page, fill one, and spread over several. */
const SIZES = [32, 96, 320, 1_600, 3_200, 16_032];

Deno.test("an erased body is in none of the database's files, whatever its size and its neighbours", async () => {
  using folder = temporaryFolder();
  const store = await openSqliteStore(folder.path);
  const { rooms } = store;
  await rooms.createRoom(ROOM);
  const frontier = new Frontier();
  const all = Array.from({ length: 120 }, (_, index) => index);
  for (let at = 0; at < all.length; at += 8) {
    const batch = all.slice(at, at + 8).map((index) => {
      return line(index, { body: planted(SIZES[index % SIZES.length] ?? 32, index) });
    });
    await append(rooms, ROOM.origin, frontier, batch);
  }
  assert.deepEqual(found(folder.path), all);
  // First scattered ones, then all of some pages, then all.
  const order = [...all.filter((index) => index % 5 === 0), ...all.slice(30, 70), ...all.toReversed()];
  const left = new Set(all);
  for (const [at, index] of order.entries()) {
    await append(rooms, ROOM.origin, frontier, [line(frontier.size)], { erased: [index] });
    left.delete(index);
    if (at % 10 === 0) assert.deepEqual(found(folder.path), [...left]);
  }
  assert.deepEqual(found(folder.path), []);
  await store.close();
  assert.deepEqual(found(folder.path), []);
});

Deno.test("while somebody reads an older state, erasing doesn't wait; the next write after that empties the log", async () => {
  using folder = temporaryFolder();
  const store = await openSqliteStore(folder.path);
  const { rooms } = store;
  await rooms.createRoom(ROOM);
  const frontier = new Frontier();
  await append(rooms, ROOM.origin, frontier, [line(0, { body: planted(320, 0) }), line(1, { body: planted(320, 1) })]);
  {
    using reader = new DatabaseSync(`${folder.path}/${SQLITE_FILE}`);
    reader.exec("BEGIN; SELECT COUNT(*) FROM room_lines");
    const start = performance.now();
    await append(rooms, ROOM.origin, frontier, [line(2)], { erased: [0] });
    assert(performance.now() - start < 2_000);
    assert.deepEqual(found(folder.path), [0, 1]);
  }
  await append(rooms, ROOM.origin, frontier, [line(3)]);
  assert.deepEqual(found(folder.path), [1]);
  await store.close();
});

Deno.test("what a crash left in the log of an erased body is gone after the first write", async () => {
  using folder = temporaryFolder();
  const path = `${folder.path}/${SQLITE_FILE}`;
  const store = await openSqliteStore(folder.path);
  await store.rooms.createRoom(ROOM);
  const frontier = new Frontier();
  await append(store.rooms, ROOM.origin, frontier, [line(0, { body: planted(320, 0) })]);
  {
    using reader = new DatabaseSync(path);
    reader.exec("BEGIN; SELECT COUNT(*) FROM room_lines");
    await append(store.rooms, ROOM.origin, frontier, [line(1)], { erased: [0] });
    // As the files lie there when the program is killed now.
    using crashed = temporaryFolder();
    for (const name of [SQLITE_FILE, `${SQLITE_FILE}-wal`]) {
      await Deno.copyFile(`${folder.path}/${name}`, `${crashed.path}/${name}`);
    }
    assert.deepEqual(found(crashed.path), [0]);
    const again = await openSqliteStore(crashed.path);
    await again.rooms.addInvitation("#ops", "alice", "bob");
    assert.deepEqual(found(crashed.path), []);
    assert.equal((await again.rooms.linesFrom(ROOM.origin, 0, 1))[0]?.body, null);
    await again.close();
  }
  await store.close();
});

/** Remembers the queries that are asked of it. */
class WatchedDatabase extends DatabaseSync {
  readonly queries: string[] = [];

  override prepare(sql: string): StatementSync {
    const statement = super.prepare(sql);
    const all = statement.all.bind(statement);
    Object.assign(statement, {
      all: (...values: Parameters<StatementSync["all"]>) => {
        this.queries.push(sql);
        return all(...values);
      },
    });
    return statement;
  }
}

function repeatingLine(index: number): string {
  return `line ${index % 16}`;
}

/**
 * The hashes of a tree's nodes whose leaves repeat every 16, level by level: so a million lines are made in a second.
 * From level 4 on all nodes of a level are alike.
 */
function repeatingTree(levels: number): Bytes[][] {
  const tree = [Array.from({ length: 16 }, (_, index) => leafHash(encodeUtf8(repeatingLine(index))))];
  for (let level = 1; level <= levels; level++) {
    const below = tree[level - 1] ?? [];
    const at = (index: number) => below[index % 16] ?? new Uint8Array(0);
    tree.push(Array.from({ length: 16 }, (_, index) => nodeHash(at(2 * index), at(2 * index + 1))));
  }
  return tree;
}

Deno.test("at 2^20 lines a proof takes two queries of at most 64 nodes, looked up one by one, and verifies", async () => {
  using folder = temporaryFolder();
  await (await openSqliteStore(folder.path)).close();
  using database = new WatchedDatabase(`${folder.path}/${SQLITE_FILE}`);
  database.exec("PRAGMA synchronous = OFF");
  const store = new SqliteStore(database);
  await store.rooms.createRoom(ROOM);
  const size = 2 ** 20 - 3; // the trees of 2^20 itself are perfect, and need fewer
  const tree = repeatingTree(20);
  for (const [level, hashes] of tree.entries()) {
    if (level === 0) continue;
    database.prepare(
      `INSERT INTO room_nodes (room_id, level, node_index, hash)
        WITH RECURSIVE node (at) AS (SELECT 0 UNION ALL SELECT at + 1 FROM node WHERE at + 2 <= ?)
        SELECT 1, ?, at, SUBSTR(?, at % 16 * 32 + 1, 32) FROM node WHERE at < ?`,
    ).run(Math.floor(size / 2 ** level), level, concat(...hashes), Math.floor(size / 2 ** level));
  }
  const indexes = [0, 1, 2 ** 19 - 1, 2 ** 19, 699_050, size - 2, size - 1];
  const olds = [1, 2 ** 19 - 1, 2 ** 19, 699_051, size - 1];
  // A proof needs no leaf but those beside these.
  const lines = new Set(
    [...indexes, ...olds].flatMap((at) => [at - 1, at, at + 1]).filter((at) => at >= 0 && at < size),
  );
  for (const at of lines) {
    database.prepare(
      `INSERT INTO room_lines (room_id, line_index, author, seqno, ts, epoch, seen_size, is_act, line, body, is_erased,
        accepted_at) VALUES (1, ?, X'00', ?, 0, 0, 0, 0, ?, X'', 0, 0)`,
    ).run(at, at, repeatingLine(at));
  }
  const headOf = (lines: number) => {
    const peaks = peakPlaces(lines).map(({ level, index }) => tree[level]?.[index % 16] ?? new Uint8Array(0));
    return { size: lines, root: new Frontier(lines, peaks).root() };
  };
  const head = headOf(size);
  const most: number[] = [];
  const read = (places: readonly NodePlace[]) => {
    most.push(places.length);
    return store.rooms.nodes(ROOM.origin, places);
  };
  assert.deepEqual(new Frontier(size, await read(peakPlaces(size))).root(), head.root);
  database.queries.length = 0;
  for (const index of indexes) {
    const leaf = leafHash(encodeUtf8(repeatingLine(index)));
    assert(verifyInclusion(leaf, index, await inclusionProof(index, size, read), head));
  }
  for (const old of olds) {
    assert(verifyConsistency(headOf(old), head, await consistencyProof(old, size, read)));
  }
  assert(database.queries.length <= 2 * (indexes.length + olds.length));
  assert(Math.max(...most) <= 64, String(most));
  for (const sql of database.queries) {
    const plan = database.prepare(`EXPLAIN QUERY PLAN ${sql}`).iterate();
    const steps = [...plan].map((step) => String(step["detail"])).filter((step) => /^(?:SEARCH|SCAN)/.test(step));
    for (const step of steps) assert.match(step, /\(room_id=\? AND (?:level=\? AND node_index|line_index)=\?\)/);
  }
});

Deno.test("a database of before the rooms is migrated, and its accounts have rooms", async () => {
  using folder = temporaryFolder();
  {
    using database = new DatabaseSync(`${folder.path}/${SQLITE_FILE}`);
    database.exec("CREATE TABLE schema_version (version INT NOT NULL PRIMARY KEY, applied_at TIMESTAMP)");
    for (const { version, sqlite } of MIGRATIONS.slice(0, 2)) {
      for (const statement of sqlite) database.exec(statement);
      database.exec(`INSERT INTO schema_version (version) VALUES (${version})`);
    }
    database.exec(`INSERT INTO users (email, username, username_key, salt, pwd_hash)
      VALUES ('alice@example.com', 'Alice', 'alice', X'00', 'record')`);
  }
  const store = await openSqliteStore(folder.path);
  const alice = await store.findUser("alice@example.com");
  assert(alice);
  await store.devices.bindDevice({ fingerprint: fingerprint("a"), userId: alice.id, pem: "pem", isIssued: false }, 0);
  assert.equal((await store.devices.findDevice(fingerprint("a")))?.username, "Alice");
  await store.rooms.createRoom(ROOM);
  await append(store.rooms, ROOM.origin, new Frontier(), [line(0)]);
  assert.deepEqual(await store.rooms.linesFrom(ROOM.origin, 0, 9), [line(0)]);
  await store.close();
});

Deno.test("a database that can't be written is StoreUnavailable to rooms, nothing of a batch stays, and it goes on after", async () => {
  using folder = temporaryFolder();
  const store = await openSqliteStore(folder.path, 20);
  const { rooms, devices } = store;
  await rooms.createRoom(ROOM);
  const nodes = new Frontier().append(leafHash(encodeUtf8(line(0).line)));
  {
    using database = new DatabaseSync(`${folder.path}/${SQLITE_FILE}`);
    database.exec("BEGIN IMMEDIATE");
    await assert.rejects(rooms.appendLines(ROOM.origin, [line(0)], nodes), StoreUnavailable);
    await assert.rejects(rooms.createRoom(newRoom("#other")), StoreUnavailable);
    await assert.rejects(devices.dropTokens(fingerprint("certificate")), StoreUnavailable);
    assert.deepEqual(await rooms.linesFrom(ROOM.origin, 0, 9), [], "reading goes on");
  }
  await rooms.appendLines(ROOM.origin, [line(0)], nodes);
  assert.deepEqual(await rooms.linesFrom(ROOM.origin, 0, 9), [line(0)]);
  await store.close();
});

Deno.test("a disk that is full in the middle of a batch keeps nothing of it", async () => {
  using folder = temporaryFolder();
  await (await openSqliteStore(folder.path)).close();
  using database = new DatabaseSync(`${folder.path}/${SQLITE_FILE}`);
  const { rooms } = new SqliteStore(database);
  await rooms.createRoom(ROOM);
  const pages = Number(database.prepare("PRAGMA page_count").get()?.["page_count"]);
  // SQLite says of its own bound what it says of a full disk.
  database.exec(`PRAGMA max_page_count = ${pages + 20}`);
  const lines = Array.from({ length: 20 }, (_, index) => line(index, { body: planted(16_032, index) }));
  await assert.rejects(append(rooms, ROOM.origin, new Frontier(), lines), StoreUnavailable);
  database.exec("PRAGMA max_page_count = 10000");
  assert.equal((await rooms.findRoom("#ops"))?.size, 0);
  await append(rooms, ROOM.origin, new Frontier(), lines);
  assert.deepEqual(await rooms.linesFrom(ROOM.origin, 0, 99), lines);
});
