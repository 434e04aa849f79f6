/**
 * Which of a client's records is of which server, in TRANSCRIPT_DIR/rooms/:
 *
 *     localhost/server     {"authority":"3b1c…","name":"localhost","addresses":["localhost:5001"]}
 *     localhost_2/server   {"authority":"9f02…","name":"localhost","addresses":["localhost:6001"]}
 *
 * A server is the key of its CA (the SHA-256 of the key as it stands in the CA's certificate) and a name that its own
 * certificate has, whatever was typed to reach it. So another spelling of an address finds the same record, and another
 * server behind the same address never writes into it. Before the first connection to an address nothing is known: the
 * record is found once the server has shown its certificate ({@link findRecord}).
 *
 * One CA may have issued certificates of one name to two servers, as on a development machine. They are told apart by
 * the port: a server on another port is taken for another server, and the person is told so. A server that has moved,
 * and hopes that its old log is forgotten, looks the same; {@link RecordChoice.moved} says that it has moved.
 *
 * A folder without `server` was written by version 0.1.0, which named it by the text that was typed. The first server
 * that it can belong to takes it over: its logs must have that server's name, and a server certificate in it must lead
 * to that CA.
 *
 * @layer outside
 */

import { encodeHex } from "./bytes.ts";
import { findPath } from "./certificate_path.ts";
import { EXIT, Failure } from "./errors.ts";
import { exists, foldersIn, writeAtomically } from "./files.ts";
import { sha256 } from "./hash.ts";
import { encodeJson, isJsonList, isJsonObject, member, parseJson } from "./json.ts";
import { canonicalAddress, type Certificate, parseCertificates } from "./x509.ts";

/** A server as its certificate shows it. */
export interface ShownServer {
  /** The server's own certificate, found good. */
  readonly leaf: Certificate;
  /** The trusted CA to which it leads. */
  readonly authority: Certificate;
}

/** Where a server is reached. */
export interface ServerAddress {
  readonly host: string;
  readonly port: number;
}

/** Where a record is looked for. */
export interface RecordChoice {
  /** TRANSCRIPT_DIR/rooms. */
  readonly folder: string;
  /** What was typed. */
  readonly address: ServerAddress;
  /** All records of the folder are of one server: that of a profile. */
  readonly isOne?: boolean;
  /** The server was reached at another port before. */
  readonly moved?: boolean;
}

/** A record's folder. */
interface RecordFolder {
  readonly name: string;
  /** `undefined` for a folder of version 0.1.0. */
  readonly server:
    | { readonly authority: string; readonly name: string; readonly addresses: readonly string[] }
    | undefined;
}

/** A record that was found, or is to be made. */
export interface FoundRecord {
  readonly dir: string;
  /** What the person should know about it. */
  readonly notice?: string;
}

/** The key of a CA, by which its servers are told from those of others. */
function authorityKey(authority: Certificate): string {
  return encodeHex(sha256(authority.publicKey));
}

/** The names that a server's certificate has, as they are compared. */
function serverNames({ hostNames, commonNames }: Certificate): readonly [string, ...string[]] {
  const names = [...hostNames?.dnsNames ?? [], ...hostNames?.addresses ?? []].map(plainHost);
  const [first = plainHost(commonNames[0]?.replace(/^SERVER: /, "") ?? ""), ...others] = names;
  return [first, ...others];
}

/** An address as it is compared: the loopback has one name. */
export function addressKey({ host, port }: ServerAddress): string {
  return `${hostKey(host)}:${port}`;
}

function hostKey(host: string): string {
  const name = plainHost(host);
  return /^(?:localhost|127\.[0-9.]+|::1)$/.test(name) ? "localhost" : name;
}

function plainHost(host: string): string {
  const name = host.toLowerCase().replace(/\.$/, "");
  return canonicalAddress(name.replace(/^\[(.*)\]$/, "$1")) ?? name;
}

/** The records that were reached at that address, whoever's server it is. */
export async function recordsOf({ folder, address }: RecordChoice): Promise<string[]> {
  const found = (await recordFolders(folder)).filter(({ server }) => server?.addresses.includes(addressKey(address)));
  return found.map(({ name }) => `${folder}/${name}`);
}

/** The record of that address, by what is known before a connection; `undefined` if that doesn't tell which. */
export async function knownRecord(
  { folder, address, isOne = false, moved = false }: RecordChoice,
  authorities: readonly Certificate[],
): Promise<string | undefined> {
  if (moved) return undefined;
  const keys = authorities.map(authorityKey);
  const [found, ...others] = (await recordFolders(folder)).filter(({ server }) =>
    server && keys.includes(server.authority) && (isOne || server.addresses.includes(addressKey(address)))
  );
  return found && others.length === 0 ? `${folder}/${found.name}` : undefined;
}

/** The record of a server that has shown its certificate: one that is there, or the folder for a new one. */
export async function findRecord(choice: RecordChoice, shown: ShownServer): Promise<FoundRecord> {
  const { folder, address } = choice;
  const names = serverNames(shown.leaf);
  const all = await recordFolders(folder);
  const same = all.filter(({ server }) => server && isServer(server, shown));
  const here = same.find(({ server }) => server?.addresses.includes(addressKey(address)));
  const elsewhere = same.filter((one) => one !== here && (one.server?.addresses.length ?? 0) > 0);
  if (choice.isOne && same[0]) return { dir: `${folder}/${same[0].name}` };
  if (choice.moved) return { dir: `${folder}/${(await takeAlong(choice, here, elsewhere)).name}` };
  const found = here ?? same.find(({ server }) => server?.addresses.length === 0);
  const samePort = elsewhere.find(({ server }) => server?.addresses.some((one) => portOf(one) === address.port));
  if (found ?? samePort) return { dir: `${folder}/${(found ?? samePort)?.name}` };
  for (const { name, server } of oldestNamesFirst(all, address.host)) {
    if (!server && await canBeOf(`${folder}/${name}`, { host: address.host, name }, shown)) {
      return { dir: `${folder}/${name}` };
    }
  }
  const dir = `${folder}/${freeName(names[0], all)}`;
  const [other] = elsewhere;
  if (!other) return { dir };
  const before = other.server?.addresses.join(", ");
  const notice =
    `The server at ${addressKey(address)} has the name and the CA of the one at ${before}, and another port: ` +
    `it counts as another server, and its record begins empty. If it is the same server, which has moved, end this and ` +
    `start once with --moved.`;
  return { dir, notice };
}

/** Goes on with the record of another port: the one that there is. */
async function takeAlong(
  { folder, address }: RecordChoice,
  here: RecordFolder | undefined,
  elsewhere: readonly RecordFolder[],
): Promise<RecordFolder> {
  const [found, ...others] = elsewhere;
  if (!found || others.length > 0) {
    const what = found ? "several records here are of servers" : "no record here is of a server";
    throw new Failure(EXIT.usage, `${what} with this name and CA at another port; leave --moved out`);
  }
  if (here?.server) {
    const addresses = here.server.addresses.filter((one) => one !== addressKey(address));
    await writeServer(`${folder}/${here.name}`, { ...here.server, addresses });
  }
  return found;
}

/**
 * Notes in a record which server it belongs to, and where that was reached. Failure (4) if another server has shown its
 * certificate. In a profile that is for good; elsewhere the address no longer belongs to this record, and running the
 * command again leads to the other server.
 */
export async function noteServer(dir: string, shown: ShownServer, choice?: RecordChoice): Promise<void> {
  const known = await readServer(dir);
  const own = choice ? [addressKey(choice.address)] : [];
  if (known && !isServer(known, shown)) {
    const tell = (name: string, key: string) => `${name} (CA key ${key.slice(0, 16)}…)`;
    const now = tell(serverNames(shown.leaf)[0], authorityKey(shown.authority));
    const what = `this is not the server of the record in ${dir}: that is ${tell(known.name, known.authority)}, and ` +
      `this one is ${now}; nothing was sent`;
    if (!choice || choice.isOne) throw new Failure(EXIT.refused, `DANGER: ${what}; ask whoever runs the server`);
    await writeServer(dir, { ...known, addresses: known.addresses.filter((one) => !own.includes(one)) });
    throw new Failure(
      EXIT.refused,
      `${what}; if you mean this one, run the command again: it gets a record of its own`,
    );
  }
  const { authority, name, addresses } = known ??
    { authority: authorityKey(shown.authority), name: serverNames(shown.leaf)[0], addresses: [] };
  if (known && own.every((one) => addresses.includes(one))) return;
  await writeServer(dir, { authority, name, addresses: [...new Set([...addresses, ...own])] });
}

/**
 * The record of a host, to be read without a connection; without a host, that of the only server. Failure (2) if it
 * isn't clear which.
 */
export async function recordToRead(
  folder: string,
  { host, port }: { readonly host?: string | undefined; readonly port?: number | undefined },
): Promise<string> {
  const all = await recordFolders(folder);
  const fits = ({ name, server }: RecordFolder) => {
    if (!server) return host === undefined || name.toLowerCase() === folderName(host).toLowerCase();
    return server.addresses.some((address) =>
      (host === undefined || address.startsWith(`${hostKey(host)}:`)) &&
      (port === undefined || portOf(address) === port)
    );
  };
  const [found, ...others] = all.filter(fits);
  if (!found) {
    const what = `Folder not found: ${folder}/${folderName(host ?? "localhost")}`;
    throw new Failure(EXIT.usage, `${what}; name the server with --host, or the folder with --transcripts`);
  }
  if (others.length === 0) return `${folder}/${found.name}`;
  const known = [found, ...others].map(({ name, server }) => server?.addresses.join(" or ") ?? name).join(", ");
  throw new Failure(
    EXIT.usage,
    `${folder} has records of several servers, ${known}: choose one with --host and --tls-port`,
  );
}

/** A server's name as one part of a path. */
export function folderName(server: string): string {
  return server.replaceAll(/[^A-Za-z0-9._-]/g, "_").replace(/^\.+/, "_");
}

function freeName(name: string, taken: readonly RecordFolder[]): string {
  const wanted = folderName(name);
  const isTaken = (one: string) => taken.some(({ name }) => name.toLowerCase() === one.toLowerCase());
  for (let n = 1;; n++) {
    const one = n === 1 ? wanted : `${wanted}_${n}`;
    if (!isTaken(one)) return one;
  }
}

function portOf(address: string): number {
  return Number(address.slice(address.lastIndexOf(":") + 1));
}

function isServer(known: { readonly authority: string; readonly name: string }, shown: ShownServer): boolean {
  return known.authority === authorityKey(shown.authority) && serverNames(shown.leaf).includes(known.name);
}

async function recordFolders(folder: string): Promise<RecordFolder[]> {
  const names = await foldersIn(folder);
  return await Promise.all(names.map(async (name) => ({ name, server: await readServer(`${folder}/${name}`) })));
}

async function readServer(dir: string): Promise<RecordFolder["server"]> {
  const path = `${dir}/server`;
  if (!await exists(path)) return undefined;
  const found = parseJson(await Deno.readTextFile(path));
  const [authority, name, addresses] = isJsonObject(found)
    ? [member(found, "authority"), member(found, "name"), member(found, "addresses")]
    : [];
  if (typeof authority === "string" && typeof name === "string" && addresses !== undefined && isJsonList(addresses)) {
    return { authority, name, addresses: addresses.filter((one) => typeof one === "string") };
  }
  throw new Failure(
    EXIT.unavailable,
    `${path} is damaged: it says whose record this is; restore it, or move ${dir} away to begin a new record`,
  );
}

async function writeServer(dir: string, server: NonNullable<RecordFolder["server"]>): Promise<void> {
  await writeAtomically(`${dir}/server`, encodeJson(server), { mode: 0o600, replace: true });
}

// ---- folders of version 0.1.0

/** The folder that version 0.1.0 made for what was typed, until a server has taken it over. */
export async function oldRecord({ folder, address }: RecordChoice): Promise<string | undefined> {
  const [found] = oldestNamesFirst(await recordFolders(folder), address.host);
  return found && !found.server && found.name === folderName(address.host) ? `${folder}/${found.name}` : undefined;
}

/** The folder that has the typed name before the others. */
function oldestNamesFirst(all: readonly RecordFolder[], host: string): RecordFolder[] {
  const isNamed = ({ name }: RecordFolder) => Number(name === folderName(host));
  return all.toSorted((one, other) => isNamed(other) - isNamed(one));
}

async function canBeOf(
  dir: string,
  { host, name }: { readonly host: string; readonly name: string },
  shown: ShownServer,
): Promise<boolean> {
  const names = serverNames(shown.leaf);
  const origins = await namesOfLogs(dir);
  if (origins.some((origin) => !names.includes(origin))) return false;
  const isNamed = name.toLowerCase() === folderName(host).toLowerCase() || names.includes(name.toLowerCase());
  return (isNamed || origins.length > 0) && await hasCertificateOf(dir, shown.authority);
}

/** The server names in the origins of a record's logs. */
async function namesOfLogs(dir: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(dir)) {
    if (!isDirectory || !/^[#@][^~]*$/.test(name) || !await exists(`${dir}/${name}/log`)) continue;
    const log = parseJson(await Deno.readTextFile(`${dir}/${name}/log`));
    const origin = isJsonObject(log) ? member(log, "origin") : undefined;
    if (typeof origin === "string") found.push(plainHost(origin.split("/")[0] ?? ""));
  }
  return found;
}

/** Whether a server's certificate in a record leads to that CA, or the record has no server's certificate yet. */
async function hasCertificateOf(dir: string, authority: Certificate): Promise<boolean> {
  if (!await exists(`${dir}/certificates`)) return true;
  let hasOthers = false;
  for await (const { name } of Deno.readDir(`${dir}/certificates`)) {
    const chain = name.endsWith(".pem") ? certificatesIn(await Deno.readTextFile(`${dir}/certificates/${name}`)) : [];
    const [leaf] = chain;
    if (!leaf?.commonNames[0]?.startsWith("SERVER: ")) continue;
    const path = await findPath(chain, { authorities: [authority], revocations: [] }, { purpose: "server" });
    if (path.certificates(leaf.notAfter, "current").at(-1)?.fingerprint === authority.fingerprint) return true;
    hasOthers = true;
  }
  return !hasOthers;
}

function certificatesIn(pem: string): readonly Certificate[] {
  try {
    return parseCertificates(pem);
  } catch {
    return []; // what can't be read says nothing
  }
}
