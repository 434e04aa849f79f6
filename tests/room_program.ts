/** `securechat rooms` as a process, fed by hand and read as it speaks, and a place where a server and people are. */

import { exists } from "../lib/files.ts";
import { encodePrivateKey } from "../lib/private_key.ts";
import type { ShownEvent } from "../lib/client_command.ts";
import { assert } from "./assert.ts";
import { writeCertificates } from "./certificate_folder.ts";
import {
  cleanEnvironment,
  type Ended,
  freePort,
  program,
  run,
  type RunningServer,
  startServer,
  temporaryFolder,
} from "./environment.ts";
import { authority, key } from "./fixtures.ts";
import { personIdentity } from "./room_bench.ts";

const PASSWORD = "correct horse battery";
const PATIENCE = 30_000;

/** A folder with a running server and people who have certificates. */
export class World implements AsyncDisposable {
  readonly #folder: ReturnType<typeof temporaryFolder>;
  /** Where people connect to. */
  tlsPort: string;
  readonly server: RunningServer;
  readonly #known = new Set<string>();

  private constructor(folder: ReturnType<typeof temporaryFolder>, tlsPort: string, server: RunningServer) {
    this.#folder = folder;
    this.tlsPort = tlsPort;
    this.server = server;
  }

  /** `prepare` does more to the server's CERT_DIR. */
  static async create(prepare: (certs: string) => Promise<unknown> = () => Promise.resolve()): Promise<World> {
    const folder = temporaryFolder();
    await writeCertificates(`${folder.path}/certs`);
    await prepare(`${folder.path}/certs`);
    await Deno.writeTextFile(`${folder.path}/password`, `${PASSWORD}\n`, { mode: 0o600 });
    const tlsPort = String(freePort());
    return new World(folder, tlsPort, await startServer(["--tls-port", tlsPort], { cwd: folder.path }));
  }

  get path(): string {
    return this.#folder.path;
  }

  /** The command line with which somebody comes in; the first time as a new account. */
  async args(name: string, ...more: string[]): Promise<string[]> {
    const isNew = !this.#known.has(name);
    this.#known.add(name);
    if (isNew && !await exists(`${this.path}/${name}`)) await this.certify(name, (await personIdentity(name)).pem);
    const who = isNew ? ["--register", "--username", name, "--email", `${name}@example.org`] : [];
    const where = ["--host", "localhost", "--tls-port", this.tlsPort, "--certs", name, "--transcripts"];
    return ["rooms", ...where, `${name}/kept`, ...who, ...more];
  }

  /** Gives somebody a certificate, of the key that is made for that name. */
  async certify(name: string, pem: string): Promise<void> {
    const dir = `${this.path}/${name}`;
    await Deno.mkdir(dir);
    await Deno.writeTextFile(`${dir}/ca_cert.pem`, (await authority()).certificate.pem);
    await Deno.writeTextFile(`${dir}/client_cert.pem`, pem);
    const random = (size: number) => crypto.getRandomValues(new Uint8Array(size));
    const text = await encodePrivateKey(await key(`person ${name} `), undefined, random);
    await Deno.writeTextFile(`${dir}/client_private_key.pem`, text, { mode: 0o600 });
  }

  /** A client that goes on, fed by hand. */
  async start(name: string, ...more: string[]): Promise<Client> {
    const { command, args } = program(...await this.args(name, ...more));
    return new Client([command, ...args], this.path);
  }

  /** A client that is fed once and ends. */
  async run(name: string, stdin: string, ...more: string[]): Promise<Ended> {
    return await run(await this.args(name, ...more), { cwd: this.path, env: ENVIRONMENT, stdin });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]();
    this.#folder[Symbol.dispose]();
  }
}

const ENVIRONMENT = { SECURECHAT_PASSWORD_FILE: "password", TERM: "dumb" };

/** A program whose lines are read as they come. */
export class Client implements AsyncDisposable {
  readonly lines: string[] = [];
  readonly #events: ShownEvent[] = [];
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #read: Promise<void>;
  #changed = Promise.withResolvers<void>();

  constructor([command = "", ...args]: readonly string[], cwd: string, more: Readonly<Record<string, string>> = {}) {
    const env = cleanEnvironment({ ...ENVIRONMENT, ...more });
    const pipes = { stdin: "piped", stdout: "piped", stderr: "inherit" } as const;
    this.#child = new Deno.Command(command, { args, cwd, env, clearEnv: true, ...pipes }).spawn();
    this.#input = this.#child.stdin.getWriter();
    this.#read = this.#readAll();
  }

  async #readAll(): Promise<void> {
    let rest = "";
    const decoder = new TextDecoder();
    for await (const chunk of this.#child.stdout) {
      const parts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = parts.pop() ?? "";
      this.lines.push(...parts);
      this.#changed.resolve();
      this.#changed = Promise.withResolvers();
    }
  }

  /** Of a client that speaks JSON. */
  get events(): readonly ShownEvent[] {
    for (const line of this.lines.slice(this.#events.length)) this.#events.push(JSON.parse(line));
    return this.#events;
  }

  async type(line: string | object): Promise<void> {
    const text = typeof line === "string" ? line : JSON.stringify(line);
    await this.#input.write(new TextEncoder().encode(`${text}\n`));
  }

  /** Waits until a line holds this, or the lines are so. */
  async until(what: string | RegExp | ((client: Client) => boolean)): Promise<void> {
    const holds = typeof what === "function"
      ? what
      : () => this.lines.some((line) => typeof what === "string" ? line.includes(what) : what.test(line));
    const end = performance.now() + PATIENCE;
    while (!holds(this)) {
      assert.ok(performance.now() < end, `${what} didn't come, but:\n${this.lines.join("\n")}`);
      const late = Promise.withResolvers<void>();
      const timer = setTimeout(late.resolve, 500);
      await Promise.race([this.#changed.promise, late.promise]);
      clearTimeout(timer);
    }
  }

  /** Closes its input and waits for its end. */
  async end(): Promise<number> {
    await this.#input.close().catch(() => {});
    await this.#read;
    return (await this.#child.status).code;
  }

  kill(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.#input.close().catch(() => {});
    await this.#read;
    await this.#child.status;
  }
}

/** The events of a type that a client has told as JSON. */
export function ofType<T extends ShownEvent["event"]>(client: Client, type: T): (ShownEvent & { event: T })[] {
  return client.events.filter((event): event is ShownEvent & { event: T } => event.event === type);
}
