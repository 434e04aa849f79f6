import { assert } from "./assert.ts";
import type { RoomVerdict, VerifyRoomOptions } from "../lib/verify_room.ts";
import { verifyRoom } from "../lib/verify_room.ts";
import { issueRevocationList } from "../lib/ca.ts";
import { parseRevocationList } from "../lib/x509.ts";
import { authority, identities, NOW } from "./fixtures.ts";
import { sentencesOf } from "./verdict_text.ts";
import { person, type RoomLog, show, type Shown, talk } from "./room_evidence.ts";

const { server, client: ada, trust } = await identities();
const MINUTES = 60_000;

async function timesOf(shown: Shown, options: VerifyRoomOptions = {}) {
  const verdict = await verifyRoom(shown, trust, options);
  const check = verdict.checks.find(({ name }) => name === "times");
  return { ...verdict, ...check };
}

/** What the check says of a checkpoint that is so much later than the last line, negative for earlier. */
async function coveredAfter(log: RoomLog, apart: number) {
  const lastLine = log.now - 1000;
  const checkpoint = await log.checkpoint({ time: lastLine + apart });
  return await timesOf(await show(log, { checkpoint }));
}

Deno.test("a line is 5 minutes ahead of the checkpoint that covers it at most", async () => {
  const log = await talk(4);
  assert.equal((await coveredAfter(log, -5 * MINUTES)).outcome, "passed");
  const { result, outcome, reasons, opened } = await coveredAfter(log, -5 * MINUTES - 1000);
  assert.deepEqual([result, outcome, opened], ["invalid", "failed", []]);
  const said =
    /^line 3 is of 2026-06-01T12:00:03Z by its author's own time, and the checkpoint .* of 2026-06-01T11:55:02Z$/;
  assert.match(reasons?.join() ?? "", said);
});

Deno.test("a checkpoint tells whole seconds: what was accepted within its second is not held against it", async () => {
  const log = await talk(3);
  log.now = NOW + 10_900;
  await log.say(ada, "five minutes and 900 ms after the checkpoint's second began");
  const checkpoint = await log.checkpoint({ time: NOW + 10_950 - 5 * MINUTES });
  assert.equal((await timesOf(await show(log, { checkpoint }))).outcome, "passed");
});

Deno.test("a line may be late by any time: what was written offline is placed later", async () => {
  assert.equal((await coveredAfter(await talk(4), 90 * 24 * 60 * MINUTES)).outcome, "failed", "but not the receipt");
  const log = await talk(4);
  log.now += 90 * 24 * 60 * MINUTES;
  assert.equal((await timesOf(await show(log))).outcome, "passed");
});

Deno.test("it is the first checkpoint that covers a line that it is held against, not the last", async () => {
  const log = await talk(4);
  const early = await log.checkpoint({ time: log.now - 10 * MINUTES });
  await log.say(ada, "later");
  assert.equal((await timesOf(await show(log))).outcome, "passed");
  const { result, reasons } = await timesOf(await show(log, { checkpoints: [early] }));
  assert.equal(result, "invalid");
  assert.equal(reasons?.length, 4, "each of the lines that the early one covers");
});

Deno.test("an author's own times never fall, and others' say nothing of them", async () => {
  const log = await talk(3);
  log.now -= 1;
  log.now -= 1000;
  await log.say(await person("bob"), "at the same time as the line before it, less a millisecond");
  assert.equal((await timesOf(await show(log))).outcome, "passed");
  log.now -= 5000;
  await log.say(ada, "earlier");
  log.now += 5000;
  const { result, reasons } = await timesOf(await show(log));
  assert.equal(result, "invalid");
  assert.match(
    reasons?.[0] ?? "",
    /^line 4 is of .* by its author's own time, and line 2, which the same author wrote/,
  );
});

Deno.test("a receipt is made 5 minutes before the checkpoint in it at the earliest", async () => {
  const log = await talk(3);
  const checkpoint = await log.checkpoint();
  const made = async (createdAt: number) => await timesOf(await show(log, { checkpoint, createdAt }));
  assert.equal((await made(checkpoint.time * 1000 - 5 * MINUTES)).outcome, "passed");
  const { result, reasons } = await made(checkpoint.time * 1000 - 5 * MINUTES - 1000);
  assert.equal(result, "invalid");
  assert.match(reasons?.[0] ?? "", /^the receipt was made 2026-06-01T11:55:02Z, .* of 2026-06-01T12:00:03Z$/);
});

Deno.test("a signer whose certificate had ended before what it confirms is named, with both times", async () => {
  const eve = await person("eve", 30);
  const log = await talk(3);
  const createdAt = Date.parse("2020-01-20T00:00:00Z");
  const { result, reasons } = await timesOf(await show(log, { by: eve, role: "client", createdAt }));
  assert.equal(result, "invalid");
  assert.match(reasons?.join("\n") ?? "", /"CN=CLIENT: eve" expired 2020-01-31T00:00:00Z.* of 2026-06-01T12:00:03Z/);
});

Deno.test("a signer who was revoked before what the receipt confirms is named, with both times", async () => {
  const log = await talk(3);
  const date = NOW - 60 * MINUTES;
  const revoked = [{ serial: ada.chain[0]?.serial ?? "", date }];
  const list = parseRevocationList(
    await issueRevocationList(await authority(), revoked, { now: NOW, nextUpdate: NOW + 1000, number: 1n }),
  );
  const shown = await show(log, { by: ada, role: "client", createdAt: date - MINUTES });
  const { result, checks } = await verifyRoom(shown, { ...trust, revocations: [list] });
  assert.equal(result, "invalid");
  const reasons = checks.find(({ name }) => name === "times")?.reasons ?? [];
  assert.match(reasons.join("\n"), /was revoked 2026-06-01T11:00:00Z, and the checkpoint .* of 2026-06-01T12:00:03Z/);
});

Deno.test("a time that the verifier's clock has not reached is noted, with both times, and changes nothing", async () => {
  const shown = await show(await talk(3));
  const clockSentences = (verdict: RoomVerdict) => sentencesOf(verdict).filter((text) => text.includes("clock says"));
  const noted = async (now: number) => {
    const verdict = await timesOf(shown, { now });
    assert.equal(verdict.result, "valid");
    return clockSentences(verdict);
  };
  assert.deepEqual(await noted(NOW), []);
  assert.deepEqual(await noted(NOW - 6 * MINUTES), [
    "The checkpoint is of 1 Jun 2026 12:00:03 UTC, and this computer's clock says 1 Jun 2026 11:54:00 UTC: one of them is wrong.",
    "The receipt is of 1 Jun 2026 12:00:03 UTC, and this computer's clock says 1 Jun 2026 11:54:00 UTC: one of them is wrong.",
  ]);
  assert.deepEqual(clockSentences(await verifyRoom(shown, trust)), []);
});

Deno.test("no time is too great to be told", async () => {
  const log = await talk(2);
  const time = Number.MAX_SAFE_INTEGER * 1000;
  const { result } = await timesOf(await show(log, { checkpoint: await log.checkpoint({ by: server, time }) }), {
    now: 0,
  });
  assert.equal(result, "invalid");
});
