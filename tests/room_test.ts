import { assert } from "./assert.ts";
import type { Clock } from "../lib/bytes.ts";
import { isCheckpointSigned, signCheckpoint } from "../lib/log_checkpoint.ts";
import type { Statement } from "../lib/log_envelope.ts";
import { encodeFrame } from "../lib/frame.ts";
import { Hub } from "../lib/room_hub.ts";
import { VerifyingKey } from "../lib/pss.ts";
import { verifyConsistency } from "../lib/log_tree.ts";
import { type PostFields, PRESENCE_MEMBERS } from "../lib/log_frames.ts";
import { parseHex } from "../lib/bytes.ts";
import { countingRandom, fixedClock, handClock, identities } from "./fixtures.ts";
import { MemoryRoomStore } from "./memory_room_store.ts";
import { Person } from "./people.ts";

interface Bench {
  readonly hub: Hub;
  readonly store: MemoryRoomStore;
  /** Runs what was put off, and waits for what was posted. */
  settle(): Promise<void>;
  readonly alarms: string[];
  /** The server's. */
  readonly certificate: { ends: number };
  /** What was put off and has not been run. */
  readonly later: readonly (() => void)[];
}

async function bench(
  now: Clock = fixedClock,
  store = new MemoryRoomStore(),
  revoked: ReadonlySet<string> = new Set(),
  turn: () => Promise<void> = () => Promise.resolve(),
  clock = { isDoubtful: false, latest: now, witness: (_account: string, _ts: number) => {} },
): Promise<Bench> {
  const { server } = await identities();
  const leaf = server.chain[0];
  const serverKey = new VerifyingKey(leaf?.rsa?.modulus ?? 0n);
  const later: (() => void)[] = [];
  const alarms: string[] = [];
  const certificate = { ends: Infinity };
  const hub = new Hub({
    store,
    devices: store,
    keys: { wrap: (key) => key, unwrap: (key) => key },
    signer: () => ({ key: server.key, fingerprint: leaf?.fingerprint ?? "", ...certificate }),
    serverName: "localhost",
    now,
    clock,
    random: countingRandom(),
    later: (_, run) => later.push(run),
    turn,
    serverKey: (fingerprint) => Promise.resolve(fingerprint === leaf?.fingerprint ? serverKey : undefined),
    revoked: (fingerprints) => Promise.resolve(fingerprints.filter((one) => revoked.has(one))),
    alarm: (message) => alarms.push(message),
  });
  const settle = async () => {
    await hub.settled();
    for (const run of later.splice(0)) run();
    await hub.settled();
  };
  return { hub, store, settle, alarms, certificate, later };
}

/** A room that ada made and both are in. */
async function room(policy: { history?: "all" | "since_join"; inviteOnly?: boolean } = {}) {
  const made = await bench();
  const [ada, bob] = [await Person.create("ada"), await Person.create("bob")];
  const { history = "all", inviteOnly = false } = policy;
  assert.equal(
    await ada.ask(made.hub, { type: "create", room: "#ops", mode: "recorded", history, inviteOnly }),
    undefined,
  );
  assert.equal(await ada.say(made.hub, "#ops", { kind: "join", username: "ada" }), undefined);
  await made.settle();
  if (!inviteOnly) {
    assert.equal(await bob.enter(made.hub, "#ops"), undefined);
    await made.settle();
  }
  return { ...made, ada, bob };
}

/** Posts lines of several people at once, so that they are written together. */
async function together(hub: Hub, lines: readonly (readonly [Person, Statement | string])[]): Promise<void> {
  const posts: [Person, PostFields][] = [];
  for (const [person, line] of lines) {
    posts.push([person, await person.write("#ops", typeof line === "string" ? { kind: "text", text: line } : line)]);
    person.rooms.get("#ops")!.seqno += 1;
  }
  const asked = posts.map(([person, post]) => person.ask(hub, { type: "post", ...post }));
  assert.deepEqual(await Promise.all(asked), posts.map(() => undefined));
}

Deno.test("every member gets every line, the author too, in one order, once it is durable", async () => {
  const { hub, settle, ada, bob } = await room();
  for (const person of [ada, bob, ada, bob]) assert.equal(await person.say(hub, "#ops", "hello"), undefined);
  await settle();
  assert.deepEqual(ada.posted("#ops"), [0, 1, 2, 3, 4, 5]);
  assert.deepEqual(bob.posted("#ops"), [1, 2, 3, 4, 5], "nothing before the own join line");
});

Deno.test("nobody is told of a line before the store has it, and one transaction takes what came meanwhile", async () => {
  const { hub, store, settle, ada, bob } = await room();
  const held = Promise.withResolvers<void>();
  store.beforeCommit = () => held.promise;
  const before = store.commits;
  await ada.say(hub, "#ops", "one");
  await new Promise((resolve) => setTimeout(resolve, 10));
  await ada.say(hub, "#ops", "two");
  await bob.say(hub, "#ops", "three");
  assert.deepEqual(ada.posted("#ops"), [0, 1]);
  held.resolve();
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
  const held = Promise.withResolvers<void>();
  store.beforeCommit = () => held.promise;
  const post = await ada.write("#ops", { kind: "text", text: "once" });
  assert.equal(await ada.ask(hub, { type: "post", ...post }), undefined);
  await new Promise((resolve) => setTimeout(resolve, 10));
  assert.equal(await ada.ask(hub, { type: "post", ...post }), undefined);
  held.resolve();
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

Deno.test("who has not joined gets no line and posts none", async () => {
  const { hub, settle, ada } = await room();
  const eve = await Person.create("eve");
  assert.equal(await eve.ask(hub, { type: "history", room: "#ops", from: 0, count: 9 }), "not-member");
  assert.equal(await eve.ask(hub, { type: "join", room: "#ops" }), undefined);
  assert.equal(await eve.say(hub, "#ops", "hello"), "not-member");
  await ada.say(hub, "#ops", "a secret");
  await settle();
  assert.deepEqual(eve.posted("#ops"), []);
  assert.equal(await eve.ask(hub, { type: "history", room: "#ops", from: 0, count: 9 }), "not-member");
  assert.equal(await eve.say(hub, "#ops", { kind: "join", username: "ada" }), "forbidden");
});

Deno.test("roles decide who may act, and a line of moderation takes effect at once", async () => {
  const { hub, settle, ada, bob } = await room();
  for (const kind of ["kick", "ban", "mute", "invite"] as const) {
    assert.equal(await bob.say(hub, "#ops", { kind, username: "ada" }), "forbidden", kind);
  }
  assert.equal(await bob.say(hub, "#ops", { kind: "topic", text: "mine" }), "forbidden");
  await ada.say(hub, "#ops", { kind: "role", username: "bob", role: "moderator" });
  assert.equal(await bob.say(hub, "#ops", { kind: "topic", text: "ours" }), undefined);
  assert.equal(await bob.say(hub, "#ops", { kind: "kick", username: "ada" }), "forbidden");
  await ada.say(hub, "#ops", { kind: "mute", username: "bob" });
  assert.equal(await bob.say(hub, "#ops", "hello"), "muted");
  await ada.say(hub, "#ops", { kind: "ban", username: "bob" });
  assert.equal(await bob.say(hub, "#ops", "hello"), "not-member");
  await settle();
  assert.equal(await bob.ask(hub, { type: "join", room: "#ops" }), "forbidden");
});

Deno.test("who is put out is told of it and of nothing after it, and what follows is under a new key", async () => {
  const { hub, settle, ada, bob } = await room();
  const [before] = [bob.rooms.get("#ops")?.epoch];
  await ada.say(hub, "#ops", { kind: "kick", username: "bob" });
  await ada.say(hub, "#ops", "between us");
  await settle();
  await ada.say(hub, "#ops", "under the new key");
  await settle();
  assert.equal(bob.posted("#ops").at(-1), 2, "the kick itself");
  assert.equal(bob.rooms.get("#ops")?.epoch, before);
  assert.equal(ada.rooms.get("#ops")?.epoch, (before ?? 0) + 1);
  assert.deepEqual(ada.posted("#ops"), [0, 1, 2, 3, 4]);
});

Deno.test("an account makes a hundred rooms and conversations a day, and another its own", async () => {
  const clock = handClock();
  const { hub, store } = await bench(clock.now);
  const [ada, bob] = [await Person.create("ada"), await Person.create("bob")];
  const make = (person: Person, name: string) =>
    person.ask(hub, { type: "create", room: name, mode: "recorded", history: "all", inviteOnly: false });
  for (let i = 0; i < 50; i++) {
    assert.equal(await make(ada, `#room-${i}`), undefined);
    assert.equal(await ada.ask(hub, { type: "join", room: `@ada,@eve-${i}` }), undefined);
  }
  const phone = await Person.create("ada", "phone");
  assert.equal(await make(phone, "#more"), "forbidden");
  assert.equal(await phone.ask(hub, { type: "join", room: "@ada,@bob" }), "forbidden");
  assert.equal(await phone.ask(hub, { type: "join", room: "#room-1" }), undefined);
  assert.equal((await store.listLogs()).length, 100);
  assert.equal(await bob.enter(hub, "@ada,@bob"), undefined);
  clock.advance(86_400_000);
  assert.equal(await make(phone, "#more"), undefined);
});

Deno.test("an invite-only room takes who was invited, and the invitation waits for the next login", async () => {
  const { hub, settle, ada, bob } = await room({ inviteOnly: true });
  assert.equal(await bob.ask(hub, { type: "join", room: "#ops" }), "forbidden");
  await ada.say(hub, "#ops", { kind: "invite", username: "bob" });
  await settle();
  await hub.attend(bob);
  assert.deepEqual(bob.heard.at(-1), { type: "invited", room: "#ops", from: "ada" });
  assert.equal(await bob.enter(hub, "#ops"), undefined);
});

Deno.test("who parts from an invite-only room may come back, who is kicked needs another invitation", async () => {
  const { hub, settle, ada, bob } = await room({ inviteOnly: true });
  const say = async (person: Person, statement: Statement) => {
    assert.equal(await person.say(hub, "#ops", statement), undefined);
    await settle();
  };
  await say(ada, { kind: "invite", username: "bob" });
  assert.equal(await bob.enter(hub, "#ops"), undefined);
  await settle();
  assert.equal(await ada.say(hub, "#ops", { kind: "invite", username: "bob" }), "forbidden", "he is a member");
  await say(ada, { kind: "kick", username: "bob" });
  assert.equal(await bob.ask(hub, { type: "join", room: "#ops" }), "forbidden", "a member, then kicked");
  await say(ada, { kind: "invite", username: "bob" });
  await say(ada, { kind: "kick", username: "bob" });
  assert.equal(await bob.ask(hub, { type: "join", room: "#ops" }), "forbidden", "invited, then kicked before he came");
  const about = { username: "bob" };
  await together(hub, [[ada, { kind: "invite", ...about }], [ada, { kind: "kick", ...about }]]);
  await settle();
  await hub.attend(bob);
  assert.notEqual(bob.heard.at(-1)?.type, "invited", "both are over");
  await say(ada, { kind: "invite", username: "bob" });
  assert.equal(await bob.enter(hub, "#ops"), undefined);
  await settle();
  for (const person of [bob, ada]) {
    await say(person, { kind: "part" });
    assert.equal(await person.enter(hub, "#ops"), undefined);
    await settle();
  }
});

Deno.test("two who begin their conversation at the same time are in one room", async () => {
  const { hub, settle, alarms } = await bench();
  const [ada, bob] = [await Person.create("ada"), await Person.create("bob")];
  const name = "@ada,@bob";
  const joined = [ada, bob].map((one) => one.ask(hub, { type: "join", room: name }));
  assert.deepEqual(await Promise.all(joined), [undefined, undefined]);
  for (const one of [ada, bob]) {
    assert.equal(await one.say(hub, name, { kind: "join", username: one.username }), undefined);
    await settle();
  }
  await ada.say(hub, name, "you too?");
  await settle();
  assert.deepEqual([ada.posted(name), bob.posted(name), alarms], [[0, 1, 2], [1, 2], []]);
});

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

Deno.test("of two who create a room at the same time one does, and the other is told that it is there", async () => {
  const { hub, settle } = await bench();
  const [ada, bob] = [await Person.create("ada"), await Person.create("bob")];
  const create = { type: "create", room: "#ops", mode: "recorded", history: "all", inviteOnly: false } as const;
  const asked = await Promise.all([ada, bob].map((one) => one.ask(hub, create)));
  assert.deepEqual(asked.toSorted(), ["forbidden", undefined]);
  const [first, second] = asked[0] === undefined ? [ada, bob] : [bob, ada];
  assert.equal(await first.say(hub, "#ops", { kind: "join", username: first.username }), undefined);
  await settle();
  assert.equal(await second.enter(hub, "#ops"), undefined);
  await settle();
  assert.deepEqual([first.posted("#ops"), second.posted("#ops")], [[0, 1], [1]]);
});

Deno.test("an invite-only room is its maker's alone until the first line stands", async () => {
  const { hub, store, settle } = await bench();
  const [ada, bob] = [await Person.create("ada"), await Person.create("bob")];
  const create = { type: "create", room: "#ops", mode: "recorded", history: "all", inviteOnly: true } as const;
  assert.equal(await ada.ask(hub, create), undefined);
  assert.equal(await bob.ask(hub, { type: "join", room: "#ops" }), "forbidden");
  await bob.ask(hub, { type: "rooms", from: "" });
  const listed = bob.heard.at(-1);
  assert(listed?.type === "rooms" && listed.rooms.length === 0);
  for (const person of [ada, bob]) hub.leave(person);
  await new Promise((resolve) => setTimeout(resolve)); // as a timer does it
  hub.dropIdle();
  assert.equal(await bob.ask(hub, { type: "join", room: "#ops" }), "forbidden", "while nobody is there, too");
  const again = await bench(fixedClock, store);
  assert.equal(await bob.ask(again.hub, { type: "join", room: "#ops" }), "forbidden", "after a restart, too");
  assert.equal(await ada.ask(hub, { type: "join", room: "#ops" }), undefined);
  assert.equal(await ada.say(hub, "#ops", { kind: "join", username: "ada" }), undefined);
  await settle();
  assert.equal(await bob.ask(hub, { type: "join", room: "#ops" }), "forbidden");
});

Deno.test("a room that can't be read is out of service, which the operator is told, and the others are not", async () => {
  const { hub, store, settle, alarms, ada, bob } = await room();
  await ada.ask(hub, { type: "create", room: "#dev", mode: "recorded", history: "all", inviteOnly: false });
  await settle();
  const other = await bench(fixedClock, store);
  const { epochs } = store;
  store.epochs = (origin, ...range) => {
    if (origin.includes("#ops")) throw new Error("the key can't be unwrapped");
    return epochs.call(store, origin, ...range);
  };
  assert.equal(await bob.ask(other.hub, { type: "join", room: "#ops" }), "server-error");
  assert.match(other.alarms.join(), /the room can't be read: the key can't be unwrapped/);
  assert.equal(await bob.ask(other.hub, { type: "rooms", from: "" }), undefined);
  const listed = bob.heard.at(-1);
  assert.deepEqual(listed?.type === "rooms" && listed.rooms.map(({ room }) => room), ["#dev"]);
  assert.deepEqual(alarms, []);
});

Deno.test("there is no conversation with somebody who has no account", async () => {
  const { hub, store } = await bench();
  store.nobody = "alcie";
  const ada = await Person.create("ada");
  assert.equal(await ada.ask(hub, { type: "join", room: "@ada,@alcie" }), "no-room");
  assert.equal(await ada.ask(hub, { type: "join", room: "@ada,@alice" }), undefined);
});

Deno.test("a conversation of two is made by either, told to the other, and closed to everybody else", async () => {
  const { hub, settle, ada, bob } = await room();
  const eve = await Person.create("eve");
  await hub.attend(bob);
  assert.equal(await ada.enter(hub, "@ada,@bob"), undefined);
  await settle();
  assert.deepEqual(bob.heard.at(-1), { type: "invited", room: "@ada,@bob", from: "ada" });
  assert.equal(await bob.enter(hub, "@ada,@bob"), undefined);
  assert.equal(await eve.ask(hub, { type: "join", room: "@ada,@bob" }), "no-room");
});

Deno.test("a redaction erases the body of one's own words, and of nothing else", async () => {
  const { hub, store, settle, ada, bob } = await room();
  await ada.say(hub, "#ops", "regretted");
  await settle();
  const origin = ada.rooms.get("#ops")?.origin ?? "";
  assert.equal(await bob.say(hub, "#ops", { kind: "redact", index: 2 }), "forbidden");
  assert.equal(await ada.say(hub, "#ops", { kind: "redact", index: 0 }), "forbidden", "a join line");
  assert.equal(await ada.say(hub, "#ops", { kind: "redact", index: 2 }), undefined);
  await settle();
  assert.equal(store.log(origin).lines[2]?.body, null);
  await bob.ask(hub, { type: "history", room: "#ops", from: 2, count: 1 });
  const shown = bob.heard.findLast((frame) => frame.type === "posted");
  assert.ok(shown?.type === "posted" && shown.index === 2 && shown.body === null);

  await ada.say(hub, "#ops", { kind: "device", fingerprint: bob.fingerprint });
  await ada.say(hub, "#ops", { kind: "head" });
  await settle();
  assert.equal(
    await ada.say(hub, "#ops", { kind: "redact", index: 3 }),
    "forbidden",
    "what says that words are erased",
  );
  assert.equal(await ada.say(hub, "#ops", { kind: "redact", index: 4 }), "forbidden", "a device line");
  assert.equal(await ada.say(hub, "#ops", { kind: "redact", index: 5 }), undefined);
});

Deno.test("checkpoints are signed, stored before they are told, and each extends the one before", async () => {
  const { hub, store, settle, ada, bob } = await room();
  for (let i = 0; i < 5; i++) {
    await ada.say(hub, "#ops", `line ${i}`);
    await settle();
  }
  const { server } = await identities();
  const key = new VerifyingKey(server.chain[0]?.rsa?.modulus ?? 0n);
  const origin = ada.rooms.get("#ops")?.origin ?? "";
  const told = bob.heard.flatMap((frame) => frame.type === "checkpoint" ? [frame.checkpoint] : []);
  assert.ok(told.length >= 5);
  assert.deepEqual(new Set(told.map(({ size }) => size)).size, told.length, "one root for one size");
  for (const [i, checkpoint] of told.entries()) {
    assert.ok(isCheckpointSigned(origin, checkpoint, key));
    assert.equal(await store.signedRoot(origin, checkpoint.size), checkpoint.root);
    const next = told[i + 1];
    if (!next) continue;
    await bob.ask(hub, { type: "consistency", room: "#ops", from: checkpoint.size, to: next.size });
    const proof = bob.heard.at(-1);
    assert.ok(proof?.type === "consistency");
    const head = ({ size, root }: { size: number; root: string }) => ({
      size,
      root: parseHex(root) ?? new Uint8Array(),
    });
    assert.ok(verifyConsistency(head(checkpoint), head(next), proof.hashes));
  }
});

Deno.test("lines that come while a checkpoint is stored are covered by the next, though no other line follows", async () => {
  const { hub, store, settle, ada, bob } = await room();
  const add = store.addCheckpoint.bind(store);
  store.addCheckpoint = async (origin, checkpoint) => {
    store.addCheckpoint = add;
    assert.equal(await bob.say(hub, "#ops", "meanwhile"), undefined);
    await new Promise((resolve) => setTimeout(resolve)); // as long as it takes until it stands
    return await add(origin, checkpoint);
  };
  assert.equal(await ada.say(hub, "#ops", "first"), undefined);
  await settle();
  await settle();
  const sizes = ada.heard.flatMap((frame) => frame.type === "checkpoint" ? [frame.checkpoint.size] : []);
  assert.deepEqual(sizes.slice(-2), [3, 4]);
});

Deno.test("when the server's certificate has ended no line is taken, and what stands is covered by the next one", async () => {
  const { hub, store, settle, certificate, ada, bob } = await room();
  const origin = ada.rooms.get("#ops")?.origin ?? "";
  assert.equal(await ada.say(hub, "#ops", "in time"), undefined);
  await hub.settled();
  certificate.ends = fixedClock();
  assert.equal(await ada.say(hub, "#ops", "too late"), "server-error");
  assert.equal(await bob.ask(hub, { type: "history", room: "#ops", from: 0, count: 9 }), undefined);
  await settle();
  assert.deepEqual([store.log(origin).lines.length, (await store.latestCheckpoint(origin))?.size], [3, 2]);
  certificate.ends = Infinity;
  await settle();
  await settle();
  assert.equal((await store.latestCheckpoint(origin))?.size, 3);
  assert.equal(await ada.say(hub, "#ops", "on time"), undefined);
});

Deno.test("who comes in makes no second head in one second", async () => {
  const { hub, store, settle, ada, bob } = await room();
  const { checkpoints } = store.log(ada.rooms.get("#ops")?.origin ?? "");
  const before = checkpoints.length;
  for (let i = 0; i < 3; i++) {
    await ada.say(hub, "#ops", `line ${i}`);
    await hub.settled();
    assert.equal(await bob.ask(hub, { type: "join", room: "#ops" }), undefined);
  }
  assert.equal(checkpoints.length, before);
  await settle();
  assert.deepEqual(checkpoints.slice(before).map(({ size }) => size), [5]);
});

/** A server on a database that was restored from a backup of two lines, and the head of five that ada holds. */
async function restored() {
  const first = await room();
  for (let i = 0; i < 3; i++) await first.ada.say(first.hub, "#ops", `line ${i}`);
  await first.settle();
  const { ada, bob, store } = first;
  const origin = ada.rooms.get("#ops")?.origin ?? "";
  const newest = await store.latestCheckpoint(origin);
  assert.equal(newest?.size, 5);
  const log = store.log(origin);
  log.lines.length = 2;
  log.checkpoints.length = 0;
  return { ...await bench(fixedClock, store), ada, bob, origin, newest };
}

Deno.test("a member's checkpoint that goes beyond the log makes the room read-only, for a server started again too", async () => {
  const first = await restored();
  const { ada, bob, store, origin, newest } = first;
  const second = await bench(fixedClock, store);
  assert.equal(await ada.ask(first.hub, { type: "join", room: "#ops", checkpoint: newest }), undefined);
  await first.settle();
  for (const { hub, alarms, settle } of [first, second]) {
    assert.equal(await bob.ask(hub, { type: "join", room: "#ops" }), undefined, "whose line stands may read");
    assert.equal(await bob.ask(hub, { type: "history", room: "#ops", from: 0, count: 9 }), undefined);
    assert.equal(await bob.say(hub, "#ops", "on a fork"), "server-error");
    const eve = await Person.create("eve");
    assert.equal(await eve.ask(hub, { type: "join", room: "#ops" }), "server-error", "who couldn't write a join line");
    await settle();
    assert.equal(alarms.length, 1);
    assert.match(alarms[0] ?? "", /read-only until the log is closed with: securechat room close/);
  }
  assert.equal(await store.latestCheckpoint(origin), undefined, "a head of it could be the second for one size");
  assert.equal(store.log(origin).lines.length, 2);
});

Deno.test("who is in an invite-only room by a line that was lost shows that it was", async () => {
  const { hub, ada, newest, store, origin } = await restored();
  const log = store.log(origin);
  log.room = { ...log.room, inviteOnly: true };
  const eve = await Person.create("eve");
  assert.equal(await eve.ask(hub, { type: "join", room: "#ops", checkpoint: newest }), "forbidden");
  await ada.ask(hub, { type: "join", room: "#ops" });
  assert.equal(await ada.say(hub, "#ops", "on a fork"), "server-error");
});

Deno.test("a checkpoint that this server never signed, or that the log extends, changes nothing", async () => {
  const { hub, store, settle, alarms, ada, bob } = await room();
  await settle();
  const origin = ada.rooms.get("#ops")?.origin ?? "";
  const { client, server } = await identities();
  const head = { size: 9, root: "0".repeat(64) };
  const fingerprint = server.chain[0]?.fingerprint ?? "";
  const own = await store.latestCheckpoint(origin);
  assert.ok(own);
  const checkpoints = [
    await signCheckpoint(origin, head, { key: client.key, fingerprint, time: 1 }),
    await signCheckpoint(origin, head, { key: client.key, fingerprint: bob.fingerprint, time: 1 }),
    await signCheckpoint(`${origin.slice(0, -1)}x`, head, { key: server.key, fingerprint, time: 1 }),
    { ...own, size: 9 },
    own,
  ];
  for (const checkpoint of checkpoints) {
    assert.equal(await bob.ask(hub, { type: "join", room: "#ops", checkpoint }), undefined);
    assert.equal(await bob.say(hub, "#ops", "still open"), undefined);
    await settle();
  }
  assert.deepEqual(alarms, []);
  assert.equal((await store.findRoom("#ops"))?.forkedAt, undefined);
});

Deno.test("a log that the operator has closed is let go of at the next look, and its name is free for another", async () => {
  const { hub, store, settle, later, ada, bob } = await room();
  await ada.enter(hub, "@ada,@bob");
  await ada.say(hub, "#ops", "the last line");
  await hub.settled();
  const origin = ada.rooms.get("#ops")?.origin ?? "";
  const direct = ada.rooms.get("@ada,@bob")?.origin ?? "";
  for (const one of [origin, direct]) await store.closeLog(one, 1);
  const late = await bob.write("#ops", { kind: "text", text: "too late" });
  assert.equal(await bob.ask(hub, { type: "post", ...late }, 7), undefined);
  await hub.settled();
  assert.deepEqual(bob.heard.at(-1), { type: "error", code: "server-error", id: 7 }, "before anybody has looked");
  assert.deepEqual((await hub.dropClosed()).toSorted(), [direct, origin].toSorted());
  assert.deepEqual(await hub.dropClosed(), []);
  const told = bob.heard.at(-1);
  assert.ok(told?.type === "closed" && told.room === "#ops" && /operator has closed/.test(told.reason));
  assert.equal((await store.latestCheckpoint(origin))?.size, 3, "every line got its head");
  assert.equal(await bob.ask(hub, { type: "post", ...late }), "no-room");
  assert.equal(await bob.ask(hub, { type: "join", room: "#ops" }), "no-room");
  for (const type of ["history", "keys"] as const) {
    assert.equal(
      await ada.ask(hub, { type, room: "@ada,@bob", from: 0, count: 1 }),
      "no-room",
      "reading makes nothing",
    );
  }
  await settle();
  assert.deepEqual(later, [], "nothing of the old log is tried again");

  assert.equal(await ada.enter(hub, "@ada,@bob"), undefined);
  const policy = { mode: "recorded", history: "all", inviteOnly: false } as const;
  assert.equal(await bob.ask(hub, { type: "create", room: "#ops", ...policy }), undefined);
  assert.equal(await bob.say(hub, "#ops", { kind: "join", username: "bob" }), undefined);
  await settle();
  assert.notEqual(bob.rooms.get("#ops")?.origin, origin);
  assert.notEqual(ada.rooms.get("@ada,@bob")?.origin, direct);
  assert.equal((await store.findRoom("#ops"))?.size, 1);
  assert.equal(store.log(origin).lines.length, 3);
});

Deno.test("what a server has in memory of a room follows from its store", async () => {
  const { hub, store, settle, ada, bob } = await room();
  await ada.say(hub, "#ops", { kind: "role", username: "bob", role: "moderator" });
  await ada.say(hub, "#ops", { kind: "topic", text: "incidents" });
  await ada.say(hub, "#ops", { kind: "mute", username: "bob" });
  await settle();
  const restarted = await bench(fixedClock, store);
  const again = await Person.create("bob");
  assert.equal(await again.ask(restarted.hub, { type: "join", room: "#ops" }), undefined);
  const joined = again.heard.find((frame) => frame.type === "joined");
  assert.ok(joined?.type === "joined" && joined.topic === "incidents" && joined.count === 5 && joined.nextSeqno === 1);
  assert.equal(await again.say(restarted.hub, "#ops", "hello"), "muted");
  void bob;
});

Deno.test("a room in which nobody is, with nothing to be stored, is let go of and read again", async () => {
  const { hub, store, settle, ada, bob } = await room();
  const [eve, findRoom] = [await Person.create("eve"), store.findRoom.bind(store)];
  let reads = 0;
  store.findRoom = (name) => {
    reads += 1;
    return findRoom(name);
  };
  /** Whether the room was let go of, when it was time to. */
  const isRead = async () => {
    await new Promise((resolve) => setTimeout(resolve)); // as a timer does it
    hub.dropIdle();
    const before = reads;
    assert.equal(await eve.ask(hub, { type: "history", room: "#ops", from: 0, count: 1 }), "not-member");
    return reads > before;
  };
  hub.leave(bob);
  assert.equal(await isRead(), false, "ada is there");
  assert.equal(await ada.say(hub, "#ops", "the last words"), undefined);
  hub.leave(ada);
  await hub.settled();
  assert.equal(await isRead(), false, "its head is still to be made");
  await settle();
  assert.equal(await isRead(), true);

  const held = Promise.withResolvers<void>();
  assert.equal(await bob.ask(hub, { type: "join", room: "#ops" }), undefined);
  store.beforeCommit = () => held.promise;
  assert.equal(await bob.say(hub, "#ops", { kind: "part" }), undefined);
  await new Promise((resolve) => setTimeout(resolve, 10));
  hub.leave(bob);
  assert.equal(await isRead(), false, "his line and the key after it are still to be stored");
  held.resolve();
  await settle();
  await settle();
  assert.equal(await isRead(), true);
  assert.equal(await ada.ask(hub, { type: "join", room: "#ops" }), undefined);
  assert.equal(await ada.say(hub, "#ops", "hello?"), undefined);
  await settle();
  assert.deepEqual([ada.posted("#ops").at(-1), presence(ada).at(-1)], [4, "ada online"]);
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
  await new Promise((resolve) => setTimeout(resolve));
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
  const held = Promise.withResolvers<void>();
  store.appendLines = async (...all) => {
    store.appendLines = append;
    await append(...all);
    await held.promise;
    throw new Error("the answer is lost");
  };
  await together(hub, [[ada, "before"], [ada, { kind: "ban", username: "eve" }]]);
  await new Promise((resolve) => setTimeout(resolve));
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

Deno.test("what follows from a line is so for the next server, though this one ended before it could tell anybody", async () => {
  const { hub, store, settle, ada, bob } = await room();
  assert.equal(await ada.say(hub, "#ops", "regretted"), undefined);
  await settle();
  const append = store.appendLines.bind(store);
  store.appendLines = async (...all) => {
    await append(...all);
    await new Promise(() => {}); // the program is killed
  };
  const acts: Statement[] = [
    { kind: "ban", username: "bob" },
    { kind: "invite", username: "eve" },
    { kind: "redact", index: 2 },
  ];
  await together(hub, acts.map((act) => [ada, act]));
  await new Promise((resolve) => setTimeout(resolve));

  store.appendLines = append;
  const next = await bench(fixedClock, store);
  const again = await Person.create("ada");
  assert.equal(await again.ask(next.hub, { type: "join", room: "#ops" }), undefined);
  assert.deepEqual([bob, again].map((one) => one.rooms.get("#ops")?.epoch), [1, 2]);
  const origin = ada.rooms.get("#ops")?.origin ?? "";
  assert.deepEqual(store.log(origin).lines.map(({ body }) => body === null), [false, false, true, false, false, false]);
  const eve = await Person.create("eve");
  await next.settle();
  await next.hub.attend(eve);
  assert.deepEqual(eve.heard, [{ type: "invited", room: "#ops", from: "ada" }]);
});

Deno.test("a room with many lines is read from the state that was stored with one of them, and is the same", async () => {
  const { hub, store, settle, ada, bob } = await room({ history: "since_join" });
  await ada.say(hub, "#ops", { kind: "mute", username: "bob" });
  await settle();
  for (let lines = 0; lines < 1_000; lines++) {
    if (lines % 50 === 0) await settle();
    assert.equal(
      await ada.say(hub, "#ops", lines % 100 === 7 ? { kind: "topic", text: `${lines}` } : "hello"),
      undefined,
    );
  }
  await settle();
  await settle();
  const log = store.log(ada.rooms.get("#ops")?.origin ?? "");
  assert.equal(log.state?.index, 1_000);

  const heard = async (readsAll: boolean) => {
    const asked: number[] = [];
    const actLines = store.actLines.bind(store);
    store.actLines = (origin, from, count) => (asked.push(from), actLines(origin, from, count));
    const next = await bench(fixedClock, store);
    const [again, muted] = [await Person.create("ada"), await Person.create("bob")];
    for (const one of [again, muted]) assert.equal(await one.ask(next.hub, { type: "join", room: "#ops" }), undefined);
    assert.equal(await muted.say(next.hub, "#ops", "psst"), "muted");
    assert.equal(await again.ask(next.hub, { type: "members", room: "#ops", from: 0 }), undefined);
    store.actLines = actLines;
    assert.equal(asked.length > 0, readsAll);
    return [again.heard, muted.heard, again.rooms.get("#ops")?.seqno, muted.rooms.get("#ops")?.seqno];
  };
  const fromState = await heard(false);
  const { state } = log;
  delete log.state;
  assert.deepEqual(fromState, await heard(true));
  assert.ok(state);
  log.state = { ...state, state: new Uint8Array(9) };
  assert.deepEqual(fromState, await heard(true), "a state that can't be read is none");
  log.state = { ...state, index: log.lines.length + 1 };
  assert.deepEqual(fromState, await heard(true), "acts that no head covers are read one by one");
  void bob;
});

Deno.test("a line that comes at any moment while the store is read again is answered", async () => {
  for (let turns = 0; turns < 12; turns++) {
    const { hub, store, settle, ada, bob } = await room();
    store.fail();
    const read = Promise.withResolvers<void>();
    const epochs = store.epochs.bind(store);
    store.epochs = async (...all) => (await read.promise, await epochs(...all));
    await ada.say(hub, "#ops", "lost");
    await new Promise((resolve) => setTimeout(resolve));
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

Deno.test("who is banned while coming in, or while asking for keys, gets no key", async () => {
  const { hub, store, settle, ada, bob } = await room({ history: "since_join" });
  const [addEpoch, lineBy] = [store.addEpoch.bind(store), store.lineBy.bind(store)];
  const [begun, found] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  store.addEpoch = async (...all) => (await begun.promise, await addEpoch(...all));
  store.lineBy = async (...all) => (await found.promise, await lineBy(...all));
  const phone = await Person.create("bob", "phone");
  const joining = phone.ask(hub, { type: "join", room: "#ops" });
  const asking = bob.ask(hub, { type: "keys", room: "#ops", from: 0 });
  await new Promise((resolve) => setTimeout(resolve));
  assert.equal(await ada.say(hub, "#ops", { kind: "ban", username: "bob" }), undefined);
  begun.resolve();
  assert.equal(await joining, "forbidden");
  assert.equal(phone.rooms.size, 0);
  await settle();
  found.resolve();
  assert.equal(await asking, "not-member");
});

Deno.test("a newer session of a certificate closes the older in the room", async () => {
  const { hub, settle, ada, bob } = await room();
  const twin = await Person.create("ada");
  assert.equal(await twin.ask(hub, { type: "join", room: "#ops" }), undefined);
  assert.equal(ada.ended, "unexpected");
  assert.equal(await ada.say(hub, "#ops", "x"), "not-member");
  hub.leave(ada);
  assert.deepEqual(presence(bob), ["bob online"], "ada is here all the time");
  await settle();
  hub.leave(twin);
  assert.equal(presence(bob).at(-1), "ada offline");
});

/** What somebody was told of who is here, in the order in which it came. */
function presence(person: Person, room = "#ops"): string[] {
  return person.heard.flatMap((frame) =>
    frame.type === "presence" && frame.room === room ? [`${frame.username} ${frame.state}`] : []
  );
}

Deno.test("who comes and goes is told by account, once for each change, and not to who is not in the room", async () => {
  const { hub, settle, ada, bob } = await room();
  assert.deepEqual(presence(ada), ["ada online", "bob online"]);
  const phone = await Person.create("bob", "phone");
  await phone.enter(hub, "#ops");
  await settle();
  await settle();
  hub.leave(bob);
  assert.deepEqual(presence(ada).slice(2), [], "one of bob's two sessions is still here");
  hub.leave(phone);
  assert.deepEqual(presence(ada).slice(2), ["bob offline"]);
  const eve = await Person.create("eve");
  await eve.ask(hub, { type: "join", room: "#ops" });
  hub.leave(eve);
  assert.deepEqual(presence(ada).slice(3), [], "who has not joined is no member");
  assert.deepEqual(presence(eve), []);
});

Deno.test("an account is away where all of its sessions are, and rooms that it comes into later know it", async () => {
  const { hub, settle, ada, bob } = await room();
  const phone = await Person.create("bob", "phone");
  await phone.enter(hub, "#ops");
  await settle();
  const say = async (person: Person, state: "away" | "online") => {
    assert.equal(await person.ask(hub, { type: "presence", state }, 7), undefined);
    assert.deepEqual(person.heard.at(-1), { type: "done" });
  };
  await say(bob, "away");
  assert.deepEqual(presence(ada).slice(2), []);
  await say(phone, "away");
  await say(phone, "away");
  assert.deepEqual(presence(ada).slice(2), ["bob away"]);
  await bob.ask(hub, { type: "members", room: "#ops", from: 0 });
  const listed = bob.heard.at(-1);
  assert.deepEqual(listed?.type === "members" && listed.members, [
    { username: "ada", role: "owner", online: true, state: "online" },
    { username: "bob", role: "member", online: true, state: "away" },
  ]);
  for (let flips = 0; flips < 100; flips++) await say(bob, flips % 2 === 0 ? "online" : "away");
  assert.deepEqual(presence(ada).slice(3), [], "it was told a moment ago");
  await settle();
  assert.deepEqual(presence(ada).slice(3), [], "what it was is what it is");
  await say(bob, "online");
  await say(bob, "away");
  await say(bob, "online");
  await settle();
  assert.deepEqual(presence(ada).slice(3), ["bob online"], "one state a second");
  await say(bob, "away");
  hub.leave(bob);
  hub.leave(phone);
  await settle();
  assert.equal(presence(ada).at(-1), "bob offline");

  await ada.enter(hub, "@ada,@bob");
  await settle();
  await say(bob, "away");
  await bob.ask(hub, { type: "join", room: "#ops" });
  await bob.enter(hub, "@ada,@bob");
  await settle();
  assert.deepEqual([presence(ada).at(-1), presence(ada, "@ada,@bob").at(-1)], ["bob away", "bob away"]);
});

Deno.test("a room that is being read keeps nobody waiting who isn't in it", async () => {
  const { hub, store, settle, ada, bob } = await room();
  const findRoom = store.findRoom.bind(store);
  const held = Promise.withResolvers<void>();
  store.findRoom = (name) => held.promise.then(() => findRoom(name));
  const joining = bob.ask(hub, { type: "join", room: "#other" });
  const away = ada.ask(hub, { type: "presence", state: "away" });
  const late = new Promise((resolve) => setTimeout(resolve, 50, "late"));
  assert.equal(await Promise.race([away, late]), undefined);
  hub.leave(ada);
  assert.equal(presence(bob).at(-1), "ada away");
  held.resolve();
  assert.equal(await joining, "no-room");
  await settle();
  assert.equal(presence(bob).at(-1), "ada offline");
  await away;
  await late;
});

Deno.test("who is put out is told of no more, and is told of again with the next join", async () => {
  const { hub, settle, ada, bob } = await room();
  const listed = async () => {
    await ada.ask(hub, { type: "rooms", from: "" });
    const page = ada.heard.at(-1);
    return page?.type === "rooms" ? page.rooms[0]?.members : undefined;
  };
  await ada.say(hub, "#ops", { kind: "kick", username: "bob" });
  await settle();
  assert.equal(await listed(), 1);
  assert.equal(await bob.enter(hub, "#ops"), undefined);
  await settle();
  assert.deepEqual(presence(ada).slice(2), ["bob online"]);
  await ada.say(hub, "#ops", { kind: "kick", username: "bob" });
  await settle();
  await bob.ask(hub, { type: "presence", state: "away" });
  assert.deepEqual(presence(ada).slice(3), []);
  assert.equal(await bob.enter(hub, "#ops"), undefined);
  await settle();
  assert.deepEqual(presence(ada).slice(3), ["bob away"]);
  const phone = await Person.create("bob", "phone");
  assert.equal(await phone.enter(hub, "#ops"), undefined);
  await settle();
  assert.deepEqual(presence(ada).slice(4), ["bob online"]);
  assert.equal(await listed(), 2, "an account is one member, whatever it comes with");
});

Deno.test("in a room of more than a hundred members nobody is told who comes and goes, and members says it", async () => {
  const { hub, store, settle, ada, bob } = await room();
  const origin = ada.rooms.get("#ops")?.origin ?? "";
  const join = async (username: string) => {
    const one = await Person.create(username, "", { keyOf: "bob" });
    await one.enter(hub, "#ops");
    return one;
  };
  for (let i = 3; i <= PRESENCE_MEMBERS; i++) await join(`member-${i}`);
  await settle();
  assert.equal(store.log(origin).lines.length, PRESENCE_MEMBERS);
  hub.leave(bob);
  assert.equal(presence(ada).at(-1), "bob offline", "with a hundred they are told");
  const told = presence(ada).length;
  const last = await join("one-too-many");
  await settle();
  hub.leave(last);
  await bob.ask(hub, { type: "join", room: "#ops" });
  assert.equal(presence(ada).length, told);
  await ada.ask(hub, { type: "members", room: "#ops", from: 0 });
  const page = ada.heard.at(-1);
  assert.ok(page?.type === "members" && page.members.length === PRESENCE_MEMBERS);
  assert.equal(page.members.find(({ username }) => username === "bob")?.state, "online");
  assert.equal(page.next, PRESENCE_MEMBERS);
  await last.ask(hub, { type: "join", room: "#ops" });
  assert.equal(await last.say(hub, "#ops", { kind: "part" }), undefined);
  await settle();
  hub.leave(bob);
  assert.deepEqual(presence(ada).slice(told), ["bob offline"], "with a hundred they are told again");
});

Deno.test("a list of rooms with long topics comes in pages, each of which is a frame that a client takes", async () => {
  const { hub, settle, ada } = await room();
  const names = Array.from({ length: 7 }, (_, i) => `#room-${i}`);
  for (const name of names) {
    await ada.ask(hub, { type: "create", room: name, mode: "recorded", history: "all", inviteOnly: false });
    await ada.say(hub, name, { kind: "join", username: "ada" });
    assert.equal(await ada.say(hub, name, { kind: "topic", text: "\u0001".repeat(2_600) }), undefined);
  }
  await settle();
  const listed: string[] = [];
  for (let from: string | undefined = ""; from !== undefined;) {
    await ada.ask(hub, { type: "rooms", from });
    const page = ada.heard.at(-1);
    assert.ok(page?.type === "rooms");
    const rooms = page.rooms.map(({ inviteOnly, ...fields }) => ({ ...fields, invite_only: inviteOnly }));
    assert.ok(encodeFrame({ type: "rooms", rooms, next: page.next ?? null }).length <= 65_536);
    listed.push(...page.rooms.map(({ room }) => room));
    from = page.next;
  }
  assert.deepEqual(listed, ["#ops", ...names]);
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

Deno.test("a line that would change nothing is refused, and one that changes something is not", async () => {
  const { hub, settle, ada, bob } = await room();
  const say = async (statement: Statement) => {
    const refused = await ada.say(hub, "#ops", statement);
    await settle();
    return refused ?? "taken";
  };
  const about = { username: "bob" };
  const cases: readonly (readonly [Statement, first: string, second: string])[] = [
    [{ kind: "join", username: "ada" }, "forbidden", "forbidden"],
    [{ kind: "invite", ...about }, "forbidden", "forbidden"],
    [{ kind: "topic", text: "deploys" }, "taken", "forbidden"],
    [{ kind: "role", ...about, role: "member" }, "forbidden", "forbidden"],
    [{ kind: "role", ...about, role: "moderator" }, "taken", "forbidden"],
    [{ kind: "mute", ...about, until: 1 }, "forbidden", "forbidden"],
    [{ kind: "mute", ...about }, "taken", "forbidden"],
    [{ kind: "mute", ...about, until: 0 }, "taken", "forbidden"],
    [{ kind: "ban", ...about, until: 0 }, "forbidden", "forbidden"],
    [{ kind: "kick", ...about }, "taken", "forbidden"],
    [{ kind: "ban", ...about }, "taken", "forbidden"],
    [{ kind: "ban", ...about, until: 0 }, "taken", "forbidden"],
    [{ kind: "invite", username: "eve" }, "taken", "forbidden"],
    [{ kind: "kick", username: "eve" }, "taken", "forbidden"],
  ];
  for (const [statement, first, second] of cases) {
    assert.equal(await say(statement), first, JSON.stringify(statement));
    assert.equal(await say(statement), second, `${JSON.stringify(statement)} again`);
  }
  assert.equal(await bob.enter(hub, "#ops"), undefined);
  await settle();
  assert.equal(await bob.say(hub, "#ops", { kind: "part" }), undefined);
  await settle();
  assert.equal(await say({ kind: "invite", ...about }), "taken", "he went by himself and is asked to come back");
  assert.equal(await say({ kind: "invite", ...about }), "forbidden");
});

Deno.test("a line is erased once, also when two such lines come together", async () => {
  const { hub, store, settle, ada } = await room();
  assert.equal(await ada.say(hub, "#ops", "regretted"), undefined);
  await settle();
  const redact: Statement = { kind: "redact", index: 2 };
  const posts = [await ada.write("#ops", redact), await ada.write("#ops", redact)];
  const second = await ada.write("#ops", redact, { seqno: (posts[0]?.seqno ?? 0) + 1 });
  const refused = await Promise.all(
    [posts[0], second].flatMap((post) => post ? [ada.ask(hub, { type: "post", ...post })] : []),
  );
  assert.deepEqual(refused, [undefined, "forbidden"]);
  await settle();
  assert.equal((await store.linesFrom(ada.rooms.get("#ops")?.origin ?? "", 2, 1))[0]?.body, null);
  assert.equal(await ada.ask(hub, { type: "post", ...second }), "forbidden", "it is erased already");
});

Deno.test("a room with many acts is read in pieces, and others have their turns in between", async () => {
  const made = await bench();
  const ada = await Person.create("ada");
  await ada.ask(made.hub, { type: "create", room: "#ops", mode: "recorded", history: "all", inviteOnly: false });
  assert.equal(await ada.say(made.hub, "#ops", { kind: "join", username: "ada" }), undefined);
  await made.settle();
  for (let i = 0; i < 450; i++) {
    assert.equal(await ada.say(made.hub, "#ops", { kind: "topic", text: `${i}` }), undefined);
  }
  await made.settle();
  let [turns, pieces] = [0, 0];
  const { store } = made;
  const actLines = store.actLines.bind(store);
  store.actLines = (origin, from, count) => {
    pieces += 1;
    return actLines(origin, from, count);
  };
  const again = await bench(fixedClock, store, new Set(), () => {
    turns += 1;
    return Promise.resolve();
  });
  assert.equal(await ada.ask(again.hub, { type: "join", room: "#ops" }), undefined);
  assert.deepEqual([pieces, turns], [3, 2]);
  const joined = ada.heard.findLast((frame) => frame.type === "joined");
  assert.equal(joined?.type === "joined" && joined.topic, "449");
});

Deno.test("while the clock is doubted lines are taken and get no head, and have one as soon as it is right", async () => {
  const clock = { isDoubtful: true, latest: fixedClock, witness: () => {} };
  const { hub, settle } = await bench(fixedClock, new MemoryRoomStore(), new Set(), undefined, clock);
  const ada = await Person.create("ada");
  await ada.ask(hub, { type: "create", room: "#ops", mode: "recorded", history: "all", inviteOnly: false });
  assert.equal(await ada.say(hub, "#ops", { kind: "join", username: "ada" }), undefined);
  await settle();
  const heads = () => ada.heard.filter(({ type }) => type === "checkpoint").length;
  assert.deepEqual([ada.posted("#ops"), heads()], [[0], 0]);
  clock.isDoubtful = false;
  await hub.makeHeads();
  await settle();
  assert.equal(heads(), 1);
});

Deno.test("the limit of rooms a day goes on over a restart", async () => {
  const store = new MemoryRoomStore();
  const ada = await Person.create("ada");
  const create = (hub: Hub, room: string) =>
    ada.ask(hub, { type: "create", room, mode: "recorded", history: "all", inviteOnly: false });
  const { hub } = await bench(fixedClock, store);
  for (let made = 0; made < 60; made++) assert.equal(await create(hub, `#one-${made}`), undefined);
  const { hub: next } = await bench(fixedClock, store);
  await next.countMade();
  for (let made = 0; made < 40; made++) assert.equal(await create(next, `#two-${made}`), undefined);
  assert.equal(await create(next, "#one-too-many"), "forbidden");
});

Deno.test("a line whose time is refused says something of the server's clock all the same", async () => {
  const heard: [string, number][] = [];
  const witness = (...said: [string, number]) => void heard.push(said);
  const store = new MemoryRoomStore();
  const made = await bench(fixedClock, store, new Set(), undefined, { isDoubtful: true, latest: fixedClock, witness });
  const ada = await Person.create("ada");
  const asked = { type: "create", room: "#ops", mode: "recorded", history: "all", inviteOnly: false } as const;
  assert.equal(await ada.ask(made.hub, asked), undefined);
  const join = await ada.write("#ops", { kind: "join", username: "ada" }, { ts: fixedClock() + 3_600_000 });
  assert.equal(await ada.ask(made.hub, { type: "post", ...join }), "stale");
  assert.deepEqual(heard, [["ada", fixedClock() + 3_600_000]]);
});
