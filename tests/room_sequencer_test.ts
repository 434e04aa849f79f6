import type { Statement } from "../lib/log_envelope.ts";
import { assert } from "./assert.ts";
import { fixedClock } from "./fixtures.ts";
import { Person } from "./people.ts";
import { bench, heldCommits, nextTask, presence, room, together } from "./room_world.ts";

Deno.test("every member gets every line, the author too, in one order, once it is durable", async () => {
  const { hub, settle, ada, bob } = await room();
  for (const person of [ada, bob, ada, bob]) assert.equal(await person.say(hub, "#ops", "hello"), undefined);
  await settle();
  assert.deepEqual(ada.posted("#ops"), [0, 1, 2, 3, 4, 5]);
  assert.deepEqual(bob.posted("#ops"), [1, 2, 3, 4, 5], "nothing before the own join line");
});

Deno.test("nobody is told of a line before the store has it, and one transaction takes what came meanwhile", async () => {
  const { hub, store, settle, ada, bob } = await room();
  const held = heldCommits(store);
  const before = store.commits;
  await ada.say(hub, "#ops", "one");
  await held.reached;
  await ada.say(hub, "#ops", "two");
  await bob.say(hub, "#ops", "three");
  assert.deepEqual(ada.posted("#ops"), [0, 1]);
  held.release();
  await settle();
  assert.deepEqual(ada.posted("#ops"), [0, 1, 2, 3, 4]);
  assert.equal(store.commits - before, 2);
});

Deno.test("where the store fails, posts are refused with server-error, and go through when it is back", async () => {
  const { hub, store, settle, ada, bob } = await room();
  store.fail();
  const post = await ada.write("#ops", { kind: "text", text: "lost?" });
  assert.equal(await ada.ask(hub, { type: "post", ...post }, 9), undefined);
  await settle();
  assert.deepEqual(ada.heard.at(-1), { type: "error", code: "server-error", id: 9 });
  store.beforeCommit = () => {};
  assert.equal(await ada.ask(hub, { type: "post", ...post }), undefined);
  await settle();
  assert.deepEqual(bob.posted("#ops"), [1, 2]);
});

Deno.test("a line that is posted again is answered as before, and another in its place is replay", async () => {
  const { hub, settle, ada } = await room();
  const post = await ada.write("#ops", { kind: "text", text: "once" });
  const other = await ada.write("#ops", { kind: "text", text: "another" });
  assert.equal(await ada.ask(hub, { type: "post", ...post }), undefined);
  await settle();
  assert.equal(await ada.ask(hub, { type: "post", ...post }), undefined);
  assert.deepEqual(ada.posted("#ops"), [0, 1, 2, 2]);
  assert.equal(await ada.ask(hub, { type: "post", ...other }), "replay");
});

Deno.test("a line that is posted again while the store still writes it is told of once", async () => {
  const { hub, store, settle, ada } = await room();
  const held = heldCommits(store);
  const post = await ada.write("#ops", { kind: "text", text: "once" });
  assert.equal(await ada.ask(hub, { type: "post", ...post }), undefined);
  await held.reached;
  assert.equal(await ada.ask(hub, { type: "post", ...post }), undefined);
  held.release();
  await settle();
  assert.deepEqual(ada.posted("#ops"), [0, 1, 2]);
});

Deno.test("a line is refused for each thing that is wrong with it, and leaves the log as it was", async () => {
  const { hub, store, settle, ada, bob } = await room();
  const text: Statement = { kind: "text", text: "x" };
  const good = await ada.write("#ops", text);
  const bobs = await bob.write("#ops", text);
  const flipped = (bytes: Uint8Array<ArrayBuffer>, at: number) => bytes.map((byte, i) => i === at ? byte ^ 1 : byte);
  const cases: [string, Parameters<typeof ada.write>[2] & object | { sig: Uint8Array<ArrayBuffer> }][] = [
    ["replay", { seqno: 7 }],
    ["stale", { ts: fixedClock() + 300_001 }],
    ["stale", { ts: 5 }],
    ["old-epoch", { epoch: 9 }],
    ["bad-envelope", { ct: flipped(good.ct, 0) }],
    ["bad-envelope", { ct: flipped(good.ct, 40) }],
    ["bad-envelope", { ct: flipped(good.ct, 80) }],
    ["bad-envelope", { body: flipped(good.body, 20) }],
    ["bad-envelope", { seen: { size: 1, root: "0".repeat(64) } }],
    ["bad-envelope", { seen: { size: 99, root: "0".repeat(64) } }],
    ["sig-fail", { sig: bobs.sig }],
  ];
  const origin = ada.rooms.get("#ops")?.origin ?? "";
  for (const [code, change] of cases) {
    const post = await ada.write("#ops", text, change);
    assert.equal(await ada.ask(hub, { type: "post", ...post }), code, `${code} ${JSON.stringify(Object.keys(change))}`);
  }
  await settle();
  assert.equal(store.log(origin).lines.length, 2);
  assert.equal(await ada.ask(hub, { type: "post", ...good }), undefined);
});

Deno.test("until the store can be read again nobody is let in, and then all is as it was", async () => {
  const { hub, store, settle, ada } = await room({ inviteOnly: true });
  const eve = await Person.create("eve");
  const again = await Person.create("ada");
  store.fail();
  const lastLines = store.lastLines.bind(store);
  store.lastLines = () => Promise.reject(new Error("away"));
  const post = await ada.write("#ops", { kind: "text", text: "lost?" });
  assert.equal(await ada.ask(hub, { type: "post", ...post }), undefined);
  await hub.settled();
  for (const person of [again, eve]) {
    assert.equal(await person.ask(hub, { type: "join", room: "#ops" }), "server-error");
    assert.deepEqual(person.heard, []);
  }
  assert.equal(await ada.ask(hub, { type: "post", ...post }), "server-error", "neither replay nor taken");
  store.lastLines = lastLines;
  store.beforeCommit = () => {};
  await settle();
  await nextTask();
  assert.equal(await eve.ask(hub, { type: "join", room: "#ops" }), "forbidden");
  assert.equal(await again.ask(hub, { type: "join", room: "#ops" }), undefined);
  assert.equal(again.rooms.get("#ops")?.seqno, 1);
  assert.equal(await again.say(hub, "#ops", "not lost"), undefined);
});

Deno.test("lines that stand though the store's answer was lost are told, with their key and a head; the others are refused", async () => {
  const { hub, store, settle, ada, bob } = await room();
  const eve = await Person.create("eve");
  await eve.enter(hub, "#ops");
  await settle();
  const append = store.appendLines.bind(store);
  const stored = Promise.withResolvers<void>();
  const held = Promise.withResolvers<void>();
  store.appendLines = async (...all) => {
    store.appendLines = append;
    await append(...all);
    stored.resolve();
    await held.promise;
    throw new Error("the answer is lost");
  };
  await together(hub, [[ada, "before"], [ada, { kind: "ban", username: "eve" }]]);
  await stored.promise;
  await bob.say(hub, "#ops", "too late", 7);
  held.resolve();
  await settle();
  await settle();
  const origin = ada.rooms.get("#ops")?.origin ?? "";
  assert.ok(bob.heard.some((frame) => frame.type === "error" && frame.code === "server-error" && frame.id === 7));
  const told = [ada, bob, eve].map((one) => one.posted("#ops"));
  assert.deepEqual(told, [[0, 1, 2, 3, 4], [1, 2, 3, 4], [2, 3, 4]]);
  assert.deepEqual([ada, bob, eve].map((one) => one.rooms.get("#ops")?.epoch), [2, 2, 1]);
  assert.deepEqual([store.log(origin).lines.length, (await store.latestCheckpoint(origin))?.size], [5, 5]);
  assert.equal(presence(ada).at(-1), "eve online", "who is put out is told of no more");
});

Deno.test("a line that comes at any moment while the store is read again is answered", async () => {
  for (let turns = 0; turns < 12; turns++) {
    const { hub, store, settle, ada, bob } = await room();
    store.fail();
    const read = Promise.withResolvers<void>();
    const epochs = store.epochs.bind(store);
    store.epochs = async (...all) => (await read.promise, await epochs(...all));
    await ada.say(hub, "#ops", "lost");
    await nextTask();
    store.beforeCommit = () => {};
    const post = await bob.write("#ops", { kind: "text", text: "meanwhile" });
    read.resolve();
    for (let i = 0; i < turns; i++) await undefined;
    const refused = await bob.ask(hub, { type: "post", ...post });
    await settle();
    if (refused === undefined) assert.deepEqual(bob.posted("#ops"), [1, 2], `after ${turns}`);
    else assert.equal(refused, "server-error");
  }
});

Deno.test("lines that come together are written together, and nobody is told more or less than before", async () => {
  const { hub, store, settle } = await bench();
  const [ada, bob, eve] = await Promise.all(["ada", "bob", "eve"].map((name) => Person.create(name)));
  assert(ada && bob && eve);
  await ada.ask(hub, { type: "create", room: "#ops", mode: "recorded", history: "all", inviteOnly: false });
  for (const person of [ada, bob]) {
    await person.enter(hub, "#ops");
    await settle();
  }
  await eve.ask(hub, { type: "join", room: "#ops" });
  let rounds = 0;
  const append = store.appendLines.bind(store);
  store.appendLines = (...all) => {
    rounds += 1;
    return append(...all);
  };
  const lines: [Person, Statement | string][] = [
    [ada, "0 before eve"],
    [eve, { kind: "join", username: "eve" }],
    [ada, "1 with eve"],
    [ada, { kind: "kick", username: "bob" }],
    [ada, "2 without bob"],
  ];
  await together(hub, lines);
  await settle();
  assert.equal(rounds, 1);
  assert.deepEqual(ada.posted("#ops"), [0, 1, 2, 3, 4, 5, 6]);
  assert.deepEqual(bob.posted("#ops"), [1, 2, 3, 4, 5], "up to the line that puts him out");
  assert.deepEqual(eve.posted("#ops"), [3, 4, 5, 6], "from her own join line on");
});

Deno.test("many long lines at once leave in pieces, with time between them to write", async () => {
  const { hub, store, ada, bob } = await room();
  const pieces: number[] = [];
  const deliver = bob.deliver.bind(bob);
  bob.deliver = (bytes) => {
    pieces.push(bytes.length);
    deliver(bytes);
  };
  const before = store.commits;
  await together(hub, Array.from({ length: 30 }, () => [ada, "x".repeat(11_000)]));
  await hub.settled();
  assert.equal(bob.posted("#ops").length, 31);
  assert.ok(pieces.length > 5 && pieces.every((size) => size < 131_072), `${pieces}`);
  assert.equal(store.commits - before, pieces.length);
});
