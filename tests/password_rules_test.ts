import { assert } from "./assert.ts";
import { generatePassword, normalisePassword, passwordProblem } from "../lib/password_rules.ts";

Deno.test("the same password typed on another keyboard is the same password", () => {
  assert.equal(normalisePassword("e\u0301tude\u00a0nocturne"), "\u00e9tude nocturne");
  assert.equal(normalisePassword("\uac00"), normalisePassword("\u1100\u1161"));
  assert.equal(normalisePassword("Straße ﬁ Ａ"), "Straße ﬁ Ａ", "case, width and ligatures stay what they are");
});

Deno.test("a new password has eight characters, none of them a control, and is none that everybody tries", () => {
  for (const good of ["garage-otter", "Ünïcode 8", "日本語の合言葉です", "longpassword", "correct horse"]) {
    assert.equal(passwordProblem(good), undefined, good);
  }
  const bad = ["", "short", "1234567", "password", "Password1!", "p4ssword2024", "aaaaaaaa", "12341234", "87654321"];
  for (const text of [...bad, "qwertyuiop", "abcdefgh", "iloveyou", "trustno1", "letmein1", "Summer2026!"]) {
    assert.match(passwordProblem(text) ?? "", /at least 8|attackers try/, text);
  }
  assert.match(passwordProblem("tab\tinside it") ?? "", /control/);
  assert.match(passwordProblem("lone \ud800 half") ?? "", /control/);
  assert.match(passwordProblem("x".repeat(1025)) ?? "", /more than 1024/);
  assert.match(passwordProblem("ada@example.org", ["ada@example.org"]) ?? "", /attackers try/);
  assert.match(passwordProblem("augustine7", ["Augustine"]) ?? "", /attackers try/);
});

Deno.test("a password that is made may be one, and has 100 bits", () => {
  const random = (size: number) => crypto.getRandomValues(new Uint8Array(size));
  const made = Array.from({ length: 200 }, () => generatePassword(random));
  for (const password of made) {
    assert.match(password, /^(?:[2-9a-km-np-z]{5}-){3}[2-9a-km-np-z]{5}$/);
    assert.equal(passwordProblem(password), undefined);
  }
  assert.equal(new Set(made).size, 200);
  const letters = new Set(
    Array.from({ length: 32 }, (_, at) => generatePassword((size) => new Uint8Array(size).fill(at))[0]),
  );
  assert.equal(letters.size, 32);
});
