/**
 * `securechat serve`: the server as a program. Prints on stdout where it listens once it does, logs on stderr and in a
 * file, stops gracefully on SIGINT or SIGTERM and at once on a second one.
 */

import { type CommandSpec, parseCommand } from "../lib/command_line.ts";
import { type Config, readConfig } from "../lib/config.ts";
import { useEngine } from "../lib/engine.ts";
import { EXIT, type ExitStatus, Failure } from "../lib/errors.ts";
import { shellPath } from "../lib/files.ts";
import { listenForHangup } from "../lib/hangup.ts";
import { openLibcrypto } from "../lib/libcrypto.ts";
import { openLog } from "../lib/logging.ts";
import { returnLargeBlocks } from "../lib/libc.ts";
import { PROGRAM } from "../lib/program.ts";
import { forgetListening, noteListening } from "../lib/server_listening.ts";
import { serve } from "../server.ts";

const SPEC = {
  name: "serve",
  summary: "run the chat server",
  usage: `securechat serve [--host ADDRESS] [--port PORT] [--certs DIR] [--data DIR] [--db URL]

Examples:
  securechat serve                                   on port 5000, accounts in data/securechat.db
  securechat serve --port 0                          on a port that the system chooses, and prints
  securechat serve --db mysql://chat@db.example/chat accounts in MySQL or MariaDB (password: DB_PASSWORD)

A first SIGINT or SIGTERM, or closing its terminal, stops it: it accepts no new connections, writes receipts for the open
sessions, and ends. A second one ends it at once; the next start then closes those sessions from their journals. SIGHUP
doesn't stop it: it reopens the log file and reads certificates again.`,
  options: {},
  settings: "serve",
} as const satisfies CommandSpec<Record<never, never>>;

/** Runs a server until it is told to stop. `listening` is called once it listens. */
export async function run(args: string[], listening?: (config: Config) => Promise<void>): Promise<ExitStatus> {
  const { flags } = parseCommand(args, SPEC);
  const config = readConfig("serve", flags);
  await offerCertificates(config.CERT_DIR);
  returnLargeBlocks(); // before the first password is hashed
  useEngine(openLibcrypto());
  if (Deno.build.os !== "windows") Deno.umask(0o077); // LogTape's new files, after a rotation, have no mode of their own
  const log = await openLog({
    level: config.LOG_LEVEL,
    file: config.LOG_FILE,
    maxBytes: config.LOG_MAX_BYTES,
    maxFiles: config.LOG_FILES,
  });
  try {
    const server = await serve({ config, log });
    const stopped = new Promise<void>((resolve) => {
      let signals = 0;
      const stop = () => {
        signals += 1;
        if (signals === 1) void server.stop().then(resolve);
        else resolve(server.abort());
      };
      onStopSignals(stop);
      // A terminal that is closed hangs up more than once, and means no hurry by it.
      listenForHangup((reason) => {
        if (reason === "terminal closed") return signals === 0 && stop();
        // Somebody has moved the log away, or renewed a certificate: `kill -HUP`, as logrotate does.
        log.reopen().then(() => server.reload()).catch((error) => log.error(String(error)));
      });
    });
    if (server.port !== 0) {
      const address = addressOf(server.host, server.port);
      // The seed's line is the first, as it was: programs wait for it.
      console.log(`[*] Secure Chat Server listening on ${address}`);
      log.info("listening", { address });
    }
    if (server.tlsPort !== undefined) {
      const address = addressOf(config.SERVER_HOST, server.tlsPort);
      console.log(`[*] TLS on ${address}`);
      log.info("listening for TLS", { address });
      await noteListening(config.DATA_DIR, { host: config.SERVER_HOST, tlsPort: server.tlsPort });
    }
    if (server.port !== 0 && !/^(?:127\.|localhost$|::1$)/.test(server.host)) {
      console.error("The first port takes clients without TLS; turn it off with --plain-host off (PLAIN_HOST=off).");
    }
    await listening?.(config);
    await stopped;
    await forgetListening(config.DATA_DIR);
    return EXIT.done;
  } finally {
    await log.close();
  }
}

function addressOf(host: string, port: number): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** Windows has only SIGINT and SIGBREAK. */
function onStopSignals(stop: () => void): void {
  const signals: Deno.Signal[] = Deno.build.os === "windows" ? ["SIGINT", "SIGBREAK"] : ["SIGINT", "SIGTERM"];
  for (const signal of signals) Deno.addSignalListener(signal, stop);
}

/** Without certificates there is no server: on a terminal they can be made at once. */
async function offerCertificates(dir: string): Promise<void> {
  if (await exists(`${dir}/server_cert.pem`)) return;
  const missing = new Failure(
    EXIT.usage,
    `certificate not found: there is no ${dir}/server_cert.pem; make certificates with: ${PROGRAM} init` +
      (dir === "certs" ? "" : ` --certs ${shellPath(dir)}`),
  );
  if (!Deno.stdin.isTerminal()) throw missing;
  const { askLine } = await import("../lib/terminal.ts");
  const answer = await askLine(
    `There are no certificates in ${dir}. Make a CA and certificates for localhost now? [y/N] `,
  );
  if (!/^y(?:es)?$/i.test(answer.trim())) throw missing;
  const made = await (await import("./init.ts")).run(["--certs", dir], { tellsNext: false });
  if (made !== EXIT.done) throw missing;
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
