/**
 * One room on the server: who comes and goes, and what its members ask (docs/PROTOCOL.md, "Rooms"). Its parts:
 *
 *     `room_sequencer.ts`   takes lines, puts them in one order for all and makes them durable
 *     `room_placed.ts`      the log with all lines that have their places
 *     `room_durable.ts`     the log as far as it is durable and told
 *     `room_audience.ts`    the sessions that are here, and what they are told
 *     `room_history.ts`     what members read of the past
 *     `room_entry.ts`       who may come in
 *
 * Which rooms there are, and conversations of two, is `room_hub.ts`.
 *
 * @layer chat
 */

import { encodeBase64 } from "./bytes.ts";
import { ProtocolError } from "./errors.ts";
import type { OutgoingFrame } from "./frame.ts";
import type { Json } from "./json.ts";
import { type Checkpoint, encodeCheckpoint, isCheckpointSigned } from "./log_checkpoint.ts";
import { type Member, PRESENCE_MEMBERS } from "./log_frames.ts";
import type { PostFields } from "./log_requests.ts";
import type { RoomAct } from "./log_roles.ts";
import { consistencyProof, inclusionProof } from "./log_tree.ts";
import { partners, usernameKey } from "./names.ts";
import type { Attendee } from "./room_attendee.ts";
import { removedBy, RoomAudience } from "./room_audience.ts";
import { DurableLog } from "./room_durable.ts";
import { checkEntry, isVisible, type RoomEntry } from "./room_entry.ts";
import { RoomEpochs } from "./room_epochs.ts";
import { HistoryPages } from "./room_history.ts";
import { PlacedLog } from "./room_placed.ts";
import { CLOSED, readOnly, RoomSequencer } from "./room_sequencer.ts";
import type { StoredRoom } from "./room_store.ts";
import type { RoomTools } from "./room_tools.ts";

/** A room with its lines' consequences in memory. */
export class Room {
  readonly name: string;
  readonly origin: string;
  readonly #tools: RoomTools;
  readonly #room: StoredRoom;
  readonly #epochs: RoomEpochs;
  readonly #placed: PlacedLog;
  readonly #durable: DurableLog;
  readonly #audience: RoomAudience;
  readonly #history: HistoryPages;
  readonly #sequencer: RoomSequencer;

  private constructor(room: StoredRoom, tools: RoomTools, epochs: RoomEpochs) {
    const { name, origin } = room;
    const { store, later } = tools;
    this.name = name;
    this.origin = origin;
    this.#room = room;
    this.#tools = tools;
    this.#epochs = epochs;
    const placed = this.#placed = new PlacedLog(room, epochs, tools.keys);
    const durable = this.#durable = new DurableLog({ ...tools, origin });
    const audience = this.#audience = new RoomAudience({ name, epochs, placed, later });
    this.#history = new HistoryPages({ room, store, durable, placed, epochs });
    const parts = { room, tools, epochs, placed, durable, audience };
    this.#sequencer = new RoomSequencer({ ...parts, stands: (act) => this.#notifyOthers(act) });
  }

  // Loading.

  /** A room as the store has it. */
  static async load(stored: StoredRoom, tools: RoomTools): Promise<Room> {
    const room = new Room(stored, tools, await RoomEpochs.load({ ...tools, origin: stored.origin }));
    const acts = await room.#sequencer.load();
    room.#audience.restore(room.#placed.state.devices);
    for (const [index, act] of acts) {
      // What no head covers may have been written by a process that ended before it could tell of it.
      if (index >= (room.#sequencer.heads.newest?.size ?? 0)) room.#notifyOthers(act);
    }
    if (room.#durable.isForked) tools.alarm(`this log is not the one that it was: ${READ_ONLY}`, room.name);
    await room.dropRevoked();
    return room;
  }

  // Coming and going.

  /** Lets a session in, as far as its join line; an older session of the same certificate is ended. */
  async join(
    attendee: Attendee,
    { theirs, isAway }: { readonly theirs: Checkpoint | undefined; readonly isAway: boolean },
    id: Json | undefined,
  ): Promise<void> {
    if (theirs) await this.#compare(theirs); // first: the line by which somebody came in may be among the lost ones
    this.#checkEntry(attendee);
    await this.#sequencer.heads.refresh();
    const isNew = !this.#audience.isReader(attendee.fingerprint);
    // If history is hidden from newcomers, they don't get the key that it is under.
    if (isNew && this.#room.history === "since_join" && await this.#epochs.beginIfUsed()) this.#audience.giveKey();
    this.#checkEntry(attendee); // meanwhile somebody may have been removed, or the store have failed
    this.#audience.enter(attendee, isAway)?.end(
      new ProtocolError("unexpected", "Another session of this certificate has come into the room."),
    );
    attendee.answer(this.#joined(attendee), id);
    this.#audience.tellPresence(attendee.username);
  }

  /** What a session is told when it comes in. */
  #joined(attendee: Attendee): OutgoingFrame {
    const { newest } = this.#sequencer.heads;
    return {
      type: "joined",
      room: this.name,
      origin: this.origin,
      mode: "recorded",
      history: this.#room.history,
      topic: this.topic,
      count: this.#durable.size,
      checkpoint: newest ? encodeCheckpoint(newest) : null,
      frontier: this.#durable.peaks.map(encodeBase64),
      next_seqno: this.#placed.nextSeqnoOf(attendee.fingerprint),
      epoch: this.#epochs.current,
      key: this.#audience.sealKey(attendee, this.#epochs.current),
      // Whether a join line of this certificate stands, so that none is needed.
      standing: this.#audience.isReader(attendee.fingerprint),
    };
  }

  /** Throws unless somebody may come in now. */
  #checkEntry({ username, fingerprint }: Attendee): void {
    this.#sequencer.requireWorking();
    checkEntry(username, this.#entry);
    // No join line can be taken any more.
    if (this.#durable.isForked && !this.#audience.isReader(fingerprint)) throw readOnly();
  }

  get #entry(): RoomEntry {
    return { room: this.#room, placed: this.#placed, now: this.#seconds };
  }

  /** A session is over. */
  leave(attendee: Attendee): void {
    this.#audience.leave(attendee);
  }

  /** A session says whether somebody is there to read. */
  setAway(attendee: Attendee, isAway: boolean): void {
    this.#audience.setAway(attendee, isAway);
  }

  /** A member's checkpoint that this log doesn't extend shows that lines were lost. */
  async #compare(theirs: Checkpoint): Promise<void> {
    const key = await this.#tools.serverKey(theirs.from);
    if (!key || !isCheckpointSigned(this.origin, theirs, key)) return; // nothing that this server ever said
    const signed = theirs.size > this.#durable.size ? undefined : await this.#sequencer.heads.rootAt(theirs.size);
    if (signed === theirs.root || this.#durable.isForked) return;
    await this.#durable.markForked();
    const what =
      `a member holds a checkpoint of ${theirs.size} lines that this log of ${this.#durable.size} doesn't extend`;
    this.#tools.alarm(`${what}: ${READ_ONLY}`, this.name);
  }

  /** The operator has closed the log: its lines get their last head, and everybody who is here is told. */
  async close(): Promise<void> {
    await this.#sequencer.stop();
    this.#audience.dismiss({ type: "closed", room: this.name, reason: CLOSED });
  }

  /** Takes a line, or refuses it. What is thrown refuses it; `sig-fail` ends the session. */
  async post(post: PostFields, from: Attendee, id: Json | undefined): Promise<void> {
    await this.#sequencer.post(post, from, id);
  }

  /** Tells others than the line's readers what a durable line means for them: who is here, and who is invited. */
  #notifyOthers(act: RoomAct): void {
    const { statement, username } = act;
    const { state } = this.#placed;
    if (statement?.kind === "join") {
      this.#audience.tellPresence(username);
      const other = partners(this.name)?.find((name) => name !== usernameKey(username));
      if (other !== undefined && !state.isMember(other)) this.#tools.invite(this.name, other, username);
    }
    if (statement?.kind === "invite" && !state.isMember(statement.username)) {
      const isOver = state.objectionToJoining(statement.username, this.#seconds) !== undefined;
      if (!isOver) this.#tools.invite(this.name, statement.username, username);
    }
    const removed = removedBy(act);
    if (removed !== undefined) this.#audience.tellPresence(removed);
  }

  // Keys.

  /** Takes revoked certificates out of the readers, and their key out of use. */
  async dropRevoked(): Promise<void> {
    const { revoked, rekeyed } = this.#tools;
    const expelled = this.#audience.expel(await revoked(this.#audience.readers));
    const news = [...expelled.keys()].filter((device) => !rekeyed.has(this.origin, device));
    if (news.length === 0) return;
    try {
      await this.#epochs.begin();
      this.#audience.giveKey();
      for (const device of news) rekeyed.add(this.origin, device);
    } catch (error) {
      this.#audience.readmit(expelled); // it is tried again
      throw error;
    }
  }

  // Reading.

  /** The topic, by the lines. */
  get topic(): string {
    return this.#placed.state.topic;
  }

  /** Sends a page of the members, and who of them is here now. */
  listMembers(attendee: Attendee, from: number, id: Json | undefined): void {
    this.requireJoined(attendee);
    const all = this.#placed.state.members;
    const end = from + PRESENCE_MEMBERS;
    const members = all.slice(from, end).map((member): Member => {
      const state = this.#audience.presenceOf(member.username);
      return { ...member, online: state !== "offline", state };
    });
    attendee.answer({ type: "members", room: this.name, members, next: end < all.length ? end : null }, id);
  }

  /** How many accounts are in the room. */
  get memberCount(): number {
    return this.#placed.state.memberCount;
  }

  /** Whether somebody may see that the room is there. */
  isVisibleTo(username: string): boolean {
    return isVisible(username, this.#entry);
  }

  /** Sends a page of lines, and where the next page begins. */
  async history(attendee: Attendee, page: { from: number; count: number }, id: Json | undefined): Promise<void> {
    this.requireJoined(attendee);
    await this.#history.sendPage(attendee, page, id);
  }

  /** Sends a page of the epochs' keys. */
  async keys(attendee: Attendee, from: number, id: Json | undefined): Promise<void> {
    this.requireJoined(attendee);
    const { page, next } = await this.#history.epochsFor(attendee, from);
    this.requireJoined(attendee); // still
    const keys = page.map((epoch) => this.#audience.sealKey(attendee, epoch));
    attendee.answer({ type: "keys", room: this.name, keys, next }, id);
  }

  /** Sends the newest checkpoint. */
  checkpoint(attendee: Attendee, id: Json | undefined): void {
    this.requireJoined(attendee);
    const { newest } = this.#sequencer.heads;
    if (!newest) throw new ProtocolError("no-room", "The room has no checkpoint yet.");
    attendee.answer({ type: "checkpoint", room: this.name, ...encodeCheckpoint(newest) }, id);
  }

  /** Sends the last checkpoint up to a time, in unix seconds: for somebody who judges what was said by then. */
  async earlierCheckpoint(attendee: Attendee, by: number, id: Json | undefined): Promise<void> {
    this.requireJoined(attendee);
    const found = await this.#tools.store.latestCheckpoint(this.origin, by);
    if (!found) throw new ProtocolError("no-room", "The room had no checkpoint by then.");
    attendee.answer({ type: "earlier_checkpoint", room: this.name, ...encodeCheckpoint(found) }, id);
  }

  /** Proves that the log of `to` lines extends that of `from` lines. */
  async proveConsistency(
    attendee: Attendee,
    { from, to }: { readonly from: number; readonly to: number },
    id: Json | undefined,
  ): Promise<void> {
    this.requireJoined(attendee);
    const { size, nodes } = this.#durable;
    if (to > size || from > to) throw new ProtocolError("forbidden", `The log has ${size} lines.`);
    const hashes = (await consistencyProof(from, to, nodes)).map(encodeBase64);
    attendee.answer({ type: "consistency", room: this.name, from, to, hashes }, id);
  }

  /** Proves that a line is in the log of `size` lines. */
  async proveInclusion(
    attendee: Attendee,
    { index, size }: { readonly index: number; readonly size: number },
    id: Json | undefined,
  ): Promise<void> {
    this.requireJoined(attendee);
    const { size: lines, nodes } = this.#durable;
    if (size > lines || index >= size) throw new ProtocolError("forbidden", `The log has ${lines} lines.`);
    const hashes = (await inclusionProof(index, size, nodes)).map(encodeBase64);
    attendee.answer({ type: "inclusion", room: this.name, index, size, hashes }, id);
  }

  /** The log's origin, for somebody whose join line stands. Throws `not-member` for others. */
  originFor(attendee: Attendee): string {
    this.requireJoined(attendee);
    return this.origin;
  }

  /** Throws `not-member` unless this session's join line is durable. */
  requireJoined(attendee: Attendee): void {
    this.#sequencer.requireWorking();
    const isIn = this.#audience.isHere(attendee) && this.#audience.isReader(attendee.fingerprint);
    if (!isIn) throw new ProtocolError("not-member", "Join the room first, with a join line that stands in its log.");
  }

  get #seconds(): number {
    return Math.floor(this.#tools.now() / 1000);
  }

  // Working and resting.

  /** Whether everything is stored: what is in memory follows from the store. */
  get isSettled(): boolean {
    return this.#sequencer.isSettled;
  }

  /** Makes a head of what no head covers; the clock, in doubt until now, is right again. */
  makeHead(): void {
    this.#sequencer.makeHead();
  }

  /** Resolves when every line that was placed is told of or refused. */
  async settled(): Promise<void> {
    await this.#sequencer.settled();
  }
}

/** What the operator reads of a log that is forked. */
const READ_ONLY = "the room is read-only until the log is closed with: securechat room close";
