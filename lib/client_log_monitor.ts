/**
 * One room as one client keeps and checks it (docs/PROTOCOL.md, "Rooms as evidence" and "Rooms"): nothing of it is
 * believed because the server says so.
 *
 *     posted → its place: the next index, gapless seqno, R, H and C, room, `seen`          #place, at once
 *            → its author: signature, certificate as of the covering checkpoint, name, role → what it changes
 *            → event "line"                                                                #finish, in order
 *     checkpoint → signed by a certificate for the origin's server, later than the last → its root is that of the
 *            lines that were shown → event "covered"
 *
 * Where the server is caught, event "lie" says at what, and the room takes nothing more: what was shown before stays.
 * A line that is merely not good (an envelope of another form, a certificate that had ended, an act beyond the author's
 * role) is shown as bad, changes nothing, and the room goes on. Where its author's certificate ended between the heads
 * around it, it may have been accepted in time: then it counts all the same, or who comes late, and is shown no head of
 * earlier days, would have another owner and other members than everybody else. Many lines at once are shown before
 * their signatures are checked, and say so.
 *
 * A head whose time can't be right (ahead of this clock, or before that of its lines) covers nothing, until one fits.
 * What this client's own lines say that they had seen is what was compared with lines that are shown, and no more.
 *
 * What it needs it asks for ({@link ViewQuestions}); what must outlive the program it hands out ({@link Kept}). Who the
 * server is on the wire, sending, and which rooms there are, is `client_rooms.ts`.
 *
 * @layer chat
 */

import { decrypt } from "./aes_cbc.ts";
import { type Bytes, type Clock, encodeHex, encodeUtf8, parseHex } from "./bytes.ts";
import { type CertificatePath, findPath, type Trust } from "./certificate_path.ts";
import { type Checkpoint, isCheckpointSigned } from "./log_checkpoint.ts";
import { type Envelope, type Head, parseEnvelope } from "./log_envelope.ts";
import { ProtocolError } from "./errors.ts";
import {
  AT_ANY_TIME,
  CHECKPOINT_PRECISION,
  hashFaults,
  headFault,
  isLastingKind,
  orderFaults,
  rightFault,
  rightReason,
  riseFault,
  roomFault,
  type RuleFault,
} from "./log_rules.ts";
import { usernameKey } from "./names.ts";
import type { Pins } from "./client_pins.ts";
import { VerifyingKey } from "./pss.ts";
import type { Fault, Kept, KeptLine, KeptRoom } from "./client_store.ts";
import type { Lie, LineEvent, RoomEvent } from "./client_event.ts";
import { logHash, parseOrigin } from "./log_line.ts";
import { EMPTY_ROOT, leafHash, verifyConsistency } from "./log_tree.ts";
import type { PostedFields } from "./log_frames.ts";
import { RoomState } from "./log_roles.ts";
import { LogTree } from "./log_whole_tree.ts";
import { encodeLine, MAX_CLOCK_DIFFERENCE, messageInput, parseLine, type TranscriptLine } from "./transcript.ts";
import { type Certificate, parseCertificates } from "./x509.ts";

/** After so long without a {@link RoomView.tick} the computer was asleep: what comes then was sent some time ago. */
const ASLEEP_AFTER = 30_000;
/**
 * How long a line may go without a checkpoint before it is marked, in milliseconds (docs/PROTOCOL.md, "Rooms as
 * evidence").
 */
const COVER_WITHIN = 30_000;
/** Lines that came before their turn and wait for it; history brings the others again. */
const MAX_AHEAD = 4_096;
/** Signatures that are checked at once. */
const BATCH = 64;
/** With more lines than these waiting, lines are shown before their signatures are checked. */
const SHOW_UNCHECKED = 4 * BATCH;

/** What a view asks others for. A promise that rejects means: not now; `undefined`: the server has none. */
export interface ViewQuestions {
  /** The PEM of a certificate, with its intermediates. */
  certificate(fingerprint: string): Promise<string | undefined>;
  /** The audit path of a line. */
  inclusion(index: number, size: number): Promise<readonly Bytes[] | undefined>;
  consistency(from: number, to: number): Promise<readonly Bytes[] | undefined>;
  /** The last head that was signed up to a time, in unix seconds. */
  head(by: number): Promise<Checkpoint | undefined>;
}

/** Checks signatures of lines, many at once. */
export interface Signatures {
  check(batch: readonly { readonly line: TranscriptLine; readonly modulus: bigint }[]):
    | Promise<readonly boolean[]>
    | readonly boolean[];
}

/** What a view works with. */
export interface RoomViewOptions {
  readonly room: string;
  readonly origin: string;
  /** Whether the log is shown from its beginning. */
  readonly history: "all" | "since_join";
  /** The fingerprint of this client's certificate. */
  readonly own: string;
  readonly trust: () => Promise<Trust>;
  readonly pins: Pins;
  readonly ask: ViewQuestions;
  readonly emit: (event: RoomEvent) => void;
  readonly keep: (kept: Kept) => void;
  readonly now: Clock;
  /** Who checks signatures; without it they are checked here. */
  readonly signatures?: Signatures;
}

/** Somebody who writes. */
interface Author {
  readonly fingerprint: string;
  /** The seqno that is due; `undefined` where the log's beginning isn't shown. */
  next: number | undefined;
  /** The last line's time. */
  ts: number;
  /** The head that the last line named. */
  seen: Head;
  /** As it stands in the join line that was found good. */
  username: string | undefined;
  /** The same of one that isn't checked yet. */
  claimed: string | undefined;
}

/** A certificate that can be asked for its key and its path. */
interface Known {
  readonly leaf: Certificate;
  readonly chain: readonly Certificate[];
  readonly modulus: bigint;
  readonly key: VerifyingKey;
  readonly asAuthor: CertificatePath;
  readonly asServer: CertificatePath;
}

/** A line that has its place. */
interface Placed {
  readonly index: number;
  readonly line: TranscriptLine;
  readonly text: string;
  readonly author: Author;
  readonly envelope: Envelope | undefined;
  readonly bytes: Bytes | null;
  bad: string | undefined;
  /** Whether it changes what it says although it is bad. */
  counts: boolean;
  /** As it was shown unchecked. */
  shown: LineEvent | undefined;
}

/** A line that no checkpoint covers yet. */
interface Uncovered {
  readonly index: number;
  readonly author: string;
  readonly since: number;
  /** The earliest time, unix ms, that a head which covers it can be of, by clocks that are right. */
  readonly earliest: number;
}

/** A line that is only good if it came after a ban or a mute had ended. */
interface Timed {
  readonly index: number;
  /** Unix seconds. */
  readonly until: number;
  readonly reason: string;
}

/** A room. */
export class RoomView {
  readonly #options: RoomViewOptions;
  readonly #log: Bytes;
  readonly #server: string;
  readonly #state: RoomState;
  /** What the topic was, by the server's word, when it last let this client in. */
  #toldTopic = "";
  #tree: LogTree | undefined;
  readonly #authors = new Map<string, Author>();
  /** The author of each line from the base on. */
  readonly #lines: Author[] = [];
  /** Lines that can't be erased. */
  readonly #acts = new Set<number>();
  /** Lines whose words are not shown, and since when, until their author's redaction comes. */
  readonly #wordless = new Map<number, number>();
  /** Lines whose words their author has erased. */
  readonly #erased = new Set<number>();
  /** What is shown as bad, and why. */
  readonly #bad = new Map<number, string>();
  readonly #keys = new Map<number, Bytes>();
  #newestEpoch = 0;
  /** Whether the server has given every key that it gives. */
  #hasKeys = false;
  readonly #ahead = new Map<number, PostedFields>();
  readonly #certificates = new Map<string, Promise<Known | undefined>>();

  #queue: Placed[] = [];
  /** Join lines of one's own that have their place and aren't finished. */
  #joining = 0;
  #finishing: Promise<void> | undefined;
  #heads: Promise<void> = Promise.resolve();
  #newest: Checkpoint | undefined;
  /** A head whose signer's certificate could not be had, until another comes. */
  #unjudged: Checkpoint | undefined;
  /** Signed heads of lines that are not all here yet. */
  #unproved: Checkpoint[] = [];
  /** Signed heads of lines that are here, in their order. */
  /** By their sizes. */
  readonly #coverings: (Head & { readonly time: number })[] = [];
  /** Lines, in the order of their indexes, that the head which covers them may show to be bad. */
  #timed: Timed[] = [];
  /** The leaf hashes of lines that the server has refused. */
  readonly #refused = new Set<string>();
  /** Whether the last head that came was of a wrong time. */
  #isClockWrong = false;
  /** When {@link tick} was called last. */
  #tickedAt: number | undefined;
  /** Whether the computer was asleep before that. */
  #wasAsleep = false;
  /** Earlier heads that were asked for, to be compared with the lines once these are here. */
  readonly #claims: Checkpoint[] = [];
  /** Certificates that have ended, and for which a head of their time was asked. */
  readonly #asked = new Set<string>();
  #uncovered: Uncovered[] = [];
  #markedTo = 0;
  #isLive = false;
  /** Whether members or topic are other than they were told. */
  #isStateNew = false;
  #lie: Lie | undefined;

  constructor(options: RoomViewOptions) {
    this.#options = options;
    this.#log = logHash(options.origin);
    this.#server = parseOrigin(options.origin)?.server ?? "";
    this.#state = new RoomState(options.room, false);
    if (options.history === "all") this.#tree = new LogTree();
  }

  /** Takes what was kept. Its lines were checked when they came; the last `shown` of them are told again. */
  restore({ base, lines, bad, checkpoints, lie, refused = [] }: KeptRoom, shown: number): void {
    for (const leaf of refused) this.#refused.add(leaf);
    if (base) this.#tree = new LogTree(base.size, base.peaks);
    this.#beginState();
    const recent: Placed[] = [];
    for (const { line: text, envelope } of lines) {
      const line = parseLine(text);
      const placed = line && this.#place(this.size, line, text, envelope);
      if (!placed) break;
      const fault = bad.get(placed.index);
      placed.bad ??= fault?.reason ?? this.#objection(placed);
      placed.counts = fault?.counts === true;
      if (placed.bad !== undefined) this.#bad.set(placed.index, placed.bad);
      this.#fold(placed);
      const statement = placed.bad === undefined ? placed.envelope?.statement : undefined;
      if (statement?.kind === "device") this.#options.pins.vouch(line.signer, statement.fingerprint);
      if (statement?.kind === "join") this.#options.pins.see(line.signer, statement.username);
      recent.push(placed);
      if (recent.length > 2 * shown) recent.splice(0, shown);
    }
    for (const index of bad.keys()) this.#wordless.delete(index); // said already
    for (const index of this.#erased) { // the end may have come before they were erased on the disk
      if (lines[index - (base?.size ?? 0)]?.envelope) this.#options.keep({ type: "erasure", index });
    }
    let at = 0;
    for (const head of checkpoints) {
      if (this.#tree?.rootAt(head.size) === head.root) {
        const end = head.size - (base?.size ?? 0);
        this.#isClockWrong = isBefore(head, this.#uncovered.slice(at, end));
        if (this.#isClockWrong) continue;
        this.#coverings.push(head);
        at = end;
      } else if (head.size > this.size) this.#unproved.push(head); // its lines were on their way
    }
    this.#uncovered = this.#uncovered.filter(({ index }) => index >= this.covered);
    this.#newest = checkpoints.at(-1);
    if (this.#newest && ![...this.#coverings.slice(-1), ...this.#unproved].includes(this.#newest)) {
      this.#unproved.push(this.#newest);
    }
    for (const placed of recent.slice(-shown)) this.#options.emit(this.#lineEvent(placed, false));
    if (lie) this.#deny(lie.lie, lie.reason);
  }

  // What is known.

  /** How many lines of the log are here, or lie before the first that is shown. */
  get size(): number {
    return this.#tree?.size ?? 0;
  }

  /** The first line that is shown. */
  get base(): number | undefined {
    return this.#tree?.base;
  }

  /** The newest signed head. */
  get checkpoint(): Checkpoint | undefined {
    return this.#newest;
  }

  /** The newest head that was compared with lines which were shown, all of them checked. */
  get compared(): Head {
    const { shown } = this;
    const found = this.#coverings.findLast(({ size }) => size <= shown);
    return found ? { size: found.size, root: found.root } : EMPTY_HEAD;
  }

  /**
   * What the next line says that it has seen: the newest head that was compared, or the one that this client's last
   * line has named, where its records of that time are lost. With `isBlind` it is the newest that was signed: who comes
   * in again without records may not name less than in lines that aren't shown yet.
   */
  seen(isBlind = false): Head {
    const own = this.#authors.get(this.#options.own)?.seen ?? EMPTY_HEAD;
    const { compared } = this;
    if (isBlind && this.#newest && this.own === undefined) return { size: this.#newest.size, root: this.#newest.root };
    return compared.size >= own.size ? compared : own;
  }

  /** At what the server was caught. */
  get lie(): Lie | undefined {
    return this.#lie;
  }

  /** Members and the topic, as the lines have it; where the log's beginning isn't shown, as far as these tell. */
  get state(): RoomState {
    return this.#state;
  }

  /** Whether this client is not in the room, by the lines that are here. */
  get isOut(): boolean {
    return this.#joining === 0 && !this.#state.hasJoined(this.#options.own);
  }

  /** The seqno of this client's next line, and the time of the last; `undefined` where no line of it is known. */
  get own(): { readonly seqno: number; readonly ts: number } | undefined {
    const author = this.#authors.get(this.#options.own);
    return author?.next === undefined ? undefined : { seqno: author.next, ts: author.ts };
  }

  /** Up to where a signed head has been found to be that of the lines. */
  get covered(): number {
    return this.#coverings.at(-1)?.size ?? 0;
  }

  /** The tree, for proofs over what is covered. */
  get tree(): LogTree | undefined {
    return this.#tree;
  }

  /** How many others have said that they had seen a head beyond the line: people, whatever certificates they use. */
  countersigners(index: number): number {
    const who = ({ username, fingerprint }: Author) => username === undefined ? fingerprint : usernameKey(username);
    const found = new Set([...this.#authors.values()].filter(({ seen }) => seen.size > index).map(who));
    const author = this.#authorOf(index);
    if (author) found.delete(who(author));
    return found.size;
  }

  /** The name in the join line of a certificate. */
  usernameOf(fingerprint: string): string | undefined {
    return this.#authors.get(fingerprint)?.username;
  }

  /** The PEM with intermediates of every author of lines from..to-1 and of those who signed the heads. */
  async certificates(from: number, to: number, heads: readonly Checkpoint[]): Promise<string[]> {
    const wanted = new Set(heads.map((head) => head.from));
    for (let index = from; index < to; index++) wanted.add(this.#authorOf(index)?.fingerprint ?? "");
    const known = await Promise.all([...wanted].map((fingerprint) => this.#certificate(fingerprint)));
    return known.flatMap((one) => one ? [one.chain.map(({ pem }) => pem).join("")] : []);
  }

  /** A line of the disk as it is told; its author must be known here. */
  describe(index: number, { line: text, envelope: bytes }: KeptLine): LineEvent | undefined {
    const [line, author] = [parseLine(text), this.#authorOf(index)];
    if (!line || !author) return undefined;
    const { envelope } = readEnvelope(bytes);
    const bad = this.#bad.get(index);
    const placed = { index, line, text, author, envelope, bytes, bad, counts: false, shown: undefined };
    return this.#lineEvent(placed, false);
  }

  #authorOf(index: number): Author | undefined {
    return this.#lines[index - (this.#tree?.base ?? 0)];
  }

  // Taking.

  /** A key of the room. */
  takeKey(epoch: number, key: Bytes): void {
    this.#keys.set(epoch, key.slice()); // kept for long
    this.#newestEpoch = Math.max(this.#newestEpoch, epoch);
    this.#drain();
  }

  /** The newest epoch whose key is known. */
  get epoch(): { readonly epoch: number; readonly key: Bytes } | undefined {
    const epoch = this.#newestEpoch;
    const key = this.#keys.get(epoch);
    return key && { epoch, key };
  }

  /** Whether the next line is here and its key is not. */
  get lacksKey(): boolean {
    return this.#tree !== undefined && this.#ahead.has(this.size);
  }

  /** The server has given all keys that it gives: what can't be read now won't be. */
  tookAllKeys(): void {
    this.#hasKeys = true;
    this.#drain();
    this.#hasKeys = false;
  }

  /** A line. One before its turn waits for those before it, which the caller asks for. */
  take(posted: PostedFields): void {
    if (this.#lie) return;
    if (this.#tree && posted.index < this.#tree.size) return this.#compare(posted, this.#tree);
    const isDue = posted.index === this.size;
    if (isDue || this.#ahead.size < MAX_AHEAD) this.#ahead.set(posted.index, posted);
    this.#drain();
  }

  /** How many lines the log has by a signed head that can't be compared before they are here; 0 where there is none. */
  get promised(): number {
    return this.#unproved.at(-1)?.size ?? 0;
  }

  /** How many lines are shown, or lie before the first that is. */
  get shown(): number {
    return this.size - this.#queue.length;
  }

  /** Whether there are lines that can't be shown yet: they aren't here, or not what they are checked with. */
  get isBehind(): boolean {
    return this.#queue.length > 0 || this.#ahead.size > 0 || this.promised > this.size;
  }

  /** Whether lines before one that is here are not. */
  get hasGap(): boolean {
    return this.#ahead.size > 0 && !this.#ahead.has(this.size);
  }

  /** The server has shown what it has from that index on, and the next line isn't there. */
  missed(index: number): void {
    if (this.#lie || this.size > index) return;
    const but = this.hasGap ? "lines after it" : "a signed head of later lines";
    this.#deny("missing line", `The server shows no line ${index}, but ${but}: a line is kept back.`);
  }

  /** Begins a log whose beginning isn't shown with the first line that is: its audit path tells what lies before. */
  async begin(index: number): Promise<void> {
    const path = index === 0 ? [] : await this.#options.ask.inclusion(index, index + 1);
    if (this.#tree || !path) return;
    const peaks = path.toReversed();
    try {
      this.#tree = new LogTree(index, peaks);
    } catch {
      return this.#deny("wrong head", `The server's proof for line ${index} is none.`);
    }
    this.#options.keep({ type: "base", size: index, peaks });
    this.#beginState();
    for (const early of this.#ahead.keys()) if (early < index) this.#ahead.delete(early);
    this.#drain();
  }

  /** A line that was there before is the same, or the server is caught. */
  #compare(posted: PostedFields, tree: LogTree): void {
    const leaf = tree.leaf(posted.index);
    const again = leafHash(encodeUtf8(encodeLine(lineOf(posted))));
    if (leaf && encodeHex(leaf) !== encodeHex(again)) {
      this.#deny("changed line", `Line ${posted.index} is not the one that the server showed before.`);
    }
  }

  #drain(): void {
    const tree = this.#tree;
    if (!tree) return;
    for (let next = this.#ahead.get(tree.size); next && !this.#lie; next = this.#ahead.get(tree.size)) {
      const key = this.#keys.get(next.epoch);
      if (next.body && !key && !this.#hasKeys) break;
      this.#ahead.delete(next.index);
      const line = lineOf(next);
      const [uncarried] = next.body ? hashFaults(line.body, { body: next.body }) : [];
      const bytes = next.body && key && !uncarried ? decrypt(key, next.body) : undefined;
      const placed = this.#place(next.index, line, encodeLine(line), bytes ?? null);
      if (!placed) break;
      if (uncarried) this.#denyLine(placed, ...lieOf(uncarried, placed));
      else if (next.body && key && !bytes) {
        this.#denyLine(placed, "changed line", "its body can't be decrypted with the room's key");
      } else if (next.body && !key) placed.bad = "The server gives no key for it.";
      this.#queue.push(placed);
    }
    this.#prove();
    this.#finish();
  }

  /** Gives a line its place: everything that can be said without its author's certificate. */
  #place(index: number, line: TranscriptLine, text: string, bytes: Bytes | null): Placed | undefined {
    const tree = this.#tree;
    if (!tree) return undefined;
    const author = this.#author(line.signer);
    const [unopened] = bytes ? hashFaults(line.body, { words: bytes }) : [];
    const { envelope, bad } = readEnvelope(unopened ? null : bytes);
    const placed: Placed = { index, line, text, author, envelope, bytes, bad, counts: false, shown: undefined };
    if (envelope?.statement?.kind === "join") {
      author.claimed = envelope.statement.username;
      if (line.signer === this.#options.own) this.#joining += 1;
    }
    const leaf = leafHash(encodeUtf8(text));
    tree.append(leaf);
    this.#lines.push(author);
    const since = this.#options.now();
    const earliest = Math.max(line.ts, this.#isLive && this.#isAwake ? since : 0) - MAX_CLOCK_DIFFERENCE -
      CHECKPOINT_PRECISION;
    this.#uncovered.push({ index, author: line.signer, since, earliest });
    if (this.#refused.size > 0 && this.#refused.has(encodeHex(leaf))) {
      this.#denyLine(placed, "refused line", "the server had refused it, and told its author so");
      return placed;
    }
    const [misplaced] = [...hashFaults(line.body, { log: this.#log }), ...orderFaults(line, author)];
    if (misplaced) {
      this.#denyLine(placed, ...lieOf(misplaced, placed));
      return placed;
    }
    author.next = line.seqno + 1;
    author.ts = line.ts;
    if (unopened) this.#denyLine(placed, ...lieOf(unopened, placed));
    else if (envelope && bad === undefined) this.#read(placed, envelope, tree);
    else if (!bytes) this.#wordless.set(index, this.#options.now());
    return placed;
  }

  #author(fingerprint: string): Author {
    const known = this.#authors.get(fingerprint);
    if (known) return known;
    const next = this.#tree?.base === 0 ? 0 : undefined;
    const author: Author = { fingerprint, next, ts: 0, seen: EMPTY_HEAD, username: undefined, claimed: undefined };
    this.#authors.set(fingerprint, author);
    return author;
  }

  /** What a line had seen, and in which room. */
  #read(placed: Placed, envelope: Envelope, tree: LogTree): void {
    const { index, author } = placed;
    const { seen, kind } = envelope;
    const fault = roomFault(envelope, this.#options.room) ?? riseFault(envelope, author.seen.size) ??
      headFault(envelope, { index, rootAt: (size) => tree.rootAt(size) });
    if (fault) return this.#denyLine(placed, ...lieOf(fault, placed));
    author.seen = seen;
    if (isLastingKind(kind)) this.#acts.add(index);
  }

  // What it changes.

  /** What came before the first line that is shown isn't known from lines. */
  #beginState(): void {
    if (this.#tree && this.#tree.base > 0) this.#state.beginLater(this.#toldTopic);
  }

  /** Why a line may not say what it says, by the lines before it. */
  #objection(placed: Placed): string | undefined {
    const { author, envelope } = placed;
    if (!envelope) return undefined;
    const { statement } = envelope;
    const fault = this.#rightFault(placed);
    if (fault) return rightReason(fault);
    if (statement?.kind !== "join") return undefined;
    const pinned = this.#options.pins.usernameOf(author.fingerprint);
    const isOther = pinned !== undefined && pinned !== usernameKey(statement.username);
    return isOther ? "Its author's certificate was somebody else's before." : undefined;
  }

  #rightFault({ author, index, envelope }: Placed, by = AT_ANY_TIME) {
    return rightFault({ index, author: author.fingerprint, statement: envelope?.statement }, {
      state: this.#state,
      base: this.#tree?.base ?? 0,
      usernameOf: (fingerprint) => this.#authors.get(fingerprint)?.username,
      authorOf: (target) => this.#authorOf(target)?.fingerprint,
      isLasting: (target) => this.#acts.has(target),
    }, by);
  }

  /**
   * Whether a line is good depends on when it came, where its author was muted or banned for some time: a head that
   * covers it before that time has ended shows that it came too early. It counts all the same: who comes later may be
   * shown no such head, and would have other members.
   */
  #timeLimit(placed: Placed): Timed | undefined {
    const { index, author, envelope } = placed;
    if (!envelope || placed.bad !== undefined) return undefined;
    const fault = this.#rightFault(placed, 0);
    if (!fault) return undefined;
    const { statement } = envelope;
    const until = statement?.kind === "join"
      ? this.#state.bannedUntil(statement.username)
      : this.#state.mutedUntil(author.username ?? "");
    return { index, until, reason: rightReason(fault) };
  }

  /** Takes what a line changes; one that is bad has its place and says nothing. */
  #fold({ author, envelope, bad, counts }: Placed): void {
    if (author.fingerprint === this.#options.own && envelope?.statement?.kind === "join") this.#joining -= 1;
    const statement = bad === undefined || counts ? envelope?.statement : undefined;
    if (statement?.kind === "join") author.username = statement.username;
    if (statement?.kind === "redact") {
      this.#wordless.delete(statement.index);
      this.#erased.add(statement.index);
    }
    this.#state.apply({ author: author.fingerprint, username: author.username ?? "", statement });
    this.#isStateNew ||= isLastingKind(statement?.kind);
  }

  // The author.

  /** The server has let this client in, and says what the topic is. */
  admitted(topic: string): void {
    this.#toldTopic = topic;
    this.#isLive = false; // until all is here that was said meanwhile
    this.#beginState();
    this.wake();
  }

  /** Goes on with what waited for an answer of the server. */
  wake(): void {
    this.#heads = this.#heads.then(() => this.#unjudged && this.#takeHead(this.#unjudged)).catch(() => {});
    this.#prove();
    this.#finish();
  }

  /** Resolves when all that came is shown, or waits for others. */
  async settled(): Promise<void> {
    await this.#heads;
    while (this.#finishing) await this.#finishing;
    await this.#heads;
  }

  #finish(): void {
    if (this.#finishing || this.#queue.length === 0) return;
    this.#finishing = this.#finishAll().then(() => true, () => false).then((isDone) => {
      this.#finishing = undefined;
      if (isDone) this.#finish(); // what came in between
    });
  }

  async #finishAll(): Promise<void> {
    while (this.#queue.length > 0) {
      if (this.#queue.length > SHOW_UNCHECKED) this.#showUnchecked();
      const batch = this.#queue.slice(0, BATCH);
      const known = await Promise.all(batch.map(({ author }) => this.#certificate(author.fingerprint)));
      for (const one of new Set(known)) if (one) await this.#askEarlierHead(one);
      const signed = batch.flatMap(({ line }, at) => {
        const modulus = known[at]?.modulus;
        return modulus === undefined ? [] : [{ line, modulus }];
      });
      const verdicts = await (this.#options.signatures?.check(signed) ?? checkHere(signed));
      const isWhole = verdicts.length === signed.length; // else nobody knows whose they are, and none is good
      const good = new Set(signed.filter((_, at) => isWhole && verdicts[at] === true).map(({ line }) => line));
      this.#queue.splice(0, batch.length);
      let [from, to] = [Infinity, 0];
      for (const [at, placed] of batch.entries()) {
        const certificate = known[at];
        this.#finishLine(placed, certificate, good.has(placed.line));
        if (this.#denied === placed.index) {
          this.#queue = []; // what came after it is nothing to be shown
          break;
        }
        if (placed.shown && placed.bad === undefined) [from, to] = [Math.min(from, placed.index), placed.index + 1];
      }
      if (to > 0) this.#options.emit({ event: "checked", room: this.#options.room, from, to });
      this.#tellState();
    }
    this.#prove();
  }

  /** What is shown already stands first. */
  #showUnchecked(): void {
    const first = this.#queue.findLastIndex(({ shown }) => shown) + 1;
    for (const placed of this.#queue.slice(first)) {
      placed.shown = this.#lineEvent(placed, true);
      this.#options.emit(placed.shown);
    }
  }

  #finishLine(placed: Placed, certificate: Known | undefined, isSigned: boolean): void {
    const { index, text, author, bytes, envelope } = placed;
    const { room, emit, keep, pins, now } = this.#options;
    const wasDenied = this.#denied === index;
    if (!certificate) placed.bad ??= "The server has no certificate of its author.";
    else if (!isSigned && !wasDenied) {
      this.#denyLine(placed, "invented line", "its author did not sign it");
    } else {
      placed.bad ??= this.#objection(placed);
      const limit = this.#timeLimit(placed);
      const covered = this.#timeOf(index, true);
      if (limit && covered === undefined) this.#timed.push(limit);
      else if (limit && (covered ?? 0) < limit.until) [placed.bad, placed.counts] = [limit.reason, true];
      const claimed = this.#claims.filter(({ size }) => size > index).map(({ time }) => 1000 * time);
      const at = Math.min(this.#timeOf(index) ?? now(), ...claimed);
      const problem = certificate.asAuthor.problems(at, "offline")[0];
      if (problem !== undefined && neverHeld(certificate)) this.#denyLine(placed, "invented line", problem);
      if (problem !== undefined && placed.bad === undefined) {
        placed.bad = problem;
        placed.counts = this.#mayHaveHeld(certificate, index);
      }
    }
    this.#fold(placed);
    const { statement } = envelope ?? {};
    if (statement?.kind === "join" && placed.bad === undefined) {
      const device = pins.see(author.fingerprint, statement.username);
      if (device === "new" || device === "vouched") this.#tellDevice(author.fingerprint, statement.username);
    }
    const event = this.#lineEvent(placed, false);
    // Unchecked, it was shown under the name that its author's join line claimed.
    if (placed.shown?.username !== event.username) emit(event);
    else if (placed.bad !== undefined) emit({ event: "bad_line", room, index, reason: placed.bad });
    if (this.#lie && this.#denied !== undefined && index >= this.#denied) return;
    if (placed.bad !== undefined) this.#keepBad(index, { reason: placed.bad, counts: placed.counts });
    keep({ type: "line", index, line: text, envelope: bytes });
    if (statement?.kind === "redact" && (placed.bad === undefined || placed.counts)) {
      keep({ type: "erasure", index: statement.index });
      emit({ event: "erased", room, index: statement.index });
    }
    if (statement?.kind === "device" && placed.bad === undefined) {
      const trusted = pins.vouch(author.fingerprint, statement.fingerprint);
      for (const device of trusted) this.#tellDevice(device, author.username ?? "");
    }
  }

  /**
   * Whether a certificate was good at some time between the last head that doesn't cover a line and the first that
   * does.
   */
  #mayHaveHeld(known: Known, index: number): boolean {
    const before = this.#coverings.findLast(({ size }) => size <= index)?.time ?? 0;
    const since = Math.max(1000 * before, beginOf(known));
    return since <= (this.#timeOf(index) ?? since) && known.asAuthor.problems(since, "offline").length === 0;
  }

  #keepBad(index: number, fault: Fault): void {
    this.#bad.set(index, fault.reason);
    this.#options.keep({ type: "bad", index, ...fault });
  }

  /** A further certificate of somebody's has come in, or is trusted from now on. */
  #tellDevice(fingerprint: string, username: string): void {
    const { emit, room, own, pins } = this.#options;
    const vouched = pins.standing(fingerprint) !== "new";
    emit({ event: "device", room, username, fingerprint, vouched, mine: fingerprint === own });
  }

  /** The index of the line at which the server was caught. */
  #denied: number | undefined;

  #lineEvent({ index, line, author, bad, ...words }: Placed, unchecked: boolean): LineEvent {
    const { envelope, bytes } = this.#erased.has(index) ? { envelope: undefined, bytes: null } : words;
    const { statement } = envelope ?? {};
    const isText = statement?.kind === "text" || statement?.kind === "topic";
    const known = author.username ?? (unchecked ? author.claimed : undefined) ??
      this.#options.pins.usernameOf(author.fingerprint); // of another room, where the join line isn't shown here
    const username = statement?.kind === "join" ? statement.username : known;
    return {
      event: "line",
      room: this.#options.room,
      index,
      from: author.fingerprint,
      username: username ?? null,
      seqno: line.seqno,
      ts: line.ts,
      by: this.#timeOf(index, true) ?? null,
      kind: envelope?.kind ?? null,
      text: isText ? statement.text : null,
      statement: statement ?? null,
      seen: envelope?.seen.size ?? null,
      mine: author.fingerprint === this.#options.own,
      erased: bytes === null && bad === undefined,
      unvouched: this.#options.pins.standing(author.fingerprint) === "new",
      unchecked,
      bad: bad ?? null,
    };
  }

  /** The time of the first checkpoint shown that covers a line: unix milliseconds, or seconds. */
  #timeOf(index: number, inSeconds = false): number | undefined {
    let [from, to] = [0, this.#coverings.length];
    while (from < to) { // there may be a head of every second
      const middle = Math.floor((from + to) / 2);
      if ((this.#coverings[middle]?.size ?? 0) > index) to = middle;
      else from = middle + 1;
    }
    const first = this.#coverings[from]?.time;
    return first === undefined || inSeconds ? first : 1000 * first;
  }

  #certificate(fingerprint: string): Promise<Known | undefined> {
    const known = this.#certificates.get(fingerprint);
    if (known) return known;
    const asked = this.#askCertificate(fingerprint);
    this.#certificates.set(fingerprint, asked);
    const forget = () => this.#certificates.delete(fingerprint); // it may be had later
    asked.then((found) => found ?? forget(), forget);
    return asked;
  }

  async #askCertificate(fingerprint: string): Promise<Known | undefined> {
    const pem = await this.#options.ask.certificate(fingerprint);
    const chain = pem === undefined ? [] : parsePem(pem);
    const [leaf] = chain;
    if (leaf?.fingerprint !== fingerprint || !leaf.rsa) return undefined;
    const { modulus } = leaf.rsa;
    const trust = await this.#options.trust();
    const [asAuthor, asServer] = await Promise.all([
      findPath(chain, trust, { purpose: "client" }),
      findPath(chain, trust, { purpose: "server" }),
    ]);
    return { leaf, chain, modulus, key: new VerifyingKey(modulus), asAuthor, asServer };
  }

  // Heads.

  /** A signed head; resolves once it is judged, or can't be for now. */
  takeCheckpoint(checkpoint: Checkpoint): Promise<void> {
    return this.#heads = this.#heads.then(() => this.#takeHead(checkpoint)).catch(() => {});
  }

  async #takeHead(checkpoint: Checkpoint): Promise<void> {
    const { size, root, time } = checkpoint;
    const known = this.#newest;
    this.#unjudged = undefined;
    const isKnown = known?.size === size && known.root === root; // a size has one head, of one time, if that was right
    if (this.#lie || (isKnown && (known.time === time || !this.#isClockWrong))) return;
    this.#unjudged = checkpoint;
    const isWrongTime = this.#isOfWrongTime(checkpoint); // a certificate can't be judged at a time that is wrong
    const problem = await this.#signerProblem(checkpoint, isWrongTime);
    this.#unjudged = undefined;
    const newest = this.#newest;
    if (problem !== undefined) {
      const reason = `The server's head of ${size} lines is not one of this log's server: ${problem}`;
      return this.#deny("unsigned head", reason, [checkpoint]);
    }
    const own = this.#tree?.rootAt(size);
    const isOther = newest?.size === size ? newest.root !== root : own !== undefined && own !== root;
    if (isOther && newest && size <= newest.size) {
      const reason = `The server has signed two different logs of ${size} lines. Both heads are kept: they convict it.`;
      return this.#deny("fork", reason, [newest, checkpoint]);
    }
    if (isWrongTime) return this.#tellClock(checkpoint);
    if (newest && (size < newest.size || time < newest.time)) {
      const reason = `The server shows an old head, of ${size} lines, after one of ${newest.size}.`;
      return this.#deny("old head", reason, [newest, checkpoint]);
    }
    this.#newest = checkpoint;
    this.#options.keep({ type: "checkpoint", checkpoint });
    this.#unproved.push(checkpoint);
    if (this.#isClockWrong) this.#options.emit({ event: "right_clock", room: this.#options.room });
    this.#isClockWrong = false;
    this.#prove();
  }

  /** Whether a head is of a time that has not come yet, or is before that of a line which it covers. */
  #isOfWrongTime({ size, time }: Checkpoint): boolean {
    if (1000 * time > this.#options.now() + MAX_CLOCK_DIFFERENCE) return true;
    return isBefore({ time }, this.#uncovered.filter(({ index }) => index < size));
  }

  /** One of both clocks is wrong: the head counts for nothing, and the next that fits takes it back. */
  #tellClock({ time }: Checkpoint): void {
    const { emit, room, now } = this.#options;
    if (!this.#isClockWrong) emit({ event: "wrong_clock", room, time, now: Math.floor(now() / 1000) });
    this.#isClockWrong = true;
  }

  /** Whether what comes now was sent now. */
  get #isAwake(): boolean {
    return this.#isTicking && !this.#wasAsleep;
  }

  get #isTicking(): boolean {
    return this.#tickedAt === undefined || this.#options.now() - this.#tickedAt < ASLEEP_AFTER;
  }

  /**
   * What an author said whose certificate has ended or was revoked since is judged by a head of its own time: who comes
   * late was shown none, and asks for the last one before that end. It is believed as the server's word, and convicts
   * it where the lines turn out to be others.
   */
  async #askEarlierHead({ leaf, asAuthor }: Known): Promise<void> {
    const { ask, now, keep } = this.#options;
    const end = asAuthor.goodUntil(now(), "offline");
    if (end > now() || this.#asked.has(leaf.fingerprint)) return;
    const head = await ask.head(Math.floor(end / 1000) - 1);
    const isNews = head && 1000 * head.time < end && head.size > (this.#tree?.base ?? 0) &&
      ![...this.#claims, ...this.#coverings].some(({ size }) => size === head.size);
    const isSigned = isNews && await this.#signerProblem(head) === undefined;
    this.#asked.add(leaf.fingerprint); // not before: what can't be had now is asked for again
    if (!isSigned) return;
    this.#claims.push(head);
    keep({ type: "seen", size: head.size }); // not to be thinned out
    if (this.#unproved.some(({ size, root }) => size === head.size && root === head.root)) return; // it is the newest
    keep({ type: "checkpoint", checkpoint: head });
    this.#unproved = [...this.#unproved, head].sort((one, other) => one.size - other.size);
    this.#prove();
  }

  /** What is wrong with a head's signature, or with who signed it. */
  async #signerProblem(checkpoint: Checkpoint, isWrongTime = false): Promise<string | undefined> {
    const known = await this.#certificate(checkpoint.from);
    if (!known) return "the certificate that signed it can't be had.";
    if (!isCheckpointSigned(this.#options.origin, checkpoint, known.key)) return "its signature doesn't verify.";
    const names = known.leaf.hostNames?.dnsNames ?? [];
    if (!names.some((name) => name.toLowerCase() === this.#server.toLowerCase())) {
      return `the certificate that signed it is not for ${this.#server}.`;
    }
    const time = isWrongTime ? this.#options.now() : 1000 * checkpoint.time;
    return known.asServer.problems(time, "offline")[0];
  }

  /** Compares signed heads with the lines, as far as these are here. */
  #prove(): void {
    const tree = this.#tree;
    while (tree && !this.#lie) {
      const [head] = this.#unproved;
      if (!head || head.size > tree.size) return;
      this.#unproved.shift();
      if (head.size < tree.base) {
        const size = tree.size;
        const proving = this.#heads.then(() => this.#proveBefore(head, size, tree));
        this.#heads = proving.catch(() => void this.#unproved.unshift(head));
        continue;
      }
      if (tree.rootAt(head.size) !== head.root) {
        const reason = `The server's signed head of ${head.size} lines is not that of the lines that it has shown: ` +
          "one was dropped, swapped or changed, or others are shown another log.";
        return this.#deny("wrong head", reason, [head]);
      }
      if (this.#isOfWrongTime(head)) this.#tellClock(head); // it came before its lines
      else this.#cover(head);
    }
  }

  /** A head from before the first line that is shown: only a proof can tell that the log goes on from it. */
  async #proveBefore(head: Checkpoint, size: number, tree: LogTree): Promise<void> {
    const root = parseHex(tree.rootAt(size) ?? "");
    const hashes = root && await this.#options.ask.consistency(head.size, size);
    const old = parseHex(head.root);
    if (!hashes || !old || !verifyConsistency({ size: head.size, root: old }, { size, root }, hashes)) {
      this.#deny("wrong head", `The log of ${size} lines doesn't go on from the signed head of ${head.size}.`, [head]);
    }
  }

  #cover({ size, time, root }: Checkpoint): void {
    const { emit, room } = this.#options;
    const at = this.#coverings.findLastIndex((other) => other.size < size) + 1;
    this.#coverings.splice(at, 0, { size, time, root });
    const due = this.#timed.filter(({ index }) => index < size);
    this.#timed = this.#timed.filter(({ index }) => index >= size);
    const covered = this.#uncovered.filter(({ index }) => index < size);
    this.#uncovered = this.#uncovered.filter(({ index }) => index >= size);
    emit({ event: "covered", room, size, time });
    for (const { index, until, reason } of due) {
      if (time >= until || this.#bad.has(index)) continue;
      this.#keepBad(index, { reason, counts: true });
      emit({ event: "bad_line", room, index, reason });
    }
    const waiting = new Set(this.#queue.map(({ index }) => index)); // judged when they are shown
    const shown = covered.filter(({ index }) => !waiting.has(index));
    for (const author of new Set(shown.map((line) => line.author))) void this.#judge(author, 1000 * time, shown);
  }

  /** A certificate counts as of the time of the checkpoint, not of the moment in which the line was shown. */
  async #judge(author: string, time: number, lines: readonly Uncovered[]): Promise<void> {
    const known = await this.#certificate(author).catch(() => undefined);
    const reason = known?.asAuthor.problems(time, "offline")[0];
    if (reason === undefined) return;
    const { emit, room } = this.#options;
    for (const { index } of lines.filter((line) => line.author === author && !this.#bad.has(line.index))) {
      this.#keepBad(index, { reason, counts: true }); // what it changed, others have taken too
      emit({ event: "bad_line", room, index, reason });
    }
  }

  // Time.

  /**
   * All lines up to now are here. Resolves when what they change is known, where there are not too many to wait for.
   */
  async caughtUp(): Promise<void> {
    this.#isLive = true;
    this.#isStateNew = true;
    this.#options.emit({ event: "caught_up", room: this.#options.room, size: this.size });
    if (this.#queue.length > 0 && this.#queue.length <= SHOW_UNCHECKED) await this.settled();
    this.#tellState();
  }

  /** Tells who is in and what the topic is, where that is another than before. */
  #tellState(): void {
    if (!this.#isLive || !this.#isStateNew) return;
    this.#isStateNew = false;
    const { emit, room } = this.#options;
    emit({ event: "state", room, topic: this.#state.topic, members: this.#state.members });
  }

  /** To be called every few seconds: asks again, and marks what waits too long for a checkpoint, or for a redaction. */
  tick(): void {
    this.#wasAsleep = !this.#isTicking;
    this.#tickedAt = this.#options.now();
    this.wake();
    if (this.#lie) return;
    const { emit, room, now } = this.#options;
    const late = now() - COVER_WITHIN;
    // A head can't be compared before all its lines are here.
    const first = this.#isLive ? 0 : this.#newest?.size ?? 0;
    const waiting = this.#uncovered.filter(({ index, since }) => index >= first && since < late);
    const [from, to] = [waiting[0]?.index ?? 0, (waiting.at(-1)?.index ?? -1) + 1];
    if (to > this.#markedTo) {
      emit({ event: "uncovered", room, from, to });
      this.#markedTo = to;
    }
    for (const [index, since] of this.#wordless) {
      // The line that erases them may be among the next.
      if (since >= late || this.hasGap || this.#queue.length > 0 || !this.#isLive) continue;
      this.#wordless.delete(index);
      const reason = "Its words are kept back: no line of its author erases them.";
      this.#bad.set(index, reason);
      emit({ event: "bad_line", room, index, reason });
    }
  }

  // Lies.

  /** The server has refused this line of the client's own, for good or as it was: it may not stand. */
  refuseLine(line: string): void {
    const leaf = encodeHex(leafHash(encodeUtf8(line)));
    if (this.#refused.has(leaf)) return;
    this.#refused.add(leaf);
    this.#options.keep({ type: "refused", leaf });
  }

  /** The server's log is another than the one that was pinned. */
  refuse(lie: Lie, reason: string): void {
    this.#deny(lie, reason);
  }

  #denyLine(placed: Placed, lie: Lie, what: string): void {
    placed.bad = `Line ${placed.index}: ${what}.`;
    if (!this.#lie) this.#denied = placed.index;
    this.#deny(lie, placed.bad);
  }

  #deny(lie: Lie, reason: string, heads: readonly Checkpoint[] = []): void {
    if (this.#lie) return;
    this.#lie = lie;
    this.#ahead.clear();
    this.#options.keep({ type: "lie", lie, reason, heads });
    this.#options.emit({ event: "lie", room: this.#options.room, lie, reason });
  }
}

const EMPTY_HEAD: Head = { size: 0, root: encodeHex(EMPTY_ROOT) };

/** Whether a head is of an earlier time than any of these lines can be. */
function isBefore({ time }: Pick<Checkpoint, "time">, lines: readonly Uncovered[]): boolean {
  return lines.some(({ earliest }) => 1000 * time < earliest);
}

function lineOf({ seqno, ts, ct, sig, from }: PostedFields): TranscriptLine {
  return { seqno, ts, body: ct, signature: sig, signer: from };
}

/** The lie in which a server is caught that shows a line which breaks a rule, and the reason. */
function lieOf(fault: RuleFault, { line, envelope }: Pick<Placed, "line" | "envelope">): [Lie, string] {
  switch (fault.rule) {
    case "log":
      return ["replayed line", "it was written for another room or log"];
    case "words":
      return ["changed line", "its words are not those that its author signed"];
    case "body":
      return ["changed line", "its body is not the one that its author signed"];
    case "seqno": {
      const where = `its author's line ${line.seqno} stands where line ${fault.due} is due`;
      return ["wrong order", `${where}: one was dropped, or two were swapped`];
    }
    case "time":
      return ["wrong order", "its time is before that of its author's line before"];
    case "room":
      return ["replayed line", "it was written for another room"];
    case "seen too much":
      return ["wrong head", "it had seen lines that were not there"];
    case "seen less":
      return ["wrong order", "it had seen less than its author's line before"];
    case "seen another log":
      return ["fork", `its author was shown another log of ${envelope?.seen.size} lines`];
  }
}

function readEnvelope(bytes: Bytes | null): { envelope: Envelope | undefined; bad: string | undefined } {
  if (!bytes) return { envelope: undefined, bad: undefined };
  try {
    return { envelope: parseEnvelope(bytes), bad: undefined };
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    return { envelope: undefined, bad: error.message };
  }
}

function parsePem(pem: string): Certificate[] {
  try {
    return parseCertificates(pem);
  } catch (error) {
    if (error instanceof ProtocolError) return [];
    throw error;
  }
}

/** Whether a certificate was no good at any time: no CA of ours stands behind it. */
function neverHeld(known: Known): boolean {
  return known.asAuthor.problems(beginOf(known), "offline").length > 0;
}

/** From when on a certificate could be good, by those on the path to its CA: others may have been shown beside them. */
function beginOf({ leaf, asAuthor }: Known): number {
  return Math.max(...asAuthor.certificates(leaf.notBefore, "offline").map(({ notBefore }) => notBefore));
}

function checkHere(lines: readonly { readonly line: TranscriptLine; readonly modulus: bigint }[]): boolean[] {
  const keys = new Map<bigint, VerifyingKey>();
  return lines.map(({ line, modulus }) => {
    const key = keys.get(modulus) ?? new VerifyingKey(modulus);
    keys.set(modulus, key);
    return key.verify(line.signature, messageInput(line.seqno, line.ts, line.body));
  });
}
