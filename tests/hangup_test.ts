import { assert } from "./assert.ts";
import { cleanEnvironment, program, ROOT, skipUnless, temporaryFolder } from "./environment.ts";
import { writeCertificates } from "./certificate_folder.ts";
import { openTmux } from "./tmux.ts";

const HANGUP = `import { isIgnored, listenForHangup } from "file://${ROOT}/lib/hangup.ts";`;

/** Runs a few lines under a shell that does this first; gives what they print. */
async function under(before: string, code: string): Promise<string> {
  const { stdout } = await new Deno.Command("sh", {
    args: ["-c", `${before}; exec "$0" eval --quiet "$1"`, Deno.execPath(), HANGUP + code],
    env: cleanEnvironment({}),
    clearEnv: true,
    stderr: "inherit",
  }).output();
  return new TextDecoder().decode(stdout);
}

const LISTEN = `
  Deno.addSignalListener("SIGINT", () => {});
  const { promise, resolve } = Promise.withResolvers();
  listenForHangup((reason) => resolve(reason));
  Deno.addSignalListener("SIGUSR1", () => resolve("nothing"));
  Deno.kill(Deno.pid, "SIGHUP");
  setTimeout(() => Deno.kill(Deno.pid, "SIGUSR1"), 300);
  console.log(await promise);
  Deno.exit(0);`;

Deno.test({
  name: "a hangup that was ignored from the start stays ignored, and another is heard",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    assert.equal(await under("trap '' HUP", `console.log(isIgnored("SIGHUP"), isIgnored("SIGTSTP"));`), "true false\n");
    assert.equal(
      await under("trap '' TSTP", `console.log(isIgnored("SIGHUP"), isIgnored("SIGTSTP"));`),
      "false true\n",
    );
    assert.equal(await under("trap '' HUP", LISTEN), "nothing\n");
    assert.equal(await under(":", LISTEN), "asked\n");
  },
});

Deno.test({
  name: "a server that was started with hangups ignored outlives one",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    using folder = temporaryFolder();
    await writeCertificates(`${folder.path}/certs`);
    const { command, args } = program("serve", "--host", "127.0.0.1", "--port", "0");
    const child = new Deno.Command("sh", {
      args: ["-c", `trap '' HUP; exec "$@"`, "sh", command, ...args],
      ...{ cwd: folder.path, env: cleanEnvironment(), clearEnv: true, stdout: "piped", stderr: "null" },
    }).spawn();
    const reader = child.stdout.getReader();
    const said = new TextDecoder().decode((await reader.read()).value);
    const port = /listening on \S+:([0-9]+)\n/.exec(said)?.[1];
    child.kill("SIGHUP");
    for (let tries = 0; tries < 20; tries++) {
      using conn = await Deno.connect({ port: Number(port) });
      await conn.write(new TextEncoder().encode("no frame\n"));
      assert.ok((await conn.read(new Uint8Array(1_000)) ?? 0) > 0, "it answers");
    }
    child.kill("SIGTERM");
    assert.equal((await child.status).code, 0);
    await reader.cancel();
  },
});

Deno.test({
  name: "a server ends in order when its terminal is closed",
  ...skipUnless("tmux"),
  fn: async () => {
    using folder = temporaryFolder();
    await writeCertificates(`${folder.path}/certs`);
    const { command, args } = program("serve", "--port", "0");
    const shell = ["sh", "-c", `trap : HUP; "$@"; echo $? >status`, "sh", command, ...args];
    {
      await using terminal = await openTmux(shell, { cwd: folder.path, columns: 80, rows: 24 });
      await terminal.shows("listening on");
    }
    const status = () => Deno.readTextFile(`${folder.path}/status`).catch(() => "");
    while (await status() === "") await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(await status(), "0\n");
  },
});
