/**
 * What a person reads of rooms, in words: of a line, of an event, of a member. The screen (`client_screen.ts`) and plain
 * text (`client_plain_text.ts`) share them.
 *
 *     explain({ event: "left", … })        → "You are out of the room: ada removed you from this room."
 *     saidBy({ statement: { kind: "kick", … } }) → "removed bob"
 *
 * Nothing here is made readable yet: texts, names and reasons of others are as they came, and whoever shows them passes
 * them through `readable`.
 *
 * @layer chat
 */

import type { Statement } from "./log_envelope.ts";
import { type AnswerEvent, LEAST_FINGERPRINT, type ShownEvent } from "./client_command.ts";
import type { LineEvent, Presence, RoomEvent } from "./client_event.ts";
import { partners, usernameKey } from "./names.ts";
import type { Standing } from "./client_pins.ts";
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
function dayOf(unixMs: number): string {
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

/** What a line says: words, or what its author did, in a sentence without its subject. */
export interface Said {
  readonly type: "words" | "act";
  readonly text: string;
}

/** What a line says. */
export function saidBy({ statement, kind, erased }: Pick<LineEvent, "statement" | "kind" | "erased">): Said {
  if (erased) return { type: "act", text: "erased these words" };
  if (statement) return saying(statement);
  return {
    type: "act",
    text: kind === null ? "wrote something that can't be read here" : `wrote a line of an unknown kind, ${kind}`,
  };
}

function saying(statement: Statement): Said {
  const act = (text: string): Said => ({ type: "act", text });
  switch (statement.kind) {
    case "text":
      // In asterisks and after the colon, so that it doesn't look like what a line of the record does.
      return { type: "words", text: statement.text.replace(/^\/me ([^]+)$/, "*$1*") };
    case "topic":
      return act(statement.text === "" ? "cleared the topic" : `set the topic: ${statement.text}`);
    case "join":
      return act(
        statement.was === undefined ? "joined and consented to recording" : "came back with a new certificate",
      );
    case "part":
      return act("left");
    case "head":
      return act("countersigned what was said");
    case "invite":
      return act(`invited ${statement.username}`);
    case "kick":
      return act(`removed ${statement.username}`);
    case "ban":
    case "mute": {
      const verb = statement.kind === "ban" ? "banned" : "muted";
      if (statement.until === 0) return act(`un${verb} ${statement.username}`);
      const until = statement.until === undefined ? "" : ` until ${momentOf(statement.until)}`;
      return act(`${verb} ${statement.username}${until}`);
    }
    case "role":
      return act(`made ${statement.username} ${statement.role === "owner" ? "an" : "a"} ${statement.role}`);
    case "redact":
      return act(`erased the words of line ${statement.index}`);
    case "device":
      return act(`vouched for the certificate ${statement.fingerprint.slice(0, 16)}… as their own`);
  }
}

/** A moment in full: day, hour and time zone of whoever looks. */
export function momentOf(unixSeconds: number): string {
  return `${dayOf(unixSeconds * 1000)}, ${hourOf(unixSeconds * 1000)} ${zoneOf(unixSeconds * 1000)}`;
}

/** The day, and the zone in which it and the hours of its lines are told. */
export function dayAndZone(unixMs: number): string {
  return `${dayOf(unixMs)}, ${zoneOf(unixMs)}`;
}

/**
 * Whether a line's own time, in milliseconds, and that of its acceptance, in seconds, are too far apart to show one.
 */
export function isLate(ts: number, by: number): boolean {
  return Math.abs(by * 1000 - ts) > FAR_APART;
}

/** What is to be said about a line, in brackets, after its author's name; "" if there is nothing. */
export function remarksOn(
  { bad, unvouched, unchecked, by, ts }: Pick<LineEvent, "bad" | "unvouched" | "unchecked" | "by" | "ts">,
): string {
  const remarks = [
    ...(bad === null ? [] : [`NOT GOOD: ${bad}`]),
    ...(unvouched ? ["new certificate, not vouched for"] : []),
    ...(unchecked ? ["signature not checked yet"] : []),
    ...(by !== null && isLate(ts, by) ? [`accepted no later than ${momentOf(by)}`] : []),
  ];
  return remarks.length === 0 ? "" : ` (${remarks.join("; ")})`;
}

/** What people are told before they sign the line by which they consent to being recorded. */
export function recordedNotice(room: string, history: "all" | "since_join", own: string): string {
  const who = partners(room)
    ? `${titleOf(room, own)}, you and the operator can read it`
    : history === "all"
    ? "Members, future members and the operator can read it"
    : "Members can read what is said after they joined, the operator can read all of it";
  return `Everything here is signed and recorded. ${who} and prove it to others. By joining you consent.`;
}

/** Pairs of different names that look alike: they differ only in 0 and O, or in 1, l and I. */
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

/** Whether a text mentions somebody. */
export function mentions(text: string, username: string): boolean {
  if (username === "") return false;
  const name = username.toLowerCase().replaceAll(/[.]/g, "\\.");
  return new RegExp(`(?<![a-z0-9_.-])${name}(?![a-z0-9_-])`).test(text.toLowerCase());
}

/** Somebody's presence in a word. */
export const PRESENCE_WORDS: Readonly<Record<Presence, string>> = { online: "here", away: "away", offline: "offline" };

/**
 * `3 members, 2 here`; `bob is away` in a conversation of two. `present`: all members, by the name as it is compared.
 */
export function presentWords(room: string, own: string, present: ReadonlyMap<string, Presence>): string {
  const other = partners(room)?.find((name) => name !== usernameKey(own));
  if (other !== undefined) {
    const state = present.get(other);
    return state === undefined ? `${other} hasn't joined yet` : `${other} is ${PRESENCE_WORDS[state]}`;
  }
  const here = [...present.values()].filter((one) => one === "online").length;
  return `${plural(present.size, "member")}, ${here} here`;
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
      const lost = `Disconnected: ${event.reason.replace(/\.$/, "")}.`;
      return [event.retry_in === null ? lost : `${lost} Retrying in ${Math.ceil(event.retry_in / 1000)} s.`];
    }
    case "silent":
      return [
        event.silent_for === 0
          ? "The server answers again."
          : `No answer from the server for ${Math.ceil(event.silent_for / 1000)} s. /reconnect connects again.`,
      ];
    case "left":
      return [`You are no longer in the room: ${event.reason}`];
    case "bad_line":
      return [`Line ${event.index} is NOT GOOD: ${event.reason}`];
    case "erased":
      return [`The words of line ${event.index} were erased.`];
    case "uncovered":
      return [
        `WARNING: for 30 seconds the server has signed no head that covers lines ${event.from} to ${event.to - 1}: ` +
        "it is not proved that they are accepted.",
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
      return ["The times of the server's signed heads are right again."];
    case "device":
      return [usernameKey(event.username) === usernameKey(own) ? ownDevice(event) : otherDevice(event)];
    case "away":
      return [
        event.away
          ? "You are away. Others see it; it isn't signed. Your next message shows you as back."
          : "You are back.",
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
      const what = `${event.fingerprint.slice(0, LEAST_FINGERPRINT)}…, valid until ${dayOf(event.not_after * 1000)}`;
      return [`Your certificate would have ended soon and was renewed: ${what}. The session restarts with it.`];
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
      return event.rooms.length === 0 ? ["There are no rooms that you can see."] : event.rooms.map(
        ({ room, members, inviteOnly, topic }) =>
          `${room}: ${plural(members, "member")}${inviteOnly ? ", invite-only" : ""}${
            topic === "" ? "" : `; ${topic}`
          }`,
      );
    case "whois":
      return event.devices.length === 0
        ? [`This client has seen no certificate of ${event.username}.`]
        : event.devices.map(({ fingerprint, subject, not_after, standing }) =>
          `${event.username}: "${visible(subject)}", certificate ${fingerprint}, valid until ${
            dayOf(not_after * 1000)
          }; ` +
          STANDING_WORDS[standing]
        );
    case "history":
    case "found":
      return event.lines.length === 0
        ? [event.event === "found" ? "No matches." : "No lines."]
        : event.lines.map((line) => {
          const { type, text } = saidBy(line);
          const when = momentOf(line.ts / 1000);
          return `${line.index}, ${when}: ${authorOf(line)}${remarksOn(line)}${type === "words" ? ":" : ""} ${text}`;
        });
    case "proof":
      return [proofSentence(event)];
    case "head":
      return [
        `The newest signed head: ${plural(event.size, "line")}, root ${event.root}`,
        `Code to compare: ${event.code}`,
      ];
    case "forgotten":
      return [
        `The record of the room is in ${event.folder} now, as evidence. /join ${event.room} joins whichever log the ` +
        "server shows then.",
      ];
    case "exported":
      return [...event.files.map((file) => `Written: ${file}`), `To verify it: ${event.verify}`];
    case "notice":
      return [event.message];
  }
}

const STANDING_WORDS: Readonly<Record<Standing, string>> = {
  first: "trusted on first use",
  vouched: "vouched for by a known one",
  new: "new, not vouched for",
};

type DeviceEvent = RoomEvent & { event: "device" };

function otherDevice({ username, fingerprint, vouched }: DeviceEvent): string {
  return vouched
    ? `${username} has another certificate, ${fingerprint}; a known one has vouched for it.`
    : `WARNING: ${username} uses a NEW certificate, not vouched for: ${fingerprint}`;
}

function ownDevice({ fingerprint, vouched, mine }: DeviceEvent): string {
  const say = `/vouch ${fingerprint.slice(0, LEAST_FINGERPRINT)}`;
  if (vouched) return `A known certificate of yours has vouched for ${mine ? "this one" : "another"}, ${fingerprint}.`;
  return mine
    ? `The others don't know this certificate of yours yet, ${fingerprint}: to confirm it, type ${say} on a device that ` +
      "they know."
    : `WARNING: a new certificate of YOURS joined: ${fingerprint}. If it is yours, ${say} confirms it; if not, tell ` +
      "the operator to revoke it.";
}

function otherLog(room: string): string {
  return `If the operator has told you that the old log was closed: /forget ${room} puts your record of it aside, ` +
    "as evidence, and lets you join the new one.";
}

function proofSentence(event: AnswerEvent & { event: "proof" }): string {
  const { index, state, by, countersigned, unsent } = event;
  const waiting = unsent === 0 ? "" : ` ${plural(unsent, "line")} of yours not sent yet.`;
  if (index === null) return `None of your lines is in this room's log.${waiting}`;
  if (state !== "accepted") return `Line ${index} is in the log; no signed head covers it yet.${waiting}`;
  const when = by === null ? "" : ` no later than ${momentOf(by)}`;
  return `Line ${index} was accepted${when} (signed by the server) and countersigned by ` +
    `${plural(countersigned, "other")}. ${logSentence(event)}${waiting}`;
}

/** How far the server's log proves a line. */
function logSentence({ log, registered, cosigners, stamped }: AnswerEvent & { event: "proof" }): string {
  if (log === null) return "The server keeps no log of its rooms.";
  if (!registered) return `The server's log, ${log}, doesn't register it yet.`;
  const by = cosigners.length === 0 ? "nobody" : cosigners.join(", ");
  return `The server's log, ${log}, registers it; cosigned by ${by}; ${stamped ? "" : "not "}time-stamped.`;
}
