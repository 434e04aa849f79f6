/**
 * The rules of a room's line, written once for its three judges (docs/PROTOCOL.md, "A line" and "The envelope"). Each
 * rule is a pure function that returns what is broken as a typed fault; what a fault leads to is the judge's decision:
 *
 *     the server (`room_placed.ts`)               refuses the line with an error code
 *     a member's client (`client_log_monitor.ts`) names the lie of the server, or marks the line as bad
 *     the verifier (`verify_lines.ts`)           fails a named check
 *
 *     hashFaults      R names this log, C the words, H the body        what of them is at hand
 *     orderFaults     seqno without a gap, a time that never falls     by the author's line before
 *     roomFault       the words are for this room
 *     headFault       the head in `seen` was there by then, and is this log's
 *     riseFault       `seen` never falls                               by the author's line before
 *     rightFault      name, erasure and role                           by all lines before (`log_roles.ts`)
 *
 * A log's lines can't tell two things, so no rule here asks for them: whether the room took only people who were
 * invited, and which account a certificate is bound to.
 *
 * @layer format
 */

import { encodeHex } from "./bytes.ts";
import type { Envelope, Statement } from "./log_envelope.ts";
import { isCarriedBy, isOfLog, isOpenedBy } from "./log_line.ts";
import { LASTING, type Objection, type RoomState } from "./log_roles.ts";
import { EMPTY_ROOT } from "./log_tree.ts";
import { usernameKey } from "./names.ts";
import { MAX_CLOCK_DIFFERENCE } from "./transcript.ts";

/** A checkpoint tells whole seconds: it may have been made up to the end of its second. In milliseconds. */
export const CHECKPOINT_PRECISION = 1_000;

/**
 * Whether a line's time (unix milliseconds) is so far ahead that a checkpoint of that time (unix seconds) can't cover
 * the line.
 */
export function isAheadOfCheckpoint(ts: number, time: number): boolean {
  return ts >= 1000 * time + CHECKPOINT_PRECISION + MAX_CLOCK_DIFFERENCE;
}

/** A rule that a line breaks. */
export type RuleFault = HashFault | OrderFault | EnvelopeFault;

/** R, C or H of the line belongs to something else. */
export type HashFault = { readonly rule: "log" | "words" | "body" };

/** The line doesn't follow its author's line before. */
export type OrderFault =
  /** `due`: the seqno that the line must have. */
  | { readonly rule: "seqno"; readonly due: number }
  /** `before`: the time of the author's line before, unix milliseconds. */
  | { readonly rule: "time"; readonly before: number };

/** What the line's words say can't be so. */
export type EnvelopeFault =
  /** The words name another room. */
  | { readonly rule: "room" }
  /** The head in `seen` has more lines than stand before this one. */
  | { readonly rule: "seen too much" }
  /** `before`: the size in `seen` of the author's line before, which is larger. */
  | { readonly rule: "seen less"; readonly before: number }
  /** The head in `seen` is another log's. */
  | { readonly rule: "seen another log" };

/** The parts of a line that are at hand; a rule about a part that isn't there is not asked. */
export interface LineParts {
  /** R of this log. */
  readonly log?: Uint8Array;
  /** The envelope's bytes. */
  readonly words?: Uint8Array;
  /** `iv || ciphertext`. */
  readonly body?: Uint8Array;
}

/** Holds R, C and H of a line against what they stand for. */
export function hashFaults(hashes: Uint8Array, { log, words, body }: LineParts): HashFault[] {
  const faults: HashFault[] = [];
  if (log && !isOfLog(hashes, log)) faults.push({ rule: "log" });
  if (words && !isOpenedBy(hashes, words)) faults.push({ rule: "words" });
  if (body && !isCarriedBy(hashes, body)) faults.push({ rule: "body" });
  return faults;
}

/** What an author's line before asks of the next one. */
export interface AuthorOrder {
  /** The seqno that is due; `undefined` if the author's lines before aren't known. */
  readonly next: number | undefined;
  /** The time of the line before, unix milliseconds; 0 if there is none. */
  readonly ts: number;
}

/** Holds a line against its author's line before. */
export function orderFaults(
  { seqno, ts }: { readonly seqno: number; readonly ts: number },
  { next, ts: before }: AuthorOrder,
): OrderFault[] {
  const faults: OrderFault[] = [];
  if (next !== undefined && seqno !== next) faults.push({ rule: "seqno", due: next });
  if (ts < before) faults.push({ rule: "time", before });
  return faults;
}

/** Whether a line's words are for this room. */
export function roomFault({ room }: Pick<Envelope, "room">, here: string): EnvelopeFault | undefined {
  return room === here ? undefined : { rule: "room" };
}

/** What the head that a line's author had seen is held against. */
export interface HeadPlace {
  /** The line's index. */
  readonly index: number;
  /** The log's root at a size, in hex; `undefined` if it isn't known, and then it isn't compared. */
  readonly rootAt: (size: number) => string | undefined;
}

/** Whether the head that an author had seen was there when the line was placed, and is one of this log. */
export function headFault({ seen }: Pick<Envelope, "seen">, { index, rootAt }: HeadPlace): EnvelopeFault | undefined {
  if (seen.size > index) return { rule: "seen too much" };
  const root = seen.size === 0 ? NO_LINES : rootAt(seen.size);
  return root === undefined || root === seen.root ? undefined : { rule: "seen another log" };
}

/** Whether an author had seen no less than in the line before; `before` is the size in that one's `seen`, or 0. */
export function riseFault({ seen }: Pick<Envelope, "seen">, before: number): EnvelopeFault | undefined {
  return seen.size < before ? { rule: "seen less", before } : undefined;
}

const NO_LINES = encodeHex(EMPTY_ROOT);

// Rights.

/** In place of a time: beyond the end of every ban and mute that has one, so only those without an end are in force. */
export const AT_ANY_TIME = Number.MAX_SAFE_INTEGER;

/** The lines before one, as far as they are known. */
export interface LinesBefore {
  /** What the lines from {@link base} on have made of the room. */
  readonly state: RoomState;
  /** The first line that is known. If it isn't 0, nobody's role is known. */
  readonly base: number;
  /** The name in the join line of a certificate that was found good. */
  usernameOf(author: string): string | undefined;
  /** The author of a line; `undefined` if the line isn't known. */
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

/** A line that its author had no right to write. */
export type RightFault =
  /** The certificate called itself `before` in an earlier join line. */
  | { readonly rule: "name"; readonly before: string }
  /** It erases a line that isn't the author's own words. */
  | { readonly rule: "erasure" }
  /** The author's role, a ban or a mute forbids it. */
  | { readonly rule: "role"; readonly objection: Objection; readonly isJoin: boolean };

/** Whether lines of a kind may not be erased: they decide about others, or say what became of other lines. */
export function isLastingKind(kind: string | undefined): boolean {
  return kind !== undefined && LASTING.has(kind);
}

/** Whether an author may erase a line: only words, and only the author's own. */
export function mayErase(by: string, line: { readonly author: string | undefined; readonly isLasting: boolean }) {
  return line.author === by && !line.isLasting;
}

/**
 * The right that a line's author lacked; `undefined` if the line may say what it says. `by` is a time, in unix seconds,
 * at which the line certainly had its place: a ban or a mute that lasts beyond it was in force.
 */
export function rightFault(act: LineAct, before: LinesBefore, by = AT_ANY_TIME): RightFault | undefined {
  const { author, statement } = act;
  const known = before.usernameOf(author);
  if (statement?.kind === "join" && known !== undefined && usernameKey(known) !== usernameKey(statement.username)) {
    return { rule: "name", before: known };
  }
  if (statement?.kind === "redact" && !mayEraseLine(act, statement.index, before)) return { rule: "erasure" };
  if (before.base !== 0) return undefined; // roles follow from all lines, and not all are known
  const username = statement?.kind === "join" ? statement.username : known ?? "";
  const objection = before.state.objection({ author, username, statement }, by);
  return objection && { rule: "role", objection, isJoin: statement?.kind === "join" };
}

function mayEraseLine({ index, author }: LineAct, target: number, before: LinesBefore): boolean {
  const isLasting = before.isLasting(target);
  if (target < before.base) return !isLasting; // whose it is isn't known
  return mayErase(author, { author: target < index ? before.authorOf(target) : undefined, isLasting });
}

const OBJECTIONS = {
  "forbidden": "The author's role does not allow it.",
  "not-member": "The author was not in the room.",
  "muted": "The author was muted.",
} as const satisfies Readonly<Record<Objection, string>>;

/** A {@link RightFault} as a sentence for the people who read the line. */
export function rightReason(fault: RightFault): string {
  switch (fault.rule) {
    case "name":
      return `This certificate called itself "${fault.before}" before.`;
    case "erasure":
      return "The author may not erase that line.";
    case "role":
      if (fault.isJoin && fault.objection === "forbidden") {
        return "The author was banned, or this conversation is between two other people.";
      }
      return OBJECTIONS[fault.objection];
  }
}
