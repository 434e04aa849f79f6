/**
 * What the chat shows: events as sentences, and the picture on a terminal. Nothing is written here; every method
 * returns the characters to write.
 *
 *     ✓ 14:30:22 hello                      what is settled scrolls away above,
 *     ✗ how are you? (refused: …)
 *     → still on its way                    below it the lines that the server has not answered yet
 *     > what is being ty▮                   and the line that is being typed
 *
 * The last rows (the unanswered lines and the prompt) are drawn anew with each change; each is cut to the width, so
 * that how far to go up is known, and the terminal is told not to wrap what it takes for wider. Text of others
 * (reasons, names, words) passes `readable`: no one else's text moves the cursor, colours a line or turns it round.
 * What is settled is wrapped here, each further row with a prefix, so that no text can look like a row of its own.
 *
 * @layer chat
 */

import { cells } from "./cell_width.ts";
import { encodeAsciiJson } from "./json.ts";
import { readable } from "./readable.ts";
import { fit, LEAST_FOR_WRAPPING, wrap } from "./rows.ts";

/** Everything that happens in a chat, as `--json` prints it, one a line. Times are unix milliseconds. */
export type ChatEvent =
  | { event: "connected"; host: string; port: number; version: number; server_fingerprint: string; server: string }
  | { event: "session"; session: string | null; transcript: string }
  | { event: "sent"; seqno: number; ts: number; text?: string }
  | { event: "acknowledged"; seqno: number; received_at: number }
  | {
    event: "refused";
    seqno: number;
    error_type: "stale";
    reason: string;
    server_time: number | null;
    own_time: number;
  }
  | { event: "not_sent"; reason: string }
  | { event: "status"; host: string; server_fingerprint: string; version: number; sent: number; acknowledged: number }
  | { event: "notice" | "warning"; message: string }
  | { event: "client_receipt"; path: string }
  | { event: "server_receipt"; path: string }
  | { event: "server_receipt_invalid"; problems: readonly string[] }
  | {
    event: "end";
    status: number;
    reason: string;
    transcript: string | null;
    server_receipt: string | null;
    client_receipt: string | null;
    verify: string | null;
  };

/**
 * An event as one line of JSON, only ASCII: nothing in it acts on a terminal. The texts of our own lines are left out.
 */
export function eventJson(event: ChatEvent): string {
  const { text: _, ...shown } = { text: undefined, ...event };
  return encodeAsciiJson(shown);
}

/** `14:30:22`, in the time zone of whoever looks. */
export function clockTime(unixMs: number): string {
  const time = new Date(unixMs);
  if (Number.isNaN(time.getTime())) return "at no possible time";
  return [time.getHours(), time.getMinutes(), time.getSeconds()].map((n) => String(n).padStart(2, "0")).join(":");
}

/** How far apart two clocks are: `6 minutes and 40 seconds ahead of`, seen from the first. */
export function clockDifference(own: number, other: number): string {
  const seconds = Math.round(Math.abs(own - other) / 1000);
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  const parts = hours > 48 ? [plural(Math.floor(hours / 24), "day")] : [
    hours > 0 ? plural(hours, "hour") : "",
    minutes > 0 ? plural(minutes, "minute") : "",
    plural(seconds % 60, "second"),
  ];
  return `${parts.filter((part) => part !== "").join(", ")} ${own < other ? "behind" : "ahead of"}`;
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** What a person reads of an event, in sentences; none if there is nothing to say. */
export function sentences(event: ChatEvent): string[] {
  switch (event.event) {
    case "connected":
      return [
        `Connected to ${event.server}, protocol version ${event.version}.`,
        `The server's certificate: ${event.server_fingerprint}`,
      ];
    case "session":
      return [`Logged in; lines are kept in ${event.transcript}. /help says what can be typed.`];
    case "sent":
      return [`→ ${event.seqno} sent`];
    case "acknowledged":
      return [`✓ ${event.seqno} acknowledged ${clockTime(event.received_at)}`];
    case "refused":
      return [`✗ ${event.seqno} refused: ${refusal(event)}`];
    case "not_sent":
      return [`✗ not sent: ${event.reason}`];
    case "status":
      return [
        `Connected to ${event.host}, protocol version ${event.version}; ${plural(event.sent, "line")} sent, ` +
        `${event.acknowledged} acknowledged.`,
        `The server's certificate: ${event.server_fingerprint}`,
      ];
    case "notice":
      return [event.message];
    case "warning":
      return [`WARNING: ${event.message}`];
    case "client_receipt":
      return [`Own receipt: ${event.path}`];
    case "server_receipt":
      return [`The server's receipt is verified: ${event.path}`];
    case "server_receipt_invalid":
      return [
        "The server's receipt does not hold and is not kept:",
        ...event.problems.map((problem) => `  - ${problem}`),
      ];
    case "end":
      return [
        event.reason.charAt(0).toUpperCase() + event.reason.slice(1),
        ...(event.transcript ? [`Transcript: ${event.transcript}`] : []),
        ...(event.verify ? ["To verify it later:", `  ${event.verify}`] : []),
      ];
  }
}

/** Why a line was refused, and how far the clocks are apart. */
function refusal({ reason, own_time, server_time }: ChatEvent & { event: "refused" }): string {
  if (server_time === null) return reason;
  return `this clock is ${clockDifference(own_time, server_time)} the server's, which says ` +
    `${clockTime(server_time)}: set the wrong one right. The server's words: ${reason}`;
}

const PROMPT = "> ";
/** Before what wraps. */
const PREFIX = "  | ";
/** Whether the terminal continues a full row in the next one by itself. */
const [NO_WRAP, WRAP] = ["\x1b[?7l", "\x1b[?7h"];
/** More unanswered lines than this are counted, not shown. */
const SHOWN_PENDING = 8;

/** How the terminal is: its size in cells, and whether colours are wanted. */
export interface ScreenOptions {
  readonly columns: number;
  readonly rows: number;
  readonly colour: boolean;
}

/** The picture on a terminal that knows the cursor movements of a VT100. */
export class Screen {
  #columns: number;
  #rows: number;
  readonly #colour: boolean;
  /** Unanswered lines by seqno, in the order in which they were sent. */
  readonly #pending = new Map<number, string>();
  #before = "";
  #after = "";
  /** How many rows stand above the prompt's. */
  #above = 0;

  constructor({ columns, rows, colour }: ScreenOptions) {
    this.#columns = columns;
    this.#rows = rows;
    this.#colour = colour;
  }

  /** The terminal has another size now. */
  resize(columns: number, rows: number): string {
    this.#columns = columns;
    this.#rows = rows;
    return this.#redraw();
  }

  /** The line that is being typed is another: the text before the cursor and the text after it. */
  edit(before: string, after: string): string {
    this.#before = before;
    this.#after = after;
    return `${NO_WRAP}\r\x1b[K${this.#prompt()}${WRAP}`;
  }

  /** Something happened. */
  show(event: ChatEvent): string {
    switch (event.event) {
      case "sent":
        this.#pending.set(event.seqno, event.text ?? "");
        return this.#redraw();
      case "acknowledged":
        return this.#settled("32", `✓ ${clockTime(event.received_at)}`, this.#settle(event.seqno));
      case "refused": {
        const text = this.#settle(event.seqno);
        return this.#settled("31", "✗", `${text} (refused: ${refusal(event)})`);
      }
      case "not_sent":
        return this.#settled("31", "✗", event.reason);
      case "warning":
      case "server_receipt_invalid":
        return this.#redraw(
          sentences(event).flatMap((line) => this.#wrapped(line).map((row) => this.#paint("1;31", row))),
        );
      default:
        return this.#redraw(sentences(event).flatMap((line) => this.#wrapped(line)));
    }
  }

  /** What a mark in that colour says of a text. */
  #settled(code: string, mark: string, text: string): string {
    const isNarrow = this.#columns < LEAST_FOR_WRAPPING;
    const [first = "", ...more] = isNarrow ? [readable(text)] : wrap(text, this.#width, PREFIX, cells(mark) + 1);
    return this.#redraw([`${this.#paint(code, mark)} ${first}`, ...more]);
  }

  /** A sentence; one without blanks, such as a command to be copied, is the terminal's to break. */
  #wrapped(line: string): string[] {
    return line.startsWith("  ") || this.#columns < LEAST_FOR_WRAPPING
      ? [readable(line)]
      : wrap(line, this.#width, PREFIX);
  }

  /** The prompt and what is unanswered go; the cursor stands at the beginning of an empty row. */
  clear(): string {
    const erased = this.#erase();
    this.#above = 0;
    return erased;
  }

  #settle(seqno: number): string {
    const text = this.#pending.get(seqno) ?? "";
    this.#pending.delete(seqno);
    return text;
  }

  /** Whatever is settled, once and for good, and below it the live rows. */
  #redraw(settled: readonly string[] = []): string {
    const erased = this.#erase();
    const pending = this.#pendingRows();
    this.#above = pending.length;
    const live = NO_WRAP + pending.map((line) => `${line}\r\n`).join("") + this.#prompt() + WRAP;
    return erased + settled.map((line) => `${line}\r\n`).join("") + live;
  }

  #erase(): string {
    return (this.#above > 0 ? `\x1b[${this.#above}A` : "") + "\r\x1b[J";
  }

  #pendingRows(): string[] {
    const most = Math.max(0, Math.min(SHOWN_PENDING, this.#rows - 3));
    const texts = [...this.#pending.values()];
    const rows = texts.slice(0, most).map((text) => this.#paint("2", `→ ${fit(text, this.#width - 2, "beginning")}`));
    if (texts.length > most && most > 0) {
      rows.splice(
        most - 1,
        1,
        this.#paint("2", fit(`→ and ${texts.length - most + 1} more`, this.#width, "beginning")),
      );
    }
    return rows;
  }

  /** One cell stays free: a full row would wrap. */
  get #width(): number {
    return Math.max(4, this.#columns - 1);
  }

  #prompt(): string {
    const room = this.#width - PROMPT.length;
    // The cursor stays in sight: what is before it gets the room, and what is after it the rest.
    const before = fit(this.#before, room, "end");
    const rest = room - cells(before);
    const after = rest > 0 && this.#after !== "" ? fit(this.#after, rest, "beginning") : "";
    const column = PROMPT.length + cells(before);
    return `${PROMPT}${before}${after}\r\x1b[${column}C`;
  }

  #paint(code: string, text: string): string {
    return this.#colour ? `\x1b[${code}m${text}\x1b[0m` : text;
  }
}
