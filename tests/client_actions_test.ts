import { assert } from "./assert.ts";
import { EXIT, Failure } from "../lib/errors.ts";
import { RoomActions, shortCode } from "../lib/client_actions.ts";
import { type AnswerEvent, parseRoomCommand } from "../lib/client_command.ts";
import { parseTyped } from "../lib/client_typed_command.ts";
import { transcriptLines } from "../lib/verify.ts";
import { verifyRoom } from "../lib/verify_room.ts";
import { authority } from "./fixtures.ts";
import { dialTcp, Person } from "./room_person.ts";
import { withServer } from "./server.ts";

/** Somebody at a client, who types and is answered. */
class Desk {
  readonly person: Person;
  readonly answers: AnswerEvent[] = [];
  readonly #actions: RoomActions;
  /** The room that is looked at. */
  current: string | null | undefined = "#ops";

  constructor(person: Person, folder: string) {
    this.person = person;
    this.#actions = new RoomActions({ session: person.session, show: (event) => this.answers.push(event), folder });
    person.notice = (event) => this.#actions.notice(event);
  }

  /** Types a line, or sends a command as JSON: the answers, the last one `done` or `error`. */
  async ask(asked: string | object): Promise<AnswerEvent[]> {
    const room = this.current ?? undefined;
    const parsed = typeof asked === "string"
      ? parseTyped(asked, room, Date.now())
      : parseRoomCommand(JSON.stringify(asked));
    assert.ok("command" in parsed, "problem" in parsed ? parsed.problem : "");
    const from = this.answers.length;
    const { room: entered } = await this.#actions.perform(parsed.command, { current: room });
    if (entered !== undefined) this.current = entered;
    return this.answers.slice(from);
  }

  /** The same, where it can't be done: the sentence. */
  async refused(asked: string | object): Promise<string> {
    const last = (await this.ask(asked)).at(-1);
    assert.ok(last?.event === "error", `${JSON.stringify(asked)}: ${JSON.stringify(last)}`);
    return last.reason;
  }
}

/** The kinds of the answers before the last. */
const kinds = (answers: readonly AnswerEvent[]) => answers.slice(0, -1).map(({ event }) => event);

Deno.test("every command is done as it is typed and as JSON, in a room and over it", async () => {
  await withServer({}, async (server, dir) => {
    const dial = dialTcp(server);
    const [ada, bob] = [await Person.create("ada", { dir, dial }), await Person.create("bob", { dir, dial })];
    await Promise.all([ada.session.start(), bob.session.start()]);
    const desk = new Desk(ada, dir);
    await desk.ask("/create ops");
    await bob.session.rooms.join("#ops");
    await ada.until(() => ada.lines("#ops").length === 2);
    const room = "#ops";
    const commands: readonly (readonly [typed: string, json: object, ...answers: AnswerEvent["event"][]])[] = [
      ["/join #ops", { command: "join", room }],
      ["good morning", { command: "say", room, text: "again" }],
      ["/me waves", { command: "me", room, text: "waves" }],
      ["/topic releases", { command: "topic", room, text: "deploys" }],
      ["/topic", { command: "topic", room }, "notice"],
      ["/who", { command: "who", room }, "members"],
      ["/whois bob", { command: "whois", username: "bob" }, "whois"],
      ["/rooms", { command: "rooms" }, "rooms"],
      ["/history 2", { command: "history", room, count: 2 }, "history"],
      ["/search morning", { command: "search", room, text: "morning" }, "found"],
      ["/proof", { command: "proof", room }, "proof"],
      ["/head", { command: "head", room }, "head"],
      ["/export --only 2", { command: "export", room, open: [2] }, "exported"],
      ["/receipt", { command: "receipt", room }, "exported"],
      ["/prove 2", { command: "prove", room, index: 2 }, "exported"],
      ["/away", { command: "away", away: false }],
      ["/invite eve", { command: "invite", room, username: "carol" }],
      ["/role bob moderator", { command: "role", room, username: "bob", role: "member" }],
      ["/mute bob 30m", { command: "mute", room, username: "bob", until: 0 }],
      ["/redact 2", { command: "redact", room, index: 3 }],
      ["/kick bob", { command: "kick", room, username: "eve" }],
      ["/ban bob 30m", { command: "ban", room, username: "bob", until: 0 }],
    ];
    for (const [typed, json, ...wanted] of commands) {
      for (const asked of [typed, json]) {
        if (wanted[0] === "exported") await ada.until(() => ada.covered > 2);
        const answers = await desk.ask(asked);
        assert.equal(answers.at(-1)?.event, "done", `${JSON.stringify(asked)} ${JSON.stringify(answers.at(-1))}`);
        assert.deepEqual(kinds(answers), wanted, JSON.stringify(asked));
      }
    }
    assert.ok(kinds(await desk.ask("/help")).length > 20);
    assert.ok(kinds(await desk.ask({ command: "help" })).every((kind) => kind === "notice"));
    await ada.until(() => ada.session.rooms.unsentCount === 0);
    assert.deepEqual([...ada.of("dropped"), ...ada.of("waiting"), ...ada.of("warning")], []);
    assert.deepEqual(ada.of("away"), [{ event: "away", away: true }, { event: "away", away: false }]);
    const said = ada.lines("#ops").filter(({ kind }) => kind === "text").map(({ text }) => text);
    assert.deepEqual(said, ["good morning", "again", "/me waves", "/me waves"]);
    assert.equal(ada.session.rooms.monitor("#ops")?.state?.topic, "deploys");
    assert.match(await desk.refused({ command: "say", room, text: " \n" }), /The message is empty/);
    await desk.ask("/topic off");
    await ada.until(() => ada.session.rooms.monitor("#ops")?.state?.topic === "");

    assert.match(
      JSON.stringify(await desk.ask("/msg bob psst")),
      /Sent to bob only. \/join @bob opens the conversation\./,
    );
    assert.equal(desk.current, "#ops", "a message to one person leaves its writer where they look");
    await desk.ask("/join @bob");
    assert.equal(desk.current, "@ada,@bob");
    await desk.ask({ command: "msg", username: "bob", text: "psst" });
    await bob.session.rooms.join("#ops");
    await ada.until(() => ada.session.rooms.monitor("#ops")?.state?.members.length === 2);
    for (const asked of ["/part #ops", { command: "role", room, username: "Ada", role: "member" }]) {
      assert.match(
        await desk.refused(asked),
        /^You are the only owner of this room: make somebody else an owner first/,
      );
    }
    await desk.ask({ command: "role", room, username: "bob", role: "owner" });
    await ada.until(() =>
      ada.session.rooms.monitor("#ops")?.state?.members.every(({ role }) => role === "owner") ?? false
    );
    await desk.ask("/part #ops");
    assert.equal(desk.current, "@ada,@bob", "leaving another room moves nobody");
    await desk.ask("/create dev");
    await desk.ask("/part");
    assert.equal(desk.current, "@ada,@bob");
    await ada.until(() => !ada.session.rooms.joined.includes("#dev"));
    await desk.ask({ command: "part", room: "@bob" });
    assert.equal(desk.current, null);
    await ada.until(() => ada.session.rooms.joined.length === 0 && ada.texts("@ada,@bob").length === 2);
    await Promise.all([ada.session.stop(), bob.session.stop()]);
  });
});

Deno.test("/receipt writes what a stranger verifies, of all lines that a head covers, and no word", async () => {
  await withServer({}, async (server, dir) => {
    const ada = await Person.create("ada", { dir, dial: dialTcp(server) });
    await ada.session.start();
    const desk = new Desk(ada, dir);
    await desk.ask("/create ops");
    await desk.ask("a secret");
    await ada.until(() => ada.covered === 2);
    const [written] = await desk.ask("/receipt");
    assert.ok(written?.event === "exported" && written.files.length === 2);
    const [receipt = "", transcript = ""] = written.files;
    const trust = { authorities: [(await authority()).certificate], revocations: [] };
    const lines = transcriptLines((await Deno.open(transcript)).readable);
    const verdict = await verifyRoom({ receipt: await Deno.readTextFile(receipt), lines }, trust);
    assert.equal(verdict.result, "valid");
    assert.match(verdict.sentence, /^VERIFIED #ops on localhost, lines 0 and 1, /);
    await ada.session.stop();
  });
});

Deno.test("/vouch says in every room that a further certificate is one's own, and others take it so", async () => {
  await withServer({}, async (server, dir) => {
    const dial = dialTcp(server);
    const [ada, bob] = [await Person.create("ada", { dir, dial }), await Person.create("bob", { dir, dial })];
    await Promise.all([ada.session.start(), bob.session.start()]);
    const desk = new Desk(ada, dir);
    await desk.ask("/create ops");
    await desk.ask("/create dev");
    for (const room of ["#ops", "#dev"]) await bob.session.rooms.join(room);
    const { code } = await ada.session.account.deviceCode();
    const phone = await Person.create("ada", { dir, dial, device: { name: "phone", code } });
    await phone.session.start();
    await phone.session.rooms.join("#ops");
    await phone.session.rooms.say("#ops", "it is me");
    await bob.until(() => bob.lines("#ops").at(-1)?.text === "it is me");
    assert.equal(bob.lines("#ops").at(-1)?.unvouched, true);
    await ada.until(() => ada.of("device").length === 1);
    const [device] = ada.of("device");
    assert.ok(device?.event === "device" && device.username === "ada" && !device.vouched && !device.mine);

    const { fingerprint } = device;
    const own = ada.lines("#ops")[0]?.from ?? "";
    const theirs = bob.lines("#ops").find(({ username }) => username === "bob")?.from ?? "";
    assert.match(await desk.refused(`/vouch ${"0".repeat(16)}`), /seen no certificate of yours that begins with 0+;/);
    assert.match(await desk.refused(`/vouch ${theirs}`), /seen no certificate of yours/);
    assert.match(await desk.refused(`/vouch ${own.slice(0, 20)}`), /none can vouch for itself/);
    assert.equal((await desk.ask(`/vouch ${fingerprint.slice(0, 16).toUpperCase()}`)).at(-1)?.event, "done");
    for (const room of ["#ops", "#dev"]) await bob.until(() => bob.lines(room).at(-1)?.kind === "device");
    const told = bob.of("device").map((event) => event.event === "device" && event.vouched);
    assert.deepEqual(told, [false, true]);
    await phone.session.rooms.say("#ops", "as I said");
    await bob.until(() => bob.lines("#ops").at(-1)?.text === "as I said");
    assert.equal(bob.lines("#ops").at(-1)?.unvouched, false);
    const [whois] = await new Desk(bob, dir).ask("/whois ada");
    assert.ok(whois?.event === "whois");
    assert.deepEqual(whois.devices.map((one) => [one.fingerprint, one.standing]), [
      [own, "first"],
      [fingerprint, "vouched"],
    ]);

    for (const room of ["#ops", "#dev"]) await ada.session.rooms.post(room, { kind: "part" });
    await ada.until(() => ada.session.rooms.joined.length === 0);
    assert.match(await desk.refused({ command: "vouch", fingerprint }), /You are in no room/);
    await Promise.all([ada, bob, phone].map(({ session }) => session.stop()));
  });
});

const gone = () => Promise.reject(new Failure(EXIT.unavailable, "the network is gone"));

Deno.test("without a connection every command is answered at once: done, or why it can't be", async () => {
  await withServer({}, async (server, dir) => {
    const ada = await Person.create("ada", { dir, dial: dialTcp(server) });
    const bob = await Person.create("bob", { dir, dial: dialTcp(server) });
    await Promise.all([ada.session.start(), bob.session.start()]);
    const before = new Desk(ada, dir);
    assert.match(await before.refused("/msg bbo hello"), /There is nobody of that name on this server/);
    await before.ask("/create ops");
    await before.ask("/msg bob hello");
    await ada.until(() => ada.session.rooms.unsentCount === 0 && ada.covered > 0);
    await ada.session.stop();

    const again = await Person.create("ada", { dir, dial: gone });
    await again.session.start();
    const desk = new Desk(again, dir);
    const missing = /^There is no connection to the server now\.$/;
    const questions = ["/rooms", "/who", "/join dev", "/create dev", "/msg carol hello"];
    for (const asked of questions) assert.match(await desk.refused(asked), missing, asked);
    const kept = [
      ...["hello", "/me waves", "/topic x", "/topic", "/invite eve", "/kick eve", "/ban eve", "/mute eve", "/redact 0"],
      ...["/role eve member", "/history", "/search x", "/proof", "/head", "/export", "/receipt", "/prove 0", "/help"],
      ...["/whois ada", "/whois carol", "/away", "/msg bob hello again", "/part"],
    ];
    for (const asked of kept) {
      const last = (await desk.ask(asked)).at(-1);
      assert.equal(last?.event, "done", `${asked} ${JSON.stringify(last)}`);
    }
    assert.match(await desk.refused(`/vouch ${"a".repeat(16)}`), /seen no certificate of yours/);
    await Promise.all([again.session.stop(), bob.session.stop()]);
  });
});

Deno.test("who was never connected is told so, and that one is not in a room is said of every question about it", async () => {
  const dir = await Deno.makeTempDir({ prefix: "securechat-" });
  const ada = await Person.create("ada", { dir, dial: gone });
  await ada.session.start();
  const desk = new Desk(ada, dir);
  for (const asked of ["/msg bob hello", "/join @bob"]) {
    assert.match(await desk.refused(asked), /no connection to the server yet, so it isn't known who you are/, asked);
  }
  const questions = ["hello", "/topic", "/topic x", "/history", "/search x", "/proof", "/proof 1", "/head", "/part"];
  for (const asked of questions) {
    assert.match(await desk.refused(asked), /not in this room; join it first|join it first\.$/, asked);
  }
  for (const asked of ["/export", "/receipt", "/prove 1"]) {
    assert.match(await desk.refused(asked), /there is no record of #ops in .*: join it first/, asked);
  }
  await ada.session.stop();
  await Deno.remove(dir, { recursive: true });
});

Deno.test("the code of a head is 40 digits to be read aloud, and another for every room, size and root", () => {
  const head = { size: 41, root: "ab".repeat(32) };
  const codes = [shortCode("#ops", head), shortCode("#dev", head), shortCode("#ops", { ...head, size: 42 })];
  for (const code of codes) assert.match(code, /^[0-9]{5}(?: [0-9]{5}){7}$/);
  assert.equal(new Set(codes).size, codes.length);
});
