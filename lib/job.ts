/**
 * Suspends and resumes this program, as a shell's job control does (Ctrl-Z, `fg`).
 *
 *     using job = new Job({ leave: () => …, enter: () => … });    until the end of the block
 *     suspend();                                                  for code that reads Ctrl-Z as a key
 *
 * `leave` gives the terminal back before the program stops, and `enter` takes it again when the program resumes. `enter`
 * is also called after a stop that can't be noticed beforehand (SIGSTOP), since the shell has used the terminal
 * meanwhile. The program isn't stopped if nobody could resume it: without a shell that controls jobs, or if SIGTSTP was
 * ignored from the start.
 *
 * @layer outside
 */

import { isIgnored } from "./hangup.ts";

/** What to do before stopping and after resuming. */
export interface JobHooks {
  readonly leave: () => void;
  readonly enter: () => void;
}

const HAS_JOBS = Deno.build.os !== "windows";

/** Listens for signals that stop and resume this program, until the end of the block. */
export class Job implements Disposable {
  readonly #hooks: JobHooks;

  constructor(hooks: JobHooks) {
    this.#hooks = hooks;
    if (!HAS_JOBS) return;
    Deno.addSignalListener("SIGTSTP", this.#stop);
    Deno.addSignalListener("SIGCONT", this.#goOn);
  }

  readonly #stop = (): void => {
    if (!canBeStopped()) return;
    this.#hooks.leave();
    Deno.kill(Deno.pid, "SIGSTOP");
  };

  readonly #goOn = (): void => this.#hooks.enter();

  [Symbol.dispose](): void {
    if (!HAS_JOBS) return;
    Deno.removeSignalListener("SIGTSTP", this.#stop);
    Deno.removeSignalListener("SIGCONT", this.#goOn);
  }
}

/** Stops the programs of this job, as Ctrl-Z does outside raw mode. */
export function suspend(): void {
  if (HAS_JOBS && canBeStopped()) Deno.kill(0, "SIGTSTP"); // 0: the whole process group
}

/** Whether there is a shell that sees this job stop: the parent of the job's first process, in the same session. */
function canBeStopped(): boolean {
  if (isIgnored("SIGTSTP")) return false;
  if (Deno.build.os !== "linux") return true;
  const own = statOf("self");
  for (let next = own; next && own;) {
    const parent = statOf(String(next.parent));
    if (parent?.group !== own.group) return parent?.session === own.session;
    next = parent;
  }
  return false;
}

interface Stat {
  readonly parent: number;
  readonly group: number;
  readonly session: number;
}

/** What /proc says about a process, see proc(5). */
function statOf(pid: string): Stat | undefined {
  try {
    // The name of the program, in brackets, may contain anything.
    const [, rest = ""] = /^[^]*\) (.*)/.exec(Deno.readTextFileSync(`/proc/${pid}/stat`)) ?? [];
    const [, parent = 0, group = 0, session = 0] = rest.split(" ").map(Number);
    return { parent, group, session };
  } catch {
    return undefined;
  }
}
