import { assert } from "./assert.ts";
import { MemberLimits } from "../lib/server_limits.ts";
import { handClock } from "./fixtures.ts";

Deno.test("an account's lines wait once its burst is used up, on whichever connection, and nobody else's do", () => {
  const clock = handClock();
  const limits = new MemberLimits({ linesPerSecond: 2, lineBytesPerSecond: 1_000_000 }, clock.now);
  for (let line = 0; line < 20; line++) assert.equal(limits.timeOfLine("mallory", 100), 0);
  assert.equal(limits.timeOfLine("mallory", 100), 500);
  assert.equal(limits.timeOfLine("ada", 100), 0);
  clock.advance(60_000);
  assert.equal(limits.timeOfLine("mallory", 100), 0);
});

Deno.test("long lines wait by their bytes", () => {
  const limits = new MemberLimits({ linesPerSecond: 1_000, lineBytesPerSecond: 16_000 }, handClock().now);
  assert.deepEqual([1, 2, 3, 4].map(() => limits.timeOfLine("mallory", 16_000)), [0, 0, 0, 1_000]);
});

Deno.test("requests that leave something behind have a limit, and others have none of their own", () => {
  const limits = new MemberLimits({ linesPerSecond: 1, lineBytesPerSecond: 1 }, handClock().now);
  const refused = (type: string) => {
    let count = 0;
    for (let i = 0; i < 1_000; i++) {
      try {
        limits.check("mallory", type);
      } catch {
        count += 1;
      }
    }
    return count;
  };
  assert.deepEqual(["code", "logout", "join", "ping"].map(refused), [980, 980, 500, 0]);
});
