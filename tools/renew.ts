/**
 * `securechat renew`: a bundle is time-stamped again, before certificates end and algorithms break (docs/PROTOCOL.md,
 * "Renewal").
 *
 *     securechat renew room_ops.evidence --tsa-url http://tsa.example --tsa tsa_root.pem --ca ca_cert.pem
 *     securechat renew room_ops.evidence --check --tsa tsa_root.pem
 *
 * The bundle is verified first; one that doesn't hold is refused. What is stamped follows from the bundle and the lists
 * of --crl, so a machine without a network writes a query and takes the answer weeks later, and keeps nothing in between.
 */

import { BundleFault, isBundle, type RandomAccess, readBundle } from "../lib/bundle.ts";
import { BundleRenewal, listPem } from "../lib/bundle_renewal.ts";
import { parseCommand } from "../lib/command_line.ts";
import { EXIT, type ExitStatus, Failure, ProtocolError } from "../lib/errors.ts";
import { openRegularFile, readPemFile, readToEnd, writePieces } from "../lib/files.ts";
import type { HashName } from "../lib/hash.ts";
import { PROGRAM } from "../lib/program.ts";
import { readRoots } from "../lib/server_log_service.ts";
import { write } from "../lib/terminal.ts";
import { printable } from "../lib/text.ts";
import { stamp } from "../lib/timestamp_asking.ts";
import type { TokenTrust } from "../lib/timestamp_judge.ts";
import { encodeQuery, freshNonce, type TakenToken, takeReply } from "../lib/timestamp_query.ts";
import type { Trust } from "../lib/certificate_path.ts";
import { verifyBundle } from "../lib/verify_bundle.ts";
import { renewalSentences, type RenewalState, renewalText } from "../lib/verify_log_rows.ts";
import { type Certificate, MAX_CA_CERTIFICATES, parseCertificateFile, parseRevocationListFile } from "../lib/x509.ts";
import { usage } from "./asking.ts";
import { openFiles, parseMoment, randomAccessOf } from "./verify_files.ts";

const SPEC = {
  name: "renew",
  summary: "time-stamp a bundle again, before its stamps' certificates end",
  usage: `securechat renew FILE --tsa-url URL --tsa ROOTS [FLAGS]
securechat renew FILE --query OUT.tsq [FLAGS]
securechat renew FILE --reply IN.tsr --tsa ROOTS [FLAGS]
securechat renew FILE --check --tsa ROOTS [FLAGS]

Verifies FILE, asks a time-stamping authority to stamp all of it, and puts the answer behind what is there: the file is
replaced by one that begins with the same bytes. Give fresh revocation lists with --crl; they are stamped with it.

Without a network, --query writes the question for the authority, and --reply takes the answer. Give both the same FILE
and the same lists of --crl: what was stamped is compared.

--check says when FILE has to be renewed: 90 days before the first certificate of its newest stamp ends.

Examples:
  securechat renew room_ops.evidence --tsa-url http://tsa.example --tsa tsa_root.pem --ca ca_cert.pem
  securechat renew room_ops.evidence --query ops.tsq --crl crl.pem
  securechat renew room_ops.evidence --reply ops.tsr --crl crl.pem --tsa tsa_root.pem

Exit status: 0 done, or not due yet; 1 due, or FILE doesn't hold; 2 usage, or a file can't be read; 3 with --check:
nobody named by --tsa has stamped FILE; 5 the authority gives no token that counts, or a file can't be written.`,
  options: {
    "tsa-url": { type: "string", value: "URL", describe: "the time-stamping authority to ask (RFC 3161)" },
    tsa: {
      type: "string",
      value: "FILE",
      multiple: true,
      describe: "roots of time-stamping authorities that count, as PEM",
    },
    ca: { type: "string", value: "FILE", describe: "certificates of the CAs that are trusted" },
    crl: { type: "string", value: "FILE", multiple: true, describe: "a fresh revocation list, to be stamped with it" },
    hash: { type: "string", value: "HASH", describe: "sha256, sha384 or sha512 [sha512]" },
    query: { type: "string", value: "OUT.tsq", describe: "write the question for the authority" },
    reply: { type: "string", value: "IN.tsr", describe: "take the authority's answer from a file" },
    check: { type: "boolean", describe: "only say when it is due" },
    "as-of": { type: "string", value: "TIME", describe: "with --check: as if it were then" },
  },
  positionals: { min: 1, max: 1, names: "FILE" },
} as const;

const HASHES: Readonly<Record<string, HashName>> = { sha256: "SHA-256", sha384: "SHA-384", sha512: "SHA-512" };

/** The largest answer of an authority. */
const MAX_REPLY_BYTES = 65_536;

/** The command. */
export async function run(args: string[]): Promise<ExitStatus> {
  const { options, positionals: [path = ""] } = parseCommand(args, SPEC);
  const { "tsa-url": url, query, reply, check, "as-of": asOf } = options;
  if ([url, query, reply, check || undefined].filter((way) => way !== undefined).length !== 1) {
    throw usage("renew", "use one of --tsa-url, --query, --reply and --check");
  }
  if (query === undefined && options.tsa.length === 0) {
    throw usage("renew", "--tsa is missing: it names the roots of the authorities that count");
  }
  if (asOf !== undefined && !check) throw usage("renew", "--as-of goes with --check");
  const hash = HASHES[options.hash ?? "sha512"];
  if (hash === undefined) throw usage("renew", "--hash is sha256, sha384 or sha512");
  const roots: Certificate[] = [];
  for (const file of options.tsa) roots.push(...await readRoots(file));
  const lists = await Promise.all(options.crl.map((file) => readPem(file, listPem)));
  const authorities = options.ca === undefined
    ? []
    : await readPem(options.ca, (pem) => parseCertificateFile(pem, MAX_CA_CERTIFICATES));
  const trust = { authorities, revocations: lists.map(parseRevocationListFile) };
  const now = asOf === undefined ? Date.now() : parseMoment("--as-of", asOf);
  const bundle = { path, source: await openBundle(path) };
  const state = await verified(bundle, trust, { roots, now });
  if (check) return tellDue(bundle, state, now);

  const renewal = new BundleRenewal(bundle.source, await readBundle(bundle.source), lists);
  try {
    if (query !== undefined) return await writeQuery(query, renewal, hash);
    const taken = reply === undefined
      ? await askedOf(url ?? "", renewal, { roots }, hash)
      : await answered(reply, renewal, { roots });
    await put(bundle, renewal, taken);
    const renewed = { good: 1 + (state?.count ?? 0), last: taken.verdict };
    tell([`Written: ${path}`, ...renewalSentences({ summary: undefined, trust: undefined, renewal: renewed })]);
    return EXIT.done;
  } catch (error) {
    if (error instanceof BundleFault) throw new Failure(EXIT.usage, `${path} can't be renewed: ${error.message}`);
    throw error;
  }
}

interface OpenBundle {
  readonly path: string;
  readonly source: RandomAccess;
}

function tell(rows: readonly string[], stream?: typeof Deno.stderr): void {
  write(rows.map((row) => `${printable(row)}\n`).join(""), stream);
}

async function readPem<T>(path: string, parse: (pem: string) => T): Promise<T> {
  const pem = await readPemFile(path);
  try {
    return parse(pem);
  } catch (error) {
    if (error instanceof ProtocolError) throw new Failure(EXIT.usage, `${path} can't be used: ${error.message}`);
    throw error;
  }
}

async function openBundle(path: string): Promise<RandomAccess> {
  const files = { ca: undefined, crl: [], cert: [], receipt: path, transcript: undefined, openings: undefined };
  const source = randomAccessOf(openFiles(files).receipt);
  if (source && isBundle(await source.read(0, 512))) return source;
  throw new Failure(
    EXIT.usage,
    `${path} isn't a file that ${PROGRAM} export wrote, and only such a file can be renewed`,
  );
}

/** Verifies a bundle, says which of its renewals count for nothing, and refuses what doesn't hold. */
async function verified(
  { path, source }: OpenBundle,
  trust: Trust,
  { roots, now }: { readonly roots: readonly Certificate[]; readonly now: number },
): Promise<RenewalState | undefined> {
  const log = { policies: [], logs: [], roots, quorum: 1, protectedAt: now };
  const { verdict, passedOver } = await verifyBundle(source, trust, { now, log });
  if (verdict.result === "invalid") {
    throw new Failure(EXIT.no, `${path} doesn't hold, and is not renewed; see why with: ${PROGRAM} verify ${path}`);
  }
  if (verdict.about?.type !== "room") throw new Failure(EXIT.usage, `${path} is of a session, which can't be renewed`);
  if (roots.length > 0) tell(passedOver.map((reason) => `Counts for nothing: ${reason}.`), Deno.stderr);
  return "renewal" in verdict ? verdict.renewal : undefined;
}

/** Says when it is due. */
function tellDue({ path }: OpenBundle, state: RenewalState | undefined, now: number): ExitStatus {
  if (state?.renew_before === undefined) {
    const what = `nobody whom you named with --tsa has stamped ${path}`;
    throw new Failure(EXIT.undecided, `${what}: a renewal would be its first stamp that counts`);
  }
  tell([renewalText(state)]);
  return now < Date.parse(state.renew_before) ? EXIT.done : EXIT.no;
}

async function writeQuery(path: string, { imprint }: BundleRenewal, hash: HashName): Promise<ExitStatus> {
  const nonce = freshNonce((size) => crypto.getRandomValues(new Uint8Array(size)));
  await writePieces(path, [encodeQuery({ hash, imprint: await imprint(hash), nonce })]);
  tell([`Written: ${path}`, "Take the authority's answer with --reply, and with the same lists of --crl."]);
  return EXIT.done;
}

async function askedOf(
  url: string,
  { imprint }: BundleRenewal,
  trust: TokenTrust,
  hash: HashName,
): Promise<TakenToken> {
  const { taken: [taken], refused: [refusal] } = await stamp(imprint, [url], trust, { now: Date.now, hash });
  if (taken) return taken;
  throw new Failure(EXIT.unavailable, `no token of ${url} is taken: ${refusal?.reason ?? "it gives none"}`);
}

async function answered(path: string, { imprint }: BundleRenewal, trust: TokenTrust): Promise<TakenToken> {
  using file = openRegularFile(path);
  const taken = await takeReply(readToEnd(file, path, MAX_REPLY_BYTES).slice(), imprint, trust, { now: Date.now() });
  if (typeof taken !== "string") return taken;
  const hint = "it has to be for this file and the same lists of --crl";
  throw new Failure(EXIT.unavailable, `the answer in ${path} is not taken: ${taken}; ${hint}`);
}

/** Puts the renewed bundle in the place of the old one. */
async function put({ path }: OpenBundle, renewal: BundleRenewal, taken: TakenToken): Promise<void> {
  if (!await renewal.isLater(taken.token)) {
    throw new Failure(EXIT.unavailable, "the token is not taken: its time is not after that of the renewal before it");
  }
  const { mode } = await Deno.stat(path);
  await writePieces(path, renewal.pieces(taken), { mode: (mode ?? 0o600) & 0o777, replace: true });
}
