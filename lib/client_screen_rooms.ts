/**
 * What the screen knows, by the events that came: the rooms with their lines and notes, which of them is looked at, who
 * is here, and how the connection is. Nothing is drawn here.
 *
 *     const isCalled = rooms.take(event);      true: somebody speaks to whoever looks
 *     rooms.enter("#ops");                     looks at another room
 *
 * @layer chat
 */

import type { ShownEvent } from "./client_command.ts";
import type { LineEvent, Presence } from "./client_event.ts";
import { explain, fateOf, lookalikes, lookalikeWarning, mentions, recordedNotice } from "./client_text.ts";
import { LineEditor } from "./line_editor.ts";
import { PRESENCE_MEMBERS } from "./log_frames.ts";
import { usernameKey } from "./names.ts";

/** Lines of a room that are kept for the picture; all of them are in the files. */
const MAX_ENTRIES = 5_000;

/** A line or a note, as a room shows them. */
export interface Entry {
  /** A line of the log. */
  line?: LineEvent;
  /** A line on its way, by its key. */
  readonly key?: number;
  readonly note?: string;
  /** The line whose words the note repeats. */
  readonly of?: LineEvent;
  readonly isLoud?: boolean;
  readonly text?: string;
}

/** A room, as the screen has it. */
export interface RoomPicture {
  readonly name: string;
  /** What is being typed for it, and was. */
  readonly editor: LineEditor;
  readonly entries: Entry[];
  readonly byIndex: Map<number, Entry>;
  topic: string;
  members: readonly string[];
  /** Who is here, by the name as it is compared; `undefined` where the server doesn't tell, or not now. */
  present: Map<string, Presence> | undefined;
  unread: number;
  mentioned: boolean;
  /** The greatest index that was shown. */
  highest: number;
  /** The first line that is new: what was said before is no news. */
  newFrom: number;
  /** Lines before this are accepted. */
  covered: number;
  isRecorded: boolean;
  /** A line of one's own stands there since one joined: the consent is given. */
  isConsented: boolean;
}

/** How the connection is. */
export interface ShownConnection {
  readonly state: "connecting" | "online" | "offline";
  /** Why it was lost, or could not be made. */
  readonly cause: string;
  /** When the next try begins, by the screen's clock. */
  readonly retryAt: number | undefined;
  /** Since when the server has said nothing, though it was asked. */
  readonly silentSince: number | undefined;
}

/** What the rooms of a screen work with. */
export interface ScreenRoomsOptions {
  /** Milliseconds of a clock that only goes forward. */
  readonly now: () => number;
  /** How many rows an entry has in the picture. */
  readonly rowsOf: (room: RoomPicture, entry: Entry) => number;
}

/** The rooms of a screen. */
export class ScreenRooms {
  readonly #now: () => number;
  readonly #rowsOf: (room: RoomPicture, entry: Entry) => number;
  readonly #rooms = new Map<string, RoomPicture>();
  /** What belongs to no room. */
  readonly #lobby = emptyRoom("");
  #current: string | undefined;
  #username = "";
  #connection: ShownConnection["state"] = "connecting";
  #retryAt: number | undefined;
  #cause = "";
  #silentSince: number | undefined;
  #isAway = false;
  /** Rows between the end of the room's lines and the last one that is shown. */
  #scroll = 0;
  /** Names that look alike, and for which that was said. */
  readonly #warned = new Set<string>();

  constructor({ now, rowsOf }: ScreenRoomsOptions) {
    this.#now = now;
    this.#rowsOf = rowsOf;
  }

  /** The account. */
  get username(): string {
    return this.#username;
  }

  /** The name of the room that is looked at. */
  get current(): string | undefined {
    return this.#current;
  }

  /** Whether the others are told that nobody is here. */
  get isAway(): boolean {
    return this.#isAway;
  }

  /** How the connection is. */
  get connection(): ShownConnection {
    return {
      state: this.#connection,
      cause: this.#cause,
      retryAt: this.#retryAt,
      silentSince: this.#silentSince,
    };
  }

  /** The rooms, in their order. */
  get all(): readonly RoomPicture[] {
    return [...this.#rooms.values()];
  }

  /** Rows between the end of the room's lines and the last one that is shown. */
  get scroll(): number {
    return this.#scroll;
  }

  /** Looks at another room. */
  enter(room: string | undefined): void {
    this.#current = room;
    this.#scroll = 0;
    if (room !== undefined) see(this.room(room));
  }

  /** Looks further up or down. */
  scrollTo(rows: number): void {
    this.#scroll = Math.max(0, rows);
    if (this.#scroll === 0) see(this.here);
  }

  /** Looks no further up than that. */
  limitScroll(most: number): void {
    this.#scroll = Math.max(0, Math.min(this.#scroll, most));
  }

  // Events.

  /** Something happened; true: somebody speaks to whoever looks. */
  take(event: ShownEvent): boolean {
    switch (event.event) {
      case "line":
        return this.#takeLine(event);
      case "account":
        this.#username = event.username;
        return false;
      case "online":
        this.#username = event.username;
        if (this.#connection === "offline") this.#note(this.here, ["You are online again."]);
        this.#connection = "online";
        this.#silentSince = undefined;
        return false;
      case "offline":
        // That the next try failed as well, the status tells.
        if (this.#connection !== "offline") this.#note(this.here, explain(event, this.#username));
        this.#connection = "offline";
        this.#cause = event.reason;
        this.#retryAt = event.retry_in === null ? undefined : this.#now() + event.retry_in;
        this.#silentSince = undefined;
        for (const room of this.#rooms.values()) room.present = undefined;
        return false;
      case "silent": {
        const { silent_for: time } = event;
        if (time === 0 || this.#silentSince === undefined) this.#note(this.here, explain(event, this.#username));
        this.#silentSince = time === 0 ? undefined : this.#now() - time;
        return false;
      }
      case "sending": {
        const { kind, text } = event;
        if (kind !== "join") this.#add(this.room(event.room), { key: event.key, text: text || `(${kind})` });
        return false;
      }
      case "accepted":
        this.#drop(this.room(event.room), ({ key }) => key === event.key);
        return false;
      case "dropped": {
        const room = this.room(event.room);
        const text = room.entries.find(({ key }) => key === event.key)?.text ?? "";
        this.#drop(room, ({ key }) => key === event.key);
        this.#note(room, [`${fateOf(event)}: ${text.split("\n")[0]} (${event.reason})`], true);
        return false;
      }
      case "away":
        this.#isAway = event.away;
        return false;
      case "done":
        return false;
      default:
        this.#takeOther(event);
        return event.event === "invited" || event.event === "lie";
    }
  }

  #takeOther(
    event: Exclude<ShownEvent, { event: "line" | "account" | "online" | "sending" | "accepted" | "away" | "done" }>,
  ) {
    switch (event.event) {
      case "present":
        this.room(event.room).present = new Map(
          event.members.map(({ username, state }) => [usernameKey(username), state]),
        );
        return;
      case "presence":
        this.room(event.room).present?.set(usernameKey(event.username), event.state);
        return;
      case "joined": {
        const room = this.room(event.room);
        if (!room.isConsented) this.#note(room, [recordedNotice(event.room, event.history, this.#username)]);
        room.isRecorded = true;
        room.topic = event.topic;
        return;
      }
      case "caught_up": {
        const room = this.room(event.room);
        if (!Number.isFinite(room.newFrom)) room.newFrom = event.size;
        return;
      }
      case "state":
        return this.#takeState(event.room, event.topic, event.members.map(({ username }) => username));
      case "covered": {
        const room = this.room(event.room);
        room.covered = Math.max(room.covered, event.size);
        for (const entry of room.entries) {
          const { line } = entry;
          if (line?.by === null && line.index < event.size) entry.line = { ...line, by: event.time };
        }
        return;
      }
      case "checked":
        for (let index = event.from; index < event.to; index++) this.#change(event.room, index, { unchecked: false });
        return;
      case "bad_line":
        return this.#change(event.room, event.index, { bad: event.reason, unchecked: false });
      case "erased":
        for (const room of [this.#lobby, ...this.#rooms.values()]) {
          this.#drop(room, ({ of }) => of?.room === event.room && of.index === event.index);
        }
        return this.#change(event.room, event.index, { erased: true, statement: null, text: null });
      case "history":
      case "found": {
        const [room, notes] = [this.#shown(event.room), explain(event, this.#username)];
        for (const [at, note] of notes.entries()) {
          this.#add(room, event.lines[at] ? { note, of: event.lines[at] } : { note: oneLine(note) });
        }
        return;
      }
      case "invited": {
        const room = this.room(event.room); // in the list, though nobody is in it yet
        room.mentioned ||= room.name !== this.#current;
        for (const one of new Set([room, this.here])) this.#note(one, explain(event, this.#username));
        return;
      }
      case "forgotten":
        // Another log may be joined under this name; what is being typed stays.
        if (this.#current === event.room) {
          this.#rooms.set(event.room, { ...emptyRoom(event.room), editor: this.here.editor });
        } else this.#rooms.delete(event.room);
        return this.#note(this.here, explain(event, this.#username));
      case "left": {
        const room = this.room(event.room);
        room.isConsented = false;
        room.present = undefined;
        return this.#note(room, explain(event, this.#username), true);
      }
      case "device":
        this.#mark(event.fingerprint, !event.vouched);
        return this.#note(this.#shown(event.room), explain(event, this.#username), !event.vouched);
      default: {
        const room = "room" in event ? this.#shown(event.room) : this.here;
        this.#note(room, explain(event, this.#username), LOUD.has(event.event));
      }
    }
  }

  #takeLine(line: LineEvent): boolean {
    const room = this.room(line.room);
    const known = room.byIndex.get(line.index);
    if (known) {
      known.line = line;
      return false;
    }
    if (line.by !== null) room.covered = Math.max(room.covered, line.index + 1);
    if (line.mine) {
      room.isConsented = line.kind !== "part";
      const own = room.entries.findIndex(({ key, text }) =>
        key !== undefined && (text === line.text || line.text === null)
      );
      if (own >= 0) room.entries.splice(own, 1);
    }
    const entry = { line };
    this.#add(room, entry);
    room.byIndex.set(line.index, entry);
    room.highest = Math.max(room.highest, line.index);
    // What was shown the last time is told again before the session stands.
    if (line.mine || this.#connection !== "online" || line.kind !== "text") return false;
    if (room.name === this.#current && this.#scroll === 0) return this.#calls(room, line);
    room.unread += 1;
    const isCalled = this.#calls(room, line);
    room.mentioned ||= isCalled;
    return isCalled;
  }

  #calls({ name, newFrom }: RoomPicture, { index, text }: LineEvent): boolean {
    return index >= newFrom && (name.startsWith("@") || mentions(text ?? "", this.#username));
  }

  #takeState(name: string, topic: string, members: readonly string[]): void {
    const room = this.room(name);
    for (const gone of room.members.filter((one) => !members.includes(one))) room.present?.delete(usernameKey(gone));
    if (members.length > PRESENCE_MEMBERS) room.present = undefined; // nobody tells who comes and goes
    room.topic = topic;
    room.members = members;
    for (const pair of lookalikes(members)) {
      if (this.#warned.has(pair.join())) continue;
      this.#warned.add(pair.join());
      this.#note(room, [lookalikeWarning(pair)], true);
    }
  }

  /** A room; in the list from now on. */
  room(name: string): RoomPicture {
    const known = this.#rooms.get(name) ?? emptyRoom(name);
    this.#rooms.set(name, known);
    return known;
  }

  /** The room, where it is in the list; else where everybody looks. */
  #shown(name: string): RoomPicture {
    return this.#rooms.get(name) ?? this.here;
  }

  /** The room that is looked at; the lobby if there is none. */
  get here(): RoomPicture {
    return this.#current === undefined ? this.#lobby : this.room(this.#current);
  }

  #add(room: RoomPicture, entry: Entry): void {
    // Lines on their way stay last.
    const at = entry.key === undefined ? room.entries.findIndex(({ key }) => key !== undefined) : -1;
    room.entries.splice(at < 0 ? room.entries.length : at, 0, entry);
    // Whoever looks further up goes on looking at the same lines.
    if (this.#scroll > 0 && room === this.here) this.#scroll += this.#rowsOf(room, entry);
    if (room.entries.length <= MAX_ENTRIES) return;
    for (const { line } of room.entries.splice(0, MAX_ENTRIES / 10)) if (line) room.byIndex.delete(line.index);
  }

  #drop(room: RoomPicture, isMeant: (entry: Entry) => boolean): void {
    for (let at; (at = room.entries.findIndex(isMeant)) >= 0;) room.entries.splice(at, 1);
  }

  #note(room: RoomPicture, notes: readonly string[], isLoud = false): void {
    for (const note of notes) this.#add(room, { note: oneLine(note), isLoud });
  }

  /** A certificate is new to its account, or is no longer, in whatever room it writes. */
  #mark(fingerprint: string, unvouched: boolean): void {
    for (const { entries } of this.#rooms.values()) {
      for (const entry of entries) if (entry.line?.from === fingerprint) entry.line = { ...entry.line, unvouched };
    }
  }

  #change(name: string, index: number, change: Partial<LineEvent>): void {
    const entry = this.#rooms.get(name)?.byIndex.get(index);
    if (entry?.line) entry.line = { ...entry.line, ...change };
  }
}

function see(room: RoomPicture): void {
  room.unread = 0;
  room.mentioned = false;
}

function emptyRoom(name: string): RoomPicture {
  return {
    ...{ name, editor: new LineEditor(), entries: [], byIndex: new Map(), topic: "", members: [], present: undefined },
    ...{ unread: 0, mentioned: false, highest: 0 },
    ...{ newFrom: Infinity, covered: 0, isRecorded: false, isConsented: false },
  };
}

const LOUD: ReadonlySet<string> = new Set([
  "lie",
  "warning",
  "uncovered",
  "wrong_clock",
  "server_log",
  "other_log",
  "error",
]);

/** A sentence of the program's own: a reason in it that comes from elsewhere gets no row of its own. */
function oneLine(note: string): string {
  return note.replaceAll("\n", " ");
}
