import { assert } from "./assert.ts";
import { encodeBase64, encodeHex, encodeUtf8, parseHex, parseUtf8 } from "../lib/bytes.ts";
import {
  checkpointInput,
  encodeCheckpoint,
  isCheckpointSigned,
  parseCheckpoint,
  signCheckpoint,
} from "../lib/log_checkpoint.ts";
import { encodeJson, parseJson } from "../lib/json.ts";
import { VerifyingKey } from "../lib/pss.ts";
import { EMPTY_ROOT } from "../lib/log_tree.ts";
import { identities, NOW } from "./fixtures.ts";
import { fingerprintOf, ORIGIN } from "./room_evidence.ts";

const root = encodeHex(EMPTY_ROOT);
const time = NOW / 1000;

async function signed() {
  const { server } = await identities();
  const signer = { key: server.key, fingerprint: fingerprintOf(server), time };
  return await signCheckpoint(ORIGIN, { size: 57, root }, signer);
}

async function serverKey(): Promise<VerifyingKey> {
  const { chain: [leaf] } = (await identities()).server;
  assert(leaf?.rsa);
  return new VerifyingKey(leaf.rsa.modulus);
}

Deno.test("a checkpoint signs its label, the time, and a C2SP tlog-checkpoint", () => {
  const root64 = encodeBase64(parseHex(root) ?? new Uint8Array());
  assert.equal(
    parseUtf8(checkpointInput(ORIGIN, { time: 1_700_055_622, size: 57, root })),
    `securechat/2 checkpoint\0time 1700055622\n${ORIGIN}\n57\n${root64}\n`,
  );
});

Deno.test("a checkpoint's signature holds for its log, its time, its size and its root alone", async () => {
  const [checkpoint, key] = [await signed(), await serverKey()];
  assert(isCheckpointSigned(ORIGIN, checkpoint, key));
  assert(!isCheckpointSigned(ORIGIN.replace("#ops", "#opt"), checkpoint, key));
  assert(!isCheckpointSigned(ORIGIN, { ...checkpoint, time: time + 1 }, key));
  assert(!isCheckpointSigned(ORIGIN, { ...checkpoint, size: 58 }, key));
  assert(!isCheckpointSigned(ORIGIN, { ...checkpoint, root: "0".repeat(64) }, key));
});

Deno.test("parseCheckpoint() reads what encodeCheckpoint() wrote, beside other names", async () => {
  const checkpoint = await signed();
  const written = { type: "checkpoint", room: "#ops", ...encodeCheckpoint(checkpoint) };
  assert.deepEqual(parseCheckpoint(parseJson(encodeJson(written))), checkpoint);
});

Deno.test("parseCheckpoint() refuses a field that is missing or of another form", async () => {
  const written = encodeCheckpoint(await signed());
  for (const name of Object.keys(written)) {
    const { [name]: _, ...rest } = written;
    assert.equal(parseCheckpoint(rest), undefined, name);
    for (const value of [null, -1, 1.5, "x", [], `${"AB".repeat(31)}A`, encodeBase64(encodeUtf8("x")).slice(0, -1)]) {
      assert.equal(
        parseCheckpoint(parseJson(encodeJson({ ...written, [name]: value }))),
        undefined,
        `${name} ${value}`,
      );
    }
  }
  for (const value of [undefined, null, [], "x"]) assert.equal(parseCheckpoint(value), undefined);
});
