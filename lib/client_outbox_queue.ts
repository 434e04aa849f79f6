/**
 * The queue of lines that somebody has written in one room and that aren't known to be accepted: on the disk and in
 * memory, in the order in which they were written. When each of them goes is decided in `client_outbox.ts`.
 *
 *     const item = queue.write(statement);      event "sending"
 *     queue.accept(item, 41);                   event "accepted"
 *     queue.drop(item, "muted", reason);        event "dropped"
 *
 * @layer chat
 */

import type { Clock } from "./bytes.ts";
import type { RoomEvent } from "./client_event.ts";
import type { RoomDisk } from "./client_room_disk.ts";
import type { KeptRoom, UnsentLine } from "./client_store.ts";
import type { Statement } from "./log_envelope.ts";
import type { PostFields } from "./log_requests.ts";
import { encodeLine } from "./transcript.ts";

/** What a queue works with. */
export interface OutboxQueueOptions {
  readonly room: string;
  readonly disk: RoomDisk;
  readonly emit: (event: RoomEvent) => void;
  readonly now: Clock;
  /** Names the next line; counted over all rooms. */
  readonly nextKey: () => number;
  /** The number of lines is another now. */
  readonly changed: () => void;
}

/** A line in the queue. */
export interface QueuedLine {
  readonly key: number;
  readonly statement: Statement;
  /** When it was written, unix ms. */
  readonly ts: number;
  /** The bytes to send; `undefined` if the line has to be signed, or signed anew. */
  post: PostFields | undefined;
  /** The transcript's line as it was signed last. It may stand in the log even if it has to be signed anew. */
  line: string | undefined;
  /** Whether the disk has the line as it is. */
  isStored: boolean;
  /** Settles with the first try to put it there. */
  stored: Promise<void>;
  isInFlight: boolean;
  /** Whether it may have left this computer. */
  wasSent: boolean;
  /** The line's place, as the server says. */
  index: number | undefined;
}

/** The unsent lines of one room, in their order. */
export class OutboxQueue {
  readonly #options: OutboxQueueOptions;
  #items: QueuedLine[] = [];

  constructor(options: OutboxQueueOptions) {
    this.#options = options;
  }

  /** The lines, in their order. */
  get items(): readonly QueuedLine[] {
    return this.#items;
  }

  /** How many lines there are. */
  get count(): number {
    return this.#items.length;
  }

  /** Whether a join line waits, or is on its way. */
  get hasJoin(): boolean {
    return this.#items.some(({ statement }) => statement.kind === "join");
  }

  /** Whether a line was sent, and neither accepted nor refused yet. */
  isInFlight(key: number): boolean {
    return this.#items.some((item) => item.key === key && item.isInFlight);
  }

  /** Takes the lines of the disk. `own`: the certificate that this client has now. */
  restore(unsent: readonly UnsentLine[], own: string): void {
    this.#items = unsent.map(({ key, statement, ts, post, by = own }) => ({
      ...newItem(key, statement, ts),
      post: by === own ? post : undefined,
      line: post && lineOf(post, by),
      isStored: true,
      wasSent: post !== undefined,
    }));
    this.#options.changed();
  }

  /** A line that is in the transcript was accepted, even if the program ended before it could note that. */
  restoreAccepted({ base, lines }: KeptRoom): void {
    for (const [at, { line }] of lines.entries()) {
      const item = this.#items.find((one) => one.line === line);
      if (item) this.accept(item, (base?.size ?? 0) + at);
    }
  }

  /** Somebody writes a line. */
  write(statement: Statement): QueuedLine {
    const { room, emit } = this.#options;
    const item = this.add(statement);
    const hasText = statement.kind === "text" || statement.kind === "topic";
    emit({ event: "sending", room, key: item.key, kind: statement.kind, text: hasText ? statement.text : null });
    return item;
  }

  /** Adds a line, at the end or at that place. */
  add(statement: Statement, at = this.#items.length): QueuedLine {
    const { nextKey, now, changed } = this.#options;
    const item = newItem(nextKey(), statement, now());
    this.#items.splice(at, 0, item);
    changed();
    return item;
  }

  /** Puts a line on the disk, signed by that certificate or not signed yet; resolves once it would survive a crash. */
  store(item: QueuedLine, by: string): Promise<void> {
    const { key, statement, ts, post } = item;
    item.isStored = false;
    const { stored, written } = this.#options.disk.putUnsent({ key, statement, ts, post, by });
    item.stored = stored;
    return written.then(() => {
      item.isStored = item.post === post;
    });
  }

  /** No line is in flight any more: what was may have arrived, or not. */
  nothingInFlight(): void {
    for (const item of this.#items) item.isInFlight = false;
  }

  /** A line is in the transcript on the disk: nothing more has to be done for it. */
  accept(item: QueuedLine, index: number): void {
    if (!this.#items.includes(item)) return;
    this.#remove(item);
    this.#options.emit({ event: "accepted", room: this.#options.room, key: item.key, index });
  }

  /** A line won't be sent again. */
  drop(item: QueuedLine, errorType: string, reason: string): void {
    this.#remove(item);
    this.#options.emit({ event: "dropped", room: this.#options.room, key: item.key, error_type: errorType, reason });
  }

  /**
   * This client is out of the room: drops what isn't known to be accepted. Lines with a seqno below `taken` may stand in
   * the log all the same.
   */
  dropAll(reason: string, taken: number): void {
    for (const item of this.#items.filter(({ index }) => index === undefined)) {
      const mayStand = item.line !== undefined && (item.post?.seqno ?? -1) < taken;
      if (mayStand) this.drop(item, "timeout", "No answer came before you were out of the room.");
      else this.drop(item, item.wasSent ? "not-member" : "not-sent", reason);
    }
  }

  #remove(item: QueuedLine): void {
    this.#items = this.#items.filter((other) => other !== item);
    this.#options.disk.removeUnsent(item.key);
    this.#options.changed();
  }
}

function newItem(key: number, statement: Statement, ts: number): QueuedLine {
  return {
    key,
    statement,
    ts,
    post: undefined,
    line: undefined,
    isStored: false,
    stored: Promise.resolve(),
    isInFlight: false,
    wasSent: false,
    index: undefined,
  };
}

/** A line has to be signed anew, and may not stand in the log as it was. */
export function forgetSigned(item: QueuedLine): void {
  item.post = undefined;
  item.line = undefined;
}

/** The line as a transcript has it. */
export function lineOf({ seqno, ts, ct: body, sig: signature }: Omit<PostFields, "body">, signer: string): string {
  return encodeLine({ seqno, ts, body, signature, signer });
}
