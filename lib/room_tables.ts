/**
 * Rooms in tables, for either database (`store_sql.ts`); which these are stands in `store_migrations.ts`.
 *
 *     rooms       7 | #ops | chat.example/#ops/8f14… | 42 lines         the one place where an origin is spelled out
 *     room_lines  7 | 41 | author | seqno | … | line | body             unique: (room, index), (room, author, seqno)
 *     room_nodes  7 | level | index | hash                              the tree above its leaves, which are the lines'
 *
 * Hashes, fingerprints and bodies are bytes there. A batch of lines goes in together with its nodes and the room's new
 * size, if the size is what the caller thinks: two who append at one index can't both succeed, and a log that is forked
 * or closed takes nothing. A closed log gives its name away (`/7` in its place) and keeps its rows. A body that is
 * erased is overwritten with as many zeros, so that the row stays where it is, neither moved nor copied, and then
 * scrubbed.
 *
 * @layer chat
 */

import { type Bytes, encodeUtf8 } from "./bytes.ts";
import { hash } from "./server_account_tables.ts";
import type { Checkpoint } from "./log_checkpoint.ts";
import { usernameKey } from "./names.ts";
import { parseOrigin } from "./log_line.ts";
import { leafHash, type NodePlace, type TreeNode } from "./log_tree.ts";
import type {
  Consequences,
  LastLine,
  NewRoom,
  RoomStore,
  StoredEpoch,
  StoredLine,
  StoredRoom,
  StoredState,
} from "./room_store.ts";
import { bytes, hex, integer, text } from "./store_columns.ts";
import { changeRows, firstRow, insertRow } from "./store_statements.ts";
import type { SqlDatabase, SqlRow, SqlStatement, SqlValue } from "./store_sql.ts";

/** The rooms in a database. */
export class RoomTables implements RoomStore {
  readonly #database: SqlDatabase;
  /** The keys of logs, by origin: they never change. */
  readonly #logs = new Map<string, number>();

  constructor(database: SqlDatabase) {
    this.#database = database;
  }

  // Rooms.

  async createRoom(room: NewRoom): Promise<boolean> {
    return await insertRow(this.#database, "rooms", {
      name: room.name,
      origin: room.origin,
      history: room.history,
      invite_only: Number(room.inviteOnly),
      created_at: room.createdAt,
      maker: room.maker ?? null,
      size: 0,
    });
  }

  async findRoom(name: string): Promise<StoredRoom | undefined> {
    const row = await firstRow(this.#database, `${SELECT_ROOM} WHERE name = ?`, [name]);
    return row && roomOf(row);
  }

  async listRooms(after: string, count: number): Promise<readonly StoredRoom[]> {
    // `$` is the character after `#`.
    const named = `${SELECT_ROOM} WHERE name > ? AND name >= '#' AND name < '$' ORDER BY name ${limit(count)}`;
    return (await this.#database.rows(named, [after])).map(roomOf);
  }

  async madeSince(at: number): Promise<ReadonlyMap<string, number>> {
    const counted =
      "SELECT maker, COUNT(*) AS made FROM rooms WHERE created_at >= ? AND maker IS NOT NULL GROUP BY maker";
    const rows = await this.#database.rows(counted, [at]);
    return new Map(rows.map((row) => [text(row, "maker"), integer(row, "made")]));
  }

  async listLogs(): Promise<readonly StoredRoom[]> {
    return (await this.#database.rows(`${SELECT_ROOM} ORDER BY id`, [])).map(roomOf);
  }

  async markForked(origin: string, at: number): Promise<void> {
    await changeRows(this.#database, "UPDATE rooms SET forked_at = ? WHERE id = ? AND forked_at IS NULL", [
      at,
      await this.#log(origin),
    ]);
  }

  async closeLog(origin: string, at: number): Promise<boolean> {
    const log = await this.#log(origin);
    const changed = await this.#database.write(
      { sql: "DELETE FROM room_invitations WHERE room = (SELECT name FROM rooms WHERE id = ?)", values: [log] },
      {
        sql: "UPDATE rooms SET name = ?, closed_at = ? WHERE id = ? AND closed_at IS NULL",
        values: [`/${log}`, at, log],
        mustChange: true,
      },
    );
    return changed !== undefined;
  }

  async closedLogs(): Promise<readonly string[]> {
    const rows = await this.#database.rows("SELECT origin FROM rooms WHERE closed_at > 0", []);
    return rows.map((row) => text(row, "origin"));
  }

  async #log(origin: string): Promise<number> {
    const known = this.#logs.get(origin);
    if (known !== undefined) return known;
    const row = await firstRow(this.#database, "SELECT id FROM rooms WHERE origin = ?", [origin]);
    if (!row) throw new Error(`there is no log ${origin}`);
    const id = integer(row, "id");
    this.#logs.set(origin, id);
    return id;
  }

  // Lines and the tree.

  async appendLines(
    origin: string,
    lines: readonly StoredLine[],
    nodes: readonly TreeNode[],
    { erased = [], uninvited = [], epoch, state }: Consequences = {},
  ): Promise<void> {
    const [first] = lines;
    if (!first) return;
    if (lines.some(({ index }, at) => index !== first.index + at)) throw new Error("the lines' indexes have a gap");
    const log = await this.#log(origin);
    const changed = await this.#database.write(
      {
        sql: "UPDATE rooms SET size = size + ? WHERE id = ? AND size = ? AND forked_at IS NULL AND closed_at IS NULL",
        values: [lines.length, log, first.index],
        mustChange: true,
      },
      { insert: INSERT_LINES, rows: lines.map((line) => lineValues(log, line)) },
      {
        insert: INSERT_NODES,
        rows: nodes.filter(isKept).map(({ level, index, hash }) => [log, level, index, hash]),
      },
      ...epoch ? [{ insert: INSERT_EPOCH, rows: [[log, epoch.epoch, epoch.wrappedKey]] }] : [],
      ...state ? [{ insert: REPLACE_STATE, rows: [[log, state.index, state.state]] }] : [],
      ...uninvited.map((username) => ({
        sql: "DELETE FROM room_invitations WHERE username_key = ? AND room = (SELECT name FROM rooms WHERE id = ?)",
        values: [usernameKey(username), log],
      })),
      ...await this.#erasing(log, erased),
    );
    if (erased.length > 0) await this.#database.scrub();
    if (changed === undefined) {
      throw new Error(`another line stands at ${first.index} of ${origin}, or has a seqno, or the log takes no lines`);
    }
  }

  async settle(origin: string): Promise<void> {
    // In SQLite it takes the place of what a failed commit has left in the log; in MySQL it waits for that commit's lock.
    await changeRows(this.#database, "UPDATE rooms SET size = size WHERE id = ?", [await this.#log(origin)]);
  }

  async linesFrom(origin: string, from: number, count: number): Promise<readonly StoredLine[]> {
    return await this.#lines("room_id = ? AND line_index >= ? AND line_index < ? ORDER BY line_index", [
      await this.#log(origin),
      from,
      from + count,
    ]);
  }

  async actLines(origin: string, from: number, count: number): Promise<readonly StoredLine[]> {
    return await this.#lines(
      `room_id = ? AND is_act = 1 AND line_index >= ? ORDER BY line_index LIMIT ${Math.floor(count)}`,
      [await this.#log(origin), from],
    );
  }

  async lastLines(origin: string, after: string, count: number): Promise<readonly LastLine[]> {
    const log = await this.#log(origin);
    const rows = await this.#database.rows(
      `SELECT room_lines.author, room_lines.seqno, ts, seen_size FROM room_lines JOIN
        (SELECT author, MAX(seqno) AS seqno FROM room_lines WHERE room_id = ? AND author > ?
          GROUP BY author ORDER BY author ${limit(count)}) AS newest
        ON room_lines.author = newest.author AND room_lines.seqno = newest.seqno WHERE room_id = ?
        ORDER BY newest.author`,
      [log, hash(after), log],
    );
    return rows.map((row) => ({
      author: hex(row, "author"),
      seqno: integer(row, "seqno"),
      ts: integer(row, "ts"),
      seenSize: integer(row, "seen_size"),
    }));
  }

  async findState(origin: string): Promise<StoredState | undefined> {
    const row = await firstRow(this.#database, "SELECT line_index, state FROM room_states WHERE room_id = ?", [
      await this.#log(origin),
    ]);
    return row && { index: integer(row, "line_index"), state: bytes(row, "state") };
  }

  async lineBy(origin: string, author: string, seqno: number): Promise<StoredLine | undefined> {
    const values = [await this.#log(origin), hash(author), seqno];
    return (await this.#lines("room_id = ? AND author = ? AND seqno = ?", values))[0];
  }

  async #lines(where: string, values: readonly SqlValue[]): Promise<readonly StoredLine[]> {
    return (await this.#database.rows(`SELECT ${LINE_COLUMNS.join(", ")} FROM room_lines WHERE ${where}`, values))
      .map(lineOf);
  }

  async nodes(origin: string, places: readonly NodePlace[]): Promise<readonly Bytes[]> {
    const log = await this.#log(origin);
    const kept = places.filter(isKept);
    const nodes = await this.#rowsOf(
      "SELECT level, node_index, hash FROM room_nodes",
      ["room_id", "level", "node_index"],
      kept.map(({ level, index }) => [log, level, index]),
    );
    const lines = await this.#rowsOf(
      "SELECT line_index, line FROM room_lines",
      ["room_id", "line_index"],
      places.filter((place) => !isKept(place)).map(({ index }) => [log, index]),
    );
    const found = new Map([
      ...nodes.map((row) => [`${row["level"]} ${row["node_index"]}`, bytes(row, "hash")] as const),
      ...lines.map((row) => [`0 ${row["line_index"]}`, leafHash(encodeUtf8(text(row, "line")))] as const),
    ]);
    return places.map(({ level, index }) => {
      const node = found.get(`${level} ${index}`);
      if (!node) throw new Error(`the tree of ${origin} has no node ${index} of level ${level}`);
      return node;
    });
  }

  /** The rows of these keys. With the whole key in each term, both databases look them up one by one. */
  async #rowsOf(select: string, columns: readonly string[], keys: readonly number[][]): Promise<readonly SqlRow[]> {
    if (keys.length === 0) return [];
    const term = `(${columns.map((column) => `${column} = ?`).join(" AND ")})`;
    return await this.#database.rows(`${select} WHERE ${keys.map(() => term).join(" OR ")}`, keys.flat());
  }

  /** What overwrites the bodies of these lines. */
  async #erasing(log: number, indexes: readonly number[]): Promise<SqlStatement[]> {
    const rows = await this.#rowsOf(
      "SELECT line_index, LENGTH(body) AS size FROM room_lines",
      ["room_id", "line_index"],
      indexes.map((index) => [log, index]),
    );
    return rows.map((row) => ({
      sql: "UPDATE room_lines SET body = ?, is_erased = 1 WHERE room_id = ? AND line_index = ?",
      values: [new Uint8Array(integer(row, "size")), log, integer(row, "line_index")],
    }));
  }

  // Checkpoints and keys.

  async addCheckpoint(origin: string, checkpoint: Checkpoint): Promise<Checkpoint> {
    const { time, size, root, sig, from } = checkpoint;
    const isNew = await insertRow(this.#database, "room_checkpoints", {
      room_id: await this.#log(origin),
      size,
      time,
      root: hash(root),
      sig,
      signer: hash(from),
    });
    if (isNew) return checkpoint;
    const held = await this.#checkpoint("room_id = ? AND size = ?", [await this.#log(origin), size]);
    if (held?.root !== root) throw new Error(`another root was signed for ${size} lines of ${origin}`);
    return held;
  }

  async latestCheckpoint(origin: string, by = Number.MAX_SAFE_INTEGER): Promise<Checkpoint | undefined> {
    // Later ones have larger sizes: both orders are one, and each has an index.
    const order = by === Number.MAX_SAFE_INTEGER ? "size DESC" : "time DESC, size DESC";
    return await this.#checkpoint(`room_id = ? AND time <= ? ORDER BY ${order} LIMIT 1`, [await this.#log(origin), by]);
  }

  async #checkpoint(where: string, values: readonly SqlValue[]): Promise<Checkpoint | undefined> {
    const row = await firstRow(
      this.#database,
      `SELECT time, size, root, sig, signer FROM room_checkpoints WHERE ${where}`,
      values,
    );
    return row && {
      time: integer(row, "time"),
      size: integer(row, "size"),
      root: hex(row, "root"),
      sig: bytes(row, "sig"),
      from: hex(row, "signer"),
    };
  }

  async signedRoot(origin: string, size: number): Promise<string | undefined> {
    const row = await firstRow(this.#database, "SELECT root FROM room_checkpoints WHERE room_id = ? AND size = ?", [
      await this.#log(origin),
      size,
    ]);
    return row && hex(row, "root");
  }

  async addEpoch(origin: string, epoch: number, wrappedKey: Bytes): Promise<void> {
    const row = { room_id: await this.#log(origin), epoch, wrapped_key: wrappedKey };
    if (!await insertRow(this.#database, "room_epochs", row)) {
      throw new Error(`epoch ${epoch} of ${origin} has a key already`);
    }
  }

  async epochs(origin: string, from: number, count: number): Promise<readonly StoredEpoch[]> {
    const rows = await this.#database.rows(
      `SELECT epoch, wrapped_key FROM room_epochs WHERE room_id = ? AND epoch >= ? ORDER BY epoch ${limit(count)}`,
      [await this.#log(origin), from],
    );
    return rows.map((row) => ({ epoch: integer(row, "epoch"), wrappedKey: bytes(row, "wrapped_key") }));
  }

  // Invitations.

  async isAccount(username: string): Promise<boolean> {
    return await firstRow(this.#database, "SELECT id FROM users WHERE username_key = ?", [usernameKey(username)]) !==
      undefined;
  }

  async addInvitation(room: string, username: string, from: string): Promise<void> {
    await insertRow(this.#database, "room_invitations", { username_key: usernameKey(username), room, inviter: from });
  }

  async invitations(username: string): Promise<readonly { room: string; from: string }[]> {
    const rows = await this.#database.rows(
      "SELECT room, inviter FROM room_invitations WHERE username_key = ? ORDER BY room",
      [usernameKey(username)],
    );
    return rows.map((row) => ({ room: text(row, "room"), from: text(row, "inviter") }));
  }
}

const SELECT_ROOM =
  "SELECT name, origin, history, invite_only, created_at, maker, size, forked_at, closed_at FROM rooms";

const LINE_COLUMNS = [
  ...["room_id", "line_index", "author", "seqno", "ts", "epoch", "seen_size", "is_act", "line"],
  ...["body", "is_erased", "accepted_at"],
];

const INSERT_LINES = `INSERT INTO room_lines (${LINE_COLUMNS.join(", ")})`;

const INSERT_NODES = "INSERT INTO room_nodes (room_id, level, node_index, hash)";
const REPLACE_STATE = "REPLACE INTO room_states (room_id, line_index, state)";
const INSERT_EPOCH = "INSERT INTO room_epochs (room_id, epoch, wrapped_key)";

/** A leaf is the hash of its line, which has a row already. */
function isKept({ level }: NodePlace): boolean {
  return level > 0;
}

/** In the statement itself: not every database takes a `?` there. */
function limit(count: number): string {
  return `LIMIT ${BigInt(count)}`;
}

function roomOf(row: SqlRow): StoredRoom {
  const origin = text(row, "origin");
  const [forkedAt, closedAt] = ["forked_at", "closed_at"].map((name) => row[name] === null ? 0 : integer(row, name));
  return {
    name: closedAt ? parseOrigin(origin)?.room ?? origin : text(row, "name"),
    origin,
    history: row["history"] === "all" ? "all" : "since_join",
    inviteOnly: row["invite_only"] !== 0,
    createdAt: integer(row, "created_at"),
    ...(row["maker"] === null ? {} : { maker: text(row, "maker") }),
    size: integer(row, "size"),
    ...(forkedAt ? { forkedAt } : {}),
    ...(closedAt ? { closedAt } : {}),
  };
}

/** In the order of LINE_COLUMNS. */
function lineValues(log: number, line: StoredLine): SqlValue[] {
  const { index, author, seqno, ts, epoch, seenSize, isAct, body, acceptedAt } = line;
  return [
    ...[log, index, hash(author), seqno, ts, epoch, seenSize, Number(isAct), line.line],
    ...[body ?? new Uint8Array(0), Number(body === null), acceptedAt],
  ];
}

function lineOf(row: SqlRow): StoredLine {
  return {
    index: integer(row, "line_index"),
    author: hex(row, "author"),
    seqno: integer(row, "seqno"),
    ts: integer(row, "ts"),
    epoch: integer(row, "epoch"),
    seenSize: integer(row, "seen_size"),
    isAct: row["is_act"] !== 0,
    line: text(row, "line"),
    body: row["is_erased"] === 0 ? bytes(row, "body") : null,
    acceptedAt: integer(row, "accepted_at"),
  };
}
