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

/** Whether small frames wait on a socket of this process that is connected to that port, by what the system says. */
const NO_DELAY = `
  import { sendAtOnce } from "${ROOT}/lib/libc.ts";
  const libc = Deno.dlopen("libc.so.6", {
    getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
    getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  }).symbols;
  const listeners = [Deno.listen({ hostname: "127.0.0.1", port: 0 }), Deno.listen({ hostname: "::1", port: 0 })];
  const other = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  for (const { addr } of listeners) sendAtOnce(addr.port);
  const options = [];
  for (const { addr, accept } of [...listeners, other]) {
    await Deno.connect(addr);
  }
  for (const listener of [...listeners, other]) await listener.accept();
  for (const { addr: { port } } of [...listeners, other]) {
    const found = [];
    for (const { name } of Deno.readDirSync("/proc/self/fd")) {
      const [fd, address, size, value] = [Number(name), new DataView(new ArrayBuffer(128)), Uint32Array.of(128), new Int32Array(1)];
      if (libc.getsockname(fd, address, size) !== 0 || address.getUint16(2) !== port) continue;
      libc.getsockopt(fd, 6, 1, value, Uint32Array.of(4));
      found.push(value[0]);
    }
    options.push(found.every((one) => one === 1) && found.length === 2);
  }
  console.log(options.join());
  Deno.exit();
`;

Deno.test({
  name: "sendAtOnce() is for what the listener on that port accepts, and for no other",
  ignore: Deno.build.os !== "linux",
  async fn() {
    const file = await Deno.makeTempFile({ suffix: ".ts" });
    try {
      await Deno.writeTextFile(file, NO_DELAY);
      const { stdout, stderr } = await runCommand(Deno.execPath(), ["run", "--no-config", "--no-check", "-A", file]);
      assert.equal(stdout, "true,true,false\n", stderr);
    } finally {
      await Deno.remove(file);
    }
  },
});
