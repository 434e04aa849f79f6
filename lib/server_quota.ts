/**
 * Quotas: how much somebody may do in a time, with a reserve for bursts that fills up again (a token bucket).
 *
 *     const lines = new Quota({ rate: 50, burst: 500 }, now);
 *     lines.take("alice", 1);   // 0: at once; 1300: only after so many milliseconds
 *
 * What is asked for is always given. Whoever takes more than the reserve owes the rest, and is told how long to wait.
 * Memory holds one entry for each person whose reserve isn't full.
 *
 * @layer chat
 */

import type { Clock } from "./bytes.ts";

/** So many a second, and so many at once. */
export interface QuotaLimits {
  readonly rate: number;
  readonly burst: number;
}

interface Account {
  left: number;
  at: number;
}

/** Entries after which those that are full again are dropped. */
const SWEEP_SIZE = 1_024;

/** The quotas of many people. */
export class Quota {
  readonly #limits: QuotaLimits;
  readonly #now: Clock;
  readonly #accounts = new Map<string, Account>();
  #sweepSize = SWEEP_SIZE;

  constructor(limits: QuotaLimits, now: Clock) {
    this.#limits = limits;
    this.#now = now;
  }

  /** How many people are known. */
  get size(): number {
    return this.#accounts.size;
  }

  /** Takes so much; the milliseconds to wait before it is done, 0 mostly. */
  take(who: string, amount: number): number {
    const left = this.#leftOf(who) - amount;
    this.#accounts.set(who, { left, at: this.#now() });
    if (this.#accounts.size > this.#sweepSize) this.#sweep();
    return left >= 0 ? 0 : Math.ceil(-left / this.#limits.rate * 1000);
  }

  /** Takes so much where there is as much; whether there was. */
  tryTake(who: string, amount = 1): boolean {
    if (this.#leftOf(who) < amount) return false;
    this.take(who, amount);
    return true;
  }

  #leftOf(who: string): number {
    const { rate, burst } = this.#limits;
    const account = this.#accounts.get(who);
    return account ? Math.min(burst, account.left + rate * Math.max(0, this.#now() - account.at) / 1000) : burst;
  }

  #sweep(): void {
    for (const who of this.#accounts.keys()) if (this.#leftOf(who) >= this.#limits.burst) this.#accounts.delete(who);
    this.#sweepSize = Math.max(SWEEP_SIZE, 2 * this.#accounts.size);
  }
}
