/**
 * The known word that somebody probably meant: the one door to leven, which counts how many letters differ.
 *
 *     didYouMean("sevre", ["serve", "verify"], "securechat --help") → ": did you mean serve? See securechat --help"
 *
 * @layer ground
 */

import leven from "leven";

/** How many letters may differ, by the length of the longer word: two, since two that changed places count as two. */
const allowed = (length: number) => length > 8 ? 3 : length > 2 ? 2 : 1;

/** The nearest of the known words, where one is near: the only one that begins so, or one of which few letters differ. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  if (word.length < 2 || word.length > 64) return undefined;
  const begun = known.filter((other) => other.startsWith(word));
  if (begun.length === 1) return begun[0];
  const [best] = known.map((other) => ({ other, distance: leven(word, other) }))
    .filter(({ other, distance }) => distance <= allowed(Math.max(word.length, other.length)))
    .toSorted((a, b) => a.distance - b.distance);
  return best?.other;
}

/** What follows a word that isn't known: the nearest one that is, and where all of them stand. */
export function didYouMean(word: string, known: readonly string[], help: string): string {
  const found = nearest(word, known);
  return found === undefined ? `; see ${help}` : `: did you mean ${found}? See ${help}`;
}
