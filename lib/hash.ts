/**
 * SHA-256 (FIPS 180-4) and HMAC-SHA-256 (RFC 2104), by the {@link engine} if there is one. Without it, `sha256.ts` hashes
 * short inputs (all inputs of a message are short), and node:crypto hashes long ones and those that come in pieces. All
 * of these are synchronous, unlike WebCrypto. {@link digest} has the other hashes, which time-stamp tokens use.
 *
 * @layer crypto
 */

import { createHash } from "node:crypto";
import type { Bytes } from "./bytes.ts";
import { engine } from "./engine.ts";
import { MAX_SHORT, shortSha256 } from "./sha256.ts";

/** SHA-256 of the parts, one after the other: 32 bytes. */
export function sha256(...parts: readonly Uint8Array[]): Bytes {
  const hashed = engine()?.sha256(parts);
  if (hashed) return hashed;
  let size = 0;
  for (const part of parts) size += part.length;
  if (size <= MAX_SHORT) return shortSha256(parts);
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return new Uint8Array(hash.digest());
}

/** The hashes of certificates and time-stamp tokens, in WebCrypto's spelling. */
export type HashName = "SHA-256" | "SHA-384" | "SHA-512";

/** The lengths of their digests, in bytes. */
export const HASH_SIZES: Readonly<Record<HashName, number>> = { "SHA-256": 32, "SHA-384": 48, "SHA-512": 64 };

/** The digest of the parts, one after the other. */
export function digest(hash: HashName | "SHA-1", ...parts: readonly Uint8Array[]): Bytes {
  const running = createHash(nodeName(hash));
  for (const part of parts) running.update(part);
  return new Uint8Array(running.digest());
}

/** What node:crypto calls it. */
function nodeName(hash: HashName | "SHA-1"): string {
  return hash.replace("-", "").toLowerCase();
}

/** The block size of SHA-256, to which HMAC fills its key. */
const BLOCK_SIZE = 64;

/** HMAC-SHA-256 of the parts, one after the other: 32 bytes. */
export function hmacSha256(key: Uint8Array, ...parts: readonly Uint8Array[]): Bytes {
  const [inner, outer] = [new Uint8Array(BLOCK_SIZE).fill(0x36), new Uint8Array(BLOCK_SIZE).fill(0x5c)];
  (key.length > BLOCK_SIZE ? sha256(key) : key).forEach((byte, i) => {
    inner[i] = 0x36 ^ byte;
    outer[i] = 0x5c ^ byte;
  });
  return sha256(outer, sha256(inner, ...parts));
}

/** The hash of what comes in pieces; the digest so far can be asked for at any time. */
export class RunningHash {
  readonly #hash;

  constructor(hash: HashName = "SHA-256") {
    this.#hash = createHash(nodeName(hash));
  }

  update(bytes: Uint8Array): this {
    this.#hash.update(bytes);
    return this;
  }

  /** The digest of all that came so far. */
  digest(): Bytes {
    return new Uint8Array(this.#hash.copy().digest());
  }
}
