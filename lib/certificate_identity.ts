/**
 * Who a side is: a certificate, and what signs with its key.
 *
 * @layer format
 */

import type { SigningKey } from "./pss.ts";
import type { Certificate } from "./x509.ts";

/** A certificate with its intermediates, and its key. */
export interface Identity {
  readonly chain: readonly Certificate[];
  /** The chain as it goes over the wire. */
  readonly pem: string;
  readonly key: SigningKey;
}

/** The fingerprint of an identity's certificate; empty for an identity without one. */
export function fingerprintOf({ chain: [leaf] }: Pick<Identity, "chain">): string {
  return leaf?.fingerprint ?? "";
}
