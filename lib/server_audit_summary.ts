/**
 * An audit log that nobody can fill. Of one event of one party, only the first rows in a quarter of an hour are
 * written. The rest is counted, and told in one row when the time is over or the server stops.
 *
 *     login_failure | 198.51.100.7 | too many failed logins from your address      (sixty times)
 *     login_failure | 198.51.100.7 | 412 more like this in 15 minutes
 *
 * A party is an account, a certificate whose key was proved, or an address (`partyOf`). Addresses cost nothing, so all
 * parties that proved nothing share a limit of {@link ALL} rows of one event in that time. A row with no party is the
 * server's own and is always written.
 *
 * Nobody waits for a row that is only counted: a server that is killed loses the count of a quarter of an hour.
 *
 * @layer chat
 */

import type { Clock } from "./bytes.ts";
import type { AuditRow } from "./server_store.ts";

/** Rows of one event and one party: twenty-five people behind one address have fewer in the time. */
const EACH = 60;
/** Rows of one event of all parties that proved nothing. */
const ALL = 600;
const MINUTES = 15;
const WINDOW = MINUTES * 60_000;
/** Events and parties that are counted apart; all further ones count as one party. */
const MAX_KEYS = 10_000;

/** Whose deed a row is about. */
export interface Party {
  readonly name: string;
  /** Whether it is an account, or a certificate whose key was proved. */
  readonly isProven: boolean;
}

/** What {@link SummedAudit} works with. */
export interface SummedAuditOptions {
  /** Where rows are kept; where they can't be, it rejects. */
  readonly record: (row: AuditRow) => Promise<void>;
  /** The time that rows are given, unix ms. */
  readonly now: Clock;
  /** Milliseconds of a clock that is never set. */
  readonly steady: Clock;
}

interface Count {
  readonly ends: number;
  written: number;
  left: number;
  /** What the rows that were left out have in common. */
  common: Omit<AuditRow, "occurredAt">;
}

/** Writes rows, and sums up. */
export class SummedAudit {
  readonly #options: SummedAuditOptions;
  readonly #counts = new Map<string, Count>();

  constructor(options: SummedAuditOptions) {
    this.#options = options;
  }

  /** Resolves once the row is kept or counted. */
  async record(row: AuditRow, party?: Party): Promise<void> {
    if (party) {
      const mine = this.#count(row, ` ${party.name}`);
      const all = party.isProven ? undefined : this.#count(row, "");
      const over = mine.written >= EACH ? mine : (all?.written ?? 0) >= ALL ? all : undefined;
      if (over) return leaveOut(over, row);
      mine.written += 1;
      if (all) all.written += 1;
    }
    await this.#options.record(row);
  }

  /** Begins anew to count what was counted for long enough. To be called every second or so, and at the end. */
  async look(isEnd = false): Promise<void> {
    const now = this.#options.steady();
    for (const [key, count] of this.#counts) {
      if (!isEnd && count.ends > now) continue;
      this.#counts.delete(key);
      await this.#tell(count);
    }
  }

  #count(row: AuditRow, who: string): Count {
    const wanted = row.event + who;
    const key = this.#counts.has(wanted) || this.#counts.size < MAX_KEYS ? wanted : `${row.event} `;
    const known = this.#counts.get(key) ??
      { ends: this.#options.steady() + WINDOW, written: 0, left: 0, common: row };
    this.#counts.set(key, known);
    return known;
  }

  async #tell({ left, common }: Count): Promise<void> {
    if (left === 0) return;
    const reason = `${left} more like this in ${MINUTES} minutes`;
    await this.#options.record({ ...common, reason, occurredAt: this.#options.now() });
  }
}

function leaveOut(count: Count, row: AuditRow): void {
  const { event, email, clientFingerprint, ipAddress } = count.left === 0 ? row : count.common;
  count.left += 1;
  count.common = {
    event,
    ...email !== undefined && email === row.email ? { email } : {},
    ...clientFingerprint !== undefined && clientFingerprint === row.clientFingerprint ? { clientFingerprint } : {},
    ...ipAddress !== undefined && ipAddress === row.ipAddress ? { ipAddress } : {},
  };
}
