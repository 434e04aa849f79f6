/**
 * What a member's client says of a server that lies by silence, by its clock, or by what it refuses (docs/PROTOCOL.md,
 * "Rooms"): what it was not shown is never countersigned.
 */

import { encrypt } from "../lib/aes_cbc.ts";
import { encodeHex, encodeUtf8 } from "../lib/bytes.ts";
import { signCheckpoint } from "../lib/log_checkpoint.ts";
import { ANSWER_WITHIN } from "../lib/client_requests.ts";
import { encodeEnvelope, type Statement } from "../lib/log_envelope.ts";
import { Pins } from "../lib/client_pins.ts";
import type { RoomEvent } from "../lib/client_event.ts";
import { lineHashes, logHash } from "../lib/log_line.ts";
import { EMPTY_ROOT, Frontier, leafHash } from "../lib/log_tree.ts";
import { LogMonitor } from "../lib/client_log_monitor.ts";
import { encodeLine, messageInput } from "../lib/transcript.ts";
import { assert } from "./assert.ts";
import { handClock, identities, NOW } from "./fixtures.ts";
import { type BenchClient, personIdentity, RoomBench, type Tamper, type WireFrame } from "./room_bench.ts";

const text = (words: string) => ({ kind: "text", text: words } as const);
const OPEN = { history: "all", inviteOnly: false } as const;
const MINUTE = 60_000;

/** A room that ada made, with bob behind a link on which the server lies. */
async function scene(tamper: Tamper) {
  const bench = await RoomBench.create();
  const ada = await bench.client("ada");
  await ada.rooms.create("#ops", OPEN);
  await bench.settle();
  const bob = await bench.client("bob", { tamper });
  await bob.rooms.join("#ops");
  await bench.settle();
  const say = async (client: BenchClient, ...words: string[]) => {
    for (const one of words) {
      await client.rooms.post("#ops", text(one));
      await bench.settle();
      bench.clock.advance(1_000);
      await bench.settle();
    }
  };
  /** Time passes, while the server answers pings. */
  const pass = async (ms: number) => {
    for (let left = ms; left > 0; left -= 1_000) {
      bench.clock.advance(1_000);
      bob.rooms.server.request({ type: "ping" }).catch(() => {});
      await bench.settle();
      bob.rooms.tick();
    }
    await bench.settle();
  };
  return { bench, ada, bob, say, pass };
}

/** What others see that a line of bob's says it had seen. */
const seenBy = (witness: BenchClient, words: string) =>
  witness.lines("#ops").find((line) => line.text === words)?.seen ?? assert.fail();

Deno.test("a line says that it had seen what its author's client had compared with lines that were shown, and no more", async () => {
  let mute = "";
  const { bench, ada, bob, say, pass } = await scene((frame) => {
    return frame.type === "certificate" && frame.fingerprint === mute ? [] : [frame];
  });
  await say(ada, "before");
  mute = (await personIdentity("carol")).chain[0]?.fingerprint ?? "";
  const shown = bob.rooms.monitor("#ops")?.covered;
  const carol = await bench.client("carol");
  await carol.rooms.join("#ops");
  await bench.settle();
  await say(carol, "don't pay");
  await say(ada, "stop!");
  assert.deepEqual(bob.texts("#ops"), ["before"], "whose line it is can't be told");
  await say(bob, "I pay");
  assert.equal(seenBy(ada, "I pay"), shown);
  assert.deepEqual(bob.unanswered, []);
  await pass(ANSWER_WITHIN + 2_000);
  assert.match(bob.unanswered[0] ?? "", new RegExp(`the certificate ${mute.slice(0, 16)}…`));

  mute = "";
  await bob.cut(bench);
  await bob.connect(bench);
  await bench.settle();
  assert.deepEqual(bob.texts("#ops"), ["before", "don't pay", "stop!", "I pay"]);
  await say(bob, "I do not");
  assert.ok(seenBy(ada, "I do not") > 6);
  assert.deepEqual([...ada.lies, ...bob.lies, ...carol.lies], []);
});

Deno.test("who comes in for the first time has seen nothing, and countersigns nothing", async () => {
  const { ada, bob, say } = await scene((frame) => [frame]);
  assert.equal(ada.lines("#ops").find(({ kind, username }) => kind === "join" && username === "bob")?.seen, 0);
  await say(bob, "hello");
  assert.ok(seenBy(ada, "hello") > 0);
});

Deno.test("who has lost their records comes in again with a line that has seen no less than their last", async () => {
  const { bench, ada, bob, say } = await scene((frame) => [frame]);
  await say(bob, "one", "two");
  await ada.rooms.post("#ops", { kind: "kick", username: "bob" });
  await bench.settle();
  await bob.cut(bench);
  const again = await bench.client("bob");
  await again.rooms.join("#ops");
  await bench.settle();
  await say(again, "three");
  assert.deepEqual([ada.texts("#ops"), again.texts("#ops").at(-1)], [["one", "two", "three"], "three"]);
  assert.deepEqual([...ada.lies, ...again.lies], []);
});

Deno.test("lines that only a head speaks of are asked for; without them the server is caught, without an answer it is named", async () => {
  for (const isAnswered of [true, false]) {
    let isLying = false;
    const { ada, bob, say, pass } = await scene((frame) => {
      if (!isLying) return [frame];
      return frame.type === "posted" || (frame.type === "history_end" && !isAnswered) ? [] : [frame];
    });
    await say(ada, "before");
    isLying = true;
    await say(ada, "the last");
    assert.deepEqual(bob.texts("#ops"), ["before"]);
    await pass(3_000);
    assert.deepEqual(bob.lies, isAnswered ? ["missing line"] : []);
    await pass(ANSWER_WITHIN);
    assert.deepEqual(bob.unanswered, isAnswered ? [] : ["the lines of #ops from 3 on"]);
  }
});

Deno.test("that a line of one's own is neither taken nor refused is named", async () => {
  const { ada, bob, say, pass } = await scene((frame) => [frame]);
  await say(ada, "before");
  const session = bob.session ?? assert.fail();
  const request = session.request.bind(session);
  session.request = (frame) => frame.type === "post" ? undefined : request(frame);
  await bob.rooms.post("#ops", text("hello"));
  await pass(ANSWER_WITHIN + 2_000);
  assert.deepEqual([bob.unanswered, bob.rooms.unsentCount], [["whether it took your line in #ops"], 1]);
});

Deno.test("a line that the server has refused may be on record, and if it is, the server is caught, after a restart too", async () => {
  for (const isRestarted of [false, true]) {
    const held: WireFrame[] = [];
    let isHolding = false;
    const bench = await RoomBench.create();
    const ada = await bench.client("ada", {
      tamper: (frame) => {
        if (!isHolding || frame.type === "checkpoint") return [frame];
        held.push(frame);
        return [];
      },
    });
    await ada.rooms.create("#ops", OPEN);
    await bench.settle();
    const bob = await bench.client("bob");
    await bob.rooms.join("#ops");
    await bench.settle();
    const posts: number[] = [];
    const session = ada.session ?? assert.fail();
    const request = session.request.bind(session);
    session.request = (frame) => {
      if (frame.type === "post") posts.push(Number(frame["id"]));
      request(frame);
    };
    isHolding = true;
    await ada.rooms.post("#ops", text("I resign"));
    await bench.settle();
    ada.rooms.refused({ errorType: "muted", reason: "You are muted." }, posts[0]);
    await bench.settle();
    assert.deepEqual(ada.of("dropped").map(({ error_type }) => error_type), ["muted"]);
    assert.deepEqual([bob.texts("#ops"), ada.lies], [["I resign"], []]);
    isHolding = false;
    await ada.cut(bench);
    const again = isRestarted ? await bench.client("ada", { store: ada.store }) : ada;
    if (!isRestarted) await ada.connect(bench);
    await bench.settle();
    assert.deepEqual(again.lies, ["refused line"]);
  }
});

const ORIGIN = `localhost/#ops/${"0".repeat(32)}`;

/** A view of a log that whoever tests writes, with whatever heads the server signs. */
async function stage() {
  const { trust, server } = await identities();
  const people = await Promise.all(["ada", "bob", "eve"].map((name) => personIdentity(name)));
  const known = new Map([...people, server].map((one) => [one.chain[0]?.fingerprint ?? "", one.pem]));
  const clock = handClock();
  const events: RoomEvent[] = [];
  const kept: string[] = [];
  const view = new LogMonitor({
    ...{ room: "#ops", origin: ORIGIN, history: "all", own: "a".repeat(64), pins: new Pins(), now: clock.now },
    trust: () => Promise.resolve(trust),
    ask: {
      certificate: (fingerprint) => Promise.resolve(known.get(fingerprint)),
      inclusion: () => Promise.resolve(undefined),
      consistency: () => Promise.resolve(undefined),
      head: () => Promise.resolve(undefined),
    },
    emit: (event) => events.push(event),
    keep: ({ type }) => Promise.resolve(void kept.push(type)),
  });
  const key = new Uint8Array(16);
  view.takeKey(1, key);
  await view.caughtUp();
  const tree = new Frontier();
  const next = new Map<string, number>();
  /** A line that the server has, and shows when it likes. */
  async function write(who: string, statement: Statement, ts = clock.now()) {
    const { chain: [leaf], key: signing } = await personIdentity(who);
    const [from, salt, seen] = [
      leaf?.fingerprint ?? "",
      new Uint8Array(16),
      { size: 0, root: encodeHex(EMPTY_ROOT) },
    ];
    const envelope = encodeEnvelope({ room: "#ops", seen, statement, salt });
    const body = encrypt(key, new Uint8Array(16), envelope);
    const ct = lineHashes({ log: logHash(ORIGIN), envelope, body });
    const seqno = next.get(from) ?? 0;
    next.set(from, seqno + 1);
    const sig = await signing.sign(messageInput(seqno, ts, ct));
    const line = encodeLine({ seqno, ts, body: ct, signature: sig, signer: from });
    tree.append(leafHash(encodeUtf8(line)));
    return { room: "#ops", index: tree.size - 1, epoch: 1, from, seqno, ts, ct, sig, body };
  }
  return {
    view,
    clock,
    events,
    kept: () => kept,
    write,
    async say(who: string, statement: Statement, ts = clock.now()) {
      view.take(await write(who, statement, ts));
      await view.settled();
    },
    /** A head that the server signs, of the lines so far, with any time: unix milliseconds. */
    async head(time = clock.now()) {
      const signer = {
        key: server.key,
        fingerprint: server.chain[0]?.fingerprint ?? "",
        time: Math.floor(time / 1000),
      };
      await view.takeCheckpoint(
        await signCheckpoint(ORIGIN, { size: tree.size, root: encodeHex(tree.root()) }, signer),
      );
      await view.settled();
    },
    of<T extends RoomEvent["event"]>(type: T): (RoomEvent & { event: T })[] {
      return events.filter((event): event is RoomEvent & { event: T } => event.event === type);
    },
    bad() {
      return events.flatMap((event) =>
        event.event === "bad_line" || (event.event === "line" && event.bad !== null) ? [event.index] : []
      );
    },
  };
}

const join = (username: string) => ({ kind: "join", username } as const);

Deno.test("a head whose time is far from the clock's counts for nothing, both times are told, and the next that fits takes it back", async () => {
  for (
    const time of [
      "2021-01-01T00:00:00Z",
      "2039-01-01T00:00:00Z",
      "2019-01-01T00:00:00Z", // before the server's certificate
      "2051-01-01T00:00:00Z", // after its end
      NOW - 6 * MINUTE,
      NOW + 6 * MINUTE,
    ]
  ) {
    const { view, say, head, of, clock } = await stage();
    await say("ada", join("ada"));
    await head();
    await say("ada", text("said now"));
    const wrong = typeof time === "string" ? Date.parse(time) : time;
    await head(wrong);
    await head(wrong);
    assert.deepEqual([of("covered").length, view.lie, view.compared.size], [1, undefined, 1], `${time}`);
    assert.deepEqual(of("wrong_clock"), [
      { event: "wrong_clock", room: "#ops", time: Math.floor(wrong / 1000), now: Math.floor(clock.now() / 1000) },
    ]);
    clock.advance(2_000);
    await head();
    assert.deepEqual([of("covered").length, of("right_clock").length, view.compared.size], [2, 1, 2], `${time}`);
  }
});

Deno.test("a head of another log convicts the server, whatever its time", async () => {
  const { view, say, head, of } = await stage();
  await say("ada", join("ada"));
  await head();
  const other = await stage();
  await other.say("bob", join("bob"));
  const { server } = await identities();
  const signer = { key: server.key, fingerprint: server.chain[0]?.fingerprint ?? "", time: 1_609_459_200 };
  await view.takeCheckpoint(await signCheckpoint(ORIGIN, { size: 1, root: "ab".repeat(32) }, signer));
  await view.settled();
  assert.deepEqual(of("lie").map(({ lie }) => lie), ["fork"]);
});

Deno.test("lines that lay on the disk or came while the computer slept may be covered by a head of their own time", async () => {
  const { view, say, head, of, clock } = await stage();
  view.tick();
  const sent = clock.now();
  clock.advance(60 * MINUTE); // asleep: what came meanwhile is read now
  await say("ada", join("ada"), sent);
  await head(sent);
  assert.deepEqual([of("covered").length, of("wrong_clock").length], [1, 0]);
  const later = clock.now();
  clock.advance(60 * MINUTE);
  view.tick(); // which a timer may do before what came is read
  await say("ada", text("before the lid was shut"), later);
  await head(later);
  assert.deepEqual([of("covered").length, of("wrong_clock").length], [2, 0]);
});

Deno.test("a head that comes before its lines is of no earlier time than they are, either", async () => {
  const { view, write, head, of, clock } = await stage();
  const line = await write("ada", join("ada"));
  await head(clock.now() - 10 * MINUTE);
  assert.equal(of("wrong_clock").length, 0);
  view.take(line);
  await view.settled();
  assert.deepEqual([of("covered").length, of("wrong_clock").length], [0, 1]);
  await head();
  assert.deepEqual([of("covered").length, of("right_clock").length], [1, 1]);
});

Deno.test("a head is not of a time before that of a line which it covers, live or not", async () => {
  const { view, say, head, of, clock } = await stage();
  view.tick();
  clock.advance(60 * MINUTE);
  await say("ada", join("ada"));
  await head(clock.now() - 10 * MINUTE);
  assert.deepEqual([of("covered").length, of("wrong_clock").length], [0, 1]);
});

Deno.test("a line of an earlier time than its author's line before is in the wrong order", async () => {
  const { say, of } = await stage();
  await say("ada", join("ada"));
  await say("ada", text("later"), NOW - 1);
  assert.deepEqual(of("lie").map(({ lie }) => lie), ["wrong order"]);
});

Deno.test("what the muted and the banned say is marked: for good at once, for a time when a head of that time covers it", async () => {
  const { say, head, bad, clock, view } = await stage();
  const until = Math.floor(NOW / 1000) + 3_600;
  for (const name of ["ada", "bob", "eve"]) await say(name, join(name));
  await say("ada", { kind: "mute", username: "eve" });
  await say("eve", text("muted for good"));
  assert.deepEqual(bad(), [4]);
  await say("ada", { kind: "mute", username: "bob", until });
  await say("bob", text("muted for an hour"));
  await say("ada", { kind: "ban", username: "eve", until });
  await say("eve", join("eve"));
  assert.deepEqual(bad(), [4], "it may have been later than it seems");
  await head();
  assert.deepEqual(bad(), [4, 6, 8]);
  assert.ok(view.state.isMember("eve"), "but it stands: who comes later is shown no head of that time");
  clock.advance(60 * MINUTE);
  await say("bob", text("an hour later"));
  await head();
  assert.deepEqual(bad(), [4, 6, 8]);
});

Deno.test("a room with very many keys has a newest one", async () => {
  const { view } = await stage();
  for (let epoch = 2; epoch < 200_000; epoch++) view.takeKey(epoch, new Uint8Array(16));
  assert.equal(view.epoch?.epoch, 199_999);
});

Deno.test("nobody is let into a room who did not ask", async () => {
  const held: WireFrame[] = [];
  const { ada, bob, say, bench } = await scene((frame) => {
    if (frame.type === "joined") held.push(frame);
    const [joined] = held;
    return frame.type === "posted" && frame.index === 3 && joined
      ? [{ ...joined, count: 0, next_seqno: 0 }, frame]
      : [frame];
  });
  await say(ada, "one", "two");
  assert.deepEqual([bob.lies, bob.texts("#ops")], [[], ["one", "two"]]);
  await say(bob, "three");
  await bench.settle();
  assert.deepEqual(ada.texts("#ops"), ["one", "two", "three"]);
});

Deno.test("whatever answer a server keeps back is named, and when it comes with the next session all is well", async () => {
  const kinds = ["joined", "keys", "history_end", "inclusion", "certificate", "members"];
  for (const kind of kinds) {
    let isLying = true;
    const bench = await RoomBench.create();
    const ada = await bench.client("ada");
    await ada.rooms.create("#ops", { history: kind === "inclusion" ? "since_join" : "all", inviteOnly: false });
    await bench.settle();
    const bob = await bench.client("bob", { tamper: (frame) => isLying && frame.type === kind ? [] : [frame] });
    bob.rooms.join("#ops").catch(() => {});
    await bench.settle();
    for (let seconds = 0; seconds < 33; seconds++) {
      bench.clock.advance(1_000);
      bob.rooms.server.request({ type: "ping" }).catch(() => {});
      await bench.settle();
      bob.rooms.tick();
    }
    assert.equal(bob.unanswered.length, 1, `${kind}: ${bob.unanswered}`);
    isLying = false;
    await bob.cut(bench);
    await bob.connect(bench);
    await bench.settle();
    await bob.rooms.join("#ops");
    await bench.settle();
    await ada.rooms.post("#ops", text("hello"));
    await bench.settle();
    assert.deepEqual([bob.texts("#ops"), bob.lies], [["hello"], []], kind);
  }
});

Deno.test("where a server refuses again and again what lines are checked with, it is told that nothing more is shown", async () => {
  for (const kind of ["certificate", "history"]) {
    let isLying = false;
    const { bench, ada, bob, say, pass } = await scene((frame) => isLying && frame.type === "posted" ? [] : [frame]);
    await say(ada, "before");
    const session = bob.session ?? assert.fail();
    const request = session.request.bind(session);
    session.request = (frame) => {
      if (frame.type !== kind) return request(frame);
      bob.rooms.refused({ errorType: "server-error", reason: "Not now." }, Number(frame["id"]));
    };
    if (kind === "certificate") {
      const carol = await bench.client("carol");
      await carol.rooms.join("#ops");
      await bench.settle();
    }
    isLying = kind === "history";
    await say(ada, "after");
    await pass(40_000);
    assert.deepEqual(bob.texts("#ops"), ["before"], kind);
    const warnings = bob.of("warning").map(({ message }) => message);
    assert.deepEqual(warnings, ["#ops is shown only up to line 2: the server doesn't give what comes next."], kind);
    assert.deepEqual([bob.lies, bob.unanswered], [[], []], kind);
  }
});

Deno.test("one size has one head: another time for the same lines changes nothing, and is not kept", async () => {
  const { say, head, of, clock, view, kept } = await stage();
  await say("ada", join("ada"));
  await head();
  for (let i = 0; i < 50; i++) {
    clock.advance(1_000);
    await head();
  }
  await head(clock.now() - 60 * MINUTE);
  assert.deepEqual([of("covered").length, kept().filter((type) => type === "checkpoint").length], [1, 1]);
  assert.equal(view.lie, undefined);
});

Deno.test("a list that never ends is not read for ever", async () => {
  let nextPage = 1;
  const { bob } = await scene((frame) => {
    if (frame.type === "members") return [{ ...frame, next: nextPage++ }];
    if (frame.type === "rooms") return [{ ...frame, next: `#${String(nextPage++).padStart(9, "0")}` }];
    return [frame];
  });
  assert.ok((await bob.rooms.server.members("#ops")).length < 5_000);
  assert.ok((await bob.rooms.server.list()).length < 5_000);
});
