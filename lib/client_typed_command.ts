/**
 * Commands as people type them, in a room or before there is one.
 *
 *     hello                    { command: "say", room: "#ops", text: "hello" }
 *     /ban eve 2h              { command: "ban", room: "#ops", username: "eve", until: 1700062822 }
 *     /export --only 41,42     { command: "export", room: "#ops", open: [41, 42] }
 *     //etc is full            { command: "say", room: "#ops", text: "/etc is full" }
 *
 * A mistyped command is never sent as a text.
 *
 * @layer chat
 */

import { type Parsed, parseObject, problem } from "./client_command.ts";
import type { JsonObject } from "./json.ts";
import { nearest } from "./nearest.ts";

/** The commands as they are typed: what follows the name, and what it is for. */
export const TYPED: Readonly<Record<string, readonly [args: string, help: string]>> = {
  join: ["ROOM", "join a room, or go to it; @bob is the conversation with bob"],
  part: ["[ROOM]", "leave the room"],
  forget: ["ROOM", "put aside the record of a room that is no longer trusted, to join anew"],
  create: ["ROOM [invite-only] [since-join]", "make a room; since-join: newcomers don't see what was said before"],
  msg: ["NAME TEXT", "send a message to one person"],
  me: ["TEXT", "say what you do"],
  topic: ["[TEXT|off]", "show the topic; set it, or clear it with off"],
  who: ["[ROOM]", "the room's members, their roles, and who is online"],
  whois: ["NAME", "somebody's certificates, and why each is trusted"],
  vouch: ["FINGERPRINT", "confirm another certificate as yours, by 16 or more digits of its fingerprint"],
  rooms: ["", "the rooms of the server"],
  history: ["[COUNT]", "show the last lines again"],
  search: ["TEXT", "find the lines in which something was said"],
  invite: ["NAME", "let somebody into an invite-only room"],
  kick: ["NAME", "remove somebody"],
  ban: ["NAME [30m|2h|7d|off]", "remove somebody, and keep them out"],
  mute: ["NAME [30m|2h|7d|off]", "let somebody read but not write"],
  role: ["NAME owner|moderator|member", "set somebody's role"],
  redact: ["INDEX", "erase the words of a line of yours; that it was said stays on record"],
  proof: ["[INDEX]", "how far a line is proved: sent, accepted, countersigned"],
  head: ["", "the newest signed head, with a short code to compare with others"],
  export: ["[--from N] [--to N] [--closed|--only N,…] [--covered]", "write transcript, receipt and openings"],
  receipt: ["", "write the room's receipt and transcript without words: /export --closed of all lines"],
  prove: ["INDEX", "write one line with everything that proves it into one file"],
  password: ["", "change your password; you are asked for the old and the new one, hidden"],
  away: ["", "show others that you are away, or back; your next message shows you as back, too"],
  reconnect: ["", "connect again now"],
  help: ["", "this list"],
  quit: ["", "exit; you stay a member of your rooms"],
};

/** The names of the typed commands. */
export const COMMAND_NAMES: readonly string[] = Object.keys(TYPED);

/** What `/help` answers. */
export const ROOM_HELP: readonly string[] = [
  "Type a message and press Enter to send it to the room. It is signed, and the room is recorded.",
  ...Object.entries(TYPED).map(([name, [args, help]]) => `${`/${name} ${args}`.trim().padEnd(34)} ${help}`),
  `${"//text".padEnd(34)} send a message that begins with a slash`,
];

/** Parses what was typed, in that room or before there is one. `now`: unix milliseconds. */
export function parseTyped(line: string, room: string | undefined, now: number): Parsed {
  if (!line.startsWith("/") || line.startsWith("//")) return say(line.replace(/^\/\//, "/"), room);
  const [, name = "", rest = ""] = /^\/(\S*)\s*([^]*?)\s*$/.exec(line) ?? [];
  const typed = Object.hasOwn(TYPED, name) ? TYPED[name] : undefined;
  if (!typed) {
    return problem(`${unknown(name)} To send a message that begins with a slash, type two.`);
  }
  const fields = fieldsOf(name, rest, now);
  if (!fields) return problem(usageOf(name));
  const needsRoom = !NO_ROOM.has(name) && fields.room === undefined;
  if (needsRoom && room === undefined) return problem(NO_CURRENT_ROOM);
  return parseObject({ ...(needsRoom && room !== undefined ? { room } : {}), ...fields, command: name });
}

const NO_CURRENT_ROOM = "You are in no room. /join ROOM joins one; /rooms lists them.";
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

function unknown(name: string): string {
  const begun = COMMAND_NAMES.filter((known) => name !== "" && known.startsWith(name));
  const meant = begun.length === 1 ? begun[0] : nearest(name, COMMAND_NAMES);
  return `Unknown command /${name}. ${meant === undefined ? "/help lists the commands." : `Did you mean /${meant}?`}`;
}

function usageOf(name: string): string {
  return `Usage: ${`/${name} ${TYPED[name]?.[0] ?? ""}`.trim()}`;
}

/** The fields that the words of a typed command mean; `undefined` if they don't fit the command. */
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

/** The index of the line whose words a typed line asks to erase; `undefined` if it asks for something else. */
export function indexToRedact(line: string): number | undefined {
  const index = /^\/redact\s+([0-9]{1,15})\s*$/.exec(line)?.[1];
  return index === undefined ? undefined : Number(index);
}

/** What somebody on a terminal is asked before words are erased. */
export const REDACT_QUESTION = (index: number): string => `Erase the words of line ${index} for good?`;
