/**
 * The values of settings: flags override the environment, which overrides `.env` in the working folder (commands that
 * judge evidence don't read that), which overrides the defaults of `config_settings.ts`. If a value makes no sense, the
 * command ends with one sentence that names it and its source:
 *
 *     SERVER_PORT=70000 from .env is not a port: a number from 0 to 65535
 *
 * A line of `.env` is `NAME=value`, a comment that begins with `#`, or empty; `export ` may come before the name. A value
 * in single or double quotes is everything between them. Without quotes it ends before a blank that is followed by `#`,
 * but a `#` inside a word belongs to the value. There are no escapes and no references to other names. (`parseEnv` of
 * node:util cuts an unquoted value at any `#`, even in a password, and Deno 2.6 doesn't have it.) An empty value counts as
 * none. Names that are not in the table are ignored.
 *
 * @layer outside
 */

import {
  type Command,
  type Config,
  flagOf,
  mayReadEnvFile,
  type Setting,
  settingEntries,
  type SettingFlags,
  type SettingName,
  SETTINGS,
} from "./config_settings.ts";
import { EXIT, Failure } from "./errors.ts";
import { existsSync, readTextFileSync } from "./files.ts";

export { type Command, type Config, flagOf, type SettingFlags, type SettingName, SETTINGS } from "./config_settings.ts";

/** Where settings come from, besides the flags. */
export interface Sources {
  readonly environment: (name: string) => string | undefined;
  /** The text of `.env`; `undefined` if there is none. */
  readonly file: string | undefined;
  /** The settings of a profile. A named profile overrides the environment and `.env`; another is overridden by them. */
  readonly profile?: { readonly values: ReadonlyMap<string, string>; readonly isNamed: boolean };
}

/**
 * The settings for a command. Settings that it doesn't use have their defaults.
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
  // 0.0.0.0 and :: are only addresses to listen on: a client that connects to them would match no certificate.
  const connects = ["chat", "rooms", "export", "prove"].includes(command);
  if (connects && /^(?:0\.0\.0\.0|::)$/.test(String(values.SERVER_HOST))) values.SERVER_HOST = "localhost";
  return values as Config;
}

/** Whether a setting is given in a source that the command reads. */
export function isSet(
  command: Command,
  name: SettingName,
  flags: SettingFlags,
  sources: Sources = surroundings(command),
): boolean {
  return givenText(command, name, flags, sources) !== undefined;
}

/** The text of a setting, if it is given. */
export function givenText(
  command: Command,
  name: SettingName,
  flags: SettingFlags,
  sources: Sources = surroundings(command),
): string | undefined {
  const file = parseEnvFile(sources.file ?? "");
  return find(name, SETTINGS[name], { flags, sources, file })?.text;
}

/** The database, from DB_URL or from DB_HOST and the others. */
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

/** The database that the settings name. DB_PORT, DB_USER, DB_PASSWORD and DB_NAME add what DB_URL leaves out. */
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

interface Given {
  text: string;
  /** How a message names it, with `…` for the value. */
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

/** The names and values of a `.env` file, in the grammar that is described at the top of this module. */
export function parseEnvFile(text: string): Map<string, string> {
  const values = new Map<string, string>();
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (/^\s*(?:#|$)/.test(line)) continue;
    const [, name, rest = ""] = /^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=(.*)$/.exec(line) ?? [];
    const quoted = /^\s*(?:"([^"]*)"|'([^']*)')\s*(?:\s#.*)?$/.exec(rest);
    const value = quoted ? quoted[1] ?? quoted[2] ?? "" : rest.replace(/\s#.*$/, "").trim();
    // The line itself isn't shown: it may be a password with a mistyped name.
    if (name === undefined || (!quoted && /^["']/.test(value))) {
      throw new Failure(EXIT.usage, `line ${index + 1} of .env is not NAME=value; see .env.example`);
    }
    values.set(name, value);
  }
  return values;
}

/** The environment, and `.env` in the working folder if the command reads it. */
export function surroundings(command: Command): Sources {
  return {
    environment: (name) => Deno.env.get(name),
    file: mayReadEnvFile(command) ? readEnvFile() : undefined,
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
    throw new Failure(error.status, `the settings in this folder: ${error.message}; correct .env, or move it away`);
  }
}
