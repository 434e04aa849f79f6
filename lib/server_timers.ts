/**
 * What the rooms of a server put off, until the server stops.
 *
 * @layer outside
 */

/** Timers that end together. */
export class Timers {
  readonly #pending = new Set<ReturnType<typeof setTimeout>>();

  /** Runs something later, in milliseconds. */
  later(ms: number, run: () => void): void {
    const timer = setTimeout(() => {
      this.#pending.delete(timer);
      run();
    }, ms);
    this.#pending.add(timer);
  }

  /** Runs nothing any more. */
  stop(): void {
    for (const timer of this.#pending) clearTimeout(timer);
  }
}
