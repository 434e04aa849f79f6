/**
 * How long to wait before the next try: longer each time, and never the same for all, so that a server which comes back
 * isn't met by everybody at once.
 *
 *     const backoff = new Backoff({ least: 500, most: 60_000 });
 *     backoff.next() → 250 to 500, then 500 to 1000, … at last 30000 to 60000 ms
 *
 * @layer outside
 */

/** The shortest and the longest time, in milliseconds. */
export interface BackoffOptions {
  readonly least: number;
  readonly most: number;
}

/** Waiting times that grow. */
export class Backoff {
  readonly #options: BackoffOptions;
  readonly #chance: () => number;
  #tries = 0;

  /** `chance` gives a number from 0 to 1. */
  constructor(options: BackoffOptions, chance: () => number = Math.random) {
    this.#options = options;
    this.#chance = chance;
  }

  /** The time until the next try. */
  next(): number {
    const { least, most } = this.#options;
    const longest = Math.min(most, least * 2 ** Math.min(30, this.#tries++));
    return Math.round(longest * (0.5 + 0.5 * this.#chance()));
  }

  /** It went well: the next time begins anew. */
  reset(): void {
    this.#tries = 0;
  }
}

/** Waits, or until somebody is in a hurry. */
export class Pause {
  #end: (() => void) | undefined;

  /** Resolves after that time, or when {@link end} is called. */
  wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.end(), ms);
      this.#end = () => {
        clearTimeout(timer);
        this.#end = undefined;
        resolve();
      };
    });
  }

  end(): void {
    this.#end?.();
  }
}
