/** What verdicts say. */

import type { Verdict } from "../lib/verify.ts";
import { report } from "../lib/verify_report.ts";
import type { RoomVerdict } from "../lib/verify_room.ts";
import type { RowName } from "../lib/verify_rows.ts";

/** The verdict as `securechat verify` prints it, but for what it says of its own clock and of where the CA was found. */
export function pageOf(verdict: Verdict | RoomVerdict): string {
  return report(verdict, { columns: 80, rows: Infinity, details: false, paint: (_, text) => text });
}

/** What a verdict says in one of its rows. */
export function rowText({ rows }: Pick<Verdict | RoomVerdict, "rows">, name: RowName): string {
  return rows.find((row) => row.name === name)?.sentences.join(" ") ?? "";
}

/** All that a verdict says in sentences. */
export function sentencesOf({ sentence, rows }: Pick<Verdict | RoomVerdict, "sentence" | "rows">): string[] {
  return [sentence, ...rows.flatMap(({ sentences }) => sentences)];
}
