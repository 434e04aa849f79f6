import type { Identity } from "../lib/certificate_identity.ts";
import { assert } from "./assert.ts";
import { issueRevocationList } from "../lib/ca.ts";
import { encodeUtf8 } from "../lib/bytes.ts";
import type { Statement } from "../lib/log_envelope.ts";
import { canonicalJson, type Json } from "../lib/json.ts";
import { verifyRoom } from "../lib/verify_room.ts";
import { parseRevocationList } from "../lib/x509.ts";
import { authority, identities, NOW } from "./fixtures.ts";
import {
  day,
  fingerprintOf,
  ORIGIN,
  person,
  restate,
  RoomLog,
  show,
  type Shown,
  type ShownOptions,
} from "./room_evidence.ts";
import { rowText } from "./verdict_text.ts";

const { server, client: ada, trust } = await identities();
const [bob, eve] = [await person("bob"), await person("eve")];

type Said = readonly [Identity, Statement | string];

const join = (username: string): Statement => ({ kind: "join", username });
const START: readonly Said[] = [[ada, join("ada")], [bob, join("bob")]];

async function logOf(lines: readonly Said[]): Promise<RoomLog> {
  const log = new RoomLog(server, ORIGIN);
  for (const [author, said] of lines) await log.say(author, said);
  return log;
}

async function judged(shown: Shown, revocations = trust.revocations) {
  const verdict = await verifyRoom(shown, { ...trust, revocations });
  const rights = verdict.checks.find(({ name }) => name === "rights");
  return { ...verdict, rights, bad: verdict.lines.bad.map(({ index }) => index) };
}

async function said(lines: readonly Said[], options: ShownOptions & { open?: readonly number[] } = {}) {
  return await judged(await show(await logOf([...START, ...lines]), options));
}

Deno.test("lines that their authors had no right to write are bad, named in the sentence, and shown apart", async () => {
  const verdict = await said([
    [ada, { kind: "kick", username: "bob" }],
    [bob, "I go on"],
    [eve, "I never joined"],
    [eve, { kind: "role", username: "eve", role: "owner" }],
    [ada, "and I am still here"],
  ]);
  assert.equal(verdict.result, "partly_valid");
  assert.deepEqual(verdict.lines.bad.map(({ index, faults }) => [index, ...faults.map(({ check }) => check)]), [
    [3, "rights"],
    [4, "rights"],
    [5, "rights"],
  ]);
  assert.deepEqual([verdict.lines.count, verdict.lines.good], [7, 4]);
  assert.match(
    verdict.sentence,
    /^PARTLY VERIFIED #ops on localhost, lines 0 to 6 except lines 3 to 5, by /,
  );
  assert.deepEqual(verdict.opened.map(({ index }) => index), [0, 1, 2, 6]);
  assert.equal(verdict.lines.bad[0]?.opened?.body, "I go on", "what was said is there, marked");
  assert.deepEqual(verdict.signers.map(({ subject, lines }) => [subject, lines]), [
    ["CN=CLIENT: ada", 3],
    ["CN=CLIENT: bob", 1],
  ]);
});

Deno.test("an act without right changes nothing for the lines after it", async () => {
  const verdict = await said([
    [bob, { kind: "kick", username: "ada" }],
    [ada, "I was not removed"],
    [bob, { kind: "role", username: "bob", role: "owner" }],
    [bob, { kind: "ban", username: "ada" }],
    [ada, { kind: "topic", text: "still mine" }],
  ]);
  assert.deepEqual(verdict.bad, [2, 4, 5]);
});

Deno.test("a line that somebody else signed changes nothing either", async () => {
  const log = await logOf(START);
  await log.say({ ...ada, key: bob.key }, { kind: "kick", username: "bob" });
  await log.say(bob, "I was not removed");
  const verdict = await judged(await show(log));
  assert.deepEqual(verdict.lines.bad.map(({ index, faults, opened }) => [index, faults[0]?.check, opened]), [
    [2, "line signature", undefined],
  ]);
});

Deno.test("where a line is closed, or the first is not 0, the verdict says that rights were not judged", async () => {
  const lines: readonly Said[] = [[eve, "I never joined"], [ada, "yes"]];
  const because = async (options: ShownOptions & { open?: readonly number[] }, reason: RegExp) => {
    const verdict = await said(lines, options);
    const { result, rights } = verdict;
    assert.deepEqual([result, rights?.outcome], ["valid", "not checked"]);
    assert.match(rights?.reasons.join() ?? "", reason);
    assert.match(rowText(verdict, "Unknown"), /Whether each author had joined, .*: not judged, since /);
  };
  await because({ open: [0, 1, 3] }, /^the text of line 2 is not shown$/);
  await because({ open: [0] }, /^the texts of 3 lines are not shown$/);
  await because({ from: 1 }, /^the lines before 1 are not shown$/);
  const { openings: _, ...closed } = await show(await logOf([...START, ...lines]));
  assert.equal((await judged(closed)).rights?.reasons.join(), "no text is shown");
});

Deno.test("words that their own author erased are taken as words, and acts are not", async () => {
  const erased = await said([[bob, "oh no"], [bob, { kind: "redact", index: 2 }]], { open: [0, 1, 3] });
  assert.deepEqual([erased.result, erased.rights?.outcome], ["valid", "passed"]);
  assert.match(
    rowText(erased, "Withheld"),
    /Erased by its own author: the text of 1 line, taken to be words and no action\./,
  );
  const byOther = await said([[bob, "oh no"], [ada, { kind: "redact", index: 2 }]], { open: [0, 1, 3] });
  assert.equal(byOther.rights?.outcome, "not checked");
  const act = await said([[ada, { kind: "topic", text: "x" }], [ada, { kind: "redact", index: 2 }]]);
  assert.deepEqual(act.bad, [3]);
});

Deno.test("a ban holds for who joins before its end by the server's time", async () => {
  const until = Math.floor(NOW / 1000) + 600;
  const lines: readonly Said[] = [[ada, { kind: "ban", username: "eve", until }], [eve, join("eve")]];
  assert.deepEqual((await said(lines)).bad, [3]);
  // It counts, as it does for members: who is shown no checkpoint of that time can't know better.
  assert.deepEqual((await said([...lines, [eve, "hello"]])).bad, [3]);
  const log = await logOf([...START, ...lines]);
  log.now = NOW + 601_000;
  assert.deepEqual((await judged(await show(log))).bad, []);
});

Deno.test("an author who was revoked between two checkpoints may have acted before: it counts, and is bad", async () => {
  const log = new RoomLog(server, ORIGIN, day(10));
  for (const [author, statement] of [[ada, join("ada")], [bob, join("bob")]] as const) await log.say(author, statement);
  await log.say(ada, { kind: "role", username: "bob", role: "moderator" });
  const early = await log.checkpoint();
  await log.say(ada, { kind: "role", username: "bob", role: "owner" });
  log.now = day(12);
  await log.say(bob, { kind: "role", username: "bob", role: "owner" });
  const [leaf] = ada.chain;
  const revoked = [{ serial: leaf?.serial ?? "", date: day(11) }];
  const list = parseRevocationList(
    await issueRevocationList(await authority(), revoked, { now: day(12), nextUpdate: day(9_000), number: 1n }),
  );
  const verdict = await judged(await show(log, { checkpoints: [early] }), [list]);
  assert.deepEqual(verdict.lines.bad.map(({ index, faults }) => [index, faults.map(({ check }) => check)]), [
    [3, ["revocation"]],
  ]);
});

Deno.test("an author who was revoked counts for what he had a right to, and for nothing else", async () => {
  const log = new RoomLog(server, ORIGIN, day(10));
  for (const [author, statement] of [[ada, join("ada")], [bob, join("bob")]] as const) await log.say(author, statement);
  const early = await log.checkpoint();
  await log.say(bob, { kind: "kick", username: "ada" });
  await log.say(bob, { kind: "role", username: "bob", role: "owner" });
  await log.say(ada, "I was not removed");
  log.now = day(12);
  const revoked = [{ serial: bob.chain[0]?.serial ?? "", date: day(11) }];
  const list = parseRevocationList(
    await issueRevocationList(await authority(), revoked, { now: day(12), nextUpdate: day(9_000), number: 1n }),
  );
  assert.deepEqual((await judged(await show(log, { checkpoints: [early] }), [list])).bad, [2, 3]);
});

Deno.test("where an author's certificate is kept back, nobody is judged by what others may have said", async () => {
  const shown = await show(await logOf([...START, [ada, { kind: "kick", username: "bob" }], [bob, "I go on"]]));
  const certs = shown.receipt.certs as readonly Json[];
  const kept = await restate(shown.receipt, { certs: certs.filter((_, at) => at !== 1) });
  const { result, rights, bad } = await judged({ ...shown, receipt: kept });
  assert.deepEqual([result, rights?.outcome, bad], ["partly_valid", "not checked", [0, 2]]);
  assert.deepEqual(rights?.reasons, ["the authors' certificates of 2 lines are missing"]);
});

Deno.test("a join under a name that another certificate had is told until an earlier one vouches for it", async () => {
  const told =
    /Whether the same person joined again with a new certificate, in line 2 as "Ada": only the server says so\.$/;
  assert.match(rowText(await said([[eve, join("Ada")]]), "Unknown"), told);
  const vouched = await said([[eve, join("Ada")], [ada, { kind: "device", fingerprint: fingerprintOf(eve) }]]);
  assert.doesNotMatch(rowText(vouched, "Unknown"), /the same person/);
  const cem = await person("cem");
  const overTwo = await said([
    [eve, join("Ada")],
    [cem, join("ADA")],
    [eve, { kind: "device", fingerprint: fingerprintOf(cem) }],
    [ada, { kind: "device", fingerprint: fingerprintOf(eve) }],
  ]);
  assert.doesNotMatch(rowText(overTwo, "Unknown"), /the same person/);
  const byItself = await said([[eve, join("Ada")], [eve, { kind: "device", fingerprint: fingerprintOf(eve) }]]);
  assert.match(rowText(byItself, "Unknown"), told);
});

Deno.test("names that were signed and are not shown are told, quoted, and of very many some", async () => {
  const common = { room: "#ops", salt: "AAECAwQFBgcICQoLDA0ODw==", seen: { ...new RoomLog(server).head }, v: 1 };
  const envelope = (more: Record<string, string>, seen = {}) =>
    encodeUtf8(
      canonicalJson({ ...common, ...more, seen: { ...common.seen, ...seen }, body: "I agree", kind: "text" }) ?? "",
    );
  const log = await logOf(START);
  await log.say(ada, "", { envelope: envelope({ unless: "it rains", "\u202eVerified": "" }) });
  await log.say(ada, "", { envelope: envelope({}, { by: "nobody" }) });
  const verdict = await judged(await show(log));
  const { result, opened } = verdict;
  assert.equal(result, "valid");
  assert.deepEqual(opened.slice(2).map(({ further }) => further), [["unless", "\u202eVerified"], ["seen.by"]]);
  const note = String
    .raw`Signed fields that this program doesn't know, of line 2 ("unless" and "\u{202e}Verified") and line 3 ("seen.by").`;
  assert.equal(rowText(verdict, "Withheld"), note);
  const many = Object.fromEntries([...Array(300).keys()].map((number) => [`n${number}`, ""]));
  const crowded = await logOf(START);
  await crowded.say(ada, "", { envelope: envelope(many) });
  assert.match(rowText(await judged(await show(crowded)), "Withheld"), /"n104" and 292 more/);
});
