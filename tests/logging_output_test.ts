import { assert } from "./assert.ts";
import { LineOutput } from "../lib/logging_output.ts";

/** An output whose reader takes something when the test says so. */
function slow() {
  let text = "";
  let take: (() => void) | undefined;
  const output = new LineOutput((bytes) =>
    new Promise((resolve) =>
      take = () => {
        text += new TextDecoder().decode(bytes);
        resolve(bytes.length);
      }
    )
  );
  const turn = () => new Promise((resolve) => setTimeout(resolve, 0));
  return {
    output,
    text: () => text,
    async read() {
      await turn();
      const now = take;
      take = undefined;
      now?.();
      await turn();
      return now !== undefined;
    },
  };
}

Deno.test("lines for somebody who reads come in their order", async () => {
  const { output, text, read } = slow();
  output.write("one\n");
  output.write("two\n");
  await read();
  output.write("three\n");
  await read();
  assert.equal(text(), "one\ntwo\nthree\n");
});

Deno.test("somebody who doesn't read keeps nobody waiting, and reads later how many lines were left out", async () => {
  const { output, text, read } = slow();
  const line = `${"x".repeat(999)}\n`;
  output.write("first\n");
  for (let i = 0; i < 1_000; i++) output.write(line); // returns, and is the test
  while (await read());
  const said = text().split("\n").filter((one) => !one.startsWith("x"));
  assert.deepEqual(said, [
    "first",
    "securechat: 738 lines of the log were left out here: they could not be written",
    "",
  ]);
  output.write("again\n");
  await read();
  assert.ok(text().endsWith("again\n"));
});

Deno.test("an output that fails is given up without a word", async () => {
  const output = new LineOutput(() => Promise.reject(new Error("broken pipe")));
  output.write("one\n");
  await output.close();
});

Deno.test("an output that fails for some time says so once, and later how many lines are missing", async () => {
  const failures: unknown[] = [];
  let [isFull, text] = [true, ""];
  const output = new LineOutput((bytes) => {
    if (isFull) return Promise.reject(new Error("no space"));
    text += new TextDecoder().decode(bytes);
    return Promise.resolve(bytes.length);
  }, (error) => failures.push(error));
  for (const line of ["one\n", "two\n", "three\n"]) {
    output.write(line);
    await output.close();
  }
  assert.equal(failures.length, 1);
  isFull = false;
  output.write("four\n");
  output.write("five\n");
  await output.close();
  output.write("six\n");
  await output.close();
  assert.equal(text, "securechat: 5 lines of the log were left out here: they could not be written\nsix\n");
});
