import { assert } from "./assert.ts";
import { hashOf, LogWorld, registered, SECOND } from "./server_log_world.ts";
import { Follower } from "./log_follower.ts";
import { newRoom } from "./room_store_contract.ts";
import { encodeHex, encodeUtf8 } from "../lib/bytes.ts";
import { sha256 } from "../lib/hash.ts";
import { MAX_TICK_HEADS } from "../lib/log_tick.ts";
import type { ServerLog, ServerLogOptions } from "../lib/server_log.ts";
import type { LogStore } from "../lib/server_log_store.ts";

/** An honest server is accused of nothing: whatever happens to it, its members are told of no lie and of nothing late. */

const TIMES = 20;

/** The newest head of #ops is registered now; the log ticks. */
async function grow(world: LogWorld, log: ServerLog, size: number, room = "#ops"): Promise<void> {
  log.registers(...registered(await world.room(room, size)));
  world.now += 60 * SECOND;
  await log.tick();
  await log.settled();
}

/** A store whose calls may fail. */
function failing(store: LogStore, fails: (call: string) => boolean): LogStore {
  return new Proxy(store, {
    get(target, name) {
      const value = Reflect.get(target, name);
      if (typeof value !== "function") return value;
      return (...given: unknown[]) => {
        if (fails(String(name))) return Promise.reject(new Error("killed"));
        return value.apply(target, given);
      };
    },
  });
}

/** Where a server is killed, and what it does no more from then on. */
const kills: readonly { readonly name: string; readonly where: string }[] = [
  { name: "before the commit", where: "appendTick" },
  { name: "between commit and note", where: "keepNewest" },
  { name: "between note and closing", where: "cosign" },
  { name: "while a note is closed", where: "closeNote" },
  { name: "between closing and stamping", where: "addTokens" },
];

for (const { name, where } of kills) {
  Deno.test(`a server that is killed ${name}, again and again, is accused of nothing`, async () => {
    await using world = await LogWorld.create();
    let dies = "";
    const failed: unknown[] = [];
    const given = await world.options();
    const changes: Partial<ServerLogOptions> = {
      store: failing(world.store.log, (call) => call === dies),
      keepNewest: (note) => dies === "keepNewest" ? Promise.reject(new Error("killed")) : given.keepNewest(note),
      cosign: (note) => dies === "cosign" ? Promise.reject(new Error("killed")) : given.cosign(note),
      failed: (error) => failed.push(error),
    };
    const first = await world.open(changes);
    await grow(world, first, 1);
    await first.end();
    const ada = new Follower(world, first, ["#ops"]);
    await ada.log.follow();
    const { origin } = newRoom("#ops");
    for (let i = 0; i < TIMES; i++) {
      dies = where;
      const dying = await world.open(changes);
      ada.asks(world, dying);
      ada.now = world.now;
      await ada.log.follow();
      dying.registers(...registered(await world.room("#ops", 2 * i + 2)));
      world.now += 60 * SECOND;
      await dying.tick().catch((error) => failed.push(error));
      await dying.settled();
      await stamp(world, dying, changes.store ?? world.store.log).catch((error) => failed.push(error));
      await ada.log.follow();
      dies = "";
      const next = await world.open(changes);
      await next.closeNewest();
      ada.asks(world, next);
      if (i % 3 === 0) ada.restart();
      await grow(world, next, 2 * i + 3);
      await stamp(world, next, world.store.log);
      ada.now = world.now;
      await ada.log.follow();
      await next.end();
    }
    assert.equal(failed.length >= TIMES, true, `${failed.length} were killed`);
    assert.deepEqual([ada.news, world.faults], [[], []]);
    const sizes = ada.log.headsOf(origin).map(({ size }) => size);
    assert.equal(sizes.at(-1), 2 * TIMES + 1);
    assert.deepEqual(sizes, sizes.toSorted((a, b) => a - b));
  });
}

/** Stamps the newest closed note with a token of its own. */
async function stamp(world: LogWorld, log: ServerLog, store: LogStore): Promise<void> {
  const note = log.newestClosed;
  if (!note) return;
  const token = encodeUtf8(`token over ${note.size}`);
  await store.addTokens(
    log.state.id,
    [{ size: note.size, token, hash: encodeHex(sha256(token)), time: world.now }],
    [],
  );
}

Deno.test("three nodes that tick at once on one store are accused of nothing by the members of each", async () => {
  await using world = await LogWorld.create();
  const kept = new Map<number, string>();
  const node = (i: number) => world.open({ keepNewest: (note) => Promise.resolve(void kept.set(i, note)) });
  const nodes = [await node(0), await node(1), await node(2)];
  const [first] = nodes;
  assert(first);
  await first.tick();
  await first.settled();
  const members = nodes.map((log) => new Follower(world, log, ["#0", "#1", "#2"]));
  for (let i = 1; i <= TIMES; i++) {
    for (const [at, log] of nodes.entries()) log.registers(...registered(await world.room(`#${at}`, i)));
    world.now += 60 * SECOND;
    await Promise.all(nodes.map((log) => log.tick()));
    await Promise.all(nodes.map((log) => log.settled()));
    for (const [at, member] of members.entries()) {
      member.now = world.now;
      const other = nodes[(at + i) % nodes.length]; // a member who is let in by another node each time
      assert(other);
      member.asks(world, other);
      await member.log.follow();
    }
  }
  for (let i = 0; i < 4; i++) {
    world.now += 60 * SECOND;
    for (const log of nodes) await log.tick();
  }
  for (const log of nodes) await log.settled();
  for (const [at, member] of members.entries()) {
    member.asks(world, nodes[at] ?? first);
    await member.log.follow();
    assert.deepEqual(member.news, []);
    const newest = [0, 1, 2].map((room) => member.log.headsOf(newRoom(`#${room}`).origin).at(-1)?.size);
    assert.deepEqual(newest, [TIMES, TIMES, TIMES]);
  }
  assert.deepEqual(world.faults, []);
  for (const log of nodes) await log.end();
});

Deno.test("a room whose head another node has registered isn't registered again with an older one", async () => {
  await using world = await LogWorld.create();
  const [a, b] = [await world.open(), await world.open()];
  await a.tick();
  await a.settled();
  a.registers(...registered(await world.room("#ops", 1)));
  b.registers(...registered(await world.room("#ops", 2)));
  for (const log of [b, a, a]) {
    world.now += 60 * SECOND;
    await log.tick();
    await log.settled();
  }
  const ada = new Follower(world, a, ["#ops"]);
  const { id } = a.state;
  const sizes = (await world.store.log.registrations(id, newRoom("#ops").origin, 0, 10)).map((r) => r.checkpoint.size);
  assert.deepEqual(sizes, [2]);
  await ada.log.follow();
  await a.end();
  await b.end();
});

for (const [name, days] of [["back", -1], ["ahead", 1]] as const) {
  Deno.test(`a server whose clock is set ${name} by a day, and right again, is accused of nothing and goes on`, async () => {
    await using world = await LogWorld.create();
    const log = await world.open();
    await grow(world, log, 1);
    const ada = new Follower(world, log, ["#ops"]);
    ada.now = world.now;
    await ada.log.follow();
    for (const shift of [days, -days]) {
      world.now += shift * 86_400 * SECOND;
      for (let i = 0; i < 3; i++) {
        await grow(world, log, 10 + (ada.log.headsOf(newRoom("#ops").origin).length));
        ada.now += 60 * SECOND;
        await ada.log.follow();
      }
      world.isAttended = true; // somebody is there: a tick is made although nothing is new
      const { size } = log.state;
      world.now += 700 * SECOND;
      await log.tick();
      await log.settled();
      assert.equal(log.state.size, size + 1);
      world.isAttended = false;
    }
    assert.deepEqual([ada.news, world.faults], [[], []]);
    assert.equal(ada.log.headsOf(newRoom("#ops").origin).length, 6);
    await log.end();
  });
}

Deno.test("dead witnesses and authorities hold up nothing, and nobody is accused without a policy", async () => {
  await using world = await LogWorld.create();
  const log = await world.open({ cosign: ({ note }) => Promise.resolve(note) });
  await grow(world, log, 1);
  const ada = new Follower(world, log, ["#ops"], {
    judgeNote: (note) => {
      const [, size, root = ""] = note.split("\n");
      const head = { size: Number(size), root: encodeHex(Uint8Array.fromBase64(root)) };
      return Promise.resolve({ head, isSatisfied: true });
    },
  });
  await ada.log.follow();
  for (let i = 2; i < 30; i++) {
    await grow(world, log, i);
    ada.now = world.now;
    await ada.log.follow();
    for (const room of ada.rooms) ada.log.lookForLate(room, () => undefined);
  }
  assert.deepEqual([ada.news, world.faults], [[], []]);
  assert.equal(ada.log.pin?.size, log.state.size);
  await log.end();
});

Deno.test("of 3,000 rooms that grow at once each is registered within three ticks, in the order in which they waited", async () => {
  await using world = await LogWorld.create();
  const log = await world.open();
  await log.tick();
  await log.settled();
  const rooms = Array.from({ length: 3_000 }, (_, i) => `#r${i}`);
  for (const name of rooms) {
    await world.store.rooms.createRoom(newRoom(name));
    const head = { time: Math.floor(world.now / SECOND), size: 1, root: hashOf(name) };
    await world.store.rooms.addCheckpoint(newRoom(name).origin, {
      ...head,
      sig: encodeUtf8("sig"),
      from: "f".repeat(64),
    });
    log.registers(...registered({ origin: newRoom(name).origin, ...head }));
  }
  const members = ["#r0", "#r1500", "#r2999"].map((name) => new Follower(world, log, [name]));
  for (const member of members) await member.log.follow();
  for (let i = 0; i < 3; i++) {
    world.now += 60 * SECOND;
    await log.tick();
    await log.settled();
    for (const member of members) {
      member.now = world.now;
      await member.log.follow();
      for (const room of member.rooms) {
        const isCovered = member.log.headsOf(room.origin).length > 0;
        member.log.lookForLate(room, () => isCovered ? undefined : world.now / SECOND - 60 * (i + 1));
      }
    }
  }
  const counts = (await world.ticks()).map(({ tick }) => tick.heads?.count);
  assert.deepEqual(counts, [undefined, MAX_TICK_HEADS, MAX_TICK_HEADS, 3_000 - 2 * MAX_TICK_HEADS]);
  for (const [at, member] of members.entries()) {
    assert.deepEqual(member.news, []);
    assert.deepEqual(member.log.headsOf(member.rooms[0]?.origin ?? "").map(({ tick }) => tick), [at + 1]);
  }
  await log.end();
});
