import { assert } from "./assert.ts";
import { COMMANDS, TASKS } from "../tools/commands.ts";
import { program, ROOT, run, runCommand, skipUnless, startServer, temporaryFolder } from "./environment.ts";

const NAMES = Object.keys(COMMANDS);

Deno.test("securechat --help names every command on stdout", async () => {
  const { status, stdout, stderr } = await run(["--help"]);
  assert.deepEqual({ status, stderr }, { status: 0, stderr: "" });
  for (const name of NAMES) assert.match(stdout, new RegExp(`^  ${name} +\\S`, "m"));
  for (const task of TASKS) assert.match(stdout, new RegExp(`^${task}$`, "m"));
  assert.deepEqual(await run([]), { status, stdout, stderr });
  assert.deepEqual(await run(["help"]), { status, stdout, stderr });
  assert.deepEqual(await run(["-h"]), { status, stdout, stderr });
});

Deno.test("securechat --version prints one line", async () => {
  const { status, stdout } = await run(["--version"]);
  assert.equal(status, 0);
  assert.match(stdout, /^securechat [0-9]+\.[0-9]+\.[0-9]+\n$/);
  assert.deepEqual(await run(["version"]), { status, stdout, stderr: "" });
});

for (const name of NAMES) {
  Deno.test(`securechat ${name} --help has its usage and examples, and securechat help ${name} prints the same`, async () => {
    using folder = temporaryFolder();
    const direct = await run([name, "--help"], { cwd: folder.path });
    assert.deepEqual({ status: direct.status, stderr: direct.stderr }, { status: 0, stderr: "" });
    assert.match(direct.stdout, new RegExp(`^securechat ${name}`));
    assert.match(direct.stdout, /Examples?:/);
    assert.deepEqual(await run(["help", name], { cwd: folder.path }), direct);
    assert.deepEqual([...Deno.readDirSync(folder.path)], [], "help writes nothing");
  });

  Deno.test(`securechat ${name} names a flag that it doesn't know`, async () => {
    using folder = temporaryFolder();
    const { status, stdout, stderr } = await run([name, "--frobnicate"], { cwd: folder.path });
    assert.deepEqual({ status, stdout }, { status: 2, stdout: "" });
    assert.match(stderr, new RegExp(`^securechat: unknown flag --frobnicate; see securechat ${name}.* --help\n$`));
  });
}

Deno.test("securechat refuses an unknown command in one sentence, and suggests the nearest one", async () => {
  const sentences: [string[], string][] = [
    [["frob"], "unknown command frob; see securechat --help"],
    [["help", "frob"], "unknown command frob; see securechat --help"],
    [["constructor"], "unknown command constructor; see securechat --help"],
    [["a\u001b[2Jb"], "unknown command a\\u{1b}[2Jb; see securechat --help"],
    [["sevre"], "unknown command sevre: did you mean serve? See securechat --help"],
    [["exp"], "unknown command exp: did you mean export? See securechat --help"],
    [["cert", "shwo"], "unknown command cert shwo: did you mean show? See securechat cert --help"],
    [["verify", "--opening"], "unknown flag --opening: did you mean --openings? See securechat verify --help"],
  ];
  for (const [args, sentence] of sentences) {
    assert.deepEqual(await run(args), { status: 2, stdout: "", stderr: `securechat: ${sentence}\n` });
  }
});

Deno.test("securechat names a setting that makes no sense, from .env too", async () => {
  using folder = temporaryFolder();
  Deno.writeTextFileSync(`${folder.path}/.env`, "SERVER_PORT=70000\n");
  assert.deepEqual(await run(["serve"], { cwd: folder.path }), {
    status: 2,
    stdout: "",
    stderr: "securechat: SERVER_PORT=70000 from .env is not a port: a number from 0 to 65535\n",
  });
  Deno.writeTextFileSync(`${folder.path}/.env`, "hunter2\n");
  const { status, stderr } = await run(["serve"], { cwd: folder.path });
  assert.deepEqual([status, stderr], [2, "securechat: line 1 of .env is not NAME=value; see .env.example\n"]);
});

Deno.test({
  name: "securechat ends quietly when nobody reads its output",
  ...skipUnless("unix"),
  fn: async () => {
    const { command, args } = program("--help");
    const script = '{ trap "" PIPE; "$@"; echo "status $?" >&2; } | true';
    const { stderr } = await runCommand("sh", ["-c", script, "sh", command, ...args]);
    assert.match(stderr, /^status (?:141|0)\n$/);
  },
});

Deno.test({
  name: "securechat says in one sentence that the disk is full",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const { command, args } = program("--help");
    const { status, stderr } = await runCommand("sh", ["-c", '"$@" >/dev/full', "sh", command, ...args]);
    assert.equal(status, 5);
    assert.match(stderr, /^securechat: No space left on device.*\n$/);
  },
});

Deno.test("start and serve say where they listen, TLS too, and start doesn't say to serve", async () => {
  using folder = temporaryFolder();
  const cwd = folder.path;
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const flags = ["--host", "127.0.0.1", "--port", String(taken.addr.port)];
  const refused = await run(["start", ...flags], { cwd });
  assert.equal(refused.status, 5);
  assert.equal(refused.stdout, "");
  assert.match(refused.stderr, /^Made a CA and certificates in certs\.\n[^]*is in use/);
  assert.doesNotMatch(refused.stderr, /Next:/);

  await using server = await startServer(["--log-file", "log"], { cwd });
  const { stdout } = await server.stop();
  const [, port, tlsPort] =
    /^\[\*\] Secure Chat Server listening on 127\.0\.0\.1:(\d+)\n\[\*\] TLS on 127\.0\.0\.1:(\d+)\n$/.exec(stdout) ??
      [];
  assert.ok(port !== undefined && tlsPort !== undefined, stdout);
  const log = Deno.readTextFileSync(`${cwd}/log`);
  assert.match(log, new RegExp(`INFO listening address=127\\.0\\.0\\.1:${port}\n`));
  assert.match(log, new RegExp(`INFO listening for TLS address=127\\.0\\.0\\.1:${tlsPort}\n`));
});

Deno.test("the program's start imports no command, and only what its own few lines need", () => {
  const text = Deno.readTextFileSync(`${ROOT}/mod.ts`);
  const imports = [...text.matchAll(/^(?:import|export) (?!type)[^;]*?from "([^"]+)"/gm)].map(([, specifier]) =>
    specifier
  );
  assert.deepEqual(
    new Set(imports),
    new Set([
      ...["./lib/errors.ts", "./lib/command_line.ts", "./lib/config.ts", "./lib/nearest.ts", "./lib/text.ts"],
      ...["./tools/commands.ts", "./deno.json"],
    ]),
  );
});
