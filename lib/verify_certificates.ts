/**
 * The certificates of a session's evidence: where the path of each leads, and how many lines name it.
 *
 *     people.add(chain)
 *     const named = await people.forLine(fingerprint);
 *     named?.path?.problems(line.ts, "offline")
 *
 * The path of a certificate is searched for once, and judged as of the time of each line.
 *
 * @layer protocol
 */

import { type CertificatePath, findPath, PathSignatures, type Purpose, type Trust } from "./certificate_path.ts";
import { isSignedBy } from "./line_signature.ts";
import type { TranscriptLine } from "./transcript.ts";
import type { Certificate, RevocationList } from "./x509.ts";

/** Certificates by fingerprint, with their paths to a CA, which are searched for when they are needed. */
export class Certificates {
  readonly #chains = new Map<string, readonly Certificate[]>();
  readonly #paths = new Map<string, LineCertificate>();
  /** The SHA-256 of each CA to which a path leads. */
  readonly authorities = new Set<string>();
  /** Issuers for which there is no list. */
  readonly issuersWithoutList = new Set<string>();
  /** Lists with an issuer's name that another key signed. */
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

  /** The certificate with which a line's signature is checked; `undefined` if it is missing. */
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

  /** Counts a bad line that names this certificate. */
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

  /** The certificates that lines named. */
  get named(): readonly LineCertificate[] {
    return [...this.#paths.values()];
  }

  /**
   * The certificate that verifies a line's signature, other than the one that the line names. It tries all of them.
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
  /** `undefined` if no CA is given. */
  readonly path: CertificatePath | undefined;
  /** How many lines name it. */
  lines: number;
  /** How many of those are bad. */
  bad: number;
  /** The seqno of the last of them. */
  last: number;
}
