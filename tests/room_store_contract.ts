/**
 * What every store keeps of rooms, whichever database stands behind it; beside `store_contract.ts`, and run likewise.
 */

import { assert } from "./assert.ts";
import type { TestOptions } from "./store_contract.ts";
import { type Bytes, encodeHex, encodeUtf8 } from "../lib/bytes.ts";
import { sha256 } from "../lib/hash.ts";
import {
  consistencyProof,
  Frontier,
  inclusionProof,
  leafHash,
  type NodePlace,
  peakPlaces,
  type TreeNode,
  verifyConsistency,
  verifyInclusion,
} from "../lib/log_tree.ts";
import type { Consequences, NewRoom, RoomStore, StoredLine } from "../lib/room_store.ts";
import type { ServerStore } from "../lib/server_store.ts";
import { StoreUnavailable } from "../lib/server_store.ts";

/** A store on a database of its own. */
export interface RoomStoreFixture extends AsyncDisposable {
  readonly store: ServerStore;
  /** A second store on the same database, as a second server has. */
  second(): Promise<ServerStore>;
}

/** 2026-01-02 03:04:05.678 UTC. */
export const NOW = Date.UTC(2026, 0, 2, 3, 4, 5, 678);

/** 64 hex digits, another for every name. */
export function fingerprint(name: string): string {
  return encodeHex(sha256(encodeUtf8(name)));
}

/** Two authors. */
export const ALICE = fingerprint("alice");
export const BOB = fingerprint("bob");
/** Before every author. */
const NOBODY = "0".repeat(64);

/** A room of that name with an origin of its own. */
export function newRoom(name: string, fields: Partial<NewRoom> = {}): NewRoom {
  const origin = `chat.example/${name}/${fingerprint(name).slice(32)}`;
  return { name, origin, history: "all", inviteOnly: false, createdAt: NOW, ...fields };
}

/** A line that nobody signed, as long as one of a 2048-bit key. */
export function line(index: number, fields: Partial<StoredLine> = {}): StoredLine {
  const author = fields.author ?? ALICE;
  const seqno = fields.seqno ?? index;
  return {
    index,
    author,
    seqno,
    ts: NOW + index,
    epoch: 1,
    seenSize: 0,
    isAct: false,
    line: `${seqno}|${NOW + index}|${"c".repeat(128)}|${"s".repeat(344)}|${author}`,
    body: new Uint8Array(48).fill(index),
    acceptedAt: NOW + 1000 + index,
    ...fields,
  };
}

/** Appends lines behind what a frontier has, with the nodes that they complete, and what follows from them. */
export async function append(
  rooms: RoomStore,
  origin: string,
  frontier: Frontier,
  lines: readonly StoredLine[],
  consequences?: Consequences,
): Promise<void> {
  const nodes = lines.flatMap((one) => frontier.append(leafHash(encodeUtf8(one.line))));
  await rooms.appendLines(origin, lines, nodes, consequences);
}

/** The nodes that the lines complete in a tree of their own. */
function nodesOf(lines: readonly StoredLine[]): TreeNode[] {
  const frontier = new Frontier();
  return lines.flatMap((one) => frontier.append(leafHash(encodeUtf8(one.line))));
}

/** The numbers from one on. */
export function count(size: number, from = 0): number[] {
  return Array.from({ length: size }, (_, index) => from + index);
}

/** Checks that something is refused, and not because the database doesn't answer. */
export async function refused(work: Promise<unknown>): Promise<void> {
  await assert.rejects(work, (error) => error instanceof Error && !(error instanceof StoreUnavailable));
}

/** Adds an account; its id. */
export async function addUser(store: ServerStore, username: string): Promise<number> {
  const email = `${username}@example.com`;
  const id = await store.addUser({ email, username, salt: new Uint8Array(16), passwordRecord: "record" }, NOW);
  assert(id !== undefined);
  return id;
}

/** Registers the contract's tests under the name of a store. */
export function testRoomStore(
  name: string,
  openFixture: () => Promise<RoomStoreFixture>,
  options: TestOptions = {},
): void {
  function test(
    sentence: string,
    body: (rooms: RoomStore, fixture: RoomStoreFixture) => Promise<void>,
  ): void {
    Deno.test({
      name: `${name}: ${sentence}`,
      ...options,
      async fn() {
        await using fixture = await openFixture();
        await body(fixture.store.rooms, fixture);
      },
    });
  }

  /** With a room of 20 lines by two authors: 0, 7 and 14 are acts. */
  function testLog(
    sentence: string,
    body: (
      given: { rooms: RoomStore; origin: string; lines: StoredLine[]; fixture: RoomStoreFixture },
    ) => Promise<void>,
  ): void {
    test(sentence, async (rooms, fixture) => {
      const { origin } = newRoom("#ops");
      await rooms.createRoom(newRoom("#ops"));
      const lines = count(20).map((index) =>
        line(index, {
          author: index % 2 === 0 ? ALICE : BOB,
          seqno: Math.floor(index / 2),
          isAct: index % 7 === 0,
          seenSize: Math.floor(index / 3),
        })
      );
      await append(rooms, origin, new Frontier(), lines);
      await body({ rooms, origin, lines, fixture });
    });
  }

  // Rooms.

  test("findRoom() gives back what createRoom() took, with no lines yet", async (rooms) => {
    const ops = newRoom("#ops", { history: "since_join", inviteOnly: true, maker: "alice" });
    const direct = newRoom("@alice,@bob");
    assert.equal(await rooms.createRoom(ops), true);
    assert.equal(await rooms.createRoom(direct), true);
    assert.deepEqual(await rooms.findRoom("#ops"), { ...ops, size: 0 });
    assert.deepEqual(await rooms.findRoom("@alice,@bob"), { ...direct, size: 0 });
    assert.equal(await rooms.findRoom("#op"), undefined);
  });

  test("madeSince() counts what each account has made since a time", async (rooms) => {
    await rooms.createRoom(newRoom("#old", { maker: "alice", createdAt: 1_000 }));
    await rooms.createRoom(newRoom("#new", { maker: "alice", createdAt: 2_000 }));
    await rooms.createRoom(newRoom("@alice,@bob", { maker: "bob", createdAt: 2_500 }));
    await rooms.createRoom(newRoom("#nobodys", { createdAt: 2_500 }));
    assert.deepEqual([...await rooms.madeSince(2_000)].sort(), [["alice", 1], ["bob", 1]]);
  });

  test("a room's and a server's longest names are kept", async (rooms) => {
    const name = `@${"a".repeat(64)},@${"b".repeat(64)}`;
    const room = newRoom(name, { origin: `${"s".repeat(253)}/${name}/${"0".repeat(32)}` });
    assert.equal(await rooms.createRoom(room), true);
    assert.deepEqual(await rooms.findRoom(name), { ...room, size: 0 });
    await append(rooms, room.origin, new Frontier(), [line(0)]);
  });

  test("of eight that create a room at once, on two servers, one does", async (rooms, { second }) => {
    const other = await second();
    try {
      const made = await Promise.all(
        count(8).map((index) => {
          const room = newRoom("#ops", { origin: `chat.example/#ops/${index}` });
          return (index % 2 === 0 ? rooms : other.rooms).createRoom(room);
        }),
      );
      assert.equal(made.filter((isMade) => isMade).length, 1);
      assert.equal((await rooms.findRoom("#ops"))?.origin, `chat.example/#ops/${made.indexOf(true)}`);
    } finally {
      await other.close();
    }
  });

  test("listRooms() lists rooms by name from the one that was asked for on, conversations of two left out", async (rooms) => {
    const names = ["#-", "#a", "#a-b", "#a.b", "#a_b", "#b", "#zz"];
    for (const one of [...names.toReversed(), "@alice,@bob"]) await rooms.createRoom(newRoom(one));
    const listed = async (after: string, most: number) => (await rooms.listRooms(after, most)).map((room) => room.name);
    assert.deepEqual(await listed("", 100), names.toSorted());
    assert.deepEqual(await listed("", 3), names.toSorted().slice(0, 3));
    assert.deepEqual(await listed("#a_b", 100), ["#b", "#zz"]);
    assert.deepEqual(await listed("#zz", 100), []);
    assert.deepEqual((await rooms.listRooms("#b", 1))[0], { ...newRoom("#zz"), size: 0 });
  });

  // Lines.

  testLog("linesFrom() gives back what appendLines() took, in order", async ({ rooms, origin, lines }) => {
    assert.deepEqual(await rooms.linesFrom(origin, 0, 100), lines);
    assert.deepEqual(await rooms.linesFrom(origin, 5, 3), lines.slice(5, 8));
    assert.deepEqual(await rooms.linesFrom(origin, 19, 3), lines.slice(19));
    assert.deepEqual(await rooms.linesFrom(origin, 20, 3), []);
    assert.equal((await rooms.findRoom("#ops"))?.size, 20);
    await rooms.appendLines(origin, [], []);
    assert.equal((await rooms.findRoom("#ops"))?.size, 20);
  });

  test("every byte and every number of a line is kept", async (rooms) => {
    const { origin } = newRoom("#ops");
    await rooms.createRoom(newRoom("#ops"));
    const most = Number.MAX_SAFE_INTEGER;
    const all = Uint8Array.from({ length: 16_032 }, (_, index) => index);
    const lines = [
      line(0, { body: Uint8Array.of(0, 255, 0x20, 0x5c, 0x27, 0x20, 0, 0), ts: most, seqno: most, seenSize: most }),
      line(1, { body: all, acceptedAt: most, line: "x".repeat(2_000) }),
      line(2, { body: null, author: "00".repeat(32) }),
      line(3, { body: new Uint8Array(32), author: `${"ab".repeat(31)}20`, epoch: 2 ** 31 - 1 }),
    ];
    await append(rooms, origin, new Frontier(), lines);
    assert.deepEqual(await rooms.linesFrom(origin, 0, 10), lines);
    assert.deepEqual(await rooms.lineBy(origin, ALICE, most), lines[0]);
    assert.deepEqual(await rooms.lineBy(origin, "00".repeat(32), 2), lines[2]);
  });

  testLog("an index, or a seqno of an author, that is taken refuses the whole batch", async (given) => {
    const { rooms, origin, lines } = given;
    const next = (index: number, seqno: number) => line(index, { author: ALICE, seqno });
    const batches = [
      [next(19, 50)], // index 19 is taken
      [next(0, 50)],
      [next(21, 50)], // 20 would be left out
      [next(20, 10), next(22, 11)],
      [next(20, 9)], // seqno 9 is taken
      [next(20, 50), next(21, 50)],
      [next(20, 10), next(21, 3)],
    ];
    for (const batch of batches) {
      const places = batch.map(({ index }) => ({ level: 0, index, hash: new Uint8Array(32) }));
      await refused(rooms.appendLines(origin, batch, places));
      assert.deepEqual(await rooms.linesFrom(origin, 0, 100), lines);
      assert.equal((await rooms.findRoom("#ops"))?.size, 20);
      await refused(rooms.nodes(origin, [{ level: 0, index: 20 }]));
    }
    await rooms.appendLines(origin, [next(20, 10)], [{ level: 0, index: 20, hash: new Uint8Array(32) }]);
    assert.equal((await rooms.linesFrom(origin, 20, 1)).length, 1);
  });

  testLog("a node that is there already refuses the whole batch", async ({ rooms, origin }) => {
    const taken: TreeNode[] = [{ level: 0, index: 20, hash: new Uint8Array(32) }, {
      level: 1,
      index: 0,
      hash: new Uint8Array(32),
    }];
    await refused(rooms.appendLines(origin, [line(20)], taken));
    assert.equal((await rooms.linesFrom(origin, 20, 1)).length, 0);
    assert.equal((await rooms.findRoom("#ops"))?.size, 20);
  });

  testLog("of appends that race for one index, on two servers, one wins", async ({ rooms, origin, fixture }) => {
    const other = await fixture.second();
    try {
      const appended = await Promise.allSettled(
        count(8).map((at) => {
          const batch = count(3, 20).map((index) => line(index, { author: fingerprint(`${at}`), seqno: index - 20 }));
          const nodes = batch.map(({ index }) => ({ level: 1, index: index - 10, hash: new Uint8Array(32).fill(at) }));
          return (at % 2 === 0 ? rooms : other.rooms).appendLines(origin, batch, nodes);
        }),
      );
      const winner = appended.findIndex(({ status }) => status === "fulfilled");
      for (const [at, one] of appended.entries()) {
        if (at === winner) continue;
        assert(one.status === "rejected" && one.reason instanceof Error && !(one.reason instanceof StoreUnavailable));
      }
      const lines = await rooms.linesFrom(origin, 20, 100);
      assert.deepEqual(lines.map(({ author }) => author), count(3).map(() => fingerprint(`${winner}`)));
      assert.deepEqual(await rooms.nodes(origin, [{ level: 1, index: 12 }]), [new Uint8Array(32).fill(winner)]);
      assert.equal((await rooms.findRoom("#ops"))?.size, 23);
    } finally {
      await other.close();
    }
  });

  testLog("each room has a log of its own", async ({ rooms, origin, lines }) => {
    const other = newRoom("#other");
    await rooms.createRoom(other);
    assert.deepEqual(await rooms.linesFrom(other.origin, 0, 100), []);
    const [first] = lines;
    assert(first);
    await append(rooms, other.origin, new Frontier(), [{ ...first, body: new Uint8Array(5) }]);
    assert.deepEqual(await rooms.linesFrom(other.origin, 0, 100), [{ ...first, body: new Uint8Array(5) }]);
    assert.deepEqual(await rooms.linesFrom(origin, 0, 100), lines);
    assert.equal((await rooms.lastLines(other.origin, NOBODY, 9)).length, 1);
    await refused(rooms.linesFrom("chat.example/#nowhere/0", 0, 1));
    await refused(rooms.appendLines("chat.example/#nowhere/0", [line(0)], []));
  });

  testLog("actLines() gives the lines that are acts, in order", async ({ rooms, origin, lines }) => {
    assert.deepEqual(await rooms.actLines(origin, 0, 100), [lines[0], lines[7], lines[14]]);
    assert.deepEqual(await rooms.actLines(origin, 1, 1), [lines[7]]);
  });

  testLog("lastLines() gives each author's last line, and lineBy() any", async ({ rooms, origin, lines }) => {
    const last = [
      { author: ALICE, seqno: 9, ts: NOW + 18, seenSize: 6 },
      { author: BOB, seqno: 9, ts: NOW + 19, seenSize: 6 },
    ].toSorted((one, other) => one.author < other.author ? -1 : 1);
    assert.deepEqual(await rooms.lastLines(origin, NOBODY, 9), last);
    assert.deepEqual(await rooms.lastLines(origin, NOBODY, 1), last.slice(0, 1));
    assert.deepEqual(await rooms.lastLines(origin, last[0]?.author ?? "", 9), last.slice(1));
    assert.deepEqual(await rooms.lineBy(origin, BOB, 3), lines[7]);
    assert.equal(await rooms.lineBy(origin, BOB, 10), undefined);
    assert.equal(await rooms.lineBy(origin, fingerprint("carol"), 0), undefined);
  });

  test("a batch of several megabytes goes in at once, and so does one of many rows", async (rooms) => {
    const { origin } = newRoom("#ops");
    await rooms.createRoom(newRoom("#ops"));
    const frontier = new Frontier();
    const body = Uint8Array.from({ length: 16_032 }, (_, index) => index * 7);
    await append(rooms, origin, frontier, count(400).map((index) => line(index, { body })));
    await append(rooms, origin, frontier, count(1_000, 400).map((index) => line(index)));
    assert.deepEqual(await rooms.linesFrom(origin, 399, 2), [line(399, { body }), line(400)]);
    assert.deepEqual(await rooms.linesFrom(origin, 1_399, 2), [line(1_399)]);
    const { root } = await headAt(rooms, origin, 1_400);
    assert.deepEqual(root, frontier.root());
  });

  // Logs that take no lines any more.

  testLog(
    "a log that is marked as forked takes no lines, and keeps its first mark",
    async ({ rooms, origin, lines }) => {
      await rooms.markForked(origin, NOW + 5);
      await rooms.markForked(origin, NOW + 6);
      assert.deepEqual(await rooms.findRoom("#ops"), { ...newRoom("#ops"), size: 20, forkedAt: NOW + 5 });
      await refused(rooms.appendLines(origin, [line(20)], [{ level: 0, index: 20, hash: new Uint8Array(32) }]));
      assert.deepEqual(await rooms.linesFrom(origin, 0, 100), lines);
      await refused(rooms.nodes(origin, [{ level: 0, index: 20 }]));
      assert.deepEqual(await rooms.closedLogs(), []);
    },
  );

  testLog("a closed log keeps what it has, takes nothing, and its name and its invitations are gone", async (given) => {
    const { rooms, origin, lines } = given;
    const head = { time: 50, size: 20, root: fingerprint("a"), sig: new Uint8Array(256), from: fingerprint("server") };
    await rooms.addCheckpoint(origin, head);
    await rooms.createRoom(newRoom("#dev"));
    for (const room of ["#ops", "#dev"]) await rooms.addInvitation(room, "alice", "bob");
    await rooms.markForked(origin, NOW + 5);
    assert.equal(await rooms.closeLog(origin, NOW + 7), true);
    assert.equal(await rooms.closeLog(origin, NOW + 8), false);
    assert.equal(await rooms.findRoom("#ops"), undefined);
    assert.deepEqual((await rooms.listRooms("", 9)).map(({ name }) => name), ["#dev"]);
    assert.deepEqual(await rooms.invitations("alice"), [{ room: "#dev", from: "bob" }]);
    assert.deepEqual(await rooms.closedLogs(), [origin]);
    await refused(rooms.appendLines(origin, [line(20)], [{ level: 0, index: 20, hash: new Uint8Array(32) }]));

    const next = newRoom("#ops", { origin: `chat.example/#ops/${"0".repeat(32)}` });
    assert.equal(await rooms.createRoom(next), true);
    await append(rooms, next.origin, new Frontier(), [line(0)]);
    await rooms.addInvitation("#ops", "alice", "carol");
    assert.equal(await rooms.closeLog(origin, NOW + 9), false);
    assert.deepEqual(await rooms.findRoom("#ops"), { ...next, size: 1 });
    assert.equal((await rooms.invitations("alice")).length, 2, "those to the log that has the name now");
    assert.deepEqual(await rooms.linesFrom(origin, 0, 100), lines);
    assert.deepEqual(await rooms.latestCheckpoint(origin), head);
    assert.deepEqual(await rooms.listLogs(), [
      { ...newRoom("#ops"), size: 20, forkedAt: NOW + 5, closedAt: NOW + 7 },
      { ...newRoom("#dev"), size: 0 },
      { ...next, size: 1 },
    ]);
  });

  test("a conversation of two is closed as a room is", async (rooms) => {
    const direct = newRoom("@alice,@bob");
    await rooms.createRoom(direct);
    assert.equal(await rooms.closeLog(direct.origin, NOW + 1), true);
    assert.equal(await rooms.findRoom(direct.name), undefined);
    assert.deepEqual(await rooms.listLogs(), [{ ...direct, size: 0, closedAt: NOW + 1 }]);
    await refused(rooms.closeLog("chat.example/#nowhere/0", NOW));
  });

  testLog("a log that another server has closed takes no lines", async ({ rooms, origin, lines, fixture }) => {
    const other = await fixture.second();
    try {
      assert.equal(await other.rooms.closeLog(origin, NOW), true);
      await refused(rooms.appendLines(origin, [line(20)], [{ level: 0, index: 20, hash: new Uint8Array(32) }]));
      assert.deepEqual(await rooms.linesFrom(origin, 0, 100), lines);
    } finally {
      await other.close();
    }
  });

  // The tree.

  testLog("nodes() gives the hashes in the order asked for, one place twice too", async ({ rooms, origin, lines }) => {
    const nodes = new Map(nodesOf(lines).map(({ level, index, hash }) => [`${level} ${index}`, hash]));
    const places: NodePlace[] = [[2, 1], [0, 19], [4, 0], [0, 0], [2, 1], [1, 9]]
      .map(([level = 0, index = 0]) => ({ level, index }));
    assert.deepEqual(
      await rooms.nodes(origin, places),
      places.map(({ level, index }) => nodes.get(`${level} ${index}`)),
    );
    assert.deepEqual(await rooms.nodes(origin, []), []);
    await refused(rooms.nodes(origin, [{ level: 0, index: 3 }, { level: 5, index: 0 }]));
  });

  testLog(
    "proofs from the store's nodes verify, for every line and every older head",
    async ({ rooms, origin, lines }) => {
      const head = await headAt(rooms, origin, lines.length);
      const read = (places: readonly NodePlace[]) => rooms.nodes(origin, places);
      for (const [index, { line: text }] of lines.entries()) {
        const leaf = leafHash(encodeUtf8(text));
        assert(verifyInclusion(leaf, index, await inclusionProof(index, head.size, read), head));
        const old = await headAt(rooms, origin, index);
        assert(verifyConsistency(old, head, await consistencyProof(index, head.size, read)));
      }
    },
  );

  // Erasing.

  testLog("a line may erase the bodies of others, and leaves these lines", async ({ rooms, origin, lines }) => {
    const frontier = new Frontier(20, await peaks(rooms, origin, 20));
    await append(rooms, origin, frontier, [line(20)], { erased: [7, 9] });
    await append(rooms, origin, frontier, [line(21)], { erased: [7, 99] }); // the one again, and one that isn't there
    const erased = lines.map((one) => [7, 9].includes(one.index) ? { ...one, body: null } : one);
    assert.deepEqual(await rooms.linesFrom(origin, 0, 100), [...erased, line(20), line(21)]);
    assert.deepEqual(await rooms.actLines(origin, 0, 100), erased.filter(({ isAct }) => isAct));
  });

  testLog(
    "the state of a log is written with its lines, or not at all, in place of the one before",
    async ({ rooms, origin }) => {
      const frontier = new Frontier(20, await peaks(rooms, origin, 20));
      assert.equal(await rooms.findState(origin), undefined);
      const state = (index: number) => ({ index, state: new Uint8Array(70_000).fill(index) });
      await append(rooms, origin, frontier, [line(20), line(21)], { state: state(21) });
      assert.deepEqual(await rooms.findState(origin), state(21));
      await append(rooms, origin, frontier, [line(22)]);
      await refused(append(rooms, origin, new Frontier(), [line(0)], { state: state(1) }));
      assert.deepEqual(await rooms.findState(origin), state(21));
      await append(rooms, origin, frontier, [line(23)], { state: state(24) });
      assert.deepEqual(await rooms.findState(origin), state(24));
    },
  );

  testLog("what follows from lines stands with them, or not at all", async ({ rooms, origin, lines }) => {
    const key = (byte: number) => new Uint8Array(24).fill(byte);
    for (const name of ["alice", "bob"]) await rooms.addInvitation("#ops", name, "carol");
    const frontier = new Frontier(20, await peaks(rooms, origin, 20));
    const all = { erased: [7], uninvited: ["Alice"], epoch: { epoch: 1, wrappedKey: key(1) } };
    await refused(append(rooms, origin, new Frontier(), [line(0)], all));
    await append(rooms, origin, frontier, [line(20)], { epoch: { epoch: 1, wrappedKey: key(2) } });
    await refused(append(rooms, origin, new Frontier(21, frontier.peaks), [line(21)], all));
    assert.deepEqual(await rooms.linesFrom(origin, 0, 100), [...lines, line(20)]);
    assert.equal((await rooms.invitations("alice")).length, 1);
    await append(rooms, origin, frontier, [line(21)], { ...all, epoch: { epoch: 2, wrappedKey: key(3) } });
    assert.deepEqual(await rooms.epochs(origin, 0, 9), [
      { epoch: 1, wrappedKey: key(2) },
      { epoch: 2, wrappedKey: key(3) },
    ]);
    assert.equal((await rooms.linesFrom(origin, 7, 1))[0]?.body, null);
    assert.deepEqual([await rooms.invitations("alice"), (await rooms.invitations("bob")).length], [[], 1]);
  });

  // Checkpoints and keys.

  testLog(
    "the newest checkpoint is that of the most lines, and a root is found by its size",
    async ({ rooms, origin }) => {
      assert.equal(await rooms.latestCheckpoint(origin), undefined);
      const checkpoint = (size: number, time: number) => ({
        time,
        size,
        root: fingerprint(`root ${size}`),
        sig: new Uint8Array(512).fill(size),
        from: fingerprint("server"),
      });
      for (const [size, time] of [[3, 50], [9, 50], [20, 51]] as const) {
        await rooms.addCheckpoint(origin, checkpoint(size, time));
        assert.deepEqual(await rooms.latestCheckpoint(origin), checkpoint(size, time));
      }
      for (const [by, size] of [[49, undefined], [50, 9], [51, 20], [1e9, 20]] as const) {
        assert.equal((await rooms.latestCheckpoint(origin, by))?.size, size);
      }
      assert.equal(await rooms.signedRoot(origin, 9), fingerprint("root 9"));
      assert.equal(await rooms.signedRoot(origin, 10), undefined);
      const other = newRoom("#other");
      await rooms.createRoom(other);
      assert.equal(await rooms.latestCheckpoint(other.origin), undefined);
      assert.equal(await rooms.signedRoot(other.origin, 9), undefined);
    },
  );

  testLog(
    "two roots for one size are refused, and the same one again is answered with what is held",
    async ({ rooms, origin }) => {
      const first = {
        time: 50,
        size: 20,
        root: fingerprint("a"),
        sig: new Uint8Array(256),
        from: fingerprint("server"),
      };
      assert.deepEqual(await rooms.addCheckpoint(origin, first), first);
      await refused(rooms.addCheckpoint(origin, { ...first, time: 51, root: fingerprint("b") }));
      const again = { ...first, time: 52, sig: new Uint8Array(256).fill(1) };
      assert.deepEqual(await rooms.addCheckpoint(origin, again), first);
      assert.deepEqual(await rooms.latestCheckpoint(origin), first);
    },
  );

  testLog("epochs() gives the keys from an epoch on, each with one key", async ({ rooms, origin }) => {
    const key = (epoch: number): Bytes => new Uint8Array(44).fill(epoch);
    assert.deepEqual(await rooms.epochs(origin, 0, Number.MAX_SAFE_INTEGER), []);
    for (const epoch of [1, 2, 3, 10]) await rooms.addEpoch(origin, epoch, key(epoch));
    const all = [1, 2, 3, 10].map((epoch) => ({ epoch, wrappedKey: key(epoch) }));
    assert.deepEqual(await rooms.epochs(origin, 0, Number.MAX_SAFE_INTEGER), all);
    assert.deepEqual(await rooms.epochs(origin, 2, 2), all.slice(1, 3));
    assert.deepEqual(await rooms.epochs(origin, 11, 2), []);
    await refused(rooms.addEpoch(origin, 2, key(9)));
    assert.deepEqual(await rooms.epochs(origin, 0, 100), all);
  });

  // People.

  testLog(
    "an invitation waits once, whatever the name's case, until who is invited comes",
    async ({ rooms, origin }) => {
      await rooms.addInvitation("#ops", "Alice", "bob");
      await rooms.addInvitation("#ops", "alice", "carol");
      await rooms.addInvitation("#dev", "alice", "Carol");
      await rooms.addInvitation("#ops", "bob", "carol");
      assert.deepEqual(await rooms.invitations("ALICE"), [{ room: "#dev", from: "Carol" }, {
        room: "#ops",
        from: "bob",
      }]);
      const frontier = new Frontier(20, await peaks(rooms, origin, 20));
      await append(rooms, origin, frontier, [line(20)], { uninvited: ["aLice", "nobody"] });
      assert.deepEqual(await rooms.invitations("alice"), [{ room: "#dev", from: "Carol" }]);
      assert.deepEqual(await rooms.invitations("bob"), [{ room: "#ops", from: "carol" }]);
      assert.deepEqual(await rooms.invitations("nobody"), []);
    },
  );

  test("isAccount() knows the names that there are, however they are written", async (rooms, { store }) => {
    await addUser(store, "Alice");
    assert.deepEqual([await rooms.isAccount("alice"), await rooms.isAccount("ALICE")], [true, true]);
    assert.equal(await rooms.isAccount("alcie"), false);
  });

  testLog("a second server finds what the first has written", async ({ rooms, origin, lines, fixture }) => {
    const other = await fixture.second();
    try {
      assert.equal((await other.rooms.findRoom("#ops"))?.size, 20);
      assert.deepEqual(await other.rooms.linesFrom(origin, 0, 100), lines);
      await append(rooms, origin, new Frontier(20, await peaks(rooms, origin, 20)), [line(20)], { erased: [3] });
      assert.equal((await other.rooms.linesFrom(origin, 3, 1))[0]?.body, null);
    } finally {
      await other.close();
    }
  });
}

async function peaks(rooms: RoomStore, origin: string, size: number): Promise<readonly Bytes[]> {
  return await rooms.nodes(origin, peakPlaces(size));
}

async function headAt(rooms: RoomStore, origin: string, size: number): Promise<{ size: number; root: Bytes }> {
  return { size, root: new Frontier(size, await peaks(rooms, origin, size)).root() };
}
