/**
 * Whether a line of a room may say what it says, by the lines before it (docs/PROTOCOL.md, "Rooms as evidence"): the
 * one rule by which a client marks a line that it is shown, and by which a verifier marks one that it is handed.
 *
 *     rightProblem({ index: 4, author: "06bc…", statement: { kind: "text", text: "hello" } }, log)
 *     → "Its author was not in the room."
 *
 * Who is in the room and what each may do follows from the lines alone (`log_roles.ts`). What the lines can't tell is
 * not asked here: whether the room took only those who were invited, and which account a certificate is bound to.
 *
 * @layer format
 */

import type { Statement } from "./log_envelope.ts";
import { usernameKey } from "./names.ts";
import { LASTING, type RoomState } from "./log_roles.ts";

/** Later than any time that a ban can name, and earlier than for good: what is objected to then always was. */
export const AT_ANY_TIME = Number.MAX_SAFE_INTEGER;

/** The lines before one, as far as they are known. */
export interface LinesBefore {
  /** What the lines from {@link base} on have made of the room. */
  readonly state: RoomState;
  /** The first line that is known. Where it isn't 0, nobody's role is known. */
  readonly base: number;
  /** The name in the join line of a certificate that was found good. */
  usernameOf(author: string): string | undefined;
  /** The author of a line; `undefined` where the line isn't known. */
  authorOf(index: number): string | undefined;
  /** Whether that line may not be erased. */
  isLasting(index: number): boolean;
}

/** A line, and what it says. */
export interface LineAct {
  readonly index: number;
  /** The fingerprint of the author's certificate. */
  readonly author: string;
  /** `undefined` for a kind that isn't known. */
  readonly statement: Statement | undefined;
}

const OBJECTIONS = {
  "forbidden": "Its author's role does not allow it.",
  "not-member": "Its author was not in the room.",
  "muted": "Its author was muted.",
} as const;

/** Whether lines of a kind may not be erased: they decide about others, or say what became of other lines. */
export function isLastingKind(kind: string | undefined): boolean {
  return kind !== undefined && LASTING.has(kind);
}

/**
 * Why a line may not say what it says; `undefined` where it may. `by` is a time, in unix seconds, at which the line had
 * its place for certain: a ban or a mute that lasts beyond it was in force.
 */
export function rightProblem(act: LineAct, before: LinesBefore, by = AT_ANY_TIME): string | undefined {
  const { author, statement } = act;
  const known = before.usernameOf(author);
  if (statement?.kind === "join" && known !== undefined && usernameKey(known) !== usernameKey(statement.username)) {
    return `This certificate called itself "${known}" before.`;
  }
  if (statement?.kind === "redact" && !mayErase(act, statement.index, before)) {
    return "It erases what its author may not erase.";
  }
  if (before.base !== 0) return undefined; // roles are known from the lines alone, and these aren't all
  const username = statement?.kind === "join" ? statement.username : known ?? "";
  const objection = before.state.objection({ author, username, statement }, by);
  if (objection === "forbidden" && statement?.kind === "join") {
    return "Its author was banned, or is not of this conversation.";
  }
  return objection && OBJECTIONS[objection];
}

function mayErase({ index, author }: LineAct, target: number, before: LinesBefore): boolean {
  if (before.isLasting(target)) return false;
  const whose = target < index ? before.authorOf(target) : undefined;
  return whose === author || (whose === undefined && target < before.base);
}
