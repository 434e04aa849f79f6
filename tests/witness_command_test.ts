import { assert } from "./assert.ts";
import { run, skipUnless, temporaryFolder } from "./environment.ts";
import { encodeUtf8, parseUtf8 } from "../lib/bytes.ts";
import { encodeNote, parseNote } from "../lib/log_note.ts";
import { witnessHttp } from "../lib/server_witness_http.ts";
import { Witnesses, type WitnessNews } from "../lib/server_witnesses.ts";
import { cosignersOf, isSatisfied, parsePolicy } from "../lib/witness_policy.ts";
import { ADD_CHECKPOINT, checkpointPath } from "../lib/witness_request.ts";
import { GrowingLog, LOG, LOG_VKEY } from "./note_fixtures.ts";
import { startWitness } from "./witness_program.ts";

const NAME = ["--name", "witness.example/w1", "--logs", "logs.txt"];

/** A folder with the file of logs. */
function logsFolder() {
  const folder = temporaryFolder();
  Deno.writeTextFileSync(`${folder.path}/logs.txt`, `log ${LOG_VKEY}\nquorum none\n`);
  return folder;
}

async function post(url: string, body: Uint8Array): Promise<[number, string]> {
  const { status, body: answer } = await witnessHttp.post(`${url}${ADD_CHECKPOINT}`, new Uint8Array(body));
  return [status, parseUtf8(answer) ?? ""];
}

Deno.test({
  name: "two witnesses that run cosign a server's notes, and the policy made of what they print is satisfied",
  ...skipUnless("unix"),
  fn: async () => {
    using folder = logsFolder();
    await using one = await startWitness([...NAME, "--data", "one"], folder.path);
    await using two = await startWitness(
      ["--name", "witness.example/w2", "--logs", "logs.txt", "--data", "two"],
      folder.path,
    );
    const lines = [one, two].map(({ vkey, url }, i) => `witness w${i} ${vkey} ${url}`);
    const policy = parsePolicy([...lines, "group both all w0 w1", "quorum both"].join("\n"));
    const log = await GrowingLog.create(1_000);
    const told: WitnessNews[] = [];
    const witnesses = new Witnesses({
      policy,
      ...{
        log: log.signer.key,
        transport: witnessHttp,
        now: Date.now,
        later: (ms, run) => Deno.unrefTimer(setTimeout(run, ms)),
      },
      size: () => Promise.resolve(0),
      found: () => Promise.resolve(),
      tell: (news) => told.push(news),
    });
    for (const size of [5, 1_000, 1_000]) {
      const open = parseUtf8(encodeNote(await log.noteAt(size))) ?? "";
      const closed = await witnesses.cosign({
        note: open,
        size,
        root: log.rootAt(size),
        proof: (from) => log.proof(from, size),
      });
      const note = parseNote(encodeUtf8(closed));
      assert(note);
      const cosigners = await cosignersOf(note, policy, Math.floor(Date.now() / 1000));
      assert(cosigners && isSatisfied(policy, cosigners), JSON.stringify(told));
    }
    assert.deepEqual(told, []);
    const shown = await witnessHttp.get(`${one.url}${checkpointPath(LOG)}`);
    assert.match(parseUtf8(shown.body) ?? "", /^[^\n]+\n1000\n/);
    assert.deepEqual(await Promise.all([one.stop(), two.stop()]), [0, 0]);
  },
});

Deno.test({
  name: "a witness that is killed at any moment never forgets what it cosigned, and cosigns no other tree",
  ...skipUnless("unix"),
  fn: async () => {
    using folder = logsFolder();
    const log = await GrowingLog.create(300);
    const fork = await GrowingLog.create(300, undefined, "a fork");
    let acknowledged = 0;
    for (let round = 0; round < 5; round++) {
      await using witness = await startWitness(NAME, folder.path);
      const [status, size] = await post(witness.url, await log.request(300, 300));
      assert.equal(status, 409);
      const stored = Number(size);
      assert(stored >= acknowledged, `${stored} is stored, ${acknowledged} was acknowledged`);
      acknowledged = stored;
      if (stored > 0) assert.equal((await post(witness.url, await fork.request(stored, stored + 1)))[0], 422);
      // The kill comes while a request is under way: another one each round.
      for (let turn = 0; turn <= 5 * round; turn++) {
        const body = await log.request(acknowledged, acknowledged + 1);
        const answer = post(witness.url, body).catch(() => undefined);
        if (turn === 5 * round) void witness.stop("SIGKILL");
        if ((await answer)?.[0] === 200) acknowledged += 1;
      }
      await witness.stop("SIGKILL");
    }
    assert(acknowledged > 20);
  },
});

Deno.test("a witness that can't start says what is missing, and how to go on", async () => {
  using folder = logsFolder();
  const ends = async (...args: string[]) => {
    const { status, stdout, stderr } = await run(["witness", ...args], { cwd: folder.path });
    assert.equal(stdout, "");
    return `${status} ${stderr.trimEnd()}`;
  };
  assert.match(await ends(), /^2 securechat: a witness has a name for all time: --name witness\.example\/w1; see/);
  assert.match(await ends("--name", "a"), /^2 securechat: .*--logs FILE; see/);
  assert.match(await ends("--name", "a b", "--logs", "logs.txt"), /^2 securechat: --name=a b is not the name of a key/);
  assert.match(await ends("--name", "a", "--logs", "other.txt"), /^2 securechat: File not found: other\.txt$/);
  assert.match(await ends(...NAME, "--listen", "7380"), /^2 securechat: --listen=7380 is not an address and a port/);
  Deno.writeTextFileSync(`${folder.path}/bad.txt`, `log ${LOG_VKEY}\nquorum friends\n`);
  assert.match(
    await ends("--name", "a", "--logs", "bad.txt"),
    /^2 securechat: bad\.txt: line 2: no witness or group "friends"/,
  );
  Deno.writeTextFileSync(`${folder.path}/none.txt`, "quorum none\n");
  assert.match(await ends("--name", "a", "--logs", "none.txt"), /^2 securechat: none\.txt has no log line/);
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const address = `127.0.0.1:${taken.addr.port}`;
  assert.match(await ends(...NAME, "--listen", address), /^5 securechat: port .* is in use; .*--listen$/);
});
