/** `securechat witness` as a program under test. */

import { cleanEnvironment, program } from "./environment.ts";

/** A witness that runs. */
export interface RunningWitness extends AsyncDisposable {
  readonly vkey: string;
  readonly url: string;
  stderr(): string;
  /** Ends it; answers its status. */
  stop(signal?: Deno.Signal): Promise<number>;
}

/** Starts a witness on a port that the system chooses; resolves once it listens. */
export async function startWitness(args: readonly string[], cwd: string): Promise<RunningWitness> {
  const { command, args: all } = program("witness", "--listen", "127.0.0.1:0", ...args);
  const child = new Deno.Command(command, {
    ...{ args: all, cwd, env: cleanEnvironment(), clearEnv: true },
    ...{ stdin: "null", stdout: "piped", stderr: "piped" },
  }).spawn();
  let [stdout, stderr] = ["", ""];
  const listening = Promise.withResolvers<void>();
  const drains = [
    drain(child.stdout, (text) => {
      stdout += text;
      if (/\nlistening on \S+\n/.test(stdout)) listening.resolve();
    }),
    drain(child.stderr, (text) => stderr += text),
  ];
  const ended = Promise.all([child.status, ...drains]).then(([{ code }]) => code);
  const early = ended.then((code) => {
    throw new Error(`the witness ended with status ${code} before it listened: ${stderr}`);
  });
  early.catch(() => {}); // it ends after the test's own stop, too
  await Promise.race([listening.promise, early]);
  const [, vkey = "", url = ""] = /^(\S+)\nlistening on (\S+)\n/.exec(stdout) ?? [];
  const stop = (signal: Deno.Signal = "SIGTERM") => {
    try {
      child.kill(signal);
    } catch {
      // It has ended already.
    }
    return ended;
  };
  return {
    ...{ vkey, url, stop, stderr: () => stderr },
    [Symbol.asyncDispose]: async () => void await stop("SIGKILL"),
  };
}

async function drain(stream: ReadableStream<Uint8Array>, take: (text: string) => void): Promise<void> {
  const decoder = new TextDecoder();
  for await (const chunk of stream) take(decoder.decode(chunk, { stream: true }));
}
