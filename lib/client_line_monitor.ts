/**
 * The lines of one room that have their place: has each of them judged (`client_line_judge.ts`), tells it, keeps it, and
 * tells what it changes.
 *
 *     lines.add(placed)           the next line of the log
 *     lines.judge()               → event "line", and what it changes: members, topic, erased words
 *     lines.cover(head, covered)  a checkpoint covers lines: their authors' certificates must be good at its time
 *
 * If very many lines wait, they are shown before their signatures are checked, and say so.
 *
 * @layer chat
 */

import type { LogPin } from "./log_envelope.ts";
import type { Clock } from "./bytes.ts";
import type { AuthorCertificates, KnownCertificate } from "./client_author_certificates.ts";
import type { LineEvent, RoomEvent } from "./client_event.ts";
import type { Covering, HeadMonitor, Uncovered } from "./client_head_monitor.ts";
import type { Author, KnownLog, Placed } from "./client_known_log.ts";
import { LineJudge } from "./client_line_judge.ts";
import { readEnvelope } from "./client_line_order.ts";
import type { Pins } from "./client_pins.ts";
import type { Fault, Kept, KeptLine } from "./client_store.ts";
import type { RoomState } from "./log_roles.ts";
import { isLastingKind } from "./log_rules.ts";
import { usernameKey } from "./names.ts";
import { VerifyingKey } from "./pss.ts";
import { messageInput, parseLine, type TranscriptLine } from "./transcript.ts";

/** Signatures that are checked at once. */
const BATCH = 64;
/** With more lines than these waiting, lines are shown before their signatures are checked. */
export const SHOW_UNCHECKED = 4 * BATCH;
/** How long words may be missing before the line that erases them comes, in milliseconds. */
const ERASED_WITHIN = 30_000;

/** A line, and the modulus of its author's key. */
export interface SignedLine {
  readonly line: TranscriptLine;
  readonly modulus: bigint;
}

/** Checks signatures of lines, many at once: for each line whether its signature is good. */
export interface Signatures {
  check(batch: readonly SignedLine[]): Promise<readonly boolean[]> | readonly boolean[];
}

/** What becomes of a line that was judged. */
export interface JudgedLine {
  readonly event: LineEvent;
  /** The line as the transcript has it. */
  readonly text: string;
  /** Resolves once the line would survive a crash. */
  readonly written: Promise<void>;
}

/** What a monitor of lines works with. */
export interface LineMonitorOptions {
  readonly log: KnownLog;
  readonly heads: HeadMonitor;
  readonly certificates: AuthorCertificates;
  /** The fingerprint of this client's certificate. */
  readonly own: string;
  readonly pins: Pins;
  readonly signatures?: Signatures | undefined;
  readonly now: Clock;
  readonly emit: (event: RoomEvent) => void;
  readonly keep: (kept: Kept) => Promise<void>;
  /** A good line names a head of the server's log. */
  readonly logNamed: (index: number, pin: LogPin) => void;
  /** A line was judged, and is being kept. */
  readonly judged: (line: JudgedLine) => void;
  /** Members and topic were told. */
  readonly stateTold: (memberCount: number) => void;
  /** All lines that were waiting are judged. */
  readonly done: () => void;
}

/** The monitor of one room's lines. */
export class LineMonitor {
  readonly #options: LineMonitorOptions;
  readonly #judge: LineJudge;
  #own: string;
  /** Lines that wait to be judged. */
  #queue: Placed[] = [];
  #judging: Promise<void> | undefined;
  /** How lines were shown before their signatures were checked, by index. */
  readonly #shown = new Map<number, LineEvent>();
  /** Join lines of our own that have their place and aren't judged. */
  #joining = 0;
  /** Lines whose words are not shown, by the time since when; until their author's redaction comes. */
  readonly #wordless = new Map<number, number>();
  /** Lines whose words their author has erased. */
  readonly #erased = new Set<number>();
  /** Lines that are shown as bad, and why. */
  readonly #bad = new Map<number, string>();
  /** Whether members or topic have changed since they were told. */
  #isStateNew = false;

  constructor(options: LineMonitorOptions) {
    this.#options = options;
    this.#own = options.own;
    this.#judge = new LineJudge(options);
  }

  /** This client goes on with another certificate. */
  become(own: string): void {
    this.#own = own;
  }

  /** Members, roles and the topic, by the lines that are judged. */
  get state(): RoomState {
    return this.#judge.state;
  }

  /** How many lines wait to be judged. */
  get waiting(): number {
    return this.#queue.length;
  }

  /** Whether this client is not in the room, by the lines that are here. */
  get isOut(): boolean {
    return this.#joining === 0 && !this.state.hasJoined(this.#own);
  }

  /** How many other people have said that they had seen a head beyond the line, whatever certificates they use. */
  countersigners(index: number): number {
    const { log } = this.#options;
    const who = ({ username, fingerprint }: Author) => username === undefined ? fingerprint : usernameKey(username);
    const found = new Set([...log.authors].filter(({ seen }) => seen.size > index).map(who));
    const author = log.authorOf(index);
    if (author) found.delete(who(author));
    return found.size;
  }

  // What was kept.

  /** Takes a line of the disk; `fault`: what was wrong with it when it came. */
  restore(placed: Placed, fault: Fault | undefined): void {
    const { pins } = this.#options;
    this.#noteWords(placed);
    placed.bad ??= fault?.reason ?? this.#judge.objection(placed);
    placed.counts = fault?.counts === true;
    if (placed.bad !== undefined) this.#bad.set(placed.index, placed.bad);
    this.#apply(placed);
    if (fault) this.#wordless.delete(placed.index); // that is told by the fault
    const statement = placed.bad === undefined ? placed.envelope?.statement : undefined;
    if (statement?.kind === "device") pins.vouch(placed.author.fingerprint, statement.fingerprint);
    if (statement?.kind === "join") pins.see(placed.author.fingerprint, statement.username);
  }

  /** Erases words that are still on the disk because the program ended before they were erased there. */
  eraseAgain(hasWords: (index: number) => boolean): void {
    for (const index of this.#erased) if (hasWords(index)) void this.#options.keep({ type: "erasure", index });
  }

  /** Tells a line of the disk. */
  tell(placed: Placed): void {
    this.#options.emit(this.#eventOf(placed, false));
  }

  /** A line of the disk, as an event; `undefined` if its author isn't known here. */
  describe(index: number, { line: text, envelope: bytes }: KeptLine): LineEvent | undefined {
    const line = parseLine(text);
    const author = this.#options.log.authorOf(index);
    if (!line || !author) return undefined;
    const { envelope } = readEnvelope(bytes);
    const placed = { index, line, text, author, envelope, bytes, bad: this.#bad.get(index), counts: false };
    return this.#eventOf(placed, false);
  }

  // What the server says.

  /** The server has let this client in, and says what the topic is. */
  admitted(topic: string): void {
    this.#judge.admitted(topic);
  }

  /** The log's beginning isn't shown: what comes before the first line is not known from lines. */
  beginLater(): void {
    this.#judge.beginLater();
  }

  // Judging.

  /** A line that has its place now. */
  add(placed: Placed): void {
    const isJoin = placed.envelope?.statement?.kind === "join";
    if (isJoin && placed.author.fingerprint === this.#own) this.#joining += 1;
    this.#noteWords(placed);
    this.#queue.push(placed);
  }

  /** A line without words is fine if its author has erased them: the line that does so may come later. */
  #noteWords({ index, bytes }: Placed): void {
    if (bytes === null && this.#options.log.deniedAt !== index) this.#wordless.set(index, this.#options.now());
  }

  /** Judges the lines that wait, in their order, unless that is being done. */
  judge(): void {
    if (this.#judging || this.#queue.length === 0) return;
    this.#judging = this.#judgeAll().then(() => true, () => false).then((isDone) => {
      this.#judging = undefined;
      if (isDone) this.judge(); // what came meanwhile
    });
  }

  /** Resolves once no line is being judged. */
  async settled(): Promise<void> {
    while (this.#judging) await this.#judging;
  }

  async #judgeAll(): Promise<void> {
    while (this.#queue.length > 0) {
      if (this.#queue.length > SHOW_UNCHECKED) this.#showUnchecked();
      const batch = this.#queue.slice(0, BATCH);
      const { certificates, signed } = await this.#check(batch);
      this.#queue.splice(0, batch.length);
      this.#judgeBatch(batch, certificates, signed);
      this.tellState();
    }
    this.#options.done();
  }

  /** The certificates of the authors, line by line, and the lines whose signatures are good. */
  async #check(batch: readonly Placed[]) {
    const { certificates: all, heads, signatures = ONE_THREAD } = this.#options;
    const certificates = await Promise.all(batch.map(({ author }) => all.get(author.fingerprint)));
    for (const one of new Set(certificates)) if (one) await heads.askEarlierHead(one);
    const asked = batch.flatMap(({ line }, at) => {
      const modulus = certificates[at]?.modulus;
      return modulus === undefined ? [] : [{ line, modulus }];
    });
    const verdicts = await signatures.check(asked);
    const isWhole = verdicts.length === asked.length; // otherwise nobody knows which verdict is for which line
    const signed = new Set(asked.filter((_, at) => isWhole && verdicts[at] === true).map(({ line }) => line));
    return { certificates, signed };
  }

  #judgeBatch(
    batch: readonly Placed[],
    certificates: readonly (KnownCertificate | undefined)[],
    signed: ReadonlySet<Placed["line"]>,
  ): void {
    const { emit, log } = this.#options;
    let from = Infinity;
    let to = 0;
    for (const [at, placed] of batch.entries()) {
      const wasShown = this.#shown.has(placed.index);
      this.#judgeLine(placed, certificates[at], signed.has(placed.line));
      if (log.deniedAt === placed.index) {
        this.#queue = []; // nothing after the line at which the server was caught is shown
        break;
      }
      if (!wasShown || placed.bad !== undefined) continue;
      from = Math.min(from, placed.index);
      to = placed.index + 1;
    }
    if (to > 0) emit({ event: "checked", room: log.room, from, to });
  }

  /** Shows the lines that wait and aren't shown yet. */
  #showUnchecked(): void {
    const first = this.#queue.findLastIndex(({ index }) => this.#shown.has(index)) + 1;
    for (const placed of this.#queue.slice(first)) {
      const event = this.#eventOf(placed, true);
      this.#shown.set(placed.index, event);
      this.#options.emit(event);
    }
  }

  #judgeLine(placed: Placed, certificate: KnownCertificate | undefined, isSigned: boolean): void {
    this.#judge.judge(placed, certificate, isSigned);
    this.#apply(placed);
    this.#showLine(placed);
  }

  #apply(placed: Placed): void {
    const isJoin = placed.envelope?.statement?.kind === "join";
    if (isJoin && placed.author.fingerprint === this.#own && this.#joining > 0) this.#joining -= 1;
    const statement = this.#judge.apply(placed);
    if (statement?.kind === "redact") {
      this.#wordless.delete(statement.index);
      this.#erased.add(statement.index);
    }
    this.#isStateNew ||= isLastingKind(statement?.kind);
  }

  // Showing.

  /** Tells a line that was judged, keeps it, and tells what it says of certificates and of other lines. */
  #showLine(placed: Placed): void {
    const { log, emit, keep, judged } = this.#options;
    const { index, text, author, bytes, bad } = placed;
    const statement = placed.envelope?.statement;
    const isGood = bad === undefined;
    if (statement?.kind === "join" && isGood) this.#seeDevice(author.fingerprint, statement.username);
    const event = this.#eventOf(placed, false);
    const shown = this.#shown.get(index);
    this.#shown.delete(index);
    // It may have been shown before under the name that its author's join line claimed.
    if (shown?.username !== event.username) emit(event);
    else if (!isGood) emit({ event: "bad_line", room: log.room, index, reason: bad });
    if (log.deniedAt !== undefined && index >= log.deniedAt) return;
    if (!isGood) this.#keepBad(index, { reason: bad, counts: placed.counts });
    if (isGood && placed.envelope?.log) this.#options.logNamed(index, placed.envelope.log);
    judged({ event, text, written: keep({ type: "line", index, line: text, envelope: bytes }) });
    if (statement?.kind === "redact" && (isGood || placed.counts)) {
      void keep({ type: "erasure", index: statement.index });
      emit({ event: "erased", room: log.room, index: statement.index });
    }
    if (statement?.kind === "device" && isGood) {
      const trusted = this.#options.pins.vouch(author.fingerprint, statement.fingerprint);
      for (const device of trusted) this.#tellDevice(device, author.username ?? "");
    }
  }

  #keepBad(index: number, fault: Fault): void {
    this.#bad.set(index, fault.reason);
    void this.#options.keep({ type: "bad", index, ...fault });
  }

  #seeDevice(fingerprint: string, username: string): void {
    const standing = this.#options.pins.see(fingerprint, username);
    if (standing === "new" || standing === "vouched") this.#tellDevice(fingerprint, username);
  }

  /** Somebody has a further certificate, or one of theirs is trusted from now on. */
  #tellDevice(fingerprint: string, username: string): void {
    const { emit, log, pins } = this.#options;
    const vouched = pins.standing(fingerprint) !== "new";
    emit({ event: "device", room: log.room, username, fingerprint, vouched, mine: fingerprint === this.#own });
  }

  #eventOf({ index, line, author, bad, ...words }: Placed, unchecked: boolean): LineEvent {
    const { pins, heads, log } = this.#options;
    const { envelope, bytes } = this.#erased.has(index) ? { envelope: undefined, bytes: null } : words;
    const { statement } = envelope ?? {};
    const isText = statement?.kind === "text" || statement?.kind === "topic";
    const known = author.username ?? (unchecked ? author.claimed : undefined) ??
      pins.usernameOf(author.fingerprint); // known from another room, if this one doesn't show the join line
    const username = statement?.kind === "join" ? statement.username : known;
    return {
      event: "line",
      room: log.room,
      index,
      from: author.fingerprint,
      username: username ?? null,
      seqno: line.seqno,
      ts: line.ts,
      by: heads.timeOf(index) ?? null,
      kind: envelope?.kind ?? null,
      text: isText ? statement.text : null,
      statement: statement ?? null,
      seen: envelope?.seen.size ?? null,
      mine: author.fingerprint === this.#own,
      erased: bytes === null && bad === undefined,
      unvouched: pins.standing(author.fingerprint) === "new",
      unchecked,
      bad: bad ?? null,
    };
  }

  // Time.

  /** A checkpoint covers lines. */
  cover(head: Covering, covered: readonly Uncovered[]): void {
    for (const { index, reason } of this.#judge.tooEarly(head)) {
      if (!this.#bad.has(index)) this.#turnsBad(index, reason);
    }
    const waiting = new Set(this.#queue.map(({ index }) => index)); // these are judged later, by the same time
    const shown = covered.filter(({ index }) => !waiting.has(index));
    for (const author of new Set(shown.map((line) => line.author))) {
      void this.#judgeAgain(author, 1000 * head.time, shown);
    }
  }

  /** A certificate must be good at the time of the checkpoint, not only when the line was shown. */
  async #judgeAgain(author: string, time: number, lines: readonly Uncovered[]): Promise<void> {
    const known = await this.#options.certificates.get(author).catch(() => undefined);
    const reason = known?.asAuthor.problems(time, "offline")[0];
    if (reason === undefined) return;
    for (const { index } of lines.filter((line) => line.author === author && !this.#bad.has(line.index))) {
      this.#turnsBad(index, reason);
    }
  }

  /** A line that was shown as good is bad. Its effect counts, since others have taken it too. */
  #turnsBad(index: number, reason: string): void {
    this.#keepBad(index, { reason, counts: true });
    this.#options.emit({ event: "bad_line", room: this.#options.log.room, index, reason });
  }

  /** Members and topic are to be told, whether they have changed or not. */
  refreshState(): void {
    this.#isStateNew = true;
  }

  /** Tells members and topic if they have changed. */
  tellState(): void {
    const { log, emit, stateTold } = this.#options;
    if (!log.isLive || !this.#isStateNew) return;
    this.#isStateNew = false;
    emit({ event: "state", room: log.room, topic: this.state.topic, members: this.state.members });
    stateTold(this.state.memberCount);
  }

  /** Marks lines whose words were kept back for too long. */
  markWordless(): void {
    const { now, log, emit } = this.#options;
    const late = now() - ERASED_WITHIN;
    for (const [index, since] of this.#wordless) {
      if (since >= late) continue;
      this.#wordless.delete(index);
      const reason = "Its words are kept back: no line of its author erases them.";
      this.#bad.set(index, reason);
      emit({ event: "bad_line", room: log.room, index, reason });
    }
  }
}

/** Checks signatures here and now. */
const ONE_THREAD: Signatures = {
  check: (batch) => {
    const keys = new Map(batch.map(({ modulus }) => [modulus, new VerifyingKey(modulus)]));
    return batch.map(({ line, modulus }) =>
      keys.get(modulus)?.verify(line.signature, messageInput(line.seqno, line.ts, line.body)) ?? false
    );
  },
};
