/**
 * Whether a certificate is good: the path from it to a trusted CA, by the rules of docs/PROTOCOL.md, "Hello and
 * certificates".
 *
 *     const path = await findPath(parseCertificates(hello.client_cert), trust, { purpose: "client" });
 *     path.problems(now(), "current") → ['the client certificate "CN=CLIENT: ada" expired 2026-01-02T00:00:00Z']
 *
 * The check is small and strict. Issuers are found by name (byte for byte) and by signature. Every path that the
 * signatures allow is tried, trusted CAs first, within fixed limits. Then each certificate is checked against the rules
 * (`certificate_rules.ts`, `certificate_lists.ts`), and every reason against it is reported, not only the first.
 *
 * If the rules leave something open, we refuse: name constraints, policies, repeated extensions and the like are faults
 * (`x509.ts`). A server's name is a whole name, never a wildcard, since without a list of public suffixes `*.co.uk` would
 * pass (RFC 9525 section 6.3 leaves that choice). A CN that could pass for a host must also be in subjectAltName. Every
 * intermediate counts for pathLen.
 *
 * Signatures are checked once, in {@link findPath}. Time and revocation are checked by {@link CertificatePath.problems},
 * as often as a transcript has lines. Key identifiers are not required (the Python design's CA writes none), but if they
 * are there they must fit. Nothing is fetched, and OCSP is not used.
 *
 * @layer crypto
 */

import { encodeHex } from "./bytes.ts";
import {
  type AppliedList,
  appliedLists,
  hasOwnList,
  listName,
  type RevocationMode,
  revocationProblems,
  type Trust,
} from "./certificate_lists.ts";
import {
  dateProblem,
  fixedProblems,
  keyProblem,
  nameOf,
  type PathOptions,
  type Purpose,
  SECOND,
} from "./certificate_rules.ts";
import { isKnownAlgorithm, PathSignatures } from "./certificate_signature.ts";
import { shortName } from "./text.ts";
import type { Certificate, RevocationList } from "./x509.ts";

export { isOfKey, isRevoked, type RevocationMode, type Trust, TRUST_NAMES } from "./certificate_lists.ts";
export { PathSignatures } from "./certificate_signature.ts";
export {
  keyProblem,
  matchesHost,
  nameOf,
  type PathOptions,
  type Purpose,
  SECOND,
  stampSignerProblems,
} from "./certificate_rules.ts";

/** The most certificates in a chain: more than the wire can carry, and few enough to try every order of them. */
export const MAX_PATH = 8;
/** How many complete paths are tried, and how many steps are made: a private CA needs one path. */
const MAX_CANDIDATES = 16;
const MAX_STEPS = 64;
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
    // There must be a reason, however the search ended.
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

/** A path, what is wrong with it at any time, and the revocation lists that apply to it. */
export interface Candidate {
  readonly certificates: readonly Certificate[];
  readonly problems: readonly string[];
  readonly lists: readonly AppliedList[];
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

  /** Every reason against the certificate at that time (unix ms); if there is none, it is good. */
  problems(at: number, revocation: RevocationMode): string[] {
    return this.#best(at, revocation).problems;
  }

  /** When that path ends (unix ms): when the first of its certificates does. */
  ends(at: number, revocation: RevocationMode): number {
    return Math.min(...this.certificates(at, revocation).map(({ notAfter }) => notAfter + SECOND));
  }

  /** Until when that path is good for certain (unix ms): until its end, or a revocation before that. */
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

  /** The issuers of certificates of these paths for which there is no list: revocation wasn't checked for them. */
  get issuersWithoutList(): string[] {
    const issuers = this.#candidates.flatMap(({ certificates, lists }) =>
      certificates.slice(1).filter((_, depth) =>
        !lists.some((applied) => applied.depth === depth && !applied.isPassedOver)
      )
    );
    return [...new Set(issuers.map(({ subject }) => subject))];
  }

  /** Lists that weren't used for these paths: other keys signed them, of issuers with the same names. */
  get passedOver(): RevocationList[] {
    const lists = this.#candidates.flatMap(({ lists }) => lists);
    return [...new Set(lists.filter(({ isPassedOver }) => isPassedOver).map(({ list }) => list))];
  }

  /** All paths, for other questions. */
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
  /** Why no path was found: sentences. */
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
    // The same name and key again would be a circle.
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
    // A key that will be refused anyway isn't used: it may be huge, and then slow.
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
      return `${name} is signed with an algorithm that isn't accepted: SHA-256 or stronger is needed`;
    }
    if (issuers.length > 0) return `${name} is not signed with the key of its issuer "${shortName(tip.issuer)}"`;
    if (tip.issuerName === tip.subjectName) return `${name} is self-signed, and is not a CA that is trusted here`;
    return `${name} was issued by "${shortName(tip.issuer)}", which is not a CA that is trusted here`;
  }
}

function isSame(a: Certificate, b: Certificate): boolean {
  return a.subjectName === b.subjectName && encodeHex(a.publicKey) === encodeHex(b.publicKey);
}
