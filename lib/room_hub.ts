/**
 * All rooms of a server, and the sessions that use them (docs/PROTOCOL.md, "Requests"). Which request goes where is
 * `room_requests.ts`; which rooms are loaded is `room_registry.ts`.
 *
 *     await hub.attend(session)                    tells of the invitations that waited
 *     await hub.join(session, { room: "#ops" })    `joined`, or a ProtocolError
 *     hub.leave(session)
 *
 * A conversation of two is a room that is named by both; either makes it by joining it. Codes, certificates and tokens
 * are `server_devices.ts`.
 *
 * @layer chat
 */

import { encodeHex, encodeUtf8 } from "./bytes.ts";
import { ProtocolError } from "./errors.ts";
import { encodeJson, type Json } from "./json.ts";
import { encodeOrigin } from "./log_line.ts";
import type { HistoryPolicy, RoomRequest } from "./log_requests.ts";
import { partners, usernameKey } from "./names.ts";
import type { Room } from "./room.ts";
import type { Attendee } from "./room_attendee.ts";
import { Invitations } from "./room_invitations.ts";
import { RoomRegistry } from "./room_registry.ts";
import type { RoomTools } from "./room_tools.ts";
import type { DeviceStore } from "./server_device_store.ts";
import { Quota } from "./server_quota.ts";
import { Throttle } from "./server_throttle.ts";

/** How many rooms make one answer. */
const PAGE = 50;
/** How many bytes of them end the answer: with the longest topic behind them, it still fits into a frame. */
const PAGE_BYTES = 32_768;
/** How many rooms and conversations one account makes in a day: a log is kept for good. */
const MAX_MADE = 100;
const DAY = 86_400_000;
/** How often one account may ask for names that aren't there. */
const MISSES = { rate: 1, burst: 60 };

/** What a hub works with. */
export interface HubOptions extends Omit<RoomTools, "invite" | "rekeyed"> {
  readonly devices: Pick<DeviceStore, "findDevice" | "findCertificate">;
  /** The first part of every origin: one of the dNSNames of the server's certificate. */
  readonly serverName: string;
  /** Told of each room or conversation that is made, and by which certificate, for the audit log. */
  readonly made?: (origin: string, by: Pick<Attendee, "username" | "fingerprint">) => void;
}

/** The rooms and the sessions in them. */
export class Hub {
  readonly #options: HubOptions;
  readonly #registry: RoomRegistry;
  readonly #invitations: Invitations;
  /** Sessions by account, as usernames are compared. */
  readonly #sessions = new Map<string, Set<Attendee>>();
  /** The rooms that a session has joined, or tried to. It is in no other room. */
  readonly #joined = new Map<Attendee, Set<Room>>();
  /** Sessions that say that nobody is there to read. */
  readonly #away = new Set<Attendee>();
  /** Rooms made, by account. */
  readonly #made: Throttle;
  readonly #missed: Quota;

  constructor(options: HubOptions) {
    const { now } = options;
    this.#options = options;
    this.#made = new Throttle({ limit: MAX_MADE, window: DAY }, now);
    this.#missed = new Quota(MISSES, now);
    const invitations = this.#invitations = new Invitations({
      ...options,
      sessionsOf: (key) => this.#sessions.get(key) ?? [],
    });
    this.#registry = new RoomRegistry({
      ...options,
      rekeyed: new Rekeyed(),
      invite: (room, username, from) => invitations.invite(room, username, from),
    });
  }

  // The server's own business.

  /** Counts the rooms that were made in the last day: the limit of a day goes on over a restart. */
  async countMade(): Promise<void> {
    const { store, now } = this.#options;
    for (const [maker, count] of await store.madeSince(now() - DAY)) {
      for (let made = 0; made < Math.min(count, MAX_MADE); made++) this.#made.take(maker);
    }
  }

  /** Resolves when everything that was posted is told of or refused. */
  async settled(): Promise<void> {
    for (const room of await this.#registry.loaded()) await room.settled();
    await this.#invitations.settled();
  }

  /** Makes the heads that weren't made while the clock was in doubt. */
  async makeHeads(): Promise<void> {
    for (const room of await this.#registry.loaded()) room.makeHead();
  }

  /** Revoked certificates get nothing more in any room. A room that isn't loaded looks for them when it is. */
  async dropRevoked(): Promise<void> {
    for (const room of await this.#registry.loaded()) await room.dropRevoked();
  }

  /** Looks whether logs were closed, and lets go of those: the logs' origins. */
  async dropClosed(): Promise<string[]> {
    return await this.#registry.dropClosed();
  }

  /** Lets go of the rooms that no session has joined. */
  dropIdle(): void {
    this.#registry.dropIdle(new Set([...this.#joined.values()].flatMap((rooms) => [...rooms])));
  }

  /** Whether somebody is in a session with rooms. */
  get isAttended(): boolean {
    return this.#sessions.size > 0;
  }

  // Sessions.

  /** A session begins; it is told of the invitations that wait for its account. */
  async attend(attendee: Attendee): Promise<void> {
    const key = usernameKey(attendee.username);
    this.#sessions.set(key, (this.#sessions.get(key) ?? new Set()).add(attendee));
    await this.#invitations.tellWaiting(attendee);
  }

  /** A session is over. */
  leave(attendee: Attendee): void {
    const key = usernameKey(attendee.username);
    const all = this.#sessions.get(key);
    all?.delete(attendee);
    if (all?.size === 0) this.#sessions.delete(key);
    for (const room of this.#joined.get(attendee) ?? []) room.leave(attendee);
    this.#joined.delete(attendee);
    this.#away.delete(attendee);
  }

  /** A session says whether somebody is there to read. */
  setAway(attendee: Attendee, isAway: boolean, id: Json | undefined): Promise<void> {
    if (isAway) this.#away.add(attendee);
    else this.#away.delete(attendee);
    for (const room of this.#joined.get(attendee) ?? []) room.setAway(attendee, isAway);
    attendee.answer({ type: "done" }, id);
    return Promise.resolve();
  }

  // Requests. What is thrown refuses them.

  /** The room of that name, if this session may know of it. Throws `no-room`. */
  async room(name: string, { username }: Pick<Attendee, "username">): Promise<Room> {
    const direct = partners(name);
    if (direct && !direct.includes(usernameKey(username))) throw noRoom();
    const room = await this.#registry.find(name);
    if (!room) throw noRoom();
    return room;
  }

  /** Makes a room, and lets its maker in. */
  async create(
    attendee: Attendee,
    { room, mode, history, inviteOnly }: RoomRequest & { type: "create" },
    id: Json | undefined,
  ): Promise<void> {
    if (partners(room)) throw new ProtocolError("forbidden", "A conversation of two is made by joining it.");
    if (mode !== "recorded") throw new ProtocolError("forbidden", "This server makes only recorded rooms.");
    const made = await this.#registry.find(room)
      ? undefined
      : await this.#make(room, { history, inviteOnly }, attendee);
    if (!made?.isNew) throw new ProtocolError("forbidden", "There is a room of this name; join it.");
    await this.#enter(made.room, attendee, { type: "join", room }, id);
  }

  /** Lets a session into a room; a conversation of two begins when one of both joins it. */
  async join(attendee: Attendee, request: RoomRequest & { type: "join" }, id: Json | undefined): Promise<void> {
    await this.#enter(await this.#findOrBegin(request.room, attendee), attendee, request, id);
  }

  async #enter(
    room: Room,
    attendee: Attendee,
    { checkpoint: theirs }: RoomRequest & { type: "join" },
    id: Json | undefined,
  ): Promise<void> {
    this.#joined.set(attendee, (this.#joined.get(attendee) ?? new Set()).add(room));
    await room.join(attendee, { theirs, isAway: this.#away.has(attendee) }, id);
  }

  async #findOrBegin(name: string, attendee: Attendee): Promise<Room> {
    const own = usernameKey(attendee.username);
    const direct = partners(name);
    if (!direct?.includes(own)) return await this.room(name, attendee);
    const room = await this.#registry.find(name);
    if (room) return room;
    const other = direct.find((one) => one !== own) ?? "";
    if (!await this.#options.store.isAccount(other)) {
      this.#countMiss(attendee);
      throw new ProtocolError("no-room", "There is nobody of that name on this server.");
    }
    return (await this.#make(name, { history: "all", inviteOnly: true }, attendee)).room;
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
    const isNew = await store.createRoom({ name, origin, ...policy, createdAt: now(), maker: key });
    if (isNew) {
      this.#made.take(key);
      this.#options.made?.(origin, by);
    }
    // Whoever made it first. A look that began before it was made finds nothing, and the next one finds it.
    const room = await this.#registry.find(name) ?? await this.#registry.find(name);
    if (!room) throw new ProtocolError("server-error", "The room could not be made; try again.");
    return { room, isNew };
  }

  /** Sends a page of the rooms that somebody may see. */
  async list(attendee: Attendee, after: string, id: Json | undefined): Promise<void> {
    const stored = await this.#options.store.listRooms(after, PAGE + 1);
    const rooms = [];
    let [last, bytes] = [after, 0];
    for (const { name, inviteOnly } of stored.slice(0, PAGE)) {
      if (bytes > PAGE_BYTES) break;
      last = name;
      const room = await this.#registry.find(name).catch((error) => {
        if (!(error instanceof ProtocolError)) throw error;
      });
      if (!room?.isVisibleTo(attendee.username)) continue;
      const listed = { room: name, members: room.memberCount, invite_only: inviteOnly, topic: room.topic };
      rooms.push(listed);
      bytes += encodeUtf8(encodeJson(listed)).length;
    }
    attendee.answer({ type: "rooms", rooms, next: last === (stored.at(-1)?.name ?? after) ? null : last }, id);
  }

  /** Sends a certificate of an account's or of this server's. */
  async certificate(attendee: Attendee, fingerprint: string, id: Json | undefined): Promise<void> {
    const { devices } = this.#options;
    const device = await devices.findDevice(fingerprint);
    const pem = device?.pem ?? await devices.findCertificate(fingerprint);
    if (pem === undefined) {
      this.#countMiss(attendee);
      throw new ProtocolError("no-room", "No certificate of this fingerprint is known here.");
    }
    attendee.answer({ type: "certificate", fingerprint, pem, username: device?.username ?? "" }, id);
  }

  /** Throws `rate-limited` if somebody asks for many names that aren't there: they may be guesses. */
  #countMiss({ username }: Attendee): void {
    if (this.#missed.tryTake(usernameKey(username))) return;
    throw new ProtocolError("rate-limited", "You have asked for too many names that aren't there; try again later.");
  }
}

/** See `RekeyMemory` in `room_tools.ts`. */
class Rekeyed {
  readonly #known = new Set<string>();

  has(origin: string, fingerprint: string): boolean {
    return this.#known.has(`${origin} ${fingerprint}`);
  }

  add(origin: string, fingerprint: string): void {
    this.#known.add(`${origin} ${fingerprint}`);
  }
}

function noRoom(): ProtocolError {
  return new ProtocolError("no-room", "There is no such room; create it, or look at the list of rooms.");
}
