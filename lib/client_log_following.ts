/**
 * A client's following of the server's log over its sessions: when it reads, whom it believes, and what it says
 * (docs/PROTOCOL.md, "Following the server's log"). What is read and checked is `client_log.ts`.
 *
 *     following.online({ origin, seconds })     a session stands, and its server shows this log
 *     following.tick()                          every second or so: reads again when it is time
 *     following.named("#ops", 41, pin)          a line names a head of the log → event "server_log" if it is another one
 *
 * @layer chat
 */

import { type Clock, encodeUtf8 } from "./bytes.ts";
import { AuthorCertificates } from "./client_author_certificates.ts";
import type { RoomEvent, ServerLogNews } from "./client_event.ts";
import { ClientLog, type FollowedRoom, type NoteJudgement } from "./client_log.ts";
import type { LogMonitor } from "./client_log_monitor.ts";
import type { RequestFrame } from "./client_requests.ts";
import type { ClientStore } from "./client_store.ts";
import type { Trust } from "./certificate_path.ts";
import { type Charter, isCharterSigned } from "./log_charter.ts";
import type { LogPin } from "./log_envelope.ts";
import { LOG_REQUESTS, type LogAnswer, type LogRequest } from "./log_follow_frames.ts";
import type { RoomFrame } from "./log_frames.ts";
import { encodeVkey, KEY_TYPE, openNote, parseVkey } from "./log_note_key.ts";
import { cosignersOf, isSatisfied, type WitnessPolicy } from "./witness_policy.ts";

/** How often ticks are read if the server doesn't say, in seconds. */
const LOG_SECONDS = 60;
/** After so many rounds of one session it is told what is late: a server that has just started may catch up first. */
const ROUNDS_BEFORE_LATE = 3;
/** Heads of the log that lines name and that aren't known yet, at most. */
const MAX_UNKNOWN = 1_000;

/** The log that a session's server shows. */
export interface ShownLogName {
  readonly origin: string | undefined;
  readonly seconds: number | undefined;
}

/** What following works with. */
export interface LogFollowingOptions {
  readonly store: Pick<ClientStore, "serverLog" | "keepServerLog">;
  /** Asks the server; rejects if there is no session. */
  readonly request: (frame: RequestFrame) => Promise<RoomFrame>;
  readonly trust: () => Promise<Trust>;
  /** The PEM of a certificate, with its intermediates. */
  readonly certificate: (fingerprint: string) => Promise<string | undefined>;
  /** The rooms that this client is in. */
  readonly monitors: () => readonly LogMonitor[];
  /** Whose cosignatures count, and for which logs; without a policy the log's own signature is enough. */
  readonly policy: WitnessPolicy | undefined;
  readonly emit: (event: RoomEvent) => void;
  readonly now: Clock;
  /** A clock that isn't set, in milliseconds. */
  readonly steady: Clock;
}

/** A head of the log that a line names. */
interface Named {
  readonly room: string;
  readonly index: number;
  readonly pin: LogPin;
}

/** Follows the log of a client's server. */
export class LogFollowing {
  readonly #options: LogFollowingOptions;
  readonly #certificates: AuthorCertificates;
  #log: Promise<ClientLog> | undefined;
  #ready: ClientLog | undefined;
  #shown: ShownLogName | undefined;
  #readAt = -Infinity;
  #rounds = 0;
  #reading: Promise<void> = Promise.resolve();
  #isReading = false;
  /** What lines name and this client doesn't know yet. */
  #unknown: Named[] = [];

  constructor(options: LogFollowingOptions) {
    this.#options = options;
    this.#certificates = new AuthorCertificates(options);
  }

  /** The log as far as it is known; `undefined` before the first session. */
  get log(): ClientLog | undefined {
    return this.#ready;
  }

  /** The head that our own lines name. */
  get pin(): LogPin | undefined {
    if (this.#shown !== undefined && this.#shown.origin === undefined) return undefined;
    return this.#ready?.pin;
  }

  /** A session stands. */
  online(shown: ShownLogName): void {
    this.#shown = shown;
    this.#rounds = 0;
    this.#readAt = -Infinity;
    this.tick();
  }

  /** The session is over. */
  offline(): void {
    this.#shown = undefined;
  }

  /** Reads what is new, if it is time. */
  tick(): void {
    const { steady } = this.#options;
    const { seconds = LOG_SECONDS } = this.#shown ?? {};
    if (!this.#shown || this.#isReading || steady() - this.#readAt < 1000 * seconds) return;
    this.#readAt = steady();
    this.#isReading = true;
    this.#reading = this.#read(this.#shown).catch(() => {}).finally(() => this.#isReading = false);
  }

  /** Resolves when nothing is being read. */
  async settled(): Promise<void> {
    await this.#reading;
  }

  /** Opens what was kept. */
  async #open(): Promise<ClientLog> {
    const { store, now, request } = this.#options;
    return this.#ready = new ClientLog({
      ask: (question) => ask(request, question),
      rooms: () => this.#rooms(),
      charterProblem: (charter) => this.#charterProblem(charter),
      judgeNote: (note, charter) => this.#judgeNote(note, charter),
      isForeign: (vkey) => this.#isForeign(vkey),
      keep: (records) => store.keepServerLog(records),
      tell: ({ news, reason }) => this.#tell(news, reason),
      now,
    }, await store.serverLog());
  }

  async #read({ origin }: ShownLogName): Promise<void> {
    const log = await (this.#log ??= this.#open());
    log.begin(origin);
    if (origin === undefined) return;
    await log.follow();
    this.#rounds += 1;
    this.#compareAgain(log);
    if (this.#rounds < ROUNDS_BEFORE_LATE) return;
    for (const monitor of this.#options.monitors()) {
      log.lookForLate(followed(monitor), (size, since) => monitor.firstAfter(size, since));
    }
  }

  #rooms(): FollowedRoom[] {
    return this.#options.monitors().map(followed);
  }

  // Whom this client believes.

  async #charterProblem(charter: Charter): Promise<string | undefined> {
    const known = await this.#certificates.get(charter.from);
    if (!known) return "the certificate that signed it can't be had";
    if (!isCharterSigned(charter, known.key)) return "its signature doesn't verify";
    const server = charter.origin.split("/")[0]?.toLowerCase();
    const names = known.leaf.hostNames?.dnsNames.map((name) => name.toLowerCase()) ?? [];
    if (server === undefined || !names.includes(server)) return "the certificate that signed it is not for this server";
    if (parseVkey(charter.vkey)?.type !== KEY_TYPE.log) return "its key has another form";
    return known.asServer.problems(1000 * charter.time, "offline")[0];
  }

  async #judgeNote(note: string, charter: Charter): Promise<NoteJudgement> {
    const { policy, now } = this.#options;
    const key = parseVkey(charter.vkey);
    const opened = key && await openNote(encodeUtf8(note), key);
    if (!opened) return { head: undefined, isSatisfied: false };
    if (!policy) return { head: opened.head, isSatisfied: true };
    const cosigners = await cosignersOf(opened.note, policy, Math.floor(now() / 1000));
    return { head: cosigners && opened.head, isSatisfied: cosigners !== undefined && isSatisfied(policy, cosigners) };
  }

  #isForeign(vkey: string): boolean {
    const logs = this.#options.policy?.logs ?? [];
    return logs.length > 0 && !logs.some(({ key }) => encodeVkey(key) === vkey);
  }

  // What lines name.

  /** A line of a room names a head of the server's log. */
  named(room: string, index: number, pin: LogPin): void {
    const log = this.#ready;
    if (log) this.#compare(log, { room, index, pin });
    else if (this.#unknown.length < MAX_UNKNOWN) this.#unknown.push({ room, index, pin });
  }

  #compareAgain(log: ClientLog): void {
    for (const named of this.#unknown.splice(0)) this.#compare(log, named);
  }

  #compare(log: ClientLog, named: Named): void {
    const found = log.compare(named.pin);
    if (found === "same") void log.lineNames(named.pin).catch(() => {});
    if (found === "unknown" && this.#unknown.length < MAX_UNKNOWN) this.#unknown.push(named);
    if (found !== "other") return;
    this.#options.emit({ event: "other_log", room: named.room, index: named.index });
  }

  #tell(news: ServerLogNews, reason: string): void {
    this.#options.emit({ event: "server_log", news, reason });
  }
}

function followed(monitor: LogMonitor): FollowedRoom {
  return {
    room: monitor.room,
    origin: monitor.origin,
    problemOf: (checkpoint) => monitor.problemOfRegistered(checkpoint),
  };
}

async function ask(request: LogFollowingOptions["request"], question: LogRequest): Promise<LogAnswer> {
  const answer = await request(question);
  if (!isLogAnswer(answer)) throw new Error("another question was answered");
  return answer;
}

function isLogAnswer(frame: RoomFrame): frame is LogAnswer {
  return (LOG_REQUESTS as readonly string[]).includes(frame.type);
}
