/**
 * `securechat password`: changes the password of one's account; with a code of the operator's (`invite NAME --reset`),
 * which takes the place of the old one, sets another.
 */

import { authorityMark, looksLikeCode, parseCodeToken } from "../lib/code_token.ts";
import { type CommandSpec, parseCommand } from "../lib/command_line.ts";
import { EXIT, type ExitStatus, Failure } from "../lib/errors.ts";
import { PeerError } from "../lib/handshake_client.ts";
import { loadIdentity, loadTrust } from "../lib/identity.ts";
import { parseAccount } from "../lib/message.ts";
import { normaliseEmail } from "../lib/names.ts";
import { type Bytes, encodeBase64 } from "../lib/bytes.ts";
import { RoomRecords } from "../lib/client_room_records.ts";
import { isTerminal } from "../lib/terminal.ts";
import { askFor, askPassword, canAskAgain, generatedPassword, passwordFor, usage } from "./asking.ts";
import { askAuthorities, Call, type Caller, failureOf, type Place as Callee } from "./call.ts";
import { type Place, placeOf } from "./place.ts";

const OPTIONS = {
  email: { type: "string", value: "ADDRESS", describe: "the e-mail address of the account" },
  generate: { type: "boolean", describe: "generate the new password, and show it once" },
  "new-password-file": { type: "string", value: "FILE", describe: "file whose first line is the new password" },
} as const;

const SPEC = {
  name: "password",
  summary: "change the password of your account",
  usage: `securechat password [PROFILE] [--email ADDRESS] [--generate] [--host HOST] [--tls-port PORT] [--certs DIR]
securechat password [PROFILE] CODE [--generate] [--certs DIR]

Asks for your current password (without a terminal it is read from SECURECHAT_PASSWORD_FILE), and twice for the new one.
If you have forgotten it, the operator can give you a CODE, with which you need your certificate but not the old
password. A new password needs at least 8 characters and must not be a common one. Your devices stay connected, and are
asked for the new password at their next login.

Examples:
  securechat password --host chat.example.org --email ada@example.org
  securechat password --generate
  securechat password sc2.q6urq…@chat.example.org`,
  options: OPTIONS,
  settings: "password",
  positionals: { min: 0, max: 2, names: "PROFILE and CODE" },
} as const satisfies CommandSpec<typeof OPTIONS>;

type Options = ReturnType<typeof parseCommand<typeof OPTIONS>>["options"];

/** Runs the command. */
export async function run(args: string[]): Promise<ExitStatus> {
  const { options, positionals, flags } = parseCommand(args, SPEC);
  const last = positionals.at(-1);
  const word = last !== undefined && looksLikeCode(last) ? last : undefined;
  const [profile, ...others] = word === undefined ? positionals : positionals.slice(0, -1);
  if (others.length > 0) throw usage("password", "the code comes last, behind the name of a profile");
  if (options.generate && options["new-password-file"] !== undefined) {
    throw usage("password", "--generate and --new-password-file exclude each other");
  }
  const code = word === undefined ? undefined : parseCodeToken(word);
  if (word !== undefined && code?.kind !== "reset") {
    throw usage(
      "password",
      code ? "this code is for securechat join, not for a password" : "this code is incomplete or mistyped",
    );
  }
  const own = await placeOf("password", flags, { profile });
  const { config } = own;
  const host = code?.host ?? config.SERVER_HOST;
  try {
    const { place, caller, email: known } = await calleeOf(own, { host, port: code?.port ?? own.tlsPort });
    if (code && authorityMark(place.authority?.fingerprint ?? "") !== code.authority) {
      throw new Failure(EXIT.refused, `DANGER: ${host} is not the server that the code is of; nothing was sent`);
    }
    const email = await askFor("password", {
      ...{ prompt: "E-mail: ", flag: "--email", given: options.email ?? known, parse: normaliseEmail },
    });
    if (code) await reset({ place, caller, email, password: await newPassword(options), code: code.secret });
    else {
      const old = await currentPassword({ place, caller, email }, config.SECURECHAT_PASSWORD_FILE);
      await change({ place, caller, email, old, password: await newPassword(options) });
    }
  } catch (error) {
    throw failureOf(error, host);
  }
  console.error("The password is changed. Other devices of yours are asked for it at their next login.");
  return EXIT.done;
}

/** The password of now. One that a person typed is tried at once, so that nobody thinks of a new one in vain. */
async function currentPassword(who: Omit<Setting, "password">, file: string | undefined): Promise<string> {
  for (let tries = 1;; tries++) {
    const password = await passwordFor("password", file, false);
    if (file !== undefined || !isTerminal()) return password;
    using call = await Call.openSession(who.place, who.caller);
    try {
      await logIn(call, { ...who, password });
      await call.quit();
      return password;
    } catch (error) {
      const isWrong = error instanceof PeerError && error.frame.errorType === "auth-failed";
      if (!isWrong || !canAskAgain(tries, file)) throw error;
    }
  }
}

async function logIn(call: Call, { email, password }: Pick<Setting, "email" | "password">): Promise<void> {
  await call.connection.login({ email, password, salt: await call.salt(email) });
  await call.expect("welcome");
}

async function newPassword(options: Options): Promise<string> {
  if (options.generate) return generatedPassword();
  const file = options["new-password-file"];
  if (file !== undefined) return await passwordFor("password", file, true);
  if (!Deno.stdin.isTerminal()) {
    throw usage("password", "without a terminal --new-password-file or --generate is needed");
  }
  return await askPassword(true, [], "New password: ");
}

/** The server at a place, whose CA is one of CERT_DIR. */
async function calleeOf(
  { config, profile, records }: Place,
  { host, port }: { readonly host: string; readonly port: number | undefined },
): Promise<{ place: Callee; caller: Caller; email: string | undefined }> {
  if (port === undefined || port === 0) throw usage("password", "--tls-port is missing: the server's port for TLS");
  const dir = config.CERT_DIR;
  const passphraseFile = config.SECURECHAT_KEY_PASSPHRASE_FILE;
  const identity = await loadIdentity(dir, "client", { passphraseFile });
  const trust = await loadTrust(dir);
  const caller = {
    identity,
    handshakeTimeout: config.HANDSHAKE_TIMEOUT * 1000,
    answerTimeout: config.ANSWER_TIMEOUT * 1000,
  };
  const { authorities, chain: intermediates } = await askAuthorities({ host, port }, caller);
  const known = new Set(authorities.map(({ fingerprint }) => fingerprint));
  const authority = trust.authorities.find(({ fingerprint }) => known.has(fingerprint));
  if (!authority) throw new Failure(EXIT.refused, `${host}:${port} is of another CA than those in ${dir}/ca_cert.pem`);
  const email = profile?.email ?? await (await RoomRecords.toLookAt(records, trust.authorities)).email();
  return { place: { host, port, authority, intermediates }, caller, email };
}

/** What both ways need. */
interface Setting {
  readonly place: Callee;
  readonly caller: Caller;
  readonly email: string;
  readonly password: string;
}

async function reset({ place, caller, email, password, code }: Setting & { readonly code: Bytes }) {
  using call = await Call.openSession(place, caller);
  await call.connection.reset({ email, password, code });
  await call.expect("welcome");
  await call.quit();
}

async function change({ place, caller, email, old, password }: Setting & { readonly old: string }) {
  using call = await Call.openSession(place, caller);
  const { connection } = call;
  await logIn(call, { email, password: old });
  const ask = async (frame: { readonly type: string; readonly payload?: string }, id: number) => {
    connection.request({ ...frame, id });
    for (;;) {
      const event = await call.expectAny("frame", "request refused");
      if (event.id !== id) continue; // an invitation that waited, and the like
      if (event.type === "frame") return event.frame;
      throw new Failure(EXIT.refused, `the server says: ${event.error.reason} (${event.error.errorType})`);
    }
  };
  const account = await ask({ type: "account" }, 0);
  const opened = account.type === "account" ? connection.open(account.payload) : undefined;
  const known = opened && parseAccount(opened);
  if (!known) throw new Failure(EXIT.refused, "the server didn't say the account's salt");
  const payload = encodeBase64(connection.sealPasswordChange({ old, password, salt: known.salt }));
  await ask({ type: "password", payload }, 1);
  await call.quit();
}
