import { assert } from "./assert.ts";
import type { Checkpoint } from "../lib/log_checkpoint.ts";
import { headsToKeep, headsToShow, lastLines } from "../lib/client_heads.ts";

function head(size: number, time: number): Checkpoint {
  return { size, time, root: "b".repeat(64), sig: new Uint8Array(256), from: "c".repeat(64) };
}

const sizes = (heads: Set<Checkpoint>) => [...heads].map(({ size }) => size).sort((one, other) => one - other);

Deno.test("of heads are kept the first of each hour, and the first that covers an author's last line", () => {
  const heads = [[1, 0], [4, 10], [6, 3_599], [9, 3_600], [12, 9_000], [13, 9_001]].map(([size = 0, time = 0]) =>
    head(size, time)
  );
  assert.deepEqual(sizes(headsToKeep(heads, [])), [1, 9, 12]);
  assert.deepEqual(sizes(headsToKeep(heads, [12, 4, 5])), [1, 6, 9, 12, 13]);
  assert.deepEqual(sizes(headsToKeep(heads, [99])), [1, 9, 12], "a line that none covers");
  assert.deepEqual([...lastLines(["ada", "bob", "ada", "eve"], 10)].sort(), [11, 12, 13]);
});

Deno.test("where there are more than a thousand to show, days take the place of hours, and the authors' stay", () => {
  const hourly = (count: number) => Array.from({ length: count }, (_, at) => head(at + 1, 3_600 * at));
  assert.equal(headsToShow(hourly(1_000), []).size, 1_000);
  const many = hourly(24 * 50);
  assert.equal(headsToShow(many, []).size, 50);
  assert.deepEqual(sizes(headsToShow(many, [99, 500])).slice(0, 7), [1, 25, 49, 73, 97, 100, 121]);
});
