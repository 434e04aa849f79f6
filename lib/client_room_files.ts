/**
 * What a client keeps of one room, in the files that `client_room_records.ts` describes.
 *
 *     const record = await RoomFiles.open(`${dir}/#ops`);
 *     await record.keep({ type: "line", index: 41, line, envelope });     resolves once it would survive a crash
 *
 * Writes that come while one is under way are made together. Words, and what is wrong with a line, are written before
 * the line itself: a line that is on the disk has its words, unless they were erased, and is bad if it was found bad.
 *
 * What the disk doesn't take stays due, and is written before anything later. It is tried again every few seconds
 * until the program ends.
 *
 * @layer outside
 */

import { type Bytes, encodeBase64, parseBase64 } from "./bytes.ts";
import { GrowingFile } from "./client_growing_file.ts";
import { headsToKeep, lastLines } from "./client_heads.ts";
import {
  type BadLine,
  badRow,
  doneRow,
  headRow,
  openingRows,
  parseBadRow,
  parseHeadRow,
  parseLie,
  parseRefused,
  seenRow,
  signedRows,
  takeUnsentRow,
  unsentRow,
} from "./client_room_rows.ts";
import type { Kept, KeptLine, KeptRoom, RoomRecord, UnsentLine } from "./client_store.ts";
import { EXIT, Failure, messageOf } from "./errors.ts";
import { createPrivateFolder, exists, explainFileError, readTextFile, writeAtomically } from "./files.ts";
import { GroupCommit } from "./group_commit.ts";
import { encodeJson, isJsonList, isJsonObject, type Json, type JsonObject, member, parseJson } from "./json.ts";
import { type Checkpoint, encodeCheckpoint, parseCheckpoint } from "./log_checkpoint.ts";
import { parseRoomLine } from "./log_line.ts";
import { encodeOpening, parseOpening } from "./log_receipt.ts";
import type { HistoryPolicy } from "./log_requests.ts";
import { PROGRAM } from "./program.ts";
import { parseLine } from "./transcript.ts";

/** Rows that later rows have made useless: with more of them, the file is written anew. */
const MAX_STALE_ROWS = 1_000;
/** When to try again what the disk did not take, in milliseconds. */
const RETRY_AFTER = 2_000;

/** Something to be written. */
type Write =
  | { readonly type: "log" }
  | { readonly type: "kept"; readonly kept: Kept }
  | { readonly type: "unsent"; readonly rows: readonly string[] };

/** The files of one room. */
export class RoomFiles implements RoomRecord {
  readonly #dir: string;
  #pinned: { readonly origin: string; readonly history: HistoryPolicy } | undefined;
  #base: { readonly size: number; readonly peaks: readonly Bytes[] } | undefined;
  readonly #transcript: GrowingFile;
  readonly #openings: GrowingFile;
  readonly #bad: GrowingFile;
  readonly #refused: GrowingFile;
  readonly #checkpoints: GrowingFile;
  readonly #unsentRows: GrowingFile;
  readonly #unsent = new Map<number, UnsentLine>();
  /** The lines that were read when the record was opened, until somebody asks for them: they don't stay in memory. */
  #lines: KeptLine[] = [];
  /** The sizes of the heads that our own lines name: their checkpoints are not thinned out. */
  readonly #seen = new Set<number>();
  // Due writes that are not rows of a growing file.
  #isLogDue = false;
  readonly #erasures = new Set<number>();
  #lie: (Kept & { readonly type: "lie" }) | undefined;
  /** Whether the file of unsent lines has to be written anew. */
  #isUnsentStale = false;
  /** Set while something is due that the disk did not take; resolved when nothing is due any more. */
  #late: PromiseWithResolvers<void> | undefined;
  #again: ReturnType<typeof setTimeout> | undefined;
  #isClosed = false;
  readonly #writes = new GroupCommit<Write>((writes) => this.#commit(writes));

  private constructor(dir: string) {
    this.#dir = dir;
    this.#transcript = new GrowingFile(`${dir}/transcript.txt`);
    this.#openings = new GrowingFile(`${dir}/openings.txt`);
    this.#bad = new GrowingFile(`${dir}/bad`);
    this.#refused = new GrowingFile(`${dir}/refused`);
    this.#checkpoints = new GrowingFile(`${dir}/checkpoints`);
    this.#unsentRows = new GrowingFile(`${dir}/unsent`);
  }

  /** Opens the folder of a room, and makes it if it isn't there. */
  static async open(dir: string): Promise<RoomFiles> {
    const record = new RoomFiles(dir);
    await guarded(`the room can't be kept in ${dir}`, async () => {
      await createPrivateFolder(dir);
      await record.#open();
    });
    return record;
  }

  /** Opens the folder for reading only, while another program may be writing: nothing is made or cut. */
  static async toRead(dir: string): Promise<RoomFiles> {
    const record = new RoomFiles(dir);
    const log = await readJson(`${dir}/log`);
    if (isJsonObject(log)) record.#readLog(log);
    return record;
  }

  async #open(): Promise<void> {
    const log = await readJson(`${this.#dir}/log`);
    if (isJsonObject(log)) this.#readLog(log);
    const texts: string[] = [];
    await this.#transcript.open(parseRoomLine, (_, row) => texts.push(row));
    const words = new Map<number, Bytes>();
    await this.#openings.open(parseOpening, ({ index, envelope }) => words.set(index, envelope));
    const first = this.#base?.size ?? 0;
    this.#lines = texts.map((line, at) => ({ line, envelope: words.get(first + at) ?? null }));
    await this.#checkpoints.open(parseHeadRow, (head) => {
      if (typeof head === "number") this.#seen.add(head);
    });
    if (this.#checkpoints.rows > MAX_STALE_ROWS) await this.#thinHeads();
    await this.#unsentRows.open((row) => parseJson(row), (row) => takeUnsentRow(row, this.#unsent));
    const end = first + texts.length;
    // A crash may have come after the words of a line and before the line: the server sends that line again.
    if (words.size > texts.length || this.#openings.rows !== words.size) {
      await this.#openings.replace(openingRows(words, end));
    }
    await this.#refused.open((row) => parseRefused(row)[0], () => {});
    const bad: BadLine[] = [];
    await this.#bad.open(parseBadRow, (one) => bad.push(one));
    if (bad.some(({ index }) => index >= end)) {
      await this.#bad.replace(bad.filter(({ index }) => index < end).map(badRow));
    }
  }

  #readLog(log: JsonObject): void {
    const [origin, history, base] = ["origin", "history", "base"].map((name) => member(log, name));
    if (typeof origin !== "string") return;
    this.#pinned = { origin, history: history === "since_join" ? "since_join" : "all" };
    if (!isJsonObject(base)) return;
    const [size, peaks] = [member(base, "size"), member(base, "peaks")];
    if (typeof size !== "number" || peaks === undefined || !isJsonList(peaks)) return;
    this.#base = { size, peaks: peaks.flatMap((peak) => (typeof peak === "string" && parseBase64(peak)) || []) };
  }

  get pinned(): { readonly origin: string; readonly history: HistoryPolicy } | undefined {
    return this.#pinned;
  }

  /** Where the room's files are. */
  get dir(): string {
    return this.#dir;
  }

  pin(origin: string, history: HistoryPolicy): Promise<void> {
    this.#pinned = { origin, history };
    return this.#writes.add({ type: "log" });
  }

  async #writeLog(): Promise<void> {
    const { size, peaks } = this.#base ?? { size: 0, peaks: [] };
    const base = this.#base ? { base: { size, peaks: peaks.map(encodeBase64) } } : {};
    await writeAtomically(`${this.#dir}/log`, encodeJson({ ...this.#pinned, ...base }), { mode: 0o600, replace: true });
  }

  /** What is on the disk. The first call answers with what was read at opening; later ones read the files again. */
  async read(): Promise<KeptRoom> {
    await this.#writes.settled();
    const lines = this.#lines.length > 0 ? this.#lines : await this.#readLines();
    this.#lines = [];
    const lie = await readJson(`${this.#dir}/lie`);
    const bad = await exists(this.#bad.path) ? await rowsOf(this.#bad.path) : []; // a folder that is only read may lack the file
    return {
      ...{ base: this.#base, lines, checkpoints: await this.checkpoints(), lie: parseLie(lie) },
      refused: await exists(this.#refused.path) ? (await rowsOf(this.#refused.path)).flatMap(parseRefused) : [],
      bad: new Map(bad.map(parseBadRow).flatMap((one) => one ? [[one.index, one]] : [])),
    };
  }

  async #readLines(): Promise<KeptLine[]> {
    const texts = await rowsOf(this.#transcript.path); // lines first: then the words of each line that was read are on the disk
    const words = new Map<number, Bytes>();
    for (const row of await rowsOf(this.#openings.path)) {
      const opening = parseOpening(row);
      if (!opening) {
        const mend = `start ${PROGRAM} rooms once to repair it`;
        throw new Failure(EXIT.unavailable, `${this.#openings.path} is damaged; ${mend}`);
      }
      words.set(opening.index, opening.envelope);
    }
    const first = this.#base?.size ?? 0;
    return texts.map((line, at) => ({ line, envelope: words.get(first + at) ?? null }));
  }

  /** Every checkpoint that was kept, in the order of sizes: one of an earlier size may have been asked for later. */
  async checkpoints(): Promise<Checkpoint[]> {
    await this.#writes.settled();
    const heads = (await rowsOf(this.#checkpoints.path)).flatMap((row) => parseCheckpoint(parseJson(row)) ?? []);
    return heads.sort((one, other) => one.size - other.size);
  }

  keep(kept: Kept): Promise<void> {
    return this.#writes.add({ type: "kept", kept });
  }

  written(): Promise<void> {
    return this.#late?.promise ?? Promise.resolve();
  }

  // Unsent lines.

  get unsent(): readonly UnsentLine[] {
    return [...this.#unsent.values()];
  }

  putUnsent(line: UnsentLine): Promise<void> {
    const isKnown = this.#unsent.has(line.key);
    this.#unsent.set(line.key, line);
    return this.#writes.add({ type: "unsent", rows: [...(isKnown ? [] : [unsentRow(line)]), ...signedRows(line)] });
  }

  removeUnsent(key: number): Promise<void> {
    if (!this.#unsent.delete(key)) return Promise.resolve();
    return this.#writes.add({ type: "unsent", rows: [doneRow(key)] });
  }

  // Writing.

  async #commit(writes: readonly Write[]): Promise<void> {
    for (const write of writes) {
      if (write.type === "kept") this.#owe(write.kept);
      else if (write.type === "log") this.#isLogDue = true;
    }
    clearTimeout(this.#again);
    const unsent = writes.flatMap((write) => write.type === "unsent" ? write.rows : []);
    try {
      await this.#writeDue();
      await this.#writeUnsent(unsent);
      this.#late?.resolve();
      this.#late = undefined;
    } catch (error) {
      if (unsent.length > 0) this.#isUnsentStale = true;
      this.#late ??= Promise.withResolvers();
      if (!this.#isClosed) this.#again = setTimeout(() => this.#tryAgain(), RETRY_AFTER);
      const why = explainFileError(error, this.#dir, "written");
      await guarded(`the room can't be kept in ${this.#dir}`, () => Promise.reject(why));
    }
  }

  #owe(kept: Kept): void {
    switch (kept.type) {
      case "base":
        this.#base = { size: kept.size, peaks: kept.peaks };
        this.#isLogDue = true;
        break;
      case "line":
        if (kept.envelope) this.#openings.due.push(encodeOpening({ index: kept.index, envelope: kept.envelope }));
        this.#transcript.due.push(`${kept.line}\n`);
        break;
      case "bad":
        this.#bad.due.push(badRow(kept));
        break;
      case "refused":
        this.#refused.due.push(`${encodeJson({ refused: kept.leaf })}\n`);
        break;
      case "checkpoint":
        this.#checkpoints.due.push(headRow(kept.checkpoint));
        break;
      case "seen":
        if (!this.#seen.has(kept.size)) this.#checkpoints.due.push(seenRow(kept.size));
        this.#seen.add(kept.size);
        break;
      case "erasure":
        this.#erasures.add(kept.index);
        break;
      case "lie":
        this.#lie = kept;
    }
  }

  /** Words and faults first, then the lines, then what depends on the lines. */
  async #writeDue(): Promise<void> {
    if (this.#isLogDue) await this.#writeLog();
    this.#isLogDue = false;
    for (const file of [this.#openings, this.#bad, this.#refused, this.#transcript, this.#checkpoints]) {
      await file.flush();
    }
    if (this.#erasures.size > 0) {
      await this.#erase(this.#erasures);
      this.#erasures.clear();
      this.#isUnsentStale = true; // the unsent lines may hold the same words
    }
    if (!this.#lie) return;
    const { lie, reason, heads } = this.#lie;
    const text = encodeJson({ lie, reason, heads: heads.map(encodeCheckpoint) });
    await writeAtomically(`${this.#dir}/lie`, text, { mode: 0o600, replace: true });
    this.#lie = undefined;
  }

  #tryAgain(): Promise<void> {
    return this.#writes.add({ type: "unsent", rows: [] }).catch(() => {}); // the first failure was reported
  }

  /** A busy room has a checkpoint every second; few of them are of use later. */
  async #thinHeads(): Promise<void> {
    const heads = await this.checkpoints();
    const authors = this.#lines.map(({ line }) => parseLine(line)?.signer ?? "");
    const needed = headsToKeep(heads, lastLines(authors, this.#base?.size ?? 0));
    const left = heads.filter((head, at) => at === heads.length - 1 || this.#seen.has(head.size) || needed.has(head));
    if (left.length === heads.length) return;
    await this.#checkpoints.replace([...left.map(headRow), ...[...this.#seen].map(seenRow)]);
  }

  async #erase(indexes: ReadonlySet<number>): Promise<void> {
    this.#lines = [];
    const rows = await rowsOf(this.#openings.path);
    const left = rows.filter((row) => !indexes.has(parseOpening(row)?.index ?? -1));
    await this.#openings.replace(left.map((row) => `${row}\n`));
  }

  /** Appends rows to the file of unsent lines; empties it when no line waits any more. */
  async #writeUnsent(rows: readonly string[]): Promise<void> {
    const isLong = this.#unsentRows.rows + rows.length > MAX_STALE_ROWS + 2 * this.#unsent.size;
    if (this.#isUnsentStale || (isLong && rows.length > 0)) {
      await this.#unsentRows.replace(this.unsent.flatMap((line) => [unsentRow(line), ...signedRows(line)]));
      this.#isUnsentStale = false;
    } else if (rows.length > 0) {
      if (this.#unsent.size === 0) await this.#unsentRows.clear();
      else await this.#unsentRows.append(rows);
    }
  }

  /** Waits for writes under way, tries once more what the disk did not take, and closes the files. */
  async close(): Promise<void> {
    await this.#writes.settled();
    if (this.#late) await this.#tryAgain();
    this.#isClosed = true;
    clearTimeout(this.#again);
    const files = [this.#transcript, this.#openings, this.#bad, this.#refused, this.#checkpoints, this.#unsentRows];
    for (const file of files) file.close();
  }
}

async function rowsOf(path: string): Promise<string[]> {
  return (await readTextFile(path)).split("\n").slice(0, -1);
}

/** The JSON in a file; `undefined` if there is no such file. */
export async function readJson(path: string): Promise<Json | undefined> {
  if (!await exists(path)) return undefined;
  return parseJson(await readTextFile(path));
}

/** Does something with files: what fails is a {@link Failure} (5) that says what to do. */
export async function guarded<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof Failure) throw error;
    const reason = messageOf(error);
    throw new Failure(EXIT.unavailable, `${what} (${reason}); make it writable, or choose another with --transcripts`);
  }
}
