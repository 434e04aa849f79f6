/**
 * The envelope: what a line of a room says, and after what (docs/PROTOCOL.md, "The envelope").
 *
 *     {"body":"hello","kind":"text","room":"#ops","salt":"<b64, 16 bytes>","seen":{"root":"<hex>","size":41},"v":1}
 *
 * An envelope is exactly the RFC 8785 form of one JSON object, in UTF-8, with at most 16,000 octets and 64 levels.
 * {@link parseEnvelope} encodes again what it has read and compares, so an envelope has only one spelling, and its hash (C
 * of the line) has only one meaning. Unknown names are kept, and the hash covers them; an unknown kind may have any body.
 * A malformed envelope is a {@link ProtocolError} `bad-envelope`: the server answers with it, and receivers mark the line.
 *
 * This module doesn't know the log, so callers check the room and `seen`.
 *
 * @layer format
 */

import { type Bytes, encodeBase64, encodeUtf8, parseBase64, parseUtf8 } from "./bytes.ts";
import { ProtocolError } from "./errors.ts";
import { canonicalJson, isCanonicalJson, isJsonObject, type Json, member, parseJson } from "./json.ts";
import { isUsername } from "./names.ts";

/** The most octets of an envelope, so that a `post` fits into a frame. */
export const MAX_ENVELOPE_OCTETS = 16_000;
/** The deepest nesting of lists and objects, counting the envelope itself: no code that walks it exhausts the stack. */
export const MAX_ENVELOPE_DEPTH = 64;
/** 16 random bytes: without the salt somebody could confirm a guessed text by its hash C. */
export const SALT_SIZE = 16;

/** A log's head: how many lines, and the tree's root in hex. */
export interface Head {
  readonly size: number;
  readonly root: string;
}

/** A head of the server's log that a line's author has checked (docs/PROTOCOL.md, "The server's log"). */
export interface LogPin extends Head {
  /** The 32 hex digits at the end of the log's origin. */
  readonly id: string;
}

/** The roles in a room. */
export type RoomRole = "owner" | "moderator" | "member";

/** What a line of a known kind says. */
export type Statement =
  | { readonly kind: "text" | "topic"; readonly text: string }
  /** The author's username, consent to the record, and perhaps the fingerprint of the author's previous certificate. */
  | { readonly kind: "join"; readonly username: string; readonly was?: string }
  | { readonly kind: "part" | "head" }
  /** `until`: unix seconds. */
  | { readonly kind: "invite" | "kick" | "ban" | "mute"; readonly username: string; readonly until?: number }
  | { readonly kind: "role"; readonly username: string; readonly role: RoomRole }
  /** The index of an earlier line of the author, whose body is to be erased. */
  | { readonly kind: "redact"; readonly index: number }
  /** The fingerprint of another device of the author. */
  | { readonly kind: "device"; readonly fingerprint: string };

/** A parsed envelope. */
export interface Envelope {
  readonly room: string;
  /** The newest head that the author had checked. */
  readonly seen: Head;
  /** The newest head of the server's log that the author had checked; `undefined` if there was none. */
  readonly log: LogPin | undefined;
  readonly kind: string;
  readonly body: Json;
  /** Kind and body; `undefined` if the kind is unknown. */
  readonly statement: Statement | undefined;
}

/** The parts of a new envelope. */
export interface EnvelopeOptions {
  readonly room: string;
  readonly seen: Head;
  readonly log?: LogPin;
  readonly statement: Statement;
  readonly salt: Uint8Array;
}

/** An envelope's bytes. Throws `bad-envelope` if no reader would accept it: too long, or with a lone surrogate. */
export function encodeEnvelope({ room, seen, log, statement, salt }: EnvelopeOptions): Bytes {
  const canonical = canonicalJson({
    ...{ body: bodyOf(statement), kind: statement.kind, room, salt: encodeBase64(salt) },
    seen: { root: seen.root, size: seen.size },
    ...log ? { log: { id: log.id, root: log.root, size: log.size } } : {},
    v: 1,
  });
  if (canonical === undefined) throw bad("The text holds half a character (a lone surrogate).");
  const bytes = encodeUtf8(canonical);
  parseEnvelope(bytes);
  return bytes;
}

/** The body of a statement. */
function bodyOf(statement: Statement): Json {
  switch (statement.kind) {
    case "text":
    case "topic":
      return statement.text;
    case "part":
    case "head":
      return null;
    case "redact":
      return statement.index;
    case "device":
      return statement.fingerprint;
    case "join": {
      const { kind: _, ...body } = statement;
      return { mode: "recorded", recorded: true, ...body };
    }
    default: {
      const { kind: _, ...body } = statement;
      return body;
    }
  }
}

/** Parses an envelope. Throws `bad-envelope` with what is wrong. */
export function parseEnvelope(bytes: Uint8Array): Envelope {
  if (bytes.length > MAX_ENVELOPE_OCTETS) throw bad(`The envelope has more than ${MAX_ENVELOPE_OCTETS} octets.`);
  const text = parseUtf8(bytes);
  const envelope = text === undefined ? undefined : parseJson(text, MAX_ENVELOPE_DEPTH);
  if (text === undefined || !isJsonObject(envelope)) {
    throw bad(`The envelope is not a JSON object, or is nested deeper than ${MAX_ENVELOPE_DEPTH}.`);
  }
  if (!isCanonicalJson(text, envelope)) throw bad("The envelope is not in the form of RFC 8785.");
  if (member(envelope, "v") !== 1) throw bad("The envelope's v is not 1.");
  const room = member(envelope, "room");
  const kind = member(envelope, "kind");
  if (typeof room !== "string" || typeof kind !== "string") throw bad("The envelope's room or kind is not a string.");
  const salt = member(envelope, "salt");
  if (typeof salt !== "string" || parseBase64(salt)?.length !== SALT_SIZE) {
    throw bad(`The envelope's salt is not base64 of ${SALT_SIZE} bytes.`);
  }
  const seen = parseHead(member(envelope, "seen"));
  if (!seen) throw bad("The envelope's seen is not a size and a root.");
  const log = member(envelope, "log");
  const pin = parsePin(log);
  if (log !== undefined && !pin) throw bad("The envelope's log is not an id, a root and a size.");
  const body = member(envelope, "body");
  if (body === undefined) throw bad("The envelope has no body.");
  const read = isKnownKind(kind) ? STATEMENTS[kind] : undefined;
  const statement = read?.(body, kind);
  if (read && !statement) throw bad(`The body of a line of the kind "${kind}" is wrong.`);
  return { room, seen, log: pin, kind, body, statement };
}

const NAMES: ReadonlySet<string> = new Set(["body", "kind", "log", "room", "salt", "seen", "v"]);
const SEEN_NAMES: ReadonlySet<string> = new Set(["root", "size"]);

/** The signed names in an envelope that this version doesn't know. */
export function furtherNames(bytes: Uint8Array): string[] {
  const text = parseUtf8(bytes);
  const envelope = text === undefined ? undefined : parseJson(text, MAX_ENVELOPE_DEPTH);
  if (!isJsonObject(envelope)) return [];
  const seen = member(envelope, "seen");
  const inSeen = isJsonObject(seen) ? Object.keys(seen).filter((name) => !SEEN_NAMES.has(name)) : [];
  return [...Object.keys(envelope).filter((name) => !NAMES.has(name)), ...inSeen.map((name) => `seen.${name}`)];
}

function bad(reason: string): ProtocolError {
  return new ProtocolError("bad-envelope", reason);
}

/** The size and root in an object; `undefined` if one is missing or malformed. */
export function parseHead(value: Json | undefined): Head | undefined {
  if (!isJsonObject(value)) return undefined;
  const [size, root] = [member(value, "size"), member(value, "root")];
  return isCount(size) && isHash(root) ? { size, root } : undefined;
}

/** The head of a server's log in an object of exactly three names. */
function parsePin(value: Json | undefined): LogPin | undefined {
  const head = parseHead(value);
  if (!head || !isJsonObject(value) || Object.keys(value).length !== 3) return undefined;
  const id = member(value, "id");
  return typeof id === "string" && /^[0-9a-f]{32}$/.test(id) ? { id, ...head } : undefined;
}

type Reader = (body: Json, kind: string) => Statement | undefined;

const readText = (kind: "text" | "topic"): Reader => (text) => typeof text === "string" ? { kind, text } : undefined;
const readNothing = (kind: "part" | "head"): Reader => (body) => body === null ? { kind } : undefined;

const readAbout = (kind: "invite" | "kick" | "ban" | "mute"): Reader => (body) => {
  const username = usernameIn(body);
  const until = optional(body, "until");
  if (username === undefined || (until !== undefined && !isCount(until))) return undefined;
  return { kind, username, ...(until === undefined ? {} : { until }) };
};

const readJoin: Reader = (body) => {
  const username = usernameIn(body);
  const was = optional(body, "was");
  if (username === undefined || (was !== undefined && !isHash(was))) return undefined;
  if (optional(body, "mode") !== "recorded" || optional(body, "recorded") !== true) return undefined;
  return { kind: "join", username, ...(was === undefined ? {} : { was }) };
};

const readRole: Reader = (body) => {
  const username = usernameIn(body);
  const role = optional(body, "role");
  if (username === undefined || (role !== "owner" && role !== "moderator" && role !== "member")) return undefined;
  return { kind: "role", username, role };
};

/** How the body of each known kind is read. */
const STATEMENTS: Readonly<Record<string, Reader>> = {
  text: readText("text"),
  topic: readText("topic"),
  join: readJoin,
  part: readNothing("part"),
  head: readNothing("head"),
  invite: readAbout("invite"),
  kick: readAbout("kick"),
  ban: readAbout("ban"),
  mute: readAbout("mute"),
  role: readRole,
  redact: (index) => isCount(index) ? { kind: "redact", index } : undefined,
  device: (fingerprint) => isHash(fingerprint) ? { kind: "device", fingerprint } : undefined,
};

/** Whether this version knows what lines of the kind say. */
export function isKnownKind(kind: string): boolean {
  return Object.hasOwn(STATEMENTS, kind);
}

function optional(body: Json, name: string): Json | undefined {
  return isJsonObject(body) ? member(body, name) : undefined;
}

function usernameIn(body: Json): string | undefined {
  const username = optional(body, "username");
  return typeof username === "string" && isUsername(username) ? username : undefined;
}

function isCount(value: Json | undefined): value is number {
  return typeof value === "number"; // json.ts gives a number only for plain digits up to 2^53 - 1
}

function isHash(value: Json | undefined): value is string {
  return typeof value === "string" && /^[0-9a-f]{64}$/.test(value);
}
