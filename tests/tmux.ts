/**
 * A program on a terminal that is drawn: `tmux` keeps the picture, so that a test sees what a person would.
 *
 *     await using terminal = await openTmux(["deno", "run", "mod.ts", "rooms"], { cwd: folder.path, columns: 80, rows: 24 });
 *     await terminal.shows("online");
 *     await terminal.type("hello", "Enter");
 *
 * Tests that use it say `skipUnless("tmux")`. Each terminal has a tmux server of its own, which ends with the test.
 */

import { cleanEnvironment } from "./environment.ts";

/** Long enough for a start on a busy machine. */
const PATIENCE = 30_000;

/** Where and how the program runs. */
export interface TmuxOptions {
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly columns: number;
  readonly rows: number;
}

/** Starts a program on a terminal of that size; when it ends, `ended STATUS` stands there. */
export async function openTmux(command: readonly string[], options: TmuxOptions): Promise<Tmux> {
  const words = command.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
  const terminal = new Tmux(`securechat-${crypto.randomUUID()}`, options);
  const size = ["-x", String(options.columns), "-y", String(options.rows)];
  await terminal.run("-f", "/dev/null", "new-session", "-d", ...size, `${words}; echo "ended $?"; sleep 60`);
  return terminal;
}

/** A terminal with a program on it. */
export class Tmux implements AsyncDisposable {
  readonly #name: string;
  readonly #options: TmuxOptions;

  constructor(name: string, options: TmuxOptions) {
    this.#name = name;
    this.#options = options;
  }

  /** A command of tmux, and what it prints. */
  async run(...args: string[]): Promise<string> {
    const { success, stdout, stderr } = await new Deno.Command("tmux", {
      args: ["-u", "-L", this.#name, ...args],
      cwd: this.#options.cwd,
      env: cleanEnvironment({ TERM: "xterm-256color", SHELL: "/bin/sh", ...this.#options.env }),
      clearEnv: true,
    }).output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
    return new TextDecoder().decode(stdout);
  }

  /** What stands on the terminal, without blanks at the ends of rows. */
  async picture(): Promise<string> {
    return (await this.run("capture-pane", "-p")).split("\n").map((row) => row.trimEnd()).join("\n");
  }

  /** Waits until the picture holds this, or is so; gives the picture. */
  async shows(what: string | RegExp | ((picture: string) => boolean)): Promise<string> {
    const holds = typeof what === "string"
      ? (picture: string) => picture.includes(what)
      : typeof what === "function"
      ? what
      : (picture: string) => what.test(picture);
    for (const end = performance.now() + PATIENCE;;) {
      const picture = await this.picture();
      if (holds(picture)) return picture;
      if (performance.now() > end) throw new Error(`${what} was not shown, but:\n${picture}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Presses keys, named as tmux names them, or types a text. */
  async type(...keys: string[]): Promise<void> {
    await this.run("send-keys", ...keys);
  }

  async resize(columns: number, rows: number): Promise<void> {
    await this.run("resize-window", "-x", String(columns), "-y", String(rows));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.run("kill-server").catch(() => {});
  }
}
