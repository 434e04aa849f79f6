/**
 * A file of rows to which a client appends: what it has answered for survives a crash.
 *
 *     const file = new GrowingFile(`${dir}/checkpoints`);
 *     await file.open(parse, take);       gives every whole row, and cuts a torn one off the end
 *     file.due.push(row);                 a row that has to be written
 *     await file.flush();                 resolves once every due row is on the disk
 *
 * Rows that the disk doesn't take stay due: they are written before anything later, so the file never has a hole.
 *
 * @layer outside
 */

import { encodeUtf8 } from "./bytes.ts";
import { EXIT, Failure } from "./errors.ts";
import { writeAtomically } from "./files.ts";
import { recoverLines } from "./line_file.ts";

/** A file of lines that grows at its end. */
export class GrowingFile {
  readonly path: string;
  #isOpen = false;
  #file: Deno.FsFile | undefined;
  /** How many rows it has. */
  rows = 0;
  /** Rows to be written, in their order. They stay here until the disk has taken them. */
  readonly due: string[] = [];
  /** How many bytes of whole rows are on the disk. */
  #size = 0;
  /** Whether a part of a row may follow them on the disk. */
  #isTorn = false;

  constructor(path: string) {
    this.path = path;
  }

  /** Gives every whole row to `take`, cuts off a torn one at the end, and stays open for further rows. */
  async open<T>(parse: (row: string) => T | undefined, take: (parsed: T, row: string) => void): Promise<void> {
    const file = await Deno.open(this.path, { read: true, write: true, create: true, mode: 0o600 });
    this.rows = 0;
    const { damaged, size } = await recoverLines(file, parse, (parsed, row) => {
      this.rows += 1;
      take(parsed, row);
    });
    if (damaged) {
      file.close();
      throw new Failure(
        EXIT.unavailable,
        `${this.path} is damaged; move its folder away, and the room is fetched from the server again`,
      );
    }
    await file.seek(0, Deno.SeekMode.End);
    this.#file = file;
    this.#size = size;
    this.#isOpen = true;
  }

  /** The open file, positioned at the end of its whole rows. */
  async #ready(): Promise<Deno.FsFile> {
    if (!this.#isOpen) throw new Failure(EXIT.unavailable, `${this.path} is closed`);
    if (!this.#file) {
      this.#file = await Deno.open(this.path, { write: true, append: true });
      this.#size = (await this.#file.stat()).size;
    }
    if (this.#isTorn) {
      await this.#file.truncate(this.#size);
      await this.#file.seek(0, Deno.SeekMode.End);
      this.#isTorn = false;
    }
    return this.#file;
  }

  /** Resolves once the rows, each with its LF, are on the disk. If it rejects, none of them is. */
  async append(rows: readonly string[]): Promise<void> {
    if (rows.length === 0) return;
    const file = await this.#ready();
    const bytes = encodeUtf8(rows.join(""));
    try {
      this.#isTorn = true;
      for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
      await file.syncData();
      this.#isTorn = false;
      this.rows += rows.length;
      this.#size += bytes.length;
    } catch (error) {
      await this.#ready().catch(() => {}); // if this fails too, the next append cuts the torn end off
      throw error;
    }
  }

  /** Resolves once every due row is on the disk. */
  async flush(): Promise<void> {
    await this.append(this.due);
    this.due.length = 0;
  }

  /** Empties the file. After a crash its rows may be there again. */
  async clear(): Promise<void> {
    await this.#ready();
    this.rows = this.#size = 0;
    this.#isTorn = true;
    await this.#ready();
  }

  /** Replaces all rows. If it rejects, the old rows are still there, and later ones follow them. */
  async replace(rows: readonly string[]): Promise<void> {
    (await this.#ready()).close(); // Windows doesn't replace an open file
    this.#file = undefined;
    await writeAtomically(this.path, rows.join(""), { mode: 0o600, replace: true });
    this.rows = rows.length;
  }

  close(): void {
    this.#file?.close();
    this.#file = undefined;
    this.#isOpen = false;
  }
}
