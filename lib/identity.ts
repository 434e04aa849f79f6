/**
 * Identities and trust as they are stored in CERT_DIR:
 *
 *     ca_cert.pem      ca_private_key.pem        crl.pem
 *     server_cert.pem  server_private_key.pem
 *     client_cert.pem  client_private_key.pem    client.next_… and client.old_…: see client_renewal.ts
 *
 * A `…_cert.pem` contains the certificate first and then its intermediates; `ca_cert.pem` contains the trusted CAs.
 * `crl.pem`, and `issuing_crl.pem` of the issuing CA, are used if they exist. Before a running server uses them, it looks
 * at most once a second whether they changed. If one can't be read any more, or is gone, nobody can connect until it is
 * restored: using the old list instead would let in somebody who was just revoked.
 *
 * A key is refused if others can read it, or if it isn't the key of its certificate. The passphrase of a protected key
 * comes from a file, or a person is asked on the terminal.
 *
 * @layer outside
 */

import type { Identity } from "./certificate_identity.ts";
import { type Bytes, type Clock, equalBytes } from "./bytes.ts";
import type { Authority } from "./ca.ts";
import type { Trust } from "./certificate_path.ts";
import { EXIT, Failure, messageOf, ProtocolError } from "./errors.ts";
import { exists, keepOld, readPemFile, readPrivateFile, readTextFile, shellPath } from "./files.ts";
import type { Log } from "./logging.ts";
import { decodePrivateKey, isProtected, publicKeyOf } from "./private_key.ts";
import { encodePem } from "./der.ts";
import { PROGRAM } from "./program.ts";
import { importSigningKey } from "./pss.ts";
import { type CrlFile, readRevoked } from "./ca_revoked.ts";
import {
  type Certificate,
  MAX_CA_CERTIFICATES,
  MAX_CERTIFICATES,
  parseCertificateFile,
  parseRevocationListFile,
  type RevocationList,
} from "./x509.ts";

/** Whose pair it is. */
export type Role = "ca" | "issuing" | "server" | "client";

/** Where a passphrase comes from: an argument, or the first line of a file. Without either a person is asked. */
export interface PassphraseOptions {
  readonly passphrase?: string | undefined;
  /** SECURECHAT_KEY_PASSPHRASE_FILE, or its flag. */
  readonly passphraseFile?: string | undefined;
}

/** The path of a certificate, a key or the revocation list in CERT_DIR. */
export function pathIn(
  dir: string,
  file: `${Role | `client.${"next" | "old"}`}_${"cert" | "private_key"}.pem` | CrlFile,
): string {
  return `${dir.replace(/(?<=.)\/+$/, "")}/${file}`;
}

/** The identity of that role in CERT_DIR. Failure (2), with the command that helps, if there is none. */
export async function loadIdentity(
  dir: string,
  role: "server" | "client",
  options: PassphraseOptions = {},
): Promise<Identity> {
  if (role === "client") await finishRenewal(dir);
  const { chain, key } = await loadPair(dir, role, options);
  return { chain, pem: chain.map(({ pem }) => pem).join(""), key: await importSigningKey(key) };
}

/** Where the next pair of a client is kept until it replaces the old one. */
export function nextIn(dir: string): { readonly certificate: string; readonly key: string } {
  return { certificate: pathIn(dir, "client.next_cert.pem"), key: pathIn(dir, "client.next_private_key.pem") };
}

/**
 * Replaces a client's pair with the next one, if that has its certificate. After a crash it finishes what was begun.
 */
export async function finishRenewal(dir: string): Promise<void> {
  const next = nextIn(dir);
  if (!await exists(next.certificate)) return;
  const certificate = pathIn(dir, "client_cert.pem");
  if (await exists(next.key)) {
    const key = pathIn(dir, "client_private_key.pem");
    await keepOld(certificate, 0o644);
    await keepOld(key, 0o600);
    await Deno.rename(next.key, key);
  }
  await Deno.rename(next.certificate, certificate);
}

/** The fingerprint of the certificate that a client's current one replaced; `undefined` if it is the first. */
export async function replacedBy({ chain: [leaf] }: Identity, dir: string): Promise<string | undefined> {
  const path = pathIn(dir, "client.old_cert.pem");
  if (!await exists(path)) return undefined;
  const [old] = await loadChain(path, "");
  return old && old.commonNames[0] === leaf?.commonNames[0] && old.fingerprint !== leaf?.fingerprint
    ? old.fingerprint
    : undefined;
}

/** The CA of CERT_DIR with its key, for issuing. */
export async function loadAuthority(dir: string, options: PassphraseOptions = {}): Promise<Authority> {
  const { chain: [certificate], key } = await loadPair(dir, "ca", options);
  if (certificate === undefined) throw new RangeError("a pair has a certificate");
  return { certificate, key };
}

/** The issuing CA of CERT_DIR, which grants the requests of people who have a code; `undefined` if there is none. */
export async function loadIssuer(dir: string, options: PassphraseOptions = {}): Promise<Authority | undefined> {
  if (await fileState(pathIn(dir, "issuing_cert.pem")) === undefined) return undefined;
  const { chain: [certificate], key } = await loadPair(dir, "issuing", options);
  return certificate && { certificate, key };
}

async function loadPair(dir: string, role: Role, options: PassphraseOptions) {
  const path = pathIn(dir, `${role}_cert.pem`);
  const chain = await loadChain(path, missing(dir, path, role));
  const keyPath = pathIn(dir, `${role}_private_key.pem`);
  const key = await loadKey(keyPath, options, missing(dir, keyPath, role));
  if (chain[0] === undefined || !equalBytes(publicKeyOf(key), chain[0].publicKey)) {
    throw new Failure(EXIT.usage, `${keyPath} is not the key of ${path}; put a matching pair there`);
  }
  return { chain, key };
}

/** A certificate with its intermediates, from its file. `absent` is the message if there is none. */
export async function loadChain(path: string, absent: string): Promise<readonly Certificate[]> {
  return parseFile(path, await readPemFile(path, absent), MAX_CERTIFICATES);
}

/** A private key's PKCS #8 DER, from its file. */
export async function loadKey(path: string, options: PassphraseOptions = {}, absent?: string): Promise<Bytes> {
  const pem = await readPrivateFile(path, absent);
  const passphrase = isProtected(pem) ? await passphraseFor(path, options) : undefined;
  try {
    return await decodePrivateKey(pem, passphrase);
  } catch (error) {
    if (error instanceof Failure) throw new Failure(error.status, `${path} can't be used: ${error.message}`);
    throw error;
  }
}

/** The passphrase of a client's key, asked for once; `undefined` if the key has none. */
export async function clientPassphrase(dir: string, options: PassphraseOptions): Promise<string | undefined> {
  await finishRenewal(dir);
  const path = pathIn(dir, "client_private_key.pem");
  return isProtected(await readPrivateFile(path, missing(dir, path, "client")))
    ? await passphraseFor(path, options)
    : undefined;
}

/** The passphrase of a key: given, from a file, or asked for. */
export async function passphraseFor(path: string, options: PassphraseOptions): Promise<string> {
  if (options.passphrase !== undefined) return options.passphrase;
  if (options.passphraseFile !== undefined) return await readPassphrase(options.passphraseFile);
  const { askHidden, isTerminal } = await import("./terminal.ts");
  if (!isTerminal()) {
    throw new Failure(
      EXIT.usage,
      `${path} is protected by a passphrase; name the file that contains it with --passphrase-file or ` +
        "SECURECHAT_KEY_PASSPHRASE_FILE",
    );
  }
  return await askHidden(`Passphrase of ${path}: `);
}

/** The first line of a passphrase file. */
export async function readPassphrase(file: string): Promise<string> {
  const [line = ""] = (await readPrivateFile(file)).split(/\r?\n/, 1);
  if (line === "") throw new Failure(EXIT.usage, `${file} has no passphrase in its first line`);
  return line;
}

/** What CERT_DIR trusts: its CAs, and its revocation lists if there are any. */
export async function loadTrust(dir: string): Promise<Trust> {
  return { authorities: await loadAuthorities(dir), revocations: await loadRevocationLists(dir) };
}

const CRL_FILES: readonly CrlFile[] = ["crl.pem", "issuing_crl.pem"];

/**
 * The lists that exist. A list must exist if it is in `seen` (to which the lists that are read are added), or if it once
 * contained a certificate.
 */
export async function loadRevocationLists(dir: string, seen = new Set<CrlFile>()): Promise<readonly RevocationList[]> {
  const lists: RevocationList[] = [];
  for (const { file } of await readRevoked(dir)) seen.add(file);
  for (const file of CRL_FILES) {
    const path = pathIn(dir, file);
    if (await fileState(path) === undefined) {
      if (!seen.has(file)) continue;
      throw new Failure(EXIT.usage, `the revocation list ${path} is gone; restore it from a copy of the CA's`);
    }
    lists.push(await loadRevocationList(path));
    seen.add(file);
  }
  return lists;
}

async function stateOfLists(dir: string): Promise<string> {
  return (await Promise.all(CRL_FILES.map((file) => fileState(pathIn(dir, file))))).join();
}

async function loadAuthorities(dir: string): Promise<readonly Certificate[]> {
  const path = pathIn(dir, "ca_cert.pem");
  return parseFile(path, await readPemFile(path, missing(dir, path)), MAX_CA_CERTIFICATES);
}

/** 6 MiB: the longest list that is accepted, as PEM. */
export const MAX_LIST_FILE_BYTES = 6_291_456;

/** The revocation list in a file. */
export async function loadRevocationList(path: string): Promise<RevocationList> {
  const pem = await readTextFile(path, { max: MAX_LIST_FILE_BYTES });
  return named(path, () => parseRevocationListFile(pem));
}

/** A server's identity, and its key as PEM for a TLS listener. */
export interface ServerIdentity extends Identity {
  readonly keyPem: string;
}

/** The current identity, which changes with its files. */
export interface WatchedIdentity {
  readonly current: () => ServerIdentity;
  /**
   * Reads the pair again if its files have changed, or if told to; returns whether it changed. If the new pair can't be
   * used, the old one stays.
   */
  readonly look: (anyway?: boolean) => Promise<boolean>;
}

/** The server's identity, read again when its files change: a renewed certificate needs no restart. */
export async function watchIdentity(dir: string, log: Log, options: PassphraseOptions = {}): Promise<WatchedIdentity> {
  const load = async (): Promise<ServerIdentity> => {
    const { chain, key } = await loadPair(dir, "server", options);
    return {
      chain,
      pem: chain.map(({ pem }) => pem).join(""),
      key: await importSigningKey(key),
      keyPem: encodePem("PRIVATE KEY", key),
    };
  };
  const stateOfPair = async () =>
    `${await fileState(pathIn(dir, "server_cert.pem"))} ${await fileState(pathIn(dir, "server_private_key.pem"))}`;
  let seen = await stateOfPair();
  let identity = await load();
  const look = async (anyway = false): Promise<boolean> => {
    try {
      const state = await stateOfPair();
      if (state === seen && !anyway) return false;
      seen = state;
      const before = identity.chain[0]?.fingerprint;
      identity = await load();
      if (anyway && identity.chain[0]?.fingerprint === before) return false;
      log.info("the server certificate was read again", { fingerprint: identity.chain[0]?.fingerprint ?? "" });
      return true;
    } catch (error) {
      // In the middle of a renewal the pair doesn't match yet; it is read again after the next change.
      log.warn("the changed server certificate can't be used; the old one stays", {
        reason: messageOf(error),
      });
      return false;
    }
  };
  return { current: () => identity, look };
}

/** The least time between two looks at whether `crl.pem` has changed. */
const LOOK_AGAIN_AFTER = 1000;

/** Gives the current trust: `crl.pem` may change, appear or disappear at any time. */
export async function watchTrust(
  dir: string,
  log: Log,
  now: Clock = () => performance.now(),
): Promise<() => Promise<Trust>> {
  let authorities = await loadAuthorities(dir);
  let seenAuthorities = await fileState(pathIn(dir, "ca_cert.pem"));
  let seen = await stateOfLists(dir);
  const known = new Set<CrlFile>();
  let revocations: readonly RevocationList[] | undefined = await loadRevocationLists(dir, known);
  let lookedAt = now();

  /** If the CAs can't be read, the old ones stay: nobody is trusted more by that. */
  async function lookAtAuthorities(): Promise<void> {
    try {
      const state = await fileState(pathIn(dir, "ca_cert.pem"));
      if (state === seenAuthorities) return;
      seenAuthorities = state;
      authorities = await loadAuthorities(dir);
      log.info("the CAs were read again", { dir, count: authorities.length });
    } catch (error) {
      const reason = messageOf(error);
      log.warn("the changed CAs can't be used; the old ones stay", { reason });
    }
  }

  async function look(): Promise<void> {
    await lookAtAuthorities();
    const state = await stateOfLists(dir);
    if (state === seen) return;
    seen = state;
    try {
      revocations = undefined; // until the new one is read, nobody can connect
      revocations = await loadRevocationLists(dir, known);
      const revoked = revocations.reduce((sum, list) => sum + list.revoked.size, 0);
      log.info("the revocation list was read again", { dir, revoked });
    } catch (error) {
      const reason = error instanceof Failure ? error.message : "it can't be read";
      log.error(
        "the revocation list can't be used, so every certificate is refused until it is restored from a copy of the CA's",
        { reason },
      );
    }
  }

  let looking: Promise<void> | undefined;
  return async () => {
    if (now() - lookedAt >= LOOK_AGAIN_AFTER) {
      lookedAt = now();
      looking = look().finally(() => looking = undefined);
    }
    await looking; // concurrent callers wait for the same result
    if (revocations === undefined) {
      throw new ProtocolError(
        "server-error",
        "The server can't read its revocation list, so nobody can connect; try again later.",
      );
    }
    return { authorities, revocations };
  };
}

/** A text that changes when the file does; `undefined` if there is no file. */
async function fileState(path: string): Promise<string | undefined> {
  try {
    const { mtime, size, ino } = await Deno.stat(path);
    return `${mtime?.getTime()} ${size} ${ino}`;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw new Failure(EXIT.usage, `${path} can't be read; correct the permissions of its folder`);
  }
}

function parseFile(path: string, pem: string, max: number): Certificate[] {
  return named(path, () => parseCertificateFile(pem, max));
}

/** Adds the file's name to the error about its content. */
function named<T>(path: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    throw new Failure(EXIT.usage, `${path} can't be used: ${error.message}`);
  }
}

function missing(dir: string, path: string, role?: Role): string {
  const others = role === "client"
    ? `name its folder with --certs, use an invitation with: ${PROGRAM} join CODE, or `
    : "";
  return `certificate not found: there is no ${path}; ${others}run: ${PROGRAM} init${
    dir === "certs" ? "" : ` --certs ${shellPath(dir)}`
  }`;
}
