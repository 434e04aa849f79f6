/**
 * Lines for somebody who may have stopped reading: a pager, a terminal at Ctrl-S, a collector that hangs. A write into
 * such a pipe waits, and with it everything in a program that writes at once. Here nobody waits: what can't be written
 * yet is kept up to a bound, what comes beyond it is counted, and the count is written when somebody reads again.
 *
 *     const output = new LineOutput((bytes) => Deno.stderr.write(bytes));
 *     output.write("2026-11-23T01:23:45.678Z INFO …\n");
 *     …                             securechat: 412 lines of the log were left out here: they could not be written
 *
 * A file is written to in the same way, since a disk may hang as well.
 *
 * @layer outside
 */

import { type Bytes, encodeUtf8 } from "./bytes.ts";

/** What is kept for somebody who doesn't read, in bytes. */
const MAX_KEPT = 262_144;
/** How long the end waits for somebody to read, in milliseconds. */
const LAST_WAIT = 1_000;

/** Writes lines, in order, without waiting. */
export class LineOutput {
  readonly #write: (bytes: Bytes) => Promise<number>;
  readonly #failed: ((error: unknown) => void) | undefined;
  #hasFailed = false;
  #kept = "";
  #leftOut = 0;
  #writing: Promise<void> | undefined;

  /**
   * `write` takes bytes and resolves with how many it took; `failed` is told once when it doesn't, until it does again:
   * without it what can't be written is given up without a word.
   */
  constructor(write: (bytes: Bytes) => Promise<number>, failed?: (error: unknown) => void) {
    this.#write = write;
    this.#failed = failed;
  }

  /** Writes a line, LF included, now or as soon as it can be. */
  write(line: string): void {
    if (this.#leftOut > 0 || this.#kept.length + line.length > MAX_KEPT) this.#leftOut += 1;
    else this.#kept += line;
    this.#writing ??= this.#run();
  }

  async #run(): Promise<void> {
    await Promise.resolve(); // what is said in the same turn leaves in the same write
    let [bytes, counted] = [new Uint8Array(0), 0];
    try {
      while (this.#kept !== "" || this.#leftOut > 0) {
        const isCount = this.#kept === "";
        bytes = encodeUtf8(isCount ? leftOutText(this.#leftOut) : this.#kept);
        counted = isCount ? this.#leftOut : 0;
        this.#leftOut -= counted;
        this.#kept = "";
        while (bytes.length > 0) bytes = bytes.subarray(await this.#write(bytes));
        this.#hasFailed = false;
      }
    } catch (error) {
      this.#fail(error, counted || countLines(bytes));
    }
    this.#writing = undefined;
  }

  /** What is left is tried with the next line, unless nobody wants to know. */
  #fail(error: unknown, lost: number): void {
    this.#leftOut = this.#failed ? this.#leftOut + lost + countLines(encodeUtf8(this.#kept)) : 0;
    this.#kept = "";
    if (!this.#hasFailed) this.#failed?.(error);
    this.#hasFailed = true;
  }

  /** Resolves when everything is written, or after a second in which it can't be. */
  async close(): Promise<void> {
    if (!this.#writing) return;
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, LAST_WAIT);
    await Promise.race([this.#writing, late.promise]);
    clearTimeout(timer);
  }
}

function leftOutText(count: number): string {
  return `securechat: ${count} lines of the log were left out here: they could not be written\n`;
}

function countLines(bytes: Bytes): number {
  return bytes.reduce((count, byte) => byte === 10 ? count + 1 : count, 0);
}
