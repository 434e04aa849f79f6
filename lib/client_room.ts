/**
 * One room that this client is in, or was: coming in, catching up, and being out of it again (docs/PROTOCOL.md,
 * "Joining a room").
 *
 *     await room.enter({ isAsked: true, username });      join → joined → own join line, if none stands
 *                                                         → keys → history up to now → what is unsent
 *     await room.post({ kind: "text", text: "hello" });   resolves once the line would survive a crash
 *
 * The states of a room are a table, `client_room_states.ts`. Whether what the room shows is true is
 * `client_log_monitor.ts`; how lines get into the log is `client_outbox.ts`. Requests, certificates and which rooms
 * there are, is `client_rooms.ts`, which is told by calls what it has to know ({@link RoomOwner}).
 *
 * @layer chat
 */

import type { Bytes, Clock, Random } from "./bytes.ts";
import { CatchUp, Visit } from "./client_catch_up.ts";
import type { Lie, LineEvent } from "./client_event.ts";
import type { JudgedLine } from "./client_line_monitor.ts";
import { LogMonitor, type LogMonitorOptions } from "./client_log_monitor.ts";
import { Outbox, type OwnCertificate } from "./client_outbox.ts";
import { OutboxQueue } from "./client_outbox_queue.ts";
import { type RequestFrame, RequestRefused } from "./client_requests.ts";
import { RoomDisk } from "./client_room_disk.ts";
import { RoomStates } from "./client_room_states.ts";
import type { RoomRecord } from "./client_store.ts";
import { encodeCheckpoint } from "./log_checkpoint.ts";
import type { LogPin, Statement } from "./log_envelope.ts";
import type { PostedFields, RoomFrame } from "./log_frames.ts";
import { logHash, parseOrigin } from "./log_line.ts";
import type { HistoryPolicy, PostFields } from "./log_requests.ts";
import { formatTime } from "./time_text.ts";

/** Lines of the disk that are told again when a room is opened. */
const SHOWN_AGAIN = 500;

/** A room's policy, when it is made. */
export interface RoomPolicy {
  readonly history: HistoryPolicy;
  readonly inviteOnly: boolean;
}

/** What a room tells those who keep the list of rooms. */
export interface RoomOwner {
  /** This client is out of the room. */
  left(): void;
  /** Another number of its lines is unsent now. */
  unsentChanged(): void;
  /** Checkpoints cover more lines, or none will cover any more since the server was caught. */
  coverageChanged(): void;
  /** Members and topic were told. */
  stateTold(memberCount: number): void;
  /** A good line names a head of the server's log. */
  logNamed(index: number, pin: LogPin): void;
}

/** What a room works with; the first part as the monitor. */
export interface ClientRoomOptions
  extends Pick<LogMonitorOptions, "room" | "trust" | "pins" | "ask" | "emit" | "now" | "signatures"> {
  readonly now: Clock;
  readonly random: Random;
  readonly identity: OwnCertificate;
  readonly record: RoomRecord;
  readonly owner: RoomOwner;
  /** Asks the server; rejects with {@link RequestRefused}, or if there is no connection. */
  readonly request: (frame: RequestFrame) => Promise<RoomFrame>;
  /** Sends a post; its refusal comes by {@link ClientRoom.refused} with the key. False: there is no connection. */
  readonly send: (post: PostFields, key: number) => boolean;
  /** Opens what the server sealed for this session. */
  readonly open: (payload: Bytes) => Bytes | undefined;
  readonly later: (ms: number, run: () => void) => void;
  /** Names the next line; counted over all rooms. */
  readonly nextKey: () => number;
  /** The head of the server's log that our lines name; `undefined` if there is none. */
  readonly pin: () => LogPin | undefined;
}

/** How a room is entered. */
export interface Entering {
  /** Whether somebody wants to join; otherwise this client only comes back, and a join line of its own must stand. */
  readonly isAsked: boolean;
  /** The account. */
  readonly username: string;
  /** Makes the room. */
  readonly policy?: RoomPolicy | undefined;
}

type Joined = RoomFrame & { readonly type: "joined" };

/** A coming in that is under way. */
interface UnderWay {
  readonly done: Promise<void>;
  isAsked: boolean;
}

/** A room that this client is in, or was. */
export class ClientRoom {
  readonly #options: ClientRoomOptions;
  readonly #states = new RoomStates();
  readonly #disk: RoomDisk;
  readonly #queue: OutboxQueue;
  readonly #outbox: Outbox;
  #own: OwnCertificate;
  #loading: Promise<void> | undefined;
  /** Both are there once the room was joined for the first time. */
  #monitor: LogMonitor | undefined;
  #catchUp: CatchUp | undefined;
  #visit = new Visit();
  /** The coming in that is under way. */
  #entering: UnderWay | undefined;
  /** Settles when the join line that is on its way stands, or is refused. */
  #standing = Promise.withResolvers<void>();
  /** Whether somebody has read what the join line that waits consents to. */
  #isNoticeShown = false;

  constructor(options: ClientRoomOptions) {
    const { room, record, identity, emit, now, random, later, nextKey, send, owner, pin } = options;
    this.#options = options;
    this.#own = identity;
    const disk = new RoomDisk(room, record, emit);
    const queue = new OutboxQueue({ room, disk, emit, now, nextKey, changed: () => owner.unsentChanged() });
    const catchUp = async () => await this.#catchUp?.page();
    this.#disk = disk;
    this.#queue = queue;
    this.#outbox = new Outbox({ room, identity, queue, disk, emit, now, random, later, send, catchUp, pin });
    this.#expectStanding();
  }

  /** The log as it was checked; `undefined` before the room was first joined. */
  get monitor(): LogMonitor | undefined {
    return this.#monitor;
  }

  /** Whether this client's join line stands. */
  get isIn(): boolean {
    return this.#states.membership === "in";
  }

  /** Whether this client was put out, or has left, since the program began. */
  get isOut(): boolean {
    return this.#states.membership === "out";
  }

  /** Whether the server says that the log which this client knows is not there any more. */
  get isGone(): boolean {
    return this.#states.phase === "gone";
  }

  /** Whether a join line of this client's waits, or is on its way. */
  get isJoining(): boolean {
    return this.#queue.hasJoin;
  }

  /** How many lines are not known to be accepted. */
  get unsentCount(): number {
    return this.#queue.count;
  }

  /** Whether a line was sent, and neither accepted nor refused yet. */
  isInFlight(key: number): boolean {
    return this.#queue.isInFlight(key);
  }

  get #isLive(): boolean {
    return this.#states.phase === "live";
  }

  // Coming in.

  /** Reads what is on the disk. */
  load(): Promise<void> {
    const loading = this.#loading ??= this.#load();
    loading.catch(() => this.#loading = undefined); // tried again by the next who asks
    return loading;
  }

  async #load(): Promise<void> {
    const { record } = this.#options;
    const { pinned } = record;
    const kept = pinned && await record.read();
    this.#queue.restore(record.unsent, this.#own.fingerprint);
    if (!pinned || !kept) return;
    this.#know(pinned.origin, pinned.history).monitor.restore(kept, SHOWN_AGAIN);
    this.#queue.restoreAccepted(kept);
  }

  /**
   * Comes in: resolves when all lines up to now are here. Whoever asks while that is under way waits for the same.
   */
  async enter({ isAsked, username, policy }: Entering): Promise<void> {
    if (policy) await this.#entering?.done.catch(() => {});
    if (this.#isLive && !isAsked) return; // a retry, after somebody else has come in
    const entering = this.#entering ?? this.#begin(username, policy, isAsked);
    entering.isAsked ||= isAsked;
    await entering.done;
  }

  #begin(username: string, policy: RoomPolicy | undefined, isAsked: boolean): UnderWay {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const entering = this.#entering = { done: promise, isAsked };
    const over = () => {
      if (this.#entering === entering) this.#entering = undefined;
    };
    promise.then(over, over);
    this.#comeIn(username, policy).then(resolve, reject);
    return entering;
  }

  async #comeIn(username: string, policy: RoomPolicy | undefined): Promise<void> {
    const visit = this.#beginVisit();
    await this.load();
    if (visit.isOver) throw connectionGone();
    this.#mustBeEnterable(policy);
    this.#states.take("enter");
    this.#outbox.stop();
    this.#expectStanding();
    try {
      const joined = await this.#ask(policy);
      const { monitor, catchUp } = this.#known(visit);
      await monitor.settled();
      if (monitor.lie) throw caught(this.#options.room);
      this.#tellJoined(joined);
      if (!await this.#stand(joined, username, monitor)) return;
      await catchUp.run(joined.count, visit);
      this.#known(visit);
      if (monitor.lie) throw caught(this.#options.room);
      const told = monitor.caughtUp();
      this.#states.take("caught up");
      this.#outbox.start();
      await told;
    } catch (error) {
      if (!visit.isOver) this.#refusedEntry();
      throw error;
    }
  }

  #beginVisit(): Visit {
    this.#visit.isOver = true;
    return this.#visit = new Visit();
  }

  #expectStanding(): void {
    this.#standing = Promise.withResolvers();
    this.#standing.promise.catch(() => {}); // it may be rejected while nobody waits for it
  }

  #mustBeEnterable(policy: RoomPolicy | undefined): void {
    const { room } = this.#options;
    if (this.#monitor?.lie) throw caught(this.#options.room);
    if (this.isGone) throw gone(this.#options.room);
    if (!policy || !this.#monitor) return;
    const way = `/join ${room}. If its log was closed, /forget ${room} comes first.`;
    throw new RequestRefused("forbidden", `This client has a log of ${room} already: ${way}`);
  }

  /** Asks the server to let this client in, or to make the room. */
  async #ask(policy: RoomPolicy | undefined): Promise<Joined> {
    const { room, request } = this.#options;
    const checkpoint = this.#monitor?.checkpoint;
    const frame = policy
      ? { type: "create", room, mode: "recorded", history: policy.history, invite_only: policy.inviteOnly }
      : { type: "join", room, ...(checkpoint ? { checkpoint: encodeCheckpoint(checkpoint) } : {}) };
    const joined = await request(frame).catch((error) => {
      if (!this.#monitor || !(error instanceof RequestRefused) || error.errorType !== "no-room") throw error;
      this.#states.take("log gone");
      throw gone(this.#options.room);
    });
    if (joined.type !== "joined") throw connectionGone();
    return joined;
  }

  /** The monitor and what catches up with it, unless that visit is over. */
  #known(visit: Visit): { readonly monitor: LogMonitor; readonly catchUp: CatchUp } {
    const monitor = this.#monitor;
    const catchUp = this.#catchUp;
    if (!monitor || !catchUp || visit.isOver) throw connectionGone();
    return { monitor, catchUp };
  }

  #tellJoined({ origin, mode, history, topic, count }: Joined): void {
    const { room, emit } = this.#options;
    if (this.isJoining && this.#isNoticeShown) return;
    this.#isNoticeShown = true;
    emit({ event: "joined", room, origin, mode, history, topic, count });
  }

  /** Sees that this client's join line stands; false if this client is out of the room instead. */
  async #stand(joined: Joined, username: string, monitor: LogMonitor): Promise<boolean> {
    if (joined.standing) {
      this.#states.take("let in");
      return true;
    }
    // A certificate that has no line here is a new one of a member; one that has was put out.
    const isNew = monitor.own === undefined && monitor.state.isMember(username);
    if (!this.#entering?.isAsked && !this.isJoining && !isNew) {
      this.goOut("You are not in this room any more.", joined.nextSeqno);
      return false;
    }
    this.#states.take("let in anew");
    await this.#outbox.sendJoin(joined.nextSeqno, username);
    await this.#standing.promise;
    this.#states.take("stands");
    return true;
  }

  #refusedEntry(): void {
    if (!this.isGone && this.#states.phase !== "apart") this.#states.take("refused");
  }

  /** The server lets this client in: its answer, before anything that follows it. */
  admit(joined: Joined): void {
    const { room, record } = this.#options;
    const { origin, history, key, checkpoint, nextSeqno, topic } = joined;
    if (!this.#monitor) this.#disk.pin(origin, history);
    const { monitor, catchUp } = this.#know(origin, history);
    const lie = lieOf(joined, { room, monitor, pinned: record.pinned?.origin ?? origin });
    if (lie) monitor.refuse(...lie);
    this.#outbox.admitted(nextSeqno);
    catchUp.takeKey(key);
    if (checkpoint) void monitor.takeCheckpoint(checkpoint);
    monitor.admitted(topic);
  }

  /** The log of that origin, which this client has known before, or knows from now on. */
  #know(origin: string, history: HistoryPolicy): { readonly monitor: LogMonitor; readonly catchUp: CatchUp } {
    if (this.#monitor && this.#catchUp) return { monitor: this.#monitor, catchUp: this.#catchUp };
    const { room, trust, pins, ask, emit, now, signatures, request, open, owner } = this.#options;
    const monitor = new LogMonitor({
      ...{ room, origin, history, trust, pins, ask, emit, now, signatures },
      own: this.#own.fingerprint,
      keep: (kept) => this.#disk.keep(kept),
      listener: {
        judged: (line) => this.#judged(line),
        logNamed: (index, pin) => owner.logNamed(index, pin),
        coverageChanged: () => owner.coverageChanged(),
        stateTold: (memberCount) => owner.stateTold(memberCount),
      },
    });
    const catchUp = new CatchUp(monitor, { room, emit, now, request, open });
    this.#monitor = monitor;
    this.#catchUp = catchUp;
    this.#outbox.signFor({ monitor, hash: logHash(origin) });
    return { monitor, catchUp };
  }

  // Being out.

  /** The connection is gone: what is on its way may have arrived, or not. */
  offline(): void {
    this.#visit.isOver = true;
    this.#entering = undefined;
    this.#states.take("offline");
    this.#standing.reject(connectionGone());
    this.#outbox.offline();
  }

  /** This client goes on with another certificate. */
  become(own: OwnCertificate): void {
    this.#own = own;
    this.#outbox.become(own);
    this.#monitor?.become(own.fingerprint);
  }

  /** The server says that the log is closed. */
  closed(reason: string): void {
    this.abandon(`${reason} ${wayOn(this.#options.room)}`);
    this.#states.take("log gone");
  }

  /** Does nothing more in this room; what is unsent is dropped. */
  abandon(reason: string): void {
    this.goOut(reason, 0);
    this.offline();
  }

  /**
   * This client is out of the room; what is unsent is dropped. Lines with a seqno below `taken` may stand in the log all
   * the same, since nobody tells that to whoever is out.
   */
  goOut(reason: string, taken = Infinity): void {
    const { emit, room, owner } = this.#options;
    this.#states.take("put out");
    this.#outbox.stop();
    this.#entering = undefined; // whoever wants to be in again begins anew
    owner.left();
    emit({ event: "left", room, reason });
    this.#queue.dropAll(reason, taken);
  }

  // Lines.

  /** A key of the room, sealed with the session's key. */
  takeKey(payload: Bytes): void {
    this.#catchUp?.takeKey(payload);
  }

  /** A line of the room. */
  take(posted: PostedFields): void {
    const monitor = this.#monitor;
    const catchUp = this.#catchUp;
    if (!monitor || !catchUp) return;
    const isOwn = posted.from === this.#own.fingerprint;
    if (isOwn || this.#outbox.hasOldSigned) this.#outbox.posted(posted, isOwn);
    if (isOwn) {
      this.#standing.resolve();
      this.#outbox.goOn();
    }
    catchUp.note(posted);
    monitor.take(posted);
    if (this.#isLive && (monitor.hasGap || monitor.lacksKey)) catchUp.lack(this.#visit);
  }

  /** A line was judged, and is being written. */
  #judged({ event, text, written }: JudgedLine): void {
    const statement = this.#outbox.judged(text, event.index, written);
    const { isOut, lie } = this.#monitor ?? {};
    if (!this.#isLive || !isOut || lie) return;
    this.goOut(statement?.kind === "part" ? "You have left it." : whyOut(event), 0);
  }

  /** Writes a line: resolves with its key once it would survive a crash, whether it could be sent yet or not. */
  async post(statement: Statement): Promise<number> {
    if (this.#monitor?.lie) throw caught(this.#options.room);
    if (this.isGone) throw gone(this.#options.room);
    return await this.#outbox.post(statement);
  }

  /** The server refuses a line. */
  refused(key: number, { errorType, message }: RequestRefused): void {
    const statement = this.#outbox.refused(key, errorType, message);
    if (statement?.kind === "join") this.#standing.reject(new RequestRefused(errorType, message));
  }

  /** To be called every second or so: marks what waits too long, and asks for lines that a checkpoint promises. */
  tick(): void {
    this.#monitor?.tick();
    this.#catchUp?.tick(this.#visit, this.#isLive);
  }

  /** Resolves when nothing is being done: for an orderly end. */
  async settled(): Promise<void> {
    await this.#monitor?.settled();
    await this.#outbox.settled();
    await this.#disk.settled();
  }
}

/** The server must show the log that is known, and no less of it than before; otherwise, at what it is caught. */
function lieOf(
  { origin, mode, count, checkpoint, nextSeqno }: Joined,
  { room, monitor, pinned }: { readonly room: string; readonly monitor: LogMonitor; readonly pinned: string },
): [Lie, string] | undefined {
  const ownLines = monitor.own?.seqno ?? 0;
  if (origin !== pinned) {
    return ["other log", `The server shows the log ${origin} in place of ${pinned}, which this client knows.`];
  }
  if (parseOrigin(origin)?.room !== room || mode !== "recorded") {
    return ["other log", `The server's log ${origin} is not one of the recorded room ${room}.`];
  }
  if (count < monitor.size || (!checkpoint && monitor.checkpoint)) {
    return ["old head", `The server's log has ${count} lines, and it has shown ${monitor.size} before.`];
  }
  if (nextSeqno >= ownLines) return undefined;
  const shown = `it has shown ${ownLines} of yours`;
  return ["old head", `The server says that your next line here is ${nextSeqno}, but ${shown}.`];
}

function caught(room: string): RequestRefused {
  return new RequestRefused("forbidden", `The server was caught in this room; it is not trusted. ${wayOn(room)}`);
}

function gone(room: string): RequestRefused {
  const what = "The server doesn't have the log of this room any more: it was closed, or is lost.";
  return new RequestRefused("no-room", `${what} ${wayOn(room)}`);
}

function wayOn(room: string): string {
  return `/forget ${room} puts its record aside, as evidence, and lets you join what is there now.`;
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
