import { DatabaseSync } from "node:sqlite";
import { assert } from "./assert.ts";
import { encodeUtf8 } from "../lib/bytes.ts";
import type { CreateJournalFile } from "../lib/server_journal.ts";
import { certificate, identities } from "./fixtures.ts";
import { Client, withServer } from "./server.ts";

/** Tries until it works, for 10 seconds at most. */
async function eventually(work: () => Promise<void>): Promise<void> {
  for (let tries = 100;; tries--) {
    try {
      return await work();
    } catch (error) {
      if (tries === 0) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
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

Deno.test("a session in which nothing was said and nobody quit leaves no file, and one that is open has its journal", async () => {
  await withServer({}, async (server, dir) => {
    const count = () => [...Deno.readDirSync(`${dir}/data/journals`)].length;
    const client = await Client.inSession(server);
    assert.equal(count(), 1);
    client.close();
    await eventually(() => Promise.resolve(assert.equal(count(), 0)));
    const quitting = await Client.inSession(server);
    await quitting.connection.quit();
    await quitting.expect("receipt");
    assert.equal(await quitting.next(), "end");
    await server.stop();
    assert.equal(count(), 2, "the receipt and the empty journal that it is of");
    using database = new DatabaseSync(`${dir}/data/securechat.db`);
    const open = database.prepare("SELECT COUNT(*) AS count FROM sessions WHERE ended_at IS NULL").get();
    assert.equal(open?.["count"], 0);
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

Deno.test("a session ends with the client's certificate, with rooms and without, silent or not", async () => {
  await withServer({}, async (server) => {
    const leaf = await certificate("client", { role: "client", name: "ada" }, {
      now: Date.now(),
      days: 10 / 86_400,
    });
    const { client: { key } } = await identities();
    const open = async (rooms: boolean, username: string) => {
      const client = await Client.open(server, rooms, "tcp", { chain: [leaf], pem: leaf.pem, key });
      client.connection.hello();
      await client.expect("ready");
      await client.connection.register({ email: `${username}@example.org`, username, password: "correct horse" });
      await client.expect(rooms ? "welcome" : "session");
      return client;
    };
    const [silent, plain] = [await open(true, "ada"), await open(false, "bob")];
    await plain.say("in time");
    assert.equal(await silent.expectError(), "bad-cert");
    assert.ok(Date.now() < leaf.notAfter - 2_000, "a head can still cover what was said last in a room");
    await new Promise((resolve) => setTimeout(resolve, leaf.notAfter + 1000 - Date.now()));
    await plain.connection.sendText("too late");
    assert.equal(await plain.expectError(), "bad-cert");
  });
});

Deno.test("connections beyond the limits, in all and for one address, are told busy, and have a place again later", async () => {
  for (const setting of ["MAX_CONNECTIONS", "MAX_CONNECTIONS_PER_ADDRESS"]) {
    await withServer({ [setting]: "2" }, async (server) => {
      const clients = [await Client.inSession(server), await Client.inSession(server)];
      const third = await Client.open(server);
      assert.equal(await third.expectError(), "busy", setting);
      clients[0]?.close();
      await eventually(async () => (await Client.inSession(server)).close());
      clients[1]?.close();
    });
  }
});

Deno.test("an address that shows bad certificates without end leaves no more audit rows, and is served", async () => {
  await withServer({}, async (server, dir) => {
    const inside = await Client.inSession(server);
    const refused = async () => {
      const client = await Client.open(server);
      client.sendRaw(encodeUtf8(`{"type":"hello","client_cert":"none","nonce":"AAAAAAAAAAAAAAAAAAAAAA=="}\n`));
      return await client.expectError();
    };
    for (let tries = 0; tries < 80; tries++) assert.equal(await refused(), "bad-cert");
    await inside.connection.sendText("who is in stays in");
    await inside.expect("acknowledged");
    await server.stop();
    using database = new DatabaseSync(`${dir}/data/securechat.db`);
    const rows = database.prepare("SELECT event_type, COUNT(*) AS n FROM audit_log GROUP BY 1 ORDER BY 1").all();
    assert.deepEqual(rows.map(({ event_type, n }) => `${event_type} ${n}`), [
      "cert_invalid 61",
      "log_started 1",
      "registration 1",
    ]);
  });
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
