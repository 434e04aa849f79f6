import { assert } from "./assert.ts";
import { type Ended, ROOT, skipUnless, temporaryFolder } from "./environment.ts";

const unix = skipUnless("unix");

/** Runs a copy of tools/deno where PATH holds the plain utilities and these scripts alone. */
async function wrapper(
  scripts: Readonly<Record<string, string>>,
  check: (run: (...args: string[]) => Promise<Ended>, path: string) => Promise<void>,
): Promise<void> {
  using folder = temporaryFolder();
  const bin = `${folder.path}/bin`;
  Deno.mkdirSync(bin);
  for (const name of ["sed", "sort", "head", "mkdir", "mktemp", "rm", "mv", "cat", "chmod", "dirname", "cp"]) {
    const { stdout } = await new Deno.Command("sh", { args: ["-c", `command -v ${name}`] }).output();
    Deno.symlinkSync(new TextDecoder().decode(stdout).trim(), `${bin}/${name}`);
  }
  for (const [name, script] of Object.entries(scripts)) {
    Deno.writeTextFileSync(`${bin}/${name}`, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  }
  const clone = `${folder.path}/clone`;
  Deno.mkdirSync(`${clone}/tools`, { recursive: true });
  Deno.copyFileSync(`${ROOT}/tools/deno`, `${clone}/tools/deno`);
  const run = async (...args: string[]) => {
    const { code, stdout, stderr } = await new Deno.Command("/bin/sh", {
      args: [`${clone}/tools/deno`, ...args],
      cwd: "/",
      env: { PATH: bin, HOME: folder.path, XDG_CACHE_HOME: `${folder.path}/a cache` },
      clearEnv: true,
      stdin: "null",
    }).output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    return { status: code, stdout: text(stdout), stderr: text(stderr) };
  };
  await check(run, folder.path);
}

/** A stand-in for Deno: says its version, or what it was called with. */
const deno = (version: string) =>
  `[ "$1" = --version ] && echo "deno ${version} (stable)" || echo "${version}: $* $DENO_TLS_CA_STORE"`;

/** A stand-in for npm or pip, which puts such a Deno where the real one would. */
const installer = (target: string) =>
  `case "$*" in *--version*) exit 0;; esac
while [ $# -gt 1 ]; do case "$1" in --prefix|--target) into="$2";; esac; shift; done
mkdir -p "$into/${target}"
cat > "$into/${target}/deno" <<'END'
#!/bin/sh
${deno("2.9.6")}
END
chmod +x "$into/${target}/deno"`;

Deno.test({
  name: "tools/deno runs the Deno on PATH where it is new enough, and passes on what it is given",
  ...unix,
  fn: async () => {
    for (const version of ["2.6.10", "2.10.0", "3.0.0"]) {
      await wrapper({ deno: deno(version) }, async (run) => {
        assert.deepEqual(await run("task", "a b"), {
          status: 0,
          stdout: `${version}: task --quiet a b system,mozilla\n`,
          stderr: "",
        });
      });
    }
  },
});

for (
  const [by, scripts] of [
    ["npm", { npm: installer("node_modules/@deno/some-system") }],
    ["pip", { python3: installer("bin") }],
  ] as const
) {
  Deno.test({
    name: `tools/deno fetches the pinned Deno through ${by} once, and says so`,
    ...unix,
    fn: async () => {
      await wrapper({ deno: deno("2.6.9"), ...scripts }, async (run, path) => {
        const first = await run("x");
        assert.equal(first.stdout, "2.9.6: x system,mozilla\n");
        assert.equal(
          first.stderr,
          `tools/deno: fetching Deno 2.9.6 through ${by} into ${path}/a cache/securechat-deno …\n`,
        );
        assert.deepEqual(await run("y"), { status: 0, stdout: "2.9.6: y system,mozilla\n", stderr: "" });
        const cached = [...Deno.readDirSync(`${path}/a cache/securechat-deno`)].map(({ name }) => name);
        assert.deepEqual(cached, ["2.9.6"], "no half-made folder stays");
      });
    },
  });
}

Deno.test({
  name: "tools/deno says in one sentence that nothing can fetch a Deno",
  ...unix,
  fn: async () => {
    await wrapper({ deno: "exit 1" }, async (run) => {
      const { status, stdout, stderr } = await run("x");
      assert.deepEqual({ status, stdout }, { status: 1, stdout: "" });
      assert.match(stderr, /^tools\/deno: Deno 2\.6\.10 or later is needed, .*\n$/);
    });
  },
});

Deno.test({
  name: "tools/deno fetches the clone's packages once, in one line, and shows more only if that fails",
  ...unix,
  fn: async () => {
    const noisy = `[ "$1" = --version ] && echo "deno 2.9.6 (stable)" && exit
if [ "$1" = install ]; then echo "Download a"; echo "Download b" >&2; mkdir node_modules; exit $(cat status); fi
echo "ran $*"`;
    await wrapper({ deno: noisy }, async (run, path) => {
      Deno.writeTextFileSync(`${path}/clone/deno.lock`, "{}");
      Deno.writeTextFileSync(`${path}/clone/status`, "1");
      const failed = await run("task", "start");
      assert.deepEqual([failed.status, failed.stdout], [1, ""]);
      assert.match(failed.stderr, /Download a\nDownload b\ntools\/deno: this failed: .*\n$/);
      Deno.removeSync(`${path}/clone/node_modules`);
      Deno.writeTextFileSync(`${path}/clone/status`, "0");
      const line = "tools/deno: fetching this project's packages into node_modules …\n";
      assert.deepEqual(await run("task", "start"), { status: 0, stdout: "ran task --quiet start\n", stderr: line });
      assert.deepEqual(await run("task", "start"), { status: 0, stdout: "ran task --quiet start\n", stderr: "" });
    });
  },
});
