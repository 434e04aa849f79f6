import { assert } from "./assert.ts";
import { BINARY, ROOT, runCommand, skipUnless, temporaryFolder } from "./environment.ts";
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
    // Turn and turn about, and the best of each: whatever else the machine does then, it disturbs both. On a busy one
    // it takes many rounds until each has had an undisturbed one.
    const best = [Infinity, Infinity];
    for (let round = 0; round < 10 || (round < 100 && (best[1] ?? 0) > 1.5 * (best[0] ?? 0)); round++) {
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
  name: "the binary reads and leaves nothing in the temporary folder, which everybody may write to",
  ...onBinary,
  fn: async () => {
    using folder = temporaryFolder();
    const shared = `${folder.path}/shared`;
    Deno.mkdirSync(shared);
    const options = { cwd: folder.path, env: { TMPDIR: shared } };
    for (const args of [["--help"], ["init"], ["cert", "show", "certs/ca_cert.pem"]]) {
      assert.equal((await runCommand(BINARY, args, options)).status, 0);
    }
    assert.deepEqual([...Deno.readDirSync(shared)], [], "a code cache there would be run as the program's own");
  },
});

Deno.test({
  name: "the binary makes certificates, and protects their keys with a passphrase",
  ...onBinary,
  fn: async () => {
    using folder = temporaryFolder();
    Deno.writeTextFileSync(`${folder.path}/passphrase`, "correct horse\n", { mode: 0o600 });
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

Deno.test({
  name: "the binary checks a long transcript's signatures in workers",
  ignore: onBinary.ignore || Deno.build.os !== "linux" || navigator.hardwareConcurrency < 2,
  fn: async () => {
    using folder = temporaryFolder();
    const evidence = `${ROOT}/tests/evidence/intermediate`;
    const [line] = Deno.readTextFileSync(`${evidence}/transcript.txt`).split("\n");
    // The same line again and again is no transcript, but as much work.
    Deno.writeTextFileSync(`${folder.path}/transcript.txt`, `${line}\n`.repeat(30_000));
    const child = new Deno.Command(BINARY, {
      args: ["verify", `${evidence}/receipt.json`, `${folder.path}/transcript.txt`, "--ca", `${evidence}/ca.pem`],
      stdout: "null",
      stderr: "null",
    }).spawn();
    const ended = child.status.then(() => true);
    let sightings = 0;
    while (!await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 20))])) {
      // A worker whose module is not in the binary ends at once, and this thread does its work: so one look isn't
      // enough.
      if (threads(child.pid).some((name) => name.startsWith("worker-"))) sightings++;
    }
    assert.equal((await child.status).code, 1);
    assert(sightings >= 20, `a worker was seen ${sightings} times`);
  },
});

/** The names of a process's threads. */
function threads(pid: number): string[] {
  try {
    return [...Deno.readDirSync(`/proc/${pid}/task`)].map(({ name }) =>
      Deno.readTextFileSync(`/proc/${pid}/task/${name}/comm`)
    );
  } catch {
    return []; // the process, or one of the threads, has just ended
  }
}
