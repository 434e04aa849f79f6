import { assert } from "./assert.ts";
import { NOW } from "./fixtures.ts";
import { hashOf, keyOf, LogWorld, registered, SECOND } from "./server_log_world.ts";
import { encodeBase64, encodeHex, parseUtf8 } from "../lib/bytes.ts";
import { encodeNote, encodeSignatureLine, type NoteSignature } from "../lib/log_note.ts";
import { cosign, signNote } from "../lib/log_note_key.ts";
import { logSigner, witnessSigner } from "./note_fixtures.ts";
import { charterHash } from "../lib/log_charter.ts";
import { headHash, placeOfTag, tagOf } from "../lib/log_tick.ts";
import { EMPTY_ROOT, leafHash } from "../lib/log_tree.ts";
import { ServerLog, startLog, WrongLogKey } from "../lib/server_log.ts";

const noteText = (text: string, signatures: readonly NoteSignature[]) =>
  parseUtf8(encodeNote({ text, signatures })) ?? "";

Deno.test("no tick is made before the log has begun: its witnesses are asked first whether the database is the newest", async () => {
  await using world = await LogWorld.create();
  const log = await ServerLog.open(await world.options());
  log.registers(...registered(await world.room("#ops")));
  log.due();
  world.pass(86_400);
  await log.settled();
  assert.deepEqual([log.state.size, world.timers], [0, []]);
  log.begin();
  world.pass(0);
  await log.settled();
  assert.equal(log.state.size, 1);
});

Deno.test("the first tick names the charter, and its note is signed, written, closed with cosignatures, and named", async () => {
  await using world = await LogWorld.create();
  const log = await world.open();
  assert.equal(log.origin, keyOf("1").origin);
  await log.tick();
  await log.settled();
  const root = encodeBase64(leafHash((await world.ticks())[0]?.leaf ?? EMPTY_ROOT));
  const text = `${keyOf("1").origin}\n1\n${root}\n`;
  assert.deepEqual((await world.ticks()).map(({ tick }) => tick), [{ charter: charterHash(log.state.charter) }]);
  assert.equal(world.kept?.size, 1);
  assert.deepEqual(world.closed.map(({ note }) => parseUtf8(note)), [`${text}\n— 1\n— witness\n`]);
  log.registers(...registered(await world.room("#ops")));
  await log.tick();
  assert.equal((await world.ticks())[1]?.tick.note, world.closed[0]?.hash);
  await log.end();
});

Deno.test("a tick registers each room's newest checkpoint once, under a tag that only the room's origin gives", async () => {
  await using world = await LogWorld.create();
  const log = await world.open();
  await log.tick();
  log.registers(...registered(await world.room("#ops", 3)));
  const newest = await world.room("#ops", 5);
  log.registers(...registered(newest));
  const other = await world.room("#dev", 2);
  log.registers(...registered(other));
  await log.tick();
  const [, second] = await world.ticks();
  assert.equal(second?.tick.heads?.count, 2);
  for (const head of [newest, other]) {
    const place = placeOfTag(second.tags, tagOf(head.origin, 1));
    assert(place !== undefined);
    assert.deepEqual((await world.store.log.headHashes(1, 1))[place], headHash(head));
  }
  await log.tick();
  assert.equal((await world.ticks()).length, 2, "there is nothing new to register");
  await log.end();
});

Deno.test("ticks come at most every LOG_SECONDS, and the first one that is due at once", async () => {
  await using world = await LogWorld.create();
  const log = await world.open();
  log.registers(...registered(await world.room("#ops")));
  assert.deepEqual(world.timers, [0]);
  world.pass(0);
  await log.tick();
  assert.equal((await world.ticks()).length, 1);
  log.registers(...registered(await world.room("#ops", 2)));
  log.registers(...registered(await world.room("#dev", 2)));
  world.pass(59);
  await log.settled();
  assert.equal((await world.ticks()).length, 1);
  world.pass(2);
  await log.settled();
  assert.equal((await world.ticks()).length, 2);
  await log.end();
});

Deno.test("without news a tick is made for those who are there, every STAMP_SECONDS, and for nobody else", async () => {
  await using world = await LogWorld.create();
  const log = await world.open();
  await log.tick();
  world.now += 601 * SECOND;
  await log.tick();
  assert.equal((await world.ticks()).length, 1);
  world.isAttended = true;
  await log.tick();
  assert.equal((await world.ticks()).length, 2);
  world.now += 599 * SECOND;
  await log.tick();
  assert.equal((await world.ticks()).length, 2);
  await log.end();
});

Deno.test("what no tick registers at the start is read from the store, and after another node has ticked", async () => {
  await using world = await LogWorld.create();
  await world.room("#ops", 3);
  const [one, other] = [await world.open(), await world.open()];
  await one.tick();
  assert.equal((await world.ticks())[0]?.tick.heads?.count, 1);
  await world.room("#dev", 3);
  await other.tick();
  assert.equal((await world.ticks())[1]?.tick.heads?.count, 1, "the other node reads the row first");
  one.registers(...registered(await world.room("#new", 3)));
  await one.tick(); // loses: it thinks that the log has one tick
  await one.tick();
  assert.equal((await world.ticks()).length, 3);
  assert.equal(one.state.root, (await world.store.log.logs())[0]?.root);
  await one.end();
  await other.end();
});

Deno.test("rows of the audit log are registered with a tick, and each has its leaf", async () => {
  await using world = await LogWorld.create();
  const log = await world.open();
  await world.store.addAudit([{ event: "stale", occurredAt: NOW }, { event: "replay", occurredAt: NOW }]);
  await log.tick();
  assert((await world.ticks())[0]?.tick.audit);
  assert.equal((await world.store.log.auditFrom(0, 9)).length, 2);
  await log.tick();
  assert.equal((await world.ticks()).length, 1);
  await world.store.addAudit([{ event: "stale", occurredAt: NOW }]);
  await log.tick();
  assert.notEqual((await world.ticks())[1]?.tick.audit, (await world.ticks())[0]?.tick.audit);
  await log.end();
});

Deno.test("a crash after the transaction loses no note: the next start signs and closes the same", async () => {
  await using world = await LogWorld.create();
  const crash = { keepNewest: () => Promise.reject(new Error("killed")) };
  const killed = await world.open(crash);
  await assert.rejects(killed.tick(), /killed/);
  const log = await world.open();
  await log.closeNewest();
  assert.deepEqual(world.closed.map(({ size }) => size), [1]);
  await log.closeNewest();
  assert.equal(world.closed.length, 1);
  await log.end();
});

Deno.test("a database of yesterday is behind the note that this node wrote: no tick, no note, no log is shown", async () => {
  await using world = await LogWorld.create();
  const log = await world.open();
  await log.tick();
  world.kept = { origin: log.state.origin, size: 2, root: hashOf("x") };
  const restored = await world.open();
  assert.equal(restored.origin, undefined);
  assert.deepEqual(world.faults.map(([fault]) => fault), ["log_behind"]);
  restored.registers(...registered(await world.room("#ops")));
  await restored.tick();
  assert.equal((await world.ticks()).length, 1);
  world.kept = { origin: log.state.origin, size: 1, root: hashOf("x") };
  assert.equal((await world.open()).fault, "log_fork");
  await log.end();
});

Deno.test("a member's newer note that the log signed shows that the log is behind", async () => {
  await using world = await LogWorld.create();
  const log = await world.open();
  await log.tick();
  await log.compare({ origin: keyOf("2").origin, size: 9, root: hashOf("x") });
  await log.compare(log.state);
  assert.equal(log.fault, undefined);
  await log.compare({ origin: log.state.origin, size: 2, root: hashOf("x") });
  assert.equal(log.fault, "log_behind");
  const named = { id: "1".repeat(32), size: 2, root: hashOf("x") };
  assert.equal(await log.problemOf(named), undefined, "a log that is behind doesn't know what it has signed");
  await log.end();
});

Deno.test("the log that a line names is held against this log and the earlier ones", async () => {
  await using world = await LogWorld.create();
  const log = await world.open();
  await log.tick();
  const id = "1".repeat(32);
  assert.equal(await log.problemOf({ id, size: 1, root: log.state.root }), undefined);
  assert.equal(await log.problemOf({ id, size: 0, root: encodeHex(EMPTY_ROOT) }), undefined);
  assert.match(await log.problemOf({ id, size: 1, root: hashOf("x") }) ?? "", /another root/);
  assert.match(await log.problemOf({ id, size: 2, root: log.state.root }) ?? "", /longer/);
  assert.match(await log.problemOf({ id: "3".repeat(32), size: 1, root: log.state.root }) ?? "", /none of this/);
  await log.end();
  await startLog({ ...await world.options(), key: keyOf("2") }, await world.store.log.logs());
  const next = await world.open({ key: keyOf("2") });
  assert.equal(await next.problemOf({ id, size: 1, root: log.state.root }), undefined);
  const was = [{ origin: log.state.origin, root: log.state.root, size: 1 }];
  assert.deepEqual(next.state.charter["was"], was);
  await next.end();
});

Deno.test("another key than the database knows opens no log", async () => {
  await using world = await LogWorld.create();
  await (await world.open()).end();
  await assert.rejects(world.open({ key: keyOf("2") }), (error) => error instanceof WrongLogKey);
});

Deno.test("a tick that fails is told once, and tried again", async () => {
  await using world = await LogWorld.create();
  let isBroken = true;
  const { store: { log: store } } = world;
  const failing = new Proxy(store, {
    get(target, name: keyof typeof store) {
      if (name === "appendTick" && isBroken) return () => Promise.reject(new Error("the disk is full"));
      return target[name].bind(target);
    },
  });
  const log = await world.open({ store: failing });
  log.due();
  for (let i = 0; i < 4; i++) {
    world.pass(60);
    await log.settled();
  }
  assert.equal(world.failures.splice(0).length, 1);
  isBroken = false;
  world.pass(60);
  await log.settled();
  assert.equal((await world.ticks()).length, 1);
  await log.end();
});

Deno.test("no checkpoint states an earlier time than the cosignatures in a note that a tick names", async () => {
  await using world = await LogWorld.create();
  const witness = await witnessSigner();
  const [past, later] = [NOW / 1000 - 500, NOW / 1000 + 200];
  const times = [past, later, past, past];
  const changes = {
    key: { ...keyOf("1"), sign: async (text: string) => noteText(text, [await signNote(text, await logSigner())]) },
    cosign: async ({ note }: { note: string }) => {
      const [text = ""] = note.split("\n\n");
      return `${note}${encodeSignatureLine(await cosign(`${text}\n`, times.shift() ?? past, witness))}`;
    },
  };
  const log = await world.open(changes);
  const floors: number[] = [];
  for (let tick = 0; tick < 4; tick++) {
    if (tick > 0) log.registers(...registered(await world.room("#ops", tick)));
    await log.tick();
    await log.settled();
    floors.push(log.timeFloor);
  }
  assert.deepEqual(floors, [0, past, later, later]);
  assert.equal((await world.open(changes)).timeFloor, past, "a start knows the newest note's");
});

Deno.test("a note that can't be written to the disk is shown to nobody, and written and closed once it can be", async () => {
  await using world = await LogWorld.create();
  let isFull = true;
  const written: string[] = [];
  const log = await world.open({
    keepNewest: (note) =>
      isFull ? Promise.reject(new Error("the disk is full")) : Promise.resolve(void written.push(note)),
  });
  await assert.rejects(log.tick(), /disk is full/);
  await log.settled();
  assert.deepEqual([log.state.size, world.closed.length, written.length], [1, 0, 0]);
  isFull = false;
  await log.tick();
  await log.settled();
  assert.deepEqual([log.state.size, world.closed.map(({ size }) => size), written.length], [1, [1], 1]);
});

Deno.test("a note that is shown while a tick is made accuses nobody: the log is read before the tick, or after it", async () => {
  await using world = await LogWorld.create();
  const options = await world.options();
  const asked = Promise.withResolvers<void>();
  const held = Promise.withResolvers<void>();
  let isHeld = false;
  const logs = async () => {
    const rows = await options.store.logs();
    if (isHeld) {
      asked.resolve();
      await held.promise; // a database that is slow to answer
    }
    return rows;
  };
  const log = await ServerLog.open({
    ...options,
    store: new Proxy(options.store, {
      get: (store, name) => {
        const value = Reflect.get(store, name);
        return name === "logs" ? logs : typeof value === "function" ? value.bind(store) : value;
      },
    }),
  });
  await log.tick();
  isHeld = true;
  // Somebody shows a note that is one tick ahead: the row is read again, and the tick comes meanwhile.
  const compared = log.compare({ origin: log.state.origin, size: 2, root: hashOf("a tick to come") });
  await asked.promise;
  log.registers(...registered(await world.room("#ops")));
  const ticked = log.tick();
  await Promise.race([ticked, new Promise((resolve) => setTimeout(resolve, 200))]);
  isHeld = false;
  held.resolve();
  await Promise.all([compared, ticked]);
  await log.settled();
  // The note was false: it is that which is told, and not that the database has lost ticks.
  assert.deepEqual(world.faults.map(([, reason]) => reason), ["a note of 2 ticks was signed; there are fewer"]);
});

Deno.test("a newest note that was left open, since the database was away, is closed when there is nothing else to do", async () => {
  await using world = await LogWorld.create();
  let isAway = true;
  const log = await world.open({
    cosign: ({ note }) => isAway ? Promise.reject(new Error("the database is away")) : Promise.resolve(note),
    failed: () => {},
  });
  await log.tick();
  await log.settled();
  assert.equal(world.closed.length, 0);
  isAway = false;
  world.pass(29);
  await log.tick();
  await log.settled();
  assert.equal(world.closed.length, 0, "it may be under way elsewhere for half a minute");
  world.pass(1);
  await log.tick();
  await log.tick();
  await log.settled();
  assert.deepEqual([log.state.size, world.closed.map(({ size }) => size)], [1, [1]]);
});

Deno.test("a line that names a tick which another server on the database has made is none that lies", async () => {
  await using world = await LogWorld.create();
  const [one, other] = [await world.open(), await world.open()];
  await one.tick();
  await one.settled();
  const { origin, size, root } = one.state;
  const pin = { id: origin.slice(-32), size, root };
  assert.equal(await other.problemOf(pin), undefined);
  assert.match(await other.problemOf({ ...pin, size: 2 }) ?? "", /longer than this server's/);
  assert.match(await other.problemOf({ ...pin, root: hashOf("another") }) ?? "", /another root/);
  await other.tick(); // nothing to do but to see what was closed
  await other.settled();
  assert.equal(other.newestClosed?.size, 1);
});

Deno.test("a server makes no tick of its log once another log has begun in the database, and says so", async () => {
  await using world = await LogWorld.create();
  const log = await world.open();
  await log.tick();
  await log.settled();
  await startLog({ ...await world.options(), key: keyOf("2") }, await world.store.log.logs());
  await world.store.addAudit([{ event: "login_failure", occurredAt: world.now }]);
  await log.tick();
  await log.tick();
  const [newer, older] = await world.store.log.logs();
  assert.deepEqual([newer?.size, older?.size], [0, 1]);
  assert.equal(log.origin, undefined);
  assert.match(world.faults[0]?.[1] ?? "", /^another log has begun in the database/);
  await log.end();
});
