import { assert } from "./assert.ts";
import { run, runCommand, skipUnless, temporaryFolder } from "./environment.ts";
import { authority } from "./fixtures.ts";
import { stampedRoom } from "./stamped_room.ts";
import { makeAuthority, replyTo, startAuthority } from "./timestamp_authority.ts";
import { type RandomAccess, readBundle } from "../lib/bundle.ts";
import { BundleRenewal } from "../lib/bundle_renewal.ts";
import type { Bytes } from "../lib/bytes.ts";
import { issueRevocationList } from "../lib/ca.ts";
import { readRoots } from "../lib/server_log_service.ts";
import { encodeQuery, takeReply } from "../lib/timestamp_query.ts";

const DAY = 86_400_000;
const needed = skipUnless("openssl", "unix");
/** One room for all tests of this file: its stamp's certificate ends after 30 days. */
let room: ReturnType<typeof stampedRoom> | undefined;

async function stamped(dir: string) {
  if (room === undefined) {
    const folder = Deno.makeTempDirSync({ prefix: "securechat_renewals_" });
    addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));
    room = stampedRoom(folder, { days: 30, name: "First" });
  }
  const { shown, ca, root, policy } = await room;
  const file = `${dir}/room.evidence`;
  await Deno.copyFile(shown.bundle, file);
  return { file, whom: ["--ca", ca], root, policy };
}

/** A folder's authority, with a folder of its own. */
async function another(dir: string, name: string, key: "P-256" | "RSA-2048") {
  await Deno.mkdir(`${dir}/${name}`);
  return await startAuthority(`${dir}/${name}`, { name, key, digest: key === "P-256" ? "sha256" : "sha512" });
}

const dayAfter = (days: number) => new Date(Date.now() + days * DAY).toISOString().slice(0, 10);
const oneLine = (text: string) => text.replaceAll(/\s+/g, " ");

function access(bytes: Uint8Array<ArrayBuffer>): RandomAccess {
  return { size: bytes.length, read: (at, size) => Promise.resolve(bytes.slice(at, at + size)) };
}

Deno.test({
  name: "a bundle is renewed twice, by HTTP; tar, head and openssl check both renewals",
  ...needed,
  async fn() {
    using folder = temporaryFolder();
    const dir = folder.path;
    const { file, whom, root } = await stamped(dir);
    await using first = await another(dir, "Second", "P-256");
    await using second = await another(dir, "Third", "RSA-2048");
    const before = await Deno.readFile(file);
    const roots = ["--tsa", root, "--tsa", first.root, "--tsa", second.root];
    const one = await run(["renew", file, "--tsa-url", first.url, ...roots, ...whom]);
    assert.equal(one.status, 0, one.stdout + one.stderr);
    assert.match(one.stdout, /^Renewed 1 time, last .*; renew before \d{4}-\d\d-\d\d\.$/m);
    const two = await run(["renew", file, "--tsa-url", second.url, ...roots, ...whom, "--hash", "sha384"]);
    assert.equal(two.status, 0, two.stdout + two.stderr);
    assert.match(two.stdout, /^Renewed 2 times, last/m);
    const after = await Deno.readFile(file);
    assert.deepEqual(after.slice(0, before.length - 1024), before.slice(0, -1024));

    const verified = await run(["verify", file, ...whom, ...roots, "--details"]);
    assert.equal(verified.status, 0, verified.stdout);
    assert.match(oneLine(verified.stdout), /Renewed 2 times, last \S+; renew before \S+\./);
    assert.match(verified.stdout, /^passed +renewal$/m);

    const listed = (await runCommand("tar", ["tvRf", file])).stdout;
    assert.equal((await runCommand("tar", ["xf", file], { cwd: dir })).status, 0);
    for (const [k, { root }] of [[1, first], [2, second]] as const) {
      const block = new RegExp(`^block (\\d+): .* renewal/${k}\\.tst$`, "m").exec(listed)?.[1];
      const size = String(512 * Number(block));
      const shell = `head -c ${size} room.evidence > before && openssl ts -verify -token_in -in renewal/${k}.tst ` +
        `-data before -CAfile ${root} -untrusted renewal/${k}.pem`;
      const checked = await runCommand("sh", ["-c", shell], { cwd: dir });
      assert.equal(checked.status, 0, checked.stderr);
    }
  },
});

Deno.test({
  name: "a renewal in time keeps what has ended or is distrusted since; without one it counts for nothing",
  ...needed,
  async fn() {
    using folder = temporaryFolder();
    const dir = folder.path;
    const { file, whom, root } = await stamped(dir);
    await using tsa = await another(dir, "Second", "P-256");
    const renewed = `${dir}/renewed.evidence`;
    await Deno.copyFile(file, renewed);
    const roots = ["--tsa", root, "--tsa", tsa.root];
    const ended = await run(["renew", renewed, "--tsa-url", tsa.url, ...roots, ...whom]);
    assert.equal(ended.status, 0, ended.stderr);

    const verify = async (path: string, ...flags: string[]) => {
      const { status, stdout } = await run(["verify", path, ...whom, ...roots, "--as-of", dayAfter(60), ...flags]);
      return { status, text: oneLine(stdout) };
    };
    const lost = await verify(file);
    assert.match(lost.text, /A time stamp counts for nothing: .*ended/);
    assert.equal((await verify(file, "--require-time")).status, 1);
    const kept = await verify(renewed, "--require-time");
    assert.equal(kept.status, 0, kept.text);
    assert.match(kept.text, /Time-stamped by "?CN=First tsa"?/);
    const allowed = await verify(file, "--require-time", "--allow-ended");
    assert.equal(allowed.status, 0, allowed.text);
    assert.match(
      allowed.text,
      /The stamp's certificate ended \d{4}-\d\d-\d\d: who has its key since could have made it/,
    );

    for (const algorithm of ["rsa", "sha256"]) {
      const distrust = ["--distrust", `${algorithm}=${dayAfter(40)}`];
      const without = await verify(file, ...distrust);
      assert.equal(without.status, 1, without.text);
      assert.match(without.text, new RegExp(`relies on ${algorithm}, and no renewal protects it`));
    }
    assert.equal((await verify(renewed, "--distrust", `rsa=${dayAfter(40)}`, "--require-time")).status, 0);
    assert.equal((await verify(renewed, "--distrust", `rsa=${dayAfter(-1)}`)).status, 1);
    // The path of the renewal itself relies on SHA-256, so from that day on it protects nothing.
    assert.equal((await verify(renewed, "--distrust", `sha256=${dayAfter(40)}`)).status, 1);
  },
});

Deno.test({
  name: "without a network a query is written and its answer taken, for the same file and lists only",
  ...needed,
  async fn() {
    using folder = temporaryFolder();
    const dir = folder.path;
    const { file, whom, root } = await stamped(dir);
    await Deno.mkdir(`${dir}/tsa`);
    const tsa = await makeAuthority(`${dir}/tsa`, { name: "Second" });
    const lists = [];
    for (const number of [1n, 2n]) {
      const now = Date.now();
      const pem = await issueRevocationList(await authority(), [], { now, nextUpdate: now + 30 * DAY, number });
      await Deno.writeTextFile(`${dir}/crl${number}.pem`, `a list\n${pem}`);
      lists.push(`${dir}/crl${number}.pem`);
    }
    const [crl = "", other = ""] = lists;
    const roots = ["--tsa", root, "--tsa", tsa.root];
    const asked = await run(["renew", file, "--query", `${dir}/ops.tsq`, "--crl", crl, ...whom]);
    assert.equal(asked.status, 0, asked.stdout + asked.stderr);
    await Deno.writeFile(`${dir}/ops.tsr`, await replyTo(tsa, await Deno.readFile(`${dir}/ops.tsq`)));
    const before = await Deno.readFile(file);
    const reply = ["renew", file, "--reply", `${dir}/ops.tsr`, ...roots, ...whom];
    for (const wrong of [[], ["--crl", other], ["--crl", crl, "--crl", other]]) {
      const refused = await run([...reply, ...wrong]);
      assert.equal(refused.status, 5, refused.stdout);
      assert.match(refused.stderr, /it has to be for this file and the same lists of --crl/);
      assert.deepEqual(await Deno.readFile(file), before);
    }
    const taken = await run([...reply, "--crl", crl]);
    assert.equal(taken.status, 0, taken.stderr);
    const names = (await readBundle(access(await Deno.readFile(file)))).map(({ name }) => name).slice(-3);
    assert.deepEqual(names, ["renewal/1.crl", "renewal/1.tst", "renewal/1.pem"]);
    assert.equal((await run(["verify", file, ...whom, ...roots])).status, 0);
    assert.equal((await run([...reply, "--crl", crl])).status, 5, "an answer is taken once");
  },
});

Deno.test({
  name: "it is said when a bundle has to be renewed",
  ...needed,
  async fn() {
    using folder = temporaryFolder();
    const dir = folder.path;
    const { file, whom, root } = await stamped(dir);
    await using tsa = await another(dir, "Second", "P-256");
    const check = (...flags: string[]) => run(["renew", file, "--check", ...whom, ...flags]);
    const late = await check("--tsa", root); // its certificate has 30 days
    assert.equal(late.status, 1, late.stderr);
    assert.match(late.stdout, /^Not renewed yet; renew before \d{4}-\d\d-\d\d\.$/m);
    assert.equal((await check("--tsa", tsa.root)).status, 3);
    assert.equal((await check()).status, 2);
    const roots = ["--tsa", root, "--tsa", tsa.root];
    assert.equal((await run(["renew", file, "--tsa-url", tsa.url, ...roots, ...whom])).status, 0);
    assert.equal((await check(...roots)).status, 0);
    assert.equal((await check(...roots, "--as-of", dayAfter(3600))).status, 1);
  },
});

Deno.test({
  name: "what doesn't hold isn't renewed; a renewal over fewer bytes, or of an authority that is away, is refused",
  ...needed,
  async fn() {
    using folder = temporaryFolder();
    const dir = folder.path;
    const { file, whom, root } = await stamped(dir);
    await using tsa = await another(dir, "Second", "P-256");
    const roots = ["--tsa", root, "--tsa", tsa.root];
    const renew = (path: string) => run(["renew", path, "--tsa-url", tsa.url, ...roots, ...whom]);

    const whole = await Deno.readFile(file);
    const members = await readBundle(access(whole));
    const transcript = members.find(({ name }) => name === "transcript.txt");
    assert(transcript);
    const false_ = whole.slice();
    false_[transcript.at + 5] = (false_[transcript.at + 5] ?? 0) ^ 1;
    await Deno.writeFile(`${dir}/false.evidence`, false_);
    const refused = await renew(`${dir}/false.evidence`);
    assert.equal(refused.status, 1);
    assert.match(refused.stderr, /doesn't hold, and is not renewed/);
    assert.deepEqual(await Deno.readFile(`${dir}/false.evidence`), false_);
    assert.equal(tsa.asked(), 0);
    await Deno.writeTextFile(`${dir}/none.txt`, "no bundle");
    assert.equal((await renew(`${dir}/none.txt`)).status, 2);

    // A renewal whose token is over everything but the member before it.
    assert.equal((await renew(file)).status, 0);
    const once = await Deno.readFile(file);
    const shorter = new BundleRenewal(access(whole), members, []);
    const query = encodeQuery({
      hash: "SHA-512",
      imprint: await shorter.imprint("SHA-512"),
      nonce: new Uint8Array([9]),
    });
    const taken = await takeReply(await replyTo(tsa, query), shorter.imprint, { roots: await readRoots(tsa.root) }, {
      now: Date.now(),
    });
    assert(typeof taken !== "string");
    const pieces: Bytes[] = [];
    for await (const piece of new BundleRenewal(access(once), await readBundle(access(once)), []).pieces(taken)) {
      pieces.push(piece);
    }
    await Deno.writeFile(`${dir}/prefix.evidence`, new Uint8Array(await new Blob(pieces).arrayBuffer()));
    const prefix = await run(["verify", `${dir}/prefix.evidence`, ...whom, ...roots]);
    assert.equal(prefix.status, 1, prefix.stdout);
    assert.match(oneLine(prefix.stdout), /renewal 2: /);
    assert.equal((await renew(`${dir}/prefix.evidence`)).status, 1);

    await tsa[Symbol.asyncDispose]();
    const away = await renew(file);
    assert.equal(away.status, 5);
    assert.match(away.stderr, /no token of http:\/\/127.0.0.1:\d+\/ is taken/);
    assert.deepEqual(await Deno.readFile(file), once);
  },
});
