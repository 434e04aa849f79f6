/**
 * The server's own log: it registers the heads of all rooms, and names none (docs/PROTOCOL.md, "The server's log").
 *
 *     room's checkpoint stored → due() ──┐
 *     audit rows without a leaf ─────────┼→ tick: one transaction → note signed → written to the disk → shown, cosigned
 *     a token that no tick names yet ────┘        at most one every `seconds`
 *
 * Nothing here holds up a line or a checkpoint. The note of a size follows from what is stored, and Ed25519 gives the
 * same bytes each time, so a crash between the transaction and the note loses nothing. The transaction names the size
 * and the root that it continues, so two servers on one database never make two ticks of one index.
 *
 * A log that is behind what it has signed before (a database of yesterday was restored) makes no tick and no note, and
 * isn't shown, until the newer database is back or the operator begins another log.
 *
 * @layer chat
 */

import { type Bytes, type Clock, encodeHex, encodeUtf8 } from "./bytes.ts";
import { ProtocolError } from "./errors.ts";
import { sha256 } from "./hash.ts";
import type { JsonObject } from "./json.ts";
import { charterHash, type LogHead, parseCharter, signCharter } from "./log_charter.ts";
import type { Checkpoint } from "./log_checkpoint.ts";
import type { Head, LogPin } from "./log_envelope.ts";
import { encodeNoteHead } from "./log_note.ts";
import { newestCosignature } from "./log_note_key.ts";
import { auditHash, encodeTick, MAX_TICK_HEADS, registerHeads, type RoomHead } from "./log_tick.ts";
import { consistencyProof, Frontier, leafHash, type NodePlace, peakPlaces, rootAt } from "./log_tree.ts";
import type { HeadSigner } from "./room_heads.ts";
import { auditLeaf } from "./server_audit_log.ts";
import type { LogStore, StoredLog, StoredNote } from "./server_log_store.ts";

/** Rows of the audit log that one tick gives their leaves. */
const AUDIT_ROWS = 2_000;
/** Tokens that one tick names: as many as fit into one answer to those who ask for them. */
export const TOKENS_NAMED = 4;
/** How long the newest note may be open before it is closed again, in milliseconds. */
const LEFT_OPEN = 30_000;
/** How long a tick that failed waits for its next try, in milliseconds. */
const RETRY = 5_000;
/** How long closed notes without tokens are kept, in milliseconds: 400 days. */
const NOTES_KEPT = 400 * 86_400_000;
/** Roots of this log that are at hand: lines mostly name one of the newest. */
const ROOTS_KEPT = 256;

/** The key of the log. */
export interface LogKey {
  /** The C2SP vkey; its name is the log's origin. */
  readonly vkey: string;
  /** The log's origin. */
  readonly origin: string;
  /** The note with that text and the log's signature; no witness has cosigned it. */
  sign(text: string): Promise<string>;
}

/** The log's note with no signature but its own, and the proof that it continues an older size: ready for witnesses. */
export interface OpenNote extends Head {
  readonly note: string;
  readonly proof: (from: number) => Promise<readonly Bytes[]>;
}

/** What was wrong with the log as it was found. */
export type LogFault = "log_behind" | "log_fork";

/** What the server's log works with. */
export interface ServerLogOptions {
  readonly store: LogStore;
  readonly key: LogKey;
  /** The server's certificate of this moment: it signs the charter. */
  readonly signer: () => HeadSigner;
  readonly now: Clock;
  /** Runs something later, in milliseconds. */
  readonly later: (ms: number, run: () => void) => void;
  /** Seconds between two ticks at least (LOG_SECONDS). */
  readonly seconds: number;
  /** Seconds after which a tick is made although nothing is new, if somebody is in a session with rooms. */
  readonly stampSeconds: number;
  /** Seconds within which a checkpoint is registered: what a new charter promises. */
  readonly within: number;
  /** Whether somebody is in a session with rooms. */
  readonly isAttended: () => boolean;
  /** Writes the newest note to the disk; resolves when it is there. */
  readonly keepNewest: (note: string) => Promise<void>;
  /** The note that was written last; `undefined` if there is none. */
  readonly newestKept: () => Promise<LogHead | undefined>;
  /** Collects cosignatures; the note as it is closed. Without witnesses it answers at once. */
  readonly cosign: (note: OpenNote) => Promise<string>;
  /** A note was closed. `isNews`: rooms were registered since the one before, or somebody is in a session. */
  readonly closed?: (note: StoredNote, isNews: boolean) => void;
  /** Tells the operator what is wrong, once each. */
  readonly fault: (fault: LogFault, reason: string) => void;
  /** What went wrong with a tick, once until one is made. */
  readonly failed: (error: unknown) => void;
}

/** The server's log. */
export class ServerLog {
  readonly #options: ServerLogOptions;
  #log: StoredLog;
  /** Earlier logs of this server, newest first. */
  readonly #earlier: readonly StoredLog[];
  #newestClosed: StoredNote | undefined;
  /** Rooms whose newest checkpoint no tick registers yet, those that have waited longest first. */
  readonly #waiting = new Map<string, RoomHead>();
  /** Whether what waits is to be read from the store: at the start, and after another node ticked. */
  #isUnsure = true;
  /** When the last tick was made, unix milliseconds. */
  #tickedAt = 0;
  /** Whether ticks may be made, and whether one was wanted before. */
  #hasBegun = false;
  #isWaiting = false;
  #isPlanned = false;
  #hasFailed = false;
  #isEnded = false;
  /** Whether the note of the newest tick isn't on the disk yet: a full disk keeps it from being shown, not for good. */
  #isUnwritten = false;
  /** Whether a tick has registered rooms since the newest closed note. */
  #hasHeads = false;
  #fault: LogFault | undefined;
  #running: Promise<void> = Promise.resolve();
  #planning: Promise<void> = Promise.resolve();
  #closing: Promise<void> = Promise.resolve();
  readonly #roots = new Map<number, string>();
  /** The newest time from outside that a tick names, unix seconds. */
  #floor = 0;

  private constructor(options: ServerLogOptions, [log, ...earlier]: readonly [StoredLog, ...StoredLog[]]) {
    this.#options = options;
    this.#log = log;
    this.#earlier = earlier;
  }

  /** Opens the log of the key, and begins it if there is none. No tick is made before {@link begin}. */
  static async open(options: ServerLogOptions): Promise<ServerLog> {
    const { store, key } = options;
    let logs = await store.logs();
    if (logs[0] === undefined) {
      await startLog(options, logs);
      logs = await store.logs();
    }
    const [newest, ...earlier] = logs;
    if (!newest || newest.vkey !== key.vkey) throw new WrongLogKey(newest?.vkey);
    const log = new ServerLog(options, [newest, ...earlier]);
    log.#newestClosed = await store.closedNote(newest.id);
    log.#floor = Math.max(
      Math.floor(await store.newestTokenTime() / 1000),
      log.#newestClosed ? newestCosignature(log.#newestClosed.note) : 0,
    );
    await log.#compareWithKept();
    return log;
  }

  /** The origin of the log; `undefined` while it isn't shown, since it is behind or forked. */
  get origin(): string | undefined {
    return this.#fault === undefined ? this.#log.origin : undefined;
  }

  /** The log's size, root and charter. */
  get state(): StoredLog {
    return this.#log;
  }

  /** What is wrong with the log; `undefined` if nothing is. */
  get fault(): LogFault | undefined {
    return this.#fault;
  }

  /** Seconds between two ticks at least. */
  get seconds(): number {
    return this.#options.seconds;
  }

  /** No checkpoint states an earlier time than this, unix seconds: the log proves that it is past. */
  get timeFloor(): number {
    return this.#floor;
  }

  // ---- ticks

  /** Lets ticks be made: the witnesses have been asked whether this database is the newest. */
  begin(): void {
    this.#hasBegun = true;
    if (this.#isWaiting) this.due();
  }

  /** A room has a new checkpoint. */
  registers(origin: string, { time, size, root }: Checkpoint): void {
    this.#waiting.set(origin, { origin, time, size, root }); // a room that waits keeps its place
    this.due();
  }

  /** There may be something to register: a tick is made as soon as one may be. */
  due(): void {
    this.#isWaiting ||= !this.#hasBegun;
    if (!this.#hasBegun || this.#isPlanned || this.#fault !== undefined || this.#isEnded) return;
    this.#isPlanned = true;
    this.#options.later(this.#wait(), () => {
      this.#planning = this.#tickAndPlan();
    });
  }

  #wait(): number {
    const { now, seconds } = this.#options;
    return Math.max(0, 1000 * seconds - Math.max(0, now() - this.#tickedAt));
  }

  async #tickAndPlan(): Promise<void> {
    if (this.#isEnded) return;
    try {
      await this.tick();
      this.#hasFailed = false;
    } catch (error) {
      if (!this.#hasFailed) this.#options.failed(error);
      this.#hasFailed = true;
      this.#isUnsure = true;
      this.#options.later(RETRY, () => {
        this.#isPlanned = false;
        this.due();
      });
      return;
    }
    this.#isPlanned = false;
    this.due(); // the audit log, tokens and time itself can be reasons for another
  }

  /** Makes a tick now, if there is a reason for one; resolves when its note is signed and written. */
  tick(): Promise<void> {
    return this.#inTurn(() => this.#tick());
  }

  /** Does one thing after the other: whoever reads the log's row here sees it after a tick, never during one. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#running.then(work);
    this.#running = done.then(() => {}, () => {});
    return done;
  }

  async #tick(): Promise<void> {
    const { store, now } = this.#options;
    this.#tickedAt = now();
    if (this.#fault !== undefined) return;
    if (this.#isUnsure) await this.#readAgain();
    if (this.#fault !== undefined) return;
    if (this.#isUnwritten) await this.#showNewest();
    const log = this.#log;
    const draft = await this.#draft(log);
    if (!draft) return await this.#closeLeftOpen();
    if (!await store.appendTick(log, draft.stored)) {
      this.#isUnsure = true; // another node made it
      return;
    }
    for (const head of draft.stored.heads) {
      if (this.#waiting.get(head.origin)?.size === head.size) this.#waiting.delete(head.origin);
    }
    if (draft.stored.heads.length > 0) this.#hasHeads = true;
    if (draft.namedTime > this.#floor) this.#floor = draft.namedTime;
    this.#log = { ...log, size: log.size + 1, root: draft.stored.root, auditSize: draft.auditSize };
    this.#isUnwritten = true;
    await this.#showNewest();
  }

  /** Signs the newest note, writes it to the disk, and then has it closed. */
  async #showNewest(): Promise<void> {
    const log = this.#log;
    const note = await this.#signed(log);
    await this.#options.keepNewest(note);
    this.#isUnwritten = false;
    this.#closing = this.#close(note, log).catch(this.#options.failed);
  }

  async #draft(log: StoredLog) {
    const { store, now } = this.#options;
    const rows = await store.unloggedAudit(AUDIT_ROWS);
    const tokens = await store.unnamedTokens(log.id, TOKENS_NAMED);
    const isFirst = log.size === 0;
    const isOld = now() - this.#lastTickTime >= 1000 * this.#options.stampSeconds;
    const isWanted = this.#options.isAttended() && (tokens.length > 0 || isOld);
    if (!isFirst && this.#waiting.size === 0 && rows.length === 0 && !isWanted) return undefined;
    const note = await store.unnamedNote(log.id);
    const registration = registerHeads([...this.#waiting.values()].slice(0, MAX_TICK_HEADS + 64), log.size);
    const audit = await this.#auditDraft(log, rows);
    const tick = encodeTick({
      ...isFirst ? { charter: charterHash(log.charter) } : {},
      ...audit.hash === undefined ? {} : { audit: audit.hash },
      ...registration ? { heads: registration.heads } : {},
      ...note ? { note: note.hash } : {},
      ...tokens.length > 0 ? { tokens: tokens.map(({ hash }) => hash) } : {},
    });
    const frontier = new Frontier(log.size, await store.nodes(log.id, peakPlaces(log.size)));
    if (encodeHex(frontier.root()) !== log.root) {
      this.#is("log_fork", "the log's tree in the database has another root than the log");
      return undefined;
    }
    const nodes = frontier.append(leafHash(tick));
    this.#lastTickTime = now();
    return {
      stored: {
        tick,
        nodes,
        tags: registration?.tags ?? new Uint8Array(0),
        heads: registration?.registered ?? [],
        root: encodeHex(frontier.root()),
        ...note ? { note: note.size } : {},
        tokens: tokens.map(({ hash }) => hash),
        audit: { leaves: audit.leaves, nodes: audit.nodes },
      },
      auditSize: log.auditSize + audit.leaves.length,
      namedTime: Math.max(
        Math.floor(Math.max(0, ...tokens.map(({ time }) => time)) / 1000),
        note ? newestCosignature(note.note) : 0,
      ),
    };
  }

  /** When the last tick was made with something in it. */
  #lastTickTime = 0;

  async #auditDraft(log: StoredLog, rows: Awaited<ReturnType<LogStore["unloggedAudit"]>>) {
    if (rows.length === 0) return { leaves: [], nodes: [], hash: undefined };
    const { store } = this.#options;
    const tree = new Frontier(log.auditSize, await store.auditNodes(peakPlaces(log.auditSize)));
    const leaves = rows.map((row) => ({ id: row.id, leaf: auditLeaf(row) }));
    const nodes = leaves.flatMap(({ leaf }) => tree.append(leaf));
    return { leaves, nodes, hash: encodeHex(auditHash({ size: tree.size, root: encodeHex(tree.root()) })) };
  }

  /** Reads the log's row and what waits, since another node may have ticked, or this one doesn't know yet. */
  async #readAgain(): Promise<void> {
    const { store } = this.#options;
    const [row] = await store.logs();
    if (row && row.origin !== this.#log.origin) {
      return this.#is(
        "log_behind",
        `another log has begun in the database: ${row.origin}; start this server again with its key`,
      );
    }
    if (!row || row.size < this.#log.size) {
      return this.#is("log_behind", `the database has ${row?.size ?? 0} ticks of ${this.#log.size}`);
    }
    if (row.size === this.#log.size && row.root !== this.#log.root) {
      return this.#is("log_fork", `the database has another root for ${row.size} ticks`);
    }
    this.#log = row;
    const before = [...this.#waiting];
    const known = await store.unregistered(row.id, MAX_TICK_HEADS);
    // The store knows all heads that waited before it was asked: what it doesn't name, another node has registered.
    for (const [origin, head] of before) if (this.#waiting.get(origin) === head) this.#waiting.delete(origin);
    for (const head of known) {
      if ((this.#waiting.get(head.origin)?.size ?? 0) < head.size) this.#waiting.set(head.origin, head);
    }
    if (known.length < MAX_TICK_HEADS) this.#isUnsure = false;
  }

  #is(fault: LogFault, reason: string): void {
    if (this.#fault !== undefined) return;
    this.#fault = fault;
    this.#options.fault(fault, reason);
  }

  // ---- notes

  async #signed(head: LogHead): Promise<string> {
    return await this.#options.key.sign(encodeNoteHead(head));
  }

  async #close(open: string, { size, root }: Head): Promise<void> {
    const { store, cosign, now, closed } = this.#options;
    const log = this.#log;
    const note = await cosign({ note: open, size, root, proof: (from) => this.#consistency(from, size) });
    const bytes = encodeUtf8(note);
    const stored = { size, note: bytes, hash: encodeHex(sha256(bytes)) };
    if (!await store.closeNote(log.id, stored, now())) return await this.readClosed(); // another node closed it
    await store.dropNotes(now() - NOTES_KEPT);
    if (size > (this.#newestClosed?.size ?? 0)) this.#newestClosed = stored;
    closed?.(stored, this.#hasHeads || this.#options.isAttended());
    this.#hasHeads = false;
  }

  /** Reads which note is the newest closed one: another server on this database may have closed it. */
  async readClosed(): Promise<void> {
    const closed = await this.#options.store.closedNote(this.#log.id);
    if ((closed?.size ?? 0) > (this.#newestClosed?.size ?? 0)) this.#newestClosed = closed;
  }

  /** Closes the newest note if it is open for long: its server was killed, or the database was away. */
  async #closeLeftOpen(): Promise<void> {
    await this.readClosed();
    if (this.#options.now() - this.#lastTickTime < LEFT_OPEN) return;
    this.#closing = this.#closing.then(() => this.closeNewest()).catch(this.#options.failed);
  }

  readonly #read = (places: readonly NodePlace[]) => this.#options.store.nodes(this.#log.id, places);

  async #consistency(from: number, size: number): Promise<Bytes[]> {
    return await consistencyProof(from, size, this.#read);
  }

  /** The root at a size of this log; `undefined` beyond its end. */
  async rootAt(size: number): Promise<string | undefined> {
    if (size > this.#log.size) return undefined;
    const known = this.#roots.get(size);
    if (known !== undefined) return known;
    const root = encodeHex(await rootAt(size, this.#read));
    this.#roots.set(size, root);
    const [oldest] = this.#roots.keys();
    if (this.#roots.size > ROOTS_KEPT && oldest !== undefined) this.#roots.delete(oldest);
    return root;
  }

  /** The newest note as it is before it is closed. */
  async newestOpen(): Promise<OpenNote> {
    await this.#inTurn(() => this.#readAgain()); // another server on this database may have made a tick
    const { size, root } = this.#log;
    return { note: await this.#signed(this.#log), size, root, proof: (from) => this.#consistency(from, size) };
  }

  /** Closes the newest note if a crash left it open. */
  async closeNewest(): Promise<void> {
    const { size } = this.#log;
    if (size === 0 || size === this.#newestClosed?.size || this.#fault !== undefined) return;
    await this.#close(await this.#signed(this.#log), this.#log);
  }

  /** Compares the log with the note that this node wrote last: a database of yesterday is behind it. */
  async #compareWithKept(): Promise<void> {
    const kept = await this.#options.newestKept();
    if (kept) await this.compare(kept);
  }

  /** Compares the log with a head that its key signed: whoever shows it may know more than the database. */
  async compare({ origin, size, root }: LogHead): Promise<void> {
    if (origin !== this.#log.origin) return;
    if (size > this.#log.size) await this.#inTurn(() => this.#readAgain());
    if (size > this.#log.size) return this.#is("log_behind", `a note of ${size} ticks was signed; there are fewer`);
    if (await this.rootAt(size) !== root) this.#is("log_fork", `another root was signed for ${size} ticks`);
  }

  // ---- what members ask and say

  /** What is wrong with the `log` of an envelope: the size and root of this log that its author has seen. */
  async problemOf({ id, size, root }: LogPin): Promise<string | undefined> {
    const log = [this.#log, ...this.#earlier].find(({ origin }) => origin.endsWith(`/${id}`));
    if (!log) return "The line's log is none of this server's.";
    // A log that is behind doesn't know what it has signed: its members hold it against each other.
    if (this.#fault !== undefined && log.id === this.#log.id) return undefined;
    if (size > log.size && log === this.#log) await this.#inTurn(() => this.#readAgain());
    if (size > (log.id === this.#log.id ? this.#log : log).size) return "The line's log is longer than this server's.";
    const known = log.id === this.#log.id
      ? await this.rootAt(size)
      : encodeHex(await rootAt(size, (places) => this.#options.store.nodes(log.id, places)));
    return known === root ? undefined : "The line's log has another root than this server's.";
  }

  /** The newest closed note. */
  get newestClosed(): StoredNote | undefined {
    return this.#newestClosed;
  }

  /** The charter and where the newest closed note stands. */
  async summary(): Promise<{ charter: JsonObject; size: number; frontier: readonly Bytes[] }> {
    const size = this.#newestClosed?.size ?? 0;
    return { charter: this.#log.charter, size, frontier: await this.#read(peakPlaces(size)) };
  }

  /** Resolves when no tick is under way, and no note waits to be closed. */
  async settled(): Promise<void> {
    await this.#planning;
    await this.#running;
    await this.#closing;
  }

  /** Makes no more ticks; resolves when none is under way. */
  async end(): Promise<void> {
    this.#isEnded = true;
    await this.settled();
  }
}

/** The key file is not the one of the log in the database. */
export class WrongLogKey extends Error {
  constructor(readonly expected: string | undefined) {
    super("the key of the server's log is another one than the database knows");
  }
}

/** Begins a log with that key, behind those that there are. */
export async function startLog(
  { store, key, signer, now, within }: Pick<ServerLogOptions, "store" | "key" | "signer" | "now" | "within">,
  earlier: readonly StoredLog[],
): Promise<void> {
  const was = earlier.map(({ origin, size, root }) => ({ origin, size, root }));
  const time = Math.floor(now() / 1000);
  const charter = await signCharter({ time, vkey: key.vkey, was, within }, signer());
  if (!parseCharter(charter)) throw new RangeError("a charter of our own is one that everybody takes");
  await store.startLog({ origin: key.origin, vkey: key.vkey, charter }, earlier[0]?.origin);
}

/** The refusal of a question about the log if there is none, or if it is behind or forked. */
export function noLog(): ProtocolError {
  return new ProtocolError("no-room", "This server keeps no log of its rooms now.");
}
