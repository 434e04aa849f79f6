import { assert } from "./assert.ts";
import type { Statement } from "../lib/log_envelope.ts";
import { RoomState } from "../lib/log_roles.ts";
import { type AuthorPlace, isSnapshotDue, openSnapshot, sealSnapshot } from "../lib/room_snapshot.ts";

const ORIGIN = `localhost/#ops/${"0".repeat(32)}`;
const PLAIN = { wrap: (key: Uint8Array<ArrayBuffer>) => key, unwrap: (key: Uint8Array<ArrayBuffer>) => key };
const ROOM: [string, boolean] = ["#ops", true];

/** A room in which everything has happened that a line can do to people. */
function state(): RoomState {
  const made = new RoomState(...ROOM);
  const acts: [string, Statement][] = [
    ["ada", { kind: "join", username: "Ada" }],
    ["ada", { kind: "topic", text: "release" }],
    ["bob", { kind: "join", username: "bob" }],
    ["ada", { kind: "role", username: "bob", role: "moderator" }],
    ["eve", { kind: "join", username: "eve" }],
    ["ada", { kind: "ban", username: "eve" }],
    ["ada", { kind: "mute", username: "bob", until: 2_000 }],
    ["tom", { kind: "join", username: "tom" }],
    ["tom", { kind: "part" }],
    ["ada", { kind: "invite", username: "joe" }],
  ];
  for (const [username, statement] of acts) made.apply({ author: `device of ${username}`, username, statement });
  return made;
}

const PEOPLE = ["Ada", "bob", "eve", "tom", "joe", "stranger"];
function seen(one: RoomState) {
  return {
    members: one.members,
    count: one.memberCount,
    topic: one.topic,
    people: PEOPLE.map((name) => [
      one.objectionToJoining(name, 1_000),
      one.bannedUntil(name),
      one.mutedUntil(name),
      one.devicesOf(name),
      one.isIdle({ author: "device of ada", username: "ada", statement: { kind: "invite", username: name } }, 1_000),
    ]),
  };
}

Deno.test("a state that was stored is the same again, and goes on the same", () => {
  const authors = new Map<string, AuthorPlace>([["a".repeat(64), { nextSeqno: 3, ts: 5, seenSize: 2 }]]);
  const snapshot = { index: 10, state: state(), authors, joinedAt: 4 };
  const stored = sealSnapshot(snapshot, ORIGIN, PLAIN);
  assert.ok(stored);
  const again = openSnapshot(stored, ROOM, ORIGIN, PLAIN);
  assert.ok(again);
  assert.deepEqual([again.index, again.authors, again.joinedAt], [10, authors, 4]);
  assert.deepEqual(seen(again.state), seen(snapshot.state));
  assert.equal(seen(again.state).people[2]?.[1], Infinity);
  for (const one of [again.state, snapshot.state]) {
    one.apply({ author: "device of ada", username: "ada", statement: { kind: "kick", username: "bob" } });
    one.apply({ author: "device of joe", username: "joe", statement: { kind: "join", username: "joe" } });
  }
  assert.deepEqual(seen(again.state), seen(snapshot.state));
});

Deno.test("a state that can't be unwrapped, was cut or has another form is none", () => {
  const stored = sealSnapshot({ index: 1, state: state(), authors: new Map(), joinedAt: undefined }, ORIGIN, PLAIN);
  assert.ok(stored);
  const opened = (bytes: Uint8Array<ArrayBuffer>, keys = PLAIN) =>
    openSnapshot({ index: 1, state: bytes }, ROOM, ORIGIN, keys as typeof PLAIN);
  assert.ok(opened(stored.state));
  assert.equal(opened(stored.state, { ...PLAIN, unwrap: () => undefined } as never), undefined);
  assert.equal(opened(stored.state.slice(0, -9)), undefined);
  const other = new TextDecoder().decode(stored.state).replace(`"v":1`, `"v":2`);
  assert.equal(opened(new TextEncoder().encode(other)), undefined);
});

Deno.test("a state is stored every thousand lines, less often where it is large, and never where it is huge", () => {
  const [small, many] = [new Map<string, AuthorPlace>(), new Map<string, AuthorPlace>()];
  for (let at = 0; at < 5_000; at++) many.set(`${at}`, { nextSeqno: 1, ts: 1, seenSize: 0 });
  const due = (lines: number, authors: Map<string, AuthorPlace>) => isSnapshotDue(lines, { state: state(), authors });
  assert.deepEqual([due(999, small), due(1_000, small), due(5_000, many), due(5_005, many)], [
    false,
    true,
    false,
    true,
  ]);
  for (let at = 0; at < 60_000; at++) many.set(`${at}`.padEnd(64, "f"), { nextSeqno: 1, ts: 1, seenSize: 0 });
  const huge = { index: 1, state: state(), authors: many, joinedAt: undefined };
  assert.equal(sealSnapshot(huge, ORIGIN, PLAIN), undefined);
});
