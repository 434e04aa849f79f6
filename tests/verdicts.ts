/**
 * Writes `verdict.txt` of every folder of tests/evidence anew, as `securechat verify` prints it now. Read the difference
 * as a lawyer would before it is committed.
 *
 *     ./tools/deno run -A tests/verdicts.ts
 */

import { evidenceCases, roomCases, roomVerdictOf, verdictOf } from "./evidence.ts";
import { pageOf } from "./verdict_text.ts";

const verdicts = [
  ...evidenceCases().map((evidence) => ({ folder: evidence.folder, judge: () => verdictOf(evidence) })),
  ...roomCases().map((evidence) => ({ folder: evidence.folder, judge: () => roomVerdictOf(evidence) })),
];
for (const { folder, judge } of verdicts) {
  const verdict = await judge();
  if (verdict) await Deno.writeTextFile(`${folder}/verdict.txt`, pageOf(verdict));
}
