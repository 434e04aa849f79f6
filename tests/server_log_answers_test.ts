import { assert } from "./assert.ts";
import { hashOf, LogWorld, registered } from "./server_log_world.ts";
import { encodeHex, parseHex, parseUtf8 } from "../lib/bytes.ts";
import { ProtocolError } from "../lib/errors.ts";
import type { LogAnswer, LogRequest } from "../lib/log_follow_frames.ts";
import { headHash, parseTick, placeOfTag, tagOf } from "../lib/log_tick.ts";
import { Frontier, leafHash, verifyInclusion } from "../lib/log_tree.ts";
import { LogAnswers } from "../lib/server_log_answers.ts";
import type { ServerLog } from "../lib/server_log.ts";

const refusedWith = (code: string) => (error: unknown) => error instanceof ProtocolError && error.code === code;

/** Asks as a member of every room; `room` answers with the origin. */
function asker(world: LogWorld, log: ServerLog) {
  const answers = new LogAnswers(log, world.store.log);
  return async <T extends LogRequest["type"]>(request: LogRequest & { readonly type: T }) => {
    const answer = await answers.answer(request, (room) => Promise.resolve(room));
    assert.equal(answer.type, request.type);
    return answer as LogAnswer & { readonly type: T };
  };
}

Deno.test("the log is told with its charter and the frontier of the newest closed note", async () => {
  await using world = await LogWorld.create();
  const log = await world.open();
  const ask = asker(world, log);
  assert.deepEqual(await ask({ type: "log" }), { type: "log", charter: log.state.charter, size: 0, frontier: [] });
  await log.tick();
  log.registers(...registered(await world.room("#ops")));
  await log.tick();
  await log.settled();
  const { size, frontier } = await ask({ type: "log" });
  assert.equal(size, 2);
  assert.equal(encodeHex(new Frontier(size, frontier).root()), log.state.root);
  await log.end();
});

Deno.test("ticks are told up to the newest closed note, with their tags or without, and give its root", async () => {
  await using world = await LogWorld.create();
  const log = await world.open();
  const ask = asker(world, log);
  await log.tick();
  for (let i = 1; i < 200; i++) {
    log.registers(...registered(await world.room("#ops", i)));
    await log.tick();
  }
  await log.settled();
  const tree = new Frontier();
  for (let from: number | null = 0; from !== null;) {
    const page: LogAnswer & { type: "log_ticks" } = await ask({ type: "log_ticks", from, tags: true });
    assert.equal(page.from, from);
    assert.equal(page.size, 200);
    for (const { tick, tags } of page.ticks) {
      tree.append(leafHash(tick));
      assert.equal(tags === null, parseTick(tick)?.heads === undefined);
    }
    from = page.next;
  }
  assert.equal(encodeHex(tree.root()), log.state.root);
  const [first] = (await ask({ type: "log_ticks", from: 5, tags: false })).ticks;
  assert.equal(first?.tags, null);
  assert.deepEqual((await ask({ type: "log_ticks", from: 200, tags: true })).ticks, []);
  await assert.rejects(ask({ type: "log_ticks", from: 201, tags: true }), refusedWith("forbidden"));
  await log.end();
});

Deno.test("a room's registered heads are told in pages, each with its path to the tick's hashes", async () => {
  await using world = await LogWorld.create();
  const log = await world.open();
  const ask = asker(world, log);
  await log.tick();
  for (let i = 1; i <= 60; i++) {
    for (const name of ["#ops", "#dev", "#x"]) log.registers(...registered(await world.room(name, i)));
    await log.tick();
  }
  const { origin } = await world.room("#ops", 60);
  const ticks = (await world.ticks()).map(({ tick, tags }) => ({ tick, tags }));
  const found: number[] = [];
  for (let from: number | null = 0; from !== null;) {
    const page: LogAnswer & { type: "log_heads" } = await ask({ type: "log_heads", room: origin, from });
    for (const { tick, checkpoint, path } of page.heads) {
      const { heads } = ticks[tick]?.tick ?? {};
      const place = placeOfTag(ticks[tick]?.tags ?? new Uint8Array(), tagOf(origin, tick));
      assert(heads && place !== undefined);
      const tree = { size: heads.count, root: parseHex(heads.hashes) ?? new Uint8Array() };
      assert(verifyInclusion(leafHash(headHash({ origin, ...checkpoint })), place, path, tree));
      found.push(tick);
    }
    from = page.next;
  }
  assert.deepEqual(found, Array.from({ length: 60 }, (_, at) => at + 1));
  await log.end();
});

Deno.test("a closed note is told by the size that it covers", async () => {
  await using world = await LogWorld.create();
  const log = await world.open();
  const ask = asker(world, log);
  await assert.rejects(ask({ type: "log_note", size: 0 }), refusedWith("no-room"));
  await log.tick();
  await log.settled();
  const { size, note } = await ask({ type: "log_note", size: 0 });
  assert.equal(size, 1);
  assert.equal(note, parseUtf8(world.closed[0]?.note ?? new Uint8Array()));
  await assert.rejects(ask({ type: "log_note", size: 2 }), refusedWith("no-room"));
  await log.end();
});

Deno.test("tokens are told with the ticks that name them, and the certificates that they need", async () => {
  await using world = await LogWorld.create();
  const log = await world.open();
  const ask = asker(world, log);
  await log.tick();
  const tokens = Array.from({ length: 10 }, (_, i) => ({
    ...{ size: 1, time: i + 1, hash: hashOf(`token ${i}`) },
    token: new TextEncoder().encode(`token ${i}`),
  }));
  await world.store.log.addTokens(log.state.id, tokens, ["pem\n"]);
  world.isAttended = true;
  for (let i = 0; i < 3; i++) await log.tick();
  const told: number[] = [];
  for (let from: number | null = 0; from !== null;) {
    const page: LogAnswer & { type: "log_tokens" } = await ask({ type: "log_tokens", from });
    assert.equal(page.chain, "pem\n");
    for (const { tick } of page.tokens) told.push(tick);
    from = page.next;
  }
  assert.deepEqual(told, [1, 1, 1, 1, 2, 2, 2, 2, 3, 3]);
  await log.end();
});

Deno.test("a log that is behind answers nothing", async () => {
  await using world = await LogWorld.create();
  const log = await world.open();
  await log.tick();
  await log.compare({ origin: log.state.origin, size: 9, root: hashOf("x") });
  await assert.rejects(asker(world, log)({ type: "log" }), refusedWith("no-room"));
  await log.end();
});
