/**
 * SHA-256 (FIPS 180-4) of short inputs, in JavaScript. A hash object of node:crypto costs some 5 µs however short its
 * input is. Verifying a signature takes nine hashes, seven of them over 36 octets (MGF1 of RFC 8017); here one of those
 * costs 2 µs, which saves a quarter of the whole verification. Long inputs go to node:crypto: see `hash.ts`.
 *
 *     shortSha256([encodeUtf8("abc")]) → ba7816bf8f01cfea…
 *
 * The time doesn't depend on the data: no table is indexed by it and no branch is taken on it.
 *
 * @layer crypto
 */

import { type Bytes, freshBytes } from "./bytes.ts";

const BLOCK_SIZE = 64;
/** 1 KiB: up to this length it is faster, and a signed line's input is never longer. */
export const MAX_SHORT = 1_024;

function words(hex: string): Int32Array {
  return Int32Array.from(hex.split(" "), (word) => parseInt(word, 16));
}

/** Section 5.3.3. */
const INITIAL = words("6a09e667 bb67ae85 3c6ef372 a54ff53a 510e527f 9b05688c 1f83d9ab 5be0cd19");
/** Section 4.2.2. */
const ROUNDS = words(
  "428a2f98 71374491 b5c0fbcf e9b5dba5 3956c25b 59f111f1 923f82a4 ab1c5ed5 d807aa98 12835b01 243185be 550c7dc3 72be5d74 " +
    "80deb1fe 9bdc06a7 c19bf174 e49b69c1 efbe4786 0fc19dc6 240ca1cc 2de92c6f 4a7484aa 5cb0a9dc 76f988da 983e5152 " +
    "a831c66d b00327c8 bf597fc7 c6e00bf3 d5a79147 06ca6351 14292967 27b70a85 2e1b2138 4d2c6dfc 53380d13 650a7354 " +
    "766a0abb 81c2c92e 92722c85 a2bfe8a1 a81a664b c24b8b70 c76c51a3 d192e819 d6990624 f40e3585 106aa070 19a4c116 " +
    "1e376c08 2748774c 34b0bcb5 391c0cb3 4ed8aa4a 5b9cca4f 682e6ff3 748f82ee 78a5636f 84c87814 8cc70208 90befffa " +
    "a4506ceb bef9a3f7 c67178f2",
);

// Every call uses these again; none of them yields in between.
const message = new Uint8Array(MAX_SHORT + 2 * BLOCK_SIZE);
const schedule = new Int32Array(64);
const state = new Int32Array(8);

/** SHA-256 of the parts, one after the other; at most {@link MAX_SHORT} octets together. */
export function shortSha256(parts: readonly Uint8Array[]): Bytes {
  let length = 0;
  for (const part of parts) {
    message.set(part, length); // RangeError beyond the bound
    length += part.length;
  }
  // FIPS 180-4, section 5.1.1: a one, zeros, and the length in bits at the end of the last block.
  const end = (Math.floor((length + 8) / BLOCK_SIZE) + 1) * BLOCK_SIZE;
  message[length] = 0x80;
  message[end - 2] = 8 * length >>> 8;
  message[end - 1] = 8 * length;
  state.set(INITIAL);
  for (let at = 0; at < end; at += BLOCK_SIZE) compress(at);
  message.fill(0, 0, end); // what was hashed may be a secret
  const digest = freshBytes(32);
  for (let i = 0; i < 32; i++) digest[i] = (state[i >> 2] ?? 0) >>> (24 - 8 * (i & 3));
  return digest;
}

/** Section 6.2.2, over the block of the message that begins there. */
function compress(at: number): void {
  for (let t = 0; t < 16; t++, at += 4) {
    schedule[t] = message[at]! << 24 | message[at + 1]! << 16 | message[at + 2]! << 8 | message[at + 3]!;
  }
  for (let t = 16; t < 64; t++) {
    const [x, y] = [schedule[t - 15]!, schedule[t - 2]!];
    const sigma0 = (x >>> 7 | x << 25) ^ (x >>> 18 | x << 14) ^ (x >>> 3);
    const sigma1 = (y >>> 17 | y << 15) ^ (y >>> 19 | y << 13) ^ (y >>> 10);
    schedule[t] = sigma1 + schedule[t - 7]! + sigma0 + schedule[t - 16]!;
  }
  let [a, b, c, d] = [state[0]!, state[1]!, state[2]!, state[3]!];
  let [e, f, g, h] = [state[4]!, state[5]!, state[6]!, state[7]!];
  for (let t = 0; t < 64; t++) {
    const sum1 = (e >>> 6 | e << 26) ^ (e >>> 11 | e << 21) ^ (e >>> 25 | e << 7);
    const first = (h + sum1 + ((e & f) ^ (~e & g)) + ROUNDS[t]! + schedule[t]!) | 0;
    const sum0 = (a >>> 2 | a << 30) ^ (a >>> 13 | a << 19) ^ (a >>> 22 | a << 10);
    const second = (sum0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g;
    g = f;
    f = e;
    e = (d + first) | 0;
    d = c;
    c = b;
    b = a;
    a = (first + second) | 0;
  }
  state[0]! += a;
  state[1]! += b;
  state[2]! += c;
  state[3]! += d;
  state[4]! += e;
  state[5]! += f;
  state[6]! += g;
  state[7]! += h;
}
