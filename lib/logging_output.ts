/**
 * Lines for a reader that may have stopped: a pager, a terminal after Ctrl-S, a collector that hangs. A synchronous write
 * into such a pipe would block the whole program. Here nothing blocks: lines that can't be written yet are kept up to a
 * limit, more lines are only counted, and the count is written when somebody reads again.
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

/** How many bytes are kept while nobody reads. */
const MAX_KEPT = 262_144;
/** How long `close` waits for a reader, in milliseconds. */
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
   * `write` resolves with the number of bytes that it wrote. `failed` is called once when a write fails, and again only
   * after one has succeeded; without `failed` lines that can't be written are dropped silently.
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
    await Promise.resolve(); // lines of the same turn leave in one write
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

  /** The rest is tried again with the next line, unless there is no `failed`. */
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
