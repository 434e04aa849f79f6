/**
 * A program on a terminal: `script` of util-linux gives it a pty, and what is typed and shown passes through pipes.
 *
 *     await using terminal = openTerminal(["deno", "run", "mod.ts", "chat"], { cwd: folder.path });
 *     await terminal.expect("E-mail: ");
 *     terminal.type("ada@example.org\r");
 *
 * Tests that use it say `skipUnless("pty")`. After the program the shell prints `status N` and whether the terminal was
 * left as it was found, for {@link Terminal.ended}.
 */

import { cleanEnvironment, ROOT } from "./environment.ts";

/** Long enough for a start on a busy machine. */
const PATIENCE = 30_000;

/** Where and how the program runs. */
export interface TerminalOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly columns?: number;
  readonly rows?: number;
}

/** How it ended. */
export interface TerminalEnd {
  readonly status: number;
  /** Whether lines are edited and echoed by the system again. */
  readonly isRestored: boolean;
}

/** Starts a program on a terminal of its own. */
export function openTerminal(command: readonly string[], options: TerminalOptions = {}): Terminal {
  const { cwd = ROOT, env = {}, columns = 100, rows = 24 } = options;
  const words = command.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
  const script = `stty rows ${rows} cols ${columns}; echo pid $$; ${words}; echo "status $?" $(stty -a)`;
  const child = new Deno.Command("script", {
    args: ["--quiet", "--flush", "--return", "--echo", "always", "--command", script, "/dev/null"],
    cwd,
    env: cleanEnvironment({ TERM: "xterm", SHELL: "/bin/sh", ...env }),
    clearEnv: true,
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  return new Terminal(child);
}

/** A terminal with a program on it. */
export class Terminal implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #keyboard: WritableStreamDefaultWriter<Uint8Array>;
  #shown = "";
  /** How much of it {@link expect} has passed. */
  #seen = 0;
  #changed = Promise.withResolvers<void>();
  #over = false;

  constructor(child: Deno.ChildProcess) {
    this.#child = child;
    this.#keyboard = child.stdin.getWriter();
    this.#watch();
  }

  async #watch(): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of this.#child.stdout) this.#show(decoder.decode(chunk, { stream: true }));
    this.#over = true;
    this.#show("");
  }

  #show(text: string): void {
    this.#shown += text;
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  /** Everything that was shown, escape sequences and all. */
  get shown(): string {
    return this.#shown;
  }

  /** Types. */
  type(text: string): void {
    this.#keyboard.write(new TextEncoder().encode(text)).catch(() => {}); // the program may have ended
  }

  /** Waits until this is shown, after what was waited for before; gives what was shown up to its end. */
  async expect(what: string | RegExp, patience = PATIENCE): Promise<string> {
    const end = performance.now() + patience;
    for (;;) {
      const rest = this.#shown.slice(this.#seen);
      const found = typeof what === "string" ? rest.indexOf(what) : rest.search(what);
      if (found >= 0) {
        const length = typeof what === "string" ? what.length : what.exec(rest)?.[0].length ?? 0;
        this.#seen += found + length;
        return rest.slice(0, found + length);
      }
      if (this.#over || performance.now() > end) {
        throw new Error(`${what} was not shown, but:\n${JSON.stringify(rest)}`);
      }
      await this.#changeWithin(end - performance.now());
    }
  }

  /** Waits for something to be shown, no longer than that. */
  async #changeWithin(time: number): Promise<void> {
    const timer = setTimeout(() => this.#show(""), time);
    await this.#changed.promise;
    clearTimeout(timer);
  }

  /** Waits for the program's end. */
  async ended(): Promise<TerminalEnd> {
    const said = await this.expect(/status [0-9]+ [^]*?;[^]*?-?echo\b[^]*?\r\n/);
    return {
      status: Number(/status ([0-9]+)/.exec(said)?.[1]),
      isRestored: /(?<!-)\bicanon\b/.test(said) && /(?<!-)\becho\b/.test(said),
    };
  }

  /** The process of that name that runs on this terminal, by what `ps` knows. */
  async kill(signal: Deno.Signal): Promise<void> {
    const shell = /pid ([0-9]+)/.exec(this.#shown)?.[1] ?? "";
    const { stdout } = await new Deno.Command("ps", { args: ["-o", "pid=", "--ppid", shell] }).output();
    for (const pid of new TextDecoder().decode(stdout).split(/\s+/).filter(Boolean)) Deno.kill(Number(pid), signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.#keyboard.close().catch(() => {});
    await this.#child.status;
  }
}
