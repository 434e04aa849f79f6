/**
 * Which files `verify`, `prove` and `cert check` open, and which CA judges: what lies beside evidence may be hostile.
 */

import { assert } from "./assert.ts";
import { run, runCommand, skipUnless, temporaryFolder } from "./environment.ts";
import { evidenceCase } from "./evidence.ts";

const session = evidenceCase("session");
const other = evidenceCase("other_ca_fail");
const ARGS = ["verify", "receipt.json", "transcript.txt"];

/** A folder with a session's evidence and nothing that is trusted. */
function evidenceFolder() {
  const folder = temporaryFolder();
  for (const file of ["receipt.json", "transcript.txt"]) {
    Deno.copyFileSync(`${session.folder}/${file}`, `${folder.path}/${file}`);
  }
  return folder;
}

const fingerprintOf = async (ca: string): Promise<string> =>
  JSON.parse((await run(["cert", "show", ca, "--json"])).stdout).fingerprint;

Deno.test("the .env of an evidence folder doesn't name the CA that judges: verify, prove and cert check read none", async () => {
  using folder = evidenceFolder();
  const { path } = folder;
  Deno.mkdirSync(`${path}/.x`);
  Deno.copyFileSync(`${session.folder}/ca.pem`, `${path}/.x/ca_cert.pem`);
  Deno.writeTextFileSync(`${path}/.env`, "CERT_DIR=.x\nTRANSCRIPT_DIR=.y\n");
  assert.equal((await run(ARGS, { cwd: path })).status, 3);
  const check = await run(["cert", "check", `${session.folder}/ca.pem`], { cwd: path });
  assert.equal(check.status, 3, check.stdout);
  assert.match(check.stderr, /File not found: certs\/ca_cert\.pem/);
  assert.match((await run(["prove", "#ops", "1"], { cwd: path })).stderr, /there is no certs\/client_cert\.pem/);
  Deno.writeTextFileSync(`${path}/.env`, "this is not a setting");
  assert.equal((await run(ARGS, { cwd: path })).status, 3);
  for (const command of [["verify"], ["prove"], ["cert", "check"]]) {
    const { stdout } = await run([...command, "--help"]);
    assert.match(stdout, /^Settings, each also from the environment under the name in brackets:$/m);
  }
});

Deno.test("a CA that nobody named is told as found, with its fingerprint, wherever it was found", async () => {
  using folder = evidenceFolder();
  const { path } = folder;
  const sha256 = await fingerprintOf(`${session.folder}/ca.pem`);
  for (const place of ["certs", "."]) {
    Deno.mkdirSync(`${path}/${place}`, { recursive: true });
    Deno.copyFileSync(`${session.folder}/ca.pem`, `${path}/${place}/ca_cert.pem`);
    const file = `${place}/ca_cert.pem`;
    const told = await run(ARGS, { cwd: path });
    assert.equal(told.status, 0, told.stderr);
    assert.ok(
      told.stdout.includes(sha256) && told.stdout.replaceAll(/\s+/g, " ").includes(`This CA was found in ${file},`),
    );
    const { authority } = JSON.parse((await run([...ARGS, "--json"], { cwd: path })).stdout);
    assert.deepEqual(authority, { subject: "CN=Example Chat CA", sha256, source: "found", path: file });
  }
  const ways: [string[], Record<string, string>, string][] = [
    [["--ca", "certs/ca_cert.pem"], {}, "certs/ca_cert.pem"],
    [["--certs", "certs"], {}, "certs/ca_cert.pem"],
    [[], { CERT_DIR: "certs" }, "certs/ca_cert.pem"],
    [["--ca-sha256", sha256], {}, "./ca_cert.pem"],
  ];
  for (const [flags, env, file] of ways) {
    const { stdout } = await run([...ARGS, ...flags, "--json"], { cwd: path, env });
    assert.deepEqual(JSON.parse(stdout).authority, {
      ...{ subject: "CN=Example Chat CA", sha256, source: "named", path: file },
    });
    assert.doesNotMatch((await run([...ARGS, ...flags], { cwd: path, env })).stdout, /Nobody named the CA/);
  }
});

Deno.test("cert check tells a CA that nobody named as found, and reads no .env", async () => {
  using folder = temporaryFolder();
  const { path } = folder;
  await run(["init"], { cwd: path });
  const sha256 = await fingerprintOf(`${path}/certs/ca_cert.pem`);
  const found = await run(["cert", "check", "certs/server_cert.pem"], { cwd: path });
  assert.equal(found.status, 0);
  assert.ok(found.stderr.includes(sha256) && found.stderr.includes("This CA was found in certs/ca_cert.pem"));
  const args = ["cert", "check", "certs/server_cert.pem", "--json"];
  const { authority } = JSON.parse((await run(args, { cwd: path })).stdout);
  assert.deepEqual([authority.sha256, authority.source, authority.path], [sha256, "found", "certs/ca_cert.pem"]);
  const named = JSON.parse((await run([...args, "--certs", "certs"], { cwd: path })).stdout);
  assert.equal(named.authority.source, "named");
  assert.equal((await run([...args, "--ca-sha256", "00".repeat(32)], { cwd: path })).status, 3);
});

Deno.test("--ca-sha256 says which CA counts: of several in a file only that one, and of none the verdict is undecided", async () => {
  using folder = evidenceFolder();
  const { path } = folder;
  const [right, wrong] = [
    await fingerprintOf(`${session.folder}/ca.pem`),
    await fingerprintOf(`${other.folder}/ca.pem`),
  ];
  const both = [`${other.folder}/ca.pem`, `${session.folder}/ca.pem`].map((ca) => Deno.readTextFileSync(ca)).join("");
  Deno.writeTextFileSync(`${path}/both.pem`, both);
  const verify = (sha256: string) => run([...ARGS, "--ca", "both.pem", "--ca-sha256", sha256, "--json"], { cwd: path });
  const colons = right.toUpperCase().match(/../g)?.join(":") ?? "";
  for (const spelling of [right, colons]) {
    const { status, stdout } = await verify(spelling);
    assert.deepEqual([status, JSON.parse(stdout).authority.sha256], [0, right]);
  }
  const none = await verify("00".repeat(32));
  assert.equal(none.status, 3);
  assert.ok(none.stderr.includes(right) && none.stderr.includes(wrong), none.stderr);
  assert.equal((await run([...ARGS, "--ca-sha256", right], { cwd: path })).status, 3); // there is no CA at all
  const malformed = await verify("1234");
  assert.deepEqual([malformed.status, /64 hex digits/.test(malformed.stderr)], [2, true]);
});

Deno.test("of several CAs in a file the one that the evidence leads to is told as its judge, and the others as not concerned", async () => {
  using folder = evidenceFolder();
  const { path } = folder;
  const [right, wrong] = [
    await fingerprintOf(`${session.folder}/ca.pem`),
    await fingerprintOf(`${other.folder}/ca.pem`),
  ];
  // Whoever puts their own CA into the file behind a known one must not be judged in the known one's name.
  const both = [other.folder, session.folder].map((from) => Deno.readTextFileSync(`${from}/ca.pem`)).join("");
  Deno.writeTextFileSync(`${path}/ca_cert.pem`, both);
  const { status, stdout } = await run([...ARGS, "--json"], { cwd: path });
  assert.deepEqual([status, JSON.parse(stdout).authority.sha256], [0, right]);
  const told = (await run(ARGS, { cwd: path })).stdout;
  assert.ok(told.includes(` ${right}.`), told);
  assert.match(told, /Given, but\s+not\s+needed: CA "CN=Another CA"\./);
  assert.ok(!told.includes(wrong), told);
});

Deno.test({
  name: "a ca_cert.pem that is no small regular file is refused in a sentence, never waited for or read without end",
  ...skipUnless("unix"),
  async fn() {
    const kinds: [string, (path: string) => Promise<unknown> | void, RegExp][] = [
      ["a FIFO", (path) => runCommand("mkfifo", [path]), /is a FIFO, not a file/],
      ["a link to a device", (path) => Deno.symlinkSync("/dev/zero", path), /is a device, not a file/],
      ["a folder", (path) => Deno.mkdirSync(path), /is a folder, not a file/],
      ["a sparse giant", (path) => {
        Deno.writeTextFileSync(path, "");
        Deno.truncateSync(path, 2 ** 40);
      }, /has more than 1048576 bytes: is it the right file/],
      ["a link to itself", (path) => Deno.symlinkSync("ca_cert.pem", path), /can't be read: .*symbolic link/i],
    ];
    for (const [kind, make, sentence] of kinds) {
      using folder = evidenceFolder();
      const { path } = folder;
      await make(`${path}/ca_cert.pem`);
      const commands = [
        ARGS,
        [...ARGS, "--ca", "ca_cert.pem"],
        [...ARGS, "--ca", `${session.folder}/ca.pem`, "--crl", "ca_cert.pem"],
        [...ARGS, "--ca", `${session.folder}/ca.pem`, "--cert", "ca_cert.pem"],
        ["cert", "check", `${session.folder}/ca.pem`, "--certs", "."],
        ["cert", "show", "ca_cert.pem"],
        ["cert", "client", "ada", "--certs", "."],
      ];
      for (const args of commands) {
        const { status, stdout, stderr } = await run(args, { cwd: path });
        assert.equal(status, 2, `${kind}: ${args.join(" ")}: ${stdout}${stderr}`);
        const isList = args.includes("--crl") || args.includes("show") || args.includes("check");
        if (!(isList && kind === "a sparse giant")) assert.match(stderr, sentence, args.join(" "));
        assert.match(stderr, /^securechat: [^\n]*\n$/);
      }
    }
  },
});

Deno.test({
  name: "a transcript or a receipt that is a FIFO or a device is refused in a sentence",
  ...skipUnless("unix"),
  async fn() {
    using folder = evidenceFolder();
    const { path } = folder;
    await runCommand("mkfifo", [`${path}/fifo`]);
    Deno.symlinkSync("/dev/zero", `${path}/zero`);
    const ca = ["--ca", `${session.folder}/ca.pem`];
    for (const name of ["fifo", "zero"]) {
      for (const args of [["receipt.json", name], [name, "transcript.txt"]]) {
        const { status, stderr } = await run(["verify", ...args, ...ca], { cwd: path });
        assert.equal(status, 2);
        assert.match(stderr, /^securechat: (?:fifo is a FIFO|zero is a device), not a file\n$/);
      }
    }
  },
});

Deno.test({
  name: "evidence may lie in /dev/shm, come over /dev/stdin or a descriptor, or be a link",
  ...skipUnless("unix"),
  async fn() {
    using folder = evidenceFolder();
    const { path } = folder;
    const ca = `${session.folder}/ca.pem`;
    if (await Deno.stat("/dev/shm").then(() => true, () => false)) {
      const shared = Deno.makeTempDirSync({ dir: "/dev/shm" });
      try {
        for (const file of ["receipt.json", "transcript.txt"]) {
          Deno.copyFileSync(`${path}/${file}`, `${shared}/${file}`);
        }
        Deno.copyFileSync(ca, `${shared}/ca_cert.pem`);
        const { status, stderr } = await run(["verify", `${shared}/receipt.json`, `${shared}/transcript.txt`]);
        assert.deepEqual([status, stderr], [0, ""]);
      } finally {
        Deno.removeSync(shared, { recursive: true });
      }
    }
    const stdin = Deno.readTextFileSync(`${path}/transcript.txt`);
    const piped = await run(["verify", "receipt.json", "/dev/stdin", "--ca", ca], { cwd: path, stdin });
    assert.equal(piped.status, 0, piped.stderr);
    const twice = await run(["verify", "/dev/stdin", "/dev/stdin", "--ca", ca], { cwd: path, stdin });
    assert.deepEqual([twice.status, /once only/.test(twice.stderr)], [2, true]);
    Deno.symlinkSync("transcript.txt", `${path}/link`);
    assert.equal((await run(["verify", "receipt.json", "link", "--ca", ca], { cwd: path })).status, 0);
  },
});

Deno.test("a byte order mark before a receipt, a CA, a key's passphrase or .env changes nothing", async () => {
  using folder = evidenceFolder();
  const { path } = folder;
  for (
    const [file, from] of [["receipt.json", `${path}/receipt.json`], ["ca.pem", `${session.folder}/ca.pem`]] as const
  ) {
    Deno.writeTextFileSync(`${path}/${file}`, `\ufeff${Deno.readTextFileSync(from)}`);
  }
  const { status, stdout, stderr } = await run([...ARGS, "--ca", "ca.pem"], { cwd: path });
  assert.equal(status, 0, stdout + stderr);
  Deno.writeTextFileSync(`${path}/.env`, "\ufeffCERT_DIR=here\n");
  Deno.writeTextFileSync(`${path}/word`, "\ufeffcorrect horse\n", { mode: 0o600 });
  Deno.writeTextFileSync(`${path}/same`, "correct horse\n", { mode: 0o600 });
  assert.equal((await run(["ca", "--passphrase-file", "word"], { cwd: path })).status, 0);
  assert.equal((await run(["cert", "client", "ada", "--passphrase-file", "same"], { cwd: path })).status, 0);
  assert.ok(Deno.statSync(`${path}/here/client_cert.pem`).isFile);
});
