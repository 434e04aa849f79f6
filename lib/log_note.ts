/**
 * Notes: texts with signature lines (C2SP signed-note), and the text of a log's head (C2SP tlog-checkpoint). The
 * server's log speaks in notes, and its witnesses add their lines to them (docs/PROTOCOL.md, "Notes").
 *
 *     chat.example/log/8f14e45fceea167a5a36dedd4bea2543                     the origin
 *     2                                                                     the size
 *     vUHNHSSEWdCdrS4Q3ri1Dn/nAQ7aowp3n7fgLRTA03o=                          the root
 *
 *     — chat.example/log/8f14e45fceea167a5a36dedd4bea2543 0Eu0++2AEDHwytlL43F4/xQkXBQ1J2zkIRjIQ79Mk…
 *     — witness.example/w1 /qOxhwAAAABlVMpO5TeyfRVykWX67o3wUtqe7AKZma5lwQKJ+W5lBCoZ0ln/JaRiqkTQcVChM…
 *
 * A signature line is `— name base64(key ID || signature)`; the text ends before the last empty line. What is read is
 * read strictly: what {@link parseNote} takes, {@link encodeNote} writes again, byte for byte. Who signed is the
 * question of `log_note_key.ts`.
 *
 * @layer format
 */

import { concat, encodeBase64, encodeHex, encodeUtf8, parseBase64, parseHex, parseUtf8 } from "./bytes.ts";
import type { Bytes } from "./bytes.ts";
import type { LogHead } from "./log_charter.ts";

/** The longest note that the server's log makes. */
export const MAX_NOTE_BYTES = 49_152;
/** More signature lines are read of no note. */
export const MAX_SIGNATURES = 100;
/** How many cosignatures a note of ours has at most: every reader takes 16 lines, and one is the log's own. */
export const MAX_COSIGNATURES = 15;

/** A signature line. */
export interface NoteSignature {
  /** The signer's key name. */
  readonly name: string;
  /** The key ID: 8 hex digits. */
  readonly id: string;
  /** What stands behind the key ID: 1 byte at least. */
  readonly bytes: Bytes;
}

/** A note, whoever signed it. */
export interface Note {
  /** Ends with LF. */
  readonly text: string;
  /** One at least, {@link MAX_SIGNATURES} at most. */
  readonly signatures: readonly NoteSignature[];
}

/** Whether this may be the name of a key. */
export function isKeyName(name: string): boolean {
  // deno-lint-ignore no-control-regex
  return /^[^\p{White_Space}+\u0000-\u001f]+$/u.test(name) && name.isWellFormed();
}

/** The note that the bytes are; `undefined` if they are none. */
export function parseNote(bytes: Uint8Array, maxBytes = MAX_NOTE_BYTES): Note | undefined {
  const whole = bytes.length > maxBytes ? undefined : parseUtf8(bytes);
  // deno-lint-ignore no-control-regex
  if (whole === undefined || /[\u0000-\u0009\u000b-\u001f]/.test(whole)) return undefined;
  const split = whole.lastIndexOf("\n\n");
  if (split < 0) return undefined;
  const signatures = parseSignatureLines(whole.slice(split + 2));
  return signatures && { text: whole.slice(0, split + 1), signatures };
}

/** The signatures of lines that each end with LF: a note's, or a witness's answer. `undefined` if these are none. */
export function parseSignatureLines(text: string): readonly NoteSignature[] | undefined {
  const lines = text.split("\n", MAX_SIGNATURES + 2);
  if (lines.pop() !== "" || lines.length === 0 || lines.length > MAX_SIGNATURES) return undefined;
  const signatures = lines.flatMap((line) => parseSignatureLine(line) ?? []);
  return signatures.length === lines.length ? signatures : undefined;
}

function parseSignatureLine(line: string): NoteSignature | undefined {
  const [, name = "", base64 = ""] = /^— ([^ ]+) ([^ ]+)$/u.exec(line) ?? [];
  const bytes = parseBase64(base64);
  if (!isKeyName(name) || !bytes || bytes.length < 5) return undefined;
  return { name, id: encodeHex(bytes.subarray(0, 4)), bytes: bytes.slice(4) };
}

/** A signature as a line, with its LF. */
export function encodeSignatureLine({ name, id, bytes }: NoteSignature): string {
  return `— ${name} ${encodeBase64(concat(parseHex(id) ?? new Uint8Array(0), bytes))}\n`;
}

/** A note's bytes. */
export function encodeNote({ text, signatures }: Note): Bytes {
  return encodeUtf8(`${text}\n${signatures.map(encodeSignatureLine).join("")}`);
}

/** What the text of a log's note says. */
export interface NoteHead extends LogHead {
  /** Lines that the log added: a securechat log adds none. */
  readonly extensions: readonly string[];
}

/** The text of a log's note. */
export function encodeNoteHead({ origin, size, root, extensions = [] }: LogHead & Partial<NoteHead>): string {
  const bytes = parseHex(root) ?? new Uint8Array(0);
  return [origin, String(size), encodeBase64(bytes), ...extensions].map((line) => `${line}\n`).join("");
}

/** What the text of a note says, if it is a log's; `undefined` otherwise, and for a size beyond 2^53 - 1. */
export function parseNoteHead(text: string): NoteHead | undefined {
  const lines = text.split("\n");
  if (lines.pop() !== "" || lines.includes("")) return undefined;
  const [origin, size = "", base64 = "", ...extensions] = lines;
  const root = parseBase64(base64);
  if (origin === undefined || !/^(?:0|[1-9][0-9]{0,15})$/.test(size) || root?.length !== 32) return undefined;
  const count = Number(size);
  return Number.isSafeInteger(count) ? { origin, size: count, root: encodeHex(root), extensions } : undefined;
}
