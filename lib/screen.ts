/**
 * What the chat shows: events as sentences, and the picture on a terminal. Nothing is written here; every method returns
 * the characters to write.
 *
 *     ✓ 14:30:22 hello                      what is settled scrolls away above,
 *     ✗ how are you? (refused: …)
 *     → still on its way                    below it the lines that the server has not answered yet
 *     > what is being ty▮                   and the line that is being typed
 *
 * The last rows (the unanswered lines and the prompt) are drawn anew with each change; each is cut to the width, so that
 * how far to go up is known. Text of others (reasons, names, words) passes `printable` of text.ts: control characters,
 * bidi controls and other invisible ones are shown as `\u{1b}`, so that no one else's text moves the cursor, colours a
 * line or turns it round. Widths are those of grapheme clusters: wide ones two cells, combining marks none; where a
 * terminal thinks otherwise the cursor stands a cell off, no more.
 *
 * @layer chat
 */

import { encodeAsciiJson } from "./json.ts";
import { printable } from "./text.ts";

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

/** An event as one line of JSON, ASCII alone: nothing in it acts on a terminal. The texts of one's own lines stay out. */
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

/** What a person reads of an event, a sentence each; nothing where there is nothing to say. */
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

/** Cuts a text into what a person takes for one character each. */
export const graphemes = new Intl.Segmenter("en", { granularity: "grapheme" });
const WIDE =
  /^(?:\p{Emoji_Presentation}|.\ufe0f|[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\u3000-\u303e\uff01-\uff60\uffe0-\uffe6])/u;
const NARROW_KATAKANA = /^[\uff61-\uffdc]/;
// Marks, joiners, and the vowels and finals of Hangul that is written in parts: a lone one takes no cell of its own.
const NO_WIDTH = /^[\p{M}\u200c\u200d\u1160-\u11ff\ud7b0-\ud7ff]+$/u;

/** How many cells a grapheme cluster takes. */
export function cellsOf(cluster: string): number {
  if (NO_WIDTH.test(cluster)) return 0;
  return WIDE.test(cluster) && !NARROW_KATAKANA.test(cluster) ? 2 : 1;
}

/** How many cells a text takes, as {@link printable} shows it. */
export function cells(text: string): number {
  let sum = 0;
  for (const { segment } of graphemes.segment(printable(text))) sum += cellsOf(segment);
  return sum;
}

/** As much of the text's beginning (or end) as fits into that many cells, printable; a cut is shown by `…`. */
export function fit(text: string, width: number, keep: "beginning" | "end"): string {
  // A cluster may be several units long, but no honest one has hundreds: no need to look at a whole pasted book.
  const shown = keep === "beginning" ? printable(text.slice(0, 64 * width)) : printable(text.slice(-64 * width));
  const clusters = [...graphemes.segment(shown)].map((part) => part.segment);
  const isWhole = clusters.reduce((sum, cluster) => sum + cellsOf(cluster), 0) <= width && text.length <= 64 * width;
  if (isWhole) return shown;
  if (keep === "end") clusters.reverse();
  const kept: string[] = [];
  let room = width - 1;
  for (const cluster of clusters) {
    room -= cellsOf(cluster);
    if (room < 0) break;
    kept.push(cluster);
  }
  return keep === "end" ? `…${kept.reverse().join("")}` : `${kept.join("")}…`;
}

const PROMPT = "> ";
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
    return `\r\x1b[K${this.#prompt()}`;
  }

  /** Something happened. */
  show(event: ChatEvent): string {
    switch (event.event) {
      case "sent":
        this.#pending.set(event.seqno, event.text ?? "");
        return this.#redraw();
      case "acknowledged":
        return this.#redraw([
          this.#paint("32", `✓ ${clockTime(event.received_at)}`) + ` ${printable(this.#settle(event.seqno))}`,
        ]);
      case "refused": {
        const reason = printable(`(refused: ${refusal(event)})`);
        const text = printable(this.#settle(event.seqno));
        return this.#redraw([`${this.#paint("31", "✗")} ${text} ${this.#paint("31", reason)}`]);
      }
      case "not_sent":
        return this.#redraw([this.#paint("31", printable(`✗ ${event.reason}`))]);
      case "warning":
      case "server_receipt_invalid":
        return this.#redraw(sentences(event).map((line) => this.#paint("1;31", printable(line))));
      default:
        return this.#redraw(sentences(event).map(printable));
    }
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
    return erased + [...settled, ...pending].map((line) => `${line}\r\n`).join("") + this.#prompt();
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
