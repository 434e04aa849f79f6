/**
 * What members read of a room's past: lines, and the keys that these are under (docs/PROTOCOL.md, "Requests").
 *
 * If history is hidden from newcomers, the past begins for an account with the first join line of any of its
 * certificates: a renewed certificate is the same person's.
 *
 * @layer chat
 */

import { type Bytes, concat } from "./bytes.ts";
import type { Json } from "./json.ts";
import { encodePosted, MAX_PAGE } from "./log_frames.ts";
import type { Attendee } from "./room_attendee.ts";
import type { DurableLog } from "./room_durable.ts";
import type { RoomEpochs } from "./room_epochs.ts";
import type { PlacedLog } from "./room_placed.ts";
import type { RoomStore, StoredLine, StoredRoom } from "./room_store.ts";

/** How many bytes leave in one piece, the next when one is on its way: well below what may be queued for a member. */
const PIECE_BYTES = 65_536;
/** How many lines are read from the store at once. */
const PIECE_LINES = 64;
/** How many bytes end a page of history: other requests of that member wait for it. */
const PAGE_BYTES = 262_144;
/** How many keys make one answer. */
const KEYS_IN_PAGE = 100;

/** What history is read from. */
export interface HistoryOptions {
  readonly room: StoredRoom;
  readonly store: Pick<RoomStore, "lineBy">;
  readonly durable: DurableLog;
  readonly placed: PlacedLog;
  readonly epochs: RoomEpochs;
}

/** A room's past. */
export class HistoryPages {
  readonly #options: HistoryOptions;

  constructor(options: HistoryOptions) {
    this.#options = options;
  }

  /** Sends a page of lines, and where the next page begins. */
  async sendPage(to: Attendee, { from, count }: { from: number; count: number }, id: Json | undefined): Promise<void> {
    const { room, durable } = this.#options;
    const first = Math.max(from, (await this.#beginningFor(to)).index);
    const end = Math.min(first + Math.min(count, MAX_PAGE), durable.size);
    let [next, left] = [first, PAGE_BYTES];
    while (next < end && left > 0) {
      const piece = await this.#piece(next, Math.min(PIECE_LINES, end - next));
      to.deliver(piece.bytes);
      await to.drained();
      next += piece.count;
      left -= piece.bytes.length;
    }
    to.answer({ type: "history_end", room: room.name, next }, id);
  }

  async #piece(from: number, count: number): Promise<{ readonly bytes: Bytes; readonly count: number }> {
    const frames: Bytes[] = [];
    let size = 0;
    for (const line of await this.#options.durable.lines(from, count)) {
      const posted = postedFrame(this.#options.room.name, line);
      frames.push(posted);
      size += posted.length;
      if (size >= PIECE_BYTES) break;
    }
    return { bytes: concat(...frames), count: frames.length };
  }

  /** A page of the epochs whose keys somebody may have, and where the next page begins. */
  async epochsFor(reader: Attendee, from: number): Promise<{ readonly page: number[]; readonly next: number | null }> {
    const { epoch } = await this.#beginningFor(reader);
    const epochs = this.#options.epochs.from(Math.max(from, epoch));
    return { page: epochs.slice(0, KEYS_IN_PAGE), next: epochs[KEYS_IN_PAGE] ?? null };
  }

  /** Where the past begins for somebody. */
  async #beginningFor({ fingerprint, username }: Attendee): Promise<Pick<StoredLine, "index" | "epoch">> {
    const { room, store, durable, placed, epochs } = this.#options;
    if (room.history === "all") return { index: 0, epoch: 0 };
    let begin: Pick<StoredLine, "index" | "epoch"> = { index: durable.size, epoch: epochs.current };
    for (const device of [fingerprint, ...placed.state.devicesOf(username)]) {
      const first = await store.lineBy(room.origin, device, 0);
      if (first && first.index < begin.index) begin = first;
    }
    return begin;
  }
}

/** The frame of a line. */
export function postedFrame(room: string, { index, epoch, line, body }: StoredLine): Bytes {
  return encodePosted({ room, index, epoch, line, body });
}
