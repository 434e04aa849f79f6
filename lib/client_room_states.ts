/**
 * The states of a room, as one client goes through them, as two tables: how far it is in the session that stands, and
 * whether it is a member (docs/PROTOCOL.md, "Joining a room").
 *
 *     apart ──enter──▶ asking ──let in──────────────────▶ catching up ──caught up──▶ live
 *       ▲                └─let in anew─▶ joining ──stands──────▲
 *       └── refused, put out, offline: from anywhere      gone: the server doesn't have the log any more
 *
 * A membership outlives sessions: whoever goes offline is still in the room. A step that isn't in the table can't
 * happen; {@link RoomStates.take} throws for it.
 *
 * @layer chat
 */

/** How far a client is in a room: only a `live` room takes new lines of its own. */
export type RoomPhase =
  /** There is no session, or nobody has asked for this room in it, or asking was refused. */
  | "apart"
  /** The server was asked to let this client in. */
  | "asking"
  /** This client's join line is on its way. */
  | "joining"
  /** The lines up to now are on their way. */
  | "catching up"
  /** All lines up to now are here. */
  | "live"
  /** The server doesn't have the log any more that this client knows. */
  | "gone";

/** Whether this client's join line stands, as far as it has been told since the program began. */
export type Membership = "unknown" | "in" | "out";

/** What moves a room from one phase to the next. */
export type RoomStep =
  | "enter"
  /** The server lets this client in, and its join line stands. */
  | "let in"
  /** The server lets this client in, and it has to post a join line. */
  | "let in anew"
  /** The join line stands. */
  | "stands"
  | "caught up"
  /** The server refuses, or something that was needed can't be had. */
  | "refused"
  /** A line has removed this client, or it has left. */
  | "put out"
  | "log gone"
  | "offline";

const ANYWHERE = { "put out": "apart", "log gone": "gone", "offline": "apart" } as const;

/** The phase that each step leads to. */
export const NEXT_PHASE: Readonly<Record<RoomPhase, Readonly<Partial<Record<RoomStep, RoomPhase>>>>> = {
  "apart": { ...ANYWHERE, "enter": "asking" },
  "asking": { ...ANYWHERE, "let in": "catching up", "let in anew": "joining", "refused": "apart" },
  "joining": { ...ANYWHERE, "stands": "catching up", "refused": "apart" },
  "catching up": { ...ANYWHERE, "caught up": "live", "refused": "apart" },
  "live": { ...ANYWHERE, "enter": "asking" },
  // Only another session can bring the log back: another server may answer then.
  "gone": { ...ANYWHERE, "put out": "gone" },
};

/** The membership that each step leads to; a step that isn't named here leaves it as it is. */
export const NEXT_MEMBERSHIP: Readonly<Record<Membership, Readonly<Partial<Record<RoomStep, Membership>>>>> = {
  "unknown": { "let in": "in", "stands": "in", "put out": "out" },
  "in": { "put out": "out" },
  "out": { "let in": "in", "let in anew": "unknown", "stands": "in" },
};

/** The state of one room. */
export class RoomStates {
  #phase: RoomPhase = "apart";
  #membership: Membership = "unknown";

  /** How far this client is. */
  get phase(): RoomPhase {
    return this.#phase;
  }

  /** Whether this client is a member. */
  get membership(): Membership {
    return this.#membership;
  }

  /** Goes on by a step; Error if that step can't happen now. */
  take(step: RoomStep): void {
    const next = NEXT_PHASE[this.#phase][step];
    if (!next) throw new Error(`a room that is ${this.#phase} can't take the step "${step}"`);
    this.#phase = next;
    this.#membership = NEXT_MEMBERSHIP[this.#membership][step] ?? this.#membership;
  }
}
