/**
 * The rooms of a client over one session at a time, which may break and come back (docs/PROTOCOL.md, "Rooms",
 * "Requests" and "Posting").
 *
 *     const rooms = new RoomClient({ identity, trust, store, emit, … });
 *     rooms.online(link);              a session stands: requests go there, and every room is come into again
 *     rooms.take(frame, id);           whatever the server sends
 *     await rooms.join("#ops");        resolves when all its lines are here
 *     await rooms.post("#ops", { kind: "text", text: "hello" });     resolves when it would survive
 *     rooms.offline();                 requests under way are refused; lines stay unsent
 *
 * Requests and their answers are `client_requests.ts`; what nobody asked for becomes events. What is true of a room is
 * `client_log_monitor.ts`, how a line gets into its log `client_room.ts`; sockets and sessions are not known here.
 *
 * @layer chat
 */

import type { Bytes, Clock, Random } from "./bytes.ts";
import type { Trust } from "./certificate_path.ts";
import type { Checkpoint } from "./log_checkpoint.ts";
import { ANSWER_WITHIN, type RequestFrame, Requests } from "./client_requests.ts";
import type { Statement } from "./log_envelope.ts";
import { Failure, ProtocolError } from "./errors.ts";
import type { Json } from "./json.ts";
import { partners, usernameKey } from "./names.ts";
import type { ClientStore } from "./client_store.ts";
import { Pins, type Standing } from "./client_pins.ts";
import type { SigningKey } from "./pss.ts";
import type { ListedRoom, Member, RoomEvent } from "./client_event.ts";
import { postFrame, RequestRefused, RoomMember, type RoomPolicy } from "./client_room.ts";
import { PRESENCE_MEMBERS, type RoomFrame } from "./log_frames.ts";
import type { Signatures } from "./client_line_monitor.ts";
import type { LogMonitor } from "./client_log_monitor.ts";
import { parseCertificates } from "./x509.ts";

/** How long it takes until a room is come into again that the server could not open, in milliseconds. */
const RETRY_AFTER = 2_000;
/** So many pages are read of a list, which a server could go on with for ever. */
const MAX_PAGES = 2_000;
/** Refusals of coming in, or of the join line, after which it is tried again. */
const NOT_NOW: ReadonlySet<string> = new Set(["server-error", "stale", "old-epoch", "replay"]);

/** A session with rooms, as far as this needs one. */
export interface RoomLink {
  /** The account. */
  readonly username: string;
  request(frame: RequestFrame): void;
  /** The plaintext of what the server sealed for this session. */
  open(payload: Bytes): Bytes | undefined;
}

/** A client's certificate, its PEM with intermediates, and its key. */
export interface OwnCertificate {
  readonly fingerprint: string;
  readonly pem: string;
  readonly key: SigningKey;
  /** The fingerprint of the certificate that this one has replaced. */
  readonly was?: string | undefined;
}

/** What {@link RoomClient} works with. */
export interface RoomClientOptions {
  readonly identity: OwnCertificate;
  readonly trust: () => Promise<Trust>;
  readonly store: ClientStore;
  readonly emit: (event: RoomEvent) => void;
  readonly now: Clock;
  readonly random: Random;
  /** Runs something later, in milliseconds. */
  readonly later: (ms: number, run: () => void) => void;
  readonly signatures?: Signatures;
  /** A clock that isn't set, in milliseconds; without it `now`. */
  readonly steady?: Clock;
  /** The server answers, but keeps this back, in words: the connection is to be made anew. */
  readonly unanswered?: (what: string) => void;
  /** After how long that is told, in milliseconds. */
  readonly answerWithin?: number;
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
export class RoomClient {
  readonly #options: RoomClientOptions;
  #own: OwnCertificate;
  readonly #members = new Map<string, Promise<RoomMember>>();
  /** Those of {@link #members} that are there, for frames, which can't wait. */
  readonly #ready = new Map<string, RoomMember>();
  /** Rooms to come into again after a break. */
  readonly #wanted = new Set<string>();
  readonly #requests: Requests;
  readonly #certificates = new Map<string, Promise<string | undefined>>();
  #pins: Promise<Pins> | undefined;
  #link: RoomLink | undefined;
  #username = "";
  #isAway = false;
  /** Rooms of which the server was asked who is here, and tells what changes. */
  readonly #present = new Set<string>();
  #nextKey = 1;

  constructor(options: RoomClientOptions) {
    this.#options = options;
    const { now, steady = now, unanswered = () => {}, answerWithin: within = ANSWER_WITHIN } = options;
    this.#requests = new Requests({ now: steady, within, unanswered });
    this.#own = options.identity;
  }

  /** Goes on with another certificate of the account, while there is no session. */
  become(own: OwnCertificate): void {
    this.#own = own;
    for (const member of this.#ready.values()) member.renewed();
  }

  /** Whether there is a session. */
  get isOnline(): boolean {
    return this.#link !== undefined;
  }

  /** The account, once there was a session of it. */
  get username(): string {
    return this.#username;
  }

  /** Whether others are told that nobody is here. */
  get isAway(): boolean {
    return this.#isAway;
  }

  /** Rooms that this client is in or was when it ended. */
  get rooms(): readonly string[] {
    return [...this.#wanted];
  }

  /** A room as it was checked; `undefined` for one that was never joined. */
  view(room: string): LogMonitor | undefined {
    return this.#ready.get(room)?.view;
  }

  /** How many lines are not known to be accepted. */
  get unsentCount(): number {
    return [...this.#ready.values()].reduce((sum, { unsentCount }) => sum + unsentCount, 0);
  }

  // The session.

  /** Reads which rooms this client was in, and tells what is on the disk of them. */
  async restore(): Promise<void> {
    this.#username = await this.#options.store.account() ?? "";
    if (this.#username !== "") this.#options.emit({ event: "account", username: this.#username });
    for (const room of await this.#options.store.rooms()) {
      this.#wanted.add(room);
      await (await this.#member(room)).load();
    }
  }

  /** A session stands. Resolves when every room was come into again, or could not be. */
  async online(link: RoomLink): Promise<void> {
    this.#link = link;
    this.#username = link.username;
    if (this.#isAway) this.#sayPresence().catch(() => {}); // before the rooms see that a session is there
    await Promise.all([...this.#wanted].map((room) => this.#comeBack(room)));
  }

  async #comeBack(room: string): Promise<void> {
    const link = this.#link;
    if (!link || !this.#wanted.has(room)) return;
    const member = await this.#member(room);
    try {
      await member.enter(false);
    } catch (error) {
      if (error instanceof Failure) this.#comeBackLater(room); // the disk may have room then
      if (!(error instanceof RequestRefused)) throw error;
      if (member.view?.lie) return; // it stays among the rooms: the lie is told until it is forgotten
      if (link !== this.#link || !this.#wanted.has(room)) return; // it comes back with the next session, or is left
      if (NOT_NOW.has(error.errorType)) return this.#comeBackLater(room);
      member.goOut(error.message);
    }
  }

  #comeBackLater(room: string): void {
    this.#options.later(RETRY_AFTER, () => void this.#comeBack(room).catch(() => {})); // it was told the first time
  }

  /** The session is over. */
  offline(): void {
    this.#link = undefined;
    this.#requests.fail(notConnected());
    this.#present.clear();
    for (const member of this.#ready.values()) member.offline();
  }

  /** What the server sent. */
  take(frame: RoomFrame, id: Json | undefined): void {
    const { emit } = this.#options;
    const member = "room" in frame ? this.#ready.get(frame.room) : undefined;
    if (frame.type === "posted") member?.take(frame);
    else if (frame.type === "joined") this.#admit(member, frame, id);
    else if (frame.type === "epoch") member?.takeKey(frame.payload);
    else if (frame.type === "checkpoint") void member?.view?.takeCheckpoint(frame.checkpoint);
    else if (frame.type === "presence") {
      emit({ event: "presence", room: frame.room, username: frame.username, state: frame.state });
    } else if (frame.type === "closed") member?.closed(frame.reason);
    else if (frame.type === "invited") emit({ event: "invited", room: frame.room, from: frame.from });
    this.#requests.take(frame, id);
  }

  /** Only who has asked is let in: else a room would begin anew whenever the server likes. */
  #admit(member: RoomMember | undefined, frame: RoomFrame & { type: "joined" }, id: Json | undefined): void {
    if (this.#requests.isAnswer(frame, id)) member?.admit(frame);
  }

  /** The server refused a request. */
  refused({ errorType, reason }: Refusal, id: Json | undefined): void {
    if (typeof id !== "number") return this.#options.emit({ event: "warning", message: reason });
    this.#requests.refuse(id, new RequestRefused(errorType, reason));
  }

  /** Asks the server; rejects with {@link RequestRefused}. */
  request(frame: RequestFrame): Promise<RoomFrame> {
    const link = this.#link;
    return link ? this.#requests.ask(frame, (one) => link.request(one)) : Promise.reject(notConnected());
  }

  /** To be called every second or so: marks lines that no checkpoint covers, and names what the server keeps back. */
  tick(): void {
    for (const member of this.#ready.values()) member.tick();
    if (this.#link) this.#requests.tick();
  }

  // Rooms.

  #member(room: string): Promise<RoomMember> {
    const known = this.#members.get(room);
    if (known) return known;
    const making = this.#makeMember(room);
    this.#members.set(room, making);
    making.catch(() => this.#members.delete(room));
    return making;
  }

  async #makeMember(room: string): Promise<RoomMember> {
    const { trust, store, now, random, later, signatures } = this.#options;
    const own = () => this.#own;
    const record = await store.room(room);
    for (const { key } of record.unsent) this.#nextKey = Math.max(this.#nextKey, key + 1);
    const emit = (event: RoomEvent) => {
      if (event.event === "left") {
        this.#want(room, false);
        this.#present.delete(room);
      }
      this.#options.emit(event);
      if (event.event === "state") void this.#askPresent(room, event.members.length);
    };
    const member = new RoomMember({
      get own() {
        return own().fingerprint;
      },
      get key() {
        return own().key;
      },
      get was() {
        return own().was;
      },
      ...{ room, trust, emit, now, random, later, record },
      ...(signatures ? { signatures } : {}),
      pins: await (this.#pins ??= this.#readPins()),
      ask: {
        certificate: (fingerprint) => this.certificate(fingerprint),
        inclusion: (index, size) => this.#proof({ type: "inclusion", room, index, size }),
        consistency: (from, to) => this.#proof({ type: "consistency", room, from, to }),
        head: (by) => this.#earlierHead(room, by),
      },
      username: () => this.#username,
      request: (frame) => this.request(frame),
      send: (post, key) => this.#post(post, key),
      open: (payload) => this.#link?.open(payload),
      nextKey: () => this.#nextKey++,
    });
    this.#ready.set(room, member);
    return member;
  }

  async #readPins(): Promise<Pins> {
    const { store, emit } = this.#options;
    return new Pins(await store.pins(), (pin) => {
      store.keepPin(pin).catch(() => emit({ event: "warning", message: "A device could not be noted on the disk." }));
    });
  }

  #post(post: Parameters<typeof postFrame>[0], key: number): boolean {
    const [link, member] = [this.#link, this.#ready.get(post.room)];
    if (!link || !member) return false;
    this.#requests.post(postFrame(post), (one) => link.request(one), {
      refused: (error) => {
        if (error instanceof RequestRefused) member.refused(key, error.errorType, error.message);
      },
      isOpen: () => member.isOnItsWay(key),
    });
    return true;
  }

  async #proof(
    question: { readonly type: "inclusion" | "consistency"; readonly room: string } & Readonly<Record<string, unknown>>,
  ): Promise<readonly Bytes[] | undefined> {
    const answer = await unlessRefused(this.request(question), "forbidden");
    return answer?.type === question.type && "hashes" in answer ? answer.hashes : undefined;
  }

  async #earlierHead(room: string, by: number): Promise<Checkpoint | undefined> {
    const answer = await unlessRefused(this.request({ type: "earlier_checkpoint", room, by }), "no-room");
    return answer?.type === "earlier_checkpoint" ? answer.checkpoint : undefined;
  }

  /** A certificate with its intermediates, from the disk or the server; `undefined` where the server has none. */
  certificate(fingerprint: string): Promise<string | undefined> {
    const known = this.#certificates.get(fingerprint);
    if (known) return known;
    const asked = this.#askCertificate(fingerprint);
    this.#certificates.set(fingerprint, asked);
    const forget = () => this.#certificates.delete(fingerprint);
    asked.then((pem) => pem ?? forget(), forget);
    return asked;
  }

  async #askCertificate(fingerprint: string): Promise<string | undefined> {
    const { store, emit } = this.#options;
    const kept = await store.certificate(fingerprint);
    if (kept !== undefined && readCertificate(kept, fingerprint) === kept) return kept;
    let pem: string | undefined = this.#own.pem; // kept as well: under a later one, its lines are to be shown too
    if (fingerprint !== this.#own.fingerprint) {
      const answer = await unlessRefused(this.request({ type: "certificate", fingerprint }), "no-room");
      pem = answer?.type === "certificate" ? readCertificate(answer.pem, fingerprint) : undefined;
      if (pem === undefined) return undefined;
    }
    await store.keepCertificate(fingerprint, pem).catch(() => {
      emit({ event: "warning", message: "A certificate could not be noted on the disk." });
    });
    return pem;
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

  /** Makes a room and comes in. */
  async create(room: string, policy: RoomPolicy): Promise<void> {
    const member = await this.#member(room);
    if (member.isIn) throw new RequestRefused("forbidden", "You are in that room already.");
    await this.#entering(room, member, policy);
  }

  /** Comes into a room, or begins a direct conversation. */
  async join(room: string): Promise<void> {
    await this.#entering(room, await this.#member(room));
  }

  async #entering(room: string, member: RoomMember, policy?: RoomPolicy): Promise<void> {
    const isNew = !this.#wanted.has(room);
    this.#want(room, true);
    try {
      await member.enter(true, policy);
      this.#isHere();
    } catch (error) {
      // Into a room that was wanted before this client comes back; a join line that is on its way is gone on with.
      const isKept = member.isIn || member.isJoining || member.view?.lie !== undefined;
      if (isNew) this.#want(room, isKept);
      const isPassing = error instanceof RequestRefused ? NOT_NOW.has(error.errorType) : error instanceof Failure;
      if (isPassing) this.#comeBackLater(room);
      throw error;
    }
  }

  /**
   * Forgets a room whose record can't be gone on with, so that it may be joined as one that was never known: where the
   * record is kept now, as evidence.
   */
  async forget(room: string): Promise<string> {
    const { store } = this.#options;
    const [member, record] = [await this.#member(room), await store.room(room)];
    if (!record.pinned) throw new RequestRefused("no-room", `There is nothing of ${room} here.`);
    const isCaught = (await record.read()).lie !== undefined;
    if (!isCaught && !member.isGone) {
      const what =
        "only a room in which the server was caught, or whose log is closed, is forgotten; leave it with /part.";
      throw new RequestRefused("forbidden", `The record of ${room} is good: ${what}`);
    }
    member.abandon("Its record is put aside.");
    await member.settled();
    this.#members.delete(room);
    this.#ready.delete(room);
    return await store.putAside(room);
  }

  /** Leaves a room: a line, as everything that others are to know. */
  async part(room: string): Promise<void> {
    await this.post(room, { kind: "part" });
  }

  /** Writes a line; resolves with its key once it would survive. Throws `bad-envelope` for what nobody would take. */
  async post(room: string, statement: Statement): Promise<number> {
    const member = this.#ready.get(room);
    if (!member?.view || (member.isOut && !member.isGone)) throw notIn();
    const key = await member.post(statement);
    this.#isHere();
    return key;
  }

  // Presence: told by the server, signed by nobody.

  /** Tells others that nobody is here, or is again; without a connection with the next session. */
  async away(isAway: boolean): Promise<void> {
    if (isAway === this.#isAway) return;
    this.#isAway = isAway;
    this.#options.emit({ event: "away", away: isAway });
    const link = this.#link;
    if (!link) return;
    await this.#sayPresence().catch((error) => {
      if (link === this.#link) throw error;
    });
  }

  /** Whoever writes or comes in is here. */
  #isHere(): void {
    this.away(false).catch(() => {});
  }

  async #sayPresence(): Promise<void> {
    await this.request({ type: "presence", state: this.#isAway ? "away" : "online" });
  }

  /** Asks once who is here, where the room is small enough that the server tells what changes. */
  async #askPresent(room: string, count: number): Promise<void> {
    if (count > PRESENCE_MEMBERS) return void this.#present.delete(room);
    if (!this.#link || this.#present.has(room) || !this.#ready.get(room)?.isIn) return;
    this.#present.add(room);
    const page = await this.request({ type: "members", room, from: 0 }).catch(() => undefined);
    if (page?.type !== "members" || page.next !== undefined) return;
    this.#options.emit({ event: "present", room, members: page.members });
  }

  // What the server says, unchecked.

  /** Who is in a room, and who is there now. */
  async members(room: string): Promise<readonly Member[]> {
    const all: Member[] = [];
    for (let [from, pages]: [number | undefined, number] = [0, 0]; from !== undefined && pages < MAX_PAGES; pages++) {
      const page: RoomFrame = await this.request({ type: "members", room, from });
      if (page.type !== "members") break;
      all.push(...page.members);
      from = page.next !== undefined && page.next > from ? page.next : undefined;
    }
    return all;
  }

  /** The rooms that one may know of. */
  async list(): Promise<readonly ListedRoom[]> {
    const all: ListedRoom[] = [];
    for (let [from, pages]: [string | undefined, number] = ["", 0]; from !== undefined && pages < MAX_PAGES; pages++) {
      const page: RoomFrame = await this.request({ type: "rooms", from });
      if (page.type !== "rooms") break;
      all.push(...page.rooms);
      from = page.next !== undefined && page.next > from ? page.next : undefined;
    }
    return all;
  }

  /** Somebody's certificates, as this client has seen them in join lines. */
  async devices(username: string): Promise<readonly SeenDevice[]> {
    const pins = await (this.#pins ??= this.#readPins());
    return pins.devices(username).map((fingerprint) => ({
      ...{ fingerprint, standing: pins.standing(fingerprint) ?? "new" },
    }));
  }

  /** The newest head, asked for and checked. */
  async head(room: string): Promise<void> {
    await this.request({ type: "checkpoint", room });
    await this.view(room)?.settled();
  }

  /** Resolves when nothing is being done: for an orderly end. */
  async settled(): Promise<void> {
    await Promise.all([...this.#ready.values()].map((member) => member.settled()));
  }

  /** The other party of a direct conversation. */
  otherOf(room: string): string | undefined {
    return partners(room)?.find((name) => name !== usernameKey(this.#username));
  }
}

/** What refuses what is asked of a room that this client was never in. */
export function notIn(): RequestRefused {
  return new RequestRefused("not-member", "You are not in this room; join it first.");
}

function notConnected(): RequestRefused {
  return new RequestRefused("timeout", "There is no connection to the server now.");
}

/**
 * That certificate, with whatever stands behind it, in the one spelling that a receipt may have of it, however the
 * server spells it; `undefined` where the text is anything else.
 */
function readCertificate(text: string, fingerprint: string): string | undefined {
  try {
    const chain = parseCertificates(text);
    return chain[0]?.fingerprint === fingerprint ? chain.map(({ pem }) => pem).join("") : undefined;
  } catch (error) {
    if (error instanceof ProtocolError) return undefined;
    throw error;
  }
}

/** The answer; `undefined` where the server says by that refusal that it has none. Any other means: not now. */
async function unlessRefused(asked: Promise<RoomFrame>, errorType: string): Promise<RoomFrame | undefined> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof RequestRefused && error.errorType === errorType) return undefined;
    throw error;
  }
}
