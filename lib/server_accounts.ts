/**
 * Who may register and log in, and how often (docs/PROTOCOL.md, "Credentials"): the server's policy over a {@link
 * Store}.
 *
 * A failed login tells nobody whether the address has an account: an unknown address and a wrong password get the same
 * words after the same work and the same delay. The delay grows with the failures that the certificate has had for the
 * account. It begins after the password work, so it holds no place in the queue:
 *
 *     failure                 1       2       3      …  6 and on    LOGIN_FAILURES_PER_ACCOUNT
 *     the answer waits        0.25 s  0.5 s   1 s    …  5 s         and the certificate is locked for LOCK_SECONDS
 *
 * Against whom a failure counts is `server_login_limits.ts`. A locked client is told `rate-limited` and costs no more
 * work. A certificate that this server issued for one account can log in to no other, so nothing is compared for it
 * there.
 *
 * Every decision leaves an audit row with the reason that the answer keeps to itself. While the database is away, the
 * answer is `server-error`, and nothing counts as a failure. The rows of a client that goes on trying are summed up
 * (`server_audit_summary.ts`).
 *
 * What a payload's fields must be is `message.ts`; how records are made is `password.ts`.
 *
 * @layer chat
 */

import { type Bytes, type Clock, encodeUtf8, equalBytes } from "./bytes.ts";
import { ProtocolError } from "./errors.ts";
import { hmacSha256 } from "./hash.ts";
import {
  type Attempt,
  LoginLimits,
  type LoginLimitSettings,
  partyOf,
  type RequestOrigin,
} from "./server_login_limits.ts";
import { usernameKey } from "./names.ts";
import type { Party } from "./server_audit_summary.ts";
import {
  type PasswordCheck,
  type PasswordClaim,
  passwordDigest,
  type PasswordQueue,
  unmatchableRecord,
} from "./password.ts";
import {
  type AuditEvent,
  type AuditRow,
  type Registrant,
  type Store,
  type User,
  withoutStore,
} from "./server_store.ts";
import { Throttle } from "./server_throttle.ts";

/** The longest that a failed login waits for its answer: clients give up on a silent server after some time. */
const MAX_DELAY = 5000;
const HOUR = 3_600_000;
/**
 * Tokens that don't resume a session, of one certificate in the time of a lock: nobody guesses one, and each is a
 * query.
 */
const MAX_RESUMES = 60;
/** What only somebody with the right password or code can do. */
const LET_IN: ReadonlySet<AuditEvent> = new Set(["login_success", "password_changed", "password_reset"]);
/** Places in the password queue for a certificate that is one account's. */
const OWN_PLACES = 4;
/** The stored secret behind the salts of addresses that have no account. */
const SALT_SECRET = "salt";
const SALT_SIZE = 16;

/** The settings of the same names (`config.ts`), times in milliseconds. */
export interface AccountLimits extends LoginLimitSettings {
  /** The delay of the first failure; each further one doubles it. */
  readonly loginDelay: number;
  /** With one certificate, or from one address where it wasn't proved. */
  readonly registrationsPerHour: number;
}

/** What {@link Accounts} works with. */
export interface AccountsOptions {
  readonly store: Store;
  readonly passwords: PasswordQueue;
  readonly limits: AccountLimits;
  /** Writes an audit row, or keeps it for later; where it can do neither it rejects, and nobody is let in. */
  readonly record: (row: AuditRow, party: Party) => Promise<void>;
  readonly now: Clock;
  readonly sleep: (milliseconds: number) => Promise<void>;
}

/** A request that may take password work. */
export interface AccountRequest extends RequestOrigin {
  /** The username of the only account that the certificate may enter, if this server issued it. */
  readonly owner?: string | undefined;
  /** Aborted when the client is gone. */
  readonly signal?: AbortSignal;
}

/** A register, its fields checked by `message.ts`. */
export interface AccountRegistration extends AccountRequest {
  readonly email: string;
  readonly username: string;
  readonly salt: Bytes;
  readonly pwd: Bytes;
  /** What is written with the account. */
  readonly registrant?: Registrant;
}

/** A login with the digest, or as the seed's own client sends it, with the password. */
export type Login =
  & AccountRequest
  & Attempt
  & { readonly email: string }
  & ({ readonly pwd: Bytes } | { readonly password: string });

/** Another password for an account, whose old one must be right. */
export type Change =
  & AccountRequest
  & Attempt
  & { readonly email: string; readonly old: Bytes; readonly salt: Bytes; readonly pwd: Bytes };

/** Another password for an account, with a code that was made for it. */
export type Reset = AccountRequest & Attempt & {
  readonly email: string;
  readonly salt: Bytes;
  readonly pwd: Bytes;
  /** The code's hash. */
  readonly codeHash: string;
};

/** Who was let in. */
export interface Account {
  readonly userId: number;
  readonly email: string;
  readonly username: string;
  /** The salt of the given password; missing if no password was given. */
  readonly salt?: Bytes;
}

/** The accounts of a server. */
export class Accounts {
  readonly #options: AccountsOptions;
  readonly #failures: LoginLimits;
  readonly #registrations: Throttle;
  readonly #resumes: Throttle;
  /** Stands in for the record of an address that has no account. */
  readonly #noRecord: string;
  #saltKey: Bytes | undefined;

  constructor(options: AccountsOptions) {
    const { limits, now, passwords } = options;
    this.#options = options;
    this.#failures = new LoginLimits(limits, now);
    this.#registrations = new Throttle({ limit: limits.registrationsPerHour, window: HOUR }, now);
    this.#resumes = new Throttle({ limit: MAX_RESUMES, window: limits.lock }, now);
    this.#noRecord = unmatchableRecord(passwords.work);
  }

  /** Adds an account, with what belongs to it. Throws `user-exists`, `rate-limited` or `server-error`. */
  async register(request: AccountRegistration): Promise<Account> {
    const { store, passwords, now } = this.#options;
    const { email, username, salt, pwd, registrant } = request;
    const party = partyOf(request);
    if (this.#registrations.holds(party)) {
      await this.#audit("registration_failure", request, "too many registrations");
      throw new ProtocolError("rate-limited", `Too many registrations came ${whence(request)}; try again in an hour.`);
    }
    this.#registrations.take(party); // before the work, so that many at once are counted, too
    const add = async () => {
      const passwordRecord = await passwords.hash(pwd, this.#claim(request));
      return await store.addUser({ email, username, salt, passwordRecord }, now(), registrant);
    };
    const userId = await add().catch(async (error) => {
      this.#registrations.giveBack(party);
      throw await this.givenUp("registration_failure", request, error);
    });
    if (userId === undefined) throw await this.taken(request, "the address or the username is taken");
    await this.#audit("registration", request);
    return { userId, email, username };
  }

  /** The refusal of a registration whose name or address is somebody else's, with its audit row. */
  async taken(request: RequestOrigin & { readonly email: string }, reason: string): Promise<ProtocolError> {
    await this.#audit("registration_failure", request, reason);
    return new ProtocolError("user-exists", "This e-mail address or username is taken; log in, or choose another.");
  }

  /** Lets somebody in. Throws `auth-failed`, `rate-limited` or `server-error`. */
  async login(request: Login): Promise<Account> {
    const { user } = await this.#authenticate(request);
    await this.#audit("login_success", request);
    return accountOf(user);
  }

  /**
   * Sets another password where the old one is right, and ends every token of the account. A wrong one counts as a
   * failed login does. Throws as {@link login} does.
   */
  async changePassword({ old, salt, pwd, ...request }: Change): Promise<void> {
    const { user, record } = await this.#authenticate({ ...request, pwd: old });
    await this.#setPassword(user, { request, salt, pwd, replaced: record });
    await this.#audit("password_changed", request);
  }

  /**
   * Whether the password that somebody came in with is still the account's: one who waits between the login and the
   * session would otherwise get a token after it was changed. Every change draws another salt.
   */
  async isCurrent({ email, salt }: Account): Promise<boolean> {
    if (!salt) return true;
    const user = await this.#options.store.findUser(email);
    return user !== undefined && equalBytes(user.salt, salt);
  }

  /** Sets another password with a code. Throws `auth-failed` if the code is used by now. */
  async resetPassword({ salt, pwd, codeHash: code, ...request }: Reset): Promise<Account> {
    const user = await this.#options.store.findUser(request.email).catch((error) => {
      throw withoutStore(error);
    });
    if (!user) return await this.#fail(request, "there is no such account", wrongWords());
    await this.#setPassword(user, { request, salt, pwd, code });
    await this.#audit("password_reset", request);
    return accountOf({ ...user, salt });
  }

  async #setPassword(
    user: User,
    { request, salt, pwd, ...what }: Pick<Change, "salt" | "pwd"> & {
      readonly request: AccountRequest & Attempt & { readonly email: string };
      readonly replaced?: string;
      readonly code?: string;
    },
  ): Promise<void> {
    const { passwords, store } = this.#options;
    const set = async () => {
      const passwordRecord = await passwords.hash(pwd, this.#claim(request));
      return await store.setPassword(user.id, { salt, passwordRecord, ...what });
    };
    const isSet = await set().catch(async (error) => {
      throw await this.givenUp("login_failure", request, error);
    });
    if (!isSet) await this.#fail(request, "the password or the code was used meanwhile", wrongWords());
  }

  /** The account whose password was right, with the record that is stored by now. */
  async #authenticate(request: Login): Promise<{ readonly user: User; readonly record: string }> {
    await this.#mustBeFree(request);
    const { user, matches, unreadable, replacement } = await this.#compare(request).catch(async (error) => {
      throw await this.givenUp("login_failure", request, error);
    });
    // Many tries may have been under way at once. From here to the count there is no await, so that no more of them
    // than the limit are answered by what was compared.
    const held = this.#failures.holds(request);
    if (held !== undefined) throw await this.#held(request, held);
    if (user && matches) {
      this.#failures.succeed(request);
      return { user, record: replacement ?? user.passwordRecord };
    }
    return await this.#fail(request, whyNot(), wrongWords());

    function whyNot(): string {
      if (request.owner !== undefined && !isOwners(user, request.owner)) {
        return "the certificate is another account's";
      }
      if (!user) return "there is no such account";
      return unreadable ? "the account's password record cannot be read" : "wrong password";
    }
  }

  /**
   * Refuses somebody for another reason than the password: a certificate or a code. Counted and answered after the same
   * delay as a failed login is. Always throws.
   */
  async refuse(request: Attempt, refusal: ProtocolError): Promise<never> {
    return await this.#fail(request, refusal.message, refusal);
  }

  /** Throws `rate-limited` if somebody has failed too often. */
  async checkAttempt(request: Attempt): Promise<void> {
    await this.#mustBeFree(request);
  }

  /**
   * Throws `rate-limited` if a certificate has shown too many tokens that resume nothing: none is a failed login.
   */
  checkResume(request: RequestOrigin): void {
    if (!this.#resumes.holds(partyOf(request))) return;
    throw new ProtocolError("rate-limited", "Too many sessions could not be resumed; try again later, or log in.");
  }

  /** Counts a token that resumes nothing. */
  countResume(request: RequestOrigin): void {
    this.#resumes.take(partyOf(request));
  }

  /** The salt to log in with: the account's, or one that only this server can tell from it. Throws `server-error`. */
  async salt(email: string): Promise<Bytes> {
    try {
      return await this.#saltOf(email, await this.#options.store.findUser(email));
    } catch (error) {
      throw withoutStore(error);
    }
  }

  async #mustBeFree(request: Attempt): Promise<void> {
    const held = this.#failures.holds(request);
    if (held !== undefined) throw await this.#held(request, held);
  }

  async #held(request: Attempt, held: string): Promise<ProtocolError> {
    await this.#audit("login_failure", request, `too many failed logins ${held}`);
    return new ProtocolError("rate-limited", `Too many logins failed ${held}; try again later.`);
  }

  async #fail(request: Attempt, reason: string, refusal: ProtocolError): Promise<never> {
    const { limits, sleep } = this.#options;
    const { count, locked } = this.#failures.fail(request);
    await this.#audit("login_failure", request, reason);
    for (const event of locked) await this.#audit(event, request);
    await sleep(Math.min(limits.loginDelay * 2 ** Math.min(count - 1, 20), MAX_DELAY));
    throw refusal;
  }

  async #compare(request: Login): Promise<PasswordCheck & { user: User | undefined }> {
    const { store, passwords } = this.#options;
    const user = await store.findUser(request.email);
    // No session takes this certificate for that account, so that there is nothing to guess with it.
    if (request.owner !== undefined && !isOwners(user, request.owner)) return { user, matches: false };
    const salt = await this.#saltOf(request.email, user);
    const pwd = "pwd" in request ? request.pwd : passwordDigest(salt, request.password);
    const record = user?.passwordRecord ?? this.#noRecord;
    const check = await passwords.check(pwd, record, this.#claim(request));
    if (user && check.replacement !== undefined) await store.replacePasswordRecord(user.id, check.replacement, record);
    return { user, ...check };
  }

  /** A certificate that is one account's has few places in the password queue; all that prove none share half of it. */
  #claim({ isProven, clientFingerprint, owner, signal }: AccountRequest): PasswordClaim {
    const share = (part: number) => Math.max(OWN_PLACES, Math.floor(this.#options.passwords.waiting / part));
    const shares = isProven
      ? [{ party: clientFingerprint, most: owner === undefined ? share(4) : OWN_PLACES }]
      : [{ party: "unproven", most: share(2) }, { party: `unproven ${clientFingerprint}`, most: share(4) }];
    return { shares, signal };
  }

  async #saltOf(email: string, user: User | undefined): Promise<Bytes> {
    const { store, passwords } = this.#options;
    this.#saltKey ??= await store.secret(SALT_SECRET, () => passwords.work.random(32));
    const made = hmacSha256(this.#saltKey, encodeUtf8(email)).slice(0, SALT_SIZE);
    return user?.salt ?? made;
  }

  /** What is thrown if the work could not be done, with its audit row. */
  async givenUp(
    event: AuditEvent,
    request: RequestOrigin & { readonly email: string },
    error: unknown,
  ): Promise<unknown> {
    const thrown = withoutStore(error);
    if (thrown !== error) await this.#audit(event, request, "the database cannot be reached");
    else if (thrown instanceof ProtocolError) await this.#audit(event, request, "too many password checks are waiting");
    return thrown;
  }

  async #audit(
    event: AuditEvent,
    { email, ...origin }: RequestOrigin & { readonly email?: string },
    reason?: string,
  ): Promise<void> {
    const { clientFingerprint, address } = origin;
    // Only who was let in is known by the account: whoever fails would count against somebody else.
    const isIn = email !== undefined && LET_IN.has(event);
    await this.#options.record({
      event,
      ...email === undefined ? {} : { email },
      clientFingerprint,
      ipAddress: address,
      occurredAt: this.#options.now(),
      ...reason === undefined ? {} : { reason },
    }, isIn ? { name: email, isProven: true } : { name: partyOf(origin), isProven: origin.isProven });
  }
}

function accountOf({ id: userId, email, username, salt }: User): Account {
  return { userId, email, username, salt };
}

function isOwners(user: User | undefined, owner: string): boolean {
  return user !== undefined && usernameKey(user.username) === usernameKey(owner);
}

function whence({ isProven }: RequestOrigin): string {
  return isProven ? "with your certificate" : "from your address";
}

function wrongWords(): ProtocolError {
  return new ProtocolError("auth-failed", "The e-mail address or the password is wrong.");
}
