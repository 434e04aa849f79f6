import { assert } from "./assert.ts";
import { GroupCommit } from "../lib/group_commit.ts";

/** A commit that waits until the test lets it end. */
function heldCommit() {
  const rounds: { items: string[]; end: PromiseWithResolvers<void> }[] = [];
  const group = new GroupCommit<string>((items) => {
    const end = Promise.withResolvers<void>();
    rounds.push({ items, end });
    return end.promise;
  });
  return { group, rounds };
}

/** Lets everything run that waits for nothing outside. */
async function idle(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 0));
}

Deno.test("GroupCommit commits the first item at once and what comes meanwhile together, in order", async () => {
  const { group, rounds } = heldCommit();
  const first = group.add("a");
  const others = Promise.all([group.add("b"), group.add("c"), group.add("d")]);
  assert.deepEqual(rounds.map(({ items }) => items), [["a"]]);
  rounds[0]?.end.resolve();
  await first;
  await idle();
  assert.deepEqual(rounds.map(({ items }) => items), [["a"], ["b", "c", "d"]]);
  rounds[1]?.end.resolve();
  await others;
});

Deno.test("GroupCommit.add() doesn't resolve before the commit that holds the item has ended", async () => {
  const { group, rounds } = heldCommit();
  const done: string[] = [];
  const a = group.add("a").then(() => done.push("a"));
  const b = group.add("b").then(() => done.push("b"));
  rounds[0]?.end.resolve();
  await a;
  await idle();
  assert.deepEqual(done, ["a"]);
  rounds[1]?.end.resolve();
  await b;
  assert.deepEqual(done, ["a", "b"]);
});

Deno.test("GroupCommit rejects the items of a failed commit, and goes on with the next", async () => {
  const { group, rounds } = heldCommit();
  const first = group.add("a");
  const second = group.add("b");
  rounds[0]?.end.reject(new Error("no"));
  await assert.rejects(first, /no/);
  await idle();
  rounds[1]?.end.resolve();
  await second;
  const third = group.add("c");
  await idle();
  rounds[2]?.end.resolve();
  await third;
});

Deno.test("GroupCommit.settled() waits for everything added, whether it succeeds or not", async () => {
  const { group, rounds } = heldCommit();
  await group.settled();
  const first = group.add("a");
  const second = group.add("b");
  let settled = false;
  const end = group.settled().then(() => settled = true);
  rounds[0]?.end.reject(new Error("no"));
  await assert.rejects(first);
  await idle();
  assert.equal(settled, false);
  rounds[1]?.end.resolve();
  await second;
  await end;
});
