/**
 * How fast one client goes: its turns on the server's thread, what its work costs, and its quota of lines. What a client
 * waits for here isn't charged to its deadline.
 *
 *     while (await pace.turn()) await pace.charge(() => parseAndAnswer());
 *
 * @layer outside
 */

import type { Deadline } from "./server_deadline.ts";
import type { MemberLimits } from "./server_limits.ts";
import type { Share, Turns } from "./server_turns.ts";
import { sleep, steadyClock } from "./system.ts";

/** How much of one piece of work is charged at most, in milliseconds: some wait for the disk, or for a slow reader. */
const MAX_WORK = 20;

/** What a pace works with. */
export interface PaceOptions {
  readonly turns: Turns;
  readonly limits: MemberLimits;
  readonly deadline: Deadline;
}

/** The pace of one client. */
export class Pace {
  readonly #options: PaceOptions;
  #who: string;
  /** The part of the server's time that this client's work comes out of. */
  #share: Share;
  /** Ends what is waited for now. */
  #stopWaiting: (() => void) | undefined;
  #isStopped = false;

  /** `who`: the account or address that is counted. */
  constructor(options: PaceOptions, who: string) {
    this.#options = options;
    this.#who = who;
    this.#share = options.turns.share(who);
  }

  /** Counts somebody else from now on: the account, once it is let in. */
  countAs(who: string): void {
    this.#share.leave();
    this.#who = who;
    this.#share = this.#options.turns.share(who);
  }

  /** Resolves when it is this client's turn; false if it was stopped meanwhile. */
  async turn(): Promise<boolean> {
    const share = this.#share;
    const turn = share.turn();
    if (turn) await this.#wait(turn);
    if (this.#isStopped && turn) void turn.then(() => share.spend(0)); // the next in the queue goes on
    return !this.#isStopped;
  }

  /** Does some work; the time that it takes is charged, also if it fails. */
  async charge<T>(work: () => Promise<T>): Promise<T> {
    const share = this.#share;
    const began = steadyClock();
    try {
      return await work();
    } finally {
      share.spend(Math.min(steadyClock() - began, MAX_WORK));
    }
  }

  /** Resolves when the quota has room for a line of that size; false if the client was stopped meanwhile. */
  async quota(bytes: number): Promise<boolean> {
    const wait = this.#options.limits.timeOfLine(this.#who, bytes);
    if (wait > 0) await this.#wait(sleep(wait));
    return !this.#isStopped;
  }

  async #wait(what: Promise<void>): Promise<void> {
    // No race with a promise of the client's: each of many thousand waits would stay with it.
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#stopWaiting = resolve;
    void what.then(resolve);
    await this.#options.deadline.pauseFor(promise);
    this.#stopWaiting = undefined;
  }

  /** Nothing is waited for any more. */
  stop(): void {
    this.#isStopped = true;
    this.#stopWaiting?.();
  }

  /** The client is gone. */
  leave(): void {
    this.#share.leave();
  }
}
