/**
 * Who is in a room and what each may do, as it follows from the room's lines alone (docs/PROTOCOL.md, "Who may
 * do what"). Server and client fold the same lines, so nobody has to believe the other about a role.
 *
 *     line 0, join by ada            ada owns the room
 *     role {bob, moderator} by ada   bob may invite, kick, ban, mute and set the topic
 *     mute {eve, until} by bob       eve may not write until then
 *
 * A person is a username, compared with ASCII letters lower-cased; a line's author is a certificate, which its own
 * `join` line ties to a username. `until` is in unix seconds, judged at the time in which a line is accepted; without
 * it, for good; 0 lifts what was said before. Whether a line is authentic is asked elsewhere.
 *
 * @layer format
 */

import type { RoomRole, Statement } from "./log_envelope.ts";
import { partners, usernameKey } from "./names.ts";

/** Why a line may not stand (docs/PROTOCOL.md, "Errors"). */
export type Objection = "forbidden" | "muted" | "not-member";

/** Somebody who is or was in the room. */
interface Person {
  /** As it was typed in the first `join` line. */
  readonly username: string;
  isMember: boolean;
  role: RoomRole;
  /** Unix seconds; Infinity for good; 0 for not. */
  bannedUntil: number;
  mutedUntil: number;
  isInvited: boolean;
  /** Whether a line has invited them since they were last in the room: somebody who went may come back without one. */
  isAsked: boolean;
}

/** What one line says, and who says it. */
export interface RoomAct {
  /** The fingerprint of the author's certificate. */
  readonly author: string;
  /** The account of the author's certificate, as far as it is known: a `join` line says it itself. */
  readonly username: string;
  readonly statement: Statement | undefined;
}

/** Lines that decide about others, or say what became of other lines: these can't be erased. */
export const LASTING: ReadonlySet<string> = new Set(
  ["join", "part", "topic", "invite", "kick", "ban", "mute", "role", "device", "redact"],
);

const RANK: Readonly<Record<RoomRole, number>> = { member: 0, moderator: 1, owner: 2 };

/** The folded lines of one room. */
export class RoomState {
  readonly #people = new Map<string, Person>();
  /** Usernames of certificates whose join line stands in the log, as they are compared. */
  readonly #devices = new Map<string, string>();
  readonly #room: string;
  readonly #inviteOnly: boolean;
  /** As a line has set it. */
  #topic: string | undefined;
  #earlierTopic = "";
  #lines = 0;
  #memberCount = 0;

  constructor(room: string, inviteOnly: boolean) {
    this.#room = room;
    this.#inviteOnly = inviteOnly;
  }

  get topic(): string {
    return this.#topic ?? this.#earlierTopic;
  }

  /**
   * There are lines before the first that is taken: the topic that they leave is others' word, and nobody owns the
   * room.
   */
  beginLater(topic: string): void {
    this.#earlierTopic = topic;
    this.#lines = Math.max(this.#lines, 1);
  }

  /** All of it as JSON, for {@link RoomState.decode}. */
  encode(): unknown {
    return {
      lines: this.#lines,
      topic: this.#topic,
      devices: [...this.#devices],
      // Infinity is null in JSON, and null is nothing else here.
      people: [...this.#people.values()],
    };
  }

  /** What {@link RoomState.encode} gave, after JSON. */
  // deno-lint-ignore no-explicit-any -- what this program has written
  static decode({ lines, topic, devices, people }: any, room: string, inviteOnly: boolean): RoomState {
    const state = new RoomState(room, inviteOnly);
    state.#lines = lines;
    state.#topic = topic;
    for (const [device, key] of devices) state.#devices.set(device, key);
    for (const { bannedUntil, mutedUntil, ...person } of people) {
      const until = { bannedUntil: bannedUntil ?? Infinity, mutedUntil: mutedUntil ?? Infinity };
      state.#people.set(usernameKey(person.username), { ...person, ...until });
      if (person.isMember) state.#memberCount += 1;
    }
    return state;
  }

  /** The certificates whose join lines stand, each with its account as it is compared. */
  get devices(): ReadonlyMap<string, string> {
    return this.#devices;
  }

  /** How many people are or were in the room. */
  get personCount(): number {
    return this.#people.size;
  }

  /** Members and their roles, by name. */
  get members(): readonly { readonly username: string; readonly role: RoomRole }[] {
    return [...this.#people.values()].filter(({ isMember }) => isMember)
      .map(({ username, role }) => ({ username, role }))
      .sort((one, other) => one.username < other.username ? -1 : 1);
  }

  get memberCount(): number {
    return this.#memberCount;
  }

  /** Whether a certificate's join line stands, and its account is in the room. */
  hasJoined(author: string): boolean {
    const key = this.#devices.get(author);
    return key !== undefined && (this.#people.get(key)?.isMember ?? false);
  }

  /** The account that a certificate said it is of. */
  usernameOf(author: string): string | undefined {
    const key = this.#devices.get(author);
    return key === undefined ? undefined : this.#people.get(key)?.username;
  }

  /** The certificates of an account whose join lines stand. */
  devicesOf(username: string): string[] {
    const key = usernameKey(username);
    return [...this.#devices].flatMap(([device, of]) => of === key ? [device] : []);
  }

  isMember(username: string): boolean {
    return this.#people.get(usernameKey(username))?.isMember ?? false;
  }

  roleOf(username: string): RoomRole {
    return this.#people.get(usernameKey(username))?.role ?? "member";
  }

  /** Until when somebody is banned, in unix seconds: Infinity for good, 0 for not. */
  bannedUntil(username: string): number {
    return this.#people.get(usernameKey(username))?.bannedUntil ?? 0;
  }

  /** The same of who may not write. */
  mutedUntil(username: string): number {
    return this.#people.get(usernameKey(username))?.mutedUntil ?? 0;
  }

  /** Why somebody may not come in; `undefined` where they may. `now` is in unix seconds. */
  objectionToJoining(username: string, now: number): Objection | undefined {
    const direct = partners(this.#room);
    if (direct) return direct.includes(usernameKey(username)) ? undefined : "forbidden";
    const person = this.#people.get(usernameKey(username));
    if ((person?.bannedUntil ?? 0) > now) return "forbidden";
    const isFree = !this.#inviteOnly || this.#lines === 0 || (person?.isMember ?? false) ||
      (person?.isInvited ?? false);
    return isFree ? undefined : "forbidden";
  }

  /** Why this line may not stand; `undefined` where it may. A redaction's target is for the caller to look at. */
  objection({ author, username, statement }: RoomAct, now: number): Objection | undefined {
    if (statement?.kind === "join") return this.objectionToJoining(username, now);
    if (!this.hasJoined(author)) return "not-member";
    const me = this.#people.get(usernameKey(username));
    if (!me) return "not-member";
    switch (statement?.kind) {
      case "part":
      case "head":
      case "redact":
      case "device":
        return undefined;
      case "text":
      case undefined: // an unknown kind is words as well
        return me.mutedUntil > now ? "muted" : undefined;
      case "topic":
        if (me.mutedUntil > now) return "muted";
        return RANK[me.role] >= RANK.moderator || partners(this.#room) ? undefined : "forbidden";
      case "role":
        return me.role === "owner" && this.isMember(statement.username) ? undefined : "forbidden";
      case "invite":
      case "kick":
      case "ban":
      case "mute":
        return this.#objectionToModeration(me, statement.kind, statement.username);
    }
  }

  #objectionToModeration(me: Person, kind: string, whom: string): Objection | undefined {
    if (RANK[me.role] < RANK.moderator || partners(this.#room)) return "forbidden";
    if (kind === "invite" || me.role === "owner") return undefined;
    return RANK[this.roleOf(whom)] < RANK[me.role] ? undefined : "forbidden";
  }

  /**
   * Whether a line would leave everything as it is: a second join line of one certificate, a mute of somebody who is
   * muted as long. A server takes none of these. Logs that hold some are good all the same: who judges a log doesn't
   * ask.
   */
  isIdle({ author, username, statement }: RoomAct, now: number): boolean {
    const still = (until: number) => until <= now ? 0 : until;
    const whom = statement && "username" in statement ? this.#people.get(usernameKey(statement.username)) : undefined;
    const isOutside = !whom?.isMember && !whom?.isInvited && (whom?.role ?? "member") === "member";
    switch (statement?.kind) {
      case "join":
        return this.hasJoined(author) && this.#devices.get(author) === usernameKey(username);
      case "topic":
        return this.#topic === statement.text;
      case "invite":
        return (whom?.isMember || whom?.isAsked) ?? false;
      case "kick":
        return isOutside;
      case "ban": {
        const isSame = still(statement.until ?? Infinity) === still(whom?.bannedUntil ?? 0);
        return isSame && (statement.until === 0 || isOutside);
      }
      case "mute":
        return still(statement.until ?? Infinity) === still(whom?.mutedUntil ?? 0);
      case "role":
        return whom?.role === statement.role;
      default:
        return false;
    }
  }

  /** Takes a line that was accepted. */
  apply({ author, username, statement }: RoomAct): void {
    const isFirst = this.#lines++ === 0;
    switch (statement?.kind) {
      case "join": {
        const person = this.#person(username);
        if (isFirst) person.role = "owner";
        if (!person.isMember) this.#memberCount += 1;
        person.isMember = true;
        person.isInvited = person.isAsked = false;
        this.#devices.set(author, usernameKey(username));
        return;
      }
      case "part":
        this.#remove(username);
        this.#person(username).isInvited = true; // who goes may come back
        return;
      case "kick":
        this.#expel(statement.username);
        return;
      case "ban":
        this.#person(statement.username).bannedUntil = statement.until ?? Infinity;
        if (statement.until !== 0) this.#expel(statement.username);
        return;
      case "mute":
        this.#person(statement.username).mutedUntil = statement.until ?? Infinity;
        return;
      case "invite": {
        const person = this.#person(statement.username);
        person.isInvited = person.isAsked = !person.isMember; // a member's would outlive a kick
        return;
      }
      case "role":
        this.#person(statement.username).role = statement.role;
        return;
      case "topic":
        this.#topic = statement.text;
    }
  }

  #person(username: string): Person {
    const key = usernameKey(username);
    const known = this.#people.get(key) ??
      {
        username,
        isMember: false,
        role: "member",
        bannedUntil: 0,
        mutedUntil: 0,
        isInvited: false,
        isAsked: false,
      } satisfies Person;
    this.#people.set(key, known);
    return known;
  }

  /** As {@link #remove}; role and invitation are gone with it. */
  #expel(username: string): void {
    const person = this.#person(username);
    person.role = "member";
    person.isInvited = person.isAsked = false;
    this.#remove(username);
  }

  /** Takes somebody out: each of the certificates joins anew, should they come back. */
  #remove(username: string): void {
    const key = usernameKey(username);
    const person = this.#people.get(key);
    if (!person) return;
    if (person.isMember) this.#memberCount -= 1;
    person.isMember = false;
    for (const [device, of] of this.#devices) if (of === key) this.#devices.delete(device);
  }
}
