/**
 * `securechat verify`: a receipt and a transcript checked offline, of a session (docs/PROTOCOL.md, "The end, and
 * receipts") or of a room (docs/PROTOCOL.md, "Rooms as evidence"), or a line proof, or a bundle. The checks themselves
 * are in `lib/verify.ts`, `lib/verify_room.ts` and `lib/verify_bundle.ts`, and the page that is printed in
 * `lib/verify_report.ts`.
 *
 *     securechat verify receipt.json transcript.txt --ca ca_cert.pem
 *     securechat verify receipt.json transcript.txt --openings openings.txt
 *     securechat verify line_proof.json
 *     securechat verify room_ops_20261115_143022.evidence
 *
 * The files are opened first (`verify_files.ts`). Before a byte of them is read, the process gives up the network,
 * other programs, the environment and writing, for good: whatever a hostile receipt might make of it, it can read and
 * print. A transcript of any size is read in pieces.
 */

import { isBundle, type RandomAccess } from "../lib/bundle.ts";
import { parseCommand } from "../lib/command_line.ts";
import { EXIT, type ExitStatus, Failure } from "../lib/errors.ts";
import { encodeAsciiJson } from "../lib/json.ts";
import { MAX_ROOM_RECEIPT_BYTES } from "../lib/log_receipt.ts";
import { SignaturePool } from "../lib/line_signature_pool.ts";
import { size, wantsColour, write } from "../lib/terminal.ts";
import { printable } from "../lib/text.ts";
import { formatTime } from "../lib/time_text.ts";
import { report } from "../lib/verify_report.ts";
import { withSentence } from "../lib/verify_rows.ts";
import { UnreadableReceipt } from "../lib/verify_verdict.ts";
import { transcriptLines, type Verdict, verify } from "../lib/verify.ts";
import { verifyBundle } from "../lib/verify_bundle.ts";
import { roomEvidenceType, type RoomVerdict, verifyLineProof, verifyRoom } from "../lib/verify_room.ts";
import type { Certificate } from "../lib/x509.ts";
import { LOG_FLAGS, readLogDemands } from "./verify_log.ts";
import {
  type AuthorityFile,
  authorityJson,
  chunksOf,
  findAuthority,
  foundNote,
  type OpenFile,
  openFiles,
  parseFingerprint,
  parseMoment,
  randomAccessOf,
  readCertificates,
  readTrust,
  readWhole,
  textChunksOf,
} from "./verify_files.ts";

const SPEC = {
  name: "verify",
  summary: "check a receipt and a transcript, offline",
  usage: `securechat verify RECEIPT TRANSCRIPT [FLAGS]
securechat verify BUNDLE [FLAGS]
securechat verify LINE_PROOF [FLAGS]

Answers first (VERIFIED, PARTLY VERIFIED, NOT VERIFIED or UNDECIDED), then says what is proved and what isn't, then
prints the lines. --details adds each check with what became of it.

The CA is the one of --ca, else ca_cert.pem in the folder that --certs or CERT_DIR names (no .env is read), else the
ca_cert.pem found beside the receipt or in certs, and then the verdict says so. --ca-sha256 names the CA that counts.
RECEIPT or TRANSCRIPT may be /dev/stdin.

Certificates are judged as of the receipt's and each line's time; in a room, as of the time at which the server signed
that it had the line. A session's transcript is encrypted, so its text isn't shown; a room's is shown if --openings has
it, or the line proof.

Examples:
  securechat verify transcripts/receipt_20261115_143022.json transcripts/transcript_20261115_143022.txt
  securechat verify receipt.json transcript.txt --ca ca_cert.pem --require-v2
  securechat verify ops_receipt.json ops_transcript.txt --openings ops_openings.txt
  securechat verify line_41.json --crl crl.pem --crl issuing_crl.pem
  securechat verify receipt.json transcript.txt --cert ada_cert.pem --at 2026-11-15T14:30:22Z --json

Exit status: 0 VERIFIED; 1 NOT VERIFIED, or PARTLY VERIFIED: the bad lines are named, and the others count; 2 a file
can't be read, or usage; 3 UNDECIDED: there is no CA, or another CA issued the certificates.`,
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
      describe: "a certificate that lines name, its intermediates after it, if the receipt has none",
    },
    openings: { type: "string", value: "FILE", describe: "the text of some lines of a room, or of all" },
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
    ...LOG_FLAGS,
    "require-v2": { type: "boolean", describe: "accept only version-2 receipts, in which every field is signed" },
    details: { type: "boolean", describe: "also print each check with what became of it" },
    json: { type: "boolean", describe: "print the verdict as JSON" },
  },
  positionals: { min: 1, max: 2, names: "RECEIPT, TRANSCRIPT, BUNDLE or LINE_PROOF" },
} as const;

/** The command. */
export async function run(args: string[]): Promise<ExitStatus> {
  const { options, positionals: [receiptPath = "", transcriptPath], flags } = parseCommand(args, SPEC);
  const at = options.at === undefined ? undefined : parseMoment("--at", options.at);
  const asOf = options["as-of"] === undefined ? undefined : parseMoment("--as-of", options["as-of"]);
  const sha256 = parseFingerprint(options["ca-sha256"]);
  const found = await findAuthority("verify", { ca: options.ca, sha256, settings: flags }, receiptPath);
  const files = openFiles({ ...options, ca: found?.path, receipt: receiptPath, transcript: transcriptPath });
  const isColoured = wantsColour() && Deno.stdout.isTerminal();
  await surrender();

  const clock = { now: asOf ?? Date.now() };
  const log = await readLogDemands(options, clock.now);
  const trusted = readTrust(files, found, sha256);
  const certificates = files.cert.map((file) => readCertificates(file));
  using signatures = new SignaturePool();
  const how = { signatures, ...(at === undefined ? {} : { at }) };
  const bundle = await bundleIn(files.receipt);
  if (bundle) {
    checkAlone({ ...options, transcript: transcriptPath });
    const { verdict } = await verifyBundle(bundle, trusted, { ...how, ...clock, log });
    return print(verdict, { found, trusted, options, at, isColoured });
  }
  const receipt = await readWhole(files.receipt, MAX_ROOM_RECEIPT_BYTES);
  const type = roomEvidenceType(receipt);
  checkUsage(type, { ...options, transcript: transcriptPath });
  const lines = files.transcript === undefined ? [] : transcriptLines(chunksOf(files.transcript));
  const openings = files.openings === undefined ? {} : { openings: transcriptLines(textChunksOf(files.openings)) };
  const policy = { version2Only: options["require-v2"] };
  const judging = type === "line_proof"
    ? verifyLineProof(receipt, trusted, { ...how, ...clock, log })
    : type === "room_receipt"
    ? verifyRoom({ receipt, lines, ...openings }, trusted, { ...how, ...clock, log })
    : verify({ receipt, lines, certificates }, trusted, { ...how, ...clock, policy });
  const judged = await judging.catch((error: unknown) => {
    throw error instanceof UnreadableReceipt ? new Failure(error.status, `${receiptPath}: ${error.message}`) : error;
  });
  return print(judged, { found, trusted, options, at, isColoured });
}

/** The file to be read at any place, if it is a bundle. */
async function bundleIn(file: OpenFile): Promise<RandomAccess | undefined> {
  const access = randomAccessOf(file);
  const begin = await access?.read(0, 512);
  if (begin && isBundle(begin)) return access;
  if (file.stream instanceof Deno.FsFile && access) await file.stream.seek(0, Deno.SeekMode.Start);
  return undefined;
}

/** Nothing goes with a bundle: everything is in it. */
function checkAlone({ transcript, openings, cert }: Given): void {
  if (transcript === undefined && openings === undefined && cert.length === 0) return;
  throw new Failure(EXIT.usage, "a bundle needs no other file: its transcript and openings are in it");
}

/** What the page is printed with. */
interface Printing {
  readonly found: AuthorityFile | undefined;
  readonly trusted: ReturnType<typeof readTrust>;
  readonly options: { readonly json?: boolean | undefined; readonly details?: boolean | undefined };
  readonly at: number | undefined;
  readonly isColoured: boolean;
}

/** Prints the verdict; the exit status. */
function print(judged: Verdict | RoomVerdict, { found, trusted, options, at, isColoured }: Printing): ExitStatus {
  const rows = found?.source === "found"
    ? withSentence(judged.rows, "Trusted", foundNote(printable(found.path)))
    : judged.rows;
  const verdict = { ...judged, rows };
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
  } else write(report(verdict, { ...size(), details: options.details ?? false, paint: isColoured ? paint : plain }));
  return STATUS[verdict.result];
}

/** The CAs that certificates of the evidence lead to; if none does, all that are given. */
function judgesOf({ judges }: Verdict | RoomVerdict, authorities: readonly Certificate[]): readonly Certificate[] {
  return judges.length === 0 ? authorities : authorities.filter(({ fingerprint }) => judges.includes(fingerprint));
}

const COLOURS = { good: "32", bad: "31;1", open: "33" } as const;

function paint(colour: keyof typeof COLOURS, text: string): string {
  return `\u001b[${COLOURS[colour]}m${text}\u001b[0m`;
}

function plain(_colour: string, text: string): string {
  return text;
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
    throw new Failure(EXIT.usage, "a line proof needs no other file: its lines and openings are in it");
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

/** The permissions that verifying doesn't need. Once they are given up, no code can get them back. */
export const SURRENDERED = ["net", "run", "env", "write", "ffi", "sys"] as const;

/** Gives up every permission except reading, before anything is read. */
async function surrender(): Promise<void> {
  for (const name of SURRENDERED) {
    const { state } = await Deno.permissions.revoke({ name });
    if (state === "granted") throw new Failure(EXIT.undecided, `the permission ${name} can't be given up here`);
  }
}
