/**
 * The numbered migrations that make, or bring up to date, the tables of either store. They are constants, so that the
 * compiled program carries them; `mysql/schema.sql` is what they come to for MySQL, and a test compares the two.
 *
 *     schema_version:  1 | 2026-01-02 10:00:00     the seed's tables, as its page gives them
 *                      2 | 2026-01-02 10:00:00     what security and both stores' agreement need
 *
 * Migration 1 is the seed's own schema with IF NOT EXISTS, so a database that the seed made is one whose version is not
 * yet recorded. Migration 2 converts the text to `utf8mb4_bin` (equal means equal bytes, as in SQLite), widens
 * `pwd_hash` for the password record, lower-cases addresses as protocol.md section 4 compares them, and adds:
 *
 * - `users.username_key`, the lower-cased user name, which is what is unique; of two of the seed's names that differ
 *   in case alone the older one holds it;
 * - `audit_log.event_key`, by which a row that is written a second time, after an answer that was lost, is known;
 * - `server_secrets`.
 *
 * MySQL has no transactions around its ALTER, so every statement here may run twice: what a run did before it was cut
 * off is no error in the next (see `store_mysql.ts`). Times are TIMESTAMP as in the seed, whole seconds in UTC; in
 * MySQL that type ends in January 2038, and a migration of that time will have to widen it.
 */

import { EXIT, Failure } from "./errors.ts";

/** One step: the statements for each store, in order. */
export interface Migration {
  readonly version: number;
  readonly sqlite: readonly string[];
  readonly mysql: readonly string[];
}

/** Where the version stands; both stores take the same statement. */
export const CREATE_SCHEMA_VERSION = `CREATE TABLE IF NOT EXISTS schema_version (
  version INT NOT NULL PRIMARY KEY,
  applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
)`;

/** ASCII letters alone, whatever the column's collation takes for a letter; MySQL's REPLACE minds case. */
function asciiLower(column: string): string {
  return [..."ABCDEFGHIJKLMNOPQRSTUVWXYZ"].reduce(
    (text, letter) => `REPLACE(${text}, '${letter}', '${letter.toLowerCase()}')`,
    column,
  );
}

/** All migrations, in order. */
export const MIGRATIONS: readonly Migration[] = [
  {
    version: 1,
    sqlite: [
      `CREATE TABLE IF NOT EXISTS users (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        email VARCHAR(255) UNIQUE NOT NULL,
        username VARCHAR(255) UNIQUE NOT NULL,
        salt VARBINARY(16) NOT NULL,
        pwd_hash CHAR(64) NOT NULL,
        created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
        updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
      )`,
      `CREATE TABLE IF NOT EXISTS sessions (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        user_id INT NOT NULL,
        session_token VARCHAR(64) UNIQUE NOT NULL,
        client_cert_fingerprint VARCHAR(64) NOT NULL,
        server_cert_fingerprint VARCHAR(64) NOT NULL,
        transcript_hash VARCHAR(64),
        started_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
        ended_at TIMESTAMP NULL,
        message_count INT DEFAULT 0,
        FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE
      )`,
      `CREATE TABLE IF NOT EXISTS audit_log (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        event_type VARCHAR(50) NOT NULL,
        email VARCHAR(255),
        client_cert_fingerprint VARCHAR(64),
        reason VARCHAR(255),
        occurred_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
        ip_address VARCHAR(45)
      )`,
    ],
    mysql: [
      `CREATE TABLE IF NOT EXISTS users (
        id INT AUTO_INCREMENT PRIMARY KEY,
        email VARCHAR(255) UNIQUE NOT NULL,
        username VARCHAR(255) UNIQUE NOT NULL,
        salt VARBINARY(16) NOT NULL,
        pwd_hash CHAR(64) NOT NULL,
        created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
        updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP
      )`,
      `CREATE TABLE IF NOT EXISTS sessions (
        id INT AUTO_INCREMENT PRIMARY KEY,
        user_id INT NOT NULL,
        session_token VARCHAR(64) UNIQUE NOT NULL,
        client_cert_fingerprint VARCHAR(64) NOT NULL,
        server_cert_fingerprint VARCHAR(64) NOT NULL,
        transcript_hash VARCHAR(64),
        started_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
        ended_at TIMESTAMP NULL,
        message_count INT DEFAULT 0,
        FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE
      )`,
      `CREATE TABLE IF NOT EXISTS audit_log (
        id INT AUTO_INCREMENT PRIMARY KEY,
        event_type VARCHAR(50) NOT NULL,
        email VARCHAR(255),
        client_cert_fingerprint VARCHAR(64),
        reason VARCHAR(255),
        occurred_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
        ip_address VARCHAR(45)
      )`,
    ],
  },
  {
    version: 2,
    sqlite: [
      // SQLite compares bytes and keeps texts of any length already; its lower() knows ASCII alone.
      "UPDATE OR IGNORE users SET email = lower(trim(email))",
      "ALTER TABLE users ADD COLUMN username_key VARCHAR(255)",
      `UPDATE users SET username_key = lower(username)
        WHERE id IN (SELECT MIN(id) FROM users GROUP BY lower(username))`,
      "CREATE UNIQUE INDEX username_key ON users (username_key)",
      "ALTER TABLE audit_log ADD COLUMN event_key CHAR(32)",
      "CREATE UNIQUE INDEX event_key ON audit_log (event_key)",
      "CREATE INDEX ended_at ON sessions (ended_at)",
      `CREATE TABLE server_secrets (
        name VARCHAR(64) NOT NULL PRIMARY KEY,
        value VARBINARY(64) NOT NULL,
        created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
      )`,
    ],
    mysql: [
      `UPDATE IGNORE users SET email = ${asciiLower("TRIM(email)")}, updated_at = updated_at`,
      "ALTER TABLE users CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
      "ALTER TABLE users MODIFY pwd_hash VARCHAR(255) NOT NULL",
      "ALTER TABLE users ADD COLUMN username_key VARCHAR(255) AFTER username",
      `UPDATE users SET username_key = ${asciiLower("username")}, updated_at = updated_at
        WHERE id IN (SELECT id FROM (SELECT MIN(id) AS id FROM users GROUP BY ${asciiLower("username")}) AS oldest)`,
      "ALTER TABLE users ADD UNIQUE KEY username_key (username_key)",
      "ALTER TABLE sessions CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
      "ALTER TABLE sessions ADD KEY ended_at (ended_at)",
      "ALTER TABLE audit_log CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
      "ALTER TABLE audit_log ADD COLUMN event_key CHAR(32)",
      "ALTER TABLE audit_log ADD UNIQUE KEY event_key (event_key)",
      `CREATE TABLE IF NOT EXISTS server_secrets (
        name VARCHAR(64) NOT NULL PRIMARY KEY,
        value VARBINARY(64) NOT NULL,
        created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
      ) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin`,
    ],
  },
];

/** The version that this program works with. */
export const SCHEMA_VERSION = MIGRATIONS.length;

/** What a database of that version still needs; a Failure where it is newer than the program. */
export function pendingMigrations(version: number): readonly Migration[] {
  if (version > SCHEMA_VERSION) {
    throw new Failure(
      EXIT.unavailable,
      `the database has schema version ${version} and this program knows only up to ${SCHEMA_VERSION}; ` +
        "use the newer securechat that migrated it",
    );
  }
  return MIGRATIONS.slice(version);
}
