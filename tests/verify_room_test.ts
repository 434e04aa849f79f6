import type { Identity } from "../lib/certificate_identity.ts";
import { assert } from "./assert.ts";
import { encodeUtf8 } from "../lib/bytes.ts";
import { type Authority, createIssuer, issueCertificate, issueRevocationList } from "../lib/ca.ts";
import { type Checkpoint, encodeCheckpoint } from "../lib/log_checkpoint.ts";
import { encodeEnvelope } from "../lib/log_envelope.ts";
import { EXIT, Failure } from "../lib/errors.ts";
import { encodeJson, type Json } from "../lib/json.ts";
import type { SignatureChecker } from "../lib/line_signature.ts";
import { publicKeyOf } from "../lib/private_key.ts";
import { importSigningKey } from "../lib/pss.ts";
import { encodeLineProof, MAX_ROOM_RECEIPT_BYTES, type Opening } from "../lib/log_receipt.ts";
import { transcriptLines } from "../lib/verify.ts";
import {
  ROOM_CHECKS,
  type RoomCheckName,
  roomEvidenceType,
  type RoomVerdict,
  verifyLineProof,
  verifyRoom,
  type VerifyRoomOptions,
} from "../lib/verify_room.ts";
import { parseRevocationList, type RevocationList } from "../lib/x509.ts";
import { authority, identities, issuing, key, NOW } from "./fixtures.ts";
import {
  day,
  fingerprintOf,
  ORIGIN,
  person,
  restate,
  RoomLog,
  rowsOf,
  show,
  type Shown,
  type ShownOptions,
  talk,
} from "./room_evidence.ts";
import { rowText, sentencesOf } from "./verdict_text.ts";

const { server, client: ada, trust } = await identities();
const bob = await person("bob");
const ROOT = "ab".repeat(32);

function judge({ receipt, lines, openings }: Shown, options: VerifyRoomOptions = {}): Promise<RoomVerdict> {
  return verifyRoom({ receipt, lines, ...(openings ? { openings } : {}) }, trust, options);
}

function failedOf({ checks }: RoomVerdict): RoomCheckName[] {
  return checks.filter(({ outcome }) => outcome === "failed").map(({ name }) => name);
}

/** The checks that are of single lines: what fails one of these takes no other line with it. */
const LINE_CHECKS: readonly RoomCheckName[] = [
  ...["certs", "line log", "line signature", "author chain", "revocation"] as const,
  ...["opening hash", "envelope", "opening room", "rights"] as const,
];

/** The checks that fail. */
async function failures(shown: Shown, options: VerifyRoomOptions = {}): Promise<RoomCheckName[]> {
  const verdict = await judge(shown, options);
  const { result, sentence, lines: { good, count, bad }, opened } = verdict;
  const failed = failedOf(verdict);
  if (failed.length === 0) assert.equal(result, "valid", sentence);
  else if (failed.some((name) => !LINE_CHECKS.includes(name))) assert.equal(result, "invalid", sentence);
  else assert(result === "invalid" || (result === "partly_valid" && good > 0 && good < count), sentence);
  if (result === "invalid") assert.deepEqual(opened, []);
  for (const { index } of bad) assert(opened.every((line) => line.index !== index), "a bad line is not shown as good");
  return failed;
}

const ten = await talk(10);
const part = await show(ten, { from: 3, to: 8 });
const whole = await show(ten);

// ---- good evidence

Deno.test("verifyRoom() accepts every part of a log, open at every line or at none", async () => {
  for (const [from, to] of [[0, 10], [0, 1], [9, 10], [3, 8], [4, 8], [0, 8], [7, 10], [5, 6]] as const) {
    assert.deepEqual(await failures(await show(ten, { from, to })), [], `${from} to ${to}`);
    const { openings: _, ...closed } = await show(ten, { from, to });
    assert.deepEqual(await failures(closed), []);
  }
  assert.deepEqual(await failures(await show(ten, { from: 2, to: 9, open: [2, 5, 8] })), []);
  assert.deepEqual(await failures(await show(ten, { from: 2, to: 9, open: [] })), []);
});

Deno.test("a verdict says who said what, when and after what", async () => {
  const verdict = await judge(part);
  const { opened, signers, sentence } = verdict;
  assert.deepEqual(opened.map(({ index, subject, kind, body, seen }) => [index, subject, kind, body, seen]), [
    [3, "CN=CLIENT: bob", "text", "line 3", 3],
    [4, "CN=CLIENT: ada", "text", "line 4", 0],
    [5, "CN=CLIENT: bob", "text", "line 5", 5],
    [6, "CN=CLIENT: ada", "text", "line 6", 0],
    [7, "CN=CLIENT: bob", "text", "line 7", 7],
  ]);
  assert.deepEqual(opened.map(({ author }) => author), [bob, ada, bob, ada, bob].map(fingerprintOf));
  for (const { ts, by } of opened) assert(ts < by * 1000);
  assert.deepEqual(signers.map(({ subject, lines }) => [subject, lines]), [["CN=CLIENT: bob", 3], [
    "CN=CLIENT: ada",
    2,
  ]]);
  assert.equal(sentence, "VERIFIED #ops on localhost, lines 3 to 7, by 1 Jun 2026 12:00:10 UTC");
  assert.match(
    rowText(verdict, "Authors"),
    /^bob \(3 lines\) and ada \(2 lines\)\. Exported by the server localhost\.$/,
  );
  assert.match(
    rowText(verdict, "Integrity"),
    /^No line between 3 and 7 was altered, reordered or left out\. The text shown for each line is what was signed\.$/,
  );
  assert.equal(rowText(verdict, "Withheld"), "The log also has lines 0 to 2 and lines 8 and 9, not shown here.");
  assert.match(rowText(verdict, "Unknown"), /^Anything after line 9; who held each key;.*isolated members/);
  assert.equal(rowText(verdict, "Revocation"), "Not checked: no list was given.");
});

Deno.test("a closed transcript's verdict says that the text of all lines is withheld", async () => {
  const { openings: _, ...closed } = part;
  const verdict = await judge(closed);
  const { opened, checks } = verdict;
  assert.match(rowText(verdict, "Withheld"), /^The text of all 5 lines\./);
  assert.deepEqual(opened, []);
  const outcome = (name: string) => checks.find((check) => check.name === name)?.outcome;
  for (const name of ["opening hash", "envelope", "seen", "bodies", "checkpoints", "revocation"]) {
    assert.equal(outcome(name), "not checked", name);
  }
});

Deno.test("verifyRoom() is undecided without a CA, and invalid where something is wrong besides", async () => {
  const nobody = { authorities: [], revocations: [] };
  const verdict = await verifyRoom(part, nobody);
  assert.equal(verdict.result, "undecided");
  assert.equal(verdict.opened.length, 5);
  const open = verdict.checks.filter(({ outcome }) => outcome === "not checked").map(({ name }) => name);
  const trusting = ["signer", "author chain", "checkpoint server", "checkpoints", "rights", "revocation", "bodies"];
  assert.deepEqual(open, trusting);
  assert.equal((await verifyRoom({ ...part, lines: part.lines.slice(1) }, nobody)).result, "invalid");
});

Deno.test("a verdict lists every check, in one order", async () => {
  const verdict = await judge({ ...part, receipt: { type: "room_receipt" } });
  assert.deepEqual(verdict.checks.map(({ name }) => name), [...ROOM_CHECKS]);
  assert.deepEqual(failedOf(verdict), ["form"]);
  const reasons = verdict.checks[0]?.reasons.join("; ") ?? "";
  for (const name of ["peer", "room", "origin", "from_index", "checkpoint", "proof", "signer_cert", "certs"]) {
    assert.match(reasons, new RegExp(`\\b${name} is missing`));
  }
});

// ---- lines

Deno.test("verifyRoom() refuses lines that are dropped, swapped, doubled or appended, at every place", async () => {
  const { lines, receipt } = part;
  for (const [at, line] of lines.entries()) {
    const changes = [lines.toSpliced(at, 1), lines.toSpliced(at, 0, line), [...lines, line]];
    for (let other = at + 1; other < lines.length; other++) {
      changes.push(lines.with(at, lines[other] ?? "").with(other, line));
    }
    for (const changed of changes) {
      assert((await failures({ receipt, lines: changed })).includes("proof"));
      const recounted = await restate(receipt, { message_count: changed.length });
      assert((await failures({ receipt: recounted, lines: changed })).includes("proof"));
    }
  }
  for (const changed of [[], [...lines, ""], [...lines, ten.lines()[8] ?? ""]]) {
    assert((await failures({ receipt, lines: changed })).includes("count"));
  }
});

Deno.test("verifyRoom() refuses a receipt of no lines", async () => {
  for (const from of [0, 3, 10]) {
    const receipt = await restate(part.receipt, { from_index: from, message_count: 0 });
    const failed = await failures({ receipt, lines: [] });
    assert(failed.includes("count") && failed.includes("proof"), failed.join());
  }
});

Deno.test("verifyRoom() refuses a line of another log, well signed and well placed", async () => {
  const log = await talk(4);
  await log.say(ada, "meant for elsewhere", { origin: ORIGIN.replace("#ops", "#opt") });
  assert.deepEqual(await failures(await show(log)), ["line log"]);
});

Deno.test("verifyRoom() refuses a line that another key signed", async () => {
  const log = await talk(4);
  await log.say({ ...ada, key: bob.key }, "ada said this");
  assert.deepEqual(await failures(await show(log)), ["line signature"]);
});

Deno.test("verifyRoom() refuses an author's gap, repetition and late beginning", async () => {
  for (const [author, seqno] of [[ada, 3], [ada, 1], [ada, 0], [await person("cem"), 1]] as const) {
    const log = await talk(4);
    await log.say(author, { kind: "join", username: "ada" }, { seqno });
    assert.deepEqual(await failures(await show(log)), ["seqno"], `${seqno}`);
  }
});

Deno.test("verifyRoom() refuses seqnos for which there was no room before the first line", async () => {
  const log = await talk(4);
  await log.say(await person("cem"), "my sixth", { seqno: 5 });
  assert.deepEqual(await failures(await show(log, { from: 4 })), ["seqno"]);
  await log.say(ada, "my third", { seqno: 2 });
  const fits = await talk(4);
  await fits.say(await person("cem"), "my fifth", { seqno: 4 });
  assert.deepEqual(await failures(await show(fits, { from: 4 })), []);
});

Deno.test("verifyRoom() refuses authors whose certificates are not at hand, or not a client's", async () => {
  const authors = part.receipt.certs as readonly Json[];
  assert.equal(authors.length, 3);
  for (const [at, failed] of [[0, ["certs"]], [1, ["certs"]], [2, ["certs"]]] as const) {
    const receipt = await restate(part.receipt, { certs: authors.toSpliced(at, 1) });
    assert.deepEqual(await failures({ ...part, receipt }), failed);
  }
  const log = await talk(3);
  await log.say(server, { kind: "join", username: "server" });
  assert.deepEqual(await failures(await show(log)), ["author chain"]);
});

// ---- the tree and its heads

Deno.test("verifyRoom() refuses hashes that are missing, added, changed or moved", async () => {
  const { before, after } = part.receipt.proof as { before: string[]; after: string[] };
  const [first = "", last = ""] = [before[0], after.at(-1)];
  const proofs: Json[] = [
    { before: before.slice(1), after },
    { before, after: after.slice(1) },
    { before: [...before, first], after },
    { before, after: [...after, first] },
    { before: before.toReversed(), after },
    { before: before.with(0, last), after },
    { before, after: after.with(0, first) },
    { before: [...before, last], after: [] },
  ];
  const { openings: _, ...closed } = part;
  for (const proof of proofs) {
    assert.deepEqual(await failures({ ...closed, receipt: await restate(part.receipt, { proof }) }), ["proof"]);
  }
});

Deno.test("verifyRoom() refuses a checkpoint of another root, size, time or log", async () => {
  const { openings: _, ...closed } = part;
  const withHead = async (checkpoint: Checkpoint) =>
    await failures({ ...closed, receipt: await restate(part.receipt, { checkpoint: encodeCheckpoint(checkpoint) }) });
  const good = await ten.checkpoint();
  assert.deepEqual(await withHead(good), []);
  assert.deepEqual(await withHead(await ten.checkpoint({ head: { size: 10, root: ROOT } })), ["proof"]);
  assert.deepEqual(await withHead({ ...good, time: good.time + 1 }), ["checkpoint signature"]);
  assert.deepEqual(await withHead({ ...good, root: ROOT }), ["checkpoint signature", "proof"]);
  assert.deepEqual(await withHead({ ...good, sig: good.sig.with(9, (good.sig[9] ?? 0) ^ 1) }), [
    "checkpoint signature",
  ]);
  const other = new RoomLog(server, ORIGIN.replace(/0011/, "1100"), ten.now);
  assert.deepEqual(await withHead(await other.checkpoint({ head: ten.head })), ["checkpoint signature"]);
});

Deno.test("verifyRoom() refuses a checkpoint that covers too little", async () => {
  const five = await talk(5);
  const checkpoint = await five.checkpoint();
  await five.say(ada, "not covered");
  const { receipt: _, ...shown } = await show(five);
  const receipt = await restate(await five.receipt({ to: 5, checkpoint }), { message_count: 6 });
  assert.deepEqual(await failures({ ...shown, receipt }), ["count", "proof"]);
});

Deno.test("verifyRoom() refuses a checkpoint by a client, and by a server of another name or CA", async () => {
  const checked = async (by: Identity, origin = ORIGIN) => {
    const log = await talk(3, [ada, bob], origin);
    const shown = await show(log, { checkpoint: await log.checkpoint({ by }), others: [by] });
    return await failures(shown);
  };
  assert.deepEqual(await checked(await person("backup", undefined, "server")), []);
  assert.deepEqual(await checked(server, ORIGIN.replace("localhost", "LOCALHOST")), []);
  assert.deepEqual(await checked(ada), ["checkpoint server"]);
  assert.deepEqual(await checked(bob), ["checkpoint server"], "though the name is in his certificate");
  assert.deepEqual(await checked(server, ORIGIN.replace("localhost", "chat.example")), ["checkpoint server"]);
  assert.deepEqual(await checked(server, ORIGIN.replace("localhost", "a.localhost")), ["checkpoint server"]);
});

// ---- time

/** A log of 2020 and after: the brief server and Eve have certificates for 30 days. */
async function longLog() {
  const [eve, brief] = [await person("eve", 30), await person("brief", 30, "server")];
  const log = new RoomLog(server, ORIGIN, day(10));
  await log.say(eve, { kind: "join", username: "eve" });
  await log.say(eve, "two");
  log.see(bob);
  await log.say(bob, { kind: "join", username: "bob" });
  const early = await log.checkpoint({ by: brief });
  log.now = day(40);
  await log.say(bob, "four");
  const middle = await log.checkpoint();
  log.now = day(50);
  await log.say(bob, "five");
  return { log, eve, brief, early, middle };
}

Deno.test("verifyRoom() judges an author as of the first checkpoint shown that covers the line", async () => {
  const { log, brief, early, middle } = await longLog();
  const others = [brief];
  assert.deepEqual(await failures(await show(log, { checkpoints: [early, middle], others })), []);
  assert.deepEqual(await failures(await show(log, { checkpoints: [early], others })), []);
  assert.deepEqual(await failures(await show(log, { checkpoints: [middle] })), ["author chain"]);
  assert.deepEqual(await failures(await show(log)), ["author chain"]);
  assert.deepEqual(await failures(await show(log, { from: 2 })), [], "Bob's certificate lasts");
  assert.deepEqual(await failures(await show(log, { checkpoints: [early], others }), { at: day(60) }), [
    "author chain",
    "checkpoint server",
  ]);
  const { log: later, eve, early: first } = await longLog();
  await later.say(eve, "from beyond");
  assert.deepEqual(await failures(await show(later, { checkpoints: [first], others })), ["author chain"]);
  assert.deepEqual((await judge(await show(log, { checkpoints: [early], others }))).opened.map(({ by }) => by), [
    ...[early.time, early.time, early.time, day(50) / 1000 + 1, day(50) / 1000 + 1],
  ]);
});

Deno.test("verifyRoom() refuses earlier checkpoints out of order, out of place, of other logs, or not signed", async () => {
  const { log, brief, early, middle } = await longLog();
  const others = [brief];
  const failed = async (checkpoints: readonly Checkpoint[], options: ShownOptions = {}) =>
    await failures(await show(log, { checkpoints, others, ...options }));
  const last = await log.checkpoint();
  assert.deepEqual(await failed([early, last]), [], "the last may have the main one's size");
  assert.deepEqual(await failed([]), ["author chain"]);
  assert.deepEqual(await failed([early, early]), ["checkpoints"]);
  assert.deepEqual(await failed([early, middle], { from: 2, to: 3 }), ["checkpoints"]);
  assert.deepEqual(await failed([early, middle], { from: 3, to: 4 }), ["checkpoints"]);
  assert.deepEqual(await failed([early, await log.checkpoint({ head: { size: 4, root: ROOT } })]), ["checkpoints"]);
  assert.deepEqual(await failed([early, { ...middle, sig: middle.sig.with(7, (middle.sig[7] ?? 0) ^ 1) }]), [
    "checkpoint signature",
  ]);
  const late = await log.checkpoint({ head: middle, time: day(70) });
  assert.deepEqual(await failed([early, late]), ["checkpoints"]);
  const sooner = await log.checkpoint({ head: middle, time: day(9) });
  assert.deepEqual(await failed([early, sooner]), ["checkpoints", "times"], "and the line is later than its head");
  assert.deepEqual(await failed([early], { others: [] }), ["certs"]);
});

Deno.test("verifyRoom() refuses a checkpoint of a time beyond any calendar, and says so", async () => {
  const checkpoint = await ten.checkpoint({ time: Number.MAX_SAFE_INTEGER });
  assert.deepEqual(await failures(await show(ten, { checkpoint })), ["author chain", "checkpoint server", "times"]);
  const timeless = { ...checkpoint, time: Number.MAX_SAFE_INTEGER };
  assert((await failures(await show(ten, { checkpoint: timeless }))).includes("checkpoint server"));
});

// ---- revocation

Deno.test("verifyRoom() has asked about revocation where every issuer's list is given, and says which is not", async () => {
  const root = await authority();
  const issuer = await createIssuer(root, "Issuing CA", await key("issuer"), issuing);
  const request = { role: "client", name: "dana", publicKey: publicKeyOf(await key("dana")) } as const;
  const chain = [await issueCertificate(issuer, request, issuing), issuer.certificate] as const;
  const dana = { chain, pem: chain.map(({ pem }) => pem).join(""), key: await importSigningKey(await key("dana")) };
  const log = await talk(2);
  await log.say(dana, { kind: "join", username: "dana" });
  const shown = await show(log);
  const listOf = async (by: Authority, ...serials: string[]) => {
    const revoked = serials.map((serial) => ({ serial, date: NOW - 1000 }));
    return parseRevocationList(
      await issueRevocationList(by, revoked, { now: NOW, nextUpdate: day(9_000), number: 1n }),
    );
  };
  const judged = async (...revocations: RevocationList[]) => {
    const verdict = await verifyRoom(shown, { ...trust, revocations });
    const check = verdict.checks.find(({ name }) => name === "revocation");
    return { ...check, result: verdict.result, said: rowText(verdict, "Revocation") };
  };
  const ofRoot = await judged(await listOf(root));
  assert.deepEqual([ofRoot.result, ofRoot.outcome], ["valid", "not checked"]);
  assert.deepEqual(ofRoot.reasons, ['no list of "CN=Issuing CA" is given']);
  assert.match(
    ofRoot.said,
    /^Checked with the list of "CN=Test CA" of 1 Jun 2026 12:00:00 UTC: .*\. Not checked .* that "CN=Issuing CA" issued/,
  );
  const both = await judged(await listOf(root), await listOf(issuer));
  assert.deepEqual([both.result, both.outcome], ["valid", "passed"]);
  assert.doesNotMatch(both.said, /Not checked/);
  const revoked = await judged(await listOf(issuer, chain[0].serial));
  assert.deepEqual([revoked.result, revoked.outcome, revoked.reasons?.length], ["partly_valid", "failed", 1]);
});

// ---- openings

Deno.test("verifyRoom() refuses an opening of another line, and one with a bit changed", async () => {
  const [three, four] = ten.openings([3, 4]);
  assert(three && four);
  const refused = async (...openings: Opening[]) => await failures({ ...part, openings: rowsOf(openings) });
  assert.deepEqual(await refused({ index: 3, envelope: four.envelope }), ["opening hash"]);
  for (const at of [0, 9, three.envelope.length - 1]) {
    const envelope = three.envelope.with(at, (three.envelope[at] ?? 0) ^ 1);
    assert.deepEqual(await refused({ index: 3, envelope }), ["opening hash"]);
  }
  assert.deepEqual(await refused({ index: 3, envelope: new Uint8Array() }), ["opening hash"]);
});

Deno.test("verifyRoom() refuses openings of lines that are not shown, downwards, twice, or unreadable", async () => {
  const rows = rowsOf(ten.openings([4, 6]));
  const [four = "", six = ""] = rows;
  const outside = rowsOf(ten.openings([2, 9]));
  for (
    const openings of [[outside[0] ?? ""], [four, outside[1] ?? ""], [six, four], [four, four], [`0${four}`], ["x"], [
      "",
    ]]
  ) {
    assert.deepEqual(await failures({ ...part, openings }), ["opening form"], openings[0]);
  }
  const { checks } = await judge({ ...part, openings: [six, four] });
  const form = checks.find(({ name }) => name === "opening form");
  assert.deepEqual(form?.reasons, ["row 2 of the openings, of line 4, doesn't go upwards"]);
  assert.equal(checks.find(({ name }) => name === "seen")?.outcome, "not checked");
  const cut = { receipt: part.receipt, lines: part.lines, openings: transcriptLines(`${four}\n${six}`) };
  assert.deepEqual(failedOf(await verifyRoom(cut, trust)), ["opening form"]);
});

Deno.test("openings that an editor or a transfer has changed are told as that", async () => {
  const text = `${rowsOf(ten.openings([4])).join("\n")}\n`;
  const changed: [string, RegExp][] = [
    [text.replaceAll("\n", "\r\n"), /row 1 of the openings ends with CR LF/],
    [`\ufeff${text}`, /row 1 of the openings begins with a byte order mark/],
    [text.replace("\t", "    "), /row 1 of the openings has blanks instead of its tab/],
    [`${text}\n`, /row 2 of the openings is empty/],
    [text.trimEnd(), /the last line has no LF/],
  ];
  for (const [openings, reason] of changed) {
    const { result, checks } = await verifyRoom({ ...part, openings: transcriptLines(openings) }, trust);
    assert.equal(result, "invalid");
    assert.match(checks.find(({ name }) => name === "opening form")?.reasons.join() ?? "", reason);
  }
  const wide = new Uint8Array(new Uint16Array([...`\ufeff${text}`].map((c) => c.charCodeAt(0))).buffer);
  const { checks } = await verifyRoom({ ...part, openings: transcriptLines(wide) }, trust);
  assert.match(checks.find(({ name }) => name === "opening form")?.reasons.join() ?? "", /UTF-16/);
});

Deno.test("verifyRoom() refuses an envelope of another room, and what is no envelope", async () => {
  const spoken = async (envelope: Uint8Array) => {
    const log = await talk(4);
    await log.say(ada, "", { envelope: new Uint8Array(envelope) });
    return await failures(await show(log));
  };
  const statement = { kind: "text", text: "hello" } as const;
  const good = { room: "#ops", seen: new RoomLog(server).head, salt: new Uint8Array(16), statement };
  assert.deepEqual(await spoken(encodeEnvelope(good)), []);
  assert.deepEqual(await spoken(encodeEnvelope({ ...good, room: "#opt" })), ["opening room"]);
  assert.deepEqual(await spoken(encodeUtf8("hello")), ["envelope"]);
});

Deno.test("verifyRoom() refuses a head that was never the log's, lies beyond the line, or falls", async () => {
  const claimed = async (size: number, root: string, from = 0) => {
    const log = await talk(0);
    await log.say(bob, { kind: "join", username: "bob" });
    for (let number = 1; number < 6; number++) await log.say(bob, `line ${number}`);
    const seen = { size, root: root === "own" ? log.head.root : root };
    await log.say(ada, { kind: "join", username: "ada" }, { seen });
    return await failures(await show(log, { from }));
  };
  assert.deepEqual(await claimed(6, "own"), []);
  assert.deepEqual(await claimed(6, ROOT), ["seen"]);
  assert.deepEqual(await claimed(6, ROOT, 6), ["seen"], "the frontier gives the root at a");
  assert.deepEqual(await claimed(3, ROOT), ["seen"]);
  assert.deepEqual(await claimed(3, ROOT, 4), [], "of sizes below a nothing is known");
  assert.deepEqual(await claimed(7, "own"), ["seen"]);
  assert.deepEqual(await claimed(0, ROOT, 4), ["seen"]);

  const falling = await talk(0);
  const first = falling.head;
  await falling.say(bob, { kind: "join", username: "bob" });
  falling.see(bob);
  await falling.say(bob, "two");
  await falling.say(bob, "three", { seen: first });
  assert.deepEqual(await failures(await show(falling)), ["seen"]);
});

Deno.test("verifyRoom() makes no roots behind a line that can't be read", async () => {
  const log = await talk(4);
  log.see(bob);
  await log.say(bob, "I have seen four lines");
  const shown = await show(log);
  const seenOf = async (changed: Partial<Shown>) => {
    const { checks } = await judge({ ...shown, ...changed });
    return checks.find(({ name }) => name === "seen");
  };
  assert.equal((await seenOf({}))?.outcome, "passed");
  const { outcome, reasons } = await seenOf({ lines: shown.lines.with(2, "") }) ?? {};
  assert.deepEqual([outcome, reasons], ["not checked", ["of what an author had seen, not every line is shown"]]);
});

// ---- the receipt

Deno.test("verifyRoom() refuses a receipt of which any field was changed after it was signed", async () => {
  const { receipt } = part;
  const changed: Record<string, Json> = {
    created_at: "2026-06-01T12:00:11Z",
    peer: "client",
    room: "#opt",
    from_index: 4,
    message_count: 4,
    note: "added",
  };
  for (const [name, value] of Object.entries(changed)) {
    assert((await failures({ ...part, receipt: { ...receipt, [name]: value } })).includes("statement"), name);
  }
  const { statement_signature: _, ...unsigned } = receipt;
  assert.deepEqual(await failures({ ...part, receipt: unsigned }), ["statement"]);
  assert.deepEqual(await failures({ ...part, receipt: await restate(receipt, {}, ada) }), ["statement"]);
});

Deno.test("verifyRoom() takes unknown fields that are signed, and a receipt by a member", async () => {
  assert.deepEqual(
    await failures({ ...part, receipt: await restate(part.receipt, { note: { "\u{1f600}": [null] } }) }),
    [],
  );
  assert.deepEqual(await failures(await show(ten, { from: 3, to: 8, by: ada, role: "client" })), []);
  assert.deepEqual(await failures(await show(ten, { from: 3, to: 8, by: ada })), ["signer"]);
  const late = { by: await person("eve", 30), role: "client" } as const;
  assert.deepEqual(await failures(await show(ten, late)), ["signer"]);
});

Deno.test("verifyRoom() refuses a receipt of another room, log or server", async () => {
  const refused = async (fields: Record<string, Json>) =>
    await failures({ ...part, receipt: await restate(part.receipt, fields) });
  assert.deepEqual(await refused({ room: "#opt" }), ["origin", "opening room"]);
  const other = ORIGIN.replace("#ops", "#opt");
  assert.deepEqual(await refused({ room: "#opt", origin: other }), [
    "line log",
    "checkpoint signature",
    "opening room",
  ]);
  assert.deepEqual(await refused({ origin: "#ops" }), [
    ...["origin", "line log", "checkpoint signature", "checkpoint server"],
  ]);
});

Deno.test("verifyRoom() refuses a signer that isn't the one named", async () => {
  const receipt = await restate(part.receipt, { peer_cert_fingerprint: fingerprintOf(ada) });
  assert.deepEqual(await failures({ ...part, receipt }), ["signer"]);
});

Deno.test("verifyRoom() never throws for an object, whatever its fields are", async () => {
  const values = [null, true, "", "x", 7, [], {}, [[]], -1, 1.5, "é", 2 ** 53];
  for (const name of Object.keys(part.receipt)) {
    for (const value of values) {
      const text = JSON.stringify({ ...part.receipt, [name]: value });
      const verdict = await verifyRoom({ ...part, receipt: text }, trust);
      assert.notEqual(verdict.result, "valid", `${name}: ${value}`);
    }
    const { [name]: _, ...rest } = part.receipt;
    assert.equal((await judge({ ...part, receipt: rest })).result, "invalid", name);
  }
});

Deno.test("verifyRoom() refuses to read a receipt beyond 16 MiB, one that is not UTF-8 and one that is not JSON", async () => {
  const huge = new Uint8Array(MAX_ROOM_RECEIPT_BYTES + 1).fill(0x20);
  for (const receipt of [huge, Uint8Array.of(0x22, 0xff, 0x22), "{", "", "[]", "null", "7"]) {
    const unreadable = (error: unknown) => error instanceof Failure && error.status === EXIT.usage;
    await assert.rejects(verifyRoom({ receipt, lines: [] }, trust), unreadable);
    await assert.rejects(verifyLineProof(receipt, trust), unreadable);
  }
});

Deno.test("nothing in a verdict holds a control character, whatever was shown", async () => {
  const hostile = { "\u001b[2J": 1, room: "\u001b]0;x\u0007", origin: "\u001b/\n/\r" };
  const repeated = `${encodeJson({ ...part.receipt, ...hostile }).slice(0, -1)},"\\u001b":1,"\\u001b":2}`;
  const log = await talk(1);
  await log.say(ada, "", { envelope: encodeUtf8('{"kind":"\\u001b"}') });
  for (
    const verdict of [
      await verifyRoom({ ...part, receipt: repeated }, trust),
      await judge({ ...part, receipt: await restate(part.receipt, { origin: "\u001b/\n/\r" }) }),
      await judge(await show(log)),
    ]
  ) {
    const { checks } = verdict;
    const reasons = checks.flatMap((check) => [...check.reasons, check.expected ?? "", check.found ?? ""]);
    assert.notEqual(verdict.result, "valid");
    const faults = verdict.lines.bad.flatMap((line) => line.faults.map(({ reason }) => reason));
    assert.doesNotMatch([...sentencesOf(verdict), ...reasons, ...faults].join(""), /\p{Cc}/u);
  }
});

// ---- line proofs

Deno.test("verifyLineProof() accepts a line with its opening, closed, and a few lines", async () => {
  for (const [from, to, open] of [[7, 8, [7]], [7, 8, []], [6, 9, [6, 8]]] as const) {
    const proof = encodeLineProof({
      lines: ten.lines(from, to),
      openings: ten.openings([...open]),
      receipt: await ten.receipt({ from, to, by: bob, role: "client" }),
    });
    const verdict = await verifyLineProof(encodeJson(proof), trust);
    assert.deepEqual(failedOf(verdict), []);
    assert.deepEqual(verdict.opened.map(({ index }) => index), open);
    assert.equal(roomEvidenceType(encodeUtf8(encodeJson(proof))), "line_proof");
  }
});

Deno.test("verifyLineProof() refuses what is none, and a name that comes twice", async () => {
  const proof = encodeLineProof({
    lines: ten.lines(7, 8),
    openings: ten.openings([7]),
    receipt: await ten.receipt({ from: 7, to: 8 }),
  });
  const text = encodeJson(proof);
  const twice = text.replace('"openings":{', '"openings":{"7":"e30=",');
  const refused = [
    encodeJson(part.receipt),
    twice,
    encodeJson({ ...proof, lines: "x" }),
    encodeJson({ ...proof, receipt: 1 }),
  ];
  for (const file of refused) assert.deepEqual(failedOf(await verifyLineProof(file, trust)), ["form"]);
  const withLf = encodeJson({ ...proof, lines: [`${ten.lines(7, 8)[0]}\n`] });
  assert.deepEqual(failedOf(await verifyLineProof(withLf, trust)), ["transcript", "proof"]);
});

Deno.test("roomEvidenceType() tells rooms' evidence from a session's, and from what is no JSON", () => {
  const of = (text: string) => roomEvidenceType(encodeUtf8(text));
  assert.equal(of('{"type":"room_receipt"}'), "room_receipt");
  for (const text of ['{"type":"receipt"}', "{}", "[]", "", "{", '{"type":1}']) assert.equal(of(text), undefined);
  assert.equal(roomEvidenceType(Uint8Array.of(0xff)), undefined);
});

// ---- every byte

const one = await talk(1, [ada]);
const small = encodeUtf8(encodeJson(encodeLineProof({
  lines: one.lines(),
  openings: one.openings(),
  receipt: await one.receipt(),
})));

/** The lowest bit (a neighbour, in base64 and among digits), the one of case, and the highest, in turn. */
const MASKS = [0x01, 0x20, 0x80];

Deno.test("verifyLineProof() refuses an open line proof with any byte flipped", async () => {
  assert.equal((await verifyLineProof(small, trust)).result, "valid");
  for (let at = 0; at < small.length; at++) {
    const flipped = small.with(at, (small[at] ?? 0) ^ (MASKS[at % MASKS.length] ?? 1));
    let result: string;
    try {
      ({ result } = await verifyLineProof(flipped, trust));
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      continue;
    }
    assert.equal(result, "invalid", `byte ${at}`);
  }
});

// ---- streams

Deno.test("verifyRoom() takes lines one by one, and no more than the checker has work for", async () => {
  const many = await talk(3);
  const lines = many.lines();
  let [given, checked] = [0, 0];
  const endless = async function* () {
    for (; given < 1000; given++) yield await Promise.resolve(lines[given % 3] ?? "");
  };
  const slow: SignatureChecker = {
    concurrency: 2,
    check: async (batch) => {
      await new Promise((resolve) => queueMicrotask(() => resolve(undefined)));
      checked += batch.length;
      assert(given - checked < 64 * 5, `${given} lines taken, ${checked} checked`);
      return batch.map(() => true);
    },
  };
  const receipt = await restate(await many.receipt(), { message_count: 1000 });
  const verdict = await verifyRoom({ receipt, lines: endless() }, trust, { signatures: slow });
  assert.deepEqual([given, checked], [1000, 1000]);
  assert.equal(verdict.result, "invalid");
});

Deno.test("a checker that answers too little fails every line of its batch", async () => {
  const verdict = await judge(whole, { signatures: { concurrency: 1, check: () => [true] } });
  assert.deepEqual(failedOf(verdict), ["line signature"]);
  assert.equal(verdict.checks.find(({ name }) => name === "line signature")?.reasons.length, 10);
});
