/**
 * The issuing CA of a server: it signs the requests of people who have a code, and knows what it has signed. Without an
 * issuing CA in CERT_DIR nothing is issued.
 *
 * @layer outside
 */

import type { Authority } from "./ca.ts";
import { CERTIFICATE_DAYS, certifyRequest } from "./ca_folder.ts";
import type { Config } from "./config.ts";
import { messageOf } from "./errors.ts";
import { loadIssuer } from "./identity.ts";
import type { Log } from "./logging.ts";
import type { Issue } from "./server_devices.ts";
import { parseCertificates } from "./x509.ts";

type IssuingConfig = Pick<Config, "CERT_DIR" | "SECURECHAT_KEY_PASSPHRASE_FILE">;

/** What issues certificates. */
export class ServerIssuing {
  readonly #config: IssuingConfig;
  #issuer: Authority | undefined;

  private constructor(config: IssuingConfig, issuer: Authority | undefined) {
    this.#config = config;
    this.#issuer = issuer;
  }

  /** Reads the issuing CA of CERT_DIR. */
  static async open(config: IssuingConfig): Promise<ServerIssuing> {
    return new ServerIssuing(config, await load(config));
  }

  /** Signs a request for a username; `undefined` if there is no CA, or the request can't be signed. */
  readonly issue: Issue = async (csr, username) =>
    this.#issuer &&
    await certifyRequest(this.#config.CERT_DIR, this.#issuer, { csr, username, days: CERTIFICATE_DAYS });

  /** For whom this CA has issued a certificate; `undefined` for a certificate that it has not issued. */
  readonly issuedFor = (pem: string): string | undefined => {
    const [leaf] = parseCertificates(pem);
    const isOurs = leaf !== undefined && leaf.issuerName === this.#issuer?.certificate.subjectName;
    return isOurs ? leaf.commonNames[0]?.replace(/^CLIENT: /, "") : undefined;
  };

  /** Reads the CA again; the one before stays in use if that fails. */
  async reload(log: Log): Promise<void> {
    try {
      this.#issuer = await load(this.#config);
    } catch (error) {
      log.error("the issuing CA can't be read; the one before stays in use", { reason: messageOf(error) });
    }
  }
}

async function load({ CERT_DIR, SECURECHAT_KEY_PASSPHRASE_FILE }: IssuingConfig): Promise<Authority | undefined> {
  return await loadIssuer(CERT_DIR, { passphraseFile: SECURECHAT_KEY_PASSPHRASE_FILE });
}
