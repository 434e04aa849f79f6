/**
 * A session's messages, sealed by the client and opened by the server (docs/PROTOCOL.md, "Messages").
 *
 *     {"type":"msg","seqno":0,"ts":1700055622123,"ct":"<b64(iv || ciphertext)>","sig":"<b64>"}
 *
 * `open` checks in the order of the specification: signature, seqno, time, IV (version 2), decryption, text. It changes
 * state only if all checks pass, so a refused message leaves the sequence and the transcript as they were. In version 2
 * the IV is an HMAC of seqno and ts under the session's key, so a replayed message of another session is refused.
 *
 * @layer protocol
 */

import { BLOCK_SIZE, decrypt, encrypt } from "./aes_cbc.ts";
import {
  type Bytes,
  type Clock,
  encodeBase64,
  encodeUtf8,
  equalBytes,
  parseUtf8,
  type Random,
  uint64,
} from "./bytes.ts";
import { ProtocolError } from "./errors.ts";
import { hmacSha256 } from "./hash.ts";
import type { Msg, Version } from "./message.ts";
import type { SigningKey, VerifyingKey } from "./pss.ts";
import { encodeLine, MAX_CLOCK_DIFFERENCE, messageInput, TranscriptSummary } from "./transcript.ts";

/** The most octets of UTF-8 that a message's text may have. */
export const MAX_TEXT_OCTETS = 16_000;
/** How far a seqno may be ahead of the last one. */
export const MAX_GAP = 1_000;
/** How far a message's time may be from the receiver's clock, before or after, in milliseconds. */
export const MAX_SKEW = MAX_CLOCK_DIFFERENCE;

/** The key and the facts on which both sides agreed. */
export interface SessionKey {
  /** K_session, 16 bytes. */
  readonly key: Bytes;
  readonly version: Version;
  /** The fingerprint of the client's certificate, which signs every message. */
  readonly signer: string;
}

const IV_LABEL = encodeUtf8("securechat/2 iv\0");

/** The IV of a version-2 message (docs/PROTOCOL.md, "Version 2"). */
function messageIv(key: Bytes, seqno: number, ts: number): Bytes {
  return hmacSha256(key, IV_LABEL, uint64(seqno), uint64(ts)).slice(0, BLOCK_SIZE);
}

/** The server's half: opens messages and keeps the transcript's summary. */
export class SessionReceiver {
  readonly summary = new TranscriptSummary();
  readonly #key: SessionKey;
  readonly #verifying: VerifyingKey;
  readonly #now: Clock;

  constructor(key: SessionKey, verifying: VerifyingKey, now: Clock) {
    this.#key = key;
    this.#verifying = verifying;
    this.#now = now;
  }

  /**
   * The text and the transcript's line of a message. Throws the errors in docs/PROTOCOL.md, "Messages"; `stale` has the
   * server's time.
   */
  open(msg: Msg): { readonly line: string; readonly text: string } {
    const { seqno, ts, body, signature } = msg;
    const { key, version, signer } = this.#key;
    if (!this.#verifying.verify(signature, messageInput(seqno, ts, body))) {
      throw new ProtocolError("sig-fail", "The message's signature doesn't verify with the client's certificate.");
    }
    const gap = seqno - (this.summary.last ?? -1);
    if (gap <= 0 || gap > MAX_GAP) {
      throw new ProtocolError("replay", "The message's seqno was used before, or is too far ahead.");
    }
    const now = this.#now();
    if (Math.abs(ts - now) > MAX_SKEW) {
      throw new ProtocolError("stale", "The message's time is more than 5 minutes from the server's: set the clock.", {
        now,
      });
    }
    // If both are within 5 minutes of a clock that runs forward, the second can't be earlier by more than 10 minutes.
    if (this.summary.latest - ts > 2 * MAX_SKEW) {
      const reason = "The server's clock was set back in this session, so that its times can't be true: connect again.";
      throw new ProtocolError("stale", reason, { now });
    }
    if (version === 2 && !equalBytes(body.subarray(0, BLOCK_SIZE), messageIv(key, seqno, ts))) {
      throw new ProtocolError("decrypt-fail", "The message doesn't belong to this session.");
    }
    const plaintext = decrypt(key, body);
    const text = plaintext && parseUtf8(plaintext);
    if (!plaintext || text === undefined) {
      throw new ProtocolError("decrypt-fail", "The message can't be decrypted to text with this session's key.");
    }
    if (plaintext.length > MAX_TEXT_OCTETS) {
      throw new ProtocolError("too-large", `A message may have ${MAX_TEXT_OCTETS} octets of text at most.`);
    }
    const line = encodeLine({ seqno, ts, body, signature, signer });
    this.summary.add(line, seqno, ts);
    return { line, text };
  }
}

/** A message that is ready to be sent, and its line in the transcript once it is accepted. */
export interface SealedMessage {
  readonly frame: {
    readonly type: "msg";
    readonly seqno: number;
    readonly ts: number;
    readonly ct: string;
    readonly sig: string;
  };
  readonly line: string;
}

/** What is needed to seal a message, besides its text. */
export interface SealOptions {
  readonly seqno: number;
  readonly signing: SigningKey;
  readonly now: Clock;
  readonly random: Random;
}

/** Encrypts and signs a text of at most {@link MAX_TEXT_OCTETS}. */
export async function sealMessage(session: SessionKey, text: string, options: SealOptions): Promise<SealedMessage> {
  const { seqno, signing, now, random } = options;
  const ts = now();
  const iv = session.version === 2 ? messageIv(session.key, seqno, ts) : random(BLOCK_SIZE);
  const body = encrypt(session.key, iv, encodeUtf8(text));
  const signature = await signing.sign(messageInput(seqno, ts, body));
  return {
    frame: { type: "msg", seqno, ts, ct: encodeBase64(body), sig: encodeBase64(signature) },
    line: encodeLine({ seqno, ts, body, signature, signer: session.signer }),
  };
}
