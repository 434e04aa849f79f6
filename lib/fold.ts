/**
 * The form in which texts are searched: case, width, composition and invisible characters make no difference.
 *
 *     folded("Ｃａｆé Straße") === folded("CAFE\u0301 STRASSE")
 *
 * It is as close to Unicode's NFKC_Casefold as JavaScript gets. Nothing is signed or compared for equality in it.
 *
 * @layer ground
 */

/** The text in that form. */
export function folded(text: string): string {
  const seen = text.normalize("NFKC").replaceAll(/\p{Default_Ignorable_Code_Point}/gu, "");
  // Upper case first: ß becomes SS, and the two small sigmas become one.
  return seen.toUpperCase().toLowerCase().replaceAll("ς", "σ").normalize("NFKC");
}
