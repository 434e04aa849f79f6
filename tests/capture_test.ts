/** What an eavesdropper on the network sees of whole sessions: no password, no text, no token. */

import { DatabaseSync } from "node:sqlite";
import { assert } from "./assert.ts";
import { type Bytes, concat, encodeUtf8 } from "../lib/bytes.ts";
import { passwordDigest } from "../lib/password.ts";
import { SQLITE_FILE } from "../lib/store_sqlite.ts";
import { run, runCommand, skipUnless, startServer, temporaryFolder } from "./environment.ts";
import { findSecrets, type Secrets } from "./secrets.ts";
import { certificates } from "./server.ts";

const PASSWORD = "Pässwort-9f1c-marked";
const TEXTS = ["the raven flies at midnight", "käse und brötchen, marked"];

/** Registers, chats and quits through that port, then logs in and does so again. */
async function twoSessions(port: number, cwd: string): Promise<void> {
  await Deno.writeTextFile(`${cwd}/password`, `${PASSWORD}\n`, { mode: 0o600 });
  const account = ["--email", "ada@example.org", "--json"];
  for (const how of [["--register", "--username", "ada"], ["--login"]]) {
    const at = ["--host", "localhost", "--port", `${port}`, "--certs", await certificates()];
    const { status, stderr } = await run(["chat", ...at, ...how, ...account], {
      cwd,
      env: { SECURECHAT_PASSWORD_FILE: "password" },
      stdin: TEXTS.map((text) => `${text}\n`).join(""),
    });
    assert.equal(status, 0, stderr);
  }
}

/** What must not be seen, from the server's own database. */
function secretsOf(data: string): Secrets {
  using database = new DatabaseSync(`${data}/${SQLITE_FILE}`, { readOnly: true });
  const secrets: Record<string, string | Uint8Array> = { password: PASSWORD };
  TEXTS.forEach((text, number) => secrets[`text ${number}`] = text);
  for (const { salt, pwd_hash } of database.prepare("SELECT salt, pwd_hash FROM users").all()) {
    assert(salt instanceof Uint8Array);
    secrets["the password's digest"] = passwordDigest(salt, PASSWORD);
    secrets["the password's record"] = String(pwd_hash);
  }
  for (const { session_token } of database.prepare("SELECT session_token FROM sessions").all()) {
    secrets[`token ${session_token}`] = String(session_token);
  }
  return secrets;
}

/** A proxy on the loopback that keeps every byte of both directions. */
function startProxy(target: number): { port: number; seen: { toServer: Bytes; toClient: Bytes }; close(): void } {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const seen = { toServer: new Uint8Array(0), toClient: new Uint8Array(0) };
  const pump = async (from: Deno.Conn, to: Deno.Conn, direction: keyof typeof seen) => {
    const buffer = new Uint8Array(65_536);
    for (let size = await from.read(buffer); size !== null; size = await from.read(buffer)) {
      seen[direction] = concat(seen[direction], buffer.subarray(0, size));
      for (let sent = 0; sent < size;) sent += await to.write(buffer.subarray(sent, size));
    }
    await to.closeWrite();
  };
  (async () => {
    for await (const client of listener) {
      const server = await Deno.connect({ hostname: "127.0.0.1", port: target });
      await Promise.allSettled([pump(client, server, "toServer"), pump(server, client, "toClient")]);
      client.close();
      server.close();
    }
  })();
  return { port: listener.addr.port, seen, close: () => listener.close() };
}

Deno.test("findSecrets() finds a planted password in every spelling", () => {
  const base64 = (text: string) => btoa(String.fromCharCode(...encodeUtf8(text)));
  const planted = [
    `{"password":"${PASSWORD}"}`,
    JSON.stringify({ password: PASSWORD }).replace("ä", "\\u00e4"),
    base64(PASSWORD),
    base64(`1${PASSWORD}`),
    base64(`22${PASSWORD} and more`),
    [...encodeUtf8(PASSWORD)].map((byte) => byte.toString(16).padStart(2, "0")).join(""),
  ];
  for (const text of planted) {
    assert.deepEqual(findSecrets(encodeUtf8(`before ${text} after`), { password: PASSWORD }), ["password"], text);
  }
  assert.deepEqual(findSecrets(encodeUtf8(PASSWORD.slice(1)), { password: PASSWORD }), []);
});

Deno.test("a recording proxy sees no password, no text and no token of a whole session, in either direction", async () => {
  using folder = temporaryFolder();
  const data = `${folder.path}/data`;
  await using server = await startServer(["--certs", await certificates(), "--data", data], { cwd: folder.path });
  const proxy = startProxy(server.port);
  await twoSessions(proxy.port, folder.path);
  proxy.close();
  await server.stop();

  const secrets = secretsOf(data);
  assert.equal(Object.keys(secrets).filter((name) => name.startsWith("token")).length, 2);
  for (const [direction, bytes] of Object.entries(proxy.seen)) {
    const frames = new TextDecoder().decode(bytes).trim().split("\n").map((line) => JSON.parse(line).type);
    assert(frames.includes(direction === "toServer" ? "login" : "receipt"), `${direction}: the sessions were not seen`);
    assert.deepEqual(findSecrets(bytes, secrets), [], direction);
  }
});

Deno.test({
  name: "tshark finds a planted password with the filter of the seed's page, and none of a session's",
  ...skipUnless("tshark"),
  async fn() {
    using folder = temporaryFolder();
    const data = `${folder.path}/data`;
    await using server = await startServer(["--certs", await certificates(), "--data", data], { cwd: folder.path });
    const file = `${folder.path}/capture.pcapng`;
    const tshark = new Deno.Command("tshark", {
      args: ["-q", "-i", "lo", "-f", `tcp port ${server.port}`, "-w", file],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    const stderr = tshark.stderr.pipeThrough(new TextDecoderStream()).getReader();
    for (let said = ""; !said.includes("Capturing on");) {
      const { value, done } = await stderr.read();
      assert(!done, `tshark ended: ${said}`);
      said += value;
    }
    await new Promise((resolve) => setTimeout(resolve, 500)); // it says so a little before it does

    const conn = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
    await conn.write(encodeUtf8('{"type":"login","email":"eve@example.org","password":"planted password"}\n'));
    await conn.read(new Uint8Array(4096));
    conn.close();
    await twoSessions(server.port, folder.path);
    await new Promise((resolve) => setTimeout(resolve, 1000)); // what the kernel still holds
    tshark.kill("SIGINT");
    await tshark.status;
    await stderr.cancel();

    const found = async (text: string) => {
      const filter = `json.value.string contains "${text}"`;
      const shown = await runCommand("tshark", ["-r", file, "-d", `tcp.port==${server.port},json`, "-Y", filter]);
      assert.equal(shown.status, 0, shown.stderr);
      return shown.stdout.trim() === "" ? 0 : shown.stdout.trim().split("\n").length;
    };
    assert.equal(await found("planted password"), 1);
    assert(await found("msg_ack") >= 2, "the sessions were captured");
    for (const text of [PASSWORD, "marked", ...TEXTS]) assert.equal(await found(text), 0, text);
  },
});
