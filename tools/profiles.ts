/**
 * `securechat profiles`: the servers that this program knows, one profile each, which `join` makes.
 *
 *     $ securechat profiles
 *     chat.example.org   ada on chat.example.org:5001    default
 *     work               a.lovelace on chat.work:5001
 *     $ securechat profiles rename chat.example.org friends
 *
 * What a profile is made of is `lib/client_home.ts`; which one a command takes is `place.ts`.
 */

import {
  defaultProfile,
  type Home,
  homeOf,
  isProfileName,
  profileNamed,
  profilesOf,
  removeProfile,
  saveProfile,
  setDefaultProfile,
  type StoredProfile,
} from "../lib/client_home.ts";
import { type CommandSpec, parseCommand } from "../lib/command_line.ts";
import { readConfig } from "../lib/config.ts";
import { EXIT, type ExitStatus, Failure } from "../lib/errors.ts";
import { exists } from "../lib/files.ts";
import { encodeJson } from "../lib/json.ts";
import { usernameKey } from "../lib/names.ts";
import { PROGRAM } from "../lib/program.ts";
import { askLine, isTerminal, write } from "../lib/terminal.ts";
import { printable } from "../lib/text.ts";
import { usage } from "./asking.ts";
import { JSON_FLAG } from "./making.ts";
import { tellProfile } from "./place.ts";

const OPTIONS = {
  json: JSON_FLAG,
  yes: { type: "boolean", describe: "don't ask before a profile is removed" },
} as const;

const SPEC = {
  name: "profiles",
  summary: "list the servers that you joined, and name, choose and remove them",
  usage: `securechat profiles                    each profile, its account and server
securechat profiles default NAME       the one that commands use if none is named
securechat profiles rename NAME NEW    another name; nothing else changes
securechat profiles remove NAME        removes it with its key; its records stay, and it says where

"securechat join" makes a profile. Commands use it by its name: securechat rooms NAME, securechat export NAME '#ops'. If
there is only one, it needs no name.

Examples:
  securechat profiles --json
  securechat profiles rename chat.example.org work`,
  options: OPTIONS,
  settings: "profiles",
  positionals: { min: 0, max: 3, names: "default, rename or remove, and NAME" },
} as const satisfies CommandSpec<typeof OPTIONS>;

/** Runs the command. */
export async function run(args: string[]): Promise<ExitStatus> {
  const { options, positionals: [part = "list", name, ...more], flags } = parseCommand(args, SPEC);
  const home = homeOf(readConfig("profiles", flags).SECURECHAT_HOME);
  const wanted = ({ list: 0, default: 1, remove: 1, rename: 2 } as Record<string, number>)[part];
  if (wanted === undefined) throw usage("profiles", `"${printable(part)}" is not default, rename or remove`);
  const given = [name, ...more].filter((one) => one !== undefined);
  if (given.length < wanted) throw usage("profiles", `${part} needs ${wanted === 1 ? "NAME" : "NAME and NEW"}`);
  if (given.length > wanted) throw usage("profiles", `"${printable(given[wanted] ?? "")}" is one argument too many`);
  if (part === "list") return await list(home, options.json);
  const profile = await profileNamed(home, name ?? "");
  if (part === "default") return await makeDefault(home, profile);
  return part === "rename" ? await rename(home, profile, more[0] ?? "") : await remove(home, profile, options.yes);
}

async function list(home: Home, json: boolean): Promise<ExitStatus> {
  const all = await profilesOf(home);
  const preferred = all.length === 1 ? all[0]?.name : await defaultProfile(home);
  if (json) {
    const profiles = all.map(({ name, host, tlsPort, username, email, certs, transcripts }) => ({
      ...{ name, host, tls_port: tlsPort, username, email, certs, transcripts, default: name === preferred },
    }));
    write(`${encodeJson({ profiles })}\n`);
    return EXIT.done;
  }
  if (all.length === 0) console.error(`There are no profiles in ${home.config} yet: ${PROGRAM} join CODE makes one.`);
  const width = Math.max(0, ...all.map(({ name }) => name.length));
  for (const { name, host, tlsPort, username } of all) {
    const row = `${name.padEnd(width)}  ${username} on ${host}:${tlsPort}${name === preferred ? "  default" : ""}`;
    write(`${printable(row)}\n`);
  }
  return EXIT.done;
}

async function makeDefault(home: Home, profile: StoredProfile): Promise<ExitStatus> {
  await setDefaultProfile(home, profile);
  console.error(`The default profile is ${tellProfile(profile)}.`);
  return EXIT.done;
}

async function rename(home: Home, profile: StoredProfile, name: string): Promise<ExitStatus> {
  if (!isProfileName(name)) {
    const what = "a name has 1 to 64 letters, digits, dots, hyphens and underscores, and isn't a number";
    throw usage("profiles", `"${printable(name)}" can't be a profile's name: ${what}`);
  }
  const isTaken = (one: StoredProfile) => one.folder !== profile.folder && usernameKey(one.name) === usernameKey(name);
  if ((await profilesOf(home)).some(isTaken)) {
    throw new Failure(EXIT.usage, `there is a profile "${name}" already; choose another name`);
  }
  await saveProfile(home, profile.folder, { ...profile, name });
  console.error(`${profile.name} is called ${name} now.`);
  return EXIT.done;
}

async function remove(home: Home, profile: StoredProfile, isSure: boolean): Promise<ExitStatus> {
  const what = `${tellProfile(profile)} with its certificate and key`;
  if (!isSure && !isTerminal()) throw usage("profiles", `not a terminal: confirm with --yes that ${what} goes`);
  if (!isSure && !/^y(?:es)?$/i.test((await askLine(`Remove ${what}? It can't be undone. [y/N] `)).trim())) {
    throw new Failure(EXIT.refused, "nothing was removed");
  }
  await removeProfile(home, profile);
  const kept = await exists(profile.transcripts) ? ` Its records stay in ${profile.transcripts}.` : "";
  console.error(`Removed ${what}.${kept}`);
  return EXIT.done;
}
