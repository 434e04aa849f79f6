/**
 * Which events are live: about what happens now, and not about what a room had before this session. A bot that answers
 * only live lines never answers an old one.
 *
 *     live.take(event) → false      the line is replayed, at the start or after a lost connection, or told again
 *
 * The first lines of a conversation that somebody has just begun with this account are live, although this client joins
 * it later: whoever writes to a bot for the first time is answered.
 *
 * @layer chat
 */

import type { ShownEvent } from "./client_command.ts";
import { partners } from "./names.ts";

/** Events about lines, which are about a room's past while its lines are still being fetched. */
const OF_THE_LOG: ReadonlySet<string> = new Set(
  "line checked bad_line erased covered state device".split(" "),
);

/** Tells live events from others, as they come. */
export class LiveEvents {
  /** The first line of each room that is new in this session. */
  readonly #newFrom = new Map<string, number>();
  /** Conversations that somebody has just begun with this account. */
  readonly #firstTime = new Set<string>();
  /** The last line of each room that was live. */
  readonly #last = new Map<string, number>();

  /** Whether that event, the next one, is live. */
  take(event: ShownEvent): boolean {
    if (event.event === "offline") this.#newFrom.clear();
    if (event.event === "left") this.#newFrom.delete(event.room);
    if (event.event === "joined") this.#begin(event.room, event.count);
    if (event.event === "caught_up" && !this.#newFrom.has(event.room)) this.#begin(event.room, event.size);
    if (event.event === "invited" && partners(event.room)) this.#firstTime.add(event.room);
    return this.#isLive(event);
  }

  #begin(room: string, count: number): void {
    this.#newFrom.set(room, this.#firstTime.delete(room) ? 0 : count);
  }

  #isLive(event: ShownEvent): boolean {
    if (!OF_THE_LOG.has(event.event) || !("room" in event)) return true;
    const from = this.#firstTime.has(event.room) ? 0 : this.#newFrom.get(event.room);
    if (from === undefined) return false;
    if (event.event !== "line") return true;
    const isNew = event.index >= from && event.index > (this.#last.get(event.room) ?? -1);
    if (isNew) this.#last.set(event.room, event.index);
    return isNew;
  }
}
