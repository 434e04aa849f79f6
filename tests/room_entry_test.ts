import type { Statement } from "../lib/log_envelope.ts";
import { assert } from "./assert.ts";
import { fixedClock } from "./fixtures.ts";
import { Person } from "./people.ts";
import { bench, nextTask, room, together } from "./room_world.ts";

Deno.test("an invite-only room takes who was invited, and the invitation waits for the next login", async () => {
  const { hub, settle, ada, bob } = await room({ inviteOnly: true });
  assert.equal(await bob.ask(hub, { type: "join", room: "#ops" }), "forbidden");
  await ada.say(hub, "#ops", { kind: "invite", username: "bob" });
  await settle();
  await hub.attend(bob);
  assert.deepEqual(bob.heard.at(-1), { type: "invited", room: "#ops", from: "ada" });
  assert.equal(await bob.enter(hub, "#ops"), undefined);
});

Deno.test("who parts from an invite-only room may come back, who is kicked needs another invitation", async () => {
  const { hub, settle, ada, bob } = await room({ inviteOnly: true });
  const say = async (person: Person, statement: Statement) => {
    assert.equal(await person.say(hub, "#ops", statement), undefined);
    await settle();
  };
  await say(ada, { kind: "invite", username: "bob" });
  assert.equal(await bob.enter(hub, "#ops"), undefined);
  await settle();
  assert.equal(await ada.say(hub, "#ops", { kind: "invite", username: "bob" }), "forbidden", "he is a member");
  await say(ada, { kind: "kick", username: "bob" });
  assert.equal(await bob.ask(hub, { type: "join", room: "#ops" }), "forbidden", "a member, then kicked");
  await say(ada, { kind: "invite", username: "bob" });
  await say(ada, { kind: "kick", username: "bob" });
  assert.equal(await bob.ask(hub, { type: "join", room: "#ops" }), "forbidden", "invited, then kicked before he came");
  const about = { username: "bob" };
  await together(hub, [[ada, { kind: "invite", ...about }], [ada, { kind: "kick", ...about }]]);
  await settle();
  await hub.attend(bob);
  assert.notEqual(bob.heard.at(-1)?.type, "invited", "both are over");
  await say(ada, { kind: "invite", username: "bob" });
  assert.equal(await bob.enter(hub, "#ops"), undefined);
  await settle();
  for (const person of [bob, ada]) {
    await say(person, { kind: "part" });
    assert.equal(await person.enter(hub, "#ops"), undefined);
    await settle();
  }
});

Deno.test("an invite-only room is its maker's alone until the first line stands", async () => {
  const { hub, store, settle } = await bench();
  const [ada, bob] = [await Person.create("ada"), await Person.create("bob")];
  const create = { type: "create", room: "#ops", mode: "recorded", history: "all", inviteOnly: true } as const;
  assert.equal(await ada.ask(hub, create), undefined);
  assert.equal(await bob.ask(hub, { type: "join", room: "#ops" }), "forbidden");
  await bob.ask(hub, { type: "rooms", from: "" });
  const listed = bob.heard.at(-1);
  assert(listed?.type === "rooms" && listed.rooms.length === 0);
  for (const person of [ada, bob]) hub.leave(person);
  await nextTask(); // as a timer does it
  hub.dropIdle();
  assert.equal(await bob.ask(hub, { type: "join", room: "#ops" }), "forbidden", "while nobody is there, too");
  const again = await bench(fixedClock, store);
  assert.equal(await bob.ask(again.hub, { type: "join", room: "#ops" }), "forbidden", "after a restart, too");
  assert.equal(await ada.ask(hub, { type: "join", room: "#ops" }), undefined);
  assert.equal(await ada.say(hub, "#ops", { kind: "join", username: "ada" }), undefined);
  await settle();
  assert.equal(await bob.ask(hub, { type: "join", room: "#ops" }), "forbidden");
});

Deno.test("who is banned while coming in, or while asking for keys, gets no key", async () => {
  const { hub, store, settle, ada, bob } = await room({ history: "since_join" });
  const [addEpoch, lineBy] = [store.addEpoch.bind(store), store.lineBy.bind(store)];
  const [begun, found] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  store.addEpoch = async (...all) => (await begun.promise, await addEpoch(...all));
  store.lineBy = async (...all) => (await found.promise, await lineBy(...all));
  const phone = await Person.create("bob", "phone");
  const joining = phone.ask(hub, { type: "join", room: "#ops" });
  const asking = bob.ask(hub, { type: "keys", room: "#ops", from: 0 });
  await nextTask();
  assert.equal(await ada.say(hub, "#ops", { kind: "ban", username: "bob" }), undefined);
  begun.resolve();
  assert.equal(await joining, "forbidden");
  assert.equal(phone.rooms.size, 0);
  await settle();
  found.resolve();
  assert.equal(await asking, "not-member");
});
