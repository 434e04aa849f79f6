/**
 * What a person reads of rooms: each event as plain sentences, one a line, with no picture to be drawn.
 *
 *     [#ops 41] 14:30 ada: hello
 *     [#ops 42] 14:31 bob makes eve a moderator
 *     [#ops] WARNING: the server was caught (fork): The server has signed two different logs of 57 lines.
 *
 * Who reads these by ear or in a file gets what the screen has: day, time, author, index, and whatever is wrong. Every
 * line of a text of several lines says whose it is, and everything of others passes `readable`: nobody can write what
 * looks like another's line. What the screen makes of an event stands in `client_screen.ts`.
 *
 * @layer chat
 */

import { type EarlierLines, RecentLines } from "./client_recent_lines.ts";
import type { Statement } from "./log_envelope.ts";
import { type AnswerEvent, LEAST_FINGERPRINT, type ShownEvent } from "./client_command.ts";
import type { LineEvent, Presence, RoomEvent } from "./client_event.ts";
import { partners, usernameKey } from "./names.ts";
import type { Standing } from "./client_pins.ts";
import { readable } from "./readable.ts";
import { visible } from "./text.ts";
import { zoneOf } from "./time_zone.ts";

/**
 * How far author's time and acceptance may differ before both are shown, in milliseconds (docs/PROTOCOL.md, "Posting").
 */
const FAR_APART = 300_000;

/** `14:30`, in the time zone of whoever looks. */
export function hourOf(unixMs: number): string {
  const time = new Date(unixMs);
  if (Number.isNaN(time.getTime())) return "--:--";
  return [time.getHours(), time.getMinutes()].map((n) => String(n).padStart(2, "0")).join(":");
}

const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS = "January February March April May June July August September October November December".split(" ");

/** `Monday 23 November 2026`, in the time zone of whoever looks. */
export function dayOf(unixMs: number): string {
  const time = new Date(unixMs);
  if (Number.isNaN(time.getTime())) return "at no possible time";
  return `${DAYS[time.getDay()]} ${time.getDate()} ${MONTHS[time.getMonth()]} ${time.getFullYear()}`;
}

/** How a room is called by somebody who is in it: `@bob` for the conversation with bob. */
export function titleOf(room: string, own: string): string {
  const other = partners(room)?.find((name) => name !== own.toLowerCase());
  return other === undefined ? room : `@${other}`;
}

/** The author of a line, as far as it is known who that is. */
export function authorOf({ username, from }: Pick<LineEvent, "username" | "from">): string {
  return username ?? `${from.slice(0, 8)}…`;
}

/** What a line says: words, or an act in a sentence without its subject. */
export interface Said {
  readonly type: "words" | "act";
  readonly text: string;
}

/** What a line says. */
export function saidBy({ statement, kind, erased }: Pick<LineEvent, "statement" | "kind" | "erased">): Said {
  if (erased) return { type: "act", text: "has erased these words" };
  if (statement) return saying(statement);
  return {
    type: "act",
    text: kind === null ? "wrote what can't be read here" : `wrote a line of an unknown kind, ${kind}`,
  };
}

function saying(statement: Statement): Said {
  const act = (text: string): Said => ({ type: "act", text });
  switch (statement.kind) {
    case "text":
      // In asterisks and after the colon: an act of the record, as below, is nobody's words.
      return { type: "words", text: statement.text.replace(/^\/me ([^]+)$/, "*$1*") };
    case "topic":
      return act(statement.text === "" ? "clears the topic" : `sets the topic: ${statement.text}`);
    case "join":
      return act(
        statement.was === undefined ? "joins, and consents to the record" : "comes back with a new certificate",
      );
    case "part":
      return act("leaves");
    case "head":
      return act("countersigns what was said");
    case "invite":
      return act(`invites ${statement.username}`);
    case "kick":
      return act(`puts ${statement.username} out`);
    case "ban":
    case "mute": {
      const verb = statement.kind === "ban" ? "bans" : "mutes";
      if (statement.until === 0) return act(`no longer ${verb} ${statement.username}`);
      const until = statement.until === undefined ? "" : ` until ${momentOf(statement.until)}`;
      return act(`${verb} ${statement.username}${until}`);
    }
    case "role":
      return act(`makes ${statement.username} ${statement.role === "owner" ? "an" : "a"} ${statement.role}`);
    case "redact":
      return act(`erases the words of line ${statement.index}`);
    case "device":
      return act(`says that the certificate ${statement.fingerprint.slice(0, 16)}… is theirs too`);
  }
}

function momentOf(unixSeconds: number): string {
  return `${dayOf(unixSeconds * 1000)}, ${hourOf(unixSeconds * 1000)} ${zoneOf(unixSeconds * 1000)}`;
}

/** The day, and the zone in which it and the hours of its lines are told. */
export function dayAndZone(unixMs: number): string {
  return `${dayOf(unixMs)}, ${zoneOf(unixMs)}`;
}

/**
 * Whether a line's own time, in milliseconds, and that of its acceptance, in seconds, are too far apart to show one.
 */
function isLate(ts: number, by: number): boolean {
  return Math.abs(by * 1000 - ts) > FAR_APART;
}

/** What there is to say of a line, in brackets, behind its author's name; "" where there is nothing. */
export function remarksOn(
  { bad, unvouched, unchecked, by, ts }: Pick<LineEvent, "bad" | "unvouched" | "unchecked" | "by" | "ts">,
): string {
  const remarks = [
    ...(bad === null ? [] : [`NOT GOOD: ${bad}`]),
    ...(unvouched ? ["new certificate, nobody vouched for it"] : []),
    ...(unchecked ? ["signature not checked yet"] : []),
    ...(by !== null && isLate(ts, by) ? [`accepted by ${momentOf(by)}`] : []),
  ];
  return remarks.length === 0 ? "" : ` (${remarks.join("; ")})`;
}

/** What somebody is told who comes into a room, before the consent to the record is signed. */
export function recordedNotice(room: string, history: "all" | "since_join", own: string): string {
  const whom = partners(room)
    ? `${titleOf(room, own)} and you can read it`
    : history === "all"
    ? "its members can read it, those too who join later"
    : "its members can read what is said from their joining on";
  return `This room is recorded and signed: ${whom}, and so can whoever runs the server; each of them can show it to ` +
    "others with proof. The line with which you join is your consent.";
}

/** Pairs of different names that look alike: they differ in 0 and O, or 1, l and I, alone. */
export function lookalikes(names: Iterable<string>): [string, string][] {
  const seen = new Map<string, string>();
  const found: [string, string][] = [];
  for (const name of new Set([...names])) {
    const looks = name.replaceAll(/[1Il|i]/g, "l").toLowerCase().replaceAll("0", "o").replaceAll("rn", "m");
    const other = seen.get(looks);
    if (other === undefined) seen.set(looks, name);
    else if (other.toLowerCase() !== name.toLowerCase()) found.push([other, name]);
  }
  return found;
}

/** Whether a text speaks to somebody. */
export function mentions(text: string, username: string): boolean {
  if (username === "") return false;
  const name = username.toLowerCase().replaceAll(/[.]/g, "\\.");
  return new RegExp(`(?<![a-z0-9_.-])${name}(?![a-z0-9_-])`).test(text.toLowerCase());
}

/** How somebody is there, in a word. */
export const PRESENCE_WORDS: Readonly<Record<Presence, string>> = { online: "here", away: "away", offline: "offline" };

/**
 * `3 members, 2 here`; `bob is away` in a conversation of two. `present`: all members, by the name as it is compared.
 */
export function presentWords(room: string, own: string, present: ReadonlyMap<string, Presence>): string {
  const other = partners(room)?.find((name) => name !== usernameKey(own));
  if (other !== undefined) {
    const state = present.get(other);
    return state === undefined ? `${other} has not come yet` : `${other} is ${PRESENCE_WORDS[state]}`;
  }
  const here = [...present.values()].filter((one) => one === "online").length;
  return `${plural(present.size, "member")}, ${here} here`;
}

/**
 * Events as plain lines, each without its LF. It keeps the day, to say when it changes; a room that is opened begins with
 * its last lines ({@link RecentLines}).
 */
export class PlainText {
  #day = "";
  #username = "";
  readonly #topics = new Map<string, string>();
  readonly #warned = new Set<string>();
  /** Lines that were printed before a head covered them, by room. */
  readonly #uncovered = new Map<string, Pick<LineEvent, "index" | "ts">[]>();
  /** Rooms in which one's own join line stands. */
  readonly #consented = new Set<string>();
  readonly #recent = new RecentLines();

  /** What to print for an event. */
  lines(event: ShownEvent): string[] {
    if (event.event === "online" || event.event === "account") this.#username = event.username;
    if (event.event === "left") this.#consented.delete(event.room);
    if (event.event === "line" && event.mine) {
      if (event.kind === "part") this.#consented.delete(event.room);
      else this.#consented.add(event.room);
    }
    return this.#rows(this.#recent.take(event));
  }

  /** What to print at the end, of rooms whose lines had not all come. */
  end(): string[] {
    return this.#rows(this.#recent.end());
  }

  /** How a room is called here. */
  title(room: string): string {
    return titleOf(room, this.#username);
  }

  #rows(events: readonly (ShownEvent | EarlierLines)[]): string[] {
    return events.flatMap((event) => {
      if (event.event === "line") return this.#line(event);
      return event.event === "earlier" ? [this.#earlier(event)] : this.#sentences(event);
    }).map(readable);
  }

  #earlier({ room, count, history, isLeast }: EarlierLines): string {
    const many = isLeast ? `${count} or more earlier lines` : plural(count, "earlier line");
    return this.#in(
      room,
      `${many}; /history ${history} shows ${count === 1 ? "it" : "them"}.`,
    );
  }

  #line(event: LineEvent): string[] {
    if (event.by === null) this.#uncoveredOf(event.room).push(event);
    const day = dayAndZone(event.ts);
    const days = day === this.#day ? [] : [`--- ${day} ---`];
    this.#day = day;
    const head = `[${titleOf(event.room, this.#username)} ${event.index}]`;
    const { type, text } = saidBy(event);
    const [first = "", ...more] = text.split("\n");
    const who = `${hourOf(event.ts)} ${authorOf(event)}${remarksOn(event)}${type === "words" ? ":" : ""}`;
    return [...days, `${head} ${who} ${first}`, ...more.map((line) => `${head} | ${line}`)];
  }

  #in(room: string, text: string): string {
    return `[${titleOf(room, this.#username)}] ${text}`;
  }

  #sentences(event: Exclude<ShownEvent, LineEvent>): string[] {
    switch (event.event) {
      case "online":
        return [`You are online as ${event.username}.`, `The server's certificate: ${event.server_fingerprint}`];
      case "joined":
        if (this.#consented.has(event.room)) return [];
        return [this.#in(event.room, recordedNotice(event.room, event.history, this.#username))];
      case "caught_up":
        return [this.#in(event.room, `You are in the room; it has ${plural(event.size, "line")}.`)];
      case "state":
        return this.#state(event);
      case "present": {
        const present = new Map(event.members.map(({ username, state }) => [usernameKey(username), state]));
        return [this.#in(event.room, `${presentWords(event.room, this.#username, present)}.`)];
      }
      case "presence":
        if (usernameKey(event.username) === usernameKey(this.#username)) return [];
        return [this.#in(event.room, `${event.username} is ${PRESENCE_WORDS[event.state]}.`)];
      case "covered":
        return this.#covered(event);
      case "account":
      case "checked":
      case "sending":
      case "accepted":
      case "done":
        return [];
      default:
        return explain(event, this.#username).map((text) => "room" in event ? this.#in(event.room, text) : text);
    }
  }

  #uncoveredOf(room: string): Pick<LineEvent, "index" | "ts">[] {
    const known = this.#uncovered.get(room) ?? [];
    this.#uncovered.set(room, known);
    return known;
  }

  /** When lines were accepted whose own times, printed before, are other ones. */
  #covered({ room, size, time }: RoomEvent & { event: "covered" }): string[] {
    const uncovered = this.#uncoveredOf(room);
    this.#uncovered.set(room, uncovered.filter(({ index }) => index >= size));
    const late = uncovered.filter(({ index, ts }) => index < size && isLate(ts, time)).map(({ index }) => index);
    const ranges: [number, number][] = [];
    for (const index of late) {
      const last = ranges.at(-1);
      if (last?.[1] === index - 1) last[1] = index;
      else ranges.push([index, index]);
    }
    return ranges.map(([from, to]) => {
      const which = from === to ? `Line ${from} was` : `The lines ${from} to ${to} were`;
      return this.#in(room, `${which} accepted by ${momentOf(time)}.`);
    });
  }

  #state({ room, topic, members }: RoomEvent & { event: "state" }): string[] {
    const isNew = this.#topics.get(room) !== topic;
    this.#topics.set(room, topic);
    const pairs = lookalikes(members.map(({ username }) => username));
    const unheard = pairs.filter((pair) => !this.#warned.has(pair.join()));
    for (const pair of unheard) this.#warned.add(pair.join());
    return [
      ...(isNew && topic !== "" ? [this.#in(room, `The topic: ${topic}`)] : []),
      ...unheard.map((pair) => this.#in(room, lookalikeWarning(pair))),
    ];
  }
}

/** Two names that look alike, in a sentence. */
export function lookalikeWarning([one, other]: readonly [string, string]): string {
  return `WARNING: ${one} and ${other} are two people whose names look alike.`;
}

/** `1 member`, `2 members`. */
export function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** The events that are no lines and have nothing of their own on a screen. */
export type Remark = Exclude<
  ShownEvent,
  {
    event:
      | "line"
      | "account"
      | "online"
      | "joined"
      | "caught_up"
      | "state"
      | "present"
      | "presence"
      | "checked"
      | "covered"
      | "sending"
      | "accepted"
      | "done";
  }
>;

/** What has become of a line that is dropped. */
export function fateOf(event: RoomEvent & { event: "dropped" }): string {
  if (event.error_type === "not-kept" || event.error_type === "not-sent") return "Not sent";
  return event.error_type === "timeout" ? "Perhaps on record" : "Refused; it may be on record";
}

/** What is said beside a lie about the server's log. */
const LIE_KEPT = "What it showed is kept, and your lines don't name its log any more.";

/** An event as sentences, for the account `own`. */
export function explain(event: Remark, own: string): string[] {
  switch (event.event) {
    case "offline": {
      if (event.retry_in === null) return [`You are offline: ${event.reason}`];
      return [`You are offline: ${event.reason} (next try in ${Math.ceil(event.retry_in / 1000)} s)`];
    }
    case "silent":
      return [
        event.silent_for === 0
          ? "The server answers again."
          : `No answer from the server for ${
            Math.ceil(event.silent_for / 1000)
          } s. /reconnect tries another connection.`,
      ];
    case "left":
      return [`You are out of the room: ${event.reason}`];
    case "bad_line":
      return [`Line ${event.index} is NOT GOOD: ${event.reason}`];
    case "erased":
      return [`The words of line ${event.index} are erased.`];
    case "uncovered":
      return [
        `WARNING: no signed head has covered the lines ${event.from} to ${event.to - 1} for 30 seconds: ` +
        "that they are accepted is not proved.",
      ];
    case "wrong_clock":
      return [
        `WARNING: the server's signed head says that it is ${momentOf(event.time)}, and this computer's clock ` +
        `${
          momentOf(event.now)
        }: one of both is wrong. Lines don't count as accepted until a head comes whose time fits.`,
      ];
    case "server_log":
      if (event.news === "lie") return [`THE SERVER WAS CAUGHT: ${event.reason}`, LIE_KEPT];
      return [event.news === "late" ? `WARNING: ${event.reason}` : event.reason];
    case "other_log":
      return [
        `WARNING: the author of line ${event.index} follows another log of this server, or lies. Compare what /proof ` +
        "says with that person.",
      ];
    case "right_clock":
      return ["The time of the server's signed heads is right again."];
    case "device":
      return [usernameKey(event.username) === usernameKey(own) ? ownDevice(event) : otherDevice(event)];
    case "away":
      return [
        event.away
          ? "You are away: others see it, and nobody signs it. The next line that you say tells that you are back."
          : "You are here again.",
      ];
    case "lie":
      return [
        `WARNING: the server was caught (${event.lie}): ${event.reason} The room is not trusted any more.`,
        ...(event.lie === "other log" ? [otherLog(event.room)] : []),
      ];
    case "dropped":
      return [`${fateOf(event)}: ${event.reason}`];
    case "waiting":
      return [`${plural(event.count, "line")} not sent yet: ${event.reason}`];
    case "invited":
      return [`${event.from} invites you: /join ${event.room}`];
    case "renewed": {
      const what = `${event.fingerprint.slice(0, LEAST_FINGERPRINT)}…, good until ${dayOf(event.not_after * 1000)}`;
      return [`Your certificate ended soon and was renewed: ${what}. The session begins again with it.`];
    }
    case "warning":
      return [`WARNING: ${event.message}`];
    case "error":
      return [event.reason];
    case "members":
      return [
        `${plural(event.members.length, "member")}, as the server says:`,
        ...event.members.map(({ username, role, state }) => `${username}, ${role}, ${PRESENCE_WORDS[state]}`),
      ];
    case "rooms":
      return event.rooms.length === 0 ? ["There is no room that you may know of."] : event.rooms.map(
        ({ room, members, inviteOnly, topic }) =>
          `${room}: ${plural(members, "member")}${inviteOnly ? ", invite-only" : ""}${
            topic === "" ? "" : `; ${topic}`
          }`,
      );
    case "whois":
      return event.devices.length === 0
        ? [`This client has seen no certificate of ${event.username}.`]
        : event.devices.map(({ fingerprint, subject, not_after, standing }) =>
          `${event.username}: "${visible(subject)}", certificate ${fingerprint}, good until ${
            dayOf(not_after * 1000)
          }; ` +
          STANDING_WORDS[standing]
        );
    case "history":
    case "found":
      return event.lines.length === 0 ? ["No such line is here."] : event.lines.map((line) => {
        const { type, text } = saidBy(line);
        const when = momentOf(line.ts / 1000);
        return `${line.index}, ${when}: ${authorOf(line)}${remarksOn(line)}${type === "words" ? ":" : ""} ${text}`;
      });
    case "proof":
      return [proofSentence(event)];
    case "head":
      return [`The newest signed head: ${plural(event.size, "line")}, root ${event.root}`, `Its code: ${event.code}`];
    case "forgotten":
      return [
        `What was kept of the room is in ${event.folder}, as evidence. This client knows nothing of it any more: ` +
        `/join ${event.room} takes whichever log the server shows then.`,
      ];
    case "exported":
      return [...event.files.map((file) => `Written: ${file}`), `To verify it: ${event.verify}`];
    case "notice":
      return [event.message];
  }
}

const STANDING_WORDS: Readonly<Record<Standing, string>> = {
  first: "the first that was seen",
  vouched: "a known one vouched for it",
  new: "new, nobody vouched for it",
};

type DeviceEvent = RoomEvent & { event: "device" };

function otherDevice({ username, fingerprint, vouched }: DeviceEvent): string {
  return vouched
    ? `${username} uses a further certificate, ${fingerprint}, which a known one has vouched for.`
    : `WARNING: ${username} uses a NEW certificate that nobody vouched for: ${fingerprint}`;
}

function ownDevice({ fingerprint, vouched, mine }: DeviceEvent): string {
  const say = `/vouch ${fingerprint.slice(0, LEAST_FINGERPRINT)}`;
  if (vouched) return `A known certificate of yours has vouched for ${mine ? "this one" : "another"}, ${fingerprint}.`;
  return mine
    ? `This certificate of yours is new to the others, ${fingerprint}: to say that it is you, type ${say} where you ` +
      "are in with one that they know."
    : `WARNING: a new certificate of YOURS came in: ${fingerprint}. If it is yours, ${say} says so; if it is not, tell ` +
      "whoever runs the server to revoke it.";
}

function otherLog(room: string): string {
  return `If the operator has told you that the old log was closed: /forget ${room} puts your record of it aside, ` +
    "as evidence, and lets you join the new one.";
}

function proofSentence({ index, state, by, countersigned, unsent }: AnswerEvent & { event: "proof" }): string {
  const waiting = unsent === 0 ? "" : ` ${plural(unsent, "line")} of yours not sent yet.`;
  if (index === null) return `No line of yours is in this room's log.${waiting}`;
  if (state !== "accepted") return `Line ${index} is sent and has its place; no signed head covers it yet.${waiting}`;
  const when = by === null ? "" : ` by ${momentOf(by)}`;
  return `Line ${index} is accepted${when}, by a head that the server signed; ` +
    `countersigned by ${plural(countersigned, "other")}.${waiting}`;
}
