/**
 * Text in rows of a terminal: cut to a width, or broken into rows of a width.
 *
 *     fit("deploys on Friday", 8, "beginning")          "deploys…"
 *     wrap("hello to all of you", 12, "| ")             ["hello to all", "| of you"]
 *
 * Every row of a wrapped text after the first begins with the prefix, so the author of a text can't write a row that
 * looks like somebody else's.
 *
 * @layer ground
 */

import { cells, cellsOf, clustersOf } from "./cell_width.ts";
import { readable } from "./readable.ts";

/** In a narrower terminal a prefix takes more space than it is worth. */
export const LEAST_FOR_WRAPPING = 20;

/** As much of the text's beginning (or end) as fits into that many cells, made readable; `…` shows that it was cut. */
export function fit(text: string, width: number, keep: "beginning" | "end"): string {
  // A cluster may be several units long, but none that people type has hundreds: a whole pasted book needn't be read.
  const shown = keep === "beginning" ? readable(text.slice(0, 64 * width)) : readable(text.slice(-64 * width));
  const clusters = [...clustersOf(shown)];
  const isWhole = clusters.reduce((sum, cluster) => sum + cellsOf(cluster), 0) <= width && text.length <= 64 * width;
  if (isWhole) return shown;
  if (keep === "end") clusters.reverse();
  const kept: string[] = [];
  let room = width - 1;
  for (const cluster of clusters) {
    room -= cellsOf(cluster);
    if (room < 0) break;
    kept.push(cluster);
  }
  return keep === "end" ? `…${kept.reverse().join("")}` : `${kept.join("")}…`;
}

/** A row, cut to that width. It may contain colours, but no other escape sequences. */
export function clip(row: string, width: number): string {
  if (row.length <= width && /^[ -~]*$/.test(row)) return row;
  let room = width;
  // deno-lint-ignore no-control-regex -- colours are such sequences
  const parts = row.split(/(\x1b\[[0-9;]*m)/).map((part, at) => {
    if (at % 2 === 1) return part;
    let kept = "";
    for (const segment of clustersOf(part)) {
      room -= cellsOf(segment);
      if (room < 0) break;
      kept += segment;
    }
    return kept;
  });
  return parts.join("");
}

/**
 * Rows of at most that many cells, broken between words if possible. The first begins after `used` cells, each of the
 * others with the prefix. A line end in the text begins a new row.
 */
export function wrap(text: string, width: number, prefix: string, used = 0): string[] {
  const rows: string[] = [];
  const whole = Math.max(2, width - cells(prefix)); // two: a wide character has to find room
  let row = "";
  let room = Math.max(0, width - used);
  const next = () => {
    rows.push(row.trimEnd());
    row = prefix;
    room = whole;
  };
  for (const [at, line] of text.split("\n").entries()) {
    if (at > 0) next();
    for (const word of readable(line).split(/(?<= )(?! )/)) {
      const size = cells(word.trimEnd());
      if (size > room && size <= whole) next();
      for (const segment of clustersOf(word)) {
        const size = cellsOf(segment);
        if (size > room && segment === " ") continue;
        if (size > room) next();
        row += segment;
        room -= size;
      }
    }
  }
  rows.push(row.trimEnd());
  return rows;
}

/** Rows of at most that many cells, broken at any character; one that is full is followed by another. */
export function hardWrap(text: string, width: number): string[] {
  const rows: string[] = [];
  for (const line of text.split("\n")) {
    let row = "";
    let used = 0;
    for (const segment of clustersOf(readable(line))) {
      const size = cellsOf(segment);
      if (used + size > width) {
        rows.push(row);
        row = "";
        used = 0;
      }
      row += segment;
      used += size;
    }
    rows.push(row);
    if (used === width) rows.push("");
  }
  return rows;
}
