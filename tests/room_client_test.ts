import { assert } from "./assert.ts";
import { RoomBench } from "./room_bench.ts";

const OPEN = { history: "all", inviteOnly: false } as const;

/** A room that ada made and bob came into. */
async function pair(policy: { history: "all" | "since_join"; inviteOnly: boolean } = OPEN) {
  const bench = await RoomBench.create();
  const [ada, bob] = [await bench.client("ada"), await bench.client("bob")];
  await ada.rooms.create("#ops", policy);
  await bench.settle();
  if (!policy.inviteOnly) await bob.rooms.join("#ops");
  await bench.settle();
  return { bench, ada, bob };
}

const text = (words: string) => ({ kind: "text", text: words } as const);

Deno.test("what is said in a room is shown to everybody in one order, checked, and covered by a signed head", async () => {
  const { bench, ada, bob } = await pair();
  await ada.rooms.post("#ops", text("hello"));
  await bob.rooms.post("#ops", text("good morning"));
  await bench.settle();
  for (const client of [ada, bob]) {
    assert.deepEqual(client.lines("#ops").map(({ index, username, kind, bad }) => [index, username, kind, bad]), [
      [0, "ada", "join", null],
      [1, "bob", "join", null],
      [2, "ada", "text", null],
      [3, "bob", "text", null],
    ]);
    assert.deepEqual(client.lies, []);
    assert.equal(client.rooms.view("#ops")?.covered, 4);
    assert.equal(client.rooms.unsentCount, 0);
  }
  assert.equal(bob.rooms.view("#ops")?.countersigners(0), 1);
});
