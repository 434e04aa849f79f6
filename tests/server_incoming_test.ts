import { assert } from "./assert.ts";
import { encodeUtf8, parseUtf8 } from "../lib/bytes.ts";
import { Incoming } from "../lib/server_incoming.ts";

/** A connection whose peer sends and closes when the test says so. */
function connection() {
  const sent: (Uint8Array | undefined)[] = [];
  let more = Promise.withResolvers<void>();
  let reads = 0;
  const send = (chunk: Uint8Array | undefined) => {
    sent.push(chunk);
    more.resolve();
  };
  const read = async () => {
    assert.equal(++reads, 1, "two reads at once");
    if (sent.length === 0) await more.promise;
    more = Promise.withResolvers();
    reads--;
    return sent.shift();
  };
  return {
    incoming: new Incoming({ read }),
    send: (text: string) => send(encodeUtf8(text)),
    end: () => send(undefined),
  };
}

const textOf = async (incoming: Incoming) => parseUtf8(await incoming.read() ?? new Uint8Array());

Deno.test("work is told when its client has gone, and what came before is read all the same", async () => {
  const { incoming, send, end } = connection();
  send("one");
  assert.equal(await textOf(incoming), "one");
  await incoming.whileThere(async (signal) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    signal.addEventListener("abort", () => resolve());
    send("two");
    end();
    await promise;
  });
  assert.equal(await textOf(incoming), "two");
  assert.equal(await incoming.read(), undefined);
  assert.equal(await incoming.read(), undefined);
});

Deno.test("a read that was begun while work was done is the next one's, and no two run at once", async () => {
  const { incoming, send, end } = connection();
  assert.equal(await incoming.whileThere(() => Promise.resolve("done")), "done");
  const next = textOf(incoming);
  send("one");
  assert.equal(await next, "one");
  await assert.rejects(incoming.whileThere(() => Promise.reject(new Error("refused"))), /refused/);
  send("two");
  assert.equal(await textOf(incoming), "two");
  end();
  assert.equal(await incoming.read(), undefined);
});
