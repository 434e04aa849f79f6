/**
 * The server's own certificate: checked at the start, read again when its files change, and what signs the heads of
 * rooms. Nothing is signed with a certificate that every client would refuse.
 *
 * @layer outside
 */

import type { Clock } from "./bytes.ts";
import { fingerprintOf, type Identity } from "./certificate_identity.ts";
import { findPath, type Trust } from "./certificate_path.ts";
import type { Config } from "./config.ts";
import { EXIT, Failure } from "./errors.ts";
import { shellPath } from "./files.ts";
import type { ServerIdentity, WatchedIdentity } from "./identity.ts";
import type { Log } from "./logging.ts";
import { PROGRAM } from "./program.ts";
import type { HeadSigner } from "./room_heads.ts";
import type { DeviceStore } from "./server_device_store.ts";
import { wallClock } from "./system.ts";

const DAY = 86_400_000;

/** What a certificate is watched with. */
export interface CertificateOptions {
  readonly config: Config;
  readonly log: Log;
  readonly trust: () => Promise<Trust>;
}

/** The certificate of a running server. */
export class ServerCertificate {
  readonly #options: CertificateOptions;
  readonly #watched: WatchedIdentity;
  #signer: HeadSigner;
  /** What has signed until it ended, which the operator was told. */
  #ended: HeadSigner | undefined;

  private constructor(options: CertificateOptions, watched: WatchedIdentity, signer: HeadSigner) {
    this.#options = options;
    this.#watched = watched;
    this.#signer = signer;
  }

  /** Checks it. Failure if every client would refuse it; a warning if it will soon end. */
  static async check(watched: WatchedIdentity, options: CertificateOptions): Promise<ServerCertificate> {
    const { config, log, trust } = options;
    const { problem, ...signer } = await headSigner(watched.current(), await trust(), wallClock());
    if (problem !== undefined) {
      throw new Failure(
        EXIT.no,
        `certificate validation failed: ${problem}; mend it with: ${renewal(config)} ` +
          "(or set this machine's clock, if that is wrong)",
      );
    }
    const days = Math.floor((signer.ends - wallClock()) / DAY);
    if (days < config.CERT_WARN_DAYS) {
      log.warn(`the server certificate expires in ${days} days; run: ${renewal(config)}`);
    }
    return new ServerCertificate(options, watched, signer);
  }

  /** The certificate of this moment, with its key. */
  readonly current = (): ServerIdentity => this.#watched.current();

  /** What signs heads at this moment. */
  readonly signer = (): HeadSigner => this.#signer;

  /**
   * Takes up a certificate whose files have changed, or, if `isAsked`, reads them anyway. Whether there is another one.
   */
  async look(store: Pick<DeviceStore, "keepCertificate">, now: Clock, isAsked = false): Promise<boolean> {
    const { log, trust } = this.#options;
    const hasChanged = await this.#watched.look(isAsked);
    const current = this.current();
    if (hasChanged || fingerprintOf(current) !== this.#signer.fingerprint) {
      await keepCertificate(store, current);
      const { problem, ...signer } = await headSigner(current, await trust(), now());
      if (problem !== undefined) log.error("every client refuses the new server certificate", { reason: problem });
      this.#signer = signer;
      return true;
    }
    if (this.#signer.ends === 0) {
      // What was wrong may be over: its time has come, or there is a newer revocation list.
      const { problem, ...signer } = await headSigner(current, await trust(), now());
      if (problem === undefined) this.#signer = signer;
    }
    return false;
  }

  /** Whether it is good at that time. */
  isGood(now: number): boolean {
    return now < this.#signer.ends;
  }

  /** Tells the operator, once, that it is no longer good. */
  tellEnd(now: number): void {
    if (this.isGood(now) || this.#ended === this.#signer) return;
    this.#ended = this.#signer;
    const { config, log } = this.#options;
    log.error(
      `the server certificate is no longer good: nobody is let in, and rooms take no lines; ${renewal(config)}`,
    );
  }
}

/** Keeps a certificate that signs checkpoints, for those who ask for it later. */
export async function keepCertificate(store: Pick<DeviceStore, "keepCertificate">, identity: Identity): Promise<void> {
  if (identity.chain.length > 0) await store.keepCertificate(fingerprintOf(identity), identity.pem);
}

/** What signs with a certificate; it has ended from the beginning if every client would refuse the certificate. */
async function headSigner(identity: Identity, trust: Trust, now: number) {
  const path = await findPath(identity.chain, trust, { purpose: "server" });
  const [problem] = path.problems(now, "current");
  const ends = problem === undefined ? path.ends(now, "current") : 0;
  return { key: identity.key, fingerprint: fingerprintOf(identity), ends, problem };
}

/** The command that renews it. */
function renewal({ CERT_DIR }: Config): string {
  return `${PROGRAM} cert renew ${shellPath(`${CERT_DIR}/server_cert.pem`)}`;
}
