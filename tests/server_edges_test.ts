/** A server at its edges: IPv6, links in its folder, certificates revoked at any moment, connections while it stops. */

import { DatabaseSync } from "node:sqlite";
import { assert } from "./assert.ts";
import { encodeUtf8 } from "../lib/bytes.ts";
import { issueRevocationList } from "../lib/ca.ts";
import { PeerError } from "../lib/handshake_client.ts";
import { authority, identities } from "./fixtures.ts";
import { skipUnless, startServer, temporaryFolder } from "./environment.ts";
import { loadRoomKey } from "../lib/room_key_file.ts";
import { certificates, Client, withServer } from "./server.ts";

/** What the other side says until it closes. */
async function closing(conn: Deno.Conn): Promise<string> {
  let said = "";
  try {
    for await (const chunk of conn.readable.pipeThrough(new TextDecoderStream())) said += chunk;
  } catch {
    // Reset is closed as well.
  }
  return said;
}

Deno.test({
  name: "over IPv6 connections are counted by network, and a TLS handshake that never ends is closed",
  ...skipUnless("unix"),
  fn: async () => {
    const limits = { SERVER_HOST: "::1", MAX_CONNECTIONS_PER_ADDRESS: "2", HANDSHAKE_TIMEOUT: "1" };
    await withServer(limits, async (server) => {
      const open = (port: number) => Deno.connect({ hostname: "::1", port });
      const held = [await open(server.tlsPort ?? 0), await open(server.port)];
      await held[0]?.write(encodeUtf8("\u0016\u0003\u0001\u0002"));
      assert.match(await closing(await open(server.port)), /"busy"/);
      for (const conn of held) await closing(conn);
      for (let tries = 0;; tries++) {
        const conn = await open(server.port);
        await conn.write(encodeUtf8("x\n"));
        const said = await closing(conn);
        if (said.includes("bad-frame")) break; // there is a place again
        assert.ok(tries < 100 && said.includes("busy"), said);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    });
  },
});

Deno.test({
  name: "a database that is a link to a file elsewhere is a database as any other",
  ...skipUnless("unix"),
  fn: async () => {
    using elsewhere = temporaryFolder();
    Deno.writeFileSync(`${elsewhere.path}/real.db`, new Uint8Array(0));
    using data = temporaryFolder();
    Deno.symlinkSync(`${elsewhere.path}/real.db`, `${data.path}/securechat.db`);
    await withServer({ DATA_DIR: data.path }, async (server) => {
      for (let i = 0; i < 3; i++) {
        const client = await Client.inSession(server);
        await client.say("hello");
        client.close();
      }
    });
    using database = new DatabaseSync(`${elsewhere.path}/real.db`);
    assert.equal(database.prepare("SELECT COUNT(*) AS n FROM users").get()?.["n"], 3);
  },
});

Deno.test("a certificate that is revoked between its hello and its session has a session for no longer than a second", async () => {
  using folder = temporaryFolder();
  const certs = `${folder.path}/certs`;
  Deno.mkdirSync(certs);
  for (const { name } of Deno.readDirSync(await certificates())) {
    Deno.copyFileSync(`${await certificates()}/${name}`, `${certs}/${name}`);
  }
  await withServer({ CERT_DIR: certs }, async (server) => {
    const client = await Client.open(server);
    client.connection.hello();
    await client.expect("ready");
    const now = Date.now();
    const serial = (await identities()).client.chain[0]?.serial ?? "";
    const times = { now: now - 1_000, nextUpdate: now + 86_400_000, number: 1n };
    const list = await issueRevocationList(await authority(), [{ serial, date: now - 1_000 }], times);
    Deno.writeTextFileSync(`${certs}/crl.pem`, list);
    await client.connection.register({ email: "ada@example.org", username: "ada", password: "correct horse" });
    // The list is looked at every second.
    await assert.rejects(async () => {
      while (await client.next() !== "end");
    }, (error) => error instanceof PeerError && error.frame.errorType === "bad-cert");
    client.close();
  });
});

Deno.test("connections that come while a server stops are closed, and keep it from nothing", async () => {
  await withServer({}, async (server) => {
    const inside = await Client.inSession(server);
    await inside.say("before");
    let isOver = false;
    const visits = (async () => {
      for (let count = 0;; count++) {
        const conn = await Deno.connect({ hostname: "127.0.0.1", port: server.port }).catch(() => undefined);
        if (!conn) return count;
        if (count % 2 === 0) await conn.write(encodeUtf8(`{"type":"hel`)).catch(() => {});
        void closing(conn);
        if (isOver) return count;
      }
    })();
    await new Promise((resolve) => setTimeout(resolve, 50));
    await server.stop();
    assert.equal(await inside.expectError(), "shutdown");
    isOver = true;
    assert.ok(await visits > 0);
  });
});

Deno.test("good receipts without end wait for the quota of lines", async () => {
  await withServer({ LINES_PER_SECOND: "1" }, async (server) => {
    const client = await Client.inSession(server);
    const began = performance.now();
    for (let i = 0; i < 12; i++) client.sendRaw(encodeUtf8(`{"type":"receipt","data":{}}\n`));
    await client.say("after them");
    assert.ok(performance.now() - began > 900, "the burst is ten lines");
    client.close();
  });
});

Deno.test("a server that finds its room key and no database says so", async () => {
  using data = temporaryFolder();
  await loadRoomKey(data.path);
  const args = ["--certs", await certificates(), "--data", data.path];
  await using server = await startServer(args, { cwd: data.path });
  assert.match(server.stderr(), /ERROR .* has a room key and had no database: .*stop the server and restore a backup/);
});
