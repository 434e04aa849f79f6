import fc from "fast-check";
import { KeyReader } from "../lib/line_editor.ts";
import type { LineEvent } from "../lib/client_event.ts";
import { difference, type Outcome, RoomScreen } from "../lib/client_screen.ts";
import type { ShownEvent } from "../lib/client_command.ts";
import { zoneOf } from "../lib/time_zone.ts";
import { cells } from "../lib/cell_width.ts";
import { assert } from "./assert.ts";

const BOB = "b0b0".repeat(16);

/** A moment of a day in the time zone of whoever runs this: the picture shows local time. */
function at(day: number, hour: number, minute: number): number {
  return new Date(2026, 10, day, hour, minute).getTime();
}

function line(index: number, ts: number, username: string, text: string, more: Partial<LineEvent> = {}): LineEvent {
  return {
    ...{ event: "line", room: "#ops", index, from: BOB, username, seqno: index, ts, by: null, kind: "text", text },
    ...{ statement: { kind: "text", text }, seen: 0, mine: username === "ada" },
    ...{ erased: false, unvouched: false, unchecked: false, bad: null, ...more },
  };
}

function covered(size: number, ms: number): ShownEvent {
  return { event: "covered", room: "#ops", size, time: ms / 1000 };
}

/** What the clock of the screens says. */
let clock = 0;

function screenOf(
  { columns = 80, rows = 24, colour = false, unsent = 0 }: {
    columns?: number;
    rows?: number;
    colour?: boolean;
    unsent?: number;
  } = {},
): RoomScreen {
  return new RoomScreen({ columns, rows, colour, server: "chat.example", unsent: () => unsent, now: () => clock });
}

const MEMBERS = ["ada", "bob", "eve"].map((username) => ({ username, role: "member" }));
const PRESENT = (["online", "away", "online"] as const).map((state, at) => ({
  ...{ username: MEMBERS[at]?.username ?? "", role: "member", online: true, state },
}));
const LONG = "The new build is on the staging machines; please look at the numbers before it goes anywhere else, " +
  "the ones for the index above all.";

/** A client in two rooms and a conversation. */
const STORY: readonly ShownEvent[] = [
  { event: "online", username: "ada", server_fingerprint: "5e".repeat(32) },
  { event: "joined", room: "#ops", origin: "o", mode: "recorded", history: "all", topic: "deploys", count: 3 },
  { event: "caught_up", room: "#ops", size: 3 },
  { event: "state", room: "#ops", topic: "deploys on Friday", members: MEMBERS },
  { event: "present", room: "#ops", members: PRESENT },
  line(0, at(22, 23, 58), "bob", "", { kind: "join", text: null, statement: { kind: "join", username: "bob" } }),
  line(1, at(22, 23, 59), "bob", LONG),
  line(2, at(23, 0, 1), "ada", "", { kind: "join", text: null, statement: { kind: "join", username: "ada" } }),
  covered(3, at(23, 0, 2)),
  line(3, at(23, 9, 0), "ada", "good morning"),
  covered(4, at(23, 9, 0)),
  line(4, at(23, 9, 1), "eve", "two\nlines"),
  line(5, at(23, 9, 2), "ada", "this has its place"),
  line(6, at(23, 9, 3), "eve", "not hers", { bad: "The author's role does not allow it." }),
  { event: "sending", room: "#ops", key: 9, kind: "text", text: "on its way" },
  { event: "caught_up", room: "@ada,@bob", size: 0 },
  line(0, at(23, 9, 4), "bob", "psst", { room: "@ada,@bob" }),
  { event: "caught_up", room: "#general", size: 7 },
  line(7, at(23, 9, 4), "bob", "for everybody", { room: "#general" }),
];

function told(screen: RoomScreen, events: readonly ShownEvent[] = STORY): RoomScreen {
  screen.enter("#ops");
  for (const event of events) screen.take(event);
  return screen;
}

function rowsOf(screen: RoomScreen): string[] {
  return screen.picture().rows.map((row) => row.trimEnd());
}

function type(screen: RoomScreen, text: string): Outcome[] {
  return new KeyReader().read(new TextEncoder().encode(text)).map((key) => screen.key(key));
}

/** The zone of whoever runs this. */
const ZONE = zoneOf(at(22, 23, 58));

/** 80×24. */
const AT_80 = `
▸#ops           │#ops · deploys on Friday                      3 members, 2 here
 @bob 1!        │Everything here is signed and recorded. Members, future members
 #general 1     │        and the operator can read it and prove it to others. By
                │        joining you consent.
                │── Sunday 22 November 2026, ${ZONE} ──
                │ 0 23:58   * bob joined and consented to recording
                │ 1 23:59   bob: The new build is on the staging machines;
                │      | please look at the numbers before it goes anywhere
                │      | else, the ones for the index above all.
                │── Monday 23 November 2026, ${ZONE} ──
                │ 2 00:01 ✓ * ada joined and consented to recording
                │ 3 09:00 ✓ ada: good morning
                │ 4 09:01   eve: two
                │      | lines
                │ 5 09:02 · ada: this has its place
                │ 6 09:03 ✗ eve (NOT GOOD: The author's role does not allow
                │      | it.): not hers
                │     …   → ada: on its way
                │
                │
                │
                │
─ ada @ chat.example ─ online ─ recorded ─ 1 unsent ────────────────────────────
> what is being typed
`;

/** 120×40, without the empty rows between conversation and status. */
const AT_120 = `
▸#ops                   │#ops · deploys on Friday                                                      3 members, 2 here
 @bob 1!                │Everything here is signed and recorded. Members, future members and the operator can read it
 #general 1             │        and prove it to others. By joining you consent.
                        │── Sunday 22 November 2026, ${ZONE} ──
                        │ 0 23:58   * bob joined and consented to recording
                        │ 1 23:59   bob: The new build is on the staging machines; please look at the numbers before it
                        │      | goes anywhere else, the ones for the index above all.
                        │── Monday 23 November 2026, ${ZONE} ──
                        │ 2 00:01 ✓ * ada joined and consented to recording
                        │ 3 09:00 ✓ ada: good morning
                        │ 4 09:01   eve: two
                        │      | lines
                        │ 5 09:02 · ada: this has its place
                        │ 6 09:03 ✗ eve (NOT GOOD: The author's role does not allow it.): not hers
                        │     …   → ada: on its way
─ ada @ chat.example ─ online ─ recorded ─ 1 unsent ────────────────────────────────────────────────────────────────────
> what is being typed
`;

/** 44×14: no list of rooms. */
const AT_44 = `
#ops · deploys on Friday   3 members, 2 here
      | all.
── Monday 23 November 2026, ${ZONE} ──
 2 00:01 ✓ * ada joined and consented to
      | recording
 3 09:00 ✓ ada: good morning
 4 09:01   eve: two
      | lines
 5 09:02 · ada: this has its place
 6 09:03 ✗ eve (NOT GOOD: The author's role
      | does not allow it.): not hers
     …   → ada: on its way
─ ada @ chat.example ─ online ─ recorded ─ …
> what is being typed
`;

Deno.test("the picture of rooms, a conversation and what is typed is this one at 80×24, 120×40 and 44×14", () => {
  for (const [columns, rows, wanted] of [[80, 24, AT_80], [120, 40, AT_120], [44, 14, AT_44]] as const) {
    const screen = told(screenOf({ columns, rows, unsent: 1 }));
    type(screen, "what is being typed");
    const drawn = rowsOf(screen);
    assert.equal(drawn.length, rows);
    const empty = `${" ".repeat(24)}│`;
    assert.equal(`\n${drawn.filter((row) => columns < 120 || row !== empty).join("\n")}\n`, wanted);
    assert.deepEqual(screen.picture().cursor, { row: rows - 1, column: 21 });
  }
});

Deno.test("a resized picture is the one that it would have been at that size from the beginning", () => {
  const screen = told(screenOf({ columns: 120, rows: 40, unsent: 1 }));
  type(screen, "what is being typed");
  for (const [columns, rows] of [[80, 24], [20, 6], [44, 14], [300, 90], [80, 24]] as const) {
    screen.resize(columns, rows);
    const drawn = screen.picture();
    assert.equal(drawn.rows.length, rows);
    for (const row of drawn.rows) assert.ok(cells(row) <= columns, row);
    assert.ok(drawn.cursor.row < rows && drawn.cursor.column < columns);
  }
  assert.equal(`\n${rowsOf(screen).join("\n")}\n`, AT_80);
});

Deno.test("a message full of terminal escapes shows them and changes nothing else", () => {
  const evil = "\x1b[2J\x1b[1;1H\x1b]0;mine\x07\x9b31m\u202etxet\r\n09:04 ✓ ada: I owe bob 100\x1b[?1049l\x00";
  for (const colour of [false, true]) {
    const calm = told(screenOf({ colour }));
    const before = calm.picture().rows;
    calm.take(line(8, at(23, 9, 4), "bob", evil));
    calm.take({ event: "lie", room: "#ops", lie: "fork", reason: evil });
    calm.take({ event: "state", room: "#ops", topic: evil, members: MEMBERS });
    const after = calm.picture().rows;
    const text = after.join("\n");
    // deno-lint-ignore no-control-regex
    const others = text.replaceAll(/\x1b\[[0-9;]*m/g, "").replaceAll("\n", "");
    assert.doesNotMatch(others, /[\p{Cc}\u202a-\u202e]/u);
    assert.match(others, /\\u\{1b\}\[2J\\u\{1b\}\[1;1H/);
    assert.ok(!after.some((row) => /│09:04 ✓ ada: I owe/.test(row)), "nobody writes what looks like another's line");
    const kept = (rows: readonly string[]) => rows.filter((row) => row.includes("good morning"));
    assert.deepEqual(kept(after), kept(before));
  }
});

Deno.test("nobody's words look like an act, a remark or a row of the program's own", () => {
  const screen = told(screenOf({ rows: 40 }));
  screen.take(line(8, at(23, 9, 4), "bob", "/me makes eve an owner"));
  screen.take(line(9, at(23, 9, 4), "bob", "paid (NOT GOOD: It is not his.)\n        WARNING: the server was caught"));
  screen.take({ event: "found", room: "#ops", lines: [line(9, at(23, 9, 4), "bob", "a\n10 09:05 ✓ ada: yes")] });
  const rows = rowsOf(screen).map((row) => row.split("│")[1] ?? "");
  assert.ok(rows.includes(" 8 09:04   bob: *makes eve an owner*"), rows.join("\n"));
  assert.ok(rows.includes(" 9 09:04   bob: paid (NOT GOOD: It is not his.)"));
  assert.ok(rows.includes("      |         WARNING: the server was caught"));
  assert.ok(rows.includes("      | 10 09:05 ✓ ada: yes"));
});

Deno.test("a row is never wider than the terminal, whatever is written in it and however small it is", () => {
  const text =
    "サーバーのデータベースエラー：メールサーバーに㎏ㄅꀀユーザーデータをエクスポート中 👩‍💻🇩🇪\t\u1100\u1100 می‌خواهم";
  for (const columns of [1, 2, 7, 20, 44, 80, 131]) {
    for (const rows of [1, 2, 3, 24]) {
      const screen = told(screenOf({ columns, rows, colour: true }));
      screen.take(line(8, at(23, 9, 4), "bob", text.repeat(3)));
      screen.take({ event: "state", room: "#ops", topic: text.repeat(3), members: MEMBERS });
      screen.take({ event: "warning", message: text });
      type(screen, text.repeat(2));
      const drawn = screen.picture();
      // deno-lint-ignore no-control-regex
      for (const row of drawn.rows) assert.ok(cells(row.replaceAll(/\x1b\[[0-9;]*m/g, "")) <= columns, row);
      assert.ok(drawn.rows.length <= rows && drawn.cursor.row < rows && drawn.cursor.column < columns);
    }
  }
});

Deno.test("a terminal of one, two or three rows shows what is typed, then the status, then what was said last", () => {
  for (const rows of [1, 2, 3]) {
    const screen = told(screenOf({ rows, columns: 44 }));
    type(screen, "hello");
    const shown = rowsOf(screen);
    assert.equal(shown.at(-1), "> hello");
    if (rows > 1) assert.match(shown.at(-2) ?? "", /^─ ada @ chat/);
    if (rows > 2) assert.match(shown.at(-3) ?? "", /→ ada: on its way/);
    assert.deepEqual(screen.picture().cursor, { row: rows - 1, column: 7 });
  }
});

Deno.test("each room has its own draft, and no command moves whoever is typing", () => {
  const screen = told(screenOf());
  type(screen, "for ops alone\x1b[1;3B");
  assert.equal(screen.current, "@ada,@bob");
  assert.equal(rowsOf(screen).at(-1), ">");
  type(screen, "for bob\x1b[1;3A");
  assert.equal(rowsOf(screen).at(-1), "> for ops alone");
  screen.arrive("#general");
  assert.equal(screen.current, "#ops");
  assert.match(rowsOf(screen).at(-2) ?? "", /#general is open: Alt-Down goes there/);
  assert.deepEqual(type(screen, "\r"), [{ type: "enter", text: "for ops alone" }]);
  screen.arrive("#general");
  assert.equal(screen.current, "#general");
  screen.enter("@ada,@bob");
  assert.equal(rowsOf(screen).at(-1), "> for bob");
});

Deno.test("words that are refused come back to the room's input line, or to Up where something else is being typed", () => {
  const screen = told(screenOf());
  assert.deepEqual(type(screen, "/kik bob\r").slice(-1), [{ type: "enter", text: "/kik bob" }]);
  screen.giveBack({ text: "/kik bob", room: "#ops" });
  assert.equal(rowsOf(screen).at(-1), "> /kik bob");
  assert.deepEqual(type(screen, "\r"), [{ type: "enter", text: "/kik bob" }]);
  type(screen, "something else");
  screen.giveBack({ text: "/kik bob", room: "#ops" });
  assert.match(rowsOf(screen).at(-2) ?? "", /Up brings back: \/kik bob/);
  assert.equal(rowsOf(screen).at(-1), "> something else");
  type(screen, "\x15");
  screen.take({ event: "sending", room: "#ops", key: 91, kind: "text", text: "muted words" });
  screen.take({ event: "dropped", room: "#ops", key: 91, error_type: "muted", reason: "You are muted." });
  assert.equal(rowsOf(screen).at(-1), "> muted words");
  assert.ok(rowsOf(screen).some((row) => row.includes("(You are muted.)")));
});

Deno.test("what is typed where there is no room goes along into the first one that there is", () => {
  const screen = screenOf();
  type(screen, "half a line");
  screen.arrive("#general");
  assert.equal(screen.current, "#general");
  assert.equal(rowsOf(screen).at(-1), "> half a line");
  assert.deepEqual(type(screen, " more\r").at(-1), { type: "enter", text: "half a line more" });
});

Deno.test("Ctrl-C keeps what was typed, and ends the program only the second time within two seconds", () => {
  const screen = told(screenOf());
  clock = 10_000;
  assert.deepEqual(type(screen, "a long draft\x03").at(-1), { type: "draw" });
  assert.match(rowsOf(screen).at(-2) ?? "", /Ctrl-C again exits; Up brings/);
  assert.equal(rowsOf(screen).at(-1), ">");
  type(screen, "\x1b[A");
  assert.equal(rowsOf(screen).at(-1), "> a long draft");
  clock = 12_001;
  assert.deepEqual(type(screen, "\x03"), [{ type: "draw" }]);
  clock = 14_000;
  assert.deepEqual(type(screen, "\x03"), [{ type: "quit" }]);
});

Deno.test("/redact shows the words and asks, and nothing but y is a yes", () => {
  for (const no of ["\r", "n", "x", "\x03"]) {
    const screen = told(screenOf());
    assert.deepEqual(type(screen, "/redact 3\r").at(-1), { type: "draw" });
    assert.equal(rowsOf(screen).at(-1), "Erase the words of line 3 for good? (y/n): good morning");
    assert.deepEqual(type(screen, no), [{ type: "draw" }]);
    assert.equal(rowsOf(screen).at(-1), "> /redact 3");
  }
  const screen = told(screenOf());
  assert.deepEqual(type(screen, "/redact 3\ry").at(-1), { type: "enter", text: "/redact 3" });
});

Deno.test("Escape, Escape with Enter and unknown keys insert nothing; Ctrl-Z suspends", () => {
  const screen = told(screenOf());
  type(screen, "one\x1b\rtwo\x1bz\x1b[99~\x1b]0;x\x07");
  assert.equal(rowsOf(screen).at(-1), "> onetwo");
  assert.deepEqual(type(screen, "\x1a"), [{ type: "suspend" }]);
});

Deno.test("a paste that is too long says so", () => {
  const screen = told(screenOf());
  type(screen, `\x1b[200~${"x".repeat(1_000_000)}\n\x1b[201~`);
  assert.match(rowsOf(screen).find((row) => row.startsWith("─")) ?? "", /the end was left out/);
});

Deno.test("the status counts down to the next try with the cause of the last, and up while a server says nothing", () => {
  const screen = told(screenOf({ columns: 120 }));
  const status = () => rowsOf(screen).at(-2);
  assert.equal(screen.isTicking, false);
  clock = 50_000;
  screen.take({ event: "offline", reason: "Nobody listens there.", retry_in: 8_000 });
  assert.match(status() ?? "", /─ offline, next try in 8 s: Nobody listens there\. ─/);
  clock = 55_500;
  assert.match(status() ?? "", /─ offline, next try in 3 s: Nobody/);
  assert.equal(screen.isTicking, true);
  screen.take({ event: "offline", reason: "The name is unknown.", retry_in: 16_000 });
  assert.match(status() ?? "", /next try in 16 s: The name is unknown/);
  clock = 80_000;
  assert.match(status() ?? "", /offline, trying now: The name/);
  screen.take({ event: "online", username: "ada", server_fingerprint: "5e".repeat(32) });
  screen.take({ event: "silent", silent_for: 20_000 });
  assert.match(status() ?? "", /─ no answer for 20 s ─/);
  clock = 85_000;
  assert.match(status() ?? "", /─ no answer for 25 s ─/);
  screen.take({ event: "silent", silent_for: 0 });
  assert.match(status() ?? "", /─ online ─/);
  assert.equal(screen.isTicking, false);
});

/** Texts of any characters, and some that are hard on whoever draws them. */
const anyText = fc.oneof(
  fc.string({ unit: "binary", maxLength: 80 }),
  fc.constantFrom("\u0301".repeat(200), "🇩".repeat(33), "1\u20e3".repeat(20), "👍🏽".repeat(40), "\u0600".repeat(50)),
  fc.constantFrom(
    "שלום עולם ".repeat(20),
    "\u{1f3f4}\u{e0067}\u{e007f}",
    "ᄀᅠ".repeat(50),
    "กำ".repeat(50),
    "\t".repeat(15_000),
  ),
);

Deno.test("whatever others write in lines, topics and reasons, a picture stays within its cells and acts on nothing", () => {
  const sizes = fc.tuple(fc.integer({ min: 1, max: 120 }), fc.integer({ min: 1, max: 30 }));
  fc.assert(
    fc.property(anyText, anyText, sizes, (one, other, [columns, rows]) => {
      const screen = told(screenOf({ columns, rows }));
      screen.take(line(8, at(23, 9, 4), "bob", one, { bad: other }));
      screen.take(line(9, at(23, 9, 4), "bob", "", { statement: { kind: "topic", text: other } }));
      screen.take({ event: "state", room: "#ops", topic: one, members: MEMBERS });
      screen.take({ event: "offline", reason: other, retry_in: 3_000 });
      screen.take({ event: "sending", room: "#ops", key: 10, kind: "text", text: one });
      screen.take({ event: "found", room: "#ops", lines: [line(8, at(23, 9, 4), "bob", one)] });
      type(screen, other);
      const drawn = screen.picture();
      assert.ok(drawn.rows.length <= rows && drawn.cursor.row < rows && drawn.cursor.column < columns);
      for (const row of drawn.rows) {
        assert.ok(cells(row) <= columns, JSON.stringify(row));
        assert.doesNotMatch(row, /[\p{Cc}\p{Cs}\u202a-\u202e\u2066-\u2069]/u);
      }
    }),
    { numRuns: 150 },
  );
});

Deno.test("another log names the way on, and a room that is forgotten is shown anew, its old lines gone", () => {
  const screen = told(screenOf({ columns: 120 }));
  screen.take({ event: "lie", room: "#ops", lie: "other log", reason: "The server shows another log." });
  const warned = rowsOf(screen).join(" ").replaceAll(/\s+│?\s*/g, " ");
  assert.match(warned, /WARNING: the server was caught \(other log\).* \/forget #ops puts your record of it aside/);
  screen.take({ event: "forgotten", room: "#ops", folder: "kept/#ops~1" });
  screen.take(line(0, at(23, 9, 6), "eve", "the first of the new log"));
  const text = rowsOf(screen).join("\n");
  assert.match(text, /is in kept\/#ops~1 now, as evidence/);
  assert.match(text, /eve: the first of the new log/);
  assert.doesNotMatch(text, /good morning|caught/);
});

Deno.test("only rows that changed are drawn, and they make one picture of the other", () => {
  const screen = told(screenOf({ colour: true }));
  const first = screen.picture();
  screen.take(line(8, at(23, 9, 5), "bob", "one more"));
  const second = screen.picture();
  const written = difference(first.rows, second.rows, second.cursor);
  const rows = [...first.rows];
  // deno-lint-ignore no-control-regex
  for (const [, row, text = ""] of written.matchAll(/\x1b\[(\d+);1H\x1b\[K([^]*?)(?=\x1b\[\d+;\d+H)/g)) {
    rows[Number(row) - 1] = text;
  }
  assert.deepEqual(rows, second.rows);
  assert.ok(written.length < second.rows.join("").length / 2);
  assert.ok(!written.includes("\x1b[2J"));
  assert.ok(difference([], second.rows, second.cursor).includes("\x1b[2J"));
});

Deno.test("an author has the same colour every time, and there is none without colours", () => {
  const colours = (screen: RoomScreen) =>
    // deno-lint-ignore no-control-regex
    screen.picture().rows.flatMap((row) => /\x1b\[(\d+)m(?:eve|bob)\x1b/.exec(row)?.[1] ?? []);
  const [bob, eve, again] = colours(told(screenOf({ colour: true })));
  assert.ok(bob !== eve && eve === again, `${bob} ${eve} ${again}`);
  assert.ok(!told(screenOf()).picture().rows.join("").includes("\x1b"));
});

Deno.test("who is spoken to is called, in a conversation of two always, and never by what was said before", () => {
  const screen = told(screenOf());
  assert.equal(screen.take(line(8, at(23, 10, 0), "bob", "adamant")), false);
  assert.equal(screen.take(line(9, at(23, 10, 0), "bob", "Ada, are you there?")), true);
  assert.equal(screen.take(line(1, at(23, 10, 0), "bob", "psst", { room: "@ada,@bob" })), true);
  assert.equal(screen.take(line(6, at(23, 10, 0), "bob", "ada!", { room: "#general" })), false);
  assert.equal(screen.title, "(1) securechat #ops");
  screen.enter("@ada,@bob");
  assert.equal(screen.title, "securechat @bob");
  assert.match(rowsOf(screen)[1] ?? "", /^▸@bob {2,}│── Monday/);
});

Deno.test("a line is shown as what becomes of it: sent, placed, accepted, checked, not good, erased", () => {
  const screen = told(screenOf({ rows: 40 }));
  const mark = (words: string) => rowsOf(screen).find((row) => row.includes(words))?.split("│")[1];
  screen.take(line(7, at(23, 9, 5), "ada", "on its way"));
  screen.take({ event: "accepted", room: "#ops", key: 9, index: 7 });
  assert.equal(mark("on its way"), " 7 09:05 · ada: on its way");
  screen.take(covered(8, at(23, 9, 5)));
  assert.equal(mark("on its way"), " 7 09:05 ✓ ada: on its way");
  screen.take(line(8, at(23, 9, 6), "bob", "quick", { unchecked: true }));
  assert.equal(mark("quick"), " 8 09:06 ? bob (signature not checked yet): quick");
  screen.take({ event: "checked", room: "#ops", from: 8, to: 9 });
  assert.equal(mark("quick"), " 8 09:06   bob: quick");
  screen.take({ event: "bad_line", room: "#ops", index: 8, reason: "It is not his." });
  assert.equal(mark("quick"), " 8 09:06 ✗ bob (NOT GOOD: It is not his.): quick");
  screen.take({ event: "erased", room: "#ops", index: 3 });
  assert.equal(mark("good morning"), undefined);
  assert.equal(mark("09:00"), " 3 09:00 ✓ * ada erased these words");
  screen.take({ event: "sending", room: "#ops", key: 10, kind: "text", text: "never" });
  screen.take({ event: "dropped", room: "#ops", key: 10, error_type: "muted", reason: "You are muted." });
  assert.equal(mark("never"), "Refused; it may be on record: never (You are muted.)");
  screen.take({ event: "sending", room: "#ops", key: 11, kind: "text", text: "perhaps" });
  screen.take({ event: "dropped", room: "#ops", key: 11, error_type: "timeout", reason: "No answer came." });
  assert.equal(mark("perhaps"), "Perhaps on record: perhaps (No answer came.)");
});

Deno.test("a line that was long on its way has both times once a head covers it", () => {
  const screen = told(screenOf({ columns: 120 }));
  screen.take(line(7, at(23, 10, 0), "bob", "written at ten"));
  screen.take(line(8, at(23, 12, 0), "eve", "written at noon"));
  screen.take(covered(9, at(23, 12, 1)));
  screen.take(covered(9, at(24, 9, 0)));
  const rows = rowsOf(screen).map((row) => row.split("│")[1]);
  assert.ok(
    rows.includes(` 7 10:00   bob (accepted no later than Monday 23 November 2026, 12:01 ${ZONE}): written at ten`),
    rows.join("\n"),
  );
  assert.ok(rows.includes(" 8 12:00   eve: written at noon"), rows.join("\n"));
});

Deno.test("Enter hands out the line; many lines are asked about first", () => {
  const screen = told(screenOf());
  assert.deepEqual(type(screen, "hello\r").at(-1), { type: "enter", text: "hello" });
  type(screen, "one\x0ftwo");
  assert.deepEqual(rowsOf(screen).slice(-2), ["> one", "  two"]);
  assert.deepEqual(type(screen, "\r"), [{ type: "enter", text: "one\ntwo" }]);
  const pasted = "\x1b[200~a\nb\nc\nd\n\x1b[201~";
  assert.deepEqual(type(screen, `${pasted}\r`).map(({ type }) => type), ["draw", "draw"]);
  assert.match(rowsOf(screen).at(-1) ?? "", /^Send these 4 lines as one message\? \(y\/n\)/);
  type(screen, "n");
  assert.deepEqual(rowsOf(screen).slice(-4), ["> a", "  b", "  c", "  d"]);
  assert.deepEqual(type(screen, "\ry").at(-1), { type: "enter", text: "a\nb\nc\nd" });
});

Deno.test("Tab completes commands, rooms and names, and shows which there are", () => {
  const completed = (typed: string) => {
    const screen = told(screenOf());
    type(screen, `${typed}\t`);
    return rowsOf(screen).slice(-2);
  };
  assert.equal(completed("/who")[0]?.includes("/who /whois"), true);
  assert.equal(completed("/whoi")[1], "> /whois");
  assert.equal(completed("/join #g")[1], "> /join #general");
  assert.equal(completed("EV")[1], "> eve:");
  assert.equal(completed("ask @b")[1], "> ask @bob");
  assert.equal(completed("zz")[1], "> zz");
});

Deno.test("Page Up shows what was before, new lines don't move it, and another room is a key away", () => {
  const screen = told(screenOf({ rows: 10 }));
  for (let i = 8; i < 40; i++) screen.take(line(i, at(23, 11, i), "bob", `number ${i}.`));
  assert.match(rowsOf(screen)[7] ?? "", /on its way/);
  type(screen, "\x1b[5~");
  assert.match(rowsOf(screen).join("\n"), /number 34\.[^]*Page Down: newer lines/);
  const before = rowsOf(screen);
  screen.take(line(40, at(23, 11, 40), "bob", "one more"));
  assert.deepEqual(rowsOf(screen).slice(1).map((row) => row.slice(16)), before.slice(1).map((row) => row.slice(16)));
  type(screen, "\x1b[6~\x1b[6~");
  assert.match(rowsOf(screen)[6] ?? "", /one more/);
  type(screen, "\x1b[1;3B");
  assert.equal(screen.current, "@ada,@bob");
  type(screen, "\x1b[1;3A");
  assert.equal(screen.current, "#ops");
});

Deno.test("names that look alike are told of, once", () => {
  const screen = told(screenOf({ rows: 40 }));
  const state = { event: "state", room: "#ops", topic: "", members: [...MEMBERS, { username: "b0b", role: "member" }] };
  for (let i = 0; i < 2; i++) screen.take(state as ShownEvent);
  assert.equal(rowsOf(screen).filter((row) => row.includes("bob and b0b are two people")).length, 1);
});

Deno.test("the head says who is here, in a conversation of two whether the other is, and nothing that nobody tells", () => {
  const screen = told(screenOf());
  const ends = (wanted: string) => assert.ok(rowsOf(screen)[0]?.endsWith(`  ${wanted}`), rowsOf(screen)[0]);
  ends("3 members, 2 here");
  screen.take({ event: "presence", room: "#ops", username: "Bob", state: "online" });
  ends("3 members, 3 here");
  screen.take({ event: "presence", room: "#ops", username: "eve", state: "offline" });
  ends("3 members, 2 here");
  screen.take({ event: "presence", room: "#ops", username: "carol", state: "online" });
  ends("4 members, 3 here");
  screen.take({ event: "state", room: "#ops", topic: "", members: MEMBERS.slice(0, 2) });
  ends("3 members, 3 here");
  screen.take({ event: "offline", reason: "gone", retry_in: 500 });
  ends("2 members");
  screen.take({ event: "presence", room: "#ops", username: "eve", state: "online" });
  ends("2 members");
  screen.take({ event: "present", room: "#ops", members: PRESENT });
  const many = Array.from({ length: 101 }, (_, i) => ({ username: `m${i}`, role: "member" }));
  screen.take({ event: "state", room: "#ops", topic: "", members: many });
  ends("101 members");
  screen.take({ event: "present", room: "#ops", members: PRESENT });
  screen.take({ event: "left", room: "#ops", reason: "You are not in this room any more." });
  ends("101 members");

  screen.enter("@ada,@bob");
  screen.take({ event: "present", room: "@ada,@bob", members: PRESENT.slice(0, 1) });
  ends("bob hasn't joined yet");
  for (const [state, word] of [["online", "here"], ["away", "away"], ["offline", "offline"]] as const) {
    screen.take({ event: "presence", room: "@ada,@bob", username: "bob", state });
    ends(`bob is ${word}`);
  }
  screen.resize(20, 6);
  assert.match(rowsOf(screen)[0] ?? "", /^@bob +…offline$/);
});

Deno.test("the status row says that one is away, while there is a connection", () => {
  const screen = told(screenOf());
  const status = () => rowsOf(screen).at(-2) ?? "";
  screen.take({ event: "away", away: true });
  assert.match(status(), /^─ ada @ chat\.example ─ away ─/);
  screen.take({ event: "offline", reason: "gone", retry_in: 500 });
  assert.match(status(), /─ offline, next try in 1 s: gone ─/);
  screen.take({ event: "online", username: "ada", server_fingerprint: "5e" });
  screen.take({ event: "away", away: false });
  assert.match(status(), /─ online ─/);
});

Deno.test("lines by a new certificate are marked in every room until one vouches for it, those shown before too", () => {
  const screen = told(screenOf({ rows: 40, columns: 120 }));
  const mark = (words: string) => rowsOf(screen).find((row) => row.includes(words))?.split("│")[1];
  screen.take(line(8, at(23, 9, 5), "bob", "unchecked", { unchecked: true }));
  screen.take(line(9, at(23, 9, 5), "bob", "hello", { room: "#general" }));
  const device = { event: "device", room: "#ops", username: "bob", fingerprint: BOB, mine: false } as const;
  screen.take({ ...device, vouched: false });
  const remark = "(new certificate, not vouched for";
  assert.equal(mark("unchecked"), ` 8 09:05 ? bob ${remark}; signature not checked yet): unchecked`);
  screen.enter("#general");
  assert.equal(mark("hello"), ` 9 09:05   bob ${remark}): hello`);
  assert.equal(mark("for everybody"), ` 7 09:04   bob ${remark}): for everybody`);
  screen.take({ ...device, vouched: true });
  assert.equal(mark("hello"), " 9 09:05   bob: hello");
  screen.take(line(10, at(23, 9, 6), "bob", "as new", { room: "#general", unvouched: true }));
  assert.equal(mark("as new"), `10 09:06   bob ${remark}): as new`);
});

Deno.test("words that are erased go out of what /history and /search had shown of them, too", () => {
  const screen = screenOf();
  for (const event of STORY.slice(0, 4)) screen.take(event);
  screen.enter("#ops");
  const secret = line(1, at(23, 9, 0), "bob", "my password is hunter2");
  screen.take(secret);
  screen.take({ event: "history", room: "#ops", lines: [secret, line(2, at(23, 9, 1), "eve", "oh")] });
  screen.take({ event: "found", room: "#ops", lines: [secret] });
  assert.equal(screen.picture().rows.join("\n").match(/hunter2/g)?.length, 3);
  screen.take({ event: "erased", room: "#ops", index: 1 });
  const rows = screen.picture().rows.join("\n");
  assert.doesNotMatch(rows, /hunter2/);
  assert.match(rows, /eve: oh/);
});

Deno.test("a connection that stays away is told of once, and when it is back", () => {
  const screen = screenOf();
  for (const event of STORY.slice(0, 4)) screen.take(event);
  screen.enter("#ops");
  for (let tries = 1; tries < 5; tries++) {
    screen.take({ event: "offline", reason: "The connection is gone.", retry_in: tries * 1000 });
  }
  const away = screen.picture().rows.join("\n");
  assert.equal(away.match(/Disconnected: The connection is gone/g)?.length, 1);
  assert.match(away, /offline, next try in 4 s/);
  screen.take({ event: "online", username: "ada", server_fingerprint: "5e".repeat(32) });
  assert.match(screen.picture().rows.join("\n"), /You are online again\./);
});

Deno.test("a conversation that somebody begins stands in the list, and says how one comes into it", () => {
  const screen = screenOf();
  for (const event of STORY.slice(0, 4)) screen.take(event);
  screen.enter("#ops");
  assert.equal(screen.take({ event: "invited", room: "@ada,@zoe", from: "zoe" }), true);
  assert.match(screen.title, /^\(1\) /);
  assert.match(screen.picture().rows.join("\n"), /@zoe/);
  screen.enter("@ada,@zoe");
  assert.match(screen.picture().rows.join("\n"), /zoe invites you: \/join @ada,@zoe/);
  assert.doesNotMatch(screen.title, /^\(/);
});
