/**
 * `securechat init` makes everything that a first server and a first person need: a CA, an issuing CA below it, a server's
 * certificate and a client's. It makes all of them or none, and overwrites nothing. The server signs the certificates of
 * invited people with the issuing CA, so ca_private_key.pem can be kept elsewhere.
 */

import { CA_DAYS, makeAuthority, makeIssuer, makePair, mustBeFree, pairIn } from "../lib/ca_folder.ts";
import { type CommandSpec, parseCommand } from "../lib/command_line.ts";
import { readConfig } from "../lib/config.ts";
import { EXIT, type ExitStatus } from "../lib/errors.ts";
import { shellPath } from "../lib/files.ts";
import { PROGRAM } from "../lib/program.ts";
import { hostOf, JSON_FLAG, jsonOfMade, MAKING, makingOf, nameOf, ownName, tellMade } from "./making.ts";

const OPTIONS = {
  name: { type: "string", value: "NAME", describe: "name of the CA [a unique one, with the first HOST in it]" },
  client: { type: "string", value: "NAME", describe: "name in the first client's certificate [client]" },
  ...MAKING,
  json: JSON_FLAG,
} as const;

const SPEC = {
  name: "init",
  summary: "make two CAs, a server certificate and a first client certificate",
  usage: `securechat init [HOST…] [--certs DIR] [--client NAME] [--name NAME] [--days N] [--bits N] [--passphrase]

The CA signs the issuing CA below it, with which the server signs the certificates of invited people; so
ca_private_key.pem can be kept elsewhere. Every HOST, a name or an address, goes into the server's certificate: people
can reach the server only under these. By default they are localhost and 127.0.0.1. Nothing is overwritten.

Examples:
  securechat init
  securechat init chat.example.org 192.0.2.7 --client ada
  securechat init --certs /etc/securechat --passphrase-file /root/passphrase`,
  options: OPTIONS,
  settings: "init",
  positionals: { min: 0, max: 100, names: "HOST" },
} as const satisfies CommandSpec<typeof OPTIONS>;

/** Runs the command. `tellsNext`: prints the next steps; `tells`: prints anything at all. */
export async function run(args: string[], { tells = true, tellsNext = true } = {}): Promise<ExitStatus> {
  const { options, positionals, flags } = parseCommand(args, SPEC);
  const config = readConfig("init", flags);
  const dir = config.CERT_DIR;
  const hosts = positionals.length > 0 ? [...new Set(positionals.map(hostOf))] : ["localhost", "127.0.0.1"];
  const client = nameOf(options.client ?? "client", "the client's name");
  const server = nameOf(hosts[0] ?? "localhost", "the first HOST");
  const name = nameOf(options.name ?? ownName("ca", server), "the CA's name");
  await mustBeFree((["ca", "issuing", "server", "client"] as const).map((role) => pairIn(dir, role)));

  const making = await makingOf(options, config.SECURECHAT_KEY_PASSPHRASE_FILE);
  const authority = await makeAuthority(dir, name, { ...making, days: Math.max(CA_DAYS, making.days) });
  const made = [
    authority.made,
    await makeIssuer(dir, authority, ownName("issuing", server), { ...making, days: Math.max(CA_DAYS, making.days) }),
    await makePair(dir, authority, { role: "server", name: server, hosts }, making),
    await makePair(dir, authority, { role: "client", name: client }, making),
  ];
  const next = `${PROGRAM} serve${dir === "certs" ? "" : ` --certs ${shellPath(dir)}`}`;
  if (tells) console.log(options.json ? jsonOfMade(made, { next }) : tellMade(made));
  if (tells && tellsNext) console.error(`Next: ${next}`);
  return EXIT.done;
}
