/**
 * A person's session as rooms see it: what rooms know of it, and the ways in which they send to it. Rooms know no
 * sockets and no handshakes; a connection offers this interface (`server_rooms_session.ts`), and so do tests.
 *
 * @layer chat
 */

import type { Bytes } from "./bytes.ts";
import type { ProtocolError } from "./errors.ts";
import type { OutgoingFrame } from "./frame.ts";
import type { Json, JsonObject } from "./json.ts";
import type { VerifyingKey } from "./pss.ts";

/** Somebody's session. */
export interface Attendee {
  /** The fingerprint of the session's certificate. */
  readonly fingerprint: string;
  /** The account's name. */
  readonly username: string;
  /** The key that verifies what the session's certificate signs. */
  readonly verifying: VerifyingKey;
  /** Sends frames that were encoded once for many. */
  deliver(bytes: Bytes): void;
  /**
   * Sends a frame that only its newest version matters of: a newer one with the same key takes its place in the queue.
   * It doesn't count as queued.
   */
  deliverLatest(key: string, bytes: Bytes): void;
  /** Resolves when what was sent is on its way. */
  drained(): Promise<void>;
  /** Answers a request, or tells what no request asked for. */
  answer(frame: OutgoingFrame, id?: Json): void;
  /** `iv || ciphertext` that only this session can open. */
  seal(value: JsonObject): Bytes;
  /** Refuses a request; the session goes on. */
  refuse(error: ProtocolError, id?: Json): void;
  /** Counts a line of this session that is durable. */
  placed?(): void;
  /** Ends the session. */
  end(error: ProtocolError): void;
}
