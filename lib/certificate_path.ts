/**
 * Whether a certificate is good: the path from it to a trusted CA, by the rules of docs/PROTOCOL.md, "Hello and
 * certificates".
 *
 *     const path = await findPath(parseCertificates(hello.client_cert), trust, { purpose: "client" });
 *     path.problems(now(), "current") → ['the client certificate "CN=CLIENT: ada" expired 2026-01-02T00:00:00Z']
 *
 * Small and strict. Issuers are found by name, byte for byte, and by signature; every path that the signatures allow is
 * tried, trusted CAs first, within fixed bounds. Then each certificate is held against the rules, and every reason
 * against it is told, not the first alone. What the rules leave open is decided for refusal: name constraints,
 * policies, extensions that come twice and the like are faults (`x509.ts`); a server's name is a whole name, never a
 * wildcard, since without a list of public suffixes `*.co.uk` would pass (RFC 9525 section 6.3 leaves that choice); a
 * CN that could pass for a host has to be one of subjectAltName; every intermediate counts for pathLen.
 *
 * Signatures are checked once, in {@link findPath}; time and revocation are asked for with
 * {@link CertificatePath.problems}, as often as a transcript has lines. Key identifiers are not required (the seed's CA writes
 * none), but where they are there they have to fit. There is no OCSP and no fetching of anything.
 *
 * @layer crypto
 */

import { encodeHex } from "./bytes.ts";
import { isKnownAlgorithm, verifySignature } from "./certificate_signature.ts";
import type { Names } from "./options.ts";
import { quoted, shortName } from "./text.ts";
import { canonicalAddress, type Certificate, OID, type RevocationList, type Signed } from "./x509.ts";

/** What a side believes in: its CAs, and their revocation lists where it has any. */
export interface Trust {
  readonly authorities: readonly Certificate[];
  readonly revocations: readonly RevocationList[];
}

/** The names of {@link Trust}. */
export const TRUST_NAMES: Names<Trust> = { authorities: true, revocations: true };

/** What a certificate is wanted for; `either` where a transcript's lines may be anybody's; `tsa`: time-stamp tokens. */
export type Purpose = "server" | "client" | "either" | "tsa";

/** How revocation lists are read: as of now, or (offline) however old, for what is dated after the revocation. */
export type RevocationMode = "current" | "offline";

/** What {@link findPath} is asked. */
export interface PathOptions {
  readonly purpose: Purpose;
  /** The host name or address that a client was told to connect to (item 6). */
  readonly host?: string;
  /** The fingerprint of the verifier's own certificate (item 7). */
  readonly own?: string;
  /** Leaves out the rule that keys are RSA: P-256, P-384 and P-521 pass too, as they always do for `tsa`. */
  readonly anyKey?: boolean;
  /** How many certificates may stand between leaf and CA. */
  readonly maxIntermediates?: number;
  /** What other searches have found out about the same certificates, and how much work is left for all of them. */
  readonly signatures?: PathSignatures;
}

/**
 * Signatures of certificates as searches check them, each once. Whoever shows evidence chooses its certificates: ten
 * thousand that might each have issued all others would be searched for hours. An honest one costs one check, and its
 * issuer's another for all.
 */
export class PathSignatures {
  readonly #known = new Map<string, Promise<boolean>>();
  #left: number;

  /** For so many searches. */
  constructor(searches = 1) {
    this.#left = SPARE_SIGNATURES + SEARCH_SIGNATURES * searches;
  }

  /** Whether the issuer's key signed it; `undefined` where too much was asked already. */
  async isSigned(certificate: Certificate, issuer: Certificate): Promise<boolean | undefined> {
    const pair = certificate.fingerprint + issuer.fingerprint;
    const known = this.#known.get(pair);
    if (known) return await known;
    if (this.#left <= 0) return undefined;
    this.#left -= 1;
    const found = verifySignature(certificate, issuer);
    this.#known.set(pair, found);
    return await found;
  }
}

/** Signatures that a search may check: the leaf's by a CA that was renewed once; and what all of them share. */
const SEARCH_SIGNATURES = 2;
const SPARE_SIGNATURES = 64;

/**
 * Whether a list of its issuer's names one of these certificates, whatever else is right or wrong with them. As in a
 * path, a list applies to what its key signed. Where the issuer isn't at hand, identifiers tell whose list it is.
 */
export async function isRevoked(chain: readonly Certificate[], { authorities, revocations }: Trust): Promise<boolean> {
  for (const certificate of chain) {
    const { issuerName, serial, authorityKeyIdentifier } = certificate;
    const lists = revocations.filter((list) => list.issuerName === issuerName && list.revoked.has(serial));
    if (lists.length === 0) continue;
    const issuers: Certificate[] = [];
    for (const other of [...authorities, ...chain]) {
      if (other.subjectName === issuerName && await verifySignature(certificate, other)) issuers.push(other);
    }
    if (issuers.length === 0 && lists.some((list) => isOfKey(list, authorityKeyIdentifier))) return true;
    for (const list of lists) {
      for (const issuer of issuers) if (isSaidToBeOf(list, issuer) || await isGoodList(list, issuer)) return true;
    }
  }
  return false;
}

/** Whether what is signed may be of the issuer's key with that identifier, as far as identifiers tell. */
export function isOfKey({ authorityKeyIdentifier }: Signed, identifier: string | undefined): boolean {
  return authorityKeyIdentifier === undefined || identifier === undefined || authorityKeyIdentifier === identifier;
}

/** The certificates of a chain: more than the wire can carry, and few enough to try every order of them. */
export const MAX_PATH = 8;
/** Paths that are tried to their end, and steps on the way: a private CA needs one path. */
const MAX_CANDIDATES = 16;
const MAX_STEPS = 64;
/** Times are whole seconds, and that of notAfter is the last one in which a certificate is valid. */
export const SECOND = 1000;

/** Searches the paths from the first certificate to a trusted CA and checks what doesn't depend on the time. */
export async function findPath(
  chain: readonly Certificate[],
  trust: Trust,
  options: PathOptions,
): Promise<CertificatePath> {
  const [leaf, ...others] = chain;
  if (leaf === undefined) return new CertificatePath([], options.purpose);
  const search = new Search(others, trust, options);
  if (chain.length > MAX_PATH) search.deadEnds.push(`there are more than ${MAX_PATH} certificates`);
  else await search.extend([leaf]);
  if (search.found.length === 0) {
    // Never without a reason, however the search ended.
    const reasons = search.deadEnds.length > 0 ? [...new Set(search.deadEnds)] : ["no path leads to a trusted CA"];
    const problems = [...reasons, ...fixedProblems([leaf], options)];
    return new CertificatePath([{ certificates: [leaf], problems, lists: [] }], options.purpose);
  }
  const candidates = await Promise.all(search.found.map(async (certificates) => ({
    certificates,
    problems: fixedProblems(certificates, options),
    lists: await appliedLists(certificates, trust),
  })));
  return new CertificatePath(candidates, options.purpose);
}

/** A path, what is wrong with it at any time, and the revocation lists that concern it. */
export interface Candidate {
  readonly certificates: readonly Certificate[];
  readonly problems: readonly string[];
  readonly lists: readonly AppliedList[];
}

/** A revocation list of a certificate's issuer. */
export interface AppliedList {
  readonly certificate: Certificate;
  readonly depth: number;
  readonly list: RevocationList;
  /** It is of another key of an issuer with the same name, and says nothing of this certificate. */
  readonly isPassedOver: boolean;
  /** What is wrong with the list itself. */
  readonly problems: readonly string[];
}

/** What {@link findPath} found. */
export class CertificatePath {
  readonly #candidates: readonly Candidate[];
  readonly #purpose: Purpose;

  /** Made by {@link findPath}. */
  constructor(candidates: readonly Candidate[], purpose: Purpose) {
    this.#candidates = candidates;
    this.#purpose = purpose;
  }

  /** The best path at that time, leaf first. */
  certificates(at: number, revocation: RevocationMode): readonly Certificate[] {
    return this.#best(at, revocation).certificates;
  }

  /** Every reason against the certificate at that time (unix ms); none: it is good. */
  problems(at: number, revocation: RevocationMode): string[] {
    return this.#best(at, revocation).problems;
  }

  /** When that path is over (unix ms): the first of its certificates has ended. */
  ends(at: number, revocation: RevocationMode): number {
    return Math.min(...this.certificates(at, revocation).map(({ notAfter }) => notAfter + SECOND));
  }

  /** The time up to which that path was good whatever came later (unix ms): its end, or a revocation before it. */
  goodUntil(at: number, revocation: RevocationMode): number {
    const certificates = new Set(this.certificates(at, revocation));
    const dates = this.#candidates.flatMap(({ lists }) => lists).flatMap(({ certificate, list }) => {
      const entry = certificates.has(certificate) ? list.revoked.get(certificate.serial) : undefined;
      return entry ? [entry.date] : [];
    });
    return Math.min(this.ends(at, revocation), ...dates);
  }

  /** The trusted CAs to which these paths lead. */
  get authorities(): Certificate[] {
    return this.#candidates.flatMap(({ certificates }) => certificates.length > 1 ? certificates.slice(-1) : []);
  }

  /** Who issued certificates of these paths and has no list here: whether one of those was revoked, nobody asked. */
  get issuersWithoutList(): string[] {
    const issuers = this.#candidates.flatMap(({ certificates, lists }) =>
      certificates.slice(1).filter((_, depth) =>
        !lists.some((applied) => applied.depth === depth && !applied.isPassedOver)
      )
    );
    return [...new Set(issuers.map(({ subject }) => subject))];
  }

  /** Lists that say nothing of these paths: they are of other keys of issuers with the same name. */
  get passedOver(): RevocationList[] {
    const lists = this.#candidates.flatMap(({ lists }) => lists);
    return [...new Set(lists.filter(({ isPassedOver }) => isPassedOver).map(({ list }) => list))];
  }

  /** All paths, for a question that isn't answered here. */
  get candidates(): readonly Candidate[] {
    return this.#candidates;
  }

  #best(at: number, revocation: RevocationMode): { certificates: readonly Certificate[]; problems: string[] } {
    const best = bestOf(this.#candidates, (candidate) => this.#problemsOf(candidate, at, revocation));
    return best ?? { certificates: [], problems: ["there is no certificate"] };
  }

  #problemsOf({ certificates, problems, lists }: Candidate, at: number, revocation: RevocationMode): string[] {
    const all = [...problems];
    certificates.forEach((certificate, depth) => {
      const problem = dateProblem(certificate, at);
      if (problem !== undefined) all.push(`${nameOf(certificate, depth, this.#purpose)} ${problem}`);
    });
    for (const applied of lists) {
      if (!applied.isPassedOver) all.push(...revocationProblems(applied, at, revocation, this.#purpose));
      else if (revocation === "current" && !hasOwnList(lists, applied.depth)) {
        all.push(
          `${listName(applied.list)} is not signed with the key that signed ${
            nameOf(applied.certificate, applied.depth, this.#purpose)
          }`,
        );
      }
    }
    return all;
  }
}

/** The first path without a problem, or the one with the fewest. */
export function bestOf<T>(
  candidates: readonly Candidate[],
  problemsOf: (candidate: Candidate) => T[],
): { certificates: readonly Certificate[]; problems: T[] } | undefined {
  let best: { certificates: readonly Certificate[]; problems: T[] } | undefined;
  for (const candidate of candidates) {
    const problems = problemsOf(candidate);
    if (problems.length < (best?.problems.length ?? Infinity)) {
      best = { certificates: candidate.certificates, problems };
    }
    if (problems.length === 0) break;
  }
  return best;
}

/** Walks from issuer to issuer, depth first. */
class Search {
  readonly found: Certificate[][] = [];
  /** Why no path was found, as sentences. */
  readonly deadEnds: string[] = [];
  readonly #others: readonly Certificate[];
  readonly #trust: Trust;
  readonly #options: PathOptions;
  readonly #signatures: PathSignatures;
  #steps = 0;

  constructor(others: readonly Certificate[], trust: Trust, options: PathOptions) {
    this.#trust = trust;
    this.#options = options;
    this.#signatures = options.signatures ?? new PathSignatures();
    const known = new Set(trust.authorities.map((authority) => authority.fingerprint));
    this.#others = others.filter((other) => !known.has(other.fingerprint));
  }

  async extend(path: readonly Certificate[]): Promise<void> {
    const tip = path.at(-1);
    if (tip === undefined || ++this.#steps > MAX_STEPS || this.found.length >= MAX_CANDIDATES) return;
    const isIssuer = (other: Certificate) => other.subjectName === tip.issuerName;
    const authorities = this.#trust.authorities.filter(isIssuer);
    // The same name and key again would be a way in a circle.
    const others = this.#others.filter(isIssuer).filter((other) => !path.some((member) => isSame(member, other)));
    let isDeadEnd = true;
    for (const issuer of authorities) {
      if (!await this.#isSigned(tip, issuer)) continue;
      this.found.push([...path, issuer]);
      isDeadEnd = false;
    }
    for (const issuer of others) {
      if (!await this.#isSigned(tip, issuer)) continue;
      await this.extend([...path, issuer]);
      isDeadEnd = false;
    }
    if (isDeadEnd) this.deadEnds.push(this.#reason(tip, path.length - 1, [...authorities, ...others]));
  }

  async #isSigned(certificate: Certificate, issuer: Certificate): Promise<boolean> {
    // A key that will be refused anyway isn't worked with: it may be as large as the certificate allows.
    if (keyProblem(issuer, this.#options) !== undefined) return false;
    const isSigned = await this.#signatures.isSigned(certificate, issuer);
    if (isSigned === undefined) {
      this.deadEnds.push("too many certificates are shown that could have issued one another");
    }
    return isSigned ?? false;
  }

  #reason(tip: Certificate, depth: number, issuers: readonly Certificate[]): string {
    const name = nameOf(tip, depth, this.#options.purpose);
    for (const issuer of issuers) {
      const problem = keyProblem(issuer, this.#options);
      if (problem !== undefined) return `the certificate of the issuer "${shortName(issuer.subject)}" ${problem}`;
    }
    if (!isKnownAlgorithm(tip)) {
      return `${name} is signed by an algorithm that isn't taken: SHA-256 or stronger is needed`;
    }
    if (issuers.length > 0) return `${name} is not signed with the key of its issuer "${shortName(tip.issuer)}"`;
    if (tip.issuerName === tip.subjectName) return `${name} is self-signed, and not by a CA that is trusted here`;
    return `${name} was issued by "${shortName(tip.issuer)}", which is not a CA that is trusted here`;
  }
}

function isSame(a: Certificate, b: Certificate): boolean {
  return a.subjectName === b.subjectName && encodeHex(a.publicKey) === encodeHex(b.publicKey);
}

/** What is wrong with the certificates of a path, whatever the time. */
function fixedProblems(certificates: readonly Certificate[], options: PathOptions): string[] {
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
  if (intermediates > (options.maxIntermediates ?? MAX_PATH)) {
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
  // RFC 8017 section 3.1: primes are odd. OpenSSL verifies nothing with such a key, and BigInt would.
  if (rsa.modulus % 2n === 0n) return "has an RSA key whose modulus is even";
  return undefined;
}

/** RFC 5280 sections 4.2.1.1 and 4.2.1.2: none at all, or all that belong together. */
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

/** Item 2: what an issuer must be, with so many intermediates below it. */
function issuerProblems(issuer: Certificate, below: number, isRoot: boolean, purpose: Purpose): string[] {
  const problems: string[] = [];
  if (!issuer.isAuthority) problems.push("is not a CA's, but has issued a certificate");
  if (issuer.pathLength !== undefined && below > issuer.pathLength) {
    problems.push(`allows ${issuer.pathLength} intermediate certificates below it, but there are ${below}`);
  }
  if (issuer.keyUsage?.has("keyCertSign") === false) problems.push("may not sign certificates, by its keyUsage");
  // A purpose in a root limits nothing in RFC 5280; an intermediate's limits what is below. Whoever names an authority's
  // issuing CA as a root for time stamps names one with a purpose.
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
 * What keeps a certificate from signing time-stamp tokens, whatever its path (docs/PROTOCOL.md, "Time-stamp tokens"):
 * the ends of sentences.
 */
export function stampSignerProblems(certificate: Certificate): string[] {
  const { isAuthority, extendedKeyUsage, hasCriticalPurposes, keyUsage } = certificate;
  const problems: string[] = [];
  if (isAuthority) problems.push("is a CA's");
  const [purpose, ...more] = extendedKeyUsage ?? [];
  if (purpose !== OID.timeStamping || more.length > 0) {
    problems.push("is not for time-stamping alone, by its extendedKeyUsage");
  } else if (!hasCriticalPurposes) problems.push("has an extendedKeyUsage that is not critical");
  const others = [...keyUsage ?? []].filter((usage) => usage !== "digitalSignature" && usage !== "nonRepudiation");
  if (keyUsage !== undefined && (keyUsage.size === 0 || others.length > 0)) {
    problems.push("is not for signing alone, by its keyUsage");
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
    problems.push("is meant for any purpose and for some, by its extendedKeyUsage");
  }
  const isNamed = (role: "server" | "client") => commonNames.some((name) => name.startsWith(PREFIXES[role]));
  if (purpose === "server" && isNamed("client")) problems.push("is a client's, by its name");
  if (purpose === "client" && isNamed("server")) problems.push("is a server's, by its name");
  if (purpose === "server") {
    if (!isNamed("server") && !extendedKeyUsage?.includes(OID.serverAuth)) {
      problems.push("says nowhere that it is a server's");
    }
    problems.push(...nameProblems(leaf));
  }
  if (host !== undefined && !matchesHost(leaf, host)) problems.push(`is not for ${quoted(host)}: ${hostsOf(leaf)}`);
  if (own !== undefined && leaf.fingerprint === own) problems.push("is our own certificate");
  return problems;
}

/** A CN that people would take for a host has to be a name that is checked. */
function nameProblems({ commonNames, hostNames }: Certificate): string[] {
  if (hostNames === undefined) return [];
  const known = [...hostNames.dnsNames, ...hostNames.addresses];
  return commonNames.filter((name) => /^(?:\d\S*|\S*[.:]\S*)$/.test(name) && !known.includes(name))
    .map((name) => `has the name ${quoted(name)}, which is not in its subjectAltName`);
}

/** RFC 9525 section 6, whole names alone. */
export function matchesHost({ commonNames, hostNames }: Certificate, host: string): boolean {
  if (hostNames === undefined) return commonNames.includes(PREFIXES.server + host);
  const address = canonicalAddress(host);
  if (address !== undefined) return hostNames.addresses.includes(address);
  const wanted = host.toLowerCase().replace(/\.$/, "");
  if (!isDnsName(wanted)) return false;
  return hostNames.dnsNames.some((name) => name.toLowerCase().replace(/\.$/, "") === wanted);
}

/** Letters, digits and hyphens; a last label of digits alone would be an address (RFC 1123 section 2.1). */
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
function dateProblem(certificate: Certificate, at: number): string | undefined {
  const { notBefore, notAfter } = certificate;
  if (at < notBefore) return `is not valid before ${instant(notBefore)}, and the clock says ${instant(at)}`;
  if (at >= notAfter + SECOND) return `expired ${instant(notAfter)}, and the clock says ${instant(at)}`;
  return undefined;
}

/**
 * Item 5: the lists of the path's issuers. A CA that got another key keeps its name, and then has a list for each key:
 * a list applies to the certificates of the key that signed it.
 */
function appliedLists(certificates: readonly Certificate[], trust: Trust): Promise<AppliedList[]> {
  const applied = certificates.slice(0, -1).flatMap((certificate, depth) => {
    const issuer = certificates[depth + 1];
    const lists = trust.revocations.filter((list) => list.issuerName === issuer?.subjectName);
    return issuer === undefined ? [] : lists.map((list) => ({ certificate, depth, issuer, list }));
  });
  return Promise.all(applied.map(async ({ certificate, depth, issuer, list }) => {
    const applied = { certificate, depth, list };
    const isGood = await isGoodList(list, issuer); // whatever identifier it has: a renewed CA may have another one
    if (!isGood && !isSaidToBeOf(list, issuer)) return { ...applied, problems: [], isPassedOver: true };
    const problems = list.faults.map((fault) => `${listName(list)} ${fault}`);
    if (issuer.keyUsage?.has("cRLSign") === false) {
      problems.push(`${listName(list)} is signed with a key that may not sign such lists, by the CA's keyUsage`);
    } else if (!isGood) problems.push(`${listName(list)} is not signed with that CA's key`);
    return { ...applied, problems, isPassedOver: false };
  }));
}

/** Whether a list names the issuer's key as the one that signed it: where it didn't, the list itself is wrong. */
function isSaidToBeOf({ authorityKeyIdentifier }: RevocationList, { subjectKeyIdentifier }: Certificate): boolean {
  return authorityKeyIdentifier !== undefined && authorityKeyIdentifier === subjectKeyIdentifier;
}

/**
 * Whether there is a list for the key that signed the certificate there: without one nobody is let in by others' lists.
 */
function hasOwnList(lists: readonly AppliedList[], depth: number): boolean {
  return lists.some((list) => list.depth === depth && !list.isPassedOver);
}

/** A server shows the same list to every client: its signature is checked once for each CA. */
const listSignatures = new WeakMap<RevocationList, Map<string, Promise<boolean>>>();

function isGoodList(list: RevocationList, issuer: Certificate): Promise<boolean> {
  const known = listSignatures.get(list) ?? new Map<string, Promise<boolean>>();
  listSignatures.set(list, known);
  const good = known.get(issuer.fingerprint) ?? verifySignature(list, issuer);
  known.set(issuer.fingerprint, good);
  return good;
}

function revocationProblems(applied: AppliedList, at: number, mode: RevocationMode, purpose: Purpose): string[] {
  const { certificate, depth, list } = applied;
  const problems = [...applied.problems];
  if (mode === "current") {
    if (at < list.thisUpdate) problems.push(`${listName(list)} is of a later time than the clock says`);
    if (list.nextUpdate === undefined) problems.push(`${listName(list)} doesn't say until when it counts`);
    else if (at >= list.nextUpdate + 1000) {
      problems.push(`${listName(list)} is out of date since ${instant(list.nextUpdate)}`);
    }
  }
  const entry = list.revoked.get(certificate.serial);
  if (entry !== undefined && (mode === "current" || at > entry.date)) {
    problems.push(`${nameOf(certificate, depth, purpose)} was revoked ${instant(entry.date)}`);
  }
  return problems;
}

function listName(list: RevocationList): string {
  return `the revocation list of "${shortName(list.issuer)}"`;
}

/** A certificate of a path in a sentence: `the client certificate "CN=CLIENT: ada"`. */
export function nameOf(certificate: Certificate, depth: number, purpose: Purpose): string {
  const kinds = { either: "certificate", tsa: "authority's certificate" } as const;
  const kind = depth > 0 ? "CA certificate" : kinds[purpose as keyof typeof kinds] ?? `${purpose} certificate`;
  return `the ${kind} "${shortName(certificate.subject)}"`;
}

/** A time (unix ms) as text. No date lies beyond 8.64e15 ms, but a transcript's line may say so. */
export function instant(at: number): string {
  if (at > 8_640_000_000_000_000) return `${at} ms`;
  return new Date(at).toISOString().replace(/\.\d+Z$/, "Z");
}
