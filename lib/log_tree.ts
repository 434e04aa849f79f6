/**
 * The log of a room: the tree over its lines, and its proofs (docs/PROTOCOL.md, "The tree and its proofs"; RFC 6962
 * section 2.1).
 *
 *     leaf = SHA-256(0x00 || line without LF)        node = SHA-256(0x01 || left || right)
 *
 *               root of 7 = h(0..7)                  A subtree is named by the leaves that it covers, from..to-1.
 *              /                   \                 Perfect ones (2^level leaves from a multiple of 2^level on) are
 *         h(0..4)                 h(4..7)            the nodes that a store keeps: they never change. h(4..7) is none,
 *        /       \               /       \           and is made of h(4..6) and h(6..7) when it is asked for.
 *     h(0..2)  h(2..4)      h(4..6)    h(6..7)
 *
 * A {@link Frontier} is all that appending needs: the perfect subtrees that a tree consists of, left to right, 53 at
 * most. A proof is a list of subtrees; {@link hashesOf} asks a {@link NodeReader} for the nodes of all of them at once,
 * at 2^20 lines for 60 at most. Whoever checks a proof needs only its hashes: the `rootFrom…` functions rebuild roots.
 *
 * Sizes are integers up to 2^53 - 1, too large for bitwise operators. A root doesn't commit to the size.
 *
 * @layer format
 */

import { type Bytes, equalBytes } from "./bytes.ts";
import { sha256 } from "./hash.ts";

/** The root of a log without lines: SHA-256 of nothing. */
export const EMPTY_ROOT: Bytes = sha256();

const LEAF = Uint8Array.of(0);
const NODE = Uint8Array.of(1);

/** The hash of a line, its UTF-8 without LF. */
export function leafHash(line: Uint8Array): Bytes {
  return sha256(LEAF, line);
}

/** The hash of the subtree of two. */
export function nodeHash(left: Uint8Array, right: Uint8Array): Bytes {
  return sha256(NODE, left, right);
}

/** The leaves from..to-1. */
export interface Subtree {
  readonly from: number;
  readonly to: number;
}

/** A perfect subtree: the leaves from index * 2^level, 2^level of them. */
export interface NodePlace {
  readonly level: number;
  readonly index: number;
}

/** A node and its hash. */
export interface TreeNode extends NodePlace {
  readonly hash: Bytes;
}

/** Gives the hashes of nodes, in the order asked for. A database may answer all of them with one query. */
export type NodeReader = (nodes: readonly NodePlace[]) => Promise<readonly Bytes[]> | readonly Bytes[];

// ---- growing

/** The end of a tree to which lines are appended: its perfect subtrees, left to right. */
export class Frontier {
  #size: number;
  readonly #peaks: Bytes[];

  /** Of a tree of `size` lines; RangeError where that tree has another number of perfect subtrees. */
  constructor(size = 0, peaks: readonly Bytes[] = []) {
    if (peaks.length !== peakPlaces(size).length) throw new RangeError(`a tree of ${size} has other subtrees`);
    this.#size = size;
    this.#peaks = [...peaks];
  }

  /** How many lines there are. */
  get size(): number {
    return this.#size;
  }

  /** The hashes of the perfect subtrees. */
  get peaks(): readonly Bytes[] {
    return this.#peaks;
  }

  /** Takes the next line's hash; answers the nodes that are complete with it, for a store to keep. */
  append(leaf: Bytes): TreeNode[] {
    let node: TreeNode = { level: 0, index: this.#size, hash: leaf };
    const complete = [node];
    while (node.index % 2 === 1) {
      const hash = nodeHash(this.#peaks.pop() ?? EMPTY_ROOT, node.hash);
      node = { level: node.level + 1, index: (node.index - 1) / 2, hash };
      complete.push(node);
    }
    this.#peaks.push(node.hash.slice()); // kept for long
    this.#size += 1;
    return complete;
  }

  /** The tree's root. */
  root(): Bytes {
    return fold(this.#peaks);
  }

  /**
   * The root of the tree of `size` lines that begins with this one, where `after` are the hashes of the largest
   * subtrees wholly behind it, left to right; `undefined` where there are too few or too many.
   */
  rootWith(after: readonly Bytes[], size: number): Bytes | undefined {
    if (size < this.#size) return undefined;
    const subtrees = largestSubtrees(size, (subtree) => subtree.from >= this.#size || subtree.to <= this.#size);
    const behind = subtrees.filter(({ from }) => from >= this.#size);
    if (behind.length !== after.length) return undefined;
    if (behind.length === 0) return this.root();
    const hashes = [...this.#peaks, ...after];
    const build = (from: number, to: number): Bytes => {
      if (to <= this.#size || from >= this.#size) return hashes.shift() ?? EMPTY_ROOT;
      const middle = from + splitPoint(to - from);
      return nodeHash(build(from, middle), build(middle, to));
    };
    return build(0, size);
  }
}

/** The root over perfect subtrees, left to right. */
function fold(peaks: readonly Bytes[]): Bytes {
  const [last = EMPTY_ROOT, ...others] = peaks.toReversed();
  return others.reduce((root, peak) => nodeHash(peak, root), last);
}

/** The largest power of two below `size`, which is 2 or more. */
function splitPoint(size: number): number {
  let power = 1;
  while (2 * power < size) power *= 2;
  return power;
}

/**
 * The largest subtrees of the tree of `size` leaves for which `isWhole` holds, left to right; single leaves at least.
 */
function largestSubtrees(size: number, isWhole: (subtree: Subtree) => boolean): Subtree[] {
  const found: Subtree[] = [];
  const walk = (from: number, to: number) => {
    if (to - from < 2 || isWhole({ from, to })) return void found.push({ from, to });
    const middle = from + splitPoint(to - from);
    walk(from, middle);
    walk(middle, to);
  };
  if (size > 0) walk(0, size);
  return found;
}

/** The nodes that make up the leaves from..to-1 of a tree in which these are a subtree. */
function nodesOf({ from, to }: Subtree): NodePlace[] {
  const nodes: NodePlace[] = [];
  for (let start = from; start < to;) {
    let level = 0;
    for (let width = 2; start % width === 0 && start + width <= to; width *= 2) level += 1;
    nodes.push({ level, index: start / 2 ** level });
    start += 2 ** level;
  }
  return nodes;
}

/** The nodes of which a {@link Frontier} of that size consists: what a store reads to go on. */
export function peakPlaces(size: number): NodePlace[] {
  return nodesOf({ from: 0, to: size });
}

// ---- proofs

/** The hashes of subtrees, each made of the nodes that the reader gives; all nodes are asked for at once. */
export async function hashesOf(subtrees: readonly Subtree[], read: NodeReader): Promise<Bytes[]> {
  const parts = subtrees.map(nodesOf);
  const hashes = await read(parts.flat());
  let at = 0;
  return parts.map((nodes) => fold(hashes.slice(at, at += nodes.length)));
}

/** The root at `size`. */
export async function rootAt(size: number, read: NodeReader): Promise<Bytes> {
  return fold(await read(peakPlaces(size)));
}

/** The audit path of a line in the tree of `size` lines (RFC 6962 section 2.1.1), from the leaf upwards. */
export async function inclusionProof(index: number, size: number, read: NodeReader): Promise<Bytes[]> {
  if (!(index >= 0 && index < size)) throw new RangeError(`a tree of ${size} has no line ${index}`);
  const path: Subtree[] = [];
  for (let [from, to] = [0, size]; to - from > 1;) {
    const middle = from + splitPoint(to - from);
    if (index < middle) {
      path.unshift({ from: middle, to });
      to = middle;
    } else {
      path.unshift({ from, to: middle });
      from = middle;
    }
  }
  return await hashesOf(path, read);
}

/**
 * That the tree of `size` lines begins with that of `old` (RFC 6962 section 2.1.2); empty for 0, and for the same size.
 */
export async function consistencyProof(old: number, size: number, read: NodeReader): Promise<Bytes[]> {
  if (!(old >= 0 && old <= size)) throw new RangeError(`a tree of ${size} doesn't begin with one of ${old}`);
  if (old === 0 || old === size) return [];
  const path: Subtree[] = [];
  let [from, to] = [0, size];
  while (old < to) {
    const middle = from + splitPoint(to - from);
    if (old <= middle) {
      path.unshift({ from: middle, to });
      to = middle;
    } else {
      path.unshift({ from, to: middle });
      from = middle;
    }
  }
  if (from > 0) path.unshift({ from, to });
  return await hashesOf(path, read);
}

/** What a receipt shows of the tree beside its lines (docs/PROTOCOL.md, "Receipts of a room"). */
export interface RangeProof {
  /** The largest subtrees wholly before the first line, left to right: the frontier at its index. */
  readonly before: readonly Bytes[];
  /** The largest subtrees wholly behind the last line, left to right. */
  readonly after: readonly Bytes[];
}

/** The proof for the lines from..to-1 in the tree of `size` lines. */
export async function rangeProof({ from, to }: Subtree, size: number, read: NodeReader): Promise<RangeProof> {
  if (!(from >= 0 && from < to && to <= size)) throw new RangeError(`a tree of ${size} has no lines ${from} to ${to}`);
  const isBefore = (subtree: Subtree) => subtree.to <= from;
  const isAfter = (subtree: Subtree) => subtree.from >= to;
  const isShown = (subtree: Subtree) => subtree.from >= from && subtree.to <= to;
  const subtrees = largestSubtrees(size, (subtree) => isBefore(subtree) || isAfter(subtree) || isShown(subtree));
  const before = subtrees.filter(isBefore);
  const hashes = await hashesOf([...before, ...subtrees.filter(isAfter)], read);
  return { before: hashes.slice(0, before.length), after: hashes.slice(before.length) };
}

// ---- checking

/** The root that a line's hash and its audit path give; `undefined` where hashes are too few or too many. */
export function rootFromInclusion(
  leaf: Bytes,
  index: number,
  size: number,
  path: readonly Bytes[],
): Bytes | undefined {
  if (!(index >= 0 && index < size)) return undefined;
  const hashes = [...path];
  const climb = (at: number, width: number): Bytes | undefined => {
    if (width === 1) return hashes.length === 0 ? leaf : undefined;
    const sibling = hashes.pop(); // the root's child stands last
    const middle = splitPoint(width);
    const own = sibling && (at < middle ? climb(at, middle) : climb(at - middle, width - middle));
    return sibling && own && (at < middle ? nodeHash(own, sibling) : nodeHash(sibling, own));
  };
  return climb(index, size);
}

/** Whether the line of that hash stands at its index in the tree of that root. */
export function verifyInclusion(
  leaf: Bytes,
  index: number,
  path: readonly Bytes[],
  { size, root }: { readonly size: number; readonly root: Uint8Array },
): boolean {
  const found = rootFromInclusion(leaf, index, size, path);
  return found !== undefined && equalBytes(found, root);
}

/** A tree's size and root. */
export interface TreeHead {
  readonly size: number;
  readonly root: Bytes;
}

/** Whether the newer tree begins with the older. */
export function verifyConsistency(old: TreeHead, newer: TreeHead, proof: readonly Bytes[]): boolean {
  if (old.size > newer.size) return false;
  if (old.size === 0 || old.size === newer.size) {
    const isEmpty = old.size > 0 || equalBytes(old.root, EMPTY_ROOT);
    return proof.length === 0 && isEmpty && (old.size < newer.size || equalBytes(old.root, newer.root));
  }
  const hashes = [...proof];
  /**
   * Both roots over a subtree of `width` leaves, of which the older tree has `size`; it is `isWhole` on its left edge.
   */
  const rebuild = (size: number, width: number, isWhole: boolean): { before: Bytes; after: Bytes } | undefined => {
    if (size === width) {
      const hash = isWhole ? old.root : hashes.pop();
      return hash && { before: hash, after: hash };
    }
    const sibling = hashes.pop();
    if (!sibling) return undefined;
    const middle = splitPoint(width);
    if (size <= middle) {
      const left = rebuild(size, middle, isWhole);
      return left && { before: left.before, after: nodeHash(left.after, sibling) };
    }
    const right = rebuild(size - middle, width - middle, false);
    return right && { before: nodeHash(sibling, right.before), after: nodeHash(sibling, right.after) };
  };
  const roots = rebuild(old.size, newer.size, true);
  return roots !== undefined && hashes.length === 0 && equalBytes(roots.before, old.root) &&
    equalBytes(roots.after, newer.root);
}
