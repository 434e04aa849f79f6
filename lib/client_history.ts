/**
 * What a client looks up in its own records of a room, and what it writes out of them for others to verify.
 *
 *     await history.lines("#ops", -20, 20)        the last 20 lines
 *     await history.search("#ops", "deploy")      the lines in which something is said
 *     await history.proof("#ops", 41)             how far line 41 is proved
 *
 * @layer outside
 */

import type { LineRegistration } from "./client_log.ts";
import type { LineEvent } from "./client_event.ts";
import { proveLine } from "./client_bundle.ts";
import { type ExportOptions, exportRoom, type RoomExport } from "./client_export.ts";
import type { OwnCertificate } from "./client_outbox.ts";
import type { RoomRecords } from "./client_room_records.ts";
import { type ClientRooms, notIn } from "./client_rooms.ts";
import { folded } from "./fold.ts";

/** How much is known of a line. */
export interface LineProofState extends LineRegistration {
  /** The origin of the server's log; null if this client knows none. */
  readonly log: string | null;
  /** `placed`: the server says so; `accepted`: a checkpoint covers it. */
  readonly state: "placed" | "accepted";
  /** The time of the first checkpoint that covers it, unix seconds. */
  readonly by: number | null;
  /** How many other people have signed that they had seen a head beyond it. */
  readonly countersigned: number;
}

/** What a history works with. */
export interface RoomHistoryOptions {
  readonly rooms: ClientRooms;
  readonly records: RoomRecords;
  /** The certificate that this client uses now. */
  readonly own: () => OwnCertificate;
  readonly now: () => number;
  /** The CA's file, for the command that verifies an export. */
  readonly ca?: string | undefined;
}

/** The options of an export that whoever asks chooses. */
export type ExportChoice = Omit<ExportOptions, "identity" | "now" | "ca">;

/** The past of a client's rooms. */
export class RoomHistory {
  readonly #options: RoomHistoryOptions;

  constructor(options: RoomHistoryOptions) {
    this.#options = options;
  }

  /** Lines from..from+count-1 as they are on the disk; a `from` below 0 is counted from the end. */
  async lines(room: string, from: number, count: number): Promise<LineEvent[]> {
    const { rooms, records } = this.#options;
    const monitor = rooms.monitor(room);
    if (!monitor) throw notIn();
    const { base, lines } = await (await records.room(room)).read();
    const first = base?.size ?? 0;
    const start = Math.max(0, from < 0 ? lines.length + from : from - first);
    return lines.slice(start, start + count).flatMap((line, at) => monitor.describe(first + start + at, line) ?? []);
  }

  /** Lines in which something is said; case, width and composition make no difference. */
  async search(room: string, words: string): Promise<LineEvent[]> {
    const wanted = folded(words);
    const all = await this.lines(room, 0, Infinity);
    return all.filter(({ text }) => text !== null && folded(text).includes(wanted));
  }

  /** How far a line is proved; `undefined` if there is no such line. */
  async proof(room: string, index: number): Promise<LineProofState | undefined> {
    const monitor = this.#options.rooms.monitor(room);
    if (!monitor) throw notIn();
    const [line] = await this.lines(room, index, 1);
    if (line?.index !== index) return undefined;
    const state = index < monitor.covered ? "accepted" : "placed";
    const { serverLog } = this.#options.rooms;
    const { registered = false, cosigners = [], stamped = false } = serverLog?.proofOf(monitor.origin, index) ?? {};
    const log = serverLog?.charter?.origin ?? null;
    return { state, by: line.by, countersigned: monitor.countersigners(index), log, registered, cosigners, stamped };
  }

  /** Writes lines of a room for others to verify. */
  async export(room: string, choice: ExportChoice): Promise<RoomExport> {
    return await exportRoom(this.#options.records, room, this.#signed(choice));
  }

  /** Writes one line with everything that proves it. */
  async prove(
    room: string,
    index: number,
    folder: string,
  ): Promise<{ readonly path: string; readonly verify: string }> {
    return await proveLine(this.#options.records, room, index, this.#signed({ folder, open: "all" }));
  }

  #signed(choice: ExportChoice): ExportOptions {
    const { own, now, ca } = this.#options;
    return { ...choice, identity: own(), now: now(), ca };
  }
}
