import { assert } from "./assert.ts";
import { NEXT_PHASE, type RoomPhase, RoomStates, type RoomStep } from "../lib/client_room_states.ts";

/** A room after these steps. */
function after(...steps: readonly RoomStep[]): RoomStates {
  const states = new RoomStates();
  for (const step of steps) states.take(step);
  return states;
}

const LIVE = ["enter", "let in", "caught up"] as const;
const phases = Object.keys(NEXT_PHASE) as RoomPhase[];

Deno.test("a member comes back into a room, and a newcomer joins it first", () => {
  assert.equal(after("enter").phase, "asking");
  assert.equal(after("enter", "let in").phase, "catching up");
  assert.equal(after(...LIVE).phase, "live");
  assert.equal(after("enter", "let in anew").phase, "joining");
  assert.equal(after("enter", "let in anew", "stands", "caught up").phase, "live");
});

Deno.test("a membership begins when the join line stands, and outlives the connection", () => {
  assert.equal(after("enter").membership, "unknown");
  assert.equal(after("enter", "let in anew").membership, "unknown");
  assert.equal(after("enter", "let in anew", "stands").membership, "in");
  assert.equal(after(...LIVE, "offline").membership, "in");
  assert.equal(after(...LIVE, "put out").membership, "out");
  assert.equal(after(...LIVE, "put out", "offline").membership, "out");
});

Deno.test("whoever was put out is neither in nor out from the moment in which the server lets them in again", () => {
  assert.equal(after(...LIVE, "put out", "enter").membership, "out");
  assert.equal(after(...LIVE, "put out", "enter", "refused").membership, "out");
  assert.equal(after(...LIVE, "put out", "enter", "let in anew").membership, "unknown");
  assert.equal(after(...LIVE, "put out", "enter", "let in anew", "refused").membership, "unknown");
  assert.equal(after(...LIVE, "put out", "enter", "let in").membership, "in");
});

Deno.test("a member who asks again stays a member if the server refuses", () => {
  const states = after(...LIVE, "enter", "refused");
  assert.deepEqual([states.phase, states.membership], ["apart", "in"]);
});

Deno.test("a connection may break, a line may put somebody out, and a log may go, in every phase", () => {
  for (const phase of phases) {
    for (const step of ["offline", "put out", "log gone"] as const) assert.ok(NEXT_PHASE[phase][step], phase);
    assert.equal(NEXT_PHASE[phase]["offline"], "apart", phase);
  }
});

Deno.test("a room whose log is gone is entered again only in another session", () => {
  assert.throws(() => after("enter", "log gone", "enter"), /a room that is gone can't take the step "enter"/);
  assert.equal(after("enter", "log gone", "put out").phase, "gone");
  assert.equal(after("enter", "log gone", "offline", "enter").phase, "asking");
});

Deno.test("every phase can be reached, and no other step than those of the table is taken", () => {
  const reached = new Set<RoomPhase>(["apart"]);
  for (const phase of reached) for (const next of Object.values(NEXT_PHASE[phase])) reached.add(next);
  assert.deepEqual(new Set(phases), reached);
  assert.throws(() => after("stands"), /a room that is apart can't take the step "stands"/);
  assert.throws(() => after("enter", "caught up"), /a room that is asking/);
});
