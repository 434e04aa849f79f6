/**
 * What a CA keeps in CERT_DIR: pairs of certificates and keys, the revocation list, and `issued.txt`, which has a line for
 * every certificate that was issued, so that people know whose a serial number is:
 *
 *     5f1c0b9e4a7d22d08c3a6b51e0f4978d client 2027-11-23T02:05:32Z 9f86d081884c7d65… CN=CLIENT: ada
 *
 * (serial number, role, last second, fingerprint, subject). Revoked certificates are in `crl.pem` and `issuing_crl.pem`,
 * and also in `revoked.txt`, in case one of those is lost. A certificate is never overwritten except by its own renewal,
 * which keeps the old one: `server_cert.pem` becomes `server.old_cert.pem`, and its key, if that changes,
 * `server.old_private_key.pem`.
 *
 * @layer outside
 */

import { dirname } from "node:path";
import type { Bytes } from "./bytes.ts";
import {
  type Authority,
  createAuthority,
  createIssuer,
  generateKey,
  issueCertificate,
  issueRevocationList,
  type KeyBits,
  keyOfRequest,
  renewAuthority,
  type Request,
} from "./ca.ts";
import { verifySignature } from "./certificate_signature.ts";
import { EXIT, Failure } from "./errors.ts";
import {
  appendLines,
  createPrivateFolder,
  exists,
  keepOld,
  readPrivateFile,
  readTextFile,
  shellPath,
  writeAtomically,
} from "./files.ts";
import {
  loadAuthority,
  loadChain,
  loadIssuer,
  loadKey,
  loadRevocationList,
  passphraseFor,
  type PassphraseOptions,
  pathIn,
  type Role,
} from "./identity.ts";
import { encodePrivateKey, isProtected, publicKeyOf } from "./private_key.ts";
import { type CrlFile, readRevoked, recordRevoked } from "./ca_revoked.ts";
import { random } from "./system.ts";
import { formatTime } from "./time_text.ts";
import { type Certificate, OID } from "./x509.ts";

/** Ten years by default: what the CA issues can't outlive it. */
export const CA_DAYS = 3650;
/** A year. */
export const CERTIFICATE_DAYS = 365;

/** How a pair is made. */
export interface Making {
  readonly days: number;
  readonly bits: KeyBits;
  /** Protects the key, if given. */
  readonly passphrase?: string | undefined;
}

/** The paths of a pair. */
export interface Pair {
  readonly certificate: string;
  readonly key: string;
}

/** A new certificate, and its files. */
export interface Made {
  readonly role: Role;
  readonly certificate: Certificate;
  readonly files: Pair;
}

/** The paths of a role's pair in CERT_DIR. */
export function pairIn(dir: string, role: Role): Pair {
  return { certificate: pathIn(dir, `${role}_cert.pem`), key: pathIn(dir, `${role}_private_key.pem`) };
}

/** The key's path beside a certificate's: `ada_cert.pem`, or `ada.pem`, has `ada_private_key.pem`. */
export function pairAt(certificate: string): Pair {
  const stem = certificate.replace(/(?:_cert)?\.(?:pem|crt)$/, "");
  return { certificate, key: `${stem}_private_key.pem` };
}

/** Throws if one of the files exists; called before anything is made, so that nothing is left half-made. */
export async function mustBeFree(pairs: readonly Pair[]): Promise<void> {
  for (const path of pairs.flatMap(({ certificate, key }) => [certificate, key])) {
    if (await exists(path)) {
      throw new Failure(
        EXIT.usage,
        `${path} exists, and nothing is overwritten; move it away, or name another file`,
      );
    }
  }
}

/** A new CA in CERT_DIR. */
export async function makeAuthority(dir: string, name: string, making: Making): Promise<Authority & { made: Made }> {
  const files = pairIn(dir, "ca");
  await mustBeFree([files]);
  const authority = await createAuthority(name, await generateKey(making.bits), issuing(making));
  const made: Made = { role: "ca", certificate: authority.certificate, files };
  await writePair(dir, made, authority.key, making);
  return { ...authority, made };
}

/** An issuing CA below the CA of CERT_DIR, with a new key. A server that has it doesn't need the root's key. */
export async function makeIssuer(dir: string, root: Authority, name: string, making: Making): Promise<Made> {
  const files = pairIn(dir, "issuing");
  await mustBeFree([files]);
  const issuer = await createIssuer(root, name, await generateKey(making.bits), issuing(making));
  const made: Made = { role: "issuing", certificate: issuer.certificate, files };
  await writePair(dir, made, issuer.key, making);
  return made;
}

/**
 * A certificate with that name for the key in a request; `undefined` if the request can't be granted.
 */
export async function certifyRequest(
  dir: string,
  issuer: Authority,
  { csr, username, days }: { readonly csr: string; readonly username: string; readonly days: number },
): Promise<{ pem: string; fingerprint: string } | undefined> {
  const publicKey = await keyOfRequest(csr);
  if (!publicKey) return undefined;
  try {
    const request: Request = { role: "client", name: username, publicKey };
    const certificate = await issueCertificate(issuer, request, { now: Date.now(), random, days });
    await remember(dir, { role: "client", certificate });
    return { pem: certificate.pem + issuer.certificate.pem, fingerprint: certificate.fingerprint };
  } catch (error) {
    if (error instanceof Failure) return undefined; // a key that no certificate may have
    throw error;
  }
}

/** A certificate by the CA, with a new key. */
export async function makePair(
  dir: string,
  authority: Authority,
  request: Omit<Request, "publicKey">,
  making: Making & { readonly files?: Pair },
): Promise<Made> {
  const files = making.files ?? pairIn(dir, request.role);
  await mustBeFree([files]);
  const key = await generateKey(making.bits);
  const certificate = await issueCertificate(authority, { ...request, publicKey: publicKeyOf(key) }, issuing(making));
  const made: Made = { role: request.role, certificate, files };
  await writePair(dir, made, key, making);
  return made;
}

function issuing({ days }: Making) {
  return { now: Date.now(), random, days };
}

async function writePair(dir: string, made: Made, key: Bytes, { passphrase }: Making): Promise<void> {
  for (const folder of [dir, dirname(made.files.certificate)]) await createPrivateFolder(folder);
  // The key first: a certificate without its key is useless, and a key without a certificate shows what went wrong.
  await writeAtomically(made.files.key, await encodePrivateKey(key, passphrase, random), { mode: 0o600 });
  await writeAtomically(made.files.certificate, made.certificate.pem);
  await remember(dir, made);
}

/** How {@link renew} makes the new certificate. */
export interface RenewalRequest extends PassphraseOptions {
  readonly days: number;
  /** The size of a new key; without it the old key stays. */
  readonly newKey?: KeyBits | undefined;
}

/** Issues a certificate again, for the same name and hosts. The old one is kept beside it. */
export async function renew(
  dir: string,
  authority: Authority,
  old: Certificate,
  { files, ...renewal }: RenewalRequest & { readonly files: Pair },
): Promise<Made> {
  const role = old.isAuthority ? "ca" : roleOf(old);
  const isSecret = isProtected(await readPrivateFile(files.key));
  const passphrase = isSecret ? await passphraseFor(files.key, renewal) : undefined;
  const oldKey = await loadKey(files.key, { passphrase });
  const key = renewal.newKey === undefined ? oldKey : await generateKey(renewal.newKey);
  const when = { now: Date.now(), random, days: renewal.days };
  let certificate: Certificate;
  if (role === "ca") {
    if (old.fingerprint !== authority.certificate.fingerprint || renewal.newKey !== undefined) {
      throw new Failure(
        EXIT.usage,
        "a CA is renewed in its own folder and keeps its key: with a new one, nothing that it issued would be valid",
      );
    }
    certificate = (await renewAuthority({ certificate: old, key }, when)).certificate;
  } else {
    certificate = await issueCertificate(authority, { ...requestOf(old, role), publicKey: publicKeyOf(key) }, when);
  }
  const made: Made = { role, certificate, files };
  await keepOld(files.certificate, 0o644);
  if (renewal.newKey !== undefined) {
    await keepOld(files.key, 0o600);
    await writeAtomically(files.key, await encodePrivateKey(key, passphrase, random), { mode: 0o600, replace: true });
  }
  const { subjectName, issuerName, pem } = authority.certificate;
  const chain = certificate.pem + (subjectName === issuerName ? "" : pem); // whoever checks it has only the root
  await writeAtomically(files.certificate, chain, { replace: true });
  await remember(dir, made);
  return made;
}

/** Whether it is a server's or a client's certificate, by its name or its only purpose. */
export function roleOf(certificate: Certificate): "server" | "client" {
  const { commonNames, extendedKeyUsage } = certificate;
  for (const role of ["server", "client"] as const) {
    if (commonNames.some((name) => name.startsWith(`${role.toUpperCase()}: `))) return role;
  }
  return extendedKeyUsage?.includes(OID.serverAuth) ? "server" : "client";
}

function requestOf({ commonNames, hostNames }: Certificate, role: "server" | "client"): Omit<Request, "publicKey"> {
  const [email] = hostNames?.emails ?? [];
  return {
    role,
    name: (commonNames[0] ?? "").replace(/^(?:SERVER|CLIENT): /, ""),
    hosts: [...hostNames?.dnsNames ?? [], ...hostNames?.addresses ?? []],
    ...(email === undefined ? {} : { email }),
  };
}

// ---- what was issued

/** A line of `issued.txt`. */
export interface Issued {
  readonly serial: string;
  readonly role: string;
  readonly notAfter: string;
  readonly fingerprint: string;
  readonly subject: string;
}

async function remember(dir: string, { role, certificate }: Pick<Made, "role" | "certificate">): Promise<void> {
  const { serial, fingerprint, subject, notAfter } = certificate;
  const line = `${serial} ${role} ${formatTime(notAfter)} ${fingerprint} ${subject}`;
  await appendLines(`${dir}/issued.txt`, [line], 0o600);
}

/** The line of `issued.txt` about a serial number. */
export async function findIssued(dir: string, serial: string): Promise<Issued | undefined> {
  const path = `${dir}/issued.txt`;
  const text = await exists(path) ? await readTextFile(path) : "";
  const line = text.split("\n").find((line) => line.startsWith(`${serial} `));
  const [, role, notAfter, fingerprint, subject] = /^\S+ (\S+) (\S+) (\S+) (.*)$/.exec(line ?? "") ?? [];
  if (role === undefined || notAfter === undefined || fingerprint === undefined) return undefined;
  return { serial, role, notAfter, fingerprint, subject: subject ?? "" };
}

// ---- what was revoked

/** The result of {@link signRevocationList}. */
export interface SignedList {
  readonly path: string;
  readonly nextUpdate: number;
  readonly revoked: number;
}

/** Which file has the revocation list of this CA of CERT_DIR. */
async function listOf(dir: string, { certificate }: Authority): Promise<CrlFile> {
  const issuing = pathIn(dir, "issuing_cert.pem");
  const [issuer] = await exists(issuing) ? await loadChain(issuing, "") : [];
  const isIssuing = issuer?.fingerprint === certificate.fingerprint;
  return isIssuing ? "issuing_crl.pem" : "crl.pem";
}

/**
 * The CAs of CERT_DIR whose keys are here: the root's may be kept elsewhere, and there may be no issuing CA.
 */
export async function revokers(dir: string, options: PassphraseOptions): Promise<readonly Authority[]> {
  const hasIssuer = await exists(pathIn(dir, "issuing_cert.pem"));
  const hasRoot = !hasIssuer || await exists(pathIn(dir, "ca_private_key.pem"));
  const root = hasRoot ? [await loadAuthority(dir, options)] : [];
  const issuer = await loadIssuer(dir, options);
  return [...root, ...issuer ? [issuer] : []];
}

/**
 * Signs `crl.pem`, or the issuing CA's list, again, with one serial number more or none. It is valid for so many days, or
 * until the CA ends. Revoked certificates stay revoked, even if the previous list is lost.
 */
export async function signRevocationList(
  dir: string,
  authority: Authority,
  { add, days }: { readonly add?: string; readonly days?: number | undefined },
): Promise<SignedList> {
  const file = await listOf(dir, authority);
  const path = pathIn(dir, file);
  const now = Math.floor(Date.now() / 1000) * 1000;
  const before = await exists(path) ? await loadRevocationList(path) : undefined;
  const isOurs = before === undefined || before.issuerName === authority.certificate.subjectName &&
      await verifySignature(before, authority.certificate); // a CA with the same name may have had another key
  if (!isOurs) {
    throw new Failure(
      EXIT.usage,
      `${path} is another CA's; move it away first: mv ${shellPath(path)} ${shellPath(path)}.old`,
    );
  }
  const recorded = (await readRevoked(dir)).filter((one) => one.file === file);
  const dates = new Map([
    ...recorded.map(({ serial, date }) => [serial, date] as const),
    ...[...before?.revoked ?? []].map(([serial, { date }]) => [serial, date] as const),
  ]);
  if (add !== undefined && !dates.has(add)) dates.set(add, now);
  const revoked = [...dates].map(([serial, date]) => ({ serial, date, file }));
  const known = new Set(recorded.map(({ serial }) => serial));
  await recordRevoked(dir, revoked.filter(({ serial }) => !known.has(serial)));
  const end = authority.certificate.notAfter;
  const nextUpdate = days === undefined ? end : Math.min(end, now + days * 86_400_000);
  // A list's number must rise. Derived from the clock it does, even if the previous list was lost.
  const number = [BigInt(now), (before?.number ?? 0n) + 1n].reduce((a, b) => a > b ? a : b);
  await writeAtomically(path, await issueRevocationList(authority, revoked, { now, nextUpdate, number }), {
    replace: true,
  });
  return { path, nextUpdate, revoked: revoked.length };
}

/** When a serial number was revoked, by the CA or by the issuing CA. */
export async function revokedAt(dir: string, serial: string): Promise<number | undefined> {
  return (await readRevoked(dir)).find((one) => one.serial === serial)?.date;
}
