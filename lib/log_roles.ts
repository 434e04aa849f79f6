/**
 * Who is in a room and what each person may do. All of this follows from the room's lines (docs/PROTOCOL.md, "Who may do
 * what"). Server and clients apply the same lines, so nobody has to trust another about a role.
 *
 *     line 0, join by ada            ada owns the room
 *     role {bob, moderator} by ada   bob may invite, kick, ban, mute and set the topic
 *     mute {eve, until} by bob       eve may not write until then
 *
 * A person is a username, compared with ASCII letters lower-cased; a line's author is a certificate, which its own
 * `join` line ties to a username. `until` is in unix seconds, and is compared with the time at which a line is accepted;
 * without it a ban or mute has no end; 0 ends it. Other modules check whether a line is authentic.
 *
 * @layer format
 */

import type { RoomRole, Statement } from "./log_envelope.ts";
import { partners, usernameKey } from "./names.ts";

/** Why a line is not allowed (docs/PROTOCOL.md, "Errors"). */
export type Objection = "forbidden" | "muted" | "not-member";

/** Somebody who is or was in the room. */
interface Person {
  /** The spelling in the first `join` line. */
  readonly username: string;
  isMember: boolean;
  role: RoomRole;
  /** Unix seconds; Infinity: without an end; 0: not at all. */
  bannedUntil: number;
  mutedUntil: number;
  isInvited: boolean;
  /** Whether a line invited them since they were last in the room. Somebody who left may return without an invitation. */
  isAsked: boolean;
}

/** A line's statement and its author; the statement is `undefined` if its kind is unknown or its words aren't here. */
export interface RoomAct {
  /** The fingerprint of the author's certificate. */
  readonly author: string;
  /** The account of the author's certificate, if it is known; a `join` line says it itself. */
  readonly username: string;
  readonly statement: Statement | undefined;
}

/** Kinds that decide about other people or other lines: these can't be erased. */
export const LASTING: ReadonlySet<string> = new Set(
  ["join", "part", "topic", "invite", "kick", "ban", "mute", "role", "device", "redact"],
);

const RANK: Readonly<Record<RoomRole, number>> = { member: 0, moderator: 1, owner: 2 };

/** The state of a room after some lines. */
export class RoomState {
  readonly #people = new Map<string, Person>();
  /** Usernames, in lower case, of the certificates that have joined. */
  readonly #devices = new Map<string, string>();
  readonly #room: string;
  readonly #inviteOnly: boolean;
  /** The topic that a line has set. */
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
   * Starts after the first line: the topic is what the server says, since the lines before aren't known, and nobody's role
   * is known.
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
      // JSON writes Infinity as null, and null has no other meaning here.
      people: [...this.#people.values()],
    };
  }

  /** Restores what {@link RoomState.encode} returned, after JSON. */
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

  /** The certificates that have joined, each with its account in lower case. */
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

  /** Whether a certificate has joined and its account is in the room. */
  hasJoined(author: string): boolean {
    const key = this.#devices.get(author);
    return key !== undefined && (this.#people.get(key)?.isMember ?? false);
  }

  /** The account that a certificate named in its join line. */
  usernameOf(author: string): string | undefined {
    const key = this.#devices.get(author);
    return key === undefined ? undefined : this.#people.get(key)?.username;
  }

  /** The certificates of an account that have joined. */
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

  /** Until when somebody is banned, in unix seconds; Infinity: without an end; 0: not at all. */
  bannedUntil(username: string): number {
    return this.#people.get(usernameKey(username))?.bannedUntil ?? 0;
  }

  /** Until when somebody is muted, in the same form. */
  mutedUntil(username: string): number {
    return this.#people.get(usernameKey(username))?.mutedUntil ?? 0;
  }

  /** Why somebody may not join; `undefined` if they may. `now` is in unix seconds. */
  objectionToJoining(username: string, now: number): Objection | undefined {
    const direct = partners(this.#room);
    if (direct) return direct.includes(usernameKey(username)) ? undefined : "forbidden";
    const person = this.#people.get(usernameKey(username));
    if ((person?.bannedUntil ?? 0) > now) return "forbidden";
    const isFree = !this.#inviteOnly || this.#lines === 0 || (person?.isMember ?? false) ||
      (person?.isInvited ?? false);
    return isFree ? undefined : "forbidden";
  }

  /** Why this line is not allowed; `undefined` if it is. The caller must check the target of an erasure. */
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
      case undefined: // an unknown kind counts as words
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
   * Whether a line would change nothing: a second join line of one certificate, or a mute of somebody who is already muted
   * as long. A server refuses such lines. A log that has some is valid all the same, so verifiers don't check this.
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

  /** Applies an accepted line. */
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
        this.#person(username).isInvited = true; // somebody who leaves may return
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
        person.isInvited = person.isAsked = !person.isMember; // a member's invitation would outlive a kick
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

  /** {@link #remove}, and also ends role and invitation. */
  #expel(username: string): void {
    const person = this.#person(username);
    person.role = "member";
    person.isInvited = person.isAsked = false;
    this.#remove(username);
  }

  /** Removes somebody. If they return, each of their certificates must join again. */
  #remove(username: string): void {
    const key = usernameKey(username);
    const person = this.#people.get(key);
    if (!person) return;
    if (person.isMember) this.#memberCount -= 1;
    person.isMember = false;
    for (const [device, of] of this.#devices) if (of === key) this.#devices.delete(device);
  }
}
