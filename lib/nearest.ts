/**
 * The known word that somebody probably meant: the one door to leven, which counts how many letters differ.
 *
 *     didYouMean("sevre", ["serve", "verify"], "securechat --help") → ": did you mean serve? See securechat --help"
 *
 * @layer ground
 */

import leven from "leven";

/** How many letters may differ: one; two in a longer word, or if two have changed places; three in a long one. */
function allowed(word: string, other: string): number {
  const length = Math.max(word.length, other.length);
  const letters = (text: string) => [...text].sort().join("");
  return length > 9 ? 3 : length > 6 || letters(word) === letters(other) ? 2 : 1;
}

/**
 * The nearest of the known words, if one is near: the only one with this beginning, or the one that differs in the
 * fewest letters.
 */
export function nearest(word: string, known: readonly string[]): string | undefined {
  if (word.length < 2 || word.length > 64) return undefined;
  const begun = known.filter((other) => other.startsWith(word));
  if (begun.length === 1) return begun[0];
  const [best] = known.map((other) => ({ other, distance: leven(word, other) }))
    .filter(({ other, distance }) => distance <= allowed(word, other))
    .toSorted((a, b) => a.distance - b.distance);
  return best?.other;
}

/** What to print after an unknown word: the nearest known one, and which help lists all of them. */
export function didYouMean(word: string, known: readonly string[], help: string): string {
  const found = nearest(word, known);
  return found === undefined ? `; see ${help}` : `: did you mean ${found}? See ${help}`;
}
