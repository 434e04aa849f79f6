import { assert } from "./assert.ts";
import { Failure } from "../lib/errors.ts";
import { openRoomKey, ROOM_KEY_FILE } from "../lib/room_key.ts";
import { skipUnless } from "./environment.ts";
import { countingRandom } from "./fixtures.ts";

Deno.test({
  name: "the key file is made once, for its owner alone, and the same key is read again",
  ...skipUnless("unix"),
  fn: async () => {
    const dir = await Deno.makeTempDir({ prefix: "securechat-" });
    const first = await openRoomKey(dir, countingRandom());
    const wrapped = first.wrap(new Uint8Array(16).fill(9), "x");
    const again = await openRoomKey(dir, () => crypto.getRandomValues(new Uint8Array(32)));
    assert.deepEqual(again.unwrap(wrapped, "x"), new Uint8Array(16).fill(9));
    assert.equal((Deno.statSync(`${dir}/${ROOM_KEY_FILE}`).mode ?? 0) & 0o777, 0o600);
    Deno.chmodSync(`${dir}/${ROOM_KEY_FILE}`, 0o644);
    await assert.rejects(openRoomKey(dir, countingRandom()), /chmod 600/);
    Deno.chmodSync(`${dir}/${ROOM_KEY_FILE}`, 0o600);
    Deno.writeTextFileSync(`${dir}/${ROOM_KEY_FILE}`, "something else\n");
    await assert.rejects(openRoomKey(dir, countingRandom()), (error) => error instanceof Failure);
    await Deno.remove(dir, { recursive: true });
  },
});
