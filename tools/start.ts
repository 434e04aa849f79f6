/**
 * `securechat start`: `init` where there are no certificates yet, then `serve` on the embedded store, and the line that
 * a second terminal wants. For trying it out; a server that is to stay is run with `securechat serve`.
 */

import { parseCommand, PROGRAM, readConfig } from "../lib/config.ts";
import { EXIT, type ExitStatus } from "../lib/errors.ts";

const SPEC = {
  name: "start",
  summary: "make certificates where there are none, and serve on the embedded store",
  usage: `securechat start [FLAGS]

Examples:
  securechat start
  securechat start --port 5001 --certs /tmp/try/certs --data /tmp/try/data`,
  options: {},
  settings: "serve",
} as const;

/** Runs the command. */
export async function run(args: string[]): Promise<ExitStatus> {
  const { flags } = parseCommand(args, SPEC);
  const { CERT_DIR, SERVER_PORT } = readConfig("serve", flags);
  if (!await exists(`${CERT_DIR}/server_cert.pem`)) {
    const status = await (await import("./init.ts")).run([`--certs=${CERT_DIR}`], { tellsNext: false });
    if (status !== EXIT.done) return status;
  }
  const elsewhere = [SERVER_PORT === 5000 ? "" : ` --port ${SERVER_PORT}`, flags.certs ? ` --certs ${CERT_DIR}` : ""];
  if (SERVER_PORT !== 0) console.error(`In a second terminal: ${PROGRAM} rooms --register${elsewhere.join("")}`);
  return await (await import("./serve.ts")).run(flags.db === undefined ? ["--db=sqlite", ...args] : args);
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
