import { assert } from "./assert.ts";
import { run, runCommand, skipUnless, temporaryFolder } from "./environment.ts";
import { authority } from "./fixtures.ts";
import { stampedRoom } from "./stamped_room.ts";
import { readBundle } from "../lib/bundle.ts";
import { readRoots } from "../lib/server_log_service.ts";
import { imprintOf, judgeToken } from "../lib/timestamp_judge.ts";
import { verifyBundle } from "../lib/verify_bundle.ts";
import { loadPolicy } from "../lib/witness_policy_file.ts";
import { parseCertificateFile } from "../lib/x509.ts";

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
  name: "a line proof has the notes and tokens of its line, and false ones fail it",
  ...skipUnless("openssl", "unix"),
  async fn() {
    using folder = temporaryFolder();
    const { proof, ca, root, policy } = await stampedRoom(folder.path);
    const whom = ["--ca", ca, "--policy", policy, "--tsa", root, "--require-witness", "--require-time"];
    const { status, stdout } = await run(["verify", proof, ...whom, "--details"]);
    assert.equal(status, 0, stdout);
    assert.match(stdout.replaceAll(/\s+/g, " "), /\[2\] ada, .*written between .* and .*good morning/);
    for (const check of ["charter", "note", "log key", "head", "witness", "token", "after", "time"]) {
      assert.match(stdout, new RegExp(`^passed +${check}$`, "m"));
    }
    const object = JSON.parse(await Deno.readTextFile(proof));
    const names = Object.keys(object.log.files);
    assert(names.includes("tsa.pem") && names.some((name) => name.startsWith("tokens/")));
    const failed = async (change: (log: typeof object.log) => void) => {
      const changed = structuredClone(object);
      change(changed.log);
      await Deno.writeTextFile(`${folder.path}/changed.json`, JSON.stringify(changed));
      const { status, stdout } = await run(["verify", `${folder.path}/changed.json`, ...whom]);
      assert.equal(status, 1, stdout);
      return stdout.replaceAll(/\s+/g, " ");
    };
    const note = names.find((name) => name.startsWith("notes/")) ?? "";
    const token = names.find((name) => name.startsWith("tokens/")) ?? "";
    assert.match(await failed(({ files }) => files[note] = files[note].replace(/[A-Z]/, "z")), /note/);
    assert.match(await failed(({ files }) => files[token] = files[token].slice(0, -4)), /time stamp is false/);
    assert.match(await failed(({ files }) => delete files[note]), /no note|there is no/);
    assert.match(await failed(({ files }) => files["notes/99999.note"] = files[note]), /nothing refers to/);
    assert.match(await failed(({ files }) => files["../x"] = ""), /files are not notes, tokens and tsa.pem/);
    assert.match(await failed((log) => log.search = {}), /a search/);
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
    const contentOf = (file: Uint8Array<ArrayBuffer>, wanted: string) => {
      const { at = 0, size = 0 } = members.find(({ name }) => name === wanted) ?? {};
      return file.slice(at, at + size);
    };
    const certificates = parseCertificateFile(new TextDecoder().decode(contentOf(bytes, "tsa.pem")), 9);
    /** A token whose signer isn't at hand any more is passed over, and its lines have other times or none. */
    const countsForNothing = async (file: Uint8Array<ArrayBuffer>, member: string) => {
      const [, size] = /^tokens\/([0-9]+)\./.exec(member) ?? [];
      if (size === undefined) return false;
      const imprint = imprintOf(contentOf(bytes, `notes/${size}.note`));
      const evidence = { token: contentOf(file, member), imprint, certificates, revocations: [] };
      return (await judgeToken(evidence, log, {}, { now, protectedAt: now })).outcome === "nothing";
    };
    const unnoticed = new Set<string>();
    for (let at = 3; at < bytes.length; at += 41) {
      const changed = bytes.slice();
      changed[at] = (changed[at] ?? 0) ^ 1;
      const verdict = await verdictOf(changed).catch(() => undefined);
      const member = members.find((one) => at >= one.at && at < one.at + one.size)?.name ?? "header";
      if (verdict?.result === "valid" && !await countsForNothing(changed, member)) unnoticed.add(member);
    }
    // Certificates and the CA in the bundle are only there to look things up in. A token whose signer is nobody's now
    // counts for nothing, which the verdict says.
    assert.deepEqual([...unnoticed].filter((name) => name !== "ca.pem" && name !== "tsa.pem"), []);
  },
});
