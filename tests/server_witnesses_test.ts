import { assert } from "./assert.ts";
import { type Bytes, concat, encodeUtf8, parseUtf8, uint64 } from "../lib/bytes.ts";
import { Failure } from "../lib/errors.ts";
import { encodeNote, encodeSignatureLine, type Note, type NoteHead, parseNote } from "../lib/log_note.ts";
import { cosign, encodeVkey, type NoteSigner, verifyNote } from "../lib/log_note_key.ts";
import type { OpenNote } from "../lib/server_log.ts";
import type { WitnessReply, WitnessTransport } from "../lib/server_witness_exchange.ts";
import { askable, CLOSE_AFTER, Witnesses, type WitnessNews } from "../lib/server_witnesses.ts";
import { judge, readRequest, type WitnessedNote } from "../lib/witness_judge.ts";
import { type Cosigners, cosignersOf, isSatisfied, parsePolicy, type WitnessPolicy } from "../lib/witness_policy.ts";
import { ADD_CHECKPOINT } from "../lib/witness_request.ts";
import { GrowingLog, LOG, logSigner, noteOf, rootOf, witnessSigner } from "./note_fixtures.ts";

const NOW = 1_700_000_000_000;

/** A witness without a network: what it answers instead, and what it has seen. */
interface Played {
  readonly signer: NoteSigner;
  newest: WitnessedNote | undefined;
  readonly asked: { readonly old: number; readonly size: number }[];
  /** Answers in place of the witness. */
  instead: ((body: Bytes) => Promise<WitnessReply> | WitnessReply | undefined) | undefined;
  /** What it serves when it is looked at; nothing without it. */
  shows: Uint8Array | undefined;
}

/** Some witnesses, a server that asks them, and a clock that the test turns. */
class World {
  now = NOW;
  /** The log's size in the database. */
  size = 0;
  readonly found: NoteHead[] = [];
  readonly news: WitnessNews[] = [];
  readonly played: readonly Played[];
  readonly policy: WitnessPolicy;
  readonly witnesses: Witnesses;
  #timers: { at: number; run: () => void }[] = [];

  private constructor(readonly log: GrowingLog, signers: readonly NoteSigner[], quorum: string) {
    this.played = signers.map((signer) => ({
      signer,
      newest: undefined,
      asked: [],
      instead: undefined,
      shows: undefined,
    }));
    const lines = signers.map(({ key }, i) => `witness w${i} ${encodeVkey(key)} http://w${i}.example/`);
    this.policy = parsePolicy([...lines, quorum].join("\n"));
    this.witnesses = new Witnesses({
      policy: this.policy,
      log: log.signer.key,
      transport: this.#transport,
      now: () => this.now,
      later: (ms, run) => this.#timers.push({ at: this.now + ms, run }),
      size: () => Promise.resolve(this.size),
      found: (head) => Promise.resolve(void this.found.push(head)),
      tell: (news) => this.news.push(news),
    });
  }

  static async create(count: number, quorum = "quorum w0", size = 100): Promise<World> {
    const names = Array.from({ length: count }, (_, i) => witnessSigner(40 + i, `witness.example/w${i}`));
    return new World(await GrowingLog.create(size), await Promise.all(names), quorum);
  }

  readonly #transport: WitnessTransport = {
    post: async (url, body) => {
      const one = this.#at(url, ADD_CHECKPOINT);
      const request = readRequest(body);
      assert(request && body.length <= 10_000);
      one.asked.push({ old: request.old, size: Number(request.note.text.split("\n")[1]) });
      return await one.instead?.(body) ?? await this.answer(one, body);
    },
    get: (url) => {
      const { shows } = this.#at(url, "/checkpoint");
      return Promise.resolve({ status: shows ? 200 : 404, body: new Uint8Array(shows ?? []) });
    },
  };

  #at(url: string, path: string): Played {
    const [, index = ""] = /^http:\/\/w([0-9]+)\.example\/[^/]/.exec(url) ?? [];
    const one = this.played[Number(index)];
    assert(one && url.endsWith(path), url);
    return one;
  }

  /** What an honest witness answers. */
  async answer(one: Played, body: Bytes): Promise<WitnessReply> {
    const request = readRequest(body);
    assert(request);
    const { status, body: text, cosigned } = await judge(request, {
      signer: one.signer,
      keysOf: () => [this.log.signer.key],
      newestOf: () => one.newest,
      now: Math.floor(this.now / 1000),
      mayCosign: () => true,
    });
    one.newest = cosigned ?? one.newest;
    return { status, body: encodeUtf8(text) };
  }

  async open(size: number): Promise<OpenNote> {
    const note = parseUtf8(encodeNote(await this.log.noteAt(size))) ?? "";
    return { note, size, root: this.log.rootAt(size), proof: (from) => this.log.proof(from, size) };
  }

  async close(size: number): Promise<Note> {
    const note = parseNote(encodeUtf8(await this.witnesses.cosign(await this.open(size))));
    assert(note);
    return note;
  }

  cosigners(note: Note): Promise<Cosigners | undefined> {
    return cosignersOf(note, this.policy, Math.floor(this.now / 1000));
  }

  /** Lets time pass, and runs what was planned. */
  async pass(ms: number): Promise<void> {
    this.now += ms;
    const due = this.#timers.filter(({ at }) => at <= this.now);
    this.#timers = this.#timers.filter(({ at }) => at > this.now);
    for (const { run } of due) run();
    await turn();
  }

  /** How much is planned. */
  get plans(): number {
    return this.#timers.length;
  }
}

/** Lets others go on. */
const turn = () => new Promise<void>((resolve) => setTimeout(resolve, 0));

/** Resolves once that is so. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await turn();
}

Deno.test("a note is closed with the log's line and those of all witnesses, in the order of the policy", async () => {
  const world = await World.create(3);
  const note = await world.close(5);
  assert.deepEqual(note.signatures.map(({ name }) => name), [
    LOG,
    "witness.example/w0",
    "witness.example/w1",
    "witness.example/w2",
  ]);
  assert.equal((await world.cosigners(note))?.size, 3);
  await world.close(60);
  await world.close(60);
  assert.deepEqual(world.played[0]?.asked, [{ old: 0, size: 5 }, { old: 5, size: 60 }, { old: 60, size: 60 }]);
  assert.deepEqual(world.news, []);
  assert.deepEqual(world.witnesses.status()[0], {
    witness: "w0",
    url: "http://w0.example/",
    size: 60,
    time: NOW / 1000,
    problem: undefined,
  });
});

Deno.test("without witnesses a note is closed at once, as it is", async () => {
  const world = await World.create(0, "quorum none");
  assert.equal((await world.close(5)).signatures.length, 1);
});

Deno.test("a server that forgot what a witness knows asks once more, from there", async () => {
  const world = await World.create(1);
  await world.close(5);
  const again = await World.create(1);
  const [before] = world.played;
  const [after] = again.played;
  assert(before && after);
  after.newest = before.newest;
  assert.equal((await again.close(9)).signatures.length, 2);
  assert.deepEqual(after.asked, [{ old: 0, size: 9 }, { old: 5, size: 9 }]);
  // A witness that never agrees is asked twice, and not for ever.
  after.instead = () => ({ status: 409, body: encodeUtf8(`${after.asked.length % 7}\n`) });
  after.asked.length = 0;
  assert.equal((await again.close(20)).signatures.length, 1);
  assert.equal(after.asked.length, 2);
  assert.deepEqual(again.news.map(({ kind }) => kind), ["failed"]);
});

Deno.test("a witness that knows a larger log is looked at: only a note that our key signed shows anything", async () => {
  const world = await World.create(1);
  const [one] = world.played;
  assert(one);
  const sizes = ["80\n", "9007199254740992\n", "18446744073709551615\n"];
  for (const size of sizes) {
    one.instead = () => ({ status: 409, body: encodeUtf8(size) });
    assert.equal((await world.close(50)).signatures.length, 1);
  }
  assert.deepEqual(world.news.map(({ kind }) => kind), ["ahead"]);
  assert.deepEqual(world.found, []);
  one.shows = encodeNote(await noteOf(80, rootOf("a"), await logSigner(9)));
  await world.close(50);
  assert.deepEqual(world.found, [], "another key");
  one.shows = encodeNote(await world.log.noteAt(80));
  await world.close(50);
  assert.deepEqual(world.found.map(({ size, root }) => [size, root]), [[80, world.log.rootAt(80)]]);
});

Deno.test("a witness that knows another tree is told at once, and looked at", async () => {
  const world = await World.create(1);
  const [one] = world.played;
  assert(one);
  one.shows = encodeNote(await noteOf(40, rootOf("another tree")));
  const answers: WitnessReply[] = [
    { status: 422, body: new Uint8Array(0) },
    { status: 409, body: encodeUtf8("the tree differs") },
    { status: 409, body: encodeUtf8("-1\n") },
  ];
  for (const answer of answers) {
    one.instead = () => answer;
    await world.close(50);
    await world.pass(86_400_001);
  }
  assert.deepEqual(world.news.map(({ witness, kind }) => [witness, kind]), Array(3).fill(["w0", "conflict"]));
  assert.deepEqual(world.found.map(({ root }) => root), Array(3).fill(rootOf("another tree")));
});

Deno.test("what fails is told once a day for each witness, and doesn't touch the others", async () => {
  const world = await World.create(2);
  const [one] = world.played;
  assert(one);
  for (const status of [404, 403, 500, 302, 429, 200]) {
    one.instead = () => ({ status, body: encodeUtf8("no signature\n") });
    assert.equal((await world.close(50)).signatures.length, 2);
  }
  one.instead = () => Promise.reject(new Error("it can't be reached"));
  await world.close(51);
  assert.deepEqual(world.news, [{ witness: "w0", kind: "failed", reason: "it answered 404" }]);
  assert.equal(world.witnesses.status()[0]?.problem, "it can't be reached");
  await world.pass(86_400_000);
  await world.close(52);
  assert.equal(world.news.length, 2);
});

Deno.test("a cosignature that is wrong, somebody else's, or of another time is dropped", async () => {
  const world = await World.create(1);
  const [one] = world.played;
  assert(one);
  const { text } = await world.log.noteAt(50);
  const seconds = NOW / 1000;
  const stranger = await witnessSigner(99, "witness.example/w0");
  const good = await cosign(text, seconds, one.signer);
  const wrong = [
    await cosign(text, seconds - 301, one.signer),
    await cosign(text, seconds + 301, one.signer),
    await cosign((await world.log.noteAt(49)).text, seconds, one.signer),
    await cosign(text, seconds, stranger),
    { ...good, bytes: concat(uint64(seconds + 1), good.bytes.subarray(8)) },
  ];
  for (const line of wrong) {
    one.instead = () => ({ status: 200, body: encodeUtf8(encodeSignatureLine(line)) });
    assert.equal((await world.close(50)).signatures.length, 1);
    await world.pass(0);
  }
  // Among several lines the witness's own is taken, and nothing else gets into the note.
  const lines = encodeSignatureLine(await cosign(text, seconds, stranger)) + encodeSignatureLine(good);
  one.instead = () => ({ status: 200, body: encodeUtf8(lines) });
  assert.deepEqual((await world.close(50)).signatures.map(({ id }) => id), [
    world.log.signer.key.id,
    one.signer.key.id,
  ]);
});

Deno.test("a note is closed after 5 s without the witness that is slow, whose line is dropped then", async () => {
  const world = await World.create(2);
  const [one] = world.played;
  assert(one);
  const held = Promise.withResolvers<void>();
  one.instead = async (body) => {
    await held.promise;
    return await world.answer(one, body);
  };
  const closing = world.close(50);
  await until(() => one.asked.length === 1 && world.witnesses.status()[1]?.time !== undefined);
  await world.pass(CLOSE_AFTER);
  assert.deepEqual((await closing).signatures.map(({ name }) => name), [LOG, "witness.example/w1"]);
  // It is asked one question at a time: of the notes that come meanwhile the newest one waits, the others are dropped.
  const opened = await Promise.all([60, 80, 70].map((size) => world.open(size)));
  const next = opened.map((open) => world.witnesses.cosign(open));
  await until(() => world.witnesses.status()[1]?.size === 80);
  assert.equal(one.asked.length, 1);
  one.instead = undefined;
  held.resolve();
  const closed = (await Promise.all(next)).map((note) => parseNote(encodeUtf8(note))?.signatures.length);
  assert.deepEqual(closed, [2, 3, 1]);
  assert.deepEqual(one.asked, [{ old: 0, size: 50 }, { old: 50, size: 80 }]);
});

Deno.test("a note has 15 cosignatures at most; what is beyond is left out and told", async () => {
  const world = await World.create(17);
  const note = await world.close(5);
  assert.equal(note.signatures.length, 16);
  assert.deepEqual(world.news.map(({ witness, kind }) => [witness, kind]), [["w15", "crowded"], ["w16", "crowded"]]);
  assert.equal((await verifyNote(note, world.policy.witnesses.map(({ key }) => key)))?.length, 15);
});

Deno.test("the first tick waits for a quorum of witnesses, or ten minutes", async () => {
  const world = await World.create(3, "group two 2 w0 w1 w2\nquorum two");
  for (const one of world.played.slice(1)) one.instead = () => ({ status: 500, body: new Uint8Array(0) });
  let hasBegun = false;
  const begun = world.witnesses.begin(() => world.open(50)).then(() => hasBegun = true);
  for (let round = 0; round < 39; round++) {
    await until(() => world.plans > 0);
    await world.pass(15_000);
  }
  await until(() => world.plans > 0);
  assert.equal(hasBegun, false);
  assert.equal(world.played[0]?.asked.length, 1, "who has cosigned isn't asked again");
  await world.pass(15_000);
  await begun;

  const quick = await World.create(3, "group two 2 w0 w1 w2\nquorum two");
  const [slow] = quick.played;
  assert(slow);
  slow.instead = () => ({ status: 500, body: new Uint8Array(0) });
  await quick.witnesses.begin(() => quick.open(50));
  await (await World.create(0, "quorum none")).witnesses.begin(() => quick.open(50));
});

Deno.test("the first tick doesn't come while a witness says that it knows more, however long and whoever else cosigns", async () => {
  const world = await World.create(2, "quorum w1");
  const [one] = world.played;
  assert(one);
  one.instead = () => ({ status: 409, body: encodeUtf8("80\n") });
  let hasBegun = false;
  const begun = world.witnesses.begin(() => world.open(50)).then(() => hasBegun = true);
  for (let round = 0; round < 100; round++) {
    await until(() => world.plans > 0);
    await world.pass(15_000);
  }
  await until(() => world.plans > 0);
  one.instead = () => ({ status: 404, body: new Uint8Array(0) });
  await world.pass(15_000);
  await until(() => world.plans > 0);
  assert.equal(hasBegun, false, "only its cosignature takes that back");
  one.instead = undefined;
  await world.pass(15_000);
  await begun;
  one.instead = () => ({ status: 409, body: encodeUtf8("80\n") });
  const ended = world.witnesses.begin(() => world.open(60));
  await until(() => world.plans > 0);
  world.witnesses.end();
  await world.pass(15_000);
  await ended;
});

Deno.test("of servers on one database none is accused, and none waits for ever, because another one has ticked", async () => {
  const world = await World.create(1);
  const [one] = world.played;
  assert(one);
  await world.close(80); // by another server, which this one doesn't know
  world.size = 80;
  assert.equal((await world.close(79)).signatures.length, 1);
  assert.deepEqual([world.news, world.found], [[], []]);
  let newest = 79;
  const plans = world.plans;
  const begun = world.witnesses.begin(() => world.open(newest));
  await until(() => world.plans > plans);
  newest = 80; // as the database says now
  await world.pass(15_000);
  await begun;
  world.size = 79;
  await world.close(79);
  assert.deepEqual(world.news.map(({ kind }) => kind), ["ahead"]);
});

Deno.test("a witness without a URL isn't asked; a URL that is none ends the start", async () => {
  const { key } = await witnessSigner();
  const policy = (url: string) => parsePolicy(`witness a ${encodeVkey(key)} ${url}\nquorum a`);
  assert.deepEqual(askable(policy("")), []);
  assert.equal(askable(policy("https://witness.example/x")).length, 1);
  for (const url of ["witness.example", "ftp://a", "https://user:secret@a", "https://a?b", "https://a#b"]) {
    assert.throws(
      () => askable(policy(url)),
      (error) => error instanceof Failure && /"a" is no http/.test(error.message),
    );
  }
  assert.equal(isSatisfied(policy(""), new Map()), false);
});
