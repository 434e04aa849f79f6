/**
 * RSA signatures under keys that WebCrypto doesn't read: those of more than 4,096 bits, which a time-stamping authority
 * may have (docs/PROTOCOL.md, "Time-stamp tokens"). Verifying only: public data needs no constant time.
 *
 *     PKCS1    00 01 ff … ff 00 30 31 30 0d 06 09 60 86 48 01 65 03 04 02 01 05 00 04 20 <SHA-256>
 *     PSS      <mask ⊕ 00 … 00 01 <salt, as long as the hash>> <hash> bc
 *
 * RFC 8017, sections 8.2.2 (the whole encoded message is compared, so no padding can hide anything) and 9.1.2.
 *
 * @layer crypto
 */

import { type Bytes, concat, encodeInteger, equalBytes, parseInteger } from "./bytes.ts";
import { encodeDer, encodeOid, TAG } from "./der.ts";
import { digest, HASH_SIZES, type HashName } from "./hash.ts";

/** More bits, or another exponent, would be work without a use. */
const MAX_BITS = 8_192;
const EXPONENT = 65_537n;

/** The public key. */
interface Key {
  readonly modulus: bigint;
  readonly exponent: bigint;
  readonly bits: number;
}

/** Whether the signature over the data is good; the caller has compared its length and its value with the modulus. */
export function verifyWideRsa(
  padding: "PKCS1" | "PSS",
  hash: HashName,
  { modulus, exponent, bits }: Key,
  signature: Bytes,
  data: Bytes,
): boolean {
  if (bits > MAX_BITS || exponent !== EXPONENT) return false;
  const message = power(parseInteger(signature), modulus);
  const hashed = digest(hash, data);
  if (padding === "PKCS1") {
    const expected = encodePkcs1(hash, hashed, Math.ceil(bits / 8));
    return message === parseInteger(expected);
  }
  const length = Math.ceil((bits - 1) / 8);
  if (message >> BigInt(bits - 1) !== 0n) return false;
  return pssHolds(encodeInteger(message, length), bits - 1, hash, hashed);
}

/** `s^65537 mod n`. */
function power(s: bigint, modulus: bigint): bigint {
  let result = s;
  for (let i = 0; i < 16; i++) result = result * result % modulus;
  return result * s % modulus;
}

/** EMSA-PKCS1-v1_5 (section 9.2). */
function encodePkcs1(hash: HashName, hashed: Bytes, length: number): Bytes {
  const oid = encodeOid(`2.16.840.1.101.3.4.2.${Object.keys(HASH_SIZES).indexOf(hash) + 1}`);
  const info = encodeDer(
    TAG.sequence,
    encodeDer(TAG.sequence, oid, encodeDer(TAG.null)),
    encodeDer(TAG.octetString, hashed),
  );
  const filling = new Uint8Array(length - info.length - 3).fill(0xff);
  return concat(Uint8Array.of(0, 1), filling, Uint8Array.of(0), info);
}

/** EMSA-PSS-VERIFY (section 9.1.2); the caller has seen that the spare bits are zero. */
function pssHolds(encoded: Bytes, bits: number, hash: HashName, hashed: Bytes): boolean {
  const size = HASH_SIZES[hash];
  const blockSize = encoded.length - size - 1;
  const seed = encoded.subarray(blockSize, blockSize + size);
  const mask = maskOf(hash, seed, blockSize);
  const block = encoded.subarray(0, blockSize).map((byte, i) => byte ^ (mask[i] ?? 0));
  block[0] = (block[0] ?? 0) & 0xff >> (8 * encoded.length - bits);
  const salt = block.subarray(blockSize - size);
  const filling = block.subarray(0, blockSize - size);
  if (encoded.at(-1) !== 0xbc || !filling.every((byte, i) => byte === (i === filling.length - 1 ? 1 : 0))) return false;
  return equalBytes(digest(hash, new Uint8Array(8), hashed, salt), seed);
}

/** MGF1 (appendix B.2.1). */
function maskOf(hash: HashName, seed: Bytes, size: number): Bytes {
  const rounds = Array.from(
    { length: Math.ceil(size / HASH_SIZES[hash]) },
    (_, counter) => digest(hash, seed, encodeInteger(BigInt(counter), 4)),
  );
  return concat(...rounds).subarray(0, size);
}
