/**
 * `securechat ca` makes a CA, `securechat ca issuing` an issuing CA below it, and `securechat ca crl` renews their
 * revocation lists.
 */

import { CA_DAYS, makeAuthority, makeIssuer, revokers, signRevocationList } from "../lib/ca_folder.ts";
import { type CommandSpec, parseCommand } from "../lib/command_line.ts";
import { readConfig } from "../lib/config.ts";
import { EXIT, type ExitStatus, Failure } from "../lib/errors.ts";
import { didYouMean } from "../lib/nearest.ts";
import { PROGRAM } from "../lib/program.ts";
import { printable } from "../lib/text.ts";
import { shellPath } from "../lib/files.ts";
import { encodeJson } from "../lib/json.ts";
import { loadAuthority } from "../lib/identity.ts";
import { formatTime } from "../lib/time_text.ts";
import { daysOf, JSON_FLAG, jsonOfMade, MAKING, makingOf, nameOf, ownName, tellMade } from "./making.ts";

const OPTIONS = {
  name: { type: "string", value: "NAME", describe: "name of the CA [a unique one, with a random end]" },
  ...MAKING,
  "crl-days": { type: "string", value: "N", describe: "days until the list expires [when the CA does]" },
  json: JSON_FLAG,
} as const;

const SPEC = {
  name: "ca",
  summary: "make a CA or an issuing CA, or renew its revocation list",
  usage: `securechat ca [--name NAME] [--days N] [--bits N] [--passphrase] [--certs DIR]
securechat ca issuing [--name NAME] [--days N] [--bits N] [--passphrase] [--certs DIR]
securechat ca crl [--crl-days N] [--certs DIR]

The CA is written to ca_cert.pem and ca_private_key.pem; nothing is overwritten. "ca issuing" makes an issuing CA below
it, with which a server signs the certificates of invited people after its next start; init makes one, too. "ca crl"
gives crl.pem, and issuing_crl.pem of an issuing CA, a new date and signature: while a list is expired, nobody can
connect. Revoked certificates stay revoked: a lost list is made again from revoked.txt.

Examples:
  securechat ca --name "Example Chat CA" --bits 4096
  securechat ca crl --crl-days 30`,
  options: OPTIONS,
  settings: "ca",
  positionals: { min: 0, max: 1, names: "crl or issuing" },
} as const satisfies CommandSpec<typeof OPTIONS>;

/** Runs the command. */
export async function run(args: string[]): Promise<ExitStatus> {
  const { options, positionals: [word], flags } = parseCommand(args, SPEC);
  const config = readConfig("ca", flags);
  const dir = config.CERT_DIR;
  if (word !== undefined && word !== "crl" && word !== "issuing") {
    throw new Failure(
      EXIT.usage,
      `unknown command ca ${printable(word)}${didYouMean(word, ["crl", "issuing"], "securechat ca --help")}`,
    );
  }
  if (word === "crl") {
    const days = daysOf("--crl-days", options["crl-days"]);
    for (const authority of await revokers(dir, { passphraseFile: config.SECURECHAT_KEY_PASSPHRASE_FILE })) {
      const { path, nextUpdate, revoked } = await signRevocationList(dir, authority, { days });
      console.log(
        options.json
          ? encodeJson({ file: path, next_update: formatTime(nextUpdate), revoked })
          : `${path}\n  ${revoked} revoked, valid until ${formatTime(nextUpdate)}`,
      );
    }
    return EXIT.done;
  }
  const making = await makingOf(options, config.SECURECHAT_KEY_PASSPHRASE_FILE, CA_DAYS);
  if (word === "issuing") {
    const root = await loadAuthority(dir, { passphraseFile: config.SECURECHAT_KEY_PASSPHRASE_FILE });
    const made = await makeIssuer(dir, root, nameOf(options.name ?? ownName("issuing"), "the CA's name"), making);
    console.log(options.json ? jsonOfMade([made]) : tellMade([made]));
    return EXIT.done;
  }
  const { made } = await makeAuthority(dir, nameOf(options.name ?? ownName("ca"), "the CA's name"), making);
  console.log(options.json ? jsonOfMade([made]) : tellMade([made]));
  console.error(`Next: ${PROGRAM} cert server localhost${dir === "certs" ? "" : ` --certs ${shellPath(dir)}`}`);
  return EXIT.done;
}
