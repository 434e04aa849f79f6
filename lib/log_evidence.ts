/**
 * What is shown of the server's log beside a room's receipt (docs/PROTOCOL.md, "What is shown of the server's log"): a
 * file `log.json`, and the `log` of a line proof.
 *
 *     { "type": "log_evidence", "v": 1, "charter": {…}, "certs": ["<b64 of PEM>"],
 *       "heads": [{ "time": 1700055622, "size": 57, "root": "<hex>", "tick": 812, "leaf": "<b64 of the tick>",
 *                   "tags": "<b64>", "hashes": ["<b64>"], "notes": [{ "size": 1024, "path": ["<b64>"] }] }],
 *       "after": [{ "size": 790, "root": "<hex>", "tick": 771, "leaf": "<b64>", "path": ["<b64>"],
 *                   "file": "tokens/768.1.tst" }],
 *       "search": { "from": 0, "frontier": ["<b64>"],
 *                   "heads": [{ "tick": 830, "time": 1700055600, "size": 60, "root": "<hex>", "hashes": [], "proof": [] }] } }
 *
 * `heads` say when lines existed: a tick registers a head that covers them, and a note over the tick is cosigned or
 * stamped. `after` says that lines are younger than what their authors name. `search` shows that every tick was looked
 * at for another version of the room. Here is the form; whether it holds is the question of `verify_log.ts`.
 *
 * @layer format
 */

import { type Bytes, encodeBase64, encodeUtf8, parseBase64, parseUtf8 } from "./bytes.ts";
import { isJsonList, isJsonObject, type Json, type JsonObject, member } from "./json.ts";
import { type Head, parseHead } from "./log_envelope.ts";

/** The most bytes of a log.json: 64 MiB. */
export const MAX_LOG_EVIDENCE_BYTES = 67_108_864;
/** The most registered heads, the most notes of one, and the most entries of `after`. */
export const MAX_SHOWN_HEADS = 1_000;
export const MAX_HEAD_NOTES = 4;
export const MAX_AFTER = 10_000;
/** The most hashes of a path or a frontier. */
const MAX_PATH = 106;

/** A note that a registered head leads to. */
export interface ShownNote {
  /** The size of the note: `notes/<size>.note`. */
  readonly size: number;
  readonly path: readonly Bytes[];
}

/** A head of the room where a tick registers it. */
export interface ShownHead extends Head {
  /** Of the checkpoint, unix seconds. */
  readonly time: number;
  readonly tick: number;
  readonly leaf: Bytes;
  readonly tags: Bytes;
  /** From the head to the tick's `hashes`. */
  readonly hashes: readonly Bytes[];
  readonly notes: readonly ShownNote[];
}

/** What a line that names this head of the server's log is younger than. */
export interface ShownAfter extends Head {
  readonly tick: number;
  readonly leaf: Bytes;
  readonly path: readonly Bytes[];
  /** `notes/<n>.note`, or `tokens/<n>.<k>.tst`. */
  readonly file: string;
}

/** A head that a search has found beside those that are shown. */
export interface SearchedHead extends Head {
  readonly tick: number;
  readonly time: number;
  readonly hashes: readonly Bytes[];
  readonly proof: readonly Bytes[];
}

/** A search of all ticks from one on, which stand in `ticks.bin`. */
export interface ShownSearch {
  readonly from: number;
  readonly frontier: readonly Bytes[];
  readonly heads: readonly SearchedHead[];
}

/** What is shown of the server's log. */
export interface LogEvidence {
  readonly charter: JsonObject;
  /** The PEM, with intermediates, of the charter's signer. */
  readonly certs: readonly string[];
  readonly heads: readonly ShownHead[];
  readonly after: readonly ShownAfter[];
  readonly search?: ShownSearch;
}

/** The object of a log.json. */
export function encodeLogEvidence({ charter, certs, heads, after, search }: LogEvidence): JsonObject {
  return {
    type: "log_evidence",
    v: 1,
    charter,
    certs: certs.map((pem) => encodeBase64(encodeUtf8(pem))),
    heads: heads.map(({ leaf, tags, hashes, notes, ...head }) => ({
      ...head,
      leaf: encodeBase64(leaf),
      tags: encodeBase64(tags),
      hashes: hashes.map(encodeBase64),
      notes: notes.map(({ size, path }) => ({ size, path: path.map(encodeBase64) })),
    })),
    after: after.map(({ leaf, path, ...each }) => ({
      ...each,
      leaf: encodeBase64(leaf),
      path: path.map(encodeBase64),
    })),
    ...search
      ? {
        search: {
          from: search.from,
          frontier: search.frontier.map(encodeBase64),
          heads: search.heads.map(({ hashes, proof, ...head }) => ({
            ...head,
            hashes: hashes.map(encodeBase64),
            proof: proof.map(encodeBase64),
          })),
        },
      }
      : {},
  };
}

/** What a log.json shows; a sentence without its full stop if it has another form. */
export function parseLogEvidence(value: Json | undefined): LogEvidence | string {
  if (!isJsonObject(value) || member(value, "type") !== "log_evidence") return 'type is not "log_evidence"';
  if (member(value, "v") !== 1) return "v is not 1";
  const charter = member(value, "charter");
  if (!isJsonObject(charter)) return "charter is not an object";
  const certs = listOf(value, "certs", MAX_SHOWN_HEADS, pemOf);
  const heads = listOf(value, "heads", MAX_SHOWN_HEADS, headOf);
  const after = listOf(value, "after", MAX_AFTER, afterOf);
  const search = member(value, "search");
  const searched = search === undefined ? undefined : searchOf(search);
  if (!certs) return "certs is not a list of base64 of PEM";
  if (!heads) return `heads is not a list of at most ${MAX_SHOWN_HEADS} heads in their form`;
  if (!after) return `after is not a list of at most ${MAX_AFTER} entries in their form`;
  if (search !== undefined && !searched) return "search has another form";
  if (!isRising(heads, ({ tick }) => [tick])) return "heads are not in the order of their ticks";
  if (heads.some(({ notes }) => !isRising(notes, ({ size }) => [size]))) return "notes of a head are not in order";
  const isSorted = isRising(after, ({ size, tick, file }) => [size, tick, file]);
  if (!isSorted) return "after is not in the order of size, tick and file";
  return { charter, certs, heads, after, ...(searched ? { search: searched } : {}) };
}

function isRising<T>(list: readonly T[], keyOf: (item: T) => readonly (number | string)[]): boolean {
  return list.every((item, at) => {
    const before = list[at - 1];
    if (before === undefined) return true;
    const [a, b] = [keyOf(before), keyOf(item)];
    const differs = a.findIndex((value, i) => value !== b[i]);
    return differs >= 0 && (a[differs] ?? "") < (b[differs] ?? "");
  });
}

function listOf<T>(
  object: JsonObject,
  name: string,
  max: number,
  read: (value: Json) => T | undefined,
): T[] | undefined {
  const list = member(object, name);
  if (list === undefined || !isJsonList(list) || list.length > max) return undefined;
  const all = list.flatMap((each) => read(each) ?? []);
  return all.length === list.length ? all : undefined;
}

function pemOf(value: Json): string | undefined {
  const bytes = typeof value === "string" ? parseBase64(value) : undefined;
  return bytes && parseUtf8(bytes);
}

function bytesOf(value: Json | undefined): Bytes | undefined {
  return typeof value === "string" ? parseBase64(value) : undefined;
}

function hashOf(value: Json): Bytes | undefined {
  const bytes = bytesOf(value);
  return bytes?.length === 32 ? bytes : undefined;
}

function countOf(value: Json | undefined): number | undefined {
  return typeof value === "number" ? value : undefined;
}

function headOf(value: Json): ShownHead | undefined {
  const head = parseHead(value);
  if (!isJsonObject(value) || !head) return undefined;
  const [time, tick] = [countOf(member(value, "time")), countOf(member(value, "tick"))];
  const [leaf, tags] = [bytesOf(member(value, "leaf")), bytesOf(member(value, "tags"))];
  const hashes = listOf(value, "hashes", MAX_PATH, hashOf);
  const notes = listOf(value, "notes", MAX_HEAD_NOTES, noteOf);
  if (time === undefined || tick === undefined || !leaf || !tags || !hashes || !notes?.length) return undefined;
  return { time, ...head, tick, leaf, tags, hashes, notes };
}

function noteOf(value: Json): ShownNote | undefined {
  if (!isJsonObject(value)) return undefined;
  const size = countOf(member(value, "size"));
  const path = listOf(value, "path", MAX_PATH, hashOf);
  return size === undefined || !path ? undefined : { size, path };
}

function afterOf(value: Json): ShownAfter | undefined {
  const head = parseHead(value);
  if (!isJsonObject(value) || !head) return undefined;
  const tick = countOf(member(value, "tick"));
  const leaf = bytesOf(member(value, "leaf"));
  const path = listOf(value, "path", MAX_PATH, hashOf);
  const file = member(value, "file");
  if (tick === undefined || !leaf || !path || typeof file !== "string") return undefined;
  if (!/^notes\/[1-9][0-9]{0,15}\.note$|^tokens\/[1-9][0-9]{0,15}\.[1-9]\.tst$/.test(file)) return undefined;
  return { ...head, tick, leaf, path, file };
}

function searchOf(value: Json): ShownSearch | undefined {
  if (!isJsonObject(value)) return undefined;
  const from = countOf(member(value, "from"));
  const frontier = listOf(value, "frontier", MAX_PATH, hashOf);
  const heads = listOf(value, "heads", Number.MAX_SAFE_INTEGER, searchedOf);
  if (from === undefined || !frontier || !heads || !isRising(heads, ({ tick }) => [tick])) return undefined;
  return { from, frontier, heads };
}

function searchedOf(value: Json): SearchedHead | undefined {
  const head = parseHead(value);
  if (!isJsonObject(value) || !head) return undefined;
  const [time, tick] = [countOf(member(value, "time")), countOf(member(value, "tick"))];
  const hashes = listOf(value, "hashes", MAX_PATH, hashOf);
  const proof = listOf(value, "proof", MAX_PATH, hashOf);
  return time === undefined || tick === undefined || !hashes || !proof
    ? undefined
    : { tick, time, ...head, hashes, proof };
}
