/** Rooms of a hub without a server, for tests of the modules `room_*`: people in them, and a store that can be made to wait. */

import type { Clock } from "../lib/bytes.ts";
import type { Statement } from "../lib/log_envelope.ts";
import type { PostFields } from "../lib/log_requests.ts";
import { VerifyingKey } from "../lib/pss.ts";
import { Hub } from "../lib/room_hub.ts";
import { assert } from "./assert.ts";
import { countingRandom, fixedClock, identities } from "./fixtures.ts";
import { MemoryRoomStore } from "./memory_room_store.ts";
import { Person } from "./people.ts";

/** A hub on a store in memory. */
export interface Bench {
  readonly hub: Hub;
  readonly store: MemoryRoomStore;
  /** Runs what was put off, and waits for what was posted. */
  settle(): Promise<void>;
  readonly alarms: string[];
  /** The server's. */
  readonly certificate: { ends: number };
  /** What was put off and has not been run. */
  readonly later: readonly (() => void)[];
}

/** Opens a hub; what it puts off is run by {@link Bench.settle}. */
export async function bench(
  now: Clock = fixedClock,
  store = new MemoryRoomStore(),
  revoked: ReadonlySet<string> = new Set(),
  turn: () => Promise<void> = () => Promise.resolve(),
  clock = { isDoubtful: false, latest: now, witness: (_account: string, _ts: number) => {} },
): Promise<Bench> {
  const { server } = await identities();
  const leaf = server.chain[0];
  const serverKey = new VerifyingKey(leaf?.rsa?.modulus ?? 0n);
  const later: (() => void)[] = [];
  const alarms: string[] = [];
  const certificate = { ends: Infinity };
  const hub = new Hub({
    store,
    devices: store,
    keys: { wrap: (key) => key, unwrap: (key) => key },
    signer: () => ({ key: server.key, fingerprint: leaf?.fingerprint ?? "", ...certificate }),
    serverName: "localhost",
    now,
    clock,
    random: countingRandom(),
    later: (_, run) => later.push(run),
    turn,
    serverKey: (fingerprint) => Promise.resolve(fingerprint === leaf?.fingerprint ? serverKey : undefined),
    revoked: (fingerprints) => Promise.resolve(fingerprints.filter((one) => revoked.has(one))),
    alarm: (message) => alarms.push(message),
  });
  const settle = async () => {
    await hub.settled();
    for (const run of later.splice(0)) run();
    await hub.settled();
  };
  return { hub, store, settle, alarms, certificate, later };
}

/** A room that ada made and both are in. */
export async function room(policy: { history?: "all" | "since_join"; inviteOnly?: boolean } = {}) {
  const made = await bench();
  const [ada, bob] = [await Person.create("ada"), await Person.create("bob")];
  const { history = "all", inviteOnly = false } = policy;
  assert.equal(
    await ada.ask(made.hub, { type: "create", room: "#ops", mode: "recorded", history, inviteOnly }),
    undefined,
  );
  assert.equal(await ada.say(made.hub, "#ops", { kind: "join", username: "ada" }), undefined);
  await made.settle();
  if (!inviteOnly) {
    assert.equal(await bob.enter(made.hub, "#ops"), undefined);
    await made.settle();
  }
  return { ...made, ada, bob };
}

/** Posts lines of several people at once, so that they are written together. */
export async function together(hub: Hub, lines: readonly (readonly [Person, Statement | string])[]): Promise<void> {
  const posts: [Person, PostFields][] = [];
  for (const [person, line] of lines) {
    posts.push([person, await person.write("#ops", typeof line === "string" ? { kind: "text", text: line } : line)]);
    person.rooms.get("#ops")!.seqno += 1;
  }
  const asked = posts.map(([person, post]) => person.ask(hub, { type: "post", ...post }));
  assert.deepEqual(await Promise.all(asked), posts.map(() => undefined));
}

/** A server on a database that was restored from a backup of two lines, and the head of five that ada holds. */
export async function restored() {
  const first = await room();
  for (let i = 0; i < 3; i++) await first.ada.say(first.hub, "#ops", `line ${i}`);
  await first.settle();
  const { ada, bob, store } = first;
  const origin = ada.rooms.get("#ops")?.origin ?? "";
  const newest = await store.latestCheckpoint(origin);
  assert.equal(newest?.size, 5);
  const log = store.log(origin);
  log.lines.length = 2;
  log.checkpoints.length = 0;
  return { ...await bench(fixedClock, store), ada, bob, origin, newest };
}

/** What somebody was told of who is here, in the order in which it came. */
export function presence(person: Person, room = "#ops"): string[] {
  return person.heard.flatMap((frame) =>
    frame.type === "presence" && frame.room === room ? [`${frame.username} ${frame.state}`] : []
  );
}

/** Makes the store's commits wait. `reached` resolves when one does; `release` lets them go on. */
export function heldCommits(store: MemoryRoomStore): { readonly reached: Promise<void>; readonly release: () => void } {
  const [reached, held] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  store.beforeCommit = () => {
    reached.resolve();
    return held.promise;
  };
  return { reached: reached.promise, release: held.resolve };
}

/** Resolves in the next task of the event loop, as a timer's work is done: everything that can go on by itself has. */
export function nextTask(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}
