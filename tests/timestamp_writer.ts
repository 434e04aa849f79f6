/**
 * Writes certificates, revocation lists and time-stamp tokens, good ones and bad ones: every part can be replaced. Keys
 * are fresh; nothing here is used by the program, which never writes any of these.
 */

import { type Bytes, concat, encodeHex, encodeUtf8, parseHex } from "../lib/bytes.ts";
import { contextTag, encodeCount, encodeDer, encodeOid, encodePem, TAG } from "../lib/der.ts";
import { digest, HASH_SIZES, type HashName } from "../lib/hash.ts";
import { hashOid } from "../lib/timestamp_algorithms.ts";
import { type Certificate, OID, parseCertificate, parseRevocationList, type RevocationList } from "../lib/x509.ts";

/** SEQUENCE and SET. */
export const sequence = (...parts: Bytes[]): Bytes => encodeDer(TAG.sequence, ...parts);
export const set = (...parts: Bytes[]): Bytes => encodeDer(TAG.set, ...parts);
/** [number], explicit. */
export const explicit = (number: number, ...parts: Bytes[]): Bytes => encodeDer(contextTag(number), ...parts);
export const octetString = (bytes: Uint8Array): Bytes => encodeDer(TAG.octetString, bytes);
export const NULL = encodeDer(TAG.null);
/** Text as ASCII bytes of a tag. */
export const ascii = (tag: number, text: string): Bytes => encodeDer(tag, encodeUtf8(text));
/** A hash's AlgorithmIdentifier, with NULL. */
export const hashId = (hash: HashName): Bytes => sequence(encodeOid(hashOid(hash)), NULL);

// ---- keys

/** How a key signs; `rsa` is rsaEncryption in tokens and shaXWithRSA in certificates. */
export type KeyKind = "P-256" | "P-384" | "rsa" | "pss";

/** A key, and what it is called. */
export interface Signer {
  readonly kind: KeyKind;
  readonly spki: Bytes;
  readonly privateKey: CryptoKey;
}

/** A fresh key. RSA has 2,048 bits and takes a while. */
export async function makeKey(kind: KeyKind): Promise<Signer> {
  const isRsa = kind === "rsa" || kind === "pss";
  const rsa = { modulusLength: 2048, publicExponent: Uint8Array.of(1, 0, 1), hash: "SHA-256" };
  const pair = await crypto.subtle.generateKey(
    isRsa ? { name: kind === "pss" ? "RSA-PSS" : "RSASSA-PKCS1-v1_5", ...rsa } : { name: "ECDSA", namedCurve: kind },
    true,
    ["sign", "verify"],
  ) as CryptoKeyPair;
  const spki = new Uint8Array(await crypto.subtle.exportKey("spki", pair.publicKey));
  return { kind, spki, privateKey: pair.privateKey };
}

const HASH_NUMBERS: Readonly<Record<HashName, number>> = { "SHA-256": 1, "SHA-384": 2, "SHA-512": 3 };

/** The AlgorithmIdentifier of a signature. RSA keys made here sign with SHA-256 alone. */
export function signatureId(kind: KeyKind, hash: HashName): Bytes {
  const n = HASH_NUMBERS[hash];
  if (kind === "rsa") return sequence(encodeOid(`1.2.840.113549.1.1.${10 + n}`), NULL);
  if (kind !== "pss") return sequence(encodeOid(`1.2.840.10045.4.3.${1 + n}`));
  const mask = sequence(encodeOid("1.2.840.113549.1.1.8"), hashId(hash));
  const salt = encodeCount(HASH_SIZES[hash]);
  return sequence(
    encodeOid("1.2.840.113549.1.1.10"),
    sequence(explicit(0, hashId(hash)), explicit(1, mask), explicit(2, salt)),
  );
}

/** The signature as certificates and tokens have it. */
export async function signWith({ kind, privateKey }: Signer, hash: HashName, data: Bytes): Promise<Bytes> {
  if (kind === "rsa") return new Uint8Array(await crypto.subtle.sign("RSASSA-PKCS1-v1_5", privateKey, data));
  if (kind === "pss") {
    const scheme = { name: "RSA-PSS", saltLength: HASH_SIZES[hash] };
    return new Uint8Array(await crypto.subtle.sign(scheme, privateKey, data));
  }
  const plain = new Uint8Array(await crypto.subtle.sign({ name: "ECDSA", hash }, privateKey, data));
  const half = plain.length / 2;
  const numbers = [plain.subarray(0, half), plain.subarray(half)];
  return sequence(...numbers.map((bytes) => encodeCount(BigInt(`0x${encodeHex(bytes)}`))));
}

// ---- certificates

/** CN=name. */
export const nameOf = (name: string): Bytes =>
  sequence(set(sequence(encodeOid(OID.commonName), ascii(TAG.utf8String, name))));

/** An extension. */
export const extension = (oid: string, value: Bytes, isCritical = false): Bytes =>
  sequence(encodeOid(oid), ...isCritical ? [encodeDer(TAG.boolean, Uint8Array.of(0xff))] : [], octetString(value));

/** An extendedKeyUsage. */
export const purposes = (...oids: string[]): Bytes => sequence(...oids.map(encodeOid));

/** A BIT STRING of named bits. */
export function bits(...numbers: number[]): Bytes {
  const octets = new Uint8Array(2);
  for (const n of numbers) octets[n >> 3] = (octets[n >> 3] ?? 0) | 0x80 >> (n & 7);
  const used = Math.max(-1, ...numbers) + 1;
  const length = Math.ceil(used / 8);
  return encodeDer(TAG.bitString, Uint8Array.of(8 * length - used), octets.subarray(0, length));
}

const keyIdentifier = ({ spki }: Signer): Bytes => digest("SHA-256", spki).subarray(0, 20);
const generalizedTime = (text: string): Bytes => ascii(TAG.generalizedTime, text);

/** A certificate with its key. */
export interface Made {
  readonly certificate: Certificate;
  readonly key: Signer;
}

/** What a certificate is made of; what isn't given is that of a good authority's. */
export interface CertificateParts {
  readonly name: string;
  readonly key: Signer;
  /** Itself, without. */
  readonly issuer?: Made;
  readonly isAuthority?: boolean;
  readonly from?: string;
  readonly to?: string;
  readonly serial?: number;
  /** In place of the extensions of its kind. */
  readonly extensions?: readonly Bytes[];
  /** After those of its kind. */
  readonly more?: readonly Bytes[];
}

/** The extensions of a good time-stamping certificate, or of a CA. */
export function usualExtensions({ key, issuer, isAuthority = issuer === undefined }: CertificateParts): Bytes[] {
  const own = extension(OID.subjectKeyIdentifier, octetString(keyIdentifier(key)));
  const above = encodeDer(contextTag(0, false), keyIdentifier(issuer?.key ?? key));
  const identifiers = [own, extension(OID.authorityKeyIdentifier, sequence(above))];
  if (isAuthority) {
    const isTrue = encodeDer(TAG.boolean, Uint8Array.of(0xff));
    const usage = extension(OID.keyUsage, bits(5, 6), true);
    return [extension(OID.basicConstraints, sequence(isTrue), true), usage, ...identifiers];
  }
  const usage = extension(OID.keyUsage, bits(0), true);
  return [usage, extension(OID.extendedKeyUsage, purposes(OID.timeStamping), true), ...identifiers];
}

let serials = 100;

/** Makes a certificate. */
export async function makeCertificate(parts: CertificateParts): Promise<Made> {
  const { name, key, issuer, from = "20200101000000Z", to = "20991231235959Z", serial = serials++ } = parts;
  const signer = issuer?.key ?? key;
  const algorithm = signatureId(signer.kind, "SHA-256");
  const tbs = sequence(
    explicit(0, encodeCount(2)),
    encodeCount(serial),
    algorithm,
    issuer === undefined ? nameOf(name) : parseHex(issuer.certificate.subjectName) ?? nameOf(""),
    sequence(generalizedTime(from), generalizedTime(to)),
    nameOf(name),
    key.spki,
    explicit(3, sequence(...parts.extensions ?? [...usualExtensions(parts), ...parts.more ?? []])),
  );
  const signature = encodeDer(TAG.bitString, Uint8Array.of(0), await signWith(signer, "SHA-256", tbs));
  return { certificate: parseCertificate(sequence(tbs, algorithm, signature)), key };
}

/** A revocation list of the issuer; `reason` is the number in the entry, where there is one. */
export async function makeRevocationList(
  issuer: Made,
  revoked: readonly { readonly serial: string; readonly date: string; readonly reason?: number }[],
): Promise<RevocationList> {
  const algorithm = signatureId(issuer.key.kind, "SHA-256");
  const entries = revoked.map(({ serial, date, reason }) => {
    const code = reason === undefined ? [] : [
      sequence(extension(OID.reasonCode, encodeDer(TAG.enumerated, Uint8Array.of(reason)))),
    ];
    return sequence(encodeCount(BigInt(`0x${serial}`)), generalizedTime(date), ...code);
  });
  const tbs = sequence(
    encodeCount(1),
    algorithm,
    parseHex(issuer.certificate.subjectName) ?? nameOf(""),
    generalizedTime("20260101000000Z"),
    generalizedTime("20990101000000Z"),
    sequence(...entries),
  );
  const signature = encodeDer(TAG.bitString, Uint8Array.of(0), await signWith(issuer.key, "SHA-256", tbs));
  return parseRevocationList(encodePem("X509 CRL", sequence(tbs, algorithm, signature)));
}

// ---- tokens

export const TOKEN = {
  signedData: "1.2.840.113549.1.7.2",
  tokenInfo: "1.2.840.113549.1.9.16.1.4",
  contentType: "1.2.840.113549.1.9.3",
  messageDigest: "1.2.840.113549.1.9.4",
  signingTime: "1.2.840.113549.1.9.5",
  signingCertificate: "1.2.840.113549.1.9.16.2.12",
  signingCertificateV2: "1.2.840.113549.1.9.16.2.47",
} as const;

/** The parts of a TSTInfo; what isn't given is that of a good one. */
export interface InfoParts {
  readonly data: Uint8Array;
  readonly hash?: HashName;
  readonly version?: number;
  readonly imprint?: Bytes;
  readonly serial?: Bytes;
  readonly genTime?: string;
  /** Everything after genTime: accuracy, ordering, nonce, tsa, extensions. */
  readonly rest?: readonly Bytes[];
}

/** An accuracy: absent parts are left out. */
export function accuracy({ seconds, millis, micros }: { seconds?: number; millis?: number; micros?: number }): Bytes {
  const part = (number: number, value: number | undefined) =>
    value === undefined ? [] : [concat(Uint8Array.of(0x80 | number), encodeCount(value).subarray(1))];
  return sequence(...seconds === undefined ? [] : [encodeCount(seconds)], ...part(0, millis), ...part(1, micros));
}

/** A TSTInfo. */
export function tokenInfo(parts: InfoParts): Bytes {
  const { data, hash = "SHA-256", version = 1, genTime = "20261129120000Z", rest = [] } = parts;
  const imprint = parts.imprint ?? sequence(hashId(hash), octetString(digest(hash, data)));
  const serial = parts.serial ?? encodeCount(4711);
  return sequence(encodeCount(version), encodeOid("1.2.3.4.1"), imprint, serial, generalizedTime(genTime), ...rest);
}

/** An attribute. */
export const attribute = (type: string, ...values: Bytes[]): Bytes => sequence(encodeOid(type), set(...values));

/** issuer and serialNumber as a signer's name. */
export const issuerAndSerial = ({ issuerName, serial }: Certificate): Bytes =>
  sequence(parseHex(issuerName) ?? nameOf(""), encodeCount(BigInt(`0x${serial}`)));

const issuerSerial = ({ issuerName, serial }: Certificate): Bytes =>
  sequence(sequence(explicit(4, parseHex(issuerName) ?? nameOf(""))), encodeCount(BigInt(`0x${serial}`)));

/** The attribute with a certificate's ID, of RFC 2634 or RFC 5816. */
export function certificateId(certificate: Certificate, version: 1 | 2 = 2, hash: HashName = "SHA-256"): Bytes {
  const value = octetString(digest(version === 1 ? "SHA-1" : hash, certificate.der));
  const algorithm = version === 2 && hash !== "SHA-256" ? [hashId(hash)] : [];
  const id = sequence(...algorithm, value, issuerSerial(certificate));
  const type = version === 1 ? TOKEN.signingCertificate : TOKEN.signingCertificateV2;
  return attribute(type, sequence(sequence(id)));
}

/** The parts of a token; what isn't given is that of a good one. */
export interface TokenParts extends InfoParts {
  readonly signer: Made;
  /** In place of what `InfoParts` gives. */
  readonly info?: Bytes;
  /** The hash of the digest and of the signature. */
  readonly digest?: HashName;
  readonly signerVersion?: number;
  readonly sid?: Bytes;
  /** Makes the signed attributes out of the good ones: content type, digest, ID. */
  readonly attributes?: (good: Bytes[]) => Bytes[];
  readonly signatureAlgorithm?: Bytes;
  readonly unsigned?: Bytes;
  readonly signedDataVersion?: number;
  readonly contentType?: string;
  /** In place of the OCTET STRING around the TSTInfo. */
  readonly content?: Bytes;
  /** Embedded certificates, and revocation lists. */
  readonly certificates?: readonly Bytes[];
  readonly lists?: readonly Bytes[];
  /** Makes the list of signers out of the one. */
  readonly signers?: (one: Bytes) => Bytes[];
  readonly digestAlgorithms?: Bytes;
}

/** A token in DER. */
export async function makeToken(parts: TokenParts): Promise<Bytes> {
  const { signer, digest: hash = "SHA-256", contentType = TOKEN.tokenInfo } = parts;
  const info = parts.info ?? tokenInfo(parts);
  const good = [
    attribute(TOKEN.contentType, encodeOid(TOKEN.tokenInfo)),
    attribute(TOKEN.messageDigest, octetString(digest(hash, info))),
    certificateId(signer.certificate),
  ];
  const attributes = parts.attributes?.(good) ?? good;
  const signature = await signWith(signer.key, hash, set(...attributes));
  const signerInfo = sequence(
    encodeCount(parts.signerVersion ?? 1),
    parts.sid ?? issuerAndSerial(signer.certificate),
    hashId(hash),
    explicit(0, ...attributes),
    parts.signatureAlgorithm ?? signatureId(signer.key.kind, hash),
    octetString(signature),
    ...parts.unsigned === undefined ? [] : [parts.unsigned],
  );
  const signedData = sequence(
    encodeCount(parts.signedDataVersion ?? 3),
    parts.digestAlgorithms ?? set(hashId(hash)),
    sequence(encodeOid(contentType), explicit(0, parts.content ?? octetString(info))),
    ...parts.certificates === undefined ? [] : [explicit(0, ...parts.certificates)],
    ...parts.lists === undefined ? [] : [explicit(1, ...parts.lists)],
    set(...parts.signers?.(signerInfo) ?? [signerInfo]),
  );
  return sequence(encodeOid(TOKEN.signedData), explicit(0, signedData));
}

/** A TimeStampResp. */
export function makeReply(token: Bytes | undefined, status = 0, ...info: Bytes[]): Bytes {
  return sequence(sequence(encodeCount(status), ...info), ...token === undefined ? [] : [token]);
}
