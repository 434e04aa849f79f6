/**
 * The numbered migrations that make, or bring up to date, the tables of either store. They are constants, so that the
 * compiled program carries them; `mysql/schema.sql` is what they come to for MySQL, and a test compares the two.
 *
 *     schema_version:  1 | 2026-01-02 10:00:00     the seed's tables, as its page gives them
 *                      2 | 2026-01-02 10:00:00     what security and both stores' agreement need
 *                      3 | 2026-01-02 10:00:00     rooms
 *                      4 | 2026-01-02 10:00:00     codes for one e-mail address
 *                      5 | 2026-01-02 10:00:00     logs that take no lines any more
 *                      6 | 2026-01-02 10:00:00     heads by their time
 *                      7 | 2026-01-02 10:00:00     who made an empty room
 *                      8 | 2026-01-02 10:00:00     which certificate registered whom, and which this server issued
 *                      9 | 2026-01-02 10:00:00     the server's log, and the tree over the audit log
 *                     10 | 2026-01-02 10:00:00     what a room's lines come to, from time to time
 *
 * Migration 1 is the seed's own schema with IF NOT EXISTS, so a database that the seed made is one whose version is not
 * yet recorded. Migration 2 converts the text to `utf8mb4_bin` (equal means equal bytes, as in SQLite), widens
 * `pwd_hash` for the password record, lower-cases addresses as docs/PROTOCOL.md, "Credentials" compares them, and adds:
 *
 * - `users.username_key`, the lower-cased username, which is what is unique; of two of the seed's names that differ
 *   in case alone the older one holds it;
 * - `audit_log.event_key`, by which a row that is written a second time, after an answer that was lost, is known;
 * - `server_secrets`.
 *
 * Migration 3 adds the tables of rooms (`room_tables.ts`), of devices, codes and session tokens. They hold hashes,
 * fingerprints and bodies as bytes, and times as unix milliseconds (`room_checkpoints.time`: seconds, as it is signed).
 *
 * Migration 4 notes of a room since when its log is known not to be the one that it was (`forked_at`), and since when
 * it is closed (`closed_at`): then its `name` is `/` and its id, so that the room's own is free; its origin stays.
 *
 * Migration 8 adds `users.registered_with`, the certificate with which an account was registered; `devices.is_issued`,
 * whether this server issued the certificate, with a code or as a renewal, so that it is its account's alone; and
 * `codes.issued_pem`, the certificate that was issued with a code, for a client that did not get the answer.
 *
 * Migration 9 adds the tables of the server's log (`server_log_tables.ts`), and `audit_log.entry_index`, the leaf that a
 * row is in the tree over the audit log: none until a tick registers it.
 *
 * In MySQL each CREATE names the engine, the character set and the collation: a server's defaults may be others, and an
 * engine without transactions would lose lines. The start checks them for tables that are there already.
 *
 * MySQL has no transactions around its ALTER, so every statement here may run twice: what a run did before it was cut
 * off is no error in the next (see `store_mysql.ts`). Times are TIMESTAMP as in the seed, whole seconds in UTC; in
 * MySQL that type ends in January 2038, and a migration of that time will have to widen it.
 *
 * @layer outside
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

/** What stands behind each CREATE for MySQL. */
export const MYSQL_TABLE = " ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin";

/** Only ASCII letters, whatever the column's collation takes for a letter; MySQL's REPLACE minds case. */
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
      )${MYSQL_TABLE}`,
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
      )${MYSQL_TABLE}`,
      `CREATE TABLE IF NOT EXISTS audit_log (
        id INT AUTO_INCREMENT PRIMARY KEY,
        event_type VARCHAR(50) NOT NULL,
        email VARCHAR(255),
        client_cert_fingerprint VARCHAR(64),
        reason VARCHAR(255),
        occurred_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
        ip_address VARCHAR(45)
      )${MYSQL_TABLE}`,
    ],
  },
  {
    version: 2,
    sqlite: [
      // SQLite compares bytes and keeps texts of any length already; its lower() knows only ASCII.
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
      )${MYSQL_TABLE}`,
    ],
  },
  {
    version: 3,
    sqlite: [
      `CREATE TABLE rooms (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name VARCHAR(131) UNIQUE NOT NULL,
        origin VARCHAR(430) UNIQUE NOT NULL,
        history VARCHAR(16) NOT NULL,
        invite_only TINYINT NOT NULL,
        created_at BIGINT NOT NULL,
        size BIGINT NOT NULL
      )`,
      // With a rowid: a row is added behind the others and never moved, so no page keeps an old copy of a body.
      `CREATE TABLE room_lines (
        room_id INT NOT NULL,
        line_index BIGINT NOT NULL,
        author BINARY(32) NOT NULL,
        seqno BIGINT NOT NULL,
        ts BIGINT NOT NULL,
        epoch INT NOT NULL,
        seen_size BIGINT NOT NULL,
        is_act TINYINT NOT NULL,
        line VARCHAR(4000) NOT NULL,
        body BLOB NOT NULL,
        is_erased TINYINT NOT NULL,
        accepted_at BIGINT NOT NULL,
        PRIMARY KEY (room_id, line_index),
        UNIQUE (room_id, author, seqno),
        FOREIGN KEY (room_id) REFERENCES rooms(id) ON DELETE CASCADE
      )`,
      "CREATE INDEX room_acts ON room_lines (room_id, line_index) WHERE is_act = 1",
      `CREATE TABLE room_nodes (
        room_id INT NOT NULL,
        level TINYINT NOT NULL,
        node_index BIGINT NOT NULL,
        hash BINARY(32) NOT NULL,
        PRIMARY KEY (room_id, level, node_index),
        FOREIGN KEY (room_id) REFERENCES rooms(id) ON DELETE CASCADE
      ) WITHOUT ROWID`,
      `CREATE TABLE room_checkpoints (
        room_id INT NOT NULL,
        size BIGINT NOT NULL,
        time BIGINT NOT NULL,
        root BINARY(32) NOT NULL,
        sig VARBINARY(2048) NOT NULL,
        signer BINARY(32) NOT NULL,
        PRIMARY KEY (room_id, size),
        FOREIGN KEY (room_id) REFERENCES rooms(id) ON DELETE CASCADE
      ) WITHOUT ROWID`,
      `CREATE TABLE room_epochs (
        room_id INT NOT NULL,
        epoch INT NOT NULL,
        wrapped_key VARBINARY(255) NOT NULL,
        PRIMARY KEY (room_id, epoch),
        FOREIGN KEY (room_id) REFERENCES rooms(id) ON DELETE CASCADE
      ) WITHOUT ROWID`,
      `CREATE TABLE room_invitations (
        username_key VARCHAR(255) NOT NULL,
        room VARCHAR(131) NOT NULL,
        inviter VARCHAR(255) NOT NULL,
        PRIMARY KEY (username_key, room)
      )`,
      `CREATE TABLE devices (
        fingerprint BINARY(32) NOT NULL PRIMARY KEY,
        user_id INT NOT NULL,
        pem TEXT NOT NULL,
        bound_at BIGINT NOT NULL,
        FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE
      )`,
      `CREATE TABLE server_certificates (
        fingerprint BINARY(32) NOT NULL PRIMARY KEY,
        pem TEXT NOT NULL
      )`,
      `CREATE TABLE codes (
        hash BINARY(32) NOT NULL PRIMARY KEY,
        username VARCHAR(255) NOT NULL,
        kind VARCHAR(16) NOT NULL,
        expires_at BIGINT NOT NULL,
        issued_to BINARY(32)
      )`,
      "CREATE INDEX issued_to ON codes (issued_to)",
      `CREATE TABLE session_tokens (
        hash BINARY(32) NOT NULL PRIMARY KEY,
        user_id INT NOT NULL,
        fingerprint BINARY(32) NOT NULL,
        expires_at BIGINT NOT NULL,
        FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE
      )`,
      "CREATE INDEX token_fingerprint ON session_tokens (fingerprint)",
    ],
    mysql: [
      `CREATE TABLE IF NOT EXISTS rooms (
        id INT AUTO_INCREMENT PRIMARY KEY,
        name VARCHAR(131) UNIQUE NOT NULL,
        origin VARCHAR(430) UNIQUE NOT NULL,
        history VARCHAR(16) NOT NULL,
        invite_only TINYINT NOT NULL,
        created_at BIGINT NOT NULL,
        size BIGINT NOT NULL
      )${MYSQL_TABLE}`,
      `CREATE TABLE IF NOT EXISTS room_lines (
        room_id INT NOT NULL,
        line_index BIGINT NOT NULL,
        author BINARY(32) NOT NULL,
        seqno BIGINT NOT NULL,
        ts BIGINT NOT NULL,
        epoch INT NOT NULL,
        seen_size BIGINT NOT NULL,
        is_act TINYINT NOT NULL,
        line VARCHAR(4000) NOT NULL,
        body BLOB NOT NULL,
        is_erased TINYINT NOT NULL,
        accepted_at BIGINT NOT NULL,
        PRIMARY KEY (room_id, line_index),
        UNIQUE KEY author_seqno (room_id, author, seqno),
        KEY acts (room_id, is_act, line_index),
        FOREIGN KEY (room_id) REFERENCES rooms(id) ON DELETE CASCADE
      )${MYSQL_TABLE}`,
      `CREATE TABLE IF NOT EXISTS room_nodes (
        room_id INT NOT NULL,
        level TINYINT NOT NULL,
        node_index BIGINT NOT NULL,
        hash BINARY(32) NOT NULL,
        PRIMARY KEY (room_id, level, node_index),
        FOREIGN KEY (room_id) REFERENCES rooms(id) ON DELETE CASCADE
      )${MYSQL_TABLE}`,
      `CREATE TABLE IF NOT EXISTS room_checkpoints (
        room_id INT NOT NULL,
        size BIGINT NOT NULL,
        time BIGINT NOT NULL,
        root BINARY(32) NOT NULL,
        sig VARBINARY(2048) NOT NULL,
        signer BINARY(32) NOT NULL,
        PRIMARY KEY (room_id, size),
        FOREIGN KEY (room_id) REFERENCES rooms(id) ON DELETE CASCADE
      )${MYSQL_TABLE}`,
      `CREATE TABLE IF NOT EXISTS room_epochs (
        room_id INT NOT NULL,
        epoch INT NOT NULL,
        wrapped_key VARBINARY(255) NOT NULL,
        PRIMARY KEY (room_id, epoch),
        FOREIGN KEY (room_id) REFERENCES rooms(id) ON DELETE CASCADE
      )${MYSQL_TABLE}`,
      `CREATE TABLE IF NOT EXISTS room_invitations (
        username_key VARCHAR(255) NOT NULL,
        room VARCHAR(131) NOT NULL,
        inviter VARCHAR(255) NOT NULL,
        PRIMARY KEY (username_key, room)
      )${MYSQL_TABLE}`,
      `CREATE TABLE IF NOT EXISTS devices (
        fingerprint BINARY(32) NOT NULL PRIMARY KEY,
        user_id INT NOT NULL,
        pem MEDIUMTEXT NOT NULL,
        bound_at BIGINT NOT NULL,
        FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE
      )${MYSQL_TABLE}`,
      `CREATE TABLE IF NOT EXISTS server_certificates (
        fingerprint BINARY(32) NOT NULL PRIMARY KEY,
        pem MEDIUMTEXT NOT NULL
      )${MYSQL_TABLE}`,
      `CREATE TABLE IF NOT EXISTS codes (
        hash BINARY(32) NOT NULL PRIMARY KEY,
        username VARCHAR(255) NOT NULL,
        kind VARCHAR(16) NOT NULL,
        expires_at BIGINT NOT NULL,
        issued_to BINARY(32),
        KEY issued_to (issued_to)
      )${MYSQL_TABLE}`,
      `CREATE TABLE IF NOT EXISTS session_tokens (
        hash BINARY(32) NOT NULL PRIMARY KEY,
        user_id INT NOT NULL,
        fingerprint BINARY(32) NOT NULL,
        expires_at BIGINT NOT NULL,
        KEY fingerprint (fingerprint),
        FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE
      )${MYSQL_TABLE}`,
    ],
  },
  {
    version: 4,
    sqlite: ["ALTER TABLE codes ADD COLUMN email VARCHAR(255)"],
    mysql: ["ALTER TABLE codes ADD COLUMN email VARCHAR(255) AFTER username"],
  },
  {
    version: 5,
    sqlite: [
      "ALTER TABLE rooms ADD COLUMN forked_at BIGINT",
      "ALTER TABLE rooms ADD COLUMN closed_at BIGINT",
      "CREATE INDEX closed_at ON rooms (closed_at)",
    ],
    mysql: [
      "ALTER TABLE rooms ADD COLUMN forked_at BIGINT",
      "ALTER TABLE rooms ADD COLUMN closed_at BIGINT",
      "ALTER TABLE rooms ADD KEY closed_at (closed_at)",
    ],
  },
  {
    version: 6,
    sqlite: ["CREATE INDEX room_checkpoint_times ON room_checkpoints (room_id, time, size)"],
    mysql: ["ALTER TABLE room_checkpoints ADD KEY times (room_id, time, size)"],
  },
  {
    version: 7,
    sqlite: ["ALTER TABLE rooms ADD COLUMN maker VARCHAR(255)"],
    mysql: ["ALTER TABLE rooms ADD COLUMN maker VARCHAR(255) AFTER created_at"],
  },
  {
    version: 8,
    sqlite: [
      "ALTER TABLE users ADD COLUMN registered_with BINARY(32)",
      "CREATE INDEX registered_with ON users (registered_with)",
      "ALTER TABLE devices ADD COLUMN is_issued TINYINT NOT NULL DEFAULT 0",
      "ALTER TABLE codes ADD COLUMN issued_pem TEXT",
    ],
    mysql: [
      "ALTER TABLE users ADD COLUMN registered_with BINARY(32)",
      "ALTER TABLE users ADD KEY registered_with (registered_with)",
      "ALTER TABLE devices ADD COLUMN is_issued TINYINT NOT NULL DEFAULT 0",
      "ALTER TABLE codes ADD COLUMN issued_pem MEDIUMTEXT",
    ],
  },
  {
    version: 9,
    sqlite: [
      `CREATE TABLE server_logs (
        id INT NOT NULL PRIMARY KEY,
        origin VARCHAR(255) UNIQUE NOT NULL,
        vkey VARCHAR(400) NOT NULL,
        charter TEXT NOT NULL,
        size BIGINT NOT NULL,
        root BINARY(32) NOT NULL,
        audit_size BIGINT NOT NULL
      )`,
      `CREATE TABLE log_ticks (
        log_id INT NOT NULL,
        tick_index BIGINT NOT NULL,
        tick BLOB NOT NULL,
        tags BLOB NOT NULL,
        PRIMARY KEY (log_id, tick_index),
        FOREIGN KEY (log_id) REFERENCES server_logs(id) ON DELETE CASCADE
      )`,
      `CREATE TABLE log_nodes (
        log_id INT NOT NULL,
        level TINYINT NOT NULL,
        node_index BIGINT NOT NULL,
        hash BINARY(32) NOT NULL,
        PRIMARY KEY (log_id, level, node_index),
        FOREIGN KEY (log_id) REFERENCES server_logs(id) ON DELETE CASCADE
      ) WITHOUT ROWID`,
      `CREATE TABLE log_heads (
        log_id INT NOT NULL,
        tick_index BIGINT NOT NULL,
        place INT NOT NULL,
        room_id INT NOT NULL,
        size BIGINT NOT NULL,
        hash BINARY(32) NOT NULL,
        PRIMARY KEY (log_id, tick_index, place),
        FOREIGN KEY (log_id) REFERENCES server_logs(id) ON DELETE CASCADE,
        FOREIGN KEY (room_id) REFERENCES rooms(id) ON DELETE CASCADE
      ) WITHOUT ROWID`,
      "CREATE INDEX log_head_rooms ON log_heads (log_id, room_id, tick_index)",
      `CREATE TABLE log_notes (
        log_id INT NOT NULL,
        size BIGINT NOT NULL,
        note BLOB NOT NULL,
        hash BINARY(32) NOT NULL,
        closed_at BIGINT NOT NULL,
        named_in BIGINT,
        PRIMARY KEY (log_id, size),
        FOREIGN KEY (log_id) REFERENCES server_logs(id) ON DELETE CASCADE
      )`,
      `CREATE TABLE log_tokens (
        hash BINARY(32) NOT NULL PRIMARY KEY,
        log_id INT NOT NULL,
        size BIGINT NOT NULL,
        token BLOB NOT NULL,
        stated_time BIGINT NOT NULL,
        named_in BIGINT,
        FOREIGN KEY (log_id) REFERENCES server_logs(id) ON DELETE CASCADE
      )`,
      "CREATE INDEX token_names ON log_tokens (log_id, named_in)",
      `CREATE TABLE log_certificates (
        hash BINARY(32) NOT NULL PRIMARY KEY,
        pem TEXT NOT NULL
      )`,
      `CREATE TABLE audit_nodes (
        level TINYINT NOT NULL,
        node_index BIGINT NOT NULL,
        hash BINARY(32) NOT NULL,
        PRIMARY KEY (level, node_index)
      ) WITHOUT ROWID`,
      "ALTER TABLE audit_log ADD COLUMN entry_index BIGINT",
      "CREATE UNIQUE INDEX entry_index ON audit_log (entry_index)",
    ],
    mysql: [
      `CREATE TABLE IF NOT EXISTS server_logs (
        id INT NOT NULL PRIMARY KEY,
        origin VARCHAR(255) UNIQUE NOT NULL,
        vkey VARCHAR(400) NOT NULL,
        charter MEDIUMTEXT NOT NULL,
        size BIGINT NOT NULL,
        root BINARY(32) NOT NULL,
        audit_size BIGINT NOT NULL
      )${MYSQL_TABLE}`,
      `CREATE TABLE IF NOT EXISTS log_ticks (
        log_id INT NOT NULL,
        tick_index BIGINT NOT NULL,
        tick BLOB NOT NULL,
        tags BLOB NOT NULL,
        PRIMARY KEY (log_id, tick_index),
        FOREIGN KEY (log_id) REFERENCES server_logs(id) ON DELETE CASCADE
      )${MYSQL_TABLE}`,
      `CREATE TABLE IF NOT EXISTS log_nodes (
        log_id INT NOT NULL,
        level TINYINT NOT NULL,
        node_index BIGINT NOT NULL,
        hash BINARY(32) NOT NULL,
        PRIMARY KEY (log_id, level, node_index),
        FOREIGN KEY (log_id) REFERENCES server_logs(id) ON DELETE CASCADE
      )${MYSQL_TABLE}`,
      `CREATE TABLE IF NOT EXISTS log_heads (
        log_id INT NOT NULL,
        tick_index BIGINT NOT NULL,
        place INT NOT NULL,
        room_id INT NOT NULL,
        size BIGINT NOT NULL,
        hash BINARY(32) NOT NULL,
        PRIMARY KEY (log_id, tick_index, place),
        KEY log_head_rooms (log_id, room_id, tick_index),
        FOREIGN KEY (log_id) REFERENCES server_logs(id) ON DELETE CASCADE,
        FOREIGN KEY (room_id) REFERENCES rooms(id) ON DELETE CASCADE
      )${MYSQL_TABLE}`,
      `CREATE TABLE IF NOT EXISTS log_notes (
        log_id INT NOT NULL,
        size BIGINT NOT NULL,
        note MEDIUMBLOB NOT NULL,
        hash BINARY(32) NOT NULL,
        closed_at BIGINT NOT NULL,
        named_in BIGINT,
        PRIMARY KEY (log_id, size),
        FOREIGN KEY (log_id) REFERENCES server_logs(id) ON DELETE CASCADE
      )${MYSQL_TABLE}`,
      `CREATE TABLE IF NOT EXISTS log_tokens (
        hash BINARY(32) NOT NULL PRIMARY KEY,
        log_id INT NOT NULL,
        size BIGINT NOT NULL,
        token BLOB NOT NULL,
        stated_time BIGINT NOT NULL,
        named_in BIGINT,
        KEY token_names (log_id, named_in),
        FOREIGN KEY (log_id) REFERENCES server_logs(id) ON DELETE CASCADE
      )${MYSQL_TABLE}`,
      `CREATE TABLE IF NOT EXISTS log_certificates (
        hash BINARY(32) NOT NULL PRIMARY KEY,
        pem MEDIUMTEXT NOT NULL
      )${MYSQL_TABLE}`,
      `CREATE TABLE IF NOT EXISTS audit_nodes (
        level TINYINT NOT NULL,
        node_index BIGINT NOT NULL,
        hash BINARY(32) NOT NULL,
        PRIMARY KEY (level, node_index)
      )${MYSQL_TABLE}`,
      "ALTER TABLE audit_log ADD COLUMN entry_index BIGINT",
      "ALTER TABLE audit_log ADD UNIQUE KEY entry_index (entry_index)",
    ],
  },
  {
    version: 10,
    sqlite: [
      `CREATE TABLE room_states (
        room_id INT NOT NULL PRIMARY KEY,
        line_index BIGINT NOT NULL,
        state BLOB NOT NULL,
        FOREIGN KEY (room_id) REFERENCES rooms(id) ON DELETE CASCADE
      )`,
    ],
    mysql: [
      `CREATE TABLE IF NOT EXISTS room_states (
        room_id INT NOT NULL PRIMARY KEY,
        line_index BIGINT NOT NULL,
        state MEDIUMBLOB NOT NULL,
        FOREIGN KEY (room_id) REFERENCES rooms(id) ON DELETE CASCADE
      )${MYSQL_TABLE}`,
    ],
  },
];

/** The version that this program works with. */
export const SCHEMA_VERSION = MIGRATIONS.length;

/** What a database of that version still needs; a Failure if it is newer than the program. */
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
