/**
 * What a person or a program asks of a client with rooms, and what it answers; and commands as one JSON object a line.
 *
 *     {"command":"say","room":"#ops","text":"hello"}
 *     {"command":"ban","room":"#ops","username":"eve","until":1700062822}
 *     {"command":"export","room":"#ops","open":[41,42],"id":7}
 *
 * A command names its room; `@bob` stands for the conversation of two with bob. Its `id`, any JSON, is in the answer.
 * Commands as people type them are `client_typed_command.ts`; `client_actions.ts` carries them out.
 *
 * @layer chat
 */

import type { RoomRole } from "./log_envelope.ts";
import { isJsonList, isJsonObject, type Json, type JsonObject, member, parseJson } from "./json.ts";
import type { HistoryPolicy } from "./log_requests.ts";
import { isRoomName, isUsername } from "./names.ts";
import type { Standing } from "./client_pins.ts";
import type { LineEvent, ListedRoom, Member, RoomEvent } from "./client_event.ts";

/** Which lines of an export are opened. */
export type Openings = "all" | "none" | readonly number[];

/** What is asked for. A room is `#ops`, `@alice,@bob`, or `@bob` for the conversation with bob. */
export type RoomCommand =
  | { readonly command: "join" | "part" | "forget" | "who" | "head" | "receipt"; readonly room: string }
  | {
    readonly command: "create";
    readonly room: string;
    readonly history: HistoryPolicy;
    readonly invite_only: boolean;
  }
  | { readonly command: "say" | "me" | "search"; readonly room: string; readonly text: string }
  /** Without a text: what it is. */
  | { readonly command: "topic"; readonly room: string; readonly text?: string }
  | { readonly command: "msg"; readonly username: string; readonly text: string }
  | { readonly command: "whois"; readonly username: string }
  /** The beginning of a certificate's fingerprint, {@link LEAST_FINGERPRINT} digits or more. */
  | { readonly command: "vouch"; readonly fingerprint: string }
  /** Without `away`: the other than now. */
  | { readonly command: "away"; readonly away?: boolean }
  | { readonly command: "invite" | "kick"; readonly room: string; readonly username: string }
  /** `until`: unix seconds; 0 lifts it; without it, for good. */
  | { readonly command: "ban" | "mute"; readonly room: string; readonly username: string; readonly until?: number }
  | { readonly command: "role"; readonly room: string; readonly username: string; readonly role: RoomRole }
  | { readonly command: "redact" | "prove"; readonly room: string; readonly index: number }
  /** Without an index: of the last line of one's own. */
  | { readonly command: "proof"; readonly room: string; readonly index?: number }
  | { readonly command: "history"; readonly room: string; readonly count: number }
  | {
    readonly command: "export";
    readonly room: string;
    readonly from?: number;
    readonly to?: number;
    readonly open: Openings;
    /** Whether to leave lines out that no signed head covers, without waiting for one. */
    readonly covered?: boolean;
  }
  /** Without passwords whoever typed it is asked for them. */
  | { readonly command: "password"; readonly old?: string; readonly new?: string }
  | { readonly command: "rooms" | "reconnect" | "help" | "quit" };

/** A certificate of somebody's, as `whois` tells it; `not_after` in unix seconds. */
export interface Device {
  readonly fingerprint: string;
  readonly subject: string;
  readonly not_after: number;
  readonly standing: Standing;
}

/** What commands are answered with, beside the events of rooms: an answer, and what it answers. */
export type AnswerEvent = Answer & {
  /** The command's name; null where it can't be told from what was read. */
  readonly command?: string | null;
  /** That of the command. */
  readonly id?: Json;
};

/** Everything that is shown. */
export type ShownEvent = RoomEvent | AnswerEvent;

/** What an answer says. */
export type Answer =
  | { readonly event: "done" }
  | { readonly event: "error"; readonly reason: string }
  | { readonly event: "members"; readonly room: string; readonly members: readonly Member[] }
  | { readonly event: "rooms"; readonly rooms: readonly ListedRoom[] }
  | { readonly event: "whois"; readonly username: string; readonly devices: readonly Device[] }
  | { readonly event: "history" | "found"; readonly room: string; readonly lines: readonly LineEvent[] }
  | {
    readonly event: "proof";
    readonly room: string;
    /** Null where no line of one's own is in the log. */
    readonly index: number | null;
    /** `placed`: the server says so; `accepted`: a signed head covers it. */
    readonly state: "unsent" | "placed" | "accepted";
    /** The time of the first head that covers it, unix seconds. */
    readonly by: number | null;
    /** How many others have signed that they had seen a head beyond it. */
    readonly countersigned: number;
    /** The origin of the server's log; null if this client knows none. */
    readonly log: string | null;
    /** Whether the server's log registers a head that covers the line, and who cosigned it. */
    readonly registered: boolean;
    readonly cosigners: readonly string[];
    /** Whether a time-stamping authority has stamped that log since. */
    readonly stamped: boolean;
    /** Lines that are not known to be in the log. */
    readonly unsent: number;
  }
  | {
    readonly event: "head";
    readonly room: string;
    readonly size: number;
    readonly root: string;
    /** To compare aloud or on paper. */
    readonly code: string;
  }
  /** The record of a room that could not be gone on with is in that folder now, as evidence. */
  | { readonly event: "forgotten"; readonly room: string; readonly folder: string }
  | { readonly event: "exported"; readonly files: readonly string[]; readonly verify: string }
  | { readonly event: "notice"; readonly message: string };

/** A command, or why there is none. */
export type Parsed = { readonly command: RoomCommand } | { readonly problem: string };

/** There is no command, for that reason. */
export function problem(reason: string): Parsed {
  return { problem: reason };
}

/** A command as JSON, and its `id`. */
export function parseRoomCommand(line: string): Parsed & { readonly id?: Json } {
  const object = parseJson(line);
  if (!isJsonObject(object)) return problem('A command is one line of JSON, such as {"command":"join","room":"#ops"}.');
  const id = member(object, "id");
  return { ...parseObject(object), ...(id === undefined ? {} : { id }) };
}

/** What is wrong with a field, in a sentence. */
class Wrong extends Error {}

/** A command out of its fields, or why there is none. */
export function parseObject(object: JsonObject): Parsed {
  try {
    return { command: read(object) };
  } catch (error) {
    if (error instanceof Wrong) return problem(error.message);
    throw error;
  }
}

function read(object: JsonObject): RoomCommand {
  const command = text(object, "command");
  switch (command) {
    case "join":
    case "part":
    case "forget":
    case "who":
    case "head":
    case "receipt":
      return { command, room: room(object) };
    case "create": {
      const history = member(object, "history") ?? "all";
      if (history !== "all" && history !== "since_join") throw new Wrong('"history" must be "all" or "since_join".');
      const invites = member(object, "invite_only") ?? false;
      if (typeof invites !== "boolean") throw new Wrong('"invite_only" must be true or false.');
      return { command, room: room(object), history, invite_only: invites };
    }
    case "say":
    case "me":
    case "search":
      return { command, room: room(object), text: text(object, "text") };
    case "topic": {
      const isAsked = member(object, "text") === undefined;
      return { command, room: room(object), ...(isAsked ? {} : { text: text(object, "text") }) };
    }
    case "msg":
      return { command, username: username(object), text: text(object, "text") };
    case "whois":
      return { command, username: username(object) };
    case "vouch": {
      const fingerprint = text(object, "fingerprint");
      if (!FINGERPRINT.test(fingerprint)) throw new Wrong(NOT_A_FINGERPRINT);
      return { command, fingerprint };
    }
    case "away": {
      const away = member(object, "away");
      if (away !== undefined && typeof away !== "boolean") throw new Wrong('"away" must be true or false.');
      return { command, ...(away === undefined ? {} : { away }) };
    }
    case "invite":
    case "kick":
      return { command, room: room(object), username: username(object) };
    case "ban":
    case "mute":
      return { command, room: room(object), username: username(object), ...maybe("until", count(object, "until")) };
    case "role": {
      const role = text(object, "role");
      if (role !== "owner" && role !== "moderator" && role !== "member") {
        throw new Wrong("A role must be owner, moderator or member.");
      }
      return { command, room: room(object), username: username(object), role };
    }
    case "redact":
    case "prove": {
      const index = count(object, "index");
      if (index === undefined) throw new Wrong('"index" is missing: it must be the index of a line.');
      return { command, room: room(object), index };
    }
    case "proof":
      return { command, room: room(object), ...maybe("index", count(object, "index")) };
    case "history":
      return { command, room: room(object), count: count(object, "count") ?? 20 };
    case "export": {
      const [from, to] = [count(object, "from"), count(object, "to")];
      const covered = member(object, "covered");
      if (covered !== undefined && typeof covered !== "boolean") throw new Wrong('"covered" must be true or false.');
      return {
        ...{ command, room: room(object), ...maybe("from", from), ...maybe("to", to), open: openings(object) },
        ...(covered === undefined ? {} : { covered }),
      };
    }
    case "rooms":
    case "password": {
      const [old, next] = [member(object, "old"), member(object, "new")];
      if (old === undefined && next === undefined) return { command };
      return { command, old: text(object, "old"), new: text(object, "new") };
    }
    case "reconnect":
    case "help":
    case "quit":
      return { command };
    default:
      throw new Wrong(`Unknown command ${command}; docs/BOTS.md lists the commands.`);
  }
}

/** So many digits of a fingerprint name a certificate: nobody makes another one that begins so. */
export const LEAST_FINGERPRINT = 16;
const FINGERPRINT = new RegExp(`^[0-9a-f]{${LEAST_FINGERPRINT},64}$`);
const NOT_A_FINGERPRINT = `Name a certificate by the first ${LEAST_FINGERPRINT} or more of the 64 hex digits of its ` +
  "fingerprint, as /whois shows them.";

function maybe<Name extends string>(name: Name, value: number | undefined): { readonly [N in Name]?: number } {
  return value === undefined ? {} : { [name]: value } as { [N in Name]: number };
}

function text(object: JsonObject, name: string): string {
  const value = member(object, name);
  if (typeof value !== "string") throw new Wrong(`"${name}" is missing: it must be a string.`);
  return value;
}

function room(object: JsonObject): string {
  const value = text(object, "room");
  if (!isRoomName(value) && !isUsername(value.slice(1))) throw new Wrong(NOT_A_ROOM);
  if (!isRoomName(value) && !value.startsWith("@")) throw new Wrong(NOT_A_ROOM);
  return value;
}

const NOT_A_ROOM = "A room is # followed by 1 to 48 of a-z, 0-9, -, _ and ., or @ followed by a person's name.";

function username(object: JsonObject): string {
  const value = text(object, "username");
  if (!isUsername(value)) {
    throw new Wrong("A username has 1 to 64 ASCII letters, digits, dots, underscores or hyphens.");
  }
  return value;
}

function count(object: JsonObject, name: string): number | undefined {
  const value = member(object, name);
  if (value === undefined) return undefined;
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  throw new Wrong(`"${name}" must be a whole number.`);
}

function openings(object: JsonObject): Openings {
  const value = member(object, "open") ?? "all";
  if (value === "all" || value === "none") return value;
  const indexes = isJsonList(value) ? value.filter((index) => typeof index === "number") : [];
  if (indexes.length === 0) throw new Wrong('"open" must be "all", "none" or a list of indexes.');
  return indexes;
}
