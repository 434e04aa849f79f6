/**
 * What rooms cost: a part of `bench.ts` each, over TLS, with every line verified, logged and durable.
 *
 *     rooms      a room of 100: one member posts as fast as it can, then all do, then one at a low rate
 *     crowd      memory of an idle member, with 1,000 and 5,000 of them
 *     resume     CPU of a session that a token resumes, its TLS included
 *     history    the program comes into a room of 100,000 lines, until all of them are shown and checked
 *     acts       a room of 60,000 lines that are acts is loaded: how long it takes, and how long anybody else waits
 *     proofs     inclusion proofs in a log of a million lines
 */

import type { Bytes } from "../lib/bytes.ts";
import { EXIT, Failure } from "../lib/errors.ts";
import { loadIdentity } from "../lib/identity.ts";
import { RoomRecords } from "../lib/client_room_records.ts";
import { inParallel } from "./bench_load.ts";
import {
  addLines,
  addPeople,
  Crowd,
  frameOf,
  type Log,
  Member,
  people,
  type Person,
  writeLine,
  type Written,
} from "./bench_member.ts";
import {
  atRate,
  type Contestant,
  type Figures,
  measure,
  type Part,
  percentile,
  restingMemory,
  RETURN_MEMORY,
  type Served,
  type Setting,
  startServer,
} from "./bench_server.ts";

/** Lines on their way, of one member who posts alone and of each where all post: fewer than close a slow reader. */
const [WINDOW, SHARED_WINDOW] = [128, 2];
/**
 * So many times the lines of a room go to the one member who is alone in it: what they cost is seen once all is warm.
 */
const ALONE = 5;
/** Lines a second at a low rate. */
const LOW_RATE = 100;
/** Connections that are made at once. */
const AT_ONCE = 8;
const ROOM = "#bench";
/** Chatter of about the length that people write. */
const TEXT = "The quick brown fox jumps over the lazy dog, and then it does it again.";

/** The parts, by their names. */
export const ROOM_PARTS: Readonly<Record<string, Part>> = Object.fromEntries(
  Object.entries({ rooms, crowd, resume, history, acts, proofs }).map(([name, part]) => [
    name,
    (contestant: Contestant, setting: Setting) =>
      contestant.isPeer ? Promise.resolve(new Map()) : part(contestant, setting),
  ]),
);

/** A server's data with a room in it. */
interface World {
  readonly data: string;
  readonly log: Log;
  readonly members: readonly Person[];
  /** The seqno of each member's next line. */
  readonly due: number[];
}

/** Makes a room and its members, all of whom have joined; `more` writes what else stands in its log. */
async function makeWorld(
  contestant: Contestant,
  setting: Setting,
  count: number,
  more: (log: Log, members: readonly Person[]) => Iterable<Written> = () => [],
): Promise<World> {
  const data = `${setting.folder}/${crypto.randomUUID()}`;
  const members = await people(setting.issue, count);
  await addPeople(data, members);
  const [founder] = members;
  if (!founder) throw new RangeError("a room has a member at least");
  let log: Log;
  {
    await using server = await startServer(contestant, setting, { data });
    const member = await Member.arrive(server, founder);
    log = await member.enter(ROOM, true);
    member.leave();
  }
  const began = Date.now() - 3_600_000;
  const joins = members.map(({ username, fingerprint: author }, i) =>
    writeLine(log, setting.key, { author, seqno: 0, ts: began + i, statement: { kind: "join", username } })
  );
  function* all() {
    yield* joins;
    yield* more(log, members);
  }
  await addLines(data, log, all());
  return { data, log, members, due: members.map(() => 1) };
}

/** Everybody's connections, in the room. */
async function arriveAll(server: Served, { members }: World): Promise<Member[]> {
  const arrived: Member[] = new Array(members.length);
  await inParallel(members.length, AT_ONCE, async (i) => {
    const member = arrived[i] = await Member.arrive(server, members[i] as Person);
    await member.enter(ROOM);
  });
  return arrived;
}

/** The next lines of a member, signed now. */
function writeNext({ log, members, due }: World, { key }: Setting, at: number, count: number): Bytes[] {
  const author = members[at]?.fingerprint ?? "";
  return Array.from({ length: count }, () => {
    const seqno = due[at] = (due[at] ?? 0) + 1;
    const statement = { kind: "text", text: TEXT } as const;
    return frameOf(writeLine(log, key, { author, seqno: seqno - 1, ts: Date.now(), statement }));
  });
}

/** Members who post at once, each its own frames. */
interface Load {
  readonly crowd: Crowd;
  readonly posters: readonly Member[];
  /** The frames of each. */
  readonly frames: readonly (readonly Bytes[])[];
  /** How many of one poster's may be on their way: a line is there when everybody has it. */
  readonly window: number;
}

/** Sends all frames as fast as their lines arrive; resolves when everybody has all of them. */
async function post({ crowd, posters, frames, window }: Load): Promise<void> {
  const began = crowd.received;
  const burst = Math.max(1, window / 8);
  await Promise.all(posters.map(async (member, i) => {
    const own = frames[i] ?? [];
    for (let sent = 0; sent < own.length; sent += burst) {
      await crowd.haveReceived(began + Math.max(0, (sent + burst - window) * posters.length));
      member.send(own.slice(sent, sent + burst));
    }
  }));
  await crowd.haveReceived(began + frames.flat().length);
}

async function rooms(contestant: Contestant, setting: Setting): Promise<Figures> {
  const { posts, seconds: duration, members: size } = setting.sizes;
  const world = await makeWorld(contestant, setting, size);
  await using server = await startServer(contestant, setting, { data: world.data });
  const figures: Figures = new Map();
  const members = await arriveAll(server, world);
  const load = async (crowd: Crowd, posters: number, count: number) => {
    const each = Math.ceil(count / posters);
    const frames = Array.from({ length: posters }, (_, i) => writeNext(world, setting, i, each));
    const window = posters === 1 ? WINDOW : SHARED_WINDOW;
    const task = () => post({ crowd, frames, window, posters: members.slice(0, posters) });
    return { lines: each * posters, ...await measure(server, task) };
  };
  const everybody = new Crowd(members);
  await load(everybody, 1, posts / 4); // warm
  for (const posters of [1, size]) {
    const { lines, seconds, cpu } = await load(everybody, posters, posts);
    const who = posters === 1 ? "one posts" : "all post";
    figures.set(`deliveries a second in a room of ${size}, ${who}`, lines * size / seconds);
    figures.set(`CPU µs a delivery, ${who}`, cpu * 1000 / (lines * size));
  }
  const wait = async (crowd: Crowd, author: Member, where: string) => {
    const frames = writeNext(world, setting, 0, LOW_RATE * duration);
    let { received } = crowd;
    const times = await atRate(LOW_RATE, frames.length, async (i) => {
      author.send(frames.slice(i, i + 1));
      received += 1;
      await crowd.haveReceived(received, author);
    });
    for (const share of [50, 99]) {
      figures.set(
        `p${share} ms from post to posted, ${LOW_RATE} lines a second, ${where}`,
        percentile(times, share / 100),
      );
    }
  };
  const [first] = members;
  // All members are in this process: what its reading takes is in the figure.
  if (first) await wait(everybody, first, `a room of ${size}`);
  for (const member of members) member.leave();
  const [alone] = await arriveAll(server, { ...world, members: world.members.slice(0, 1) });
  if (!alone) return figures;
  members[0] = alone;
  const crowd = new Crowd([alone]);
  await load(crowd, 1, posts); // warm, and until the others are gone
  const { lines, cpu } = await load(crowd, 1, ALONE * posts);
  figures.set("CPU µs a posted line, its author alone in the room", cpu * 1000 / lines);
  await wait(crowd, alone, "its author alone");
  alone.leave();
  return figures;
}

async function crowd(contestant: Contestant, setting: Setting): Promise<Figures> {
  const figures: Figures = new Map();
  for (const size of setting.sizes.crowds) {
    const world = await makeWorld(contestant, setting, size + Math.ceil(size / 10));
    await using server = await startServer(contestant, setting, { data: world.data, env: RETURN_MEMORY });
    // What the first ones make the server load is not the others'.
    const first = await arriveAll(server, { ...world, members: world.members.slice(size) });
    const before = await restingMemory(server);
    const others = await arriveAll(server, { ...world, members: world.members.slice(0, size) });
    const after = await restingMemory(server);
    figures.set(`KiB an idle member, ${size} of them`, (after - before) / size);
    for (const member of [...first, ...others]) member.leave();
  }
  return figures;
}

async function resume(contestant: Contestant, setting: Setting): Promise<Figures> {
  const count = setting.sizes.handshakes;
  const world = await makeWorld(contestant, setting, count + Math.ceil(count / 5));
  await using server = await startServer(contestant, setting, { data: world.data });
  const visit = (members: readonly Person[]) =>
    inParallel(members.length, AT_ONCE, async (i) => (await Member.arrive(server, members[i] as Person)).leave());
  await visit(world.members.slice(count)); // warm
  const { cpu } = await measure(server, () => visit(world.members.slice(0, count)));
  return new Map([["CPU ms a resumed session over TLS", cpu / count]]);
}

/** Lines of one author after the other. */
function* chatter(log: Log, members: readonly Person[], { key }: Setting, count: number): Generator<Written> {
  const began = Date.now() - 3_000_000;
  for (let i = 0; i < count; i++) {
    const author = members[i % members.length]?.fingerprint ?? "";
    const seqno = 1 + Math.floor(i / members.length);
    yield writeLine(log, key, { author, seqno, ts: began + i, statement: { kind: "text", text: `${i} ${TEXT}` } });
  }
}

/** Authors of the long history. */
const AUTHORS = 10;

async function history(contestant: Contestant, setting: Setting): Promise<Figures> {
  const { folder, sizes: { history: size } } = setting;
  const newcomer = await newcomerIn(`${folder}/certs`);
  const world = await makeWorld(contestant, setting, AUTHORS, (log, members) => chatter(log, members, setting, size));
  await addPeople(world.data, [newcomer]);
  await using server = await startServer(contestant, setting, { data: world.data });
  const transcripts = `${folder}/${crypto.randomUUID()}`;
  const records = await RoomRecords.open(transcripts, "localhost");
  await records.claim(newcomer.username);
  await records.keepToken(newcomer.token);
  await records.close();
  const [command = "", ...args] = contestant.rooms?.(folder, transcripts) ?? [];
  const began = performance.now();
  const child = new Deno.Command(command, {
    args: [...args, "--tls-port", String(server.tlsPort), ROOM],
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  let [count, seconds, rest] = [0, NaN, ""];
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) if (line.includes(TEXT)) count += 1;
    seconds = (performance.now() - began) / 1000;
    if (count === size) break;
  }
  child.kill("SIGTERM");
  await child.status;
  if (count < size) throw new Failure(EXIT.no, `${count} lines were shown of ${size}`);
  return new Map([[`s until a newcomer is shown ${size} lines, from the program's start`, seconds]]);
}

/** Acts of the room that is loaded, at most. */
const ACTS = 60_000;

/** Lines of two members that set the topic again and again. */
function* topics(log: Log, members: readonly Person[], { key }: Setting, count: number): Generator<Written> {
  const began = Date.now() - 3_000_000;
  for (let i = 0; i < count; i++) {
    const author = members[i % 2]?.fingerprint ?? "";
    const statement = { kind: "topic", text: `topic ${i}` } as const;
    yield writeLine(log, key, { author, seqno: 1 + Math.floor(i / 2), ts: began + i, statement });
  }
}

async function acts(contestant: Contestant, setting: Setting): Promise<Figures> {
  const count = 2 * Math.floor(Math.min(ACTS, setting.sizes.history) / 2);
  const world = await makeWorld(contestant, setting, 2, (log, members) => topics(log, members, setting, count));
  world.due.fill(1 + count / 2);
  const { data, members: [loader, other] } = world;
  if (!loader || !other) return new Map();
  /** Comes into the room while the other pings: milliseconds until it is in, and of the longest ping. */
  const load = async (isFirst: boolean): Promise<[number, number]> => {
    await using server = await startServer(contestant, setting, { data });
    const [member, pinger] = [await Member.arrive(server, loader), await Member.arrive(server, other)];
    let [longest, isIn] = [0, false];
    const pinging = (async () => {
      while (!isIn) {
        const began = performance.now();
        await pinger.ask({ type: "ping" });
        longest = Math.max(longest, performance.now() - began);
      }
    })();
    const began = performance.now();
    await member.enter(ROOM);
    const took = performance.now() - began;
    isIn = true;
    await pinging;
    if (isFirst) { // with the next line the room's state is stored
      member.send(writeNext(world, setting, 0, 1));
      const size = count + 3;
      for (let isThere = false; !isThere;) {
        const head = await member.ask({ type: "checkpoint", room: ROOM }).catch(() => undefined);
        isThere = head?.type === "checkpoint" && head.checkpoint.size >= size;
      }
    }
    for (const one of [member, pinger]) one.leave();
    return [took, longest];
  };
  await load(true);
  const [took, longest] = await load(false);
  return new Map([
    [`ms until a room of ${count} acts is loaded`, took],
    ["ms of the longest ping meanwhile", longest],
  ]);
}

/** Somebody whose certificate and key are files, as the program takes them. */
async function newcomerIn(dir: string): Promise<Person> {
  const identity = await loadIdentity(dir, "client");
  const token = crypto.getRandomValues(new Uint8Array(32));
  return { username: "newcomer", identity, fingerprint: identity.chain[0]?.fingerprint ?? "", token };
}

async function proofs(contestant: Contestant, setting: Setting): Promise<Figures> {
  const { sizes: { log: size, posts } } = setting;
  const world = await makeWorld(
    contestant,
    setting,
    1,
    (log, members) => chatter(log, members, setting, size - 1),
  );
  await using server = await startServer(contestant, setting, { data: world.data });
  const [member] = await arriveAll(server, world);
  if (!member) return new Map();
  const ask = async () => {
    const index = Math.floor(Math.random() * size);
    await member.ask({ type: "inclusion", room: ROOM, index, size });
  };
  for (let i = 0; i < posts / 10; i++) await ask(); // warm
  let times: number[] = [];
  const { cpu } = await measure(server, async () => void (times = await atRate(1000, posts, ask)));
  member.leave();
  return new Map([
    [`p50 ms of an inclusion proof, of ${size} lines`, percentile(times, 0.5)],
    ["CPU µs an inclusion proof", cpu * 1000 / posts],
  ]);
}
