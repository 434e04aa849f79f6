import { assert } from "./assert.ts";
import type { Statement } from "../lib/log_envelope.ts";
import { lineHashes, logHash } from "../lib/log_line.ts";
import { RoomState } from "../lib/log_roles.ts";
import {
  hashFaults,
  headFault,
  isAheadOfCheckpoint,
  type LinesBefore,
  mayErase,
  orderFaults,
  rightFault,
  rightReason,
  riseFault,
  roomFault,
} from "../lib/log_rules.ts";

const [ADA, BOB, EVE] = ["a".repeat(64), "b".repeat(64), "e".repeat(64)];
const NAMES: Readonly<Record<string, string>> = { [ADA]: "ada", [BOB]: "bob" };

/** The problem of a line after these: by whom, and what; every one of them was good. */
function problemAfter(
  lines: readonly (readonly [string, Statement])[],
  [author, statement]: readonly [string, Statement],
  { base = 0, by }: { base?: number; by?: number } = {},
): string | undefined {
  const state = new RoomState("#ops", false);
  for (const [who, said] of lines) state.apply({ author: who, username: NAMES[who] ?? "", statement: said });
  const before: LinesBefore = {
    state,
    base,
    usernameOf: (who) => lines.some(([other, { kind }]) => other === who && kind === "join") ? NAMES[who] : undefined,
    authorOf: (index) => lines[index - base]?.[0],
    isLasting: (index) => !["text", undefined].includes(lines[index - base]?.[1].kind),
  };
  const fault = rightFault({ index: base + lines.length, author, statement }, before, by);
  return fault && rightReason(fault);
}

const join = (username: string): Statement => ({ kind: "join", username });
const say = (text: string): Statement => ({ kind: "text", text });
const START: readonly (readonly [string, Statement])[] = [[ADA, join("ada")], [BOB, join("bob")], [BOB, say("hello")]];
const NOT_IN = "The author was not in the room.";
const NO_ROLE = "The author's role does not allow it.";

Deno.test("members write, and nobody else", () => {
  assert.equal(problemAfter(START, [BOB, say("again")]), undefined);
  assert.equal(problemAfter(START, [EVE, say("I never joined")]), NOT_IN);
  assert.equal(problemAfter([...START, [ADA, { kind: "kick", username: "bob" }]], [BOB, say("still here")]), NOT_IN);
  assert.equal(problemAfter([...START, [BOB, { kind: "part" }]], [BOB, say("still here")]), NOT_IN);
});

Deno.test("owners give roles and remove people, members do not", () => {
  const promote: Statement = { kind: "role", username: "bob", role: "moderator" };
  assert.equal(problemAfter(START, [ADA, promote]), undefined);
  assert.equal(problemAfter(START, [BOB, promote]), NO_ROLE);
  assert.equal(problemAfter(START, [BOB, { kind: "kick", username: "ada" }]), NO_ROLE);
});

Deno.test("a ban and a mute forbid where they lasted beyond the time at which the line had its place", () => {
  const banned = [...START, [ADA, { kind: "ban", username: "bob", until: 1_000 }]] as const;
  assert.match(problemAfter(banned, [BOB, join("bob")], { by: 999 }) ?? "", /banned/);
  assert.equal(problemAfter(banned, [BOB, join("bob")], { by: 1_000 }), undefined);
  assert.equal(problemAfter(banned, [BOB, join("bob")]), undefined, "when it was isn't known");
  assert.match(problemAfter([...START, [ADA, { kind: "ban", username: "bob" }]], [BOB, join("bob")]) ?? "", /banned/);
  const muted = [...START, [ADA, { kind: "mute", username: "bob", until: 1_000 }]] as const;
  assert.equal(problemAfter(muted, [BOB, say("psst")], { by: 999 }), "The author was muted.");
  assert.equal(problemAfter(muted, [BOB, say("psst")]), undefined);
  assert.equal(
    problemAfter([...START, [ADA, { kind: "mute", username: "bob" }]], [BOB, say("psst")]),
    "The author was muted.",
  );
});

Deno.test("people erase words of their own, and no acts", () => {
  const erase = (index: number): Statement => ({ kind: "redact", index });
  assert.equal(problemAfter(START, [BOB, erase(2)]), undefined);
  for (const [who, index] of [[ADA, 2], [BOB, 1], [BOB, 3], [BOB, 9]] as const) {
    assert.equal(problemAfter(START, [who, erase(index)]), "The author may not erase that line.");
  }
  assert.equal(problemAfter(START, [BOB, erase(5)], { base: 10 }), undefined, "whose line 5 is isn't known");
});

Deno.test("a certificate has one name", () => {
  assert.equal(problemAfter(START, [BOB, join("Bob")]), undefined);
  assert.equal(problemAfter(START, [BOB, join("ada")]), 'This certificate called itself "bob" before.');
});

Deno.test("nobody is judged by a role where the first lines are not known", () => {
  assert.equal(problemAfter(START, [EVE, { kind: "kick", username: "ada" }], { base: 10 }), undefined);
});

const OURS = logHash("chat.example/#ops/8f14e45fceea167a5a36dedd4bea2543");
const OTHERS = logHash("chat.example/#ops/00000000000000000000000000000000");
const [WORDS, BODY] = [new Uint8Array([1, 2, 3]), new Uint8Array([4, 5, 6])];
const NO_LINES = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const [ROOT, OTHER_ROOT] = ["1".repeat(64), "2".repeat(64)];

Deno.test("a line's three hashes name its log, its words and its body, and what isn't at hand isn't asked", () => {
  const hashes = lineHashes({ log: OURS, envelope: WORDS, body: BODY });
  assert.deepEqual(hashFaults(hashes, { log: OURS, words: WORDS, body: BODY }), []);
  assert.deepEqual(hashFaults(hashes, { log: OTHERS, words: BODY, body: WORDS }), [
    { rule: "log" },
    { rule: "words" },
    { rule: "body" },
  ]);
  assert.deepEqual(hashFaults(hashes, {}), []);
  assert.deepEqual(hashFaults(hashes, { body: WORDS }), [{ rule: "body" }]);
});

Deno.test("an author's lines are numbered without a gap, and their times never fall", () => {
  const before = { next: 4, ts: 1_000 };
  assert.deepEqual(orderFaults({ seqno: 4, ts: 1_000 }, before), []);
  assert.deepEqual(orderFaults({ seqno: 5, ts: 1_000 }, before), [{ rule: "seqno", due: 4 }]);
  assert.deepEqual(orderFaults({ seqno: 3, ts: 999 }, before), [
    { rule: "seqno", due: 4 },
    { rule: "time", before: 1_000 },
  ]);
  assert.deepEqual(orderFaults({ seqno: 17, ts: 0 }, { next: undefined, ts: 0 }), [], "the lines before aren't known");
});

Deno.test("words are for their room", () => {
  assert.equal(roomFault({ room: "#ops" }, "#ops"), undefined);
  assert.deepEqual(roomFault({ room: "#Ops" }, "#ops"), { rule: "room" });
});

Deno.test("an author had seen a head that was there and is this log's, and no smaller one than in the line before", () => {
  const place = { index: 9, rootAt: (size: number) => size < 3 ? undefined : ROOT };
  const seen = (size: number, root: string) => ({ seen: { size, root } });
  assert.equal(headFault(seen(9, ROOT), place), undefined);
  assert.deepEqual(headFault(seen(10, ROOT), place), { rule: "seen too much" });
  assert.deepEqual(headFault(seen(9, OTHER_ROOT), place), { rule: "seen another log" });
  assert.equal(headFault(seen(2, OTHER_ROOT), place), undefined, "a root that isn't known is not compared");
  assert.equal(headFault(seen(0, NO_LINES), place), undefined);
  assert.deepEqual(headFault(seen(0, ROOT), place), { rule: "seen another log" });
  assert.equal(riseFault(seen(5, ROOT), 5), undefined);
  assert.deepEqual(riseFault(seen(4, ROOT), 5), { rule: "seen less", before: 5 });
});

Deno.test("a checkpoint covers no line that is more than five minutes ahead of the end of its second", () => {
  assert.equal(isAheadOfCheckpoint(1_000_000 + 300_999, 1_000), false);
  assert.equal(isAheadOfCheckpoint(1_000_000 + 301_000, 1_000), true);
});

Deno.test("an erasure's line is the author's own, and words", () => {
  assert.equal(mayErase(BOB, { author: BOB, isLasting: false }), true);
  assert.equal(mayErase(BOB, { author: ADA, isLasting: false }), false);
  assert.equal(mayErase(BOB, { author: undefined, isLasting: false }), false);
  assert.equal(mayErase(BOB, { author: BOB, isLasting: true }), false);
});
