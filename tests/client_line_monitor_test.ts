import { ONE_BY_ONE } from "../lib/line_signature.ts";
import { assert } from "./assert.ts";
import { OPEN, pair, text } from "./room_pair.ts";

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
