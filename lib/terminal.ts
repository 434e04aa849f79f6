/**
 * The terminal and standard input: questions with a visible or a hidden answer, the keys of raw mode, the lines of a
 * pipe, signals.
 *
 *     const email = await askLine("E-mail: ");
 *     const password = await askHidden("Password: ");      // nothing is echoed, not even stars
 *     using raw = new RawMode();                            // until the end of the block the keys come one by one
 *     for await (const bytes of chunks()) …
 *
 * Questions are written to stderr, so that stdout has only data. Raw mode is left however the program ends (the end of
 * the block, an error, a handled signal, `Deno.exit`), and while the program is suspended. In raw mode Ctrl-C, Ctrl-D and
 * Ctrl-Z are keys that the program must handle. Only this module reads standard input: bytes that were read beyond an
 * answer are kept for the next reader.
 *
 * @layer outside
 */

import { setImmediate } from "node:timers";
import { type Bytes, concat, encodeUtf8, parseUtf8 } from "./bytes.ts";
import { EXIT, Failure } from "./errors.ts";
import { listenForHangup } from "./hangup.ts";
import { Job, type JobHooks, suspend } from "./job.ts";
import { type Key, keysOf, LineEditor } from "./line_editor.ts";
import { LEAST_FOR_WRAPPING, wrap } from "./rows.ts";
import { sleep } from "./system.ts";
import { printable } from "./text.ts";
import { readTimeZone } from "./time_zone.ts";

/** Whether a person can be asked. */
export function isTerminal(): boolean {
  return Deno.stdin.isTerminal() && Deno.stderr.isTerminal();
}

/** Whether a picture can be kept on the terminal: rows drawn anew, raw mode. `TERM=dumb` says that it can't. */
export function canDraw(): boolean {
  if (!Deno.stdin.isTerminal() || !Deno.stdout.isTerminal()) return false;
  return Deno.build.os === "windows" || !["", "dumb", "unknown"].includes(Deno.env.get("TERM") ?? "");
}

/** Whether colours are wanted (no-color.org). */
export function wantsColour(): boolean {
  return (Deno.env.get("NO_COLOR") ?? "") === "";
}

/** Has local times be those of TZ, also where that is written as POSIX does. Failure (2) where it can't be told. */
export function useTimeZone(): void {
  const tz = Deno.env.get("TZ") ?? "";
  if (tz === "" || /^:?\/etc\/localtime$/.test(tz)) return;
  const zone = readTimeZone(tz);
  if (zone === undefined) {
    throw new Failure(
      EXIT.usage,
      `TZ is "${printable(tz)}", which is no zone known here: set it to a name such as Europe/Berlin`,
    );
  }
  if (zone !== tz) Deno.env.set("TZ", zone);
}

/** The terminal's size in cells; that of a VT100 where it doesn't tell. */
export function size(): { columns: number; rows: number } {
  try {
    const { columns, rows } = Deno.consoleSize();
    if (columns > 0 && rows > 0) return { columns, rows };
  } catch {
    // stdout is no terminal
  }
  return { columns: 80, rows: 24 };
}

/** Before the further rows of a line. */
const FURTHER = "  | ";

/**
 * Lines as rows of the terminal that stdout is, each further row with a prefix: where a terminal wraps by itself, a
 * text can be written so that its second row looks like a line of its own. Elsewhere lines stay as they are.
 */
export function onRows(lines: readonly string[]): readonly string[] {
  if (!Deno.stdout.isTerminal()) return lines;
  const { columns } = size();
  if (columns < LEAST_FOR_WRAPPING) return lines;
  // What is indented is to be copied, such as a command.
  return lines.flatMap((line) => line.startsWith("  ") ? [line] : wrap(line, columns, FURTHER));
}

/** Writes all of a text. */
export function write(text: string, to: { writeSync(bytes: Uint8Array): number } = Deno.stdout): void {
  const bytes = encodeUtf8(text);
  for (let at = 0; at < bytes.length;) at += to.writeSync(bytes.subarray(at));
}

/** Text that leaves at the end of a turn: ten thousand short writes cost more than what they say. */
export class Output {
  readonly #gone: () => void;
  #text = "";
  #isEnding = false;
  #isGone = false;

  /** `gone` is called when nobody reads any more; what comes after that is dropped. */
  constructor(gone: () => void) {
    this.#gone = gone;
  }

  /** Takes text. */
  write(text: string): void {
    if (this.#text === "" && !this.#isEnding) setImmediate(() => this.#flush());
    this.#text += text;
    if (this.#isEnding) this.#flush();
  }

  /** Writes what was taken; from now on everything at once. */
  end(): void {
    this.#isEnding = true;
    this.#flush();
  }

  #flush(): void {
    const text = this.#text;
    this.#text = "";
    if (this.#isGone) return;
    try {
      write(text);
    } catch {
      this.#isGone = true;
      this.#gone();
    }
  }
}

// What was read from standard input and not yet used.
let unused: Bytes = new Uint8Array(0);

async function readChunk(): Promise<Bytes | undefined> {
  if (unused.length > 0) {
    const chunk = unused;
    unused = new Uint8Array(0);
    return chunk;
  }
  const buffer = new Uint8Array(16_384);
  try {
    const count = await Deno.stdin.read(buffer);
    return count === null ? undefined : buffer.subarray(0, count);
  } catch {
    return undefined; // the terminal was closed: that is the end of its input
  }
}

/** The bytes of standard input as they come. */
export async function* chunks(): AsyncGenerator<Bytes> {
  for (let chunk = await readChunk(); chunk; chunk = await readChunk()) yield chunk;
}

/** The keys of a terminal in raw mode, as they are pressed. */
export function keys(): AsyncGenerator<Key> {
  return keysOf(chunks(), sleep);
}

/** More than any message: the rest of such a line is read and dropped, and the line is too long to be sent anyway. */
const LONGEST_LINE = 65_536;

/**
 * The lines of standard input, without LF or CR LF, including a last one without a line end; `undefined` for a line that
 * is not UTF-8.
 */
export async function* lines(): AsyncGenerator<string | undefined> {
  for (let line = await readLine(); line; line = await readLine()) yield parseUtf8(line);
}

async function readLine(): Promise<Bytes | undefined> {
  const parts: Bytes[] = [];
  let length = 0;
  for (let chunk = await readChunk(); chunk; chunk = await readChunk()) {
    const lf = chunk.indexOf(10);
    const part = lf < 0 ? chunk : chunk.subarray(0, lf);
    if (length < LONGEST_LINE) parts.push(part);
    length += part.length;
    if (lf < 0) continue;
    unused = chunk.subarray(lf + 1);
    return withoutCr(concat(...parts));
  }
  return length > 0 ? withoutCr(concat(...parts)) : undefined;
}

function withoutCr(line: Bytes): Bytes {
  return line.at(-1) === 13 ? line.subarray(0, -1) : line;
}

/** Asks, and returns the answer without its line end. Failure (4) if the input ends instead. */
export async function askLine(prompt: string): Promise<string> {
  write(prompt, Deno.stderr);
  using _job = new Job({ leave: () => {}, enter: () => write(prompt, Deno.stderr) });
  const line = await readLine();
  if (!line) throw noAnswer(prompt);
  return parseUtf8(line) ?? "";
}

/** Asks a person for a secret. Failure (2) without a terminal, (4) if there is no answer. */
export async function askHidden(prompt: string): Promise<string> {
  if (!isTerminal()) {
    throw new Failure(
      EXIT.usage,
      `"${prompt.trim()}" can only be asked on a terminal; name a file that contains the answer`,
    );
  }
  using stop = new StopSignals();
  using raw = new RawMode({ leave: () => write("\n", Deno.stderr), enter: () => write(prompt, Deno.stderr) });
  write(prompt, Deno.stderr);
  try {
    // A signal must end this, too. The pending read can't be cancelled, so it is abandoned.
    const answer = await Promise.race([hiddenLine(), stop.first]);
    if (answer === undefined) throw noAnswer(prompt);
    return answer;
  } finally {
    raw.leave();
    write("\n", Deno.stderr);
  }
}

async function hiddenLine(): Promise<string | undefined> {
  const editor = new LineEditor();
  let rest: Bytes = unused;
  // One byte at a time, so that what was typed ahead stays for the next question.
  async function* bytes(): AsyncGenerator<Bytes> {
    for await (const chunk of chunks()) {
      for (let at = 0; at < chunk.length; at++) {
        rest = chunk.subarray(at + 1);
        yield chunk.subarray(at, at + 1);
      }
    }
  }
  for await (const key of keysOf(bytes(), sleep)) {
    const edit = editor.apply(key);
    if (edit.type === "suspend") suspend();
    if (edit.type === "interrupt" || edit.type === "end-of-input") return undefined;
    if (edit.type !== "line") continue;
    unused = rest;
    return edit.text;
  }
  return undefined;
}

function noAnswer(prompt: string): Failure {
  return new Failure(EXIT.refused, `"${prompt.trim()}" was not answered; nothing was done`);
}

const NOTHING: JobHooks = { leave: () => {}, enter: () => {} };

/**
 * Single keys without echo, until {@link RawMode.leave} or the end of the block, except while the program is suspended.
 */
export class RawMode implements Disposable {
  #entered = true;
  readonly #job: Job;

  /**
   * `hooks`: called before raw mode is left for a suspension, and after it is entered again, to draw.
   */
  constructor(hooks: JobHooks = NOTHING) {
    Deno.stdin.setRaw(true);
    addEventListener("unload", this.leave);
    this.#job = new Job({
      leave: () => {
        hooks.leave();
        setRaw(false);
      },
      enter: () => {
        setRaw(false); // the runtime doesn't know that the mode changed
        setRaw(true);
        hooks.enter();
      },
    });
  }

  /** Restores the terminal. */
  readonly leave = (): void => {
    if (!this.#entered) return;
    this.#entered = false;
    removeEventListener("unload", this.leave);
    this.#job[Symbol.dispose]();
    setRaw(false);
  };

  [Symbol.dispose](): void {
    this.leave();
  }
}

function setRaw(isRaw: boolean): void {
  try {
    Deno.stdin.setRaw(isRaw);
  } catch {
    // The terminal is gone.
  }
}

/** Signals that ask a program to end, besides a hangup: Ctrl-C and `kill`. Windows has Ctrl-C and its own break. */
const STOP_SIGNALS: readonly Deno.Signal[] = Deno.build.os === "windows"
  ? ["SIGINT", "SIGBREAK"]
  : ["SIGINT", "SIGTERM"];

/** Listens for signals that ask the program to end, until the end of the block. */
export class StopSignals implements Disposable {
  readonly #first = Promise.withResolvers<undefined>();
  readonly #listeners: readonly (readonly [Deno.Signal, () => void])[];
  readonly #unhear: () => void;

  /** `heard` is called for each signal. */
  constructor(heard: (signal: Deno.Signal) => void = () => {}) {
    const hear = (signal: Deno.Signal) => {
      this.#first.resolve(undefined);
      heard(signal);
    };
    this.#listeners = STOP_SIGNALS.map((signal) => [signal, () => hear(signal)]);
    for (const [signal, listener] of this.#listeners) Deno.addSignalListener(signal, listener);
    this.#unhear = listenForHangup(() => hear("SIGHUP"));
  }

  /** Resolves at the first signal. */
  get first(): Promise<undefined> {
    return this.#first.promise;
  }

  [Symbol.dispose](): void {
    for (const [signal, listener] of this.#listeners) Deno.removeSignalListener(signal, listener);
    this.#unhear();
  }
}

/** Calls `resized` whenever the terminal's size changes; returns a function that ends this. */
export function watchSize(resized: () => void): () => void {
  if (Deno.build.os === "windows") return () => {};
  Deno.addSignalListener("SIGWINCH", resized);
  return () => Deno.removeSignalListener("SIGWINCH", resized);
}
