import { assert } from "./assert.ts";
import { AesKeyWrap } from "../lib/key_wrap.ts";
import { countingRandom } from "./fixtures.ts";

const KEY = new Uint8Array(16).fill(3);
const wrapper = (byte: number) => new AesKeyWrap(new Uint8Array(32).fill(byte), countingRandom());

Deno.test("a wrapped key comes back in its own context, under its own key, and in no other", () => {
  const wrap = wrapper(1);
  const wrapped = wrap.wrap(KEY, "log epoch 1");
  assert.deepEqual(wrap.unwrap(wrapped, "log epoch 1"), KEY);
  assert.equal(wrap.unwrap(wrapped, "log epoch 2"), undefined);
  assert.equal(wrapper(2).unwrap(wrapped, "log epoch 1"), undefined);
});

Deno.test("a wrapped key that was changed or cut is none", () => {
  const wrap = wrapper(1);
  const wrapped = wrap.wrap(KEY, "x");
  for (let i = 0; i < wrapped.length; i++) {
    assert.equal(wrap.unwrap(wrapped.map((byte, at) => at === i ? byte ^ 1 : byte), "x"), undefined);
    assert.equal(wrap.unwrap(wrapped.slice(0, i), "x"), undefined);
  }
});
