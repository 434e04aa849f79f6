/**
 * Witnesses that others wrote cosign our log, ours serves their client, and Go's libraries read our notes and proofs.
 */

import { assert } from "./assert.ts";
import { skipUnless, temporaryFolder } from "./environment.ts";
import { encodeBase64, encodeUtf8, parseHex, parseUtf8 } from "../lib/bytes.ts";
import { encodeNote, encodeSignatureLine, type Note, parseNote } from "../lib/log_note.ts";
import { KEY_TYPE, parseVkey } from "../lib/log_note_key.ts";
import { inclusionProof, type NodePlace } from "../lib/log_tree.ts";
import type { OpenNote } from "../lib/server_log.ts";
import { askWitness, type WitnessOutcome } from "../lib/server_witness_exchange.ts";
import { witnessTransport } from "../lib/server_witness_http.ts";
import { cosignersOf, policyOf, type PolicyWitness } from "../lib/witness_policy.ts";
import { GrowingLog, LOG, LOG_VKEY, logSigner } from "./note_fixtures.ts";
import { askGo, type RealWitness, startLitewitness, startOmniwitness } from "./real_witnesses.ts";
import { startWitness } from "./witness_program.ts";

const NAME = "witness.example/w1";

async function openNote(
  log: GrowingLog,
  size: number,
  changes: { note?: Note; proof?: GrowingLog } = {},
): Promise<OpenNote> {
  const note = parseUtf8(encodeNote(changes.note ?? await log.noteAt(size))) ?? "";
  return { note, size, root: log.rootAt(size), proof: (from) => (changes.proof ?? log).proof(from, size) };
}

/** Everything that a server and its witnesses say to each other, with this witness. */
async function talkWith({ vkey, url }: Pick<RealWitness, "vkey" | "url">, looks: boolean): Promise<void> {
  const key = parseVkey(vkey);
  assert(key, vkey);
  const witness: PolicyWitness = { name: "w", key, url };
  const exchange = { witness, log: (await logSigner()).key, transport: witnessTransport(), now: Date.now };
  const log = await GrowingLog.create(1_100);
  const fork = await GrowingLog.create(1_100, undefined, "a fork");
  const ask = async (open: OpenNote, known: number) => await askWitness(exchange, open, known);
  const cosigned = async (open: OpenNote, known: number): Promise<Note> => {
    const { outcome, known: after } = await ask(open, known);
    assert(outcome.kind === "cosigned", JSON.stringify(outcome));
    assert.equal(after, open.size);
    const note = parseNote(encodeUtf8(open.note + encodeSignatureLine(outcome.signature)));
    assert(note);
    const cosigners = await cosignersOf(note, policyOf([key]), Math.floor(Date.now() / 1000));
    assert.deepEqual([...cosigners ?? []], [[key.name, outcome.time]]);
    return note;
  };
  const isLooked = (outcome: WitnessOutcome, kind: "ahead" | "conflict") => {
    assert(outcome.kind === kind, JSON.stringify(outcome));
    assert.equal(outcome.found?.root, looks ? log.rootAt(1_000) : undefined);
  };

  await cosigned(await openNote(log, 5), 0);
  await cosigned(await openNote(log, 1_000), 5);
  await cosigned(await openNote(log, 1_000), 1_000);
  await cosigned(await openNote(log, 1_000), 3); // a wrong old size: 409, and once more
  isLooked((await ask(await openNote(log, 500), 0)).outcome, "ahead");
  isLooked((await ask(await openNote(fork, 1_000), 1_000)).outcome, "conflict");
  isLooked((await ask(await openNote(fork, 1_100), 1_000)).outcome, "conflict");
  isLooked((await ask(await openNote(log, 1_100, { proof: fork }), 1_000)).outcome, "conflict");
  const other = await GrowingLog.create(5, await logSigner(7, "log.example/unknown"));
  assert.equal((await ask(await openNote(other, 5), 0)).outcome.kind, "failed");
  const stranger = await GrowingLog.create(1_100, await logSigner(9));
  assert.equal((await ask(await openNote(stranger, 1_100), 1_000)).outcome.kind, "failed");
  const extended = await cosigned(
    await openNote(log, 1_001, { note: await log.noteAt(1_001, ["an extension"]) }),
    1_000,
  );
  assert.match(extended.text, /\nan extension\n$/);
  const note = await cosigned(await openNote(log, 1_100), 1_001);
  if (skipUnless("gopeer").ignore) return;
  const read = await askGo({ do: "note", note: parseUtf8(encodeNote(note)), logs: [LOG_VKEY], witnesses: [vkey] });
  assert.deepEqual(read, { signers: [LOG, key.name] });
}

Deno.test({
  name: "litewitness cosigns our log, and refuses every other one",
  ...skipUnless("litewitness"),
  fn: async () => {
    await using witness = await startLitewitness(NAME, LOG_VKEY);
    await talkWith(witness, false);
  },
});

for (const [kind, type] of [["Ed25519", KEY_TYPE.witness], ["ML-DSA-44", KEY_TYPE.mlDsaWitness]] as const) {
  Deno.test({
    name: `omniwitness with an ${kind} key cosigns our log, and refuses every other one`,
    ...skipUnless("omniwitness"),
    fn: async () => {
      await using witness = await startOmniwitness(NAME, LOG_VKEY, type === KEY_TYPE.mlDsaWitness);
      assert.equal(parseVkey(witness.vkey)?.type, type);
      await talkWith(witness, false);
    },
  });
}

/** Our witness with the log of the vectors. */
async function startOurs() {
  const folder = temporaryFolder();
  Deno.writeTextFileSync(`${folder.path}/logs.txt`, `log ${LOG_VKEY}\nquorum none\n`);
  const witness = await startWitness(["--name", NAME, "--logs", "logs.txt"], folder.path);
  return {
    ...witness,
    [Symbol.asyncDispose]: async () => {
      await witness[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}

Deno.test({
  name: "our witness cosigns our log, and refuses every other one",
  ...skipUnless("unix"),
  fn: async () => {
    await using witness = await startOurs();
    await talkWith(witness, true);
  },
});

Deno.test({
  name: "our witness serves the client of transparency-dev, and each refusal is the one that it knows",
  ...skipUnless("gopeer"),
  fn: async () => {
    await using witness = await startOurs();
    const log = await GrowingLog.create(1_100);
    const fork = await GrowingLog.create(1_100, undefined, "a fork");
    const ask = async (from: GrowingLog, old: number, size: number, proof = from) => {
      const hashes = old <= size ? (await proof.proof(old, size)).map(encodeBase64) : [];
      const note = parseUtf8(encodeNote(await from.noteAt(size)));
      return { note, ...await askGo({ do: "ask", url: witness.url, old, proof: hashes, note }) };
    };
    for (const [old, size] of [[0, 5], [5, 1_000], [1_000, 1_000]] as const) {
      const { note, body, error } = await ask(log, old, size);
      assert.equal(error, undefined);
      const read = await askGo({ do: "note", note: `${note}${body}`, logs: [LOG_VKEY], witnesses: [witness.vkey] });
      assert.deepEqual(read, { signers: [LOG, NAME] });
    }
    const errorOf = async (...args: Parameters<typeof ask>) => {
      const { error, size } = await ask(...args);
      return [error, size];
    };
    assert.deepEqual(await errorOf(log, 3, 1_100), ["old size != current", 1_000]);
    assert.deepEqual(await errorOf(fork, 1_000, 1_000), ["consistency proof invalid", undefined]);
    assert.deepEqual(await errorOf(fork, 1_000, 1_100), ["consistency proof invalid", undefined]);
    assert.deepEqual(await errorOf(log, 1_100, 1_000), ["old size > current", undefined]);
    const stranger = await GrowingLog.create(1_100, await logSigner(9));
    assert.deepEqual(await errorOf(stranger, 1_000, 1_100), ["no valid signatures", undefined]);
    const unknown = await GrowingLog.create(5, await logSigner(7, "log.example/unknown"));
    assert.deepEqual(await errorOf(unknown, 0, 5), ["unknown log", undefined]);
    const shown = await (await fetch(`${witness.url}/${await originHash()}/checkpoint`)).text();
    const read = await askGo({ do: "note", note: shown, logs: [LOG_VKEY], witnesses: [witness.vkey] });
    assert.deepEqual(read, { signers: [LOG, NAME] });
  },
});

async function originHash(): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", encodeUtf8(LOG))).toHex();
}

Deno.test({
  name: "Go's tlog takes our proofs of inclusion and consistency, and not those of another tree",
  ...skipUnless("gopeer"),
  fn: async () => {
    const log = await GrowingLog.create(100);
    const fork = await GrowingLog.create(100, undefined, "a fork");
    const root = (tree: GrowingLog, size: number) => encodeBase64(parseHex(tree.rootAt(size)) ?? new Uint8Array(0));
    for (const [old, size] of [[1, 1], [1, 100], [64, 100], [37, 80], [99, 100]] as const) {
      const proof = (await log.proof(old, size)).map(encodeBase64);
      const asked = { do: "consistency", old, size, root: root(log, size), oldRoot: root(log, old), proof };
      assert.deepEqual(await askGo(asked), {});
      assert((await askGo({ ...asked, oldRoot: root(fork, old) })).error);
    }
    const read = (places: readonly NodePlace[]) => log.nodes(places);
    for (const [index, size] of [[0, 1], [0, 100], [41, 100], [99, 100], [79, 80]] as const) {
      const proof = (await inclusionProof(index, size, read)).map(encodeBase64);
      const leaf = encodeBase64(encodeUtf8(log.leafAt(index)));
      const asked = { do: "inclusion", index, size, root: root(log, size), leaf, proof };
      assert.deepEqual(await askGo(asked), {});
      assert((await askGo({ ...asked, root: root(fork, size) })).error);
    }
  },
});

Deno.test("a witness that is dead, slow, redirects or never ends its answer fails, and says how", async () => {
  const { key } = await logSigner();
  const log = await GrowingLog.create(5);
  const open = await openNote(log, 5);
  const outcomeAt = async (url: string, timeout?: number) => {
    const exchange = {
      witness: { name: "w", key, url },
      log: key,
      transport: witnessTransport(timeout),
      now: Date.now,
    };
    const { outcome } = await askWitness(exchange, open, 0);
    return outcome.kind === "failed" ? outcome.reason : outcome.kind;
  };
  const tested = Promise.withResolvers<Response>();
  const answer = ({ url }: Request): Response | Promise<Response> => {
    if (url.includes("/slow/")) return tested.promise;
    if (url.includes("/moved/")) return Response.redirect("http://127.0.0.1:1/", 307);
    if (url.includes("/more/")) return new Response("6\n", { status: 409 });
    return new Response(new Uint8Array(100_000));
  };
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, answer);
  const url = `http://127.0.0.1:${server.addr.port}`;
  assert.match(await outcomeAt("http://127.0.0.1:1"), /^it can't be reached: /);
  assert.equal(await outcomeAt(`${url}/slow`, 100), "it didn't answer within 0.1 s");
  assert.equal(await outcomeAt(`${url}/moved`), "it answered 307");
  assert.equal(await outcomeAt(`${url}/more`), "ahead");
  assert.equal(await outcomeAt(`${url}/long`), "its answer is longer than 65536 bytes");
  tested.resolve(new Response());
  await server.shutdown();
});
