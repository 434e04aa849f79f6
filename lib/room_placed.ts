/**
 * A room's log as far as lines have their places, whether they are durable yet or not: the next index, each author's
 * order, and what the lines have made of the room. What is durable is `room_durable.ts`.
 *
 *     placed.checkSeqno({ post, line, envelope, author })   throws a ProtocolError, and nothing has changed
 *     placed.check({ post, line, envelope, author }, time)  the same
 *     placed.place({ post, line, envelope, author }, now)   → the line with its index, and the tree's new nodes
 *
 * None of them waits for anything: what was checked still holds when the index is given, so no lock is needed. The line is
 * told to nobody before it is durable.
 *
 * @layer chat
 */

import { encodeUtf8 } from "./bytes.ts";
import { ProtocolError } from "./errors.ts";
import type { Envelope } from "./log_envelope.ts";
import type { PostFields } from "./log_requests.ts";
import { type RoomAct, RoomState } from "./log_roles.ts";
import { orderFaults, riseFault } from "./log_rules.ts";
import { Frontier, leafHash, type TreeNode } from "./log_tree.ts";
import type { Attendee } from "./room_attendee.ts";
import type { KeyWrap, RoomEpochs } from "./room_epochs.ts";
import { type AuthorPlace, isSnapshotDue, sealSnapshot, type Snapshot } from "./room_snapshot.ts";
import type { StoredLine, StoredRoom, StoredState } from "./room_store.ts";
import { MAX_CLOCK_DIFFERENCE } from "./transcript.ts";

/** A line that may get its place. */
export interface LineCandidate {
  readonly post: PostFields;
  /** As the transcript has it, without LF. */
  readonly line: string;
  readonly envelope: Envelope;
  readonly author: Pick<Attendee, "fingerprint" | "username">;
}

/** A line that has its place. */
export interface PlacedLine {
  readonly line: StoredLine;
  /** The nodes that the line completes; the first is its leaf. */
  readonly nodes: readonly TreeNode[];
  /** What the line says, and who says it: every line has one, also one that is mere words. */
  readonly act: RoomAct;
  /** A snapshot of what the lines up to this one come to, if it is time to store one. */
  readonly state: StoredState | undefined;
}

/** The time of this moment, unix milliseconds, and the latest time that a line may be compared with. */
export interface PlacingTime {
  readonly now: number;
  readonly latest: number;
}

/** The log as the store has it. */
export interface LogContents extends Omit<Snapshot, "index"> {
  readonly frontier: Frontier;
  /** The index of the snapshot that is stored; 0 if there is none. */
  readonly storedAt: number;
}

/** The lines that have their places. */
export class PlacedLog {
  readonly #room: StoredRoom;
  readonly #epochs: RoomEpochs;
  /** Wraps snapshots. */
  readonly #keys: KeyWrap;
  #state: RoomState;
  #frontier = new Frontier();
  #authors = new Map<string, AuthorPlace>();
  /** The latest epoch of a join line. */
  #joinedAt: number | undefined;
  /** The index of the snapshot that is stored. */
  #storedAt = 0;
  /** Lines whose bodies are erased by lines that aren't durable yet. */
  readonly #erasing = new Set<number>();

  constructor(room: StoredRoom, epochs: RoomEpochs, keys: KeyWrap) {
    this.#room = room;
    this.#epochs = epochs;
    this.#keys = keys;
    this.#state = new RoomState(room.name, room.inviteOnly);
  }

  /** Replaces what this server holds in memory of the log by what the store has. */
  restore({ state, frontier, authors, joinedAt, storedAt }: LogContents): void {
    this.#frontier = frontier;
    this.#authors = authors;
    this.#state = state;
    this.#joinedAt = joinedAt;
    this.#storedAt = storedAt;
    this.#erasing.clear();
    if (joinedAt !== undefined) this.#retireBefore(joinedAt);
  }

  /** How many lines have a place. */
  get size(): number {
    return this.#frontier.size;
  }

  /** The tree of all lines that have a place. */
  get frontier(): Pick<Frontier, "size" | "peaks"> {
    return this.#frontier;
  }

  /** Who is in the room, and what each may do, by all lines that have a place. */
  get state(): RoomState {
    return this.#state;
  }

  /** The seqno of an author's next line. */
  nextSeqnoOf(fingerprint: string): number {
    return this.#authorOf(fingerprint).nextSeqno;
  }

  /** The latest of the lines' own times, unix milliseconds. */
  get latestTs(): number {
    return this.#authors.values().reduce((latest, { ts }) => Math.max(latest, ts), 0);
  }

  /** Throws `replay` unless the line has its author's next seqno. */
  checkSeqno({ post, author: { fingerprint } }: LineCandidate): void {
    const { nextSeqno: next, ts } = this.#authorOf(fingerprint);
    if (orderFaults(post, { next, ts }).some(({ rule }) => rule === "seqno")) {
      throw new ProtocolError("replay", `The line's seqno must be ${next}, the author's next.`);
    }
  }

  /** Throws a ProtocolError unless the line, whose seqno is right, may stand next in the log. */
  check({ post, envelope, author: { fingerprint, username } }: LineCandidate, { now, latest }: PlacingTime): void {
    const { statement } = envelope;
    const author = this.#authorOf(fingerprint);
    const isEarly = orderFaults(post, { next: author.nextSeqno, ts: author.ts }).some(({ rule }) => rule === "time");
    if (isEarly || post.ts > latest + MAX_CLOCK_DIFFERENCE) {
      const reason = "The line's time is ahead of the server's, or before the author's last.";
      throw new ProtocolError("stale", reason, { now });
    }
    if (riseFault(envelope, author.seenSize)) {
      throw new ProtocolError("bad-envelope", "`seen` is smaller than in the author's line before.");
    }
    if (statement?.kind === "join" && statement.username !== username) {
      throw new ProtocolError("forbidden", "A join line must say the account's own name.");
    }
    this.#checkAct({ author: fingerprint, username, statement }, Math.floor(now / 1000));
  }

  /** Throws unless the author may do that, and it changes something; `now` is in unix seconds. */
  #checkAct(act: RoomAct, now: number): void {
    const objection = this.#state.objection(act, now);
    if (objection) throw new ProtocolError(objection, OBJECTIONS[objection]);
    const erased = erasedBy(act);
    if (this.#state.isIdle(act, now) || (erased !== undefined && this.#erasing.has(erased))) {
      throw new ProtocolError("forbidden", "That line would change nothing: it is so already.");
    }
  }

  /** Gives a line that was checked its place. */
  place({ post, line, envelope, author }: LineCandidate, now: number): PlacedLine {
    const { statement, seen } = envelope;
    const { fingerprint, username } = author;
    const stored: StoredLine = {
      index: this.#frontier.size,
      author: fingerprint,
      seqno: post.seqno,
      ts: post.ts,
      epoch: post.epoch,
      seenSize: seen.size,
      isAct: statement !== undefined && !WORDS.has(statement.kind),
      line,
      body: post.body,
      acceptedAt: now,
    };
    const act = { author: fingerprint, username, statement };
    const nodes = this.#frontier.append(leafHash(encodeUtf8(line)));
    this.#authors.set(fingerprint, { nextSeqno: post.seqno + 1, ts: post.ts, seenSize: seen.size });
    this.#state.apply(act);
    // A newcomer gets no older key if history is hidden from newcomers: so no line after the join line may be under one.
    if (statement?.kind === "join") {
      this.#joinedAt = Math.max(this.#joinedAt ?? 0, post.epoch);
      this.#retireBefore(post.epoch);
    }
    this.#epochs.use(post.epoch);
    const erased = erasedBy(act);
    if (erased !== undefined) this.#erasing.add(erased);
    return { line: stored, nodes, act, state: this.#stateDue(stored.index + 1) };
  }

  /** A snapshot of what the lines before `index` come to, if it is time to store one. */
  #stateDue(index: number): StoredState | undefined {
    const now = { index, state: this.#state, authors: this.#authors, joinedAt: this.#joinedAt };
    if (!isSnapshotDue(index - this.#storedAt, now)) return undefined;
    this.#storedAt = index;
    return sealSnapshot(now, this.#room.origin, this.#keys);
  }

  /** These lines are durable: what they erase is erased. */
  settle(lines: readonly PlacedLine[]): void {
    for (const { act } of lines) {
      const erased = erasedBy(act);
      if (erased !== undefined) this.#erasing.delete(erased);
    }
  }

  #authorOf(fingerprint: string): AuthorPlace {
    return this.#authors.get(fingerprint) ?? { nextSeqno: 0, ts: 0, seenSize: 0 };
  }

  #retireBefore(epoch: number): void {
    if (this.#room.history === "since_join") this.#epochs.retireBefore(epoch);
  }
}

const OBJECTIONS = {
  "forbidden": "Your role in this room does not allow that.",
  "muted": "You are muted in this room.",
  "not-member": "You are not in this room.",
} as const;

/** Lines that change nothing about who may do what. */
const WORDS: ReadonlySet<string> = new Set(["text", "head", "redact", "device"]);

function erasedBy({ statement }: RoomAct): number | undefined {
  return statement?.kind === "redact" ? statement.index : undefined;
}
