/**
 * Two connections on a link in memory: a real client and a real server, the bytes between them whole, one at a time or
 * cut at random, and a hand in between that may change or drop what passes.
 */

import type { Bytes } from "../lib/bytes.ts";
import { ClientConnection, type ClientEvent, type ClientOptions } from "../lib/handshake_client.ts";
import { ServerConnection, type ServerEvent, type ServerOptions } from "../lib/handshake_server.ts";
import { countingRandom, fixedClock, identities } from "./fixtures.ts";

/** How the link hands bytes on. */
export type Chunks = "whole" | "single bytes" | "odd pieces";

/** Changes a chunk on its way; `undefined` drops it. */
export type Tamper = (bytes: Bytes, to: "client" | "server") => Bytes | undefined;

/** What a pair may differ in. */
export interface PairOptions {
  readonly chunks?: Chunks;
  readonly tamper?: Tamper;
  readonly client?: Partial<ClientOptions>;
  readonly server?: Partial<ServerOptions>;
}

/** Both sides, and what has happened on each. */
export class Pair {
  readonly client: ClientConnection;
  readonly server: ServerConnection;
  readonly clientEvents: ClientEvent[] = [];
  readonly serverEvents: ServerEvent[] = [];
  /** Every frame that left a side, in order, as `C> …` and `S> …` lines without LF. */
  readonly flow: string[] = [];
  readonly #toClient: Bytes[] = [];
  readonly #toServer: Bytes[] = [];
  readonly #options: PairOptions;

  private constructor(client: ClientConnection, server: ServerConnection, options: PairOptions) {
    this.client = client;
    this.server = server;
    this.#options = options;
  }

  static async create(options: PairOptions = {}): Promise<Pair> {
    const { client, server, trust } = await identities();
    const common = { trust: () => Promise.resolve(trust), now: fixedClock, random: countingRandom() };
    // deno-lint-ignore prefer-const -- the connections send through the pair that is made of them
    let pair: Pair;
    const clientSide = new ClientConnection({
      ...common,
      identity: client,
      host: "localhost",
      allowV1: false,
      send: (bytes) => pair.#pass(bytes, "server"),
      ...options.client,
    });
    const serverSide = new ServerConnection({
      ...common,
      identity: server,
      allowV1: true,
      send: (bytes) => pair.#pass(bytes, "client"),
      ...options.server,
    });
    pair = new Pair(clientSide, serverSide, options);
    return pair;
  }

  #pass(bytes: Bytes, to: "client" | "server"): void {
    this.flow.push(`${to === "server" ? "C" : "S"}> ${new TextDecoder().decode(bytes).trimEnd()}`);
    const passed = this.#options.tamper ? this.#options.tamper(bytes, to) : bytes;
    if (passed) (to === "server" ? this.#toServer : this.#toClient).push(...cut(passed, this.#options.chunks));
  }

  /** Sends raw bytes to a side, as an outsider would. */
  inject(bytes: Bytes, to: "client" | "server"): void {
    (to === "server" ? this.#toServer : this.#toClient).push(bytes);
  }

  /** Hands bytes on until nothing moves, taking whoever asks in and acknowledging what is accepted. */
  async run(): Promise<void> {
    for (let moved = true; moved;) {
      moved = false;
      for (const chunk of this.#toServer.splice(0)) {
        moved = true;
        this.server.receive(chunk);
        for (let event = await this.server.next(); event; event = await this.server.next()) {
          this.serverEvents.push(event);
          await this.#answer(event);
        }
      }
      for (const chunk of this.#toClient.splice(0)) {
        moved = true;
        this.client.receive(chunk);
        for (let event = await this.client.next(); event; event = await this.client.next()) {
          this.clientEvents.push(event);
        }
      }
    }
  }

  async #answer(event: ServerEvent): Promise<void> {
    if (event.type === "credentials") {
      if (event.credentials.type === "salt") this.server.answerSalt(new Uint8Array(16));
      else this.server.accept();
    } else if (event.type === "message") this.server.acknowledge(event.seqno);
    else if (event.type === "stale") this.server.refuse(event.error);
    else if (event.type === "quit") this.server.sendReceipt(await this.server.makeReceipt());
  }

  /** Goes on until the session stands. */
  async open(): Promise<void> {
    this.client.hello();
    await this.run();
    await this.client.register({ email: "ada@example.org", username: "ada", password: "correct horse" });
    await this.run();
  }
}

function cut(bytes: Bytes, chunks: Chunks = "whole"): Bytes[] {
  if (chunks === "whole") return [bytes];
  const pieces: Bytes[] = [];
  for (let at = 0, size = 1; at < bytes.length; at += size) {
    size = chunks === "single bytes" ? 1 : (size * 7 + 3) % 61 + 1;
    pieces.push(bytes.slice(at, at + size));
  }
  return pieces;
}
