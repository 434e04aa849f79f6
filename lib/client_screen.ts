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
import type { ShownEvent } from "./client_command.ts";
import { COMMAND_NAMES, indexToRedact, REDACT_QUESTION } from "./client_typed_command.ts";
import { ScreenRooms } from "./client_screen_rooms.ts";
import { type RoomScreenOptions, ScreenPainter } from "./client_screen_rows.ts";
import { saidBy, titleOf } from "./client_text.ts";
import { type TypedLine, WordsUnderWay } from "./client_typed.ts";
import { type Edit, type Key, type LineEditor, SecondPress } from "./line_editor.ts";
import { readable } from "./readable.ts";
import { clip, fit, hardWrap } from "./rows.ts";

/** A text of more lines is asked about before it is sent. */
export const MANY_LINES = 3;
/** The most rows that what is being typed may have. */
const MAX_INPUT_ROWS = 6;
const PROMPT = "> ";

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
  readonly #painter: ScreenPainter;
  readonly #rooms: ScreenRooms;
  readonly #interrupts: SecondPress;
  readonly #underWay = new WordsUnderWay();
  #columns: number;
  #height: number;
  /** What is asked about the line that is being typed, and whether Enter is a yes. */
  #question: { readonly text: string; readonly byEnter: boolean } | undefined;
  #hint = "";

  constructor(options: RoomScreenOptions) {
    const { now, columns, rows } = options;
    const painter = new ScreenPainter(options);
    this.#painter = painter;
    this.#rooms = new ScreenRooms({
      now,
      rowsOf: (room, entry) => painter.entryRows(room, entry, this.#rooms.username).length,
    });
    this.#interrupts = new SecondPress(now);
    this.#columns = columns;
    this.#height = rows;
  }

  /** The terminal has another size now. */
  resize(columns: number, rows: number): void {
    this.#columns = columns;
    this.#height = rows;
    this.#painter.resize(columns);
  }

  /** The room that is looked at. */
  get current(): string | undefined {
    return this.#rooms.current;
  }

  /** Looks at another room. */
  enter(room: string | undefined): void {
    this.#rooms.enter(room);
  }

  /** A command has led into another room: it is looked at, unless something is being typed for the one that is. */
  arrive(room: string | undefined): void {
    if (room === this.#rooms.current) return;
    const text = this.#text;
    if (text === "") return this.enter(room);
    if (this.#rooms.current === undefined && room !== undefined) {
      // Where there is no room nothing can be said: what is being typed goes along.
      this.#editor.apply({ name: "interrupt" });
      this.enter(room);
      return void this.#editor.giveBack(text);
    }
    if (room !== undefined) {
      this.#hint = `${titleOf(this.#rooms.room(room).name, this.#rooms.username)} is open: Alt-Down goes there`;
    }
  }

  /** What was typed in a room, or before there was one, was refused: it can be mended or entered again. */
  giveBack({ text, room }: TypedLine): void {
    const { editor } = room === undefined ? this.#rooms.here : this.#rooms.room(room);
    if (!editor.giveBack(text)) this.#hint = `Up brings back: ${text.split("\n")[0]}`;
  }

  /** What stands in the terminal's title. */
  get title(): string {
    const count = this.#rooms.all.filter(({ mentioned }) => mentioned).length;
    const where = this.#rooms.current === undefined ? "" : ` ${titleOf(this.#rooms.current, this.#rooms.username)}`;
    return readable(`${count === 0 ? "" : `(${count}) `}securechat${where}`);
  }

  /** Something happened; true: somebody speaks to whoever looks. */
  take(event: ShownEvent): boolean {
    const refused = this.#underWay.take(event);
    const isCalled = this.#rooms.take(event);
    if (refused) this.giveBack(refused);
    return isCalled;
  }

  get #editor(): LineEditor {
    return this.#rooms.here.editor;
  }

  /** What is being typed. */
  get #text(): string {
    return this.#editor.before + this.#editor.after;
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
        this.#rooms.scrollTo(this.#rooms.scroll + (key.name === "page-up" ? 1 : -1) * Math.max(1, this.#bodyRows - 2));
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
      const line = this.#rooms.here.byIndex.get(index)?.line;
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
        this.#rooms.scrollTo(0);
        return edit.text === "" ? { type: "draw" } : { type: "enter", text: edit.text };
      case "interrupt":
        if (this.#interrupts.press()) return { type: "quit" };
        this.#hint = "Ctrl-C again exits; Up brings back what you typed";
        return { type: "draw" };
      case "end-of-input":
        return { type: "quit" };
      case "full":
        this.#hint = "Too long for one message: the end was left out";
        return { type: "draw" };
      default:
        return { type: edit.type === "edited" ? "draw" : edit.type };
    }
  }

  #move(by: number): void {
    const names = this.#rooms.all.map(({ name }) => name);
    if (names.length === 0) return;
    const at = names.indexOf(this.#rooms.current ?? "");
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
      ? this.#rooms.all.map(({ name }) => name)
      : this.#rooms.here.members.map((name) => word.startsWith("@") ? `@${name}` : name);
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

  /** Whether the picture changes as time passes, with no event: it counts seconds. */
  get isTicking(): boolean {
    const { state, retryAt, silentSince } = this.#rooms.connection;
    return silentSince !== undefined || (state === "offline" && retryAt !== undefined);
  }

  get #bodyRows(): number {
    return Math.max(1, this.#height - 2 - this.#input().rows.length);
  }

  /** Every row, from the top; colours are in them, and nothing that moves the cursor. */
  picture(): { readonly rows: readonly string[]; readonly cursor: Cursor } {
    const input = this.#input();
    // On the lowest terminals what is typed comes first, then the status, then what was said last.
    const room = Math.max(0, this.#height - input.rows.length - 1);
    const main = room === 0
      ? []
      : room === 1
      ? this.#painter.body(this.#rooms, 1)
      : [this.#painter.head(this.#rooms), ...this.#painter.body(this.#rooms, room - 1)];
    const list = this.#painter.list(this.#rooms, main.length);
    const width = this.#painter.listWidth;
    const top = width === 0 ? main : main.map((row, at) => `${list[at] ?? " ".repeat(width)}│${row}`);
    const rows = [...top, this.#painter.status(this.#rooms, this.#hint), ...input.rows].slice(
      -Math.max(1, this.#height),
    );
    return {
      rows: rows.map((row) => clip(row, this.#columns)),
      cursor: {
        row: rows.length - input.rows.length + input.row,
        column: Math.min(input.column, Math.max(0, this.#columns - 1)),
      },
    };
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
    const most = Math.max(1, Math.min(MAX_INPUT_ROWS, this.#height - 4));
    const first = Math.max(0, Math.min(row - most + 1, all.length - most));
    const shown = all.slice(first, first + most);
    return {
      rows: shown.map((text, at) => `${first + at === 0 ? PROMPT : " ".repeat(PROMPT.length)}${text}`),
      row: row - first,
      column: PROMPT.length + cells(typed[row] ?? ""),
    };
  }
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
