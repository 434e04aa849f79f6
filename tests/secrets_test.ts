/**
 * A server and clients at LOG_LEVEL=debug, with secrets that are marked, wrong passwords and broken frames: no
 * password, key, passphrase, token or text in any log, on stdout or stderr, in the database or in a journal.
 */

import { assert } from "./assert.ts";
import { decrypt } from "../lib/aes_cbc.ts";
import { type Bytes, concat, encodeUtf8, parseUtf8 } from "../lib/bytes.ts";
import { DhKey, GROUP_14 } from "../lib/dh.ts";
import { parseFrame } from "../lib/frame.ts";
import { ClientConnection } from "../lib/handshake_client.ts";
import { parseDhServer } from "../lib/message.ts";
import { passwordDigest } from "../lib/password.ts";
import { encodePrivateKey } from "../lib/private_key.ts";
import { parseLine } from "../lib/transcript.ts";
import { connect } from "../lib/transport.ts";
import { writeCertificates } from "./certificate_folder.ts";
import { run, skipUnless, startServer, temporaryFolder } from "./environment.ts";
import { identities, key } from "./fixtures.ts";
import { findSecrets, type Secrets } from "./secrets.ts";
import { Client } from "./server.ts";

const MARKED = {
  password: "Pässword-marked-1",
  "wrong password": "wrong-marked-2",
  passphrase: "passphrase-marked-3",
  text: "a text that is märked, 4",
  "text over 16,000 octets": "marked-5-",
  "text in a broken frame": "frame-marked-6",
  "database password": "db/p@ss:marked-7",
};

const random = (size: number): Bytes => crypto.getRandomValues(new Uint8Array(size));

/** A piece out of a private key that is the key's alone, cut so that no line of PEM breaks it. */
async function pieceOfKey(name: string): Promise<Bytes> {
  return (await key(name)).slice(336, 360);
}

/** A session in this process; the keys that it agreed on, and the digest that it sent. */
async function session(port: number): Promise<Record<string, Bytes>> {
  const { client, trust } = await identities();
  const link = await connect("127.0.0.1", port, { timeout: 5000, maxQueued: 1 << 20 });
  const drawn: Bytes[] = [];
  let came: Bytes = new Uint8Array(0);
  const connection = new ClientConnection({
    identity: client,
    trust: () => Promise.resolve(trust),
    host: "localhost",
    allowV1: false,
    now: () => Date.now(),
    random: (size) => {
      const bytes = random(size);
      drawn.push(bytes.slice()); // whoever draws a secret wipes it
      return bytes;
    },
    send: (bytes) => link.send(bytes),
  });
  const expect = async (type: string) => {
    for (;;) {
      const event = await connection.next();
      if (event) return assert.equal(event.type, type);
      const chunk = await link.read();
      assert(chunk, `the server is gone where ${type} should come`);
      came = concat(came, chunk);
      connection.receive(chunk);
    }
  };
  connection.hello();
  await expect("ready");
  await connection.register({ email: "bob@example.org", username: "bob", password: MARKED.password });
  await expect("session");
  const { line } = await connection.sendText(MARKED.text);
  await expect("acknowledged");
  await connection.quit();
  await expect("receipt");
  link.close();

  const frames = new TextDecoder().decode(came).trim().split("\n").map((line) => parseFrame(encodeUtf8(line)));
  const answers = frames.filter(({ type }) => type === "dh_server").map(({ fields }) => parseDhServer(fields).B);
  const secrets = drawn.filter(({ length }) => length === 32);
  const keys: Record<string, Bytes> = {};
  for (const [step, name] of ["the credentials", "the session"].entries()) {
    const [secret, answer] = [secrets[step], answers[step]];
    assert(secret && answer);
    keys[`DH secret of ${name}`] = secret.slice(1); // its first bit is set later
    const agreed = new DhKey(GROUP_14, () => secret.slice()).agree(answer);
    assert(agreed);
    keys[`key of ${name}`] = agreed;
  }
  const body = parseLine(line)?.body;
  const sessionKey = keys["key of the session"];
  assert(body && sessionKey);
  assert.equal(parseUtf8(decrypt(sessionKey, body) ?? body), MARKED.text, "that is not the session's key");
  for (const drawnSalt of drawn.filter(({ length }) => length === 16)) {
    keys[`digest ${Object.keys(keys).length}`] = passwordDigest(drawnSalt, MARKED.password);
  }
  return keys;
}

/** The token of a session with rooms, and the one that it is given when it goes on. */
async function tokens(port: number): Promise<Record<string, Bytes>> {
  const welcome = async (enter: (client: Client) => Promise<void>) => {
    const client = await Client.open({ port }, true);
    client.connection.hello();
    await client.expect("ready");
    await enter(client);
    const event = await client.expect("welcome");
    assert(event.type === "welcome");
    client.close();
    return event.token;
  };
  const carl = { email: "carl@example.org", username: "carl", password: MARKED.password };
  const token = await welcome((client) => client.connection.register(carl));
  return { token, "second token": await welcome((client) => client.connection.resume(token)) };
}

/** Every file under a folder, but those with the secrets themselves. */
function* files(folder: string): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(folder)) {
    if (/^(?:certs|.*\.secret)$/.test(name)) continue;
    if (isDirectory) yield* files(`${folder}/${name}`);
    else yield `${folder}/${name}`;
  }
}

Deno.test("at LOG_LEVEL=debug no log, output, database or journal holds a password, a key, a passphrase, a token or a text", async () => {
  using folder = temporaryFolder();
  const path = (name: string) => `${folder.path}/${name}`;
  await writeCertificates(path("certs"));
  const protectedKey = await encodePrivateKey(await key("server"), MARKED.passphrase, random);
  await Deno.writeTextFile(path("certs/server_private_key.pem"), protectedKey);
  const secretFile = async (name: string, text: string) =>
    await Deno.writeTextFile(path(`${name}.secret`), `${text}\n`, { mode: 0o600 });
  await secretFile("password", MARKED.password);
  await secretFile("wrong", MARKED["wrong password"]);
  await secretFile("passphrase", MARKED.passphrase);
  const env = {
    LOG_LEVEL: "debug",
    DB_URL: "sqlite",
    DB_PASSWORD: MARKED["database password"],
    SECURECHAT_KEY_PASSPHRASE_FILE: "passphrase.secret",
  };

  await using server = await startServer([], { cwd: folder.path, env });
  const chat = (how: string[], password: string, stdin: string) =>
    run(["chat", "--host", "localhost", "--port", `${server.port}`, "--email", "ada@example.org", "--json", ...how], {
      cwd: folder.path,
      env: { ...env, SECURECHAT_PASSWORD_FILE: `${password}.secret` },
      stdin,
    });
  const long = MARKED["text over 16,000 octets"].repeat(2000);
  const ended = [
    await chat(["--register", "--username", "ada"], "password", `${MARKED.text}\n${long}\n`),
    await chat(["--login"], "wrong", `${MARKED.text}\n`),
    await chat(["--login"], "password", `${MARKED.text}\n`),
  ];
  assert.deepEqual(ended.map(({ status }) => status), [0, 4, 0], ended.map(({ stderr }) => stderr).join(""));
  const keys = { ...await session(server.port), ...await tokens(server.port) };
  const marked = MARKED["text in a broken frame"];
  for (
    const frame of [
      `{"type":"${marked}"}`,
      `{"type":"hello","client_cert":"${marked}","nonce":"${marked}","v":2}`,
      `{"type":"login","password":"${marked}"}`,
      `${marked}`,
    ]
  ) {
    const conn = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
    await conn.write(encodeUtf8(`${frame}\n`));
    while (await conn.read(new Uint8Array(4096)) !== null);
    conn.close();
  }
  const { status, stdout, stderr } = await server.stop();
  assert.equal(status, 0);
  const log = await Deno.readTextFile(path("logs/server.log"));
  assert.match(log, /message received/, "the log is at debug");

  const secrets: Secrets = {
    ...MARKED,
    ...keys,
    "the server's key": await pieceOfKey("server"),
    "the client's key": await pieceOfKey("client"),
  };
  const clientKey = await Deno.readFile(path("certs/client_private_key.pem"));
  assert.deepEqual(findSecrets(clientKey, secrets), ["the client's key"], "a key that is there is found");
  const places: Record<string, Uint8Array> = { stdout: encodeUtf8(stdout), stderr: encodeUtf8(stderr) };
  for (const file of files(folder.path)) places[file] = await Deno.readFile(file);
  for (const part of ["/data/securechat.db", "/data/journals/", "/logs/", "/transcripts/"]) {
    assert(Object.keys(places).some((place) => place.includes(part)), `nothing was found in ${part}`);
  }
  for (const [place, bytes] of Object.entries(places)) assert.deepEqual(findSecrets(bytes, secrets), [], place);

  // What a client shows its own user are the texts; nothing else of it.
  const { text: _, ...others } = secrets;
  for (const { stdout, stderr } of ended) {
    assert.deepEqual(findSecrets(encodeUtf8(stdout), others), []);
    assert.deepEqual(findSecrets(encodeUtf8(stderr), secrets), []);
  }
});

Deno.test("a server that can't start says so without the password of the database or of a key", async () => {
  using folder = temporaryFolder();
  await writeCertificates(`${folder.path}/certs`);
  const url = `mysql://chat:${encodeURIComponent(MARKED["database password"])}@127.0.0.1:1/chat`;
  const start = (env: Record<string, string>, ...args: string[]) =>
    run(["serve", "--port", "0", ...args], { cwd: folder.path, env });
  const away = await start({ LOG_LEVEL: "debug", DB_URL: url });
  assert.equal(away.status, 5, away.stderr);
  const wrongUrl = await start({ DB_URL: `${url}?x=1` });
  assert.equal(wrongUrl.status, 2);
  const onCommandLine = await start({}, "--db", url);
  assert.equal(onCommandLine.status, 2);
  assert.match(
    onCommandLine.stderr,
    /--db holds a password, which every user of this machine can read; set DB_PASSWORD/,
  );
  for (const { stdout, stderr } of [away, wrongUrl, onCommandLine]) {
    const secrets = { ...MARKED, "in the URL": encodeURIComponent(MARKED["database password"]) };
    assert.deepEqual(findSecrets(encodeUtf8(stdout + stderr), secrets), [], stderr);
  }
});

Deno.test({
  name: "every file that a server makes is its owner's alone, those of a rotated log too",
  ...skipUnless("unix"),
  fn: async () => {
    using folder = temporaryFolder();
    await writeCertificates(`${folder.path}/certs`);
    const env = { DB_URL: "sqlite", LOG_FILE: "server.log", LOG_MAX_BYTES: "4096", LOG_LEVEL: "debug" };
    await using server = await startServer([], { cwd: folder.path, env });
    for (let visit = 0; visit < 40; visit++) {
      const conn = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
      await conn.write(encodeUtf8("nothing that makes sense\n"));
      while (await conn.read(new Uint8Array(4096)) !== null);
      conn.close();
    }
    assert.equal((await server.stop()).status, 0);
    const made = [...files(folder.path)].filter((file) => !file.includes("/certs/"));
    for (const part of ["/server.log", "/server.log.1", "/securechat.db"]) {
      assert(made.some((file) => file.endsWith(part)), `${part} is missing among ${made}`);
    }
    for (const file of made) assert.equal((Deno.statSync(file).mode ?? 0) & 0o077, 0, file);
  },
});
