/**
 * The rows of the screen, drawn from what it knows: the room that is looked at, the list of rooms, the status. Every row
 * is cut to the width in cells; colours are in it, and nothing that moves the cursor.
 *
 * What somebody said goes on after `|` in every further row, so nobody can write what looks like another line. Text of
 * others is made readable before it gets here.
 *
 * @layer chat
 */

import { cells } from "./cell_width.ts";
import type { LineEvent } from "./client_event.ts";
import type { Entry, RoomPicture, ScreenRooms } from "./client_screen_rooms.ts";
import { authorOf, dayAndZone, hourOf, plural, presentWords, remarksOn, saidBy, titleOf } from "./client_text.ts";
import { fit, wrap } from "./rows.ts";

/** Narrower terminals have no list of rooms. */
const LEAST_FOR_LIST = 60;
/** Cells for an index, at least: most rooms look alike. */
const LEAST_INDEX = 2;
/** What each further row of a line begins with. */
const SAID = "      | ";
/** If a row has less room behind the author's name, the words begin in the next. */
const LEAST_ROOM = 4;

/** How the terminal is, and whose client this is. */
export interface RoomScreenOptions {
  readonly columns: number;
  readonly rows: number;
  readonly colour: boolean;
  /** The server's name. */
  readonly server: string;
  /** How many lines are not known to be accepted, when the picture is drawn. */
  readonly unsent: () => number;
  /** Milliseconds of a clock that only goes forward. */
  readonly now: () => number;
}

/** What the rows of a line are made of. */
interface SaidRows {
  /** Index and time. */
  readonly when: string;
  readonly mark: string;
  readonly author: string;
  readonly remarks: string;
  readonly text: string;
  readonly isAct: boolean;
  /** The colour of the words. */
  readonly code: string;
}

/** Draws the rows of a screen. */
export class ScreenPainter {
  readonly #options: RoomScreenOptions;
  #columns: number;

  constructor(options: RoomScreenOptions) {
    this.#options = options;
    this.#columns = options.columns;
  }

  /** The terminal has another width now. */
  resize(columns: number): void {
    this.#columns = columns;
  }

  /** The width of the list of rooms; 0 if there is none. */
  get listWidth(): number {
    return this.#columns < LEAST_FOR_LIST ? 0 : Math.min(24, Math.floor(this.#columns / 5));
  }

  get #mainWidth(): number {
    return this.listWidth === 0 ? this.#columns : this.#columns - this.listWidth - 1;
  }

  /** The room that is looked at, and who is here. */
  head(rooms: ScreenRooms): string {
    const { here: room, username } = rooms;
    const title = room.name === "" ? "securechat" : titleOf(room.name, username);
    const topic = room.topic === "" ? "" : ` · ${room.topic}`;
    const who = room.present
      ? presentWords(room.name, username, room.present)
      : room.members.length > 0
      ? plural(room.members.length, "member")
      : "";
    const count = who === "" ? "" : `  ${fit(who, Math.max(1, Math.floor(this.#mainWidth / 2) - 2), "end")}`;
    const left = fit(`${title}${topic}`, Math.max(4, this.#mainWidth - count.length), "beginning");
    const gap = " ".repeat(Math.max(0, this.#mainWidth - cells(left) - count.length));
    return this.#paint("1", `${left}${gap}${count}`);
  }

  /** The rooms, one a row. */
  list(rooms: ScreenRooms, height: number): string[] {
    const { username, current } = rooms;
    const width = this.listWidth;
    return rooms.all.slice(0, height).map((room) => {
      const isHere = room.name === current;
      const count = room.unread === 0 ? "" : ` ${room.unread}${room.mentioned ? "!" : ""}`;
      const name = fit(titleOf(room.name, username), width - 2 - count.length, "beginning");
      const text = `${isHere ? "▸" : " "}${name}${count}`.padEnd(width);
      return this.#paint(room.mentioned ? "1;33" : isHere || room.unread > 0 ? "1" : "", text);
    });
  }

  #state({ connection: { state, cause, retryAt, silentSince }, isAway }: ScreenRooms): string {
    const now = this.#options.now();
    if (state === "offline") {
      const rest = Math.ceil(((retryAt ?? now) - now) / 1000);
      const next = retryAt === undefined ? "" : rest > 0 ? `, next try in ${rest} s` : ", trying now";
      return `offline${next}: ${cause}`;
    }
    if (silentSince !== undefined) return `no answer for ${Math.floor((now - silentSince) / 1000)} s`;
    return isAway && state === "online" ? "away" : state;
  }

  /** Who one is, how the connection is, and what waits; or a hint in its place. */
  status(rooms: ScreenRooms, hint: string): string {
    const { username, here, connection } = rooms;
    const unsent = this.#options.unsent();
    const parts = [
      `${username === "" ? "not logged in" : username} @ ${this.#options.server}`,
      this.#state(rooms),
      ...(here.isRecorded ? ["recorded"] : []),
      ...(unsent > 0 ? [`${unsent} unsent`] : []),
      ...(rooms.scroll > 0 ? ["Page Down: newer lines"] : []),
    ];
    const said = hint === "" ? parts.join(" ─ ") : hint;
    const text = fit(`─ ${said} `, this.#columns, "beginning");
    const isGood = connection.state === "online" && connection.silentSince === undefined;
    return this.#paint(isGood ? "36" : "33", text + "─".repeat(Math.max(0, this.#columns - cells(text))));
  }

  /** The last lines of the room that is looked at, as far as it is scrolled. */
  body(rooms: ScreenRooms, height: number): string[] {
    const { here: room, username } = rooms;
    let rows: string[] = [];
    let at = room.entries.length - 1;
    for (; at >= 0 && rows.length < height + rooms.scroll; at--) {
      const entry = room.entries[at];
      if (entry) rows = [...this.#dayBefore(room, at), ...this.entryRows(room, entry, username), ...rows];
    }
    if (at < 0) rooms.limitScroll(rows.length - height);
    const end = rows.length - rooms.scroll;
    const shown = rows.slice(Math.max(0, end - height), end);
    return [...shown, ...Array<string>(Math.max(0, height - shown.length)).fill("")];
  }

  /** The day, if the line is the first of it. */
  #dayBefore({ entries }: RoomPicture, at: number): string[] {
    const line = entries[at]?.line;
    if (!line) return [];
    const before = entries.slice(0, at).findLast((entry) => entry.line)?.line;
    if (before && dayAndZone(before.ts) === dayAndZone(line.ts)) return [];
    return [this.#paint("2", fit(`── ${dayAndZone(line.ts)} ──`, this.#mainWidth, "beginning"))];
  }

  /** The rows of a line, or of a note. */
  entryRows(room: RoomPicture, entry: Entry, username: string): string[] {
    const { line, note, text = "" } = entry;
    if (note !== undefined) {
      const code = entry.isLoud === true ? "1;31" : "2";
      const prefix = entry.of ? this.#said : " ".repeat(cells(this.#said));
      return wrap(note, this.#mainWidth, prefix).map((row) => this.#paint(code, row));
    }
    const width = Math.max(LEAST_INDEX, String(room.highest).length);
    if (!line) {
      const when = `${" ".repeat(width)}   …  `;
      return this.#saidRows({ when, mark: "→", author: username, remarks: "", text, isAct: false, code: "2" });
    }
    const { type, text: said } = saidBy(line);
    return this.#saidRows({
      when: `${String(line.index).padStart(width)} ${hourOf(line.ts)}`,
      mark: this.#markOf(room, line),
      author: authorOf(line),
      remarks: remarksOn(line),
      text: said,
      isAct: type === "act",
      code: line.bad === null ? "" : "31",
    });
  }

  #markOf({ covered }: RoomPicture, { bad, unchecked, mine, index }: LineEvent): string {
    if (bad !== null) return "✗";
    if (unchecked) return "?";
    return !mine ? " " : index < covered ? "✓" : "·";
  }

  /** Remarks stand before the words, since what comes after the colon is whatever somebody wrote. */
  #saidRows({ when, mark, author, remarks, text, isAct, code }: SaidRows): string[] {
    const head = `${when} ${mark} `;
    const name = `${isAct ? "* " : ""}${fit(author, Math.max(4, Math.floor(this.#mainWidth / 3)), "beginning")}`;
    const used = cells(head + name);
    const prefix = this.#said;
    const lead = `${remarks}${isAct ? " " : ": "}`;
    const [first = "", ...more] = this.#mainWidth - used < LEAST_ROOM
      ? wrap(`\n${lead.trimStart()}${text}`, this.#mainWidth, prefix)
      : wrap(lead + text, this.#mainWidth, prefix, used);
    return [
      `${this.#paint("2", head)}${this.#paint(isAct ? "2" : colourOf(author), name)}${this.#paint(code, first)}`,
      ...more.map((row) => this.#paint(code, row)),
    ];
  }

  /** What each further row of somebody's words begins with. */
  get #said(): string {
    return this.#mainWidth < 3 * SAID.length ? SAID.trimStart() : SAID;
  }

  #paint(code: string, text: string): string {
    return this.#options.colour && code !== "" && text !== "" ? `\x1b[${code}m${text}\x1b[0m` : text;
  }
}

/** Red is for what is wrong. */
const COLOURS = ["32", "33", "34", "35", "36", "92", "93", "94", "95", "96"];

/** The colour of somebody, the same every time. */
function colourOf(name: string): string {
  let sum = 0;
  for (const letter of name.toLowerCase()) sum = (sum * 31 + (letter.codePointAt(0) ?? 0)) % 65_521;
  return COLOURS[sum % COLOURS.length] ?? "";
}
