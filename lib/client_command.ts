/**
 * What a person or a program asks of a client with rooms: as it is typed, and as one JSON a line.
 *
 *     hello                              {"command":"say","room":"#ops","text":"hello"}
 *     /ban eve 2h                        {"command":"ban","room":"#ops","username":"eve","until":1700062822}
 *     /export --only 41,42               {"command":"export","room":"#ops","open":[41,42]}
 *     //etc is full                      {"command":"say","room":"#ops","text":"/etc is full"}
 *
 * What is typed belongs to the current room; a command as JSON names its room, `@bob` stands for the direct
 * conversation with bob, and its `id`, any JSON, stands in the answer. A mistyped command is never sent as a text. This
 * parses alone; `client_actions.ts` acts.
 *
 * @layer chat
 */

import type { RoomRole } from "./log_envelope.ts";
import { isJsonList, isJsonObject, type Json, type JsonObject, member, parseJson } from "./json.ts";
import { isRoomName, isUsername } from "./names.ts";
import type { Standing } from "./client_pins.ts";
import type { LineEvent, ListedRoom, Member, RoomEvent } from "./client_event.ts";
import type { HistoryPolicy } from "./log_frames.ts";

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

/** The commands as they are typed: what follows the name, and what it is for. */
export const TYPED: Readonly<Record<string, readonly [args: string, help: string]>> = {
  join: ["ROOM", "come into a room, or go to it; @bob is the conversation with bob"],
  part: ["[ROOM]", "leave the room"],
  forget: ["ROOM", "put the record of a room aside that isn't trusted any more, to join what is there now"],
  create: ["ROOM [invite-only] [since-join]", "make a room; since-join: newcomers don't see what was said before"],
  msg: ["NAME TEXT", "say something to one person alone"],
  me: ["TEXT", "say what you do"],
  topic: ["[TEXT|off]", "what the topic is; set it, or take it away"],
  who: ["[ROOM]", "the members of the room, who of them is online, and their roles"],
  whois: ["NAME", "somebody's certificates, and how each is known"],
  vouch: ["FINGERPRINT", "say that a further certificate is yours, by 16 digits or more of its fingerprint"],
  rooms: ["", "the rooms of the server"],
  history: ["[COUNT]", "show the last lines again"],
  search: ["TEXT", "the lines in which something was said"],
  invite: ["NAME", "let somebody into an invite-only room"],
  kick: ["NAME", "put somebody out"],
  ban: ["NAME [30m|2h|7d|off]", "put somebody out, and keep them out"],
  mute: ["NAME [30m|2h|7d|off]", "let somebody read but not write"],
  role: ["NAME owner|moderator|member", "say what somebody may do"],
  redact: ["INDEX", "erase the words of a line of your own; that it was said stays on record"],
  proof: ["[INDEX]", "how far a line is proved: sent, accepted, countersigned"],
  head: ["", "the newest signed head and a short code, to compare with others"],
  export: ["[--from N] [--to N] [--closed|--only N,…] [--covered]", "write transcript, receipt and openings"],
  receipt: ["", "write the room's receipt and transcript without words: /export --closed of all lines"],
  prove: ["INDEX", "write one line with all that proves it into one file"],
  password: ["", "change your password: the old one and the new one are asked for, and not shown"],
  away: ["", "show others that nobody is here, or is again; so does the next line that you say"],
  reconnect: ["", "try now to reach the server, or begin the connection anew"],
  help: ["", "this"],
  quit: ["", "end the program; your rooms keep you as a member"],
};

/** The names of the typed commands. */
export const COMMAND_NAMES: readonly string[] = Object.keys(TYPED);

/** What `/help` answers. */
export const ROOM_HELP: readonly string[] = [
  "Type a line and press Enter to say it in the room; it is signed, and the room is recorded.",
  ...Object.entries(TYPED).map(([name, [args, help]]) => `${`/${name} ${args}`.trim().padEnd(34)} ${help}`),
  `${"//text".padEnd(34)} say a text that begins with a slash`,
];

/** What was typed, in a room or before there is one. `now`: unix milliseconds. */
export function parseTyped(line: string, room: string | undefined, now: number): Parsed {
  if (!line.startsWith("/") || line.startsWith("//")) return say(line.replace(/^\/\//, "/"), room);
  const [, name = "", rest = ""] = /^\/(\S*)\s*([^]*?)\s*$/.exec(line) ?? [];
  const typed = Object.hasOwn(TYPED, name) ? TYPED[name] : undefined;
  if (!typed) {
    return problem(`There is no command /${name}; /help names them; to say a text that begins with a slash, type two.`);
  }
  const fields = fieldsOf(name, rest, now);
  if (!fields) return problem(usageOf(name));
  const needsRoom = !NO_ROOM.has(name) && fields.room === undefined;
  if (needsRoom && room === undefined) return problem(NO_CURRENT_ROOM);
  return parseObject({ ...(needsRoom && room !== undefined ? { room } : {}), ...fields, command: name });
}

const NO_CURRENT_ROOM = "You are in no room: /join ROOM first, or /rooms to see which there are.";
const NO_ROOM: ReadonlySet<string> = new Set([
  "msg",
  "whois",
  "vouch",
  "away",
  "password",
  "rooms",
  "reconnect",
  "help",
  "quit",
]);

function say(text: string, room: string | undefined): Parsed {
  return room === undefined ? problem(NO_CURRENT_ROOM) : { command: { command: "say", room, text } };
}

function problem(reason: string): Parsed {
  return { problem: reason };
}

function usageOf(name: string): string {
  return `It is typed like this: ${`/${name} ${TYPED[name]?.[0] ?? ""}`.trim()}`;
}

/** The fields that a typed command's words mean; `undefined` where they are none. */
function fieldsOf(name: string, rest: string, now: number): JsonObject | undefined {
  const words = rest === "" ? [] : rest.split(/\s+/);
  const [first, ...more] = words;
  switch (name) {
    case "join":
    case "forget":
      return first !== undefined && more.length === 0 ? { room: roomOf(first) } : undefined;
    case "part":
    case "who":
      return more.length > 0 ? undefined : first === undefined ? {} : { room: roomOf(first) };
    case "create": {
      const isKnown = more.every((word) => word === "invite-only" || word === "since-join");
      if (first === undefined || !isKnown) return undefined;
      const history = more.includes("since-join") ? "since_join" : "all";
      return { room: roomOf(first), history, invite_only: more.includes("invite-only") };
    }
    case "msg": {
      const [, username, text] = /^(\S+)\s+([^]+)$/.exec(rest) ?? [];
      return username === undefined || text === undefined ? undefined : { username: nameOf(username), text };
    }
    case "topic":
      return rest === "" ? {} : { text: rest === "off" ? "" : rest };
    case "me":
    case "search":
      return rest === "" ? undefined : { text: rest };
    case "vouch":
      return words.length === 1 ? { fingerprint: rest.toLowerCase().replaceAll(":", "") } : undefined;
    case "whois":
    case "invite":
    case "kick":
      return first !== undefined && more.length === 0 ? { username: nameOf(first) } : undefined;
    case "ban":
    case "mute": {
      if (first === undefined || more.length > 1) return undefined;
      const until = more[0] === undefined ? undefined : endOf(more[0], now);
      if (more[0] !== undefined && until === undefined) return undefined;
      return { username: nameOf(first), ...(until === undefined ? {} : { until }) };
    }
    case "role":
      return more.length === 1 ? { username: nameOf(first ?? ""), role: more[0] ?? "" } : undefined;
    case "redact":
    case "prove":
      return words.length === 1 && isDigits(first) ? { index: Number(first) } : undefined;
    case "proof":
      return words.length === 0 ? {} : words.length === 1 && isDigits(first) ? { index: Number(first) } : undefined;
    case "history":
      return words.length === 0 ? {} : words.length === 1 && isDigits(first) ? { count: Number(first) } : undefined;
    case "export":
      return exportOf(words);
    default:
      return words.length === 0 ? {} : undefined;
  }
}

function exportOf(words: readonly string[]): JsonObject | undefined {
  let fields: JsonObject = {};
  if (words.filter((word) => ["--closed", "--open", "--only"].includes(word)).length > 1) return undefined;
  for (let at = 0; at < words.length; at++) {
    const flag = words[at];
    if (flag === "--covered") fields = { ...fields, covered: true };
    else if (flag === "--closed") fields = { ...fields, open: "none" };
    else if (flag === "--open") fields = { ...fields, open: "all" };
    else if (flag === "--from" || flag === "--to" || flag === "--only") {
      const value = words[++at] ?? "";
      if (!(flag === "--only" ? /^[0-9]+(?:,[0-9]+)*$/ : /^[0-9]+$/).test(value)) return undefined;
      const field = flag === "--only" ? { open: value.split(",").map(Number) } : { [flag.slice(2)]: Number(value) };
      fields = { ...fields, ...field };
    } else return undefined;
  }
  return fields;
}

function isDigits(text: string | undefined): boolean {
  return text !== undefined && /^[0-9]{1,15}$/.test(text);
}

function roomOf(text: string): string {
  const name = text.toLowerCase();
  return /^[#@]/.test(name) ? name : `#${name}`;
}

function nameOf(text: string): string {
  return text.replace(/^@/, "").replace(/[:,]$/, "");
}

const UNITS: Readonly<Record<string, number>> = { m: 60, h: 3600, d: 86_400 };

/** When a time that begins now ends, in unix seconds; 0 for `off`. */
function endOf(text: string, now: number): number | undefined {
  if (text === "off") return 0;
  const [, count, unit = ""] = /^([0-9]{1,6})([mhd])$/.exec(text) ?? [];
  return count === undefined ? undefined : Math.floor(now / 1000) + Number(count) * (UNITS[unit] ?? 0);
}

/** The index of the line whose words a typed line asks to erase; `undefined` where it asks for something else. */
export function indexToRedact(line: string): number | undefined {
  const index = /^\/redact\s+([0-9]{1,15})\s*$/.exec(line)?.[1];
  return index === undefined ? undefined : Number(index);
}

/** What somebody on a terminal is asked before words are erased. */
export const REDACT_QUESTION = (index: number): string => `Erase the words of line ${index} for good?`;

/** A command as JSON, and its `id`. */
export function parseRoomCommand(line: string): Parsed & { readonly id?: Json } {
  const object = parseJson(line);
  if (!isJsonObject(object)) return problem('A command is one JSON object a line: {"command":"join","room":"#ops"}.');
  const id = member(object, "id");
  return { ...parseObject(object), ...(id === undefined ? {} : { id }) };
}

class Wrong extends Error {}

function parseObject(object: JsonObject): Parsed {
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
      if (history !== "all" && history !== "since_join") throw new Wrong('"history" is "all" or "since_join".');
      const invites = member(object, "invite_only") ?? false;
      if (typeof invites !== "boolean") throw new Wrong('"invite_only" is true or false.');
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
      if (away !== undefined && typeof away !== "boolean") throw new Wrong('"away" is true or false.');
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
        throw new Wrong("A role is owner, moderator or member.");
      }
      return { command, room: room(object), username: username(object), role };
    }
    case "redact":
    case "prove": {
      const index = count(object, "index");
      if (index === undefined) throw new Wrong('"index" is missing: the index of a line.');
      return { command, room: room(object), index };
    }
    case "proof":
      return { command, room: room(object), ...maybe("index", count(object, "index")) };
    case "history":
      return { command, room: room(object), count: count(object, "count") ?? 20 };
    case "export": {
      const [from, to] = [count(object, "from"), count(object, "to")];
      const covered = member(object, "covered");
      if (covered !== undefined && typeof covered !== "boolean") throw new Wrong('"covered" is true or false.');
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
      throw new Wrong(`There is no command ${command}; docs/BOTS.md names them.`);
  }
}

/** So many digits of a fingerprint name a certificate: nobody makes another one that begins so. */
export const LEAST_FINGERPRINT = 16;
const FINGERPRINT = new RegExp(`^[0-9a-f]{${LEAST_FINGERPRINT},64}$`);
const NOT_A_FINGERPRINT =
  `A certificate is named by the first ${LEAST_FINGERPRINT} or more of the 64 hex digits of its ` +
  "fingerprint, as /whois shows them.";

function maybe<Name extends string>(name: Name, value: number | undefined): { readonly [N in Name]?: number } {
  return value === undefined ? {} : { [name]: value } as { [N in Name]: number };
}

function text(object: JsonObject, name: string): string {
  const value = member(object, name);
  if (typeof value !== "string") throw new Wrong(`"${name}" is missing: a text.`);
  return value;
}

function room(object: JsonObject): string {
  const value = text(object, "room");
  if (!isRoomName(value) && !isUsername(value.slice(1))) throw new Wrong(NOT_A_ROOM);
  if (!isRoomName(value) && !value.startsWith("@")) throw new Wrong(NOT_A_ROOM);
  return value;
}

const NOT_A_ROOM = "A room is # and 1 to 48 of a-z, 0-9, -, _ and ., or @ and a person's name.";

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
  throw new Wrong(`"${name}" is a whole number.`);
}

function openings(object: JsonObject): Openings {
  const value = member(object, "open") ?? "all";
  if (value === "all" || value === "none") return value;
  const indexes = isJsonList(value) ? value.filter((index) => typeof index === "number") : [];
  if (indexes.length === 0) throw new Wrong('"open" is "all", "none" or a list of indexes.');
  return indexes;
}
