/**
 * The interface for bots: one JSON object a line, commands in and events out.
 *
 *     → {"command":"say","room":"@bob","text":"hello","id":7}
 *     ← {"event":"line","room":"@bob","index":3,"username":"ada","kind":"text","text":"hello","live":true,…}
 *     ← {"event":"done","command":"say","id":7,"live":true}
 *
 * Events are those of `client_event.ts` and the answers of `client_command.ts`, with what a program needs beside them:
 * `live` on each, all times in unix milliseconds, and a conversation of two named after the partner. {@link BOT_EVENTS}
 * and {@link BOT_COMMANDS} say what every field means; docs/BOTS.md is made from them, and their types hold them to the
 * events and commands that there are.
 *
 * @layer chat
 */

import { isJsonObject, type Json, type JsonObject, member, parseJson } from "./json.ts";
import { partners, usernameKey } from "./names.ts";
import { type Parsed, parseRoomCommand, type RoomCommand } from "./client_command.ts";
import { LiveEvents } from "./client_live.ts";
import type { ShownEvent } from "./client_command.ts";

/** Events that were lost because the bot did not read them in time. */
export interface Overflow {
  readonly event: "overflow";
  /** How many. */
  readonly lost: number;
}

/** What a bot is told, before its fields are given their outer form. */
export type BotEvent = ShownEvent | Overflow;

type EventNamed<Name> = Of<BotEvent, Name>;
type Of<Event, Name> = Event extends { readonly event: infer Names } ? Name extends Names ? Event : never : never;
type Fields<Of> = { readonly [Name in Exclude<keyof Of, "event" | "command" | "id">]-?: string };

type CommandNamed<Name> = CommandOf<RoomCommand, Name>;
type CommandOf<Command, Name> = Command extends { readonly command: infer Names } ? Name extends Names ? Command : never
  : never;
type Arguments<Of> = { readonly [Name in Exclude<keyof Of, "command">]-?: string };

const ROOM = "the room";

/** Every event: what it says, and each of its fields. Every one has `live` beside them. */
export const BOT_EVENTS: {
  readonly [Name in BotEvent["event"]]: { readonly says: string; readonly fields: Fields<EventNamed<Name>> };
} = {
  account: { says: "whose rooms these are, before there is a session", fields: { username: "your name" } },
  online: {
    says: "there is a session",
    fields: { username: "your name", server_fingerprint: "SHA-256 of the server's certificate, hex" },
  },
  offline: {
    says: "the connection is lost, or could not be made",
    fields: { reason: "why", retry_in: "milliseconds until the next try; null if there is none" },
  },
  silent: {
    says: "the server has not answered for a while; the connection is given up if it goes on so",
    fields: { silent_for: "for how long, in milliseconds; 0: it has answered" },
  },
  wrong_clock: {
    says: "a signed head's time is not this computer's, or is before that of its lines; it counts for nothing",
    fields: { room: ROOM, time: "the head's time", now: "this computer's" },
  },
  right_clock: { says: "the newest signed head's time is right again", fields: { room: ROOM } },
  server_log: {
    says: "what was found in the server's log, which registers all rooms: `lie` counts for all of them, for good",
    fields: { news: "`lie`, `late` or `mended`", reason: "why" },
  },
  other_log: {
    says: "the author of a line follows another log of this server, or lies: no conviction",
    fields: { room: ROOM, index: "the line's" },
  },
  joined: {
    says: "the server has let you into a room; its lines follow, and then `caught_up`",
    fields: {
      ...{ room: ROOM, origin: "the log's name, for good", mode: "`recorded`", topic: "the topic; may be empty" },
      history: "`all`, or `since_join`: newcomers don't see what was said before they came",
      count: "how many lines the log has",
    },
  },
  caught_up: {
    says: "the lines up to now are shown, or follow; what has a greater index is new",
    fields: { room: ROOM, size: "how many lines that is" },
  },
  left: { says: "you are no longer in the room", fields: { room: ROOM, reason: "why" } },
  line: {
    says: "a line of a room; one line may come again when more is known of it, with the same `index`",
    fields: {
      ...{ room: ROOM, index: "its place in the log, from 0", from: "the author's certificate: SHA-256, hex" },
      username: "the author's name; null before it is known",
      seqno: "which of the author's lines it is, from 0",
      ts: "when the author says it was written",
      by: "by when the server had it: the time of the first signed head that covers it; null until there is one",
      kind: "`text`, `topic`, `join`, `part`, `invite`, `kick`, `ban`, `mute`, `role`, `redact`, `device`, `head`, " +
        "or one that this version doesn't know; null if the words are erased or can't be read",
      text: "what was said; null for lines that aren't words",
      statement: "what a line of a known kind says, with its `kind`; null for others",
      seen: "how many lines the author had seen signed by the server; null if unknown",
      mine: "whether you wrote it",
      erased: "whether its words were erased",
      unvouched: "whether the author's certificate is a further one that nobody has vouched for yet",
      unchecked: "whether its signature is still to be checked; `checked` or `bad_line` follows",
      bad: "what is wrong with it; null if nothing is",
    },
  },
  checked: {
    says: "the signatures of lines that were shown as unchecked are good",
    fields: { room: ROOM, from: "the first of them", to: "the one after the last" },
  },
  bad_line: {
    says: "a line that was shown as unchecked is not good",
    fields: { room: ROOM, index: "which", reason: "what is wrong with it" },
  },
  erased: { says: "the words of a line were erased", fields: { room: ROOM, index: "which" } },
  covered: {
    says: "the server has signed a head over all lines before `size`: these are accepted",
    fields: { room: ROOM, size: "how many lines", time: "when it was signed" },
  },
  uncovered: {
    says: "no signed head has covered these lines for 30 seconds",
    fields: { room: ROOM, from: "the first of them", to: "the one after the last" },
  },
  state: {
    says: "the topic or the members have changed",
    fields: { room: ROOM, topic: "the topic; may be empty", members: "each with `username` and `role`" },
  },
  device: {
    says: "somebody has a further certificate, or one of theirs has now been vouched for",
    fields: {
      ...{ room: ROOM, username: "whose", fingerprint: "of that certificate: SHA-256, hex" },
      ...{ vouched: "whether an earlier one of theirs says so", mine: "whether it is this client's own" },
    },
  },
  lie: {
    says: "the server was caught: the room is no longer trusted and takes no lines",
    fields: { room: ROOM, lie: "the kind, for example `fork`", reason: "what the server did" },
  },
  sending: {
    says: "a line of yours is on the disk and on its way",
    fields: {
      ...{ room: ROOM, key: "names it until it has an index", kind: "as in `line`" },
      text: "what it says; null for lines that aren't words",
    },
  },
  accepted: {
    says: "a line of yours has its place",
    fields: { room: ROOM, key: "that of `sending`", index: "its place in the log" },
  },
  dropped: {
    says: "a line of yours will not be sent again",
    fields: {
      ...{ room: ROOM, key: "that of `sending`", reason: "why" },
      error_type: "the server's code, or `timeout`: no answer came, and the line may stand in the log",
    },
  },
  waiting: {
    says: "lines of yours stay unsent for now",
    fields: { room: ROOM, count: "how many", reason: "why" },
  },
  present: {
    says: "who is a member and who is here, once after `caught_up`",
    fields: {
      room: ROOM,
      members: "each with `username`, `role`, `online` and `state`: `online`, `away` or `offline`",
    },
  },
  presence: {
    says: "somebody came, went, or is away",
    fields: { room: ROOM, username: "who", state: "`online`, `away` or `offline`" },
  },
  away: { says: "you are shown as away, or no longer are", fields: { away: "which of the two" } },
  invited: { says: "somebody invites you", fields: { room: ROOM, from: "the name of whoever invites" } },
  renewed: {
    says: "your certificate was renewed, and the session begins again",
    fields: { fingerprint: "of the new one: SHA-256, hex", not_after: "until when it is good" },
  },
  warning: { says: "something that a person should know", fields: { message: "one sentence" } },
  notice: { says: "the answer to a command that is one or more sentences", fields: { message: "one sentence" } },
  done: { says: "a command was carried out", fields: {} },
  error: { says: "a command was not carried out", fields: { reason: "why, and what to do" } },
  members: {
    says: "the answer to `who`",
    fields: { room: ROOM, members: "as in `present`" },
  },
  rooms: {
    says: "the answer to `rooms`",
    fields: { rooms: "each with `room`, `members` (how many), `invite_only` and `topic`" },
  },
  whois: {
    says: "the answer to `whois`",
    fields: {
      username: "who",
      devices: "their certificates, each with `fingerprint`, `subject`, `not_after` and `standing`",
    },
  },
  history: { says: "the answer to `history`", fields: { room: ROOM, lines: "each as in `line`" } },
  found: { says: "the answer to `search`", fields: { room: ROOM, lines: "each as in `line`" } },
  proof: {
    says: "the answer to `proof`",
    fields: {
      ...{ room: ROOM, index: "which line; null if none of yours is in the log" },
      state: "`unsent`; `placed`: the server says so; `accepted`: a signed head covers it",
      by: "the time of the first head that covers it; null if none does",
      countersigned: "how many others have signed that they had seen such a head",
      ...{ log: "the origin of the server's log; null if none is known", registered: "whether that log registers it" },
      ...{ cosigners: "the names of witnesses that cosigned that", stamped: "whether it was time-stamped since" },
      unsent: "how many lines of yours are not known to be in the log",
    },
  },
  head: {
    says: "the answer to `head`: the newest signed head",
    fields: { room: ROOM, size: "how many lines", root: "their hash, hex", code: "to compare with other members" },
  },
  forgotten: { says: "the answer to `forget`", fields: { room: ROOM, folder: "where the old record lies now" } },
  exported: {
    says: "the answer to `export`, `receipt` and `prove`",
    fields: { files: "what was written", verify: "the command that checks it" },
  },
  overflow: {
    says: "you did not read for so long that events were lost; `history` shows lines again",
    fields: { lost: "how many events" },
  },
};

/** Every command: what it does, and each of its fields. `id`, any JSON, may stand beside them. */
export const BOT_COMMANDS: {
  readonly [Name in RoomCommand["command"]]: { readonly does: string; readonly fields: Arguments<CommandNamed<Name>> };
} = {
  say: { does: "say something", fields: { room: ROOM, text: "what" } },
  me: { does: "say what you do", fields: { room: ROOM, text: "what" } },
  msg: { does: "say something to one person", fields: { username: "to whom", text: "what" } },
  join: { does: "join a room", fields: { room: ROOM } },
  part: { does: "leave a room", fields: { room: ROOM } },
  create: {
    does: "make a room",
    fields: {
      ...{ room: ROOM, history: "optional: `all`, or `since_join`: newcomers don't see what was said before" },
      invite_only: "optional: true or false",
    },
  },
  forget: {
    does: "put aside the record of a room that is no longer trusted, to join what is there now",
    fields: { room: ROOM },
  },
  topic: { does: "set the topic, or ask for it", fields: { room: ROOM, text: "optional: the topic; empty for none" } },
  who: { does: "ask who is a member and who is here", fields: { room: ROOM } },
  whois: { does: "ask for somebody's certificates", fields: { username: "whose" } },
  vouch: {
    does: "say that a further certificate is yours",
    fields: { fingerprint: "its first 16 hex digits or more" },
  },
  away: { does: "show whether somebody is here", fields: { away: "optional: true or false; without it, the other" } },
  rooms: { does: "ask for the rooms of the server", fields: {} },
  history: { does: "ask for the last lines", fields: { room: ROOM, count: "optional: how many, 20 without it" } },
  search: { does: "ask for the lines that contain a text", fields: { room: ROOM, text: "which" } },
  invite: { does: "let somebody into an invite-only room", fields: { room: ROOM, username: "whom" } },
  kick: { does: "remove somebody", fields: { room: ROOM, username: "whom" } },
  ban: {
    does: "remove somebody and keep them out",
    fields: { room: ROOM, username: "whom", until: "optional: a time; 0 lifts the ban; without it, for good" },
  },
  mute: {
    does: "let somebody read but not write",
    fields: { room: ROOM, username: "whom", until: "optional: a time; 0 lifts it; without it, for good" },
  },
  role: {
    does: "say what somebody may do",
    fields: { room: ROOM, username: "who", role: "`owner`, `moderator` or `member`" },
  },
  redact: { does: "erase the words of a line of yours", fields: { room: ROOM, index: "which" } },
  proof: {
    does: "ask how far a line is proved",
    fields: { room: ROOM, index: "optional: which; without it, your last" },
  },
  head: { does: "ask for the newest signed head", fields: { room: ROOM } },
  export: {
    does: "write transcript, receipt and openings",
    fields: {
      ...{ room: ROOM, from: "optional: the first line", to: "optional: the last line" },
      open: 'optional: "all", "none", or a list of the indexes whose words are shown',
      covered: "optional: `true` leaves out lines that no signed head covers, and doesn't wait for one",
    },
  },
  receipt: { does: "write transcript and receipt, without the words", fields: { room: ROOM } },
  prove: { does: "write one line with everything that proves it", fields: { room: ROOM, index: "which" } },
  password: { does: "change the password of the account", fields: { old: "the one that it has", new: "the next one" } },
  reconnect: { does: "try to connect now", fields: {} },
  help: { does: "list what a person can type", fields: {} },
  quit: { does: "end the program, once every line is accepted", fields: {} },
};

/** Where an event or one of the objects in it says a time in seconds. */
const SECONDS: ReadonlySet<string> = new Set(
  ["by", "not_after", "until", "covered.time", "wrong_clock.time", "wrong_clock.now"],
);
/** The events of one client, as a bot reads them. */
export class BotWire {
  #username = "";
  readonly #live = new LiveEvents();

  /** The event as one JSON object. Its texts are others' and may hold anything. */
  encode(event: BotEvent): JsonObject {
    if (event.event === "account" || event.event === "online") this.#username = event.username;
    const live = event.event === "overflow" || this.#live.take(event);
    const { command, id, ...rest } = this.#outer(event as unknown as JsonObject, event.event);
    const asked = { ...(command === undefined ? {} : { command }), ...(id === undefined ? {} : { id }) };
    return { event: event.event, ...asked, ...rest, live };
  }

  /** An object with its outer names and times; those within it likewise. */
  #outer(object: JsonObject, event: string): JsonObject {
    return Object.fromEntries(
      Object.entries(object).map(([name, value]): [string, Json] => {
        if (name === "inviteOnly") return ["invite_only", value];
        const isSeconds = SECONDS.has(name) || SECONDS.has(`${event}.${name}`);
        if (isSeconds && typeof value === "number") return [name, value * 1000];
        if (name === "room" && typeof value === "string") return [name, this.#roomName(value)];
        if (name === "id") return [name, value];
        if (Array.isArray(value)) {
          return [name, value.map((item) => isJsonObject(item) ? this.#outer(item, event) : item)];
        }
        return [name, isJsonObject(value) ? this.#outer(value, event) : value];
      }),
    );
  }

  /** A conversation of two is named after the partner. */
  #roomName(room: string): string {
    const own = usernameKey(this.#username);
    const [first, second] = partners(room) ?? [];
    if (first === undefined || second === undefined) return room;
    return `@${first === own ? second : first}`;
  }
}

/** March 1973 in milliseconds: what is smaller was meant as seconds. */
const LEAST_TIME = 100_000_000_000;

/** A bot's command, or why there is none; with its `id`, and the command's name where it has one. */
export function parseBotCommand(line: string): Parsed & { readonly id?: Json; readonly name?: string } {
  const parsed = parseRoomCommand(line);
  const object = parseJson(line);
  const name = isJsonObject(object) ? member(object, "command") : undefined;
  const named = typeof name === "string" ? { ...parsed, name } : parsed;
  if (!("command" in named) || !("until" in named.command) || named.command.until === undefined) return named;
  if (named.command.until !== 0 && named.command.until < LEAST_TIME) {
    const { command: _, ...rest } = named;
    return { ...rest, problem: '"until" is a time in unix milliseconds, or 0; this one is long past.' };
  }
  return { ...named, command: { ...named.command, until: Math.floor(named.command.until / 1000) } };
}
