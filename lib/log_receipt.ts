/**
 * The evidence of a room: receipts, openings and line proofs (docs/PROTOCOL.md, "Receipts of a room" and "Openings and line
 * proofs").
 *
 *     { "type": "room_receipt", "room": "#ops", "origin": "chat.example/#ops/<32 hex>", "from_index": 0,
 *       "message_count": 42, "checkpoint": { "time": 1700055622, "size": 57, "root": "<hex>", "sig": "<b64>",
 *       "from": "<fingerprint>" }, "proof": { "before": ["<b64>"], "after": ["<b64>"] }, "peer": "client",
 *       "created_at": "2023-11-15T14:30:22Z", "peer_cert_fingerprint": "<hex>", "signer_cert": "<b64 of PEM>",
 *       "certs": ["<b64 of PEM>"], "statement_signature": "<b64>" }
 *
 *     41<TAB>base64(envelope)<LF>                  an openings file: some of the lines, indexes rising; may be empty
 *
 *     { "type": "line_proof", "lines": ["<line>"], "openings": {"41": "<b64>"}, "receipt": { … }, "log": { … } }
 *
 * Anyone who has the lines and a checkpoint can make a receipt. The transcript beside it has only the lines; without
 * openings it shows who spoke when, but no words. `verify_room.ts` verifies all of it.
 *
 * @layer format
 */

import { type Bytes, encodeBase64, parseBase64 } from "./bytes.ts";
import { type Checkpoint, encodeCheckpoint } from "./log_checkpoint.ts";
import { isJsonList, isJsonObject, type Json, type JsonObject, member } from "./json.ts";
import type { SigningKey } from "./pss.ts";
import { encodePemField, type SignerRole, signStatement } from "./receipt.ts";
import { parseOrigin } from "./log_line.ts";
import { encodeProofLog, parseProofLog, type ProofLog } from "./log_proof_files.ts";
import type { RangeProof } from "./log_tree.ts";
import { formatTime } from "./time_text.ts";

/** 16 MiB: enough for some thousand authors' certificates, and a verifier never reads more. */
export const MAX_ROOM_RECEIPT_BYTES = 16_777_216;

/** Who signs a receipt, and what it shows. */
export interface RoomReceiptOptions {
  /** Whether a member or the server shows it. */
  readonly role: SignerRole;
  readonly key: SigningKey;
  /** The signer's certificate with its intermediates, and its fingerprint. */
  readonly pem: string;
  readonly fingerprint: string;
  readonly origin: string;
  /** The index of the first line, and how many there are: at least one. */
  readonly from: number;
  readonly count: number;
  /** A checkpoint that covers all of them. */
  readonly checkpoint: Checkpoint;
  /** Earlier checkpoints within the lines, with rising sizes: for certificates that have ended since. */
  readonly checkpoints?: readonly Checkpoint[];
  /** The proof of these lines in the checkpoint's tree, made by `rangeProof` of `log_tree.ts`. */
  readonly proof: RangeProof;
  /** The PEM, with intermediates, of every author and of every checkpoint's signer. */
  readonly pems: readonly string[];
  /** Unix milliseconds. */
  readonly createdAt: number;
}

/** A signed receipt of a part of a room's log. */
export async function makeRoomReceipt(options: RoomReceiptOptions): Promise<JsonObject> {
  const { origin, proof, checkpoints } = options;
  const room = parseOrigin(origin)?.room;
  if (room === undefined) throw new RangeError("a log of our own has an origin");
  const receipt: JsonObject = {
    type: "room_receipt",
    room,
    origin,
    from_index: options.from,
    message_count: options.count,
    checkpoint: encodeCheckpoint(options.checkpoint),
    ...(checkpoints ? { checkpoints: checkpoints.map(encodeCheckpoint) } : {}),
    proof: { before: proof.before.map(encodeBase64), after: proof.after.map(encodeBase64) },
    peer: options.role,
    created_at: formatTime(options.createdAt),
    peer_cert_fingerprint: options.fingerprint,
    signer_cert: encodePemField(options.pem),
    certs: [...new Set(options.pems)].map(encodePemField),
  };
  return await signStatement(receipt, options.key);
}

/** The envelope of the line with that index. */
export interface Opening {
  readonly index: number;
  readonly envelope: Bytes;
}

/** An opening as a row of an openings file, with its LF. */
export function encodeOpening({ index, envelope }: { index: number; envelope: Uint8Array }): string {
  return `${index}\t${encodeBase64(envelope)}\n`;
}

/** The opening in a row without its LF; `undefined` if it is malformed. */
export function parseOpening(row: string): Opening | undefined {
  const [index = "", envelope, ...more] = row.split("\t");
  return envelope !== undefined && more.length === 0 ? toOpening(index, envelope) : undefined;
}

function toOpening(digits: string, base64: Json): Opening | undefined {
  const index = /^(?:0|[1-9][0-9]{0,15})$/.test(digits) ? Number(digits) : NaN;
  const envelope = typeof base64 === "string" ? parseBase64(base64) : undefined;
  return Number.isSafeInteger(index) && envelope ? { index, envelope } : undefined;
}

/** One line or a few, each with its opening or not, in one file. */
export interface LineProof {
  /** Without their LF. */
  readonly lines: readonly string[];
  /** With rising indexes. */
  readonly openings: readonly Opening[];
  /** A room's receipt over exactly these lines. */
  readonly receipt: JsonObject;
  /** What is shown of the server's log. */
  readonly log?: ProofLog | undefined;
}

/** A line proof as the object in its file. */
export function encodeLineProof({ lines, openings, receipt, log }: LineProof): JsonObject {
  const entries = openings.map(({ index, envelope }) => [String(index), encodeBase64(envelope)] as const);
  const shown = log ? { log: encodeProofLog(log) } : {};
  return { type: "line_proof", lines, openings: Object.fromEntries(entries), receipt, ...shown };
}

/** The parts of a line proof; a sentence if it is malformed. The receipt inside isn't checked. */
export function parseLineProof(object: JsonObject): LineProof | string {
  if (member(object, "type") !== "line_proof") return 'type is not "line_proof"';
  const [lines, openings, receipt] = ["lines", "openings", "receipt"].map((name) => member(object, name) ?? null);
  if (lines === undefined || !isJsonList(lines)) return "lines is not a list";
  const texts = lines.filter((line) => typeof line === "string");
  if (texts.length !== lines.length) return "lines is not a list of strings";
  if (!isJsonObject(openings)) return "openings is not an object";
  const entries = Object.entries(openings);
  const opened = entries.flatMap(([index, envelope]) => toOpening(index, envelope) ?? []);
  if (opened.length !== entries.length) return "openings is not an object of base64 under indexes";
  if (!isJsonObject(receipt)) return "receipt is not an object";
  const shown = member(object, "log");
  const log = shown === undefined ? undefined : parseProofLog(shown);
  if (typeof log === "string") return log;
  const proof = { lines: texts, openings: opened.sort((a, b) => a.index - b.index), receipt };
  return log ? { ...proof, log } : proof;
}
