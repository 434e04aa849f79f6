/**
 * Whoever has a certificate can make a receipt over lines that others wrote, and sign whatever it says. What she may
 * change of true evidence without its being refuted is which earlier checkpoints she shows, and nothing else.
 */

import { assert } from "./assert.ts";
import { encodeCheckpoint } from "../lib/log_checkpoint.ts";
import { encodeJson, type Json, type JsonObject } from "../lib/json.ts";
import { verifyRoom } from "../lib/verify_room.ts";
import { identities } from "./fixtures.ts";
import { fingerprintOf, ORIGIN, person, restate, RoomLog, show, talk } from "./room_evidence.ts";

const { server, client: ada, trust } = await identities();
const [bob, mallory] = [await person("bob"), await person("mallory")];

const log = new RoomLog(server, ORIGIN);
await log.say(ada, { kind: "join", username: "ada" });
const heads = [await log.checkpoint()];
log.see(bob);
await log.say(bob, { kind: "join", username: "bob" });
await log.say(ada, "one");
heads.push(await log.checkpoint());
log.see(ada);
await log.say(ada, "two");
await log.say(bob, "three");
heads.push(await log.checkpoint());
await log.say(bob, "four");
/** Another log of the same name, by the same server. */
const fork = await talk(8);
const foreign = encodeCheckpoint(await fork.checkpoint());
const own = heads.map(encodeCheckpoint);

/** Chance that is the same in each run. */
function dice(seed: number): (sides: number) => number {
  let state = seed;
  return (sides) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor(state / 4_294_967_296 * sides);
  };
}

interface Evidence {
  receipt: Record<string, Json>;
  lines: string[];
  openings: string[];
}

type Change = (evidence: Evidence, roll: (sides: number) => number) => void;

const HASH = `${"A".repeat(43)}=`;

function changedList(list: readonly Json[], roll: (sides: number) => number, more: readonly Json[]): Json[] {
  const at = roll(list.length);
  if (roll(2) === 0) return list.toSpliced(at, 1);
  return list.toSpliced(at, roll(2), more[roll(more.length)] ?? null);
}

const CHANGES: readonly Change[] = [
  ({ receipt }, roll) => receipt.from_index = (receipt.from_index as number) + 1 - 2 * roll(2),
  ({ receipt }, roll) => receipt.message_count = (receipt.message_count as number) + 1 - 2 * roll(2),
  ({ receipt }, roll) => receipt.checkpoint = [...own, foreign][roll(4)] ?? null,
  ({ receipt }, roll) => {
    const name = ["time", "size"][roll(2)] ?? "";
    const checkpoint = receipt.checkpoint as JsonObject;
    receipt.checkpoint = { ...checkpoint, [name]: (checkpoint[name] as number) + 1 - 2 * roll(2) };
  },
  ({ receipt }, roll) => receipt.checkpoints = changedList(receipt.checkpoints as Json[], roll, [...own, foreign]),
  ({ receipt }, roll) => {
    const list = receipt.checkpoints as JsonObject[];
    const at = roll(list.length);
    const name = ["time", "size"][roll(2)] ?? "";
    if (list[at]) receipt.checkpoints = list.with(at, { ...list[at], [name]: (list[at][name] as number) + 1 });
  },
  ({ receipt }, roll) => {
    const proof = receipt.proof as JsonObject;
    const side = ["before", "after"][roll(2)] ?? "";
    receipt.proof = { ...proof, [side]: changedList(proof[side] as Json[], roll, [HASH]) };
  },
  ({ receipt }, roll) => receipt.certs = changedList(receipt.certs as Json[], roll, ["x"]),
  ({ receipt }) => receipt.peer = "server",
  ({ receipt }) => receipt.room = "#opt",
  ({ receipt }) => receipt.origin = ORIGIN.replace(/.$/, "0"),
  ({ receipt }) => receipt.created_at = "2026-06-01T11:54:00Z",
  ({ lines }, roll) => lines.splice(roll(lines.length), 1),
  ({ lines }, roll) => lines.reverse().push(...lines.splice(0, roll(lines.length))),
  ({ lines }, roll) => lines[roll(lines.length)] = fork.lines()[roll(8)] ?? "",
  ({ lines }, roll) => {
    const at = roll(lines.length);
    const parts = (lines[at] ?? "").split("|");
    const field = [0, 1, 4][roll(3)] ?? 0;
    const [one = "", other = ""] = [ada, bob].map(fingerprintOf);
    lines[at] = parts.with(field, field === 4 ? (parts[4] === one ? other : one) : `${Number(parts[field]) + 1}`).join(
      "|",
    );
  },
  ({ openings }, roll) => {
    const [from, to] = [roll(openings.length), roll(openings.length)];
    const [, envelope] = (openings[from] ?? "").split("\t");
    openings[to] = (openings[to] ?? "").replace(/\t.*/, `\t${envelope}`);
  },
  ({ openings }, roll) => openings.splice(roll(openings.length), 1),
];

/**
 * All of the evidence that may not differ: everything but which of its own earlier checkpoints and which words it
 * shows.
 */
function coreOf({ receipt, lines, openings }: Evidence, original: Evidence): string {
  const { checkpoints, certs, statement_signature: _, ...rest } = receipt;
  const isSome = (some: readonly Json[], all: readonly Json[]) =>
    some.every((one) => all.some((other) => encodeJson(other) === encodeJson(one)));
  const isLess = isSome(checkpoints as Json[], original.receipt.checkpoints as Json[]) &&
    isSome(openings, original.openings);
  return encodeJson([rest, (certs as string[]).toSorted(), lines, isLess]);
}

Deno.test("nothing that an exporter changes in true evidence and signs verifies, but less of it", async () => {
  const roll = dice(7);
  const results: Record<string, number> = { valid: 0, partly_valid: 0, invalid: 0 };
  for (let round = 0; round < 400; round++) {
    const [from, to] = ([[0, 6], [0, 5], [1, 6], [2, 5], [3, 6]] as const)[roll(5)] ?? [0, 6];
    const checkpoints = heads.filter(({ size }) => size > from && size <= to);
    const shown = await show(log, { from, to, checkpoints, by: mallory, role: "client" });
    const original: Evidence = { receipt: shown.receipt, lines: [...shown.lines], openings: [...shown.openings ?? []] };
    const changed = structuredClone(original);
    const done = [...Array(1 + roll(2))].map(() => roll(CHANGES.length));
    for (const change of done) CHANGES[change]?.(changed, roll);
    const receipt = await restate(changed.receipt, {}, mallory);
    const { result, lines, opened } = await verifyRoom({ ...changed, receipt }, trust);
    results[result] = (results[result] ?? 0) + 1;
    const isSame = coreOf(changed, original) === coreOf(original, original);
    const isShorter = encodeJson(changed.receipt.checkpoint) === encodeJson(own[2]); // a true head of fewer lines
    if (result === "valid") assert(isSame || isShorter, `changes ${done} of ${from} to ${to}`);
    if (result === "partly_valid") assert(lines.bad.length > 0 && opened.every(({ index }) => index >= from));
  }
  for (const count of Object.values(results)) assert(count > 10, encodeJson(results));
});
