/**
 * What a client keeps of the rooms of one server, as the modules that need it see it: {@link ClientStore} for all
 * rooms, {@link RoomRecord} for one. `client_room_records.ts` keeps it in files.
 *
 *     await record.keep({ type: "line", index: 41, line, envelope })     resolves once it would survive a crash
 *     record.unsent                                                      what is to be sent with the next session
 *
 * @layer chat
 */

import type { Bytes } from "./bytes.ts";
import type { Checkpoint } from "./log_checkpoint.ts";
import type { Lie } from "./client_event.ts";
import type { Pin } from "./client_pins.ts";
import type { JsonObject } from "./json.ts";
import type { Statement } from "./log_envelope.ts";
import type { HistoryPolicy, PostFields } from "./log_requests.ts";

/** Why a line is not good. `counts`: its effect counts all the same, since others have taken it too. */
export interface Fault {
  readonly reason: string;
  readonly counts: boolean;
}

/** Something that must be on the disk, so that the next start can go on from it. */
export type Kept =
  /** Where the lines begin, if the log's beginning isn't shown: the size and the subtrees of what lies before. */
  | { readonly type: "base"; readonly size: number; readonly peaks: readonly Bytes[] }
  | { readonly type: "line"; readonly index: number; readonly line: string; readonly envelope: Bytes | null }
  | { readonly type: "erasure"; readonly index: number }
  /** A line was found bad by something that may have changed by the next start: a certificate, a key. */
  | { readonly type: "bad"; readonly index: number } & Fault
  | { readonly type: "checkpoint"; readonly checkpoint: Checkpoint }
  /** The server has refused a line of this client's. `leaf`: the line's hash in the log's tree, in hex. */
  | { readonly type: "refused"; readonly leaf: string }
  /** A line of this client's own names the head of that size. */
  | { readonly type: "seen"; readonly size: number }
  | {
    readonly type: "lie";
    readonly lie: Lie;
    readonly reason: string;
    /** The checkpoints that convict the server, if there are any. */
    readonly heads: readonly Checkpoint[];
  };

/** A line as it was kept. */
export interface KeptLine {
  readonly line: string;
  readonly envelope: Bytes | null;
}

/** What was kept of a room. */
export interface KeptRoom {
  readonly base: { readonly size: number; readonly peaks: readonly Bytes[] } | undefined;
  /** From the base on. */
  readonly lines: readonly KeptLine[];
  /** Bad lines, by index. */
  readonly bad: ReadonlyMap<number, Fault>;
  /** Checkpoints, in the order of their sizes. */
  readonly checkpoints: readonly Checkpoint[];
  /** The leaf hashes of lines that the server has refused, in hex. */
  readonly refused?: readonly string[];
  readonly lie: { readonly lie: Lie; readonly reason: string } | undefined;
}

/** A line that isn't known to be accepted. */
export interface UnsentLine {
  /** Names the line on this client. */
  readonly key: number;
  readonly statement: Statement;
  /** When it was written, unix ms. */
  readonly ts: number;
  /** The bytes that were sent; `undefined` before the line is signed. */
  readonly post: PostFields | undefined;
  /** The certificate that signed it. */
  readonly by?: string;
}

/**
 * What is on the disk of one room. Writes are done in the order of the calls; each resolves once it would survive. One
 * that rejects stays due: it is tried again, before any later one, until it succeeds.
 */
export interface RoomRecord {
  /** The log that this room is; `undefined` before it was first joined. */
  readonly pinned: { readonly origin: string; readonly history: HistoryPolicy } | undefined;
  pin(origin: string, history: HistoryPolicy): Promise<void>;
  read(): Promise<KeptRoom>;
  keep(kept: Kept): Promise<void>;
  /** By key. */
  readonly unsent: readonly UnsentLine[];
  /** Adds a line, or replaces the one with its key. */
  putUnsent(line: UnsentLine): Promise<void>;
  removeUnsent(key: number): Promise<void>;
  /** Resolves once nothing that was rejected is due any more. */
  written(): Promise<void>;
}

/** What a client has on its disk of one server. */
export interface ClientStore {
  /** The record of a room; made if there is none. */
  room(name: string): Promise<RoomRecord>;
  /** Puts the record of a room out of the way, and answers where it is kept now. */
  putAside(name: string): Promise<string>;
  /** The rooms that this client was in last. */
  rooms(): Promise<readonly string[]>;
  keepRooms(names: readonly string[]): Promise<void>;
  /** The account that these records are of; `undefined` before its first session. */
  account(): Promise<string | undefined>;
  certificate(fingerprint: string): Promise<string | undefined>;
  keepCertificate(fingerprint: string, pem: string): Promise<void>;
  pins(): Promise<readonly Pin[]>;
  keepPin(pin: Pin): Promise<void>;
  /** What was kept of the server's log, in order. */
  serverLog(): Promise<readonly JsonObject[]>;
  keepServerLog(records: readonly JsonObject[]): Promise<void>;
}
