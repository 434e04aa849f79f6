import { PRESENCE_MEMBERS } from "../lib/log_frames.ts";
import { assert } from "./assert.ts";
import { Person } from "./people.ts";
import type { BenchClient, Tamper } from "./room_bench.ts";
import { OPEN, pair, text } from "./room_pair.ts";

/** Who is here, as a client was told it: by what it asked once, and by what came since. */
function present(client: BenchClient, room = "#ops"): Record<string, string> {
  const asked = client.events.findLastIndex((event) => event.event === "present" && event.room === room);
  const states: Record<string, string> = {};
  for (const event of client.events.slice(asked)) {
    if (!("room" in event) || event.room !== room) continue;
    if (event.event === "present") { for (const { username, state } of event.members) states[username] = state; }
    if (event.event === "presence") states[event.username] = event.state;
  }
  return states;
}

Deno.test("who is here is asked once after catching up, told from then on, and asked again after a break", async () => {
  const { bench, ada, bob } = await pair();
  assert.deepEqual(bob.of("present").length, 1);
  assert.deepEqual(present(bob), { ada: "online", bob: "online" });
  await ada.rooms.presence.away(true);
  await bench.settle();
  assert.deepEqual(present(bob), { ada: "away", bob: "online" });
  await ada.cut(bench);
  await bench.settle();
  assert.deepEqual(present(bob), { ada: "offline", bob: "online" });
  await bob.cut(bench);
  await bob.connect(bench);
  await bench.settle();
  assert.deepEqual(bob.of("present").length, 2);
  assert.deepEqual(present(bob), { ada: "offline", bob: "online" });
  await bob.rooms.post("#ops", { kind: "part" });
  await bench.settle();
  await bob.rooms.join("#ops");
  await bench.settle();
  assert.deepEqual(bob.of("present").length, 3, "and with each coming in");
});

Deno.test("a list of members that goes on doesn't say who is here", async () => {
  const { bench, ada, bob } = await pair();
  const answer: Tamper = (frame) => [frame.type === "members" ? { ...frame, next: 100 } : frame];
  await bob.cut(bench);
  await bob.connect(bench, answer);
  await bench.settle();
  assert.equal(bob.of("present").length, 1, "a list that goes on doesn't say who is here");
  assert.equal(ada.of("present").length, 1);
});

Deno.test("who is away stays so over a break, and is here with the next line, online or not", async () => {
  const { bench, ada, bob } = await pair();
  await bob.rooms.presence.away(true);
  await bob.rooms.presence.away(true);
  assert.deepEqual(bob.of("away").map(({ away }) => away), [true]);
  await bench.settle();
  await bob.cut(bench);
  await bench.settle();
  await bob.connect(bench);
  await bench.settle();
  const states = () => ada.of("presence").filter(({ username }) => username === "bob").map(({ state }) => state);
  assert.deepEqual(states(), ["online", "away", "offline", "away"], "it is never online in between");
  await bob.rooms.post("#ops", text("here I am"));
  await bench.settle();
  assert.equal(states().at(-1), "online");
  assert.ok(!bob.rooms.presence.isAway);

  await bob.cut(bench);
  await bob.rooms.presence.away(true);
  assert.ok(bob.rooms.presence.isAway);
  await bob.connect(bench);
  await bench.settle();
  assert.deepEqual(states().slice(-2), ["offline", "away"]);
  await bob.cut(bench);
  await bob.rooms.post("#ops", text("written offline"));
  await bob.connect(bench);
  await bench.settle();
  assert.deepEqual(states().slice(-2), ["offline", "online"]);
  assert.deepEqual(bob.of("away").map(({ away }) => away), [true, false, true, false]);
  await bob.rooms.presence.away(true);
  await bob.rooms.create("#dev", OPEN);
  assert.ok(!bob.rooms.presence.isAway, "who comes into a room is here");
});

Deno.test("in a room that has grown too large who is here is known no longer, and is asked when it has shrunk", async () => {
  const { bench, ada } = await pair();
  const others: Person[] = [];
  for (let i = 3; i <= PRESENCE_MEMBERS + 1; i++) {
    const other = await Person.create(`member-${i}`, "", { keyOf: "bob" });
    await bench.store.keepCertificate(other.fingerprint, other.certificate.pem);
    assert.equal(await other.enter(bench.hub, "#ops"), undefined);
    others.push(other);
  }
  await bench.settle();
  assert.equal(ada.rooms.monitor("#ops")?.state.memberCount, PRESENCE_MEMBERS + 1);
  assert.equal(ada.of("present").length, 1);
  assert.equal(await others[0]?.say(bench.hub, "#ops", { kind: "part" }), undefined);
  await bench.settle();
  assert.deepEqual(ada.of("present").map(({ members }) => members.length), [1, PRESENCE_MEMBERS]);
});
