/**
 * The rules that each certificate of a path must obey (docs/PROTOCOL.md, "Hello and certificates"), except those about
 * revocation. A problem is a sentence without its full stop.
 *
 *     fixedProblems([leaf, ca], { purpose: "client" }) → ['the client certificate "CN=ada" is a CA\'s, not a person\'s …']
 *
 * @layer crypto
 */

import type { PathSignatures } from "./certificate_signature.ts";
import { quoted, shortName } from "./text.ts";
import { formatTime } from "./time_text.ts";
import { canonicalAddress, type Certificate, OID } from "./x509.ts";

/** What a certificate is used for; `either`: a transcript's line, whoever wrote it; `tsa`: time-stamp tokens. */
export type Purpose = "server" | "client" | "either" | "tsa";

/** What a path is searched for, and what it must fulfil. */
export interface PathOptions {
  readonly purpose: Purpose;
  /** The host name or address to which a client was told to connect (item 6). */
  readonly host?: string;
  /** The fingerprint of the verifier's own certificate (item 7). */
  readonly own?: string;
  /** Also accepts keys on P-256, P-384 and P-521, not only RSA. For `tsa` they are always accepted. */
  readonly anyKey?: boolean;
  /** How many certificates may come between leaf and CA. */
  readonly maxIntermediates?: number;
  /** What other searches found out about the same certificates, and how much work is left for all of them. */
  readonly signatures?: PathSignatures;
}

/** Times are whole seconds, and a certificate is still valid in the second of notAfter. */
export const SECOND = 1000;

/** What is wrong with the certificates of a path at any time. */
export function fixedProblems(certificates: readonly Certificate[], options: PathOptions): string[] {
  const problems: string[] = [];
  certificates.forEach((certificate, depth) => {
    const issuer = certificates[depth + 1];
    const reasons = [...options.purpose === "tsa" ? certificate.timestampFaults : certificate.faults];
    const key = keyProblem(certificate, options);
    if (key !== undefined) reasons.push(key);
    reasons.push(...identifierProblems(certificate, issuer, options.purpose));
    if (depth > 0) reasons.push(...issuerProblems(certificate, depth - 1, issuer === undefined, options.purpose));
    else reasons.push(...leafProblems(certificate, options));
    const name = nameOf(certificate, depth, options.purpose);
    problems.push(...reasons.map((reason) => `${name} ${reason}`));
  });
  const intermediates = Math.max(0, certificates.length - 2);
  if (intermediates > (options.maxIntermediates ?? Infinity)) {
    problems.push(`there are more than ${options.maxIntermediates} certificates between it and the CA`);
  }
  return problems;
}

/** Item 4, the key: the end of a sentence. */
export function keyProblem({ rsa, curve, keyKind }: Certificate, options: PathOptions): string | undefined {
  const isForStamps = options.purpose === "tsa";
  if (rsa === undefined) {
    if ((options.anyKey || isForStamps) && curve !== undefined) return undefined;
    return `has a key of another kind than RSA${isForStamps ? " and the known curves" : ""}: ${keyKind}`;
  }
  const most = isForStamps ? 8192 : 4096;
  if (rsa.bits < 2048 || rsa.bits > most) return `has an RSA key of ${rsa.bits} bits, not of 2048 to ${most}`;
  if (rsa.bits % 8 !== 0) return `has an RSA key of ${rsa.bits} bits, which are not whole octets`;
  if (rsa.exponent !== 65537n) return "has an RSA key whose exponent is not 65537";
  // RFC 8017 section 3.1: primes are odd. OpenSSL verifies nothing with such a key, but BigInt would.
  if (rsa.modulus % 2n === 0n) return "has an RSA key whose modulus is even";
  return undefined;
}

/** Key identifiers (RFC 5280 sections 4.2.1.1 and 4.2.1.2): either there are none, or they all fit together. */
function identifierProblems(certificate: Certificate, issuer: Certificate | undefined, purpose: Purpose): string[] {
  const { subjectKeyIdentifier, authorityKeyIdentifier, authorityCertificate, subjectName, issuerName } = certificate;
  const problems: string[] = [];
  const isSelfIssued = subjectName === issuerName;
  const namesCertificate = purpose === "tsa" && authorityCertificate !== undefined;
  const namesIssuer = authorityKeyIdentifier !== undefined || namesCertificate;
  if (subjectKeyIdentifier !== undefined && !namesIssuer && !isSelfIssued) {
    problems.push("has an identifier of its own key, but none of its issuer's");
  }
  const named = issuer?.subjectKeyIdentifier ??
    (issuer === undefined && isSelfIssued ? subjectKeyIdentifier : undefined);
  const known = issuer !== undefined || isSelfIssued;
  if (known && authorityKeyIdentifier !== undefined && authorityKeyIdentifier !== named) {
    problems.push("names another key as its issuer's");
  }
  const above = issuer ?? (isSelfIssued ? certificate : undefined);
  const isOther = above !== undefined && authorityCertificate !== undefined &&
    (authorityCertificate.issuerName !== above.issuerName || authorityCertificate.serial !== above.serial);
  if (isOther) {
    const mend = "if the CA was renewed, trust its earlier certificate too";
    problems.push(
      `names another certificate as its issuer's, of serial number ${authorityCertificate.serial}; ${mend}`,
    );
  }
  return problems;
}

/** Item 2: what an issuer must be, if so many intermediates are below it. */
function issuerProblems(issuer: Certificate, below: number, isRoot: boolean, purpose: Purpose): string[] {
  const problems: string[] = [];
  if (!issuer.isAuthority) problems.push("is not a CA's, but issued a certificate");
  if (issuer.pathLength !== undefined && below > issuer.pathLength) {
    problems.push(`allows ${issuer.pathLength} intermediate certificates below it, but there are ${below}`);
  }
  if (issuer.keyUsage?.has("keyCertSign") === false) problems.push("may not sign certificates, by its keyUsage");
  // In RFC 5280 a root's purposes limit nothing, but an intermediate's limit what is below it. If somebody names the
  // issuing CA of a time-stamping authority as a root, that root has purposes.
  const isOdd = isRoot && purpose !== "tsa";
  if (issuer.extendedKeyUsage !== undefined && (isOdd || !hasPurpose(issuer.extendedKeyUsage, purpose))) {
    problems.push("is limited to other purposes by its extendedKeyUsage");
  }
  return problems;
}

const PURPOSES = {
  server: [OID.serverAuth],
  client: [OID.clientAuth],
  either: [OID.serverAuth, OID.clientAuth],
  tsa: [OID.timeStamping],
};
const PREFIXES = { server: "SERVER: ", client: "CLIENT: " };

function hasPurpose(purposes: readonly string[], wanted: Purpose): boolean {
  return [OID.anyExtendedKeyUsage, ...PURPOSES[wanted]].some((purpose) => purposes.includes(purpose));
}

/**
 * Why a certificate may not sign time-stamp tokens, whatever its path (docs/PROTOCOL.md, "Time-stamp tokens"): the ends
 * of sentences.
 */
export function stampSignerProblems(certificate: Certificate): string[] {
  const { isAuthority, extendedKeyUsage, hasCriticalPurposes, keyUsage } = certificate;
  const problems: string[] = [];
  if (isAuthority) problems.push("is a CA's");
  const [purpose, ...more] = extendedKeyUsage ?? [];
  if (purpose !== OID.timeStamping || more.length > 0) {
    problems.push("is not only for time-stamping, by its extendedKeyUsage");
  } else if (!hasCriticalPurposes) problems.push("has an extendedKeyUsage that is not critical");
  const others = [...keyUsage ?? []].filter((usage) => usage !== "digitalSignature" && usage !== "nonRepudiation");
  if (keyUsage !== undefined && (keyUsage.size === 0 || others.length > 0)) {
    problems.push("is not only for signing, by its keyUsage");
  }
  return problems;
}

/** Items 4, 6 and 7. */
function leafProblems(leaf: Certificate, options: PathOptions): string[] {
  const { purpose, host, own } = options;
  if (purpose === "tsa") return stampSignerProblems(leaf);
  const { keyUsage, extendedKeyUsage, commonNames } = leaf;
  const problems: string[] = [];
  if (leaf.isAuthority) problems.push("is a CA's, not a person's or a server's");
  if (keyUsage?.has("digitalSignature") === false) problems.push("may not sign, by its keyUsage");
  if (keyUsage?.has("keyCertSign")) problems.push("may sign certificates, by its keyUsage, but is not a CA's");
  if (extendedKeyUsage !== undefined && !hasPurpose(extendedKeyUsage, purpose)) {
    problems.push(
      `is not meant for a ${purpose === "either" ? "server or a client" : purpose}, by its extendedKeyUsage`,
    );
  }
  if (extendedKeyUsage?.includes(OID.anyExtendedKeyUsage) && extendedKeyUsage.length > 1) {
    problems.push("has both any purpose and single ones in its extendedKeyUsage");
  }
  const isNamed = (role: "server" | "client") => commonNames.some((name) => name.startsWith(PREFIXES[role]));
  if (purpose === "server" && isNamed("client")) problems.push("is a client's, by its name");
  if (purpose === "client" && isNamed("server")) problems.push("is a server's, by its name");
  if (purpose === "server") {
    if (!isNamed("server") && !extendedKeyUsage?.includes(OID.serverAuth)) {
      problems.push("doesn't say that it is a server's");
    }
    problems.push(...nameProblems(leaf));
  }
  if (host !== undefined && !matchesHost(leaf, host)) problems.push(`is not for ${quoted(host)}: ${hostsOf(leaf)}`);
  if (own !== undefined && leaf.fingerprint === own) problems.push("is our own certificate");
  return problems;
}

/** A CN that people could take for a host must also be in subjectAltName, since only that is checked. */
function nameProblems({ commonNames, hostNames }: Certificate): string[] {
  if (hostNames === undefined) return [];
  const known = [...hostNames.dnsNames, ...hostNames.addresses];
  return commonNames.filter((name) => /^(?:\d\S*|\S*[.:]\S*)$/.test(name) && !known.includes(name))
    .map((name) => `has the name ${quoted(name)}, which is not in its subjectAltName`);
}

/** Whether the certificate is for that host (RFC 9525 section 6): only whole names count, no wildcards. */
export function matchesHost({ commonNames, hostNames }: Certificate, host: string): boolean {
  if (hostNames === undefined) return commonNames.includes(PREFIXES.server + host);
  const address = canonicalAddress(host);
  if (address !== undefined) return hostNames.addresses.includes(address);
  const wanted = host.toLowerCase().replace(/\.$/, "");
  if (!isDnsName(wanted)) return false;
  return hostNames.dnsNames.some((name) => name.toLowerCase().replace(/\.$/, "") === wanted);
}

/** Letters, digits and hyphens; a name whose last label is all digits would be an address (RFC 1123 section 2.1). */
function isDnsName(name: string): boolean {
  const labels = name.split(".");
  return labels.every((label) => /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(label)) &&
    !/^\d+$/.test(labels.at(-1) ?? "");
}

function hostsOf({ commonNames, hostNames }: Certificate): string {
  const names = hostNames === undefined
    ? commonNames.filter((name) => name.startsWith(PREFIXES.server)).map((name) => name.slice(PREFIXES.server.length))
    : [...hostNames.dnsNames, ...hostNames.addresses];
  return names.length === 0
    ? "it names no host"
    : `it names ${names.slice(0, 5).map(quoted).join(", ")}${names.length > 5 ? ` and ${names.length - 5} more` : ""}`;
}

/** Item 3. */
export function dateProblem(certificate: Certificate, at: number): string | undefined {
  const { notBefore, notAfter } = certificate;
  if (at < notBefore) return `is not valid before ${formatTime(notBefore)}, and is used on ${formatTime(at)}`;
  if (at >= notAfter + SECOND) return `expired ${formatTime(notAfter)}, and is used on ${formatTime(at)}`;
  return undefined;
}

/** A certificate of a path, as it is named in a sentence: `the client certificate "CN=CLIENT: ada"`. */
export function nameOf(certificate: Certificate, depth: number, purpose: Purpose): string {
  const kinds = { either: "certificate", tsa: "authority's certificate" } as const;
  const kind = depth > 0 ? "CA certificate" : kinds[purpose as keyof typeof kinds] ?? `${purpose} certificate`;
  return `the ${kind} "${shortName(certificate.subject)}"`;
}
