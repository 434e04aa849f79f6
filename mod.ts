/**
 * securechat: the program, and the library.
 *
 * As a program this runs one of the commands of `tools/commands.ts`. A command gets its arguments and answers with an
 * exit status; the only `Deno.exit` stands here. Statuses: 0 done, 1 the answer is no, 2 usage or unreadable input, 3
 * undecided, 4 not logged in or refused, 5 network, database or port, 70 a fault of the program itself, 141 nobody
 * reads its output any more.
 *
 *     securechat serve --port 0
 *     securechat help serve
 *
 * @module
 */

import type { ClientOptions } from "./client.ts";
import type { ChatOptions } from "./lib/client_chat.ts";
import type { RoomEvent } from "./lib/client_event.ts";
import type { Credentials } from "./lib/client_login.ts";
import type { ClientSession } from "./lib/client_session.ts";
import type { Trust } from "./lib/certificate_path.ts";
import { BROKEN_PIPE, EXIT, type ExitStatus, Failure, INTERNAL_ERROR, messageOf } from "./lib/errors.ts";
import { HelpAsked } from "./lib/command_line.ts";
import { readConfig } from "./lib/config.ts";
import { didYouMean } from "./lib/nearest.ts";
import { printable } from "./lib/text.ts";
import type { Evidence, Verdict, VerifyOptions } from "./lib/verify.ts";
import type { RoomEvidence, RoomVerdict, VerifyRoomOptions } from "./lib/verify_room.ts";
import type { Certificate, RevocationList } from "./lib/x509.ts";
import type { RunningServer, ServeOptions } from "./server.ts";
import { COMMANDS, TASKS } from "./tools/commands.ts";
import meta from "./deno.json" with { type: "json" };

export { EXIT, type ExitStatus, Failure } from "./lib/errors.ts";
export type { Certificate, ChatOptions, ClientOptions, ClientSession, Credentials, Evidence, RoomEvent };
export type { RevocationList, RunningServer, ServeOptions, Trust };
export type { RoomEvidence, RoomVerdict, Verdict, VerifyOptions, VerifyRoomOptions };

// The library's functions. Each loads its module when it is called, for the program's sake.

/**
 * Verifies a receipt and its transcript, offline: a list of named checks and one sentence.
 *
 * ```ts
 * import { parseCertificates, transcriptLines, verify } from "./mod.ts";
 *
 * const receipt = await Deno.readFile("transcripts/receipt_20261123_143022.json");
 * const file = await Deno.open("transcripts/transcript_20261123_143022.txt");
 * const authorities = await parseCertificates(await Deno.readTextFile("certs/ca_cert.pem"));
 * const evidence = { receipt, lines: transcriptLines(file.readable) };
 * const verdict = await verify(evidence, { authorities, revocations: [] });
 * console.log(verdict.sentence);
 * ```
 */
export async function verify(evidence: Evidence, trust: Trust, options: VerifyOptions = {}): Promise<Verdict> {
  return await (await import("./lib/verify.ts")).verify(evidence, trust, options);
}

/**
 * Verifies a room's receipt, its transcript and, where there are any, openings, offline.
 *
 * ```ts
 * import { parseCertificates, transcriptLines, verifyRoom } from "./mod.ts";
 *
 * const receipt = await Deno.readFile("ops_receipt.json");
 * const lines = transcriptLines(await Deno.readFile("ops_transcript.txt"));
 * const openings = transcriptLines(await Deno.readFile("ops_openings.txt"));
 * const authorities = await parseCertificates(await Deno.readTextFile("certs/ca_cert.pem"));
 * const verdict = await verifyRoom({ receipt, lines, openings }, { authorities, revocations: [] });
 * for (const { index, subject, body } of verdict.opened) console.log(index, subject, body);
 * ```
 */
export async function verifyRoom(
  evidence: RoomEvidence,
  trust: Trust,
  options: VerifyRoomOptions = {},
): Promise<RoomVerdict> {
  return await (await import("./lib/verify_room.ts")).verifyRoom(evidence, trust, { now: Date.now(), ...options });
}

/** Verifies one line of a room, or a few, in the one file that `securechat prove` writes. */
export async function verifyLineProof(
  file: string | Uint8Array,
  trust: Trust,
  options: VerifyRoomOptions = {},
): Promise<RoomVerdict> {
  return await (await import("./lib/verify_room.ts")).verifyLineProof(file, trust, { now: Date.now(), ...options });
}

/** The lines of a transcript, for {@link verify}: of its text, its bytes, or an open file's chunks. */
export async function* transcriptLines(
  file: string | Uint8Array | AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  yield* (await import("./lib/verify.ts")).transcriptLines(file);
}

/** The certificates of a PEM text, strictly read; an error with one sentence for anything else. */
export async function parseCertificates(pem: string): Promise<Certificate[]> {
  return (await import("./lib/x509.ts")).parseCertificates(pem);
}

/** The revocation list of a PEM text, for {@link Trust}. */
export async function parseRevocationList(pem: string): Promise<RevocationList> {
  return (await import("./lib/x509.ts")).parseRevocationList(pem);
}

/** Runs a server, until it is stopped. */
export async function serve(options: ServeOptions): Promise<RunningServer> {
  return await (await import("./server.ts")).serve(options);
}

/**
 * Opens a client for the rooms of a server: a bot's, for example. It connects once it is started, stays connected, and
 * loses no line.
 *
 * ```ts
 * import { openClient } from "./mod.ts";
 *
 * const client = await openClient({
 *   host: "chat.example.org",
 *   port: 5001,
 *   certs: "certs",
 *   transcripts: "kept",
 *   credentials: () => Promise.resolve({ type: "login", email: "echo@example.org", password: "…" }),
 *   show: (event, isLive) => {
 *     if (!isLive || event.event !== "line" || event.mine || event.bad !== null || event.text === null) return;
 *     const [command, ...words] = event.text.split(" ");
 *     if (command === "echo") void client.rooms.say(event.room, words.join(" "));
 *   },
 * });
 * await client.start();
 * await client.rooms.join("#ops");
 * await client.ended();
 * ```
 */
export async function openClient(options: ClientOptions): Promise<ClientSession> {
  return await (await import("./client.ts")).openClient(options);
}

/** Connects to a server, logs in and chats with it alone, until the session's end. */
export async function chat(options: ChatOptions): Promise<ExitStatus> {
  return await (await import("./client.ts")).chat(options);
}

/** The commands by task: what `securechat` without arguments prints. */
function overview(): string {
  const width = Math.max(...Object.keys(COMMANDS).map((name) => name.length)) + 2;
  const tasks = TASKS.map((task) => {
    const rows = Object.entries(COMMANDS).filter(([, entry]) => entry.task === task);
    return `${task}\n${rows.map(([name, { summary }]) => `  ${name.padEnd(width)}${summary}`).join("\n")}`;
  });
  return `securechat ${meta.version}: a terminal chat that keeps a provable record

securechat COMMAND [FLAGS] [ARGUMENTS]

${tasks.join("\n\n")}

securechat help COMMAND explains a command and gives examples; securechat version prints the version.
`;
}

async function run([name, ...args]: readonly string[]): Promise<ExitStatus> {
  if (name === undefined || name === "--help" || name === "-h" || (name === "help" && args.length === 0)) {
    throw new HelpAsked(overview());
  }
  if (name === "version" || name === "--version" || name === "-V") {
    write(`securechat ${meta.version}\n`);
    return EXIT.done;
  }
  if (name === "help") return await run([...args, "--help"]);
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined) {
    const known = [...Object.keys(COMMANDS), "help", "version"];
    throw new Failure(EXIT.usage, `unknown command ${name}${didYouMean(name, known, "securechat --help")}`);
  }
  return await (await command.load()).run(args);
}

function write(text: string): void {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
}

/** The status for what ended a command, after it was said. */
async function conclude(error: unknown): Promise<number> {
  if (error instanceof Deno.errors.BrokenPipe) return BROKEN_PIPE;
  const message = printable(messageOf(error));
  if (error instanceof Failure) {
    console.error(`securechat: ${message}`);
    return error.status;
  }
  // The system said no where no command expected it, a full disk for example: its own words, and no fault of ours.
  if (/\(os error [0-9]+\)/.test(message)) {
    console.error(`securechat: ${message}`);
    return EXIT.unavailable;
  }
  console.error(`securechat: internal error: ${message}; please report`);
  await logStack(error);
  return INTERNAL_ERROR;
}

/** At LOG_LEVEL=debug the stack goes into the log file; never to the terminal. */
async function logStack(error: unknown): Promise<void> {
  try {
    const config = readConfig("serve");
    if (config.LOG_LEVEL !== "debug" || !(error instanceof Error)) return;
    const { openLog } = await import("./lib/logging.ts");
    const log = await openLog({
      level: "debug",
      file: config.LOG_FILE,
      maxBytes: config.LOG_MAX_BYTES,
      maxFiles: config.LOG_FILES,
      stderr: null,
    });
    log.error("internal error", { stack: error.stack ?? error.message });
    await log.close();
  } catch {
    // The error itself has been said; that it can't be logged too changes nothing.
  }
}

/** Runs the program, for what the exit status is to be. */
async function main(args: readonly string[]): Promise<number> {
  try {
    return await run(args).catch((error) => {
      if (!(error instanceof HelpAsked)) throw error;
      write(error.text);
      return EXIT.done;
    });
  } catch (error) {
    return await conclude(error).catch(() => BROKEN_PIPE); // nobody reads stderr either
  }
}

if (import.meta.main) {
  // What no command awaits must not print a stack either.
  const stop = (event: Event, error: unknown) => {
    event.preventDefault();
    conclude(error).catch(() => BROKEN_PIPE).then(Deno.exit);
  };
  addEventListener("unhandledrejection", (event) => stop(event, event.reason));
  addEventListener("error", (event) => stop(event, event.error));
  Deno.exit(await main(Deno.args));
}
