/**
 * The little of a SQL database that `room_tables.ts` needs, so that its statements are written once for both stores.
 *
 *     await database.write(
 *       { sql: "UPDATE rooms SET size = size + 2 WHERE id = ? AND size = ?", values: [7, 40], mustChange: true },
 *       { insert: "INSERT INTO room_nodes (room_id, level, node_index, hash)", rows: [[7, 0, 40, hash], …] },
 *     )   → 2, the rows that the last statement changed; undefined if nothing was written
 *
 * A transaction is a list of statements, not a function: in SQLite nothing else can come between them, in MySQL they
 * take one connection. Values stand for `?`, in order. Every method may throw `StoreUnavailable`.
 *
 * @layer chat
 */

import type { Bytes } from "./bytes.ts";

/** What a column may hold. Integers go up to 2^53 - 1. */
export type SqlValue = string | number | Bytes | null;

/** A row by its columns' names. */
export type SqlRow = Readonly<Record<string, unknown>>;

/** One statement. */
export type SqlStatement =
  | {
    readonly sql: string;
    readonly values: readonly SqlValue[];
    /** Nothing at all is written where this statement changes no row. */
    readonly mustChange?: boolean;
  }
  /** `insert` ends before VALUES; a store may put many rows into one statement. */
  | { readonly insert: string; readonly rows: readonly (readonly SqlValue[])[] };

/** A database, open and migrated. */
export interface SqlDatabase {
  /** The rows of one query. */
  rows(sql: string, values: readonly SqlValue[]): Promise<readonly SqlRow[]>;
  /**
   * Carries statements out, all or none. The number of rows that the last one changed; `undefined` if none was
   * carried out, for a unique key is taken or a statement that must change something didn't.
   */
  write(...statements: readonly SqlStatement[]): Promise<number | undefined>;
  /** Takes out of the database's files, as far as it can, what was overwritten in its tables. */
  scrub(): Promise<void>;
}
