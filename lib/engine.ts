/**
 * A second, faster implementation of the operations that a busy server spends its time on: RSASSA-PSS, SHA-256, AES
 * decryption and modular powers. It is used only if the system has one. `pss.ts`, `hash.ts`, `aes_cbc.ts` and `dh.ts`
 * stay the doors: each makes its own checks, and then asks here before it computes by itself.
 *
 *     useEngine(openLibcrypto());      by a program that may touch the system, before anything is computed
 *
 * Who doesn't call it gets everything from the runtime, with the same answers. The one implementation is
 * `libcrypto.ts`.
 *
 * @layer crypto
 */

import type { Bytes } from "./bytes.ts";

/** Whether a signature over the SHA-256 hash of a message is good. */
export type Verify = (signature: Uint8Array, hash: Bytes) => boolean;

/** What another implementation offers. */
export interface Engine {
  /** SHA-256 of the parts, one after the other: 32 bytes. */
  sha256(parts: readonly Uint8Array[]): Bytes;
  /** Verification of RSASSA-PSS (RFC 8017 section 8.1.2) with exponent 65537 and that salt length in bytes. */
  verifier(modulus: bigint, salt: number): Verify;
  /** Signatures over hashes, with a key out of PKCS #8 DER. */
  signer(pkcs8: Bytes, salt: number): (hash: Bytes) => Bytes;
  /** The plaintext of AES-128-CBC with PKCS #7 padding; `undefined` where the padding is wrong. */
  decrypt(key: Uint8Array, iv: Uint8Array, ciphertext: Uint8Array): Bytes | undefined;
  /**
   * `base^exponent mod modulus` for any base, as long as the modulus, in a time that depends on the lengths alone. The
   * bytes of the exponent are wiped: it is kept where nothing else is.
   */
  powers(exponent: Bytes, modulus: Bytes): (base: Bytes) => Bytes;
}

let current: Engine | undefined;

/** What is used from now on; `undefined`: the runtime alone. */
export function useEngine(engine: Engine | undefined): void {
  current = engine;
}

/** What is used now. */
export function engine(): Engine | undefined {
  return current;
}
