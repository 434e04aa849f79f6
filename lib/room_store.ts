/**
 * What rooms ask of a database (docs/PROTOCOL.md, "Rooms"): logs with their trees, checkpoints, epoch keys and
 * invitations. Declared here, where it is used; one contract test is passed by every database.
 *
 * A log is named by its origin. Its lines, and the hash of every perfect subtree that they complete, are written in one
 * transaction (a leaf is the line's own hash, and is written only as the line): so a head, an inclusion proof and a
 * consistency proof read a logarithmic number of nodes. (origin, index) and (origin, author, seqno) are unique keys,
 * whatever a program believes. Fingerprints, hashes and roots in hex are lower-case; usernames are compared with ASCII
 * letters lower-cased; times are unix milliseconds unless they say seconds.
 *
 * @layer chat
 */

import type { Bytes } from "./bytes.ts";
import type { Checkpoint } from "./log_checkpoint.ts";
import type { HistoryPolicy } from "./log_requests.ts";
import type { NodePlace, TreeNode } from "./log_tree.ts";

/** A room as it was made. */
export interface NewRoom {
  readonly name: string;
  readonly origin: string;
  readonly history: HistoryPolicy;
  readonly inviteOnly: boolean;
  readonly createdAt: number;
  /**
   * Who made it, as usernames are compared: until its first line stands, an invite-only room is nobody else's. A
   * conversation of two is both's from the beginning, whoever made it.
   */
  readonly maker?: string;
}

/** A room, how many lines its log has, and whether it takes more. */
export interface StoredRoom extends NewRoom {
  readonly size: number;
  /** Since when the log is known not to be the one that it was: it takes no lines. */
  readonly forkedAt?: number;
  /** Since when the log is closed: it takes no lines, keeps what it has, and its name is free. */
  readonly closedAt?: number;
}

/** A line of a log. */
export interface StoredLine {
  readonly index: number;
  /** The author's certificate. */
  readonly author: string;
  readonly seqno: number;
  /** The author's own time, unix ms. */
  readonly ts: number;
  readonly epoch: number;
  /** `seen.size` of the envelope. */
  readonly seenSize: number;
  /** Whether it may change who is in the room and what each may do: all but words. */
  readonly isAct: boolean;
  /** The transcript's line, without LF. */
  readonly line: string;
  /** `iv || ciphertext` of the envelope; null once it was erased. */
  readonly body: Bytes | null;
  readonly acceptedAt: number;
}

/** An epoch's key, wrapped. */
export interface StoredEpoch {
  readonly epoch: number;
  readonly wrappedKey: Bytes;
}

/** What the lines before an index come to (`room_snapshot.ts`). */
export interface StoredState {
  readonly index: number;
  readonly state: Bytes;
}

/** What follows from lines: it is written with them, so that neither stands without the other. */
export interface Consequences {
  /** Lines that stood before, whose bodies are erased: from the table and, as far as it can, from freed pages. */
  readonly erased?: readonly number[];
  /** Accounts that come in, or are put out: invitations to them are over. */
  readonly uninvited?: readonly string[];
  /** The epoch that begins. */
  readonly epoch?: StoredEpoch;
  /** What lines up to one of these come to, in place of what was stored of that before. */
  readonly state?: StoredState;
}

/** An author's last line in a log. */
export interface LastLine {
  readonly author: string;
  readonly seqno: number;
  readonly ts: number;
  readonly seenSize: number;
}

/** Rooms with their logs, checkpoints, keys and invitations. Every method may throw `StoreUnavailable`. */
export interface RoomStore {
  /** Makes a room with an empty log; false if the name is taken. */
  createRoom(room: NewRoom): Promise<boolean>;
  /** The log that has this name now: none that is closed. */
  findRoom(name: string): Promise<StoredRoom | undefined>;
  /** Rooms (no conversations of two) whose names come after `after`, by name. */
  listRooms(after: string, count: number): Promise<readonly StoredRoom[]>;
  /** How many rooms and conversations each account has made since then. */
  madeSince(at: number): Promise<ReadonlyMap<string, number>>;
  /** Every log, closed ones and those of conversations too, in the order in which they were made. */
  listLogs(): Promise<readonly StoredRoom[]>;
  /** Notes that a log is not the one that it was. */
  markForked(origin: string, at: number): Promise<void>;
  /** Closes a log, and drops the invitations to it; false if it is closed already. */
  closeLog(origin: string, at: number): Promise<boolean>;
  /** The origins of all closed logs. */
  closedLogs(): Promise<readonly string[]>;

  /**
   * Appends lines at the indexes that follow, with the nodes that they complete and what follows from them: all or
   * none. Throws a plain Error if an index, an (author, seqno) or the epoch of the log is taken, or the log takes no
   * lines: then the caller's picture of the log is wrong.
   */
  appendLines(
    origin: string,
    lines: readonly StoredLine[],
    nodes: readonly TreeNode[],
    consequences?: Consequences,
  ): Promise<void>;
  /**
   * Resolves when nothing that was to be written before, and failed, can come to stand any more: a database that fails
   * at a commit may hold it all the same, and show it only after its next start.
   */
  settle(origin: string): Promise<void>;
  /** Lines from an index on, in order. */
  linesFrom(origin: string, from: number, count: number): Promise<readonly StoredLine[]>;
  /** Lines that are acts, from an index on, in order: what a room's state is folded from. */
  actLines(origin: string, from: number, count: number): Promise<readonly StoredLine[]>;
  /** The last line of each author, of authors behind `after`, by author. */
  lastLines(origin: string, after: string, count: number): Promise<readonly LastLine[]>;
  /** The state that was stored last; `undefined` if none was. */
  findState(origin: string): Promise<StoredState | undefined>;
  lineBy(origin: string, author: string, seqno: number): Promise<StoredLine | undefined>;
  /** The hashes of nodes, in the order asked for; a plain Error if one is missing. Two queries at most. */
  nodes(origin: string, places: readonly NodePlace[]): Promise<readonly Bytes[]>;

  /**
   * Keeps a head; the one that is held for its size, which is the one of before if there was one. A plain Error
   * where that has another root.
   */
  addCheckpoint(origin: string, checkpoint: Checkpoint): Promise<Checkpoint>;
  /** The newest, or the newest that was signed up to a time, in unix seconds. */
  latestCheckpoint(origin: string, by?: number): Promise<Checkpoint | undefined>;
  /** The root that was signed for a size; `undefined` if none was. */
  signedRoot(origin: string, size: number): Promise<string | undefined>;

  addEpoch(origin: string, epoch: number, wrappedKey: Bytes): Promise<void>;
  /** Wrapped keys of epochs from `from` on, in order. */
  epochs(origin: string, from: number, count: number): Promise<readonly StoredEpoch[]>;

  /** Whether there is an account of that name. */
  isAccount(username: string): Promise<boolean>;
  /** An invitation that waits for its answer; a second one changes nothing. */
  addInvitation(room: string, username: string, from: string): Promise<void>;
  invitations(username: string): Promise<readonly { room: string; from: string }[]>;
}
