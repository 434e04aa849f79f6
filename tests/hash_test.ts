import { assert } from "./assert.ts";
import { encodeHex, encodeUtf8, parseHex } from "../lib/bytes.ts";
import { digest, HASH_SIZES, hmacSha256, RunningHash, sha256 } from "../lib/hash.ts";

function bytes(hex: string) {
  const parsed = parseHex(hex);
  assert(parsed);
  return parsed;
}

Deno.test("sha256() gives the digests of FIPS 180-4's examples, however the input is cut", () => {
  const abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  assert.equal(encodeHex(sha256(encodeUtf8("abc"))), abc);
  assert.equal(encodeHex(sha256(encodeUtf8("a"), new Uint8Array(), encodeUtf8("bc"))), abc);
  assert.equal(encodeHex(sha256()), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  const two = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
  assert.equal(encodeHex(sha256(encodeUtf8(two))), "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
});

Deno.test("hmacSha256() gives the values of RFC 4231", () => {
  const cases: [string, string, string][] = [
    ["0b".repeat(20), "4869205468657265", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"],
    [
      "4a656665",
      "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
      "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    ],
    ["aa".repeat(20), "dd".repeat(50), "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"],
    [
      "aa".repeat(131),
      "54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b6579202d2048617368204b6579204669727374",
      "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
    ],
  ];
  for (const [key, data, mac] of cases) {
    assert.equal(encodeHex(hmacSha256(bytes(key), bytes(data))), mac);
    assert.equal(encodeHex(hmacSha256(bytes(key), bytes(data.slice(0, 2)), bytes(data.slice(2)))), mac);
  }
});

Deno.test("RunningHash tells the digest so far, and goes on", () => {
  const hash = new RunningHash();
  assert.deepEqual(hash.digest(), sha256());
  hash.update(encodeUtf8("ab"));
  assert.deepEqual(hash.digest(), sha256(encodeUtf8("ab")));
  assert.deepEqual(hash.digest(), sha256(encodeUtf8("ab")));
  assert.deepEqual(hash.update(encodeUtf8("c")).digest(), sha256(encodeUtf8("abc")));
});

Deno.test("RunningHash and digest() give the hash that they are asked for", () => {
  for (const [hash, size] of Object.entries(HASH_SIZES) as [keyof typeof HASH_SIZES, number][]) {
    const running = new RunningHash(hash).update(encodeUtf8("a")).update(encodeUtf8("bc"));
    assert.deepEqual(running.digest(), digest(hash, encodeUtf8("abc")));
    assert.equal(running.digest().length, size);
  }
  assert.deepEqual(digest("SHA-256", encodeUtf8("abc")), sha256(encodeUtf8("abc")));
  assert.equal(digest("SHA-1", encodeUtf8("abc")).toHex(), "a9993e364706816aba3e25717850c26c9cd0d89d");
});
