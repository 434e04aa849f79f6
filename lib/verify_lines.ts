/**
 * Checks the lines of a room's evidence, one by one: whether each belongs to this log, is signed by its author with a good
 * certificate, is in its author's order, and whether its opening is what was signed (docs/PROTOCOL.md, "Checking a room's
 * evidence").
 *
 * @layer protocol
 */

import type { Checkpoint } from "./log_checkpoint.ts";
import { type Envelope, furtherNames, parseEnvelope } from "./log_envelope.ts";
import { ProtocolError } from "./errors.ts";
import type { Json } from "./json.ts";
import type { SignatureChecker } from "./line_signature.ts";
import { logHash, parseRoomLine } from "./log_line.ts";
import { type EnvelopeFault, hashFaults, headFault, orderFaults, riseFault, roomFault } from "./log_rules.ts";
import { leafHash } from "./log_tree.ts";
import type { Opening } from "./log_receipt.ts";
import { printable } from "./text.ts";
import { lineProblem, type TranscriptLine } from "./transcript.ts";
import { asLatin1, type LineSigner, lineSigner, SignatureBatches } from "./verify_verdict.ts";
import type { RoomFindings } from "./verify_findings.ts";
import type { RoomReceipt } from "./verify_form.ts";
import { type Heads, NO_AUTHORITY, type ShownTree } from "./verify_heads.ts";
import type { CertificateJudge } from "./verify_judge.ts";
import type { LogJudge } from "./verify_log.ts";
import type { JudgedLine } from "./verify_rights.ts";
import type { Times } from "./verify_times.ts";
import type { Certificate } from "./x509.ts";

/** A line with its text. */
export interface OpenedLine {
  readonly index: number;
  /** The author: a certificate's fingerprint, and its subject. */
  readonly author: string;
  readonly subject: string;
  /** The author's own claim of the time, unix milliseconds. */
  readonly ts: number;
  /** The time of the first checkpoint that covers the line, unix seconds. */
  readonly by: number;
  /**
   * Between which times the line was written, by witnesses and authorities that the verifier named (unix ms): a bound that
   * none of them gives is absent.
   */
  readonly between?: { readonly since?: number; readonly by?: number };
  /** The size of the signed head that the author had seen. */
  readonly seen: number;
  readonly kind: string;
  readonly body: Json;
  /** Signed names in the envelope that this version doesn't know. */
  readonly further?: readonly string[];
}

/** What is known about an author. */
interface Author {
  readonly signer: Pick<Certificate, "subject" | "issuer" | "fingerprint" | "rsa">;
  /** The seqno that the next line must have. */
  next: number | undefined;
  /** `seen.size` of the last opened line. */
  seen: number;
  /** The checkpoint as of which the certificate was last judged, and the result. */
  judged: Checkpoint | undefined;
  problems: readonly string[];
  revoked: readonly string[];
  mayCount: boolean;
}

/** What lines are compared with. */
export interface LineContext {
  readonly receipt: RoomReceipt;
  readonly findings: RoomFindings;
  readonly judge: CertificateJudge;
  readonly heads: Heads;
  readonly tree: ShownTree;
  readonly times: Times;
  readonly signatures: SignatureChecker;
  /** The server's log, if it is shown. */
  readonly log: LogJudge | undefined;
}

/** Checks lines in order. */
export class ShownLines {
  readonly #context: LineContext;
  readonly #log: Uint8Array;
  readonly #signatures: SignatureBatches;
  /** By fingerprint. */
  readonly #authors = new Map<string, Author>();
  /** One for each well-formed line. */
  readonly #judged: JudgedLine[] = [];
  readonly #opened: OpenedLine[] = [];
  /** How many lines the authors wrote before the first one, according to their first seqnos. */
  #earlierLines = 0;
  #index: number;

  constructor(context: LineContext) {
    const { receipt, findings, signatures } = this.#context = context;
    this.#log = logHash(receipt.origin);
    this.#index = receipt.from;
    this.#signatures = new SignatureBatches(
      signatures,
      ({ number }) => findings.line(number, "line signature", "the signature is not the author's"),
    );
  }

  #authorOf(fingerprint: string): Author | undefined {
    const known = this.#authors.get(fingerprint);
    const leaf = known ? undefined : this.#context.receipt.chains.get(fingerprint)?.leaf;
    if (!leaf) return known;
    const signer = { subject: leaf.subject, issuer: leaf.issuer, fingerprint, rsa: leaf.rsa };
    const author = { signer, next: undefined, seen: 0, judged: undefined, problems: [], revoked: [], mayCount: false };
    this.#authors.set(fingerprint, author);
    return author;
  }

  /** The index of the next line. */
  get end(): number {
    return this.#index;
  }

  /** The lines for `judgeRights`. */
  get judged(): readonly JudgedLine[] {
    return this.#judged;
  }

  /** Lines with their text, good and bad. */
  get opened(): readonly OpenedLine[] {
    return this.#opened;
  }

  /** The authors of the good lines. */
  get signers(): LineSigner[] {
    const counts = new Map<string, number>();
    for (const { index, author } of this.#judged) {
      if (!this.#context.findings.bad.faultsOf(index)) counts.set(author, (counts.get(author) ?? 0) + 1);
    }
    return [...counts].flatMap(([fingerprint, lines]) => {
      const signer = this.#authors.get(fingerprint)?.signer;
      return signer === undefined ? [] : [lineSigner(signer, lines)];
    });
  }

  /** Checks the next line with its opening. */
  async take(raw: string | Uint8Array, bytes: Uint8Array, opening: Opening | undefined): Promise<void> {
    const { findings, tree } = this.#context;
    const index = this.#index++;
    const line = parseRoomLine(typeof raw === "string" ? raw : asLatin1(bytes));
    if (line) await this.#takeLine(index, line, opening);
    else {
      findings.frame(
        "transcript",
        `line ${index} ${lineProblem(asLatin1(bytes), "seqno|ts|three hashes|signature|fingerprint")}`,
      );
      if (opening) findings.skip("opening hash", "an opened line can't be read");
    }
    tree.append(leafHash(bytes), line !== undefined);
  }

  async #takeLine(index: number, line: TranscriptLine, opening: Opening | undefined): Promise<void> {
    const { findings, heads, times } = this.#context;
    const covering = heads.covering(index);
    if (hashFaults(line.body, { log: this.#log }).length > 0) {
      findings.line(index, "line log", "written for another log");
    }
    times.line(index, line, covering);
    const author = await this.#checkAuthor(line, index, covering);
    const modulus = author?.signer.rsa?.modulus;
    if (modulus !== undefined) await this.#signatures.add({ line, modulus, number: index });
    else if (author) findings.line(index, "line signature", "the key of the author's certificate is not RSA");
    const envelope = opening && this.#open(opening, line, author);
    const judged = { index, author: line.signer, by: covering.time, envelope, isOpened: opening !== undefined };
    this.#judged.push({ ...judged, mayCount: author?.mayCount ?? false });
    if (!author || !envelope || !opening) return;
    const further = furtherNames(opening.envelope);
    this.#opened.push({
      ...{ index, author: line.signer, subject: author.signer.subject, ts: line.ts, by: covering.time },
      ...{ seen: envelope.seen.size, kind: envelope.kind, body: envelope.body },
      ...this.#between(index, envelope, covering),
      ...(further.length > 0 ? { further } : {}),
    });
  }

  /** Between which times the line was written, as far as the server's log tells. */
  #between(index: number, envelope: Envelope, covering: Checkpoint): Pick<OpenedLine, "between"> {
    const { log } = this.#context;
    if (!log) return {};
    const since = log.line(index, envelope);
    const by = log.by(index);
    log.checkTime(index, since, covering);
    if (since === undefined && by === undefined) return {};
    return { between: { ...since === undefined ? {} : { since }, ...by === undefined ? {} : { by } } };
  }

  async #checkAuthor(line: TranscriptLine, index: number, covering: Checkpoint): Promise<Author | undefined> {
    const { findings } = this.#context;
    const author = this.#authorOf(line.signer);
    if (!author) {
      findings.line(index, "certs", `the author's certificate ${line.signer} is missing`);
      return undefined;
    }
    if (author.next === undefined) this.#earlierLines += line.seqno;
    // `verify_times.ts` checks the order of times.
    for (const fault of orderFaults(line, { next: author.next, ts: 0 })) {
      if (fault.rule !== "seqno") continue;
      findings.frame("seqno", `line ${index} has seqno ${line.seqno}, where its author's next is ${fault.due}`);
    }
    author.next = line.seqno + 1;
    if (author.judged !== covering) await this.#judgeAuthor(author, covering);
    for (const problem of author.problems) findings.line(index, "author chain", problem);
    for (const problem of author.revoked) findings.line(index, "revocation", problem);
    return author;
  }

  async #judgeAuthor(author: Author, covering: Checkpoint): Promise<void> {
    const { findings, judge, heads, receipt } = this.#context;
    const chain = receipt.chains.get(author.signer.fingerprint);
    if (!chain) throw new Error("an author has a certificate");
    const time = covering.time * 1000;
    const { problems, revoked, isMade } = await judge.at(chain, "client", time);
    if (!isMade) findings.skip("author chain", NO_AUTHORITY);
    const isBad = problems.length > 0 || revoked.length > 0;
    const mayCount = isBad && await judge.mayHaveHeld(chain, "client", heads.timeBefore * 1000, time);
    Object.assign(author, { judged: covering, problems, revoked, mayCount });
  }

  /** The opening's envelope, if it belongs to the line. */
  #open({ index, envelope: bytes }: Opening, line: TranscriptLine, author: Author | undefined): Envelope | undefined {
    const { findings } = this.#context;
    if (hashFaults(line.body, { words: bytes }).length > 0) {
      findings.line(
        index,
        "opening hash",
        "the text shown is not what was signed",
      );
      return undefined;
    }
    let envelope: Envelope;
    try {
      envelope = parseEnvelope(bytes);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      findings.line(index, "envelope", printable(error.message));
      return undefined;
    }
    this.#checkEnvelope(index, envelope, author);
    return envelope;
  }

  /** Compares an envelope with the lines: its room, and the head that its author had seen. */
  #checkEnvelope(index: number, envelope: Envelope, author: Author | undefined): void {
    const { findings, receipt, tree } = this.#context;
    const { size } = envelope.seen;
    const rootAt = (at: number) => at < receipt.from ? undefined : tree.rootAt(at);
    if (roomFault(envelope, receipt.room)) {
      findings.line(index, "opening room", "the text was written for another room");
    }
    const head = headFault(envelope, { index, rootAt });
    const isComparable = !head && size >= receipt.from;
    if (isComparable && rootAt(size) === undefined) {
      findings.skip("seen", "of what an author had seen, not every line is shown");
    }
    for (const fault of [head, riseFault(envelope, author?.seen ?? 0)]) {
      if (fault) findings.frame("seen", `line ${index} had seen ${seenReason(fault, size)}`);
    }
    if (author) author.seen = size;
  }

  /** Call this after the last line. */
  async finish(): Promise<void> {
    const { findings, receipt } = this.#context;
    await this.#signatures.end();
    if (this.#earlierLines > receipt.from) {
      const more = `by their seqnos its authors wrote ${this.#earlierLines} lines before, where there is room for `;
      findings.frame("seqno", more + receipt.from);
    }
  }
}

/** What is wrong with the head that an author claims to have seen. */
function seenReason(fault: EnvelopeFault, size: number): string {
  if (fault.rule === "seen less") return `${size} lines, its author before that ${fault.before}`;
  if (fault.rule === "seen another log" && size > 0) return `another log of ${size} lines`;
  return `what was not there: a head of ${size} lines`;
}
