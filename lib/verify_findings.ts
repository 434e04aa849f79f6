/**
 * What a verification of a room's evidence has found, as it goes on: of each check what became of it, and of each line
 * that isn't good why not (docs/PROTOCOL.md, "Checking a room's evidence").
 *
 *     findings.frame("proof", "the lines and the proof give another root than the checkpoint's")
 *     findings.line(7, "author chain", "the client certificate … expired …")
 *
 * A line that fails takes no other with it: the others stand, and the whole is partly valid. The frame is what all
 * lines stand in: the receipt, the checkpoints and the proof, each author's sequence, what authors had seen, the times.
 * Where the frame is false nothing stands.
 *
 * @layer protocol
 */

import { type Check, CheckList, type Values } from "./verify_verdict.ts";
import { BadLines } from "./verify_bad_lines.ts";
import { LOG_CHECKS } from "./verify_log_notes.ts";

/** The checks, in the order in which a verdict lists them. */
export const ROOM_CHECKS = [
  "form",
  "transcript",
  "origin",
  "count",
  "signer",
  "statement",
  "certs",
  "line log",
  "line signature",
  "seqno",
  "author chain",
  "checkpoint signature",
  "checkpoint server",
  "checkpoints",
  "proof",
  "times",
  "opening form",
  "opening hash",
  "envelope",
  "opening room",
  "seen",
  "rights",
  "revocation",
  "bodies",
] as const;

/** Those about a bundle and the server's log, which are listed only if one is shown. */
export const FURTHER_CHECKS = ["bundle", ...LOG_CHECKS, "renewal", "policy"] as const;

/** One of {@link ROOM_CHECKS} or {@link FURTHER_CHECKS}. */
export type RoomCheckName = typeof ROOM_CHECKS[number] | typeof FURTHER_CHECKS[number];

const ALL_CHECKS: readonly RoomCheckName[] = [...ROOM_CHECKS, ...FURTHER_CHECKS];

/** Those about openings. */
export const OPENING_CHECKS = ["opening form", "opening hash", "envelope", "opening room", "seen"] as const;

/** Those that good evidence may leave out. */
const OPTIONAL = new Set<string>([
  ...OPENING_CHECKS,
  ...FURTHER_CHECKS,
  "checkpoints",
  "rights",
  "revocation",
  "bodies",
]);

/** So many failures of one check are looked for where each costs a signature: one alone makes the evidence invalid. */
const MAX_FRAME_FAILURES = 20;

/** Outcomes of checks, and bad lines. */
export class RoomFindings {
  readonly #checks = new CheckList<RoomCheckName>(ALL_CHECKS);
  /** Whether the further checks are listed. */
  #listsAll = false;
  /** Of each check of the frame that failed, the first reasons, and the first values. */
  readonly #frame = new Map<RoomCheckName, { readonly reasons: string[]; readonly values: Values | undefined }>();
  /** Lines that aren't good. */
  readonly bad = new BadLines<RoomCheckName>();

  /** A check of the frame has failed: nothing that is shown stands. */
  frame(check: RoomCheckName, reason: string, values?: Values): void {
    const known = this.#frame.get(check);
    if (!known) this.#frame.set(check, { reasons: [reason], values });
    else if (known.reasons.length < MAX_FRAME_FAILURES) known.reasons.push(reason);
    this.#checks.fail(check, reason, values);
  }

  /** A line is bad. */
  line(index: number, check: RoomCheckName, reason: string): void {
    this.#checks.fail(check, `line ${index}: ${reason}`);
    this.bad.add(index, check, reason);
  }

  /** A check can't be made. */
  skip(check: RoomCheckName, reason: string): void {
    this.#checks.skip(check, reason);
  }

  /** Whether a check of the frame has failed so often that looking on would change nothing. */
  isSettled(check: RoomCheckName): boolean {
    return (this.#frame.get(check)?.reasons.length ?? 0) >= MAX_FRAME_FAILURES;
  }

  /** Whether that check of the frame has failed, or any of it. */
  isFalse(check?: RoomCheckName): boolean {
    return check === undefined ? this.#frame.size > 0 : this.#frame.has(check);
  }

  /** The checks of the frame that have failed, in their order; what is against single lines isn't among the reasons. */
  failures(): Pick<Check<RoomCheckName>, "name" | "reasons" | "expected" | "found">[] {
    return ALL_CHECKS.flatMap((name) => {
      const failure = this.#frame.get(name);
      return failure ? [{ name, reasons: failure.reasons, ...failure.values }] : [];
    });
  }

  /** A bundle or the server's log is shown: its checks are listed. */
  listAll(): void {
    this.#listsAll = true;
  }

  /** Every check that is anybody's question. */
  list(): Check<RoomCheckName>[] {
    const further: ReadonlySet<string> = new Set(FURTHER_CHECKS);
    const all = this.#checks.list();
    return this.#listsAll ? all : all.filter(({ name, outcome }) => outcome === "failed" || !further.has(name));
  }

  /** Whether a check was not made that good evidence can't do without. */
  get isOpen(): boolean {
    return this.list().some(({ name, outcome }) => outcome === "not checked" && !OPTIONAL.has(name));
  }
}
