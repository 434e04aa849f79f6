/**
 * The table of settings: names, defaults, ranges and meanings. Help, `.env.example` and docs/OPERATING.md are derived
 * from it; `config.ts` reads the values.
 *
 * @layer outside
 */

import {
  boolean,
  databaseUrl,
  host,
  hostOrOff,
  integer,
  type Kind,
  listenAddress,
  logLevel,
  path,
  port,
  text,
  tlsPort,
  urls,
} from "./config_kinds.ts";

/** The commands that have settings. */
export type Command =
  | ("init" | "ca" | "cert" | "serve" | "chat" | "verify")
  | ("invite" | "join" | "rooms" | "export" | "prove" | "room" | "profiles" | "password")
  | ("witness" | "log" | "audit");

/** A setting. */
export interface Setting<T> {
  readonly kind: Kind<T>;
  /** The default, written as in `.env`; `undefined` if there is none. */
  readonly fallback: string | undefined;
  readonly commands: readonly Command[];
  readonly describe: string;
  /** Other descriptions for commands in which the setting means something else. */
  readonly describeFor?: Partial<Readonly<Record<Command, string>>>;
  /** The flag, if it isn't the name in lower case; `false` for secrets, which must not be in a process list. */
  readonly flag?: string | false;
  /** The value of a flag that takes none. */
  readonly flagMeans?: string;
  /** Why this value must not be given on a command line, which every user of the machine can read. */
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
/** The commands that open the server's database. */
const DATABASE: readonly Command[] = ["serve", "invite", "room", "log", "audit"];

/** The description of the host for commands that connect to it. */
const THE_SERVER = "host or address of the server; localhost if it is 0.0.0.0 or ::";

/** The description of the TLS port for commands that connect to it. */
const THE_TLS_PORT = "the server's TCP port for TLS; by default SERVER_PORT + 1";

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
      "log",
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
  LOG_LEVEL: fixed(logLevel, "info", { commands: SERVE, describe: "lowest level that is logged" }),
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
    commands: ["serve", "log"],
    describe: "bytes of audit rows kept on disk while the database is away; beyond, new connections are refused",
  }),
  CERT_WARN_DAYS: fixed(integer(0, 3650, "DAYS"), "30", {
    commands: ["serve", "chat"],
    describe: "days before the end of a certificate from which warnings come",
  }),
  LOG_SECONDS: fixed(integer(20, 3600, "SECONDS"), "60", {
    commands: ["serve", "log"],
    describe: "seconds between two ticks of the server's log: less is proved earlier, and costs members more",
  }),
  WITNESS_POLICY: open(path("FILE"), {
    commands: ["serve", "rooms"],
    describe: "policy file of the witnesses that cosign the server's log (C2SP tlog-policy)",
    describeFor: {
      rooms:
        "witnesses and logs that count for you (C2SP tlog-policy); without it the server's own signature is enough",
    },
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
    commands: ["init", "ca", "cert", "serve", "chat", "join", "rooms", "export", "prove", "password", "log"],
    describe: "file whose first line is the passphrase of the private keys",
  }),
} as const;

/** The name of a setting, as in the environment. */
export type SettingName = keyof typeof SETTINGS;

/** Every setting's value. */
export type Config = {
  readonly [Name in SettingName]: (typeof SETTINGS)[Name] extends Setting<infer T> ? T : never;
};

/** The flags of settings on a command line, as `parseCommand` of `command_line.ts` returns them. */
export type SettingFlags = Readonly<Record<string, string>>;

/** The name of a setting's flag; `undefined` if it has none. */
export function flagOf(name: SettingName): string | undefined {
  const setting: Setting<unknown> = SETTINGS[name];
  return setting.flag === false ? undefined : setting.flag ?? name.toLowerCase().replaceAll("_", "-");
}

/** Every setting with its name. */
export function settingEntries(): [SettingName, Setting<unknown>][] {
  return Object.entries(SETTINGS) as [SettingName, Setting<unknown>][];
}

const WITHOUT_ENV_FILE: ReadonlySet<Command> = new Set<Command>(["verify", "prove"]);

/**
 * Whether a command reads `.env`. Commands that judge or show what others may have made don't: the file could come with
 * the evidence, and name the CA that judges it.
 */
export function mayReadEnvFile(command: Command): boolean {
  return !WITHOUT_ENV_FILE.has(command);
}
