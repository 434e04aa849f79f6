/**
 * What the server answers to those who follow its log (docs/PROTOCOL.md, "Following the server's log"): ticks, where
 * they register a room, notes and tokens. An answer fits into a frame; where to go on stands in it as `next`.
 *
 * @layer chat
 */

import { type Bytes, parseUtf8 } from "./bytes.ts";
import { ProtocolError } from "./errors.ts";
import type { LogAnswer, LogRequest, SentHead, SentTick, SentToken } from "./log_follow_frames.ts";
import { MAX_TICK_HEADS } from "./log_tick.ts";
import { inclusionProof, leafHash } from "./log_tree.ts";
import { LogTree } from "./log_whole_tree.ts";
import { noLog, type ServerLog, TOKENS_NAMED } from "./server_log.ts";
import type { LogStore } from "./server_log_store.ts";

/** The ticks of one answer, in base64: 48 KiB. */
const MAX_TICKS_BYTES = 49_152;
/** Ticks that are read at once. */
const TICKS_READ = 128;
/** Registered heads of one answer. */
const HEADS_PAGE = 25;

/** The certificates of one answer: 24 KiB. */
const MAX_CHAIN_BYTES = 24_576;
/** Ticks whose trees of heads are at hand: many members ask about the same one. */
const TREES_KEPT = 8;

/** Answers for one log. */
export class LogAnswers {
  readonly #log: ServerLog;
  readonly #store: LogStore;
  readonly #trees = new Map<number, Promise<LogTree>>();

  readonly #shown: (note: string) => Promise<void>;

  /** `shown`: a member shows the newest note that they hold; it may be newer than what the database has. */
  constructor(log: ServerLog, store: LogStore, shown: (note: string) => Promise<void> = () => Promise.resolve()) {
    this.#shown = shown;
    this.#log = log;
    this.#store = store;
  }

  /**
   * The answer to a request; what is thrown refuses it. `originOf` gives the origin of a room in which the asker has a
   * standing join line, and throws if there is none.
   */
  async answer(request: LogRequest, originOf: (room: string) => Promise<string>): Promise<LogAnswer> {
    if (request.type === "log" && request.note !== undefined) await this.#shown(request.note);
    if (this.#log.origin === undefined) throw noLog();
    switch (request.type) {
      case "log":
        return { type: "log", ...await this.#log.summary() };
      case "log_ticks":
        return await this.#ticks(request.from, request.tags);
      case "log_heads":
        return await this.#heads(request.room, await originOf(request.room), request.from);
      case "log_note":
        return await this.#note(request.size);
      case "log_tokens":
        return await this.#tokens(request.from);
    }
  }

  get #id(): number {
    return this.#log.state.id;
  }

  async #ticks(from: number, withTags: boolean): Promise<LogAnswer> {
    // Whoever holds more than this node knows was told by another node.
    if (from > (this.#log.newestClosed?.size ?? 0)) await this.#log.readClosed();
    const size = this.#log.newestClosed?.size ?? 0;
    if (from > size) throw new ProtocolError("forbidden", `The log has ${size} ticks.`);
    const ticks: SentTick[] = [];
    let bytes = 0;
    for (const { tick, tags } of await this.#store.ticks(this.#id, from, Math.min(TICKS_READ, size - from))) {
      const sent = { tick, tags: withTags && tags.length > 0 ? tags : null };
      bytes += Math.ceil((tick.length + (sent.tags?.length ?? 0)) * 4 / 3) + 32;
      if (bytes > MAX_TICKS_BYTES && ticks.length > 0) break;
      ticks.push(sent);
    }
    const end = from + ticks.length;
    return { type: "log_ticks", from, ticks, next: end < size ? end : null, size };
  }

  async #heads(room: string, origin: string, from: number): Promise<LogAnswer> {
    const found = await this.#store.registrations(this.#id, origin, from, HEADS_PAGE + 1);
    const heads: SentHead[] = [];
    for (const { tick, place, checkpoint } of found.slice(0, HEADS_PAGE)) {
      const tree = await this.#headTree(tick);
      heads.push({ tick, checkpoint, path: await inclusionProof(place, tree.size, tree.read) });
    }
    return { type: "log_heads", room, heads, next: found[HEADS_PAGE]?.tick ?? null };
  }

  /** The tree over the heads of a tick, which never changes. */
  #headTree(tick: number): Promise<LogTree> {
    const known = this.#trees.get(tick) ?? this.#readTree(tick);
    this.#trees.delete(tick);
    this.#trees.set(tick, known);
    const [oldest] = this.#trees.keys();
    if (this.#trees.size > TREES_KEPT && oldest !== undefined) this.#trees.delete(oldest);
    known.catch(() => this.#trees.delete(tick));
    return known;
  }

  async #readTree(tick: number): Promise<LogTree> {
    const tree = new LogTree();
    const hashes: readonly Bytes[] = await this.#store.headHashes(this.#id, tick);
    if (hashes.length > MAX_TICK_HEADS) throw new RangeError(`a tick registers ${MAX_TICK_HEADS} rooms at most`);
    for (const hash of hashes) tree.append(leafHash(hash));
    return tree;
  }

  async #note(size: number): Promise<LogAnswer> {
    const note = await this.#store.closedNote(this.#id, size);
    if (!note) throw new ProtocolError("no-room", "The log has no closed note of that size yet.");
    return { type: "log_note", size: note.size, note: parseUtf8(note.note) ?? "" };
  }

  async #tokens(from: number): Promise<LogAnswer> {
    const found = await this.#store.tokens(this.#id, from, TOKENS_NAMED + 1);
    // A page ends between two ticks: a tick names no more tokens than a page has.
    const further = found[TOKENS_NAMED]?.tick;
    const tokens: readonly SentToken[] = found
      .filter(({ tick }) => tick !== further)
      .map(({ tick, size, token }) => ({ tick, size, token }));
    return { type: "log_tokens", tokens, chain: await this.#chain(), next: further ?? null };
  }

  async #chain(): Promise<string> {
    let chain = "";
    for (const pem of await this.#store.tokenCertificates()) {
      if (chain.length + pem.length <= MAX_CHAIN_BYTES) chain += pem;
    }
    return chain;
  }
}
