/** What evidence that was made to be expensive costs its verifier. */

import { encodeBase64, encodeUtf8 } from "../lib/bytes.ts";
import { findPath, PathSignatures } from "../lib/certificate_path.ts";
import { encodePem } from "../lib/der.ts";
import { encodeJson, isJsonList, type Json } from "../lib/json.ts";
import { type Certificate, parseCertificates } from "../lib/x509.ts";
import { verifyRoom } from "../lib/verify_room.ts";
import { assert } from "./assert.ts";
import { ROOT, runCommand, temporaryFolder } from "./environment.ts";
import { authority, identities } from "./fixtures.ts";
import { person, restate, RoomLog, show, talk } from "./room_evidence.ts";

const { server, client: ada, trust } = await identities();

/** The certificate with another serial number: it can be read, and nobody has signed it. */
function junk({ der }: Certificate, number: number): string {
  const bytes = der.slice();
  const version = [0xa0, 3, 2, 1, 2]; // the serial number follows it: its tag, its length, 16 octets or so
  const place = bytes.findIndex((_, at) => version.every((byte, more) => bytes[at + more] === byte)) + version.length;
  new DataView(bytes.buffer).setUint32(place + 2 + (bytes[place + 1] ?? 0) - 4, number);
  return encodePem("CERTIFICATE", bytes);
}

const spell = (pem: string) => encodeBase64(encodeUtf8(pem));
const certsOf = (certs: Json | undefined) => certs !== undefined && isJsonList(certs) ? certs : [];

Deno.test("searches for paths share the signatures that they may check, and what is beyond that is refused", async () => {
  const [leaf, ca] = [ada.chain[0], (await authority()).certificate];
  assert(leaf);
  const signatures = new PathSignatures(100);
  const known = new Set<string>();
  const question = { purpose: "client", signatures } as const;
  const problemsOf = async (chain: readonly Certificate[]) =>
    (await findPath(chain, { authorities: [ca], revocations: [] }, question)).problems(leaf.notBefore, "offline");
  assert.deepEqual(await problemsOf([leaf]), []);
  for (let number = 0; number < 100; number++) {
    const above = [1, 2, 3].map((one) => junk(ca, 3 * number + one)).join("");
    const [problem = ""] = await problemsOf(parseCertificates(junk(leaf, number) + above));
    known.add(problem.replace(/ "CN=.*/, ""));
  }
  assert(known.has("too many certificates are shown that could have issued one another"), [...known].join());
  assert.deepEqual(await problemsOf([leaf]), [], "what was checked before stands");
});

Deno.test("junk intermediates cost two signature checks a certificate, and the honest lines beside them stand", async () => {
  const [log, ca] = [new RoomLog(server), (await authority()).certificate];
  await log.say(ada, { kind: "join", username: "ada" });
  const eve = await person("eve");
  const [leaf] = eve.chain;
  assert(leaf);
  const people = 40;
  for (let number = 0; number < people; number++) {
    const above = [1, 2, 3].map((one) => junk(ca, 3 * number + one)).join("");
    const pem = junk(leaf, number) + above;
    await log.say({ ...eve, pem, chain: parseCertificates(pem) }, "hello");
  }
  const verifyNow = crypto.subtle.verify;
  let count = 0;
  crypto.subtle.verify = (...args: Parameters<typeof verifyNow>) => {
    count += 1;
    return verifyNow.apply(crypto.subtle, args);
  };
  try {
    const { result, lines } = await verifyRoom(await show(log), trust);
    assert.deepEqual([result, lines.good], ["partly_valid", 1]);
  } finally {
    crypto.subtle.verify = verifyNow;
  }
  assert(count > 0 && count <= 2 * (people + 3) + 64, `${count} checks`);
});

Deno.test({
  name: "16 MiB of certificates that no line names are judged in less than 300 MB",
  ignore: Deno.build.os !== "linux",
  async fn() {
    using folder = temporaryFolder();
    const { receipt, lines } = await show(await talk(2));
    const [leaf] = ada.chain;
    assert(leaf);
    const certs = [...certsOf(receipt["certs"])];
    for (let number = 0; number < 10_000; number++) certs.push(spell(junk(leaf, number)));
    const text = encodeJson(await restate(receipt, { certs }));
    assert(text.length > 15_000_000 && text.length < 16 * 1024 * 1024);
    await Deno.writeTextFile(`${folder.path}/receipt.json`, text);
    await Deno.writeTextFile(`${folder.path}/transcript.txt`, [...lines].map((line) => `${line}\n`).join(""));
    await Deno.writeTextFile(`${folder.path}/ca.pem`, (await authority()).certificate.pem);
    const script = `
      import { roomEvidenceType, verifyRoom } from "${ROOT}/lib/verify_room.ts";
      import { transcriptLines } from "${ROOT}/lib/verify.ts";
      import { parseCertificates } from "${ROOT}/lib/x509.ts";
      const receipt = Deno.readFileSync("receipt.json");
      roomEvidenceType(receipt);
      const lines = transcriptLines(Deno.readFileSync("transcript.txt"));
      const authorities = parseCertificates(Deno.readTextFileSync("ca.pem"));
      const { result } = await verifyRoom({ receipt, lines }, { authorities, revocations: [] });
      console.log(result, /VmHWM:\\s+(\\d+)/.exec(Deno.readTextFileSync("/proc/self/status"))[1]);`;
    await Deno.writeTextFile(`${folder.path}/judge.ts`, script);
    const config = ["--config", `${ROOT}/deno.json`, "--no-check", "-A"];
    const args = ["run", "--quiet", ...config, "judge.ts"];
    const { status, stdout, stderr } = await runCommand(Deno.execPath(), args, { cwd: folder.path });
    assert.equal(status, 0, stderr);
    const [, result, kilobytes] = /^(\w+) (\d+)\n$/.exec(stdout) ?? [];
    assert.equal(result, "valid");
    assert(Number(kilobytes) < 300_000, `${kilobytes} KB`);
  },
});
