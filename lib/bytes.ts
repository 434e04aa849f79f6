/**
 * Bytes and their spellings: UTF-8, base64 (RFC 4648 section 4, padded, zero pad bits), lower-case hex, big-endian
 * integers. Each `parse…` accepts exactly what its `encode…` writes, and returns `undefined` for anything else. So bytes
 * have one spelling everywhere, and the caller can name the field that is wrong.
 *
 * The types of time and randomness are here too, since below layer 5 both are passed in.
 *
 * @layer ground
 */

/** Bytes over a plain ArrayBuffer, as WebCrypto takes them. */
export type Bytes = Uint8Array<ArrayBuffer>;

/** Gives the time: unix milliseconds. */
export type Clock = () => number;

/** Gives that many fresh random bytes. */
export type Random = (size: number) => Bytes;

const utf8Encoder = new TextEncoder();
const scratch = new Uint8Array(8_192);
const utf8Decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const strictDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Short bytes are cut from a shared slab: a buffer of their own would take ten times as long. A line's frame must fit into
 * a cut; with smaller slabs and cuts a posted line costs a sixth more. Whoever keeps short bytes for long keeps a `slice`
 * of them, since the bytes themselves keep the whole slab in memory.
 */
const SLAB_SIZE = 16_384;
const MAX_CUT = 2_048;
let slab: Bytes = new Uint8Array(SLAB_SIZE);
let used = 0;

/**
 * That many zeros. Short ones share their buffer with others, so nobody may hand `buffer` on without `byteOffset`. What
 * is kept for long is a `slice`.
 */
export function freshBytes(size: number): Bytes {
  if (size > MAX_CUT) return new Uint8Array(size);
  if (used + size > SLAB_SIZE) {
    slab = new Uint8Array(SLAB_SIZE);
    used = 0;
  }
  const start = used;
  used += size;
  return slab.subarray(start, used);
}

/** What a decoder puts in place of bytes that are not UTF-8. It may also be a character of the text. */
const REPLACEMENT = "\ufffd";

/** UTF-8 of a text. A lone surrogate becomes U+FFFD, so ask `isWellFormed` first if that matters. */
export function encodeUtf8(text: string): Bytes {
  if (3 * text.length > scratch.length) return utf8Encoder.encode(text);
  const { written } = utf8Encoder.encodeInto(text, scratch); // takes a third of the time of encode()
  const bytes = freshBytes(written);
  bytes.set(scratch.subarray(0, written));
  scratch.fill(0, 0, written); // it may be a secret
  return bytes;
}

/** The text, with a byte order mark kept as a character; `undefined` if the bytes are not UTF-8. */
export function parseUtf8(bytes: Uint8Array): string | undefined {
  const text = utf8Decoder.decode(bytes);
  if (!text.includes(REPLACEMENT)) return text; // takes a quarter of the time of the strict decoder
  try {
    return strictDecoder.decode(bytes);
  } catch {
    return undefined;
  }
}

/** Base64 with padding. */
export function encodeBase64(bytes: Uint8Array): string {
  return bytes.toBase64();
}

/** The bytes, if `text` is exactly their base64. */
export function parseBase64(text: string): Bytes | undefined {
  try {
    const bytes = freshBytes(3 * Math.ceil(text.length / 4));
    const { written } = bytes.setFromBase64(text, { lastChunkHandling: "strict" });
    const isWhole = text.length === 4 * Math.ceil(written / 3); // false if there is white space, which is skipped
    return isWhole ? bytes.subarray(0, written) : undefined;
  } catch {
    return undefined;
  }
}

/** Lower-case hex. */
export function encodeHex(bytes: Uint8Array): string {
  return bytes.toHex();
}

/** The bytes, if `text` is exactly their lower-case hex. */
export function parseHex(text: string): Bytes | undefined {
  return /^(?:[0-9a-f]{2})*$/.test(text) ? Uint8Array.fromHex(text) : undefined;
}

/** All parts, joined. */
export function concat(...parts: readonly Uint8Array[]): Bytes {
  const whole = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Whether both are the same bytes. The time that it takes depends only on their lengths. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= (a[i] ?? 0) ^ (b[i] ?? 0);
  return difference === 0;
}

/** An integer from 0 to 2^53 - 1 as 8 bytes, big-endian. */
export function uint64(value: number): Bytes {
  const bytes = new Uint8Array(8);
  writeUint64(bytes, 0, value);
  return bytes;
}

/** Writes an integer from 0 to 2^53 - 1 as 8 bytes, big-endian; RangeError for another number. */
export function writeUint64(bytes: Uint8Array, at: number, value: number): void {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${value} is not an integer from 0 to 2^53 - 1`);
  const [high, low] = [Math.floor(value / 2 ** 32), value % 2 ** 32];
  for (let i = 0; i < 4; i++) {
    bytes[at + i] = high >>> (24 - 8 * i);
    bytes[at + 4 + i] = low >>> (24 - 8 * i);
  }
}

/** The unsigned big-endian integer that the bytes spell. */
export function parseInteger(bytes: Uint8Array): bigint {
  return bytes.length === 0 ? 0n : BigInt(`0x${encodeHex(bytes)}`);
}

/** A non-negative integer as exactly `size` bytes, big-endian; RangeError if it doesn't fit. */
export function encodeInteger(value: bigint, size: number): Bytes {
  const hex = value.toString(16);
  if (value < 0n || hex.length > 2 * size) throw new RangeError(`the integer does not fit into ${size} bytes`);
  return Uint8Array.fromHex(hex.padStart(2 * size, "0"));
}
