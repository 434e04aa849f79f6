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
  assert.match(stdout, /Valid: lines 0 to 5 of localhost\/#ops\/[^\n]*the words are not shown/);
  assert.match(stdout, /Valid: lines 0 to 5 of localhost\/#ops\/[^\n]*6 of 6 opened/);
  assert.match(stdout, /line signature\n +line 2: it is not signed by its author/);
  assert.match(stdout, /Invalid: what is shown of this room does not hold/);
  assert.match(stdout, /Valid: "CN=SERVER: localhost" confirms that 1 message was accepted/);
  for (const secret of ["difference engine", "nabla squared"]) assert(!stdout.includes(secret));
  assert(stdout.split("\n").length <= 70, "it fits on a screen or two");
  assert(Date.now() - began < 20_000, `${Date.now() - began} ms`);
});
