import { assert } from "./assert.ts";
import { evidenceCase } from "./evidence.ts";
import { identities } from "./fixtures.ts";
import { person, RoomLog } from "./room_evidence.ts";
import { concat, encodeInteger, parseUtf8 } from "../lib/bytes.ts";
import { engine, useEngine } from "../lib/engine.ts";
import { openLibcrypto } from "../lib/libcrypto.ts";
import { checkPacked, ONE_BY_ONE, packLines, type SignatureChecker, type SignedLine } from "../lib/line_signature.ts";
import { SignaturePool, WITH_ENGINE } from "../lib/line_signature_pool.ts";
import { messageInput, parseLine } from "../lib/transcript.ts";
import { encodeLineProof } from "../lib/log_receipt.ts";
import { SignatureBatches } from "../lib/verify_verdict.ts";
import { verifyLineProof } from "../lib/verify_room.ts";
import { parseCertificates } from "../lib/x509.ts";
import { BenchKey } from "../tools/bench_key.ts";

/** One good line, and the modulus that verifies it. */
function signedLine(): SignedLine {
  const { receipt, transcript } = evidenceCase("session_one_line");
  const line = parseLine((parseUtf8(transcript) ?? "").trimEnd());
  const { certs } = JSON.parse(parseUtf8(receipt) ?? "");
  const modulus = parseCertificates(atob(certs[0]))[0]?.rsa?.modulus;
  assert(line && modulus !== undefined);
  return { line, modulus };
}

const good = signedLine();
const SIGNATURE_SIZE = good.line.signature.length;

function signedAs(signature: Uint8Array, of: SignedLine = good): SignedLine {
  return { ...of, line: { ...of.line, signature: new Uint8Array(signature) } };
}

/** A record as a batch with lengths of so many bytes holds it: that of the good line, which verifies. */
function record(lengths: 2 | 4): Uint8Array {
  const input = messageInput(good.line.seqno, good.line.ts, good.line.body);
  const numbers = [0, input.length, SIGNATURE_SIZE];
  const head = lengths === 2 ? Uint16Array.from(numbers) : Uint32Array.from(numbers);
  return concat(new Uint8Array(head.buffer), input, good.line.signature);
}

/** A signature that goes on for 65,536 bytes, or more, in which good records stand. */
function overflowing(lengths: 2 | 4, more: number): SignedLine {
  const one = record(lengths);
  const spill = new Uint8Array(65_536 + more);
  for (let at = 0; at + one.length <= spill.length; at += one.length) spill.set(one, at);
  return signedAs(concat(good.line.signature, spill));
}

const forged = signedAs(new Uint8Array(SIGNATURE_SIZE));
const plusModulus = signedAs(
  encodeInteger(BigInt(`0x${good.line.signature.toHex()}`) + good.modulus, SIGNATURE_SIZE + 1),
);

/**
 * A line whose signature is good by the arithmetic (every second time: a bit more is masked), under an even modulus.
 */
function signedWithEvenModulus(): SignedLine {
  const { line } = good;
  const key = new BenchKey();
  const root = BigInt(`0x${key.signNow(messageInput(line.seqno, line.ts, line.body)).toHex()}`);
  // What is signed ends in 0xbc: its root modulo 2 is 0, and what is a root modulo both factors is one of the product.
  const even = root % 2n === 0n ? root : root + key.modulus;
  return signedAs(encodeInteger(even, 257), { line, modulus: 2n * key.modulus });
}

/** Batches of lines, good and bad, long and short. */
const BATCHES: readonly (readonly SignedLine[])[] = [
  [],
  [good],
  [forged],
  [overflowing(2, 0), ...Array.from({ length: 63 }, () => forged)],
  [overflowing(4, 0), ...Array.from({ length: 63 }, () => forged)],
  [overflowing(2, 1), forged, good],
  [good, signedAs(new Uint8Array()), good],
  [good, signedAs(good.line.signature.subarray(1)), good],
  [good, signedAs(concat(good.line.signature, Uint8Array.of(0))), forged, good],
  [good, signedAs(concat(Uint8Array.of(0), good.line.signature)), forged, good],
  [plusModulus, good],
  [{ ...good, line: { ...good.line, body: new Uint8Array(16_032) } }, good],
  [{ ...good, line: { ...good.line, body: new Uint8Array(65_536 + good.line.body.length) } }, forged, good],
  [{ ...good, modulus: good.modulus + 2n }, good, { ...good, modulus: good.modulus - 1n }, good],
  [
    { ...good, modulus: 0n },
    { ...good, modulus: 1n },
    { ...good, modulus: 3n },
    { ...good, modulus: 2n ** 600n },
    good,
  ],
  [{ ...good, modulus: 2n ** 5_000n + 1n }, signedAs(good.line.signature, { ...good, modulus: good.modulus << 8n })],
  [...Array.from({ length: 16 }, signedWithEvenModulus), good],
  Array.from({ length: 300 }, (_, i) => ({ ...good, modulus: good.modulus + 2n * BigInt(i) })),
];

/** What must come out: a line is good where it is the good one, with its own key. */
function expected(batch: readonly SignedLine[]): boolean[] {
  return batch.map(({ line, modulus }) => line === good.line && modulus === good.modulus);
}

async function verdictsOf(checker: SignatureChecker, batch: readonly SignedLine[]): Promise<readonly boolean[]> {
  return await checker.check(batch);
}

function pool(name: string): SignaturePool {
  const url = new URL("../lib/line_signature_worker.ts", import.meta.url);
  return new SignaturePool(2, () => new Worker(url, { type: "module", name }), 0);
}

const PATHS: Readonly<Record<string, () => Promise<SignatureChecker & Partial<Disposable>>>> = {
  "this thread, without an engine": () => Promise.resolve(ONE_BY_ONE),
  "packed lines": () => Promise.resolve({ concurrency: 1, check: (batch) => checkPacked(packLines(batch)) }),
  "workers without an engine": () => Promise.resolve(pool("")),
  "workers with an engine": () => Promise.resolve(pool(WITH_ENGINE)),
};

for (const [name, open] of Object.entries(PATHS)) {
  Deno.test(`the same batches, good and bad, get the same verdicts: ${name}`, async () => {
    const checker = await open();
    try {
      for (const [at, batch] of BATCHES.entries()) {
        assert.deepEqual(await verdictsOf(checker, batch), expected(batch), `batch ${at}`);
      }
    } finally {
      checker[Symbol.dispose]?.();
    }
  });
}

Deno.test("the same batches, good and bad, get the same verdicts: this thread, with an engine", () => {
  const before = engine();
  useEngine(openLibcrypto());
  try {
    // Keys are kept with the engine that they were made with, and the last batch has more of them than are kept.
    for (const [at, batch] of [BATCHES.at(-1) ?? [], ...BATCHES].entries()) {
      assert.deepEqual(ONE_BY_ONE.check(batch), expected(batch), `batch ${at}`);
    }
  } finally {
    useEngine(before);
  }
});

Deno.test("a batch that gets more or fewer verdicts than it has lines fails as a whole", async () => {
  for (const verdicts of [[], [true], [true, true, true], "true, true" as unknown as boolean[]]) {
    const failed: number[] = [];
    const batches = new SignatureBatches(
      { concurrency: 1, check: () => verdicts },
      ({ number }) => failed.push(number),
    );
    await batches.add({ ...good, number: 1 });
    await batches.add({ ...good, number: 2 });
    await batches.end();
    assert.deepEqual(failed, [1, 2]);
  }
});

Deno.test("no line of a line proof is vouched for by what another line's signature holds", async () => {
  const { server, client: mallory, trust } = await identities();
  const ada = await person("ada");
  const log = new RoomLog(server);
  await log.say(mallory, { kind: "join", username: "mallory" });
  const [own = ""] = log.lines();
  const line = parseLine(own);
  assert(line);
  const input = messageInput(line.seqno, line.ts, line.body);
  const head = new Uint8Array(Uint16Array.of(0, input.length, line.signature.length).buffer);
  const records = Array.from({ length: 63 }, () => [head, input, line.signature]).flat();
  const length = 65_536 - concat(...records).length - head.length;
  const last = new Uint8Array(Uint16Array.of(0, length, 0).buffer);
  const spill = concat(...records, last, new Uint8Array(length));
  const none = () => new Uint8Array(256);
  await log.say(mallory, "good", { signature: (good) => concat(good, spill) });
  await log.say(ada, { kind: "join", username: "ada" }, { signature: none });
  for (let i = 1; i < 62; i++) await log.say(ada, `I owe mallory ${i},000`, { signature: none });
  const proof = encodeLineProof({ lines: log.lines(), openings: log.openings(), receipt: await log.receipt() });
  for (const name of ["", WITH_ENGINE]) {
    using signatures = pool(name);
    const verdict = await verifyLineProof(proof, trust, { signatures });
    assert.notEqual(verdict.result, "valid");
    const failed = verdict.checks.filter(({ outcome }) => outcome === "failed").map(({ name }) => name);
    assert(failed.includes("transcript"), "a line that is too long");
    assert(failed.includes("line signature"), "lines that nobody signed");
  }
});
