/** Renewals: what protects what, from the newest down, and what a verifier no longer trusts. */

import { type Bytes, concat, encodeUtf8 } from "../lib/bytes.ts";
import { distrustedOf, parseDistrust } from "../lib/distrust.ts";
import type { HashName } from "../lib/hash.ts";
import { imprintOf, judgeToken, type TokenPolicy, type TokenVerdict } from "../lib/timestamp_judge.ts";
import { judgeRenewals, renewalDue } from "../lib/timestamp_renewal.ts";
import { assert } from "./assert.ts";
import { type Made, makeCertificate, makeKey, makeRevocationList, makeToken } from "./timestamp_writer.ts";

const DATA = encodeUtf8("all bytes before it");
const at = (text: string) => Date.parse(text.length === 4 ? `${text}-06-01T00:00:00Z` : text);

let made: Promise<{ root: Made; signers: Map<string, Made> }> | undefined;

/** Signers whose certificates end in January of their year, under one root. */
function world() {
  return made ??= (async () => {
    const root = await makeCertificate({ name: "Root", key: await makeKey("P-256") });
    const signers = new Map<string, Made>();
    for (const year of ["2030", "2035", "2040", "2045"]) {
      const to = `${year}0101000000Z`;
      signers.set(year, await makeCertificate({ name: year, key: await makeKey("P-256"), issuer: root, to }));
    }
    return { root, signers };
  })();
}

/** A token of June of a year, by a certificate that ends in January of another. */
async function token(year: string, ends: string, hash: HashName = "SHA-256"): Promise<Bytes> {
  const { signers } = await world();
  const signer = signers.get(ends) as Made;
  return await makeToken({ data: DATA, signer, genTime: `${year}0601000000Z`, hash, digest: hash });
}

async function judge(tokens: readonly Bytes[], now: string, policy: TokenPolicy = {}, revoked?: string) {
  const { root, signers } = await world();
  const certificates = [...signers.values()].map(({ certificate }) => certificate);
  const serial = signers.get(revoked ?? "")?.certificate.serial;
  const entries = serial === undefined ? [] : [{ serial, date: "20290101000000Z", reason: 1 }];
  const material = { certificates, revocations: [await makeRevocationList(root, entries)] };
  const trust = { roots: [root.certificate] };
  const [first = new Uint8Array(), ...rest] = tokens;
  const imprint = imprintOf(DATA);
  const renewals = await judgeRenewals(rest.map((one) => ({ token: one, imprint })), material, trust, policy, at(now));
  const times = { now: at(now), protectedAt: renewals.protectedAt };
  const plain = await judgeToken({ ...material, token: first, imprint }, trust, policy, times);
  return { outcomes: [plain, ...renewals.verdicts].map(word), protectedAt: renewals.protectedAt };
}

function word(verdict: TokenVerdict): string {
  return verdict.outcome === "nothing" ? verdict.cause : verdict.outcome;
}

Deno.test("each token is protected by the next one's time, and the last by now", async () => {
  const [first, second, third] = [
    await token("2026", "2030"),
    await token("2029", "2035"),
    await token("2034", "2040"),
  ];
  const good = ["good", "good", "good"];
  assert.deepEqual((await judge([first, second, third], "2036")).outcomes, good);
  assert.equal((await judge([first, second, third], "2036")).protectedAt, at("2029"));
  assert.deepEqual((await judge([first], "2036")).outcomes, ["ended"]);
  assert.deepEqual(await judge([first], "2029"), { outcomes: ["good"], protectedAt: at("2029") });
});

Deno.test("a renewal that no longer holds protects nothing, and what came before falls to the next that does", async () => {
  const [first, second, third] = [
    await token("2026", "2030"),
    await token("2029", "2035"),
    await token("2034", "2040"),
  ];
  assert.deepEqual((await judge([first, second, third], "2041")).outcomes, ["ended", "ended", "ended"]);
  assert.deepEqual((await judge([first, second], "2036")).outcomes, ["ended", "ended"]);
  // Renewed too late: the first had ended when the second was made.
  const late = await token("2031", "2035");
  assert.deepEqual((await judge([first, late], "2034")).outcomes, ["ended", "good"]);
  // The one between is revoked for its key: the first falls to the third, and ends before it.
  assert.deepEqual((await judge([first, second, third], "2036", {}, "2035")).outcomes, ["ended", "revoked", "good"]);
  const broken = third.slice();
  broken[broken.length - 1] = (broken.at(-1) ?? 0) ^ 1;
  assert.deepEqual((await judge([first, second, broken], "2034")).outcomes, ["good", "good", "wrong"]);
  assert.deepEqual((await judge([first, second, broken], "2036")).outcomes, ["ended", "ended", "wrong"]);
});

Deno.test("ended tokens are taken where that is allowed, and protect again", async () => {
  const [first, second] = [await token("2026", "2030"), await token("2029", "2035")];
  assert.deepEqual((await judge([first, second], "2036", { allowEnded: true })).outcomes, ["good", "good"]);
});

Deno.test("the times of renewals rise", async () => {
  const [first, second, third] = [
    await token("2026", "2030"),
    await token("2029", "2035"),
    await token("2028", "2040"),
  ];
  assert.deepEqual(
    (await judge([first, second, third], "2032")).outcomes,
    ["good", "good", "wrong"],
  );
  assert.deepEqual((await judge([first, second, second], "2032")).outcomes, ["good", "good", "wrong"]);
  const garbage = concat(second, Uint8Array.of(0));
  assert.deepEqual((await judge([first, garbage, third], "2029")).outcomes, ["good", "wrong", "good"]);
});

const ruleOf = (text: string) => {
  const rule = parseDistrust(text);
  return rule === undefined ? [] : [rule];
};

Deno.test("what relies on a distrusted algorithm counts only if something else took over before", async () => {
  const [old, renewal] = [await token("2026", "2030"), await token("2029", "2040", "SHA-512")];
  const distrust = (...rules: string[]) => ({ distrust: new Map(rules.flatMap(ruleOf)) });
  const outcomes = async (tokens: Bytes[], now: string, ...rules: string[]) =>
    (await judge(tokens, now, distrust(...rules))).outcomes;
  assert.deepEqual(await outcomes([old], "2029", "sha256=2028-01-01"), ["distrusted"]);
  assert.deepEqual(await outcomes([old], "2029", "sha256=2029-12-01"), ["good"], "the day is yet to come");
  assert.deepEqual(await outcomes([old], "2029", "sha512=2020-01-01", "rsa=2020-01-01"), ["good"], "not used");
  assert.deepEqual(await outcomes([old], "2029", "ecdsa=2020-01-01"), ["distrusted"]);
  // The certificates of the renewal are signed with SHA-256, so it is distrusted as well.
  assert.deepEqual(await outcomes([old, renewal], "2036", "sha256=2035-01-01"), ["ended", "distrusted"]);
  assert.deepEqual(await outcomes([old, renewal], "2034", "sha512=2033-01-01"), ["ended", "distrusted"]);
  const newer = await token("2032", "2040", "SHA-384");
  assert.deepEqual(await outcomes([old, renewal, newer], "2034", "sha512=2033-01-01"), ["good", "good", "good"]);
  assert.deepEqual(await outcomes([old, renewal, newer], "2034", "sha512=2031-01-01"), ["ended", "distrusted", "good"]);
});

Deno.test("--distrust is an algorithm and a day or a second of it, and nothing else", () => {
  assert.deepEqual(parseDistrust("sha256=2035-01-01"), ["sha256", at("2035-01-01T00:00:00Z")]);
  assert.deepEqual(parseDistrust("ml-dsa=2035-01-01T12:00:01Z"), ["ml-dsa", at("2035-01-01T12:00:01Z")]);
  for (const text of ["sha1=2035-01-01", "sha256", "sha256=", "sha256=2035-02-30", "sha256=2035", "rsa=2035-01-01 "]) {
    assert.equal(parseDistrust(text), undefined, text);
  }
  const distrust = new Map([["rsa", 1000]] as const);
  assert.equal(distrustedOf(["sha256", "rsa"], 1000, distrust), "rsa");
  assert.equal(distrustedOf(["sha256", "rsa"], 999, distrust), undefined);
  assert.equal(distrustedOf(["sha256"], 1000, distrust), undefined);
});

Deno.test("a renewal is due 90 days before the first certificate ends", async () => {
  const { root, signers } = await world();
  const verdictOf = async (year: string, ends: string) => {
    const certificates = [...signers.values()].map(({ certificate }) => certificate);
    const evidence = { token: await token(year, ends), imprint: imprintOf(DATA), certificates, revocations: [] };
    const now = at(year);
    const verdict = await judgeToken(evidence, { roots: [root.certificate] }, {}, { now, protectedAt: now });
    if (verdict.outcome !== "good") throw new Error(verdict.reason);
    return verdict;
  };
  const ends = at("2030-01-01T00:00:00Z");
  const due = at("2029-10-03T00:00:00Z");
  const tokens = [await verdictOf("2026", "2035"), await verdictOf("2026", "2030")];
  assert.deepEqual(renewalDue(tokens, due - 1), { due, ends, isPast: false });
  assert.deepEqual(renewalDue(tokens, due), { due, ends, isPast: true });
  assert.equal(renewalDue([], due), undefined);
});
