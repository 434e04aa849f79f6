/**
 * The folders under tests/evidence: a receipt and a transcript, of a session or (`room_…`) of a room, or a line proof;
 * what is trusted, and what must come out: `expected.json` for programs, `verdict.txt` for people.
 */

import { EXIT, type ExitStatus, Failure } from "../lib/errors.ts";
import { transcriptLines, type Verdict, verify } from "../lib/verify.ts";
import { type RoomVerdict, verifyLineProof, verifyRoom } from "../lib/verify_room.ts";
import { parseCertificates, parseRevocationList } from "../lib/x509.ts";
import { ROOT } from "./environment.ts";

/** `expected.json`. */
export interface Expected {
  readonly status: ExitStatus;
  /** The checks that fail, all of them. */
  readonly failed: readonly string[];
  /** Where the status leaves it open. */
  readonly result?: "valid" | "partly_valid" | "invalid" | "undecided";
  /** The lines that are bad: in a room their indexes, in a session counted from 1. */
  readonly bad?: readonly number[];
  /** Of a valid one: the fields that nobody signed. */
  readonly unsigned?: readonly string[];
  readonly options?: { readonly at?: string; readonly requireV2?: boolean };
}

/** One folder's files. */
export interface EvidenceCase {
  readonly name: string;
  readonly folder: string;
  readonly receipt: Uint8Array;
  readonly transcript: Uint8Array;
  readonly ca: string;
  readonly crl: string | undefined;
  readonly cert: string | undefined;
  readonly expected: Expected;
}

/** Every case of a session. */
export function evidenceCases(): EvidenceCase[] {
  return folders().filter((name) => !name.startsWith(ROOM)).map(evidenceCase);
}

const ROOM = "room_";

function folders(): string[] {
  return [...Deno.readDirSync(`${ROOT}/tests/evidence`)].map(({ name }) => name).toSorted();
}

/** The case of that name. */
export function evidenceCase(name: string): EvidenceCase {
  const folder = `${ROOT}/tests/evidence/${name}`;
  return {
    name,
    folder,
    receipt: Deno.readFileSync(`${folder}/receipt.json`),
    transcript: Deno.readFileSync(`${folder}/transcript.txt`),
    ca: Deno.readTextFileSync(`${folder}/ca.pem`),
    crl: optional(`${folder}/crl.pem`),
    cert: optional(`${folder}/cert.pem`),
    expected: JSON.parse(Deno.readTextFileSync(`${folder}/expected.json`)),
  };
}

function optional(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** What verify() says of a case; `undefined` for what can't be read. */
export async function verdictOf(
  { receipt, transcript, ca, crl, cert, expected: { options = {} } }: EvidenceCase,
): Promise<Verdict | undefined> {
  const trust = {
    authorities: parseCertificates(ca),
    revocations: crl === undefined ? [] : [parseRevocationList(crl)],
  };
  const certificates = cert === undefined ? [] : [parseCertificates(cert)];
  try {
    return await verify({ receipt, lines: transcriptLines(transcript), certificates }, trust, {
      policy: { version2Only: options.requireV2 ?? false },
      ...(options.at === undefined ? {} : { at: Date.parse(options.at) }),
    });
  } catch (error) {
    if (error instanceof Failure && error.status === EXIT.usage) return undefined;
    throw error;
  }
}

/** The page that is expected. */
export function storedPage({ folder }: { readonly folder: string }): string | undefined {
  return optional(`${folder}/verdict.txt`);
}

/** The folder of a room's case. */
export interface RoomCase {
  readonly name: string;
  readonly folder: string;
  /** What `securechat verify` is given, but for trust: paths, and `--openings`. */
  readonly files: readonly string[];
  readonly crl: string | undefined;
  readonly expected: Expected;
}

/** Every case of a room in tests/evidence. */
export function roomCases(): RoomCase[] {
  return folders().filter((name) => name.startsWith(ROOM)).map((name) => roomCase(`${ROOT}/tests/evidence/${name}`));
}

/** The case in that folder. */
export function roomCase(folder: string): RoomCase {
  const has = (file: string) => [...Deno.readDirSync(folder)].some(({ name }) => name === file);
  const expected = JSON.parse(Deno.readTextFileSync(`${folder}/expected.json`));
  const openings = has("openings.txt") ? ["--openings", `${folder}/openings.txt`] : [];
  return {
    name: folder.slice(folder.lastIndexOf("/") + 1),
    folder,
    files: has("line_proof.json")
      ? [`${folder}/line_proof.json`]
      : [`${folder}/receipt.json`, `${folder}/transcript.txt`, ...openings],
    crl: has("crl.pem") ? `${folder}/crl.pem` : undefined,
    expected,
  };
}

/** What verifyRoom() or verifyLineProof() says of a case. */
export async function roomVerdictOf({ folder, files, crl }: RoomCase): Promise<RoomVerdict> {
  const trust = {
    authorities: parseCertificates(Deno.readTextFileSync(`${folder}/ca.pem`)),
    revocations: crl === undefined ? [] : [parseRevocationList(Deno.readTextFileSync(crl))],
  };
  const [receipt = "", transcript, _, openings] = files;
  const linesOf = (path: string) => transcriptLines(Deno.readFileSync(path));
  if (transcript === undefined) return await verifyLineProof(Deno.readFileSync(receipt), trust);
  return await verifyRoom({
    receipt: Deno.readFileSync(receipt),
    lines: linesOf(transcript),
    ...(openings === undefined ? {} : { openings: linesOf(openings) }),
  }, trust);
}
