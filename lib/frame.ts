/**
 * Frames: one JSON object on one line of UTF-8, ended by LF (docs/PROTOCOL.md, "Frames").
 *
 *     {"type":"msg_ack","seqno":0,"received_at":1700055622131}⏎
 *
 * A CR before the LF is tolerated, and empty lines are ignored. A chunk may contain several frames, and a frame may come
 * in several chunks. A line that exceeds the limit is refused before its LF arrives. A reader that has returned everything
 * keeps no buffer. `message.ts` parses the fields of frames.
 *
 * @layer format
 */

import { type Bytes, encodeUtf8, parseUtf8 } from "./bytes.ts";
import { ProtocolError } from "./errors.ts";
import { encodeJson, isJsonObject, type JsonObject, member, parseJson } from "./json.ts";

/** 16 KiB, LF included: a hello with four certificates fits, and a stranger can't use more memory. */
export const LIMIT_BEFORE_LOGIN = 16_384;
/** 64 KiB, LF included: a message of 16,000 octets twice in base64, its signature, and room for additions. */
export const LIMIT_AFTER_LOGIN = 65_536;

const LF = 0x0a;
const CR = 0x0d;
const NOTHING: Bytes = new Uint8Array(0);

/** A parsed frame: an object with a string `type`, its other fields still unknown. */
export interface Frame {
  readonly type: string;
  readonly fields: JsonObject;
  /** The JSON as it was received. */
  readonly text: string;
}

/** A frame to send: its type and its fields in the order in which they are written. */
export type OutgoingFrame = { readonly type: string } & Readonly<Record<string, unknown>>;

/** Cuts a byte stream into lines, and never keeps more than the limit. */
export class FrameReader {
  /** The most bytes that a line may have, LF included. */
  limit: number;
  #buffer = NOTHING;
  #start = 0;
  #end = 0;
  /** There is no LF before this position. */
  #searched = 0;

  constructor(limit: number) {
    this.limit = limit;
  }

  /** Adds the stream's next bytes, which are copied. Call {@link next} until it returns nothing before adding more. */
  receive(chunk: Uint8Array): void {
    const held = this.#end - this.#start;
    if (held + chunk.length > this.#buffer.length - this.#start) {
      const size = held + chunk.length;
      const grown = new Uint8Array(held === 0 ? size : Math.max(size, 2 * held));
      grown.set(this.#buffer.subarray(this.#start, this.#end));
      this.#buffer = grown;
      this.#searched -= this.#start;
      this.#start = 0;
      this.#end = held;
    }
    this.#buffer.set(chunk, this.#end);
    this.#end += chunk.length;
  }

  /**
   * The next line that is not empty, with its line end, good until the next call of {@link receive}; `undefined` if
   * more bytes are needed. Throws `too-large`.
   */
  next(): Bytes | undefined {
    while (true) {
      const found = this.#buffer.subarray(0, this.#end).indexOf(LF, this.#searched);
      const length = found < 0 ? this.#end - this.#start + 1 : found + 1 - this.#start;
      if (length > this.limit) {
        this.#release();
        throw new ProtocolError("too-large", `A frame may have ${this.limit} bytes here at most.`);
      }
      if (found < 0) {
        this.#searched = this.#end;
        if (this.#start === this.#end) this.#release();
        return undefined;
      }
      const line = this.#buffer.subarray(this.#start, found + 1);
      this.#start = this.#searched = found + 1;
      const isEmpty = line.length === 1 || (line.length === 2 && line[0] === CR);
      if (!isEmpty) return line;
    }
  }

  #release(): void {
    this.#buffer = NOTHING;
    this.#start = this.#end = this.#searched = 0;
  }
}

/** The frame on a line. Throws `bad-frame`. */
export function parseFrame(line: Uint8Array): Frame {
  let end = line.length;
  if (line[end - 1] === LF) end -= 1;
  if (line[end - 1] === CR) end -= 1;
  const text = parseUtf8(line.subarray(0, end));
  if (text === undefined) throw new ProtocolError("bad-frame", "A frame must be UTF-8.");
  const fields = parseJson(text);
  if (!isJsonObject(fields)) throw new ProtocolError("bad-frame", "A frame must be one JSON object on one line.");
  const type = member(fields, "type");
  if (typeof type !== "string") throw new ProtocolError("bad-frame", "A frame needs a string field `type`.");
  return { type, fields, text };
}

/** The line of a frame, LF included. A bigint becomes a plain integer. */
export function encodeFrame(frame: { readonly type: string } & Readonly<Record<string, unknown>>): Bytes {
  return encodeUtf8(encodeJson(frame) + "\n");
}

/** The line of an error frame. */
export function encodeError(error: ProtocolError): Bytes {
  return encodeFrame({ type: "error", error_type: error.code, reason: error.message, ...error.fields });
}
