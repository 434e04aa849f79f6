import { assert } from "./assert.ts";
import { type Bytes, concat, encodeHex, encodeUtf8, parseHex } from "../lib/bytes.ts";
import { sha256 } from "../lib/hash.ts";
import {
  consistencyProof,
  EMPTY_ROOT,
  Frontier,
  hashesOf,
  inclusionProof,
  leafHash,
  nodeHash,
  type NodeReader,
  peakPlaces,
  rangeProof,
  rootAt,
  rootFromInclusion,
  type TreeNode,
  verifyConsistency,
  verifyInclusion,
} from "../lib/log_tree.ts";

/** What RFC 6962 section 2.1 says, word for word. */
function definedRoot(leaves: readonly Bytes[]): Bytes {
  const [first] = leaves;
  if (!first) return sha256();
  if (leaves.length === 1) return first;
  let k = 1;
  while (2 * k < leaves.length) k *= 2;
  return sha256(Uint8Array.of(1), concat(definedRoot(leaves.slice(0, k)), definedRoot(leaves.slice(k))));
}

/** A store of nodes that counts what is read. */
class Nodes {
  readonly #hashes = new Map<string, Bytes>();
  count = 0;

  add(nodes: readonly TreeNode[]): void {
    for (const { level, index, hash } of nodes) this.#hashes.set(`${level}.${index}`, hash);
  }

  read: NodeReader = (places) => {
    this.count += places.length;
    return places.map(({ level, index }) => {
      const hash = this.#hashes.get(`${level}.${index}`);
      assert(hash, `node ${level}.${index} was never completed`);
      return hash;
    });
  };
}

const MOST = 64;
const leaves = Array.from({ length: MOST }, (_, number) => leafHash(encodeUtf8(`line ${number}`)));
const nodes = new Nodes();
const frontier = new Frontier();
const roots = [frontier.root()];
for (const leaf of leaves) {
  nodes.add(frontier.append(leaf));
  roots.push(frontier.root());
}

const root = (size: number): Bytes => roots[size] ?? EMPTY_ROOT;
const leaf = (index: number): Bytes => leaves[index] ?? EMPTY_ROOT;
const flipped = (hash: Bytes): Bytes => hash.with(0, (hash[0] ?? 0) ^ 1);

// ---- known answers: the test vectors of certificate-transparency

const VECTOR = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
const VECTOR_ROOTS = [
  "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
  "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
  "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
  "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
  "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
  "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
  "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
  "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
  "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];
const [A, B, C, D, E] = [
  "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
  "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
  "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
  "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
  "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
];

/** A tree over the vector's first leaves, and its nodes. */
function vectorTree(size: number): { tree: Frontier; read: NodeReader } {
  const [tree, kept] = [new Frontier(), new Nodes()];
  for (const text of VECTOR.slice(0, size)) kept.add(tree.append(leafHash(parseHex(text) ?? EMPTY_ROOT)));
  return { tree, read: kept.read };
}

Deno.test("a Frontier gives the published roots of the sizes 0 to 8", () => {
  assert.deepEqual(VECTOR_ROOTS.map((_, size) => encodeHex(vectorTree(size).tree.root())), VECTOR_ROOTS);
});

Deno.test("inclusionProof() gives the published audit paths", async () => {
  const expected: [number, number, (string | undefined)[]][] = [
    [0, 1, []],
    [0, 8, [A, B, C]],
    [5, 8, [D, E, VECTOR_ROOTS[4]]],
    [2, 3, [VECTOR_ROOTS[2]]],
    [1, 5, [VECTOR_ROOTS[1], B, D]],
  ];
  for (const [index, size, path] of expected) {
    assert.deepEqual((await inclusionProof(index, size, vectorTree(size).read)).map(encodeHex), path);
  }
});

Deno.test("consistencyProof() gives the published proofs", async () => {
  const expected: [number, number, (string | undefined)[]][] = [
    [1, 1, []],
    [1, 8, [A, B, C]],
    [6, 8, ["0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a", E, VECTOR_ROOTS[4]]],
    [2, 5, [B, D]],
  ];
  for (const [old, size, proof] of expected) {
    assert.deepEqual((await consistencyProof(old, size, vectorTree(size).read)).map(encodeHex), proof);
  }
});

// ---- every tree up to 64 lines

Deno.test("a Frontier's root is what RFC 6962 defines, at every size", async () => {
  for (let size = 0; size <= MOST; size++) {
    assert.deepEqual(root(size), definedRoot(leaves.slice(0, size)));
    assert.deepEqual(await rootAt(size, nodes.read), root(size));
  }
});

Deno.test("a Frontier goes on from its peaks, read from a store", async () => {
  for (let size = 0; size < MOST; size++) {
    const peaks = await nodes.read(peakPlaces(size));
    const resumed = new Frontier(size, peaks);
    resumed.append(leaf(size));
    assert.deepEqual(resumed.root(), root(size + 1));
    assert.throws(() => new Frontier(size, [...peaks, EMPTY_ROOT]), RangeError);
  }
});

Deno.test("what a Frontier keeps for as long as a room is kept has no buffer with others", () => {
  const frontier = new Frontier();
  for (let at = 0; at < 100; at++) {
    frontier.append(leaf(at));
    for (const peak of frontier.peaks) assert.equal(peak.buffer.byteLength, 32);
  }
});

Deno.test("every inclusion proof holds at its place, and nowhere else", async () => {
  for (let size = 1; size <= MOST; size++) {
    for (let index = 0; index < size; index++) {
      const path = await inclusionProof(index, size, nodes.read);
      const head = { size, root: root(size) };
      assert(verifyInclusion(leaf(index), index, path, head));
      assert(!verifyInclusion(flipped(leaf(index)), index, path, head));
      assert(!verifyInclusion(leaf(index), index, [...path, head.root], head));
      assert(!verifyInclusion(leaf(index), index, path, { size, root: flipped(head.root) }));
      for (const [at, hash] of path.entries()) {
        assert(!verifyInclusion(leaf(index), index, path.with(at, flipped(hash)), head));
        assert(!verifyInclusion(leaf(index), index, path.toSpliced(at, 1), head));
      }
      for (const other of [index - 1, index + 1, size, -1, index ^ 1]) {
        if (other !== index) assert(!verifyInclusion(leaf(index), other, path, head));
      }
    }
  }
  await assert.rejects(inclusionProof(5, 5, nodes.read), RangeError);
});

Deno.test("every consistency proof holds between its two trees, and with nothing changed", async () => {
  for (let size = 0; size <= MOST; size++) {
    for (let old = 0; old <= size; old++) {
      const proof = await consistencyProof(old, size, nodes.read);
      const [before, after] = [{ size: old, root: root(old) }, { size, root: root(size) }];
      assert(verifyConsistency(before, after, proof));
      assert(!verifyConsistency({ size: old, root: flipped(before.root) }, after, proof));
      if (old > 0) assert(!verifyConsistency(before, { size, root: flipped(after.root) }, proof));
      assert(!verifyConsistency(before, after, [...proof, before.root]));
      assert(!verifyConsistency({ size: size + 1, root: root(size) }, after, proof));
      for (const [at, hash] of proof.entries()) {
        assert(!verifyConsistency(before, after, proof.with(at, flipped(hash))));
        assert(!verifyConsistency(before, after, proof.toSpliced(at, 1)));
      }
    }
  }
  await assert.rejects(consistencyProof(6, 5, nodes.read), RangeError);
});

Deno.test("consistency from the empty log needs no hash, but the right root of nothing", () => {
  assert(!verifyConsistency({ size: 0, root: root(1) }, { size: 3, root: root(3) }, []));
  assert(!verifyConsistency({ size: 0, root: root(1) }, { size: 0, root: root(1) }, []));
  assert(!verifyConsistency({ size: 3, root: root(3) }, { size: 3, root: root(4) }, []));
});

Deno.test("before, after and the lines between give the root, for every range of every tree", async () => {
  for (let size = 1; size <= MOST; size++) {
    for (let from = 0; from < size; from++) {
      let shown: Frontier | undefined;
      for (let to = from + 1; to <= size; to++) {
        const { before, after } = await rangeProof({ from, to }, size, nodes.read);
        shown ??= new Frontier(from, before);
        shown.append(leaf(to - 1));
        assert.deepEqual(shown.rootWith(after, size), root(size));
        assert.equal(shown.rootWith([...after, root(1)], size), undefined);
        if (after.length === 0 || size > 24) continue;
        assert.deepEqual(shown.root(), root(to));
        assert.equal(shown.rootWith(after, to - 1), undefined);
        assert.equal(shown.rootWith(after.slice(1), size), undefined);
        assert.notDeepEqual(shown.rootWith(after.with(-1, flipped(root(1))), size), root(size));
      }
    }
  }
  for (const range of [{ from: 3, to: 3 }, { from: 3, to: 6 }, { from: -1, to: 2 }]) {
    await assert.rejects(rangeProof(range, 5, nodes.read), RangeError);
  }
});

Deno.test("for one line before and after are its audit path", async () => {
  for (let index = 0; index < 13; index++) {
    const { before, after } = await rangeProof({ from: index, to: index + 1 }, 13, nodes.read);
    const path = await inclusionProof(index, 13, nodes.read);
    assert.deepEqual([...before, ...after].map(encodeHex).sort(), path.map(encodeHex).sort());
  }
});

Deno.test("leaves and nodes never have one hash", () => {
  assert.notDeepEqual(leafHash(concat(leaf(0), leaf(1))), nodeHash(leaf(0), leaf(1)));
});

// ---- large trees: where all leaves are alike, a node's hash depends on its level alone

const levels = [leaf(0)];
for (let level = 1; level <= 53; level++) levels.push(nodeHash(levels.at(-1) ?? leaf(0), levels.at(-1) ?? leaf(0)));

/** Reads the tree of equal leaves, and counts. */
function alike(): { read: NodeReader; count: () => number } {
  let count = 0;
  return {
    read: (places) => places.map(({ level }) => (count++, levels[level] ?? EMPTY_ROOT)),
    count: () => count,
  };
}

const LARGE = [2 ** 20, 2 ** 20 - 1, 2 ** 19 + 1, 0b10101010101010101010, 999_999];

Deno.test("a proof reads at most 64 nodes at 2^20 lines", async () => {
  let most = 0;
  for (const size of LARGE) {
    for (const index of [0, 1, 2 ** 19 - 1, 2 ** 19, size >> 1, (size >> 1) + 1, size - 2, size - 1]) {
      for (
        const make of [
          (read: NodeReader) => inclusionProof(index, size, read),
          (read: NodeReader) => consistencyProof(index, size, read),
          (read: NodeReader) => rangeProof({ from: index, to: index + 1 }, size, read),
          (read: NodeReader) => rangeProof({ from: index >> 1, to: index + 1 }, size, read),
          (read: NodeReader) => rootAt(size, read),
        ]
      ) {
        const { read, count } = alike();
        await make(read);
        most = Math.max(most, count());
      }
    }
  }
  assert(most > 20 && most <= 64, `${most} nodes`);
});

Deno.test("proofs hold in trees of a million lines, and of 2^53 - 1", async () => {
  for (const size of [...LARGE, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER]) {
    const { read } = alike();
    const head = { size, root: await rootAt(size, read) };
    for (const index of [0, 1, Math.floor(size / 3), size - 2, size - 1]) {
      assert(verifyInclusion(leaf(0), index, await inclusionProof(index, size, read), head));
      const old = { size: index, root: await rootAt(index, read) };
      assert(verifyConsistency(old, head, await consistencyProof(index, size, read)));
      const { before, after } = await rangeProof({ from: index, to: index + 1 }, size, read);
      const shown = new Frontier(index, before);
      shown.append(leaf(0));
      assert.deepEqual(shown.rootWith(after, size), head.root);
    }
  }
});

Deno.test("a long path is not followed further than the tree is deep", () => {
  const path = Array.from({ length: 10_000 }, () => leaf(0));
  assert.equal(rootFromInclusion(leaf(0), 7, 13, path), undefined);
  assert(!verifyConsistency({ size: 7, root: root(7) }, { size: 13, root: root(13) }, path));
});

Deno.test("hashesOf() asks for the nodes of all subtrees at once", async () => {
  let calls = 0;
  const counted: NodeReader = (places) => (calls++, nodes.read(places));
  const hashes = await hashesOf([{ from: 0, to: 4 }, { from: 4, to: 7 }], counted);
  assert.deepEqual(hashes, [definedRoot(leaves.slice(0, 4)), definedRoot(leaves.slice(4, 7))]);
  assert.equal(calls, 1);
});
