/**
 * Which of a room's signed heads are worth keeping, and worth showing. A busy room has one every second, and a line is
 * judged by the time of the first that is shown and covers it: its author's certificate must have been good then.
 *
 *     the first head of each hour in which lines stand          a line is judged within the hour, or with the next lines
 *     the first that covers each author's last line             whose certificate ended or was revoked after that
 *
 * @layer chat
 */

import type { Checkpoint } from "./log_checkpoint.ts";

const HOUR = 3_600;
const DAY = 86_400;
/** So many heads are shown before hours give way to days. */
const MAX_SHOWN = 1_000;

/** Of heads by their sizes those to keep; `last`: the indexes of the authors' last lines. */
export function headsToKeep(heads: readonly Checkpoint[], last: Iterable<number>): Set<Checkpoint> {
  return new Set([...firstOfEach(heads, HOUR), ...firstCovering(heads, last)]);
}

/** Of heads by their sizes those to show with an export, in their order. */
export function headsToShow(heads: readonly Checkpoint[], last: Iterable<number>): Set<Checkpoint> {
  const all = headsToKeep(heads, last);
  return all.size <= MAX_SHOWN ? all : new Set([...firstOfEach(heads, DAY), ...firstCovering(heads, last)]);
}

function firstOfEach(heads: readonly Checkpoint[], seconds: number): Checkpoint[] {
  const first = new Map<number, Checkpoint>();
  for (const head of heads) {
    const period = Math.floor(head.time / seconds);
    if (!first.has(period)) first.set(period, head);
  }
  return [...first.values()];
}

function firstCovering(heads: readonly Checkpoint[], indexes: Iterable<number>): Checkpoint[] {
  const found: Checkpoint[] = [];
  let at = 0;
  for (const index of [...indexes].sort((one, other) => one - other)) {
    while ((heads[at]?.size ?? Infinity) <= index) at += 1;
    const head = heads[at];
    if (head) found.push(head);
  }
  return found;
}

/** The index of each author's last line, of lines from `first` on. */
export function lastLines(authors: readonly string[], first: number): IterableIterator<number> {
  return new Map(authors.map((author, at) => [author, first + at])).values();
}
