/** A log that lost lines, and the ways out of it: `securechat room` for the operator, `/forget` for the members. */

import { readConfig } from "../lib/config.ts";
import { SILENT } from "../lib/logging.ts";
import { RoomRecords } from "../lib/client_room_records.ts";
import { SQLITE_FILE } from "../lib/store_sqlite.ts";
import { type RunningServer, serve } from "../server.ts";
import { assert } from "./assert.ts";
import { run, temporaryFolder } from "./environment.ts";
import { dialTcp, Person } from "./room_person.ts";
import { certificates } from "./server.ts";

/** A server on a folder, that is stopped and started again; people connect to whatever port it has then. */
class Place implements AsyncDisposable {
  readonly #folder = temporaryFolder();
  readonly people: Person[] = [];
  #server: RunningServer | undefined;

  get path(): string {
    return this.#folder.path;
  }

  get data(): string {
    return `${this.path}/data`;
  }

  async start(): Promise<void> {
    const all: Readonly<Record<string, string>> = {
      ...{ SERVER_HOST: "127.0.0.1", SERVER_PORT: "0", TLS_PORT: "off" },
      ...{ CERT_DIR: await certificates(), DATA_DIR: this.data },
    };
    const config = readConfig("serve", {}, { environment: (name) => all[name], file: undefined });
    this.#server = await serve({ config, log: SILENT });
  }

  async stop(): Promise<void> {
    await this.#server?.stop();
    this.#server = undefined;
  }

  async person(name: string): Promise<Person> {
    const dial = () => dialTcp({ port: this.#server?.port ?? 1 })();
    const person = await Person.create(name, { dir: this.path, dial });
    this.people.push(person);
    await person.session.start();
    return person;
  }

  /** Ends everybody's client, and the server. */
  async end(): Promise<void> {
    for (const { session } of this.people.splice(0)) await session.stop();
    await this.stop();
  }

  async room(...args: string[]) {
    return await run(["room", ...args], { cwd: this.path, env: { DATA_DIR: this.data } });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
    this.#folder[Symbol.dispose]();
  }
}

const ofOps = (person: Person, event: string) =>
  person.events.flatMap((one) => one.event === event && "room" in one && one.room === "#ops" ? [one] : []);

Deno.test("a database restored from a backup: its room is read-only until it is closed, and members forget it and go on", async () => {
  await using place = await new Place();
  await place.start();
  let [ada, bob] = [await place.person("ada"), await place.person("bob")];
  await ada.session.rooms.create("#ops");
  await bob.session.rooms.join("#ops");
  await ada.session.rooms.say("#ops", "one");
  await ada.until(({ covered }) => covered === 3);
  await place.end();
  await Deno.copyFile(`${place.data}/${SQLITE_FILE}`, `${place.path}/backup`);

  await place.start();
  ada = await place.person("ada");
  for (const words of ["two", "three"]) await ada.session.rooms.say("#ops", words);
  await ada.until(({ covered }) => covered === 5);
  await place.end();
  for (const ending of ["-wal", "-shm"]) await Deno.remove(`${place.data}/${SQLITE_FILE}${ending}`).catch(() => {});
  await Deno.copyFile(`${place.path}/backup`, `${place.data}/${SQLITE_FILE}`);

  await place.start();
  bob = await place.person("bob");
  await bob.until((person) => ofOps(person, "caught_up").length === 1);
  await bob.session.rooms.say("#ops", "four"); // nobody knows yet
  await bob.until((person) => ofOps(person, "accepted").length === 1);
  ada = await place.person("ada");
  await ada.until((person) => ofOps(person, "lie").length === 1);
  const [caught] = ada.of("lie");
  assert.ok(caught?.event === "lie" && caught.lie === "old head", JSON.stringify(caught));
  await bob.session.rooms.say("#ops", "five");
  const waiting = () => bob.of("waiting").flatMap((one) => one.event === "waiting" ? [one.reason] : []);
  await bob.until(() => waiting().some((reason) => /This room is read-only: the server has lost lines/.test(reason)));

  await place.stop();
  await place.start();
  await bob.until((person) => person.of("online").length === 2);
  await bob.session.rooms.server.members("#ops"); // reading goes on
  const listed = JSON.parse((await place.room("list", "--json")).stdout).rooms;
  assert.deepEqual(listed.map(({ room, state, lines }: Record<string, unknown>) => [room, state, lines]), [
    ["#ops", "read-only", 4],
  ]);

  const closed = await place.room("close", "#ops", "--yes");
  assert.equal(closed.status, 0, closed.stderr);
  const origin = listed[0].origin;
  assert.equal(closed.stdout, `${origin} is closed\n`);
  await bob.until((person) => ofOps(person, "left").length === 1);
  const [left] = ofOps(bob, "left");
  assert.ok(left?.event === "left" && /operator has closed this room's log.*\/forget #ops/.test(left.reason));
  assert.equal(bob.session.rooms.unsentCount, 0);
  await assert.rejects(bob.session.rooms.say("#ops", "six"), /the log of this room any more/);

  await bob.session.rooms.forget("#ops");
  await bob.session.rooms.create("#ops");
  await bob.session.rooms.say("#ops", "a new log");
  await assert.rejects(ada.session.rooms.join("#ops"), /not trusted.*\/forget #ops/);
  const aside = await ada.session.rooms.forget("#ops");
  await ada.session.rooms.join("#ops");
  await ada.session.rooms.say("#ops", "and on");
  for (const one of [ada, bob]) await one.until((person) => person.texts("#ops").at(-1) === "and on");
  assert.deepEqual(ada.texts("#ops").slice(-2), ["a new log", "and on"]);
  assert.equal(ada.of("lie").length, 1);

  await place.end();
  const kept = (await Deno.readTextFile(`${aside}/transcript.txt`)).trimEnd().split("\n");
  assert.deepEqual([kept.length, aside.endsWith("/#ops~1")], [5, true], "what the server lost is with ada");
  assert.match(await Deno.readTextFile(`${aside}/lie`), /old head/);
  const records = await RoomRecords.open(`${place.path}/ada`, "localhost");
  assert.notEqual((await records.room("#ops")).pinned?.origin, origin);
  await records.close();
  const { stdout } = await place.room("list");
  assert.match(
    stdout,
    /^#ops {2}4 lines {2}closed since \S+ {2}localhost\/#ops\/[0-9a-f]{32}\n#ops {2}4 lines {2}open {27}/,
  );
});

Deno.test("room says in one sentence what it can't list or close", async () => {
  await using place = await new Place();
  const cases = async (wanted: readonly (readonly [readonly string[], RegExp])[]) => {
    for (const [args, sentence] of wanted) {
      const { status, stdout, stderr } = await place.room(...args);
      assert.deepEqual([status, stdout], [2, ""], stderr);
      assert.match(stderr.trim().split("\n").at(-1) ?? "", sentence);
    }
  };
  await cases([[["close", "#ops", "--yes"], /there is no .*securechat\.db: name the server's folder with --data/]]);
  await place.start();
  const ada = await place.person("ada");
  await place.person("bob");
  await ada.session.rooms.join("@ada,@bob");
  await cases([
    [["close", "#ops", "--yes"], /no room #ops is open; securechat room list shows all/],
    [["close", "ops", "--yes"], /"ops" is no room: a room is #/],
    [["close", "@bob,@Ada"], /not a terminal: confirm with --yes/],
    [["shut"], /unknown command room shut/],
    [[], /list or close is missing/],
  ]);
});
