/**
 * The line of a room: a transcript line whose ciphertext is three hashes (docs/PROTOCOL.md, "A line").
 *
 *     ct = R || C || H     R = SHA-256("securechat/2 line" || 0x00 || origin)   which log
 *                          C = SHA-256(envelope)                               which words, which room, what was seen
 *                          H = SHA-256(iv || ciphertext)                       which bytes carry them
 *
 *     origin = <server name>/<room>/<32 hex digits>     chat.example/#ops/8f14e45fceea167a5a36dedd4bea2543
 *
 * The body, `iv || ciphertext` of the envelope under the room's key, is sent beside the line and isn't part of it. So a
 * line alone shows no words, and stays valid after its body is erased. `transcript.ts` defines how a line is written and
 * what is signed.
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

/** The parts of an origin. */
export interface Origin {
  /** One of the dNSNames of the server's certificate. */
  readonly server: string;
  readonly room: string;
  /** 32 hex digits, made with the log. */
  readonly id: string;
}

/** The parts of an origin; `undefined` if it is malformed. */
export function parseOrigin(text: string): Origin | undefined {
  const [server = "", room = "", id = "", ...more] = text.split("/");
  const isOrigin = more.length === 0 && isRoomName(room) && /^[0-9a-f]{32}$/.test(id) &&
    /^[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/.test(server);
  return isOrigin ? { server, room, id } : undefined;
}

/** An origin as text. */
export function encodeOrigin({ server, room, id }: Origin): string {
  return `${server}/${room}/${id}`;
}

const LABEL = encodeUtf8("securechat/2 line\0");

/** R: which log. */
export function logHash(origin: string): Bytes {
  return sha256(LABEL, encodeUtf8(origin)).slice(); // a copy, since it is kept for long
}

/** What the signature of a line covers. */
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

/** Who signs a line, when (unix ms), and the author's sequence number in this log. */
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

/** The room's line in a text without LF; `undefined` if the text is malformed. */
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
