/**
 * The certificate of a person or a bot, renewed by the program that uses it, over a session of the old one and before
 * that ends (docs/PROTOCOL.md, "New passwords and certificates"): a new key, and a certificate for it by the server's
 * issuing CA.
 *
 *     client.next_private_key.pem    the new key, before anybody hears of it
 *     client.next_cert.pem           its certificate: once it is there the new pair counts, wherever a crash comes
 *     client_cert.pem …              the new pair, and `client.old_cert.pem` … what it replaced
 *
 * When this happens, and what the others are told of it, is decided in `client_renewing.ts`.
 *
 * @layer outside
 */

import type { Identity } from "./certificate_identity.ts";
import type { Random } from "./bytes.ts";
import { equalBytes } from "./bytes.ts";
import { createRequest, generateKey } from "./ca.ts";
import { findPath, type Trust } from "./certificate_path.ts";
import { EXIT, Failure } from "./errors.ts";
import { writeAtomically } from "./files.ts";
import { finishRenewal, loadIdentity, loadKey, nextIn } from "./identity.ts";
import { encodePrivateKey, publicKeyOf } from "./private_key.ts";
import { type Certificate, parseCertificates } from "./x509.ts";

const DAY = 86_400_000;
/** How long before its end a certificate is renewed, but at most a third of its life before. */
const LEAD = 30 * DAY;

/** Whether it is time to renew a certificate. `now` in unix milliseconds. */
export function isDue({ notBefore, notAfter }: Certificate, now: number): boolean {
  return now > notAfter - Math.min(LEAD, (notAfter - notBefore) / 3);
}

/** What {@link Renewal} works with. */
export interface RenewalOptions {
  /** CERT_DIR. */
  readonly dir: string;
  /** Protects the new key as it did the old one. */
  readonly passphrase: string | undefined;
  readonly trust: () => Promise<Trust>;
  readonly random: Random;
}

/** The files of a certificate on their way to the next. */
export class Renewal {
  readonly #options: RenewalOptions;

  constructor(options: RenewalOptions) {
    this.#options = options;
  }

  /** Makes the new key, which never leaves this machine, and a request for its certificate (PEM). */
  async request(): Promise<string> {
    const { dir, passphrase, random } = this.#options;
    const key = await generateKey();
    const pem = await encodePrivateKey(key, passphrase, random);
    await writeAtomically(nextIn(dir).key, pem, { mode: 0o600, replace: true });
    return await createRequest(key);
  }

  /** Checks the certificate that came. Failure (4) if it isn't for that key and name. */
  async check(pem: string, username: string): Promise<Certificate> {
    const chain = parseCertificates(pem);
    const [leaf] = chain;
    const path = await findPath(chain, await this.#options.trust(), { purpose: "client" });
    const [problem] = path.problems(Date.now(), "current");
    if (problem !== undefined) throw new Failure(EXIT.refused, `the certificate that came is not good: ${problem}`);
    if (!leaf || !await this.#isNext(leaf) || leaf.commonNames[0] !== `CLIENT: ${username}`) {
      throw new Failure(EXIT.refused, "the certificate that came isn't for this key and this name");
    }
    return leaf;
  }

  /** Whether a certificate is for the new key that is there. */
  async #isNext({ publicKey }: Certificate): Promise<boolean> {
    const { dir, passphrase } = this.#options;
    return equalBytes(publicKey, publicKeyOf(await loadKey(nextIn(dir).key, { passphrase })));
  }

  /** Puts a certificate that was checked, and its key, in the place of the old ones. */
  async finish(pem: string): Promise<Identity> {
    const { dir, passphrase } = this.#options;
    const [leaf] = parseCertificates(pem);
    if (!leaf || !await this.#isNext(leaf)) { // with another's key beside it, it would be of no use to anybody
      throw new Failure(EXIT.unavailable, "another program that uses the same certificate is renewing it");
    }
    await writeAtomically(nextIn(dir).certificate, pem, { replace: true });
    await finishRenewal(dir);
    return await loadIdentity(dir, "client", { passphrase });
  }
}
