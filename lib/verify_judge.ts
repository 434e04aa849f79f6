/**
 * Judges the certificates of a room's evidence: the path to a trusted CA, and separately whether it was revoked. Each
 * path is searched for once (docs/PROTOCOL.md, "Checking a room's evidence").
 *
 *     const { problems, revoked } = await judge.at(chain, "client", 1000 * checkpoint.time);
 *
 * @layer protocol
 */

import { type CertificatePath, findPath, PathSignatures, type Purpose, type Trust } from "./certificate_path.ts";
import type { Chain } from "./verify_verdict.ts";
import type { RevocationList } from "./x509.ts";

/** The problems of a certificate at a time. */
export interface Judgement {
  /** Problems of the certificate and its path, except revocation. */
  readonly problems: readonly string[];
  /** Whether a given list revokes it; only checked if there is no other problem. */
  readonly revoked: readonly string[];
  /** Whether a CA was given; without one nothing is known. */
  readonly isMade: boolean;
}

interface Paths {
  /** Without lists, and with those that are given. */
  readonly plain: CertificatePath;
  readonly revocable: CertificatePath;
}

/** So many paths are kept. With more people, paths are searched for again, but signatures aren't checked again. */
const MAX_PATHS = 1_024;

/** Judges certificates by the given CAs and lists. */
export class CertificateJudge {
  readonly #trust: Trust;
  readonly #at: number | undefined;
  readonly #paths = new Map<string, Promise<Paths>>();
  readonly #signatures: PathSignatures;
  /** The SHA-256 of each CA to which certificates of the evidence lead. */
  readonly authorities = new Set<string>();
  /** Issuers for which there is no list. */
  readonly issuersWithoutList = new Set<string>();
  /** Lists with an issuer's name that another key signed. */
  readonly passedOver = new Set<RevocationList>();

  /** `at`: judge every certificate as of this time, whatever the evidence says; `count`: how many there are. */
  constructor(trust: Trust, at: number | undefined, count = 1) {
    this.#trust = trust;
    this.#at = at;
    this.#signatures = new PathSignatures(count);
  }

  /** The problems of the certificate at that time, unix milliseconds. */
  async at(chain: Chain, purpose: Purpose, time: number): Promise<Judgement> {
    if (this.#trust.authorities.length === 0) return { problems: [], revoked: [], isMade: false };
    const { plain, revocable } = await this.#pathsOf(chain, purpose);
    const at = this.#at ?? time;
    const problems = plain.problems(at, "offline");
    if (problems.length > 0 || plain === revocable) return { problems, revoked: [], isMade: true };
    for (const issuer of revocable.issuersWithoutList) this.issuersWithoutList.add(issuer);
    for (const list of revocable.passedOver) this.passedOver.add(list);
    return { problems, revoked: revocable.problems(at, "offline"), isMade: true };
  }

  /** Whether the certificate was good at `since`, or, if it began after that and before `by`, when it began. */
  async mayHaveHeld(chain: Chain, purpose: Purpose, since: number, by: number): Promise<boolean> {
    if (this.#trust.authorities.length === 0) return false;
    const { revocable } = await this.#pathsOf(chain, purpose);
    const path = revocable.certificates(chain.leaf.notBefore, "offline");
    const first = Math.max(since, ...path.map(({ notBefore }) => notBefore));
    return first <= by && revocable.problems(first, "offline").length === 0;
  }

  #pathsOf(chain: Chain, purpose: Purpose): Promise<Paths> {
    const id = `${purpose} ${chain.leaf.fingerprint}`;
    const known = this.#paths.get(id);
    if (known) return known;
    if (this.#paths.size >= MAX_PATHS) this.#paths.clear();
    const found = this.#findPaths(chain, purpose);
    this.#paths.set(id, found);
    return found;
  }

  async #findPaths({ certificates }: Chain, purpose: Purpose): Promise<Paths> {
    const question = { purpose, signatures: this.#signatures };
    const plain = await findPath(certificates, { ...this.#trust, revocations: [] }, question);
    for (const { fingerprint } of plain.authorities) this.authorities.add(fingerprint);
    const hasLists = this.#trust.revocations.length > 0;
    return { plain, revocable: hasLists ? await findPath(certificates, this.#trust, question) : plain };
  }
}
