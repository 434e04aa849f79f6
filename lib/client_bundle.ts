/**
 * What a client shows of a room to a stranger in one file: lines with their receipt and words, and what it kept of the
 * server's log, from nothing but its own records (docs/PROTOCOL.md, "One file").
 *
 *     const { bundle, verify } = await exportBundle(records, "#ops", { identity, now: Date.now(), folder: ".", open: "all" });
 *     verify → "securechat verify room_ops_20231115_143022.evidence --ca …"
 *
 * @layer outside
 */

import { BUNDLE_README, encodeBundle, memberOf, type NewMember } from "./bundle.ts";
import { type Bytes, encodeUtf8 } from "./bytes.ts";
import {
  authorityFlag,
  type ExportOptions,
  freeName,
  show,
  type Shown,
  verifyCommand,
  writePrivate,
} from "./client_export.ts";
import { type KeptLog, makeLogEvidence, readLogRecords, type ShownLog } from "./client_log_evidence.ts";
import type { RoomRecords } from "./client_room_records.ts";
import { exists, readPemFile, writePieces } from "./files.ts";
import { encodeJson } from "./json.ts";
import { parseCharter } from "./log_charter.ts";
import { type LogPin, parseEnvelope } from "./log_envelope.ts";
import { encodeLogEvidence } from "./log_evidence.ts";
import type { ProofLog } from "./log_proof_files.ts";
import { encodeLineProof, encodeOpening, type Opening } from "./log_receipt.ts";
import { type Certificate, parseCertificateFile } from "./x509.ts";

/** The most certificates of authorities and CAs in a bundle. */
const MAX_CERTIFICATES = 64;

/** The file that was written. */
export interface BundleExport {
  readonly bundle: string;
  /** The shell command that verifies it. */
  readonly verify: string;
  /** How many lines at the end are left out, since no signed head covers them yet. */
  readonly left_out: number;
  /** Whether the server's log registers the lines, and a note over them is shown. */
  readonly registered: boolean;
}

/** Writes lines of a room in one file with all that proves them. */
export async function exportBundle(records: RoomRecords, room: string, options: ExportOptions): Promise<BundleExport> {
  const kept = readLogRecords(await records.readServerLog());
  const shown = await show(records, room, options, kept);
  const log = kept && await showLog(kept, shown, records);
  const path = `${await freeName(options, room, ["evidence"])}.evidence`;
  const members = await membersOf(shown, log, { kept, isOpen: options.open !== "none", ca: options.ca });
  await writePieces(path, encodeBundle(members), { mode: 0o600 });
  return {
    bundle: path,
    verify: verifyCommand(path, ...authorityFlag(options)),
    left_out: shown.leftOut,
    registered: log !== undefined,
  };
}

/** Writes one line with all that proves it, its words too unless they are erased or `open` leaves them out. */
export async function proveLine(
  records: RoomRecords,
  room: string,
  index: number,
  options: Omit<ExportOptions, "from" | "to">,
): Promise<{ readonly path: string; readonly verify: string }> {
  const kept = readLogRecords(await records.readServerLog());
  const shown = await show(records, room, { ...options, from: index, to: index + 1 }, kept);
  const log = kept && await showLog(kept, shown, records);
  const path = `${await freeName(options, `${room}_${index}`, ["json"])}.json`;
  const proof = { ...shown, log: log && proofLog(log, kept) };
  await writePrivate(path, `${encodeJson(encodeLineProof(proof))}\n`);
  return { path, verify: verifyCommand(path, ...authorityFlag(options)) };
}

function proofLog({ evidence, files }: ShownLog, kept: KeptLog): ProofLog {
  const all = new Map(files.map(({ name, bytes }) => [name, bytes]));
  const authorities = certificatesIn(kept.chain);
  if (files.some(({ name }) => name.startsWith("tokens/")) && authorities.length > 0) {
    all.set("tsa.pem", encodeUtf8(spelled(authorities)));
  }
  return { evidence: encodeLogEvidence(evidence), files: all };
}

async function showLog(kept: KeptLog, shown: Shown, records: RoomRecords): Promise<ShownLog | undefined> {
  const charter = parseCharter(kept.charter);
  const signer = charter && await records.certificate(charter.from);
  if (signer === undefined) return undefined;
  const { origin, checkpoints, openings } = shown;
  return await makeLogEvidence(kept, { origin, checkpoints, pins: pinsOf(openings), certs: [signer] });
}

function pinsOf(openings: readonly Opening[]): LogPin[] {
  return openings.flatMap(({ envelope }) => parseEnvelope(envelope).log ?? []);
}

interface Surroundings {
  readonly kept: KeptLog | undefined;
  readonly isOpen: boolean;
  readonly ca: string | undefined;
}

async function membersOf(shown: Shown, log: ShownLog | undefined, { kept, isOpen, ca }: Surroundings) {
  const text = (name: string, content: string) => memberOf(name, encodeUtf8(content));
  const members: NewMember[] = [
    text("README.txt", BUNDLE_README),
    text("receipt.json", `${encodeJson(shown.receipt)}\n`),
    text("transcript.txt", shown.lines.map((line) => `${line}\n`).join("")),
  ];
  if (isOpen) members.push(text("openings.txt", shown.openings.map(encodeOpening).join("")));
  if (log) {
    members.push(text("log.json", encodeJson(encodeLogEvidence(log.evidence))));
    members.push(...inOrder(log.files));
    const authorities = log.files.some(({ name }) => name.startsWith("tokens/"))
      ? certificatesIn(kept?.chain ?? "")
      : [];
    if (authorities.length > 0) members.push(text("tsa.pem", spelled(authorities)));
  }
  if (ca !== undefined && await exists(ca)) {
    members.push(text("ca.pem", spelled(parseCertificateFile(await readPemFile(ca), MAX_CERTIFICATES))));
  }
  return members;
}

/** Notes by their sizes, then tokens by their notes' sizes and their numbers. */
function inOrder(files: readonly { readonly name: string; readonly bytes: Bytes }[]): NewMember[] {
  const keyOf = (name: string) => [name.startsWith("notes/") ? 0 : 1, ...(name.match(/[0-9]+/g) ?? []).map(Number)];
  return files
    .map(({ name, bytes }) => ({ key: keyOf(name), member: memberOf(name, bytes) }))
    .sort((a, b) => {
      const at = a.key.findIndex((value, i) => value !== b.key[i]);
      return (a.key[at] ?? 0) - (b.key[at] ?? 0);
    })
    .map(({ member }) => member);
}

function certificatesIn(pem: string): Certificate[] {
  return pem === "" ? [] : parseCertificateFile(pem, MAX_CERTIFICATES);
}

/** Certificates in their one spelling, by fingerprint, none twice. */
function spelled(certificates: readonly Certificate[]): string {
  const all = new Map(certificates.map(({ fingerprint, pem }) => [fingerprint, pem]));
  return [...all].sort(([a], [b]) => a < b ? -1 : 1).map(([, pem]) => pem).join("");
}
