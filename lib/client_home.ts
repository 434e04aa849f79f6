/**
 * The home of a person's program: one profile for each server that they joined.
 *
 *     ~/.config/securechat/default                  "chat.example.org": the profile that is used if none is named
 *     ~/.config/securechat/chat.example.org/
 *       profile          {"name":"work","host":"chat.example.org","tls_port":5001,"username":"ada","email":"ada@…"}
 *       certs/           ca_cert.pem client_cert.pem client_private_key.pem: as every CERT_DIR
 *       certs/joining    until `join` is done; a folder without `profile` is no profile yet
 *     ~/.local/share/securechat/chat.example.org/
 *       transcripts/     as every TRANSCRIPT_DIR
 *
 * Settings and keys are in $XDG_CONFIG_HOME/securechat, records in $XDG_DATA_HOME/securechat; both are in
 * ~/Library/Application Support/securechat on macOS, in %APPDATA%\securechat on Windows, and in the folder that --home
 * or SECURECHAT_HOME names. A profile keeps its folder when it is renamed: nothing is moved that could be lost on the
 * way. Only the owner can read these files, and each is written as a whole.
 *
 * @layer outside
 */

import { createPrivateFolder, exists, foldersIn, readTextFile, writeAtomically } from "./files.ts";
import { EXIT, Failure } from "./errors.ts";
import { encodeJson, isJsonObject, member, parseJson } from "./json.ts";
import { isUsername, normaliseEmail, usernameKey } from "./names.ts";

/** Where profiles are: settings with keys, and records. */
export interface Home {
  readonly config: string;
  readonly data: string;
}

/** What is remembered of a server that somebody joined. */
export interface Profile {
  /** How it is called on the command line. */
  readonly name: string;
  readonly host: string;
  readonly tlsPort: number;
  readonly username: string;
  readonly email: string;
}

/** A profile with its places. */
export interface StoredProfile extends Profile {
  readonly folder: string;
  readonly certs: string;
  readonly transcripts: string;
}

/** The home: that folder, or the one that the system has for it. Failure (2) if the system names none. */
export function homeOf(
  folder: string | undefined,
  environment: (name: string) => string | undefined = (name) => Deno.env.get(name),
  system: typeof Deno.build.os = Deno.build.os,
): Home {
  if (folder !== undefined) return { config: folder, data: folder };
  const needed = (name: string) => {
    const value = environment(name);
    if (value) return value;
    throw new Failure(EXIT.usage, `${name} is not set, so there is no home for profiles; name a folder with --home`);
  };
  const both = (path: string) => ({ config: path, data: path });
  if (system === "windows") return both(`${needed("APPDATA")}\\securechat`);
  if (system === "darwin") return both(`${needed("HOME")}/Library/Application Support/securechat`);
  // A relative path there is to be ignored, says the XDG Base Directory Specification.
  const xdg = (name: string, fallback: string) => {
    const path = environment(name);
    return `${path?.startsWith("/") ? path : `${needed("HOME")}/${fallback}`}/securechat`;
  };
  return { config: xdg("XDG_CONFIG_HOME", ".config"), data: xdg("XDG_DATA_HOME", ".local/share") };
}

/** Whether a profile can be called so: never like a room, a line's index, or a part of a path. */
export function isProfileName(text: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(text) && !/^[0-9]+$/.test(text);
}

/** All profiles, by their names. */
export async function profilesOf(home: Home): Promise<StoredProfile[]> {
  const found: StoredProfile[] = [];
  for (const folder of await foldersIn(home.config)) {
    if (await exists(fileOf(home, folder))) found.push(await readProfile(home, folder));
  }
  return found.sort((one, other) => one.name < other.name ? -1 : 1);
}

/** The profile of that name. Failure (2) with the names of those that there are. */
export async function profileNamed(home: Home, name: string): Promise<StoredProfile> {
  const all = await profilesOf(home);
  const found = all.find((one) => usernameKey(one.name) === usernameKey(name));
  if (found) return found;
  const names = all.map((one) => one.name).join(", ");
  const what = names === "" ? "there are no profiles yet: join makes one" : `there are: ${names}`;
  throw new Failure(
    EXIT.usage,
    `there is no profile "${name}" in ${home.config}; ${what}; if a room was meant, it is '#${name}'`,
  );
}

/** The profile that is used if there are several and none is named. */
export async function defaultProfile(home: Home): Promise<string | undefined> {
  const path = `${home.config}/default`;
  if (!await exists(path)) return undefined;
  const folder = parseJson(await readTextFile(path));
  return (await profilesOf(home)).find((one) => one.folder === folder)?.name;
}

/** Makes a profile the one that is used if none is named. */
export async function setDefaultProfile(home: Home, { folder }: StoredProfile): Promise<void> {
  await writeAtomically(`${home.config}/default`, `${encodeJson(folder)}\n`, { mode: 0o600, replace: true });
}

/** Where records are of profiles that were removed. */
export async function leftRecords(home: Home): Promise<string[]> {
  const own = (await profilesOf(home)).map(({ folder }) => folder);
  const left = (await foldersIn(home.data)).filter((folder) => !own.includes(folder));
  return left.map((folder) => placesOf(home, folder).transcripts);
}

/** The places of a profile that is to be made. */
export function placesOf(home: Home, folder: string): Pick<StoredProfile, "folder" | "certs" | "transcripts"> {
  const within = (path: string, name: string) => `${path}/${folder}/${name}`;
  return { folder, certs: within(home.config, "certs"), transcripts: within(home.data, "transcripts") };
}

/**
 * The folder for a profile that is being made: one in which `isOurs` finds the same beginning, else a free one named
 * after `wanted`.
 */
export async function folderFor(
  home: Home,
  wanted: string,
  isOurs: (certs: string) => Promise<boolean>,
): Promise<string> {
  const folders = await foldersIn(home.config);
  for (const folder of folders) {
    if (!await exists(fileOf(home, folder)) && await isOurs(placesOf(home, folder).certs)) return folder;
  }
  const names = (await profilesOf(home)).map(({ name }) => name);
  const taken = new Set([...folders, ...await foldersIn(home.data), ...names].map(usernameKey));
  const plain = wanted.replaceAll(/[^A-Za-z0-9._-]/g, "-").replace(/^[^A-Za-z0-9]+/, "");
  const base = /^[0-9]*$/.test(plain) ? "server" : plain;
  for (let n = 1;; n++) {
    const folder = n === 1 ? base.slice(0, 56) : `${base.slice(0, 56)}-${n}`;
    if (isProfileName(folder) && !taken.has(usernameKey(folder))) return folder;
  }
}

/** Writes what is remembered of a server. */
export async function saveProfile(home: Home, folder: string, profile: Profile): Promise<void> {
  const { name, host, tlsPort, username, email } = profile;
  await createPrivateFolder(`${home.config}/${folder}`);
  const text = `${encodeJson({ name, host, tls_port: tlsPort, username, email })}\n`;
  await writeAtomically(fileOf(home, folder), text, { mode: 0o600, replace: true });
}

/** Takes a profile away with its key. Its records stay. */
export async function removeProfile(home: Home, { folder }: StoredProfile): Promise<void> {
  await Deno.remove(fileOf(home, folder)); // first: what is left of it is no profile
  await Deno.remove(`${home.config}/${folder}/certs`, { recursive: true });
  await Deno.remove(`${home.config}/${folder}`).catch(() => {}); // if both have one home, the records are in it
}

function fileOf(home: Home, folder: string): string {
  return `${home.config}/${folder}/profile`;
}

async function readProfile(home: Home, folder: string): Promise<StoredProfile> {
  const path = fileOf(home, folder);
  const found = parseJson(await readTextFile(path));
  const [name, host, tlsPort, username, email] = isJsonObject(found)
    ? ["name", "host", "tls_port", "username", "email"].map((key) => member(found, key))
    : [];
  const isWhole = typeof name === "string" && isProfileName(name) && typeof host === "string" &&
    typeof tlsPort === "number" && typeof username === "string" && isUsername(username) &&
    typeof email === "string" && normaliseEmail(email) === email;
  if (isWhole) return { ...placesOf(home, folder), name, host, tlsPort, username, email };
  throw new Failure(EXIT.usage, `${path} is damaged; restore it, or move ${home.config}/${folder} away and join again`);
}
