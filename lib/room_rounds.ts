/**
 * The writer of a room: lines that have their places wait here until they are durable. A round writes all that came
 * meanwhile in one transaction, so a round costs about the same whatever is in it.
 *
 *     add(line) … add(line) → turn(): more came? → write(round) → written(round)
 *                                                 → it failed: failed(error, all that wait), then goes on
 *
 * Rounds run one after the other. The queue is bounded ({@link Rounds.isFull}); a caller that finds it full refuses.
 *
 * @layer chat
 */

/** How many lines make one transaction: what a database takes at once, within the time that a call to it has. */
const MAX_ROUND = 256;
/** How many bytes make one round: well below what may be queued for a member, who gets them in one piece. */
const ROUND_BYTES = 65_536;
/** How many lines may wait for the store before posts are refused. */
const MAX_WAITING = 4_096;

/** What rounds work with. */
export interface RoundsOptions<Line> {
  /** Resolves when everything that has arrived by now was handled. */
  readonly turn: () => Promise<void>;
  /** Makes a round durable. */
  readonly write: (round: readonly Line[]) => Promise<void>;
  /** A round is durable. */
  readonly written: (round: readonly Line[]) => void;
  /** A round could not be written: these lines, and all behind them, are dropped. */
  readonly failed: (error: unknown, dropped: readonly Line[]) => Promise<void>;
}

/** Lines on their way into the store. */
export class Rounds<Line extends { readonly posted: Uint8Array }> {
  readonly #options: RoundsOptions<Line>;
  /** Lines stay here until they are durable. */
  readonly #waiting: Line[] = [];
  #running: Promise<void> | undefined;

  constructor(options: RoundsOptions<Line>) {
    this.#options = options;
  }

  /** Writes a line with the next round. */
  add(line: Line): void {
    this.#waiting.push(line);
    this.#running ??= this.#run();
  }

  /** A line that waits. */
  find(isIt: (line: Line) => boolean): Line | undefined {
    return this.#waiting.find(isIt);
  }

  /** Whether no more lines may wait. */
  get isFull(): boolean {
    return this.#waiting.length >= MAX_WAITING;
  }

  /** Whether nothing is being written. */
  get isIdle(): boolean {
    return this.#running === undefined;
  }

  /** Resolves when no line waits any more. */
  async settled(): Promise<void> {
    while (this.#running) await this.#running;
  }

  async #run(): Promise<void> {
    const { write, written, failed } = this.#options;
    while (this.#waiting.length > 0) {
      await this.#gather();
      const round = this.#round();
      try {
        await write(round);
      } catch (error) {
        await failed(error, this.#waiting.splice(0));
        continue;
      }
      this.#waiting.splice(0, round.length);
      written(round);
    }
    this.#running = undefined;
  }

  /** As long as every turn brings more lines, more are coming. */
  async #gather(): Promise<void> {
    for (let count = 0; this.#waiting.length > count && count < MAX_ROUND;) {
      count = this.#waiting.length;
      await this.#options.turn();
    }
  }

  #round(): Line[] {
    let [count, size] = [0, 0];
    for (const { posted } of this.#waiting) {
      if (count === MAX_ROUND || size >= ROUND_BYTES) break;
      count += 1;
      size += posted.length;
    }
    return this.#waiting.slice(0, count);
  }
}
