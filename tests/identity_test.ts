/** Identities and trust out of CERT_DIR, and a revocation list that changes under a running server. */

import { issueRevocationList } from "../lib/ca.ts";
import { findPath } from "../lib/certificate_path.ts";
import { Failure, ProtocolError } from "../lib/errors.ts";
import { loadAuthority, loadIdentity, loadTrust, watchTrust } from "../lib/identity.ts";
import type { Log } from "../lib/logging.ts";
import { encodePrivateKey } from "../lib/private_key.ts";
import { VerifyingKey } from "../lib/pss.ts";
import { assert } from "./assert.ts";
import { skipUnless, temporaryFolder } from "./environment.ts";
import { authority, certificate, countingRandom, handClock, identities, key, NOW } from "./fixtures.ts";

const DAY = 86_400_000;

/** A CERT_DIR with the certificates of the fixtures. */
async function fill(dir: string, passphrase?: string): Promise<void> {
  const write = (name: string, text: string) => Deno.writeTextFileSync(`${dir}/${name}`, text, { mode: 0o600 });
  const { server, client } = await identities();
  const pems = { ca: (await authority()).certificate.pem, server: server.pem, client: client.pem };
  for (const [role, pem] of Object.entries(pems)) {
    write(`${role}_cert.pem`, pem);
    write(`${role}_private_key.pem`, await encodePrivateKey(await key(role), passphrase, countingRandom()));
  }
}

async function writeList(dir: string, serials: readonly string[], number = 1n): Promise<void> {
  const revoked = serials.map((serial) => ({ serial, date: NOW - DAY }));
  const dates = { now: NOW - DAY, nextUpdate: NOW + DAY, number };
  Deno.writeTextFileSync(`${dir}/crl.new`, await issueRevocationList(await authority(), revoked, dates));
  Deno.renameSync(`${dir}/crl.new`, `${dir}/crl.pem`);
}

class Lines implements Log {
  readonly lines: string[] = [];
  debug = (message: string) => void this.lines.push(`debug ${message}`);
  info = (message: string) => void this.lines.push(`info ${message}`);
  warn = (message: string) => void this.lines.push(`warn ${message}`);
  error = (message: string) => void this.lines.push(`error ${message}`);
}

const failure = (pattern: RegExp) => (error: unknown) => error instanceof Failure && pattern.test(error.message);

Deno.test("loadIdentity() gives a certificate with a key that signs for it", async () => {
  using folder = temporaryFolder();
  await fill(folder.path);
  const { chain: [leaf], pem, key } = await loadIdentity(folder.path, "client");
  assert.equal(leaf?.subject, "CN=CLIENT: ada");
  assert.equal(pem, leaf.pem);
  assert.ok(leaf.rsa);
  const data = new TextEncoder().encode("text");
  assert.equal(new VerifyingKey(leaf.rsa.modulus).verify(await key.sign(data), data), true);
});

Deno.test("loadIdentity() opens a protected key with the passphrase, given or out of a file", async () => {
  using folder = temporaryFolder();
  await fill(folder.path, "sesam");
  await loadIdentity(folder.path, "server", { passphrase: "sesam" });
  Deno.writeTextFileSync(`${folder.path}/phrase`, "sesam\n", { mode: 0o600 });
  await loadIdentity(folder.path, "client", { passphraseFile: `${folder.path}/phrase` });
  await assert.rejects(
    loadIdentity(folder.path, "server", { passphrase: "x" }),
    failure(/the passphrase does not open it/),
  );
  Deno.writeTextFileSync(`${folder.path}/phrase`, "\nsesam\n");
  await assert.rejects(
    loadAuthority(folder.path, { passphraseFile: `${folder.path}/phrase` }),
    failure(/has no passphrase in its first line/),
  );
});

Deno.test("loadIdentity() refuses a key that isn't its certificate's, and names what is missing", async () => {
  using folder = temporaryFolder();
  await assert.rejects(
    loadIdentity(folder.path, "server"),
    failure(/^certificate not found: there is no .*server_cert\.pem; run: .*init/),
  );
  await fill(folder.path);
  Deno.copyFileSync(`${folder.path}/client_private_key.pem`, `${folder.path}/server_private_key.pem`);
  await assert.rejects(
    loadIdentity(folder.path, "server"),
    failure(/server_private_key\.pem is not the key of .*server_cert\.pem/),
  );
  Deno.removeSync(`${folder.path}/client_private_key.pem`);
  await assert.rejects(loadIdentity(folder.path, "client"), failure(/there is no .*client_private_key\.pem/));
  Deno.writeTextFileSync(`${folder.path}/client_cert.pem`, "x");
  await assert.rejects(
    loadIdentity(folder.path, "client"),
    failure(/client_cert\.pem can't be used: there is no PEM certificate/),
  );
});

Deno.test({
  name: "loadIdentity() refuses a key that others can read",
  ...skipUnless("unix"),
  async fn() {
    using folder = temporaryFolder();
    await fill(folder.path);
    Deno.chmodSync(`${folder.path}/server_private_key.pem`, 0o644);
    await assert.rejects(loadIdentity(folder.path, "server"), failure(/; run: chmod 600 .*server_private_key\.pem$/));
  },
});

Deno.test("loadTrust() takes every CA of the file, and the revocation list where there is one", async () => {
  using folder = temporaryFolder();
  await fill(folder.path);
  assert.deepEqual((await loadTrust(folder.path)).revocations, []);
  await writeList(folder.path, ["abc"]);
  const { authorities, revocations: [list] } = await loadTrust(folder.path);
  assert.equal(authorities.length, 1);
  assert.equal(list?.revoked.size, 1);
  const { pem } = (await authority()).certificate;
  Deno.writeTextFileSync(`${folder.path}/ca_cert.pem`, pem.repeat(6));
  assert.equal((await loadTrust(folder.path)).authorities.length, 6);
  Deno.writeTextFileSync(`${folder.path}/crl.pem`, pem);
  await assert.rejects(loadTrust(folder.path), failure(/crl\.pem can't be used: there is no PEM revocation list/));
});

Deno.test("watchTrust() takes up a revocation list that comes or changes, within a second", async () => {
  using folder = temporaryFolder();
  await fill(folder.path);
  const log = new Lines();
  const clock = handClock();
  const trust = await watchTrust(folder.path, log, clock.now);
  const eve = await certificate("client", { role: "client", name: "eve" });
  const problems = async () => (await findPath([eve], await trust(), { purpose: "client" })).problems(NOW, "current");
  assert.deepEqual(await problems(), []);
  await writeList(folder.path, []);
  clock.advance(1000);
  assert.deepEqual(await problems(), []);
  await writeList(folder.path, [eve.serial], 2n);
  assert.deepEqual(await problems(), [], "it looks at most once a second");
  clock.advance(1000);
  assert.deepEqual(await problems(), ['the client certificate "CN=CLIENT: eve" was revoked 2026-05-31T12:00:00Z']);
  assert.equal(log.lines.filter((line) => line === "info the revocation list was read again").length, 2);
});

Deno.test("watchTrust() takes up a CA that comes, and keeps the old ones where the file can't be read", async () => {
  using folder = temporaryFolder();
  await fill(folder.path);
  const path = `${folder.path}/ca_cert.pem`;
  const one = await Deno.readTextFile(path);
  const log = new Lines();
  const clock = handClock();
  const trust = await watchTrust(folder.path, log, clock.now);
  const count = async () => {
    clock.advance(1000);
    return (await trust()).authorities.length;
  };
  await Deno.writeTextFile(path, one + one);
  assert.equal(await count(), 2);
  await Deno.writeTextFile(path, "no PEM");
  assert.equal(await count(), 2);
  await Deno.writeTextFile(path, one);
  assert.equal(await count(), 1);
});

Deno.test("watchTrust() lets nobody in while the revocation list is broken or gone, says so once, and recovers", async () => {
  using folder = temporaryFolder();
  await fill(folder.path);
  await writeList(folder.path, []);
  const log = new Lines();
  const clock = handClock();
  const trust = await watchTrust(folder.path, log, clock.now);
  const refused = (error: unknown) => error instanceof ProtocolError && error.code === "server-error";
  const breakIt = [
    () => Deno.writeTextFileSync(`${folder.path}/crl.pem`, "half"),
    () => Deno.removeSync(`${folder.path}/crl.pem`),
  ];
  for (const [i, damage] of breakIt.entries()) {
    damage();
    clock.advance(1000);
    await assert.rejects(trust(), refused);
    clock.advance(1000);
    await assert.rejects(Promise.all([trust(), trust()]), refused);
    assert.equal(log.lines.filter((line) => line.startsWith("error the revocation list can't be used")).length, i + 1);
    await writeList(folder.path, []);
    clock.advance(1000);
    assert.equal((await trust()).revocations.length, 1);
  }
});

Deno.test("watchTrust() doesn't start with a revocation list that it can't read", async () => {
  using folder = temporaryFolder();
  await fill(folder.path);
  Deno.writeTextFileSync(`${folder.path}/crl.pem`, "half");
  await assert.rejects(watchTrust(folder.path, new Lines()), failure(/crl\.pem can't be used/));
});
