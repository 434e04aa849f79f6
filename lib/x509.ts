/**
 * X.509 certificates and revocation lists (RFC 5280), read from PEM (RFC 7468) into plain fields.
 *
 *     -----BEGIN CERTIFICATE-----
 *     MIIC+jCCAeKgAwIBAgIQ…
 *     -----END CERTIFICATE-----
 *
 * A field on the wire contains the leaf first and at most three further certificates after it (docs/PROTOCOL.md, "Hello
 * and certificates"), with nothing between or around them. A file may have other text around them. What is not DER, or
 * doesn't have the structure of RFC 5280, is `bad-cert` at once. What is well formed but has no place in a chat's
 * certificates (name constraints, policies, unknown critical extensions, …) becomes `faults`, each the end of a sentence:
 * `certificate_path.ts` refuses such certificates, `cert show` prints the faults. This module doesn't decide whether a
 * certificate is good.
 *
 * We read with `der.ts` and not with @peculiar/x509, which issues (`ca.ts`). That reader accepts BER, doesn't notice
 * malformed extensions until they are asked for, needs 1.4 ms a certificate instead of 0.1, and adds 200 ms to every
 * start. So every certificate that one implementation issues is read by another before it leaves the program.
 *
 * @layer crypto
 */

import { type Bytes, encodeHex, parseBase64, parseInteger } from "./bytes.ts";
import {
  contextTag,
  DerError,
  DerFields,
  elements,
  encodePem,
  parseDer,
  readCount,
  readInteger,
  readOctets,
  readTime,
  TAG,
} from "./der.ts";
import { ProtocolError } from "./errors.ts";
import { sha256 } from "./hash.ts";
import {
  type AuthorityKeyIdentifier,
  checkInfoAccess,
  type Extensions,
  type HostNames,
  type KeyUsage,
  octets,
  OID,
  readAuthorityKeyIdentifier,
  readBasicConstraints,
  readExtensions,
  readHostNames,
  readKeyUsage,
  readPurposes,
  serialText,
} from "./x509_extensions.ts";
import { type Curve, type Name, type PublicKey, readName, readPublicKey, type RsaPublicKey } from "./x509_fields.ts";

export { canonicalAddress, type HostNames, KEY_USAGES, type KeyUsage, OID } from "./x509_extensions.ts";
export type { Curve, RsaPublicKey } from "./x509_fields.ts";

/** The leaf and three intermediates: what the wire allows. */
export const MAX_CERTIFICATES = 4;
/** How many CAs one file may bring. */
export const MAX_CA_CERTIFICATES = 64;
/** 16 KiB: a certificate has 1 to 2, and a peer can't make us read more. */
export const MAX_CERTIFICATE_BYTES = 16_384;
/** 4 MiB: some hundred thousand revocations. */
const MAX_LIST_BYTES = 4_194_304;

/** What certificates and revocation lists have in common: they are signed. */
export interface Signed {
  /** The bytes that are signed. */
  readonly tbs: Bytes;
  /** The DER of the AlgorithmIdentifier, hex. */
  readonly signatureAlgorithm: string;
  readonly signature: Bytes;
  /** The DER of the issuer's name, hex: names are compared by it, byte for byte. */
  readonly issuerName: string;
  /** The issuer's name for people, like {@link Certificate.subject}. */
  readonly issuer: string;
  /** The identifier of the key that is said to have signed, hex. */
  readonly authorityKeyIdentifier: string | undefined;
  /** What has no place in it: each is the end of a sentence that begins with its name. */
  readonly faults: readonly string[];
}

/** A certificate: its fields, and the DER from which they were read; fields that are bytes are views into it. */
export interface Certificate extends Signed {
  readonly der: Bytes;
  /** As PEM, 64 characters a line, with an LF after the END line. */
  readonly pem: string;
  /** SHA-256 of the DER, lower-case hex. */
  readonly fingerprint: string;
  /** The subject for people: `CN=SERVER: localhost`; safe to print in quotes, see `nameText` of `text.ts`. */
  readonly subject: string;
  /** The DER of the subject, hex. */
  readonly subjectName: string;
  /** Every CN of the subject, unchanged. */
  readonly commonNames: readonly string[];
  /** Lower-case hex without leading zeros. */
  readonly serial: string;
  /** Unix milliseconds; the certificate is still good in the second of notAfter. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** The key, if it is RSA. */
  readonly rsa: RsaPublicKey | undefined;
  /** The key's curve, if it is a known one. Only `cert check --any-key` accepts such keys. */
  readonly curve: Curve | undefined;
  /** What kind of key it is, for people. */
  readonly keyKind: string;
  /** The DER of SubjectPublicKeyInfo. */
  readonly publicKey: Bytes;
  readonly subjectKeyIdentifier: string | undefined;
  /**
   * The issuer's own certificate, if authorityKeyIdentifier names it: by the DER of its issuer's name (hex) and its
   * serial number.
   */
  readonly authorityCertificate: { readonly issuerName: string; readonly serial: string } | undefined;
  readonly isAuthority: boolean;
  /** How many intermediates may follow below it. */
  readonly pathLength: number | undefined;
  /** `undefined`: the certificate doesn't restrict what its key is for. */
  readonly keyUsage: ReadonlySet<KeyUsage> | undefined;
  /** Object identifiers. */
  readonly extendedKeyUsage: readonly string[] | undefined;
  /** Whether extendedKeyUsage is critical: a time-stamping authority's must be, any other must not. */
  readonly hasCriticalPurposes: boolean;
  /**
   * The `faults` that count on the path of a time-stamping authority. Two don't count there: a critical
   * extendedKeyUsage, and an authorityKeyIdentifier that names the issuer's certificate and not its key.
   */
  readonly timestampFaults: readonly string[];
  /** `undefined` if there is no subjectAltName. */
  readonly hostNames: HostNames | undefined;
}

/** A certificate that was revoked. */
export interface Revocation {
  /** Unix milliseconds. */
  readonly date: number;
  /** The number of the reason (RFC 5280 section 5.3.1), if one is given that is readable and not contradicted. */
  readonly reason?: number;
}

/** A revocation list (CRL). */
export interface RevocationList extends Signed {
  /** Unix milliseconds. */
  readonly thisUpdate: number;
  readonly nextUpdate: number | undefined;
  /** cRLNumber, if the list has one. */
  readonly number: bigint | undefined;
  /** By serial number, lower-case hex without leading zeros. */
  readonly revoked: ReadonlyMap<string, Revocation>;
}

/**
 * The certificates of a PEM text, the leaf first. Throws `bad-cert` if there are more than `max` certificates, if one has
 * more than 16 KiB or is malformed, and if there is anything else in the text.
 */
export function parseCertificates(pem: string, max = MAX_CERTIFICATES): Certificate[] {
  const found = readPem(pem, "CERTIFICATE", max, MAX_CERTIFICATE_BYTES);
  return found.map((der, at) =>
    parsed(found.length > 1 ? `certificate ${at + 1}` : "the certificate", der, certificate)
  );
}

/**
 * {@link parseCertificates} for a file, which may have text for people around the certificates (RFC 7468 section 2).
 */
export function parseCertificateFile(text: string, max = MAX_CERTIFICATES): Certificate[] {
  return parseCertificates(blocksOf(text, "CERTIFICATE"), max);
}

/** {@link parseRevocationList} for a file, which may have text for people around the list. */
export function parseRevocationListFile(text: string): RevocationList {
  return parseRevocationList(blocksOf(text, "X509 CRL"));
}

/** The blocks with that label, including one that is cut short, so that it is reported. */
function blocksOf(text: string, label: string): string {
  const block = new RegExp(`^-----BEGIN ${label}-----[^]*?(?:-----END ${label}-----|(?![^]))`, "gm");
  return (text.match(block) ?? []).join("\n");
}

/** The revocation list of a PEM text. Throws `bad-cert` for anything else. */
export function parseRevocationList(pem: string): RevocationList {
  const [der] = readPem(pem, "X509 CRL", 1, MAX_LIST_BYTES);
  return parsed("the revocation list", der ?? new Uint8Array(), revocationList);
}

/** The certificate in that DER. Throws `bad-cert`. */
export function parseCertificate(der: Bytes): Certificate {
  return parsed("the certificate", der, certificate);
}

function parsed<T>(what: string, der: Bytes, read: (der: Bytes) => T): T {
  try {
    return read(der);
  } catch (error) {
    if (!(error instanceof DerError)) throw error;
    throw new ProtocolError("bad-cert", `${what} can't be read: ${error.message}`);
  }
}

/** The contents of every block with that label. The text must contain nothing else. */
function readPem(pem: string, label: string, max: number, maxBytes: number): Bytes[] {
  const kind = label === "CERTIFICATE" ? "PEM certificate" : "PEM revocation list";
  const blocks = pem.split(`-----BEGIN ${label}-----`);
  if (blocks.length < 2) throw new ProtocolError("bad-cert", `there is no ${kind}`);
  if (blocks.length - 1 > max) {
    throw new ProtocolError("bad-cert", `there are more than ${max} ${kind}s`);
  }
  if (blocks.shift()?.trim() !== "") throw new ProtocolError("bad-cert", `there is text before the first ${kind}`);
  return blocks.map((block) => {
    const [body = "", after] = block.split(`-----END ${label}-----`, 2);
    if (after?.trim() !== "" || block.split("-----END").length !== 2) {
      throw new ProtocolError("bad-cert", `a ${kind} is cut short, or there is other text around it`);
    }
    const der = parseBase64(body.replace(/[ \t\r\n]+/g, ""))?.slice(); // kept for long
    if (der === undefined || der.length === 0) throw new ProtocolError("bad-cert", `a ${kind} is not in base64`);
    if (der.length > maxBytes) throw new ProtocolError("bad-cert", `a ${kind} has more than ${maxBytes} bytes`);
    return der;
  });
}

const OLD_VERSION = "it is not of version 3, so it can't say what its key is for; issue it again with extensions";

const CRITICAL_PURPOSES = "has a critical extendedKeyUsage";
const ODD_IDENTIFIER = "names its issuer's key without an identifier, or its certificate by halves";

/** The fields of a certificate before its extensions. */
interface Head {
  readonly serial: Bytes;
  readonly issuer: Name;
  readonly subject: Name;
  readonly notBefore: number;
  readonly notAfter: number;
  readonly key: PublicKey;
}

/** RFC 5280 section 4.1. */
function certificate(der: Bytes): Certificate {
  const outer = new DerFields(parseDer(der, "it"), "it");
  const tbs = outer.next(TAG.sequence);
  const { algorithm, signature } = signatureOf(outer);
  const fields = new DerFields(tbs, "its signed part");
  const head = readHead(fields, algorithm);
  const extensions = readExtensions(fields.optional(contextTag(3)), contextTag(3));
  fields.end();
  const said = readCertificateExtensions(extensions);
  const faults = [...extensions.faults, ...headFaults(head), ...extensionFaults(head, extensions, said)];
  const passing = [CRITICAL_PURPOSES, ...said.issuer?.certificate === undefined ? [] : [ODD_IDENTIFIER]];
  return {
    der,
    get pem() {
      return encodePem("CERTIFICATE", this.der);
    },
    fingerprint: encodeHex(sha256(der)),
    tbs: tbs.whole,
    signatureAlgorithm: algorithm,
    signature,
    issuerName: head.issuer.der,
    issuer: head.issuer.text,
    subject: head.subject.text,
    subjectName: head.subject.der,
    commonNames: head.subject.commonNames,
    serial: serialText(head.serial),
    notBefore: head.notBefore,
    notAfter: head.notAfter,
    ...head.key,
    subjectKeyIdentifier: said.keyIdentifier,
    authorityKeyIdentifier: said.issuer?.identifier,
    authorityCertificate: said.issuer?.certificate,
    isAuthority: said.constraints?.isAuthority ?? false,
    pathLength: said.constraints?.pathLength,
    keyUsage: said.keyUsage,
    extendedKeyUsage: said.purposes,
    hasCriticalPurposes: extensions.isCritical(OID.extendedKeyUsage),
    hostNames: said.hosts,
    faults,
    timestampFaults: faults.filter((fault) => !passing.includes(fault)),
  };
}

function readHead(fields: DerFields, algorithm: string): Head {
  const wrapper = fields.optional(contextTag(0));
  if (wrapper === undefined) throw new DerError(OLD_VERSION); // version 1 is the default, so it isn't written
  const version = new DerFields(wrapper, "its version", contextTag(0));
  if (readCount(version.next(TAG.integer), "its version") !== 2) throw new DerError(OLD_VERSION);
  version.end();
  const serial = readInteger(fields.next(TAG.integer), "its serial number");
  if (encodeHex(fields.next(TAG.sequence).whole) !== algorithm) {
    throw new DerError("it names two different signature algorithms");
  }
  const issuer = readName(fields.next(TAG.sequence), "its issuer");
  const validity = new DerFields(fields.next(TAG.sequence), "its validity");
  const notBefore = readTime(validity.next(TAG.utcTime, TAG.generalizedTime), "its notBefore");
  const notAfter = readTime(validity.next(TAG.utcTime, TAG.generalizedTime), "its notAfter");
  validity.end();
  const subject = readName(fields.next(TAG.sequence), "its subject");
  return { serial, issuer, notBefore, notAfter, subject, key: readPublicKey(fields.next(TAG.sequence)) };
}

function headFaults({ serial, issuer }: Head): string[] {
  const faults: string[] = [];
  const first = serial[0] ?? 0;
  const isZero = serial.length === 1 && first === 0;
  if (isZero || first >= 0x80) faults.push("has a serial number that is not positive");
  if (serial.length > 20) faults.push("has a serial number of more than 20 octets");
  if (issuer.isEmpty) faults.push("has an issuer without a name");
  return faults;
}

/** What a certificate's extensions say. */
interface Said {
  readonly constraints: ReturnType<typeof readBasicConstraints> | undefined;
  readonly keyUsage: ReadonlySet<KeyUsage> | undefined;
  readonly purposes: readonly string[] | undefined;
  readonly hosts: HostNames | undefined;
  readonly keyIdentifier: string | undefined;
  readonly issuer: AuthorityKeyIdentifier | undefined;
}

function readCertificateExtensions(extensions: Extensions): Said {
  extensions.read(OID.authorityInfoAccess, checkInfoAccess);
  return {
    constraints: extensions.read(OID.basicConstraints, readBasicConstraints),
    keyUsage: extensions.read(OID.keyUsage, readKeyUsage),
    purposes: extensions.read(OID.extendedKeyUsage, readPurposes),
    hosts: extensions.read(OID.subjectAltName, readHostNames),
    keyIdentifier: extensions.read(OID.subjectKeyIdentifier, (value) => encodeHex(octets(value))),
    issuer: extensions.read(OID.authorityKeyIdentifier, readAuthorityKeyIdentifier),
  };
}

function extensionFaults({ subject, issuer }: Head, extensions: Extensions, said: Said): string[] {
  const faults: string[] = [];
  const criticalHosts = extensions.isCritical(OID.subjectAltName);
  if (subject.isEmpty && !criticalHosts) faults.push("has neither a subject nor a critical subjectAltName");
  if (!subject.isEmpty && criticalHosts) faults.push("has a critical subjectAltName beside a subject");
  // Older tools write roots without the critical mark. We accept that only for what is plainly a root and nothing else.
  const isPlainRoot = subject.der === issuer.der && said.keyUsage?.has("keyCertSign") && said.hosts === undefined;
  if (said.constraints?.isAuthority && !extensions.isCritical(OID.basicConstraints) && !isPlainRoot) {
    faults.push("is a CA's by a basicConstraints that is not critical");
  }
  if (said.issuer?.isOdd) faults.push(ODD_IDENTIFIER);
  return faults;
}

/** RFC 5280 section 5.1. */
function revocationList(der: Bytes): RevocationList {
  const outer = new DerFields(parseDer(der, "it"), "it");
  const tbs = outer.next(TAG.sequence);
  const { algorithm, signature } = signatureOf(outer);
  const fields = new DerFields(tbs, "its signed part");
  const version = fields.optional(TAG.integer);
  if (version !== undefined && readCount(version, "its version") !== 1) throw new DerError("it is not of version 2");
  if (encodeHex(fields.next(TAG.sequence).whole) !== algorithm) {
    throw new DerError("it names two different signature algorithms");
  }
  const issuer = readName(fields.next(TAG.sequence), "its issuer");
  const thisUpdate = readTime(fields.next(TAG.utcTime, TAG.generalizedTime), "its thisUpdate");
  const next = fields.optional(TAG.utcTime, TAG.generalizedTime);
  const entries = fields.optional(TAG.sequence);
  const extensions = readExtensions(fields.optional(contextTag(0)), contextTag(0));
  fields.end();

  const faults = [...extensions.faults];
  const keyIdentifier = extensions.read(OID.authorityKeyIdentifier, readAuthorityKeyIdentifier);
  const number = extensions.read(OID.crlNumber, (value) => parseInteger(readInteger(value, "its number")));
  // RFC 5280, section 5.2.3, wants a number in every list. Simple tools write lists without any extension; we accept those.
  if (number === undefined && keyIdentifier !== undefined) faults.push("has no number");
  const revoked = new Map<string, Revocation>();
  for (const element of entries === undefined ? [] : elements(entries, "its entries")) {
    const entry = new DerFields(element, "an entry of it");
    const serial = serialText(readInteger(entry.next(TAG.integer), "a serial number in it"));
    const date = readTime(entry.next(TAG.utcTime, TAG.generalizedTime), "a revocation date in it");
    const entryExtensions = readExtensions(entry.optional(TAG.sequence), TAG.sequence);
    faults.push(...entryExtensions.faults);
    entry.end();
    const known = revoked.get(serial);
    const reason = reasonOf(entryExtensions);
    const isAgreed = reason !== undefined && (known === undefined || known.reason === reason);
    revoked.set(serial, { date: Math.min(date, known?.date ?? Infinity), ...isAgreed ? { reason } : {} });
  }
  return {
    tbs: tbs.whole,
    signatureAlgorithm: algorithm,
    signature,
    issuerName: issuer.der,
    issuer: issuer.text,
    authorityKeyIdentifier: keyIdentifier?.identifier,
    faults: [...new Set(faults)],
    thisUpdate,
    nextUpdate: next === undefined ? undefined : readTime(next, "its nextUpdate"),
    number,
    revoked,
  };
}

/** The reason; if it can't be read, the revocation counts without one. */
function reasonOf(extensions: Extensions): number | undefined {
  try {
    return extensions.read(
      OID.reasonCode,
      (value) => value.tag === TAG.enumerated ? readCount(value, "a reason in it") : undefined,
    );
  } catch (error) {
    if (error instanceof DerError) return undefined;
    throw error;
  }
}

function signatureOf(outer: DerFields): { algorithm: string; signature: Bytes } {
  const algorithm = encodeHex(outer.next(TAG.sequence).whole);
  const signature = readOctets(outer.next(TAG.bitString), "its signature");
  outer.end();
  return { algorithm, signature };
}
