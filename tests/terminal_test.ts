import { assert } from "./assert.ts";
import { cleanEnvironment, ROOT, runCommand, skipUnless } from "./environment.ts";
import { openTerminal, type TerminalOptions } from "./pty.ts";

const TERMINAL = `import * as terminal from "file://${ROOT}/lib/terminal.ts";`;

/** A program of a few lines on a terminal of its own. */
function program(code: string, options: TerminalOptions = {}) {
  return openTerminal([Deno.execPath(), "eval", "--quiet", `${TERMINAL}${code}`], options);
}

const ASK = `
  const answer = await terminal.askHidden("Password: ").catch((error) => error.constructor.name + error.status);
  console.log(JSON.stringify({ answer }));
  Deno.exit(0);`;

Deno.test({
  name: "askHidden() echoes nothing, takes corrections, and leaves the terminal as it was",
  ...skipUnless("pty"),
  fn: async () => {
    await using terminal = program(ASK);
    await terminal.expect("Password: ");
    terminal.type("wrong\x15hunteX\x7fr2 ü\r");
    await terminal.expect('{"answer":"hunter2 ü"}');
    const before = terminal.shown.slice(0, terminal.shown.indexOf("{"));
    assert.match(before, /Password: \r\n$/, "not even stars are shown");
    assert.deepEqual(await terminal.ended(), { status: 0, isRestored: true });
  },
});

Deno.test({
  name: "askHidden() ends at Ctrl-C, Ctrl-D and SIGTERM with a Failure and a restored terminal",
  ...skipUnless("pty"),
  fn: async () => {
    for (const end of ["\x03", "\x04", "SIGTERM", "SIGHUP"] as const) {
      await using terminal = program(ASK);
      await terminal.expect("Password: ");
      if (end === "SIGTERM" || end === "SIGHUP") await terminal.kill(end);
      else terminal.type(end);
      await terminal.expect('{"answer":"Failure4"}');
      assert.deepEqual(await terminal.ended(), { status: 0, isRestored: true }, JSON.stringify(end));
    }
  },
});

Deno.test({
  name: "askHidden() and askLine() keep what was typed ahead for the next question",
  ...skipUnless("pty"),
  fn: async () => {
    await using terminal = program(`
      const first = await terminal.askHidden("First: ");
      const second = await terminal.askHidden("Second: ");
      const third = await terminal.askLine("Third: ");
      console.log(JSON.stringify([first, second, third]));
      Deno.exit(0);`);
    await terminal.expect("First: ");
    terminal.type("one\rtwo\rthree\n");
    await terminal.expect('["one","two","three"]');
  },
});

Deno.test({
  name: "askHidden() without a terminal says what to do instead",
  fn: async () => {
    const { stdout } = await piped(ASK, "secret\n");
    assert.match(stdout, /Failure2/);
  },
});

Deno.test({
  name: "RawMode is left at the block's end, at Deno.exit and at an error that nobody catches",
  ...skipUnless("pty"),
  fn: async () => {
    const enter = "using raw = new terminal.RawMode(); console.log('raw');";
    for (
      const [code, status] of [
        [`{ ${enter} } Deno.exit(0);`, 0],
        [`${enter} Deno.exit(3);`, 3],
        [`${enter} throw new Error("oh");`, 1],
        [`${enter} Promise.reject(new Error("oh")); await new Promise((done) => setTimeout(done, 9999));`, 1],
      ] as const
    ) {
      await using terminal = program(code);
      await terminal.expect("raw");
      assert.deepEqual(await terminal.ended(), { status, isRestored: true }, code);
    }
  },
});

Deno.test({
  name: "chunks() gives the keys of raw mode one by one, Ctrl-C and Ctrl-Z among them",
  ...skipUnless("pty"),
  fn: async () => {
    await using terminal = program(`
      using raw = new terminal.RawMode();
      console.log("ready");
      const keys = [];
      for await (const chunk of terminal.chunks()) {
        keys.push(...chunk);
        if (keys.includes(113)) break;
      }
      console.log(JSON.stringify(keys));`);
    await terminal.expect("ready");
    terminal.type("\x03\x1a\x04a\rq");
    await terminal.expect("[3,26,4,97,13,113]");
  },
});

Deno.test({
  name: "size() is the terminal's, and that of a VT100 where there is none",
  ...skipUnless("pty"),
  fn: async () => {
    const say = "console.log(JSON.stringify([terminal.size(), terminal.canDraw()])); Deno.exit(0);";
    await using terminal = program(say, { columns: 33, rows: 7 });
    await terminal.expect('[{"columns":33,"rows":7},true]');
    await using dumb = program(say, { env: { TERM: "dumb" } });
    await dumb.expect('[{"columns":100,"rows":24},false]');
    assert.equal((await piped(say, "")).stdout, '[{"columns":80,"rows":24},false]\n');
  },
});

Deno.test("wantsColour() follows NO_COLOR, which means something only when it isn't empty", async () => {
  const say = "console.log(terminal.wantsColour())";
  assert.equal((await piped(say, "", { NO_COLOR: "1" })).stdout, "false\n");
  assert.equal((await piped(say, "", { NO_COLOR: "" })).stdout, "true\n");
});

Deno.test("lines() cuts what comes through a pipe, and says what is not UTF-8", async () => {
  const say =
    "for await (const line of terminal.lines()) console.log(JSON.stringify(line ?? null)?.slice(0, 40), line?.length);";
  const { stdout } = await piped(say, new Uint8Array([...new TextEncoder().encode("one\r\n\ntwö\n"), 0xff, 10]));
  assert.equal(stdout, '"one" 3\n"" 0\n"twö" 3\nnull undefined\n');
  assert.equal((await piped(say, "a\nlast")).stdout, '"a" 1\n"last" 4\n');
  assert.equal((await piped(say, "")).stdout, "");
});

Deno.test("lines() holds no more of an endless line than makes it too long", async () => {
  const say = "for await (const line of terminal.lines()) console.log(line.length < 200_000 && line.length > 16_000);";
  assert.equal((await piped(say, `${"x".repeat(3_000_000)}\n`)).stdout, "true\n");
});

async function piped(code: string, input: string | Uint8Array, env: Record<string, string> = {}) {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["eval", "--quiet", `${TERMINAL}${code}`],
    env: cleanEnvironment(env),
    clearEnv: true,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(typeof input === "string" ? new TextEncoder().encode(input) : input).catch(() => {});
  await writer.close().catch(() => {});
  const { stdout, stderr } = await child.output();
  return { stdout: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr) };
}

Deno.test("an Output writes once a turn, in order, and at once after its end", async () => {
  const code = `
    let writes = 0;
    const writeSync = Deno.stdout.writeSync;
    Deno.stdout.writeSync = (bytes) => { writes += 1; return writeSync.call(Deno.stdout, bytes); };
    const output = new terminal.Output(() => {});
    for (let i = 0; i < 1000; i++) output.write(i + "\\n");
    await new Promise((resolve) => setTimeout(resolve, 20));
    output.write("before ");
    output.end();
    output.write("after " + writes);
  `;
  const { stdout } = await runCommand(Deno.execPath(), ["eval", "--quiet", `${TERMINAL}${code}`]);
  assert.equal(stdout, `${Array.from({ length: 1000 }, (_, i) => `${i}\n`).join("")}before after 2`);
});

Deno.test("an Output whose reader is gone says so once, and drops what comes", async () => {
  const code = `
    let gone = 0;
    Deno.stdout.writeSync = () => { throw new Deno.errors.BrokenPipe("gone"); };
    const output = new terminal.Output(() => gone += 1);
    output.write("a");
    output.end();
    output.write("b");
    console.error(gone);
  `;
  const { stderr } = await runCommand(Deno.execPath(), ["eval", "--quiet", `${TERMINAL}${code}`]);
  assert.equal(stderr, "1\n");
});
