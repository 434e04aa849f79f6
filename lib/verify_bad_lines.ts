/**
 * Which lines of a session or a room are bad, and why. A bad line doesn't affect other lines (docs/PROTOCOL.md, "Checking
 * a room's evidence").
 *
 *     const bad = new BadLines<"line signatures">();
 *     bad.add(3, "line signatures", "the signature is not by the certificate that is named");
 *     bad.verdicts(1, 42) → { from: 1, count: 42, good: 41, bad: [{ index: 3, faults: [{ check: "line signatures", … }] }] }
 *
 * @layer protocol
 */

/** Why a line is bad. */
export interface LineFault<Name extends string = string> {
  readonly check: Name;
  readonly reason: string;
}

/** A bad line. */
export interface BadLine<Name extends string = string> {
  readonly index: number;
  /** The reasons, each with the name of its check. */
  readonly faults: readonly LineFault<Name>[];
}

/** How many lines are good, and which are bad. */
export interface LineVerdicts<Bad extends BadLine = BadLine> {
  /** The number of the first: its index in a room's log, 1 in a session. */
  readonly from: number;
  readonly count: number;
  readonly good: number;
  /** The bad lines; if there are very many, only the first. There are `count - good` in all. */
  readonly bad: readonly Bad[];
}

/** At most so many bad lines are listed. */
const MAX_LISTED = 1_000;

/** Bad lines by their numbers. */
export class BadLines<Name extends string> {
  readonly #faults = new Map<number, LineFault<Name>[]>();

  /** Adds a reason against a line. */
  add(index: number, check: Name, reason: string): void {
    const known = this.#faults.get(index);
    if (known) known.push({ check, reason });
    else this.#faults.set(index, [{ check, reason }]);
  }

  /** How many lines are bad. */
  get size(): number {
    return this.#faults.size;
  }

  /** Why that line is bad; `undefined` if it is good. */
  faultsOf(index: number): readonly LineFault<Name>[] | undefined {
    return this.#faults.get(index);
  }

  /** The verdicts on `count` lines from that number on. */
  verdicts(from: number, count: number): LineVerdicts<BadLine<Name>> {
    const all = [...this.#faults].sort(([one], [other]) => one - other);
    const bad = all.slice(0, MAX_LISTED).map(([index, faults]) => ({ index, faults }));
    return { from, count, good: count - all.length, bad };
  }
}
