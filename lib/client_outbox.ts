/**
 * The lines that somebody writes in one room: each must arrive once, and all in their order (docs/PROTOCOL.md,
 * "Posting").
 *
 *     written → on the disk → signed → sent → `posted` → in the transcript on the disk → no longer unsent
 *
 * A signed line keeps its bytes until it is known to be accepted or refused for good: after a reconnect the same bytes
 * are sent again, and the server answers as it did before. A line is signed anew only if its bytes can't be accepted
 * any more: it or a line before it was refused or signed anew, its seqno was taken, its key is too old, its time is
 * ahead of the server's clock, or its certificate was replaced. After a refusal nothing more is sent until what is in flight is answered and
 * the queue is in order again, so lines can't overtake each other.
 *
 * @layer chat
 */

import { BLOCK_SIZE, encrypt } from "./aes_cbc.ts";
import type { Bytes, Clock, Random } from "./bytes.ts";
import type { RoomEvent } from "./client_event.ts";
import type { LogMonitor } from "./client_log_monitor.ts";
import { forgetSigned, lineOf, type OutboxQueue, type QueuedLine } from "./client_outbox_queue.ts";
import type { RoomDisk } from "./client_room_disk.ts";
import { messageOf } from "./errors.ts";
import { encodeEnvelope, type LogPin, SALT_SIZE, type Statement } from "./log_envelope.ts";
import type { PostedFields } from "./log_frames.ts";
import { signRoomLine } from "./log_line.ts";
import { type PostFields, postJson } from "./log_requests.ts";
import type { SigningKey } from "./pss.ts";
import { encodeLine } from "./transcript.ts";

/** Lines in flight at once: enough to fill a slow connection. */
const WINDOW = 64;
/** How long a line waits after the server could not take it, in milliseconds. */
const RETRY_AFTER = 2_000;
/** After so many refusals in a row the queue is put in order with a pause. */
const MAX_REFUSALS = 3;

/** Refusals after which a line isn't sent again. */
const FINAL: ReadonlySet<string> = new Set([
  "forbidden",
  "muted",
  "not-member",
  "no-room",
  "bad-envelope",
  "too-large",
]);

/** Refusals after which a line may not stand in the log with the bytes that were sent. */
const REFUSED: ReadonlySet<string> = new Set([...FINAL, "replay", "stale", "old-epoch"]);

/** The longest that any head is as text. */
const LONGEST_HEAD = { size: Number.MAX_SAFE_INTEGER, root: "0".repeat(64) };
/** The longest name of a head of the server's log. */
const LONGEST_PIN: LogPin = { id: "0".repeat(32), ...LONGEST_HEAD };

/** A client's certificate, its PEM with intermediates, and its key. */
export interface OwnCertificate {
  readonly fingerprint: string;
  readonly pem: string;
  readonly key: SigningKey;
  /** The fingerprint of the certificate that this one has replaced. */
  readonly was?: string | undefined;
}

/** What an outbox works with. */
export interface OutboxOptions {
  readonly room: string;
  readonly identity: OwnCertificate;
  readonly queue: OutboxQueue;
  readonly disk: RoomDisk;
  readonly emit: (event: RoomEvent) => void;
  readonly now: Clock;
  readonly random: Random;
  readonly later: (ms: number, run: () => void) => void;
  /** Sends a post; its refusal comes by {@link Outbox.refused} with the key. False: there is no connection. */
  readonly send: (post: PostFields, key: number) => boolean;
  /** Asks the server for lines and keys that this client lacks, as a refusal shows. */
  readonly catchUp: () => Promise<void>;
  /** The head of the server's log that lines name; `undefined` if there is none. */
  readonly pin: () => LogPin | undefined;
}

/** The log that lines are signed for. */
export interface OutboxLog {
  readonly monitor: LogMonitor;
  /** The hash of the log's origin. */
  readonly hash: Bytes;
}

/** What is to be done once nothing is in flight, before anything more is sent. */
type Repair =
  /** Numbers and signs anew whatever can't be accepted as it is. */
  | "renumber"
  /** The same, after asking for the lines and keys that this client lacks. */
  | "catch up"
  /** The same, after a pause. */
  | "wait";

/** The unsent lines of one room. */
export class Outbox {
  readonly #options: OutboxOptions;
  #own: OwnCertificate;
  #log: OutboxLog | undefined;
  readonly #queue: OutboxQueue;
  /** What is done one after the other: signing, and putting the queue in order. */
  #work: Promise<unknown> = Promise.resolve();
  /** Set while lines may go; another object each time. */
  #run: object | undefined;
  #repair: Repair | undefined;
  #nextSeqno = 0;
  /** How often the queue was put in order since a line was accepted. */
  #refusals = 0;
  /** Why lines wait, as it was told last. */
  #toldReason = "";

  constructor(options: OutboxOptions) {
    this.#options = options;
    this.#own = options.identity;
    this.#queue = options.queue;
  }

  // Beginning and end.

  /** Lines are signed for this log. */
  signFor(log: OutboxLog): void {
    this.#log = log;
  }

  /** The certificate is another. Lines that the old one signed may stand in the log; they aren't sent again as such. */
  become(own: OwnCertificate): void {
    this.#own = own;
    for (const item of this.#queue.items) item.post = undefined;
  }

  /** The server lets this client in, and knows of so many of its lines: what was in flight before is not any more. */
  admitted(nextSeqno: number): void {
    this.#refusals = 0;
    this.#nextSeqno = nextSeqno;
    this.#queue.nothingInFlight();
  }

  /** All lines up to now are here: what is unsent goes. */
  start(): void {
    this.#run = {};
    this.#repair = "renumber";
    this.#sortOut();
  }

  /** No line goes until {@link start}; join lines do. */
  stop(): void {
    this.#run = undefined;
  }

  /** The connection is gone: lines in flight may have arrived, or not. */
  offline(): void {
    this.stop();
    this.#queue.nothingInFlight();
  }

  /** Resolves once nothing is being signed or put in order. */
  async settled(): Promise<void> {
    await this.#work;
  }

  // Writing.

  /** Writes a line; resolves with its key once it would survive a crash, whether it could be sent yet or not. */
  async post(statement: Statement): Promise<number> {
    const { room } = this.#options;
    // A statement that no envelope can hold is refused now, online or not.
    encodeEnvelope({ room, seen: LONGEST_HEAD, log: LONGEST_PIN, statement, salt: new Uint8Array(SALT_SIZE) });
    const item = this.#queue.write(statement);
    try {
      await this.#inTurn(async () => {
        const isNext = this.#run && this.#repair === undefined && item.post === undefined;
        if (isNext) await this.#sign(item, this.#nextSeqno);
      });
      await (item.post ? item.stored : this.#store(item));
    } catch (error) {
      this.#queue.drop(item, "not-kept", messageOf(error));
      throw error;
    }
    this.#flush();
    return item.key;
  }

  /** Sends this client's join line, before all lines that aren't in the log yet; the one that waits, if there is one. */
  async sendJoin(nextSeqno: number, username: string): Promise<void> {
    await this.#inTurn(() => this.#sendJoin(nextSeqno, username));
  }

  async #sendJoin(nextSeqno: number, username: string): Promise<void> {
    const isOld = (item: QueuedLine) => item.post !== undefined && item.post.seqno < nextSeqno;
    if (!this.#queue.hasJoin) {
      const { was } = this.#own;
      const statement = { kind: "join", username, ...(was === undefined ? {} : { was }) } as const;
      this.#queue.add(statement, this.#queue.items.filter(isOld).length);
    }
    let due = nextSeqno;
    for (const item of this.#queue.items) {
      if (isOld(item)) continue;
      if (item.post && item.post.seqno !== due) forgetSigned(item);
      due += 1;
    }
    this.#nextSeqno = nextSeqno;
    for (const item of this.#queue.items) {
      if (item.statement.kind !== "join") continue;
      if (!item.post) await this.#sign(item, nextSeqno);
      if (!item.isStored) await item.stored;
      this.#sendOne(item);
      if (item.post && !isOld(item)) this.#nextSeqno = item.post.seqno + 1;
    }
  }

  async #sign(item: QueuedLine, seqno: number): Promise<void> {
    const { room, random, now, disk } = this.#options;
    const { monitor, hash: log } = this.#log ?? {};
    if (!monitor?.epoch || !log) throw new Error("a line is signed in a room that was joined");
    const { epoch, key: roomKey } = monitor.epoch;
    const seen = monitor.seen(item.statement.kind === "join" && seqno > 0);
    const pin = this.#options.pin();
    const said = { room, seen, statement: item.statement, salt: random(SALT_SIZE) };
    const envelope = encodeEnvelope({ ...said, ...pin ? { log: pin } : {} });
    const body = encrypt(roomKey, random(BLOCK_SIZE), envelope);
    const ts = Math.max(Math.min(item.ts, now()), this.#lastTs()); // a clock that was ahead may be right by now
    const { key, fingerprint } = this.#own;
    const signed = await signRoomLine({ log, envelope, body }, { key, fingerprint, seqno, ts });
    item.post = { room, epoch, seqno, ts, ct: signed.body, sig: signed.signature, body };
    item.line = encodeLine(signed);
    this.#nextSeqno = seqno + 1;
    if (seen.size > 0) void disk.keep({ type: "seen", size: seen.size });
    this.#store(item).catch(() => {}); // whoever waits for it hears of that
  }

  /** The newest time of any line of this client, in the log or before it. */
  #lastTs(): number {
    return Math.max(this.#log?.monitor.own?.ts ?? 0, ...this.#queue.items.map(({ post }) => post?.ts ?? 0));
  }

  /** Puts a line on the disk, without which it isn't sent. */
  #store(item: QueuedLine): Promise<void> {
    const written = this.#queue.store(item, this.#own.fingerprint);
    void written.then(() => this.#flush());
    return item.stored;
  }

  // Sending.

  /** Sends what is ready, in its order. */
  #flush(): void {
    let inFlight = this.#queue.items.filter((item) => item.isInFlight).length;
    for (const item of this.#queue.items) {
      if (!this.#run || this.#repair !== undefined || inFlight >= WINDOW || this.#log?.monitor.lie) return;
      if (item.isInFlight || item.index !== undefined) continue;
      if (!item.isStored || !this.#sendOne(item)) return;
      inFlight += 1;
    }
  }

  #sendOne(item: QueuedLine): boolean {
    if (!item.post) return false;
    item.isInFlight = this.#options.send(item.post, item.key);
    item.wasSent ||= item.isInFlight;
    return item.isInFlight;
  }

  /** Does one thing after the other. */
  #inTurn<T>(work: () => Promise<T> | T): Promise<T> {
    const done = this.#work.then(work);
    this.#work = done.catch(() => {});
    return done;
  }

  // Answers.

  /** Whether a line of another certificate may be one of the queue: the certificate that this client had before. */
  get hasOldSigned(): boolean {
    return this.#queue.items.some(({ line, post }) => line && !post);
  }

  /** A line stands in the log. `isOwn`: this client's certificate has signed it. */
  posted(posted: PostedFields, isOwn: boolean): void {
    const line = lineOf(posted, posted.from);
    const item = this.#queue.items.find((one) => one.line === line);
    if (item) {
      item.index = posted.index;
      item.isInFlight = false;
    }
    if (!isOwn) return;
    this.#refusals = 0;
    this.#toldReason = "";
  }

  /** Goes on after {@link posted}: puts the queue in order if that is due, and sends. */
  goOn(): void {
    this.#sortOut();
    this.#flush();
  }

  /** A line was judged and is being written: the statement of ours that it is; `undefined` if it isn't ours. */
  judged(text: string, index: number, written: Promise<void>): Statement | undefined {
    const item = this.#queue.items.find(({ line }) => line === text);
    if (item) void written.then(() => this.#queue.accept(item, index));
    return item?.statement;
  }

  /** The server refuses a line: the statement that it refuses, if that is still waiting. */
  refused(key: number, errorType: string, reason: string): Statement | undefined {
    const item = this.#queue.items.find((one) => one.key === key);
    if (!item || item.index !== undefined) return undefined;
    item.isInFlight = false;
    if (item.line !== undefined && REFUSED.has(errorType)) this.#log?.monitor.refuseLine(item.line);
    this.#repair = this.#repairAfter(item, errorType, reason);
    this.#sortOut();
    return item.statement;
  }

  /** What a refusal asks for. */
  #repairAfter(item: QueuedLine, errorType: string, reason: string): Repair {
    if (FINAL.has(errorType)) {
      this.#queue.drop(item, errorType, reason);
      return this.#repair ?? "renumber";
    }
    // Behind a line that was refused it was only out of turn; otherwise something else has its place.
    if (errorType === "replay") return this.#repair ?? "catch up";
    if (errorType === "old-epoch") {
      forgetSigned(item);
      return "catch up";
    }
    if (errorType === "stale") { // no line behind it has an earlier time
      const { items } = this.#queue;
      for (const late of items.slice(items.indexOf(item))) forgetSigned(late);
    }
    this.#tellWaiting(reason);
    return "wait";
  }

  #tellWaiting(reason: string): void {
    const { room, emit } = this.#options;
    const { count } = this.#queue;
    const told = `${count} ${reason}`;
    if (told !== this.#toldReason) emit({ event: "waiting", room, count, reason });
    this.#toldReason = told;
  }

  // Putting the queue in order.

  /** Once nothing is in flight: numbers and signs anew whatever can't be accepted as it is, and sends. */
  #sortOut(): void {
    const run = this.#run;
    const repair = this.#repair;
    if (!run || repair === undefined || this.#queue.items.some(({ isInFlight }) => isInFlight)) return;
    const again = () =>
      void this.#inTurn(() => this.#renumber(run, repair === "catch up")).catch(() => {
        if (run === this.#run) this.#options.later(RETRY_AFTER, () => this.#sortOut());
      });
    this.#refusals += 1;
    if (repair === "wait" || this.#refusals > MAX_REFUSALS) this.#options.later(RETRY_AFTER, again);
    else again();
  }

  async #renumber(run: object, catchesUp: boolean): Promise<void> {
    const isOver = () => run !== this.#run || this.#repair === undefined;
    if (isOver()) return;
    if (catchesUp) await this.#options.catchUp();
    if (isOver()) return;
    const taken = this.#queue.items.flatMap(({ index, post }) => index !== undefined && post ? [post.seqno + 1] : []);
    let due = Math.max(this.#log?.monitor.own?.seqno ?? 0, ...taken);
    let isAnew = false;
    for (const item of this.#queue.items) {
      if (item.index !== undefined) continue;
      const wasRefused = item.line !== undefined && this.#log?.monitor.hasRefused(item.line);
      // Behind a line that is signed anew all are: neither time nor `seen` may fall from one to the next.
      isAnew ||= item.post?.seqno !== due || wasRefused === true;
      if (isAnew) await this.#sign(item, due);
      due += 1;
    }
    this.#nextSeqno = due;
    if (isOver()) return;
    this.#repair = undefined;
    this.#flush();
  }
}

/** A post as its frame. */
export function postFrame(post: PostFields): { readonly type: "post" } & ReturnType<typeof postJson> {
  return { type: "post", ...postJson(post) };
}
