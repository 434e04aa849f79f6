import { assert } from "./assert.ts";
import { type EvidenceCase, evidenceCase, verdictOf } from "./evidence.ts";
import { rowText, sentencesOf } from "./verdict_text.ts";
import { concat, encodeUtf8, parseUtf8 } from "../lib/bytes.ts";
import { EXIT, Failure } from "../lib/errors.ts";
import { encodeJson, isJsonObject, type JsonObject, parseJson, repeatedName } from "../lib/json.ts";
import { makeReceipt, MAX_RECEIPT_BYTES } from "../lib/receipt.ts";
import type { SignatureChecker } from "../lib/line_signature.ts";
import { MAX_LINE_BYTES, parseLine, TranscriptSummary } from "../lib/transcript.ts";
import type { Check } from "../lib/verify_verdict.ts";
import { authorsText } from "../lib/verify_rows.ts";
import {
  type CheckName,
  TranscriptFormError,
  transcriptLines,
  type Verdict,
  verify,
  type VerifyOptions,
} from "../lib/verify.ts";
import { parseCertificates, parseRevocationList } from "../lib/x509.ts";
import { identities } from "./fixtures.ts";
import { fingerprintOf, person, RoomLog } from "./room_evidence.ts";

const session = evidenceCase("session");
const versionOne = evidenceCase("version_1");

function trustOf({ ca }: EvidenceCase) {
  return { authorities: parseCertificates(ca), revocations: [] };
}

function receiptOf({ receipt }: EvidenceCase): JsonObject {
  const object = parseJson(parseUtf8(receipt) ?? "");
  assert(isJsonObject(object));
  return object;
}

function linesOf({ transcript }: EvidenceCase): string[] {
  return (parseUtf8(transcript) ?? "").split("\n").slice(0, -1);
}

function verifyCase(evidence: EvidenceCase, options: VerifyOptions = {}) {
  return verify({ receipt: evidence.receipt, lines: linesOf(evidence) }, trustOf(evidence), options);
}

function check(checks: readonly Check[], name: CheckName): Check {
  const found = checks.find((one) => one.name === name);
  assert(found);
  return found;
}

// ---- every byte

const small = evidenceCase("session_one_line");
const smallOne = evidenceCase("version_1_one_line");

/** The lowest bit (a neighbour, in base64 and among digits), the one of case, and the highest. */
const MASKS = [0x01, 0x20, 0x80];

function* flips(bytes: Uint8Array): Generator<{ at: number; mask: number; flipped: Uint8Array }> {
  for (let at = 0; at < bytes.length; at++) {
    for (const mask of MASKS) {
      const flipped = bytes.slice();
      flipped[at] = (flipped[at] ?? 0) ^ mask;
      yield { at, mask, flipped };
    }
  }
}

async function isAccepted(evidence: EvidenceCase): Promise<boolean> {
  return (await verdictOf(evidence))?.result === "valid";
}

Deno.test("verify() refuses a transcript with any byte flipped", async () => {
  let count = 0;
  for (const { at, mask, flipped } of flips(small.transcript)) {
    assert.equal(await isAccepted({ ...small, transcript: flipped }), false, `byte ${at}, mask ${mask}`);
    count++;
  }
  assert.equal(count, MASKS.length * small.transcript.length);
});

/** Whether the bytes are JSON for exactly that object, no name twice. */
function isSameObject(bytes: Uint8Array, object: JsonObject): boolean {
  const text = parseUtf8(bytes);
  const parsed = text === undefined ? undefined : parseJson(text);
  return parsed !== undefined && encodeJson(parsed) === encodeJson(object) && repeatedName(text ?? "") === undefined;
}

Deno.test("verify() refuses a version-2 receipt with any byte flipped, but for blanks between its values", async () => {
  const object = receiptOf(small);
  let accepted = 0;
  for (const { at, mask, flipped } of flips(small.receipt)) {
    if (!await isAccepted({ ...small, receipt: flipped })) continue;
    assert(isSameObject(flipped, object), `byte ${at}, mask ${mask}`);
    accepted++;
  }
  assert(accepted < small.receipt.length / 20);
});

Deno.test("verify() refuses a version-1 receipt with any byte flipped outside the fields that it calls unsigned", async () => {
  const object = receiptOf(smallOne);
  const verdict = await verifyCase(smallOne);
  assert.deepEqual(verdict.unsigned, ["certs", "created_at", "peer"]);
  const signedPart = (receipt: JsonObject) =>
    encodeJson(Object.entries(receipt).filter(([name]) => !verdict.unsigned.includes(name)).sort());
  for (const { at, mask, flipped } of flips(smallOne.receipt)) {
    const answer = await verdictOf({ ...smallOne, receipt: flipped });
    if (answer?.result !== "valid") continue;
    const parsed = parseJson(parseUtf8(flipped) ?? "");
    assert(isJsonObject(parsed));
    const others = Object.fromEntries(Object.entries(parsed).filter(([name]) => !answer.unsigned.includes(name)));
    assert.equal(signedPart(others), signedPart(object), `byte ${at}, mask ${mask}`);
  }
});

// ---- lines

const lines = linesOf(session);

async function resultOf(changed: readonly string[]): Promise<string> {
  return (await verify({ receipt: session.receipt, lines: changed }, trustOf(session))).result;
}

Deno.test("verify() refuses lines that are dropped, swapped, doubled or appended, at every place", async () => {
  assert.equal(await resultOf(lines), "valid");
  for (const [at, line] of lines.entries()) {
    assert.equal(await resultOf(lines.toSpliced(at, 1)), "invalid");
    assert.equal(await resultOf(lines.toSpliced(at, 0, line)), "invalid");
    assert.equal(await resultOf([...lines, line]), "invalid");
    for (let other = at + 1; other < lines.length; other++) {
      assert.equal(await resultOf(lines.with(at, lines[other] ?? "").with(other, line)), "invalid");
    }
  }
  assert.equal(await resultOf([]), "invalid");
  assert.equal(await resultOf([...lines, ""]), "invalid");
});

Deno.test("verify() reads no further where many lines are none, and says so", async () => {
  let count = 0;
  const endless = async function* () {
    for (; count < 100_000; count++) yield await Promise.resolve("");
  };
  const { result, checks } = await verify({ receipt: session.receipt, lines: endless() }, trustOf(session));
  assert.deepEqual([result, count], ["invalid", 999]);
  assert.match(check(checks, "transcript form").reasons.at(-1) ?? "", /^and 980 more$/);
  for (const name of ["transcript hash", "message count", "receipt signature"] as const) {
    assert.deepEqual(check(checks, name).reasons, ["the transcript was not read to its end"]);
  }
});

Deno.test("verify() refuses a line of a time beyond any calendar, and says so", async () => {
  const [seqno, _, ...rest] = (lines[0] ?? "").split("|");
  const late = [seqno, Number.MAX_SAFE_INTEGER, ...rest].join("|");
  const verdict = await verify({ receipt: session.receipt, lines: [late] }, trustOf(session));
  assert.match(check(verdict.checks, "line certificates").reasons[0] ?? "", /is used on 9007199254740991 ms/);
});

Deno.test("verify() lists every check in one order, and the first reasons of very many", async () => {
  const many = Array.from({ length: 500 }, () => "not a line");
  const verdict = await verify({ receipt: session.receipt, lines: many }, trustOf(session));
  const form = check(verdict.checks, "transcript form");
  assert.equal(form.outcome, "failed");
  assert(form.reasons.length <= 21);
  assert.match(form.reasons.at(-1) ?? "", /^and 480 more$/);
  assert.deepEqual(
    verdict.checks.map(({ name }) => name),
    (await verifyCase(session)).checks.map(({ name }) => name),
  );
});

Deno.test("verify() says what the receipt says and what the transcript gives", async () => {
  const verdict = await verify({ receipt: session.receipt, lines: lines.slice(1) }, trustOf(session));
  const { expected, found } = check(verdict.checks, "message count");
  assert.deepEqual({ expected, found }, { expected: "3", found: "2" });
  assert.equal(check(verdict.checks, "first seqno").found, "1");
});

Deno.test("verify() says which certificate signed a line that names another", async () => {
  const evidence = evidenceCase("names_another_certificate_fail");
  const verdict = await verifyCase(evidence);
  assert.match(
    check(verdict.checks, "line signatures").reasons[0] ?? "",
    /^line 1: the signature is by another certificate than the one that is named: .*CLIENT: ada/,
  );
});

Deno.test("verify() looks for the signer of a bad line only where it says whose the line is", async () => {
  const [leaf] = parseCertificates(evidenceCase("two_signers").ca);
  let tried = 0;
  const watched = Object.create(leaf ?? null, { rsa: { get: () => void tried++ } });
  const many = Array.from({ length: 100 }, () => lines[0] ?? "");
  const signatures = { concurrency: 1, check: (batch: readonly unknown[]) => batch.map(() => false) };
  const evidence = { receipt: session.receipt, lines: many, certificates: [[watched]] };
  const { reasons } = check((await verify(evidence, trustOf(session), { signatures })).checks, "line signatures");
  assert.deepEqual([tried, reasons.length, reasons.at(-1)], [20, 21, "and 80 more"]);
});

// ---- what is not shown

Deno.test("verify() is undecided without a CA, and invalid where something is wrong besides", async () => {
  const nobody = { authorities: [], revocations: [] };
  const verdict = await verify({ receipt: session.receipt, lines }, nobody);
  assert.equal(verdict.result, "undecided");
  assert.equal(check(verdict.checks, "signer certificate").outcome, "not checked");
  assert.equal(check(verdict.checks, "line certificates").outcome, "not checked");
  assert.equal(check(verdict.checks, "line signatures").outcome, "passed");
  assert.equal((await verify({ receipt: session.receipt, lines: lines.slice(1) }, nobody)).result, "invalid");
});

Deno.test("a verdict says that the words are not shown, whose claim the times are, and what nobody signed", async () => {
  const [two, one] = [await verifyCase(session), await verifyCase(versionOne)];
  for (const verdict of [two, one]) {
    assert.match(rowText(verdict, "Withheld"), /^The words: a session's transcript is encrypted/);
    assert.match(rowText(verdict, "Time"), /^By their authors' own clocks the lines are of /);
  }
  assert.deepEqual(two.unsigned, []);
  assert.match(two.sentence, /receipt of 15 Jun 2026 12:05:00 UTC$/);
  assert.match(rowText(two, "Integrity"), /Every field of the receipt is signed\.$/);
  assert.doesNotMatch(one.sentence, /UTC/, "nobody signed the receipt's time");
  assert.match(rowText(one, "Integrity"), /nobody signed certs, created_at, peer/);
  assert.equal(check(one.checks, "statement signature").outcome, "not checked");
});

Deno.test("a verdict says of what time a revocation list is, and whose certificates none was asked about", async () => {
  const listed = await verdictOf(evidenceCase("revoked_later"));
  assert(listed);
  assert.match(
    rowText(listed, "Revocation"),
    /^Checked with the list of "CN=Example Chat CA" of [0-9A-Za-z :]+ UTC: later revocations are unknown\.$/,
  );

  const evidence = evidenceCase("intermediate");
  const authorities = parseCertificates(evidence.ca);
  const revocations = [parseRevocationList(evidenceCase("revoked_later").crl ?? "")];
  const some = await verify({ receipt: evidence.receipt, lines: linesOf(evidence) }, { authorities, revocations });
  assert.deepEqual(sentencesOf(some).filter((text) => text.startsWith("Not checked")), [
    'Not checked for certificates that "CN=Example Chat Intermediate" issued: no list signed with its key was given.',
  ]);
});

Deno.test("a verdict counts the lines of each signer", async () => {
  const verdict = await verifyCase(evidenceCase("two_signers"));
  assert.deepEqual(verdict.signers.map(({ subject, lines }) => [subject, lines]), [["CN=CLIENT: ada", 2], [
    "CN=CLIENT: bob",
    2,
  ]]);
});

Deno.test("nothing in a verdict holds a control character, whatever the receipt says", async () => {
  const object = receiptOf(versionOne);
  const hostile = { ...object, "\u001b[2J": 1, peer: "\u001b]0;x\u0007", created_at: "\n" };
  const verdict = await verify({ receipt: encodeJson(hostile), lines: linesOf(versionOne) }, trustOf(versionOne));
  assert.doesNotMatch(
    [...sentencesOf(verdict), ...verdict.checks.flatMap((one) => one.reasons)].join(""),
    /\p{Cc}/u,
  );
});

Deno.test("names of unknown fields are quoted, cut and counted: none stands in a verdict as a sentence of its own", async () => {
  const object = receiptOf(versionOne);
  const claim = "Every field is signed: made 2026-06-15T12:05:00Z, of session";
  const few = await verify({ receipt: { ...object, [claim]: 1 }, lines: linesOf(versionOne) }, trustOf(versionOne));
  assert.equal(few.result, "valid");
  assert(
    sentencesOf(few).includes(
      `A version-1 receipt: nobody signed certs, created_at, peer, 1 unknown field ("${claim}"); ` +
        "anybody could have written them.",
    ),
  );
  const names = Array.from({ length: 500 }, (_, i) => [`${"x".repeat(300)}${String(i).padStart(3, "0")}"`, i]);
  const many = { ...object, ...Object.fromEntries(names) };
  const verdict = await verify({ receipt: many, lines: linesOf(versionOne) }, trustOf(versionOne));
  assert.equal(verdict.unsigned.length, 503);
  assert.match(
    rowText(verdict, "Integrity"),
    /500 unknown fields \(("x{80}… \(305 characters\)"(, )?){3} and 497 more\)/,
  );
  assert(sentencesOf(verdict).every((text) => text.length < 600));
});

Deno.test("two signers of the same name are told apart by their issuers and certificates", () => {
  const ada = { subject: "CN=CLIENT: ada", issuer: "CN=One CA", fingerprint: "aa".repeat(32), lines: 1 };
  const other = { ...ada, issuer: "CN=Other CA", fingerprint: "bb".repeat(32) };
  const bob = { ...ada, subject: "CN=CLIENT: bob", fingerprint: "cc".repeat(32) };
  assert.equal(authorsText([ada, bob]), "ada (1 line) and bob (1 line)");
  assert.equal(
    authorsText([ada, bob, other]),
    '"CN=CLIENT: ada" (issued by "CN=One CA", SHA-256 aaaaaaaaaaaaaaaa…) (1 line), bob (1 line) and ' +
      '"CN=CLIENT: ada" (issued by "CN=Other CA", SHA-256 bbbbbbbbbbbbbbbb…) (1 line)',
  );
  const many = Array.from({ length: 20 }, (_, at) => ({ ...ada, subject: `CN=CLIENT: a${at}`, fingerprint: `${at}` }));
  assert.match(authorsText(many), /, a7 \(1 line\) and 12 more$/);
  const cyrillic = { ...other, subject: "CN=CLIENT: \u0430\u0501\u0430" }; // looks like ada
  assert.match(
    authorsText([ada, cyrillic]),
    /^ada \(1 line\) and ".*" \(issued by "CN=Other CA", SHA-256 bbbbbbbbbbbbbbbb…\) \(1 line\)$/,
  );
  assert.equal(authorsText([cyrillic]), `"${cyrillic.subject}" (1 line)`);
  const long = `CN=CLIENT: ${"a".repeat(80)}`;
  const text = authorsText([{ ...ada, subject: `${long}b` }, { ...other, subject: `${long}c` }]);
  assert.match(text, /SHA-256 aaaaaaaaaaaaaaaa….* and .*SHA-256 bbbbbbbbbbbbbbbb…/);
});

Deno.test("a client's own receipt lists what it says was sent, and its verdict says that the server signed nothing", async () => {
  const own = await verifyCase(evidenceCase("session_client_receipt"));
  assert.match(own.sentence, /^VERIFIED A session as recorded by ada, lines 1 to 3, receipt of /);
  assert.match(
    rowText(own, "Unknown"),
    /^Whether the server accepted these lines, or ever saw them: it signed nothing/,
  );
  const theirs = await verifyCase(session);
  assert.match(theirs.sentence, /^VERIFIED A session with the server localhost, lines 1 to 3, receipt of /);
  assert.doesNotMatch(sentencesOf(theirs).join("\n"), /signed nothing|Not this session's client|may be a room's/);
});

Deno.test("a verdict names who signed lines without being the session's client, and how many may be a room's", async () => {
  const both = await verifyCase(evidenceCase("two_signers"));
  const strangers = (verdict: Verdict) => sentencesOf(verdict).filter((text) => text.startsWith("Not this session's"));
  assert.equal(both.result, "valid");
  assert.deepEqual(strangers(both), ["Not this session's client: bob, whose lines may come from elsewhere."]);

  // Bob shows two of ada's lines of a room as what he has sent to the server.
  const { server, client: ada, trust } = await identities();
  const bob = await person("bob");
  const log = new RoomLog(server);
  for (const words of ["I will not pay", "not a cent", "or maybe: yes"]) await log.say(ada, words);
  const shown = [0, 2].map((at) => log.lines()[at] ?? "");
  const receiptOver = (lines: readonly string[]) => {
    const summary = new TranscriptSummary();
    for (const line of lines) summary.add(line, parseLine(line)?.seqno ?? NaN, parseLine(line)?.ts ?? 0);
    return makeReceipt({
      ...{ role: "client", key: bob.key, pem: bob.pem, fingerprint: fingerprintOf(bob), linePems: [ada.pem], summary },
      ...{ createdAt: log.now, identity: { otherFingerprint: fingerprintOf(server), session: "ab".repeat(32) } },
    });
  };
  const refused = await verify({ receipt: await receiptOver(shown), lines: shown }, trust);
  assert.match(check(refused.checks, "room lines").reasons.join(), /^lines 1 and 2 begin with the same 32 bytes/);
  const one = { receipt: await receiptOver(shown.slice(0, 1)), lines: shown.slice(0, 1) };
  const named = await verify({ ...one, logs: [log.origin] }, trust);
  assert.deepEqual(check(named.checks, "room lines").reasons, ["line 1 was written in the named room (R)"]);
  const shownByBob = await verify(one, trust);
  assert.match(shownByBob.sentence, /^VERIFIED A session as recorded by bob, line 1, /);
  assert.deepEqual(strangers(shownByBob), ["Not this session's client: ada, whose lines may come from elsewhere."]);
  assert.match(rowText(shownByBob, "Unknown"), /Whether 1 line that may be a room's, by the length of the body, /);
});

Deno.test("a time in the evidence that the verifier's clock has not reached is noted, and changes no verdict", async () => {
  const created = Date.parse(String(receiptOf(session).created_at));
  const early = await verifyCase(session, { now: created - 86_400_000 });
  assert.equal(early.result, "valid");
  assert.match(
    rowText(early, "Time"),
    /The receipt is of .*, and this computer's clock says .*: one of them is wrong\.$/,
  );
  assert.doesNotMatch(rowText(await verifyCase(session, { now: created }), "Time"), /clock says/);
});

Deno.test("verify() throws for an option that it doesn't know, and for a time that is no integer", async () => {
  const wrong = [{ At: 1 }, { at: 1.5 }, { now: NaN }, { now: "2026" }, { policy: { requireV2: true } }];
  for (const options of wrong) {
    await assert.rejects(verifyCase(session, options as unknown as VerifyOptions), TypeError, JSON.stringify(options));
  }
});

// ---- what is demanded

const identity = {
  session: String(receiptOf(session).session),
  other: String(receiptOf(session).other_fingerprint),
};
const expected = {
  role: "server" as const,
  signer: String(receiptOf(session).peer_cert_fingerprint),
  now: Date.parse(String(receiptOf(session).created_at)),
  identity,
};

Deno.test("verify() holds a receipt against the session that its reader was part of", async () => {
  const outcome = async (change: Partial<typeof expected>) => {
    const verdict = await verifyCase(session, { policy: { session: { ...expected, ...change } } });
    return check(verdict.checks, "session").outcome === "passed" && verdict.result === "valid";
  };
  const other = "0".repeat(64);
  assert.equal(await outcome({}), true);
  assert.equal(await outcome({ signer: other }), false);
  assert.equal(await outcome({ identity: { ...identity, session: other } }), false);
  assert.equal(await outcome({ identity: { ...identity, other } }), false);
});

Deno.test("a clock that was set before the receipt was made is told, and refutes no honest receipt", async () => {
  const told = async (now: number) => {
    const verdict = await verifyCase(session, { policy: { session: { ...expected, now } } });
    assert.equal(verdict.result, "valid");
    return sentencesOf(verdict).filter((text) => text.includes("clock says")).length;
  };
  assert.equal(await told(expected.now - 300_000), 0);
  assert.equal(await told(expected.now + 300_000), 0);
  assert.equal(await told(expected.now - 300_001), 1);
  assert.equal(await told(expected.now + 300_001), 1);
});

Deno.test("verify() refuses the client's own receipt where the server's is expected", async () => {
  const policy = { session: { ...expected, role: "server" as const } };
  const verdict = await verifyCase(evidenceCase("session_client_receipt"), { policy });
  assert.equal(check(verdict.checks, "session").outcome, "failed");
});

Deno.test("verify() refuses a version-1 receipt of a version-2 session", async () => {
  const verdict = await verifyCase(evidenceCase("stripped_to_version_1"), { policy: { session: expected } });
  assert.equal(check(verdict.checks, "session").outcome, "failed");
});

// ---- what can't be read

Deno.test("verify() refuses to read a receipt beyond 1 MiB, one that is not UTF-8 and one that is not JSON", async () => {
  const huge = encodeUtf8(`{"note":"${"x".repeat(MAX_RECEIPT_BYTES)}"}`);
  for (const receipt of [huge, Uint8Array.of(0x22, 0xff, 0x22), "{", "", "[]", "null", '"receipt"', "7"]) {
    await assert.rejects(
      verify({ receipt, lines: [] }, trustOf(session)),
      (error) => error instanceof Failure && error.status === EXIT.usage,
    );
  }
});

Deno.test("verify() takes a receipt of almost 1 MiB", async () => {
  const padded = concat(session.receipt, encodeUtf8(" ".repeat(MAX_RECEIPT_BYTES - session.receipt.length)));
  assert.equal((await verify({ receipt: padded, lines }, trustOf(session))).result, "valid");
});

Deno.test("verify() never throws for an object, whatever its fields are", async () => {
  const values = [null, true, "", "x", 7, [], {}, [[]], -1, 1.5, "é", 2 ** 53];
  for (const name of Object.keys(receiptOf(session))) {
    for (const value of values) {
      const text = JSON.stringify({ ...receiptOf(session), [name]: value });
      assert.notEqual((await verify({ receipt: text, lines }, trustOf(session))).result, "valid", `${name}: ${text}`);
    }
    const { [name]: _, ...rest } = receiptOf(session);
    assert.equal((await verify({ receipt: rest, lines }, trustOf(session))).result, "invalid", name);
  }
});

// ---- a transcript's file

async function cut(file: Parameters<typeof transcriptLines>[0]): Promise<string[]> {
  const cutOut: string[] = [];
  for await (const line of transcriptLines(file)) cutOut.push(parseUtf8(line) ?? "");
  return cutOut;
}

async function* chunksOf(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(size);
  for (let at = 0; at < bytes.length; at += size) {
    const length = Math.min(size, bytes.length - at);
    buffer.set(bytes.subarray(at, at + length));
    yield await Promise.resolve(buffer.subarray(0, length)); // one buffer for all of them, as a file's reader has
  }
}

Deno.test("transcriptLines() cuts the same lines however the file comes", async () => {
  for (const size of [1, 2, 3, 7, 100, 1000, 100_000]) {
    assert.deepEqual(await cut(chunksOf(session.transcript, size)), lines, `${size} bytes at once`);
  }
  assert.deepEqual(await cut(""), []);
  assert.deepEqual(await cut("\n\na\n"), ["", "", "a"]);
});

Deno.test("transcriptLines() gives a last line without LF, and then says that it has none", async () => {
  const seen: string[] = [];
  await assert.rejects(async () => {
    for await (const line of transcriptLines("a\nb")) seen.push(parseUtf8(line) ?? "");
  }, TranscriptFormError);
  assert.deepEqual(seen, ["a", "b"]);
});

Deno.test("transcriptLines() stops at a line beyond its bound, before the line's end has come", async () => {
  assert.equal((await cut("x".repeat(MAX_LINE_BYTES - 1) + "\n")).length, 1);
  await assert.rejects(cut("x".repeat(MAX_LINE_BYTES) + "\n"), TranscriptFormError);
  let read = 0;
  const endless = async function* () {
    for (;; read++) yield await Promise.resolve(new Uint8Array(1000).fill(0x78));
  };
  await assert.rejects(cut(endless()), TranscriptFormError);
  assert(read < 100);
});

// ---- batches

Deno.test("verify() gives the same verdict whatever the order in which batches come back", async () => {
  const many = evidenceCase("line_forged_fail");
  let waiting: (() => void)[] = [];
  const slow: SignatureChecker = {
    concurrency: 4,
    check: (batch) =>
      new Promise((resolve) => {
        waiting.push(() => resolve(batch.map(({ line }) => line.seqno !== 2)));
        queueMicrotask(() => {
          for (const go of waiting.reverse()) go();
          waiting = [];
        });
      }),
  };
  const verdict = await verifyCase(many, { signatures: slow });
  assert.deepEqual(check(verdict.checks, "line signatures").reasons, [
    "line 3: the signature is not by the certificate that is named",
  ]);
});

Deno.test("a checker that answers too little fails the lines that it leaves out", async () => {
  const verdict = await verifyCase(session, { signatures: { concurrency: 1, check: () => [true] } });
  assert.equal(check(verdict.checks, "line signatures").outcome, "failed");
  assert.equal(verdict.result, "invalid");
});
