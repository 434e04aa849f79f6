import { parseRoomCommand, type RoomCommand } from "../lib/client_command.ts";
import { parseTyped, ROOM_HELP } from "../lib/client_typed_command.ts";
import { assert } from "./assert.ts";

const NOW = 1_700_000_000_000;

function typed(line: string, room: string | undefined = "#ops"): RoomCommand | string {
  const parsed = parseTyped(line, room, NOW);
  return "command" in parsed ? parsed.command : parsed.problem;
}

Deno.test("what is typed is said in the current room; a command is what its words mean", () => {
  const room = "#ops";
  const cases: readonly (readonly [string, RoomCommand])[] = [
    ["hello", { command: "say", room, text: "hello" }],
    ["//etc is full", { command: "say", room, text: "/etc is full" }],
    ["/me waves", { command: "me", room, text: "waves" }],
    ["/join Deploys", { command: "join", room: "#deploys" }],
    ["/join @bob", { command: "join", room: "@bob" }],
    ["/part", { command: "part", room }],
    ["/forget #ops", { command: "forget", room }],
    ["/create x invite-only since-join", { command: "create", room: "#x", history: "since_join", invite_only: true }],
    ["/msg @bob how are\nyou?", { command: "msg", username: "bob", text: "how are\nyou?" }],
    ["/topic deploys on Friday", { command: "topic", room, text: "deploys on Friday" }],
    ["/topic", { command: "topic", room }],
    ["/topic off", { command: "topic", room, text: "" }],
    ["/whois bob", { command: "whois", username: "bob" }],
    ["/vouch 9F86D081884C7D65", { command: "vouch", fingerprint: "9f86d081884c7d65" }],
    [`/vouch ${"ab".repeat(32)}`, { command: "vouch", fingerprint: "ab".repeat(32) }],
    ["/vouch 9F:86:D0:81:88:4C:7D:65", { command: "vouch", fingerprint: "9f86d081884c7d65" }],
    ["/away", { command: "away" }],
    ["/receipt", { command: "receipt", room }],
    ["/kick eve", { command: "kick", room, username: "eve" }],
    ["/ban eve", { command: "ban", room, username: "eve" }],
    ["/ban eve 2h", { command: "ban", room, username: "eve", until: NOW / 1000 + 7_200 }],
    ["/mute eve off", { command: "mute", room, username: "eve", until: 0 }],
    ["/role bob moderator", { command: "role", room, username: "bob", role: "moderator" }],
    ["/redact 41", { command: "redact", room, index: 41 }],
    ["/proof", { command: "proof", room }],
    ["/history", { command: "history", room, count: 20 }],
    ["/export --from 3 --to 9 --only 4,5", { command: "export", room, from: 3, to: 9, open: [4, 5] }],
    ["/export --closed", { command: "export", room, open: "none" }],
    ["/quit", { command: "quit" }],
  ];
  for (const [line, wanted] of cases) assert.deepEqual(typed(line), wanted, line);
});

Deno.test("what is typed wrongly is never said, but answered by how it is typed", () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ["/dance", /Unknown command \/dance\. \/help lists the commands/],
    ["/j #ops", /Unknown command \/j\. Did you mean \/join\? To send a message that begins with a slash, type two/],
    ["/constructor", /Unknown command/],
    ["/", /Unknown command/],
    ["/me", /Usage: \/me TEXT/],
    ["/forget", /Usage: \/forget ROOM/],
    ["/msg bob", /\/msg NAME TEXT/],
    ["/ban eve soon", /\/ban NAME \[30m/],
    ["/redact all", /\/redact INDEX/],
    ["/export --closed --only 4", /\/export \[--from/],
    ["/export --all", /\/export \[--from/],
    ["/role bob king", /A role must be owner, moderator or member/],
    ["/join #Ünder", /A room is #/],
    ["/kick a b", /\/kick NAME/],
    ["/vouch", /\/vouch FINGERPRINT/],
    ["/vouch 9f86d081884c7d6", /the first 16 or more of the 64 hex digits/],
    [`/vouch ${"ab".repeat(33)}`, /the first 16 or more of the 64 hex digits/],
    ["/vouch my-phone", /the first 16 or more of the 64 hex digits/],
    ["/away now", /Usage: \/away/],
    ["/receipt all", /Usage: \/receipt/],
    ["/search", /\/search TEXT/],
    ["/history some", /\/history \[COUNT\]/],
  ];
  for (const [line, wanted] of cases) assert.match(String(typed(line)), wanted, line);
  assert.match(String(typed("hello", "")), /./);
  const nowhere = parseTyped("hello", undefined, NOW);
  assert.ok("problem" in nowhere && nowhere.problem.startsWith("You are in no room"));
  const anywhere = ["/rooms", "/away", `/vouch ${"a".repeat(16)}`, "/whois bob", "/msg bob hi", "/help", "/quit"];
  for (const line of anywhere) assert.ok("command" in parseTyped(line, undefined, NOW), line);
});

Deno.test("a command as JSON keeps its id, and one that makes no sense is answered by a sentence", () => {
  assert.deepEqual(parseRoomCommand('{"command":"join","room":"#ops","id":[1]}'), {
    command: { command: "join", room: "#ops" },
    id: [1],
  });
  assert.deepEqual(parseRoomCommand('{"command":"create","room":"#ops"}'), {
    command: { command: "create", room: "#ops", history: "all", invite_only: false },
  });
  assert.deepEqual(parseRoomCommand('{"command":"away","away":true}'), { command: { command: "away", away: true } });
  assert.deepEqual(parseRoomCommand('{"command":"receipt","room":"@bob"}'), {
    command: { command: "receipt", room: "@bob" },
  });
  const wrong = [
    '{"command":"away","away":"yes"}',
    '{"command":"vouch"}',
    '{"command":"vouch","fingerprint":"9f86"}',
    '{"command":"me","room":"#ops"}',
    '{"command":"topic","room":"#ops","text":7}',
    '{"command":"receipt"}',
    "",
    "[]",
    "{}",
    '{"command":"dance"}',
    '{"command":"join"}',
    '{"command":"join","room":"ops"}',
    '{"command":"join","room":"#"}',
    '{"command":"say","room":"#ops","text":7}',
    '{"command":"whois","username":"a b"}',
    '{"command":"ban","room":"#ops","username":"eve","until":1.5}',
    '{"command":"export","room":"#ops","open":["4"]}',
    '{"command":"create","room":"#ops","history":"some"}',
  ];
  for (const line of wrong) {
    const parsed = parseRoomCommand(line);
    assert.ok("problem" in parsed && /\.$/.test(parsed.problem), line);
  }
});

Deno.test("the help fits on a terminal and names every command that can be typed", () => {
  for (const line of ROOM_HELP) assert.ok(line.length <= 120, line);
  const names = "join part msg me who whois rooms topic history search invite kick ban mute redact proof export " +
    "receipt away vouch help quit";
  for (const name of names.split(" ")) assert.ok(ROOM_HELP.some((line) => line.startsWith(`/${name} `)), name);
});
