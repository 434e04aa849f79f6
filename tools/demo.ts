/**
 * `securechat demo`: all of it at work in a temporary folder, in front of whoever watches: an operator, two people in a
 * room, a network that is cut between them, evidence, and a lie that is caught. Every step is one of the program's own
 * commands, started as a process of its own, and what they print is what is told; a step that doesn't end as it should
 * ends the demo.
 *
 *     deno task demo
 */

import { parseCommand } from "../lib/command_line.ts";
import { EXIT, type ExitStatus, Failure } from "../lib/errors.ts";
import { shellWord } from "../lib/files.ts";
import type { ShownEvent } from "../lib/client_command.ts";
import { wantsColour, write } from "../lib/terminal.ts";
import { printable } from "../lib/text.ts";
import { Relay } from "./relay.ts";

const SPEC = {
  name: "demo",
  summary: "show all of it at work in a temporary folder",
  usage: `securechat demo [--keep]

Makes a CA and a server, invites two people, who talk in a room while the network between them is cut, exports what was
said, verifies it with and without its words, and shows that a changed transcript is refused. Takes some seconds and
leaves nothing behind.

Examples:
  securechat demo
  securechat demo --keep    the folder stays, to look into`,
  options: { keep: { type: "boolean", describe: "leave the folder where it is, and say where" } },
} as const;

/** Who takes part, and what they say: before the network is cut, and while it is. */
const PEOPLE = [
  { name: "alice", password: "difference engine", hello: "Is the key in its place?", later: "Send it on Monday." },
  { name: "bob", password: "nabla squared", hello: "It is. Grüße, 你好 👋", later: "I note: Monday." },
] as const;

type Person = typeof PEOPLE[number];

const ROOM = "#ops";
/** How long anything may take, in milliseconds. */
const PATIENCE = 20_000;
const AUTHORITY = ["--ca", "certs/ca_cert.pem"];

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
  title("1  The operator makes a CA and certificates, and starts a server");
  await command(folder, ["init"]);
  await using server = await startServer(folder);
  using network = new Relay(server.tlsPort);

  title("2  Two people are invited, and join over TLS with nothing but their code");
  await bringIn(folder, network.port);

  title(`3  They talk in ${ROOM}; the network is cut, they write on, and it comes back`);
  await talk(folder, network);

  title("4  Bob shows the record to a stranger, who has the CA's certificate and no network");
  const closed = await exportRoom(folder, "closed");
  await verify(folder, closed, EXIT.done);
  const open = await exportRoom(folder, "open");
  await verify(folder, open, EXIT.done);

  title("5  Somebody changes one character of alice's first line");
  const [receipt = "", transcript = "", ...openings] = open;
  await tamper(`${folder}/${transcript}`, `${folder}/changed.txt`);
  await verify(folder, [receipt, "changed.txt", ...openings], EXIT.no);

  title("6  And without rooms: Alice and the server alone, with a receipt at the end");
  await chat(folder, PEOPLE[0], server.port);
  await server.stop();
  tell("\nThat is all: what was said can be shown to anybody, and can't be changed afterwards.");
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
    env: { ...surroundings(), SECURECHAT_HOME: `${folder}/home`, ...env },
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

interface Doing {
  /** What is told of the command, where that is less than all of it. */
  readonly told?: string;
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly status?: ExitStatus;
}

/** Runs a command: what it prints. A Failure with its own words where its status isn't the expected one. */
async function command(folder: string, args: readonly string[], doing: Doing = {}): Promise<string> {
  const { told = args.map(shellWord).join(" "), input = "", env = {}, status = EXIT.done } = doing;
  tell(`$ securechat ${told}`);
  const child = start(folder, args, env);
  const writer = child.stdin.getWriter();
  // A command that ends early closes the pipe; how it ended is told below.
  await writer.write(new TextEncoder().encode(input)).then(() => writer.close()).catch(() => {});
  const { code, stdout, stderr } = await child.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  if (code === status) return text(stdout);
  throw new Failure(EXIT.no, `${args[0]} ended with status ${code}, not ${status}: ${text(stderr).trim()}`);
}

async function startServer(folder: string) {
  const args = ["serve", "--host", "127.0.0.1", "--port", "0", "--db", "sqlite"];
  tell(`$ securechat ${args.join(" ")}`);
  const child = start(folder, args);
  await child.stdin.close();
  const errors = new Response(child.stderr).text();
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let said = "";
  while (said.split("\n").length < 3) {
    const { value, done } = await lines.read();
    if (done) throw new Failure(EXIT.unavailable, `the server did not start: ${(await errors).trim()}`);
    said += value;
  }
  tell(said.trim());
  const [port, tlsPort] = [...said.matchAll(/:(\d+)$/gm)].map(([, number]) => Number(number));
  let stopped: Promise<number> | undefined;
  const end = async () => {
    child.kill("SIGTERM");
    const { code } = await child.status;
    await Promise.all([lines.cancel(), errors]);
    return code;
  };
  const stop = async () => {
    const code = await (stopped ??= end());
    if (code === EXIT.done || Deno.build.os === "windows") return;
    throw new Failure(EXIT.no, `the server ended with status ${code}: ${(await errors).trim()}`);
  };
  return {
    port: port ?? 0,
    tlsPort: tlsPort ?? 0,
    stop,
    [Symbol.asyncDispose]: () => stop().catch(() => {}), // what went wrong before is what matters
  };
}

// ---- people

const filesOf = (name: string) => ["--certs", name, "--transcripts", `${name}/kept`];

/** Codes from the operator, and their use. */
async function bringIn(folder: string, port: number): Promise<void> {
  const invite = ({ name }: Person) => command(folder, ["invite", name, "--port", String(port)]);
  const codes = await Promise.all(PEOPLE.map(invite));
  const passwords = PEOPLE.map(({ name, password }) => [`${folder}/${name}_password`, `${password}\n`] as const);
  await Promise.all(passwords.map(([path, text]) => Deno.writeTextFile(path, text, { mode: 0o600 })));
  await Promise.all(PEOPLE.map(({ name }, which) => {
    const code = codes[which]?.trim() ?? "";
    const login = ["--email", `${name}@example.org`];
    return command(folder, ["join", code, ...login, "--no-chat", ...filesOf(name)], {
      told: `join ${code.slice(0, 12)}…@localhost ${login.join(" ")}`,
      env: { SECURECHAT_PASSWORD_FILE: `${name}_password` },
    });
  }));
  tell("each has a key that never left their machine, a certificate, an account, and a session that goes on");
}

/** One person's client for rooms: commands go in by a pipe, and events come out, as JSON. */
class RoomsClient implements AsyncDisposable {
  readonly #name: string;
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #errors: Promise<string>;
  readonly #read: Promise<void>;
  readonly #events: ShownEvent[] = [];
  #changed = Promise.withResolvers<void>();

  constructor(folder: string, name: string, port: number) {
    const where = ["--host", "localhost", "--tls-port", String(port)];
    this.#name = name;
    this.#child = start(folder, ["rooms", "--json", ...where, ...filesOf(name)]);
    this.#input = this.#child.stdin.getWriter();
    this.#errors = new Response(this.#child.stderr).text();
    this.#read = this.#readAll();
  }

  async #readAll(): Promise<void> {
    let rest = "";
    for await (const text of this.#child.stdout.pipeThrough(new TextDecoderStream())) {
      const rows = (rest + text).split("\n");
      rest = rows.pop() ?? "";
      this.#events.push(...rows.map((row) => JSON.parse(row)));
      this.#changed.resolve();
      this.#changed = Promise.withResolvers();
    }
  }

  async ask(request: { readonly command: string } & Readonly<Record<string, string>>): Promise<void> {
    await this.#input.write(new TextEncoder().encode(`${JSON.stringify(request)}\n`));
  }

  /** Waits for an event. */
  async until(what: string, holds: (event: ShownEvent) => boolean): Promise<void> {
    const late = Promise.withResolvers<never>();
    late.promise.catch(() => {});
    const why = async () => late.reject(new Failure(EXIT.no, `${this.#name} waited for ${what}; ${await this.#why()}`));
    const timer = setTimeout(why, PATIENCE);
    this.#read.then(why, why); // it ended
    while (!this.#events.some(holds)) await Promise.race([this.#changed.promise, late.promise]);
    clearTimeout(timer);
  }

  async #why(): Promise<string> {
    await this[Symbol.asyncDispose]();
    return (await this.#errors).trim() || `the last that came is ${JSON.stringify(this.#events.at(-1))}`;
  }

  /** What was said in the room, in the order in which it is shown here. */
  get said(): string[] {
    return this.#events.flatMap((event) =>
      event.event === "line" && event.kind === "text" ? [`[${event.index}] ${event.username}: ${event.text}`] : []
    );
  }

  async end(): Promise<void> {
    await this.#input.close();
    const { code } = await this.#child.status;
    await this.#read;
    if (code !== EXIT.done) throw new Failure(EXIT.no, `${this.#name}'s rooms ended with status ${code}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.#input.close().catch(() => {});
    await this.#child.status;
  }
}

async function talk(folder: string, network: Relay): Promise<void> {
  const [{ hello: question, later: order }, { hello: answer, later: note }] = PEOPLE;
  await using alice = new RoomsClient(folder, "alice", network.port);
  await using bob = new RoomsClient(folder, "bob", network.port);
  const both = [alice, bob];
  const isCovered = (size: number) => (event: ShownEvent) => event.event === "covered" && event.size === size;
  const heard = (text: string) => Promise.all(both.map((one) => one.until(`"${text}"`, isText(text))));
  await Promise.all(both.map((one) => one.until("the server", ({ event }) => event === "online")));
  await alice.ask({ command: "create", room: ROOM });
  await alice.until("the room", ({ event }) => event === "caught_up");
  await bob.ask({ command: "join", room: ROOM });
  await bob.until("the room", ({ event }) => event === "caught_up");
  await alice.ask({ command: "say", room: ROOM, text: question });
  await heard(question);
  await bob.ask({ command: "say", room: ROOM, text: answer });
  await heard(answer);
  const before = alice.said;
  for (const line of before) tell(line);
  // A second later they have seen a signed head of these, and what they write next says so.
  await Promise.all(both.map((one) => one.until("the signed head", isCovered(4))));

  network.down();
  await Promise.all(both.map((one) => one.until("the end of the network", ({ event }) => event === "offline")));
  tell("✂  the network is cut: both are offline, and write on");
  await alice.ask({ command: "say", room: ROOM, text: order });
  await alice.until("the line on the disk", (event) => event.event === "sending" && event.text === order);
  await bob.ask({ command: "say", room: ROOM, text: note });
  await bob.until("the line on the disk", (event) => event.event === "sending" && event.text === note);
  network.up();
  await Promise.all([heard(order), heard(note)]);
  tell("✓  it is back: both have reconnected by themselves, and sent what was waiting");
  for (const line of alice.said.slice(before.length)) tell(line);
  const isSame = alice.said.join("\n") === bob.said.join("\n");
  if (!isSame || alice.said.length !== 4) throw new Failure(EXIT.no, "the two don't see the same");
  tell("alice and bob see the same four lines in the same order: nothing is lost, nothing is there twice");
  await Promise.all(both.map((one) => one.until("the signed head", isCovered(6)))); // two joins, four lines
  await Promise.all(both.map((one) => one.end()));
}

function isText(text: string): (event: ShownEvent) => boolean {
  return (event) => event.event === "line" && event.text === text;
}

// ---- evidence

/** What bob's files say of the room: the arguments for `verify`. */
async function exportRoom(folder: string, how: "closed" | "open"): Promise<string[]> {
  const args = ["export", ROOM, `--${how}`, "--files", "--out", how];
  const told = args.map(shellWord).join(" ");
  const text = await command(folder, [...args, "--json", "--host", "localhost", ...filesOf("bob")], { told });
  const { receipt, transcript, openings } = JSON.parse(text);
  return [receipt, transcript, ...(openings === null ? [] : ["--openings", openings])];
}

/** Verifies, and tells the answer, why it isn't a better one, and who said what. */
async function verify(folder: string, files: readonly string[], status: ExitStatus): Promise<void> {
  const args = ["verify", ...files, ...AUTHORITY];
  const report = (await command(folder, args, { status })).split("\n");
  const isTold = /^(?:(?:NOT )?VERIFIED|Reasons|Integrity|Withheld) |^\[\d+\]| {4}\|/;
  let tells = false;
  for (const row of report) {
    tells = isTold.test(row) || (tells && row.startsWith(" "));
    if (tells) tell(row);
  }
}

/** What alice's first line says, by its hash, becomes something else. */
async function tamper(from: string, to: string): Promise<void> {
  const lines = (await Deno.readTextFile(from)).split("\n");
  const changed = lines.map((line, index) => {
    const at = line.indexOf("|", line.indexOf("|") + 1) + 60;
    return index === 2 ? line.slice(0, at) + (line[at] === "A" ? "B" : "A") + line.slice(at + 1) : line;
  });
  await Deno.writeTextFile(to, changed.join("\n"));
}

/** A session with the server alone, as it was before there were rooms. */
async function chat(folder: string, { name, hello }: Person, port: number): Promise<void> {
  const args = ["chat", "--login", "--email", `${name}@example.org`, "--host", "localhost", "--port", String(port)];
  const text = await command(folder, [...args, "--json", "--certs", name, "--transcripts", "sessions"], {
    told: args.join(" "),
    input: `${hello}\n`,
    env: { SECURECHAT_PASSWORD_FILE: `${name}_password` },
  });
  const events = text.trim().split("\n").map((line) => JSON.parse(line));
  const { server_receipt: receipt, transcript } = events.find(({ event }) => event === "end");
  await verify(folder, [receipt, transcript, "--require-v2"], EXIT.done);
}
