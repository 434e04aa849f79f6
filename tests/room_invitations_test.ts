import { assert } from "./assert.ts";
import { Person } from "./people.ts";
import { room } from "./room_world.ts";

Deno.test("invitations that waited are told in pages, and only so many of one account's and in all are kept", async () => {
  const { hub, store, settle, ada, bob } = await room();
  const invite = async (person: Person, name: string) => {
    await person.ask(hub, { type: "create", room: name, mode: "recorded", history: "all", inviteOnly: true });
    await person.say(hub, name, { kind: "join", username: person.username });
    assert.equal(await person.say(hub, name, { kind: "invite", username: "eve" }), undefined);
  };
  for (let i = 0; i < 51; i++) await invite(ada, `#ada-${i}`);
  await invite(bob, "#bob");
  await settle();
  const eve = await Person.create("eve");
  let queued = 0;
  const answer = eve.answer.bind(eve);
  eve.answer = (frame) => {
    assert(++queued <= 50, "without a pause");
    answer(frame);
  };
  eve.drained = () => Promise.resolve().then(() => void (queued = 0));
  const told = () => eve.heard.splice(0).flatMap((frame) => frame.type === "invited" ? [frame.from] : []);
  await hub.attend(eve);
  assert.deepEqual(told().filter((from) => from === "ada").length, 50);
  for (let i = 0; i < 500; i++) await store.addInvitation(`#other-${i}`, "eve", `other-${i}`);
  await hub.attend(eve);
  assert.equal(told().filter((from) => from === "bob").length, 1);
  await invite(bob, "#bob-2");
  assert.equal(await bob.say(hub, "#bob", { kind: "invite", username: "eve" }), "forbidden", "she is invited already");
  await settle();
  assert.deepEqual(told(), [], "beyond what is kept for her nothing is told");
  assert.equal(await eve.enter(hub, "#bob-2"), undefined, "she may come in all the same");
});
