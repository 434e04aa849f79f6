/**
 * The seed's own tests by name: replay and tamper here; expired, self-signed and bad CN in certificate_path_test.ts.
 */

import { assert } from "./assert.ts";
import { encodeUtf8, parseUtf8 } from "../lib/bytes.ts";
import { ProtocolError } from "../lib/errors.ts";
import { evidenceCase, verdictOf } from "./evidence.ts";
import { Pair } from "./pair.ts";

/** What the server says to a message that is changed on its way, after one that was not. */
async function refusal(change: (frame: string) => string): Promise<string> {
  let armed = false;
  const pair = await Pair.create({
    tamper: (bytes, to) => armed && to === "server" ? encodeUtf8(change(parseUtf8(bytes) ?? "")) : bytes,
  });
  await pair.open();
  await pair.client.sendText("untouched");
  await pair.run();
  armed = true;
  await pair.client.sendText("transfer 100");
  const error = await pair.run().then(() => assert.fail("it was accepted"), (thrown) => thrown);
  assert.ok(error instanceof ProtocolError, String(error));
  assert.equal(pair.server.state, "failed");
  return error.code;
}

Deno.test("replay: a message that was accepted is refused the second time, and the session ends", async () => {
  assert.equal(await refusal((frame) => frame + frame), "replay");
});

Deno.test("tamper: a message with one changed part is refused, and the session ends", async () => {
  const other = (digit: string) => digit === "1" ? "2" : "1";
  for (
    const [pattern, change] of [
      [/(?<="seqno":)\d+/, () => "2"],
      [/(?<="ts":\d+)\d/, other],
      [/(?<="ct":".{30})./, other],
      [/(?<="sig":".{30})./, other],
    ] as const
  ) {
    assert.equal(await refusal((frame) => frame.replace(pattern, change)), "sig-fail", String(pattern));
  }
});

Deno.test("tamper: a transcript with one changed line is not what its receipt was made over", async () => {
  const evidence = evidenceCase("session");
  assert.equal((await verdictOf(evidence))?.result, "valid");
  const text = parseUtf8(evidence.transcript) ?? "";
  const changed = text.replace(/^(\d+\|\d+)\d\|/, (all, first) => `${first}${all.endsWith("0|") ? 1 : 0}|`);
  assert.notEqual(changed, text);
  const verdict = await verdictOf({ ...evidence, transcript: encodeUtf8(changed) });
  assert.equal(verdict?.result, "invalid");
});
