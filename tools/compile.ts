/**
 * `deno task compile`: dist/securechat, the program and its runtime in one file.
 *
 *     deno task compile [--target x86_64-apple-darwin] [--output dist/securechat-macos-x64]
 *
 * esbuild bundles mod.ts into a temporary folder: what a command imports lazily becomes a chunk of its own, so a start
 * reads no more than it uses, and no folder node_modules gets into the binary. A worker is an entry of its own beside
 * them; where the source says `new URL("./line_signature_worker.ts", import.meta.url)` the bundle says `….js`, and every chunk
 * lies in the same folder.
 *
 * The runtime comes from Deno's host, in the version of the Deno that runs this. Where that host can't be reached,
 * DENO_FOR_COMPILE names a Deno and DENORT_BIN a runtime of the same version; without them they are taken from
 * `../shared/toolchain/compile-env`, if that is there.
 */

import { build, type Plugin, stop } from "esbuild";
import { isBuiltin } from "node:module";
import { fileURLToPath } from "node:url";
import { HelpAsked, parseCommand } from "../lib/command_line.ts";
import { EXIT, Failure } from "../lib/errors.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** Modules that run in a worker: nobody imports them, so each is bundled as an entry. */
const WORKERS = ["line_signature_worker"];

const SPEC = {
  program: "deno task",
  name: "compile",
  summary: "write the program as one file",
  usage: `deno task compile [--target TRIPLE] [--output FILE]

Examples:
  deno task compile
  deno task compile --target aarch64-apple-darwin --output dist/securechat-macos-arm64`,
  options: {
    target: { type: "string", value: "TRIPLE", describe: "system and processor to compile for, if not this one's" },
    output: { type: "string", value: "FILE", describe: "what to write (dist/securechat)" },
  },
} as const;

/** Compiles; the command line is {@link SPEC}'s. */
async function compile(args: readonly string[]): Promise<void> {
  const { options } = parseCommand(args, SPEC);
  const folder = await Deno.makeTempDir({ prefix: "securechat_compile_" });
  try {
    const workers = await bundle(folder);
    await Deno.mkdir(`${ROOT}dist`, { recursive: true });
    const { command, env } = options.target === undefined ? await compiler() : { command: Deno.execPath(), env: {} };
    const { success } = await new Deno.Command(command, {
      // --no-prompt: `verify` gives permissions back, and a runtime that then asks for them would not fail closed.
      // --no-code-cache: the runtime would run compiled code out of a file in the shared temporary folder, under a name
      // that any local user can take first, without a check.
      args: [
        ...["compile", "--quiet", "--no-check", "--no-config", "--no-prompt", "--no-code-cache", "--allow-all"],
        ...workers.flatMap((worker) => ["--include", worker]),
        ...(options.target === undefined ? [] : ["--target", options.target]),
        ...["--output", options.output ?? `${ROOT}dist/securechat`, `${folder}/mod.js`],
      ],
      env,
      stdin: "null",
    }).output().then(async (output) => {
      await Deno.stderr.write(output.stderr);
      return output;
    });
    if (!success) throw new Failure(EXIT.unavailable, "deno compile failed; its message stands above");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Writes mod.js, its chunks and the workers into the folder; the paths of the workers. */
async function bundle(folder: string): Promise<string[]> {
  const workers = WORKERS.filter((name) => exists(`${ROOT}lib/${name}.ts`));
  try {
    await build({
      entryPoints: [`${ROOT}mod.ts`, ...workers.map((name) => `${ROOT}lib/${name}.ts`)],
      absWorkingDir: ROOT,
      outdir: folder,
      entryNames: "[name]",
      chunkNames: "[name]-[hash]",
      bundle: true,
      splitting: true,
      format: "esm",
      platform: "node",
      target: "esnext",
      conditions: ["deno"],
      // ES modules where a package has them: a lazily imported CommonJS one would arrive without its names.
      mainFields: ["module", "main"],
      minifySyntax: true,
      minifyWhitespace: true,
      logLevel: "warning",
      plugins: [builtins, workerUrls(workers)],
    });
  } catch {
    throw new Failure(EXIT.no, "esbuild could not bundle mod.ts; its messages stand above");
  } finally {
    await stop();
  }
  return workers.map((name) => `${folder}/${name}.js`);
}

/**
 * CommonJS packages `require` the runtime's own modules, by names with and without `node:`. An ES module has no
 * `require`, and importing node:module for one would cost every start.
 */
const builtins: Plugin = {
  name: "builtins",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^[^./]/ }, ({ path, kind }) => {
      if (!isBuiltin(path)) return undefined;
      const name = `node:${path.replace(/^node:/, "")}`;
      return kind === "require-call" ? { path: name, namespace: "required" } : { path: name, external: true };
    });
    onLoad({ filter: /.*/, namespace: "required" }, ({ path }) => ({
      contents: `module.exports = process.getBuiltinModule(${JSON.stringify(path)});`,
    }));
  },
};

/** The URL of a worker is that of its bundle. */
function workerUrls(workers: readonly string[]): Plugin {
  const url = new RegExp(`(new URL\\("\\./(?:${workers.join("|")})\\.)ts(", import\\.meta\\.url\\))`, "g");
  return {
    name: "worker URLs",
    setup({ onLoad }) {
      if (workers.length === 0) return;
      onLoad({ filter: /[/\\]lib[/\\][a-z0-9_]+\.ts$/ }, async ({ path }) => ({
        contents: (await Deno.readTextFile(path)).replaceAll(url, "$1js$2"),
        loader: "ts",
      }));
    },
  };
}

/** The Deno that compiles, and its environment. */
export async function compiler(): Promise<{ command: string; env: Record<string, string> }> {
  const given = Deno.env.get("DENO_FOR_COMPILE");
  if (given !== undefined) return { command: given, env: {} };
  const script = `${Deno.env.get("SECURECHAT_SHARED") ?? `${ROOT}../shared`}/toolchain/compile-env`;
  if (Deno.build.os !== "linux" || !exists(script)) return { command: Deno.execPath(), env: {} };

  const { success, stdout } = await new Deno.Command("sh", {
    args: ["-c", 'eval "$("$1")" && printf "%s\\n" "$DENO_FOR_COMPILE" "$DENORT_BIN" "$RUST_MIN_STACK"', "sh", script],
    stdin: "null",
    stderr: "inherit",
  }).output();
  const [command, runtime, stack] = new TextDecoder().decode(stdout).split("\n");
  if (!success || !command || !runtime || !stack) throw new Failure(EXIT.unavailable, `${script} gave no toolchain`);
  return { command, env: { DENORT_BIN: runtime, RUST_MIN_STACK: stack } };
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

if (import.meta.main) {
  try {
    await compile(Deno.args);
  } catch (error) {
    if (error instanceof HelpAsked) console.log(error.text);
    else if (error instanceof Failure) console.error(`compile: ${error.message}`);
    else throw error;
    Deno.exitCode = error instanceof Failure ? error.status : EXIT.done;
  }
}
