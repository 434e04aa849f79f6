/**
 * The rooms that are loaded. A room is read from the store when somebody asks for it, and stays loaded as long as a
 * session is in it; a log that the operator closes is let go of at the next look at the store.
 *
 * @layer chat
 */

import { messageOf, ProtocolError } from "./errors.ts";
import { Room } from "./room.ts";
import type { StoredRoom } from "./room_store.ts";
import type { RoomTools } from "./room_tools.ts";
import { StoreUnavailable } from "./server_store.ts";

/** The rooms of a server, as far as somebody has asked for them. */
export class RoomRegistry {
  readonly #tools: RoomTools;
  /** By name; `undefined` in the end if there is no such room. */
  readonly #rooms = new Map<string, Promise<Room | undefined>>();
  /** Those of them that were read. */
  readonly #ready = new Map<string, Room>();

  constructor(tools: RoomTools) {
    this.#tools = tools;
  }

  /** The room of that name; `undefined` if there is none. */
  find(name: string): Promise<Room | undefined> {
    const known = this.#rooms.get(name);
    if (known) return known;
    const loading = this.#tools.store.findRoom(name).then((stored) => stored && this.#read(stored));
    this.#rooms.set(name, loading);
    // A room that isn't there may be made, and one that couldn't be read may be read later.
    loading.then((room) => room ? this.#ready.set(name, room) : this.#letGo(name), () => this.#letGo(name));
    return loading;
  }

  /** A room whose key or lines can't be read is out of service, and no other room is. */
  async #read(stored: StoredRoom): Promise<Room> {
    try {
      return await Room.load(stored, this.#tools);
    } catch (error) {
      if (error instanceof ProtocolError || error instanceof StoreUnavailable) throw error;
      this.#tools.alarm(`the room can't be read: ${messageOf(error)}`, stored.name);
      throw new ProtocolError("server-error", "This room can't be read now; whoever runs the server is told.");
    }
  }

  #letGo(name: string): void {
    this.#rooms.delete(name);
    this.#ready.delete(name);
  }

  /** The rooms that could be read. */
  async loaded(): Promise<Room[]> {
    const all = await Promise.allSettled(this.#rooms.values());
    return all.flatMap((one) => one.status === "fulfilled" && one.value ? [one.value] : []);
  }

  /** Lets go of rooms whose logs were closed; the logs' origins. */
  async dropClosed(): Promise<string[]> {
    const closed = new Set(await this.#tools.store.closedLogs());
    const dropped: string[] = [];
    for (const [name, loading] of this.#rooms) {
      const room = await loading.catch(() => undefined);
      if (!room || !closed.has(room.origin)) continue;
      if (this.#rooms.get(name) === loading) this.#letGo(name);
      await room.close();
      dropped.push(room.origin);
    }
    return dropped;
  }

  /**
   * Lets go of the rooms that are in none of these sets, if all that they have is stored. A timer calls it, and not
   * while revoked certificates or closed logs are dropped: then nobody holds such a room, since requests outside a room
   * that they haven't joined never yield between finding the room and leaving it.
   */
  dropIdle(joined: ReadonlySet<Room>): void {
    for (const [name, room] of this.#ready) if (!joined.has(room) && room.isSettled) this.#letGo(name);
  }
}
