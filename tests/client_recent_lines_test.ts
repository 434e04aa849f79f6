import { RECENT_LINES, RecentLines } from "../lib/client_recent_lines.ts";
import type { LineEvent } from "../lib/client_event.ts";
import type { ShownEvent } from "../lib/client_command.ts";
import { PlainText } from "../lib/client_plain_text.ts";
import { assert } from "./assert.ts";

function line(index: number, more: Partial<LineEvent> = {}): LineEvent {
  return {
    ...{ event: "line", room: "#ops", index, from: "9f".repeat(32), username: "bob", seqno: index, ts: 0, by: null },
    ...{ kind: "text", text: `words ${index}`, statement: { kind: "text", text: `words ${index}` }, seen: 0 },
    ...{ mine: false, erased: false, unvouched: false, unchecked: false, bad: null, ...more },
  };
}

const lines = (from: number, to: number) => Array.from({ length: to - from }, (_, at) => line(from + at));
const joined = (history: "all" | "since_join"): ShownEvent => ({
  ...{ event: "joined", room: "#ops", origin: "o", mode: "recorded", topic: "", count: 0, history },
});
const caughtUp: ShownEvent = { event: "caught_up", room: "#ops", size: 0 };
const offline: ShownEvent = { event: "offline", reason: "gone", retry_in: 500 };

/** What is shown, each line by its index. */
function shown(...events: readonly ShownEvent[]): (string | number)[] {
  const recent = new RecentLines();
  return events.flatMap((event) => recent.take(event)).map((event) => {
    if (event.event === "line") return event.index;
    return event.event === "earlier" ? `${event.count} earlier, ${event.history} in all` : event.event;
  });
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, at) => from + at);

Deno.test("a room that is opened shows its last twenty lines and tells how many there were before", () => {
  assert.equal(RECENT_LINES, 20);
  const all = joined("all");
  assert.deepEqual(shown(all, ...lines(0, 20), caughtUp), ["joined", ...range(0, 20), "caught_up"]);
  assert.deepEqual(shown(all, ...lines(0, 21), caughtUp), [
    ...["joined", "1 earlier, 21 in all", ...range(1, 21), "caught_up"],
  ]);
  // Of a long log the disk tells the last lines alone.
  assert.deepEqual(shown(...lines(4500, 5000), all, ...lines(5000, 5003), caughtUp, line(5003)), [
    ...["joined", "4983 earlier, 5003 in all", ...range(4983, 5003), "caught_up", 5003],
  ]);
  assert.deepEqual(shown(joined("since_join"), ...lines(100, 130), caughtUp).slice(0, 3), [
    ...["joined", "10 earlier, 30 in all", 110],
  ]);
});

Deno.test("offline nobody knows how many lines there were before those that the disk tells, and the count says so", () => {
  const told = (...events: readonly ShownEvent[]) => {
    const recent = new RecentLines();
    return events.flatMap((event) => recent.take(event)).flatMap((event) =>
      event.event === "earlier" ? [[event.count, event.isLeast ?? false]] : []
    );
  };
  assert.deepEqual(told(...lines(4500, 5000), offline), [[480, true]]);
  assert.deepEqual(told(...lines(0, 500), offline), [[480, false]]);
  assert.deepEqual(told(...lines(4500, 5000), joined("all"), caughtUp), [[4980, false]]);
  assert.deepEqual(told(joined("since_join"), ...lines(4500, 5000), caughtUp), [[480, false]]);
  const text = new PlainText();
  const rows = [...lines(4500, 5000), offline].flatMap((event) => text.lines(event));
  assert.match(rows.join("\n"), /\b480 or more earlier lines; \/history 500 /);
});

Deno.test("what is new is shown whole, also after a break", () => {
  assert.deepEqual(shown(joined("all"), ...lines(0, 1), caughtUp, offline, joined("all"), ...lines(1, 41), caughtUp), [
    ...["joined", 0, "caught_up", "offline", "joined", ...range(1, 41), "caught_up"],
  ]);
});

Deno.test("where nothing more comes for now, what is here is shown: offline, silent, left, caught in a lie, at the end", () => {
  const before = ["5 earlier, 25 in all", ...range(5, 25)];
  const silent: ShownEvent = { event: "silent", silent_for: 20_000 };
  const left: ShownEvent = { event: "left", room: "#ops", reason: "bob removed you" };
  const lie: ShownEvent = { event: "lie", room: "#ops", lie: "fork", reason: "two logs" };
  for (const event of [offline, silent, left, lie]) {
    assert.deepEqual(shown(...lines(0, 25), event), [...before, event.event]);
  }
  assert.deepEqual(shown(...lines(0, 25), offline, ...lines(25, 27), caughtUp), [
    ...[...before, "offline", 25, 26, "caught_up"],
  ]);
  const text = new PlainText();
  for (const one of lines(0, 25)) assert.deepEqual(text.lines(one), []);
  assert.equal(text.end()[0], "[#ops] 5 earlier lines; /history 25 shows them.");
});

Deno.test("what becomes known of a line before it is shown changes the line, and erased words never appear", () => {
  const recent = new RecentLines();
  const take = (event: ShownEvent) => recent.take(event);
  const room = "#ops";
  for (const one of lines(0, 30)) assert.deepEqual(take({ ...one, unchecked: true }), []);
  assert.deepEqual(take({ event: "erased", room, index: 20 }), []);
  assert.deepEqual(take({ event: "erased", room, index: 3 }), [], "it isn't shown");
  assert.deepEqual(take({ event: "bad_line", room, index: 21, reason: "unsigned" }), []);
  const early = { event: "bad_line", room, index: 2, reason: "unsigned" } as const;
  assert.deepEqual(take(early), [early], "whatever is wrong is told");
  take({ event: "covered", room, size: 25, time: 7 });
  take({ event: "checked", room, from: 0, to: 30 });
  const known = new Map(take(caughtUp).flatMap((event) => event.event === "line" ? [[event.index, event]] : []));
  assert.deepEqual([known.get(20)?.text, known.get(20)?.statement, known.get(20)?.erased], [null, null, true]);
  assert.deepEqual([known.get(21)?.bad, known.get(22)?.bad], ["unsigned", null]);
  assert.deepEqual([known.get(24)?.by, known.get(25)?.by], [7, null]);
  assert.ok([...known.values()].every(({ unchecked }) => !unchecked));
  const erased = { event: "erased", room, index: 20 } as const;
  assert.deepEqual(take(erased), [erased]);
});

Deno.test("a newcomer's lines, which come after their number, are held until the last of them is here", () => {
  const all: ShownEvent = { event: "caught_up", room: "#ops", size: 27 };
  assert.deepEqual(shown(joined("all"), all, ...lines(0, 26)), ["joined", "caught_up"]);
  assert.deepEqual(shown(joined("all"), all, ...lines(0, 28)), [
    ...["joined", "caught_up", "7 earlier, 27 in all", ...range(7, 28)],
  ]);
});

Deno.test("a line that comes out of turn, or twice, stands once and in its place", () => {
  assert.deepEqual(shown(line(0), line(2), line(1), line(2), caughtUp), [0, 1, 2, "caught_up"]);
});
