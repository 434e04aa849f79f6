/**
 * `securechat join`: from a code to the rooms, with nothing but the program.
 *
 *     code → the CA's certificate, compared with the code → a key, made here → a certificate → an account → rooms
 *
 * It goes into a new profile of the program's home (`lib/client_home.ts`), or into the folder that --certs names. What
 * was done stays: `joining` beside the key names the code by a hash until the account is there, and while it does, the
 * same command goes on from where it was cut off. Without that file a folder that holds an identity is left alone. The
 * key is on the disk before its request leaves, and never leaves itself.
 */

import { encodeHex, equalBytes } from "../lib/bytes.ts";
import { createRequest, generateKey } from "../lib/ca.ts";
import { pairIn } from "../lib/ca_folder.ts";
import { findPath } from "../lib/certificate_path.ts";
import { authorityMark, type CodeToken, parseCodeToken } from "../lib/code_token.ts";
import {
  folderFor,
  type Home,
  homeOf,
  isProfileName,
  leftRecords,
  placesOf,
  type Profile,
  profilesOf,
  saveProfile,
} from "../lib/client_home.ts";
import { type RecordChoice, recordsOf, type ShownServer } from "../lib/client_servers.ts";
import { type CommandSpec, parseCommand } from "../lib/command_line.ts";
import { type Config, isSet, readConfig, type SettingFlags } from "../lib/config.ts";
import { EXIT, type ExitStatus, Failure, ProtocolError } from "../lib/errors.ts";
import { createPrivateFolder, exists, readTextFile, shellWord, writeAtomically } from "../lib/files.ts";
import { PeerError } from "../lib/handshake_client.ts";
import { sha256 } from "../lib/hash.ts";
import type { Welcome } from "../lib/message.ts";
import { loadIdentity, loadKey, loadTrust, type PassphraseOptions, pathIn, readPassphrase } from "../lib/identity.ts";
import { isUsername, normaliseEmail, usernameKey } from "../lib/names.ts";
import { encodePrivateKey, publicKeyOf } from "../lib/private_key.ts";
import { passwordProblem } from "../lib/password_rules.ts";
import { RoomRecords } from "../lib/client_room_records.ts";
import { PROGRAM } from "../lib/program.ts";
import { random } from "../lib/system.ts";
import { isTerminal } from "../lib/terminal.ts";
import { printable } from "../lib/text.ts";
import { formatTime } from "../lib/time_text.ts";
import { type Certificate, parseCertificates } from "../lib/x509.ts";
import { canAskAgain, generatedPassword, passwordFor, usage } from "./asking.ts";
import { askAuthorities, Call, type Caller, failureOf, type Place } from "./call.ts";
import { hostOf } from "./making.ts";

const OPTIONS = {
  email: { type: "string", value: "ADDRESS", describe: "e-mail address of the account, if the code has none" },
  profile: { type: "string", value: "NAME", describe: "name of the server on this machine [its host]" },
  generate: { type: "boolean", describe: "generate the password, and show it once" },
  "no-chat": { type: "boolean", describe: "end after joining; without a terminal it always does" },
} as const;

const SPEC = {
  name: "join",
  summary: "accept an invitation: make a key, get its certificate, register",
  usage: `securechat join [HOST] CODE [--profile NAME] [--email ADDRESS] [--no-chat] [--certs DIR]

Checks that the server is the one in the code, makes a key that never leaves this machine, gets a certificate for it, and
registers the name for which the code was made. With a code of "invite --device" it adds this device to the account. It
asks for a password, or reads it from the file that SECURECHAT_PASSWORD_FILE names. Then it opens the rooms: #general, if
the server has a room with that name.

HOST is needed only if you reach the server under another name than the code's. If something goes wrong, run the same
command again: it continues where it stopped. The program remembers the server in a profile, so that "securechat rooms"
finds it from any folder; --certs uses a folder of your choice instead. The account's e-mail address is the one for which
the code was made, or that of --email, or NAME@HOST.

Examples:
  securechat join sc2.q6urq…@chat.example.org
  SECURECHAT_PASSWORD_FILE=password.txt securechat join sc2.q6urq…@chat.example.org --email ada@example.org --no-chat

Exit status: 0 joined; 2 usage, a mistyped code, or a folder with another identity; 4 refused: the code was used or has
expired, or it is another server's; 5 the server can't be reached.`,
  options: OPTIONS,
  settings: "join",
  positionals: { min: 1, max: 2, names: "CODE" },
} as const satisfies CommandSpec<typeof OPTIONS>;

/** Runs the command. */
export async function run(args: string[]): Promise<ExitStatus> {
  const { options, positionals, flags } = parseCommand(args, SPEC);
  const config = readConfig("join", flags);
  const code = parseCodeToken(positionals.at(-1) ?? "");
  if (!code) {
    const isFirst = positionals.length > 1 && parseCodeToken(positionals[0] ?? "") !== undefined;
    throw new Failure(
      EXIT.usage,
      isFirst
        ? "the code comes last: securechat join HOST CODE"
        : "this code is incomplete or mistyped; copy all of it again: it looks like sc2.…@chat.example.org",
    );
  }
  if (code.kind === "reset") {
    throw new Failure(EXIT.usage, `this code sets another password; run: ${PROGRAM} password CODE`);
  }
  const given = options.email === undefined ? undefined : emailOf(options.email);
  const host = positionals[1] === undefined ? code.host : hostOf(positionals[0] ?? "");
  const target = await targetOf(config, flags, { code, host, name: options.profile });
  const joining = await Joining.open(config, code, { host, dir: target.certs });
  try {
    await joining.checkAuthority();
    const file = config.SECURECHAT_PASSWORD_FILE;
    const isNew = code.kind === "invitation";
    const password = isNew && options.generate
      ? generatedPassword()
      : await passwordFor("join", file, isNew && file === undefined, given === undefined ? [] : [given]);
    const { leaf, email: wanted } = await joining.certify();
    if (wanted !== undefined && given !== undefined && wanted !== given) {
      throw new Failure(EXIT.usage, `the code is for ${wanted}, not for ${given}; leave --email out`);
    }
    const email = wanted ?? given ?? addressOf(leaf, host);
    const { welcome, server, hasGeneral } = await enter(
      joining,
      { email, password },
      code.kind === "device" ? file : "new",
    );
    const { username } = welcome;
    await target.remember({ host, tlsPort: code.port, username, email });
    await joining.end();
    console.error(
      `You are ${username} on ${host}, with the address ${printable(email)}. Your certificate in ${target.certs} is ` +
        `valid until ${formatTime(leaf.notAfter).slice(0, 10)}; its key exists only on this machine.`,
    );
    const isKept = await keepSession(target.records(code.port), { server, welcome, email });
    const next = await target.roomsArguments({ host, port: code.port, email });
    if (hasGeneral) next.push(GENERAL);
    if (isKept && !options["no-chat"] && isTerminal()) return await (await import("./rooms.ts")).run(next);
    console.error(`Next: ${[PROGRAM, "rooms", ...next.map(shellWord)].join(" ")}`);
    return EXIT.done;
  } catch (error) {
    throw failureOf(error, host);
  }
}

/** Comes in; where the account is there already, a wrong password is asked for again, unless it came out of a file. */
async function enter(joining: Joining, login: Login, file: string | undefined) {
  for (let tries = 1, password = login.password;; tries++) {
    try {
      return await joining.enter({ ...login, password });
    } catch (error) {
      const isWrong = error instanceof PeerError && error.frame.errorType === "auth-failed";
      if (!isWrong || !canAskAgain(tries, file)) throw error;
      password = await passwordFor("join", undefined, false);
    }
  }
}

/** Keeps the session's token for `rooms`, so that nobody types the password again; whether that could be. */
async function keepSession(
  choice: RecordChoice,
  { server, welcome, email }: { server: ShownServer; welcome: Welcome; email: string },
): Promise<boolean> {
  try {
    const records = await RoomRecords.of(choice, [server.authority]);
    await records.meet(server);
    await records.claim(welcome.username, email);
    await records.keepToken(welcome.token);
    await records.close();
    return true;
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    console.error(error.message); // the records of somebody else: joined is joined all the same
    return false;
  }
}

// ---- where to

interface Target {
  readonly certs: string;
  readonly records: (port: number) => RecordChoice;
  /** Writes what `rooms` has to know. */
  readonly remember: (server: Omit<Profile, "name">) => Promise<void>;
  /** What `rooms` has to be told. */
  readonly roomsArguments: (server: { host: string; port: number; email: string }) => Promise<string[]>;
}

/** A folder that was named, or a profile. */
async function targetOf(
  config: Config,
  flags: SettingFlags,
  { code, host, name }: { code: CodeToken; host: string; name: string | undefined },
): Promise<Target> {
  if (name !== undefined && !isProfileName(name)) {
    throw usage("join", `--profile "${name}" is no name: letters, digits, dots, hyphens and underscores make one`);
  }
  if (!isSet("join", "CERT_DIR", flags)) {
    const elsewhere = flags["home"] === undefined ? [] : ["--home", flags["home"]];
    return await profileTarget(homeOf(config.SECURECHAT_HOME), { code, host, name, elsewhere });
  }
  if (name !== undefined) throw usage("join", "--profile and --certs (or CERT_DIR) exclude each other");
  const { CERT_DIR, TRANSCRIPT_DIR } = config;
  return {
    certs: CERT_DIR,
    records: (port) => ({ folder: `${TRANSCRIPT_DIR}/rooms`, address: { host, port } }),
    remember: () => Promise.resolve(),
    roomsArguments: ({ host, port, email }) =>
      Promise.resolve([
        ...["--host", host, "--tls-port", String(port), "--email", email, "--certs", CERT_DIR],
        ...TRANSCRIPT_DIR === "transcripts" ? [] : ["--transcripts", TRANSCRIPT_DIR],
      ]),
  };
}

async function profileTarget(
  home: Home,
  { code, host, name, elsewhere }: {
    code: CodeToken;
    host: string;
    name: string | undefined;
    elsewhere: readonly string[];
  },
): Promise<Target> {
  const known = await profilesOf(home);
  if (name !== undefined && known.some((one) => usernameKey(one.name) === usernameKey(name))) {
    throw new Failure(EXIT.usage, `there is a profile "${name}" already; choose another name`);
  }
  // That of the same code goes on; one that got no certificate serves for another code.
  const folder = await folderFor(home, name ?? host, async (certs) => {
    const mark = await exists(markIn(certs)) ? parseMark(await readTextFile(markIn(certs))).code : undefined;
    return mark === nameOf(code) || (mark !== undefined && !await exists(pairIn(certs, "client").certificate));
  });
  const { certs, transcripts } = placesOf(home, folder);
  const own = name ?? folder;
  return {
    certs,
    records: (port) => ({ folder: `${transcripts}/rooms`, address: { host, port }, isOne: true }),
    remember: async (server) => {
      for (const left of await leftRecords(home)) {
        const address = { host, port: server.tlsPort };
        for (const record of left === transcripts ? [] : await recordsOf({ folder: `${left}/rooms`, address })) {
          console.error(
            `The records of an earlier profile of this address, in ${record}, stay as they are; this profile begins with none.`,
          );
        }
      }
      await createPrivateFolder(transcripts); // a profile without it has lost its records
      await saveProfile(home, folder, { name: own, ...server });
    },
    roomsArguments: async () => [...elsewhere, ...(await profilesOf(home)).length > 1 ? [own] : []],
  };
}

/** Who somebody is now, and where. */
interface Entered {
  readonly welcome: Welcome;
  readonly server: ShownServer;
  /** Whether there is the room that everybody meets in. */
  readonly hasGeneral: boolean;
}

/** The room that `start` makes. */
const GENERAL = "#general";

/** Who is to be let in. */
interface Login {
  readonly email: string;
  readonly password: string;
}

/** A folder on its way to an identity. */
class Joining {
  readonly #dir: string;
  readonly #code: CodeToken;
  readonly #place: Place;
  readonly #caller: Caller;
  readonly #passphrase: PassphraseOptions;
  /** Whether the certificate is there from an earlier run with this code. */
  readonly #goesOn: boolean;
  /** The one address that the code is for, as an earlier run was told. */
  readonly #email: string | undefined;
  #authority: Certificate | undefined;
  #intermediates: readonly Certificate[] = [];

  private constructor(
    config: Config,
    code: CodeToken,
    { host, dir, goesOn, email }: { host: string; dir: string; goesOn: boolean; email: string | undefined },
  ) {
    this.#dir = dir;
    this.#code = code;
    this.#place = { host, port: code.port };
    this.#caller = {
      handshakeTimeout: config.HANDSHAKE_TIMEOUT * 1000,
      answerTimeout: config.ANSWER_TIMEOUT * 1000,
    };
    this.#passphrase = { passphraseFile: config.SECURECHAT_KEY_PASSPHRASE_FILE };
    this.#goesOn = goesOn;
    this.#email = email;
  }

  /** Failure (2) where the folder is somebody's already. Nothing is written yet. */
  static async open(config: Config, code: CodeToken, { host, dir }: { host: string; dir: string }): Promise<Joining> {
    const { certificate, key } = pairIn(dir, "client");
    const mark = markIn(dir);
    const isOwn = await exists(mark);
    for (const path of isOwn ? [] : [key, certificate]) {
      if (!await exists(path)) continue;
      throw new Failure(
        EXIT.usage,
        `${path} is there already: ${dir} holds an identity, and nothing is overwritten; choose another folder with --certs`,
      );
    }
    const begun = isOwn ? parseMark(await readTextFile(mark)) : undefined;
    const goesOn = begun?.code === nameOf(code) && await exists(certificate);
    return new Joining(config, code, { host, dir, goesOn, email: begun?.email });
  }

  /** Asks for the CA's certificate, over a connection that proves nothing, and compares it with the code. */
  async checkAuthority(): Promise<void> {
    const { host, port } = this.#place;
    const { authorities: shown, chain } = await askAuthorities(this.#place, this.#caller);
    this.#authority = shown.find(({ fingerprint }) => this.#isNamed(fingerprint));
    this.#intermediates = chain;
    if (!this.#authority) {
      throw new Failure(
        EXIT.refused,
        `DANGER: ${host}:${port} is not the server that the code names (its CA's SHA-256 is ` +
          `${authorityMark(shown[0]?.fingerprint ?? "none")}…, the code's ${this.#code.authority}…), or somebody is ` +
          `in between; nothing was sent; ask whoever sent you the code`,
      );
    }
    if (!await exists(pathIn(this.#dir, "ca_cert.pem"))) return;
    const { authorities } = await loadTrust(this.#dir);
    if (authorities.some(({ fingerprint }) => this.#isNamed(fingerprint))) return;
    throw new Failure(
      EXIT.usage,
      `${pathIn(this.#dir, "ca_cert.pem")} is another server's CA; choose another folder with --certs`,
    );
  }

  /** Whether the code names this CA. */
  #isNamed(fingerprint: string): boolean {
    return authorityMark(fingerprint) === this.#code.authority;
  }

  /** The certificate, of an earlier run or issued now for the key of this folder, and the code's e-mail address. */
  async certify(): Promise<{ readonly leaf: Certificate; readonly email: string | undefined }> {
    const files = pairIn(this.#dir, "client");
    if (this.#goesOn) return { leaf: leafOf(await readTextFile(files.certificate)), email: this.#email };
    const key = await this.#key(files.key);
    using call = await Call.open(this.#trusted(), this.#caller);
    call.connection.askCertificate({ code: this.#code.secret, csr: await createRequest(key) });
    const { pem, email } = await call.expect("certificate").catch((error) => {
      if (!(error instanceof PeerError) || error.frame.errorType !== "bad-cert") throw error;
      throw new Failure(
        EXIT.refused,
        "the server issues no certificates: whoever runs it needs an issuing CA (securechat ca issuing)",
      );
    });
    const chain = parseCertificates(pem);
    const [leaf] = chain;
    const path = await findPath(chain, { authorities: [this.#known()], revocations: [] }, { purpose: "client" });
    const [problem] = path.problems(Date.now(), "current");
    if (problem !== undefined) throw new ProtocolError("bad-cert", problem);
    if (!leaf || !equalBytes(leaf.publicKey, publicKeyOf(key)) || !isUsername(usernameOf(leaf))) {
      throw new Failure(EXIT.refused, "the server issued a certificate that isn't for this key; tell whoever runs it");
    }
    await this.#keepAuthority();
    await this.#mark(email);
    await writeAtomically(files.certificate, chain.map(({ pem }) => pem).join(""), { replace: true });
    return { leaf, email };
  }

  async #mark(email?: string): Promise<void> {
    const text = `${nameOf(this.#code)}\n${email === undefined ? "" : `${email}\n`}`;
    await writeAtomically(markIn(this.#dir), text, { mode: 0o600, replace: true });
  }

  /** The folder's key, made and written before it is used. */
  async #key(path: string) {
    const { passphraseFile } = this.#passphrase;
    await createPrivateFolder(this.#dir);
    // The mark first: a key without it is somebody else's.
    await this.#mark();
    if (!await exists(path)) {
      const passphrase = passphraseFile === undefined ? undefined : await readPassphrase(passphraseFile);
      await writeAtomically(path, await encodePrivateKey(await generateKey(), passphrase, random), { mode: 0o600 });
    }
    return await loadKey(path, this.#passphrase);
  }

  async #keepAuthority(): Promise<void> {
    const path = pathIn(this.#dir, "ca_cert.pem");
    if (!await exists(path)) await writeAtomically(path, this.#known().pem);
  }

  /** Registers, or enrols; who one is now. */
  async enter(login: Login): Promise<Entered> {
    const identity = await loadIdentity(this.#dir, "client", this.#passphrase);
    const username = usernameOf(leafOf(identity.pem));
    const caller = { ...this.#caller, identity };
    const isNew = this.#code.kind === "invitation";
    // An account from before may have a password that no new one may have.
    const problem = isNew ? passwordProblem(login.password, [login.email, username]) : undefined;
    const how = isNew && problem === undefined ? "register" : "enrol";
    const attempt = async (how: "register" | "enrol" | "login") => {
      using call = await Call.openSession(this.#trusted(), caller);
      if (how === "register") await call.connection.register({ ...login, username });
      else {
        const known = { ...login, salt: await call.salt(login.email), code: this.#code.secret };
        await (how === "enrol" ? call.connection.enrol(known) : call.connection.login(known));
      }
      const welcome = await call.expect("welcome");
      const hasGeneral = await findRoom(call, GENERAL);
      await call.quit();
      const { server } = call;
      if (!server) throw new RangeError("a session has a server");
      return { welcome, server, hasGeneral };
    };
    try {
      return await attempt(how);
    } catch (error) {
      if (problem !== undefined && error instanceof PeerError && error.frame.errorType === "auth-failed") {
        throw new Failure(
          EXIT.refused,
          `there is no account with this password, and a new one can't have it: ${problem}`,
        );
      }
      const other = error instanceof PeerError ? this.#otherWay(error.frame.errorType) : undefined;
      if (!other) throw error;
      // Why the second way fails as well says less than why the first did.
      return await attempt(other).catch((second) => {
        throw second instanceof PeerError ? error : second;
      });
    }
  }

  /** What is left to try when the account is there already: from an earlier run that was cut off, or from before. */
  #otherWay(refusal: string): "enrol" | "login" | undefined {
    if (refusal === "user-exists") return "enrol";
    return refusal === "auth-failed" && this.#goesOn ? "login" : undefined;
  }

  /** The folder is an identity's like any other. */
  async end(): Promise<void> {
    await Deno.remove(markIn(this.#dir));
  }

  #known(): Certificate {
    if (!this.#authority) throw new Error("the CA wasn't checked");
    return this.#authority;
  }

  #trusted(): Place {
    return { ...this.#place, authority: this.#known(), intermediates: this.#intermediates };
  }
}

function markIn(dir: string): string {
  return `${dir}/joining`;
}

/** A code as the mark names it: by a hash, which opens nothing. */
function nameOf({ secret }: CodeToken): string {
  return encodeHex(sha256(secret));
}

/** What a mark says: which code, and the one e-mail address that it is for, once the server has told it. */
function parseMark(text: string): { readonly code: string; readonly email: string | undefined } {
  const [code = "", email = ""] = text.split("\n");
  return { code, email: email === "" ? undefined : email };
}

/** The address of an account that has no other: it is a name to log in with, and nothing is sent there. */
function addressOf(leaf: Certificate, host: string): string {
  return normaliseEmail(`${usernameOf(leaf)}@${host}`) ?? `${usernameOf(leaf)}@localhost`;
}

function emailOf(text: string): string {
  const email = normaliseEmail(text);
  if (email !== undefined) return email;
  throw usage("join", `--email "${printable(text)}" isn't a valid e-mail address`);
}

/** Whether the server has a room of that name that anybody may join. */
async function findRoom(call: Call, name: string): Promise<boolean> {
  call.connection.request({ type: "rooms", id: 0, from: name.slice(0, -1) }); // just before it
  let { frame, id } = await call.expect("frame");
  while (id !== 0) ({ frame, id } = await call.expect("frame")); // an invitation that waited, and the like
  return frame.type === "rooms" && frame.rooms.some(({ room, inviteOnly }) => room === name && !inviteOnly);
}

function leafOf(pem: string): Certificate {
  const [leaf] = parseCertificates(pem);
  if (!leaf) throw new RangeError("a parsed file has a certificate");
  return leaf;
}

function usernameOf({ commonNames: [name = ""] }: Certificate): string {
  return name.replace(/^CLIENT: /, "");
}
