import fc from "fast-check";
import { cells } from "../lib/cell_width.ts";
import { clip, fit, hardWrap, wrap } from "../lib/rows.ts";
import { assert } from "./assert.ts";

/** Words in many scripts, and what tries to get out of a row. */
const words = fc.array(
  fc.constantFrom(
    "hello",
    "サーバーエラー",
    "👩‍💻",
    "🇩🇪",
    "می‌خواهم",
    "\t",
    "\u202e",
    "e\u0301",
    "\u1100\u1100",
    " ",
    "x".repeat(30),
  ),
  { maxLength: 20 },
).map((parts) => parts.join(" "));

Deno.test("no row of fit(), clip(), wrap() and hardWrap() is wider than it may be", () => {
  fc.assert(fc.property(words, fc.integer({ min: 8, max: 90 }), (text, width) => {
    for (const keep of ["beginning", "end"] as const) assert.ok(cells(fit(text, width, keep)) <= width);
    for (const row of wrap(text, width, "| ")) assert.ok(cells(row) <= width, JSON.stringify(row));
    for (const row of hardWrap(text, width)) assert.ok(cells(row) <= width, JSON.stringify(row));
  }));
  assert.equal(clip("\x1b[31m日本語\x1b[0m", 5), "\x1b[31m日本\x1b[0m");
  assert.equal(clip("\x1b[1mhello\x1b[0m", 5), "\x1b[1mhello\x1b[0m");
});

Deno.test("wrap() loses no word", () => {
  fc.assert(fc.property(words, fc.integer({ min: 8, max: 90 }), (text, width) => {
    const only = (shown: string) => shown.replaceAll(/[ |]/g, "");
    assert.equal(only(wrap(text, width, "| ").join("")), only(wrap(text, 10_000, "").join("")));
  }));
});

Deno.test("wrap() begins every further row with the prefix, also after a line end in the text", () => {
  assert.deepEqual(wrap("hello to all of you", 12, "| "), ["hello to all", "| of you"]);
  assert.deepEqual(wrap("one\n09:04 ada: two", 20, "| ", 5), ["one", "| 09:04 ada: two"]);
});
