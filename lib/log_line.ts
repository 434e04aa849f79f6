/**
 * The line of a room: a transcript line whose ciphertext is three hashes (docs/PROTOCOL.md, "A line").
 *
 *     ct = R || C || H     R = SHA-256("securechat/2 line" || 0x00 || origin)   which log
 *                          C = SHA-256(envelope)                               which words, which room, what was seen
 *                          H = SHA-256(iv || ciphertext)                       which bytes carry them
 *
 *     origin = <server name>/<room>/<32 hex digits>     chat.example/#ops/8f14e45fceea167a5a36dedd4bea2543
 *
 * The body, `iv || ciphertext` of the envelope under the room's key, travels beside the line and is no part of it: the
 * line says nothing to who has it alone, and it holds after the body is erased. How a line is written and signed is
 * the matter of `transcript.ts`.
 *
 * @layer format
 */

import { type Bytes, concat, encodeUtf8, equalBytes } from "./bytes.ts";
import { sha256 } from "./hash.ts";
import { isRoomName } from "./names.ts";
import type { SigningKey } from "./pss.ts";
import { messageInput, parseLine, type TranscriptLine } from "./transcript.ts";

/** R, C and H, 32 bytes each. */
export const ROOM_LINE_SIZE = 96;

/** What an origin says. */
export interface Origin {
  /** One of the dNSNames of the server's certificate. */
  readonly server: string;
  readonly room: string;
  /** 32 hex digits, made with the log. */
  readonly id: string;
}

/** The parts of a log's name; `undefined` for what is none. */
export function parseOrigin(text: string): Origin | undefined {
  const [server = "", room = "", id = "", ...more] = text.split("/");
  const isOrigin = more.length === 0 && isRoomName(room) && /^[0-9a-f]{32}$/.test(id) &&
    /^[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/.test(server);
  return isOrigin ? { server, room, id } : undefined;
}

/** A log's name. */
export function encodeOrigin({ server, room, id }: Origin): string {
  return `${server}/${room}/${id}`;
}

const LABEL = encodeUtf8("securechat/2 line\0");

/** R: which log. */
export function logHash(origin: string): Bytes {
  return sha256(LABEL, encodeUtf8(origin)).slice(); // kept for long
}

/** What a line vouches for. */
export interface LineContents {
  /** R. */
  readonly log: Uint8Array;
  readonly envelope: Uint8Array;
  /** `iv || ciphertext`. */
  readonly body: Uint8Array;
}

/** R || C || H. */
export function lineHashes({ log, envelope, body }: LineContents): Bytes {
  return concat(log, sha256(envelope), sha256(body));
}

/** Who says it, when (unix ms), and as the author's how manieth line of this log. */
export interface LineAuthor {
  readonly key: SigningKey;
  readonly fingerprint: string;
  readonly seqno: number;
  readonly ts: number;
}

/** A signed line. */
export async function signRoomLine(contents: LineContents, author: LineAuthor): Promise<TranscriptLine> {
  const { key, fingerprint: signer, seqno, ts } = author;
  const body = lineHashes(contents);
  return { seqno, ts, body, signature: await key.sign(messageInput(seqno, ts, body)), signer };
}

/** The room's line that stands in a text without LF; `undefined` where it has another form. */
export function parseRoomLine(text: string): TranscriptLine | undefined {
  const line = parseLine(text);
  return line?.body.length === ROOM_LINE_SIZE ? line : undefined;
}

/** Whether the hashes name this log, by its R. */
export function isOfLog(hashes: Uint8Array, log: Uint8Array): boolean {
  return equalBytes(hashes.subarray(0, 32), log);
}

/** Whether these are the words: the envelope hashes to C. */
export function isOpenedBy(hashes: Uint8Array, envelope: Uint8Array): boolean {
  return equalBytes(hashes.subarray(32, 64), sha256(envelope));
}

/** Whether these are the bytes that carry them: `iv || ciphertext` hashes to H. */
export function isCarriedBy(hashes: Uint8Array, body: Uint8Array): boolean {
  return equalBytes(hashes.subarray(64, 96), sha256(body));
}
