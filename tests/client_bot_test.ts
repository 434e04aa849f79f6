import { BotWire, parseBotCommand } from "../lib/client_bot.ts";
import type { LineEvent, RoomEvent } from "../lib/client_event.ts";
import { assert } from "./assert.ts";

function line(index: number, room = "#ops"): LineEvent {
  return {
    ...{ event: "line", room, index, from: "00", username: "ada", seqno: index, ts: 1_700_000_000_000, by: null },
    ...{ kind: "text", text: "hello", statement: { kind: "text", text: "hello" }, seen: 0, mine: false },
    ...{ erased: false, unvouched: false, unchecked: false, bad: null },
  };
}

/** The indexes of the lines that a bot would take for live. */
function live(wire: BotWire, events: readonly Parameters<BotWire["encode"]>[0][]): number[] {
  return events.map((event) => wire.encode(event)).flatMap(({ event, live, index }) =>
    event === "line" && live === true ? [Number(index)] : []
  );
}

const online = { event: "online", username: "Ada", server_fingerprint: "00" } as const;
const offline = { event: "offline", reason: "gone", retry_in: 1 } as const;
const caughtUp = (size: number, room = "#ops") => ({ event: "caught_up", room, size }) as const;

Deno.test("a line is live once its room has caught up, and only the first time", () => {
  const wire = new BotWire();
  const told = [line(0), online, line(1), caughtUp(2), line(2), line(2), line(1), line(3)];
  assert.deepEqual(live(wire, told), [2, 3]);
});

Deno.test("what is said while a room is still being caught up is live", () => {
  const joined = { event: "joined", room: "#ops", origin: "", mode: "recorded", history: "all", topic: "", count: 2 };
  const told = [online, joined as RoomEvent, line(0), line(1), line(2), caughtUp(3), line(3), line(2)];
  assert.deepEqual(live(new BotWire(), told), [2, 3]);
});

Deno.test("what was said while the connection was lost is replayed, not live", () => {
  const wire = new BotWire();
  assert.deepEqual(live(wire, [online, caughtUp(0), line(0), offline, online, line(1), caughtUp(2), line(2)]), [0, 2]);
});

Deno.test("one room that is caught up says nothing about another", () => {
  const wire = new BotWire();
  assert.deepEqual(live(wire, [online, caughtUp(0, "#a"), line(0, "#b"), line(0, "#a")]), [0]);
  assert.equal(wire.encode({ event: "state", room: "#b", topic: "", members: [] }).live, false);
  assert.equal(wire.encode({ event: "state", room: "#a", topic: "", members: [] }).live, true);
});

Deno.test("the first lines of a conversation that somebody begins are live, whatever comes first", () => {
  const room = "@ada,@bob";
  const invited = { event: "invited", room, from: "bob" } as const;
  const before = [online, invited, line(0, room), caughtUp(2, room), line(1, room), line(2, room)];
  assert.deepEqual(live(new BotWire(), before), [0, 1, 2]);
  const after = [online, invited, caughtUp(2, room), line(0, room), line(1, room), line(1, room)];
  assert.deepEqual(live(new BotWire(), after), [0, 1]);
  assert.deepEqual(live(new BotWire(), [line(0, room), online, line(1, room), caughtUp(2, room)]), []);
});

Deno.test("a conversation of two is named after the partner, whatever the spelling of one's own name", () => {
  const wire = new BotWire();
  wire.encode(online);
  assert.equal(wire.encode(line(0, "@ada,@bob")).room, "@bob");
  assert.equal(wire.encode(line(0, "@aaron,@ada")).room, "@aaron");
  assert.equal(wire.encode(line(0)).room, "#ops");
  const listed = { room: "@ada,@bob", members: 2, inviteOnly: true, topic: "" };
  assert.deepEqual(wire.encode({ event: "rooms", rooms: [listed], command: "rooms", id: { room: "@ada,@bob" } }), {
    ...{ event: "rooms", command: "rooms", id: { room: "@ada,@bob" }, live: true },
    rooms: [{ room: "@bob", members: 2, invite_only: true, topic: "" }],
  });
});

Deno.test("all times are milliseconds", () => {
  const wire = new BotWire();
  assert.equal(wire.encode({ event: "covered", room: "#ops", size: 1, time: 1_700_000_000 }).time, 1_700_000_000_000);
  const clock = wire.encode({ event: "wrong_clock", room: "#ops", time: 1_700_000_000, now: 1_700_000_400 });
  assert.deepEqual([clock.time, clock.now], [1_700_000_000_000, 1_700_000_400_000]);
  assert.equal(wire.encode({ ...line(0), by: 1_700_000_001 }).by, 1_700_000_001_000);
  assert.equal(wire.encode({ event: "renewed", fingerprint: "00", not_after: 5 }).not_after, 5000);
  const banned = { ...line(0), statement: { kind: "ban", username: "eve", until: 7 } } as const;
  assert.deepEqual(wire.encode(banned).statement, { kind: "ban", username: "eve", until: 7000 });
  assert.deepEqual(parseBotCommand('{"command":"ban","room":"#ops","username":"eve","until":1700000000000,"id":1}'), {
    ...{ command: { command: "ban", room: "#ops", username: "eve", until: 1_700_000_000 }, id: 1, name: "ban" },
  });
});

Deno.test("a time that was meant as seconds is refused", () => {
  const parsed = parseBotCommand('{"command":"mute","room":"#ops","username":"eve","until":1700000000,"id":1}');
  assert.deepEqual(parsed, {
    ...{ problem: '"until" is a time in unix milliseconds, or 0; this one is long past.', id: 1, name: "mute" },
  });
});

Deno.test("a command that can't be carried out keeps its name and its id", () => {
  const { name, id } = parseBotCommand('{"command":"dance","id":"x"}');
  assert.deepEqual({ name, id }, { name: "dance", id: "x" });
  assert.equal(parseBotCommand("{").name, undefined);
});
