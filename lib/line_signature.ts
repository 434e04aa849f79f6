/**
 * The signatures of a transcript's lines, many at a time (protocol.md sections 6 and 7): nearly all the work that
 * verification is. `ONE_BY_ONE` does it here; `signature_pool.ts` shares it among workers, each of which calls this.
 *
 *     ONE_BY_ONE.check([{ line, modulus }]) → [true]
 */

import { VerifyingKey } from "./pss.ts";
import { messageInput, type TranscriptLine } from "./transcript.ts";

/** A line, and the modulus of the key that it is to be checked with. */
export interface SignedLine {
  readonly line: TranscriptLine;
  readonly modulus: bigint;
}

/** Checks signatures of lines. */
export interface SignatureChecker {
  /** How many batches it can work on at once. */
  readonly concurrency: number;
  /** For each line, whether its signature is good. */
  check(batch: readonly SignedLine[]): Promise<readonly boolean[]> | readonly boolean[];
}

/** A transcript has few signers; beyond this the keys are made anew, which costs next to nothing. */
const MAX_KEYS = 64;

const keys = new Map<bigint, VerifyingKey>();

/** Whether the line's signature is good. */
export function isSignedBy({ line, modulus }: SignedLine): boolean {
  let key = keys.get(modulus);
  if (!key) {
    if (keys.size >= MAX_KEYS) keys.clear();
    keys.set(modulus, key = new VerifyingKey(modulus));
  }
  return key.verify(line.signature, messageInput(line.seqno, line.ts, line.body));
}

/** In this thread, one after the other. */
export const ONE_BY_ONE = {
  concurrency: 1,
  check: (batch: readonly SignedLine[]): boolean[] => batch.map(isSignedBy),
} as const satisfies SignatureChecker;
