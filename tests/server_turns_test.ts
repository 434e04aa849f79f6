import { assert } from "./assert.ts";
import { Turns } from "../lib/server_turns.ts";

/** Turns under a clock that the test moves; each rest ends when the test says so. */
function turns() {
  let now = 0;
  const rests: { readonly ms: number; readonly end: () => void }[] = [];
  const made = new Turns({
    now: () => now,
    sleep: (ms) => new Promise((end) => rests.push({ ms, end })),
  });
  return { turns: made, rests, pass: (ms: number) => now += ms };
}

/** Lets everything happen that waits for nothing but its turn. */
const settle = () => new Promise((resolve) => setTimeout(resolve, 0));

Deno.test("who works long rests as long where others ask, and they don't wait", async () => {
  const { turns: all, rests } = turns();
  const [mallory, ada] = [all.share("mallory"), all.share("ada")];
  assert.equal(mallory.turn(), undefined);
  assert.equal(ada.turn(), undefined);
  mallory.spend(3);
  assert.equal(mallory.turn(), undefined, "that was little");
  mallory.spend(3);
  assert.deepEqual(rests.map(({ ms }) => ms), [6]);
  let goesOn = false;
  void mallory.turn()?.then(() => goesOn = true);
  await settle();
  assert.ok(!goesOn);
  assert.equal(ada.turn(), undefined);
  rests[0]?.end();
  await settle();
  assert.ok(goesOn);
});

Deno.test("ten connections of one account have one share: they rest together and go on one after the other", async () => {
  const { turns: all, rests } = turns();
  all.share("ada").turn();
  const mine = Array.from({ length: 10 }, () => all.share("mallory"));
  for (const share of mine) assert.equal(share.turn(), undefined);
  mine[0]?.spend(5);
  const order: number[] = [];
  for (const [at, share] of mine.entries()) {
    void share.turn()?.then(async () => {
      order.push(at);
      for (let step = 0; step < 5; step++) await Promise.resolve(); // as until a frame is parsed
      share.spend(5); // its work: the others rest again
    });
  }
  for (let taken = 1; taken <= 3; taken++) {
    rests.splice(0).forEach(({ end }) => end());
    await settle();
    assert.deepEqual(order, [0, 1, 2].slice(0, taken));
  }
});

Deno.test("who is alone has the whole server: only one look at the sockets now and then", () => {
  const { turns: all, rests, pass } = turns();
  const [mallory, ada] = [all.share("mallory"), all.share("ada")];
  ada.turn();
  pass(2_000);
  mallory.turn();
  pass(2_000);
  mallory.spend(20);
  assert.deepEqual(rests, []);
  mallory.spend(20);
  assert.deepEqual(rests.map(({ ms }) => ms), [0]);
});

Deno.test("a share is there as long as a connection works out of it", () => {
  const { turns: all } = turns();
  const [one, two] = [all.share("ada"), all.share("ada")];
  assert.equal(one, two);
  one.leave();
  assert.equal(all.size, 1);
  two.leave();
  assert.equal(all.size, 0);
});
