/**
 * `securechat demo`: all of it at work in a temporary folder, in front of whoever watches. Every step is one of the
 * program's own commands, started as a process of its own, and what they print is what is told; a step that doesn't end
 * as it should ends the demo.
 *
 *     deno task demo
 */

import { parseCommand } from "../lib/config.ts";
import { EXIT, type ExitStatus, Failure } from "../lib/errors.ts";
import { wantsColour, write } from "../lib/terminal.ts";
import { printable } from "../lib/text.ts";

const SPEC = {
  name: "demo",
  summary: "show all of it at work in a temporary folder",
  usage: `securechat demo [--keep]

Makes a CA and certificates, starts a server, lets two people register and talk to it, verifies their receipts and
shows that a changed transcript is refused. Takes some seconds and leaves nothing behind.

Examples:
  securechat demo
  securechat demo --keep    the folder stays, to look into`,
  options: { keep: { type: "boolean", describe: "leave the folder where it is, and say where" } },
} as const;

const PEOPLE = [
  {
    name: "ada",
    password: "difference engine",
    lines: ["Good morning.", "Is the key in its place?", "Grüße, 你好 👋"],
  },
  {
    name: "bob",
    password: "nabla squared",
    lines: ["Nobody on the way can read this.", "//this line begins with one slash"],
  },
] as const;

type Person = typeof PEOPLE[number];

/** The command. */
export async function run(args: string[]): Promise<ExitStatus> {
  const { options } = parseCommand(args, SPEC);
  const folder = await Deno.makeTempDir({ prefix: "securechat_demo_" });
  try {
    await play(folder);
  } finally {
    if (options.keep) tell(`\nEverything lies in ${folder}`);
    else await Deno.remove(folder, { recursive: true });
  }
  return EXIT.done;
}

async function play(folder: string): Promise<void> {
  title("1  A CA of our own, a certificate for the server and one for each person");
  await command(folder, ["init", "localhost", "127.0.0.1", "--client", "ada"]);
  await command(folder, ["cert", "client", "bob", "--out", "bob/client_cert.pem"]);
  await Deno.copyFile(`${folder}/certs/ca_cert.pem`, `${folder}/bob/ca_cert.pem`);
  tell("certs/ has the CA, the server's and ada's pair; bob/ has bob's");

  title("2  A server, on a port that the system chooses");
  const server = await startServer(folder);
  try {
    title("3  Two people register, each in a process of their own, and talk to the server");
    const ends = await Promise.all(PEOPLE.map((person) => chat(folder, person, server.port)));

    title("4  The server stops");
    await server.stop();
    tell("gracefully: status 0");

    title("5  Offline: each receipt against its transcript, with nothing but the CA's certificate");
    for (const { receipt, transcript } of ends) {
      const { sentence } = await verdict(folder, [receipt, transcript], EXIT.done);
      tell(sentence);
    }

    title("6  Somebody changes one character of ada's transcript");
    const [ada] = ends;
    if (!ada) throw new Failure(EXIT.no, "nobody chatted");
    await tamper(`${folder}/${ada.transcript}`, `${folder}/${changed(ada.transcript)}`);
    const { sentence, checks } = await verdict(folder, [ada.receipt, changed(ada.transcript)], EXIT.no);
    tell(sentence);
    for (const { name, outcome, reasons } of checks) if (outcome === "failed") tell(`  ${name}: ${reasons.join("; ")}`);
    tell("\nThat is all: what was sent can be shown to anybody, and can't be changed afterwards.");
  } finally {
    await server.stop().catch(() => {}); // what went wrong before is what matters
  }
}

const changed = (path: string) => path.replace(/\.txt$/, "_changed.txt");

/** A letter in the middle becomes another of base64. */
async function tamper(from: string, to: string): Promise<void> {
  const text = await Deno.readTextFile(from);
  const at = text.indexOf("|", text.indexOf("|") + 1) + 30;
  await Deno.writeTextFile(to, text.slice(0, at) + (text[at] === "A" ? "B" : "A") + text.slice(at + 1));
}

// ---- telling

function tell(text: string): void {
  write(`${text.split("\n").map((line) => line === "" ? "" : `   ${printable(line)}`).join("\n")}\n`);
}

function title(text: string): void {
  const isBold = wantsColour() && Deno.stdout.isTerminal();
  write(isBold ? `\n\u001b[1m${text}\u001b[0m\n` : `\n${text}\n`);
}

// ---- the program's own commands

/** Starts the program in the folder, with no setting of this machine's. */
function start(folder: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Deno.ChildProcess {
  const isCompiled = Deno.build.standalone;
  const source = isCompiled ? [] : ["run", "--quiet", "--no-prompt", "-A", new URL("../mod.ts", import.meta.url).href];
  return new Deno.Command(Deno.execPath(), {
    args: [...source, ...args],
    cwd: folder,
    env: { ...surroundings(), ...env },
    clearEnv: true,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** What a program needs to run at all. */
function surroundings(): Record<string, string> {
  const kept =
    /^(?:PATH|HOME|TMPDIR|TEMP|TMP|SYSTEMROOT|USERPROFILE|LOCALAPPDATA|DENO_.*|XDG_.*|RUST_MIN_STACK|LANG)$/i;
  return Object.fromEntries(Object.entries(Deno.env.toObject()).filter(([name]) => kept.test(name)));
}

interface Finished {
  readonly status: number;
  readonly stdout: string;
}

/** The end of a command; a Failure with its own words where its status isn't the expected one. */
async function finish(child: Deno.ChildProcess, what: string, expected: ExitStatus): Promise<Finished> {
  const { code, stdout, stderr } = await child.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  if (code === expected) return { status: code, stdout: text(stdout) };
  throw new Failure(EXIT.no, `${what} ended with status ${code}, not ${expected}: ${text(stderr).trim()}`);
}

async function command(folder: string, args: readonly string[]): Promise<string> {
  tell(`$ securechat ${args.join(" ")}`);
  const child = start(folder, args);
  await child.stdin.close();
  return (await finish(child, args.join(" "), EXIT.done)).stdout;
}

async function startServer(folder: string) {
  const args = ["serve", "--host", "127.0.0.1", "--port", "0", "--db", "sqlite"];
  tell(`$ securechat ${args.join(" ")}`);
  const child = start(folder, args);
  await child.stdin.close();
  const errors = new Response(child.stderr).text();
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let said = "";
  while (!said.includes("\n")) {
    const { value, done } = await lines.read();
    if (done) throw new Failure(EXIT.unavailable, `the server did not start: ${(await errors).trim()}`);
    said += value;
  }
  tell(said.trim());
  let stopped: Promise<void> | undefined;
  const stop = async () => {
    child.kill("SIGTERM");
    const { code } = await child.status;
    await Promise.all([lines.cancel(), errors]);
    if (code !== EXIT.done && Deno.build.os !== "windows") {
      throw new Failure(EXIT.no, `the server ended with status ${code}: ${(await errors).trim()}`);
    }
  };
  return { port: /:(\d+)\s*$/.exec(said)?.[1] ?? "", stop: () => stopped ??= stop() };
}

/** What a chat leaves. */
interface Left {
  readonly receipt: string;
  readonly transcript: string;
}

/** One person's chat: what is typed goes in by a pipe, and events come out as JSON. */
async function chat(folder: string, { name, password, lines }: Person, port: string): Promise<Left> {
  await Deno.writeTextFile(`${folder}/${name}_password`, `${password}\n`, { mode: 0o600 });
  const args = ["chat", "--json", "--host", "localhost", "--port", port, "--certs", name === "ada" ? "certs" : name];
  const account = [
    "--register",
    "--email",
    `${name}@example.org`,
    "--username",
    name,
    "--transcripts",
    `transcripts_${name}`,
  ];
  const child = start(folder, [...args, ...account], { SECURECHAT_PASSWORD_FILE: `${name}_password` });
  const input = child.stdin.getWriter();
  // A chat that ends early closes the pipe; how it ended is told by finish().
  await input.write(new TextEncoder().encode(`${lines.join("\n")}\n`)).then(() => input.close()).catch(() => {});
  const { stdout } = await finish(child, `${name}'s chat`, EXIT.done);
  const events = stdout.trim().split("\n").map((line) => JSON.parse(line));
  const count = (event: string) => events.filter((one) => one.event === event).length;
  const end = events.find(({ event }) => event === "end");
  tell(`${name}: registered, ${count("sent")} lines sent, ${count("acknowledged")} acknowledged ✓, receipt verified`);
  return { receipt: end.server_receipt, transcript: end.transcript };
}

interface Told {
  readonly sentence: string;
  readonly checks: readonly { readonly name: string; readonly outcome: string; readonly reasons: readonly string[] }[];
}

async function verdict(folder: string, [receipt, transcript]: [string, string], expected: ExitStatus): Promise<Told> {
  const args = ["verify", receipt, transcript, "--ca", "certs/ca_cert.pem", "--require-v2", "--json"];
  tell(`$ securechat ${args.slice(0, -1).join(" ")}`);
  const child = start(folder, args);
  await child.stdin.close();
  return JSON.parse((await finish(child, "verify", expected)).stdout);
}
