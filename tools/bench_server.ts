/**
 * The benchmark's servers: each a process of its own, whose CPU time, all threads, and memory are read from /proc (so
 * this runs only on Linux). What is measured of them stands in `bench.ts` and `bench_rooms.ts`.
 */

import type { Identity } from "../lib/certificate_identity.ts";
import { EXIT, Failure } from "../lib/errors.ts";
import type { BenchKey } from "./bench_key.ts";
import type { Target } from "./bench_load.ts";

/** Figures by row, in the order of the table. */
export type Figures = Map<string, number | string>;

/** What is measured: one column. */
export interface Contestant {
  readonly name: string;
  /** The server's command line, for a folder with certs/ and, where it keeps one, its data. */
  serve(folder: string, data: string): string[];
  /** The verifier's. */
  verify(folder: string, transcript: string): string[];
  /** The client's for rooms, as JSON; `undefined` where there are none. */
  readonly rooms: ((folder: string, transcripts: string) => string[]) | undefined;
  readonly isPeer: boolean;
}

/** Sizes, out of the flags. */
export interface Sizes {
  readonly handshakes: number;
  readonly messages: number;
  readonly seconds: number;
  readonly idle: number;
  readonly lines: number;
  readonly posts: number;
  readonly members: number;
  readonly crowds: readonly number[];
  readonly history: number;
  readonly log: number;
}

/** What a part needs. */
export interface Setting {
  readonly folder: string;
  readonly identity: Identity;
  readonly trust: Target["trust"];
  readonly key: BenchKey;
  /** A certificate for that key and somebody's name. */
  readonly issue: (name: string) => Promise<Identity>;
  readonly sizes: Sizes;
}

/** A part of the benchmark. */
export type Part = (contestant: Contestant, setting: Setting) => Promise<Figures>;

/** A server under test. */
export interface Served extends AsyncDisposable, Target {
  /** The port for TLS; 0 where there is none. */
  readonly tlsPort: number;
  /** Its CPU time so far, in milliseconds, all threads. */
  cpu(): Promise<number>;
  /** Its resident memory in KiB. */
  memory(): Promise<number>;
}

/** How a server is started. */
export interface ServerOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** The folder of its data; one of its own without it. */
  readonly data?: string;
}

/** Starts a server and waits until it listens. */
export async function startServer(
  contestant: Contestant,
  { folder, identity, trust }: Setting,
  { env = {}, data = `${folder}/${crypto.randomUUID()}` }: ServerOptions = {},
): Promise<Served> {
  const [command = "", ...args] = contestant.serve(folder, data);
  const unbounded = { LINES_PER_SECOND: "1000000", LINE_BYTES_PER_SECOND: "1073741824" };
  const options = { args, env: { ...unbounded, ...env }, stdin: "null", stdout: "piped", stderr: "piped" } as const;
  const child = new Deno.Command(command, options).spawn();
  const errors = new Response(child.stderr).text();
  const output = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let said = "";
  while (!(contestant.isPeer ? /:\d+\n/ : /TLS on .*:\d+\n/).test(said)) {
    const { value, done } = await output.read();
    if (done) throw new Failure(EXIT.unavailable, `${contestant.name} did not start: ${(await errors).trim()}`);
    said += value;
  }
  return {
    identity,
    trust,
    port: Number(/:(\d+)\n/.exec(said)?.[1]),
    tlsPort: Number(/TLS on .*:(\d+)\n/.exec(said)?.[1] ?? 0),
    cpu: () => cpuOf(child.pid),
    memory: () => memoryOf(child.pid, "VmRSS"),
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL");
      await child.status;
      await Promise.all([output.cancel(), errors]);
    },
  };
}

/** The CPU time of a process in milliseconds, all threads: ticks of a hundredth of a second on every Linux. */
export async function cpuOf(pid: number): Promise<number> {
  const stat = await Deno.readTextFile(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" "); // from the third on: the name may hold blanks
  return 10 * (Number(fields[11]) + Number(fields[12]));
}

/** The memory of a process in KiB: resident now, or at most so far. */
export async function memoryOf(pid: number, field: "VmRSS" | "VmHWM"): Promise<number> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  return Number(new RegExp(`^${field}:\\s+(\\d+)`, "m").exec(status)?.[1] ?? NaN);
}

/** Resolves so many milliseconds later. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Seconds of real time and milliseconds of the server's CPU that a task takes. */
export async function measure(server: Served, task: () => Promise<void>): Promise<{ seconds: number; cpu: number }> {
  const [began, cpu] = [performance.now(), await server.cpu()];
  await task();
  return { seconds: (performance.now() - began) / 1000, cpu: await server.cpu() - cpu };
}

/** The times, one a call, in milliseconds, of a task that is done so many times at so many a second. */
export async function atRate(rate: number, count: number, task: (index: number) => Promise<void>): Promise<number[]> {
  const times: number[] = [];
  const began = performance.now();
  for (let i = 0; i < count; i++) {
    await pause(Math.max(0, began + i * (1000 / rate) - performance.now()));
    const sent = performance.now();
    await task(i);
    times.push(performance.now() - sent);
  }
  return times;
}

/** The value below which that share of the values lies. */
export function percentile(values: readonly number[], share: number): number {
  return values.toSorted((a, b) => a - b)[Math.floor(share * (values.length - 1))] ?? NaN;
}

/**
 * What a session costs must not drown in when memory is given back. The C library would keep the 16 MiB of a password
 * hash for every thread that ever made one, some 250 MiB; V8 lets garbage lie for as long as nobody needs the room (a
 * compiled program takes no flags for it, and its figure says less).
 */
export const RETURN_MEMORY = {
  MALLOC_MMAP_THRESHOLD_: "1048576",
  DENO_V8_FLAGS: "--gc-global,--max-semi-space-size=1",
};

/** The least memory, in KiB, of some seconds of rest. */
export async function restingMemory(server: Served): Promise<number> {
  let least = Infinity;
  for (let second = 0; second < 10; second++) {
    await pause(1000);
    least = Math.min(least, await server.memory());
  }
  return least;
}
