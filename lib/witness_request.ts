/**
 * What a log and a witness say to each other over HTTP (C2SP tlog-witness; docs/PROTOCOL.md, "Asking a witness"):
 *
 *     POST <URL>/add-checkpoint
 *
 *     old 5                                           the size that the witness signed last
 *     PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=    the consistency proof from there: 63 lines at most
 *                                                     an empty line
 *     chat.example/log/8f14…                          the note
 *     …
 *
 * The answer is 200 with signature lines, or 409 with the size that the witness knows. The newest note that it signed
 * is at `<URL>/<hex SHA-256 of the origin>/checkpoint`.
 *
 * @layer format
 */

import { type Bytes, concat, encodeBase64, encodeHex, encodeUtf8, parseBase64, parseUtf8 } from "./bytes.ts";
import { sha256 } from "./hash.ts";
import { type Note, parseNote } from "./log_note.ts";

/** The most hashes of a proof. */
export const MAX_PROOF = 63;
/** The path of the one request that changes something. */
export const ADD_CHECKPOINT = "/add-checkpoint";
/** The Content-Type of the size in a 409. */
export const SIZE_TYPE = "text/x.tlog.size";

/** A note that is to be cosigned, and the proof that it continues an older one. */
export interface AddCheckpoint {
  readonly old: number;
  readonly proof: readonly Bytes[];
  readonly note: Note;
}

/** The body of a request. `note`: its bytes. */
export function encodeAddCheckpoint(old: number, proof: readonly Bytes[], note: Uint8Array): Bytes {
  const lines = [`old ${old}`, ...proof.map(encodeBase64), ""];
  return concat(encodeUtf8(lines.map((line) => `${line}\n`).join("")), note);
}

/** The request in a body; `undefined` if it has another form. */
export function parseAddCheckpoint(body: Uint8Array): AddCheckpoint | undefined {
  const split = endOfLines(body);
  const head = split < 0 ? undefined : parseUtf8(body.subarray(0, split));
  const [first = "", ...hashes] = head?.split("\n") ?? [];
  const old = parseSize(/^old (.*)$/.exec(first)?.[1] ?? "");
  const proof = hashes.flatMap((line) => parseBase64(line) ?? []).filter(({ length }) => length === 32);
  if (old === undefined || proof.length !== hashes.length || proof.length > MAX_PROOF) return undefined;
  const note = parseNote(body.subarray(split + 2), body.length);
  return note && { old, proof, note };
}

/** Where the first empty line stands: its place is that of the LF before it. */
function endOfLines(body: Uint8Array): number {
  for (let at = body.indexOf(0x0a); at >= 0; at = body.indexOf(0x0a, at + 1)) if (body[at + 1] === 0x0a) return at;
  return -1;
}

/** A size in decimal, without zeros before it; `undefined` for anything else, and beyond 2^53 - 1. */
export function parseSize(text: string): number | undefined {
  const size = /^(?:0|[1-9][0-9]{0,15})$/.test(text) ? Number(text) : NaN;
  return Number.isSafeInteger(size) ? size : undefined;
}

/** The path of the newest note of a log that a witness signed. */
export function checkpointPath(origin: string): string {
  return `/${encodeHex(sha256(encodeUtf8(origin)))}/checkpoint`;
}
