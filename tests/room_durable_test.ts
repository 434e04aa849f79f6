import { parseHex } from "../lib/bytes.ts";
import { isCheckpointSigned, signCheckpoint } from "../lib/log_checkpoint.ts";
import { verifyConsistency } from "../lib/log_tree.ts";
import { VerifyingKey } from "../lib/pss.ts";
import { assert } from "./assert.ts";
import { fixedClock, identities } from "./fixtures.ts";
import { MemoryRoomStore } from "./memory_room_store.ts";
import { Person } from "./people.ts";
import { bench, nextTask, restored, room } from "./room_world.ts";

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
    await nextTask(); // as long as it takes until it stands
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
