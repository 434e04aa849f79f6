/**
 * A small HTTP/1.1 server with fixed bounds on everything that a stranger can make it hold: connections, the length of
 * a request, and the time until it is whole. The runtime's own server bounds neither connections nor their times.
 *
 *     const server = new HttpServer(listen("127.0.0.1", 7380), { maxBody: 131_072, answer });
 *     await server.close();
 *
 * One request of a connection is answered at a time. If all places are taken, the connection makes room whose request
 * isn't whole for longest, so that whoever opens many and sends little keeps nobody out for long.
 *
 * @layer outside
 */

import { concat, encodeUtf8 } from "./bytes.ts";
import { BadRequest, type HttpRequest, RequestReader } from "./http_request.ts";
import { sleep } from "./system.ts";

/** How many connections there are at once. */
const MAX_CONNECTIONS = 256;
/** How long a request takes from its first byte to its last, and an answer to be taken, in milliseconds. */
const REQUEST_TIMEOUT = 10_000;
/** How long a connection stays open without a request, in milliseconds. */
const IDLE_TIMEOUT = 60_000;

/** An answer. */
export interface HttpResponse {
  readonly status: number;
  readonly type: string;
  readonly body: Uint8Array;
}

/** What a server works with. */
export interface HttpServerOptions {
  readonly maxBody: number;
  /** The answer to a request; what it throws becomes a 500. */
  readonly answer: (request: HttpRequest) => Promise<HttpResponse>;
  /** What a request failed with. */
  readonly failed: (error: unknown) => void;
  readonly maxConnections?: number;
  /** Milliseconds, for tests. */
  readonly requestTimeout?: number;
  readonly idleTimeout?: number;
}

interface Place {
  readonly conn: Deno.Conn;
  /** Since when it has been waited for; `undefined` while its request is answered. */
  waitingSince: number | undefined;
}

/** A server that listens. */
export class HttpServer {
  readonly #listener: Deno.TcpListener;
  readonly #options: HttpServerOptions;
  readonly #places = new Map<Place, Promise<void>>();
  readonly #accepting: Promise<void>;
  #isClosed = false;

  constructor(listener: Deno.TcpListener, options: HttpServerOptions) {
    this.#listener = listener;
    this.#options = options;
    this.#accepting = this.#accept();
  }

  /** How many connections are open. */
  get size(): number {
    return this.#places.size;
  }

  async #accept(): Promise<void> {
    while (!this.#isClosed) {
      try {
        this.#take(await this.#listener.accept());
      } catch (error) {
        if (this.#isClosed) return;
        this.#options.failed(error); // too many open files, for example
        await sleep(100);
      }
    }
  }

  #take(conn: Deno.Conn): void {
    const { maxConnections = MAX_CONNECTIONS } = this.#options;
    if (this.#places.size >= maxConnections) {
      const waiting = [...this.#places.keys()].filter(({ waitingSince }) => waitingSince !== undefined);
      const [oldest] = waiting.sort((a, b) => (a.waitingSince ?? 0) - (b.waitingSince ?? 0));
      if (!oldest) return close(conn);
      close(oldest.conn);
      this.#places.delete(oldest);
    }
    const place: Place = { conn, waitingSince: performance.now() };
    const served = this.#serve(place).catch(() => {}).finally(() => {
      close(conn);
      this.#places.delete(place);
    });
    this.#places.set(place, served);
  }

  async #serve(place: Place): Promise<void> {
    const reader = new RequestReader({ maxBody: this.#options.maxBody });
    const buffer = new Uint8Array(16_384);
    while (!this.#isClosed) {
      const request = await this.#read(place, reader, buffer);
      if (!request) return;
      const isLast = request instanceof BadRequest || request.isLast || this.#isClosed;
      const response = request instanceof BadRequest ? refusal(request) : await this.#answer(request);
      const isHead = !(request instanceof BadRequest) && request.method === "HEAD";
      await this.#write(place.conn, encodeResponse(response, { isLast, isHead }));
      if (isLast) return await this.#linger(place, buffer);
    }
  }

  /** The next request; `undefined` if the client has closed, or took too long. */
  async #read(place: Place, reader: RequestReader, buffer: Uint8Array): Promise<HttpRequest | BadRequest | undefined> {
    const { requestTimeout = REQUEST_TIMEOUT, idleTimeout = IDLE_TIMEOUT } = this.#options;
    place.waitingSince = performance.now();
    let isIdle = !reader.isAmid;
    let timer = setTimeout(() => close(place.conn), isIdle ? idleTimeout : requestTimeout);
    try {
      while (true) {
        const request = reader.next();
        if (request) return request;
        if (reader.takeContinue()) await writeAll(place.conn, encodeUtf8("HTTP/1.1 100 Continue\r\n\r\n"));
        const count = await place.conn.read(buffer).catch(() => null);
        if (count === null) return undefined;
        if (isIdle) {
          // From the first byte on, the whole request has its time, however slowly it comes.
          clearTimeout(timer);
          timer = setTimeout(() => close(place.conn), requestTimeout);
          isIdle = false;
        }
        reader.push(buffer.subarray(0, count));
      }
    } catch (error) {
      if (error instanceof BadRequest) return error;
      throw error;
    } finally {
      clearTimeout(timer);
      place.waitingSince = undefined;
    }
  }

  async #answer(request: HttpRequest): Promise<HttpResponse> {
    try {
      return await this.#options.answer(request);
    } catch (error) {
      this.#options.failed(error);
      return { status: 500, type: "text/plain; charset=utf-8", body: encodeUtf8("something went wrong here\n") };
    }
  }

  async #write(conn: Deno.Conn, bytes: Uint8Array): Promise<void> {
    const timer = setTimeout(() => close(conn), this.#options.requestTimeout ?? REQUEST_TIMEOUT);
    try {
      await writeAll(conn, bytes);
    } finally {
      clearTimeout(timer);
    }
  }

  /** A close with unread bytes would reset the connection, and the client might never see its answer. */
  async #linger(place: Place, buffer: Uint8Array): Promise<void> {
    const { conn } = place;
    place.waitingSince = performance.now();
    const timer = setTimeout(() => close(conn), 1_000);
    try {
      await conn.closeWrite();
      for (let read = 0; read < 2 * this.#options.maxBody;) {
        const count = await conn.read(buffer);
        if (count === null) return;
        read += count;
      }
    } catch {
      // The client has gone, or the time is over.
    } finally {
      clearTimeout(timer);
    }
  }

  /** Takes no more connections, lets the requests under way be answered, and closes. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#listener.close();
    for (const { conn, waitingSince } of this.#places.keys()) if (waitingSince !== undefined) close(conn);
    await Promise.all([this.#accepting, ...this.#places.values()]);
  }
}

function refusal({ status, message }: BadRequest): HttpResponse {
  // A body that is too long is a request of another form: 400 is what the protocol of witnesses calls it.
  return { status: status === 413 ? 400 : status, type: "text/plain; charset=utf-8", body: encodeUtf8(`${message}\n`) };
}

const REASONS: Readonly<Record<number, string>> = {
  200: "OK",
  400: "Bad Request",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  409: "Conflict",
  411: "Length Required",
  422: "Unprocessable Content",
  429: "Too Many Requests",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  505: "HTTP Version Not Supported",
};

function encodeResponse(
  { status, type, body }: HttpResponse,
  { isLast, isHead }: { readonly isLast: boolean; readonly isHead: boolean },
): Uint8Array {
  const fields = [
    `HTTP/1.1 ${status} ${REASONS[status] ?? ""}`,
    `Content-Type: ${type}`,
    `Content-Length: ${body.length}`,
    `Date: ${new Date(Date.now()).toUTCString()}`,
    ...isLast ? ["Connection: close"] : [],
  ];
  const head = encodeUtf8(`${fields.join("\r\n")}\r\n\r\n`);
  return isHead ? head : concat(head, body);
}

async function writeAll(conn: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
}

function close(conn: Deno.Conn): void {
  try {
    conn.close();
  } catch {
    // It is closed already.
  }
}
