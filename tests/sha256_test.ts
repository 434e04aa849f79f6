import { createHash, createHmac } from "node:crypto";
import { assert } from "./assert.ts";
import { encodeHex, encodeUtf8 } from "../lib/bytes.ts";
import { hmacSha256, sha256 } from "../lib/hash.ts";
import { MAX_SHORT, shortSha256 } from "../lib/sha256.ts";

/** Bytes that repeat in no power of two. */
function sample(size: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length: size }, (_, i) => (i * 197 + size) % 251);
}

Deno.test("shortSha256() gives FIPS 180-4's digests", () => {
  const abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  assert.equal(encodeHex(shortSha256([encodeUtf8("abc")])), abc);
  assert.equal(encodeHex(shortSha256([encodeUtf8("a"), encodeUtf8(""), encodeUtf8("bc")])), abc);
  assert.equal(encodeHex(shortSha256([])), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
});

Deno.test("shortSha256() and node:crypto agree on every length, however the input is cut", () => {
  for (let size = 0; size <= MAX_SHORT; size++) {
    const bytes = sample(size);
    const expected = createHash("sha256").update(bytes).digest("hex");
    assert.equal(encodeHex(shortSha256([bytes])), expected, `${size} bytes`);
    const cut = size * 7 % (size + 1);
    assert.equal(encodeHex(shortSha256([bytes.subarray(0, cut), bytes.subarray(cut)])), expected, `${size} bytes`);
  }
  assert.throws(() => shortSha256([sample(MAX_SHORT + 200)]), RangeError);
});

Deno.test("a digest is its own: the next hash doesn't change it, nor what was hashed", () => {
  const bytes = sample(100);
  const first = shortSha256([bytes]);
  const copy = first.slice();
  shortSha256([sample(500)]);
  assert.deepEqual(first, copy);
  assert.deepEqual(bytes, sample(100));
});

Deno.test("sha256() and hmacSha256() agree with node:crypto where the short way ends and the long one begins", () => {
  for (let size = MAX_SHORT - 70; size < MAX_SHORT + 70; size++) {
    const bytes = sample(size);
    assert.equal(encodeHex(sha256(bytes)), createHash("sha256").update(bytes).digest("hex"), `${size} bytes`);
  }
  for (const keySize of [0, 1, 16, 63, 64, 65, 200]) {
    for (const size of [0, 1, 31, 47, 55, 56, 64, 1000, 5000]) {
      const [key, bytes] = [sample(keySize), sample(size)];
      const expected = createHmac("sha256", key).update(bytes).digest("hex");
      assert.equal(encodeHex(hmacSha256(key, bytes)), expected, `key of ${keySize}, ${size} bytes`);
    }
  }
});
