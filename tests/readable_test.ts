import fc from "fast-check";
import { cells } from "../lib/cell_width.ts";
import { readable } from "../lib/readable.ts";
import { assert } from "./assert.ts";

Deno.test("readable() leaves what people write as they write it", () => {
  const texts = [
    ...["hello", "👩‍💻 👨‍👩‍👧 🏳️‍🌈 🏴󠁧󠁢󠁥󠁮󠁧󠁿 🇩🇪 1️⃣ 👍🏽 ❤️ ❤︎", "🏳‍🌈", "می‌خواهم کتاب‌ها", "නිර්‍මාණ", "ന്‍", "क्‍ष"],
    ...["サーバーエラー", "葛󠄀城", "שָׁלוֹם", "Tiếng Việt", "Ça vaut 3 €"],
  ];
  for (const text of texts) assert.equal(readable(text), text);
});

Deno.test("readable() shows what can't be seen where nothing uses it", () => {
  const shown = [
    ...[["pass\u200bword", "pass\\u{200b}word"], ["a\u200db", "a\\u{200d}b"], ["a\u200cb", "a\\u{200c}b"]],
    ...[["\u200d", "\\u{200d}"], ["👍\u200d", "👍\\u{200d}"], ["👩\u200d\u200d💻", "👩\\u{200d}\\u{200d}💻"]],
    ...[["می\u200c\u200cخو", "می\\u{200c}\\u{200c}خو"], ["می\u200c و", "می\\u{200c} و"]],
    ...[["x\ufe0f", "x\\u{fe0f}"], ["1\ufe0f", "1\\u{fe0f}"], ["🏴\u{e0061}\u{e007f}", "🏴\\u{e0061}\\u{e007f}"]],
    ...[["\u202etxet", "\\u{202e}txet"], ["a\u2066b", "a\\u{2066}b"], ["a\u3164\u2800", "a\\u{3164}\\u{2800}"]],
    ...[["\x1b[2J\n\x9b", "\\u{1b}[2J\\u{a}\\u{9b}"], ["\ud800", "\\u{d800}"], ["a\u00adb", "a\\u{ad}b"]],
  ] as const;
  for (const [text, wanted] of shown) assert.equal(readable(text), wanted);
});

Deno.test("readable() expands tabs by cells", () => {
  assert.equal(readable("\ttab\tseparated"), "        tab     separated");
  assert.equal(readable("日本\tx"), "日本    x");
});

Deno.test("readable() lets no mark stand on what is not of the text, and few on one character", () => {
  assert.equal(readable("\u0338 \u20dd"), "\u25cc\u0338 \u25cc\u20dd");
  assert.equal(readable(`e${"\u0301".repeat(3_000)}!`), `e${"\u0301".repeat(8)}[and 2992 marks]!`);
});

Deno.test("readable() gives no text that moves anything, and doesn't change it a second time", () => {
  fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 60 }), (text) => {
    const shown = readable(text);
    assert.doesNotMatch(shown, /[\p{Cc}\p{Cs}\u202a-\u202e\u2066-\u2069]/u);
    assert.equal(readable(shown), shown);
    assert.ok(cells(shown) >= 0);
  }));
});

Deno.test("readable() is done with the longest message soon, whatever is in it", () => {
  for (const part of ["\t", "日\t", "\u0301", "\u200d", "👩\u200d", "\u1100", "\u0600", "क\u094d"]) {
    assert.ok(readable(part.repeat(10_000)).length > 0);
  }
});
