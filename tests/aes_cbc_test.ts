import { assert } from "./assert.ts";
import vectors from "./vectors/aes_cbc_pkcs5_test.json" with { type: "json" };
import { decrypt, encrypt, hasBodyForm } from "../lib/aes_cbc.ts";
import { concat, encodeUtf8, parseHex } from "../lib/bytes.ts";

function bytes(hex: string) {
  const parsed = parseHex(hex);
  assert(parsed);
  return parsed;
}

Deno.test("encrypt() and decrypt() agree with wycheproof's AES-128-CBC cases", () => {
  let count = 0;
  for (const { tests } of vectors.testGroups) {
    for (const { tcId, comment, key, iv, msg, ct, result } of tests) {
      const body = concat(bytes(iv), bytes(ct));
      if (result === "valid") {
        assert.deepEqual(encrypt(bytes(key), bytes(iv), bytes(msg)), body, `case ${tcId}: ${comment}`);
        assert.deepEqual(decrypt(bytes(key), body), bytes(msg), `case ${tcId}: ${comment}`);
      } else {
        assert.equal(decrypt(bytes(key), body), undefined, `case ${tcId}: ${comment}`);
      }
      count++;
    }
  }
  assert.equal(count, 72);
});

const KEY = bytes("000102030405060708090a0b0c0d0e0f");
const IV = bytes("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff");

Deno.test("decrypt() refuses every length but an IV and whole blocks", () => {
  for (let length = 0; length < 80; length++) {
    const isForm = length >= 32 && length % 16 === 0;
    assert.equal(hasBodyForm(new Uint8Array(length)), isForm, `${length} bytes`);
    if (!isForm) assert.equal(decrypt(KEY, new Uint8Array(length)), undefined, `${length} bytes`);
  }
});

Deno.test("decrypt() takes back what encrypt() made, for every length around a block", () => {
  for (let length = 0; length < 50; length++) {
    const plaintext = new Uint8Array(length).fill(length);
    const body = encrypt(KEY, IV, plaintext);
    assert.equal(body.length, 16 + 16 * (Math.floor(length / 16) + 1));
    assert.deepEqual(decrypt(KEY, body), plaintext);
  }
});

Deno.test("decrypt() under another key never gives the text", () => {
  const body = encrypt(KEY, IV, encodeUtf8("hello"));
  for (let at = 0; at < 16; at++) {
    const other = KEY.slice();
    other[at] = (other[at] ?? 0) ^ 1;
    assert.notDeepEqual(decrypt(other, body), encodeUtf8("hello"));
  }
});
