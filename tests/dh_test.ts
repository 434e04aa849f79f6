import { assert } from "./assert.ts";
import vectors from "./vectors/own_dh_modp2_modp14.json" with { type: "json" };
import { type Bytes, encodeInteger, parseHex, parseInteger, type Random } from "../lib/bytes.ts";
import { DhKey, type Group, GROUP_14, GROUP_2 } from "../lib/dh.ts";
import { sha256 } from "../lib/hash.ts";

function integer(hex: string): bigint {
  const parsed = parseHex(hex);
  assert(parsed);
  return parseInteger(parsed);
}

const freshRandom: Random = (size) => crypto.getRandomValues(new Uint8Array(size));

/**
 * A Random that makes DhKey use the private value x. DhKey sets the highest bit of what it draws; adding multiples of
 * the subgroup's order until that bit is set gives an exponent with the same powers.
 */
function fixedPrivate(x: bigint, { prime }: Group): Random {
  const order = (prime - 1n) / 2n;
  const size = prime.toString(16).length / 2 + 1;
  const top = 1n << BigInt(8 * size - 1);
  const multiples = (top - x) / order + 1n;
  return () => encodeInteger(x + multiples * order, size);
}

/** K = SHA-256(Ks)[0..16], Ks as 256 bytes, for either group. */
function keyOf(secret: bigint): Bytes {
  return sha256(encodeInteger(secret, 256)).slice(0, 16);
}

const GROUPS: Readonly<Record<string, Group>> = { modp2: GROUP_2, modp14: GROUP_14 };

for (const { group: name, p, g, valid, peer_public_cases: cases } of vectors.testGroups) {
  const group = GROUPS[name];
  assert(group);

  Deno.test(`the prime and generator of ${name} are the published ones`, () => {
    assert.equal(group.prime, integer(p));
    assert.equal(group.generator, BigInt(g));
  });

  Deno.test(`DhKey agrees with OpenSSL on ${name}, secrets with leading zero bytes included`, () => {
    for (const { tcId, xa, xb, ya, yb, z } of valid) {
      const a: DhKey = new DhKey(group, fixedPrivate(integer(xa), group));
      const b: DhKey = new DhKey(group, fixedPrivate(integer(xb), group));
      assert.equal(a.public, integer(ya), `case ${tcId}`);
      assert.equal(b.public, integer(yb), `case ${tcId}`);
      assert.deepEqual(a.agree(b.public), keyOf(integer(z)), `case ${tcId}`);
      assert.deepEqual(b.agree(a.public), keyOf(integer(z)), `case ${tcId}`);
    }
    assert.equal(valid.length, 24);
    assert.equal(valid.filter(({ z }) => z.startsWith("00")).length, 4);
  });

  Deno.test(`DhKey.agree() refuses every public value outside 2 to p - 2 of ${name}`, () => {
    const key = new DhKey(group, freshRandom);
    const values = cases.filter(({ result, flags }) => result === "invalid" && !flags.includes("Encoding"));
    assert.equal(values.length, 10); // the cases of flag Encoding are about bytes; a public value travels as an integer
    for (const { y, comment } of values) assert.equal(key.agree(integer(y)), undefined, comment);
    assert.equal(key.agree(-2n), undefined);
    assert.equal(key.agree(integer("ff".repeat(1_048_576))), undefined);
  });
}

Deno.test("two fresh DhKeys agree, and a third has another key", () => {
  for (const group of [GROUP_2, GROUP_14]) {
    const [a, b, c] = [1, 2, 3].map(() => new DhKey(group, freshRandom)) as [DhKey, DhKey, DhKey];
    const key = a.agree(b.public);
    assert.equal(key?.length, 16);
    assert.deepEqual(b.agree(a.public), key);
    assert.notDeepEqual(c.agree(a.public), key);
    assert.notEqual(a.public, b.public);
  }
});

Deno.test("DhKey draws at least 256 random bits and wipes them", () => {
  const drawn: Bytes[] = [];
  new DhKey(GROUP_14, (size) => {
    const bytes = crypto.getRandomValues(new Uint8Array(size));
    drawn.push(bytes);
    return bytes;
  });
  assert.equal(drawn.length, 1);
  assert(drawn[0] && drawn[0].length >= 32 && drawn[0].every((byte) => byte === 0));
});
