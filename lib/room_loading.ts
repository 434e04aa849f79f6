/**
 * A room's log read from the store: when somebody asks for the room, and again after a write whose outcome is unknown.
 * All of it is read before any of it is believed.
 *
 * What the lines come to is read from the newest snapshot (`room_snapshot.ts`) and the lines behind it; without a
 * snapshot, from all lines that are acts. Both are read in pieces, and everybody else has a turn in between.
 *
 * @layer chat
 */

import { decrypt } from "./aes_cbc.ts";
import type { Checkpoint } from "./log_checkpoint.ts";
import { type Envelope, parseEnvelope } from "./log_envelope.ts";
import { type RoomAct, RoomState } from "./log_roles.ts";
import { Frontier, peakPlaces } from "./log_tree.ts";
import type { RoomEpochs } from "./room_epochs.ts";
import type { LogContents } from "./room_placed.ts";
import { type AuthorPlace, openSnapshot, type Snapshot } from "./room_snapshot.ts";
import type { StoredLine, StoredRoom } from "./room_store.ts";
import type { RoomTools } from "./room_tools.ts";

/** How many lines are read and applied at once, before everybody else has a turn. */
const LINES_AT_ONCE = 200;
/** How many authors' last lines are read at once. */
const AUTHORS_AT_ONCE = 100;

/** What a log is read with. */
export interface LoadOptions extends Pick<RoomTools, "store" | "turn" | "keys"> {
  readonly room: StoredRoom;
  readonly epochs: RoomEpochs;
}

/** A log as the store has it. */
export interface LoadedLog extends LogContents {
  readonly isForked: boolean;
  readonly newest: Checkpoint | undefined;
  /** The acts that no head covers, by their indexes; perhaps some before them. */
  readonly acts: ReadonlyMap<number, RoomAct>;
}

/** What lines come to, and the acts that were read for it. */
type Applied = Omit<Snapshot, "index"> & { readonly acts: ReadonlyMap<number, RoomAct> };

/** Reads a log, and its new epochs. `undefined` if its name is another log's by now: it was closed. */
export async function loadLog(options: LoadOptions): Promise<LoadedLog | undefined> {
  const { store, room: { name, inviteOnly, origin }, keys, epochs } = options;
  const stored = await store.findRoom(name);
  if (stored?.origin !== origin) return undefined;
  const { size } = stored;
  const frontier = new Frontier(size, await store.nodes(origin, peakPlaces(size)));
  const newest = await store.latestCheckpoint(origin);
  await epochs.read();
  const held = await store.findState(origin);
  // Acts that no head covers are read one by one: what follows from them may not have been told.
  const isUsable = held !== undefined && held.index <= (newest?.size ?? 0);
  const snapshot = isUsable ? openSnapshot(held, [name, inviteOnly], origin, keys) : undefined;
  const applied = snapshot ? await applyBehind(snapshot, size, options) : await applyAll(options);
  return { isForked: stored.forkedAt !== undefined, frontier, newest, storedAt: snapshot?.index ?? 0, ...applied };
}

/** Applies all acts in the store. */
async function applyAll(options: LoadOptions): Promise<Applied> {
  const { store, turn, room: { name, inviteOnly, origin }, epochs } = options;
  const state = new RoomState(name, inviteOnly);
  const acts = new Map<number, RoomAct>();
  let joinedAt: number | undefined;
  for (let from = 0;;) {
    const lines = await store.actLines(origin, from, LINES_AT_ONCE);
    for (const line of lines) {
      const act = applyLine(line, state, epochs);
      if (act.statement?.kind === "join") joinedAt = Math.max(joinedAt ?? 0, line.epoch);
      acts.set(line.index, act);
      from = line.index + 1;
    }
    if (lines.length < LINES_AT_ONCE) return { state, acts, joinedAt, authors: await lastOfAuthors(options) };
    await turn();
  }
}

/** Applies the lines behind a snapshot. */
async function applyBehind(snapshot: Snapshot, size: number, options: LoadOptions): Promise<Applied> {
  const { store, turn, room: { origin }, epochs } = options;
  const { index, state, authors } = snapshot;
  const acts = new Map<number, RoomAct>();
  let { joinedAt } = snapshot;
  for (let from = index; from < size; from += LINES_AT_ONCE) {
    for (const line of await store.linesFrom(origin, from, Math.min(LINES_AT_ONCE, size - from))) {
      authors.set(line.author, { nextSeqno: line.seqno + 1, ts: line.ts, seenSize: line.seenSize });
      if (!line.isAct) continue;
      const act = applyLine(line, state, epochs);
      if (act.statement?.kind === "join") joinedAt = Math.max(joinedAt ?? 0, line.epoch);
      acts.set(line.index, act);
    }
    await turn();
  }
  return { state, acts, joinedAt, authors };
}

function applyLine(line: StoredLine, state: RoomState, epochs: RoomEpochs): RoomAct {
  const { statement } = openStored(line, epochs) ?? {};
  const username = statement?.kind === "join" ? statement.username : state.usernameOf(line.author) ?? "";
  const act = { author: line.author, username, statement };
  state.apply(act);
  return act;
}

async function lastOfAuthors({ store, turn, room: { origin } }: LoadOptions): Promise<Map<string, AuthorPlace>> {
  const authors = new Map<string, AuthorPlace>();
  for (let after = "00".repeat(32);;) {
    const page = await store.lastLines(origin, after, AUTHORS_AT_ONCE);
    for (const { author, seqno, ts, seenSize } of page) authors.set(author, { nextSeqno: seqno + 1, ts, seenSize });
    after = page.at(-1)?.author ?? after;
    if (page.length < AUTHORS_AT_ONCE) return authors;
    await turn();
  }
}

/** What a stored line says; `undefined` if its body was erased, or its key isn't known. */
export function openStored({ body, epoch }: StoredLine, epochs: RoomEpochs): Envelope | undefined {
  const key = epochs.key(epoch);
  const plaintext = body && key && decrypt(key, body);
  return plaintext ? parseEnvelope(plaintext) : undefined;
}
