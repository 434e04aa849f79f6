/**
 * The command line and the settings: the one door to flags, environment and `.env`.
 *
 * `parseCommand` reads a command's flags by its specification, and answers `--help` from the same specification.
 * `readConfig` gives every setting of a command: flags over environment over `.env` (in the working directory; not for
 * commands that judge evidence) over defaults. {@link SETTINGS} is the one table of names, defaults, ranges and
 * meanings; help, `.env.example` and docs/OPERATING.md follow it. A value that makes no sense ends the command with one
 * sentence that names it and its source:
 *
 *     SERVER_PORT=70000 from .env is not a port: a number from 0 to 65535 is wanted
 *
 * A line of `.env` is `NAME=value`, a comment that begins with `#`, or empty. `export ` may stand before the name. A
 * value in single or double quotes is taken as it stands between them; without quotes it ends before a blank that is
 * followed by `#`, and a `#` inside a word belongs to it. There are no escapes and no references to other names.
 * (`parseEnv` of node:util cuts an unquoted value at any `#`, passwords too, and Deno 2.6 has none.) An empty value is
 * the same as none. Names that are not in the table are left alone.
 *
 * @layer outside
 */

import { parseArgs } from "node:util";
import { EXIT, Failure } from "./errors.ts";
import { existsSync, readTextFileSync } from "./files.ts";
import { nearest } from "./nearest.ts";
import { isServiceUrl } from "./urls.ts";

// ---- settings

/** How a setting's text becomes a value. */
interface Kind<T> {
  /** The value; `undefined` for a text that is none. */
  parse(text: string): T | undefined;
  /** What stands for a value in `--help`. */
  placeholder: string;
  /** Follows "is not": `a port: a number from 0 to 65535 is wanted`. */
  expected: string;
}

function integer(min: number, max: number, placeholder = "N"): Kind<number> {
  return {
    placeholder,
    expected: `a number from ${min} to ${max}`,
    parse(text) {
      const value = /^[0-9]{1,15}$/.test(text) ? Number(text) : NaN;
      return value >= min && value <= max ? value : undefined;
    },
  };
}

function choice<T extends string>(...values: T[]): Kind<T> {
  return {
    placeholder: values.join("|"),
    expected: `one of ${values.join(", ")}`,
    parse: (text) => values.find((value) => value === text.toLowerCase()),
  };
}

const port: Kind<number> = {
  ...integer(0, 65535, "PORT"),
  expected: "a port: a number from 0 to 65535 is wanted",
};

const tlsPort: Kind<number | "off"> = {
  placeholder: "PORT|off",
  expected: "a port or off: a number from 0 to 65535, or off, is wanted",
  parse: (text) => text.toLowerCase() === "off" ? "off" : port.parse(text),
};

const boolean: Kind<boolean> = {
  placeholder: "true|false",
  expected: "true or false",
  parse(text) {
    if (/^(?:true|yes|on|1)$/i.test(text)) return true;
    return /^(?:false|no|off|0)$/i.test(text) ? false : undefined;
  },
};

/** Text without control characters: a path, a name. */
function text(placeholder: string, expected: string, pattern = /^\P{Cc}+$/u): Kind<string> {
  return { placeholder, expected, parse: (value) => pattern.test(value) ? value : undefined };
}

const path = (placeholder: "DIR" | "FILE") => text(placeholder, "a path");
const host = text("HOST", "a host name or an address", /^[A-Za-z0-9._:%-]+$/);

const hostOrOff: Kind<string> = {
  placeholder: "ADDRESS|off",
  expected: "an address, or off",
  parse: (text) => text.toLowerCase() === "off" ? "off" : host.parse(text),
};

/** What DB_URL says; parts that it leaves out are undefined. */
interface DatabaseUrl {
  readonly host: string;
  readonly port: number | undefined;
  readonly user: string | undefined;
  readonly password: string | undefined;
  readonly name: string | undefined;
}

const databaseUrl: Kind<DatabaseUrl | "sqlite"> = {
  placeholder: "URL",
  expected: "a database: mysql://USER:PASSWORD@HOST:PORT/NAME or sqlite is wanted",
  parse(value) {
    if (value === "sqlite") return value;
    const url = URL.parse(value);
    if (url?.protocol !== "mysql:" || url.hostname === "" || url.search !== "" || url.hash !== "") return undefined;
    try {
      return {
        host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
        port: url.port === "" ? undefined : Number(url.port),
        user: decodeURIComponent(url.username) || undefined,
        password: decodeURIComponent(url.password) || undefined,
        name: decodeURIComponent(url.pathname.slice(1)) || undefined,
      };
    } catch {
      return undefined; // a % that begins no escape
    }
  },
};

/** Up to 4 addresses of services, with commas between them. */
const urls: Kind<readonly string[]> = {
  placeholder: "URL,URL",
  expected: "at most 4 http:// or https:// addresses, with commas between them",
  parse(text) {
    const all = text.split(",").map((each) => each.trim()).filter((each) => each !== "");
    return all.length <= 4 && all.every(isServiceUrl) ? all : undefined;
  },
};

const logLevel: Kind<"debug" | "info" | "warn" | "error"> = {
  ...choice("debug", "info", "warn", "error"),
  parse: (value) => choice("debug", "info", "warn", "error").parse(value.replace(/^warning$/i, "warn")),
};

const listenAddress: Kind<{ readonly host: string; readonly port: number }> = {
  placeholder: "HOST:PORT",
  expected: "an address and a port: 127.0.0.1:7380 or [::1]:7380, for example",
  parse(value) {
    const [, bracketed, plain, digits = ""] =
      /^(?:\[([0-9A-Fa-f:.%]+)\]|([A-Za-z0-9._-]+)):([0-9]{1,5})$/.exec(value) ?? [];
    const number = port.parse(digits);
    const name = bracketed ?? plain;
    return name === undefined || number === undefined ? undefined : { host: name, port: number };
  },
};

/** The commands that have settings. */
export type Command =
  | ("init" | "ca" | "cert" | "serve" | "chat" | "verify")
  | ("invite" | "join" | "rooms" | "export" | "prove" | "room" | "profiles" | "password")
  | "witness";

interface Setting<T> {
  readonly kind: Kind<T>;
  /** The default, written as one would write it in `.env`; `undefined` where there is none. */
  readonly fallback: string | undefined;
  readonly commands: readonly Command[];
  readonly describe: string;
  /** The same for the `--help` of a command for which it means something of its own. */
  readonly describeFor?: Partial<Readonly<Record<Command, string>>>;
  /** The flag, where it isn't the name in lower case; `false` for what must not stand in a process list. */
  readonly flag?: string | false;
  /** What the flag stands for, where it takes no value. */
  readonly flagMeans?: string;
  /** Why a value must not stand on a command line, which every user of the machine can read. */
  readonly refuseFlag?: (value: string) => string | undefined;
  /** Never printed. */
  readonly secret?: true;
}

/** A setting that always has a value. */
function fixed<T>(kind: Kind<T>, fallback: string, rest: Omit<Setting<T>, "kind" | "fallback">): Setting<T> {
  return { kind, fallback, ...rest };
}

/** A setting that may have no value. */
function open<T>(
  kind: Kind<T>,
  rest: Omit<Setting<T>, "kind" | "fallback">,
): Setting<T | undefined> {
  return { kind, fallback: undefined, ...rest };
}

const SERVE: readonly Command[] = ["serve"];
/** Who opens the server's database. */
const DATABASE: readonly Command[] = ["serve", "invite", "room"];

/** The host, for who connects to it. */
const THE_SERVER = "host or address of the server; localhost where it is 0.0.0.0 or ::";

/** The port for TLS, for who connects to it. */
const THE_TLS_PORT = "the server's TCP port for TLS; SERVER_PORT + 1 without it";

/** Every setting. The order is that of `.env.example` and of `--help`. */
export const SETTINGS = {
  SERVER_HOST: fixed(host, "0.0.0.0", {
    flag: "host",
    commands: ["serve", "chat", "rooms", "export", "prove", "password"],
    describe: "address to listen on; `chat` connects to it, or to localhost if it is 0.0.0.0 or ::",
    describeFor: {
      serve: "address to listen on",
      chat: THE_SERVER,
      rooms: THE_SERVER,
      export: THE_SERVER,
      prove: THE_SERVER,
    },
  }),
  SERVER_PORT: fixed(port, "5000", {
    flag: "port",
    commands: ["serve", "chat", "invite", "rooms", "export", "prove", "password"],
    describe: "TCP port; 0 lets the system choose one",
    describeFor: {
      chat: "TCP port of the server",
      rooms: "the server's TCP port without TLS, for --plaintext",
      export: "the server's TCP port without TLS",
      prove: "the server's TCP port without TLS",
    },
  }),
  PLAIN_HOST: open(hostOrOff, {
    commands: SERVE,
    describe: "address for the port without TLS, if it isn't SERVER_HOST; `off` for no such port",
  }),
  TLS_PORT: open(tlsPort, {
    commands: ["serve", "chat", "invite", "rooms", "export", "prove", "password"],
    describe: "TCP port for TLS, only for version 2; by default SERVER_PORT + 1; `off` for none",
    describeFor: { rooms: THE_TLS_PORT, export: THE_TLS_PORT, prove: THE_TLS_PORT },
  }),
  CERT_DIR: fixed(path("DIR"), "certs", {
    flag: "certs",
    commands: [
      "init",
      "ca",
      "cert",
      "serve",
      "chat",
      "verify",
      "invite",
      "join",
      "rooms",
      "export",
      "prove",
      "password",
    ],
    describe: "certificates and private keys",
  }),
  DATA_DIR: fixed(path("DIR"), "data", {
    flag: "data",
    commands: DATABASE,
    describe: "journals of the sessions, the spool of the audit log, and the embedded database",
  }),
  TRANSCRIPT_DIR: fixed(path("DIR"), "transcripts", {
    flag: "transcripts",
    commands: ["chat", "invite", "join", "rooms", "export", "prove", "password"],
    describe: "transcripts and receipts that a client leaves",
  }),
  DB_URL: open(databaseUrl, {
    flag: "db",
    refuseFlag: (value) =>
      URL.parse(value)?.password
        ? "--db holds a password, which every user of this machine can read; set DB_PASSWORD, or DB_URL without --db, " +
          "in the environment or in .env"
        : undefined,
    commands: DATABASE,
    secret: true,
    describe: "database in one line, overrides DB_HOST and the others; `sqlite` is the embedded one",
  }),
  DB_HOST: open(host, {
    commands: DATABASE,
    describe: "host of MySQL or MariaDB; without it the embedded SQLite under DATA_DIR is used",
  }),
  DB_PORT: fixed(port, "3306", { commands: DATABASE, describe: "port of the database" }),
  DB_USER: fixed(text("NAME", "a user name"), "root", { commands: DATABASE, describe: "user of the database" }),
  DB_PASSWORD: open(text("TEXT", "a password", /^.+$/su), {
    commands: DATABASE,
    flag: false,
    secret: true,
    describe: "password of that user",
  }),
  DB_NAME: fixed(text("NAME", "a database name", /^[A-Za-z0-9_$-]+$/), "securechat", {
    commands: DATABASE,
    describe: "name of the database",
  }),
  DB_TLS: fixed(boolean, "false", {
    commands: DATABASE,
    describe: "connect to the database only over TLS, and check its certificate",
  }),
  DB_TLS_CA: open(path("FILE"), {
    commands: DATABASE,
    describe: "CAs of the database's certificate, as PEM, instead of the system's; turns DB_TLS on",
  }),
  LOG_LEVEL: fixed(logLevel, "info", { commands: SERVE, describe: "least level that is logged" }),
  LOG_FILE: fixed(path("FILE"), "logs/server.log", {
    commands: SERVE,
    describe: "log file, in addition to stderr; a device isn't rotated; `-` for none",
  }),
  LOG_MAX_BYTES: fixed(integer(4096, 2 ** 40, "BYTES"), "10485760", {
    commands: SERVE,
    describe: "size at which the log file is rotated",
  }),
  LOG_FILES: fixed(integer(1, 1000), "5", { commands: SERVE, describe: "rotated log files that are kept" }),
  ALLOW_V1: fixed(boolean, "true", {
    flag: "no-v1",
    flagMeans: "false",
    commands: SERVE,
    describe: "accept clients of protocol version 1, which don't prove that they hold their certificate's key",
  }),
  MAX_CONNECTIONS: fixed(integer(1, 1_000_000), "1000", { commands: SERVE, describe: "connections in all" }),
  MAX_CONNECTIONS_PER_ADDRESS: fixed(integer(1, 1_000_000), "100", {
    commands: SERVE,
    describe: "connections from one address",
  }),
  HANDSHAKE_TIMEOUT: fixed(integer(1, 3600, "SECONDS"), "10", {
    commands: ["serve", "chat", "join", "rooms", "password"],
    describe: "seconds from the connection to the session, without the server's own password work",
  }),
  CONNECTION_TIMEOUT: fixed(integer(1, 604_800, "SECONDS"), "900", {
    commands: SERVE,
    describe: "seconds that a session may be silent",
  }),
  ANSWER_TIMEOUT: fixed(integer(1, 3600, "SECONDS"), "30", {
    commands: ["chat", "join", "rooms", "password"],
    describe: "seconds that a client waits for an acknowledgement or a receipt",
  }),
  MAX_FRAME_BYTES_BEFORE_LOGIN: fixed(integer(8192, 16_384, "BYTES"), "16384", {
    commands: SERVE,
    describe: "longest frame before the login, at most the protocol's own limit",
  }),
  MAX_FRAME_BYTES: fixed(integer(8192, 65_536, "BYTES"), "65536", {
    commands: SERVE,
    describe: "longest frame in a session, at most the protocol's own limit",
  }),
  MAX_QUEUED_BYTES: fixed(integer(65_536, 2 ** 30, "BYTES"), "262144", {
    commands: SERVE,
    describe: "bytes that wait for a client that doesn't read, before it is closed",
  }),
  LINES_PER_SECOND: fixed(integer(1, 1_000_000), "50", {
    commands: SERVE,
    describe: "lines a second that one account may write; ten times as many at once",
  }),
  LINE_BYTES_PER_SECOND: fixed(integer(16_384, 2 ** 30, "BYTES"), "65536", {
    commands: SERVE,
    describe: "bytes a second of such lines; three times as many at once",
  }),
  LOGIN_FAILURES_PER_ADDRESS: fixed(integer(1, 1_000_000), "20", {
    commands: SERVE,
    describe: "failed logins from one address without a proved certificate, before it is locked",
  }),
  LOGIN_FAILURES_PER_CERTIFICATE: fixed(integer(1, 1_000_000), "100", {
    commands: SERVE,
    describe: "failed logins with one certificate, before it is locked for every account but its own",
  }),
  LOGIN_FAILURES_PER_ACCOUNT: fixed(integer(1, 1_000_000), "10", {
    commands: SERVE,
    describe: "failed logins with one certificate for one account, before it is locked for that account",
  }),
  LOGIN_DELAY_MS: fixed(integer(0, 60_000, "MS"), "250", {
    commands: SERVE,
    describe: "delay after the first failed login, in milliseconds; it doubles with each further one",
  }),
  LOCK_SECONDS: fixed(integer(1, 604_800, "SECONDS"), "900", {
    commands: SERVE,
    describe: "seconds for which a certificate or an address stays locked",
  }),
  REGISTRATIONS_PER_HOUR: fixed(integer(1, 1_000_000), "60", {
    commands: SERVE,
    describe: "registrations an hour with one certificate, or from one address if none is proved",
  }),
  REGISTRATIONS_PER_CERTIFICATE: fixed(integer(1, 1_000_000), "1000", {
    commands: SERVE,
    describe: "accounts that one certificate may register, if the operator issued it by hand",
  }),
  PASSWORD_COST: fixed(integer(1, 5), "1", {
    commands: SERVE,
    describe: "parallelism p of scrypt (N = 16384, r = 8): a hash takes p times as long",
  }),
  PASSWORD_QUEUE: fixed(integer(1, 10_000), "64", {
    commands: SERVE,
    describe: "password hashes that may wait; beyond them a login is refused as rate-limited",
  }),
  SPOOL_MAX_BYTES: fixed(integer(65_536, 2 ** 40, "BYTES"), "16777216", {
    commands: SERVE,
    describe: "bytes of audit rows kept on disk while the database is away; beyond, new connections are refused",
  }),
  CERT_WARN_DAYS: fixed(integer(0, 3650, "DAYS"), "30", {
    commands: ["serve", "chat"],
    describe: "days before the end of a certificate from which warnings come",
  }),
  LOG_SECONDS: fixed(integer(20, 3600, "SECONDS"), "60", {
    commands: SERVE,
    describe: "seconds between two ticks of the server's log: less is proved earlier, and costs members more",
  }),
  WITNESS_POLICY: open(path("FILE"), {
    commands: SERVE,
    describe: "policy file of the witnesses that cosign the server's log (C2SP tlog-policy)",
  }),
  TSA_URLS: fixed(urls, "", {
    flag: "tsa-urls",
    commands: SERVE,
    describe: "time-stamping authorities (RFC 3161) that stamp the server's log",
  }),
  TSA_ROOTS: open(path("FILE"), {
    commands: SERVE,
    describe: "root certificates of these authorities, as PEM; without them no token is accepted",
  }),
  STAMP_SECONDS: fixed(integer(60, 86_400, "SECONDS"), "600", {
    commands: SERVE,
    describe: "seconds between two time stamps of the server's log",
  }),
  WITNESS_NAME: open(text("NAME", "the name of a key: no blanks and no +", /^[^\p{White_Space}+\p{Cc}]{1,255}$/u), {
    flag: "name",
    commands: ["witness"],
    describe: "name of the witness for all time, best an address of yours: witness.example/w1",
  }),
  WITNESS_LOGS: open(path("FILE"), {
    flag: "logs",
    commands: ["witness"],
    describe: "policy file whose `log` lines are the logs that the witness cosigns",
  }),
  WITNESS_LISTEN: fixed(listenAddress, "127.0.0.1:7380", {
    flag: "listen",
    commands: ["witness"],
    describe: "address and port to listen on; port 0 lets the system choose one",
  }),
  WITNESS_DATA: fixed(path("DIR"), "witness", {
    flag: "data",
    commands: ["witness"],
    describe: "the witness's key, and the newest note of each log; never restore it from an old backup",
  }),
  SECURECHAT_HOME: open(path("DIR"), {
    flag: "home",
    commands: ["chat", "invite", "join", "rooms", "export", "prove", "profiles", "password"],
    describe: "folder of the profiles; by default where this system keeps settings and data of programs",
  }),
  SECURECHAT_PASSWORD_FILE: open(path("FILE"), {
    commands: ["chat", "join", "rooms", "password"],
    flag: false,
    describe: "file whose first line is the password to log in with; without it the password is asked for",
  }),
  SECURECHAT_KEY_PASSPHRASE_FILE: open(path("FILE"), {
    flag: "passphrase-file",
    commands: ["init", "ca", "cert", "serve", "chat", "join", "rooms", "export", "prove", "password"],
    describe: "file whose first line is the passphrase of the private keys",
  }),
} as const;

/** The name of a setting, as it stands in the environment. */
export type SettingName = keyof typeof SETTINGS;

/** Every setting's value. */
export type Config = {
  readonly [Name in SettingName]: (typeof SETTINGS)[Name] extends Setting<infer T> ? T : never;
};

/** Where settings come from beside the flags. */
export interface Sources {
  readonly environment: (name: string) => string | undefined;
  /** The text of `.env`; `undefined` where there is none. */
  readonly file: string | undefined;
  /** What a profile says. One that was named goes over the environment and `.env`, another behind them. */
  readonly profile?: { readonly values: ReadonlyMap<string, string>; readonly isNamed: boolean };
}

/** The flags of settings that stood on a command line: {@link parseCommand} gives them. */
export type SettingFlags = Readonly<Record<string, string>>;

/**
 * The settings, for a command. Those that it doesn't use have their values too, but are not checked: no default is
 * wrong.
 */
export function readConfig(
  command: Command,
  flags: SettingFlags = {},
  sources: Sources = surroundings(command),
): Config {
  const file = sources.file === undefined ? new Map<string, string>() : parseEnvFile(sources.file);
  const values: Record<string, unknown> = {};
  for (const [name, setting] of settingEntries()) {
    const fallback = setting.fallback === undefined ? undefined : setting.kind.parse(setting.fallback);
    const given = setting.commands.includes(command) ? find(name, setting, { flags, sources, file }) : undefined;
    values[name] = given === undefined ? fallback : setting.kind.parse(given.text);
    if (given !== undefined && values[name] === undefined) {
      const what = setting.secret ? given.where.replace("=…", "") : given.where.replace("…", given.text);
      throw new Failure(EXIT.usage, `${what} is not ${setting.kind.expected}`);
    }
  }
  // 0.0.0.0 and :: are addresses to listen on; as the name to connect to they would match no certificate.
  const connects = ["chat", "rooms", "export", "prove"].includes(command);
  if (connects && /^(?:0\.0\.0\.0|::)$/.test(String(values.SERVER_HOST))) values.SERVER_HOST = "localhost";
  return values as Config;
}

/** Whether somebody has said what a setting is, in a source that the command reads. */
export function isSet(
  command: Command,
  name: SettingName,
  flags: SettingFlags,
  sources: Sources = surroundings(command),
): boolean {
  return givenText(command, name, flags, sources) !== undefined;
}

/** What somebody has said that a setting is, as it was written. */
export function givenText(
  command: Command,
  name: SettingName,
  flags: SettingFlags,
  sources: Sources = surroundings(command),
): string | undefined {
  const file = parseEnvFile(sources.file ?? "");
  return find(name, SETTINGS[name], { flags, sources, file })?.text;
}

/** Where the accounts are kept, out of DB_URL or the five settings of the seed. */
export type Database =
  | { readonly kind: "sqlite" }
  | {
    readonly kind: "mysql";
    readonly host: string;
    readonly port: number;
    readonly user: string;
    readonly password: string;
    readonly name: string;
    readonly tls?: boolean;
    readonly tlsCa?: string;
  };

/** The database that the settings name. What DB_URL leaves out is taken from DB_PORT, DB_USER, DB_PASSWORD, DB_NAME. */
export function databaseOf(config: Config): Database {
  const url = config.DB_URL;
  const host = url === "sqlite" ? undefined : url?.host ?? config.DB_HOST;
  if (url === "sqlite" || host === undefined) return { kind: "sqlite" };
  return {
    kind: "mysql",
    host,
    port: url?.port ?? config.DB_PORT,
    user: url?.user ?? config.DB_USER,
    password: url?.password ?? config.DB_PASSWORD ?? "",
    name: url?.name ?? config.DB_NAME,
    ...(config.DB_TLS || config.DB_TLS_CA !== undefined ? { tls: true } : {}),
    ...(config.DB_TLS_CA === undefined ? {} : { tlsCa: config.DB_TLS_CA }),
  };
}

/** The name of a setting's flag; `undefined` where it has none. */
export function flagOf(name: SettingName): string | undefined {
  const setting: Setting<unknown> = SETTINGS[name];
  return setting.flag === false ? undefined : setting.flag ?? name.toLowerCase().replaceAll("_", "-");
}

function settingEntries(): [SettingName, Setting<unknown>][] {
  return Object.entries(SETTINGS) as [SettingName, Setting<unknown>][];
}

interface Given {
  text: string;
  /** How the sentence names it, the value as `…`. */
  where: string;
}

function find(
  name: SettingName,
  setting: Setting<unknown>,
  from: { flags: SettingFlags; sources: Sources; file: ReadonlyMap<string, string> },
): Given | undefined {
  const flag = flagOf(name);
  const onCommandLine = flag === undefined ? undefined : from.flags[flag];
  if (onCommandLine !== undefined) {
    const why = setting.refuseFlag?.(onCommandLine);
    if (why !== undefined) throw new Failure(EXIT.usage, why);
    return { text: setting.flagMeans ?? onCommandLine, where: `--${flag}=…` };
  }
  const { profile } = from.sources;
  const inProfile = profile?.values.get(name);
  const fromProfile = inProfile === undefined ? undefined : { text: inProfile, where: `${name}=… of the profile` };
  if (profile?.isNamed && fromProfile) return fromProfile;
  const inEnvironment = from.sources.environment(name);
  if (inEnvironment) return { text: inEnvironment, where: `${name}=… from the environment` };
  const inFile = from.file.get(name);
  return inFile ? { text: inFile, where: `${name}=… from .env` } : fromProfile;
}

/** The names and values of a `.env` file; the grammar stands at the head of this module. */
export function parseEnvFile(text: string): Map<string, string> {
  const values = new Map<string, string>();
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (/^\s*(?:#|$)/.test(line)) continue;
    const [, name, rest = ""] = /^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=(.*)$/.exec(line) ?? [];
    const quoted = /^\s*(?:"([^"]*)"|'([^']*)')\s*(?:\s#.*)?$/.exec(rest);
    const value = quoted ? quoted[1] ?? quoted[2] ?? "" : rest.replace(/\s#.*$/, "").trim();
    // The line itself isn't shown: it may be a password whose name is written wrongly.
    if (name === undefined || (!quoted && /^["']/.test(value))) {
      throw new Failure(EXIT.usage, `line ${index + 1} of .env is not NAME=value; see .env.example`);
    }
    values.set(name, value);
  }
  return values;
}

/**
 * Commands that judge or show what others may have made read no `.env`: it would come along in the folder of the
 * evidence, and name the CA that judges it.
 */
const WITHOUT_ENV_FILE: ReadonlySet<Command> = new Set<Command>(["verify", "prove"]);

/** The environment, and `.env` of the working directory where the command reads it. */
export function surroundings(command: Command): Sources {
  return {
    environment: (name) => Deno.env.get(name),
    file: WITHOUT_ENV_FILE.has(command) ? undefined : readEnvFile(),
  };
}

/** 64 KiB: a value for every setting has 2. */
const MAX_ENV_BYTES = 65_536;

function readEnvFile(): string | undefined {
  if (!existsSync(".env")) return undefined;
  try {
    return readTextFileSync(".env", { max: MAX_ENV_BYTES });
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    throw new Failure(error.status, `the settings in this folder: ${error.message}; mend .env, or move it away`);
  }
}

// ---- command lines

/** One flag of a command. */
export interface OptionSpec {
  readonly type: "string" | "boolean";
  /** One letter. */
  readonly short?: string;
  /** May stand more than once. */
  readonly multiple?: true;
  /** What stands for the value in `--help`. */
  readonly value?: string;
  readonly describe: string;
}

/** What a command takes. */
export interface CommandSpec<Options extends Readonly<Record<string, OptionSpec>>> {
  /** As it is typed after `securechat`: `serve`, `cert show`. */
  readonly name: string;
  /** What it is typed after, where that isn't `securechat`: `deno task`. */
  readonly program?: string;
  /** One sentence, without a full stop. */
  readonly summary: string;
  /** Lines of usage, and examples. */
  readonly usage: string;
  readonly options: Options;
  /** Takes the flags of this command's settings too. */
  readonly settings?: Command;
  /** Arguments that aren't flags; none where this is left out. `names` is what a message calls them. */
  readonly positionals?: { readonly min: number; readonly max: number; readonly names: string };
}

type OptionValue<Option extends OptionSpec> = Option extends { multiple: true } ? string[]
  : Option extends { type: "boolean" } ? boolean
  : string | undefined;

/** A command line that was understood. */
export interface CommandLine<Options extends Readonly<Record<string, OptionSpec>>> {
  readonly options: { readonly [Name in keyof Options]: OptionValue<Options[Name]> };
  readonly positionals: readonly string[];
  /** For {@link readConfig}. */
  readonly flags: SettingFlags;
}

/** A flag as help, completion and the man page show it. */
export interface FlagRow {
  /** Without the hyphens. */
  readonly name: string;
  readonly short: string | undefined;
  /** What stands for its value: `FILE`, `debug|info`; `undefined` where it takes none. */
  readonly value: string | undefined;
  readonly describe: string;
  /** The setting that it is a flag of. */
  readonly setting: SettingName | undefined;
}

/** All that help says about a command. */
export interface CommandPage {
  /** As it is typed after `securechat`: `serve`, `cert show`. */
  readonly name: string;
  readonly summary: string;
  readonly usage: string;
  readonly flags: readonly FlagRow[];
  /** Whether its settings may stand in `.env`. */
  readonly readsEnvFile: boolean;
}

/** Thrown for `--help`: the text belongs on stdout, and the status is 0. */
export class HelpAsked extends Error {
  /** `page`: of one command. */
  constructor(readonly text: string, readonly page?: CommandPage) {
    super("help was asked for");
    this.name = "HelpAsked";
  }
}

/**
 * Reads a command line; throws {@link HelpAsked} for `--help`, and {@link Failure} for what isn't in the specification.
 */
export function parseCommand<const Options extends Readonly<Record<string, OptionSpec>>>(
  args: readonly string[],
  spec: CommandSpec<Options>,
): CommandLine<Options> {
  const known: Record<string, OptionSpec> = { ...settingOptions(spec.settings), ...spec.options, help: HELP };
  const wrong = (what: string) => new Failure(EXIT.usage, `${what}; see ${callOf(spec)} --help`);

  const config = Object.fromEntries(
    Object.entries(known).map(([name, { type, short }]) => [name, short === undefined ? { type } : { type, short }]),
  );
  // Not strict: strict mode's own messages explain the option terminator at length and don't name the command.
  const { tokens } = parseArgs({ args: [...args], options: config, strict: false, tokens: true });

  const found = new Map<string, string[]>();
  const positionals: string[] = [];
  for (const token of tokens) {
    if (token.kind === "positional") positionals.push(token.value);
    if (token.kind !== "option") continue;
    const { name, rawName, value, inlineValue } = token;
    const option = Object.hasOwn(known, name) ? known[name] : undefined;
    if (option === undefined) {
      const near = nearest(name, Object.keys(known));
      const suggestion = near === undefined ? "; see" : `: did you mean --${near}? See`;
      throw new Failure(EXIT.usage, `unknown flag ${rawName}${suggestion} ${callOf(spec)} --help`);
    }
    if (option.type === "boolean" && value !== undefined) throw wrong(`${rawName} takes no value`);
    if (option.type === "string" && (value === undefined || value === "" || (!inlineValue && /^-./.test(value)))) {
      throw wrong(`${rawName} needs a value`);
    }
    const values = found.get(name) ?? [];
    if (values.length > 0 && !option.multiple && option.type === "string") throw wrong(`${rawName} is given twice`);
    found.set(name, [...values, value ?? ""]);
  }
  if (found.has("help")) {
    const page = pageOf(spec, known);
    throw new HelpAsked(helpText(callOf(spec), page), page);
  }

  const { min, max, names } = spec.positionals ?? { min: 0, max: 0, names: "" };
  if (positionals.length < min) throw wrong(`${names} is missing`);
  if (positionals.length > max) throw wrong(`"${positionals[max]}" is one argument too many`);

  const options = Object.fromEntries(
    Object.entries<OptionSpec>(spec.options).map(([name, option]) => {
      const values = found.get(name);
      if (option.multiple) return [name, values ?? []];
      return [name, option.type === "boolean" ? values !== undefined : values?.[0]];
    }),
  );
  const flags = Object.fromEntries(
    Object.keys(settingOptions(spec.settings)).flatMap((name) => {
      const value = found.get(name)?.[0];
      return value === undefined || Object.hasOwn(spec.options, name) ? [] : [[name, value]];
    }),
  );
  return { options: options as CommandLine<Options>["options"], positionals, flags };
}

function callOf({ program = "securechat", name }: { program?: string; name: string }): string {
  return `${program} ${name}`;
}

const HELP: OptionSpec = { type: "boolean", short: "h", describe: "print this" };

/** The flags of a command's settings. */
function settingOptions(command: Command | undefined): Record<string, OptionSpec> {
  const options: Record<string, OptionSpec> = {};
  for (const [name, setting] of settingEntries()) {
    const flag = flagOf(name);
    if (command === undefined || flag === undefined || !setting.commands.includes(command)) continue;
    const describe = setting.describeFor?.[command] ?? setting.describe;
    const note = setting.flagMeans !== undefined
      ? `${name}=${setting.flagMeans}: don't ${describe}`
      : `${describe} [${name}${setting.fallback === undefined ? "" : `, ${setting.fallback}`}]`;
    options[flag] = setting.flagMeans === undefined
      ? { type: "string", value: setting.kind.placeholder, describe: note }
      : { type: "boolean", describe: note };
  }
  return options;
}

function pageOf(
  spec: CommandSpec<Readonly<Record<string, OptionSpec>>>,
  known: Readonly<Record<string, OptionSpec>>,
): CommandPage {
  const settings = new Map(
    settingEntries().flatMap(([name, { commands }]): [string, SettingName][] => {
      const flag = flagOf(name);
      const isOurs = spec.settings !== undefined && commands.includes(spec.settings);
      return flag !== undefined && isOurs && !Object.hasOwn(spec.options, flag) ? [[flag, name]] : [];
    }),
  );
  const flags = Object.entries(known).map(([name, { type, short, value = "TEXT", describe }]) => ({
    ...{ name, short, describe, setting: settings.get(name) },
    value: type === "string" ? value : undefined,
  }));
  const readsEnvFile = spec.settings !== undefined && !WITHOUT_ENV_FILE.has(spec.settings);
  return { name: spec.name, summary: spec.summary, usage: spec.usage.trim(), flags, readsEnvFile };
}

function helpText(call: string, { summary, usage, flags, readsEnvFile }: CommandPage): string {
  const left = ({ name, short, value }: FlagRow) =>
    `  ${short === undefined ? "    " : `-${short}, `}--${name}${value === undefined ? "" : ` ${value}`}`;
  const width = Math.max(...flags.map((flag) => left(flag).length)) + 2;
  const lines = (rows: readonly FlagRow[]) => rows.map((flag) => left(flag).padEnd(width) + flag.describe).join("\n");
  const settings = flags.filter(({ setting }) => setting !== undefined);
  const own = flags.filter(({ setting }) => setting === undefined);
  const parts = [`${call}: ${summary}`, usage, `Flags:\n${lines(own)}`];
  if (settings.length > 0) {
    const sources = readsEnvFile ? "the environment or .env" : "the environment";
    parts.push(`Settings, each also from ${sources} under the name in brackets:\n${lines(settings)}`);
  }
  return `${parts.join("\n\n")}\n`;
}
