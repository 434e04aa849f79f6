/**
 * What one account may do in a time, on all its connections together: lines and their bytes in rooms, requests that
 * leave something on the server's disk or ask for many names, and audit rows. Who posts faster than the quota waits,
 * and loses no line; a request beyond its limit is refused as `rate-limited`.
 *
 * @layer chat
 */

import type { Clock } from "./bytes.ts";
import { ProtocolError } from "./errors.ts";
import { Quota } from "./server_quota.ts";

/** What the settings say. */
export interface LineLimits {
  readonly linesPerSecond: number;
  readonly lineBytesPerSecond: number;
}

/** A burst of lines is what the quota gives in so many seconds: a client that was offline sends what waited. */
const LINE_BURST = 10;
/** The same for bytes: shorter, since a member on a slow link has to read them. */
const BYTE_BURST = 3;

/** Audit rows of what somebody can do over and over. */
const ROWS = { rate: 10 / 60, burst: 10 };

/** Requests that have a limit of their own. A client that comes back joins all of its rooms at once. */
const REQUESTS: Readonly<Partial<Record<string, { readonly rate: number; readonly burst: number }>>> = {
  code: { rate: 20 / 3600, burst: 20 },
  logout: { rate: 60 / 3600, burst: 20 },
  renew: { rate: 20 / 3600, burst: 20 },
  create: { rate: 1, burst: 100 },
  join: { rate: 5, burst: 500 },
};

/** The limits of all accounts. */
export class MemberLimits {
  readonly #lines: Quota;
  readonly #bytes: Quota;
  readonly #rows: Quota;
  readonly #requests: ReadonlyMap<string, Quota>;

  constructor({ linesPerSecond, lineBytesPerSecond }: LineLimits, now: Clock) {
    this.#lines = new Quota({ rate: linesPerSecond, burst: LINE_BURST * linesPerSecond }, now);
    this.#bytes = new Quota({ rate: lineBytesPerSecond, burst: BYTE_BURST * lineBytesPerSecond }, now);
    this.#rows = new Quota(ROWS, now);
    this.#requests = new Map(
      Object.entries(REQUESTS).flatMap(([type, limits]) => limits ? [[type, new Quota(limits, now)]] : []),
    );
  }

  /** Counts a line; how many milliseconds it has to wait. */
  timeOfLine(account: string, bytes: number): number {
    return Math.max(this.#lines.take(account, 1), this.#bytes.take(account, bytes));
  }

  /** Whether one more audit row may be left. */
  mayLeaveRow(account: string): boolean {
    return this.#rows.tryTake(account);
  }

  /** Counts a request. Throws `rate-limited`. */
  check(account: string, type: string): void {
    if (this.#requests.get(type)?.tryTake(account) === false) {
      throw new ProtocolError("rate-limited", "You have asked for that too often; try again later.");
    }
  }
}
