/**
 * Turns: how much of the server's one thread each person gets. All work of an account, on whichever of its connections,
 * comes out of one share; before the login, all work of an address. A frame's work is its parsing and its answer.
 *
 *     const share = turns.share("account 7");
 *     await share.turn();                        // at once, or when the share's rest is over
 *     … parse and answer one frame …
 *     share.spend(milliseconds);
 *
 * A share that has worked for {@link QUANTUM} rests for as long as the work took, and the frames of everybody else that
 * have arrived by then come first. The connections of one share go on one after the other. So one person, with one
 * connection or with ten, adds some milliseconds to what others wait. While nobody else asks for anything, the rest is
 * one look at the sockets: a person who is alone has the whole server.
 *
 * @layer chat
 */

import type { Clock } from "./bytes.ts";

/** Work after which a share rests, in milliseconds: what anybody else waits for at most, beside the frame under way. */
const QUANTUM = 4;
/** The same if nobody else asks for anything: a look at the sockets has its price. */
const QUANTUM_ALONE = 25;
/** Somebody else counts as asking for so long after a frame, in milliseconds. */
const RECENT = 1_000;
/** A rest is never longer, in milliseconds, however long a frame took. */
const LONGEST_REST = 250;

/** What turns are measured and waited with. */
export interface TurnsOptions {
  /** Milliseconds of a clock that never goes back. */
  readonly now: Clock;
  /** Resolves after so many milliseconds, and not before the sockets were looked at. */
  readonly sleep: (ms: number) => Promise<void>;
}

/** The shares of everybody who is connected. */
export class Turns {
  readonly #options: TurnsOptions;
  readonly #shares = new Map<string, Share>();
  /** The share that was used last, and when another was. */
  #last: Share | undefined;
  #othersAt = -Infinity;

  constructor(options: TurnsOptions) {
    this.#options = options;
  }

  /** How many shares there are. */
  get size(): number {
    return this.#shares.size;
  }

  /** The share of somebody; to be given back with {@link Share.leave}. */
  share(name: string): Share {
    const known = this.#shares.get(name) ?? new Share({
      rest: (worked) => this.#rest(worked),
      used: (share) => this.#used(share),
      left: () => this.#shares.delete(name),
    });
    this.#shares.set(name, known);
    known.enter();
    return known;
  }

  #used(share: Share): void {
    if (this.#last !== share && this.#last !== undefined) this.#othersAt = this.#options.now();
    this.#last = share;
  }

  /** The rest that is due after so much work; `undefined` if none is yet. */
  #rest(worked: number): Promise<void> | undefined {
    const isAlone = this.#options.now() - this.#othersAt > RECENT;
    if (worked < (isAlone ? QUANTUM_ALONE : QUANTUM)) return undefined;
    return this.#options.sleep(isAlone ? 0 : Math.min(worked, LONGEST_REST));
  }
}

interface ShareOptions {
  readonly rest: (worked: number) => Promise<void> | undefined;
  readonly used: (share: Share) => void;
  readonly left: () => void;
}

/** One person's part of the server. */
export class Share {
  readonly #options: ShareOptions;
  #worked = 0;
  #users = 0;
  #resting: Promise<void> | undefined;
  /** Who goes on next when the rest is over. */
  #queue: Promise<void> = Promise.resolve();
  /** The turn of somebody who had waited, until the work is counted: the next one goes on only then. */
  #turn: PromiseWithResolvers<void> | undefined;

  constructor(options: ShareOptions) {
    this.#options = options;
  }

  /** One more connection works out of this share. */
  enter(): void {
    this.#users += 1;
  }

  /** One fewer. */
  leave(): void {
    this.#users -= 1;
    if (this.#users === 0) this.#options.left();
  }

  /**
   * Resolves when the next frame may be taken; `undefined` if that is at once. {@link spend} is to follow in any
   * case.
   */
  turn(): Promise<void> | undefined {
    this.#options.used(this);
    if (this.#resting === undefined && this.#turn === undefined) return undefined;
    return this.#queue = this.#queue.then(() => this.#rested());
  }

  async #rested(): Promise<void> {
    while (this.#resting !== undefined || this.#turn !== undefined) await (this.#turn?.promise ?? this.#resting);
    this.#turn = Promise.withResolvers<void>();
  }

  /** Counts work that was done; nothing is work as well. */
  spend(milliseconds: number): void {
    this.#turn?.resolve();
    this.#turn = undefined;
    this.#worked += milliseconds;
    const rest = this.#resting === undefined ? this.#options.rest(this.#worked) : undefined;
    if (!rest) return;
    this.#worked = 0;
    this.#resting = rest.then(() => {
      this.#resting = undefined;
    });
  }
}
