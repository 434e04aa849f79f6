/**
 * All rooms of a server: which there are, who is there, and each request of a session handed to the room that it is
 * about (docs/PROTOCOL.md, "Requests"). A room is loaded from the store when somebody asks for it, and stays as long as
 * somebody is there.
 *
 *     hub.attend(session)  → invitations that waited
 *     hub.take(session, { type: "post", room: "#ops", … }, id)  → `posted` to every member, or a ProtocolError: refused
 *     hub.leave(session)
 *
 * A conversation of two is a room named by both, which either makes by joining it. A log that the operator closes, in
 * another process on the same database, is let go of at the next look at the store. What a line may say stands in
 * `room.ts`; codes, certificates and tokens are `server_devices.ts`.
 *
 * @layer chat
 */

import { encodeBase64, encodeHex, encodeUtf8 } from "./bytes.ts";
import type { Checkpoint } from "./log_checkpoint.ts";
import { ProtocolError } from "./errors.ts";
import { encodeJson, type Json } from "./json.ts";
import { partners, usernameKey } from "./names.ts";
import { Quota } from "./server_quota.ts";
import { type Attendee, Room, type RoomTools } from "./room.ts";
import { consistencyProof, inclusionProof } from "./log_tree.ts";
import { encodeOrigin } from "./log_line.ts";
import { type HistoryPolicy, PRESENCE_MEMBERS, type RoomRequest } from "./log_frames.ts";
import type { StoredRoom } from "./room_store.ts";
import { StoreUnavailable } from "./server_store.ts";
import { Throttle } from "./server_throttle.ts";

/** Rooms in one answer. */
const PAGE = 50;
/** It ends after so many bytes of them: with the longest topic behind it, that is a frame still. */
const PAGE_BYTES = 32_768;

/**
 * Invitations that wait for one account, and those of them that one other account may have sent: the rest isn't told.
 */
const MAX_INVITATIONS = 500;
const MAX_INVITATIONS_FROM_ONE = 50;

/** Rooms and conversations that one account makes in a day: a log is kept for good. */
const MAX_MADE = 100;
const DAY = 86_400_000;

/** Invitations that one account tells another of at once; further ones are told at the next login. */
const INVITATIONS_TOLD = { rate: 1 / 10, burst: 10 };

/** Names that one account asks for and that are not there. */
const MISSES = { rate: 1, burst: 60 };

/** The requests that are about rooms. */
export type HubRequest = Exclude<
  RoomRequest,
  { readonly type: "code" | "renew" | "account" | "password" | "logout" | "ping" }
>;

/** What a hub works with. */
export interface HubOptions extends Omit<RoomTools, "invite" | "dropped"> {
  /** The first part of every origin: one of the dNSNames of the server's certificate. */
  readonly serverName: string;
  /** Told of each room or conversation that is made, and by which certificate, for the audit log. */
  readonly made?: (origin: string, by: Pick<Attendee, "username" | "fingerprint">) => void;
}

/** The rooms and the sessions in them. */
export class Hub {
  readonly #options: HubOptions;
  readonly #rooms = new Map<string, Promise<Room | undefined>>();
  /** Those of them that were read. */
  readonly #ready = new Map<string, Room>();
  readonly #dropped = new Set<string>();
  /** Sessions by account, compared with ASCII letters lower-cased. */
  readonly #sessions = new Map<string, Set<Attendee>>();
  /** The rooms that a session has come into, or tried to: it is looked for nowhere else. */
  readonly #joined = new Map<Attendee, Set<Room>>();
  /** Rooms made, by account. */
  readonly #made: Throttle;
  readonly #invited: Quota;
  readonly #missed: Quota;
  #inviting: Promise<void> = Promise.resolve();

  constructor(options: HubOptions) {
    this.#options = options;
    this.#made = new Throttle({ limit: MAX_MADE, window: DAY }, options.now);
    this.#invited = new Quota(INVITATIONS_TOLD, options.now);
    this.#missed = new Quota(MISSES, options.now);
  }

  /** Counts the rooms that were made in the last day: the limit of a day goes on over a restart. */
  async countMade(): Promise<void> {
    const { store, now } = this.#options;
    for (const [maker, count] of await store.madeSince(now() - DAY)) {
      for (let made = 0; made < Math.min(count, MAX_MADE); made++) this.#made.take(maker);
    }
  }

  /** A session begins; it is told of the invitations that waited for it. */
  async attend(attendee: Attendee): Promise<void> {
    const key = usernameKey(attendee.username);
    this.#sessions.set(key, (this.#sessions.get(key) ?? new Set()).add(attendee));
    for (const [at, { room, from }] of (await this.#options.store.invitations(key)).entries()) {
      if (at % PAGE === 0) await attendee.drained(); // all at once could be more than may be queued for it
      attendee.answer({ type: "invited", room, from });
    }
  }

  /** A session is over. */
  leave(attendee: Attendee): void {
    const key = usernameKey(attendee.username);
    const all = this.#sessions.get(key);
    all?.delete(attendee);
    if (all?.size === 0) this.#sessions.delete(key);
    for (const room of this.#joined.get(attendee) ?? []) room.leave(attendee);
    this.#joined.delete(attendee);
  }

  /** Resolves when all that was posted is told of or refused. */
  async settled(): Promise<void> {
    for (const room of await this.#loaded()) await room.settled();
    await this.#inviting;
  }

  /** The rooms that somebody has asked for; one that can't be read is none for now. */
  async #loaded(): Promise<Room[]> {
    const all = await Promise.allSettled(this.#rooms.values());
    return all.flatMap((one) => one.status === "fulfilled" && one.value ? [one.value] : []);
  }

  /** The clock is right again, in which no heads were made. */
  async makeHeads(): Promise<void> {
    for (const room of await this.#loaded()) room.makeHead();
  }

  /**
   * Certificates were revoked: they get nothing more in any room. A room that nobody has asked for looks when it is.
   */
  async dropRevoked(): Promise<void> {
    for (const room of await this.#loaded()) await room.dropRevoked();
  }

  /** Looks whether logs were closed, and lets go of those: the logs' origins. */
  async dropClosed(): Promise<string[]> {
    const closed = new Set(await this.#options.store.closedLogs());
    const dropped: string[] = [];
    for (const [name, loading] of this.#rooms) {
      const room = await loading.catch(() => undefined);
      if (!room || !closed.has(room.origin)) continue;
      if (this.#rooms.get(name) === loading) this.#letGo(name);
      await room.close();
      dropped.push(room.origin);
    }
    return dropped;
  }

  /**
   * Lets go of the rooms that no session has come into. To be called by a timer, and not while revoked certificates or
   * closed logs are dropped: then nobody has such a room in hand, since what a request does with one that it has not
   * joined takes no turn.
   */
  dropIdle(): void {
    const joined = new Set([...this.#joined.values()].flatMap((rooms) => [...rooms]));
    for (const [name, room] of this.#ready) if (!joined.has(room) && room.isSettled) this.#letGo(name);
  }

  #letGo(name: string): void {
    this.#rooms.delete(name);
    this.#ready.delete(name);
  }

  /** Does what a session asks. What is thrown refuses it. */
  async take(attendee: Attendee, request: HubRequest, id: Json | undefined): Promise<void> {
    switch (request.type) {
      case "create":
        return await this.#create(attendee, request, id);
      case "join":
        return await this.#join(await this.#room(request.room, attendee, true), attendee, request.checkpoint, id);
      case "post":
        return await (await this.#room(request.room, attendee)).post(request, attendee, id);
      case "history":
        return await (await this.#room(request.room, attendee)).history(attendee, request, id);
      case "keys":
        return await (await this.#room(request.room, attendee)).keys(attendee, request.from, id);
      case "checkpoint":
        return (await this.#room(request.room, attendee)).checkpoint(attendee, id);
      case "earlier_checkpoint":
        return await (await this.#room(request.room, attendee)).earlierCheckpoint(attendee, request.by, id);
      case "members":
        return await this.#members(attendee, request, id);
      case "rooms":
        return await this.#list(attendee, request.from, id);
      case "presence":
        return this.#presence(attendee, request.state === "away", id);
      case "certificate":
        return await this.#certificate(attendee, request.fingerprint, id);
      case "consistency":
      case "inclusion":
        return await this.#prove(attendee, request, id);
    }
  }

  /** A room that is there, or, of two, may begin, and that this session may know of. Throws `no-room`. */
  async #room(name: string, attendee: Attendee, mayBegin = false): Promise<Room> {
    const { username } = attendee;
    const direct = partners(name);
    if (direct && !direct.includes(usernameKey(username))) throw noRoom();
    const room = await this.#load(name);
    if (room) return room;
    if (!direct || !mayBegin) throw noRoom();
    const other = direct.find((one) => one !== usernameKey(username)) ?? "";
    if (!await this.#options.store.isAccount(other)) {
      this.#miss(username);
      throw new ProtocolError("no-room", "There is nobody of that name on this server.");
    }
    return (await this.#make(name, { history: "all", inviteOnly: true }, attendee)).room;
  }

  /** Somebody has asked for what isn't there. Throws `rate-limited` where that is one of many guesses. */
  #miss(username: string): void {
    if (this.#missed.tryTake(usernameKey(username))) return;
    throw new ProtocolError("rate-limited", "You have asked for too many names that aren't there; try again later.");
  }

  #load(name: string): Promise<Room | undefined> {
    const known = this.#rooms.get(name);
    if (known) return known;
    const loading = this.#options.store.findRoom(name).then((stored) => stored && this.#read(stored));
    this.#rooms.set(name, loading);
    // What isn't there may be made, what couldn't be read may be read later.
    loading.then((room) => room ? this.#ready.set(name, room) : this.#letGo(name), () => this.#letGo(name));
    return loading;
  }

  /** A room whose key or lines can't be read is out of service, and no other is. */
  async #read(stored: StoredRoom): Promise<Room> {
    try {
      return await Room.load(stored, this.#tools());
    } catch (error) {
      if (error instanceof ProtocolError || error instanceof StoreUnavailable) throw error;
      this.#options.alarm(`the room can't be read: ${error instanceof Error ? error.message : error}`, stored.name);
      throw new ProtocolError("server-error", "This room can't be read now; whoever runs the server is told.");
    }
  }

  #tools(): RoomTools {
    return {
      ...this.#options,
      dropped: this.#dropped,
      invite: (room, username, from) => this.#invite(room, username, from),
    };
  }

  async #create(
    attendee: Attendee,
    { room, mode, history, inviteOnly }: RoomRequest & { type: "create" },
    id: Json | undefined,
  ): Promise<void> {
    if (partners(room)) throw new ProtocolError("forbidden", "A conversation of two is made by joining it.");
    if (mode !== "recorded") throw new ProtocolError("forbidden", "This server makes recorded rooms alone.");
    if (await this.#load(room)) throw new ProtocolError("forbidden", "There is a room of this name; join it.");
    const made = await this.#make(room, { history, inviteOnly }, attendee);
    if (!made.isNew) throw new ProtocolError("forbidden", "There is a room of this name; join it.");
    await this.#join(made.room, attendee, undefined, id);
  }

  async #join(room: Room, attendee: Attendee, theirs: Checkpoint | undefined, id: Json | undefined): Promise<void> {
    this.#joined.set(attendee, (this.#joined.get(attendee) ?? new Set()).add(room));
    await room.join(attendee, theirs, id);
  }

  async #make(
    name: string,
    policy: { readonly history: HistoryPolicy; readonly inviteOnly: boolean },
    by: Attendee,
  ): Promise<{ readonly room: Room; readonly isNew: boolean }> {
    const key = usernameKey(by.username);
    if (this.#made.holds(key)) {
      throw new ProtocolError("forbidden", `You have made ${MAX_MADE} rooms in a day; make others tomorrow.`);
    }
    const { store, serverName, random, now } = this.#options;
    const origin = encodeOrigin({ server: serverName, room: name, id: encodeHex(random(16)) });
    const isNew = await store.createRoom({
      ...{ name, origin, ...policy, createdAt: now() },
      maker: key,
    });
    if (isNew) {
      this.#made.take(key);
      this.#options.made?.(origin, by);
    }
    // Whoever made it first; a look that began before finds nothing, the next one does.
    const room = await this.#load(name) ?? await this.#load(name);
    if (!room) throw new ProtocolError("server-error", "The room could not be made; try again.");
    return { room, isNew };
  }

  /** One after the other, as each depends on how many wait. */
  #invite(room: string, username: string, from: string): void {
    this.#inviting = this.#inviting.then(() => this.#tellInvitation(room, username, from));
  }

  async #tellInvitation(room: string, username: string, from: string): Promise<void> {
    const key = usernameKey(username);
    const { store } = this.#options;
    try {
      const waiting = await store.invitations(key);
      const isOver = waiting.length >= MAX_INVITATIONS ||
        waiting.filter((one) => one.from === from).length >= MAX_INVITATIONS_FROM_ONE;
      if (isOver && !waiting.some((one) => one.room === room)) return; // who is told otherwise may come in all the same
      await store.addInvitation(room, key, from);
    } catch {
      this.#options.alarm(`an invitation for ${key} could not be stored`, room);
    }
    if (!this.#invited.tryTake(`${from} ${key}`)) return;
    for (const session of this.#sessions.get(key) ?? []) session.answer({ type: "invited", room, from });
  }

  async #members(attendee: Attendee, request: { room: string; from: number }, id: Json | undefined): Promise<void> {
    const room = await this.#room(request.room, attendee);
    room.requireJoined(attendee);
    const all = room.members;
    const end = request.from + PRESENCE_MEMBERS;
    const next = end < all.length ? end : null;
    attendee.answer({ type: "members", room: room.name, members: all.slice(request.from, end), next }, id);
  }

  async #list(attendee: Attendee, after: string, id: Json | undefined): Promise<void> {
    const stored = await this.#options.store.listRooms(after, PAGE + 1);
    const rooms = [];
    let [last, bytes] = [after, 0];
    for (const { name, inviteOnly } of stored.slice(0, PAGE)) {
      if (bytes > PAGE_BYTES) break;
      last = name;
      const room = await this.#load(name).catch((error) => {
        if (!(error instanceof ProtocolError)) throw error;
      });
      if (!room?.isVisibleTo(attendee.username)) continue;
      const listed = { room: name, members: room.memberCount, invite_only: inviteOnly, topic: room.topic };
      rooms.push(listed);
      bytes += encodeUtf8(encodeJson(listed)).length;
    }
    attendee.answer({ type: "rooms", rooms, next: last === (stored.at(-1)?.name ?? after) ? null : last }, id);
  }

  #presence(attendee: Attendee, isAway: boolean, id: Json | undefined): void {
    attendee.isAway = isAway;
    for (const room of this.#joined.get(attendee) ?? []) room.tellPresenceOf(attendee);
    attendee.answer({ type: "done" }, id);
  }

  async #certificate(attendee: Attendee, fingerprint: string, id: Json | undefined): Promise<void> {
    const { store } = this.#options;
    const device = await store.findDevice(fingerprint);
    const pem = device?.pem ?? await store.findCertificate(fingerprint);
    if (pem === undefined) {
      this.#miss(attendee.username);
      throw new ProtocolError("no-room", "No certificate of this fingerprint is known here.");
    }
    attendee.answer({ type: "certificate", fingerprint, pem, username: device?.username ?? "" }, id);
  }

  async #prove(
    attendee: Attendee,
    request: RoomRequest & { type: "consistency" | "inclusion" },
    id: Json | undefined,
  ): Promise<void> {
    const room = await this.#room(request.room, attendee);
    room.requireJoined(attendee);
    const { type } = request;
    const [first, size] = type === "inclusion" ? [request.index, request.size] : [request.from, request.to];
    if (size > room.size || (type === "inclusion" ? first >= size : first > size)) {
      throw new ProtocolError("forbidden", `The log has ${room.size} lines.`);
    }
    const proof = type === "inclusion"
      ? await inclusionProof(first, size, room.nodes)
      : await consistencyProof(first, size, room.nodes);
    const asked = type === "inclusion" ? { index: first, size } : { from: first, to: size };
    attendee.answer({ type, room: room.name, ...asked, hashes: proof.map(encodeBase64) }, id);
  }
}

function noRoom(): ProtocolError {
  return new ProtocolError("no-room", "There is no such room; create it, or look at the list of rooms.");
}
