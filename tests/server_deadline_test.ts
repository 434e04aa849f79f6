import { assert } from "./assert.ts";
import { Deadline } from "../lib/server_deadline.ts";

/** A deadline of one second from now, and whether it has run out. */
function deadline(): { readonly one: Deadline; at(ms: number): boolean } {
  let isOut = false;
  const start = performance.now();
  const one = new Deadline(1_000, () => isOut = true, () => {});
  return {
    one,
    at: (ms) => {
      one.look(start + ms);
      return isOut;
    },
  };
}

Deno.test("a deadline runs out after its time and not before", () => {
  const { at } = deadline();
  assert.equal(at(990), false);
  assert.equal(at(1_100), true);
});

Deno.test("a deadline that is set anew has its whole time again", () => {
  const { one, at } = deadline();
  one.set(5_000);
  assert.equal(at(1_100), false);
  assert.equal(at(5_100), true);
});

Deno.test("a deadline stands still while the work that it is paused for goes on, and goes on when that failed", async () => {
  const { one, at } = deadline();
  const { promise, reject } = Promise.withResolvers<void>();
  const paused = one.pauseFor(promise);
  assert.equal(at(100_000), false);
  reject(new Error("the work failed"));
  await assert.rejects(paused, /the work failed/);
  assert.equal(at(100_000), true);
});
