/**
 * Collects what a verification of a room's evidence finds: the outcome of each check, and why lines are bad
 * (docs/PROTOCOL.md, "Checking a room's evidence").
 *
 *     findings.frame("proof", "the lines and the proof give another root than the checkpoint's")
 *     findings.line(7, "author chain", "the client certificate … expired …")
 *
 * A bad line doesn't affect other lines: the evidence is partly valid then. The frame is everything that all lines depend
 * on: the receipt, the checkpoints and the proof, each author's sequence, what authors had seen, the times. If a check of
 * the frame fails, no line can be relied on.
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

/** The checks of a bundle and of the server's log, which are listed only if there is one. */
export const FURTHER_CHECKS = ["bundle", ...LOG_CHECKS, "renewal", "policy"] as const;

/** One of {@link ROOM_CHECKS} or {@link FURTHER_CHECKS}. */
export type RoomCheckName = typeof ROOM_CHECKS[number] | typeof FURTHER_CHECKS[number];

const ALL_CHECKS: readonly RoomCheckName[] = [...ROOM_CHECKS, ...FURTHER_CHECKS];

/** The checks of openings. */
export const OPENING_CHECKS = ["opening form", "opening hash", "envelope", "opening room", "seen"] as const;

/** The checks that needn't be made for good evidence. */
const OPTIONAL = new Set<string>([
  ...OPENING_CHECKS,
  ...FURTHER_CHECKS,
  "checkpoints",
  "rights",
  "revocation",
  "bodies",
]);

/** After so many failures of one check no more are looked for, since one already makes the evidence invalid. */
const MAX_FRAME_FAILURES = 20;

/** The outcomes of checks, and the bad lines. */
export class RoomFindings {
  readonly #checks = new CheckList<RoomCheckName>(ALL_CHECKS);
  /** Whether the further checks are listed. */
  #listsAll = false;
  /** The first reasons and values of each failed check of the frame. */
  readonly #frame = new Map<RoomCheckName, { readonly reasons: string[]; readonly values: Values | undefined }>();
  /** Lines that aren't good. */
  readonly bad = new BadLines<RoomCheckName>();

  /** Fails a check of the frame: no line can be relied on. */
  frame(check: RoomCheckName, reason: string, values?: Values): void {
    const known = this.#frame.get(check);
    if (!known) this.#frame.set(check, { reasons: [reason], values });
    else if (known.reasons.length < MAX_FRAME_FAILURES) known.reasons.push(reason);
    this.#checks.fail(check, reason, values);
  }

  /** Fails a check for one line. */
  line(index: number, check: RoomCheckName, reason: string): void {
    this.#checks.fail(check, `line ${index}: ${reason}`);
    this.bad.add(index, check, reason);
  }

  /** Says that a check can't be made. */
  skip(check: RoomCheckName, reason: string): void {
    this.#checks.skip(check, reason);
  }

  /** Whether a check of the frame has failed so often that it needn't be made any more. */
  isSettled(check: RoomCheckName): boolean {
    return (this.#frame.get(check)?.reasons.length ?? 0) >= MAX_FRAME_FAILURES;
  }

  /** Whether that check of the frame has failed; without an argument, whether any has. */
  isFalse(check?: RoomCheckName): boolean {
    return check === undefined ? this.#frame.size > 0 : this.#frame.has(check);
  }

  /** The failed checks of the frame, in order; reasons against single lines are not included. */
  failures(): Pick<Check<RoomCheckName>, "name" | "reasons" | "expected" | "found">[] {
    return ALL_CHECKS.flatMap((name) => {
      const failure = this.#frame.get(name);
      return failure ? [{ name, reasons: failure.reasons, ...failure.values }] : [];
    });
  }

  /** Lists the checks of a bundle and of the server's log, too. */
  listAll(): void {
    this.#listsAll = true;
  }

  /** Every check that applies. */
  list(): Check<RoomCheckName>[] {
    const further: ReadonlySet<string> = new Set(FURTHER_CHECKS);
    const all = this.#checks.list();
    return this.#listsAll ? all : all.filter(({ name, outcome }) => outcome === "failed" || !further.has(name));
  }

  /** Whether a necessary check was not made. */
  get isOpen(): boolean {
    return this.list().some(({ name, outcome }) => outcome === "not checked" && !OPTIONAL.has(name));
  }
}
