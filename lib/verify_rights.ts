/**
 * Whether the authors of a room's lines had the right to write them: roles, membership and consent. This needs a log from
 * its first line on, with the text of all lines. The rules are those of a member's client (`log_rules.ts`).
 *
 *     judgeRights("#ops", lines, findings)
 *     → { faults: [{ index: 4, reason: "The author was not in the room." }], unvouched: [], erased: 0 }
 *
 * A line that is bad for another reason has no effect, with two exceptions. If its author's certificate had ended or was
 * revoked by the first checkpoint that covers it, the line may have been accepted before that; and a line may have come
 * before a ban or a mute ended for certain. Such lines keep their effect, or the verifier would see other members than
 * the people who were there.
 *
 * Erased words can't be shown. If its author's own later line erases a line, the line is taken to be words, since no act
 * can be erased.
 *
 * @layer protocol
 */

import type { Envelope } from "./log_envelope.ts";
import { isLastingKind, type LinesBefore, rightFault, rightReason } from "./log_rules.ts";
import { usernameKey } from "./names.ts";
import { RoomState } from "./log_roles.ts";
import type { RoomFindings } from "./verify_findings.ts";

/** A line, with what is needed to judge it. */
export interface JudgedLine {
  readonly index: number;
  /** The fingerprint of the author's certificate. */
  readonly author: string;
  /** The time of the first checkpoint that covers it, unix seconds. */
  readonly by: number;
  /** `undefined` if the line isn't opened, or its opening is bad. */
  readonly envelope: Envelope | undefined;
  /** Whether an opening was given for it, good or bad. */
  readonly isOpened: boolean;
  /** Whether it keeps its effect although its author's certificate fails. */
  readonly mayCount: boolean;
}

/** The result. */
export interface Rights {
  readonly faults: readonly { readonly index: number; readonly reason: string }[];
  /** Joins with a name that another certificate had first, and for which that one never vouched. */
  readonly unvouched: readonly { readonly index: number; readonly username: string }[];
  /** How many lines have no text because their authors erased it. */
  readonly erased: number;
}

/** Checks that a line may fail although it was good when it was written. */
const OF_CERTIFICATE: ReadonlySet<string> = new Set(["author chain", "revocation"]);

/** Judges all lines of a log, from 0 on; a sentence if that isn't possible. */
export function judgeRights(room: string, lines: readonly JudgedLine[], findings: RoomFindings): Rights | string {
  const unknown =
    lines.filter(({ index }) => findings.bad.faultsOf(index)?.some(({ check }) => check === "certs")).length;
  if (unknown > 0) return `the authors' certificates of ${unknown} ${unknown === 1 ? "line" : "lines"} are missing`;
  const state = new RoomState(room, false);
  const usernames = new Map<string, string>();
  const devices = new Devices();
  const closed = new Set(lines.filter(({ envelope }) => !envelope).map(({ index }) => index));
  const faults: { index: number; reason: string }[] = [];
  const before: LinesBefore = {
    ...{ state, base: 0 },
    usernameOf: (author) => usernames.get(author),
    authorOf: (index) => lines[index]?.author,
    isLasting: (index) => isLastingKind(lines[index]?.envelope?.kind),
  };
  const closedCount = closed.size;
  for (const { index, author, by, envelope, mayCount } of lines) {
    const others = findings.bad.faultsOf(index);
    const mayBeGood = !others || (mayCount && others.every(({ check }) => OF_CERTIFICATE.has(check)));
    const act = { index, author, statement: envelope?.statement };
    const fault = envelope && mayBeGood ? rightFault(act, before, by) : undefined;
    if (fault) faults.push({ index, reason: rightReason(fault) });
    const isGood = !others && !fault;
    // A line that may have come before a ban or a mute ended has its effect: that depends on which checkpoints are shown.
    const counts = mayBeGood && (!fault || !rightFault(act, before));
    const statement = counts ? act.statement : undefined;
    if (statement?.kind === "join") {
      usernames.set(author, statement.username);
      if (isGood) devices.join(author, { index, username: statement.username });
    }
    if (statement?.kind === "redact") closed.delete(statement.index);
    if (statement?.kind === "device" && isGood) devices.vouch(author, statement.fingerprint);
    state.apply({ author, username: usernames.get(author) ?? "", statement });
  }
  const [first] = closed;
  if (first !== undefined) {
    return closed.size === 1
      ? `the text of line ${first} is not shown`
      : `the texts of ${closed.size} lines are not shown`;
  }
  return { faults, unvouched: devices.unvouched(), erased: closedCount };
}

/** A certificate's first join line. */
interface Join {
  readonly index: number;
  readonly username: string;
}

/**
 * Which certificates belong to a person by the lines: the first with the name, and those for which one of them vouched.
 * This is the rule of `client_pins.ts`, applied once at the end: applying it to each line is cheap for a client, but
 * malicious evidence could make it expensive for a verifier.
 */
class Devices {
  readonly #joins = new Map<string, Join>();
  readonly #vouched = new Map<string, string[]>();

  join(author: string, join: Join): void {
    if (!this.#joins.has(author)) this.#joins.set(author, join);
  }

  vouch(by: string, fingerprint: string): void {
    const known = this.#vouched.get(by);
    if (known) known.push(fingerprint);
    else this.#vouched.set(by, [fingerprint]);
  }

  /** Joins of certificates that aren't the first of their name, and for which no chain of vouches exists. */
  unvouched(): Join[] {
    const nameOf = (device: string) => usernameKey(this.#joins.get(device)?.username ?? "");
    const firsts = new Map<string, string>();
    for (const device of this.#joins.keys()) if (!firsts.has(nameOf(device))) firsts.set(nameOf(device), device);
    const trusted = new Set(firsts.values());
    for (const device of trusted) { // grows during the loop
      for (const other of this.#vouched.get(device) ?? []) {
        if (this.#joins.has(other) && nameOf(other) === nameOf(device)) trusted.add(other);
      }
    }
    return [...this.#joins].filter(([device]) => !trusted.has(device)).map(([, join]) => join);
  }
}
