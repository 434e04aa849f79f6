import { assert } from "./assert.ts";
import { NOW } from "./fixtures.ts";
import { hashOf, keyOf, LogWorld, registered, SECOND } from "./server_log_world.ts";
import { Follower } from "./log_follower.ts";
import { RequestRefused } from "../lib/client_requests.ts";
import type { LogAnswer, LogRequest } from "../lib/log_follow_frames.ts";
import { type ServerLog, startLog } from "../lib/server_log.ts";
import { newRoom } from "./room_store_contract.ts";

/** A server's log with so many ticks, each of which registers #ops. */
async function serverLog(world: LogWorld, ticks: number): Promise<ServerLog> {
  const log = await world.open();
  await log.tick();
  await grow(world, log, 1, ticks);
  return log;
}

async function grow(world: LogWorld, log: ServerLog, from: number, to: number): Promise<void> {
  for (let i = from; i < to; i++) {
    log.registers(...registered(await world.room("#ops", i)));
    log.registers(...registered(await world.room("#dev", i)));
    await log.tick();
  }
  await log.settled();
}

Deno.test("a member who follows from the beginning has every tick, note and head of its rooms, and names the log", async () => {
  await using world = await LogWorld.create();
  const log = await serverLog(world, 3);
  const ada = new Follower(world, log, ["#ops"]);
  await ada.log.follow();
  assert.equal(ada.log.tree.size, 3);
  assert.deepEqual(ada.log.headsOf(newRoom("#ops").origin), []);
  await grow(world, log, 3, 8);
  await ada.log.follow();
  assert.equal(ada.log.tree.size, 8);
  assert.deepEqual(ada.log.pin, { id: log.state.origin.slice(-32), root: log.state.root, size: 8 });
  assert.deepEqual(ada.log.headsOf(newRoom("#ops").origin).map(({ size }) => size), [3, 4, 5, 6, 7]);
  assert.equal(ada.log.compare(ada.log.pin ?? { id: "", root: "", size: 0 }), "same");
  assert.equal(ada.log.compare({ id: log.state.origin.slice(-32), root: hashOf("x"), size: 8 }), "other");
  assert.equal(ada.log.compare({ id: log.state.origin.slice(-32), root: hashOf("x"), size: 9 }), "unknown");
  assert.equal(ada.log.compare({ id: "0".repeat(32), root: hashOf("x"), size: 9 }), "other");
  assert.deepEqual(ada.news, []);
  await log.end();
});

Deno.test("what was kept is followed on after a restart", async () => {
  await using world = await LogWorld.create();
  const log = await serverLog(world, 3);
  const ada = new Follower(world, log, ["#ops"]);
  await ada.log.follow();
  await grow(world, log, 3, 5);
  await ada.log.follow();
  const { pin } = ada.log;
  const heads = ada.log.headsOf(newRoom("#ops").origin);
  ada.restart();
  assert.deepEqual(ada.log.pin, pin);
  assert.deepEqual(ada.log.headsOf(newRoom("#ops").origin), heads);
  await grow(world, log, 5, 6);
  await ada.log.follow();
  assert.equal(ada.log.tree.size, 6);
  assert.deepEqual(ada.news, []);
  await log.end();
});

/** What a lying server changes in its answers, and what the member says. */
const lies: readonly { name: string; change: (answer: LogAnswer) => LogAnswer; said: RegExp }[] = [
  {
    name: "a tick with other bytes",
    change: (answer) => {
      if (answer.type !== "log_ticks" || answer.ticks.length === 0) return answer;
      const [first, ...more] = answer.ticks;
      const tick = new TextEncoder().encode('{"v":1}');
      return { ...answer, ticks: first ? [{ tick, tags: null }, ...more] : [] };
    },
    said: /of another log than the ticks/,
  },
  {
    name: "a tick that is none",
    change: (answer) =>
      answer.type === "log_ticks"
        ? { ...answer, ticks: answer.ticks.map(({ tags }) => ({ tick: new Uint8Array(3), tags })) }
        : answer,
    said: /has another form/,
  },
  {
    name: "tags that are left out",
    change: (answer) =>
      answer.type === "log_ticks"
        ? { ...answer, ticks: answer.ticks.map(({ tick }) => ({ tick, tags: null })) }
        : answer,
    said: /tags of tick 3 are not/,
  },
  {
    name: "tags in another order",
    change: (answer) =>
      answer.type === "log_ticks"
        ? {
          ...answer,
          ticks: answer.ticks.map(({ tick, tags }) => ({ tick, tags: tags && tags.toReversed() })),
        }
        : answer,
    said: /tags of tick 3 are not/,
  },
  {
    name: "ticks that are kept back",
    change: (answer) => answer.type === "log_ticks" ? { ...answer, ticks: [], next: null } : answer,
    said: /keeps ticks/,
  },
  {
    name: "a log that is shorter than it was",
    change: (answer) => answer.type === "log_ticks" ? { ...answer, ticks: [], next: null, size: 1 } : answer,
    said: /shorter than it was/,
  },
  {
    name: "another charter for the same log",
    change: (answer) => answer.type === "log" ? { ...answer, charter: { ...answer.charter, within: 700 } } : answer,
    said: /second charter/,
  },
  {
    name: "a head that the tick doesn't register",
    change: (answer) =>
      answer.type === "log_heads"
        ? {
          ...answer,
          heads: answer.heads.map((head) => ({ ...head, checkpoint: { ...head.checkpoint, root: hashOf("other") } })),
        }
        : answer,
    said: /is not what the tick registers/,
  },
  {
    name: "a head of another place",
    change: (answer) =>
      answer.type === "log_heads" ? { ...answer, heads: answer.heads.map((head) => ({ ...head, path: [] })) } : answer,
    said: /is not what the tick registers/,
  },
];

for (const { name, change, said } of lies) {
  Deno.test(`a server that shows ${name} is told of, once, and its log is named in no line any more`, async () => {
    await using world = await LogWorld.create();
    const log = await serverLog(world, 3);
    const ada = new Follower(world, log, ["#ops"]);
    await ada.log.follow();
    await grow(world, log, 3, 5);
    ada.change = change;
    await ada.log.follow();
    await ada.log.follow();
    assert.equal(ada.lies.length, 1, ada.lies.join());
    assert.match(ada.lies[0] ?? "", said);
    assert.equal(ada.log.pin, undefined);
    ada.restart();
    assert.equal(ada.log.isBroken, true);
    await log.end();
  });
}

Deno.test("a second head for one room under the right tag is found by every member who follows", async () => {
  await using world = await LogWorld.create();
  const log = await serverLog(world, 3);
  const ada = new Follower(world, log, ["#ops"]);
  await ada.log.follow();
  await grow(world, log, 3, 4);
  const [ops] = ada.rooms;
  assert(ops);
  ada.rooms = [{ ...ops, problemOf: () => Promise.resolve("it has another root for 3 lines") }];
  await ada.log.follow();
  assert.match(ada.lies[0] ?? "", /The head of #ops in tick 3 .* is of another log: it has another root/);
  await log.end();
});

Deno.test("a head that isn't shown is told of after an hour, over a restart and an error of the server", async () => {
  await using world = await LogWorld.create();
  const log = await serverLog(world, 3);
  const ada = new Follower(world, log, ["#ops"]);
  await ada.log.follow();
  await grow(world, log, 3, 4);
  ada.change = (answer) => answer.type === "log_heads" ? { ...answer, heads: [], next: null } : answer;
  await ada.log.follow();
  ada.restart();
  ada.now += 3_500 * SECOND;
  await ada.log.follow();
  assert.deepEqual(ada.lies, []);
  ada.now += 200 * SECOND;
  await ada.log.follow();
  assert.match(ada.lies[0] ?? "", /doesn't show the head of #ops that tick 3/);
  await log.end();
});

Deno.test("an answer that doesn't come is no lie: the next round goes on", async () => {
  await using world = await LogWorld.create();
  const log = await serverLog(world, 4);
  const ada = new Follower(world, log, ["#ops"]);
  await ada.log.follow();
  await grow(world, log, 4, 6);
  for (const type of ["log", "log_ticks", "log_note", "log_heads"] satisfies LogRequest["type"][]) {
    ada.change = (answer) => {
      if (answer.type === type) throw new Error("the connection broke");
      return answer;
    };
    await assert.rejects(ada.log.follow(), /broke/);
  }
  ada.change = (answer) => answer;
  await ada.log.follow();
  assert.equal(ada.log.headsOf(newRoom("#ops").origin).length, 2);
  assert.deepEqual(ada.news, []);
  await log.end();
});

Deno.test("a checkpoint that isn't registered in time is told of once, and taken back", async () => {
  await using world = await LogWorld.create();
  const log = await serverLog(world, 4);
  const ada = new Follower(world, log, ["#ops"]);
  await ada.log.follow();
  const [ops] = ada.rooms;
  assert(ops);
  const firstAfter = (size: number) => size < 5 ? NOW / SECOND + 60 : undefined;
  ada.log.lookForLate(ops, firstAfter);
  assert.deepEqual(ada.news, []);
  ada.now += 661 * SECOND;
  ada.log.lookForLate(ops, firstAfter);
  ada.log.lookForLate(ops, firstAfter);
  assert.match(
    ada.news.map(({ news, reason }) => `${news}: ${reason}`).join(),
    /^late: [^:]*doesn't register #ops within the 600 seconds[^:]*$/,
  );
  await grow(world, log, 5, 6);
  await ada.log.follow();
  ada.log.lookForLate(ops, firstAfter);
  assert.deepEqual(ada.news.map(({ news }) => news), ["late", "mended"]);
  await log.end();
});

/** The checkpoints of #ops as a member sees them: the time of the first with more lines, signed at that time or later. */
const checkpointsOf = (times: readonly number[]) => (size: number, since: number) =>
  times.find((time, at) => at + 1 > size && 1000 * time >= since);

Deno.test("what was signed before a member began to look is not told of as late", async () => {
  await using world = await LogWorld.create();
  const log = await serverLog(world, 4);
  const ada = new Follower(world, log, ["#ops"]);
  await ada.log.follow();
  const [ops] = ada.rooms;
  assert(ops);
  ada.now += 3_600 * SECOND;
  ada.log.lookForLate(ops, checkpointsOf([NOW / SECOND - 100]));
  assert.deepEqual(ada.news, []);
  await log.end();
});

Deno.test("a log that is gone is told of, and one that names the log before is followed", async () => {
  await using world = await LogWorld.create();
  const log = await serverLog(world, 4);
  const ada = new Follower(world, log, ["#ops"]);
  await ada.log.follow();
  ada.log.begin(undefined);
  ada.log.begin(undefined);
  assert.deepEqual(ada.news.map(({ reason }) => reason), ["The server shows no log any more."]);
  assert.equal(ada.log.pin, undefined, "our lines name no log that the server doesn't show");
  await log.end();
  await startLog({ ...await world.options(), key: keyOf("2") }, await world.store.log.logs());
  const next = await world.open({ key: keyOf("2") });
  await next.tick();
  await next.settled();
  const again = new Follower(world, next, ["#ops"]);
  again.records.push(...ada.records);
  again.restart();
  await again.log.follow();
  assert.equal(again.log.charter?.origin, keyOf("2").origin);
  assert.match(again.news[0]?.reason ?? "", /begun another log/);
  await next.end();
});

Deno.test("a further log that names another end of the one before is a lie", async () => {
  await using world = await LogWorld.create();
  const log = await serverLog(world, 4);
  const ada = new Follower(world, log, ["#ops"]);
  await ada.log.follow();
  await log.end();
  const earlier = (await world.store.log.logs()).map((one) => ({ ...one, root: hashOf("x") }));
  await startLog({ ...await world.options(), key: keyOf("2") }, earlier);
  const next = await world.open({ key: keyOf("2") });
  const again = new Follower(world, next, ["#ops"]);
  again.records.push(...ada.records);
  again.restart();
  await again.log.follow();
  assert.match(again.lies[0] ?? "", /another end/);
  await next.end();
});

Deno.test("a further log that doesn't name the one before is a lie", async () => {
  await using world = await LogWorld.create();
  await using other = await LogWorld.create();
  const log = await serverLog(world, 4);
  const ada = new Follower(world, log, ["#ops"]);
  await ada.log.follow();
  const next = await other.open({ key: keyOf("2") });
  const again = new Follower(other, next, ["#ops"]);
  again.records.push(...ada.records);
  again.restart();
  await again.log.follow();
  assert.match(again.lies[0] ?? "", /doesn't name the one before/);
  await next.end();
  await log.end();
});

Deno.test("of a room that a member joins later, or again, nothing is late that was registered where they didn't look", async () => {
  await using world = await LogWorld.create();
  const log = await serverLog(world, 3);
  const ada = new Follower(world, log, ["#dev"]);
  await ada.log.follow();
  const begin = ada.now / SECOND;
  await grow(world, log, 3, 8);
  ada.now += 3_600 * SECOND;
  await ada.log.follow();
  const [dev] = ada.rooms;
  const ops = { room: "#ops", origin: newRoom("#ops").origin, problemOf: () => Promise.resolve(undefined) };
  assert(dev);
  ada.rooms = [dev, ops]; // the room has 7 lines, the last signed a while ago, and is quiet
  const old = [1, 2, 3, 4, 5, 6, 7].map((at) => begin + 60 * at);
  await ada.log.follow();
  ada.log.lookForLate(ops, checkpointsOf(old));
  ada.restart();
  ada.now += 3_600 * SECOND;
  await ada.log.follow();
  ada.log.lookForLate(ops, checkpointsOf(old));
  assert.deepEqual(ada.news, []);
  // What is signed from now on has to be registered.
  const next = [...old, ada.now / SECOND];
  ada.now += 601 * SECOND;
  await ada.log.follow();
  ada.log.lookForLate(ops, checkpointsOf(next));
  assert.match(ada.news.map(({ news, reason }) => `${news}: ${reason}`).join(), /^late: .*doesn't register #ops/);
  await grow(world, log, 8, 9);
  await ada.log.follow();
  ada.log.lookForLate(ops, checkpointsOf(next));
  assert.deepEqual(ada.news.map(({ news }) => news), ["late", "mended"]);
  ada.rooms = [dev]; // ada leaves, and returns after the room has gone on
  await ada.log.follow();
  await grow(world, log, 9, 12);
  await ada.log.follow();
  ada.now += 3_600 * SECOND;
  ada.rooms = [dev, ops];
  await ada.log.follow();
  ada.log.lookForLate(ops, checkpointsOf([...next, ...[1, 2, 3].map((at) => ada.now / SECOND - 3_000 + at)]));
  assert.deepEqual(ada.news.map(({ news }) => news), ["late", "mended"]);
  await log.end();
});

Deno.test("a head that isn't shown is told of although another room, whose head wasn't shown either, was left", async () => {
  await using world = await LogWorld.create();
  const log = await serverLog(world, 3);
  const ada = new Follower(world, log, ["#dev", "#ops"]);
  await ada.log.follow();
  await grow(world, log, 3, 4);
  ada.change = (answer) => answer.type === "log_heads" ? { ...answer, heads: [], next: null } : answer;
  await ada.log.follow();
  ada.rooms = ada.rooms.filter(({ room }) => room === "#ops");
  ada.now += 3_700 * SECOND;
  await ada.log.follow();
  assert.match(ada.lies[0] ?? "", /doesn't show the head of #ops that tick 3/);
  await log.end();
});

Deno.test("a server that refuses to show the heads of one room shows those of the others, and is told of after an hour", async () => {
  await using world = await LogWorld.create();
  const log = await serverLog(world, 3);
  const ada = new Follower(world, log, ["#dev", "#ops"]);
  await ada.log.follow();
  await grow(world, log, 3, 4);
  ada.change = (answer) => {
    if (answer.type === "log_heads" && answer.room === "#dev") throw new RequestRefused("server-error", "later");
    return answer;
  };
  await ada.log.follow().catch(() => {});
  assert.deepEqual(ada.log.headsOf(newRoom("#ops").origin).map(({ size }) => size), [3]);
  ada.now += 86_400 * SECOND; // the client slept: that one answer failed is not an hour of refusals
  ada.restart();
  await ada.log.follow().catch(() => {});
  assert.deepEqual(ada.lies, []);
  ada.now += 3_700 * SECOND;
  await ada.log.follow().catch(() => {});
  assert.match(ada.lies[0] ?? "", /doesn't show the head of #dev that tick 3/);
  await log.end();
});
