/**
 * Which certificate is whose, the codes that bring somebody in, and the tokens that let a session go on (rooms.md
 * section 1). For sessions with rooms alone: every other session binds and checks nothing here.
 *
 *     invitation   the operator makes a code for a name → a certificate is issued with it → it registers that name,
 *                  where the operator said so with one e-mail address alone
 *     device       somebody in a session makes a code → a further certificate is issued → it enrols with the password
 *     renewal      a certificate that ends soon is followed by another of its account; one that was stolen, and will be
 *                  revoked, leaves few behind
 *     token        every session gets a new one; it resumes for 24 hours, until the one after it is first used
 *
 * Codes and tokens are stored as hashes. Whatever is wrong with one is `auth-failed` in the same words. Passwords are
 * `accounts.ts`; who signs certificates, and how, is the caller's.
 *
 * @layer chat
 */

import { type Bytes, type Clock, encodeHex, type Random } from "./bytes.ts";
import { ProtocolError } from "./errors.ts";
import { sha256 } from "./hash.ts";
import { CODE_SIZE, TOKEN_SIZE } from "./message.ts";
import { usernameKey } from "./names.ts";
import type { Code, Device, NewCode, RoomStore } from "./room_store.ts";
import { Throttle } from "./throttle.ts";
import { parseCertificates } from "./x509.ts";

const HOUR = 3_600_000;
/** How long an invitation serves, unless the operator says otherwise. */
export const INVITATION_LIFE = 24 * HOUR;
/** How long a code for a further device serves. */
export const DEVICE_CODE_LIFE = HOUR / 4;
/** How long nobody types a password again. */
export const TOKEN_LIFE = 24 * HOUR;
/**
 * A certificate can be renewed when so long of its life is left, or the last third where that is shorter: a day more than
 * the 30 after which clients ask, by clocks of their own.
 */
export const RENEWAL_TIME = 31 * 24 * HOUR;
/** A certificate's successors: one, and some whose answers were lost. */
const MAX_RENEWALS = 5;

/** Signs a certificate request for a username; undefined where the request isn't one that may be signed. */
export type Issue = (csr: string, username: string) => Promise<{ pem: string; fingerprint: string } | undefined>;

/** What {@link Devices} works with. */
export interface DevicesOptions {
  readonly store: RoomStore;
  readonly issue: Issue;
  readonly now: Clock;
  readonly random: Random;
}

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

  /** Makes a code that serves for so many milliseconds: its secret, and when it ends (unix ms). */
  async makeCode(
    what: Pick<NewCode, "username" | "kind" | "email">,
    life: number,
  ): Promise<{ code: Bytes; expires: number }> {
    const { store, now, random } = this.#options;
    const code = random(CODE_SIZE);
    const expires = now() + life;
    await store.addCode({ ...what, hash: hashOf(code), expiresAt: expires });
    return { code, expires };
  }

  /** A certificate for who has a code and has none yet. Throws `auth-failed` or `bad-cert`. */
  async certify(code: Bytes, csr: string): Promise<string> {
    const { store, issue, now } = this.#options;
    const found = await store.findCode(hashOf(code), now());
    if (!found || found.issuedTo !== undefined) throw badCode();
    const issued = await issue(csr, found.username);
    if (!issued) {
      throw new ProtocolError("bad-cert", "The certificate request can't be signed: it isn't one for an RSA key.");
    }
    // Two at once with one code: one certificate counts, the other is bound to nothing.
    if (!await store.issueWithCode(found.hash, issued.fingerprint)) throw badCode();
    return issued.pem;
  }

  /**
   * Whether a certificate may register so: it is bound to nobody, and was issued for no other name or address, with a
   * code that has not ended.
   */
  async checkRegistration(
    { fingerprint }: ShownCertificate,
    who: Pick<BindingAccount, "username" | "email">,
  ): Promise<void> {
    const { store, now } = this.#options;
    const code = await store.codeOf(fingerprint);
    const isOther = code !== undefined && usernameKey(code.username) !== usernameKey(who.username);
    if (isOther || await store.findDevice(fingerprint)) throw notYours();
    if (code === undefined) return;
    if (code.expiresAt <= now()) throw badCode();
    if (isForAddress(code, who)) return;
    throw new ProtocolError("auth-failed", "The code is for another e-mail address; register with the one it is for.");
  }

  /** Binds a certificate to the account that was just made with it, and uses up the code that it was issued with. */
  async bind(shown: ShownCertificate, { userId }: BindingAccount): Promise<void> {
    const { store, now } = this.#options;
    if (!await store.bindDevice({ ...shown, userId }, now())) throw notYours();
    const code = await store.codeOf(shown.fingerprint);
    if (code) await store.useCode(code.hash);
  }

  /** Whether a certificate is the account's. Throws `auth-failed`. */
  async checkLogin({ fingerprint }: ShownCertificate, { userId }: BindingAccount): Promise<void> {
    const device = await this.#options.store.findDevice(fingerprint);
    if (device?.userId !== userId) throw notYours();
  }

  /** Binds a further certificate to an account whose password was right, with a code that was made for it. */
  async enrol(shown: ShownCertificate, account: BindingAccount, code: Bytes): Promise<void> {
    const { store, now } = this.#options;
    const found = await store.findCode(hashOf(code), now());
    const isFor = found !== undefined && usernameKey(found.username) === usernameKey(account.username) &&
      isForAddress(found, account) && (found.issuedTo === undefined || found.issuedTo === shown.fingerprint);
    if (!isFor) throw badCode();
    if (await store.findDevice(shown.fingerprint)) throw notYours(); // which costs nobody the code
    if (!await store.useCode(found.hash)) throw badCode();
    if (!await store.bindDevice({ ...shown, userId: account.userId }, now())) throw notYours();
  }

  /** Whose session a token lets go on; the tokens before it are gone. Throws `auth-failed`. */
  async resume({ fingerprint }: ShownCertificate, token: Bytes): Promise<Device> {
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
   * A certificate to follow the one that is shown, for a new key of the same account, bound at once. Throws `forbidden`,
   * `rate-limited` or `bad-cert`.
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
      throw new ProtocolError("bad-cert", "The certificate request can't be signed: it isn't one for an RSA key.");
    }
    if (!await store.bindDevice({ ...issued, userId: account.userId }, now())) throw notYours();
    return issued;
  }
}

function hashOf(secret: Bytes): string {
  return encodeHex(sha256(secret));
}

function isForAddress(code: Code, { email }: Pick<BindingAccount, "email">): boolean {
  return code.email === undefined || code.email === email;
}

function badCode(): ProtocolError {
  return new ProtocolError("auth-failed", "The code is wrong, was used, or has ended; ask for another.");
}

function notYours(): ProtocolError {
  return new ProtocolError("auth-failed", "This certificate is not one of this account's; enrol it with a code.");
}
