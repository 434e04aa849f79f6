/**
 * The time-stamp token of RFC 3161 (docs/PROTOCOL.md, "Time-stamp tokens"): an authority's signed statement that some
 * bytes existed at a time. Read as strict DER; nothing is judged here.
 *
 *     SEQUENCE ContentInfo                     30 82 02 4c
 *       signedData                               06 09 2a 86 48 86 f7 0d 01 07 02
 *       [0] SEQUENCE SignedData                  a0 82 02 3d 30 82 02 39
 *         version 3, digestAlgorithms              02 01 03 31 0d …
 *         SEQUENCE: tSTInfo, [0] OCTET STRING      30 … the TSTInfo: `timestamp_info.ts`
 *         [0] certificates, [1] crls               not in a kept token
 *         SET of one SignerInfo                    31 …
 *           version, who signs                       issuer and serial, or a key's identifier
 *           digestAlgorithm, [0] attributes          what is signed: content type, digest of the TSTInfo, certificate's ID
 *           signatureAlgorithm, signature
 *           [1] unsigned attributes                  decide nothing
 *
 * A *kept* token is one without certificates and revocation lists, in at most 4,096 bytes: the same token has one form,
 * whatever its authority sends along. `openssl ts -verify -token_in -untrusted CERTIFICATES` takes it.
 *
 * What is not as it should be is a {@link DerError} that names the field.
 *
 * @layer crypto
 */

import { type Bytes, concat, encodeHex, parseInteger } from "./bytes.ts";
import type { Scheme } from "./certificate_signature.ts";
import {
  contextTag,
  DerError,
  DerFields,
  type Element,
  elements,
  encodeDer,
  encodeOid,
  parseDer,
  readCount,
  readInteger,
  readOid,
  TAG,
} from "./der.ts";
import { endWithNull, readHash, readSignatureScheme } from "./timestamp_algorithms.ts";
import { parseTokenInfo, type TokenInfo } from "./timestamp_info.ts";
import type { HashName } from "./hash.ts";

/** 4 KiB: a kept token has 500 to 1,000 bytes. */
export const MAX_TOKEN_BYTES = 4_096;

const TOKEN_OID = {
  signedData: "1.2.840.113549.1.7.2",
  tokenInfo: "1.2.840.113549.1.9.16.1.4",
  contentType: "1.2.840.113549.1.9.3",
  messageDigest: "1.2.840.113549.1.9.4",
  signingCertificate: "1.2.840.113549.1.9.16.2.12",
  signingCertificateV2: "1.2.840.113549.1.9.16.2.47",
} as const;

/** Whom a token names as its signer: a certificate by its issuer and number, or a key. */
export type SignerName =
  | { readonly issuerName: string; readonly serial: string }
  | { readonly keyIdentifier: string };

/** How the signed attributes name the signer's certificate (RFC 2634, RFC 5816): by its hash. */
export interface CertificateId {
  readonly hash: HashName | "SHA-1";
  /** The hash of the certificate's DER, lower-case hex. */
  readonly value: string;
  /** The certificate's issuer (DER, hex) and serial number, if they are given. */
  readonly issuerName?: string;
  readonly serial?: string;
}

/** A token as it was read: views into its bytes. */
export interface Token {
  readonly info: TokenInfo;
  /** The DER of the certificates that came with it; a kept token has none. */
  readonly certificates: readonly Bytes[];
  /** The same token without certificates and revocation lists. */
  readonly kept: Bytes;
  /** The bytes of the TSTInfo. */
  readonly content: Bytes;
  readonly signer: SignerName;
  /** The hash of the TSTInfo, and of the signature. */
  readonly hash: HashName;
  /** What the attribute says that the digest of the TSTInfo is. */
  readonly messageDigest: Bytes;
  /** The IDs of the signer's certificate: one, or two of different hashes. */
  readonly certificateIds: readonly CertificateId[];
  /** The attributes as they are signed: as a SET. */
  readonly signedAttributes: Bytes;
  readonly scheme: Scheme;
  readonly signature: Bytes;
}

/** Reads a token, kept or as it came. */
export function parseToken(der: Bytes): Token {
  const outer = new DerFields(parseDer(der, "the token"), "the token");
  expectOid(outer.next(TAG.oid), TOKEN_OID.signedData, "the token is no signed data");
  const wrapper = new DerFields(outer.next(contextTag(0)), "the token", contextTag(0));
  outer.end();
  const signedData = wrapper.next(TAG.sequence);
  wrapper.end();
  return readSignedData(signedData);
}

/** Reads a token in its kept form; any other form is a fault. */
export function parseKeptToken(der: Bytes): Token {
  if (der.length > MAX_TOKEN_BYTES) throw new DerError(`the token has more than ${MAX_TOKEN_BYTES} bytes`);
  const token = parseToken(der);
  if (token.kept.length !== der.length) throw new DerError("the token has certificates or revocation lists in it");
  return token;
}

function readSignedData(element: Element): Token {
  const fields = new DerFields(element, "the signed data");
  const version = fields.next(TAG.integer);
  if (readCount(version, "its version") !== 3) throw new DerError("the signed data is not of version 3");
  const digestAlgorithms = fields.next(TAG.set);
  const digests = elements(digestAlgorithms, "the list of hashes").map(hashOidOf);
  const encapsulated = fields.next(TAG.sequence);
  const certificates = fields.optional(contextTag(0));
  fields.optional(contextTag(1));
  const signerInfos = fields.next(TAG.set);
  fields.end();
  const [signerInfo, ...more] = elements(signerInfos, "the list of signers");
  if (signerInfo === undefined || more.length > 0) throw new DerError("the token doesn't have exactly one signer");
  const signer = readSignerInfo(signerInfo);
  if (!digests.includes(signer.hashOid)) throw new DerError("the list of hashes lacks the signer's");
  const content = readContent(encapsulated);
  return {
    info: parseTokenInfo(content),
    certificates: certificates === undefined ? [] : certificatesIn(certificates),
    kept: keptForm(version, digestAlgorithms, encapsulated, signerInfos),
    content,
    ...signer,
  };
}

function keptForm(...parts: readonly Element[]): Bytes {
  const signedData = encodeDer(TAG.sequence, ...parts.map(({ whole }) => whole));
  const type = encodeOid(TOKEN_OID.signedData);
  return encodeDer(TAG.sequence, type, encodeDer(contextTag(0), signedData));
}

/** Only what is an X.509 certificate by its tag: the other kinds are passed over. */
function certificatesIn(list: Element): Bytes[] {
  return elements(list, "the certificates").filter(({ tag }) => tag === TAG.sequence).map(({ whole }) => whole);
}

function readContent(element: Element): Bytes {
  const fields = new DerFields(element, "the content");
  expectOid(fields.next(TAG.oid), TOKEN_OID.tokenInfo, "what is signed is no time stamp");
  const wrapper = new DerFields(fields.next(contextTag(0)), "the content", contextTag(0));
  fields.end();
  const content = wrapper.next(TAG.octetString).content;
  wrapper.end();
  return content;
}

type SignerInfo = Omit<Token, "info" | "certificates" | "kept" | "content">;

function readSignerInfo(element: Element): SignerInfo & { readonly hashOid: string } {
  const fields = new DerFields(element, "the signer");
  const version = readCount(fields.next(TAG.integer), "the signer's version");
  const sid = fields.next(TAG.sequence, contextTag(0, false));
  if (version !== (sid.tag === TAG.sequence ? 1 : 3)) throw new DerError("the signer's version is wrong");
  const digestAlgorithm = fields.next(TAG.sequence);
  const hash = readHash(digestAlgorithm, "the signer's hash");
  const attributes = fields.next(contextTag(0));
  const scheme = readSignatureScheme(fields.next(TAG.sequence), hash);
  const signature = fields.next(TAG.octetString).content;
  const unsigned = fields.optional(contextTag(1));
  fields.end();
  if (unsigned !== undefined) readAttributes(unsigned);
  return {
    signer: readSignerName(sid),
    hash,
    hashOid: hashOidOf(digestAlgorithm),
    ...readSignedAttributes(attributes),
    scheme,
    signature,
  };
}

function readSignerName(sid: Element): SignerName {
  if (sid.tag !== TAG.sequence) return { keyIdentifier: encodeHex(sid.content) };
  const fields = new DerFields(sid, "the signer's name");
  const issuerName = encodeHex(fields.next(TAG.sequence).whole);
  const serial = serialText(fields.next(TAG.integer));
  fields.end();
  return { issuerName, serial };
}

/** As `Certificate.serial` spells it. */
function serialText(element: Element): string {
  return parseInteger(readInteger(element, "a serial number")).toString(16);
}

/** The attributes by type, in order; each has a set of values. */
function readAttributes(set: Element): { readonly type: string; readonly values: readonly Element[] }[] {
  return elements(set, "the attributes").map((attribute) => {
    const fields = new DerFields(attribute, "an attribute");
    const type = readOid(fields.next(TAG.oid), "an attribute's type");
    const values = elements(fields.next(TAG.set), "an attribute");
    fields.end();
    return { type, values };
  });
}

function readSignedAttributes(set: Element) {
  const attributes = readAttributes(set);
  const optional = (wanted: string, what: string): Element | undefined => {
    const [attribute, ...again] = attributes.filter(({ type }) => type === wanted);
    if (attribute === undefined) return undefined;
    const [value, ...more] = attribute.values;
    if (value === undefined || more.length > 0 || again.length > 0) {
      throw new DerError(`the attribute ${what} is not there once, with one value`);
    }
    return value;
  };
  const needed = (wanted: string, what: string): Element => {
    const value = optional(wanted, what);
    if (value === undefined) throw new DerError(`the attribute ${what} is missing`);
    return value;
  };
  const contentType = needed(TOKEN_OID.contentType, "contentType");
  if (contentType.tag !== TAG.oid) throw new DerError("the attribute contentType is no OBJECT IDENTIFIER");
  expectOid(contentType, TOKEN_OID.tokenInfo, "the attribute contentType names another type");
  const messageDigest = needed(TOKEN_OID.messageDigest, "messageDigest");
  if (messageDigest.tag !== TAG.octetString) throw new DerError("the attribute messageDigest is no OCTET STRING");
  const newer = optional(TOKEN_OID.signingCertificateV2, "signingCertificateV2");
  const older = optional(TOKEN_OID.signingCertificate, "signingCertificate");
  const certificateIds = [...newer ? [readId(newer, true)] : [], ...older ? [readId(older, false)] : []];
  if (certificateIds.length === 0) throw new DerError("no attribute names the signer's certificate");
  return {
    messageDigest: messageDigest.content,
    certificateIds,
    signedAttributes: concat(Uint8Array.of(TAG.set), set.whole.subarray(1)), // RFC 5652 section 5.4
  };
}

/** The first ID of the attribute: the signer's. Further ones are of its issuers. */
function readId(attribute: Element, isNewer: boolean): CertificateId {
  const what = "the ID of the signer's certificate";
  const fields = new DerFields(attribute, what);
  const list = elements(fields.next(TAG.sequence), what);
  fields.optional(TAG.sequence); // policies
  fields.end();
  for (const { tag } of list) {
    if (tag !== TAG.sequence) throw new DerError(`${what} is not of the kind that belongs there`);
  }
  const [first] = list;
  if (first === undefined) throw new DerError(`${what} is missing`);
  const id = new DerFields(first, what);
  const algorithm = isNewer ? id.optional(TAG.sequence) : undefined;
  const value = encodeHex(id.next(TAG.octetString).content);
  const issuerSerial = id.optional(TAG.sequence);
  id.end();
  const hash = !isNewer ? "SHA-1" : algorithm === undefined ? "SHA-256" : readHash(algorithm, what);
  return { hash, value, ...issuerSerial === undefined ? {} : readIssuerSerial(issuerSerial, what) };
}

function readIssuerSerial(element: Element, what: string): { issuerName: string; serial: string } {
  const fields = new DerFields(element, what);
  const [name, ...more] = elements(fields.next(TAG.sequence), what);
  const serial = serialText(fields.next(TAG.integer));
  fields.end();
  if (name?.tag !== contextTag(4) || more.length > 0) throw new DerError(`${what} doesn't name one issuer`);
  return { issuerName: encodeHex(name.content), serial };
}

/** Which hash an AlgorithmIdentifier names, known or not. */
function hashOidOf(element: Element): string {
  const fields = new DerFields(element, "a hash");
  const oid = readOid(fields.next(TAG.oid), "a hash");
  endWithNull(fields, "a hash");
  return oid;
}

function expectOid(element: Element, wanted: string, otherwise: string): void {
  if (readOid(element, "a type") !== wanted) throw new DerError(otherwise);
}
