/** `securechat cert renew`: issues a certificate again. */

import type { Authority } from "../lib/ca.ts";
import { CA_DAYS, CERTIFICATE_DAYS, type Pair, pairAt, renew as renewPair } from "../lib/ca_folder.ts";
import { type CommandSpec, parseCommand } from "../lib/command_line.ts";
import { readConfig } from "../lib/config.ts";
import { EXIT, type ExitStatus, Failure } from "../lib/errors.ts";
import { exists } from "../lib/files.ts";
import { loadAuthority, loadIssuer, type PassphraseOptions, pathIn } from "../lib/identity.ts";

import { formatTime } from "../lib/time_text.ts";
import { type Certificate } from "../lib/x509.ts";
import { bitsOf, daysOf, JSON_FLAG, jsonOfMade, MAKING, tellMade } from "./making.ts";
import { mustBeOurs, readLeaf } from "./cert_files.ts";

const RENEW_OPTIONS = {
  "new-key": { type: "boolean", describe: "make a new key as well" },
  days: MAKING.days,
  bits: { type: "string", value: "N", describe: "size of the new key: 2048, 3072 or 4096 [2048]" },
  json: JSON_FLAG,
} as const;

const RENEW_SPEC = {
  name: "cert renew",
  summary: "issue a certificate again, for the same name and hosts",
  usage: `securechat cert renew FILE [--new-key] [--days N] [--bits N] [--certs DIR]

The old files are kept beside it, with .old in their names. The old certificate stays valid until it expires, unless you
revoke it. If the old key is protected, a new key gets the same passphrase. A running server reads its renewed
certificate by itself.

Examples:
  securechat cert renew certs/server_cert.pem
  securechat cert renew ada/client_cert.pem --new-key --days 90`,
  options: RENEW_OPTIONS,
  settings: "cert",
  positionals: { min: 1, max: 1, names: "FILE" },
} as const satisfies CommandSpec<typeof RENEW_OPTIONS>;

/** The command. */
export async function renew(args: string[]): Promise<ExitStatus> {
  const { options, positionals: [path = ""], flags } = parseCommand(args, RENEW_SPEC);
  const config = readConfig("cert", flags);
  const passphraseFile = config.SECURECHAT_KEY_PASSPHRASE_FILE;
  const old = await readLeaf(path);
  const files: Pair = pairAt(path);
  if (!await exists(files.key)) throw new Failure(EXIT.usage, `File not found: ${files.key}, the key of ${path}`);
  const authority = await issuerOf(config.CERT_DIR, old, { passphraseFile });
  await mustBeOurs(path, old, authority);
  const made = await renewPair(config.CERT_DIR, authority, old, {
    files,
    days: daysOf("--days", options.days) ?? (old.isAuthority ? CA_DAYS : CERTIFICATE_DAYS),
    newKey: options["new-key"] ? bitsOf(options.bits) : undefined,
    passphraseFile,
  });
  console.log(options.json ? jsonOfMade([made], { replaces: old.serial }) : tellMade([made]));
  console.error(`The old one, serial number ${old.serial}, stays valid until ${formatTime(old.notAfter)}.`);
  if (old.isAuthority && old.authorityCertificate !== undefined) {
    console.error(
      "Some tools issue certificates that name the old one by its serial number; these need the old one: " +
        `keep it after the new one in ${path} until they expire.`,
    );
  }
  return EXIT.done;
}

/** The CA of CERT_DIR, or the issuing CA if that issued the certificate. */
async function issuerOf(dir: string, { issuerName }: Certificate, options: PassphraseOptions): Promise<Authority> {
  const path = pathIn(dir, "issuing_cert.pem");
  const isIssuing = await exists(path) && (await readLeaf(path)).subjectName === issuerName;
  return isIssuing && await loadIssuer(dir, options) || await loadAuthority(dir, options);
}
