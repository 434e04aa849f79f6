/**
 * The certificates of a session's evidence: which are at hand, where each one's path leads, and how many lines name it.
 *
 *     people.add(chain)
 *     const named = await people.forLine(fingerprint);
 *     named?.path?.problems(line.ts, "offline")
 *
 * A path is searched for once for each certificate; the time at which it is judged is each line's own.
 *
 * @layer protocol
 */

import { type CertificatePath, findPath, PathSignatures, type Purpose, type Trust } from "./certificate_path.ts";
import { isSignedBy } from "./line_signature.ts";
import type { TranscriptLine } from "./transcript.ts";
import type { Certificate, RevocationList } from "./x509.ts";

/** The certificates at hand by fingerprint, and for each, once it is asked for, its path to a CA. */
export class Certificates {
  readonly #chains = new Map<string, readonly Certificate[]>();
  readonly #paths = new Map<string, LineCertificate>();
  /** Of all paths that were found: the SHA-256 of each CA that they lead to. */
  readonly authorities = new Set<string>();
  /** Whose certificates no list was asked about. */
  readonly issuersWithoutList = new Set<string>();
  /** Lists of other keys of these issuers. */
  readonly passedOver = new Set<RevocationList>();

  readonly #signatures: PathSignatures;

  constructor(readonly trust: Trust, readonly at: number | undefined, chains: readonly (readonly Certificate[])[]) {
    this.#signatures = new PathSignatures(chains.length);
    for (const chain of chains) this.add(chain);
  }

  get hasAuthorities(): boolean {
    return this.trust.authorities.length > 0;
  }

  /** A leaf with its intermediates; of two with the same leaf the first stays. */
  add(chain: readonly Certificate[]): void {
    const [leaf] = chain;
    if (leaf && !this.#chains.has(leaf.fingerprint)) this.#chains.set(leaf.fingerprint, chain);
  }

  /** What a line's signature is checked with; `undefined` where the certificate is not at hand. */
  async forLine(fingerprint: string): Promise<LineCertificate | undefined> {
    const known = this.#paths.get(fingerprint);
    const chain = this.#chains.get(fingerprint);
    const [leaf] = chain ?? [];
    if (known || !chain || !leaf) return known;
    const path = this.hasAuthorities ? await this.findPath(chain, "either") : undefined;
    const made = { leaf, path, lines: 0, bad: 0, last: -1 };
    this.#paths.set(fingerprint, made);
    return made;
  }

  /** A line that names this certificate is bad. */
  countBad(fingerprint: string): void {
    const named = this.#paths.get(fingerprint);
    if (named) named.bad += 1;
  }

  /** The certificate's path to a CA. */
  async findPath(chain: readonly Certificate[], purpose: Purpose): Promise<CertificatePath> {
    const path = await findPath(chain, this.trust, { purpose, signatures: this.#signatures });
    for (const { fingerprint } of path.authorities) this.authorities.add(fingerprint);
    for (const issuer of path.issuersWithoutList) this.issuersWithoutList.add(issuer);
    for (const list of path.passedOver) this.passedOver.add(list);
    return path;
  }

  /** Those that lines named. */
  get named(): readonly LineCertificate[] {
    return [...this.#paths.values()];
  }

  /**
   * The certificate, other than the one a line names, that verifies its signature: as many tries as there are of them.
   */
  findSigner(line: TranscriptLine): Certificate | undefined {
    for (const [fingerprint, [leaf]] of this.#chains) {
      if (fingerprint !== line.signer && leaf?.rsa && isSignedBy({ line, modulus: leaf.rsa.modulus })) return leaf;
    }
    return undefined;
  }
}

/** A certificate that lines name. */
export interface LineCertificate {
  readonly leaf: Certificate;
  /** `undefined` where no CA is given. */
  readonly path: CertificatePath | undefined;
  /** Lines that name it. */
  lines: number;
  /** Those of them that are bad. */
  bad: number;
  /** The seqno of the last of them. */
  last: number;
}
