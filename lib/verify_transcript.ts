/**
 * A transcript's file, cut into lines as it is read, so that a transcript of any size needs the same memory.
 *
 *     for await (const line of transcriptLines(file.readable)) …
 *
 * @layer protocol
 */

import { encodeUtf8 } from "./bytes.ts";
import { MAX_LINE_BYTES } from "./transcript.ts";

/** A transcript that can't be cut into lines. */
export class TranscriptFormError extends Error {}

/**
 * The lines of a transcript's file, without their LF, good until the next is asked for. Throws a
 * {@link TranscriptFormError} for a line beyond the bound, and, when all lines are out, for a last one without its LF.
 */
export async function* transcriptLines(
  file: string | Uint8Array | AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const chunks = typeof file === "string" ? [encodeUtf8(file)] : file instanceof Uint8Array ? [file] : file;
  let rest: Uint8Array = new Uint8Array(0);
  let count = 0;
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(LF); end >= 0; end = chunk.indexOf(LF, start)) {
      const line = join(rest, chunk.subarray(start, end));
      rest = new Uint8Array(0);
      start = end + 1;
      count += 1;
      if (line.length >= MAX_LINE_BYTES) throw tooLong(count);
      yield line;
    }
    rest = join(rest, chunk.slice(start)); // a copy: the chunk's buffer may be used again
    if (rest.length >= MAX_LINE_BYTES) throw tooLong(count + 1);
  }
  if (rest.length === 0) return;
  yield rest;
  throw new TranscriptFormError("the last line has no LF: the file is cut short, or was changed");
}

const LF = 0x0a;

function join(a: Uint8Array, b: Uint8Array): Uint8Array {
  if (a.length === 0) return b;
  const whole = new Uint8Array(a.length + b.length);
  whole.set(a);
  whole.set(b, a.length);
  return whole;
}

function tooLong(number: number): TranscriptFormError {
  return new TranscriptFormError(`line ${number} is longer than ${MAX_LINE_BYTES} bytes; the rest was not read`);
}
