/**
 * Contradictions inside a session's evidence (docs/PROTOCOL.md, "The end, and receipts"): times that can't all be true,
 * and lines that were written in a room.
 *
 *     each line's own time                  ≤ created_at + 5 minutes
 *     times of lines, in their order        never fall by more than 10 minutes
 *     the end of the signer's certificate   ≥ the last line's time - 5 minutes
 *
 * A server accepts no message whose time is more than 5 minutes from its clock. So if it accepted one message after
 * another, the second can be at most 10 minutes earlier. Nobody signed the created_at of a version-1 receipt, so a
 * contradiction with it is only a note.
 *
 * Every line of a session begins with a different IV. All lines of a room begin with the same R, the hash of their log's
 * name.
 *
 * @layer protocol
 */

import type { CertificatePath } from "./certificate_path.ts";
import { encodeHex } from "./bytes.ts";
import { ROOM_LINE_SIZE } from "./log_line.ts";
import { formatTime } from "./time_text.ts";
import { MAX_CLOCK_DIFFERENCE as MAX_APART, type TranscriptLine } from "./transcript.ts";
import { momentText } from "./verify_rows.ts";

/** A receipt's created_at is in whole seconds. */
const SECOND = 1_000;

interface Moment {
  readonly number: number;
  readonly ts: number;
}

/** Gets a session's lines in order. */
export class SessionLog {
  /** How many lines have the size of a room's line. */
  roomLike = 0;
  #latest: Moment | undefined;
  #earliest = Infinity;
  #fall: string | undefined;
  /** The first 32 bytes of lines of that size, and the line that had them first. */
  readonly #beginnings = new Map<string, number>();
  #repeated: string | undefined;
  readonly #rooms: ReadonlySet<string>;
  #shown: string | undefined;

  /** `logs`: the hashes R of rooms' logs, whose lines can't be a session's. */
  constructor(logs: readonly Uint8Array[] = []) {
    this.#rooms = new Set(logs.map(encodeHex));
  }

  /** Adds the next line. */
  add(number: number, { ts, body }: TranscriptLine): void {
    const latest = this.#latest;
    if (latest && latest.ts - ts > 2 * MAX_APART) {
      this.#fall ??=
        `line ${number} is of ${formatTime(ts)} by its author's own time, and line ${latest.number}, which ` +
        `was accepted before it, of ${formatTime(latest.ts)}`;
    }
    if (!latest || ts > latest.ts) this.#latest = { number, ts };
    this.#earliest = Math.min(this.#earliest, ts);
    if (body.length !== ROOM_LINE_SIZE) return;
    this.roomLike += 1;
    const beginning = encodeHex(body.subarray(0, 32));
    if (this.#rooms.has(beginning)) this.#shown ??= `line ${number} was written in the named room (R)`;
    const first = this.#beginnings.get(beginning);
    if (first === undefined) {
      if (this.#beginnings.size < MAX_BEGINNINGS) this.#beginnings.set(beginning, number);
    } else {
      this.#repeated ??=
        `lines ${first} and ${number} begin with the same 32 bytes, as the lines of a room do (R), but ` +
        "no two lines of a session: they were written in a room";
    }
  }

  /** The earliest and the latest of the lines' own times; `undefined` if there are no lines. */
  get period(): { readonly from: number; readonly to: number } | undefined {
    return this.#latest && { from: this.#earliest, to: this.#latest.ts };
  }

  /** Why lines can't be a session's. */
  get roomProblems(): string[] {
    return [this.#shown, this.#repeated].filter((problem) => problem !== undefined);
  }

  /** Contradictions of times: those that refute the evidence, and those that are only notes. */
  times(createdAt: number | undefined, isSigned: boolean, signer: CertificatePath | undefined) {
    const failures = this.#fall === undefined ? [] : [this.#fall];
    const notes: string[] = [];
    const last = this.#latest;
    if (last && createdAt !== undefined && last.ts > createdAt + MAX_APART + SECOND) {
      const made =
        `line ${last.number} is of ${formatTime(last.ts)} by its author's own time, and the receipt over it ` +
        `was made ${formatTime(createdAt)}, by its created_at`;
      if (isSigned) failures.push(made);
      else notes.push(`${made.charAt(0).toUpperCase()}${made.slice(1)}, which nobody signed: one of them is wrong.`);
      const then = signer?.problems(createdAt, "offline") ?? [];
      const later = then.length > 0 ? [] : signer?.problems(last.ts - MAX_APART, "offline") ?? [];
      failures.push(...later.map((problem) => `the signer confirms line ${last.number}, but ${problem}`));
    }
    return { failures, notes };
  }

  /** Notes on times that are later than the verifier's own clock. */
  clockNotes(createdAt: number | undefined, now: number | undefined): string[] {
    if (now === undefined) return [];
    const late = [["receipt", createdAt], [`line ${this.#latest?.number}`, this.#latest?.ts]] as const;
    return late.flatMap(([what, at]) =>
      at !== undefined && at > now + MAX_APART
        ? [
          `The ${what} is of ${momentText(at)}, and this computer's clock says ${
            momentText(now)
          }: one of them is wrong.`,
        ]
        : []
    );
  }
}

/**
 * A note if the receipt's time isn't that of the side that receives it. Either clock may have been set in the meantime, so
 * this refutes nothing.
 */
export function receiptClockNotes(createdAt: number | undefined, now: number | undefined): string[] {
  if (createdAt === undefined || now === undefined || Math.abs(createdAt - now) <= MAX_APART) return [];
  const [made, here] = [momentText(createdAt), momentText(now)];
  return [`The receipt says that it was made ${made}, and this computer's clock says ${here}: one of them is wrong.`];
}

/** How many lines are compared. A room's lines repeat from the second on, so this is plenty. */
const MAX_BEGINNINGS = 100_000;
