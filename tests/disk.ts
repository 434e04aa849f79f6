/** A disk that fails when a test says so, and loses in a power cut what was not flushed: `disk.c`, preloaded. */

import { ROOT } from "./environment.ts";

/** `struct entry` in disk.c. */
const ENTRY_SIZE = 40;

interface Entry {
  readonly kind: string;
  readonly path: string;
  readonly offset: number;
  readonly size: number;
  /** Of what was written. */
  readonly length: number;
  readonly old: Uint8Array<ArrayBuffer>;
}

interface Range {
  readonly from: number;
  readonly to: number;
}

/** What a call on a file does so many times: waits, and fails with an errno, or with 0 does its work. */
export interface Fault {
  readonly call: "fsync" | "write";
  /** How the file's path ends. */
  readonly path: string;
  readonly errno: number;
  readonly times: number;
  readonly ms?: number;
}

export const EIO = 5;
export const ENOSPC = 28;
export const EROFS = 30;

/** The disk under one folder. */
export class Disk {
  readonly #folder: string;
  readonly #work: string;

  private constructor(folder: string, work: string) {
    this.#folder = folder;
    this.#work = work;
  }

  /** `work`: a folder for what the disk itself needs. */
  static async open(folder: string, work: string): Promise<Disk> {
    const command = new Deno.Command("cc", {
      args: ["-O2", "-shared", "-fPIC", "-o", `${work}/disk.so`, `${ROOT}/tests/disk.c`, "-ldl", "-lpthread"],
      stderr: "piped",
    });
    const { success, stderr } = await command.output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
    return new Disk(folder, work);
  }

  /** What a server needs in its environment to be on this disk. */
  get environment(): Record<string, string> {
    return {
      LD_PRELOAD: `${this.#work}/disk.so`,
      DISK_PATTERN: this.#folder,
      DISK_CONTROL: `${this.#work}/control`,
      DISK_UNDO: `${this.#work}/undo`,
    };
  }

  /** From now on, and in place of what was said before. */
  fail(...faults: readonly Fault[]): void {
    const lines = faults.map(({ call, path, errno, times, ms = 0 }) => `${call} ${path} ${errno} ${times} ${ms}\n`);
    Deno.writeTextFileSync(`${this.#work}/control.new`, lines.join(""));
    Deno.renameSync(`${this.#work}/control.new`, `${this.#work}/control`);
  }

  /** The power is gone, and the server with it: takes back what no flush has covered; how many writes. */
  cut(): number {
    const entries = parseEntries(Deno.readFileSync(`${this.#work}/undo`));
    Deno.removeSync(`${this.#work}/undo`);
    const [flushed, failed] = [new Map<string, number>(), new Map<string, number>()];
    for (const [at, { kind, path }] of entries.entries()) {
      if (kind === "S") flushed.set(path, at);
      if (kind === "L") failed.set(path, at);
    }
    let undone = 0;
    /** What later writes have left on the disk, by path. */
    const kept = new Map<string, Range[]>();
    for (const [at, { kind, path, offset, size, length, old }] of [...entries.entries()].reverse()) {
      if (kind === "C" && at > (flushed.get(path.slice(0, path.lastIndexOf("/"))) ?? -1)) remove(path);
      // After a flush that failed the system has forgotten what was to be written: a later one doesn't bring it back.
      const isLost = at > (flushed.get(path) ?? -1) || isBeforeFailure(entries, at);
      if (kind !== "W") continue;
      const later = kept.get(path) ?? [];
      if (!isLost) kept.set(path, [...later, { from: offset, to: offset + length }]);
      else if (takeBack({ path, offset, size, old }, later)) undone += 1;
    }
    return undone;
  }
}

/** Whether the first flush after a write failed. */
function isBeforeFailure(entries: readonly Entry[], at: number): boolean {
  const path = entries[at]?.path;
  const next = entries.slice(at + 1).find((entry) => entry.path === path && (entry.kind === "S" || entry.kind === "L"));
  return next?.kind === "L";
}

function parseEntries(bytes: Uint8Array<ArrayBuffer>): Entry[] {
  const view = new DataView(bytes.buffer);
  const entries: Entry[] = [];
  for (let at = 0; at + ENTRY_SIZE <= bytes.length;) {
    const integer = (field: number) => Number(view.getBigInt64(at + 8 * field, true));
    const [pathSize, length] = [view.getInt32(at + 4, true), integer(3)];
    const from = at + ENTRY_SIZE;
    const end = from + pathSize + length;
    if (end > bytes.length) break; // the server was killed while it wrote this down, before the write itself
    entries.push({
      kind: String.fromCharCode(bytes[at] ?? 0),
      path: new TextDecoder().decode(bytes.subarray(from, from + pathSize)),
      offset: integer(1),
      size: integer(2),
      length: integer(4),
      old: bytes.slice(from + pathSize, end),
    });
    at = end;
  }
  return entries;
}

/** Puts back what was there before a write, but where later writes stand; whether the file is there. */
function takeBack(
  { path, offset, size, old }: Pick<Entry, "path" | "offset" | "size" | "old">,
  later: Range[],
): boolean {
  try {
    using file = Deno.openSync(path, { write: true });
    for (const [at, byte] of old.entries()) {
      if (later.some(({ from, to }) => offset + at >= from && offset + at < to)) continue;
      file.seekSync(offset + at, Deno.SeekMode.Start);
      file.writeSync(Uint8Array.of(byte));
    }
    file.truncateSync(Math.max(size, ...later.map(({ to }) => to)));
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

function remove(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
