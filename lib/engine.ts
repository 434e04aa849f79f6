/**
 * A second, faster implementation of the operations that a busy server spends its time on: RSASSA-PSS, SHA-256, AES
 * decryption and modular powers. It is used only if the system has one. Callers still go through `pss.ts`, `hash.ts`,
 * `aes_cbc.ts` and `dh.ts`: each of these makes its own checks, then uses the engine if there is one.
 *
 *     useEngine(openLibcrypto());      by a program that may touch the system, before anything is computed
 *
 * Without that call everything is computed by the runtime, with the same results. The one implementation is
 * `libcrypto.ts`.
 *
 * @layer crypto
 */

import type { Bytes } from "./bytes.ts";

/** Whether a signature over the SHA-256 hash of a message is good. */
export type Verify = (signature: Uint8Array, hash: Bytes) => boolean;

/** The operations of such an implementation. */
export interface Engine {
  /** SHA-256 of the parts, one after the other: 32 bytes. */
  sha256(parts: readonly Uint8Array[]): Bytes;
  /** Verification of RSASSA-PSS (RFC 8017 section 8.1.2) with exponent 65537 and that salt length in bytes. */
  verifier(modulus: bigint, salt: number): Verify;
  /** Signatures over hashes, with a key in PKCS #8 DER. */
  signer(pkcs8: Bytes, salt: number): (hash: Bytes) => Bytes;
  /** The plaintext of AES-128-CBC with PKCS #7 padding; `undefined` if the padding is wrong. */
  decrypt(key: Uint8Array, iv: Uint8Array, ciphertext: Uint8Array): Bytes | undefined;
  /**
   * `base^exponent mod modulus` for any base that is as long as the modulus, in a time that depends only on the lengths.
   * The given bytes of the exponent are wiped: the engine keeps the only copy.
   */
  powers(exponent: Bytes, modulus: Bytes): (base: Bytes) => Bytes;
}

let current: Engine | undefined;

/** Sets what is used from now on; `undefined`: only the runtime. */
export function useEngine(engine: Engine | undefined): void {
  current = engine;
}

/** The engine that is used now. */
export function engine(): Engine | undefined {
  return current;
}
