/**
 * A member of rooms that follows a server's log: what comes to them, what they keep, and what they are told.
 *
 *     const ada = new Follower(world, log, ["#ops"]);
 *     await ada.log.follow();
 *     ada.news        of kind lie, late or mended
 */

import { NOW } from "./fixtures.ts";
import { newRoom } from "./room_store_contract.ts";
import type { LogWorld } from "./server_log_world.ts";
import { encodeHex } from "../lib/bytes.ts";
import { ClientLog, type ClientLogOptions, type FollowedRoom, type LogNews } from "../lib/client_log.ts";
import type { LogRecord } from "../lib/client_log_records.ts";
import type { LogAnswer } from "../lib/log_follow_frames.ts";
import { LogAnswers } from "../lib/server_log_answers.ts";
import type { ServerLog } from "../lib/server_log.ts";

/** A member of rooms that follows a server's log. */
export class Follower {
  readonly records: LogRecord[] = [];
  readonly news: LogNews[] = [];
  rooms: FollowedRoom[];
  log: ClientLog;
  now = NOW;
  /** What is made of the server's answers. */
  change: (answer: LogAnswer) => LogAnswer = (answer) => answer;
  #answers: LogAnswers;

  constructor(world: LogWorld, log: ServerLog, names: readonly string[], changes: Partial<ClientLogOptions> = {}) {
    this.#answers = new LogAnswers(log, world.store.log);
    this.rooms = names.map((room) => ({
      room,
      origin: newRoom(room).origin,
      problemOf: () => Promise.resolve(undefined),
    }));
    this.log = this.#open(changes);
    this.#changes = changes;
  }

  readonly #changes: Partial<ClientLogOptions>;

  #open(changes: Partial<ClientLogOptions>): ClientLog {
    return new ClientLog({
      ask: async (request) =>
        this.change(await this.#answers.answer(request, (room) => Promise.resolve(newRoom(room).origin))),
      rooms: () => this.rooms,
      charterProblem: () => Promise.resolve(undefined),
      judgeNote: (note) => {
        const [, size, root = ""] = note.split("\n");
        const head = { size: Number(size), root: encodeHex(Uint8Array.fromBase64(root)) };
        return Promise.resolve({ head, isSatisfied: note.includes("— witness") });
      },
      isForeign: () => false,
      keep: (records) => Promise.resolve(void this.records.push(...records)),
      tell: (news) => this.news.push(news),
      now: () => this.now,
      ...changes,
    }, this.records);
  }

  /** The client ends and starts again, with what it kept. */
  restart(): void {
    this.log = this.#open(this.#changes);
  }

  /** Asks another server from now on. */
  asks(world: LogWorld, log: ServerLog): void {
    this.#answers = new LogAnswers(log, world.store.log);
  }

  /** What is told of as a lie. */
  get lies(): string[] {
    return this.news.flatMap(({ news, reason }) => news === "lie" ? [reason] : []);
  }
}
