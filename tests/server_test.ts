import { DatabaseSync } from "node:sqlite";
import { assert } from "./assert.ts";
import { type Bytes, encodeUtf8 } from "../lib/bytes.ts";
import { readConfig } from "../lib/config.ts";
import { ClientConnection, type ClientEvent, PeerError } from "../lib/handshake_client.ts";
import { loadIdentity, loadTrust } from "../lib/identity.ts";
import type { CreateJournalFile } from "../lib/journal.ts";
import { SILENT } from "../lib/log.ts";
import { connect, type Link } from "../lib/transport.ts";
import { type RunningServer, serve } from "../server.ts";
import { run as init } from "../tools/init.ts";

/** A server in this process, on a folder of its own. */
async function withServer(
  settings: Readonly<Record<string, string>>,
  test: (server: RunningServer, dir: string) => Promise<void>,
  createJournalFile?: CreateJournalFile,
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
  const config = readConfig("serve", {}, { environment: (name) => all[name], file: undefined });
  const server = await serve({ config, log: SILENT, ...(createJournalFile ? { createJournalFile } : {}) });
  try {
    await test(server, dir);
  } finally {
    await server.stop();
    await Deno.remove(dir, { recursive: true });
  }
}

let made: Promise<string> | undefined;

function certificates(): Promise<string> {
  return made ??= (async () => {
    const dir = await Deno.makeTempDir({ prefix: "securechat-certs-" });
    await init(["--certs", dir]);
    return dir;
  })();
}

/** A client on a real socket. */
class Client {
  readonly connection: ClientConnection;
  readonly #link: Link;
  readonly #events: ClientEvent[] = [];

  private constructor(connection: ClientConnection, link: Link) {
    this.connection = connection;
    this.#link = link;
  }

  static async open(server: RunningServer): Promise<Client> {
    const dir = await certificates();
    const link = await connect("127.0.0.1", server.port, { timeout: 5_000, maxQueued: 1 << 20 });
    const trust = await loadTrust(dir);
    const connection = new ClientConnection({
      identity: await loadIdentity(dir, "client"),
      trust: () => Promise.resolve(trust),
      host: "localhost",
      allowV1: false,
      now: () => Date.now(),
      random: (size) => crypto.getRandomValues(new Uint8Array(size)),
      send: (bytes: Bytes) => link.send(bytes),
    });
    return new Client(connection, link);
  }

  static #count = 0;

  /** A client whose session stands, with an account of its own. */
  static async inSession(server: RunningServer): Promise<Client> {
    const client = await Client.open(server);
    client.connection.hello();
    await client.expect("ready");
    const name = `ada${Client.#count++}`;
    await client.connection.register({ email: `${name}@example.org`, username: name, password: "correct horse" });
    await client.expect("session");
    return client;
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

/** Whether nothing has come of a promise for a moment. */
async function isPending(promise: Promise<unknown>, time = 150): Promise<boolean> {
  const pending = Symbol();
  const late = new Promise((resolve) => setTimeout(() => resolve(pending), time));
  return await Promise.race([promise, late]) === pending;
}

Deno.test("no acknowledgement leaves while its line's flush is held back, and the next lines are read meanwhile", async () => {
  let release: (() => void) | undefined;
  let written = "";
  const create: CreateJournalFile = () =>
    Promise.resolve({
      write: (bytes) => {
        written += new TextDecoder().decode(bytes);
        return Promise.resolve(bytes.length);
      },
      syncData: () => new Promise((resolve) => release = resolve),
      close: () => {},
    });
  await withServer({}, async (server) => {
    const client = await Client.inSession(server);
    await client.connection.sendText("one");
    await client.connection.sendText("two");
    const first = client.next();
    assert.ok(await isPending(first), "acknowledged before the flush");
    assert.ok(written.startsWith("0|"), "the line has not reached the file");
    release?.();
    const event = await first;
    assert.ok(event !== "end" && event.type === "acknowledged" && event.message.seqno === 0);
    const second = client.next();
    assert.ok(await isPending(second), "the second was acknowledged with the first one's flush");
    release?.();
    await second;
    client.close();
  }, create);
});

Deno.test("a flush that fails ends the session without an acknowledgement", async () => {
  const create: CreateJournalFile = () =>
    Promise.resolve({
      write: (bytes) => Promise.resolve(bytes.length),
      syncData: () => Promise.reject(new Error("no space left on device")),
      close: () => {},
    });
  await withServer({}, async (server, dir) => {
    const client = await Client.inSession(server);
    await client.connection.sendText("one");
    assert.equal(await client.expectError(), "server-error");
    await server.stop();
    using database = new DatabaseSync(`${dir}/data/securechat.db`);
    const row = database.prepare("SELECT ended_at FROM sessions").get();
    assert.equal(row?.["ended_at"], null, "the session is left for the next start, which reads the journal");
  }, create);
});

Deno.test("a session leaves its journal, both receipts, and its row in the database", async () => {
  await withServer({}, async (server, dir) => {
    const client = await Client.inSession(server);
    for (const text of ["one", "two"]) {
      await client.connection.sendText(text);
      await client.expect("acknowledged");
    }
    client.connection.sendReceipt(await client.connection.makeReceipt());
    await client.connection.quit();
    await client.expect("receipt");
    assert.equal(await client.next(), "end");
    await server.stop();
    using database = new DatabaseSync(`${dir}/data/securechat.db`);
    const row = database.prepare("SELECT * FROM sessions").get() ?? {};
    assert.equal(row["message_count"], 2);
    assert.equal(row["transcript_hash"], client.connection.summary.hash());
    const token = String(row["session_token"]);
    const names = [...Deno.readDirSync(`${dir}/data/journals`)].map(({ name }) => name).sort();
    assert.deepEqual(names, [`${token}.client_receipt.json`, `${token}.receipt.json`, `${token}.transcript`]);
    const events = database.prepare("SELECT event_type FROM audit_log ORDER BY id").all().map((r) => r["event_type"]);
    assert.ok(events.includes("registration"), events.join());
  });
});

Deno.test("a stopped server tells open sessions, and leaves their receipts on its disk", async () => {
  await withServer({}, async (server, dir) => {
    const client = await Client.inSession(server);
    await client.connection.sendText("one");
    await client.expect("acknowledged");
    const stopped = server.stop();
    assert.equal(await client.expectError(), "shutdown");
    await stopped;
    const names = [...Deno.readDirSync(`${dir}/data/journals`)].map(({ name }) => name);
    assert.ok(names.some((name) => name.endsWith(".receipt.json")));
    await assert.rejects(Client.open(server), /cannot connect/);
  });
});

Deno.test("connections beyond the limits, in all and for one address, are told busy, and have a place again later", async () => {
  for (const setting of ["MAX_CONNECTIONS", "MAX_CONNECTIONS_PER_ADDRESS"]) {
    await withServer({ [setting]: "2" }, async (server) => {
      const clients = [await Client.inSession(server), await Client.inSession(server)];
      const third = await Client.open(server);
      assert.equal(await third.expectError(), "busy", setting);
      clients[0]?.close();
      await new Promise((resolve) => setTimeout(resolve, 100));
      const fourth = await Client.inSession(server);
      fourth.close();
      clients[1]?.close();
    });
  }
});

Deno.test("a handshake that takes too long and a session that is silent for too long are told timeout", async () => {
  await withServer({ HANDSHAKE_TIMEOUT: "1", CONNECTION_TIMEOUT: "1" }, async (server) => {
    const silent = await Client.open(server);
    assert.equal(await silent.expectError(), "timeout");
    const slow = await Client.open(server);
    const trickle = setInterval(() => slow.sendRaw(encodeUtf8(" ")), 100);
    assert.equal(await slow.expectError(), "timeout");
    clearInterval(trickle);
    const idle = await Client.inSession(server);
    assert.equal(await idle.expectError(), "timeout");
  });
});
