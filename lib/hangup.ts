/**
 * What a hangup (SIGHUP) means to this process.
 *
 *     nohup securechat serve &       the signal was ignored from the start: it stays ignored
 *     the terminal is closed         "terminal closed": end
 *     kill -HUP PID                  "asked": the listener decides what that means
 *
 * As soon as a program listens for any signal, the runtime catches SIGHUP and dies of it, even if the signal was ignored
 * from the start. So this module reads whether it is ignored when it is loaded, which must be before the first listener:
 * `terminal.ts` imports it. From then on a listener that does nothing keeps it ignored. Linux says so in /proc; elsewhere
 * the signal counts as not ignored.
 *
 * @layer outside
 */

/** Numbers of signals, on every system that this runs on. */
const NUMBERS = { SIGHUP: 1, SIGTSTP: 20 } as const;

/** The signals that were ignored when this process started, one bit each; 0 if the system doesn't say. */
const ignored = ignoredSignals();

/** Whether there was a terminal when this process started. */
const hadTerminal = isTerminalThere();

function ignoredSignals(): bigint {
  if (Deno.build.os !== "linux") return 0n;
  try {
    const [, mask = "0"] = /^SigIgn:\s*([0-9a-f]+)$/m.exec(Deno.readTextFileSync("/proc/self/status")) ?? [];
    return BigInt(`0x${mask}`);
  } catch {
    return 0n; // no /proc, or no permission to read it
  }
}

/** Whether the signal was ignored when this process started, as `nohup` does it. */
export function isIgnored(signal: keyof typeof NUMBERS): boolean {
  return (ignored >> BigInt(NUMBERS[signal] - 1) & 1n) === 1n;
}

/** Whether this process has a controlling terminal. */
function isTerminalThere(): boolean {
  if (Deno.build.os === "windows") return true;
  try {
    Deno.openSync("/dev/tty").close();
    return true;
  } catch {
    return false;
  }
}

/** Why a hangup was sent. */
export type HangupReason = "terminal closed" | "asked";

if (isIgnored("SIGHUP")) Deno.addSignalListener("SIGHUP", () => {});

/** Calls `heard` at each hangup, unless hangups were ignored from the start; returns a function that ends this. */
export function listenForHangup(heard: (reason: HangupReason) => void): () => void {
  if (Deno.build.os === "windows" || isIgnored("SIGHUP")) return () => {};
  const listener = () => heard(hadTerminal && !isTerminalThere() ? "terminal closed" : "asked");
  Deno.addSignalListener("SIGHUP", listener);
  return () => Deno.removeSignalListener("SIGHUP", listener);
}
