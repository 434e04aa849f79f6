import { assert } from "./assert.ts";
import { fixedClock } from "./fixtures.ts";
import { MemoryRoomStore } from "./memory_room_store.ts";
import { Person } from "./people.ts";
import { bench } from "./room_world.ts";

Deno.test("a certificate that is revoked gets no more lines, and the key that it has is no longer used", async () => {
  const revoked = new Set<string>();
  const { hub, store, settle } = await bench(fixedClock, new MemoryRoomStore(), revoked);
  const [ada, bob] = await Promise.all(["ada", "bob"].map((name) => Person.create(name)));
  assert(ada && bob);
  await ada.ask(hub, { type: "create", room: "#ops", mode: "recorded", history: "all", inviteOnly: false });
  for (const person of [ada, bob]) {
    await person.enter(hub, "#ops");
    await settle();
  }
  await hub.dropRevoked();
  assert.equal(ada.rooms.get("#ops")?.epoch, 1, "nobody is revoked");
  revoked.add(bob.fingerprint);
  const addEpoch = store.addEpoch.bind(store);
  store.addEpoch = () => Promise.reject(new Error("the disk is full"));
  await assert.rejects(hub.dropRevoked(), /disk is full/);
  store.addEpoch = addEpoch;
  await hub.dropRevoked();
  await hub.dropRevoked();
  assert.equal(ada.rooms.get("#ops")?.epoch, 2);
  assert.equal(bob.rooms.get("#ops")?.epoch, 1);
  const before = bob.posted("#ops").length;
  assert.equal(await ada.say(hub, "#ops", "without bob"), undefined);
  await settle();
  assert.equal(bob.posted("#ops").length, before);

  hub.leave(ada);
  hub.leave(bob);
  await settle();
  hub.dropIdle();
  const again = await Person.create("ada");
  await again.ask(hub, { type: "join", room: "#ops" });
  assert.equal(again.rooms.get("#ops")?.epoch, 2, "one new key is enough, however often the room is read");
  const next = await bench(fixedClock, store, revoked);
  await again.ask(next.hub, { type: "join", room: "#ops" });
  assert.equal(again.rooms.get("#ops")?.epoch, 3, "a server that starts later drops it as well");
});
