/**
 * The server's log in tables, for either database (`store_sql.ts`); which these are stands in `store_migrations.ts`.
 *
 *     server_logs   2 | chat.example/log/8f14… | vkey | charter | size 812 | root      the newest is the one that goes on
 *     log_ticks     2 | 811 | tick | tags          log_nodes   2 | level | index | hash
 *     log_heads     2 | 811 | place | room | size | hash       which head of which room a tick registers
 *     log_notes     2 | size | note | hash | named in tick     log_tokens  hash | 2 | size | token | named in tick
 *     audit_nodes   level | index | hash           audit_log.entry_index: which leaf a row is
 *
 * @layer chat
 */

import { type Bytes, encodeUtf8 } from "./bytes.ts";
import { sha256 } from "./hash.ts";
import { encodeJson, isJsonObject, parseJson } from "./json.ts";
import { EMPTY_ROOT, type NodePlace } from "./log_tree.ts";
import { headHash, type RoomHead } from "./log_tick.ts";
import { hash } from "./server_account_tables.ts";
import type {
  AuditPrune,
  LogStore,
  NewLog,
  NewTick,
  RegisteredHead,
  StoredAuditRow,
  StoredLog,
  StoredNote,
  StoredTick,
  StoredToken,
} from "./server_log_store.ts";
import { auditValues, formatTimestamp } from "./server_store.ts";
import { bytes, hex, integer, text } from "./store_columns.ts";
import type { SqlDatabase, SqlRow, SqlStatement, SqlValue } from "./store_sql.ts";

/** The server's log in a database. */
export class LogTables implements LogStore {
  readonly #database: SqlDatabase;

  constructor(database: SqlDatabase) {
    this.#database = database;
  }

  async logs(): Promise<readonly StoredLog[]> {
    const rows = await this.#database.rows(
      "SELECT id, origin, vkey, charter, size, root, audit_size FROM server_logs ORDER BY id DESC",
      [],
    );
    return rows.map((row) => {
      const charter = parseJson(text(row, "charter"));
      if (!isJsonObject(charter)) throw new TypeError("a charter in the database is no JSON object");
      return {
        id: integer(row, "id"),
        origin: text(row, "origin"),
        vkey: text(row, "vkey"),
        charter,
        size: integer(row, "size"),
        root: hex(row, "root"),
        auditSize: integer(row, "audit_size"),
      };
    });
  }

  async startLog({ origin, vkey, charter }: NewLog, previous: string | undefined): Promise<boolean> {
    const [newest] = await this.logs();
    if (newest?.origin !== previous) return false;
    // Two servers that begin at once take the same id, which is a unique key.
    const row = {
      ...{ id: (newest?.id ?? 0) + 1, origin, vkey, charter: encodeJson(charter), size: 0, root: EMPTY_ROOT },
      audit_size: newest?.auditSize ?? 0,
    };
    const insert = `INSERT INTO server_logs (${Object.keys(row).join(", ")})`;
    return await this.#database.write({ insert, rows: [Object.values(row)] }) !== undefined;
  }

  async unregistered(log: number, count: number): Promise<readonly RoomHead[]> {
    const rows = await this.#database.rows(
      `SELECT waiting.origin AS origin, newest.size AS size, newest.time AS time, newest.root AS root,
        (SELECT MIN(first.time) FROM room_checkpoints AS first
          WHERE first.room_id = waiting.id AND first.size > waiting.registered) AS since
        FROM (SELECT rooms.id AS id, rooms.origin AS origin,
          (SELECT MAX(size) FROM room_checkpoints WHERE room_id = rooms.id) AS size,
          COALESCE((SELECT MAX(size) FROM log_heads WHERE log_id = ? AND room_id = rooms.id), 0) AS registered
          FROM rooms WHERE forked_at IS NULL) AS waiting
        JOIN room_checkpoints AS newest ON newest.room_id = waiting.id AND newest.size = waiting.size
        WHERE waiting.size > waiting.registered ORDER BY since, waiting.id LIMIT ${BigInt(count)}`,
      [log],
    );
    return rows.map((row) => ({
      origin: text(row, "origin"),
      time: integer(row, "time"),
      size: integer(row, "size"),
      root: hex(row, "root"),
    }));
  }

  async appendTick({ id, size, root }: StoredLog, tick: NewTick): Promise<boolean> {
    const { leaves, nodes: auditNodes } = tick.audit;
    const statements: SqlStatement[] = [
      {
        sql: `UPDATE server_logs SET size = size + 1, root = ?, audit_size = audit_size + ?
          WHERE id = ? AND size = ? AND root = ?
            AND id = (SELECT newest FROM (SELECT MAX(id) AS newest FROM server_logs) AS logs)`,
        values: [hash(tick.root), leaves.length, id, size, hash(root)],
        mustChange: true,
      },
      { insert: "INSERT INTO log_ticks (log_id, tick_index, tick, tags)", rows: [[id, size, tick.tick, tick.tags]] },
      ...nodeRows("INSERT INTO log_nodes (log_id, level, node_index, hash)", tick.nodes, [id]),
      ...await this.#headRows(id, size, tick.heads),
      ...tick.note === undefined ? [] : [{
        sql: "UPDATE log_notes SET named_in = ? WHERE log_id = ? AND size = ?",
        values: [size, id, tick.note],
      }],
      ...tick.tokens.map((token) => ({
        sql: "UPDATE log_tokens SET named_in = ? WHERE hash = ?",
        values: [size, hash(token)],
      })),
    ];
    if (leaves.length > 0) statements.push(...await this.#auditRows(leaves.map(({ id }) => id)));
    statements.push(...nodeRows("INSERT INTO audit_nodes (level, node_index, hash)", auditNodes, []));
    return await this.#database.write(...statements) !== undefined;
  }

  async #headRows(log: number, tick: number, heads: readonly RoomHead[]): Promise<SqlStatement[]> {
    if (heads.length === 0) return [];
    const ids = new Map<string, number>();
    for (let at = 0; at < heads.length; at += PARAMETERS) {
      const origins = heads.slice(at, at + PARAMETERS).map(({ origin }) => origin);
      const places = origins.map(() => "?").join(", ");
      const rows = await this.#database.rows(`SELECT id, origin FROM rooms WHERE origin IN (${places})`, origins);
      for (const row of rows) ids.set(text(row, "origin"), integer(row, "id"));
    }
    const values = heads.map((head, place): SqlValue[] => {
      const room = ids.get(head.origin);
      if (room === undefined) throw new Error(`there is no room ${head.origin}`);
      return [log, tick, place, room, head.size, headHash(head)];
    });
    return [{ insert: "INSERT INTO log_heads (log_id, tick_index, place, room_id, size, hash)", rows: values }];
  }

  /** Gives rows of the audit log the indexes that follow. */
  async #auditRows(ids: readonly number[]): Promise<SqlStatement[]> {
    const [row] = await this.#database.rows("SELECT MAX(entry_index) AS last FROM audit_log", []);
    const first = row?.["last"] === null || row === undefined ? 0 : integer(row, "last") + 1;
    return ids.map((id, at) => ({
      sql: "UPDATE audit_log SET entry_index = ? WHERE id = ? AND entry_index IS NULL",
      values: [first + at, id],
      mustChange: true,
    }));
  }

  async ticks(log: number, from: number, count: number): Promise<readonly StoredTick[]> {
    const rows = await this.#database.rows(
      "SELECT tick_index, tick, tags FROM log_ticks WHERE log_id = ? AND tick_index >= ? AND tick_index < ? " +
        "ORDER BY tick_index",
      [log, from, from + count],
    );
    return rows.map((row) => ({
      index: integer(row, "tick_index"),
      tick: bytes(row, "tick"),
      tags: bytes(row, "tags"),
    }));
  }

  async nodes(log: number, places: readonly NodePlace[]): Promise<readonly Bytes[]> {
    return await this.#nodes("log_nodes", places, ["log_id"], [log]);
  }

  async auditNodes(places: readonly NodePlace[]): Promise<readonly Bytes[]> {
    return await this.#nodes("audit_nodes", places, [], []);
  }

  async #nodes(
    table: string,
    places: readonly NodePlace[],
    columns: readonly string[],
    values: readonly number[],
  ): Promise<Bytes[]> {
    if (places.length === 0) return [];
    const term = `(${[...columns, "level", "node_index"].map((column) => `${column} = ?`).join(" AND ")})`;
    const rows = await this.#database.rows(
      `SELECT level, node_index, hash FROM ${table} WHERE ${places.map(() => term).join(" OR ")}`,
      places.flatMap(({ level, index }) => [...values, level, index]),
    );
    const found = new Map(rows.map((row) => [`${row["level"]} ${row["node_index"]}`, bytes(row, "hash")]));
    return places.map(({ level, index }) => {
      const node = found.get(`${level} ${index}`);
      if (!node) throw new Error(`${table} has no node ${index} of level ${level}`);
      return node;
    });
  }

  async registrations(log: number, origin: string, from: number, count: number): Promise<readonly RegisteredHead[]> {
    const rows = await this.#database.rows(
      `SELECT log_heads.tick_index, log_heads.place, kept.time, kept.size, kept.root, kept.sig, kept.signer
        FROM log_heads JOIN rooms ON rooms.id = log_heads.room_id
        JOIN room_checkpoints AS kept ON kept.room_id = log_heads.room_id AND kept.size = log_heads.size
        WHERE log_heads.log_id = ? AND rooms.origin = ? AND log_heads.tick_index >= ?
        ORDER BY log_heads.tick_index LIMIT ${BigInt(count)}`,
      [log, origin, from],
    );
    return rows.map((row) => ({
      tick: integer(row, "tick_index"),
      place: integer(row, "place"),
      checkpoint: {
        time: integer(row, "time"),
        size: integer(row, "size"),
        root: hex(row, "root"),
        sig: bytes(row, "sig"),
        from: hex(row, "signer"),
      },
    }));
  }

  async headHashes(log: number, tick: number): Promise<readonly Bytes[]> {
    const rows = await this.#database.rows(
      "SELECT hash FROM log_heads WHERE log_id = ? AND tick_index = ? ORDER BY place",
      [log, tick],
    );
    return rows.map((row) => bytes(row, "hash"));
  }

  // Notes.

  async closeNote(log: number, { size, note, hash: noteHash }: StoredNote, closedAt: number): Promise<boolean> {
    const row = [log, size, note, hash(noteHash), closedAt];
    const insert = "INSERT INTO log_notes (log_id, size, note, hash, closed_at)";
    return await this.#database.write({ insert, rows: [row] }) !== undefined;
  }

  async closedNote(log: number, size?: number): Promise<StoredNote | undefined> {
    return size === undefined
      ? await this.#note("log_id = ? ORDER BY size DESC", [log])
      : await this.#note("log_id = ? AND size >= ? ORDER BY size", [log, size]);
  }

  async unnamedNote(log: number): Promise<StoredNote | undefined> {
    const named = "SELECT MAX(size) FROM log_notes WHERE log_id = ? AND named_in IS NOT NULL";
    return await this.#note(`log_id = ? AND size > COALESCE((${named}), 0) ORDER BY size DESC`, [log, log]);
  }

  async #note(where: string, values: readonly SqlValue[]): Promise<StoredNote | undefined> {
    const [row] = await this.#database.rows(`SELECT size, note, hash FROM log_notes WHERE ${where} LIMIT 1`, values);
    return row && { size: integer(row, "size"), note: bytes(row, "note"), hash: hex(row, "hash") };
  }

  async dropNotes(before: number): Promise<void> {
    await this.#database.write({
      sql: `DELETE FROM log_notes WHERE closed_at < ? AND NOT EXISTS
        (SELECT 1 FROM log_tokens WHERE log_tokens.log_id = log_notes.log_id AND log_tokens.size = log_notes.size)`,
      values: [before],
    });
  }

  // Tokens.

  async addTokens(log: number, tokens: readonly StoredToken[], certificates: readonly string[]): Promise<void> {
    for (const { size, token, hash: tokenHash, time } of tokens) {
      const insert = "INSERT INTO log_tokens (hash, log_id, size, token, stated_time)";
      await this.#database.write({ insert, rows: [[hash(tokenHash), log, size, token, time]] });
    }
    for (const pem of certificates) {
      const insert = "INSERT INTO log_certificates (hash, pem)";
      await this.#database.write({ insert, rows: [[sha256(encodeUtf8(pem)), pem]] });
    }
  }

  async unnamedTokens(log: number, count: number): Promise<readonly StoredToken[]> {
    const where = "log_id = ? AND named_in IS NULL ORDER BY size, stated_time, hash";
    return (await this.#tokens(where, [log], count)).map(tokenOf);
  }

  async tokens(log: number, from: number, count: number): Promise<readonly (StoredToken & { tick: number })[]> {
    const where = "log_id = ? AND named_in >= ? ORDER BY named_in, size, stated_time, hash";
    const rows = await this.#tokens(where, [log, from], count);
    return rows.map((row) => ({ ...tokenOf(row), tick: integer(row, "named_in") }));
  }

  async #tokens(where: string, values: readonly SqlValue[], count: number): Promise<readonly SqlRow[]> {
    const select = "SELECT hash, size, token, stated_time, named_in FROM log_tokens";
    return await this.#database.rows(`${select} WHERE ${where} LIMIT ${BigInt(count)}`, values);
  }

  async newestTokenTime(): Promise<number> {
    const newest = "SELECT MAX(stated_time) AS time FROM log_tokens WHERE named_in IS NOT NULL";
    const [row] = await this.#database.rows(newest, []);
    return row === undefined || row["time"] === null ? 0 : integer(row, "time");
  }

  async stampedSize(log: number): Promise<number> {
    const [row] = await this.#database.rows("SELECT MAX(size) AS size FROM log_tokens WHERE log_id = ?", [log]);
    return row === undefined || row["size"] === null ? 0 : integer(row, "size");
  }

  async tokenCertificates(): Promise<readonly string[]> {
    const rows = await this.#database.rows("SELECT pem FROM log_certificates ORDER BY hash", []);
    return rows.map((row) => text(row, "pem"));
  }

  // The audit log.

  async unloggedAudit(count: number): Promise<readonly StoredAuditRow[]> {
    return await this.#audit(`entry_index IS NULL ORDER BY id LIMIT ${BigInt(count)}`, []);
  }

  async auditFrom(index: number, count: number): Promise<readonly StoredAuditRow[]> {
    return await this.#audit("entry_index >= ? AND entry_index < ? ORDER BY entry_index", [index, index + count]);
  }

  async pruneAudit({ before, occurredAt, key, reason }: AuditPrune): Promise<number> {
    const where = "entry_index IS NOT NULL AND occurred_at < ? AND event_type NOT IN ('pruned', 'audit_pruned')";
    const until = formatTimestamp(before);
    const range = `SELECT MIN(entry_index) AS first, MAX(entry_index) AS last FROM audit_log WHERE ${where}`;
    const [row] = await this.#database.rows(range, [until]);
    if (!row || row["first"] === null) return 0;
    const [first, last] = [integer(row, "first"), integer(row, "last")];
    const said = auditValues({ event: "audit_pruned", occurredAt, key, reason: reason(first, last) });
    const emptied = await this.#database.write(
      {
        insert: "INSERT INTO audit_log (event_type, email, client_cert_fingerprint, reason, occurred_at, ip_address, " +
          "event_key)",
        rows: [said],
      },
      {
        sql: `UPDATE audit_log SET event_type = 'pruned', email = NULL, client_cert_fingerprint = NULL, reason = NULL,
          ip_address = NULL, event_key = NULL, occurred_at = ? WHERE ${where} AND entry_index BETWEEN ? AND ?`,
        values: [NO_TIME, until, first, last],
      },
    );
    if (emptied === undefined) throw new RangeError("a random key is taken");
    await this.#database.scrub();
    return emptied;
  }

  async #audit(where: string, values: readonly SqlValue[]): Promise<readonly StoredAuditRow[]> {
    const rows = await this.#database.rows(
      `SELECT id, entry_index, CAST(occurred_at AS CHAR) AS occurred, event_type, email, client_cert_fingerprint, reason,
        ip_address, event_key FROM audit_log WHERE ${where}`,
      values,
    );
    return rows.map((row) => ({
      id: integer(row, "id"),
      index: row["entry_index"] === null ? undefined : integer(row, "entry_index"),
      occurredAt: text(row, "occurred"),
      event: text(row, "event_type"),
      ...given(row, "email", "email"),
      ...given(row, "fingerprint", "client_cert_fingerprint"),
      ...given(row, "ip", "ip_address"),
      ...given(row, "key", "event_key"),
      ...given(row, "reason", "reason"),
    }));
  }
}

/** What an emptied row has instead of its time: in MariaDB that column may refuse to have none. */
const NO_TIME = "1970-01-02 00:00:00";
/** So many values fit into a query of either database. */
const PARAMETERS = 500;

function nodeRows(
  insert: string,
  nodes: readonly { readonly level: number; readonly index: number; readonly hash: Bytes }[],
  key: readonly number[],
): SqlStatement[] {
  if (nodes.length === 0) return [];
  return [{ insert, rows: nodes.map(({ level, index, hash }) => [...key, level, index, hash]) }];
}

function tokenOf(row: SqlRow): StoredToken {
  return {
    size: integer(row, "size"),
    token: bytes(row, "token"),
    hash: hex(row, "hash"),
    time: integer(row, "stated_time"),
  };
}

function given(row: SqlRow, name: string, column: string): { readonly [name: string]: string } {
  return row[column] === null ? {} : { [name]: text(row, column) };
}
