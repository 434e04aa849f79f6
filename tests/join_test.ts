/**
 * `securechat invite` and `securechat join`, run as people run them, against a server over TLS on the loopback.
 */

import { encodeHex } from "../lib/bytes.ts";
import { type Authority, createAuthority } from "../lib/ca.ts";
import { makeIssuer, makePair } from "../lib/ca_folder.ts";
import { authorityMark, parseCodeToken } from "../lib/code_token.ts";
import { encodeFrame } from "../lib/frame.ts";
import { sha256 } from "../lib/hash.ts";
import { loadIdentity, loadIssuer, loadTrust } from "../lib/identity.ts";
import type { RunningServer } from "../server.ts";
import { assert } from "./assert.ts";
import { auditRows, eventually } from "./audit_rows.ts";
import { writeCertificates } from "./certificate_folder.ts";
import { type Ended, program, run, skipUnless, temporaryFolder } from "./environment.ts";
import { authority, issuing, key } from "./fixtures.ts";
import { startMariadb } from "./mariadb.ts";
import { openTerminal } from "./pty.ts";
import { withServer } from "./server.ts";

let made: Promise<string> | undefined;

/** An operator's CERT_DIR, made once by `init`, in a folder of its own. */
function operator(): Promise<string> {
  return made ??= (async () => {
    const dir = await Deno.makeTempDir({ prefix: "securechat-operator-" });
    addEventListener("unload", () => Deno.removeSync(dir, { recursive: true }));
    const { status, stderr } = await run(["init"], { cwd: dir });
    assert.equal(status, 0, stderr);
    return `${dir}/certs`;
  })();
}

/** Puts a server's pair below an issuing CA into a CERT_DIR, the issuing CA's certificate behind it. */
async function certifyServer(dir: string, issuer: Authority): Promise<void> {
  const files = { certificate: `${dir}/server_cert.pem`, key: `${dir}/server_private_key.pem` };
  for (const path of Object.values(files)) await Deno.remove(path);
  const request = { role: "server", name: "localhost", hosts: ["localhost", "127.0.0.1"] } as const;
  await makePair(dir, issuer, request, { days: 30, bits: 2048, files });
  await Deno.writeTextFile(files.certificate, issuer.certificate.pem, { append: true });
}

interface Login {
  /** That of the folder's name where this is left out; none where it is `undefined`. */
  readonly email?: string | undefined;
  readonly password?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** A server with an issuing CA, people's folders, and the commands as they are run there. */
class Place {
  constructor(
    readonly server: RunningServer,
    readonly dir: string,
    readonly certs: string,
    readonly settings: Readonly<Record<string, string>>,
  ) {}

  invite(...args: string[]): Promise<Ended> {
    const own = ["--certs", this.certs, "--data", `${this.dir}/data`];
    const port = args.includes("--port") ? [] : ["--port", String(this.server.tlsPort)];
    return run(["invite", ...args, ...port, ...own], { cwd: this.dir, env: this.settings });
  }

  /** `chat`, which knows no rooms, with the certificate that `init` made. */
  chat(...args: string[]): Promise<Ended> {
    const server = ["--host", "localhost", "--port", String(this.server.port), "--certs", this.certs];
    return run(["chat", ...args, ...server], { cwd: this.dir, env: this.#password("alice"), stdin: "" });
  }

  /** The code of an invitation. */
  async code(name: string, ...args: string[]): Promise<string> {
    const { status, stdout, stderr } = await this.invite(name, ...args);
    assert.equal(status, 0, stderr);
    return stdout.trim();
  }

  /** `join` into the folder of that name, as whoever has that e-mail address. */
  join(
    folder: string,
    code: string,
    login: Login = {},
  ): Promise<Ended> {
    return this.#asPerson(["join", code], folder, { email: `${folder}@example.org`, ...login });
  }

  /** `invite --device`, as whoever has joined in that folder: with the token of before, or with the password. */
  device(folder: string, how: "token" | "password"): Promise<Ended> {
    const server = ["--host", "localhost", "--port", String(this.server.tlsPort)];
    const who = how === "token" ? { env: { SECURECHAT_PASSWORD_FILE: "" } } : { email: `${folder}@example.org` };
    return this.#asPerson(["invite", "--device", ...server], folder, who);
  }

  /** `password`, as whoever has joined in that folder. */
  newPassword(folder: string, old: string, next: string | undefined, ...args: string[]): Promise<Ended> {
    const server = ["--host", "localhost", "--tls-port", String(this.server.tlsPort)];
    const file = `${this.dir}/${folder}.next`;
    if (next !== undefined) Deno.writeTextFileSync(file, `${next}\n`, { mode: 0o600 });
    const chosen = next === undefined ? ["--generate"] : ["--new-password-file", file];
    const who = args.length > 0 ? undefined : `${folder}@example.org`;
    return this.#asPerson(["password", ...args, ...chosen, ...server], folder, { email: who, password: old });
  }

  /** `rooms`, as whoever has joined in that folder, who types this. */
  says(folder: string, typed: string): Promise<Ended> {
    const server = ["--host", "localhost", "--tls-port", String(this.server.tlsPort)];
    return this.#asPerson(["rooms", "--plain", ...server], folder, {}, typed);
  }

  #asPerson(args: string[], folder: string, { email, password, env = {} }: Login, stdin = "") {
    return run([...args, "--certs", `${this.dir}/${folder}`, ...email === undefined ? [] : ["--email", email]], {
      ...{ cwd: this.dir, stdin },
      env: { ...this.#password(folder, password), TRANSCRIPT_DIR: `${this.dir}/${folder}.transcripts`, ...env },
    });
  }

  #password(folder: string, password = "correct horse"): Readonly<Record<string, string>> {
    const file = `${this.dir}/${folder}.password`;
    Deno.writeTextFileSync(file, `${password}\n`, { mode: 0o600 });
    return { SECURECHAT_PASSWORD_FILE: file };
  }

  files(folder: string): string[] {
    try {
      return [...Deno.readDirSync(`${this.dir}/${folder}`)].map(({ name }) => name).sort();
    } catch {
      return [];
    }
  }
}

async function withPlace(
  test: (place: Place) => Promise<void>,
  { certs, settings = {} }: { certs?: string; settings?: Readonly<Record<string, string>> } = {},
): Promise<void> {
  const dir = certs ?? await operator();
  const all = { CERT_DIR: dir, LOGIN_DELAY_MS: "0", ...settings };
  await withServer(all, (server, data) => test(new Place(server, data, dir, settings)));
}

function assertDone({ status, stdout, stderr }: Ended): string {
  assert.equal(status, 0, stderr);
  return stdout.trim();
}

/** One sentence, no stack, no secret. */
function assertSentence({ status, stderr }: Ended, wanted: number, sentence: RegExp): void {
  assert.equal(status, wanted, stderr);
  assert.match(stderr, sentence);
  assert.equal(stderr.trimEnd().split("\n").length, 1, stderr);
}

const IDENTITY = ["ca_cert.pem", "client_cert.pem", "client_private_key.pem"];

Deno.test("an invitation brings somebody in with nothing but its code, once", async () => {
  await withPlace(async (place) => {
    const invited = await place.invite("alice");
    assert.equal(invited.status, 0, invited.stderr);
    const code = invited.stdout.trim();
    assert.deepEqual(invited.stdout, `${code}\n`);
    assert.ok(invited.stderr.includes(`securechat join ${code}\n`), invited.stderr);
    assert.match(invited.stderr, /as secretly as a password/);
    assert.equal(parseCodeToken(code)?.port, place.server.tlsPort);

    const joined = await place.join("alice", code);
    assert.equal(joined.status, 0, joined.stderr);
    assert.match(joined.stderr, /^You are alice on localhost,/);
    const next = / rooms (--host localhost .*)\n$/.exec(joined.stderr)?.[1] ?? assert.fail(joined.stderr);
    const rooms = await run(["rooms", "--json", ...next.split(" ")], { cwd: place.dir, stdin: "" });
    assert.match(assertDone(rooms), /"event":"online".*"username":"alice"/, "without a password");
    assert.deepEqual(place.files("alice"), IDENTITY);
    const issued = (row: string) => /^certificate_issued: .*alice/.test(row);
    await eventually(() => assert.equal(auditRows(`${place.dir}/data`).filter(issued).length, 1));
    if (Deno.build.os !== "windows") {
      assert.equal((Deno.statSync(`${place.dir}/alice/client_private_key.pem`).mode ?? 0) & 0o777, 0o600);
    }
    const { chain } = await loadIdentity(`${place.dir}/alice`, "client");
    assert.deepEqual(chain.map(({ subject }) => subject.replace(/ of .*/, "")), [
      ...["CN=CLIENT: alice", "CN=Secure Chat issuing CA"],
    ]);

    assertSentence(await place.join("mallory", code), 4, /The code is wrong, was used, or has ended/);
    assertSentence(await place.join("alice", code), 2, /alice\/client_private_key\.pem is there already/);
    const taken = await place.invite("bob", "--email", "alice@example.org");
    assertSentence(taken, 2, /alice@example\.org is the address of another account here, alice/);
  });
});

Deno.test("a code for an e-mail address registers with that one, unasked, and with no other", async () => {
  await withPlace(async (place) => {
    const invited = await place.invite("alice", "--email", "Alice@example.org");
    const code = assertDone(invited);
    assert.match(
      invited.stderr,
      /Whoever uses it first becomes alice, with the address alice@example\.org and no other\.\n$/,
    );
    const other = "mallory@example.org";
    assertSentence(await place.join("alice", code, { email: "nobody" }), 2, /"nobody" isn't a valid e-mail address/);
    assert.deepEqual(place.files("alice"), []);
    assertSentence(await place.join("alice", code, { email: other }), 2, /is for alice@example\.org, not for mallory@/);
    const joined = await place.join("alice", code, { email: undefined });
    assertDone(joined);
    assert.match(joined.stderr, /^You are alice on localhost,.*\nNext: .* --email alice@example\.org /);
  });
});

Deno.test("nobody takes the name or the address of somebody who is invited, not without rooms either", async () => {
  await withPlace(async (place) => {
    const code = await place.code("carol", "--email", "carol@example.org");
    const taken = /address or username is taken/;
    const register = (name: string, email: string) => place.chat("--register", "--username", name, "--email", email);
    assertSentence(await register("Carol", "mallory@example.org"), 4, taken);
    assertSentence(await register("mallory", "carol@example.org"), 4, taken);
    assertDone(await place.join("carol", code));
    assertDone(await register("mallory", "mallory@example.org"));
  });
});

Deno.test("a password is changed with the old one, made anew, and reset with an operator's code and a certificate", async () => {
  await withPlace(async (place) => {
    assertDone(await place.join("alice", await place.code("alice")));
    assertSentence(
      await place.newPassword("alice", "wrong password", "garage-otter"),
      4,
      /address or the password is wrong/,
    );
    const short = await place.newPassword("alice", "correct horse", "short");
    assertSentence(short, 2, /is refused: A new password needs at least 8 characters/);
    assertDone(await place.newPassword("alice", "correct horse", "Gare\u0301 du\u00a0Nord 7"));
    const made = await place.newPassword("alice", "Gar\u00e9 du Nord 7", undefined);
    assertDone(made);
    const [, password = ""] = /^Your password is (\S+)$/m.exec(made.stderr) ?? [];

    assertSentence(
      await place.invite("alice", "--reset", "--email", "bob@example.org"),
      2,
      /no account alice with the address bob@/,
    );
    const code = await place.code("alice", "--reset", "--email", "alice@example.org");
    assertDone(await place.join("bob", await place.code("bob")));
    const stolen = await place.newPassword("bob", "", "garage-otter", code);
    assertSentence(stolen, 4, /The code is wrong, was used, or has ended/);
    assertSentence(await place.join("carol", code), 2, /sets another password; run: .* password CODE/);
    assertDone(await place.newPassword("alice", "", "garage-otter", code));
    assertSentence(await place.newPassword("alice", "", "other-garage", code), 4, /The code is wrong, was used/);
    assertSentence(await place.newPassword("alice", password, "garage-otter"), 4, /address or the password is wrong/);
    assertDone(await place.newPassword("alice", "garage-otter", "otter-garage"));
  });
});

Deno.test("a code that was cut or mistyped, has ended, or is of another server's CA is refused, and makes nothing", async () => {
  await withPlace(async (place) => {
    const code = await place.code("alice");
    for (const wrong of [code.slice(0, -3), `${code.slice(0, -1)}${code.endsWith("A") ? "B" : "A"}`, "hello"]) {
      assertSentence(await place.join("alice", wrong), 2, /this code is incomplete or mistyped/);
    }
    assertSentence(await run(["join", code, "localhost"], { cwd: place.dir }), 2, /the code comes last/);
    const ended = await place.code("bob", "--ttl", "1s");
    await new Promise((go) => setTimeout(go, 1_100));
    assertSentence(await place.join("bob", ended), 4, /has ended; ask for another/);
    const key = Deno.readTextFileSync(`${place.dir}/bob/client_private_key.pem`);
    assertDone(await place.join("bob", await place.code("bob")));
    assert.equal(Deno.readTextFileSync(`${place.dir}/bob/client_private_key.pem`), key, "nobody else has seen it");

    await withServer({}, async ({ tlsPort }) => { // its CA is another
      const elsewhere = await place.code("alice", "--port", String(tlsPort));
      assertSentence(
        await place.join("alice", elsewhere),
        4,
        /DANGER: localhost:\d+ is not the server .* nothing was sent/,
      );
    });
    assert.deepEqual(place.files("alice"), []);

    const gone = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const nobody = await place.code("alice", "--port", String(gone.addr.port));
    gone.close();
    assertSentence(
      await place.join("alice", nobody),
      5,
      /cannot connect to localhost:\d+ over TLS \(nothing listens there\)/,
    );
    assert.deepEqual(place.files("alice"), []);
  });
});

Deno.test("a join that was refused or cut off goes on with the same key and certificate when it is run again", async () => {
  await withPlace(async (place) => {
    assertDone(await place.join("alice", await place.code("alice")));
    const code = await place.code("bob");
    const taken = { email: "alice@example.org", password: "a wild guess" };
    assertSentence(await place.join("bob", code, taken), 4, /address or username is taken/);
    const short = await place.join("bob", code, { password: "short" });
    assertSentence(
      short,
      4,
      /no account with this password, and a new one can't have it: A new password needs at least 8/,
    );
    assert.deepEqual(place.files("bob"), [...IDENTITY, "joining"]);
    const certificate = Deno.readTextFileSync(`${place.dir}/bob/client_cert.pem`);
    assertDone(await place.join("bob", code));
    assert.equal(Deno.readTextFileSync(`${place.dir}/bob/client_cert.pem`), certificate);
    assert.deepEqual(place.files("bob"), IDENTITY);

    // The account was made, and the server's answer lost.
    const secret = parseCodeToken(code)?.secret ?? new Uint8Array();
    Deno.writeTextFileSync(`${place.dir}/bob/joining`, `${encodeHex(sha256(secret))}\n`);
    assertDone(await place.join("bob", code));
    assert.deepEqual(place.files("bob"), IDENTITY);
  });
});

Deno.test("a code of invite --device brings a further device into the same account, with its password alone", async () => {
  await withPlace(async (place) => {
    assertDone(await place.join("alice", await place.code("alice")));
    assertDone(await place.join("bob", await place.code("bob")));
    assertDone(await place.says("bob", "/create dev\n/invite alice\n")); // which every session of hers is told first
    const first = assertDone(await place.device("alice", "password"));
    const invited = await place.device("alice", "token");
    const code = assertDone(invited);
    assert.match(invited.stderr, /^On the other device:\n/);
    assert.notEqual(code, first);
    const wrong = { email: "alice@example.org", password: "wrong" };
    assertSentence(await place.join("laptop", code, wrong), 4, /the password is wrong/);
    const joined = await place.join("laptop", code, { email: "alice@example.org" });
    assertDone(joined);
    assert.match(joined.stderr, /^You are alice on localhost,/);
    assert.notEqual(
      Deno.readTextFileSync(`${place.dir}/laptop/client_private_key.pem`),
      Deno.readTextFileSync(`${place.dir}/alice/client_private_key.pem`),
    );
    assertSentence(await place.join("third", code, { email: "alice@example.org" }), 4, /was used, or has ended/);
  });
});

Deno.test("an invitation brings the certificate of who has an account from before, with its password", async () => {
  await withPlace(async (place) => {
    assertDone(await place.chat("--register", "--username", "alice", "--email", "alice@example.org"));
    const joined = await place.join("alice", await place.code("alice"));
    assertDone(joined);
    assert.match(joined.stderr, /^You are alice on localhost,/);
  });
});

Deno.test({
  name: "on a terminal join asks for what it needs, the password hidden and twice, and goes on into the rooms",
  ...skipUnless("pty"),
  fn: async () => {
    await withPlace(async (place) => {
      const { command, args } = program("join", await place.code("alice"), "--certs", `${place.dir}/alice`);
      await using terminal = openTerminal([command, ...args], { cwd: place.dir });
      await terminal.expect("Password: ");
      terminal.type("correct horse\r");
      await terminal.expect("Confirm password: ");
      terminal.type("correct horse\r");
      await terminal.expect("You are alice on localhost, with the address");
      await terminal.expect(/alice/); // the rooms say so, too
      terminal.type("/quit\r");
      assert.deepEqual(await terminal.ended(), { status: 0, isRestored: true });
      assert.doesNotMatch(terminal.shown, /correct horse/);
    });
  },
});

Deno.test({
  name: "invite opens MySQL or MariaDB as the server does",
  ...skipUnless("mariadb"),
  fn: async () => {
    await using mariadb = await startMariadb();
    const { user, password, name } = await mariadb.createDatabase();
    const settings = {
      DB_HOST: "127.0.0.1",
      DB_PORT: String(mariadb.port),
      DB_USER: user,
      DB_PASSWORD: password,
      DB_NAME: name,
    };
    await withPlace(async (place) => {
      const code = assertDone(await place.invite("alice"));
      assertDone(await place.join("alice", code));
      await mariadb.stop();
      assertSentence(await place.invite("bob"), 5, /database connection failed/);
    }, { settings });
  },
});

Deno.test("a code's secret goes to nobody whom another CA vouches for, one that this machine trusts too", async () => {
  const other = temporaryFolder();
  try {
    const certs = `${other.path}/certs`;
    await writeCertificates(certs);
    await withPlace(async (place) => {
      const direct = Deno.readTextFileSync(`${certs}/server_cert.pem`);
      await assertRefused(place, "alice", { certs, shown: direct });
      await makeIssuer(certs, await authority(), "Secure Chat issuing CA", { days: 30, bits: 2048 });
      await certifyServer(certs, await loadIssuer(certs) ?? assert.fail("there is no issuing CA"));
      const below = Deno.readTextFileSync(`${certs}/server_cert.pem`);
      await assertRefused(place, "bob", { certs, shown: below });
      await assertRefused(place, "carol", { certs, shown: Deno.readTextFileSync(`${place.certs}/issuing_cert.pem`) });
    });
  } finally {
    other[Symbol.dispose]();
  }
});

/** Somebody with the certificates of that folder, whom the machine trusts, answers to `ca` what the server would. */
async function assertRefused(
  place: Place,
  name: string,
  { certs, shown }: { readonly certs: string; readonly shown: string },
): Promise<void> {
  const heard: string[] = [];
  using listener = Deno.listenTls({
    hostname: "127.0.0.1",
    port: 0,
    cert: Deno.readTextFileSync(`${certs}/server_cert.pem`),
    key: Deno.readTextFileSync(`${certs}/server_private_key.pem`),
  });
  const authority = Deno.readTextFileSync(`${place.certs}/ca_cert.pem`);
  const posing = (async () => {
    for await (const conn of listener) {
      const buffer = new Uint8Array(4_096);
      const size = await conn.read(buffer).catch(() => null);
      if (size !== null) heard.push(new TextDecoder().decode(buffer.subarray(0, size)));
      await conn.write(encodeFrame({ type: "ca", ca_cert: authority, server_cert: shown })).catch(() => {});
      conn.close();
    }
  })().catch(() => {});
  assert.ok("port" in listener.addr);
  const code = await place.code(name, "--port", String(listener.addr.port));
  const ended = await place.join(name, code, { env: { DENO_CERT: `${certs}/ca_cert.pem` } });
  listener.close();
  await posing;
  assertSentence(ended, 4, /certificate validation failed/);
  assert.deepEqual(heard.map((text) => text.trim()), ['{"type":"ca"}']);
  assert.deepEqual(place.files(name).filter((file) => file.endsWith("_cert.pem")), []);
}

Deno.test("a server whose certificate is of an issuing CA is joined, talked on, and gives device codes", async () => {
  const own = temporaryFolder();
  try {
    const certs = `${own.path}/certs`;
    await Deno.mkdir(certs);
    for (const { name } of Deno.readDirSync(await operator())) {
      await Deno.copyFile(`${await operator()}/${name}`, `${certs}/${name}`);
    }
    await certifyServer(certs, await loadIssuer(certs) ?? assert.fail("there is no issuing CA"));
    const [root] = (await loadTrust(certs)).authorities;
    const namesake = await createAuthority(root?.commonNames[0] ?? "", await key("ca"), issuing);
    await Deno.writeTextFile(`${certs}/ca_cert.pem`, `${namesake.certificate.pem}${root?.pem}`);
    await withPlace(async (place) => {
      const code = await place.code("alice");
      assert.equal(parseCodeToken(code)?.authority, authorityMark(root?.fingerprint ?? ""));
      const joined = await place.join("alice", code);
      assertDone(joined);
      assertDone(await place.device("alice", "token"));
      const next = / rooms (--host localhost .*)\n$/.exec(joined.stderr)?.[1] ?? assert.fail(joined.stderr);
      const stdin = '{"command":"create","room":"#ops"}\n{"command":"say","room":"#ops","text":"hello"}\n';
      const rooms = await run(["rooms", "--json", ...next.split(" ")], { cwd: place.dir, stdin });
      assert.match(assertDone(rooms), /"event":"line".*"text":"hello"/);
    }, { certs });
  } finally {
    own[Symbol.dispose]();
  }
});

Deno.test("a running server lets nobody in whose certificate from an invitation was revoked", async () => {
  const own = temporaryFolder();
  try {
    assertDone(await run(["init"], { cwd: own.path }));
    await withPlace(async (place) => {
      assertDone(await place.join("alice", await place.code("alice")));
      assertDone(await place.device("alice", "token"));
      const leaf = `${place.dir}/alice/client_cert.pem`;
      const revoked = await run(["cert", "revoke", leaf, "--yes", "--certs", place.certs], { cwd: place.dir });
      assert.match(assertDone(revoked), /issuing_crl\.pem/);
      await new Promise((go) => setTimeout(go, 1_100)); // it looks once a second
      assertSentence(await place.device("alice", "token"), 4, /revoked/);
    }, { certs: `${own.path}/certs` });
  } finally {
    own[Symbol.dispose]();
  }
});

Deno.test("invite refuses what would make a code that serves nobody, in one sentence", async () => {
  await withPlace(async (place) => {
    const port = ["--port", String(place.server.tlsPort)];
    assertSentence(await place.invite("no spaces"), 2, /"no spaces" can't be a username/);
    assertSentence(await place.invite("a".repeat(57)), 2, /has 1 to 56 ASCII letters/);
    for (const ttl of ["0h", "24", "31d", "soon"]) {
      assertSentence(await place.invite("alice", "--ttl", ttl), 2, /is not a time such as 30m, 24h or 7d/);
    }
    assertSentence(await place.invite("alice", "--port", "70000"), 2, /--port 70000 is not a port/);
    assertSentence(await place.invite("alice", "--host", "a b"), 2, /"a b" is not a host name/);
    const without = await run(["invite", "alice", "--certs", place.dir], { cwd: place.dir });
    assertSentence(without, 2, /File not found: .*server_cert\.pem; invitations are made on the server's machine/);
    await Deno.writeTextFile(`${place.dir}/server_cert.pem`, "none");
    const damaged = await run(["invite", "alice", "--certs", place.dir], { cwd: place.dir });
    assertSentence(damaged, 2, /server_cert\.pem can't be used: there is no PEM certificate/);
    const elsewhere = ["--certs", place.certs, "--data", `${place.dir}/nowhere`];
    assertSentence(
      await run(["invite", "alice", ...port, ...elsewhere]),
      2,
      /nowhere\/securechat\.db: name the server's/,
    );
    const { stdout } = await place.invite("alice", "--json", "--host", "chat.example.org");
    const told = JSON.parse(stdout) as Record<string, unknown>;
    assert.deepEqual([told["username"], told["host"], told["port"]], [
      "alice",
      "chat.example.org",
      place.server.tlsPort,
    ]);
    assert.equal(parseCodeToken(String(told["code"]))?.host, "chat.example.org");
  });
});
