import type { Statement } from "../lib/log_envelope.ts";
import { assert } from "./assert.ts";
import { fixedClock } from "./fixtures.ts";
import { Person } from "./people.ts";
import { bench, room, together } from "./room_world.ts";

Deno.test("what a server has in memory of a room follows from its store", async () => {
  const { hub, store, settle, ada, bob } = await room();
  await ada.say(hub, "#ops", { kind: "role", username: "bob", role: "moderator" });
  await ada.say(hub, "#ops", { kind: "topic", text: "incidents" });
  await ada.say(hub, "#ops", { kind: "mute", username: "bob" });
  await settle();
  const restarted = await bench(fixedClock, store);
  const again = await Person.create("bob");
  assert.equal(await again.ask(restarted.hub, { type: "join", room: "#ops" }), undefined);
  const joined = again.heard.find((frame) => frame.type === "joined");
  assert.ok(joined?.type === "joined" && joined.topic === "incidents" && joined.count === 5 && joined.nextSeqno === 1);
  assert.equal(await again.say(restarted.hub, "#ops", "hello"), "muted");
  void bob;
});

Deno.test("what follows from a line is so for the next server, though this one ended before it could tell anybody", async () => {
  const { hub, store, settle, ada, bob } = await room();
  assert.equal(await ada.say(hub, "#ops", "regretted"), undefined);
  await settle();
  const append = store.appendLines.bind(store);
  const stored = Promise.withResolvers<void>();
  store.appendLines = async (...all) => {
    await append(...all);
    stored.resolve();
    await new Promise(() => {}); // the program is killed
  };
  const acts: Statement[] = [
    { kind: "ban", username: "bob" },
    { kind: "invite", username: "eve" },
    { kind: "redact", index: 2 },
  ];
  await together(hub, acts.map((act) => [ada, act]));
  await stored.promise;

  store.appendLines = append;
  const next = await bench(fixedClock, store);
  const again = await Person.create("ada");
  assert.equal(await again.ask(next.hub, { type: "join", room: "#ops" }), undefined);
  assert.deepEqual([bob, again].map((one) => one.rooms.get("#ops")?.epoch), [1, 2]);
  const origin = ada.rooms.get("#ops")?.origin ?? "";
  assert.deepEqual(store.log(origin).lines.map(({ body }) => body === null), [false, false, true, false, false, false]);
  const eve = await Person.create("eve");
  await next.settle();
  await next.hub.attend(eve);
  assert.deepEqual(eve.heard, [{ type: "invited", room: "#ops", from: "ada" }]);
});

Deno.test("a room with many lines is read from the state that was stored with one of them, and is the same", async () => {
  const { hub, store, settle, ada, bob } = await room({ history: "since_join" });
  await ada.say(hub, "#ops", { kind: "mute", username: "bob" });
  await settle();
  for (let lines = 0; lines < 1_000; lines++) {
    if (lines % 50 === 0) await settle();
    assert.equal(
      await ada.say(hub, "#ops", lines % 100 === 7 ? { kind: "topic", text: `${lines}` } : "hello"),
      undefined,
    );
  }
  await settle();
  await settle();
  const log = store.log(ada.rooms.get("#ops")?.origin ?? "");
  assert.equal(log.state?.index, 1_000);

  const heard = async (readsAll: boolean) => {
    const asked: number[] = [];
    const actLines = store.actLines.bind(store);
    store.actLines = (origin, from, count) => (asked.push(from), actLines(origin, from, count));
    const next = await bench(fixedClock, store);
    const [again, muted] = [await Person.create("ada"), await Person.create("bob")];
    for (const one of [again, muted]) assert.equal(await one.ask(next.hub, { type: "join", room: "#ops" }), undefined);
    assert.equal(await muted.say(next.hub, "#ops", "psst"), "muted");
    assert.equal(await again.ask(next.hub, { type: "members", room: "#ops", from: 0 }), undefined);
    store.actLines = actLines;
    assert.equal(asked.length > 0, readsAll);
    return [again.heard, muted.heard, again.rooms.get("#ops")?.seqno, muted.rooms.get("#ops")?.seqno];
  };
  const fromState = await heard(false);
  const { state } = log;
  delete log.state;
  assert.deepEqual(fromState, await heard(true));
  assert.ok(state);
  log.state = { ...state, state: new Uint8Array(9) };
  assert.deepEqual(fromState, await heard(true), "a state that can't be read is none");
  log.state = { ...state, index: log.lines.length + 1 };
  assert.deepEqual(fromState, await heard(true), "acts that no head covers are read one by one");
  void bob;
});

Deno.test("a room with many acts is read in pieces, and others have their turns in between", async () => {
  const made = await bench();
  const ada = await Person.create("ada");
  await ada.ask(made.hub, { type: "create", room: "#ops", mode: "recorded", history: "all", inviteOnly: false });
  assert.equal(await ada.say(made.hub, "#ops", { kind: "join", username: "ada" }), undefined);
  await made.settle();
  for (let i = 0; i < 450; i++) {
    assert.equal(await ada.say(made.hub, "#ops", { kind: "topic", text: `${i}` }), undefined);
  }
  await made.settle();
  let [turns, pieces] = [0, 0];
  const { store } = made;
  const actLines = store.actLines.bind(store);
  store.actLines = (origin, from, count) => {
    pieces += 1;
    return actLines(origin, from, count);
  };
  const again = await bench(fixedClock, store, new Set(), () => {
    turns += 1;
    return Promise.resolve();
  });
  assert.equal(await ada.ask(again.hub, { type: "join", room: "#ops" }), undefined);
  assert.deepEqual([pieces, turns], [3, 2]);
  const joined = ada.heard.findLast((frame) => frame.type === "joined");
  assert.equal(joined?.type === "joined" && joined.topic, "449");
});
