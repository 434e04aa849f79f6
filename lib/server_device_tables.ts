/**
 * Devices, codes and tokens in tables, for either database (`store_sql.ts`); which tables these are is
 * `store_migrations.ts`. Hashes and fingerprints are bytes there.
 *
 * @layer chat
 */

import { usernameKey } from "./names.ts";
import { hash, useCode } from "./server_account_tables.ts";
import type { BoundDevice, Code, DeviceStore, NewCode, NewDevice, SessionToken } from "./server_device_store.ts";
import { hex, integer, text } from "./store_columns.ts";
import type { SqlDatabase, SqlRow, SqlValue } from "./store_sql.ts";
import { changeRows, firstRow, insertRow } from "./store_statements.ts";

/** The devices in a database. */
export class DeviceTables implements DeviceStore {
  readonly #database: SqlDatabase;

  constructor(database: SqlDatabase) {
    this.#database = database;
  }

  // Devices and certificates.

  async bindDevice(
    { fingerprint, userId, pem, isIssued }: NewDevice,
    boundAt: number,
    code?: string,
  ): Promise<boolean> {
    const bound = await this.#database.write(
      {
        insert: "INSERT INTO devices (fingerprint, user_id, pem, bound_at, is_issued)",
        rows: [[hash(fingerprint), userId, pem, boundAt, Number(isIssued)]],
      },
      ...code === undefined ? [] : [useCode(code)],
    );
    return bound !== undefined;
  }

  async findDevice(fingerprint: string): Promise<BoundDevice | undefined> {
    const row = await firstRow(
      this.#database,
      `SELECT user_id, pem, is_issued, email, username FROM devices JOIN users ON users.id = devices.user_id
        WHERE fingerprint = ?`,
      [hash(fingerprint)],
    );
    return row && {
      fingerprint,
      userId: integer(row, "user_id"),
      email: text(row, "email"),
      username: text(row, "username"),
      pem: text(row, "pem"),
      isIssued: row["is_issued"] !== 0,
    };
  }

  async keepCertificate(fingerprint: string, pem: string): Promise<void> {
    await insertRow(this.#database, "server_certificates", { fingerprint: hash(fingerprint), pem });
  }

  async findCertificate(fingerprint: string): Promise<string | undefined> {
    const row = await firstRow(
      this.#database,
      `SELECT pem FROM server_certificates WHERE fingerprint = ?
        UNION ALL SELECT pem FROM devices WHERE fingerprint = ? LIMIT 1`,
      [hash(fingerprint), hash(fingerprint)],
    );
    return row && text(row, "pem");
  }

  // Codes. One that is used up is gone; one that has ended stays while it says whose a certificate is.

  async addCode(code: NewCode): Promise<void> {
    const { kind, username, email = null, expiresAt } = code;
    const isNew = await insertRow(this.#database, "codes", {
      hash: hash(code.hash),
      username,
      email,
      kind,
      expires_at: expiresAt,
    });
    if (!isNew) throw new Error("there is a code with this secret already");
  }

  async findCode(codeHash: string, now: number): Promise<Code | undefined> {
    return await this.#code("hash = ? AND expires_at > ?", [hash(codeHash), now]);
  }

  async codeOf(fingerprint: string): Promise<Code | undefined> {
    return await this.#code("issued_to = ?", [hash(fingerprint)]);
  }

  async invitationsFor(
    { username, email }: { readonly username: string; readonly email: string },
    now: number,
  ): Promise<readonly Code[]> {
    return await this.#codes("kind = 'invitation' AND expires_at > ? AND (LOWER(username) = ? OR email = ?)", [
      now,
      usernameKey(username),
      email,
    ]);
  }

  async #code(where: string, values: readonly SqlValue[]): Promise<Code | undefined> {
    return (await this.#codes(where, values))[0];
  }

  async #codes(where: string, values: readonly SqlValue[]): Promise<readonly Code[]> {
    return (await this.#database.rows(`SELECT ${CODE_COLUMNS} FROM codes WHERE ${where}`, values)).map(codeOf);
  }

  async issueWithCode(
    codeHash: string,
    { fingerprint, pem }: { readonly fingerprint: string; readonly pem: string },
  ): Promise<boolean> {
    return await changeRows(
      this.#database,
      "UPDATE codes SET issued_to = ?, issued_pem = ? WHERE hash = ? AND issued_to IS NULL",
      [
        hash(fingerprint),
        pem,
        hash(codeHash),
      ],
    );
  }

  // Tokens.

  async addToken(token: SessionToken): Promise<void> {
    const isNew = await insertRow(this.#database, "session_tokens", {
      hash: hash(token.hash),
      user_id: token.userId,
      fingerprint: hash(token.fingerprint),
      expires_at: token.expiresAt,
    });
    if (!isNew) throw new Error("there is such a token already");
  }

  async findToken(tokenHash: string, now: number): Promise<SessionToken | undefined> {
    const row = await firstRow(
      this.#database,
      "SELECT user_id, fingerprint, expires_at FROM session_tokens WHERE hash = ? AND expires_at > ?",
      [hash(tokenHash), now],
    );
    return row && {
      hash: tokenHash,
      userId: integer(row, "user_id"),
      fingerprint: hex(row, "fingerprint"),
      expiresAt: integer(row, "expires_at"),
    };
  }

  async dropTokens(fingerprint: string, before?: SessionToken): Promise<void> {
    const all = "DELETE FROM session_tokens WHERE fingerprint = ?";
    if (!before) await changeRows(this.#database, all, [hash(fingerprint)]);
    else {
      const values = [hash(fingerprint), before.expiresAt, hash(before.hash)]; // all of them live equally long
      await changeRows(this.#database, `${all} AND expires_at <= ? AND hash <> ?`, values);
    }
  }

  async dropExpired(now: number): Promise<void> {
    await changeRows(this.#database, "DELETE FROM session_tokens WHERE expires_at <= ?", [now]);
    await changeRows(this.#database, "DELETE FROM codes WHERE expires_at <= ? AND issued_to IS NULL", [now]);
  }
}

const CODE_COLUMNS = "hash, username, email, kind, expires_at, issued_to, issued_pem";

function codeOf(row: SqlRow): Code {
  const kind = text(row, "kind");
  return {
    hash: hex(row, "hash"),
    username: text(row, "username"),
    email: row["email"] === null ? undefined : text(row, "email"),
    kind: kind === "device" || kind === "reset" ? kind : "invitation",
    expiresAt: integer(row, "expires_at"),
    issuedTo: row["issued_to"] === null ? undefined : hex(row, "issued_to"),
    issuedPem: row["issued_pem"] === null ? undefined : text(row, "issued_pem"),
  };
}
