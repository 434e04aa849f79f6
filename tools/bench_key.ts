/**
 * An RSA key for the benchmark that signs in a tenth of the time: its modulus is the product of 79 primes of 26 bits,
 * so that s = m^d mod n is 79 small powers and the Chinese remainder theorem. Anybody can factor it. Whoever verifies
 * sees a 2048-bit modulus with exponent 65537 like any other and has exactly the same work; only so can the load of
 * thousands of signed messages a second, or a transcript of a million, come from the same two cores as the server.
 */

import { type Bytes, concat, encodeInteger, parseInteger } from "../lib/bytes.ts";
import { encodeCount, encodeDer, encodeOid, TAG } from "../lib/der.ts";
import { sha256 } from "../lib/hash.ts";
import { saltLength, type SigningKey } from "../lib/pss.ts";

const BITS = 2048;
const EXPONENT = 65_537;
const PRIMES = 79;
const HASH_SIZE = 32;

/** A prime of the modulus. */
interface Factor {
  readonly prime: number;
  readonly big: bigint;
  /** d mod (p - 1). */
  readonly exponent: number;
  /** 1 modulo this prime, and 0 modulo every other. */
  readonly basis: bigint;
}

/** A key that is good for nothing but load. */
export class BenchKey implements SigningKey {
  readonly modulus: bigint;
  readonly #factors: readonly Factor[];

  constructor() {
    // The primes just below 2^(2048/79) make a product just below 2^2048.
    const primes: number[] = [];
    for (let n = Math.floor(2 ** (BITS / PRIMES)) | 1; primes.length < PRIMES; n -= 2) {
      if (isPrime(n) && (n - 1) % EXPONENT !== 0) primes.push(n);
    }
    const modulus = primes.reduce((product, prime) => product * BigInt(prime), 1n);
    this.modulus = modulus;
    this.#factors = primes.map((prime) => {
      const big = BigInt(prime);
      const others = modulus / big;
      const basis = others * BigInt(inverse(Number(others % big), prime));
      return { prime, big, exponent: inverse(EXPONENT % (prime - 1), prime - 1), basis };
    });
  }

  /** The DER of SubjectPublicKeyInfo. */
  get publicKey(): Bytes {
    const key = encodeDer(TAG.sequence, encodeCount(this.modulus), encodeCount(EXPONENT));
    const algorithm = encodeDer(TAG.sequence, encodeOid("1.2.840.113549.1.1.1"), encodeDer(TAG.null));
    return encodeDer(TAG.sequence, algorithm, encodeDer(TAG.bitString, Uint8Array.of(0), key));
  }

  sign(data: Bytes): Promise<Bytes> {
    return Promise.resolve(this.signNow(data));
  }

  /** The signature, at once. */
  signNow(data: Bytes): Bytes {
    const message = parseInteger(encode(data));
    let signature = 0n;
    for (const { prime, big, exponent, basis } of this.#factors) {
      signature += BigInt(power(Number(message % big), exponent, prime)) * basis;
    }
    return encodeInteger(signature % this.modulus, BITS / 8);
  }
}

/** EMSA-PSS-ENCODE (RFC 8017 section 9.1.1) with the protocol's salt length. */
function encode(data: Bytes): Bytes {
  const salt = crypto.getRandomValues(new Uint8Array(saltLength(BITS)));
  const hash = sha256(new Uint8Array(8), sha256(data), salt);
  const block = concat(Uint8Array.of(1), salt); // 222 octets of salt leave no room for zeros before the 1
  for (let at = 0; at < block.length; at += HASH_SIZE) {
    const mask = sha256(hash, Uint8Array.of(0, 0, 0, at / HASH_SIZE));
    for (let i = 0; i < HASH_SIZE && at + i < block.length; i++) block[at + i] = (block[at + i] ?? 0) ^ (mask[i] ?? 0);
  }
  block[0] = (block[0] ?? 0) & 0x7f;
  return concat(block, hash, Uint8Array.of(0xbc));
}

/** `base^exponent mod prime`. */
function power(base: number, exponent: number, prime: number): number {
  let result = 1;
  for (let square = base, rest = exponent; rest > 0; rest >>>= 1, square = multiply(square, square, prime)) {
    if (rest & 1) result = multiply(result, square, prime);
  }
  return result;
}

/** A product of numbers below 2^26 is exact in a double; `%` of doubles takes ten times as long as this. */
function multiply(a: number, b: number, prime: number): number {
  const product = a * b;
  const rest = product - Math.floor(product / prime) * prime; // the quotient may be one off, either way
  return rest < 0 ? rest + prime : rest >= prime ? rest - prime : rest;
}

/** The number that gives 1 with `value`, modulo `modulus`. */
function inverse(value: number, modulus: number): number {
  let [a, b, x, y] = [modulus, value, 0, 1];
  while (b > 0) {
    const quotient = Math.floor(a / b);
    [a, b, x, y] = [b, a - quotient * b, y, x - quotient * y];
  }
  return ((x % modulus) + modulus) % modulus;
}

function isPrime(n: number): boolean {
  for (let divisor = 3; divisor * divisor <= n; divisor += 2) if (n % divisor === 0) return false;
  return true;
}
