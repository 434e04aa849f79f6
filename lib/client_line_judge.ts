/**
 * Judges one line after the other by the lines before it: whether its author signed it, was allowed to say it, and had
 * a certificate that was good when it was accepted (docs/PROTOCOL.md, "Rights" and "What a client checks").
 *
 *     judge.judge(placed, certificate, isSigned)      sets what is wrong with the line
 *     judge.apply(placed)                             the members, roles and topic that follow from it
 *
 * A line that is merely not good (its certificate had ended, its author's role doesn't allow it) is bad, changes
 * nothing, and the room goes on. There is one exception. If the author's certificate ended between the checkpoints
 * around the line, the line may have been accepted in time: it is shown as bad, and its effect counts. Otherwise members
 * who come late, and are shown no checkpoint of earlier days, would see another owner and other members than everybody
 * else.
 *
 * @layer chat
 */

import type { Clock } from "./bytes.ts";
import { beginOf, type KnownCertificate, wasNeverGood } from "./client_author_certificates.ts";
import type { Covering, HeadMonitor } from "./client_head_monitor.ts";
import type { KnownLog, Placed } from "./client_known_log.ts";
import type { Pins } from "./client_pins.ts";
import type { Statement } from "./log_envelope.ts";
import { RoomState } from "./log_roles.ts";
import { AT_ANY_TIME, type RightFault, rightFault, rightReason } from "./log_rules.ts";
import { usernameKey } from "./names.ts";

/** What a judge works with. */
export interface LineJudgeOptions {
  readonly log: KnownLog;
  readonly heads: HeadMonitor;
  readonly pins: Pins;
  readonly now: Clock;
}

/** A line that is only good if it came after a ban or a mute had ended. */
interface Timed {
  readonly index: number;
  /** Unix seconds. */
  readonly until: number;
  readonly reason: string;
}

/** The judge of one room's lines. */
export class LineJudge {
  readonly #options: LineJudgeOptions;
  /** Members, roles and the topic, by the lines that were applied. */
  readonly state: RoomState;
  /** Lines that the checkpoint which covers them may show to be bad, in the order of their indexes. */
  #timed: Timed[] = [];
  /** The topic that the server told when it last let this client in. */
  #toldTopic = "";

  constructor(options: LineJudgeOptions) {
    this.#options = options;
    this.state = new RoomState(options.log.room, false);
  }

  /** The server has let this client in, and says what the topic is. */
  admitted(topic: string): void {
    this.#toldTopic = topic;
    this.beginLater();
  }

  /** If the log's beginning isn't shown, the topic is the server's word and nobody is known to be the owner. */
  beginLater(): void {
    if ((this.#options.log.base ?? 0) > 0) this.state.beginLater(this.#toldTopic);
  }

  /** Finds what is wrong with a line, and whether its effect counts all the same. */
  judge(placed: Placed, certificate: KnownCertificate | undefined, isSigned: boolean): void {
    const { log } = this.#options;
    const isDenied = log.deniedAt === placed.index;
    if (!certificate) placed.bad ??= "The server has no certificate of its author.";
    else if (!isSigned && !isDenied) log.denyLine(placed, "invented line", "its author did not sign it");
    else {
      placed.bad ??= this.objection(placed);
      this.#judgeTime(placed);
      this.#judgeCertificate(placed, certificate);
    }
  }

  /**
   * Whether a line is good may depend on when it came, if its author was muted or banned for some time: a checkpoint
   * that covers it before that time has ended shows that it came too early. Its effect counts all the same, since
   * members who come later may be shown no such checkpoint.
   */
  #judgeTime(placed: Placed): void {
    const limit = this.#timeLimit(placed);
    if (!limit) return;
    const covered = this.#options.heads.timeOf(placed.index);
    if (covered === undefined) this.#timed.push(limit);
    else if (covered < limit.until) {
      placed.bad = limit.reason;
      placed.counts = true;
    }
  }

  #timeLimit(placed: Placed): Timed | undefined {
    const { index, author, envelope } = placed;
    if (!envelope || placed.bad !== undefined) return undefined;
    const fault = this.#rightFault(placed, 0);
    if (!fault) return undefined;
    const { statement } = envelope;
    const until = statement?.kind === "join"
      ? this.state.bannedUntil(statement.username)
      : this.state.mutedUntil(author.username ?? "");
    return { index, until, reason: rightReason(fault) };
  }

  /** Whether the author's certificate was good when the line was accepted, as far as that is known. */
  #judgeCertificate(placed: Placed, certificate: KnownCertificate): void {
    const { heads, log, now } = this.#options;
    const covered = heads.timeOf(placed.index);
    const at = Math.min(covered === undefined ? now() : 1000 * covered, ...heads.claimedTimes(placed.index));
    const problem = certificate.asAuthor.problems(at, "offline")[0];
    if (problem === undefined) return;
    if (wasNeverGood(certificate)) log.denyLine(placed, "invented line", problem);
    if (placed.bad !== undefined) return;
    placed.bad = problem;
    placed.counts = this.#mayHaveBeenGood(certificate, placed.index);
  }

  /** Whether a certificate was good at some time between the checkpoint before a line and the first that covers it. */
  #mayHaveBeenGood(certificate: KnownCertificate, index: number): boolean {
    const { heads } = this.#options;
    const covered = heads.timeOf(index);
    const since = Math.max(1000 * heads.timeBefore(index), beginOf(certificate));
    const isInTime = covered === undefined || since <= 1000 * covered;
    return isInTime && certificate.asAuthor.problems(since, "offline").length === 0;
  }

  /** Why a line may not say what it says, by the lines before it. */
  objection(placed: Placed): string | undefined {
    const { author, envelope } = placed;
    if (!envelope) return undefined;
    const { statement } = envelope;
    const fault = this.#rightFault(placed);
    if (fault) return rightReason(fault);
    if (statement?.kind !== "join") return undefined;
    const pinned = this.#options.pins.usernameOf(author.fingerprint);
    const isOther = pinned !== undefined && pinned !== usernameKey(statement.username);
    return isOther ? "The author's certificate was somebody else's before." : undefined;
  }

  #rightFault({ author, index, envelope }: Placed, by = AT_ANY_TIME): RightFault | undefined {
    const { log } = this.#options;
    return rightFault({ index, author: author.fingerprint, statement: envelope?.statement }, {
      state: this.state,
      base: log.base ?? 0,
      usernameOf: (fingerprint) => log.authorNamed(fingerprint)?.username,
      authorOf: (target) => log.authorOf(target)?.fingerprint,
      isLasting: (target) => log.lasting.has(target),
    }, by);
  }

  /** Takes what a line changes, and answers what counts of it. A bad line changes nothing, unless its effect counts. */
  apply({ author, envelope, bad, counts }: Placed): Statement | undefined {
    const statement = bad === undefined || counts ? envelope?.statement : undefined;
    if (statement?.kind === "join") author.username = statement.username;
    this.state.apply({ author: author.fingerprint, username: author.username ?? "", statement });
    return statement;
  }

  /** A checkpoint covers lines: those that it shows to have come while their authors were muted or banned. */
  tooEarly({ size, time }: Covering): readonly { readonly index: number; readonly reason: string }[] {
    const due = this.#timed.filter(({ index }) => index < size);
    this.#timed = this.#timed.filter(({ index }) => index >= size);
    return due.filter(({ until }) => time < until);
  }
}
