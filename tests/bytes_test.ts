import { assert } from "./assert.ts";
import { sha256 } from "../lib/hash.ts";
import {
  concat,
  encodeBase64,
  encodeHex,
  encodeInteger,
  encodeUtf8,
  equalBytes,
  freshBytes,
  parseBase64,
  parseHex,
  parseInteger,
  parseUtf8,
  uint64,
} from "../lib/bytes.ts";

/** Lengths around the groups of base64. */
const SAMPLES = Array.from(
  { length: 40 },
  (_, size) => Uint8Array.from({ length: size }, (_, i) => (i * 37 + size) & 255),
);

Deno.test("base64 is RFC 4648 section 10's, and comes back as it was", () => {
  const published = ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"];
  for (const [size, text] of published.entries()) {
    assert.equal(encodeBase64(encodeUtf8("foobar".slice(0, size))), text);
    assert.deepEqual(parseBase64(text), encodeUtf8("foobar".slice(0, size)));
  }
  for (const bytes of SAMPLES) assert.deepEqual(parseBase64(encodeBase64(bytes)), bytes);
});

Deno.test("parseBase64() takes one spelling alone", () => {
  const wrong = [
    "Zg",
    "Zg=",
    "Zg===",
    "=",
    "====",
    "Zh==",
    "Zm9=",
    "Zm8",
    "Z",
    "Zm9v\n",
    " Zm9v",
    "Zm 9v",
    "Zm9v====",
    "Zm9v=",
    "Zg==Zg==",
    "Zm9-",
    "Zm9_",
    "Zm9v\0",
    "Zm\u00e9v",
    "Zm9vZg==\r\n",
    "Zm9v,",
    "Ｚm9v",
    "AAA\u{1d400}",
  ];
  for (const text of wrong) assert.equal(parseBase64(text), undefined, JSON.stringify(text));
});

Deno.test("parseBase64() refuses every single changed character that would give the same bytes", () => {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=-_ \n";
  for (const bytes of SAMPLES.slice(1, 8)) {
    const text = encodeBase64(bytes);
    for (let at = 0; at < text.length; at++) {
      for (const letter of alphabet) {
        const changed = text.slice(0, at) + letter + text.slice(at + 1);
        const parsed = parseBase64(changed);
        if (changed !== text && parsed) assert.notDeepEqual(parsed, bytes);
      }
    }
  }
});

Deno.test("hex is lower case and of whole bytes", () => {
  for (const bytes of SAMPLES) assert.deepEqual(parseHex(encodeHex(bytes)), bytes);
  for (const text of ["0", "0G", "AB", "0x00", " 00", "00 ", "00\n", "é0"]) {
    assert.equal(parseHex(text), undefined, text);
  }
});

Deno.test("parseUtf8() refuses what is not UTF-8 and keeps a byte order mark", () => {
  const wrong = ["80", "c0af", "e0809f", "eda080", "f8888080", "f4908080", "c3", "e282", "ff"];
  for (const hex of wrong) assert.equal(parseUtf8(parseHex(hex) ?? new Uint8Array()), undefined, hex);
  for (const text of ["", "é", "\u{10ffff}", "\ufeffx", "\0"]) assert.equal(parseUtf8(encodeUtf8(text)), text);
});

Deno.test("encodings look at their own part of a shared buffer alone", () => {
  const part = new Uint8Array([1, 2, 3, 4, 5]).subarray(1, 3);
  assert.equal(encodeHex(part), "0203");
  assert.equal(encodeBase64(part), "AgM=");
  assert.equal(parseInteger(part), 0x0203n);
});

Deno.test("uint64() writes every integer of the protocol exactly", () => {
  for (const value of [0, 1, 255, 256, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, 1_700_055_622_123, 2 ** 53 - 1]) {
    assert.equal(parseInteger(uint64(value)), BigInt(value));
    assert.equal(uint64(value).length, 8);
  }
});

Deno.test("encodeInteger() pads to its size, and throws for what doesn't fit", () => {
  assert.equal(encodeHex(encodeInteger(0x1ffn, 4)), "000001ff");
  assert.equal(encodeHex(encodeInteger(0n, 2)), "0000");
  assert.equal(encodeHex(encodeInteger(2n ** 2048n - 1n, 256)), "ff".repeat(256));
  assert.throws(() => encodeInteger(2n ** 2048n, 256), RangeError);
  assert.throws(() => encodeInteger(-1n, 4), RangeError);
  for (const bytes of SAMPLES.slice(1)) assert.deepEqual(encodeInteger(parseInteger(bytes), bytes.length), bytes);
});

Deno.test("equalBytes() compares contents, not objects", () => {
  assert(equalBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 2)));
  assert(!equalBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 3)));
  assert(!equalBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 2, 0)));
  assert(equalBytes(new Uint8Array(), new Uint8Array()));
});

Deno.test("concat() makes a copy of all parts in their order", () => {
  const part = Uint8Array.of(1);
  const whole = concat(part, new Uint8Array(), Uint8Array.of(2, 3));
  part[0] = 9;
  assert.deepEqual(whole, Uint8Array.of(1, 2, 3));
});

Deno.test("freshBytes() are zeros of that length that nobody else has, in a buffer of their own where they are long", () => {
  const sizes = Array.from({ length: 300 }, (_, i) => (i * 97) % 2_049);
  const all = sizes.map((size, i) => {
    const bytes = freshBytes(size);
    assert.deepEqual(bytes, new Uint8Array(size));
    return bytes.fill(i % 251 + 1);
  });
  for (const [i, bytes] of all.entries()) assert(bytes.every((byte) => byte === i % 251 + 1), `${i}`);
  for (const size of [2_049, 100_000]) assert.equal(freshBytes(size).buffer.byteLength, size);
});

Deno.test("short bytes that are kept keep no more than a slab in memory, and a slice of them only itself", () => {
  const short = [
    freshBytes(16),
    encodeUtf8("hello"),
    parseBase64("AAAA") ?? new Uint8Array(0),
    sha256(encodeUtf8("x")),
  ];
  for (const bytes of short) {
    assert(bytes.buffer.byteLength <= 16_384);
    assert.equal(bytes.slice().buffer.byteLength, bytes.length);
  }
});

Deno.test("parseUtf8() takes the replacement character where it was written, and not in place of what is no UTF-8", () => {
  const [written, wrong] = [encodeUtf8("a\ufffdb"), Uint8Array.of(0x61, 0xff, 0x62)];
  assert.equal(parseUtf8(written), "a\ufffdb");
  assert.equal(parseUtf8(wrong), undefined);
  assert.equal(parseUtf8(concat(written, wrong)), undefined);
});
