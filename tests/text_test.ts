import fc from "fast-check";
import { assert } from "./assert.ts";
import { nameText, printable, quoted, visible, visibleJson } from "../lib/text.ts";

Deno.test("printable() leaves ordinary text of any script as it is", () => {
  for (const text of ["", "ada", "Ärger, 日本語 עברית 👍🏽 é", "a\\u{1b} is only text", "tab-free | pipes {braces}"]) {
    assert.equal(printable(text), text);
  }
});

Deno.test("printable() writes every character that a terminal obeys, or that hides text, by its number", () => {
  const hidden = [
    ...Array.from({ length: 0x20 }, (_, code) => code),
    ...Array.from({ length: 0x21 }, (_, code) => 0x7f + code),
    ...[0xad, 0x61c, 0x200b, 0x200e, 0x2028, 0x2029, 0x202a, 0x202e, 0x2066, 0x2069, 0xfeff, 0xe0041],
  ];
  for (const code of hidden) {
    assert.equal(printable(`a${String.fromCodePoint(code)}b`), `a\\u{${code.toString(16)}}b`);
  }
  assert.equal(printable("\ud800x\udfff"), "\\u{d800}x\\u{dfff}");
  assert.equal(printable("\r\n"), "\\u{d}\\u{a}");
});

Deno.test("visible() writes what shows nothing by its number, too", () => {
  for (const code of [0x34f, 0x115f, 0x17b4, 0x180b, 0x2800, 0x3164, 0xfe0f, 0xffa0, 0xe0100]) {
    const text = `a${String.fromCodePoint(code)}b`;
    assert.equal(printable(text), text);
    assert.equal(visible(text), `a\\u{${code.toString(16)}}b`);
  }
  assert.equal(visible("a\u202eb\n"), "a\\u{202e}b\\u{a}");
  for (const text of ["", "Ärger, 日本語 עברית 👍🏽 é", "ক্ষ नमस्ते"]) assert.equal(visible(text), text);
});

/** The text that was escaped: an escape is one character, everything else stands for itself. */
function unescaped(shown: string): string {
  return shown.replace(/\\u\{([0-9a-f]+)\}/g, (_, hex) => String.fromCodePoint(parseInt(hex, 16)));
}

const TRICKY = fc.string({
  unit: fc.constantFrom("\\", "u", "{", "}", "2", "0", "a", '"', " ", ",", "\u202e", "\u200d", "é", "e\u0301", "а"),
});

Deno.test("an escape of visible() and of nameText() can't be imitated by a text", () => {
  assert.equal(visible("a\\u{202e}b"), "a\\u{5c}u{202e}b");
  assert.notEqual(visible("a\\u{202e}b"), visible("a\u202eb"));
  fc.assert(fc.property(TRICKY, (text) => assert.equal(unescaped(visible(text)), text)));
  fc.assert(fc.property(TRICKY, TRICKY, (a, b) => assert.equal(nameText(a) === nameText(b), a === b)));
});

Deno.test("visibleJson() is JSON of the same value, in which everything is seen", () => {
  const text = 'a\\u{202e}\u202e\u200d\u{e0041}\ufe0f日本 \\ " é';
  const shown = visibleJson(JSON.stringify(text));
  assert.equal(JSON.parse(shown), text);
  assert.equal(shown, '"a\\\\u{202e}\\u202e\\u200d\\udb40\\udc41\\ufe0f日本 \\\\ \\" é"');
});

Deno.test("nameText() leaves names of any script as they are", () => {
  const names = [
    "ada",
    "Ada Lovelace",
    "Zoë O’Neill",
    "Иван Петров",
    "山田 太郎",
    "Νίκος",
    "محمد",
    "CN=CLIENT: ada",
    "नमस्ते",
  ];
  for (const name of names) assert.equal(nameText(name), name);
});

Deno.test("nameText() shows what could be taken for something else", () => {
  const cases: readonly (readonly [string, string])[] = [
    ['ada", by "bob', 'ada\\", by \\"bob'],
    ["ada” and “bob", "ada\\u{201d} and \\u{201c}bob"],
    ["ada\u00a0bob", "ada\\u{a0}bob"],
    [" ada", "\\u{20}ada"],
    ["ada  bob ", "ada \\u{20}bob\\u{20}"],
    ["аda", "\\u{430}da"], // the first letter is Cyrillic
    ["ａda", "\\u{ff41}da"],
    ["ﬁ", "\\u{fb01}"],
    ["\u212bke", "\\u{212b}ke"], // the sign for a length
    ["e\u0301", "e\\u{301}"],
    ["a\u200db\u202e", "a\\u{200d}b\\u{202e}"],
    ["ada\n[3] bob", "ada\\u{a}[3] bob"],
    ["a\\u{41}", "a\\\\u{41}"],
  ];
  for (const [name, shown] of cases) assert.equal(nameText(name), shown);
});

Deno.test("quoted() cuts a long name and says how long it is", () => {
  assert.equal(quoted("x".repeat(80)), `"${"x".repeat(80)}"`);
  assert.equal(quoted("x".repeat(5_000)), `"${"x".repeat(80)}… (5000 characters)"`);
});
