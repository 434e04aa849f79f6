import type { Statement } from "../lib/log_envelope.ts";
import { assert } from "./assert.ts";
import { fixedClock } from "./fixtures.ts";
import { MemoryRoomStore } from "./memory_room_store.ts";
import { Person } from "./people.ts";
import { bench, room } from "./room_world.ts";

Deno.test("roles decide who may act, and a line of moderation takes effect at once", async () => {
  const { hub, settle, ada, bob } = await room();
  for (const kind of ["kick", "ban", "mute", "invite"] as const) {
    assert.equal(await bob.say(hub, "#ops", { kind, username: "ada" }), "forbidden", kind);
  }
  assert.equal(await bob.say(hub, "#ops", { kind: "topic", text: "mine" }), "forbidden");
  await ada.say(hub, "#ops", { kind: "role", username: "bob", role: "moderator" });
  assert.equal(await bob.say(hub, "#ops", { kind: "topic", text: "ours" }), undefined);
  assert.equal(await bob.say(hub, "#ops", { kind: "kick", username: "ada" }), "forbidden");
  await ada.say(hub, "#ops", { kind: "mute", username: "bob" });
  assert.equal(await bob.say(hub, "#ops", "hello"), "muted");
  await ada.say(hub, "#ops", { kind: "ban", username: "bob" });
  assert.equal(await bob.say(hub, "#ops", "hello"), "not-member");
  await settle();
  assert.equal(await bob.ask(hub, { type: "join", room: "#ops" }), "forbidden");
});

Deno.test("a line that would change nothing is refused, and one that changes something is not", async () => {
  const { hub, settle, ada, bob } = await room();
  const say = async (statement: Statement) => {
    const refused = await ada.say(hub, "#ops", statement);
    await settle();
    return refused ?? "taken";
  };
  const about = { username: "bob" };
  const cases: readonly (readonly [Statement, first: string, second: string])[] = [
    [{ kind: "join", username: "ada" }, "forbidden", "forbidden"],
    [{ kind: "invite", ...about }, "forbidden", "forbidden"],
    [{ kind: "topic", text: "deploys" }, "taken", "forbidden"],
    [{ kind: "role", ...about, role: "member" }, "forbidden", "forbidden"],
    [{ kind: "role", ...about, role: "moderator" }, "taken", "forbidden"],
    [{ kind: "mute", ...about, until: 1 }, "forbidden", "forbidden"],
    [{ kind: "mute", ...about }, "taken", "forbidden"],
    [{ kind: "mute", ...about, until: 0 }, "taken", "forbidden"],
    [{ kind: "ban", ...about, until: 0 }, "forbidden", "forbidden"],
    [{ kind: "kick", ...about }, "taken", "forbidden"],
    [{ kind: "ban", ...about }, "taken", "forbidden"],
    [{ kind: "ban", ...about, until: 0 }, "taken", "forbidden"],
    [{ kind: "invite", username: "eve" }, "taken", "forbidden"],
    [{ kind: "kick", username: "eve" }, "taken", "forbidden"],
  ];
  for (const [statement, first, second] of cases) {
    assert.equal(await say(statement), first, JSON.stringify(statement));
    assert.equal(await say(statement), second, `${JSON.stringify(statement)} again`);
  }
  assert.equal(await bob.enter(hub, "#ops"), undefined);
  await settle();
  assert.equal(await bob.say(hub, "#ops", { kind: "part" }), undefined);
  await settle();
  assert.equal(await say({ kind: "invite", ...about }), "taken", "he went by himself and is asked to come back");
  assert.equal(await say({ kind: "invite", ...about }), "forbidden");
});

Deno.test("a line is erased once, also when two such lines come together", async () => {
  const { hub, store, settle, ada } = await room();
  assert.equal(await ada.say(hub, "#ops", "regretted"), undefined);
  await settle();
  const redact: Statement = { kind: "redact", index: 2 };
  const posts = [await ada.write("#ops", redact), await ada.write("#ops", redact)];
  const second = await ada.write("#ops", redact, { seqno: (posts[0]?.seqno ?? 0) + 1 });
  const refused = await Promise.all(
    [posts[0], second].flatMap((post) => post ? [ada.ask(hub, { type: "post", ...post })] : []),
  );
  assert.deepEqual(refused, [undefined, "forbidden"]);
  await settle();
  assert.equal((await store.linesFrom(ada.rooms.get("#ops")?.origin ?? "", 2, 1))[0]?.body, null);
  assert.equal(await ada.ask(hub, { type: "post", ...second }), "forbidden", "it is erased already");
});

Deno.test("a redaction erases the body of one's own words, and of nothing else", async () => {
  const { hub, store, settle, ada, bob } = await room();
  await ada.say(hub, "#ops", "regretted");
  await settle();
  const origin = ada.rooms.get("#ops")?.origin ?? "";
  assert.equal(await bob.say(hub, "#ops", { kind: "redact", index: 2 }), "forbidden");
  assert.equal(await ada.say(hub, "#ops", { kind: "redact", index: 0 }), "forbidden", "a join line");
  assert.equal(await ada.say(hub, "#ops", { kind: "redact", index: 2 }), undefined);
  await settle();
  assert.equal(store.log(origin).lines[2]?.body, null);
  await bob.ask(hub, { type: "history", room: "#ops", from: 2, count: 1 });
  const shown = bob.heard.findLast((frame) => frame.type === "posted");
  assert.ok(shown?.type === "posted" && shown.index === 2 && shown.body === null);

  await ada.say(hub, "#ops", { kind: "device", fingerprint: bob.fingerprint });
  await ada.say(hub, "#ops", { kind: "head" });
  await settle();
  assert.equal(
    await ada.say(hub, "#ops", { kind: "redact", index: 3 }),
    "forbidden",
    "what says that words are erased",
  );
  assert.equal(await ada.say(hub, "#ops", { kind: "redact", index: 4 }), "forbidden", "a device line");
  assert.equal(await ada.say(hub, "#ops", { kind: "redact", index: 5 }), undefined);
});

Deno.test("a line whose time is refused says something of the server's clock all the same", async () => {
  const heard: [string, number][] = [];
  const witness = (...said: [string, number]) => void heard.push(said);
  const store = new MemoryRoomStore();
  const made = await bench(fixedClock, store, new Set(), undefined, { isDoubtful: true, latest: fixedClock, witness });
  const ada = await Person.create("ada");
  const asked = { type: "create", room: "#ops", mode: "recorded", history: "all", inviteOnly: false } as const;
  assert.equal(await ada.ask(made.hub, asked), undefined);
  const join = await ada.write("#ops", { kind: "join", username: "ada" }, { ts: fixedClock() + 3_600_000 });
  assert.equal(await ada.ask(made.hub, { type: "post", ...join }), "stale");
  assert.deepEqual(heard, [["ada", fixedClock() + 3_600_000]]);
});
