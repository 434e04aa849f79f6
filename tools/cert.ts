/**
 * `securechat cert` issues, shows, renews, revokes and checks certificates of servers and people.
 */

import { dirname } from "node:path";
import type { Authority } from "../lib/ca.ts";
import {
  CA_DAYS,
  CERTIFICATE_DAYS,
  findIssued,
  type Issued,
  makePair,
  type Pair,
  pairAt,
  pairIn,
  renew,
  revokedAt,
  revokers,
  signRevocationList,
} from "../lib/ca_folder.ts";
import { findPath, type PathOptions, type Purpose } from "../lib/certificate_path.ts";
import { verifySignature } from "../lib/certificate_signature.ts";
import { type CommandSpec, type OptionSpec, parseCommand } from "../lib/command_line.ts";
import { readConfig } from "../lib/config.ts";
import { EXIT, type ExitStatus, Failure, ProtocolError } from "../lib/errors.ts";
import { exists, readPemFile, readTextFile, shellPath, writeAtomically } from "../lib/files.ts";
import {
  loadAuthority,
  loadIssuer,
  loadRevocationLists,
  MAX_LIST_FILE_BYTES,
  type PassphraseOptions,
  pathIn,
} from "../lib/identity.ts";
import { encodeAsciiJson } from "../lib/json.ts";
import { didYouMean } from "../lib/nearest.ts";
import { PROGRAM } from "../lib/program.ts";
import { onRows } from "../lib/terminal.ts";
import { nameText, printable, shortName } from "../lib/text.ts";
import { formatTime } from "../lib/time_text.ts";
import {
  type Certificate,
  OID,
  parseCertificateFile,
  parseRevocationListFile,
  type RevocationList,
} from "../lib/x509.ts";
import { authorityJson, chosenAuthorities, findAuthority, foundNote, parseFingerprint } from "./verify_files.ts";
import { bitsOf, daysOf, hostOf, JSON_FLAG, jsonOfMade, MAKING, makingOf, nameOf, tellMade } from "./making.ts";

const PARTS: Readonly<Record<string, (args: string[]) => Promise<ExitStatus>>> = {
  server: (args) => issue("server", args),
  client: (args) => issue("client", args),
  show,
  revoke,
  renew: renewFile,
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

// ---- show

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

async function show(args: string[]): Promise<ExitStatus> {
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

function inQuotes(text: string): string {
  return `"${text}"`;
}

/** Parses a file's text; Failure with the file's name if it doesn't parse. */
function reading<T>(path: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (error instanceof ProtocolError) throw new Failure(EXIT.usage, `${path} can't be used: ${error.message}`);
    throw error;
  }
}

// ---- renew

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

async function renewFile(args: string[]): Promise<ExitStatus> {
  const { options, positionals: [path = ""], flags } = parseCommand(args, RENEW_SPEC);
  const config = readConfig("cert", flags);
  const passphraseFile = config.SECURECHAT_KEY_PASSPHRASE_FILE;
  const old = await readLeaf(path);
  const files: Pair = pairAt(path);
  if (!await exists(files.key)) throw new Failure(EXIT.usage, `File not found: ${files.key}, the key of ${path}`);
  const authority = await issuerOf(config.CERT_DIR, old, { passphraseFile });
  await mustBeOurs(path, old, authority);
  const made = await renew(config.CERT_DIR, authority, old, {
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

async function readLeaf(path: string): Promise<Certificate> {
  const pem = await readPemFile(path);
  const [leaf] = reading(path, () => parseCertificateFile(pem));
  if (leaf === undefined) throw new RangeError("a parsed file has a certificate");
  return leaf;
}

async function mustBeOurs(path: string, certificate: Certificate, { certificate: issuer }: Authority): Promise<void> {
  if (certificate.issuerName === issuer.subjectName && await verifySignature(certificate, issuer)) return;
  throw new Failure(
    EXIT.usage,
    `${path} was issued by another CA, "${shortName(certificate.issuer)}", not by "${shortName(issuer.subject)}"`,
  );
}

// ---- revoke

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

async function revoke(args: string[]): Promise<ExitStatus> {
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

// ---- check

const FILE_OPTION = { type: "string", value: "FILE", multiple: true } as const;

const CHECK_OPTIONS = {
  ca: { ...FILE_OPTION, describe: "trusted CAs [ca_cert.pem in CERT_DIR]" },
  "ca-sha256": { type: "string", value: "HEX", describe: "the SHA-256 of the CA that counts; any other is undecided" },
  intermediates: { ...FILE_OPTION, describe: "certificates between it and the CA" },
  host: { type: "string", value: "NAME", describe: "host name or address to which a client connects" },
  at: { type: "string", value: "TIME", describe: "as of 2026-01-02, or 2026-01-02T03:04:05Z [now]" },
  purpose: { type: "string", value: "server|client", describe: "what it is used for [either; server with --host]" },
  crl: { ...FILE_OPTION, describe: "revocation list [those in CERT_DIR, without --ca]" },
  "any-key": { type: "boolean", describe: "accept other keys than RSA, too" },
  json: JSON_FLAG,
} as const satisfies Record<string, OptionSpec>;

const CHECK_SPEC = {
  name: "cert check",
  summary: "check whether a certificate is valid, and tell every reason if not",
  usage: `securechat cert check LEAF [--ca FILE] [--intermediates FILE] [--host NAME] [--at TIME]
                      [--purpose server|client] [--crl FILE] [--any-key] [--certs DIR]

Applies the rules by which both sides check each other's certificates. LEAF may have intermediates after the leaf.
Without --ca the CA is ca_cert.pem in CERT_DIR, which --certs or the environment names (no .env is read), else in certs.
Exit status: 0 valid, 1 not valid, 2 a file or flag is wrong, 3 the CA to check against is missing, or is another one.

Examples:
  securechat cert check certs/server_cert.pem --purpose server --host localhost
  securechat cert check leaf.pem --ca root.pem --intermediates chain.pem --at 2026-01-02T03:04:05Z --crl crl.pem`,
  options: CHECK_OPTIONS,
  settings: "verify", // CERT_DIR alone: no key is opened
  positionals: { min: 1, max: 1, names: "LEAF" },
} as const satisfies CommandSpec<typeof CHECK_OPTIONS>;

/** More than a path may have: too many certificates are a reason against it, not an unreadable file. */
const MANY = 1000;

async function check(args: string[]): Promise<ExitStatus> {
  const { options, positionals: [path = ""], flags } = parseCommand(args, CHECK_SPEC);
  const at = timeOf(options.at);
  const question: PathOptions = {
    purpose: purposeOf(options.purpose, options.host),
    anyKey: options["any-key"],
    ...(options.host === undefined ? {} : { host: options.host }),
  };
  const sha256 = parseFingerprint(options["ca-sha256"]);
  const dir = readConfig("verify", flags).CERT_DIR;
  const found = await findAuthority("verify", { ca: options.ca[0], sha256, settings: flags });
  if (found === undefined) {
    const own = pathIn(dir, "ca_cert.pem");
    throw new Failure(EXIT.undecided, `File not found: ${own}; name the CA to check against with --ca FILE`);
  }
  let judge: Certificate | undefined;
  let problems: string[];
  let subjects: string[] = [];
  let lists = options.crl.length;
  try {
    const chain = [
      ...await readAll([path], (pem) => parseCertificateFile(pem)),
      ...await readAll(options.intermediates, (pem) => parseCertificateFile(pem, MANY)),
    ];
    const authorityFiles = options.ca.length > 0 ? options.ca : [found.path];
    const there = await readAll(authorityFiles, (pem) => parseCertificateFile(pem, MANY));
    const authorities = chosenAuthorities(there, authorityFiles.join(", "), sha256);
    const isOwn = options.ca.length === 0 && options.crl.length === 0;
    const revocations = isOwn
      ? await loadRevocationLists(dir)
      : await readAll(options.crl, (pem) => [parseRevocationListFile(pem)]);
    lists = revocations.length;
    const judged = await findPath(chain, { authorities, revocations }, question);
    problems = judged.problems(at, "current");
    const certificates = judged.certificates(at, "current");
    subjects = certificates.map(({ subject }) => subject);
    judge = authorities.find(({ fingerprint }) => fingerprint === certificates.at(-1)?.fingerprint) ?? authorities[0];
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    problems = [error.message];
  }
  const good = problems.length === 0;
  if (options.json) {
    const authority = judge && authorityJson(judge, found);
    console.log(
      encodeAsciiJson({ good, at: formatTime(at), path: subjects, problems, revocation_lists: lists, authority }),
    );
  } else {
    const path = subjects.map((subject) => inQuotes(shortName(subject))).join(", by ");
    const rows = good ? [`good: ${path}`] : ["not good:", ...problems.map((problem) => `- ${problem}`)];
    console.log(onRows(rows).join("\n"));
  }
  if (options.json) return good ? EXIT.done : EXIT.no;
  if (good && judge && found.source === "found") {
    console.error(`CA SHA-256 ${judge.fingerprint}\n${foundNote(printable(found.path))}`);
  }
  if (good && lists === 0) console.error("Revocation was not checked: name a list with --crl.");
  return good ? EXIT.done : EXIT.no;
}

/**
 * If a certificate doesn't parse, that is a reason against it (docs/PROTOCOL.md, "Hello and certificates"). If a file
 * can't be read, that is not.
 */
async function readAll<T>(paths: readonly string[], parse: (pem: string) => T[]): Promise<T[]> {
  const found: T[] = [];
  for (const path of paths) {
    const pem = await readTextFile(path, { max: MAX_LIST_FILE_BYTES });
    try {
      found.push(...parse(pem));
    } catch (error) {
      if (error instanceof ProtocolError) throw new ProtocolError("bad-cert", `${printable(path)}: ${error.message}`);
      throw error;
    }
  }
  return found;
}

function timeOf(text: string | undefined): number {
  if (text === undefined) return Date.now();
  const form = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d))?$/;
  const at = form.test(text) ? Date.parse(text) : NaN;
  if (Number.isNaN(at)) {
    throw new Failure(
      EXIT.usage,
      `--at ${printable(text)} is not a time: write it as 2026-01-02 or 2026-01-02T03:04:05Z`,
    );
  }
  return at;
}

/** The purpose; with a host it is "server". */
function purposeOf(text: string | undefined, host: string | undefined): Purpose {
  if (text === undefined) return host === undefined ? "either" : "server";
  if (text === "server" || text === "client") return text;
  throw new Failure(EXIT.usage, `--purpose ${printable(text)} is not server or client`);
}
