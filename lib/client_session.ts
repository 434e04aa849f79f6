/**
 * A person's or a bot's client for rooms, without a screen: it connects, stays connected, and keeps everything that
 * must outlive it (docs/PROTOCOL.md, "Before the session" and "Posting").
 *
 *     const session = new ClientSession({ dial, host, identity, trust, records, credentials, emit, now, random });
 *     await session.start();                       emits "online", or "offline" with the time of the next try
 *     await session.rooms.join("#ops");
 *     await session.rooms.say("#ops", "hello");    resolves once the line would survive a crash, online or not
 *     await session.stop();
 *
 * After a break it tries again with growing delay, resumes the session with the token (or asks for credentials if none is
 * good), rejoins its rooms, catches up, and sends what was not accepted. It ends for good if the server refuses the
 * account or the certificate, or if another client of the same certificate has taken its place.
 *
 * This holds the connection. What people ask for stands in `rooms`, `account` and `history`; what happens is told as
 * {@link RoomEvent}s.
 *
 * @layer outside
 */

import type { Identity } from "./certificate_identity.ts";
import type { Bytes, Clock, Random } from "./bytes.ts";
import type { Trust } from "./certificate_path.ts";
import { ClientAccount } from "./client_account.ts";
import type { RoomEvent } from "./client_event.ts";
import { RoomHistory } from "./client_history.ts";
import type { Signatures } from "./client_line_monitor.ts";
import type { StandingSession } from "./client_link.ts";
import type { OwnCertificate } from "./client_outbox.ts";
import { Backoff, type BackoffOptions, Pause } from "./client_reconnect.ts";
import type { Renewal } from "./client_renewal.ts";
import { Renewing } from "./client_renewing.ts";
import { type ConnectionEnding, type Credentials, Login } from "./client_login.ts";
import { ANSWER_WITHIN } from "./client_requests.ts";
import type { RoomRecords } from "./client_room_records.ts";
import { ClientRooms } from "./client_rooms.ts";
import type { ShownServer } from "./client_servers.ts";
import { isOfType } from "./dispatch.ts";
import { EXIT, Failure, messageOf } from "./errors.ts";
import { ClientConnection, type ClientEvent } from "./handshake_client.ts";
import type { SignedLine } from "./line_signature.ts";
import { SignaturePool } from "./line_signature_pool.ts";
import type { WitnessPolicy } from "./witness_policy.ts";

/** A connection's bytes; a `Link` of `transport.ts` is one. */
export interface Wire {
  send(bytes: Bytes): void;
  /** The next bytes; `undefined` at the end. */
  read(): Promise<Uint8Array | undefined>;
  close(): void;
}

/** Times in milliseconds. */
export interface SessionTimes extends BackoffOptions {
  /** How long the server may take for each answer before the session stands. */
  readonly handshake: number;
  /** How often the server is pinged. */
  readonly ping: number;
  /** After how long a silence the server is pinged at once, and after how long that is told. */
  readonly quiet: number;
  readonly mute: number;
  /** How long the server may keep an answer back while it gives others. */
  readonly answer: number;
  /** After how long a silence the connection is given up (docs/PROTOCOL.md, "Requests"). */
  readonly silent: number;
}

/** How long the server may take to end a session in order, in milliseconds. */
const LINGER = 500;

/** Before so many signatures are checked at once, what has come on the connection is taken. */
const MANY = 16;

/** The times of a session, unless told otherwise. */
const SESSION_TIMES: SessionTimes = {
  handshake: 10_000,
  ping: 30_000,
  quiet: 10_000,
  mute: 20_000,
  answer: ANSWER_WITHIN,
  silent: 90_000,
  least: 500,
  most: 60_000,
};

/** What a session works with. */
export interface ClientSessionOptions {
  /** Connects; throws a {@link Failure} if that doesn't work now. */
  readonly dial: () => Promise<Wire>;
  /** The name that the server's certificate must be for. */
  readonly host: string;
  readonly identity: Identity;
  /** The fingerprint of the certificate that this one has replaced. */
  readonly was?: string | undefined;
  /** Where the next certificate is made and kept; without it nothing is renewed. */
  readonly renewal?: Pick<Renewal, "request" | "check" | "finish">;
  readonly trust: () => Promise<Trust>;
  readonly records: RoomRecords;
  /** The CA's file, for the command that verifies an export. */
  readonly ca?: string | undefined;
  /** Asked if no token can resume a session; `undefined` ends it for good. */
  readonly credentials: () => Promise<Credentials | undefined>;
  /** A new account is to be made: a token that is here is another account's. */
  readonly registers?: boolean;
  /** Asked if the server refused the credentials: whether there are others now. */
  readonly otherCredentials?: () => Promise<boolean>;
  readonly emit: (event: RoomEvent) => void;
  readonly now: Clock;
  readonly random: Random;
  readonly times?: Partial<SessionTimes>;
  /** Checks signatures; without it, this computer's other processors do. */
  readonly signatures?: Signatures;
  /** Whose cosignatures of the server's log count, and which logs. */
  readonly policy?: WitnessPolicy | undefined;
}

/** How the connection is now. */
export interface ConnectionState {
  readonly state: "connecting" | "online" | "offline";
  /** Why the last connection, or try, is over; "" if there was none, or another stands. */
  readonly reason: string;
  /** When the next try begins, unix milliseconds. */
  readonly retryAt?: number;
  /** For how long nothing has come from the server, in milliseconds: told from {@link SessionTimes.mute} on. */
  readonly silentFor?: number;
}

/** A time by two clocks: the wall clock may be set back, the steady one stops while the computer sleeps. */
interface Moment {
  readonly wall: number;
  readonly steady: number;
}

/** A client of one server, over one connection after the other. */
export class ClientSession {
  readonly #options: ClientSessionOptions;
  /** Its rooms. */
  readonly rooms: ClientRooms;
  /** Its account. */
  readonly account: ClientAccount;
  /** Its records. */
  readonly history: RoomHistory;
  readonly #renewing: Renewing | undefined;
  #identity: Identity;
  /** The certificate that the next session shows. */
  #renewed: Identity | undefined;
  readonly #times: SessionTimes;
  readonly #pause = new Pause();
  readonly #pool = new SignaturePool();
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();
  #wire: Wire | undefined;
  #connection: ClientConnection | undefined;
  #isStopped = false;
  /** Whether a session has stood since the program began. */
  #wasOnline = false;
  readonly #login: Login;
  #heardAt: Moment = { wall: 0, steady: 0 };
  /** Whether it was told that nothing comes from the server. */
  #isMute = false;
  /** Why the connection is cut that stands: what the server keeps back, or that somebody wants another. */
  #cut: ConnectionEnding | undefined;
  /** Why the last one is over, and when the next try begins. */
  #last: { readonly reason: string; readonly retryAt?: number } = { reason: "" };
  #running: Promise<void> | undefined;

  constructor(options: ClientSessionOptions) {
    const { identity, was, trust, records, emit, now, random, signatures, renewal, ca } = options;
    this.#options = options;
    this.#identity = identity;
    this.#times = { ...SESSION_TIMES, ...options.times };
    this.#login = new Login(options);
    const rooms = new ClientRooms({
      identity: { ...ownOf(identity), was },
      store: records,
      ...{ trust, now, random, emit },
      later: (ms, run) => this.#later(ms, run),
      steady: () => performance.now(),
      unanswered: (what) => this.#keptBack(what),
      answerWithin: this.#times.answer,
      policy: options.policy,
      signatures: signatures ?? { check: (batch) => this.#checkBehind(batch) },
    });
    const connection = () => this.#connection;
    const account = new ClientAccount({ rooms, records, connection, own: () => ownOf(this.#identity).fingerprint });
    this.rooms = rooms;
    this.account = account;
    this.history = new RoomHistory({ rooms, records, own: () => ownOf(this.#identity), now, ca });
    this.#renewing = renewal && new Renewing({
      ...{ renewal, rooms, account, records, emit, now, connection },
      identity: () => this.#identity,
      renewed: (next) => {
        this.#renewed = next;
        this.#wire?.close();
      },
    });
  }

  /** Before the signatures of many lines are checked, what has come meanwhile is shown. */
  async #checkBehind(batch: readonly SignedLine[]): Promise<readonly boolean[]> {
    if (batch.length >= MANY) await new Promise<void>((resolve) => this.#later(0, resolve));
    return await this.#pool.check(batch);
  }

  #later(ms: number, run: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      run();
    }, ms);
    this.#timers.add(timer);
  }

  // The connection.

  /**
   * Tells what is on the disk, and connects. Resolves when the first try is over, well or not; throws a {@link Failure}
   * where no other makes sense.
   */
  async start(): Promise<void> {
    await this.rooms.restore();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#running = this.#stayConnected(resolve);
    this.#running.then(resolve, reject);
    await promise;
  }

  /** Resolves when the session has ended for good; rejects with the {@link Failure} that ended it. */
  async ended(): Promise<void> {
    await this.#running;
  }

  /** Ends it in order: what is under way is written, and nothing is tried again. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#pause.end();
    if (this.#connection?.state === "session") await this.#connection.quit().catch(() => {});
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(() => {
      if (this.#wire) this.#wire.close();
      else late.resolve(); // it is still connecting: that connection is closed as soon as it is there
    }, LINGER);
    await Promise.race([this.#running?.catch(() => {}), late.promise]);
    clearTimeout(timer);
    await this.rooms.settled();
    for (const timer of this.#timers) clearTimeout(timer);
    this.#pool[Symbol.dispose]();
    await this.#options.records.close();
  }

  /** Connects again now, whether it waits to try again or has a connection that seems to be dead. */
  reconnect(): void {
    this.#pause.end();
    this.#close("you asked for another connection", { isImmediate: true });
  }

  /** How the connection is. */
  get connection(): ConnectionState {
    if (!this.rooms.isOnline) {
      const { reason, retryAt } = this.#last;
      return retryAt === undefined ? { state: "connecting", reason } : { state: "offline", reason, retryAt };
    }
    const silentFor = between(this.#heardAt, this.#moment());
    return { state: "online", reason: "", ...(silentFor >= this.#times.mute ? { silentFor } : {}) };
  }

  /** The server answers other requests, and keeps the answer to this one back. */
  #keptBack(what: string): void {
    this.#close(`the server answers, but for ${this.#times.answer / 1000} s it has kept back ${what}`, {
      isKeptBack: true,
    });
  }

  /** Cuts the connection, as a network failure would. */
  disconnect(): void {
    this.#wire?.close();
  }

  async #stayConnected(firstIsOver: () => void): Promise<void> {
    const backoff = new Backoff(this.#times);
    let wasKeptBack = false;
    while (!this.#isStopped) {
      this.#cut = undefined;
      this.#last = { reason: this.#last.reason };
      const { reason, failure, isImmediate, isKeptBack = false } = await this.#connectOnce(() => {
        if (!wasKeptBack) backoff.reset(); // a server that keeps answers back is tried more and more slowly
        firstIsOver();
      });
      wasKeptBack = isKeptBack;
      this.rooms.offline();
      this.#wire = this.#connection = undefined;
      this.#takeUpRenewed();
      if (this.#isStopped) return;
      const delay = failure ? null : isImmediate ? 0 : backoff.next();
      this.#last = { reason, retryAt: this.#options.now() + (delay ?? 0) };
      this.#options.emit({ event: "offline", reason, retry_in: delay });
      if (failure) throw failure;
      if (delay) firstIsOver();
      await this.#pause.wait(delay ?? 0);
    }
  }

  async #connectOnce(isOnline: () => void): Promise<ConnectionEnding> {
    let usesToken = false;
    let watch: ReturnType<typeof setInterval> | undefined;
    const { trust, host, now, random, dial } = this.#options;
    try {
      const wire = await dial();
      this.#wire = wire;
      if (this.#isStopped) return { reason: "Stopped." };
      const send = (bytes: Bytes) => wire.send(bytes);
      const connection = new ClientConnection({
        ...{ identity: this.#identity, trust, host, now, random, send, allowV1: false, rooms: true },
      });
      this.#connection = connection;
      connection.hello();
      const { server, authority } = await this.#expect("ready");
      if (!connection.hasRooms) {
        const what = "this server has no rooms at this port; connect to its TLS port";
        throw new Failure(EXIT.refused, what);
      }
      await this.#meet({ leaf: server, authority });
      const isNew = this.#options.registers === true && !this.#wasOnline;
      const token = isNew ? undefined : await this.#options.records.token();
      usesToken = token !== undefined;
      const email = token ? undefined : await this.#login.logIn(connection, () => this.#expect("salt"));
      if (token) await connection.resume(token);
      const { username, token: next, log, logSeconds } = await this.#expect("welcome");
      await this.#options.records.claim(username, email);
      await this.#options.records.keepToken(next);
      this.#wasOnline = true;
      this.#options.emit({
        event: "online",
        username,
        server_fingerprint: connection.serverCertificate?.fingerprint ?? "",
      });
      this.#isMute = false;
      watch = this.#watch();
      this.#comeBack(connection, { username, log, logSeconds });
      isOnline();
      await this.#listen();
      if (this.#renewed) return { reason: "The certificate was renewed.", isImmediate: true };
      return this.#cut ?? { reason: "The connection to the server is gone." };
    } catch (error) {
      if (this.#cut && error instanceof Failure) return this.#cut;
      return await this.#login.endingOf(error, { usesToken, wasOnline: this.#wasOnline });
    } finally {
      clearInterval(watch);
      this.#wire?.close();
    }
  }

  /** The server has shown which one it is: from here on the records are its own. */
  async #meet(shown: ShownServer): Promise<void> {
    const { records, emit } = this.#options;
    const { isNew, notice } = await records.meet(shown);
    if (notice !== undefined) emit({ event: "warning", message: notice });
    if (isNew) await this.rooms.restore();
  }

  #comeBack(connection: ClientConnection, shown: Pick<StandingSession, "username" | "log" | "logSeconds">): void {
    const link = {
      ...shown,
      request: (frame: { readonly type: string }) => {
        if (connection.state === "session") connection.request(frame);
      },
      open: (payload: Bytes) => connection.open(payload),
    };
    this.rooms.online(link).catch((error) => {
      this.#options.emit({ event: "warning", message: messageOf(error) });
    });
  }

  /** Pings the server, and gives up a connection on which nothing comes: also after the computer has slept. */
  #watch(): ReturnType<typeof setInterval> {
    const { ping, quiet, silent } = this.#times;
    let askedAt = this.#moment();
    return setInterval(() => {
      const now = this.#moment();
      const [heard, asked] = [between(this.#heardAt, now), between(askedAt, now)];
      if (heard > silent) this.#close(`the server has said nothing for ${Math.round(heard / 1000)} s`);
      else if (asked >= ping || (heard >= quiet && asked >= quiet)) {
        askedAt = now;
        this.rooms.server.request({ type: "ping" }).catch(() => {});
      }
      this.#tellMute(heard);
      this.rooms.tick();
      void this.#renewing?.tick();
    }, Math.max(10, Math.min(1_000, ping / 3)));
  }

  /** Ends the connection that stands, for that reason. */
  #close(reason: string, kind: Omit<ConnectionEnding, "reason"> = {}): void {
    this.#cut ??= { reason, ...kind };
    this.#wire?.close();
  }

  /** Tells that nothing has come for some time, and that something comes again. */
  #tellMute(heard: number): void {
    const isMute = heard >= this.#times.mute;
    if (isMute === this.#isMute) return;
    this.#isMute = isMute;
    this.#options.emit({ event: "silent", silent_for: isMute ? heard : 0 });
  }

  #moment(): Moment {
    return { wall: this.#options.now(), steady: performance.now() };
  }

  async #listen(): Promise<void> {
    for (let event = await this.#next(); event; event = await this.#next()) {
      if (event.type === "frame") this.rooms.take(event.frame, event.id);
      else if (event.type === "request refused") this.rooms.refused(event.error, event.id);
      else if (event.type === "receipt") return;
    }
  }

  /** The next event; `undefined` when the connection is over. */
  async #next(): Promise<ClientEvent | undefined> {
    for (;;) {
      const event = await this.#connection?.next();
      if (event) return event;
      const chunk = await this.#wire?.read();
      if (!chunk) return undefined;
      this.#heardAt = this.#moment();
      if (this.#isMute) this.#tellMute(0);
      this.#connection?.receive(chunk);
    }
  }

  async #expect<T extends ClientEvent["type"]>(type: T): Promise<ClientEvent & { type: T }> {
    const { handshake } = this.#times;
    const timer = setTimeout(() => this.#wire?.close(), handshake);
    try {
      const event = await this.#next();
      if (event && isOfType(event, type)) return event;
      const late = `the server did not answer within ${handshake / 1000} s, or closed the connection`;
      throw new Failure(EXIT.unavailable, late);
    } finally {
      clearTimeout(timer);
    }
  }

  #takeUpRenewed(): void {
    const old = this.#identity.chain[0]?.fingerprint;
    if (!this.#renewed) return;
    this.#identity = this.#renewed;
    this.#renewed = undefined;
    this.rooms.become({ ...ownOf(this.#identity), was: old });
  }
}

/** Milliseconds from one moment to the other, by the clock that says more. */
function between(from: Moment, to: Moment): number {
  return Math.max(to.wall - from.wall, to.steady - from.steady);
}

function ownOf({ chain: [leaf], pem, key }: Identity): OwnCertificate {
  return { fingerprint: leaf?.fingerprint ?? "", pem, key };
}
