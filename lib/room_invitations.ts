/**
 * Invitations to rooms that wait for the people they invite (docs/PROTOCOL.md, "What the server tells unasked"). An
 * invitation is told at once if its account has a session, and at each login until the account has joined.
 *
 * Only so many are kept, in all and from one account. One that isn't kept isn't told, and yet stands in the room's log:
 * whoever it invites can still join.
 *
 * @layer chat
 */

import type { Clock } from "./bytes.ts";
import { usernameKey } from "./names.ts";
import type { Attendee } from "./room_attendee.ts";
import type { RoomStore } from "./room_store.ts";
import { Quota } from "./server_quota.ts";

/** How many invitations wait for one account, and how many of these may be from one other account. */
const MAX_WAITING = 500;
const MAX_FROM_ONE = 50;
/** How many invitations one account tells another at once; further ones are told at the next login. */
const TOLD_AT_ONCE = { rate: 1 / 10, burst: 10 };
/** How many are sent without a pause: all at once could be more than may be queued for a session. */
const PIECE = 50;

/** What invitations work with. */
export interface InvitationsOptions {
  readonly store: Pick<RoomStore, "addInvitation" | "invitations">;
  readonly now: Clock;
  /** The sessions of an account, by its name as it is compared. */
  readonly sessionsOf: (key: string) => Iterable<Attendee>;
  /** Tells the operator what could not be stored. */
  readonly alarm: (message: string, room: string) => void;
}

/** The invitations of all rooms. */
export class Invitations {
  readonly #options: InvitationsOptions;
  readonly #told: Quota;
  /** One after the other, since each depends on how many wait. */
  #inviting: Promise<void> = Promise.resolve();

  constructor(options: InvitationsOptions) {
    this.#options = options;
    this.#told = new Quota(TOLD_AT_ONCE, options.now);
  }

  /** Tells a session that begins of the invitations that wait for its account. */
  async tellWaiting(attendee: Attendee): Promise<void> {
    const waiting = await this.#options.store.invitations(usernameKey(attendee.username));
    for (const [at, { room, from }] of waiting.entries()) {
      if (at % PIECE === 0) await attendee.drained();
      attendee.answer({ type: "invited", room, from });
    }
  }

  /** Somebody is invited into a room. */
  invite(room: string, username: string, from: string): void {
    this.#inviting = this.#inviting.then(() => this.#invite(room, usernameKey(username), from));
  }

  /** Resolves when every invitation is stored and told. */
  async settled(): Promise<void> {
    await this.#inviting;
  }

  async #invite(room: string, key: string, from: string): Promise<void> {
    const { store, alarm, sessionsOf } = this.#options;
    try {
      const waiting = await store.invitations(key);
      const isOver = waiting.length >= MAX_WAITING || waiting.filter((one) => one.from === from).length >= MAX_FROM_ONE;
      if (isOver && !waiting.some((one) => one.room === room)) return;
      await store.addInvitation(room, key, from);
    } catch {
      alarm(`an invitation for ${key} could not be stored`, room);
    }
    if (!this.#told.tryTake(`${from} ${key}`)) return;
    for (const session of sessionsOf(key)) session.answer({ type: "invited", room, from });
  }
}
