/**
 * ML-DSA-44 (FIPS 204): signatures of witnesses that a quantum computer doesn't forge. The compiled runtime has none,
 * so this is the door to a library. It is loaded only where a key of this kind is named: `log_note_key.ts` does.
 *
 * @layer crypto
 */

import { ml_dsa44 } from "@noble/post-quantum/ml-dsa.js";

/** Whether the signature over `data` is good; the context is empty. */
export function verifyMlDsa44(publicKey: Uint8Array, signature: Uint8Array, data: Uint8Array): boolean {
  try {
    return ml_dsa44.verify(signature, data, publicKey);
  } catch {
    return false; // a length that none has
  }
}
