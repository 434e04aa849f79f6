/**
 * Reads the fields of a frame: `text(fields, "reason")`, `count(fields, "seqno")`.
 *
 * If a field is missing or of another kind, these functions throw `bad-frame` with its name (docs/PROTOCOL.md,
 * "Frames"). `message.ts`, `log_requests.ts` and `log_frames.ts` say which fields each frame has.
 *
 * @layer format
 */

import { type Bytes, parseBase64 } from "./bytes.ts";
import { ProtocolError } from "./errors.ts";
import { type JsonObject, member } from "./json.ts";

/** The error for a field that is not as it must be. */
export function badField(name: string, what: string): ProtocolError {
  return new ProtocolError("bad-frame", `The field \`${name}\` must be ${what}.`);
}

/** A string. */
export function text(fields: JsonObject, name: string): string {
  const value = member(fields, name);
  if (typeof value !== "string") throw badField(name, "a string");
  return value;
}

/** An integer from 0 to 2^53 − 1. */
export function count(fields: JsonObject, name: string): number {
  const value = member(fields, name);
  if (typeof value !== "number") throw badField(name, "an integer from 0 to 2^53 - 1");
  return value;
}

/** Base64; of exactly `size` bytes, if that is given. */
export function bytes(fields: JsonObject, name: string, size?: number): Bytes {
  const value = parseBase64(text(fields, name));
  if (!value) throw badField(name, "base64 with padding");
  if (size !== undefined && value.length !== size) throw badField(name, `base64 of ${size} bytes`);
  return value;
}
