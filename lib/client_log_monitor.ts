/**
 * One room's log, as one client keeps and checks it (docs/PROTOCOL.md, "Rooms as evidence" and "What a client checks"):
 * nothing of it is believed because the server says so.
 *
 *     posted → its place: the next index, gapless seqno, R, H and C, room, `seen`           client_line_order.ts
 *            → its author: signature, certificate at the covering checkpoint's time, name, role
 *            → event "line", and what it changes                                            client_line_monitor.ts
 *     checkpoint → signed by a certificate for the origin's server, later than the last
 *            → its root is that of the lines that were shown → event "covered"              client_head_monitor.ts
 *
 * If the server is caught, event "lie" says at what, and the room takes nothing more: what was shown before stays.
 *
 * Our own lines say what this client had seen: the newest head that was compared with lines that are shown.
 *
 * What the monitor needs it asks for ({@link MonitorQuestions}); what must outlive the program it hands out
 * ({@link Kept}). Who the server is on the wire, sending, and which rooms there are, is `client_rooms.ts`.
 *
 * @layer chat
 */

import { type Bytes, type Clock, encodeHex, encodeUtf8 } from "./bytes.ts";
import type { Trust } from "./certificate_path.ts";
import { AuthorCertificates } from "./client_author_certificates.ts";
import type { Lie, LineEvent, RoomEvent } from "./client_event.ts";
import { HeadMonitor, type HeadQuestions } from "./client_head_monitor.ts";
import { EMPTY_HEAD, KnownLog, type LogName, type Placed } from "./client_known_log.ts";
import { type JudgedLine, LineMonitor, SHOW_UNCHECKED, type Signatures } from "./client_line_monitor.ts";
import { LineOrder } from "./client_line_order.ts";
import type { Pins } from "./client_pins.ts";
import type { Kept, KeptLine, KeptRoom } from "./client_store.ts";
import type { Checkpoint } from "./log_checkpoint.ts";
import type { Head, LogPin } from "./log_envelope.ts";
import type { PostedFields } from "./log_frames.ts";
import type { RoomState } from "./log_roles.ts";
import { leafHash } from "./log_tree.ts";

/** What a monitor asks others for. A promise that rejects means: not now; `undefined`: the server has none. */
export interface MonitorQuestions extends HeadQuestions {
  /** The PEM of a certificate, with its intermediates. */
  certificate(fingerprint: string): Promise<string | undefined>;
  /** The audit path of a line. */
  inclusion(index: number, size: number): Promise<readonly Bytes[] | undefined>;
}

/** What a monitor tells the room that it belongs to. */
export interface MonitorListener {
  /** A line was judged, and is being kept. */
  judged(line: JudgedLine): void;
  /** Checkpoints cover more lines, or the server was caught. */
  coverageChanged(): void;
  /** Members and topic were told: event "state". */
  stateTold(memberCount: number): void;
  /** A good line names a head of the server's log. */
  logNamed(index: number, pin: LogPin): void;
}

/** What a monitor works with. */
export interface LogMonitorOptions extends LogName {
  /** The fingerprint of this client's certificate. */
  readonly own: string;
  readonly trust: () => Promise<Trust>;
  readonly pins: Pins;
  readonly ask: MonitorQuestions;
  readonly emit: (event: RoomEvent) => void;
  /** Keeps something; resolves once it would survive a crash. */
  readonly keep: (kept: Kept) => Promise<void>;
  readonly listener?: MonitorListener;
  readonly now: Clock;
  /** Checks signatures; without it they are checked in this thread. */
  readonly signatures?: Signatures | undefined;
}

/** The monitor of one room's log. */
export class LogMonitor {
  readonly #options: LogMonitorOptions;
  readonly #log: KnownLog;
  readonly #order: LineOrder;
  readonly #lines: LineMonitor;
  readonly #heads: HeadMonitor;
  #own: string;

  constructor(options: LogMonitorOptions) {
    const { trust, ask, now, emit, keep, pins, own, signatures, listener } = options;
    this.#options = options;
    this.#own = own;
    const log = new KnownLog(options, (lie, reason, heads) => this.#caught(lie, reason, heads));
    const certificates = new AuthorCertificates({ trust, certificate: (fingerprint) => ask.certificate(fingerprint) });
    const heads = new HeadMonitor({
      ...{ log, certificates, ask, now, emit, keep },
      covered: (head, covered) => {
        listener?.coverageChanged();
        this.#lines.cover(head, covered);
      },
    });
    this.#log = log;
    this.#order = new LineOrder(log);
    this.#heads = heads;
    this.#lines = new LineMonitor({
      ...{ log, certificates, heads, own, pins, signatures, now, emit, keep },
      judged: (line) => listener?.judged(line),
      stateTold: (memberCount) => listener?.stateTold(memberCount),
      logNamed: (index, pin) => listener?.logNamed(index, pin),
      done: () => heads.prove(),
    });
  }

  /** This client goes on with another certificate. */
  become(own: string): void {
    this.#own = own;
    this.#lines.become(own);
  }

  /** Takes what was kept. Its lines were checked when they came; the last `shown` of them are told again. */
  restore({ base, lines, bad, checkpoints, lie, refused = [] }: KeptRoom, shown: number): void {
    for (const leaf of refused) this.#order.refuse(leaf);
    if (base) this.#log.begin(base.size, base.peaks);
    this.#lines.beginLater();
    const recent: Placed[] = [];
    for (const line of lines) {
      const placed = this.#order.restore(line);
      if (!placed) break;
      this.#heads.expect(placed);
      this.#lines.restore(placed, bad.get(placed.index));
      recent.push(placed);
      if (recent.length > 2 * shown) recent.splice(0, shown);
    }
    this.#lines.eraseAgain((index) => Boolean(lines[index - (base?.size ?? 0)]?.envelope));
    this.#heads.restore(checkpoints);
    for (const placed of recent.slice(-shown)) this.#lines.tell(placed);
    if (lie) this.#log.deny(lie.lie, lie.reason);
  }

  // What is known.

  /** The room's name. */
  get room(): string {
    return this.#options.room;
  }

  /** The log's origin. */
  get origin(): string {
    return this.#options.origin;
  }

  /** The time (unix seconds) of the first checkpoint that covers more lines than that; `undefined` if none does. */
  firstAfter(size: number, since: number): number | undefined {
    return this.#heads.firstAfter(size, since);
  }

  /** What is wrong with a checkpoint that the server's log registers; `undefined` if it is of this room's log. */
  async problemOfRegistered(checkpoint: Checkpoint): Promise<string | undefined> {
    return await this.#heads.problemOfRegistered(checkpoint);
  }

  /** How many lines of the log are here, or lie before the first that is shown. */
  get size(): number {
    return this.#log.size;
  }

  /** The index of the first line that is shown. */
  get base(): number | undefined {
    return this.#log.base;
  }

  /** The newest checkpoint. */
  get checkpoint(): Checkpoint | undefined {
    return this.#heads.newest;
  }

  /** The newest head that was compared with lines which were shown, all of them checked. */
  get compared(): Head {
    return this.#heads.compared(this.shown);
  }

  /** How many lines are covered by a checkpoint that was compared with them. */
  get covered(): number {
    return this.#heads.covered;
  }

  /** At what the server was caught. */
  get lie(): Lie | undefined {
    return this.#log.lie;
  }

  /** Members, roles and the topic, by the lines that are here. */
  get state(): RoomState {
    return this.#lines.state;
  }

  /** Whether this client is not in the room, by the lines that are here. */
  get isOut(): boolean {
    return this.#lines.isOut;
  }

  /** The seqno of this client's next line, and the time of its last; `undefined` if none of its lines is known. */
  get own(): { readonly seqno: number; readonly ts: number } | undefined {
    const author = this.#log.authorNamed(this.#own);
    return author?.next === undefined ? undefined : { seqno: author.next, ts: author.ts };
  }

  /**
   * What the next line says that it has seen: the newest head that was compared with lines, or the one that this
   * client's last line has named if its own records of that time are lost. With `isBlind`, the newest that was signed:
   * whoever joins again without records may not name less than in lines that aren't shown yet.
   */
  seen(isBlind = false): Head {
    const { checkpoint, compared } = this;
    if (isBlind && checkpoint && this.own === undefined) return { size: checkpoint.size, root: checkpoint.root };
    const own = this.#log.authorNamed(this.#own)?.seen ?? EMPTY_HEAD;
    return compared.size >= own.size ? compared : own;
  }

  /** How many other people have said that they had seen a head beyond the line. */
  countersigners(index: number): number {
    return this.#lines.countersigners(index);
  }

  /** A line of the disk, as an event; `undefined` if its author isn't known here. */
  describe(index: number, line: KeptLine): LineEvent | undefined {
    return this.#lines.describe(index, line);
  }

  /** The newest epoch whose key is known. */
  get epoch(): { readonly epoch: number; readonly key: Bytes } | undefined {
    return this.#order.epoch;
  }

  // What is missing.

  /** Whether the next line is here and its key is not. */
  get lacksKey(): boolean {
    return this.#order.lacksKey;
  }

  /** Whether lines are here, and others before them are not. */
  get hasGap(): boolean {
    return this.#order.hasGap;
  }

  /** How many lines the log has by a checkpoint whose lines are not all here; 0 if there is none. */
  get promised(): number {
    return this.#heads.promised;
  }

  /** How many lines are shown, or lie before the first that is. */
  get shown(): number {
    return this.size - this.#lines.waiting;
  }

  /** Whether there are lines that can't be shown yet: they, or what they are checked with, aren't here. */
  get isBehind(): boolean {
    return this.#lines.waiting > 0 || this.#order.isWaiting || this.promised > this.size;
  }

  // What the server says.

  /** A key of the room. */
  takeKey(epoch: number, key: Bytes): void {
    this.#order.takeKey(epoch, key);
    this.#drain();
  }

  /** The server has given all keys that it gives: what can't be read now won't be. */
  tookAllKeys(): void {
    this.#drain(true);
  }

  /** A line. One that comes before its turn waits for those before it, which the caller asks for. */
  take(posted: PostedFields): void {
    if (this.lie) return;
    this.#order.take(posted);
    this.#drain();
  }

  /** A checkpoint; resolves once it is judged, or can't be for now. */
  takeCheckpoint(checkpoint: Checkpoint): Promise<void> {
    return this.#heads.take(checkpoint);
  }

  /** The server has let this client in, and says what the topic is. */
  admitted(topic: string): void {
    this.#log.isLive = false; // until everything is here that was said meanwhile
    this.#lines.admitted(topic);
    this.wake();
  }

  /** The server has shown what it has from that index on, and the next line isn't there. */
  missed(index: number): void {
    if (this.lie || this.size > index) return;
    const but = this.hasGap ? "lines after it" : "a signed head of later lines";
    this.#log.deny("missing line", `The server shows no line ${index}, but ${but}: a line is kept back.`);
  }

  /** Begins a log whose beginning isn't shown with the first line that is: its audit path tells what lies before. */
  async begin(index: number): Promise<void> {
    const path = index === 0 ? [] : await this.#options.ask.inclusion(index, index + 1);
    if (this.#log.tree || !path) return;
    const peaks = path.toReversed();
    try {
      this.#log.begin(index, peaks);
    } catch {
      return this.#log.deny("wrong head", `The server's proof for line ${index} is none.`);
    }
    void this.#options.keep({ type: "base", size: index, peaks });
    this.#lines.beginLater();
    this.#order.beginAt(index);
    this.#drain();
  }

  /** The server's log is another than the one that was pinned. */
  refuse(lie: Lie, reason: string): void {
    this.#log.deny(lie, reason);
  }

  /** The server has refused this line of the client's own, for good or in this form: it may not stand. */
  refuseLine(line: string): void {
    const leaf = encodeHex(leafHash(encodeUtf8(line)));
    if (this.#order.refuse(leaf)) void this.#options.keep({ type: "refused", leaf });
  }

  /** Whether the server has refused exactly this line: to send it again would make it a liar. */
  hasRefused(line: string): boolean {
    return this.#order.hasRefused(encodeHex(leafHash(encodeUtf8(line))));
  }

  #drain(hasAllKeys = false): void {
    if (!this.#log.tree) return;
    for (const placed of this.#order.drain(hasAllKeys)) {
      this.#heads.expect(placed);
      this.#lines.add(placed);
    }
    this.#heads.prove();
    this.#lines.judge();
  }

  #caught(lie: Lie, reason: string, heads: readonly Checkpoint[]): void {
    const { keep, emit, room, listener } = this.#options;
    this.#order.stop();
    void keep({ type: "lie", lie, reason, heads });
    emit({ event: "lie", room, lie, reason });
    listener?.coverageChanged();
  }

  // Time.

  /**
   * All lines up to now are here. Resolves when what they change is known, unless too many wait to be judged.
   */
  async caughtUp(): Promise<void> {
    this.#log.isLive = true;
    this.#options.emit({ event: "caught_up", room: this.#options.room, size: this.size });
    this.#lines.refreshState();
    const { waiting } = this.#lines;
    if (waiting > 0 && waiting <= SHOW_UNCHECKED) await this.settled();
    this.#lines.tellState();
  }

  /** Goes on with what waited for an answer of the server. */
  wake(): void {
    this.#heads.judgeAgain();
    this.#heads.prove();
    this.#lines.judge();
  }

  /** To be called every second or so: asks again, and marks what waits too long for a checkpoint or a redaction. */
  tick(): void {
    this.#heads.tick();
    this.wake();
    if (this.lie) return;
    this.#heads.markUncovered();
    // The line that erases words may be among those that are on their way.
    if (this.#log.isLive && !this.hasGap && this.#lines.waiting === 0) this.#lines.markWordless();
  }

  /** Resolves when all that came is shown, or waits for others. */
  async settled(): Promise<void> {
    await this.#heads.settled();
    await this.#lines.settled();
    await this.#heads.settled();
  }
}
