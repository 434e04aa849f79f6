/**
 * Text that people write, made safe for a row of a terminal without changing what they see.
 *
 *     readable("کتاب‌ها 👩‍💻")      the same: Persian and joined emoji need invisible joiners
 *     readable("pass\u200bword")     "pass\\u{200b}word"
 *     readable("a\u001b[2J\tb")      "a\\u{1b}[2J  b"
 *
 * `printable` of `text.ts` is for names, paths and reasons, which need no invisible characters. A sentence needs some:
 * joiners inside words of scripts that use them and in emoji, and variation selectors after characters that have
 * variants. These stay. Everything else that shows nothing, moves the cursor or turns the direction of a text is written
 * as `\u{hex}`. A tab becomes blanks up to the next multiple of eight cells. A combining mark without a base gets a
 * dotted circle, so that it doesn't change whatever is printed before the text. Of many marks on one character, only the
 * first few are kept.
 *
 * @layer ground
 */

import { cells } from "./cell_width.ts";

/** Scripts in which a joiner or its absence changes how a word looks (UAX #31, table 4 and section 2.3). */
const JOINING = ["Arab", "Syrc", "Nkoo", "Mong", "Deva", "Beng", "Guru", "Gujr", "Orya", "Taml", "Telu", "Knda"]
  .concat(["Mlym", "Sinh", "Khmr", "Mymr", "Tibt", "Bali", "Java", "Cakm", "Newa", "Gran", "Tirh"])
  .map((script) => `\\p{scx=${script}}`).join("");
const LETTER = `[[\\p{L}\\p{M}]&&[${JOINING}]]`;
/** Signs that remove the vowel from a letter: a joiner after one is part of the letter, even at the end of a word. */
const VIRAMA = "[\\u{94d}\\u{9cd}\\u{a4d}\\u{acd}\\u{b4d}\\u{bcd}\\u{c4d}\\u{ccd}\\u{d4d}\\u{dca}]";
const PICTOGRAPH = "\\p{Extended_Pictographic}[\\u{fe0f}\\p{Emoji_Modifier}]?";

/** Sequences with invisible characters that stay. */
const USED = [
  "\\p{RGI_Emoji}",
  `${PICTOGRAPH}(?:\\u{200d}${PICTOGRAPH})+`,
  "\\p{Extended_Pictographic}\\u{fe0e}",
  "\\p{Ideographic}[\\u{fe00}-\\u{fe02}\\u{e0100}-\\u{e01ef}]",
  `(?<=${LETTER})[\\u{200c}\\u{200d}](?=${LETTER})`,
  `(?<=${VIRAMA})[\\u{200c}\\u{200d}]`,
  "(?<=\\p{Script=Mongolian})(?:[\\u{180b}-\\u{180d}\\u{180f}]|\\u{180e}(?=\\p{Script=Mongolian}))",
  "(?<=[\\u{2801}-\\u{28ff}])\\u{2800}(?=[\\u{2801}-\\u{28ff}])",
].join("|");

/** Signs that Unicode calls format characters although they can be seen. */
const SEEN = "[\\u{600}-\\u{605}\\u{6dd}\\u{890}\\u{891}\\u{8e2}\\u{110bd}\\u{110cd}]";
const UNSEEN =
  `[[\\p{Cc}\\p{Cf}\\p{Cs}\\p{Zl}\\p{Zp}\\p{Default_Ignorable_Code_Point}\\u{2800}\\u{fff9}-\\u{fffb}]--${SEEN}]`;
const USED_OR_UNSEEN = new RegExp(`(${USED})|${UNSEEN}`, "gv");

/** Where a combining mark has no base in this text, or only a blank. */
const WITHOUT_BASE = /(?<=^|\p{Z})(?=\p{M})/gu;
/** More than any language puts on one letter. */
const MANY_MARKS = /(?<=\p{M}{8})\p{M}+/gu;
const PLAIN = /^[ -~]*$/;
const TAB = 8;

/** The text as it can be shown in a row of a terminal. A text of several lines must be split before. */
export function readable(text: string): string {
  if (PLAIN.test(text)) return text;
  const [first = "", ...more] = text.split("\t").map(withoutUnseen);
  let row = first;
  let column = cells(first);
  for (const part of more) {
    const blanks = TAB - column % TAB;
    row += " ".repeat(blanks) + part;
    column += blanks + cells(part);
  }
  return row.replace(WITHOUT_BASE, "\u25cc").replace(MANY_MARKS, (marks) => `[and ${[...marks].length} marks]`);
}

function withoutUnseen(text: string): string {
  return text.replace(
    USED_OR_UNSEEN,
    (found, used) => used === undefined ? `\\u{${found.codePointAt(0)?.toString(16)}}` : found,
  );
}
