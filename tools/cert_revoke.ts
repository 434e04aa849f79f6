/** `securechat cert revoke`: adds a certificate to the revocation list of its CA. */

import type { Authority } from "../lib/ca.ts";
import { findIssued, type Issued, revokedAt, revokers, signRevocationList } from "../lib/ca_folder.ts";
import { type CommandSpec, parseCommand } from "../lib/command_line.ts";
import { readConfig } from "../lib/config.ts";
import { EXIT, type ExitStatus, Failure } from "../lib/errors.ts";
import { exists } from "../lib/files.ts";
import { encodeAsciiJson } from "../lib/json.ts";
import { shortName } from "../lib/text.ts";
import { formatTime } from "../lib/time_text.ts";
import { daysOf, JSON_FLAG } from "./making.ts";
import { inQuotes, mustBeOurs, readLeaf } from "./cert_files.ts";

const REVOKE_OPTIONS = {
  yes: { type: "boolean", short: "y", describe: "don't ask" },
  "crl-days": { type: "string", value: "N", describe: "days until the new list expires [when the CA does]" },
  json: JSON_FLAG,
} as const;

const REVOKE_SPEC = {
  name: "cert revoke",
  summary: "revoke a certificate",
  usage: `securechat cert revoke FILE|SERIAL [--yes] [--certs DIR]

Shows the certificate, asks, and writes the revocation list of the CA that issued it: crl.pem, or issuing_crl.pem of an
issuing CA. A running server reads it by itself; clients and auditors need the new list, too. A serial number may have
colons, as OpenSSL writes it.

Examples:
  securechat cert revoke ada/client_cert.pem
  securechat cert revoke 5f1c0b9e4a7d22d08c3a6b51e0f4978d --yes`,
  options: REVOKE_OPTIONS,
  settings: "cert",
  positionals: { min: 1, max: 1, names: "FILE or SERIAL" },
} as const satisfies CommandSpec<typeof REVOKE_OPTIONS>;

/** The command. */
export async function revoke(args: string[]): Promise<ExitStatus> {
  const { options, positionals: [what = ""], flags } = parseCommand(args, REVOKE_SPEC);
  const config = readConfig("cert", flags);
  const dir = config.CERT_DIR;
  const days = daysOf("--crl-days", options["crl-days"]);
  const authorities = await revokers(dir, { passphraseFile: config.SECURECHAT_KEY_PASSPHRASE_FILE });
  const { serial, subject, who, notAfter, by } = await whomToRevoke(dir, what, authorities);
  if (by.some(({ certificate }) => certificate.serial === serial)) {
    throw new Failure(EXIT.usage, "a CA can't revoke itself: make a new one, and new certificates, in another folder");
  }
  console.error(`${who}, serial number ${serial}${notAfter === "" ? "" : `, valid until ${notAfter}`}`);
  const before = await revokedAt(dir, serial);
  if (before !== undefined) console.error(`It was already revoked ${formatTime(before)}.`);
  else if (!options.yes) await mustAgree();
  const lists = [];
  for (const authority of by) lists.push(await signRevocationList(dir, authority, { add: serial, days }));
  const revokedSince = formatTime(await revokedAt(dir, serial) ?? 0);
  console.log(
    options.json
      ? encodeAsciiJson({ file: lists[0]?.path, serial, subject, revoked_at: revokedSince, revoked: lists[0]?.revoked })
      : lists.map(({ path, revoked, nextUpdate }) =>
        `${path}\n  ${revoked} revoked, valid until ${formatTime(nextUpdate)}`
      )
        .join("\n"),
  );
  return EXIT.done;
}

/** What to revoke, and by which CAs: a serial number doesn't say who issued it, so it goes into all lists. */
async function whomToRevoke(
  dir: string,
  what: string,
  authorities: readonly Authority[],
): Promise<
  Pick<Issued, "serial" | "subject" | "notAfter"> & { readonly who: string; readonly by: readonly Authority[] }
> {
  if (await exists(what)) {
    const certificate = await readLeaf(what);
    const named = authorities.filter((authority) => authority.certificate.subjectName === certificate.issuerName);
    const by = named.length > 0 ? named : authorities.slice(0, 1);
    for (const authority of by) await mustBeOurs(what, certificate, authority);
    const { serial, subject, notAfter } = certificate;
    return { serial, subject, who: inQuotes(shortName(subject)), notAfter: formatTime(notAfter), by };
  }
  const hex = what.toLowerCase().replace(/^0x/, "").replaceAll(":", "").replace(/^0+/, "");
  if (!/^[0-9a-f]{1,40}$/.test(hex)) {
    throw new Failure(EXIT.usage, `File not found: ${what}; it isn't a serial number in hex either`);
  }
  const issued = await findIssued(dir, hex);
  if (issued) return { ...issued, who: inQuotes(shortName(issued.subject)), by: authorities };
  const who = `a certificate that isn't in ${dir}/issued.txt`;
  return { serial: hex, subject: who, who, notAfter: "", by: authorities };
}

async function mustAgree(): Promise<void> {
  if (!Deno.stdin.isTerminal()) {
    throw new Failure(EXIT.usage, "not a terminal: confirm with --yes");
  }
  const { askLine } = await import("../lib/terminal.ts");
  const answer = await askLine("Revoke it? This can't be undone. [y/N] ");
  if (!/^y(?:es)?$/i.test(answer.trim())) throw new Failure(EXIT.no, "nothing was revoked");
}
