/**
 * What the server's log asks of a database (docs/PROTOCOL.md, "The server's log"): its ticks with their tree, where
 * each room's head stands, notes, tokens, and the tree over the audit log.
 *
 * A server has one log at a time: the newest in the table. A tick goes in as a whole, together with the new size and
 * root of the log, and only if these are still what the caller thinks: of two nodes that tick at once one succeeds.
 * Hashes and roots are in lower-case hex; times are unix seconds unless they say milliseconds.
 *
 * @layer chat
 */

import type { Bytes } from "./bytes.ts";
import type { JsonObject } from "./json.ts";
import type { Checkpoint } from "./log_checkpoint.ts";
import type { Head } from "./log_envelope.ts";
import type { RoomHead } from "./log_tick.ts";
import type { NodePlace, TreeNode } from "./log_tree.ts";

/** A log of this server. */
export interface StoredLog extends Head {
  readonly id: number;
  readonly origin: string;
  readonly vkey: string;
  readonly charter: JsonObject;
  /** How many rows of the audit log have a leaf in its tree. */
  readonly auditSize: number;
}

/** A log that begins. */
export type NewLog = Pick<StoredLog, "origin" | "vkey" | "charter">;

/** A row of the audit log that has no leaf yet: its id, and the leaf's hash. */
export interface AuditLeaf {
  readonly id: number;
  readonly leaf: Bytes;
}

/** A row of the audit log as its columns read; an absent name is a column without a value. */
export interface StoredAuditRow {
  readonly id: number;
  readonly index: number | undefined;
  /** `2026-11-28 20:17:21`, in UTC. */
  readonly occurredAt: string;
  readonly event: string;
  readonly email?: string;
  readonly fingerprint?: string;
  readonly ip?: string;
  readonly key?: string;
  readonly reason?: string;
}

/** A tick that is to be appended. */
export interface NewTick {
  /** Its bytes: the leaf of the log. */
  readonly tick: Bytes;
  /** All tags, joined; empty if it registers no room. */
  readonly tags: Bytes;
  /** The rooms that it registers, in the order of their tags. */
  readonly heads: readonly RoomHead[];
  /** The nodes of the log's tree that it completes, its leaf's included. */
  readonly nodes: readonly TreeNode[];
  /** The log's root with it. */
  readonly root: string;
  /** The size of the note that it names. */
  readonly note?: number;
  /** The hashes of the tokens that it names. */
  readonly tokens: readonly string[];
  /** What it appends to the tree over the audit log. */
  readonly audit: { readonly leaves: readonly AuditLeaf[]; readonly nodes: readonly TreeNode[] };
}

/** A tick as it is stored. */
export interface StoredTick {
  readonly index: number;
  readonly tick: Bytes;
  readonly tags: Bytes;
}

/** A room's head where a tick registers it. */
export interface RegisteredHead {
  readonly tick: number;
  /** At which place among the heads of the tick. */
  readonly place: number;
  readonly checkpoint: Checkpoint;
}

/** A closed note. */
export interface StoredNote {
  readonly size: number;
  /** The note's bytes, which never change again. */
  readonly note: Bytes;
  /** SHA-256 of them. */
  readonly hash: string;
}

/** A kept token over a closed note. */
export interface StoredToken {
  /** The size of its note. */
  readonly size: number;
  readonly token: Bytes;
  readonly hash: string;
  /** The time that it states: unix milliseconds. */
  readonly time: number;
}

/** The server's log in a database. Every method may throw `StoreUnavailable`. */
export interface LogStore {
  /** Every log of this server, newest first: the first is the one that goes on. */
  logs(): Promise<readonly StoredLog[]>;
  /** Begins a log, if the newest is the one of that origin still (`undefined`: there is none); false otherwise. */
  startLog(log: NewLog, previous: string | undefined): Promise<boolean>;

  /** Rooms whose newest checkpoint the log doesn't register yet, those that have waited longest first. */
  unregistered(log: number, count: number): Promise<readonly RoomHead[]>;
  /** Appends a tick, if the log has this size and root still and is the newest; false otherwise. */
  appendTick(log: StoredLog, tick: NewTick): Promise<boolean>;
  /** Ticks from an index on, in order. */
  ticks(log: number, from: number, count: number): Promise<readonly StoredTick[]>;
  /** The hashes of nodes of the log's tree, in the order asked for; a plain Error if one is missing. */
  nodes(log: number, places: readonly NodePlace[]): Promise<readonly Bytes[]>;
  /** Where ticks from one on register a room, in order. */
  registrations(log: number, origin: string, from: number, count: number): Promise<readonly RegisteredHead[]>;
  /** The hashes under which a tick registers its rooms, in the order of their tags. */
  headHashes(log: number, tick: number): Promise<readonly Bytes[]>;

  /** Closes the note of a size; false if it is closed already. `closedAt`: unix milliseconds. */
  closeNote(log: number, note: StoredNote, closedAt: number): Promise<boolean>;
  /** The first closed note of that size or more, or the newest if no size is given. */
  closedNote(log: number, size?: number): Promise<StoredNote | undefined>;
  /** The newest closed note, if it is newer than all that a tick names. */
  unnamedNote(log: number): Promise<StoredNote | undefined>;
  /** Drops closed notes that were closed before that time (unix ms), but for those with tokens. */
  dropNotes(before: number): Promise<void>;

  /** Keeps tokens, each once, and the PEM of the certificates that they need. */
  addTokens(log: number, tokens: readonly StoredToken[], certificates: readonly string[]): Promise<void>;
  /** Tokens that no tick names yet, oldest first. */
  unnamedTokens(log: number, count: number): Promise<readonly StoredToken[]>;
  /** Tokens that ticks from one on name, with the tick, in order of the ticks. */
  tokens(log: number, from: number, count: number): Promise<readonly (StoredToken & { readonly tick: number })[]>;
  /** The newest time (unix ms) that a token states which a tick names; 0 if there is none. */
  newestTokenTime(): Promise<number>;
  /** The size of the newest note that has tokens; 0 if none has. */
  stampedSize(log: number): Promise<number>;
  /** The PEM of every certificate that was kept with tokens. */
  tokenCertificates(): Promise<readonly string[]>;

  /** Rows of the audit log without a leaf, in the order of their ids. */
  unloggedAudit(count: number): Promise<readonly StoredAuditRow[]>;
  /** Rows of the audit log with a leaf, from an index on, in order. */
  auditFrom(index: number, count: number): Promise<readonly StoredAuditRow[]>;
  /** The hashes of nodes of the tree over the audit log, in the order asked for. */
  auditNodes(places: readonly NodePlace[]): Promise<readonly Bytes[]>;
  /**
   * Empties the rows with a leaf, of before that time (unix ms), but for those about pruning itself: the event is
   * `pruned`, and nothing else is left but the leaf. In the same step a row `audit_pruned` is added, with the first and
   * the last index that `reason` is made of. The rows that were emptied; 0 without such a row.
   */
  pruneAudit(prune: AuditPrune): Promise<number>;
}

/** What is to be emptied, and what is written about it. */
export interface AuditPrune {
  readonly before: number;
  readonly occurredAt: number;
  /** 32 random hex digits. */
  readonly key: string;
  readonly reason: (from: number, to: number) => string;
}
