/**
 * Text from elsewhere, made fit for one line of a terminal or a log: what a file, a peer or a command line gave may
 * hold sequences that move the cursor, hide text or turn its direction, and none of these may take effect.
 *
 *     printable("ada\u001b[2J\n") → "ada\\u{1b}[2J\\u{a}"
 *
 * It doesn't judge letters that look alike, and doesn't measure width.
 *
 * @layer ground
 */

// C0, DEL, C1; soft hyphen, zero-width and bidirectional controls; line and paragraph separators; byte order mark;
// interlinear and tag characters; lone surrogates.
const UNPRINTABLE =
  // deno-lint-ignore no-control-regex
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}\ud800-\udfff]/gu;

/** What shows nothing, or only changes what is beside it: variation selectors, fillers, the empty braille pattern. */
const INVISIBLE = /[\p{Default_Ignorable_Code_Point}\u2800]/gu;

/** The text with every character that is not to be printed written as `\u{hex}`. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, byNumber);
}

/** {@link printable}, and what can't be seen is written so, too: for evidence, where a hidden difference counts. */
export function visible(text: string): string {
  return printable(text).replace(INVISIBLE, byNumber);
}

function byNumber(character: string): string {
  return `\\u{${character.codePointAt(0)?.toString(16)}}`;
}
