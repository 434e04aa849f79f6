/**
 * The tree of a log kept whole in memory, by who holds its lines: a client that checks what a server signs, and that
 * makes proofs by itself (docs/PROTOCOL.md, "The tree and its proofs").
 *
 *     const tree = new LogTree();              tree.append(leafHash(line));
 *     tree.rootAt(41)                          the root of any size from the tree's base on
 *     await rangeProof(part, size, tree.read)  64 bytes a line buy every proof without asking anybody
 *
 * A client that may not see the beginning of a log begins with the subtrees of what it can't see: its base. Hashing and
 * proofs are `log_tree.ts`.
 *
 * @layer format
 */

import { type Bytes, encodeHex } from "./bytes.ts";
import { Frontier, type NodePlace, peakPlaces } from "./log_tree.ts";

const HASH_SIZE = 32;

/** The nodes of one level, which come one after the other. */
class Level {
  /** The index of the first. */
  readonly #first: number;
  #hashes = new Uint8Array(16 * HASH_SIZE);
  #count = 0;

  constructor(first: number) {
    this.#first = first;
  }

  append(hash: Uint8Array): void {
    const at = HASH_SIZE * this.#count++;
    if (at === this.#hashes.length) {
      const grown = new Uint8Array(2 * at);
      grown.set(this.#hashes);
      this.#hashes = grown;
    }
    this.#hashes.set(hash, at);
  }

  at(index: number): Bytes | undefined {
    const place = index - this.#first;
    if (place < 0 || place >= this.#count) return undefined;
    return this.#hashes.subarray(HASH_SIZE * place, HASH_SIZE * (place + 1));
  }
}

/** A log's tree from a base on. */
export class LogTree {
  /** How many lines lie before the first that is known. */
  readonly base: number;
  readonly #frontier: Frontier;
  readonly #levels: Level[] = [];
  /** The subtrees that the base consists of, by place. */
  readonly #peaks = new Map<string, Bytes>();

  /** RangeError where a tree of `base` lines has another number of perfect subtrees. */
  constructor(base = 0, peaks: readonly Bytes[] = []) {
    this.base = base;
    this.#frontier = new Frontier(base, peaks);
    for (const [at, { level, index }] of peakPlaces(base).entries()) {
      const hash = peaks[at];
      if (hash) this.#peaks.set(`${level} ${index}`, hash);
    }
  }

  /** How many lines there are, those before the base included. */
  get size(): number {
    return this.#frontier.size;
  }

  /** Takes the next line's hash. */
  append(leaf: Bytes): void {
    for (const { level, index, hash } of this.#frontier.append(leaf)) {
      (this.#levels[level] ??= new Level(index)).append(hash);
    }
  }

  /** The hash of a line; `undefined` where it isn't known. */
  leaf(index: number): Bytes | undefined {
    return this.#levels[0]?.at(index);
  }

  /** The root, in hex, when there were `size` lines; `undefined` before the base and beyond the end. */
  rootAt(size: number): string | undefined {
    if (size < this.base || size > this.size) return undefined;
    return encodeHex(new Frontier(size, this.read(peakPlaces(size))).root());
  }

  /** Reads nodes for a proof; RangeError where one lies before the base. */
  readonly read = (places: readonly NodePlace[]): Bytes[] =>
    places.map(({ level, index }) => {
      const hash = this.#levels[level]?.at(index) ?? this.#peaks.get(`${level} ${index}`);
      if (!hash) throw new RangeError(`this tree doesn't know the node ${index} of level ${level}`);
      return hash;
    });
}
