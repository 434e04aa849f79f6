import { assert } from "./assert.ts";
import { encodeHex, encodeUtf8 } from "../lib/bytes.ts";
import { sha256 } from "../lib/hash.ts";
import { canonicalJson, type JsonObject, OddNumber } from "../lib/json.ts";
import {
  charterHash,
  isCharterSigned,
  logOrigin,
  MAX_EARLIER_LOGS,
  parseCharter,
  parseLogOrigin,
  signCharter,
} from "../lib/log_charter.ts";
import { VerifyingKey } from "../lib/pss.ts";
import { identities, NOW } from "./fixtures.ts";
import { fingerprintOf } from "./room_evidence.ts";

const origin = logOrigin("localhost", "8f14e45fceea167a5a36dedd4bea2543");
const vkey = `${origin}+d04bb4fb+AepKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs`;
const was = [{ origin: logOrigin("localhost", "0".repeat(32)), root: "a".repeat(64), size: 7 }];

async function signed(within = 600): Promise<JsonObject> {
  const { server } = await identities();
  const signer = { key: server.key, fingerprint: fingerprintOf(server) };
  return await signCharter({ time: NOW / 1000, vkey, was, within }, signer);
}

async function serverKey(): Promise<VerifyingKey> {
  const { chain: [leaf] } = (await identities()).server;
  assert(leaf?.rsa);
  return new VerifyingKey(leaf.rsa.modulus);
}

Deno.test("a charter is read as it was signed, and its hash covers the signature", async () => {
  const charter = await signed();
  const read = parseCharter(charter);
  assert(read);
  assert.equal(read.origin, origin);
  assert.deepEqual(read.was, was);
  assert.equal(read.within, 600);
  assert(isCharterSigned(read, await serverKey()));
  assert.equal(charterHash(charter), encodeHex(sha256(encodeUtf8(canonicalJson(charter) ?? ""))));
});

Deno.test("a charter's signature covers every field, those of no meaning here too", async () => {
  const charter = await signed();
  const key = await serverKey();
  const changes: JsonObject = { time: 1, within: 700, was: [], later: 1, from: "0".repeat(64) };
  for (const [name, value] of Object.entries(changes)) {
    const changed = parseCharter({ ...charter, [name]: value });
    assert(changed, name);
    assert(!isCharterSigned(changed, key), name);
  }
});

Deno.test("parseCharter() refuses fields that are missing or of another form", async () => {
  const charter = await signed();
  for (const name of Object.keys(charter)) {
    const { [name]: _, ...rest } = charter;
    assert.equal(parseCharter(rest), undefined, name);
    for (const value of [null, new OddNumber("-1"), "x", {}, new OddNumber("1.5")]) {
      assert.equal(parseCharter({ ...charter, [name]: value }), undefined, name);
    }
  }
  assert.equal(parseCharter({ ...charter, within: 59 }), undefined);
  assert.equal(parseCharter({ ...charter, within: 86_401 }), undefined);
  const [earlier] = was;
  assert(earlier);
  const many: JsonObject[] = Array.from({ length: MAX_EARLIER_LOGS + 1 }, () => ({ ...earlier }));
  assert(parseCharter({ ...charter, was: many.slice(1) }));
  assert.equal(parseCharter({ ...charter, was: many }), undefined);
  assert.equal(parseCharter({ ...charter, was: [{ ...earlier, origin: "localhost/#ops" }] }), undefined);
});

Deno.test("the origin of a log is a server's name, log, and 32 hex digits, 255 bytes at most", () => {
  assert.deepEqual(parseLogOrigin(origin), { server: "localhost", id: "8f14e45fceea167a5a36dedd4bea2543" });
  for (const other of ["", "localhost/log/1", `a/${origin}`, `${origin}0`, origin.toUpperCase(), ` ${origin}`]) {
    assert.equal(parseLogOrigin(other), undefined, other);
  }
  assert.equal(parseLogOrigin(logOrigin("x".repeat(219), "0".repeat(32))), undefined);
  assert(parseLogOrigin(logOrigin("x".repeat(218), "0".repeat(32))));
});
