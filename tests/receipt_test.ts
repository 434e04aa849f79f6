import fc from "fast-check";
import { formatTime, parseTime } from "../lib/time_text.ts";
import { assert } from "./assert.ts";
import { identities, NOW } from "./fixtures.ts";
import { encodeHex, parseUtf8 } from "../lib/bytes.ts";
import { encodeJson, isJsonObject, type JsonObject, parseJson } from "../lib/json.ts";
import { VerifyingKey } from "../lib/pss.ts";
import { makeReceipt, receiptProblem, signStatement, statementInput } from "../lib/receipt.ts";
import { encodeLine, messageInput, TranscriptSummary } from "../lib/transcript.ts";
import { verify } from "../lib/verify.ts";

const BODY = new Uint8Array(48);
const SESSION = "ab".repeat(32);

/** A session of three lines by the client, as both sides have it. */
async function session() {
  const { client, server, trust } = await identities();
  const [clientLeaf, serverLeaf] = [client.chain[0], server.chain[0]];
  assert(clientLeaf?.rsa && serverLeaf?.rsa);
  const summary = new TranscriptSummary();
  const lines: string[] = [];
  for (const seqno of [0, 1, 5]) {
    const ts = NOW + seqno;
    const signature = await client.key.sign(messageInput(seqno, ts, BODY));
    const line = encodeLine({ seqno, ts, body: BODY, signature, signer: clientLeaf.fingerprint });
    lines.push(line);
    summary.add(line, seqno, ts);
  }
  const identity = { otherFingerprint: clientLeaf.fingerprint, session: SESSION };
  const options = {
    role: "server" as const,
    key: server.key,
    pem: server.pem,
    fingerprint: serverLeaf.fingerprint,
    linePems: [client.pem],
    summary,
    createdAt: NOW,
  };
  const expected = {
    role: "server" as const,
    fingerprint: serverLeaf.fingerprint,
    verifying: new VerifyingKey(serverLeaf.rsa.modulus),
    summary,
    identity,
  };
  return { options, identity, lines, trust, summary, expected, server };
}

Deno.test("makeReceipt() makes receipts of both versions that verify", async () => {
  const { options, identity, lines, trust } = await session();
  const two = await makeReceipt({ ...options, identity });
  const one = await makeReceipt(options);
  for (const receipt of [two, one]) {
    assert.equal((await verify({ receipt, lines }, trust)).result, "valid");
    assert.equal((await verify({ receipt: encodeJson(receipt), lines }, trust)).result, "valid");
  }
  assert.deepEqual((await verify({ receipt: one, lines }, trust)).unsigned, ["certs", "created_at", "peer"]);
  assert.deepEqual(Object.keys(one), Object.keys(two).filter((name) => Object.hasOwn(one, name)));
  assert.deepEqual([two.first_seqno, two.last_seqno, two.message_count], [0, 5, 3]);
});

Deno.test("makeReceipt() of no lines says null twice, and verifies", async () => {
  const { options, identity, trust } = await session();
  const receipt = await makeReceipt({ ...options, identity, summary: new TranscriptSummary(), linePems: [] });
  assert.deepEqual([receipt.first_seqno, receipt.last_seqno, receipt.message_count], [null, null, 0]);
  assert.equal((await verify({ receipt, lines: [] }, trust)).result, "valid");
});

Deno.test("receiptProblem() takes the session's own receipt alone", async () => {
  const { options, identity, expected, server } = await session();
  const receipt = await makeReceipt({ ...options, identity });
  assert.equal(receiptProblem(receipt, expected), undefined);
  for (const name of Object.keys(receipt)) {
    const { [name]: _, ...rest } = receipt;
    assert.notEqual(receiptProblem(rest, expected), undefined, `${name} missing`);
    assert.notEqual(receiptProblem({ ...receipt, [name]: 7 }, expected), undefined, `${name} changed`);
  }
  assert.notEqual(receiptProblem({ ...receipt, more: 1 }, expected), undefined);
  assert.equal(receiptProblem(await signStatement({ ...receipt, more: 1 }, server.key), expected), undefined);
  assert.notEqual(receiptProblem(await makeReceipt(options), expected), undefined, "version 1 in a version-2 session");
  const other = await makeReceipt({ ...options, identity: { ...identity, session: "cd".repeat(32) } });
  assert.notEqual(receiptProblem(other, expected), undefined);
});

Deno.test("statementInput() is the label, a zero byte and the canonical form without the signature itself", () => {
  const input = statementInput({ b: [1, true], statement_signature: "x", a: "é" });
  assert.equal(parseUtf8(input ?? new Uint8Array()), 'securechat/2 receipt\0{"a":"é","b":[1,true]}');
  assert.equal(statementInput({ a: "\ud800" }), undefined);
});

Deno.test("statementInput() depends on every field, and not on their order or spelling", () => {
  const object = fc.dictionary(
    fc.string(),
    fc.oneof(fc.string({ unit: "grapheme" }), fc.maxSafeNat(), fc.boolean(), fc.constant(null)),
  );
  const input = (receipt: JsonObject) => encodeHex(statementInput(receipt) ?? new Uint8Array());
  fc.assert(fc.property(object, (receipt) => {
    const { statement_signature: _, ...stated } = receipt;
    const reversed = Object.fromEntries(Object.entries(stated).reverse());
    assert.equal(input(reversed), input(stated));
    const spelled = parseJson(JSON.stringify(stated, null, 2));
    assert(isJsonObject(spelled));
    assert.equal(input(spelled), input(stated));
    for (const name of Object.keys(stated)) {
      assert.notEqual(input({ ...stated, [name]: "another" === stated[name] ? 1 : "another" }), input(stated));
    }
  }));
});

Deno.test("statementInput() has no form for a number that is more exact than RFC 8785: another one would have the same", () => {
  const hasInput = (number: string) => {
    const receipt = parseJson(`{"unknown":[{"number":${number}}]}`);
    assert(isJsonObject(receipt));
    return statementInput(receipt) !== undefined;
  };
  const exact = [
    "0",
    "-0",
    "1.50",
    "9007199254740991",
    "9007199254740992",
    "1e21",
    "1000000000000000000000",
    "1E-7",
    "0.1",
  ];
  for (const number of exact) assert(hasInput(number), number);
  const close = ["9007199254740993", "1000000000000000000001", "0.10000000000000000001", "1e-400", "-9007199254740993"];
  for (const number of close) assert(!hasInput(number), number);
});

Deno.test("a receipt's time has one form, in whole seconds", () => {
  assert.equal(formatTime(1_700_055_022_999), "2023-11-15T13:30:22Z");
  assert.equal(parseTime("2023-11-15T13:30:22Z"), 1_700_055_022_000);
  fc.assert(fc.property(fc.integer({ min: 0, max: 253_402_300_799 }), (seconds) => {
    assert.equal(parseTime(formatTime(seconds * 1000)), seconds * 1000);
  }));
  const wrong = [
    "",
    "2023-11-15T13:30:22",
    "2023-11-15T13:30:22.000Z",
    "2023-11-15 13:30:22Z",
    "2023-11-15t13:30:22z",
    "2023-11-15T13:30:22+00:00",
    "2023-02-29T00:00:00Z",
    "2023-13-01T00:00:00Z",
    "2023-11-31T00:00:00Z",
    "2023-11-15T24:00:00Z",
    "2023-11-15T23:59:60Z",
    " 2023-11-15T13:30:22Z",
    "2023-11-15T13:30:22Z\n",
    "12023-11-15T13:30:22Z",
    "２023-11-15T13:30:22Z",
  ];
  for (const text of wrong) assert.equal(parseTime(text), undefined, text);
});
