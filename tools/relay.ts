/**
 * A network that can be cut, for the demo and the tests: TCP on the loopback, passed on to a port as it comes.
 *
 *     using network = new Relay(5001);             clients connect to network.port
 *     network.cut();                               one connection, any, is dropped without a word to either side
 *     network.down(); …; network.up();             all are, and nobody gets through in between
 */

/** What stands between clients and a server on this machine. */
export class Relay implements Disposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #target: number;
  /** The connections that are passed on, by the end at the client. */
  readonly #passed = new Map<Deno.Conn, Deno.Conn>();
  /** How many connections were cut. */
  cuts = 0;
  #isDown = false;

  constructor(target: number) {
    this.#target = target;
    void this.#accept();
  }

  /** Where clients connect to. */
  get port(): number {
    return this.#listener.addr.port;
  }

  async #accept(): Promise<void> {
    try {
      for await (const conn of this.#listener) void this.#pass(conn);
    } catch {
      // The listener was closed.
    }
  }

  async #pass(client: Deno.Conn): Promise<void> {
    try {
      const server = await Deno.connect({ hostname: "127.0.0.1", port: this.#target });
      this.#passed.set(client, server);
      if (this.#isDown) return this.#drop(client);
      await Promise.race([pump(client, server), pump(server, client)]);
    } catch {
      // Nobody listens there now, or one of both is gone.
    }
    this.#drop(client);
  }

  /** Drops a connection, any of those that are there, without a word to either side. */
  cut(): void {
    const all = [...this.#passed.keys()];
    const one = all[Math.floor(Math.random() * all.length)];
    if (one === undefined) return;
    this.cuts += 1;
    this.#drop(one);
  }

  /** Drops all connections, and every new one until {@link up}. */
  down(): void {
    this.#isDown = true;
    for (const client of [...this.#passed.keys()]) this.#drop(client);
  }

  up(): void {
    this.#isDown = false;
  }

  #drop(client: Deno.Conn): void {
    for (const conn of [client, this.#passed.get(client)]) {
      try {
        conn?.close();
      } catch {
        // It was closed.
      }
    }
    this.#passed.delete(client);
  }

  [Symbol.dispose](): void {
    this.#listener.close();
    this.down();
  }
}

async function pump(from: Deno.Conn, to: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(16_384);
  for (let size = await from.read(buffer); size !== null; size = await from.read(buffer)) {
    for (let sent = 0; sent < size;) sent += await to.write(buffer.subarray(sent, size));
  }
}
