/**
 * Accounts in tables, for either database (`store_sql.ts`). What belongs together when an account is made or its password is
 * set is one transaction, so that a server that is killed leaves all of it or nothing.
 *
 *     addUser       users + devices + the code that is used up
 *     setPassword   users + every token of the account + the code that is used up
 *
 * @layer chat
 */

import { type Bytes, encodeHex, parseHex } from "./bytes.ts";
import { usernameKey } from "./names.ts";
import type { SqlDatabase, SqlStatement } from "./store_sql.ts";
import { formatTimestamp, type NewPassword, type Registrant, type User } from "./server_store.ts";

/** Adds an account with what belongs to it; its id, or `undefined` if one of them is taken. */
export async function addUser(
  database: SqlDatabase,
  user: Omit<User, "id">,
  createdAt: number,
  registrant?: Registrant,
): Promise<number | undefined> {
  const time = formatTimestamp(createdAt);
  const key = usernameKey(user.username);
  const columns = "email, username, username_key, salt, pwd_hash, created_at, updated_at, registered_with";
  const fingerprint = registrant ? hash(registrant.fingerprint) : null;
  const added = await database.write(
    {
      insert: `INSERT INTO users (${columns})`,
      rows: [[user.email, user.username, key, user.salt, user.passwordRecord, time, time, fingerprint]],
    },
    ...registrant?.device ? [bindByName(key, registrant.fingerprint, registrant.device, createdAt)] : [],
    ...registrant?.code === undefined ? [] : [useCode(registrant.code)],
  );
  if (added === undefined) return undefined;
  const [row] = await database.rows("SELECT id FROM users WHERE username_key = ?", [key]);
  return Number(row?.["id"]);
}

/** How many accounts were registered with a certificate. */
export async function registrationsWith(database: SqlDatabase, fingerprint: string): Promise<number> {
  const counting = "SELECT COUNT(*) AS count FROM users WHERE registered_with = ?";
  const [row] = await database.rows(counting, [hash(fingerprint)]);
  return Number(row?.["count"] ?? 0);
}

/** Replaces a record unless another one took its place; whether it did. */
export async function replacePasswordRecord(
  database: SqlDatabase,
  userId: number,
  record: string,
  replaced: string,
): Promise<boolean> {
  const sql = "UPDATE users SET pwd_hash = ?, updated_at = CURRENT_TIMESTAMP WHERE id = ? AND pwd_hash = ?";
  return await database.write({ sql, values: [record, userId, replaced], mustChange: true }) !== undefined;
}

/** Sets a password and ends every token of the account; false if nothing was done. */
export async function setPassword(
  database: SqlDatabase,
  userId: number,
  { salt, passwordRecord, replaced, code }: NewPassword,
): Promise<boolean> {
  const set = "UPDATE users SET salt = ?, pwd_hash = ?, updated_at = CURRENT_TIMESTAMP WHERE id = ?";
  const values = [salt, passwordRecord, userId];
  const setting: SqlStatement = replaced === undefined
    ? { sql: set, values, mustChange: true }
    : { sql: `${set} AND pwd_hash = ?`, values: [...values, replaced], mustChange: true };
  const done = await database.write(
    ...code === undefined ? [] : [useCode(code)],
    { sql: "DELETE FROM session_tokens WHERE user_id = ?", values: [userId] },
    setting,
  );
  return done !== undefined;
}

/** Uses up a code; whatever stands with it in a transaction is not done where somebody else was first. */
export function useCode(codeHash: string): SqlStatement {
  return { sql: "DELETE FROM codes WHERE hash = ?", values: [hash(codeHash)], mustChange: true };
}

function bindByName(
  key: string,
  fingerprint: string,
  { pem, isIssued }: NonNullable<Registrant["device"]>,
  boundAt: number,
): SqlStatement {
  return {
    sql: `INSERT INTO devices (fingerprint, user_id, pem, bound_at, is_issued)
      SELECT ?, id, ?, ?, ? FROM users WHERE username_key = ?`,
    values: [hash(fingerprint), pem, boundAt, Number(isIssued), key],
    mustChange: true,
  };
}

/** The 32 bytes of a hash or a fingerprint. */
export function hash(digits: string): Bytes {
  const parsed = parseHex(digits);
  if (parsed?.length !== 32 || encodeHex(parsed) !== digits) {
    throw new TypeError("a hash or a fingerprint is 64 lower-case hex digits");
  }
  return parsed;
}

/** When the newest audit row was written, unix ms; `undefined` if there is none. */
export async function latestTime(database: SqlDatabase): Promise<number | undefined> {
  const [row] = await database.rows(
    "SELECT CAST(occurred_at AS CHAR) AS time FROM audit_log ORDER BY id DESC LIMIT 1",
    [],
  );
  const time = Date.parse(`${row?.["time"]}`.replace(" ", "T") + "Z");
  return Number.isNaN(time) ? undefined : time;
}
