/**
 * What the tests find around them: the program under test, a folder that goes away, and what not every machine has.
 *
 * - `SECURECHAT_BINARY`: the compiled program as the one under test; without it that is `deno run mod.ts`.
 * - `SECURECHAT_SHARED`: where the protocol page's vectors and the Python peer lie; `../shared` beside the clone
 * without it.
 * - `SECURECHAT_PEER_PYTHON`: a Python that has the peer's requirements; `python3` without it.
 *
 * A test that needs something which isn't there is ignored and says so in one line:
 *
 *     Deno.test({ name: "…", ...skipUnless("peer"), fn: async () => { … } });
 */

import { fileURLToPath } from "node:url";

/** The clone. */
export const ROOT = fileURLToPath(new URL("..", import.meta.url)).replace(/[/\\]$/, "");

/** The shared folder, whether it is there or not. */
export const SHARED = Deno.env.get("SECURECHAT_SHARED") ?? fileURLToPath(new URL("../../shared", import.meta.url));

/** The Python that the peer runs on. */
export const PEER_PYTHON = Deno.env.get("SECURECHAT_PEER_PYTHON") ?? "python3";

/** The compiled program, whether it is there or not. */
export const BINARY = Deno.env.get("SECURECHAT_BINARY") ?? `${ROOT}/dist/securechat`;

const NEEDS = {
  shared: ["the folder ../shared (or SECURECHAT_SHARED)", () => exists(`${SHARED}/protocol.md`)],
  peer: [
    "../shared/peer and a Python with its requirements (SECURECHAT_PEER_PYTHON)",
    () => exists(`${SHARED}/peer/conformance.py`) && runs(PEER_PYTHON, "-c", "import cryptography"),
  ],
  cryptography: [
    "a Python with cryptography (SECURECHAT_PEER_PYTHON)",
    () => runs(PEER_PYTHON, "-c", "import cryptography"),
  ],
  python: ["python3 on PATH", () => runs("python3", "--version")],
  openssl: ["openssl on PATH", () => runs("openssl", "version")],
  mariadb: ["a MariaDB or MySQL server on PATH", () => mariadbd() !== undefined],
  pty: ["script (util-linux) on PATH", () => Deno.build.os === "linux" && runs("script", "--version")],
  cc: ["a C compiler, cc, on Linux", () => Deno.build.os === "linux" && runs("cc", "--version")],
  tmux: ["tmux on PATH", () => runs("tmux", "-V")],
  zsh: ["zsh on PATH", () => runs("zsh", "--version")],
  fish: ["fish on PATH", () => runs("fish", "--version")],
  mandoc: ["mandoc on PATH", () => runs("sh", "-c", "command -v mandoc")],
  tshark: ["tshark on PATH, and the right to capture", () => runs("tshark", "-D")],
  binary: ["a compiled program (deno task compile)", () => exists(BINARY)],
  litewitness: [
    "litewitness and ssh-agent on PATH (go install filippo.io/torchwood/cmd/litewitness@v0.6.1)",
    () => runs("sh", "-c", "command -v litewitness && command -v ssh-agent && command -v ssh-add"),
  ],
  omniwitness: [
    "omniwitness and generate_keys on PATH (go install github.com/transparency-dev/witness/cmd/{omniwitness,generate_keys})",
    () => runs("sh", "-c", "command -v omniwitness && command -v generate_keys"),
  ],
  gopeer: ["gopeer on PATH (cd tests/go && go install .)", () => runs("sh", "-c", "command -v gopeer")],
  node: ["node and npm on PATH", () => runs("node", "--version") && runs("npm", "--version")],
  unix: ["a system with signals and file modes", () => Deno.build.os !== "windows"],
} as const satisfies Record<string, readonly [string, () => boolean]>;

/** Something that not every machine has. */
export type Need = keyof typeof NEEDS;

const met = new Map<Need, boolean>();

/** For `Deno.test`: ignores the test where something is missing, and names it once in each file. */
export function skipUnless(...needs: readonly Need[]): { ignore: boolean } {
  let ignore = false;
  for (const need of needs) {
    const [what, check] = NEEDS[need];
    if (!met.has(need)) {
      met.set(need, check());
      if (!met.get(need)) console.log(`skipped: tests that need ${what}`);
    }
    ignore ||= !met.get(need);
  }
  return { ignore };
}

/** The server program of MariaDB or MySQL, started by the tests themselves on a folder and a port of their own. */
export function mariadbd(): string | undefined {
  return ["mariadbd", "/usr/sbin/mariadbd", "mysqld", "/usr/sbin/mysqld"].find((path) => runs(path, "--version"));
}

/** The program under test with these arguments, for `Deno.Command`. */
export function program(...args: string[]): { command: string; args: string[] } {
  const binary = Deno.env.get("SECURECHAT_BINARY");
  if (binary !== undefined) return { command: binary, args };
  return { command: Deno.execPath(), args: ["run", "--quiet", "--no-prompt", "-A", `${ROOT}/mod.ts`, ...args] };
}

let homes: string | undefined;
let homeCount = 0;

/** A home for profiles that nothing is in yet, and that goes away with the test file. */
export function ownHome(): string {
  if (homes === undefined) {
    const made = homes = Deno.makeTempDirSync({ prefix: "securechat_homes_" });
    addEventListener("unload", () => Deno.removeSync(made, { recursive: true }));
  }
  return `${homes}/${homeCount++}`;
}

/**
 * The environment for a program under test: what a program needs to run at all, no setting of this machine's, and an
 * empty home of its own. Programs that are to find the same profiles share a SECURECHAT_HOME in `extra`.
 */
export function cleanEnvironment(extra: Readonly<Record<string, string>> = {}): Record<string, string> {
  const kept =
    /^(?:PATH|HOME|TMPDIR|TEMP|TMP|SYSTEMROOT|USERPROFILE|LOCALAPPDATA|DENO_.*|XDG_.*|RUST_MIN_STACK|LANG)$/i;
  const surroundings = Object.entries(Deno.env.toObject()).filter(([name]) => kept.test(name));
  return { ...Object.fromEntries(surroundings), SECURECHAT_HOME: ownHome(), ...extra };
}

/** How a program ended. */
export interface Ended {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Where and how a program runs. */
export interface RunOptions {
  readonly cwd?: string;
  /** Beside {@link cleanEnvironment}. */
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string;
}

/** Runs the program under test to its end. */
export function run(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
  const { command, args: all } = program(...args);
  return runCommand(command, all, options);
}

/** Runs any program to its end. */
export async function runCommand(
  command: string,
  args: readonly string[],
  { cwd = ROOT, env, stdin }: RunOptions = {},
): Promise<Ended> {
  const child = new Deno.Command(command, {
    args: [...args],
    cwd,
    env: cleanEnvironment(env),
    clearEnv: true,
    stdin: stdin === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  if (stdin !== undefined) {
    const writer = child.stdin.getWriter();
    // A program that ends without reading all of it closes the pipe; how it ended is what the test looks at.
    await writer.write(new TextEncoder().encode(stdin)).then(() => writer.close()).catch(() => {});
  }
  const { code, stdout, stderr } = await child.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { status: code, stdout: text(stdout), stderr: text(stderr) };
}

/** A folder that is removed at the end of the block: `using folder = temporaryFolder();` */
export function temporaryFolder(): { readonly path: string } & Disposable {
  const path = Deno.makeTempDirSync({ prefix: "securechat_" });
  return { path, [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }) };
}

/** A port on which nobody listens now. */
export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** A server under test, started by {@link startServer}. */
export interface RunningServer extends AsyncDisposable {
  readonly port: number;
  readonly child: Deno.ChildProcess;
  /** What it wrote to stderr up to now. */
  stderr(): string;
  /** SIGTERM, and how it ended. */
  stop(signal?: Deno.Signal): Promise<Ended>;
}

/** Starts `serve --port 0` with further flags in a folder, once it listens. */
export async function startServer(args: readonly string[], options: RunOptions = {}): Promise<RunningServer> {
  const { command, args: all } = program("serve", "--host", "127.0.0.1", "--port", "0", ...args);
  const child = new Deno.Command(command, {
    args: all,
    cwd: options.cwd ?? ROOT,
    env: cleanEnvironment(options.env),
    clearEnv: true,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  let stdout = "";
  let stderr = "";
  const listening = Promise.withResolvers<number>();
  const drains = Promise.all([
    drain(child.stdout, (text) => {
      stdout += text;
      const port = /listening on \S+:([0-9]+)\n/.exec(stdout)?.[1];
      if (port !== undefined) listening.resolve(Number(port));
    }),
    drain(child.stderr, (text) => stderr += text),
  ]);
  const ended = Promise.all([child.status, drains]).then(([{ code }]) => ({ status: code, stdout, stderr }));
  const early = ended.then(({ status }) => {
    throw new Error(`the server ended with status ${status} before it listened: ${stderr}`);
  });
  early.catch(() => {}); // it ends after the test's own stop, too
  const port = await Promise.race([listening.promise, early]);
  const stop = (signal: Deno.Signal = "SIGTERM") => {
    try {
      child.kill(signal);
    } catch {
      // It has ended already.
    }
    return ended;
  };
  return {
    port,
    child,
    stderr: () => stderr,
    stop,
    [Symbol.asyncDispose]: async () => {
      await stop("SIGKILL");
    },
  };
}

async function drain(stream: ReadableStream<Uint8Array>, take: (text: string) => void): Promise<void> {
  const decoder = new TextDecoder();
  for await (const chunk of stream) take(decoder.decode(chunk, { stream: true }));
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

function runs(command: string, ...args: string[]): boolean {
  try {
    return new Deno.Command(command, { args, stdin: "null", stdout: "null", stderr: "null" }).outputSync().success;
  } catch {
    return false;
  }
}
