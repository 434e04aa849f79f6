import { assert } from "./assert.ts";
import { encodeUtf8 } from "../lib/bytes.ts";
import { encodeCheckpoint } from "../lib/log_checkpoint.ts";
import { EXIT, Failure } from "../lib/errors.ts";
import { encodeJson, type Json, type JsonObject } from "../lib/json.ts";
import { RoomFindings } from "../lib/verify_findings.ts";
import { MAX_CHECKPOINTS, parseRoomReceipt, readEvidence, roomEvidenceType } from "../lib/verify_form.ts";
import { verifyLineProof, verifyRoom } from "../lib/verify_room.ts";
import { identities } from "./fixtures.ts";
import { sentencesOf } from "./verdict_text.ts";
import { restate, show, talk } from "./room_evidence.ts";

const { trust } = await identities();
const log = await talk(4);
const shown = await show(log);
const checkpoint = encodeCheckpoint(await log.checkpoint());

function isUnreadable(error: unknown): boolean {
  return error instanceof Failure && error.status === EXIT.usage;
}

/** Whether a receipt with these fields has the form of one. */
function hasForm(fields: Record<string, Json>): boolean {
  return parseRoomReceipt({ ...shown.receipt, ...fields }, new RoomFindings()) !== undefined;
}

Deno.test("a file with more values than evidence can have is refused before it is parsed", async () => {
  const many = (text: string, count: number) => `{"type":"room_receipt","x":[${Array(count).fill(text).join(",")}]}`;
  for (const text of [many("{}", 20_000), many("[]", 20_000), many("0", 200_000), many('"a"', 200_000)]) {
    assert.throws(() => roomEvidenceType(encodeUtf8(text)), isUnreadable);
    await assert.rejects(verifyRoom({ receipt: text, lines: [] }, trust), isUnreadable);
    await assert.rejects(verifyLineProof(encodeUtf8(text), trust), isUnreadable);
  }
  assert.equal(roomEvidenceType(encodeUtf8(many('"a"', 100_000))), "room_receipt");
  const largest = encodeJson({ ...shown.receipt, checkpoints: Array(MAX_CHECKPOINTS).fill(checkpoint) });
  assert.equal(roomEvidenceType(encodeUtf8(largest)), "room_receipt");
  assert(readEvidence(largest, new RoomFindings()));
});

Deno.test("each list of a receipt has its bound, and is read to the first thing in it that is wrong", () => {
  assert(hasForm({ checkpoints: Array(MAX_CHECKPOINTS).fill(checkpoint) }));
  assert(!hasForm({ checkpoints: Array(MAX_CHECKPOINTS + 1).fill(checkpoint) }));
  assert(!hasForm({ certs: Array(20_001).fill((shown.receipt.certs as readonly Json[])[0] ?? null) }));
  const hash = "A".repeat(43) + "=";
  assert(hasForm({ proof: { before: Array(128).fill(hash), after: [] } }));
  assert(!hasForm({ proof: { before: Array(129).fill(hash), after: [] } }));
  assert(!hasForm({ checkpoints: [checkpoint, {}] }) && !hasForm({ certs: [""] }));
});

Deno.test("of checkpoints that nobody signed some are looked at, and the rest can't change the verdict", async () => {
  const sig = { ...checkpoint, time: 1 };
  const receipt = await restate(shown.receipt, { checkpoints: Array(3_000).fill(sig) });
  const { result, checks } = await verifyRoom({ ...shown, receipt }, trust);
  assert.equal(result, "invalid");
  const reasons = checks.find(({ name }) => name === "checkpoint signature")?.reasons ?? [];
  assert(reasons.length > 0 && reasons.length <= 20, "no more than are listed");
});

Deno.test("lines beyond those that the receipt counts are not read, nor those after many that are none", async () => {
  const given = async (lines: (number: number) => string, receipt: JsonObject = shown.receipt) => {
    let count = 0;
    const endless = async function* () {
      for (; count < 100_000; count++) yield await Promise.resolve(lines(count));
    };
    const { result } = await verifyRoom({ receipt, lines: endless() }, trust);
    assert.equal(result, "invalid");
    return count;
  };
  assert.equal(await given((number) => shown.lines[number % 4] ?? ""), 5);
  assert.equal(await given(() => "", await restate(shown.receipt, { message_count: 99_999 })), 20);
});

Deno.test("openings of lines that are not shown are read until the verdict can't change", async () => {
  let count = 0;
  const endless = async function* () {
    for (; count < 100_000; count++) yield await Promise.resolve(`${10 + count}\tAA==`);
  };
  const { result } = await verifyRoom({ ...shown, openings: endless() }, trust);
  assert.equal(result, "invalid");
  assert(count < 100, `${count} were read`);
});

Deno.test("names of a receipt that are signed and mean nothing are found, inside too", async () => {
  const receipt = await restate(shown.receipt, {
    note: 1,
    checkpoint: { ...checkpoint, witness: "" },
    proof: { ...shown.receipt.proof as JsonObject, hint: 0 },
  });
  const further = parseRoomReceipt(receipt, new RoomFindings())?.further;
  assert.deepEqual(further, ["note", "checkpoint.witness", "proof.hint"]);
  const verdict = await verifyRoom({ ...shown, receipt }, trust);
  assert.equal(verdict.result, "valid");
  assert(
    sentencesOf(verdict).includes(
      'Signed fields of the receipt that this program doesn\'t know: "note", "checkpoint.witness" and "proof.hint".',
    ),
  );
});
