/** Certificates and revocation lists: what is read, and what is refused before anybody asks whether it is good. */

import { type Bytes, encodeHex, encodeInteger, parseHex, parseInteger } from "../lib/bytes.ts";
import { issueRevocationList } from "../lib/ca.ts";
import { ProtocolError } from "../lib/errors.ts";
import { verifySignature } from "../lib/certificate_signature.ts";
import { canonicalAddress, parseCertificate, parseCertificates, parseRevocationList } from "../lib/x509.ts";
import { assert } from "./assert.ts";
import { authority, certificate, identities, key, NOW } from "./fixtures.ts";

function refusal(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof ProtocolError && error.code === "bad-cert") return error.message;
    throw error;
  }
  assert.fail("it was taken");
}

Deno.test("parseCertificates() reads what was issued", async () => {
  const made = await certificate("client", { role: "client", name: "Ädä", email: "ada@example.org" });
  const [read] = parseCertificates(made.pem);
  assert.equal(read?.subject, "CN=CLIENT: Ädä");
  assert.deepEqual(read.commonNames, ["CLIENT: Ädä"]);
  assert.equal(read.issuer, "CN=Test CA");
  assert.equal(read.issuerName, (await authority()).certificate.subjectName);
  assert.equal(read.fingerprint, made.fingerprint);
  assert.equal(read.notAfter - read.notBefore, 20 * 365 * 86_400_000 + 600_000);
  assert.equal(read.rsa?.bits, 2048);
  assert.equal(read.rsa.exponent, 65537n);
  assert.deepEqual([...read.keyUsage ?? []], ["digitalSignature"]);
  assert.deepEqual(read.extendedKeyUsage, ["1.3.6.1.5.5.7.3.2"]);
  assert.deepEqual(read.hostNames, { dnsNames: [], addresses: [], emails: ["ada@example.org"] });
  assert.equal(read.isAuthority, false);
  assert.equal(read.authorityKeyIdentifier, (await authority()).certificate.subjectKeyIdentifier);
  assert.deepEqual(read.faults, []);
});

Deno.test("no name of a certificate looks like another name, like two, or like the sentence that it stands in", async () => {
  const names: readonly (readonly [string, string])[] = [
    ["ada, O=Bank", "CN=CLIENT: ada\\, O=Bank"],
    ["ad\u0430", "CN=CLIENT: ad\\u{430}"],
    ["a\u200dda", "CN=CLIENT: a\\u{200d}da"],
  ];
  for (const [name, subject] of names) {
    const made = await certificate("client", { role: "client", name });
    assert.equal(made.subject, subject);
    assert.deepEqual(made.commonNames, [`CLIENT: ${name}`]);
  }
});

Deno.test("a certificate's PEM is written one way: 64 characters a line, LF after the last", async () => {
  const { server: { pem, chain: [leaf] } } = await identities();
  assert.match(
    pem,
    /^-----BEGIN CERTIFICATE-----\n(?:[A-Za-z0-9+/]{64}\n)+[A-Za-z0-9+/=]{1,64}\n-----END CERTIFICATE-----\n$/,
  );
  const oneLine = pem.replace(/(?<=[A-Za-z0-9+/=])\n(?=[A-Za-z0-9+/])/g, "");
  for (const spelling of [pem, pem.replaceAll("\n", "\r\n"), `\n${pem}\n\n`, oneLine]) {
    assert.equal(parseCertificates(spelling)[0]?.pem, leaf?.pem);
  }
});

Deno.test("parseCertificates() refuses whatever is not one to four certificates and nothing else", async () => {
  const { server: { pem }, client } = await identities();
  assert.equal(parseCertificates(pem + client.pem + pem + pem).length, 4);
  const lines = pem.split("\n");
  const cases: Record<string, [string, RegExp]> = {
    "nothing": ["", /there is no PEM certificate/],
    "text": ["hello", /there is no PEM certificate/],
    "five": [pem.repeat(5), /more than 4 PEM certificates/],
    "text before": [`x\n${pem}`, /text before the first/],
    "text after": [`${pem}x`, /other text around it/],
    "text between": [`${pem}x\n${pem}`, /other text around it/],
    "no end": [pem.slice(0, 600), /cut short/],
    "two ends": [`${pem}-----END CERTIFICATE-----\n`, /cut short|other text/],
    "a key after it": [`${pem}-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n`, /other text around it/],
    "base64 with a hole": [pem.replace("MII", "M!I"), /not in base64/],
    "no content": ["-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", /not in base64/],
    "half the content": [[lines[0], lines[1], lines.at(-2), ""].join("\n"), /can't be read: it is cut short/],
    "too large": [
      `-----BEGIN CERTIFICATE-----\n${"A".repeat(4 * 5462)}\n-----END CERTIFICATE-----\n`,
      /more than 16384 bytes/,
    ],
  };
  for (const [name, [text, reason]] of Object.entries(cases)) {
    assert.match(refusal(() => parseCertificates(text)), reason, name);
  }
});

Deno.test("a certificate with any one bit turned is refused, or its signature is", async () => {
  const { server: { chain: [leaf] } } = await identities();
  assert.ok(leaf);
  const issuer = (await authority()).certificate;
  assert.equal(await verifySignature(leaf, issuer), true);
  let parsed = 0;
  for (let at = 0; at < leaf.der.length; at++) {
    const der: Bytes = new Uint8Array(leaf.der);
    der[at] = (der[at] ?? 0) ^ (1 << at % 8);
    try {
      assert.equal(await verifySignature(parseCertificate(der), issuer), false, `byte ${at}`);
      parsed++;
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
    }
  }
  assert.ok(parsed > leaf.der.length / 2, "most turned bits leave a certificate that can be read");
});

Deno.test("a certificate that is cut anywhere is refused", async () => {
  const { server: { chain: [leaf] } } = await identities();
  assert.ok(leaf);
  for (let size = 0; size < leaf.der.length; size++) refusal(() => parseCertificate(leaf.der.slice(0, size)));
});

/** RSASSA-PSS with SHA-256 and a salt of 32 bytes, as it stands in a certificate. */
const PSS = "304106092a864886f70d01010a3034a00f300d06096086480165030402010500" +
  "a11c301a06092a864886f70d010108300d06096086480165030402010500a203020120";

Deno.test("a second form of a signature, the first plus the modulus, does not verify", async () => {
  const issuer = (await authority()).certificate;
  assert.ok(issuer.rsa);
  const { modulus } = issuer.rsa;
  const algorithm = { name: "RSA-PSS", hash: "SHA-256" };
  const signer = await crypto.subtle.importKey("pkcs8", await key("ca"), algorithm, false, ["sign"]);
  const tbs = new TextEncoder().encode("to be signed");
  for (let tries = 0; tries < 500; tries++) {
    const signature = new Uint8Array(await crypto.subtle.sign({ ...algorithm, saltLength: 32 }, signer, tbs));
    const second = parseInteger(signature) + modulus;
    if (second >= 1n << 2048n) continue; // it doesn't fit: sign again, the salt is another
    const signed = { ...issuer, tbs, signatureAlgorithm: PSS };
    assert.equal(await verifySignature({ ...signed, signature }, issuer), true);
    assert.equal(await verifySignature({ ...signed, signature: encodeInteger(second, 256) }, issuer), false);
    return;
  }
  assert.fail("no signature had a second form");
});

Deno.test("a serial number that is negative is a fault, and one with needless octets is not read", async () => {
  const { server: { chain: [leaf] } } = await identities();
  assert.ok(leaf);
  const hex = encodeHex(leaf.der);
  const at = hex.indexOf("a0030201020210"); // version 3, and a serial number of 16 octets
  const withSerial = (serial: string) => {
    const bytes = parseHex(hex.slice(0, at + 14) + serial + hex.slice(at + 14 + 32));
    return parseCertificate(bytes as Bytes).faults;
  };
  assert.deepEqual(withSerial("7f".repeat(16)), []);
  assert.deepEqual(withSerial("80".repeat(16)), ["has a serial number that is not positive"]);
  refusal(() => withSerial("00".repeat(16)));
});

Deno.test("what DER leaves out must not be written, nor two algorithms or another version be named", async () => {
  const { server: { chain: [leaf] } } = await identities();
  assert.ok(leaf);
  const hex = encodeHex(leaf.der);
  const patched = (from: string, to: string) => () => parseCertificate(parseHex(hex.replace(from, to)) as Bytes);
  assert.match(refusal(patched("0101ff", "010100")), /an extension spells out its default/);
  assert.match(refusal(patched("a003020102", "a003020101")), /it is not of version 3/);
  assert.match(refusal(patched("2a864886f70d01010b", "2a864886f70d01010c")), /two different signature algorithms/);
  assert.deepEqual(patched("551d25", "551d24")().faults, ["has policy constraints, which securechat doesn't accept"]);
});

Deno.test("parseRevocationList() reads what was issued and refuses what is something else", async () => {
  const revoked = [{ serial: "abc", date: NOW - 1000 }, { serial: "5f1c0b9e4a7d22d08c3a6b51e0f4978d", date: NOW }];
  const pem = await issueRevocationList(await authority(), revoked, { now: NOW, nextUpdate: NOW + 5000, number: 7n });
  const list = parseRevocationList(pem);
  assert.deepEqual([...list.revoked], revoked.map(({ serial, date }) => [serial, { date, reason: 5 }]));
  assert.deepEqual([list.thisUpdate, list.nextUpdate, list.number], [NOW, NOW + 5000, 7n]);
  assert.deepEqual(list.faults, []);
  assert.equal(await verifySignature(list, (await authority()).certificate), true);
  assert.match(refusal(() => parseRevocationList(pem + pem)), /more than 1 PEM revocation lists/);
  assert.match(refusal(() => parseRevocationList(pem.slice(0, 200))), /cut short/);
  const { server } = await identities();
  assert.match(refusal(() => parseRevocationList(server.pem)), /there is no PEM revocation list/);
});

Deno.test("canonicalAddress() knows an address in any spelling, and no name", () => {
  assert.equal(canonicalAddress("192.0.2.1"), "192.0.2.1");
  assert.equal(canonicalAddress("2001:0DB8:0:0:0:0:0:1"), "2001:db8::1");
  assert.equal(canonicalAddress("::ffff:192.0.2.1"), "::ffff:c000:201");
  for (const name of ["localhost", "192.0.2", "192.0.2.256", "0x7f.1", "1", "::g", "fe80::1%eth0", "[::1]", "", ":"]) {
    assert.equal(canonicalAddress(name), undefined, name);
  }
});
