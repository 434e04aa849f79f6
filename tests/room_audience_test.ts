import { PRESENCE_MEMBERS } from "../lib/log_frames.ts";
import { assert } from "./assert.ts";
import { Person } from "./people.ts";
import { presence, room } from "./room_world.ts";

Deno.test("who has not joined gets no line and posts none", async () => {
  const { hub, settle, ada } = await room();
  const eve = await Person.create("eve");
  assert.equal(await eve.ask(hub, { type: "history", room: "#ops", from: 0, count: 9 }), "not-member");
  assert.equal(await eve.ask(hub, { type: "join", room: "#ops" }), undefined);
  assert.equal(await eve.say(hub, "#ops", "hello"), "not-member");
  await ada.say(hub, "#ops", "a secret");
  await settle();
  assert.deepEqual(eve.posted("#ops"), []);
  assert.equal(await eve.ask(hub, { type: "history", room: "#ops", from: 0, count: 9 }), "not-member");
  assert.equal(await eve.say(hub, "#ops", { kind: "join", username: "ada" }), "forbidden");
});

Deno.test("who is put out is told of it and of nothing after it, and what follows is under a new key", async () => {
  const { hub, settle, ada, bob } = await room();
  const [before] = [bob.rooms.get("#ops")?.epoch];
  await ada.say(hub, "#ops", { kind: "kick", username: "bob" });
  await ada.say(hub, "#ops", "between us");
  await settle();
  await ada.say(hub, "#ops", "under the new key");
  await settle();
  assert.equal(bob.posted("#ops").at(-1), 2, "the kick itself");
  assert.equal(bob.rooms.get("#ops")?.epoch, before);
  assert.equal(ada.rooms.get("#ops")?.epoch, (before ?? 0) + 1);
  assert.deepEqual(ada.posted("#ops"), [0, 1, 2, 3, 4]);
});

Deno.test("a newer session of a certificate closes the older in the room", async () => {
  const { hub, settle, ada, bob } = await room();
  const twin = await Person.create("ada");
  assert.equal(await twin.ask(hub, { type: "join", room: "#ops" }), undefined);
  assert.equal(ada.ended, "unexpected");
  assert.equal(await ada.say(hub, "#ops", "x"), "not-member");
  hub.leave(ada);
  assert.deepEqual(presence(bob), ["bob online"], "ada is here all the time");
  await settle();
  hub.leave(twin);
  assert.equal(presence(bob).at(-1), "ada offline");
});

Deno.test("who comes and goes is told by account, once for each change, and not to who is not in the room", async () => {
  const { hub, settle, ada, bob } = await room();
  assert.deepEqual(presence(ada), ["ada online", "bob online"]);
  const phone = await Person.create("bob", "phone");
  await phone.enter(hub, "#ops");
  await settle();
  await settle();
  hub.leave(bob);
  assert.deepEqual(presence(ada).slice(2), [], "one of bob's two sessions is still here");
  hub.leave(phone);
  assert.deepEqual(presence(ada).slice(2), ["bob offline"]);
  const eve = await Person.create("eve");
  await eve.ask(hub, { type: "join", room: "#ops" });
  hub.leave(eve);
  assert.deepEqual(presence(ada).slice(3), [], "who has not joined is no member");
  assert.deepEqual(presence(eve), []);
});

Deno.test("an account is away where all of its sessions are, and rooms that it comes into later know it", async () => {
  const { hub, settle, ada, bob } = await room();
  const phone = await Person.create("bob", "phone");
  await phone.enter(hub, "#ops");
  await settle();
  const say = async (person: Person, state: "away" | "online") => {
    assert.equal(await person.ask(hub, { type: "presence", state }, 7), undefined);
    assert.deepEqual(person.heard.at(-1), { type: "done" });
  };
  await say(bob, "away");
  assert.deepEqual(presence(ada).slice(2), []);
  await say(phone, "away");
  await say(phone, "away");
  assert.deepEqual(presence(ada).slice(2), ["bob away"]);
  await bob.ask(hub, { type: "members", room: "#ops", from: 0 });
  const listed = bob.heard.at(-1);
  assert.deepEqual(listed?.type === "members" && listed.members, [
    { username: "ada", role: "owner", online: true, state: "online" },
    { username: "bob", role: "member", online: true, state: "away" },
  ]);
  for (let flips = 0; flips < 100; flips++) await say(bob, flips % 2 === 0 ? "online" : "away");
  assert.deepEqual(presence(ada).slice(3), [], "it was told a moment ago");
  await settle();
  assert.deepEqual(presence(ada).slice(3), [], "what it was is what it is");
  await say(bob, "online");
  await say(bob, "away");
  await say(bob, "online");
  await settle();
  assert.deepEqual(presence(ada).slice(3), ["bob online"], "one state a second");
  await say(bob, "away");
  hub.leave(bob);
  hub.leave(phone);
  await settle();
  assert.equal(presence(ada).at(-1), "bob offline");

  await ada.enter(hub, "@ada,@bob");
  await settle();
  await say(bob, "away");
  await bob.ask(hub, { type: "join", room: "#ops" });
  await bob.enter(hub, "@ada,@bob");
  await settle();
  assert.deepEqual([presence(ada).at(-1), presence(ada, "@ada,@bob").at(-1)], ["bob away", "bob away"]);
});

Deno.test("a room that is being read keeps nobody waiting who isn't in it", async () => {
  const { hub, store, settle, ada, bob } = await room();
  const findRoom = store.findRoom.bind(store);
  const held = Promise.withResolvers<void>();
  store.findRoom = (name) => held.promise.then(() => findRoom(name));
  const joining = bob.ask(hub, { type: "join", room: "#other" });
  const away = ada.ask(hub, { type: "presence", state: "away" });
  assert.equal(await away, undefined, "while the other room is still being read");
  hub.leave(ada);
  assert.equal(presence(bob).at(-1), "ada away");
  held.resolve();
  assert.equal(await joining, "no-room");
  await settle();
  assert.equal(presence(bob).at(-1), "ada offline");
});

Deno.test("who is put out is told of no more, and is told of again with the next join", async () => {
  const { hub, settle, ada, bob } = await room();
  const listed = async () => {
    await ada.ask(hub, { type: "rooms", from: "" });
    const page = ada.heard.at(-1);
    return page?.type === "rooms" ? page.rooms[0]?.members : undefined;
  };
  await ada.say(hub, "#ops", { kind: "kick", username: "bob" });
  await settle();
  assert.equal(await listed(), 1);
  assert.equal(await bob.enter(hub, "#ops"), undefined);
  await settle();
  assert.deepEqual(presence(ada).slice(2), ["bob online"]);
  await ada.say(hub, "#ops", { kind: "kick", username: "bob" });
  await settle();
  await bob.ask(hub, { type: "presence", state: "away" });
  assert.deepEqual(presence(ada).slice(3), []);
  assert.equal(await bob.enter(hub, "#ops"), undefined);
  await settle();
  assert.deepEqual(presence(ada).slice(3), ["bob away"]);
  const phone = await Person.create("bob", "phone");
  assert.equal(await phone.enter(hub, "#ops"), undefined);
  await settle();
  assert.deepEqual(presence(ada).slice(4), ["bob online"]);
  assert.equal(await listed(), 2, "an account is one member, whatever it comes with");
});

Deno.test("in a room of more than a hundred members nobody is told who comes and goes, and members says it", async () => {
  const { hub, store, settle, ada, bob } = await room();
  const origin = ada.rooms.get("#ops")?.origin ?? "";
  const join = async (username: string) => {
    const one = await Person.create(username, "", { keyOf: "bob" });
    await one.enter(hub, "#ops");
    return one;
  };
  for (let i = 3; i <= PRESENCE_MEMBERS; i++) await join(`member-${i}`);
  await settle();
  assert.equal(store.log(origin).lines.length, PRESENCE_MEMBERS);
  hub.leave(bob);
  assert.equal(presence(ada).at(-1), "bob offline", "with a hundred they are told");
  const told = presence(ada).length;
  const last = await join("one-too-many");
  await settle();
  hub.leave(last);
  await bob.ask(hub, { type: "join", room: "#ops" });
  assert.equal(presence(ada).length, told);
  await ada.ask(hub, { type: "members", room: "#ops", from: 0 });
  const page = ada.heard.at(-1);
  assert.ok(page?.type === "members" && page.members.length === PRESENCE_MEMBERS);
  assert.equal(page.members.find(({ username }) => username === "bob")?.state, "online");
  assert.equal(page.next, PRESENCE_MEMBERS);
  await last.ask(hub, { type: "join", room: "#ops" });
  assert.equal(await last.say(hub, "#ops", { kind: "part" }), undefined);
  await settle();
  hub.leave(bob);
  assert.deepEqual(presence(ada).slice(told), ["bob offline"], "with a hundred they are told again");
});
