import { assert } from "./assert.ts";
import { encodeUtf8 } from "../lib/bytes.ts";
import { VerifyingKey } from "../lib/pss.ts";
import { BenchKey } from "../tools/bench_key.ts";

Deno.test("a BenchKey signs like any other key of 2048 bits", async () => {
  const key = new BenchKey();
  assert.equal(key.modulus.toString(2).length, 2048);
  const verifying = new VerifyingKey(key.modulus);
  for (let i = 0; i < 20; i++) {
    const data = encodeUtf8(`message ${i}`);
    assert(verifying.verify(key.signNow(data), data));
    assert(!verifying.verify(key.signNow(data), encodeUtf8("another")));
  }
  // Another implementation takes it too.
  const imported = await crypto.subtle.importKey("spki", key.publicKey, { name: "RSA-PSS", hash: "SHA-256" }, false, [
    "verify",
  ]);
  const data = encodeUtf8("hello");
  assert(await crypto.subtle.verify({ name: "RSA-PSS", saltLength: 222 }, imported, key.signNow(data), data));
});
