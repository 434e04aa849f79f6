/**
 * The embedded store: one SQLite file, `DATA_DIR/securechat.db`, through the runtime's own `node:sqlite`.
 *
 *     const store = await openSqliteStore("data");
 *     await store.findUser("alice@example.com");
 *     await store.rooms.findRoom("#ops");
 *
 * Write-ahead log with synchronous FULL: what a method has resolved survives a power cut. The file is created 0600
 * before SQLite opens it (SQLite would make it 0644) in a folder of 0700; the log beside it takes over the file's mode.
 * Calls run on the calling thread: a statement costs tens of microseconds, a commit one flush of the disk. None of them
 * waits there for another program's lock: it is tried again a little later, while everything else goes on. What is
 * written after somebody has deleted, cut or overwritten the file would be lost, so nothing is (`store_sqlite_files.ts`). What is
 * deleted is overwritten with zeros, and erasing a body empties the log of old pages.
 *
 * An unusable file at the start is a {@link Failure} in one sentence, a failing disk or a lock later is
 * {@link StoreUnavailable}. It does not check that the journals and the database are of one age: the server does that
 * when it closes unfinished sessions.
 *
 * @layer outside
 */

import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import { addUser, latestTime, registrationsWith, replacePasswordRecord, setPassword } from "./server_account_tables.ts";
import type { Bytes } from "./bytes.ts";
import { EXIT, Failure } from "./errors.ts";
import { createPrivateFolder, explainFileError } from "./files.ts";
import { CREATE_SCHEMA_VERSION, pendingMigrations } from "./store_migrations.ts";
import type { RoomStore } from "./room_store.ts";
import { RoomTables } from "./room_tables.ts";
import type { DeviceStore } from "./server_device_store.ts";
import { DeviceTables } from "./server_device_tables.ts";
import type { LogStore } from "./server_log_store.ts";
import { LogTables } from "./server_log_tables.ts";
import type { SqlDatabase, SqlStatement } from "./store_sql.ts";
import { SqliteFiles } from "./store_sqlite_files.ts";
import {
  type AuditRow,
  auditValues,
  formatTimestamp,
  type NewPassword,
  type Registrant,
  type ServerStore,
  type SessionEnd,
  type SessionStart,
  StoreUnavailable,
  type User,
  userOf,
} from "./server_store.ts";
import { sleep } from "./system.ts";

/** The database's name inside DATA_DIR. */
export const SQLITE_FILE = "securechat.db";

/** Rows of one INSERT, where there are so many: a row costs half as much then. */
const ROWS_AT_ONCE = 16;

const PRAGMAS = [
  "journal_mode = WAL",
  "synchronous = FULL",
  "foreign_keys = ON",
  // What is erased is overwritten, and stood in no temporary file: an INSERT of many rows would keep its way back
  // there.
  "secure_delete = ON",
  "temp_store = MEMORY",
];

/** How long a statement is tried again while another process is writing; one write takes milliseconds. */
const BUSY_TIMEOUT_MS = 5_000;
/** The pause before the next try, in milliseconds; the second is twice as long, up to the most. */
const FIRST_PAUSE_MS = 5;
const LONGEST_PAUSE_MS = 100;

/** SQLite's result codes for a lock of another program. */
const LOCKED: readonly unknown[] = [5, 6];

/** SQLite's primary result codes (https://sqlite.org/rescode.html) that say something to a person. */
const TROUBLES: Readonly<Record<number, string>> = {
  5: "it is locked by another program; end the other program that uses it",
  6: "it is locked by another program; end the other program that uses it",
  8: "it is read-only; make it and its folder writable for this user",
  10: "the disk reports an error; check the disk",
  11: "it is damaged; restore it from a backup",
  13: "the disk is full; free some space",
  14: "it cannot be opened; check that this user may write to the folder",
  26: "it is not a SQLite database; move the file away or give another --data folder",
};

/** SQLITE_CONSTRAINT_PRIMARYKEY and SQLITE_CONSTRAINT_UNIQUE, extended result codes. */
const KEY_TAKEN: readonly unknown[] = [1555, 2067];

/** The extended result code of an error that SQLite reported. */
function extendedCode(error: unknown): number | undefined {
  return error instanceof Error && "errcode" in error && typeof error.errcode === "number" ? error.errcode : undefined;
}

/** The primary result code. */
function resultCode(error: unknown): number | undefined {
  const code = extendedCode(error);
  return code === undefined ? undefined : code & 0xff;
}

/** Opens `DATA_DIR/securechat.db`, creates it if there is none, and migrates it. */
export async function openSqliteStore(dataDir: string, busyTimeout = BUSY_TIMEOUT_MS): Promise<SqliteStore> {
  const path = `${dataDir}/${SQLITE_FILE}`;
  try {
    await createPrivateFolder(dataDir);
    (await Deno.open(path, { append: true, create: true, mode: 0o600 })).close();
    if (Deno.build.os !== "windows") await Deno.chmod(path, 0o600);
  } catch (error) {
    const said = explainFileError(error, path, "written");
    throw unusable(said instanceof Failure ? said.message : `${said}; give another --data folder`);
  }
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path, { timeout: busyTimeout });
    for (const pragma of PRAGMAS) {
      database.prepare(`PRAGMA ${pragma}`).get();
    }
    migrate(database);
    database.prepare("PRAGMA busy_timeout = 0").get();
    return new SqliteStore(database, path, busyTimeout);
  } catch (error) {
    database?.close();
    if (error instanceof Failure) throw error;
    const trouble = TROUBLES[resultCode(error) ?? -1];
    if (trouble === undefined) throw error;
    throw unusable(`cannot use ${path}: ${trouble}`);
  }
}

function unusable(trouble: string): Failure {
  return new Failure(EXIT.unavailable, `database connection failed: ${trouble}`);
}

/** All pending migrations in one transaction, whose lock a second server that starts now waits for. */
function migrate(database: DatabaseSync): void {
  inTransaction(database, () => {
    run(database, CREATE_SCHEMA_VERSION);
    const row = database.prepare("SELECT MAX(version) AS version FROM schema_version").get();
    for (const migration of pendingMigrations(Number(row?.["version"] ?? 0))) {
      for (const statement of migration.sqlite) run(database, statement);
      database.prepare("INSERT INTO schema_version (version) VALUES (?)").run(migration.version);
    }
  });
}

/** One statement. (The errors of `DatabaseSync.exec` carry no result code.) */
function run(database: DatabaseSync, sql: string): void {
  database.prepare(sql).run();
}

function inTransaction(database: DatabaseSync, work: () => void): void {
  run(database, "BEGIN IMMEDIATE");
  try {
    work();
    run(database, "COMMIT");
  } catch (error) {
    try {
      run(database, "ROLLBACK");
    } catch {
      // A full disk has rolled back already, and then there is nothing to roll back.
    }
    throw error;
  }
}

/** Thrown to roll a transaction back in which a statement that must change something didn't. */
class NothingChanged extends Error {}

/** The store on a database that is open and migrated. */
export class SqliteStore implements ServerStore {
  /** The rooms in the same database. */
  readonly rooms: RoomStore;
  /** The devices in the same database. */
  readonly devices: DeviceStore;
  /** The server's log in the same database. */
  readonly log: LogStore;
  readonly #tables: SqlDatabase;
  readonly #database: DatabaseSync;
  readonly #busyTimeout: number;
  /** Where somebody may change them. */
  readonly #files: SqliteFiles | undefined;
  /** Whether pages that were overwritten may still stand in the write-ahead log: after a crash nobody knows. */
  #isScrubOwed = true;
  /** By their SQL, of which there are few: no text has a value in it. */
  readonly #statements = new Map<string, StatementSync>();

  /**
   * `path`: the file, if somebody may delete it; `busyTimeout`: for how long what another program locks is tried again,
   * in milliseconds.
   */
  constructor(database: DatabaseSync, path?: string, busyTimeout = 0) {
    this.#database = database;
    this.#busyTimeout = busyTimeout;
    this.#files = path === undefined ? undefined : new SqliteFiles(database, path);
    this.#tables = {
      rows: (sql, values) => this.#attempt(() => this.#prepare(sql).all(...values)),
      write: (...statements) => this.#change(() => this.#write(statements)),
      scrub: () => this.#change(() => this.#scrub()),
    };
    this.rooms = new RoomTables(this.#tables);
    this.devices = new DeviceTables(this.#tables);
    this.log = new LogTables(this.#tables);
  }

  findUser(email: string): Promise<User | undefined> {
    return this.#attempt(() => {
      const row = this.#prepare("SELECT id, email, username, salt, pwd_hash FROM users WHERE email = ?").get(email);
      return row && userOf(row);
    });
  }

  addUser(user: Omit<User, "id">, createdAt: number, registrant?: Registrant): Promise<number | undefined> {
    return addUser(this.#tables, user, createdAt, registrant);
  }

  latestTime(): Promise<number | undefined> {
    return latestTime(this.#tables);
  }

  registrationsWith(fingerprint: string): Promise<number> {
    return registrationsWith(this.#tables, fingerprint);
  }

  replacePasswordRecord(userId: number, record: string, replaced: string): Promise<boolean> {
    return replacePasswordRecord(this.#tables, userId, record, replaced);
  }

  setPassword(userId: number, password: NewPassword): Promise<boolean> {
    return setPassword(this.#tables, userId, password);
  }

  secret(name: string, make: () => Bytes): Promise<Bytes> {
    return this.#change(() => {
      const find = () => this.#prepare("SELECT value FROM server_secrets WHERE name = ?").get(name)?.["value"];
      if (find() === undefined) {
        this.#run("INSERT INTO server_secrets (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING", [name, make()]);
      }
      const value = find();
      if (!(value instanceof Uint8Array)) throw new TypeError(`the server secret ${name} is not kept as bytes`);
      return new Uint8Array(value);
    });
  }

  openSession(start: SessionStart): Promise<void> {
    return this.#change(() => {
      this.#run(
        `INSERT INTO sessions (user_id, session_token, client_cert_fingerprint, server_cert_fingerprint, started_at)
          VALUES (?, ?, ?, ?, ?)`,
        [
          start.userId,
          start.tokenHash,
          start.clientFingerprint,
          start.serverFingerprint,
          formatTimestamp(start.startedAt),
        ],
      );
    });
  }

  closeSession(end: SessionEnd): Promise<void> {
    return this.#change(() => {
      this.#run(
        `UPDATE sessions SET ended_at = ?, message_count = ?, transcript_hash = ?
          WHERE session_token = ? AND ended_at IS NULL`,
        [formatTimestamp(end.endedAt), end.messageCount, end.transcriptHash, end.tokenHash],
      );
    });
  }

  unfinishedSessions(): Promise<readonly string[]> {
    return this.#attempt(() =>
      this.#prepare("SELECT session_token FROM sessions WHERE ended_at IS NULL ORDER BY id").all()
        .map((row) => String(row["session_token"]))
    );
  }

  addAudit(rows: readonly AuditRow[]): Promise<void> {
    return this.#change(() => {
      inTransaction(this.#database, () => {
        for (const row of rows) {
          this.#run(
            `INSERT INTO audit_log
              (event_type, email, client_cert_fingerprint, reason, occurred_at, ip_address, event_key)
              VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (event_key) DO NOTHING`,
            auditValues(row),
          );
        }
      });
    });
  }

  close(): Promise<void> {
    return this.#attempt(() => {
      this.#statements.clear();
      // Closing would move pages from the log, which may be the last whole copy of them, into a damaged file.
      if (!this.#files?.isDamaged) this.#database.close();
    });
  }

  #write(statements: readonly SqlStatement[]): number | undefined {
    let changed = 0;
    try {
      inTransaction(this.#database, () => {
        for (const statement of statements) {
          changed = this.#carryOut(statement);
          if ("sql" in statement && statement.mustChange && changed === 0) throw new NothingChanged();
        }
      });
    } catch (error) {
      if (error instanceof NothingChanged || KEY_TAKEN.includes(extendedCode(error))) return undefined;
      throw error;
    }
    if (this.#isScrubOwed) {
      try {
        this.#scrub();
      } catch {
        // What was asked for is written; the log is emptied after another write.
      }
    }
    return changed;
  }

  #carryOut(statement: SqlStatement): number {
    if ("sql" in statement) return Number(this.#run(statement.sql, statement.values).changes);
    const { insert, rows } = statement;
    const row = `(${rows[0]?.map(() => "?").join(", ")})`;
    for (let at = 0; at < rows.length;) {
      const count = rows.length - at < ROWS_AT_ONCE ? 1 : ROWS_AT_ONCE;
      const values = rows.slice(at, at += count);
      this.#run(`${insert} VALUES ${values.map(() => row).join(", ")}`, values.flat());
    }
    return rows.length;
  }

  /**
   * Moves all pages to the database's file and empties the log. Not while somebody else is reading an older state: then
   * nobody waits, and it is tried again after the next write.
   */
  #scrub(): void {
    this.#isScrubOwed = true;
    this.#isScrubOwed = this.#database.prepare("PRAGMA wal_checkpoint(TRUNCATE)").get()?.["busy"] !== 0;
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (!statement) this.#statements.set(sql, statement = this.#database.prepare(sql));
    return statement;
  }

  #run(sql: string, values: readonly SQLInputValue[]): { changes: number | bigint; lastInsertRowid: number | bigint } {
    return this.#prepare(sql).run(...values);
  }

  /** What is wrong with the files; `undefined` if nothing is. */
  trouble(): string | undefined {
    return this.#files?.trouble();
  }

  /** As {@link #attempt}, unless what is written would be gone with this process. */
  async #change<T>(work: () => T): Promise<T> {
    const trouble = this.trouble();
    if (trouble !== undefined) throw new StoreUnavailable(`the database does not answer: ${trouble}`);
    return await this.#attempt(() => {
      try {
        return work();
      } finally {
        this.#files?.take();
      }
    });
  }

  /** Does it at once where it can be done, else within the time that a lock of another program has. */
  async #attempt<T>(work: () => T): Promise<T> {
    const until = performance.now() + this.#busyTimeout;
    for (let pause = FIRST_PAUSE_MS;; pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
      try {
        return work();
      } catch (error) {
        const code = resultCode(error) ?? -1;
        if (!LOCKED.includes(code) || performance.now() >= until) throw unavailable(error, TROUBLES[code]);
      }
      await sleep(pause);
    }
  }
}

function unavailable(error: unknown, trouble: string | undefined): unknown {
  if (trouble === undefined) return error;
  return new StoreUnavailable(`the database does not answer: ${trouble}`, { cause: error });
}
