import { ONE_BY_ONE } from "../lib/line_signature.ts";
import { formatTime } from "../lib/time_text.ts";
import { assert } from "./assert.ts";
import { BenchClient, RoomBench } from "./room_bench.ts";
import { OPEN, pair, refuseNext, text } from "./room_pair.ts";

Deno.test("who is muted is told so, and who is put out is out, with what was unsent", async () => {
  const { bench, ada, bob } = await pair();
  await ada.rooms.post("#ops", { kind: "mute", username: "bob" });
  await bench.settle();
  await bob.rooms.post("#ops", text("may I?"));
  await bench.settle();
  assert.equal(bob.of("dropped").at(-1)?.error_type, "muted");
  await ada.rooms.post("#ops", { kind: "kick", username: "bob" });
  await bench.settle();
  assert.equal(bob.of("left").length, 1);
  await bob.cut(bench);
  await bob.connect(bench);
  await bench.settle();
  assert.ok(!bob.lines("#ops").some(({ kind, index }) => kind === "join" && index > 3), "nobody comes back by itself");
  await bob.rooms.join("#ops");
  await bench.settle();
  assert.equal(bob.lines("#ops").at(-1)?.kind, "join");
});

Deno.test("who is put out while away is told what was not sent, and what may stand in the log", async () => {
  for (const kind of ["kick", "ban"] as const) {
    const { bench, ada, bob } = await pair();
    if (bob.session) bob.session.framesLeft = 1; // the post arrives, and its answer does not
    await bob.rooms.post("#ops", text("on record"));
    await bench.settle();
    await bob.cut(bench);
    await bob.rooms.post("#ops", text("not yet"));
    await ada.rooms.post("#ops", { kind, username: "bob" });
    await bench.settle();
    await bob.connect(bench);
    await bench.settle();
    assert.deepEqual(bob.of("dropped").map(({ error_type }) => error_type), ["timeout", "not-sent"], kind);
    assert.deepEqual([bob.of("left").length, bob.rooms.joined, bob.rooms.unsentCount], [1, [], 0], kind);
    assert.deepEqual((await bob.store.room("#ops")).unsent, [], kind);
    await assert.rejects(bob.rooms.post("#ops", text("nobody hears it")), /You are not in this room; join it first/);
    if (kind === "ban") await ada.rooms.post("#ops", { kind, username: "bob", until: 0 });
    await bench.settle();
    await bob.rooms.join("#ops");
    await bench.settle();
    assert.deepEqual([ada.texts("#ops"), bob.texts("#ops")], [["on record"], ["on record"]], kind);
  }
});

Deno.test("who was put out and has come in again stays in when the line that put them out is checked", async () => {
  const { bench, ada } = await pair();
  let busy = Promise.resolve();
  const check = (batch: Parameters<typeof ONE_BY_ONE.check>[0]) => busy.then(() => ONE_BY_ONE.check(batch));
  const carol = await bench.client("carol", { signatures: { check } });
  await carol.rooms.join("#ops");
  await bench.settle();
  await carol.cut(bench);
  await ada.rooms.post("#ops", { kind: "kick", username: "carol" });
  await bench.settle();
  const { promise, resolve } = Promise.withResolvers<void>();
  busy = promise;
  await carol.connect(bench);
  const joining = carol.rooms.join("#ops");
  await bench.settle();
  assert.equal(carol.of("caught_up").length, 2);
  resolve();
  await joining;
  await bench.settle();
  assert.equal(carol.of("left").length, 1, "before the join");
  assert.deepEqual(carol.rooms.joined, ["#ops"]);
  assert.ok(carol.of("state").at(-1)?.members.some(({ username }) => username === "carol"));
});

Deno.test("a room that is not there, or that is closed, is refused with a sentence", async () => {
  const { bench, bob } = await pair({ history: "all", inviteOnly: true });
  await assert.rejects(bob.rooms.join("#nowhere"), /no such room/);
  await assert.rejects(bob.rooms.join("#ops"), /it takes only those who are invited/);
  await assert.rejects(bob.rooms.post("#ops", text("hello")), /join it first/);
  await bob.cut(bench);
  await assert.rejects(bob.rooms.join("#ops"), /no connection/);
});

Deno.test("a join that is cut off is gone on with", async () => {
  for (let frames = 1; frames <= 6; frames++) {
    const { bench, ada } = await pair();
    const carol = await bench.client("carol");
    if (carol.session) carol.session.framesLeft = frames;
    const joining = carol.rooms.join("#ops").catch(() => {});
    await bench.settle();
    await carol.cut(bench);
    await joining;
    await carol.connect(bench);
    await bench.settle();
    if (carol.rooms.joined.length === 0) await carol.rooms.join("#ops");
    await carol.rooms.post("#ops", text("here I am"));
    await bench.settle();
    const hers = ada.lines("#ops").filter(({ username }) => username === "carol").map(({ kind }) => kind);
    assert.deepEqual(hers, ["join", "text"], `cut after ${frames} frames`);
    assert.deepEqual([...ada.lies, ...carol.lies], []);
  }
});

Deno.test("who joins a room while the client comes back to it is in it, put out meanwhile or not", async () => {
  for (const isOut of [false, true]) {
    for (const turns of [0, 4, 8, 16, 32]) {
      const { bench, ada, bob } = await pair();
      await bob.cut(bench);
      bench.clients.splice(bench.clients.indexOf(bob), 1);
      if (isOut) await ada.rooms.post("#ops", { kind: "kick", username: "bob" });
      await bench.settle();
      const again = await BenchClient.create(bench, "bob", { store: bob.store });
      await again.rooms.restore();
      const connecting = again.connect(bench);
      while (!again.rooms.isOnline) await Promise.resolve();
      for (let turn = 0; turn < turns; turn++) await Promise.resolve();
      await Promise.all([again.rooms.join("#ops"), connecting]);
      await bench.settle();
      const what = `${isOut ? "out, " : ""}after ${turns} turns`;
      assert.deepEqual([again.rooms.joined, bob.store.joined], [["#ops"], ["#ops"]], what);
      await again.rooms.post("#ops", text("here I am"));
      await bench.settle();
      assert.deepEqual(ada.texts("#ops"), ["here I am"], what);
      assert.deepEqual(again.lies, []);
    }
  }
});

Deno.test("a room that the server can't open for a moment is come back into, whoever asks for it meanwhile", async () => {
  const { bench, bob } = await pair();
  await bob.cut(bench);
  bench.clients.splice(bench.clients.indexOf(bob), 1);
  const again = await BenchClient.create(bench, "bob", { store: bob.store });
  await again.rooms.restore();
  await assert.rejects(again.rooms.join("#ops"), /no connection/);
  const connecting = again.connect(bench);
  while (!again.rooms.isOnline) await Promise.resolve();
  refuseNext(again, "join");
  await assert.rejects(again.rooms.join("#ops"), /not now/);
  await connecting;
  await bench.settle();
  assert.deepEqual([again.rooms.joined, bob.store.joined], [["#ops"], ["#ops"]]);
  assert.deepEqual([again.of("left").length, again.of("caught_up").length], [0, 1]);
});

Deno.test("a join line that is refused for now is told so, and stands a little later, ahead of what was said since", async () => {
  for (const code of ["server-error", "stale", "old-epoch"] as const) {
    const { bench, ada, bob } = await pair();
    const carol = await bench.client("carol");
    refuseNext(carol, "post", code);
    await assert.rejects(carol.rooms.join("#ops"), /not now/);
    await bob.cut(bench);
    bench.clients.splice(bench.clients.indexOf(bob), 1);
    const renewed = await BenchClient.create(bench, "bob", { store: bob.store, device: "renewed" }); // joins by itself
    await renewed.rooms.restore();
    const connecting = renewed.connect(bench);
    while (!renewed.rooms.isOnline) await Promise.resolve();
    refuseNext(renewed, "post", code);
    for (const client of [carol, renewed]) await client.rooms.post("#ops", text("here I am"));
    await connecting;
    await bench.settle();
    for (const client of [carol, renewed]) {
      assert.deepEqual(client.rooms.joined, ["#ops"], code);
      const theirs = ada.lines("#ops").filter(({ from }) => from === client.fingerprint).map(({ kind }) => kind);
      assert.deepEqual(theirs, ["join", "text"], code);
      const told = (["joined", "caught_up", "left"] as const).map((type) => client.of(type).length);
      assert.deepEqual(told, [1, 1, 0], code);
    }
  }
});

Deno.test("a room that one is in is not made again, and goes on", async () => {
  const { bench, ada, bob } = await pair();
  await assert.rejects(ada.rooms.create("#ops", OPEN), /in that room already/);
  await ada.rooms.post("#ops", text("still here"));
  await bench.settle();
  assert.deepEqual(bob.texts("#ops"), ["still here"]);
});

Deno.test("who is in a room whose log is closed is told, and comes into the next log once the old is forgotten", async () => {
  const { bench, ada, bob } = await pair();
  await ada.rooms.post("#ops", text("the old log"));
  await ada.rooms.join("@ada,@bob");
  await bench.settle();
  const old = ada.rooms.monitor("#ops")?.checkpoint;
  await assert.rejects(ada.rooms.forget("#ops"), /The record of #ops is good: .* leave it with \/part/);
  await assert.rejects(ada.rooms.forget("#none"), /There is no record of #none here/);
  await bob.cut(bench); // he is away when it happens
  for (const room of ["#ops", "@ada,@bob"]) {
    await bench.store.closeLog((await ada.store.room(room)).pinned?.origin ?? "", 1);
  }
  await bench.hub.dropClosed();
  await bench.settle();
  assert.match(ada.of("left")[0]?.reason ?? "", /The server's operator has closed this room's log/);
  assert.deepEqual(ada.rooms.joined, []);
  const gone = /The server doesn.t have the log of this room any more: .* \/forget #ops puts its record aside/;
  await assert.rejects(ada.rooms.post("#ops", text("still here?")), gone);
  await assert.rejects(ada.rooms.join("#ops"), gone);
  await assert.rejects(
    ada.rooms.join("@ada,@bob"),
    /have the log of this room any more/,
    "though a join would begin another",
  );
  await ada.cut(bench);
  await ada.connect(bench);
  await assert.rejects(ada.rooms.create("#ops", OPEN), /a log of #ops already: .* \/forget #ops comes first/);
  await assert.rejects(ada.rooms.join("#ops"), gone);
  assert.equal(await ada.rooms.forget("#ops"), "#ops~1");
  assert.equal(ada.rooms.monitor("#ops"), undefined);
  assert.equal(ada.rooms.unsentCount, 0);
  await ada.rooms.create("#ops", OPEN);
  await ada.rooms.post("#ops", text("the new log"));
  await bench.settle();
  assert.deepEqual(ada.lies, []);
  assert.deepEqual(ada.texts("#ops"), ["the old log", "the new log"]);
  assert.equal(ada.rooms.monitor("#ops")?.state.roleOf("ada"), "owner");

  await bob.connect(bench);
  await bench.settle();
  assert.deepEqual(bob.lies, ["other log"]);
  await assert.rejects(bob.rooms.join("#ops"), /not trusted.*\/forget #ops puts its record aside, as evidence/);
  const again = await bench.client("bob", { store: bob.store });
  bench.clients.splice(bench.clients.indexOf(bob), 1);
  await bench.settle();
  assert.deepEqual([again.lies, again.rooms.joined], [["other log"], ["#ops"]], "told until it is forgotten");
  assert.equal(await again.rooms.forget("#ops"), "#ops~1");
  assert.deepEqual(again.rooms.joined, []);
  await again.rooms.join("#ops");
  await bench.settle();
  assert.deepEqual(again.texts("#ops"), ["the old log", "the new log"]);
  assert.deepEqual(again.lies, ["other log"], "no other than the old one");
  const [aside] = again.store.aside;
  assert.deepEqual((await aside?.read())?.lines.length, 3);
  assert.deepEqual((await aside?.read())?.checkpoints.at(-1), old);
});

Deno.test("a log that is closed while somebody's lines wait drops them, and one who comes in is refused", async () => {
  const { bench, ada, bob } = await pair();
  const origin = (await ada.store.room("#ops")).pinned?.origin ?? "";
  await bench.store.markForked(origin, 1);
  const again = await RoomBench.create(bench);
  again.clients.push(ada, bob);
  for (const client of [ada, bob]) await client.cut(bench);
  for (const client of [ada, bob]) await client.connect(again);
  await ada.rooms.post("#ops", text("may I?"));
  for (let i = 0; i < 4; i++) { // it is tried again and again
    await ada.until(() => ada.later.length > 0);
    for (const run of ada.later.splice(0)) run();
  }
  assert.deepEqual(ada.of("waiting").map(({ count }) => count), [1], "told once");
  assert.match(ada.of("waiting")[0]?.reason ?? "", /This room is read-only: the server has lost lines/);
  const carol = await again.client("carol");
  await assert.rejects(carol.rooms.join("#ops"), /read-only/);
  await bench.store.closeLog(origin, 2);
  await again.hub.dropClosed();
  await again.settle();
  assert.deepEqual([ada.of("dropped").length, ada.rooms.unsentCount, ada.of("left").length], [1, 0, 1]);
});

Deno.test("who parts is told of having left, who is put out by whom, and who is banned for how long, when they come back too", async () => {
  const { bench, ada, bob } = await pair();
  await bob.rooms.post("#ops", { kind: "part" });
  await bench.settle();
  await bob.rooms.join("#ops");
  await bench.settle();
  await ada.rooms.post("#ops", { kind: "kick", username: "bob" });
  await bench.settle();
  assert.deepEqual(bob.of("left").map(({ reason }) => reason), [
    "You have left it.",
    "ada removed you from this room.",
  ]);
  await bob.rooms.join("#ops");
  await bench.settle();
  const until = Math.floor(bench.clock.now() / 1000) + 7_200;
  const banned = `banned from this room until ${formatTime(1000 * until)}.`;
  await ada.rooms.post("#ops", { kind: "ban", username: "bob", until });
  await bench.settle();
  assert.equal(bob.of("left").at(-1)?.reason, `ada banned you from this room until ${formatTime(1000 * until)}.`);
  await assert.rejects(bob.rooms.join("#ops"), { message: `You are ${banned}` });
  await ada.rooms.post("#ops", { kind: "ban", username: "bob" });
  await bench.settle();
  await assert.rejects(bob.rooms.join("#ops"), { message: "You are banned from this room." });
});

Deno.test("who was banned while offline is told so on coming back", async () => {
  const { bench, ada, bob } = await pair();
  await bob.cut(bench);
  await ada.rooms.post("#ops", { kind: "ban", username: "bob" });
  await bench.settle();
  await bob.connect(bench);
  await bench.settle();
  assert.deepEqual(bob.of("left").map(({ reason }) => reason), ["You are banned from this room."]);
});
