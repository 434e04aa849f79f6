import { Buffer } from "node:buffer";
import { assert } from "./assert.ts";
import { skipUnless } from "./environment.ts";
import { type Mariadb, startMariadb } from "./mariadb.ts";
import { append, fingerprint, line, newRoom, type RoomStoreFixture, testRoomStore } from "./room_store_contract.ts";
import { testDeviceStore } from "./device_store_contract.ts";
import { MIGRATIONS } from "../lib/store_migrations.ts";
import { Frontier } from "../lib/log_tree.ts";
import { StoreUnavailable } from "../lib/server_store.ts";
import { openMysqlStore } from "../lib/store_mysql.ts";

/** The server outlives the tests that start it, and mysql2 lets go of its sockets a moment after `close()`. */
const options = { ...skipUnless("mariadb"), sanitizeOps: false, sanitizeResources: false };

/** One server for all tests of this file, started by the first that asks. */
let running: Promise<Mariadb> | undefined;
const mariadb = () => running ??= start();
Deno.test.afterAll(async () => await (await running)?.[Symbol.asyncDispose]());

async function start(): Promise<Mariadb> {
  const server = await startMariadb();
  // What MySQL 5.7 takes by default, for connections from now on.
  await server.sql("SET GLOBAL max_allowed_packet = 4194304");
  return server;
}

function test(name: string, fn: (server: Mariadb) => Promise<void>): void {
  Deno.test({ name, ...options, fn: async () => await fn(await mariadb()) });
}

const openFixture = async (): Promise<RoomStoreFixture> => {
  const address = await (await mariadb()).createDatabase();
  const store = await openMysqlStore(address);
  return {
    store,
    second: () => openMysqlStore(address),
    [Symbol.asyncDispose]: () => store.close(),
  };
};

testRoomStore("MySQL", openFixture, options);
testDeviceStore("MySQL", openFixture, options);

const ROOM = newRoom("#ops");

test("a database of before the rooms is migrated in MySQL, and its accounts have rooms", async (server) => {
  const address = await server.createDatabase();
  const before = MIGRATIONS.slice(0, 2).flatMap(({ version, mysql }) => [
    ...mysql,
    `INSERT INTO schema_version (version) VALUES (${version})`,
  ]);
  await server.sql(
    `CREATE TABLE schema_version (version INT NOT NULL PRIMARY KEY, applied_at TIMESTAMP); ${before.join("; ")};
      INSERT INTO users (email, username, username_key, salt, pwd_hash)
        VALUES ('alice@example.com', 'Alice', 'alice', X'00', 'record');`,
    address.name,
  );
  const store = await openMysqlStore(address);
  const alice = await store.findUser("alice@example.com");
  assert(alice);
  await store.devices.bindDevice({ fingerprint: fingerprint("a"), userId: alice.id, pem: "pem", isIssued: false }, 0);
  assert.equal((await store.devices.findDevice(fingerprint("a")))?.username, "Alice");
  await store.rooms.createRoom(ROOM);
  await append(store.rooms, ROOM.origin, new Frontier(), [line(0)]);
  assert.deepEqual(await store.rooms.linesFrom(ROOM.origin, 0, 9), [line(0)]);
  await store.close();
});

test("after OPTIMIZE TABLE an erased body is not in the table's file", async (server) => {
  const address = await server.createDatabase();
  const store = await openMysqlStore(address);
  const { rooms } = store;
  await rooms.createRoom(ROOM);
  const planted = (index: number) => Uint8Array.from(Buffer.from(`<planted ${index}>`.repeat(20)));
  const lines = Array.from({ length: 40 }, (_, index) => line(index, { body: planted(index) }));
  const frontier = new Frontier();
  await append(rooms, ROOM.origin, frontier, lines);
  const folder = (await server.sql("SELECT @@datadir")).trim();
  const found = async () => {
    await server.sql("FLUSH TABLES room_lines FOR EXPORT; UNLOCK TABLES;", address.name);
    const text = Buffer.from(await Deno.readFile(`${folder}/${address.name}/room_lines.ibd`)).toString("latin1");
    return new Set([...text.matchAll(/<planted ([0-9]+)>/g)].map(([, index]) => Number(index)));
  };
  assert.equal((await found()).size, 40);
  for (let index = 0; index < 40; index += 2) {
    await append(rooms, ROOM.origin, frontier, [line(frontier.size)], { erased: [index] });
  }
  await server.sql("OPTIMIZE TABLE room_lines;", address.name);
  const left = await found();
  assert.deepEqual([...left].filter((index) => index % 2 === 0), []);
  assert.equal(left.size, 20);
  await store.close();
});

test("a database that goes away is StoreUnavailable to rooms, and holds whole batches when it is back", async (server) => {
  const store = await openMysqlStore(await server.createDatabase());
  const { rooms, devices } = store;
  try {
    await rooms.createRoom(ROOM);
    const frontier = new Frontier();
    await append(rooms, ROOM.origin, frontier, [line(0)]);
    await server.stop();
    await assert.rejects(append(rooms, ROOM.origin, new Frontier(1, frontier.peaks), [line(1)]), StoreUnavailable);
    await assert.rejects(rooms.linesFrom(ROOM.origin, 0, 1), StoreUnavailable);
    await assert.rejects(rooms.createRoom(newRoom("#other")), StoreUnavailable);
    await assert.rejects(devices.dropTokens(fingerprint("certificate")), StoreUnavailable);
    await server.start();
    await append(rooms, ROOM.origin, frontier, [line(1), line(2)]);
    assert.deepEqual(await rooms.linesFrom(ROOM.origin, 0, 9), [line(0), line(1), line(2)]);
  } finally {
    await server.start();
    await store.close();
  }
});

test("a batch of which a statement fails is taken back", async (server) => {
  const address = await server.createDatabase();
  const first = await openMysqlStore(address);
  await first.rooms.createRoom(ROOM);
  await first.close();
  await server.sql(`REVOKE INSERT ON ${address.name}.* FROM ${address.user}@'%';`);
  await server.sql(`GRANT INSERT ON ${address.name}.room_lines TO ${address.user}@'%';`);
  const store = await openMysqlStore(address); // rights are asked for where a connection begins
  const { rooms } = store;
  await assert.rejects(append(rooms, ROOM.origin, new Frontier(), [line(0), line(1)]), StoreUnavailable);
  assert.deepEqual(await rooms.linesFrom(ROOM.origin, 0, 9), []);
  assert.equal((await rooms.findRoom("#ops"))?.size, 0);
  await store.close();
});
