/**
 * The form in which texts are searched: letters' case, width, composition and what can't be seen make no difference.
 *
 *     folded("Ｃａｆé Straße") === folded("CAFE\u0301 STRASSE")
 *
 * It is NFKC_Casefold of Unicode as near as the language comes to it; nothing is signed or compared for equality by it.
 *
 * @layer ground
 */

/** The text in that form. */
export function folded(text: string): string {
  const seen = text.normalize("NFKC").replaceAll(/\p{Default_Ignorable_Code_Point}/gu, "");
  // Upper case first: ß becomes SS, and the two small sigmas become one.
  return seen.toUpperCase().toLowerCase().replaceAll("ς", "σ").normalize("NFKC");
}
