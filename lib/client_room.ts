/**
 * This client's own part in one room: coming in, catching up, and lines that must arrive once and in their order
 * (docs/PROTOCOL.md, "Joining a room", "Pages" and "Posting").
 *
 *     enter: join → joined → own join line, where none stands → keys → history up to now → what is unsent
 *     post:  signed, on the disk, sent → `posted` → in the transcript on the disk → no longer unsent
 *
 * A line keeps its bytes until it is known to be accepted or refused for good: after a reconnect the same bytes are
 * sent again, and the server answers them as it did. It is signed anew only where it can't be accepted any more as it
 * is: its place was taken, a line before it was refused, its key is too old, its time is ahead, its certificate was
 * replaced. Nothing more is sent while a refusal isn't sorted out, so that lines can't overtake each other.
 *
 * Whether what the room shows is true is `client_log_monitor.ts`; requests, certificates and which rooms there are, is
 * `client_rooms.ts`.
 *
 * @layer chat
 */

import { BLOCK_SIZE, encrypt } from "./aes_cbc.ts";
import { type Bytes, type Clock, parseBase64, parseUtf8, type Random } from "./bytes.ts";
import { encodeCheckpoint } from "./log_checkpoint.ts";
import { encodeEnvelope, SALT_SIZE, type Statement } from "./log_envelope.ts";
import { isJsonObject, type Json, member, parseJson } from "./json.ts";
import type { SigningKey } from "./pss.ts";
import { formatTime } from "./receipt.ts";
import { logHash, parseOrigin, signRoomLine } from "./log_line.ts";
import {
  type HistoryPolicy,
  MAX_PAGE,
  type PostedFields,
  type PostFields,
  postJson,
  type RoomFrame,
} from "./log_frames.ts";
import type { JudgedLine } from "./client_line_monitor.ts";
import { LogMonitor, type LogMonitorOptions } from "./client_log_monitor.ts";
import type { LineEvent } from "./client_event.ts";
import type { RoomRecord } from "./client_store.ts";
import { encodeLine } from "./transcript.ts";

/** Lines on their way at once: enough to fill a long road. */
const WINDOW = 64;
/** How long a line waits after the server could not take it, in milliseconds. */
const RETRY_AFTER = 2_000;
/** How long nothing may be shown though there is more, before that is told, in milliseconds. */
const STUCK_AFTER = 30_000;
/** Lines of the disk that are told again when a room is opened. */
const SHOWN_AGAIN = 500;

/** Refusals after which a line isn't sent again. */
const FINAL: ReadonlySet<string> = new Set([
  "forbidden",
  "muted",
  "not-member",
  "no-room",
  "bad-envelope",
  "too-large",
]);

/** Refusals after which a line may not stand as it was sent. */
const REFUSED: ReadonlySet<string> = new Set([...FINAL, "replay", "stale", "old-epoch"]);

/** The longest that any head is as text. */
const LONGEST_HEAD = { size: Number.MAX_SAFE_INTEGER, root: "0".repeat(64) };

/** The server refused a request, in its own words. */
export class RequestRefused extends Error {
  constructor(readonly errorType: string, reason: string) {
    super(reason);
    this.name = "RequestRefused";
  }
}

/** A room's policy, when it is made. */
export interface RoomPolicy {
  readonly history: HistoryPolicy;
  readonly inviteOnly: boolean;
}

/** What a member works with; the first part as the view. */
export interface RoomMemberOptions
  extends Pick<LogMonitorOptions, "room" | "own" | "trust" | "pins" | "ask" | "emit" | "now" | "signatures"> {
  readonly now: Clock;
  readonly random: Random;
  readonly key: SigningKey;
  readonly username: () => string;
  /** The fingerprint of the certificate that this client's has replaced. */
  readonly was?: string | undefined;
  readonly record: RoomRecord;
  /** Asks the server; rejects with {@link RequestRefused}, or where there is no connection. */
  readonly request: (frame: { readonly type: string } & Readonly<Record<string, unknown>>) => Promise<RoomFrame>;
  /** Sends a post; its refusal comes by {@link RoomMember.refused} with the key. False: there is no connection. */
  readonly send: (post: PostFields, key: number) => boolean;
  /** Opens what the server sealed for this session. */
  readonly open: (payload: Bytes) => Bytes | undefined;
  readonly later: (ms: number, run: () => void) => void;
  /** The keys of lines, counted over all rooms. */
  readonly nextKey: () => number;
}

type Joined = RoomFrame & { readonly type: "joined" };

/** A line in the queue. */
interface Queued {
  readonly key: number;
  readonly statement: Statement;
  readonly ts: number;
  post: PostFields | undefined;
  /** The transcript's line, once signed; without a post it is to be signed anew, but may stand in the log as it was. */
  line: string | undefined;
  /** Whether the disk has it as it is, and when it will. */
  isStored: boolean;
  stored: Promise<void>;
  isInFlight: boolean;
  /** Whether it may have left. */
  wasSent: boolean;
  /** Where the server says that it stands. */
  index: number | undefined;
}

/** A room that this client is in, or was. */
export class RoomMember {
  readonly #options: RoomMemberOptions;
  #view: LogMonitor | undefined;
  #queue: Queued[] = [];
  /** What is done one after the other: signing, catching up, sending. */
  #work: Promise<unknown> = Promise.resolve();
  /** Writes that are under way. */
  #writing: Promise<unknown> = Promise.resolve();
  /** Whether it was told that the disk does not take what is written. */
  #isLate = false;
  /** Counts the times that this client came in: what belongs to an earlier one is over. */
  #visit = 0;
  /** The coming in that is under way, and whether somebody wants it. */
  #entering: Promise<void> | undefined;
  #isAsked = false;
  #isLoaded = false;
  #isIn = false;
  #isOut = false;
  /** Whether somebody was told into what the join line that waits leads. */
  #isTold = false;
  #isGone = false;
  /** Everything up to now is here, and lines may go. */
  #isLive = false;
  /** A refusal is to be sorted out once nothing is in flight. */
  #halt: "renumber" | "catch up" | "wait" | undefined;
  #standing = Promise.withResolvers<void>();
  #nextSeqno = 0;
  /** How often it was sorted out since a line was accepted. */
  #refusals = 0;
  /** For what lines wait, as it was told last. */
  #waitsFor = "";
  /** The smallest index that was shown while the log's beginning isn't known. */
  #first = Infinity;
  #isFillingGap = false;
  /** Whether a head was here at the last look, and not its lines. */
  #wasLate = false;
  /** How far the room was shown when it was last looked at, since when, and whether that was told. */
  #stuckAt: { readonly shown: number; readonly since: number; isTold: boolean } | undefined;

  constructor(options: RoomMemberOptions) {
    this.#options = options;
    this.#standing.promise.catch(() => {}); // nobody waits for it before this client comes in
  }

  /** The room as it was checked; `undefined` before it was first joined. */
  get view(): LogMonitor | undefined {
    return this.#view;
  }

  /** Whether this client's join line stands. */
  get isIn(): boolean {
    return this.#isIn;
  }

  /** Whether this client was put out, or has left, since it began. */
  get isOut(): boolean {
    return this.#isOut;
  }

  /** Whether a join line of this client's waits, or is on its way. */
  get isJoining(): boolean {
    return this.#queue.some(({ statement }) => statement.kind === "join");
  }

  /** How many lines are not known to be accepted. */
  get unsentCount(): number {
    return this.#queue.length;
  }

  /** Whether a line was sent, and neither taken nor refused yet. */
  isOnItsWay(key: number): boolean {
    return this.#queue.some((item) => item.key === key && item.isInFlight);
  }

  /** Whether the server says that the log which this client knows is not there any more. */
  get isGone(): boolean {
    return this.#isGone;
  }

  // Coming in.

  /** Reads what is on the disk. */
  async load(): Promise<void> {
    if (this.#isLoaded) return;
    const { record } = this.#options;
    const { pinned } = record;
    const kept = pinned && await record.read();
    if (this.#isLoaded) return;
    this.#isLoaded = true;
    this.#queue = record.unsent.map(({ key, statement, ts, post, by }) => ({
      ...{
        key,
        statement,
        ts,
        post: by === this.#options.own ? post : undefined,
        isStored: true,
        stored: Promise.resolve(),
        isInFlight: false,
        wasSent: post !== undefined,
        index: undefined,
      },
      line: post && lineOf(post, by ?? this.#options.own),
    }));
    if (!pinned || !kept) return;
    const view = this.#makeView(pinned.origin, pinned.history);
    view.restore(kept, SHOWN_AGAIN);
    // What the transcript holds was accepted, whether the program lived to say so or not.
    for (const [at, { line }] of kept.lines.entries()) {
      const item = this.#queue.find((one) => one.line === line);
      if (item) this.#accept(item, (kept.base?.size ?? 0) + at);
    }
  }

  /**
   * Comes in: resolves when all lines up to now are here. `isAsked`: somebody wants to; else a join line must stand.
   * Whoever asks while it is under way waits for the same.
   */
  async enter(isAsked: boolean, policy?: RoomPolicy): Promise<void> {
    if (policy) await this.#entering?.catch(() => {});
    if (this.#isLive && !isAsked) return; // a try that was put off, after another has come in
    this.#isAsked ||= isAsked;
    const entering = this.#entering ??= this.#comeIn(policy);
    await entering.finally(() => {
      if (this.#entering === entering) this.#endEntering();
    });
  }

  #endEntering(): void {
    this.#entering = undefined;
    this.#isAsked = false;
  }

  async #comeIn(policy: RoomPolicy | undefined): Promise<void> {
    const visit = ++this.#visit;
    await this.load();
    const { room, request, emit } = this.#options;
    if (this.#view?.lie) throw this.#caught();
    if (this.#isGone) throw this.#gone();
    if (policy && this.#view) {
      const way = `/join ${room}; where its log was closed, /forget ${room} comes first.`;
      throw new RequestRefused("forbidden", `This client has a log of ${room} already: ${way}`);
    }
    this.#isLive = false;
    this.#halt = undefined;
    this.#standing = Promise.withResolvers();
    this.#standing.promise.catch(() => {});
    const checkpoint = this.#view?.checkpoint;
    const joined = await request(
      policy
        ? { type: "create", room, mode: "recorded", history: policy.history, invite_only: policy.inviteOnly }
        : { type: "join", room, ...(checkpoint ? { checkpoint: encodeCheckpoint(checkpoint) } : {}) },
    ).catch((error) => {
      this.#isGone = this.#view !== undefined && error instanceof RequestRefused && error.errorType === "no-room";
      throw this.#isGone ? this.#gone() : error;
    });
    const view = this.#view;
    if (joined.type !== "joined" || !view || visit !== this.#visit) throw connectionGone();
    await view.settled();
    if (view.lie) throw this.#caught();
    const { origin, mode, history, topic, count } = joined;
    const waits = this.isJoining;
    if (!waits || !this.#isTold) emit({ event: "joined", room, origin, mode, history, topic, count });
    this.#isTold = true;
    this.#isOut = false;
    if (!joined.standing) {
      // A certificate that was never here is a new one of a member; one that was has been put out.
      const isNew = view.own === undefined && view.state.isMember(this.#options.username());
      if (!this.#isAsked && !waits && !isNew) {
        return this.goOut("You are not in this room any more.", joined.nextSeqno);
      }
      await this.#do(() => this.#sendJoin(joined, waits));
      await this.#standing.promise;
    }
    this.#isIn = true;
    await this.#catchUp(count, visit);
    if (visit !== this.#visit) throw connectionGone();
    if (view.lie) throw this.#caught();
    const told = view.caughtUp();
    this.#isLive = true;
    this.#halt = "renumber";
    this.#sortOut();
    await told;
  }

  #caught(): RequestRefused {
    return new RequestRefused("forbidden", `The server was caught in this room; it is not trusted. ${this.#wayOn}`);
  }

  #gone(): RequestRefused {
    return new RequestRefused(
      "no-room",
      `The server has the log of this room no more: it was closed, or is lost. ${this.#wayOn}`,
    );
  }

  get #wayOn(): string {
    return `/forget ${this.#options.room} puts its record aside, as evidence, and lets you join what is there now.`;
  }

  /** The server lets this client in: its answer, before anything that follows it. */
  admit(joined: Joined): void {
    const { room, record } = this.#options;
    const { origin, history, key, checkpoint } = joined;
    this.#refusals = 0;
    for (const item of this.#queue) item.isInFlight = false;
    let view = this.#view;
    if (!view) {
      view = this.#makeView(origin, history);
      this.#write(record.pin(origin, history));
    }
    const pinned = record.pinned?.origin ?? origin;
    const known = view.own?.seqno ?? 0;
    if (origin !== pinned) {
      view.refuse("other log", `The server shows the log ${origin} in place of ${pinned}, which this client knows.`);
    } else if (parseOrigin(origin)?.room !== room || joined.mode !== "recorded") {
      view.refuse("other log", `The server's log ${origin} is not one of the recorded room ${room}.`);
    } else if (joined.count < view.size || (!checkpoint && view.checkpoint)) {
      const reason = `The server's log has ${joined.count} lines, and it has shown ${view.size} before.`;
      view.refuse("old head", reason);
    } else if (joined.nextSeqno < known) {
      const reason =
        `The server says that your next line here is ${joined.nextSeqno}, but it has shown ${known} of yours.`;
      view.refuse("old head", reason);
    }
    this.#nextSeqno = joined.nextSeqno;
    this.takeKey(key);
    if (checkpoint) view.takeCheckpoint(checkpoint);
    view.admitted(joined.topic);
  }

  #makeView(origin: string, history: HistoryPolicy): LogMonitor {
    const { room, own, trust, pins, ask, emit, now, signatures } = this.#options;
    return this.#view = new LogMonitor({
      ...{ room, origin, history, own, trust, pins, ask, emit, now, signatures },
      keep: (kept) => this.#write(this.#options.record.keep(kept)),
      judged: (line) => this.#judged(line),
    });
  }

  /** The connection is gone: what is on its way may have arrived, or not. */
  offline(): void {
    this.#visit += 1;
    this.#isLive = false;
    this.#isGone = false; // another server may answer next
    this.#endEntering();
    this.#standing.reject(connectionGone());
    for (const item of this.#queue) item.isInFlight = false;
  }

  /** The certificate is another: what the old one signed may stand in the log, and is sent under it no more. */
  renewed(): void {
    for (const item of this.#queue) item.post = undefined;
    this.#view?.become(this.#options.own);
  }

  /** The server says that the log is closed. */
  closed(reason: string): void {
    this.abandon(`${reason} ${this.#wayOn}`);
    this.#isGone = true;
  }

  /** Does nothing more in this room; what is unsent is dropped. */
  abandon(reason: string): void {
    this.goOut(reason, 0);
    this.offline();
  }

  /**
   * Is out of the room; what is unsent is dropped. Lines that have a seqno below `taken` may stand in the log: who is
   * out is not told.
   */
  goOut(reason: string, taken = Infinity): void {
    const { emit, room } = this.#options;
    this.#isIn = false;
    this.#isOut = true;
    this.#isLive = false;
    this.#endEntering(); // who wants to be in again begins anew
    emit({ event: "left", room, reason });
    for (const item of this.#queue.filter(({ index }) => index === undefined)) {
      const mayStand = item.line !== undefined && (item.post?.seqno ?? -1) < taken;
      if (mayStand) this.#drop(item, "timeout", "No answer came before you were out of the room.");
      else this.#drop(item, item.wasSent ? "not-member" : "not-sent", reason);
    }
  }

  // Catching up.

  async #catchUp(target: number, visit: number): Promise<void> {
    const { room, request } = this.#options;
    const view = this.#view;
    const isOver = () => visit !== this.#visit || !view || view.lie !== undefined;
    await this.#askKeys();
    while (view && !isOver() && (view.base === undefined || view.size < target || view.hasGap)) {
      const from = view.base === undefined ? 0 : view.size;
      await request({ type: "history", room, from, count: MAX_PAGE });
      if (isOver()) return;
      if (view.base === undefined) await view.begin(Number.isFinite(this.#first) ? this.#first : 0);
      if (view.lacksKey) await this.#askKeys();
      if (view.size <= from && !isOver()) return view.missed(from);
    }
  }

  /** Fetches the keys that aren't known. */
  async #askKeys(): Promise<void> {
    const { room, request } = this.#options;
    for (let from: number | undefined = 0; from !== undefined;) {
      const page: RoomFrame = await request({ type: "keys", room, from });
      if (page.type !== "keys") return;
      for (const key of page.keys) this.takeKey(key);
      from = page.next !== undefined && page.next > from ? page.next : undefined;
    }
    this.#view?.tookAllKeys();
  }

  /** A key under the session's key. */
  takeKey(payload: Bytes): void {
    const sealed = this.#options.open(payload);
    const found = sealed && parseKey(parseJson(parseUtf8(sealed) ?? ""));
    if (found) this.#view?.takeKey(found.epoch, found.key);
  }

  /** A line of the room. */
  take(posted: PostedFields): void {
    const view = this.#view;
    if (!view) return;
    const isOwn = posted.from === this.#options.own;
    if (isOwn || this.#queue.some(({ line, post }) => line && !post)) this.#notice(posted, isOwn);
    if (view.base === undefined) this.#first = Math.min(this.#first, posted.index);
    view.take(posted);
    if (this.#isLive && (view.hasGap || view.lacksKey)) this.#fillGap();
  }

  /** Lines passed by: asks for them. */
  #fillGap(): void {
    if (this.#isFillingGap) return;
    this.#isFillingGap = true;
    const target = this.#view?.promised ?? 0;
    this.#catchUp(target, this.#visit).catch(() => {}).finally(() => this.#isFillingGap = false);
  }

  /** To be called every second or so: marks what waits too long, and asks for lines that a head speaks of. */
  tick(): void {
    const view = this.#view;
    view?.tick();
    const isLate = view !== undefined && !view.lie && view.promised > view.size;
    if (this.#isLive && isLate && this.#wasLate) this.#fillGap();
    this.#wasLate = isLate;
    this.#tellBehind(view);
  }

  /** A server may refuse again and again what lines are checked with, or lines: that nothing moves is told, once. */
  #tellBehind(view: LogMonitor | undefined): void {
    const { now, emit, room } = this.#options;
    const isBehind = view !== undefined && view.isBehind && !view.lie && this.#isLive;
    if (!isBehind || view.shown !== this.#stuckAt?.shown) {
      this.#stuckAt = isBehind ? { shown: view.shown, since: now(), isTold: false } : undefined;
    } else if (!this.#stuckAt.isTold && now() - this.#stuckAt.since > STUCK_AFTER) {
      this.#stuckAt.isTold = true;
      const what = view.shown === 0
        ? `Nothing of ${room} is shown`
        : `${room} is shown up to line ${view.shown - 1} alone`;
      const message = `${what}: the server doesn't give what comes next.`;
      emit({ event: "warning", message });
    }
  }

  // Posting.

  /** Writes a line: resolves with its key once it would survive, whether it could be sent yet or not. */
  async post(statement: Statement): Promise<number> {
    const { room, emit, now, nextKey } = this.#options;
    if (this.#view?.lie) throw this.#caught();
    if (this.#isGone) throw this.#gone();
    // What nobody would take is said now, whether there is a connection or not.
    encodeEnvelope({ room, seen: LONGEST_HEAD, statement, salt: new Uint8Array(SALT_SIZE) });
    const item = this.#queueUp({ key: nextKey(), statement, ts: now() });
    const isWords = statement.kind === "text" || statement.kind === "topic";
    emit({ event: "sending", room, key: item.key, kind: statement.kind, text: isWords ? statement.text : null });
    try {
      await this.#do(async () => {
        const isNext = this.#isLive && this.#halt === undefined && item.post === undefined;
        if (isNext) await this.#sign(item, this.#nextSeqno);
      });
      await (item.post ? item.stored : this.#store(item));
    } catch (error) {
      this.#drop(item, "not-kept", error instanceof Error ? error.message : String(error));
      throw error;
    }
    this.#flush();
    return item.key;
  }

  #queueUp(line: { key: number; statement: Statement; ts: number }, at = this.#queue.length): Queued {
    const item: Queued = {
      ...{ ...line, post: undefined, line: undefined, isStored: false, stored: Promise.resolve() },
      ...{ isInFlight: false, wasSent: false, index: undefined },
    };
    this.#queue.splice(at, 0, item);
    return item;
  }

  /** The join line goes before all that isn't on the log yet. */
  async #sendJoin(joined: Joined, waits: boolean): Promise<void> {
    const isOld = (item: Queued) => item.post !== undefined && item.post.seqno < joined.nextSeqno;
    if (!waits) {
      const at = this.#queue.filter(isOld).length;
      const { nextKey, now, username, was } = this.#options;
      const statement = { kind: "join", username: username(), ...(was === undefined ? {} : { was }) } as const;
      this.#queueUp({ key: nextKey(), statement, ts: now() }, at);
    }
    let due = joined.nextSeqno;
    for (const item of this.#queue) {
      if (isOld(item)) continue;
      if (item.post && item.post.seqno !== due) item.post = item.line = undefined;
      due += 1;
    }
    this.#nextSeqno = joined.nextSeqno;
    for (const item of this.#queue) {
      if (item.statement.kind !== "join") continue;
      if (!item.post) await this.#sign(item, joined.nextSeqno);
      if (!item.isStored) await item.stored;
      this.#sendOne(item);
      if (item.post && !isOld(item)) this.#nextSeqno = item.post.seqno + 1;
    }
  }

  async #sign(item: Queued, seqno: number): Promise<void> {
    const { room, random, key, own, record, now } = this.#options;
    const [view, current, pinned] = [this.#view, this.#view?.epoch, record.pinned?.origin];
    if (!view || !current || pinned === undefined) throw new Error("a line is signed in a room that was joined");
    const seen = view.seen(item.statement.kind === "join" && seqno > 0);
    const envelope = encodeEnvelope({ room, seen, statement: item.statement, salt: random(SALT_SIZE) });
    const body = encrypt(current.key, random(BLOCK_SIZE), envelope);
    const ts = Math.max(Math.min(item.ts, now()), this.#lastTs()); // a clock that was ahead may be right by now
    const signed = await signRoomLine({ log: logHash(pinned), envelope, body }, { key, fingerprint: own, seqno, ts });
    item.post = { room, epoch: current.epoch, seqno, ts, ct: signed.body, sig: signed.signature, body };
    item.line = encodeLine(signed);
    this.#nextSeqno = seqno + 1;
    if (seen.size > 0) this.#write(record.keep({ type: "seen", size: seen.size }));
    this.#store(item).catch(() => {});
  }

  /** Puts a line on the disk: before that it isn't sent. */
  #store(item: Queued): Promise<void> {
    const { key, statement, ts, post } = item;
    item.isStored = false;
    item.stored = this.#options.record.putUnsent({ key, statement, ts, post, by: this.#options.own });
    void this.#write(item.stored).then(() => {
      item.isStored = item.post === post;
      this.#flush();
    });
    return item.stored;
  }

  /** The newest time of any line of this client, in the log or before it. */
  #lastTs(): number {
    return Math.max(this.#view?.own?.ts ?? 0, ...this.#queue.map(({ post }) => post?.ts ?? 0));
  }

  /** Sends what is ready, in its order. */
  #flush(): void {
    let inFlight = this.#queue.filter((item) => item.isInFlight).length;
    for (const item of this.#queue) {
      if (!this.#isLive || this.#halt !== undefined || inFlight >= WINDOW || this.#view?.lie) return;
      if (item.isInFlight || item.index !== undefined) continue;
      if (!item.isStored || !this.#sendOne(item)) return;
      inFlight += 1;
    }
  }

  #sendOne(item: Queued): boolean {
    if (!item.post) return false;
    item.isInFlight = this.#options.send(item.post, item.key);
    item.wasSent ||= item.isInFlight;
    return item.isInFlight;
  }

  /** One after the other. */
  #do<T>(work: () => Promise<T> | T): Promise<T> {
    const done = this.#work.then(work);
    this.#work = done.catch(() => {});
    return done;
  }

  /** A line stands in the log that is this client's own, or was under the certificate that it had before. */
  #notice(posted: PostedFields, isOwn: boolean): void {
    const line = lineOf(posted, posted.from);
    const item = this.#queue.find((one) => one.line === line);
    if (item) {
      item.index = posted.index;
      item.isInFlight = false;
    }
    if (!isOwn) return;
    this.#refusals = 0;
    this.#waitsFor = "";
    this.#standing.resolve();
    this.#sortOut();
    this.#flush();
  }

  /** The server refuses a line. */
  refused(key: number, errorType: string, reason: string): void {
    const { room, emit } = this.#options;
    const item = this.#queue.find((one) => one.key === key);
    if (!item || item.index !== undefined) return;
    item.isInFlight = false;
    if (item.line !== undefined && REFUSED.has(errorType)) this.#view?.refuseLine(item.line);
    if (item.statement.kind === "join") this.#standing.reject(new RequestRefused(errorType, reason));
    if (FINAL.has(errorType)) {
      this.#drop(item, errorType, reason);
      this.#halt = this.#halt === "catch up" || this.#halt === "wait" ? this.#halt : "renumber";
    } else if (errorType === "replay") {
      // Behind a line that was refused it is only out of turn; else something else has its place.
      this.#halt ??= "catch up";
    } else if (errorType === "old-epoch") {
      item.post = item.line = undefined;
      this.#halt = "catch up";
    } else {
      if (errorType === "stale") { // none behind it is earlier, or was accepted
        for (const late of this.#queue.slice(this.#queue.indexOf(item))) late.post = late.line = undefined;
      }
      const waitsFor = `${this.#queue.length} ${reason}`;
      if (waitsFor !== this.#waitsFor) emit({ event: "waiting", room, count: this.#queue.length, reason });
      this.#waitsFor = waitsFor;
      this.#halt = "wait";
    }
    this.#sortOut();
  }

  #drop(item: Queued, errorType: string, reason: string): void {
    const { room, emit, record } = this.#options;
    this.#queue = this.#queue.filter((other) => other !== item);
    this.#write(record.removeUnsent(item.key));
    emit({ event: "dropped", room, key: item.key, error_type: errorType, reason });
  }

  /** Once nothing is in flight: numbers and signs anew what can't be accepted as it is, and sends. */
  #sortOut(): void {
    if (this.#halt === undefined || !this.#isLive || this.#queue.some(({ isInFlight }) => isInFlight)) return;
    const visit = this.#visit;
    const wants = this.#halt;
    const again = () =>
      void this.#do(() => this.#goOn(visit, wants === "catch up")).catch(() => {
        if (visit === this.#visit) this.#options.later(RETRY_AFTER, () => this.#sortOut());
      });
    this.#refusals += 1;
    if (wants === "wait" || this.#refusals > 3) this.#options.later(RETRY_AFTER, again);
    else again();
  }

  async #goOn(visit: number, catchesUp: boolean): Promise<void> {
    const isOver = () => visit !== this.#visit || !this.#isLive || this.#halt === undefined;
    const { room, request } = this.#options;
    if (isOver()) return;
    if (catchesUp) {
      await request({ type: "history", room, from: this.#view?.size ?? 0, count: MAX_PAGE });
      await this.#askKeys();
    }
    if (isOver()) return;
    const stood = this.#queue.flatMap(({ index, post }) => index !== undefined && post ? [post.seqno + 1] : []);
    let due = Math.max(this.#view?.own?.seqno ?? 0, ...stood);
    for (const item of this.#queue) {
      if (item.index !== undefined) continue;
      if (item.post?.seqno !== due) await this.#sign(item, due);
      due += 1;
    }
    this.#nextSeqno = due;
    if (isOver()) return;
    this.#halt = undefined;
    this.#flush();
  }

  // Keeping.

  /** A line was judged, and is being written. */
  #judged({ event, text, written }: JudgedLine): void {
    const item = this.#queue.find(({ line }) => line === text);
    if (item) void written.then(() => this.#accept(item, event.index));
    const { isOut, lie } = this.#view ?? {};
    if (!this.#isLive || !this.#isIn || !isOut || lie) return;
    this.goOut(item?.statement.kind === "part" ? "You have left it." : whyOut(event), 0);
  }

  /** A line is in the transcript on the disk: nothing more has to be done for it. */
  #accept(item: Queued, index: number): void {
    const { room, emit, record } = this.#options;
    if (!this.#queue.includes(item)) return;
    this.#queue = this.#queue.filter((other) => other !== item);
    this.#write(record.removeUnsent(item.key));
    emit({ event: "accepted", room, key: item.key, index });
  }

  /** Resolves once it would survive: where the disk does not take it now, that is told once, and may take long. */
  #write(write: Promise<void>): Promise<void> {
    const { room, emit, record } = this.#options;
    this.#writing = Promise.allSettled([this.#writing, write]).then(() => {}); // what came of them is not kept
    return write.catch(async (error) => {
      const message = error instanceof Error ? error.message : String(error);
      if (!this.#isLate) emit({ event: "warning", message: `What ${room} shows can't be kept for now: ${message}` });
      this.#isLate = true;
      await record.written();
      this.#isLate = false;
    });
  }

  /** Resolves when nothing is being done: for an orderly end. */
  async settled(): Promise<void> {
    await this.#view?.settled();
    await this.#work;
    await this.#writing;
  }
}

/** The transcript's line. */
function lineOf({ seqno, ts, ct: body, sig: signature }: Omit<PostFields, "body">, signer: string): string {
  return encodeLine({ seqno, ts, body, signature, signer });
}

/** Who has put this client out, and for how long, by the line that did. */
function whyOut({ username, from, statement }: LineEvent): string {
  const who = username ?? `${from.slice(0, 8)}…`;
  if (statement?.kind === "kick") return `${who} removed you from this room.`;
  if (statement?.kind !== "ban") return "You are not in this room any more.";
  const { until } = statement;
  return `${who} banned you from this room${until === undefined ? "" : ` until ${formatTime(1000 * until)}`}.`;
}

function connectionGone(): RequestRefused {
  return new RequestRefused("timeout", "The connection is gone.");
}

function parseKey(value: Json | undefined): { epoch: number; key: Bytes } | undefined {
  if (!isJsonObject(value)) return undefined;
  const [epoch, text] = [member(value, "epoch"), member(value, "key")];
  const key = typeof text === "string" ? parseBase64(text) : undefined;
  return typeof epoch === "number" && key?.length === BLOCK_SIZE ? { epoch, key } : undefined;
}

/** A post as its frame. */
export function postFrame(post: PostFields): { readonly type: "post" } & ReturnType<typeof postJson> {
  return { type: "post", ...postJson(post) };
}
