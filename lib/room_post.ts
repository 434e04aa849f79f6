/**
 * A post as it comes: its signature, and the envelope under its hashes (docs/PROTOCOL.md, "Posting"). What the lines
 * before it allow is `room_placed.ts`.
 *
 * @layer chat
 */

import { decrypt } from "./aes_cbc.ts";
import type { Bytes } from "./bytes.ts";
import { ProtocolError } from "./errors.ts";
import { type Envelope, parseEnvelope } from "./log_envelope.ts";
import type { PostFields } from "./log_requests.ts";
import { hashFaults, isLastingKind, mayErase, roomFault } from "./log_rules.ts";
import type { Attendee } from "./room_attendee.ts";
import type { RoomEpochs } from "./room_epochs.ts";
import { openStored } from "./room_loading.ts";
import type { StoredLine } from "./room_store.ts";
import { encodeLine, messageInput } from "./transcript.ts";

/** The transcript's line of a post, without LF. Throws `sig-fail` if its author did not sign it. */
export function signedLine(
  { seqno, ts, ct, sig: signature }: PostFields,
  { verifying, fingerprint }: Pick<Attendee, "verifying" | "fingerprint">,
): string {
  if (!verifying.verify(signature, messageInput(seqno, ts, ct))) {
    throw new ProtocolError("sig-fail", "The line's signature doesn't verify with the author's certificate.");
  }
  return encodeLine({ seqno, ts, body: ct, signature, signer: fingerprint });
}

/** Where a post is to stand. */
export interface PostPlace {
  readonly room: string;
  /** R of the room's log. */
  readonly log: Bytes;
  readonly epochs: RoomEpochs;
}

/** The envelope of a post, once R, C, H and its room are right. Throws `bad-envelope` or `old-epoch`. */
export function openPost({ epoch, ct, body }: PostFields, { room, log, epochs }: PostPlace): Envelope {
  const key = epochs.keyForPost(epoch);
  if (!key) throw oldEpoch();
  const plaintext = decrypt(key, body);
  if (!plaintext || hashFaults(ct, { log, words: plaintext, body }).length > 0) {
    throw new ProtocolError("bad-envelope", "The line is not the hash of its log, its envelope and its body.");
  }
  const envelope = parseEnvelope(plaintext);
  if (roomFault(envelope, room)) throw new ProtocolError("bad-envelope", "The envelope names another room.");
  return envelope;
}

/** Throws `forbidden` unless an author may erase that line now. `target`: the line; `undefined` if it isn't durable. */
export function checkErasure(by: string, target: StoredLine | undefined, epochs: RoomEpochs): void {
  const isLasting = target !== undefined && isLastingKind(openStored(target, epochs)?.kind);
  if (!target || !mayErase(by, { author: target.author, isLasting })) {
    throw new ProtocolError("forbidden", "Only words of one's own can be erased.");
  }
  if (target.body === null) throw new ProtocolError("forbidden", "That line is erased already.");
}

/** The refusal of a line under a key that is no longer used. */
export function oldEpoch(): ProtocolError {
  return new ProtocolError("old-epoch", "The line is under a key that is no longer used: ask for the room's keys.");
}
