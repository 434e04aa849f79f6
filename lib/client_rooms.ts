/**
 * The rooms of a client over one session at a time, which may break and come back (docs/PROTOCOL.md, "Rooms",
 * "Requests" and "Posting").
 *
 *     const rooms = new ClientRooms({ identity, trust, store, emit, … });
 *     rooms.online(session);           a session stands: requests go there, and every room is rejoined
 *     rooms.take(frame, id);           whatever the server sends
 *     await rooms.join("#ops");        resolves when all its lines are here
 *     await rooms.post("#ops", { kind: "text", text: "hello" });     resolves once it would survive a crash
 *     rooms.offline();                 requests under way are refused; lines stay unsent
 *
 * This is the place at which everything of a session comes together: the constructor makes what the rooms share (the
 * {@link ServerLink} for requests, certificates, pins, presence); {@link ClientRooms.online}, {@link ClientRooms.offline}
 * and {@link ClientRooms.tick} go to all of it. What is to be done in every session, or every second, belongs there.
 *
 * Whatever a client does with more than one room stands here, which makes this module longer than most.
 *
 * What is true of a room is `client_log_monitor.ts`, what happens in it `client_room.ts`. Sockets and logins are not
 * known here.
 *
 * @layer chat
 */

import type { Clock, Random } from "./bytes.ts";
import type { Trust } from "./certificate_path.ts";
import { ClientCertificates } from "./client_certificates.ts";
import type { RoomEvent } from "./client_event.ts";
import type { ClientLog } from "./client_log.ts";
import { LogFollowing } from "./client_log_following.ts";
import type { Signatures } from "./client_line_monitor.ts";
import { ServerLink, type StandingSession } from "./client_link.ts";
import type { LogMonitor } from "./client_log_monitor.ts";
import { type OwnCertificate, postFrame } from "./client_outbox.ts";
import { Pins, type Standing } from "./client_pins.ts";
import { ClientPresence } from "./client_presence.ts";
import { ANSWER_WITHIN, RequestRefused } from "./client_requests.ts";
import { ClientRoom, type RoomPolicy } from "./client_room.ts";
import type { ClientStore } from "./client_store.ts";
import { Failure } from "./errors.ts";
import type { Json } from "./json.ts";
import type { Statement } from "./log_envelope.ts";
import type { RoomFrame } from "./log_frames.ts";
import type { PostFields } from "./log_requests.ts";
import { directRoom } from "./names.ts";
import { Signal } from "./signal.ts";
import type { WitnessPolicy } from "./witness_policy.ts";

/** How long it takes until a room is rejoined that the server could not open, in milliseconds. */
const RETRY_AFTER = 2_000;
/** How long a wait for the checkpoint of the last lines lasts, in milliseconds: a server signs one in 5 s. */
export const COVER_WAIT = 10_000;
/** Refusals of joining, or of the join line, after which it is tried again. */
const NOT_NOW: ReadonlySet<string> = new Set(["server-error", "stale", "old-epoch", "replay"]);

/** What {@link ClientRooms} work with. */
export interface ClientRoomsOptions {
  readonly identity: OwnCertificate;
  readonly trust: () => Promise<Trust>;
  readonly store: ClientStore;
  readonly emit: (event: RoomEvent) => void;
  readonly now: Clock;
  readonly random: Random;
  /** Runs something later, in milliseconds. */
  readonly later: (ms: number, run: () => void) => void;
  readonly signatures?: Signatures | undefined;
  /** A clock that isn't set, in milliseconds; without it `now`. */
  readonly steady?: Clock;
  /** The server answers, but keeps this back, in words: the connection is to be made anew. */
  readonly unanswered?: (what: string) => void;
  /** After how long that is told, in milliseconds. */
  readonly answerWithin?: number;
  /** Whose cosignatures of the server's log count, and which logs. */
  readonly policy?: WitnessPolicy | undefined;
}

/** One of somebody's certificates, and why it is believed to be theirs. */
export interface SeenDevice {
  readonly fingerprint: string;
  readonly standing: Standing;
}

/** A refusal as the connection tells it. */
export interface Refusal {
  readonly errorType: string;
  readonly reason: string;
}

/** The rooms of a client. */
export class ClientRooms {
  readonly #options: ClientRoomsOptions;
  /** The server, for questions that are about no room of this client. */
  readonly server: ServerLink;
  /** The certificates that this client has seen. */
  readonly certificates: ClientCertificates;
  /** Who is here. */
  readonly presence: ClientPresence;
  readonly #following: LogFollowing;
  #pins: Promise<Pins> | undefined;
  #own: OwnCertificate;
  readonly #rooms = new Map<string, Promise<ClientRoom>>();
  /** Those of {@link #rooms} that are there, for frames, which can't wait. */
  readonly #ready = new Map<string, ClientRoom>();
  /** The rooms to rejoin after a break. */
  readonly #wanted = new Set<string>();
  readonly #changed = new Signal();
  #username = "";
  #nextKey = 1;

  constructor(options: ClientRoomsOptions) {
    const { now, steady = now, unanswered = () => {}, answerWithin: within = ANSWER_WITHIN, store, emit } = options;
    this.#options = options;
    this.#own = options.identity;
    const link = new ServerLink({ now: steady, within, unanswered });
    this.server = link;
    this.certificates = new ClientCertificates({
      ...{ own: options.identity, store, emit },
      ask: (fingerprint) => link.certificate(fingerprint),
    });
    this.#following = new LogFollowing({
      ...{ store, emit, now, steady, trust: options.trust, policy: options.policy },
      request: (frame) => link.request(frame),
      certificate: (fingerprint) => this.certificates.get(fingerprint),
      // Rooms that aren't rejoined yet too: what is registered meanwhile would never be looked at.
      monitors: () =>
        [...this.#ready].flatMap(([name, { isIn, isOut, monitor }]) =>
          monitor && (isIn || !isOut && this.#wanted.has(name)) ? [monitor] : []
        ),
    });
    this.presence = new ClientPresence({ link, emit, isIn: (room) => this.#ready.get(room)?.isIn ?? false });
  }

  /** Goes on with another certificate of the account, while there is no session. */
  become(own: OwnCertificate): void {
    this.#own = own;
    this.certificates.become(own);
    for (const room of this.#ready.values()) room.become(own);
  }

  // What is known.

  /** Whether there is a session. */
  get isOnline(): boolean {
    return this.server.session !== undefined;
  }

  /** The account, once there was a session of it. */
  get username(): string {
    return this.#username;
  }

  /** The rooms that this client is in, or was in when the program ended. */
  get joined(): readonly string[] {
    return [...this.#wanted];
  }

  /** A room's log as it was checked; `undefined` if the room was never joined. */
  monitor(room: string): LogMonitor | undefined {
    return this.#ready.get(room)?.monitor;
  }

  /** How many lines are not known to be accepted. */
  get unsentCount(): number {
    return [...this.#ready.values()].reduce((sum, { unsentCount }) => sum + unsentCount, 0);
  }

  /**
   * Resolves at the next change of what somebody may wait for: how many lines are unsent, how many are covered, and
   * whether there is a session.
   */
  get changed(): Promise<void> {
    return this.#changed.next;
  }

  /** What this client knows of the server's log; `undefined` before the first session with one. */
  get serverLog(): ClientLog | undefined {
    return this.#following.log;
  }

  // The session.

  /** Reads which rooms this client was in, and tells what is on the disk of them. */
  async restore(): Promise<void> {
    const { store, emit } = this.#options;
    this.#username = await store.account() ?? "";
    if (this.#username !== "") emit({ event: "account", username: this.#username });
    for (const room of await store.rooms()) {
      this.#wanted.add(room);
      await (await this.#room(room)).load();
    }
  }

  /** A session stands. Resolves when every room was rejoined, or could not be. */
  async online(session: StandingSession): Promise<void> {
    this.server.online(session);
    this.#username = session.username;
    this.presence.online();
    this.#following.online({ origin: session.log, seconds: session.logSeconds });
    await Promise.all([...this.#wanted].map((room) => this.#comeBack(room)));
  }

  /** The session is over. */
  offline(): void {
    this.server.offline();
    this.presence.offline();
    this.#following.offline();
    for (const room of this.#ready.values()) room.offline();
    this.#changed.fire();
  }

  /** To be called every second or so: marks lines that no checkpoint covers, and names what the server keeps back. */
  tick(): void {
    for (const room of this.#ready.values()) room.tick();
    this.server.tick();
    this.#following.tick();
  }

  /** What the server sent. */
  take(frame: RoomFrame, id: Json | undefined): void {
    const { emit } = this.#options;
    const room = "room" in frame ? this.#ready.get(frame.room) : undefined;
    if (frame.type === "posted") room?.take(frame);
    else if (frame.type === "joined") {
      // Only an answer lets this client in; otherwise a room would begin anew whenever the server likes.
      if (this.server.isAnswer(frame, id)) room?.admit(frame);
    } else if (frame.type === "epoch") room?.takeKey(frame.payload);
    else if (frame.type === "checkpoint") void room?.monitor?.takeCheckpoint(frame.checkpoint);
    else if (frame.type === "presence") {
      emit({ event: "presence", room: frame.room, username: frame.username, state: frame.state });
    } else if (frame.type === "closed") room?.closed(frame.reason);
    else if (frame.type === "invited") emit({ event: "invited", room: frame.room, from: frame.from });
    this.server.take(frame, id);
  }

  /** The server refused a request. */
  refused({ errorType, reason }: Refusal, id: Json | undefined): void {
    if (typeof id !== "number") return this.#options.emit({ event: "warning", message: reason });
    this.server.refused(id, new RequestRefused(errorType, reason));
  }

  // One room.

  #room(name: string): Promise<ClientRoom> {
    const known = this.#rooms.get(name);
    if (known) return known;
    const making = this.#makeRoom(name);
    this.#rooms.set(name, making);
    making.catch(() => this.#rooms.delete(name));
    return making;
  }

  async #makeRoom(name: string): Promise<ClientRoom> {
    const { trust, store, now, random, later, signatures, emit } = this.#options;
    const link = this.server;
    const record = await store.room(name);
    for (const { key } of record.unsent) this.#nextKey = Math.max(this.#nextKey, key + 1);
    const pins = await (this.#pins ??= this.#readPins());
    const room = new ClientRoom({
      ...{ room: name, identity: this.#own, trust, pins, emit, now, random, later, record, signatures },
      ask: {
        certificate: (fingerprint) => this.certificates.get(fingerprint),
        inclusion: (index, size) => link.proof({ type: "inclusion", room: name, index, size }),
        consistency: (from, to) => link.proof({ type: "consistency", room: name, from, to }),
        head: (by) => link.earlierCheckpoint(name, by),
      },
      owner: {
        left: () => this.#left(name),
        unsentChanged: () => this.#changed.fire(),
        coverageChanged: () => this.#changed.fire(),
        stateTold: (memberCount) => void this.presence.stateTold(name, memberCount),
        logNamed: (index, pin) => this.#following.named(name, index, pin),
      },
      request: (frame) => link.request(frame),
      send: (post, key) => this.#send(post, key),
      open: (payload) => link.open(payload),
      nextKey: () => this.#nextKey++,
      pin: () => this.#following.pin,
    });
    this.#ready.set(name, room);
    return room;
  }

  async #readPins(): Promise<Pins> {
    const { store, emit } = this.#options;
    return new Pins(await store.pins(), (pin) => {
      store.keepPin(pin).catch(() => emit({ event: "warning", message: "A device could not be noted on the disk." }));
    });
  }

  #send(post: PostFields, key: number): boolean {
    const room = this.#ready.get(post.room);
    if (!room) return false;
    return this.server.post(postFrame(post), {
      refused: (error) => room.refused(key, error),
      isOpen: () => room.isInFlight(key),
    });
  }

  #left(room: string): void {
    this.#want(room, false);
    this.presence.left(room);
  }

  #want(room: string, isWanted: boolean): void {
    const { store, emit } = this.#options;
    if (this.#wanted.has(room) === isWanted) return;
    if (isWanted) this.#wanted.add(room);
    else this.#wanted.delete(room);
    store.keepRooms([...this.#wanted]).catch(() => {
      emit({ event: "warning", message: "Which rooms you are in could not be noted on the disk." });
    });
  }

  // Joining and leaving.

  /** Makes a room and joins it. */
  async create(room: string, policy: RoomPolicy = { history: "all", inviteOnly: false }): Promise<void> {
    const made = await this.#room(room);
    if (made.isIn) throw new RequestRefused("forbidden", "You are in that room already.");
    await this.#enter(room, made, policy);
  }

  /** Joins a room, or begins a conversation of two; resolves when its lines are here. */
  async join(room: string): Promise<void> {
    await this.#enter(room, await this.#room(room));
  }

  async #enter(name: string, room: ClientRoom, policy?: RoomPolicy): Promise<void> {
    const isNew = !this.#wanted.has(name);
    this.#want(name, true);
    try {
      await room.enter({ isAsked: true, username: this.#username, policy });
      this.presence.isHere();
    } catch (error) {
      // A room that was wanted before is rejoined later, and a join line that is on its way is still waited for.
      const isKept = room.isIn || room.isJoining || room.monitor?.lie !== undefined;
      if (isNew) this.#want(name, isKept);
      const isPassing = error instanceof RequestRefused ? NOT_NOW.has(error.errorType) : error instanceof Failure;
      if (isPassing) this.#comeBackLater(name);
      throw error;
    }
  }

  async #comeBack(name: string): Promise<void> {
    const { session } = this.server;
    if (!session || !this.#wanted.has(name)) return;
    const room = await this.#room(name);
    try {
      await room.enter({ isAsked: false, username: this.#username });
    } catch (error) {
      if (error instanceof Failure) this.#comeBackLater(name); // the disk may have room then
      if (!(error instanceof RequestRefused)) throw error;
      if (room.monitor?.lie) return; // it stays among the rooms: the lie is told until the room is forgotten
      if (session !== this.server.session || !this.#wanted.has(name)) return; // the next session rejoins it, or it is left
      if (NOT_NOW.has(error.errorType)) return this.#comeBackLater(name);
      room.goOut(error.message);
    }
  }

  #comeBackLater(name: string): void {
    this.#options.later(RETRY_AFTER, () => void this.#comeBack(name).catch(() => {})); // the first failure was told
  }

  /**
   * Forgets a room whose record can't be gone on with, so that it can be joined as one that was never known. Answers
   * where the record is kept now, as evidence.
   */
  async forget(name: string): Promise<string> {
    const { store } = this.#options;
    const room = await this.#room(name);
    const record = await store.room(name);
    if (!record.pinned) throw new RequestRefused("no-room", `There is no record of ${name} here.`);
    const isCaught = (await record.read()).lie !== undefined;
    if (!isCaught && !room.isGone) {
      const what = "a room is forgotten only if the server was caught in it, or if its log is closed";
      throw new RequestRefused("forbidden", `The record of ${name} is good: ${what}; leave it with /part.`);
    }
    room.abandon("Its record is put aside.");
    await room.settled();
    this.#rooms.delete(name);
    this.#ready.delete(name);
    return await store.putAside(name);
  }

  // Writing.

  /** Writes a line; resolves with its key once it would survive. Throws `bad-envelope` for what nobody would take. */
  async post(name: string, statement: Statement): Promise<number> {
    const room = this.#ready.get(name);
    if (!room?.monitor || (room.isOut && !room.isGone)) throw notIn();
    const key = await room.post(statement);
    this.presence.isHere();
    return key;
  }

  /** Says something; resolves with the line's key once it would survive a crash. */
  async say(room: string, text: string): Promise<number> {
    if (text.trim() === "") throw new RequestRefused("bad-frame", "The message is empty.");
    return await this.post(room, { kind: "text", text });
  }

  /** The room of the conversation with somebody. */
  conversation(username: string): string {
    if (this.#username === "") {
      const what = "There was no connection to the server yet, so it isn't known who you are there.";
      throw new RequestRefused("timeout", what);
    }
    const room = directRoom(this.#username, username);
    if (room === undefined) throw new RequestRefused("bad-frame", "You can't begin a conversation with yourself.");
    return room;
  }

  /** Begins a conversation of two, or goes on with it; answers with its room. */
  async direct(username: string): Promise<string> {
    const room = this.conversation(username);
    if (!this.#wanted.has(room)) await this.join(room);
    return room;
  }

  /** Resolves once every line is accepted, or after that time, in milliseconds. Throws if there is no connection. */
  async allSent(within: number): Promise<void> {
    const timer = this.#timer(within);
    while (this.unsentCount > 0 && !timer.isOver) {
      await this.changed;
      if (!this.isOnline) throw new RequestRefused("timeout", "The connection is gone.");
    }
  }

  // Checkpoints.

  /** How many of a room's lines, or of those before `to`, no checkpoint covers yet; 0 if the server was caught. */
  uncovered(room: string, to = Infinity): number {
    const monitor = this.monitor(room);
    return monitor && !monitor.lie ? Math.max(0, Math.min(monitor.size, to) - monitor.covered) : 0;
  }

  /** Resolves once all of them are covered; in any case when the connection is gone, or after some seconds. */
  async covered(room: string, to = Infinity): Promise<void> {
    const end = Math.min(this.monitor(room)?.size ?? 0, to); // lines that come meanwhile don't count
    if (this.uncovered(room, end) === 0) return;
    const timer = this.#timer(COVER_WAIT);
    while (this.uncovered(room, end) > 0 && this.isOnline && !timer.isOver) await this.changed;
  }

  /** A time after which {@link changed} resolves too. */
  #timer(ms: number): { readonly isOver: boolean } {
    const timer = { isOver: false };
    this.#options.later(ms, () => {
      timer.isOver = true;
      this.#changed.fire();
    });
    return timer;
  }

  // People.

  /** Somebody's certificates, as this client has seen them in join lines. */
  async devices(username: string): Promise<readonly SeenDevice[]> {
    const pins = await (this.#pins ??= this.#readPins());
    return pins.devices(username).map((fingerprint) => {
      return { fingerprint, standing: pins.standing(fingerprint) ?? "new" };
    });
  }

  /** Resolves when nothing is being done: for an orderly end. */
  async settled(): Promise<void> {
    await Promise.all([...this.#ready.values()].map((room) => room.settled()));
    await this.#following.settled();
  }
}

/** What refuses what is asked of a room that this client was never in. */
export function notIn(): RequestRefused {
  return new RequestRefused("not-member", "You are not in this room; join it first.");
}
