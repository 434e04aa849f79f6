/**
 * `securechat verify`: a receipt and a transcript checked offline, of a session (docs/PROTOCOL.md, "The end, and
 * receipts") or of a room (docs/PROTOCOL.md, "Rooms as evidence"), or a line proof; the checks themselves stand in
 * `lib/verify.ts` and `lib/verify_room.ts`.
 *
 *     securechat verify receipt.json transcript.txt --ca ca_cert.pem
 *     securechat verify receipt.json transcript.txt --openings openings.txt
 *     securechat verify line_proof.json
 *
 * The files are opened first (`verify_files.ts`). Before a byte of them is read, the process gives up the network,
 * other programs, the environment and writing, for good: whatever a hostile receipt might make of it, it can read and
 * print. A transcript of any size is read in pieces.
 */

import { parseCommand } from "../lib/config.ts";
import { EXIT, type ExitStatus, Failure } from "../lib/errors.ts";
import { isKnownKind } from "../lib/log_envelope.ts";
import { canonicalJson, encodeAsciiJson } from "../lib/json.ts";
import { formatTime } from "../lib/receipt.ts";
import { MAX_ROOM_RECEIPT_BYTES } from "../lib/log_receipt.ts";
import { SignaturePool } from "../lib/line_signature_pool.ts";
import { cells } from "../lib/cell_width.ts";
import { wrap } from "../lib/rows.ts";
import { size, wantsColour, write } from "../lib/terminal.ts";
import { printable, quoted, shortName, visibleJson } from "../lib/text.ts";
import { type Check, UnreadableReceipt } from "../lib/verify_verdict.ts";
import { transcriptLines, type Verdict, verify } from "../lib/verify.ts";
import {
  type BadLine,
  type OpenedLine,
  roomEvidenceType,
  type RoomVerdict,
  verifyLineProof,
  verifyRoom,
} from "../lib/verify_room.ts";
import type { Certificate } from "../lib/x509.ts";
import {
  authorityJson,
  chunksOf,
  findAuthority,
  foundNote,
  openFiles,
  parseFingerprint,
  readCertificates,
  readTrust,
  readWhole,
  textChunksOf,
} from "./verify_files.ts";

const SPEC = {
  name: "verify",
  summary: "check a receipt and a transcript, offline",
  usage: `securechat verify RECEIPT TRANSCRIPT [FLAGS]
securechat verify LINE_PROOF [FLAGS]

Says of each check whether it passed, failed or was not made, and then one sentence. Without --ca it takes ca_cert.pem
in the CERT_DIR that is named by --certs or the environment (no .env is read); where none is, it takes the one that it
finds beside the receipt or in certs, and says so. --ca-sha256 says which CA counts. RECEIPT or TRANSCRIPT may be /dev/stdin. Certificates are judged as of the receipt and of each line; in a
room, as of the checkpoint that covers the line. The words themselves are not shown by a session's transcript, which
holds ciphertext, and by a room's only where --openings has them, or a line proof.

Examples:
  securechat verify transcripts/receipt_20261115_143022.json transcripts/transcript_20261115_143022.txt
  securechat verify receipt.json transcript.txt --ca ca_cert.pem --require-v2
  securechat verify ops_receipt.json ops_transcript.txt --openings ops_openings.txt
  securechat verify line_41.json --crl crl.pem --crl issuing_crl.pem
  securechat verify receipt.json transcript.txt --cert ada_cert.pem --at 2026-11-15T14:30:22Z --json

Exit status: 0 valid; 1 invalid, or partly valid: the bad lines are named, and the others stand; 2 a file can't be read,
or usage; 3 undecided, since there is no CA, or another one.`,
  settings: "verify",
  options: {
    ca: { type: "string", value: "FILE", describe: "certificates of the CAs that are trusted" },
    "ca-sha256": {
      type: "string",
      value: "HEX",
      describe: "the SHA-256 of the CA that counts; any other is undecided",
    },
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

/** The command. */
export async function run(args: string[]): Promise<ExitStatus> {
  const { options, positionals: [receiptPath = "", transcriptPath], flags } = parseCommand(args, SPEC);
  const at = options.at === undefined ? undefined : parseMoment(options.at);
  const sha256 = parseFingerprint(options["ca-sha256"]);
  const found = await findAuthority("verify", { ca: options.ca, sha256, settings: flags }, receiptPath);
  const files = openFiles({ ...options, ca: found?.path, receipt: receiptPath, transcript: transcriptPath });
  const colour = wantsColour() && Deno.stdout.isTerminal();
  await surrender();

  const trusted = readTrust(files, found, sha256);
  const certificates = files.cert.map((file) => readCertificates(file));
  const receipt = await readWhole(files.receipt, MAX_ROOM_RECEIPT_BYTES);
  using signatures = new SignaturePool();
  const how = { signatures, ...(at === undefined ? {} : { at }) };
  const clock = { now: Date.now() };
  const type = roomEvidenceType(receipt);
  checkUsage(type, { ...options, transcript: transcriptPath });
  const lines = files.transcript === undefined ? [] : transcriptLines(chunksOf(files.transcript));
  const openings = files.openings === undefined ? {} : { openings: transcriptLines(textChunksOf(files.openings)) };
  const policy = { version2Only: options["require-v2"] };
  const judging = type === "line_proof"
    ? verifyLineProof(receipt, trusted, { ...how, ...clock })
    : type === "room_receipt"
    ? verifyRoom({ receipt, lines, ...openings }, trusted, { ...how, ...clock })
    : verify({ receipt, lines, certificates }, trusted, { ...how, ...clock, policy });
  const judged = await judging.catch((error: unknown) => {
    throw error instanceof UnreadableReceipt ? new Failure(error.status, `${receiptPath}: ${error.message}`) : error;
  });

  const notes = [
    ...judged.notes,
    ...(at === undefined ? [] : [judgedAt(at)]),
    ...(found?.source === "found" ? [foundNote(printable(found.path))] : []),
  ];
  const verdict = { ...judged, notes };
  const { authorities } = trusted;
  if (options.json) {
    const [judge, ...more] = judgesOf(verdict, authorities);
    const authority = found && judge && more.length === 0 ? authorityJson(judge, found) : null;
    const trust = {
      ca: found?.path ?? null,
      authorities: authorities.map(({ subject, fingerprint }) => ({ subject, fingerprint })),
      at: at === undefined ? null : formatTime(at),
    };
    write(`${encodeAsciiJson({ ...verdict, authority, trust })}\n`);
  } else write(report(verdict, { authorities, caPath: found?.path, colour }));
  return STATUS[verdict.result];
}

/** The CAs that certificates of the evidence lead to; where none does, all that are given. */
function judgesOf({ judges }: Verdict | RoomVerdict, authorities: readonly Certificate[]): readonly Certificate[] {
  return judges.length === 0 ? authorities : authorities.filter(({ fingerprint }) => judges.includes(fingerprint));
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

/** Gives up every permission but reading, before anything is read. */
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

// ---- the report

interface Found {
  readonly caPath: string | undefined;
  readonly authorities: readonly Certificate[];
  readonly colour: boolean;
}

function judgedAt(at: number): string {
  return `Every certificate is judged as of ${formatTime(at)}, by --at, and not as of the times in the evidence.`;
}

const MARKS = {
  passed: ["32", "passed     "],
  failed: ["31;1", "FAILED     "],
  "not checked": ["33", "not checked"],
} as const;

const OUTCOMES = { valid: "passed", partly_valid: "failed", invalid: "failed", undecided: "not checked" } as const;

function report(verdict: Verdict | RoomVerdict, { caPath, authorities, colour }: Found): string {
  const paint = (code: string, text: string) => colour ? `\u001b[${code}m${text}\u001b[0m` : text;
  const lines = caPath === undefined
    ? ["CA  none: there is no ca_cert.pem beside the receipt or in CERT_DIR; name one with --ca"]
    : authorities.map((authority) => {
      const { subject, fingerprint } = authority;
      const idle = judgesOf(verdict, authorities).includes(authority) ? "" : " (no certificate here leads to it)";
      const rows = [`CA  ${printable(caPath)}: "${shortName(subject)}"`, `    SHA-256 ${fingerprint}${idle}`];
      return rows.flatMap((row) => onTerminal(row, GOES_ON)).join("\n");
    });
  for (const check of verdict.checks) {
    const [code, mark] = MARKS[check.outcome];
    lines.push(`${paint(code, mark)} ${check.name}`, ...details(check));
  }
  for (const { subject, fingerprint, lines: count } of verdict.signers) {
    const names = count === 1 ? "line names" : "lines name";
    lines.push(...onTerminal(`${count} ${names} "${shortName(subject)}" (SHA-256 ${fingerprint})`, GOES_ON));
  }
  lines.push(...shownLines(verdict, (text) => paint(MARKS.failed[0], text)));
  const code = MARKS[OUTCOMES[verdict.result]][0];
  const [first = "", ...further] = onTerminal(verdict.sentence, "  ");
  const notes = verdict.notes.flatMap((note) => onTerminal(note, "  "));
  return [...lines, "", paint(code, first), ...further, ...notes, ""].join("\n");
}

/** A sentence of ours, wrapped where a terminal shows it. */
function onTerminal(text: string, prefix: string): string[] {
  return Deno.stdout.isTerminal() ? wrap(text, size().columns, prefix) : [text];
}

function details({ reasons, expected, found }: Check): string[] {
  const indent = (text: string) => `${" ".repeat(12)}${text}`;
  const values = expected === undefined || found === undefined ? [] : [`expected ${expected}`, `found    ${found}`];
  return [...reasons, ...values].flatMap((text) => onTerminal(indent(text), " ".repeat(14)));
}

/** What begins every row that goes on from the one above: so no words, however padded, begin a row like one of ours. */
const GOES_ON = "    | ";
/** Who said what, and in their places the lines that are not good, each with its reasons. */
function shownLines(verdict: Verdict | RoomVerdict, paint: (text: string) => string): string[] {
  if (verdict.result === "invalid") return [];
  const width = size().columns;
  const { lines } = verdict;
  const good = ("opened" in verdict ? verdict.opened : []).map((line) => ({
    index: line.index,
    rows: openedLine(line, width),
  }));
  const bad = lines.bad.map(({ index, faults, ...line }: BadLine & { opened?: OpenedLine }) => {
    const rows = faults.flatMap(({ check, reason }) => {
      const [first = "", ...further] = onTerminal(`[${index}] ${NOT_GOOD} (${check}): ${reason}`, GOES_ON);
      return [first.replace(NOT_GOOD, paint(NOT_GOOD)), ...further];
    });
    return { index, rows: line.opened ? [...rows, ...openedLine(line.opened, width, "    ")] : rows };
  });
  const rows = [...good, ...bad].sort((one, other) => one.index - other.index).flatMap((line) => line.rows);
  const more = lines.count - lines.good - lines.bad.length;
  return more > 0 ? [...rows, `and ${more} more lines that are not good`] : rows;
}

const NOT_GOOD = "NOT GOOD";

/** The author's own time, and the server's where they lie apart: 5 minutes, in milliseconds. */
const MAX_APART = 300_000;

/**
 * Who said what, when and after what: on one row, or with the words on rows of their own. Whatever somebody wrote is a
 * JSON string, so that no text looks like an act, and none like another.
 */
function openedLine(line: OpenedLine, width: number, indent = ""): string[] {
  const { index, author, subject, ts, by, seen, kind, body } = line;
  const placed = Math.abs(by * 1000 - ts) > MAX_APART ? `, placed by ${formatTime(by * 1000)}` : "";
  const json = canonicalJson(body) ?? "";
  const act = isKnownKind(kind) ? kind : `a line of an unknown kind, ${quoted(kind)}`;
  const words = kind === "text" ? json : body === null ? act : `${act} ${json}`;
  const when = `${formatTime(ts)}${placed}, after ${seen} ${seen === 1 ? "line" : "lines"}`;
  const head = `${indent}[${index}] "${shortName(subject)}" (${author.slice(0, 16)}), ${when}:`;
  const shown = visibleJson(words);
  if (cells(head) + 1 + cells(shown) <= width) return [`${head} ${shown}`];
  const [first = "", ...further] = wrap(shown, width, GOES_ON, GOES_ON.length);
  return [...wrap(head, width, GOES_ON), GOES_ON + first, ...further];
}
