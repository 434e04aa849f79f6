import { assert } from "./assert.ts";
import { ROOT, runCommand } from "./environment.ts";

const isLinux = Deno.build.os === "linux";

Deno.test({
  name: "the benchmark measures our own program alone where the peer isn't, and says so",
  ignore: !isLinux,
  fn: async () => {
    const sessions = ["--handshakes", "2", "--messages", "60", "--seconds", "1", "--lines", "200"];
    const rooms = ["--posts", "40", "--members", "3", "--history", "300", "--log", "300"];
    // Those that weigh memory wait for half a minute.
    const parts = ["handshakes", "messages", "latency", "verify", "rooms", "resume", "history", "acts", "proofs"];
    const sizes = [...sessions, ...rooms, ...parts.flatMap((part) => ["--part", part]), "--json"];
    const { status, stdout, stderr } = await runCommand(
      Deno.execPath(),
      ["run", "--quiet", "--no-prompt", "-A", `${ROOT}/tools/bench.ts`, ...sizes],
      { env: { SECURECHAT_SHARED: "/nonexistent", SECURECHAT_PEER_PYTHON: "/nonexistent" } },
    );
    assert.equal(status, 0, stderr);
    assert.match(stderr, /peer isn't here/);
    const columns = JSON.parse(stdout);
    assert.deepEqual(Object.keys(columns), [`Deno ${Deno.version.deno}`]);
    const figures: [string, unknown][] = Object.entries(columns[`Deno ${Deno.version.deno}`]);
    assert(figures.length >= 25);
    for (const [row, value] of figures) assert(typeof value === "number" && !Number.isNaN(value), row);
    assert(figures.some(([row]) => row === "lines verified a second"));
  },
});

Deno.test("the benchmark refuses a part and a size that are none", async () => {
  for (
    const [args, sentence] of [[["--part", "speed"], /no part speed/], [["--lines", "0"], /--lines=0 is not/]] as const
  ) {
    const { status, stderr } = await runCommand(Deno.execPath(), [
      "run",
      "-A",
      "--quiet",
      `${ROOT}/tools/bench.ts`,
      ...args,
    ]);
    assert.equal(status, 2);
    assert.match(stderr, sentence);
  }
});
