import { assert } from "./assert.ts";
import { Signal } from "../lib/signal.ts";

Deno.test("a signal wakes everybody who waits, each time once", async () => {
  const signal = new Signal();
  const woken: string[] = [];
  const wait = async (name: string) => {
    await signal.next;
    woken.push(name);
  };
  const both = [wait("ada"), wait("bob")];
  assert.deepEqual(woken, []);
  signal.fire();
  await Promise.all(both);
  assert.deepEqual(woken, ["ada", "bob"]);
  const again = wait("ada");
  await Promise.resolve();
  assert.equal(woken.length, 2, "nothing has happened since");
  signal.fire();
  await again;
  assert.equal(woken.length, 3);
});
