/** What stands in the audit log of a server's embedded database, in its order: `event: reason`. */

import { DatabaseSync } from "node:sqlite";

/** The rows of a data folder; the server may be running. */
export function auditRows(data: string): string[] {
  using database = new DatabaseSync(`${data}/securechat.db`, { readOnly: true });
  return database.prepare("SELECT event_type, reason FROM audit_log ORDER BY id").all()
    .map(({ event_type, reason }) => `${event_type}: ${reason ?? ""}`);
}

/** Tries until it works, for 10 seconds at most: rows are written behind what they are of. */
export async function eventually(work: () => Promise<void> | void): Promise<void> {
  for (let tries = 100;; tries--) {
    try {
      return await work();
    } catch (error) {
      if (tries === 0) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
