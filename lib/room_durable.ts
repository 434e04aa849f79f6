/**
 * A room's log as far as it is durable: what the store has and members were told. Lines that only have their places
 * are `room_placed.ts`.
 *
 * A log is forked if a member holds a signed head that the log doesn't extend: its database was restored from a backup.
 * A forked log takes no lines and gets no further heads, since the lost lines may have had another head of the same
 * size. The store remembers the fork, and only closing the log ends it.
 *
 * @layer chat
 */

import { type Bytes, encodeHex } from "./bytes.ts";
import type { Head } from "./log_envelope.ts";
import { Frontier, type NodePlace } from "./log_tree.ts";
import type { StoredLine } from "./room_store.ts";
import type { RoomTools } from "./room_tools.ts";

/** What a durable log works with. */
export type DurableLogOptions = Pick<RoomTools, "store" | "now" | "clock"> & { readonly origin: string };

/** The lines that the store has. */
export class DurableLog {
  readonly #options: DurableLogOptions;
  #frontier = new Frontier();
  #isForked = false;

  constructor(options: DurableLogOptions) {
    this.#options = options;
  }

  /** Takes what the store was found to have. */
  begin({ size, peaks }: Pick<Frontier, "size" | "peaks">): void {
    this.#frontier = new Frontier(size, peaks);
  }

  /** Takes the hash of the next line, which is durable. */
  append(leaf: Bytes): void {
    this.#frontier.append(leaf);
  }

  /** How many lines are durable. */
  get size(): number {
    return this.#frontier.size;
  }

  /** The hashes of the perfect subtrees that make up the tree, left to right. */
  get peaks(): readonly Bytes[] {
    return this.#frontier.peaks;
  }

  /** The head to be signed; `undefined` if none may be: the log is forked, or the clock is doubtful. */
  head(): Head | undefined {
    if (this.#isForked || this.#options.clock?.isDoubtful) return undefined;
    return { size: this.#frontier.size, root: encodeHex(this.#frontier.root()) };
  }

  /** Whether somebody holds a checkpoint that this log doesn't extend. */
  get isForked(): boolean {
    return this.#isForked;
  }

  /** Takes what the store says about that. */
  restoreFork(isForked: boolean): void {
    this.#isForked = isForked;
  }

  /** Notes for good that the log is forked. */
  async markForked(): Promise<void> {
    const { store, origin, now } = this.#options;
    await store.markForked(origin, now());
    this.#isForked = true;
  }

  /** Lines from an index on. */
  async lines(from: number, count: number): Promise<readonly StoredLine[]> {
    return await this.#options.store.linesFrom(this.#options.origin, from, count);
  }

  /** Reads nodes of the tree. */
  readonly nodes = (places: readonly NodePlace[]): Promise<readonly Bytes[]> =>
    this.#options.store.nodes(this.#options.origin, places);
}
