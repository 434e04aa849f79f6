/**
 * What people write, made fit for a row of a terminal and still as they write it.
 *
 *     readable("کتاب‌ها 👩‍💻")      the same: Persian and joined emoji need what can't be seen
 *     readable("pass\u200bword")     "pass\\u{200b}word"
 *     readable("a\u001b[2J\tb")      "a\\u{1b}[2J  b"
 *
 * `printable` of `text.ts` is for names, paths and reasons: there nothing that can't be seen has a use. In a sentence
 * some of it has: joiners inside a word of a script that uses them and in emoji, variation selectors after characters
 * that have variants. These stay. Anything else that shows nothing, moves the cursor or turns the direction of a text
 * is written as `\u{hex}`. A tab becomes blanks up to the next of every eight cells. A mark that has nothing to stand
 * on gets a dotted circle, so that it doesn't change what stands before the text; of many marks on one character the
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
/** Signs that take the vowel from a letter: a joiner behind one is part of the letter, at the end of a word, too. */
const VIRAMA = "[\\u{94d}\\u{9cd}\\u{a4d}\\u{acd}\\u{b4d}\\u{bcd}\\u{c4d}\\u{ccd}\\u{d4d}\\u{dca}]";
const PICTOGRAPH = "\\p{Extended_Pictographic}[\\u{fe0f}\\p{Emoji_Modifier}]?";

/** What stays, however little of it can be seen. */
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

/** Signs that are of the category of format characters, and are seen. */
const SEEN = "[\\u{600}-\\u{605}\\u{6dd}\\u{890}\\u{891}\\u{8e2}\\u{110bd}\\u{110cd}]";
const UNSEEN =
  `[[\\p{Cc}\\p{Cf}\\p{Cs}\\p{Zl}\\p{Zp}\\p{Default_Ignorable_Code_Point}\\u{2800}\\u{fff9}-\\u{fffb}]--${SEEN}]`;
const USED_OR_UNSEEN = new RegExp(`(${USED})|${UNSEEN}`, "gv");

/** Where a mark would stand on what is not of this text, or on a blank. */
const WITHOUT_BASE = /(?<=^|\p{Z})(?=\p{M})/gu;
/** More than any language puts on one letter. */
const MANY_MARKS = /(?<=\p{M}{8})\p{M}+/gu;
const PLAIN = /^[ -~]*$/;
const TAB = 8;

/** The text as it can be shown in a row of a terminal. Whoever has a text of several lines splits it before. */
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
