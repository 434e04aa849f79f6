import fc from "fast-check";
import { assert } from "./assert.ts";
import { encodeBase64, encodeHex, encodeUtf8, parseUtf8 } from "../lib/bytes.ts";
import { sha256 } from "../lib/hash.ts";
import {
  encodeNote,
  encodeNoteHead,
  encodeSignatureLine,
  MAX_NOTE_BYTES,
  MAX_SIGNATURES,
  type NoteSignature,
  parseNote,
  parseNoteHead,
  parseSignatureLines,
} from "../lib/log_note.ts";
import { LOG, NOTE_2, NOTE_2_LINE, rootOf, WITNESS_LINE } from "./note_fixtures.ts";

const CLOSED = encodeUtf8(`${NOTE_2}\n${NOTE_2_LINE}${WITNESS_LINE}`);

const names = fc.stringMatching(/^[^\p{White_Space}+\p{Cc}]+$/u).filter((name) => name.isWellFormed());
const signatures: fc.Arbitrary<NoteSignature> = fc.record({
  name: names,
  id: fc.uint8Array({ minLength: 4, maxLength: 4 }).map(encodeHex),
  bytes: fc.uint8Array({ minLength: 1, maxLength: 80 }).map((bytes) => new Uint8Array(bytes)),
}, { noNullPrototype: true });
// deno-lint-ignore no-control-regex
const texts = fc.string({ unit: "grapheme" }).map((text) => `${text.replace(/[\u0000-\u0009\u000b-\u001f]/g, "")}\n`)
  .filter((text) => text.isWellFormed());

Deno.test("a note is the bytes of the published vectors", () => {
  assert.equal(encodeHex(sha256(CLOSED)), "e3e25789c4aabca05d10a4afe2accff26d62bff1264873b6eb8bd6811cb445b2");
  const note = parseNote(CLOSED);
  assert(note);
  assert.deepEqual(note.signatures.map(({ name, id }) => `${name} ${id}`), [
    `${LOG} d04bb4fb`,
    "witness.example/w1 fea3b187",
  ]);
  assert.deepEqual(encodeNote(note), CLOSED);
  const head = parseNoteHead(note.text);
  assert(head);
  assert.deepEqual([head.origin, head.size, head.extensions], [LOG, 2, []]);
  assert.equal(encodeNoteHead(head), NOTE_2);
});

Deno.test("every note that is written is read again, whatever its text and its names", () => {
  fc.assert(fc.property(texts, fc.array(signatures, { minLength: 1, maxLength: 20 }), (text, list) => {
    assert.deepEqual(parseNote(encodeNote({ text, signatures: list })), { text, signatures: list });
  }));
});

Deno.test("what is read as a note is written as the same bytes, wherever a byte was changed", () => {
  let read = 0;
  for (let at = 0; at < CLOSED.length; at++) {
    for (const bit of [1, 2, 16, 128]) {
      const changed = CLOSED.slice();
      changed[at] = (changed[at] ?? 0) ^ bit;
      const note = parseNote(changed);
      if (!note) continue;
      read += 1;
      assert.deepEqual(encodeNote(note), changed);
    }
  }
  assert(read > 100);
});

Deno.test("what is no note is not read", () => {
  const good = `text\n\n${NOTE_2_LINE}`;
  assert(parseNote(encodeUtf8(good)));
  const bad = {
    "no signature": "text\n\n",
    "no empty line": `text\n${NOTE_2_LINE}`,
    "no last line end": good.slice(0, -1),
    "a control character": `te\txt\n\n${NOTE_2_LINE}`,
    "CR LF": good.replaceAll("\n", "\r\n"),
    "a hyphen in place of the dash": good.replace("—", "-"),
    "two blanks": good.replace("— ", "—  "),
    "something behind the signature": `${good.slice(0, -1)} x\n`,
    "no name": good.replace(LOG, ""),
    "a name with +": good.replace(LOG, "a+b"),
    "a name with a blank that isn't ASCII": good.replace(LOG, "a\u00a0b"),
    "base64 without padding": good.replace("w=\n", "w\n"),
    "base64 with set pad bits": good.replace("ww=\n", "wx=\n"),
    "a key ID alone": `text\n\n— name ${encodeBase64(new Uint8Array(4))}\n`,
    "a line that is none between lines": `text\n\n${NOTE_2_LINE}x\n${NOTE_2_LINE}`,
  };
  for (const [what, text] of Object.entries(bad)) assert.equal(parseNote(encodeUtf8(text)), undefined, what);
  const broken = encodeUtf8(good);
  broken[0] = 0xff;
  assert.equal(parseNote(broken), undefined, "no UTF-8");
});

Deno.test("the text of a note may have empty lines: it ends before the last one", () => {
  const note = parseNote(encodeUtf8(`one\n\n— two\n\n${NOTE_2_LINE}`));
  assert.equal(note?.text, "one\n\n— two\n");
});

Deno.test("100 signature lines are read, and not one more; a note has a bound", () => {
  const lines = (count: number) => encodeUtf8(`text\n\n${NOTE_2_LINE.repeat(count)}`);
  assert.equal(parseNote(lines(MAX_SIGNATURES))?.signatures.length, MAX_SIGNATURES);
  assert.equal(parseNote(lines(MAX_SIGNATURES + 1)), undefined);
  const long = (size: number) =>
    encodeUtf8(`${"x".repeat(size - 2 - encodeUtf8(NOTE_2_LINE).length)}\n\n${NOTE_2_LINE}`);
  assert(parseNote(long(MAX_NOTE_BYTES)));
  assert.equal(parseNote(long(MAX_NOTE_BYTES + 1)), undefined);
  assert(parseNote(long(MAX_NOTE_BYTES + 1), 131_072));
});

Deno.test("a log's head is read strictly, and written again as it was", () => {
  const root = rootOf("root");
  const heads = fc.record({
    origin: names,
    size: fc.maxSafeNat(),
    root: fc.nat().map((n) => rootOf(String(n))),
    extensions: fc.array(names, { maxLength: 3 }),
  }, { noNullPrototype: true });
  fc.assert(fc.property(heads, (head) => assert.deepEqual(parseNoteHead(encodeNoteHead(head)), head)));
  const good = encodeNoteHead({ origin: "log.example", size: 10, root });
  assert(parseNoteHead(good));
  for (
    const bad of [
      good.slice(0, -1),
      good.replace("10", "010"),
      good.replace("10", "+10"),
      good.replace("10", "1e1"),
      good.replace("10", "9007199254740992"),
      good.replace("10", ""),
      good.replace("=\n", "\n"),
      good.replace("=\n", "=\n\n"),
      good.replace(/[^\n]+\n$/, `${encodeBase64(new Uint8Array(31))}\n`),
      `\n${good}`,
      good.split("\n").slice(0, 2).join("\n") + "\n",
    ]
  ) {
    assert.equal(parseNoteHead(bad), undefined, JSON.stringify(bad));
  }
});

Deno.test("a witness's answer is signature lines alone", () => {
  assert.equal(parseSignatureLines(WITNESS_LINE)?.length, 1);
  assert.deepEqual(parseSignatureLines(WITNESS_LINE)?.map(encodeSignatureLine).join(""), WITNESS_LINE);
  for (const bad of ["", "\n", WITNESS_LINE.trimEnd(), `${WITNESS_LINE}\n`, `\n${WITNESS_LINE}`]) {
    assert.equal(parseSignatureLines(bad), undefined, JSON.stringify(bad));
  }
  assert.equal(parseUtf8(encodeUtf8(WITNESS_LINE)), WITNESS_LINE);
});
