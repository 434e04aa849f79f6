import { assert } from "./assert.ts";
import { RoomBench } from "./room_bench.ts";
import { pair, text } from "./room_pair.ts";

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
  await ada.until(() => ada.of("waiting").length > 0);
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
    if (isOnline) await bob.until(() => bob.of("waiting").length > 0);
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
