/**
 * What a client shows of the server's log beside a room's receipt, out of its own records (docs/PROTOCOL.md, "What is
 * shown of the server's log"). Nobody is asked: whatever proves something was kept when it came.
 *
 *     const kept = readLogRecords(records)
 *     const head = chooseHead(kept, origin, end)             the checkpoint that the receipt is under
 *     const shown = await makeLogEvidence(kept, { origin, checkpoints: [head.checkpoint], pins })
 *     shown.evidence → log.json         shown.files → notes/… tokens/… tsa.pem
 *
 * @layer chat
 */

import { type Bytes, encodeHex, encodeUtf8 } from "./bytes.ts";
import { recordedBytes, recordedHashes } from "./client_log_records.ts";
import { sha256 } from "./hash.ts";
import { isJsonList, isJsonObject, type Json, type JsonObject } from "./json.ts";
import { type Checkpoint, parseCheckpoint } from "./log_checkpoint.ts";
import type { LogPin } from "./log_envelope.ts";
import { type LogEvidence, MAX_AFTER, MAX_SHOWN_HEADS, type ShownAfter, type ShownHead } from "./log_evidence.ts";
import { parseTick } from "./log_tick.ts";
import { inclusionProof } from "./log_tree.ts";
import { LogTree } from "./log_whole_tree.ts";

/** A head of a room with all that proves that it was registered. */
export interface KeptHead {
  readonly origin: string;
  readonly tick: number;
  readonly checkpoint: Checkpoint;
  readonly path: readonly Bytes[];
}

/** A token over a note, and the tick that names it. */
export interface KeptToken {
  readonly tick: number;
  readonly size: number;
  readonly token: Bytes;
  readonly hash: string;
}

/** What was kept of one log. */
export interface KeptLog {
  readonly charter: JsonObject;
  readonly tree: LogTree;
  readonly heads: readonly KeptHead[];
  /** The ticks in which these heads are, by index. */
  readonly ticks: ReadonlyMap<number, { readonly leaf: Bytes; readonly tags: Bytes }>;
  /** By size, rising. */
  readonly notes: readonly { readonly size: number; readonly note: string; readonly isSatisfied: boolean }[];
  readonly tokens: readonly KeptToken[];
  /** Of each head of the log that a line names, by size: ticks before it, by index. */
  readonly after: ReadonlyMap<number, ReadonlyMap<number, Bytes>>;
  /** The PEM of the authorities' certificates. */
  readonly chain: string;
}

/** What a client kept of the log that it follows now; `undefined` if there is none. */
export function readLogRecords(records: Iterable<JsonObject>): KeptLog | undefined {
  let log: Reading | undefined;
  for (const record of records) {
    if (record["type"] === "pin") log = Reading.begin(record);
    else log?.take(record);
  }
  return log;
}

/** A log while its records are read. What has another form is passed over, as by {@link ClientLog}. */
class Reading implements KeptLog {
  readonly heads: KeptHead[] = [];
  readonly ticks = new Map<number, { leaf: Bytes; tags: Bytes }>();
  readonly notes: { size: number; note: string; isSatisfied: boolean }[] = [];
  readonly tokens: KeptToken[] = [];
  readonly after = new Map<number, Map<number, Bytes>>();
  chain = "";

  private constructor(readonly charter: JsonObject, readonly tree: LogTree) {}

  static begin({ charter, base, peaks }: JsonObject): Reading | undefined {
    const hashes = recordedHashes(peaks);
    if (!isJsonObject(charter) || typeof base !== "number" || !hashes) return undefined;
    return new Reading(charter, new LogTree(base, hashes));
  }

  take(record: JsonObject): void {
    switch (record["type"]) {
      case "leaves": {
        const leaves = recordedBytes(record["hashes"]);
        if (!leaves || record["from"] !== this.tree.size) return;
        for (let at = 0; at + 32 <= leaves.length; at += 32) this.tree.append(leaves.slice(at, at + 32));
        return;
      }
      case "tick": {
        const [leaf, tags] = [recordedBytes(record["leaf"]), recordedBytes(record["tags"])];
        if (typeof record["index"] === "number" && leaf && tags) this.ticks.set(record["index"], { leaf, tags });
        return;
      }
      case "head": {
        const { origin, tick } = record;
        const checkpoint = parseCheckpoint(record["checkpoint"]);
        const path = recordedHashes(record["path"]);
        if (typeof origin !== "string" || typeof tick !== "number" || !checkpoint || !path) return;
        this.heads.push({ origin, tick, checkpoint, path });
        return;
      }
      case "note": {
        const { size, note, satisfied } = record;
        if (typeof size !== "number" || typeof note !== "string") return;
        this.notes.push({ size, note, isSatisfied: satisfied === true });
        this.notes.sort((a, b) => a.size - b.size);
        return;
      }
      case "token": {
        const token = recordedBytes(record["token"]);
        const { tick, size, hash } = record;
        if (!token || typeof tick !== "number" || typeof size !== "number" || typeof hash !== "string") return;
        this.tokens.push({ tick, size, token, hash });
        return;
      }
      case "chain":
        if (typeof record["pem"] === "string") this.chain = record["pem"];
        return;
      case "after":
        if (typeof record["size"] === "number") this.after.set(record["size"], ticksIn(record["ticks"]));
    }
  }
}

function ticksIn(value: Json | undefined): Map<number, Bytes> {
  const ticks = new Map<number, Bytes>();
  for (const each of value !== undefined && isJsonList(value) ? value.filter(isJsonObject) : []) {
    const leaf = recordedBytes(each["leaf"]);
    if (typeof each["index"] === "number" && leaf) ticks.set(each["index"], leaf);
  }
  return ticks;
}

/** The first note from a size on for which `holds` is true. */
function noteFrom(kept: KeptLog, size: number, holds: (note: KeptLog["notes"][number]) => boolean) {
  return kept.notes.find((note) => note.size >= size && holds(note));
}

/**
 * The registered head under which lines up to `end` are shown: the first that covers them and has a note that satisfies
 * the client's policy, else the first; `undefined` if none covers them.
 */
export function chooseHead(kept: KeptLog, origin: string, end: number): KeptHead | undefined {
  const covering = kept.heads
    .filter((head) => head.origin === origin && head.checkpoint.size >= end)
    .sort((a, b) => a.tick - b.tick);
  return covering.find(({ tick }) => noteFrom(kept, tick + 1, ({ isSatisfied }) => isSatisfied)) ?? covering[0];
}

/** Registered heads within lines: the first of each span of so many seconds, by their checkpoints' times. */
export function headsWithin(
  kept: KeptLog,
  { origin, from, end }: { readonly origin: string; readonly from: number; readonly end: number },
  span: number,
): readonly KeptHead[] {
  const seen = new Set<number>();
  return kept.heads.filter((head) => {
    const { size, time } = head.checkpoint;
    const which = span === 0 ? size : Math.floor(time / span);
    if (head.origin !== origin || size <= from || size >= end || seen.has(which)) return false;
    seen.add(which);
    return true;
  }).slice(0, MAX_SHOWN_HEADS - 1);
}

/** A file of a bundle. */
export interface ShownFile {
  readonly name: string;
  readonly bytes: Bytes;
}

/** What is shown. */
export interface ShownLog {
  readonly evidence: LogEvidence;
  /** Notes and tokens, by name. */
  readonly files: readonly ShownFile[];
}

/** What a log.json is to be about. */
export interface LogEvidenceOptions {
  readonly origin: string;
  /** The receipt's checkpoints; those that aren't registered are left out. */
  readonly checkpoints: readonly Checkpoint[];
  /** What the opened lines name. */
  readonly pins: readonly LogPin[];
  /** The PEM of the charter's signer. */
  readonly certs: readonly string[];
}

/** Makes a log.json with the files that it refers to; `undefined` if no checkpoint is registered under a kept note. */
export async function makeLogEvidence(kept: KeptLog, options: LogEvidenceOptions): Promise<ShownLog | undefined> {
  const files = new Map<string, Bytes>();
  const heads: ShownHead[] = [];
  for (const checkpoint of options.checkpoints) {
    const head = await showHead(kept, options.origin, checkpoint, files);
    if (head) heads.push(head);
  }
  if (heads.length === 0) return undefined;
  heads.sort((a, b) => a.tick - b.tick);
  const after = await showAfter(kept, options.pins, files);
  const evidence = { charter: kept.charter, certs: options.certs, heads, after };
  return { evidence, files: [...files].map(([name, bytes]) => ({ name, bytes })) };
}

async function showHead(
  kept: KeptLog,
  origin: string,
  { time, size, root }: Checkpoint,
  files: Map<string, Bytes>,
): Promise<ShownHead | undefined> {
  const head = kept.heads.find((each) => {
    const { checkpoint } = each;
    return each.origin === origin && checkpoint.size === size && checkpoint.root === root && checkpoint.time === time;
  });
  const tick = head && kept.ticks.get(head.tick);
  if (!head || !tick) return undefined;
  const stamped = new Set(kept.tokens.map((token) => token.size));
  const wanted = [
    noteFrom(kept, head.tick + 1, ({ isSatisfied }) => isSatisfied),
    noteFrom(kept, head.tick + 1, (note) => stamped.has(note.size)),
  ].flatMap((note) => note ? [note.size] : []);
  const sizes = [...new Set(wanted.length > 0 ? wanted : [noteFrom(kept, head.tick + 1, () => true)?.size ?? 0])];
  const notes = [];
  for (const noteSize of sizes.filter((each) => each > 0).sort((a, b) => a - b)) {
    addNote(kept, noteSize, files);
    notes.push({ size: noteSize, path: await inclusionProof(head.tick, noteSize, kept.tree.read) });
  }
  if (notes.length === 0) return undefined;
  return { time, size, root, tick: head.tick, leaf: tick.leaf, tags: tick.tags, hashes: head.path, notes };
}

/** Adds a note with the tokens over it; answers the tokens' names by their hashes. */
function addNote(kept: KeptLog, size: number, files: Map<string, Bytes>): ReadonlyMap<string, string> {
  const names = new Map<string, string>();
  const note = kept.notes.find((each) => each.size === size);
  if (!note) return names;
  files.set(`notes/${size}.note`, encodeUtf8(note.note));
  const tokens = new Map(kept.tokens.filter((token) => token.size === size).map((token) => [token.hash, token.token]));
  for (const [at, [hash, token]] of [...tokens].sort(([a], [b]) => a < b ? -1 : 1).slice(0, MAX_TOKENS).entries()) {
    const name = `tokens/${size}.${at + 1}.tst`;
    files.set(name, token);
    names.set(hash, name);
  }
  return names;
}

/** The most tokens over one note that a bundle has. */
const MAX_TOKENS = 9;

async function showAfter(kept: KeptLog, pins: readonly LogPin[], files: Map<string, Bytes>): Promise<ShownAfter[]> {
  const after: ShownAfter[] = [];
  const sizes = new Map(pins.map(({ size, root }) => [size, root]));
  for (const [size, root] of [...sizes].sort(([a], [b]) => a - b)) {
    for (const [tick, leaf] of [...kept.after.get(size) ?? []].sort(([a], [b]) => a - b)) {
      const path = await inclusionProof(tick, size, kept.tree.read).catch(() => undefined);
      if (!path) continue;
      for (const file of namedFiles(kept, leaf, files)) after.push({ size, root, tick, leaf, path, file });
    }
  }
  return after
    .sort((a, b) => a.size - b.size || a.tick - b.tick || (a.file < b.file ? -1 : 1))
    .slice(0, MAX_AFTER);
}

/** The notes and tokens that a tick names and that were kept. */
function namedFiles(kept: KeptLog, leaf: Bytes, files: Map<string, Bytes>): string[] {
  const tick = parseTick(leaf);
  const names: string[] = [];
  const note = kept.notes.find((each) => tick?.note === encodeHex(sha256(encodeUtf8(each.note))));
  if (note) {
    addNote(kept, note.size, files);
    names.push(`notes/${note.size}.note`);
  }
  for (const hash of tick?.tokens ?? []) {
    const token = kept.tokens.find((each) => each.hash === hash);
    const name = token && addNote(kept, token.size, files).get(hash);
    if (name !== undefined) names.push(name);
  }
  return names;
}
