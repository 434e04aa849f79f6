/**
 * Standard output to a program that may not be reading: nothing here waits for it, so that its commands are still read
 * and the session goes on. What waits has a bound; past it lines are left out and counted, and the reader is told how
 * many as soon as it reads again.
 *
 *     const output = new BotOutput({ gone, lost: (count) => `{"event":"overflow","lost":${count}}\n` });
 *     output.write('{"event":"done"}\n');
 *     await output.end();
 *
 * @layer outside
 */

import { encodeUtf8 } from "./bytes.ts";

/** What may wait for the reader, in characters: about a history of 10,000 lines. */
const MAX_WAITING = 8 * 1024 * 1024;
/** How long the end waits for a reader that doesn't read, in milliseconds. */
const PATIENCE = 5_000;

/** What a {@link BotOutput} works with. */
export interface BotOutputOptions {
  /** Called when nobody reads any more; what comes after that is dropped. */
  readonly gone: () => void;
  /** The line that tells how many were left out. */
  readonly lost: (count: number) => string;
  /** In characters. */
  readonly maxWaiting?: number;
  /** Writes some of the bytes, and says how many. */
  readonly sink?: (bytes: Uint8Array) => Promise<number>;
  /** In milliseconds. */
  readonly patience?: number;
}

/** Lines on their way to a reader. */
export class BotOutput {
  readonly #options: Required<BotOutputOptions>;
  #waiting: string[] = [];
  #size = 0;
  #lost = 0;
  #isGone = false;
  #writing: Promise<void> | undefined;

  constructor(options: BotOutputOptions) {
    const sink = (bytes: Uint8Array) => Deno.stdout.write(bytes);
    this.#options = { maxWaiting: MAX_WAITING, patience: PATIENCE, sink, ...options };
  }

  /** Takes a line, with its LF. */
  write(line: string): void {
    if (this.#isGone) return;
    if (this.#lost > 0 || this.#size + line.length > this.#options.maxWaiting) {
      this.#lost += 1;
      return;
    }
    this.#take(line);
  }

  #take(line: string): void {
    this.#waiting.push(line);
    this.#size += line.length;
    this.#writing ??= this.#writeAll().finally(() => this.#writing = undefined);
  }

  async #writeAll(): Promise<void> {
    try {
      // First a turn of the event loop: what is told at once leaves in one write.
      for (await Promise.resolve(); this.#waiting.length > 0;) {
        const bytes = encodeUtf8(this.#waiting.splice(0).join(""));
        for (let at = 0; at < bytes.length;) at += await this.#options.sink(bytes.subarray(at));
        this.#size = this.#waiting.reduce((size, line) => size + line.length, 0);
        if (this.#lost === 0) continue;
        const line = this.#options.lost(this.#lost);
        this.#lost = 0;
        this.#waiting.push(line);
      }
    } catch {
      this.#isGone = true;
      this.#waiting = [];
      this.#options.gone();
    }
  }

  /** Resolves when everything is written, or when nobody has read for some time. */
  async end(): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const tooLong = new Promise<void>((resolve) => timer = setTimeout(resolve, this.#options.patience));
    await Promise.race([this.#writing, tooLong]);
    clearTimeout(timer);
  }
}
