/**
 * Verification, offline, of what is shown of a room: receipt, transcript and openings, or a line proof (rooms.md sections
 * 7 and 8).
 *
 *     const verdict = await verifyRoom({ receipt, lines, openings }, { authorities, revocations: [] });
 *     verdict.result   → "valid", "invalid", or "undecided" where no CA is given
 *     verdict.opened   → [{ index: 7, subject: "CN=CLIENT: ada", kind: "text", body: "hello", … }]
 *
 * As in `verify.ts`: named checks, of which one that fails doesn't hide the next. Lines and openings are taken one by
 * one, so what grows with them is what was opened, and, where anything is, one root for each line that the receipt
 * counts: an envelope's `seen` may name any size. The tree needs its frontier alone.
 *
 * Time is that of the first checkpoint shown that covers a line: the server's word, countersigned by every later `seen`.
 * What that proves and what it doesn't stands in `notes`, in the words of section 8.
 *
 * @layer protocol
 */

import { type Bytes, encodeHex, encodeUtf8, parseBase64, parseUtf8 } from "./bytes.ts";
import { findPath, type Purpose, type Trust } from "./certificate_path.ts";
import { type Checkpoint, isCheckpointSigned, parseCheckpoint } from "./checkpoint.ts";
import { type Envelope, parseEnvelope } from "./envelope.ts";
import { ProtocolError } from "./errors.ts";
import { isJsonObject, type Json, type JsonObject, member, parseJson } from "./json.ts";
import { ONE_BY_ONE, type SignatureChecker } from "./line_signature.ts";
import { isRoomName } from "./names.ts";
import { VerifyingKey } from "./pss.ts";
import { formatTime, parseTime, type Role, statementInput } from "./receipt.ts";
import { isOfLog, isOpenedBy, logHash, parseOrigin, parseRoomLine } from "./room_line.ts";
import { EMPTY_ROOT, Frontier, leafHash, peakPlaces } from "./room_log.ts";
import { encodeOpening, MAX_ROOM_RECEIPT_BYTES, type Opening, parseLineProof, parseOpening } from "./room_receipt.ts";
import { printable } from "./text.ts";
import type { TranscriptLine } from "./transcript.ts";
import {
  asLatin1,
  type Chain,
  type Check,
  CheckList,
  Fields,
  type LineSigner,
  onText,
  parseChain,
  parseCount,
  parseHash,
  parseList,
  readJsonFile,
  revocationNotes,
  SignatureBatches,
} from "./verdict.ts";
import { TranscriptFormError } from "./verify.ts";

/** A file's lines without their LF, as `transcriptLines` of `verify.ts` cuts them out. */
export type Rows = Iterable<string | Uint8Array> | AsyncIterable<string | Uint8Array>;

/** What is to be verified. */
export interface RoomEvidence {
  /** A `room_receipt`: its JSON text, or the object itself. */
  readonly receipt: string | Uint8Array | JsonObject;
  /** The transcript. */
  readonly lines: Rows;
  /** The openings file; without it the words stay closed. */
  readonly openings?: Rows;
}

/** How to verify, where the defaults don't do. */
export interface VerifyRoomOptions {
  /** Unix milliseconds at which every certificate is judged, in place of `created_at` and the checkpoints' times. */
  readonly at?: number;
  /** Who checks the lines' signatures; without it they are checked here, one after the other. */
  readonly signatures?: SignatureChecker;
}

/** The checks, in the order in which a verdict lists them. */
export const ROOM_CHECKS = [
  "form",
  "transcript",
  "origin",
  "count",
  "signer",
  "statement",
  "certs",
  "line log",
  "line signature",
  "seqno",
  "author chain",
  "checkpoint signature",
  "checkpoint server",
  "checkpoints",
  "proof",
  "opening form",
  "opening hash",
  "envelope",
  "opening room",
  "seen",
  "revocation",
  "bodies",
] as const;

/** One of {@link ROOM_CHECKS}. */
export type RoomCheckName = typeof ROOM_CHECKS[number];

type Checks = CheckList<RoomCheckName>;

/** Those about openings. */
const OPENING_CHECKS = ["opening form", "opening hash", "envelope", "opening room", "seen"] as const;
/** Those that good evidence may leave out. */
const OPTIONAL = new Set<string>([...OPENING_CHECKS, "checkpoints", "revocation", "bodies"]);

/** A line whose words are shown. */
export interface OpenedLine {
  readonly index: number;
  /** The author: a certificate's fingerprint, and its subject. */
  readonly author: string;
  readonly subject: string;
  /** The author's own claim of the time, unix milliseconds. */
  readonly ts: number;
  /** The time of the first checkpoint shown that covers the line, unix seconds. */
  readonly by: number;
  /** How many lines of the log the server had signed to the author before. */
  readonly seen: number;
  readonly kind: string;
  readonly body: Json;
}

/** The answer. */
export interface RoomVerdict {
  readonly result: "valid" | "invalid" | "undecided";
  /** One plain sentence. */
  readonly sentence: string;
  readonly checks: readonly Check<RoomCheckName>[];
  /** What the record proves, and what it doesn't. */
  readonly notes: readonly string[];
  readonly signers: readonly LineSigner[];
  /** Who said what, in order; nothing where the verdict is "invalid". */
  readonly opened: readonly OpenedLine[];
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
  const checks: Checks = new CheckList(ROOM_CHECKS);
  const receipt = parseReceipt(readFile(evidence.receipt, checks), checks);
  if (!receipt) return unreadable(checks);
  return await new Verification(receipt, checks, trust, options).run(evidence);
}

/** Verifies one line or a few in one file. Throws as {@link verifyRoom} does. */
export async function verifyLineProof(
  file: string | Uint8Array | JsonObject,
  trust: Trust,
  options: VerifyRoomOptions = {},
): Promise<RoomVerdict> {
  const checks: Checks = new CheckList(ROOM_CHECKS);
  const proof = parseLineProof(readFile(file, checks));
  if (typeof proof === "string") checks.fail("form", proof);
  if (typeof proof === "string" || checks.hasFailed("form")) return unreadable(checks);
  const { receipt, lines, openings } = proof;
  const rows = openings.map((opening) => encodeOpening(opening).slice(0, -1));
  return await verifyRoom({ receipt, lines, openings: rows }, trust, options);
}

/** What a file is that somebody wants verified, by its `type`: a session's receipt is none of these. */
export function roomEvidenceType(file: Uint8Array): "room_receipt" | "line_proof" | undefined {
  const text = parseUtf8(file);
  const object = text === undefined ? undefined : parseJson(text);
  const type = isJsonObject(object) ? member(object, "type") : undefined;
  return type === "room_receipt" || type === "line_proof" ? type : undefined;
}

// ---- the receipt

function readFile(file: string | Uint8Array | JsonObject, checks: Checks): JsonObject {
  if (typeof file === "object" && !(file instanceof Uint8Array)) return file;
  const { object, repeated } = readJsonFile(file, MAX_ROOM_RECEIPT_BYTES);
  if (repeated !== undefined) checks.fail("form", `the name "${printable(repeated)}" comes twice`);
  return object;
}

/** A receipt whose fields are each of their form. */
interface RoomReceipt {
  readonly data: JsonObject;
  readonly role: Role;
  readonly room: string;
  readonly origin: string;
  readonly from: number;
  readonly count: number;
  readonly checkpoint: Checkpoint;
  readonly earlier: readonly Checkpoint[];
  readonly before: readonly Bytes[];
  readonly after: readonly Bytes[];
  readonly createdAt: number;
  readonly fingerprint: string;
  readonly signer: Chain;
  readonly certs: readonly Chain[];
}

/** The receipt; `undefined` where "form" has failed. */
function parseReceipt(data: JsonObject, checks: Checks): RoomReceipt | undefined {
  const fields = new Fields(data, (reason) => checks.fail("form", reason));
  fields.take("type", '"room_receipt"', (value) => value === "room_receipt" ? value : undefined);
  const [hash64, hashes] = ["64 lower-case hex digits", "a list of base64 of 32 bytes"];
  const role = fields.take(
    "peer",
    '"client" or "server"',
    (value) => value === "client" || value === "server" ? value : undefined,
  );
  const room = fields.take("room", "a room's name", onText((text) => isRoomName(text) ? text : undefined));
  const origin = fields.take("origin", "a text", onText((text) => text));
  const from = fields.take("from_index", "an integer", parseCount);
  const count = fields.take("message_count", "an integer", parseCount);
  const checkpoint = fields.take("checkpoint", "a checkpoint", parseCheckpoint);
  const earlier = fields.takeOptional("checkpoints", "a list of checkpoints", parseList(parseCheckpoint));
  const proof = fields.take("proof", "an object", (value) => isJsonObject(value) ? value : undefined);
  const parts = new Fields(proof ?? {}, (reason) => checks.fail("form", `proof: ${reason}`));
  const before = parts.take("before", hashes, parseList(parseRawHash));
  const after = parts.take("after", hashes, parseList(parseRawHash));
  const createdAt = fields.take("created_at", "a time like 2023-11-15T14:30:22Z", onText(parseTime));
  const fingerprint = fields.take("peer_cert_fingerprint", hash64, parseHash);
  const signer = fields.take("signer_cert", "base64 of a PEM certificate", parseChain);
  const certs = fields.take("certs", "a list of base64 of PEM certificates", parseList(parseChain));
  if (checks.hasFailed("form") || !role || room === undefined || origin === undefined) return undefined;
  if (from === undefined || count === undefined || !checkpoint || !before || !after) return undefined;
  if (createdAt === undefined || fingerprint === undefined || !signer || !certs) return undefined;
  return {
    ...{ data, role, room, origin, from, count, checkpoint, earlier: earlier ?? [], before, after },
    ...{ createdAt, fingerprint, signer, certs },
  };
}

function parseRawHash(value: Json): Bytes | undefined {
  const bytes = typeof value === "string" ? parseBase64(value) : undefined;
  return bytes?.length === 32 ? bytes : undefined;
}

function unreadable(checks: Checks): RoomVerdict {
  for (const name of ROOM_CHECKS) if (name !== "form") checks.skip(name, "the receipt's form is wrong");
  const sentence = "Invalid: this is no room's receipt or line proof (form).";
  return { result: "invalid", sentence, checks: checks.list(), notes: [], signers: [], opened: [] };
}

// ---- the verification

/** What is known of one who wrote lines, or could have. */
interface Author {
  readonly chain: Chain;
  lines: number;
  /** The seqno that the next line must have. */
  next: number | undefined;
  /** `seen.size` of the last opened line. */
  seen: number;
  /** The checkpoint as of which the certificate was judged last. */
  judged: Checkpoint | undefined;
}

const NO_AUTHORITY = "no CA is given";

class Verification {
  readonly #receipt: RoomReceipt;
  readonly #checks: Checks;
  readonly #trust: Trust;
  readonly #options: VerifyRoomOptions;
  /** By fingerprint; of two with the same certificate the first counts. */
  readonly #authors = new Map<string, Author>();
  /** `undefined` where `before` isn't the frontier of any tree of that size. */
  readonly #frontier: Frontier | undefined;
  /** The roots that `before` and the lines give, by size, where somebody may ask for them. */
  readonly #roots = new Map<number, string>();
  readonly #earlierSizes: ReadonlySet<number>;
  readonly #opened: OpenedLine[] = [];
  /** Those earlier checkpoints, counted, that cover no line from here on. */
  #passed = 0;
  /** The index of the next line. */
  #index: number;
  readonly #issuersWithoutList = new Set<string>();
  /** The lines that authors wrote before the first shown, by the seqnos with which they appear. */
  #earlierLines = 0;

  constructor(receipt: RoomReceipt, checks: Checks, trust: Trust, options: VerifyRoomOptions) {
    this.#receipt = receipt;
    this.#checks = checks;
    this.#trust = trust;
    this.#options = options;
    this.#index = receipt.from;
    this.#earlierSizes = new Set(receipt.earlier.map(({ size }) => size));
    for (const chain of receipt.certs) {
      const { fingerprint } = chain.leaf;
      if (this.#authors.has(fingerprint)) continue;
      this.#authors.set(fingerprint, { chain, lines: 0, next: undefined, seen: 0, judged: undefined });
    }
    const peaks = peakPlaces(receipt.from).length;
    if (receipt.before.length === peaks) this.#frontier = new Frontier(receipt.from, receipt.before);
    else checks.fail("proof", `proof.before has ${receipt.before.length} hashes, not ${peaks}`);
  }

  async run({ lines, openings }: RoomEvidence): Promise<RoomVerdict> {
    const { checkpoint, earlier } = this.#receipt;
    this.#checks.skip("bodies", "they are no part of a receipt");
    if (this.#trust.revocations.length === 0) this.#checks.skip("revocation", "no revocation list is given");
    const origin = this.#checkOrigin();
    await this.#checkSigner();
    for (const each of [...earlier, checkpoint]) await this.#checkCheckpoint(each, origin);
    await this.#checkLines(lines, openings);
    this.#checkCounts();
    this.#checkProof();
    this.#checkEarlier();
    return this.#conclude();
  }

  /** The server's name. */
  #checkOrigin(): string | undefined {
    const origin = parseOrigin(this.#receipt.origin);
    if (!origin) this.#checks.fail("origin", "it is not <server name>/<room>/<32 hex digits>");
    else if (origin.room !== this.#receipt.room) {
      this.#checks.fail("origin", "it names another room", { expected: this.#receipt.room, found: origin.room });
    }
    return origin?.server;
  }

  async #checkSigner(): Promise<void> {
    const { data, role, createdAt, fingerprint, signer: { leaf, certificates } } = this.#receipt;
    if (fingerprint !== leaf.fingerprint) {
      const values = { expected: fingerprint, found: leaf.fingerprint };
      this.#checks.fail("signer", "peer_cert_fingerprint is not that of signer_cert", values);
    }
    await this.#judge("signer", { leaf, certificates }, { purpose: role, time: createdAt, what: "" });

    const text = member(data, "statement_signature");
    const signature = typeof text === "string" ? parseBase64(text) : undefined;
    const input = statementInput(data);
    if (!signature) this.#checks.fail("statement", "statement_signature is missing, or not base64");
    else if (!input) this.#checks.fail("statement", "the receipt has no canonical form (RFC 8785)");
    else if (!leaf.rsa || !new VerifyingKey(leaf.rsa.modulus).verify(signature, input)) {
      this.#checks.fail("statement", "it doesn't verify: some field of the receipt is not as it was signed");
    }
  }

  async #checkCheckpoint(checkpoint: Checkpoint, server: string | undefined): Promise<void> {
    const name = `the checkpoint of ${checkpoint.size}`;
    const chain = this.#authors.get(checkpoint.from)?.chain;
    if (!chain) {
      this.#checks.fail("certs", `${name} is signed by ${checkpoint.from}, whose certificate is not at hand`);
      for (const check of ["checkpoint signature", "checkpoint server"] as const) {
        this.#checks.skip(check, "the certificate of a checkpoint's signer is not at hand");
      }
      return;
    }
    const { rsa, hostNames } = chain.leaf;
    if (!rsa || !isCheckpointSigned(this.#receipt.origin, checkpoint, new VerifyingKey(rsa.modulus))) {
      this.#checks.fail("checkpoint signature", `${name} is not signed by the certificate that it names`);
    }
    const names = hostNames?.dnsNames.map((dnsName) => dnsName.toLowerCase()) ?? [];
    if (server === undefined || !names.includes(server.toLowerCase())) {
      const reason = `${name} is signed by ${chain.leaf.subject}, which is not for the server that the origin names`;
      this.#checks.fail("checkpoint server", reason);
    }
    const time = checkpoint.time * 1000;
    await this.#judge("checkpoint server", chain, { purpose: "server", time, what: `${name}: ` });
  }

  /** A certificate's path, and apart from it whether it was revoked. */
  async #judge(
    check: RoomCheckName,
    { certificates }: Chain,
    { purpose, time, what }: { purpose: Purpose; time: number; what: string },
  ): Promise<void> {
    const { authorities, revocations } = this.#trust;
    if (authorities.length === 0) {
      if (revocations.length > 0) this.#checks.skip("revocation", NO_AUTHORITY);
      return this.#checks.skip(check, NO_AUTHORITY);
    }
    const at = this.#options.at ?? time;
    const path = await findPath(certificates, { authorities, revocations: [] }, { purpose });
    const problems = path.problems(at, "offline");
    for (const problem of problems) this.#checks.fail(check, what + problem);
    if (problems.length > 0 || revocations.length === 0) return;
    const revocable = await findPath(certificates, this.#trust, { purpose });
    for (const problem of revocable.problems(at, "offline")) this.#checks.fail("revocation", what + problem);
    for (const issuer of revocable.issuersWithoutList) {
      this.#issuersWithoutList.add(issuer);
      this.#checks.skip("revocation", `no list of ${issuer} is given`);
    }
  }

  // ---- lines

  async #checkLines(lines: Rows, rows: Rows | undefined): Promise<void> {
    const openings = new Openings(rows ?? [], this.#checks);
    if (!rows) { for (const name of OPENING_CHECKS) this.#checks.skip(name, "no line is opened"); }
    const log = logHash(this.#receipt.origin);
    const signatures = new SignatureBatches(
      this.#options.signatures ?? ONE_BY_ONE,
      ({ number }) => this.#checks.fail("line signature", `line ${number} is not signed by its author`),
    );
    // Roots that openings may name: none behind what the receipt shows, nor behind a line that nobody can have seen.
    let last = rows ? this.#receipt.from + this.#receipt.count : -1;
    this.#noteRoot(last);
    try {
      for await (const raw of lines) {
        const index = this.#index++;
        const bytes = typeof raw === "string" ? encodeUtf8(raw) : raw;
        const line = parseRoomLine(asLatin1(bytes));
        const opening = await openings.at(index);
        if (line) {
          if (!isOfLog(line.body, log)) this.#checks.fail("line log", `line ${index} is of another log (R)`);
          const author = await this.#checkAuthor(line, index);
          const modulus = author?.chain.leaf.rsa?.modulus;
          if (modulus !== undefined) await signatures.add({ line, modulus, number: index });
          else if (author) this.#checks.fail("line signature", `line ${index}: its certificate's key is not RSA`);
          if (opening) this.#open(opening, line, author);
        } else {
          this.#checks.fail("transcript", `line ${index} is not seqno|ts|three hashes|signature|fingerprint`);
          if (opening) this.#checks.skip("opening hash", "an opened line can't be read");
          last = Math.min(last, index);
        }
        if (index < this.#receipt.checkpoint.size) this.#frontier?.append(leafHash(bytes));
        this.#noteRoot(last);
      }
    } catch (error) {
      if (!(error instanceof TranscriptFormError)) throw error;
      this.#checks.fail("transcript", error.message);
    }
    await signatures.end();
    await openings.end();
  }

  /** Notes the root of the lines so far: up to that size each, then those of earlier checkpoints alone. */
  #noteRoot(last: number): void {
    if (this.#frontier?.size !== this.#index) return;
    if (this.#index > last && !this.#earlierSizes.has(this.#index)) return;
    this.#roots.set(this.#index, encodeHex(this.#frontier.root()));
  }

  /** The first checkpoint shown that covers the line; lines come in order. */
  #covering(index: number): Checkpoint {
    const { earlier, checkpoint } = this.#receipt;
    while ((earlier[this.#passed]?.size ?? Infinity) <= index) this.#passed++;
    return earlier[this.#passed] ?? checkpoint;
  }

  async #checkAuthor(line: TranscriptLine, index: number): Promise<Author | undefined> {
    const author = this.#authors.get(line.signer);
    if (!author) {
      this.#checks.fail("certs", `line ${index}: the certificate of its author ${line.signer} is not at hand`);
      for (const check of ["line signature", "author chain", "seqno"] as const) {
        this.#checks.skip(check, "an author's certificate is not at hand");
      }
      return undefined;
    }
    author.lines += 1;
    if (author.next === undefined) this.#earlierLines += line.seqno;
    else if (line.seqno !== author.next) {
      this.#checks.fail("seqno", `line ${index} has seqno ${line.seqno}, where its author's next is ${author.next}`);
    }
    author.next = line.seqno + 1;
    const covering = this.#covering(index);
    if (author.judged !== covering) {
      author.judged = covering;
      const time = covering.time * 1000;
      await this.#judge("author chain", author.chain, { purpose: "client", time, what: `line ${index}: ` });
    }
    return author;
  }

  #open({ index, envelope: bytes }: Opening, line: TranscriptLine, author: Author | undefined): void {
    if (!isOpenedBy(line.body, bytes)) {
      return this.#checks.fail("opening hash", `the opening of line ${index} doesn't hash to the line's C`);
    }
    let envelope: Envelope;
    try {
      envelope = parseEnvelope(bytes);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      return this.#checks.fail("envelope", `line ${index}: ${printable(error.message)}`);
    }
    const { seen } = envelope;
    if (envelope.room !== this.#receipt.room) {
      this.#checks.fail("opening room", `line ${index} was written for another room`);
    }
    if (seen.size > index || (seen.size === 0 && seen.root !== encodeHex(EMPTY_ROOT))) {
      this.#checks.fail("seen", `line ${index} had seen what was not there: a head of ${seen.size} lines`);
    } else if (seen.size >= this.#receipt.from) {
      const root = this.#roots.get(seen.size);
      if (root === undefined) this.#checks.skip("seen", "of what an author had seen, not every line is shown");
      else if (root !== seen.root) {
        this.#checks.fail("seen", `line ${index} had seen another log of ${seen.size} lines`);
      }
    }
    if (!author) return;
    if (seen.size < author.seen) {
      this.#checks.fail("seen", `line ${index} had seen ${seen.size} lines, its author before that ${author.seen}`);
    }
    author.seen = seen.size;
    this.#opened.push({
      ...{ index, author: line.signer, subject: author.chain.leaf.subject, ts: line.ts },
      ...{ by: this.#covering(index).time, seen: seen.size, kind: envelope.kind, body: envelope.body },
    });
  }

  // ---- all of it

  #checkCounts(): void {
    const { from, count, checkpoint } = this.#receipt;
    const found = this.#index - from;
    if (count !== found) {
      const values = { expected: String(count), found: String(found) };
      this.#checks.fail("count", "message_count and the transcript differ", values);
    }
    if (found === 0) this.#checks.fail("count", "there is no line");
    if (from + count > checkpoint.size) this.#checks.fail("count", "the checkpoint doesn't cover every line");
    if (this.#earlierLines > from) {
      const more =
        `by their seqnos its authors wrote ${this.#earlierLines} lines before, where there is room for ${from}`;
      this.#checks.fail("seqno", more);
    }
  }

  #checkProof(): void {
    const { after, checkpoint: { size, root } } = this.#receipt;
    if (!this.#frontier) return;
    if (this.#index === this.#receipt.from || this.#index > size) {
      return this.#checks.fail("proof", `the lines don't lie within a tree of ${size}`);
    }
    const found = this.#frontier.rootWith(after, size);
    if (!found) this.#checks.fail("proof", `proof.after has ${after.length} hashes, which are too few or too many`);
    else if (encodeHex(found) !== root) {
      const values = { expected: root, found: encodeHex(found) };
      this.#checks.fail("proof", "the lines and the proof give another root than the checkpoint's", values);
    }
  }

  #checkEarlier(): void {
    const { from, earlier, checkpoint } = this.#receipt;
    if (earlier.length === 0) this.#checks.skip("checkpoints", "there are no earlier ones");
    let [size, time] = [from, 0];
    for (const each of earlier) {
      const root = this.#roots.get(each.size);
      if (each.size <= size || each.size > this.#index) {
        this.#checks.fail(
          "checkpoints",
          `a checkpoint of ${each.size} is out of place: their sizes rise within the lines`,
        );
      } else if (root === undefined) this.#checks.skip("checkpoints", "proof.before gives no roots");
      else if (root !== each.root) this.#checks.fail("checkpoints", `the checkpoint of ${each.size} is of another log`);
      if (each.time < time) this.#checks.fail("checkpoints", `the checkpoint of ${each.size} is of an earlier time`);
      [size, time] = [each.size, each.time];
    }
    if (checkpoint.time < time) this.#checks.fail("checkpoints", "the last checkpoint is of an earlier time");
  }

  #conclude(): RoomVerdict {
    const checks = this.#checks.list();
    const failed = checks.filter(({ outcome }) => outcome === "failed").map(({ name }) => name);
    const open = checks.filter(({ name, outcome }) => outcome === "not checked" && !OPTIONAL.has(name));
    const signers = [...this.#authors.values()].filter(({ lines }) => lines > 0).map(({ chain: { leaf }, lines }) => ({
      subject: leaf.subject,
      fingerprint: leaf.fingerprint,
      lines,
    }));
    if (failed.length > 0) {
      const sentence = `Invalid: what is shown of this room does not hold (${failed.join(", ")}).`;
      return { result: "invalid", sentence, checks, notes: [], signers, opened: [] };
    }
    if (open.length > 0) {
      const sentence =
        "Undecided: what could be checked holds, but without a CA nobody knows whose signatures these are.";
      return { result: "undecided", sentence, checks, notes: this.#notes(), signers, opened: this.#opened };
    }
    const sentence = this.#sentence(signers);
    return { result: "valid", sentence, checks, notes: this.#notes(), signers, opened: this.#opened };
  }

  #sentence(signers: readonly LineSigner[]): string {
    const { from, origin, signer } = this.#receipt;
    const [last, count] = [this.#index - 1, this.#index - from];
    const which = count === 1 ? `line ${from}` : `lines ${from} to ${last}`;
    const by = signers.length > 3 ? `${signers.length} authors` : signers.map(({ subject }) => subject).join(" and ");
    const words = this.#opened.length === 0 ? "the words are not shown" : `${this.#opened.length} of ${count} opened`;
    return `Valid: ${which} of ${origin}, signed by ${by}, shown by ${signer.leaf.subject}; ${words}.`;
  }

  /** Section 8. */
  #notes(): string[] {
    const { from, earlier, checkpoint } = this.#receipt;
    const [end, count, time] = [this.#index, this.#index - from, formatTime(checkpoint.time * 1000)];
    const by = earlier.length === 0
      ? `by ${time}`
      : `by the time of the first checkpoint shown that covers it, the last of ${time}`;
    const notes = [
      `Each line: this key signed these bytes, and the server placed them here ${by}.`,
      this.#opened.length === 0
        ? "The words themselves are not shown: no line is opened."
        : `Opened, so that these are the words: ${this.#opened.length} of ${count} lines.`,
      "Between two shown lines of one author none is missing, and none before seqno 0.",
      `Between ${from} and ${end} none is missing. After the last shown, and after ${checkpoint.size}: unknown.`,
      "Not proved: who held the key; that a line's own time is true (server and author together can backdate, bounded " +
      "only by what others had seen); that what was seen was read; that members kept wholly apart saw the same log.",
    ];
    return [...notes, ...revocationNotes(this.#trust, this.#issuersWithoutList)];
  }
}

/** The openings of a file, each taken when its line comes. */
class Openings {
  readonly #rows: AsyncIterator<Opening, void>;
  readonly #checks: Checks;
  #next: Opening | undefined;
  #isStarted = false;

  constructor(rows: Rows, checks: Checks) {
    this.#rows = readOpenings(rows, checks);
    this.#checks = checks;
  }

  /** The opening of the line with that index; indexes come upwards. */
  async at(index: number): Promise<Opening | undefined> {
    await this.#skipTo(index);
    if (this.#next?.index !== index) return undefined;
    const opening = this.#next;
    await this.#advance();
    return opening;
  }

  /** No line comes any more. */
  async end(): Promise<void> {
    await this.#skipTo(Infinity);
  }

  async #skipTo(index: number): Promise<void> {
    if (!this.#isStarted) await this.#advance();
    this.#isStarted = true;
    while (this.#next && this.#next.index < index) {
      this.#checks.fail("opening form", `there is no line ${this.#next.index} here to open`);
      await this.#advance();
    }
  }

  async #advance(): Promise<void> {
    this.#next = (await this.#rows.next()).value ?? undefined;
  }
}

/** The openings upwards, as far as they can be read. */
async function* readOpenings(rows: Rows, checks: Checks): AsyncGenerator<Opening, void> {
  let [number, last] = [0, -1];
  const stop = (reason: string) => {
    checks.fail("opening form", reason);
    for (const name of OPENING_CHECKS) checks.skip(name, "the openings can't be read to their end");
  };
  try {
    for await (const row of rows) {
      number += 1;
      const opening = parseOpening(typeof row === "string" ? row : asLatin1(row));
      if (!opening) return stop(`row ${number} of the openings is not index<TAB>base64`);
      if (opening.index <= last) {
        return stop(`row ${number} of the openings, of line ${opening.index}, doesn't go upwards`);
      }
      last = opening.index;
      yield opening;
    }
  } catch (error) {
    if (!(error instanceof TranscriptFormError)) throw error;
    stop(`the openings: ${error.message}`);
  }
}
