import { assert } from "./assert.ts";
import { Buffer } from "node:buffer";
import { concat, encodeUtf8 } from "../lib/bytes.ts";
import { encodeCodeToken, parseCodeToken } from "../lib/code_token.ts";
import { sha256 } from "../lib/hash.ts";

const TOKEN = {
  host: "chat.example.org",
  port: 5001,
  kind: "invitation" as const,
  authority: "ab".repeat(32),
  secret: new Uint8Array(16).fill(7),
};

Deno.test("a code comes back as it was made, blanks around it or not", () => {
  const line = encodeCodeToken(TOKEN);
  assert.deepEqual(parseCodeToken(line), TOKEN);
  assert.deepEqual(parseCodeToken(`  ${line}\n`), TOKEN);
  assert.deepEqual(parseCodeToken(encodeCodeToken({ ...TOKEN, host: "::1", port: 65_535, kind: "device" })), {
    ...TOKEN,
    host: "::1",
    port: 65_535,
    kind: "device",
  });
});

Deno.test("a code for one e-mail address carries it, and one without is written as ever", () => {
  for (const email of ["ada@example.org", "Ä@example.org", `${"a".repeat(242)}@example.org`]) {
    assert.deepEqual(parseCodeToken(encodeCodeToken({ ...TOKEN, email })), { ...TOKEN, email });
  }
  const old =
    "securechat-1.q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6sHBwcHBwcHBwcHBwcHBwcHE4kAY2hhdC5leGFtcGxlLm9yZx40hhs";
  assert.equal(encodeCodeToken(TOKEN), old);
  assert.deepEqual(parseCodeToken(old), TOKEN);
});

Deno.test("a code whose address is none, or is spelled in another way, is none", () => {
  for (const tail of ["", "ada", "Ada@example.org", " ada@example.org"]) {
    assert.equal(parseCodeToken(lineOf({ tail: `\0${tail}` })), undefined, JSON.stringify(tail));
  }
  assert.equal(parseCodeToken(lineOf({ tail: "\0ada@example.org", kind: 1 })), undefined, "a device has an account");
  assert.ok(parseCodeToken(lineOf({ tail: "\0ada@example.org" })), "the test writes lines as the code does");
});

/** A line as a program writes it that minds no rule. */
function lineOf({ tail, kind = 0 }: { tail: string; kind?: number }): string {
  const fixed = [...new Uint8Array(32).fill(0xab), ...TOKEN.secret, TOKEN.port >> 8, TOKEN.port & 0xff, kind];
  const body = concat(Uint8Array.from(fixed), encodeUtf8(TOKEN.host + tail));
  return `securechat-1.${Buffer.from(concat(body, sha256(body).slice(0, 4))).toString("base64url")}`;
}

Deno.test("a code that was cut, mistyped or padded is none", () => {
  const line = encodeCodeToken({ ...TOKEN, email: "ada@example.org" });
  for (let at = 0; at < line.length; at++) {
    assert.equal(parseCodeToken(line.slice(0, at)), undefined, `cut at ${at}`);
    const other = line[at] === "A" ? "B" : "A";
    assert.equal(parseCodeToken(line.slice(0, at) + other + line.slice(at + 1)), undefined, `changed at ${at}`);
  }
  for (const text of ["", "hello", `${line}=`, `${line}A`, line.toUpperCase()]) {
    assert.equal(parseCodeToken(text), undefined);
  }
});

Deno.test("a code is made of parts that can be", () => {
  for (const port of [-1, 0, 65_536, 65_536 + 5001, 5001.5, NaN]) {
    assert.throws(() => encodeCodeToken({ ...TOKEN, port }), RangeError, `port ${port}`);
  }
  const email = "ada@example.org";
  for (
    const change of [
      ...[{ host: "" }, { host: "a b" }, { authority: "ab" }, { secret: new Uint8Array(15) }],
      ...[{ email: "ada" }, { email: "Ada@example.org" }, { email, kind: "device" as const }],
    ]
  ) {
    assert.throws(() => encodeCodeToken({ ...TOKEN, ...change }), RangeError);
  }
});
