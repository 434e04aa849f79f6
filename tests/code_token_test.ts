import { assert } from "./assert.ts";
import { encodeCodeToken, parseCodeToken } from "../lib/code_token.ts";

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

Deno.test("a code that was cut, mistyped or padded is none", () => {
  const line = encodeCodeToken(TOKEN);
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
  for (const change of [{ host: "" }, { host: "a b" }, { authority: "ab" }, { secret: new Uint8Array(15) }]) {
    assert.throws(() => encodeCodeToken({ ...TOKEN, ...change }), RangeError);
  }
});
