/**
 * Receipts: what a side signs at the end of a session (docs/PROTOCOL.md, "The end, and receipts").
 *
 *     { "type": "receipt", "peer": "server", "created_at": "2023-11-15T14:30:22Z", "first_seqno": 0, "last_seqno": 15,
 *       "message_count": 16, "transcript_hash": "<hex>", "peer_cert_fingerprint": "<hex>", "signature": "<b64>",
 *       "signer_cert": "<b64 of PEM>", "certs": ["<b64 of PEM>"],
 *       "other_fingerprint": "<hex>", "session": "<hex>", "statement_signature": "<b64>" }
 *
 * `signature` covers the 32 bytes of the transcript hash and nothing else. In a version-2 session `statement_signature`
 * covers every other field, including unknown ones: it is over a label and the RFC 8785 form of the object. This module
 * makes receipts; `verify.ts` verifies them.
 *
 * @layer format
 */

import { type Bytes, encodeBase64, encodeUtf8, parseBase64 } from "./bytes.ts";
import { canonicalJson, isExact, type JsonObject, member } from "./json.ts";
import type { SigningKey, VerifyingKey } from "./pss.ts";
import { formatTime } from "./time_text.ts";
import { MAX_CLOCK_DIFFERENCE, type TranscriptSummary } from "./transcript.ts";

/** 1 MiB: a receipt with hundreds of certificates fits, and a verifier never reads more. */
export const MAX_RECEIPT_BYTES = 1_048_576;

/** The signer's role. */
export type SignerRole = "client" | "server";

/** What identifies a version-2 session, besides its transcript. */
export interface SessionIdentity {
  /** The fingerprint of the side that doesn't sign. */
  readonly otherFingerprint: string;
  /** SHA-256 of every handshake frame, the second `dh_server` included, in hex (docs/PROTOCOL.md, "Version 2"). */
  readonly session: string;
}

/** Who signs a receipt, and what it covers. */
export interface ReceiptOptions {
  readonly role: SignerRole;
  readonly key: SigningKey;
  /** The signer's certificate with its intermediates, and its fingerprint. */
  readonly pem: string;
  readonly fingerprint: string;
  /** The PEM, with intermediates, of every certificate that a line names. */
  readonly linePems: readonly string[];
  readonly summary: TranscriptSummary;
  /** The clock, unix milliseconds. */
  readonly createdAt: number;
  /** Only for a version-2 session. */
  readonly identity?: SessionIdentity;
}

/** A signed receipt. */
export async function makeReceipt(options: ReceiptOptions): Promise<JsonObject> {
  const { key, summary } = options;
  const digest = summary.digest();
  const receipt: JsonObject = {
    type: "receipt",
    peer: options.role,
    created_at: formatTime(noEarlierThan(summary.latest, options.createdAt)),
    first_seqno: summary.first,
    last_seqno: summary.last,
    message_count: summary.count,
    transcript_hash: summary.hash(),
    peer_cert_fingerprint: options.fingerprint,
    signature: encodeBase64(await key.sign(digest)),
    signer_cert: encodePemField(options.pem),
    certs: options.linePems.map(encodePemField),
  };
  if (!options.identity) return receipt;
  const { otherFingerprint, session } = options.identity;
  return await signStatement({ ...receipt, other_fingerprint: otherFingerprint, session }, key);
}

/**
 * The clock's time; if the clock was set back, the last line's time. A receipt that claims to be older than its lines is
 * refused.
 */
function noEarlierThan(latest: number, now: number): number {
  return latest > now + MAX_CLOCK_DIFFERENCE ? latest : now;
}

/** The receipt with `statement_signature`, which covers all its fields. */
export async function signStatement(receipt: JsonObject, key: SigningKey): Promise<JsonObject> {
  const input = statementInput(receipt);
  if (!input) throw new RangeError("a receipt of our own has a canonical form");
  return { ...receipt, statement_signature: encodeBase64(await key.sign(input)) };
}

/**
 * What the other side's receipt must say if it is genuine, for the same session and transcript.
 */
export interface ExpectedReceipt {
  readonly role: SignerRole;
  readonly fingerprint: string;
  readonly verifying: VerifyingKey;
  readonly summary: TranscriptSummary;
  readonly identity?: SessionIdentity;
}

/**
 * What is wrong with a receipt of the session's other side, as far as it shows without the lines and the CA;
 * `undefined` if nothing is. The whole check is `verify.ts`.
 */
export function receiptProblem(receipt: JsonObject, expected: ExpectedReceipt): string | undefined {
  const { summary, identity, verifying } = expected;
  const wanted: JsonObject = {
    type: "receipt",
    peer: expected.role,
    first_seqno: summary.first,
    last_seqno: summary.last,
    message_count: summary.count,
    transcript_hash: summary.hash(),
    peer_cert_fingerprint: expected.fingerprint,
    ...(identity ? { other_fingerprint: identity.otherFingerprint, session: identity.session } : {}),
  };
  for (const [name, value] of Object.entries(wanted)) {
    if (member(receipt, name) !== value) return `${name} is not that of this session`;
  }
  const signs = (name: string, input: Bytes | undefined) => {
    const text = member(receipt, name);
    const signature = typeof text === "string" ? parseBase64(text) : undefined;
    return input !== undefined && signature !== undefined && verifying.verify(signature, input);
  };
  if (!signs("signature", summary.digest())) return "signature is wrong";
  const isStated = identity !== undefined || Object.hasOwn(receipt, "statement_signature");
  return isStated && !signs("statement_signature", statementInput(receipt))
    ? "statement_signature is wrong"
    : undefined;
}

const STATEMENT_LABEL = "securechat/2 receipt\0";

/**
 * What `statement_signature` is over; `undefined` if the receipt has no canonical form, or if that form leaves
 * something out: the last digits of a number.
 */
export function statementInput(receipt: JsonObject): Bytes | undefined {
  const { statement_signature: _, ...stated } = receipt;
  const canonical = isExact(stated) ? canonicalJson(stated) : undefined;
  // Joined as text: a receipt may have 16 MiB, and copying its bytes would take as much memory again.
  return canonical === undefined ? undefined : encodeUtf8(STATEMENT_LABEL + canonical);
}

/** A certificate's PEM as a receipt contains it. */
export function encodePemField(pem: string): string {
  return encodeBase64(encodeUtf8(pem));
}
