/**
 * What a room works with: the store, the keys, the time, and whom it tells.
 *
 * @layer chat
 */

import type { Clock, Random } from "./bytes.ts";
import type { Checkpoint } from "./log_checkpoint.ts";
import type { LogPin } from "./log_envelope.ts";
import type { VerifyingKey } from "./pss.ts";
import type { KeyWrap } from "./room_epochs.ts";
import type { HeadSigner } from "./room_heads.ts";
import type { RoomStore } from "./room_store.ts";
import type { ServerClock } from "./server_clock.ts";

/** For which revoked certificates a log has begun a new key already: it is remembered while a room isn't loaded. */
export interface RekeyMemory {
  has(origin: string, fingerprint: string): boolean;
  add(origin: string, fingerprint: string): void;
}

/** What a room has to do with the server's log. */
export interface RoomRegister {
  /** A checkpoint of a room is stored: the log is to register it. */
  registers(origin: string, checkpoint: Checkpoint): void;
  /** No checkpoint may state an earlier time than this, unix seconds: the log proves that it is past. */
  readonly timeFloor: number;
  /** What is wrong with the head of the server's log that a line names; `undefined` if nothing is. */
  problemOf(pin: LogPin): Promise<string | undefined>;
}

/** What rooms work with. */
export interface RoomTools {
  readonly store: RoomStore;
  readonly keys: KeyWrap;
  /** Signs checkpoints: the server's certificate of this moment. */
  readonly signer: () => HeadSigner;
  readonly now: Clock;
  /** What is known of the clock; without it, the clock is always right. */
  readonly clock?: Pick<ServerClock, "isDoubtful" | "latest" | "witness">;
  readonly random: Random;
  /** Runs something later, in milliseconds. */
  readonly later: (ms: number, run: () => void) => void;
  /** Resolves when everything that has arrived by now was handled: lines that came together are written together. */
  readonly turn: () => Promise<void>;
  /** The key of a certificate that is or was this server's, by its fingerprint. */
  readonly serverKey: (fingerprint: string) => Promise<VerifyingKey | undefined>;
  /** Those of these certificates that are revoked. */
  readonly revoked: (fingerprints: readonly string[]) => Promise<readonly string[]>;
  readonly rekeyed: RekeyMemory;
  /** The server's log; without one, nothing is registered. */
  readonly serverLog?: RoomRegister;
  /** Tells the operator that an invariant is broken. */
  readonly alarm: (message: string, room: string) => void;
  /** Tells somebody of an invitation, now or at the next login. */
  readonly invite: (room: string, username: string, from: string) => void;
}
