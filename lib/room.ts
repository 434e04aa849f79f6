/**
 * One room on the server: who posts what at which index, in one order for all (docs/PROTOCOL.md).
 *
 *     post → checks, what they need from the store awaited → #commit: the index is made, no await
 *          → a round of the committer: one transaction for all that came meanwhile → posted to every member at once
 *
 * A line that is refused leaves the log, the sequence and the state as they were. A line that was given its place is
 * told to nobody before it is durable, and what follows from it (a body is erased, another key begins) is written in
 * the same transaction. Where the store fails, the room refuses what it had placed with `server-error`, takes no line
 * and lets nobody in until it has read what the store holds, and tells of what turns out to stand there. A checkpoint
 * is stored before it is sent, at most one a second and never two roots for one size. A log that somebody holds a later
 * head of than it has is forked, by what happened to its database: it takes no lines and gets no heads any more, until
 * the operator closes it.
 *
 * It knows people by their certificate and account ({@link Attendee}), no sockets and no handshakes. Which rooms there
 * are, and conversations of two, is `room_hub.ts`.
 *
 * @layer chat
 */

import { BLOCK_SIZE, decrypt } from "./aes_cbc.ts";
import { type Bytes, type Clock, concat, encodeBase64, encodeHex, encodeUtf8, type Random } from "./bytes.ts";
import { type Checkpoint, encodeCheckpoint, isCheckpointSigned } from "./log_checkpoint.ts";
import { type Envelope, parseEnvelope } from "./log_envelope.ts";
import { ProtocolError } from "./errors.ts";
import { encodeFrame } from "./frame.ts";
import type { Json, JsonObject } from "./json.ts";
import { partners, usernameKey } from "./names.ts";
import type { VerifyingKey } from "./pss.ts";
import { formatTime } from "./receipt.ts";
import { Frontier, leafHash, type NodePlace, peakPlaces, type TreeNode } from "./log_tree.ts";
import { type KeyWrap, RoomEpochs } from "./room_epochs.ts";
import { type HeadSigner, NOT_GOOD, RoomHeads } from "./room_heads.ts";
import { logHash } from "./log_line.ts";
import { hashFaults, headFault, isLastingKind, mayErase, orderFaults, riseFault, roomFault } from "./log_rules.ts";
import { encodePosted, MAX_PAGE, type Member, type PostFields, type Presence, PRESENCE_MEMBERS } from "./log_frames.ts";
import { type RoomAct, RoomState } from "./log_roles.ts";
import { type Author, isSnapshotDue, openSnapshot, sealSnapshot, type Snapshot } from "./room_snapshot.ts";
import type { RoomStore, StoredEpoch, StoredLine, StoredRoom, StoredState } from "./room_store.ts";
import type { ServerClock } from "./server_clock.ts";
import { encodeLine, MAX_CLOCK_DIFFERENCE, messageInput } from "./transcript.ts";

/** How long a store that failed has, before it is tried again, in milliseconds. */
const RETRY_AFTER = 1_000;
/**
 * History leaves in pieces of some such size, the next when one is written: well below what may be queued for a member.
 */
const PIECE_BYTES = 65_536;
/** A page of history ends after so many bytes: other requests of that member wait for it. */
const PAGE_BYTES = 262_144;
/** Keys in one answer. */
const KEYS_IN_PAGE = 100;
/** Lines that are read from the store at once. */
const PIECE_LINES = 64;
/** Lines in one transaction: what a database takes in one go, and in the time that a call to it has. */
const MAX_ROUND = 256;
/** Acts that are read and folded in one go, before everybody else has a turn. */
const ACTS_AT_ONCE = 200;
/** Authors whose last lines are looked for in one go. */
const AUTHORS_AT_ONCE = 100;
/** How far apart two states of one member are told, in milliseconds: what changes in between is merged. */
const PRESENCE_INTERVAL = 1_000;
/** Lines that wait for the store, before posts are refused as too many. */
const MAX_WAITING = 4_096;

/** A frame with its fields. */
export type Outgoing = { readonly type: string } & Readonly<Record<string, unknown>>;

/** Somebody's session, as rooms see it. */
export interface Attendee {
  readonly fingerprint: string;
  readonly username: string;
  readonly verifying: VerifyingKey;
  /** Whether nobody is there to read, as the session has said of itself; the hub sets it. */
  isAway: boolean;
  /** Sends frames that were encoded once for many. */
  deliver(bytes: Bytes): void;
  /** Sends what is out of date as soon as there is another of the same key; it counts as nothing that is queued. */
  deliverLatest(key: string, bytes: Bytes): void;
  /** Resolves when what was sent is on its way. */
  drained(): Promise<void>;
  answer(frame: Outgoing, id?: Json): void;
  /** `iv || ciphertext` that this session alone can open. */
  seal(value: JsonObject): Bytes;
  refuse(error: ProtocolError, id?: Json): void;
  /** A line of this session's stands in a log. */
  placed?(): void;
  /** Ends the session. */
  end(error: ProtocolError): void;
}

/** What rooms work with. */
export interface RoomTools {
  readonly store: RoomStore;
  readonly keys: KeyWrap;
  /** Signs checkpoints: the server's certificate of this moment. */
  readonly signer: () => HeadSigner;
  readonly now: Clock;
  /** What is known of the clock; without it, it is always right. */
  readonly clock?: Pick<ServerClock, "isDoubtful" | "latest" | "witness">;
  readonly random: Random;
  /** Runs something later, in milliseconds. */
  readonly later: (ms: number, run: () => void) => void;
  /** Resolves when everything that has arrived by now was taken: lines that came together are written together. */
  readonly turn: () => Promise<void>;
  /** The key of a certificate of this server's, now or in earlier days, by its fingerprint. */
  readonly serverKey: (fingerprint: string) => Promise<VerifyingKey | undefined>;
  /** Those of these certificates that are revoked. */
  readonly revoked: (fingerprints: readonly string[]) => Promise<readonly string[]>;
  /** Revoked certificates, each behind the origin of a log that has had a new key since: kept over a room's reading. */
  readonly dropped: Set<string>;
  /** Tells the operator of what should never be. */
  readonly alarm: (message: string, room: string) => void;
  /** Tells somebody of an invitation, now or at the next login. */
  readonly invite: (room: string, username: string, from: string) => void;
}

/** A line that has its place and waits for the store. */
interface Placed {
  readonly line: StoredLine;
  readonly nodes: readonly TreeNode[];
  readonly posted: Bytes;
  readonly act: RoomAct;
  readonly from: Attendee;
  readonly id: Json | undefined;
  /** What the lines up to this one come to, where that is to be stored. */
  readonly state: StoredState | undefined;
}

/** What is told of a durable line; the first node is its leaf. */
type Told = Pick<Placed, "nodes" | "posted" | "act">;

/** A room with its lines' consequences in memory. */
export class Room {
  readonly name: string;
  readonly origin: string;
  readonly #tools: RoomTools;
  readonly #room: StoredRoom;
  readonly #log: Bytes;
  /** With what was placed, durable or not. */
  #state: RoomState;
  #frontier = new Frontier();
  #authors = new Map<string, Author>();
  /** The latest epoch of a join line. */
  #joinedAt: number | undefined;
  /** The index of the state that is stored. */
  #storedAt = 0;
  readonly #epochs: RoomEpochs;
  readonly #heads: RoomHeads;
  /** The epoch whose key was given to those who were here. */
  #given: number;
  /** What is durable, and told. */
  #durable = new Frontier();
  readonly #waiting: Placed[] = [];
  #committing: Promise<void> | undefined;
  /** Sessions that have asked to come in, by certificate. */
  readonly #attendees = new Map<string, Attendee>();
  /** The same by account: who is here is looked at with each that comes or goes. */
  readonly #here = new Map<string, Set<Attendee>>();
  /** What was told last of who is here, by account. */
  readonly #told = new Map<string, Presence>();
  /** Accounts whose state was told less than {@link PRESENCE_INTERVAL} ago. */
  readonly #toldLately = new Set<string>();
  /** Lines that are erased by what waits for the store. */
  readonly #erasing = new Set<number>();
  /** Certificates whose join line is durable, and their accounts: who gets the lines. */
  readonly #standing = new Map<string, string>();
  /** Whether the store has failed, until what it holds is read again. */
  #isBroken = false;
  /** Whether somebody holds a checkpoint that this log doesn't extend. The store knows it too. */
  #isForked = false;
  #isClosed = false;

  private constructor(room: StoredRoom, tools: RoomTools, epochs: RoomEpochs) {
    this.name = room.name;
    this.origin = room.origin;
    this.#room = room;
    this.#tools = tools;
    this.#epochs = epochs;
    this.#given = epochs.current;
    this.#heads = new RoomHeads({
      ...{ ...tools, origin: room.origin },
      head: () => {
        return this.#isForked || tools.clock?.isDoubtful
          ? undefined
          : { size: this.#durable.size, root: encodeHex(this.#durable.root()) };
      },
      latestTs: () => this.#authors.values().reduce((latest, { ts }) => Math.max(latest, ts), 0),
      tell: (checkpoint) => {
        this.#tell(encodeFrame({ type: "checkpoint", room: this.name, ...encodeCheckpoint(checkpoint) }));
      },
      failed: (error) => tools.alarm(`no checkpoint could be stored: ${messageOf(error)}`, this.name),
    });
    this.#log = logHash(room.origin);
    this.#state = new RoomState(room.name, room.inviteOnly);
  }

  /** A room as the store has it. */
  static async load(stored: StoredRoom, tools: RoomTools): Promise<Room> {
    const room = new Room(stored, tools, await RoomEpochs.load({ ...tools, origin: stored.origin }));
    const acts = await room.#load();
    room.#durable = new Frontier(room.#frontier.size, room.#frontier.peaks);
    for (const [device, username] of room.#state.devices) room.#standing.set(device, username);
    for (const [index, act] of acts) {
      // What no head covers may have been written by a process that ended before it could tell of it.
      if (index >= (room.#heads.newest?.size ?? 0)) room.#follow(act);
    }
    if (room.#isForked) tools.alarm(`this log is not the one that it was: ${READ_ONLY}`, room.name);
    await room.dropRevoked();
    return room;
  }

  /**
   * Reads what the store holds, and by their index the acts that no head covers, some before them perhaps. All is read
   * before any of it is taken.
   */
  async #load(): Promise<ReadonlyMap<number, RoomAct>> {
    const { store } = this.#tools;
    const stored = await store.findRoom(this.name);
    if (stored?.origin !== this.origin) throw new ProtocolError("no-room", CLOSED);
    const { size } = stored;
    if (size < this.#durable.size) throw new Error("lines that were told of are gone");
    const frontier = new Frontier(size, await store.nodes(this.origin, peakPlaces(size)));
    const newest = await store.latestCheckpoint(this.origin);
    await this.#epochs.read();
    const held = await store.findState(this.origin);
    // Acts that no head covers have to be read one by one: what follows from them may not have been told.
    const snapshot = held && held.index <= (newest?.size ?? 0) ? this.#openState(held) : undefined;
    const { state, acts, joinedAt, authors } = snapshot
      ? await this.#foldFrom(snapshot, size)
      : { ...await this.#fold(), authors: await this.#lastOfAuthors() };

    this.#isForked = stored.forkedAt !== undefined;
    this.#frontier = frontier;
    this.#heads.restore(newest);
    this.#authors = authors;
    this.#state = state;
    this.#joinedAt = joinedAt;
    this.#storedAt = snapshot?.index ?? 0;
    this.#erasing.clear();
    if (joinedAt !== undefined) this.#retireBefore(joinedAt);
    return acts;
  }

  /** What the acts in the store come to, by pieces: a room with many of them would keep everybody else waiting. */
  async #fold() {
    const { store, turn } = this.#tools;
    const state = new RoomState(this.name, this.#room.inviteOnly);
    const acts = new Map<number, RoomAct>();
    let joinedAt: number | undefined;
    for (let from = 0;;) {
      const lines = await store.actLines(this.origin, from, ACTS_AT_ONCE);
      for (const line of lines) {
        const act = this.#actOf(line, state);
        state.apply(act);
        if (act.statement?.kind === "join") joinedAt = Math.max(joinedAt ?? 0, line.epoch);
        acts.set(line.index, act);
        from = line.index + 1;
      }
      if (lines.length < ACTS_AT_ONCE) return { state, acts, joinedAt };
      await turn();
    }
  }

  #openState(stored: StoredState): Snapshot | undefined {
    return openSnapshot(stored, [this.name, this.#room.inviteOnly], this.origin, this.#tools.keys);
  }

  /** What a snapshot and the lines behind it come to. */
  async #foldFrom({ index, state, authors, joinedAt: joinedBefore }: Snapshot, size: number) {
    const { store, turn } = this.#tools;
    const acts = new Map<number, RoomAct>();
    let joinedAt = joinedBefore;
    for (let from = index; from < size; from += ACTS_AT_ONCE) {
      for (const line of await store.linesFrom(this.origin, from, Math.min(ACTS_AT_ONCE, size - from))) {
        authors.set(line.author, { nextSeqno: line.seqno + 1, ts: line.ts, seenSize: line.seenSize });
        if (!line.isAct) continue;
        const act = this.#actOf(line, state);
        state.apply(act);
        if (act.statement?.kind === "join") joinedAt = Math.max(joinedAt ?? 0, line.epoch);
        acts.set(line.index, act);
      }
      await turn();
    }
    return { state, acts, joinedAt, authors };
  }

  #actOf(line: StoredLine, state: RoomState): RoomAct {
    const { statement } = this.#openStored(line) ?? {};
    const username = statement?.kind === "join" ? statement.username : state.usernameOf(line.author) ?? "";
    return { author: line.author, username, statement };
  }

  async #lastOfAuthors(): Promise<Map<string, Author>> {
    const { store, turn } = this.#tools;
    const authors = new Map<string, Author>();
    for (let after = "00".repeat(32);;) {
      const page = await store.lastLines(this.origin, after, AUTHORS_AT_ONCE);
      for (const { author, seqno, ts, seenSize } of page) authors.set(author, { nextSeqno: seqno + 1, ts, seenSize });
      after = page.at(-1)?.author ?? after;
      if (page.length < AUTHORS_AT_ONCE) return authors;
      await turn();
    }
  }

  /** What the lines before `index` come to, where that is to be stored again. */
  #stateDue(index: number): StoredState | undefined {
    const now = { index, state: this.#state, authors: this.#authors, joinedAt: this.#joinedAt };
    if (!isSnapshotDue(index - this.#storedAt, now)) return undefined;
    this.#storedAt = index;
    return sealSnapshot(now, this.origin, this.#tools.keys);
  }

  /** What a line changes as soon as it has its place. */
  #apply(act: RoomAct, epoch: number): void {
    this.#state.apply(act);
    if (act.statement?.kind === "join") this.#joinedAt = Math.max(this.#joinedAt ?? 0, epoch);
    // Who comes gets no older key, where newcomers don't see what was before: so no line after it is under one.
    if (act.statement?.kind === "join") this.#retireBefore(epoch);
  }

  #retireBefore(epoch: number): void {
    if (this.#room.history === "since_join") this.#epochs.retireBefore(epoch);
  }

  /** Who gets the lines after this one. */
  #stand(act: RoomAct): void {
    if (act.statement?.kind === "join") this.#standing.set(act.author, usernameKey(act.username));
    const out = putOut(act);
    if (out === undefined) return;
    const key = usernameKey(out);
    for (const [device, username] of this.#standing) if (username === key) this.#standing.delete(device);
  }

  #openStored({ body, epoch }: StoredLine): Envelope | undefined {
    const key = this.#epochs.key(epoch);
    const plaintext = body && key && decrypt(key, body);
    return plaintext ? parseEnvelope(plaintext) : undefined;
  }

  // Coming and going.

  get topic(): string {
    return this.#state.topic;
  }

  /** Who is in the room, and who of them is here now. */
  get members(): readonly Member[] {
    return this.#state.members.map((member) => {
      const state = this.#presenceOf(member.username);
      return { ...member, online: state !== "offline", state };
    });
  }

  get memberCount(): number {
    return this.#state.memberCount;
  }

  /** Whether somebody may see that the room is there. */
  isVisibleTo(username: string): boolean {
    if (this.#isOnlyAnothers(username)) return false;
    return !this.#room.inviteOnly || this.#state.isMember(username) ||
      this.#state.objectionToJoining(username, this.#seconds()) === undefined;
  }

  /** Lets a session in, as far as its `join` line: the older session of the same certificate is closed. */
  async join(attendee: Attendee, theirs: Checkpoint | undefined, id: Json | undefined): Promise<void> {
    if (theirs) await this.#compare(theirs); // first: what was lost may be how somebody came in
    this.#checkEntry(attendee);
    await this.#heads.refresh();
    const isNew = !this.#standing.has(attendee.fingerprint);
    // Where newcomers don't see what was before, they don't get the key that it is under.
    if (isNew && this.#room.history === "since_join" && await this.#epochs.beginIfUsed()) this.#giveKey();
    this.#checkEntry(attendee); // meanwhile somebody may have been put out, or the store have failed
    const older = this.#attendees.get(attendee.fingerprint);
    if (older && older !== attendee) {
      this.#drop(older);
      older.end(new ProtocolError("unexpected", "Another session of this certificate has come into the room."));
    }
    this.#attendees.set(attendee.fingerprint, attendee);
    const key = usernameKey(attendee.username);
    this.#here.set(key, (this.#here.get(key) ?? new Set()).add(attendee));
    attendee.answer({
      type: "joined",
      room: this.name,
      origin: this.origin,
      mode: "recorded",
      history: this.#room.history,
      topic: this.#state.topic,
      count: this.#durable.size,
      checkpoint: this.#heads.newest ? encodeCheckpoint(this.#heads.newest) : null,
      frontier: this.#durable.peaks.map(encodeBase64),
      next_seqno: this.#authors.get(attendee.fingerprint)?.nextSeqno ?? 0,
      epoch: this.#epochs.current,
      key: this.#sealKey(attendee, this.#epochs.current),
      // Whether a join line of this certificate stands, so that none is needed.
      standing: this.#standing.has(attendee.fingerprint),
    }, id);
    this.#tellPresence(attendee.username);
  }

  /** Throws where somebody may not come in, or nobody can now. */
  #checkEntry({ username, fingerprint }: Attendee): void {
    if (this.#isBroken) throw broken();
    const objection = this.#isOnlyAnothers(username)
      ? "forbidden"
      : this.#state.objectionToJoining(username, this.#seconds());
    if (objection) throw new ProtocolError(objection, this.#whyNot(username));
    if (this.#isForked && !this.#standing.has(fingerprint)) throw readOnly(); // there is no join line to come
  }

  /** Why somebody is not let in, for them to read. */
  #whyNot(username: string): string {
    const until = this.#state.bannedUntil(username);
    if (until === Infinity) return "You are banned from this room.";
    if (until > this.#seconds()) return `You are banned from this room until ${formatTime(1000 * until)}.`;
    return "You can't join this room: it takes only those who are invited.";
  }

  /** Whether it is still only for the one who has made it. */
  get #isMakersAlone(): boolean {
    const { maker, inviteOnly } = this.#room;
    return maker !== undefined && inviteOnly && this.#frontier.size === 0 && !partners(this.name);
  }

  /** Whether it is another's alone, who has made it and said nothing yet. */
  #isOnlyAnothers(username: string): boolean {
    return this.#isMakersAlone && this.#room.maker !== usernameKey(username);
  }

  /** A session is over. */
  leave(attendee: Attendee): void {
    if (this.#attendees.get(attendee.fingerprint) !== attendee) return;
    this.#drop(attendee);
    this.#tellPresence(attendee.username);
  }

  #drop(attendee: Attendee): void {
    this.#attendees.delete(attendee.fingerprint);
    const key = usernameKey(attendee.username);
    const sessions = this.#here.get(key);
    sessions?.delete(attendee);
    if (sessions?.size === 0) this.#here.delete(key);
  }

  #presenceOf(username: string): Presence {
    const sessions = this.#here.get(usernameKey(username));
    if (!sessions) return "offline";
    return [...sessions].every(({ isAway }) => isAway) ? "away" : "online";
  }

  /** A session has said whether anybody is there to read. */
  tellPresenceOf(attendee: Attendee): void {
    if (this.#attendees.get(attendee.fingerprint) === attendee) this.#tellPresence(attendee.username);
  }

  /** Tells whether a member is here, where that is another thing than was told last, and at most once a second. */
  #tellPresence(username: string): void {
    const key = usernameKey(username);
    if (this.#toldLately.has(key)) return;
    const state = this.#state.isMember(username) ? this.#presenceOf(username) : "offline";
    if (state === (this.#told.get(key) ?? "offline")) return;
    if (state === "offline") this.#told.delete(key);
    else this.#told.set(key, state);
    if (!this.#state.isMember(username) || this.#state.memberCount > PRESENCE_MEMBERS) return;
    this.#toldLately.add(key);
    this.#tools.later(PRESENCE_INTERVAL, () => {
      this.#toldLately.delete(key);
      this.#tellPresence(username);
    });
    const bytes = encodeFrame({ type: "presence", room: this.name, username, state });
    for (const one of this.#attendees.values()) {
      if (this.#standing.has(one.fingerprint)) one.deliverLatest(`${this.name} ${key}`, bytes);
    }
  }

  /** To every session whose certificate has joined. */
  #tell(bytes: Bytes): void {
    for (const one of this.#attendees.values()) if (this.#standing.has(one.fingerprint)) one.deliver(bytes);
  }

  /** A member's checkpoint that goes beyond the log, or tells of another, shows that this log is not the one it was. */
  async #compare(theirs: Checkpoint): Promise<void> {
    const key = await this.#tools.serverKey(theirs.from);
    if (!key || !isCheckpointSigned(this.origin, theirs, key)) return; // nothing that this server ever said
    const signed = theirs.size > this.#durable.size ? undefined : await this.#heads.rootAt(theirs.size);
    if (signed === theirs.root || this.#isForked) return;
    await this.#tools.store.markForked(this.origin, this.#tools.now());
    this.#isForked = true;
    const what =
      `a member holds a checkpoint of ${theirs.size} lines that this log of ${this.#durable.size} doesn't extend`;
    this.#tools.alarm(`${what}: ${READ_ONLY}`, this.name);
  }

  /** The operator has closed the log: what stands in it gets its last head, and everybody who is here is told. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.settled();
    await this.#heads.make().catch(() => {}); // the store keeps the lines, with a head or without
    for (const one of this.#attendees.values()) one.answer({ type: "closed", room: this.name, reason: CLOSED });
    this.#attendees.clear();
  }

  // Posting.

  /** Takes a line, or refuses it. What is thrown refuses it; `sig-fail` ends the session. */
  async post(post: PostFields, from: Attendee, id: Json | undefined): Promise<void> {
    if (this.#attendees.get(from.fingerprint) !== from) {
      throw new ProtocolError("not-member", "Join the room before you post.");
    }
    if (this.#isBroken) throw broken(); // which seqno is next, nobody knows
    const { seqno, ts, ct, sig: signature } = post;
    if (!from.verifying.verify(signature, messageInput(seqno, ts, ct))) {
      throw new ProtocolError("sig-fail", "The line's signature doesn't verify with the author's certificate.");
    }
    const line = encodeLine({ seqno, ts, body: ct, signature, signer: from.fingerprint });
    if (seqno < this.#author(from.fingerprint).nextSeqno) return await this.#postAgain(line, seqno, from, id);
    const envelope = this.#openPost(post);
    const { size } = envelope.seen;
    const signed = await this.#heads.rootAt(size) ?? NEVER_SIGNED;
    if (headFault(envelope, { index: this.#frontier.size, rootAt: () => signed })) {
      throw new ProtocolError("bad-envelope", "`seen` is no head that this server has signed.");
    }
    if (envelope.statement?.kind === "redact") await this.#checkRedaction(envelope.statement.index, from);
    this.#commit({ post, line, envelope, from, id });
  }

  #author(fingerprint: string): Author {
    return this.#authors.get(fingerprint) ?? { nextSeqno: 0, ts: 0, seenSize: 0 };
  }

  /** A line that was accepted before is answered as it was then; another in its place is refused. */
  async #postAgain(line: string, seqno: number, from: Attendee, id: Json | undefined): Promise<void> {
    const { store } = this.#tools;
    const waiting = this.#waiting.find((one) => one.from.fingerprint === from.fingerprint && one.line.seqno === seqno);
    if (waiting?.line.line === line) return; // its answer is on the way
    const held = waiting?.line ?? await store.lineBy(this.origin, from.fingerprint, seqno);
    if (held?.line !== line) throw new ProtocolError("replay", "Another line of yours has this seqno.");
    from.deliver(this.#posted(held));
    void id; // `posted` never carries one
  }

  /** The envelope, once R, C, H and its room hold. Throws `bad-envelope` or `old-epoch`. */
  #openPost({ epoch, ct, body }: PostFields): Envelope {
    const key = this.#epochs.keyForPost(epoch);
    if (!key) throw oldEpoch();
    const plaintext = decrypt(key, body);
    if (!plaintext || hashFaults(ct, { log: this.#log, words: plaintext, body }).length > 0) {
      throw new ProtocolError("bad-envelope", "The line is not the hash of its log, its envelope and its body.");
    }
    const envelope = parseEnvelope(plaintext);
    if (roomFault(envelope, this.name)) throw new ProtocolError("bad-envelope", "The envelope names another room.");
    return envelope;
  }

  async #checkRedaction(index: number, from: Attendee): Promise<void> {
    const [target] = await this.#tools.store.linesFrom(this.origin, index, 1);
    const kind = target && this.#openStored(target)?.kind;
    const isTheirs = target?.index === index &&
      mayErase(from.fingerprint, { author: target.author, isLasting: isLastingKind(kind) });
    if (!isTheirs) {
      throw new ProtocolError("forbidden", "Only words of one's own can be erased.");
    }
    if (target.body === null) throw new ProtocolError("forbidden", "That line is erased already.");
  }

  /** Gives a line its place. No await: what is checked here still holds when the index is made. */
  #commit(placing: { post: PostFields; line: string; envelope: Envelope; from: Attendee; id: Json | undefined }): void {
    const { post, line, envelope, from, id } = placing;
    const { statement, seen } = envelope;
    const author = this.#author(from.fingerprint);
    const now = this.#tools.now();
    if (this.#attendees.get(from.fingerprint) !== from) {
      throw new ProtocolError("not-member", "A newer session of this certificate has come into the room.");
    }
    if (this.#isForked) throw readOnly();
    if (now >= this.#tools.signer().ends) throw new ProtocolError("server-error", NOT_GOOD); // no head could cover it
    if (this.#isBroken) throw broken();
    if (!this.#epochs.keyForPost(post.epoch)) throw oldEpoch();
    if (this.#waiting.length >= MAX_WAITING) {
      throw new ProtocolError("server-error", "The server has too much to write.");
    }
    const order = orderFaults(post, { next: author.nextSeqno, ts: author.ts });
    if (order.some(({ rule }) => rule === "seqno")) {
      throw new ProtocolError("replay", `The line's seqno must be ${author.nextSeqno}, the author's next.`);
    }
    this.#tools.clock?.witness(usernameKey(from.username), post.ts); // before it is refused: the clock may be wrong
    if (order.length > 0 || post.ts > (this.#tools.clock?.latest() ?? now) + MAX_CLOCK_DIFFERENCE) {
      throw new ProtocolError("stale", "The line's time is ahead of the server's, or before the author's last.", {
        now,
      });
    }
    if (riseFault(envelope, author.seenSize)) {
      throw new ProtocolError("bad-envelope", "`seen` is smaller than in the author's line before.");
    }
    if (statement?.kind === "join" && statement.username !== from.username) {
      throw new ProtocolError("forbidden", "A join line must say the account's own name.");
    }
    const act = { author: from.fingerprint, username: from.username, statement };
    const objection = this.#state.objection(act, Math.floor(now / 1000));
    if (objection) throw new ProtocolError(objection, OBJECTIONS[objection]);
    const erased = statement?.kind === "redact" ? statement.index : undefined;
    if (this.#state.isIdle(act, Math.floor(now / 1000)) || (erased !== undefined && this.#erasing.has(erased))) {
      throw new ProtocolError("forbidden", "That line would change nothing: it is so already.");
    }

    const index = this.#frontier.size;
    const stored: StoredLine = {
      index,
      author: from.fingerprint,
      seqno: post.seqno,
      ts: post.ts,
      epoch: post.epoch,
      seenSize: seen.size,
      isAct: statement !== undefined && !WORDS.has(statement.kind),
      line,
      body: post.body,
      acceptedAt: now,
    };
    const nodes = this.#frontier.append(leafHash(encodeUtf8(line)));
    this.#authors.set(from.fingerprint, { nextSeqno: post.seqno + 1, ts: post.ts, seenSize: seen.size });
    this.#apply(act, post.epoch);
    this.#epochs.use(post.epoch);
    if (erased !== undefined) this.#erasing.add(erased);
    const state = this.#stateDue(index + 1);
    this.#waiting.push({ line: stored, nodes, posted: this.#posted(stored), act, from, id, state });
    this.#committing ??= this.#commitAll();
  }

  /** As long as every turn brings more lines, more are coming: a round costs about the same, whatever is in it. */
  async #gather(): Promise<void> {
    for (let count = 0; this.#waiting.length > count && count < MAX_ROUND;) {
      count = this.#waiting.length;
      await this.#tools.turn();
    }
  }

  async #commitAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      await this.#gather();
      const round = this.#round(); // they stay in the list until they are told of
      try {
        await this.#write(round);
      } catch (error) {
        this.#forget(error);
        await this.#reload();
        continue;
      }
      for (const { act: { statement } } of this.#waiting.splice(0, round.length)) {
        if (statement?.kind === "redact") this.#erasing.delete(statement.index);
      }
      for (const { from } of round) from.placed?.();
      this.#publish(round);
    }
    this.#committing = undefined;
  }

  /** What waits, as far as it is one transaction, and one piece of what may be queued for a member. */
  #round(): Placed[] {
    let [count, size] = [0, 0];
    for (const { posted } of this.#waiting) {
      if (count === MAX_ROUND || size >= PIECE_BYTES) break;
      count += 1;
      size += posted.length;
    }
    return this.#waiting.slice(0, count);
  }

  /** Writes lines with what follows from them. */
  async #write(round: readonly Placed[]): Promise<void> {
    const [erased, uninvited]: [number[], string[]] = [[], []];
    let isAnyoneOut = false;
    for (const { act } of round) {
      if (act.statement?.kind === "redact") erased.push(act.statement.index);
      if (act.statement?.kind === "join") uninvited.push(act.username);
      const out = putOut(act);
      if (out === undefined) continue;
      uninvited.push(out);
      isAnyoneOut = true;
    }
    const state = round.findLast((one) => one.state)?.state;
    const append = (epoch?: StoredEpoch) =>
      this.#tools.store.appendLines(
        this.origin,
        round.map(({ line }) => line),
        round.flatMap(({ nodes }) => nodes),
        { erased, uninvited, ...epoch ? { epoch } : {}, ...state ? { state } : {} },
      );
    if (isAnyoneOut) await this.#epochs.begin(append);
    else await append();
  }

  /** Nobody was told of these lines: whether they stand, the store has to say. */
  #forget(error: unknown): void {
    this.#isBroken = true;
    const refusal = new ProtocolError("server-error", "The server can't keep lines now; they stay unsent.");
    for (const { from, id } of this.#waiting.splice(0)) from.refuse(refusal, id);
    this.#tools.alarm(`lines could not be stored: ${messageOf(error)}`, this.name);
  }

  /** Reads what the store holds, as soon as it can be read, and tells of lines that stand there all the same. */
  async #reload(): Promise<void> {
    let missed: readonly Told[];
    try {
      const acts = await this.#load();
      const from = this.#durable.size;
      missed = (await this.#tools.store.linesFrom(this.origin, from, this.#frontier.size - from)).map((line) => ({
        nodes: [{ level: 0, index: line.index, hash: leafHash(encodeUtf8(line.line)) }],
        posted: this.#posted(line),
        act: acts.get(line.index) ?? { author: line.author, username: "", statement: undefined },
      }));
    } catch {
      if (!this.#isClosed) this.#tools.later(RETRY_AFTER, () => void this.#reload());
      return;
    }
    this.#isBroken = false;
    this.#publish(missed);
  }

  /** Tells of durable lines. No await: the order of the lines is the order in which they are told. */
  #publish(round: readonly Told[]): void {
    let lines: Bytes[] = [];
    const tell = () => {
      if (lines.length > 0) this.#tell(concat(...lines));
      lines = [];
    };
    for (const { nodes: [leaf], posted, act } of round) {
      if (leaf) this.#durable.append(leaf.hash);
      if (act.statement?.kind === "join") {
        tell();
        this.#stand(act); // the newcomer's first line is the own one
      }
      lines.push(posted);
      if (putOut(act) === undefined) continue;
      tell();
      this.#stand(act); // who is put out was told of it, and is told of no other
    }
    tell();
    this.#giveKey();
    for (const { act } of round) this.#follow(act);
    this.#heads.due();
  }

  /** What others than its readers are told of a durable line. */
  #follow(act: RoomAct): void {
    const { statement, username } = act;
    const { invite } = this.#tools;
    if (statement?.kind === "join") {
      this.#tellPresence(username);
      const other = partners(this.name)?.find((name) => name !== usernameKey(username));
      if (other !== undefined && !this.#state.isMember(other)) invite(this.name, other, username);
    }
    if (statement?.kind === "invite" && !this.#state.isMember(statement.username)) {
      const isOver = this.#state.objectionToJoining(statement.username, this.#seconds()) !== undefined;
      if (!isOver) invite(this.name, statement.username, username);
    }
    const out = putOut(act);
    if (out !== undefined) this.#tellPresence(out);
  }

  #posted({ index, epoch, line, body }: StoredLine): Bytes {
    return encodePosted({ room: this.name, index, epoch, line, body });
  }

  // Keys.

  /** Takes the certificates that are revoked out of those that get the lines, and their keys out of use. */
  async dropRevoked(): Promise<void> {
    const revoked = await this.#tools.revoked([...this.#standing.keys()]);
    const dropped = revoked.flatMap((device): [string, string][] => {
      const username = this.#standing.get(device);
      return username !== undefined && this.#standing.delete(device) ? [[device, username]] : [];
    });
    const news = dropped.map(([device]) => `${this.origin} ${device}`).filter((one) => !this.#tools.dropped.has(one));
    if (news.length === 0) return;
    try {
      await this.#rekey();
      for (const one of news) this.#tools.dropped.add(one);
    } catch (error) {
      for (const [device, username] of dropped) this.#standing.set(device, username); // to be dropped another time
      throw error;
    }
  }

  /** A new key for who is in the room now, so that who is not can't read what comes. */
  async #rekey(): Promise<void> {
    await this.#epochs.begin();
    this.#giveKey();
  }

  /** Gives the newest key to who is here, where another epoch has begun. */
  #giveKey(): void {
    const epoch = this.#epochs.current;
    if (epoch === this.#given) return;
    this.#given = epoch;
    for (const one of this.#attendees.values()) {
      if (!this.#standing.has(one.fingerprint)) continue;
      one.answer({ type: "epoch", room: this.name, epoch, payload: this.#sealKey(one, epoch) });
    }
  }

  /** Base64 of what one session alone can open. */
  #sealKey(attendee: Attendee, epoch: number): string {
    const key = this.#epochs.key(epoch) ?? new Uint8Array(BLOCK_SIZE);
    return encodeBase64(attendee.seal({ epoch, key: encodeBase64(key) }));
  }

  #seconds(): number {
    return Math.floor(this.#tools.now() / 1000);
  }

  // Reading.

  /** A page of lines, then where the next begins. */
  async history(
    attendee: Attendee,
    { from, count }: { from: number; count: number },
    id: Json | undefined,
  ): Promise<void> {
    this.requireJoined(attendee);
    const { store } = this.#tools;
    const first = Math.max(from, (await this.#begins(attendee)).index);
    const end = Math.min(first + Math.min(count, MAX_PAGE), this.#durable.size);
    let [next, left] = [first, PAGE_BYTES];
    while (next < end && left > 0) {
      const frames: Bytes[] = [];
      let size = 0;
      for (const line of await store.linesFrom(this.origin, next, Math.min(PIECE_LINES, end - next))) {
        const posted = this.#posted(line);
        frames.push(posted);
        size += posted.length;
        if (size >= PIECE_BYTES) break;
      }
      attendee.deliver(concat(...frames));
      await attendee.drained();
      next += frames.length;
      left -= size;
    }
    attendee.answer({ type: "history_end", room: this.name, next }, id);
  }

  /**
   * Where a room begins for somebody, where newcomers don't see what was before: with the first join line of any of the
   * account's certificates, since one that was renewed is the same person's.
   */
  async #begins({ fingerprint, username }: Attendee): Promise<Pick<StoredLine, "index" | "epoch">> {
    if (this.#room.history === "all") return { index: 0, epoch: 0 };
    let begin: Pick<StoredLine, "index" | "epoch"> = { index: this.#durable.size, epoch: this.#epochs.current };
    for (const device of [fingerprint, ...this.#state.devicesOf(username)]) {
      const first = await this.#tools.store.lineBy(this.origin, device, 0);
      if (first && first.index < begin.index) begin = first;
    }
    return begin;
  }

  /** A page of the epochs' keys. */
  async keys(attendee: Attendee, from: number, id: Json | undefined): Promise<void> {
    this.requireJoined(attendee);
    const { epoch } = await this.#begins(attendee);
    this.requireJoined(attendee); // still
    const epochs = this.#epochs.from(Math.max(from, epoch));
    const page = epochs.slice(0, KEYS_IN_PAGE);
    attendee.answer({
      type: "keys",
      room: this.name,
      keys: page.map((epoch) => this.#sealKey(attendee, epoch)),
      next: epochs[page.length] ?? null,
    }, id);
  }

  /** The newest checkpoint. */
  checkpoint(attendee: Attendee, id: Json | undefined): void {
    this.requireJoined(attendee);
    const { newest } = this.#heads;
    if (!newest) throw new ProtocolError("no-room", "The room has no checkpoint yet.");
    attendee.answer({ type: "checkpoint", room: this.name, ...encodeCheckpoint(newest) }, id);
  }

  /** The last checkpoint up to a time, in unix seconds: for who has to judge what was said by then. */
  async earlierCheckpoint(attendee: Attendee, by: number, id: Json | undefined): Promise<void> {
    this.requireJoined(attendee);
    const found = await this.#tools.store.latestCheckpoint(this.origin, by);
    if (!found) throw new ProtocolError("no-room", "The room had no checkpoint by then.");
    attendee.answer({ type: "earlier_checkpoint", room: this.name, ...encodeCheckpoint(found) }, id);
  }

  /** Reads nodes of the tree of what is durable. */
  readonly nodes = (places: readonly NodePlace[]): Promise<readonly Bytes[]> =>
    this.#tools.store.nodes(this.origin, places);

  /** How many lines are durable. */
  get size(): number {
    return this.#durable.size;
  }

  /** Throws `not-member` unless this session's join line stands in the log. */
  requireJoined(attendee: Attendee): void {
    if (this.#isBroken) throw broken();
    const isIn = this.#attendees.get(attendee.fingerprint) === attendee && this.#standing.has(attendee.fingerprint);
    if (!isIn) throw new ProtocolError("not-member", "Join the room first, with a join line that stands in its log.");
  }

  /** Whether the store has all that there is to have: what is in memory follows from it. */
  get isSettled(): boolean {
    return !this.#committing && !this.#isBroken && !this.#heads.isDue;
  }

  /** The clock is right again: what stands without a head gets one. */
  makeHead(): void {
    if ((this.#heads.newest?.size ?? 0) < this.#durable.size) this.#heads.due();
  }

  /** Resolves when every line that was placed is told of or refused. */
  async settled(): Promise<void> {
    while (this.#committing) await this.#committing;
    await this.#heads.settled();
  }
}

const OBJECTIONS = {
  "forbidden": "Your role in this room does not allow that.",
  "muted": "You are muted in this room.",
  "not-member": "You are not in this room.",
} as const;

/** What the operator reads of a log that is forked. */
const READ_ONLY = "the room is read-only until the log is closed with: securechat room close";

/** What members read of one that was closed. */
const CLOSED = "The server's operator has closed this room's log: it takes no more lines, and stays good as evidence.";

/** In place of the root at a size for which no head was signed: no root equals it. */
const NEVER_SIGNED = "";

function broken(): ProtocolError {
  return new ProtocolError("server-error", "The server can't keep lines now; try again in a moment.");
}

function oldEpoch(): ProtocolError {
  return new ProtocolError("old-epoch", "The line is under a key that is no longer used: ask for the room's keys.");
}

function readOnly(): ProtocolError {
  return new ProtocolError(
    "server-error",
    "This room is read-only: the server has lost lines of it that members hold. Its operator has to close the log; " +
      "then a new one can begin.",
  );
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Lines that change nothing about who may do what. */
const WORDS: ReadonlySet<string> = new Set(["text", "head", "redact", "device"]);

/** Whom a line puts out of the room, if anybody. */
function putOut({ username, statement }: RoomAct): string | undefined {
  if (statement?.kind === "part") return username;
  if (statement?.kind === "kick") return statement.username;
  return statement?.kind === "ban" && statement.until !== 0 ? statement.username : undefined;
}
