/**
 * Sockets that were closed, until the system has really closed them. If a TLS handshake hasn't ended, the runtime's
 * `close` returns at once and leaves the socket open for as long as the peer likes, so a limit on closed connections
 * would count too few. Here each closed connection is looked for among the process's descriptors. One that is still
 * there is shut down, and {@link ClosingSockets.gone} resolves when it isn't there any more.
 *
 *     const closing = new ClosingSockets(5001, SocketTable.open());
 *     conn.close();
 *     await closing.gone(conn.remoteAddr);   // only now its place is free
 *
 * One look serves all that were closed in the last 50 ms. If the system can't be asked (`libc.ts`), what was closed
 * counts as gone.
 *
 * @layer outside
 */

import { peerKey, type SocketTable } from "./libc.ts";

/** How long closed sockets are gathered for one look, in milliseconds; it also is the time that a clean close has. */
const LOOK_AFTER = 50;

/** The closed connections of one listener. */
export class ClosingSockets {
  readonly #port: number;
  readonly #table: Pick<SocketTable, "accepted" | "shutDown"> | undefined;
  readonly #waiting = new Map<string, () => void>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(port: number, table: Pick<SocketTable, "accepted" | "shutDown"> | undefined) {
    this.#port = port;
    this.#table = table;
  }

  /** Resolves when the system has no connection with this peer any more. To be called once it was closed. */
  gone(peer: Deno.NetAddr): Promise<void> {
    if (!this.#table) return Promise.resolve();
    return new Promise((resolve) => {
      const key = peerKey(peer);
      this.accepted(peer);
      this.#waiting.set(key, resolve);
      this.#timer ??= setTimeout(() => this.#look(), LOOK_AFTER);
    });
  }

  /**
   * A new connection with this peer was accepted: so the earlier one is gone, and the new one isn't to be shut down.
   */
  accepted(peer: Deno.NetAddr): void {
    const key = peerKey(peer);
    this.#waiting.get(key)?.();
    this.#waiting.delete(key);
  }

  #look(): void {
    this.#timer = undefined;
    const open = this.#table?.accepted(this.#port);
    for (const [key, resolve] of this.#waiting) {
      const fd = open?.get(key);
      if (fd !== undefined) {
        this.#table?.shutDown(fd);
        continue;
      }
      this.#waiting.delete(key);
      resolve();
    }
    if (this.#waiting.size > 0) this.#timer = setTimeout(() => this.#look(), LOOK_AFTER);
  }

  /** Looks no more. */
  stop(): void {
    clearTimeout(this.#timer);
    for (const resolve of this.#waiting.values()) resolve();
    this.#waiting.clear();
  }
}
