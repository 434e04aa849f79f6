/**
 * What was acknowledged is there when the disk fails and the power goes: people in a room and people with sessions of
 * their own, a server on a disk that fails as `disk.c` is told, and a power cut that takes back what no flush covered.
 */

import { assert } from "./assert.ts";
import { assertHolds, CROWD_LIMITS, storedSessions, talk } from "./crowd.ts";
import { Disk, EIO, ENOSPC, EROFS, type Fault } from "./disk.ts";
import { run, skipUnless, startServer, temporaryFolder } from "./environment.ts";
import { dialTcp, Person } from "./room_person.ts";
import { certificates, Client } from "./server.ts";

const ROOM = "#disk";
/** Texts without end: what is acknowledged of them counts. */
const TEXTS = Array.from({ length: 100_000 }, (_, number) => `line ${number}`);

/** Session after session, as long as there is a server. */
async function chat(server: { readonly port: number }, acknowledged: string[][], isOver: () => boolean): Promise<void> {
  while (!isOver()) {
    const lines: string[] = [];
    acknowledged.push(lines);
    try {
      const client = await Client.inSession(server);
      await talk(client, TEXTS, lines).finally(() => client.close());
    } catch {
      // Refused, cut off or told of the failure: what was acknowledged stays so.
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

async function survives(faults: readonly Fault[], rounds: number): Promise<void> {
  using folder = temporaryFolder();
  const data = `${folder.path}/data`;
  const disk = await Disk.open(data, folder.path);
  const args = ["--certs", await certificates(), "--data", data];
  const start = () => startServer(args, { cwd: folder.path, env: { ...CROWD_LIMITS, ...disk.environment } });
  const here = {
    server: await start(),
    get port() {
      return this.server.port;
    },
  };
  const people = await Promise.all(
    ["ada", "bob"].map((name) => Person.create(name, { dir: folder.path, dial: dialTcp(here) })),
  );
  const [ada, bob] = people;
  assert.ok(ada && bob);
  for (const { session } of people) await session.start();
  await ada.session.rooms.create(ROOM);
  await bob.session.rooms.join(ROOM);

  let isOver = false;
  const acknowledged: string[][] = [];
  const chats = [1, 2].map(() => chat(here, acknowledged, () => isOver));
  let said = 0;
  const saying = people.map(async ({ session }) => {
    while (!isOver) {
      await session.rooms.say(ROOM, `line ${said++}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  });
  const count = () => acknowledged.reduce((sum, lines) => sum + lines.length, 0);
  const more = async () => {
    const [lines, messages] = [ada.lines(ROOM).length, count()];
    await ada.until(() => ada.lines(ROOM).length > lines + 30 && count() > messages + 30, 40);
  };
  let undone = 0;
  for (let round = 0; round < rounds; round++) {
    disk.fail();
    await more();
    disk.fail(...faults);
    await more();
    await here.server.stop("SIGKILL");
    disk.fail();
    undone += disk.cut();
    here.server = await start();
  }
  disk.fail();
  await more();
  isOver = true;
  await Promise.all(saying);
  const isComplete = () =>
    people.every((one) => one.session.rooms.unsentCount === 0 && one.texts(ROOM).length === said);
  await ada.until(isComplete, 40).catch(() => {
    const told = people.map((one) => [one.texts(ROOM).length, said, one.of("lie"), one.of("dropped")]);
    assert.fail(JSON.stringify(told));
  });
  for (const person of people) {
    for (const bad of ["lie", "dropped", "bad_line"] as const) assert.deepEqual(person.of(bad), []);
    assert.deepEqual(person.lines(ROOM).map(({ index }) => index), [...person.lines(ROOM).keys()]);
    await person.session.stop();
  }
  assert.equal((await here.server.stop()).status, 0);
  await Promise.all(chats);

  const stored = storedSessions(data);
  const byFirstLine = new Map(stored.map((session) => [session.lines[0], session]));
  for (const lines of acknowledged) {
    const journal = byFirstLine.get(lines[0])?.lines ?? [];
    assert.deepEqual(journal.slice(0, lines.length), lines, "an acknowledged line is missing");
  }
  for (const { lines, receipt } of stored) if (receipt !== undefined) await assertHolds(receipt, lines);
  assert.ok(undone > 0, "no write was under way when the power was cut");
}

const SCENES: Readonly<Record<string, readonly Fault[]>> = {
  "three power cuts": [],
  "flushes of the database's log that fail": [{ call: "fsync", path: "-wal", errno: EIO, times: 5 }],
  "writes to the database's log that fail": [{ call: "write", path: "-wal", errno: EIO, times: 5 }],
  "a full disk": [
    { call: "write", path: "-wal", errno: ENOSPC, times: 8 },
    { call: "write", path: ".transcript", errno: ENOSPC, times: 4 },
  ],
  "a disk that was read-only for a while": [
    { call: "write", path: "-wal", errno: EROFS, times: 8 },
    { call: "write", path: ".transcript", errno: EROFS, times: 4 },
    { call: "write", path: "spool.jsonl", errno: EROFS, times: 4 },
  ],
  "flushes of the database and of journals that fail": [
    { call: "fsync", path: ".db", errno: EIO, times: 3 },
    { call: "fsync", path: ".transcript", errno: EIO, times: 4 },
  ],
};

for (const [scene, faults] of Object.entries(SCENES)) {
  Deno.test({
    name: `what was acknowledged is there, in order and with good receipts, after ${scene} and power cuts`,
    ...skipUnless("cc"),
    fn: () => survives(faults, faults.length === 0 ? 3 : 1),
  });
}

const STARTS: readonly (readonly [what: string, fault: Fault, sentence: RegExp])[] = [
  ["fails", { call: "fsync", path: "spool.jsonl", errno: EIO, times: 1 }, /spool\.jsonl can.t be written/],
  [
    "is full",
    { call: "write", path: "-wal", errno: ENOSPC, times: 99 },
    /\/data\/securechat\.db: the disk is full/,
  ],
];

for (const [what, fault, sentence] of STARTS) {
  Deno.test({
    name: `a start on a disk that ${what} names the file`,
    ...skipUnless("cc"),
    fn: async () => {
      using folder = temporaryFolder();
      const data = `${folder.path}/data`;
      const disk = await Disk.open(data, folder.path);
      disk.fail(fault);
      const args = ["serve", "--port", "0", "--certs", await certificates(), "--data", data];
      const { status, stderr } = await run(args, { cwd: folder.path, env: disk.environment });
      assert.ok(status > 0);
      assert.match(stderr, /^securechat: .*\n$/);
      assert.match(stderr, sentence);
    },
  });
}

Deno.test({
  name: "a log file and a journal on a disk that hangs keep nobody waiting but whoever wrote into that journal",
  ...skipUnless("cc"),
  fn: async () => {
    using folder = temporaryFolder();
    const data = `${folder.path}/data`;
    const disk = await Disk.open(data, folder.path);
    const args = ["--certs", await certificates(), "--data", data, "--log-file", `${data}/server.log`];
    await using server = await startServer(args, { cwd: folder.path, env: disk.environment });
    const [ada, bob] = [await Client.inSession(server), await Client.inSession(server)];
    await bob.say("a journal that is open");
    const hanging = { errno: 0, times: 1, ms: 600_000 };
    disk.fail({ call: "fsync", path: ".transcript", ...hanging }, { call: "write", path: "server.log", ...hanging });
    await ada.connection.sendText("which waits for the disk");
    for (let i = 0; i < 5; i++) await bob.say(`line ${i}`);
    const eve = await Client.inSession(server); // of which the log speaks
    await eve.say("hello");
    for (const one of [ada, bob, eve]) one.close();
  },
});
