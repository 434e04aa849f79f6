/**
 * What a client keeps of the rooms of a server, in TRANSCRIPT_DIR/rooms/<server>/ (`client_servers.ts` says which):
 *
 *     lock                     held by the program that uses them
 *     server                   whose key and name the server has, and where it was reached
 *     account                  {"username":"ada","email":"ada@example.org"}: whose records these are, and the last login
 *     token                    the session's token, base64: who has it is logged in for a day
 *     rooms                    ["#ops","@ada,@bob"]: where this client was last
 *     current                  "#ops": the room that was looked at last
 *     devices                  one {"fingerprint":…,"username":…} a line: whose certificates were seen;
 *                              {"fingerprint":…,"vouched_by":…}: which of them said that this one is theirs too
 *     certificates/<hex>.pem   authors and servers, with their intermediates
 *     #ops/log                 {"origin":…,"history":"all"}, and where the lines begin if not at 0
 *     #ops/transcript.txt      the lines, as every transcript
 *     #ops/openings.txt        index<TAB>base64(envelope): the words of those that aren't erased
 *     #ops/bad                 one {"index":7,"reason":…} a line that was found bad when it came, or when it was covered;
 *                              {…,"counts":true}: what it says counts all the same
 *     #ops/refused             one {"refused":"<leaf hash>"} a line of one's own that the server has refused
 *     #ops/checkpoints         one a line, each checked; {"seen":41}: a line of one's own names that one
 *     #ops/unsent              lines that are not known to be accepted: {"key":7,"ts":…,"statement":…}, signed
 *                              {"key":7,"by":…,"post":…}; {"key":7}: it is accepted, or given up
 *     #ops/lie                 at what the server was caught, with the heads that convict it
 *     #ops~1/                  the same of a log that was given up: evidence, which nothing here reads
 *
 * Everything is readable by its owner alone. Files grow at their end and are flushed before anybody is told; a torn end
 * is cut off when they are read. What is said of a line is on the disk before it: a line that is there has its words,
 * unless they were erased, and is bad if it was. Erasing writes the files that held the words anew without them. What
 * is checked is `client_log_monitor.ts`.
 *
 * What the disk does not take stays due, and is written before anything later: a file has no hole, and where there is
 * room again nothing is lacking. Until the program ends it is tried again every few seconds.
 *
 * An export takes no lock and reads while another program writes: the lines before their words and the heads, so that
 * no line lacks what was there for it, and whole rows alone.
 *
 * @layer outside
 */

import { type Bytes, encodeBase64, encodeUtf8, parseBase64 } from "./bytes.ts";
import type { Certificate } from "./x509.ts";
import {
  findRecord,
  folderName,
  knownRecord,
  noteServer,
  oldRecord,
  type RecordChoice,
  type ShownServer,
} from "./client_servers.ts";
import { type Checkpoint, encodeCheckpoint, parseCheckpoint } from "./log_checkpoint.ts";
import { headsToKeep, lastLines } from "./client_heads.ts";
import { PROGRAM } from "./config.ts";
import type { Statement } from "./log_envelope.ts";
import { EXIT, Failure } from "./errors.ts";
import { createPrivateFolder, exists, explain, lockFile, readTextFile, shellWord, writeAtomically } from "./files.ts";
import { GroupCommit } from "./group_commit.ts";
import { encodeJson, isJsonList, isJsonObject, type Json, type JsonObject, member, parseJson } from "./json.ts";
import { recoverLines } from "./line_file.ts";
import { isRoomName, usernameKey } from "./names.ts";
import type { Pin } from "./client_pins.ts";
import type { ClientStore } from "./client_rooms.ts";
import type { Lie } from "./client_event.ts";
import { parseRoomLine } from "./log_line.ts";
import type { RoomRecord, UnsentLine } from "./client_room.ts";
import type { HistoryPolicy, PostFields } from "./log_frames.ts";
import { encodeOpening, parseOpening } from "./log_receipt.ts";
import type { Fault, Kept, KeptLine, KeptRoom } from "./client_log_monitor.ts";
import { parseLine } from "./transcript.ts";

/** Rows of a file that say what later ones take back, before it is written anew. */
const MAX_STALE_ROWS = 1_000;

/** How long to wait for another program that uses the same records, in milliseconds. */
const LOCK_WAIT = 2_000;
/** When to try again what the disk did not take, in milliseconds. */
const RETRY_AFTER = 2_000;

/** A file of lines that grows at its end. */
class GrowingFile {
  readonly path: string;
  #isOpen = false;
  #file: Deno.FsFile | undefined;
  /** How many rows it has. */
  rows = 0;
  /** Rows that are to be written, in their order: they stay until the disk has taken them. */
  readonly due: string[] = [];
  /** How many bytes of them are on the disk. */
  #size = 0;
  /** Whether there may be a part of a row behind them. */
  #isTorn = false;

  constructor(path: string) {
    this.path = path;
  }

  /** Gives every whole row, cuts a torn end, and stays open for what comes. */
  async open<T>(parse: (row: string) => T | undefined, take: (parsed: T, row: string) => void): Promise<void> {
    const file = await Deno.open(this.path, { read: true, write: true, create: true, mode: 0o600 });
    this.rows = 0;
    const { damaged, size } = await recoverLines(file, parse, (parsed, row) => {
      this.rows += 1;
      take(parsed, row);
    });
    if (damaged) {
      file.close();
      throw new Failure(
        EXIT.unavailable,
        `${this.path} is damaged in its middle; move its folder away, and the room is taken from the server again`,
      );
    }
    await file.seek(0, Deno.SeekMode.End);
    this.#file = file;
    this.#size = size;
    this.#isOpen = true;
  }

  /** The file, at the end of its whole rows. */
  async #ready(): Promise<Deno.FsFile> {
    if (!this.#isOpen) throw new Failure(EXIT.unavailable, `${this.path} is closed`);
    if (!this.#file) {
      this.#file = await Deno.open(this.path, { write: true, append: true });
      this.#size = (await this.#file.stat()).size;
    }
    if (this.#isTorn) {
      await this.#file.truncate(this.#size);
      await this.#file.seek(0, Deno.SeekMode.End);
      this.#isTorn = false;
    }
    return this.#file;
  }

  /** Resolves once the rows, each with its LF, are on the disk; where that fails none of them is. */
  async append(rows: readonly string[]): Promise<void> {
    if (rows.length === 0) return;
    const file = await this.#ready();
    const bytes = encodeUtf8(rows.join(""));
    try {
      this.#isTorn = true;
      for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
      await file.syncData();
      this.#isTorn = false;
      this.rows += rows.length;
      this.#size += bytes.length;
    } catch (error) {
      await this.#ready().catch(() => {}); // else before the next rows
      throw error;
    }
  }

  /** Resolves once what is due is on the disk. */
  async flush(): Promise<void> {
    await this.append(this.due);
    this.due.length = 0;
  }

  /** Takes all rows out. A crash may bring them back. */
  async clear(): Promise<void> {
    await this.#ready();
    this.rows = this.#size = 0;
    this.#isTorn = true;
    await this.#ready();
  }

  /** Puts other rows in the place of all; where that fails they are there still, and it goes on behind them. */
  async replace(rows: readonly string[]): Promise<void> {
    (await this.#ready()).close(); // on Windows an open file isn't replaced
    this.#file = undefined;
    await writeAtomically(this.path, rows.join(""), { mode: 0o600, replace: true });
    this.rows = rows.length;
  }

  close(): void {
    this.#file?.close();
    this.#file = undefined;
    this.#isOpen = false;
  }
}

/** All rooms of one server. */
export class RoomRecords implements ClientStore {
  /** `undefined` until the server has shown which one it is. */
  #dir: string | undefined;
  readonly #choice: RecordChoice | undefined;
  readonly #rooms = new Map<string, Promise<StoredRoomRecord>>();
  #devices: GrowingFile | undefined;
  readonly #pins: Pin[] = [];
  #writing: Promise<unknown> = Promise.resolve();
  /** Held: two programs that write the same files would spoil them. */
  #lock: Deno.FsFile | undefined;
  #open = StoredRoomRecord.open;

  private constructor(dir: string | undefined, choice?: RecordChoice) {
    this.#dir = dir;
    this.#choice = choice;
  }

  /** Opens the record of that name below TRANSCRIPT_DIR; makes it where there is none. */
  static async open(transcripts: string, name: string): Promise<RoomRecords> {
    const records = new RoomRecords(undefined);
    await records.#take(`${transcripts}/rooms/${folderName(name)}`);
    return records;
  }

  /**
   * The records of the server at an address. Where it isn't known yet which server that is, they are empty, and nothing
   * is kept, until {@link meet}.
   */
  static async of(choice: RecordChoice, authorities: readonly Certificate[]): Promise<RoomRecords> {
    const records = new RoomRecords(undefined, choice);
    const dir = await knownRecord(choice, authorities);
    if (dir !== undefined) await records.#take(dir);
    return records;
  }

  /** For an export, while another program may be using them: rooms and certificates are read, and nothing is made. */
  static async toRead(dir: string): Promise<RoomRecords> {
    const records = new RoomRecords(dir);
    records.#open = StoredRoomRecord.toRead;
    try {
      for await (const _ of Deno.readDir(dir)) break;
      return records;
    } catch (error) {
      const what = error instanceof Deno.errors.NotFound
        ? `there is no ${dir}, where rooms would be kept`
        : `${dir} can't be read`;
      throw new Failure(EXIT.usage, `${what}; name their server with --host, or their folder with --transcripts`);
    }
  }

  /**
   * The server has shown who it is. Where the records were not known to be of any server, they are now its own, and
   * have to be read: `isNew`. Failure (4) where they are another server's.
   */
  async meet(shown: ShownServer): Promise<{ readonly isNew: boolean; readonly notice?: string }> {
    const known = this.#dir;
    const { dir, notice } = known !== undefined || !this.#choice
      ? { dir: known ?? "", notice: undefined }
      : await findRecord(this.#choice, shown);
    if (known === undefined) await this.#take(dir);
    await noteServer(dir, shown, this.#choice);
    return { isNew: known === undefined, ...(notice === undefined ? {} : { notice }) };
  }

  /** Opens a folder for writing. */
  async #take(dir: string): Promise<void> {
    await guarded(`rooms can't be kept in ${dir}`, async () => {
      await createPrivateFolder(`${dir}/certificates`);
      this.#lock = await lockOf(dir);
      this.#devices = new GrowingFile(`${dir}/devices`);
      await this.#devices.open(parsePin, (pin) => this.#pins.push(pin));
    });
    this.#dir = dir;
  }

  /** The folder; that above, while it isn't known which server it is. */
  get dir(): string {
    return this.#dir ?? this.#choice?.folder ?? "";
  }

  /** The records of the server at an address, to see who somebody is there, while another program may be using them. */
  static async toLookAt(choice: RecordChoice, authorities: readonly Certificate[]): Promise<RoomRecords> {
    return new RoomRecords(await knownRecord(choice, authorities) ?? await oldRecord(choice));
  }

  /** Failure (2) where these are somebody else's records. */
  async mustServe(username: string): Promise<void> {
    const owner = await this.account();
    if (owner !== undefined && usernameKey(owner) !== usernameKey(username)) {
      throw new Failure(
        EXIT.usage,
        `${this.#dir} holds the rooms of ${owner}, not of ${username}; choose another folder with --transcripts`,
      );
    }
  }

  /** Says whose records these are, and how they logged in. Failure (2) where they are somebody else's. */
  async claim(username: string, email?: string): Promise<void> {
    await this.mustServe(username);
    const owner = await this.account();
    const known = await this.email();
    if (owner !== undefined && (email === undefined || email === known)) return;
    await this.#write(
      "account",
      encodeJson({ username: owner ?? username, ...(email === undefined ? {} : { email }) }),
    );
  }

  /** The e-mail address of the last login; `undefined` where none is known. */
  async email(): Promise<string | undefined> {
    const found = await this.#readJson("account");
    const email = isJsonObject(found) ? member(found, "email") : undefined;
    return typeof email === "string" ? email : undefined;
  }

  /** Whose records these are; `undefined` before anybody has claimed them. */
  async account(): Promise<string | undefined> {
    const found = await this.#readJson("account");
    const owner = isJsonObject(found) ? member(found, "username") : undefined;
    return typeof owner === "string" ? owner : undefined;
  }

  /** The token with which the session goes on; `undefined` where there is none. */
  async token(): Promise<Bytes | undefined> {
    const found = await this.#readJson("token");
    return typeof found === "string" ? parseBase64(found) : undefined;
  }

  /** Whether there is a token, or will be when the server has shown who it is. */
  async mayHaveToken(): Promise<boolean> {
    if (this.#dir !== undefined) return await this.token() !== undefined;
    const old = this.#choice && await oldRecord(this.#choice);
    return old !== undefined && await exists(`${old}/token`);
  }

  /** Keeps a token, or forgets it. */
  async keepToken(token: Bytes | undefined): Promise<void> {
    if (token) await this.#write("token", encodeJson(encodeBase64(token)));
    else await Deno.remove(`${this.#dir}/token`).catch(() => {});
  }

  room(name: string): Promise<StoredRoomRecord> {
    const known = this.#rooms.get(name);
    if (known) return known;
    if (!isRoomName(name)) throw new RangeError(`${name} is no room`);
    if (this.#dir === undefined) {
      return Promise.reject(new Failure(EXIT.unavailable, "the server was not reached yet, so its rooms aren't known"));
    }
    const opening = this.#open(`${this.#dir}/${name}`);
    this.#rooms.set(name, opening);
    opening.catch(() => this.#rooms.delete(name));
    return opening;
  }

  async putAside(name: string): Promise<string> {
    await (await this.room(name)).close();
    this.#rooms.delete(name);
    const from = `${this.#dir}/${name}`;
    return await guarded(`the room can't be moved away from ${from}`, async () => {
      let n = 1;
      while (await exists(`${from}~${n}`)) n += 1; // no room's name has a tilde
      await Deno.rename(from, `${from}~${n}`);
      return `${from}~${n}`;
    });
  }

  async rooms(): Promise<readonly string[]> {
    const found = await this.#readJson("rooms");
    return found !== undefined && isJsonList(found)
      ? found.flatMap((name) => typeof name === "string" && isRoomName(name) ? [name] : [])
      : [];
  }

  keepRooms(names: readonly string[]): Promise<void> {
    const written = this.#writing.then(() => this.#write("rooms", encodeJson(names)));
    this.#writing = written.catch(() => {});
    return written;
  }

  /** The room that was looked at last; `undefined` where none was. */
  async current(): Promise<string | undefined> {
    const name = await this.#readJson("current");
    return typeof name === "string" && isRoomName(name) ? name : undefined;
  }

  keepCurrent(room: string): Promise<void> {
    const written = this.#writing.then(() => this.#write("current", encodeJson(room)));
    this.#writing = written.catch(() => {});
    return written;
  }

  async certificate(fingerprint: string): Promise<string | undefined> {
    return await readTextFile(`${this.#dir}/certificates/${fingerprint}.pem`).catch(() => undefined);
  }

  async keepCertificate(fingerprint: string, pem: string): Promise<void> {
    await this.#write(`certificates/${fingerprint}.pem`, pem);
  }

  pins(): Promise<readonly Pin[]> {
    return Promise.resolve(this.#pins);
  }

  keepPin(pin: Pin): Promise<void> {
    const written = this.#writing.then(() => this.#devices?.append([`${encodeJson(pin)}\n`]));
    this.#writing = written.catch(() => {});
    return written;
  }

  /** Closes all files, once what is under way is written. */
  async close(): Promise<void> {
    for (const room of this.#rooms.values()) await room.then((one) => one.close(), () => {});
    await this.#writing;
    this.#devices?.close();
    this.#lock?.close();
    this.#lock = undefined;
  }

  async #readJson(name: string): Promise<Json | undefined> {
    return this.#dir === undefined ? undefined : await readJson(`${this.#dir}/${name}`);
  }

  async #write(name: string, text: string): Promise<void> {
    if (this.#dir === undefined) return; // nothing is kept before it is known for which server
    await writeAtomically(`${this.#dir}/${name}`, text, { mode: 0o600, replace: true });
  }
}

/** What waits to be written. */
type Write =
  | { readonly type: "log" }
  | { readonly type: "kept"; readonly kept: Kept }
  | { readonly type: "unsent"; readonly rows: readonly string[] };

/** The files of one room. */
export class StoredRoomRecord implements RoomRecord {
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
  /** What was read and not asked for yet: the lines don't stay in memory. */
  #lines: KeptLine[] = [];
  /** The sizes of the heads that lines of one's own name. */
  readonly #seen = new Set<number>();
  // What is due and no row of a file.
  #isLogDue = false;
  readonly #erasures = new Set<number>();
  #lie: (Kept & { readonly type: "lie" }) | undefined;
  /** Whether the file of unsent lines is to be written anew. */
  #isUnsentStale = false;
  /** Settled when nothing is due any more; there while something is that the disk did not take. */
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

  /** Opens the folder of a room; makes it where there is none. */
  static async open(dir: string): Promise<StoredRoomRecord> {
    const record = new StoredRoomRecord(dir);
    await guarded(`the room can't be kept in ${dir}`, async () => {
      await createPrivateFolder(dir);
      await record.#open();
    });
    return record;
  }

  /** The same of another program: what it holds is read when it is asked for, and nothing is made or cut. */
  static async toRead(dir: string): Promise<StoredRoomRecord> {
    const record = new StoredRoomRecord(dir);
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
    await this.#unsentRows.open((row) => parseJson(row), (row) => this.#readUnsent(row));
    const end = first + texts.length;
    // Where a crash came between a line and what was said of it before, the line comes again.
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

  /** What is on the disk: read when it was opened, once, and again for whoever asks later. */
  async read(): Promise<KeptRoom> {
    await this.#writes.settled();
    const lines = this.#lines.length > 0 ? this.#lines : await this.#readLines();
    this.#lines = [];
    const lie = await readJson(`${this.#dir}/lie`);
    const bad = await exists(this.#bad.path) ? await rowsOf(this.#bad.path) : []; // an export's room may have none
    return {
      ...{ base: this.#base, lines, checkpoints: await this.checkpoints(), lie: parseLie(lie) },
      refused: await exists(this.#refused.path) ? (await rowsOf(this.#refused.path)).flatMap(parseRefused) : [],
      bad: new Map(bad.map(parseBadRow).flatMap((one) => one ? [[one.index, one]] : [])),
    };
  }

  async #readLines(): Promise<KeptLine[]> {
    const texts = await rowsOf(this.#transcript.path); // first: a line that is there has its words
    const words = new Map<number, Bytes>();
    for (const row of await rowsOf(this.#openings.path)) {
      const opening = parseOpening(row);
      if (!opening) {
        const mend = `start ${PROGRAM} rooms once, which mends what a crash left`;
        throw new Failure(EXIT.unavailable, `${this.#openings.path} is damaged; ${mend}`);
      }
      words.set(opening.index, opening.envelope);
    }
    const first = this.#base?.size ?? 0;
    return texts.map((line, at) => ({ line, envelope: words.get(first + at) ?? null }));
  }

  /** Every signed head that was kept, by their sizes: an earlier one may have been asked for later. */
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
    const { key, statement, ts, post, by } = line;
    const isKnown = this.#unsent.has(key);
    this.#unsent.set(key, line);
    const rows = [
      ...(isKnown ? [] : [encodeJson({ key, ts, statement })]),
      ...(post ? [encodeJson({ key, by, post: encodePost(post) })] : []),
    ];
    return this.#writes.add({ type: "unsent", rows: rows.map((row) => `${row}\n`) });
  }

  removeUnsent(key: number): Promise<void> {
    if (!this.#unsent.delete(key)) return Promise.resolve();
    return this.#writes.add({ type: "unsent", rows: [`${encodeJson({ key })}\n`] });
  }

  #readUnsent(row: Json): void {
    if (!isJsonObject(row)) return;
    const [key, ts, statement, post, by] = ["key", "ts", "statement", "post", "by"].map((name) => member(row, name));
    if (typeof key !== "number") return;
    const known = this.#unsent.get(key);
    if (isJsonObject(statement) && typeof ts === "number") {
      this.#unsent.set(key, { key, ts, statement: statement as unknown as Statement, post: undefined });
    } else if (known) {
      const signed = isJsonObject(post) ? parsePost(post) : undefined;
      if (signed) this.#unsent.set(key, { ...known, post: signed, ...(typeof by === "string" ? { by } : {}) });
      else this.#unsent.delete(key);
    }
  }

  #unsentAsRows(): string[] {
    return this.unsent.flatMap(({ key, ts, statement, post, by }) => [
      `${encodeJson({ key, ts, statement })}\n`,
      ...(post ? [`${encodeJson({ key, by, post: encodePost(post) })}\n`] : []),
    ]);
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
      const why = explain(error, this.#dir, "written");
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

  /** Words first and what is bad, then the lines; then what can only be said once these are there. */
  async #writeDue(): Promise<void> {
    if (this.#isLogDue) await this.#writeLog();
    this.#isLogDue = false;
    for (const file of [this.#openings, this.#bad, this.#refused, this.#transcript, this.#checkpoints]) {
      await file.flush();
    }
    if (this.#erasures.size > 0) {
      await this.#erase(this.#erasures);
      this.#erasures.clear();
      this.#isUnsentStale = true; // there may be words of the same lines
    }
    if (!this.#lie) return;
    const { lie, reason, heads } = this.#lie;
    const text = encodeJson({ lie, reason, heads: heads.map(encodeCheckpoint) });
    await writeAtomically(`${this.#dir}/lie`, text, { mode: 0o600, replace: true });
    this.#lie = undefined;
  }

  #tryAgain(): Promise<void> {
    return this.#writes.add({ type: "unsent", rows: [] }).catch(() => {}); // it was told when it failed first
  }

  /** A busy room has a head every second: few of them are of use later. */
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

  /** What is accepted leaves no trace here once nothing else waits. */
  async #writeUnsent(rows: readonly string[]): Promise<void> {
    const isLong = this.#unsentRows.rows + rows.length > MAX_STALE_ROWS + 2 * this.#unsent.size;
    if (this.#isUnsentStale || (isLong && rows.length > 0)) {
      await this.#unsentRows.replace(this.#unsentAsRows());
      this.#isUnsentStale = false;
    } else if (rows.length > 0) {
      if (this.#unsent.size === 0) await this.#unsentRows.clear();
      else await this.#unsentRows.append(rows);
    }
  }

  /** Closes the files, once what is under way is written; what the disk did not take is tried once more. */
  async close(): Promise<void> {
    await this.#writes.settled();
    if (this.#late) await this.#tryAgain();
    this.#isClosed = true;
    clearTimeout(this.#again);
    const files = [this.#transcript, this.#openings, this.#bad, this.#refused, this.#checkpoints, this.#unsentRows];
    for (const file of files) file.close();
  }
}

function headRow(head: Checkpoint): string {
  return `${encodeJson(encodeCheckpoint(head))}\n`;
}

function seenRow(size: number): string {
  return `${encodeJson({ seen: size })}\n`;
}

function parseHeadRow(row: string): Checkpoint | number | undefined {
  const value = parseJson(row);
  const seen = isJsonObject(value) ? member(value, "seen") : undefined;
  return typeof seen === "number" ? seen : parseCheckpoint(value);
}

/** What was found of a line. */
interface BadLine extends Fault {
  readonly index: number;
}

function badRow({ index, reason, counts }: BadLine): string {
  return `${encodeJson({ index, reason, ...(counts ? { counts } : {}) })}\n`;
}

function parseBadRow(row: string): BadLine | undefined {
  const value = parseJson(row);
  if (!isJsonObject(value)) return undefined;
  const [index, reason] = [member(value, "index"), member(value, "reason")];
  const counts = member(value, "counts") === true;
  return typeof index === "number" && typeof reason === "string" ? { index, reason, counts } : undefined;
}

function parseRefused(row: string): string[] {
  const value = parseJson(row);
  const leaf = isJsonObject(value) ? member(value, "refused") : undefined;
  return typeof leaf === "string" ? [leaf] : [];
}

function openingRows(words: ReadonlyMap<number, Bytes>, end: number): string[] {
  return [...words].filter(([index]) => index < end).sort(([a], [b]) => a - b)
    .map(([index, envelope]) => encodeOpening({ index, envelope }));
}

function encodePost(post: PostFields): JsonObject {
  const { ct, sig, body, ...others } = post;
  return { ...others, ct: encodeBase64(ct), sig: encodeBase64(sig), body: encodeBase64(body) };
}

function parsePost(fields: JsonObject): PostFields | undefined {
  const [room, epoch, seqno, ts] = ["room", "epoch", "seqno", "ts"].map((name) => member(fields, name));
  const [ct, sig, body] = ["ct", "sig", "body"].map((name) => {
    const value = member(fields, name);
    return typeof value === "string" ? parseBase64(value) : undefined;
  });
  if (typeof room !== "string" || typeof epoch !== "number" || typeof seqno !== "number") return undefined;
  return typeof ts === "number" && ct && sig && body ? { room, epoch, seqno, ts, ct, sig, body } : undefined;
}

function parsePin(row: string): Pin | undefined {
  const value = parseJson(row);
  if (!isJsonObject(value)) return undefined;
  const [fingerprint, username, by] = ["fingerprint", "username", "vouched_by"].map((name) => member(value, name));
  if (typeof fingerprint !== "string") return undefined;
  if (typeof by === "string") return { fingerprint, vouched_by: by };
  return typeof username === "string" ? { fingerprint, username } : undefined;
}

function parseLie(value: Json | undefined): { lie: Lie; reason: string } | undefined {
  if (!isJsonObject(value)) return undefined;
  const [lie, reason] = [member(value, "lie"), member(value, "reason")];
  return typeof lie === "string" && typeof reason === "string" ? { lie: lie as Lie, reason } : undefined;
}

async function lockOf(dir: string): Promise<Deno.FsFile> {
  const file = await Deno.open(`${dir}/lock`, { write: true, create: true, mode: 0o600 });
  if (await lockFile(file, LOCK_WAIT)) return file;
  throw new Failure(
    EXIT.unavailable,
    `another program uses the rooms in ${dir}; end it, or ask it for what you want (/export, /proof)`,
  );
}

async function rowsOf(path: string): Promise<string[]> {
  return (await readTextFile(path)).split("\n").slice(0, -1);
}

async function readJson(path: string): Promise<Json | undefined> {
  if (!await exists(path)) return undefined;
  return parseJson(await readTextFile(path));
}

async function guarded<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof Failure) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new Failure(EXIT.unavailable, `${what} (${reason}); make it writable, or choose another with --transcripts`);
  }
}

/** What a shell has to be given to verify an export. */
export function verifyCommand(receipt: string, ...others: readonly string[]): string {
  return `${PROGRAM} verify ${[receipt, ...others].map(shellWord).join(" ")}`;
}
