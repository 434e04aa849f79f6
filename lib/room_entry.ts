/**
 * Who may come into a room, and see that it is there (docs/PROTOCOL.md, "Joining a room").
 *
 * An invite-only room is only its maker's until its first line stands: until then nobody could invite anybody. A
 * conversation of two belongs to both from the beginning, whoever made it.
 *
 * @layer chat
 */

import { ProtocolError } from "./errors.ts";
import { partners, usernameKey } from "./names.ts";
import type { PlacedLog } from "./room_placed.ts";
import type { StoredRoom } from "./room_store.ts";
import { formatTime } from "./time_text.ts";

/** The room that somebody wants to enter. */
export interface RoomEntry {
  readonly room: StoredRoom;
  readonly placed: PlacedLog;
  /** Unix seconds. */
  readonly now: number;
}

/** Whether somebody may see that the room is there. */
export function isVisible(username: string, { room, placed: { size, state }, now }: RoomEntry): boolean {
  if (isOnlyAnothers(username, room, size)) return false;
  return !room.inviteOnly || state.isMember(username) || state.objectionToJoining(username, now) === undefined;
}

/** Throws unless somebody may come in. */
export function checkEntry(username: string, { room, placed: { size, state }, now }: RoomEntry): void {
  const objection = isOnlyAnothers(username, room, size) ? "forbidden" : state.objectionToJoining(username, now);
  if (!objection) return;
  const until = state.bannedUntil(username);
  const reason = until === Infinity
    ? "You are banned from this room."
    : until > now
    ? `You are banned from this room until ${formatTime(1000 * until)}.`
    : "You can't join this room: it takes only those who are invited.";
  throw new ProtocolError(objection, reason);
}

/** Whether the room is still only its maker's, and this is somebody else. */
function isOnlyAnothers(username: string, { name, maker, inviteOnly }: StoredRoom, lines: number): boolean {
  const isMakers = maker !== undefined && inviteOnly && lines === 0 && !partners(name);
  return isMakers && maker !== usernameKey(username);
}
