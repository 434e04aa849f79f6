/** A server in this process, and clients on real sockets for it or for one in another process. */

import type { Identity } from "../lib/certificate_identity.ts";
import { assert } from "./assert.ts";
import { writeCertificates } from "./certificate_folder.ts";
import type { Bytes } from "../lib/bytes.ts";
import { type Config, readConfig } from "../lib/config.ts";
import { ClientConnection, type ClientEvent, PeerError } from "../lib/handshake_client.ts";
import { loadIdentity, loadTrust } from "../lib/identity.ts";
import type { CreateJournalFile } from "../lib/server_journal.ts";
import { SILENT } from "../lib/logging.ts";
import { connect, connectTls, type Link } from "../lib/transport.ts";
import { type RunningServer, serve } from "../server.ts";

/** A server in this process, on a folder of its own. */
export async function withServer(
  settings: Readonly<Record<string, string>>,
  test: (server: RunningServer, dir: string) => Promise<void>,
  createJournalFile?: CreateJournalFile,
  /** Settings that no operator may make: a test's clock runs faster. */
  faster: Partial<Config> = {},
): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "securechat-" });
  const certs = await certificates();
  const all: Record<string, string> = {
    SERVER_HOST: "127.0.0.1",
    SERVER_PORT: "0",
    CERT_DIR: certs,
    DATA_DIR: `${dir}/data`,
    ...settings,
  };
  const config = { ...readConfig("serve", {}, { environment: (name) => all[name], file: undefined }), ...faster };
  const server = await serve({ config, log: SILENT, ...(createJournalFile ? { createJournalFile } : {}) });
  try {
    await test(server, dir);
  } finally {
    await server.stop();
    await Deno.remove(dir, { recursive: true });
  }
}

let made: Promise<string> | undefined;

/** The CERT_DIR of servers and clients: made once, removed when the tests of this file are over. */
export function certificates(): Promise<string> {
  return made ??= (async () => {
    const dir = await Deno.makeTempDir({ prefix: "securechat-certs-" });
    addEventListener("unload", () => Deno.removeSync(dir, { recursive: true }));
    await writeCertificates(`${dir}/certs`);
    return `${dir}/certs`;
  })();
}

/** A client on a real socket. */
export class Client {
  readonly connection: ClientConnection;
  readonly #link: Link;
  readonly #events: ClientEvent[] = [];

  private constructor(connection: ClientConnection, link: Link) {
    this.connection = connection;
    this.#link = link;
  }

  /** `rooms`: asks for them, as over TLS and over the loopback it may. `identity`: another than CERT_DIR's. */
  static async open(
    server: { readonly port: number; readonly tlsPort?: number | undefined },
    rooms = false,
    over: "tcp" | "tls" = "tcp",
    identity?: Identity,
  ): Promise<Client> {
    const dir = await certificates();
    const options = { timeout: 5_000, maxQueued: 1 << 20 };
    const authorities = [await Deno.readTextFile(`${dir}/ca_cert.pem`)];
    const link = over === "tls"
      ? await connectTls("localhost", server.tlsPort ?? 0, { ...options, authorities })
      : await connect("127.0.0.1", server.port, options);
    const trust = await loadTrust(dir);
    const connection = new ClientConnection({
      identity: identity ?? await loadIdentity(dir, "client"),
      trust: () => Promise.resolve(trust),
      host: "localhost",
      allowV1: false,
      rooms,
      now: () => Date.now(),
      random: (size) => crypto.getRandomValues(new Uint8Array(size)),
      send: (bytes: Bytes) => link.send(bytes),
    });
    return new Client(connection, link);
  }

  static #count = 0;

  /** A client whose session stands, with an account of its own. */
  static async inSession(server: { readonly port: number }): Promise<Client> {
    const client = await Client.registering(server);
    await client.expect("session");
    return client;
  }

  /** A client that has sent its registration. */
  static async registering(server: { readonly port: number }): Promise<Client> {
    const client = await Client.open(server);
    client.connection.hello();
    await client.expect("ready");
    const name = `ada${Client.#count++}`;
    await client.connection.register({ email: `${name}@example.org`, username: name, password: "correct horse" });
    return client;
  }

  /** Sends a text and waits for its acknowledgement. */
  async say(text: string): Promise<void> {
    await this.connection.sendText(text);
    await this.expect("acknowledged");
  }

  /** The next event; "end" where the connection is over without one. Throws PeerError. */
  async next(): Promise<ClientEvent | "end"> {
    while (true) {
      const event = this.#events.shift() ?? await this.connection.next();
      if (event) return event;
      const chunk = await this.#link.read();
      if (!chunk) return "end";
      this.connection.receive(chunk);
    }
  }

  async expect(type: ClientEvent["type"]): Promise<ClientEvent> {
    const event = await this.next();
    assert.ok(event !== "end" && event.type === type, `${event === "end" ? event : event.type} came for ${type}`);
    return event;
  }

  /** The error that the server ends the conversation with. */
  async expectError(): Promise<string> {
    try {
      const event = await this.next();
      return `no error: ${event === "end" ? event : event.type}`;
    } catch (error) {
      if (error instanceof PeerError) return error.frame.errorType;
      throw error;
    } finally {
      this.close();
    }
  }

  sendRaw(bytes: Bytes): void {
    this.#link.send(bytes);
  }

  close(): void {
    this.#link.close();
  }
}
