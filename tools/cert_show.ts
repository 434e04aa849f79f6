/** `securechat cert show`: what a certificate or a revocation list says. */

import { type CommandSpec, parseCommand } from "../lib/command_line.ts";
import { EXIT, type ExitStatus } from "../lib/errors.ts";
import { readTextFile } from "../lib/files.ts";
import { MAX_LIST_FILE_BYTES } from "../lib/identity.ts";
import { encodeAsciiJson } from "../lib/json.ts";
import { onRows } from "../lib/terminal.ts";
import { nameText } from "../lib/text.ts";
import { formatTime } from "../lib/time_text.ts";
import {
  type Certificate,
  OID,
  parseCertificateFile,
  parseRevocationListFile,
  type RevocationList,
} from "../lib/x509.ts";
import { JSON_FLAG } from "./making.ts";
import { inQuotes, reading } from "./cert_files.ts";

const SHOW_OPTIONS = { json: JSON_FLAG } as const;

const SHOW_SPEC = {
  name: "cert show",
  summary: "show what a certificate or a revocation list says",
  usage: `securechat cert show FILE [--json]

It doesn't check whether the certificate is valid: see securechat cert check.

Examples:
  securechat cert show certs/server_cert.pem
  securechat cert show certs/crl.pem --json`,
  options: SHOW_OPTIONS,
  positionals: { min: 1, max: 1, names: "FILE" },
} as const satisfies CommandSpec<typeof SHOW_OPTIONS>;

/** The command. */
export async function show(args: string[]): Promise<ExitStatus> {
  const { options, positionals: [path = ""] } = parseCommand(args, SHOW_SPEC);
  const pem = await readTextFile(path, { max: MAX_LIST_FILE_BYTES });
  const described = /-----BEGIN X509 CRL-----/.test(pem)
    ? [describeList(reading(path, () => parseRevocationListFile(pem)))]
    : reading(path, () => parseCertificateFile(pem)).map(describe);
  if (options.json) console.log(encodeAsciiJson(described.length === 1 ? described[0] : described));
  else console.log(described.map((each) => onRows(tell(each)).join("\n")).join("\n\n"));
  return EXIT.done;
}

type Description = Readonly<Record<string, string | readonly string[] | null>>;

function describe(certificate: Certificate): Description {
  const { hostNames, extendedKeyUsage, keyUsage, pathLength } = certificate;
  const purposes = extendedKeyUsage?.map((id) => Object.entries(OID).find(([, known]) => known === id)?.[0] ?? id);
  return {
    subject: certificate.subject,
    issuer: certificate.issuer,
    serial: certificate.serial,
    fingerprint: certificate.fingerprint,
    not_before: formatTime(certificate.notBefore),
    not_after: formatTime(certificate.notAfter),
    key: certificate.keyKind,
    hosts: hostNames ? [...hostNames.dnsNames, ...hostNames.addresses] : null,
    emails: hostNames?.emails ?? null,
    authority: certificate.isAuthority ? `yes${pathLength === undefined ? "" : `, ${pathLength} below`}` : "no",
    key_usage: keyUsage ? [...keyUsage] : null,
    purposes: purposes ?? null,
    refused_because: certificate.faults.map((fault) => `it ${fault}`),
  };
}

function describeList(list: RevocationList): Description {
  return {
    issuer: list.issuer,
    number: list.number?.toString() ?? null,
    this_update: formatTime(list.thisUpdate),
    next_update: list.nextUpdate === undefined ? null : formatTime(list.nextUpdate),
    revoked: [...list.revoked].map(([serial, { date }]) => `${serial} ${formatTime(date)}`),
    refused_because: list.faults.map((fault) => `it ${fault}`),
  };
}

/** Fields whose values other people chose. (Subject and issuer are already escaped.) */
const CHOSEN: Readonly<Record<string, (value: string) => string>> = {
  ...{ subject: inQuotes, issuer: inQuotes },
  ...{ hosts: (value) => inQuotes(nameText(value)), emails: (value) => inQuotes(nameText(value)) },
};

function tell(description: Description): string[] {
  return Object.entries(description).flatMap(([name, value]) => {
    const values = value === null ? [] : typeof value === "string" ? [value] : value;
    const shown = values.map(CHOSEN[name] ?? ((text) => text)).join(", ");
    return values.length === 0 ? [] : [`${name.replaceAll("_", " ").padEnd(16)}${shown}`];
  });
}
