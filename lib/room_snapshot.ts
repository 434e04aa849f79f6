/**
 * What a room's lines come to up to an index, as it is stored from time to time: a room that is loaded reads only the
 * lines behind it, however many there are.
 *
 *     index 41000 → { "v": 1, "state": { … who is in the room, roles, topic }, "authors": [["9f86…", 12, 1700055…, 40], …] }
 *
 * It is wrapped under the key for rooms' keys with the log and the index as its context, since it says what the lines'
 * bodies say. A snapshot in another form, of a later program for one, is none: then all lines are read.
 *
 * @layer chat
 */

import { encodeUtf8, parseUtf8 } from "./bytes.ts";
import { RoomState } from "./log_roles.ts";
import type { KeyWrap } from "./room_epochs.ts";
import type { StoredState } from "./room_store.ts";

/** The form; to be counted up when `RoomState` folds lines otherwise. */
const VERSION = 1;
/** Lines between two of them, at least; and at least as many as people and authors: each costs some bytes. */
const LINES = 1_000;
/** A larger one isn't stored, in bytes: a database takes so much in one statement whatever its settings are. */
const MAX_BYTES = 2_000_000;

/** An author's place in the log. */
export interface AuthorPlace {
  nextSeqno: number;
  ts: number;
  seenSize: number;
}

/** What the lines before `index` come to. */
export interface Snapshot {
  readonly index: number;
  readonly state: RoomState;
  readonly authors: Map<string, AuthorPlace>;
  /** The latest epoch of a join line. */
  readonly joinedAt: number | undefined;
}

/** Whether another one is to be stored, so many lines after the last. */
export function isSnapshotDue(lines: number, { state, authors }: Pick<Snapshot, "state" | "authors">): boolean {
  return lines >= Math.max(LINES, authors.size + state.personCount);
}

/** A snapshot for the store; `undefined` if it would be too large. */
export function sealSnapshot(
  { index, state, authors, joinedAt }: Snapshot,
  origin: string,
  keys: KeyWrap,
): StoredState | undefined {
  const text = JSON.stringify({
    v: VERSION,
    state: state.encode(),
    authors: [...authors].map(([author, { nextSeqno, ts, seenSize }]) => [author, nextSeqno, ts, seenSize]),
    joinedAt,
  });
  if (text.length > MAX_BYTES) return undefined;
  return { index, state: keys.wrap(encodeUtf8(text), contextOf(origin, index)) };
}

/** What was stored; `undefined` if it can't be used. */
export function openSnapshot(
  { index, state: stored }: StoredState,
  room: ConstructorParameters<typeof RoomState>,
  origin: string,
  keys: KeyWrap,
): Snapshot | undefined {
  const text = parseUtf8(keys.unwrap(stored, contextOf(origin, index)) ?? new Uint8Array(0));
  try {
    const { v, state, authors, joinedAt } = JSON.parse(text ?? "");
    if (v !== VERSION) return undefined;
    return {
      index,
      state: RoomState.decode(state, ...room),
      authors: new Map(
        authors.map(([author, nextSeqno, ts, seenSize]: [string, number, number, number]) =>
          [author, { nextSeqno, ts, seenSize }] as const
        ),
      ),
      joinedAt,
    };
  } catch {
    return undefined;
  }
}

function contextOf(origin: string, index: number): string {
  return `${origin} state ${index}`;
}
