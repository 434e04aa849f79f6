/**
 * Counting what one source may do in a time: failed logins of an address or for an account, registrations an hour.
 *
 * A key's count begins with its first event and is forgotten when the window has passed; at the limit the key is held
 * until `lock` has passed from then. What is tried while a key is held is not counted, so that a hold ends when it was
 * said to end.
 *
 * Memory is bounded by `size` keys. An entry goes when its time is over and never before, since whoever could push
 * others out of the table could so unlock them: when it is full, all further keys share one entry, are counted together
 * and held together.
 *
 * @layer chat
 */

import type { Clock } from "./bytes.ts";

/** What a {@link Throttle} allows. Times are in milliseconds. */
export interface ThrottleLimits {
  /** So many events in a window; with the last of them the key is held. */
  readonly limit: number;
  readonly window: number;
  /** For so long from the event that reached the limit; to the end of the window if it is left out. */
  readonly lock?: number;
  /** 65,536 unless it is said: some 10 MB. */
  readonly size?: number;
}

interface Count {
  taken: number;
  ends: number;
}

const DEFAULT_SIZE = 65_536;
/** The entry that keys share when the table is full; no address and no account is named so. */
const OTHERS = "";

/** The counts of many keys. */
export class Throttle {
  readonly #limits: ThrottleLimits;
  readonly #now: Clock;
  readonly #counts = new Map<string, Count>();
  #sweepAt = 0;

  constructor(limits: ThrottleLimits, now: Clock) {
    this.#limits = limits;
    this.#now = now;
  }

  /** How many keys are in the table. */
  get size(): number {
    return this.#counts.size;
  }

  /** Counts one event, unless the key is held; the key's events in this window. */
  take(key: string): number {
    const now = this.#now();
    const name = this.#nameOf(key, now);
    const { limit, window, lock } = this.#limits;
    const count = this.#current(name, now) ?? { taken: 0, ends: now + window };
    if (count.taken >= limit) return count.taken;
    count.taken++;
    if (count.taken === limit && lock !== undefined) count.ends = now + lock;
    this.#counts.set(name, count);
    return count.taken;
  }

  /** Whether the key is held. */
  holds(key: string): boolean {
    const now = this.#now();
    return (this.#current(this.#nameOf(key, now), now)?.taken ?? 0) >= this.#limits.limit;
  }

  /** Takes back one event that came to nothing. */
  giveBack(key: string): void {
    const now = this.#now();
    const count = this.#current(this.#nameOf(key, now), now);
    if (count && count.taken > 0) count.taken--;
  }

  /** Forgets a key's events; those of the shared entry are everybody's and stay. */
  forget(key: string): void {
    this.#counts.delete(key);
  }

  #current(name: string, now: number): Count | undefined {
    const count = this.#counts.get(name);
    return count && count.ends > now ? count : undefined;
  }

  /** The entry that a key is counted in. */
  #nameOf(key: string, now: number): string {
    const size = this.#limits.size ?? DEFAULT_SIZE;
    if (this.#counts.has(key) || this.#counts.size < size) return key;
    if (now >= this.#sweepAt) {
      // A sweep reads the whole table, so a full table is not swept for every event.
      this.#sweepAt = now + 1000;
      for (const [name, count] of this.#counts) if (count.ends <= now) this.#counts.delete(name);
    }
    return this.#counts.size < size ? key : OTHERS;
  }
}

/**
 * What counts as one source: an IPv4 address, also in its IPv6 form, and of an IPv6 address (as the runtime writes it,
 * RFC 5952) the first 64 bits, since whoever has one of these addresses has them all.
 */
export function sourceOf(address: string): string {
  if (/^::ffff:[0-9.]+$/.test(address)) return address.slice("::ffff:".length);
  if (!address.includes(":")) return address;
  const [before = [], after] = address.split("::").map((half) => half === "" ? [] : half.split(":"));
  const zeros = after ? Array<string>(Math.max(0, 8 - before.length - after.length)).fill("0") : [];
  return `${[...before, ...zeros, ...after ?? []].slice(0, 4).join(":")}::/64`;
}
