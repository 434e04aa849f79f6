/**
 * `securechat verify`: a receipt and a transcript checked offline, of a session (protocol.md section 8) or of a room
 * (rooms.md section 7), or a line proof; the checks themselves stand in `lib/verify.ts` and `lib/verify_room.ts`.
 *
 *     securechat verify receipt.json transcript.txt --ca ca_cert.pem
 *     securechat verify receipt.json transcript.txt --openings openings.txt
 *     securechat verify line_proof.json
 *
 * First of all the process gives up the network, other programs, the environment and writing, for good: whatever a
 * hostile receipt might make of it, it can read and print. It opens the files that it is given and, without `--ca`, the
 * `ca_cert.pem` that it finds; a transcript of any size is read in pieces.
 */

import { isSet, parseCommand, readConfig, type SettingFlags } from "../lib/config.ts";
import { EXIT, type ExitStatus, Failure, ProtocolError } from "../lib/errors.ts";
import { isKnownKind } from "../lib/envelope.ts";
import { exists, explain, readTextFile } from "../lib/files.ts";
import { canonicalJson, encodeAsciiJson } from "../lib/json.ts";
import { pathIn } from "../lib/identity.ts";
import { formatTime } from "../lib/receipt.ts";
import { MAX_ROOM_RECEIPT_BYTES } from "../lib/room_receipt.ts";
import { SignaturePool } from "../lib/signature_pool.ts";
import { wantsColour, write } from "../lib/terminal.ts";
import { printable, visible } from "../lib/text.ts";
import { type Check, UnreadableReceipt } from "../lib/verdict.ts";
import { transcriptLines, type Verdict, verify } from "../lib/verify.ts";
import {
  type OpenedLine,
  roomEvidenceType,
  type RoomVerdict,
  verifyLineProof,
  verifyRoom,
} from "../lib/verify_room.ts";
import { type Certificate, parseCertificates, parseRevocationList } from "../lib/x509.ts";

const SPEC = {
  name: "verify",
  summary: "check a receipt and a transcript, offline",
  usage: `securechat verify RECEIPT TRANSCRIPT [FLAGS]
securechat verify LINE_PROOF [FLAGS]

Says of each check whether it passed, failed or was not made, and then one sentence. Without --ca it takes ca_cert.pem
in the CERT_DIR that is named; where none is, beside the receipt, then in certs; and prints which. Certificates are judged as of the receipt and of each line; in a
room, as of the checkpoint that covers the line. The words themselves are not shown by a session's transcript, which
holds ciphertext, and by a room's only where --openings has them, or a line proof.

Examples:
  securechat verify transcripts/receipt_20261115_143022.json transcripts/transcript_20261115_143022.txt
  securechat verify receipt.json transcript.txt --ca ca_cert.pem --require-v2
  securechat verify ops_receipt.json ops_transcript.txt --openings ops_openings.txt
  securechat verify line_41.json --crl crl.pem --crl issuing_crl.pem
  securechat verify receipt.json transcript.txt --cert ada_cert.pem --at 2026-11-15T14:30:22Z --json

Exit status: 0 valid; 1 invalid, or partly valid: the bad lines are named, and the others stand; 2 a file can't be read,
or usage; 3 undecided, since there is no CA.`,
  settings: "verify",
  options: {
    ca: { type: "string", value: "FILE", describe: "certificates of the CAs that are trusted" },
    cert: {
      type: "string",
      value: "FILE",
      multiple: true,
      describe: "a certificate that lines name, its intermediates after it, where the receipt has none",
    },
    openings: { type: "string", value: "FILE", describe: "the words of some lines or all, beside a room's receipt" },
    crl: {
      type: "string",
      value: "FILE",
      multiple: true,
      describe: "a CA's revocation list, however old; an issuing CA has its own",
    },
    at: {
      type: "string",
      value: "TIME",
      describe: "judge certificates as of this time: 2026-11-15T14:30:22Z, or unix seconds",
    },
    "require-v2": { type: "boolean", describe: "take version-2 receipts alone, in which every field is signed" },
    json: { type: "boolean", describe: "print the verdict as JSON" },
  },
  positionals: { min: 1, max: 2, names: "RECEIPT, TRANSCRIPT or LINE_PROOF" },
} as const;

/** As many CAs as a file may hold. */
const MAX_AUTHORITIES = 64;
/** 256 KiB: some hundred lines in one read. */
const CHUNK_BYTES = 262_144;

/** The command. */
export async function run(args: string[]): Promise<ExitStatus> {
  const { options, positionals: [receiptPath = "", transcriptPath], flags } = parseCommand(args, SPEC);
  const at = options.at === undefined ? undefined : parseMoment(options.at);
  const found = options.ca === undefined ? authoritiesFor(receiptPath, flags) : [];
  const colour = wantsColour() && Deno.stdout.isTerminal();
  await surrender();

  const caPath = options.ca ?? await firstOf(found);
  const authorities = caPath === undefined ? [] : await readCertificates(caPath, MAX_AUTHORITIES);
  const revocations = await Promise.all(options.crl.map((path) => readPem(path, parseRevocationList)));
  const certificates = await Promise.all(options.cert.map((path) => readCertificates(path)));
  const receipt = await readReceipt(receiptPath);
  using signatures = new SignaturePool();
  const trusted = { authorities, revocations };
  const how = { signatures, ...(at === undefined ? {} : { at }) };
  const clock = { now: Date.now() };
  const type = roomEvidenceType(receipt);
  checkUsage(type, { ...options, transcript: transcriptPath });
  const lines = linesOf(transcriptPath ?? "");
  const openings = options.openings === undefined ? {} : { openings: linesOf(options.openings) };
  const policy = { version2Only: options["require-v2"] };
  const judging = type === "line_proof"
    ? verifyLineProof(receipt, trusted, { ...how, ...clock })
    : type === "room_receipt"
    ? verifyRoom({ receipt, lines, ...openings }, trusted, { ...how, ...clock })
    : verify({ receipt, lines, certificates }, trusted, { ...how, policy });
  const judged = await judging.catch((error: unknown) => {
    throw error instanceof UnreadableReceipt ? new Failure(error.status, `${receiptPath}: ${error.message}`) : error;
  });

  const verdict = at === undefined ? judged : { ...judged, notes: [...judged.notes, judgedAt(at)] };
  const trust = {
    ca: caPath ?? null,
    authorities: authorities.map(({ subject, fingerprint }) => ({ subject, fingerprint })),
    at: at === undefined ? null : formatTime(at),
  };
  if (options.json) write(`${encodeAsciiJson({ ...verdict, trust })}\n`);
  else {write(
      report(verdict, {
        authorities,
        caPath,
        colour,
        isBeside: caPath !== undefined && caPath === found[0] && found.length > 1,
      }),
    );}
  return STATUS[verdict.result];
}

/** The exit status of each result. */
const STATUS = { valid: EXIT.done, partly_valid: EXIT.no, invalid: EXIT.no, undecided: EXIT.undecided } as const;

interface Given {
  readonly transcript: string | undefined;
  readonly openings: string | undefined;
  readonly cert: readonly string[];
}

/** Files that don't belong together. */
function checkUsage(type: ReturnType<typeof roomEvidenceType>, { transcript, openings, cert }: Given): void {
  if (type === "line_proof" && (transcript !== undefined || openings !== undefined)) {
    throw new Failure(EXIT.usage, "a line proof stands alone: its lines and openings are in it");
  }
  if (type !== "line_proof" && transcript === undefined) {
    throw new Failure(EXIT.usage, "the TRANSCRIPT is missing: only a line proof is verified without one");
  }
  if (type === undefined && openings !== undefined) {
    throw new Failure(EXIT.usage, "--openings goes with a room's receipt, and this is not one");
  }
  if (type !== undefined && cert.length > 0) {
    throw new Failure(EXIT.usage, "--cert goes with a session's receipt: a room's has every certificate in it");
  }
}

/** What a verifier has no use for. Reading stays; what is given up here can't be had back by code. */
export const SURRENDERED = ["net", "run", "env", "write", "ffi", "sys"] as const;

/** Gives up every permission but reading, before anything is opened. */
async function surrender(): Promise<void> {
  for (const name of SURRENDERED) {
    const { state } = await Deno.permissions.revoke({ name });
    if (state === "granted") throw new Failure(EXIT.undecided, `the permission ${name} can't be given up here`);
  }
}

/** A time in the form of a receipt's, or unix seconds; as unix milliseconds. */
function parseMoment(text: string): number {
  const isForm = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?Z)?$/.test(text);
  const time = /^\d{1,11}$/.test(text) ? Number(text) * 1000 : isForm ? Date.parse(text) : NaN;
  if (!Number.isNaN(time)) return time;
  throw new Failure(EXIT.usage, `--at=${text} is not a time: 2026-11-15T14:30:22Z or unix seconds are wanted`);
}

// ---- files

/** Where the CA may be: beside the evidence only where nobody has said what is trusted. */
function authoritiesFor(receiptPath: string, flags: SettingFlags): string[] {
  const named = pathIn(readConfig("verify", flags).CERT_DIR, "ca_cert.pem");
  return isSet("CERT_DIR", flags) ? [named] : [authorityBeside(receiptPath), named];
}

function authorityBeside(path: string): string {
  const folder = path.slice(0, Math.max(path.lastIndexOf("/"), path.lastIndexOf("\\")) + 1) || ".";
  return pathIn(folder, "ca_cert.pem");
}

async function firstOf(paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) if (await exists(path)) return path;
  return undefined;
}

async function readCertificates(path: string, max?: number): Promise<Certificate[]> {
  return await readPem(path, (pem) => parseCertificates(pem, max));
}

async function readPem<T>(path: string, parse: (pem: string) => T): Promise<T> {
  const pem = await readTextFile(path);
  try {
    return parse(pem);
  } catch (error) {
    if (error instanceof ProtocolError) throw new Failure(EXIT.usage, `${path} can't be used: ${error.message}`);
    throw error;
  }
}

async function readReceipt(path: string): Promise<Uint8Array> {
  const bytes = new Uint8Array(MAX_ROOM_RECEIPT_BYTES + 1);
  let length = 0;
  try {
    using file = await Deno.open(path);
    for (let count; length < bytes.length && (count = await file.read(bytes.subarray(length))) !== null;) {
      length += count;
    }
  } catch (error) {
    throw explain(error, path, "read");
  }
  // What is cut off is of no type: verify() would take it for a session's receipt.
  if (length > MAX_ROOM_RECEIPT_BYTES) {
    throw new Failure(EXIT.usage, `${path} has more than ${MAX_ROOM_RECEIPT_BYTES} bytes: no evidence is that long`);
  }
  return bytes.subarray(0, length);
}

/** The file's lines; it is opened when the first is asked for. */
function linesOf(path: string): AsyncGenerator<Uint8Array> {
  return transcriptLines(chunksOf(path));
}

/** The file in pieces, each good until the next is asked for. */
async function* chunksOf(path: string): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(CHUNK_BYTES);
  try {
    using file = await Deno.open(path);
    for (let count; (count = await file.read(buffer)) !== null;) yield buffer.subarray(0, count);
  } catch (error) {
    throw explain(error, path, "read");
  }
}

// ---- the report

interface Found {
  readonly caPath: string | undefined;
  readonly authorities: readonly Certificate[];
  /** Whether they came with what they are to vouch for. */
  readonly isBeside: boolean;
  readonly colour: boolean;
}

const BESIDE =
  "The CA's certificate lay beside the receipt: it counts if its SHA-256 above is the one that the CA's owner gives.";

function judgedAt(at: number): string {
  return `Every certificate is judged as of ${formatTime(at)}, by --at, and not as of the times in the evidence.`;
}

const MARKS = {
  passed: ["32", "passed     "],
  failed: ["31;1", "FAILED     "],
  "not checked": ["33", "not checked"],
} as const;

const OUTCOMES = { valid: "passed", partly_valid: "failed", invalid: "failed", undecided: "not checked" } as const;

function report(verdict: Verdict | RoomVerdict, { caPath, authorities, isBeside, colour }: Found): string {
  const paint = (code: string, text: string) => colour ? `\u001b[${code}m${text}\u001b[0m` : text;
  const lines = caPath === undefined
    ? ["CA  none: there is no ca_cert.pem beside the receipt or in CERT_DIR; name one with --ca"]
    : authorities.map(({ subject, fingerprint }) => `CA  ${printable(caPath)}: ${subject}\n    SHA-256 ${fingerprint}`);
  for (const check of verdict.checks) {
    const [code, mark] = MARKS[check.outcome];
    lines.push(`${paint(code, mark)} ${check.name}`, ...details(check));
  }
  for (const { subject, fingerprint, lines: count } of verdict.signers) {
    lines.push(`${count} ${count === 1 ? "line names" : "lines name"} ${subject} (SHA-256 ${fingerprint})`);
  }
  if ("opened" in verdict) lines.push(...shownLines(verdict, (text) => paint(MARKS.failed[0], text)));
  const code = MARKS[OUTCOMES[verdict.result]][0];
  const notes = isBeside ? [...verdict.notes, BESIDE] : verdict.notes;
  return [...lines, "", paint(code, verdict.sentence), ...notes, ""].join("\n");
}

function details({ reasons, expected, found }: Check): string[] {
  const indent = (text: string) => `${" ".repeat(12)}${text}`;
  const values = expected === undefined || found === undefined ? [] : [`expected ${expected}`, `found    ${found}`];
  return [...reasons, ...values].map(indent);
}

/** Who said what, and in their places the lines that are not good, each with its reasons. */
function shownLines({ result, opened, lines }: RoomVerdict, paint: (text: string) => string): string[] {
  if (result === "invalid") return [];
  const good = opened.map((line) => ({ index: line.index, rows: [openedLine(line)] }));
  const bad = lines.bad.map(({ index, faults, opened: words }) => {
    const rows = faults.map(({ check, reason }) => `[${index}] ${paint("NOT GOOD")} (${check}): ${reason}`);
    return { index, rows: words ? [...rows, `    ${openedLine(words)}`] : rows };
  });
  const rows = [...good, ...bad].sort((one, other) => one.index - other.index).flatMap((line) => line.rows);
  const more = lines.count - lines.good - lines.bad.length;
  return more > 0 ? [...rows, `and ${more} more lines that are not good`] : rows;
}

/** The author's own time, and the server's where they lie apart: 5 minutes, in milliseconds. */
const MAX_APART = 300_000;

/**
 * Who said what, when and after what, on one line of the terminal. Whatever somebody wrote is a JSON string, so that no
 * text looks like an act, and none like another.
 */
function openedLine({ index, author, subject, ts, by, seen, kind, body }: OpenedLine): string {
  const placed = Math.abs(by * 1000 - ts) > MAX_APART ? `, placed by ${formatTime(by * 1000)}` : "";
  const json = canonicalJson(body) ?? "";
  const act = isKnownKind(kind) ? kind : `a line of an unknown kind, ${JSON.stringify(kind)}`;
  const words = kind === "text" ? json : body === null ? act : `${act} ${json}`;
  const when = `${formatTime(ts)}${placed}, after ${seen} ${seen === 1 ? "line" : "lines"}`;
  return `[${index}] ${subject} (${author.slice(0, 16)}), ${when}: ${visible(words)}`;
}
