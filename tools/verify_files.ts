/**
 * The files of `securechat verify` and `cert check`: the evidence, and the CA that judges it.
 *
 *     --ca FILE, --certs DIR, CERT_DIR   → named: whoever runs the command trusts this CA
 *     ca_cert.pem beside the receipt     → found: it came with the evidence, perhaps from whoever forged it
 *     certs/ca_cert.pem                  → found likewise: the working folder may be the evidence's own
 *
 * A CA that was found judges, but the verdict says that it was found. `--ca-sha256` names a CA by its fingerprint,
 * wherever its file lies.
 *
 * Every file is opened before `verify` gives its permissions up, and read afterwards: without them the runtime opens
 * nothing under /dev. Trust is read from regular files only. Evidence may also come from the standard input, or from a
 * descriptor that the shell names (`/dev/fd/63`); a FIFO of another name isn't opened, since that could wait for ever.
 */

import type { RandomAccess } from "../lib/bundle.ts";
import { concat } from "../lib/bytes.ts";
import { type Command, isSet, readConfig, type SettingFlags } from "../lib/config.ts";
import { EXIT, Failure, ProtocolError } from "../lib/errors.ts";
import { exists, explainFileError, MAX_PEM_BYTES, openRegularFile, readToEnd, textOf } from "../lib/files.ts";
import { MAX_LIST_FILE_BYTES, pathIn } from "../lib/identity.ts";
import { type Certificate, MAX_CA_CERTIFICATES, parseCertificateFile, parseRevocationListFile } from "../lib/x509.ts";

// ---- the CA

/** Where the CA's certificate lies, and whether somebody named it. */
export interface AuthorityFile {
  readonly path: string;
  readonly source: "named" | "found";
}

/** How the CA is chosen on the command line. */
export interface AuthorityFlags {
  readonly ca: string | undefined;
  /** The fingerprint of the CA that counts, as {@link parseFingerprint} gives it. */
  readonly sha256: string | undefined;
  readonly settings: SettingFlags;
}

/** The CA's file: the one that is named, or the first that is there; `undefined` if there is none. */
export async function findAuthority(
  command: Command,
  { ca, sha256, settings }: AuthorityFlags,
  receipt?: string,
): Promise<AuthorityFile | undefined> {
  if (ca !== undefined) return { path: ca, source: "named" };
  const path = pathIn(readConfig(command, settings).CERT_DIR, "ca_cert.pem");
  const isNamed = isSet(command, "CERT_DIR", settings);
  const places = isNamed || receipt === undefined ? [path] : [authorityBeside(receipt), path];
  for (const place of places) {
    if (await exists(place)) return { path: place, source: isNamed || sha256 !== undefined ? "named" : "found" };
  }
  return undefined;
}

function authorityBeside(path: string): string {
  const folder = path.slice(0, Math.max(path.lastIndexOf("/"), path.lastIndexOf("\\")) + 1) || ".";
  return pathIn(folder, "ca_cert.pem");
}

/** What `--ca-sha256` says, in lower case without colons. */
export function parseFingerprint(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  const hex = text.replaceAll(":", "").toLowerCase();
  if (/^[0-9a-f]{64}$/.test(hex)) return hex;
  throw new Failure(EXIT.usage, "--ca-sha256 needs the SHA-256 of a certificate: 64 hex digits");
}

/** Those CAs that count. Failure (3) if none of them has the fingerprint that is asked for. */
export function chosenAuthorities(
  authorities: readonly Certificate[],
  path: string,
  sha256: string | undefined,
): readonly Certificate[] {
  if (sha256 === undefined) return authorities;
  const chosen = authorities.filter(({ fingerprint }) => fingerprint === sha256);
  if (chosen.length > 0) return chosen;
  const there = authorities.map(({ fingerprint }) => fingerprint).join(", ");
  throw new Failure(
    EXIT.undecided,
    `undecided: the CA in ${path} has the SHA-256 ${there}, not the ${sha256} of --ca-sha256; get the right CA's file`,
  );
}

/** The CA that judged, for programs. */
export function authorityJson({ subject, fingerprint }: Certificate, { path, source }: AuthorityFile) {
  return { subject, sha256: fingerprint, source, path };
}

/** What a verdict says of a CA that nobody named. */
export function foundNote(path: string): string {
  return `This CA was found in ${path}, and may come from whoever made the evidence: name it with --ca or --ca-sha256.`;
}

// ---- evidence

/** A file that was opened, and is read once. */
export interface OpenFile {
  readonly path: string;
  readonly stream: { read(buffer: Uint8Array): Promise<number | null> };
  /** Of a regular file: its size as it was opened. Without permissions the runtime tells nothing of files under /dev. */
  readonly size?: number;
}

/** Opens a file of trust, which must be a regular one. */
function openTrust(path: string): Deno.FsFile {
  try {
    return openRegularFile(path);
  } catch (error) {
    throw explainFileError(error, path, "read");
  }
}

/** Opens a file of the evidence. */
function openEvidence(path: string): OpenFile {
  if (path === "/dev/stdin") return { path, stream: Deno.stdin };
  const isNamed = !/^\/(?:dev|proc\/self)\/fd\/\d+$/.test(path);
  try {
    const stream = isNamed ? openTrust(path) : Deno.openSync(path);
    const { isFile, size } = stream.statSync();
    return isFile ? { path, stream, size } : { path, stream };
  } catch (error) {
    throw explainFileError(error, path, "read");
  }
}

/** 256 KiB: some hundred lines in one read. */
const CHUNK_BYTES = 262_144;

/** The file in pieces, each good until the next is asked for. */
export async function* chunksOf({ path, stream }: OpenFile): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(CHUNK_BYTES);
  try {
    for (let count; (count = await stream.read(buffer)) !== null;) yield buffer.subarray(0, count);
  } catch (error) {
    throw explainFileError(error, path, "read");
  }
}

/** {@link chunksOf} without the byte order mark before them. Not for a transcript, of which every byte counts. */
export async function* textChunksOf(file: OpenFile): AsyncGenerator<Uint8Array> {
  let isStart = true;
  for await (const chunk of chunksOf(file)) {
    yield isStart ? withoutMark(chunk) : chunk;
    isStart = false;
  }
}

/** The whole file without a byte order mark; a {@link Failure} if it has more than `max` bytes. */
export async function readWhole(file: OpenFile, max: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of chunksOf(file)) {
    length += chunk.length;
    if (length > max) {
      throw new Failure(EXIT.usage, `${file.path} has more than ${max} bytes: no evidence is that long`);
    }
    chunks.push(chunk.slice());
  }
  return withoutMark(concat(...chunks));
}

function withoutMark(bytes: Uint8Array): Uint8Array {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.subarray(3) : bytes;
}

// ---- all of them

/** Paths, before any of them is opened. */
interface Paths {
  readonly ca: string | undefined;
  readonly crl: readonly string[];
  readonly cert: readonly string[];
  readonly receipt: string;
  readonly transcript: string | undefined;
  readonly openings: string | undefined;
}

/** Opens everything that will be read: afterwards the permission for that may be gone. */
export function openFiles({ ca, crl, cert, receipt, transcript, openings }: Paths) {
  if ([receipt, transcript, openings].filter((path) => path === "/dev/stdin").length > 1) {
    throw new Failure(EXIT.usage, "/dev/stdin can be read once only: name files for the others");
  }
  const trust = (path: string) => ({ path, file: openTrust(path) });
  return {
    ca: ca === undefined ? undefined : trust(ca),
    crl: crl.map(trust),
    cert: cert.map(trust),
    receipt: openEvidence(receipt),
    transcript: transcript === undefined ? undefined : openEvidence(transcript),
    openings: openings === undefined ? undefined : openEvidence(openings),
  };
}

type TrustFile = ReturnType<typeof openFiles>["crl"][number];

/** An open file, to be read at any place; `undefined` if it can only be read through. */
export function randomAccessOf({ stream, size: whole }: OpenFile): RandomAccess | undefined {
  if (!(stream instanceof Deno.FsFile) || whole === undefined) return undefined;
  const file = stream;
  return {
    size: whole,
    async read(at, size) {
      await file.seek(at, Deno.SeekMode.Start);
      const bytes = new Uint8Array(size);
      let read = 0;
      while (read < size) {
        const count = await file.read(bytes.subarray(read));
        if (count === null) break;
        read += count;
      }
      return bytes.subarray(0, read);
    },
  };
}

/** The CAs that count, and the revocation lists. */
export function readTrust(
  { ca, crl }: ReturnType<typeof openFiles>,
  found: AuthorityFile | undefined,
  sha256?: string,
) {
  if (found === undefined && sha256 !== undefined) {
    throw new Failure(EXIT.undecided, "undecided: there is no CA to compare with --ca-sha256; name its file with --ca");
  }
  const authorities = ca === undefined ? [] : readCertificates(ca, MAX_CA_CERTIFICATES);
  return {
    authorities: chosenAuthorities(authorities, found?.path ?? "", sha256),
    revocations: crl.map((file) => readPem(file, parseRevocationListFile, MAX_LIST_FILE_BYTES)),
  };
}

/** The certificates of a file. */
export function readCertificates(file: TrustFile, max?: number): Certificate[] {
  return readPem(file, (pem) => parseCertificateFile(pem, max), MAX_PEM_BYTES);
}

function readPem<T>({ path, file }: TrustFile, parse: (pem: string) => T, max: number): T {
  using open = file;
  const pem = textOf(readToEnd(open, path, max), path);
  try {
    return parse(pem);
  } catch (error) {
    if (error instanceof ProtocolError) throw new Failure(EXIT.usage, `${path} can't be used: ${error.message}`);
    throw error;
  }
}

/** A time in the form of a receipt's, or unix seconds; as unix milliseconds. */
export function parseMoment(flag: string, text: string): number {
  const isForm = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?Z)?$/.test(text);
  const time = /^\d{1,11}$/.test(text) ? Number(text) * 1000 : isForm ? Date.parse(text) : NaN;
  if (!Number.isNaN(time)) return time;
  throw new Failure(EXIT.usage, `${flag}=${text} is not a time: write it as 2026-11-15T14:30:22Z or as unix seconds`);
}
