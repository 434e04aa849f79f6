/**
 * What the server sends in a session with rooms (docs/PROTOCOL.md, "Requests" and "What the server tells unasked"). What
 * a client asks for is `log_requests.ts`.
 *
 *     S> {"type":"posted","room":"#ops","index":40,"epoch":1,"from":"9f86…","seqno":3,"ts":1700055622123,"ct":"…","sig":"…","body":"…"}
 *     S> {"type":"history_end","room":"#ops","next":41,"id":7}
 *
 * As in `message.ts` a field that is missing or of the wrong kind throws `bad-frame` with its name. An answer carries the
 * `id` of its request; `posted` never carries one.
 *
 * @layer format
 */

import { type Bytes, encodeBase64, encodeUtf8, parseBase64 } from "./bytes.ts";
import { ProtocolError } from "./errors.ts";
import { badField, bytes, count, text } from "./fields.ts";
import type { Frame } from "./frame.ts";
import { isJsonList, isJsonObject, type Json, type JsonObject, member } from "./json.ts";
import type { Checkpoint } from "./log_checkpoint.ts";
import { checkpointOf, hex64, type Presence, presence, room } from "./log_fields.ts";
import { LOG_REQUESTS, type LogAnswer, parseLogAnswer } from "./log_follow_frames.ts";
import { type HistoryPolicy, parsePost, type PostFields } from "./log_requests.ts";

/** The most entries of one answer: `posted` frames of a page of history, keys, members or rooms. */
export const MAX_PAGE = 500;
/**
 * Up to so many members a room is told who comes and goes: each of them is told of each other's, which grows as the
 * square. In a larger one `members` is asked. Its first page names as many, so whoever is told knows all of them.
 */
export const PRESENCE_MEMBERS = 100;
/** The most subtree hashes that a proof can have: a log has fewer than 2^53 lines. */
const MAX_HASHES = 106;

/** A line as every member gets it; `body` is null where it was erased. */
export interface PostedFields extends Omit<PostFields, "body"> {
  readonly index: number;
  readonly from: string;
  readonly body: Bytes | null;
}

/**
 * The frame of a line, given as its transcript has it: most of what a server with rooms sends. Nothing in it needs an
 * escape: a room's name has none (see `names.ts`), and all else are digits, hex and base64.
 */
export function encodePosted(
  { room, index, epoch, line, body }: Pick<PostedFields, "room" | "index" | "epoch" | "body"> & {
    readonly line: string;
  },
): Bytes {
  const [seqno, ts, ct, sig, from] = line.split("|");
  const carried = body ? `"${encodeBase64(body)}"` : "null";
  return encodeUtf8(
    `{"type":"posted","room":"${room}","index":${index},"epoch":${epoch},"from":"${from}","seqno":${seqno},"ts":${ts},` +
      `"ct":"${ct}","sig":"${sig}","body":${carried}}\n`,
  );
}

/** What the server sends in a session with rooms, beside the answers to messages. */
export type RoomFrame =
  | {
    readonly type: "joined";
    readonly room: string;
    readonly origin: string;
    readonly mode: string;
    readonly history: HistoryPolicy;
    readonly topic: string;
    readonly count: number;
    readonly checkpoint: Checkpoint | undefined;
    readonly nextSeqno: number;
    readonly epoch: number;
    /** `iv || ciphertext` under K_session. */
    readonly key: Bytes;
    /** Whether a join line of the session's certificate stands, so that none is needed. */
    readonly standing: boolean;
  }
  | ({ readonly type: "posted" } & PostedFields)
  | { readonly type: "history_end"; readonly room: string; readonly next: number }
  | { readonly type: "certificate"; readonly fingerprint: string; readonly pem: string; readonly username: string }
  | { readonly type: "keys"; readonly room: string; readonly keys: readonly Bytes[]; readonly next: number | undefined }
  | {
    readonly type: "members";
    readonly room: string;
    readonly members: readonly Member[];
    readonly next: number | undefined;
  }
  | { readonly type: "rooms"; readonly rooms: readonly ListedRoom[]; readonly next: string | undefined }
  | { readonly type: "epoch"; readonly room: string; readonly epoch: number; readonly payload: Bytes }
  | {
    readonly type: "checkpoint" | "earlier_checkpoint";
    readonly room: string;
    readonly checkpoint: Checkpoint;
  }
  | {
    readonly type: "consistency";
    readonly room: string;
    readonly from: number;
    readonly to: number;
    readonly hashes: readonly Bytes[];
  }
  | {
    readonly type: "inclusion";
    readonly room: string;
    readonly index: number;
    readonly size: number;
    readonly hashes: readonly Bytes[];
  }
  | { readonly type: "presence"; readonly room: string; readonly username: string; readonly state: Presence }
  | { readonly type: "invited"; readonly room: string; readonly from: string }
  /** The operator has closed the log. */
  | { readonly type: "closed"; readonly room: string; readonly reason: string }
  | { readonly type: "code"; readonly code: Bytes; readonly expires: number }
  | { readonly type: "renewed"; readonly pem: string; readonly payload: Bytes }
  | { readonly type: "account" | "password_changed"; readonly payload: Bytes }
  | { readonly type: "done" }
  | { readonly type: "pong" }
  | LogAnswer;

/** Somebody in a room. */
export interface Member {
  readonly username: string;
  readonly role: string;
  /** Whether a session of theirs is in the room: away is online, too. */
  readonly online: boolean;
  readonly state: Presence;
}

/** A room in a list. */
export interface ListedRoom {
  readonly room: string;
  readonly members: number;
  readonly inviteOnly: boolean;
  readonly topic: string;
}

/** The types of {@link RoomFrame}. */
export const ROOM_FRAMES = [
  "joined",
  "posted",
  "history_end",
  "certificate",
  "keys",
  "members",
  "rooms",
  "epoch",
  "checkpoint",
  "earlier_checkpoint",
  "consistency",
  "inclusion",
  "presence",
  "invited",
  "closed",
  "code",
  "renewed",
  "account",
  "password_changed",
  "done",
  "pong",
  ...LOG_REQUESTS,
] as const satisfies readonly RoomFrame["type"][];

/** The server's frame, of one of {@link ROOM_FRAMES}. */
export function parseRoomFrame({ type, fields }: Frame): { readonly frame: RoomFrame; readonly id: Json | undefined } {
  return { frame: parseFrameByType(type, fields), id: member(fields, "id") };
}

function parseFrameByType(type: string, fields: JsonObject): RoomFrame {
  switch (type) {
    case "log":
    case "log_ticks":
    case "log_heads":
    case "log_note":
    case "log_tokens":
      return parseLogAnswer(type, fields);
    case "joined": {
      const history = text(fields, "history");
      const checkpoint = member(fields, "checkpoint");
      return {
        type,
        room: room(fields),
        origin: text(fields, "origin"),
        mode: text(fields, "mode"),
        history: history === "since_join" ? history : "all",
        topic: text(fields, "topic"),
        count: count(fields, "count"),
        checkpoint: checkpoint === undefined || checkpoint === null ? undefined : checkpointOf(checkpoint),
        nextSeqno: count(fields, "next_seqno"),
        epoch: count(fields, "epoch"),
        key: bytes(fields, "key"),
        standing: member(fields, "standing") === true,
      };
    }
    case "posted": {
      const isErased = member(fields, "body") === null;
      const post = parsePost(isErased ? { ...fields, body: ERASED } : fields);
      return {
        type,
        ...post,
        body: isErased ? null : post.body,
        index: count(fields, "index"),
        from: hex64(fields, "from"),
      };
    }
    case "history_end":
      return { type, room: room(fields), next: count(fields, "next") };
    case "certificate":
      return {
        type,
        fingerprint: hex64(fields, "fingerprint"),
        pem: text(fields, "pem"),
        username: text(fields, "username"),
      };
    case "keys":
      return { type, room: room(fields), keys: base64List(fields, "keys", MAX_PAGE), next: next(fields, count) };
    case "members":
      return { type, room: room(fields), members: list(fields, "members").map(parseMember), next: next(fields, count) };
    case "rooms":
      return { type, rooms: list(fields, "rooms").map(parseListedRoom), next: next(fields, text) };
    case "epoch":
      return { type, room: room(fields), epoch: count(fields, "epoch"), payload: bytes(fields, "payload") };
    case "checkpoint":
    case "earlier_checkpoint":
      return { type, room: room(fields), checkpoint: checkpointOf(fields) };
    case "consistency":
      return {
        type,
        room: room(fields),
        from: count(fields, "from"),
        to: count(fields, "to"),
        hashes: hashes(fields, "hashes"),
      };
    case "inclusion":
      return {
        type,
        room: room(fields),
        index: count(fields, "index"),
        size: count(fields, "size"),
        hashes: hashes(fields, "hashes"),
      };
    case "presence":
      return { type, room: room(fields), username: text(fields, "username"), state: presence(fields) };
    case "invited":
      return { type, room: room(fields), from: text(fields, "from") };
    case "closed":
      return { type, room: room(fields), reason: text(fields, "reason") };
    case "code":
      return { type, code: bytes(fields, "code"), expires: count(fields, "expires") };
    case "renewed":
      return { type, pem: text(fields, "pem"), payload: bytes(fields, "payload") };
    case "account":
    case "password_changed":
      return { type, payload: bytes(fields, "payload") };
    case "done":
    case "pong":
      return { type };
    default:
      throw new ProtocolError("unexpected", "There is no such frame.");
  }
}

/** Stands in for an erased body, so that one parser serves both. */
const ERASED = encodeBase64(new Uint8Array(32));

function parseMember(value: Json): Member {
  const fields = object(value, "members");
  const online = member(fields, "online") === true;
  // A server that doesn't know who is away says nothing of it.
  const state = member(fields, "state") === undefined ? online ? "online" : "offline" : presence(fields);
  return { username: text(fields, "username"), role: text(fields, "role"), online, state };
}

function parseListedRoom(value: Json): ListedRoom {
  const fields = object(value, "rooms");
  return {
    room: room(fields),
    members: count(fields, "members"),
    inviteOnly: member(fields, "invite_only") === true,
    topic: text(fields, "topic"),
  };
}

function list(fields: JsonObject, name: string): readonly Json[] {
  const value = member(fields, name);
  if (value === undefined || !isJsonList(value) || value.length > MAX_PAGE) {
    throw badField(name, `a list of ${MAX_PAGE} at most`);
  }
  return value;
}

function base64List(fields: JsonObject, name: string, most: number): Bytes[] {
  return list(fields, name).map((value) => {
    const parsed = typeof value === "string" ? parseBase64(value) : undefined;
    if (!parsed || list(fields, name).length > most) throw badField(name, "a list of base64");
    return parsed;
  });
}

function hashes(fields: JsonObject, name: string): Bytes[] {
  const all = base64List(fields, name, MAX_HASHES);
  if (all.some((hash) => hash.length !== 32)) throw badField(name, "a list of base64 of 32 bytes");
  return all;
}

function object(value: Json, name: string): JsonObject {
  if (!isJsonObject(value)) throw badField(name, "a list of objects");
  return value;
}

function next<T>(fields: JsonObject, parse: (fields: JsonObject, name: string) => T): T | undefined {
  const value = member(fields, "next");
  return value === undefined || value === null ? undefined : parse(fields, "next");
}
