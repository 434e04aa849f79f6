/**
 * A time-stamping authority for tests and for the demo: certificates and tokens by `openssl`, answers over HTTP.
 *
 *     await using authority = await startAuthority(dir, { key: "P-256", idHash: "sha256" });
 *     authority.url → "http://127.0.0.1:40123/"      authority.root → the path of the root's PEM file
 *
 * Or by hand, until Ctrl-C: `deno run -A tests/timestamp_authority.ts DIR [PORT]`. DIR is to be new.
 *
 * openssl stamps with this machine's clock; tokens of other times come out of `timestamp_writer.ts`.
 */

import type { Bytes } from "../lib/bytes.ts";
import { runCommand } from "./environment.ts";

/** What an authority is like. */
export interface AuthorityOptions {
  readonly key?: "RSA-2048" | "RSA-8192" | "P-256" | "P-384" | "P-521";
  /** The hash of the ID of its certificate: RFC 2634 has SHA-1, RFC 5816 the others. */
  readonly idHash?: "sha1" | "sha256" | "sha512";
  /** The hash that it signs with. */
  readonly digest?: "sha256" | "sha384" | "sha512";
  /** How long its own certificate is valid. */
  readonly days?: number;
  /** What its names begin with. */
  readonly name?: string;
}

/** An authority's files. */
export interface AuthorityFiles {
  readonly dir: string;
  /** The root's certificate: for TSA_ROOTS, `--tsa` and `-CAfile`. */
  readonly root: string;
  /** Its own certificate and the intermediate one: for `-untrusted`. */
  readonly chain: string;
}

/** An authority that answers. */
export interface RunningAuthority extends AuthorityFiles, AsyncDisposable {
  readonly url: string;
  /** How many requests came. */
  readonly asked: () => number;
}

async function openssl(dir: string, ...args: string[]): Promise<void> {
  const { status, stderr } = await runCommand("openssl", args, { cwd: dir });
  if (status !== 0) throw new Error(`openssl ${args.join(" ")}: ${stderr}`);
}

const EXTENSIONS = `
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[tsa]
extendedKeyUsage = critical, timeStamping
keyUsage = critical, digitalSignature
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[req]
distinguished_name = name
prompt = no
[name]
CN = not used
`;

function settings({ idHash = "sha256", digest = "sha256" }: AuthorityOptions): string {
  return `
[tsa]
default_tsa = one
[one]
serial = serial
signer_cert = tsa.pem
signer_key = tsa.key
certs = between.pem
signer_digest = ${digest}
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
accuracy = secs:1, millisecs:500, microsecs:100
clock_precision_digits = 3
ordering = yes
tsa_name = yes
ess_cert_id_chain = no
ess_cert_id_alg = ${idHash}
`;
}

async function makeKeyFile(dir: string, name: string, key: string): Promise<void> {
  const [kind, size] = key.split("-");
  const algorithm = kind === "RSA" ? ["RSA", `rsa_keygen_bits:${size}`] : ["EC", `ec_paramgen_curve:${key}`];
  await openssl(dir, "genpkey", "-algorithm", algorithm[0] ?? "", "-pkeyopt", algorithm[1] ?? "", "-out", name);
}

/** Makes an authority in a folder that is there and empty: a root, an intermediate and its own certificate. */
export async function makeAuthority(dir: string, options: AuthorityOptions = {}): Promise<AuthorityFiles> {
  const { key = "P-256", days = 3650, name = "Stamp" } = options;
  await Deno.writeTextFile(`${dir}/ca.cnf`, EXTENSIONS);
  await Deno.writeTextFile(`${dir}/tsa.cnf`, settings(options));
  await Deno.writeTextFile(`${dir}/serial`, "01\n");
  const smaller = key === "RSA-8192" ? "RSA-2048" : key;
  for (const [file, kind] of [["root.key", smaller], ["between.key", smaller], ["tsa.key", key]] as const) {
    await makeKeyFile(dir, file, kind);
  }
  const config = ["-config", "ca.cnf"];
  const subject = (what: string) => ["-subj", `/CN=${name} ${what}`];
  const root = ["-x509", "-key", "root.key", "-days", "3650", "-extensions", "ca", "-out", "root.pem"];
  await openssl(dir, "req", ...config, ...root, ...subject("root"));
  for (
    const [file, section, issuer, life] of [["between", "ca", "root", 3650], ["tsa", "tsa", "between", days]] as const
  ) {
    await openssl(dir, "req", ...config, "-new", "-key", `${file}.key`, "-out", `${file}.csr`, ...subject(file));
    const by = ["-CA", `${issuer}.pem`, "-CAkey", `${issuer}.key`, "-CAcreateserial"];
    const as = ["-extfile", "ca.cnf", "-extensions", section, "-days", `${life}`, "-sha256"];
    await openssl(dir, "x509", "-req", "-in", `${file}.csr`, ...by, ...as, "-out", `${file}.pem`);
  }
  const chain = await Promise.all(["tsa.pem", "between.pem"].map((file) => Deno.readTextFile(`${dir}/${file}`)));
  await Deno.writeTextFile(`${dir}/chain.pem`, chain.join(""));
  return { dir, root: `${dir}/root.pem`, chain: `${dir}/chain.pem` };
}

/** What the authority answers to a query. One at a time for a folder: it counts its tokens there. */
export async function replyTo({ dir }: AuthorityFiles, query: Uint8Array): Promise<Bytes> {
  await Deno.writeFile(`${dir}/query.tsq`, query);
  await openssl(dir, "ts", "-reply", "-config", "tsa.cnf", "-queryfile", "query.tsq", "-out", "reply.tsr");
  return await Deno.readFile(`${dir}/reply.tsr`);
}

/** Makes an authority and lets it answer on the loopback address, on a free port unless one is named. */
export async function startAuthority(dir: string, options: AuthorityOptions = {}, port = 0): Promise<RunningAuthority> {
  const files = await makeAuthority(dir, options);
  let asked = 0;
  let last: Promise<unknown> = Promise.resolve();
  const server = Deno.serve({ hostname: "127.0.0.1", port, onListen: () => {} }, async (request) => {
    asked++;
    if (request.headers.get("content-type") !== "application/timestamp-query") {
      return new Response(null, { status: 415 });
    }
    const query = await request.bytes();
    const reply = last.then(() => replyTo(files, query));
    last = reply.catch(() => {});
    return new Response(await reply, { headers: { "content-type": "application/timestamp-reply" } });
  });
  const url = `http://127.0.0.1:${server.addr.port}/`;
  return { ...files, url, asked: () => asked, [Symbol.asyncDispose]: () => server.shutdown() };
}

/** Whether `openssl ts -verify` takes the kept token over the bytes; what it says otherwise. */
export async function opensslVerifies(
  files: AuthorityFiles,
  token: Uint8Array,
  data: Uint8Array,
): Promise<{ readonly isGood: boolean; readonly said: string }> {
  const dir = await Deno.makeTempDir({ prefix: "securechat_ts_" });
  try {
    await Deno.writeFile(`${dir}/token.tst`, token);
    await Deno.writeFile(`${dir}/data`, data);
    const what = ["-token_in", "-in", "token.tst", "-data", "data", "-CAfile", files.root, "-untrusted", files.chain];
    const { status, stdout, stderr } = await runCommand("openssl", ["ts", "-verify", ...what], { cwd: dir });
    return { isGood: status === 0 && stdout.includes("Verification: OK"), said: stdout + stderr };
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

if (import.meta.main) {
  const [dir, port = "0"] = Deno.args;
  if (dir === undefined) throw new RangeError("name a new folder");
  await Deno.mkdir(dir);
  const { url, root, chain } = await startAuthority(await Deno.realPath(dir), {}, Number(port));
  console.log(`url    ${url}\nroot   ${root}\nchain  ${chain}`);
}
