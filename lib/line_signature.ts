/**
 * Checks the signatures of a transcript's lines, many at a time (docs/PROTOCOL.md, "Messages" and "Transcript"), which is
 * nearly all the work of a verification. `ONE_BY_ONE` does it in this thread; `line_signature_pool.ts` shares it among
 * workers, which call this module.
 *
 *     ONE_BY_ONE.check([{ line, modulus }]) → [true]
 *
 * @layer protocol
 */

import { type Bytes, concat } from "./bytes.ts";
import { VerifyingKey } from "./pss.ts";
import { messageInput, type TranscriptLine } from "./transcript.ts";

/** A line, and the modulus of the key with which it is checked. */
export interface SignedLine {
  readonly line: TranscriptLine;
  readonly modulus: bigint;
}

/** Checks signatures of lines. */
export interface SignatureChecker {
  /** How many batches it can check at once. */
  readonly concurrency: number;
  /** For each line, whether its signature is good. */
  check(batch: readonly SignedLine[]): Promise<readonly boolean[]> | readonly boolean[];
}

/** A transcript has few signers. Beyond this number keys are made again, which costs next to nothing. */
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

/** Lines for another thread: copying one buffer takes a fifth of the time of copying an object for each line. */
export interface PackedLines {
  readonly moduli: readonly bigint[];
  readonly count: number;
  /** For each line: which modulus, how long the signed bytes and the signature are (4 bytes each), and these two. */
  readonly bytes: Bytes;
}

const HEAD_SIZE = 12;
const NO_SIGNATURE = new Uint8Array();

/**
 * The lines' signatures and the bytes that they cover. A signature that isn't as long as its modulus is left out: it is
 * bad in any case, and must not shift the bytes of other lines.
 */
export function packLines(batch: readonly SignedLine[]): PackedLines {
  const places = new Map<bigint, number>();
  const bytes = concat(...batch.flatMap(({ line: { seqno, ts, body, signature: given }, modulus }) => {
    const place = places.get(modulus) ?? places.size;
    places.set(modulus, place);
    const input = messageInput(seqno, ts, body);
    const signature = given.length === keyOf(modulus).signatureLength ? given : NO_SIGNATURE;
    const head = Uint32Array.of(place, input.length, signature.length);
    return [new Uint8Array(head.buffer), input, signature];
  }));
  return { moduli: [...places.keys()], count: batch.length, bytes };
}

/** For each line, whether its signature is good; an empty list if the bytes aren't exactly so many lines. */
export function checkPacked({ moduli, count, bytes }: PackedLines): boolean[] {
  const known = moduli.map(keyOf);
  const verdicts: boolean[] = [];
  let at = 0;
  while (at < bytes.length) {
    const [key = 0, length = 0, signatureLength = 0] = new Uint32Array(bytes.slice(at, at += HEAD_SIZE).buffer);
    const [input, signature] = [bytes.subarray(at, at += length), bytes.subarray(at, at += signatureLength)];
    verdicts.push(known[key]?.verify(signature, input) ?? false);
  }
  return at === bytes.length && verdicts.length === count ? verdicts : [];
}
