import { assert } from "./assert.ts";
import type { Checkpoint } from "../lib/log_checkpoint.ts";
import type { Head } from "../lib/log_envelope.ts";
import { RoomHeads } from "../lib/room_heads.ts";
import { handClock, identities } from "./fixtures.ts";
import { MemoryRoomStore } from "./memory_room_store.ts";
import { nextTask } from "./room_world.ts";

const ORIGIN = `localhost/#ops/${"0".repeat(32)}`;
const root = (digit: number) => String(digit).repeat(64);

async function bench() {
  const { server } = await identities();
  const store = new MemoryRoomStore();
  await store.createRoom({ name: "#ops", origin: ORIGIN, history: "all", inviteOnly: false, createdAt: 0 });
  const clock = handClock();
  const waits: { readonly ms: number; readonly run: () => void }[] = [];
  const told: Checkpoint[] = [];
  const failures: unknown[] = [];
  const log: { head: Head | undefined; ends: number; latestTs: number } = {
    ...{ head: { size: 1, root: root(1) }, ends: Infinity, latestTs: 0 },
  };
  const heads = new RoomHeads({
    ...{ origin: ORIGIN, store, now: clock.now },
    signer: () => ({ key: server.key, fingerprint: server.chain[0]?.fingerprint ?? "", ends: log.ends }),
    later: (ms, run) => waits.push({ ms, run }),
    head: () => log.head,
    latestTs: () => log.latestTs,
    tell: (checkpoint) => told.push(checkpoint),
    failed: (error) => failures.push(error),
  });
  const runNext = async () => {
    waits.shift()?.run();
    await heads.settled();
    await nextTask(); // what follows from a head that is made, or not
  };
  return { heads, store, clock, waits, told, failures, log, runNext };
}

Deno.test("a head is stored before it is told, and the next comes a second later at the earliest, with all lines till then", async () => {
  const { heads, store, clock, waits, told, log, runNext } = await bench();
  const addCheckpoint = store.addCheckpoint.bind(store);
  store.addCheckpoint = async (origin, checkpoint) => {
    assert.equal(told.length, checkpoint.size === 1 ? 0 : 1);
    return await addCheckpoint(origin, checkpoint);
  };
  heads.due();
  heads.due();
  assert.equal(waits.length, 1, "one is enough");
  await runNext();
  assert.deepEqual(told.map(({ size }) => size), [1]);
  assert.equal(heads.newest?.size, 1);
  clock.advance(300);
  log.head = { size: 2, root: root(2) };
  heads.due();
  assert.equal(waits[0]?.ms, 700);
  log.head = { size: 5, root: root(5) };
  await runNext();
  assert.deepEqual(told.map(({ size }) => size), [1, 5]);
  assert.equal(await heads.rootAt(5), root(5));
  assert.equal(await heads.rootAt(2), undefined);
  assert.equal(await heads.rootAt(0), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
});

Deno.test("lines that come while a head is being made are covered by another, and none is made twice", async () => {
  const { heads, store, waits, told, log, runNext } = await bench();
  const addCheckpoint = store.addCheckpoint.bind(store);
  store.addCheckpoint = async (origin, checkpoint) => {
    log.head = { size: 2, root: root(2) };
    return await addCheckpoint(origin, checkpoint);
  };
  heads.due();
  await runNext();
  await runNext();
  assert.deepEqual(told.map(({ size }) => size), [1, 2]);
  assert.equal(waits.length, 0);
  await heads.make();
  assert.equal(told.length, 2);
});

Deno.test("of a log without lines no head is due for long", async () => {
  const { heads, waits, told, log, runNext } = await bench();
  log.head = { size: 0, root: root(0) };
  heads.due(); // the first line was placed, and the store did not take it
  await runNext();
  assert.deepEqual([told.length, waits.length, heads.isDue], [0, 0, false]);
});

Deno.test("who comes finds a head of all lines, unless there was one in the last second: then it is there in time", async () => {
  const { heads, clock, waits, told, log, runNext } = await bench();
  clock.advance(999); // times in heads are whole seconds
  await heads.refresh();
  assert.deepEqual(told.map(({ size }) => size), [1]);
  await heads.refresh();
  assert.equal(waits.length, 0, "all lines are covered");
  clock.advance(100);
  log.head = { size: 2, root: root(2) };
  await heads.refresh();
  await heads.refresh();
  assert.deepEqual([told.length, waits.map(({ ms }) => ms)], [1, [900]]);
  clock.advance(900);
  await runNext();
  log.head = { size: 3, root: root(3) };
  clock.advance(1_000);
  await heads.refresh();
  assert.deepEqual(told.map(({ size }) => size), [1, 2, 3]);
});

Deno.test("times of heads don't go back where the clock does, nor after a restart", async () => {
  const { heads, clock, told, log } = await bench();
  await heads.make();
  clock.advance(-10_000);
  log.head = { size: 2, root: root(2) };
  await heads.make();
  assert.equal(told[1]?.time, told[0]?.time);
  const other = await bench();
  other.heads.restore(told[1]);
  other.clock.advance(-60_000);
  other.log.head = { size: 3, root: root(3) };
  await other.heads.make();
  assert.equal(other.told[0]?.time, told[1]?.time);
});

Deno.test("a head that can't be stored is told to nobody, and tried again; of a log that is not the one it was none is made", async () => {
  const { heads, store, waits, told, failures, log, runNext } = await bench();
  const addCheckpoint = store.addCheckpoint.bind(store);
  store.addCheckpoint = () => Promise.reject(new Error("full"));
  heads.due();
  await runNext();
  assert.deepEqual([told.length, failures.length, waits.length], [0, 1, 1]);
  store.addCheckpoint = addCheckpoint;
  await runNext();
  await runNext();
  assert.equal(told.length, 1);
  log.head = undefined;
  heads.due();
  await heads.make();
  assert.deepEqual([told.length, waits.length], [1, 0]);
});

Deno.test("where the store's answer is lost, what the store holds is told, and no later head is of an earlier time", async () => {
  const { heads, store, clock, waits, told, failures, log, runNext } = await bench();
  const addCheckpoint = store.addCheckpoint.bind(store);
  store.addCheckpoint = async (origin, checkpoint) => {
    await addCheckpoint(origin, checkpoint);
    throw new Error("the answer is lost");
  };
  heads.due();
  await runNext();
  const held = await store.latestCheckpoint(ORIGIN);
  assert.deepEqual([told.length, failures.length, held?.size], [0, 1, 1]);
  store.addCheckpoint = addCheckpoint;
  clock.advance(5_000);
  await runNext();
  await runNext();
  assert.deepEqual(told, [held], "and not the same head with another time");
  assert.equal(heads.newest, told[0]);

  store.addCheckpoint = async (origin, checkpoint) => {
    await addCheckpoint(origin, checkpoint);
    throw new Error("the answer is lost");
  };
  log.head = { size: 2, root: root(2) };
  clock.advance(5_000);
  heads.due();
  await runNext();
  const second = await store.latestCheckpoint(ORIGIN);
  store.addCheckpoint = addCheckpoint;
  log.head = { size: 3, root: root(3) };
  clock.advance(-60_000);
  for (let i = 0; i < waits.length + 2; i++) await runNext();
  assert.deepEqual(told.slice(1).map(({ size, time }) => [size, time]), [[2, second?.time], [3, second?.time]]);
});

Deno.test("when the server's certificate has ended no head is made, which is told once, and with the next one they go on", async () => {
  const { heads, clock, waits, told, failures, log, runNext } = await bench();
  log.ends = clock.now() + 1000;
  clock.advance(999);
  await heads.make();
  assert.equal(told.length, 1, "in its last second it is good");
  clock.advance(1);
  log.head = { size: 2, root: root(2) };
  await assert.rejects(heads.make(), /certificate is no longer good/);
  heads.due();
  for (let i = 0; i < 4; i++) await runNext();
  assert.deepEqual([told.length, failures.length, waits.length], [1, 1, 1]);
  log.ends = Infinity;
  await runNext();
  await runNext();
  assert.deepEqual(told.map(({ size }) => size), [1, 2]);
});

Deno.test("no head contradicts the own time of a line, where the clock was set back after the line was taken", async () => {
  const { heads, clock, waits, told, failures, log, runNext } = await bench();
  log.latestTs = clock.now() + 300_000; // as late as a line may be
  clock.advance(-30_000);
  await heads.refresh();
  await runNext();
  assert.deepEqual([told.length, failures.length, waits.length], [0, 1, 1]);
  await assert.rejects(heads.make(), /clock is more than 5 minutes behind/);
  clock.advance(30_000);
  for (let i = 0; i < 3; i++) await runNext();
  assert.deepEqual(told.map(({ size, time }) => [size, time]), [[1, Math.floor(clock.now() / 1000)]]);
  assert.equal(failures.length, 1);
});
