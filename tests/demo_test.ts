import { assert } from "./assert.ts";
import { run } from "./environment.ts";

Deno.test("the demo shows people who come in by code, a cut network, evidence and a lie caught, in under 20 seconds", async () => {
  const began = Date.now();
  const { status, stdout, stderr } = await run(["demo"]);
  assert.equal(status, 0, stderr);
  assert.match(stdout, /TLS on 127\.0\.0\.1:[1-9]\d*/);
  assert.match(stdout, /join sc2\.\S{1,8}…@localhost --email alice@example\.org/, "no whole code is shown");
  const said = [...stdout.matchAll(/^ +\[(\d+)\] (\w+): (.+)$/gm)].map(([, ...parts]) => parts.join(" "));
  assert.deepEqual(said.slice(0, 2), ["2 alice Is the key in its place?", "3 bob It is. Grüße, 你好 👋"]);
  assert.deepEqual(said.slice(2).map((line) => line.slice(2)).sort(), [
    "alice Send it on Monday.",
    "bob I note: Monday.",
  ]);
  assert.match(stdout, /the network is cut[^]*it is back/);
  assert.match(stdout, /the same four lines in the same order/);
  assert.equal(
    stdout.match(/^ *VERIFIED {3}#ops on localhost, lines 0 to 5, /gm)?.length,
    3,
    "and once more after a screenful",
  );
  assert.match(stdout, /Withheld {3}The text of all 6 lines\./);
  assert.match(stdout, /The\s+text\s+shown\s+for\s+each\s+line\s+is\s+what\s+was\s+signed\./);
  assert.match(stdout, /NOT VERIFIED {2}#ops on localhost, lines 0 to 5: rely on none of it\./);
  assert.match(stdout, /Line 2: the signature is not the author's\./);
  assert.match(stdout, /VERIFIED {3}A session with the server localhost, line 1, receipt of/);
  for (const secret of ["difference engine", "nabla squared"]) assert(!stdout.includes(secret));
  assert(stdout.split("\n").length <= 70, "it fits on a screen or two");
  assert(Date.now() - began < 20_000, `${Date.now() - began} ms`);
});
