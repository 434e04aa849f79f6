import type { LineEvent, Presence } from "../lib/client_event.ts";
import type { ShownEvent } from "../lib/client_command.ts";
import { PlainText } from "../lib/client_plain_text.ts";
import { zoneOf } from "../lib/time_zone.ts";
import { assert } from "./assert.ts";

const [PHONE, LAPTOP] = ["9f".repeat(32), "c0".repeat(32)];

/** What ada reads of an event, having come online. */
function read(...events: readonly ShownEvent[]): string[] {
  const plain = new PlainText();
  plain.lines({ event: "online", username: "Ada", server_fingerprint: "5e".repeat(32) });
  return events.flatMap((event) => plain.lines(event));
}

/** A room whose lines are all here: what comes is new. */
function caughtUp(room: string): ShownEvent {
  return { event: "caught_up", room, size: 3 };
}

function member(username: string, state: Presence, role = "member") {
  return { username, role, online: state !== "offline", state };
}

/** The zone of whoever runs this. */
const ZONE = zoneOf(new Date(2026, 10, 23, 12).getTime());

Deno.test("plain text says who is here once, then who comes, goes and is away, and nothing of oneself", () => {
  const members = [member("Ada", "online", "owner"), member("bob", "away"), member("eve", "offline")];
  const presence = (username: string, state: Presence) =>
    ({ event: "presence", room: "#ops", username, state }) as const;
  assert.deepEqual(
    read(
      { event: "present", room: "#ops", members },
      { event: "present", room: "@ada,@bob", members: members.slice(0, 2) },
      { event: "present", room: "@ada,@bob", members: members.slice(0, 1) },
      presence("bob", "online"),
      presence("bob", "away"),
      presence("bob", "offline"),
      presence("ada", "away"),
    ),
    [
      "[#ops] 3 members, 1 here.",
      "[@bob] bob is away.",
      "[@bob] bob hasn't joined yet.",
      "[#ops] bob is here.",
      "[#ops] bob is away.",
      "[#ops] bob is offline.",
    ],
  );
  assert.deepEqual(read({ event: "members", room: "#ops", members }), [
    "[#ops] 3 members, as the server says:",
    "[#ops] Ada, owner, here",
    "[#ops] bob, member, away",
    "[#ops] eve, member, offline",
  ]);
  assert.match(read({ event: "away", away: true }).join(), /^You are away\. .* it isn't signed/);
  assert.deepEqual(read({ event: "away", away: false }), ["You are back."]);
});

Deno.test("a new certificate of one's own account is told as such, with what to do if it is one's own and if it is not", () => {
  const device = { event: "device", room: "#ops", username: "ada", fingerprint: PHONE } as const;
  const [other] = read({ ...device, vouched: false, mine: false });
  assert.match(other ?? "", /^\[#ops\] WARNING: a new certificate of YOURS joined: (?:9f){32}\./);
  assert.match(other ?? "", /\/vouch (?:9f){8} confirms it; if not, tell the operator to revoke it\.$/);
  const [own] = read({ ...device, vouched: false, mine: true });
  assert.match(
    own ?? "",
    /don't know this certificate of yours yet, (?:9f){32}: .* type \/vouch (?:9f){8} on a device/,
  );
  assert.doesNotMatch(own ?? "", /WARNING/);
  assert.match(read({ ...device, vouched: true, mine: true }).join(), /has vouched for this one, 9f/);
  assert.match(read({ ...device, vouched: true, mine: false }).join(), /has vouched for another, 9f/);
  assert.deepEqual(read({ ...device, username: "bob", vouched: false, mine: false }), [
    `[#ops] WARNING: bob uses a NEW certificate, not vouched for: ${PHONE}`,
  ]);
  assert.match(
    read({ ...device, username: "bob", vouched: true, mine: false }).join(),
    /bob .* a known one has vouched for it\.$/,
  );
});

Deno.test("of a line that is dropped plain text says whether it may stand in the log", () => {
  const dropped = { event: "dropped", room: "#ops", key: 7 } as const;
  assert.deepEqual(
    read(
      { ...dropped, error_type: "muted", reason: "You are muted." },
      { ...dropped, error_type: "timeout", reason: "No answer came." },
    ),
    ["[#ops] Refused; it may be on record: You are muted.", "[#ops] Perhaps on record: No answer came."],
  );
});

Deno.test("lines that were long on their way are told with the time of their acceptance, those beside one another at once", () => {
  const written = new Date(2026, 10, 23, 10, 0).getTime();
  const line = (index: number, ts: number, room = "#ops"): LineEvent => ({
    ...{ event: "line", room, index, from: PHONE, username: "bob", seqno: index, ts, by: null, kind: "text" },
    ...{ text: "hello", statement: { kind: "text", text: "hello" }, seen: 0, mine: false },
    ...{ erased: false, unvouched: false, unchecked: false, bad: null },
  });
  const at = (minutes: number) => written + 60_000 * minutes;
  const covered = (size: number, minutes: number, room = "#ops") =>
    ({ event: "covered", room, size, time: at(minutes) / 1000 }) as const;
  const lines = [
    line(3, at(0)),
    line(4, at(1)),
    line(5, at(120)),
    line(6, at(2)),
    line(7, at(3)),
    line(7, at(3), "#dev"),
  ];
  const told = read(
    caughtUp("#ops"),
    caughtUp("#dev"),
    ...lines,
    covered(7, 120),
    covered(7, 500),
    covered(8, 7),
    covered(8, 130, "#dev"),
  );
  assert.deepEqual(told.slice(-3), [
    `[#ops] Lines 3 to 4 were accepted no later than Monday 23 November 2026, 12:00 ${ZONE}.`,
    `[#ops] Line 6 was accepted no later than Monday 23 November 2026, 12:00 ${ZONE}.`,
    `[#dev] Line 7 was accepted no later than Monday 23 November 2026, 12:10 ${ZONE}.`,
  ]);
});

Deno.test("a line by a certificate that nobody vouched for says so, and whois says of each how it is known", () => {
  const line: LineEvent = {
    ...{ event: "line", room: "#ops", index: 4, from: PHONE, username: "bob", seqno: 1, ts: 1_700_000_000_000 },
    ...{ by: null, kind: "text", text: "hello", statement: { kind: "text", text: "hello" }, seen: 0, mine: false },
    ...{ erased: false, unvouched: true, unchecked: false, bad: null },
  };
  const open = caughtUp("#ops");
  assert.match(read(open, line).at(-1) ?? "", /^\[#ops 4\] .* bob \(new certificate, not vouched for\): hello$/);
  assert.match(read(open, { ...line, unvouched: false }).at(-1) ?? "", / bob: hello$/);
  const found = read({ event: "found", room: "#ops", lines: [line] });
  assert.match(found.join(), /bob \(new certificate.*\): hello/);
  const not_after = 1_800_000_000;
  const devices = [
    { fingerprint: PHONE, subject: "CN=CLIENT: bob", not_after, standing: "first" as const },
    { fingerprint: LAPTOP, subject: "CN=CLIENT: bob", not_after, standing: "vouched" as const },
    { fingerprint: "ee".repeat(32), subject: "CN=CLIENT: bob", not_after, standing: "new" as const },
  ];
  const [first = "", second = "", third = ""] = read({ event: "whois", username: "bob", devices });
  assert.match(first, /^bob: "CN=CLIENT: bob", certificate (?:9f){32}, valid until .*; trusted on first use$/);
  assert.match(second, /(?:c0){32}.*; vouched for by a known one$/);
  assert.match(third, /; new, not vouched for$/);
});
