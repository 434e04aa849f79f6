import { Buffer } from "node:buffer";
import { assert } from "./assert.ts";
import misc from "./vectors/rsa_pss_misc_test.json" with { type: "json" };
import odd from "./vectors/own_rsa_pss_odd_sizes_test.json" with { type: "json" };
import own from "./vectors/own_rsa_pss_2048_sha256_mgf1_222_test.json" with { type: "json" };
import pss0 from "./vectors/rsa_pss_2048_sha256_mgf1_0_test.json" with { type: "json" };
import pss32 from "./vectors/rsa_pss_2048_sha256_mgf1_32_test.json" with { type: "json" };
import pss3072 from "./vectors/rsa_pss_3072_sha256_mgf1_32_test.json" with { type: "json" };
import pss4096 from "./vectors/rsa_pss_4096_sha256_mgf1_32_test.json" with { type: "json" };
import { encodeInteger, encodeUtf8, parseHex, parseInteger } from "../lib/bytes.ts";
import { importSigningKey, saltLength, VerifyingKey } from "../lib/pss.ts";

interface Vectors {
  readonly testGroups: readonly {
    readonly keySize: number;
    readonly mgfSha: string;
    readonly sLen: number;
    readonly publicKey: { readonly modulus: string };
    readonly tests: readonly { tcId: number; comment?: string; msg: string; sig: string; result: string }[];
  }[];
}

function bytes(hex: string) {
  const parsed = parseHex(hex);
  assert(parsed);
  return parsed;
}

/** Verifies every case and returns how many there were. */
function runVectors(vectors: Vectors): number {
  let count = 0;
  for (const group of vectors.testGroups) {
    const key = new VerifyingKey(parseInteger(bytes(group.publicKey.modulus)), group.sLen);
    for (const test of group.tests) {
      const expected = test.result === "valid" && group.mgfSha === "SHA-256";
      assert.equal(key.verify(bytes(test.sig), bytes(test.msg)), expected, `case ${test.tcId}: ${test.comment}`);
      count++;
    }
  }
  return count;
}

const WYCHEPROOF: readonly [string, Vectors, number][] = [
  ["2048 bits, salt 0", pss0, 103],
  ["2048 bits, salt 32", pss32, 108],
  ["3072 bits, salt 32", pss3072, 108],
  ["4096 bits, salt 32", pss4096, 108],
  ["unusual parameters", misc, 30],
];

for (const [name, vectors, count] of WYCHEPROOF) {
  Deno.test(`VerifyingKey agrees with wycheproof: ${name}`, () => assert.equal(runVectors(vectors), count));
}

Deno.test("VerifyingKey agrees with the vectors for the salt length of the protocol, and with no salt length given", () => {
  assert.equal(runVectors(own), 93);
  for (const { publicKey, tests } of own.testGroups) {
    const key = new VerifyingKey(parseInteger(bytes(publicKey.modulus)));
    for (const test of tests) assert.equal(key.verify(bytes(test.sig), bytes(test.msg)), test.result === "valid");
  }
});

Deno.test("VerifyingKey handles keys whose bits are no multiple of eight", () => {
  assert(runVectors(odd) >= 24);
  for (const { keySize, sLen } of odd.testGroups) assert.equal(saltLength(keySize), sLen);
});

Deno.test("VerifyingKey takes the protocol's salt length alone", () => {
  for (const vectors of [pss0, pss32]) {
    for (const { publicKey, tests } of vectors.testGroups) {
      const key = new VerifyingKey(parseInteger(bytes(publicKey.modulus)));
      const accepted = tests.filter(({ sig, msg }) => key.verify(bytes(sig), bytes(msg)));
      assert.deepEqual(accepted.map(({ comment }) => comment), ["s_len changed to 222"]);
    }
  }
});

const [group] = own.testGroups;
assert(group);
const modulus = parseInteger(bytes(group.publicKey.modulus));
const pkcs8 = new Uint8Array(Buffer.from(group.privateKeyPkcs8Pem.replace(/-----[^-]+-----|\s/g, ""), "base64"));

Deno.test("importSigningKey() signs so that VerifyingKey accepts it, never twice the same", async () => {
  const key = await importSigningKey(pkcs8);
  const data = encodeUtf8("hello");
  const [first, second] = [await key.sign(data), await key.sign(data)];
  const verifying = new VerifyingKey(modulus);
  assert.equal(first.length, verifying.signatureLength);
  assert.notDeepEqual(first, second);
  assert(verifying.verify(first, data) && verifying.verify(second, data));
  assert(!verifying.verify(first, encodeUtf8("hellp")));
});

Deno.test("VerifyingKey refuses s + n, which WebCrypto accepts as a second form of s", async () => {
  const key = await importSigningKey(pkcs8);
  const data = encodeUtf8("hello");
  let signature = await key.sign(data);
  // s + n must fit into 256 bytes: true for about one signature in eight of this modulus.
  while (parseInteger(signature) + modulus >= 1n << 2048n) signature = await key.sign(data);
  const verifying = new VerifyingKey(modulus);
  assert(verifying.verify(signature, data));
  assert.equal(verifying.verify(encodeInteger(parseInteger(signature) + modulus, 256), data), false);
});

Deno.test("VerifyingKey refuses every single flipped byte of a signature", async () => {
  const data = encodeUtf8("hello");
  const signature = await (await importSigningKey(pkcs8)).sign(data);
  const verifying = new VerifyingKey(modulus);
  for (let at = 0; at < signature.length; at++) {
    for (const mask of [0x01, 0x80, 0xff]) {
      const flipped = signature.slice();
      flipped[at] = (flipped[at] ?? 0) ^ mask;
      assert.equal(verifying.verify(flipped, data), false, `byte ${at}, mask ${mask}`);
    }
  }
});

Deno.test("VerifyingKey verifies nothing with a modulus that is no key's", () => {
  for (const bits of [0, 1, 2, 8, 9, 255, 264, 265, 272, 273, 280, 511, 4097, 20_000]) {
    for (const number of [1n << BigInt(bits), (1n << BigInt(bits)) - 1n]) {
      const key = new VerifyingKey(number);
      for (const value of [0n, 1n, number - 1n]) {
        const signature = encodeInteger(value > 0n ? value : 0n, key.signatureLength);
        assert.equal(key.verify(signature, encodeUtf8("hello")), false, `${bits} bits`);
      }
    }
  }
});

Deno.test("VerifyingKey leaves the bytes that it is given as they were", async () => {
  const data = encodeUtf8("hello");
  const signature = await (await importSigningKey(pkcs8)).sign(data);
  const copy = signature.slice();
  new VerifyingKey(modulus).verify(signature, data);
  assert.deepEqual(signature, copy);
});

Deno.test("importSigningKey() throws for what is not an RSA key", async () => {
  await assert.rejects(importSigningKey(new Uint8Array(40)));
});
