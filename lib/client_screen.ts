/**
 * The picture of a client with rooms: events and keys in, rows of text out. Nothing is written here, and no terminal is
 * needed.
 *
 *     #ops            │#ops · deploys on Friday                            3 members, 2 here
 *     ▸#general       │── Monday 23 November 2026 ──
 *      #ops 3         │40 14:30   bob: hello
 *      @bob 1!        │41 14:31 ✓ ada: good morning
 *     ─ ada @ localhost ─ online ─ recorded ─ 1 unsent ─────────────────────────────────────
 *     > what is being ty▮
 *
 * A line has its index, by which commands name it, and a mark: `→` is on its way, `·` has its place, `✓` is accepted by
 * a signed head, `?` isn't checked yet, `✗` is not good. A room in the list has its unread lines, and `!` where one of
 * them speaks to you. Everything of others passes `readable`; what somebody said goes on after `|` in every further
 * row, so that nobody can write what looks like another line. Every row is cut to the width in cells before it is
 * drawn. {@link difference} gives the characters that make one picture of another: rows that are the same are not drawn
 * again.
 *
 * @layer chat
 */

import { cells } from "./cell_width.ts";
import { type TypedLine, WordsUnderWay } from "./client_typed.ts";
import { type Edit, type Key, LineEditor, SecondPress } from "./line_editor.ts";
import { usernameKey } from "./names.ts";
import { readable } from "./readable.ts";
import { COMMAND_NAMES, indexToRedact, REDACT_QUESTION, type ShownEvent } from "./client_command.ts";
import type { LineEvent, Presence } from "./client_event.ts";
import { PRESENCE_MEMBERS } from "./log_frames.ts";
import {
  authorOf,
  dayAndZone,
  explain,
  fateOf,
  hourOf,
  lookalikes,
  lookalikeWarning,
  mentions,
  plural,
  presentWords,
  recordedNotice,
  remarksOn,
  saidBy,
  titleOf,
} from "./client_text.ts";
import { clip, fit, hardWrap, wrap } from "./rows.ts";

/** How the terminal is, and whose client this is. */
export interface RoomScreenOptions {
  readonly columns: number;
  readonly rows: number;
  readonly colour: boolean;
  /** The server's name. */
  readonly server: string;
  /** How many lines are not known to be accepted. */
  readonly unsent: () => number;
  /** Milliseconds of a clock that only goes forward. */
  readonly now: () => number;
}

/** Lines of a room that are kept for the picture; all of them are in the files. */
const MAX_ENTRIES = 5_000;
/** A text of more lines is asked about before it is sent. */
export const MANY_LINES = 3;
/** The most rows that what is being typed may have. */
const MAX_INPUT_ROWS = 6;
/** Narrower terminals have no list of rooms. */
const LEAST_FOR_LIST = 60;

/** Something in a conversation. */
interface Entry {
  /** A line of the log. */
  line?: LineEvent;
  /** A line on its way, by its key. */
  readonly key?: number;
  readonly note?: string;
  /** The line whose words the note repeats. */
  readonly of?: LineEvent;
  readonly isLoud?: boolean;
  readonly text?: string;
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

/** A room, as the picture has it. */
interface RoomPicture {
  readonly name: string;
  /** What is being typed for it, and was. */
  readonly editor: LineEditor;
  readonly entries: Entry[];
  readonly byIndex: Map<number, Entry>;
  topic: string;
  members: readonly string[];
  /** Who is here, by the name as it is compared; `undefined` where the server doesn't tell, or not now. */
  present: Map<string, Presence> | undefined;
  unread: number;
  mentioned: boolean;
  /** The greatest index that was shown. */
  highest: number;
  /** The first line that is new: what was said before is no news. */
  newFrom: number;
  /** Lines before this are accepted. */
  covered: number;
  isRecorded: boolean;
  /** A line of one's own stands there since one joined: the consent is given. */
  isConsented: boolean;
}

/** What a key comes to. */
export type Outcome =
  | { readonly type: "draw" | "quit" | "redraw" | "suspend" | "nothing" }
  /** A line, for a room. */
  | { readonly type: "enter"; readonly text: string };

/** Where the cursor stands, from 0. */
export interface Cursor {
  readonly row: number;
  readonly column: number;
}

/** The picture. */
export class RoomScreen {
  readonly #options: RoomScreenOptions;
  #columns: number;
  #rows: number;
  readonly #interrupts: SecondPress;
  readonly #rooms = new Map<string, RoomPicture>();
  /** What belongs to no room. */
  readonly #lobby = emptyRoom("");
  #current: string | undefined;
  #username = "";
  #connection: "connecting" | "online" | "offline" = "connecting";
  /** When the next try is, and why the last one failed. */
  #retryAt: number | undefined;
  #cause = "";
  /** Since when the server has said nothing, though it was asked. */
  #silentSince: number | undefined;
  #isAway = false;
  /** Rows between the end of the conversation and the last that is shown. */
  #scroll = 0;
  /** What is asked about the line that is being typed, and whether Enter is a yes. */
  #question: { readonly text: string; readonly byEnter: boolean } | undefined;
  #hint = "";
  readonly #warned = new Set<string>();
  readonly #underWay = new WordsUnderWay();

  constructor(options: RoomScreenOptions) {
    this.#options = options;
    this.#interrupts = new SecondPress(options.now);
    this.#columns = options.columns;
    this.#rows = options.rows;
  }

  /** The terminal has another size now. */
  resize(columns: number, rows: number): void {
    this.#columns = columns;
    this.#rows = rows;
  }

  /** The room that is looked at. */
  get current(): string | undefined {
    return this.#current;
  }

  /** A command has led into another room: it is looked at, unless something is being typed for the one that is. */
  arrive(room: string | undefined): void {
    if (room === this.#current) return;
    const text = this.#text;
    if (text === "") return this.enter(room);
    if (this.#current === undefined && room !== undefined) {
      // Where there is no room nothing can be said: what is being typed goes along.
      this.#editor.apply({ name: "interrupt" });
      this.enter(room);
      return void this.#editor.giveBack(text);
    }
    if (room !== undefined) this.#hint = `${titleOf(this.#room(room).name, this.#username)} is open: Alt-down`;
  }

  /** What was typed in a room, or before there was one, was refused: it can be mended or entered again. */
  giveBack({ text, room }: TypedLine): void {
    const { editor } = room === undefined ? this.#here : this.#room(room);
    if (!editor.giveBack(text)) this.#hint = `Up brings back: ${text.split("\n")[0]}`;
  }

  /** Looks at another room. */
  enter(room: string | undefined): void {
    this.#current = room;
    this.#scroll = 0;
    if (room !== undefined) this.#see(this.#room(room));
  }

  /** What stands in the terminal's title. */
  get title(): string {
    const rooms = [...this.#rooms.values()];
    const count = rooms.filter(({ mentioned }) => mentioned).length;
    const where = this.#current === undefined ? "" : ` ${titleOf(this.#current, this.#username)}`;
    return readable(`${count === 0 ? "" : `(${count}) `}securechat${where}`);
  }

  // Events.

  /** Something happened; true: somebody speaks to whoever looks. */
  take(event: ShownEvent): boolean {
    const refused = this.#underWay.take(event);
    const isCalled = this.#take(event);
    if (refused) this.giveBack(refused);
    return isCalled;
  }

  #take(event: ShownEvent): boolean {
    switch (event.event) {
      case "line":
        return this.#takeLine(event);
      case "account":
        this.#username = event.username;
        return false;
      case "online":
        this.#username = event.username;
        if (this.#connection === "offline") this.#note(this.#here, ["You are online again."]);
        this.#connection = "online";
        this.#silentSince = undefined;
        return false;
      case "offline":
        // That the next try failed as well, the status tells.
        if (this.#connection !== "offline") this.#note(this.#here, explain(event, this.#username));
        this.#connection = "offline";
        this.#cause = event.reason;
        this.#retryAt = event.retry_in === null ? undefined : this.#options.now() + event.retry_in;
        this.#silentSince = undefined;
        for (const room of this.#rooms.values()) room.present = undefined;
        return false;
      case "silent": {
        const { silent_for: time } = event;
        if (time === 0 || this.#silentSince === undefined) this.#note(this.#here, explain(event, this.#username));
        this.#silentSince = time === 0 ? undefined : this.#options.now() - time;
        return false;
      }
      case "sending": {
        const { kind, text } = event;
        if (kind !== "join") this.#add(this.#room(event.room), { key: event.key, text: text || `(${kind})` });
        return false;
      }
      case "accepted":
        this.#drop(this.#room(event.room), ({ key }) => key === event.key);
        return false;
      case "dropped": {
        const room = this.#room(event.room);
        const text = room.entries.find(({ key }) => key === event.key)?.text ?? "";
        this.#drop(room, ({ key }) => key === event.key);
        this.#note(room, [`${fateOf(event)}: ${text.split("\n")[0]} (${event.reason})`], true);
        return false;
      }
      case "away":
        this.#isAway = event.away;
        return false;
      case "done":
        return false;
      default:
        this.#takeOther(event);
        return event.event === "invited" || event.event === "lie";
    }
  }

  #takeOther(
    event: Exclude<ShownEvent, { event: "line" | "account" | "online" | "sending" | "accepted" | "away" | "done" }>,
  ) {
    switch (event.event) {
      case "present":
        this.#room(event.room).present = new Map(
          event.members.map(({ username, state }) => [usernameKey(username), state]),
        );
        return;
      case "presence":
        this.#room(event.room).present?.set(usernameKey(event.username), event.state);
        return;
      case "joined": {
        const room = this.#room(event.room);
        if (!room.isConsented) this.#note(room, [recordedNotice(event.room, event.history, this.#username)]);
        room.isRecorded = true;
        room.topic = event.topic;
        return;
      }
      case "caught_up": {
        const room = this.#room(event.room);
        if (!Number.isFinite(room.newFrom)) room.newFrom = event.size;
        return;
      }
      case "state":
        return this.#takeState(event.room, event.topic, event.members.map(({ username }) => username));
      case "covered": {
        const room = this.#room(event.room);
        room.covered = Math.max(room.covered, event.size);
        for (const entry of room.entries) {
          const { line } = entry;
          if (line?.by === null && line.index < event.size) entry.line = { ...line, by: event.time };
        }
        return;
      }
      case "checked":
        for (let index = event.from; index < event.to; index++) this.#change(event.room, index, { unchecked: false });
        return;
      case "bad_line":
        return this.#change(event.room, event.index, { bad: event.reason, unchecked: false });
      case "erased":
        for (const room of [this.#lobby, ...this.#rooms.values()]) {
          this.#drop(room, ({ of }) => of?.room === event.room && of.index === event.index);
        }
        return this.#change(event.room, event.index, { erased: true, statement: null, text: null });
      case "history":
      case "found": {
        const [room, notes] = [this.#shown(event.room), explain(event, this.#username)];
        for (const [at, note] of notes.entries()) {
          this.#add(room, event.lines[at] ? { note, of: event.lines[at] } : { note: oneLine(note) });
        }
        return;
      }
      case "invited": {
        const room = this.#room(event.room); // in the list, though nobody is in it yet
        room.mentioned ||= room.name !== this.#current;
        for (const one of new Set([room, this.#here])) this.#note(one, explain(event, this.#username));
        return;
      }
      case "forgotten":
        // Another log may be joined under this name; what is being typed stays.
        if (this.#current === event.room) {
          this.#rooms.set(event.room, { ...emptyRoom(event.room), editor: this.#editor });
        } else this.#rooms.delete(event.room);
        return this.#note(this.#here, explain(event, this.#username));
      case "left": {
        const room = this.#room(event.room);
        room.isConsented = false;
        room.present = undefined;
        return this.#note(room, explain(event, this.#username), true);
      }
      case "device":
        this.#mark(event.fingerprint, !event.vouched);
        return this.#note(this.#shown(event.room), explain(event, this.#username), !event.vouched);
      default: {
        const room = "room" in event ? this.#shown(event.room) : this.#here;
        this.#note(room, explain(event, this.#username), LOUD.has(event.event));
      }
    }
  }

  #takeLine(line: LineEvent): boolean {
    const room = this.#room(line.room);
    const known = room.byIndex.get(line.index);
    if (known) {
      known.line = line;
      return false;
    }
    if (line.by !== null) room.covered = Math.max(room.covered, line.index + 1);
    if (line.mine) {
      room.isConsented = line.kind !== "part";
      const own = room.entries.findIndex(({ key, text }) =>
        key !== undefined && (text === line.text || line.text === null)
      );
      if (own >= 0) room.entries.splice(own, 1);
    }
    const entry = { line };
    this.#add(room, entry);
    room.byIndex.set(line.index, entry);
    room.highest = Math.max(room.highest, line.index);
    // What was shown the last time is told again before the session stands.
    if (line.mine || this.#connection !== "online" || line.kind !== "text") return false;
    if (room.name === this.#current && this.#scroll === 0) return this.#calls(room, line);
    room.unread += 1;
    const isCalled = this.#calls(room, line);
    room.mentioned ||= isCalled;
    return isCalled;
  }

  #calls({ name, newFrom }: RoomPicture, { index, text }: LineEvent): boolean {
    return index >= newFrom && (name.startsWith("@") || mentions(text ?? "", this.#username));
  }

  #takeState(name: string, topic: string, members: readonly string[]): void {
    const room = this.#room(name);
    for (const gone of room.members.filter((one) => !members.includes(one))) room.present?.delete(usernameKey(gone));
    if (members.length > PRESENCE_MEMBERS) room.present = undefined; // nobody tells who comes and goes
    room.topic = topic;
    room.members = members;
    for (const pair of lookalikes(members)) {
      if (this.#warned.has(pair.join())) continue;
      this.#warned.add(pair.join());
      this.#note(room, [lookalikeWarning(pair)], true);
    }
  }

  #room(name: string): RoomPicture {
    const known = this.#rooms.get(name) ?? emptyRoom(name);
    this.#rooms.set(name, known);
    return known;
  }

  /** The room, where it is in the list; else where everybody looks. */
  #shown(name: string): RoomPicture {
    return this.#rooms.get(name) ?? this.#here;
  }

  get #editor(): LineEditor {
    return this.#here.editor;
  }

  /** What is being typed. */
  get #text(): string {
    return this.#editor.before + this.#editor.after;
  }

  get #here(): RoomPicture {
    return this.#current === undefined ? this.#lobby : this.#room(this.#current);
  }

  #see(room: RoomPicture): void {
    room.unread = 0;
    room.mentioned = false;
  }

  #add(room: RoomPicture, entry: Entry): void {
    // Lines on their way stay last.
    const at = entry.key === undefined ? room.entries.findIndex(({ key }) => key !== undefined) : -1;
    room.entries.splice(at < 0 ? room.entries.length : at, 0, entry);
    // Whoever looks further up goes on looking there.
    if (this.#scroll > 0 && room === this.#here) this.#scroll += this.#entryRows(room, entry).length;
    if (room.entries.length <= MAX_ENTRIES) return;
    for (const { line } of room.entries.splice(0, MAX_ENTRIES / 10)) if (line) room.byIndex.delete(line.index);
  }

  #drop(room: RoomPicture, isMeant: (entry: Entry) => boolean): void {
    for (let at; (at = room.entries.findIndex(isMeant)) >= 0;) room.entries.splice(at, 1);
  }

  #note(room: RoomPicture, notes: readonly string[], isLoud = false): void {
    for (const note of notes) this.#add(room, { note: oneLine(note), isLoud });
  }

  /** A certificate is new to its account, or is no longer, in whatever room it writes. */
  #mark(fingerprint: string, unvouched: boolean): void {
    for (const { entries } of this.#rooms.values()) {
      for (const entry of entries) if (entry.line?.from === fingerprint) entry.line = { ...entry.line, unvouched };
    }
  }

  #change(name: string, index: number, change: Partial<LineEvent>): void {
    const entry = this.#rooms.get(name)?.byIndex.get(index);
    if (entry?.line) entry.line = { ...entry.line, ...change };
  }

  // Keys.

  /** A key was pressed. */
  key(key: Key): Outcome {
    this.#hint = "";
    if (this.#question) return this.#answer(key, this.#question.byEnter);
    switch (key.name) {
      case "tab":
        this.#complete();
        return { type: "draw" };
      case "newline":
        this.#editor.apply({ name: "text", text: "\n" });
        return { type: "draw" };
      case "page-up":
      case "page-down":
        this.#scroll = Math.max(0, this.#scroll + (key.name === "page-up" ? 1 : -1) * Math.max(1, this.#bodyRows - 2));
        if (this.#scroll === 0) this.#see(this.#here);
        return { type: "draw" };
      case "next-room":
      case "previous-room":
        this.#move(key.name === "next-room" ? 1 : -1);
        return { type: "draw" };
      case "enter":
        this.#question = this.#questionOn(this.#text);
        return this.#question ? { type: "draw" } : this.#outcome(this.#editor.apply(key));
      default:
        return this.#outcome(this.#editor.apply(key));
    }
  }

  /** What is asked before a line is taken; nothing, of most. */
  #questionOn(text: string): { text: string; byEnter: boolean } | undefined {
    const index = indexToRedact(text);
    if (index !== undefined) {
      const line = this.#here.byIndex.get(index)?.line;
      const words = line ? `: ${saidBy(line).text.split("\n")[0]}` : "";
      return { text: `${REDACT_QUESTION(index)} (y/n)${words}`, byEnter: false };
    }
    const count = text.split("\n").length;
    if (count <= MANY_LINES) return undefined;
    return { text: `Send these ${count} lines as one message? (y/n) `, byEnter: true };
  }

  #answer(key: Key, byEnter: boolean): Outcome {
    this.#question = undefined;
    const isYes = (byEnter && key.name === "enter") || (key.name === "text" && key.text.toLowerCase() === "y");
    return isYes ? this.#outcome(this.#editor.apply({ name: "enter" })) : { type: "draw" };
  }

  #outcome(edit: Edit): Outcome {
    switch (edit.type) {
      case "line":
        this.#scroll = 0;
        return edit.text === "" ? { type: "draw" } : { type: "enter", text: edit.text };
      case "interrupt":
        if (this.#interrupts.press()) return { type: "quit" };
        this.#hint = "Ctrl-C again ends the program; Up brings back what you typed";
        return { type: "draw" };
      case "end-of-input":
        return { type: "quit" };
      case "full":
        this.#hint = "too long for one message: not all of it was taken";
        return { type: "draw" };
      default:
        return { type: edit.type === "edited" ? "draw" : edit.type };
    }
  }

  #move(by: number): void {
    const names = [...this.#rooms.keys()];
    if (names.length === 0) return;
    const at = names.indexOf(this.#current ?? "");
    this.enter(names[(at + by + names.length) % names.length]);
  }

  /** Completes the name, room or command before the cursor. */
  #complete(): void {
    const before = this.#editor.before;
    const word = /\S*$/.exec(before)?.[0] ?? "";
    if (word === "") return;
    const isFirst = word.length === before.length;
    const names = isFirst && word.startsWith("/")
      ? COMMAND_NAMES.map((name) => `/${name}`)
      : word.startsWith("#")
      ? [...this.#rooms.keys()]
      : this.#here.members.map((name) => word.startsWith("@") ? `@${name}` : name);
    const found = names.filter((name) => name.toLowerCase().startsWith(word.toLowerCase()));
    const [first] = found;
    if (first === undefined) return;
    const isWhole = found.length === 1;
    const common = isWhole ? first : commonBeginning(found);
    if (common.length < word.length || (!isWhole && common.length === word.length)) {
      this.#hint = found.join(" ");
      return;
    }
    for (let n = word.length; n > 0; n--) this.#editor.apply({ name: "backspace" });
    const end = !isWhole ? "" : isFirst && !/^[/#@]/.test(word) ? ": " : " ";
    this.#editor.apply({ name: "text", text: common + end });
  }

  // The picture.

  get #listWidth(): number {
    return this.#columns < LEAST_FOR_LIST ? 0 : Math.min(24, Math.floor(this.#columns / 5));
  }

  get #mainWidth(): number {
    return this.#listWidth === 0 ? this.#columns : this.#columns - this.#listWidth - 1;
  }

  get #bodyRows(): number {
    return Math.max(1, this.#rows - 2 - this.#input().rows.length);
  }

  /** Every row, from the top; colours are in them, and nothing that moves the cursor. */
  picture(): { readonly rows: readonly string[]; readonly cursor: Cursor } {
    const input = this.#input();
    // On the lowest terminals what is typed comes first, then the status, then what was said last.
    const room = Math.max(0, this.#rows - input.rows.length - 1);
    const main = room === 0 ? [] : room === 1 ? this.#body(1) : [this.#head(), ...this.#body(room - 1)];
    const list = this.#list(main.length);
    const width = this.#listWidth;
    const top = width === 0 ? main : main.map((row, at) => `${list[at] ?? " ".repeat(width)}│${row}`);
    const rows = [...top, this.#status(), ...input.rows].slice(-Math.max(1, this.#rows));
    return {
      rows: rows.map((row) => clip(row, this.#columns)),
      cursor: {
        row: rows.length - input.rows.length + input.row,
        column: Math.min(input.column, Math.max(0, this.#columns - 1)),
      },
    };
  }

  #head(): string {
    const room = this.#here;
    const title = room.name === "" ? "securechat" : titleOf(room.name, this.#username);
    const topic = room.topic === "" ? "" : ` · ${room.topic}`;
    const who = room.present
      ? presentWords(room.name, this.#username, room.present)
      : room.members.length > 0
      ? plural(room.members.length, "member")
      : "";
    const count = who === "" ? "" : `  ${fit(who, Math.max(1, Math.floor(this.#mainWidth / 2) - 2), "end")}`;
    const left = fit(`${title}${topic}`, Math.max(4, this.#mainWidth - count.length), "beginning");
    const gap = " ".repeat(Math.max(0, this.#mainWidth - cells(left) - count.length));
    return this.#paint("1", `${left}${gap}${count}`);
  }

  #list(height: number): string[] {
    const width = this.#listWidth;
    return [...this.#rooms.values()].slice(0, height).map((room) => {
      const isHere = room.name === this.#current;
      const count = room.unread === 0 ? "" : ` ${room.unread}${room.mentioned ? "!" : ""}`;
      const name = fit(titleOf(room.name, this.#username), width - 2 - count.length, "beginning");
      const text = `${isHere ? "▸" : " "}${name}${count}`.padEnd(width);
      return this.#paint(room.mentioned ? "1;33" : isHere || room.unread > 0 ? "1" : "", text);
    });
  }

  /** Whether the picture changes with time alone. */
  get isTicking(): boolean {
    return this.#silentSince !== undefined || (this.#connection === "offline" && this.#retryAt !== undefined);
  }

  /** How the connection is. */
  get #state(): string {
    const now = this.#options.now();
    if (this.#connection === "offline") {
      const rest = Math.ceil(((this.#retryAt ?? now) - now) / 1000);
      const next = this.#retryAt === undefined ? "" : rest > 0 ? `, next try in ${rest} s` : ", trying now";
      return `offline${next}: ${this.#cause}`;
    }
    if (this.#silentSince !== undefined) return `no answer for ${Math.floor((now - this.#silentSince) / 1000)} s`;
    return this.#isAway && this.#connection === "online" ? "away" : this.#connection;
  }

  #status(): string {
    const unsent = this.#options.unsent();
    const parts = [
      `${this.#username === "" ? "nobody yet" : this.#username} @ ${this.#options.server}`,
      this.#state,
      ...(this.#here.isRecorded ? ["recorded"] : []),
      ...(unsent > 0 ? [`${unsent} unsent`] : []),
      ...(this.#scroll > 0 ? ["further down: Page Down"] : []),
    ];
    const said = this.#hint === "" ? parts.join(" ─ ") : this.#hint;
    const text = fit(`─ ${said} `, this.#columns, "beginning");
    const isGood = this.#connection === "online" && this.#silentSince === undefined;
    return this.#paint(isGood ? "36" : "33", text + "─".repeat(Math.max(0, this.#columns - cells(text))));
  }

  #input(): { rows: string[]; row: number; column: number } {
    const { before, after } = this.#editor;
    if (this.#question) {
      const question = fit(this.#question.text, Math.max(1, this.#columns - 1), "beginning");
      return { rows: [question], row: 0, column: cells(question) };
    }
    const width = Math.max(4, this.#columns - PROMPT.length);
    const all = hardWrap(before + after, width);
    const typed = hardWrap(before, width);
    const row = typed.length - 1;
    const most = Math.max(1, Math.min(MAX_INPUT_ROWS, this.#rows - 4));
    const first = Math.max(0, Math.min(row - most + 1, all.length - most));
    const shown = all.slice(first, first + most);
    return {
      rows: shown.map((text, at) => `${first + at === 0 ? PROMPT : " ".repeat(PROMPT.length)}${text}`),
      row: row - first,
      column: PROMPT.length + cells(typed[row] ?? ""),
    };
  }

  #body(height: number): string[] {
    const room = this.#here;
    let rows: string[] = [];
    let at = room.entries.length - 1;
    for (; at >= 0 && rows.length < height + this.#scroll; at--) {
      const entry = room.entries[at];
      if (entry) rows = [...this.#dayBefore(room, at), ...this.#entryRows(room, entry), ...rows];
    }
    if (at < 0) this.#scroll = Math.max(0, Math.min(this.#scroll, rows.length - height));
    const end = rows.length - this.#scroll;
    const shown = rows.slice(Math.max(0, end - height), end);
    return [...shown, ...Array<string>(Math.max(0, height - shown.length)).fill("")];
  }

  /** The day, where the line is the first of it. */
  #dayBefore({ entries }: RoomPicture, at: number): string[] {
    const line = entries[at]?.line;
    if (!line) return [];
    const before = entries.slice(0, at).findLast((entry) => entry.line)?.line;
    if (before && dayAndZone(before.ts) === dayAndZone(line.ts)) return [];
    return [this.#paint("2", fit(`── ${dayAndZone(line.ts)} ──`, this.#mainWidth, "beginning"))];
  }

  #entryRows(room: RoomPicture, entry: Entry): string[] {
    const { line, note, text = "" } = entry;
    if (note !== undefined) {
      const code = entry.isLoud === true ? "1;31" : "2";
      const prefix = entry.of ? this.#said : " ".repeat(cells(this.#said));
      return wrap(note, this.#mainWidth, prefix).map((row) => this.#paint(code, row));
    }
    const width = Math.max(LEAST_INDEX, String(room.highest).length);
    if (!line) {
      const when = `${" ".repeat(width)}   …  `;
      return this.#saidRows({ when, mark: "→", author: this.#username, remarks: "", text, isAct: false, code: "2" });
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

const PROMPT = "> ";
/** Cells for an index, at least: most rooms look alike. */
const LEAST_INDEX = 2;
/** What each further row of a line begins with. */
const SAID = "      | ";
/** Where a row has less room behind the author's name, the words begin in the next. */
const LEAST_ROOM = 4;

function emptyRoom(name: string): RoomPicture {
  return {
    ...{ name, editor: new LineEditor(), entries: [], byIndex: new Map(), topic: "", members: [], present: undefined },
    ...{ unread: 0, mentioned: false, highest: 0 },
    ...{ newFrom: Infinity, covered: 0, isRecorded: false, isConsented: false },
  };
}

const LOUD: ReadonlySet<string> = new Set(["lie", "warning", "uncovered", "wrong_clock", "error"]);

/** Red is for what is wrong. */
const COLOURS = ["32", "33", "34", "35", "36", "92", "93", "94", "95", "96"];

/** The colour of somebody, the same every time. */
function colourOf(name: string): string {
  let sum = 0;
  for (const letter of name.toLowerCase()) sum = (sum * 31 + (letter.codePointAt(0) ?? 0)) % 65_521;
  return COLOURS[sum % COLOURS.length] ?? "";
}

/** A sentence of the program's own: a reason in it that comes from elsewhere gets no row of its own. */
function oneLine(note: string): string {
  return note.replaceAll("\n", " ");
}

function commonBeginning(names: readonly string[]): string {
  const [first = "", ...others] = names;
  let length = first.length;
  for (const other of others) {
    while (!other.toLowerCase().startsWith(first.slice(0, length).toLowerCase())) length -= 1;
  }
  return first.slice(0, length);
}

/** The characters that make one picture of another; an empty one before stands for a cleared terminal. */
export function difference(before: readonly string[], rows: readonly string[], { row, column }: Cursor): string {
  const changed = rows.flatMap((text, at) => text === before[at] ? [] : [`\x1b[${at + 1};1H\x1b[K${text}`]);
  const clear = before.length === 0 ? "\x1b[2J" : "";
  return `\x1b[?25l${clear}${changed.join("")}\x1b[${row + 1};${column + 1}H\x1b[?25h`;
}
