/**
 * HTTP/1.1 requests (RFC 9112) as a small server with fixed bounds reads them: bytes in, requests out.
 *
 *     const reader = new RequestReader({ maxBody: 131_072 });
 *     reader.push(chunk);
 *     reader.next() → { method: "POST", path: "/add-checkpoint", body, isLast: false }
 *
 * A body has a Content-Length; one in pieces (Transfer-Encoding) is refused, as is everything that two readers could
 * cut in two places. Nothing is kept beyond the bounds: {@link RequestReader.next} throws a {@link BadRequest} as soon
 * as one is passed, and the connection ends then.
 *
 * @layer format
 */

import type { Bytes } from "./bytes.ts";

/** The longest request line with its fields. */
const MAX_HEAD = 8_192;
/** What a connection without a request has room for. */
const SMALL = 2_048;
/** The most fields. */
const MAX_FIELDS = 100;

/** A request. */
export interface HttpRequest {
  readonly method: string;
  /** With what stands behind a `?`. */
  readonly path: string;
  readonly body: Bytes;
  /** The connection ends with its answer. */
  readonly isLast: boolean;
}

/** A request that can't be read. */
export class BadRequest extends Error {
  constructor(readonly status: 400 | 411 | 413 | 431 | 501 | 505, message: string) {
    super(message);
    this.name = "BadRequest";
  }
}

interface Head extends Omit<HttpRequest, "body"> {
  readonly length: number;
  readonly isWaiting: boolean;
}

/** The requests of one connection. */
export class RequestReader {
  readonly #maxBody: number;
  /** What came and wasn't read yet stands in the first {@link #size} of these. */
  #bytes: Bytes = new Uint8Array(SMALL);
  #size = 0;
  #head: Head | undefined;
  #mayContinue = false;

  constructor({ maxBody }: { readonly maxBody: number }) {
    this.#maxBody = maxBody;
  }

  /** Takes what came from the connection. */
  push(chunk: Uint8Array): void {
    const size = this.#size + chunk.length;
    if (size > this.#bytes.length) {
      const longer = new Uint8Array(Math.max(size, 2 * this.#bytes.length));
      longer.set(this.#bytes.subarray(0, this.#size));
      this.#bytes = longer;
    }
    this.#bytes.set(chunk, this.#size);
    this.#size = size;
  }

  /** Whether a request has begun and isn't whole yet. */
  get isAmid(): boolean {
    return this.#head !== undefined || this.#size > 0;
  }

  /** Whether the client waits for a "100 Continue" before it sends the body: asked for once each. */
  takeContinue(): boolean {
    const asked = this.#mayContinue;
    this.#mayContinue = false;
    return asked;
  }

  /** The next whole request; `undefined` until more bytes came. */
  next(): HttpRequest | undefined {
    this.#head ??= this.#readHead();
    if (!this.#head) return undefined;
    const { length, isWaiting, ...request } = this.#head;
    if (this.#size < length) {
      this.#mayContinue ||= isWaiting;
      this.#head = { ...this.#head, isWaiting: false };
      return undefined;
    }
    const body = this.#take(length);
    this.#head = undefined;
    this.#mayContinue = false;
    return { ...request, body };
  }

  #take(size: number): Bytes {
    const taken = this.#bytes.slice(0, size);
    this.#bytes.copyWithin(0, size, this.#size);
    this.#size -= size;
    if (this.#size === 0 && this.#bytes.length > SMALL) this.#bytes = new Uint8Array(SMALL);
    return taken;
  }

  #readHead(): Head | undefined {
    const end = endOfHead(this.#bytes.subarray(0, this.#size));
    if (end < 0 || end > MAX_HEAD) {
      if (this.#size > MAX_HEAD) throw new BadRequest(431, "the request's fields are too long");
      return undefined;
    }
    return parseHead(new TextDecoder("latin1").decode(this.#take(end + 4)).slice(0, -4), this.#maxBody);
  }
}

function endOfHead(bytes: Uint8Array): number {
  for (let at = bytes.indexOf(0x0d); at >= 0; at = bytes.indexOf(0x0d, at + 1)) {
    if (bytes[at + 1] === 0x0a && bytes[at + 2] === 0x0d && bytes[at + 3] === 0x0a) return at;
  }
  return -1;
}

function parseHead(text: string, maxBody: number): Head {
  const [line = "", ...fields] = text.split("\r\n");
  const [, method, path, minor] = /^([A-Z]{1,16}) (\/[!-~]{0,2000}) HTTP\/1\.([01])$/.exec(line) ?? [];
  if (method === undefined || path === undefined) {
    if (/ HTTP\/[2-9]/.test(line)) throw new BadRequest(505, "only HTTP/1.1 is spoken here");
    throw new BadRequest(400, "this is no HTTP request");
  }
  const values = readFields(fields);
  if (values.has("transfer-encoding")) throw new BadRequest(411, "a Content-Length is wanted");
  const length = values.get("content-length") ?? "0";
  if (!/^(?:0|[1-9][0-9]{0,14})$/.test(length)) throw new BadRequest(400, "the Content-Length is no number");
  if (Number(length) > maxBody) throw new BadRequest(413, `a request has ${maxBody} bytes at most`);
  if (method === "POST" && !values.has("content-length")) throw new BadRequest(411, "a Content-Length is wanted");
  const connection = values.get("connection")?.toLowerCase() ?? "";
  const isLast = minor === "0" ? !/\bkeep-alive\b/.test(connection) : /\bclose\b/.test(connection);
  const isWaiting = minor === "1" && values.get("expect")?.toLowerCase() === "100-continue";
  return { method, path, length: Number(length), isLast, isWaiting };
}

function readFields(lines: readonly string[]): Map<string, string> {
  if (lines.length > MAX_FIELDS) throw new BadRequest(431, "the request has too many fields");
  const values = new Map<string, string>();
  for (const line of lines) {
    // deno-lint-ignore no-control-regex
    const [, name, value = ""] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\u0000-\u0008\u000a-\u001f\u007f]*?)[ \t]*$/
      .exec(line) ?? [];
    if (name === undefined) throw new BadRequest(400, "a field of the request has another form");
    const key = name.toLowerCase();
    // A length that stands twice is where readers disagree on what belongs to which request.
    if (values.has(key) && /^(?:content-length|host)$/.test(key)) throw new BadRequest(400, `${key} stands twice`);
    values.set(key, values.has(key) ? `${values.get(key)}, ${value}` : value);
  }
  return values;
}
