/**
 * What a client asks for in a session with rooms (docs/PROTOCOL.md, "Requests").
 *
 *     C> {"type":"history","room":"#ops","from":40,"count":100,"id":7}
 *
 * A request may carry `id`, any integer; its answer or error carries the same. The table of parsers has one for each
 * request, and no other: the compiler says so. What the server does with a request is `room_requests.ts` and
 * `server_requests.ts`.
 *
 * @layer format
 */

import { hasBodyForm } from "./aes_cbc.ts";
import { type Bytes, encodeBase64 } from "./bytes.ts";
import { ProtocolError } from "./errors.ts";
import { badField, bytes, count, text } from "./fields.ts";
import type { Frame } from "./frame.ts";
import { type Json, type JsonObject, member, OddNumber } from "./json.ts";
import type { Checkpoint } from "./log_checkpoint.ts";
import { checkpointOf, hex64, type Presence, presence, room } from "./log_fields.ts";
import { type LogRequest, parseLogRequest } from "./log_follow_frames.ts";
import { ROOM_LINE_SIZE } from "./log_line.ts";

/** A line on its way, with its body beside it. */
export interface PostFields {
  readonly room: string;
  readonly epoch: number;
  readonly seqno: number;
  readonly ts: number;
  /** R || C || H. */
  readonly ct: Bytes;
  readonly sig: Bytes;
  /** `iv || ciphertext` of the envelope. */
  readonly body: Bytes;
}

/** Which lines a newcomer may read. */
export type HistoryPolicy = "all" | "since_join";

/** What a client asks for in a session with rooms. */
export type RoomRequest =
  | {
    readonly type: "create";
    readonly room: string;
    readonly mode: string;
    readonly history: HistoryPolicy;
    readonly inviteOnly: boolean;
  }
  | { readonly type: "join"; readonly room: string; readonly checkpoint?: Checkpoint }
  | ({ readonly type: "post" } & PostFields)
  | { readonly type: "certificate"; readonly fingerprint: string }
  | { readonly type: "history"; readonly room: string; readonly from: number; readonly count: number }
  | { readonly type: "keys"; readonly room: string; readonly from: number }
  | { readonly type: "members"; readonly room: string; readonly from: number }
  | { readonly type: "rooms"; readonly from: string }
  | { readonly type: "checkpoint"; readonly room: string }
  /** The last head that was signed up to a time, in unix seconds. */
  | { readonly type: "earlier_checkpoint"; readonly room: string; readonly by: number }
  | { readonly type: "consistency"; readonly room: string; readonly from: number; readonly to: number }
  | { readonly type: "inclusion"; readonly room: string; readonly index: number; readonly size: number }
  /** A code for a further device of one's own. */
  | { readonly type: "code" }
  /** A new certificate for a new key, before the old one ends. */
  | { readonly type: "renew"; readonly csr: string }
  /** The salt of one's own account, for {@link RoomRequest} `password`. */
  | { readonly type: "account" }
  /** Another password: the payload is sealed for the session, and read with `parsePasswordChange`. */
  | { readonly type: "password"; readonly payload: Bytes }
  /** Ends the life of the session's token. */
  | { readonly type: "logout" }
  /** Whether somebody is there to read: for others to see, and kept nowhere. */
  | { readonly type: "presence"; readonly state: Exclude<Presence, "offline"> }
  | { readonly type: "ping" }
  | LogRequest;

/** Reads the fields of each request. */
const PARSERS: { readonly [Type in RoomRequest["type"]]: (fields: JsonObject) => RequestOf<Type> } = {
  create: (fields) => {
    const history = text(fields, "history");
    if (history !== "all" && history !== "since_join") throw badField("history", '"all" or "since_join"');
    const inviteOnly = member(fields, "invite_only");
    if (typeof inviteOnly !== "boolean") throw badField("invite_only", "true or false");
    return { type: "create", room: room(fields), mode: text(fields, "mode"), history, inviteOnly };
  },
  join: (fields) => {
    const checkpoint = member(fields, "checkpoint");
    if (checkpoint === undefined || checkpoint === null) return { type: "join", room: room(fields) };
    return { type: "join", room: room(fields), checkpoint: checkpointOf(checkpoint) };
  },
  post: (fields) => ({ type: "post", ...parsePost(fields) }),
  certificate: (fields) => ({ type: "certificate", fingerprint: hex64(fields, "fingerprint") }),
  history: (fields) => ({
    type: "history",
    room: room(fields),
    from: count(fields, "from"),
    count: count(fields, "count"),
  }),
  keys: (fields) => ({ type: "keys", room: room(fields), from: count(fields, "from") }),
  members: (fields) => ({ type: "members", room: room(fields), from: count(fields, "from") }),
  rooms: (fields) => ({ type: "rooms", from: text(fields, "from") }),
  checkpoint: (fields) => ({ type: "checkpoint", room: room(fields) }),
  earlier_checkpoint: (fields) => ({ type: "earlier_checkpoint", room: room(fields), by: count(fields, "by") }),
  consistency: (fields) => ({
    type: "consistency",
    room: room(fields),
    from: count(fields, "from"),
    to: count(fields, "to"),
  }),
  inclusion: (fields) => ({
    type: "inclusion",
    room: room(fields),
    index: count(fields, "index"),
    size: count(fields, "size"),
  }),
  code: () => ({ type: "code" }),
  renew: (fields) => ({ type: "renew", csr: text(fields, "csr") }),
  account: () => ({ type: "account" }),
  password: (fields) => ({ type: "password", payload: bytes(fields, "payload") }),
  logout: () => ({ type: "logout" }),
  presence: (fields) => {
    const state = presence(fields);
    if (state === "offline") throw badField("state", '"online" or "away"');
    return { type: "presence", state };
  },
  ping: () => ({ type: "ping" }),
  log: (fields) => parseLogRequest("log", fields) as RequestOf<"log">,
  log_ticks: (fields) => parseLogRequest("log_ticks", fields) as RequestOf<"log_ticks">,
  log_heads: (fields) => parseLogRequest("log_heads", fields) as RequestOf<"log_heads">,
  log_note: (fields) => parseLogRequest("log_note", fields) as RequestOf<"log_note">,
  log_tokens: (fields) => parseLogRequest("log_tokens", fields) as RequestOf<"log_tokens">,
};

type RequestOf<Type extends RoomRequest["type"]> = Extract<RoomRequest, { readonly type: Type }>;

/** The types of {@link RoomRequest}. */
export const ROOM_REQUESTS = Object.keys(PARSERS) as readonly RoomRequest["type"][];

/** A request and the id that its answer carries. */
export interface IdentifiedRequest {
  readonly request: RoomRequest;
  readonly id: Json | undefined;
}

/** The request in a frame of one of {@link ROOM_REQUESTS}. */
export function parseRequest({ type, fields }: Frame): IdentifiedRequest {
  const id = member(fields, "id");
  if (id !== undefined && !isAnyInteger(id)) throw badField("id", "an integer");
  if (!Object.hasOwn(PARSERS, type)) throw new ProtocolError("unexpected", "There is no such request.");
  return { request: PARSERS[type as RoomRequest["type"]](fields), id };
}

/** The fields of a line on its way. */
export function parsePost(fields: JsonObject): PostFields {
  const [ct, body] = [bytes(fields, "ct"), bytes(fields, "body")];
  if (ct.length !== ROOM_LINE_SIZE) throw badField("ct", `base64 of ${ROOM_LINE_SIZE} bytes`);
  if (!hasBodyForm(body)) throw badField("body", "an IV and whole blocks of ciphertext");
  return {
    room: room(fields),
    epoch: count(fields, "epoch"),
    seqno: count(fields, "seqno"),
    ts: count(fields, "ts"),
    ct,
    sig: bytes(fields, "sig"),
    body,
  };
}

/** A post as the fields of its frame. */
export function postJson({ room, epoch, seqno, ts, ct, sig, body }: PostFields): JsonObject {
  return { room, epoch, seqno, ts, ct: encodeBase64(ct), sig: encodeBase64(sig), body: encodeBase64(body) };
}

function isAnyInteger(value: Json): boolean {
  return typeof value === "number" || typeof value === "bigint" ||
    (value instanceof OddNumber && /^-[0-9]+$/.test(value.source));
}
