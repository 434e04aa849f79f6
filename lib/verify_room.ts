/**
 * Verification, offline, of what is shown of a room: receipt, transcript and openings, or a line proof
 * (docs/PROTOCOL.md, "Checking a room's evidence").
 *
 *     const verdict = await verifyRoom({ receipt, lines, openings }, { authorities, revocations: [] });
 *     verdict.result   → "valid", "partly_valid", "invalid", or "undecided" where no CA is given,
 *                      or another one
 *     verdict.lines    → { from: 0, count: 42, good: 41, bad: [{ index: 9, faults: [{ check: "rights", … }] }] }
 *     verdict.opened   → [{ index: 7, subject: "CN=CLIENT: ada", kind: "text", body: "hello", … }]
 *
 * As in `verify.ts`: named checks, of which one that fails doesn't hide the next. Verdicts are per line: a line that
 * fails is bad and named, the others stand. Where the frame of all lines is false (receipt, checkpoints, proof, an
 * author's sequence, times) nothing does.
 *
 * Lines and openings are taken one by one, so what grows with them is what was opened, and one entry for each line.
 * What the evidence can make expensive is bounded: lists by their length, certificates are judged once, and where a
 * check of the frame has failed often enough, or more lines come than the receipt counts, nothing more is looked at.
 *
 * Time is that of the first checkpoint shown that covers a line: the server's word, countersigned by every later
 * `seen`. What that proves and what it doesn't stands in `notes`.
 *
 * @layer protocol
 */

import { parseLogEvidence } from "./log_evidence.ts";
import { LOG_CHECKS, type LogFiles, LogJudge, type LogSummary, type LogTrust } from "./verify_log.ts";
import { encodeUtf8, parseBase64 } from "./bytes.ts";
import { type Trust, TRUST_NAMES } from "./certificate_path.ts";
import { type Json, type JsonObject, member } from "./json.ts";
import { ONE_BY_ONE, type SignatureChecker } from "./line_signature.ts";
import { checkOptions, checkTime, type Names } from "./options.ts";
import { VerifyingKey } from "./pss.ts";
import { statementInput } from "./receipt.ts";
import { parseOrigin } from "./log_line.ts";
import { encodeOpening, parseLineProof } from "./log_receipt.ts";
import { shortName } from "./text.ts";
import { TranscriptFormError } from "./verify_transcript.ts";
import { OPENING_CHECKS, RoomFindings } from "./verify_findings.ts";
import { parseRoomReceipt, readEvidence, type RoomReceipt } from "./verify_form.ts";
import { foreignAuthority } from "./verify_authority.ts";
import { Heads, NO_AUTHORITY, ShownTree } from "./verify_heads.ts";
import { CertificateJudge } from "./verify_judge.ts";
import { ShownLines } from "./verify_lines.ts";
import { Openings, type Rows } from "./verify_openings.ts";
import { judgeRights, type Rights } from "./verify_rights.ts";
import { conclude, type RoomVerdict, unreadable } from "./verify_room_report.ts";
import { Times } from "./verify_times.ts";
import type { Certificate } from "./x509.ts";

export { ROOM_CHECKS, type RoomCheckName } from "./verify_findings.ts";
export { roomEvidenceType } from "./verify_form.ts";
export type { OpenedLine } from "./verify_lines.ts";
export type { Rows } from "./verify_openings.ts";
export type { BadLine, LineVerdicts } from "./verify_bad_lines.ts";
export type { BadRoomLine, RoomVerdict } from "./verify_room_report.ts";

/** What is to be verified. */
export interface RoomEvidence {
  /** A `room_receipt`: its JSON text, or the object itself. */
  readonly receipt: string | Uint8Array | JsonObject;
  /** The transcript. */
  readonly lines: Rows;
  /** The openings file; without it the words stay closed. */
  readonly openings?: Rows;
  /** What is shown of the server's log. */
  readonly log?: RoomLogEvidence;
}

/** What is shown of the server's log beside a receipt. */
export interface RoomLogEvidence {
  /** The object of a log.json. */
  readonly evidence: Json;
  readonly files: LogFiles;
}

/** Whom of the server's log the verifier goes by, and what has to be there. */
export interface LogDemands extends Omit<LogTrust, "now"> {
  /** Fails evidence that isn't witnessed, or whose time isn't proved, by those who are named. */
  readonly requireWitness?: boolean;
  readonly requireTime?: boolean;
  /** What came of a bundle's renewals. */
  readonly renewal?: { readonly problems: readonly string[]; readonly skipped: string | undefined };
}

/** How to verify, where the defaults don't do. */
export interface VerifyRoomOptions {
  /** Unix milliseconds at which every certificate is judged, in place of `created_at` and the checkpoints' times. */
  readonly at?: number;
  /** The verifier's clock, unix milliseconds: times beyond it are noted. */
  readonly now?: number;
  /** Who checks the lines' signatures; without it they are checked here, one after the other. */
  readonly signatures?: SignatureChecker;
  /** Whom of the server's log the verifier goes by. */
  readonly log?: LogDemands;
}

const EVIDENCE_NAMES: Names<RoomEvidence> = { receipt: true, lines: true, openings: true, log: true };
const OPTION_NAMES: Names<VerifyRoomOptions> = { at: true, now: true, signatures: true, log: true };

/** Throws a TypeError for what nobody would heed. */
function checkArguments(trust: Trust, options: VerifyRoomOptions): void {
  checkOptions("the trust of a room's verification", trust, TRUST_NAMES);
  checkOptions("a room's verification", options, OPTION_NAMES);
  for (const name of ["at", "now"] as const) checkTime(`${name} of a room's verification`, options[name]);
}

/**
 * Verifies a receipt of a room, its transcript and, where there are any, openings. Throws a `Failure` where the receipt
 * is nothing that can be read: beyond 16 MiB, not UTF-8, not JSON.
 */
export async function verifyRoom(
  evidence: RoomEvidence,
  trust: Trust,
  options: VerifyRoomOptions = {},
): Promise<RoomVerdict> {
  checkOptions("the evidence of a room", evidence, EVIDENCE_NAMES);
  checkArguments(trust, options);
  const findings = new RoomFindings();
  const receipt = parseRoomReceipt(readEvidence(evidence.receipt, findings), findings);
  return receipt ? await judgeRoom(receipt, findings, { ...evidence, trust, options }) : unreadable(findings);
}

/** Verifies one line or a few in one file. Throws as {@link verifyRoom} does. */
export async function verifyLineProof(
  file: string | Uint8Array | JsonObject,
  trust: Trust,
  options: VerifyRoomOptions = {},
): Promise<RoomVerdict> {
  checkArguments(trust, options);
  const findings = new RoomFindings();
  const proof = parseLineProof(readEvidence(file, findings));
  if (typeof proof === "string") findings.frame("form", proof);
  if (typeof proof === "string" || findings.isFalse("form")) return unreadable(findings);
  const { receipt, lines, openings } = proof;
  const rows = openings.map((opening) => encodeOpening(opening).slice(0, -1));
  return await verifyRoom({ receipt, lines, openings: rows }, trust, options);
}

/** What a receipt is held against. */
interface Given {
  readonly lines: Rows;
  readonly openings?: Rows;
  readonly log?: RoomLogEvidence;
  readonly trust: Trust;
  readonly options: VerifyRoomOptions;
}

async function judgeRoom(receipt: RoomReceipt, findings: RoomFindings, given: Given): Promise<RoomVerdict> {
  const { options, openings } = given;
  const foreign = foreignAuthority(certificatesOf(receipt), given.trust);
  const trust = foreign === undefined ? given.trust : { ...given.trust, authorities: [] };
  const judge = new CertificateJudge(trust, options.at, 1 + receipt.chains.size);
  const [heads, times] = [new Heads(receipt, findings, judge), new Times(findings)];
  const tree = new ShownTree(receipt, findings, openings !== undefined);
  const signatures = options.signatures ?? ONE_BY_ONE;
  const log = given.log && openLog(receipt, findings, given.log, options);
  const shown = new ShownLines({ receipt, findings, judge, heads, tree, times, signatures, log });

  findings.skip("bodies", "they are no part of a receipt");
  if (trust.revocations.length === 0) findings.skip("revocation", "no revocation list is given");
  else if (trust.authorities.length === 0) findings.skip("revocation", NO_AUTHORITY);
  const server = checkOrigin(receipt, findings);
  await checkSigner(receipt, findings, judge);
  checkStatement(receipt, findings);
  await times.receipt(receipt, judge);
  await heads.checkSigners(server);
  await log?.judge(judge);
  const isCut = await takeLines(shown, findings, receipt, given);
  checkCounts(receipt, findings, shown.end, isCut);
  tree.checkProof();
  heads.checkOrder(tree, shown.end);
  const rights = checkRights(receipt, findings, shown, openings !== undefined);
  for (const issuer of judge.issuersWithoutList) {
    findings.skip("revocation", `no list of "${shortName(issuer)}" is given`);
  }
  checkDemands(findings, log?.summary, options.log);
  return conclude({
    log: { summary: log?.summary, trust: log?.trust },
    ...{ receipt, findings, shown, given: given.trust, trust, foreign, judge, rights },
    ...{ at: options.at, now: options.now },
  });
}

/** What judges the server's log; `undefined` if what is shown of it has another form. */
function openLog(
  { origin, checkpoint, earlier }: RoomReceipt,
  findings: RoomFindings,
  { evidence, files }: RoomLogEvidence,
  { log, now = 0 }: VerifyRoomOptions,
): LogJudge | undefined {
  findings.listAll();
  const parsed = parseLogEvidence(evidence);
  if (typeof parsed === "string") {
    findings.frame("log form", parsed);
    return undefined;
  }
  const trust = { policies: [], logs: [], roots: [], quorum: 1, protectedAt: now, ...log, now };
  return new LogJudge({ origin, checkpoint, earlier }, parsed, files, trust, {
    fail: (check, reason) => findings.frame(check, reason),
    skip: (check, reason) => findings.skip(check, reason),
  });
}

/** What a verifier demands and isn't there fails. */
function checkDemands(findings: RoomFindings, summary: LogSummary | undefined, demands: LogDemands | undefined): void {
  const { requireWitness = false, requireTime = false, renewal } = demands ?? {};
  if (renewal) findings.listAll();
  for (const problem of renewal?.problems ?? []) findings.frame("renewal", problem);
  if (renewal?.skipped !== undefined) findings.skip("renewal", renewal.skipped);
  if (renewal && !summary) {
    for (const check of LOG_CHECKS) findings.skip(check, "nothing of the server's log is shown, or it doesn't hold");
  }
  if (!renewal) {
    findings.skip("bundle", "this is no bundle");
    findings.skip("renewal", "this is no bundle");
  }
  if (requireWitness || requireTime) findings.listAll();
  else findings.skip("policy", "nothing is demanded");
  if (requireWitness && !summary?.isWitnessed) {
    findings.frame("policy", "the witnesses that you named didn't cosign the server's log over these lines");
  }
  const isTimed = summary?.isStamped || summary?.witnessedBy !== undefined;
  if (requireTime && !isTimed) findings.frame("policy", "nobody whom you named says when these lines existed");
}

function* certificatesOf({ signer, chains }: RoomReceipt): Generator<readonly Certificate[]> {
  yield signer.certificates;
  for (const { certificates } of chains) yield certificates;
}

/** The server's name. */
function checkOrigin(receipt: RoomReceipt, findings: RoomFindings): string | undefined {
  const origin = parseOrigin(receipt.origin);
  if (!origin) findings.frame("origin", "it is not <server name>/<room>/<32 hex digits>");
  else if (origin.room !== receipt.room) {
    findings.frame("origin", "it names another room", { expected: receipt.room, found: origin.room });
  }
  return origin?.server;
}

async function checkSigner(receipt: RoomReceipt, findings: RoomFindings, judge: CertificateJudge): Promise<void> {
  const { role, createdAt, fingerprint, signer } = receipt;
  if (fingerprint !== signer.leaf.fingerprint) {
    const values = { expected: fingerprint, found: signer.leaf.fingerprint };
    findings.frame("signer", "peer_cert_fingerprint is not that of signer_cert", values);
  }
  const { problems, revoked, isMade } = await judge.at(signer, role, createdAt);
  if (!isMade) findings.skip("signer", NO_AUTHORITY);
  for (const problem of problems) findings.frame("signer", problem);
  for (const problem of revoked) findings.frame("revocation", problem);
}

function checkStatement({ data, signer: { leaf } }: RoomReceipt, findings: RoomFindings): void {
  const text = member(data, "statement_signature");
  const signature = typeof text === "string" ? parseBase64(text) : undefined;
  const input = statementInput(data);
  if (!signature) findings.frame("statement", "statement_signature is missing, or not base64");
  else if (!input) findings.frame("statement", "the receipt has no exact canonical form (RFC 8785)");
  else if (!leaf.rsa || !new VerifyingKey(leaf.rsa.modulus).verify(signature, input)) {
    findings.frame("statement", "it doesn't verify: some field of the receipt is not as it was signed");
  }
}

/** Takes the lines with their openings; whether there were more that nothing depends on any more. */
async function takeLines(
  shown: ShownLines,
  findings: RoomFindings,
  { from, count }: RoomReceipt,
  { lines, openings: rows }: Given,
): Promise<boolean> {
  const openings = new Openings(rows ?? [], findings);
  if (!rows) { for (const name of OPENING_CHECKS) findings.skip(name, "no line is opened"); }
  let isCut = false;
  try {
    for await (const raw of lines) {
      isCut = shown.end > from + count || findings.isSettled("transcript");
      if (isCut) break;
      const bytes = typeof raw === "string" ? encodeUtf8(raw) : raw;
      await shown.take(raw, bytes, await openings.at(shown.end));
    }
  } catch (error) {
    if (!(error instanceof TranscriptFormError)) throw error;
    findings.frame("transcript", error.message);
  }
  await shown.finish();
  await openings.end();
  return isCut;
}

function checkCounts(
  { from, count, checkpoint }: RoomReceipt,
  findings: RoomFindings,
  end: number,
  isCut: boolean,
): void {
  const found = end - from;
  if (count !== found) {
    const values = { expected: String(count), found: isCut ? `${found} or more` : String(found) };
    findings.frame("count", "message_count and the transcript differ", values);
  }
  if (found === 0) findings.frame("count", "there is no line");
  if (from + count > checkpoint.size) findings.frame("count", "the checkpoint doesn't cover every line");
}

/** Judges roles, membership and consent; a sentence where that can't be done. */
function checkRights(
  { from, room }: RoomReceipt,
  findings: RoomFindings,
  shown: ShownLines,
  hasOpenings: boolean,
): Rights | string {
  const rights = findings.isFalse()
    ? "the evidence doesn't hold"
    : from > 0
    ? `the lines before ${from} are not shown`
    : !hasOpenings
    ? "no text is shown"
    : judgeRights(room, shown.judged, findings);
  if (typeof rights === "string") findings.skip("rights", rights);
  else for (const { index, reason } of rights.faults) findings.line(index, "rights", reason);
  return rights;
}
