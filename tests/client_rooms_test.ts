import { assert } from "./assert.ts";
import { MemoryClientStore } from "./memory_client_store.ts";
import { BenchClient, RoomBench, type Tamper } from "./room_bench.ts";
import { OPEN, pair, refuseNext, text } from "./room_pair.ts";

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
    assert.equal(client.rooms.monitor("#ops")?.covered, 4);
    assert.equal(client.rooms.unsentCount, 0);
  }
  assert.equal(bob.rooms.monitor("#ops")?.countersigners(0), 1);
});

Deno.test("a conversation of two begins with either, and the other is told", async () => {
  const { bench, ada, bob } = await pair();
  await ada.rooms.join("@ada,@bob");
  await bench.settle();
  assert.deepEqual(bob.of("invited").map(({ room, from }) => [room, from]), [["@ada,@bob", "ada"]]);
  await bob.rooms.join("@ada,@bob");
  await ada.rooms.post("@ada,@bob", text("psst"));
  await bench.settle();
  assert.deepEqual(bob.texts("@ada,@bob"), ["psst"]);
});

Deno.test("lists and members are asked of the server", async () => {
  const { ada, bob } = await pair();
  assert.deepEqual((await bob.rooms.server.members("#ops")).map(({ username, role }) => [username, role]), [
    ["ada", "owner"],
    ["bob", "member"],
  ]);
  assert.deepEqual((await ada.rooms.server.list()).map(({ room, members }) => [room, members]), [["#ops", 2]]);
});

Deno.test("whose client it is, is known from its records before there is a connection", async () => {
  const bench = await RoomBench.create();
  const store = new MemoryClientStore();
  store.owner = "ada";
  const ada = await BenchClient.create(bench, "ada", { store });
  await ada.rooms.restore();
  assert.equal(ada.rooms.username, "ada");
});

Deno.test("a list of keys that says to go on where it began is not asked for again", async () => {
  const bench = await RoomBench.create();
  const ada = await bench.client("ada");
  await ada.rooms.create("#ops", OPEN);
  let answers = 0;
  const tamper: Tamper = (frame) => {
    if (frame.type === "keys") answers += 1;
    return [frame.type === "keys" && answers < 100 ? { ...frame, next: 0 } : frame];
  };
  const bob = await bench.client("bob", { tamper });
  await bob.rooms.join("#ops");
  await bench.settle();
  assert.ok(answers < 5, `asked ${answers} times`);
  assert.equal(bob.lines("#ops").length, 2);
});

Deno.test("what the server can't answer for a moment is asked again, and convicts nobody", async () => {
  for (const asked of ["author's certificate", "server's certificate", "inclusion", "consistency"] as const) {
    const bench = await RoomBench.create();
    const ada = await bench.client("ada");
    const isShort = asked === "inclusion" || asked === "consistency";
    await ada.rooms.create("#ops", { history: isShort ? "since_join" : "all", inviteOnly: false });
    await ada.rooms.post("#ops", text("one"));
    await bench.settle();
    let between: Promise<unknown> | undefined; // a line after the head of joining, and before the first that is shown
    const tamper: Tamper = async (frame) => {
      if (frame.type === "joined") await (between ??= ada.rooms.post("#ops", text("two")));
      return frame.type === "checkpoint" && asked === "server's certificate" ? [] : [frame]; // no other is to be judged
    };
    const bob = await bench.client("bob", { tamper });
    const times = refuseNext(bob, isShort ? asked : "certificate", "server-error", ({ fingerprint }) => {
      return isShort || (fingerprint === ada.fingerprint) === (asked === "author's certificate");
    });
    await bob.rooms.join("#ops").catch(() => bob.rooms.join("#ops"));
    await bench.settle();
    bob.rooms.tick();
    await bench.settle();
    assert.deepEqual(bob.lies, [], asked);
    assert.deepEqual(bob.lines("#ops").map(({ bad }) => bad), isShort ? [null] : [null, null, null, null], asked);
    assert.deepEqual(
      [bob.rooms.monitor("#ops")?.covered, times()],
      [asked === "server's certificate" ? 2 : 4, 2],
      asked,
    );
  }
});
