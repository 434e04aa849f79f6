import { assert } from "./assert.ts";
import { BINARY, runCommand, skipUnless, temporaryFolder } from "./environment.ts";
import { compiler } from "../tools/compile.ts";

const onBinary = skipUnless("binary");

function binary(args: readonly string[], cwd: string) {
  return runCommand(BINARY, args, { cwd });
}

Deno.test({
  name: "the binary holds the program and its runtime, and no folder of packages",
  ...onBinary,
  fn: () => {
    // The runtime alone is 92 MB on Linux; all of node_modules would add 50.
    assert(Deno.statSync(BINARY).size < 110e6);
  },
});

Deno.test({
  name: "the binary's --help takes at most 1.5 times the time of an empty compiled program",
  ...onBinary,
  fn: async () => {
    using folder = temporaryFolder();
    const empty = `${folder.path}/empty`;
    Deno.writeTextFileSync(`${empty}.ts`, "");
    const { command, env } = await compiler();
    const { success } = await new Deno.Command(command, {
      args: ["compile", "--quiet", "--no-check", "--no-config", "--output", empty, `${empty}.ts`],
      env,
    }).output();
    assert(success);
    // Turn and turn about, and the best of each: whatever else the machine does then, it disturbs both.
    const best = [Infinity, Infinity];
    for (let round = 0; round < 15; round++) {
      for (const [index, [path, ...args]] of ([[empty], [BINARY, "--help"]] as const).entries()) {
        const started = performance.now();
        assert.equal((await runCommand(path, args)).status, 0);
        best[index] = Math.min(best[index] ?? Infinity, performance.now() - started);
      }
    }
    const [nothing = 0, help = Infinity] = best;
    assert(help <= 1.5 * nothing, `--help takes ${help.toFixed(1)} ms, an empty program ${nothing.toFixed(1)} ms`);
  },
});

Deno.test({
  name: "the binary makes certificates, and protects their keys with a passphrase",
  ...onBinary,
  fn: async () => {
    using folder = temporaryFolder();
    Deno.writeTextFileSync(`${folder.path}/passphrase`, "correct horse\n");
    const { status, stderr } = await binary(["init", "--passphrase-file", "passphrase"], folder.path);
    assert.equal(status, 0, stderr);
    for (const role of ["ca", "server", "client"]) {
      const key = Deno.readTextFileSync(`${folder.path}/certs/${role}_private_key.pem`);
      assert.match(key, /^-----BEGIN ENCRYPTED PRIVATE KEY-----\n/);
    }
  },
});

Deno.test({
  name: "the binary speaks to a MySQL server, and says in one sentence that there is none",
  ...onBinary,
  fn: async () => {
    using folder = temporaryFolder();
    assert.equal((await binary(["init"], folder.path)).status, 0);
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr;
    listener.close();
    const serve = ["serve", "--port", "0", "--db", `mysql://root@127.0.0.1:${port}/securechat`];
    const { status, stdout, stderr } = await binary(serve, folder.path);
    assert.deepEqual({ status, stdout }, { status: 5, stdout: "" }, stderr);
    assert.match(stderr, /(?:^|\n)securechat: [^\n]*database[^\n]*\n$/i);
  },
});
