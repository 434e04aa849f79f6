import { formatTime } from "../lib/time_text.ts";
import { assert } from "./assert.ts";
import { ProtocolError } from "../lib/errors.ts";
import { ONE_BY_ONE } from "../lib/line_signature.ts";
import { PRESENCE_MEMBERS } from "../lib/log_frames.ts";
import { MemoryClientStore } from "./memory_client_store.ts";
import { Person } from "./people.ts";
import { BenchClient, personIdentity, RoomBench, type Tamper } from "./room_bench.ts";

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

/** The server refuses the next request of that type that fits, once; how often it was asked that. */
function refuseNext(
  { session }: BenchClient,
  type: string,
  code: ConstructorParameters<typeof ProtocolError>[0] = "server-error",
  fits: (frame: Readonly<Record<string, unknown>>) => boolean = () => true,
): () => number {
  assert.ok(session);
  const request = session.request.bind(session);
  let asked = 0;
  session.request = (frame) => {
    const isMeant = frame.type === type && fits(frame);
    if (isMeant && asked++ === 0) session.refuse(new ProtocolError(code, "not now"), frame.id as number);
    else request(frame);
  };
  return () => asked;
}

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

Deno.test("a line is countersigned by other people, not by further certificates of its author or of one of them", async () => {
  const { bench, ada, bob } = await pair();
  const phones = [await bench.client("ada", { device: "phone" }), await bench.client("bob", { device: "phone" })];
  for (const phone of phones) {
    await phone.rooms.join("#ops");
    await bench.settle();
  }
  await ada.rooms.post("#ops", text("I paid"));
  await bench.settle();
  const counts: (number | undefined)[] = [];
  for (const client of [...phones, bob]) {
    await client.rooms.post("#ops", { kind: "head" });
    await bench.settle();
    counts.push(ada.rooms.monitor("#ops")?.countersigners(4));
  }
  assert.deepEqual(counts, [0, 1, 1]);
});

Deno.test("lines arrive once and in their order wherever the link is cut", async () => {
  for (let frames = 0; frames <= 14; frames++) {
    const { bench, ada, bob } = await pair();
    if (ada.session) ada.session.framesLeft = frames;
    const words = Array.from({ length: 6 }, (_, i) => `line ${i}`);
    await Promise.all(words.map((word) => ada.rooms.post("#ops", text(word))));
    await bench.settle();
    await ada.cut(bench);
    await bench.settle();
    await ada.rooms.post("#ops", text("written offline"));
    await ada.connect(bench);
    await bench.settle();
    await ada.rooms.post("#ops", text("and after"));
    await bench.settle();
    const all = [...words, "written offline", "and after"];
    assert.deepEqual(ada.texts("#ops"), all, `cut after ${frames} frames`);
    assert.deepEqual(bob.texts("#ops"), all, `cut after ${frames} frames`);
    assert.equal(ada.rooms.unsentCount, 0);
    assert.deepEqual((await ada.store.room("#ops")).unsent, []);
    assert.deepEqual([...ada.lies, ...bob.lies], []);
  }
});

Deno.test("a client that is killed and started again sends what was not accepted, and nothing else", async () => {
  for (let frames = 0; frames <= 8; frames++) {
    const { bench, ada, bob } = await pair();
    if (ada.session) ada.session.framesLeft = frames;
    await Promise.all(["one", "two", "three", "four"].map((word) => ada.rooms.post("#ops", text(word))));
    await bench.settle();
    await ada.cut(bench);
    bench.clients.splice(bench.clients.indexOf(ada), 1);
    const again = await bench.client("ada", { store: ada.store });
    await bench.settle();
    await again.rooms.post("#ops", text("five"));
    await bench.settle();
    assert.deepEqual(again.texts("#ops"), ["one", "two", "three", "four", "five"], `killed after ${frames} frames`);
    assert.deepEqual(bob.texts("#ops"), again.texts("#ops"));
    assert.deepEqual([...again.lies, ...bob.lies], []);
  }
});

Deno.test("a server that is killed and started again goes on with its log", async () => {
  const { bench, ada, bob } = await pair();
  await ada.rooms.post("#ops", text("before"));
  await bench.settle();
  for (const client of [ada, bob]) await client.cut(bench);
  await ada.rooms.post("#ops", text("while it was away"));
  const again = await RoomBench.create(bench);
  again.clients.push(ada, bob);
  for (const client of [ada, bob]) await client.connect(again);
  await again.settle();
  await bob.rooms.post("#ops", text("after"));
  await again.settle();
  for (const client of [ada, bob]) {
    assert.deepEqual(client.texts("#ops"), ["before", "while it was away", "after"]);
    assert.deepEqual(client.lies, []);
  }
});

Deno.test("where the server's store fails lines stay unsent, and go when it is back, in their order", async () => {
  const { bench, ada, bob } = await pair();
  bench.store.fail();
  await Promise.all(["one", "two", "three"].map((word) => ada.rooms.post("#ops", text(word))));
  for (let i = 0; i < 3; i++) await new Promise((resolve) => setTimeout(resolve, 5));
  await ada.arrived();
  assert.equal(ada.of("waiting")[0]?.room, "#ops");
  assert.equal(ada.rooms.unsentCount, 3);
  bench.store.beforeCommit = () => {};
  await bench.settle();
  await bench.settle();
  assert.deepEqual(bob.texts("#ops"), ["one", "two", "three"]);
  assert.equal(ada.rooms.unsentCount, 0);
});

Deno.test("lines that were written while the clock was ahead go as soon as it is right", async () => {
  for (const isOnline of [false, true]) {
    const { bench, ada, bob } = await pair();
    if (!isOnline) await bob.cut(bench);
    bob.ahead = 3_600_000;
    for (const words of ["one", "two", "three"]) await bob.rooms.post("#ops", text(words));
    for (let i = 0; isOnline && i < 3; i++) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      await bob.arrived();
    }
    assert.deepEqual([ada.texts("#ops"), bob.of("waiting").length], [[], isOnline ? 1 : 0]);
    bob.ahead = 0;
    if (!isOnline) await bob.connect(bench);
    await bench.settle();
    assert.deepEqual(ada.texts("#ops"), ["one", "two", "three"]);
    assert.equal(bob.rooms.unsentCount, 0);
    assert.deepEqual([...ada.lies, ...bob.lies], []);
  }
});

Deno.test("a line that the room refuses is dropped with a sentence, and those after it are signed anew", async () => {
  const { bench, ada, bob } = await pair();
  const posts = [text("one"), { kind: "kick", username: "ada" } as const, text("two"), text("three")];
  await Promise.all(posts.map((statement) => bob.rooms.post("#ops", statement)));
  await bench.settle();
  assert.deepEqual(ada.texts("#ops"), ["one", "two", "three"]);
  const [dropped, ...more] = bob.of("dropped");
  assert.equal(dropped?.error_type, "forbidden");
  assert.deepEqual(more, []);
  assert.equal(bob.rooms.unsentCount, 0);
});

Deno.test("who is muted is told so, and who is put out is out, with what was unsent", async () => {
  const { bench, ada, bob } = await pair();
  await ada.rooms.post("#ops", { kind: "mute", username: "bob" });
  await bench.settle();
  await bob.rooms.post("#ops", text("may I?"));
  await bench.settle();
  assert.equal(bob.of("dropped").at(-1)?.error_type, "muted");
  await ada.rooms.post("#ops", { kind: "kick", username: "bob" });
  await bench.settle();
  assert.equal(bob.of("left").length, 1);
  await bob.cut(bench);
  await bob.connect(bench);
  await bench.settle();
  assert.ok(!bob.lines("#ops").some(({ kind, index }) => kind === "join" && index > 3), "nobody comes back by itself");
  await bob.rooms.join("#ops");
  await bench.settle();
  assert.equal(bob.lines("#ops").at(-1)?.kind, "join");
});

Deno.test("who is put out while away is told what was not sent, and what may stand in the log", async () => {
  for (const kind of ["kick", "ban"] as const) {
    const { bench, ada, bob } = await pair();
    if (bob.session) bob.session.framesLeft = 1; // the post arrives, and its answer does not
    await bob.rooms.post("#ops", text("on record"));
    await bench.settle();
    await bob.cut(bench);
    await bob.rooms.post("#ops", text("not yet"));
    await ada.rooms.post("#ops", { kind, username: "bob" });
    await bench.settle();
    await bob.connect(bench);
    await bench.settle();
    assert.deepEqual(bob.of("dropped").map(({ error_type }) => error_type), ["timeout", "not-sent"], kind);
    assert.deepEqual([bob.of("left").length, bob.rooms.joined, bob.rooms.unsentCount], [1, [], 0], kind);
    assert.deepEqual((await bob.store.room("#ops")).unsent, [], kind);
    await assert.rejects(bob.rooms.post("#ops", text("nobody hears it")), /You are not in this room; join it first/);
    if (kind === "ban") await ada.rooms.post("#ops", { kind, username: "bob", until: 0 });
    await bench.settle();
    await bob.rooms.join("#ops");
    await bench.settle();
    assert.deepEqual([ada.texts("#ops"), bob.texts("#ops")], [["on record"], ["on record"]], kind);
  }
});

Deno.test("who was put out and has come in again stays in when the line that put them out is checked", async () => {
  const { bench, ada } = await pair();
  let busy = Promise.resolve();
  const check = (batch: Parameters<typeof ONE_BY_ONE.check>[0]) => busy.then(() => ONE_BY_ONE.check(batch));
  const carol = await bench.client("carol", { signatures: { check } });
  await carol.rooms.join("#ops");
  await bench.settle();
  await carol.cut(bench);
  await ada.rooms.post("#ops", { kind: "kick", username: "carol" });
  await bench.settle();
  const { promise, resolve } = Promise.withResolvers<void>();
  busy = promise;
  await carol.connect(bench);
  const joining = carol.rooms.join("#ops");
  await bench.settle();
  assert.equal(carol.of("caught_up").length, 2);
  resolve();
  await joining;
  await bench.settle();
  assert.equal(carol.of("left").length, 1, "before the join");
  assert.deepEqual(carol.rooms.joined, ["#ops"]);
  assert.ok(carol.of("state").at(-1)?.members.some(({ username }) => username === "carol"));
});

Deno.test("lines under a key that is no longer used are signed anew under the new one", async () => {
  const { bench, ada, bob } = await pair();
  const carol = await bench.client("carol");
  for (let i = 0; i < 3; i++) {
    await carol.rooms.join("#ops");
    await bench.settle();
    if (i === 0) await bob.cut(bench);
    await carol.rooms.post("#ops", { kind: "part" });
    await bench.settle();
  }
  await bob.rooms.post("#ops", text("still here"));
  await bob.connect(bench);
  await bench.settle();
  await bench.settle();
  assert.deepEqual(ada.texts("#ops"), ["still here"]);
  assert.deepEqual([...ada.lies, ...bob.lies, ...carol.lies], []);
});

Deno.test("where newcomers don't see what was before, a log begins with one's own line, and is checked from there", async () => {
  const { bench, ada } = await pair({ history: "since_join", inviteOnly: true });
  for (let i = 0; i < 5; i++) await ada.rooms.post("#ops", text(`secret ${i}`));
  await ada.rooms.post("#ops", { kind: "invite", username: "carol" });
  await bench.settle();
  const carol = await bench.client("carol");
  await carol.rooms.join("#ops");
  await bench.settle();
  await ada.rooms.post("#ops", text("welcome"));
  await bench.settle();
  assert.deepEqual(carol.texts("#ops"), ["welcome"]);
  assert.equal(carol.rooms.monitor("#ops")?.base, 7);
  assert.equal(carol.rooms.monitor("#ops")?.covered, ada.rooms.monitor("#ops")?.size);
  assert.deepEqual(carol.lies, []);
  await carol.cut(bench);
  const again = await bench.client("carol", { store: carol.store });
  await bench.settle();
  await again.rooms.post("#ops", text("thank you"));
  await bench.settle();
  assert.deepEqual(ada.texts("#ops").slice(-1), ["thank you"]);
  assert.deepEqual(again.lies, []);
});

Deno.test("where newcomers don't see what was before, they own nothing, and the topic is the server's word until a line sets it", async () => {
  const { bench, ada } = await pair({ history: "since_join", inviteOnly: false });
  const topic = async (text: string) => {
    await ada.rooms.post("#ops", { kind: "topic", text });
    await bench.settle();
  };
  await topic("the release");
  const carol = await bench.client("carol");
  await carol.rooms.join("#ops");
  await bench.settle();
  const state = () => carol.of("state").at(-1);
  assert.deepEqual([state()?.topic, state()?.members], ["the release", [{ username: "carol", role: "member" }]]);
  await carol.cut(bench);
  const again = await bench.client("carol", { store: carol.store });
  assert.equal(again.rooms.monitor("#ops")?.state.topic, "the release");
  assert.equal(again.rooms.monitor("#ops")?.state.roleOf("carol"), "member");
  await topic("");
  assert.equal(again.of("state").at(-1)?.topic, "");
  assert.equal(ada.rooms.monitor("#ops")?.state.roleOf("ada"), "owner");
});

Deno.test("an erased line has no words anywhere, and everything goes on", async () => {
  const { bench, ada, bob } = await pair();
  await ada.rooms.post("#ops", text("my password is hunter2"));
  await bench.settle();
  await ada.rooms.post("#ops", { kind: "redact", index: 2 });
  await bench.settle();
  assert.deepEqual(bob.of("erased").map(({ index }) => index), [2]);
  const carol = await bench.client("carol");
  await carol.rooms.join("#ops");
  await bench.settle();
  const line = carol.lines("#ops").find(({ index }) => index === 2);
  assert.deepEqual([line?.erased, line?.text, line?.bad], [true, null, null]);
  assert.deepEqual(carol.lies, []);
  bench.clock.advance(31_000);
  carol.rooms.tick();
  assert.deepEqual(carol.of("bad_line"), []);
});

Deno.test("a line that erases the line that erases is bad, whatever the server says", async () => {
  const { bench, ada, bob } = await pair();
  await ada.rooms.post("#ops", text("regretted"));
  await bench.settle();
  await ada.rooms.post("#ops", { kind: "redact", index: 2 });
  await bench.settle();
  const linesFrom = bench.store.linesFrom.bind(bench.store);
  bench.store.linesFrom = async (...asked) =>
    (await linesFrom(...asked)).map((line) => ({ ...line, body: new Uint8Array(32) }));
  await ada.rooms.post("#ops", { kind: "redact", index: 3 });
  await bench.settle();
  assert.match(bob.lines("#ops").at(-1)?.bad ?? "", /The author may not erase that line/);
  assert.deepEqual(bob.of("erased").map(({ index }) => index), [2]);
});

Deno.test("a further certificate of somebody's is told, and one that the first vouches for as such", async () => {
  const { bench, ada, bob } = await pair();
  const phone = await bench.client("ada", { device: "phone" });
  await phone.rooms.join("#ops");
  await bench.settle();
  assert.deepEqual(bob.of("device").map(({ username, vouched }) => [username, vouched]), [["ada", false]]);
  const laptop = await bench.client("ada", { device: "laptop" });
  await ada.rooms.post("#ops", { kind: "device", fingerprint: laptop.fingerprint });
  await bench.settle();
  await laptop.rooms.join("#ops");
  await bench.settle();
  assert.deepEqual(bob.of("device").map(({ vouched }) => vouched), [false, true]);
  assert.deepEqual(phone.of("device").map(({ mine, vouched }) => [mine, vouched]), [[true, false], [false, true]]);
});

Deno.test("lines by a certificate that nobody vouched for say so, until a known one vouches for it in any room", async () => {
  const { bench, ada, bob } = await pair();
  await ada.rooms.create("#dev", OPEN);
  await bench.settle();
  await bob.rooms.join("#dev");
  const phone = await bench.client("ada", { device: "phone" });
  for (const room of ["#ops", "#dev"]) {
    await phone.rooms.join(room);
    await bench.settle();
  }
  await phone.rooms.post("#ops", { kind: "device", fingerprint: phone.fingerprint });
  await phone.rooms.post("#dev", text("it is me"));
  await bench.settle();
  const byPhone = () => bob.lines("#dev").filter(({ from }) => from === phone.fingerprint);
  assert.deepEqual(byPhone().map(({ kind, unvouched }) => [kind, unvouched]), [["join", true], ["text", true]]);
  assert.ok(bob.lines("#dev").every(({ from, unvouched }) => !unvouched || from === phone.fingerprint));
  await ada.rooms.post("#ops", { kind: "device", fingerprint: phone.fingerprint });
  await bench.settle();
  const { room, username, fingerprint, vouched } = bob.of("device").at(-1) ?? assert.fail();
  assert.deepEqual([room, username, fingerprint, vouched], ["#ops", "ada", phone.fingerprint, true]);
  await phone.rooms.post("#dev", text("as I said"));
  await bench.settle();
  assert.equal(byPhone().at(-1)?.unvouched, false);
});

Deno.test("after a restart the same certificates are trusted, in rooms that were left and from older records too", async () => {
  const { bench, ada, bob } = await pair();
  await ada.rooms.create("#dev", OPEN);
  await bench.settle();
  await bob.rooms.join("#dev");
  await bench.settle();
  const [phone, thief] = [
    await bench.client("ada", { device: "phone" }),
    await bench.client("ada", { device: "thief" }),
  ];
  for (const device of [phone, thief]) {
    await device.rooms.join("#ops");
    await bench.settle();
  }
  await ada.rooms.post("#dev", { kind: "device", fingerprint: phone.fingerprint });
  await thief.rooms.post("#ops", { kind: "device", fingerprint: thief.fingerprint });
  await bench.settle();
  await bob.rooms.post("#dev", { kind: "part" });
  await bench.settle();
  const wanted = [[ada, "first"], [phone, "vouched"], [thief, "new"]] as const;
  const known = async (client: typeof bob) =>
    (await client.rooms.devices("ada")).map(({ fingerprint, standing }) => [fingerprint, standing]);
  const standings = wanted.map(([{ fingerprint }, standing]) => [fingerprint, standing]);
  assert.deepEqual(await known(bob), standings);
  await bob.cut(bench);
  bench.clients.splice(bench.clients.indexOf(bob), 1);
  const again = await bench.client("bob", { store: bob.store });
  assert.deepEqual(await known(again), standings);
  const told = again.lines("#ops").filter(({ kind, username }) => kind === "join" && username === "ada");
  assert.deepEqual(told.map(({ unvouched }) => unvouched), [false, false, true]);

  // Older records have no vouches: what the lines of the rooms say is heard again.
  await again.rooms.join("#dev");
  await bench.settle();
  await again.cut(bench);
  const { pinned } = again.store;
  const names = pinned.splice(0).filter((pin) => "username" in pin);
  pinned.push(...names);
  const third = await bench.client("bob", { store: again.store });
  assert.deepEqual(await known(third), standings);
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

Deno.test("a room that is not there, or that is closed, is refused with a sentence", async () => {
  const { bench, bob } = await pair({ history: "all", inviteOnly: true });
  await assert.rejects(bob.rooms.join("#nowhere"), /no such room/);
  await assert.rejects(bob.rooms.join("#ops"), /it takes only those who are invited/);
  await assert.rejects(bob.rooms.post("#ops", text("hello")), /join it first/);
  await bob.cut(bench);
  await assert.rejects(bob.rooms.join("#ops"), /no connection/);
});

Deno.test("lists and members are asked of the server", async () => {
  const { ada, bob } = await pair();
  assert.deepEqual((await bob.rooms.members("#ops")).map(({ username, role }) => [username, role]), [
    ["ada", "owner"],
    ["bob", "member"],
  ]);
  assert.deepEqual((await ada.rooms.list()).map(({ room, members }) => [room, members]), [["#ops", 2]]);
});

Deno.test("many lines are shown before their signatures are checked, and then told to be good", async () => {
  const { bench, ada } = await pair();
  const words = Array.from({ length: 400 }, (_, i) => `${i}`);
  await Promise.all(words.map((word) => ada.rooms.post("#ops", text(word))));
  while (ada.rooms.unsentCount > 0) await bench.settle();
  const busy = Promise.withResolvers<void>(); // whoever checks signatures has much to do
  const check = (batch: Parameters<typeof ONE_BY_ONE.check>[0]) => busy.promise.then(() => ONE_BY_ONE.check(batch));
  const carol = await bench.client("carol", { signatures: { check } });
  await carol.rooms.join("#ops");
  await bench.settle();
  assert.equal(carol.rooms.monitor("#ops")?.size, words.length + 3);
  busy.resolve();
  for (let i = 0; i < 9 && carol.texts("#ops").length < words.length; i++) await bench.settle();
  assert.deepEqual(carol.texts("#ops"), words);
  assert.ok(carol.lines("#ops").some(({ unchecked }) => unchecked));
  const checked = new Set(
    carol.of("checked").flatMap(({ from, to }) => [...Array(to - from).keys()].map((i) => from + i)),
  );
  for (const { index, unchecked } of carol.lines("#ops")) assert.ok(!unchecked || checked.has(index), `line ${index}`);
});

Deno.test("what is said offline is said when there is a connection again, leaving too", async () => {
  const { bench, ada, bob } = await pair();
  await bob.cut(bench);
  await bob.rooms.post("#ops", text("good night"));
  await bob.rooms.post("#ops", { kind: "part" });
  await bob.connect(bench);
  await bench.settle();
  assert.deepEqual(ada.lines("#ops").slice(-2).map(({ kind }) => kind), ["text", "part"]);
  assert.deepEqual(bob.rooms.joined, []);
  assert.equal(bob.rooms.unsentCount, 0);
  await bob.cut(bench);
  await assert.rejects(bob.rooms.join("#ops"), /no connection/);
  await bob.connect(bench);
  await bench.settle();
  assert.equal(ada.lines("#ops").at(-1)?.kind, "part", "what was refused is not done later");
});

Deno.test("a join that is cut off is gone on with", async () => {
  for (let frames = 1; frames <= 6; frames++) {
    const { bench, ada } = await pair();
    const carol = await bench.client("carol");
    if (carol.session) carol.session.framesLeft = frames;
    const joining = carol.rooms.join("#ops").catch(() => {});
    await bench.settle();
    await carol.cut(bench);
    await joining;
    await carol.connect(bench);
    await bench.settle();
    if (carol.rooms.joined.length === 0) await carol.rooms.join("#ops");
    await carol.rooms.post("#ops", text("here I am"));
    await bench.settle();
    const hers = ada.lines("#ops").filter(({ username }) => username === "carol").map(({ kind }) => kind);
    assert.deepEqual(hers, ["join", "text"], `cut after ${frames} frames`);
    assert.deepEqual([...ada.lies, ...carol.lies], []);
  }
});

Deno.test("who joins a room while the client comes back to it is in it, put out meanwhile or not", async () => {
  for (const isOut of [false, true]) {
    for (const turns of [0, 4, 8, 16, 32]) {
      const { bench, ada, bob } = await pair();
      await bob.cut(bench);
      bench.clients.splice(bench.clients.indexOf(bob), 1);
      if (isOut) await ada.rooms.post("#ops", { kind: "kick", username: "bob" });
      await bench.settle();
      const again = await BenchClient.create(bench, "bob", { store: bob.store });
      await again.rooms.restore();
      const connecting = again.connect(bench);
      while (!again.rooms.isOnline) await Promise.resolve();
      for (let turn = 0; turn < turns; turn++) await Promise.resolve();
      await Promise.all([again.rooms.join("#ops"), connecting]);
      await bench.settle();
      const what = `${isOut ? "out, " : ""}after ${turns} turns`;
      assert.deepEqual([again.rooms.joined, bob.store.joined], [["#ops"], ["#ops"]], what);
      await again.rooms.post("#ops", text("here I am"));
      await bench.settle();
      assert.deepEqual(ada.texts("#ops"), ["here I am"], what);
      assert.deepEqual(again.lies, []);
    }
  }
});

Deno.test("a room that the server can't open for a moment is come back into, whoever asks for it meanwhile", async () => {
  const { bench, bob } = await pair();
  await bob.cut(bench);
  bench.clients.splice(bench.clients.indexOf(bob), 1);
  const again = await BenchClient.create(bench, "bob", { store: bob.store });
  await again.rooms.restore();
  await assert.rejects(again.rooms.join("#ops"), /no connection/);
  const connecting = again.connect(bench);
  while (!again.rooms.isOnline) await Promise.resolve();
  refuseNext(again, "join");
  await assert.rejects(again.rooms.join("#ops"), /not now/);
  await connecting;
  await bench.settle();
  assert.deepEqual([again.rooms.joined, bob.store.joined], [["#ops"], ["#ops"]]);
  assert.deepEqual([again.of("left").length, again.of("caught_up").length], [0, 1]);
});

Deno.test("a join line that is refused for now is told so, and stands a little later, ahead of what was said since", async () => {
  for (const code of ["server-error", "stale", "old-epoch"] as const) {
    const { bench, ada, bob } = await pair();
    const carol = await bench.client("carol");
    refuseNext(carol, "post", code);
    await assert.rejects(carol.rooms.join("#ops"), /not now/);
    await bob.cut(bench);
    bench.clients.splice(bench.clients.indexOf(bob), 1);
    const renewed = await BenchClient.create(bench, "bob", { store: bob.store, device: "renewed" }); // joins by itself
    await renewed.rooms.restore();
    const connecting = renewed.connect(bench);
    while (!renewed.rooms.isOnline) await Promise.resolve();
    refuseNext(renewed, "post", code);
    for (const client of [carol, renewed]) await client.rooms.post("#ops", text("here I am"));
    await connecting;
    await bench.settle();
    for (const client of [carol, renewed]) {
      assert.deepEqual(client.rooms.joined, ["#ops"], code);
      const theirs = ada.lines("#ops").filter(({ from }) => from === client.fingerprint).map(({ kind }) => kind);
      assert.deepEqual(theirs, ["join", "text"], code);
      const told = (["joined", "caught_up", "left"] as const).map((type) => client.of(type).length);
      assert.deepEqual(told, [1, 1, 0], code);
    }
  }
});

Deno.test("a text that no line can hold is refused at once, online or not, and holds nothing up", async () => {
  const { bench, ada, bob } = await pair();
  await assert.rejects(ada.rooms.post("#ops", text("x".repeat(16_000))), /more than 16000 octets/);
  await ada.cut(bench);
  await assert.rejects(ada.rooms.post("#ops", text("\ud800")), /lone surrogate/);
  await ada.rooms.post("#ops", text("x".repeat(15_000)));
  await ada.connect(bench);
  await bench.settle();
  assert.deepEqual(bob.texts("#ops").map((one) => one?.length), [15_000]);
});

Deno.test("who has a new certificate signs anew what the old one had not brought in", async () => {
  const { bench, ada, bob } = await pair();
  if (bob.session) bob.session.framesLeft = 0;
  await bob.rooms.post("#ops", text("mine"));
  await bob.cut(bench);
  bench.clients.splice(bench.clients.indexOf(bob), 1);
  const renewed = await bench.client("bob", { store: bob.store, device: "renewed" });
  await bench.settle();
  assert.deepEqual(ada.texts("#ops"), ["mine"]);
  assert.equal(ada.lines("#ops").at(-1)?.from, renewed.fingerprint);
  assert.deepEqual([...ada.lies, ...renewed.lies], []);
});

Deno.test("where newcomers don't see what was before, a new certificate of a member sees what the old one would have", async () => {
  const { bench, ada, bob } = await pair({ history: "since_join", inviteOnly: false });
  await ada.rooms.post("#ops", text("one"));
  await bench.settle();
  await bob.cut(bench);
  bench.clients.splice(bench.clients.indexOf(bob), 1);
  for (const words of ["two", "three"]) await ada.rooms.post("#ops", text(words));
  await bench.settle();
  const renewed = await bench.client("bob", { store: bob.store, device: "renewed" });
  await bench.settle();
  await ada.rooms.post("#ops", text("four"));
  await bench.settle();
  assert.deepEqual(renewed.texts("#ops"), ["one", "two", "three", "four"]);
  assert.deepEqual([...ada.lies, ...renewed.lies], []);
});

Deno.test("what the old certificate had brought in is not said again under a new one, where nobody heard of it either", async () => {
  for (const isWritten of [false, true]) {
    const { bench, ada, bob } = await pair();
    const record = await bob.store.room("#ops");
    const { removeUnsent } = record;
    if (isWritten) record.removeUnsent = () => Promise.resolve(); // killed before it could be noted
    else if (bob.session) bob.session.framesLeft = 1; // the post arrives, and no answer does
    await bob.rooms.post("#ops", text("pay 100"));
    await bench.settle();
    await bob.cut(bench);
    await bob.rooms.post("#ops", text("to carol"));
    record.removeUnsent = removeUnsent;
    bench.clients.splice(bench.clients.indexOf(bob), 1);
    assert.equal(record.unsent.length, 2);
    const renewed = await bench.client("bob", { store: bob.store, device: "renewed" });
    await bench.settle();
    await renewed.rooms.post("#ops", text("as I said"));
    await bench.settle();
    assert.deepEqual(ada.texts("#ops"), ["pay 100", "to carol", "as I said"]);
    assert.deepEqual([renewed.rooms.unsentCount, record.unsent.length], [0, 0]);
    assert.deepEqual([...ada.lies, ...renewed.lies], []);
  }
});

Deno.test("what is unsent when a running client takes up a new certificate is said once, by the new one or the old", async () => {
  for (const arrives of [0, 1]) {
    const { bench, ada, bob } = await pair();
    await bob.rooms.post("#ops", text("first"));
    await bench.settle();
    if (bob.session) bob.session.framesLeft = arrives; // the post, of which no answer comes
    await bob.rooms.post("#ops", text("pay 100"));
    await bench.settle();
    await bob.cut(bench);
    await bob.become("renewed");
    await bob.connect(bench);
    await bench.settle();
    assert.deepEqual(ada.texts("#ops"), ["first", "pay 100"], `${arrives} arrived`);
    assert.equal(bob.rooms.unsentCount, 0);
    assert.deepEqual([...ada.lies, ...bob.lies], []);
  }
});

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
  await ada.rooms.away(true);
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
  await bob.rooms.away(true);
  await bob.rooms.away(true);
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
  assert.ok(!bob.rooms.isAway);

  await bob.cut(bench);
  await bob.rooms.away(true);
  assert.ok(bob.rooms.isAway);
  await bob.connect(bench);
  await bench.settle();
  assert.deepEqual(states().slice(-2), ["offline", "away"]);
  await bob.cut(bench);
  await bob.rooms.post("#ops", text("written offline"));
  await bob.connect(bench);
  await bench.settle();
  assert.deepEqual(states().slice(-2), ["offline", "online"]);
  assert.deepEqual(bob.of("away").map(({ away }) => away), [true, false, true, false]);
  await bob.rooms.away(true);
  await bob.rooms.create("#dev", OPEN);
  assert.ok(!bob.rooms.isAway, "who comes into a room is here");
});

Deno.test("a room that one is in is not made again, and goes on", async () => {
  const { bench, ada, bob } = await pair();
  await assert.rejects(ada.rooms.create("#ops", OPEN), /in that room already/);
  await ada.rooms.post("#ops", text("still here"));
  await bench.settle();
  assert.deepEqual(bob.texts("#ops"), ["still here"]);
});

Deno.test("whose client it is, is known from its records before there is a connection", async () => {
  const bench = await RoomBench.create();
  const store = new MemoryClientStore();
  store.owner = "ada";
  const ada = await BenchClient.create(bench, "ada", { store });
  await ada.rooms.restore();
  assert.equal(ada.rooms.username, "ada");
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

Deno.test("who is in a room whose log is closed is told, and comes into the next log once the old is forgotten", async () => {
  const { bench, ada, bob } = await pair();
  await ada.rooms.post("#ops", text("the old log"));
  await ada.rooms.join("@ada,@bob");
  await bench.settle();
  const old = ada.rooms.monitor("#ops")?.checkpoint;
  await assert.rejects(ada.rooms.forget("#ops"), /The record of #ops is good: .* leave it with \/part/);
  await assert.rejects(ada.rooms.forget("#none"), /There is no record of #none here/);
  await bob.cut(bench); // he is away when it happens
  for (const room of ["#ops", "@ada,@bob"]) {
    await bench.store.closeLog((await ada.store.room(room)).pinned?.origin ?? "", 1);
  }
  await bench.hub.dropClosed();
  await bench.settle();
  assert.match(ada.of("left")[0]?.reason ?? "", /The server's operator has closed this room's log/);
  assert.deepEqual(ada.rooms.joined, []);
  const gone = /The server doesn.t have the log of this room any more: .* \/forget #ops puts its record aside/;
  await assert.rejects(ada.rooms.post("#ops", text("still here?")), gone);
  await assert.rejects(ada.rooms.join("#ops"), gone);
  await assert.rejects(
    ada.rooms.join("@ada,@bob"),
    /have the log of this room any more/,
    "though a join would begin another",
  );
  await ada.cut(bench);
  await ada.connect(bench);
  await assert.rejects(ada.rooms.create("#ops", OPEN), /a log of #ops already: .* \/forget #ops comes first/);
  await assert.rejects(ada.rooms.join("#ops"), gone);
  assert.equal(await ada.rooms.forget("#ops"), "#ops~1");
  assert.equal(ada.rooms.monitor("#ops"), undefined);
  assert.equal(ada.rooms.unsentCount, 0);
  await ada.rooms.create("#ops", OPEN);
  await ada.rooms.post("#ops", text("the new log"));
  await bench.settle();
  assert.deepEqual(ada.lies, []);
  assert.deepEqual(ada.texts("#ops"), ["the old log", "the new log"]);
  assert.equal(ada.rooms.monitor("#ops")?.state.roleOf("ada"), "owner");

  await bob.connect(bench);
  await bench.settle();
  assert.deepEqual(bob.lies, ["other log"]);
  await assert.rejects(bob.rooms.join("#ops"), /not trusted.*\/forget #ops puts its record aside, as evidence/);
  const again = await bench.client("bob", { store: bob.store });
  bench.clients.splice(bench.clients.indexOf(bob), 1);
  await bench.settle();
  assert.deepEqual([again.lies, again.rooms.joined], [["other log"], ["#ops"]], "told until it is forgotten");
  assert.equal(await again.rooms.forget("#ops"), "#ops~1");
  assert.deepEqual(again.rooms.joined, []);
  await again.rooms.join("#ops");
  await bench.settle();
  assert.deepEqual(again.texts("#ops"), ["the old log", "the new log"]);
  assert.deepEqual(again.lies, ["other log"], "no other than the old one");
  const [aside] = again.store.aside;
  assert.deepEqual((await aside?.read())?.lines.length, 3);
  assert.deepEqual((await aside?.read())?.checkpoints.at(-1), old);
});

Deno.test("a log that is closed while somebody's lines wait drops them, and one who comes in is refused", async () => {
  const { bench, ada, bob } = await pair();
  const origin = (await ada.store.room("#ops")).pinned?.origin ?? "";
  await bench.store.markForked(origin, 1);
  const again = await RoomBench.create(bench);
  again.clients.push(ada, bob);
  for (const client of [ada, bob]) await client.cut(bench);
  for (const client of [ada, bob]) await client.connect(again);
  await ada.rooms.post("#ops", text("may I?"));
  for (let i = 0; i < 4; i++) { // it is tried again and again
    await new Promise((resolve) => setTimeout(resolve, 5));
    await ada.arrived();
    for (const run of ada.later.splice(0)) run();
  }
  assert.deepEqual(ada.of("waiting").map(({ count }) => count), [1], "told once");
  assert.match(ada.of("waiting")[0]?.reason ?? "", /This room is read-only: the server has lost lines/);
  const carol = await again.client("carol");
  await assert.rejects(carol.rooms.join("#ops"), /read-only/);
  await bench.store.closeLog(origin, 2);
  await again.hub.dropClosed();
  await again.settle();
  assert.deepEqual([ada.of("dropped").length, ada.rooms.unsentCount, ada.of("left").length], [1, 0, 1]);
});

Deno.test("a certificate that is not the one that was asked for is not kept, and asked for again", async () => {
  const bench = await RoomBench.create();
  const ada = await bench.client("ada");
  await ada.rooms.create("#ops", OPEN);
  const { pem: wrong } = await personIdentity("mallory");
  const tamper: Tamper = (
    frame,
  ) => [frame.type === "certificate" && frame.fingerprint === ada.fingerprint ? { ...frame, pem: wrong } : frame];
  const bob = await bench.client("bob", { tamper });
  await bob.rooms.join("#ops");
  await bench.settle();
  assert.match(bob.lines("#ops")[0]?.bad ?? "", /no certificate of its author/);
  assert.equal(bob.store.certificates.get(ada.fingerprint), undefined);
  const carol = await bench.client("carol");
  await carol.rooms.join("#ops");
  await bench.settle();
  await carol.cut(bench);
  carol.store.certificates.set(ada.fingerprint, wrong); // as it was kept once
  const again = await bench.client("carol", { store: carol.store });
  await ada.rooms.post("#ops", text("hello"));
  await bench.settle();
  assert.deepEqual([again.lines("#ops").at(-1)?.bad, again.lies], [null, []]);
  assert.equal(carol.store.certificates.get(ada.fingerprint), ada.pem);
});

Deno.test("a certificate is kept in one spelling, whatever the server's", async () => {
  const bench = await RoomBench.create();
  const ada = await bench.client("ada");
  await ada.rooms.create("#ops", OPEN);
  const respell = (pem: string) => pem.replaceAll("\n", "\r\n");
  const tamper: Tamper = (
    frame,
  ) => [frame.type === "certificate" ? { ...frame, pem: respell(String(frame.pem)) } : frame];
  const bob = await bench.client("bob", { tamper });
  bob.store.certificates.set(ada.fingerprint, respell(ada.pem)); // as it was kept once
  await bob.rooms.join("#ops");
  await bench.settle();
  assert.deepEqual([bob.lines("#ops")[0]?.bad, bob.lies], [null, []]);
  assert.equal(bob.store.certificates.get(ada.fingerprint), ada.pem);
});

Deno.test("a certificate that can't be kept is used all the same, and that is told", async () => {
  const { bench, ada, bob } = await pair();
  bob.store.keepCertificate = () => Promise.reject(new Error("full"));
  const carol = await bench.client("carol");
  await carol.rooms.join("#ops");
  await carol.rooms.post("#ops", text("hello"));
  await ada.rooms.post("#ops", text("hello carol"));
  await bench.settle();
  assert.deepEqual(bob.texts("#ops"), ["hello", "hello carol"]);
  assert.deepEqual(bob.of("warning").map(({ message }) => message), ["A certificate could not be noted on the disk."]);
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

Deno.test("who parts is told of having left, who is put out by whom, and who is banned for how long, when they come back too", async () => {
  const { bench, ada, bob } = await pair();
  await bob.rooms.post("#ops", { kind: "part" });
  await bench.settle();
  await bob.rooms.join("#ops");
  await bench.settle();
  await ada.rooms.post("#ops", { kind: "kick", username: "bob" });
  await bench.settle();
  assert.deepEqual(bob.of("left").map(({ reason }) => reason), [
    "You have left it.",
    "ada removed you from this room.",
  ]);
  await bob.rooms.join("#ops");
  await bench.settle();
  const until = Math.floor(bench.clock.now() / 1000) + 7_200;
  const banned = `banned from this room until ${formatTime(1000 * until)}.`;
  await ada.rooms.post("#ops", { kind: "ban", username: "bob", until });
  await bench.settle();
  assert.equal(bob.of("left").at(-1)?.reason, `ada banned you from this room until ${formatTime(1000 * until)}.`);
  await assert.rejects(bob.rooms.join("#ops"), { message: `You are ${banned}` });
  await ada.rooms.post("#ops", { kind: "ban", username: "bob" });
  await bench.settle();
  await assert.rejects(bob.rooms.join("#ops"), { message: "You are banned from this room." });
});

Deno.test("who was banned while offline is told so on coming back", async () => {
  const { bench, ada, bob } = await pair();
  await bob.cut(bench);
  await ada.rooms.post("#ops", { kind: "ban", username: "bob" });
  await bench.settle();
  await bob.connect(bench);
  await bench.settle();
  assert.deepEqual(bob.of("left").map(({ reason }) => reason), ["You are banned from this room."]);
});
