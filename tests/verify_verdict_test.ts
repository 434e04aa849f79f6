import { assert } from "./assert.ts";
import { encodeUtf8 } from "../lib/bytes.ts";
import { EXIT, Failure } from "../lib/errors.ts";
import type { SignedLine } from "../lib/line_signature.ts";
import {
  CheckList,
  Fields,
  onText,
  parseCount,
  parseList,
  readJsonFile,
  SignatureBatches,
} from "../lib/verify_verdict.ts";

Deno.test("a CheckList keeps its order, and a failure stands whatever is skipped", () => {
  const checks = new CheckList(["one", "two", "three"]);
  checks.skip("two", "no reason to");
  checks.fail("two", "it is wrong", { expected: "1", found: "2" });
  checks.skip("two", "too late");
  checks.skip("three", "nothing there");
  checks.skip("three", "nothing there");
  assert.deepEqual(checks.list(), [
    { name: "one", outcome: "passed", reasons: [] },
    { name: "two", outcome: "failed", reasons: ["it is wrong"], expected: "1", found: "2" },
    { name: "three", outcome: "not checked", reasons: ["nothing there"] },
  ]);
  assert.deepEqual([checks.hasFailed("one"), checks.hasFailed("two")], [false, true]);
});

Deno.test("a CheckList lists the first reasons of very many, and counts the rest", () => {
  const checks = new CheckList(["one"]);
  for (let number = 0; number < 1_000; number++) checks.fail("one", `line ${number}`);
  const reasons = checks.list()[0]?.reasons ?? [];
  assert.deepEqual([reasons.length, reasons[0], reasons.at(-1)], [21, "line 0", "and 980 more"]);
});

Deno.test("a CheckList asks for no reason that it doesn't list", () => {
  const checks = new CheckList(["one"]);
  let asked = 0;
  for (let number = 0; number < 1_000; number++) checks.fail("one", () => `reason ${++asked}`);
  assert.deepEqual([asked, checks.list()[0]?.reasons.slice(-2)], [20, ["reason 20", "and 980 more"]]);
});

Deno.test("readJsonFile() finds the name that comes twice, and refuses what is no object", () => {
  assert.deepEqual(readJsonFile('{"a":{"b":1,"\\u0062":2}}', 100), { object: { a: { b: 2 } }, repeated: "b" });
  assert.equal(readJsonFile(encodeUtf8('{"a":{"a":1}}'), 100).repeated, undefined);
  for (const file of ["", "[]", "7", "{", '{"a":"long enough"}', Uint8Array.of(0xff)]) {
    assert.throws(() => readJsonFile(file, 10), (error) => error instanceof Failure && error.status === EXIT.usage);
  }
});

Deno.test("Fields names what is missing and what is malformed, and leaves out what may be", () => {
  const reasons: string[] = [];
  const fields = new Fields({ count: "7", names: ["a", 1] }, (reason) => reasons.push(reason));
  const text = onText((value) => value);
  assert.equal(fields.take("count", "an integer", parseCount), undefined);
  assert.equal(fields.take("size", "an integer", parseCount), undefined);
  assert.equal(fields.take("toString", "a text", text), undefined);
  assert.equal(fields.takeOptional("names", "a list of texts", parseList(text)), undefined);
  assert.equal(fields.takeOptional("more", "a list of texts", parseList(text)), undefined);
  assert.deepEqual(reasons, [
    "count is not an integer",
    "size is missing",
    "toString is missing",
    "names is not a list of texts",
  ]);
  assert.deepEqual(parseList(parseCount)([1, 2]), [1, 2]);
});

Deno.test("SignatureBatches gives bad lines in their order, whatever the order of the answers", async () => {
  const bad: number[] = [];
  const line = { seqno: 0, ts: 0, body: new Uint8Array(32), signature: new Uint8Array(), signer: "" };
  const answers: (() => void)[] = [];
  const checker = {
    concurrency: 2,
    check: (batch: readonly SignedLine[]) =>
      new Promise<boolean[]>((resolve) => {
        answers.unshift(() => resolve(batch.map(() => false)));
        queueMicrotask(() => answers.splice(0).forEach((answer) => answer()));
      }),
  };
  const batches = new SignatureBatches(checker, ({ number }) => bad.push(number));
  for (let number = 0; number < 300; number++) await batches.add({ line, modulus: 1n, number });
  await batches.end();
  assert.deepEqual(bad, Array.from({ length: 300 }, (_, number) => number));
});
