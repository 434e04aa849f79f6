/**
 * What this client knows of one room's log: the tree over the lines that it was shown, who wrote each of them, and
 * whether the server was caught at a lie. The monitors of lines and of heads work on it together.
 *
 *     log.append(leafHash(line), author)      the next line has its place
 *     log.deny("fork", "The server has …")    the room is not trusted any more, and takes no further lines
 *
 * The first lie is the one that is told and kept: what a liar says after it proves nothing more.
 *
 * @layer chat
 */

import type { Bytes } from "./bytes.ts";
import { encodeHex } from "./bytes.ts";
import type { Lie } from "./client_event.ts";
import type { Checkpoint } from "./log_checkpoint.ts";
import type { Envelope, Head } from "./log_envelope.ts";
import { logHash, parseOrigin } from "./log_line.ts";
import { EMPTY_ROOT } from "./log_tree.ts";
import { LogTree } from "./log_whole_tree.ts";
import type { TranscriptLine } from "./transcript.ts";

/** The head of a log without lines. */
export const EMPTY_HEAD: Head = { size: 0, root: encodeHex(EMPTY_ROOT) };

/** A certificate that has written lines of this log. */
export interface Author {
  readonly fingerprint: string;
  /** The seqno of the next line; `undefined` if the log's beginning isn't shown and no line was. */
  next: number | undefined;
  /** The time of the last line. */
  ts: number;
  /** The head that the last line named. */
  seen: Head;
  /** The name in the join line, once that was found good. */
  username: string | undefined;
  /** The name in a join line that isn't checked yet. */
  claimed: string | undefined;
}

/** A line that has its place in the log. */
export interface Placed {
  readonly index: number;
  readonly line: TranscriptLine;
  /** The line as a transcript has it. */
  readonly text: string;
  readonly author: Author;
  readonly envelope: Envelope | undefined;
  /** The envelope's bytes; null if the words are erased, or were not shown. */
  readonly bytes: Bytes | null;
  /** What is wrong with the line. */
  bad: string | undefined;
  /** Whether its effect counts although it is bad. */
  counts: boolean;
}

/** The name of a log, and how much of it is shown. */
export interface LogName {
  readonly room: string;
  readonly origin: string;
  /** `since_join`: the log isn't shown from its beginning. */
  readonly history: "all" | "since_join";
}

/** A room's log, as far as this client was shown it. */
export class KnownLog {
  readonly room: string;
  readonly origin: string;
  /** The hash of the origin, which every line of this log names. */
  readonly hash: Bytes;
  /** The name of the server that signs this log. */
  readonly server: string;
  /** Lines that can't be erased. */
  readonly lasting = new Set<number>();
  /** Whether every line up to now is here, so that what comes next was written just now. */
  isLive = false;
  #tree: LogTree | undefined;
  readonly #authors = new Map<string, Author>();
  /** The author of each line from the base on. */
  readonly #lines: Author[] = [];
  #lie: Lie | undefined;
  #deniedAt: number | undefined;
  readonly #caught: (lie: Lie, reason: string, heads: readonly Checkpoint[]) => void;

  /** `caught` is called once, when the server is caught. */
  constructor(
    { room, origin, history }: LogName,
    caught: (lie: Lie, reason: string, heads: readonly Checkpoint[]) => void,
  ) {
    this.room = room;
    this.origin = origin;
    this.hash = logHash(origin);
    this.server = parseOrigin(origin)?.server ?? "";
    this.#caught = caught;
    if (history === "all") this.#tree = new LogTree();
  }

  /** The tree over the lines; `undefined` before it is known where the first line that is shown stands. */
  get tree(): LogTree | undefined {
    return this.#tree;
  }

  /** How many lines are here, or lie before the first that is shown. */
  get size(): number {
    return this.#tree?.size ?? 0;
  }

  /** The index of the first line that is shown. */
  get base(): number | undefined {
    return this.#tree?.base;
  }

  /** At what the server was caught. */
  get lie(): Lie | undefined {
    return this.#lie;
  }

  /** The index of the line at which the server was caught, if it was caught at one. */
  get deniedAt(): number | undefined {
    return this.#deniedAt;
  }

  /** The first line that is shown has the index `size`. RangeError if a tree of that size has other subtrees. */
  begin(size: number, peaks: readonly Bytes[]): void {
    this.#tree = new LogTree(size, peaks);
  }

  /** Gives the next place to a line. */
  append(leaf: Bytes, author: Author): void {
    this.#tree?.append(leaf);
    this.#lines.push(author);
  }

  /** Everybody who has written a line. */
  get authors(): Iterable<Author> {
    return this.#authors.values();
  }

  /** What is known of an author; `undefined` if no line of theirs is here. */
  authorNamed(fingerprint: string): Author | undefined {
    return this.#authors.get(fingerprint);
  }

  /** The author of a line that comes in. */
  author(fingerprint: string): Author {
    const known = this.#authors.get(fingerprint);
    if (known) return known;
    const next = this.base === 0 ? 0 : undefined;
    const author: Author = { fingerprint, next, ts: 0, seen: EMPTY_HEAD, username: undefined, claimed: undefined };
    this.#authors.set(fingerprint, author);
    return author;
  }

  /** The author of the line of that index. */
  authorOf(index: number): Author | undefined {
    return this.#lines[index - (this.base ?? 0)];
  }

  /** The server was caught at this. `heads`: checkpoints that convict it. */
  deny(lie: Lie, reason: string, heads: readonly Checkpoint[] = []): void {
    if (this.#lie) return;
    this.#lie = lie;
    this.#caught(lie, reason, heads);
  }

  /** The server was caught at a line, which is shown as bad. */
  denyLine(placed: Placed, lie: Lie, what: string): void {
    placed.bad = `Line ${placed.index}: ${what}.`;
    if (!this.#lie) this.#deniedAt = placed.index;
    this.deny(lie, placed.bad);
  }
}
