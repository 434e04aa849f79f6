import { assert } from "./assert.ts";
import { fixedClock } from "./fixtures.ts";
import { Person } from "./people.ts";
import { bench, heldCommits, nextTask, presence, room } from "./room_world.ts";

Deno.test("a room that can't be read is out of service, which the operator is told, and the others are not", async () => {
  const { hub, store, settle, alarms, ada, bob } = await room();
  await ada.ask(hub, { type: "create", room: "#dev", mode: "recorded", history: "all", inviteOnly: false });
  await settle();
  const other = await bench(fixedClock, store);
  const { epochs } = store;
  store.epochs = (origin, ...range) => {
    if (origin.includes("#ops")) throw new Error("the key can't be unwrapped");
    return epochs.call(store, origin, ...range);
  };
  assert.equal(await bob.ask(other.hub, { type: "join", room: "#ops" }), "server-error");
  assert.match(other.alarms.join(), /the room can't be read: the key can't be unwrapped/);
  assert.equal(await bob.ask(other.hub, { type: "rooms", from: "" }), undefined);
  const listed = bob.heard.at(-1);
  assert.deepEqual(listed?.type === "rooms" && listed.rooms.map(({ room }) => room), ["#dev"]);
  assert.deepEqual(alarms, []);
});

Deno.test("a log that the operator has closed is let go of at the next look, and its name is free for another", async () => {
  const { hub, store, settle, later, ada, bob } = await room();
  await ada.enter(hub, "@ada,@bob");
  await ada.say(hub, "#ops", "the last line");
  await hub.settled();
  const origin = ada.rooms.get("#ops")?.origin ?? "";
  const direct = ada.rooms.get("@ada,@bob")?.origin ?? "";
  for (const one of [origin, direct]) await store.closeLog(one, 1);
  const late = await bob.write("#ops", { kind: "text", text: "too late" });
  assert.equal(await bob.ask(hub, { type: "post", ...late }, 7), undefined);
  await hub.settled();
  assert.deepEqual(bob.heard.at(-1), { type: "error", code: "server-error", id: 7 }, "before anybody has looked");
  assert.deepEqual((await hub.dropClosed()).toSorted(), [direct, origin].toSorted());
  assert.deepEqual(await hub.dropClosed(), []);
  const told = bob.heard.at(-1);
  assert.ok(told?.type === "closed" && told.room === "#ops" && /operator has closed/.test(told.reason));
  assert.equal((await store.latestCheckpoint(origin))?.size, 3, "every line got its head");
  assert.equal(await bob.ask(hub, { type: "post", ...late }), "no-room");
  assert.equal(await bob.ask(hub, { type: "join", room: "#ops" }), "no-room");
  for (const type of ["history", "keys"] as const) {
    assert.equal(
      await ada.ask(hub, { type, room: "@ada,@bob", from: 0, count: 1 }),
      "no-room",
      "reading makes nothing",
    );
  }
  await settle();
  assert.deepEqual(later, [], "nothing of the old log is tried again");

  assert.equal(await ada.enter(hub, "@ada,@bob"), undefined);
  const policy = { mode: "recorded", history: "all", inviteOnly: false } as const;
  assert.equal(await bob.ask(hub, { type: "create", room: "#ops", ...policy }), undefined);
  assert.equal(await bob.say(hub, "#ops", { kind: "join", username: "bob" }), undefined);
  await settle();
  assert.notEqual(bob.rooms.get("#ops")?.origin, origin);
  assert.notEqual(ada.rooms.get("@ada,@bob")?.origin, direct);
  assert.equal((await store.findRoom("#ops"))?.size, 1);
  assert.equal(store.log(origin).lines.length, 3);
});

Deno.test("a room in which nobody is, with nothing to be stored, is let go of and read again", async () => {
  const { hub, store, settle, ada, bob } = await room();
  const [eve, findRoom] = [await Person.create("eve"), store.findRoom.bind(store)];
  let reads = 0;
  store.findRoom = (name) => {
    reads += 1;
    return findRoom(name);
  };
  /** Whether the room was let go of, when it was time to. */
  const isRead = async () => {
    await nextTask(); // as a timer does it
    hub.dropIdle();
    const before = reads;
    assert.equal(await eve.ask(hub, { type: "history", room: "#ops", from: 0, count: 1 }), "not-member");
    return reads > before;
  };
  hub.leave(bob);
  assert.equal(await isRead(), false, "ada is there");
  assert.equal(await ada.say(hub, "#ops", "the last words"), undefined);
  hub.leave(ada);
  await hub.settled();
  assert.equal(await isRead(), false, "its head is still to be made");
  await settle();
  assert.equal(await isRead(), true);

  assert.equal(await bob.ask(hub, { type: "join", room: "#ops" }), undefined);
  const held = heldCommits(store);
  assert.equal(await bob.say(hub, "#ops", { kind: "part" }), undefined);
  await held.reached;
  hub.leave(bob);
  assert.equal(await isRead(), false, "his line and the key after it are still to be stored");
  held.release();
  await settle();
  await settle();
  assert.equal(await isRead(), true);
  assert.equal(await ada.ask(hub, { type: "join", room: "#ops" }), undefined);
  assert.equal(await ada.say(hub, "#ops", "hello?"), undefined);
  await settle();
  assert.deepEqual([ada.posted("#ops").at(-1), presence(ada).at(-1)], [4, "ada online"]);
});
