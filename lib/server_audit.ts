/**
 * The writes that must not be lost: audit rows, and the ends of sessions. They go into the store. While the store
 * doesn't answer, they go into a spool on the disk, and from there into the store in the order in which they came.
 *
 *     await audit.record({ event: "login_failure", email, reason: "wrong password", occurredAt: now() });
 *
 * A write may be repeated: each row carries a random key, and closing a session again changes nothing. So a write that
 * reached the store although its answer was lost is there once.
 *
 * As long as anything waits in the spool, all writes go there. This keeps the order, and no caller waits for a database
 * that is away; `drain`, which the server calls every second, asks the database whether it is back.
 *
 * A spool is bounded. When it is three quarters full, `full` says so and the server takes no new connection; the rest
 * is for the open sessions. If the spool can't take a write either, `record` rejects and the caller ends the
 * connection: nothing is dropped in silence.
 *
 * @layer chat
 */

import { encodeHex, type Random } from "./bytes.ts";
import { GroupCommit } from "./group_commit.ts";
import { type AuditRow, type SessionEnd, type Store, StoreUnavailable } from "./server_store.ts";

/** One write that must not be lost. */
export type Write = { readonly row: AuditRow } | { readonly end: SessionEnd };

/** Where writes wait on the disk; `server_spool.ts` is one. */
export interface WriteSpool {
  /** Whether nothing waits. */
  readonly empty: boolean;
  /** Whether there is room left for the sessions that are open, and no more. */
  readonly full: boolean;
  /** Resolves once all of them are on the disk; where it rejects, none of them is kept. */
  append(writes: readonly Write[]): Promise<void>;
  /** Some of the oldest; none only where nothing waits. */
  peek(): Promise<readonly Write[]>;
  /** Forgets what was peeked last. */
  drop(): Promise<void>;
}

/** What {@link Audit} works with. */
export interface AuditOptions {
  readonly store: Pick<Store, "addAudit" | "closeSession">;
  readonly spool: WriteSpool;
  readonly random: Random;
}

/** Takes the writes of all connections. */
export class Audit {
  readonly #store: AuditOptions["store"];
  readonly #spool: WriteSpool;
  readonly #random: Random;
  readonly #group = new GroupCommit<Write>((writes) => this.#alone(() => this.#keep(writes)));
  /** The last step that was begun: one at a time handles the spool, or the store while nothing waits. */
  #step: Promise<unknown> = Promise.resolve();
  #draining: Promise<void> | undefined;

  constructor({ store, spool, random }: AuditOptions) {
    this.#store = store;
    this.#spool = spool;
    this.#random = random;
  }

  /** Whether new connections must be refused, since their audit rows might find no place. */
  get full(): boolean {
    return this.#spool.full;
  }

  /** Resolves once the row is in the store or in the spool. */
  record(row: AuditRow): Promise<void> {
    return this.#group.add({ row: { key: encodeHex(this.#random(16)), ...row } });
  }

  /** Resolves once the session's end is in the store or in the spool. */
  closeSession(end: SessionEnd): Promise<void> {
    return this.#group.add({ end });
  }

  /** Brings what waits in the spool into the store, until nothing waits or the store doesn't answer. */
  drain(): Promise<void> {
    return this.#draining ??= this.#drain().finally(() => this.#draining = undefined);
  }

  async #drain(): Promise<void> {
    try {
      while (!this.#spool.empty) {
        const writes = await this.#alone(() => this.#spool.peek());
        // Outside #alone: whoever records a row doesn't wait for a database that may be gone.
        await this.#write(writes);
        await this.#alone(() => this.#spool.drop());
      }
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error;
    }
  }

  async #keep(writes: readonly Write[]): Promise<void> {
    if (this.#spool.empty) {
      try {
        return await this.#write(writes);
      } catch (error) {
        if (!(error instanceof StoreUnavailable)) throw error;
      }
    }
    await this.#spool.append(writes);
  }

  async #write(writes: readonly Write[]): Promise<void> {
    const rows = writes.flatMap((write) => "row" in write ? [write.row] : []);
    if (rows.length > 0) await this.#store.addAudit(rows);
    for (const write of writes) if ("end" in write) await this.#store.closeSession(write.end);
  }

  #alone<T>(step: () => Promise<T>): Promise<T> {
    const run = this.#step.then(step);
    this.#step = run.catch(() => {});
    return run;
  }
}
