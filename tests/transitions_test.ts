import { assert } from "./assert.ts";
import { NEXT, nextState, type Side, type State } from "../lib/transitions.ts";

Deno.test("nextState() follows the table and takes nothing that isn't in it", () => {
  assert.equal(nextState("server", "hello", "hello"), "key_agreement");
  assert.equal(nextState("server", "account", "salt"), "account");
  assert.equal(nextState("server", "session", "hello"), undefined);
  assert.equal(nextState("client", "session", "receipt"), undefined);
  for (const name of ["toString", "constructor", "__proto__", ""]) {
    assert.equal(nextState("server", "hello", name), undefined);
  }
});

Deno.test("every state but the ends can be reached and left", () => {
  for (const side of Object.keys(NEXT) as Side[]) {
    const table: Readonly<Record<string, Readonly<Record<string, string>>>> = NEXT[side];
    const states = Object.keys(table);
    const reached = new Set(Object.values(table).flatMap((steps) => Object.values(steps)));
    const first = states[0];
    for (const state of states) {
      if (state !== first && state !== "failed") assert.ok(reached.has(state), `${side}: ${state} is never reached`);
      const isEnd = state === "ended" || state === "failed";
      assert.equal(Object.keys(table[state as State] ?? {}).length === 0, isEnd, `${side}: ${state}`);
    }
  }
});
