/**
 * Clients and a server of rooms without sockets: frames pass as the bytes that they would be on the wire, and a hand in
 * between may lose, change or invent what the server says.
 */

import type { Identity } from "../lib/certificate_identity.ts";
import { type Bytes, encodeUtf8, parseUtf8 } from "../lib/bytes.ts";
import { dispatch } from "../lib/dispatch.ts";
import { ProtocolError } from "../lib/errors.ts";
import { encodeFrame, type OutgoingFrame, parseFrame } from "../lib/frame.ts";
import { parseRequest } from "../lib/log_requests.ts";
import { Hub } from "../lib/room_hub.ts";
import { ROOM_ANSWERS } from "../lib/room_requests.ts";
import type { Trust } from "../lib/certificate_path.ts";
import { encodeJson, type Json, type JsonObject, parseJson } from "../lib/json.ts";
import { importSigningKey, VerifyingKey } from "../lib/pss.ts";
import type { Attendee } from "../lib/room_attendee.ts";
import { ClientRooms } from "../lib/client_rooms.ts";
import type { ClientStore } from "../lib/client_store.ts";
import type { LineEvent, RoomEvent } from "../lib/client_event.ts";
import { parseRoomFrame } from "../lib/log_frames.ts";
import type { Signatures } from "../lib/client_line_monitor.ts";
import { Signal } from "../lib/signal.ts";
import { certificate, countingRandom, handClock, identities, key } from "./fixtures.ts";
import { MemoryClientStore } from "./memory_client_store.ts";
import { MemoryRoomStore } from "./memory_room_store.ts";

/** A frame of the server as it is on the wire. */
export type WireFrame = JsonObject & { readonly type: string };

/** What becomes of a frame on its way to a client. */
export type Tamper = (frame: WireFrame) => readonly WireFrame[] | Promise<readonly WireFrame[]>;

/** What a client may have of its own. */
export interface ClientOptions {
  readonly store?: MemoryClientStore;
  /** Records that are used in its place. */
  readonly records?: ClientStore;
  readonly device?: string;
  /** When their certificate ends, in unix milliseconds. */
  readonly ends?: number;
  readonly signatures?: Signatures;
  /** What they trust, where it isn't the test's CA alone. */
  readonly trust?: Trust;
}

/** A server of rooms. */
export class RoomBench {
  readonly hub: Hub;
  readonly store: MemoryRoomStore;
  readonly clock: ReturnType<typeof handClock>;
  readonly later: (() => void)[] = [];
  readonly alarms: string[] = [];
  /** What becomes of what the server does later: heads, and tries. */
  hold: (run: () => void) => void = (run) => void this.later.push(run);
  readonly clients: BenchClient[] = [];

  private constructor(hub: (bench: RoomBench) => Hub, store: MemoryRoomStore, clock: ReturnType<typeof handClock>) {
    this.store = store;
    this.clock = clock;
    this.hub = hub(this);
  }

  /** With the store and the clock of another, it is that server started again. */
  static async create(other?: RoomBench, store = other?.store ?? new MemoryRoomStore()): Promise<RoomBench> {
    const { server } = await identities();
    const leaf = server.chain[0];
    const fingerprint = leaf?.fingerprint ?? "";
    await store.keepCertificate(fingerprint, server.pem);
    const serverKey = new VerifyingKey(leaf?.rsa?.modulus ?? 0n);
    const random = countingRandom();
    const make = (bench: RoomBench) =>
      new Hub({
        store,
        devices: store,
        keys: { wrap: (key) => key, unwrap: (key) => key },
        signer: () => ({ key: server.key, fingerprint, ends: Infinity }),
        serverName: "localhost",
        now: bench.clock.now,
        random,
        later: (_, run) => bench.hold(run),
        turn: () => Promise.resolve(),
        serverKey: (one) => Promise.resolve(one === fingerprint ? serverKey : undefined),
        revoked: () => Promise.resolve([]),
        alarm: (message) => bench.alarms.push(message),
      });
    return new RoomBench(make, store, other?.clock ?? handClock());
  }

  /** A client of somebody's that is online; with a store, the one that wrote that store, started again. */
  async client(username: string, options: ClientOptions & { readonly tamper?: Tamper } = {}) {
    const client = await BenchClient.create(this, username, options);
    await client.rooms.restore();
    await client.connect(this, options.tamper);
    return client;
  }

  /** Lets everything happen that is under way, timers included. */
  async settle(): Promise<void> {
    for (let quiet = 0; quiet < 4; quiet++) {
      await new Promise((resolve) => setTimeout(resolve, 0));
      await this.hub.settled();
      const due = [...this.later.splice(0), ...this.clients.flatMap(({ later }) => later.splice(0))];
      if (due.length > 0) quiet = 0;
      this.clock.advance(50);
      for (const run of due) run();
      await this.hub.settled();
      for (const client of this.clients) await client.arrived();
    }
  }
}

/** A client whose link can be cut. */
export class BenchClient {
  readonly rooms: ClientRooms;
  readonly events: RoomEvent[] = [];
  readonly later: (() => void)[] = [];
  readonly #changed = new Signal();
  /** What the server has kept back, as the client has named it. */
  readonly unanswered: string[] = [];
  readonly store: MemoryClientStore;
  readonly username: string;
  fingerprint: string;
  pem: string;
  /** How far its clock is ahead of the server's, in milliseconds. */
  ahead = 0;
  #verifying: VerifyingKey;
  #session: BenchSession | undefined;

  private constructor(
    bench: RoomBench,
    parts: { username: string; store: MemoryClientStore; pem: string; fingerprint: string; modulus: bigint },
    rooms: (client: BenchClient) => ClientRooms,
  ) {
    this.username = parts.username;
    this.store = parts.store;
    this.pem = parts.pem;
    this.fingerprint = parts.fingerprint;
    this.#verifying = new VerifyingKey(parts.modulus);
    this.rooms = rooms(this);
    bench.clients.push(this);
  }

  static async create(
    bench: RoomBench,
    username: string,
    { store = new MemoryClientStore(), records = store, device = "", ends, signatures, trust: trusts }: ClientOptions,
  ): Promise<BenchClient> {
    const trust = trusts ?? (await identities()).trust;
    const { chain: [leaf], pem, key } = await personIdentity(username, device, ends);
    const fingerprint = leaf?.fingerprint ?? "";
    const identity = { fingerprint, pem, key };
    const make = (client: BenchClient) =>
      new ClientRooms({
        identity,
        trust: () => Promise.resolve(trust),
        store: records,
        emit: (event) => client.notice(event),
        now: () => bench.clock.now() + client.ahead,
        random: countingRandom(),
        later: (_, run) => client.wait(run),
        unanswered: (what) => client.unanswered.push(what),
        ...(signatures ? { signatures } : {}),
      });
    return new BenchClient(bench, { username, store, pem, fingerprint, modulus: leaf?.rsa?.modulus ?? 0n }, make);
  }

  /** Goes on with another certificate, as after a renewal: from the next session on. */
  async become(device: string): Promise<void> {
    const { chain: [leaf], pem, key } = await personIdentity(this.username, device);
    const was = this.fingerprint;
    [this.fingerprint, this.pem] = [leaf?.fingerprint ?? "", pem];
    this.#verifying = new VerifyingKey(leaf?.rsa?.modulus ?? 0n);
    this.rooms.become({ fingerprint: this.fingerprint, pem, key, was });
  }

  /** A new session, at this server or another. */
  async connect(bench: RoomBench, tamper: Tamper = (frame) => [frame]): Promise<void> {
    await bench.store.keepCertificate(this.fingerprint, this.pem);
    const session = new BenchSession(bench, this, this.#verifying, tamper);
    this.#session = session;
    await bench.hub.attend(session);
    const back = this.rooms.online({
      username: this.username,
      request: (frame) => session.request(frame),
      open: (payload) => payload,
    });
    await Promise.race([back, bench.settle()]);
  }

  /** The network is gone: nothing arrives any more, either way. */
  cut(bench: RoomBench): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    session?.cut();
    this.rooms.offline();
    if (session) bench.hub.leave(session);
    return Promise.resolve();
  }

  get session(): BenchSession | undefined {
    return this.#session;
  }

  /** Something was told. */
  notice(event: RoomEvent): void {
    this.events.push(event);
    this.#changed.fire();
  }

  /** Something is to be done later. */
  wait(run: () => void): void {
    this.later.push(run);
    this.#changed.fire();
  }

  /** Resolves once that holds; it is looked at whenever something is told, or is to be done later. */
  async until(holds: () => boolean): Promise<void> {
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(() => late.reject(new Error(`${this.username} waits in vain`)), 10_000);
    while (!holds()) await Promise.race([this.#changed.next, late.promise]);
    clearTimeout(timer);
  }

  /** Resolves when what was sent to this client was taken. */
  async arrived(): Promise<void> {
    await this.#session?.arrived();
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, 20);
    await Promise.race([this.rooms.settled(), late.promise]);
    clearTimeout(timer);
  }

  /** The texts of a room, in the order of their indexes. */
  texts(room: string): (string | null)[] {
    return this.lines(room).filter(({ kind }) => kind === "text").map(({ text }) => text);
  }

  /** The lines that were shown of a room. */
  lines(room: string): LineEvent[] {
    return this.events.flatMap((event) => event.event === "line" && event.room === room ? [event] : []);
  }

  /** What the server was caught at. */
  get lies(): string[] {
    return this.events.flatMap((event) => event.event === "lie" ? [event.lie] : []);
  }

  of<T extends RoomEvent["event"]>(type: T): (RoomEvent & { event: T })[] {
    return this.events.filter((event): event is RoomEvent & { event: T } => event.event === type);
  }
}

const people = new Map<string, Promise<Identity>>();

/** Somebody's certificate, the same each time; `device`: another of the same person; `ends`: in unix milliseconds. */
export function personIdentity(username: string, device = "", ends?: number): Promise<Identity> {
  const name = `person ${username} ${device}`;
  const known = people.get(name) ?? makeIdentity(name, username, ends);
  people.set(name, known);
  return known;
}

async function makeIdentity(name: string, username: string, ends?: number): Promise<Identity> {
  const times = ends === undefined ? {} : { now: ends - 30 * 86_400_000, days: 30 };
  const leaf = await certificate(name, { role: "client", name: username }, times);
  return { chain: [leaf], pem: leaf.pem, key: await importSigningKey(await key(name)) };
}

/** One session between them: the hub's side of a client. */
export class BenchSession implements Attendee {
  readonly username: string;
  readonly fingerprint: string;
  readonly verifying: VerifyingKey;
  readonly #bench: RoomBench;
  readonly #client: BenchClient;
  readonly #tamper: Tamper;
  #isCut = false;
  #arriving: Promise<void> = Promise.resolve();
  #asking: Promise<void> = Promise.resolve();
  /** Frames that the server gets before the link is cut; the answers to the last are lost. */
  framesLeft = Infinity;
  ended: string | undefined;

  constructor(bench: RoomBench, client: BenchClient, verifying: VerifyingKey, tamper: Tamper) {
    this.#bench = bench;
    this.#client = client;
    this.username = client.username;
    this.fingerprint = client.fingerprint;
    this.verifying = verifying;
    this.#tamper = tamper;
  }

  cut(): void {
    this.#isCut = true;
  }

  async arrived(): Promise<void> {
    await this.#asking;
    await this.#arriving;
  }

  // The client's words.

  request(frame: { readonly type: string } & Readonly<Record<string, unknown>>): void {
    if (this.#isCut || this.framesLeft-- <= 0) return void (this.#isCut = true);
    const { request, id } = parseRequest(parseFrame(encodeFrame(frame)));
    this.#asking = this.#asking.then(async () => {
      try {
        if (request.type === "code" || request.type === "renew" || request.type === "logout") return;
        if (request.type === "account" || request.type === "password") return;
        if (request.type === "ping") return this.answer({ type: "pong" }, id);
        await dispatch(ROOM_ANSWERS, request, { hub: this.#bench.hub, attendee: this, serverLog: undefined }, id);
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
        this.refuse(error, id);
      }
    });
  }

  // The server's.

  deliverLatest(_: string, bytes: Bytes): void {
    this.deliver(bytes);
  }

  drained(): Promise<void> {
    return Promise.resolve();
  }
  deliver(bytes: Bytes): void {
    for (const line of (parseUtf8(bytes) ?? "").split("\n")) if (line !== "") this.#bring(line);
  }
  answer(frame: OutgoingFrame, id?: Json): void {
    this.#bring(encodeJson(id === undefined ? frame : { ...frame, id }));
  }
  seal(value: JsonObject): Bytes {
    return encodeUtf8(encodeJson(value));
  }
  refuse(error: ProtocolError, id?: Json): void {
    this.#arriving = this.#arriving.then(() => {
      if (!this.#isCut) this.#client.rooms.refused({ errorType: error.code, reason: error.message }, id);
    });
  }
  end(error: ProtocolError): void {
    this.ended = error.code;
    this.#isCut = true;
  }

  #bring(line: string): void {
    this.#arriving = this.#arriving.then(async () => {
      if (this.#isCut || this.framesLeft <= 0) return;
      for (const frame of await this.#tamper(parseJson(line) as WireFrame)) {
        const { frame: parsed, id } = parseRoomFrame(parseFrame(encodeFrame(frame)));
        this.#client.rooms.take(parsed, id);
      }
    });
  }
}
