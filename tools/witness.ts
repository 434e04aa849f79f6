/**
 * `securechat witness`: a witness of other servers' logs, as a program (docs/PROTOCOL.md, "The witness"). Prints its
 * vkey, then where it listens; stops on SIGINT or SIGTERM, once the requests under way are answered.
 *
 *     $ securechat witness --name witness.example/w1 --logs friends.txt
 *     witness.example/w1+fea3b187+BBOY9ixtGkV8UbpqS189vS9p/KkyFiGNyJl+QWvRfZPK
 *     listening on http://127.0.0.1:7380
 */

import { type CommandSpec, parseCommand } from "../lib/command_line.ts";
import { readConfig } from "../lib/config.ts";
import { EXIT, type ExitStatus, Failure, messageOf } from "../lib/errors.ts";
import { HttpServer } from "../lib/http_server.ts";
import { encodeVkey } from "../lib/log_note_key.ts";
import { printable } from "../lib/text.ts";
import { listen } from "../lib/transport.ts";
import { Witness } from "../lib/witness.ts";
import { WitnessFolder } from "../lib/witness_files.ts";
import { MAX_REQUEST } from "../lib/witness_judge.ts";
import { loadPolicy } from "../lib/witness_policy_file.ts";

const SPEC = {
  name: "witness",
  summary: "cosign the logs of other servers, as a witness",
  usage: `securechat witness --name NAME --logs FILE [--listen HOST:PORT] [--data DIR]

A witness signs the newest head of a server's log only if that log continues what the witness has signed before. So a
server can't show two versions of its log, or forget one, without its witnesses. Best run by somebody else, on another
machine. FILE has a line "log VKEY" for each log; the server's operator sees the vkey with: securechat log status.
On stdout: the witness's own vkey, for the policy files of the server and of everybody who verifies; then the address.

The folder is the witness: don't delete it, don't restore it from a backup, don't use it from two machines. If it is
lost, begin again with another name.

Examples:
  securechat witness --name witness.example/w1 --logs friends.txt
  securechat witness --name witness.example/w1 --logs friends.txt --listen 0.0.0.0:7380 --data /var/lib/witness`,
  options: {},
  settings: "witness",
} as const satisfies CommandSpec<Record<never, never>>;

/** Runs a witness until it is told to stop. */
export async function run(args: string[]): Promise<ExitStatus> {
  const { flags } = parseCommand(args, SPEC);
  const { WITNESS_NAME: name, WITNESS_LOGS: logs, WITNESS_LISTEN: address, WITNESS_DATA } = readConfig(
    "witness",
    flags,
  );
  if (name === undefined) throw missing("a witness has a name for all time: --name witness.example/w1");
  if (logs === undefined) throw missing("the file with the logs that it cosigns is missing: --logs FILE");
  const policy = await loadPolicy(logs);
  if (policy.logs.length === 0) {
    throw new Failure(EXIT.usage, `${logs} has no log line: "log VKEY" names a log to cosign`);
  }
  using folder = await WitnessFolder.open(WITNESS_DATA);
  const tell = (sentence: string) => console.error(printable(sentence));
  const witness = await Witness.open({ folder, name, policy, now: Date.now, tell });
  const listener = listen(address.host, address.port, "--listen");
  const server = new HttpServer(listener, {
    maxBody: MAX_REQUEST,
    answer: (request) => witness.answer(request),
    failed: (error) => tell(`a request failed: ${messageOf(error)}`),
  });
  const stopped = stopSignal();
  console.log(encodeVkey(witness.key));
  console.log(`listening on http://${hostOf(listener.addr.hostname)}:${listener.addr.port}`);
  tell(`${witness.logCount} log${witness.logCount === 1 ? "" : "s"} known; data in ${WITNESS_DATA}`);
  await stopped;
  await server.close();
  return EXIT.done;
}

function missing(what: string): Failure {
  return new Failure(EXIT.usage, `${what}; see securechat witness --help`);
}

const hostOf = (host: string) => host.includes(":") ? `[${host}]` : host;

/** Resolves when the program is to stop. Windows has only SIGINT and SIGBREAK. */
function stopSignal(): Promise<void> {
  const signals: Deno.Signal[] = Deno.build.os === "windows" ? ["SIGINT", "SIGBREAK"] : ["SIGINT", "SIGTERM"];
  return new Promise((resolve) => {
    for (const signal of signals) Deno.addSignalListener(signal, resolve);
  });
}
