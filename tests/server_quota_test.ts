import { assert } from "./assert.ts";
import { Quota } from "../lib/server_quota.ts";
import { handClock } from "./fixtures.ts";

Deno.test("a quota gives a burst at once, then what comes in by its rate, to each person apart", () => {
  const clock = handClock();
  const lines = new Quota({ rate: 10, burst: 3 }, clock.now);
  assert.deepEqual([1, 2, 3].map(() => lines.take("ada", 1)), [0, 0, 0]);
  assert.equal(lines.take("ada", 1), 100);
  assert.equal(lines.take("ada", 1), 200, "what is owed adds up");
  assert.equal(lines.take("bob", 1), 0);
  clock.advance(10_000);
  assert.deepEqual([1, 2, 3, 4].map(() => lines.tryTake("ada")), [true, true, true, false], "no more than the burst");
});

Deno.test("a clock that goes back costs nobody anything", () => {
  const clock = handClock();
  const lines = new Quota({ rate: 1, burst: 2 }, clock.now);
  lines.take("ada", 1);
  clock.advance(-3_600_000);
  assert.equal(lines.take("ada", 1), 0);
});

Deno.test("who has paid everything back is forgotten", () => {
  const clock = handClock();
  const lines = new Quota({ rate: 1, burst: 1 }, clock.now);
  for (let i = 0; i < 5_000; i++) {
    lines.take(`person ${i}`, 1);
    clock.advance(10);
  }
  assert.ok(lines.size < 2_500, `${lines.size} are known`);
});
