/**
 * One side of a connection, without its socket: `receive` gets bytes, `next` returns events, and bytes to send go to a
 * function. This class has what server and client share: reading frames, checking whether they are legal, and T, the
 * running hash of all handshake frames, which both sides of version 2 sign (docs/PROTOCOL.md, "Version 2").
 *
 *     connection.receive(chunk);
 *     for (let event; (event = await connection.next());) …
 *
 * `next` handles one frame at a time, so in T an answer always follows its question directly, however the frames were
 * received. After any error the connection stays in the state `failed`.
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

/** The connection of either side. */
export abstract class Connection<Event> {
  readonly #side: Side;
  readonly #send: (bytes: Bytes) => void;
  protected readonly reader = new FrameReader(LIMIT_BEFORE_LOGIN);
  #state: State;
  /** T so far; `undefined` once the session has begun. */
  #record: RunningHash | undefined = new RunningHash();

  protected constructor(side: Side, start: State, send: (bytes: Bytes) => void) {
    this.#side = side;
    this.#state = start;
    this.#send = send;
  }

  /** The connection's state. */
  get state(): State {
    return this.#state;
  }

  /** Adds bytes from the peer. Call {@link next} until it returns nothing before adding more. */
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
        // The frame's proof covers T without this frame.
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
      ? "A frame of this type is not accepted in a session."
      : `A frame of this type is not accepted here (${this.#state.replace("_", " ")}).`;
  }

  /** The name in the table of states for a frame of that type; `undefined` if this connection has no such frame. */
  protected stepOf(type: string): string | undefined {
    return type.includes(" ") ? undefined : type;
  }

  /**
   * Checks and answers a legal frame, and calls {@link move} with `next` after all checks. `before` is SHA-256 of T.
   */
  protected abstract take(frame: Frame, next: State, before: Bytes): Promise<Event | undefined>;

  /** Handles an `error` frame, which is never answered. */
  protected abstract takeError(frame: Frame): Promise<Event | undefined>;

  /** Changes the state; nothing else does. */
  protected move(state: State): void {
    this.#state = state;
  }

  /** Makes a step of this side's own. An illegal step is a fault of the program. */
  protected step(name: string): void {
    const next = nextState(this.#side, this.#state, `send ${name}`);
    if (!next) throw new Error(`${name} can't be sent in the state ${this.#state}`);
    this.#state = next;
  }

  /** Sends a frame, and adds it to T during the handshake. */
  protected send(frame: OutgoingFrame): void {
    const line = encodeFrame(frame);
    this.#record?.update(line);
    this.#send(line);
  }

  /** Sends encoded frames, which must not belong to the handshake. */
  protected sendBytes(bytes: Bytes): void {
    this.#send(bytes);
  }

  /** SHA-256 of T, with everything that was received and sent so far. */
  protected recordDigest(): Bytes {
    return this.#record?.digest() ?? NO_RECORD;
  }

  /** Ends the handshake: T isn't needed any more. */
  protected closeRecord(): void {
    this.#record = undefined;
  }

  /** Sends an error. Every error except `stale` ends the connection; the caller closes it. */
  refuse(error: ProtocolError): void {
    if (error.code !== "stale") this.#state = "failed";
    this.#send(encodeError(error));
  }
}

const NO_RECORD: Bytes = new Uint8Array(0);

/** The bytes that a proof of possession covers: `label || 0x00 || SHA-256(T) || value` (docs/PROTOCOL.md, "Version 2"). */
export function proofInput(label: ProofLabel, record: Bytes, value: string): Bytes {
  return concat(encodeUtf8(`securechat/2 ${label}\0`), record, encodeUtf8(value));
}
