/**
 * The certificates of those who sign in one room, authors and servers, each with its paths to the CAs that are trusted.
 *
 *     const known = await certificates.get("9f86…");      undefined if the server has none of that fingerprint
 *     known?.asAuthor.problems(Date.now(), "offline")     what is wrong with it at that time
 *
 * @layer chat
 */

import { type CertificatePath, findPath, type Trust } from "./certificate_path.ts";
import { ProtocolError } from "./errors.ts";
import { VerifyingKey } from "./pss.ts";
import { type Certificate, parseCertificates } from "./x509.ts";

/** A certificate that was received, its key, and its paths. */
export interface KnownCertificate {
  readonly leaf: Certificate;
  readonly modulus: bigint;
  readonly key: VerifyingKey;
  readonly asAuthor: CertificatePath;
  readonly asServer: CertificatePath;
}

/** Where certificates come from. */
export interface CertificateSource {
  readonly trust: () => Promise<Trust>;
  /** The PEM of a certificate, with its intermediates. Rejects if it can't be had now. */
  readonly certificate: (fingerprint: string) => Promise<string | undefined>;
}

/** Certificates, each asked for once. */
export class AuthorCertificates {
  readonly #source: CertificateSource;
  readonly #known = new Map<string, Promise<KnownCertificate | undefined>>();

  constructor(source: CertificateSource) {
    this.#source = source;
  }

  /** The certificate; `undefined` if there is none. Rejects if it can't be had now, and is asked for again later. */
  get(fingerprint: string): Promise<KnownCertificate | undefined> {
    const known = this.#known.get(fingerprint);
    if (known) return known;
    const asked = this.#ask(fingerprint);
    this.#known.set(fingerprint, asked);
    const forget = () => this.#known.delete(fingerprint);
    asked.then((found) => found ?? forget(), forget);
    return asked;
  }

  async #ask(fingerprint: string): Promise<KnownCertificate | undefined> {
    const pem = await this.#source.certificate(fingerprint);
    const chain = pem === undefined ? [] : parsePem(pem);
    const [leaf] = chain;
    if (leaf?.fingerprint !== fingerprint || !leaf.rsa) return undefined;
    const { modulus } = leaf.rsa;
    const trust = await this.#source.trust();
    const [asAuthor, asServer] = await Promise.all([
      findPath(chain, trust, { purpose: "client" }),
      findPath(chain, trust, { purpose: "server" }),
    ]);
    return { leaf, modulus, key: new VerifyingKey(modulus), asAuthor, asServer };
  }
}

function parsePem(pem: string): Certificate[] {
  try {
    return parseCertificates(pem);
  } catch (error) {
    if (error instanceof ProtocolError) return [];
    throw error;
  }
}

/** Whether a certificate was never good: no trusted CA stands behind it. */
export function wasNeverGood(known: KnownCertificate): boolean {
  return known.asAuthor.problems(beginOf(known), "offline").length > 0;
}

/**
 * The earliest time at which a certificate could be good, in unix milliseconds. Only the certificates on its path
 * count: whoever shows it may have added others.
 */
export function beginOf({ leaf, asAuthor }: KnownCertificate): number {
  return Math.max(...asAuthor.certificates(leaf.notBefore, "offline").map(({ notBefore }) => notBefore));
}
