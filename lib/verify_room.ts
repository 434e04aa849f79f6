/**
 * Verifies the evidence of a room offline: receipt, transcript and openings, or a line proof (docs/PROTOCOL.md, "Checking
 * a room's evidence").
 *
 *     const verdict = await verifyRoom({ receipt, lines, openings }, { authorities, revocations: [] });
 *     verdict.result   → "valid", "partly_valid", "invalid", or "undecided" if the CA is missing or another one
 *     verdict.lines    → { from: 0, count: 42, good: 41, bad: [{ index: 9, faults: [{ check: "rights", … }] }] }
 *     verdict.opened   → [{ index: 7, subject: "CN=CLIENT: ada", kind: "text", body: "hello", … }]
 *
 * As in `verify.ts` there are named checks, and a failed check doesn't hide the next one. A line that fails is bad and
 * named; the other lines still count. If a check of the frame fails (receipt, checkpoints, proof, an author's sequence,
 * times), no line counts.
 *
 * Lines and openings are read one by one; memory is needed only for texts, and one entry for each line. Work that
 * malicious evidence could cause is limited: lists by their length, and certificates are judged once. After enough
 * failures of the frame, or more lines than the receipt says, nothing more is read.
 *
 * The time of a line is that of the first checkpoint that covers it: the server's word, which every later `seen`
 * countersigns. The verdict's `rows` say what that proves and what it doesn't.
 *
 * @layer protocol
 */

import { parseLogEvidence } from "./log_evidence.ts";
import { LOG_CHECKS, type LogFiles, LogJudge, type LogSummary, type LogTrust } from "./verify_log.ts";
import { type Bytes, encodeUtf8, parseBase64, parseUtf8 } from "./bytes.ts";
import { distrustedOf } from "./distrust.ts";
import { ProtocolError } from "./errors.ts";
import type { ProofLog } from "./log_proof_files.ts";
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
import type { RenewalFound } from "./verify_log_rows.ts";
import { Times } from "./verify_times.ts";
import { type Certificate, parseCertificateFile } from "./x509.ts";

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
  /** The openings file; without it no text is shown. */
  readonly openings?: Rows;
  /** The evidence from the server's log. */
  readonly log?: RoomLogEvidence;
}

/** Evidence from the server's log, besides a receipt. */
export interface RoomLogEvidence {
  /** The object of a log.json. */
  readonly evidence: Json;
  readonly files: LogFiles;
}

/** Whom the verifier trusts about the server's log, and what it demands. */
export interface LogDemands extends Omit<LogTrust, "now"> {
  /** Evidence fails if the named witnesses and authorities don't prove this. */
  readonly requireWitness?: boolean;
  readonly requireTime?: boolean;
  /** The result of a bundle's renewals. */
  readonly renewal?: RenewalFound & { readonly problems: readonly string[]; readonly skipped: string | undefined };
}

/** Options of a verification. */
export interface VerifyRoomOptions {
  /** Unix milliseconds at which every certificate is judged, in place of `created_at` and the checkpoints' times. */
  readonly at?: number;
  /** The verifier's clock, unix milliseconds: the verdict notes later times. */
  readonly now?: number;
  /** Who checks the lines' signatures; without it they are checked here, one after the other. */
  readonly signatures?: SignatureChecker;
  /** Whom the verifier trusts about the server's log. */
  readonly log?: LogDemands;
}

const EVIDENCE_NAMES: Names<RoomEvidence> = { receipt: true, lines: true, openings: true, log: true };
const OPTION_NAMES: Names<VerifyRoomOptions> = { at: true, now: true, signatures: true, log: true };

/** Throws a TypeError for unknown options, which would be ignored. */
function checkArguments(trust: Trust, options: VerifyRoomOptions): void {
  checkOptions("the trust of a room's verification", trust, TRUST_NAMES);
  checkOptions("a room's verification", options, OPTION_NAMES);
  for (const name of ["at", "now"] as const) checkTime(`${name} of a room's verification`, options[name]);
}

/**
 * Verifies a receipt of a room, its transcript and, if given, openings. Throws a `Failure` if the receipt can't be read:
 * if it has more than 16 MiB, or isn't UTF-8 or JSON.
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

/** Verifies a line proof: a line, or a few, in one file. Throws as {@link verifyRoom} does. */
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
  const { receipt, lines, openings, log } = proof;
  const rows = openings.map((opening) => encodeOpening(opening).slice(0, -1));
  const shown = log && proofEvidence(log);
  return await verifyRoom({ receipt, lines, openings: rows, ...shown ? { log: shown } : {} }, trust, options);
}

/** The files of a line proof, as those of a bundle. */
function proofEvidence({ evidence, files }: ProofLog): RoomLogEvidence {
  const names = [...files.keys()].filter((name) => name !== "tsa.pem");
  const certificates = authoritiesIn(files.get("tsa.pem"));
  return {
    evidence,
    files: { names, read: (name) => Promise.resolve(files.get(name)), certificates, revocations: [] },
  };
}

/** Certificates to look authorities up in; without them a token counts for nothing. */
function authoritiesIn(pem: Bytes | undefined): readonly Certificate[] {
  try {
    return parseCertificateFile(parseUtf8(pem ?? new Uint8Array()) ?? "", MAX_PROOF_CERTIFICATES);
  } catch (error) {
    if (error instanceof ProtocolError) return [];
    throw error;
  }
}

/** The most certificates of authorities in a line proof. */
const MAX_PROOF_CERTIFICATES = 64;

/** What a receipt is compared with, and how. */
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

  if (openings === undefined) { for (const name of OPENING_CHECKS) findings.skip(name, "no line is opened"); }
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
    log: { summary: log?.summary, trust: log?.trust, renewal: options.log?.renewal },
    ...{ receipt, findings, shown, given: given.trust, trust, foreign, judge, rights },
    ...{ at: options.at, now: options.now },
  });
}

/** Opens the evidence from the server's log; `undefined` if it is malformed. */
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

/** What a room's evidence relies on, whoever made it: its hashes, and the kind of all its people's keys. */
const EVIDENCE_ALGORITHMS = ["sha256", "rsa"] as const;

/** Fails what the verifier demands and the evidence doesn't show. */
function checkDemands(findings: RoomFindings, summary: LogSummary | undefined, demands: LogDemands | undefined): void {
  const { requireWitness = false, requireTime = false, renewal } = demands ?? {};
  if (renewal) findings.listAll();
  for (const problem of renewal?.problems ?? []) findings.frame("renewal", problem);
  const lost = demands?.distrust && distrustedOf(EVIDENCE_ALGORITHMS, demands.protectedAt, demands.distrust);
  if (lost !== undefined) {
    findings.listAll();
    findings.frame(
      "renewal",
      `the evidence relies on ${lost}, and no renewal protects it from before the day you named`,
    );
  }
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
    findings.frame("statement", "a field is not as it was signed");
  }
}

/** Reads the lines with their openings. Returns whether it stopped early, since nothing depended on the rest. */
async function takeLines(
  shown: ShownLines,
  findings: RoomFindings,
  { from, count }: RoomReceipt,
  { lines, openings: rows = [] }: Given,
): Promise<boolean> {
  const openings = new Openings(rows, findings);
  /** One line too many already shows that the receipt's count is wrong. */
  const isEnough = () => shown.end > from + count || findings.isSettled("transcript");
  let isCut = false;
  try {
    for await (const raw of lines) {
      isCut = isEnough();
      if (isCut) break;
      const bytes = typeof raw === "string" ? encodeUtf8(raw) : raw;
      const opening = await openings.at(shown.end);
      await shown.take(raw, bytes, opening);
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

/** Judges roles, membership and consent; a sentence if that isn't possible. */
function checkRights(
  receipt: RoomReceipt,
  findings: RoomFindings,
  shown: ShownLines,
  hasOpenings: boolean,
): Rights | string {
  const obstacle = rightsObstacle(receipt, findings, hasOpenings);
  const rights = obstacle ?? judgeRights(receipt.room, shown.judged, findings);
  if (typeof rights === "string") findings.skip("rights", rights);
  else for (const { index, reason } of rights.faults) findings.line(index, "rights", reason);
  return rights;
}

/** Why rights can't be judged, as far as that is known before the lines are looked at. */
function rightsObstacle({ from }: RoomReceipt, findings: RoomFindings, hasOpenings: boolean): string | undefined {
  if (findings.isFalse()) return "the evidence doesn't hold";
  if (from > 0) return `the lines before ${from} are not shown`;
  return hasOpenings ? undefined : "no text is shown";
}
