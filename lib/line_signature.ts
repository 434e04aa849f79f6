/**
 * The signatures of a transcript's lines, many at a time (protocol.md sections 6 and 7): nearly all the work that
 * verification is. `ONE_BY_ONE` does it here; `signature_pool.ts` shares it among workers, each of which calls this.
 *
 *     ONE_BY_ONE.check([{ line, modulus }]) → [true]
 */

import { type Bytes, concat } from "./bytes.ts";
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

function keyOf(modulus: bigint): VerifyingKey {
  let key = keys.get(modulus);
  if (!key) {
    if (keys.size >= MAX_KEYS) keys.clear();
    keys.set(modulus, key = new VerifyingKey(modulus));
  }
  return key;
}

/** Whether the line's signature is good. */
export function isSignedBy({ line, modulus }: SignedLine): boolean {
  return keyOf(modulus).verify(line.signature, messageInput(line.seqno, line.ts, line.body));
}

/** In this thread, one after the other. */
export const ONE_BY_ONE = {
  concurrency: 1,
  check: (batch: readonly SignedLine[]): boolean[] => batch.map(isSignedBy),
} as const satisfies SignatureChecker;

/** Lines on their way to another thread: copying one buffer costs a fifth of copying an object for each line. */
export interface PackedLines {
  readonly moduli: readonly bigint[];
  /** For each line: which modulus, how long the signed bytes and the signature are (2 bytes each), and these two. */
  readonly bytes: Bytes;
}

const HEAD_SIZE = 6;

/** The lines' signatures and what they are over. */
export function packLines(batch: readonly SignedLine[]): PackedLines {
  const moduli = [...new Set(batch.map(({ modulus }) => modulus))];
  const bytes = concat(...batch.flatMap(({ line: { seqno, ts, body, signature }, modulus }) => {
    const input = messageInput(seqno, ts, body);
    return [Uint16Array.of(moduli.indexOf(modulus), input.length, signature.length), input, signature].map(bytesOf);
  }));
  return { moduli, bytes };
}

function bytesOf({ buffer, byteOffset, byteLength }: Uint8Array | Uint16Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** For each line, whether its signature is good. */
export function checkPacked({ moduli, bytes }: PackedLines): boolean[] {
  const known = moduli.map(keyOf);
  const verdicts: boolean[] = [];
  for (let at = 0; at < bytes.length;) {
    const [key = 0, length = 0, signatureLength = 0] = new Uint16Array(bytes.slice(at, at += HEAD_SIZE).buffer);
    const [input, signature] = [bytes.subarray(at, at += length), bytes.subarray(at, at += signatureLength)];
    verdicts.push(known[key]?.verify(signature, input) ?? false);
  }
  return verdicts;
}
