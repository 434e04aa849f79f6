/**
 * Times in a room's evidence that contradict each other (docs/PROTOCOL.md, "Times").
 *
 *     a line's own time, its author's claim       ≤ the first checkpoint that covers it, + 5 minutes
 *     an author's own times                       never fall
 *     the receipt's created_at                    ≥ the checkpoint in it, - 5 minutes
 *     the end of its signer's certificate         ≥ the checkpoint in it, - 5 minutes
 *
 * A server accepts no line that is more than 5 minutes ahead of its clock, and none that is earlier than its author's last
 * line. If one of these rules is broken, somebody signed a wrong time, and no time in the evidence can be relied on.
 *
 * @layer protocol
 */

import type { Checkpoint } from "./log_checkpoint.ts";
import { isAheadOfCheckpoint, orderFaults } from "./log_rules.ts";
import { formatTime } from "./time_text.ts";
import { MAX_CLOCK_DIFFERENCE, type TranscriptLine } from "./transcript.ts";
import type { RoomFindings } from "./verify_findings.ts";
import type { RoomReceipt } from "./verify_form.ts";
import type { CertificateJudge } from "./verify_judge.ts";

/** A time (unix milliseconds) as text; evidence may name one beyond any calendar. */
function timeText(at: number): string {
  return at > 8_640_000_000_000_000 ? `${at} ms` : formatTime(at);
}

/** Compares times, line by line. */
export class Times {
  readonly #findings: RoomFindings;
  /** The latest time of each author, and the line that has it. */
  readonly #latest = new Map<string, { readonly ts: number; readonly index: number }>();

  constructor(findings: RoomFindings) {
    this.#findings = findings;
  }

  /** Compares a line with the first checkpoint that covers it, and with its author's lines before. */
  line(index: number, { seqno, ts, signer }: TranscriptLine, covering: Checkpoint): void {
    if (isAheadOfCheckpoint(ts, covering.time)) {
      this.#fail(
        `line ${index} is of ${timeText(ts)} by its author's own time, and the checkpoint of ${covering.size} lines, ` +
          `in which it is already, of ${timeText(covering.time * 1000)}`,
      );
    }
    const before = this.#latest.get(signer);
    if (before && orderFaults({ seqno, ts }, { next: undefined, ts: before.ts }).length > 0) {
      this.#fail(
        `line ${index} is of ${timeText(ts)} by its author's own time, and line ${before.index}, ` +
          `which the same author wrote before it, of ${timeText(before.ts)}`,
      );
    } else this.#latest.set(signer, { ts, index });
  }

  /** Compares the receipt and its signer with the checkpoint. */
  async receipt({ checkpoint, createdAt, role, signer }: RoomReceipt, judge: CertificateJudge): Promise<void> {
    const earliest = checkpoint.time * 1000 - MAX_CLOCK_DIFFERENCE;
    const shown = `the checkpoint that it shows is of ${timeText(checkpoint.time * 1000)}`;
    if (createdAt < earliest) this.#fail(`the receipt was made ${timeText(createdAt)}, it says, and ${shown}`);
    const then = await judge.at(signer, role, createdAt);
    const later = await judge.at(signer, role, Math.max(createdAt, earliest));
    if ([...then.problems, ...then.revoked].length > 0) return; // other checks report these
    for (const problem of [...later.problems, ...later.revoked]) {
      this.#fail(`of the receipt and its signer: ${problem}, and ${shown}`);
    }
  }

  #fail(reason: string): void {
    this.#findings.frame("times", reason);
  }
}
