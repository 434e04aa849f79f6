import { generateKeyPairSync } from "node:crypto";
import { assert } from "./assert.ts";
import { concat, encodeUtf8, parseInteger } from "../lib/bytes.ts";
import { decodeEd25519, importEd25519, isEd25519Key, verifyEd25519 } from "../lib/ed25519.ts";
import { flipped, secretOf } from "./note_fixtures.ts";

const data = encodeUtf8("what is signed\n");
const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;

const littleEndian = (value: bigint) => Uint8Array.fromHex(value.toString(16).padStart(64, "0")).reverse();

Deno.test("a signature verifies, and none with any byte changed does", async () => {
  const secret = await secretOf(7);
  const signature = await secret.sign(data);
  assert.equal(await verifyEd25519(secret.publicKey, signature, data), true);
  for (let at = 0; at < signature.length; at++) {
    assert.equal(await verifyEd25519(secret.publicKey, flipped(signature, at), data), false);
  }
  assert.equal(await verifyEd25519(secret.publicKey, signature, flipped(data, 0)), false);
  assert.equal(await verifyEd25519((await secretOf(8)).publicKey, signature, data), false);
  assert.equal(await verifyEd25519(secret.publicKey, signature.slice(0, 63), data), false);
});

Deno.test("the second form of a signature, with s + L, doesn't verify", async () => {
  const secret = await secretOf(7);
  const signature = await secret.sign(data);
  const s = parseInteger(signature.slice(32).reverse());
  const second = concat(signature.subarray(0, 32), littleEndian(s + ORDER));
  assert.equal(await verifyEd25519(secret.publicKey, second, data), false);
});

Deno.test("a public key of small order is refused, for which anybody can sign", async () => {
  const P = 2n ** 255n - 19n;
  const orderEight = [
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  ].map((hex) => Uint8Array.fromHex(hex));
  const points = [littleEndian(1n), littleEndian(P - 1n), littleEndian(0n), ...orderEight];
  const forged = concat(littleEndian(1n), littleEndian(0n)); // R is the neutral element, s is 0
  for (const point of points) {
    // The runtime takes the forgery for every eighth text at least, so the point is one of these.
    const key = await crypto.subtle.importKey("raw", point, "Ed25519", false, ["verify"]);
    const texts = Array.from({ length: 200 }, (_, i) => encodeUtf8(`text ${i}`));
    const taken = await Promise.all(texts.map((text) => crypto.subtle.verify("Ed25519", key, forged, text)));
    assert(taken.includes(true));
    for (const text of texts) assert.equal(await verifyEd25519(point, forged, text), false);
    const otherSign = concat(point);
    otherSign[31] = (otherSign[31] ?? 0) ^ 0x80;
    assert.deepEqual([isEd25519Key(point), isEd25519Key(otherSign)], [false, false]);
  }
  assert.equal(isEd25519Key(littleEndian(P + 1n)), false, "a second spelling of 1");
  assert.equal(isEd25519Key((await secretOf(7)).publicKey), true);
});

Deno.test("a key is read from PKCS #8 in PEM, and nothing else is taken for one", async () => {
  const pem = (kind: "ed25519" | "x25519") =>
    generateKeyPairSync(kind as "ed25519").privateKey.export({ format: "pem", type: "pkcs8" }).toString();
  const der = decodeEd25519(pem("ed25519"));
  assert(der && await importEd25519(der));
  assert.equal(decodeEd25519(pem("x25519")), undefined);
  assert.equal(decodeEd25519("no key"), undefined);
  assert.equal(await importEd25519(new Uint8Array(48)), undefined);
});
