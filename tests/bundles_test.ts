import { assert } from "./assert.ts";
import { run, runCommand, skipUnless, temporaryFolder } from "./environment.ts";
import { authority } from "./fixtures.ts";
import { personIdentity } from "./room_bench.ts";
import { dialTcp, Person } from "./room_person.ts";
import { certificates } from "./server.ts";
import { startAuthority } from "./timestamp_authority.ts";
import { startWitness } from "./witness_program.ts";
import { readBundle } from "../lib/bundle.ts";
import { exportBundle } from "../lib/client_bundle.ts";
import type { ExportOptions } from "../lib/client_export.ts";
import { readConfig } from "../lib/config.ts";
import { SILENT } from "../lib/logging.ts";
import { readRoots } from "../lib/server_log_service.ts";
import { verifyBundle } from "../lib/verify_bundle.ts";
import { loadPolicy } from "../lib/witness_policy_file.ts";
import { type RunningServer, serve } from "../server.ts";

/** Resolves when it has come to that: what a client reads of the log is no event. */
async function until(holds: () => boolean): Promise<void> {
  for (let tries = 0; !holds(); tries++) {
    assert(tries < 300, "it never comes to that");
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** A file with the test's CA. */
async function writeAuthority(dir: string): Promise<string> {
  const { certificate } = await authority();
  await Deno.writeTextFile(`${dir}/ca.pem`, certificate.pem);
  return `${dir}/ca.pem`;
}

async function options(username: string, folder: string, ca: string): Promise<ExportOptions> {
  const { pem, key, chain: [leaf] } = await personIdentity(username);
  const identity = { pem, key, fingerprint: leaf?.fingerprint ?? "" };
  return { identity, now: Date.now(), folder, open: "all", ca };
}

/** A server with a log on a data folder that outlives it. */
async function open(dir: string, settings: Readonly<Record<string, string>>): Promise<RunningServer> {
  const all: Record<string, string> = {
    ...{ SERVER_HOST: "127.0.0.1", SERVER_PORT: "0", CERT_DIR: await certificates(), DATA_DIR: `${dir}/data` },
    ...settings,
  };
  const config = readConfig("serve", {}, { environment: (name) => all[name], file: undefined });
  return await serve({ config: { ...config, LOG_SECONDS: 1, STAMP_SECONDS: 2 }, log: SILENT });
}

/** A room that a witness has seen and an authority has stamped, and the folder with all of it. */
async function stampedRoom(dir: string) {
  await Deno.mkdir(`${dir}/tsa`);
  await using tsa = await startAuthority(`${dir}/tsa`, {});
  const first = await open(dir, {});
  const before = await Person.create("ada", { dir, dial: dialTcp(first), times: { ping: 200 } });
  await before.session.start();
  await until(() => before.session.rooms.serverLog?.charter !== undefined);
  const { vkey = "" } = before.session.rooms.serverLog?.charter ?? {};
  await before.session.stop();
  await first.stop();
  await Deno.writeTextFile(`${dir}/logs.txt`, `log ${vkey}\nquorum none\n`);
  const args = ["--name", "witness.example/w1", "--logs", "logs.txt", "--data", "witness"];
  await using witness = await startWitness(args, dir);
  await Deno.writeTextFile(`${dir}/policy.txt`, `log ${vkey}\nwitness w1 ${witness.vkey} ${witness.url}\nquorum w1\n`);
  const server = await open(dir, { WITNESS_POLICY: `${dir}/policy.txt`, TSA_URLS: tsa.url, TSA_ROOTS: tsa.root });
  try {
    const ada = await Person.create("ada", { dir, dial: dialTcp(server), times: { ping: 200 } });
    await ada.session.start();
    await ada.session.rooms.create("#ops");
    const logOf = () => ada.session.rooms.serverLog;
    await ada.session.rooms.say("#ops", "hello");
    const origin = () => ada.session.rooms.monitor("#ops")?.origin ?? "";
    await until(() => logOf()?.headsOf(origin()).some(({ size }) => size === 2) ?? false);
    await until(() => logOf()?.hasToken === true);
    await ada.session.rooms.say("#ops", "good morning"); // names a head of the log behind a token
    await until(() => logOf()?.headsOf(origin()).some(({ size }) => size === 3) ?? false);
    const { tick = 0 } = logOf()?.headsOf(origin()).find(({ size }) => size === 3) ?? {};
    await until(() => logOf()?.hasTokenOver(tick + 1) === true);
    assert.deepEqual(ada.of("server_log"), []);
    const ca = await writeAuthority(dir);
    const shown = await exportBundle(ada.records, "#ops", await options("ada", dir, ca));
    await ada.session.stop();
    return { shown, ca, root: tsa.root, policy: `${dir}/policy.txt` };
  } finally {
    await server.stop();
  }
}

Deno.test({
  name: "a bundle of a witnessed and stamped room is verified by the command, by tar and by openssl",
  ...skipUnless("openssl", "unix"),
  async fn() {
    using folder = temporaryFolder();
    const { shown, ca, root, policy } = await stampedRoom(folder.path);
    assert(shown.registered);
    const whom = ["--ca", ca, "--policy", policy, "--tsa", root, "--require-witness", "--require-time"];
    const { status, stdout, stderr } = await run(["verify", shown.bundle, ...whom, "--details"]);
    assert.equal(status, 0, stdout + stderr);
    assert.match(stdout, /^VERIFIED {3}#ops on localhost, lines 0 to 2/);
    assert.match(stdout, /^Witnesses {2}1 of the 1 witness that you named had seen/m);
    assert.match(stdout.replaceAll(/\s+/g, " "), /Time-stamped by .*: all lines shown existed by/);
    assert.match(stdout.replaceAll(/\s+/g, " "), /\[2\] ada, .*written between .* and .*good morning/);
    for (const check of ["bundle", "charter", "note", "log key", "head", "witness", "token", "after", "time"]) {
      assert.match(stdout, new RegExp(`^passed +${check}$`, "m"));
    }
    const alone = await run(["verify", shown.bundle, "--ca", ca]);
    assert.equal(alone.status, 0, alone.stdout);
    assert.match(alone.stdout.replaceAll(/\s+/g, " "), /Cosigned by 1, none of them named by you\./);
    const demanded = await run(["verify", shown.bundle, "--ca", ca, "--require-time"]);
    assert.equal(demanded.status, 1, demanded.stdout);

    const inside = `${folder.path}/inside`;
    await Deno.mkdir(inside);
    assert.equal((await runCommand("tar", ["xf", shown.bundle], { cwd: inside })).status, 0);
    const [token = ""] = [...Deno.readDirSync(`${inside}/tokens`)].map(({ name }) => name);
    const note = `notes/${token.split(".")[0]}.note`;
    const checked = await runCommand("openssl", [
      ...["ts", "-verify", "-token_in", "-in", `tokens/${token}`, "-data", note],
      ...["-CAfile", root, "-untrusted", "tsa.pem"],
    ], { cwd: inside });
    assert.equal(checked.status, 0, checked.stderr);
  },
});

Deno.test({
  name: "no byte of a bundle can be changed unnoticed, but in what decides nothing",
  ...skipUnless("openssl", "unix"),
  async fn() {
    using folder = temporaryFolder();
    const { shown, root, policy } = await stampedRoom(folder.path);
    const { certificate } = await authority();
    const trust = { authorities: [certificate], revocations: [] };
    const now = Date.now();
    const log = {
      ...{ policies: [await loadPolicy(policy)], logs: [], roots: await readRoots(root), quorum: 1, protectedAt: now },
      ...{ requireWitness: true, requireTime: true },
    };
    const bytes = await Deno.readFile(shown.bundle);
    const verdictOf = async (changed: Uint8Array<ArrayBuffer>) => {
      const source = {
        size: changed.length,
        read: (at: number, size: number) => Promise.resolve(changed.slice(at, at + size)),
      };
      return (await verifyBundle(source, trust, { now, log })).verdict;
    };
    assert.equal((await verdictOf(bytes)).result, "valid");
    const members = await readBundle({
      size: bytes.length,
      read: (at, size) => Promise.resolve(bytes.slice(at, at + size)),
    });
    const unnoticed = new Set<string>();
    for (let at = 3; at < bytes.length; at += 41) {
      const changed = bytes.slice();
      changed[at] = (changed[at] ?? 0) ^ 1;
      const verdict = await verdictOf(changed).catch(() => undefined);
      const member = members.find((one) => at >= one.at && at < one.at + one.size)?.name ?? "header";
      const isTokenOpen = verdict?.checks.some(({ name, outcome }) => name === "token" && outcome !== "passed");
      if (verdict?.result === "valid" && !isTokenOpen) unnoticed.add(member);
    }
    // Certificates and the CA in the bundle are only there to look things up in. A token whose signer is nobody's now
    // counts for nothing, which the verdict says.
    assert.deepEqual([...unnoticed].filter((name) => name !== "ca.pem" && name !== "tsa.pem"), []);
  },
});
