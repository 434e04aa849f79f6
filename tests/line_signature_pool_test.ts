import { assert } from "./assert.ts";
import { evidenceCase } from "./evidence.ts";
import { parseUtf8 } from "../lib/bytes.ts";
import { checkPacked, ONE_BY_ONE, packLines, type SignedLine } from "../lib/line_signature.ts";
import { SignaturePool } from "../lib/line_signature_pool.ts";
import { parseLine } from "../lib/transcript.ts";
import { parseCertificates } from "../lib/x509.ts";

/** One good line and one whose signature is wrong. */
function signedLines(): { good: SignedLine; bad: SignedLine } {
  const { receipt, transcript } = evidenceCase("session_one_line");
  const line = parseLine((parseUtf8(transcript) ?? "").trimEnd());
  const { certs } = JSON.parse(parseUtf8(receipt) ?? "");
  const modulus = parseCertificates(atob(certs[0]))[0]?.rsa?.modulus;
  assert(line && modulus !== undefined);
  return { good: { line, modulus }, bad: { line: { ...line, seqno: line.seqno + 1 }, modulus } };
}

const { good, bad } = signedLines();
const LONG = Array.from({ length: 600 }, (_, i) => i % 7 === 3 ? bad : good);
const EXPECTED = LONG.map((one) => one === good);

async function checkOften(pool: SignaturePool, times: number): Promise<void> {
  const answers = await Promise.all(Array.from({ length: times }, () => pool.check(LONG)));
  for (const answer of answers) assert.deepEqual(answer, EXPECTED);
}

Deno.test("a SignaturePool checks short transcripts in this thread, without a worker", async () => {
  using pool = new SignaturePool(4, () => assert.fail("no worker is needed"));
  await checkOften(pool, 1);
});

Deno.test("a SignaturePool checks long ones in workers, and answers each batch with its own verdicts", async () => {
  let started = 0;
  using pool = new SignaturePool(2, () => {
    started++;
    return new Worker(new URL("../lib/line_signature_worker.ts", import.meta.url), { type: "module" });
  });
  await checkOften(pool, 6);
  assert.equal(started, 2);
});

Deno.test("a SignaturePool on one core, or where no worker starts, checks everything in this thread", async () => {
  using alone = new SignaturePool(1, () => assert.fail("one core needs no worker"));
  await checkOften(alone, 3);
  using failing = new SignaturePool(2, () => {
    throw new Error("no workers here");
  });
  await checkOften(failing, 3);
});

Deno.test("a SignaturePool whose worker fails loses no batch", async () => {
  const broken = `data:application/javascript,${
    encodeURIComponent('onmessage = () => { throw new Error("broken"); };')
  }`;
  let started = 0;
  using pool = new SignaturePool(2, () => {
    const url = started++ === 0 ? broken : new URL("../lib/line_signature_worker.ts", import.meta.url).href;
    return new Worker(url, { type: "module" });
  });
  await checkOften(pool, 6);
  await checkOften(pool, 2);
});

Deno.test("what packLines() packs checkPacked() judges as the lines themselves are judged", () => {
  const longer = { ...good, line: { ...good.line, body: new Uint8Array(16_032) } };
  const other = { ...good, modulus: good.modulus + 2n };
  const batch = [good, longer, bad, other, good];
  assert.deepEqual(checkPacked(packLines(batch)), [true, false, false, false, true]);
  assert.deepEqual(checkPacked(packLines(batch)), ONE_BY_ONE.check(batch));
  assert.deepEqual(checkPacked(packLines([])), []);
});
