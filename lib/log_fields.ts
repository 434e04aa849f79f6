/**
 * Fields that frames of rooms share. One that is missing or of the wrong kind throws `bad-frame` with its name.
 *
 * @layer format
 */

import { badField, text } from "./fields.ts";
import { type Checkpoint, parseCheckpoint } from "./log_checkpoint.ts";
import type { Json, JsonObject } from "./json.ts";
import { isRoomName } from "./names.ts";

/** Whether an account is in a room now: nobody is there to read where all of its sessions have said so. */
export type Presence = "online" | "away" | "offline";

/** A presence in `state`. */
export function presence(fields: JsonObject): Presence {
  const state = text(fields, "state");
  if (state !== "online" && state !== "away" && state !== "offline") {
    throw badField("state", '"online", "away" or "offline"');
  }
  return state;
}

/** A checkpoint. */
export function checkpointOf(value: Json): Checkpoint {
  const checkpoint = parseCheckpoint(value);
  if (!checkpoint) throw badField("checkpoint", "a checkpoint: time, size, root, sig, from");
  return checkpoint;
}

/** The name of a room in `room`. */
export function room(fields: JsonObject): string {
  const value = text(fields, "room");
  if (!isRoomName(value)) throw badField("room", "the name of a room, as #ops, or of a conversation, as @ada,@bob");
  return value;
}

/** A fingerprint or a hash. */
export function hex64(fields: JsonObject, name: string): string {
  const value = text(fields, name);
  if (!/^[0-9a-f]{64}$/.test(value)) throw badField(name, "64 lower-case hex digits");
  return value;
}
