/**
 * `securechat init`, `ca` and `cert`, run as a person runs them, and OpenSSL's opinion of what they make.
 */

import { createRequest, generateKey } from "../lib/ca.ts";
import { certifyRequest } from "../lib/ca_folder.ts";
import { loadIssuer } from "../lib/identity.ts";
import { encodePrivateKey } from "../lib/private_key.ts";
import { parseCertificates, parseRevocationList } from "../lib/x509.ts";
import { assert } from "./assert.ts";
import { type Ended, program, run, runCommand, skipUnless, startServer, temporaryFolder } from "./environment.ts";
import { openTerminal } from "./pty.ts";

/** Runs the program in a folder and holds it to its exit status. */
async function expect(status: number, cwd: string, ...args: string[]): Promise<Ended> {
  const ended = await run(args, { cwd });
  assert.equal(ended.status, status, `${args.join(" ")}: ${ended.stdout}${ended.stderr}`);
  assert.doesNotMatch(ended.stderr, /\n\s+at /, "a stack trace");
  return ended;
}

const mode = (path: string) => (Deno.statSync(path).mode ?? 0) & 0o777;
const read = (path: string) => Deno.readTextFileSync(path);

Deno.test("init makes a CA, an issuing CA, a server's and a client's certificate under the seed's names, and overwrites nothing", async () => {
  using folder = temporaryFolder();
  const first = await expect(0, folder.path, "init");
  assert.match(first.stderr, /^Next: .*securechat serve\n/m);
  const names = ["ca", "server", "client"].flatMap((role) => [`${role}_cert.pem`, `${role}_private_key.pem`]);
  for (const name of names) assert.match(first.stdout, new RegExp(`certs/${name}`));
  assert.equal(first.stdout.match(/fingerprint [0-9a-f]{64}$/gm)?.length, 4);
  assert.equal(first.stdout.match(/until \d{4}-\d\d-\d\d$/gm)?.length, 4);
  for (const subject of ["CN=SERVER: localhost", "CN=CLIENT: client"]) assert.ok(first.stdout.includes(subject));
  if (Deno.build.os !== "windows") {
    for (const role of ["ca", "server", "client"]) {
      assert.equal(mode(`${folder.path}/certs/${role}_private_key.pem`), 0o600);
    }
  }
  const before = names.map((name) => read(`${folder.path}/certs/${name}`));
  const again = await expect(2, folder.path, "init");
  assert.match(again.stderr, /certs\/ca_cert\.pem exists, and nothing is overwritten/);
  assert.deepEqual(names.map((name) => read(`${folder.path}/certs/${name}`)), before);
  for (const role of ["server", "client"]) {
    const args = ["cert", "check", `certs/${role}_cert.pem`, "--purpose", role];
    assert.match(
      (await expect(0, folder.path, ...args)).stdout,
      /^good: "CN=.*", by "CN=Secure Chat CA of localhost [0-9a-f]{6}"\n$/,
    );
  }
});

Deno.test("init takes host names and addresses, and refuses what is none", async () => {
  using folder = temporaryFolder();
  const made = await expect(
    0,
    folder.path,
    "init",
    "Chat.Example.",
    "192.0.2.7",
    "2001:DB8::7",
    "--client",
    "Ada L.",
    "--json",
  );
  const { certificates } = JSON.parse(made.stdout) as { certificates: { role: string; subject: string }[] };
  assert.deepEqual(certificates.map(({ subject }) => subject.replace(/ [0-9a-f]{6}$/, " …")), [
    "CN=Secure Chat CA of chat.example …",
    "CN=Secure Chat issuing CA of chat.example …",
    "CN=SERVER: chat.example",
    "CN=CLIENT: Ada L.",
  ]);
  for (const host of ["chat.example", "192.0.2.7", "2001:db8::7"]) {
    await expect(0, folder.path, "cert", "check", "certs/server_cert.pem", "--host", host);
  }
  const other = await expect(1, folder.path, "cert", "check", "certs/server_cert.pem", "--host", "localhost");
  assert.match(other.stdout, /is not for "localhost": it names "chat\.example", "192\.0\.2\.7", "2001:db8::7"/);
  for (const host of ["-x.example", "a_b", "*.example", "a b", "1.2.3", "http://x"]) {
    assert.match((await expect(2, folder.path, "init", "--certs", "other", "--", host)).stderr, /is not a host name/);
  }
});

Deno.test({
  name: "OpenSSL accepts every certificate, key and revocation list that is made",
  ...skipUnless("openssl"),
  async fn() {
    using folder = temporaryFolder();
    const openssl = async (...args: string[]) => {
      const ended = await runCommand("openssl", args, { cwd: `${folder.path}/certs` });
      assert.equal(ended.status, 0, `${args.join(" ")}: ${ended.stdout}${ended.stderr}`);
      return ended.stdout;
    };
    await expect(0, folder.path, "ca", "--bits", "3072", "--name", "Größe & Co");
    await expect(0, folder.path, "cert", "server", "localhost", "--san", "127.0.0.1", "--san", "::1", "--days", "20");
    await expect(0, folder.path, "cert", "client", "ada", "--email", "ada@example.org", "--bits", "4096");
    await expect(0, folder.path, "ca", "crl");
    const verify = ["verify", "-x509_strict", "-CAfile", "ca_cert.pem", "-CRLfile", "crl.pem", "-crl_check"];
    await openssl(...verify, "-purpose", "sslserver", "-verify_hostname", "localhost", "server_cert.pem");
    await openssl(...verify, "-purpose", "sslserver", "-verify_ip", "::1", "server_cert.pem");
    await openssl(...verify, "-purpose", "sslclient", "-verify_email", "ada@example.org", "client_cert.pem");
    const text = await openssl("x509", "-in", "server_cert.pem", "-noout", "-text");
    for (
      const part of [
        /Subject: CN ?= ?SERVER: localhost/,
        /Key Usage: critical\s+Digital Signature\n/,
        /Extended Key Usage:\s+TLS Web Server Authentication\n/,
        /Basic Constraints: critical\s+CA:FALSE/,
        /Subject Key Identifier/,
        /Authority Key Identifier/,
        /sha256WithRSAEncryption/,
      ]
    ) assert.match(text, part);
    assert.match(
      await openssl("x509", "-in", "ca_cert.pem", "-noout", "-text"),
      /CA:TRUE[^]*Certificate Sign, CRL Sign/,
    );
    assert.match(await openssl("x509", "-in", "ca_cert.pem", "-noout", "-text"), /Public-Key: \(3072 bit\)/);
    assert.match(await openssl("x509", "-in", "client_cert.pem", "-noout", "-text"), /Public-Key: \(4096 bit\)/);
    for (const role of ["ca", "server", "client"]) {
      await openssl("pkey", "-in", `${role}_private_key.pem`, "-check", "-noout");
    }
    await expect(0, folder.path, "cert", "revoke", "certs/client_cert.pem", "--yes");
    assert.match(
      await openssl("crl", "-in", "crl.pem", "-CAfile", "ca_cert.pem", "-noout", "-text"),
      /Serial Number: [0-9A-F]/,
    );
    const refused = await runCommand("openssl", [...verify, "client_cert.pem"], { cwd: `${folder.path}/certs` });
    assert.match(refused.stderr, /certificate revoked/);
  },
});

Deno.test("cert client --out makes a folder that is all a person needs", async () => {
  using folder = temporaryFolder();
  await expect(0, folder.path, "ca");
  const made = await expect(0, folder.path, "cert", "client", "ada", "--out", "people/ada/client_cert.pem");
  assert.match(made.stderr, /chat --certs people\/ada\n/);
  assert.equal(read(`${folder.path}/people/ada/ca_cert.pem`), read(`${folder.path}/certs/ca_cert.pem`));
  await expect(
    0,
    folder.path,
    "cert",
    "check",
    "people/ada/client_cert.pem",
    "--purpose",
    "client",
    "--certs",
    "people/ada",
  );
  const again = await expect(2, folder.path, "cert", "client", "eve", "--out", "people/ada/client_cert.pem");
  assert.match(again.stderr, /exists/);
});

Deno.test("cert show tells what a certificate and a revocation list say", async () => {
  using folder = temporaryFolder();
  await expect(0, folder.path, "init", "--days", "10");
  await expect(0, folder.path, "ca", "crl", "--crl-days", "5");
  const shown = JSON.parse((await expect(0, folder.path, "cert", "show", "certs/server_cert.pem", "--json")).stdout);
  assert.equal(shown.subject, "CN=SERVER: localhost");
  assert.match(shown.issuer, /^CN=Secure Chat CA of localhost [0-9a-f]{6}$/);
  assert.equal(shown.key, "RSA, 2048 bits");
  assert.deepEqual(shown.hosts, ["localhost", "127.0.0.1"]);
  assert.deepEqual(shown.purposes, ["serverAuth"]);
  assert.match(shown.serial, /^[0-9a-f]{1,32}$/);
  const days = (Date.parse(shown.not_after) - Date.now()) / 86_400_000;
  assert.ok(days > 9.9 && days <= 10, `${days} days`);
  const list = await expect(0, folder.path, "cert", "show", "certs/crl.pem");
  assert.match(list.stdout, /^issuer {10}"CN=Secure Chat CA of localhost [0-9a-f]{6}"\n/);
  assert.match(
    (await expect(2, folder.path, "cert", "show", "certs/ca_private_key.pem")).stderr,
    /there is no PEM certificate/,
  );
  assert.match((await expect(2, folder.path, "cert", "show", "nowhere.pem")).stderr, /File not found: nowhere\.pem/);
});

Deno.test("cert revoke shows whom it revokes and revokes by file and by serial number; without --yes it asks", async () => {
  using folder = temporaryFolder();
  await expect(0, folder.path, "init");
  await expect(0, folder.path, "cert", "client", "eve", "--out", "eve/client_cert.pem");
  const list = () => parseRevocationList(read(`${folder.path}/certs/crl.pem`));
  const asked = await expect(2, folder.path, "cert", "revoke", "eve/client_cert.pem");
  assert.match(asked.stderr, /"CN=CLIENT: eve", serial number [0-9a-f]+, valid until [^]*--yes/);
  await assert.rejects(Deno.stat(`${folder.path}/certs/crl.pem`));

  await expect(0, folder.path, "cert", "revoke", "eve/client_cert.pem", "--yes");
  const first = list();
  assert.equal(first.revoked.size, 1);
  const good = ["cert", "check", "eve/client_cert.pem", "--crl", "certs/crl.pem"];
  assert.match((await expect(1, folder.path, ...good)).stdout, /"CN=CLIENT: eve" was revoked/);
  await expect(0, folder.path, "cert", "check", "certs/client_cert.pem", "--crl", "certs/crl.pem");

  const { serial } = JSON.parse(
    (await expect(0, folder.path, "cert", "show", "certs/client_cert.pem", "--json")).stdout,
  );
  const colons = serial.toUpperCase().padStart(32, "0").replace(/..(?=.)/g, "$&:");
  const second = await expect(0, folder.path, "cert", "revoke", colons, "--yes");
  assert.match(second.stderr, /"CN=CLIENT: client", serial number/);
  assert.deepEqual([...list().revoked.keys()].sort(), [...first.revoked.keys(), serial].sort());
  assert.ok((list().number ?? 0n) > (first.number ?? 0n), "the list's number rises");

  const twice = await expect(0, folder.path, "cert", "revoke", "eve/client_cert.pem", "--yes");
  assert.match(twice.stderr, /It was already revoked \d{4}-/);
  assert.equal(list().revoked.size, 2);
  assert.match((await expect(2, folder.path, "cert", "revoke", "nobody", "--yes")).stderr, /a serial number in hex/);
  assert.match(
    (await expect(2, folder.path, "cert", "revoke", "certs/ca_cert.pem", "--yes")).stderr,
    /can't revoke itself/,
  );
});

Deno.test("ca crl keeps what is revoked and gives the list a new end", async () => {
  using folder = temporaryFolder();
  await expect(0, folder.path, "init");
  await expect(0, folder.path, "cert", "revoke", "abc123", "--yes");
  const list = () => parseRevocationList(read(`${folder.path}/certs/crl.pem`));
  const before = list();
  await expect(0, folder.path, "ca", "crl", "--crl-days", "3");
  const after = list();
  assert.deepEqual(after.revoked, before.revoked);
  const days = ((after.nextUpdate ?? 0) - Date.now()) / 86_400_000;
  assert.ok(days > 2.9 && days <= 3, `${days} days`);
  const ca = JSON.parse((await expect(0, folder.path, "cert", "show", "certs/ca_cert.pem", "--json")).stdout);
  assert.equal(before.nextUpdate, Date.parse(ca.not_after));
});

Deno.test("a revocation list that was lost un-revokes nobody: the server waits for it, and ca crl makes it anew", async () => {
  using folder = temporaryFolder();
  await expect(0, folder.path, "init");
  await expect(0, folder.path, "cert", "revoke", "certs/client_cert.pem", "--yes");
  const list = (file = "crl.pem") => parseRevocationList(read(`${folder.path}/certs/${file}`));
  const { revoked } = list();
  Deno.removeSync(`${folder.path}/certs/crl.pem`);
  const gone = /the revocation list certs\/crl\.pem is gone; restore it from a copy/;
  assert.match((await expect(2, folder.path, "serve", "--port", "0")).stderr, gone);
  assert.match((await expect(2, folder.path, "cert", "check", "certs/server_cert.pem")).stderr, gone);
  const made = await expect(0, folder.path, "ca", "crl");
  assert.match(made.stdout, /crl\.pem\n {2}1 revoked[^]*issuing_crl\.pem\n {2}0 revoked/);
  assert.deepEqual(list().revoked, revoked);
  assert.equal(list("issuing_crl.pem").revoked.size, 0);

  await expect(0, folder.path, "cert", "revoke", "abc", "--yes");
  for (const file of ["crl.pem", "issuing_crl.pem"]) Deno.removeSync(`${folder.path}/certs/${file}`);
  await expect(0, folder.path, "cert", "revoke", "def", "--yes");
  assert.deepEqual([...list().revoked.keys()].sort(), [...revoked.keys(), "abc", "def"].sort());
  assert.deepEqual([...list("issuing_crl.pem").revoked.keys()], ["abc", "def"]);
  Deno.writeTextFileSync(`${folder.path}/certs/revoked.txt`, "half a li", { append: true });
  assert.match((await expect(2, folder.path, "ca", "crl")).stderr, /revoked\.txt has a line that is not/);
});

Deno.test("cert check reads the revocation lists of CERT_DIR by itself, and says when nobody asked", async () => {
  using folder = temporaryFolder();
  await expect(0, folder.path, "init");
  const check = ["cert", "check", "certs/client_cert.pem"];
  assert.match((await expect(0, folder.path, ...check)).stderr, /Revocation was not checked/);
  await expect(0, folder.path, "cert", "revoke", "certs/client_cert.pem", "--yes");
  const refused = await expect(1, folder.path, ...check);
  assert.match(refused.stdout, /"CN=CLIENT: client" was revoked/);
  assert.equal(refused.stderr, "");
  const without = await expect(0, folder.path, ...check, "--ca", "certs/ca_cert.pem");
  assert.match(without.stderr, /Revocation was not checked: name a list with --crl/);
});

Deno.test("cert renew keeps name, hosts and key, or makes a new key, and keeps what it replaces", async () => {
  using folder = temporaryFolder();
  await expect(0, folder.path, "init", "chat.example", "192.0.2.7", "--days", "5");
  const certs = `${folder.path}/certs`;
  const [oldCertificate, oldKey] = [read(`${certs}/server_cert.pem`), read(`${certs}/server_private_key.pem`)];
  await expect(0, folder.path, "cert", "renew", "certs/server_cert.pem", "--days", "50");
  assert.equal(read(`${certs}/server.old_cert.pem`), oldCertificate);
  assert.equal(read(`${certs}/server_private_key.pem`), oldKey);
  for (const host of ["chat.example", "192.0.2.7"]) {
    await expect(0, folder.path, "cert", "check", "certs/server_cert.pem", "--host", host);
  }
  await expect(0, folder.path, "cert", "renew", "certs/server_cert.pem", "--new-key", "--bits", "3072");
  assert.notEqual(read(`${certs}/server_private_key.pem`), oldKey);
  assert.equal(read(`${certs}/server.old_private_key.pem`), oldKey);
  if (Deno.build.os !== "windows") assert.equal(mode(`${certs}/server_private_key.pem`), 0o600);
  assert.match((await expect(0, folder.path, "cert", "show", "certs/server_cert.pem")).stdout, /RSA, 3072 bits/);

  await expect(0, folder.path, "cert", "renew", "certs/ca_cert.pem");
  await expect(0, folder.path, "cert", "check", "certs/server_cert.pem", "--host", "chat.example");
  await expect(2, folder.path, "cert", "renew", "certs/ca_cert.pem", "--new-key");
});

Deno.test("cert renew renews what the issuing CA has issued, with the chain that leads to the root", async () => {
  using folder = temporaryFolder();
  await expect(0, folder.path, "init");
  const certs = `${folder.path}/certs`;
  const issuer = await loadIssuer(certs);
  assert.ok(issuer);
  const key = await generateKey();
  const made = await certifyRequest(certs, issuer, { csr: await createRequest(key), username: "ada", days: 5 });
  assert.ok(made);
  Deno.mkdirSync(`${folder.path}/ada`);
  Deno.writeTextFileSync(`${folder.path}/ada/client_cert.pem`, made.pem);
  const random = (size: number) => crypto.getRandomValues(new Uint8Array(size));
  const pem = await encodePrivateKey(key, undefined, random);
  Deno.writeTextFileSync(`${folder.path}/ada/client_private_key.pem`, pem, { mode: 0o600 });
  await expect(0, folder.path, "cert", "renew", "ada/client_cert.pem", "--days", "50");
  assert.equal(read(`${folder.path}/ada/client.old_cert.pem`), made.pem);
  const good = await expect(0, folder.path, "cert", "check", "ada/client_cert.pem", "--purpose", "client");
  assert.match(
    good.stdout,
    /^good: "CN=CLIENT: ada", by "CN=Secure Chat issuing CA of localhost [0-9a-f]{6}", by "CN=Secure Chat CA of localhost [0-9a-f]{6}"\n$/,
  );
});

Deno.test("a certificate of another CA is neither renewed nor revoked, even where the CA has the same name", async () => {
  using folder = temporaryFolder();
  await expect(0, folder.path, "init");
  await expect(0, folder.path, "init", "--certs", "other");
  for (const part of [["renew"], ["revoke", "--yes"]]) {
    const ended = await expect(2, folder.path, "cert", ...part, "other/client_cert.pem");
    assert.match(ended.stderr, /was issued by another CA/);
  }
});

Deno.test("a passphrase file protects every key that is made, and opens them again", async () => {
  using folder = temporaryFolder();
  Deno.writeTextFileSync(`${folder.path}/phrase`, "correct horse\nnot this\n", { mode: 0o600 });
  await expect(0, folder.path, "init", "--passphrase-file", "phrase");
  for (const role of ["ca", "server", "client"]) {
    assert.match(read(`${folder.path}/certs/${role}_private_key.pem`), /^-----BEGIN ENCRYPTED PRIVATE KEY-----\n/);
  }
  await expect(0, folder.path, "cert", "renew", "certs/server_cert.pem", "--new-key", "--passphrase-file", "phrase");
  assert.match(read(`${folder.path}/certs/server_private_key.pem`), /^-----BEGIN ENCRYPTED PRIVATE KEY-----\n/);
  const without = await expect(2, folder.path, "ca", "crl");
  assert.match(without.stderr, /ca_private_key\.pem is protected by a passphrase; name the file that contains it/);
  Deno.writeTextFileSync(`${folder.path}/wrong`, "wrong\n", { mode: 0o600 });
  const wrong = await expect(2, folder.path, "ca", "crl", "--passphrase-file", "wrong");
  assert.match(wrong.stderr, /ca_private_key\.pem can't be used: the passphrase does not open it/);
});

Deno.test({
  name: "a private key that others can read is refused with the chmod line that mends it",
  ...skipUnless("unix"),
  async fn() {
    using folder = temporaryFolder();
    await expect(0, folder.path, "init");
    Deno.chmodSync(`${folder.path}/certs/ca_private_key.pem`, 0o640);
    const ended = await expect(2, folder.path, "cert", "client", "ada", "--out", "ada.pem");
    assert.match(ended.stderr, /run: chmod 600 certs\/ca_private_key\.pem\n/);
    await assert.rejects(Deno.stat(`${folder.path}/ada.pem`));
  },
});

Deno.test("without certificates the sentence names init, and check says that there is no CA", async () => {
  using folder = temporaryFolder();
  assert.match((await expect(2, folder.path, "cert", "client", "ada")).stderr, /certificate not found: .* init/);
  await expect(0, folder.path, "init", "--certs", "elsewhere");
  const undecided = await expect(3, folder.path, "cert", "check", "elsewhere/client_cert.pem");
  assert.match(undecided.stderr, /File not found: certs\/ca_cert\.pem; name the CA to check against/);
});

Deno.test("cert check tells every reason, as of any time, as text and as JSON", async () => {
  using folder = temporaryFolder();
  await expect(0, folder.path, "init");
  const args = [
    "cert",
    "check",
    "certs/client_cert.pem",
    "--purpose",
    "server",
    "--host",
    "localhost",
    "--at",
    "2020-01-01",
  ];
  const told = await expect(1, folder.path, ...args);
  for (const reason of [/extendedKeyUsage/, /a client's, by its name/, /it names no host/, /is not valid before/]) {
    assert.match(told.stdout, reason);
  }
  const { good, problems } = JSON.parse((await expect(1, folder.path, ...args, "--json")).stdout);
  assert.equal(good, false);
  assert.equal(problems.length, told.stdout.trim().split("\n").length - 1);
  Deno.writeTextFileSync(`${folder.path}/junk.pem`, "junk");
  const junk = await expect(1, folder.path, "cert", "check", "junk.pem");
  assert.match(junk.stdout, /junk\.pem: there is no PEM certificate/);
  for (const flag of [["--at", "yesterday"], ["--purpose", "person"], ["--ca", "nowhere.pem"]]) {
    await expect(2, folder.path, "cert", "check", "certs/client_cert.pem", ...flag);
  }
});

Deno.test("every part of cert has its help with examples", async () => {
  using folder = temporaryFolder();
  const parts = ["server", "client", "show", "renew", "revoke", "check"].map((part) => ["cert", part]);
  for (const part of [["init"], ["ca"], ["cert"], ...parts]) {
    const help = await expect(0, folder.path, ...part, "--help");
    assert.match(help.stdout, /Examples:\n {2}securechat /, part.join(" "));
    assert.equal(help.stderr, "");
  }
});

Deno.test("sizes, days and names that make no sense are named, and nothing is made", async () => {
  using folder = temporaryFolder();
  for (
    const flag of [["--bits", "1024"], ["--days", "0"], ["--days", "x"], ["--client", " "], [
      "--client",
      "a".repeat(57),
    ]]
  ) {
    await expect(2, folder.path, "init", ...flag);
  }
  await assert.rejects(Deno.stat(`${folder.path}/certs`));
});

Deno.test({
  name: "on a terminal, cert revoke asks first, and takes anything but yes for no",
  ...skipUnless("pty"),
  async fn() {
    using folder = temporaryFolder();
    await expect(0, folder.path, "init");
    for (const [answer, status] of [["\r", 1], ["maybe\r", 1], ["y\r", 0]] as const) {
      const { command, args } = program("cert", "revoke", "certs/client_cert.pem");
      await using terminal = openTerminal([command, ...args], { cwd: folder.path });
      await terminal.expect('"CN=CLIENT: client", serial number');
      await terminal.expect("Revoke it? This can't be undone. [y/N] ");
      terminal.type(answer);
      assert.equal((await terminal.ended()).status, status);
      assert.equal(await Deno.stat(`${folder.path}/certs/crl.pem`).then(() => true, () => false), status === 0);
    }
  },
});

Deno.test({
  name: "on a terminal, --passphrase asks twice without showing it, and the key asks for it again",
  ...skipUnless("pty"),
  async fn() {
    using folder = temporaryFolder();
    const start = (...words: string[]) => {
      const { command, args } = program(...words);
      return openTerminal([command, ...args], { cwd: folder.path });
    };
    {
      await using terminal = start("ca", "--passphrase");
      await terminal.expect("Passphrase for the new key: ");
      terminal.type("sesam\r");
      await terminal.expect("The same once more: ");
      terminal.type("another\r");
      await terminal.expect("the two passphrases differ, so nothing was made");
      assert.equal((await terminal.ended()).status, 2);
    }
    {
      await using terminal = start("ca", "--passphrase");
      await terminal.expect("Passphrase for the new key: ");
      terminal.type("sesam\r");
      await terminal.expect("The same once more: ");
      terminal.type("sesam\r");
      assert.equal((await terminal.ended()).status, 0);
      assert.doesNotMatch(terminal.shown, /sesam/);
    }
    await using terminal = start("ca", "crl");
    await terminal.expect("Passphrase of certs/ca_private_key.pem: ");
    terminal.type("sesam\r");
    await terminal.expect("0 revoked");
    assert.equal((await terminal.ended()).status, 0);
  },
});

/** The first frame that a server answers a version-2 hello with. */
async function answerToHello(
  port: number,
  pem: string,
): Promise<{ type: string; error_type?: string; reason?: string }> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  const hello = { type: "hello", client_cert: pem, nonce: btoa("0123456789abcdef"), v: 2 };
  await connection.write(new TextEncoder().encode(`${JSON.stringify(hello)}\n`));
  const buffer = new Uint8Array(20_000);
  let text = "";
  while (!text.includes("\n")) {
    const size = await connection.read(buffer);
    if (size === null) break;
    text += new TextDecoder().decode(buffer.subarray(0, size));
  }
  return JSON.parse(text);
}

Deno.test("a running server takes up a revocation without a restart", async () => {
  using folder = temporaryFolder();
  await expect(0, folder.path, "init");
  await expect(0, folder.path, "cert", "client", "eve", "--out", "eve/client_cert.pem");
  await using server = await startServer([], { cwd: folder.path });
  const pem = read(`${folder.path}/eve/client_cert.pem`);
  assert.equal((await answerToHello(server.port, pem)).type, "server_hello");
  await expect(0, folder.path, "cert", "revoke", "eve/client_cert.pem", "--yes");
  await new Promise((resolve) => setTimeout(resolve, 1100));
  const answer = await answerToHello(server.port, pem);
  assert.equal(answer.error_type, "bad-cert");
  assert.match(answer.reason ?? "", /"CN=CLIENT: eve" was revoked/);
  assert.equal((await answerToHello(server.port, read(`${folder.path}/certs/client_cert.pem`))).type, "server_hello");
});

Deno.test("ca issuing makes an issuing CA below a CA that has none, once", async () => {
  using folder = temporaryFolder();
  await expect(0, folder.path, "ca");
  assert.match((await expect(0, folder.path, "ca", "issuing")).stdout, /^certs\/issuing_cert\.pem\n/);
  const { stdout } = await expect(0, folder.path, "cert", "show", "certs/issuing_cert.pem");
  assert.match(stdout, /issuer +"CN=Secure Chat CA [0-9a-f]{6}"\n[^]*authority +yes, 0 below/);
  assert.match((await expect(2, folder.path, "ca", "issuing")).stderr, /issuing_cert\.pem exists/);
  assert.match(
    (await expect(2, folder.path, "ca", "frob")).stderr,
    /unknown command ca frob; see securechat ca --help/,
  );
});

Deno.test("a name goes into a certificate as it was typed, whatever a parser of names would make of it", async () => {
  using folder = temporaryFolder();
  await expect(0, folder.path, "init");
  const names = ['Robert "Bob" Smith', "DOMAIN\\ada", "#0c0141", "a,b+c=d;e<f>", "ä\u{1f469}", "\\,", '"'];
  for (const [index, name] of names.entries()) {
    const files = ["--out", `c${index}/client_cert.pem`];
    await expect(0, folder.path, "cert", "client", name, ...files);
    await expect(0, folder.path, "ca", "--name", name, "--certs", `ca${index}`);
    for (const [file, wanted] of [[`c${index}/client_cert.pem`, `CLIENT: ${name}`], [`ca${index}/ca_cert.pem`, name]]) {
      assert.deepEqual(parseCertificates(read(`${folder.path}/${file}`))[0]?.commonNames, [wanted]);
    }
  }
  await expect(0, folder.path, "cert", "renew", "c0/client_cert.pem");
  const [renewed] = parseCertificates(read(`${folder.path}/c0/client_cert.pem`));
  assert.deepEqual(renewed?.commonNames, ['CLIENT: Robert "Bob" Smith']);
});

Deno.test("every CA that isn't given a name has one of its own, and --name names it", async () => {
  using folder = temporaryFolder();
  const subjects = new Set<string>();
  const made: string[][] = [["init"], ["ca", "--certs", "a"], ["ca", "issuing", "--certs", "a"], [
    "ca",
    "--certs",
    "b",
  ]];
  for (const args of made) {
    const { certificates } = JSON.parse((await expect(0, folder.path, ...args, "--json")).stdout);
    for (const { role, subject } of certificates) if (role === "ca" || role === "issuing") subjects.add(subject);
  }
  assert.equal(subjects.size, 5);
  for (const file of ["issuing_cert.pem", "issuing_private_key.pem"]) {
    Deno.renameSync(`${folder.path}/a/${file}`, `${folder.path}/a/old_${file}`);
  }
  const again = JSON.parse((await expect(0, folder.path, "ca", "issuing", "--certs", "a", "--json")).stdout);
  assert.ok(!subjects.has(again.certificates[0].subject));
  const named = await expect(0, folder.path, "init", "--certs", "c", "--name", "Example Chat CA", "--json");
  assert.equal(JSON.parse(named.stdout).certificates[0].subject, "CN=Example Chat CA");
});

Deno.test({
  name: "a root that OpenSSL made is renewed under the same subject, byte for byte",
  ...skipUnless("openssl"),
  async fn() {
    using folder = temporaryFolder();
    const dir = `${folder.path}/certs`;
    Deno.mkdirSync(dir, { mode: 0o700 });
    const made = await runCommand("openssl", [
      ...["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "100", "-subj", "/C=AT/O=Example/CN=Example CA"],
      ...["-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout", "ca_private_key.pem", "-out", "ca_cert.pem"],
      ...["-addext", "authorityKeyIdentifier=keyid:always,issuer:always"],
    ], { cwd: dir });
    assert.equal(made.status, 0, made.stderr);
    await expect(0, folder.path, "cert", "client", "ada");
    const [before] = parseCertificates(read(`${dir}/ca_cert.pem`));
    const renewed = await expect(0, folder.path, "cert", "renew", "certs/ca_cert.pem");
    assert.match(renewed.stderr, /keep it after the new one in certs\/ca_cert\.pem until they expire\.$/m);
    const [after] = parseCertificates(read(`${dir}/ca_cert.pem`));
    assert.equal(after?.subjectName, before?.subjectName);
    await expect(0, folder.path, "cert", "check", "certs/client_cert.pem");
  },
});

Deno.test({
  name: "files of a folder of certificates that are no files are refused in a sentence, and nothing waits for them",
  ...skipUnless("unix"),
  async fn() {
    using folder = temporaryFolder();
    await expect(0, folder.path, "init");
    const commands: Record<string, string[]> = {
      "crl.pem": ["ca", "crl"],
      "issued.txt": ["cert", "client", "ada", "--out", "a/client_cert.pem"],
      "revoked.txt": ["cert", "revoke", "abc", "--yes"],
      "ca_private_key.pem": ["cert", "client", "eve", "--out", "e/client_cert.pem"],
    };
    for (const [name, args] of Object.entries(commands)) {
      const path = `${folder.path}/certs/${name}`;
      await Deno.remove(path).catch(() => {});
      await runCommand("mkfifo", [path]);
      assert.match((await expect(2, folder.path, ...args)).stderr, new RegExp(`certs/${name} is a FIFO, not a file`));
      Deno.removeSync(path);
    }
  },
});

Deno.test({
  name: "a passphrase may come from the standard input, as from any program that keeps passphrases",
  ...skipUnless("unix"),
  async fn() {
    using folder = temporaryFolder();
    const args = ["ca", "--passphrase-file", "/dev/stdin"];
    const { status, stderr } = await run(args, { cwd: folder.path, stdin: "correct horse\n" });
    assert.equal(status, 0, stderr);
    assert.match(read(`${folder.path}/certs/ca_private_key.pem`), /BEGIN ENCRYPTED/);
  },
});

/** A certificate with names that look like rows and lists of our own. */
async function confusingCertificate(dir: string): Promise<string> {
  const name = `${"a".repeat(45)} refused because`;
  const config = `[req]\ndistinguished_name=dn\nx509_extensions=ext\nprompt=no\n[dn]\nCN=${name}\n[ext]\n` +
    "subjectAltName=@names\n[names]\nDNS.1=one.example\\, two.example\nDNS.2=three.example\nemail.1=a b@example.org\n";
  Deno.writeTextFileSync(`${dir}/c.cnf`, config);
  const args = [
    "req",
    "-x509",
    "-newkey",
    "rsa:2048",
    "-nodes",
    "-keyout",
    "k.pem",
    "-out",
    "c.pem",
    "-config",
    "c.cnf",
  ];
  const made = await runCommand("openssl", args, { cwd: dir });
  assert.equal(made.status, 0, made.stderr);
  return "c.pem";
}

Deno.test({
  name: "cert show quotes every name, so that one can't look like two, or like a row of ours",
  ...skipUnless("openssl"),
  async fn() {
    using folder = temporaryFolder();
    const file = await confusingCertificate(folder.path);
    const { stdout } = await expect(0, folder.path, "cert", "show", file);
    assert.match(stdout, /^subject {9}"CN=a{45} refused because"$/m);
    assert.match(stdout, /^hosts {11}"one\.example, two\.example", "three\.example"$/m);
    assert.match(stdout, /^emails {10}"a b@example\.org"$/m);
    const json = JSON.parse((await expect(0, folder.path, "cert", "show", file, "--json")).stdout);
    assert.deepEqual(json.hosts, ["one.example, two.example", "three.example"]);
  },
});

Deno.test({
  name:
    "on a terminal, what cert show and cert check say of a long name goes on in rows that can't be taken for others",
  ...skipUnless("openssl", "pty"),
  async fn() {
    using folder = temporaryFolder();
    const file = await confusingCertificate(folder.path);
    for (const part of ["show", "check"]) {
      const { command, args } = program("cert", part, file, ...(part === "show" ? [] : ["--ca", file]));
      await using terminal = openTerminal([command, ...args], { cwd: folder.path, columns: 60 });
      await terminal.ended();
      const rows = terminal.shown.split("\r\n");
      for (const row of rows.slice(1, rows.findIndex((row) => row.startsWith("status ")))) {
        assert.ok(row.length <= 60, row);
        assert.doesNotMatch(row, /^ *refused because/);
      }
      assert.match(terminal.shown, /\| refused because/);
    }
  },
});
