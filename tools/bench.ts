/**
 * `deno task bench`: what the server and the verifier cost, beside the independent peer in Python in the same run.
 *
 *     deno task bench                                   all of it: some ten minutes, most of them for a million lines
 *     deno task bench --part messages --part latency    some of it
 *     deno task bench --binary dist/securechat          the compiled program in a column of its own
 *
 * Each server is a process of its own ({@link startServer}); the load comes from this process, signed before the clock
 * starts where that matters. Figures compare within one run, on one machine: never across them. What is measured of
 * rooms stands in `bench_rooms.ts`.
 */

import { fileURLToPath } from "node:url";
import { encodeHex } from "../lib/bytes.ts";
import { issueCertificate } from "../lib/ca.ts";
import { makeAuthority, makePair } from "../lib/ca_folder.ts";
import { HelpAsked, parseCommand } from "../lib/command_line.ts";
import { EXIT, Failure } from "../lib/errors.ts";
import { loadIdentity } from "../lib/identity.ts";
import { encodeJson } from "../lib/json.ts";
import { makeReceipt } from "../lib/receipt.ts";
import { random } from "../lib/system.ts";
import { encodeLine, messageInput, TranscriptSummary } from "../lib/transcript.ts";
import { BenchKey } from "./bench_key.ts";
import { inParallel, type LoadAccount, Visitor } from "./bench_load.ts";
import { LOG_PARTS } from "./bench_log.ts";
import { ROOM_PARTS } from "./bench_rooms.ts";
import {
  atRate,
  type Contestant,
  cpuOf,
  type Figures,
  measure,
  memoryOf,
  type Part,
  pause,
  percentile,
  restingMemory,
  RETURN_MEMORY,
  type Setting,
  type Sizes,
  startServer,
} from "./bench_server.ts";

const SPEC = {
  program: "deno task",
  name: "bench",
  summary: "measure the server and the verifier beside the Python peer",
  usage: `deno task bench [FLAGS]

Parts: handshakes, messages, latency, idle, verify, rooms, crowd, resume, history, acts, proofs, serverlog.

Examples:
  deno task bench
  deno task bench --part verify --lines 50000
  deno task bench --binary dist/securechat --part messages --json`,
  options: {
    part: { type: "string", value: "NAME", multiple: true, describe: "measure only this; may be repeated" },
    binary: { type: "string", value: "FILE", describe: "the compiled program, measured too" },
    "without-ffi": { type: "boolean", describe: "our program where it may not call libcrypto, measured too" },
    handshakes: { type: "string", value: "N", describe: "handshakes to make [200]" },
    messages: { type: "string", value: "N", describe: "messages to send at full speed [20000]" },
    seconds: { type: "string", value: "N", describe: "seconds of messages at a low rate [10]" },
    idle: { type: "string", value: "N", describe: "idle sessions [1000]" },
    lines: { type: "string", value: "N", describe: "lines to verify [1000000]" },
    posts: { type: "string", value: "N", describe: "lines to post at full speed in a room [4000]" },
    members: { type: "string", value: "N", describe: "members of that room [100]" },
    crowd: { type: "string", value: "N", multiple: true, describe: "idle members; may be repeated [1000, 5000]" },
    history: { type: "string", value: "N", describe: "lines that a newcomer catches up with [100000]" },
    log: { type: "string", value: "N", describe: "lines of the log that proofs are asked of [1000000]" },
    json: { type: "boolean", describe: "print the figures as JSON" },
  },
} as const;

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const PEER = `${Deno.env.get("SECURECHAT_SHARED") ?? fileURLToPath(new URL("../../shared", import.meta.url))}/peer`;
const PYTHON = Deno.env.get("SECURECHAT_PEER_PYTHON") ?? "python3";

/** Connections of the many. */
const MANY = 50;
/** Messages a second at a low rate. */
const LOW_RATE = 100;
/** What the peer, which reads a transcript whole, is given to verify at most. */
const PEER_LINES = 20_000;
/** Chatter of about the length that people write. */
const TEXT = "The quick brown fox jumps over the lazy dog, and then it does it again.";

const PARTS: Readonly<Record<string, Part>> = {
  handshakes,
  messages,
  latency,
  idle,
  verify,
  ...ROOM_PARTS,
  ...LOG_PARTS,
};

async function bench(args: readonly string[]): Promise<void> {
  const { options } = parseCommand(args, SPEC);
  if (Deno.build.os !== "linux") throw new Failure(EXIT.usage, "the benchmark reads /proc, which this system hasn't");
  const parts = options.part.length > 0 ? options.part : Object.keys(PARTS);
  for (const part of parts) {
    if (!Object.hasOwn(PARTS, part)) throw new Failure(EXIT.usage, `there is no part ${part}; see --help`);
  }
  const sizes: Sizes = {
    handshakes: count("handshakes", options.handshakes, 200),
    messages: count("messages", options.messages, 20_000),
    seconds: count("seconds", options.seconds, 10),
    idle: count("idle", options.idle, 1000),
    lines: count("lines", options.lines, 1_000_000),
    posts: count("posts", options.posts, 4_000),
    members: count("members", options.members, 100),
    crowds: options.crowd.length > 0 ? options.crowd.map((text) => count("crowd", text, 0)) : [1_000, 5_000],
    history: count("history", options.history, 100_000),
    log: count("log", options.log, 1_000_000),
  };
  const contestants = [...program(options.binary, options["without-ffi"]), ...await peer()];
  const columns = new Map<string, Figures>(contestants.map(({ name }) => [name, new Map()]));
  const tell = () => console.log(options.json ? json(columns) : table(columns));
  /** What there is by then is told. */
  const interrupted = () => {
    tell();
    Deno.removeSignalListener("SIGINT", interrupted);
    Deno.kill(Deno.pid, "SIGINT");
  };
  const folder = await Deno.makeTempDir({ prefix: "securechat_bench_" });
  try {
    const setting = { folder, sizes, ...await makeCertificates(`${folder}/certs`) };
    Deno.addSignalListener("SIGINT", interrupted);
    for (const part of parts) {
      for (const contestant of contestants) {
        console.error(`${part}: ${contestant.name} …`);
        const figures = await PARTS[part]?.(contestant, setting) ?? new Map();
        for (const [row, value] of figures) {
          columns.get(contestant.name)?.set(row, value);
          console.error(`  ${row}: ${typeof value === "number" ? Number(value.toPrecision(3)) : value}`);
        }
      }
    }
    tell();
  } finally {
    Deno.removeSignalListener("SIGINT", interrupted);
    await Deno.remove(folder, { recursive: true });
  }
}

function count(name: string, text: string | undefined, fallback: number): number {
  const value = text === undefined ? fallback : /^[0-9]{1,9}$/.test(text) ? Number(text) : 0;
  if (value < 1) throw new Failure(EXIT.usage, `--${name}=${text} is not a number from 1 to 999999999`);
  return value;
}

// ---- whom it is about

function program(binary: string | undefined, isWithoutFfi: boolean): Contestant[] {
  const ours = (name: string, command: readonly string[]): Contestant => ({
    name,
    serve: (folder, data) => [
      ...command,
      ...["serve", "--host", "127.0.0.1", "--port", "0", "--db", "sqlite", "--certs", `${folder}/certs`],
      ...["--data", data, "--log-level", "warn", "--log-file", `${folder}/server.log`],
      ...["--max-connections", "6000", "--max-connections-per-address", "6000", "--registrations-per-hour", "100000"],
      ...["--password-queue", "5000", "--handshake-timeout", "600", "--connection-timeout", "3600"],
    ],
    verify: (folder, transcript) => [
      ...[...command, "verify", `${transcript}.json`, transcript, "--certs", `${folder}/certs`],
    ],
    rooms: (folder, transcripts) => [
      ...[...command, "rooms", "--host", "localhost", "--certs", `${folder}/certs`, "--transcripts", transcripts],
      "--json",
    ],
    isPeer: false,
  });
  const run = [
    Deno.execPath(),
    "run",
    "--quiet",
    "--no-prompt",
    "-A",
  ];
  const name = `Deno ${Deno.version.deno}`;
  return [
    ours(name, [...run, `${ROOT}mod.ts`]),
    ...(isWithoutFfi ? [ours("without FFI", [...run, "--deny-ffi", `${ROOT}mod.ts`])] : []),
    ...(binary === undefined ? [] : [ours("binary", [binary])]),
  ];
}

async function peer(): Promise<Contestant[]> {
  const asked: Deno.CommandOptions = { args: ["-c", "import cryptography"], stdout: "null", stderr: "null" };
  const ask = async () => (await new Deno.Command(PYTHON, asked).output()).success; // throws where there is no Python
  const isThere = await ask().catch(() => false);
  if (!isThere || !await Deno.stat(`${PEER}/server.py`).then(() => true, () => false)) {
    console.error("The Python peer isn't here (../shared/peer, SECURECHAT_PEER_PYTHON): only our own figures.");
    return [];
  }
  const limits = ["--max-connections", "5000", "--max-failures", "100000", "--idle-timeout", "3600"];
  return [{
    name: "Python peer",
    serve: (
      folder,
    ) => [PYTHON, "-B", `${PEER}/server.py`, "--host", "127.0.0.1", "--certs", `${folder}/certs`, ...limits],
    verify: (folder, transcript) => [
      ...[PYTHON, "-B", `${PEER}/verify.py`, `${transcript}.json`, transcript, "--ca", `${folder}/certs/ca_cert.pem`],
    ],
    rooms: undefined,
    isPeer: true,
  }];
}

async function makeCertificates(dir: string): Promise<Pick<Setting, "identity" | "trust" | "key" | "issue">> {
  const making = { days: 30, bits: 2048 } as const;
  const authority = await makeAuthority(dir, "Bench CA", making);
  await makePair(dir, authority, { role: "server", name: "localhost", hosts: ["localhost"] }, making);
  await makePair(dir, authority, { role: "client", name: "newcomer" }, making);
  const key = new BenchKey();
  const issue = async (name: string) => {
    const request = { role: "client", name, publicKey: key.publicKey } as const;
    const leaf = await issueCertificate(authority, request, { now: Date.now(), random, days: 30 });
    return { chain: [leaf], pem: leaf.pem, key };
  };
  return {
    identity: await issue("bench"),
    trust: { authorities: [authority.certificate], revocations: [] },
    key,
    issue,
  };
}

// ---- the parts

let accounts = 0;

function newAccount(): LoadAccount {
  const username = `user${accounts++}`;
  return { email: `${username}@example.org`, username, password: "correct horse battery staple" };
}

async function handshakes(contestant: Contestant, setting: Setting): Promise<Figures> {
  await using server = await startServer(contestant, setting);
  const account = newAccount();
  (await Visitor.arrive(server, "register", account)).leave();
  const visit = (depth: "hello" | "salt" | "login", times: number) =>
    measure(server, () => inParallel(times, 8, async () => (await Visitor.arrive(server, depth, account)).leave()));
  const total = setting.sizes.handshakes;
  await visit("login", Math.ceil(total / 10)); // warm
  const login = await visit("login", total);
  const [hello, salt] = [await visit("hello", total), await visit("salt", total)];
  // A salt answered has had one key agreement behind it; the second costs the same again.
  const besides = (salt.cpu + (salt.cpu - hello.cpu)) / total;
  return new Map([
    ["handshakes with login a second", total / login.seconds],
    ["CPU ms a handshake with login", login.cpu / total],
    ["CPU ms of it besides the password hash", besides],
  ]);
}

async function messages(contestant: Contestant, setting: Setting): Promise<Figures> {
  const figures: Figures = new Map();
  for (const connections of [1, MANY]) {
    await using server = await startServer(contestant, setting);
    const visitors: Visitor[] = [];
    await inParallel(connections, 8, async () => {
      visitors.push(await Visitor.arrive(server, "register", newAccount()));
    });
    const each = Math.ceil(setting.sizes.messages / connections);
    const send = async (texts: readonly string[]) => {
      const prepared: Awaited<ReturnType<Visitor["prepare"]>>[] = [];
      for (const visitor of visitors) prepared.push(await visitor.prepare(texts));
      return await measure(server, async () => {
        await Promise.all(visitors.map((visitor, i) => visitor.sendPrepared(prepared[i] ?? [])));
      });
    };
    await send(texts(Math.ceil(each / 5))); // warm
    const { seconds, cpu } = await send(texts(each));
    const sent = each * connections;
    const where = connections === 1 ? "one connection" : `${connections} connections`;
    figures.set(`messages acknowledged a second, ${where}`, sent / seconds);
    figures.set(`CPU µs a message, ${where}`, cpu * 1000 / sent);
    for (const visitor of visitors) visitor.leave();
  }
  return figures;
}

function texts(count: number): string[] {
  return Array.from({ length: count }, () => TEXT);
}

async function latency(contestant: Contestant, setting: Setting): Promise<Figures> {
  await using server = await startServer(contestant, setting);
  const visitor = await Visitor.arrive(server, "register", newAccount());
  const say = () => visitor.say(TEXT);
  for (let i = 0; i < LOW_RATE; i++) await say(); // warm
  const total = LOW_RATE * setting.sizes.seconds;
  let times: number[] = [];
  const { cpu } = await measure(server, async () => void (times = await atRate(LOW_RATE, total, say)));
  visitor.leave();
  return new Map([
    [`p50 ms, ${LOW_RATE} messages a second`, percentile(times, 0.5)],
    [`p99 ms, ${LOW_RATE} messages a second`, percentile(times, 0.99)],
    [`CPU µs a message, ${LOW_RATE} a second`, cpu * 1000 / total],
  ]);
}

async function idle(contestant: Contestant, setting: Setting): Promise<Figures> {
  await using server = await startServer(contestant, setting, { env: RETURN_MEMORY });
  const visitors: Visitor[] = [];
  const arrive = (count: number) =>
    inParallel(count, 16, async () => {
      visitors.push(await Visitor.arrive(server, "register", newAccount()));
    });
  await arrive(Math.ceil(setting.sizes.idle / 10)); // what the first ones make the server load is not theirs
  const before = await restingMemory(server);
  await arrive(setting.sizes.idle);
  const after = await restingMemory(server);
  for (const visitor of visitors) visitor.leave();
  return new Map([
    [`KiB an idle session, ${setting.sizes.idle} of them`, (after - before) / setting.sizes.idle],
    ["MiB of the server without them", before / 1024],
  ]);
}

async function verify(contestant: Contestant, setting: Setting): Promise<Figures> {
  const lines = contestant.isPeer ? Math.min(PEER_LINES, setting.sizes.lines) : setting.sizes.lines;
  const [small, large] = [await transcript(setting, Math.ceil(lines / 10)), await transcript(setting, lines)];
  const few = await runVerifier(contestant.verify(setting.folder, small));
  const many = await runVerifier(contestant.verify(setting.folder, large));
  return new Map<string, number | string>([
    ["lines verified a second", lines / many.seconds],
    ["lines of that transcript", lines],
    ["cores used", many.cpu / 1000 / many.seconds],
    ["MiB at most, for a tenth of the lines", few.memory / 1024],
    ["MiB at most, for all of them", many.memory / 1024],
  ]);
}

interface Verification {
  readonly seconds: number;
  readonly cpu: number;
  readonly memory: number;
}

async function runVerifier([command = "", ...args]: readonly string[]): Promise<Verification> {
  const began = performance.now();
  const child = new Deno.Command(command, { args, stdin: "null", stdout: "piped", stderr: "piped" }).spawn();
  let [cpu, memory, ended] = [0, 0, false];
  const watch = (async () => {
    while (!ended) {
      try {
        [cpu, memory] = [await cpuOf(child.pid), Math.max(memory, await memoryOf(child.pid, "VmHWM") || 0)];
      } catch {
        break; // it has just ended
      }
      await pause(20);
    }
  })();
  const { code, stdout, stderr } = await child.output();
  ended = true;
  const seconds = (performance.now() - began) / 1000;
  await watch;
  if (code !== EXIT.done) {
    throw new Failure(EXIT.no, `the verifier said: ${new TextDecoder().decode(code === 1 ? stdout : stderr)}`);
  }
  return { seconds, cpu, memory };
}

/** A transcript of so many lines in the folder, with its receipt beside it; made once for all contestants. */
async function transcript({ folder, identity, key }: Setting, lines: number): Promise<string> {
  const path = `${folder}/transcript_${lines}`;
  if (await Deno.stat(path).then(() => true, () => false)) return path;
  console.error(`verify: ${lines} lines are written …`);
  const summary = new TranscriptSummary();
  const signer = identity.chain[0]?.fingerprint ?? "";
  const body = crypto.getRandomValues(new Uint8Array(96));
  const encoder = new TextEncoder();
  using file = await Deno.open(path, { write: true, createNew: true });
  const began = Date.now();
  for (let seqno = 0; seqno < lines;) {
    const batch: string[] = [];
    for (; batch.length < 1000 && seqno < lines; seqno++) {
      const ts = began + seqno;
      new DataView(body.buffer).setUint32(0, seqno); // lines of a session never begin alike
      const line = encodeLine({ seqno, ts, body, signature: key.signNow(messageInput(seqno, ts, body)), signer });
      summary.add(line, seqno, ts);
      batch.push(`${line}\n`);
    }
    const bytes = encoder.encode(batch.join(""));
    for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
  }
  const server = await loadIdentity(`${folder}/certs`, "server");
  const receipt = await makeReceipt({
    role: "server",
    key: server.key,
    pem: server.pem,
    fingerprint: server.chain[0]?.fingerprint ?? "",
    linePems: [identity.pem],
    summary,
    createdAt: Date.now(),
    identity: { otherFingerprint: signer, session: encodeHex(summary.digest()) },
  });
  await Deno.writeTextFile(`${path}.json`, encodeJson(receipt));
  return path;
}

// ---- the answer

function json(columns: ReadonlyMap<string, Figures>): string {
  return JSON.stringify(Object.fromEntries([...columns].map(([name, figures]) => [name, Object.fromEntries(figures)])));
}

function table(columns: ReadonlyMap<string, Figures>): string {
  const rows = [...new Set([...columns.values()].flatMap((figures) => [...figures.keys()]))];
  const cells = [
    ["", ...columns.keys()],
    ...rows.map((row) => [row, ...[...columns.values()].map((figures) => written(figures.get(row)))]),
  ];
  const widths = cells[0]?.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0))) ?? [];
  const line = (row: readonly string[]) =>
    row.map((cell, i) => i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)).join("  ").trimEnd();
  const machine = `${navigator.hardwareConcurrency} cores, ${Deno.build.target}`;
  return [...cells.map(line), "", machine].join("\n");
}

/** Three figures that mean something. */
function written(value: number | string | undefined): string {
  if (typeof value !== "number") return value ?? "–";
  if (value >= 100) return Math.round(value).toLocaleString("en");
  return Number(value.toPrecision(3)).toString();
}

if (import.meta.main) {
  try {
    await bench(Deno.args);
  } catch (error) {
    if (error instanceof HelpAsked) console.log(error.text);
    else if (error instanceof Failure) console.error(`bench: ${error.message}`);
    else throw error;
    Deno.exitCode = error instanceof Failure ? error.status : EXIT.done;
  }
}
