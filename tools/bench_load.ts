/**
 * The benchmark's people: clients in this process for a server in another one. They sign with a {@link BenchKey}, and
 * what is to be sent at full speed is sealed and signed before the clock starts, so that the server is the limit.
 */

import type { Identity } from "../lib/certificate_identity.ts";
import { type Bytes, concat, encodeUtf8 } from "../lib/bytes.ts";
import type { Trust } from "../lib/certificate_path.ts";
import { ClientConnection, type ClientEvent } from "../lib/handshake_client.ts";
import { connect, type Link } from "../lib/transport.ts";

/** Where the people go, and who they are. */
export interface Target {
  readonly port: number;
  readonly identity: Identity;
  readonly trust: Trust;
}

/** An account that is good on the server under test. */
export interface LoadAccount {
  readonly email: string;
  readonly username: string;
  readonly password: string;
}

/** How far a person goes into the handshake. */
export type Depth = "hello" | "salt" | "login" | "register";

/** Messages sent and not acknowledged, on one connection: enough to keep a server busy, as a fast client would. */
const WINDOW = 128;
/** Messages in one write. */
const BURST = 16;

const ERROR = encodeUtf8('"type":"error"');
const LF = 0x0a;

/** One connection. */
export class Visitor {
  readonly #link: Link;
  readonly #connection: ClientConnection;
  /** While this is set, frames gather here in place of being sent. */
  #held: Bytes[] | undefined;

  private constructor(link: Link, { identity, trust }: Target) {
    this.#link = link;
    this.#connection = new ClientConnection({
      identity,
      trust: () => Promise.resolve(trust),
      host: "localhost",
      allowV1: false,
      now: Date.now,
      random: (size) => crypto.getRandomValues(new Uint8Array(size)),
      send: (bytes) => this.#held ? void this.#held.push(bytes) : link.send(bytes),
    });
  }

  /** A person who has gone so far with the server. */
  static async arrive(target: Target, depth: Depth, account: LoadAccount): Promise<Visitor> {
    const link = await connect("127.0.0.1", target.port, { timeout: 30_000, maxQueued: 1 << 28 });
    const visitor = new Visitor(link, target);
    try {
      await visitor.#enter(depth, account);
    } catch (error) {
      link.close();
      throw error;
    }
    return visitor;
  }

  async #enter(depth: Depth, account: LoadAccount): Promise<void> {
    const connection = this.#connection;
    connection.hello();
    // "hello" alone ends with the server_hello, which no event tells: the answer is what comes first.
    if (depth === "hello") return void await this.#link.read();
    await this.#expect("ready");
    if (depth === "register") await connection.register(account);
    else {
      connection.askSalt(account.email);
      const event = await this.#expect("salt");
      if (depth === "salt" || event.type !== "salt") return;
      await connection.login({ ...account, salt: event.salt });
    }
    await this.#expect("session");
  }

  async #expect(type: ClientEvent["type"]): Promise<ClientEvent> {
    while (true) {
      const event = await this.#connection.next();
      if (event?.type === type) return event;
      if (event) throw new Error(`${event.type} came in place of ${type}`);
      const chunk = await this.#link.read();
      if (!chunk) throw new Error(`the server ended the connection before ${type}`);
      this.#connection.receive(chunk);
    }
  }

  /** Seals and signs texts; they leave with {@link sendPrepared}. */
  async prepare(texts: readonly string[]): Promise<Bytes[]> {
    this.#held = [];
    for (const text of texts) await this.#connection.sendText(text);
    const frames = this.#held;
    this.#held = undefined;
    return frames;
  }

  /** Sends prepared frames as fast as they are acknowledged, {@link WINDOW} of them ahead. */
  async sendPrepared(frames: readonly Bytes[]): Promise<void> {
    let [sent, acknowledged] = [0, 0];
    while (acknowledged < frames.length) {
      while (sent < frames.length && sent + BURST - acknowledged <= WINDOW) {
        this.#link.send(concat(...frames.slice(sent, sent + BURST)));
        sent += BURST;
      }
      acknowledged += await this.#readAcknowledgements();
    }
  }

  /** Sends one text and waits for its acknowledgement. */
  async say(text: string): Promise<void> {
    await this.#connection.sendText(text);
    await this.#expect("acknowledged");
  }

  async #readAcknowledgements(): Promise<number> {
    const chunk = await this.#link.read();
    if (!chunk) throw new Error("the server ended the connection");
    let count = 0;
    for (let at = chunk.indexOf(LF); at >= 0; at = chunk.indexOf(LF, at + 1)) count++;
    if (includes(chunk, ERROR)) throw new Error(new TextDecoder().decode(chunk));
    return count;
  }

  leave(): void {
    this.#link.close();
  }
}

function includes(bytes: Uint8Array, part: Uint8Array): boolean {
  for (let at = bytes.indexOf(part[0] ?? 0); at >= 0; at = bytes.indexOf(part[0] ?? 0, at + 1)) {
    if (part.every((byte, i) => bytes[at + i] === byte)) return true;
  }
  return false;
}

/** Runs `task` for 0 to `count` - 1, so many at a time. */
export async function inParallel(count: number, width: number, task: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  await Promise.all(Array.from({ length: width }, async () => {
    while (next < count) await task(next++);
  }));
}
