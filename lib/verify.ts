/**
 * Verifies a session's receipt and transcript offline (docs/PROTOCOL.md, "Transcript" and "The end, and receipts").
 *
 *     const verdict = await verify({ receipt, lines: transcriptLines(file) }, { authorities, revocations: [] });
 *     verdict.result   → "valid", "partly_valid", "invalid", or "undecided" if the CA is missing or another one
 *     verdict.checks   → [{ name: "receipt form", outcome: "passed", reasons: [] }, …]
 *
 * Evidence, trust, policy and time are separate arguments. The answer has a list of named checks: a failed check doesn't
 * hide the next one, and a check that could not be made says so. Lines are read one by one, so a transcript of any size
 * needs the same memory; signatures are checked in batches by a {@link SignatureChecker}.
 *
 * The verdict's `rows` also say what no check can show: a session's transcript is encrypted, so it has no words, and every
 * time in it is the signer's claim.
 *
 * @layer protocol
 */

import { type CertificatePath, type Trust, TRUST_NAMES } from "./certificate_path.ts";
import type { JsonObject } from "./json.ts";
import { ONE_BY_ONE, type SignatureChecker } from "./line_signature.ts";
import { logHash } from "./log_line.ts";
import { checkOptions, checkTime, type Names } from "./options.ts";
import { VerifyingKey } from "./pss.ts";
import { type SignerRole, statementInput } from "./receipt.ts";
import { shortName } from "./text.ts";
import { lineProblem, parseLine, type TranscriptLine, TranscriptSummary } from "./transcript.ts";
import { foreignAuthority } from "./verify_authority.ts";
import { type BadLine, BadLines, type LineVerdicts } from "./verify_bad_lines.ts";
import { Certificates } from "./verify_certificates.ts";
import { readReceipt, ReceiptFields } from "./verify_receipt.ts";
import { receiptClockNotes, SessionLog } from "./verify_session.ts";
import { type CheckName, CHECKS, type SessionChecks } from "./verify_session_checks.ts";
import { conclude, unsignedText, type Verdict } from "./verify_session_report.ts";
import { TranscriptFormError } from "./verify_transcript.ts";
import { asLatin1, CheckList, type LineSigner, lineSigner, SignatureBatches } from "./verify_verdict.ts";
import type { Certificate } from "./x509.ts";

export { type CheckName, CHECKS } from "./verify_session_checks.ts";
export type { Verdict } from "./verify_session_report.ts";
export { TranscriptFormError, transcriptLines } from "./verify_transcript.ts";

/** What is to be verified. */
export interface Evidence {
  /** The receipt or a receipt frame, as JSON text; or the object itself. */
  readonly receipt: string | Uint8Array | JsonObject;
  /** The transcript's lines without their LF, as {@link transcriptLines} gives them. */
  readonly lines: Iterable<string | Uint8Array> | AsyncIterable<string | Uint8Array>;
  /** Certificates that lines may name, besides those in the receipt; each with its intermediates after it. */
  readonly certificates?: readonly (readonly Certificate[])[];
  /** The origins of rooms' logs, whose lines can't be a session's. */
  readonly logs?: readonly string[];
}

/** What the verifier demands besides good evidence. */
export interface Policy {
  /** Accepts only receipts of version 2, in which every field is signed. */
  readonly version2Only?: boolean;
  /** The session to which the receipt must belong: for a side of that session. */
  readonly session?: ExpectedSession;
}

/** What one side of a session knows about it, to compare with the other side's receipt. */
export interface ExpectedSession {
  /** The role of the side that signed. */
  readonly role: SignerRole;
  /** The fingerprint of the side that signed. */
  readonly signer: string;
  /** The time now, unix milliseconds: if the receipt was made more than 5 minutes from it, a note says so. */
  readonly now: number;
  /** Of a version-2 session: its hash, and the fingerprint of the side that didn't sign. */
  readonly identity?: { readonly session: string; readonly other: string };
}

/** Options of a verification. */
export interface VerifyOptions {
  readonly policy?: Policy;
  /** Unix milliseconds at which every certificate is judged, in place of `created_at` and each line's `ts`. */
  readonly at?: number;
  /** The verifier's clock, unix milliseconds: the verdict notes later times. */
  readonly now?: number;
  /** Who checks signatures; without it they are checked here, one after the other. */
  readonly signatures?: SignatureChecker;
}

const EVIDENCE_NAMES: Names<Evidence> = { receipt: true, lines: true, certificates: true, logs: true };
const OPTION_NAMES: Names<VerifyOptions> = { policy: true, at: true, now: true, signatures: true };
const POLICY_NAMES: Names<Policy> = { version2Only: true, session: true };
const SESSION_NAMES: Names<ExpectedSession> = { role: true, signer: true, now: true, identity: true };
const IDENTITY_NAMES: Names<NonNullable<ExpectedSession["identity"]>> = { session: true, other: true };

/** Throws a TypeError for unknown options, which would be ignored. */
function checkArguments(evidence: Evidence, trust: Trust, options: VerifyOptions): void {
  checkOptions("the evidence of verify()", evidence, EVIDENCE_NAMES);
  checkOptions("the trust of verify()", trust, TRUST_NAMES);
  checkOptions("verify()", options, OPTION_NAMES);
  const { policy = {}, at, now } = options;
  checkOptions("the policy of verify()", policy, POLICY_NAMES);
  const { session } = policy;
  if (session) checkOptions("the session of verify()'s policy", session, SESSION_NAMES);
  if (session?.identity) {
    checkOptions("the identity of a session in verify()'s policy", session.identity, IDENTITY_NAMES);
  }
  for (const [what, time] of [["at", at], ["now", now], ["now of the session", session?.now]]) {
    checkTime(`${what} of verify()`, time);
  }
}

/**
 * Verifies a receipt and its transcript. Throws a `Failure` if the receipt can't be read: if it has more than 1 MiB, or
 * isn't UTF-8 or JSON.
 */
export async function verify(evidence: Evidence, trust: Trust, options: VerifyOptions = {}): Promise<Verdict> {
  checkArguments(evidence, trust, options);
  const checks = new CheckList(options.policy?.session ? CHECKS : CHECKS.filter((name) => name !== "session"));
  const data = readReceipt(evidence.receipt, checks);
  const receipt = new ReceiptFields(data, checks);
  const shown = [...receipt.signer ? [receipt.signer] : [], ...receipt.certs].map(({ certificates }) => certificates);
  const chains = [...evidence.certificates ?? [], ...shown];
  const foreign = foreignAuthority(chains, trust);
  const people = new Certificates(foreign === undefined ? trust : { ...trust, authorities: [] }, options.at, chains);

  const log = new SessionLog(evidence.logs?.map(logHash));
  const lines = await checkLines(evidence.lines, log, people, checks, options.signatures ?? ONE_BY_ONE);
  const { summary, signers, bad, isCut } = lines;
  if (isCut) { for (const name of OF_WHOLE) checks.skip(name, "the transcript was not read to its end"); }
  else compareSummary(receipt, summary, checks);
  const signerPath = await checkSigner(receipt, people, checks, options);
  for (const problem of log.roomProblems) checks.fail("room lines", problem);
  const times = log.times(receipt.createdAt, receipt.isVersion2, options.at === undefined ? signerPath : undefined);
  for (const failure of times.failures) checks.fail("times", failure);
  checkSignatures(receipt, isCut ? undefined : summary, checks, options.policy?.version2Only ?? false);
  if (options.policy?.session) compareSession(receipt, options.policy.session, checks);
  return conclude({
    ...{ receipt, signers, log, people, given: trust, foreign, checks: checks.list() },
    ...{ lines: bad.verdicts(summary.count), at: options.at, now: options.now },
    timeNotes: [...times.notes, ...receiptClockNotes(receipt.createdAt, options.policy?.session?.now)],
  });
}

// ---- lines

async function checkLines(
  lines: Evidence["lines"],
  log: SessionLog,
  people: Certificates,
  checks: SessionChecks,
  checker: SignatureChecker,
): Promise<{ summary: TranscriptSummary; signers: LineSigner[]; bad: SessionLines; isCut: boolean }> {
  const summary = new TranscriptSummary();
  const bad = new SessionLines(people, checks);
  let unreadable = 0;
  let isCut = false;
  const signatures = new SignatureBatches(checker, ({ line, number }) => {
    bad.fail(line, number, "line signatures", () => {
      const signer = people.findSigner(line);
      return signer
        ? `the signature is by another certificate than the one that is named: "${
          shortName(signer.subject)
        }" (${signer.fingerprint})`
        : NOT_SIGNED;
    });
  });

  try {
    for await (const raw of lines) {
      const text = typeof raw === "string" ? raw : asLatin1(raw);
      const line = parseLine(text);
      summary.add(raw, line?.seqno ?? NaN, line?.ts ?? 0);
      const number = summary.count;
      if (!line) {
        checks.fail(
          "transcript form",
          `line ${number} ${lineProblem(text, "seqno|ts|ciphertext|signature|fingerprint")}`,
        );
        if (++unreadable < MAX_UNREADABLE) continue;
        isCut = true;
        break;
      }
      log.add(number, line);
      const modulus = await judgeLine(line, number, people, checks, bad);
      if (modulus !== undefined) await signatures.add({ line, modulus, number });
    }
  } catch (error) {
    if (!(error instanceof TranscriptFormError)) throw error;
    checks.fail("transcript form", error.message);
  }
  await signatures.end();
  if (!people.hasAuthorities) checks.skip("line certificates", NO_AUTHORITY);
  const signers = people.named.map(({ leaf, lines, bad }) => lineSigner(leaf, lines - bad));
  return { summary, signers: signers.filter(({ lines }) => lines > 0), bad, isCut };
}

const NOT_SIGNED = "the signature is not by the certificate that is named";
const NO_AUTHORITY = "no CA is given that issued it";

/** After so many malformed lines the rest isn't read. */
const MAX_UNREADABLE = 1_000;

/** For so many bad lines the real signer is looked for, which may take a signature check for each certificate. */
const MAX_EXPLAINED = 20;

/** A session's bad lines. */
class SessionLines {
  readonly #bad = new BadLines<CheckName>();
  readonly #people: Certificates;
  readonly #checks: SessionChecks;

  constructor(people: Certificates, checks: SessionChecks) {
    this.#people = people;
    this.#checks = checks;
  }

  /** Fails a check for a line. If finding the reason is expensive, it is a function. */
  fail({ signer }: TranscriptLine, number: number, check: CheckName, why: string | (() => string)): void {
    const known = this.#bad.faultsOf(number);
    if (!known) this.#people.countBad(signer);
    const isExplained = typeof why === "string" || this.#bad.size < MAX_EXPLAINED;
    const reason = !isExplained ? NOT_SIGNED : typeof why === "string" ? why : why();
    this.#checks.fail(check, `line ${number}: ${reason}`);
    this.#bad.add(number, check, reason);
  }

  /** The verdicts on `count` lines. */
  verdicts(count: number): LineVerdicts<BadLine<CheckName>> {
    return this.#bad.verdicts(1, count);
  }
}

/** Checks everything about a line except its form and its signature; returns the modulus for the signature. */
async function judgeLine(
  line: TranscriptLine,
  number: number,
  people: Certificates,
  checks: SessionChecks,
  bad: SessionLines,
): Promise<bigint | undefined> {
  const named = await people.forLine(line.signer);
  if (!named) {
    bad.fail(line, number, "line certificates", `the certificate ${line.signer} is missing`);
    return undefined;
  }
  if (line.seqno <= named.last) {
    checks.fail("line order", `line ${number} has seqno ${line.seqno}, which is not above ${named.last}`);
  }
  named.last = line.seqno;
  named.lines += 1;
  for (const problem of named.path?.problems(people.at ?? line.ts, "offline") ?? []) {
    bad.fail(line, number, "line certificates", problem);
  }
  if (!named.leaf.rsa) bad.fail(line, number, "line signatures", "the key of the certificate is not RSA");
  return named.leaf.rsa?.modulus;
}

// ---- the receipt against the transcript and its signer

/** The checks that need the whole transcript. */
const OF_WHOLE = ["transcript hash", "message count", "first seqno", "last seqno", "receipt signature"] as const;

function compareSummary(receipt: ReceiptFields, summary: TranscriptSummary, checks: SessionChecks): void {
  const compare = (name: CheckName, expected: unknown, found: unknown) => {
    if (expected === undefined) checks.skip(name, "the receipt doesn't say it");
    else if (Number.isNaN(found)) checks.skip(name, "the line is malformed");
    else if (expected !== found) {
      const values = { expected: String(expected), found: String(found) };
      checks.fail(name, "the receipt and the transcript differ", values);
    }
  };
  compare("transcript hash", receipt.hash, summary.hash());
  compare("message count", receipt.count, summary.count);
  compare("first seqno", receipt.first, summary.first);
  compare("last seqno", receipt.last, summary.last);
}

async function checkSigner(
  receipt: ReceiptFields,
  people: Certificates,
  checks: SessionChecks,
  { at }: VerifyOptions,
): Promise<CertificatePath | undefined> {
  const { signer, fingerprint, role } = receipt;
  const skip = (reason: string) => void checks.skip("signer certificate", reason);
  if (!signer) return skip("signer_cert can't be read");
  if (fingerprint !== undefined && fingerprint !== signer.leaf.fingerprint) {
    const values = { expected: fingerprint, found: signer.leaf.fingerprint };
    checks.fail("signer certificate", "peer_cert_fingerprint is not that of signer_cert", values);
  }
  const time = at ?? receipt.createdAt;
  if (!people.hasAuthorities) return skip(NO_AUTHORITY);
  if (role === undefined || time === undefined) {
    return skip("the receipt doesn't say the signer's role, or the time");
  }
  const path = await people.findPath(signer.certificates, role);
  for (const problem of path.problems(time, "offline")) checks.fail("signer certificate", problem);
  return path;
}

function checkSignatures(
  receipt: ReceiptFields,
  /** `undefined` if the transcript was not read to its end. */
  summary: TranscriptSummary | undefined,
  checks: SessionChecks,
  version2Only: boolean,
): void {
  const rsa = receipt.signer?.leaf.rsa;
  const key = rsa && new VerifyingKey(rsa.modulus);
  const unreadable = "signer_cert or the signature can't be read";
  if (!key || !receipt.signature) checks.skip("receipt signature", unreadable);
  else if (summary && !key.verify(receipt.signature, summary.digest())) {
    checks.fail("receipt signature", "the signature over this transcript's hash doesn't verify with signer_cert");
  }

  if (!receipt.isVersion2) {
    if (version2Only) {
      return checks.fail("statement signature", "this is a version-1 receipt, and only version 2 is accepted");
    }
    return checks.skip(
      "statement signature",
      `a version-1 receipt has none: nobody signed ${unsignedText(receipt.unsigned)}`,
    );
  }
  if (version2Only && receipt.session === undefined) {
    checks.fail("statement signature", "the receipt names no version-2 session, and only version 2 is accepted");
  }
  if (!Object.hasOwn(receipt.data, "statement_signature")) {
    return checks.fail("statement signature", "statement_signature is missing: a receipt with a session has one");
  }
  const input = statementInput(receipt.data);
  if (!input) return checks.fail("statement signature", "the receipt has no exact canonical form (RFC 8785)");
  if (!key || !receipt.statementSignature) return checks.skip("statement signature", unreadable);
  if (!key.verify(receipt.statementSignature, input)) {
    checks.fail("statement signature", "a field is not as it was signed");
  }
}

/** Compares the other side's receipt with what this side knows about the session. */
function compareSession(receipt: ReceiptFields, expected: ExpectedSession, checks: SessionChecks): void {
  const compare = (what: string, wanted: string, found: string | undefined) => {
    if (wanted === found) return;
    checks.fail("session", `${what} is not this session's`, { expected: wanted, found: found ?? "nothing" });
  };
  compare("the signer's role", expected.role, receipt.role);
  compare("the signer's certificate", expected.signer, receipt.fingerprint);
  if (expected.identity) {
    compare("the session", expected.identity.session, receipt.session);
    compare("the other side's certificate", expected.identity.other, receipt.other);
  }
}
