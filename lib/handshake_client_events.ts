/**
 * What a client's connection needs and what it reports: its options, and its events.
 *
 * @layer protocol
 */

import type { Identity } from "./certificate_identity.ts";
import { type Bytes } from "./bytes.ts";
import type { Clock, Random } from "./bytes.ts";
import { type Trust } from "./certificate_path.ts";
import { type Json, type JsonObject } from "./json.ts";
import { type PeerErrorFrame, type Version, type Welcome } from "./message.ts";
import { type RoomFrame } from "./log_frames.ts";
import { type Certificate } from "./x509.ts";

/** The server ended the connection with an error frame. Its text must not be trusted. */
export class PeerError extends Error {
  constructor(readonly frame: PeerErrorFrame) {
    super(frame.reason);
    this.name = "PeerError";
  }
}

/** The options of a client's connection. */
export interface ClientOptions {
  readonly identity: Identity;
  readonly trust: () => Promise<Trust>;
  /** The name or address that the user typed: the server's certificate must be for it. */
  readonly host: string;
  /** Whether a server of version 1 is accepted, which doesn't prove its identity. */
  readonly allowV1: boolean;
  /** Whether to ask for rooms: over TLS, or on the loopback. */
  readonly rooms?: boolean;
  readonly now: Clock;
  readonly random: Random;
  readonly send: (bytes: Bytes) => void;
}

/** A sent message: it belongs to the transcript once the server acknowledges it. */
export interface SentMessage {
  readonly seqno: number;
  readonly ts: number;
  /** The transcript's line, without LF. */
  readonly line: string;
}

/** What happened on the connection. */
export type ClientEvent =
  /** The server has proved its identity: credentials may be sent. */
  | {
    readonly type: "ready";
    readonly server: Certificate;
    /** The trusted CA to which it leads. */
    readonly authority: Certificate;
    readonly version: Version;
  }
  | { readonly type: "salt"; readonly salt: Bytes }
  /** Lines may be sent. */
  | { readonly type: "session" }
  /** Instead of `session`, if both sides know rooms. */
  | ({ readonly type: "welcome" } & Welcome)
  /** A frame of a room; only its form was checked. */
  | { readonly type: "frame"; readonly frame: RoomFrame; readonly id: Json | undefined }
  /** The server refused a request; the session goes on. */
  | { readonly type: "request refused"; readonly error: PeerErrorFrame; readonly id: Json | undefined }
  /** The CA's certificates, and the server's with its intermediates or "". Nothing of this was checked. */
  | { readonly type: "authority"; readonly pem: string; readonly chain: string }
  /** The certificate that was requested with a code. */
  /** `email`: the only address for which the code is. */
  | { readonly type: "certificate"; readonly pem: string; readonly email?: string }
  | { readonly type: "acknowledged"; readonly message: SentMessage; readonly receivedAt: number }
  /** `now` is the server's time in unix milliseconds. */
  | {
    readonly type: "refused";
    readonly message: SentMessage;
    readonly reason: string;
    readonly now: number | undefined;
  }
  /** The server's receipt, not verified; `text` is its JSON. The connection has ended. */
  | { readonly type: "receipt"; readonly receipt: JsonObject; readonly text: string };
