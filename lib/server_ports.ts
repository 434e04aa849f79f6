/**
 * The ports of a server: one without TLS, one with it, each of them off if the settings say so. A TLS listener can't
 * change its certificate: for a renewed one it is closed, and opened anew on the same port.
 *
 * @layer outside
 */

import type { Config } from "./config.ts";
import { EXIT, Failure } from "./errors.ts";
import type { ServerIdentity } from "./identity.ts";
import { listen, listenTls, portOf } from "./transport.ts";

/** Accepts connections until the listener is closed. */
export type Accept = (listener: Deno.TcpListener | Deno.TlsListener) => Promise<void>;

/** The port for TLS that the settings say. */
export function tlsPort({ TLS_PORT, SERVER_PORT }: Config): number | "off" {
  if (TLS_PORT !== undefined || SERVER_PORT === 0) return TLS_PORT ?? 0;
  if (SERVER_PORT === 65_535) {
    throw new Failure(EXIT.usage, "there is no port behind 65535 for TLS; name one with --tls-port");
  }
  return SERVER_PORT + 1;
}

/** The listeners of a server. */
export class Ports {
  /** The address of the port without TLS. */
  readonly host: string;
  /** The port without TLS that the server really listens on; 0 if that is off. */
  readonly port: number;
  /** The same for TLS, if that is on: it listens on SERVER_HOST. */
  readonly tlsPort: number | undefined;
  readonly #config: Config;
  readonly #plain: Deno.TcpListener | undefined;
  #tls: Deno.TlsListener | undefined;
  #accept: Accept | undefined;
  #accepting: Promise<void> = Promise.resolve();
  #acceptingTls: Promise<void> = Promise.resolve();
  #isClosed = false;

  /** Listens. Failure if that can't be done, or no port is on. */
  constructor(config: Config, identity: ServerIdentity) {
    const { PLAIN_HOST, SERVER_HOST, SERVER_PORT } = config;
    this.#config = config;
    this.#plain = PLAIN_HOST === "off" ? undefined : listen(PLAIN_HOST ?? SERVER_HOST, SERVER_PORT);
    const wanted = tlsPort(config);
    this.#tls = wanted === "off" ? undefined : this.#listenTls(identity, wanted);
    if (!this.#plain && !this.#tls) {
      throw new Failure(EXIT.usage, "PLAIN_HOST and TLS_PORT are both off: there is no port to listen on");
    }
    this.host = this.#plain?.addr.hostname ?? SERVER_HOST;
    this.port = this.#plain?.addr.port ?? 0;
    this.tlsPort = this.#tls && portOf(this.#tls);
  }

  #listenTls({ pem, keyPem }: ServerIdentity, port: number): Deno.TlsListener {
    return listenTls(this.#config.SERVER_HOST, port, { cert: pem, key: keyPem });
  }

  /** Begins to accept connections. */
  open(accept: Accept): void {
    this.#accept = accept;
    if (this.#plain) this.#accepting = accept(this.#plain);
    if (this.#tls) this.#acceptingTls = accept(this.#tls);
  }

  /** Closes the TLS listener, whose certificate is an old one; resolves when its port is free. */
  async closeTls(): Promise<void> {
    this.#tls?.close();
    this.#tls = undefined;
    await this.#acceptingTls;
  }

  /** Listens for TLS again, unless it does, or TLS is off, or everything is closed. */
  reopenTls(identity: ServerIdentity): void {
    if (this.#tls || this.tlsPort === undefined || this.#isClosed) return;
    this.#tls = this.#listenTls(identity, this.tlsPort);
    if (this.#accept) this.#acceptingTls = this.#accept(this.#tls);
  }

  /** Listens no more. */
  close(): void {
    this.#isClosed = true;
    this.#plain?.close();
    this.#tls?.close();
  }

  /** Resolves when nothing is accepted any more. */
  async settled(): Promise<void> {
    await Promise.all([this.#accepting, this.#acceptingTls]);
  }
}
