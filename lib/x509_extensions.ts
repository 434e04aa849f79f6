/**
 * The extensions of certificates and revocation lists (RFC 5280 sections 4.2 and 5.2): each is read once, strictly, and
 * what has no place in a chat's certificates becomes a fault, the end of a sentence for `certificate_path.ts`.
 *
 *     const extensions = readExtensions(fields.optional(contextTag(3)), contextTag(3));
 *     extensions.read(OID.keyUsage, readKeyUsage) → Set { "digitalSignature" }
 *
 * @layer crypto
 */

import { type Bytes, encodeHex, parseInteger } from "./bytes.ts";
import {
  contextTag,
  DerError,
  DerFields,
  type Element,
  elements,
  parseDer,
  readBoolean,
  readCount,
  readInteger,
  readNamedBits,
  readOid,
  TAG,
} from "./der.ts";

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

/** The names in subjectAltName. */
export interface HostNames {
  /** Unchanged, whatever their syntax. */
  readonly dnsNames: readonly string[];
  /** `192.0.2.1`, or IPv6 in the form of RFC 5952. */
  readonly addresses: readonly string[];
  /** E-mail addresses; nothing depends on them. */
  readonly emails: readonly string[];
}

/** A serial number as text: lower-case hex without leading zeros. */
export function serialText(serial: Uint8Array): string {
  return parseInteger(serial).toString(16);
}

/** Extensions that may be critical, since they are understood (docs/PROTOCOL.md, "Hello and certificates"). */
const MAY_BE_CRITICAL: readonly string[] = [OID.basicConstraints, OID.keyUsage, OID.subjectAltName];

/** Always refused: the path check doesn't follow them, and a CA for a chat doesn't need them. */
const NO_USE: Readonly<Record<string, string>> = {
  [OID.nameConstraints]: "name constraints",
  [OID.certificatePolicies]: "certificate policies",
  [OID.policyMappings]: "policy mappings",
  [OID.policyConstraints]: "policy constraints",
  [OID.inhibitAnyPolicy]: "a policy constraint",
};

/**
 * Ignored if they aren't critical: without a constraint above them policies limit nothing (RFC 5280 section 6.1).
 */
const MAY_BE_PASSED_OVER: readonly string[] = [OID.certificatePolicies];

/** The extensions of a certificate, of a list or of an entry in a list; callers read the ones that they need. */
export class Extensions {
  readonly faults: string[] = [];
  readonly #found = new Map<string, { critical: boolean; value: Bytes }>();

  add(element: Element): void {
    const fields = new DerFields(element, "an extension");
    const id = readOid(fields.next(TAG.oid), "an extension");
    const critical = fields.optional(TAG.boolean);
    const value = fields.next(TAG.octetString).content;
    fields.end();
    const isCritical = critical !== undefined && readBoolean(critical, "an extension");
    if (critical !== undefined && !isCritical) throw new DerError("an extension spells out its default");
    if (this.#found.has(id)) this.faults.push(`has the extension ${id} twice`);
    else if (NO_USE[id] !== undefined && (isCritical || !MAY_BE_PASSED_OVER.includes(id))) {
      this.faults.push(`has ${NO_USE[id]}, which securechat doesn't accept`);
    } else if (isCritical && !MAY_BE_CRITICAL.includes(id)) {
      const known = Object.entries(OID).find(([, known]) => known === id)?.[0];
      this.faults.push(known ? `has a critical ${known}` : `has the critical extension ${id}, which is unknown`);
    }
    this.#found.set(id, { critical: isCritical, value });
  }

  isCritical(id: string): boolean {
    return this.#found.get(id)?.critical ?? false;
  }

  /** The extension's value, read by `read`; `undefined` if there is no such extension. */
  read<T>(id: string, read: (value: Element) => T): T | undefined {
    const value = this.#found.get(id)?.value;
    return value && read(parseDer(value, `its extension ${id}`));
  }
}

/** The extensions in a list, which `wrapper` is, or which is the only field of `wrapper`. */
export function readExtensions(wrapper: Element | undefined, tag: number): Extensions {
  const extensions = new Extensions();
  if (wrapper === undefined) return extensions;
  let list = wrapper;
  if (tag !== TAG.sequence) {
    const fields = new DerFields(wrapper, "its extensions", tag);
    list = fields.next(TAG.sequence);
    fields.end();
  }
  const found = elements(list, "its extensions");
  if (found.length === 0) throw new DerError("its extensions are empty");
  for (const element of found) extensions.add(element);
  return extensions;
}

/** The content of subjectKeyIdentifier. */
export function octets(value: Element): Uint8Array {
  if (value.tag !== TAG.octetString) throw new DerError("its subjectKeyIdentifier is not an OCTET STRING");
  return value.content;
}

/** Whether it is a CA, and how many intermediates may stand below. */
export function readBasicConstraints(value: Element): { isAuthority: boolean; pathLength: number | undefined } {
  const fields = new DerFields(value, "its basicConstraints");
  const flag = fields.optional(TAG.boolean);
  const length = fields.optional(TAG.integer);
  fields.end();
  const isAuthority = flag !== undefined && readBoolean(flag, "its basicConstraints");
  if ((flag !== undefined && !isAuthority) || (length !== undefined && !isAuthority)) {
    throw new DerError("its basicConstraints contradict themselves");
  }
  return { isAuthority, pathLength: length && readCount(length, "its pathLen") };
}

/** What the key may be used for. */
export function readKeyUsage(value: Element): Set<KeyUsage> {
  if (value.tag !== TAG.bitString) throw new DerError("its keyUsage is not a BIT STRING");
  const bits = readNamedBits(value, "its keyUsage");
  return new Set(KEY_USAGES.filter((_, bit) => bits.has(bit)));
}

/** The object identifiers of extendedKeyUsage. */
export function readPurposes(value: Element): string[] {
  const fields = new DerFields(value, "its extendedKeyUsage");
  const purposes = [readOid(fields.next(TAG.oid), "its extendedKeyUsage")]; // one at least
  for (let next = fields.optional(TAG.oid); next; next = fields.optional(TAG.oid)) {
    purposes.push(readOid(next, "its extendedKeyUsage"));
  }
  fields.end();
  return purposes;
}

/** What authorityKeyIdentifier says. */
export interface AuthorityKeyIdentifier {
  /** The key that signed, hex. */
  readonly identifier: string | undefined;
  /** The issuer's own certificate, by the DER of its issuer's name (hex) and its serial number. */
  readonly certificate: { readonly issuerName: string; readonly serial: string } | undefined;
  /** Whether the key has no identifier, or the certificate is named only by halves. */
  readonly isOdd: boolean;
}

/** The issuer's key by its identifier, and perhaps the issuer's own certificate by issuer and serial number. */
export function readAuthorityKeyIdentifier(value: Element): AuthorityKeyIdentifier {
  const what = "its authorityKeyIdentifier";
  const fields = new DerFields(value, what);
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

/** The names in subjectAltName. */
export function readHostNames(value: Element): HostNames {
  const dnsNames: string[] = [];
  const addresses: string[] = [];
  const emails: string[] = [];
  if (value.tag !== TAG.sequence) throw new DerError("its subjectAltName is not a list");
  const names = elements(value, "its subjectAltName");
  if (names.length === 0) throw new DerError("its subjectAltName is empty");
  for (const entry of names) {
    if (entry.tag === DNS_NAME) dnsNames.push(String.fromCharCode(...entry.content));
    else if (entry.tag === IP_ADDRESS) addresses.push(address(entry.content));
    else if (entry.tag === EMAIL) emails.push(String.fromCharCode(...entry.content));
    else if (!OTHER_NAMES.includes(entry.tag)) throw new DerError("its subjectAltName has a name of an unknown kind");
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

/** authorityInfoAccess is not used, but it must be well formed (RFC 5280 section 4.2.2.1). */
export function checkInfoAccess(value: Element): void {
  if (value.tag !== TAG.sequence) throw new DerError("its authorityInfoAccess is not a list");
  const found = elements(value, "its authorityInfoAccess");
  if (found.length === 0) throw new DerError("its authorityInfoAccess is empty");
  for (const description of found) {
    const fields = new DerFields(description, "its authorityInfoAccess");
    readOid(fields.next(TAG.oid), "its authorityInfoAccess");
    fields.next(EMAIL, DNS_NAME, IP_ADDRESS, ...OTHER_NAMES);
    fields.end();
  }
}
