/**
 * TLS of somebody who has nothing but a code: with only one CA, or, to ask for that CA's certificate, with none.
 *
 *     const link = await connectPinned("chat.example", 5001, { timeout, maxQueued, authority, intermediates });
 *
 * `Deno.connectTls` trusts the system's CAs beside those that it is given, and shows nobody the server's certificate.
 * The secret of a code goes to who has a certificate of the code's own CA and to nobody else, so this goes over
 * `node:tls`: the handshake as there (in Deno 2.6 it trusts the system's CAs too), and the certificate then checked
 * again, for this host, up to only this CA.
 *
 * Where the server's certificate isn't of the CA itself, that needs the intermediates between the two. `node:tls` of
 * Deno 2.6 doesn't show those of the handshake, and no `server_hello` has come yet: the secret travels before it. So
 * they come out of the answer to `ca`, on a connection that proved nothing, and needn't: the handshake has proved the
 * key of the leaf, and each step from the leaf to the code's CA is a signature that is checked here. Who answers `ca`
 * with others, or with none, has a certificate refused that is good, and none taken that the CA doesn't vouch for.
 *
 * @layer outside
 */

import { connect as connectSocket, type TLSSocket } from "node:tls";
import { type Bytes, concat } from "./bytes.ts";
import { findPath } from "./certificate_path.ts";
import { EXIT, Failure } from "./errors.ts";
import { type ByteStream, type ConnectOptions, Link, NO_TLS } from "./transport.ts";
import { canonicalAddress, type Certificate, parseCertificate } from "./x509.ts";

/** How {@link connectPinned} connects. */
export interface PinnedOptions extends ConnectOptions {
  /**
   * The one CA that is trusted. Without it anybody may answer: then nothing is said, or believed, that isn't public.
   */
  readonly authority?: Certificate;
  /** What may stand between it and the server's certificate, from anywhere. */
  readonly intermediates?: readonly Certificate[];
}

/** Connects to a host whose certificate that CA vouches for. Failure (5), or (4) where it doesn't. */
export async function connectPinned(host: string, port: number, options: PinnedOptions): Promise<Link> {
  const { timeout, authority, intermediates = [], maxQueued } = options;
  const socket = connectSocket({
    host,
    port,
    ...(canonicalAddress(host) === undefined ? { servername: host } : {}),
    ...(authority ? { ca: [authority.pem] } : { rejectUnauthorized: false }),
  });
  try {
    await opened(socket, timeout);
    if (authority) await checkCertificate(socket, intermediates, { host, authority });
    return new Link(new SocketStream(socket), maxQueued);
  } catch (error) {
    socket.destroy();
    throw failureOf(error, `${host}:${port}`, timeout);
  }
}

async function opened(socket: TLSSocket, timeout: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const timer = setTimeout(() => reject(new Error("late")), timeout);
  socket.once("secureConnect", resolve);
  socket.on("error", reject); // stays: what comes later is seen by who reads or writes
  socket.once("close", () => reject(new Error("closed")));
  try {
    await promise;
  } finally {
    clearTimeout(timer);
  }
}

/** The handshake has proved the key of this certificate; whether it is this CA's, and for this host, is told here. */
async function checkCertificate(
  socket: TLSSocket,
  intermediates: readonly Certificate[],
  { host, authority }: { readonly host: string; readonly authority: Certificate },
): Promise<void> {
  const { raw } = socket.getPeerCertificate();
  if (!socket.authorized || !((raw as unknown) instanceof Uint8Array)) throw new Error("untrusted");
  const chain = [parseCertificate(new Uint8Array(raw)), ...intermediates];
  const path = await findPath(chain, { authorities: [authority], revocations: [] }, { purpose: "server", host });
  const [problem] = path.problems(Date.now(), "current");
  if (problem !== undefined) throw untrusted(problem);
}

function untrusted(problem: string): Failure {
  return new Failure(
    EXIT.refused,
    `certificate validation failed: ${problem}; nothing was sent; ask whoever runs the server`,
  );
}

/** A server whose certificate isn't the CA's refuses itself, to `node:tls` or to the check after it. */
function failureOf(error: unknown, place: string, timeout: number): Failure {
  if (error instanceof Failure) return error;
  const { code = "", message = "" } = error instanceof Error ? error as Error & { code?: string } : {};
  if (message === "untrusted" || /VERIFY|CERT|ALTNAME|SIGNED/.test(code)) {
    return untrusted(`that of ${place} isn't one of the code's CA for that name`);
  }
  const why = message === "late"
    ? `no answer within ${timeout / 1000} s`
    : code === "ECONNREFUSED"
    ? "nothing listens there"
    : code === "ERR_SSL_WRONG_VERSION_NUMBER" || message.includes("corrupt message")
    ? NO_TLS
    : "the host can't be reached, or speaks no TLS there";
  return new Failure(
    EXIT.unavailable,
    `cannot connect to ${place} over TLS (${why}); check the address and that the server runs`,
  );
}

/** The socket as a {@link Link} uses it. */
class SocketStream implements ByteStream {
  readonly #socket: TLSSocket;
  readonly #chunks: AsyncIterator<Uint8Array>;
  #rest: Bytes = new Uint8Array(0);

  constructor(socket: TLSSocket) {
    this.#socket = socket;
    this.#chunks = socket[Symbol.asyncIterator]();
  }

  get remoteAddr(): Deno.Addr {
    const { remoteAddress: hostname = "", remotePort: port = 0 } = this.#socket;
    return { transport: "tcp", hostname, port };
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    if (this.#rest.length === 0) {
      const { done, value } = await this.#chunks.next();
      if (done) return null;
      this.#rest = concat(value);
    }
    const part = this.#rest.subarray(0, buffer.length);
    buffer.set(part);
    this.#rest = this.#rest.subarray(part.length);
    return part.length;
  }

  write(bytes: Uint8Array): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    this.#socket.write(bytes, (error) => error ? reject(error) : resolve(bytes.length));
    return promise;
  }

  closeWrite(): Promise<void> {
    this.#socket.end();
    return Promise.resolve();
  }

  close(): void {
    this.#socket.destroy();
  }
}
