import { encodeFrame } from "../lib/frame.ts";
import { Hub } from "../lib/room_hub.ts";
import { assert } from "./assert.ts";
import { fixedClock, handClock } from "./fixtures.ts";
import { MemoryRoomStore } from "./memory_room_store.ts";
import { Person } from "./people.ts";
import { bench, room } from "./room_world.ts";

Deno.test("an account makes a hundred rooms and conversations a day, and another its own", async () => {
  const clock = handClock();
  const { hub, store } = await bench(clock.now);
  const [ada, bob] = [await Person.create("ada"), await Person.create("bob")];
  const make = (person: Person, name: string) =>
    person.ask(hub, { type: "create", room: name, mode: "recorded", history: "all", inviteOnly: false });
  for (let i = 0; i < 50; i++) {
    assert.equal(await make(ada, `#room-${i}`), undefined);
    assert.equal(await ada.ask(hub, { type: "join", room: `@ada,@eve-${i}` }), undefined);
  }
  const phone = await Person.create("ada", "phone");
  assert.equal(await make(phone, "#more"), "forbidden");
  assert.equal(await phone.ask(hub, { type: "join", room: "@ada,@bob" }), "forbidden");
  assert.equal(await phone.ask(hub, { type: "join", room: "#room-1" }), undefined);
  assert.equal((await store.listLogs()).length, 100);
  assert.equal(await bob.enter(hub, "@ada,@bob"), undefined);
  clock.advance(86_400_000);
  assert.equal(await make(phone, "#more"), undefined);
});

Deno.test("two who begin their conversation at the same time are in one room", async () => {
  const { hub, settle, alarms } = await bench();
  const [ada, bob] = [await Person.create("ada"), await Person.create("bob")];
  const name = "@ada,@bob";
  const joined = [ada, bob].map((one) => one.ask(hub, { type: "join", room: name }));
  assert.deepEqual(await Promise.all(joined), [undefined, undefined]);
  for (const one of [ada, bob]) {
    assert.equal(await one.say(hub, name, { kind: "join", username: one.username }), undefined);
    await settle();
  }
  await ada.say(hub, name, "you too?");
  await settle();
  assert.deepEqual([ada.posted(name), bob.posted(name), alarms], [[0, 1, 2], [1, 2], []]);
});

Deno.test("of two who create a room at the same time one does, and the other is told that it is there", async () => {
  const { hub, settle } = await bench();
  const [ada, bob] = [await Person.create("ada"), await Person.create("bob")];
  const create = { type: "create", room: "#ops", mode: "recorded", history: "all", inviteOnly: false } as const;
  const asked = await Promise.all([ada, bob].map((one) => one.ask(hub, create)));
  assert.deepEqual(asked.toSorted(), ["forbidden", undefined]);
  const [first, second] = asked[0] === undefined ? [ada, bob] : [bob, ada];
  assert.equal(await first.say(hub, "#ops", { kind: "join", username: first.username }), undefined);
  await settle();
  assert.equal(await second.enter(hub, "#ops"), undefined);
  await settle();
  assert.deepEqual([first.posted("#ops"), second.posted("#ops")], [[0, 1], [1]]);
});

Deno.test("there is no conversation with somebody who has no account", async () => {
  const { hub, store } = await bench();
  store.nobody = "alcie";
  const ada = await Person.create("ada");
  assert.equal(await ada.ask(hub, { type: "join", room: "@ada,@alcie" }), "no-room");
  assert.equal(await ada.ask(hub, { type: "join", room: "@ada,@alice" }), undefined);
});

Deno.test("a conversation of two is made by either, told to the other, and closed to everybody else", async () => {
  const { hub, settle, ada, bob } = await room();
  const eve = await Person.create("eve");
  await hub.attend(bob);
  assert.equal(await ada.enter(hub, "@ada,@bob"), undefined);
  await settle();
  assert.deepEqual(bob.heard.at(-1), { type: "invited", room: "@ada,@bob", from: "ada" });
  assert.equal(await bob.enter(hub, "@ada,@bob"), undefined);
  assert.equal(await eve.ask(hub, { type: "join", room: "@ada,@bob" }), "no-room");
});

Deno.test("a list of rooms with long topics comes in pages, each of which is a frame that a client takes", async () => {
  const { hub, settle, ada } = await room();
  const names = Array.from({ length: 7 }, (_, i) => `#room-${i}`);
  for (const name of names) {
    await ada.ask(hub, { type: "create", room: name, mode: "recorded", history: "all", inviteOnly: false });
    await ada.say(hub, name, { kind: "join", username: "ada" });
    assert.equal(await ada.say(hub, name, { kind: "topic", text: "\u0001".repeat(2_600) }), undefined);
  }
  await settle();
  const listed: string[] = [];
  for (let from: string | undefined = ""; from !== undefined;) {
    await ada.ask(hub, { type: "rooms", from });
    const page = ada.heard.at(-1);
    assert.ok(page?.type === "rooms");
    const rooms = page.rooms.map(({ inviteOnly, ...fields }) => ({ ...fields, invite_only: inviteOnly }));
    assert.ok(encodeFrame({ type: "rooms", rooms, next: page.next ?? null }).length <= 65_536);
    listed.push(...page.rooms.map(({ room }) => room));
    from = page.next;
  }
  assert.deepEqual(listed, ["#ops", ...names]);
});

Deno.test("the limit of rooms a day goes on over a restart", async () => {
  const store = new MemoryRoomStore();
  const ada = await Person.create("ada");
  const create = (hub: Hub, room: string) =>
    ada.ask(hub, { type: "create", room, mode: "recorded", history: "all", inviteOnly: false });
  const { hub } = await bench(fixedClock, store);
  for (let made = 0; made < 60; made++) assert.equal(await create(hub, `#one-${made}`), undefined);
  const { hub: next } = await bench(fixedClock, store);
  await next.countMade();
  for (let made = 0; made < 40; made++) assert.equal(await create(next, `#two-${made}`), undefined);
  assert.equal(await create(next, "#one-too-many"), "forbidden");
});
