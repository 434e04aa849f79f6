/**
 * Witnesses that others wrote, started for a test: litewitness, and omniwitness with a key of either kind. And Go's
 * libraries for notes and trees, asked through `tests/go`.
 */

import { DatabaseSync } from "node:sqlite";
import { cleanEnvironment, freePort, temporaryFolder } from "./environment.ts";
import { EMPTY_ROOT } from "../lib/log_tree.ts";
import { encodeBase64 } from "../lib/bytes.ts";
import { parseVkey } from "../lib/log_note_key.ts";

/** A witness that runs. */
export interface RealWitness extends AsyncDisposable {
  readonly vkey: string;
  readonly url: string;
}

/** A litewitness that knows one log. */
export async function startLitewitness(name: string, logVkey: string): Promise<RealWitness> {
  const folder = temporaryFolder();
  const at = (file: string) => `${folder.path}/${file}`;
  const agent = spawn("ssh-agent", ["-D", "-a", at("agent.sock")]);
  await until(() => exists(at("agent.sock")));
  await output("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", at("key")]);
  await output("ssh-add", ["-q", at("key")], { SSH_AUTH_SOCK: at("agent.sock") });
  const [, fingerprint = ""] = /(SHA256:\S+)/.exec(await output("ssh-keygen", ["-lf", at("key")])) ?? [];
  const origin = parseVkey(logVkey)?.name ?? "";
  const database = new DatabaseSync(at("litewitness.db"));
  database.exec("CREATE TABLE log (origin TEXT PRIMARY KEY, tree_size INTEGER NOT NULL, tree_hash TEXT NOT NULL)");
  database.exec(
    "CREATE TABLE key (origin TEXT NOT NULL, key TEXT NOT NULL, FOREIGN KEY(origin) REFERENCES log(origin))",
  );
  database.prepare("INSERT INTO log VALUES (?, 0, ?)").run(origin, encodeBase64(EMPTY_ROOT));
  database.prepare("INSERT INTO key VALUES (?, ?)").run(origin, logVkey);
  database.close();
  const port = freePort();
  const witness = spawn("litewitness", [
    ...["-name", name, "-db", at("litewitness.db"), "-ssh-agent", at("agent.sock")],
    ...["-key", fingerprint, "-listen", `127.0.0.1:${port}`],
  ]);
  await until(() => witness.stderr().includes("vkey=") && connects(port));
  const [, vkey = ""] = /vkey="?([^"\s]+)/.exec(witness.stderr()) ?? [];
  return running(vkey, port, [witness, agent], folder);
}

/** An omniwitness that knows one log; its key is Ed25519, or ML-DSA-44. */
export async function startOmniwitness(name: string, logVkey: string, mlDsa = false): Promise<RealWitness> {
  const folder = temporaryFolder();
  const at = (file: string) => `${folder.path}/${file}`;
  const keys = ["--origin", name, "--out_priv", at("key"), "--out_pub", at("pub"), ...mlDsa ? ["--mldsa"] : []];
  await output("generate_keys", keys);
  const origin = parseVkey(logVkey)?.name ?? "";
  const log =
    `Logs:\n  - Origin: ${origin}\n    URL: http://127.0.0.1:1\n    PublicKey: ${logVkey}\n    Feeder: none\n`;
  Deno.writeTextFileSync(at("logs.yaml"), log);
  const port = freePort();
  const witness = spawn("omniwitness", [
    ...["--listen", `127.0.0.1:${port}`, "--metrics_listen", "", "--public_witness_config_url", ""],
    ...["--private_key_path", at("key"), "--additional_logs", at("logs.yaml"), "--db_file", at("witness.db")],
  ]);
  await until(() => connects(port));
  return running(Deno.readTextFileSync(at("pub")).trim(), port, [witness], folder);
}

interface Child {
  readonly process: Deno.ChildProcess;
  stderr(): string;
}

function spawn(command: string, args: readonly string[]): Child {
  const process = new Deno.Command(command, {
    ...{ args: [...args], env: cleanEnvironment(), clearEnv: true, stdin: "null", stdout: "null", stderr: "piped" },
  }).spawn();
  let text = "";
  const decoder = new TextDecoder();
  void (async () => {
    for await (const chunk of process.stderr) text += decoder.decode(chunk, { stream: true });
  })();
  return { process, stderr: () => text };
}

function running(vkey: string, port: number, children: readonly Child[], folder: Disposable): RealWitness {
  return {
    vkey,
    url: `http://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: async () => {
      for (const { process } of children) process.kill("SIGKILL");
      await Promise.all(children.map(({ process }) => process.status));
      folder[Symbol.dispose]();
    },
  };
}

async function output(
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  const { code, stdout, stderr } = await new Deno.Command(command, {
    ...{ args: [...args], env: cleanEnvironment(env), clearEnv: true, stdin: "null" },
  }).output();
  if (code !== 0) throw new Error(`${command} ended with ${code}: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}

/** Resolves once that is so; an error after half a minute. */
async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let turn = 0; !await holds(); turn++) {
    if (turn === 600) throw new Error("a program that the test needs didn't start");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function connects(port: number): Promise<boolean> {
  return await Deno.connect({ hostname: "127.0.0.1", port }).then((conn) => (conn.close(), true), () => false);
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path) !== undefined;
  } catch {
    return false;
  }
}

/** What Go's libraries answer to a question; `tests/go/main.go` says which there are. */
export async function askGo(
  question: unknown,
): Promise<{ signers?: string[]; body?: string; size?: number; error?: string }> {
  const child = new Deno.Command("gopeer", { stdin: "piped", stdout: "piped", stderr: "inherit" }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(JSON.stringify(question)));
  await writer.close();
  const { stdout } = await child.output();
  return JSON.parse(new TextDecoder().decode(stdout));
}
