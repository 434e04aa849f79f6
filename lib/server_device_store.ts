/**
 * What the server asks of a database about devices: certificates with the accounts that they are bound to, the codes
 * that bring them in, and the tokens that resume their sessions. Declared here, where it is used; one contract test is
 * passed by every database.
 *
 * Fingerprints and hashes in hex are lower-case; usernames are compared with ASCII letters lower-cased; times are unix
 * milliseconds. A code that is used up is gone; one that has ended stays while it says whose a certificate is.
 *
 * @layer chat
 */

/** A certificate that is bound to an account. */
export interface BoundDevice {
  readonly fingerprint: string;
  readonly userId: number;
  readonly email: string;
  readonly username: string;
  /** The certificate with its intermediates. */
  readonly pem: string;
  /** Whether this server issued it, with a code or as a renewal: then it enters only this account, in every session. */
  readonly isIssued: boolean;
}

/** A certificate that becomes an account's. */
export type NewDevice = Pick<BoundDevice, "fingerprint" | "userId" | "pem" | "isIssued">;

/** What a code is for. */
export interface NewCode {
  /** SHA-256 of the code's secret, hex. */
  readonly hash: string;
  /** The account that it was made for, as its username will be or is. */
  readonly username: string;
  /**
   * `invitation`: for somebody without an account; `device`: for a further certificate of one; `reset`: for another
   * password.
   */
  readonly kind: "invitation" | "device" | "reset";
  /** The one e-mail address that it lets in, as it is compared; `undefined` for any. */
  readonly email: string | undefined;
  readonly expiresAt: number;
}

/** A code that is not used up, with the certificate that was issued with it, where one was. */
export interface Code extends NewCode {
  readonly issuedTo: string | undefined;
  /** That certificate, with its intermediates; `undefined` too where an earlier version of this program issued it. */
  readonly issuedPem: string | undefined;
}

/** A session's token, stored as a hash. */
export interface SessionToken {
  /** SHA-256 of the token, hex. */
  readonly hash: string;
  readonly userId: number;
  /** The certificate that it is bound to. */
  readonly fingerprint: string;
  readonly expiresAt: number;
}

/** Devices, codes and tokens. Every method may throw `StoreUnavailable`. */
export interface DeviceStore {
  /**
   * Binds a certificate and uses up a code, if there is one: both or neither. False if the certificate is bound
   * already (to this account or to another), or the code is gone.
   */
  bindDevice(device: NewDevice, boundAt: number, code?: string): Promise<boolean>;
  findDevice(fingerprint: string): Promise<BoundDevice | undefined>;

  /** Keeps a certificate that signs checkpoints: a server's own, old ones too. */
  keepCertificate(fingerprint: string, pem: string): Promise<void>;
  /** The PEM of a kept certificate or of a device's. */
  findCertificate(fingerprint: string): Promise<string | undefined>;

  addCode(code: NewCode): Promise<void>;
  /** A code that is not used up and not past its end at `now`. */
  findCode(hash: string, now: number): Promise<Code | undefined>;
  /** Notes the certificate that was issued with a code; false if one was already, or the code is gone. */
  issueWithCode(hash: string, issued: { readonly fingerprint: string; readonly pem: string }): Promise<boolean>;
  /** Invitations that have not ended at `now` and are for that username, or only for that address. */
  invitationsFor(who: { readonly username: string; readonly email: string }, now: number): Promise<readonly Code[]>;
  /** The code that a certificate was issued with, also past its end, until it is used up. */
  codeOf(fingerprint: string): Promise<Code | undefined>;

  addToken(token: SessionToken): Promise<void>;
  findToken(hash: string, now: number): Promise<SessionToken | undefined>;
  /** Drops a certificate's tokens; where one is given, those that were made before it. */
  dropTokens(fingerprint: string, before?: SessionToken): Promise<void>;
  /** Drops tokens past their end, and codes past theirs with which no certificate was issued. */
  dropExpired(now: number): Promise<void>;
}
