/**
 * Ephemeral Diffie-Hellman over two fixed groups (docs/PROTOCOL.md, "Primitives", "Credentials" and "The session's
 * key") and the key derived from it: `K = SHA-256(Ks)[0..16]`, where Ks is the shared secret as 256 bytes, big-endian,
 * left-padded, for both groups.
 *
 * The primes are constants of ours, since a runtime's named groups have been wrong. Every received value is checked
 * here, since `computeSecret` accepts anything. The private value is 256 random bits with the highest bit set. The
 * public value is `computeSecret` of the number 2, so that no secret is ever held in a BigInt. If there is an
 * {@link engine}, it computes the powers.
 *
 * @layer crypto
 */

import { Buffer } from "node:buffer";
import { createDiffieHellman } from "node:crypto";
import { type Bytes, encodeInteger, parseInteger, type Random } from "./bytes.ts";
import { engine } from "./engine.ts";
import { sha256 } from "./hash.ts";

/** A prime-order subgroup's parameters. */
export interface Group {
  readonly name: string;
  readonly prime: bigint;
  readonly generator: bigint;
}

const OAKLEY = "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a08798e3404dd" +
  "ef9519b3cd3a431b302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7ed" +
  "ee386bfb5a899fa5ae9f24117c4b1fe649286651ec";

/** The 1024-bit MODP group (RFC 2409 section 6.2, "Second Oakley Group"): credentials of version 1. */
export const GROUP_2: Group = {
  name: "MODP 1024",
  prime: BigInt(`0x${OAKLEY}e65381ffffffffffffffff`),
  generator: 2n,
};

/** The 2048-bit MODP group (RFC 3526 section 3, group 14): everything else. */
export const GROUP_14: Group = {
  name: "MODP 2048",
  prime: BigInt(
    `0x${OAKLEY}e45b3dc2007cb8a163bf0598da48361c55d39a69163fa8fd24cf5f83655d23dca3ad961c62f356208552bb` +
      "9ed529077096966d670c354e4abc9804f1746c08ca18217c32905e462e36ce3be39e772c180e86039b2783a2ec07a28f" +
      "b5c55df06f4c52c9de2bcbf6955817183995497cea956ae515d2261898fa051015728e5a8aacaa68ffffffffffffffff",
  ),
  generator: 2n,
};

/** Ks has this many bytes, whatever the group. */
const SECRET_SIZE = 256;
/** 256 bits: twice the strength that either group can give. */
const PRIVATE_SIZE = 32;

/** One side's fresh key. */
export class DhKey {
  /** `g^x mod p`. */
  readonly public: bigint;
  /** Raises a public value to the power of the private one. */
  readonly #power: (value: Buffer<ArrayBuffer>) => Uint8Array;

  constructor(readonly group: Group, random: Random) {
    const secret = random(PRIVATE_SIZE);
    secret[0] = (secret[0] ?? 0) | 0x80;
    this.#power = powersOf(secret, group);
    this.public = parseInteger(this.#power(toBuffer(group.generator, group)));
  }

  /**
   * The 16-byte AES key that this key and the other side's public value give; `undefined` if the value is not from 2 to
   * p - 2, or the secret is degenerate.
   */
  agree(other: bigint): Bytes | undefined {
    const { prime } = this.group;
    if (other < 2n || other > prime - 2n) return undefined;
    const secret = parseInteger(this.#power(toBuffer(other, this.group)));
    if (secret <= 1n || secret === prime - 1n) return undefined;
    return sha256(encodeInteger(secret, SECRET_SIZE)).slice(0, 16);
  }
}

function powersOf(secret: Bytes, group: Group): (value: Buffer<ArrayBuffer>) => Uint8Array {
  const prime = toBuffer(group.prime, group);
  const native = engine();
  if (native) return native.powers(secret, prime);
  const exchange = createDiffieHellman(prime, Number(group.generator));
  exchange.setPrivateKey(Buffer.from(secret));
  secret.fill(0);
  return (value) => exchange.computeSecret(value);
}

function toBuffer(value: bigint, group: Group): Buffer<ArrayBuffer> {
  return Buffer.from(encodeInteger(value, group === GROUP_2 ? 128 : 256));
}
