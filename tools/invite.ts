/**
 * `securechat invite`: the code that brings somebody in, made by the operator on the server's machine; with `--device`
 * for a further device of one's own, asked of the server in a session: that of `rooms` goes on, or the password is asked for.
 */

import type { Bytes } from "../lib/bytes.ts";
import { type CodeToken, encodeCodeToken } from "../lib/code_token.ts";
import { instant } from "../lib/ca_folder.ts";
import { type CommandSpec, type Config, parseCommand, PROGRAM, readConfig, type SettingFlags } from "../lib/config.ts";
import { INVITATION_LIFE, makeCode } from "../lib/devices.ts";
import { EXIT, type ExitStatus, Failure } from "../lib/errors.ts";
import { exists, shellWord } from "../lib/files.ts";
import { PeerError } from "../lib/handshake_client.ts";
import { loadChain, loadIdentity, loadTrust, pathIn } from "../lib/identity.ts";
import { encodeJson } from "../lib/json.ts";
import { isUsername, normaliseEmail, usernameKey } from "../lib/names.ts";
import { RoomRecords } from "../lib/room_records.ts";
import { printable } from "../lib/text.ts";
import { findPath, type Trust } from "../lib/certificate_path.ts";
import type { Certificate } from "../lib/x509.ts";
import { openServersStore, type OpenStore, tlsPort } from "../server.ts";
import { askFor, canAskAgain, passwordFor, usage } from "./asking.ts";
import { askAuthorities, Call, type Caller, failureOf, type Place } from "./call.ts";
import { hostOf, JSON_FLAG } from "./making.ts";
import { placeOf } from "./place.ts";

const OPTIONS = {
  ttl: { type: "string", value: "TIME", describe: "how long the code serves: 30m, 24h or 7d [24h]" },
  device: {
    type: "boolean",
    describe: "ask the server for a code for a further device of one's own, good for 15 minutes",
  },
  reset: { type: "boolean", describe: "a code with which NAME, whose address is --email, sets another password" },
  email: {
    type: "string",
    value: "ADDRESS",
    describe: "the one e-mail address that NAME may register with; with --device: that of one's account",
  },
  host: {
    type: "string",
    value: "HOST",
    describe: "where people reach the server [the first name of its certificate]",
  },
  port: { type: "string", value: "PORT", describe: "the port for TLS there [TLS_PORT]" },
  json: JSON_FLAG,
} as const;

const SPEC = {
  name: "invite",
  summary: "make the code that brings somebody in",
  usage: `securechat invite NAME [--email ADDRESS] [--ttl TIME] [--host HOST] [--port PORT] [--certs DIR] [--data DIR]
                       [--db URL]
securechat invite NAME --reset --email ADDRESS [--ttl TIME] [--host HOST] [--port PORT] [--certs DIR] [--data DIR] [--db URL]
securechat invite --device [PROFILE] [--email ADDRESS] [--host HOST] [--port PORT] [--certs DIR]

The first runs on the server's machine, while the server runs or not, with the server's settings. The code, one line on
stdout, goes to whom it is for, as secretly as a password: who uses it first is NAME. It serves once. They run:
securechat join HOST CODE. The second is run by who is in already, for another device of theirs.

Examples:
  securechat invite alice
  securechat invite alice --email alice@example.org --ttl 7d
  securechat invite alice --host chat.example.org --port 5001
  securechat invite alice --reset --email alice@example.org
  securechat invite --device`,
  options: OPTIONS,
  settings: "invite",
  positionals: { min: 0, max: 1, names: "NAME" },
} as const satisfies CommandSpec<typeof OPTIONS>;

type Options = ReturnType<typeof parseCommand<typeof OPTIONS>>["options"];

/** Runs the command. */
export async function run(args: string[]): Promise<ExitStatus> {
  const { options, positionals: [name], flags } = parseCommand(args, SPEC);
  const config = readConfig("invite", flags);
  if (name === undefined && !options.device) throw usage("invite", "NAME is missing: the username that is invited");
  const { username, token, expires } = options.device
    ? await askDeviceCode(options, flags, name)
    : await makeInvitation(name ?? "", options, config);
  const code = encodeCodeToken(token);
  const { host, port, authority, kind, email = null } = token;
  const until = instant(expires);
  console.log(options.json ? encodeJson({ username, email, kind, code, host, port, authority, expires: until }) : code);
  const address = email === null ? "" : `, with the address ${printable(email)} and no other`;
  if (kind === "reset") {
    console.error(
      `Send this to ${username}:\n  securechat password ${code}\nValid for one use until ${until}, together with a ` +
        `certificate of ${username}'s. It is as secret as a password.`,
    );
    return EXIT.done;
  }
  console.error(
    (kind === "device" ? "On the other device:" : `To be sent to ${username}:`) +
      `\n  securechat join ${host} ${code}\nIt serves once, until ${until}, and is as secret as a password: ` +
      `who uses it first is ${username}${address}.`,
  );
  return EXIT.done;
}

interface Made {
  readonly username: string;
  readonly token: CodeToken;
  /** Unix milliseconds. */
  readonly expires: number;
}

// ---- by the operator

/** `CLIENT: ` and the name have 64 characters in a certificate (RFC 5280 appendix A.1). */
const MAX_NAME = 56;

async function makeInvitation(username: string, options: Options, config: Config): Promise<Made> {
  if (!isUsername(username) || username.length > MAX_NAME) {
    throw usage(
      "invite",
      `"${
        printable(username)
      }" is no username: it has 1 to ${MAX_NAME} ASCII letters, digits, dots, underscores or hyphens`,
    );
  }
  const email = options.email === undefined ? undefined : await emailOf(options.email);
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
      store: store.rooms,
      now: Date.now,
      random: (size) => crypto.getRandomValues(new Uint8Array(size)),
    });
    const what = options.reset ? "a password reset" : "an invitation";
    const reason = `${what} for ${username}, until ${instant(expires)}`;
    const row = { event: "code_made", reason, occurredAt: Date.now() } as const;
    await store.addAudit([email === undefined ? row : { ...row, email }]);
    const token = { ...where, kind, secret: code } as const;
    return { username, token: email === undefined ? token : { ...token, email }, expires };
  } finally {
    await store.close();
  }
}

const UNITS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
/** A code that lies about is a danger: a month. */
const MAX_LIFE = 30 * 86_400_000;

function lifeOf(text: string | undefined): number {
  if (text === undefined) return INVITATION_LIFE;
  const [, count = "", unit = ""] = /^(\d{1,7})([smhd])$/.exec(text) ?? [];
  const life = Number(count) * (UNITS[unit] ?? 0);
  if (life < 1 || life > MAX_LIFE) {
    throw usage("invite", `--ttl ${printable(text)} is not a time as 30m, 24h or 7d, of 30 days at most`);
  }
  return life;
}

/** Where the server is reached, and its CA: what the code says beside its secret. */
async function whereToJoin(options: Options, config: Config): Promise<Pick<CodeToken, "host" | "port" | "authority">> {
  const { chain, trust } = await serverIn(config.CERT_DIR);
  const names = chain[0]?.hostNames?.dnsNames ?? [];
  const host = options.host === undefined
    ? names.find((name) => name !== "localhost") ?? "localhost"
    : hostOf(options.host);
  const authority = await authorityOf(chain, trust);
  if (!authority) {
    throw new Failure(
      EXIT.usage,
      `${pathIn(config.CERT_DIR, "ca_cert.pem")} does not hold the CA of server_cert.pem beside it`,
    );
  }
  return { host, port: portOf(options, config), authority: authority.fingerprint };
}

async function serverIn(dir: string): Promise<{ chain: readonly Certificate[]; trust: Trust }> {
  const path = pathIn(dir, "server_cert.pem");
  const chain = await loadChain(
    path,
    `there is no ${path}: invitations are made on the server's machine; name its folder with --certs`,
  );
  return { chain, trust: await loadTrust(dir) };
}

/** The CA to which the signatures of a chain lead. */
async function authorityOf(chain: readonly Certificate[], trust: Trust): Promise<Certificate | undefined> {
  const path = await findPath(chain, trust, { purpose: "server" });
  const end = path.certificates(Date.now(), "current").at(-1);
  return trust.authorities.find(({ fingerprint }) => fingerprint === end?.fingerprint);
}

function portOf({ port }: Options, config: Config): number {
  const found = port === undefined ? tlsPort(config) : /^\d{1,5}$/.test(port) ? Number(port) : NaN;
  if (found === "off") {
    throw usage(
      "invite",
      "the server has no port for TLS (TLS_PORT is off), and nobody joins without; name one with --port",
    );
  }
  if (found >= 1 && found <= 65_535) return found;
  throw usage(
    "invite",
    port === undefined
      ? "the port is one that the system chooses; say with --port which the server has for TLS"
      : `--port ${printable(port)} is not a port from 1 to 65535`,
  );
}

/** Without an issuing CA the server signs no requests. */
async function mustIssue({ CERT_DIR }: Config): Promise<void> {
  const path = pathIn(CERT_DIR, "issuing_cert.pem");
  if (await exists(path)) return;
  throw new Failure(
    EXIT.usage,
    `there is no ${path}, with which the server signs the certificates of who is invited; make one with: ` +
      `${PROGRAM} ca issuing${CERT_DIR === "certs" ? "" : ` --certs ${shellWord(CERT_DIR)}`}`,
  );
}

/** A code for an account that isn't there would set nobody's password. */
async function mustBeTheirs(store: OpenStore, email: string, username: string): Promise<void> {
  const user = await store.findUser(email);
  if (user && usernameKey(user.username) === usernameKey(username)) return;
  throw new Failure(EXIT.usage, `there is no account ${username} with the address ${email} here`);
}

/** An address that is somebody else's would register nobody. */
async function mustBeFree(store: OpenStore, email: string, username: string): Promise<void> {
  const user = await store.findUser(email);
  if (!user || usernameKey(user.username) === usernameKey(username)) return;
  throw new Failure(EXIT.usage, `${email} is the address of another account here, ${user.username}; name another`);
}

// ---- for a further device

async function askDeviceCode(options: Options, flags: SettingFlags, profile: string | undefined): Promise<Made> {
  if (options.ttl !== undefined) {
    throw usage("invite", "--ttl is for an invitation; a code for a device has 15 minutes");
  }
  const { host: givenHost, port: givenPort } = options;
  const all = {
    ...flags,
    ...(givenHost === undefined ? {} : { host: hostOf(givenHost) }),
    ...(givenPort === undefined ? {} : { "tls-port": String(portOf(options, readConfig("invite", flags))) }),
  };
  const place = await placeOf("chat", all, { profile }, "invite --device");
  const { config: chat, records } = place;
  const dir = chat.CERT_DIR;
  const identity = await loadIdentity(dir, "client", { passphraseFile: chat.SECURECHAT_KEY_PASSPHRASE_FILE });
  const trust = await loadTrust(dir);
  const host = chat.SERVER_HOST;
  const port = place.tlsPort ?? portOf(options, chat);
  const caller = {
    identity,
    handshakeTimeout: chat.HANDSHAKE_TIMEOUT * 1000,
    answerTimeout: chat.ANSWER_TIMEOUT * 1000,
  };
  try {
    const { chain: intermediates } = await askAuthorities({ host, port }, caller);
    const authority = await authorityOf(intermediates, trust) ?? trust.authorities[0];
    if (!authority) throw new RangeError("ca_cert.pem has a CA");
    const at = { host, port, authority, intermediates };
    const kept = await RoomRecords.toLookAt(records, trust.authorities);
    const token = options.email === undefined ? await kept.token() : undefined;
    const session = token && await resume(at, caller, token);
    const email = options.email ?? place.profile?.email ?? await kept.email();
    const { call, username } = session ?? await logIn(at, caller, { email, chat });
    using _call = call;
    call.connection.request({ type: "code", id: 0 });
    let { frame, id } = await call.expect("frame");
    while (id !== 0) ({ frame, id } = await call.expect("frame")); // an invitation that waited, and the like
    if (frame.type !== "code") throw new Failure(EXIT.refused, "the server answered with something else than a code");
    await call.quit();
    const code = { host, port, authority: authority.fingerprint, kind: "device" as const };
    return { username, token: { ...code, secret: frame.code }, expires: frame.expires };
  } catch (error) {
    throw failureOf(error, host);
  }
}

interface Session {
  readonly call: Call;
  readonly username: string;
}

/** With the token that `rooms` keeps, which stays good for it; `undefined` where the server doesn't take it any more. */
async function resume(place: Place, caller: Caller, token: Bytes): Promise<Session | undefined> {
  const call = await Call.openSession(place, caller);
  try {
    await call.connection.resume(token);
    const { username } = await call.expect("welcome");
    return { call, username };
  } catch (error) {
    call[Symbol.dispose]();
    if (error instanceof PeerError && error.frame.errorType === "auth-failed") return undefined;
    throw error;
  }
}

function emailOf(given: string | undefined): Promise<string> {
  return askFor("invite", { prompt: "E-mail: ", flag: "--email", given, parse: normaliseEmail });
}

/** With the password, asked before the connection is made: a server waits for nobody. */
async function logIn(
  place: Place,
  caller: Caller,
  { email: given, chat }: { email: string | undefined; chat: Config },
  tries = 1,
): Promise<Session> {
  const email = await emailOf(given);
  const password = await passwordFor("invite", chat.SECURECHAT_PASSWORD_FILE, false);
  const call = await Call.openSession(place, caller);
  try {
    await call.connection.login({ email, password, salt: await call.salt(email) });
    const { username } = await call.expect("welcome");
    return { call, username };
  } catch (error) {
    call[Symbol.dispose]();
    const isWrong = error instanceof PeerError && error.frame.errorType === "auth-failed";
    if (isWrong && canAskAgain(tries, chat.SECURECHAT_PASSWORD_FILE)) {
      return await logIn(place, caller, { email: given, chat }, tries + 1);
    }
    throw error;
  }
}
