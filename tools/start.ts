/**
 * `securechat start NAME…`: everything for a first conversation. It makes certificates where there are none, makes the
 * room #general, serves, and prints what each person has to run. A server that is to stay is run with `securechat
 * serve`.
 *
 *     $ securechat start alice bob
 *     [*] TLS on 0.0.0.0:5001
 *       alice  securechat join sc2.q6urq…@localhost
 *       bob    securechat join sc2.wcHBw…@localhost
 */

import { encodeHex } from "../lib/bytes.ts";
import { parseCommand } from "../lib/command_line.ts";
import { type Config, readConfig } from "../lib/config.ts";
import { encodeCodeToken } from "../lib/code_token.ts";
import { EXIT, type ExitStatus } from "../lib/errors.ts";
import { exists, shellWord } from "../lib/files.ts";
import { loadChain, pathIn } from "../lib/identity.ts";
import { encodeOrigin } from "../lib/log_line.ts";
import { PROGRAM } from "../lib/program.ts";
import { openServersStore } from "../lib/store_open.ts";
import { makeInvitation, mustBeInvitable } from "./invitation.ts";
import { hostOf } from "./making.ts";

const SPEC = {
  name: "start",
  summary: "try it out: certificates if needed, a server, and a join command for each NAME",
  usage: `securechat start [NAME…] [--as HOST] [FLAGS]

Makes a CA and certificates if there are none, makes the room #general, serves over TLS, and prints the command with
which each NAME joins. The port without TLS is open only on this machine. Accounts are kept in the embedded database.

Examples:
  securechat start alice bob
  securechat start alice bob --as chat.example.org`,
  options: {
    as: {
      type: "string",
      value: "HOST",
      describe: "name or address under which others reach this machine [the first name of its certificate]",
    },
  },
  positionals: { min: 0, max: 100, names: "NAME" },
  settings: "serve",
} as const;

const GENERAL = "#general";

/** Runs the command. */
export async function run(args: string[]): Promise<ExitStatus> {
  const { options, positionals: names, flags } = parseCommand(args, SPEC);
  const config = readConfig("serve", flags);
  for (const name of names) mustBeInvitable("start", name);
  const host = options.as === undefined ? undefined : hostOf(options.as);
  if (!await exists(pathIn(config.CERT_DIR, "server_cert.pem"))) {
    const hosts = host === undefined ? [] : [...new Set([host, "localhost", "127.0.0.1"])];
    const made = await (await import("./init.ts")).run([...hosts, `--certs=${config.CERT_DIR}`], { tells: false });
    if (made !== EXIT.done) return made;
    console.error(`Made a CA and certificates in ${config.CERT_DIR}.`);
  }
  const own = Object.entries(flags).map(([flag, value]) => value === "" ? `--${flag}` : `--${flag}=${value}`);
  const defaults = [
    ...("db" in flags ? [] : ["--db=sqlite"]),
    ...("plain-host" in flags ? [] : ["--plain-host=127.0.0.1"]),
  ];
  return await (await import("./serve.ts")).run([...defaults, ...own], async (config) => {
    await makeGeneral(config);
    await invite(names, host, config);
  });
}

/** The room in which everybody meets; whoever joins it first owns it. */
async function makeGeneral(config: Config): Promise<void> {
  const chain = await loadChain(pathIn(config.CERT_DIR, "server_cert.pem"), "the server's certificate is gone");
  const server = chain[0]?.hostNames?.dnsNames[0] ?? "localhost";
  const id = encodeHex(crypto.getRandomValues(new Uint8Array(16)));
  const origin = encodeOrigin({ server, room: GENERAL, id });
  const store = await openServersStore(config);
  try {
    if (await store.rooms.findRoom(GENERAL)) return;
    await store.rooms.createRoom({ name: GENERAL, origin, history: "all", inviteOnly: false, createdAt: Date.now() });
  } finally {
    await store.close();
  }
}

async function invite(names: readonly string[], host: string | undefined, config: Config): Promise<void> {
  const rows: string[] = [];
  const width = Math.max(...names.map((name) => name.length));
  for (const name of new Set(names)) {
    const row = await isHere(name, config)
      ? `has joined already: ${PROGRAM} rooms`
      : `${PROGRAM} join ${shellWord(encodeCodeToken((await makeInvitation(name, { host }, config)).token))}`;
    rows.push(`  ${name.padEnd(width)}  ${row}`);
  }
  if (rows.length > 0) {
    console.log(`Send each person their line. Whoever uses it first becomes that person.\n${rows.join("\n")}`);
  } else console.log(`To invite somebody: ${PROGRAM} invite NAME`);
  console.log(`Everybody meets in ${GENERAL}. Ctrl-C stops the server.`);
}

async function isHere(name: string, config: Config): Promise<boolean> {
  const store = await openServersStore(config);
  try {
    return await store.rooms.isAccount(name);
  } finally {
    await store.close();
  }
}
