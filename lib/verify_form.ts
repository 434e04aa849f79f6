/**
 * Reads a room's receipt: a JSON file within limits, and in it a `room_receipt` with well-formed fields
 * (docs/PROTOCOL.md, "Receipts of a room").
 *
 * Evidence may be made to cost as much work as possible, so everything is limited before it is read: the number of values
 * before the file is parsed, the length of a list before its items are. Each certificate is read only once.
 *
 * @layer protocol
 */

import { type Bytes, parseBase64, parseUtf8 } from "./bytes.ts";
import { type Checkpoint, parseCheckpoint } from "./log_checkpoint.ts";
import { isJsonList, isJsonObject, type Json, type JsonObject, member, parseJson, repeatedName } from "./json.ts";
import { isRoomName } from "./names.ts";
import type { SignerRole } from "./receipt.ts";
import { MAX_ROOM_RECEIPT_BYTES } from "./log_receipt.ts";
import { quoted } from "./text.ts";
import { parseTime } from "./time_text.ts";
import {
  type Chain,
  Fields,
  type JsonFile,
  onText,
  parseChain,
  parseCount,
  parseHash,
  readJsonFile,
  UnreadableReceipt,
} from "./verify_verdict.ts";
import { Chains } from "./verify_chains.ts";
import type { RoomFindings } from "./verify_findings.ts";

/** Checkpoints in a receipt: an export writes 1,000, and those that cover authors' last lines. */
export const MAX_CHECKPOINTS = 10_000;
/** Certificates in a receipt: more don't fit into 16 MiB. */
const MAX_CERTS = 20_000;
/** Hashes on one side of a proof: a tree of 2^53 lines has no more. */
const MAX_HASHES = 128;
/** Lists and objects in a file: one for each checkpoint, and the few around them. */
const MAX_BRACKETS = MAX_CHECKPOINTS + 1_000;
/** Values in a file: five for each checkpoint, and one for each line, opening and certificate that fit into 16 MiB. */
const MAX_COMMAS = 150_000;

/** A receipt with well-formed fields. */
export interface RoomReceipt {
  readonly data: JsonObject;
  readonly role: SignerRole;
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
  /** What `certs` holds. */
  readonly chains: Chains;
  /** Signed names that this version doesn't know. */
  readonly further: readonly string[];
}

/**
 * Which kind of room evidence a file contains, by its `type`; `undefined` for a session's receipt and anything else.
 * Throws an `UnreadableReceipt` if the file has more values than any evidence.
 */
export function roomEvidenceType(file: Uint8Array): "room_receipt" | "line_proof" | undefined {
  const text = parseUtf8(file);
  if (text !== undefined) refuseOverfull(text);
  const object = text === undefined ? undefined : parseJson(text);
  if (isJsonObject(object)) parsed.set(file, { object, repeated: repeatedName(text ?? "") });
  const type = isJsonObject(object) ? member(object, "type") : undefined;
  return type === "room_receipt" || type === "line_proof" ? type : undefined;
}

/** Files that were parsed to find their type: parsing 16 MiB twice would take twice the memory. */
const parsed = new WeakMap<Uint8Array, JsonFile>();

/** The object in a file. Throws an `UnreadableReceipt` if there is none, or if it has more values than any evidence. */
export function readEvidence(file: string | Uint8Array | JsonObject, findings: RoomFindings): JsonObject {
  if (typeof file === "object" && !(file instanceof Uint8Array)) return file;
  const known = file instanceof Uint8Array ? parsed.get(file) : undefined;
  const text = known
    ? undefined
    : typeof file === "string"
    ? file
    : file.length > MAX_ROOM_RECEIPT_BYTES
    ? undefined
    : parseUtf8(file);
  if (text !== undefined) refuseOverfull(text);
  const { object, repeated } = known ?? readJsonFile(file, MAX_ROOM_RECEIPT_BYTES);
  if (repeated !== undefined) findings.frame("form", `the name ${quoted(repeated)} comes twice`);
  return object;
}

/** Refuses a text with more lists, objects or values than the longest evidence. */
function refuseOverfull(text: string): void {
  const isFit = countUpTo(MAX_BRACKETS, text, "[", "{") <= MAX_BRACKETS &&
    countUpTo(MAX_COMMAS, text, ",") <= MAX_COMMAS;
  if (!isFit) throw new UnreadableReceipt("the receipt has more values than any evidence: is it the right file?");
}

function countUpTo(max: number, text: string, ...marks: readonly string[]): number {
  let count = 0;
  for (const mark of marks) {
    for (let at = text.indexOf(mark); at >= 0 && count <= max; at = text.indexOf(mark, at + 1)) count += 1;
  }
  return count;
}

const RECEIPT_NAMES = new Set(
  ("type peer room origin from_index message_count checkpoint checkpoints proof created_at peer_cert_fingerprint " +
    "signer_cert certs statement_signature").split(" "),
);
const CHECKPOINT_NAMES = new Set("time size root sig from".split(" "));
const PROOF_NAMES = new Set("before after".split(" "));

/** The receipt; `undefined` if "form" failed. */
export function parseRoomReceipt(data: JsonObject, findings: RoomFindings): RoomReceipt | undefined {
  const fields = new Fields(data, (reason) => findings.frame("form", reason));
  const chains = new Chains();
  fields.take("type", '"room_receipt"', (value) => value === "room_receipt" ? value : undefined);
  const [hash64, hashes] = ["64 lower-case hex digits", `a list of base64 of 32 bytes, ${MAX_HASHES} at most`];
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
  const many = `a list of checkpoints, ${MAX_CHECKPOINTS} at most`;
  const earlier = fields.takeOptional("checkpoints", many, parseUpTo(MAX_CHECKPOINTS, parseCheckpoint));
  const proof = fields.take("proof", "an object", (value) => isJsonObject(value) ? value : undefined);
  const parts = new Fields(proof ?? {}, (reason) => findings.frame("form", `proof: ${reason}`));
  const before = parts.take("before", hashes, parseUpTo(MAX_HASHES, parseRawHash));
  const after = parts.take("after", hashes, parseUpTo(MAX_HASHES, parseRawHash));
  const createdAt = fields.take("created_at", "a time like 2023-11-15T14:30:22Z", onText(parseTime));
  const fingerprint = fields.take("peer_cert_fingerprint", hash64, parseHash);
  const signer = fields.take("signer_cert", "base64 of a PEM certificate", parseChain);
  const certs = fields.take(
    "certs",
    "a list of base64 of PEM certificates",
    parseUpTo(MAX_CERTS, (value) => chains.add(value) ? true : undefined),
  );
  if (findings.isFalse("form") || !role || room === undefined || origin === undefined) return undefined;
  if (from === undefined || count === undefined || !checkpoint || !before || !after) return undefined;
  if (createdAt === undefined || fingerprint === undefined || !signer || !certs) return undefined;
  return {
    ...{ data, role, room, origin, from, count, checkpoint, earlier: earlier ?? [], before, after },
    ...{ createdAt, fingerprint, signer, chains, further: furtherNamesOf(data) },
  };
}

/** The names in a receipt, its checkpoints and its proof that this version doesn't know. */
function furtherNamesOf(data: JsonObject): string[] {
  const inside = (name: string, known: ReadonlySet<string>) => {
    const value = member(data, name) ?? null;
    const objects = isJsonList(value) ? value : [value];
    return objects.flatMap((object) =>
      isJsonObject(object) ? namesBeyond(object, known).map((inner) => `${name}.${inner}`) : []
    );
  };
  const names = [
    ...namesBeyond(data, RECEIPT_NAMES),
    ...inside("checkpoint", CHECKPOINT_NAMES),
    ...inside("checkpoints", CHECKPOINT_NAMES),
    ...inside("proof", PROOF_NAMES),
  ];
  return [...new Set(names)];
}

function namesBeyond(object: JsonObject, known: ReadonlySet<string>): string[] {
  return Object.keys(object).filter((name) => !known.has(name));
}

/** A parser of lists with at most so many items. It stops at the first item that doesn't parse. */
function parseUpTo<T>(max: number, parse: (value: Json) => T | undefined): (value: Json) => T[] | undefined {
  return (value) => {
    if (!isJsonList(value) || value.length > max) return undefined;
    const items: T[] = [];
    for (const item of value) {
      const parsed = parse(item);
      if (parsed === undefined) return undefined;
      items.push(parsed);
    }
    return items;
  };
}

function parseRawHash(value: Json): Bytes | undefined {
  const bytes = typeof value === "string" ? parseBase64(value) : undefined;
  return bytes?.length === 32 ? bytes : undefined;
}
