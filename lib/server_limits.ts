/**
 * What one account may do in a time, on all its connections together: lines and their bytes, sessions, and requests
 * that leave something on the server's disk or ask for many names. A client that writes faster than the quota waits,
 * and loses no line. A request or a session beyond its limit is refused as `rate-limited`.
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

/**
 * Sessions of one account: each has a row and, with a quit, files. A client that loses its connection every six seconds
 * all day long stays below.
 */
const SESSIONS = { rate: 600 / 3600, burst: 500 };

/** Requests that have a limit of their own. A client that comes back joins all of its rooms at once. */
const REQUESTS: Readonly<Partial<Record<string, { readonly rate: number; readonly burst: number }>>> = {
  code: { rate: 20 / 3600, burst: 20 },
  password: { rate: 20 / 3600, burst: 10 },
  logout: { rate: 60 / 3600, burst: 20 },
  renew: { rate: 20 / 3600, burst: 20 },
  create: { rate: 1, burst: 100 },
  join: { rate: 5, burst: 500 },
};

/** The limits of all accounts. */
export class MemberLimits {
  readonly #lines: Quota;
  readonly #bytes: Quota;
  readonly #sessions: Quota;
  readonly #requests: ReadonlyMap<string, Quota>;

  constructor({ linesPerSecond, lineBytesPerSecond }: LineLimits, now: Clock) {
    this.#lines = new Quota({ rate: linesPerSecond, burst: LINE_BURST * linesPerSecond }, now);
    this.#bytes = new Quota({ rate: lineBytesPerSecond, burst: BYTE_BURST * lineBytesPerSecond }, now);
    this.#sessions = new Quota(SESSIONS, now);
    this.#requests = new Map(
      Object.entries(REQUESTS).flatMap(([type, limits]) => limits ? [[type, new Quota(limits, now)]] : []),
    );
  }

  /** Counts a line; how many milliseconds it has to wait. */
  timeOfLine(account: string, bytes: number): number {
    return Math.max(this.#lines.take(account, 1), this.#bytes.take(account, bytes));
  }

  /** Counts a session that begins. Throws `rate-limited`. */
  checkSession(account: string): void {
    if (this.#sessions.tryTake(account)) return;
    throw new ProtocolError("rate-limited", "Your account has begun too many sessions; try again in a minute.");
  }

  /** Counts a request. Throws `rate-limited`. */
  check(account: string, type: string): void {
    if (this.#requests.get(type)?.tryTake(account) === false) {
      throw new ProtocolError("rate-limited", "You have asked for that too often; try again later.");
    }
  }
}
