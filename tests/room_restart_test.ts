/** Rooms on their real store, under their real key file, over a restart. */

import { assert } from "./assert.ts";
import { temporaryFolder } from "./environment.ts";
import { countingRandom, fixedClock, identities } from "./fixtures.ts";
import { Person } from "./people.ts";
import { encodeUtf8, parseHex } from "../lib/bytes.ts";
import { Hub } from "../lib/room_hub.ts";
import { AesKeyWrap } from "../lib/key_wrap.ts";
import { VerifyingKey } from "../lib/pss.ts";
import { inclusionProof, leafHash, verifyInclusion } from "../lib/log_tree.ts";
import { loadRoomKey, ROOM_KEY_FILE } from "../lib/room_key_file.ts";
import { openSqliteStore } from "../lib/store_sqlite.ts";

/** A server's rooms in a folder. */
async function open(folder: string) {
  const { server } = await identities();
  const leaf = server.chain[0];
  const random = countingRandom();
  const store = await openSqliteStore(folder);
  const later: (() => void)[] = [];
  const alarms: string[] = [];
  const serverKey = new VerifyingKey(leaf?.rsa?.modulus ?? 0n);
  const hub = new Hub({
    store: store.rooms,
    devices: store.devices,
    keys: new AesKeyWrap(await loadRoomKey(folder), random),
    signer: () => ({ key: server.key, fingerprint: leaf?.fingerprint ?? "", ends: Infinity }),
    serverName: "localhost",
    now: fixedClock,
    random,
    later: (_, run) => later.push(run),
    turn: () => Promise.resolve(),
    serverKey: (fingerprint) => Promise.resolve(fingerprint === leaf?.fingerprint ? serverKey : undefined),
    revoked: () => Promise.resolve([]),
    alarm: (message) => alarms.push(message),
  });
  return {
    hub,
    store,
    alarms,
    /** Waits for what was posted and what follows from it. */
    async settle() {
      await hub.settled();
      for (const run of later.splice(0)) run();
      await hub.settled();
    },
  };
}

Deno.test("after a restart a room has its lines, members, keys and checkpoints from the database, and goes on", async () => {
  using folder = temporaryFolder();
  const first = await open(folder.path);
  const [ada, bob] = [await Person.create("ada"), await Person.create("bob")];
  await ada.ask(first.hub, { type: "create", room: "#ops", mode: "recorded", history: "all", inviteOnly: false });
  assert.equal(await ada.say(first.hub, "#ops", { kind: "join", username: "ada" }), undefined);
  await first.settle();
  assert.equal(await bob.enter(first.hub, "#ops"), undefined);
  assert.equal(await ada.say(first.hub, "#ops", "to be erased"), undefined);
  assert.equal(await ada.say(first.hub, "#ops", { kind: "topic", text: "incidents" }), undefined);
  assert.equal(await ada.say(first.hub, "#ops", { kind: "kick", username: "bob" }), undefined);
  await first.settle();
  assert.equal(await ada.say(first.hub, "#ops", { kind: "redact", index: 2 }), undefined);
  await first.settle();
  assert.deepEqual(first.alarms, []);
  await first.store.close();

  const second = await open(folder.path);
  const again = await Person.create("ada");
  assert.equal(await again.ask(second.hub, { type: "join", room: "#ops" }), undefined);
  const joined = again.heard.find((frame) => frame.type === "joined");
  assert(joined?.type === "joined");
  assert.deepEqual(
    [joined.topic, joined.count, joined.nextSeqno, joined.epoch, joined.checkpoint?.size],
    ["incidents", 6, 5, 2, 6],
  );
  assert.deepEqual(again.rooms.get("#ops")?.key, ada.rooms.get("#ops")?.key);
  assert.equal(await again.say(second.hub, "#ops", "and on"), undefined);
  await second.settle();
  assert.equal(await again.ask(second.hub, { type: "history", room: "#ops", from: 0, count: 100 }), undefined);
  const posted = again.heard.flatMap((frame) => frame.type === "posted" ? [frame] : []).slice(-7);
  assert.deepEqual(posted.map(({ index, body }) => body === null ? -index : index), [0, 1, -2, 3, 4, 5, 6]);

  const { rooms } = second.store;
  const checkpoint = await rooms.latestCheckpoint(joined.origin);
  assert.equal(checkpoint?.size, 7);
  const head = { size: 7, root: parseHex(checkpoint?.root ?? "") ?? new Uint8Array(0) };
  for (const { index, line } of await rooms.linesFrom(joined.origin, 0, 7)) {
    const path = await inclusionProof(index, 7, (places) => rooms.nodes(joined.origin, places));
    assert(verifyInclusion(leafHash(encodeUtf8(line)), index, path, head));
  }
  await second.store.close();
});

Deno.test("under another key file a room isn't opened, and nothing in the database changes", async () => {
  using folder = temporaryFolder();
  const first = await open(folder.path);
  const ada = await Person.create("ada");
  await ada.ask(first.hub, { type: "create", room: "#ops", mode: "recorded", history: "all", inviteOnly: false });
  assert.equal(await ada.say(first.hub, "#ops", { kind: "join", username: "ada" }), undefined);
  await first.settle();
  await first.store.close();
  const path = `${folder.path}/${ROOM_KEY_FILE}`;
  const key = await Deno.readTextFile(path);
  await Deno.remove(path);
  const second = await open(folder.path);
  const other = await Person.create("ada");
  assert.equal(await other.ask(second.hub, { type: "join", room: "#ops" }), "server-error");
  await second.store.close();
  await Deno.writeTextFile(path, key);
  const third = await open(folder.path);
  const again = await Person.create("ada");
  assert.equal(await again.ask(third.hub, { type: "join", room: "#ops" }), undefined);
  assert.deepEqual(again.rooms.get("#ops")?.key, ada.rooms.get("#ops")?.key);
  await third.store.close();
});

Deno.test("after a restart an empty invite-only room is still the one's alone who has made it", async () => {
  using folder = temporaryFolder();
  const first = await open(folder.path);
  const create = { type: "create", room: "#ops", mode: "recorded", history: "all", inviteOnly: true } as const;
  assert.equal(await (await Person.create("ada")).ask(first.hub, create), undefined);
  await first.settle();
  await first.store.close();

  const second = await open(folder.path);
  const [ada, bob] = [await Person.create("ada"), await Person.create("bob")];
  assert.equal(await bob.ask(second.hub, { type: "join", room: "#ops" }), "forbidden");
  assert.equal(await bob.ask(second.hub, create), "forbidden");
  assert.equal(await ada.ask(second.hub, { type: "join", room: "#ops" }), undefined);
  assert.equal(await ada.say(second.hub, "#ops", { kind: "join", username: "ada" }), undefined);
  await second.settle();
  const [role] = ada.heard.flatMap((frame) => frame.type === "posted" ? [frame.index] : []);
  assert.equal(role, 0, "hers is the line that makes her its owner");
  await second.store.close();
});
