import { assert } from "./assert.ts";
import { Rounds } from "../lib/room_rounds.ts";

interface Line {
  readonly name: string;
  readonly posted: Uint8Array;
}

const line = (name: string, size = 10): Line => ({ name, posted: new Uint8Array(size) });

function rounds(write: (names: readonly string[]) => Promise<void> = () => Promise.resolve()) {
  const written: string[][] = [];
  const dropped: string[] = [];
  const names = (lines: readonly Line[]) => lines.map(({ name }) => name);
  const queue = new Rounds<Line>({
    turn: () => Promise.resolve(),
    write: (round) => write(names(round)),
    written: (round) => void written.push(names(round)),
    failed: (_, lines) => Promise.resolve(void dropped.push(...names(lines))),
  });
  return { queue, written, dropped };
}

Deno.test("lines that come while a round is written are the next round", async () => {
  const held = Promise.withResolvers<void>();
  const reached = Promise.withResolvers<void>();
  const { queue, written } = rounds((names) => {
    reached.resolve();
    return names.includes("one") ? held.promise : Promise.resolve();
  });
  queue.add(line("one"));
  await reached.promise;
  for (const name of ["two", "three"]) queue.add(line(name));
  held.resolve();
  await queue.settled();
  assert.deepEqual(written, [["one"], ["two", "three"]]);
  assert.ok(queue.isIdle);
});

Deno.test("a round ends at 256 lines, and at 64 KiB", async () => {
  const { queue, written } = rounds();
  for (let at = 0; at < 300; at++) queue.add(line(`${at}`));
  await queue.settled();
  assert.deepEqual(written.map(({ length }) => length), [256, 44]);
  for (let at = 0; at < 4; at++) queue.add(line(`${at}`, 40_000));
  await queue.settled();
  assert.deepEqual(written.slice(2).map(({ length }) => length), [2, 2]);
});

Deno.test("if a round can't be written, all that waits is dropped, and later lines are written", async () => {
  let isBroken = true;
  const { queue, written, dropped } = rounds(() => isBroken ? Promise.reject(new Error("away")) : Promise.resolve());
  for (const name of ["one", "two"]) queue.add(line(name));
  await queue.settled();
  assert.deepEqual([written, dropped], [[], ["one", "two"]]);
  isBroken = false;
  queue.add(line("three"));
  await queue.settled();
  assert.deepEqual(written, [["three"]]);
});

Deno.test("a line that waits is found, and 4,096 of them are all that may wait", async () => {
  const held = Promise.withResolvers<void>();
  const { queue } = rounds(() => held.promise);
  for (let at = 0; at < 4_096; at++) {
    assert.equal(queue.isFull, false);
    queue.add(line(`${at}`));
  }
  assert.ok(queue.isFull);
  assert.equal(queue.find(({ name }) => name === "17")?.name, "17");
  assert.equal(queue.find(({ name }) => name === "nobody's"), undefined);
  held.resolve();
  await queue.settled();
});
