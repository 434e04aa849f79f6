/**
 * The writes of one room, in their order. A disk that doesn't take them for now is reported once; the writes are done
 * as soon as it does ({@link RoomRecord}).
 *
 *     await disk.keep({ type: "line", … });      resolves once it would survive a crash, however long that takes
 *
 * @layer chat
 */

import type { RoomEvent } from "./client_event.ts";
import type { Kept, RoomRecord, UnsentLine } from "./client_store.ts";
import { messageOf } from "./errors.ts";
import type { HistoryPolicy } from "./log_requests.ts";

/** The record of one room, as the room writes it. */
export class RoomDisk {
  readonly #room: string;
  readonly #record: RoomRecord;
  readonly #emit: (event: RoomEvent) => void;
  /** The writes that are under way. */
  #writing: Promise<unknown> = Promise.resolve();
  /** Whether it was told that the disk doesn't take what is written. */
  #isTold = false;

  constructor(room: string, record: RoomRecord, emit: (event: RoomEvent) => void) {
    this.#room = room;
    this.#record = record;
    this.#emit = emit;
  }

  /** Keeps something of the log. */
  keep(kept: Kept): Promise<void> {
    return this.#write(this.#record.keep(kept));
  }

  /** Notes which log this room is. */
  pin(origin: string, history: HistoryPolicy): void {
    void this.#write(this.#record.pin(origin, history));
  }

  /**
   * Keeps a line that isn't accepted yet. `stored` settles with the first try; `written` resolves once it would
   * survive.
   */
  putUnsent(line: UnsentLine): { readonly stored: Promise<void>; readonly written: Promise<void> } {
    const stored = this.#record.putUnsent(line);
    return { stored, written: this.#write(stored) };
  }

  /** Forgets a line that is accepted, or given up. */
  removeUnsent(key: number): void {
    void this.#write(this.#record.removeUnsent(key));
  }

  #write(write: Promise<void>): Promise<void> {
    this.#writing = Promise.allSettled([this.#writing, write]).then(() => {}); // drops the results
    return write.catch(async (error) => {
      const message = messageOf(error);
      if (!this.#isTold) {
        this.#emit({ event: "warning", message: `What ${this.#room} shows can't be kept for now: ${message}` });
      }
      this.#isTold = true;
      await this.#record.written();
      this.#isTold = false;
    });
  }

  /** Resolves once the writes that are under way were tried. */
  async settled(): Promise<void> {
    await this.#writing;
  }
}
