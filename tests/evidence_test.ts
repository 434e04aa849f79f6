import { assert } from "./assert.ts";
import { evidenceCases, roomCases, roomVerdictOf, storedPage, verdictOf } from "./evidence.ts";
import { pageOf } from "./verdict_text.ts";
import { EXIT } from "../lib/errors.ts";

const STATUS = { valid: EXIT.done, partly_valid: EXIT.no, invalid: EXIT.no, undecided: EXIT.undecided };

for (const evidence of evidenceCases()) {
  const { name, expected } = evidence;
  const says = name.endsWith("_fail") ? "refuses" : "accepts";
  Deno.test(`verify() ${says} tests/evidence/${name} for the stated reason`, async () => {
    assert.equal(expected.status !== EXIT.done, name.endsWith("_fail"), "the folder's name says what must come out");
    const verdict = await verdictOf(evidence);
    if (verdict === undefined) return assert.equal(expected.status, EXIT.usage);
    const failed = verdict.checks.filter(({ outcome }) => outcome === "failed");
    assert.deepEqual(failed.map((check) => check.name), expected.failed, JSON.stringify(failed, null, 1));
    assert.equal(STATUS[verdict.result], expected.status, verdict.sentence);
    if (expected.result) assert.equal(verdict.result, expected.result, verdict.sentence);
    if (expected.bad) assert.deepEqual(verdict.lines.bad.map(({ index }) => index), expected.bad);
    for (const { reasons } of failed) assert(reasons.length > 0);
    if (expected.unsigned) assert.deepEqual(verdict.unsigned, expected.unsigned);
    assert.equal(pageOf(verdict), storedPage(evidence), "it reads as verdict.txt; tests/verdicts.ts writes these anew");
  });
}

for (const evidence of roomCases()) {
  const { name, expected } = evidence;
  const says = name.endsWith("_fail") ? "refuses" : "accepts";
  Deno.test(`verification ${says} tests/evidence/${name} for the stated reason`, async () => {
    assert.equal(expected.status !== EXIT.done, name.endsWith("_fail"), "the folder's name says what must come out");
    const verdict = await roomVerdictOf(evidence);
    const failed = verdict.checks.filter(({ outcome }) => outcome === "failed");
    assert.deepEqual(failed.map((check) => check.name), expected.failed, JSON.stringify(failed, null, 1));
    assert.equal(STATUS[verdict.result], expected.status, verdict.sentence);
    if (expected.result) assert.equal(verdict.result, expected.result, verdict.sentence);
    if (expected.bad) assert.deepEqual(verdict.lines.bad.map(({ index }) => index), expected.bad);
    for (const { reasons } of failed) assert(reasons.length > 0);
    assert.equal(pageOf(verdict), storedPage(evidence), "it reads as verdict.txt; tests/verdicts.ts writes these anew");
  });
}
