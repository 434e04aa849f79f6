/**
 * Whose failed logins count against whom (docs/PROTOCOL.md, "Credentials").
 *
 * A certificate whose key was proved is known before any password, so failures count against it and nobody else is
 * slowed or locked by them:
 *
 *     certificate and account    LOGIN_FAILURES_PER_ACCOUNT       this certificate is locked for this account
 *     certificate                LOGIN_FAILURES_PER_CERTIFICATE   and for every account but the one that it belongs to
 *
 * A certificate that serves several people is locked for the one who mistypes, not for the others. Version 1 proves no
 * key, so anybody can show anybody's certificate there: what fails in it counts for itself, and besides by address and
 * by account, and locks nothing but version 1.
 *
 * Somebody who asks for a certificate with a code shows none and names no account: that counts by address alone, since
 * one count for all who show nothing would let a stranger lock everybody out.
 *
 * Failures are counted for addresses that have no account, too, else a lock would tell.
 *
 * @layer chat
 */

import type { Clock } from "./bytes.ts";
import type { AuditEvent } from "./server_store.ts";
import { sourceOf, Throttle } from "./server_throttle.ts";

/** So many times LOGIN_FAILURES_PER_ACCOUNT lock an account for version 1, whatever certificates are shown. */
const UNPROVEN_FACTOR = 10;

/** The settings of the same names, in milliseconds where they are times. */
export interface LoginLimitSettings {
  readonly loginFailuresPerAccount: number;
  readonly loginFailuresPerCertificate: number;
  /** Of an address, where no certificate was proved. */
  readonly loginFailuresPerAddress: number;
  /** For how long whoever failed too often stays locked. */
  readonly lock: number;
}

/** Where a request comes from. */
export interface RequestOrigin {
  /** The peer's IP address. */
  readonly address: string;
  /** Fingerprint of the certificate that the peer showed; empty where it showed none. */
  readonly clientFingerprint: string;
  /** Whether the peer has proved that it holds that certificate's key. */
  readonly isProven: boolean;
}

/** Somebody who tries to be let in. */
export interface Attempt extends RequestOrigin {
  /** The account's address; missing where none was said. */
  readonly email?: string;
  /** Whether the certificate is known to belong to that very account. */
  readonly isOwn?: boolean;
}

/** Failed logins, counted. */
export class LoginLimits {
  readonly #settings: LoginLimitSettings;
  readonly #pairs: Throttle;
  readonly #certificates: Throttle;
  readonly #addresses: Throttle;
  readonly #unprovenPairs: Throttle;
  readonly #unprovenAccounts: Throttle;

  constructor(settings: LoginLimitSettings, now: Clock) {
    const { lock, loginFailuresPerAccount: perAccount } = settings;
    const throttle = (limit: number) => new Throttle({ limit, window: lock, lock }, now);
    this.#settings = settings;
    this.#pairs = throttle(perAccount);
    this.#certificates = throttle(settings.loginFailuresPerCertificate);
    this.#addresses = throttle(settings.loginFailuresPerAddress);
    this.#unprovenPairs = throttle(perAccount);
    this.#unprovenAccounts = throttle(UNPROVEN_FACTOR * perAccount);
  }

  /** What has failed too often, in words for a refusal; `undefined`: a try is free. */
  holds(attempt: Attempt): string | undefined {
    const { address, clientFingerprint, email = "", isOwn } = attempt;
    if (attempt.isProven) {
      if (this.#pairs.holds(pairOf(attempt))) return "with your certificate";
      return !isOwn && this.#certificates.holds(clientFingerprint) ? "with your certificate" : undefined;
    }
    if (this.#addresses.holds(sourceOf(address))) return "from your address";
    if (clientFingerprint === "") return undefined;
    if (this.#unprovenPairs.holds(pairOf(attempt))) return "with your certificate";
    return this.#unprovenAccounts.holds(email) ? "without a proof of the certificate's key" : undefined;
  }

  /** Counts a failure: the how manieth it is, for the delay of its answer, and what is locked by it. */
  fail(attempt: Attempt): { readonly count: number; readonly locked: readonly AuditEvent[] } {
    const { address, clientFingerprint, email = "" } = attempt;
    const { loginFailuresPerAccount, loginFailuresPerCertificate, loginFailuresPerAddress } = this.#settings;
    if (attempt.isProven) {
      const ofPair = this.#pairs.take(pairOf(attempt));
      const ofCertificate = this.#certificates.take(clientFingerprint);
      const isLocked = ofPair === loginFailuresPerAccount || ofCertificate === loginFailuresPerCertificate;
      return { count: ofPair, locked: isLocked ? ["certificate_locked"] : [] };
    }
    const ofAddress = this.#addresses.take(sourceOf(address));
    const locked: AuditEvent[] = ofAddress === loginFailuresPerAddress ? ["address_limited"] : [];
    if (clientFingerprint === "") return { count: ofAddress, locked };
    const ofPair = this.#unprovenPairs.take(pairOf(attempt));
    const ofAccount = this.#unprovenAccounts.take(email);
    if (ofPair === loginFailuresPerAccount) locked.push("certificate_locked");
    if (ofAccount === UNPROVEN_FACTOR * loginFailuresPerAccount) locked.push("account_locked");
    return { count: Math.max(ofPair, ofAddress), locked };
  }

  /** A success ends the count of what this certificate failed at for this account, and no other count. */
  succeed(attempt: Attempt): void {
    (attempt.isProven ? this.#pairs : this.#unprovenPairs).forget(pairOf(attempt));
  }
}

/** Whose requests are counted together: a certificate that was proved, else an address. */
export function partyOf({ isProven, clientFingerprint, address }: RequestOrigin): string {
  return isProven ? clientFingerprint : sourceOf(address);
}

function pairOf({ clientFingerprint, email = "" }: Attempt): string {
  return `${clientFingerprint} ${email}`;
}
