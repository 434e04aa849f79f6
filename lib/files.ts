/**
 * Files that must be whole, files that must be private, and the one reader of text.
 *
 *     await writeAtomically("certs/server_private_key.pem", pem, { mode: 0o600 });
 *
 * The content is written to a temporary file beside it (`server_private_key.pem.3f9c….new`), flushed to the disk, and
 * renamed: after a crash there is the old file or the new one, never half of one. An existing file is only replaced with
 * `replace`. A secret file is never readable by others, not even for a moment.
 *
 * Windows has no modes: the folder's permissions decide there, and nothing is checked.
 *
 * @layer outside
 */

import { dirname } from "node:path";
import { encodeUtf8, parseUtf8 } from "./bytes.ts";
import { EXIT, Failure } from "./errors.ts";
import { printable } from "./text.ts";

/** How {@link writeAtomically} writes. */
export interface WriteOptions {
  /** 0o600 for secrets; 0o644 by default. */
  readonly mode?: number;
  /** Replaces an existing file; without this, an existing file is a {@link Failure}. */
  readonly replace?: boolean;
}

/** Writes a file completely, or not at all. */
export async function writeAtomically(path: string, text: string, options: WriteOptions = {}): Promise<void> {
  await writePieces(path, [encodeUtf8(text)], options);
}

/** Writes a file piece by piece, completely or not at all. */
export async function writePieces(
  path: string,
  pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  options: WriteOptions = {},
): Promise<void> {
  const mode = options.mode ?? 0o644;
  const temporary = `${path}.${crypto.randomUUID()}.new`;
  try {
    using file = await Deno.open(temporary, { write: true, createNew: true, mode });
    for await (const piece of pieces) await writeAll(file, piece);
    await file.sync();
  } catch (error) {
    await Deno.remove(temporary).catch(() => {});
    throw explainFileError(error, path, "written");
  }
  try {
    if (options.replace) await Deno.rename(temporary, path);
    else await moveToFreeName(temporary, path);
  } catch (error) {
    await Deno.remove(temporary).catch(() => {});
    throw explainFileError(error, path, "written");
  }
  await syncFolder(path);
}

async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
}

/** Unlike a rename, a link fails if the name is taken. Some file systems have no links. */
async function moveToFreeName(temporary: string, path: string): Promise<void> {
  try {
    await Deno.link(temporary, path);
    await Deno.remove(temporary);
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists || await exists(path)) throw new Deno.errors.AlreadyExists();
    await Deno.rename(temporary, path);
  }
}

/** Flushes the folder of a new file, which contains the file's name. */
export async function syncFolder(path: string): Promise<void> {
  if (Deno.build.os === "windows") return; // a folder can't be opened there
  using folder = await Deno.open(dirname(path));
  await folder.sync();
}

/**
 * Locks the file, until it is closed; `false` if somebody else doesn't unlock it within `wait` milliseconds. (Deno 2.6 has
 * no `tryLock`; a lock that is never granted is given up when the process ends.)
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

/**
 * Adds lines to a list in one write, so that two commands at the same time lose none, and flushes them to the disk.
 */
export async function appendLines(path: string, lines: readonly string[], mode: number): Promise<void> {
  try {
    if (existsSync(path)) openRegularFile(path).close();
    using file = await Deno.open(path, { append: true, create: true, mode });
    await writeAll(file, encodeUtf8(lines.map((line) => `${line}\n`).join("")));
    await file.sync();
  } catch (error) {
    throw explainFileError(error, path, "written");
  }
}

/** Whether there is something with that name. */
export async function exists(path: string): Promise<boolean> {
  return await Deno.lstat(path).then(() => true, () => false);
}

/** {@link exists}, synchronously. */
export function existsSync(path: string): boolean {
  try {
    return Deno.lstatSync(path) !== undefined;
  } catch {
    return false;
  }
}

/** The names of the folders in a folder, including links to folders; none if there is no such folder. */
export async function foldersIn(path: string): Promise<string[]> {
  const found: string[] = [];
  try {
    for await (const { name, isDirectory, isSymlink } of Deno.readDir(path)) {
      const isFolder = isDirectory || (isSymlink && await isFolderAt(`${path}/${name}`));
      if (isFolder) found.push(name);
    }
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw explainFileError(error, path, "read");
  }
  return found.sort();
}

async function isFolderAt(path: string): Promise<boolean> {
  return await Deno.stat(path).then(({ isDirectory }) => isDirectory, () => false);
}

/** Makes a folder that only its owner can enter, if it doesn't exist. */
export async function createPrivateFolder(path: string): Promise<void> {
  try {
    await Deno.mkdir(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw explainFileError(error, path, "made");
  }
}

/** 1 MiB: a certificate, a chain or a key has a few KiB. */
export const MAX_PEM_BYTES = 1_048_576;
/** 256 MiB: longer than any list that this program keeps, and short enough for the memory. */
const MAX_TEXT_BYTES = 268_435_456;

/** How {@link readTextFile} reads. */
export interface ReadOptions {
  /** The message if there is no such file. */
  readonly missing?: string | undefined;
  /** The most bytes that the file may have. */
  readonly max?: number;
  /** Also accepts what a shell gives in place of a file: `/dev/stdin`, or `<(command)`, which is `/dev/fd/63`. */
  readonly takesDescriptor?: boolean;
}

/** No link in a folder has such a name, so the person who runs the command must have typed it. */
const DESCRIPTOR = /^\/(?:dev\/(?:stdin|fd\/\d+)|proc\/self\/fd\/\d+)$/;

/** The text of a regular file, without a byte order mark, which some editors add. */
export function readTextFile(path: string, options: ReadOptions = {}): Promise<string> {
  return Promise.try(readTextFileSync, path, options);
}

/** {@link readTextFile}, synchronously, for files that are read before the program begins its work. */
export function readTextFileSync(path: string, options: ReadOptions = {}): string {
  const { missing, max = MAX_TEXT_BYTES, takesDescriptor = false } = options;
  let bytes: Uint8Array;
  try {
    using file = takesDescriptor && DESCRIPTOR.test(path) ? Deno.openSync(path) : openRegularFile(path);
    bytes = readToEnd(file, path, max);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound && missing !== undefined) throw new Failure(EXIT.usage, missing);
    throw explainFileError(error, path, "read");
  }
  return textOf(bytes, path);
}

/** The text of a file's bytes, without a byte order mark. */
export function textOf(bytes: Uint8Array, path: string): string {
  const text = parseUtf8(bytes);
  if (text === undefined) throw new Failure(EXIT.usage, `${path} is not a text file in UTF-8`);
  return text.replace(/^\ufeff/, "");
}

/** The text of a PEM file. */
export function readPemFile(path: string, missing?: string): Promise<string> {
  return readTextFile(path, { missing, max: MAX_PEM_BYTES });
}

/**
 * Opens a regular file, or a link to one. Anything else is a {@link Failure} and isn't opened: opening a FIFO would wait
 * until somebody writes to it, and a device may have no end.
 */
export function openRegularFile(path: string): Deno.FsFile {
  const { isFile, isDirectory, isFifo, isSocket } = Deno.statSync(path);
  if (!isFile) {
    const kind = isDirectory ? "a folder" : isFifo ? "a FIFO" : isSocket ? "a socket" : "a device";
    throw new Failure(EXIT.usage, `${path} is ${kind}, not a file`);
  }
  return Deno.openSync(path);
}

/** The rest of a file; a {@link Failure} if that is more than `max` bytes. */
export function readToEnd(file: Deno.FsFile, path: string, max: number): Uint8Array {
  let bytes = new Uint8Array(Math.min(max, 65_536) + 1); // the file's size isn't used: files in /proc have none
  let length = 0;
  for (let count; (count = file.readSync(bytes.subarray(length))) !== null;) {
    length += count;
    if (length > max) throw new Failure(EXIT.usage, `${path} has more than ${max} bytes: is it the right file?`);
    if (length < bytes.length) continue;
    const longer = new Uint8Array(Math.min(2 * bytes.length, max + 1));
    longer.set(bytes);
    bytes = longer;
  }
  return bytes.subarray(0, length);
}

/** The text of a private key's file, which only its owner may be able to read. */
export async function readPrivateFile(path: string, missing?: string): Promise<string> {
  const text = await readTextFile(path, { missing, max: MAX_PEM_BYTES, takesDescriptor: true });
  const { mode } = await Deno.stat(path);
  if (Deno.build.os !== "windows" && mode !== null && (mode & 0o077) !== 0) {
    throw new Failure(EXIT.usage, `people other than its owner can read ${path}; run: chmod 600 ${shellPath(path)}`);
  }
  return text;
}

/**
 * A word, quoted for a shell. If it has control characters, it is written in the form of bash, zsh and ksh that escapes
 * them, so that none reaches a terminal.
 */
export function shellWord(text: string): string {
  if (/\p{Cc}/u.test(text)) {
    const escaped = text.replace(/[\\']/g, "\\$&").replace(/\p{Cc}/gu, (character) => {
      return encodeUtf8(character).reduce((escape, byte) => `${escape}\\x${byte.toString(16).padStart(2, "0")}`, "");
    });
    return `$'${escaped}'`;
  }
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** {@link shellWord} of a path, with `./` before one that begins with `-` and would be taken for a flag. */
export function shellPath(path: string): string {
  return shellWord(path.startsWith("-") ? `./${path}` : path);
}

/** One sentence for an error of the system about a file. */
export function explainFileError(error: unknown, path: string, done: "read" | "written" | "made"): unknown {
  const word = shellPath(path);
  if (error instanceof Failure) return error;
  if (error instanceof Deno.errors.NotFound) {
    const what = done === "read" ? `File not found: ${path}` : `${path} can't be ${done}: its folder doesn't exist`;
    return new Failure(EXIT.usage, what);
  }
  if (done === "made" && (error instanceof Deno.errors.AlreadyExists || error instanceof Deno.errors.NotADirectory)) {
    return new Failure(
      EXIT.usage,
      `${path} can't be made a folder: there is a file with that name, or with the name of a folder above it`,
    );
  }
  if (error instanceof Deno.errors.AlreadyExists) {
    return new Failure(EXIT.usage, `${path} exists, and nothing is overwritten; move it away first`);
  }
  if (error instanceof Deno.errors.PermissionDenied) {
    if (done === "made") {
      const why = `permission denied: this user can't make the folder ${path}`;
      return new Failure(EXIT.usage, `${why}; make it as another user, or name another folder`);
    }
    const mend = done === "read"
      ? `sudo chown "$USER" ${word} && chmod 600 ${word}`
      : `ls -ld ${shellPath(dirname(path))}`;
    return new Failure(EXIT.usage, `permission denied: ${path} can't be ${done} by this user; run: ${mend}`);
  }
  if (error instanceof Error && /ENOSPC|no space left|os error 28|os error 112/i.test(error.message)) {
    return new Failure(EXIT.unavailable, `${path} can't be ${done}: the disk is full; run: df -h ${word}`);
  }
  if (error instanceof Deno.errors.IsADirectory || (error instanceof Error && /os error 21\b/.test(error.message))) {
    return new Failure(EXIT.usage, `${path} is a folder, not a file`);
  }
  // Other errors of the system or the runtime: a link to itself, a name that is too long, a refused device.
  const isSystems = Object.values(Deno.errors).some((kind) => error instanceof kind);
  if (error instanceof Error && (isSystems || /\(os error \d+\)/.test(error.message))) {
    return new Failure(EXIT.usage, `${path} can't be ${done}: ${printable(error.message)}`);
  }
  return error;
}
