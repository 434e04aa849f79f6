import { assert } from "./assert.ts";
import { Person } from "./people.ts";
import { bench, room } from "./room_world.ts";

Deno.test("history leaves in pieces, each when the one before is on its way, and a page of it has an end", async () => {
  const { hub, settle } = await bench();
  const [ada, bob] = await Promise.all(["ada", "bob"].map((name) => Person.create(name)));
  assert(ada && bob);
  await ada.ask(hub, { type: "create", room: "#ops", mode: "recorded", history: "all", inviteOnly: false });
  for (const person of [ada, bob]) {
    await person.enter(hub, "#ops");
    await settle();
  }
  const long = "x".repeat(11_000);
  for (let i = 0; i < 40; i++) await ada.say(hub, "#ops", long);
  await settle();
  bob.heard.length = 0;
  const pieces: number[] = [];
  let queued = 0;
  const deliver = bob.deliver.bind(bob);
  bob.deliver = (bytes) => {
    queued += bytes.length;
    pieces.push(queued);
    deliver(bytes);
  };
  bob.drained = () => Promise.resolve().then(() => void (queued = 0));
  assert.equal(await bob.ask(hub, { type: "history", room: "#ops", from: 0, count: 500 }), undefined);
  assert(pieces.length > 3 && pieces.every((size) => size < 262_144 / 2), `${pieces}`);
  const end = bob.heard.at(-1);
  assert(end?.type === "history_end" && end.next < 42, "the page ends before the log");
  assert.deepEqual(bob.posted("#ops"), Array.from({ length: end.next }, (_, i) => i));
});

Deno.test("where history is hidden from newcomers, none gets a key that lines before the joining are under", async () => {
  const { hub, store, settle } = await bench();
  const [ada, bob, eve] = await Promise.all(["ada", "bob", "eve"].map((name) => Person.create(name)));
  assert(ada && bob && eve);
  await ada.ask(hub, { type: "create", room: "#ops", mode: "recorded", history: "since_join", inviteOnly: false });
  await ada.say(hub, "#ops", { kind: "join", username: "ada" });
  await settle();
  await ada.say(hub, "#ops", "before bob");
  await settle();
  const [before] = (await store.linesFrom(ada.rooms.get("#ops")?.origin ?? "", 1, 1)).map(({ epoch }) => epoch);
  await bob.ask(hub, { type: "join", room: "#ops" });
  const known = bob.rooms.get("#ops")?.epoch ?? 0;
  assert(known > (before ?? 0), "the key that he gets is not that of what was said before");
  assert.equal(ada.rooms.get("#ops")?.epoch, known, "who is in has it, too");
  await eve.ask(hub, { type: "join", room: "#ops" });
  await eve.ask(hub, { type: "join", room: "#ops" });
  assert.equal(eve.rooms.get("#ops")?.epoch, known, "an epoch that no line is of is new enough");
  await bob.say(hub, "#ops", { kind: "join", username: "bob" });
  await settle();
  bob.heard.length = 0;
  await bob.ask(hub, { type: "keys", room: "#ops", from: 0 });
  const answer = bob.heard.at(-1);
  assert(answer?.type === "keys" && answer.keys.length === 1 && answer.next === undefined);
  await ada.ask(hub, { type: "keys", room: "#ops", from: 0 });
  const all = ada.heard.at(-1);
  assert(all?.type === "keys" && all.keys.length === 2);
});

Deno.test("where history is hidden from newcomers, no line after a join line is under a key that the newcomer lacks", async () => {
  const { hub, store, settle, ada, bob } = await room({ history: "since_join" });
  for (const person of [ada, bob]) await person.say(hub, "#ops", "under the key before");
  await settle();
  const late = await ada.write("#ops", { kind: "text", text: "on its way" });
  const redact = await bob.write("#ops", { kind: "redact", index: 3 });
  const eve = await Person.create("eve");
  await eve.ask(hub, { type: "join", room: "#ops" });
  assert.ok((eve.rooms.get("#ops")?.epoch ?? 0) > late.epoch);
  const linesFrom = store.linesFrom.bind(store);
  const held = Promise.withResolvers<void>();
  store.linesFrom = async (...all) => (await held.promise, await linesFrom(...all));
  const redacting = bob.ask(hub, { type: "post", ...redact });
  await eve.say(hub, "#ops", { kind: "join", username: "eve" });
  held.resolve();
  assert.equal(await redacting, "old-epoch");
  assert.equal(await ada.ask(hub, { type: "post", ...late }), "old-epoch");
  assert.equal(await ada.say(hub, "#ops", "signed anew"), undefined);
});
