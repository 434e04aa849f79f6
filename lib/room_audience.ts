/**
 * Who is in a room right now: the sessions that came in, which of them get the lines and the keys, and who is told
 * whose presence.
 *
 *     a session comes in                 → it may read nothing yet, and post its join line
 *     its join line is durable           → it gets that line, all further ones, and new keys
 *     a durable line removes its account → it gets that line, and nothing after it
 *
 * The order in which sessions are told is the order of the log: {@link RoomAudience.publish} waits for nothing.
 *
 * Others are told whether an account is online, away or offline, at most once a second for each account; what changes in
 * between is merged.
 *
 * @layer chat
 */

import { BLOCK_SIZE } from "./aes_cbc.ts";
import { type Bytes, concat, encodeBase64 } from "./bytes.ts";
import { encodeFrame } from "./frame.ts";
import type { Presence } from "./log_fields.ts";
import { PRESENCE_MEMBERS } from "./log_frames.ts";
import type { RoomAct } from "./log_roles.ts";
import { usernameKey } from "./names.ts";
import type { Attendee } from "./room_attendee.ts";
import type { RoomEpochs } from "./room_epochs.ts";
import type { PlacedLog } from "./room_placed.ts";

/** How far apart two states of one account are told, in milliseconds. */
const PRESENCE_INTERVAL = 1_000;

/** What an audience works with. */
export interface AudienceOptions {
  /** The room's name. */
  readonly name: string;
  readonly epochs: RoomEpochs;
  /** Knows who is a member. */
  readonly placed: PlacedLog;
  /** Runs something later, in milliseconds. */
  readonly later: (ms: number, run: () => void) => void;
}

/** A durable line, as it is told. */
export interface ToldLine {
  readonly posted: Bytes;
  readonly act: RoomAct;
}

/** The sessions in a room. */
export class RoomAudience {
  readonly #options: AudienceOptions;
  /** The sessions that came in, by certificate. */
  readonly #sessions = new Map<string, Attendee>();
  /** The same by account, with whether nobody is there to read. */
  readonly #accounts = new Map<string, Map<Attendee, { isAway: boolean }>>();
  /** Certificates whose join line is durable, and their accounts: they get the lines. */
  readonly #readers = new Map<string, string>();
  /** The state that was told last, by account. */
  readonly #told = new Map<string, Presence>();
  /** Accounts whose state was told less than {@link PRESENCE_INTERVAL} ago. */
  readonly #toldLately = new Set<string>();
  /** The epoch whose key the sessions have. */
  #givenEpoch: number;

  constructor(options: AudienceOptions) {
    this.#options = options;
    this.#givenEpoch = options.epochs.current;
  }

  // Sessions.

  /** Lets a session in. Only one session of a certificate is in a room: the older one, which is dropped, is returned. */
  enter(attendee: Attendee, isAway: boolean): Attendee | undefined {
    const older = this.#sessions.get(attendee.fingerprint);
    const isReplaced = older !== undefined && older !== attendee;
    if (isReplaced) this.#drop(older);
    this.#sessions.set(attendee.fingerprint, attendee);
    const key = usernameKey(attendee.username);
    const sessions = this.#accounts.get(key) ?? new Map<Attendee, { isAway: boolean }>();
    this.#accounts.set(key, sessions.set(attendee, { isAway }));
    return isReplaced ? older : undefined;
  }

  /** A session is over. */
  leave(attendee: Attendee): void {
    if (!this.isHere(attendee)) return;
    this.#drop(attendee);
    this.tellPresence(attendee.username);
  }

  /** Whether this session came in, and no newer one of its certificate. */
  isHere(attendee: Attendee): boolean {
    return this.#sessions.get(attendee.fingerprint) === attendee;
  }

  /** Sends something to every session, and sees them no more: the room is closed. */
  dismiss(frame: { readonly type: string; readonly room: string; readonly reason: string }): void {
    for (const one of this.#sessions.values()) one.answer(frame);
    this.#sessions.clear();
  }

  #drop(attendee: Attendee): void {
    this.#sessions.delete(attendee.fingerprint);
    const key = usernameKey(attendee.username);
    const sessions = this.#accounts.get(key);
    sessions?.delete(attendee);
    if (sessions?.size === 0) this.#accounts.delete(key);
  }

  // Readers.

  /** Whether a certificate's join line is durable, and nothing has removed its account since. */
  isReader(fingerprint: string): boolean {
    return this.#readers.has(fingerprint);
  }

  /** The certificates that get the lines. */
  get readers(): string[] {
    return [...this.#readers.keys()];
  }

  /** Takes the certificates whose join lines are durable, with their accounts as they are compared. */
  restore(readers: ReadonlyMap<string, string>): void {
    for (const [device, username] of readers) this.#readers.set(device, username);
  }

  /** Takes what a durable line changes about who gets the lines after it. */
  #follow(act: RoomAct): void {
    if (act.statement?.kind === "join") this.#readers.set(act.author, usernameKey(act.username));
    const removed = removedBy(act);
    if (removed === undefined) return;
    const key = usernameKey(removed);
    for (const [device, username] of this.#readers) if (username === key) this.#readers.delete(device);
  }

  /** Takes certificates out of the readers; the ones that were among them, with their accounts. */
  expel(fingerprints: readonly string[]): ReadonlyMap<string, string> {
    const expelled = new Map<string, string>();
    for (const fingerprint of fingerprints) {
      const username = this.#readers.get(fingerprint);
      if (username === undefined) continue;
      this.#readers.delete(fingerprint);
      expelled.set(fingerprint, username);
    }
    return expelled;
  }

  /** Takes {@link expel} back. */
  readmit(expelled: ReadonlyMap<string, string>): void {
    for (const [fingerprint, username] of expelled) this.#readers.set(fingerprint, username);
  }

  // Telling.

  /** Sends something to every reader. */
  tell(bytes: Bytes): void {
    for (const one of this.#readersHere()) one.deliver(bytes);
  }

  /** Sends durable lines to their readers, and the key that new lines are under. */
  publish(lines: readonly ToldLine[]): void {
    let pending: Bytes[] = [];
    const flush = () => {
      if (pending.length > 0) this.tell(concat(...pending));
      pending = [];
    };
    for (const { posted, act } of lines) {
      if (act.statement?.kind === "join") {
        flush();
        this.#follow(act); // a newcomer's first delivered line is their own join
      }
      pending.push(posted);
      if (removedBy(act) === undefined) continue;
      flush(); // whoever is removed is still told of it
      this.#follow(act);
    }
    flush();
    this.giveKey();
  }

  /** Gives the newest key to the readers, if another epoch has begun. */
  giveKey(): void {
    const epoch = this.#options.epochs.current;
    if (epoch === this.#givenEpoch) return;
    this.#givenEpoch = epoch;
    for (const one of this.#readersHere()) {
      one.answer({ type: "epoch", room: this.#options.name, epoch, payload: this.sealKey(one, epoch) });
    }
  }

  /** The key of an epoch, as base64 that only this session can open. */
  sealKey(attendee: Attendee, epoch: number): string {
    const key = this.#options.epochs.key(epoch) ?? new Uint8Array(BLOCK_SIZE);
    return encodeBase64(attendee.seal({ epoch, key: encodeBase64(key) }));
  }

  *#readersHere(): Generator<Attendee> {
    for (const one of this.#sessions.values()) if (this.#readers.has(one.fingerprint)) yield one;
  }

  // Presence.

  /** Whether an account is here: it is away if all of its sessions say that nobody is there to read. */
  presenceOf(username: string): Presence {
    const sessions = this.#accounts.get(usernameKey(username));
    if (!sessions) return "offline";
    return [...sessions.values()].every(({ isAway }) => isAway) ? "away" : "online";
  }

  /** A session says whether somebody is there to read. */
  setAway(attendee: Attendee, isAway: boolean): void {
    if (!this.isHere(attendee)) return;
    this.#accounts.get(usernameKey(attendee.username))?.set(attendee, { isAway });
    this.tellPresence(attendee.username);
  }

  /** Tells the readers the state of an account, if it is another than was told last. */
  tellPresence(username: string): void {
    const { name, placed: { state: members }, later } = this.#options;
    const key = usernameKey(username);
    if (this.#toldLately.has(key)) return;
    const isMember = members.isMember(username);
    const state = isMember ? this.presenceOf(username) : "offline";
    if (state === (this.#told.get(key) ?? "offline")) return;
    if (state === "offline") this.#told.delete(key);
    else this.#told.set(key, state);
    if (!isMember || members.memberCount > PRESENCE_MEMBERS) return;
    this.#toldLately.add(key);
    later(PRESENCE_INTERVAL, () => {
      this.#toldLately.delete(key);
      this.tellPresence(username);
    });
    const bytes = encodeFrame({ type: "presence", room: name, username, state });
    for (const one of this.#readersHere()) one.deliverLatest(`${name} ${key}`, bytes);
  }
}

/** The account that a line removes from the room; `undefined` for a line that removes nobody. */
export function removedBy({ username, statement }: RoomAct): string | undefined {
  if (statement?.kind === "part") return username;
  if (statement?.kind === "kick") return statement.username;
  return statement?.kind === "ban" && statement.until !== 0 ? statement.username : undefined;
}
