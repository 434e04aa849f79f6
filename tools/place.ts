/**
 * Where a command of a person finds who they are, their server and their records. The first of these that holds:
 *
 * 1. a profile that the command names: `securechat rooms work`;
 * 2. the folders that --certs, CERT_DIR or .env name;
 * 3. where an address was given (--host, --port, --tls-port, or their settings): the profile of that server, or, where
 *    there is none, certs/ in the working directory;
 * 4. the only profile, or the default one;
 * 5. certs/ and transcripts/ in the working directory.
 *
 * A profile that was named goes over the environment and `.env`; flags go over everything.
 */

import { type Home, homeOf, type Profile, profileNamed, profilesOf, type StoredProfile } from "../lib/client_home.ts";
import { defaultProfile, isProfileName } from "../lib/client_home.ts";
import { addressKey, type RecordChoice, recordToRead } from "../lib/client_servers.ts";
import {
  type Command,
  type Config,
  givenText,
  isSet,
  readConfig,
  type SettingFlags,
  type SettingName,
  surroundings,
} from "../lib/config.ts";
import { EXIT, Failure } from "../lib/errors.ts";
import { exists, shellPath } from "../lib/files.ts";
import { pathIn } from "../lib/identity.ts";
import { RoomRecords } from "../lib/client_room_records.ts";
import { PROGRAM } from "../lib/program.ts";
import { printable } from "../lib/text.ts";
import { usage } from "./asking.ts";

/** Where somebody is found. */
export interface Place {
  readonly command: Command;
  /** The settings of the command, with those of the profile. */
  readonly config: Config;
  readonly profile: Profile | undefined;
  /** The port for TLS; `undefined` where TLS_PORT is off. */
  readonly tlsPort: number | undefined;
  /** The CA's file, where `verify` doesn't find it by itself. */
  readonly ca: string | undefined;
  /** Where records of rooms are looked for. */
  readonly records: RecordChoice;
}

/** What a command line says of where it is. */
export interface Asked {
  /** The profile that it names. */
  readonly profile?: string | undefined;
  /** Profiles are of no use: a new account is made with the certificate of a folder. */
  readonly isNew?: boolean;
  readonly moved?: boolean;
}

/** The profile that stands before the other arguments, where one does, and these. */
export function splitProfile(positionals: readonly string[]): [string | undefined, readonly string[]] {
  const [first, ...others] = positionals;
  return first !== undefined && isProfileName(first) ? [first, others] : [undefined, positionals];
}

/** Where that command's person is found. Failure (2) where it isn't clear. */
export async function placeOf(
  command: Command,
  flags: SettingFlags,
  asked: Asked = {},
  name: string = command,
): Promise<Place> {
  const profile = await chooseProfile(command, name, flags, asked);
  const values = new Map<SettingName, string>();
  if (profile) {
    values.set("CERT_DIR", profile.certs).set("TRANSCRIPT_DIR", profile.transcripts).set("SERVER_HOST", profile.host);
    const hasOwnPort = flags["port"] !== undefined && flags["tls-port"] === undefined;
    if (!hasOwnPort) values.set("TLS_PORT", String(profile.tlsPort));
  }
  const isNamed = asked.profile !== undefined;
  const config = readConfig(command, flags, { ...surroundings(command), profile: { values, isNamed } });
  const { TRANSCRIPT_DIR, SERVER_HOST: host, SERVER_PORT, TLS_PORT = SERVER_PORT + 1 } = config;
  const tlsPort = TLS_PORT === "off" ? undefined : TLS_PORT;
  if (profile?.transcripts === TRANSCRIPT_DIR) await mustHaveRecords(profile);
  return {
    ...{ command, config, profile, tlsPort },
    ca: config.CERT_DIR === "certs" ? undefined : pathIn(config.CERT_DIR, "ca_cert.pem"),
    records: {
      folder: `${TRANSCRIPT_DIR}/rooms`,
      address: { host, port: tlsPort ?? SERVER_PORT },
      isOne: profile?.transcripts === TRANSCRIPT_DIR,
      moved: asked.moved ?? false,
    },
  };
}

/** The records of a place, to be read without a connection. */
export async function recordsToRead({ command, records, profile }: Place, flags: SettingFlags): Promise<RoomRecords> {
  const { folder, address: { host, port } } = records;
  const isHost = !profile && hasHost(command, flags);
  const isPort = !profile && hasPort(command, flags);
  return await RoomRecords.toRead(
    await recordToRead(folder, { host: isHost ? host : undefined, port: isPort ? port : undefined }),
  );
}

/** An empty record in the place of one that is gone would hide that a server shows another log than before. */
async function mustHaveRecords({ name, transcripts }: StoredProfile): Promise<void> {
  if (await exists(transcripts)) return;
  throw new Failure(
    EXIT.usage,
    `the records of the profile ${name} are gone: there is no ${transcripts}; restore that folder (or XDG_DATA_HOME), or ` +
      `begin empty ones with: mkdir -p -m 700 ${shellPath(transcripts)}`,
  );
}

const NO_PROFILES: readonly StoredProfile[] = [];

async function chooseProfile(
  command: Command,
  name: string,
  flags: SettingFlags,
  asked: Asked,
): Promise<StoredProfile | undefined> {
  const config = readConfig(command, flags);
  if (asked.profile !== undefined) {
    if (flags["certs"] !== undefined) throw usage(name, "a profile and --certs exclude each other");
    return await profileNamed(homeOf(config.SECURECHAT_HOME), asked.profile);
  }
  if (asked.isNew || isSet(command, "CERT_DIR", flags)) return undefined;
  const home = findHome(config);
  const all = home ? await profilesOf(home) : NO_PROFILES;
  const fitting = hasHost(command, flags) || hasPort(command, flags)
    ? all.filter((one) => fits(one, config, { command, flags }))
    : all;
  if (!home || fitting.length === 0) return await noProfile(name, all, config);
  const preferred = await defaultProfile(home);
  const chosen = fitting.length === 1 ? fitting[0] : fitting.find((one) => one.name === preferred);
  if (!chosen) {
    const names = fitting.map(tellProfile).join(", ");
    const how = `name it: ${PROGRAM} ${name} ${fitting[0]?.name}; or choose for good: ${PROGRAM} profiles default NAME`;
    throw new Failure(EXIT.usage, `you have several profiles, ${names}; ${how}`);
  }
  if (await exists(pathIn("certs", "client_cert.pem"))) {
    console.error(`Using the profile ${tellProfile(chosen)}; for the certificate in this folder, add --certs certs.`);
  }
  return chosen;
}

/** A machine without a home has no profiles. */
function findHome(config: Config): Home | undefined {
  try {
    return homeOf(config.SECURECHAT_HOME);
  } catch (error) {
    if (error instanceof Failure) return undefined;
    throw error;
  }
}

async function noProfile(name: string, all: readonly StoredProfile[], { CERT_DIR }: Config): Promise<undefined> {
  if (all.length === 0 || await exists(pathIn(CERT_DIR, "client_cert.pem"))) return;
  const names = all.map(tellProfile).join(", ");
  throw new Failure(
    EXIT.usage,
    `none of your profiles is of that server: ${names}; to use one for another address, name it: ${PROGRAM} ${name} ` +
      `${all[0]?.name} --host …`,
  );
}

/** A profile in a sentence: `work (ada on chat.example.org)`. */
export function tellProfile({ name, username, host }: Profile): string {
  return printable(`${name} (${username} on ${host})`);
}

/** 0.0.0.0 and :: are where a server listens. */
function hasHost(command: Command, flags: SettingFlags): boolean {
  const text = givenText(command, "SERVER_HOST", flags);
  return text !== undefined && !/^(?:0\.0\.0\.0|::)$/.test(text);
}

/** Whether the port for TLS is given, or follows from what is. */
function hasPort(command: Command, flags: SettingFlags): boolean {
  if (isSet(command, "TLS_PORT", flags)) return true;
  return command !== "chat" && isSet(command, "SERVER_PORT", flags); // that is of another port, without TLS
}

function fits(
  profile: StoredProfile,
  config: Config,
  { command, flags }: { command: Command; flags: SettingFlags },
): boolean {
  const { SERVER_HOST, SERVER_PORT, TLS_PORT = SERVER_PORT + 1 } = config;
  const host = hasHost(command, flags) ? SERVER_HOST : profile.host;
  const port = hasPort(command, flags) ? Number(TLS_PORT) : profile.tlsPort;
  return addressKey({ host, port }) === addressKey({ host: profile.host, port: profile.tlsPort });
}
