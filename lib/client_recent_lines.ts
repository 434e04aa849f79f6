/**
 * The last lines of a room for a reader of plain text: a room that is opened shows 20 lines, not thousands.
 *
 *     const recent = new RecentLines();
 *     recent.take(event)      the events to show now: none while a room's lines are still coming
 *
 * Lines are held until the room is caught up, or until nothing more comes of it for now (the connection is lost, the
 * server is silent, the room is left). What becomes known of a held line meanwhile changes the line itself: words that
 * were erased are never shown.
 *
 * @layer chat
 */

import type { AnswerEvent } from "./client_command.ts";
import type { LineEvent, RoomEvent } from "./client_event.ts";

type ShownEvent = RoomEvent | AnswerEvent;

/** The most lines of a room that are shown when it is opened. */
export const RECENT_LINES = 20;

/** Lines that are not shown. */
export interface EarlierLines {
  readonly event: "earlier";
  readonly room: string;
  readonly count: number;
  /** How many lines a history has that shows them too. */
  readonly history: number;
  /** Whether there may be more: offline only the disk's last lines are told, and nobody says what was before them. */
  readonly isLeast?: boolean;
}

/** What is known of a room. */
interface Opening {
  /** Every line up to now is here: what comes is new, and shown at once. */
  isOpen: boolean;
  /** The first line that there is to be shown, as far as is known. */
  first: number | undefined;
  /** Whether the server has said which lines there are. */
  isKnown: boolean;
  /** The first line that was neither shown nor told of; 0 before any was. */
  next: number;
  held: LineEvent[];
  /** How many lines the room had when it was caught up. A newcomer's lines are shown after that is told. */
  size: number | undefined;
}

/** Events in, and out of them what is to be shown. */
export class RecentLines {
  readonly #rooms = new Map<string, Opening>();

  /** The events that are to be shown because of this one. */
  take(event: ShownEvent): (ShownEvent | EarlierLines)[] {
    switch (event.event) {
      case "line":
        return this.#line(event);
      case "joined":
        if (event.history === "all") this.#room(event.room).first = 0;
        this.#room(event.room).isKnown = true;
        return [event];
      case "caught_up": {
        const room = this.#room(event.room);
        room.size = event.size;
        return [...this.#open(event.room, Math.max(room.next - 1, room.held.at(-1)?.index ?? -1)), event];
      }
      case "left":
      case "lie": {
        const shown = this.#release(event.room);
        Object.assign(this.#room(event.room), { isOpen: false, size: undefined });
        return [...shown, event];
      }
      case "forgotten":
        this.#rooms.delete(event.room);
        return [event];
      case "offline":
      case "silent":
        return [...this.end(), event];
      case "erased":
        if (this.#change(event.room, (line) => line.index === event.index, ERASED)) return [];
        return this.#isUnseen(event.room, event.index) ? [] : [event];
      case "bad_line": {
        const change = { bad: event.reason, unchecked: false };
        return this.#change(event.room, ({ index }) => index === event.index, change) ? [] : [event];
      }
      case "checked":
        this.#change(event.room, ({ index }) => index >= event.from && index < event.to, { unchecked: false });
        return [event];
      case "covered":
        this.#change(event.room, ({ index, by }) => by === null && index < event.size, { by: event.time });
        return [event];
      default:
        return [event];
    }
  }

  /** What is held of all rooms: nothing more comes for now. */
  end(): (ShownEvent | EarlierLines)[] {
    return [...this.#rooms.keys()].flatMap((room) => this.#release(room));
  }

  #room(name: string): Opening {
    const known = this.#rooms.get(name) ??
      { isOpen: false, first: undefined, isKnown: false, next: 0, held: [], size: undefined };
    this.#rooms.set(name, known);
    return known;
  }

  #line(line: LineEvent): (ShownEvent | EarlierLines)[] {
    const room = this.#room(line.room);
    if (room.isOpen || line.index < room.next) return [line];
    room.first ??= line.index;
    const at = room.held.findIndex(({ index }) => index >= line.index);
    const isKnown = room.held[at]?.index === line.index;
    room.held.splice(at < 0 ? room.held.length : at, isKnown ? 1 : 0, line);
    if (room.held.length > RECENT_LINES) room.held.shift();
    return this.#open(line.room, line.index);
  }

  /** Shows a room's lines, if this is the last of those that there were. */
  #open(name: string, index: number): (ShownEvent | EarlierLines)[] {
    const room = this.#room(name);
    if (room.size === undefined || index < room.size - 1) return [];
    room.isOpen = true;
    return this.#release(name);
  }

  /** The lines that are held of a room, and before them how many there were before. */
  #release(name: string): (ShownEvent | EarlierLines)[] {
    const room = this.#room(name);
    const held = room.held.splice(0);
    const [first, last] = [held[0], held.at(-1)];
    if (!first || !last) return [];
    const count = first.index - Math.max(room.first ?? 0, room.next);
    room.next = last.index + 1;
    if (count === 0) return held;
    const isLeast = !room.isKnown && (room.first ?? 0) > 0;
    const earlier = { event: "earlier", room: name, count, history: count + held.length } as const;
    return [isLeast ? { ...earlier, isLeast } : earlier, ...held];
  }

  #change(name: string, isMeant: (line: LineEvent) => boolean, change: Partial<LineEvent>): boolean {
    const held = this.#rooms.get(name)?.held ?? [];
    const isHeld = held.some(isMeant);
    for (const [at, line] of held.entries()) if (isMeant(line)) held[at] = { ...line, ...change };
    return isHeld;
  }

  /** Whether a line came and won't be shown. */
  #isUnseen(name: string, index: number): boolean {
    const { next = 0, held } = this.#rooms.get(name) ?? {};
    const first = held?.[0];
    return first !== undefined && index < first.index && index >= next;
  }
}

const ERASED: Partial<LineEvent> = { erased: true, statement: null, text: null };
