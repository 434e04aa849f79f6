/**
 * The client, as a program, against a server that lies on the wire: which lie it names, what it keeps and what it does
 * from then on, and what the verifier says of what it has. Every liar signs with the server's own key what it needs to.
 */

import { decrypt, encrypt } from "../lib/aes_cbc.ts";
import { type Bytes, encodeBase64, parseBase64 } from "../lib/bytes.ts";
import { isCheckpointSigned, parseCheckpoint, signCheckpoint } from "../lib/log_checkpoint.ts";
import { encodeEnvelope } from "../lib/log_envelope.ts";
import { isJsonObject, type JsonObject, member, parseJson } from "../lib/json.ts";
import { AesKeyWrap } from "../lib/key_wrap.ts";
import { VerifyingKey } from "../lib/pss.ts";
import { signStatement } from "../lib/receipt.ts";
import type { Lie } from "../lib/client_event.ts";
import { loadRoomKey } from "../lib/room_key_file.ts";
import { logHash, signRoomLine } from "../lib/log_line.ts";
import { openSqliteStore } from "../lib/store_sqlite.ts";
import { connectTls } from "../lib/transport.ts";
import { parseCertificates, transcriptLines, verifyRoom } from "../mod.ts";
import { assert } from "./assert.ts";
import { run } from "./environment.ts";
import { authority, identities } from "./fixtures.ts";
import { type Liar, LyingFront, type ShownLog } from "./lying_front.ts";
import { personIdentity, type WireFrame } from "./room_bench.ts";
import { dialTcp, Person } from "./room_person.ts";
import { type Client, ofType, World } from "./room_program.ts";

const posted = (frame: WireFrame, index: number) => frame.type === "posted" && frame.index === index;
const headOf = (frame: WireFrame) => frame.type === "checkpoint" ? frame.size as number : -1;

/** Two lines of two authors in each other's place, and where the heads are false too, nothing that shows it. */
function swapped(at: number, isSigned: boolean): Liar {
  let held: WireFrame | undefined;
  return async (frame, shown) => {
    if (posted(frame, at)) held = frame;
    if (posted(frame, at) || headOf(frame) === at + 1) return [];
    if (posted(frame, at + 1) && held) return [{ ...frame, index: at }, { ...held, index: at + 1 }];
    return [isSigned && headOf(frame) > at + 1 ? await shown.head(headOf(frame)) : frame];
  };
}

/** A lie, in a room of its own. `at`: the index of ada's "one"; cem's "two" and ada's "three" come after it. */
interface Case {
  readonly lie: Lie;
  readonly liar: (at: number, data: string) => Liar;
  /** The texts that were shown before and stay. */
  readonly kept: readonly string[];
  /** What an export shows of them: what a head covers that is of these lines. */
  readonly exported?: readonly string[];
}

const ALL = ["before", "one", "two"];

const CASES: Readonly<Record<string, Case>> = {
  "#dropped": {
    lie: "missing line",
    liar: (at) => (frame) => posted(frame, at) ? [] : [frame],
    kept: ["before"],
  },
  "#closed-ranks": {
    lie: "wrong order",
    liar: (at) => async (frame, shown) => {
      if (posted(frame, at)) return [];
      if (frame.type === "posted" && frame.index as number > at) {
        return [{ ...frame, index: frame.index as number - 1 }];
      }
      return [headOf(frame) > at ? await shown.head(headOf(frame) - 1) : frame];
    },
    kept: ["before", "two"],
  },
  "#swapped": {
    lie: "wrong head",
    liar: (at) => swapped(at, false),
    kept: ["before", "two", "one"],
    exported: ["before"],
  },
  "#swapped-signed": {
    lie: "fork", // by what ada's next line had seen
    liar: (at) => swapped(at, true),
    kept: ["before", "two", "one"],
  },
  "#changed": {
    lie: "changed line",
    liar: (at, data) => async (frame, shown) => {
      if (!posted(frame, at)) return [frame];
      const key = await roomKey(frame, shown.origin, data);
      const words = decrypt(key, parseBase64(String(frame.body)) ?? assert.fail()) ?? assert.fail();
      return [{ ...frame, body: encodeBase64(encrypt(key, new Uint8Array(16), words)) }]; // the same words in other bytes
    },
    kept: ["before"],
  },
  "#redated": {
    lie: "invented line",
    liar: (at) => async (frame, shown) => {
      if (posted(frame, at)) return [{ ...frame, ts: frame.ts as number + 60_000 }];
      return [headOf(frame) > at ? await shown.head(headOf(frame)) : frame];
    },
    kept: ["before"],
  },
  "#replayed": {
    lie: "replayed line",
    liar: (at) => (frame) => [posted(frame, at) && elsewhere ? { ...elsewhere, room: "#replayed" } : frame],
    kept: ["before"],
  },
  "#rewound": {
    lie: "old head",
    liar: (at) => async (frame, shown) => headOf(frame) === at + 2 ? [frame, await shown.head(at)] : [frame],
    kept: ALL,
  },
  "#invented": {
    lie: "invented line",
    liar: (at, data) => async (frame, shown) => {
      if (posted(frame, at)) return [await invented(frame, shown, data)];
      return [headOf(frame) > at ? await shown.head(headOf(frame)) : frame];
    },
    kept: ["before"],
  },
  "#unsigned": {
    lie: "unsigned head",
    liar: (at) => async (frame, shown) => {
      if (headOf(frame) === at + 1) return [];
      return [headOf(frame) > at ? await signedByCem(frame, shown.origin) : frame];
    },
    kept: ["before", "one", "two"],
    exported: ["before"],
  },
};

/** A line of ada's in a room where the server is honest. */
let elsewhere: WireFrame | undefined;

/** The key under which a line's body is: the server has it. */
async function roomKey(frame: WireFrame, origin: string, data: string): Promise<Bytes> {
  const store = await openSqliteStore(data);
  const [epoch] = await store.rooms.epochs(origin, frame.epoch as number, 1);
  await store.close();
  const wrap = new AesKeyWrap(await loadRoomKey(data), (size) => new Uint8Array(size));
  return epoch && wrap.unwrap(epoch.wrappedKey, `${origin} epoch ${epoch.epoch}`) || assert.fail();
}

/** In place of a line another of the same author, made with all that a server has: everything but the author's key. */
async function invented(frame: WireFrame, shown: ShownLog, data: string): Promise<WireFrame> {
  const { origin } = shown;
  const key = await roomKey(frame, origin, data);
  const { size, root } = parseCheckpoint(await shown.head(frame.index as number)) ?? assert.fail();
  const statement = { kind: "text", text: "I resign" } as const;
  const envelope = encodeEnvelope({ room: "#invented", seen: { size, root }, statement, salt: new Uint8Array(16) });
  const body = encrypt(key, new Uint8Array(16), envelope);
  const { server } = await identities();
  const author = {
    ...{ key: server.key, fingerprint: String(frame.from), seqno: frame.seqno as number, ts: frame.ts as number },
  };
  const line = await signRoomLine({ log: logHash(origin), envelope, body }, author);
  return { ...frame, ct: encodeBase64(line.body), sig: encodeBase64(line.signature), body: encodeBase64(body) };
}

async function signedByCem(frame: WireFrame, origin: string): Promise<WireFrame> {
  const { size, root, time, from } = parseCheckpoint(frame) ?? assert.fail();
  const { key } = await personIdentity("cem");
  const { sig } = await signCheckpoint(origin, { size, root }, { key, fingerprint: from, time });
  return { ...frame, sig: encodeBase64(sig) };
}

/** Lies that are told when the client is started again. */
const LATER: Readonly<Record<string, { readonly lie: Lie; readonly liar: Liar }>> = {
  "#renamed": {
    lie: "other log",
    liar: (frame) => [frame.type === "joined" ? { ...frame, origin: `localhost/#renamed/${"0".repeat(32)}` } : frame],
  },
  "#lost": {
    lie: "old head",
    liar: (frame) => [frame.type === "joined" ? { ...frame, count: 2 } : frame],
  },
};

/** Ada and cem, who write past the liar, in rooms that ada makes. */
class Crew implements AsyncDisposable {
  private constructor(
    readonly ada: Person,
    readonly cem: Person,
    readonly rooms: readonly string[],
    readonly quiet: LyingFront,
  ) {}

  static async create({ path, server }: World, rooms: readonly string[]): Promise<Crew> {
    // Cem is told of no head but those that he comes in with: so his lines name none that a liar would have to mind.
    const quiet = await LyingFront.open({ port: server.port, certs: `${path}/certs` });
    for (const room of rooms) quiet.lieIn(room, (frame) => frame.type === "checkpoint" ? [] : [frame]);
    const authorities = [(await authority()).certificate.pem];
    const link = { timeout: 5_000, maxQueued: 1 << 22, authorities };
    const dir = `${path}/crew`;
    const ada = await Person.create("ada", { dir, dial: dialTcp(server) });
    const cem = await Person.create("cem", { dir, dial: () => connectTls("localhost", Number(quiet.port), link) });
    await Promise.all([ada.session.start(), cem.session.start()]);
    await Promise.all(rooms.map((room) => ada.session.rooms.create(room)));
    await Promise.all(rooms.map((room) => cem.session.rooms.join(room)));
    return new Crew(ada, cem, rooms, quiet);
  }

  /** Somebody says this in every room; resolves when both have heard it there. */
  async say(person: Person, text: string, rooms = this.rooms): Promise<void> {
    await Promise.all(rooms.map((room) => person.session.rooms.say(room, text)));
    for (const one of [this.ada, this.cem]) {
      await one.until((listener) => rooms.every((room) => listener.texts(room).includes(text)));
    }
  }

  /** Resolves when ada has seen signed heads of so many lines: her next lines name them. */
  async covered(rooms: readonly string[], size: number): Promise<void> {
    await this.ada.until(({ events }) => rooms.every((room) => isCovered(events, room, size)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.ada.session.stop();
    await this.cem.session.stop();
    this.quiet[Symbol.dispose]();
  }
}

function isCovered(events: Client["events"], room: string, size: number): boolean {
  return events.some((event) => event.event === "covered" && event.room === room && event.size >= size);
}

/** The texts that were shown of a room and are not shown as bad. */
function texts({ events }: Pick<Client, "events">, room: string): (string | null)[] {
  return events.flatMap((event) =>
    event.event === "line" && event.room === room && event.kind === "text" && event.bad === null ? [event.text] : []
  );
}

function lies(client: Client, room: string): string[] {
  return ofType(client, "lie").flatMap((event) => event.room === room ? [event.lie] : []);
}

/** Asks one thing after the other; what each was answered with: `done`, or why not, by its place. */
async function ask(client: Client, commands: readonly object[]): Promise<string[]> {
  const mark = crypto.randomUUID();
  for (const [at, command] of commands.entries()) await client.type({ ...command, id: `${mark} ${at}` });
  const answer = (at: number) =>
    client.events.find((event) => "id" in event && event.id === `${mark} ${at}`) as { reason?: string } | undefined;
  await client.until(() => answer(commands.length - 1) !== undefined);
  return commands.map((_, at) => answer(at)?.reason ?? "done");
}

const NOT_TRUSTED = /The server was caught in this room; it is not trusted. \/forget #/;

Deno.test("a server that lies on the wire is caught by the name of its lie, in that room alone and for good", async () => {
  const [cases, later] = [Object.entries(CASES), Object.entries(LATER)];
  await using world = await World.create();
  using front = await LyingFront.open({ port: world.server.port, certs: `${world.path}/certs` });
  const rooms = [...cases, ...later].map(([room]) => room);
  await using crew = await Crew.create(world, [...rooms, "#honest", "#misnamed"]);
  const { ada, cem } = crew;

  world.tlsPort = front.port;
  front.lieIn("#misnamed", (frame) => {
    return [frame.type === "joined" ? { ...frame, origin: String(frame.origin).replace("misnamed", "honest") } : frame];
  });
  await using bob = await world.start("bob", "--json", ...rooms, "#honest", "#misnamed");
  await bob.until(/"event":"error","command":"join","reason":"The server was caught in this room; it is not trusted/);
  assert.deepEqual(lies(bob, "#misnamed"), ["other log"]);

  await crew.say(ada, "before");
  const at = ada.lines("#honest").length;
  await bob.until(({ events }) => [...rooms, "#honest"].every((room) => isCovered(events, room, at)));
  for (const [room, { liar }] of cases) front.lieIn(room, liar(at, `${world.path}/data`));
  front.lieIn("#honest", (frame) => {
    if (posted(frame, at)) elsewhere = frame;
    return [frame];
  });
  await crew.say(ada, "one", ["#honest"]);
  await bob.until((client) => texts(client, "#honest").includes("one"));
  await crew.say(ada, "one", crew.rooms.filter((room) => room !== "#honest"));
  await crew.say(cem, "two");
  await crew.covered(rooms, at + 2);
  await crew.say(ada, "three");
  await bob.until((client) => cases.every(([room]) => lies(client, room).length > 0));
  await crew.say(ada, "after");
  await bob.until((client) => texts(client, "#honest").includes("after"));

  for (const [room, { lie, kept }] of cases) {
    assert.deepEqual(lies(bob, room), [lie], room);
    assert.deepEqual(texts(bob, room), kept, room);
    const asked = [{ command: "say", room, text: "really?" }, { command: "history", room, count: 99 }];
    const [said, answer] = await ask(bob, asked);
    assert.match(said ?? "", NOT_TRUSTED, room);
    assert.equal(answer, "done");
    const history = ofType(bob, "history").at(-1)?.lines ?? [];
    assert.deepEqual(history.flatMap(({ kind, text }) => kind === "text" ? [text] : []), kept, room);
  }
  assert.deepEqual(await ask(bob, [{ command: "say", room: "#honest", text: "still here" }]), ["done"]);
  await ada.until((person) => person.texts("#honest").includes("still here"));
  assert.ok(cases.every(([room]) => !ada.texts(room).includes("really?")));

  // What of it is shown to others is what a head covers; more than that is not to be had.
  for (const [room, { kept, exported = kept }] of cases) {
    assert.deepEqual(await ask(bob, [{ command: "export", room }]), ["done"], room);
    const { result, sentence, opened } = await verdictOf(world, ofType(bob, "exported").at(-1)?.files ?? []);
    assert.equal(result, "valid", `${room}: ${sentence}`);
    assert.deepEqual(opened.flatMap(({ kind, body }) => kind === "text" ? [body] : []), exported, room);
  }
  const left = ofType(bob, "error").flatMap(({ command, reason }) => command === "export" ? [reason] : []);
  assert.ok(left.some((reason) => /^2 lines at the end are left out: no signed head covers them/.test(reason)));
  const [more] = await ask(bob, [{ command: "export", room: "#swapped", to: at + 2 }]);
  assert.match(more ?? "", /no signed head covers line 5 of #swapped/);
  await crew.covered(rooms, at + 4);
  await ask(bob, [{ command: "who", room: "#honest" }, ...cases.map(([room]) => ({ command: "head", room }))]);
  for (const { room, size } of ofType(bob, "head")) assert.ok(size <= at + 2, `${room} takes no later head`);
  assert.equal(await bob.end(), 4, "of the rooms that were named none but one was come into");

  front.reform();
  for (const [room, { liar }] of later) front.lieIn(room, liar);
  await using again = await world.start("bob", "--json");
  await again.until((client) => [...rooms, "#misnamed"].every((room) => lies(client, room).length > 0));
  await crew.say(ada, "later");
  await again.until((client) => texts(client, "#honest").includes("later"));
  for (
    const [room, lie] of [...cases, ...later, ["#misnamed", { lie: "other log" }] as const].map(([room, { lie }]) =>
      [room, lie] as const
    )
  ) {
    assert.deepEqual(lies(again, room), [lie], room);
    const answers = await ask(again, [{ command: "join", room }, { command: "say", room, text: "and now?" }]);
    for (const answer of answers) assert.match(answer, NOT_TRUSTED, room);
    assert.ok(!texts(again, room).includes("later"), room);
  }
  for (const [room, { kept }] of cases) assert.deepEqual(texts(again, room), kept, room);

  // The deliberate way on, with a server that has stopped lying.
  const room = "#dropped";
  assert.deepEqual(await ask(again, [{ command: "forget", room }, { command: "join", room }]), ["done", "done"]);
  await again.until((client) => texts(client, room).at(-1) === "later");
  assert.deepEqual(texts(again, room).slice(1), ["before", "one", "two", "three", "after", "later"]);
  assert.deepEqual(lies(again, room), ["missing line"], "the old one");
  const folder = ofType(again, "forgotten")[0]?.folder ?? "";
  assert.match(await Deno.readTextFile(`${world.path}/${folder}/lie`), /missing line/);
  assert.equal(await again.end(), 0);
});

/** What the verifier says of an export's files; with a checkpoint of somebody else's put in, too. */
async function verdictOf(
  world: World,
  files: readonly string[],
  change = (receipt: JsonObject) => Promise.resolve(receipt),
) {
  const [receipt = "", transcript = "", openings = ""] = files.map((file) => `${world.path}/${file}`);
  const shown = parseJson(await Deno.readTextFile(receipt));
  assert.ok(isJsonObject(shown));
  return await verifyRoom({
    receipt: await change(shown),
    lines: transcriptLines(await Deno.readFile(transcript)),
    openings: transcriptLines(await Deno.readFile(openings)),
  }, { authorities: [(await authority()).certificate], revocations: [] });
}

Deno.test("two members who are shown different logs have other codes, and two heads that convict the server when they meet", async () => {
  const room = "#split";
  await using world = await World.create();
  using front = await LyingFront.open({ port: world.server.port, certs: `${world.path}/certs` });
  await using crew = await Crew.create(world, [room]);
  const { ada, cem } = crew;
  await using bob = await world.start("bob", "--json", room);
  world.tlsPort = front.port;
  await using carol = await world.start("carol", "--json", room);
  const both = [bob, carol];
  await crew.ada.until((person) => person.lines(room).length === 4);
  await crew.say(ada, "before");
  const at = ada.lines(room).length;
  const codes = async (size: number) => {
    for (const client of both) await client.until(({ events }) => isCovered(events, room, size));
    for (const client of both) assert.deepEqual(await ask(client, [{ command: "head", room }]), ["done"]);
    const heads = both.map((client) => ofType(client, "head").at(-1) ?? assert.fail());
    assert.deepEqual(heads.map((head) => head.size), [size, size]);
    return heads;
  };
  const [one, other] = await codes(at);
  assert.equal(one?.code, other?.code);

  front.lieIn(room, swapped(at, true));
  await crew.say(ada, "one");
  await crew.say(cem, "two");
  const [bobs, carols] = await codes(at + 2);
  assert.notEqual(bobs?.code, carols?.code);
  assert.deepEqual([texts(bob, room), texts(carol, room)], [["before", "one", "two"], ["before", "two", "one"]]);
  assert.deepEqual([lies(bob, room), lies(carol, room)], [[], []], "members kept wholly apart can't know");

  // Each shows what is good as far as it goes; with the other's head beside it, neither is.
  const exports = [];
  for (const client of both) {
    assert.deepEqual(await ask(client, [{ command: "export", room }]), ["done"]);
    const files = ofType(client, "exported").at(-1)?.files ?? [];
    assert.equal((await verdictOf(world, files)).result, "valid");
    const receipt = parseJson(await Deno.readTextFile(`${world.path}/${files[0]}`));
    assert.ok(isJsonObject(receipt));
    exports.push({ files, receipt, head: member(receipt, "checkpoint") ?? null });
  }
  for (const [at, name] of ["bob", "carol"].entries()) {
    const [own, theirs] = [exports[at] ?? assert.fail(), exports[1 - at] ?? assert.fail()];
    const { key } = await personIdentity(name);
    const receipt = await signStatement({ ...own.receipt, checkpoints: [theirs.head] }, key);
    const verdict = await verdictOf(world, own.files, () => Promise.resolve(receipt));
    const failed = verdict.checks.filter(({ outcome }) => outcome === "failed");
    assert.deepEqual([verdict.result, failed.map((check) => check.name)], ["invalid", ["checkpoints"]]);
    await Deno.writeTextFile(`${world.path}/${own.files[0]}`, JSON.stringify(receipt));
  }
  const [receipt = "", transcript = ""] = exports[0]?.files ?? [];
  const printed = await run(["verify", receipt, transcript, "--ca", "bob/ca_cert.pem"], { cwd: world.path });
  assert.equal(printed.status, 1);
  assert.match(printed.stdout, /contradict the lines, or each other: the checkpoint\s+of 7 is of another log/);

  assert.equal(await carol.end(), 0);
  front.reform();
  await using again = await world.start("carol", "--json");
  await again.until((client) => lies(client, room).length > 0);
  assert.deepEqual(lies(again, room), ["fork"]);
  assert.deepEqual(texts(again, room), ["before", "two", "one"]);
  assert.equal(await again.end(), 0);
  const kept = parseJson(await Deno.readTextFile(`${world.path}/carol/kept/rooms/localhost/${room}/lie`));
  assert.ok(isJsonObject(kept) && Array.isArray(kept.heads));
  const heads = kept.heads.map((head) => parseCheckpoint(head) ?? assert.fail());
  const [server] = await parseCertificates(await Deno.readTextFile(`${world.path}/certs/server_cert.pem`));
  const key = new VerifyingKey(server?.rsa?.modulus ?? 0n);
  const origin = String(member(exports[0]?.receipt ?? {}, "origin"));
  assert.deepEqual(heads.map((head) => [head.size, isCheckpointSigned(origin, head, key)]), [[at + 2, true], [
    at + 2,
    true,
  ]]);
  assert.notEqual(heads[0]?.root, heads[1]?.root);
});
