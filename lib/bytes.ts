/**
 * Bytes and their spellings: UTF-8, base64 (RFC 4648 section 4, padded, zero pad bits), lower-case hex, big-endian
 * integers. Each `parse…` takes exactly what its `encode…` writes and returns `undefined` for anything else, so that
 * bytes have one spelling everywhere and the caller names the field that is wrong.
 *
 * The types of time and randomness stand here too: below layer 5 nothing reads a clock or draws a number by itself.
 */

import { Buffer } from "node:buffer";

/** Bytes over a plain ArrayBuffer, as WebCrypto takes them. */
export type Bytes = Uint8Array<ArrayBuffer>;

/** The time: unix milliseconds. */
export type Clock = () => number;

/** That many fresh random bytes. */
export type Random = (size: number) => Bytes;

const utf8Encoder = new TextEncoder();
const utf8Decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** UTF-8 of a text; a lone surrogate becomes U+FFFD, so ask `isWellFormed` first where that matters. */
export function encodeUtf8(text: string): Bytes {
  return utf8Encoder.encode(text);
}

/** The text, a byte order mark kept as a character; `undefined` for what is not UTF-8. */
export function parseUtf8(bytes: Uint8Array): string | undefined {
  try {
    return utf8Decoder.decode(bytes);
  } catch {
    return undefined;
  }
}

/** Base64 with padding. */
export function encodeBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
}

/** The bytes, where `text` is exactly their base64. */
export function parseBase64(text: string): Bytes | undefined {
  if (text.length % 4 !== 0) return undefined;
  let decoded: Buffer;
  try {
    decoded = Buffer.from(text, "base64");
  } catch {
    return undefined; // Deno 2.6.10 throws for some texts, such as AAAAA===
  }
  // Buffer skips what it doesn't know; writing the bytes again shows whether anything was skipped.
  if (decoded.toString("base64") !== text) return undefined;
  return new Uint8Array(decoded);
}

/** Lower-case hex. */
export function encodeHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");
}

/** The bytes, where `text` is exactly their lower-case hex. */
export function parseHex(text: string): Bytes | undefined {
  return /^(?:[0-9a-f]{2})*$/.test(text) ? new Uint8Array(Buffer.from(text, "hex")) : undefined;
}

/** One after the other. */
export function concat(...parts: readonly Uint8Array[]): Bytes {
  const whole = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Whether both are the same bytes, in a time that depends on their lengths alone. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= (a[i] ?? 0) ^ (b[i] ?? 0);
  return difference === 0;
}

/** An integer from 0 to 2^53 - 1 as 8 bytes, big-endian. */
export function uint64(value: number): Bytes {
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, Math.floor(value / 2 ** 32));
  view.setUint32(4, value % 2 ** 32);
  return bytes;
}

/** The unsigned big-endian integer that the bytes spell. */
export function parseInteger(bytes: Uint8Array): bigint {
  return bytes.length === 0 ? 0n : BigInt(`0x${encodeHex(bytes)}`);
}

/** A non-negative integer as exactly `size` bytes, big-endian; RangeError where it doesn't fit. */
export function encodeInteger(value: bigint, size: number): Bytes {
  const hex = value.toString(16);
  if (value < 0n || hex.length > 2 * size) throw new RangeError(`the integer does not fit into ${size} bytes`);
  return new Uint8Array(Buffer.from(hex.padStart(2 * size, "0"), "hex"));
}
