/**
 * Verification, offline, of a receipt and a transcript (protocol.md sections 7 and 8).
 *
 *     const verdict = await verify({ receipt, lines: transcriptLines(file) }, { authorities, revocations: [] });
 *     verdict.result   → "valid", "invalid", or "undecided" where no CA is given
 *     verdict.checks   → [{ name: "receipt form", outcome: "passed", reasons: [] }, …]
 *
 * The evidence, what is trusted, what is demanded and the time are separate arguments, and the answer is a list of named
 * checks: one that fails doesn't hide the next, and one that could not be made says so. Lines are taken one by one, so
 * a transcript of any size needs the same memory; signatures go out in batches to a {@link SignatureChecker}.
 *
 * What no check here can show stands in `notes`: a session's transcript is ciphertext, so what was said isn't part of
 * it, and every time in it is the claim of who signed it.
 */

import { Buffer } from "node:buffer";
import { type Bytes, encodeUtf8, parseBase64, parseUtf8 } from "./bytes.ts";
import { type CertificatePath, findPath, type Trust } from "./certificate_path.ts";
import { EXIT, Failure, ProtocolError } from "./errors.ts";
import { isJsonList, isJsonObject, type Json, type JsonObject, member, parseJson, repeatedName } from "./json.ts";
import { isSignedBy, ONE_BY_ONE, type SignatureChecker, type SignedLine } from "./line_signature.ts";
import { VerifyingKey } from "./pss.ts";
import { MAX_RECEIPT_BYTES, parseTime, type Role, statementInput } from "./receipt.ts";
import { printable } from "./text.ts";
import { parseLine, type TranscriptLine, TranscriptSummary } from "./transcript.ts";
import { type Certificate, parseCertificates } from "./x509.ts";

/** What is to be verified. */
export interface Evidence {
  /** The receipt, or a receipt frame: its JSON text, or the object itself where it came in a frame. */
  readonly receipt: string | Uint8Array | JsonObject;
  /** The transcript's lines without their LF, as {@link transcriptLines} cuts them out of a file. */
  readonly lines: Iterable<string | Uint8Array> | AsyncIterable<string | Uint8Array>;
  /** Certificates that lines may name, beside those in the receipt; each with its intermediates after it. */
  readonly certificates?: readonly (readonly Certificate[])[];
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
  /** The time now, unix milliseconds: the receipt must have been made within 5 minutes of it. */
  readonly now: number;
  /** Of a version-2 session: its hash, and the fingerprint of the side that didn't sign. */
  readonly identity?: { readonly session: string; readonly other: string };
}

/** How to verify, where the defaults don't do. */
export interface VerifyOptions {
  readonly policy?: Policy;
  /** Unix milliseconds at which every certificate is judged, in place of `created_at` and each line's `ts`. */
  readonly at?: number;
  /** Who checks signatures; without it they are checked here, one after the other. */
  readonly signatures?: SignatureChecker;
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
] as const;

/** One of {@link CHECKS}. */
export type CheckName = typeof CHECKS[number];

/** What became of one check. */
export interface Check {
  readonly name: CheckName;
  readonly outcome: "passed" | "failed" | "not checked";
  /** Why it failed, or was not made: a sentence each; of very many the first few, and how many more. */
  readonly reasons: readonly string[];
  /** What the receipt says, where it can be compared. */
  readonly expected?: string;
  /** What the transcript gives. */
  readonly found?: string;
}

/** Who signed lines, and how many of them. */
export interface LineSigner {
  readonly subject: string;
  readonly fingerprint: string;
  readonly lines: number;
}

/** The answer. */
export interface Verdict {
  readonly result: "valid" | "invalid" | "undecided";
  /** One plain sentence. */
  readonly sentence: string;
  readonly checks: readonly Check[];
  /** What the verdict does not show. */
  readonly notes: readonly string[];
  /** The receipt's fields that nobody signed: anybody could have written them. Empty for version 2. */
  readonly unsigned: readonly string[];
  readonly signers: readonly LineSigner[];
}

/** What a version-1 `signature` vouches for: by the transcript's hash, or by the certificate that it verifies with. */
const HASHED_FIELDS = new Set(
  "type transcript_hash signature signer_cert peer_cert_fingerprint message_count first_seqno last_seqno".split(" "),
);

/** So many reasons are listed of one check; a transcript of a million bad lines needs no million sentences. */
const MAX_REASONS = 20;
/** Lines in a batch: enough that a worker's round trip of some 35 µs is lost beside 64 verifications. */
const BATCH_LINES = 64;
/** How far a receipt's `created_at` may lie from the clock of the side that gets it: 5 minutes, in milliseconds. */
const MAX_RECEIPT_AGE = 300_000;

/**
 * Verifies a receipt and its transcript. Throws a {@link Failure} where the receipt is nothing that can be read: beyond
 * 1 MiB, not UTF-8, not JSON.
 */
export async function verify(evidence: Evidence, trust: Trust, options: VerifyOptions = {}): Promise<Verdict> {
  const checks = new CheckList(options.policy?.session ? CHECKS : CHECKS.filter((name) => name !== "session"));
  const data = readReceipt(evidence.receipt, checks);
  const receipt = new ReceiptFields(data, checks);
  const people = new Certificates(trust, options.at);
  for (const chain of [...evidence.certificates ?? [], receipt.signer ?? [], ...receipt.certs]) people.add(chain);

  const { summary, signers } = await checkLines(evidence.lines, people, checks, options.signatures ?? ONE_BY_ONE);
  compareSummary(receipt, summary, checks);
  await checkSigner(receipt, people, checks, options);
  checkSignatures(receipt, summary, checks, options.policy?.version2Only ?? false);
  if (options.policy?.session) compareSession(receipt, options.policy.session, checks);
  return conclude(checks.list(), { receipt, signers, hasRevocations: trust.revocations.length > 0 });
}

/** Outcomes and reasons as they come, in the order of {@link CHECKS}. */
class CheckList {
  readonly #checks: Map<CheckName, { outcome: Check["outcome"]; reasons: string[]; more: number; values?: Values }>;

  constructor(names: readonly CheckName[]) {
    this.#checks = new Map(names.map((name) => [name, { outcome: "passed", reasons: [], more: 0 }]));
  }

  fail(name: CheckName, reason: string, values?: Values): void {
    const check = this.#checks.get(name);
    if (!check) return;
    if (check.outcome === "not checked") check.reasons = [];
    check.outcome = "failed";
    if (check.reasons.length < MAX_REASONS) check.reasons.push(reason);
    else check.more += 1;
    if (values) check.values = values;
  }

  /** The check can't be made; a failure that was found all the same stands. */
  skip(name: CheckName, reason: string): void {
    const check = this.#checks.get(name);
    if (!check || check.outcome === "failed" || check.reasons.includes(reason)) return;
    check.outcome = "not checked";
    check.reasons.push(reason);
  }

  list(): Check[] {
    return [...this.#checks].map(([name, { outcome, reasons, more, values }]) => ({
      name,
      outcome,
      reasons: more === 0 ? reasons : [...reasons, `and ${more} more`],
      ...values,
    }));
  }
}

interface Values {
  readonly expected: string;
  readonly found: string;
}

// ---- the receipt

function readReceipt(receipt: Evidence["receipt"], checks: CheckList): JsonObject {
  if (typeof receipt === "object" && !(receipt instanceof Uint8Array)) return receipt;
  const bytes = typeof receipt === "string" ? encodeUtf8(receipt) : receipt;
  if (bytes.length > MAX_RECEIPT_BYTES) {
    throw new Failure(EXIT.usage, `the receipt has more than ${MAX_RECEIPT_BYTES} bytes: no receipt is that long`);
  }
  const text = parseUtf8(bytes);
  if (text === undefined) throw new Failure(EXIT.usage, "the receipt is not UTF-8 text");
  const whole = parseJson(text);
  if (whole === undefined) throw new Failure(EXIT.usage, "the receipt is not JSON: is it the right file?");
  if (!isJsonObject(whole)) throw new Failure(EXIT.usage, "the receipt is not a JSON object: is it the right file?");
  const repeated = repeatedName(text);
  if (repeated !== undefined) checks.fail("receipt form", `the name "${printable(repeated)}" comes twice`);
  // A receipt has no `data`: what has one and no hash is the frame that a receipt comes in.
  const inner = member(whole, "data");
  return isJsonObject(inner) && !Object.hasOwn(whole, "transcript_hash") ? inner : whole;
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
  readonly signer: readonly Certificate[] | undefined;
  readonly certs: readonly (readonly Certificate[])[];
  /** These three are `undefined` where they are missing too: a version-1 receipt has none of them. */
  readonly other: string | undefined;
  readonly session: string | undefined;
  readonly statementSignature: Bytes | undefined;

  constructor(readonly data: JsonObject, checks: CheckList) {
    const take = <T>(name: string, expected: string, parse: (value: Json) => T | undefined): T | undefined => {
      const value = member(data, name);
      const parsed = value === undefined ? undefined : parse(value);
      if (parsed === undefined) {
        checks.fail("receipt form", `${name} is ${value === undefined ? "missing" : `not ${expected}`}`);
      }
      return parsed;
    };
    const takeOptional = <T>(name: string, expected: string, parse: (value: Json) => T | undefined): T | undefined =>
      Object.hasOwn(data, name) ? take(name, expected, parse) : undefined;

    take("type", `"receipt"`, (value) => value === "receipt" ? value : undefined);
    this.role = take(
      "peer",
      `"client" or "server"`,
      (value) => value === "client" || value === "server" ? value : undefined,
    );
    this.createdAt = take("created_at", "a time like 2023-11-15T14:30:22Z", onText(parseTime));
    this.first = take("first_seqno", "an integer or null", (value) => value === null ? value : parseCount(value));
    this.last = take("last_seqno", "an integer or null", (value) => value === null ? value : parseCount(value));
    this.count = take("message_count", "an integer", parseCount);
    this.hash = take("transcript_hash", "64 lower-case hex digits", parseHash);
    this.fingerprint = take("peer_cert_fingerprint", "64 lower-case hex digits", parseHash);
    this.signature = take("signature", "base64", onText(parseBase64));
    this.signer = take("signer_cert", "base64 of a PEM certificate", parseChain);
    this.certs = takeOptional("certs", "a list of base64 of PEM certificates", parseChains) ?? [];
    this.other = takeOptional("other_fingerprint", "64 lower-case hex digits", parseHash);
    this.session = takeOptional("session", "64 lower-case hex digits", parseHash);
    this.statementSignature = takeOptional("statement_signature", "base64", onText(parseBase64));
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

function onText<T>(parse: (text: string) => T | undefined): (value: Json) => T | undefined {
  return (value) => typeof value === "string" ? parse(value) : undefined;
}

function parseCount(value: Json): number | undefined {
  return typeof value === "number" ? value : undefined; // json.ts gives a number for plain digits up to 2^53 - 1 alone
}

function parseHash(value: Json): string | undefined {
  return typeof value === "string" && /^[0-9a-f]{64}$/.test(value) ? value : undefined;
}

function parseChains(value: Json): (readonly Certificate[])[] | undefined {
  if (!isJsonList(value)) return undefined;
  const chains = value.map(parseChain);
  return chains.every((chain) => chain !== undefined) ? chains : undefined;
}

/** PEM has many spellings of one certificate; here one is taken, so that no byte of it is signed by nobody. */
function parseChain(value: Json): readonly Certificate[] | undefined {
  const bytes = typeof value === "string" ? parseBase64(value) : undefined;
  const pem = bytes && parseUtf8(bytes);
  if (pem === undefined) return undefined;
  try {
    const chain = parseCertificates(pem);
    const spelling = chain.map((certificate) => certificate.pem).join("");
    return pem === spelling || `${pem}\n` === spelling ? chain : undefined;
  } catch (error) {
    if (error instanceof ProtocolError) return undefined;
    throw error;
  }
}

// ---- certificates

/** The certificates at hand by fingerprint, and for each, once it is asked for, its path to a CA. */
class Certificates {
  readonly #chains = new Map<string, readonly Certificate[]>();
  readonly #paths = new Map<string, LineCertificate>();

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
    const path = this.hasAuthorities ? await findPath(chain, this.trust, { purpose: "either" }) : undefined;
    const made = { leaf, path, lines: 0, last: -1 };
    this.#paths.set(fingerprint, made);
    return made;
  }

  /** Those that lines named. */
  get named(): readonly LineCertificate[] {
    return [...this.#paths.values()];
  }

  /** The certificate, other than the one a line names, that verifies its signature. */
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
  /** The seqno of the last of them. */
  last: number;
}

// ---- lines

interface PendingBatch {
  readonly numbers: readonly number[];
  readonly lines: readonly SignedLine[];
  readonly verdicts: Promise<readonly boolean[]> | readonly boolean[];
}

async function checkLines(
  lines: Evidence["lines"],
  people: Certificates,
  checks: CheckList,
  checker: SignatureChecker,
): Promise<{ summary: TranscriptSummary; signers: LineSigner[] }> {
  const summary = new TranscriptSummary();
  const pending: PendingBatch[] = [];
  let batch: SignedLine[] = [];
  let numbers: number[] = [];
  const flush = () => {
    if (batch.length > 0) pending.push({ numbers, lines: batch, verdicts: checker.check(batch) });
    [batch, numbers] = [[], []];
  };
  const settle = async (most: number) => {
    while (pending.length > most) await judgeSignatures(pending.shift(), people, checks);
  };

  try {
    for await (const raw of lines) {
      const text = typeof raw === "string" ? raw : asLatin1(raw);
      const line = parseLine(text);
      summary.add(raw, line?.seqno ?? NaN);
      const number = summary.count;
      if (!line) {
        checks.fail("transcript form", `line ${number} is not seqno|ts|ciphertext|signature|fingerprint`);
        continue;
      }
      const modulus = await judgeLine(line, number, people, checks);
      if (modulus === undefined) continue;
      batch.push({ line, modulus });
      numbers.push(number);
      if (batch.length < BATCH_LINES) continue;
      flush();
      await settle(2 * checker.concurrency - 1);
    }
  } catch (error) {
    if (!(error instanceof TranscriptFormError)) throw error;
    checks.fail("transcript form", error.message);
  }
  flush();
  await settle(0);
  if (!people.hasAuthorities) checks.skip("line certificates", NO_AUTHORITY);
  const signers = people.named.map(({ leaf, lines }) => ({
    subject: leaf.subject,
    fingerprint: leaf.fingerprint,
    lines,
  }));
  return { summary, signers };
}

const NO_AUTHORITY = "no CA is given";

/** All about a line but its form and its signature; the modulus that is to verify it. */
async function judgeLine(
  line: TranscriptLine,
  number: number,
  people: Certificates,
  checks: CheckList,
): Promise<bigint | undefined> {
  const named = await people.forLine(line.signer);
  if (!named) {
    checks.fail("line certificates", `line ${number} names a certificate that is not at hand ${line.signer}`);
    checks.skip("line signatures", "the certificates of some lines are not at hand");
    return undefined;
  }
  if (line.seqno <= named.last) {
    checks.fail("line order", `line ${number} has seqno ${line.seqno}, which is not above ${named.last}`);
  }
  named.last = line.seqno;
  named.lines += 1;
  for (const problem of named.path?.problems(people.at ?? line.ts, "offline") ?? []) {
    checks.fail("line certificates", `line ${number}: ${problem}`);
  }
  if (!named.leaf.rsa) checks.fail("line signatures", `line ${number}: its certificate's key is not RSA`);
  return named.leaf.rsa?.modulus;
}

async function judgeSignatures(
  batch: PendingBatch | undefined,
  people: Certificates,
  checks: CheckList,
): Promise<void> {
  if (!batch) return;
  const verdicts = await batch.verdicts;
  for (const [at, { line }] of batch.lines.entries()) {
    if (verdicts[at] === true) continue;
    const number = batch.numbers[at];
    const signer = people.findSigner(line);
    checks.fail(
      "line signatures",
      signer
        ? `line ${number} names another certificate: its signature is that of ${signer.subject} (${signer.fingerprint})`
        : `line ${number} is not signed by the certificate that it names`,
    );
  }
}

function asLatin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}

// ---- the receipt against the transcript and its signer

function compareSummary(receipt: ReceiptFields, summary: TranscriptSummary, checks: CheckList): void {
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
  checks: CheckList,
  { at }: VerifyOptions,
): Promise<void> {
  const { signer, fingerprint, role } = receipt;
  const [leaf] = signer ?? [];
  if (!signer || !leaf) return checks.skip("signer certificate", "signer_cert can't be read");
  if (fingerprint !== undefined && fingerprint !== leaf.fingerprint) {
    const values = { expected: fingerprint, found: leaf.fingerprint };
    checks.fail("signer certificate", "peer_cert_fingerprint is not that of signer_cert", values);
  }
  const time = at ?? receipt.createdAt;
  if (!people.hasAuthorities) return checks.skip("signer certificate", NO_AUTHORITY);
  if (role === undefined || time === undefined) {
    return checks.skip("signer certificate", "the receipt doesn't say the signer's role, or the time");
  }
  const path = await findPath(signer, people.trust, { purpose: role });
  for (const problem of path.problems(time, "offline")) checks.fail("signer certificate", problem);
}

function checkSignatures(
  receipt: ReceiptFields,
  summary: TranscriptSummary,
  checks: CheckList,
  version2Only: boolean,
): void {
  const [leaf] = receipt.signer ?? [];
  const key = leaf?.rsa && new VerifyingKey(leaf.rsa.modulus);
  const unreadable = "signer_cert or the signature can't be read";
  if (!key || !receipt.signature) checks.skip("receipt signature", unreadable);
  else if (!key.verify(receipt.signature, summary.digest())) {
    checks.fail("receipt signature", "the signature over this transcript's hash doesn't verify with signer_cert");
  }

  if (!receipt.isVersion2) {
    if (version2Only) {
      return checks.fail("statement signature", "this is a version-1 receipt, and only version 2 is to be taken");
    }
    return checks.skip(
      "statement signature",
      `a version-1 receipt has none: nobody signed ${receipt.unsigned.map(printable).join(", ")}`,
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
function compareSession(receipt: ReceiptFields, expected: ExpectedSession, checks: CheckList): void {
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
  if (receipt.createdAt !== undefined && Math.abs(receipt.createdAt - expected.now) > MAX_RECEIPT_AGE) {
    checks.fail("session", "created_at is more than 5 minutes from this side's clock");
  }
}

// ---- the answer

interface Findings {
  readonly receipt: ReceiptFields;
  readonly signers: readonly LineSigner[];
  readonly hasRevocations: boolean;
}

function conclude(checks: readonly Check[], { receipt, signers, hasRevocations }: Findings): Verdict {
  const failed = checks.filter(({ outcome }) => outcome === "failed").map(({ name }) => name);
  // The statement signature is the one check that a valid receipt may lack: version 1 has none.
  const open = checks.filter(({ name, outcome }) => outcome === "not checked" && name !== "statement signature");
  const result = failed.length > 0 ? "invalid" : open.length > 0 ? "undecided" : "valid";
  const unsigned = receipt.unsigned;
  const notes = [
    "The words themselves are not shown: a session's transcript holds ciphertext.",
    "Each line's time is the claim of whoever signed it.",
  ];
  if (!hasRevocations) notes.push("Nobody asked whether a certificate was revoked: no revocation list is given.");
  if (unsigned.length > 0) {
    notes.push(
      `A version-1 receipt: nobody signed ${unsigned.map(printable).join(", ")}; anybody could have written them.`,
    );
  }
  return { result, sentence: sentence(result, { receipt, signers, failed }), checks, notes, unsigned, signers };
}

function sentence(
  result: Verdict["result"],
  { receipt, signers, failed }: {
    receipt: ReceiptFields;
    signers: readonly LineSigner[];
    failed: readonly string[];
  },
): string {
  if (result === "invalid") {
    return `Invalid: this receipt does not hold for this transcript (${failed.join(", ")}).`;
  }
  if (result === "undecided") {
    return "Undecided: what could be checked holds, but without a CA nobody knows whose signatures these are.";
  }
  const subject = receipt.signer?.[0]?.subject ?? "";
  const messages = receipt.count === 1 ? "1 message was" : `${receipt.count} messages were`;
  const by = signers.length === 0 ? "" : `, signed by ${signers.map((signer) => signer.subject).join(" and ")}`;
  return `Valid: ${subject} confirms that ${messages} accepted in this order${by}; the words are not shown.`;
}

// ---- a transcript's file

/** 64 KiB: a line of the longest message has 22,200 bytes; a file can't make us hold more than this of one. */
export const MAX_LINE_BYTES = 65_536;

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
