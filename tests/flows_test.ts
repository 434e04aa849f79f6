import { assert } from "./assert.ts";
import { type Bytes, concat, encodeUtf8, parseBase64, parseHex } from "../lib/bytes.ts";
import { proofInput } from "../lib/connection.ts";
import { sha256 } from "../lib/hash.ts";
import { VerifyingKey } from "../lib/pss.ts";
import { parseCertificates } from "../lib/x509.ts";
import { FLOWS, FlowServer } from "./flows.ts";

interface Exchange {
  readonly sent: string;
  readonly answers: string[];
}

/** The `C>` lines of a flow, each with the `S>` lines after it. */
function exchangesOf(flow: string): Exchange[] {
  const exchanges: Exchange[] = [];
  for (const line of flow.split("\n").filter((line) => line !== "" && !line.startsWith("#"))) {
    if (line.startsWith("C> ")) exchanges.push({ sent: line.slice(3), answers: [] });
    else if (line.startsWith("S> ")) exchanges.at(-1)?.answers.push(line.slice(3));
    else assert.fail(`not a line of a flow: ${line}`);
  }
  return exchanges;
}

const SIGNATURE = /"(sig|signature)":"([^"]*)"/;

/** What a frame's signature is over. */
function signedInput(frame: string, record: Bytes): Bytes {
  const value = /"B":(\d+)/.exec(frame)?.[1];
  if (value !== undefined) return proofInput("dh_server", sha256(record), value);
  return parseHex(/"transcript_hash":"([^"]*)"/.exec(frame)?.[1] ?? "") ?? assert.fail(`no signed frame: ${frame}`);
}

const [server] = parseCertificates(Deno.readTextFileSync(`${FLOWS}/server.pem`));
assert.ok(server?.rsa);
const verifying = new VerifyingKey(server.rsa.modulus);

/** Two frames are alike but for the bytes of a signature, and each one's signature is good. */
function assertAlike(frame: string, recorded: string, record: Bytes): void {
  const unsigned = (text: string) => text.replace(SIGNATURE, '"$1":""');
  assert.equal(unsigned(frame), unsigned(recorded));
  for (const text of [frame, recorded]) {
    const signature = SIGNATURE.exec(text)?.[2];
    if (signature === undefined) continue;
    assert.ok(verifying.verify(parseBase64(signature) ?? new Uint8Array(), signedInput(text, record)), text);
  }
}

for (const { name } of [...Deno.readDirSync(FLOWS)].filter(({ name }) => name.endsWith(".txt"))) {
  const [about = "", ...flow] = Deno.readTextFileSync(`${FLOWS}/${name}`).split("\n");
  Deno.test(`tests/flows/${name}: ${about.slice(2)}`, async () => {
    await using side = await FlowServer.open();
    let record: Bytes = new Uint8Array();
    for (const { sent, answers } of exchangesOf(flow.join("\n"))) {
      record = concat(record, encodeUtf8(`${sent}\n`));
      const given = await side.answer(sent);
      assert.equal(given.length, answers.length, `the answers to ${sent.slice(0, 80)}: ${given}`);
      for (const [at, answer] of given.entries()) {
        assertAlike(answer, answers[at] ?? "", record);
        record = concat(record, encodeUtf8(`${answer}\n`));
      }
    }
    const isRefused = flow.findLast((line) => line.startsWith("S> "))?.startsWith('S> {"type":"error"');
    assert.equal(side.connection.state === "failed", isRefused);
  });
}
