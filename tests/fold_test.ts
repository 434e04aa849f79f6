import { folded } from "../lib/fold.ts";
import { assert } from "./assert.ts";

Deno.test("folded() makes one of what differs in case, width, composition and what can't be seen", () => {
  for (
    const [one, other] of [
      ["Café", "CAFE\u0301"],
      ["Straße", "STRASSE"],
      ["ＡＢＣ１２３", "abc123"],
      ["ｻｰﾊﾞｰ", "サーバー"],
      ["ΟΔΟΣ", "οδος"],
      ["οδοσ", "οδος"],
      ["می‌خواهم", "میخواهم"],
      ["ﬁle", "FILE"],
      ["㎏", "KG"],
    ] as const
  ) assert.equal(folded(one), folded(other), one);
  assert.notEqual(folded("e"), folded("é"));
});
