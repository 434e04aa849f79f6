import fc from "fast-check";
import { assert } from "./assert.ts";
import { concat, encodeUtf8, parseUtf8 } from "../lib/bytes.ts";
import { ERROR_TYPES, ProtocolError } from "../lib/errors.ts";
import {
  encodeError,
  encodeFrame,
  FrameReader,
  LIMIT_AFTER_LOGIN,
  LIMIT_BEFORE_LOGIN,
  parseFrame,
} from "../lib/frame.ts";

/** All lines that come out of the chunks, and whether the reader refused. */
function read(chunks: readonly Uint8Array[], limit: number): { lines: string[]; refused: boolean } {
  const reader = new FrameReader(limit);
  const lines: string[] = [];
  try {
    for (const chunk of chunks) {
      reader.receive(chunk);
      for (let line = reader.next(); line; line = reader.next()) lines.push(parseUtf8(line) ?? "");
    }
  } catch (error) {
    assert(error instanceof ProtocolError && error.code === "too-large");
    return { lines, refused: true };
  }
  return { lines, refused: false };
}

function* cuts(bytes: Uint8Array, sizes: readonly number[]): Generator<Uint8Array> {
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = Math.max(1, sizes[i % sizes.length] ?? 1);
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

const text = fc.string({ unit: fc.constantFrom("a", "é", "\n", "\r", "{", " ", "\u2028", "\0"), maxLength: 60 });
const sizes = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 8 });

Deno.test("FrameReader cuts the same lines however the stream comes", () => {
  fc.assert(fc.property(text, sizes, (stream, cutSizes) => {
    const bytes = encodeUtf8(stream);
    const expected = stream.split("\n").slice(0, -1).map((line) => `${line}\n`).filter((line) => !/^\r?\n$/.test(line));
    assert.deepEqual(read([...cuts(bytes, cutSizes)], 1000).lines, expected);
    assert.deepEqual(read([bytes], 1000).lines, expected);
  }));
});

Deno.test("FrameReader refuses a line beyond its limit, LF included, however the stream comes", () => {
  fc.assert(fc.property(text, sizes, fc.integer({ min: 2, max: 30 }), (stream, cutSizes, limit) => {
    const bytes = encodeUtf8(stream);
    const lengths = stream.split("\n").map((line) => encodeUtf8(line).length + 1);
    // What stands after the last LF needs one byte more to end.
    const isTooLong = lengths.some((length, at) => length > limit && (at < lengths.length - 1 || length > 1));
    assert.equal(read([...cuts(bytes, cutSizes)], limit).refused, isTooLong);
  }));
});

Deno.test("FrameReader takes a line of exactly the limit and no byte more, before its LF has come", () => {
  for (const limit of [2, 100, LIMIT_BEFORE_LOGIN, LIMIT_AFTER_LOGIN]) {
    const line = new Uint8Array(limit).fill(0x78);
    line[limit - 1] = 0x0a;
    assert.deepEqual(read([line], limit).lines.length, 1);
    assert.equal(read([line.subarray(0, limit - 1)], limit).refused, false);
    assert.equal(read([new Uint8Array(limit).fill(0x78)], limit).refused, true);
  }
});

Deno.test("FrameReader hands out the good lines before a line that is too long", () => {
  const { lines, refused } = read([encodeUtf8(`ok\n${"x".repeat(100)}`)], 50);
  assert.deepEqual([lines, refused], [["ok\n"], true]);
});

Deno.test("FrameReader's limit can rise between two lines of one segment", () => {
  const reader = new FrameReader(10);
  reader.receive(encodeUtf8(`short\n${"y".repeat(50)}\n`));
  assert.equal(parseUtf8(reader.next() ?? new Uint8Array()), "short\n");
  reader.limit = 100;
  assert.equal(reader.next()?.length, 51);
});

Deno.test("FrameReader copies what it is given", () => {
  const reader = new FrameReader(100);
  const chunk = encodeUtf8("one\ntw");
  reader.receive(chunk);
  chunk.fill(0x21);
  assert.equal(parseUtf8(reader.next() ?? new Uint8Array()), "one\n");
  assert.equal(reader.next(), undefined);
  reader.receive(encodeUtf8("o\n"));
  assert.equal(parseUtf8(reader.next() ?? new Uint8Array()), "two\n");
});

Deno.test("FrameReader takes a stream of empty lines without holding them", () => {
  const reader = new FrameReader(100);
  for (let i = 0; i < 1000; i++) {
    reader.receive(encodeUtf8("\r\n\n\n\r\n"));
    assert.equal(reader.next(), undefined);
  }
});

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof ProtocolError) return error.code;
    throw error;
  }
  return "nothing";
}

Deno.test("parseFrame() takes one JSON object with a string type, with LF, CR LF or neither", () => {
  for (const end of ["\n", "\r\n", ""]) assert.equal(parseFrame(encodeUtf8(`{"type":"quit"}${end}`)).type, "quit");
  const { fields } = parseFrame(encodeUtf8(' {"x" : 12345678901234567890, "type":"a", "type":"b"} \n'));
  assert.deepEqual(fields, { x: 12345678901234567890n, type: "b" });
});

Deno.test("parseFrame() answers bad-frame for everything else", () => {
  const wrong = [
    "",
    "\n",
    "[]",
    "null",
    '"type"',
    "7",
    "{}",
    '{"type":1}',
    '{"type":null}',
    '{"Type":"a"}',
    '{"type":["a"]}',
    '{"type":"a"',
    '{"type":"a"}}',
    '{"type":"a"}{"type":"b"}',
    '\ufeff{"type":"a"}',
    "{'type':'a'}",
    '{"type":"a",}',
    '{"type":"a"}\r\r\n',
    "GET / HTTP/1.1",
    "\u0016\u0003\u0001",
    `{"type":${"[".repeat(8000)}`,
  ];
  for (const line of wrong) {
    assert.equal(codeOf(() => parseFrame(encodeUtf8(line))), line.endsWith("\r\r\n") ? "nothing" : "bad-frame", line);
  }
  const notUtf8 = concat(encodeUtf8('{"type":"'), Uint8Array.of(0xff), encodeUtf8('"}'));
  assert.equal(codeOf(() => parseFrame(notUtf8)), "bad-frame");
});

Deno.test("parseFrame() never throws anything but bad-frame, and never takes long", () => {
  const nearly = fc.json().map((json) => `{"type":"a","x":${json}}`);
  fc.assert(
    fc.property(
      fc.oneof(fc.uint8Array({ maxLength: 300 }), fc.oneof(nearly, fc.json(), fc.string()).map(encodeUtf8)),
      (line) => {
        assert(["nothing", "bad-frame"].includes(codeOf(() => parseFrame(line))));
      },
    ),
  );
});

Deno.test("encodeFrame() writes one line that parseFrame() takes back, integers of any size included", () => {
  const frame = { type: "dh_client", g: 2, p: 2n ** 2047n + 1n, A: 0n, text: "a\n\u2028é\u0000" };
  const line = encodeFrame(frame);
  assert.equal(line.indexOf(0x0a), line.length - 1);
  const { fields } = parseFrame(line);
  assert.deepEqual([fields.p, fields.A, fields.text], [frame.p, 0, frame.text]);
});

Deno.test("encodeError() carries the code, the reason and further fields", () => {
  for (const code of ERROR_TYPES) {
    const { type, fields } = parseFrame(encodeError(new ProtocolError(code, "Say why.", { now: 5 })));
    assert.deepEqual([type, fields.error_type, fields.reason, fields.now], ["error", code, "Say why.", 5]);
  }
});
