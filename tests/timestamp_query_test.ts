/** What a time-stamping authority is asked, and which of its answers are taken: openssl's, as they were once given. */

import { type Bytes, encodeBase64, encodeHex, encodeUtf8, parseBase64, parseHex } from "../lib/bytes.ts";
import { contextTag, encodeCount, encodeDer, encodeOid, TAG } from "../lib/der.ts";
import { digest } from "../lib/hash.ts";
import { imprintOf, judgeToken } from "../lib/timestamp_judge.ts";
import { encodeQuery, freshNonce, parseReply, takeReply } from "../lib/timestamp_query.ts";
import { parseKeptToken, parseToken } from "../lib/timestamp_token.ts";
import { parseCertificateFile } from "../lib/x509.ts";
import { assert } from "./assert.ts";
import {
  ascii,
  bits,
  explicit,
  makeCertificate,
  makeKey,
  makeReply,
  makeToken,
  octetString,
  sequence,
  set,
} from "./timestamp_writer.ts";
import vectors from "./vectors/timestamp/openssl.json" with { type: "json" };
import published from "./vectors/timestamp/public.json" with { type: "json" };

const NOTE = encodeUtf8(vectors.note);
const bytesOf = (base64: string): Bytes => parseBase64(base64) ?? new Uint8Array();
const hexBytes = (hex: string): Bytes => parseHex(hex) ?? new Uint8Array();

for (const { key, digest: signed, id, ...golden } of vectors.cases) {
  const name = `${key}, ${signed}, ID by ${id}`;
  const roots = parseCertificateFile(golden.root);
  const nonce = hexBytes(golden.nonce);
  // openssl writes "Nov 29 07:03:48.576 2026 GMT".
  const time = Date.parse(golden.openssl_says.replace(/^(\w+ \d+) (\S+) (\d+) GMT$/, "$1 $3 $2Z"));

  Deno.test(`a query and openssl's answer to it, as they once were (${name})`, async () => {
    const query = encodeQuery({ hash: "SHA-256", imprint: digest("SHA-256", NOTE), nonce });
    assert.equal(encodeBase64(query), golden.query);
    const taken = await takeReply(bytesOf(golden.reply), imprintOf(NOTE), { roots }, {
      nonce,
      now: time,
      within: 300_000,
    });
    if (typeof taken === "string") throw new Error(taken);
    assert.equal(encodeBase64(taken.token), golden.token);
    assert.equal(taken.chain.map(({ pem }) => pem).join(""), golden.chain);
    assert.equal(taken.verdict.info.genTime, time);
    assert.equal(taken.verdict.by, Math.ceil(time + 1_500.1));
    assert.equal(taken.verdict.since, Math.floor(time - 1_500.1));
  });

  Deno.test(`openssl's kept token is read by its certificates, in their order or another (${name})`, async () => {
    const token = bytesOf(golden.token);
    const certificates = parseCertificateFile(golden.chain).toReversed();
    const evidence = { token, imprint: imprintOf(NOTE), certificates, revocations: [] };
    const verdict = await judgeToken(evidence, { roots }, {}, { now: time, protectedAt: time });
    if (verdict.outcome !== "good") throw new Error(verdict.reason);
    assert.equal(verdict.root, roots[0]);
    const hashes = new Set(["sha256", signed]);
    assert.deepEqual(new Set(verdict.algorithms), new Set([...hashes, key.startsWith("RSA") ? "rsa" : "ecdsa"]));
  });

  // A large key takes a while: its form is that of the others.
  if (key === "RSA-8192") continue;
  Deno.test(`each byte of openssl's token counts (${name})`, async () => {
    const token = bytesOf(golden.token);
    const certificates = parseCertificateFile(golden.chain);
    for (let at = 0; at < token.length; at++) {
      const changed = token.slice();
      changed[at] = (changed[at] ?? 0) ^ 1 << at % 8;
      const evidence = { token: changed, imprint: imprintOf(NOTE), certificates, revocations: [] };
      const verdict = await judgeToken(evidence, { roots }, {}, { now: time, protectedAt: time });
      assert.notEqual(verdict.outcome, "good", `byte ${at}`);
    }
  });
}

for (const { name, reply, certificates: pem, data, verdict } of published.cases) {
  Deno.test(`an answer of another program's: ${name}`, async () => {
    const all = parseCertificateFile(pem, 8);
    const roots = all.filter(({ issuerName, subjectName }) => issuerName === subjectName);
    const { info } = parseToken(parseReply(bytesOf(reply)).token ?? new Uint8Array());
    const imprint = data === null ? () => info.imprint : imprintOf(encodeUtf8(data));
    const taken = await takeReply(bytesOf(reply), imprint, { roots }, { now: info.genTime, certificates: all });
    assert.equal(typeof taken === "string" ? taken : taken.verdict.outcome, verdict);
  });
}

Deno.test("a nonce has eight bytes, the first from 01 to 7f, and so one spelling", () => {
  for (let first = 0; first < 256; first++) {
    const nonce = freshNonce((size) => new Uint8Array(size).fill(first));
    assert.equal(nonce.length, 8);
    assert.ok((nonce[0] ?? 0) >= 1 && (nonce[0] ?? 0) <= 0x7f, `${first}`);
    assert.equal(nonce[7], first);
  }
});

// ---- refused answers

const NOW = Date.parse("2026-11-29T12:00:30Z");
const NONCE = hexBytes("5b01020304050607");

async function authority(name = "Root") {
  const root = await makeCertificate({ name, key: await makeKey("P-256") });
  const signer = await makeCertificate({ name: "Stamp", key: await makeKey("P-256"), issuer: root });
  const take = (reply: Bytes, rules: { now?: number; nonce?: Bytes } = {}) =>
    takeReply(reply, imprintOf(NOTE), { roots: [root.certificate] }, {
      nonce: NONCE,
      now: NOW,
      within: 300_000,
      ...rules,
    });
  const certificates = [signer.certificate.der];
  const token = (change: Partial<Parameters<typeof makeToken>[0]> = {}) =>
    makeToken({ data: NOTE, signer, certificates, rest: [encodeDer(TAG.integer, NONCE)], ...change });
  return { root, signer, take, token };
}

Deno.test("an answer is refused whole, with a reason, unless all of it fits the query", async () => {
  const { take, token, signer } = await authority();
  const good = await token();
  const refusal = async (reply: Bytes, rules?: Parameters<typeof take>[1]) => {
    const taken = await take(reply, rules);
    if (typeof taken !== "string") throw new Error("it was taken");
    return taken;
  };
  for (const status of [0, 1]) assert.notEqual(typeof await take(makeReply(good, status)), "string");
  const text = sequence(ascii(TAG.utf8String, "no \u001b[2J time"));
  assert.equal(
    await refusal(makeReply(undefined, 2, text, bits(14))),
    'it refuses to stamp, with status 2 (timeNotAvailable, "no \\u{1b}[2J time")',
  );
  assert.match(await refusal(makeReply(good, 2)), /status 2$/);
  assert.match(await refusal(makeReply(undefined)), /no token/);
  assert.match(await refusal(makeReply(await token({ rest: [] }))), /another query/);
  assert.match(await refusal(makeReply(await token({ rest: [encodeCount(1)] }))), /another query/);
  assert.match(await refusal(makeReply(await token({ data: NOTE.subarray(1) }))), /of other bytes/);
  assert.match(await refusal(makeReply(await token({ certificates: [] }))), /not at hand/);
  assert.match(await refusal(makeReply(good), { now: NOW + 300_000 }), /wrong by more than 5 minutes/);
  assert.match(await refusal(makeReply(good), { now: NOW - 331_000 }), /wrong by more than 5 minutes/);
  assert.match(await refusal(new Uint8Array(3)), /answer/);
  assert.match(await refusal(encodeUtf8("<html>")), /answer/);
  const large = explicit(1, sequence(encodeOid("1.2.3"), set(octetString(new Uint8Array(4_096)))));
  assert.match(await refusal(makeReply(await token({ unsigned: large }))), /more than 4096 bytes/);
  const broken = [explicit(1), sequence(), signer.certificate.der];
  const taken = await take(makeReply(await token({ certificates: broken })));
  assert.notEqual(typeof taken, "string", "certificates that can't be read are passed over");
});

Deno.test("a certificate that an answer brings along is neither trusted nor taken for the signer", async () => {
  const { take, token } = await authority();
  const other = await authority("Other Root");
  const foreign = [other.root.certificate.der, other.signer.certificate.der];
  const injected = await take(makeReply(await other.token({ certificates: foreign })));
  assert.match(typeof injected === "string" ? injected : "", /is not a CA that is trusted here/);
  const beside = await take(makeReply(await token({ certificates: foreign })));
  assert.equal(beside, "its signer's certificate is not at hand");
});

Deno.test("an answer's status is read whether or not words and a failure come with it", () => {
  assert.deepEqual(parseReply(makeReply(undefined, 5)), { status: 5, text: "", token: undefined });
  const failure = encodeDer(TAG.bitString, Uint8Array.of(5, 0x20));
  assert.equal(parseReply(makeReply(undefined, 2, failure)).text, "badRequest");
  assert.throws(() => parseReply(makeReply(undefined, 2, encodeDer(contextTag(0)))), /a field too many/);
});

Deno.test("what is read from openssl's answer is what its kept token says", () => {
  for (const golden of vectors.cases) {
    const answered = parseToken(parseReply(bytesOf(golden.reply)).token ?? new Uint8Array());
    const kept = parseKeptToken(bytesOf(golden.token));
    assert.deepEqual(answered.info, kept.info);
    assert.equal(encodeHex(answered.kept), encodeHex(kept.kept));
    assert.equal(answered.certificates.length, 2);
  }
});
