import { didYouMean, nearest } from "../lib/nearest.ts";
import { assert } from "./assert.ts";

const KNOWN = ["serve", "start", "verify", "export", "room", "rooms"];

Deno.test("a word that is mistyped or cut off gets the nearest known one", () => {
  assert.equal(nearest("sevre", KNOWN), "serve");
  assert.equal(nearest("verifi", KNOWN), "verify");
  assert.equal(nearest("exp", KNOWN), "export");
});

Deno.test("a word that is near to none gets none", () => {
  for (const word of ["", "x", "frobnicate", "🙂🙂", "serve".repeat(20_000)]) {
    assert.equal(nearest(word, KNOWN), undefined);
  }
});

Deno.test("the sentence names the nearest word, or only where all of them stand", () => {
  assert.equal(didYouMean("satrt", KNOWN, "x --help"), ": did you mean start? See x --help");
  assert.equal(didYouMean("frob", KNOWN, "x --help"), "; see x --help");
});
