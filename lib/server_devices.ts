/**
 * Which certificate belongs to which account, the codes that bring people in, and the tokens that resume sessions
 * (docs/PROTOCOL.md, "Before the session").
 *
 * A session with rooms binds its certificate to its account. Other sessions bind none, with one exception: a
 * certificate that this server issued registers and enters only its own account, in every session. A name or an address
 * that is invited is kept for its code.
 *
 *     invitation   the operator makes a code for a name → a certificate is issued with it → it registers that name, and,
 *                  if the operator said so, only with one e-mail address
 *     device       somebody in a session makes a code → a further certificate is issued → it enrols with the password
 *     renewal      a certificate that ends soon is followed by another of its account; their number is limited, so a
 *                  stolen certificate leaves few behind before it is revoked
 *     token        every session gets a new one; it resumes for 24 hours, until the one after it is first used
 *
 * Codes and tokens are stored as hashes. Whatever is wrong with one, the answer is `auth-failed` in the same words.
 * Passwords are `server_accounts.ts`; who signs certificates is the caller's choice.
 *
 * @layer chat
 */

import { type Bytes, type Clock, encodeHex, equalBytes, type Random } from "./bytes.ts";
import { ProtocolError } from "./errors.ts";
import { sha256 } from "./hash.ts";
import { CODE_SIZE, TOKEN_SIZE } from "./message.ts";
import { usernameKey } from "./names.ts";
import type { BoundDevice, Code, DeviceStore, NewCode, NewDevice } from "./server_device_store.ts";
import type { Registrant } from "./server_store.ts";
import { Throttle } from "./server_throttle.ts";
import { parseCertificates } from "./x509.ts";

const HOUR = 3_600_000;
/** How long an invitation serves, unless the operator says otherwise. */
export const INVITATION_LIFE = 24 * HOUR;
/** How long a code for a further device serves. */
export const DEVICE_CODE_LIFE = HOUR / 4;
/** How long nobody types a password again. */
export const TOKEN_LIFE = 24 * HOUR;
/**
 * A certificate can be renewed when so long of its life is left, or the last third if that is shorter: a day more
 * than the 30 after which clients ask, by clocks of their own.
 */
export const RENEWAL_TIME = 31 * 24 * HOUR;
/** A certificate's successors: one, and some whose answers were lost. */
const MAX_RENEWALS = 5;

/** Signs a certificate request for a username; undefined if the request isn't one that may be signed. */
export type Issue = (csr: string, username: string) => Promise<{ pem: string; fingerprint: string } | undefined>;

/** A certificate for whoever has a code, and the one address that the code is for. */
export interface IssuedWithCode {
  readonly pem: string;
  readonly email: string | undefined;
}

/** What {@link Devices} works with. */
export interface DevicesOptions {
  readonly store: DeviceStore;
  readonly issue: Issue;
  /** The public key of a certificate request; `undefined` if it has none that can be used. */
  readonly keyOf: (csr: string) => Promise<Bytes | undefined>;
  /** For whom the issuing CA of now has issued a certificate; `undefined` for one that it has not issued. */
  readonly issuedFor: (pem: string) => string | undefined;
  /** How many accounts a certificate has registered, and how many one that was issued by hand may. */
  readonly registered: (fingerprint: string) => Promise<number>;
  readonly registrations: number;
  /** Told what becomes of certificates, for the audit log. */
  readonly tell?: (event: DeviceEvent) => void;
  readonly now: Clock;
  readonly random: Random;
}

/** A certificate that was issued, and for which account. */
export interface DeviceEvent {
  readonly event: "certificate_issued" | "certificate_renewed";
  readonly username: string;
  readonly fingerprint: string;
}

/** What is known of a certificate before any password. */
export interface CertificateStanding {
  /** Whose it is by now. */
  readonly device: BoundDevice | undefined;
  /** The code that it was issued with, until that is used up. */
  readonly code: Code | undefined;
  /**
   * The username of the only account that it may enter, in any session, since this server issued it; `undefined` for a
   * certificate that was issued by hand.
   */
  readonly owner: string | undefined;
}

/** For whom a code is, and what for. */
export type CodePurpose = Pick<NewCode, "username" | "kind" | "email">;

/** Makes a code that serves for so many milliseconds: its secret, and when it ends (unix ms). */
export async function makeCode(
  what: CodePurpose,
  life: number,
  { store, now, random }: Pick<DevicesOptions, "now" | "random"> & { readonly store: Pick<DeviceStore, "addCode"> },
): Promise<{ code: Bytes; expires: number }> {
  const code = random(CODE_SIZE);
  const expires = now() + life;
  await store.addCode({ ...what, hash: hashOf(code), expiresAt: expires });
  return { code, expires };
}

/** Thrown where a name or an address is kept for an invitation of somebody else. */
export class KeptForInvitation extends Error {}

/** The certificate that somebody shows, with its intermediates. */
export interface ShownCertificate {
  readonly fingerprint: string;
  readonly pem: string;
}

/** An account that a certificate may be bound to. */
export interface BindingAccount {
  readonly userId: number;
  readonly email: string;
  readonly username: string;
}

/** The devices of a server's accounts. */
export class Devices {
  readonly #options: DevicesOptions;
  readonly #renewals: Throttle;

  constructor(options: DevicesOptions) {
    this.#options = options;
    this.#renewals = new Throttle({ limit: MAX_RENEWALS, window: RENEWAL_TIME }, options.now);
  }

  #tell(event: DeviceEvent["event"], username: string, fingerprint: string): void {
    this.#options.tell?.({ event, username, fingerprint });
  }

  /** {@link makeCode} */
  async makeCode(what: CodePurpose, life: number): Promise<{ code: Bytes; expires: number }> {
    return await makeCode(what, life, this.#options);
  }

  /**
   * A certificate for somebody who has a code; the same one again for the same key, since the answer may have
   * been lost. Throws `auth-failed` or `bad-cert`.
   */
  async certify(code: Bytes, csr: string): Promise<IssuedWithCode> {
    const { store, issue, now } = this.#options;
    const found = await store.findCode(hashOf(code), now());
    if (!found || found.kind === "reset") throw badCode();
    const { email } = found;
    if (found.issuedTo !== undefined) return { pem: await this.#issuedBefore(found, csr), email };
    const issued = await issue(csr, found.username);
    if (!issued) throw badRequest();
    // Two at once with one code: one certificate counts, the other is bound to nothing.
    if (!await store.issueWithCode(found.hash, issued)) throw badCode();
    this.#tell("certificate_issued", found.username, issued.fingerprint);
    return { pem: issued.pem, email };
  }

  async #issuedBefore({ issuedPem }: Code, csr: string): Promise<string> {
    const key = await this.#options.keyOf(csr);
    if (issuedPem === undefined || !key) throw badCode();
    const [leaf] = parseCertificates(issuedPem);
    if (!leaf || !equalBytes(leaf.publicKey, key)) throw badCode();
    return issuedPem;
  }

  /** What is known of a certificate before any password. */
  async standing({ fingerprint, pem }: ShownCertificate): Promise<CertificateStanding> {
    const { store, issuedFor } = this.#options;
    const device = await store.findDevice(fingerprint);
    const code = await store.codeOf(fingerprint);
    const owner = device?.isIssued ? device.username : code?.username ?? issuedFor(pem);
    return { device, code, owner };
  }

  /**
   * With what a certificate may register so: it is bound to nobody, was issued for no other name or address, with a
   * code that has not ended, and neither the name nor the address is kept for somebody else's code. In a session
   * without rooms the certificates that the operator issued by hand are bound to nobody, and register several people.
   */
  async checkRegistration(
    { fingerprint, pem }: ShownCertificate,
    who: Pick<BindingAccount, "username" | "email">,
    { device, code, owner, hasRooms }: CertificateStanding & { readonly hasRooms: boolean },
  ): Promise<Registrant> {
    const { store, now, registrations } = this.#options;
    if (device && (hasRooms || owner !== undefined)) {
      throw new ProtocolError("auth-failed", "This certificate is an account's already; log in to that.");
    }
    if (owner !== undefined && usernameKey(owner) !== usernameKey(who.username)) throw notYours();
    if (code && code.expiresAt <= now()) throw badCode();
    if (code && !isForAddress(code, who)) {
      throw new ProtocolError(
        "auth-failed",
        "The code is for another e-mail address; register with the one it is for.",
      );
    }
    const kept = await store.invitationsFor(who, now());
    if (kept.some(({ username }) => usernameKey(username) !== usernameKey(code?.username ?? ""))) {
      throw new KeptForInvitation();
    }
    if (owner === undefined && await this.#options.registered(fingerprint) >= registrations) {
      throw new ProtocolError("rate-limited", "Your certificate has registered as many accounts as one may.");
    }
    const isBound = hasRooms || owner !== undefined;
    return {
      fingerprint,
      ...isBound ? { device: { pem, isIssued: owner !== undefined } } : {},
      ...code ? { code: code.hash } : {},
    };
  }

  /**
   * Whether a certificate may log in to an account. One that was issued for that very account and isn't bound yet is
   * bound now: the registration that should have done so was cut off, or was made without rooms. Throws `auth-failed`.
   */
  async checkLogin(
    shown: ShownCertificate,
    account: BindingAccount,
    { device, code, owner, hasRooms }: CertificateStanding & { readonly hasRooms: boolean },
  ): Promise<void> {
    const { now } = this.#options;
    if (device ? device.userId === account.userId : !hasRooms && isNameOf(owner, account)) return;
    if (!hasRooms && owner === undefined) return;
    const mayBind = !device && code && isNameOf(owner, account) && code.expiresAt > now() &&
      isForAddress(code, account);
    if (!mayBind) throw notYours();
    await this.#bind({ ...shown, userId: account.userId, isIssued: true }, code.hash);
  }

  /** Binds a further certificate to an account whose password was right, with a code that was made for it. */
  async enrol(shown: ShownCertificate, account: BindingAccount, code: Bytes): Promise<void> {
    const { store, now, issuedFor } = this.#options;
    const found = await store.findCode(hashOf(code), now());
    const isFor = found !== undefined && found.kind !== "reset" && isNameOf(found.username, account) &&
      isForAddress(found, account) && (found.issuedTo === undefined || found.issuedTo === shown.fingerprint);
    if (!isFor) throw badCode();
    if (await store.findDevice(shown.fingerprint)) throw notYours(); // which costs nobody the code
    const isIssued = found.issuedTo !== undefined || issuedFor(shown.pem) !== undefined;
    await this.#bind({ ...shown, userId: account.userId, isIssued }, found.hash);
  }

  /**
   * The hash of a code that sets another password, where it is for this account and the certificate is one of the
   * account's, or was issued for it. Throws `auth-failed`.
   */
  async checkReset(code: Bytes, email: string, { device, owner }: CertificateStanding): Promise<string> {
    const { store, now } = this.#options;
    const found = await store.findCode(hashOf(code), now());
    const isFor = found?.kind === "reset" && found.email === email &&
      (device ? device.email === email : owner !== undefined && usernameKey(owner) === usernameKey(found.username));
    if (!isFor) throw badCode();
    return found.hash;
  }

  async #bind(device: NewDevice, code: string): Promise<void> {
    const { store, now } = this.#options;
    if (await store.bindDevice(device, now(), code)) return;
    throw await store.findDevice(device.fingerprint) ? notYours() : badCode();
  }

  /** Whose session a token lets go on; the tokens before it are gone. Throws `auth-failed`. */
  async resume({ fingerprint }: ShownCertificate, token: Bytes): Promise<BoundDevice> {
    const { store, now } = this.#options;
    const found = await store.findToken(hashOf(token), now());
    const device = found && await store.findDevice(found.fingerprint);
    if (!found || !device || found.fingerprint !== fingerprint || device.userId !== found.userId) {
      throw new ProtocolError("auth-failed", "The session can't be resumed; log in again.");
    }
    await store.dropTokens(fingerprint, found);
    return device;
  }

  /** A token for a session that begins. */
  async makeToken({ fingerprint }: Pick<ShownCertificate, "fingerprint">, { userId }: BindingAccount): Promise<Bytes> {
    const { store, now, random } = this.#options;
    const token = random(TOKEN_SIZE);
    await store.addToken({ hash: hashOf(token), userId, fingerprint, expiresAt: now() + TOKEN_LIFE });
    return token;
  }

  /** Ends the life of a certificate's tokens: a logout. */
  async logout(fingerprint: string): Promise<void> {
    await this.#options.store.dropTokens(fingerprint);
  }

  /**
   * A certificate to follow the one that is shown, for a new key of the same account, bound at once. Throws
   * `forbidden`, `rate-limited` or `bad-cert`.
   */
  async renew(csr: string, account: BindingAccount, { fingerprint, pem }: ShownCertificate): Promise<ShownCertificate> {
    const { store, issue, now } = this.#options;
    const [own] = parseCertificates(pem);
    if (!own || own.notAfter - now() > Math.min(RENEWAL_TIME, (own.notAfter - own.notBefore) / 3)) {
      throw new ProtocolError("forbidden", "The certificate can be renewed only when its end is near.");
    }
    if (this.#renewals.holds(fingerprint)) {
      throw new ProtocolError(
        "rate-limited",
        "The certificate was renewed too often; use one of those that followed it.",
      );
    }
    this.#renewals.take(fingerprint);
    const issued = await issue(csr, account.username);
    if (!issued) {
      this.#renewals.giveBack(fingerprint);
      throw badRequest();
    }
    if (!await store.bindDevice({ ...issued, userId: account.userId, isIssued: true }, now())) throw notYours();
    this.#tell("certificate_renewed", account.username, issued.fingerprint);
    return issued;
  }
}

function hashOf(secret: Bytes): string {
  return encodeHex(sha256(secret));
}

function isNameOf(name: string | undefined, { username }: BindingAccount): boolean {
  return name !== undefined && usernameKey(name) === usernameKey(username);
}

function isForAddress(code: Code, { email }: Pick<BindingAccount, "email">): boolean {
  return code.email === undefined || code.email === email;
}

function badRequest(): ProtocolError {
  return new ProtocolError("bad-cert", "The certificate request can't be signed: it isn't one for an RSA key.");
}

function badCode(): ProtocolError {
  return new ProtocolError("auth-failed", "The code is wrong, was used, or has ended; ask for another.");
}

function notYours(): ProtocolError {
  return new ProtocolError("auth-failed", "This certificate is not one of this account's; enrol it with a code.");
}
