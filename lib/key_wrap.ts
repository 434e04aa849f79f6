/**
 * Wrapping keys for storage: AES-256-GCM (NIST SP 800-38D) under a key that lies elsewhere, so that a database, or a
 * copy of it, gives away none of the keys in it (docs/PROTOCOL.md, "Keys").
 *
 *     wrapped = nonce (12 bytes, random) || ciphertext || tag (16 bytes)        44 bytes for a key of 16
 *
 * The context, such as `chat.example/#ops/8f14… epoch 3`, goes in as additional data and is not stored: what was
 * wrapped for one room and epoch doesn't unwrap in another's place. Nonces are random: that is good for 2^32 keys.
 *
 * @layer crypto
 */

import { createCipheriv, createDecipheriv } from "node:crypto";
import { type Bytes, concat, encodeUtf8, type Random } from "./bytes.ts";

/** The size of the key under which others are wrapped. */
export const WRAPPING_KEY_SIZE = 32;

const CIPHER = "aes-256-gcm";
const NONCE_SIZE = 12;
const TAG_SIZE = 16;

/** Wraps keys under one key. */
export class AesKeyWrap {
  readonly #key: Bytes;
  readonly #random: Random;

  /** RangeError for a key of another size than {@link WRAPPING_KEY_SIZE}. */
  constructor(key: Bytes, random: Random) {
    if (key.length !== WRAPPING_KEY_SIZE) throw new RangeError(`a wrapping key has ${WRAPPING_KEY_SIZE} bytes`);
    this.#key = key;
    this.#random = random;
  }

  /** The key as it may be stored. */
  wrap(key: Bytes, context: string): Bytes {
    const nonce = this.#random(NONCE_SIZE);
    const cipher = createCipheriv(CIPHER, this.#key, nonce, { authTagLength: TAG_SIZE });
    cipher.setAAD(encodeUtf8(context));
    const ciphertext = concat(cipher.update(key), cipher.final());
    return concat(nonce, ciphertext, cipher.getAuthTag());
  }

  /** The key; `undefined` if it was wrapped under another key or for another context, or was changed. */
  unwrap(wrapped: Bytes, context: string): Bytes | undefined {
    if (wrapped.length < NONCE_SIZE + TAG_SIZE) return undefined;
    const nonce = wrapped.subarray(0, NONCE_SIZE);
    const decipher = createDecipheriv(CIPHER, this.#key, nonce, { authTagLength: TAG_SIZE });
    decipher.setAAD(encodeUtf8(context));
    decipher.setAuthTag(wrapped.subarray(-TAG_SIZE));
    const key = decipher.update(wrapped.subarray(NONCE_SIZE, -TAG_SIZE));
    try {
      return concat(key, decipher.final());
    } catch {
      return undefined;
    }
  }
}
