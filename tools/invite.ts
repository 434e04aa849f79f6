/**
 * `securechat invite` creates an invitation code: the operator does so on the server's machine. With `--device` it asks
 * the server for a code for another device of one's own, in the session of `rooms`, or after asking for the password.
 */

import type { Bytes } from "../lib/bytes.ts";
import { authorityMark, encodeCodeToken } from "../lib/code_token.ts";
import { type CommandSpec, parseCommand } from "../lib/command_line.ts";
import { type Config, readConfig, type SettingFlags } from "../lib/config.ts";
import { EXIT, type ExitStatus, Failure } from "../lib/errors.ts";
import { shellWord } from "../lib/files.ts";
import { PeerError } from "../lib/handshake_client.ts";
import { loadIdentity, loadTrust } from "../lib/identity.ts";
import { encodeJson } from "../lib/json.ts";
import { normaliseEmail } from "../lib/names.ts";
import { RoomRecords } from "../lib/client_room_records.ts";
import { PROGRAM } from "../lib/program.ts";
import { printable } from "../lib/text.ts";
import { formatTime } from "../lib/time_text.ts";
import { askFor, canAskAgain, passwordFor, usage } from "./asking.ts";
import { askAuthorities, Call, type Caller, failureOf, type Place } from "./call.ts";
import { authorityOf, type Invitation, makeInvitation, portOf } from "./invitation.ts";
import { hostOf, JSON_FLAG } from "./making.ts";
import { placeOf } from "./place.ts";

const OPTIONS = {
  ttl: { type: "string", value: "TIME", describe: "how long the code is valid: 30m, 24h or 7d [24h]" },
  device: {
    type: "boolean",
    describe: "ask the server for a code for another device of yours, valid for 15 minutes",
  },
  reset: { type: "boolean", describe: "make a code with which NAME, whose address is --email, sets a new password" },
  email: {
    type: "string",
    value: "ADDRESS",
    describe: "the only e-mail address that NAME may register; with --device: your account's",
  },
  host: {
    type: "string",
    value: "HOST",
    describe: "host under which people reach the server [the first name of its certificate]",
  },
  port: { type: "string", value: "PORT", describe: "its TLS port [that of the running server, or TLS_PORT]" },
  json: JSON_FLAG,
} as const;

const SPEC = {
  name: "invite",
  summary: "create an invitation code",
  usage: `securechat invite NAME [--email ADDRESS] [--ttl TIME] [--host HOST] [--port PORT] [--certs DIR] [--data DIR]
                       [--db URL]
securechat invite NAME --reset --email ADDRESS [--ttl TIME] [--host HOST] [--port PORT] [--certs DIR] [--data DIR] [--db URL]
securechat invite --device [PROFILE] [--email ADDRESS] [--host HOST] [--port PORT] [--certs DIR]

The first two forms run on the server's machine with the server's settings, whether the server runs or not. They print a
code for one use. Send it to the person as secretly as a password: whoever uses it first becomes NAME. The person runs:
securechat join CODE. The third form is for members: it makes a code for another device of theirs.

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
  if (name === undefined && !options.device) {
    throw usage("invite", "NAME is missing: the username of the person to invite");
  }
  const { username, email, token, expires } = options.device
    ? await askDeviceCode(options, flags, name)
    : await makeInvitation(name ?? "", options, config);
  const code = encodeCodeToken(token);
  const { host, port, authority, kind } = token;
  const until = formatTime(expires);
  const told = { username, email: email ?? null, kind, code, host, port, authority, expires: until };
  console.log(options.json ? encodeJson(told) : code);
  if (kind === "reset") {
    console.error(
      `Send this to ${username}:\n  ${PROGRAM} password ${shellWord(code)}\nValid for one use until ${until}, ` +
        `together with a certificate of ${username}'s. It is as secret as a password.`,
    );
    return EXIT.done;
  }
  const command = `${PROGRAM} join ${shellWord(code)}`;
  console.error(
    kind === "device"
      ? `On the other device:\n  ${command}\nValid for one use until ${until}.`
      : `Send this to ${username}, as secretly as a password:\n  ${command}\n` +
        `Valid for one use until ${until}. Whoever uses it first becomes ${username}` +
        (email === undefined ? "." : `, with the address ${printable(email)} and no other.`),
  );
  return EXIT.done;
}

// ---- for a further device

async function askDeviceCode(options: Options, flags: SettingFlags, profile: string | undefined): Promise<Invitation> {
  if (options.ttl !== undefined) {
    throw usage("invite", "--ttl is only for invitations; a code for a device is valid for 15 minutes");
  }
  const { host: givenHost, port: givenPort } = options;
  const all = {
    ...flags,
    ...(givenHost === undefined ? {} : { host: hostOf(givenHost) }),
    ...(givenPort === undefined ? {} : { "tls-port": String(await portOf(options, readConfig("invite", flags))) }),
  };
  const place = await placeOf("chat", all, { profile }, "invite --device");
  const { config: chat, records } = place;
  const dir = chat.CERT_DIR;
  const identity = await loadIdentity(dir, "client", { passphraseFile: chat.SECURECHAT_KEY_PASSPHRASE_FILE });
  const trust = await loadTrust(dir);
  const host = chat.SERVER_HOST;
  const port = place.tlsPort ?? await portOf(options, chat);
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
    if (frame.type !== "code") throw new Failure(EXIT.refused, "the server answered, but not with a code");
    await call.quit();
    const code = { host, port, authority: authorityMark(authority.fingerprint), kind: "device" as const };
    return { username, email: undefined, token: { ...code, secret: frame.code }, expires: frame.expires };
  } catch (error) {
    throw failureOf(error, host);
  }
}

interface Session {
  readonly call: Call;
  readonly username: string;
}

/**
 * Logs in with the token that `rooms` keeps, and leaves it valid; `undefined` if the server doesn't accept it any more.
 */
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

/** Logs in with the password. It is asked for before connecting, since the server doesn't wait long. */
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
