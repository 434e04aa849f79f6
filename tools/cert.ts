/**
 * `securechat cert` issues, shows, renews, revokes and checks certificates of servers and people.
 */

import { dirname } from "node:path";
import { makePair, pairAt, pairIn } from "../lib/ca_folder.ts";
import { type CommandSpec, parseCommand } from "../lib/command_line.ts";
import { readConfig } from "../lib/config.ts";
import { EXIT, type ExitStatus, Failure } from "../lib/errors.ts";
import { exists, shellPath, writeAtomically } from "../lib/files.ts";
import { loadAuthority, pathIn } from "../lib/identity.ts";
import { didYouMean } from "../lib/nearest.ts";
import { PROGRAM } from "../lib/program.ts";
import { printable } from "../lib/text.ts";
import { hostOf, JSON_FLAG, jsonOfMade, MAKING, makingOf, nameOf, tellMade } from "./making.ts";
import { check } from "./cert_check.ts";
import { renew } from "./cert_renew.ts";
import { revoke } from "./cert_revoke.ts";
import { show } from "./cert_show.ts";

const PARTS: Readonly<Record<string, (args: string[]) => Promise<ExitStatus>>> = {
  server: (args) => issue("server", args),
  client: (args) => issue("client", args),
  show,
  revoke,
  renew,
  check,
};

const SPEC = {
  name: "cert",
  summary: "issue, show, renew, revoke and check certificates",
  usage: `securechat cert server HOST [--san NAME]…      a server's certificate
securechat cert client NAME [--email ADDRESS]  a person's certificate
securechat cert show FILE                      what a certificate or a revocation list says
securechat cert renew FILE [--new-key]         the same certificate, valid for longer
securechat cert revoke FILE|SERIAL [--yes]     makes a certificate invalid from now on
securechat cert check LEAF [--ca FILE]         whether a certificate is valid, and every reason if not

Each has its own --help.

Examples:
  securechat cert client ada --out ada/client_cert.pem
  securechat cert check certs/server_cert.pem --host localhost --purpose server`,
  options: {},
  positionals: { min: 1, max: 1, names: "server, client, show, renew, revoke or check" },
} as const satisfies CommandSpec<Record<never, never>>;

/** Runs the command. */
export async function run(args: string[]): Promise<ExitStatus> {
  const [name, ...rest] = args;
  if (name === undefined) {
    const parts = Object.keys(PARTS).join(", ");
    throw new Failure(EXIT.usage, `cert needs one of: ${parts}; see securechat cert --help`);
  }
  const part = Object.hasOwn(PARTS, name) ? PARTS[name] : undefined;
  if (part !== undefined) return await part(rest);
  const { positionals: [word] } = parseCommand(args, SPEC);
  const unknown = word ?? "";
  throw new Failure(
    EXIT.usage,
    `unknown command cert ${printable(unknown)}${didYouMean(unknown, Object.keys(PARTS), "securechat cert --help")}`,
  );
}

// ---- server, client

const ISSUE_OPTIONS = {
  out: { type: "string", value: "FILE", describe: "file for the certificate; its key is written beside it" },
  ...MAKING,
  json: JSON_FLAG,
} as const;

const SERVER_OPTIONS = {
  san: { type: "string", value: "NAME", multiple: true, describe: "another host name or address; may be repeated" },
  ...ISSUE_OPTIONS,
} as const;

const SERVER_SPEC = {
  name: "cert server",
  summary: "issue a server's certificate",
  usage: `securechat cert server HOST [--san NAME]… [--out FILE] [--days N] [--bits N] [--certs DIR]

People can reach the server only under HOST and the names of --san. The pair is written to server_cert.pem and
server_private_key.pem in CERT_DIR, or to --out; nothing is overwritten.

Examples:
  securechat cert server localhost --san 127.0.0.1 --san ::1
  securechat cert server chat.example.org --out new/server_cert.pem`,
  options: SERVER_OPTIONS,
  settings: "cert",
  positionals: { min: 1, max: 1, names: "HOST" },
} as const satisfies CommandSpec<typeof SERVER_OPTIONS>;

const CLIENT_OPTIONS = {
  email: { type: "string", value: "ADDRESS", describe: "e-mail address in the certificate" },
  ...ISSUE_OPTIONS,
} as const;

const CLIENT_SPEC = {
  name: "cert client",
  summary: "issue a person's certificate",
  usage: `securechat cert client NAME [--email ADDRESS] [--out FILE] [--days N] [--bits N] [--certs DIR]

The pair is written to client_cert.pem and client_private_key.pem in CERT_DIR, or to --out; nothing is overwritten.
If --out is in another folder, a copy of the CA's certificate is added, so that the person needs only that folder.

Examples:
  securechat cert client ada --email ada@example.org
  securechat cert client ada --out ada/client_cert.pem     then, as ada: securechat chat --certs ada`,
  options: CLIENT_OPTIONS,
  settings: "cert",
  positionals: { min: 1, max: 1, names: "NAME" },
} as const satisfies CommandSpec<typeof CLIENT_OPTIONS>;

async function issue(role: "server" | "client", args: string[]): Promise<ExitStatus> {
  const { options, request, flags } = role === "server" ? serverRequest(args) : clientRequest(args);
  const config = readConfig("cert", flags);
  const dir = config.CERT_DIR;
  const passphraseFile = config.SECURECHAT_KEY_PASSPHRASE_FILE;
  const files = options.out === undefined ? pairIn(dir, role) : pairAt(options.out);
  const authority = await loadAuthority(dir, { passphraseFile });
  const made = await makePair(dir, authority, request, { ...await makingOf(options, passphraseFile), files });
  const folder = dirname(files.certificate);
  const authorityCopy = pathIn(folder, "ca_cert.pem");
  if (!await exists(authorityCopy)) await writeAtomically(authorityCopy, authority.certificate.pem);
  console.log(options.json ? jsonOfMade([made]) : tellMade([made]));
  console.error(`Next: ${PROGRAM} ${role === "server" ? "serve" : "chat"} --certs ${shellPath(folder)}`);
  return EXIT.done;
}

function serverRequest(args: string[]) {
  const { options, positionals: [text = ""], flags } = parseCommand(args, SERVER_SPEC);
  const name = nameOf(hostOf(text), "HOST");
  const hosts = [...new Set([name, ...options.san.map(hostOf)])];
  return { options, flags, request: { role: "server" as const, name, hosts } };
}

function clientRequest(args: string[]) {
  const { options, positionals: [name = ""], flags } = parseCommand(args, CLIENT_SPEC);
  const { email } = options;
  if (email !== undefined && !/^[\x21-\x3f\x41-\x7e]{1,64}@[\x21-\x3f\x41-\x7e]{1,189}$/.test(email)) {
    throw new Failure(EXIT.usage, `--email ${printable(email)} is not an e-mail address`);
  }
  const request = { role: "client" as const, name: nameOf(name, "NAME") };
  return { options, flags, request: email === undefined ? request : { ...request, email } };
}
