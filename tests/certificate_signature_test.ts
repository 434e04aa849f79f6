/** Signatures of the kinds that certificates and time-stamp tokens have; those that WebCrypto lacks, too. */

import { type Bytes, concat, encodeUtf8, parseBase64, parseInteger } from "../lib/bytes.ts";
import { type PublicKey, type Scheme, verifyData } from "../lib/certificate_signature.ts";
import { DerFields, encodeCount, encodeDer, parseDer, readOctets, TAG } from "../lib/der.ts";
import { assert } from "./assert.ts";
import vectors from "./vectors/timestamp/signatures.json" with { type: "json" };

const bytesOf = (base64: string): Bytes => parseBase64(base64) ?? new Uint8Array();

/** The key as a certificate's reader gives it. */
function keyOf(name: string, publicKey: Bytes): PublicKey {
  if (name === "ECDSA") return { publicKey, rsa: undefined, curve: "P-521" };
  const info = new DerFields(parseDer(publicKey, "key"), "key");
  info.next(TAG.sequence);
  const numbers = new DerFields(parseDer(readOctets(info.next(TAG.bitString), "key"), "key"), "key");
  const [modulus, exponent] = [numbers.next(TAG.integer), numbers.next(TAG.integer)]
    .map(({ content }) => parseInteger(content)) as [bigint, bigint];
  return { publicKey, rsa: { modulus, exponent, bits: modulus.toString(2).length }, curve: undefined };
}

const DATA = encodeUtf8(vectors.data);

Deno.test("openssl's signatures verify under keys that WebCrypto doesn't read, and no changed one does", async () => {
  for (const { name, hash, spki, signature } of vectors.cases) {
    const scheme = { name, hash } as Scheme;
    const [key, signed] = [keyOf(name, bytesOf(spki)), bytesOf(signature)];
    const what = `${name} ${hash} ${key.rsa?.bits ?? key.curve}`;
    assert.equal(await verifyData(scheme, key, signed, DATA), true, what);
    assert.equal(await verifyData(scheme, key, signed, DATA.subarray(1)), false, what);
    const others = (["SHA-256", "SHA-384", "SHA-512"] as const).filter((other) => other !== hash);
    for (const other of others) assert.equal(await verifyData({ ...scheme, hash: other }, key, signed, DATA), false);
    for (const at of [0, 7, signed.length >> 1, signed.length - 1]) {
      const changed = signed.slice();
      changed[at] = (changed[at] ?? 0) ^ 1;
      assert.equal(await verifyData(scheme, key, changed, DATA), false, `${what}, byte ${at}`);
    }
    if (key.rsa === undefined) continue;
    const other = name === "RSA-PSS" ? "RSASSA-PKCS1-v1_5" : "RSA-PSS";
    assert.equal(await verifyData({ ...scheme, name: other }, key, signed, DATA), false);
    assert.equal(await verifyData(scheme, key, concat(Uint8Array.of(0), signed), DATA), false, "a longer form");
    assert.equal(await verifyData({ ...scheme, name: "ECDSA" }, key, signed, DATA), false, "another kind of key");
  }
});

Deno.test("numbers out of range and points that are not on the curve verify nothing", async () => {
  for (const { name, hash, spki, signature } of vectors.cases) {
    if (name !== "ECDSA") continue;
    const scheme = { name, hash } as Scheme;
    const key = bytesOf(spki);
    const off = key.slice();
    off[off.length - 1] = (off.at(-1) ?? 0) ^ 1;
    assert.equal(await verifyData(scheme, keyOf(name, off), bytesOf(signature), DATA), false);
    const zeros = encodeDer(TAG.sequence, encodeCount(0), encodeCount(0));
    assert.equal(await verifyData(scheme, keyOf(name, key), zeros, DATA), false);
  }
});

Deno.test("an ECDSA signature is DER, of two numbers that fit the curve", async () => {
  const vector = vectors.cases.find(({ name }) => name === "ECDSA");
  if (vector === undefined) throw new Error("there is no ECDSA vector");
  const key = keyOf("ECDSA", bytesOf(vector.spki));
  const scheme = { name: "ECDSA", hash: vector.hash } as Scheme;
  const negative = encodeDer(TAG.sequence, encodeDer(TAG.integer, Uint8Array.of(0x80)), encodeCount(1));
  const large = encodeDer(TAG.sequence, encodeCount(1n << 528n), encodeCount(1));
  const three = encodeDer(TAG.sequence, encodeCount(1), encodeCount(1), encodeCount(1));
  for (const signature of [negative, large, three, new Uint8Array(132), new Uint8Array()]) {
    assert.equal(await verifyData(scheme, key, signature, DATA), false);
  }
});
