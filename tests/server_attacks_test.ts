/**
 * What somebody can do to a server who wants to stall it, fill it or keep others out, in short. Each test waits for
 * what the server does, never for a time; `deno task soak --attacks` does the same at length and measures.
 */

import { DatabaseSync } from "node:sqlite";
import { assert } from "./assert.ts";
import { encodeUtf8 } from "../lib/bytes.ts";
import { LoginLimits } from "../lib/server_login_limits.ts";
import { loadIdentity } from "../lib/identity.ts";
import { MemberLimits } from "../lib/server_limits.ts";
import { certificates, Client, withServer } from "./server.ts";

/** Connections that say so much and then nothing. */
async function silent(port: number, count: number, said = ""): Promise<Deno.TcpConn[]> {
  const connections: Deno.TcpConn[] = [];
  for (let i = 0; i < count; i++) {
    const conn = await Deno.connect({ hostname: "127.0.0.1", port });
    if (said !== "") await conn.write(encodeUtf8(said));
    connections.push(conn);
  }
  return connections;
}

/** Resolves when the other side has closed it. */
async function closed(conn: Deno.TcpConn): Promise<void> {
  const buffer = new Uint8Array(1_024);
  try {
    while (await conn.read(buffer) !== null);
  } catch {
    // Reset is closed as well.
  }
  conn.close();
}

/** Tries until it works, for 15 seconds at most. */
async function eventually<T>(work: () => Promise<T>): Promise<T> {
  for (let tries = 150;; tries--) {
    try {
      return await work();
    } catch (error) {
      if (tries === 0) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

const PARTIAL_HELLO = "\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001";

Deno.test({
  name: "a TLS handshake that never ends is closed when its time is over, and its place is free",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    await withServer({ HANDSHAKE_TIMEOUT: "1", MAX_CONNECTIONS_PER_ADDRESS: "4" }, async (server) => {
      const port = server.tlsPort ?? 0;
      const held = [...await silent(port, 2), ...await silent(port, 2, PARTIAL_HELLO)];
      await Promise.all(held.map(closed));
      const client = await eventually(() => Client.inSession(server));
      client.close();
    });
  },
});

Deno.test({
  name: "connections over TLS that are refused as busy are closed, though they never end their handshake",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    await withServer({ HANDSHAKE_TIMEOUT: "3600", MAX_CONNECTIONS_PER_ADDRESS: "1" }, async (server) => {
      const inside = await Client.inSession(server);
      await Promise.all((await silent(server.tlsPort ?? 0, 50)).map(closed));
      await inside.say("who is in stays in");
      inside.close();
    });
  },
});

Deno.test("half-sent frames keep nobody out: the oldest give way, and whoever has a session stays", async () => {
  await withServer({ HANDSHAKE_TIMEOUT: "3600", MAX_CONNECTIONS: "4" }, async (server) => {
    const inside = await Client.inSession(server);
    const held = await silent(server.port, 3, `{"type":"hello"`);
    const client = await eventually(() => Client.inSession(server));
    await client.say("a newcomer");
    await inside.say("who was in");
    await closed(held[0] as Deno.TcpConn);
    for (const conn of held.slice(1)) conn.close();
    client.close();
    inside.close();
  });
});

Deno.test("wrong receipts without end leave some audit rows and the number of the others", async () => {
  await withServer({}, async (server, dir) => {
    const client = await Client.inSession(server);
    for (let i = 0; i < 250; i++) client.sendRaw(encodeUtf8(`{"type":"receipt","data":{}}\n`));
    await client.connection.quit();
    await client.expect("receipt");
    assert.equal(await client.next(), "end");
    await server.stop();
    using database = new DatabaseSync(`${dir}/data/securechat.db`);
    const rows = database.prepare("SELECT reason FROM audit_log WHERE event_type = 'receipt_invalid' ORDER BY id")
      .all();
    assert.deepEqual([rows.length, rows.at(-1)?.["reason"]], [61, "190 more like this in 15 minutes"]);
  });
});

Deno.test("codes that one account asks for without end are refused as rate-limited", async () => {
  await withServer({}, async (server, dir) => {
    const client = await Client.open(server, true);
    client.connection.hello();
    await client.expect("ready");
    await client.connection.register({ email: "ada@example.org", username: "ada", password: "correct horse" });
    await client.expect("welcome");
    for (let id = 0; id < 20; id++) {
      client.connection.request({ type: "code", id });
      const answer = await client.expect("frame");
      assert.ok(answer.type === "frame" && answer.frame.type === "code");
    }
    client.connection.request({ type: "code", id: 20 });
    const refused = await client.expect("request refused");
    assert.ok(refused.type === "request refused" && refused.error.errorType === "rate-limited");
    client.close();
    await server.stop();
    using database = new DatabaseSync(`${dir}/data/securechat.db`);
    assert.equal(database.prepare("SELECT COUNT(*) AS n FROM codes").get()?.["n"], 20);
  });
});

Deno.test("many connections of one address that show a certificate in version 1 leave some rows and one sum", async () => {
  await withServer({ ALLOW_V1: "true" }, async (server, dir) => {
    const pem = (await loadIdentity(await certificates(), "client")).pem;
    const nonce = "AAAAAAAAAAAAAAAAAAAAAA==";
    for (let tries = 0; tries < 90; tries++) {
      const client = await Client.open(server);
      client.sendRaw(encodeUtf8(`${JSON.stringify({ type: "hello", client_cert: pem, nonce })}\n{"type":"odd"}\n`));
      while (await client.next().catch(() => "end") !== "end");
      client.close();
    }
    await server.stop();
    using database = new DatabaseSync(`${dir}/data/securechat.db`);
    const rows = database.prepare("SELECT reason FROM audit_log WHERE event_type = 'v1_session' ORDER BY id").all();
    assert.deepEqual([rows.length, rows.at(-1)?.["reason"]], [61, "30 more like this in 15 minutes"]);
  });
});

Deno.test("sessions that one account begins without end are refused as rate-limited", () => {
  let now = 0;
  const limits = new MemberLimits({ linesPerSecond: 50, lineBytesPerSecond: 65_536 }, () => now);
  for (let count = 0; count < 500; count++) limits.checkSession("account 1");
  assert.throws(() => limits.checkSession("account 1"), /too many sessions/);
  limits.checkSession("account 2");
  now += 6_000;
  limits.checkSession("account 1");
  assert.throws(() => limits.checkSession("account 1"), /too many sessions/);
});

Deno.test("an account changes its password some times an hour and no more, whether or not the old one is right", () => {
  const limits = new MemberLimits({ linesPerSecond: 50, lineBytesPerSecond: 65_536 }, () => 0);
  for (let count = 0; count < 10; count++) limits.check("account 1", "password");
  assert.throws(() => limits.check("account 1", "password"), /too often/);
});

Deno.test("messages of a session wait for the account's quota, and none is lost", async () => {
  await withServer({ LINES_PER_SECOND: "1" }, async (server) => {
    const client = await Client.inSession(server);
    const began = performance.now();
    for (let i = 0; i < 12; i++) await client.connection.sendText(`line ${i}`);
    for (let i = 0; i < 12; i++) await client.expect("acknowledged");
    assert.ok(performance.now() - began > 900, "the burst is ten lines");
    client.close();
  });
});

Deno.test("wrong codes from one address keep nobody else from getting a certificate", () => {
  const settings = {
    loginFailuresPerAccount: 2,
    loginFailuresPerCertificate: 100,
    loginFailuresPerAddress: 3,
    lock: 900_000,
  };
  const limits = new LoginLimits(settings, () => 0);
  const stranger = { address: "198.51.100.7", clientFingerprint: "", isProven: false };
  const invited = { ...stranger, address: "203.0.113.9" };
  const [first, second, third] = [limits.fail(stranger), limits.fail(stranger), limits.fail(stranger)];
  assert.deepEqual([first.locked, second.locked, third.locked], [[], [], ["address_limited"]]);
  assert.equal(limits.holds(stranger), "from your address");
  assert.equal(limits.holds(invited), undefined);
  assert.equal(limits.fail(invited).count, 1);
});
