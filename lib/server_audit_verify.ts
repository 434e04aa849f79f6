/**
 * Checks the audit log against the server's logs, and both against notes that others hold (docs/PROTOCOL.md, "The audit
 * log").
 *
 *     rows, by index ──→ leaves ──→ tree ──→ root = the tick's `audit`
 *     ticks, from 0 ───→ leaves ──→ tree ──→ root = that of each stored note, and of each note from outside
 *
 * Whoever owns the database and the log's key can rewrite all of it together. Only a note from outside shows that.
 * Everything is read in pieces, so the memory doesn't grow with the log. A server that runs meanwhile appends to both:
 * what it adds after the logs' table was read isn't looked at.
 *
 * @layer chat
 */

import { type Bytes, encodeHex, equalBytes } from "./bytes.ts";
import { sha256 } from "./hash.ts";
import { charterHash, parseCharter } from "./log_charter.ts";
import type { Head } from "./log_envelope.ts";
import { parseNote, parseNoteHead } from "./log_note.ts";
import { type NoteKey, openNote, parseVkey, verifyNote } from "./log_note_key.ts";
import { auditHash, parseTick, type Tick } from "./log_tick.ts";
import { Frontier, leafHash, type NodePlace, type TreeNode } from "./log_tree.ts";
import { auditLeaf } from "./server_audit_log.ts";
import type { LogStore, StoredAuditRow, StoredLog, StoredNote } from "./server_log_store.ts";
import { cosignersOf, isSatisfied, type WitnessPolicy } from "./witness_policy.ts";

/** Rows and ticks that are read at once. */
const PIECE = 200;
/** Rows that one tick gives their leaves at most. */
const MAX_TICK_ROWS = 10_000;
/** Nodes that one query asks for. */
const NODES = 100;

/** A note from outside the database. */
export interface OutsideNote {
  /** Where it is from, for people. */
  readonly from: string;
  readonly bytes: Bytes;
}

/** Rows that were emptied, and the row that says so; `undefined` for one that has no index yet. */
export interface PrunedRows {
  readonly from: number;
  readonly to: number;
  readonly says: number | undefined;
}

/** What was found. */
export interface AuditFindings {
  /** The first thing that is wrong; `undefined` if nothing is. */
  readonly broken: string | undefined;
  /** Rows that were checked: the indexes are 0 to one less. */
  readonly rows: number;
  /** Rows that wait for a tick, {@link MAX_TICK_ROWS} at most. */
  readonly waiting: number;
  readonly pruned: readonly PrunedRows[];
  /** The server's logs, oldest first, with the ticks that were checked. */
  readonly logs: readonly { readonly origin: string; readonly ticks: number }[];
  /** How many stored notes were checked. */
  readonly notes: number;
  /** What was compared from outside, and how many rows it holds fast. */
  readonly outside: readonly { readonly from: string; readonly rows: number }[];
}

/** What to check, and against what. */
export interface AuditQuestion {
  readonly store: LogStore;
  readonly notes?: readonly OutsideNote[];
  /** Stored notes that these witnesses cosigned are from outside, too: the database's owner can't make any. */
  readonly policy?: WitnessPolicy | undefined;
  /** Unix ms. */
  readonly now: number;
}

/** What is wrong: one sentence. */
class Broken extends Error {}

/** Checks the audit log. */
export async function verifyAudit(question: AuditQuestion): Promise<AuditFindings> {
  return await new Verification(question).run();
}

interface Outside {
  readonly from: string;
  readonly head: Head;
}

class Verification {
  readonly #question: AuditQuestion;
  readonly #audit: AuditRows;
  readonly #logs: { origin: string; ticks: number }[] = [];
  readonly #outside: { from: string; rows: number }[] = [];
  #notes = 0;

  constructor(question: AuditQuestion) {
    this.#question = question;
    this.#audit = new AuditRows(question.store);
  }

  async run(): Promise<AuditFindings> {
    const { store } = this.#question;
    let broken: string | undefined;
    try {
      const logs = (await store.logs()).toReversed();
      const outside = await this.#readOutside(logs);
      for (const [at, log] of logs.entries()) await this.#verifyLog(log, outside[at] ?? []);
      await this.#audit.verifyEnd(logs.at(-1));
    } catch (error) {
      if (!(error instanceof Broken)) throw error;
      broken = error.message;
    }
    const { size: rows, pruned } = this.#audit;
    const waiting = (await store.unloggedAudit(MAX_TICK_ROWS)).length;
    return { broken, rows, waiting, pruned, logs: this.#logs, notes: this.#notes, outside: this.#outside };
  }

  /** The notes from outside, for each log, the smallest first. */
  async #readOutside(logs: readonly StoredLog[]): Promise<Outside[][]> {
    const found: Outside[][] = logs.map(() => []);
    for (const { from, bytes } of this.#question.notes ?? []) {
      const origin = parseNoteHead(parseNote(bytes)?.text ?? "")?.origin;
      const at = logs.findIndex((log) => log.origin === origin);
      const log = logs[at];
      if (!log) throw new Broken(`${from} is of a log that this database doesn't have`);
      const note = await openNote(bytes, keyOf(log));
      if (!note) throw new Broken(`${from} isn't signed by the key that this database gives its log`);
      if (note.head.size > log.size) {
        throw new Broken(`${from} knows ${note.head.size} ticks of the log, and the database has ${log.size}`);
      }
      found[at]?.push({ from, head: note.head });
    }
    return found.map((notes) => notes.toSorted((a, b) => a.head.size - b.head.size));
  }

  async #verifyLog(log: StoredLog, outside: readonly Outside[]): Promise<void> {
    const { store } = this.#question;
    const key = keyOf(log);
    const checked = { origin: log.origin, ticks: 0 };
    this.#logs.push(checked);
    const tree = new Frontier();
    const left = [...outside];
    let note = await store.closedNote(log.id, 1);
    while (tree.size < log.size) {
      const ticks = await store.ticks(log.id, tree.size, Math.min(PIECE, log.size - tree.size));
      const nodes: TreeNode[] = [];
      if (ticks.length === 0) throw new Broken(`tick ${tree.size} of ${log.origin} is missing`);
      for (const { index, tick: bytes } of ticks) {
        if (index !== tree.size) throw new Broken(`tick ${tree.size} of ${log.origin} is missing`);
        const tick = parseTick(bytes);
        if (!tick) throw new Broken(`tick ${index} of ${log.origin} is no tick`);
        if (index === 0) verifyCharter(log, tick);
        nodes.push(...tree.append(leafHash(bytes)));
        let cosigned: string | undefined;
        if (note?.size === tree.size) {
          cosigned = await this.#verifyNote(note, log, key, encodeHex(tree.root()));
          note = await store.closedNote(log.id, tree.size + 1);
        }
        const [found] = await differing(nodes.splice(0), (places) => store.nodes(log.id, places));
        if (found) throw new Broken(`tick ${index} of ${log.origin} isn't the one of which the log's tree is made`);
        if (tick.audit !== undefined) await this.#audit.reach(tick.audit, index);
        if (cosigned !== undefined) this.#isOutside(cosigned);
        while (left[0]?.head.size === tree.size) this.#compare(left.shift(), encodeHex(tree.root()), log);
        checked.ticks = tree.size;
      }
    }
    if (encodeHex(tree.root()) !== log.root) throw new Broken(`the ticks of ${log.origin} don't give its root`);
    if (this.#audit.size !== log.auditSize) {
      throw new Broken(
        `${log.origin} registers ${this.#audit.size} rows, and its row in the database says ${log.auditSize}`,
      );
    }
  }

  /** Whose cosignatures satisfy the policy, for people; `undefined` if they don't, or without a policy. */
  async #verifyNote(note: StoredNote, log: StoredLog, key: NoteKey, root: string): Promise<string | undefined> {
    const which = `the stored note of ${note.size} ticks of ${log.origin}`;
    const read = await openNote(note.note, key);
    if (!read || encodeHex(sha256(note.note)) !== note.hash) throw new Broken(`${which} isn't signed by the log's key`);
    if (read.head.size !== note.size || read.head.root !== root) {
      throw new Broken(`${which} has another root than the ticks: tick ${note.size - 1} or one before was changed`);
    }
    this.#notes += 1;
    const { policy, now } = this.#question;
    if (!policy || policy.witnesses.length === 0) return undefined;
    if (!await verifyNote(read.note, policy.witnesses.map(({ key }) => key))) {
      throw new Broken(`${which} has a cosignature that is false`);
    }
    const cosigners = await cosignersOf(read.note, policy, now);
    const isEnough = cosigners && cosigners.size > 0 && isSatisfied(policy, cosigners);
    return isEnough ? `stored notes cosigned by ${[...cosigners.keys()].join(", ")}` : undefined;
  }

  /** The newest note of the same witnesses counts. */
  #isOutside(from: string): void {
    const before = this.#outside.findIndex((each) => each.from === from);
    if (before >= 0) this.#outside.splice(before, 1);
    this.#outside.push({ from, rows: this.#audit.size });
  }

  #compare(note: Outside | undefined, root: string, log: StoredLog): void {
    if (!note) return;
    if (note.head.root !== root) {
      throw new Broken(
        `${note.from} has another root for ${note.head.size} ticks of ${log.origin}: the database was rewritten ` +
          `(the rows from index ${Math.max(0, ...this.#outside.map(({ rows }) => rows))} on may be other ones)`,
      );
    }
    this.#outside.push({ from: note.from, rows: this.#audit.size });
  }
}

function keyOf({ vkey, origin }: StoredLog): NoteKey {
  const key = parseVkey(vkey);
  if (!key || key.name !== origin) throw new Broken(`the key of ${origin} in the database is no key of that log`);
  return key;
}

function verifyCharter(log: StoredLog, { charter }: Tick): void {
  const isIts = charter === charterHash(log.charter) && parseCharter(log.charter)?.vkey === log.vkey;
  if (!isIts) throw new Broken(`the charter of ${log.origin} isn't the one that its tick 0 names`);
}

/** The rows of the audit log, read in order. */
class AuditRows {
  readonly #store: LogStore;
  readonly #tree = new Frontier();
  /** Rows that were read and have no leaf yet here. */
  #piece: StoredAuditRow[] = [];
  /** Emptied rows: ranges from..to, both included. */
  readonly #emptied: [number, number][] = [];
  readonly #prunes: PrunedRows[] = [];

  constructor(store: LogStore) {
    this.#store = store;
  }

  get size(): number {
    return this.#tree.size;
  }

  /** What rows `audit_pruned` say of the emptied rows. */
  get pruned(): readonly PrunedRows[] {
    return this.#prunes.filter((prune) => this.#emptied.some(([from, to]) => prune.from <= to && from <= prune.to));
  }

  /** Takes rows until their tree has the head that a tick registers. */
  async reach(expected: string, tick: number): Promise<void> {
    const from = this.size;
    const nodes: TreeNode[] = [];
    while (this.size - from < MAX_TICK_ROWS) {
      const row = await this.#next();
      if (!row) {
        await this.#compareNodes(nodes); // a row before it may be wrong
        throw new Broken(`row ${this.size} is missing`);
      }
      const leaf = await this.#leafOf(row);
      nodes.push(...this.#tree.append(leaf));
      const isReached = encodeHex(auditHash({ size: this.size, root: encodeHex(this.#tree.root()) })) === expected;
      if (isReached || nodes.length >= NODES) await this.#compareNodes(nodes.splice(0));
      if (isReached) return;
    }
    await this.#compareNodes(nodes);
    throw new Broken(`the rows from ${from} on are not those that tick ${tick} registers`);
  }

  async #next(): Promise<StoredAuditRow | undefined> {
    if (this.#piece.length === 0) this.#piece = [...await this.#store.auditFrom(this.size, PIECE)];
    const row = this.#piece[0];
    if (row?.index !== this.size) return undefined;
    return this.#piece.shift();
  }

  /** The leaf that the columns give; of an emptied row, the stored one. */
  async #leafOf(row: StoredAuditRow): Promise<Bytes> {
    this.#notePrune(row);
    if (!isEmptied(row)) return leafOfColumns(row);
    const last = this.#emptied.at(-1);
    if (last?.[1] === this.size - 1) last[1] = this.size;
    else this.#emptied.push([this.size, this.size]);
    const [leaf] = await read([{ level: 0, index: this.size }], (places) => this.#store.auditNodes(places));
    if (!leaf) throw new Broken(`the leaf of the emptied row ${this.size} is missing`);
    return leaf;
  }

  #notePrune({ event, reason, index }: StoredAuditRow): void {
    const range = event === "audit_pruned" ? parsePruned(reason ?? "") : undefined;
    if (range) this.#prunes.push({ ...range, says: index });
  }

  async #compareNodes(nodes: readonly TreeNode[]): Promise<void> {
    const [wrong] = await differing(nodes, (places) => this.#store.auditNodes(places));
    if (!wrong) return;
    const { level, index } = wrong;
    throw new Broken(
      level === 0
        ? `row ${index} isn't what was written: its columns give another leaf than the tree over the audit log has`
        : `the tree over the audit log has a false hash above the rows ${index * 2 ** level} to ${
          (index + 1) * 2 ** level - 1
        }`,
    );
  }

  /** That no row has an index that no tick registers, and every emptied row is covered. */
  async verifyEnd(log: StoredLog | undefined): Promise<void> {
    const more = await this.#store.auditFrom(this.size, MAX_TICK_ROWS);
    const [newest] = await this.#store.logs();
    const hasGrown = newest?.size !== log?.size || newest?.id !== log?.id;
    if (more.length > 0 && !hasGrown) throw new Broken(`row ${more[0]?.index} has an index that no tick registers`);
    for (const row of [...more, ...await this.#store.unloggedAudit(MAX_TICK_ROWS)]) this.#notePrune(row);
    for (const [from, to] of this.#emptied) {
      const open = uncovered(from, to, this.#prunes);
      if (open !== undefined) throw new Broken(`row ${open} was emptied, and no row audit_pruned says so`);
    }
  }
}

/** Whether a row was emptied. */
export function isEmptied({ event, email, fingerprint, ip, key, reason }: StoredAuditRow): boolean {
  return event === "pruned" && [email, fingerprint, ip, key, reason].every((value) => value === undefined);
}

function leafOfColumns(row: StoredAuditRow): Bytes {
  try {
    return auditLeaf(row);
  } catch (error) {
    if (error instanceof RangeError) return new Uint8Array(32); // no row that was written has such a text
    throw error;
  }
}

/** The first of from..to that no range covers. */
function uncovered(from: number, to: number, ranges: readonly PrunedRows[]): number | undefined {
  let open = from;
  for (const range of ranges.toSorted((a, b) => a.from - b.from)) {
    if (range.from <= open && range.to >= open) open = range.to + 1;
  }
  return open > to ? undefined : open;
}

/** The reason of a row `audit_pruned`. */
export function encodePruned({ from, to }: Omit<PrunedRows, "says">): string {
  return `rows ${from} to ${to}`;
}

function parsePruned(reason: string): Omit<PrunedRows, "says"> | undefined {
  const [, from, to] = /^rows ([0-9]{1,15}) to ([0-9]{1,15})$/.exec(reason) ?? [];
  return from === undefined ? undefined : { from: Number(from), to: Number(to) };
}

type Reader = (places: readonly NodePlace[]) => Promise<readonly Bytes[]>;

/** The nodes that the store keeps otherwise, or not at all; the lowest first. */
async function differing(nodes: readonly TreeNode[], reader: Reader): Promise<TreeNode[]> {
  const stored = await read(nodes, reader);
  const wrong = nodes.filter(({ hash }, at) => !stored[at] || !equalBytes(stored[at], hash));
  return wrong.toSorted((a, b) => a.level - b.level || a.index - b.index);
}

/** The stored hashes; `undefined` for one that is missing. */
async function read(places: readonly NodePlace[], reader: Reader): Promise<(Bytes | undefined)[]> {
  const some = places.slice(0, NODES);
  if (some.length === 0) return [];
  const hashes = await reader(some).catch(async (error) => {
    if (error?.constructor !== Error) throw error; // the database is away
    return some.length === 1 ? [undefined] : (await Promise.all(some.map((place) => read([place], reader)))).flat();
  });
  return [...hashes, ...await read(places.slice(NODES), reader)];
}
