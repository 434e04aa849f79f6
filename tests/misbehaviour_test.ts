/**
 * The client, as a program, against the independent peer's server: well-behaved, of version 1, with every bad and good
 * certificate that the peer can make, and with each of its misbehaviours. Whatever is refused is refused with a
 * sentence of the client's own, and leaves no receipt of the server. Where the peer learns something new, the first
 * test fails.
 */

import { assert } from "./assert.ts";
import { type Ended, PEER_PYTHON, run, runCommand, SHARED, skipUnless, temporaryFolder } from "./environment.ts";

const PEER = `${SHARED}/peer`;
const PROOF = /the server was refused \(proof-fail\): The server doesn't prove that it holds its certificate's key/;
const RANGE = /the server was refused \(dh-error\): The server's public value is out of range/;
const INTEGER = /the server was refused \(bad-frame\): The field `B` must be a plain integer/;
const VERSION_1 =
  /the server was refused \(proof-fail\): The server speaks only version 1, .* --allow-v1 accepts that risk/;
const WRONG = /The server's receipt does not hold/;
const TOO_LARGE = /the server was refused \(too-large\): A frame may have 16384 bytes/;
const NOT_DUE = /the server was refused \(unexpected\): The server acknowledged message [01], which wasn't due/;

/** What becomes of each misbehaviour: the status and the sentence; of a wrong receipt also which check fails. */
const REFUSALS: Readonly<Record<string, readonly [status: number, sentence: RegExp, check?: RegExp]>> = {
  "no-proof": [4, PROOF],
  "no-second-proof": [4, PROOF],
  "bad-proof": [4, PROOF],
  "swapped-label": [4, PROOF],
  "old-proof": [4, PROOF],
  "bad-sig-length": [4, PROOF],
  "wrong-key": [4, PROOF],
  "wrong-cert": [4, /certificate validation failed: .* "CN=Another CA", which is not a CA that is trusted here/],
  "expired-cert": [4, /certificate validation failed: .* expired .* cert server localhost makes a good one/],
  "echo-cert": [4, /certificate validation failed: .* is not meant for a server/],
  "strip-v": [4, VERSION_1],
  "short-nonce": [4, /\(bad-frame\): The field `nonce` must be base64 of 16 bytes/],
  "bad-nonce": [4, /\(bad-frame\): The field `nonce` must be base64 with padding/],
  "bad-B": [4, RANGE],
  "zero-B": [4, RANGE],
  "p-B": [4, RANGE],
  "p-minus-1-B": [4, RANGE],
  "negative-B": [4, INTEGER],
  "float-B": [4, INTEGER],
  "text-B": [4, INTEGER],
  "garbage": [4, /\(bad-frame\): A frame must be one JSON object/],
  "array": [4, /\(bad-frame\): A frame must be one JSON object/],
  "oversize": [4, TOO_LARGE],
  "endless": [4, TOO_LARGE],
  "hang": [5, /did not answer within 2 s/],
  "hang-up": [5, /closed the connection before the session stood/],
  "error-secret": [5, /the server says: \\u\{1b\}\[2Jred\\u\{d\}\\u\{a\}\\u\{202e\}gnp\.exe \(server-error\)/],
  "drop-ack": [1, /The server sent its receipt before it had answered every message/],
  "wrong-ack": [1, NOT_DUE],
  "double-ack": [1, NOT_DUE],
  "no-receipt": [1, /closed the connection without its receipt/],
  "repeated-name": [1, /A name occurs twice in the server's receipt/],
  "bad-receipt": [1, WRONG, /^receipt signature: /],
  "short-hash": [1, WRONG, /^receipt form: transcript_hash /],
  "other-hash": [1, WRONG, /^transcript hash: /],
  "wrong-count": [1, WRONG, /^message count: /],
  "client-receipt": [1, WRONG, /^session: the signer's role /],
  "no-session": [1, WRONG, /^statement signature: this is a version-1 receipt/],
  "no-statement": [1, WRONG, /^statement signature: .* missing/],
  "bad-statement": [1, WRONG, /^statement signature: a field is not as it was signed/],
  "edited-receipt": [1, WRONG, /^statement signature: a field is not as it was signed/],
  "unsorted": [1, WRONG, /^statement signature: a field is not as it was signed/],
  "other-session": [1, WRONG, /^session: the session is not/],
  "other-party": [1, WRONG, /^session: the other side's certificate/],
};

const ALLOWED = ["one-byte", "crlf"];

/** Sentences about the bad certificates of pki.py, after `certificate validation failed: `. */
const BAD_CERTIFICATES: Readonly<Record<string, RegExp>> = {
  expired: /"CN=SERVER: localhost" expired/,
  not_yet_valid: /"CN=SERVER: localhost" is not valid before/,
  self_signed: /is self-signed/,
  other_ca: /issued by "CN=Another CA"/,
  other_ca_included: /"CN=Another CA" is self-signed, and is not a CA that is trusted here/,
  same_name_other_key: /is not signed with the key of its issuer/,
  other_issuer_name: /issued by "CN=A CA nobody knows"/,
  tampered: /is not signed with the key of its issuer/,
  issuer_not_ca: /"CN=Test intermediate 1" is not a CA's/,
  issuer_is_a_leaf: /"CN=CLIENT: posing as a CA" is not a CA's/,
  issuer_no_constraints: /"CN=Test intermediate 1" is not a CA's/,
  issuer_may_not_sign: /"CN=Test intermediate 1" may not sign certificates/,
  issuer_expired: /"CN=Test intermediate 1" expired/,
  issuer_not_yet_valid: /"CN=Test intermediate 1" is not valid before/,
  issuer_unknown_critical: /"CN=Test intermediate 1" has the critical extension/,
  path_length_exceeded: /allows 0 intermediate certificates/,
  missing_intermediate: /issued by "CN=Test intermediate 1", which is not a CA/,
  leaf_not_first: /is a CA's, not a person's or a server's/,
  four_intermediates: /more than 4 PEM certificates/,
  wrong_purpose: /not meant for a server/,
  other_purpose: /not meant for a server/,
  no_digital_signature: /may not sign, by its keyUsage/,
  unknown_critical: /critical extension/,
  rsa_1024: /1024 bits/,
  rsa_2047: /2047 bits/,
  rsa_4608: /4608 bits/,
  exponent_3: /exponent is not 65537/,
  ec_key: /another kind than RSA/,
  sha1: /SHA-256 or stronger/,
  issuer_rsa_1024: /issuer .* 1024 bits/,
  issuer_rsa_4608: /issuer .* 4608 bits/,
  issuer_ec_key: /issuer .* another kind than RSA/,
  issuer_sha1: /"CN=Test intermediate 1" is signed with an algorithm/,
  other_role_name: /is a client's, by its name/,
  other_role_name_no_purpose: /is a client's, by its name/,
  other_role_name_any_purpose: /is a client's, by its name/,
  other_role_name_both_purposes: /is a client's, by its name/,
  revoked: /was revoked/,
  wrong_host: /is not for "localhost": it names "other\.example"/,
  right_name_in_cn_alone: /is not for "localhost": it names "other\.example"/,
  no_san_wrong_cn: /is not for "localhost": it names "other\.example"/,
  no_san_bare_cn: /is not for "localhost": it names no host/,
  suffix_host: /is not for "localhost": it names "localhost\.other\.example"/,
  wildcard_alone: /is not for "localhost": it names "\*/,
  no_purpose_bare_name: /doesn't say that it is a server's/,
  any_purpose_bare_name: /doesn't say that it is a server's/,
};

const GOOD_CERTIFICATES =
  ("plain one_intermediate three_intermediates path_length_fits issuer_without_usage root_included no_purpose any_purpose " +
    "both_purposes bare_name no_key_usage unknown_not_critical rsa_3072 rsa_4096 sha384 sha512 no_san host_in_capitals " +
    "several_names").split(" ");

/** The peer's certificates, made once; removed when the tests of this file are over. */
const folder = temporaryFolder();
addEventListener("unload", () => folder[Symbol.dispose]());
let certificates: Promise<string> | undefined;

function makeCertificates(): Promise<string> {
  return certificates ??= (async () => {
    const certs = `${folder.path}/certs`;
    const made = await runPython([`${PEER}/pki.py`, certs]);
    assert.equal(made.status, 0, made.stderr);
    await Deno.writeTextFile(`${folder.path}/password`, "correct horse\n", { mode: 0o600 });
    return certs;
  })();
}

/** The shared folder is left as it is. */
const NO_BYTECODE = { PYTHONDONTWRITEBYTECODE: "1" };

function runPython(args: readonly string[], cwd = folder.path): Promise<Ended> {
  return runCommand(PEER_PYTHON, args, { cwd, env: NO_BYTECODE });
}

interface Outcome {
  readonly status: number;
  /** The last event's sentence, as it is printed. */
  readonly sentence: string;
  readonly stderr: string;
  readonly events: readonly Readonly<Record<string, unknown>>[];
  /** Names of the files that were left, without their stamps. */
  readonly files: readonly string[];
  readonly dir: string;
}

/** A session of two lines with the peer's server. */
async function converse(serverArgs: readonly string[], clientArgs: readonly string[] = []): Promise<Outcome> {
  const certs = await makeCertificates();
  const server = new Deno.Command(PEER_PYTHON, {
    args: [`${PEER}/server.py`, "--certs", certs, "--port", "0", ...serverArgs],
    env: NO_BYTECODE,
    stdout: "piped",
    stderr: "null",
  }).spawn();
  try {
    const port = await portOf(server.stdout);
    const dir = `${folder.path}/${crypto.randomUUID()}`;
    const ended = await run(
      // deno-fmt-ignore
      ["chat", "--host", "localhost", "--port", port, "--certs", certs, "--transcripts", dir, "--json",
        "--register", "--email", "ada@example.org", "--username", "ada", ...clientArgs],
      {
        env: { SECURECHAT_PASSWORD_FILE: `${folder.path}/password`, HANDSHAKE_TIMEOUT: "2", ANSWER_TIMEOUT: "5" },
        stdin: "hello\nworld\n",
      },
    );
    const events = ended.stdout.split("\n").filter(Boolean).map((line) => JSON.parse(line));
    const stderr = ended.stderr.replace(/^securechat: /, "");
    return {
      status: ended.status,
      sentence: stderr || String(events.at(-1)?.reason),
      stderr,
      events,
      files: list(dir),
      dir,
    };
  } finally {
    server.kill("SIGKILL");
    await server.status;
  }
}

async function portOf(stdout: ReadableStream<Uint8Array>): Promise<string> {
  let text = "";
  for await (const chunk of stdout) {
    text += new TextDecoder().decode(chunk);
    const port = /listening on \S+:([0-9]+)\n/.exec(text)?.[1];
    if (port !== undefined) return port;
  }
  throw new Error(`the peer's server did not start: ${text}`);
}

function list(dir: string): string[] {
  try {
    return [...Deno.readDirSync(dir)].map(({ name }) => name.replace(/_[0-9]{8}_[0-9]{6}/, "")).sort();
  } catch {
    return [];
  }
}

function assertHeld({ status, files, events, stderr }: Outcome, name: string): void {
  assert.equal(status, 0, `${name}: ${stderr}${JSON.stringify(events.at(-1))}`);
  assert.deepEqual(files, ["ca_cert.pem", "client_receipt.json", "receipt.json", "transcript.txt"], name);
  assert.equal(events.filter(({ event }) => event === "acknowledged").length, 2, name);
}

function assertRefused(outcome: Outcome, name: string, status: number, sentence: RegExp): void {
  assert.match(outcome.sentence, sentence, `${name}: ${outcome.sentence}`);
  assert.equal(outcome.status, status, name);
  // What stood before the end is this side's own; nothing in the folder says that the server signed something.
  const own = ["ca_cert.pem", "client_receipt.json", "transcript.txt"];
  assert.deepEqual(outcome.files, status === 1 ? own : [], name);
  assert.ok(!outcome.events.some(({ event }) => event === "server_receipt"), name);
  assert.ok(status === 1 || /^[^\n]+\n$/.test(outcome.stderr), "one sentence on stderr");
}

/** All of these, two at a time. */
async function each(names: readonly string[], work: (name: string) => Promise<void>): Promise<void> {
  const waiting = [...names];
  const take = async () => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) await work(name);
  };
  await Promise.all([take(), take()]);
}

Deno.test({
  name: "every misbehaviour and certificate of the peer has its place in this test",
  ...skipUnless("peer"),
  fn: async () => {
    const code = "import json, pki, server; print(json.dumps([list(server.MISCHIEF), list(pki.RECIPES)]))";
    const { stdout, stderr } = await runPython(["-c", code], PEER);
    assert.notEqual(stdout, "", stderr);
    const [mischief, recipes] = JSON.parse(stdout);
    const known = [...Object.keys(REFUSALS), ...ALLOWED, "cert:RECIPE"];
    assert.deepEqual(known.toSorted(), mischief.toSorted());
    assert.deepEqual([...Object.keys(BAD_CERTIFICATES), ...GOOD_CERTIFICATES].toSorted(), recipes.toSorted());
  },
});

Deno.test({
  name: "chat and the peer's server hold a session, and the peer verifies both its receipts",
  ...skipUnless("peer"),
  fn: async () => {
    const outcome = await converse([]);
    assertHeld(outcome, "well-behaved");
    const path = (name: string) => {
      const [file] = [...Deno.readDirSync(outcome.dir)].filter((entry) => entry.name.startsWith(name));
      return `${outcome.dir}/${file?.name}`;
    };
    for (const receipt of ["receipt_", "client_receipt_"]) {
      const args = [`${PEER}/verify.py`, path(receipt), path("transcript_"), "--ca", `${outcome.dir}/ca_cert.pem`];
      const verified = await runPython(args);
      assert.equal(verified.status, 0, verified.stdout + verified.stderr);
    }
  },
});

Deno.test({
  name: "chat takes frames byte by byte, and ended by CR LF",
  ...skipUnless("peer"),
  fn: () => each(ALLOWED, async (name) => assertHeld(await converse(["--misbehave", name]), name)),
});

Deno.test({
  name: "chat refuses a version-1 server, and with --allow-v1 takes it and says loudly what that risks",
  ...skipUnless("peer"),
  fn: async () => {
    assertRefused(await converse(["--v1"]), "--v1", 4, VERSION_1);
    const allowed = await converse(["--v1"], ["--allow-v1"]);
    assertHeld(allowed, "--v1 with --allow-v1");
    const warnings = allowed.events.filter(({ event }) => event === "warning").map(({ message }) => String(message));
    assert.match(warnings.join(), /somebody in the middle .* can pose as it/);
    const needless = await converse([], ["--allow-v1"]);
    assertHeld(needless, "--allow-v1 with version 2");
    assert.ok(!needless.events.some(({ event }) => event === "warning"));
  },
});

Deno.test({
  name: "chat refuses every misbehaviour of a server with its own sentence, and keeps no receipt that doesn't hold",
  ...skipUnless("peer"),
  fn: () =>
    each(Object.keys(REFUSALS), async (name) => {
      const [status, sentence, check] = REFUSALS[name] ?? [0, /^$/];
      const outcome = await converse(["--misbehave", name]);
      assertRefused(outcome, name, status, sentence);
      if (!check) return;
      const problems = outcome.events.flatMap(({ problems }) => Array.isArray(problems) ? problems.map(String) : []);
      assert.ok(problems.some((problem) => check.test(problem)), `${name}: ${problems.join("; ")}`);
    }),
});

Deno.test({
  name:
    "chat refuses a server of version 2 that is made to look like version 1, with --allow-v1 too where proofs are due",
  ...skipUnless("peer"),
  fn: async () => assertRefused(await converse(["--misbehave", "no-proof"], ["--allow-v1"]), "no-proof", 4, PROOF),
});

Deno.test({
  name: "chat refuses every bad server certificate and says what is wrong with it",
  ...skipUnless("peer"),
  fn: () =>
    each(Object.keys(BAD_CERTIFICATES), async (name) => {
      const sentence = new RegExp(`certificate validation failed: .*${BAD_CERTIFICATES[name]?.source}`);
      assertRefused(await converse(["--misbehave", `cert:${name}`]), name, 4, sentence);
    }),
});

Deno.test({
  name: "chat takes every good server certificate",
  ...skipUnless("peer"),
  fn: () => each(GOOD_CERTIFICATES, async (name) => assertHeld(await converse(["--misbehave", `cert:${name}`]), name)),
});
