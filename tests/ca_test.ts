/** What a CA issues, read back and held against RFC 5280. */

import { createAuthority, generateKey, issueCertificate, issueRevocationList, KEY_BITS } from "../lib/ca.ts";
import { findPath } from "../lib/certificate_path.ts";
import { Failure } from "../lib/errors.ts";
import { publicKeyOf } from "../lib/private_key.ts";
import { OID, parseRevocationList } from "../lib/x509.ts";
import { assert } from "./assert.ts";
import { authority, certificate, countingRandom, issuing, key, NOW } from "./fixtures.ts";

const DAY = 86_400_000;

Deno.test("createAuthority() makes a CA that signs certificates and revocation lists, and nothing else", async () => {
  const { certificate: ca } = await authority();
  assert.equal(ca.subjectName, ca.issuerName);
  assert.equal(ca.isAuthority, true);
  assert.deepEqual([...ca.keyUsage ?? []], ["keyCertSign", "cRLSign"]);
  assert.equal(ca.extendedKeyUsage, undefined);
  assert.match(ca.subjectKeyIdentifier ?? "", /^[0-9a-f]{64}$/);
  assert.deepEqual(ca.faults, []);
  const path = await findPath([ca], { authorities: [ca], revocations: [] }, { purpose: "client" });
  assert.ok(path.problems(NOW, "current").length > 0, "it is nobody's own certificate");
});

Deno.test("issueCertificate() gives a server its hosts and its purpose, and a person theirs", async () => {
  const server = await certificate("server", {
    role: "server",
    name: "chat.example",
    hosts: ["chat.example", "2001:db8::1"],
  });
  assert.equal(server.subject, "CN=SERVER: chat.example");
  assert.deepEqual(server.hostNames, { dnsNames: ["chat.example"], addresses: ["2001:db8::1"], emails: [] });
  assert.deepEqual(server.extendedKeyUsage, [OID.serverAuth]);
  const client = await certificate("client", { role: "client", name: "ada" });
  assert.equal(client.subject, "CN=CLIENT: ada");
  assert.equal(client.hostNames, undefined);
  assert.deepEqual(client.extendedKeyUsage, [OID.clientAuth]);
  for (const leaf of [server, client]) {
    assert.deepEqual([...leaf.keyUsage ?? []], ["digitalSignature"]);
    assert.equal(leaf.isAuthority, false);
  }
});

Deno.test("serial numbers are the 128 bits that were drawn, whatever bit comes first", async () => {
  for (const first of [0x00, 0x01, 0x7f, 0x80, 0xff]) {
    const drawn = Uint8Array.from({ length: 16 }, (_, i) => i === 0 ? first : i);
    const random = () => drawn;
    const request = { role: "client", name: "ada", publicKey: publicKeyOf(await key("client")) } as const;
    const leaf = await issueCertificate(await authority(), request, { ...issuing, random });
    const hex = [...drawn].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    assert.equal(leaf.serial, hex.replace(/^0+/, ""));
  }
});

Deno.test("a certificate doesn't outlive its CA", async () => {
  const ca = await createAuthority("Short", await key("stranger"), { now: NOW, random: countingRandom(), days: 10 });
  const request = { role: "client", name: "ada", publicKey: publicKeyOf(await key("client")) } as const;
  const leaf = await issueCertificate(ca, request, { now: NOW, random: countingRandom(), days: 365 });
  assert.equal(leaf.notAfter, NOW + 10 * DAY);
  assert.equal(leaf.notAfter, ca.certificate.notAfter);
});

Deno.test("a CA whose time is over, or whose key is another's, issues nothing", async () => {
  const ca = await createAuthority("Short", await key("stranger"), { now: NOW, random: countingRandom(), days: 10 });
  const request = { role: "client", name: "ada", publicKey: publicKeyOf(await key("client")) } as const;
  const late = { now: NOW + 11 * DAY, random: countingRandom(), days: 1 };
  const refused = (pattern: RegExp) => (error: unknown) => error instanceof Failure && pattern.test(error.message);
  await assert.rejects(issueCertificate(ca, request, late), refused(/expired/));
  const mixed = { certificate: ca.certificate, key: await key("client") };
  await assert.rejects(
    issueCertificate(mixed, request, { ...late, now: NOW }),
    refused(/is not signed with the key of its issuer "CN=Short"/),
  );
});

Deno.test("a key with an even modulus gets no certificate", async () => {
  const publicKey = publicKeyOf(await key("client")).slice();
  publicKey[publicKey.length - 6]! -= 1; // behind the modulus stands the exponent: 02 03 01 00 01
  await assert.rejects(
    issueCertificate(await authority(), { role: "client", name: "ada", publicKey }, { ...issuing, now: NOW, days: 1 }),
    /modulus is even/,
  );
});

Deno.test("keys are made in the sizes that are taken, with the exponent 65537", async () => {
  for (const bits of KEY_BITS.slice(0, 2)) {
    const ca = await createAuthority("Sized", await generateKey(bits), issuing);
    assert.equal(ca.certificate.rsa?.bits, bits);
    assert.equal(ca.certificate.rsa.exponent, 65537n);
  }
});

Deno.test("issueRevocationList() may revoke nobody", async () => {
  const pem = await issueRevocationList(await authority(), [], { now: NOW, nextUpdate: NOW + DAY, number: 1n });
  assert.equal(parseRevocationList(pem).revoked.size, 0);
});
