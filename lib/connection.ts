/**
 * One side of a connection, without its socket: bytes go in by `receive`, events come out of `next`, bytes to send go
 * to a function. What server and client share stands here: cutting frames, their legality, and T, the running hash of
 * every handshake frame that a version-2 side signs (docs/PROTOCOL.md, "Version 2").
 *
 *     connection.receive(chunk);
 *     for (let event; (event = await connection.next());) …
 *
 * `next` handles one frame at a time, so an answer always stands in T directly after its question, whatever came in one
 * segment. Whatever throws leaves the connection in `failed` for good.
 *
 * @layer protocol
 */

import { type Bytes, concat, encodeUtf8 } from "./bytes.ts";
import { ProtocolError } from "./errors.ts";
import {
  encodeError,
  encodeFrame,
  type Frame,
  FrameReader,
  LIMIT_BEFORE_LOGIN,
  type OutgoingFrame,
  parseFrame,
} from "./frame.ts";
import { RunningHash } from "./hash.ts";
import { nextState, type Side, type State } from "./transitions.ts";

/** The frames that key agreements sign. */
export type ProofLabel = "dh_client" | "dh_server";

/** What both sides' connections do. */
export abstract class Connection<Event> {
  readonly #side: Side;
  readonly #send: (bytes: Bytes) => void;
  protected readonly reader = new FrameReader(LIMIT_BEFORE_LOGIN);
  #state: State;
  /** T so far; gone once the session stands. */
  #record: RunningHash | undefined = new RunningHash();

  protected constructor(side: Side, start: State, send: (bytes: Bytes) => void) {
    this.#side = side;
    this.#state = start;
    this.#send = send;
  }

  /** The state that the connection is in. */
  get state(): State {
    return this.#state;
  }

  /** Feeds bytes from the peer. Ask {@link next} until it has nothing before feeding more. */
  receive(chunk: Uint8Array): void {
    this.reader.receive(chunk);
  }

  /** The next event; `undefined` if more bytes are needed, or the connection is over. */
  async next(): Promise<Event | undefined> {
    try {
      while (this.#state !== "failed" && this.#state !== "ended") {
        const line = this.reader.next();
        if (!line) return undefined;
        const frame = parseFrame(line);
        // T as it was before this frame is what the frame's proof is over.
        const before = this.#record?.digest();
        this.#record?.update(line);
        const event = await this.#take(frame, before);
        if (event) return event;
      }
      return undefined;
    } catch (error) {
      this.#state = "failed";
      throw error;
    }
  }

  #take(frame: Frame, before: Bytes | undefined): Promise<Event | undefined> {
    if (frame.type === "error") return this.takeError(frame);
    const step = this.stepOf(frame.type);
    const next = step === undefined ? undefined : nextState(this.#side, this.#state, step);
    if (!next) throw new ProtocolError("unexpected", this.#unexpected());
    return this.take(frame, next, before ?? NO_RECORD);
  }

  #unexpected(): string {
    return this.#state === "session"
      ? "A frame of this type is not taken in a session."
      : `A frame of this type is not taken here (${this.#state.replace("_", " ")}).`;
  }

  /** The table's name for a frame of that type; `undefined` if this connection has no such frame. */
  protected stepOf(type: string): string | undefined {
    return type.includes(" ") ? undefined : type;
  }

  /**
   * Checks and answers a legal frame; moves to `next` by {@link move} once all is checked. `before` is SHA-256 of T.
   */
  protected abstract take(frame: Frame, next: State, before: Bytes): Promise<Event | undefined>;

  /** An `error` frame, which is never answered. */
  protected abstract takeError(frame: Frame): Promise<Event | undefined>;

  /** The one place where the state changes. */
  protected move(state: State): void {
    this.#state = state;
  }

  /** Takes a step of this side's own; an illegal one is a fault of the program. */
  protected step(name: string): void {
    const next = nextState(this.#side, this.#state, `send ${name}`);
    if (!next) throw new Error(`${name} can't be sent in the state ${this.#state}`);
    this.#state = next;
  }

  /** Sends a frame, which becomes part of T while there is one. */
  protected send(frame: OutgoingFrame): void {
    const line = encodeFrame(frame);
    this.#record?.update(line);
    this.#send(line);
  }

  /** Sends frames that are bytes already; none of the handshake's. */
  protected sendBytes(bytes: Bytes): void {
    this.#send(bytes);
  }

  /** SHA-256 of T with all that was received and sent so far. */
  protected recordDigest(): Bytes {
    return this.#record?.digest() ?? NO_RECORD;
  }

  /** The handshake is over: nothing more is signed over T. */
  protected closeRecord(): void {
    this.#record = undefined;
  }

  /** Tells the peer an error. Every one but `stale` ends the connection: the caller closes. */
  refuse(error: ProtocolError): void {
    if (error.code !== "stale") this.#state = "failed";
    this.#send(encodeError(error));
  }
}

const NO_RECORD: Bytes = new Uint8Array(0);

/** What a proof of possession is over: `label || 0x00 || SHA-256(T) || value` (docs/PROTOCOL.md, "Version 2"). */
export function proofInput(label: ProofLabel, record: Bytes, value: string): Bytes {
  return concat(encodeUtf8(`securechat/2 ${label}\0`), record, encodeUtf8(value));
}
