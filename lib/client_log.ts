/**
 * A client follows the server's log (docs/PROTOCOL.md, "Following the server's log"): every tick is read, and where a
 * tick registers one of the client's rooms, the registered head has to be shown and has to be of the room's own log. So
 * a server can't keep two versions of a room without showing each member both.
 *
 *     follow() ── log ─────── charter: pinned at first sight
 *              ├─ log_ticks ─ leaves up to the newest closed note; the room's tag in each tick → a hit
 *              ├─ log_note ── signed over exactly the root that the leaves give; cosigned, by the client's policy
 *              └─ log_heads ─ for each hit: path, signature, and the room's own tree
 *
 * What is wrong is told once as a lie, and what was received is kept with it; from then on the client names the log in
 * no line. What is late is told once, and taken back when it is mended. Leaves, notes and registered heads are kept, since
 * they are what proves the time of a line later, and an export asks nobody.
 *
 * @layer chat
 */

import { type Bytes, type Clock, concat, encodeBase64, encodeHex, encodeUtf8 } from "./bytes.ts";
import { type LogRecord, recordedBytes, recordedHashes } from "./client_log_records.ts";
import { RequestRefused } from "./client_requests.ts";
import { sha256 } from "./hash.ts";
import { canonicalJson, type JsonObject } from "./json.ts";
import { type Charter, charterHash, parseCharter } from "./log_charter.ts";
import { type Checkpoint, encodeCheckpoint, parseCheckpoint } from "./log_checkpoint.ts";
import type { Head, LogPin } from "./log_envelope.ts";
import type { LogAnswer, LogRequest, SentHead, SentTick } from "./log_follow_frames.ts";
import { parseNote } from "./log_note.ts";
import { areTagsOf, headHash, parseTick, placeOfTag, tagOf, type Tick } from "./log_tick.ts";
import { inclusionProof, leafHash, peakPlaces, verifyInclusion } from "./log_tree.ts";
import { LogTree } from "./log_whole_tree.ts";

/** A client that is further behind takes the tags of the last ticks only: a week of minutes. */
export const MAX_TAGGED_TICKS = 10_080;
/** How long a hit may wait until its head is shown, in milliseconds. */
const MAX_HIDDEN = 3_600_000;
/** Of the ticks before a head that a line names, so many that name tokens are kept: of several authorities. */
const TOKEN_TICKS = 4;
/** Ticks of late that are at hand: what a line names is mostly among them. */
const TICKS_AT_HAND = 2_048;
/** Pages of ticks in one round: the rest follows in the next. */
const MAX_PAGES = 200;

/** A room that the client is in, as it knows the room. */
export interface FollowedRoom {
  readonly room: string;
  readonly origin: string;
  /** What is wrong with a checkpoint that a tick registers; `undefined` if it is of the room's own log. */
  problemOf(checkpoint: Checkpoint): Promise<string | undefined>;
}

/** A registered head of a room. What proves it stands in the records: the tick, and the path from the head to it. */
export interface RegisteredHead {
  readonly origin: string;
  readonly tick: number;
  /** Of the checkpoint: unix seconds, and how many lines. */
  readonly time: number;
  readonly size: number;
}

/** How far the server's log proves a line. */
export interface LineRegistration {
  /** Whether a tick registers a head that covers the line. */
  readonly registered: boolean;
  /** The names of those who cosigned a note over that tick. */
  readonly cosigners: readonly string[];
  /** Whether a token over such a note was kept. */
  readonly stamped: boolean;
}

/** A closed note whose root the client has computed itself. */
export interface KeptNote extends Head {
  readonly note: string;
  /** Whether the client's policy is satisfied, or there is none. */
  readonly isSatisfied: boolean;
}

/** How a note is judged by the keys that the client goes by. */
export interface NoteJudgement {
  /** What the note says; `undefined` if the log's key didn't sign it, or a line of a known key is wrong. */
  readonly head: Head | undefined;
  /** Whether the client's policy is satisfied; true without one. */
  readonly isSatisfied: boolean;
}

/** What the client tells of the log. */
export interface LogNews {
  /** `lie`: the server was caught. `late`: something isn't done in time. `mended`: it is now. */
  readonly news: "lie" | "late" | "mended";
  readonly reason: string;
}

/** What {@link ClientLog} works with. */
export interface ClientLogOptions {
  readonly ask: (request: LogRequest) => Promise<LogAnswer>;
  readonly rooms: () => readonly FollowedRoom[];
  /** What is wrong with a charter: its signer, or its signature. */
  readonly charterProblem: (charter: Charter) => Promise<string | undefined>;
  readonly judgeNote: (note: string, charter: Charter) => Promise<NoteJudgement>;
  /** Whether the client's policy names logs, and not this one. */
  readonly isForeign: (vkey: string) => boolean;
  readonly keep: (records: readonly LogRecord[]) => Promise<void>;
  readonly tell: (news: LogNews) => void;
  readonly now: Clock;
}

/** A room's head in a tick that was not shown yet. */
interface Hit {
  readonly origin: string;
  readonly tick: number;
  /** Since when, unix milliseconds. */
  readonly since: number;
}

/** Thrown where the server lied; what it is about is told. */
class Lie extends Error {}

/** A client's view of the server's log. */
export class ClientLog {
  readonly #options: ClientLogOptions;
  #charter: Charter | undefined;
  #tree = new LogTree();
  #heads: RegisteredHead[] = [];
  /** Ticks with hits that wait, by index. */
  readonly #ticks = new Map<number, { readonly tick: Tick; readonly tags: Bytes; waiting: number }>();
  #notes: KeptNote[] = [];
  readonly #hits = new Map<string, Hit>();
  readonly #late = new Set<string>();
  /** Ticks of late, by index. */
  readonly #recent = new Map<number, { readonly leaf: Bytes; readonly tick: Tick }>();
  /** Heads of the log that lines name, by size: what precedes them was kept. */
  readonly #named = new Set<number>();
  /** The hashes of tokens that ticks name and that aren't here yet, with the first of these ticks. */
  #owedTokens: number | undefined;
  /** The sizes of the notes of tokens that were kept. */
  #tokens: number[] = [];
  #chain = "";
  /** Whether the server of this session shows a log: our lines name none that it doesn't. */
  #isShown = true;
  #isBroken = false;
  /** The first tick whose tags were looked at; all before it were passed over. */
  #passedOver = 0;
  /** Since when this client has looked for a room in every tick, unix milliseconds, by origin. */
  readonly #looking = new Map<string, number>();
  /** Since when the server refuses to show the heads of a room, without an answer in between, by origin. */
  readonly #refusing = new Map<string, number>();
  /** When a note last satisfied the client's policy, or the log was pinned, unix milliseconds. */
  #satisfiedAt = 0;

  constructor(options: ClientLogOptions, records: Iterable<JsonObject> = []) {
    this.#options = options;
    for (const record of records) this.#restore(record);
  }

  /** The log that is followed; `undefined` before the first. */
  get charter(): Charter | undefined {
    return this.#charter;
  }

  /** Whether the server lied about its log. */
  get isBroken(): boolean {
    return this.#isBroken;
  }

  /** The tree over the ticks, as far as the client has read. */
  get tree(): LogTree {
    return this.#tree;
  }

  /** The registered heads of a room, by their ticks. */
  headsOf(origin: string): readonly RegisteredHead[] {
    return this.#heads.filter((head) => head.origin === origin);
  }

  /** The notes that were checked, by their sizes. */
  get notes(): readonly KeptNote[] {
    return this.#notes;
  }

  /** Whether a tick names a token that was kept: what a line names from now on lies behind it. */
  get hasToken(): boolean {
    return this.#tokens.length > 0;
  }

  /** Whether a token was kept over a note of that size or more. */
  hasTokenOver(size: number): boolean {
    return this.#tokens.some((token) => token >= size);
  }

  /** How far the log proves a line of a room. */
  proofOf(origin: string, index: number): LineRegistration {
    const head = this.#heads.find((each) => each.origin === origin && each.size > index);
    if (!head) return { registered: false, cosigners: [], stamped: false };
    const over = this.#notes.filter(({ size }) => size > head.tick);
    const note = over.find(({ isSatisfied }) => isSatisfied) ?? over[0];
    const [, ...lines] = parseNote(encodeUtf8(note?.note ?? ""))?.signatures ?? [];
    return { registered: true, cosigners: lines.map(({ name }) => name), stamped: this.hasTokenOver(head.tick + 1) };
  }

  /** How many ticks were passed over without a look at their tags. */
  get passedOver(): number {
    return this.#passedOver;
  }

  /** The head that the client's lines name: of the newest note that its policy takes; `undefined` if there is none. */
  get pin(): LogPin | undefined {
    const note = this.#notes.findLast(({ isSatisfied }) => isSatisfied);
    if (!note || !this.#charter || this.#isBroken || !this.#isShown) return undefined;
    return { id: this.#charter.origin.slice(-32), root: note.root, size: note.size };
  }

  /** Whether the log that another's line names is this one: `unknown` if the client can't say yet. */
  compare({ id, size, root }: LogPin): "same" | "other" | "unknown" {
    if (!this.#charter) return "unknown";
    if (!this.#charter.origin.endsWith(`/${id}`)) {
      const earlier = this.#charter.was.find(({ origin }) => origin.endsWith(`/${id}`));
      return !earlier ? "other" : earlier.size === size && earlier.root !== root ? "other" : "unknown";
    }
    const known = this.#tree.rootAt(size);
    return known === undefined ? "unknown" : known === root ? "same" : "other";
  }

  /** A session begins, and says which log the server has: `undefined` for none. */
  begin(origin: string | undefined): void {
    const isGone = origin === undefined;
    this.#isShown = !isGone;
    if (this.#charter === undefined) return;
    this.#say("gone", isGone, "The server shows no log any more.", "The server shows its log again.");
  }

  /** Reads what is new. What the server doesn't answer is asked again in the next round. */
  async follow(): Promise<void> {
    if (this.#isBroken) return;
    try {
      await this.#pin();
      const size = await this.#readTicks();
      await this.#readNote(size);
      await this.#readTokens();
      await this.#readAllHeads();
    } catch (error) {
      if (!(error instanceof Lie)) throw error;
      this.#isBroken = true;
      await this.#options.keep([{ type: "lie", reason: error.message, time: this.#options.now() }]);
      this.#options.tell({ news: "lie", reason: error.message });
    }
  }

  async #pin(): Promise<void> {
    const newest = this.#notes.at(-1)?.note;
    const answer = await this.#ask({ type: "log", ...(newest === undefined ? {} : { note: newest }) });
    const charter = parseCharter(answer.charter);
    if (!charter) throw new Lie("The charter of the server's log has another form.");
    if (this.#charter && canonicalJson(this.#charter.object) === canonicalJson(charter.object)) return;
    if (this.#charter && this.#charter.origin === charter.origin) {
      throw new Lie("The server's log has a second charter.");
    }
    const problem = await this.#options.charterProblem(charter);
    if (problem !== undefined) throw new Lie(`The charter of the server's log is not good: ${problem}`);
    if (this.#options.isForeign(charter.vkey)) {
      throw new Lie(`The server's log ${charter.origin} is none that your policy names.`);
    }
    this.#checkSuccession(charter);
    if (answer.frontier.length !== peakPlaces(answer.size).length) {
      throw new Lie("The log's frontier is none of its size.");
    }
    const peaks = answer.frontier.map(encodeBase64);
    await this.#take({ type: "pin", charter: charter.object, base: answer.size, peaks, at: this.#options.now() });
  }

  /** A further log has to name the one that was followed, as far as it was. */
  #checkSuccession(next: Charter): void {
    if (!this.#charter) return;
    const named = next.was.find(({ origin }) => origin === this.#charter?.origin);
    if (!named) throw new Lie("The server has begun another log, which doesn't name the one before.");
    const known = this.#tree.rootAt(named.size);
    if (known !== undefined && known !== named.root) {
      throw new Lie("The server's log names another end of the one before.");
    }
    const missing = this.#tree.size - named.size;
    const lost = missing > 0 ? ` It leaves out the last ${missing} ticks of the one before.` : "";
    this.#options.tell({ news: "mended", reason: `The server has begun another log: ${next.origin}.${lost}` });
  }

  /** Notes which rooms are looked for from here on: what was registered before a member came is not seen. */
  async #look(): Promise<void> {
    const origins = new Set(this.#options.rooms().map(({ origin }) => origin));
    const begun = [...origins].filter((origin) => !this.#looking.has(origin));
    const ended = [...this.#looking.keys()].filter((origin) => !origins.has(origin));
    const at = this.#options.now();
    const records: LogRecord[] = [
      ...begun.map((origin): LogRecord => ({ type: "looks", origin, at })),
      ...ended.map((origin): LogRecord => ({ type: "looks", origin, at: null })),
    ];
    if (records.length > 0) await this.#take(...records);
  }

  /** Reads ticks up to the newest closed note; its size. */
  async #readTicks(): Promise<number> {
    await this.#look();
    let size = this.#tree.size;
    for (let pages = 0; pages < MAX_PAGES; pages++) {
      const from = this.#tree.size;
      const tags = size - from <= MAX_TAGGED_TICKS;
      const page = await this.#ask({ type: "log_ticks", from, tags });
      size = page.size;
      if (page.from !== from || size < from) throw new Lie("The server's log is shorter than it was.");
      // Before the first page nobody knows how many there are: tags of ticks that are too old may have been asked for.
      await this.#takeTicks(page.ticks, tags);
      if (!tags) {
        this.#passedOver = this.#tree.size;
        const at = this.#options.now();
        await this.#take(...[...this.#looking.keys()].map((origin): LogRecord => ({ type: "looks", origin, at })));
      }
      if (this.#tree.size >= size) return size;
      if (page.ticks.length === 0) throw new Lie("The server keeps ticks of its log back.");
    }
    return this.#tree.size;
  }

  async #takeTicks(ticks: readonly SentTick[], withTags: boolean): Promise<void> {
    const from = this.#tree.size;
    const records: LogRecord[] = [];
    const rooms = this.#options.rooms();
    for (const [at, { tick, tags }] of ticks.entries()) {
      const index = from + at;
      const read = parseTick(tick);
      if (!read) throw new Lie(`Tick ${index} of the server's log has another form.`);
      if (!withTags || !read.heads) continue;
      if (!tags || !areTagsOf(read, tags)) throw new Lie(`The tags of tick ${index} are not the tick's.`);
      const hits = rooms.filter(({ origin }) => placeOfTag(tags, tagOf(origin, index)) !== undefined);
      if (hits.length === 0) continue;
      records.push({ type: "tick", index, leaf: encodeBase64(tick), tags: encodeBase64(tags) });
      records.push(...hits.map(({ origin }): LogRecord => ({
        ...{ type: "hit", origin, tick: index, since: this.#options.now() },
      })));
    }
    if (from === 0 && ticks[0] && parseTick(ticks[0].tick)?.charter !== this.#charterHash) {
      throw new Lie("The first tick of the server's log names another charter.");
    }
    const leaves = ticks.map(({ tick }) => leafHash(tick));
    if (leaves.length === 0) return;
    records.push({ type: "leaves", from, hashes: encodeBase64(concat(...leaves)) });
    await this.#take(...records);
    for (const [at, { tick: leaf }] of ticks.entries()) this.#remember(from + at, leaf.slice());
  }

  #remember(index: number, leaf: Bytes): void {
    const tick = parseTick(leaf);
    if (!tick) return;
    this.#recent.set(index, { leaf, tick });
    this.#recent.delete(index - TICKS_AT_HAND);
    if (tick.tokens) this.#owedTokens ??= index;
  }

  /** Fetches the tokens that ticks name, with the notes that they are over. */
  async #readTokens(): Promise<void> {
    for (let from = this.#owedTokens ?? null; from !== null;) {
      const page: LogAnswer & { type: "log_tokens" } = await this.#ask({ type: "log_tokens", from });
      for (const { tick, size, token } of page.tokens) {
        const hash = encodeHex(sha256(token));
        if (!this.#recent.get(tick)?.tick.tokens?.includes(hash)) continue; // of a tick that was passed over
        await this.#readNote(size);
        await this.#take({ type: "token", tick, size, token: encodeBase64(token), hash });
      }
      if (page.chain !== this.#chain) await this.#take({ type: "chain", pem: page.chain });
      if (page.next !== null && page.next <= from) return;
      from = page.next;
      this.#owedTokens = from ?? undefined;
    }
  }

  /** A line of one of the rooms names a head of the log: what precedes it is kept, so that an export can show it. */
  async lineNames({ id, size, root }: LogPin): Promise<void> {
    if (!this.#charter?.origin.endsWith(`/${id}`) || this.#named.has(size) || this.#tree.rootAt(size) !== root) return;
    const before = [...this.#recent].filter(([index]) => index < size).reverse();
    const note = before.find(([, { tick }]) => tick.note !== undefined);
    const tokens = before.filter(([, { tick }]) => tick.tokens !== undefined).slice(0, TOKEN_TICKS);
    const ticks = new Map([...note ? [note] : [], ...tokens]);
    const shown = [...ticks].map(([index, { leaf }]) => ({ index, leaf: encodeBase64(leaf) }));
    await this.#take({ type: "after", size, root, ticks: shown });
  }

  /** Keeps records, and goes by them from then on. */
  async #take(...records: readonly LogRecord[]): Promise<void> {
    await this.#options.keep(records);
    for (const record of records) this.#restore(record);
  }

  get #charterHash(): string | undefined {
    return this.#charter && charterHash(this.#charter.object);
  }

  /** The note over what was read: signed by the log's key, and over the root that the leaves give. */
  async #readNote(size: number): Promise<void> {
    if (size === 0 || size > this.#tree.size || this.#notes.some((note) => note.size === size) || !this.#charter) {
      return;
    }
    const { note, size: noteSize } = await this.#ask({ type: "log_note", size });
    if (noteSize !== size) return; // a newer one was closed meanwhile: the next round reads up to it
    const { head, isSatisfied } = await this.#options.judgeNote(note, this.#charter);
    if (!head) throw new Lie(`The note of ${size} ticks isn't signed by the key of the server's log.`);
    if (head.size !== size || head.root !== this.#tree.rootAt(size)) {
      throw new Lie(`The note of ${size} ticks is of another log than the ticks that were shown.`);
    }
    await this.#take({ type: "note", size, note, satisfied: isSatisfied, at: this.#options.now() });
  }

  /** Asks for the heads of a room that hits wait for. */
  async #readHeads(room: FollowedRoom): Promise<void> {
    let hits = [...this.#hits.values()].filter(({ origin }) => origin === room.origin);
    const [first] = hits;
    for (let from: number | null = first?.tick ?? null; from !== null && hits.length > 0;) {
      const page: LogAnswer & { type: "log_heads" } = await this.#ask({ type: "log_heads", room: room.room, from });
      const shown = new Map(page.heads.map((head) => [head.tick, head]));
      for (const hit of hits) {
        const head = shown.get(hit.tick);
        if (head) await this.#takeHead(hit, head, room);
      }
      hits = hits.filter(({ tick }) => !shown.has(tick));
      if (page.next !== null && page.next <= from) return;
      from = page.next;
    }
  }

  async #takeHead({ tick: index }: Hit, { checkpoint, path }: SentHead, room: FollowedRoom): Promise<void> {
    const { tick, tags } = this.#ticks.get(index) ?? {};
    const place = tags && placeOfTag(tags, tagOf(room.origin, index));
    if (!tick?.heads || place === undefined) return;
    const tree = { size: tick.heads.count, root: Uint8Array.fromHex(tick.heads.hashes) };
    const name = `The head of ${room.room} in tick ${index} of the server's log`;
    if (!verifyInclusion(leafHash(headHash({ origin: room.origin, ...checkpoint })), place, path, tree)) {
      throw new Lie(`${name} is not what the tick registers.`);
    }
    const problem = await room.problemOf(checkpoint);
    if (problem !== undefined) throw new Lie(`${name} is of another log: ${problem}`);
    await this.#take({
      ...{ type: "head", origin: room.origin, tick: index, checkpoint: encodeCheckpoint(checkpoint) },
      path: path.map(encodeBase64),
    });
  }

  /** Asks for the heads of all rooms: that one room's are refused keeps nobody from the others'. */
  async #readAllHeads(): Promise<void> {
    for (const room of this.#options.rooms()) {
      try {
        await this.#readHeads(room);
        this.#refusing.delete(room.origin);
        this.#lookForHidden(room, -Infinity);
      } catch (error) {
        if (!(error instanceof RequestRefused)) throw error;
        if (error.errorType !== "server-error") continue; // the member was put out, or the room was closed
        const since = this.#refusing.get(room.origin) ?? this.#options.now();
        this.#refusing.set(room.origin, since);
        this.#lookForHidden(room, since);
      }
    }
  }

  /** Finds a head of the room that has been awaited for too long, and not only since that time (unix ms). */
  #lookForHidden({ room, origin }: FollowedRoom, refusedSince: number): void {
    const hidden = [...this.#hits.values()].find((hit) =>
      hit.origin === origin && this.#options.now() - Math.max(hit.since, refusedSince) > MAX_HIDDEN
    );
    if (!hidden) return;
    throw new Lie(`The server doesn't show the head of ${room} that tick ${hidden.tick} of its log registers.`);
  }

  /**
   * Holds a room's checkpoints against the promise of the charter: each is registered in time, and with a policy cosigned
   * in time. `firstAfter`: the time (unix seconds) of the first checkpoint that covers more than so many lines and was
   * signed at a time (unix ms) or later.
   */
  lookForLate(room: FollowedRoom, firstAfter: (size: number, since: number) => number | undefined): void {
    if (!this.#charter || this.#isBroken) return;
    const registered = Math.max(0, ...this.headsOf(room.origin).map(({ size }) => size));
    // What was signed before this client began to look for the room may be registered where it didn't look.
    const since = this.#looking.get(room.origin);
    const time = since === undefined ? undefined : firstAfter(registered, since);
    const isOver = time !== undefined && this.#options.now() > 1000 * (time + this.#charter.within);
    const promise = `within the ${this.#charter.within} seconds that it promises`;
    this.#say(
      `registered ${room.origin}`,
      isOver,
      `The server's log doesn't register ${room.room} ${promise}.`,
      `The server's log registers ${room.room} again.`,
    );
    const newest = this.#notes.at(-1);
    const isWitnessLate = newest !== undefined && this.#options.now() > this.#satisfiedAt + 1000 * this.#charter.within;
    this.#say(
      "witnessed",
      isWitnessLate && !newest.isSatisfied,
      "The witnesses that your policy names don't cosign the server's log.",
      "The witnesses that your policy names cosign the server's log again.",
    );
  }

  /** Tells once that something is late, and once that it isn't any more. */
  #say(what: string, isLate: boolean, late: string, mended: string): void {
    if (isLate === this.#late.has(what)) return;
    if (isLate) this.#late.add(what);
    else this.#late.delete(what);
    this.#options.tell(isLate ? { news: "late", reason: late } : { news: "mended", reason: mended });
  }

  async #ask<T extends LogRequest["type"]>(request: LogRequest & { type: T }): Promise<LogAnswer & { type: T }> {
    const answer = await this.#options.ask(request);
    if (answer.type !== request.type) throw new Lie("The server answers another question about its log.");
    return answer as LogAnswer & { type: T };
  }

  /** The path from a tick to the root at a size, out of the leaves that are kept. */
  async path(tick: number, size: number): Promise<Bytes[]> {
    return await inclusionProof(tick, size, this.#tree.read);
  }

  /** Takes a record that was kept; one of another form, which another program wrote, is passed over. */
  #restore(record: JsonObject): void {
    switch (record["type"]) {
      case "pin": {
        const charter = parseCharter(record["charter"]);
        const peaks = recordedHashes(record["peaks"]);
        if (!charter || typeof record["base"] !== "number" || !peaks) return;
        this.#charter = charter;
        this.#tree = new LogTree(record["base"], peaks);
        this.#notes = [];
        this.#hits.clear();
        this.#heads = [];
        this.#ticks.clear();
        this.#recent.clear();
        this.#tokens = [];
        this.#named.clear();
        this.#looking.clear();
        this.#passedOver = record["base"];
        if (typeof record["at"] === "number") this.#satisfiedAt = record["at"];
        return;
      }
      case "looks": {
        const { origin, at } = record;
        if (typeof origin !== "string") return;
        if (typeof at === "number") this.#looking.set(origin, at);
        else this.#looking.delete(origin);
        return;
      }
      case "leaves": {
        const leaves = recordedBytes(record["hashes"]);
        if (record["from"] !== this.#tree.size || !leaves) return;
        for (let at = 0; at + 32 <= leaves.length; at += 32) this.#tree.append(leaves.slice(at, at + 32));
        return;
      }
      case "note": {
        const { size, note, satisfied } = record;
        const root = typeof size === "number" ? this.#tree.rootAt(size) : undefined;
        if (typeof size !== "number" || typeof note !== "string" || root === undefined) return;
        this.#notes.push({ size, root, note, isSatisfied: satisfied === true });
        if (satisfied === true && typeof record["at"] === "number") this.#satisfiedAt = record["at"];
        this.#notes.sort((a, b) => a.size - b.size);
        return;
      }
      case "tick": {
        const [leaf, tags] = ["leaf", "tags"].map((name) => recordedBytes(record[name]));
        const tick = leaf && parseTick(leaf);
        if (typeof record["index"] === "number" && tick && tags) {
          this.#ticks.set(record["index"], { tick, tags, waiting: 0 });
        }
        return;
      }
      case "hit": {
        const { origin, tick, since } = record;
        if (typeof origin !== "string" || typeof tick !== "number" || typeof since !== "number") return;
        this.#hits.set(`${tick} ${origin}`, { origin, tick, since });
        const registering = this.#ticks.get(tick);
        if (registering) registering.waiting += 1;
        return;
      }
      case "head": {
        const checkpoint = parseCheckpoint(record["checkpoint"]);
        const { origin, tick } = record;
        if (typeof origin !== "string" || typeof tick !== "number" || !checkpoint) return;
        this.#heads.push({ origin, tick, time: checkpoint.time, size: checkpoint.size });
        const registering = this.#hits.delete(`${tick} ${origin}`) ? this.#ticks.get(tick) : undefined;
        if (registering && --registering.waiting === 0) this.#ticks.delete(tick);
        return;
      }
      case "token":
        if (typeof record["size"] === "number") this.#tokens.push(record["size"]);
        return;
      case "chain":
        if (typeof record["pem"] === "string") this.#chain = record["pem"];
        return;
      case "after":
        if (typeof record["size"] === "number") this.#named.add(record["size"]);
        return;
      case "lie":
        this.#isBroken = true;
    }
  }
}
