/**
 * The checkpoints of one room's log, as a client checks them: who signed each, whether it follows from those before,
 * and whether it is over the lines that this client was shown (docs/PROTOCOL.md, "Checkpoints").
 *
 *     heads.take(checkpoint)     signed by a certificate of this log's server, later and longer than the last
 *     heads.prove()              its root is that of the lines that are here → event "covered"
 *
 * A checkpoint whose lines are not all here waits for them. One whose time can't be right (ahead of this computer's
 * clock, or before the time of lines that it covers) covers nothing; the next one whose time fits takes that back.
 *
 * @layer chat
 */

import { type Bytes, type Clock, parseHex } from "./bytes.ts";
import type { AuthorCertificates, KnownCertificate } from "./client_author_certificates.ts";
import type { RoomEvent } from "./client_event.ts";
import { EMPTY_HEAD, type KnownLog, type Placed } from "./client_known_log.ts";
import type { Kept } from "./client_store.ts";
import { type Checkpoint, isCheckpointSigned } from "./log_checkpoint.ts";
import type { Head } from "./log_envelope.ts";
import { CHECKPOINT_PRECISION } from "./log_rules.ts";
import { verifyConsistency } from "./log_tree.ts";
import type { LogTree } from "./log_whole_tree.ts";
import { MAX_CLOCK_DIFFERENCE } from "./transcript.ts";

/** The times of checkpoints are unix seconds; all others are milliseconds. */
const SECOND = 1_000;
/** After so long without a {@link HeadMonitor.tick} the computer was asleep: what comes then was sent earlier. */
const ASLEEP_AFTER = 30_000;
/** How long a line may go without a checkpoint before it is marked, in milliseconds. */
const COVER_WITHIN = 30_000;

/** A checkpoint that was compared with the lines. */
export interface Covering extends Head {
  /** Unix seconds. */
  readonly time: number;
}

/** A line that no checkpoint covers yet. */
export interface Uncovered {
  readonly index: number;
  readonly author: string;
  readonly since: number;
  /** The earliest time, unix ms, that a checkpoint which covers it can have if all clocks are right. */
  readonly earliest: number;
}

/** What checkpoints are checked with that isn't here. A promise that rejects means: not now. */
export interface HeadQuestions {
  /** The proof that the log of `to` lines goes on from that of `from` lines. */
  consistency(from: number, to: number): Promise<readonly Bytes[] | undefined>;
  /** The last checkpoint that was signed up to a time, in unix seconds. */
  head(by: number): Promise<Checkpoint | undefined>;
}

/** What a monitor of heads works with. */
export interface HeadMonitorOptions {
  readonly log: KnownLog;
  readonly certificates: AuthorCertificates;
  readonly ask: HeadQuestions;
  readonly now: Clock;
  readonly emit: (event: RoomEvent) => void;
  readonly keep: (kept: Kept) => Promise<void>;
  /** A checkpoint covers these lines, which none covered before. */
  readonly covered: (head: Covering, lines: readonly Uncovered[]) => void;
}

/** The monitor of one room's checkpoints. */
export class HeadMonitor {
  readonly #options: HeadMonitorOptions;
  /** Checkpoints are judged one after the other. */
  #judging: Promise<void> = Promise.resolve();
  #newest: Checkpoint | undefined;
  /** A checkpoint whose signer's certificate could not be had, until another comes. */
  #unjudged: Checkpoint | undefined;
  /** Checkpoints over lines that are not all here yet, by size. */
  #unproved: Checkpoint[] = [];
  /** Checkpoints that were compared with the lines, by size. */
  readonly #coverings: Covering[] = [];
  #uncovered: Uncovered[] = [];
  /** Lines before this were marked as uncovered. */
  #markedTo = 0;
  /** Whether the time of the last checkpoint was wrong. */
  #isClockWrong = false;
  /** When {@link tick} was called last. */
  #tickedAt: number | undefined;
  /** Whether the computer was asleep before that. */
  #wasAsleep = false;
  /** Earlier checkpoints that were asked for, to be compared with the lines once these are here. */
  readonly #claims: Checkpoint[] = [];
  /** Ended certificates for which a checkpoint of their time was asked. */
  readonly #asked = new Set<string>();

  constructor(options: HeadMonitorOptions) {
    this.#options = options;
  }

  // What is known.

  /** The newest checkpoint. */
  get newest(): Checkpoint | undefined {
    return this.#newest;
  }

  /** How many lines are covered by a checkpoint that was compared with them. */
  get covered(): number {
    return this.#coverings.at(-1)?.size ?? 0;
  }

  /** The newest head that was compared with lines, all of them among the first `shown`. */
  compared(shown: number): Head {
    const found = this.#coverings.findLast(({ size }) => size <= shown);
    return found ? { size: found.size, root: found.root } : EMPTY_HEAD;
  }

  /** How many lines the log has by a checkpoint whose lines are not all here; 0 if there is none. */
  get promised(): number {
    return this.#unproved.at(-1)?.size ?? 0;
  }

  /** The time of the first checkpoint that covers a line, in unix seconds; `undefined` if none does. */
  timeOf(index: number): number | undefined {
    let from = 0;
    let to = this.#coverings.length;
    while (from < to) { // there may be a checkpoint of every second
      const middle = Math.floor((from + to) / 2);
      if ((this.#coverings[middle]?.size ?? 0) > index) to = middle;
      else from = middle + 1;
    }
    return this.#coverings[from]?.time;
  }

  /** The time of the last checkpoint that doesn't cover a line, in unix seconds; 0 if there is none. */
  timeBefore(index: number): number {
    return this.#coverings.findLast(({ size }) => size <= index)?.time ?? 0;
  }

  /** The times, in unix milliseconds, of checkpoints that were asked for and are said to cover a line. */
  claimedTimes(index: number): number[] {
    return this.#claims.filter(({ size }) => size > index).map(({ time }) => SECOND * time);
  }

  /**
   * The time (unix seconds) of the first checkpoint that covers more lines than that and was signed at that time (unix ms)
   * or later; `undefined` if there is none.
   */
  firstAfter(size: number, since: number): number | undefined {
    return this.#coverings.find((covering) => covering.size > size && SECOND * covering.time >= since)?.time;
  }

  /**
   * What is wrong with a checkpoint that the server's log registers; `undefined` if it is of this log, or will be compared
   * once its lines are here. It may be older than the newest.
   */
  async problemOfRegistered(checkpoint: Checkpoint): Promise<string | undefined> {
    const { tree } = this.#options.log;
    const problem = await this.#signerProblem(checkpoint);
    if (problem !== undefined) return problem;
    const { size, root } = checkpoint;
    const own = tree?.rootAt(size);
    if (own !== undefined) return own === root ? undefined : `it has another root for ${size} lines.`;
    if (tree && size < tree.base) this.#queueProofBefore(checkpoint, tree);
    else if (!this.#unproved.some((other) => other.size === size && other.root === root)) {
      this.#unproved = [...this.#unproved, checkpoint].sort((one, other) => one.size - other.size);
    }
    return undefined;
  }

  // What was kept.

  /** Takes the checkpoints of the disk, once the lines are here. */
  restore(checkpoints: readonly Checkpoint[]): void {
    const { log } = this.#options;
    const base = log.base ?? 0;
    let at = 0;
    for (const head of checkpoints) {
      if (log.tree?.rootAt(head.size) === head.root) {
        const end = head.size - base;
        this.#isClockWrong = isBefore(head, this.#uncovered.slice(at, end));
        if (this.#isClockWrong) continue;
        this.#coverings.push(head);
        at = end;
      } else if (head.size > log.size) this.#unproved.push(head); // its lines were on their way
    }
    this.#uncovered = this.#uncovered.filter(({ index }) => index >= this.covered);
    this.#newest = checkpoints.at(-1);
    if (this.#newest && ![...this.#coverings.slice(-1), ...this.#unproved].includes(this.#newest)) {
      this.#unproved.push(this.#newest);
    }
  }

  // Lines.

  /** A line has its place, and is to be covered. */
  expect({ index, line }: Placed): void {
    const since = this.#options.now();
    const isSentNow = this.#options.log.isLive && this.#isTicking && !this.#wasAsleep;
    const earliest = Math.max(line.ts, isSentNow ? since : 0) - MAX_CLOCK_DIFFERENCE - CHECKPOINT_PRECISION;
    this.#uncovered.push({ index, author: line.signer, since, earliest });
  }

  get #isTicking(): boolean {
    return this.#tickedAt === undefined || this.#options.now() - this.#tickedAt < ASLEEP_AFTER;
  }

  // Judging.

  /** A checkpoint; resolves once it is judged, or can't be for now. */
  take(checkpoint: Checkpoint): Promise<void> {
    return this.#judging = this.#judging.then(() => this.#judge(checkpoint)).catch(() => {});
  }

  /** Judges the checkpoint again whose signer's certificate could not be had. */
  judgeAgain(): void {
    this.#judging = this.#judging.then(() => this.#unjudged && this.#judge(this.#unjudged)).catch(() => {});
  }

  /** Resolves once no checkpoint is being judged. */
  async settled(): Promise<void> {
    await this.#judging;
  }

  async #judge(checkpoint: Checkpoint): Promise<void> {
    const { log } = this.#options;
    this.#unjudged = undefined;
    if (log.lie || this.#isKnown(checkpoint)) return;
    this.#unjudged = checkpoint; // until its signer's certificate is here
    const isWrongTime = this.#isOfWrongTime(checkpoint);
    const problem = await this.#signerProblem(checkpoint, isWrongTime);
    this.#unjudged = undefined;
    const { size, root, time } = checkpoint;
    const newest = this.#newest;
    if (problem !== undefined) {
      const reason = `The server's head of ${size} lines is not one of this log's server: ${problem}`;
      return log.deny("unsigned head", reason, [checkpoint]);
    }
    const own = log.tree?.rootAt(size);
    const isOther = newest?.size === size ? newest.root !== root : own !== undefined && own !== root;
    if (isOther && newest && size <= newest.size) {
      const reason = `The server has signed two different logs of ${size} lines. Both heads are kept: they convict it.`;
      return log.deny("fork", reason, [newest, checkpoint]);
    }
    if (isWrongTime) return this.#tellClock(checkpoint);
    if (newest && (size < newest.size || time < newest.time)) {
      const reason = `The server shows an old head, of ${size} lines, after one of ${newest.size}.`;
      return log.deny("old head", reason, [newest, checkpoint]);
    }
    this.#accept(checkpoint);
  }

  /** Whether it is the newest one again. A size has one checkpoint, of one time, unless that time was wrong. */
  #isKnown({ size, root, time }: Checkpoint): boolean {
    const known = this.#newest;
    return known?.size === size && known.root === root && (known.time === time || !this.#isClockWrong);
  }

  #accept(checkpoint: Checkpoint): void {
    const { emit, keep, log } = this.#options;
    this.#newest = checkpoint;
    void keep({ type: "checkpoint", checkpoint });
    this.#unproved.push(checkpoint);
    if (this.#isClockWrong) emit({ event: "right_clock", room: log.room });
    this.#isClockWrong = false;
    this.prove();
  }

  /** Whether a checkpoint is of a time that has not come yet, or that is before the time of a line which it covers. */
  #isOfWrongTime({ size, time }: Checkpoint): boolean {
    if (SECOND * time > this.#options.now() + MAX_CLOCK_DIFFERENCE) return true;
    return isBefore({ time }, this.#uncovered.filter(({ index }) => index < size));
  }

  /** The server's clock or this computer's is wrong: the checkpoint counts for nothing. */
  #tellClock({ time }: Checkpoint): void {
    const { emit, log, now } = this.#options;
    if (!this.#isClockWrong) {
      emit({ event: "wrong_clock", room: log.room, time, now: Math.floor(now() / SECOND) });
    }
    this.#isClockWrong = true;
  }

  /** What is wrong with a checkpoint's signature, or with its signer. */
  async #signerProblem(checkpoint: Checkpoint, isWrongTime = false): Promise<string | undefined> {
    const { certificates, log, now } = this.#options;
    const known = await certificates.get(checkpoint.from);
    if (!known) return "the certificate that signed it can't be had.";
    if (!isCheckpointSigned(log.origin, checkpoint, known.key)) return "its signature doesn't verify.";
    const names = known.leaf.hostNames?.dnsNames ?? [];
    if (!names.some((name) => name.toLowerCase() === log.server.toLowerCase())) {
      return `the certificate that signed it is not for ${log.server}.`;
    }
    const time = isWrongTime ? now() : SECOND * checkpoint.time; // nothing can be judged by a time that is wrong
    return known.asServer.problems(time, "offline")[0];
  }

  /**
   * The lines of an author whose certificate has ended, or was revoked, are judged by a checkpoint of the time before
   * that. Whoever comes late was shown none, and asks for the last one. It is believed as the server's word, and
   * convicts the server if its lines turn out to be others.
   */
  async askEarlierHead({ leaf, asAuthor }: KnownCertificate): Promise<void> {
    const { ask, now, keep, log } = this.#options;
    const end = asAuthor.goodUntil(now(), "offline");
    if (end > now() || this.#asked.has(leaf.fingerprint)) return;
    const head = await ask.head(Math.floor(end / SECOND) - 1);
    const isNews = head && SECOND * head.time < end && head.size > (log.base ?? 0) &&
      ![...this.#claims, ...this.#coverings].some(({ size }) => size === head.size);
    const isSigned = isNews && await this.#signerProblem(head) === undefined;
    this.#asked.add(leaf.fingerprint); // only now: if the answer can't be had, it is asked for again
    if (!isSigned) return;
    this.#claims.push(head);
    void keep({ type: "seen", size: head.size }); // so that it is not thinned out
    if (this.#unproved.some(({ size, root }) => size === head.size && root === head.root)) return; // it is the newest
    void keep({ type: "checkpoint", checkpoint: head });
    this.#unproved = [...this.#unproved, head].sort((one, other) => one.size - other.size);
    this.prove();
  }

  // Comparing.

  /** Compares checkpoints with the lines, as far as these are here. */
  prove(): void {
    const { log } = this.#options;
    const { tree } = log;
    while (tree && !log.lie) {
      const [head] = this.#unproved;
      if (!head || head.size > tree.size) return;
      this.#unproved.shift();
      if (head.size < tree.base) this.#queueProofBefore(head, tree);
      else if (tree.rootAt(head.size) !== head.root) {
        const what = `The server's signed head of ${head.size} lines is not that of the lines that it has shown`;
        const why = "one was dropped, swapped or changed, or others are shown another log";
        log.deny("wrong head", `${what}: ${why}.`, [head]);
      } else if (this.#isOfWrongTime(head)) this.#tellClock(head); // the checkpoint came before its lines
      else this.#cover(head);
    }
  }

  /** A checkpoint from before the first line that is shown: only a proof can tell that the log goes on from it. */
  #queueProofBefore(head: Checkpoint, tree: LogTree): void {
    const { size } = tree;
    const proving = this.#judging.then(() => this.#proveBefore(head, size, tree));
    this.#judging = proving.catch(() => void this.#unproved.unshift(head));
  }

  async #proveBefore(head: Checkpoint, size: number, tree: LogTree): Promise<void> {
    const { ask, log } = this.#options;
    const root = parseHex(tree.rootAt(size) ?? "");
    const hashes = root && await ask.consistency(head.size, size);
    const old = parseHex(head.root);
    if (!hashes || !old || !verifyConsistency({ size: head.size, root: old }, { size, root }, hashes)) {
      log.deny("wrong head", `The log of ${size} lines doesn't go on from the signed head of ${head.size}.`, [head]);
    }
  }

  #cover({ size, time, root }: Checkpoint): void {
    const { emit, log, covered } = this.#options;
    const at = this.#coverings.findLastIndex((other) => other.size < size) + 1;
    this.#coverings.splice(at, 0, { size, time, root });
    const lines = this.#uncovered.filter(({ index }) => index < size);
    this.#uncovered = this.#uncovered.filter(({ index }) => index >= size);
    emit({ event: "covered", room: log.room, size, time });
    covered({ size, time, root }, lines);
  }

  // Time.

  /** To be called every second or so: notices whether the computer was asleep. */
  tick(): void {
    this.#wasAsleep = !this.#isTicking;
    this.#tickedAt = this.#options.now();
  }

  /** Marks lines that have waited too long for a checkpoint. */
  markUncovered(): void {
    const { emit, log, now } = this.#options;
    const late = now() - COVER_WITHIN;
    // While lines are on their way, those that the newest checkpoint covers only wait for them.
    const first = log.isLive ? 0 : this.#newest?.size ?? 0;
    const waiting = this.#uncovered.filter(({ index, since }) => index >= first && since < late);
    const from = waiting[0]?.index ?? 0;
    const to = (waiting.at(-1)?.index ?? -1) + 1;
    if (to <= this.#markedTo) return;
    emit({ event: "uncovered", room: log.room, from, to });
    this.#markedTo = to;
  }
}

/** Whether a checkpoint is of an earlier time than any of these lines can be. */
function isBefore({ time }: Pick<Checkpoint, "time">, lines: readonly Uncovered[]): boolean {
  return lines.some(({ earliest }) => SECOND * time < earliest);
}
