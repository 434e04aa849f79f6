import fc from "fast-check";
import { assert } from "./assert.ts";
import { type Bytes, concat, encodeHex, encodeUtf8, parseUtf8 } from "../lib/bytes.ts";
import {
  encodeEnvelope,
  type EnvelopeOptions,
  isKnownKind,
  MAX_ENVELOPE_DEPTH,
  MAX_ENVELOPE_OCTETS,
  parseEnvelope,
  type Statement,
} from "../lib/log_envelope.ts";
import { ProtocolError } from "../lib/errors.ts";
import { canonicalJson, isJsonObject, type Json, parseJson } from "../lib/json.ts";
import { EMPTY_ROOT } from "../lib/log_tree.ts";

const empty = { size: 0, root: encodeHex(EMPTY_ROOT) };
const salt = Uint8Array.from({ length: 16 }, (_, number) => number);
const plain: EnvelopeOptions = { room: "#ops", seen: empty, statement: { kind: "text", text: "Ada wrote this" }, salt };
const bytes = encodeEnvelope(plain);

function refuses(envelope: Uint8Array, reason: RegExp): void {
  assert.throws(
    () => parseEnvelope(envelope),
    (error) => error instanceof ProtocolError && error.code === "bad-envelope" && reason.test(error.message),
    parseUtf8(envelope) ?? encodeHex(envelope),
  );
}

/** The envelope with some names set to other values, in its canonical form. */
function put(fields: Record<string, Json>): Bytes {
  const object = parseJson(parseUtf8(bytes) ?? "");
  assert(isJsonObject(object));
  return encodeUtf8(canonicalJson({ ...object, ...fields }) ?? "");
}

/** The envelope with one piece of its text replaced. */
function spell(old: string, other: string): Bytes {
  const text = parseUtf8(bytes) ?? "";
  assert(text.includes(old));
  return encodeUtf8(text.replace(old, other));
}

Deno.test("encodeEnvelope() writes the RFC 8785 form", () => {
  assert.equal(
    parseUtf8(bytes),
    `{"body":"Ada wrote this","kind":"text","room":"#ops","salt":"AAECAwQFBgcICQoLDA0ODw==","seen":{"root":"${empty.root}","size":0},"v":1}`,
  );
});

const fingerprint = "ab".repeat(32);
const statements: readonly Statement[] = [
  { kind: "text", text: "" },
  { kind: "text", text: 'Grüße, 你好, \u{1f600}, שלום\n\u001b[31m \u2028 \\ "' },
  { kind: "topic", text: "what this is about" },
  { kind: "join", username: "ada" },
  { kind: "join", username: "ada", was: fingerprint },
  { kind: "part" },
  { kind: "head" },
  { kind: "invite", username: "dan" },
  { kind: "kick", username: "dan" },
  { kind: "ban", username: "dan", until: 1_700_003_600 },
  { kind: "mute", username: "dan", until: 0 },
  { kind: "role", username: "bob", role: "moderator" },
  { kind: "redact", index: 9 },
  { kind: "device", fingerprint },
];

Deno.test("parseEnvelope() reads what encodeEnvelope() wrote, of every kind", () => {
  for (const statement of statements) {
    const seen = { size: 41, root: fingerprint };
    const read = parseEnvelope(encodeEnvelope({ ...plain, seen, statement }));
    assert.deepEqual(read.statement, statement);
    assert.deepEqual([read.room, read.seen, read.kind], ["#ops", seen, statement.kind]);
    assert(isKnownKind(statement.kind));
  }
});

Deno.test("a join says that it consents to a recorded room", () => {
  const { body } = parseEnvelope(encodeEnvelope({ ...plain, statement: { kind: "join", username: "ada" } }));
  assert.deepEqual(body, { mode: "recorded", recorded: true, username: "ada" });
});

Deno.test("parseEnvelope() takes unknown kinds and unknown names, and keeps their bodies", () => {
  const read = parseEnvelope(put({ kind: "x-poll", body: { options: ["a", null, true] }, thread: { "": [] } }));
  assert.equal(read.statement, undefined);
  assert.deepEqual(read.body, { options: ["a", null, true] });
  for (const kind of ["constructor", "__proto__", "toString", ""]) {
    assert.equal(parseEnvelope(put({ kind, body: 1 })).statement, undefined);
  }
  assert.equal(parseEnvelope(put({ ["__proto__"]: 1 })).kind, "text");
});

Deno.test("parseEnvelope() refuses every other spelling of an envelope", () => {
  const form = /not in the form of RFC 8785/;
  const none = /not a JSON object/;
  refuses(spell(',"kind"', ', "kind"'), form);
  refuses(concat(bytes, encodeUtf8("\n")), form);
  refuses(concat(encodeUtf8("\ufeff"), bytes), none);
  refuses(spell('"body":"Ada wrote this","kind":"text"', '"kind":"text","body":"Ada wrote this"'), form);
  refuses(spell("Ada", "\\u0041da"), form);
  refuses(spell("Ada", "\\/"), form);
  refuses(spell('"v":1}', '"v":1.0}'), form);
  refuses(spell('"v":1}', '"v":1e0}'), form);
  refuses(spell('"v":1}', '"v":1,"x":-0}'), form);
  refuses(spell('"v":1}', '"v":1,"x":9007199254740993}'), form);
  refuses(spell('"v":1}', '"v":1,"x":1e400}'), form);
  refuses(spell('"v":1}', '"v":1,"v":1}'), form);
  refuses(spell('"size":0}', '"size":0,"size":0}'), form);
  refuses(spell("Ada", "\\ud800"), form);
  refuses(spell('"v":1}', '"v":1,"\ufb33":1,"\u{1f600}":2}'), form); // sorted by code points
  refuses(concat(bytes.subarray(0, 9), Uint8Array.of(0xed, 0xa0, 0x80), bytes.subarray(9)), none);
  for (const text of ["", "[]", "null", '"x"', "7", "{", "{}{}"]) refuses(encodeUtf8(text), none);
});

Deno.test("parseEnvelope() refuses what has another v, room, kind, salt or seen, or no body", () => {
  refuses(put({ v: 2 }), /v is not 1/);
  refuses(put({ v: true }), /v is not 1/);
  refuses(put({ room: 7 }), /room or kind/);
  refuses(put({ kind: null }), /room or kind/);
  for (const wrong of ["AAECAwQFBgcICQoLDA0O", "AAECAwQFBgcICQoLDA0ODw", "", null]) {
    refuses(put({ salt: wrong }), /salt/);
  }
  const seen: Json[] = [null, {}, { size: 0 }, { size: -1, root: empty.root }, { size: "0", root: empty.root }];
  for (const wrong of [...seen, { size: 0, root: "AB".repeat(32) }, { size: 0, root: "ab" }]) {
    refuses(put({ seen: wrong }), /seen/);
  }
  refuses(spell('"body":"Ada wrote this",', ""), /no body/);
});

Deno.test("parseEnvelope() refuses a known kind with another body", () => {
  const wrong: [string, Json[]][] = [
    ["text", [5, null, {}, ["a"]]],
    ["topic", [null]],
    ["part", ["bye", {}]],
    ["head", [0]],
    ["join", [
      "ada",
      { username: "ada" },
      { mode: "recorded", recorded: false, username: "ada" },
      { mode: "private", recorded: true, username: "ada" },
      { mode: "recorded", recorded: true },
      { mode: "recorded", recorded: true, username: "a b" },
      { mode: "recorded", recorded: true, username: "ada", was: "x" },
      { mode: "recorded", recorded: true, username: "ada", was: null },
    ]],
    ["invite", [{}, { username: "" }, "dan", ["dan"]]],
    ["ban", [{ until: 5 }, { username: "dan", until: null }, { username: "dan", until: "5" }]],
    ["role", [{ username: "bob", role: "admin" }, { username: "bob" }]],
    ["redact", ["3", null, [3]]],
    ["device", ["0".repeat(63), "AB".repeat(32), null]],
  ];
  for (const [kind, bodies] of wrong) for (const body of bodies) refuses(put({ kind, body }), /The body of a line/);
});

Deno.test("an envelope has at most 16,000 octets, counted in UTF-8", () => {
  const room = MAX_ENVELOPE_OCTETS - encodeEnvelope({ ...plain, statement: { kind: "text", text: "" } }).length;
  const of = (text: string) => encodeEnvelope({ ...plain, statement: { kind: "text", text } });
  assert.equal(of("x".repeat(room)).length, MAX_ENVELOPE_OCTETS);
  assert.throws(() => of("x".repeat(room + 1)), /more than 16000 octets/);
  assert.throws(() => of("ü".repeat(Math.floor(room / 2) + 1)), /more than 16000 octets/);
});

Deno.test("encodeEnvelope() refuses half a character", () => {
  assert.throws(() => encodeEnvelope({ ...plain, statement: { kind: "text", text: "\ud800" } }), /half a character/);
});

Deno.test("an envelope has at most 64 lists and objects in one another, itself the first", () => {
  const nested = (depth: number, open: string, close: string) =>
    spell('"Ada wrote this","kind":"text"', `${open.repeat(depth)}1${close.repeat(depth)},"kind":"x-poll"`);
  for (const [open, close] of [["[", "]"], ['{"a":', "}"], ["[0.5,", "]"]] as const) {
    const read = parseEnvelope(nested(MAX_ENVELOPE_DEPTH - 1, open, close));
    assert.equal(canonicalJson(read.body)?.startsWith(open.repeat(MAX_ENVELOPE_DEPTH - 1)), true);
    for (const depth of [MAX_ENVELOPE_DEPTH, 400, 900]) refuses(nested(depth, open, close), /nested deeper than 64/);
  }
  // So deep that going through it would exhaust the stack, and then so deep that the runtime can't read it.
  for (const depth of [3_000, 7_900]) refuses(nested(depth, "[", "]"), /nested deeper than 64/);
  const side = Array.from({ length: 1_000 }, () => [{}]);
  assert.deepEqual(parseEnvelope(put({ kind: "x-poll", body: side })).body, side);
  assert.equal(parseEnvelope(put({ body: "[{".repeat(5_000) })).body, "[{".repeat(5_000));
});

Deno.test("whatever text there is, it is read as it was written", () => {
  fc.assert(fc.property(fc.string({ unit: "grapheme" }), fc.nat(), (text, size) => {
    const seen = { size, root: fingerprint };
    const read = parseEnvelope(encodeEnvelope({ ...plain, seen, statement: { kind: "text", text } }));
    assert.deepEqual(read.statement, { kind: "text", text });
    assert.equal(read.seen.size, size);
  }));
});

Deno.test("what parseEnvelope() takes has one spelling", () => {
  fc.assert(fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (more) => {
    const object: Record<string, Json> = { ...more, ...JSON.parse(parseUtf8(bytes) ?? "") };
    const canonical = canonicalJson(parseJson(JSON.stringify(object)) ?? null);
    if (canonical === undefined) return; // a lone surrogate among the names
    parseEnvelope(encodeUtf8(canonical));
    refuses(encodeUtf8(JSON.stringify(object, null, 1)), /RFC 8785/);
    refuses(encodeUtf8(canonical.replace('"kind"', '"\\u006bind"')), /RFC 8785/);
  }));
});

Deno.test("an envelope names a head of the server's log with exactly id, root and size", () => {
  const log = { id: "8f14e45fceea167a5a36dedd4bea2543", root: fingerprint, size: 1_024 };
  const read = parseEnvelope(encodeEnvelope({ ...plain, log }));
  assert.deepEqual(read.log, log);
  assert.equal(parseEnvelope(bytes).log, undefined);
  for (
    const wrong of [
      null,
      {},
      { ...log, size: -1 },
      { ...log, id: log.id.toUpperCase() },
      { ...log, id: `${log.id}0` },
      { ...log, root: "ab" },
      { ...log, more: 1 },
      { id: log.id, size: 1 },
    ]
  ) refuses(put({ log: wrong }), /log is not an id/);
});
