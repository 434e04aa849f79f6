/**
 * Letting somebody in: who an account's person is, and whether the certificate may enter that account
 * (docs/PROTOCOL.md, "Credentials" and "Before the session"). Which frames there are and what they need is
 * `message.ts`; passwords and limits are `server_accounts.ts`, certificates and codes `server_devices.ts`.
 *
 * @layer chat
 */

import type { Bytes } from "./bytes.ts";
import { dispatch, type Handlers } from "./dispatch.ts";
import { ProtocolError } from "./errors.ts";
import type { CredentialsRequest } from "./message.ts";
import type { Account, Accounts } from "./server_accounts.ts";
import type { ServerClock } from "./server_clock.ts";
import {
  type CertificateStanding,
  type Devices,
  type IssuedWithCode,
  KeptForInvitation,
  type ShownCertificate,
} from "./server_devices.ts";
import type { Attempt, RequestOrigin } from "./server_login_limits.ts";
import { withoutStore } from "./server_store.ts";

/** Who tries to be let in, and what decides. */
export interface LoginContext {
  readonly accounts: Accounts;
  readonly devices: Devices;
  readonly origin: RequestOrigin;
  readonly shown: ShownCertificate;
  /** Whether the session will have rooms. */
  readonly hasRooms: boolean;
  /** Aborted when the client is gone. */
  readonly signal: AbortSignal;
}

/** Credentials with an e-mail address. */
type WithAddress = Exclude<CredentialsRequest, { readonly type: "salt" | "resume" }>;

/** The account of these credentials. Throws a ProtocolError if they don't let anybody in. */
export async function logIn(
  credentials: Exclude<CredentialsRequest, { readonly type: "salt" }>,
  context: LoginContext,
): Promise<Account> {
  if (credentials.type === "resume") return await resume(credentials.token, context);
  return await dispatch(WAYS, credentials, await beginTrial(credentials, context));
}

/** A token that is unknown or has ended is no failed login: nobody guesses one. */
async function resume(token: Bytes, { accounts, devices, origin, shown }: LoginContext): Promise<Account> {
  accounts.checkResume(origin);
  const device = await devices.resume(shown, token).catch((error: unknown) => {
    if (error instanceof ProtocolError) accounts.countResume(origin);
    throw withoutStore(error);
  });
  return { ...device, salt: await accounts.salt(device.email) };
}

/** One try with an e-mail address. */
interface Trial extends LoginContext {
  readonly attempt: Attempt & { readonly email: string };
  /** What a register, a login or a change of password takes beside its fields. */
  readonly request: Attempt & {
    readonly email: string;
    readonly owner: string | undefined;
    readonly signal: AbortSignal;
  };
  readonly standing: CertificateStanding & { readonly hasRooms: boolean };
  /** Refuses: counted and answered as a failed login is. */
  readonly refused: (error: unknown) => Promise<never>;
}

async function beginTrial({ type, email }: WithAddress, context: LoginContext): Promise<Trial> {
  const { accounts, devices, origin, shown, hasRooms, signal } = context;
  const givenUp = async (error: unknown): Promise<never> => {
    const event = type === "register" ? "registration_failure" : "login_failure";
    throw await accounts.givenUp(event, { ...origin, email }, error);
  };
  const known = await devices.standing(shown).catch(givenUp);
  const attempt = { ...origin, email, isOwn: known.device?.email === email };
  return {
    ...context,
    attempt,
    request: { ...attempt, owner: known.owner, signal },
    standing: { ...known, hasRooms },
    refused: (error) => error instanceof ProtocolError ? accounts.refuse(attempt, error) : givenUp(error),
  };
}

const WAYS: Handlers<WithAddress, [trial: Trial], Promise<Account>> = {
  register: async (credentials, { accounts, devices, origin, shown, attempt, request, standing, refused }) => {
    await accounts.checkAttempt(attempt);
    if (standing.owner !== undefined && !origin.isProven) await refused(UNPROVEN);
    const registrant = await devices.checkRegistration(shown, credentials, standing).catch(async (error) => {
      if (!(error instanceof KeptForInvitation)) return await refused(error);
      throw await accounts.taken(attempt, "the name or the address is kept for an invitation");
    });
    return await accounts.register({ ...credentials, ...request, registrant });
  },
  login: async (credentials, { accounts, devices, shown, request, standing, refused }) => {
    const account = await accounts.login({ ...credentials, ...request });
    await devices.checkLogin(shown, account, standing).catch(refused);
    return account;
  },
  enrol: async (credentials, { accounts, devices, shown, request, refused }) => {
    const account = await accounts.login({ ...credentials, ...request });
    await devices.enrol(shown, account, credentials.code).catch(refused);
    return account;
  },
  reset: async (credentials, { accounts, devices, shown, attempt, request, standing, refused }) => {
    await accounts.checkAttempt(attempt);
    const codeHash = await devices.checkReset(credentials.code, credentials.email, standing).catch(refused);
    const account = await accounts.resetPassword({ ...credentials, ...request, codeHash });
    await devices.checkLogin(shown, account, standing).catch(refused);
    return account;
  },
};

/** A certificate for a client that has a code and no certificate yet. Counted and refused as a login is. */
export async function certify(
  { code, csr }: { readonly code: Bytes; readonly csr: string },
  { accounts, devices, clock, address }: {
    readonly accounts: Accounts;
    readonly devices: Devices;
    readonly clock: ServerClock;
    readonly address: string;
  },
): Promise<IssuedWithCode> {
  const origin = { address, clientFingerprint: "", isProven: false };
  await accounts.checkAttempt(origin);
  clock.mustBeCertain();
  return await devices.certify(code, csr).catch((error: unknown) => {
    if (error instanceof ProtocolError) return accounts.refuse(origin, error);
    throw withoutStore(error);
  });
}

/** Whoever has seen a certificate can show it in version 1: it must not register what was invited with it. */
const UNPROVEN = new ProtocolError("auth-failed", "This certificate registers only with protocol version 2.");
