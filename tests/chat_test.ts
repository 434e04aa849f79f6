import { chat } from "../client.ts";
import type { ChatOptions } from "../lib/client_chat.ts";
import { issueCertificate } from "../lib/ca.ts";
import { Failure } from "../lib/errors.ts";
import { loadIdentity, loadTrust } from "../lib/identity.ts";
import { publicKeyOf } from "../lib/private_key.ts";
import { type Evidence, transcriptLines, verify } from "../lib/verify.ts";
import { parseCertificates } from "../lib/x509.ts";
import type { ChatEvent } from "../lib/client_chat_screen.ts";
import { assert } from "./assert.ts";
import { writeCertificates } from "./certificate_folder.ts";
import {
  type Ended,
  freePort,
  program,
  run,
  type RunningServer,
  skipUnless,
  startServer,
  temporaryFolder,
} from "./environment.ts";
import { authority, key } from "./fixtures.ts";
import { openTerminal, type Terminal, type TerminalOptions } from "./pty.ts";

const PASSWORD = "correct horse battery";

/** A folder with certificates and a running server; programs run in it. */
class World implements AsyncDisposable {
  readonly #folder: ReturnType<typeof temporaryFolder>;
  readonly server: RunningServer;
  readonly #accounts = new Set<string>();

  private constructor(folder: ReturnType<typeof temporaryFolder>, server: RunningServer) {
    this.#folder = folder;
    this.server = server;
  }

  static async create(...args: string[]): Promise<World> {
    const folder = temporaryFolder();
    await writeCertificates(`${folder.path}/certs`);
    await Deno.writeTextFile(`${folder.path}/password`, `${PASSWORD}\n`, { mode: 0o600 });
    return new World(folder, await startServer(args, { cwd: folder.path }));
  }

  get path(): string {
    return this.#folder.path;
  }

  /** The command line of a chat with this server. */
  args(...more: string[]): string[] {
    return ["chat", "--host", "localhost", "--port", String(this.server.port), ...more];
  }

  /** A chat on a terminal. */
  terminal(args: string[] = [], options: TerminalOptions = {}): Terminal {
    const { command, args: all } = program(...this.args(...args));
    return openTerminal([command, ...all], { cwd: this.path, ...options });
  }

  /** A chat on a terminal in a session of an account of its own. */
  async session(name: string, options: TerminalOptions = {}): Promise<Terminal> {
    const terminal = this.terminal(["--register", "--email", `${name}@example.org`, "--username", name], options);
    await terminal.expect("Password: ");
    terminal.type(`${PASSWORD}\r`);
    await terminal.expect("Confirm password: ");
    terminal.type(`${PASSWORD}\r`);
    await terminal.expect("Logged in");
    await terminal.expect("> ");
    return terminal;
  }

  /** A chat that is fed through a pipe, as a new account or one that is there. */
  async pipe(name: string, stdin: string, ...args: string[]): Promise<Ended & { events: ChatEvent[] }> {
    const how = this.#accounts.has(name) ? ["--login"] : ["--register", "--username", name];
    this.#accounts.add(name);
    const env = { SECURECHAT_PASSWORD_FILE: "password" };
    const all = this.args("--email", `${name}@example.org`, ...how, ...args);
    const ended = await run(all, { cwd: this.path, env, stdin });
    return { ...ended, events: args.includes("--json") ? parseEvents(ended.stdout) : [] };
  }

  /** The files of TRANSCRIPT_DIR. */
  files(): string[] {
    try {
      return [...Deno.readDirSync(`${this.path}/transcripts`)].map(({ name }) => name).sort();
    } catch {
      return [];
    }
  }

  /** How many lines the one transcript has that there is. */
  transcriptLines(): number {
    const [name] = this.files().filter((file) => file.startsWith("transcript_"));
    return Deno.readTextFileSync(`${this.path}/transcripts/${name}`).split("\n").length - 1;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]();
    this.#folder[Symbol.dispose]();
  }
}

function parseEvents(text: string): ChatEvent[] {
  return text.split("\n").filter(Boolean).map((line) => JSON.parse(line));
}

function kinds(files: string[]): string[] {
  return files.map((name) => name.replace(/_[0-9]{8}_[0-9]{6}(?:_[0-9]+)?/, ""));
}

function ofType<T extends ChatEvent["event"]>(events: readonly ChatEvent[], type: T): (ChatEvent & { event: T })[] {
  return events.filter((event): event is ChatEvent & { event: T } => event.event === type);
}

const ALL_RECORDS = ["ca_cert.pem", "client_receipt.json", "receipt.json", "transcript.txt"];

// ---- on a terminal

Deno.test({
  name:
    "chat registers on a terminal in the seed's order, hides the password, shows each line's way, and ends with receipts",
  ...skipUnless("pty"),
  fn: async () => {
    await using world = await World.create();
    await using terminal = world.terminal();
    await terminal.expect("Register or login");
    terminal.type("register\r");
    await terminal.expect("Username: ");
    terminal.type("not a name\r");
    await terminal.expect("That isn't a valid username: 1 to 64");
    await terminal.expect("Username: ");
    terminal.type("ada\r");
    await terminal.expect("E-mail: ");
    terminal.type("ada@example.org\r");
    await terminal.expect("Password: ");
    terminal.type(`${PASSWORD}\r`);
    await terminal.expect("Confirm password: ");
    terminal.type("something else\r");
    await terminal.expect("differ");
    await terminal.expect("Password: ");
    terminal.type(`${PASSWORD}\r`);
    await terminal.expect("Confirm password: ");
    terminal.type(`${PASSWORD}\r`);
    await terminal.expect("Logged in");
    await terminal.expect("> ");
    terminal.type("hello wörld\r");
    await terminal.expect("→ hello wörld");
    await terminal.expect(/✓ [0-9]{2}:[0-9]{2}:[0-9]{2}\S* hello wörld/);
    terminal.type("//quit\r");
    await terminal.expect(/✓ \S+ \/quit/);
    terminal.type("/dance\r/status\r/help\r/receipt\r");
    await terminal.expect("no such command");
    await terminal.expect("2 lines sent, 2 acknowledged");
    await terminal.expect("/receipt ");
    await terminal.expect("Own receipt: transcripts/client_receipt_");
    terminal.type(`\x1b[200~${"x".repeat(16_001)}\x1b[201~\r`);
    await terminal.expect("16000 octets of UTF-8");
    terminal.type("quit\r");
    await terminal.expect("The server's receipt is verified");
    await terminal.expect("To verify it later:");
    assert.deepEqual(await terminal.ended(), { status: 0, isRestored: true });
    assert.ok(!terminal.shown.includes(PASSWORD) && !terminal.shown.includes("something else"));
    assert.deepEqual(kinds(world.files()), ALL_RECORDS);
    assert.equal(world.transcriptLines(), 2);
  },
});

Deno.test({
  name: "chat asks three times for a password that is wrong, then ends with status 4 and keeps nothing",
  ...skipUnless("pty"),
  fn: async () => {
    await using world = await World.create();
    await using terminal = world.terminal(["--login", "--email", "nobody@example.org"]);
    for (let tries = 0; tries < 3; tries++) {
      await terminal.expect("Password: ");
      terminal.type("wrong\r");
    }
    await terminal.expect("(auth-failed)");
    assert.deepEqual(await terminal.ended(), { status: 4, isRestored: true });
    assert.deepEqual(world.files(), []);
  },
});

Deno.test({
  name: "chat ended by Ctrl-C while the password is asked for sends nothing and restores the terminal",
  ...skipUnless("pty"),
  fn: async () => {
    await using world = await World.create();
    await using terminal = world.terminal(["--login", "--email", "ada@example.org"]);
    await terminal.expect("Password: ");
    terminal.type("secr\x03");
    await terminal.expect("not answered");
    assert.deepEqual(await terminal.ended(), { status: 4, isRestored: true });
    assert.deepEqual(world.files(), []);
  },
});

for (
  const [end, act] of [
    ["Ctrl-C", (terminal: Terminal) => terminal.type("half a line\x03\x03")],
    ["Ctrl-D", (terminal: Terminal) => terminal.type("\x04")],
    ["SIGTERM", (terminal: Terminal) => terminal.kill("SIGTERM")],
    ["SIGHUP", (terminal: Terminal) => terminal.kill("SIGHUP")],
  ] as const
) {
  Deno.test({
    name: `chat ended by ${end} in the session ends in order: receipts, status 0, a restored terminal`,
    ...skipUnless("pty"),
    fn: async () => {
      await using world = await World.create();
      await using terminal = await world.session("ada");
      terminal.type("one\r");
      await terminal.expect("✓");
      await act(terminal);
      await terminal.expect("The server's receipt is verified");
      assert.deepEqual(await terminal.ended(), { status: 0, isRestored: true });
      assert.deepEqual(kinds(world.files()), ALL_RECORDS);
      assert.equal(world.transcriptLines(), 1, "half a line is not sent");
    },
  });
}

for (const signal of ["SIGKILL", "SIGTERM"] as const) {
  Deno.test({
    name: `chat whose server ends by ${signal} in mid-session keeps what was acknowledged, with status 5`,
    ...skipUnless("pty"),
    fn: async () => {
      await using world = await World.create();
      await using terminal = await world.session("ada");
      terminal.type("one\r");
      await terminal.expect("✓");
      await world.server.stop(signal);
      await terminal.expect(signal === "SIGKILL" ? "The server is gone" : /shutting down|ended the session/);
      await terminal.expect("To verify it later:");
      assert.deepEqual(await terminal.ended(), { status: 5, isRestored: true });
      const found = kinds(world.files());
      for (const name of ["client_receipt.json", "transcript.txt"]) assert.ok(found.includes(name));
      assert.equal(world.transcriptLines(), 1);
    },
  });
}

Deno.test({
  name: "chat interrupted a second time doesn't wait for a server that is silent",
  ...skipUnless("pty"),
  fn: async () => {
    await using world = await World.create();
    await using terminal = await world.session("ada");
    Deno.kill(world.server.child.pid, "SIGSTOP");
    terminal.type("one\r");
    await terminal.expect("→ one");
    for (let times = 0; times < 3; times++) terminal.type("\x03");
    await terminal.expect("Ended at once");
    assert.deepEqual(await terminal.ended(), { status: 1, isRestored: true });
    assert.ok(kinds(world.files()).includes("client_receipt.json"));
  },
});

Deno.test({
  name: "chat whose terminal is closed ends in order",
  ...skipUnless("pty"),
  fn: async () => {
    await using world = await World.create();
    {
      await using terminal = await world.session("ada");
      terminal.type("one\r");
      await terminal.expect("✓");
    }
    for (let tries = 0; !kinds(world.files()).includes("client_receipt.json"); tries++) {
      assert.ok(tries < 500, "the receipts come");
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assert.deepEqual(kinds(world.files()), ALL_RECORDS);
  },
});

Deno.test({
  name: "chat killed by SIGKILL has every line on the disk that it showed as acknowledged",
  ...skipUnless("pty"),
  fn: async () => {
    await using world = await World.create();
    await using terminal = await world.session("ada");
    for (let i = 1; i <= 20; i++) {
      terminal.type(`line ${i}\r`);
      await terminal.expect(new RegExp(`✓ \\S+ line ${i}\\b`));
    }
    await terminal.kill("SIGKILL");
    assert.equal((await terminal.ended()).status, 137);
    assert.equal(world.transcriptLines(), 20);
  },
});

Deno.test({
  name: "chat on a dumb terminal prints plain lines without escape sequences",
  ...skipUnless("pty"),
  fn: async () => {
    await using world = await World.create();
    await using terminal = world.terminal(["--register", "--email", "ada@example.org", "--username", "ada"], {
      env: { TERM: "dumb" },
    });
    await terminal.expect("Password: ");
    terminal.type(`${PASSWORD}\r`);
    await terminal.expect("Confirm password: ");
    terminal.type(`${PASSWORD}\r`);
    await terminal.expect("Logged in");
    terminal.type("hello\r\r");
    await terminal.expect("✓ 0 acknowledged");
    terminal.type("quit\r");
    assert.deepEqual(await terminal.ended(), { status: 0, isRestored: true });
    assert.ok(!terminal.shown.includes("\x1b"));
    assert.equal(world.transcriptLines(), 1, "Enter alone sends nothing");
  },
});

Deno.test({
  name: "chat works on a terminal of any size and draws no colours under NO_COLOR",
  ...skipUnless("pty"),
  fn: async () => {
    await using world = await World.create();
    for (const [name, columns, rows] of [["ada", 1, 1], ["bob", 8, 2], ["eve", 300, 100]] as const) {
      await using terminal = await world.session(name, { columns, rows, env: { NO_COLOR: "1" } });
      terminal.type("a line longer than this terminal is wide\r");
      await terminal.expect("✓");
      terminal.type("\x1b[A\x1b[D\x1b[D\x0c\r"); // the same line again, out of the history
      await terminal.expect("✓");
      terminal.type("quit\r");
      assert.equal((await terminal.ended()).status, 0);
      assert.doesNotMatch(terminal.shown, /\[[0-9;]*m/);
    }
  },
});

// ---- through pipes

Deno.test("chat --json prints one event a line, over TLS too, and its last one verifies", async () => {
  const tlsPort = freePort();
  await using world = await World.create("--tls-port", String(tlsPort));
  const { status, events, stderr } = await world.pipe("ada", "hello\n\n//x\n/status\n/dance\nlast", "--json");
  assert.equal(status, 0, stderr);
  assert.equal(ofType(events, "acknowledged").length, 4, "the empty line too: here every line is one");
  assert.deepEqual(ofType(events, "acknowledged").map(({ seqno }) => seqno), [0, 1, 2, 3]);
  assert.equal(ofType(events, "not_sent").length, 1);
  const end = events.at(-1);
  assert.ok(end?.event === "end" && end.status === 0 && end.verify !== null && end.server_receipt !== null);
  const words = end.verify.split(" ");
  const verified = await run(words.slice(words.indexOf("verify")), { cwd: world.path });
  assert.equal(verified.status, 0, verified.stderr + verified.stdout);

  const overTls = await world.pipe("ada", "hello", "--json", "--tls", "--tls-port", String(tlsPort));
  assert.equal(overTls.status, 0, overTls.stderr);
  assert.deepEqual(ofType(overTls.events, "connected").map(({ port, version }) => [port, version]), [[tlsPort, 2]]);
  assert.equal(ofType(overTls.events, "acknowledged").length, 1);
});

Deno.test("chat sends three hundred lines from a pipe ahead of their acknowledgements, in order", async () => {
  await using world = await World.create();
  const lines = Array.from({ length: 300 }, (_, i) => `line ${i}`).join("\n");
  const { status, events } = await world.pipe("ada", lines, "--json");
  assert.equal(status, 0);
  assert.deepEqual(ofType(events, "acknowledged").map(({ seqno }) => seqno), Array.from({ length: 300 }, (_, i) => i));
  let ahead = 0;
  const most = Math.max(
    ...events.map(({ event }) => ahead += event === "sent" ? 1 : event === "acknowledged" ? -1 : 0),
  );
  assert.ok(most > 1 && most <= 65, `${most} lines were on their way`);
});

Deno.test("chat refuses a line that is too long or not UTF-8 by itself, and goes on", async () => {
  await using world = await World.create();
  const long = "ü".repeat(8_001);
  const { status, events } = await world.pipe(
    "ada",
    `${long}\n${"y".repeat(16_000)}\n${"z".repeat(200_000)}\nend\n`,
    "--json",
  );
  assert.equal(status, 0);
  assert.equal(ofType(events, "not_sent").length, 2);
  assert.equal(ofType(events, "acknowledged").length, 2);
});

Deno.test("chat warns of an own certificate that ends soon, and says how to renew it", async () => {
  await using world = await World.create();
  const none = await world.pipe("ada", "", "--json");
  assert.equal(ofType(none.events, "warning").length, 0);
  const publicKey = publicKeyOf(await key("client"));
  const issuing = { now: Date.now(), random: (size: number) => crypto.getRandomValues(new Uint8Array(size)), days: 5 };
  const short = await issueCertificate(await authority(), { role: "client", name: "ada", publicKey }, issuing);
  await Deno.writeTextFile(`${world.path}/certs/client_cert.pem`, short.pem);
  const { status, events } = await world.pipe("ada", "", "--json");
  assert.equal(status, 0);
  assert.match(
    ofType(events, "warning").map(({ message }) => message).join(),
    /^The client certificate expires in 4 days; run: .* cert renew certs\/client_cert\.pem$/,
  );
});

Deno.test("chat() warns of a server's certificate that ends soon", async () => {
  await using world = await World.create();
  const inside = new Inside(world, { warnDays: 100_000 });
  inside.endInput();
  assert.equal(await inside.status, 0);
  assert.match(ofType(inside.events, "warning")[0]?.message ?? "", /^The server's certificate expires in [0-9]+ days/);
});

Deno.test("chat without --json prints sentences through a pipe", async () => {
  await using world = await World.create();
  const { status, stdout } = await world.pipe("ada", "hello\n");
  assert.equal(status, 0);
  assert.match(stdout, /✓ 0 acknowledged \d\d:\d\d:\d\d\n/);
  assert.match(stdout, /To verify it later:\n {2}\S.* verify transcripts\/receipt_\S+ transcripts\/transcript_\S+\n$/);
});

Deno.test("chat says in one sentence what its command line lacks, with status 2", async () => {
  using folder = temporaryFolder();
  const cwd = folder.path;
  const absent = await run(["chat", "--login"], { cwd });
  assert.deepEqual([absent.status, absent.stdout], [2, ""]);
  assert.match(absent.stderr, /certificate not found.* init\n$/);
  await writeCertificates(`${cwd}/certs`);
  await Deno.writeTextFile(`${cwd}/open`, "secret\n", { mode: 0o644 });
  await Deno.writeTextFile(`${cwd}/empty`, "\nsecret\n", { mode: 0o600 });
  for (
    const [args, file, sentence] of [
      [[], "", /--register or --login is needed/],
      [["--login", "--register"], "", /exclude each other/],
      [["--login", "--tls", "--allow-v1"], "", /--tls and --allow-v1 exclude each other/],
      [["--login", "--tls-port", "5001"], "", /--tls-port says where, --tls that it be over TLS/],
      [["--login", "--tls", "--tls-port", "off"], "", /TLS_PORT is off/],
      [["--login"], "", /--email is needed/],
      [["--login", "--email", "ada"], "", /--email "ada" is not a valid e-mail address; see/],
      [["--login", "--email", "a@b", "--username", "ada"], "", /--username is for --register/],
      [["--register", "--email", "a@b"], "", /--username is needed/],
      [
        ["--register", "--email", "a@b", "--username", "a b"],
        "",
        /--username "a b" is not a valid username: [^.]*; see/,
      ],
      [["--login", "--email", "a@b"], "", /SECURECHAT_PASSWORD_FILE/],
      [["--login", "--email", "a@b"], "absent", /absent/],
      [["--login", "--email", "a@b"], "open", /chmod 600/],
      [["--login", "--email", "a@b"], "empty", /first line of empty/],
      [["--password", "secret"], "", /unknown flag/],
    ] as const
  ) {
    const ended = await run(["chat", ...args], { cwd, env: { SECURECHAT_PASSWORD_FILE: file }, stdin: "" });
    assert.equal(ended.status, 2, args.join(" "));
    assert.match(ended.stderr, sentence);
    assert.match(ended.stderr, /^securechat: .*\n$/, "one line");
  }
});

Deno.test("chat says that nothing listens there, with status 5, and with --json as its last event too", async () => {
  using folder = temporaryFolder();
  await writeCertificates(`${folder.path}/certs`);
  await Deno.writeTextFile(`${folder.path}/password`, "x", { mode: 0o600 });
  const ended = await run(["chat", "--host", "localhost", "--port", "1", "--login", "--email", "a@b", "--json"], {
    cwd: folder.path,
    env: { SECURECHAT_PASSWORD_FILE: "password" },
    stdin: "hello\n",
  });
  assert.equal(ended.status, 5);
  assert.match(ended.stderr, /cannot connect to localhost:1/);
  assert.deepEqual(parseEvents(ended.stdout).map((event) => event.event === "end" && event.status), [5]);
});

// ---- in this process

/** A chat with a server, its events, and an input that can be fed. */
class Inside {
  readonly events: ChatEvent[] = [];
  readonly status: Promise<number>;
  stop: (atOnce: boolean) => void = () => {};
  readonly #lines: (string | undefined)[] = [];
  #more = Promise.withResolvers<void>();
  #done = false;

  constructor(world: World, changes: Partial<ChatOptions> = {}) {
    this.status = this.#run(world, changes);
  }

  async #run(world: World, changes: Partial<ChatOptions>): Promise<number> {
    return await chat({
      host: "localhost",
      port: world.server.port,
      identity: await loadIdentity(`${world.path}/certs`, "client"),
      trust: () => loadTrust(`${world.path}/certs`),
      account: { type: "register", email: "ada@example.org", username: "ada", password: PASSWORD },
      allowV1: false,
      handshakeTimeout: 10_000,
      answerTimeout: 10_000,
      warnDays: 30,
      transcripts: `${world.path}/transcripts`,
      input: this.#input(),
      show: (event) => void this.events.push(event),
      onStop: (stop) => void (this.stop = stop),
      now: Date.now,
      random: (size) => crypto.getRandomValues(new Uint8Array(size)),
      ...changes,
    });
  }

  async *#input(): AsyncGenerator<string | undefined> {
    while (!this.#done || this.#lines.length > 0) {
      if (this.#lines.length > 0) yield this.#lines.shift();
      else await this.#more.promise;
    }
  }

  type(...lines: (string | undefined)[]): void {
    this.#lines.push(...lines);
    this.#more.resolve();
    this.#more = Promise.withResolvers();
  }

  endInput(): void {
    this.#done = true;
    this.type();
  }

  async until(event: ChatEvent["event"], count = 1): Promise<void> {
    for (let tries = 0; ofType(this.events, event).length < count; tries++) {
      if (tries > 1000) throw new Error(`${event} did not happen, but ${JSON.stringify(this.events)}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

Deno.test("chat() shows a refused line with how far the clocks differ, and the lines after it go on", async () => {
  await using world = await World.create();
  let skew = -400_000;
  const inside = new Inside(world, { now: () => Date.now() + skew });
  inside.type("late");
  await inside.until("refused");
  skew = 0;
  inside.type("in time");
  await inside.until("acknowledged");
  inside.endInput();
  assert.equal(await inside.status, 0);
  const [refused] = ofType(inside.events, "refused");
  const difference = (refused?.server_time ?? 0) - (refused?.own_time ?? 0);
  assert.ok(Math.abs(difference - 400_000) < 10_000, String(difference));
  assert.equal(world.transcriptLines(), 1);
});

Deno.test("chat() whose clock is set back before the end keeps the server's receipt, says so, and both receipts verify", async () => {
  await using world = await World.create();
  let skew = 0;
  const inside = new Inside(world, { now: () => Date.now() + skew });
  inside.type("in time");
  await inside.until("acknowledged");
  skew = -3_600_000;
  inside.endInput();
  assert.equal(await inside.status, 0);
  const end = inside.events.at(-1);
  assert.ok(end?.event === "end" && end.server_receipt !== null && end.client_receipt !== null);
  assert.match(ofType(inside.events, "warning").at(-1)?.message ?? "", /and this computer's clock says/);
  const authorities = parseCertificates(await Deno.readTextFile(`${world.path}/certs/ca_cert.pem`));
  for (const path of [end.server_receipt, end.client_receipt]) {
    const evidence: Evidence = {
      receipt: await Deno.readFile(path),
      lines: transcriptLines(await Deno.readFile(end.transcript ?? "")),
    };
    assert.equal((await verify(evidence, { authorities, revocations: [] })).result, "valid", path);
  }
});

Deno.test("chat() whose server stops while lines pour in ends with what was acknowledged, and says which were not", async () => {
  await using world = await World.create();
  const inside = new Inside(world);
  inside.type(...Array.from({ length: 2000 }, (_, i) => `line ${i}`));
  await inside.until("acknowledged", 100);
  await world.server.stop();
  assert.equal(await inside.status, 5);
  assert.equal(world.transcriptLines(), ofType(inside.events, "acknowledged").length);
  assert.equal(inside.events.at(-1)?.event, "end");
});

Deno.test("chat() does not send what is not UTF-8", async () => {
  await using world = await World.create();
  const inside = new Inside(world);
  inside.type(undefined, "fine");
  inside.endInput();
  assert.equal(await inside.status, 0);
  assert.match(ofType(inside.events, "not_sent")[0]?.reason ?? "", /not UTF-8/);
  assert.equal(ofType(inside.events, "acknowledged").length, 1);
});

Deno.test("chat() whose network goes silent gives up after its time, with the own receipt and status 5", async () => {
  await using world = await World.create();
  using proxy = silentProxy(world.server.port);
  const inside = new Inside(world, { port: proxy.port, answerTimeout: 700 });
  inside.type("heard");
  await inside.until("acknowledged");
  proxy.silence();
  inside.type("not heard");
  assert.equal(await inside.status, 5);
  const end = inside.events.at(-1);
  assert.ok(end?.event === "end" && end.client_receipt !== null && end.server_receipt === null);
  assert.match(end.reason, /has not answered for 0\.7 s/);
  assert.match(ofType(inside.events, "warning")[0]?.message ?? "", /not acknowledged: 1\./);
  assert.equal(world.transcriptLines(), 1);
});

Deno.test("chat() asked to stop at once doesn't wait for the receipt", async () => {
  await using world = await World.create();
  using proxy = silentProxy(world.server.port);
  const inside = new Inside(world, { port: proxy.port });
  await inside.until("session");
  proxy.silence();
  inside.stop(false);
  inside.stop(false);
  inside.stop(true);
  assert.equal(await inside.status, 1);
  assert.ok(kinds(world.files()).includes("client_receipt.json"));
});

Deno.test("chat() asked to stop before the session stands keeps nothing", async () => {
  await using world = await World.create();
  using proxy = silentProxy(world.server.port);
  proxy.silence();
  const inside = new Inside(world, { port: proxy.port });
  setTimeout(() => inside.stop(false), 300);
  await assert.rejects(inside.status, (error) => error instanceof Failure && error.status === 4);
  assert.deepEqual(world.files(), []);
});

Deno.test("chat() that cannot write its transcript shows nothing as acknowledged", async () => {
  await using world = await World.create();
  const inside = new Inside(world);
  await inside.until("session");
  const { write } = Deno.FsFile.prototype;
  Deno.FsFile.prototype.write = () => Promise.reject(Object.assign(new Error("full"), { code: "ENOSPC" }));
  try {
    inside.type("lost");
    assert.equal(await inside.status, 5);
  } finally {
    Deno.FsFile.prototype.write = write;
  }
  assert.deepEqual(ofType(inside.events, "acknowledged"), []);
  const end = inside.events.at(-1);
  assert.match(end?.event === "end" ? end.reason : "", /disk is full/);
});

/** Forwards to a port until it is told to be silent; connections stay open. */
function silentProxy(to: number): { port: number; silence(): void } & Disposable {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const open: Deno.Conn[] = [];
  let silent = false;
  const copy = async (from: Deno.Conn, into: Deno.Conn) => {
    const buffer = new Uint8Array(4096);
    try {
      for (let n = await from.read(buffer); n !== null; n = await from.read(buffer)) {
        if (!silent) await into.write(buffer.subarray(0, n));
      }
    } catch {
      // closed
    }
  };
  (async () => {
    for await (const client of listener) {
      const server = await Deno.connect({ hostname: "127.0.0.1", port: to });
      open.push(client, server);
      copy(client, server);
      copy(server, client);
    }
  })().catch(() => {});
  return {
    port: listener.addr.port,
    silence: () => void (silent = true),
    [Symbol.dispose]: () => {
      listener.close();
      for (const conn of open) conn.close();
    },
  };
}
