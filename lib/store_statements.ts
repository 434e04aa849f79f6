/**
 * The statements that tables share, for either database (`store_sql.ts`).
 *
 * @layer chat
 */

import type { SqlDatabase, SqlRow, SqlValue } from "./store_sql.ts";

/** The first row of a query. */
export async function firstRow(
  database: SqlDatabase,
  sql: string,
  values: readonly SqlValue[],
): Promise<SqlRow | undefined> {
  return (await database.rows(sql, values))[0];
}

/** Adds one row; false if a unique key is taken. */
export async function insertRow(
  database: SqlDatabase,
  table: string,
  row: Readonly<Record<string, SqlValue>>,
): Promise<boolean> {
  const insert = `INSERT INTO ${table} (${Object.keys(row).join(", ")})`;
  return await database.write({ insert, rows: [Object.values(row)] }) !== undefined;
}

/** Carries out one statement; whether any row was changed. */
export async function changeRows(database: SqlDatabase, sql: string, values: readonly SqlValue[]): Promise<boolean> {
  return (await database.write({ sql, values }) ?? 0) > 0;
}
