import fc from "fast-check";
import { assert } from "./assert.ts";
import { encodeHex, encodeUtf8 } from "../lib/bytes.ts";
import { sha256 } from "../lib/hash.ts";
import {
  encodeLine,
  lineProblem,
  MAX_LINE_BYTES,
  messageInput,
  parseLine,
  type TranscriptLine,
  TranscriptSummary,
} from "../lib/transcript.ts";

const SIGNER = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

const count = fc.oneof(fc.nat(), fc.maxSafeNat(), fc.constantFrom(0, 2 ** 32, 2 ** 53 - 1));
const line: fc.Arbitrary<TranscriptLine> = fc.record({
  seqno: count,
  ts: count,
  body: fc.integer({ min: 2, max: 6 }).chain((blocks) =>
    fc.uint8Array({ minLength: 16 * blocks, maxLength: 16 * blocks })
  ),
  signature: fc.uint8Array({ minLength: 1, maxLength: 300 }),
  signer: fc.constant(SIGNER),
}).map((made) => ({ ...made, body: new Uint8Array(made.body), signature: new Uint8Array(made.signature) }));

Deno.test("parseLine() takes back what encodeLine() wrote", () => {
  fc.assert(fc.property(line, (given) => assert.deepEqual(parseLine(encodeLine(given)), given)));
});

Deno.test("whatever parseLine() takes is exactly what encodeLine() writes", () => {
  const part = fc.oneof(
    fc.constantFrom("0", "1", "01", "-1", "1e3", "", "AAAA", "=", SIGNER),
    fc.string(),
    fc.base64String(),
  );
  const mutated = line.chain((given) => {
    const text = encodeLine(given);
    return fc.tuple(fc.nat(text.length), fc.string({ maxLength: 2 }), fc.nat(3)).map(([at, insert, drop]) =>
      text.slice(0, at) + insert + text.slice(at + drop)
    );
  });
  fc.assert(fc.property(fc.oneof(mutated, fc.array(part, { maxLength: 6 }).map((parts) => parts.join("|"))), (text) => {
    const parsed = parseLine(text);
    assert(parsed === undefined || encodeLine(parsed) === text);
  }));
});

Deno.test("parseLine() refuses every other form", () => {
  const body = "A".repeat(43) + "=";
  const good = `0|1|${body}|AAAA|${SIGNER}`;
  assert(parseLine(good));
  const wrong = [
    "",
    "|",
    "||||",
    `${good}\n`,
    `${good}\r`,
    ` ${good}`,
    `${good}|`,
    `${good}|x`,
    `0|1|${body}|AAAA`,
    `0|1|${body}||${SIGNER}`,
    `00|1|${body}|AAAA|${SIGNER}`,
    `+0|1|${body}|AAAA|${SIGNER}`,
    `-0|1|${body}|AAAA|${SIGNER}`,
    `0.0|1|${body}|AAAA|${SIGNER}`,
    `1e1|1|${body}|AAAA|${SIGNER}`,
    `9007199254740992|1|${body}|AAAA|${SIGNER}`,
    `0|9007199254740992|${body}|AAAA|${SIGNER}`,
    `0|99999999999999999999|${body}|AAAA|${SIGNER}`,
    `٠|1|${body}|AAAA|${SIGNER}`,
    `0|1|AAAA|AAAA|${SIGNER}`,
    `0|1||AAAA|${SIGNER}`,
    `0|1|${body.replace("A=", "B=")}|AAAA|${SIGNER}`,
    `0|1|${body}|AAA|${SIGNER}`,
    `0|1|${body}|AA_A|${SIGNER}`,
    `0|1|${body}|AAAA|${SIGNER.toUpperCase()}`,
    `0|1|${body}|AAAA|${SIGNER.slice(1)}`,
    `0|1|${body}|AAAA|${SIGNER}0`,
    `0|1|${"A".repeat(64)}|AAAA|${SIGNER.replace("9", "g")}`,
  ];
  for (const text of wrong) assert.equal(parseLine(text), undefined, JSON.stringify(text));
});

Deno.test("parseLine() takes bodies of two blocks and more alone", () => {
  for (let size = 0; size <= 80; size++) {
    const text = encodeLine({
      seqno: 0,
      ts: 0,
      body: new Uint8Array(size),
      signature: Uint8Array.of(1),
      signer: SIGNER,
    });
    assert.equal(parseLine(text) !== undefined, size >= 32 && size % 16 === 0, `${size} bytes`);
  }
});

Deno.test("parseLine() takes no line that is longer than a file's may be", () => {
  const lineOf = (size: number) => {
    const rest = `0|1|${"A".repeat(43)}=||${SIGNER}`;
    return rest.replace("||", `|${"A".repeat(size - rest.length)}|`);
  };
  const longest = MAX_LINE_BYTES - 1 - (lineOf(1000).length - 1000);
  const fitting = longest - (longest - `0|1|${"A".repeat(43)}=||${SIGNER}`.length) % 4;
  assert(parseLine(lineOf(fitting)));
  assert.equal(parseLine(lineOf(fitting + 4)), undefined);
});

Deno.test("messageInput() throws for a number that 8 bytes would hold as another", () => {
  for (const number of [-1, 0.5, NaN, Infinity, 2 ** 53]) {
    assert.throws(() => messageInput(number, 0, new Uint8Array(32)), RangeError, `seqno ${number}`);
    assert.throws(() => messageInput(0, number, new Uint8Array(32)), RangeError, `ts ${number}`);
  }
});

Deno.test("messageInput() is seqno and ts as 8 bytes each, big-endian, and the body", () => {
  assert.equal(
    encodeHex(messageInput(1, 1_700_055_622_123, Uint8Array.of(0xab))),
    "00000000000000010000018bd33621ebab",
  );
  assert.equal(encodeHex(messageInput(2 ** 53 - 1, 0, new Uint8Array())), "001fffffffffffff0000000000000000");
});

Deno.test("TranscriptSummary hashes the lines joined with LF, as text or as bytes", () => {
  const summary = new TranscriptSummary();
  assert.deepEqual(summary.digest(), sha256());
  assert.deepEqual([summary.count, summary.first, summary.last], [0, null, null]);
  summary.add("a", 3, 0);
  assert.deepEqual(summary.digest(), sha256(encodeUtf8("a")));
  summary.add(encodeUtf8("b"), 7, 0);
  summary.add("c", 8, 0);
  assert.equal(summary.hash(), encodeHex(sha256(encodeUtf8("a\nb\nc"))));
  assert.deepEqual([summary.count, summary.first, summary.last], [3, 3, 8]);
});

Deno.test("TranscriptSummary tells a first seqno of 0 from none", () => {
  const summary = new TranscriptSummary();
  summary.add("a", 0, 0);
  summary.add("b", 1, 0);
  assert.deepEqual([summary.first, summary.last], [0, 1]);
});

Deno.test("a line that an editor or a transfer has changed is told as that", () => {
  const problem = (text: string) => lineProblem(text, "a line");
  assert.match(problem("0|1|AAAA\r"), /CR LF/);
  assert.match(problem("\xef\xbb\xbf0|1"), /byte order mark/);
  for (const text of ["\xff\xfe0\0", "\xfe\xff\x000", "\x000\0", "0\0|\0"]) assert.match(problem(text), /UTF-16/);
  assert.equal(problem(""), "is empty");
  assert.equal(problem("0|1"), "is not a line");
});
