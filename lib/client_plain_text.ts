/**
 * Events as plain lines, with no picture to be drawn: for people who listen, for pipes and for logs.
 *
 *     [#ops 41] 14:30 ada: hello
 *     [#ops 42] 14:31 bob made eve a moderator
 *     [#ops] WARNING: the server was caught (fork): The server has signed two different logs of 57 lines.
 *
 * Whoever reads these gets what the screen has: day, time, author, index, and whatever is wrong. Every line of a text of
 * several lines says whose it is, and everything of others passes `readable`: nobody can write what looks like another's
 * line.
 *
 * @layer chat
 */

import type { ShownEvent } from "./client_command.ts";
import type { LineEvent, RoomEvent } from "./client_event.ts";
import { type EarlierLines, RecentLines } from "./client_recent_lines.ts";
import {
  authorOf,
  dayAndZone,
  explain,
  hourOf,
  isLate,
  lookalikes,
  lookalikeWarning,
  momentOf,
  plural,
  PRESENCE_WORDS,
  presentWords,
  recordedNotice,
  remarksOn,
  saidBy,
  titleOf,
} from "./client_text.ts";
import { usernameKey } from "./names.ts";
import { readable } from "./readable.ts";

/**
 * Events as plain lines, each without its LF. A line says the day if it is another than the last line's; a room that is
 * opened begins with its last lines ({@link RecentLines}).
 */
export class PlainText {
  #day = "";
  #username = "";
  readonly #topics = new Map<string, string>();
  readonly #warned = new Set<string>();
  /** Lines that were printed before a checkpoint covered them, by room. */
  readonly #uncovered = new Map<string, Pick<LineEvent, "index" | "ts">[]>();
  /** Rooms in which our own join line stands. */
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

  /** What to print at the end: the lines of rooms of which not all had come. */
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
    return this.#in(room, `${many}; /history ${history} shows ${count === 1 ? "it" : "them"}.`);
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

  /** Says when lines were accepted if that is far from their own times, which were printed before. */
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
      const which = from === to ? `Line ${from} was` : `Lines ${from} to ${to} were`;
      return this.#in(room, `${which} accepted no later than ${momentOf(time)}.`);
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
