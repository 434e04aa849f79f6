/**
 * How `securechat rooms` shows events, and from where it takes commands: one {@link Face} for programs, one for plain lines
 * through pipes, one for plain lines on a terminal, and one that draws.
 */

import { type BotEvent, BotWire, parseBotCommand } from "../lib/client_bot.ts";
import { BotOutput } from "../lib/client_bot_output.ts";
import { PlainPrompt } from "../lib/client_plain_prompt.ts";
import { type TypedLine, TypedLines, WordsUnderWay } from "../lib/client_typed.ts";
import { suspend } from "../lib/job.ts";
import { encodeAsciiJson } from "../lib/json.ts";
import { type Edit, type Key, LineEditor, SecondPress } from "../lib/line_editor.ts";
import { readable } from "../lib/readable.ts";
import { indexToRedact, parseTyped, REDACT_QUESTION } from "../lib/client_typed_command.ts";
import { difference, MANY_LINES, type Outcome, RoomScreen } from "../lib/client_screen.ts";
import type { ShownEvent } from "../lib/client_command.ts";
import { PlainText } from "../lib/client_plain_text.ts";
import { isTerminal, keys, lines, onRows, Output, size, wantsColour } from "../lib/terminal.ts";
import { DONT_MARK_PASTE, DrawnTerminal, eachEdit, MARK_PASTE, printer } from "./faces.ts";

/** What was typed or sent: a command, or why it is none, and the id that an answer carries. */
export type Asked = ReturnType<typeof parseBotCommand> & {
  /** The line that somebody typed, if it can come back. */
  readonly typed?: TypedLine;
};

/** Where commands come from and events go. */
export interface Face {
  readonly show: (event: ShownEvent) => void;
  /** The commands, until there is no more to come. */
  readonly commands: () => AsyncIterable<Asked>;
  /** Makes a room the current one. `isNamed`: the command line names it, and what was typed before is for it. */
  readonly enter: (room: string | undefined, isNamed?: boolean) => void;
  /** What was typed was refused: its words come back into the input line. */
  readonly giveBack?: (line: TypedLine) => void;
  readonly current: () => string | undefined;
  readonly open: () => void;
  /** Asks for something that isn't shown; `undefined` if it wasn't answered. */
  readonly ask?: (prompt: string) => Promise<string | undefined>;
  /** Resolves when everything is written, or can't be. */
  readonly close: () => void | Promise<void>;
}

const NOTHING = { enter: () => {}, current: () => undefined, open: () => {} };

/** Events and commands as JSON. `leave` is called when nobody reads any more. */
export function jsonFace(leave: () => void): Face {
  const wire = new BotWire();
  const encode = (event: BotEvent) => `${encodeAsciiJson(wire.encode(event))}\n`;
  const output = new BotOutput({ gone: leave, lost: (lost) => encode({ event: "overflow", lost }) });
  async function* commands(): AsyncGenerator<Asked> {
    for await (const line of lines()) {
      if (line === undefined) yield { problem: "The line is not UTF-8 text." };
      else if (line.trim() !== "") yield parseBotCommand(line);
    }
  }
  return { ...NOTHING, show: (event) => output.write(encode(event)), commands, close: () => output.end() };
}

function goesTo(title: string): string {
  return `You are writing in ${title}.`;
}

/** A line as it was typed, parsed when it is its turn. */
async function* parsed(typed: TypedLines): AsyncGenerator<Asked> {
  for await (const line of typed) yield { ...parseTyped(line.text, line.room, Date.now()), typed: line };
}

/** Plain lines, to a pipe, from a pipe, or on a terminal that can't draw. `leave` is called when nobody reads any more. */
export function plainFace(leave: () => void): Face {
  const text = new PlainText();
  const output = new Output(leave);
  const say = (rows: readonly string[]) => output.write(onRows(rows).map((line) => `${line}\n`).join(""));
  let current: string | undefined;
  async function* commands(): AsyncGenerator<Asked> {
    let due: Asked | undefined; // a command about which somebody was asked
    for await (const line of lines()) {
      if (due) {
        if (/^y(?:es)?$/i.test(line?.trim() ?? "")) yield due;
        else say(["Nothing was erased."]);
        due = undefined;
      } else if (line === undefined) yield { problem: "The line is not UTF-8 text." };
      else if (line !== "") {
        const asked = parseTyped(line, current, Date.now());
        const index = isTerminal() ? indexToRedact(line) : undefined;
        if (index === undefined || "problem" in asked) yield asked;
        else [due] = [asked, say([`${REDACT_QUESTION(index)} [y/N]`])];
      }
    }
  }
  return {
    ...NOTHING,
    show: (event) => say(text.lines(event)),
    commands,
    enter: (room) => {
      if (room !== current && room !== undefined && isTerminal()) say([goesTo(text.title(room))]);
      current = room;
    },
    close: () => {
      say(text.end());
      output.end();
    },
    current: () => current,
  };
}

/** What somebody is asked before a line is taken; nothing, of most. */
function questionOn(text: string): string | undefined {
  const index = indexToRedact(text);
  if (index !== undefined) return REDACT_QUESTION(index);
  const count = text.split("\n").length;
  return count > MANY_LINES ? `Send these ${count} lines as one message?` : undefined;
}

/**
 * Plain lines on a terminal, and below them the line that is being typed. `leave` is called when whoever types wants to
 * end it.
 */
export function typedFace(leave: () => void): Face {
  const text = new PlainText();
  const prompt = new PlainPrompt(size().columns);
  const editor = new LineEditor();
  const interrupts = new SecondPress(() => performance.now());
  const typed = new TypedLines();
  const underWay = new WordsUnderWay();
  let rows: string[] = [];
  let isDue = false;
  const terminal = new DrawnTerminal();
  const print = printer(leave);
  let current: string | undefined;
  /** A line about which somebody was asked. */
  let asked: string | undefined;

  function say(more: readonly string[]): void {
    rows.push(...more);
    if (!isDue && rows.length > 0) setTimeout(flush, DRAW_AFTER);
    isDue ||= rows.length > 0;
  }

  function flush(): void {
    isDue = false;
    const shown = onRows(rows);
    rows = [];
    if (shown.length > 0) print(terminal.isOpen ? prompt.above(shown) : shown.map((row) => `${row}\n`).join(""));
  }

  const redraw = () => print(prompt.edit(editor.before, editor.after));

  function enter(line: string): void {
    flush();
    print(prompt.entered(line));
    if (asked !== undefined) {
      if (/^y(?:es)?$/i.test(line.trim())) typed.push(asked, current);
      else say(["Nothing was sent; Up brings back what you typed."]);
      asked = undefined;
    } else if (line !== "") {
      const question = questionOn(line);
      if (question === undefined) return typed.push(line, current);
      asked = line;
      say([`${question} [y/N]`]);
    }
  }

  function take(edit: Edit): void {
    if (edit.type === "line") return enter(edit.text);
    if (edit.type === "end-of-input") return typed.end();
    if (edit.type === "suspend") return suspend();
    if (edit.type === "interrupt") {
      if (interrupts.press()) return leave();
      say(["Ctrl-C again exits; Up brings back what you typed."]);
    }
    if (edit.type === "full") say(["That is too long for one message: the end was left out."]);
    redraw();
  }

  function giveBack(line: TypedLine): void {
    if (!editor.giveBack(line.text)) say([`Up brings back: ${readable(line.text.split("\n")[0] ?? "")}`]);
    if (terminal.isOpen) redraw();
  }

  return {
    show: (event) => {
      say(text.lines(event));
      const refused = underWay.take(event);
      if (refused) giveBack(refused);
    },
    commands: () => parsed(typed),
    enter: (room, isNamed) => {
      if (isNamed && room !== undefined) typed.belongTo(room);
      if (room === current) return;
      const title = room === undefined ? "" : text.title(room);
      const isTyping = current !== undefined && editor.before + editor.after !== "";
      if (isTyping && room !== undefined) return say([`You joined ${title}: /join ${title} goes there.`]);
      current = room;
      if (room !== undefined) say([goesTo(title)]);
      flush();
      if (terminal.isOpen) print(prompt.goTo(title));
    },
    giveBack,
    current: () => current,
    open: () => {
      flush();
      const resize = () => print(prompt.resize(size().columns));
      terminal.open({
        leave: () => print(prompt.clear() + DONT_MARK_PASTE),
        enter: () => (print(MARK_PASTE), resize()),
        resize,
      });
      print(MARK_PASTE);
      redraw();
      void eachEdit(editor, { take, end: leave, newlines: true });
    },
    close: () => {
      say(text.end());
      flush();
      terminal.close();
    },
  };
}

/**
 * The other screen of the terminal, which leaves what was there before; pastes are marked; and a row that the terminal
 * takes for wider than it was counted ends at the edge instead of going on in the next.
 */
const OPEN = "\x1b[?1049h\x1b[?2004h\x1b[?7l";
const CLOSE = "\x1b[?7h\x1b[?2004l\x1b[?1049l\x1b]0;\x07";
const BELL = "\x07";
/** How long changes are gathered before they are drawn, in milliseconds. */
const DRAW_AFTER = 15;

/** A picture, from the time that it is opened. `leave` is called when whoever types wants to end it. */
export function drawnFace(server: string, unsent: () => number, leave: () => void): Face {
  const now = () => performance.now();
  const screen = new RoomScreen({ ...size(), colour: wantsColour(), server, unsent, now });
  const terminal = new DrawnTerminal();
  const print = printer(leave);
  /** Counts down, while there is something to count. */
  let clock: ReturnType<typeof setInterval> | undefined;
  let shown: readonly string[] = [];
  let title = "";
  let isDue = false;
  const typed = new TypedLines();
  /** Takes the keys of an answer that isn't shown. */
  let takeHidden: ((key: Key) => boolean) | undefined;

  function ask(prompt: string): Promise<string | undefined> {
    const { promise, resolve } = Promise.withResolvers<string | undefined>();
    const editor = new LineEditor();
    takeHidden = (key) => {
      const edit = editor.apply(key);
      if (edit.type === "suspend") suspend();
      const isOver = edit.type === "line" || edit.type === "interrupt" || edit.type === "end-of-input";
      if (isOver) {
        takeHidden = undefined;
        resolve(edit.type === "line" ? edit.text : undefined);
      }
      return true;
    };
    screen.take({ event: "notice", message: prompt });
    drawSoon();
    return promise;
  }

  function draw(): void {
    isDue = false;
    if (!terminal.isOpen) return;
    const { rows, cursor } = screen.picture();
    const renamed = screen.title === title ? "" : `\x1b]0;${screen.title}\x07`;
    print(difference(shown, rows, cursor) + renamed);
    shown = rows;
    title = screen.title;
  }

  function drawSoon(): void {
    if (!isDue) setTimeout(draw, DRAW_AFTER);
    isDue = true;
  }

  function resize(): void {
    const { columns, rows } = size();
    screen.resize(columns, rows);
    shown = [];
    drawSoon();
  }

  function take(outcome: Outcome): void {
    if (outcome.type === "quit") return leave();
    if (outcome.type === "suspend") suspend();
    if (outcome.type === "redraw") shown = [];
    if (outcome.type === "enter") typed.push(outcome.text, screen.current);
    drawSoon();
  }

  // The keys are read whether or not anybody waits for a command: Ctrl-C must be heard at any time.
  async function readKeys(): Promise<void> {
    for await (const key of keys()) if (!takeHidden?.(key)) take(screen.key(key));
    leave();
  }

  return {
    show: (event) => {
      if (screen.take(event) && terminal.isOpen) print(BELL);
      drawSoon();
    },
    commands: () => parsed(typed),
    enter: (room, isNamed) => {
      if (isNamed && room !== undefined) typed.belongTo(room);
      screen.arrive(room);
      drawSoon();
    },
    giveBack: (line) => {
      screen.giveBack(line);
      drawSoon();
    },
    current: () => screen.current,
    ask,
    open: () => {
      terminal.open({ leave: () => print(CLOSE), enter: () => (print(OPEN), resize()), resize });
      clock = setInterval(() => screen.isTicking && drawSoon(), 1_000);
      print(OPEN);
      draw();
      void readKeys();
    },
    close: () => {
      clearInterval(clock);
      terminal.close();
    },
  };
}
