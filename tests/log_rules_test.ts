import { assert } from "./assert.ts";
import type { Statement } from "../lib/log_envelope.ts";
import { type LinesBefore, rightProblem } from "../lib/log_rules.ts";
import { RoomState } from "../lib/log_roles.ts";

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
  return rightProblem({ index: base + lines.length, author, statement }, before, by);
}

const join = (username: string): Statement => ({ kind: "join", username });
const say = (text: string): Statement => ({ kind: "text", text });
const START: readonly (readonly [string, Statement])[] = [[ADA, join("ada")], [BOB, join("bob")], [BOB, say("hello")]];
const NOT_IN = "Its author was not in the room.";
const NO_ROLE = "Its author's role does not allow it.";

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
  assert.equal(problemAfter(muted, [BOB, say("psst")], { by: 999 }), "Its author was muted.");
  assert.equal(problemAfter(muted, [BOB, say("psst")]), undefined);
  assert.equal(
    problemAfter([...START, [ADA, { kind: "mute", username: "bob" }]], [BOB, say("psst")]),
    "Its author was muted.",
  );
});

Deno.test("people erase words of their own, and no acts", () => {
  const erase = (index: number): Statement => ({ kind: "redact", index });
  assert.equal(problemAfter(START, [BOB, erase(2)]), undefined);
  for (const [who, index] of [[ADA, 2], [BOB, 1], [BOB, 3], [BOB, 9]] as const) {
    assert.equal(problemAfter(START, [who, erase(index)]), "It erases what its author may not erase.");
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
