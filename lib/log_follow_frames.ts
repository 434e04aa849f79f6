/**
 * The frames in which a client follows the server's log, in a session with rooms (docs/PROTOCOL.md, "Following the
 * server's log"). All of them are requests and answers: nothing of the log comes unasked.
 *
 *     C> {"type":"log_ticks","from":811,"tags":true,"id":7}
 *     S> {"type":"log_ticks","from":811,"ticks":[{"tick":"<b64>","tags":"<b64>"}],"next":null,"size":812,"id":7}
 *
 * @layer format
 */

import { type Bytes, encodeBase64, parseBase64 } from "./bytes.ts";
import { badField, bytes, count, text } from "./fields.ts";
import { isJsonList, isJsonObject, type Json, type JsonObject, member } from "./json.ts";
import { type Checkpoint, encodeCheckpoint, parseCheckpoint } from "./log_checkpoint.ts";
import { isRoomName } from "./names.ts";

/** What a client asks of the server's log. */
export type LogRequest =
  /** `note`: the newest note that the client holds. */
  | { readonly type: "log"; readonly note?: string }
  | { readonly type: "log_ticks"; readonly from: number; readonly tags: boolean }
  /** Where ticks from one on register the room. */
  | { readonly type: "log_heads"; readonly room: string; readonly from: number }
  /** The first closed note of that size or more. */
  | { readonly type: "log_note"; readonly size: number }
  /** The tokens that ticks from one on name. */
  | { readonly type: "log_tokens"; readonly from: number };

/** The types of {@link LogRequest}, which are those of {@link LogAnswer}. */
export const LOG_REQUESTS = ["log", "log_ticks", "log_heads", "log_note", "log_tokens"] as const;

/** A tick on its way; its tags are null if they weren't asked for, or the tick has none. */
export interface SentTick {
  readonly tick: Bytes;
  readonly tags: Bytes | null;
}

/** A room's checkpoint where a tick registers it. */
export interface SentHead {
  readonly tick: number;
  readonly checkpoint: Checkpoint;
  /** From the head to the tick's `hashes`. */
  readonly path: readonly Bytes[];
}

/** A token that a tick names. */
export interface SentToken {
  readonly tick: number;
  /** The size of the token's note. */
  readonly size: number;
  readonly token: Bytes;
}

/** What the server answers. `next` is where to go on; null at the end. */
export type LogAnswer =
  | { readonly type: "log"; readonly charter: JsonObject; readonly size: number; readonly frontier: readonly Bytes[] }
  | {
    readonly type: "log_ticks";
    readonly from: number;
    readonly ticks: readonly SentTick[];
    readonly next: number | null;
    /** The size of the newest closed note. */
    readonly size: number;
  }
  | {
    readonly type: "log_heads";
    readonly room: string;
    readonly heads: readonly SentHead[];
    readonly next: number | null;
  }
  | { readonly type: "log_note"; readonly size: number; readonly note: string }
  | {
    readonly type: "log_tokens";
    readonly tokens: readonly SentToken[];
    /** The PEM of their signers and intermediates. */
    readonly chain: string;
    readonly next: number | null;
  };

/** The request in the fields of a frame of one of {@link LOG_REQUESTS}. */
export function parseLogRequest(type: LogRequest["type"], fields: JsonObject): LogRequest {
  switch (type) {
    case "log": {
      const note = member(fields, "note");
      if (note !== undefined && typeof note !== "string") throw badField("note", "a string");
      return note === undefined ? { type } : { type, note };
    }
    case "log_ticks": {
      const tags = member(fields, "tags");
      if (typeof tags !== "boolean") throw badField("tags", "true or false");
      return { type, from: count(fields, "from"), tags };
    }
    case "log_heads": {
      const room = text(fields, "room");
      if (!isRoomName(room)) throw badField("room", "the name of a room");
      return { type, room, from: count(fields, "from") };
    }
    case "log_note":
      return { type, size: count(fields, "size") };
    case "log_tokens":
      return { type, from: count(fields, "from") };
  }
}

/** An answer as a frame without its id. */
export function encodeLogAnswer(answer: LogAnswer): JsonObject & { readonly type: string } {
  switch (answer.type) {
    case "log":
      return { ...answer, frontier: answer.frontier.map(encodeBase64) };
    case "log_ticks": {
      const ticks = answer.ticks.map(({ tick, tags }) => ({
        tick: encodeBase64(tick),
        tags: tags && encodeBase64(tags),
      }));
      return { ...answer, ticks };
    }
    case "log_heads": {
      const heads = answer.heads.map(({ tick, checkpoint, path }) => ({
        tick,
        ...encodeCheckpoint(checkpoint),
        path: path.map(encodeBase64),
      }));
      return { ...answer, heads };
    }
    case "log_note":
      return answer;
    case "log_tokens":
      return { ...answer, tokens: answer.tokens.map((each) => ({ ...each, token: encodeBase64(each.token) })) };
  }
}

/** The answer in the fields of a frame of one of {@link LOG_REQUESTS}. */
export function parseLogAnswer(type: LogAnswer["type"], fields: JsonObject): LogAnswer {
  switch (type) {
    case "log": {
      const charter = member(fields, "charter");
      if (!isJsonObject(charter)) throw badField("charter", "an object");
      return { type, charter, size: count(fields, "size"), frontier: hashes(fields, "frontier") };
    }
    case "log_ticks": {
      const ticks = list(fields, "ticks").map((each) => {
        const tags = member(each, "tags");
        return { tick: bytes(each, "tick"), tags: tags === null ? null : bytes(each, "tags") };
      });
      return { type, from: count(fields, "from"), ticks, next: next(fields), size: count(fields, "size") };
    }
    case "log_heads": {
      const heads = list(fields, "heads").map((each) => {
        const checkpoint = parseCheckpoint(each);
        if (!checkpoint) throw badField("heads", "a list of checkpoints with their ticks and paths");
        return { tick: count(each, "tick"), checkpoint, path: hashes(each, "path") };
      });
      return { type, room: text(fields, "room"), heads, next: next(fields) };
    }
    case "log_note":
      return { type, size: count(fields, "size"), note: text(fields, "note") };
    case "log_tokens": {
      const tokens = list(fields, "tokens").map((each) => ({
        tick: count(each, "tick"),
        size: count(each, "size"),
        token: bytes(each, "token"),
      }));
      return { type, tokens, chain: text(fields, "chain"), next: next(fields) };
    }
  }
}

/** A tree has fewer than 2^53 leaves, so no frontier and no path of it is longer. */
const MAX_HASHES = 53;

function list(fields: JsonObject, name: string): JsonObject[] {
  const value = member(fields, name) ?? null;
  const objects = isJsonList(value) ? value.filter(isJsonObject) : undefined;
  if (!objects || objects.length !== (value as readonly Json[]).length) throw badField(name, "a list of objects");
  return objects;
}

function hashes(fields: JsonObject, name: string): Bytes[] {
  const value = member(fields, name) ?? null;
  const all = isJsonList(value) && value.length <= MAX_HASHES ? value : undefined;
  const read = all?.flatMap((each) => (typeof each === "string" ? parseBase64(each) : undefined) ?? []);
  if (!read || read.length !== all?.length || read.some((hash) => hash.length !== 32)) {
    throw badField(name, `a list of at most ${MAX_HASHES} hashes`);
  }
  return read;
}

function next(fields: JsonObject): number | null {
  return member(fields, "next") === null ? null : count(fields, "next");
}
