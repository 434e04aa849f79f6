/**
 * What libcrypto computes: the tests of the modules behind which it stands, once more with it in place.
 */

import { engine, useEngine } from "../lib/engine.ts";
import { openLibcrypto } from "../lib/libcrypto.ts";
import { importSigningKey, saltLength, VerifyingKey } from "../lib/pss.ts";
import { assert } from "./assert.ts";
import { certificate, key } from "./fixtures.ts";
import { encodeUtf8 } from "../lib/bytes.ts";
import { ROOT, runCommand } from "./environment.ts";

const libcrypto = openLibcrypto();
const ignore = libcrypto === undefined && Deno.build.os !== "linux";
useEngine(libcrypto);

for (const module of ["aes_cbc", "certificate_path", "dh", "hash", "pss", "session"]) {
  if (!ignore) await import(`./${module}_test.ts`);
}

Deno.test({
  name: "libcrypto is used where it is to be had",
  ignore,
  fn: () => assert.equal(engine(), libcrypto ?? assert.fail("there is no libcrypto.so.3")),
});

Deno.test({
  name: "more keys than are kept ready verify all the same, and so do those that were dropped",
  ignore,
  async fn() {
    const message = encodeUtf8("hello");
    const modulus = (await certificate("server", { role: "server", name: "localhost" })).rsa?.modulus ?? 0n;
    const signature = await (await importSigningKey(await key("server"))).sign(message);
    const keys = Array.from({ length: 1_100 }, (_, i) => new VerifyingKey(i % 2 === 0 ? modulus : modulus - 2n));
    for (const round of [0, 1]) {
      for (const [i, one] of keys.entries()) assert.equal(one.verify(signature, message), i % 2 === 0, `${round} ${i}`);
    }
  },
});

Deno.test({
  name: "what libcrypto signs the runtime verifies, and the other way round",
  ignore,
  async fn() {
    const message = encodeUtf8("hello");
    const modulus = (await certificate("server", { role: "server", name: "localhost" })).rsa?.modulus ?? 0n;
    const pkcs8 = await key("server");
    const [native, nativeKey] = [await importSigningKey(pkcs8), new VerifyingKey(modulus)];
    useEngine(undefined);
    const [own, ownKey] = [await importSigningKey(pkcs8), new VerifyingKey(modulus)];
    useEngine(libcrypto);
    assert(ownKey.verify(await native.sign(message), message));
    assert(nativeKey.verify(await own.sign(message), message));
    assert.equal(saltLength(2048), 222);
  },
});

Deno.test("without the permission to call it nothing is asked for, and everything goes on", async () => {
  const script = `
    import { openLibcrypto } from "${ROOT}/lib/libcrypto.ts";
    import { returnLargeBlocks, sendAtOnce } from "${ROOT}/lib/libc.ts";
    returnLargeBlocks();
    sendAtOnce(1);
    console.log(openLibcrypto() === undefined);
  `;
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    await Deno.writeTextFile(file, script);
    const { stdout, stderr } = await runCommand(Deno.execPath(), ["run", "--no-config", "--no-check", file]);
    assert.deepEqual([stdout, stderr], ["true\n", ""]);
  } finally {
    await Deno.remove(file);
  }
});
