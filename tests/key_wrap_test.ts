import { assert } from "./assert.ts";
import { countingRandom } from "./fixtures.ts";
import { encodeHex, parseHex } from "../lib/bytes.ts";
import { AesKeyWrap } from "../lib/key_wrap.ts";

const KEY = new Uint8Array(32).fill(9);
const EPOCH_KEY = new Uint8Array(16).fill(5);
const CONTEXT = "chat.example/#ops/8f14e45fceea167a5a36dedd4bea2543 epoch 1";

Deno.test("AesKeyWrap.unwrap() gives back what wrap() took, whatever the length", () => {
  const wrap = new AesKeyWrap(KEY, countingRandom());
  for (const size of [0, 1, 16, 32, 100]) {
    const key = new Uint8Array(size).fill(size);
    const wrapped = wrap.wrap(key, CONTEXT);
    assert.equal(wrapped.length, 12 + size + 16);
    assert.deepEqual(wrap.unwrap(wrapped, CONTEXT), key);
  }
});

Deno.test("AesKeyWrap is AES-256-GCM as its inventors tested it", () => {
  // Test case 14 of McGrew and Viega, "The Galois/Counter Mode of Operation": all of it zeros.
  const wrap = new AesKeyWrap(new Uint8Array(32), (size) => new Uint8Array(size));
  assert.equal(
    encodeHex(wrap.wrap(new Uint8Array(16), "")),
    "00".repeat(12) + "cea7403d4d606b6e074ec5d3baf39d18" + "d0d1c8a799996bf0265b98b5d48ab919",
  );
});

Deno.test("AesKeyWrap covers the context", () => {
  const wrap = new AesKeyWrap(KEY, countingRandom());
  const wrapped = wrap.wrap(EPOCH_KEY, CONTEXT);
  for (const other of ["", `${CONTEXT}0`, CONTEXT.replace("#ops", "#op2"), CONTEXT.replace("epoch 1", "epoch 2")]) {
    assert.equal(wrap.unwrap(wrapped, other), undefined, other);
  }
});

Deno.test("AesKeyWrap.unwrap() refuses every changed bit, every cut, and another key", () => {
  const wrap = new AesKeyWrap(KEY, countingRandom());
  const wrapped = wrap.wrap(EPOCH_KEY, CONTEXT);
  for (let bit = 0; bit < 8 * wrapped.length; bit++) {
    const changed = wrapped.slice();
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    assert.equal(wrap.unwrap(changed, CONTEXT), undefined, `bit ${bit}`);
  }
  for (let size = 0; size < wrapped.length; size++) {
    assert.equal(wrap.unwrap(wrapped.slice(0, size), CONTEXT), undefined, `${size} bytes`);
  }
  assert.equal(new AesKeyWrap(new Uint8Array(32), countingRandom()).unwrap(wrapped, CONTEXT), undefined);
});

Deno.test("AesKeyWrap takes a fresh nonce for each key", () => {
  const wrap = new AesKeyWrap(KEY, countingRandom());
  const all = Array.from({ length: 20 }, () => encodeHex(wrap.wrap(EPOCH_KEY, CONTEXT)));
  assert.equal(new Set(all.map((wrapped) => wrapped.slice(0, 24))).size, 20);
  assert.deepEqual(wrap.unwrap(parseHex(all[19] ?? "") ?? KEY, CONTEXT), EPOCH_KEY);
});

Deno.test("AesKeyWrap takes a key of 32 bytes alone", () => {
  for (const size of [0, 16, 31, 33]) {
    assert.throws(() => new AesKeyWrap(new Uint8Array(size), countingRandom()), RangeError);
  }
});
