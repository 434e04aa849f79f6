/**
 * Files of lines whose end may be unfinished after a crash: the journals and the spool.
 *
 *     whole line LF whole line LF who              cut after the second LF
 *     whole line LF whole line LF 00 00 00 …       the same: blocks that were allocated but never written
 *     whole line LF ##### LF whole line LF         damaged: a crash of ours doesn't do this, so nothing is cut
 *
 * A file is read once, in constant memory, whatever it contains.
 *
 * @layer outside
 */

import { parseUtf8 } from "./bytes.ts";

/**
 * Longer than any line of ours: 16,032 bytes and a signature of 512 in base64, with three short fields, come to 22,200.
 */
const MAX_LINE_BYTES = 32 * 1024;

/** What {@link recoverLines} found. */
export interface RecoveredLines {
  /** Bytes of the whole lines from the start; if nothing is damaged, this is now the file's size. */
  readonly size: number;
  /** Bytes that were cut off at the end. */
  readonly cut: number;
  /** Whether a line that doesn't parse comes before one that does: then `size` ends before it. */
  readonly damaged: boolean;
}

/** Passes each whole line to `take`, cuts what a crash left after the last one, and flushes the file to the disk. */
export async function recoverLines<T>(
  file: Deno.FsFile,
  parse: (line: string) => T | undefined,
  take: (parsed: T, line: string) => void,
): Promise<RecoveredLines> {
  const { size } = await file.stat();
  let good = 0;
  let bad = false;
  for await (const { line, end } of readLines(file)) {
    const parsed = line === undefined ? undefined : parse(line);
    if (line === undefined || parsed === undefined) {
      bad = true;
    } else if (bad) {
      return { size: good, cut: 0, damaged: true };
    } else {
      take(parsed, line);
      good = end;
    }
  }
  if (good < size) await file.truncate(good);
  await file.sync(); // this also flushes what the crashed program wrote and didn't flush
  return { size: good, cut: size - good, damaged: false };
}

/** The lines that have an LF, with the offset after it; `undefined` for a line that is too long or not UTF-8. */
async function* readLines(file: Deno.FsFile): AsyncGenerator<{ line: string | undefined; end: number }> {
  const buffer = new Uint8Array(2 * MAX_LINE_BYTES);
  let held = 0; // bytes of an unfinished line at the buffer's start
  let at = 0; // the file's offset of the buffer's start
  let overlong = false;
  for (let read = await file.read(buffer); read !== null; read = await file.read(buffer.subarray(held))) {
    const filled = buffer.subarray(0, held + read);
    let start = 0;
    for (let lf = filled.indexOf(10, held); lf !== -1; lf = filled.indexOf(10, start)) {
      yield { line: overlong ? undefined : parseUtf8(filled.subarray(start, lf)), end: at + lf + 1 };
      overlong = false;
      start = lf + 1;
    }
    if (filled.length - start > MAX_LINE_BYTES) {
      overlong = true;
      start = filled.length;
    }
    buffer.copyWithin(0, start, filled.length);
    held = filled.length - start;
    at += start;
  }
}
