/**
 * Files that must be whole, and files that must be private.
 *
 *     await writeAtomically("certs/server_private_key.pem", pem, { mode: 0o600 });
 *
 * Written under a name of its own beside the file (`server_private_key.pem.3f9c….new`), flushed to the disk, then given
 * the name: after a crash there is the old file or the new one, never half of one. A file that is there is left alone
 * unless `replace` says so, and a secret one is never readable by others, not for a moment.
 *
 * Windows has no modes: there the folder's permissions decide, and nothing is checked.
 *
 * @layer outside
 */

import { dirname } from "node:path";
import { encodeUtf8, parseUtf8 } from "./bytes.ts";
import { EXIT, Failure } from "./errors.ts";

/** How {@link writeAtomically} writes. */
export interface WriteOptions {
  /** 0o600 for what is secret; 0o644 without it. */
  readonly mode?: number;
  /** Takes the place of a file that is there; without it that is a {@link Failure}. */
  readonly replace?: boolean;
}

/** Writes a whole file, or none. */
export async function writeAtomically(path: string, text: string, options: WriteOptions = {}): Promise<void> {
  const mode = options.mode ?? 0o644;
  const temporary = `${path}.${crypto.randomUUID()}.new`;
  try {
    using file = await Deno.open(temporary, { write: true, createNew: true, mode });
    await writeAll(file, encodeUtf8(text));
    await file.sync();
  } catch (error) {
    await Deno.remove(temporary).catch(() => {});
    throw explain(error, path, "written");
  }
  try {
    if (options.replace) await Deno.rename(temporary, path);
    else await moveToFreeName(temporary, path);
  } catch (error) {
    await Deno.remove(temporary).catch(() => {});
    throw explain(error, path, "written");
  }
  await syncFolder(path);
}

async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
}

/** A link fails where the name is taken, as a rename doesn't; some file systems know no links. */
async function moveToFreeName(temporary: string, path: string): Promise<void> {
  try {
    await Deno.link(temporary, path);
    await Deno.remove(temporary);
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists || await exists(path)) throw new Deno.errors.AlreadyExists();
    await Deno.rename(temporary, path);
  }
}

/** The name of a new file is on the disk once its folder is. */
async function syncFolder(path: string): Promise<void> {
  if (Deno.build.os === "windows") return; // a folder can't be opened there
  using folder = await Deno.open(dirname(path));
  await folder.sync();
}

/**
 * Whether nobody else has the file locked, or unlocks it within `wait` milliseconds; the lock is held until the file is
 * closed. (Deno 2.6 has no `tryLock`; a lock that never comes ends with the process.)
 */
export async function lockFile(file: Deno.FsFile, wait: number): Promise<boolean> {
  const late = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => late.resolve(false), wait);
  const locked = await Promise.race([file.lock(true).then(() => true), late.promise]);
  clearTimeout(timer);
  return locked;
}

/** Copies a file that is about to be replaced: `server_cert.pem` to `server.old_cert.pem`. */
export async function keepOld(path: string, mode: number): Promise<void> {
  await writeAtomically(path.replace(/((?:_cert|_private_key)?\.[a-z]+)?$/, ".old$1"), await readTextFile(path), {
    mode,
    replace: true,
  });
}

/** Whether there is something of that name. */
export async function exists(path: string): Promise<boolean> {
  return await Deno.lstat(path).then(() => true, () => false);
}

/** A folder that its owner alone can enter, where there is none yet. */
export async function createPrivateFolder(path: string): Promise<void> {
  try {
    await Deno.mkdir(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw explain(error, path, "made");
  }
}

/** The text of a file. `missing` is the sentence for when there is none. */
export async function readTextFile(path: string, missing?: string): Promise<string> {
  let bytes: Uint8Array;
  try {
    bytes = await Deno.readFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound && missing !== undefined) throw new Failure(EXIT.usage, missing);
    throw explain(error, path, "read");
  }
  const text = parseUtf8(bytes);
  if (text === undefined) throw new Failure(EXIT.usage, `${path} is not a text file`);
  return text;
}

/** The text of a private key's file, refused where others than its owner can read it. */
export async function readPrivateFile(path: string, missing?: string): Promise<string> {
  const text = await readTextFile(path, missing);
  const { mode } = await Deno.stat(path);
  if (Deno.build.os !== "windows" && mode !== null && (mode & 0o077) !== 0) {
    throw new Failure(EXIT.usage, `others than its owner can read ${path}; run: chmod 600 ${shellWord(path)}`);
  }
  return text;
}

/** A word as a shell takes it. */
export function shellWord(text: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** One sentence for what the system says about a file. */
export function explain(error: unknown, path: string, done: "read" | "written" | "made"): unknown {
  const word = shellWord(path);
  if (error instanceof Failure) return error;
  if (error instanceof Deno.errors.NotFound) {
    const what = done === "read" ? `there is no ${path}` : `${path} cannot be ${done}: its folder is not there`;
    return new Failure(EXIT.usage, what);
  }
  if (done === "made" && (error instanceof Deno.errors.AlreadyExists || error instanceof Deno.errors.NotADirectory)) {
    return new Failure(EXIT.usage, `${path} cannot be made a folder: a file stands in its place or above it`);
  }
  if (error instanceof Deno.errors.AlreadyExists) {
    return new Failure(EXIT.usage, `${path} is there already, and nothing is overwritten; move it away first`);
  }
  if (error instanceof Deno.errors.PermissionDenied) {
    if (done === "made") {
      const why = `permission denied: the folder ${path} cannot be made by this user`;
      return new Failure(EXIT.usage, `${why}; make it as one who may, or name another`);
    }
    const mend = done === "read"
      ? `sudo chown "$USER" ${word} && chmod 600 ${word}`
      : `ls -ld ${shellWord(dirname(path))}`;
    return new Failure(EXIT.usage, `permission denied: ${path} cannot be ${done} by this user; run: ${mend}`);
  }
  if (error instanceof Error && /ENOSPC|no space left|os error 28|os error 112/i.test(error.message)) {
    return new Failure(EXIT.unavailable, `${path} cannot be ${done}: the disk is full; run: df -h ${word}`);
  }
  if (error instanceof Deno.errors.IsADirectory || (error instanceof Error && /os error 21\b/.test(error.message))) {
    return new Failure(EXIT.usage, `${path} is a folder, not a file`);
  }
  return error;
}
