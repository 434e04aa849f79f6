/**
 * Whether the authors of a room's lines had a right to write them: roles, membership and consent, judged from a log
 * that is shown from its first line on and open, by the rule by which a member's client judges (`log_rules.ts`).
 *
 *     judgeRights("#ops", lines, findings)
 *     → { faults: [{ index: 4, reason: "The author was not in the room." }], unvouched: [], erased: 0 }
 *
 * A line that is bad for another reason changes nothing of what it says. Where its author's certificate had ended or
 * was revoked by the first checkpoint that covers it, the line may have been accepted before, and then it counts: or
 * this verifier would see other members than everybody who was there. So does one that came before a ban or a mute had
 * ended.
 *
 * Words that their author has erased can't be shown. A line that its author's own later line erases is taken as words,
 * since no act can be erased.
 *
 * @layer protocol
 */

import type { Envelope } from "./log_envelope.ts";
import { isLastingKind, type LinesBefore, rightFault, rightReason } from "./log_rules.ts";
import { usernameKey } from "./names.ts";
import { RoomState } from "./log_roles.ts";
import type { RoomFindings } from "./verify_findings.ts";

/** A line as it is judged here. */
export interface JudgedLine {
  readonly index: number;
  /** The fingerprint of the author's certificate. */
  readonly author: string;
  /** The time of the first checkpoint that covers it, unix seconds. */
  readonly by: number;
  /** `undefined` where the line is closed, or its opening is bad. */
  readonly envelope: Envelope | undefined;
  /** Whether an opening was given for it, good or bad. */
  readonly isOpened: boolean;
  /** Whether it counts though its author's certificate fails. */
  readonly mayCount: boolean;
}

/** What came out. */
export interface Rights {
  readonly faults: readonly { readonly index: number; readonly reason: string }[];
  /** Joins under a name that another certificate had first, which never vouched for this one. */
  readonly unvouched: readonly { readonly index: number; readonly username: string }[];
  /** How many lines are closed because their authors erased them. */
  readonly erased: number;
}

/** The checks whose failure says that a line may have been good when it was written. */
const OF_CERTIFICATE: ReadonlySet<string> = new Set(["author chain", "revocation"]);

/** Judges all lines of a log, from 0 on; a sentence where it can't be done. */
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
    // What came too early for a ban or a mute stands: who is shown other checkpoints can't know that it did.
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
 * Which certificates are somebody's by the lines: the first of a name, and whatever one of these vouched for. It is the
 * rule of `client_pins.ts`, asked once, at the end: what costs a client little with each line would cost a verifier much with
 * evidence made for it.
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

  /** Joins of certificates that are not the first of their name, and that no way of vouches leads to from the first. */
  unvouched(): Join[] {
    const nameOf = (device: string) => usernameKey(this.#joins.get(device)?.username ?? "");
    const firsts = new Map<string, string>();
    for (const device of this.#joins.keys()) if (!firsts.has(nameOf(device))) firsts.set(nameOf(device), device);
    const trusted = new Set(firsts.values());
    for (const device of trusted) { // grows as it is walked
      for (const other of this.#vouched.get(device) ?? []) {
        if (this.#joins.has(other) && nameOf(other) === nameOf(device)) trusted.add(other);
      }
    }
    return [...this.#joins].filter(([device]) => !trusted.has(device)).map(([, join]) => join);
  }
}
