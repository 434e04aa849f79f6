/**
 * Where connections come in. Each accepted connection gets a place (`server_places.ts`) and becomes a connected client,
 * or is told why not and closed. A place is free again only when the system has closed the socket
 * (`server_sockets.ts`).
 *
 * A refused connection that is being told why takes a socket as well. At most {@link MAX_TOLD} are told at the same
 * time; further ones are closed without a word.
 *
 * @layer outside
 */

import { encodeError } from "./frame.ts";
import { messageOf, ProtocolError } from "./errors.ts";
import type { Channel } from "./handshake_server.ts";
import type { SocketTable } from "./libc.ts";
import type { Log } from "./logging.ts";
import type { Place, Places } from "./server_places.ts";
import { ClosingSockets } from "./server_sockets.ts";
import { sourceOf } from "./server_throttle.ts";
import { sleep } from "./system.ts";
import { Link } from "./transport.ts";

/** Refused connections that are told so at the same time. */
const MAX_TOLD = 32;
/** Closed sockets that the system still has, before no further one is accepted. */
const MAX_CLOSING = 512;
/** How long accepting rests after it failed, in milliseconds. */
const REST = 100;

/** What goes on in one connection. */
export interface Admitted {
  /** Resolves when the link is closed. Never rejects. */
  run(): Promise<void>;
  /** Ends it, since its place is needed. */
  giveWay(): void;
}

/** What an entrance works with. */
export interface EntranceOptions {
  readonly log: Log;
  readonly places: Places;
  /** How many bytes may wait for a client that doesn't read. */
  readonly maxQueuedBytes: number;
  /** Why nobody is let in now; `undefined` if people are. */
  readonly refusal: () => ProtocolError | undefined;
  readonly admit: (link: Link, channel: Channel, place: Place) => Admitted;
  readonly sockets: SocketTable | undefined;
}

/** The listeners of a server, and who came in by them. */
export class Entrance {
  readonly #options: EntranceOptions;
  readonly #closing = new Map<number, ClosingSockets>();
  #closingCount = 0;
  #told = 0;
  #isStopping = false;

  constructor(options: EntranceOptions) {
    this.#options = options;
  }

  /** Accepts connections until the listener is closed or the entrance stops. */
  async accept(listener: Deno.TcpListener | Deno.TlsListener): Promise<void> {
    while (!this.#isStopping) {
      try {
        await this.#welcome(await listener.accept());
      } catch (error) {
        if (this.#isStopping || error instanceof Deno.errors.BadResource) return;
        // Out of file descriptors, or a connection that was gone before it was accepted: the others go on.
        this.#options.log.error("a connection could not be accepted", { reason: messageOf(error) });
        await sleep(REST);
      }
    }
  }

  async #welcome(conn: Deno.TcpConn | Deno.TlsConn): Promise<void> {
    const { places, maxQueuedBytes, log, refusal } = this.#options;
    const isTls = !("setNoDelay" in conn);
    if (!isTls) conn.setNoDelay(true);
    const peer = conn.remoteAddr as Deno.NetAddr;
    const closing = isTls ? this.#closingOf(conn.localAddr as Deno.NetAddr) : undefined;
    closing?.accepted(peer);
    const link = new Link(conn, maxQueuedBytes);
    const { address } = link;
    const inside: { client?: Admitted } = {};
    const error = refusal();
    const place = error ? undefined : places.take(sourceOf(address), () => inside.client?.giveWay());
    if (!place) {
      const reason = error ?? new ProtocolError("busy", "There are too many connections; try again later.");
      log.warn("a connection was refused", { address, error: reason.code });
      return await this.#refuse(link, reason, () => this.#gone(closing, peer));
    }
    const client = this.#options.admit(link, isTls ? "tls" : isLoopback(address) ? "loopback" : "plain", place);
    inside.client = client;
    void client.run()
      .then(() => this.#gone(closing, peer))
      .finally(() => places.leave(place));
  }

  /** Tells somebody why not, unless many are being told; waits where too many sockets are on their way out. */
  async #refuse(link: Link, error: ProtocolError, gone: () => Promise<void>): Promise<void> {
    if (this.#told < MAX_TOLD) {
      this.#told += 1;
      link.send(encodeError(error));
      void link.finish().finally(() => this.#told -= 1).then(gone);
      return;
    }
    link.close();
    const isGone = gone();
    if (this.#closingCount > MAX_CLOSING) await isGone;
  }

  async #gone(closing: ClosingSockets | undefined, peer: Deno.NetAddr): Promise<void> {
    if (!closing || this.#isStopping) return;
    this.#closingCount += 1;
    await closing.gone(peer);
    this.#closingCount -= 1;
  }

  #closingOf({ port }: Deno.NetAddr): ClosingSockets {
    const known = this.#closing.get(port) ?? new ClosingSockets(port, this.#options.sockets);
    this.#closing.set(port, known);
    return known;
  }

  /** Accepts nobody any more. The listeners are the caller's to close. */
  stop(): void {
    this.#isStopping = true;
    for (const closing of this.#closing.values()) closing.stop();
    this.#options.sockets?.close();
  }
}

function isLoopback(address: string): boolean {
  return /^127\./.test(address) || address === "::1" || /^::ffff:127\./.test(address);
}
