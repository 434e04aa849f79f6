/**
 * `deno task soak`: minutes of random bytes and mutated frames against a server process on the loopback.
 *
 *     deno task soak --minutes 10
 *     second  visits  sessions    busy  failed  memory
 *         30     764        29       1       0  136 MB
 *
 * Visitors send noise of many kinds, or are real clients of whose frames one is bent on its way: a bit flipped, a frame
 * cut, doubled, dropped or moved. Beside them an honest client has a session every second, and every one of them must
 * succeed, unless the server says that it is busy. At the end: whether the server still ran, ended well and met no
 * error of its own, and its memory before and after. Exit status 1 where any of it is wrong. Outside CI, since it takes
 * its time. `--attacks` does something else: what somebody can do who wants to stall the server (`soak_attacks.ts`).
 */

import type { Identity } from "../lib/certificate_identity.ts";
import { type Bytes, concat, encodeUtf8 } from "../lib/bytes.ts";
import { HelpAsked, parseCommand } from "../lib/command_line.ts";
import { EXIT, type ExitStatus, Failure, messageOf, ProtocolError } from "../lib/errors.ts";
import { ClientConnection, type ClientEvent, PeerError } from "../lib/handshake_client.ts";
import { loadAuthority, loadIdentity, loadKey, loadTrust } from "../lib/identity.ts";
import { issueCertificate } from "../lib/ca.ts";
import { publicKeyOf } from "../lib/private_key.ts";
import type { Trust } from "../lib/certificate_path.ts";
import { random, sleep } from "../lib/system.ts";
import { connect } from "../lib/transport.ts";
import { runAttacks } from "./soak_attacks.ts";

const SPEC = {
  program: "deno task",
  name: "soak",
  summary: "random bytes and mutated frames against a server, for minutes",
  usage: `deno task soak [--minutes N] [--visitors N]
       deno task soak --attacks [--minutes N]

Examples:
  deno task soak
  deno task soak --minutes 1 --visitors 4
  deno task soak --attacks --minutes 2`,
  options: {
    minutes: { type: "string", value: "N", describe: "how long (10)" },
    attacks: { type: "boolean", describe: "attack the server, on its default limits, and tell what members felt" },
    visitors: { type: "string", value: "N", describe: "bad visitors at the same time (24)" },
  },
} as const;

/** Limits out of the way; silent visitors are sent home soon, but not an honest one on a busy machine. */
const SETTINGS = {
  LOG_LEVEL: "warn",
  HANDSHAKE_TIMEOUT: "15",
  CONNECTION_TIMEOUT: "5",
  REGISTRATIONS_PER_HOUR: "1000000",
  MAX_CONNECTIONS_PER_ADDRESS: "1000",
  LOGIN_FAILURES_PER_ADDRESS: "1000000",
  LOGIN_DELAY_MS: "0",
  LINES_PER_SECOND: "1000000",
};
/** With these the server is attacked: its own limits are what is tried. */
const ATTACKED = { LOG_LEVEL: "warn" };
/** How many there are, that share the minutes. */
const ATTACKS = 15;
/** Memory is compared from here on: by then everything that is loaded once has been loaded. */
const WARM_UP = 30;

const below = (limit: number) => Math.floor(Math.random() * limit);
const pick = <T>(list: readonly T[]): T => list[below(list.length)] as T;

/** What everybody needs to come in. */
interface Door {
  readonly port: number;
  readonly identity: Identity;
  readonly trust: Trust;
}

/** Runs it; whether all was well. */
async function soak(args: readonly string[]): Promise<ExitStatus> {
  const { options } = parseCommand(args, SPEC);
  const seconds = 60 * numberOf("--minutes", options.minutes ?? "10");
  const visitors = numberOf("--visitors", options.visitors ?? "24");
  const folder = await Deno.makeTempDir({ prefix: "securechat_soak_" });
  try {
    if (options.attacks) return await beAttacked(folder, seconds / ATTACKS);
    const server = await startServer(folder, SETTINGS);
    const door = {
      port: server.port,
      identity: await loadIdentity(`${folder}/certs`, "client"),
      trust: await loadTrust(`${folder}/certs`),
    };
    const count = { visits: 0, sessions: 0, busy: 0, failed: 0 };
    const started = performance.now();
    const elapsed = () => (performance.now() - started) / 1000;
    const goesOn = () => elapsed() < seconds && !server.hasEnded();
    const memory: number[] = [];

    const bad = async () => {
      while (goesOn()) {
        count.visits++;
        await (Math.random() < 0.5 ? noise(door) : bentClient(door)).catch(surprise);
      }
    };
    const honest = async () => {
      for (let number = 0; goesOn(); number++) {
        try {
          await converse(door, `honest${number}`, 30_000, (bytes) => [bytes]);
          count.sessions++;
        } catch (error) {
          // With all its password work ahead of it a server says so, and somebody honest comes again.
          const isBusy = error instanceof PeerError && error.frame.errorType === "rate-limited";
          count[isBusy ? "busy" : "failed"]++;
          if (!isBusy) console.log(`an honest session failed: ${messageOf(error)}`);
        }
        await sleep(1000);
      }
    };
    const watch = async () => {
      console.log("second  visits  sessions    busy  failed  memory");
      for (let at = 10; goesOn(); at += 10) {
        while (goesOn() && elapsed() < at) await sleep(100);
        if (at >= WARM_UP && !server.hasEnded()) memory.push(server.memory());
        const cells = [at, count.visits, count.sessions, count.busy, count.failed];
        console.log(`${cells.map((cell) => `${cell}`.padStart(6)).join("  ")}  ${server.memory()} MB`);
      }
    };
    await Promise.all([honest(), watch(), ...Array.from({ length: visitors }, bad)]);
    await sleep(7000); // the last visitors' time is over
    const [before = NaN, after] = [memory[0], server.memory()];

    const survived = !server.hasEnded();
    const { status, problems } = await server.stop();
    console.log(`memory after ${WARM_UP} s ${before} MB, at most ${Math.max(...memory)} MB, at the end ${after} MB`);
    console.log(`${count.visits} bad visits, ${count.sessions} honest sessions, ${count.failed} of them failed`);
    console.log(survived ? `the server ended with status ${status}` : `THE SERVER CRASHED with status ${status}`);
    for (const problem of problems.slice(0, 20)) console.log(`its own error: ${problem}`);
    const well = survived && status === 0 && count.failed === 0 && count.sessions > 0 && problems.length === 0;
    return well ? EXIT.done : EXIT.no;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Attacks a server; whether it held. */
async function beAttacked(folder: string, seconds: number): Promise<ExitStatus> {
  const server = await startServer(folder, ATTACKED);
  const certs = `${folder}/certs`;
  const { key } = await loadIdentity(certs, "client");
  const [authority, trust] = [await loadAuthority(certs), await loadTrust(certs)];
  const publicKey = publicKeyOf(await loadKey(`${certs}/client_private_key.pem`));
  const issue = async (name: string) => {
    const request = { role: "client", name, publicKey } as const;
    const leaf = await issueCertificate(authority, request, { now: Date.now(), random, days: 1 });
    return { chain: [leaf], pem: leaf.pem, key };
  };
  const isWell = await runAttacks({ ...server, trust, issue }, seconds);
  console.log(`memory at the end ${server.memory()} MB`);
  const { status, problems } = await server.stop();
  for (const problem of problems.slice(0, 20)) console.log(`its own error: ${problem}`);
  return isWell && status === 0 && problems.length === 0 ? EXIT.done : EXIT.no;
}

function numberOf(flag: string, text: string): number {
  const value = /^[0-9]+(?:\.[0-9]+)?$/.test(text) ? Number(text) : 0;
  if (value <= 0) throw new Failure(EXIT.usage, `${flag} takes a number above 0`);
  return value;
}

/**
 * What may end a bad visit: an answer of the server, the end of the connection. Anything else is a fault of this tool.
 */
function surprise(error: unknown): void {
  const expected = [PeerError, ProtocolError, Failure, Ended, Deno.errors.ConnectionReset, Deno.errors.BrokenPipe];
  if (!expected.some((kind) => error instanceof kind)) throw error;
}

// ---- the server

interface Server {
  readonly port: number;
  readonly tlsPort: number;
  hasEnded(): boolean;
  /** Resident memory in MB; NaN where the system doesn't say. */
  memory(): number;
  stop(): Promise<{ status: number; problems: string[] }>;
}

async function startServer(folder: string, settings: Readonly<Record<string, string>>): Promise<Server> {
  const program = (args: string[], stdout: "piped" | "null") =>
    new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "--no-prompt", "-A", new URL("../mod.ts", import.meta.url).href, ...args],
      cwd: folder,
      env: settings,
      stdin: "null",
      stdout,
      stderr: "piped",
    });
  const made = await program(["init"], "null").output();
  if (!made.success) throw new Failure(EXIT.unavailable, new TextDecoder().decode(made.stderr).trim());

  const child = program(["serve", "--host", "127.0.0.1", "--port", "0"], "piped").spawn();
  let ended = false;
  const status = child.status.then(({ code }) => {
    ended = true;
    return code;
  });
  let said = "";
  const stderr = (async () => {
    for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) said += text;
  })();
  const stdout = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let listening = "";
  while (!/TLS on .*\n/.test(listening)) {
    const { value, done } = await stdout.read();
    if (done) throw new Failure(EXIT.unavailable, `the server did not start: ${said.trim()}`);
    listening += value;
  }
  return {
    port: Number(/:([0-9]+)\n/.exec(listening)?.[1]),
    tlsPort: Number(/TLS on .*:([0-9]+)\n/.exec(listening)?.[1]),
    hasEnded: () => ended,
    memory() {
      try {
        const kilobytes = /^VmRSS:\s*([0-9]+) kB$/m.exec(Deno.readTextFileSync(`/proc/${child.pid}/status`))?.[1];
        return Math.round(Number(kilobytes) / 1024);
      } catch {
        return NaN;
      }
    },
    async stop() {
      if (!ended) child.kill("SIGTERM");
      const code = await status;
      await stderr;
      // At `warn` a server says what it refused, and at `error` what it didn't expect.
      return { status: code, problems: said.split("\n").filter((line) => /^\S+ ERROR |internal error/.test(line)) };
    },
  };
}

// ---- visitors

/** Bytes that are no conversation. */
async function noise({ port, identity }: Door): Promise<void> {
  const hello = encodeUtf8(
    `{"type":"hello","client_cert":${JSON.stringify(identity.pem)},"nonce":"AAAAAAAAAAAAAAAAAAAAAA==","v":2}\n`,
  );
  const pieces: Bytes[] = pick<() => Bytes[]>([
    () => [random(1 + below(60_000))],
    () => Array.from({ length: 20 }, () => random(1 + below(200))),
    () => [encodeUtf8(pick(["[", '{"a":', "9", '"', " "]).repeat(1 + below(20_000)))],
    () => [encodeUtf8(`{"type":"${pick(["hello", "msg", "quit", "salt", "x"])}","p":${"9".repeat(below(16_000))}}\n`)],
    () => [hello, random(1 + below(5_000)), encodeUtf8("\n")],
    () => [bend(hello)],
    () => [bend(bend(bend(hello)))],
    () => [hello.slice(0, below(hello.length))],
    () => [hello, hello],
    () => [],
  ])();
  const conn = await Deno.connect({ hostname: "127.0.0.1", port });
  const over = setTimeout(() => closeQuietly(conn), 50 + below(1000));
  try {
    for (const piece of pieces) await conn.write(piece);
    if (Math.random() < 0.5) await conn.closeWrite();
    const buffer = new Uint8Array(4096);
    while (await conn.read(buffer) !== null);
  } catch {
    // Refused in the middle: that is what it is for.
  } finally {
    clearTimeout(over);
    closeQuietly(conn);
  }
}

function closeQuietly(conn: Deno.Conn): void {
  try {
    conn.close();
  } catch {
    // It is closed.
  }
}

/** One of the bytes or some of them in another way. */
function bend(bytes: Bytes): Bytes {
  const at = below(bytes.length);
  const to = at + below(bytes.length - at);
  return pick<() => Bytes>([
    () => bytes.map((byte, index) => index === at ? byte ^ (1 << below(8)) : byte),
    () => bytes.map((byte, index) => index === at ? below(256) : byte),
    () => concat(bytes.slice(0, at), bytes.slice(to)),
    () => concat(bytes.slice(0, to), bytes.slice(at)),
    () => concat(bytes.slice(0, at), random(1 + below(40)), bytes.slice(at)),
    () =>
      concat(
        bytes.slice(0, at),
        encodeUtf8(pick(["\n", "\r\n", "\0", '"', "}", "{", "-", "e9", "\\u0000"])),
        bytes.slice(at),
      ),
  ])();
}

let visitorsNumber = 0;

/** A real client, one of whose frames is bent on its way. */
async function bentClient(door: Door): Promise<void> {
  const which = below(10);
  let frame = 0;
  const held: Bytes[] = [];
  await converse(door, `bent${visitorsNumber++}`, 1500, (bytes) => {
    if (frame++ !== which) return [...held.splice(0), bytes];
    return pick<() => Bytes[]>([
      () => [bend(bytes)],
      () => [bend(bytes)],
      () => [bytes, bytes],
      () => [],
      () => (held.push(bytes), []),
      () => [bytes, random(1 + below(100)), encodeUtf8("\n")],
    ])();
  });
}

/** The connection was over before the conversation was. */
class Ended extends Error {}

/**
 * A whole session in at most `patience` milliseconds: register, three messages, quit. `pass` is what becomes of the
 * bytes that are sent.
 */
async function converse(
  { port, identity, trust }: Door,
  name: string,
  patience: number,
  pass: (bytes: Bytes) => Bytes[],
): Promise<void> {
  const link = await connect("127.0.0.1", port, { timeout: 5000, maxQueued: 1 << 20 });
  const over = setTimeout(() => link.close(), patience);
  const connection = new ClientConnection({
    identity,
    trust: () => Promise.resolve(trust),
    host: "localhost",
    allowV1: false,
    now: () => Date.now(),
    random,
    send: (bytes) => pass(bytes).forEach((piece) => link.send(piece)),
  });
  const expect = async (type: ClientEvent["type"]) => {
    for (;;) {
      const event = await connection.next();
      if (event?.type === type) return;
      if (event) throw new Ended(`${event.type} came for ${type}`);
      const chunk = await link.read();
      if (!chunk) throw new Ended(`the server closed the connection where ${type} should come`);
      connection.receive(chunk);
    }
  };
  try {
    connection.hello();
    await expect("ready");
    await connection.register({ email: `${name}@example.org`, username: name, password: "correct horse" });
    await expect("session");
    for (const text of ["one", "two", "three"]) await connection.sendText(text);
    for (let answers = 0; answers < 3; answers++) await expect("acknowledged");
    await connection.quit();
    await expect("receipt");
  } finally {
    clearTimeout(over);
    link.close();
  }
}

if (import.meta.main) {
  try {
    Deno.exitCode = await soak(Deno.args);
  } catch (error) {
    if (error instanceof HelpAsked) console.log(error.text);
    else if (error instanceof Failure) console.error(`soak: ${error.message}`);
    else throw error;
    Deno.exitCode = error instanceof Failure ? error.status : EXIT.done;
  }
}
