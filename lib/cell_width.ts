/**
 * How many cells of a terminal a text takes: the door to string-width, which has Unicode's tables.
 *
 *     cells("ー・") → 4      cells("👩‍💻") → 2      cells("🇩🇪") → 2      cells("e\u0301") → 1
 *
 * A text is measured by what a person takes for one character each (grapheme clusters). Terminals don't agree on all of
 * them: whoever draws has to hold out against a row that the terminal takes for wider. What is measured has no control
 * characters: see `readable.ts`.
 *
 * @layer ground
 */

import stringWidth from "string-width";

/** Cuts a text into what a person takes for one character each. */
export const graphemes = new Intl.Segmenter("en", { granularity: "grapheme" });

/** One beginning of a syllable after the other is one cluster to Unicode, however many; terminals draw each. */
const SYLLABLE_BEGINNINGS = /[\u1100-\u115f\ua960-\ua97c]/g;

/** Widths that were asked for: a picture asks for the same ones again and again. */
const known = new Map<string, number>();
const MAX_KNOWN = 8_192;

/** How many cells a grapheme cluster takes. */
export function cellsOf(cluster: string): number {
  if (cluster.length === 1 && cluster >= " " && cluster <= "~") return 1;
  const found = known.get(cluster);
  if (found !== undefined) return found;
  const beginnings = cluster.length < 2 ? 0 : cluster.match(SYLLABLE_BEGINNINGS)?.length ?? 0;
  const size = Math.max(stringWidth(cluster, { countAnsiEscapeCodes: true }), 2 * beginnings);
  if (known.size >= MAX_KNOWN) known.clear();
  if (cluster.length <= LONGEST_KNOWN) known.set(cluster, size);
  return size;
}

/** Longer clusters are nobody's writing. */
const LONGEST_KNOWN = 32;

const ASCII = /^[ -~]*$/;

/** What a person takes for one character each. */
export function clustersOf(text: string): Iterable<string> {
  return ASCII.test(text) ? text : Array.from(graphemes.segment(text), ({ segment }) => segment);
}

/** How many cells a text takes. */
export function cells(text: string): number {
  if (ASCII.test(text)) return text.length;
  let sum = 0;
  for (const cluster of clustersOf(text)) sum += cellsOf(cluster);
  return sum;
}
