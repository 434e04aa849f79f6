/**
 * How many cells of a terminal a text takes: the door to string-width, which has Unicode's tables.
 *
 *     cells("ー・") → 4      cells("👩‍💻") → 2      cells("🇩🇪") → 2      cells("e\u0301") → 1
 *
 * A text is measured by grapheme clusters, which are what people see as one character each. Terminals disagree about
 * some of them, so code that draws must cope with a row that the terminal thinks is wider. The text must not contain
 * control characters: see `readable.ts`.
 *
 * @layer ground
 */

import stringWidth from "string-width";

/** Cuts a text into grapheme clusters. */
export const graphemes = new Intl.Segmenter("en", { granularity: "grapheme" });

/** Any number of initial letters of Korean syllables are one cluster to Unicode, but terminals draw each of them. */
const SYLLABLE_BEGINNINGS = /[\u1100-\u115f\ua960-\ua97c]/g;

/** Widths that were asked for before: a screen asks for the same ones again and again. */
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

/** Longer clusters aren't worth remembering: nobody types them. */
const LONGEST_KNOWN = 32;

const ASCII = /^[ -~]*$/;

/** The grapheme clusters of a text. */
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
