import { assert } from "./assert.ts";
import { printable } from "../lib/text.ts";

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
