import { assert } from "./assert.ts";
import { concat, encodeBase64, encodeUtf8 } from "../lib/bytes.ts";
import { encodeNote, encodeNoteHead, parseSignatureLines } from "../lib/log_note.ts";
import { cosign, KEY_TYPE, noteSigner, signNote, verifySignature } from "../lib/log_note_key.ts";
import {
  CosigningRate,
  judge,
  MAX_REQUEST,
  readRequest,
  type WitnessAnswer,
  type WitnessedNote,
} from "../lib/witness_judge.ts";
import { encodeAddCheckpoint, MAX_PROOF, parseAddCheckpoint } from "../lib/witness_request.ts";
import { flipped, GrowingLog, LOG, logSigner, noteOf, rootOf, secretOf, witnessSigner } from "./note_fixtures.ts";

const NOW = 1_700_000_000;

/** A witness without a disk. */
async function newWitness(changes: { now?: () => number; mayCosign?: (origin: string) => boolean } = {}) {
  const [signer, log] = [await witnessSigner(), await logSigner()];
  let newest: WitnessedNote | undefined;
  return {
    signer,
    newest: () => newest,
    ask: async (body: Uint8Array): Promise<WitnessAnswer> => {
      const request = readRequest(body);
      if (!request) return { status: 400, body: "" };
      const answer = await judge(request, {
        signer,
        keysOf: (origin) => origin === LOG ? [log.key] : [],
        newestOf: () => newest,
        now: changes.now?.() ?? NOW,
        mayCosign: changes.mayCosign ?? (() => true),
      });
      newest = answer.cosigned ?? newest;
      return answer;
    },
  };
}

Deno.test("a log that grows is cosigned from size to size, and what is signed verifies", async () => {
  const [witness, log] = [await newWitness(), await GrowingLog.create(1_000)];
  for (const [old, size] of [[0, 5], [5, 1_000], [1_000, 1_000]] as const) {
    const answer = await witness.ask(await log.request(old, size));
    assert.equal(answer.status, 200);
    const [line, ...more] = parseSignatureLines(answer.body) ?? [];
    assert(line && more.length === 0);
    const { text } = await log.noteAt(size);
    assert.equal((await verifySignature(text, line, witness.signer.key))?.time, NOW);
    assert.deepEqual(answer.cosigned?.note.signatures.map(({ name }) => name), [LOG, "witness.example/w1"]);
  }
});

Deno.test("every step of sizes up to 40 is cosigned", async () => {
  const log = await GrowingLog.create(40);
  for (let old = 0; old <= 40; old++) {
    for (let size = old; size <= 40; size += 3) {
      const witness = await newWitness();
      if (old > 0) assert.equal((await witness.ask(await log.request(0, old))).status, 200);
      assert.equal((await witness.ask(await log.request(old, size))).status, 200, `${old} to ${size}`);
    }
  }
});

Deno.test("another old size than the stored one is 409 with the stored one", async () => {
  const [witness, log] = [await newWitness(), await GrowingLog.create(20)];
  const asked = async (old: number, size: number) => {
    const { status, body, type } = await witness.ask(await log.request(old, size));
    return [status, body, type];
  };
  assert.deepEqual(await asked(3, 5), [409, "0\n", "text/x.tlog.size"]);
  assert.deepEqual((await asked(0, 10))[0], 200);
  for (const [old, size] of [[0, 20], [9, 20], [11, 20], [5, 7]] as const) {
    assert.deepEqual(await asked(old, size), [409, "10\n", "text/x.tlog.size"]);
  }
  assert.equal((await asked(10, 9))[0], 400, "an old size above the note's is no request");
});

Deno.test("a tree that doesn't continue the cosigned one is 422, and a second root is a conflict", async () => {
  const [witness, log] = [await newWitness(), await GrowingLog.create(20)];
  assert.equal((await witness.ask(await log.request(0, 10))).status, 200);
  const other = await GrowingLog.create(20, undefined, "another");
  const fork = await witness.ask(await other.request(10, 20));
  assert.deepEqual([fork.status, fork.conflict], [422, undefined]);
  const twice = await witness.ask(await other.request(10, 10));
  assert.equal(twice.status, 422);
  assert.equal(twice.conflict?.head.root, other.rootAt(10));
  // A second root is a conflict whatever old size is named with it.
  assert.equal((await witness.ask(await other.request(0, 10))).conflict?.head.root, other.rootAt(10));
  const proof = await log.proof(10, 20);
  const [first = new Uint8Array(32), ...rest] = proof;
  const [, second = first] = proof;
  for (const wrong of [[], rest, [...proof, first], [flipped(first, 0), ...rest], proof.with(0, second)]) {
    assert.equal((await witness.ask(await log.request(10, 20, { proof: wrong }))).status, 422);
  }
  assert.equal((await witness.ask(await log.request(10, 10, { proof: [first] }))).status, 422);
  assert.equal((await witness.ask(await log.request(10, 20))).status, 200, "nothing of that was stored");
});

Deno.test("an empty log has the root of the empty tree, and a first note has no proof", async () => {
  const log = await GrowingLog.create(5);
  const empty = await newWitness();
  assert.equal((await empty.ask(await log.request(0, 0, { note: await noteOf(0, rootOf("no tree")) }))).status, 422);
  assert.equal((await empty.ask(await log.request(0, 0))).status, 200);
  assert.equal((await empty.ask(await log.request(0, 5))).status, 200);
  const fresh = await newWitness();
  assert.equal((await fresh.ask(await log.request(0, 5, { proof: [new Uint8Array(32)] }))).status, 422);
});

Deno.test("an unknown log is 404; a note that no known key has signed, or one wrongly, is 403", async () => {
  const [witness, log] = [await newWitness(), await GrowingLog.create(5)];
  const other = await GrowingLog.create(5, await logSigner(7, "log.example"));
  assert.equal((await witness.ask(await other.request(0, 5))).status, 404);
  const note = await log.noteAt(5);
  const [line] = note.signatures;
  assert(line);
  const stranger = await signNote(note.text, await logSigner(9));
  const wrong = { ...line, bytes: flipped(line.bytes, 3) };
  const ask = async (signatures: typeof note.signatures) =>
    (await witness.ask(await log.request(0, 5, { note: { ...note, signatures } }))).status;
  assert.equal(await ask([stranger]), 403);
  assert.equal(await ask([wrong]), 403);
  assert.equal(await ask([stranger, wrong]), 403);
  assert.equal(await ask([stranger, line, stranger]), 200);
  assert.deepEqual(witness.newest()?.note.signatures.map(({ id }) => id), [line.id, witness.signer.key.id]);
  // A cosignature by the log's own key material is of another type, and so of an unknown key.
  const asWitness = await cosign(note.text, NOW, noteSigner(LOG, KEY_TYPE.witness, await secretOf(7)));
  assert.equal(await ask([asWitness]), 403);
});

Deno.test("extension lines are cosigned as they are", async () => {
  const [witness, log] = [await newWitness(), await GrowingLog.create(5)];
  const note = await log.noteAt(5, ["an extension", "another"]);
  assert.equal((await witness.ask(await log.request(0, 5, { note }))).status, 200);
  assert.match(witness.newest()?.note.text ?? "", /\nan extension\nanother\n$/);
});

Deno.test("more cosignatures a minute than are made are 429, and nothing is stored then", async () => {
  const log = await GrowingLog.create(5);
  const witness = await newWitness({ mayCosign: () => false });
  assert.equal((await witness.ask(await log.request(0, 5))).status, 429);
  assert.equal(witness.newest(), undefined);
  assert.equal((await witness.ask(await log.request(1, 5))).status, 409, "it is asked last");
  const rate = new CosigningRate();
  assert.deepEqual([...Array(61).keys()].map((i) => rate.take("a", 900 * i)).indexOf(false), 60);
  assert.equal(rate.take("b", 54_000), true);
  assert.equal(rate.take("a", 119_000), true);
});

Deno.test("the time of a cosignature never goes back", async () => {
  let now = NOW;
  const [witness, log] = [await newWitness({ now: () => now }), await GrowingLog.create(5)];
  await witness.ask(await log.request(0, 3));
  now -= 86_400;
  const answer = await witness.ask(await log.request(3, 5));
  assert.equal(answer.cosigned?.time, NOW);
});

Deno.test("what has another form than a request is 400", async () => {
  const log = await GrowingLog.create(1_000);
  const good = await log.request(5, 1_000);
  assert(parseAddCheckpoint(good));
  const text = new TextDecoder().decode(good);
  const hash = encodeBase64(new Uint8Array(32));
  const bad: Readonly<Record<string, string>> = {
    "nothing": "",
    "no old size": text.replace(/^old 5\n/, ""),
    "a zero before it": text.replace("old 5", "old 05"),
    "a sign": text.replace("old 5", "old -5"),
    "beyond 2^53 - 1": text.replace("old 5", "old 9007199254740992"),
    "a proof that isn't base64": text.replace("old 5\n", "old 5\nabc\n"),
    "a short hash": text.replace("old 5\n", `old 5\n${encodeBase64(new Uint8Array(31))}\n`),
    "CR LF": text.replaceAll("\n", "\r\n"),
    "64 hashes": text.replace("old 5\n", `old 5\n${`${hash}\n`.repeat(64)}`),
    "no note": text.slice(0, text.indexOf("\n\n") + 2),
    "a note without an end": text.slice(0, -1),
  };
  for (const [what, body] of Object.entries(bad)) assert.equal(readRequest(encodeUtf8(body)), undefined, what);
  const most = encodeAddCheckpoint(
    5,
    Array.from({ length: MAX_PROOF }, () => new Uint8Array(32)),
    encodeNote(await log.noteAt(9)),
  );
  assert.equal(parseAddCheckpoint(most)?.proof.length, MAX_PROOF);
  // A note that is signed but no log's head.
  const witness = await newWitness();
  const signer = await logSigner();
  const signed = { text: "hello\n", signatures: [await signNote("hello\n", signer)] };
  assert.equal((await witness.ask(encodeAddCheckpoint(0, [], encodeNote(signed)))).status, 400);
  const long = encodeNoteHead({ origin: LOG, size: 5, root: rootOf("a"), extensions: ["x".repeat(MAX_REQUEST)] });
  const tooLong = encodeNote({ text: long, signatures: [await signNote(long, signer)] });
  assert.equal(readRequest(encodeAddCheckpoint(0, [], tooLong)), undefined);
  assert.equal(readRequest(concat(good, new Uint8Array(MAX_REQUEST))), undefined);
});

Deno.test("what is read as a request is written as the same bytes, wherever a byte was changed", async () => {
  const log = await GrowingLog.create(1_000);
  const good = await log.request(5, 1_000);
  let read = 0;
  for (let at = 0; at < good.length; at++) {
    for (const bit of [1, 4, 32, 128]) {
      const changed = good.slice();
      changed[at] = (changed[at] ?? 0) ^ bit;
      const request = parseAddCheckpoint(changed);
      if (!request) continue;
      read += 1;
      assert.deepEqual(encodeAddCheckpoint(request.old, request.proof, encodeNote(request.note)), changed);
    }
  }
  assert(read > 100);
});
