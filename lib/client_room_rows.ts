/**
 * The rows of the files in which a client keeps a room, each one JSON value: made and read back.
 *
 *     checkpoints   {"type":"checkpoint",…}, or {"seen":41}
 *     bad           {"index":7,"reason":"…"}, with "counts":true if the line's effect counts all the same
 *     refused       {"refused":"<leaf hash>"}
 *     unsent        {"key":7,"ts":…,"statement":…}, then {"key":7,"by":…,"post":…} once signed, {"key":7} at the end
 *     devices       {"fingerprint":…,"username":…}, or {"fingerprint":…,"vouched_by":…}
 *
 * What the files mean is written in `client_room_records.ts`.
 *
 * @layer chat
 */

import { type Bytes, encodeBase64, parseBase64 } from "./bytes.ts";
import type { Lie } from "./client_event.ts";
import type { Pin } from "./client_pins.ts";
import type { Fault, UnsentLine } from "./client_store.ts";
import { encodeJson, isJsonObject, type Json, type JsonObject, member, parseJson } from "./json.ts";
import { type Checkpoint, encodeCheckpoint, parseCheckpoint } from "./log_checkpoint.ts";
import type { Statement } from "./log_envelope.ts";
import { encodeOpening } from "./log_receipt.ts";
import type { PostFields } from "./log_requests.ts";

/** A checkpoint, as a row of `checkpoints`. */
export function headRow(head: Checkpoint): string {
  return `${encodeJson(encodeCheckpoint(head))}\n`;
}

/** A row of `checkpoints`: a line of one's own names the head of that size. */
export function seenRow(size: number): string {
  return `${encodeJson({ seen: size })}\n`;
}

/** A row of `checkpoints`: the checkpoint, or the size that {@link seenRow} names. */
export function parseHeadRow(row: string): Checkpoint | number | undefined {
  const value = parseJson(row);
  const seen = isJsonObject(value) ? member(value, "seen") : undefined;
  return typeof seen === "number" ? seen : parseCheckpoint(value);
}

/** What was found of a line. */
export interface BadLine extends Fault {
  readonly index: number;
}

/** A row of `bad`. */
export function badRow({ index, reason, counts }: BadLine): string {
  return `${encodeJson({ index, reason, ...(counts ? { counts } : {}) })}\n`;
}

/** What a row of `bad` says. */
export function parseBadRow(row: string): BadLine | undefined {
  const value = parseJson(row);
  if (!isJsonObject(value)) return undefined;
  const [index, reason] = [member(value, "index"), member(value, "reason")];
  const counts = member(value, "counts") === true;
  return typeof index === "number" && typeof reason === "string" ? { index, reason, counts } : undefined;
}

/** The leaf hash in a row of `refused`; none if the row is of another form. */
export function parseRefused(row: string): string[] {
  const value = parseJson(row);
  const leaf = isJsonObject(value) ? member(value, "refused") : undefined;
  return typeof leaf === "string" ? [leaf] : [];
}

/** The rows of `openings.txt` for the lines before `end`, in their order. */
export function openingRows(words: ReadonlyMap<number, Bytes>, end: number): string[] {
  return [...words].filter(([index]) => index < end).sort(([a], [b]) => a - b)
    .map(([index, envelope]) => encodeOpening({ index, envelope }));
}

/** The row of `unsent` for a line that was written. */
export function unsentRow({ key, ts, statement }: UnsentLine): string {
  return `${encodeJson({ key, ts, statement })}\n`;
}

/** The row of `unsent` for a line that is signed; none before that. */
export function signedRows({ key, by, post }: UnsentLine): string[] {
  return post ? [`${encodeJson({ key, by, post: encodePost(post) })}\n`] : [];
}

/** The row of `unsent` for a line that is accepted, or given up. */
export function doneRow(key: number): string {
  return `${encodeJson({ key })}\n`;
}

/** Takes a row of `unsent` into the lines that are unsent by the rows before it. */
export function takeUnsentRow(row: Json, unsent: Map<number, UnsentLine>): void {
  if (!isJsonObject(row)) return;
  const [key, ts, statement, post, by] = ["key", "ts", "statement", "post", "by"].map((name) => member(row, name));
  if (typeof key !== "number") return;
  const known = unsent.get(key);
  if (isJsonObject(statement) && typeof ts === "number") {
    unsent.set(key, { key, ts, statement: statement as unknown as Statement, post: undefined });
  } else if (known) {
    const signed = isJsonObject(post) ? parsePost(post) : undefined;
    if (signed) unsent.set(key, { ...known, post: signed, ...(typeof by === "string" ? { by } : {}) });
    else unsent.delete(key);
  }
}

function encodePost(post: PostFields): JsonObject {
  const { ct, sig, body, ...others } = post;
  return { ...others, ct: encodeBase64(ct), sig: encodeBase64(sig), body: encodeBase64(body) };
}

function parsePost(fields: JsonObject): PostFields | undefined {
  const [room, epoch, seqno, ts] = ["room", "epoch", "seqno", "ts"].map((name) => member(fields, name));
  const [ct, sig, body] = ["ct", "sig", "body"].map((name) => {
    const value = member(fields, name);
    return typeof value === "string" ? parseBase64(value) : undefined;
  });
  if (typeof room !== "string" || typeof epoch !== "number" || typeof seqno !== "number") return undefined;
  return typeof ts === "number" && ct && sig && body ? { room, epoch, seqno, ts, ct, sig, body } : undefined;
}

/** What a row of `devices` says. */
export function parsePin(row: string): Pin | undefined {
  const value = parseJson(row);
  if (!isJsonObject(value)) return undefined;
  const [fingerprint, username, by] = ["fingerprint", "username", "vouched_by"].map((name) => member(value, name));
  if (typeof fingerprint !== "string") return undefined;
  if (typeof by === "string") return { fingerprint, vouched_by: by };
  return typeof username === "string" ? { fingerprint, username } : undefined;
}

/** What the file `lie` says. */
export function parseLie(value: Json | undefined): { lie: Lie; reason: string } | undefined {
  if (!isJsonObject(value)) return undefined;
  const [lie, reason] = [member(value, "lie"), member(value, "reason")];
  return typeof lie === "string" && typeof reason === "string" ? { lie: lie as Lie, reason } : undefined;
}
