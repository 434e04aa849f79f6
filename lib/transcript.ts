/**
 * The transcript: one line a message, in the order in which the messages were accepted (docs/PROTOCOL.md,
 * "Transcript").
 *
 *     seqno|ts|base64(iv || ciphertext)|base64(signature)|fingerprint
 *     0|1700055622123|AeF1d2k/JJ8…=|Kp3v…==|9f86d081884c7d65…
 *
 * Numbers are decimal without leading zeros, up to 2^53 - 1. The fingerprint (64 lower-case hex digits) names the
 * certificate that verifies the signature. A file has an LF after every line; the hash is over the lines joined with LF,
 * without one at the end. `parseLine` accepts exactly what `encodeLine` writes. This module checks no signatures.
 *
 * @layer format
 */

import { hasBodyForm } from "./aes_cbc.ts";
import { type Bytes, encodeBase64, encodeHex, encodeUtf8, freshBytes, parseBase64, writeUint64 } from "./bytes.ts";
import { RunningHash } from "./hash.ts";

/** One accepted message. */
export interface TranscriptLine {
  readonly seqno: number;
  /** The signer's own claim of the time: unix milliseconds. */
  readonly ts: number;
  /** `iv || ciphertext`: 32 bytes or more, a multiple of 16. */
  readonly body: Bytes;
  readonly signature: Bytes;
  /** The fingerprint of the signer's certificate. */
  readonly signer: string;
}

/** A line as text, without LF. */
export function encodeLine(line: TranscriptLine): string {
  return `${line.seqno}|${line.ts}|${encodeBase64(line.body)}|${encodeBase64(line.signature)}|${line.signer}`;
}

/** 64 KiB: a line of the longest message has 22,200 bytes, and a verifier never keeps more than this of a line. */
export const MAX_LINE_BYTES = 65_536;

const LINE = /^(0|[1-9][0-9]{0,15})\|(0|[1-9][0-9]{0,15})\|([A-Za-z0-9+/=]+)\|([A-Za-z0-9+/=]+)\|([0-9a-f]{64})$/;

/** The line that stands in a text without LF; `undefined` if it has another form. */
export function parseLine(text: string): TranscriptLine | undefined {
  const match = text.length < MAX_LINE_BYTES ? LINE.exec(text) : undefined;
  if (!match || text.length !== match[0].length) return undefined;
  const [seqno, ts] = [Number(match[1]), Number(match[2])];
  if (!Number.isSafeInteger(seqno) || !Number.isSafeInteger(ts)) return undefined;
  const body = parseBase64(match[3] ?? "");
  const signature = parseBase64(match[4] ?? "");
  if (!body || !hasBodyForm(body) || !signature) return undefined;
  return { seqno, ts, body, signature, signer: match[5] ?? "" };
}

/**
 * What is wrong with a malformed line (given as one character a byte), and what to do if a tool changed it.
 */
export function lineProblem(text: string, form: string): string {
  const anew = "get the file again, or convert it back";
  if (/^(?:\xff\xfe|\xfe\xff)|^\0|^.\0/.test(text)) return `is in UTF-16, as some editors write it: ${anew} into ASCII`;
  if (text.startsWith("\xef\xbb\xbf")) {
    return `begins with a byte order mark, which an editor put there: ${anew} without it`;
  }
  if (text.endsWith("\r")) return `ends with CR LF, to which a tool has converted its line ends: ${anew} to LF`;
  if (text === "") return "is empty";
  return `is not ${form}`;
}

/**
 * The bytes that the signature of a message or a line covers: seqno and ts as 8 bytes big-endian, then the body
 * (docs/PROTOCOL.md, "Messages").
 */
export function messageInput(seqno: number, ts: number, body: Uint8Array): Bytes {
  const input = freshBytes(16 + body.length);
  writeUint64(input, 0, seqno);
  writeUint64(input, 8, ts);
  input.set(body, 16);
  return input;
}

const LF = encodeUtf8("\n");

/**
 * How far two clocks may differ, in milliseconds. The time of an accepted message is at most so far from the server's
 * clock; in a room a line is at most so far ahead of it.
 */
export const MAX_CLOCK_DIFFERENCE = 300_000;

/** What a receipt says about a transcript, computed line by line in constant memory. */
export class TranscriptSummary {
  count = 0;
  first: number | null = null;
  last: number | null = null;
  /** The latest of the lines' own times, unix milliseconds. */
  latest = 0;
  readonly #hash = new RunningHash();

  /** Adds the next line: its text without LF (bytes or a string), its seqno and its time. */
  add(text: string | Uint8Array, seqno: number, ts: number): void {
    if (this.count > 0) this.#hash.update(LF);
    this.#hash.update(typeof text === "string" ? encodeUtf8(text) : text);
    this.count += 1;
    this.first ??= seqno;
    this.last = seqno;
    this.latest = Math.max(this.latest, ts);
  }

  /** The transcript hash so far: 32 bytes. */
  digest(): Bytes {
    return this.#hash.digest();
  }

  /** The transcript hash so far, in hex. */
  hash(): string {
    return encodeHex(this.digest());
  }
}
