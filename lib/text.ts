/**
 * Text from elsewhere, made safe to show on one line of a terminal or a log. A file, a peer or a command line may give
 * us sequences that move the cursor, hide text or turn its direction; none of these may take effect.
 *
 *     printable("ada\u001b[2J\n") → "ada\\u{1b}[2J\\u{a}"
 *
 * There are three degrees: {@link printable} for what people see while they chat, {@link visible} for evidence, and
 * {@link quoted} for names inside our own sentences, where no name may look like another name or like a part of the
 * sentence. None of them measures width.
 *
 * @layer ground
 */

// C0, DEL, C1; soft hyphen, zero-width and bidirectional controls; line and paragraph separators; byte order mark;
// interlinear and tag characters; lone surrogates.
const UNPRINTABLE =
  // deno-lint-ignore no-control-regex
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}\ud800-\udfff]/gu;

/** Characters that show nothing, or only change their neighbours: variation selectors, fillers, the empty braille pattern. */
const INVISIBLE = /[\p{Default_Ignorable_Code_Point}\u2800]/gu;

/** The text, with every unprintable character written as `\u{hex}`. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, byNumber);
}

/**
 * {@link printable}, with invisible characters escaped, too: for evidence, where a hidden difference counts. If a text
 * contains such an escape itself, its backslash is escaped, so that each escape stands for one character.
 */
export function visible(text: string): string {
  return printable(text.replace(/\\(?=u\{)/g, byNumber)).replace(INVISIBLE, byNumber);
}

/** A JSON text, with everything that {@link visible} would escape written as an escape of JSON. */
export function visibleJson(json: string): string {
  return json.replace(UNPRINTABLE, byUnits).replace(INVISIBLE, byUnits);
}

// ---- names

/** Quotes of every kind, and the backslash, which begins an escape. */
const QUOTES = /["\\]|[\u02ba\u02dd\u02ee\u05f4\u1cd3\u201c-\u201f\u2033\u2036\u3003\u301d-\u301f\uff02]/gu;
/** All blanks except single ones between characters: they could fill a row, or look like nothing. */
const BLANKS = /(?! )\p{Zs}|^ | $|(?<= ) /gu;
/** Letters of other scripts that look like Latin ones. */
const LOOKALIKES =
  /[\p{Script=Cyrillic}\p{Script=Greek}\p{Script=Armenian}\p{Script=Cherokee}\p{Script=Coptic}\p{Script=Lisu}]/gu;

/**
 * A name that somebody else chose, safe between double quotes in a sentence of ours. Besides what {@link visible}
 * escapes, these are escaped: blanks that could fill a row; quotes of other kinds; characters that Unicode calls
 * variants of others (full-width letters, ligatures); marks that could be part of the letter before them; letters that
 * look like Latin ones, in a word with Latin ones. `"` and `\` get a backslash before them.
 *
 *     nameText('ada", by "bob') → 'ada\\", by \\"bob'
 */
export function nameText(text: string): string {
  const isComposed = text.normalize("NFC") === text;
  return Array.from(text.matchAll(/[\p{L}\p{M}\p{N}]+|[^\p{L}\p{M}\p{N}]+/gu), ([word]) => {
    let shown = word.replace(QUOTES, (c) => c === '"' || c === "\\" ? `\\${c}` : byNumber(c));
    shown = shown.replace(UNPRINTABLE, byNumber).replace(INVISIBLE, byNumber);
    if (!isComposed) shown = shown.replace(/\p{M}/gu, byNumber);
    if (/\p{Script=Latin}/u.test(word)) shown = shown.replace(LOOKALIKES, byNumber);
    return shown.replace(/[^ -~]/gu, (c) => c.normalize("NFKC") === c ? c : byNumber(c));
  }).join("").replace(BLANKS, byNumber);
}

/** So many characters of a name are shown. */
const MAX_NAME = 80;

/** A result of {@link nameText}, cut to fit on a row; the full length is told. */
export function shortName(name: string): string {
  const all = [...name];
  return all.length <= MAX_NAME ? name : `${all.slice(0, MAX_NAME).join("")}… (${all.length} characters)`;
}

/** A name that somebody else chose, safe, short and in quotes. */
export function quoted(name: string): string {
  return `"${shortName(nameText(name))}"`;
}

function byUnits(character: string): string {
  return Array.from(character.split(""), (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`).join("");
}

function byNumber(character: string): string {
  return `\\u{${character.codePointAt(0)?.toString(16)}}`;
}
