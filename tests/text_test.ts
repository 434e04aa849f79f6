import { assert } from "./assert.ts";
import { printable, visible } from "../lib/text.ts";

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
