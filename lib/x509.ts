/**
 * X.509 certificates and revocation lists (RFC 5280), read from PEM (RFC 7468) into plain fields.
 *
 *     -----BEGIN CERTIFICATE-----
 *     MIIC+jCCAeKgAwIBAgIQ…
 *     -----END CERTIFICATE-----
 *
 * The wire's field holds the leaf first and at most three further certificates after it (docs/PROTOCOL.md, "Hello and
 * certificates"), nothing else between or around them; in a file other text may stand around them. What is not DER, or
 * not the structure that RFC 5280 gives it, is `bad-cert` at once. What is well formed but has no place in
 * a chat's certificates (name constraints, policies, critical extensions that are not understood, …) is kept as `faults`,
 * one sentence's end each, for `certificate_path.ts` to refuse and for `cert show` to tell. Whether a certificate is
 * good is not asked here.
 *
 * Read with `der.ts` and not with @peculiar/x509, which issues (`ca.ts`): that reader takes BER, lets malformed
 * extensions pass until they are asked for, needs 1.4 ms a certificate where this needs 0.1, and costs every start
 * 200 ms. So what one implementation issued is read by another before it leaves the program.
 *
 * @layer crypto
 */

import { type Bytes, encodeHex, parseBase64, parseInteger } from "./bytes.ts";
import {
  contextTag,
  DerError,
  type Element,
  elements,
  encodePem,
  Fields,
  parseDer,
  readBoolean,
  readCount,
  readInteger,
  readNamedBits,
  readOctets,
  readOid,
  readText,
  readTime,
  TAG,
} from "./der.ts";
import { ProtocolError } from "./errors.ts";
import { sha256 } from "./hash.ts";
import { nameText } from "./text.ts";

/** The leaf and three intermediates: what the wire allows. */
export const MAX_CERTIFICATES = 4;
/** 16 KiB: a certificate has 1 to 2, and a peer cannot make us read more. */
export const MAX_CERTIFICATE_BYTES = 16_384;
/** 4 MiB: some hundred thousand revocations. */
const MAX_LIST_BYTES = 4_194_304;

/** Extensions and purposes by name. */
export const OID = {
  commonName: "2.5.4.3",
  subjectKeyIdentifier: "2.5.29.14",
  keyUsage: "2.5.29.15",
  subjectAltName: "2.5.29.17",
  basicConstraints: "2.5.29.19",
  crlNumber: "2.5.29.20",
  reasonCode: "2.5.29.21",
  nameConstraints: "2.5.29.30",
  certificatePolicies: "2.5.29.32",
  policyMappings: "2.5.29.33",
  authorityKeyIdentifier: "2.5.29.35",
  policyConstraints: "2.5.29.36",
  extendedKeyUsage: "2.5.29.37",
  inhibitAnyPolicy: "2.5.29.54",
  authorityInfoAccess: "1.3.6.1.5.5.7.1.1",
  serverAuth: "1.3.6.1.5.5.7.3.1",
  clientAuth: "1.3.6.1.5.5.7.3.2",
  timeStamping: "1.3.6.1.5.5.7.3.8",
  anyExtendedKeyUsage: "2.5.29.37.0",
} as const;

/** The bits of keyUsage (RFC 5280 section 4.2.1.3). */
export const KEY_USAGES = [
  "digitalSignature",
  "nonRepudiation",
  "keyEncipherment",
  "dataEncipherment",
  "keyAgreement",
  "keyCertSign",
  "cRLSign",
  "encipherOnly",
  "decipherOnly",
] as const;

/** One of {@link KEY_USAGES}. */
export type KeyUsage = typeof KEY_USAGES[number];

/** The curves that are known. */
export type Curve = "P-256" | "P-384" | "P-521";

/** An RSA public key. */
export interface RsaPublicKey {
  readonly modulus: bigint;
  readonly exponent: bigint;
  readonly bits: number;
}

/** What a certificate or a revocation list has signed over it. */
export interface Signed {
  /** The bytes that are signed. */
  readonly tbs: Bytes;
  /** The DER of the AlgorithmIdentifier, hex. */
  readonly signatureAlgorithm: string;
  readonly signature: Bytes;
  /** The DER of the issuer's name, hex: names are compared by it, byte for byte. */
  readonly issuerName: string;
  /** The issuer's name for people, as {@link Certificate.subject}. */
  readonly issuer: string;
  /** The key that is said to have signed, hex. */
  readonly authorityKeyIdentifier: string | undefined;
  /** What has no place in it, each the end of a sentence that begins with its name. */
  readonly faults: readonly string[];
}

/** A certificate: plain fields, and the DER that they were read from; the bytes among them are views into it. */
export interface Certificate extends Signed {
  readonly der: Bytes;
  /** As PEM, 64 characters a line, with an LF after the END line. */
  readonly pem: string;
  /** SHA-256 of the DER, lower-case hex. */
  readonly fingerprint: string;
  /** The subject for people: `CN=SERVER: localhost`; as `nameText` of `text.ts` writes it, to stand in quotes. */
  readonly subject: string;
  /** The DER of the subject, hex. */
  readonly subjectName: string;
  /** Every CN of the subject, as it stands there. */
  readonly commonNames: readonly string[];
  /** Lower-case hex without leading zeros. */
  readonly serial: string;
  /** Unix milliseconds; the second of notAfter belongs to it. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** The key, where it is RSA. */
  readonly rsa: RsaPublicKey | undefined;
  /** The key's curve, where it is on a known one. Only `cert check --any-key` takes such keys. */
  readonly curve: Curve | undefined;
  /** What kind of key it is, for people. */
  readonly keyKind: string;
  /** The DER of SubjectPublicKeyInfo. */
  readonly publicKey: Bytes;
  readonly subjectKeyIdentifier: string | undefined;
  /**
   * The issuer's own certificate, as authorityKeyIdentifier names it beside the key: by DER of its issuer, hex, and
   * serial.
   */
  readonly authorityCertificate: { readonly issuerName: string; readonly serial: string } | undefined;
  readonly isAuthority: boolean;
  /** How many intermediates may stand below. */
  readonly pathLength: number | undefined;
  /** `undefined`: the certificate doesn't restrict what its key is for. */
  readonly keyUsage: ReadonlySet<KeyUsage> | undefined;
  /** Object identifiers. */
  readonly extendedKeyUsage: readonly string[] | undefined;
  /** Whether extendedKeyUsage is critical: a time-stamping authority's has to be, any other must not. */
  readonly hasCriticalPurposes: boolean;
  /**
   * The `faults` that count on the path of a time-stamping authority. Two are none there: a critical extendedKeyUsage,
   * and an authorityKeyIdentifier that names the issuer's certificate and not its key.
   */
  readonly timestampFaults: readonly string[];
  /** `undefined` where there is no subjectAltName at all. */
  readonly hostNames: HostNames | undefined;
}

/** What subjectAltName says of hosts. */
export interface HostNames {
  /** As they stand there, with whatever syntax. */
  readonly dnsNames: readonly string[];
  /** `192.0.2.1`, or IPv6 in the form of RFC 5952. */
  readonly addresses: readonly string[];
  /** E-mail addresses; nothing is decided by them. */
  readonly emails: readonly string[];
}

/** A certificate that was revoked. */
export interface Revocation {
  /** Unix milliseconds. */
  readonly date: number;
  /** The number of the reason (RFC 5280 section 5.3.1), where one is given, readable and not contradicted. */
  readonly reason?: number;
}

/** A revocation list (CRL). */
export interface RevocationList extends Signed {
  /** Unix milliseconds. */
  readonly thisUpdate: number;
  readonly nextUpdate: number | undefined;
  /** cRLNumber, where the list has one. */
  readonly number: bigint | undefined;
  /** By serial number, lower-case hex without leading zeros. */
  readonly revoked: ReadonlyMap<string, Revocation>;
}

/**
 * The certificates of a PEM text, the leaf first. Throws `bad-cert` for more than `max` certificates, for one of more
 * than 16 KiB, for anything but certificates, and for one that is not well formed.
 */
export function parseCertificates(pem: string, max = MAX_CERTIFICATES): Certificate[] {
  const found = readPem(pem, "CERTIFICATE", max, MAX_CERTIFICATE_BYTES);
  return found.map((der, at) =>
    parsed(found.length > 1 ? `certificate ${at + 1}` : "the certificate", der, certificate)
  );
}

/**
 * {@link parseCertificates} of a file, in which text for people may stand around the certificates (RFC 7468 section 2).
 */
export function parseCertificateFile(text: string, max = MAX_CERTIFICATES): Certificate[] {
  return parseCertificates(blocksOf(text, "CERTIFICATE"), max);
}

/** {@link parseRevocationList} of a file, in which text for people may stand around the list. */
export function parseRevocationListFile(text: string): RevocationList {
  return parseRevocationList(blocksOf(text, "X509 CRL"));
}

/** The blocks of that label, and one that is cut short, so that it is told. */
function blocksOf(text: string, label: string): string {
  const block = new RegExp(`^-----BEGIN ${label}-----[^]*?(?:-----END ${label}-----|(?![^]))`, "gm");
  return (text.match(block) ?? []).join("\n");
}

/** The revocation list of a PEM text. Throws `bad-cert` where it is anything else. */
export function parseRevocationList(pem: string): RevocationList {
  const [der] = readPem(pem, "X509 CRL", 1, MAX_LIST_BYTES);
  return parsed("the revocation list", der ?? new Uint8Array(), revocationList);
}

/** The certificate that the DER is. Throws `bad-cert`. */
export function parseCertificate(der: Bytes): Certificate {
  return parsed("the certificate", der, certificate);
}

function parsed<T>(what: string, der: Bytes, read: (der: Bytes) => T): T {
  try {
    return read(der);
  } catch (error) {
    if (!(error instanceof DerError)) throw error;
    throw new ProtocolError("bad-cert", `${what} cannot be read: ${error.message}`);
  }
}

/** The contents of every block of that label, where the text is nothing but such blocks. */
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
      throw new ProtocolError("bad-cert", `a ${kind} is cut short, or there is other text beside it`);
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

/** RFC 5280 section 4.1. */
function certificate(der: Bytes): Certificate {
  const outer = new Fields(parseDer(der, "it"), "it");
  const tbs = outer.next(TAG.sequence);
  const { algorithm, signature } = signatureOf(outer);

  const fields = new Fields(tbs, "its signed part");
  const wrapper = fields.optional(contextTag(0));
  if (wrapper === undefined) throw new DerError(OLD_VERSION); // version 1 is the default, and not written
  const version = new Fields(wrapper, "its version", contextTag(0));
  if (readCount(version.next(TAG.integer), "its version") !== 2) throw new DerError(OLD_VERSION);
  version.end();
  const serialBytes = readInteger(fields.next(TAG.integer), "its serial number");
  if (encodeHex(fields.next(TAG.sequence).whole) !== algorithm) {
    throw new DerError("it names two different signature algorithms");
  }
  const issuer = name(fields.next(TAG.sequence), "its issuer");
  const validity = new Fields(fields.next(TAG.sequence), "its validity");
  const notBefore = readTime(validity.next(TAG.utcTime, TAG.generalizedTime), "its notBefore");
  const notAfter = readTime(validity.next(TAG.utcTime, TAG.generalizedTime), "its notAfter");
  validity.end();
  const subject = name(fields.next(TAG.sequence), "its subject");
  const key = publicKey(fields.next(TAG.sequence));
  const extensions = readExtensions(fields.optional(contextTag(3)), contextTag(3));
  fields.end();

  const faults = [...extensions.faults];
  const first = serialBytes[0] ?? 0;
  const isZero = serialBytes.length === 1 && first === 0;
  if (isZero || first >= 0x80) faults.push("has a serial number that is not positive");
  if (serialBytes.length > 20) faults.push("has a serial number of more than 20 octets");
  if (issuer.isEmpty) faults.push("has an issuer without a name");

  const constraints = extensions.read(OID.basicConstraints, basicConstraints);
  const keyUsage = extensions.read(OID.keyUsage, readKeyUsage);
  const hosts = extensions.read(OID.subjectAltName, readHostNames);
  const keyIdentifier = extensions.read(OID.authorityKeyIdentifier, readAuthorityKeyIdentifier);
  extensions.read(OID.authorityInfoAccess, checkInfoAccess);
  const criticalHosts = extensions.isCritical(OID.subjectAltName);
  if (subject.isEmpty && !criticalHosts) faults.push("has neither a subject nor a critical subjectAltName");
  if (!subject.isEmpty && criticalHosts) faults.push("has a critical subjectAltName beside a subject");
  // Older tools write roots so. What is taken without the mark must be a CA's plainly, and nothing else's.
  const isPlainRoot = subject.der === issuer.der && keyUsage?.has("keyCertSign") && hosts === undefined;
  if (constraints?.isAuthority && !extensions.isCritical(OID.basicConstraints) && !isPlainRoot) {
    faults.push("is a CA's by a basicConstraints that is not critical");
  }
  if (keyIdentifier?.isOdd) faults.push(ODD_IDENTIFIER);
  const passing = [CRITICAL_PURPOSES, ...keyIdentifier?.certificate === undefined ? [] : [ODD_IDENTIFIER]];
  return {
    der,
    get pem() {
      return encodePem("CERTIFICATE", this.der);
    },
    fingerprint: encodeHex(sha256(der)),
    tbs: tbs.whole,
    signatureAlgorithm: algorithm,
    signature,
    issuerName: issuer.der,
    issuer: issuer.text,
    subject: subject.text,
    subjectName: subject.der,
    commonNames: subject.commonNames,
    serial: serialText(serialBytes),
    notBefore,
    notAfter,
    ...key,
    subjectKeyIdentifier: extensions.read(OID.subjectKeyIdentifier, (value) => encodeHex(octets(value))),
    authorityKeyIdentifier: keyIdentifier?.identifier,
    authorityCertificate: keyIdentifier?.certificate,
    isAuthority: constraints?.isAuthority ?? false,
    pathLength: constraints?.pathLength,
    keyUsage,
    extendedKeyUsage: extensions.read(OID.extendedKeyUsage, readPurposes),
    hasCriticalPurposes: extensions.isCritical(OID.extendedKeyUsage),
    hostNames: hosts,
    faults,
    timestampFaults: faults.filter((fault) => !passing.includes(fault)),
  };
}

/** RFC 5280 section 5.1. */
function revocationList(der: Bytes): RevocationList {
  const outer = new Fields(parseDer(der, "it"), "it");
  const tbs = outer.next(TAG.sequence);
  const { algorithm, signature } = signatureOf(outer);
  const fields = new Fields(tbs, "its signed part");
  const version = fields.optional(TAG.integer);
  if (version !== undefined && readCount(version, "its version") !== 1) throw new DerError("it is not of version 2");
  if (encodeHex(fields.next(TAG.sequence).whole) !== algorithm) {
    throw new DerError("it names two different signature algorithms");
  }
  const issuer = name(fields.next(TAG.sequence), "its issuer");
  const thisUpdate = readTime(fields.next(TAG.utcTime, TAG.generalizedTime), "its thisUpdate");
  const next = fields.optional(TAG.utcTime, TAG.generalizedTime);
  const entries = fields.optional(TAG.sequence);
  const extensions = readExtensions(fields.optional(contextTag(0)), contextTag(0));
  fields.end();

  const faults = [...extensions.faults];
  const keyIdentifier = extensions.read(OID.authorityKeyIdentifier, readAuthorityKeyIdentifier);
  const number = extensions.read(OID.crlNumber, (value) => parseInteger(readInteger(value, "its number")));
  // RFC 5280, section 5.2.3, wants a number in every list. One without any extension, as simple tools write it, is taken.
  if (number === undefined && keyIdentifier !== undefined) faults.push("has no number");
  const revoked = new Map<string, Revocation>();
  for (const element of entries === undefined ? [] : elements(entries, "its entries")) {
    const entry = new Fields(element, "an entry of it");
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

/** A reason that can't be read is none: it excuses nothing, and the revocation counts all the same. */
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

function signatureOf(outer: Fields): { algorithm: string; signature: Bytes } {
  const algorithm = encodeHex(outer.next(TAG.sequence).whole);
  const signature = readOctets(outer.next(TAG.bitString), "its signature");
  outer.end();
  return { algorithm, signature };
}

function serialText(serial: Uint8Array): string {
  return parseInteger(serial).toString(16);
}

const NAME_PARTS: Readonly<Record<string, string>> = {
  [OID.commonName]: "CN",
  "2.5.4.5": "serialNumber",
  "2.5.4.6": "C",
  "2.5.4.7": "L",
  "2.5.4.8": "ST",
  "2.5.4.10": "O",
  "2.5.4.11": "OU",
  "1.2.840.113549.1.9.1": "emailAddress",
};

/** RFC 5280 section 4.1.2.4. */
function name(element: Element, what: string) {
  const parts: string[] = [];
  const commonNames: string[] = [];
  for (const set of elements(element, what)) {
    if (set.tag !== TAG.set || set.content.length === 0) throw new DerError(`${what} is no name`);
    for (const attribute of elements(set, what)) {
      const fields = new Fields(attribute, what);
      const type = readOid(fields.next(TAG.oid), what);
      const value = readText(
        fields.next(
          TAG.utf8String,
          TAG.printableString,
          TAG.teletexString,
          TAG.ia5String,
          TAG.bmpString,
        ),
        what,
      );
      fields.end();
      if (type === OID.commonName) commonNames.push(value);
      // A comma in a value is marked: what follows it is no further part of the name.
      parts.push(`${NAME_PARTS[type] ?? type}=${nameText(value).replaceAll(",", "\\,")}`);
    }
  }
  const isEmpty = parts.length === 0;
  return { der: encodeHex(element.whole), text: isEmpty ? "(no name)" : parts.join(", "), commonNames, isEmpty };
}

const RSA = "1.2.840.113549.1.1.1";
const EC = "1.2.840.10045.2.1";
const CURVES: Readonly<Record<string, Curve>> = {
  "1.2.840.10045.3.1.7": "P-256",
  "1.3.132.0.34": "P-384",
  "1.3.132.0.35": "P-521",
};

function publicKey(element: Element): Pick<Certificate, "publicKey" | "rsa" | "curve" | "keyKind"> {
  const fields = new Fields(element, "its key");
  const algorithm = new Fields(fields.next(TAG.sequence), "its key's algorithm");
  const bytes = readOctets(fields.next(TAG.bitString), "its key");
  fields.end();
  const type = readOid(algorithm.next(TAG.oid), "its key's algorithm");
  const info = element.whole;
  if (type === RSA) {
    algorithm.next(TAG.null);
    algorithm.end();
    const numbers = new Fields(parseDer(bytes, "its RSA key"), "its RSA key");
    const modulus = positive(numbers.next(TAG.integer));
    const exponent = positive(numbers.next(TAG.integer));
    numbers.end();
    const bits = modulus.toString(2).length;
    return { publicKey: info, rsa: { modulus, exponent, bits }, curve: undefined, keyKind: `RSA, ${bits} bits` };
  }
  const named = type === EC ? algorithm.optional(TAG.oid) : undefined;
  const curve = named && CURVES[readOid(named, "its curve")];
  return { publicKey: info, rsa: undefined, curve, keyKind: curve ? `EC, ${curve}` : `an unknown kind (${type})` };
}

function positive(element: Element): bigint {
  const bytes = readInteger(element, "its RSA key");
  if ((bytes[0] ?? 0) >= 0x80) throw new DerError("its RSA key has a negative number");
  return parseInteger(bytes);
}

/** Understood where they are critical (docs/PROTOCOL.md, "Hello and certificates"). */
const MAY_BE_CRITICAL: readonly string[] = [OID.basicConstraints, OID.keyUsage, OID.subjectAltName];

/** Refused wherever they stand: the path check doesn't follow them, and a CA for a chat has no use for them. */
const NO_USE: Readonly<Record<string, string>> = {
  [OID.nameConstraints]: "name constraints",
  [OID.certificatePolicies]: "certificate policies",
  [OID.policyMappings]: "policy mappings",
  [OID.policyConstraints]: "policy constraints",
  [OID.inhibitAnyPolicy]: "a policy constraint",
};

/**
 * Passed over where they aren't critical: without a constraint above them policies limit nothing (RFC 5280 section
 * 6.1).
 */
const MAY_BE_PASSED_OVER: readonly string[] = [OID.certificatePolicies];

/** The extensions of a certificate, a list, or an entry of one; each is read by whom it concerns. */
class Extensions {
  readonly faults: string[] = [];
  readonly #found = new Map<string, { critical: boolean; value: Bytes }>();

  add(element: Element): void {
    const fields = new Fields(element, "an extension");
    const id = readOid(fields.next(TAG.oid), "an extension");
    const critical = fields.optional(TAG.boolean);
    const value = fields.next(TAG.octetString).content;
    fields.end();
    const isCritical = critical !== undefined && readBoolean(critical, "an extension");
    if (critical !== undefined && !isCritical) throw new DerError("an extension writes its default out");
    if (this.#found.has(id)) this.faults.push(`has the extension ${id} twice`);
    else if (NO_USE[id] !== undefined && (isCritical || !MAY_BE_PASSED_OVER.includes(id))) {
      this.faults.push(`has ${NO_USE[id]}, which securechat doesn't take`);
    } else if (isCritical && !MAY_BE_CRITICAL.includes(id)) {
      const known = Object.entries(OID).find(([, known]) => known === id)?.[0];
      this.faults.push(known ? `has a critical ${known}` : `has the critical extension ${id}, which is unknown`);
    }
    this.#found.set(id, { critical: isCritical, value });
  }

  isCritical(id: string): boolean {
    return this.#found.get(id)?.critical ?? false;
  }

  /** What `read` makes of the extension's value, where it is there. */
  read<T>(id: string, read: (value: Element) => T): T | undefined {
    const value = this.#found.get(id)?.value;
    return value && read(parseDer(value, `its extension ${id}`));
  }
}

function readExtensions(wrapper: Element | undefined, tag: number): Extensions {
  const extensions = new Extensions();
  if (wrapper === undefined) return extensions;
  let list = wrapper;
  if (tag !== TAG.sequence) {
    const fields = new Fields(wrapper, "its extensions", tag);
    list = fields.next(TAG.sequence);
    fields.end();
  }
  const found = elements(list, "its extensions");
  if (found.length === 0) throw new DerError("its extensions are empty");
  for (const element of found) extensions.add(element);
  return extensions;
}

function octets(value: Element): Uint8Array {
  if (value.tag !== TAG.octetString) throw new DerError("its subjectKeyIdentifier is no OCTET STRING");
  return value.content;
}

function basicConstraints(value: Element): { isAuthority: boolean; pathLength: number | undefined } {
  const fields = new Fields(value, "its basicConstraints");
  const flag = fields.optional(TAG.boolean);
  const length = fields.optional(TAG.integer);
  fields.end();
  const isAuthority = flag !== undefined && readBoolean(flag, "its basicConstraints");
  if ((flag !== undefined && !isAuthority) || (length !== undefined && !isAuthority)) {
    throw new DerError("its basicConstraints contradict themselves");
  }
  return { isAuthority, pathLength: length && readCount(length, "its pathLen") };
}

function readKeyUsage(value: Element): Set<KeyUsage> {
  if (value.tag !== TAG.bitString) throw new DerError("its keyUsage is no BIT STRING");
  const bits = readNamedBits(value, "its keyUsage");
  return new Set(KEY_USAGES.filter((_, bit) => bits.has(bit)));
}

function readPurposes(value: Element): string[] {
  const fields = new Fields(value, "its extendedKeyUsage");
  const purposes = [readOid(fields.next(TAG.oid), "its extendedKeyUsage")]; // one at least
  for (let next = fields.optional(TAG.oid); next; next = fields.optional(TAG.oid)) {
    purposes.push(readOid(next, "its extendedKeyUsage"));
  }
  fields.end();
  return purposes;
}

/** The issuer's key by its identifier, and perhaps the issuer's own certificate by issuer and serial number. */
function readAuthorityKeyIdentifier(value: Element) {
  const what = "its authorityKeyIdentifier";
  const fields = new Fields(value, what);
  const identifier = fields.optional(contextTag(0, false));
  const issuer = fields.optional(contextTag(1));
  const serial = fields.optional(contextTag(2, false));
  fields.end();
  const [name, ...others] = issuer === undefined ? [] : elements(issuer, what);
  const isName = name?.tag === DIRECTORY_NAME && others.length === 0;
  const certificate = isName && serial !== undefined
    ? { issuerName: encodeHex(name.content), serial: serialText(readInteger(serial, what)) }
    : undefined;
  const isHalf = certificate === undefined && (issuer !== undefined || serial !== undefined);
  return {
    identifier: identifier && encodeHex(identifier.content),
    certificate,
    isOdd: identifier === undefined || isHalf,
  };
}

const DIRECTORY_NAME = contextTag(4);
const EMAIL = contextTag(1, false);
const DNS_NAME = contextTag(2, false);
const IP_ADDRESS = contextTag(7, false);
/** Every other kind of GeneralName (RFC 5280 section 4.2.1.6). */
const OTHER_NAMES: readonly number[] = [0, 3, 4, 5].map((kind) => contextTag(kind)).concat(
  [6, 8].map((kind) => contextTag(kind, false)),
);

function readHostNames(value: Element): HostNames {
  const dnsNames: string[] = [];
  const addresses: string[] = [];
  const emails: string[] = [];
  if (value.tag !== TAG.sequence) throw new DerError("its subjectAltName is no list");
  const names = elements(value, "its subjectAltName");
  if (names.length === 0) throw new DerError("its subjectAltName is empty");
  for (const entry of names) {
    if (entry.tag === DNS_NAME) dnsNames.push(String.fromCharCode(...entry.content));
    else if (entry.tag === IP_ADDRESS) addresses.push(address(entry.content));
    else if (entry.tag === EMAIL) emails.push(String.fromCharCode(...entry.content));
    else if (!OTHER_NAMES.includes(entry.tag)) throw new DerError("its subjectAltName has a name of no known kind");
  }
  return { dnsNames, addresses, emails };
}

function address(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join(".");
  if (bytes.length !== 16) throw new DerError("its subjectAltName has an address of a wrong length");
  const groups = encodeHex(bytes).match(/.{4}/g) ?? [];
  return canonicalAddress(groups.join(":")) ?? "";
}

/** An IPv4 address in dotted decimals or an IPv6 address, in its one canonical form; `undefined` for a name. */
export function canonicalAddress(host: string): string | undefined {
  if (/^(?:(?:0|[1-9]\d{0,2})\.){3}(?:0|[1-9]\d{0,2})$/.test(host)) {
    return host.split(".").every((part) => Number(part) < 256) ? host : undefined;
  }
  if (!/^[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*$/.test(host)) return undefined;
  return URL.parse(`http://[${host}]/`)?.hostname.slice(1, -1);
}

/** authorityInfoAccess is not followed, but it has to be well formed (RFC 5280 section 4.2.2.1). */
function checkInfoAccess(value: Element): void {
  if (value.tag !== TAG.sequence) throw new DerError("its authorityInfoAccess is no list");
  const found = elements(value, "its authorityInfoAccess");
  if (found.length === 0) throw new DerError("its authorityInfoAccess is empty");
  for (const description of found) {
    const fields = new Fields(description, "its authorityInfoAccess");
    readOid(fields.next(TAG.oid), "its authorityInfoAccess");
    fields.next(EMAIL, DNS_NAME, IP_ADDRESS, ...OTHER_NAMES);
    fields.end();
  }
}
