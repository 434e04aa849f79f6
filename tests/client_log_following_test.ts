import { assert } from "./assert.ts";
import { dialTcp, Person } from "./room_person.ts";
import { withServer } from "./server.ts";
import { parseOpening } from "../lib/log_receipt.ts";
import { parseEnvelope } from "../lib/log_envelope.ts";

/** What the lines of a room name of the server's log, by index. */
function pinsOf(person: Person, dir: string, room: string) {
  const rows = Deno.readTextFileSync(`${dir}/${person.session.rooms.username}/rooms/localhost/${room}/openings.txt`);
  return rows.trimEnd().split("\n").map((row) => {
    const opening = parseOpening(row);
    return opening && parseEnvelope(opening.envelope).log;
  });
}

/** Resolves when it has come to that: what a client reads of the log is no event. */
async function until(holds: () => boolean): Promise<void> {
  for (let tries = 0; !holds(); tries++) {
    assert(tries < 200, "it never comes to that");
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

Deno.test("two members follow the log of their server, and name it in their lines", async () => {
  await withServer(
    {},
    async (server, dir) => {
      const times = { ping: 200 };
      const [ada, bob] = [
        await Person.create("ada", { dir, dial: dialTcp(server), times }),
        await Person.create("bob", { dir, dial: dialTcp(server), times }),
      ];
      await Promise.all([ada.session.start(), bob.session.start()]);
      await ada.session.rooms.create("#ops");
      await bob.session.rooms.join("#ops");
      const logOf = (person: Person) => person.session.rooms.serverLog;
      await until(() => logOf(ada)?.pin !== undefined && logOf(bob)?.pin !== undefined);
      await ada.session.rooms.say("#ops", "hello");
      await bob.session.rooms.say("#ops", "good morning");
      const { origin = "" } = ada.session.rooms.monitor("#ops") ?? {};
      for (const person of [ada, bob]) {
        await person.until(() => person.covered === 4);
        await until(() => logOf(person)?.headsOf(origin).some(({ size }) => size === 4) ?? false);
      }
      const [, , hello, morning] = pinsOf(ada, dir, "#ops");
      assert(hello && morning);
      assert.equal(logOf(bob)?.compare(hello), "same");
      assert.equal(logOf(ada)?.charter?.origin.endsWith(`/${hello.id}`), true);
      for (const person of [ada, bob]) assert.deepEqual([...person.of("server_log"), ...person.of("other_log")], []);
      await ada.session.stop();
      await bob.session.stop();
    },
    undefined,
    { LOG_SECONDS: 1 },
  );
});

Deno.test("what a client knows of the log outlives its program", async () => {
  await withServer(
    {},
    async (server, dir) => {
      const open = () => Person.create("ada", { dir, dial: dialTcp(server), times: { ping: 200 } });
      const before = await open();
      await before.session.start();
      await before.session.rooms.create("#ops");
      await until(() => before.session.rooms.serverLog?.pin !== undefined);
      const { charter, pin } = before.session.rooms.serverLog ?? {};
      await before.session.stop();
      const after = await open();
      await after.session.start();
      await until(() => (after.session.rooms.serverLog?.pin?.size ?? 0) >= (pin?.size ?? Infinity));
      assert.deepEqual(after.session.rooms.serverLog?.charter?.object, charter?.object);
      assert.deepEqual(after.of("server_log"), []);
      await after.session.stop();
    },
    undefined,
    { LOG_SECONDS: 1 },
  );
});
