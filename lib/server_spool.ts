/**
 * The spool: audit rows and ends of sessions that the database could not take yet, in `DATA_DIR/spool.jsonl`. It has
 * one JSON object a line, and each batch is flushed to the disk before it counts as kept.
 *
 *     {"row":{"event":"login_failure","email":"a@example.com","occurredAt":1700055622123,"key":"9f86d081884c7d65…"}}
 *     {"end":{"tokenHash":"3b1c…","endedAt":1700055629000,"messageCount":2,"transcriptHash":"e3b0…"}}
 *
 * What was brought into the store stays in the file until all of it was; then the file is emptied. After a crash in
 * between, the start brings all of it again, which does no harm (`server_audit.ts`). At the start a torn last line is
 * cut off. A line that can't be read, with readable ones after it, stops the start: it was a row that nobody may lose
 * in silence.
 *
 * The file is locked for as long as the server runs: two servers on one DATA_DIR would also close each other's
 * sessions. The folder is locked too, if the system can do that: a file that was deleted is no lock any more.
 *
 * @layer outside
 */

import type { Write, WriteSpool } from "./server_audit.ts";
import { encodeUtf8, parseUtf8 } from "./bytes.ts";
import { EXIT, Failure } from "./errors.ts";
import { createPrivateFolder, explainFileError, lockFile } from "./files.ts";
import { recoverLines } from "./line_file.ts";
import { type AuditRow, fitAuditRow, type SessionEnd } from "./server_store.ts";

/** The spool's name inside DATA_DIR. */
export const SPOOL_FILE = "spool.jsonl";

/** How long a start waits for a server that is just ending to let go of the file. */
const LOCK_WAIT_MS = 2_000;

/** Read at once for a replay: about 200 rows, and more than the longest line. */
const BATCH_BYTES = 64 * 1024;

/** What {@link Spool.open} needs. */
export interface SpoolOptions {
  /** The file's bound in bytes. */
  readonly limit: number;
  /** Milliseconds to wait for another server's lock. */
  readonly lockWait?: number;
}

/** The writes that wait, on the disk. */
export class Spool implements WriteSpool {
  readonly #file: Deno.FsFile;
  /** The folder's lock. */
  readonly #folder: Deno.FsFile | undefined;
  readonly #limit: number;
  /** Bytes of whole lines. */
  #size: number;
  /** Bytes, from the start, whose writes are in the store. */
  #done = 0;
  /** Bytes that were peeked and may be done soon. */
  #peeked = 0;

  private constructor(file: Deno.FsFile, folder: Deno.FsFile | undefined, size: number, limit: number) {
    this.#file = file;
    this.#folder = folder;
    this.#size = size;
    this.#limit = limit;
  }

  /** Opens, or creates, the spool of a folder. */
  static async open(dataDir: string, { limit, lockWait = LOCK_WAIT_MS }: SpoolOptions): Promise<Spool> {
    const path = `${dataDir}/${SPOOL_FILE}`;
    await createPrivateFolder(dataDir);
    const file = await Deno.open(path, { read: true, write: true, create: true, mode: 0o600 })
      .catch((error) => Promise.reject(explainFileError(error, path, "written")));
    const folder = Deno.build.os === "windows" ? undefined : await Deno.open(dataDir);
    try {
      if (!await lockFile(file, lockWait) || (folder && !await lockFile(folder, lockWait))) {
        throw new Failure(
          EXIT.unavailable,
          `another server uses ${dataDir}; end it, or give this one another --data folder`,
        );
      }
      const { size, damaged } = await recoverLines(file, parseWrite, () => {});
      if (damaged) {
        throw new Failure(
          EXIT.unavailable,
          `${path} holds audit rows for the database and is damaged behind byte ${size}; ` +
            "look at it, keep what you need, and move it away",
        );
      }
      return new Spool(file, folder, size, limit);
    } catch (error) {
      file.close();
      folder?.close();
      throw explainFileError(error, path, "written");
    }
  }

  /** Whether nothing waits. */
  get empty(): boolean {
    return this.#size === 0;
  }

  /** From three quarters on; the rest is for the sessions that are open. */
  get full(): boolean {
    return this.#size >= 0.75 * this.#limit;
  }

  /** Resolves once all of them are on the disk; where it rejects, none of them is kept. */
  async append(writes: readonly Write[]): Promise<void> {
    let bytes = encodeUtf8(writes.map((write) => JSON.stringify(fit(write)) + "\n").join(""));
    const size = this.#size + bytes.length;
    if (size > this.#limit) throw new Error("the spool for audit rows is full");
    const { size: there, nlink } = await this.#file.stat();
    if (nlink === 0 || there < this.#size) {
      throw new Error("the spool for audit rows was deleted or cut by another program; start the server again");
    }
    await this.#file.truncate(this.#size); // takes away what a failed append may have left
    await this.#file.seek(this.#size, Deno.SeekMode.Start);
    while (bytes.length > 0) bytes = bytes.subarray(await this.#file.write(bytes));
    await this.#file.syncData();
    this.#size = size;
  }

  /** Some of the oldest; none only where nothing waits. */
  async peek(): Promise<readonly Write[]> {
    const buffer = new Uint8Array(Math.min(BATCH_BYTES, this.#size - this.#done));
    await this.#file.seek(this.#done, Deno.SeekMode.Start);
    for (let filled = 0; filled < buffer.length;) {
      const read = await this.#file.read(buffer.subarray(filled));
      if (read === null) throw new Error("the spool for audit rows was cut by another program");
      filled += read;
    }
    const lines = buffer.subarray(0, buffer.lastIndexOf(10) + 1);
    this.#peeked = lines.length;
    return (parseUtf8(lines) ?? "").split("\n").slice(0, -1).map((line) => {
      const write = parseWrite(line);
      if (!write) throw new Error("the spool for audit rows was changed by another program");
      return write;
    });
  }

  /** Forgets what was peeked last. */
  async drop(): Promise<void> {
    this.#done += this.#peeked;
    this.#peeked = 0;
    if (this.#done < this.#size) return;
    await this.#file.truncate(0);
    await this.#file.syncData();
    this.#size = 0;
    this.#done = 0;
  }

  /** Lets go of the file. */
  close(): void {
    this.#file.close();
    this.#folder?.close();
  }
}

function fit(write: Write): Write {
  return "row" in write ? { row: fitAuditRow(write.row) } : write;
}

/** A line of the spool; `undefined` if it is none of ours. */
function parseWrite(line: string): Write | undefined {
  let value: { row?: AuditRow; end?: SessionEnd } | null;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  const { row, end } = value ?? {};
  if (typeof row?.event === "string" && typeof row.occurredAt === "number") return { row };
  if (typeof end?.tokenHash === "string" && typeof end.endedAt === "number") return { end };
  return undefined;
}
