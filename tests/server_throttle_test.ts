import { assert } from "./assert.ts";
import { sourceOf, Throttle } from "../lib/server_throttle.ts";

/** A clock that is set by hand. */
function handClock(): (() => number) & { time: number } {
  const clock = Object.assign(() => clock.time, { time: 1_000_000 });
  return clock;
}

Deno.test("Throttle holds a key at its limit, until the window has passed", () => {
  const now = handClock();
  const throttle = new Throttle({ limit: 3, window: 1000 }, now);
  assert.deepEqual([throttle.take("a"), throttle.take("a")], [1, 2]);
  assert(!throttle.holds("a"));
  now.time += 999;
  assert.equal(throttle.take("a"), 3);
  assert(throttle.holds("a") && !throttle.holds("b"));
  now.time += 1;
  assert(!throttle.holds("a"));
  assert.equal(throttle.take("a"), 1);
});

Deno.test("Throttle holds for the lock's time from the event that reached the limit, and tries don't prolong it", () => {
  const now = handClock();
  const throttle = new Throttle({ limit: 2, window: 1000, lock: 5000 }, now);
  throttle.take("a");
  now.time += 900;
  throttle.take("a");
  for (let tries = 0; tries < 4; tries++) {
    now.time += 1000;
    assert.equal(throttle.take("a"), 2);
    assert(throttle.holds("a"));
  }
  now.time += 1000;
  assert(!throttle.holds("a"));
});

Deno.test("Throttle forgets a key, and takes one event back", () => {
  const throttle = new Throttle({ limit: 2, window: 1000 }, handClock());
  throttle.take("a");
  throttle.take("a");
  throttle.giveBack("a");
  assert(!throttle.holds("a"));
  assert.equal(throttle.take("a"), 2);
  throttle.forget("a");
  assert.equal(throttle.take("a"), 1);
  throttle.giveBack("never seen");
  assert.equal(throttle.take("never seen"), 1);
});

Deno.test("Throttle keeps so many keys and no more: nobody is pushed out, those beyond are counted together", () => {
  const now = handClock();
  const throttle = new Throttle({ limit: 3, window: 10_000, size: 100 }, now);
  for (let round = 0; round < 3; round++) throttle.take("victim");
  for (let number = 0; number < 5000; number++) throttle.take(`junk ${number}`);
  assert(throttle.size <= 101);
  assert(throttle.holds("victim"), "a flood of keys must not unlock");
  assert(throttle.holds("yet another"), "the entry that they share is held");
  throttle.forget("yet another");
  assert(throttle.holds("yet another"), "one key's success is not everybody's");

  now.time += 10_000;
  assert(!throttle.holds("victim") && !throttle.holds("yet another"));
  assert.equal(throttle.take("yet another"), 1);
  assert(throttle.size < 10, "what is over was swept away");
});

Deno.test("sourceOf() takes an IPv4 address in both its forms for one, and 64 bits of an IPv6 address", () => {
  const cases: [string, string][] = [
    ["192.0.2.7", "192.0.2.7"],
    ["::ffff:192.0.2.7", "192.0.2.7"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:db8:1:2::1", "2001:db8:1:2::/64"],
    ["2001:db8::1", "2001:db8:0:0::/64"],
    ["2001:db8:0:1::", "2001:db8:0:1::/64"],
    ["::1", "0:0:0:0::/64"],
    ["::", "0:0:0:0::/64"],
    ["fe80::3:4:5:6", "fe80:0:0:0::/64"],
  ];
  for (const [address, source] of cases) assert.equal(sourceOf(address), source, address);
});
