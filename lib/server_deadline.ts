/**
 * The deadlines of many connections behind one timer.
 *
 * A {@link Deadline} runs out once, can be set anew, and stands still while it is paused: a client isn't charged for
 * the time in which the server works. One sweep looks at all deadlines, since a timer for each of a thousand idle
 * connections would cost more than the connections.
 *
 * @layer outside
 */

/** How often the sweep looks, in milliseconds; a deadline may run over by so much. */
const SWEEP_INTERVAL = 250;

/** All deadlines of a server. */
export class Deadlines {
  readonly #running = new Set<Deadline>();
  readonly #timer: ReturnType<typeof setInterval>;

  constructor() {
    this.#timer = setInterval(() => {
      const now = performance.now();
      for (const deadline of this.#running) deadline.look(now);
    }, SWEEP_INTERVAL);
  }

  /** A deadline in so many milliseconds; `runOut` is called once where it isn't set anew or ended before. */
  start(time: number, runOut: () => void): Deadline {
    const deadline: Deadline = new Deadline(time, () => {
      this.#running.delete(deadline);
      runOut();
    }, () => this.#running.delete(deadline));
    this.#running.add(deadline);
    return deadline;
  }

  /** Ends the sweep; no deadline runs out any more. */
  stop(): void {
    clearInterval(this.#timer);
    this.#running.clear();
  }
}

/** One deadline. */
export class Deadline {
  #end: number;
  /** What was left when it was paused; `undefined` while it runs. */
  #left: number | undefined;
  readonly #runOut: () => void;
  readonly #remove: () => void;

  constructor(time: number, runOut: () => void, remove: () => void) {
    this.#end = performance.now() + time;
    this.#runOut = runOut;
    this.#remove = remove;
  }

  /** Begins anew with so many milliseconds. */
  set(time: number): void {
    this.#left = undefined;
    this.#end = performance.now() + time;
  }

  /** Stands still while the promise is pending. */
  async pauseFor<T>(work: Promise<T>): Promise<T> {
    this.#left = this.#end - performance.now();
    try {
      return await work;
    } finally {
      if (this.#left !== undefined) this.set(this.#left);
    }
  }

  /** Never runs out. */
  end(): void {
    this.#remove();
  }

  /** Runs out, where `now`, as of performance.now(), is past its end. */
  look(now: number): void {
    if (this.#left === undefined && now > this.#end) this.#runOut();
  }
}
