/**
 * The messages and receipts of a session, as the server takes them (docs/PROTOCOL.md, "Messages" and "The end, and
 * receipts").
 *
 * @layer protocol
 */

import type { Bytes, Clock } from "./bytes.ts";
import { fingerprintOf, type Identity } from "./certificate_identity.ts";
import { ProtocolError } from "./errors.ts";
import type { Frame } from "./frame.ts";
import type { ShownClient } from "./handshake_server_client.ts";
import { type JsonObject, repeatedName } from "./json.ts";
import { parseMsg, parseReceiptFrame, type Version } from "./message.ts";
import { makeReceipt, receiptProblem, type SessionIdentity } from "./receipt.ts";
import { SessionReceiver } from "./session.ts";
import type { TranscriptSummary } from "./transcript.ts";

/** What a client says to the server alone. */
export type SessionEvent =
  /** Accepted: make the line durable, then call `acknowledge` of the connection. */
  | { readonly type: "message"; readonly seqno: number; readonly line: string; readonly text: string }
  /** Refused, and the session goes on: tell it by `refuse`. */
  | { readonly type: "stale"; readonly error: ProtocolError }
  /** The client's own receipt over what was accepted so far, and what is wrong with it. */
  | { readonly type: "receipt"; readonly receipt: JsonObject; readonly problem: string | undefined };

/** What both sides agreed on, and who they are. */
export interface AgreedSession {
  readonly identity: Identity;
  readonly client: ShownClient;
  /** K_session. */
  readonly key: Bytes;
  readonly version: Version;
  /** The session's name in receipts of version 2. */
  readonly name: string | undefined;
  readonly now: Clock;
}

/** The server's half of a session. */
export class ServerSide {
  readonly #session: AgreedSession;
  readonly #receiver: SessionReceiver;

  constructor(session: AgreedSession) {
    const { key, version, client, now } = session;
    this.#session = session;
    this.#receiver = new SessionReceiver({ key, version, signer: client.fingerprint }, client.verifying, now);
  }

  /** What the transcript came to so far. */
  get summary(): TranscriptSummary {
    return this.#receiver.summary;
  }

  /** A message. One whose time is wrong is refused, and the session goes on. */
  receiveMsg(fields: JsonObject): SessionEvent {
    const msg = parseMsg(fields);
    try {
      return { type: "message", seqno: msg.seqno, ...this.#receiver.open(msg) };
    } catch (error) {
      if (error instanceof ProtocolError && error.code === "stale") return { type: "stale", error };
      throw error;
    }
  }

  /** The client's receipt over what was accepted so far. */
  receiveReceipt(frame: Frame): SessionEvent {
    const receipt = parseReceiptFrame(frame.fields);
    const { client, identity } = this.#session;
    const problem = repeatedName(frame.text) !== undefined ? "a name comes twice in it" : receiptProblem(receipt, {
      role: "client",
      fingerprint: client.fingerprint,
      verifying: client.verifying,
      summary: this.summary,
      ...this.#identity(identity.chain[0]?.fingerprint),
    });
    return { type: "receipt", receipt, problem };
  }

  /** The server's receipt over everything that was accepted. */
  async makeReceipt(): Promise<JsonObject> {
    const { identity, client, now } = this.#session;
    return await makeReceipt({
      role: "server",
      key: identity.key,
      pem: identity.pem,
      fingerprint: fingerprintOf(identity),
      linePems: this.summary.count > 0 ? [client.pem] : [],
      summary: this.summary,
      createdAt: now(),
      ...this.#identity(client.fingerprint),
    });
  }

  #identity(otherFingerprint: string | undefined): { readonly identity?: SessionIdentity } {
    const { name: session } = this.#session;
    return session !== undefined && otherFingerprint !== undefined ? { identity: { otherFingerprint, session } } : {};
  }
}
