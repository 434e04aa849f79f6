import { assert } from "./assert.ts";
import { authority } from "./fixtures.ts";
import { LogStory } from "./log_story.ts";
import { encodeLogEvidence } from "../lib/log_evidence.ts";
import { report } from "../lib/verify_report.ts";
import { type LogDemands, verifyRoom } from "../lib/verify_room.ts";

/** Verifies what the member of a story shows. */
async function verified(story: LogStory, demands: Partial<LogDemands> = {}) {
  const { receipt, lines, openings, log } = await story.show();
  const { certificate } = await authority();
  const evidence = {
    receipt,
    lines,
    openings,
    log: { evidence: encodeLogEvidence(log.evidence), files: story.filesOf(log) },
  };
  const now = story.world.now;
  const whom = { policies: story.policy ? [story.policy] : [], logs: [], roots: [], quorum: 1, protectedAt: now };
  return await verifyRoom(evidence, { authorities: [certificate], revocations: [] }, {
    ...{ now, log: { ...whom, ...demands } },
  });
}

async function told(witnesses: number): Promise<LogStory> {
  const story = await LogStory.create({ witnesses });
  await story.tick();
  await story.say("first");
  await story.tick();
  await story.say("second");
  await story.tick();
  return story;
}

const page = { columns: 100, rows: 100, details: false, paint: (_: string, text: string) => text };

Deno.test("a room that witnesses have seen is verified with bounds for each line that don't need the server's word", async () => {
  await using story = await told(3);
  const verdict = await verified(story);
  assert.equal(verdict.result, "valid");
  const text = report(verdict, page);
  assert.match(
    text,
    /^Witnesses {2}3 of the 3 witnesses that you named had seen this server's log grow without a break/m,
  );
  assert.match(text, /\[1\] .*written between 1 Jun 2026 12:01:00 and 12:03:00 UTC/);
  assert.doesNotMatch(text.replace(/\s+/g, " "), /could have backdated|isolated members|whether the clocks/);
  const checks = new Map(verdict.checks.map(({ name, outcome }) => [name, outcome]));
  for (const name of ["charter", "note", "head", "witness", "after", "time"] as const) {
    assert.equal(checks.get(name), "passed", name);
  }
});

Deno.test("without a named witness the same evidence is as good as it was before, and says what is missing", async () => {
  await using story = await told(1);
  const verdict = await verified(story, { policies: [] });
  assert.equal(verdict.result, "valid");
  const text = report(verdict, page).replace(/\s+/g, " ");
  assert.match(text, /Cosigned by 1, none of them named by you\./);
  assert.match(text, /could have backdated a line/);
  assert.match(text, /whether isolated members were shown the same log/);
  assert.match(text, /Whether the server keeps a second log: none was named/);
});

Deno.test("what is demanded and isn't there fails", async () => {
  await using story = await told(1);
  assert.equal((await verified(story, { requireWitness: true, requireTime: true })).result, "valid");
  for (const demand of [{ requireWitness: true }, { requireTime: true }]) {
    const verdict = await verified(story, { policies: [], ...demand });
    assert.equal(verdict.result, "invalid");
    assert.deepEqual(verdict.checks.filter(({ outcome }) => outcome === "failed").map(({ name }) => name), ["policy"]);
  }
});
