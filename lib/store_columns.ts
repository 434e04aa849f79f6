/**
 * What a column of a row holds, in the type that the migrations give it; anything else is the work of another program
 * and a TypeError.
 *
 * @layer chat
 */

import { type Bytes, encodeHex } from "./bytes.ts";
import type { SqlRow } from "./store_sql.ts";

/** An integer up to 2^53 - 1. */
export function integer(row: SqlRow, column: string): number {
  const value = row[column];
  if (typeof value !== "number" || !Number.isSafeInteger(value)) throw foreign(column);
  return value;
}

/** A text. */
export function text(row: SqlRow, column: string): string {
  const value = row[column];
  if (typeof value !== "string") throw foreign(column);
  return value;
}

/** Bytes. */
export function bytes(row: SqlRow, column: string): Bytes {
  const value = row[column];
  if (!(value instanceof Uint8Array)) throw foreign(column);
  return new Uint8Array(value);
}

/** Bytes, as lower-case hex. */
export function hex(row: SqlRow, column: string): string {
  return encodeHex(bytes(row, column));
}

function foreign(column: string): TypeError {
  return new TypeError(`the column ${column} holds something else than this program's migrations give it`);
}
