/**
 * RSASSA-PSS (RFC 8017 section 8.1) with SHA-256, MGF1-SHA-256 and a salt of the maximum length, emLen - 34 octets
 * (docs/PROTOCOL.md, "Primitives"): 222 for a 2048-bit key. No other salt length verifies.
 *
 * WebCrypto signs. Verifying is our own code: public data needs no constant time, and WebCrypto takes three times as
 * long and accepts `s + n` as a second form of the signature `s`. The steps are a comparison of the representative with
 * n, `s^65537 mod n` in BigInt (17 multiplications), then EMSA-PSS-VERIFY (section 9.1.2). If there is an
 * {@link engine}, it signs, and it verifies what has passed the comparison.
 *
 * @layer crypto
 */

import { type Bytes, encodeInteger, parseInteger } from "./bytes.ts";
import { engine, type Verify } from "./engine.ts";
import { sha256 } from "./hash.ts";

const HASH_SIZE = 32;
/** Keys outside have no use (docs/PROTOCOL.md, "Primitives"), and the smallest have no room for a hash and a salt. */
const [MIN_BITS, MAX_BITS] = [512, 4096];

/** Whoever signs with a certificate's key: a key in memory here, a device elsewhere. */
export interface SigningKey {
  /** The signature over `data`, as many bytes as the modulus has. */
  sign(data: Bytes): Promise<Bytes>;
}

/** A signing key out of PKCS #8 DER. Throws if it is no RSA key. */
export async function importSigningKey(pkcs8: Bytes): Promise<SigningKey> {
  const key = await crypto.subtle.importKey("pkcs8", pkcs8, { name: "RSA-PSS", hash: "SHA-256" }, false, ["sign"]);
  const { modulusLength } = key.algorithm as RsaHashedKeyAlgorithm;
  const scheme = { name: "RSA-PSS", saltLength: saltLength(modulusLength) };
  const signHash = engine()?.signer(pkcs8, scheme.saltLength);
  if (signHash) return { sign: (data) => Promise.resolve(signHash(sha256(data))) };
  return { sign: async (data) => new Uint8Array(await crypto.subtle.sign(scheme, key, data)) };
}

/** The salt's length in bytes for a modulus of that many bits. */
export function saltLength(modulusBits: number): number {
  return encodedLength(modulusBits) - HASH_SIZE - 2;
}

/** emLen: the encoded message has one bit less than the modulus. */
function encodedLength(modulusBits: number): number {
  return Math.ceil((modulusBits - 1) / 8);
}

/**
 * An RSA public key with exponent 65537. It may be out of a certificate that nobody has judged, with any number in the
 * modulus's place: a number of less than 512 bits or more than 4096, or an even one, which libcrypto can't compute
 * with, verifies nothing.
 */
export class VerifyingKey {
  readonly #modulus: bigint;
  /** The same, in as many bytes as a signature has. */
  readonly #bytes: Bytes;
  readonly #bits: number;
  readonly #salt: number;
  readonly #engine: Verify | undefined;

  /** `salt` in bytes; only published test vectors need another than the maximum. */
  constructor(modulus: bigint, salt?: number) {
    this.#modulus = modulus;
    this.#bits = modulus.toString(2).length;
    this.#bytes = encodeInteger(modulus, Math.ceil(this.#bits / 8));
    this.#salt = salt ?? saltLength(this.#bits);
    this.#engine = engine()?.verifier(modulus, this.#salt);
  }

  /** The length that a signature must have, in bytes. */
  get signatureLength(): number {
    return this.#bytes.length;
  }

  /** Whether the signature over `data` is good. */
  verify(signature: Uint8Array, data: Uint8Array): boolean {
    if (this.#bits < MIN_BITS || this.#bits > MAX_BITS || this.#modulus % 2n === 0n) return false;
    if (signature.length !== this.signatureLength || !isBelow(signature, this.#bytes)) return false;
    if (this.#engine) return this.#engine(signature, sha256(data));
    const message = this.#power(parseInteger(signature));
    const length = encodedLength(this.#bits);
    if (message >> BigInt(8 * length) !== 0n) return false;
    return this.#encodingHolds(encodeInteger(message, length), sha256(data));
  }

  /** `s^65537 mod n`. */
  #power(s: bigint): bigint {
    let power = s;
    for (let i = 0; i < 16; i++) power = power * power % this.#modulus;
    return power * s % this.#modulus;
  }

  /** EMSA-PSS-VERIFY, steps 3 to 14. */
  #encodingHolds(encoded: Bytes, messageHash: Bytes): boolean {
    const blockSize = encoded.length - HASH_SIZE - 1;
    const saltStart = blockSize - this.#salt;
    if (saltStart < 1 || encoded.at(-1) !== 0xbc) return false;
    const block = encoded.subarray(0, blockSize);
    const hash = encoded.subarray(blockSize, blockSize + HASH_SIZE);
    const spareBits = 8 * encoded.length - (this.#bits - 1);
    const topMask = 0xff >> spareBits;
    if (((block[0] ?? 0) & ~topMask) !== 0) return false;
    unmask(block, hash);
    block[0] = (block[0] ?? 0) & topMask;
    for (let i = 0; i < saltStart - 1; i++) if (block[i] !== 0) return false;
    if (block[saltStart - 1] !== 1) return false;
    const expected = sha256(ZEROS, messageHash, block.subarray(saltStart));
    return expected.every((byte, i) => byte === hash[i]);
  }
}

/** Whether a big-endian integer is less than another of as many bytes. */
function isBelow(value: Uint8Array, bound: Uint8Array): boolean {
  const at = value.findIndex((byte, i) => byte !== bound[i]);
  return at >= 0 && (value[at] ?? 0) < (bound[at] ?? 0);
}

const ZEROS = new Uint8Array(8);

/** XORs MGF1-SHA-256 of the seed (RFC 8017 appendix B.2.1) into the block. */
function unmask(block: Uint8Array, seed: Uint8Array): void {
  const input = new Uint8Array(seed.length + 4);
  input.set(seed);
  for (let at = 0, counter = 0; at < block.length; at += HASH_SIZE, counter++) {
    input[seed.length + 3] = counter; // a block of 512 bytes takes 16 rounds: one octet counts them all
    const mask = sha256(input);
    for (let i = 0; i < HASH_SIZE && at + i < block.length; i++) block[at + i] = (block[at + i] ?? 0) ^ (mask[i] ?? 0);
  }
}
