/**
 * AES-128-CBC with PKCS #7 padding, on the wire `iv || ciphertext` (docs/PROTOCOL.md, "Primitives"; NIST SP 800-38A;
 * RFC 5652 section 6.3).
 *
 *     K 16 bytes, iv 16 bytes, "hello" → iv || one block of 16 bytes
 *
 * CBC proves nothing about who wrote a ciphertext. So a caller checks a signature first (messages), or gives the same
 * answer for every failure (credentials).
 *
 * @layer crypto
 */

import { createCipheriv, createDecipheriv } from "node:crypto";
import { type Bytes, concat } from "./bytes.ts";
import { engine } from "./engine.ts";

/** The block size, and that of a key and an IV, in bytes. */
export const BLOCK_SIZE = 16;

/** `iv || ciphertext` of the plaintext under a 16-byte key. The IV must be fresh, or derived from something fresh. */
export function encrypt(key: Uint8Array, iv: Uint8Array, plaintext: Uint8Array): Bytes {
  const cipher = createCipheriv("aes-128-cbc", key, iv);
  return concat(iv, cipher.update(plaintext), cipher.final());
}

/** Whether this can be `iv || ciphertext`: an IV and at least one whole block. */
export function hasBodyForm(body: Uint8Array): boolean {
  return body.length >= 2 * BLOCK_SIZE && body.length % BLOCK_SIZE === 0;
}

/** The plaintext of `iv || ciphertext`; `undefined` if the form or the padding is wrong. */
export function decrypt(key: Uint8Array, body: Uint8Array): Bytes | undefined {
  if (!hasBodyForm(body)) return undefined; // node:crypto would take an empty ciphertext
  const [iv, ciphertext] = [body.subarray(0, BLOCK_SIZE), body.subarray(BLOCK_SIZE)];
  const native = engine();
  if (native) return native.decrypt(key, iv, ciphertext);
  const decipher = createDecipheriv("aes-128-cbc", key, iv);
  try {
    return concat(decipher.update(ciphertext), decipher.final());
  } catch {
    return undefined;
  }
}
