/**
 * securechat: the program, and the library.
 *
 * As a program this is a table of commands, each loaded only when it is called: a start must not pay for a database or
 * for certificates that it doesn't use. A command gets its arguments and answers with an exit status; the only
 * `Deno.exit` stands here. Statuses: 0 done, 1 the answer is no, 2 usage or unreadable input, 3 undecided, 4 not logged
 * in or refused, 5 network, database or port, 70 a fault of the program itself, 141 nobody reads its output any more.
 *
 *     securechat serve --port 0
 *     securechat help serve
 *
 * @module
 */

import type { ChatOptions } from "./client.ts";
import type { Trust } from "./lib/certificate_path.ts";
import { EXIT, type ExitStatus, Failure } from "./lib/errors.ts";
import { HelpAsked, readConfig } from "./lib/config.ts";
import { printable } from "./lib/text.ts";
import type { Evidence, Verdict, VerifyOptions } from "./lib/verify.ts";
import type { RoomEvidence, RoomVerdict, VerifyRoomOptions } from "./lib/verify_room.ts";
import type { Certificate, RevocationList } from "./lib/x509.ts";
import type { RunningServer, ServeOptions } from "./server.ts";
import meta from "./deno.json" with { type: "json" };

export { EXIT, type ExitStatus, Failure } from "./lib/errors.ts";
export type { Certificate, ChatOptions, Evidence, RevocationList, RunningServer, ServeOptions, Trust };
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
  return await (await import("./lib/verify_room.ts")).verifyRoom(evidence, trust, options);
}

/** Verifies one line of a room, or a few, in the one file that `securechat prove` writes. */
export async function verifyLineProof(
  file: string | Uint8Array,
  trust: Trust,
  options: VerifyRoomOptions = {},
): Promise<RoomVerdict> {
  return await (await import("./lib/verify_room.ts")).verifyLineProof(file, trust, options);
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

/** Connects to a server, logs in and chats, until the session's end. */
export async function chat(options: ChatOptions): Promise<ExitStatus> {
  return await (await import("./client.ts")).chat(options);
}

interface CommandModule {
  run(args: string[]): Promise<ExitStatus>;
}

interface CommandEntry {
  readonly summary: string;
  readonly load: () => Promise<CommandModule>;
}

const COMMANDS: Readonly<Record<string, CommandEntry>> = {
  init: {
    summary: "make two CAs, a server certificate and a first client certificate",
    load: () => import("./tools/init.ts"),
  },
  ca: { summary: "make a CA, or sign its revocation list anew", load: () => import("./tools/ca.ts") },
  cert: {
    summary: "issue, show, renew, revoke and check certificates",
    load: () => import("./tools/cert.ts"),
  },
  serve: { summary: "run the chat server", load: () => import("./tools/serve.ts") },
  invite: { summary: "make the code that brings somebody in", load: () => import("./tools/invite.ts") },
  room: { summary: "list the logs of the server's rooms, and close one", load: () => import("./tools/room.ts") },
  join: {
    summary: "come in with a code: make a key, get its certificate, register",
    load: () => import("./tools/join.ts"),
  },
  chat: { summary: "log in to a server and chat", load: () => import("./tools/chat.ts") },
  rooms: { summary: "talk to others in rooms, signed and recorded", load: () => import("./tools/rooms.ts") },
  export: {
    summary: "write what a room's members said, for others to verify",
    load: () => import("./tools/export.ts"),
  },
  prove: { summary: "write one line of a room with all that proves it", load: () => import("./tools/prove.ts") },
  verify: {
    summary: "check a receipt and a transcript, offline",
    load: () => import("./tools/verify.ts"),
  },
  start: {
    summary: "try it out: init where that is due, then serve on the embedded store",
    load: () => import("./tools/start.ts"),
  },
  demo: { summary: "show all of it at work in a temporary folder", load: () => import("./tools/demo.ts") },
};

/** A fault of the program: none of the six statuses that say something about its input or its surroundings. */
const INTERNAL_ERROR = 70;

/** What a shell shows for a program that a closed pipe ended. */
const BROKEN_PIPE = 141;

const USAGE = `securechat ${meta.version}: signed and encrypted chat whose record an auditor can verify offline

securechat COMMAND [FLAGS] [ARGUMENTS]
securechat help COMMAND
securechat --version

Commands:
${Object.entries(COMMANDS).map(([name, { summary }]) => `  ${name.padEnd(8)}${summary}`).join("\n")}

Examples:
  securechat init chat.example.org   certificates for a server of that name, into certs/
  securechat serve                   the server
  securechat invite alice            a code for Alice, who runs: securechat join CODE
  securechat rooms '#ops'            Alice comes back
`;

async function run([name, ...args]: readonly string[]): Promise<ExitStatus> {
  if (name === "--version" || name === "-V") {
    write(`securechat ${meta.version}\n`);
    return EXIT.done;
  }
  if (name === "--help" || name === "-h" || (name === "help" && args.length === 0)) throw new HelpAsked(USAGE);
  if (name === undefined) throw new Failure(EXIT.usage, "a command is missing; see securechat --help");
  if (name === "help") return await run([...args, "--help"]);
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined) throw new Failure(EXIT.usage, `there is no command ${name}; see securechat --help`);
  return await (await command.load()).run(args);
}

function write(text: string): void {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
}

/** The status for what ended a command, after it was said. */
async function conclude(error: unknown): Promise<number> {
  if (error instanceof Deno.errors.BrokenPipe) return BROKEN_PIPE;
  const message = printable(error instanceof Error ? error.message : String(error));
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
    const { openLog } = await import("./lib/log.ts");
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
