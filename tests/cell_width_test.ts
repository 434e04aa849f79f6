import { cells } from "../lib/cell_width.ts";
import { assert } from "./assert.ts";

Deno.test("cells() counts what a terminal draws", () => {
  const widths: readonly (readonly [string, number])[] = [
    ...[["abc", 3], ["e\u0301", 1], ["日本", 4], ["Ａ", 2], ["ｱ", 1], ["ｶﾞ", 2], ["", 0]] as const,
    ...[["ー", 2], ["・", 2], ["ㄅ", 2], ["㎏", 2], ["ꀀ", 2], ["한", 2], ["\u1112\u1161\u11ab", 2]] as const,
    ...[["👍", 2], ["👍🏽", 2], ["👩‍💻", 2], ["👨‍👩‍👧", 2], ["🏳️‍🌈", 2], ["🏴󠁧󠁢󠁥󠁮󠁧󠁿", 2], ["🇩🇪", 2], ["1️⃣", 2]] as const,
    ...[["☺", 1], ["☺️", 2], ["می‌خواهم", 7], ["\u1100".repeat(50), 100]] as const,
  ];
  for (const [text, width] of widths) assert.equal(cells(text), width, JSON.stringify(text));
  assert.equal(cells("サーバーのデータベースエラー：メールサーバーにユーザーデータを"), 62);
});

Deno.test("cells() takes every wide character of Unicode for two cells", () => {
  // Ranges of which every character is wide or full width (EastAsianWidth.txt).
  for (const [first, last] of [[0x3041, 0x3096], [0x30a0, 0x30ff], [0x3105, 0x312f], [0x3300, 0x33ff]] as const) {
    for (let code = first; code <= last; code++) assert.equal(cells(String.fromCodePoint(code)), 2, code.toString(16));
  }
  for (const [first, last] of [[0x4e00, 0x9fff], [0xa000, 0xa48c], [0xac00, 0xd7a3], [0x20000, 0x2a6df]] as const) {
    for (let code = first; code <= last; code += 7) assert.equal(cells(String.fromCodePoint(code)), 2);
  }
});
