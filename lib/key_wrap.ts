/**
 * Keys at rest: AES-256-GCM (NIST SP 800-38D) under a key of this server's, so that a stolen database opens no room.
 *
 *     nonce (12 bytes) || ciphertext || tag (16 bytes)
 *
 * The context, such as a log and an epoch, is authenticated beside the key: a wrapped key serves in no other place.
 * Nonces are random; a server wraps a key for each epoch of a room, far from the 2^32 that GCM bears.
 */

import { createCipheriv, createDecipheriv } from "node:crypto";
import { type Bytes, concat, encodeUtf8, type Random } from "./bytes.ts";

/** The size of the wrapping key, in bytes. */
export const WRAPPING_KEY_SIZE = 32;
const NONCE_SIZE = 12;
const TAG_SIZE = 16;

/** Wraps keys with one key. */
export class AesKeyWrap {
  readonly #key: Bytes;
  readonly #random: Random;

  /** RangeError where the key has another size. */
  constructor(key: Bytes, random: Random) {
    if (key.length !== WRAPPING_KEY_SIZE) throw new RangeError(`a wrapping key has ${WRAPPING_KEY_SIZE} bytes`);
    this.#key = key;
    this.#random = random;
  }

  /** The key, wrapped for a context. */
  wrap(key: Bytes, context: string): Bytes {
    const nonce = this.#random(NONCE_SIZE);
    const cipher = createCipheriv("aes-256-gcm", this.#key, nonce);
    cipher.setAAD(encodeUtf8(context));
    return concat(nonce, cipher.update(key), cipher.final(), cipher.getAuthTag());
  }

  /** The key; `undefined` where it was wrapped by another key, for another context, or has been changed. */
  unwrap(wrapped: Bytes, context: string): Bytes | undefined {
    if (wrapped.length <= NONCE_SIZE + TAG_SIZE) return undefined;
    const decipher = createDecipheriv("aes-256-gcm", this.#key, wrapped.subarray(0, NONCE_SIZE));
    decipher.setAAD(encodeUtf8(context));
    decipher.setAuthTag(wrapped.subarray(-TAG_SIZE));
    try {
      return concat(decipher.update(wrapped.subarray(NONCE_SIZE, -TAG_SIZE)), decipher.final());
    } catch {
      return undefined;
    }
  }
}
