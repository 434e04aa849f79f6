/** Private keys as PEM, plain and protected. */

import { Failure } from "../lib/errors.ts";
import { decodePrivateKey, encodePrivateKey, isProtected, publicKeyOf } from "../lib/private_key.ts";
import { assert } from "./assert.ts";
import { runCommand, skipUnless, temporaryFolder } from "./environment.ts";
import { certificate, countingRandom, key } from "./fixtures.ts";

Deno.test("a plain key is PKCS #8 in PEM and comes back", async () => {
  const pkcs8 = await key("client");
  const pem = await encodePrivateKey(pkcs8, undefined, countingRandom());
  assert.match(pem, /^-----BEGIN PRIVATE KEY-----\n(?:[A-Za-z0-9+/=]{1,64}\n)+-----END PRIVATE KEY-----\n$/);
  assert.equal(isProtected(pem), false);
  assert.deepEqual(await decodePrivateKey(pem), pkcs8);
});

Deno.test("a protected key says so, holds nothing of the key in the clear, and opens with its passphrase alone", async () => {
  const pkcs8 = await key("client");
  const pem = await encodePrivateKey(pkcs8, "Sesam, öffne dich", countingRandom());
  assert.match(pem, /^-----BEGIN ENCRYPTED PRIVATE KEY-----\n/);
  assert.equal(isProtected(pem), true);
  const plain = (await encodePrivateKey(pkcs8, undefined, countingRandom())).split("\n");
  for (const line of plain.slice(1, -2)) assert.equal(pem.includes(line), false);
  const modulus = publicKeyOf(pkcs8).slice(40, 56);
  const body = atob(pem.split("\n").slice(1, -2).join(""));
  assert.equal(body.includes(String.fromCharCode(...modulus)), false);
  assert.deepEqual(await decodePrivateKey(pem, "Sesam, öffne dich"), pkcs8);
  await assert.rejects(decodePrivateKey(pem), (error) => error instanceof Failure && /protected/.test(error.message));
  await assert.rejects(decodePrivateKey(pem, "Sesam"), /the passphrase does not open it/);
});

Deno.test("decodePrivateKey() refuses what is no RSA key in PEM", async () => {
  const { privateKey } = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["sign"]);
  const ec = new Uint8Array(await crypto.subtle.exportKey("pkcs8", privateKey));
  const pem = await encodePrivateKey(ec, undefined, countingRandom());
  await assert.rejects(decodePrivateKey(pem), /it contains a key of the kind/);
  const leaf = await certificate("client", { role: "client", name: "ada" });
  for (const text of ["", "x", leaf.pem, pem.slice(0, 100)]) {
    await assert.rejects(decodePrivateKey(text), /it contains no PEM private key/);
  }
});

Deno.test("publicKeyOf() gives the key as it stands in a certificate", async () => {
  const leaf = await certificate("client", { role: "client", name: "ada" });
  assert.deepEqual(publicKeyOf(await key("client")), leaf.publicKey);
});

/** Keys as other tools write them: how OpenSSL makes each, and the sentence with which it is refused, if it is. */
const OTHERS: readonly { readonly how: readonly string[]; readonly refused?: RegExp }[] = [
  { how: ["pkcs8", "-topk8", "-v2", "des3"] },
  { how: ["pkcs8", "-topk8", "-v2", "des3", "-v2prf", "hmacWithSHA1"] },
  { how: ["pkcs8", "-topk8", "-v2", "aes-128-cbc", "-v2prf", "hmacWithSHA1"] },
  { how: ["pkcs8", "-topk8", "-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA512"] },
  { how: ["pkcs8", "-topk8", "-scrypt"] },
  {
    how: ["pkcs8", "-topk8", "-v1", "PBE-SHA1-3DES"],
    refused:
      /it is protected with PBES1 with SHA-1 and triple DES, which isn't supported; convert it with: openssl pkcs8/,
  },
];

Deno.test({
  name:
    "keys that OpenSSL protects open with their passphrase alone, and what isn't taken is named with how to convert it",
  ...skipUnless("openssl"),
  async fn() {
    using folder = temporaryFolder();
    const pkcs8 = await key("client");
    Deno.writeTextFileSync(`${folder.path}/plain`, await encodePrivateKey(pkcs8, undefined, countingRandom()));
    for (const { how, refused } of OTHERS) {
      const passphrase = ["-passout", "pass:secret"];
      const made = await runCommand("openssl", [...how, "-in", "plain", "-out", "key", ...passphrase], {
        cwd: folder.path,
      });
      assert.equal(made.status, 0, made.stderr);
      const pem = Deno.readTextFileSync(`${folder.path}/key`);
      if (refused) await assert.rejects(decodePrivateKey(pem, "secret"), refused);
      else {
        assert.deepEqual(await decodePrivateKey(pem, "secret"), pkcs8, how.join(" "));
        await assert.rejects(decodePrivateKey(pem, "Secret"), /^Failure: the passphrase does not open it$/);
      }
    }
  },
});

Deno.test("a key of a kind that isn't taken is named, not called a wrong passphrase", async () => {
  const kinds = [["EC", /contains an EC key: /], [
    "OPENSSH",
    /convert a copy of it with: ssh-keygen -p -m PKCS8/,
  ]] as const;
  for (const [kind, sentence] of kinds) {
    const pem = `-----BEGIN ${kind} PRIVATE KEY-----\nAAAA\n-----END ${kind} PRIVATE KEY-----\n`;
    await assert.rejects(decodePrivateKey(pem, "secret"), sentence);
  }
});
