/** Time-stamp tokens: what is read, what is refused, and with which of the two outcomes. */

import fc from "fast-check";
import { type Bytes, concat, encodeUtf8 } from "../lib/bytes.ts";
import { contextTag, DerError, encodeCount, encodeDer, encodeOid, TAG } from "../lib/der.ts";
import { type Distrust } from "../lib/distrust.ts";
import { digest } from "../lib/hash.ts";
import { parseTokenInfo } from "../lib/timestamp_info.ts";
import { imprintOf, judgeToken, type TokenEvidence, type TokenVerdict } from "../lib/timestamp_judge.ts";
import { parseKeptToken, parseToken } from "../lib/timestamp_token.ts";
import { type Certificate, OID, type RevocationList } from "../lib/x509.ts";
import { assert } from "./assert.ts";
import {
  accuracy,
  attribute,
  bits,
  certificateId,
  explicit,
  extension,
  hashId,
  type Made,
  makeCertificate,
  makeKey,
  makeRevocationList,
  makeToken,
  nameOf,
  octetString,
  purposes,
  sequence,
  set,
  signatureId,
  TOKEN,
  tokenInfo,
  type TokenParts,
  usualExtensions,
} from "./timestamp_writer.ts";

const NOTE = encodeUtf8("chat.example/log/8f14e45fceea167a5a36dedd4bea2543\n2\nvUHNHSSEWdCd\n");
const NOW = Date.parse("2026-11-29T12:00:30Z");
const GEN_TIME = Date.parse("2026-11-29T12:00:00Z");

/** A root, an intermediate and an authority's certificate, on P-256. */
interface World {
  readonly root: Made;
  readonly between: Made;
  readonly tsa: Made;
}

let made: Promise<World> | undefined;

function world(): Promise<World> {
  return made ??= (async () => {
    const root = await makeCertificate({ name: "Stamp Root", key: await makeKey("P-256") });
    const between = await makeCertificate({
      name: "Stamp CA",
      key: await makeKey("P-256"),
      issuer: root,
      isAuthority: true,
      more: [extension(OID.extendedKeyUsage, purposes(OID.timeStamping))],
    });
    const tsa = await makeCertificate({ name: "Stamp 1", key: await makeKey("P-256"), issuer: between });
    return { root, between, tsa };
  })();
}

/** Another certificate of the authority's, with the same key. */
async function authority(change: Partial<Parameters<typeof makeCertificate>[0]>): Promise<Made> {
  const { between, tsa } = await world();
  return await makeCertificate({ name: "Stamp 2", key: tsa.key, issuer: between, ...change });
}

interface Question extends Partial<TokenEvidence> {
  readonly signer?: Made;
  readonly roots?: readonly Certificate[];
  readonly now?: number;
  readonly protectedAt?: number;
  readonly allowEnded?: boolean;
  readonly distrust?: Distrust;
}

async function judged(token: Bytes, question: Question = {}): Promise<TokenVerdict> {
  const { root, between, tsa } = await world();
  const { now = NOW, protectedAt = now, allowEnded, distrust, roots = [root.certificate], signer = tsa } = question;
  const evidence = {
    token,
    imprint: question.imprint ?? imprintOf(NOTE),
    certificates: question.certificates ?? [between.certificate, signer.certificate],
    revocations: question.revocations ?? [],
  };
  return await judgeToken(evidence, { roots }, { allowEnded, distrust }, { now, protectedAt });
}

/** The verdict of a token with these parts in place of the good ones. */
async function verdictOf(parts: Partial<TokenParts>, question: Question = {}): Promise<TokenVerdict> {
  const { tsa } = await world();
  const signer = parts.signer ?? tsa;
  return await judged(await makeToken({ data: NOTE, ...parts, signer }), { signer, ...question });
}

async function refused(parts: Partial<TokenParts>, outcome: string, reason: RegExp, question: Question = {}) {
  const verdict = await verdictOf(parts, question);
  const found = verdict.outcome === "nothing" ? `nothing ${verdict.cause}` : verdict.outcome;
  assert.equal(found, outcome, verdict.outcome === "good" ? "it is good" : verdict.reason);
  if (verdict.outcome !== "good") assert.match(verdict.reason, reason);
}

// ---- good tokens

Deno.test("a good token counts from its time minus its accuracy to its time plus it, for the root that was named", async () => {
  const { root, between, tsa } = await world();
  const verdict = await verdictOf({ rest: [accuracy({ seconds: 1, millis: 500, micros: 1 })] });
  if (verdict.outcome !== "good") throw new Error(verdict.reason);
  assert.equal(verdict.info.genTime, GEN_TIME);
  assert.equal(verdict.by, GEN_TIME + 1_501);
  assert.equal(verdict.since, GEN_TIME - 1_501);
  assert.deepEqual(verdict.path, [tsa, between, root].map(({ certificate }) => certificate));
  assert.equal(verdict.root, root.certificate);
  assert.equal(verdict.hasEnded, false);
  assert.deepEqual([...verdict.algorithms], ["sha256", "ecdsa"]);
});

Deno.test("times are rounded away from each other, and a minute stands for an accuracy that isn't stated", () => {
  const times = (genTime: string, ...rest: Bytes[]) => {
    const { genTime: at, by, since } = parseTokenInfo(tokenInfo({ data: NOTE, genTime, rest }));
    return [at - GEN_TIME, by - GEN_TIME, since - GEN_TIME];
  };
  assert.deepEqual(times("20261129120000Z"), [0, 60_000, -60_000]);
  assert.deepEqual(times("20261129120000Z", accuracy({})), [0, 0, 0]);
  assert.deepEqual(times("20261129120000.5Z", accuracy({ millis: 7 })), [500, 507, 493]);
  assert.deepEqual(times("20261129120000.000000001Z", accuracy({ seconds: 1 })), [0, 1_001, -1_000]);
  assert.deepEqual(times("20261129120000.9999Z", accuracy({ micros: 1 })), [999, 1_000, 999]);
  assert.deepEqual(times("20261129120000.001Z", accuracy({ seconds: 0, millis: 1 })), [1, 2, 0]);
});

Deno.test("tokens are taken by every hash, key and kind of signature that is named", async () => {
  const { root, between } = await world();
  for (const kind of ["P-256", "P-384", "rsa", "pss"] as const) {
    const signer = await makeCertificate({ name: `Stamp ${kind}`, key: await makeKey(kind), issuer: between });
    const isRsa = kind === "rsa" || kind === "pss";
    for (const hash of isRsa ? ["SHA-256"] as const : ["SHA-256", "SHA-384", "SHA-512"] as const) {
      const verdict = await verdictOf({ signer, hash, digest: hash });
      assert.equal(verdict.outcome, "good", `${kind} ${hash}`);
    }
    if (kind !== "rsa") continue;
    const plain = sequence(encodeOid("1.2.840.113549.1.1.1"), encodeDer(TAG.null));
    assert.equal((await verdictOf({ signer, signatureAlgorithm: plain })).outcome, "good");
  }
  const roots = [root.certificate];
  assert.equal((await verdictOf({ hash: "SHA-512" }, { roots })).outcome, "good", "imprint and digest differ");
});

Deno.test("the signer may be named by its key, and its certificate by SHA-1, by other hashes, or by two IDs", async () => {
  const { tsa, between } = await world();
  const { certificate } = tsa;
  const byKey = encodeDer(contextTag(0, false), digest("SHA-256", tsa.key.spki).subarray(0, 20));
  assert.equal((await verdictOf({ sid: byKey, signerVersion: 3 })).outcome, "good");
  const withIds = (...ids: Bytes[]) => verdictOf({ attributes: ([type, hash]) => [type, hash, ...ids] as Bytes[] });
  assert.equal((await withIds(certificateId(certificate, 1))).outcome, "good");
  assert.equal((await withIds(certificateId(certificate, 2, "SHA-512"))).outcome, "good");
  assert.equal((await withIds(certificateId(certificate, 1), certificateId(certificate, 2))).outcome, "good");
  const id = (one: Certificate) => sequence(octetString(digest("SHA-256", one.der)));
  const chain = sequence(sequence(id(certificate), id(between.certificate)), sequence(sequence(encodeOid("1.2.3"))));
  assert.equal(
    (await withIds(attribute(TOKEN.signingCertificateV2, chain))).outcome,
    "good",
    "IDs of its issuers follow",
  );
});

Deno.test("what decides nothing may be there: other attributes, twice too, unsigned ones, ordering, a name, extensions", async () => {
  const time = attribute(TOKEN.signingTime, encodeDer(TAG.utcTime, encodeUtf8("261129120000Z")));
  const rest = [
    accuracy({ seconds: 1 }),
    encodeDer(TAG.boolean, Uint8Array.of(0xff)),
    encodeDer(TAG.integer, Uint8Array.of(0x5b, 1, 2, 3, 4, 5, 6, 7)),
    explicit(0, explicit(4, nameOf("Stamp 1"))),
    explicit(1, extension("1.2.3.4", octetString(Uint8Array.of(1)))),
  ];
  const unsigned = explicit(1, attribute("1.2.3", octetString(Uint8Array.of(2))));
  const verdict = await verdictOf({ rest, unsigned, attributes: (good) => [time, ...good, time] });
  if (verdict.outcome !== "good") throw new Error(verdict.reason);
  assert.equal(verdict.info.nonce, "5b01020304050607");
});

// ---- forms

Deno.test("a token that is not in its one form is wrong", async () => {
  const { tsa } = await world();
  const good = await makeToken({ data: NOTE, signer: tsa });
  const forms: [RegExp, Bytes][] = [
    [/bytes after its end/, concat(good, Uint8Array.of(0))],
    [/cut short/, good.subarray(0, -1)],
    [/length that DER doesn't allow/, concat(Uint8Array.of(0x30, 0x80), good.subarray(4), Uint8Array.of(0, 0))],
    [/length that DER doesn't allow/, concat(Uint8Array.of(0x30, 0x83, 0), good.subarray(2))],
    [/is no signed data/, sequence(encodeOid("1.2.840.113549.1.7.1"), explicit(0, sequence()))],
    [/cut short/, new Uint8Array()],
  ];
  for (const [reason, token] of forms) {
    const verdict = await judged(token);
    if (verdict.outcome !== "wrong") throw new Error(`${reason} is ${verdict.outcome}`);
    assert.match(verdict.reason, reason);
  }
  const pieces = encodeDer(0x24, octetString(tokenInfo({ data: NOTE })));
  await refused({ content: pieces }, "wrong", /field of the wrong kind/);
});

Deno.test("the parts of the signed data have to be what they are in a token", async () => {
  const { tsa } = await world();
  await refused({ signedDataVersion: 1 }, "wrong", /not of version 3/);
  await refused({ contentType: "1.2.840.113549.1.7.1" }, "wrong", /is no time stamp/);
  await refused({ signers: (one) => [one, one] }, "wrong", /exactly one signer/);
  await refused({ signers: () => [] }, "wrong", /exactly one signer/);
  await refused({ signerVersion: 3 }, "wrong", /version is wrong/);
  await refused({ signerVersion: 2 }, "wrong", /version is wrong/);
  await refused({ digestAlgorithms: set(hashId("SHA-512")) }, "wrong", /lacks the signer's/);
  await refused({ certificates: [tsa.certificate.der] }, "wrong", /certificates or revocation lists in it/);
  await refused({ lists: [sequence()] }, "wrong", /certificates or revocation lists in it/);
  const large = explicit(1, attribute("1.2.3", octetString(new Uint8Array(4_096))));
  await refused({ unsigned: large }, "wrong", /more than 4096 bytes/);
  const sha1 = sequence(encodeOid("1.2.840.10045.4.1"));
  await refused({ signatureAlgorithm: sha1 }, "wrong", /none that is taken/);
  await refused({ signatureAlgorithm: signatureId("P-256", "SHA-384") }, "wrong", /another than the digest's/);
});

Deno.test("the time stamp itself has to be of its form", async () => {
  const info = (rest: Bytes[]) => ({ rest });
  const critical = extension("1.2.3.4", octetString(Uint8Array.of(1)), true);
  const odd = sequence(encodeOid("1.2.3.4"), encodeDer(TAG.boolean, Uint8Array.of(0)), octetString(Uint8Array.of(1)));
  const cases: [Partial<TokenParts>, RegExp][] = [
    [{ version: 2 }, /not of version 1/],
    [{ imprint: sequence(hashId("SHA-256"), octetString(digest("SHA-384", NOTE))) }, /not as long as its hash/],
    [
      { imprint: sequence(sequence(encodeOid("1.3.14.3.2.26")), octetString(digest("SHA-1", NOTE))) },
      /none of SHA-256/,
    ],
    [{ serial: encodeCount(2n ** 160n) }, /more than 20 bytes/],
    [{ genTime: "20261129120000.50Z" }, /not a date/],
    [{ genTime: "20261129120000.1234567891Z" }, /not a date/],
    [{ genTime: "20261129120000.Z" }, /not a date/],
    [{ genTime: "202611291200Z" }, /not a date/],
    [{ genTime: "20260230120000Z" }, /not a date/],
    [{ genTime: "20261129120000+0000" }, /not a date/],
    [{ genTime: "19691231235959Z" }, /before 1970/],
    [info([accuracy({ millis: 0 })]), /from 1 to 999/],
    [info([accuracy({ millis: 1_000 })]), /from 1 to 999/],
    [info([accuracy({ micros: 1_000 })]), /from 1 to 999/],
    [info([encodeDer(TAG.sequence, encodeDer(TAG.integer, Uint8Array.of(0xff)))]), /out of range/],
    [info([encodeDer(TAG.boolean, Uint8Array.of(0))]), /writes a default out/],
    [info([explicit(1, critical)]), /critical extension 1\.2\.3\.4/],
    [info([explicit(1, odd)]), /writes its default out/],
    [info([explicit(1)]), /extensions are empty/],
    [info([encodeCount(1), encodeCount(2)]), /a field too many/],
  ];
  for (const [parts, reason] of cases) await refused(parts, "wrong", reason);
  assert.equal((await verdictOf({ serial: encodeCount(2n ** 160n - 1n) })).outcome, "good");
});

// ---- what is signed

Deno.test("a token of other bytes is wrong, and so is one of an earlier prefix", async () => {
  await refused({ data: encodeUtf8("other bytes") }, "wrong", /of other bytes/);
  await refused({ data: NOTE.subarray(0, -1) }, "wrong", /of other bytes/);
});

Deno.test("each needed attribute is there once, with one value, and the right one", async () => {
  const { tsa, between } = await world();
  const [certificate, other] = [tsa.certificate, between.certificate];
  const names = ["contentType", "messageDigest", "signingCertificateV2"];
  for (const [at, name] of names.entries()) {
    const missing = name === "signingCertificateV2" ? /no attribute names/ : new RegExp(`${name} is missing`);
    await refused({ attributes: (good) => good.toSpliced(at, 1) }, "wrong", missing);
    await refused({ attributes: (good) => [...good, good[at] as Bytes] }, "wrong", /is not there once/);
  }
  const replaced = (at: number, by: Bytes) => ({ attributes: (good: Bytes[]) => good.with(at, by) });
  const digests = octetString(digest("SHA-256", tokenInfo({ data: NOTE })));
  await refused(replaced(1, attribute(TOKEN.messageDigest, digests, digests)), "wrong", /is not there once/);
  await refused(replaced(1, attribute(TOKEN.messageDigest)), "wrong", /is not there once/);
  await refused(replaced(0, attribute(TOKEN.contentType, encodeOid("1.2.3"))), "wrong", /names another type/);
  await refused(replaced(1, attribute(TOKEN.messageDigest, octetString(NOTE))), "wrong", /of another time stamp/);
  await refused(replaced(2, certificateId(other)), "wrong", /another certificate than the one that it names/);
  await refused(replaced(2, certificateId(other)), "wrong", /another certificate than the one that signed it/, {
    certificates: [certificate],
  });
  const both = [certificateId(certificate, 2), certificateId(other, 1)];
  await refused({ attributes: ([type, hash]) => [type, hash, ...both] as Bytes[] }, "wrong", /not of one certificate/);
  const elsewhere = sequence(sequence(explicit(4, nameOf("Elsewhere"))), encodeCount(7));
  const id = sequence(sequence(sequence(octetString(digest("SHA-256", certificate.der)), elsewhere)));
  const place = attribute(TOKEN.signingCertificateV2, id);
  await refused(replaced(2, place), "wrong", /another issuer or number/);
});

Deno.test("a signature of another key, or over other attributes, is wrong", async () => {
  const { tsa, between } = await world();
  const thief = { certificate: tsa.certificate, key: await makeKey("P-256") };
  await refused({ signer: thief }, "wrong", /signature is not the signer's/);
  const token = await makeToken({ data: NOTE, signer: tsa });
  token[token.length - 1] = (token.at(-1) ?? 0) ^ 1;
  const verdict = await judged(token);
  assert.equal(verdict.outcome, "wrong");
  const rsa = await makeCertificate({ name: "Stamp RSA", key: await makeKey("rsa"), issuer: between });
  await refused({ signer: rsa, signatureAlgorithm: signatureId("P-256", "SHA-256") }, "wrong", /not the signer's/);
});

Deno.test("an added certificate never becomes the signer, whatever it is for", async () => {
  const { root, between, tsa } = await world();
  const injected = await authority({ name: "Injected" });
  const certificates = [injected.certificate, between.certificate, tsa.certificate];
  const verdict = await verdictOf({}, { certificates });
  assert.equal(verdict.outcome === "good" && verdict.signer, tsa.certificate);
  // One with the signer's name and number, of a CA that isn't named: the token is neither its nor wrong.
  const twin = await makeCertificate({ name: "Stamp CA", key: await makeKey("P-256") });
  const fake = await makeCertificate({
    name: "Stamp 1",
    key: await makeKey("P-256"),
    issuer: twin,
    serial: parseInt(tsa.certificate.serial, 16),
  });
  assert.equal(fake.certificate.serial, tsa.certificate.serial);
  assert.equal((await verdictOf({}, { certificates: [fake.certificate, ...certificates] })).outcome, "good");
  await refused({}, "nothing signer", /not at hand/, { certificates: [fake.certificate], roots: [root.certificate] });
});

// ---- the signer

Deno.test("a signer that may not stamp is wrong", async () => {
  const { between, tsa } = await world();
  const parts = { name: "Stamp 2", key: tsa.key, issuer: between };
  const [usage, , ...identifiers] = usualExtensions(parts) as [Bytes, Bytes, ...Bytes[]];
  const stamping = extension(OID.extendedKeyUsage, purposes(OID.timeStamping), true);
  const cases: [RegExp, Bytes[]][] = [
    [/not critical/, [usage, extension(OID.extendedKeyUsage, purposes(OID.timeStamping))]],
    [/not only for time-stamping/, [
      usage,
      extension(OID.extendedKeyUsage, purposes(OID.timeStamping, OID.clientAuth), true),
    ]],
    [/not only for time-stamping/, [usage, extension(OID.extendedKeyUsage, purposes(OID.serverAuth), true)]],
    [/not only for time-stamping/, [usage]],
    [/not only for signing/, [extension(OID.keyUsage, bits(0, 2), true), stamping]],
    [/not only for signing/, [extension(OID.keyUsage, bits(5), true), stamping]],
    [/is a CA's/, [...usualExtensions({ ...parts, isAuthority: true }).slice(0, 2), stamping]],
  ];
  for (const [reason, extensions] of cases) {
    const signer = await authority({ extensions: [...extensions, ...identifiers] });
    await refused({ signer }, "wrong", reason);
  }
  for (const usage of [[], [extension(OID.keyUsage, bits(1), true)], [extension(OID.keyUsage, bits(0, 1), true)]]) {
    const signer = await authority({ extensions: [...usage, stamping, ...identifiers] });
    assert.equal((await verdictOf({ signer })).outcome, "good");
  }
});

Deno.test("without the signer's certificate, or a way to a root that was named, a token counts for nothing", async () => {
  const { root, between, tsa } = await world();
  await refused({}, "nothing signer", /not at hand/, { certificates: [between.certificate] });
  await refused({}, "nothing root", /not a CA that is trusted here/, { roots: [] });
  await refused({}, "nothing root", /not a CA that is trusted here/, { certificates: [tsa.certificate] });
  const verdict = await verdictOf({}, { roots: [] });
  assert.equal(verdict.outcome === "nothing" && verdict.top, between.certificate);
  const shown = await verdictOf({}, {
    roots: [],
    certificates: [root.certificate, between.certificate, tsa.certificate],
  });
  assert.equal(shown.outcome === "nothing" && shown.top, root.certificate);
});

Deno.test("an authority's issuing CA may be named as the root", async () => {
  const { between, tsa } = await world();
  const verdict = await verdictOf({}, { roots: [between.certificate] });
  assert.deepEqual(verdict.outcome === "good" && verdict.path, [tsa.certificate, between.certificate]);
});

Deno.test("certificates on the way that are unfit leave the token without worth", async () => {
  const { root, tsa } = await world();
  const between = async (more: Bytes[], change: Partial<Parameters<typeof makeCertificate>[0]> = {}) => {
    const key = await makeKey("P-256");
    return await makeCertificate({ name: "Other CA", key, issuer: root, isAuthority: true, more, ...change });
  };
  const limited = extension(OID.extendedKeyUsage, purposes(OID.serverAuth));
  const under = async (ca: Made) => {
    const signer = await makeCertificate({ name: "Stamp 3", key: tsa.key, issuer: ca });
    return { signer, question: { certificates: [ca.certificate, signer.certificate] } };
  };
  for (
    const [ca, reason] of [
      [await between([limited]), /limited to other purposes/],
      [await between([], { isAuthority: false }), /is not a CA's/],
      [await between([extension("1.2.3.4", octetString(NOTE), true)]), /critical extension/],
    ] as const
  ) {
    const { signer, question } = await under(ca);
    await refused({ signer }, "nothing path", reason, question);
  }
  const any = extension(OID.extendedKeyUsage, purposes(OID.anyExtendedKeyUsage), true);
  const policies = extension(OID.certificatePolicies, sequence(sequence(encodeOid("1.2.3"))));
  const unknown = extension("1.2.3.4", octetString(NOTE));
  const { signer, question } = await under(await between([any, policies, unknown]));
  assert.equal((await verdictOf({ signer }, question)).outcome, "good");
});

Deno.test("an issuer that is named by its certificate, with or without its key, passes", async () => {
  const { between, root, tsa } = await world();
  const [usage, stamping, own] = usualExtensions({ name: "", key: tsa.key, issuer: between }) as Bytes[];
  const by = (issuerName: string, serial: string) => {
    const name = Uint8Array.fromHex(issuerName);
    const number = encodeCount(BigInt(`0x${serial}`)).subarray(2);
    return sequence(encodeDer(contextTag(1), explicit(4, name)), encodeDer(contextTag(2, false), number));
  };
  const { issuerName, serial } = between.certificate;
  const extensions = (value: Bytes) => [usage, stamping, own, extension(OID.authorityKeyIdentifier, value)] as Bytes[];
  const signer = await authority({ extensions: extensions(by(issuerName, serial)) });
  assert.equal((await verdictOf({ signer })).outcome, "good");
  const other = await authority({ extensions: extensions(by(root.certificate.subjectName, "63")) });
  await refused({ signer: other }, "nothing path", /another certificate as its issuer's/);
});

// ---- times and revocation

Deno.test("every certificate is valid at the token's time, and hasn't ended when something newer took over", async () => {
  const { between } = await world();
  const [january, later] = ["20270101000000Z", Date.parse("2027-02-01T00:00:00Z")];
  const signer = await authority({ to: january });
  await refused({ signer, genTime: "20270102000000Z" }, "nothing path", /is valid from/, { now: later });
  await refused({ signer, genTime: "20191231235959Z" }, "nothing path", /is valid from/);
  await refused({ signer }, "nothing ended", /ended 2027-01-01T00:00:00Z/, { now: later });
  const renewed = await verdictOf({ signer }, { now: later, protectedAt: NOW });
  assert.equal(renewed.outcome === "good" && renewed.hasEnded, false);
  const allowed = await verdictOf({ signer }, { now: later, allowEnded: true });
  assert.equal(allowed.outcome === "good" && allowed.hasEnded, true);
  assert.equal(allowed.outcome === "good" && allowed.ends, Date.parse("2027-01-01T00:00:00Z"));
  const last = await verdictOf({ signer }, { protectedAt: Date.parse("2027-01-01T00:00:00.999Z") });
  assert.equal(last.outcome, "good", "the second of notAfter belongs to the certificate");
  // The end of an intermediate ends the token, too.
  const short = await makeCertificate({
    name: "Short CA",
    key: between.key,
    issuer: (await world()).root,
    isAuthority: true,
    to: january,
  });
  const below = await makeCertificate({ name: "Stamp 4", key: between.key, issuer: short });
  const question = { certificates: [short.certificate, below.certificate] };
  await refused({ signer: below }, "nothing ended", /"CN=Short CA" ended/, { ...question, now: later });
  await refused({ signer: below, genTime: "20270102000000Z" }, "nothing path", /is valid from/, {
    ...question,
    now: later,
    allowEnded: true,
  });
});

Deno.test("a token of a time that is yet to come counts for nothing", async () => {
  await refused({ genTime: "20261129120531Z" }, "nothing future", /yet to come/);
  assert.equal((await verdictOf({ genTime: "20261129120530Z" })).outcome, "good");
});

Deno.test("an orderly revocation leaves earlier tokens good; any other, or one without a reason, leaves none", async () => {
  const { between, root, tsa } = await world();
  const dates = { before: "20261129115959Z", same: "20261129120000Z", after: "20261129120001Z" };
  const list = (made: Made, serial: string, date: string, reason?: number): Promise<RevocationList> =>
    makeRevocationList(made, [{ serial, date, ...reason === undefined ? {} : { reason } }]);
  const orderly = [0, 3, 4, 5];
  for (const reason of [undefined, 0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 77]) {
    for (const [when, date] of Object.entries(dates)) {
      for (const [made, { certificate }] of [[between, tsa], [root, between]] as const) {
        const revocations = [await list(made, certificate.serial, date, reason)];
        const verdict = await verdictOf({}, { revocations });
        const isGood = orderly.includes(reason ?? -1) && when === "after";
        const found = verdict.outcome === "nothing" ? verdict.cause : verdict.outcome;
        assert.equal(found, isGood ? "good" : "revoked", `${reason} ${when}`);
      }
    }
  }
  const others = [await list(between, "abcdef", dates.before), await makeRevocationList(tsa, [])];
  assert.equal((await verdictOf({}, { revocations: others })).outcome, "good", "lists of others say nothing");
  const twice = await makeRevocationList(between, [
    { serial: tsa.certificate.serial, date: dates.after, reason: 4 },
    { serial: tsa.certificate.serial, date: dates.after, reason: 1 },
  ]);
  await refused({}, "nothing revoked", /without a reason/, { revocations: [twice] });
});

// ---- forms, both ways

Deno.test("the kept form is what the token is without certificates and lists, and is its own kept form", async () => {
  const { tsa, between } = await world();
  const kept = await makeToken({ data: NOTE, signer: tsa });
  assert.deepEqual(parseToken(kept).kept, kept);
  assert.deepEqual(parseKeptToken(kept).certificates, []);
  const ders = [tsa, between].map(({ certificate }) => certificate.der);
  const key = await makeKey("rsa"); // its signatures are the same each time
  const rsa = await makeCertificate({ name: "Stamp RSA", key, issuer: between });
  const [bare, full] = [
    await makeToken({ data: NOTE, signer: rsa }),
    await makeToken({ data: NOTE, signer: rsa, certificates: [...ders, explicit(1)], lists: [sequence()] }),
  ];
  const token = parseToken(full);
  assert.deepEqual(token.kept, bare);
  assert.deepEqual(token.certificates, ders);
});

/** A time and its decimals, as an authority writes them. */
const written = fc.tuple(
  fc.date({ min: new Date("1970-01-01T00:00:00Z"), max: new Date("9999-12-31T23:59:59Z"), noInvalidDate: true }),
  fc.integer({ min: 0, max: 999_999_999 }),
).map(([date, nanos]) => {
  const seconds = Math.floor(date.getTime() / 1_000);
  const digits = new Date(seconds * 1_000).toISOString().replace(/\D/g, "").slice(0, 14);
  const decimals = `${nanos}`.padStart(9, "0").replace(/0+$/, "");
  const genTime = `${digits}${decimals === "" ? "" : `.${decimals}`}Z`;
  return { genTime, nanoseconds: BigInt(seconds) * 1_000_000_000n + BigInt(nanos) };
});

Deno.test("every time, accuracy, number and nonce is read as it was written, and its bounds enclose it", () => {
  const part = fc.option(fc.integer({ min: 1, max: 999 }), { nil: undefined });
  const accuracies = fc.record({
    seconds: fc.option(fc.nat(2 ** 31 - 1), { nil: undefined }),
    millis: part,
    micros: part,
  });
  const bytes = fc.uint8Array({ minLength: 1, maxLength: 8 });
  fc.assert(fc.property(written, fc.option(accuracies), bytes, ({ genTime, nanoseconds }, stated, number) => {
    const given = Object.fromEntries(Object.entries(stated ?? {}).filter(([, value]) => value !== undefined));
    const value = BigInt(`0x${number.toHex()}`);
    const rest = [...stated === null ? [] : [accuracy(given)], encodeCount(value)];
    const info = parseTokenInfo(tokenInfo({ data: NOTE, genTime, serial: encodeCount(value), rest }));
    assert.equal(info.nanoseconds, nanoseconds);
    assert.equal(BigInt(`0x${info.serial}`), value);
    assert.equal(info.nonce, info.serial);
    const { seconds = 0, millis = 0, micros = 0 } = stated === null ? { seconds: 60 } : given;
    const width = BigInt(seconds) * 1_000_000_000n + BigInt(millis) * 1_000_000n + BigInt(micros) * 1_000n;
    const [by, since] = [BigInt(info.by) * 1_000_000n, BigInt(info.since) * 1_000_000n];
    assert.ok(by >= nanoseconds + width && by - (nanoseconds + width) < 1_000_000n);
    assert.ok(since <= nanoseconds - width && nanoseconds - width - since < 1_000_000n);
  }));
});

Deno.test("bytes that are no token are refused with a phrase, whatever they are", async () => {
  const { tsa } = await world();
  const token = await makeToken({ data: NOTE, signer: tsa, certificates: [tsa.certificate.der] });
  const read = (bytes: Uint8Array) => {
    try {
      parseToken(bytes.slice());
    } catch (error) {
      if (!(error instanceof DerError)) throw error;
    }
  };
  const spliced = fc.tuple(fc.nat(token.length), fc.nat(8), fc.uint8Array({ maxLength: 8 }))
    .map(([at, gone, put]) => concat(token.subarray(0, at), put, token.subarray(at + gone)));
  fc.assert(fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), spliced), read), { numRuns: 2_000 });
});

Deno.test("a token with one bit changed anywhere is refused, or is the same statement in its unsigned parts", async () => {
  const { tsa } = await world();
  const unsigned = explicit(1, attribute("1.2.3", octetString(Uint8Array.of(2))));
  const token = await makeToken({ data: NOTE, signer: tsa, unsigned });
  const passed: number[] = [];
  for (let at = 0; at < token.length; at++) {
    for (let bit = 0; bit < 8; bit++) {
      const changed = token.slice();
      changed[at] = (changed[at] ?? 0) ^ 1 << bit;
      const verdict = await judged(changed);
      if (verdict.outcome === "good") passed.push(at);
    }
  }
  // Only the unsigned attributes, which decide nothing, may be others: their type and their value.
  const start = token.length - unsigned.length;
  assert.deepEqual(passed.filter((at) => at < start), []);
  assert.ok(passed.length > 0);
});
