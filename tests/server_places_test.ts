import { assert } from "./assert.ts";
import { type Place, Places } from "../lib/server_places.ts";

/** Places under a clock that the test moves, and the names of those that gave way. */
function places(all: number, perSource = all) {
  let now = 0;
  const gone: string[] = [];
  const made = new Places({ all, perSource }, () => now);
  return {
    places: made,
    gone,
    pass: (ms: number) => now += ms,
    /** Takes a place; its socket is closed at once when it gives way. */
    take(source: string, name = source): Place | undefined {
      const place: Place | undefined = made.take(source, () => {
        gone.push(name);
        if (mine) made.leave(mine);
      });
      const mine = place;
      return place;
    },
  };
}

Deno.test("a full server makes the oldest silent connection of the busiest address give way to a newcomer", () => {
  const { take, gone, pass, places: { size } } = places(4);
  assert.equal(size, 0);
  for (const name of ["one", "two", "three"]) {
    assert.ok(take("10.0.0.1", name));
    pass(10);
  }
  assert.ok(take("10.0.0.2"));
  assert.ok(take("10.0.0.3"), "somebody else's first");
  assert.deepEqual(gone, ["one"]);
});

Deno.test("who has shown a key or has a session never gives way, and then a newcomer is refused", () => {
  const { take, gone, pass } = places(2);
  const [first, second] = [take("10.0.0.1"), take("10.0.0.1")];
  assert.ok(first && second);
  first.progress = "proven";
  second.progress = "session";
  pass(60_000);
  assert.equal(take("10.0.0.2"), undefined);
  assert.deepEqual(gone, []);
});

Deno.test("an address that is full makes its own silent ones give way, no sooner than after two seconds", () => {
  const { take, gone, pass } = places(100, 2);
  take("10.0.0.1", "one");
  take("10.0.0.1", "two");
  assert.equal(take("10.0.0.1"), undefined);
  assert.ok(take("10.0.0.2"), "others have theirs");
  pass(2_000);
  assert.ok(take("10.0.0.1", "three"));
  assert.deepEqual(gone, ["one"]);
});

Deno.test("a place counts until its socket is closed, whatever it was told", () => {
  const made = new Places({ all: 2, perSource: 2 }, () => 5_000);
  const first = made.take("10.0.0.1", () => {});
  made.take("10.0.0.1", () => {});
  assert.ok(made.take("10.0.0.2", () => {}), "its socket is about to close");
  assert.equal(made.size, 3);
  assert.equal(first?.isLeaving, true);
  if (first) made.leave(first);
  assert.equal(made.size, 2);
});

Deno.test("the last tenth of the places is for people who resume a session", () => {
  const { take, places: all } = places(20);
  for (let i = 0; i < 18; i++) {
    assert.ok(all.hasRoomForStrangers, `${i} sessions`);
    const place = take(`10.0.0.${i}`);
    if (place) place.progress = "session";
  }
  assert.ok(!all.hasRoomForStrangers);
  assert.ok(take("10.0.1.1"), "who it is shows later");
});
