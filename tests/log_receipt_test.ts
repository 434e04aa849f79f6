import { assert } from "./assert.ts";
import { encodeBase64, encodeUtf8, parseBase64 } from "../lib/bytes.ts";
import { encodeCheckpoint } from "../lib/log_checkpoint.ts";
import { encodeJson, isJsonObject, type Json, parseJson } from "../lib/json.ts";
import { VerifyingKey } from "../lib/pss.ts";
import { statementInput } from "../lib/receipt.ts";
import { encodeLineProof, encodeOpening, makeRoomReceipt, parseLineProof, parseOpening } from "../lib/log_receipt.ts";
import { identities, NOW } from "./fixtures.ts";
import { fingerprintOf, ORIGIN, RoomLog } from "./room_evidence.ts";

async function log(): Promise<RoomLog> {
  const { server, client } = await identities();
  const made = new RoomLog(server);
  for (const text of ["one", "two", "three"]) await made.say(client, text);
  return made;
}

Deno.test("makeRoomReceipt() states every field and signs them all", async () => {
  const [{ server, client }, made] = [await identities(), await log()];
  const checkpoint = await made.checkpoint();
  const receipt = await made.receipt({ from: 1, to: 2, checkpoint, by: client, role: "client", createdAt: NOW });
  const { statement_signature, proof, ...stated } = receipt;
  const pem64 = (pem: string) => encodeBase64(encodeUtf8(pem));
  assert.deepEqual(stated, {
    type: "room_receipt",
    room: "#ops",
    origin: ORIGIN,
    from_index: 1,
    message_count: 1,
    checkpoint: encodeCheckpoint(checkpoint),
    peer: "client",
    created_at: "2026-06-01T12:00:00Z",
    peer_cert_fingerprint: fingerprintOf(client),
    signer_cert: pem64(client.pem),
    certs: [pem64(server.pem), pem64(client.pem)],
  });
  assert(isJsonObject(proof));
  assert.deepEqual([proof.before, proof.after].map((hashes) => (hashes as Json[]).length), [1, 1]);
  const [modulus, input] = [client.chain[0]?.rsa?.modulus ?? 0n, statementInput(receipt)];
  const signature = parseBase64(String(statement_signature));
  assert(input && signature && new VerifyingKey(modulus).verify(signature, input));
});

Deno.test("makeRoomReceipt() makes none for what is no origin", async () => {
  const [{ server }, made] = [await identities(), await log()];
  const options = { role: "server", key: server.key, pem: "", fingerprint: "", from: 0, count: 1 } as const;
  const proof = { before: [], after: [] };
  const rest = { checkpoint: await made.checkpoint(), proof, pems: [], createdAt: NOW };
  await assert.rejects(makeRoomReceipt({ ...options, ...rest, origin: "#ops" }), RangeError);
});

Deno.test("parseOpening() reads what encodeOpening() wrote, and nothing else", () => {
  const opening = { index: 41, envelope: encodeUtf8("{}") };
  assert.equal(encodeOpening(opening), "41\te30=\n");
  assert.deepEqual(parseOpening("41\te30="), opening);
  assert.deepEqual(parseOpening("0\t"), { index: 0, envelope: new Uint8Array() });
  const wrong = ["", "41", "41 e30=", "041\te30=", "-1\te30=", "1.0\te30=", "41\te30", "41\te30=\t", "41\te30=\r"];
  for (const row of [...wrong, "9007199254740992\te30=", "x\te30=", "\te30="]) {
    assert.equal(parseOpening(row), undefined);
  }
});

Deno.test("parseLineProof() reads what encodeLineProof() wrote, openings upwards", async () => {
  const made = await log();
  const proof = { lines: made.lines(), openings: made.openings([0, 2]), receipt: await made.receipt() };
  const text = encodeJson(encodeLineProof(proof));
  const object = parseJson(text);
  assert(isJsonObject(object));
  assert.deepEqual(parseLineProof(object), proof);
  const turned = { ...object, openings: Object.fromEntries([["10", "e30="], ["9", "e30="]]) };
  const read = parseLineProof(turned);
  assert(typeof read !== "string");
  assert.deepEqual(read.openings.map(({ index }) => index), [9, 10]);
});

Deno.test("parseLineProof() says what is wrong", () => {
  const good = { type: "line_proof", lines: ["x"], openings: {}, receipt: {} };
  assert(typeof parseLineProof(good) !== "string");
  const wrong: [string, Json][] = [
    ["type", "room_receipt"],
    ["lines", "x"],
    ["lines", [1]],
    ["openings", []],
    ["openings", { "07": "" }],
    ["openings", { "7": "e30" }],
    ["openings", { "7": null }],
    ["receipt", null],
    ["receipt", "x"],
    ["log", []],
    ["log", {}],
    ["log", { files: { "notes/01.note": "" } }],
    ["log", { files: { "notes/1.note": "e30" } }],
    ["log", { files: { "notes/1.note": "A".repeat(65_540) } }],
    ["log", { files: { "tokens/1.1.tst": "" } }],
    ["log", { files: { "notes/1.note": "", "tokens/1.2.tst": "" } }],
    ["log", { files: {}, search: {} }],
  ];
  for (const [name, value] of wrong) assert.match(String(parseLineProof({ ...good, [name]: value })), new RegExp(name));
  for (const name of Object.keys(good)) {
    assert.match(
      String(parseLineProof(Object.fromEntries(Object.entries(good).filter(([own]) => own !== name)))),
      /is/,
    );
  }
});
