import { assert } from "./assert.ts";
import { PEER_PYTHON, program, ROOT, run, runCommand, SHARED, skipUnless, temporaryFolder } from "./environment.ts";
import { type EvidenceCase, evidenceCase, evidenceCases, roomCases, verdictOf } from "./evidence.ts";
import { sentencesOf } from "./verdict_text.ts";
import { encodeUtf8 } from "../lib/bytes.ts";
import { canonicalJson, encodeJson } from "../lib/json.ts";
import { encodeOpening } from "../lib/log_receipt.ts";
import { cells } from "../lib/cell_width.ts";
import { CHECKS } from "../lib/verify.ts";
import { authority, identities } from "./fixtures.ts";
import { openTerminal } from "./pty.ts";
import { person, RoomLog } from "./room_evidence.ts";

const session = evidenceCase("session");

function argumentsFor({ folder, crl, cert, expected: { options = {} } }: EvidenceCase): string[] {
  return [
    ...["verify", `${folder}/receipt.json`, `${folder}/transcript.txt`, "--ca", `${folder}/ca.pem`],
    ...(crl === undefined ? [] : ["--crl", `${folder}/crl.pem`]),
    ...(cert === undefined ? [] : ["--cert", `${folder}/cert.pem`]),
    ...(options.at === undefined ? [] : ["--at", options.at]),
    ...(options.requireV2 ? ["--require-v2"] : []),
  ];
}

for (
  const name of [
    "session",
    "version_1_cert_given",
    "version_1_refused_fail",
    "expired_at_fail",
    "revoked_before_fail",
    "line_dropped_fail",
    "last_lf_missing_fail",
    "not_json_fail",
  ]
) {
  const evidence = evidenceCase(name);
  Deno.test(`verify ends with ${evidence.expected.status} for tests/evidence/${name}`, async () => {
    const { status, stdout, stderr } = await run(argumentsFor(evidence));
    assert.equal(status, evidence.expected.status, stdout + stderr);
    if (status !== 2) assert.match(stdout, status === 0 ? /^VERIFIED / : /^(?:NOT|PARTLY) VERIFIED /);
    assert.equal(stderr === "", evidence.expected.status !== 2, stderr);
  });
}

Deno.test("verify answers first, then says what is proved, and prints each check only with --details", async () => {
  const { stdout } = await run(argumentsFor(session));
  assert.match(stdout, /^VERIFIED {3}A session with the server localhost, lines 1 to 3, receipt of /);
  assert.match(
    stdout,
    /^Trusted {4}CA "CN=Example Chat CA"\. Confirm its SHA-256 with the CA's owner:\n +[0-9a-f]{64}\.$/m,
  );
  assert.doesNotMatch(stdout, /^passed/m);
  const details = (await run([...argumentsFor(session), "--details"])).stdout;
  assert(details.startsWith(stdout.trimEnd()));
  for (const name of CHECKS) if (name !== "session") assert.match(details, new RegExp(`^passed +${name}$`, "m"));
  const failed = evidenceCase("line_dropped_fail");
  const { stdout: why } = await run([...argumentsFor(failed), "--details"]);
  for (const name of failed.expected.failed) assert.match(why, new RegExp(`^FAILED +${name}$`, "m"));
  // deno-lint-ignore no-control-regex
  assert.doesNotMatch(stdout, /\u001b/);
});

Deno.test("verify --json prints one object with the same verdict", async () => {
  const { status, stdout } = await run([...argumentsFor(evidenceCase("count_wrong_fail")), "--json"]);
  assert.equal(status, 1);
  const verdict = JSON.parse(stdout);
  assert.equal(verdict.result, "invalid");
  const count = verdict.checks.find(({ name }: { name: string }) => name === "message count");
  assert.deepEqual([count.outcome, count.expected, count.found], ["failed", "4", "3"]);
  assert.match(verdict.trust.authorities[0].fingerprint, /^[0-9a-f]{64}$/);
});

Deno.test("verify says as of what time it judged, where that is not the evidence's", async () => {
  const note =
    "Every certificate is judged as of 20 Jun 2026 00:00:00 UTC, by --at, and not as of the times in the evidence.";
  const cases = [argumentsFor(session), roomArguments("room_open"), roomArguments("room_line_bit_fail")];
  for (const args of [...cases, argumentsFor(evidenceCase("count_wrong_fail"))]) {
    const told = await run([...args, "--at", "2026-06-20"]);
    assert(told.stdout.replaceAll(/\s+/g, " ").includes(note), told.stdout);
    const { trust, ...verdict } = JSON.parse((await run([...args, "--at", "2026-06-20", "--json"])).stdout);
    assert.deepEqual([sentencesOf(verdict).includes(note), trust.at], [true, "2026-06-20T00:00:00Z"]);
    const without = JSON.parse((await run([...args, "--json"])).stdout);
    assert.deepEqual([sentencesOf(without).includes(note), without.trust.at], [false, null]);
  }
});

Deno.test("verify takes ca_cert.pem in the CERT_DIR that is named, else the one beside the receipt, and says so", async () => {
  using folder = temporaryFolder();
  const { path } = folder;
  for (const file of ["receipt.json", "transcript.txt"]) {
    await Deno.copyFile(`${session.folder}/${file}`, `${path}/${file}`);
  }
  const args = ["verify", "receipt.json", "transcript.txt", "--json"];

  const none = await run(args, { cwd: path });
  assert.deepEqual([none.status, JSON.parse(none.stdout).trust.ca], [3, null]);

  await Deno.mkdir(`${path}/trusted`);
  await Deno.copyFile(`${session.folder}/ca.pem`, `${path}/trusted/ca_cert.pem`);
  for (const place of [{ env: { CERT_DIR: "trusted" } }, { flags: ["--certs", "trusted"] }]) {
    const { status, stdout } = await run([...args, ...place.flags ?? []], { cwd: path, env: place.env ?? {} });
    assert.deepEqual([status, JSON.parse(stdout).trust.ca], [0, "trusted/ca_cert.pem"]);
  }

  await Deno.copyFile(`${session.folder}/ca.pem`, `${path}/ca_cert.pem`);
  const beside = await run(args, { cwd: path });
  assert.deepEqual([beside.status, JSON.parse(beside.stdout).trust.ca], [0, "./ca_cert.pem"]);
  const told = await run(args.slice(0, -1), { cwd: path });
  assert.match(told.stdout, /This CA was found in\s+\.\/ca_cert\.pem/);

  // Whoever names what is trusted is not answered with what came along with the evidence.
  await Deno.mkdir(`${path}/other`);
  for (const [ca, wanted] of [["trusted", 0], ["other", 3]] as const) {
    const { status, stdout } = await run([...args, "--certs", ca], { cwd: path });
    assert.deepEqual([status, JSON.parse(stdout).trust.ca], [wanted, wanted === 0 ? "trusted/ca_cert.pem" : null]);
  }
});

Deno.test("verify names what it can't read in one sentence, and ends with 2", async () => {
  using folder = temporaryFolder();
  const { path } = folder;
  await Deno.writeFile(`${path}/huge.json`, new Uint8Array(1_048_577).fill(0x20));
  const [receipt, transcript, ca] = ["receipt.json", "transcript.txt", "ca.pem"].map((file) =>
    `${session.folder}/${file}`
  );
  assert(receipt && transcript && ca);
  const wrong: [string[], RegExp][] = [
    [[`${path}/none.json`, transcript, "--ca", ca], /File not found: .*none\.json/],
    [[receipt, `${path}/none.txt`, "--ca", ca], /File not found: .*none\.txt/],
    [[receipt, transcript, "--ca", `${path}/none.pem`], /File not found: .*none\.pem/],
    [[receipt, transcript, "--ca", transcript], /transcript\.txt can't be used/],
    [[receipt, transcript, "--ca", ca, "--crl", ca], /ca\.pem can't be used/],
    [[`${path}/huge.json`, transcript, "--ca", ca], /1048576 bytes/],
    [[path, transcript, "--ca", ca], /folder/],
    [[transcript, receipt, "--ca", ca], /transcript\.txt: the receipt is not JSON: is it the right file/],
    [[receipt, transcript, "--at", "yesterday"], /is not a time/],
    [[receipt], /missing/],
    [[receipt, transcript, receipt], /too many/],
  ];
  for (const [args, sentence] of wrong) {
    const { status, stdout, stderr } = await run(["verify", ...args]);
    assert.equal(status, 2, args.join(" "));
    assert.match(stderr, sentence);
    assert.match(stderr, /^securechat: [^\n]*\n$/);
    assert.equal(stdout, "");
  }
});

Deno.test("verify --help shows examples and every exit status", async () => {
  const { status, stdout } = await run(["verify", "--help"]);
  assert.equal(status, 0);
  assert.match(stdout, /Examples:[\s\S]*0 VERIFIED; 1 NOT VERIFIED, or PARTLY VERIFIED[\s\S]*; 2 [\s\S]*; 3 UNDECIDED/);
});

Deno.test("verify refuses a sample of flipped bytes", async () => {
  using folder = temporaryFolder();
  const small = evidenceCase("session_one_line");
  const sample: [string, Uint8Array, number][] = [0.1, 0.5, 0.9].flatMap((share) => [
    ["receipt.json", small.receipt, Math.floor(share * small.receipt.length)],
    ["transcript.txt", small.transcript, Math.floor(share * small.transcript.length)],
  ]);
  for (const [file, bytes, at] of sample) {
    await Deno.writeFile(`${folder.path}/receipt.json`, small.receipt);
    await Deno.writeFile(`${folder.path}/transcript.txt`, small.transcript);
    await Deno.writeFile(`${folder.path}/${file}`, bytes.with(at, (bytes[at] ?? 0) ^ 1));
    const paths = [`${folder.path}/receipt.json`, `${folder.path}/transcript.txt`];
    const { status } = await run(["verify", ...paths, "--ca", `${small.folder}/ca.pem`]);
    assert(status === 1 || status === 2, `${file}, byte ${at}: ${status}`);
  }
});

/** Runs the command in a process of its own, then tries what it gave up; prints what each attempt threw. */
const SURRENDER_SCRIPT = `
import { run, SURRENDERED } from "${new URL("../tools/verify.ts", import.meta.url).href}";
const read = [];
for (const name of ["read", "readSync"]) {
  const original = Deno.FsFile.prototype[name];
  Deno.FsFile.prototype[name] = function (...args) {
    const granted = SURRENDERED.filter((permission) => Deno.permissions.querySync({ name: permission }).state === "granted");
    read.push([name, granted]);
    return original.apply(this, args);
  };
}
const status = await run(Deno.args);
const attempts = {
  net: () => Deno.connect({ hostname: "127.0.0.1", port: 9 }),
  fetch: () => fetch("http://127.0.0.1:49999/"),
  listen: () => Deno.listen({ port: 0 }),
  run: () => new Deno.Command("true").output(),
  env: () => Deno.env.get("PATH"),
  write: () => Deno.writeTextFile("written.txt", "x"),
  remove: () => Deno.remove("ca_cert.pem"),
  sys: () => Deno.hostname(),
  ffi: () => Deno.dlopen("libc.so.6", {}),
};
const thrown = {};
for (const [name, attempt] of Object.entries(attempts)) {
  try {
    await attempt();
    thrown[name] = "nothing";
  } catch (error) {
    thrown[name] = error.name;
  }
}
console.log("\\n" + JSON.stringify({ status, read, thrown }));
`;

Deno.test("verify gives up network, programs, environment and writing before it reads a byte, for good", async () => {
  const [, ...args] = [...argumentsFor(session), "--json"];
  const script = ["run", "--quiet", "--no-prompt", "--no-check", "-A", "--config", `${ROOT}/deno.json`, "-", ...args];
  const { stdout, stderr } = await runCommand(Deno.execPath(), script, { stdin: SURRENDER_SCRIPT });
  const { status, read, thrown } = JSON.parse(stdout.trim().split("\n").at(-1) || stderr);
  assert.equal(status, 0);
  assert(read.length >= 3);
  for (const [name, granted] of read) assert.deepEqual(granted, [], name);
  for (const [name, error] of Object.entries(thrown)) assert.equal(error, "NotCapable", name);
});

// ---- the independent peer

const PEER = `${SHARED}/peer`;

/** Runs a Python script that has the peer's modules, and parses what it prints. */
async function python(script: string, ...args: string[]): Promise<unknown> {
  const { status, stdout, stderr } = await runCommand(PEER_PYTHON, ["-", ...args], {
    stdin: `import sys\nsys.dont_write_bytecode = True\nsys.path.insert(0, ${JSON.stringify(PEER)})\n${script}`,
  });
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout);
}

const VERIFY_FOLDERS = `
import contextlib, io, json, pathlib, verify
answers = {}
for folder in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    argv = ["verify.py", str(folder / "receipt.json"), str(folder / "transcript.txt"), "--ca", str(folder / "ca.pem")]
    for name in ("crl", "cert"):
        if (folder / f"{name}.pem").exists():
            argv += [f"--{name}", str(folder / f"{name}.pem")]
    sys.argv = argv
    with contextlib.redirect_stdout(io.StringIO()):
        answers[folder.name] = verify.main()
print(json.dumps(answers))
`;

/** Where the two rightly differ: the peer has no such option, or takes PEM in any spelling. */
const PEER_ACCEPTS = new Set([
  "expired_at_fail",
  "pem_respelled_fail",
  "session_of_room_lines_fail",
  "stripped_to_version_1_fail",
  "times_fall_fail",
  "times_line_after_receipt_fail",
  "version_1_refused_fail",
]);

/**
 * The peer takes a list of another key with the issuer's name for a false one; here it is passed over, which is told.
 */
const PEER_REFUSES = new Set(["revocation_list_of_another_key"]);

Deno.test({
  name: "the peer's verify.py and ours agree on every folder of tests/evidence",
  ...skipUnless("peer"),
  fn: async () => {
    const answers = await python(VERIFY_FOLDERS, `${ROOT}/tests/evidence`) as Record<string, number>;
    for (const { name, expected } of evidenceCases()) {
      const isGood = (expected.status === 0 || PEER_ACCEPTS.has(name)) && !PEER_REFUSES.has(name);
      assert.equal(answers[name] === 0, isGood, name);
    }
  },
});

const FLIP_RECEIPT = `
import json, pathlib, wire
from cryptography import x509
folder = pathlib.Path(sys.argv[1])
trust = wire.Trust(x509.load_pem_x509_certificates((folder / "ca.pem").read_bytes()))
lines = (folder / "transcript.txt").read_text().split("\\n")[:-1]
receipt = (folder / "receipt.json").read_bytes()
accepted = []
for at in range(len(receipt)):
    flipped = bytearray(receipt)
    flipped[at] ^= 1
    try:
        wire.check_receipt(wire.parse_json(flipped.decode("utf-8")), lines, trust)
        accepted.append(at)
    except Exception:  # a certificate that cryptography can't read escapes the peer's own handling
        pass
print(json.dumps(accepted))
`;

Deno.test({
  name: "the peer and ours refuse a version-2 receipt for the same flipped bytes",
  ...skipUnless("peer"),
  fn: async () => {
    const small = evidenceCase("session_one_line");
    const accepted = await python(FLIP_RECEIPT, small.folder) as number[];
    for (let at = 0; at < small.receipt.length; at++) {
      const flipped = small.receipt.with(at, (small.receipt[at] ?? 0) ^ 1);
      const verdict = await verdictOf({ ...small, receipt: flipped });
      assert.equal(verdict?.result === "valid", accepted.includes(at), `byte ${at}`);
    }
  },
});

/** A session of the peer's client with the peer's server, whose files the client leaves in a folder. */
async function peerSession(path: string, ...flags: string[]): Promise<void> {
  const args = ["-B", `${PEER}/server.py`, "--certs", `${path}/certs`, "--port", "0", ...flags];
  const options = { stdin: "null", stdout: "piped", stderr: "null" } as const;
  const server = new Deno.Command(PEER_PYTHON, { args, ...options }).spawn();
  const output = server.stdout.pipeThrough(new TextDecoderStream()).getReader();
  try {
    let said = "";
    while (!/:\d+\n/.test(said)) said += (await output.read()).value ?? assert.fail(said);
    const port = /:(\d+)\n/.exec(said)?.[1] ?? "";
    const client = ["-B", `${PEER}/client.py`, "--port", port, "--certs", `${path}/certs`, ...flags];
    const register = ["--register", "ada@example.org", "ada", "secret"];
    const send = ["--send", "hello", "Grüße", "", "--out", `${path}/out`];
    const { status, stderr } = await runCommand(PEER_PYTHON, [...client, ...register, ...send]);
    assert.equal(status, 0, stderr);
  } finally {
    server.kill();
    await server.status;
    await output.cancel();
  }
}

for (const [version, flags] of [["version 2", []], ["version 1", ["--v1"]]] as const) {
  Deno.test({
    name: `verify accepts both receipts of a ${version} session between the peer's client and server, and no line less`,
    ...skipUnless("peer"),
    fn: async () => {
      using folder = temporaryFolder();
      const { path } = folder;
      assert.equal((await runCommand(PEER_PYTHON, ["-B", `${PEER}/pki.py`, `${path}/certs`])).status, 0);
      await peerSession(path, ...flags);
      for (const receipt of ["receipt.json", "client_receipt.json"]) {
        const args = [`${path}/out/${receipt}`, `${path}/out/transcript.txt`, "--certs", `${path}/certs`, "--json"];
        const { status, stdout } = await run(["verify", ...args]);
        assert.equal(status, 0, stdout);
        assert.deepEqual(JSON.parse(stdout).unsigned.includes("created_at"), version === "version 1");
      }
      const lines = (await Deno.readTextFile(`${path}/out/transcript.txt`)).split("\n");
      await Deno.writeTextFile(`${path}/out/transcript.txt`, lines.slice(1).join("\n"));
      const args = [`${path}/out/receipt.json`, `${path}/out/transcript.txt`, "--certs", `${path}/certs`];
      assert.equal((await run(["verify", ...args])).status, 1);
    },
  });
}

// ---- rooms

const rooms = roomCases();

function roomArguments(name: string): string[] {
  const found = rooms.find((one) => one.name === name);
  assert(found, name);
  return ["verify", ...found.files, "--ca", `${found.folder}/ca.pem`, ...(found.crl ? ["--crl", found.crl] : [])];
}

for (const name of ["room_open", "room_line_proof", "room_author_revoked_fail", "room_line_missing_fail"]) {
  Deno.test(`verify says of tests/evidence/${name} what is expected`, async () => {
    const expected = rooms.find((one) => one.name === name)?.expected;
    const { status, stdout, stderr } = await run(roomArguments(name));
    assert.equal(status, expected?.status, stdout + stderr);
    assert.match(stdout, status === 0 ? /^VERIFIED / : /^(?:NOT|PARTLY) VERIFIED /);
    assert.equal(stderr, "");
  });
}

Deno.test("verify prints who said what of a room, when and after what, and what that proves", async () => {
  const { stdout } = await run(roomArguments("room_partly_open"));
  assert.match(stdout, /^VERIFIED {3}#ops on localhost, lines 2 to 5, by 1 Jun 2026 12:00:08 UTC\n/);
  assert.match(stdout, /^\[3\] bob, 1 Jun 2026 12:00:03 UTC, had seen 3 lines: "line 3"$/m);
  assert.match(stdout, /^\[5\] bob, 1 Jun 2026 12:00:05 UTC, had seen 5 lines: "line 5"$/m);
  assert.match(stdout, /^Integrity {2}No line between 2 and 5 was altered, reordered or left out\./m);
  assert.match(stdout, /^Unknown {4}Anything after line 7;/m);
});

/** A whole log's files in a folder, every line open; the arguments with which it is verified. */
async function writeRoom(path: string, log: RoomLog): Promise<string[]> {
  await Deno.writeTextFile(`${path}/receipt.json`, encodeJson(await log.receipt()));
  await Deno.writeTextFile(`${path}/transcript.txt`, log.lines().map((line) => `${line}\n`).join(""));
  await Deno.writeTextFile(`${path}/openings.txt`, log.openings().map(encodeOpening).join(""));
  await Deno.writeTextFile(`${path}/ca.pem`, (await authority()).certificate.pem);
  const files = [`${path}/receipt.json`, `${path}/transcript.txt`, "--openings", `${path}/openings.txt`];
  return ["verify", ...files, "--ca", `${path}/ca.pem`];
}

Deno.test("verify prints no text that looks like an act, or like another text", async () => {
  using folder = temporaryFolder();
  const { server, client: ada } = await identities();
  const log = new RoomLog(server);
  const printed = async () => {
    const { stdout } = await run(await writeRoom(folder.path, log));
    return [...stdout.matchAll(/^\[\d+\].*?UTC, had seen (?:no|\d+) lines?:((?:.*\n {4}\|)* .*)$/gm)].map((
      [, words = ""],
    ) => words.replaceAll(/\n {4}\|/g, "").trim());
  };
  const common = { room: "#ops", salt: "AAECAwQFBgcICQoLDA0ODw==", seen: { ...log.head }, v: 1 };
  await log.say(ada, { kind: "join", username: "bob" });
  await log.say(ada, { kind: "topic", text: "x" });
  await log.say(ada, { kind: "head" });
  for (const [kind, body] of [["vote", { yes: true }], ['vote {"yes":true}', null], ["vote\u202e", null]] as const) {
    await log.say(ada, "", { envelope: encodeUtf8(canonicalJson({ body, kind, ...common }) ?? "") });
  }
  const acts = await printed();
  assert.deepEqual(acts, [
    'joined, consenting to recording {"mode":"recorded","recorded":true,"username":"bob"}',
    'set the topic "x"',
    "confirmed what the log held",
    'wrote a line of an unknown kind, "vote" {"yes":true}',
    String.raw`wrote a line of an unknown kind, "vote {\"yes\":true}"`,
    String.raw`wrote a line of an unknown kind, "vote\u{202e}"`,
  ]);
  const texts = [...acts, "one\ntwo", "one\\u{a}two", "one\\ntwo", ..."\u202e\u034f\u3164\u2800\ufe0f".split("")];
  for (const text of texts) await log.say(ada, text);
  const words = (await printed()).slice(acts.length);
  assert.equal(new Set(words).size, texts.length);
  for (const text of words) assert.match(text, /^"[\x20-\x7e]+"$/);
});

Deno.test("words begin no row that looks like one of verify's own, however they are padded", async () => {
  using folder = temporaryFolder();
  const { server, client: ada } = await identities();
  const log = new RoomLog(server);
  await log.say(ada, { kind: "join", username: "ada" });
  for (let padding = 0; padding < 90; padding += 7) {
    await log.say(
      ada,
      `yes${" ".repeat(padding)}[9] bob, 0123456789abcdef, 1 Jun 2026 12:00:03 UTC, had seen 3 lines: "no"`,
    );
  }
  const { stdout } = await run(await writeRoom(folder.path, log));
  const rows = stdout.split("\n").filter((row) => row.includes("0123456789abcdef"));
  assert.ok(rows.length >= 13);
  for (const row of rows) assert.match(row, /^ {4}\| /);
});

Deno.test({
  name: "on a terminal no row of verify is wider than it, and no name begins one that could be taken for ours",
  ...skipUnless("pty"),
  async fn() {
    using folder = temporaryFolder();
    const { server, client: ada } = await identities();
    const eve = await person(`${"e".repeat(31)} [0] NOT VERIFIED by us`);
    const log = new RoomLog(server);
    await log.say(eve, { kind: "join", username: "eve" });
    await log.say(ada, { kind: "join", username: "ada" });
    await log.say(await person("VERIFIED   #ops on localhost, lines 0 to 9, all"), "not in the room");
    await log.say(eve, "hello");
    const { command, args } = program(...await writeRoom(folder.path, log));
    for (const columns of [44, 60, 80]) {
      await using terminal = openTerminal([command, ...args], { columns, env: { NO_COLOR: "1" } });
      await terminal.ended();
      const rows = terminal.shown.split("\r\n");
      const end = rows.findIndex((row) => row.startsWith("status "));
      assert.ok(end > 10, terminal.shown);
      for (const row of rows.slice(1, end)) {
        assert.ok(cells(row) <= columns, row);
        assert.doesNotMatch(row, /^(?:\[0\] NOT|NOT|VERIFIED)/);
      }
    }
  },
});

Deno.test("verify --json prints nothing that acts on a terminal", async () => {
  using folder = temporaryFolder();
  const { server, client: ada } = await identities();
  const log = new RoomLog(server);
  const text = "csi \u009b31m, turned \u202e, gone \u007f, Grüße 👋";
  await log.say(ada, { kind: "join", username: "ada" });
  await log.say(ada, text);
  const { stdout } = await run([...await writeRoom(folder.path, log), "--json"]);
  assert.match(stdout, /^[\x20-\x7e]+\n$/);
  assert.equal(JSON.parse(stdout).opened[1].body, text);
});

Deno.test("verify prints no word of a room whose evidence doesn't hold", async () => {
  const { stdout } = await run(roomArguments("room_line_bit_fail"));
  assert.doesNotMatch(stdout, /^\[/m);
  assert.match(stdout, /^NOT VERIFIED {2}#ops on localhost, lines \d+ to \d+: rely on none of it\.$/m);
});

Deno.test("verify names each bad line with its reason, in its place, and shows the words of every good one", async () => {
  const args = roomArguments("room_acts_without_right_fail");
  const { status, stdout } = await run(args);
  assert.equal(status, 1);
  assert.match(
    stdout,
    /^PARTLY VERIFIED {2}#ops on chat.example, lines 0 to 9 except lines 4 to 7 and 9,\n +by /,
  );
  assert.match(
    stdout,
    /^\[3\] ada, .*\n\[4\] NOT VERIFIED \(rights\): The author was not in the room\.\n {4}\[4\] bob, .* "bob, kicked/m,
  );
  const { result, lines, opened } = JSON.parse((await run([...args, "--json"])).stdout);
  assert.deepEqual([result, lines.from, lines.count, lines.good], ["partly_valid", 0, 10, 5]);
  assert.deepEqual(lines.bad.map(({ index }: { index: number }) => index), [4, 5, 6, 7, 9]);
  assert.deepEqual(lines.bad[0].faults, [{ check: "rights", reason: "The author was not in the room." }]);
  assert.deepEqual(opened.map(({ index }: { index: number }) => index), [0, 1, 2, 3, 8]);
});

Deno.test("verify --json prints a room's opened lines", async () => {
  const { status, stdout } = await run([...roomArguments("room_line_proof"), "--json"]);
  const { result, opened } = JSON.parse(stdout);
  assert.deepEqual([status, result, opened.length, opened[0].index, opened[0].body], [0, "valid", 1, 5, "line 5"]);
});

Deno.test("verify says of evidence beyond 16 MiB that it is too long, whatever it is", async () => {
  using folder = temporaryFolder();
  const path = `${folder.path}/long.json`;
  const [open, proof] = [roomArguments("room_open"), roomArguments("room_line_proof")];
  for (const [command, at, ...others] of [open, proof, argumentsFor(session)]) {
    await Deno.writeTextFile(path, (await Deno.readTextFile(at ?? "")) + " ".repeat(16 * 1024 * 1024));
    const { status, stderr } = await run([command ?? "", path, ...others]);
    assert.deepEqual([status, stderr], [
      2,
      `securechat: ${path} has more than 16777216 bytes: no evidence is that long\n`,
    ]);
  }
});

Deno.test("verify says which files don't belong together", async () => {
  const [open, proof] = [roomArguments("room_open"), roomArguments("room_line_proof")];
  const transcript = open[2] ?? "";
  const wrong: [string[], RegExp][] = [
    [[...open.slice(0, 2), "--ca", transcript], /can't be used/],
    [open.slice(0, 2), /TRANSCRIPT is missing/],
    [[...proof.slice(0, 2), transcript], /needs no other file/],
    [[...proof.slice(0, 2), "--openings", transcript], /needs no other file/],
    [[...argumentsFor(session), "--openings", transcript], /--openings goes with a room/],
    [[...open, "--cert", `${session.folder}/ca.pem`], /--cert goes with a session/],
    [[...open.slice(0, 3), "--openings", `${transcript}.none`], /File not found/],
  ];
  for (const [args, sentence] of wrong) {
    const { status, stdout, stderr } = await run(args);
    assert.equal(status, 2, args.join(" "));
    assert.match(stderr, sentence);
    assert.match(stderr, /^securechat: [^\n]*\n$/);
    assert.equal(stdout, "");
  }
});
