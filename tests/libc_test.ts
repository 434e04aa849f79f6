import { assert } from "./assert.ts";
import { ROOT, runCommand } from "./environment.ts";

/** Hashes passwords while other threads of the runtime are busy, so that every hash runs on another; prints MB. */
const SCRIPT = `
  import { returnLargeBlocks } from "${ROOT}/lib/libc.ts";
  import { hashPassword } from "${ROOT}/lib/password.ts";
  returnLargeBlocks();
  const work = { p: 1, random: (size) => new Uint8Array(size) };
  let busy = true;
  const others = (async () => {
    while (busy) await Promise.all(Array.from({ length: 12 }, () => Deno.stat(".")));
  })();
  await hashPassword(new Uint8Array(32), work);
  const before = Deno.memoryUsage().rss;
  for (let round = 0; round < 15; round++) {
    await Promise.all([0, 1].map(() => hashPassword(new Uint8Array(32), work)));
  }
  busy = false;
  await others;
  console.log(Math.round((Deno.memoryUsage().rss - before) / 2 ** 20));
`;

Deno.test({
  name: "returnLargeBlocks() keeps password hashes from leaving 16 MiB behind on every thread",
  ignore: Deno.build.os !== "linux",
  async fn() {
    const file = await Deno.makeTempFile({ suffix: ".ts" });
    try {
      await Deno.writeTextFile(file, SCRIPT);
      const { stdout, stderr } = await runCommand(Deno.execPath(), ["run", "--no-config", "--no-check", "-A", file]);
      assert(stdout !== "" && Number(stdout) < 40, `${stdout} MB more; ${stderr}`);
    } finally {
      await Deno.remove(file);
    }
  },
});
