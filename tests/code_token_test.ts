import { assert } from "./assert.ts";
import { authorityMark, type CodeToken, encodeCodeToken, parseCodeToken } from "../lib/code_token.ts";

const TOKEN: CodeToken = {
  host: "chat.example.org",
  port: 5001,
  kind: "invitation",
  authority: authorityMark("ab".repeat(32)),
  secret: new Uint8Array(16).fill(7),
};

Deno.test("a code comes back as it was made, blanks around it or not", () => {
  const line = encodeCodeToken(TOKEN);
  assert.deepEqual(parseCodeToken(line), TOKEN);
  assert.deepEqual(parseCodeToken(`  ${line}\n`), TOKEN);
  for (const host of ["::1", "2001:db8::7", "127.0.0.1", "localhost", "a".repeat(253)]) {
    for (const port of [1, 5001, 65_535]) {
      const other = { ...TOKEN, host, port, kind: "device" as const };
      assert.deepEqual(parseCodeToken(encodeCodeToken(other)), other);
    }
  }
});

Deno.test("a code has at most 60 characters beside the host, and names the port only if it isn't the usual one", () => {
  const line = encodeCodeToken(TOKEN);
  assert.equal(line, "sc2.q6urq6urq6urq6urq6urqwcHBwcHBwcHBwcHBwcHBwcARX2k@chat.example.org");
  assert.ok(line.length - TOKEN.host.length <= 60);
  const elsewhere = encodeCodeToken({ ...TOKEN, port: 65_535 });
  assert.ok(elsewhere.endsWith("@chat.example.org:65535") && elsewhere.length - TOKEN.host.length <= 60);
});

Deno.test("a code that was cut, mistyped or padded is none", () => {
  const line = encodeCodeToken({ ...TOKEN, port: 6001 });
  for (let at = 0; at < line.length; at++) {
    assert.equal(parseCodeToken(line.slice(0, at)), undefined, `cut at ${at}`);
    const other = line[at] === "A" ? "B" : "A";
    assert.equal(parseCodeToken(line.slice(0, at) + other + line.slice(at + 1)), undefined, `changed at ${at}`);
  }
  const plain = encodeCodeToken(TOKEN);
  for (const text of ["", "hello", `${line}=`, `${line}0`, line.toUpperCase(), `${plain}:5001`, `${plain}:05001`]) {
    assert.equal(parseCodeToken(text), undefined, text);
  }
});

Deno.test("a code is made of parts that can be", () => {
  for (const port of [-1, 0, 65_536, 65_536 + 5001, 5001.5, NaN]) {
    assert.throws(() => encodeCodeToken({ ...TOKEN, port }), RangeError, `port ${port}`);
  }
  for (
    const change of [
      ...[{ host: "" }, { host: "a b" }, { host: "a@b" }, { host: "[a]" }, { host: "a".repeat(254) }],
      ...[{ authority: "ab" }, { authority: "ab".repeat(32) }, { secret: new Uint8Array(15) }],
    ]
  ) {
    assert.throws(() => encodeCodeToken({ ...TOKEN, ...change }), RangeError, JSON.stringify(change));
  }
});
