import { assert } from "./assert.ts";
import { skipUnless, temporaryFolder } from "./environment.ts";
import { encodeUtf8, parseUtf8 } from "../lib/bytes.ts";
import { Failure } from "../lib/errors.ts";
import { parseNote } from "../lib/log_note.ts";
import { encodeVkey, verifyNote } from "../lib/log_note_key.ts";
import { Witness } from "../lib/witness.ts";
import { fileNameOf, MAX_CONFLICTS, WitnessFolder } from "../lib/witness_files.ts";
import { parsePolicy } from "../lib/witness_policy.ts";
import { ADD_CHECKPOINT, checkpointPath } from "../lib/witness_request.ts";
import { GrowingLog, LOG, LOG_VKEY, logSigner } from "./note_fixtures.ts";

const POLICY = `log ${LOG_VKEY}\nquorum none\n`;

/** A witness on a folder, while the test goes on. */
async function withWitness(
  path: string,
  test: (witness: Witness, told: string[]) => Promise<void>,
  { policy = POLICY, name = "witness.example/w1", now = (): number => 1_700_000_000_000 } = {},
) {
  using folder = await WitnessFolder.open(path);
  const told: string[] = [];
  const witness = await Witness.open({
    folder,
    name,
    policy: parsePolicy(policy),
    now,
    tell: (line) => told.push(line),
  });
  await test(witness, told);
}

async function add(witness: Witness, body: Uint8Array): Promise<[number, string]> {
  const answer = await witness.answer({ method: "POST", path: ADD_CHECKPOINT, body: new Uint8Array(body) });
  return [answer.status, parseUtf8(answer.body) ?? ""];
}

async function get(witness: Witness, path: string, method = "GET"): Promise<[number, string]> {
  const answer = await witness.answer({ method, path, body: new Uint8Array(0) });
  return [answer.status, parseUtf8(answer.body) ?? ""];
}

const refusal = async (work: Promise<unknown>): Promise<string> => {
  const error = await work.then(() => undefined, (error) => error);
  assert(error instanceof Failure);
  return error.message;
};

Deno.test("a witness that starts again knows what it cosigned, under the same key", async () => {
  using folder = temporaryFolder();
  const log = await GrowingLog.create(20);
  let vkey = "";
  await withWitness(folder.path, async (witness) => {
    vkey = encodeVkey(witness.key);
    assert.equal((await add(witness, await log.request(0, 5)))[0], 200);
  });
  await withWitness(folder.path, async (witness) => {
    assert.equal(encodeVkey(witness.key), vkey);
    assert.deepEqual(await add(witness, await log.request(0, 9)), [409, "5\n"]);
    assert.equal((await add(witness, await log.request(5, 9)))[0], 200);
    const other = await GrowingLog.create(20, undefined, "another");
    assert.equal((await add(witness, await other.request(9, 20)))[0], 422);
  });
});

Deno.test("the newest note is served with the log's signature and the cosignature", async () => {
  using folder = temporaryFolder();
  const log = await GrowingLog.create(20);
  await withWitness(folder.path, async (witness) => {
    const path = checkpointPath(LOG);
    assert.match(path, /^\/[0-9a-f]{64}\/checkpoint$/);
    assert.equal((await get(witness, path))[0], 404);
    await add(witness, await log.request(0, 5));
    await add(witness, await log.request(5, 9));
    const [status, body] = await get(witness, path);
    assert.equal(status, 200);
    const note = parseNote(encodeUtf8(body));
    assert(note);
    assert.equal((await verifyNote(note, [(await logSigner()).key, witness.key]))?.length, 2);
    assert.match(body, /^[^\n]+\n9\n/);
    assert.equal((await get(witness, path, "DELETE"))[0], 405);
    assert.equal((await get(witness, ADD_CHECKPOINT))[0], 405);
    assert.equal((await get(witness, `/${"0".repeat(64)}/checkpoint`))[0], 404);
  });
});

Deno.test("requests for one log at once: each is judged by what the one before it stored", async () => {
  using folder = temporaryFolder();
  const log = await GrowingLog.create(40);
  await withWitness(folder.path, async (witness) => {
    await add(witness, await log.request(0, 5));
    const requests = await Promise.all(Array.from({ length: 20 }, (_, i) => log.request(5, 6 + i)));
    const answers = await Promise.all(requests.map((body) => add(witness, body)));
    assert.equal(answers.filter(([status]) => status === 200).length, 1);
    assert.equal(answers.filter(([status]) => status === 409).length, 19);
  });
});

Deno.test("the 61st cosignature of a minute is refused; whoever repeats an old note doesn't keep the log waiting", async () => {
  using folder = temporaryFolder();
  const log = await GrowingLog.create(70);
  await withWitness(folder.path, async (witness) => {
    await add(witness, await log.request(0, 1));
    const again = await log.request(1, 1);
    for (let i = 0; i < 60; i++) assert.equal((await add(witness, again))[0], 200);
    assert.equal((await add(witness, again))[0], 429);
    for (let size = 1; size < 60; size++) assert.equal((await add(witness, await log.request(size, size + 1)))[0], 200);
    assert.equal((await add(witness, await log.request(60, 61)))[0], 429);
  });
});

Deno.test("two trees of one size are kept as a conflict, each once, and 100 at most", async () => {
  using folder = temporaryFolder();
  const log = await GrowingLog.create(5);
  await withWitness(folder.path, async (witness, told) => {
    await add(witness, await log.request(0, 5));
    const other = await GrowingLog.create(5, undefined, "0");
    for (let round = 0; round < 2; round++) {
      assert.equal((await add(witness, await other.request(5, 5)))[0], 422);
    }
    const kept = () => [...Deno.readDirSync(`${folder.path}/conflicts`)].map(({ name }) => name);
    assert.deepEqual(kept(), [`${fileNameOf(LOG)}_5_${other.rootAt(5).slice(0, 16)}.json`]);
    const { type, notes } = JSON.parse(Deno.readTextFileSync(`${folder.path}/conflicts/${kept()[0]}`));
    assert.equal(type, "conflict");
    for (const [i, root] of [log.rootAt(5), other.rootAt(5)].entries()) {
      const note = parseNote(Uint8Array.fromBase64(notes[i]));
      assert(note && (await verifyNote(note, [(await logSigner()).key]))?.length === 1);
      assert(note.text.includes(Uint8Array.fromHex(root).toBase64()));
    }
    assert.match(told[0] ?? "", /^CONFLICT: .*signed two trees of 5 leaves/);
    for (let seed = 1; seed < MAX_CONFLICTS + 5; seed++) {
      await add(witness, await (await GrowingLog.create(5, undefined, String(seed))).request(5, 5));
    }
    assert.equal(kept().length, MAX_CONFLICTS);
    assert.match(told.at(-1) ?? "", /is full/);
    assert.equal((await add(witness, await log.request(5, 5)))[0], 200);
  });
});

Deno.test("a witness whose clock was ahead is told so at its start", async () => {
  using folder = temporaryFolder();
  const log = await GrowingLog.create(9);
  await withWitness(folder.path, async (witness) => void await add(witness, await log.request(0, 5)));
  await withWitness(folder.path, (_, told) => {
    assert.match(told[0] ?? "", /^The clock was ahead, or is behind now: .* as of 2023-11-14T22:13:20/);
    return Promise.resolve();
  }, { now: () => 1_699_990_000_000 });
});

Deno.test({
  name: "a note that can't be stored isn't cosigned",
  ...skipUnless("unix"),
  fn: async () => {
    using folder = temporaryFolder();
    const log = await GrowingLog.create(9);
    await withWitness(folder.path, async (witness) => {
      await add(witness, await log.request(0, 5));
      Deno.renameSync(`${folder.path}/logs`, `${folder.path}/away`);
      await assert.rejects(add(witness, await log.request(5, 9)));
      Deno.renameSync(`${folder.path}/away`, `${folder.path}/logs`);
      assert.equal((await add(witness, await log.request(5, 9)))[0], 200);
    });
  },
});

Deno.test("a witness doesn't start with less than it had: a log, its key, its name, a whole file, the folder for itself", async () => {
  using folder = temporaryFolder();
  const log = await GrowingLog.create(9);
  const start = (options = {}) => withWitness(folder.path, () => Promise.resolve(), options);
  await withWitness(folder.path, async (witness) => {
    await add(witness, await log.request(0, 5));
    assert.match(await refusal(start()), /another witness runs with/);
  });
  assert.match(await refusal(start({ policy: "quorum none" })), /isn't among the logs any more/);
  assert.match(await refusal(start({ name: "witness.example/w2" })), /cosigned under another name/);
  const path = `${folder.path}/logs/${fileNameOf(LOG)}.note`;
  const whole = Deno.readTextFileSync(path);
  Deno.writeTextFileSync(path, whole.slice(0, -10));
  assert.match(await refusal(start()), /is damaged/);
  Deno.writeTextFileSync(path, whole.replace("\n5\n", "\n4\n"));
  assert.match(await refusal(start()), /or the file is damaged/);
  Deno.writeTextFileSync(path, whole);
  const key = Deno.readTextFileSync(`${folder.path}/witness_key.pem`);
  Deno.removeSync(`${folder.path}/witness_key.pem`);
  assert.match(await refusal(start()), /there is no .*witness_key\.pem/);
  Deno.writeTextFileSync(`${folder.path}/witness_key.pem`, "no key", { mode: 0o600 });
  assert.match(await refusal(start()), /holds no Ed25519 key/);
  Deno.writeTextFileSync(`${folder.path}/witness_key.pem`, key);
  Deno.writeTextFileSync(`${path}.3f9c0000-0000-4000-8000-000000000000.new`, "half of a no");
  await start();
  assert.equal([...Deno.readDirSync(`${folder.path}/logs`)].length, 1, "what a crash left is removed");
});
