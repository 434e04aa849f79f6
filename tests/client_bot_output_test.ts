import { BotOutput } from "../lib/client_bot_output.ts";
import { assert } from "./assert.ts";

/** A reader that takes what it is given only when it is told to. */
class Reader {
  text = "";
  #gate = Promise.withResolvers<void>();
  #isReading = false;

  readonly sink = async (bytes: Uint8Array): Promise<number> => {
    if (!this.#isReading) await this.#gate.promise;
    this.text += new TextDecoder().decode(bytes);
    return bytes.length;
  };

  read(): void {
    this.#isReading = true;
    this.#gate.resolve();
  }
}

const lost = (count: number) => `lost ${count}\n`;

Deno.test("lines go out in order, also if a write takes some of the bytes", async () => {
  let text = "";
  const sink = (bytes: Uint8Array) => {
    text += new TextDecoder().decode(bytes.subarray(0, 3));
    return Promise.resolve(Math.min(3, bytes.length));
  };
  const output = new BotOutput({ gone: () => assert.fail("the reader is there"), lost, sink });
  output.write("one\n");
  output.write("two\n");
  await output.end();
  assert.equal(text, "one\ntwo\n");
});

Deno.test("a reader that doesn't read costs a bounded number of characters, and learns what it missed", async () => {
  const reader = new Reader();
  const output = new BotOutput({
    gone: () => assert.fail("the reader is there"),
    lost,
    sink: reader.sink,
    maxWaiting: 10,
  });
  for (let i = 0; i < 1000; i++) output.write(`${i % 10}abc\n`);
  reader.read();
  await output.end();
  assert.equal(reader.text, "0abc\n1abc\nlost 998\n");
  output.write("later\n");
  await output.end();
  assert.equal(reader.text, "0abc\n1abc\nlost 998\nlater\n");
});

Deno.test("a reader that is gone is told of once, and the end waits for no reader for ever", async () => {
  let gone = 0;
  const broken = new BotOutput({ gone: () => gone += 1, lost, sink: () => Promise.reject(new Error("broken pipe")) });
  broken.write("a\n");
  await broken.end();
  broken.write("b\n");
  await broken.end();
  assert.equal(gone, 1);
  const silent = new BotOutput({ gone: () => {}, lost, sink: () => new Promise(() => {}), patience: 1 });
  silent.write("a\n");
  await silent.end();
});
