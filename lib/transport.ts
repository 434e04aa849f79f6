/**
 * Sockets: TCP connections that are read by one loop and written by another, and the listener that they come from.
 *
 * A {@link Link} never lets a slow reader cost memory: what is queued for it has a bound, and past the bound it is
 * closed while the others go on. Everything queued when the writer is free leaves in one write. Ending a link sends
 * what is queued, closes the sending side and reads on for a moment, since a socket that is closed with unread bytes in
 * it resets the connection and can take the last frame with it.
 *
 * @layer outside
 */

import { type Bytes, concat } from "./bytes.ts";
import { EXIT, Failure } from "./errors.ts";
import { sendAtOnce } from "./libc.ts";

/** An idle connection costs this and little more; a post mostly fits. */
const SMALL_READ = 2_048;
/** Who fills the small buffer has more to say: 16 KiB, a record of TLS, given back when a read finds less. */
const LARGE_READ = 16_384;
/** So many bytes of {@link Link.sendLatest} leave in one write: what hasn't left yet can still be replaced. */
const LATEST_BYTES = 16_384;
/** How long an ended link waits for the peer to close, in milliseconds. */
const LINGER = 1_000;

/** What a link reads and writes: a `Deno.Conn`, or what stands in for one. */
export type ByteStream = Pick<Deno.Conn, "read" | "write" | "closeWrite" | "close" | "remoteAddr">;

/** One connection. */
export class Link {
  readonly #conn: ByteStream;
  readonly #maxQueued: number;
  #buffer: Bytes = new Uint8Array(SMALL_READ);
  #queue: Bytes[] = [];
  #queued = 0;
  /** What is sent where nothing else waits, by its key. */
  readonly #latest = new Map<string, Bytes>();
  /** Resolved when nothing is queued any more, or by {@link close}: a write into a TLS handshake would wait on. */
  #writing: PromiseWithResolvers<void> | undefined;
  #ended = false;
  #closed = false;
  #lingering: ReturnType<typeof setTimeout> | undefined;

  /** `maxQueued`: the most bytes that may wait for the peer to read. */
  constructor(conn: ByteStream, maxQueued: number) {
    this.#conn = conn;
    this.#maxQueued = maxQueued;
  }

  /** The peer's address, without its port. */
  get address(): string {
    const { remoteAddr } = this.#conn;
    return "hostname" in remoteAddr ? remoteAddr.hostname : "local";
  }

  /** The next bytes, good until the next call; `undefined` at the end of the stream, however it ended. */
  async read(): Promise<Uint8Array | undefined> {
    try {
      const buffer = this.#buffer;
      const size = await this.#conn.read(buffer);
      if (size === null) return undefined;
      if (size === buffer.length) this.#buffer = new Uint8Array(LARGE_READ);
      else if (size <= SMALL_READ && buffer.length > SMALL_READ) this.#buffer = new Uint8Array(SMALL_READ);
      return buffer.subarray(0, size);
    } catch {
      return undefined; // reset by the peer, or closed by us
    }
  }

  /** Queues bytes for the peer. Past the bound the link is closed. */
  send(bytes: Bytes): void {
    if (this.#ended) return;
    this.#queue.push(bytes);
    this.#queued += bytes.length;
    if (this.#queued > this.#maxQueued) this.close();
    else this.#startWriting();
  }

  /**
   * Sends bytes as soon as nothing is queued. What was to be sent under the same key and hasn't left is replaced: it is
   * out of date. So this costs a peer who doesn't read none of what may be queued.
   */
  sendLatest(key: string, bytes: Bytes): void {
    if (this.#ended) return;
    this.#latest.delete(key);
    this.#latest.set(key, bytes);
    this.#startWriting();
  }

  /** Resolves when nothing is queued any more, or the link is closed. */
  async drained(): Promise<void> {
    await this.#writing?.promise;
  }

  #startWriting(): void {
    if (this.#writing) return;
    this.#writing = Promise.withResolvers<void>();
    void this.#write(this.#writing.resolve);
  }

  /** Whether there is anything to send. If the queue is empty, what is sent under keys goes into it. */
  #hasMore(): boolean {
    if (this.#queue.length > 0) return true;
    for (const [key, bytes] of this.#latest) {
      this.#latest.delete(key);
      this.#queue.push(bytes);
      this.#queued += bytes.length;
      if (this.#queued >= LATEST_BYTES) break;
    }
    return this.#queue.length > 0;
  }

  async #write(done: () => void): Promise<void> {
    await Promise.resolve(); // what is sent in the same turn leaves in the same write
    try {
      while (this.#hasMore()) {
        const bytes = this.#queue.length === 1 ? this.#queue[0] as Bytes : concat(...this.#queue);
        this.#queue = [];
        for (let sent = 0; sent < bytes.length;) sent += await this.#conn.write(bytes.subarray(sent));
        this.#queued -= bytes.length;
      }
    } catch {
      this.close();
    }
    this.#writing = undefined;
    done();
  }

  /** Sends what is queued and closes the sending side; the peer has a moment to close its own. */
  async end(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    this.#lingering = setTimeout(() => this.close(), LINGER);
    await this.#writing?.promise;
    try {
      if (!this.#closed) await this.#conn.closeWrite();
    } catch {
      this.close(); // the peer is gone
    }
  }

  /** Ends the link, reads what still comes, and closes. Nobody else may be reading but the `source` that is given. */
  async finish(source: { read(): Promise<unknown> } = this): Promise<void> {
    await this.end();
    while (await source.read());
    this.close();
  }

  /** Closes at once. */
  close(): void {
    this.#ended = true;
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#lingering);
    this.#queue = [];
    this.#latest.clear();
    this.#writing?.resolve();
    try {
      this.#conn.close();
    } catch {
      // It was closed from elsewhere.
    }
  }
}

/** How long a connection may take to come about, in milliseconds, and how many bytes may wait for the peer to read. */
export interface ConnectOptions {
  readonly timeout: number;
  readonly maxQueued: number;
}

/** Connects within a time. Failure (5) with what to do if that doesn't work. */
export async function connect(host: string, port: number, options: ConnectOptions): Promise<Link> {
  const signal = AbortSignal.timeout(options.timeout);
  try {
    const conn = await Deno.connect({ hostname: host, port, signal });
    conn.setNoDelay(true);
    return new Link(conn, options.maxQueued);
  } catch (error) {
    const why = signal.aborted
      ? `no answer within ${options.timeout / 1000} s`
      : error instanceof Deno.errors.ConnectionRefused
      ? "nothing listens there"
      : "the host can't be reached, or its name not be resolved";
    throw new Failure(
      EXIT.unavailable,
      `cannot connect to ${host}:${port} (${why}); check the address and that the server runs`,
    );
  }
}

/** Why a port without TLS can't be connected to over TLS. */
export const NO_TLS = "it speaks no TLS there, as a server's plain port; name the port for TLS";

/** Connects over TLS 1.2 or 1.3 to a host whose certificate these CAs (PEM) vouch for. As {@link connect} besides. */
export async function connectTls(
  host: string,
  port: number,
  options: ConnectOptions & { readonly authorities: readonly string[] },
): Promise<Link> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error("late")), options.timeout);
  const opening = openTls(host, port, options.authorities);
  try {
    return new Link(await Promise.race([opening, late.promise]), options.maxQueued);
  } catch (error) {
    opening.then((conn) => conn.close(), () => {});
    const why = error instanceof Deno.errors.ConnectionRefused
      ? "nothing listens there"
      : error instanceof Deno.errors.InvalidData && error.message.includes("corrupt message")
      ? NO_TLS
      : error instanceof Deno.errors.InvalidData
      ? "its certificate isn't one that this client trusts for that name"
      : error instanceof Error && error.message === "late"
      ? `no answer within ${options.timeout / 1000} s`
      : "the host can't be reached, or speaks no TLS there";
    throw new Failure(
      EXIT.unavailable,
      `cannot connect to ${host}:${port} over TLS (${why}); check the address, the CA and that the server runs`,
    );
  } finally {
    clearTimeout(timer);
  }
}

/** `Deno.connectTls` would let small frames wait for acknowledgements: a connection that it makes can't be told. */
async function openTls(host: string, port: number, authorities: readonly string[]): Promise<Deno.TlsConn> {
  const plain = await Deno.connect({ hostname: host, port });
  plain.setNoDelay(true);
  const conn = await Deno.startTls(plain, { hostname: host, caCerts: [...authorities] });
  try {
    await conn.handshake();
    return conn;
  } catch (error) {
    conn.close();
    throw error;
  }
}

/** Listens for TLS with a certificate chain and its key, both PEM. Failure (5) as {@link listen}. */
export function listenTls(host: string, port: number, pair: { cert: string; key: string }): Deno.TlsListener {
  const listener = listening(host, port, "--tls-port", () => Deno.listenTls({ hostname: host, port, ...pair }));
  sendAtOnce(portOf(listener));
  return listener;
}

/** The port of a listener for TLS. */
export function portOf({ addr }: Deno.TlsListener): number {
  return "port" in addr ? addr.port : 0; // Deno 2.6 leaves `transport` out
}

/**
 * Listens. Failure (5) with what to do if the port is taken or not ours to take; `flag` names the port, or both.
 */
export function listen(host: string, port: number, flag: "--port" | "--listen" = "--port"): Deno.TcpListener {
  return listening(host, port, flag, () => Deno.listen({ hostname: host, port }));
}

function listening<Listener>(host: string, port: number, flag: string, open: () => Listener): Listener {
  try {
    return open();
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) {
      throw new Failure(
        EXIT.unavailable,
        `port ${port} on ${host} is in use; stop what listens there, or choose another with ${flag}`,
      );
    }
    if (error instanceof Deno.errors.PermissionDenied) {
      throw new Failure(
        EXIT.unavailable,
        `port ${port} may not be opened by this user; choose one above 1023 with ${flag}`,
      );
    }
    const hostFlag = flag === "--listen" ? flag : "--host";
    throw new Failure(
      EXIT.unavailable,
      `cannot listen on ${host}:${port}; ${hostFlag} must name an address of this machine`,
    );
  }
}
