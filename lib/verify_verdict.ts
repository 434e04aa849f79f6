/**
 * What the verifications of sessions (`verify.ts`) and of rooms (`verify_room.ts`) share: named checks with their
 * outcomes, the reading of fields from JSON, and the checking of lines' signatures in batches.
 *
 *     const checks = new CheckList(["receipt form", "line signatures"]);
 *     checks.fail("receipt form", "peer is missing");
 *     checks.list() → [{ name: "receipt form", outcome: "failed", reasons: ["peer is missing"] }, …]
 *
 * A check passes unless it is failed or skipped. So the code that makes the list must make each check, or
 * {@link CheckList.skip} it.
 *
 * @layer protocol
 */

import { Buffer } from "node:buffer";
import { encodeUtf8, parseBase64, parseUtf8 } from "./bytes.ts";
import { EXIT, Failure, ProtocolError } from "./errors.ts";
import { isJsonList, isJsonObject, type Json, type JsonObject, member, parseJson, repeatedName } from "./json.ts";
import type { SignatureChecker, SignedLine } from "./line_signature.ts";
import { shortName } from "./text.ts";
import { type Certificate, parseCertificates, type RevocationList } from "./x509.ts";

/** A check and its outcome. */
export interface Check<Name extends string = string> {
  readonly name: Name;
  readonly outcome: "passed" | "failed" | "not checked";
  /** Why it failed or was not made: sentences. If there are very many, the first few, and how many more. */
  readonly reasons: readonly string[];
  /** What the receipt says, if that can be compared. */
  readonly expected?: string;
  /** What follows from the transcript. */
  readonly found?: string;
}

/** A certificate that signed lines, and how many. */
export interface LineSigner {
  readonly subject: string;
  readonly issuer: string;
  readonly fingerprint: string;
  readonly lines: number;
}

/** The signer of so many lines, from the certificate. */
export function lineSigner({ subject, issuer, fingerprint }: Omit<LineSigner, "lines">, lines: number): LineSigner {
  return { subject, issuer, fingerprint, lines };
}

/** One of these signers. If the name isn't unique or not ASCII, the certificate is named, too. */
export function signerText(signer: LineSigner, all: readonly LineSigner[]): string {
  const short = shortName(signer.subject);
  const name = `"${short}"`;
  const others = all.filter(({ fingerprint }) => fingerprint !== signer.fingerprint);
  const isAlone = others.every(({ subject }) => shortName(subject) !== short);
  // Letters beyond ASCII may look like somebody else's name, and nobody can see the difference.
  if (others.length === 0 || (isAlone && /^[ -~…]*$/.test(short))) return name;
  return `${name} (issued by "${shortName(signer.issuer)}", SHA-256 ${signer.fingerprint.slice(0, 16)}…)`;
}

/** What the receipt says, and what follows from the transcript. */
export interface Values {
  readonly expected: string;
  readonly found: string;
}

/** So many reasons are listed for one check: a transcript of a million bad lines doesn't need a million sentences. */
const MAX_REASONS = 20;

/** Collects outcomes and reasons, in the order of the names. */
export class CheckList<Name extends string> {
  readonly #checks: Map<Name, { outcome: Check["outcome"]; reasons: string[]; more: number; values?: Values }>;

  constructor(names: readonly Name[]) {
    this.#checks = new Map(names.map((name) => [name, { outcome: "passed", reasons: [], more: 0 }]));
  }

  /**
   * Fails the check; names that aren't in the list are ignored. If finding the reason is expensive, pass a function,
   * which is called only if the reason is listed.
   */
  fail(name: Name, reason: string | (() => string), values?: Values): void {
    const check = this.#checks.get(name);
    if (!check) return;
    if (check.outcome === "not checked") check.reasons = [];
    check.outcome = "failed";
    if (check.reasons.length < MAX_REASONS) {
      check.reasons.push(typeof reason === "string" ? reason : reason());
    } else check.more += 1;
    if (values) check.values = values;
  }

  /** Says that the check can't be made; if it has already failed, it stays failed. */
  skip(name: Name, reason: string): void {
    const check = this.#checks.get(name);
    if (!check || check.outcome === "failed" || check.reasons.includes(reason)) return;
    check.outcome = "not checked";
    check.reasons.push(reason);
  }

  /** Whether it has failed. */
  hasFailed(name: Name): boolean {
    return this.#checks.get(name)?.outcome === "failed";
  }

  /** Every check. */
  list(): Check<Name>[] {
    return [...this.#checks].map(([name, { outcome, reasons, more, values }]) => ({
      name,
      outcome,
      reasons: more === 0 ? reasons : [...reasons, `and ${more} more`],
      ...values,
    }));
  }
}

// ---- JSON

/** A JSON object from a file, and the first name that occurs twice in it. */
export interface JsonFile {
  readonly object: JsonObject;
  readonly repeated: string | undefined;
}

/** Thrown for a file that can't be a receipt at all. */
export class UnreadableReceipt extends Failure {
  constructor(message: string) {
    super(EXIT.usage, message);
  }
}

/** Reads a JSON object. Throws an {@link UnreadableReceipt} for anything else, and for more than `maxBytes` bytes. */
export function readJsonFile(file: string | Uint8Array, maxBytes: number): JsonFile {
  const bytes = typeof file === "string" ? encodeUtf8(file) : file;
  if (bytes.length > maxBytes) {
    throw new UnreadableReceipt(`the receipt has more than ${maxBytes} bytes: no receipt is that long`);
  }
  const text = parseUtf8(bytes);
  if (text === undefined) throw new UnreadableReceipt("the receipt is not UTF-8 text: is it the right file?");
  const object = parseJson(text);
  if (object === undefined) throw new UnreadableReceipt("the receipt is not JSON: is it the right file?");
  if (!isJsonObject(object)) throw new UnreadableReceipt("the receipt is not a JSON object: is it the right file?");
  return { object, repeated: repeatedName(text) };
}

/** Reads fields of an object; `fail` gets a sentence for each field that is missing or malformed. */
export class Fields {
  constructor(readonly data: JsonObject, readonly fail: (reason: string) => void) {}

  /** The field; `undefined` if it is missing or isn't as expected. */
  take<T>(name: string, expected: string, parse: (value: Json) => T | undefined): T | undefined {
    const value = member(this.data, name);
    const parsed = value === undefined ? undefined : parse(value);
    if (parsed === undefined) this.fail(`${name} is ${value === undefined ? "missing" : `not ${expected}`}`);
    return parsed;
  }

  /** The same for a field that may be missing. */
  takeOptional<T>(name: string, expected: string, parse: (value: Json) => T | undefined): T | undefined {
    return Object.hasOwn(this.data, name) ? this.take(name, expected, parse) : undefined;
  }
}

/** Turns a parser of texts into a parser of JSON values. */
export function onText<T>(parse: (text: string) => T | undefined): (value: Json) => T | undefined {
  return (value) => typeof value === "string" ? parse(value) : undefined;
}

/** An integer from 0 to 2^53 - 1. */
export function parseCount(value: Json): number | undefined {
  return typeof value === "number" ? value : undefined; // json.ts gives a number only for plain digits up to 2^53 - 1
}

/** A SHA-256 in lower-case hex. */
export function parseHash(value: Json): string | undefined {
  return typeof value === "string" && /^[0-9a-f]{64}$/.test(value) ? value : undefined;
}

/** A parser of lists; each item must parse. */
export function parseList<T>(parse: (value: Json) => T | undefined): (value: Json) => T[] | undefined {
  return (value) => {
    if (!isJsonList(value)) return undefined;
    const items = value.flatMap((item) => parse(item) ?? []);
    return items.length === value.length ? items : undefined;
  };
}

/**
 * A certificate with its intermediates, as base64 of PEM. PEM has many spellings of one certificate; only one is accepted,
 * so that no byte of it can be changed.
 */
export function parseChain(value: Json): Chain | undefined {
  const bytes = typeof value === "string" ? parseBase64(value) : undefined;
  const pem = bytes && parseUtf8(bytes);
  if (pem === undefined) return undefined;
  try {
    const [leaf, ...others] = parseCertificates(pem);
    if (!leaf) return undefined;
    const certificates = [leaf, ...others];
    const spelling = certificates.map((certificate) => certificate.pem).join("");
    return pem === spelling || `${pem}\n` === spelling ? { leaf, certificates } : undefined;
  } catch (error) {
    if (error instanceof ProtocolError) return undefined;
    throw error;
  }
}

/** A certificate, and the same with its intermediates after it. */
export interface Chain {
  readonly leaf: Certificate;
  readonly certificates: readonly Certificate[];
}

/** Which revocation lists were missing or not used. */
export interface ListFindings {
  /** Issuers for which there is no list. */
  readonly issuersWithoutList: ReadonlySet<string>;
  /** Lists with an issuer's name that another key signed. */
  readonly passedOver: ReadonlySet<RevocationList>;
}

// ---- lines

/** Lines in a batch: a worker's round trip takes some 35 µs, which is little compared with 64 verifications. */
const BATCH_LINES = 64;

interface PendingBatch {
  readonly items: readonly NumberedLine[];
  readonly verdicts: Promise<readonly boolean[]> | readonly boolean[];
}

interface NumberedLine extends SignedLine {
  readonly number: number;
}

/** Sends lines to a {@link SignatureChecker} in batches; `fail` gets those with bad signatures, in order. */
export class SignatureBatches {
  readonly #checker: SignatureChecker;
  readonly #fail: (line: NumberedLine) => void;
  readonly #pending: PendingBatch[] = [];
  #batch: NumberedLine[] = [];

  constructor(checker: SignatureChecker, fail: (line: NumberedLine) => void) {
    this.#checker = checker;
    this.#fail = fail;
  }

  /** Adds a line; waits if the checker is busy. */
  async add(line: NumberedLine): Promise<void> {
    this.#batch.push(line);
    if (this.#batch.length < BATCH_LINES) return;
    this.#flush();
    await this.#settle(2 * this.#checker.concurrency - 1);
  }

  /** Resolves once every line is checked. */
  async end(): Promise<void> {
    this.#flush();
    await this.#settle(0);
  }

  #flush(): void {
    const items = this.#batch;
    if (items.length === 0) return;
    this.#batch = [];
    this.#pending.push({ items, verdicts: this.#checker.check(items.map(({ line, modulus }) => ({ line, modulus }))) });
  }

  async #settle(most: number): Promise<void> {
    while (this.#pending.length > most) {
      const { items, verdicts } = this.#pending.shift() ?? { items: [], verdicts: [] };
      const found = await verdicts;
      // Answers belong to lines by position: if there are too few or too many, none can be trusted.
      const isWhole = Array.isArray(found) && found.length === items.length;
      for (const [at, item] of items.entries()) if (!isWhole || found[at] !== true) this.#fail(item);
    }
  }
}

/** A line's bytes as a text with one character a byte. (Bytes beyond ASCII make a line malformed in any case.) */
export function asLatin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}
