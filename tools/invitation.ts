/**
 * Makes an operator's invitation, for `invite`, and for everybody whom `start` names.
 */

import { findPath, type Trust } from "../lib/certificate_path.ts";
import { authorityMark, type CodeToken } from "../lib/code_token.ts";
import type { Config } from "../lib/config.ts";
import { PROGRAM } from "../lib/program.ts";
import { INVITATION_LIFE, makeCode } from "../lib/server_devices.ts";
import { EXIT, Failure } from "../lib/errors.ts";
import { exists, shellPath } from "../lib/files.ts";
import { loadChain, loadTrust, pathIn } from "../lib/identity.ts";
import { isUsername, normaliseEmail, usernameKey } from "../lib/names.ts";
import { findListening } from "../lib/server_listening.ts";
import { printable } from "../lib/text.ts";
import { formatTime } from "../lib/time_text.ts";
import type { Certificate } from "../lib/x509.ts";
import type { ServerStore } from "../lib/server_store.ts";
import { tlsPort } from "../lib/server_ports.ts";
import { openServersStore } from "../lib/store_open.ts";
import { usage } from "./asking.ts";
import { hostOf } from "./making.ts";

/** A code, and for whom it is. */
export interface Invitation {
  readonly username: string;
  /** The only address that it may register. */
  readonly email: string | undefined;
  readonly token: CodeToken;
  /** Unix milliseconds. */
  readonly expires: number;
}

/** The flags of an invitation. */
export interface InvitationOptions {
  readonly email?: string | undefined;
  /** How long it is valid: `24h`. */
  readonly ttl?: string | undefined;
  /** Where people reach the server. */
  readonly host?: string | undefined;
  readonly port?: string | undefined;
  /** Whether it resets the password of an existing account. */
  readonly reset?: boolean;
}

function emailOf(text: string): string {
  const email = normaliseEmail(text);
  if (email !== undefined) return email;
  throw usage("invite", `--email "${printable(text)}" isn't a valid e-mail address`);
}

/** `CLIENT: ` and the name have 64 characters in a certificate (RFC 5280 appendix A.1). */
const MAX_NAME = 56;

/** Failure (2) for a name that no certificate can have. */
export function mustBeInvitable(command: string, username: string): void {
  if (isUsername(username) && username.length <= MAX_NAME) return;
  const rule = `a username has 1 to ${MAX_NAME} ASCII letters, digits, dots, underscores or hyphens`;
  throw usage(command, `"${printable(username)}" can't be a username: ${rule}`);
}

/** Makes a code for a name, with the server's own store, whether the server runs or not. */
export async function makeInvitation(
  username: string,
  options: InvitationOptions,
  config: Config,
): Promise<Invitation> {
  mustBeInvitable("invite", username);
  const email = options.email === undefined ? undefined : emailOf(options.email);
  const life = lifeOf(options.ttl);
  const where = await whereToJoin(options, config);
  if (options.reset && email === undefined) throw usage("invite", "--reset needs --email, the address of the account");
  if (!options.reset) await mustIssue(config);
  const store = await openServersStore(config);
  const kind = options.reset ? "reset" : "invitation";
  try {
    if (options.reset) await mustBeTheirs(store, email ?? "", username);
    else if (email !== undefined) await mustBeFree(store, email, username);
    const { code, expires } = await makeCode({ username, kind, email }, life, {
      store: store.devices,
      now: Date.now,
      random: (size) => crypto.getRandomValues(new Uint8Array(size)),
    });
    const what = options.reset ? "a password reset" : "an invitation";
    const reason = `${what} for ${username}, until ${formatTime(expires)}`;
    const row = { event: "code_made", reason, occurredAt: Date.now() } as const;
    await store.addAudit([email === undefined ? row : { ...row, email }]);
    return { username, email, token: { ...where, kind, secret: code }, expires };
  } finally {
    await store.close();
  }
}

const UNITS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
/** A month: a code that lies around longer is a danger. */
const MAX_LIFE = 30 * 86_400_000;

function lifeOf(text: string | undefined): number {
  if (text === undefined) return INVITATION_LIFE;
  const [, count = "", unit = ""] = /^(\d{1,7})([smhd])$/.exec(text) ?? [];
  const life = Number(count) * (UNITS[unit] ?? 0);
  if (life < 1 || life > MAX_LIFE) {
    throw usage("invite", `--ttl ${printable(text)} is not a time such as 30m, 24h or 7d, of at most 30 days`);
  }
  return life;
}

/** The server's address and its CA, which the code contains besides its secret. */
async function whereToJoin(
  options: InvitationOptions,
  config: Config,
): Promise<Pick<CodeToken, "host" | "port" | "authority">> {
  const { chain, trust } = await serverIn(config.CERT_DIR);
  const names = chain[0]?.hostNames?.dnsNames ?? [];
  const host = options.host === undefined
    ? names.find((name) => name !== "localhost") ?? "localhost"
    : hostOf(options.host);
  const authority = await authorityOf(chain, trust);
  if (!authority) {
    throw new Failure(
      EXIT.usage,
      `${pathIn(config.CERT_DIR, "ca_cert.pem")} doesn't contain the CA of server_cert.pem in the same folder`,
    );
  }
  return { host, port: await portOf(options, config), authority: authorityMark(authority.fingerprint) };
}

async function serverIn(dir: string): Promise<{ chain: readonly Certificate[]; trust: Trust }> {
  const path = pathIn(dir, "server_cert.pem");
  const chain = await loadChain(
    path,
    `File not found: ${path}; invitations are made on the server's machine: name its folder with --certs`,
  );
  return { chain, trust: await loadTrust(dir) };
}

/** The CA to which the signatures of a chain lead. */
export async function authorityOf(chain: readonly Certificate[], trust: Trust): Promise<Certificate | undefined> {
  const path = await findPath(chain, trust, { purpose: "server" });
  const end = path.certificates(Date.now(), "current").at(-1);
  return trust.authorities.find(({ fingerprint }) => fingerprint === end?.fingerprint);
}

/**
 * The TLS port: the given one, that of the server that runs on this data folder, or that of the settings.
 */
export async function portOf({ port }: { readonly port?: string | undefined }, config: Config): Promise<number> {
  if (port !== undefined) {
    const given = /^\d{1,5}$/.test(port) ? Number(port) : NaN;
    if (given >= 1 && given <= 65_535) return given;
    throw usage("invite", `--port ${printable(port)} is not a port from 1 to 65535`);
  }
  const running = await findListening(config.DATA_DIR);
  const found = running?.tlsPort ?? tlsPort(config);
  if (found === "off") {
    throw usage(
      "invite",
      "the server has no TLS port (TLS_PORT is off), without which nobody can join; name one with --port",
    );
  }
  if (found > 0) return found;
  throw usage(
    "invite",
    "the system will choose the server's port: start the server first, or name the port with --port",
  );
}

/** Throws if there is no issuing CA, without which the server can't sign certificates. */
async function mustIssue({ CERT_DIR }: Config): Promise<void> {
  const path = pathIn(CERT_DIR, "issuing_cert.pem");
  if (await exists(path)) return;
  throw new Failure(
    EXIT.usage,
    `File not found: ${path}, with which the server signs the certificates of invited people; make one with: ` +
      `${PROGRAM} ca issuing${CERT_DIR === "certs" ? "" : ` --certs ${shellPath(CERT_DIR)}`}`,
  );
}

/** Throws if there is no such account, whose password the code would reset. */
async function mustBeTheirs(store: ServerStore, email: string, username: string): Promise<void> {
  const user = await store.findUser(email);
  if (user && usernameKey(user.username) === usernameKey(username)) return;
  throw new Failure(EXIT.usage, `no account ${username} with the address ${email} exists here`);
}

/** Throws if the address is somebody else's, since then nobody could register with the code. */
async function mustBeFree(store: ServerStore, email: string, username: string): Promise<void> {
  const user = await store.findUser(email);
  if (!user || usernameKey(user.username) === usernameKey(username)) return;
  throw new Failure(EXIT.usage, `${email} is the address of another account here, ${user.username}; name another`);
}
