/**
 * A certificate authority: keys, certificates and revocation lists as RFC 5280 describes them, issued with
 * @peculiar/x509 (only this module uses it).
 *
 *     CN=SERVER: localhost     SAN DNS:localhost, IP:127.0.0.1; serverAuth; digitalSignature
 *     CN=CLIENT: ada           clientAuth; with an e-mail address, SAN email:ada@example.org
 *
 * Serial numbers are 128 random bits, signatures SHA-256, key identifiers SHA-256 of SubjectPublicKeyInfo (RFC 7093
 * section 2, item 4). Everything that is issued is read back with `x509.ts` and must pass the path check before anybody
 * gets it: a CA that the check refuses can issue nothing. `ca_folder.ts` knows the files and what was issued when.
 *
 * @layer crypto
 */

import type * as Peculiar from "@peculiar/x509";
import { type Bytes, encodeHex, encodeUtf8, parseHex, type Random } from "./bytes.ts";
import { findPath } from "./certificate_path.ts";
import { encodeCount, encodeDer, encodeOid, encodePem, TAG } from "./der.ts";
import { EXIT, Failure } from "./errors.ts";
import { sha256 } from "./hash.ts";
import { publicKeyOf } from "./private_key.ts";
import { printable } from "./text.ts";
import { canonicalAddress, type Certificate, OID, parseCertificate, parseRevocationList } from "./x509.ts";

const RSA = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
const DAY = 86_400_000;
/** Clocks differ, so certificates are valid from 10 minutes before they are issued. */
const BACKDATED = 600_000;

/** 4 KiB: a request for a key of 4096 bits has 1.7. */
const MAX_REQUEST = 4_096;

/** The sizes of new keys. */
export const KEY_BITS = [2048, 3072, 4096] as const;

/** One of {@link KEY_BITS}. */
export type KeyBits = typeof KEY_BITS[number];

/** A CA that can issue: its certificate and its key (PKCS #8 DER). */
export interface Authority {
  readonly certificate: Certificate;
  readonly key: Bytes;
}

/** When something is issued, and with which randomness. */
export interface Issuing {
  /** Unix milliseconds. */
  readonly now: number;
  readonly random: Random;
  readonly days: number;
}

/** For whom a certificate is issued. */
export interface Request {
  readonly role: "server" | "client";
  /** The name after `SERVER: ` or `CLIENT: `. */
  readonly name: string;
  /** Host names and addresses for subjectAltName. */
  readonly hosts?: readonly string[];
  readonly email?: string;
  /** The DER of SubjectPublicKeyInfo. */
  readonly publicKey: Bytes;
}

/** A certificate that a revocation list names. */
export interface RevokedSerial {
  readonly serial: string;
  /** Unix milliseconds. */
  readonly date: number;
}

/** Loaded only when something is issued: it takes a fifth of a second, which `cert check` shouldn't pay. */
async function library(): Promise<typeof Peculiar> {
  await import("reflect-metadata"); // @peculiar/x509 throws at import without it
  return await import("@peculiar/x509");
}

/** A fresh RSA key with exponent 65537, as PKCS #8 DER. */
export async function generateKey(bits: KeyBits = 2048): Promise<Bytes> {
  const algorithm = { ...RSA, modulusLength: bits, publicExponent: Uint8Array.of(1, 0, 1) };
  const pair = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  return new Uint8Array(await crypto.subtle.exportKey("pkcs8", pair.privateKey));
}

/** A self-signed CA of that name. */
export async function createAuthority(name: string, key: Bytes, issuing: Issuing): Promise<Authority> {
  return await createCa({ subject: encodeName(name), keyIdentifier: keyIdentifierOf(key) }, key, issuing);
}

/**
 * The same self-signed CA, valid for longer. Its subject and its key's identifier stay the same, byte for byte, since the
 * certificates that it issued name them. Its beginning stays the same, too: evidence from before the renewal is judged as
 * of its own time, and must stay valid for somebody who has only the renewed certificate.
 */
export async function renewAuthority({ certificate, key }: Authority, issuing: Issuing): Promise<Authority> {
  const keyIdentifier = certificate.subjectKeyIdentifier;
  const { notBefore } = certificate;
  return await createCa({ subject: subjectOf(certificate), keyIdentifier }, key, { ...issuing, notBefore });
}

/** An issuing CA below a root: it signs certificates of people and servers, but no further CA. */
export async function createIssuer(root: Authority, name: string, key: Bytes, issuing: Issuing): Promise<Authority> {
  return await createCa({ subject: encodeName(name), keyIdentifier: keyIdentifierOf(key) }, key, { ...issuing, root });
}

/**
 * A name with one CN in DER (RFC 5280 section 4.1.2.4). We build it because the library parses its text: quotes,
 * backslashes and `#` have a meaning there, and `Robert "Bob" Smith` would become `Bob`.
 */
function encodeName(commonName: string): Bytes {
  const value = encodeDer(TAG.utf8String, encodeUtf8(commonName));
  const attribute = encodeDer(TAG.sequence, encodeOid(OID.commonName), value);
  return encodeDer(TAG.sequence, encodeDer(TAG.set, attribute));
}

/** Under a root, or self-signed without one. */
async function createCa(
  { subject, keyIdentifier }: { readonly subject: Bytes; readonly keyIdentifier: string | undefined },
  key: Bytes,
  issuing: Issuing & { readonly root?: Authority; readonly notBefore?: number },
): Promise<Authority> {
  const peculiar = await library();
  const { root } = issuing;
  const publicKey = publicKeyOf(key);
  const extensions: Peculiar.Extension[] = [
    new peculiar.BasicConstraintsExtension(true, root ? 0 : undefined, true),
    new peculiar.KeyUsagesExtension(peculiar.KeyUsageFlags.keyCertSign | peculiar.KeyUsageFlags.cRLSign, true),
    ...(keyIdentifier === undefined ? [] : [new peculiar.SubjectKeyIdentifierExtension(keyIdentifier)]),
  ];
  const above = root?.certificate.subjectKeyIdentifier;
  if (above !== undefined) extensions.push(new peculiar.AuthorityKeyIdentifierExtension(above));
  const certificate = await issue({
    subject,
    issuer: root ? subjectOf(root.certificate) : subject,
    publicKey,
    signingKey: root?.key ?? key,
    ...validity(issuing, root?.certificate.notAfter ?? Infinity),
    ...(issuing.notBefore === undefined ? {} : { notBefore: new Date(issuing.notBefore) }),
    random: issuing.random,
    extensions,
  });
  if (certificate.faults.length > 0) throw new Error(`the CA's certificate ${certificate.faults[0]}`);
  return { certificate, key };
}

/** A request for a certificate (PKCS #10, RFC 2986) for that key, as PEM. It has no name: the issuer decides on that. */
export async function createRequest(key: Bytes): Promise<string> {
  const peculiar = await library();
  const request = await peculiar.Pkcs10CertificateRequestGenerator.create({
    name: new peculiar.Name([{ CN: ["securechat"] }]),
    keys: {
      privateKey: await importKey(key),
      publicKey: await crypto.subtle.importKey("spki", publicKeyOf(key), RSA, true, ["verify"]),
    },
    signingAlgorithm: RSA,
  });
  return encodePem("CERTIFICATE REQUEST", new Uint8Array(request.rawData));
}

/** The public key in a request, if the request is signed with that key; `undefined` for anything else. */
export async function keyOfRequest(pem: string): Promise<Bytes | undefined> {
  if (pem.length > MAX_REQUEST) return undefined;
  const peculiar = await library();
  try {
    const request = new peculiar.Pkcs10CertificateRequest(pem);
    const isRsa = request.publicKey.algorithm.name.startsWith("RSA");
    return isRsa && await request.verify() ? new Uint8Array(request.publicKey.rawData) : undefined;
  } catch {
    return undefined; // the library throws errors of many kinds
  }
}

/** A certificate for a server or a person. It ends with the CA's certificate at the latest. */
export async function issueCertificate(authority: Authority, request: Request, issuing: Issuing): Promise<Certificate> {
  const peculiar = await library();
  const { role, name, publicKey } = request;
  const { certificate: issuer, key } = authority;
  const isServer = role === "server";
  const alternatives: Peculiar.JsonGeneralName[] = (request.hosts ?? []).map((host) => {
    const address = canonicalAddress(host);
    return address === undefined ? { type: "dns", value: host } : { type: "ip", value: address };
  });
  if (request.email !== undefined) alternatives.push({ type: "email", value: request.email });
  const extensions: Peculiar.Extension[] = [
    new peculiar.BasicConstraintsExtension(false, undefined, true),
    new peculiar.KeyUsagesExtension(peculiar.KeyUsageFlags.digitalSignature, true),
    new peculiar.ExtendedKeyUsageExtension([isServer ? OID.serverAuth : OID.clientAuth]),
  ];
  if (alternatives.length > 0) extensions.push(new peculiar.SubjectAlternativeNameExtension(alternatives));
  if (issuer.subjectKeyIdentifier !== undefined) { // if the CA has none, as the Python design's, both are left out
    extensions.push(
      new peculiar.SubjectKeyIdentifierExtension(encodeHex(sha256(publicKey))),
      new peculiar.AuthorityKeyIdentifierExtension(issuer.subjectKeyIdentifier),
    );
  }
  const certificate = await issue({
    subject: encodeName(`${isServer ? "SERVER" : "CLIENT"}: ${name}`),
    issuer: subjectOf(issuer),
    publicKey,
    signingKey: key,
    ...validity(issuing, issuer.notAfter),
    random: issuing.random,
    extensions,
  });
  mustBeAsAsked(certificate, request);
  const path = await findPath([certificate], { authorities: [issuer], revocations: [] }, { purpose: role });
  const [problem] = path.problems(issuing.now, "current");
  if (problem !== undefined) throw new Failure(EXIT.no, `the CA can't issue this certificate: ${problem}`);
  return certificate;
}

/** A revocation list with these serial numbers, as PEM, valid from now to `nextUpdate` (unix ms). */
export async function issueRevocationList(
  authority: Authority,
  revoked: readonly RevokedSerial[],
  { now, nextUpdate, number }: { now: number; nextUpdate: number; number: bigint },
): Promise<string> {
  const peculiar = await library();
  const { certificate: issuer, key } = authority;
  const extensions: Peculiar.Extension[] = [new peculiar.Extension(OID.crlNumber, false, encodeCount(number))];
  if (issuer.subjectKeyIdentifier !== undefined) {
    extensions.push(new peculiar.AuthorityKeyIdentifierExtension(issuer.subjectKeyIdentifier));
  }
  const list = await peculiar.X509CrlGenerator.create({
    issuer: new peculiar.Name(subjectOf(issuer)),
    thisUpdate: new Date(now),
    nextUpdate: new Date(nextUpdate),
    // Without a reason the library writes an empty list of extensions, which RFC 5280 section 5.1.2.6 forbids.
    entries: revoked.map(({ serial, date }) => ({
      serialNumber: evenHex(serial),
      revocationDate: new Date(date),
      reason: peculiar.X509CrlReason.cessationOfOperation,
    })),
    extensions,
    signingAlgorithm: RSA,
    signingKey: await importKey(key),
  });
  const pem = encodePem("X509 CRL", new Uint8Array(list.rawData));
  const read = parseRevocationList(pem);
  if (read.faults.length > 0 || read.issuerName !== issuer.subjectName || read.revoked.size !== revoked.length) {
    throw new Error("the revocation list that was issued is not the one that was meant");
  }
  return pem;
}

/** The hosts and the e-mail address in the certificate must be exactly those that were asked for. */
function mustBeAsAsked({ hostNames }: Certificate, { hosts = [], email }: Request): void {
  const { dnsNames = [], addresses = [], emails = [] } = hostNames ?? {};
  const made = [...dnsNames, ...addresses, ...emails].toSorted();
  const asked = [...hosts.map((host) => canonicalAddress(host) ?? host), ...(email === undefined ? [] : [email])];
  if (JSON.stringify(made) !== JSON.stringify(asked.toSorted())) {
    throw new Failure(
      EXIT.no,
      `the CA can't issue a certificate with: ${printable(asked.join(", "))}`,
    );
  }
}

interface Parts {
  /** Names in DER. */
  readonly subject: Bytes;
  readonly issuer: Bytes;
  readonly publicKey: Bytes;
  readonly signingKey: Bytes;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly random: Random;
  readonly extensions: Peculiar.Extension[];
}

async function issue({ subject, issuer, publicKey, signingKey, random, ...parts }: Parts): Promise<Certificate> {
  const peculiar = await library();
  const serial = encodeHex(random(16));
  const issued = await peculiar.X509CertificateGenerator.create({
    ...parts,
    subject: new peculiar.Name(subject),
    issuer: new peculiar.Name(issuer),
    serialNumber: serial,
    publicKey: new peculiar.PublicKey(publicKey),
    signingAlgorithm: RSA,
    signingKey: await importKey(signingKey),
  });
  const certificate = parseCertificate(new Uint8Array(issued.rawData));
  if (evenHex(certificate.serial).padStart(32, "0") !== serial) throw new Error("the serial number was changed");
  const isAsked = certificate.subjectName === encodeHex(subject) && certificate.issuerName === encodeHex(issuer) &&
    encodeHex(certificate.publicKey) === encodeHex(publicKey);
  if (!isAsked) throw new Error("the certificate that was issued is not the one that was asked for");
  return certificate;
}

/** The CA's subject, byte for byte as in its own certificate. */
function subjectOf(issuer: Certificate): Bytes {
  return parseHex(issuer.subjectName) ?? new Uint8Array();
}

function validity({ now, days }: Issuing, end: number): { notBefore: Date; notAfter: Date } {
  const second = Math.floor(now / 1000) * 1000;
  return { notBefore: new Date(second - BACKDATED), notAfter: new Date(Math.min(second + days * DAY, end)) };
}

function keyIdentifierOf(key: Bytes): string {
  return encodeHex(sha256(publicKeyOf(key)));
}

function evenHex(serial: string): string {
  return serial.length % 2 === 0 ? serial : `0${serial}`;
}

function importKey(pkcs8: Bytes): Promise<CryptoKey> {
  return crypto.subtle.importKey("pkcs8", pkcs8, RSA, false, ["sign"]);
}
