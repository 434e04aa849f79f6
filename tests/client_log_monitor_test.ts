import { assert } from "./assert.ts";
import { encrypt } from "../lib/aes_cbc.ts";
import { encodeBase64, encodeHex, parseBase64 } from "../lib/bytes.ts";
import { createAuthority, issueCertificate } from "../lib/ca.ts";
import { encodeEnvelope, type Statement } from "../lib/log_envelope.ts";
import { ONE_BY_ONE } from "../lib/line_signature.ts";
import { Pins } from "../lib/client_pins.ts";
import { publicKeyOf } from "../lib/private_key.ts";
import { importSigningKey, type SigningKey } from "../lib/pss.ts";
import { EMPTY_ROOT } from "../lib/log_tree.ts";
import { lineHashes, logHash, signRoomLine } from "../lib/log_line.ts";
import type { Signatures } from "../lib/client_line_monitor.ts";
import { LogMonitor } from "../lib/client_log_monitor.ts";
import { identities, issuing, key, NOW } from "./fixtures.ts";
import { BenchClient, personIdentity, RoomBench, type Tamper, type WireFrame } from "./room_bench.ts";

const text = (words: string) => ({ kind: "text", text: words } as const);

interface Scene {
  readonly bench: RoomBench;
  readonly ada: BenchClient;
  readonly bob: BenchClient;
}

/** Ada's room, with bob in it behind a link on which the server lies. */
async function scene(tamper: Tamper): Promise<Scene> {
  const bench = await RoomBench.create();
  const ada = await bench.client("ada");
  await ada.rooms.create("#ops", { history: "all", inviteOnly: false });
  await bench.settle();
  const bob = await bench.client("bob", { tamper });
  await bob.rooms.join("#ops");
  await bench.settle();
  return { bench, ada, bob };
}

async function say(client: BenchClient, bench: RoomBench, ...words: string[]): Promise<void> {
  for (const one of words) {
    await client.rooms.post("#ops", text(one));
    await bench.settle();
  }
}

const isPosted = (frame: WireFrame, index: number) => frame.type === "posted" && frame.index === index;

/** Whether the client has caught the server at that, once, and takes nothing of the room any more. */
async function caught({ bench, ada, bob }: Scene, lie: string): Promise<void> {
  assert.deepEqual(bob.lies, [lie]);
  const shown = bob.lines("#ops").length;
  await say(ada, bench, "is anybody there?");
  assert.equal(bob.lines("#ops").length, shown);
  await assert.rejects(bob.rooms.post("#ops", text("I do not know")), /not trusted/);
}

Deno.test("a line that is kept back is missed, and history that keeps it back too is a lie", async () => {
  const made = await scene((frame) => isPosted(frame, 2) ? [] : [frame]);
  await say(made.ada, made.bench, "one", "two", "three");
  await caught(made, "missing line");
});

Deno.test("a line that is kept back under closed ranks is found by its author's next", async () => {
  const made = await scene((frame) => {
    if (frame.type !== "posted" || (frame.index as number) < 2) return [frame];
    return frame.index === 2 ? [] : [{ ...frame, index: (frame.index as number) - 1 }];
  });
  await say(made.ada, made.bench, "one", "two");
  await caught(made, "wrong order");
});

Deno.test("two lines of two authors that are swapped don't give the signed head", async () => {
  let held: WireFrame | undefined;
  const made = await scene((frame) => {
    if (isPosted(frame, 3)) held = frame;
    if (isPosted(frame, 3) || frame.type === "checkpoint" && frame.size === 4) return [];
    if (isPosted(frame, 4) && held) return [{ ...frame, index: 3 }, { ...held, index: 4 }];
    return [frame];
  });
  const carol = await made.bench.client("carol");
  await carol.rooms.join("#ops");
  await made.bench.settle();
  assert.equal(made.bob.rooms.monitor("#ops")?.size, 3);
  await say(carol, made.bench, "first");
  await say(made.ada, made.bench, "second");
  await caught(made, "wrong head");
});

Deno.test("two lines of one author that are swapped are in the wrong order", async () => {
  let held: WireFrame | undefined;
  const made = await scene((frame) => {
    if (isPosted(frame, 2)) held = frame;
    if (isPosted(frame, 2)) return [];
    return isPosted(frame, 3) && held ? [{ ...frame, index: 2 }, { ...held, index: 3 }] : [frame];
  });
  await say(made.ada, made.bench, "first", "second");
  await caught(made, "wrong order");
});

const flipped = (base64: unknown, at: number) => {
  const bytes = parseBase64(String(base64)) ?? new Uint8Array(1);
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  return encodeBase64(bytes);
};

Deno.test("a line that is changed in any of its parts is caught", async () => {
  const changes: [string, (frame: WireFrame) => WireFrame][] = [
    ["invented line", (frame) => ({ ...frame, ts: (frame.ts as number) + 1 })],
    ["invented line", (frame) => ({ ...frame, sig: flipped(frame.sig, 9) })],
    ["replayed line", (frame) => ({ ...frame, ct: flipped(frame.ct, 0) })],
    ["changed line", (frame) => ({ ...frame, ct: flipped(frame.ct, 40) })],
    ["changed line", (frame) => ({ ...frame, ct: flipped(frame.ct, 80) })],
    ["changed line", (frame) => ({ ...frame, body: flipped(frame.body, 20) })],
    ["wrong order", (frame) => ({ ...frame, seqno: 7 })],
  ];
  for (const [lie, change] of changes) {
    const made = await scene((frame) => [isPosted(frame, 2) ? change(frame) : frame]);
    await say(made.ada, made.bench, "pay 10");
    const line = made.bob.lines("#ops").find(({ index }) => index === 2);
    assert.notEqual(line?.bad, null, "it is shown as bad");
    await caught(made, lie);
  }
});

Deno.test("a line that comes again is the same line, or the server is caught", async () => {
  const made = await scene((frame) => isPosted(frame, 2) ? [frame, frame] : [frame]);
  await say(made.ada, made.bench, "once");
  assert.deepEqual(made.bob.lies, []);
  assert.deepEqual(made.bob.texts("#ops"), ["once"]);
  const other = await scene((frame) => isPosted(frame, 2) ? [frame, { ...frame, seqno: 8 }] : [frame]);
  await say(other.ada, other.bench, "once");
  await caught(other, "changed line");
});

Deno.test("a line of another room is no line of this one, whoever signed it", async () => {
  let foreign: WireFrame | undefined;
  const made = await scene((frame) =>
    isPosted(frame, 2) && foreign ? [{ ...foreign, room: "#ops", index: 2 }] : [frame]
  );
  const eve = await made.bench.client("eve", {
    tamper: (frame) => {
      if (frame.type === "posted" && frame.room === "#dev" && frame.index === 1) foreign = frame;
      return [frame];
    },
  });
  await made.ada.rooms.create("#dev", { history: "all", inviteOnly: false });
  await made.bench.settle();
  await made.ada.rooms.post("#dev", text("yes, do it"));
  await made.bench.settle();
  await eve.rooms.join("#dev");
  await made.bench.settle();
  assert.ok(foreign);
  await say(made.ada, made.bench, "no, don't");
  await caught(made, "replayed line");
});

Deno.test("the line that is due is taken, however many came before their turn", async () => {
  const { trust } = await identities();
  const [origin, roomKey] = [`localhost/#ops/${"0".repeat(32)}`, new Uint8Array(16)];
  const lies: string[] = [];
  const view = new LogMonitor({
    ...{ room: "#ops", origin, history: "all", own: "a".repeat(64), pins: new Pins(), now: () => NOW },
    trust: () => Promise.resolve(trust),
    ask: {
      certificate: () => Promise.reject(new Error("not now")),
      inclusion: () => Promise.resolve(undefined),
      consistency: () => Promise.resolve(undefined),
      head: () => Promise.resolve(undefined),
    },
    emit: (event) => event.event === "lie" && lies.push(event.lie),
    keep: () => Promise.resolve(),
  });
  view.takeKey(1, roomKey);
  const seen = { size: 0, root: encodeHex(EMPTY_ROOT) };
  const envelope = encodeEnvelope({ room: "#ops", seen, statement: text("hello"), salt: roomKey });
  const body = encrypt(roomKey, new Uint8Array(16), envelope);
  const ct = lineHashes({ log: logHash(origin), envelope, body });
  const sig = new Uint8Array(256);
  const take = (index: number) =>
    view.take({ room: "#ops", index, epoch: 1, from: "b".repeat(64), seqno: index, ts: 5, ct, sig, body });
  for (let index = 10; index < 5_000; index++) take(index); // said while history is on its way
  for (let index = 0; index < 10; index++) take(index);
  view.missed(0);
  assert.deepEqual([lies, view.size], [[], 4_106]);
  await view.settled();
});

Deno.test("an old head after a newer one is a lie", async () => {
  let old: WireFrame | undefined;
  const made = await scene((frame) => {
    if (frame.type !== "checkpoint") return [frame];
    const before = old;
    old ??= frame;
    return frame.size === 4 && before ? [frame, before] : [frame];
  });
  await say(made.ada, made.bench, "one", "two");
  await caught(made, "old head");
});

Deno.test("a head that this log's server did not sign is a lie", async () => {
  for (const change of [{ root: "0".repeat(64) }, { size: 5 }, { time: 7 }]) {
    const made = await scene((
      frame,
    ) => [frame.type === "checkpoint" && frame.size === 3 ? { ...frame, ...change } : frame]);
    await say(made.ada, made.bench, "one");
    await caught(made, "unsigned head");
  }
});

Deno.test("a line that a server which has the room's key makes up for an author is not signed by that author", async () => {
  let room: { origin: string; key: Uint8Array<ArrayBuffer> } | undefined;
  const invent: Tamper = async (frame) => {
    if (frame.type === "joined") {
      const sealed = JSON.parse(new TextDecoder().decode(parseBase64(String(frame.key)) ?? undefined));
      room = { origin: String(frame.origin), key: parseBase64(sealed.key) ?? new Uint8Array(16) };
    }
    if (!isPosted(frame, 2) || !room) return [frame];
    const seen = { size: 0, root: encodeHex(EMPTY_ROOT) };
    const salt = new Uint8Array(16);
    const envelope = encodeEnvelope({ room: "#ops", seen, statement: text("I resign"), salt });
    const body = encrypt(room.key, new Uint8Array(16), envelope);
    const author = {
      key: await importSigningKey(await key("server")),
      fingerprint: String(frame.from),
      seqno: frame.seqno as number,
      ts: frame.ts as number,
    };
    const line = await signRoomLine({ log: logHash(room.origin), envelope, body }, author);
    return [{
      ...frame,
      ct: encodeBase64(line.body),
      sig: encodeBase64(line.signature),
      body: encodeBase64(body),
    }];
  };
  const made = await scene(invent);
  await say(made.ada, made.bench, "I stay");
  assert.ok(!made.bob.lines("#ops").some(({ text, bad }) => text === "I resign" && bad === null));
  await caught(made, "invented line");
});

/** Shows a room's member a line that somebody has signed and that is in no log of the server. */
async function slip(
  { rooms, store }: BenchClient,
  author: { readonly fingerprint: string; readonly key: SigningKey },
  statement: Statement,
  seqno = 0,
): Promise<void> {
  const [view, record] = [rooms.monitor("#ops"), await store.room("#ops")];
  assert.ok(view?.epoch && record.pinned);
  const envelope = encodeEnvelope({ room: "#ops", seen: view.seen(), statement, salt: new Uint8Array(16) });
  const body = encrypt(view.epoch.key, new Uint8Array(16), envelope);
  const line = await signRoomLine({ log: logHash(record.pinned.origin), envelope, body }, {
    ...author,
    seqno,
    ts: 5,
  });
  view.take({
    ...{ room: "#ops", index: view.size, epoch: view.epoch.epoch, from: author.fingerprint, seqno, ts: 5 },
    ...{ ct: line.body, sig: line.signature, body },
  });
}

Deno.test("an author whom no CA has signed is made up", async () => {
  const mallory = await mallorys();
  const made = await scene((frame) => [frame]);
  await made.bench.store.keepCertificate(mallory.fingerprint, mallory.pem);
  await slip(made.bob, mallory, { kind: "join", username: "mallory" });
  await made.bench.settle();
  assert.deepEqual(made.bob.lies, ["invented line"]);
});

Deno.test("a line whose author's certificate had ended is bad, and is after a restart", async () => {
  const { bench, bob } = await scene((frame) => [frame]);
  const { chain: [leaf], pem, key } = await personIdentity("eve", "old", NOW - 1);
  const eve = { fingerprint: leaf?.fingerprint ?? "", key };
  await bench.store.keepCertificate(eve.fingerprint, pem);
  await slip(bob, eve, { kind: "join", username: "eve" });
  await bench.settle();
  const reason = bob.lines("#ops").at(-1)?.bad;
  assert.match(reason ?? "", /expired/);
  assert.deepEqual(bob.lies, []);
  await bob.cut(bench);
  const again = await BenchClient.create(bench, "bob", { store: bob.store });
  await again.rooms.restore();
  assert.deepEqual(again.lines("#ops").map(({ bad }) => bad), [null, null, reason]);
});

Deno.test("a line is bad whose author's certificate had ended when it was covered, and is after a restart", async () => {
  let isHidden = true;
  const { bench, bob } = await scene((frame) => isHidden && frame.type === "checkpoint" ? [] : [frame]);
  const eve = await bench.client("eve", { device: "ending", ends: bench.clock.now() + 60_000 });
  await eve.rooms.join("#ops");
  await bench.settle();
  assert.equal(bob.lines("#ops").at(-1)?.bad, null);
  isHidden = false;
  bench.clock.advance(90_000);
  await bob.rooms.post("#ops", text("covered with hers"));
  await bench.settle();
  const [ended, ...more] = bob.of("bad_line");
  assert.match(ended?.reason ?? "", /expired/);
  assert.deepEqual([ended?.index, more], [2, []]);
  await bob.cut(bench);
  const again = await bench.client("bob", { store: bob.store });
  assert.deepEqual(again.lines("#ops").map(({ bad }) => bad), [null, null, ended?.reason, null]);
});

/** Ada's room with bob in it, and mallory's certificate, which bob knows as mallory's from another room. */
async function withMallory(signatures?: Signatures) {
  const bench = await RoomBench.create();
  const ada = await bench.client("ada");
  const bob = await bench.client("bob", signatures ? { signatures } : {});
  const { fingerprint, rooms } = await bench.client("mallory");
  for (const room of ["#ops", "#dev"]) {
    await ada.rooms.create(room, { history: "all", inviteOnly: false });
    await bench.settle();
    await bob.rooms.join(room);
    await bench.settle();
  }
  await rooms.join("#dev");
  await bench.settle();
  return { bench, ada, bob, mallory: { fingerprint, key: (await personIdentity("mallory")).key } };
}

Deno.test("who joins under somebody else's name has neither the name nor the role, after a restart neither", async () => {
  const { bench, ada, bob, mallory } = await withMallory();
  const acts: Statement[] = [
    { kind: "join", username: "ada" },
    text("transfer the money"),
    { kind: "topic", text: "ada's orders" },
    { kind: "role", username: "ada", role: "member" },
  ];
  for (const [seqno, act] of acts.entries()) await slip(bob, mallory, act, seqno);
  await bench.settle();
  await ada.rooms.post("#dev", text("here as well"));
  await bench.settle();
  await bob.cut(bench);
  const again = await BenchClient.create(bench, "bob", { store: bob.store });
  await again.rooms.restore();
  for (const client of [bob, again]) {
    const [join, ...others] = client.lines("#ops").slice(2);
    assert.equal(join?.bad, "The author's certificate was somebody else's before.");
    assert.deepEqual(others.map(({ username }) => username), ["mallory", "mallory", "mallory"], "as in another room");
    assert.deepEqual(new Set(others.map(({ bad }) => bad)), new Set(["The author was not in the room."]));
    const state = client.rooms.monitor("#ops")?.state;
    assert.deepEqual([state?.topic, state?.roleOf("ada"), state?.memberCount], ["", "owner", 2]);
    assert.deepEqual(client.lies, []);
  }
});

Deno.test("a line that was shown unchecked under a name that its author doesn't have is shown again without it", async () => {
  let busy = Promise.resolve();
  const check = (batch: Parameters<typeof ONE_BY_ONE.check>[0]) => busy.then(() => ONE_BY_ONE.check(batch));
  const { bench, bob, mallory } = await withMallory({ check });
  const { promise, resolve } = Promise.withResolvers<void>();
  busy = promise;
  await slip(bob, mallory, { kind: "join", username: "ada" });
  for (let seqno = 1; seqno <= 300; seqno++) await slip(bob, mallory, text(`${seqno}`), seqno);
  resolve();
  for (let i = 0; i < 9 && bob.of("line").at(-1)?.index !== 302; i++) await bench.settle();
  await bench.settle();
  const shown = bob.lines("#ops").filter(({ kind, unchecked }) => kind === "text" && unchecked);
  assert.deepEqual([...new Set(shown.map(({ username }) => username))], ["ada"]);
  const last = new Map(bob.lines("#ops").map((line) => [line.index, line]));
  for (const { index } of shown) {
    assert.deepEqual([last.get(index)?.username, last.get(index)?.bad === null], ["mallory", false]);
  }
});

Deno.test("acts under a certificate that had ended put nobody out, and change nothing", async () => {
  const { bench, bob } = await scene((frame) => [frame]);
  const { chain: [leaf], pem, key } = await personIdentity("ada", "ended", NOW - 1);
  const old = { fingerprint: leaf?.fingerprint ?? "", key };
  await bench.store.keepCertificate(old.fingerprint, pem);
  const acts: Statement[] = [
    { kind: "join", username: "ada" },
    { kind: "topic", text: "gone" },
    { kind: "kick", username: "bob" },
  ];
  for (const [seqno, act] of acts.entries()) await slip(bob, old, act, seqno);
  await bench.settle();
  assert.ok(bob.lines("#ops").slice(2).every(({ bad }) => bad !== null));
  assert.deepEqual(bob.of("left"), []);
  await bob.cut(bench);
  const again = await BenchClient.create(bench, "bob", { store: bob.store });
  await again.rooms.restore();
  for (const { rooms } of [bob, again]) {
    const state = rooms.monitor("#ops")?.state;
    assert.deepEqual([state?.topic, state?.isMember("bob"), state?.memberCount], ["", true, 2]);
  }
});

Deno.test("what was said under a certificate that has ended since counts for who comes late, and is bad without a head", async () => {
  const bench = await RoomBench.create();
  const { latestCheckpoint } = bench.store;
  bench.store.latestCheckpoint = (origin, by) =>
    by === undefined ? latestCheckpoint.call(bench.store, origin) : Promise.resolve(undefined);
  const ada = await bench.client("ada", { device: "of earlier days", ends: bench.clock.now() + 60_000 });
  const bob = await bench.client("bob");
  await ada.rooms.create("#ops", { history: "all", inviteOnly: false });
  await bench.settle();
  await bob.rooms.join("#ops");
  await bench.settle();
  await ada.rooms.post("#ops", { kind: "role", username: "bob", role: "moderator" });
  await bench.settle();
  bench.clock.advance(90_000);
  await bob.rooms.post("#ops", { kind: "topic", text: "bob's watch" });
  await bench.settle();
  const carol = await bench.client("carol");
  await carol.rooms.join("#ops");
  await bench.settle();
  await carol.cut(bench);
  const again = await BenchClient.create(bench, "carol", { store: carol.store });
  await again.rooms.restore();
  for (const client of [bob, carol, again]) {
    const isLate = client !== bob;
    assert.deepEqual(client.lines("#ops").slice(0, 4).map(({ username, bad }) => [username, bad !== null]), [
      ["ada", isLate],
      ["bob", false],
      ["ada", isLate],
      ["bob", false],
    ]);
    const state = client.rooms.monitor("#ops")?.state;
    assert.deepEqual([state?.topic, state?.roleOf("ada"), state?.roleOf("bob")], ["bob's watch", "owner", "moderator"]);
  }
});

Deno.test("what was said under a certificate that has ended since is good after an end in the middle of catching up", async () => {
  const bench = await RoomBench.create();
  const ada = await bench.client("ada");
  await ada.rooms.create("#ops", { history: "all", inviteOnly: false });
  await bench.settle();
  const eve = await bench.client("eve", { device: "ended in the middle", ends: bench.clock.now() + 60_000 });
  await eve.rooms.join("#ops");
  await bench.settle();
  await eve.cut(bench);
  await say(ada, bench, "on its way");
  bench.clock.advance(90_000);
  await say(ada, bench, "later");
  const bob = await bench.client("bob", { tamper: (frame) => isPosted(frame, 2) ? [] : [frame] });
  const { session } = bob;
  assert.ok(session);
  const request = session.request.bind(session);
  session.request = (frame) => frame.type === "history" && frame.from !== 0 ? undefined : request(frame);
  const joining = bob.rooms.join("#ops").catch(() => {});
  await bench.settle();
  assert.equal(bob.rooms.monitor("#ops")?.size, 2);
  await bob.cut(bench);
  await joining;
  bench.clients.splice(bench.clients.indexOf(bob), 1);
  const again = await bench.client("bob", { store: bob.store });
  await bench.settle();
  assert.deepEqual([bob, again].flatMap(({ lies }) => lies), []);
  assert.deepEqual([again.rooms.monitor("#ops")?.size, again.of("bad_line")], [5, []]);
});

Deno.test("words that a crash kept on the disk after their redaction are erased at the next start, and not shown", async () => {
  const { bench, ada, bob } = await scene((frame) => [frame]);
  await say(ada, bench, "my password is hunter2");
  const record = await bob.store.room("#ops");
  const words = record.lines[2];
  await ada.rooms.post("#ops", { kind: "redact", index: 2 });
  await bench.settle();
  assert.ok(words?.envelope);
  assert.equal(record.lines[2]?.envelope, null);
  record.lines[2] = words;
  await bob.cut(bench);
  const again = await BenchClient.create(bench, "bob", { store: bob.store });
  await again.rooms.restore();
  assert.deepEqual(again.lines("#ops").map(({ text, erased }) => [text, erased])[2], [null, true]);
  assert.deepEqual(
    again.rooms.monitor("#ops")?.describe(2, words)?.text,
    null,
    "from a disk that takes no writes neither",
  );
  assert.equal(record.lines[2]?.envelope, null);
});

Deno.test("a line is accepted by the first head that covered it, after a restart too", async () => {
  const { bench, ada, bob } = await scene((frame) => [frame]);
  await say(ada, bench, "said on Monday");
  bench.clock.advance(86_400_000);
  await say(ada, bench, "said on Tuesday");
  const times = [2, 3].map((index) => bob.of("covered").find(({ size }) => size > index)?.time);
  await bob.cut(bench);
  const again = await BenchClient.create(bench, "bob", { store: bob.store });
  await again.rooms.restore();
  assert.deepEqual(again.lines("#ops").slice(2).map(({ by }) => by), times);
  assert.ok(Number(times[1]) - Number(times[0]) >= 86_400);
  assert.equal(again.rooms.monitor("#ops")?.covered, 4);
});

Deno.test("a vouch in a line that is not good counts for nothing, after a restart neither", async () => {
  const { bench, ada, bob } = await scene((frame) => [frame]);
  await ada.rooms.create("#dev", { history: "all", inviteOnly: false });
  await bench.settle();
  await bob.rooms.join("#dev");
  const [phone, thief] = [
    await bench.client("ada", { device: "phone" }),
    await bench.client("ada", { device: "thief" }),
  ];
  for (const device of [phone, thief]) {
    await device.rooms.join("#dev");
    await bench.settle();
  }
  await ada.rooms.post("#dev", { kind: "device", fingerprint: phone.fingerprint });
  await bench.settle();
  // Phone is known, but is not in #ops.
  const { key } = await personIdentity("ada", "phone");
  await slip(bob, { fingerprint: phone.fingerprint, key }, { kind: "device", fingerprint: thief.fingerprint });
  await bench.settle();
  assert.equal(bob.lines("#ops").at(-1)?.bad, "The author was not in the room.");
  const standings = ["first", "vouched", "new"];
  assert.deepEqual((await bob.rooms.devices("ada")).map(({ standing }) => standing), standings);
  await bob.cut(bench);
  const again = await bench.client("bob", { store: bob.store });
  assert.equal(again.lines("#ops").at(-1)?.kind, "device");
  assert.deepEqual((await again.rooms.devices("ada")).map(({ standing }) => standing), standings);
});

async function mallorys() {
  const authority = await createAuthority("Another CA", await key("another ca"), issuing);
  const request = { role: "client", name: "mallory", publicKey: publicKeyOf(await key("mallory")) } as const;
  const leaf = await issueCertificate(authority, request, issuing);
  return { fingerprint: leaf.fingerprint, pem: leaf.pem, key: await importSigningKey(await key("mallory")) };
}

Deno.test("a server that shows two members different logs is caught when it mixes them", async () => {
  const made = await scene((frame) => [frame]);
  const { bench, ada, bob } = made;
  const split = await RoomBench.create(bench, structuredCloneOf(bench));
  await bob.cut(bench);
  await bob.connect(split);
  await split.settle();
  await say(ada, bench, "to ada's friends");
  await bob.rooms.post("#ops", text("to bob's"));
  await split.settle();
  for (const client of split.clients) await client.arrived();
  assert.deepEqual([ada.lies, bob.lies], [[], []], "members kept wholly apart can't know");
  await bob.cut(split);
  await bob.connect(bench);
  await bench.settle();
  assert.equal(bob.lies.length, 1);
  assert.ok(["fork", "old head", "wrong head"].includes(bob.lies[0] ?? ""), bob.lies[0]);
});

/** The store as it is now: what becomes of one of them is not known to the other. */
function structuredCloneOf({ store }: RoomBench): RoomBench["store"] {
  const copy = Object.create(Object.getPrototypeOf(store));
  return Object.assign(copy, structuredClone({ ...store, beforeCommit: undefined }), { beforeCommit: () => {} });
}

Deno.test("another log in place of the one that is known is a lie", async () => {
  const made = await scene((frame) => [frame]);
  await made.bob.cut(made.bench);
  await made.bob.connect(made.bench, (frame) => [
    frame.type === "joined" ? { ...frame, origin: `localhost/#ops/${"0".repeat(32)}` } : frame,
  ]);
  await made.bench.settle();
  assert.deepEqual(made.bob.lies, ["other log"]);
});

Deno.test("a server that has lost what it showed is caught", async () => {
  const made = await scene((frame) => [frame]);
  await say(made.bob, made.bench, "one", "two");
  await made.bob.cut(made.bench);
  await made.bob.connect(made.bench, (frame) => [frame.type === "joined" ? { ...frame, next_seqno: 1 } : frame]);
  await made.bench.settle();
  assert.deepEqual(made.bob.lies, ["old head"]);
});

Deno.test("what a lie was outlives the client", async () => {
  const made = await scene((frame) => isPosted(frame, 2) ? [{ ...frame, ts: 7 }] : [frame]);
  await say(made.ada, made.bench, "one");
  await made.bob.cut(made.bench);
  const again = await made.bench.client("bob", { store: made.bob.store });
  await made.bench.settle();
  assert.deepEqual(again.lies, made.bob.lies);
  assert.equal(again.lies.length, 1);
});

Deno.test("lines that no head covers for half a minute are marked", async () => {
  const made = await scene((frame) => frame.type === "checkpoint" ? [] : [frame]);
  await say(made.ada, made.bench, "one");
  made.bob.rooms.tick();
  assert.deepEqual(made.bob.of("uncovered"), []);
  made.bench.clock.advance(31_000);
  made.bob.rooms.tick();
  made.bob.rooms.tick();
  const [marked, ...more] = made.bob.of("uncovered");
  assert.equal(marked?.to, 3);
  assert.deepEqual(more, []);
});

Deno.test("lines that a head covers of which others are on their way are not marked, until all are here", async () => {
  const bench = await RoomBench.create();
  const ada = await bench.client("ada");
  await ada.rooms.create("#ops", { history: "all", inviteOnly: false });
  await bench.settle();
  await say(ada, bench, "one", "two", "three");
  /** Half a minute passes before that line comes. */
  const slow = (index: number): Tamper => (frame) => {
    if (isPosted(frame, index)) {
      bench.clock.advance(31_000);
      bob.rooms.tick();
    }
    return [frame];
  };
  const bob = await bench.client("bob", { tamper: slow(3) });
  await bob.rooms.join("#ops");
  await bench.settle();
  await bob.cut(bench);
  await say(ada, bench, "four", "five");
  await bob.connect(bench, slow(6));
  await bench.settle();
  assert.equal(bob.rooms.monitor("#ops")?.covered, 7);
  assert.deepEqual(bob.of("uncovered"), []);
});

Deno.test("words that nobody erased and that are not shown are marked", async () => {
  const made = await scene((frame) => isPosted(frame, 2) ? [{ ...frame, body: null }] : [frame]);
  await say(made.ada, made.bench, "one");
  assert.equal(made.bob.lines("#ops").at(-1)?.erased, true);
  made.bench.clock.advance(31_000);
  made.bob.rooms.tick();
  assert.deepEqual(made.bob.of("bad_line").map(({ index }) => index), [2]);
  await made.bob.cut(made.bench);
  const again = await made.bench.client("bob", { store: made.bob.store });
  made.bench.clock.advance(31_000);
  again.rooms.tick();
  assert.deepEqual(again.of("bad_line").map(({ index }) => index), [2], "after a restart too");
});
