/** Which record is of which server: by its CA's key and name, whatever was typed, and records of version 0.1.0. */

import { createAuthority, issueCertificate } from "../lib/ca.ts";
import {
  addressKey,
  findRecord,
  knownRecord,
  noteServer,
  recordToRead,
  type ShownServer,
} from "../lib/client_servers.ts";
import { publicKeyOf } from "../lib/private_key.ts";
import { RoomRecords } from "../lib/client_room_records.ts";
import { assert } from "./assert.ts";
import { temporaryFolder } from "./environment.ts";
import { issuing, key } from "./fixtures.ts";

/** A server of that name under the CA with the key of that name. */
async function server(name: string, ca = "ca", ...others: string[]): Promise<ShownServer> {
  const authority = await createAuthority("Test CA", await key(ca), issuing);
  const request = {
    role: "server",
    name,
    hosts: [name, ...others],
    publicKey: publicKeyOf(await key("server")),
  } as const;
  return { leaf: await issueCertificate(authority, request, issuing), authority: authority.certificate };
}

/** A first or later visit: the name of the record's folder, and what is said of it. */
async function visit(
  transcripts: string,
  shown: ShownServer,
  { host = "localhost", port = 5001, ...how }: { host?: string; port?: number; isOne?: boolean; moved?: boolean } = {},
) {
  const records = await RoomRecords.of({ folder: `${transcripts}/rooms`, address: { host, port }, ...how }, [
    shown.authority,
  ]);
  try {
    const known = records.dir.split("/").at(-1);
    const { isNew, notice } = await records.meet(shown);
    return { name: records.dir.split("/").at(-1), wasKnown: known !== "rooms", isNew, notice };
  } finally {
    await records.close();
  }
}

Deno.test("another spelling of a server's address finds the same record", async () => {
  using folder = temporaryFolder();
  const one = await server("chat.example", "ca", "localhost", "10.0.0.7");
  assert.deepEqual(await visit(folder.path, one), {
    name: "chat.example",
    wasKnown: false,
    isNew: true,
    notice: undefined,
  });
  for (const host of ["LOCALHOST", "127.0.0.1", "localhost.", "::1"]) {
    const { name, wasKnown } = await visit(folder.path, one, { host });
    assert.deepEqual({ name, wasKnown }, { name: "chat.example", wasKnown: true }, host);
  }
  const other = await visit(folder.path, one, { host: "10.0.0.7" });
  assert.deepEqual(
    other,
    { name: "chat.example", wasKnown: false, isNew: true, notice: undefined },
    "found when it is met",
  );
  assert.equal((await visit(folder.path, one, { host: "10.0.0.7" })).wasKnown, true, "and from then on before");
});

Deno.test("another server behind the same address has another record", async () => {
  using folder = temporaryFolder();
  assert.equal((await visit(folder.path, await server("localhost"))).name, "localhost");
  assert.equal((await visit(folder.path, await server("localhost", "other ca"))).name, "localhost_2");
  const third = await server("chat.example");
  await assert.rejects(
    visit(folder.path, third),
    /this is not the server of the record.*nothing was sent.*run the command/,
  );
  assert.equal((await visit(folder.path, third)).name, "chat.example", "after the person was told");
  assert.equal((await visit(folder.path, await server("localhost", "other ca"))).name, "localhost_2");
});

Deno.test("two servers with one CA and one name are told apart by their ports, and the person is told so", async () => {
  using folder = temporaryFolder();
  const shown = await server("localhost");
  assert.equal((await visit(folder.path, shown)).name, "localhost");
  const second = await visit(folder.path, shown, { port: 6001 });
  assert.equal(second.name, "localhost_2");
  assert.match(second.notice ?? "", /of the one at localhost:5001, and another port.*start once with --moved/);
  assert.equal((await visit(folder.path, shown, { port: 6001 })).notice, undefined, "said once");
  assert.equal((await visit(folder.path, shown)).name, "localhost");
});

Deno.test("a server that has moved to another port goes on with its record when it is said so", async () => {
  using folder = temporaryFolder();
  const shown = await server("localhost");
  await assert.rejects(visit(folder.path, shown, { moved: true }), /no record here is of a server with this name/);
  await visit(folder.path, shown);
  await visit(folder.path, shown, { port: 6001 });
  assert.equal((await visit(folder.path, shown, { port: 6001, moved: true })).name, "localhost");
  const later = await visit(folder.path, shown, { port: 6001 });
  assert.deepEqual([later.name, later.wasKnown], ["localhost", true]);
});

Deno.test("a profile's record is of one server, at whatever address, and of no other", async () => {
  using folder = temporaryFolder();
  const shown = await server("localhost");
  await visit(folder.path, shown, { isOne: true });
  const moved = await visit(folder.path, shown, { isOne: true, port: 6001, host: "10.0.0.7" });
  assert.deepEqual([moved.name, moved.wasKnown], ["localhost", true]);
  await assert.rejects(
    visit(folder.path, await server("elsewhere"), { isOne: true }),
    /DANGER: this is not the server/,
  );
});

Deno.test("a record of version 0.1.0 is taken over by the server that it is of", async () => {
  using folder = temporaryFolder();
  const rooms = `${folder.path}/rooms`;
  const old = async (name: string, origin: string, pem?: string) => {
    await Deno.mkdir(`${rooms}/${name}/#ops`, { recursive: true });
    await Deno.mkdir(`${rooms}/${name}/certificates`);
    await Deno.writeTextFile(`${rooms}/${name}/account`, '{"username":"ada"}');
    await Deno.writeTextFile(`${rooms}/${name}/#ops/log`, JSON.stringify({ origin, history: "all" }));
    if (pem) await Deno.writeTextFile(`${rooms}/${name}/certificates/aa.pem`, pem);
  };
  const [shown, stranger] = [await server("localhost"), await server("localhost", "other ca")];
  await old("127.0.0.1", "localhost/#ops/0123", shown.leaf.pem);
  await old("LOCALHOST", "elsewhere/#ops/0123");
  assert.equal(
    (await visit(folder.path, stranger)).name,
    "localhost_2",
    "its certificate is of another CA, or its name",
  );
  assert.equal((await visit(folder.path, shown)).name, "127.0.0.1", "whatever had been typed");
  assert.equal((await visit(folder.path, shown)).wasKnown, true);
});

Deno.test("an export finds the record of a host, or the only one, and asks which where it isn't clear", async () => {
  using folder = temporaryFolder();
  const rooms = `${folder.path}/rooms`;
  await assert.rejects(
    recordToRead(rooms, { host: "localhost" }),
    /Folder not found: .*rooms\/localhost/,
  );
  await visit(folder.path, await server("localhost"));
  assert.equal(await recordToRead(rooms, {}), `${rooms}/localhost`);
  assert.equal(await recordToRead(rooms, { host: "127.0.0.1", port: 5001 }), `${rooms}/localhost`);
  await visit(folder.path, await server("localhost", "other ca"), { port: 6001 });
  await assert.rejects(
    recordToRead(rooms, {}),
    /several servers, localhost:5001, localhost:6001: choose one with --host/,
  );
  assert.equal(await recordToRead(rooms, { port: 6001 }), `${rooms}/localhost_2`);
});

Deno.test("a damaged note of whose record it is stops, and no record is begun beside it", async () => {
  using folder = temporaryFolder();
  const shown = await server("localhost");
  await visit(folder.path, shown);
  await Deno.writeTextFile(`${folder.path}/rooms/localhost/server`, "{");
  const choice = { folder: `${folder.path}/rooms`, address: { host: "localhost", port: 5001 } };
  await assert.rejects(knownRecord(choice, [shown.authority]), /server is damaged: it says whose record this is/);
  await assert.rejects(findRecord(choice, shown), /is damaged/);
  await assert.rejects(noteServer(`${choice.folder}/localhost`, shown), /is damaged/);
});

Deno.test("addresses are compared without case, and all of the loopback is one host", () => {
  const key = (host: string) => addressKey({ host, port: 1 });
  assert.equal(key("Chat.Example."), "chat.example:1");
  assert.deepEqual(new Set(["localhost", "127.0.0.1", "127.1.2.3", "::1", "[::1]"].map(key)).size, 1);
  assert.equal(key("2001:DB8:0:0::1"), "2001:db8::1:1");
  assert.notEqual(key("localhost"), key("localhost.example"));
});
