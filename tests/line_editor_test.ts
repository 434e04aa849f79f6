import fc from "fast-check";
import { encodeUtf8 } from "../lib/bytes.ts";
import { type Edit, type Key, KeyReader, keysOf, LineEditor, SecondPress } from "../lib/line_editor.ts";
import { assert } from "./assert.ts";

/** The keys that a terminal's text is read as. */
function keys(text: string): Key[] {
  return new KeyReader().read(encodeUtf8(text));
}

/** An editor after these bytes, `|` where its cursor is, and the last edit. */
function type(text: string): { line: string; last: Edit | undefined; editor: LineEditor } {
  const editor = new LineEditor();
  let last: Edit | undefined;
  for (const key of keys(text)) last = editor.apply(key);
  return { line: `${editor.before}|${editor.after}`, last, editor };
}

Deno.test("KeyReader.read() gives texts and keys in their order", () => {
  assert.deepEqual(keys("hi\x1b[Dx\r"), [
    { name: "text", text: "hi" },
    { name: "left" },
    { name: "text", text: "x" },
    { name: "enter" },
  ]);
});

Deno.test("KeyReader.read() gives the same text and keys however the bytes are cut", () => {
  const joined = (found: Key[]) => found.map((key) => key.name === "text" ? key.text : `<${key.name}>`).join("");
  const whole = "né 日本 👩‍👩‍👧 \x1b[1;5D\x1bOA\x1b[200~pasted\r\nline\x1b[201~\x15ok\r\n\x1b[3~end\x04";
  const bytes = encodeUtf8(whole);
  fc.assert(fc.property(fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1 }), (sizes) => {
    const reader = new KeyReader();
    const found: Key[] = [];
    for (let at = 0, i = 0; at < bytes.length; i++) {
      const size = sizes[i % sizes.length] ?? 1;
      found.push(...reader.read(bytes.subarray(at, at + size)));
      at += size;
    }
    assert.equal(joined(found), joined(keys(whole)));
  }));
});

Deno.test("KeyReader.read() reads any bytes without an error, and gives no control character in a text", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
    for (const key of new KeyReader().read(bytes)) {
      // deno-lint-ignore no-control-regex
      if (key.name === "text") assert.doesNotMatch(key.text, /[\x00-\x08\x0b-\x1f\x7f-\x9f]/);
    }
  }));
});

Deno.test("KeyReader.read() drops what it doesn't know", () => {
  assert.deepEqual(keys("\x1b[38;5;1m\x1b[?25h\x1bz\x00\x07\x9b"), []);
  assert.deepEqual(keys("\x1b]11;rgb:0000/0000/0000\x07\x1bP1$r0m\x1b\\\x1b[[A\x1b[<0;1;1M\x1b\r\x1b\r\n\x1b\n"), []);
  assert.deepEqual(keys("\x1b[12é"), [{ name: "text", text: "é" }], "what is no part of a sequence ends it");
  assert.deepEqual(keys(`\x1b[${"1".repeat(5_000)}`).at(-1)?.name, undefined, "a sequence without an end is given up");
  assert.deepEqual(keys("\x1b\x03"), [{ name: "escape" }, { name: "interrupt" }], "Escape swallows no key");
});

Deno.test("KeyReader.read() takes CR LF for one Enter", () => {
  assert.deepEqual(keys("a\r\nb\n\r").map((key) => key.name), ["text", "enter", "text", "enter", "enter"]);
});

Deno.test("KeyReader.read() makes the line ends of a paste part of the text and drops its escapes", () => {
  assert.deepEqual(keys("\x1b[200~one\r\ntwo\x1b[31m\x03three\n\x1b[201~\r"), [
    { name: "text", text: "one\ntwo[31mthree" },
    { name: "enter" },
  ]);
});

Deno.test("KeyReader.read() drops the line end at the end of a paste, however it is cut, and no other", () => {
  for (
    const [pasted, wanted] of [["a\r\n", "a"], ["a\n\n", "a\n"], ["\n", ""], ["\na", "\na"], ["a\rb", "a\nb"]] as const
  ) {
    const bytes = encodeUtf8(`\x1b[200~${pasted}\x1b[201~x`);
    for (let size = 1; size < 12; size++) {
      const reader = new KeyReader();
      let text = "";
      for (let at = 0; at < bytes.length; at += size) {
        for (const key of reader.read(bytes.subarray(at, at + size))) if (key.name === "text") text += key.text;
      }
      assert.equal(text, `${wanted}x`);
    }
  }
});

/** Keys of chunks, some of which come only after a wait has ended. */
async function timed(...parts: readonly (string | "wait")[]): Promise<string[]> {
  const waits: { ms: number; resolve: () => void }[] = [];
  async function* chunks(): AsyncGenerator<Uint8Array> {
    for (const part of parts) {
      if (part !== "wait") yield encodeUtf8(part);
      else {
        await Promise.resolve();
        waits.shift()?.resolve();
        for (let turn = 0; turn < 5; turn++) await Promise.resolve();
      }
    }
  }
  const wait = (ms: number) => new Promise<void>((resolve) => waits.push({ ms, resolve }));
  const found: string[] = [];
  for await (const key of keysOf(chunks(), wait)) found.push(key.name === "text" ? key.text : `<${key.name}>`);
  return found;
}

Deno.test("keysOf() takes an escape that nothing follows for the key Escape, and swallows nothing after it", async () => {
  assert.deepEqual(await timed("\x1b", "wait", "ok"), ["<escape>", "ok"]);
  assert.deepEqual(await timed("\x1b", "wait", "\r"), ["<escape>", "<enter>"]);
  assert.deepEqual(await timed("\x1b", "[A"), ["<up>"], "a sequence that is cut in two is one");
  assert.deepEqual(await timed("\x1b[", "wait", "ok"), ["ok"], "Alt with a key inserts nothing and swallows nothing");
  assert.deepEqual(await timed("\x1b[1;", "wait", "x"), ["x"]);
  assert.deepEqual(await timed("a\x1b", "wait", "\x1b", "wait", "\x03"), ["a", "<escape>", "<escape>", "<interrupt>"]);
});

Deno.test("KeyReader.patience is 50 ms behind an escape, longer in a sequence, and none elsewhere", () => {
  const reader = new KeyReader();
  const after = (text: string) => (reader.read(encodeUtf8(text)), reader.patience);
  assert.deepEqual([after("a"), after("\x1b"), after("[1"), after("A")], [undefined, 50, 500, undefined]);
});

Deno.test("SecondPress tells the second press within two seconds", () => {
  let now = 0;
  const press = new SecondPress(() => now);
  const at = (ms: number) => (now = ms, press.press());
  assert.deepEqual([0, 2_001, 4_000, 9_000].map(at), [false, false, true, true], "and what comes after it");
});

Deno.test("LineEditor.apply() keeps what Ctrl-C clears, in the history", () => {
  assert.equal(type("a draft\x03").line, "|");
  assert.equal(type("a draft\x03\x1b[A").line, "a draft|");
});

Deno.test("LineEditor.apply() inserts, moves and erases", () => {
  for (
    const [typed, line] of [
      ["abc", "abc|"],
      ["abc\x7f\x08", "a|"],
      ["\x7fa", "a|"],
      ["abc\x1b[D\x1b[D\x1b[3~", "a|c"],
      ["abc\x01X\x05Y", "XabcY|"],
      ["abc\x1b[HX\x1b[FY", "XabcY|"],
      ["one two \x17", "one |"],
      ["one two\x1bbX", "one X|two"],
      ["one two\x01\x1b[1;5CX", "oneX| two"],
      ["one two\x1b[D\x15", "|o"],
      ["one two\x01\x06\x0b", "o|"],
      ["ab\x02\x04", "a|"],
      ["\x1b[D\x1b[C\x1b[3~x", "x|"],
    ] as const
  ) assert.equal(type(typed).line, line, JSON.stringify(typed));
});

Deno.test("LineEditor.apply() takes what a person calls one character for one", () => {
  assert.equal(type("e\u0301x\x7f\x7f").line, "|");
  assert.equal(type("a👩‍👩‍👧\x7f").line, "a|");
  assert.equal(type("日本\x1b[D\x7f").line, "|本");
});

Deno.test("LineEditor.apply() hands out the line at Enter, wherever the cursor is, and begins an empty one", () => {
  const { line, last } = type("hello\x01\r");
  assert.deepEqual(last, { type: "line", text: "hello" });
  assert.equal(line, "|");
});

Deno.test("LineEditor.apply() tells Ctrl-C, and Ctrl-D in an empty line alone", () => {
  assert.equal(type("x\x03").last?.type, "interrupt");
  assert.equal(type("\x04").last?.type, "end-of-input");
  assert.equal(type("x\x04").last?.type, "nothing");
});

Deno.test("LineEditor.apply() goes through the history and back to the draft", () => {
  const up = "\x1b[A", down = "\x1b[B";
  assert.equal(type(`one\rtwo\rdra${up}`).line, "two|");
  assert.equal(type(`one\rtwo\rdra${up}${up}${up}`).line, "one|");
  assert.equal(type(`one\rtwo\rdra${up}${up}${down}${down}`).line, "dra|");
  assert.equal(type(`one\rone\r\rdra${up}${up}${down}`).line, "dra|", "repeated and empty lines are kept once or not");
});

Deno.test("LineEditor.apply() keeps a line within bounds", () => {
  const editor = new LineEditor();
  for (let i = 0; i < 31; i++) assert.equal(editor.apply({ name: "text", text: "x".repeat(1_000) }).type, "edited");
  assert.deepEqual(editor.apply({ name: "text", text: "👍".repeat(1_000) }), { type: "full" }, "and says so");
  assert.equal(editor.before.length, 32_000);
  assert.ok(editor.before.isWellFormed());
});

Deno.test("a line that comes back can be entered again; if another is being typed, Up brings it back", () => {
  const editor = new LineEditor();
  editor.apply({ name: "text", text: "hello" });
  assert.deepEqual(editor.apply({ name: "enter" }), { type: "line", text: "hello" });
  assert.equal(editor.giveBack("hello"), true);
  assert.deepEqual([editor.before, editor.after], ["hello", ""]);
  assert.deepEqual(editor.apply({ name: "enter" }), { type: "line", text: "hello" });
  editor.apply({ name: "text", text: "something else" });
  assert.equal(editor.giveBack("typed elsewhere"), false);
  assert.equal(editor.before, "something else");
  editor.apply({ name: "up" });
  assert.equal(editor.before, "typed elsewhere");
  editor.apply({ name: "down" });
  assert.equal(editor.before, "something else");
});
