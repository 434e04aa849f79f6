/**
 * A log that nobody can flood: if the same event of the same person repeats, only the first few in a minute are written,
 * and the rest is counted.
 *
 *     WARN the client's receipt is wrong address=10.0.0.7 …      (thirty times)
 *     WARN the client's receipt is wrong: 412 more like this in a minute address=10.0.0.7
 *
 * The same event is the same message with the same error; a person is an account, or before the login an address
 * (`sourceOf`). Of one event, whoever makes it, no more than {@link ALL} lines are written in a minute. Messages of the
 * level `error` that name no person are the server's own, and are written as they come.
 *
 * @layer outside
 */

import type { Clock } from "./bytes.ts";
import type { Log, LogFields } from "./logging.ts";
import { sourceOf } from "./server_throttle.ts";

/** How many lines of one event and one person are written in a minute. */
const EACH = 30;
/** How many lines of one event are written in a minute, for all people. */
const ALL = 600;
const WINDOW = 60_000;
/** How many pairs of event and person are counted separately; all others count as one person. */
const MAX_KEYS = 10_000;

type Level = keyof Log;

interface Count {
  readonly level: Level;
  readonly message: string;
  readonly fields: LogFields;
  readonly ends: number;
  written: number;
  left: number;
}

/** Writes to another log, and counts repetitions. */
export class SummedLog implements Log {
  readonly #log: Log;
  readonly #now: Clock;
  readonly #counts = new Map<string, Count>();

  constructor(log: Log, now: Clock) {
    this.#log = log;
    this.#now = now;
  }

  debug(message: string, fields?: LogFields): void {
    this.#take("debug", message, fields);
  }

  info(message: string, fields?: LogFields): void {
    this.#take("info", message, fields);
  }

  warn(message: string, fields?: LogFields): void {
    this.#take("warn", message, fields);
  }

  error(message: string, fields?: LogFields): void {
    this.#take("error", message, fields);
  }

  /** Writes the counts whose minute is over. Call it every second or so, and at the end. */
  look(isEnd = false): void {
    const now = this.#now();
    for (const [key, count] of this.#counts) {
      if (!isEnd && count.ends > now) continue;
      this.#counts.delete(key);
      const { level, message, fields, left } = count;
      if (left > 0) this.#log[level](`${message}: ${left} more like this in a minute`, fields);
    }
  }

  #take(level: Level, message: string, fields: LogFields | undefined): void {
    const who = personOf(fields);
    if (who === undefined) return this.#log[level](message, fields);
    const event = `${level} ${message} ${fields?.["error"] ?? ""} ${fields?.["request"] ?? ""}`;
    const mine = this.#count(`${event}|${who.name}`, { level, message, fields: who.fields });
    if (mine.written >= EACH) {
      mine.left += 1;
      return;
    }
    const all = this.#count(event, { level, message, fields: {} });
    if (all.written >= ALL) {
      all.left += 1;
      return;
    }
    mine.written += 1;
    all.written += 1;
    this.#log[level](message, fields);
  }

  #count(wanted: string, event: Pick<Count, "level" | "message" | "fields">): Count {
    const now = this.#now();
    const isKnown = this.#counts.has(wanted) || this.#counts.size < MAX_KEYS;
    const key = isKnown ? wanted : "";
    const known = this.#counts.get(key);
    if (known && known.ends > now) return known;
    if (known && known.left > 0) {
      this.#log[known.level](`${known.message}: ${known.left} more like this in a minute`, known.fields);
    }
    const count = { ...event, ends: now + WINDOW, written: 0, left: 0 };
    this.#counts.set(key, count);
    return count;
  }
}

/** The person that an event is about; `undefined` if it is about the server itself. */
function personOf(fields: LogFields | undefined): { readonly name: string; readonly fields: LogFields } | undefined {
  const { email, address } = fields ?? {};
  if (email !== undefined) return { name: `${email}`, fields: { email } };
  if (address !== undefined) return { name: sourceOf(`${address}`), fields: { address } };
  return undefined;
}
