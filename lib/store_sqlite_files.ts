/**
 * Whether the files of an SQLite database are what this program has made of them. SQLite doesn't notice when somebody
 * deletes, cuts or overwrites them: it goes on from its cache, and what it has written since is lost with the process.
 *
 *     files.trouble()   before each write: undefined, or what is wrong
 *     … write …
 *     files.take()      what is there now is this program's own work
 *
 * The database's file changes only when pages are moved to it from the write-ahead log, and that log shrinks only then.
 * A change in between is another program's: one that has committed something may have moved pages. Any other is looked
 * into: the file has to be whole, and to hold the newest rows.
 *
 * @layer outside
 */

import { DatabaseSync, type StatementSync } from "node:sqlite";

/** The database's file and its log. */
const SUFFIXES = ["", "-wal"];

/** Tables that grow with whatever happens. */
const TABLES = ["users", "sessions", "audit_log", "rooms", "room_lines"];

/** A file as it lies there; all zeros if there is none. */
interface Seen {
  readonly identity: string;
  readonly size: number;
  readonly changedAt: number;
}

/** The files of an open database. */
export class SqliteFiles {
  readonly #database: DatabaseSync;
  readonly #path: string;
  /** Gives another number whenever another connection has committed something. */
  readonly #asking: StatementSync;
  #known: readonly Seen[] = [];
  #version: unknown;
  #damage: string | undefined;

  /** Takes the files as they are now. */
  constructor(database: DatabaseSync, path: string) {
    this.#database = database;
    this.#path = path;
    this.#asking = database.prepare("PRAGMA data_version");
    this.take();
  }

  /** Whether the database was cut or overwritten: then SQLite must not touch it any more. */
  get isDamaged(): boolean {
    return this.#damage !== undefined;
  }

  /** What is there now is this program's own work. */
  take(): void {
    this.#known = this.#look();
    this.#version = this.#dataVersion();
  }

  /** What is wrong with the files; `undefined` if nothing is. */
  trouble(): string | undefined {
    if (this.#damage !== undefined) return this.#damage;
    const now = this.#look();
    const moved = this.#known.findIndex(({ identity }, at) => identity !== now[at]?.identity);
    if (moved >= 0) {
      const file = `${this.#path}${SUFFIXES[moved]}`;
      return `${file} was deleted or replaced while the server runs; put the file back, or stop the server and restore ` +
        "a backup";
    }
    if (!this.#hasChanged(now)) return undefined;
    if (this.#dataVersion() !== this.#version || this.#isWhole()) {
      this.take();
      return undefined;
    }
    return this.#damage =
      `${this.#path} was cut or overwritten by another program while the server runs; stop the server and restore a backup`;
  }

  #hasChanged([file, log]: readonly Seen[]): boolean {
    const [before, logBefore] = this.#known;
    return file?.size !== before?.size || file?.changedAt !== before?.changedAt ||
      (log?.size ?? 0) < (logBefore?.size ?? 0);
  }

  /** Windows keeps open files from being deleted, and doesn't say which file is which. */
  #look(): Seen[] {
    if (Deno.build.os === "windows") return [];
    return SUFFIXES.map((suffix) => {
      try {
        const { dev, ino, size, mtime } = Deno.statSync(this.#path + suffix);
        return { identity: `${dev}:${ino}`, size, changedAt: mtime?.getTime() ?? 0 };
      } catch {
        return { identity: "none", size: 0, changedAt: 0 };
      }
    });
  }

  #dataVersion(): unknown {
    try {
      return this.#asking.get()?.["data_version"];
    } catch {
      return undefined;
    }
  }

  /** Whether somebody who opens the files now finds them whole, and finds what this connection finds. */
  #isWhole(): boolean {
    let fresh: DatabaseSync | undefined;
    try {
      if (Deno.statSync(this.#path).size === 0) return false; // whoever opens an empty database removes its log
      fresh = new DatabaseSync(this.#path, { readOnly: true });
      const [found, own] = [fresh, this.#database].map((one) =>
        TABLES.map((table) => one.prepare(`SELECT MAX(rowid) AS newest FROM ${table}`).get()?.["newest"]).join()
      );
      return found === own && fresh.prepare("PRAGMA quick_check(1)").get()?.["quick_check"] === "ok";
    } catch {
      return false;
    } finally {
      fresh?.close();
    }
  }
}
