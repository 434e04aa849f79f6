import { assert } from "./assert.ts";
import { Replies } from "../lib/server_replies.ts";

function replies() {
  const given: number[] = [];
  const failures: unknown[] = [];
  const queue = new Replies((error) => Promise.resolve(void failures.push(error)));
  const give = (number: number, after?: Promise<void>) => queue.give({ after, give: () => void given.push(number) });
  return { queue, given, failures, give };
}

Deno.test("replies are given in order, each after what it waits for, and the caller goes on meanwhile", async () => {
  const { queue, given, give } = replies();
  const [first, second] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  await give(1, first.promise);
  await give(2, second.promise);
  await give(3);
  second.resolve();
  await second.promise;
  assert.deepEqual(given, [], "the second is ready, and waits for the first");
  first.resolve();
  await queue.settled();
  assert.deepEqual(given, [1, 2, 3]);
});

Deno.test("a caller waits when 256 replies are due", async () => {
  const { queue, given, give } = replies();
  const disk = Promise.withResolvers<void>();
  for (let number = 1; number < 256; number++) await give(number, disk.promise);
  let goesOn = false;
  const last = give(256, disk.promise).then(() => goesOn = true);
  await Promise.resolve();
  assert.equal(goesOn, false);
  disk.resolve();
  await last;
  await queue.settled();
  assert.equal(given.length, 256);
});

Deno.test("after what a reply waits for has failed no later reply is given, and the failure is told once", async () => {
  const { queue, given, failures, give } = replies();
  await give(1);
  await give(2, Promise.reject(new Error("the disk is full")));
  await give(3);
  await queue.settled();
  assert.deepEqual([given, failures.map((error) => (error as Error).message)], [[1], ["the disk is full"]]);
});

Deno.test("a queue that is stopped gives nothing more", async () => {
  const { queue, given, give } = replies();
  const held = Promise.withResolvers<void>();
  await give(1, held.promise);
  queue.stop();
  held.resolve();
  await queue.settled();
  assert.deepEqual(given, []);
});
