/**
 * Verification, offline, of a receipt and a transcript (docs/PROTOCOL.md, "Transcript" and "The end, and receipts").
 *
 *     const verdict = await verify({ receipt, lines: transcriptLines(file) }, { authorities, revocations: [] });
 *     verdict.result   → "valid", "invalid", or "undecided" where no CA is given, or another one
 *     verdict.checks   → [{ name: "receipt form", outcome: "passed", reasons: [] }, …]
 *
 * The evidence, what is trusted, what is demanded and the time are separate arguments, and the answer is a list of
 * named checks: one that fails doesn't hide the next, and one that could not be made says so. Lines are taken one by
 * one, so a transcript of any size needs the same memory; signatures go out in batches to a {@link SignatureChecker}.
 *
 * What no check here can show stands in `notes`: a session's transcript is ciphertext, so what was said isn't part of
 * it, and every time in it is the claim of who signed it.
 *
 * @layer protocol
 */

import { type Bytes, encodeUtf8, parseBase64 } from "./bytes.ts";
import { type CertificatePath, findPath, type Purpose, type Trust, TRUST_NAMES } from "./certificate_path.ts";
import { isJsonObject, type JsonObject, member } from "./json.ts";
import { isSignedBy, ONE_BY_ONE, type SignatureChecker } from "./line_signature.ts";
import { checkOptions, checkTime, type Names } from "./options.ts";
import { VerifyingKey } from "./pss.ts";
import { formatTime, MAX_RECEIPT_BYTES, parseTime, type Role, statementInput } from "./receipt.ts";
import { logHash, ROOM_LINE_SIZE } from "./log_line.ts";
import { quoted, shortName } from "./text.ts";
import { lineProblem, MAX_LINE_BYTES, parseLine, type TranscriptLine, TranscriptSummary } from "./transcript.ts";
import {
  asLatin1,
  type Chain,
  type Check,
  CheckList,
  Fields,
  type LineSigner,
  lineSigner,
  onText,
  parseChain,
  parseCount,
  parseHash,
  parseList,
  readJsonFile,
  revocationNotes,
  SignatureBatches,
  signersText,
  signerText,
} from "./verify_verdict.ts";
import { foreignAuthority } from "./verify_authority.ts";
import { BadLines, type LineVerdicts, namesOf } from "./verify_bad_lines.ts";
import { receiptClockNotes, SessionLog } from "./verify_session.ts";
import type { Certificate, RevocationList } from "./x509.ts";

/** What is to be verified. */
export interface Evidence {
  /** The receipt, or a receipt frame: its JSON text, or the object itself where it came in a frame. */
  readonly receipt: string | Uint8Array | JsonObject;
  /** The transcript's lines without their LF, as {@link transcriptLines} cuts them out of a file. */
  readonly lines: Iterable<string | Uint8Array> | AsyncIterable<string | Uint8Array>;
  /** Certificates that lines may name, beside those in the receipt; each with its intermediates after it. */
  readonly certificates?: readonly (readonly Certificate[])[];
  /** The names (origins) of rooms' logs: a line of one of these is no session's. */
  readonly logs?: readonly string[];
}

/** What the verifier demands beside good evidence. */
export interface Policy {
  /** Takes receipts of version 2 alone, in which every field is signed. */
  readonly version2Only?: boolean;
  /** The session that the receipt must be of: for whoever was part of it. */
  readonly session?: ExpectedSession;
}

/** What one side of a session knows of it, and holds against the other's receipt. */
export interface ExpectedSession {
  /** The role of the side that signed. */
  readonly role: Role;
  /** The fingerprint of the side that signed. */
  readonly signer: string;
  /** The time now, unix milliseconds: where the receipt was made more than 5 minutes from it, a note says so. */
  readonly now: number;
  /** Of a version-2 session: its hash, and the fingerprint of the side that didn't sign. */
  readonly identity?: { readonly session: string; readonly other: string };
}

/** How to verify, where the defaults don't do. */
export interface VerifyOptions {
  readonly policy?: Policy;
  /** Unix milliseconds at which every certificate is judged, in place of `created_at` and each line's `ts`. */
  readonly at?: number;
  /** The verifier's clock, unix milliseconds: a later time in the evidence is noted. */
  readonly now?: number;
  /** Who checks signatures; without it they are checked here, one after the other. */
  readonly signatures?: SignatureChecker;
}

const EVIDENCE_NAMES: Names<Evidence> = { receipt: true, lines: true, certificates: true, logs: true };
const OPTION_NAMES: Names<VerifyOptions> = { policy: true, at: true, now: true, signatures: true };
const POLICY_NAMES: Names<Policy> = { version2Only: true, session: true };
const SESSION_NAMES: Names<ExpectedSession> = { role: true, signer: true, now: true, identity: true };
const IDENTITY_NAMES: Names<NonNullable<ExpectedSession["identity"]>> = { session: true, other: true };

/** Throws a TypeError for what nobody would heed. */
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

/** The checks, in the order in which a verdict lists them. */
export const CHECKS = [
  "receipt form",
  "transcript form",
  "transcript hash",
  "message count",
  "first seqno",
  "last seqno",
  "signer certificate",
  "receipt signature",
  "statement signature",
  "session",
  "line certificates",
  "line signatures",
  "line order",
  "room lines",
  "times",
] as const;

/** One of {@link CHECKS}. */
export type CheckName = typeof CHECKS[number];

type Checks = CheckList<CheckName>;

/** The answer. */
export interface Verdict {
  /** `partly_valid`: the receipt holds for the transcript, and some lines in it are bad. `invalid`: nothing stands. */
  readonly result: "valid" | "partly_valid" | "invalid" | "undecided";
  /** One plain sentence. */
  readonly sentence: string;
  readonly checks: readonly Check<CheckName>[];
  /** What goes with the sentence: above all what it does not show. */
  readonly notes: readonly string[];
  /** The receipt's fields that nobody signed: anybody could have written them. Empty for version 2. */
  readonly unsigned: readonly string[];
  /** Who signed the lines that are good. */
  readonly signers: readonly LineSigner[];
  readonly lines: LineVerdicts;
  /** The SHA-256 of each CA that certificates of the evidence lead to: of those given, the ones that judged. */
  readonly judges: readonly string[];
}

/** What a version-1 `signature` vouches for: by the transcript's hash, or by the certificate that it verifies with. */
const HASHED_FIELDS = new Set(
  "type transcript_hash signature signer_cert peer_cert_fingerprint message_count first_seqno last_seqno".split(" "),
);

/**
 * Verifies a receipt and its transcript. Throws a `Failure` where the receipt is nothing that can be read: beyond
 * 1 MiB, not UTF-8, not JSON.
 */
export async function verify(evidence: Evidence, trust: Trust, options: VerifyOptions = {}): Promise<Verdict> {
  checkArguments(evidence, trust, options);
  const checks = new CheckList(options.policy?.session ? CHECKS : CHECKS.filter((name) => name !== "session"));
  const data = readReceipt(evidence.receipt, checks);
  const receipt = new ReceiptFields(data, checks);
  const shown = [...receipt.signer ? [receipt.signer] : [], ...receipt.certs].map(({ certificates }) => certificates);
  const chains = [...evidence.certificates ?? [], ...shown];
  const foreign = foreignAuthority(chains, trust);
  const people = new Certificates(foreign === undefined ? trust : { ...trust, authorities: [] }, options.at);
  for (const chain of chains) people.add(chain);

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
  return conclude(checks.list(), {
    ...{ receipt, signers, roomLike: log.roomLike, foreign, lines: bad.verdicts(summary.count) },
    judges: [...people.authorities],
    times: [
      ...times.notes,
      ...log.clockNotes(receipt.createdAt, options.now),
      ...receiptClockNotes(receipt.createdAt, options.policy?.session?.now),
    ],
    revocation: revocationNotes(people.trust, people),
  });
}

// ---- the receipt

function readReceipt(receipt: Evidence["receipt"], checks: Checks): JsonObject {
  if (typeof receipt === "object" && !(receipt instanceof Uint8Array)) return receipt;
  const { object, repeated } = readJsonFile(receipt, MAX_RECEIPT_BYTES);
  if (repeated !== undefined) checks.fail("receipt form", `the name ${quoted(repeated)} comes twice`);
  // A receipt has no `data`: what has one and no hash is the frame that a receipt comes in.
  const inner = member(object, "data");
  return isJsonObject(inner) && !Object.hasOwn(object, "transcript_hash") ? inner : object;
}

/** A receipt's fields; one that is missing or malformed is `undefined` here and a failure of "receipt form". */
class ReceiptFields {
  readonly role: Role | undefined;
  readonly createdAt: number | undefined;
  readonly first: number | null | undefined;
  readonly last: number | null | undefined;
  readonly count: number | undefined;
  readonly hash: string | undefined;
  readonly fingerprint: string | undefined;
  readonly signature: Bytes | undefined;
  readonly signer: Chain | undefined;
  readonly certs: readonly Chain[];
  /** These three are `undefined` where they are missing too: a version-1 receipt has none of them. */
  readonly other: string | undefined;
  readonly session: string | undefined;
  readonly statementSignature: Bytes | undefined;

  constructor(readonly data: JsonObject, checks: Checks) {
    const fields = new Fields(data, (reason) => checks.fail("receipt form", reason));
    fields.take("type", `"receipt"`, (value) => value === "receipt" ? value : undefined);
    this.role = fields.take(
      "peer",
      `"client" or "server"`,
      (value) => value === "client" || value === "server" ? value : undefined,
    );
    this.createdAt = fields.take("created_at", "a time like 2023-11-15T14:30:22Z", onText(parseTime));
    this.first = fields.take(
      "first_seqno",
      "an integer or null",
      (value) => value === null ? value : parseCount(value),
    );
    this.last = fields.take("last_seqno", "an integer or null", (value) => value === null ? value : parseCount(value));
    this.count = fields.take("message_count", "an integer", parseCount);
    this.hash = fields.take("transcript_hash", "64 lower-case hex digits", parseHash);
    this.fingerprint = fields.take("peer_cert_fingerprint", "64 lower-case hex digits", parseHash);
    this.signature = fields.take("signature", "base64", onText(parseBase64));
    this.signer = fields.take("signer_cert", "base64 of a PEM certificate", parseChain);
    this.certs = fields.takeOptional("certs", "a list of base64 of PEM certificates", parseList(parseChain)) ?? [];
    this.other = fields.takeOptional("other_fingerprint", "64 lower-case hex digits", parseHash);
    this.session = fields.takeOptional("session", "64 lower-case hex digits", parseHash);
    this.statementSignature = fields.takeOptional("statement_signature", "base64", onText(parseBase64));
    if (this.isVersion2 && Object.hasOwn(data, "session") && !Object.hasOwn(data, "other_fingerprint")) {
      checks.fail("receipt form", "other_fingerprint is missing beside session");
    }
  }

  /** It says that it is signed whole; whether it is, is another check. */
  get isVersion2(): boolean {
    return Object.hasOwn(this.data, "session") || Object.hasOwn(this.data, "statement_signature");
  }

  /** What anybody could have written into it. */
  get unsigned(): string[] {
    return this.isVersion2 ? [] : Object.keys(this.data).filter((name) => !HASHED_FIELDS.has(name)).sort();
  }
}

// ---- certificates

/** The certificates at hand by fingerprint, and for each, once it is asked for, its path to a CA. */
class Certificates {
  readonly #chains = new Map<string, readonly Certificate[]>();
  readonly #paths = new Map<string, LineCertificate>();
  /** Of all paths that were found: the SHA-256 of each CA that they lead to. */
  readonly authorities = new Set<string>();
  /** Whose certificates no list was asked about. */
  readonly issuersWithoutList = new Set<string>();
  /** Lists of other keys of these issuers. */
  readonly passedOver = new Set<RevocationList>();

  constructor(readonly trust: Trust, readonly at: number | undefined) {}

  get hasAuthorities(): boolean {
    return this.trust.authorities.length > 0;
  }

  /** A leaf with its intermediates; of two with the same leaf the first stays. */
  add(chain: readonly Certificate[]): void {
    const [leaf] = chain;
    if (leaf && !this.#chains.has(leaf.fingerprint)) this.#chains.set(leaf.fingerprint, chain);
  }

  /** What a line's signature is checked with; `undefined` where the certificate is not at hand. */
  async forLine(fingerprint: string): Promise<LineCertificate | undefined> {
    const known = this.#paths.get(fingerprint);
    const chain = this.#chains.get(fingerprint);
    const [leaf] = chain ?? [];
    if (known || !chain || !leaf) return known;
    const path = this.hasAuthorities ? await this.findPath(chain, "either") : undefined;
    const made = { leaf, path, lines: 0, bad: 0, last: -1 };
    this.#paths.set(fingerprint, made);
    return made;
  }

  /** A line that names this certificate is bad. */
  countBad(fingerprint: string): void {
    const named = this.#paths.get(fingerprint);
    if (named) named.bad += 1;
  }

  /** The certificate's path to a CA. */
  async findPath(chain: readonly Certificate[], purpose: Purpose): Promise<CertificatePath> {
    const path = await findPath(chain, this.trust, { purpose });
    for (const { fingerprint } of path.authorities) this.authorities.add(fingerprint);
    for (const issuer of path.issuersWithoutList) this.issuersWithoutList.add(issuer);
    for (const list of path.passedOver) this.passedOver.add(list);
    return path;
  }

  /** Those that lines named. */
  get named(): readonly LineCertificate[] {
    return [...this.#paths.values()];
  }

  /**
   * The certificate, other than the one a line names, that verifies its signature: as many tries as there are of them.
   */
  findSigner(line: TranscriptLine): Certificate | undefined {
    for (const [fingerprint, [leaf]] of this.#chains) {
      if (fingerprint !== line.signer && leaf?.rsa && isSignedBy({ line, modulus: leaf.rsa.modulus })) return leaf;
    }
    return undefined;
  }
}

interface LineCertificate {
  readonly leaf: Certificate;
  /** `undefined` where no CA is given. */
  readonly path: CertificatePath | undefined;
  /** Lines that name it. */
  lines: number;
  /** Those of them that are bad. */
  bad: number;
  /** The seqno of the last of them. */
  last: number;
}

// ---- lines

async function checkLines(
  lines: Evidence["lines"],
  log: SessionLog,
  people: Certificates,
  checks: Checks,
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
        ? `it names another certificate: its signature is that of "${
          shortName(signer.subject)
        }" (${signer.fingerprint})`
        : "it is not signed by the certificate that it names";
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

const NO_AUTHORITY = "no CA is given that issued it";

/** After so many lines that are none, nothing that follows changes the verdict. */
const MAX_UNREADABLE = 1_000;

/** So many bad lines have their reasons looked for, which may cost a signature check for each certificate. */
const MAX_EXPLAINED = 20;

/** A session's lines that are not good. */
class SessionLines {
  readonly #bad = new BadLines<CheckName>();
  readonly #people: Certificates;
  readonly #checks: Checks;

  constructor(people: Certificates, checks: Checks) {
    this.#people = people;
    this.#checks = checks;
  }

  /** A line has failed a check; a reason that takes work to find is a function. */
  fail({ signer }: TranscriptLine, number: number, check: CheckName, why: string | (() => string)): void {
    const known = this.#bad.faultsOf(number);
    if (!known) this.#people.countBad(signer);
    const isExplained = typeof why === "string" || this.#bad.size < MAX_EXPLAINED;
    const reason = !isExplained
      ? "it is not signed by the certificate that it names"
      : typeof why === "string"
      ? why
      : why();
    this.#checks.fail(check, `line ${number}: ${reason}`);
    this.#bad.add(number, check, reason);
  }

  /** The verdicts on so many lines. */
  verdicts(count: number): LineVerdicts {
    return this.#bad.verdicts(1, count);
  }
}

/** All about a line but its form and its signature; the modulus that is to verify it. */
async function judgeLine(
  line: TranscriptLine,
  number: number,
  people: Certificates,
  checks: Checks,
  bad: SessionLines,
): Promise<bigint | undefined> {
  const named = await people.forLine(line.signer);
  if (!named) {
    bad.fail(line, number, "line certificates", `it names a certificate that is not at hand ${line.signer}`);
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
  if (!named.leaf.rsa) bad.fail(line, number, "line signatures", "its certificate's key is not RSA");
  return named.leaf.rsa?.modulus;
}

// ---- the receipt against the transcript and its signer

/** The checks that need a transcript whole. */
const OF_WHOLE = ["transcript hash", "message count", "first seqno", "last seqno", "receipt signature"] as const;

function compareSummary(receipt: ReceiptFields, summary: TranscriptSummary, checks: Checks): void {
  const compare = (name: CheckName, expected: unknown, found: unknown) => {
    if (expected === undefined) checks.skip(name, "the receipt doesn't say it");
    else if (Number.isNaN(found)) checks.skip(name, "the line has no seqno that can be read");
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
  checks: Checks,
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
  /** `undefined` where the transcript was not read to its end. */
  summary: TranscriptSummary | undefined,
  checks: Checks,
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
      return checks.fail("statement signature", "this is a version-1 receipt, and only version 2 is to be taken");
    }
    return checks.skip(
      "statement signature",
      `a version-1 receipt has none: nobody signed ${unsignedText(receipt.unsigned)}`,
    );
  }
  if (version2Only && receipt.session === undefined) {
    checks.fail("statement signature", "the receipt names no version-2 session, and only version 2 is to be taken");
  }
  if (!Object.hasOwn(receipt.data, "statement_signature")) {
    return checks.fail("statement signature", "statement_signature is missing: a receipt with a session has one");
  }
  const input = statementInput(receipt.data);
  if (!input) return checks.fail("statement signature", "the receipt has no canonical form (RFC 8785)");
  if (!key || !receipt.statementSignature) return checks.skip("statement signature", unreadable);
  if (!key.verify(receipt.statementSignature, input)) {
    checks.fail("statement signature", "it doesn't verify: some field of the receipt is not as it was signed");
  }
}

/** The other side's receipt against what this side knows of its own session. */
function compareSession(receipt: ReceiptFields, expected: ExpectedSession, checks: Checks): void {
  const compare = (what: string, wanted: string, found: string | undefined) => {
    if (wanted === found) return;
    checks.fail("session", `${what} is not the one of this session`, { expected: wanted, found: found ?? "nothing" });
  };
  compare("the signer's role", expected.role, receipt.role);
  compare("the signer's certificate", expected.signer, receipt.fingerprint);
  if (expected.identity) {
    compare("the session", expected.identity.session, receipt.session);
    compare("the other side's certificate", expected.identity.other, receipt.other);
  }
}

// ---- the answer

interface Findings {
  readonly receipt: ReceiptFields;
  readonly signers: readonly LineSigner[];
  readonly lines: LineVerdicts;
  readonly judges: readonly string[];
  /** Lines that could be a room's. */
  readonly roomLike: number;
  /** What is to be said of times. */
  readonly times: readonly string[];
  /** Where the certificates are of another CA than those given: which. */
  readonly foreign: string | undefined;
  /** What is to be said of it. */
  readonly revocation: readonly string[];
}

/** The checks that are of single lines: what fails one of these takes no other line with it. */
const LINE_CHECKS: ReadonlySet<CheckName> = new Set(["line certificates", "line signatures"]);

function resultOf(checks: readonly Check<CheckName>[], { count, good }: LineVerdicts): Verdict["result"] {
  const isFalse = checks.some(({ name, outcome }) => outcome === "failed" && !LINE_CHECKS.has(name));
  if (isFalse || (count > 0 && good === 0)) return "invalid";
  // The statement signature is the one check that a valid receipt may lack: version 1 has none.
  const isOpen = checks.some(({ name, outcome }) => outcome === "not checked" && name !== "statement signature");
  return isOpen ? "undecided" : good < count ? "partly_valid" : "valid";
}

function conclude(
  checks: readonly Check<CheckName>[],
  { receipt, signers, lines, judges, roomLike, times, foreign, revocation }: Findings,
): Verdict {
  const failed = checks.filter(({ outcome }) => outcome === "failed").map(({ name }) => name);
  const result = resultOf(checks, lines);
  const unsigned = receipt.unsigned;
  const notes = [
    "The words themselves are not shown: a session's transcript holds ciphertext.",
    "Each line's time is the claim of whoever signed it.",
    ...times,
    ...originNotes(receipt, signers, roomLike),
    ...revocation,
  ];
  if (
    receipt.session !== undefined && receipt.createdAt !== undefined &&
    (result === "valid" || result === "partly_valid")
  ) {
    const when = formatTime(receipt.createdAt);
    notes.push(
      `Every field is signed: made ${when}, of session ${receipt.session}, with certificate ${receipt.other}.`,
    );
  }
  if (unsigned.length > 0) {
    notes.push(
      `A version-1 receipt: nobody signed ${unsignedText(unsigned)}; anybody could have written them.`,
    );
  }
  return {
    result,
    sentence: sentence(result, { receipt, signers, lines, failed, foreign }),
    checks,
    notes,
    unsigned,
    signers,
    lines,
    judges,
  };
}

/**
 * Nothing in a line says of which session it is, or that it is of one: whoever signs a receipt may put into it what
 * others have signed elsewhere.
 */
function originNotes(receipt: ReceiptFields, signers: readonly LineSigner[], roomLike: number): string[] {
  const notes: string[] = [];
  if (receipt.role === "client") {
    notes.push("The server has signed nothing of this: that it accepted these lines, or ever saw them, is not shown.");
  }
  const client = receipt.role === "client" ? receipt.fingerprint : receipt.other;
  const others = client === undefined ? [] : signers.filter(({ fingerprint }) => fingerprint !== client);
  for (const other of others.slice(0, MAX_STRANGERS)) {
    const name = signerText(other, signers);
    notes.push(`Not the client of this session, and yet with lines in it: ${name}. These may be from elsewhere.`);
  }
  if (others.length > MAX_STRANGERS) {
    notes.push(`So have ${others.length - MAX_STRANGERS} more that are not the client.`);
  }
  if (roomLike > 0) {
    notes.push(`Lines that may be a room's, which have this form and ${ROOM_LINE_SIZE} bytes in it: ${roomLike}.`);
  }
  return notes;
}

/** Fields that version 1 doesn't sign and that this program knows; whatever else there is, somebody has named. */
const KNOWN_UNSIGNED = ["certs", "created_at", "other_fingerprint", "peer"];
/** So many names of unknown fields, and so many strangers, are listed; more are counted. */
const [MAX_UNKNOWN, MAX_STRANGERS] = [3, 10];

/** Fields' names in a sentence: known ones as they are, others in quotes and as what they are. */
function unsignedText(names: readonly string[]): string {
  const known = names.filter((name) => KNOWN_UNSIGNED.includes(name));
  const unknown = names.filter((name) => !KNOWN_UNSIGNED.includes(name));
  if (unknown.length === 0) return known.join(", ");
  const shown = unknown.slice(0, MAX_UNKNOWN).map(quoted).join(", ");
  const more = unknown.length > MAX_UNKNOWN ? ` and ${unknown.length - MAX_UNKNOWN} more` : "";
  const fields = `${unknown.length} unknown ${unknown.length === 1 ? "field" : "fields"} (${shown}${more})`;
  return [...known, fields].join(", ");
}

function sentence(
  result: Verdict["result"],
  { receipt, signers, lines, failed, foreign }: {
    receipt: ReceiptFields;
    signers: readonly LineSigner[];
    lines: LineVerdicts;
    failed: readonly CheckName[];
    foreign: string | undefined;
  },
): string {
  if (result === "invalid" && failed.every((name) => LINE_CHECKS.has(name))) {
    return `Invalid: no line of this transcript is good (${failed.join(", ")}).`;
  }
  if (result === "invalid") {
    return `Invalid: this receipt does not hold for this transcript (${failed.join(", ")}).`;
  }
  if (result === "undecided") {
    if (foreign !== undefined) return `Undecided: ${foreign}.`;
    return "Undecided: what could be checked holds, but without a CA nobody knows whose signatures these are.";
  }
  const subject = shortName(receipt.signer?.leaf.subject ?? "");
  const [messages, were] = receipt.count === 1 ? ["1 message", "was"] : [`${receipt.count} messages`, "were"];
  const by = signers.length === 0 ? "" : `, signed by ${signersText(signers)}`;
  const says = receipt.role === "client"
    ? `lists ${messages} as sent in this order`
    : `confirms that ${messages} ${were} accepted in this order`;
  if (result === "valid") return `Valid: "${subject}" ${says}${by}; the words are not shown.`;
  return `Partly valid: "${subject}" ${says}, of which ${lines.good} hold${by}; the words are not shown. ` +
    `Not good: ${namesOf(lines)}.`;
}

// ---- a transcript's file

/** A transcript that can't be cut into lines. */
export class TranscriptFormError extends Error {}

/**
 * The lines of a transcript's file, without their LF, good until the next is asked for. Throws a
 * {@link TranscriptFormError} for a line beyond the bound, and, when all lines are out, for a last one without its LF.
 */
export async function* transcriptLines(
  file: string | Uint8Array | AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const chunks = typeof file === "string" ? [encodeUtf8(file)] : file instanceof Uint8Array ? [file] : file;
  let rest: Uint8Array = new Uint8Array(0);
  let count = 0;
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(LF); end >= 0; end = chunk.indexOf(LF, start)) {
      const line = join(rest, chunk.subarray(start, end));
      rest = new Uint8Array(0);
      start = end + 1;
      count += 1;
      if (line.length >= MAX_LINE_BYTES) throw tooLong(count);
      yield line;
    }
    rest = join(rest, chunk.slice(start)); // a copy: the chunk's buffer may be used again
    if (rest.length >= MAX_LINE_BYTES) throw tooLong(count + 1);
  }
  if (rest.length === 0) return;
  yield rest;
  throw new TranscriptFormError("the last line has no LF: the file is cut short, or was changed");
}

const LF = 0x0a;

function join(a: Uint8Array, b: Uint8Array): Uint8Array {
  if (a.length === 0) return b;
  const whole = new Uint8Array(a.length + b.length);
  whole.set(a);
  whole.set(b, a.length);
  return whole;
}

function tooLong(number: number): TranscriptFormError {
  return new TranscriptFormError(`line ${number} is longer than ${MAX_LINE_BYTES} bytes; the rest was not read`);
}
