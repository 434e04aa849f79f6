import { assert } from "./assert.ts";
import { run } from "./environment.ts";

Deno.test("the demo shows two people's verified receipts and a refused transcript, in under 20 seconds", async () => {
  const began = Date.now();
  const { status, stdout, stderr } = await run(["demo"]);
  assert.equal(status, 0, stderr);
  assert.match(stdout, /listening on 127\.0\.0\.1:[1-9]\d*/);
  assert.match(stdout, /ada: registered, 3 lines sent, 3 acknowledged ✓, receipt verified/);
  assert.match(stdout, /bob: registered, 2 lines sent, 2 acknowledged ✓, receipt verified/);
  assert.equal(stdout.match(/Valid: CN=SERVER: localhost/g)?.length, 2);
  assert.match(stdout, /Invalid: [^\n]*transcript hash/);
  assert.match(stdout, /line signatures: line 1 is not signed/);
  for (const secret of ["difference engine", "nabla squared", "Good morning."]) assert(!stdout.includes(secret));
  assert(Date.now() - began < 20_000, `${Date.now() - began} ms`);
});
