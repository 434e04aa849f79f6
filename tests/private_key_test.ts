/** Private keys as PEM, plain and protected. */

import { Failure } from "../lib/errors.ts";
import { decodePrivateKey, encodePrivateKey, isProtected, publicKeyOf } from "../lib/private_key.ts";
import { assert } from "./assert.ts";
import { certificate, countingRandom, key } from "./fixtures.ts";

Deno.test("a plain key is PKCS #8 in PEM and comes back", async () => {
  const pkcs8 = await key("client");
  const pem = await encodePrivateKey(pkcs8, undefined, countingRandom());
  assert.match(pem, /^-----BEGIN PRIVATE KEY-----\n(?:[A-Za-z0-9+/=]{1,64}\n)+-----END PRIVATE KEY-----\n$/);
  assert.equal(isProtected(pem), false);
  assert.deepEqual(decodePrivateKey(pem), pkcs8);
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
  assert.deepEqual(decodePrivateKey(pem, "Sesam, öffne dich"), pkcs8);
  assert.throws(() => decodePrivateKey(pem), (error) => error instanceof Failure && /protected/.test(error.message));
  assert.throws(() => decodePrivateKey(pem, "Sesam"), /the passphrase does not open it/);
});

Deno.test("decodePrivateKey() refuses what is no RSA key in PEM", async () => {
  const { privateKey } = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["sign"]);
  const ec = new Uint8Array(await crypto.subtle.exportKey("pkcs8", privateKey));
  const pem = await encodePrivateKey(ec, undefined, countingRandom());
  assert.throws(() => decodePrivateKey(pem), /it holds no RSA key/);
  const leaf = await certificate("client", { role: "client", name: "ada" });
  for (const text of ["", "x", leaf.pem, pem.slice(0, 100)]) {
    assert.throws(() => decodePrivateKey(text), /it holds no PEM private key/);
  }
});

Deno.test("publicKeyOf() gives the key as it stands in a certificate", async () => {
  const leaf = await certificate("client", { role: "client", name: "ada" });
  assert.deepEqual(publicKeyOf(await key("client")), leaf.publicKey);
});
