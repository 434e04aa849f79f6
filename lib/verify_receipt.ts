/**
 * Reads a session's receipt: each field that is missing or malformed is a failure of "receipt form" (docs/PROTOCOL.md,
 * "The end, and receipts").
 *
 * @layer protocol
 */

import { type Bytes, parseBase64 } from "./bytes.ts";
import { isJsonObject, type JsonObject, member } from "./json.ts";
import { MAX_RECEIPT_BYTES, type SignerRole } from "./receipt.ts";
import { quoted } from "./text.ts";
import { parseTime } from "./time_text.ts";
import type { SessionChecks } from "./verify_session_checks.ts";
import {
  type Chain,
  Fields,
  onText,
  parseChain,
  parseCount,
  parseHash,
  parseList,
  readJsonFile,
} from "./verify_verdict.ts";

/** The fields for which a version-1 `signature` vouches: by the transcript's hash, or by the certificate of its key. */
const HASHED_FIELDS = new Set(
  "type transcript_hash signature signer_cert peer_cert_fingerprint message_count first_seqno last_seqno".split(" "),
);

/** The receipt in a file, in a frame, or as it is. */
export function readReceipt(receipt: string | Uint8Array | JsonObject, checks: SessionChecks): JsonObject {
  if (typeof receipt === "object" && !(receipt instanceof Uint8Array)) return receipt;
  const { object, repeated } = readJsonFile(receipt, MAX_RECEIPT_BYTES);
  if (repeated !== undefined) checks.fail("receipt form", `the name ${quoted(repeated)} comes twice`);
  // A receipt has no `data`. An object with `data` and without a hash is the frame in which a receipt comes.
  const inner = member(object, "data");
  return isJsonObject(inner) && !Object.hasOwn(object, "transcript_hash") ? inner : object;
}

/** A receipt's fields; a missing or malformed field is `undefined`, and a failure of "receipt form". */
export class ReceiptFields {
  readonly role: SignerRole | undefined;
  readonly createdAt: number | undefined;
  readonly first: number | null | undefined;
  readonly last: number | null | undefined;
  readonly count: number | undefined;
  readonly hash: string | undefined;
  readonly fingerprint: string | undefined;
  readonly signature: Bytes | undefined;
  readonly signer: Chain | undefined;
  readonly certs: readonly Chain[];
  /** These three may be missing: a version-1 receipt has none of them. */
  readonly other: string | undefined;
  readonly session: string | undefined;
  readonly statementSignature: Bytes | undefined;

  constructor(readonly data: JsonObject, checks: SessionChecks) {
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

  /** Whether it claims that all its fields are signed; another check tests that. */
  get isVersion2(): boolean {
    return Object.hasOwn(this.data, "session") || Object.hasOwn(this.data, "statement_signature");
  }

  /** The fields that nobody signed. */
  get unsigned(): string[] {
    return this.isVersion2 ? [] : Object.keys(this.data).filter((name) => !HASHED_FIELDS.has(name)).sort();
  }
}
