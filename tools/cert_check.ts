/** `securechat cert check`: whether a certificate is valid, and every reason if not. */

import { inQuotes } from "./cert_files.ts";
import { findPath, type PathOptions, type Purpose } from "../lib/certificate_path.ts";
import { type CommandSpec, type OptionSpec, parseCommand } from "../lib/command_line.ts";
import { readConfig } from "../lib/config.ts";
import { EXIT, type ExitStatus, Failure, ProtocolError } from "../lib/errors.ts";
import { readTextFile } from "../lib/files.ts";
import { loadRevocationLists, MAX_LIST_FILE_BYTES, pathIn } from "../lib/identity.ts";
import { encodeAsciiJson } from "../lib/json.ts";
import { onRows } from "../lib/terminal.ts";
import { printable, shortName } from "../lib/text.ts";
import { formatTime } from "../lib/time_text.ts";
import { type Certificate, parseCertificateFile, parseRevocationListFile } from "../lib/x509.ts";
import { authorityJson, chosenAuthorities, findAuthority, foundNote, parseFingerprint } from "./verify_files.ts";
import { JSON_FLAG } from "./making.ts";

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
  settings: "verify", // only CERT_DIR: no key is opened
  positionals: { min: 1, max: 1, names: "LEAF" },
} as const satisfies CommandSpec<typeof CHECK_OPTIONS>;

/** More than a path may have: too many certificates are a reason against it, not an unreadable file. */
const MANY = 1000;

/** The command. */
export async function check(args: string[]): Promise<ExitStatus> {
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
