import type { Identity } from "../lib/certificate_identity.ts";
import { issueRevocationList } from "../lib/ca.ts";
import type { Trust } from "../lib/certificate_path.ts";
import { checkpointInput } from "../lib/log_checkpoint.ts";
import { EXIT, Failure, ProtocolError } from "../lib/errors.ts";
import { exists } from "../lib/files.ts";
import { proveLine } from "../lib/client_bundle.ts";
import { awaitHead, type ExportOptions, exportRoom } from "../lib/client_export.ts";
import type { ClientStore } from "../lib/client_store.ts";
import { importSigningKey } from "../lib/pss.ts";
import { RoomRecords } from "../lib/client_room_records.ts";
import { verifyLineProof, verifyRoom } from "../lib/verify_room.ts";
import { parseRevocationList } from "../lib/x509.ts";
import { assert } from "./assert.ts";
import { temporaryFolder } from "./environment.ts";
import { authority, certificate, identities, key, NOW } from "./fixtures.ts";
import type { MemoryClientStore } from "./memory_client_store.ts";
import { personIdentity, RoomBench } from "./room_bench.ts";

const HOUR = 3_600_000;
const text = (words: string) => ({ kind: "text", text: words } as const);

/** A room's records on the disk, what an export of them is made with, and what a stranger finds of it. */
async function bobs(bench: RoomBench, username = "bob", trusts?: Trust) {
  const folder = temporaryFolder();
  const records = await RoomRecords.open(folder.path, "localhost");
  const store: ClientStore = records;
  const bob = await bench.client(username, {
    store: store as MemoryClientStore,
    ...(trusts ? { trust: trusts } : {}),
  });
  const { trust } = await identities();
  const { pem, key, chain: [leaf] } = await personIdentity(username);
  const options = (): ExportOptions => ({
    identity: { pem, key, fingerprint: leaf?.fingerprint ?? "" },
    now: bench.clock.now(),
    folder: folder.path,
    open: "all",
  });
  const lines = async (path: string) => (await Deno.readTextFile(path)).split("\n").slice(0, -1);
  return {
    bob,
    records,
    options,
    async exported(range: { from?: number; to?: number } = {}, revocations = trust.revocations) {
      const { receipt, transcript, openings } = await exportRoom(records, "#ops", { ...options(), ...range });
      const text = await Deno.readTextFile(receipt);
      const shown = { receipt: text, lines: await lines(transcript), openings: await lines(openings ?? "") };
      return { receipt: JSON.parse(text), verdict: await verifyRoom(shown, { ...trust, revocations }) };
    },
    /** The sentence with which an export and a proof of this identity fail, and the files that are there. */
    async refused({ pem, key, chain: [leaf] }: Identity) {
      const made = {
        ...options(),
        identity: { pem, key, fingerprint: leaf?.fingerprint ?? "" },
        folder: `${folder.path}/out`,
      };
      for (const attempt of [() => exportRoom(records, "#ops", made), () => proveLine(records, "#ops", 0, made)]) {
        await assert.rejects(
          attempt,
          (error) => error instanceof Failure && error.status === EXIT.usage && /is not valid at/.test(error.message),
        );
      }
      assert.equal(await exists(`${folder.path}/out`), false);
    },
    async proved(index: number) {
      const { path } = await proveLine(records, "#ops", index, options());
      return await verifyLineProof(await Deno.readTextFile(path), trust);
    },
    async [Symbol.asyncDispose]() {
      await records.close();
      folder[Symbol.dispose]();
    },
  };
}

Deno.test("lines hold whose author's certificate has ended since, in an export and alone", async () => {
  const bench = await RoomBench.create();
  await using made = await bobs(bench);
  const { bob, exported, proved } = made;
  await bob.rooms.create("#ops", { history: "all", inviteOnly: false });
  await bench.settle();
  const eve = await bench.client("eve", { device: "ending", ends: bench.clock.now() + HOUR });
  await eve.rooms.join("#ops");
  await eve.rooms.post("#ops", text("I owe you 100"));
  await bench.settle();
  await eve.cut(bench);
  bench.clock.advance(2 * HOUR); // on the same day
  for (const words of ["later", "later still"]) {
    await bob.rooms.post("#ops", text(words));
    await bench.settle();
    bench.clock.advance(1_200);
    await bench.settle();
  }
  const { verdict } = await exported();
  assert.deepEqual([verdict.result, verdict.checks.filter(({ outcome }) => outcome === "failed")], ["valid", []]);
  const proof = await proved(2);
  assert.deepEqual([proof.result, proof.opened.map(({ body }) => body)], ["valid", ["I owe you 100"]]);
});

Deno.test("lines hold whose author was revoked hours later, on the same day, whoever shows them", async () => {
  const bench = await RoomBench.create();
  await using made = await bobs(bench);
  const { bob, exported } = made;
  await bob.rooms.create("#ops", { history: "all", inviteOnly: false });
  await bench.settle();
  const eve = await bench.client("eve");
  await eve.rooms.join("#ops");
  await eve.rooms.post("#ops", text("I owe you 100"));
  await bench.settle();
  bench.clock.advance(1_200);
  await bench.settle();
  await eve.cut(bench);
  const revokedAt = bench.clock.now() + 10 * 60_000; // within the hour
  const { serial = "" } = (await personIdentity("eve")).chain[0] ?? {};
  bench.clock.advance(20 * 60_000);
  for (const words of ["later", "later still"]) {
    await bob.rooms.post("#ops", text(words));
    await bench.settle();
    bench.clock.advance(1_200);
    await bench.settle();
  }
  const times = { now: bench.clock.now(), nextUpdate: bench.clock.now() + 24 * HOUR, number: 1n };
  const list = await issueRevocationList(await authority(), [{ serial, date: revokedAt }], times);
  const revocations = [parseRevocationList(list)];
  assert.deepEqual((await exported({}, revocations)).verdict.result, "valid");

  // Who comes late was shown no head of that time, and asks for one where the list is known.
  const { trust } = await identities();
  await using carols = await bobs(bench, "carol", { ...trust, revocations });
  await carols.bob.rooms.join("#ops");
  await bench.settle();
  assert.deepEqual(carols.bob.lines("#ops").map(({ bad }) => bad), carols.bob.lines("#ops").map(() => null));
  const late = await carols.exported({}, revocations);
  assert.deepEqual([late.verdict.result, late.verdict.lines.good], ["valid", late.verdict.lines.count]);
});

Deno.test("of many heads those go with an export that its lines are judged by", async () => {
  const bench = await RoomBench.create();
  await using made = await bobs(bench);
  const { bob, exported } = made;
  await bob.rooms.create("#ops", { history: "all", inviteOnly: false });
  await bench.settle();
  for (let i = 0; i < 12; i++) {
    await bob.rooms.post("#ops", text(`${i}`));
    await bench.settle();
    bench.clock.advance(20 * 60_000);
    await bench.settle();
  }
  const { receipt: { checkpoints }, verdict } = await exported();
  const hours: number[] = checkpoints.map(({ time }: { time: number }) => Math.floor(time / 3_600));
  assert.deepEqual([...new Set(hours)], hours, "one an hour, and the main one");
  assert.deepEqual([hours.length, verdict.result], [4, "valid"]);
});

Deno.test("lines that no head covers yet are waited for; those that are left out are counted, and an old clock shows nothing", async () => {
  const bench = await RoomBench.create();
  await using made = await bobs(bench);
  const { bob, records, options } = made;
  await bob.rooms.create("#ops", { history: "all", inviteOnly: false });
  await bench.settle();
  bench.clock.advance(1_200);
  await bench.settle();
  const covered = bob.rooms.monitor("#ops")?.covered;
  const heads: (() => void)[] = [];
  bench.hold = (run) => heads.push(run);
  for (const words of ["one", "two"]) await bob.rooms.post("#ops", text(words));
  await bench.settle();
  assert.equal(bob.rooms.monitor("#ops")?.covered, covered);
  const { left_out } = await exportRoom(records, "#ops", options());
  assert.equal(left_out, 2);
  const waited: number[] = [];
  const waiting = awaitHead(records, "#ops", {
    waiting: (count) => {
      waited.push(count);
      bench.clock.advance(2_000);
      for (const run of heads.splice(0)) run();
      void bench.settle();
    },
  });
  await waiting;
  assert.deepEqual(waited, [2]);
  assert.equal((await exportRoom(records, "#ops", options())).left_out, 0);
  await awaitHead(records, "#ops", { waiting: () => assert.fail("all is covered") });

  const behind = { ...options(), now: bench.clock.now() - 10 * 60_000 };
  await assert.rejects(
    exportRoom(records, "#ops", behind),
    (error) =>
      error instanceof Failure && error.status === EXIT.unavailable &&
      /this computer's clock says .* one of them is wrong/.test(error.message),
  );
});

Deno.test("every part of a room can be shown, under the first head that covers it", async () => {
  const bench = await RoomBench.create();
  await using made = await bobs(bench);
  const { bob, exported } = made;
  const ada = await bench.client("ada");
  await ada.rooms.create("#ops", { history: "since_join", inviteOnly: false });
  await ada.rooms.post("#ops", text("before"));
  await bench.settle();
  await bob.rooms.join("#ops");
  for (const words of ["one", "two", "three"]) {
    await ada.rooms.post("#ops", text(words));
    await bench.settle();
    bench.clock.advance(1_200);
    await bench.settle();
  }
  const view = bob.rooms.monitor("#ops");
  const heads = bob.of("covered").map(({ size }) => size);
  const [first, end] = [view?.base ?? 0, view?.covered ?? 0];
  assert(end - first >= 3 && heads.length >= 2);
  for (let from = first; from < end; from++) {
    for (let to = from + 1; to <= end; to++) {
      const { receipt, verdict } = await exported({ from, to });
      assert.equal(verdict.result, "valid", `${from} to ${to}: ${verdict.sentence}`);
      assert.equal(receipt.checkpoint.size, heads.find((size) => size >= to));
    }
  }
});

Deno.test("who comes late takes as good, and can prove, what was said under certificates that have ended since", async () => {
  const bench = await RoomBench.create();
  const ada = await bench.client("ada");
  await ada.rooms.create("#ops", { history: "all", inviteOnly: false });
  await bench.settle();
  const eve = await bench.client("eve", { device: "ended", ends: bench.clock.now() + HOUR });
  await eve.rooms.join("#ops");
  await eve.rooms.post("#ops", text("I owe you 100"));
  await bench.settle();
  await eve.cut(bench);
  bench.clock.advance(48 * HOUR);
  await ada.rooms.post("#ops", text("days later"));
  await bench.settle();

  await using made = await bobs(bench);
  const { bob, exported, proved } = made;
  await bob.rooms.join("#ops");
  await bench.settle();
  assert.deepEqual(bob.lines("#ops").map(({ bad }) => bad), [null, null, null, null, null]);
  assert.deepEqual([...bob.of("bad_line"), ...bob.lies], []);
  assert(bob.of("covered").some(({ size }) => size === 3), "the head of eve's time");
  bench.clock.advance(1_200);
  await ada.rooms.post("#ops", text("and later"));
  await bench.settle();
  assert.equal((await exported()).verdict.result, "valid");
  assert.equal((await proved(2)).result, "valid");
});

Deno.test("the earlier head is asked for again where its signer's certificate can't be had at once", async () => {
  const bench = await RoomBench.create();
  const ada = await bench.client("ada");
  await ada.rooms.create("#ops", { history: "all", inviteOnly: false });
  await bench.settle();
  const eve = await bench.client("eve", { device: "ended early", ends: bench.clock.now() + HOUR });
  await eve.rooms.join("#ops");
  await bench.settle();
  await eve.cut(bench);
  bench.clock.advance(2 * HOUR);
  await ada.rooms.post("#ops", text("later"));
  await bench.settle();
  const before = await certificate("server before", { role: "server", name: "localhost", hosts: ["localhost"] });
  const signing = await importSigningKey(await key("server before"));
  await bench.store.keepCertificate(before.fingerprint, before.pem);
  const { latestCheckpoint } = bench.store;
  bench.store.latestCheckpoint = async (origin, by) => {
    const found = await latestCheckpoint.call(bench.store, origin, by);
    if (by === undefined || !found) return found;
    return { ...found, from: before.fingerprint, sig: await signing.sign(checkpointInput(origin, found)) };
  };
  const bob = await bench.client("bob");
  const { session } = bob;
  assert(session);
  const request = session.request.bind(session);
  let asked = 0;
  session.request = (frame) => {
    const isMeant = frame.type === "certificate" && frame.fingerprint === before.fingerprint;
    if (isMeant && asked++ === 0) session.refuse(new ProtocolError("server-error", "not now"), frame.id as number);
    else request(frame);
  };
  await bob.rooms.join("#ops");
  await bench.settle();
  bob.rooms.tick();
  await bench.settle();
  assert.deepEqual([asked, bob.lies, bob.of("bad_line")], [2, [], []]);
  assert.deepEqual(bob.lines("#ops").map(({ bad }) => bad), [null, null, null, null]);
});

Deno.test("where the earlier head is the newest, and lines of it are on their way, it is kept once and shown", async () => {
  const bench = await RoomBench.create();
  const ada = await bench.client("ada");
  await ada.rooms.create("#ops", { history: "all", inviteOnly: false });
  await bench.settle();
  const eve = await bench.client("eve", { device: "ended first", ends: bench.clock.now() + HOUR });
  await eve.rooms.join("#ops");
  await bench.settle();
  await eve.cut(bench);
  await ada.rooms.post("#ops", text("on its way"));
  bench.clock.advance(1_200);
  await bench.settle();
  bench.clock.advance(2 * HOUR);

  await using made = await bobs(bench);
  const { bob, exported } = made;
  const { session } = bob;
  assert(session);
  const take = bob.rooms.take.bind(bob.rooms);
  let isLost = true;
  bob.rooms.take = (frame, id) => {
    if (isLost && frame.type === "posted" && frame.index === 2) isLost = false;
    else take(frame, id);
  };
  const request = session.request.bind(session);
  const held: Parameters<typeof request>[0][] = [];
  let isAsked = false;
  session.request = (frame) => {
    if (frame.type === "history" && frame.from !== 0 && !isAsked) return void held.push(frame);
    request(frame);
    isAsked ||= frame.type === "earlier_checkpoint";
    if (isAsked) held.splice(0).forEach(request);
  };
  await bob.rooms.join("#ops");
  await bench.settle();
  for (const words of ["later", "later still"]) {
    await ada.rooms.post("#ops", text(words));
    await bench.settle();
    bench.clock.advance(1_200);
    await bench.settle();
  }
  assert.deepEqual(bob.of("covered").filter(({ size }) => size === 3).length, 1);
  const record = await bob.store.room("#ops");
  const head = (await record.read()).checkpoints.find(({ size }) => size === 3);
  assert(head);
  await record.keep({ type: "checkpoint", checkpoint: head }); // as one that was asked for again after a restart
  const { receipt, verdict } = await exported();
  assert.equal(receipt.checkpoints?.[0]?.size, 3, "the head of eve's time");
  assert.equal(verdict.result, "valid", verdict.sentence);
});

Deno.test("a server whose earlier head is not that of its lines is caught", async () => {
  const bench = await RoomBench.create();
  const ada = await bench.client("ada");
  await ada.rooms.create("#ops", { history: "all", inviteOnly: false });
  await bench.settle();
  const eve = await bench.client("eve", { device: "ended too", ends: bench.clock.now() + HOUR });
  await eve.rooms.join("#ops");
  await bench.settle();
  await eve.cut(bench);
  bench.clock.advance(2 * HOUR);
  await ada.rooms.post("#ops", text("later"));
  await bench.settle();
  const { latestCheckpoint } = bench.store;
  const { server } = await identities();
  bench.store.latestCheckpoint = async (origin, by) => {
    const found = await latestCheckpoint.call(bench.store, origin, by);
    if (by === undefined || !found) return found;
    const head = { time: found.time, size: found.size, root: "0".repeat(64) };
    return { ...head, from: found.from, sig: await server.key.sign(checkpointInput(origin, head)) };
  };
  const bob = await bench.client("bob");
  await bob.rooms.join("#ops").catch(() => {});
  await bench.settle();
  assert.deepEqual(bob.lies, ["wrong head"]);
});

Deno.test("a certificate that somebody shows beside their own has no say in when that one was good", async () => {
  const bench = await RoomBench.create();
  const ada = await bench.client("ada");
  await ada.rooms.create("#ops", { history: "all", inviteOnly: false });
  await bench.settle();
  const eve = await bench.client("eve", { device: "with another", ends: bench.clock.now() + HOUR });
  await eve.rooms.join("#ops");
  await eve.rooms.post("#ops", text("hello"));
  await bench.settle();
  await eve.cut(bench);
  const later = await certificate("another", { role: "client", name: "eve" }, { now: NOW + 10 * 365 * 24 * HOUR });
  const pem = eve.pem + later.pem;
  const { findDevice, findCertificate } = bench.store;
  bench.store.findDevice = async (one) => {
    const found = await findDevice.call(bench.store, one);
    return found && one === eve.fingerprint ? { ...found, pem } : found;
  };
  bench.store.findCertificate = (one) =>
    one === eve.fingerprint ? Promise.resolve(pem) : findCertificate.call(bench.store, one);
  bench.store.latestCheckpoint = () => Promise.resolve(undefined); // there is no head of that time to be had
  bench.clock.advance(48 * HOUR);
  await ada.rooms.post("#ops", text("later"));
  await bench.settle();
  const bob = await bench.client("bob");
  await bob.rooms.join("#ops");
  await bench.settle();
  assert.deepEqual(bob.lies, []);
  assert.match(bob.lines("#ops").find(({ text }) => text === "hello")?.bad ?? "", /expired/);
});

Deno.test("nothing is written under a certificate that has ended, or has not begun", async () => {
  const bench = await RoomBench.create();
  await using made = await bobs(bench);
  const { bob, refused, proved } = made;
  await bob.rooms.create("#ops", { history: "all", inviteOnly: false });
  await bench.settle();
  bench.clock.advance(1_200);
  await bench.settle();
  const now = bench.clock.now();
  await refused(await personIdentity("bob", "ended", now - 2_000));
  await refused(await personIdentity("bob", "to begin", now + 40 * 24 * HOUR));
  assert.equal((await proved(0)).result, "valid");
});
