/**
 * Gives the lines that a server sends their places in a room's log, and checks at once everything that needs no
 * certificate (docs/PROTOCOL.md, "A line").
 *
 *     order.take(posted)                 a line, in whatever order lines come
 *     order.drain() → [{ index, … }]     the lines that have their place now, in the order of the log
 *
 * A line gets its place when all lines before it have theirs and the key of its epoch is here. Then its hashes R, C and
 * H, its room, its seqno, its time and the head that it names must follow the rules (`log_rules.ts`); if one doesn't, the
 * server is caught. Who the author is, and whether they signed it, is checked later, by `client_line_monitor.ts`.
 *
 * @layer chat
 */

import { decrypt } from "./aes_cbc.ts";
import { type Bytes, encodeHex, encodeUtf8 } from "./bytes.ts";
import type { Lie } from "./client_event.ts";
import type { KnownLog, Placed } from "./client_known_log.ts";
import type { KeptLine } from "./client_store.ts";
import { ProtocolError } from "./errors.ts";
import { type Envelope, parseEnvelope } from "./log_envelope.ts";
import type { PostedFields } from "./log_frames.ts";
import {
  hashFaults,
  headFault,
  isLastingKind,
  orderFaults,
  riseFault,
  roomFault,
  type RuleFault,
} from "./log_rules.ts";
import { leafHash } from "./log_tree.ts";
import { encodeLine, parseLine, type TranscriptLine } from "./transcript.ts";

/** The most lines that wait for those before them. Later ones are dropped: history brings them again. */
const MAX_AHEAD = 4_096;

/** The order of one room's lines. */
export class LineOrder {
  readonly #log: KnownLog;
  readonly #keys = new Map<number, Bytes>();
  #newestEpoch = 0;
  /** Lines that wait for their turn, or for their key. */
  readonly #ahead = new Map<number, PostedFields>();
  /** The leaf hashes, in hex, of lines of this client's that the server has refused. */
  readonly #refused = new Set<string>();

  constructor(log: KnownLog) {
    this.#log = log;
  }

  // Keys.

  /** A key of the room. */
  takeKey(epoch: number, key: Bytes): void {
    this.#keys.set(epoch, key.slice()); // a copy, so that the frame around it can be freed
    this.#newestEpoch = Math.max(this.#newestEpoch, epoch);
  }

  /** The newest epoch whose key is known. */
  get epoch(): { readonly epoch: number; readonly key: Bytes } | undefined {
    const epoch = this.#newestEpoch;
    const key = this.#keys.get(epoch);
    return key && { epoch, key };
  }

  // Lines.

  /** A line that the server sends. One that was there before must be the same line. */
  take(posted: PostedFields): void {
    const { tree } = this.#log;
    if (tree && posted.index < tree.size) return this.#compare(posted);
    const isDue = posted.index === this.#log.size;
    if (isDue || this.#ahead.size < MAX_AHEAD) this.#ahead.set(posted.index, posted);
  }

  /** Whether the next line is here and its key is not. */
  get lacksKey(): boolean {
    return this.#log.tree !== undefined && this.#ahead.has(this.#log.size);
  }

  /** Whether lines are here, and others before them are not. */
  get hasGap(): boolean {
    return this.#ahead.size > 0 && !this.#ahead.has(this.#log.size);
  }

  /** Whether lines wait here. */
  get isWaiting(): boolean {
    return this.#ahead.size > 0;
  }

  /** Forgets the lines before that index, which this client isn't shown. */
  beginAt(index: number): void {
    for (const early of this.#ahead.keys()) if (early < index) this.#ahead.delete(early);
  }

  /** Nothing that waits is taken any more. */
  stop(): void {
    this.#ahead.clear();
  }

  /**
   * Gives the lines whose turn it is their places. `hasAllKeys`: the server has given every key that it gives, so a line
   * without one is placed without its words.
   */
  drain(hasAllKeys: boolean): Placed[] {
    const all: Placed[] = [];
    for (let next = this.#next(hasAllKeys); next && !this.#log.lie; next = this.#next(hasAllKeys)) {
      this.#ahead.delete(next.index);
      all.push(this.#open(next));
    }
    return all;
  }

  #next(hasAllKeys: boolean): PostedFields | undefined {
    const next = this.#log.tree && this.#ahead.get(this.#log.size);
    const isReady = next && (next.body === null || hasAllKeys || this.#keys.has(next.epoch));
    return isReady ? next : undefined;
  }

  /** Decrypts a line's words, and gives it its place. */
  #open(posted: PostedFields): Placed {
    const { index, epoch, body } = posted;
    const line = lineOf(posted);
    const key = this.#keys.get(epoch);
    const [uncarried] = body ? hashFaults(line.body, { body }) : [];
    const bytes = body && key && !uncarried ? decrypt(key, body) : undefined;
    const placed = this.#place(index, line, encodeLine(line), bytes ?? null);
    if (uncarried) this.#deny(placed, uncarried);
    else if (body && key && !bytes) {
      this.#log.denyLine(placed, "changed line", "its body can't be decrypted with the room's key");
    } else if (body && !key) placed.bad = "The server gives no key for it.";
    return placed;
  }

  /** Gives a line of the disk its place; `undefined` if it is none. */
  restore({ line: text, envelope }: KeptLine): Placed | undefined {
    const line = this.#log.tree && parseLine(text);
    return line ? this.#place(this.#log.size, line, text, envelope) : undefined;
  }

  #place(index: number, line: TranscriptLine, text: string, bytes: Bytes | null): Placed {
    const log = this.#log;
    const author = log.author(line.signer);
    const [unopened] = bytes ? hashFaults(line.body, { words: bytes }) : [];
    const { envelope, bad } = readEnvelope(unopened ? null : bytes);
    const placed: Placed = { index, line, text, author, envelope, bytes, bad, counts: false };
    if (envelope?.statement?.kind === "join") author.claimed = envelope.statement.username;
    const leaf = leafHash(encodeUtf8(text));
    log.append(leaf, author);
    if (this.#refused.size > 0 && this.#refused.has(encodeHex(leaf))) {
      log.denyLine(placed, "refused line", "the server had refused it, and told its author so");
      return placed;
    }
    const [misplaced] = [...hashFaults(line.body, { log: log.hash }), ...orderFaults(line, author)];
    if (misplaced) return this.#deny(placed, misplaced);
    author.next = line.seqno + 1;
    author.ts = line.ts;
    if (unopened) return this.#deny(placed, unopened);
    if (envelope && bad === undefined) this.#takeSeen(placed, envelope);
    return placed;
  }

  /** Compares the room and the head that a line names with what this client was shown. */
  #takeSeen(placed: Placed, envelope: Envelope): void {
    const { index, author } = placed;
    const { room, tree, lasting } = this.#log;
    const fault = roomFault(envelope, room) ?? riseFault(envelope, author.seen.size) ??
      headFault(envelope, { index, rootAt: (size) => tree?.rootAt(size) });
    if (fault) return void this.#deny(placed, fault);
    author.seen = envelope.seen;
    if (isLastingKind(envelope.kind)) lasting.add(index);
  }

  /** The server shows a line that breaks a rule: it is caught. */
  #deny(placed: Placed, fault: RuleFault): Placed {
    this.#log.denyLine(placed, ...lieOf(fault, placed));
    return placed;
  }

  /** A line that was there before is the same, or the server is caught. */
  #compare(posted: PostedFields): void {
    const leaf = this.#log.tree?.leaf(posted.index);
    const again = leafHash(encodeUtf8(encodeLine(lineOf(posted))));
    if (leaf && encodeHex(leaf) !== encodeHex(again)) {
      this.#log.deny("changed line", `Line ${posted.index} is not the one that the server showed before.`);
    }
  }

  // Refusals.

  /** Whether a line with that leaf hash was refused. */
  hasRefused(leaf: string): boolean {
    return this.#refused.has(leaf);
  }

  /** The server has refused a line with that leaf hash: it may not stand. False if that was known. */
  refuse(leaf: string): boolean {
    if (this.#refused.has(leaf)) return false;
    this.#refused.add(leaf);
    return true;
  }
}

function lineOf({ seqno, ts, ct, sig, from }: PostedFields): TranscriptLine {
  return { seqno, ts, body: ct, signature: sig, signer: from };
}

/** At which lie the server is caught by a line that breaks a rule, and the reason. */
function lieOf(fault: RuleFault, { line, envelope }: Pick<Placed, "line" | "envelope">): [Lie, string] {
  switch (fault.rule) {
    case "log":
      return ["replayed line", "it was written for another room or log"];
    case "words":
      return ["changed line", "its words are not those that its author signed"];
    case "body":
      return ["changed line", "its body is not the one that its author signed"];
    case "seqno": {
      const where = `its author's line ${line.seqno} stands where line ${fault.due} is due`;
      return ["wrong order", `${where}: one was dropped, or two were swapped`];
    }
    case "time":
      return ["wrong order", "its time is before that of its author's line before"];
    case "room":
      return ["replayed line", "it was written for another room"];
    case "seen too much":
      return ["wrong head", "it had seen lines that were not there"];
    case "seen less":
      return ["wrong order", "it had seen less than its author's line before"];
    case "seen another log":
      return ["fork", `its author was shown another log of ${envelope?.seen.size} lines`];
  }
}

/** What an envelope says, or why it is not good. */
export function readEnvelope(bytes: Bytes | null): { envelope: Envelope | undefined; bad: string | undefined } {
  if (!bytes) return { envelope: undefined, bad: undefined };
  try {
    return { envelope: parseEnvelope(bytes), bad: undefined };
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    return { envelope: undefined, bad: error.message };
  }
}
