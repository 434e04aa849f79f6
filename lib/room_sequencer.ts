/**
 * The one place in which a room's lines are put in order and made durable (docs/PROTOCOL.md, "Posting").
 *
 *     post → its signature, words and hashes (`room_post.ts`)
 *          → the heads that it names: `seen` (`room_heads.ts`), and perhaps one of the server's log
 *          → its place in the log, without waiting for anything (`room_placed.ts`)
 *          → a round: one transaction for all lines that came meanwhile (`room_rounds.ts`)
 *          → the durable log (`room_durable.ts`), the audience (`room_audience.ts`), a head (`room_heads.ts`)
 *
 * A line that is refused leaves the log, the sequence and the state as they were. What follows from a line (a body is
 * erased, another key begins) is written in the same transaction as the line.
 *
 * If the store fails, the sequencer refuses with `server-error` what it had placed, and is broken until it has read what
 * the store holds; then it tells of the lines that turn out to be there.
 *
 * @layer chat
 */

import { type Bytes, encodeUtf8 } from "./bytes.ts";
import { messageOf, ProtocolError } from "./errors.ts";
import { encodeFrame } from "./frame.ts";
import type { Json } from "./json.ts";
import { encodeCheckpoint } from "./log_checkpoint.ts";
import type { Envelope } from "./log_envelope.ts";
import { logHash } from "./log_line.ts";
import type { PostFields } from "./log_requests.ts";
import type { RoomAct } from "./log_roles.ts";
import { headFault } from "./log_rules.ts";
import { leafHash } from "./log_tree.ts";
import { usernameKey } from "./names.ts";
import type { Attendee } from "./room_attendee.ts";
import { removedBy, type RoomAudience, type ToldLine } from "./room_audience.ts";
import type { DurableLog } from "./room_durable.ts";
import type { RoomEpochs } from "./room_epochs.ts";
import { NOT_GOOD, RoomHeads } from "./room_heads.ts";
import { postedFrame } from "./room_history.ts";
import { loadLog } from "./room_loading.ts";
import type { LineCandidate, PlacedLine, PlacedLog } from "./room_placed.ts";
import { checkErasure, oldEpoch, openPost, signedLine } from "./room_post.ts";
import { Rounds } from "./room_rounds.ts";
import type { StoredEpoch, StoredRoom } from "./room_store.ts";
import type { RoomTools } from "./room_tools.ts";

/** How long a store that failed is left alone before it is read again, in milliseconds. */
const READ_AGAIN_AFTER = 1_000;

/** What a sequencer works with. */
export interface SequencerOptions {
  readonly room: StoredRoom;
  readonly tools: RoomTools;
  readonly epochs: RoomEpochs;
  readonly placed: PlacedLog;
  readonly durable: DurableLog;
  readonly audience: RoomAudience;
  /** An act is durable, and its readers were told. */
  readonly stands: (act: RoomAct) => void;
}

/** A line on its way into the store, and who waits for it. */
interface Waiting extends PlacedLine {
  readonly posted: Bytes;
  readonly from: Attendee;
  readonly id: Json | undefined;
}

/** A durable line, as it is told. */
interface DurableLine extends ToldLine {
  readonly leaf: Bytes | undefined;
}

/** Puts a room's lines in order. */
export class RoomSequencer {
  /** The signed heads. */
  readonly heads: RoomHeads;
  readonly #options: SequencerOptions;
  /** R of the log's lines. */
  readonly #log: Bytes;
  readonly #rounds: Rounds<Waiting>;
  /** Whether a write has failed, until the store is read again. */
  #isBroken = false;
  #isStopped = false;

  constructor(options: SequencerOptions) {
    const { room: { name, origin }, tools, placed, durable, audience } = options;
    this.#options = options;
    this.#log = logHash(origin);
    this.heads = new RoomHeads({
      ...{ ...tools, origin },
      head: () => durable.head(),
      latestTs: () => placed.latestTs,
      timeFloor: () => tools.serverLog?.timeFloor ?? 0,
      tell: (checkpoint) => {
        tools.serverLog?.registers(origin, checkpoint);
        audience.tell(encodeFrame({ type: "checkpoint", room: name, ...encodeCheckpoint(checkpoint) }));
      },
      failed: (error) => tools.alarm(`no checkpoint could be stored: ${messageOf(error)}`, name),
    });
    this.#rounds = new Rounds({
      turn: tools.turn,
      write: (round) => this.#write(round),
      written: (round) => this.#written(round),
      failed: (error, dropped) => this.#failed(error, dropped),
    });
  }

  // Loading.

  /** Takes what the store holds, for the first time; the acts among the lines, by their indexes. */
  async load(): Promise<ReadonlyMap<number, RoomAct>> {
    const acts = await this.#load();
    const { durable, placed } = this.#options;
    durable.begin(placed.frontier);
    return acts;
  }

  /** Takes what the store holds; the acts among the lines, by their indexes. */
  async #load(): Promise<ReadonlyMap<number, RoomAct>> {
    const { room, tools, epochs, durable, placed } = this.#options;
    const loaded = await loadLog({ ...tools, room, epochs });
    if (!loaded) throw new ProtocolError("no-room", CLOSED);
    if (loaded.frontier.size < durable.size) throw new Error("lines that were told of are gone");
    durable.restoreFork(loaded.isForked);
    this.heads.restore(loaded.newest);
    placed.restore(loaded);
    return loaded.acts;
  }

  /** Takes what the store holds as soon as it can be read, and tells of the lines that are there after all. */
  async #reload(): Promise<void> {
    const { room, tools, durable, placed } = this.#options;
    let missed: readonly DurableLine[];
    try {
      const acts = await this.#load();
      missed = (await durable.lines(durable.size, placed.size - durable.size)).map((line) => ({
        leaf: leafHash(encodeUtf8(line.line)),
        posted: postedFrame(room.name, line),
        act: acts.get(line.index) ?? { author: line.author, username: "", statement: undefined },
      }));
    } catch {
      if (!this.#isStopped) tools.later(READ_AGAIN_AFTER, () => void this.#reload());
      return;
    }
    this.#isBroken = false;
    this.#publish(missed);
  }

  // Posting.

  /** Takes a line, or refuses it. What is thrown refuses it; `sig-fail` ends the session. */
  async post(post: PostFields, from: Attendee, id: Json | undefined): Promise<void> {
    const { room, epochs, placed, durable, audience } = this.#options;
    if (!audience.isHere(from)) throw new ProtocolError("not-member", "Join the room before you post.");
    this.requireWorking(); // otherwise nobody knows which seqno is next
    const line = signedLine(post, from);
    if (post.seqno < placed.nextSeqnoOf(from.fingerprint)) return await this.#postAgain(line, post.seqno, from);
    const envelope = openPost(post, { room: room.name, log: this.#log, epochs });
    await this.#checkSeen(envelope);
    await this.#checkLog(envelope);
    const { statement } = envelope;
    if (statement?.kind === "redact") {
      const [target] = await durable.lines(statement.index, 1);
      checkErasure(from.fingerprint, target?.index === statement.index ? target : undefined, epochs);
    }
    this.#commit({ post, line, envelope, author: from }, from, id);
  }

  /** A line that was accepted before is answered as it was then; another in its place is refused. */
  async #postAgain(line: string, seqno: number, from: Attendee): Promise<void> {
    const { room: { name, origin }, tools } = this.#options;
    const { fingerprint } = from;
    const waiting = this.#rounds.find((one) => one.from.fingerprint === fingerprint && one.line.seqno === seqno);
    if (waiting?.line.line === line) return; // its answer is on the way
    const held = waiting?.line ?? await tools.store.lineBy(origin, fingerprint, seqno);
    if (held?.line !== line) throw new ProtocolError("replay", "Another line of yours has this seqno.");
    from.deliver(postedFrame(name, held)); // `posted` never carries the id of a request
  }

  /** Throws `bad-envelope` unless the head that the author had seen is one that this server has signed. */
  async #checkSeen(envelope: Envelope): Promise<void> {
    const signed = await this.heads.rootAt(envelope.seen.size) ?? NEVER_SIGNED;
    if (!headFault(envelope, { index: this.#options.placed.size, rootAt: () => signed })) return;
    throw new ProtocolError("bad-envelope", "`seen` is no head that this server has signed.");
  }

  /** Throws `bad-envelope` if the line names a head of the server's log that is none. */
  async #checkLog({ log }: Envelope): Promise<void> {
    const problem = log && await this.#options.tools.serverLog?.problemOf(log);
    if (problem !== undefined) throw new ProtocolError("bad-envelope", problem);
  }

  /** Gives a line its place. No await: what is checked here still holds when the index is made. */
  #commit(candidate: LineCandidate, from: Attendee, id: Json | undefined): void {
    const { room: { name }, tools: { now: clock, clock: serverClock }, placed } = this.#options;
    const now = clock();
    this.#checkOpen(from, candidate.post.epoch, now);
    placed.checkSeqno(candidate);
    serverClock?.witness(usernameKey(from.username), candidate.post.ts); // before it is refused: the clock may be wrong
    placed.check(candidate, { now, latest: serverClock?.latest() ?? now });
    const line = placed.place(candidate, now);
    this.#rounds.add({ ...line, posted: postedFrame(name, line.line), from, id });
  }

  /** Throws unless the room takes a line of this session, under that epoch, at this moment. */
  #checkOpen(from: Attendee, epoch: number, now: number): void {
    const { tools, epochs, durable, audience } = this.#options;
    if (!audience.isHere(from)) {
      throw new ProtocolError("not-member", "A newer session of this certificate has come into the room.");
    }
    if (durable.isForked) throw readOnly();
    if (now >= tools.signer().ends) throw new ProtocolError("server-error", NOT_GOOD); // no head could cover it
    this.requireWorking();
    if (!epochs.keyForPost(epoch)) throw oldEpoch();
    if (this.#rounds.isFull) throw new ProtocolError("server-error", "The server has too much to write.");
  }

  /** Writes lines with what follows from them; if somebody is removed, another epoch begins with them. */
  async #write(round: readonly Waiting[]): Promise<void> {
    const { room: { origin }, tools: { store }, epochs } = this.#options;
    const lines = round.map(({ line }) => line);
    const nodes = round.flatMap(({ nodes }) => nodes);
    const { isAnyoneRemoved, ...consequences } = consequencesOf(round.map(({ act }) => act));
    const state = round.findLast((line) => line.state)?.state;
    const append = (epoch?: StoredEpoch) =>
      store.appendLines(origin, lines, nodes, {
        ...consequences,
        ...epoch ? { epoch } : {},
        ...state ? { state } : {},
      });
    if (isAnyoneRemoved) await epochs.begin(append);
    else await append();
  }

  #written(round: readonly Waiting[]): void {
    this.#options.placed.settle(round);
    for (const { from } of round) from.placed?.();
    this.#publish(round.map(({ nodes: [leaf], ...line }) => ({ leaf: leaf?.hash, ...line })));
  }

  /** Nobody was told of these lines: whether they are there, the store has to say. */
  async #failed(error: unknown, dropped: readonly Waiting[]): Promise<void> {
    this.#isBroken = true;
    const refusal = new ProtocolError("server-error", "The server can't keep lines now; they stay unsent.");
    for (const { from, id } of dropped) from.refuse(refusal, id);
    const { room: { name }, tools: { alarm } } = this.#options;
    alarm(`lines could not be stored: ${messageOf(error)}`, name);
    await this.#reload();
  }

  /** Tells of durable lines. No await: they are told in the order of the log. */
  #publish(lines: readonly DurableLine[]): void {
    const { durable, audience, stands } = this.#options;
    for (const { leaf } of lines) if (leaf) durable.append(leaf);
    audience.publish(lines);
    for (const { act } of lines) stands(act);
    this.heads.due();
  }

  // Working and resting.

  /** Throws `server-error` while a write has failed and the store isn't read again. */
  requireWorking(): void {
    if (!this.#isBroken) return;
    throw new ProtocolError("server-error", "The server can't keep lines now; try again in a moment.");
  }

  /** Writes what waits, signs its head, and reads a store that fails no more: the room is closed. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.settled();
    await this.heads.make().catch(() => {}); // the store keeps the lines, with a head or without
  }

  /** Whether everything is stored: what is in memory follows from the store. */
  get isSettled(): boolean {
    return this.#rounds.isIdle && !this.#isBroken && !this.heads.isDue;
  }

  /** Makes a head of what no head covers; the clock, in doubt until now, is right again. */
  makeHead(): void {
    if ((this.heads.newest?.size ?? 0) < this.#options.durable.size) this.heads.due();
  }

  /** Resolves when every line that was placed is told of or refused. */
  async settled(): Promise<void> {
    await this.#rounds.settled();
    await this.heads.settled();
  }
}

/** What is written in one transaction with lines: erased bodies, and invitations that are over. */
function consequencesOf(acts: readonly RoomAct[]) {
  const erased: number[] = [];
  const uninvited: string[] = [];
  let isAnyoneRemoved = false;
  for (const act of acts) {
    if (act.statement?.kind === "redact") erased.push(act.statement.index);
    if (act.statement?.kind === "join") uninvited.push(act.username);
    const removed = removedBy(act);
    if (removed === undefined) continue;
    uninvited.push(removed);
    isAnyoneRemoved = true;
  }
  return { erased, uninvited, isAnyoneRemoved };
}

/** In place of the root at a size for which no head was signed: no root equals it. */
const NEVER_SIGNED = "";

/** What members read of a log that was closed. */
export const CLOSED =
  "The server's operator has closed this room's log: it takes no more lines, and stays good as evidence.";

/** What a client reads whose line can't be taken, since the log is forked. */
export function readOnly(): ProtocolError {
  return new ProtocolError(
    "server-error",
    "This room is read-only: the server has lost lines of it that members hold. Its operator has to close the log; " +
      "then a new one can begin.",
  );
}
