/**
 * The store on MySQL (5.7 and later) or MariaDB, through a pool of mysql2: the one door to that library.
 *
 *     const store = await openMysqlStore({ host: "db", port: 3306, user: "chat", password: "…", name: "securechat" });
 *     await store.rooms.findRoom("#ops");
 *
 * Tables are those of `mysql/schema.sql`; an older database, the seed's own included, is migrated at the start, under a
 * lock that a second server waits for. MySQL commits each ALTER by itself, so a migration that was cut off is run again
 * from its beginning, and what is there already is passed over. A user with SELECT, INSERT, UPDATE and DELETE will do
 * where nothing is to be migrated.
 *
 * Text is compared as `utf8mb4_bin`: by bytes but for blanks at the end, which `findUser` compares too. Sessions run in
 * UTC and in strict mode, whatever the server's defaults are. Every call is bounded in time. One that the database
 * doesn't carry out, for whatever reason, is {@link StoreUnavailable}: its connection is thrown away, the next call
 * gets a fresh one. At the start the same is a {@link Failure} that names what to check. The connection isn't
 * encrypted: the database belongs on the same machine or behind the same wall.
 *
 * An erased body is overwritten in its row. What InnoDB keeps besides is for the operator: copies in parts of pages
 * that rows were moved from, and whole pages of bodies of more than some 8,000 bytes, until `OPTIMIZE TABLE
 * room_lines`; the undo log until it is purged, in seconds; the redo log until it comes round; the binary log until it
 * expires; backups.
 *
 * @layer outside
 */

import { Buffer } from "node:buffer";
import { isIP } from "node:net";
import mysql, {
  type Pool,
  type PoolConnection,
  type ResultSetHeader,
  type RowDataPacket,
  type SslOptions,
} from "mysql2/promise";
import { addUser, latestTime, registrationsWith, replacePasswordRecord, setPassword } from "./server_account_tables.ts";
import type { Bytes } from "./bytes.ts";
import { EXIT, Failure, messageOf } from "./errors.ts";
import { readTextFile } from "./files.ts";
import { CREATE_SCHEMA_VERSION, MIGRATIONS, MYSQL_TABLE, pendingMigrations } from "./store_migrations.ts";
import type { RoomStore } from "./room_store.ts";
import { RoomTables } from "./room_tables.ts";
import type { DeviceStore } from "./server_device_store.ts";
import { DeviceTables } from "./server_device_tables.ts";
import type { LogStore } from "./server_log_store.ts";
import { LogTables } from "./server_log_tables.ts";
import type { SqlDatabase, SqlStatement, SqlValue } from "./store_sql.ts";
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
import { printable } from "./text.ts";

/** Where the database is. */
export interface MysqlAddress {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly name: string;
  /** Whether only TLS is spoken; the certificate must be for the host. */
  readonly tls?: boolean;
  /** A file with the CAs of that certificate, as PEM; the system's without it. */
  readonly tlsCa?: string;
}

/** Bounds that tests shorten. */
export interface MysqlOptions {
  /** Milliseconds for one call, the wait for a free connection and connecting included. */
  readonly timeout?: number;
  /** Seconds to wait while another server migrates. */
  readonly migrationWait?: number;
}

/** Statements take milliseconds; who waits longer than this waits for a database that is gone. */
const TIMEOUT_MS = 5_000;

/** MySQL grants 151 by default to all who use it; ten at once keep its disk busy. */
const CONNECTIONS = 10;

/** An ALTER of a large table takes minutes; a server that waits longer than this should rather say so. */
const MIGRATION_WAIT_S = 60;

/** Well below the 4 MiB that MySQL 5.7 takes in one query (max_allowed_packet). */
const MAX_INSERT_BYTES = 1_048_576;

/** Rows of one INSERT: more gain little, and every number of rows is a statement that both sides remember. */
const MAX_INSERT_ROWS = 64;

const SESSION_SETTINGS = "SET time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'";

/** A table without texts, whose collation says nothing. */
const NO_TEXT = "schema_version";

/** The tables of this program. */
const TABLES: ReadonlySet<string> = new Set([
  "schema_version",
  ...MIGRATIONS.flatMap(({ mysql }) => mysql).flatMap((sql) =>
    /^CREATE TABLE IF NOT EXISTS (\w+)/.exec(sql)?.[1] ?? []
  ),
]);

/** What MySQL answers to a statement that an earlier run carried out: the column is there, the key is there. */
const DONE_BEFORE: readonly unknown[] = ["ER_DUP_FIELDNAME", "ER_DUP_KEYNAME"];

/** Connects, and migrates the database. */
export async function openMysqlStore(
  address: MysqlAddress,
  { timeout = TIMEOUT_MS, migrationWait = MIGRATION_WAIT_S }: MysqlOptions = {},
): Promise<ServerStore> {
  const pool = mysql.createPool({
    host: address.host,
    port: address.port,
    user: address.user,
    password: address.password,
    database: address.name,
    charset: "utf8mb4_bin",
    ...address.tls ? { ssl: await tlsOptions(address) } : {},
    connectTimeout: timeout,
    connectionLimit: CONNECTIONS,
    maxPreparedStatements: 100,
  });
  // It stands first in the connection's queue, before any statement of ours.
  pool.pool.on("connection", (connection) => {
    connection.query(SESSION_SETTINGS, (error: unknown) => {
      if (error) connection.destroy();
    });
  });
  const store = new MysqlStore(pool, timeout);
  try {
    await store.migrate(migrationWait);
    return store;
  } catch (error) {
    await store.close();
    if (!(error instanceof StoreUnavailable)) throw error;
    throw new Failure(EXIT.unavailable, `database connection failed: ${advice(error.cause, address)}`);
  }
}

async function tlsOptions({ host, tlsCa }: MysqlAddress): Promise<SslOptions> {
  // The driver compares a certificate only with names, and takes any certificate of the CA for an address.
  if (isIP(host) !== 0) {
    throw new Failure(
      EXIT.unavailable,
      `database connection failed: over TLS the database's certificate is checked for a name, and ${host} is an ` +
        "address; use the name in DB_HOST",
    );
  }
  const checks = { rejectUnauthorized: true, verifyIdentity: true, minVersion: "TLSv1.2" };
  return tlsCa === undefined ? checks : { ...checks, ca: await readTextFile(tlsCa) };
}

/** What to do about a database that didn't answer at the start. */
function advice(error: unknown, { host, port, user, name, tls }: MysqlAddress): string {
  const at = `${host}:${port}`;
  switch (codeOf(error)) {
    case "ECONNREFUSED":
      return `nothing listens at ${at}; check that the database runs, and DB_HOST and DB_PORT`;
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return `there is no host named ${host}; check DB_HOST`;
    case "ER_ACCESS_DENIED_ERROR":
    case "ER_ACCESS_DENIED_NO_PASSWORD_ERROR":
      // MariaDB says nothing else to whoever comes without TLS where it wants that.
      return `${at} refuses the user ${user}; check DB_USER and DB_PASSWORD` +
        (tls ? "" : ", and use DB_TLS=true if it wants TLS");
    case "ER_DBACCESS_DENIED_ERROR":
      return `the user ${user} may not use the database ${name} at ${at}; check DB_NAME, or grant it`;
    case "ER_BAD_DB_ERROR":
      return `there is no database ${name} at ${at}; check DB_NAME, or make it with: mysql -u root -p < mysql/schema.sql`;
    case "ER_TABLEACCESS_DENIED_ERROR":
      return `the user ${user} lacks a right on the tables of ${name} at ${at}; grant CREATE, ALTER, INDEX, ` +
        "REFERENCES, SELECT, INSERT, UPDATE and DELETE, and check DB_USER";
    case "ER_OPTION_PREVENTS_STATEMENT":
    case "ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION":
      return `${at} is read-only; check DB_HOST and DB_PORT, that of the primary, or turn its read_only off`;
    case "ER_SECURE_TRANSPORT_REQUIRED":
      return `${at} takes connections over TLS only; use DB_TLS=true, and DB_TLS_CA with the CA of its certificate`;
    case "HANDSHAKE_NO_SSL_SUPPORT":
      return `${at} knows no TLS; check its settings (ssl_cert, ssl_key), or use DB_TLS=false`;
    case "HANDSHAKE_SSL_ERROR":
      return `the certificate of ${at} was refused (${causeOf(error)}); check DB_TLS_CA, and that it is for ${host}`;
    case "AUTH_SWITCH_PLUGIN_ERROR":
      return `${at} wants a way to log in that isn't supported (${causeOf(error)}); use mysql_native_password, ` +
        `caching_sha2_password or client_ed25519 for the user ${user}`;
    default:
      return `${at} said: ${printable(messageOf(error))}; ` +
        "check that it is a running MySQL or MariaDB";
  }
}

/** What a database says is wrong, and what lies behind that. */
function causeOf(error: unknown): string {
  if (!(error instanceof Error)) return printable(String(error));
  return printable(error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message);
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}

/** A statement as it is sent. */
interface Sent {
  readonly sql: string;
  readonly values: readonly SqlValue[];
  readonly mustChange?: boolean;
}

/** The statements to send: INSERTs of many rows each, as many as are allowed. */
function split(statement: SqlStatement): Sent[] {
  if ("sql" in statement) return [statement];
  const batches: (readonly SqlValue[])[][] = [];
  let bytes = Infinity;
  for (const row of statement.rows) {
    const size = row.reduce<number>((sum, value) => sum + sizeOf(value), 0);
    let batch = batches.at(-1);
    if (!batch || batch.length === MAX_INSERT_ROWS || bytes + size > MAX_INSERT_BYTES) {
      batches.push(batch = []);
      bytes = 0;
    }
    batch.push(row);
    bytes += size;
  }
  return batches.map((batch) => ({
    sql: `${statement.insert} VALUES ${batch.map((row) => `(${row.map(() => "?").join(", ")})`).join(", ")}`,
    values: batch.flat(),
  }));
}

/** How many bytes a value takes in a query at most. */
function sizeOf(value: SqlValue): number {
  if (typeof value === "string") return 3 * value.length + 9;
  return value instanceof Uint8Array ? value.length + 9 : 8;
}

/** Bytes as mysql2 sends them as bytes, not as text. */
function parameter(value: SqlValue): string | number | Buffer | null {
  return value instanceof Uint8Array ? Buffer.from(value.buffer, value.byteOffset, value.byteLength) : value;
}

class MysqlStore implements ServerStore {
  readonly rooms: RoomStore;
  /** The devices in the same database. */
  readonly devices: DeviceStore;
  /** The server's log in the same database. */
  readonly log: LogStore;
  readonly #tables: SqlDatabase;
  readonly #pool: Pool;
  readonly #timeout: number;

  constructor(pool: Pool, timeout: number) {
    this.#pool = pool;
    this.#timeout = timeout;
    this.#tables = {
      rows: (sql, values) => this.#rows(sql, values),
      write: (...statements) => this.#write(statements.flatMap(split)),
      scrub: () => Promise.resolve(), // see above
    };
    this.rooms = new RoomTables(this.#tables);
    this.devices = new DeviceTables(this.#tables);
    this.log = new LogTables(this.#tables);
  }

  /** Applies what is pending. Looking for it takes no right but SELECT. */
  async migrate(wait: number): Promise<void> {
    await this.#checkTables(["engine"]);
    await this.#migratePending(wait);
    await this.#checkTables(["engine", "collation"]);
    await this.#run("UPDATE schema_version SET version = version WHERE version < 0", []); // whether it can be written
  }

  /**
   * A table that was made by hand, or by a server with other defaults: without transactions a crash loses what belongs
   * together, and another collation takes different texts for one.
   */
  async #checkTables(what: readonly ("engine" | "collation")[]): Promise<void> {
    const rows = await this.#rows(
      `SELECT table_name AS name, engine AS engine, table_collation AS collation FROM information_schema.tables
        WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE' ORDER BY table_name`,
      [],
    );
    const wanted = { engine: "InnoDB", collation: "utf8mb4_bin" };
    const isWrong = (row: RowDataPacket) =>
      what.some((one) => row[one] !== wanted[one] && !(one === "collation" && row["name"] === NO_TEXT));
    const wrong = rows.filter((row) => TABLES.has(String(row["name"])) && isWrong(row));
    if (wrong.length === 0) return;
    const faults = wrong.map(({ name, engine, collation }) => `${name} (${engine}, ${collation})`).join(", ");
    const change = what.includes("collation")
      ? "ENGINE=InnoDB, CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
      : "ENGINE=InnoDB";
    const mend = wrong.map(({ name }) => `ALTER TABLE ${name} ${change};`).join(" ");
    throw new Failure(
      EXIT.unavailable,
      `database connection failed: tables have another engine or collation than InnoDB and utf8mb4_bin: ${faults}; ` +
        `make a backup and use this in the database, with the server stopped: ${mend}`,
    );
  }

  async #migratePending(wait: number): Promise<void> {
    if (pendingMigrations(await this.#use(versionOf)).length === 0) return;
    const work = async (connection: PoolConnection) => {
      // The lock goes with the connection, which is thrown away below.
      const lock = `GET_LOCK(LEFT(CONCAT('securechat migrates ', DATABASE()), 64), ${wait})`;
      const [[row]] = await connection.query<RowDataPacket[]>(`SELECT ${lock} AS taken`);
      if (row?.["taken"] !== 1) throw new Error("another server is migrating it and doesn't come to an end");
      await connection.query(`${CREATE_SCHEMA_VERSION}${MYSQL_TABLE}`);
      for (const migration of pendingMigrations(await versionOf(connection))) {
        for (const statement of migration.mysql) {
          await connection.query(statement).catch((error) => {
            if (!DONE_BEFORE.includes(codeOf(error))) throw error;
          });
        }
        await connection.execute("INSERT INTO schema_version (version) VALUES (?)", [migration.version]);
      }
      connection.destroy();
    };
    // What an ALTER of a large table takes, it may take.
    await this.#use(work, 2 ** 31 - 1);
  }

  async findUser(email: string): Promise<User | undefined> {
    const [row] = await this.#rows(
      // A blank at the end doesn't count for utf8mb4_bin; it does for the length.
      "SELECT id, email, username, salt, pwd_hash FROM users WHERE email = ? AND LENGTH(email) = LENGTH(?)",
      [email, email],
    );
    return row && userOf(row);
  }

  async addUser(user: Omit<User, "id">, createdAt: number, registrant?: Registrant): Promise<number | undefined> {
    return await addUser(this.#tables, user, createdAt, registrant);
  }

  async latestTime(): Promise<number | undefined> {
    return await latestTime(this.#tables);
  }

  async registrationsWith(fingerprint: string): Promise<number> {
    return await registrationsWith(this.#tables, fingerprint);
  }

  async replacePasswordRecord(userId: number, record: string, replaced: string): Promise<boolean> {
    return await replacePasswordRecord(this.#tables, userId, record, replaced);
  }

  async setPassword(userId: number, password: NewPassword): Promise<boolean> {
    return await setPassword(this.#tables, userId, password);
  }

  async secret(name: string, make: () => Bytes): Promise<Bytes> {
    const find = async () =>
      (await this.#rows("SELECT value FROM server_secrets WHERE name = ?", [name]))[0]?.["value"];
    let value: unknown = await find();
    if (value === undefined) {
      await this.#run(
        "INSERT INTO server_secrets (name, value) VALUES (?, ?) ON DUPLICATE KEY UPDATE name = name",
        [name, make()],
      );
      value = await find();
    }
    if (!(value instanceof Uint8Array)) throw new TypeError(`the server secret ${name} is not kept as bytes`);
    return new Uint8Array(value);
  }

  async openSession(start: SessionStart): Promise<void> {
    await this.#run(
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
  }

  async closeSession(end: SessionEnd): Promise<void> {
    await this.#run(
      `UPDATE sessions SET ended_at = ?, message_count = ?, transcript_hash = ?
        WHERE session_token = ? AND ended_at IS NULL`,
      [formatTimestamp(end.endedAt), end.messageCount, end.transcriptHash, end.tokenHash],
    );
  }

  async unfinishedSessions(): Promise<readonly string[]> {
    const rows = await this.#rows("SELECT session_token FROM sessions WHERE ended_at IS NULL ORDER BY id", []);
    return rows.map((row) => String(row["session_token"]));
  }

  async addAudit(rows: readonly AuditRow[]): Promise<void> {
    if (rows.length === 0) return;
    // One statement is all or nothing by itself.
    await this.#run(
      `INSERT INTO audit_log
        (event_type, email, client_cert_fingerprint, reason, occurred_at, ip_address, event_key)
        VALUES ${rows.map(() => "(?, ?, ?, ?, ?, ?, ?)").join(", ")} ON DUPLICATE KEY UPDATE id = id`,
      rows.flatMap(auditValues),
    );
  }

  /** Says goodbye to the database, where it listens. */
  async close(): Promise<void> {
    await bounded(this.#pool.end(), this.#timeout).catch(() => {});
  }

  async #rows(sql: string, values: readonly SqlValue[]): Promise<RowDataPacket[]> {
    return await this.#use(async (connection) => {
      const [rows] = await connection.execute<RowDataPacket[]>(sql, values.map(parameter));
      return rows;
    });
  }

  /** All or none; the rows that the last one changed, `undefined` if none was carried out. */
  async #write(statements: readonly Sent[]): Promise<number | undefined> {
    return await this.#use(async (connection) => {
      const isTransaction = statements.length > 1; // one statement is all or nothing by itself
      if (isTransaction) await connection.beginTransaction();
      let changed: number | undefined;
      for (const { sql, values, mustChange } of statements) {
        changed = await carryOut(connection, sql, values);
        if (changed !== undefined && (changed > 0 || !mustChange)) continue;
        if (isTransaction) await connection.rollback();
        return undefined;
      }
      if (isTransaction) await connection.commit();
      return changed;
    });
  }

  async #run(sql: string, values: (string | number | Bytes | null)[]): Promise<void> {
    await this.#use((connection) => connection.execute(sql, values));
  }

  /** Does some work on a connection of its own, and throws {@link StoreUnavailable} for whatever goes wrong. */
  async #use<T>(work: (connection: PoolConnection) => Promise<T>, timeout = this.#timeout): Promise<T> {
    let late = false;
    let connection: PoolConnection | undefined;
    const use = async () => {
      connection = await this.#pool.getConnection();
      if (late) {
        connection.release();
        throw new Error("it came too late");
      }
      return await work(connection);
    };
    try {
      const result = await bounded(use(), timeout);
      connection?.release();
      return result;
    } catch (error) {
      late = true;
      // Nobody knows what is still under way on it.
      connection?.destroy();
      if (error instanceof Failure || error instanceof StoreUnavailable) throw error;
      throw new StoreUnavailable(`the database does not answer: ${causeOf(error)}`, { cause: error });
    }
  }
}

/** How many rows a statement changed; `undefined` if a unique key is taken. */
async function carryOut(
  connection: PoolConnection,
  sql: string,
  values: readonly SqlValue[],
): Promise<number | undefined> {
  try {
    const [{ affectedRows }] = await connection.execute<ResultSetHeader>(sql, values.map(parameter));
    return affectedRows;
  } catch (error) {
    if (codeOf(error) === "ER_DUP_ENTRY") return undefined;
    throw error;
  }
}

/** The number of the newest migration that was applied; 0 where none was. */
async function versionOf(connection: PoolConnection): Promise<number> {
  try {
    const [[row]] = await connection.execute<RowDataPacket[]>("SELECT MAX(version) AS version FROM schema_version");
    return Number(row?.["version"] ?? 0);
  } catch (error) {
    if (codeOf(error) === "ER_NO_SUCH_TABLE") return 0;
    throw error;
  }
}

async function bounded<T>(work: Promise<T>, timeout: number): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`it gave no answer within ${timeout / 1000} s`)), timeout);
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
    work.catch(() => {}); // where it was late, nobody else listens
  }
}
