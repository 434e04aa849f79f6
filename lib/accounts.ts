/**
 * Who may register and log in (protocol.md section 4), and how often: the server's policy over a {@link Store}.
 *
 * A failed login tells nobody whether the address has an account: an unknown address, a wrong password and a locked
 * account get the same words after the same work and the same delay. The delay grows with the failures that the account
 * or the source has had, and is waited out after the password work, so that it holds no place in the queue:
 *
 *     failure of an account   1       2       3      …  6 and on    LOGIN_FAILURES_PER_ACCOUNT
 *     the answer waits        0.25 s  0.5 s   1 s    …  5 s         and the account is locked for LOCK_SECONDS
 *
 * Failures are counted for names that have no account, too, else a lock would tell. A source that failed too often is
 * told `rate-limited` and costs no more work. Every decision leaves an audit row with the reason that the answer keeps
 * to itself; with the database away the answer is `server-error`, and nothing counts as a failure. A source that goes on
 * all the same, or shows bad certificates without end, leaves one row that says so, and no more.
 *
 * What a payload's fields must be is `message.ts`; how records are made is `password.ts`; sessions are the server's.
 *
 * @layer chat
 */

import { type Bytes, type Clock, encodeUtf8 } from "./bytes.ts";
import { ProtocolError } from "./errors.ts";
import { hmacSha256 } from "./hash.ts";
import { type PasswordCheck, passwordDigest, type PasswordQueue, unmatchableRecord } from "./password.ts";
import { type AuditEvent, type AuditRow, type Store, type User, withoutStore } from "./store.ts";
import { sourceOf, Throttle } from "./throttle.ts";

/** The longest that a failed login waits for its answer: clients give up on a silent server after some time. */
const MAX_DELAY = 5000;
const HOUR = 3_600_000;
/** Refusals of a source that leave audit rows, in the time of a lock: even many people behind one address have fewer. */
const MAX_REFUSALS = 300;
/** The stored secret behind the salts of addresses that have no account. */
const SALT_SECRET = "salt";
const SALT_SIZE = 16;

/** The settings of the same names (`config.ts`), times in milliseconds. */
export interface AccountLimits {
  readonly loginFailuresPerAddress: number;
  readonly loginFailuresPerAccount: number;
  /** The delay of the first failure; each further one doubles it. */
  readonly loginDelay: number;
  /** For how long an account or a source stays locked. */
  readonly lock: number;
  readonly registrationsPerHour: number;
}

/** What {@link Accounts} works with. */
export interface AccountsOptions {
  readonly store: Store;
  readonly passwords: PasswordQueue;
  readonly limits: AccountLimits;
  /** Writes an audit row, or keeps it for later; where it can do neither it rejects, and nobody is let in. */
  readonly record: (row: AuditRow) => Promise<void>;
  readonly now: Clock;
  readonly sleep: (milliseconds: number) => Promise<void>;
}

/** Where a request comes from. */
export interface Origin {
  /** The peer's IP address. */
  readonly address: string;
  /** Fingerprint of the certificate that the peer showed. */
  readonly clientFingerprint: string;
}

/** A register, its fields checked by `message.ts`. */
export interface Registration extends Origin {
  readonly email: string;
  readonly username: string;
  readonly salt: Bytes;
  readonly pwd: Bytes;
}

/** A login with the digest, or as the seed's own client sends it, with the password. */
export type Login =
  & Origin
  & { readonly email: string }
  & ({ readonly pwd: Bytes } | { readonly password: string });

/** Who was let in. */
export interface Account {
  readonly userId: number;
  readonly email: string;
  readonly username: string;
}

/** The accounts of a server. */
export class Accounts {
  readonly #options: AccountsOptions;
  readonly #accountFailures: Throttle;
  readonly #sourceFailures: Throttle;
  readonly #registrations: Throttle;
  readonly #refusals: Throttle;
  /** Stands in for the record of an address that has no account. */
  readonly #noRecord: string;
  #saltKey: Bytes | undefined;

  constructor(options: AccountsOptions) {
    const { limits, now, passwords } = options;
    const failures = { window: limits.lock, lock: limits.lock };
    this.#options = options;
    this.#accountFailures = new Throttle({ limit: limits.loginFailuresPerAccount, ...failures }, now);
    this.#sourceFailures = new Throttle({ limit: limits.loginFailuresPerAddress, ...failures }, now);
    this.#registrations = new Throttle({ limit: limits.registrationsPerHour, window: HOUR }, now);
    this.#refusals = new Throttle({ limit: MAX_REFUSALS, window: limits.lock }, now);
    this.#noRecord = unmatchableRecord(passwords.work);
  }

  /** Adds an account. Throws `user-exists`, `rate-limited` or `server-error`. */
  async register(request: Registration): Promise<Account> {
    const { store, passwords, now } = this.#options;
    const { email, username, salt, pwd } = request;
    const source = sourceOf(request.address);
    if (this.#registrations.holds(source)) {
      if (await this.countRefusal(request)) {
        await this.#audit("registration_failure", request, "too many registrations from this address");
      }
      throw new ProtocolError("rate-limited", "Too many registrations came from your address; try again in an hour.");
    }
    this.#registrations.take(source); // before the work, so that many at once are counted, too
    const add = async () => {
      const passwordRecord = await passwords.hash(pwd);
      return await store.addUser({ email, username, salt, passwordRecord }, now());
    };
    const userId = await add().catch(async (error) => {
      this.#registrations.giveBack(source);
      throw await this.#givenUp("registration_failure", request, error);
    });
    if (userId === undefined) {
      await this.#audit("registration_failure", request, "the address or the username is taken");
      throw new ProtocolError("user-exists", "This e-mail address or username is taken; log in, or choose another.");
    }
    await this.#audit("registration", request);
    return { userId, email, username };
  }

  /** Lets somebody in. Throws `auth-failed`, `rate-limited` or `server-error`. */
  async login(request: Login): Promise<Account> {
    const { limits, sleep } = this.#options;
    const { email } = request;
    const source = sourceOf(request.address);
    if (this.#sourceFailures.holds(source)) throw await this.#heldSource(request);
    const { user, matches, unreadable } = await this.#compare(request).catch(async (error) => {
      throw await this.#givenUp("login_failure", request, error);
    });
    // Many tries may have been under way at once. From here to the count there is no await, so that no more of them than
    // the limit are answered by what was compared.
    if (this.#sourceFailures.holds(source)) throw await this.#heldSource(request);
    const locked = this.#accountFailures.holds(email);
    if (user && matches && !locked) {
      this.#accountFailures.forget(email);
      await this.#audit("login_success", request);
      return { userId: user.id, email, username: user.username };
    }
    const ofSource = this.#sourceFailures.take(source);
    const ofAccount = this.#accountFailures.take(email);

    await this.#audit("login_failure", request, whyNot());
    if (user && !locked && ofAccount === limits.loginFailuresPerAccount) await this.#audit("account_locked", request);
    if (ofSource === limits.loginFailuresPerAddress) await this.#audit("address_limited", request);
    await sleep(Math.min(limits.loginDelay * 2 ** Math.min(Math.max(ofAccount, ofSource) - 1, 20), MAX_DELAY));
    throw new ProtocolError("auth-failed", "The e-mail address or the password is wrong.");

    function whyNot(): string {
      if (!user) return "there is no such account";
      if (locked) return "the account is locked";
      return unreadable ? "the account's password record cannot be read" : "wrong password";
    }
  }

  /**
   * Refuses somebody for another reason than the password: a certificate, a code, a token. Counted for the source, and
   * answered after the same delay, as a failed login is. Always throws.
   */
  async refuse(request: Origin & { readonly email?: string }, refusal: ProtocolError): Promise<never> {
    const { limits, sleep } = this.#options;
    const source = sourceOf(request.address);
    const ofSource = this.#sourceFailures.take(source);
    await this.#audit("login_failure", request, refusal.message);
    if (ofSource === limits.loginFailuresPerAddress) await this.#audit("address_limited", request);
    await sleep(Math.min(limits.loginDelay * 2 ** Math.min(ofSource - 1, 20), MAX_DELAY));
    throw refusal;
  }

  /** Throws `rate-limited` where a source has failed too often. */
  async checkSource(request: Origin & { readonly email?: string }): Promise<void> {
    if (this.#sourceFailures.holds(sourceOf(request.address))) throw await this.#heldSource(request);
  }

  /**
   * Counts a refusal that is no failed login: a bad certificate, a try while a source is held. Whether it leaves an audit
   * row: a source that is refused without end must not fill the database.
   */
  async countRefusal(request: Origin): Promise<boolean> {
    const source = sourceOf(request.address);
    if (this.#refusals.holds(source)) return false;
    if (this.#refusals.take(source) === MAX_REFUSALS) {
      await this.#audit("address_limited", request, "too many refusals; further ones leave no row for some minutes");
    }
    return true;
  }

  /** The salt to log in with: the account's, or one that only this server can tell from it. Throws `server-error`. */
  async salt(email: string): Promise<Bytes> {
    try {
      return await this.#saltOf(email, await this.#options.store.findUser(email));
    } catch (error) {
      throw withoutStore(error);
    }
  }

  async #heldSource(request: Origin & { readonly email?: string }): Promise<ProtocolError> {
    if (await this.countRefusal(request)) {
      await this.#audit("login_failure", request, "too many failed logins from this address");
    }
    return new ProtocolError("rate-limited", "Too many logins failed from your address; try again later.");
  }

  async #compare(request: Login): Promise<PasswordCheck & { user: User | undefined }> {
    const { store, passwords } = this.#options;
    const user = await store.findUser(request.email);
    const salt = await this.#saltOf(request.email, user);
    const pwd = "pwd" in request ? request.pwd : passwordDigest(salt, request.password);
    const check = await passwords.check(pwd, user?.passwordRecord ?? this.#noRecord);
    if (user && check.replacement !== undefined) await store.replacePasswordRecord(user.id, check.replacement);
    return { user, ...check };
  }

  async #saltOf(email: string, user: User | undefined): Promise<Bytes> {
    const { store, passwords } = this.#options;
    this.#saltKey ??= await store.secret(SALT_SECRET, () => passwords.work.random(32));
    const made = hmacSha256(this.#saltKey, encodeUtf8(email)).slice(0, SALT_SIZE);
    return user?.salt ?? made;
  }

  /** What is thrown where the work could not be done, with its audit row. */
  async #givenUp(event: AuditEvent, request: Origin & { readonly email: string }, error: unknown): Promise<unknown> {
    const thrown = withoutStore(error);
    if (thrown !== error) await this.#audit(event, request, "the database cannot be reached");
    else if (thrown instanceof ProtocolError) await this.#audit(event, request, "too many password checks are waiting");
    return thrown;
  }

  #audit(
    event: AuditEvent,
    { email, clientFingerprint, address }: Origin & { readonly email?: string },
    reason?: string,
  ): Promise<void> | void {
    return this.#options.record({
      event,
      ...email === undefined ? {} : { email },
      clientFingerprint,
      ipAddress: address,
      occurredAt: this.#options.now(),
      ...reason === undefined ? {} : { reason },
    });
  }
}
