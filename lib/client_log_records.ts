/**
 * The records that a client keeps of the server's log (docs/PROTOCOL.md, "Following the server's log"). `client_log.ts`
 * writes them and reads them at the next start, `client_log_evidence.ts` reads them for what a stranger is shown.
 *
 * @layer chat
 */

import { type Bytes, parseBase64 } from "./bytes.ts";
import { isJsonList, type Json, type JsonObject } from "./json.ts";

/**
 * What is kept on the disk, in order: one record a line.
 *
 * - `tick` has a tick's bytes and tags, once for all rooms that it registers.
 * - `looks` says since when a room is looked for in every tick; `at` is null when it no longer is.
 * - `hit` says that a tick registers a head of a room, and since when the client waits to be shown it; `head` is that
 *   head.
 * - `after` has the ticks before a head of the log that a line names, which name a note or a token: the line is younger
 *   than these.
 */
export type LogRecord = JsonObject & {
  readonly type: "pin" | "looks" | "leaves" | "tick" | "hit" | "head" | "note" | "token" | "chain" | "after" | "lie";
};

/** The bytes in a field of a record, copied; `undefined` for anything but canonical base64. */
export function recordedBytes(value: Json | undefined): Bytes | undefined {
  return (typeof value === "string" ? parseBase64(value) : undefined)?.slice();
}

/** The hashes in a field of a record; `undefined` for anything but a list of canonical base64. */
export function recordedHashes(value: Json | undefined): Bytes[] | undefined {
  if (value === undefined || !isJsonList(value)) return undefined;
  const hashes = value.flatMap((each) => recordedBytes(each) ?? []);
  return hashes.length === value.length ? hashes : undefined;
}
