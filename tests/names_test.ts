import { assert } from "./assert.ts";
import { isUsername, normaliseEmail, usernameKey } from "../lib/names.ts";

Deno.test("normaliseEmail() trims, and lower-cases ASCII letters alone", () => {
  assert.equal(normaliseEmail(" Ada@Example.ORG\t"), "ada@example.org");
  for (const text of ["Ä@example.org", "\u212a@example.org", "\u0130@example.org", "Σ@example.org", "a b@c"]) {
    assert.equal(normaliseEmail(text), text);
  }
  assert.equal(normaliseEmail(`${"a".repeat(242)}@example.org`)?.length, 254);
});

Deno.test("normaliseEmail() refuses what is no address", () => {
  const bad = ["", " ", "@", "a@", "@b", " @b", "example.org", "a@b@c", `${"a".repeat(243)}@example.org`];
  const worse = [`${"ä".repeat(125)}@example.org`, "\ud800@example.org", 5, null, undefined, ["a@example.org"]];
  const unseen = ["a\0@example.org", "a@example.org\0x", "\u001b[2J@example.org", "a\u0085@example.org", "a\u202e@b.c"];
  for (const value of [...bad, ...worse, ...unseen]) {
    assert.equal(normaliseEmail(value), undefined, JSON.stringify(value));
  }
});

Deno.test("isUsername() takes 1 to 64 ASCII letters, digits, dots, underscores and hyphens", () => {
  for (const good of ["a", "A.b_c-9", "z".repeat(64)]) assert(isUsername(good), good);
  const bad = ["", "z".repeat(65), "two words", "a/b", "a@b", "name\n", "name😀", "ädam", "\u212aelvin", "user\uff11"];
  for (const text of bad) assert(!isUsername(text), JSON.stringify(text));
});

Deno.test("usernameKey() lower-cases ASCII letters alone", () => {
  assert.equal(usernameKey("Ada.B_c-9"), "ada.b_c-9");
  assert.equal(usernameKey("\u212aelvin\u0130"), "\u212aelvin\u0130");
});
