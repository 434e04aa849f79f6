/**
 * Who is here: what this client tells of itself, and what it asks about the members of its rooms. The server tells it,
 * and nobody signs it (docs/PROTOCOL.md, "What the server tells unasked").
 *
 *     await presence.away(true);          tells the others that nobody is at this keyboard
 *     presence.stateTold("#ops", 3);      asks once who of them is here; changes come by themselves
 *
 * @layer chat
 */

import type { RoomEvent } from "./client_event.ts";
import type { ServerLink } from "./client_link.ts";
import { PRESENCE_MEMBERS } from "./log_frames.ts";

/** What presence works with. */
export interface ClientPresenceOptions {
  readonly link: ServerLink;
  readonly emit: (event: RoomEvent) => void;
  /** Whether this client is in that room. */
  readonly isIn: (room: string) => boolean;
}

/** The presence of a client, and of those in its rooms. */
export class ClientPresence {
  readonly #options: ClientPresenceOptions;
  #isAway = false;
  /** Rooms of which the server was asked who is here, and tells what changes. */
  readonly #asked = new Set<string>();

  constructor(options: ClientPresenceOptions) {
    this.#options = options;
  }

  /** Whether the others are told that nobody is here. */
  get isAway(): boolean {
    return this.#isAway;
  }

  /** A session stands: it is told at once if nobody is here, before the rooms see that somebody has come. */
  online(): void {
    if (this.#isAway) this.#tell().catch(() => {});
  }

  /** The session is over: with the next one it is asked again who is here. */
  offline(): void {
    this.#asked.clear();
  }

  /** Tells the others that nobody is here, or is again; without a connection, with the next session. */
  async away(isAway: boolean): Promise<void> {
    if (isAway === this.#isAway) return;
    const { link, emit } = this.#options;
    this.#isAway = isAway;
    emit({ event: "away", away: isAway });
    const { session } = link;
    if (!session) return;
    await this.#tell().catch((error) => {
      if (session === link.session) throw error;
    });
  }

  /** Whoever writes or joins is here. */
  isHere(): void {
    this.away(false).catch(() => {});
  }

  async #tell(): Promise<void> {
    await this.#options.link.request({ type: "presence", state: this.#isAway ? "away" : "online" });
  }

  /** This client is out of a room. */
  left(room: string): void {
    this.#asked.delete(room);
  }

  /** Asks once who is here, if the room is so small that the server tells what changes. */
  async stateTold(room: string, memberCount: number): Promise<void> {
    if (memberCount > PRESENCE_MEMBERS) return void this.#asked.delete(room);
    const { link, isIn, emit } = this.#options;
    if (!link.session || this.#asked.has(room) || !isIn(room)) return;
    this.#asked.add(room);
    const members = await link.fewMembers(room);
    if (members) emit({ event: "present", room, members });
  }
}
