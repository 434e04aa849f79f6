import { assert } from "./assert.ts";
import { readConfig } from "../lib/config.ts";
import { exportRoom } from "../lib/client_export.ts";
import { encodeOpening } from "../lib/log_receipt.ts";
import { RoomRecords } from "../lib/client_room_records.ts";
import type { Wire } from "../lib/client_session.ts";
import { SILENT } from "../lib/logging.ts";
import { connectTls } from "../lib/transport.ts";
import { transcriptLines } from "../lib/verify.ts";
import { verifyLineProof, verifyRoom } from "../lib/verify_room.ts";
import { type RunningServer, serve } from "../server.ts";
import { authority } from "./fixtures.ts";
import { personIdentity } from "./room_bench.ts";
import { LyingFront } from "./lying_front.ts";
import { dialTcp, Person } from "./room_person.ts";
import { certificates, withServer } from "./server.ts";

async function everyFile(dir: string): Promise<string> {
  let all = "";
  for await (const { name, isDirectory } of Deno.readDir(dir)) {
    all += isDirectory ? await everyFile(`${dir}/${name}`) : await Deno.readTextFile(`${dir}/${name}`);
  }
  return all;
}

async function everyMode(dir: string): Promise<number[]> {
  const modes: number[] = [];
  for await (const { name, isDirectory } of Deno.readDir(dir)) {
    if (isDirectory) modes.push(...await everyMode(`${dir}/${name}`));
    else modes.push(((await Deno.stat(`${dir}/${name}`)).mode ?? 0) & 0o777);
  }
  return modes;
}

Deno.test("two people talk over TLS, and one of them shows to a stranger what was said", async () => {
  await withServer({}, async (server, dir) => {
    const authorities = [(await authority()).certificate.pem];
    const dial = () =>
      connectTls("localhost", server.tlsPort ?? 0, { timeout: 5_000, maxQueued: 1 << 22, authorities });
    const [ada, bob] = [await Person.create("ada", { dir, dial }), await Person.create("bob", { dir, dial })];
    await Promise.all([ada.session.start(), bob.session.start()]);
    await ada.session.rooms.create("#ops");
    await bob.session.rooms.join("#ops");
    for (
      const [at, [person, words]] of ([[ada, "hello"], [bob, "good morning"], [ada, "a word too much"]] as const)
        .entries()
    ) {
      await person.session.rooms.say("#ops", words);
      await ada.until(() => ada.texts("#ops").length === at + 1);
    }
    await bob.until(() => bob.texts("#ops").length === 3);
    await ada.session.rooms.post("#ops", { kind: "redact", index: 4 });
    for (const person of [ada, bob]) await person.until(() => person.covered === 6 && person.of("erased").length === 1);

    const trust = { authorities: [(await authority()).certificate], revocations: [] };
    const open = await bob.session.history.export("#ops", { folder: dir, open: "all" });
    const verdict = await verifyRoom({
      receipt: await Deno.readTextFile(open.receipt),
      lines: transcriptLines((await Deno.open(open.transcript)).readable),
      openings: transcriptLines((await Deno.open(open.openings ?? "")).readable),
    }, trust);
    assert.equal(verdict.result, "valid", JSON.stringify(verdict.checks.filter(({ outcome }) => outcome === "failed")));
    assert.deepEqual(verdict.opened.map(({ index, kind }) => [index, kind]), [
      [0, "join"],
      [1, "join"],
      [2, "text"],
      [3, "text"],
      [5, "redact"],
    ]);
    const erased = { folder: dir, open: new Set([4]) };
    await assert.rejects(
      bob.session.history.export("#ops", erased),
      /the words of line 4 are not here: they were erased/,
    );
    const proved = await ada.session.history.prove("#ops", 3, dir);
    const one = await verifyLineProof(await Deno.readTextFile(proved.path), trust);
    assert.equal(one.result, "valid");
    assert.deepEqual(one.opened.map(({ body }) => body), ["good morning"]);

    assert.equal((await bob.session.history.proof("#ops", 0))?.countersigned, 1);
    assert.deepEqual((await bob.session.history.search("#ops", "ＨＥＬＬＯ")).map(({ index }) => index), [2]);
    assert.equal(
      (await bob.session.account.whois("ada"))[0]?.fingerprint,
      (await personIdentity("ada")).chain[0]?.fingerprint,
    );
    await Promise.all([ada.session.stop(), bob.session.stop()]);
    const files = await everyFile(`${dir}/ada`) + await everyFile(`${dir}/bob`);
    assert.ok(!files.includes("a word too much") && !files.includes(btoa("a word too much").slice(0, 16)));
    if (Deno.build.os !== "windows") assert.deepEqual(new Set(await everyMode(`${dir}/ada`)), new Set([0o600]));

    // The files of ada, changed by somebody.
    const room = `${dir}/ada/rooms/localhost/#ops`;
    const { chain, ...pair } = await personIdentity("ada");
    const identity = { ...pair, fingerprint: chain[0]?.fingerprint ?? "" };
    const show = async (open: "all" | Set<number>) =>
      await exportRoom(await RoomRecords.toRead(`${dir}/ada/rooms/localhost`), "#ops", {
        ...{ identity, open, folder: dir, now: Date.now() },
      });
    const others = encodeOpening({ index: 2, envelope: new Uint8Array(40) });
    await Deno.writeTextFile(`${room}/openings.txt`, others, { append: true });
    const { openings } = await show("all");
    assert.deepEqual((await Deno.readTextFile(openings ?? "")).match(/^\d+/gm), ["0", "1", "3", "5"]);
    await assert.rejects(show(new Set([2])), /the words of line 2 are not here: .* or never came as signed/);
    const lines = await Deno.readTextFile(`${room}/transcript.txt`);
    await Deno.writeTextFile(`${room}/transcript.txt`, lines.replace(/^0/, "1"));
    await assert.rejects(show("all"), /don't fit the signed heads beside them: a file was changed/);
  });
});

Deno.test("a server that goes and comes back finds its clients back, without a password and without a line lost", async () => {
  const dir = await Deno.makeTempDir({ prefix: "securechat-" });
  let server = await startServer(dir, 0);
  const port = server.port;
  const people = [
    await Person.create("ada", { dir, dial: dialTcp({ port }) }),
    await Person.create("bob", { dir, dial: dialTcp({ port }) }),
  ];
  const [ada, bob] = people as [Person, Person];
  await Promise.all(people.map(({ session }) => session.start()));
  await ada.session.rooms.create("#ops");
  await bob.session.rooms.join("#ops");
  const said: Record<string, string[]> = { ada: [], bob: [] };
  for (let round = 0; round < 3; round++) {
    const saying = people.map(async ({ session }) => {
      for (let i = 0; i < 20; i++) {
        const words = `${session.rooms.username} ${round} ${i}`;
        said[session.rooms.username]?.push(words);
        await session.rooms.say("#ops", words);
        if (round === 1 && i === 9) session.disconnect();
      }
    });
    await new Promise((resolve) => setTimeout(resolve, 60));
    await server.stop();
    await new Promise((resolve) => setTimeout(resolve, 100));
    server = await startServer(dir, port);
    await Promise.all(saying);
  }
  for (const person of people) {
    await person.until(() => person.session.rooms.unsentCount === 0 && person.texts("#ops").length >= 120);
    assert.equal(person.asked, 1);
    assert.deepEqual(person.of("lie"), []);
    for (const name of ["ada", "bob"]) {
      const theirs = person.lines("#ops").filter(({ username, kind }) => username === name && kind === "text");
      assert.deepEqual(theirs.map(({ text }) => text), said[name]);
    }
  }
  assert.deepEqual(ada.texts("#ops"), bob.texts("#ops"));
  await Promise.all(people.map(({ session }) => session.stop()));
  await server.stop();
  await Deno.remove(dir, { recursive: true });
});

async function startServer(dir: string, port: number): Promise<RunningServer> {
  const certs = await certificates();
  const all: Record<string, string> = {
    ...{ SERVER_HOST: "127.0.0.1", SERVER_PORT: `${port}`, TLS_PORT: "off", CERT_DIR: certs, DATA_DIR: `${dir}/data` },
  };
  const config = readConfig("serve", {}, { environment: (name) => all[name], file: undefined });
  return await serve({ config, log: SILENT });
}

Deno.test("a client that is started again tells what it had, and goes on with its token", async () => {
  await withServer({}, async (server, dir) => {
    const options = { dir, dial: dialTcp(server) };
    const ada = await Person.create("ada", options);
    await ada.session.start();
    await ada.session.rooms.create("#ops");
    await ada.session.rooms.say("#ops", "before");
    await ada.until(() => ada.texts("#ops").length === 1 && ada.session.rooms.unsentCount === 0);
    await ada.session.stop();
    const again = await Person.create("ada", options);
    await again.session.start();
    await again.session.rooms.say("#ops", "after");
    await again.until(() => again.texts("#ops").length === 2 && again.session.rooms.unsentCount === 0);
    assert.deepEqual(again.texts("#ops"), ["before", "after"]);
    const last = async (count: number) =>
      (await again.session.history.lines("#ops", -count, count)).map(({ text }) => text);
    assert.deepEqual([await last(1), await last(9), await last(0)], [["after"], [null, "before", "after"], []]);
    assert.equal(again.asked, 0);
    await again.session.stop();
  });
});

Deno.test("a server that says nothing is offline in time, whatever the clock is set to, and tried again", async () => {
  await withServer({}, async (server, dir) => {
    let isDeaf = false;
    const dial = async (): Promise<Wire> => {
      const link = await dialTcp(server)();
      const closed = Promise.withResolvers<undefined>();
      const read = async () => {
        const chunk = await Promise.race([link.read(), closed.promise]);
        return isDeaf && chunk ? await closed.promise : chunk;
      };
      const close = () => {
        isDeaf = false;
        closed.resolve(undefined);
        link.close();
      };
      return { send: (bytes) => link.send(bytes), read, close };
    };
    let skew = 0;
    const now = () => Date.now() + skew;
    const ada = await Person.create("ada", { dir, dial, now, times: { ping: 40, silent: 150 } });
    await ada.session.start();
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.deepEqual(ada.of("offline"), [], "pings keep it alive");
    skew = -3_600_000;
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.deepEqual(ada.of("offline"), [], "and do so after the clock was set back");
    isDeaf = true;
    await ada.until(() => ada.of("online").length === 2);
    assert.equal(ada.of("offline").length, 1);
    await ada.session.rooms.settled(); // what comes just now would show that the server is there
    skew = 0; // as after the computer has slept
    await ada.until(() => ada.of("online").length === 3);
    await ada.session.stop();
  });
});

Deno.test("a server that goes on talking and keeps a certificate back is left, with a word about what it keeps back", async () => {
  await withServer({}, async (server, dir) => {
    const certs = await certificates();
    using front = await LyingFront.open({ port: server.port, certs });
    const authorities = [(await authority()).certificate.pem];
    const link = { timeout: 5_000, maxQueued: 1 << 22, authorities };
    const times = { ping: 30, quiet: 10, answer: 300 };
    const bob = await Person.create("bob", {
      ...{ dir, times },
      dial: () => connectTls("localhost", Number(front.port), link),
    });
    const carol = await Person.create("carol", { dir, dial: dialTcp(server) });
    await Promise.all([bob.session.start(), carol.session.start()]);
    await carol.session.rooms.create("#ops");
    const { chain: [leaf] } = await personIdentity("carol");
    front.lieElsewhere((frame) =>
      frame.type === "certificate" && frame.fingerprint === leaf?.fingerprint ? [] : [frame]
    );
    const joining = bob.session.rooms.join("#ops").catch(() => {});
    await carol.session.rooms.say("#ops", "hello");
    await bob.until(() => bob.of("offline").length > 0);
    const [offline] = bob.of("offline");
    assert.ok(offline?.event === "offline");
    assert.match(offline.reason, /^the server answers, but for 0\.3 s it has kept back the certificate [0-9a-f]{16}…/);
    front.reform();
    await bob.until(() => bob.texts("#ops").includes("hello"));
    await joining;
    await Promise.all([bob.session.stop(), carol.session.stop()]);
  });
});

Deno.test("whoever waits for a signed head is told when it covers the lines, and when the connection is gone", async () => {
  await withServer({}, async (server, dir) => {
    using front = await LyingFront.open({ port: server.port, certs: await certificates() });
    const authorities = [(await authority()).certificate.pem];
    const link = { timeout: 5_000, maxQueued: 1 << 22, authorities };
    const ada = await Person.create("ada", { dir, dial: () => connectTls("localhost", Number(front.port), link) });
    await ada.session.start();
    front.lieIn("#ops", (frame) => frame.type === "checkpoint" ? [] : [frame]);
    await ada.session.rooms.create("#ops");
    await ada.session.rooms.say("#ops", "hello");
    await ada.until(() => ada.texts("#ops").length === 1);
    assert.equal(ada.session.rooms.uncovered("#ops"), 2);
    const waiting = ada.session.rooms.covered("#ops");
    front.reform();
    await ada.session.rooms.say("#ops", "again");
    await waiting;
    assert.equal(ada.session.rooms.uncovered("#ops", 2), 0);
    front.lieIn("#ops", (frame) => frame.type === "checkpoint" ? [] : [frame]);
    await ada.session.rooms.say("#ops", "not covered");
    await ada.until(() => ada.session.rooms.uncovered("#ops") > 0);
    const inVain = ada.session.rooms.covered("#ops");
    ada.session.disconnect();
    await inVain;
    await ada.session.stop();
  });
});

Deno.test("that nothing comes from the server is told, and that something does again; /reconnect waits for neither", async () => {
  await withServer({}, async (server, dir) => {
    let isDeaf = false;
    let wake = Promise.withResolvers<void>();
    const dial = async (): Promise<Wire> => {
      const link = await dialTcp(server)();
      const closed = Promise.withResolvers<undefined>();
      const read = async (): Promise<Uint8Array | undefined> => {
        const chunk = await link.read();
        if (isDeaf) await Promise.race([wake.promise, closed.promise]);
        return chunk;
      };
      const close = () => {
        closed.resolve(undefined);
        link.close();
      };
      return { send: (bytes) => link.send(bytes), read, close };
    };
    const times = { ping: 20, quiet: 20, mute: 100, silent: 60_000, least: 60_000, most: 60_000 };
    const ada = await Person.create("ada", { dir, dial, times });
    await ada.session.start();
    assert.deepEqual([ada.session.connection.state, ada.session.connection.reason], ["online", ""]);
    isDeaf = true;
    await ada.until(() => ada.of("silent").length === 1);
    assert.ok((ada.session.connection.silentFor ?? 0) >= 100);
    isDeaf = false;
    wake.resolve();
    await ada.until(() => ada.of("silent").length === 2);
    const [first, second] = ada.of("silent").map((event) => event.event === "silent" ? event.silent_for : NaN);
    assert.ok(first !== undefined && first >= 100 && second === 0, `${first}, ${second}`);
    wake = Promise.withResolvers();
    isDeaf = true;
    await ada.until(() => ada.of("silent").length === 3);
    isDeaf = false;
    ada.session.reconnect();
    await ada.until(() => ada.of("online").length === 2);

    ada.session.disconnect();
    await ada.until(() => ada.of("offline").length === 2);
    const { state, reason, retryAt = 0 } = ada.session.connection;
    assert.deepEqual([state, reason], ["offline", "The connection to the server is gone."]);
    assert.ok(retryAt > Date.now() + 10_000, "it would wait long");
    ada.session.reconnect();
    await ada.until(() => ada.of("online").length === 3);
    await ada.session.stop();
  });
});

Deno.test("where the server is not there a session says when it tries again, and lines wait on the disk", async () => {
  const dir = await Deno.makeTempDir({ prefix: "securechat-" });
  const ada = await Person.create("ada", { dir, dial: dialTcp({ port: 1 }) });
  await ada.session.start();
  const [offline] = ada.of("offline");
  assert.ok(
    offline?.event === "offline" && offline.retry_in !== null && offline.reason.includes("nothing listens there"),
  );
  await assert.rejects(ada.session.rooms.join("#ops"), /no connection/);
  await ada.session.stop();
  await Deno.remove(dir, { recursive: true });
});

Deno.test("an account that the server refuses ends a session for good", async () => {
  await withServer({ LOGIN_DELAY_MS: "0" }, async (server, dir) => {
    const ada = await Person.create("ada", { dir, dial: dialTcp(server) });
    await ada.session.start();
    await ada.session.stop();
    const device = { name: "stranger", code: new Uint8Array(16) };
    const stranger = await Person.create("ada", { dir: `${dir}/elsewhere`, dial: dialTcp(server), device });
    await assert.rejects(stranger.session.start(), /the server says/);
    const last = stranger.events.at(-1);
    assert.ok(last?.event === "offline" && last.retry_in === null);
    await stranger.session.stop();
  });
});

Deno.test("records of one account are not another's", async () => {
  const dir = await Deno.makeTempDir({ prefix: "securechat-" });
  const records = await RoomRecords.open(dir, "localhost");
  await records.claim("ada");
  await records.claim("Ada");
  await assert.rejects(records.claim("bob"), /holds the rooms of ada, not of bob/);
  await records.close();
  await Deno.remove(dir, { recursive: true });
});
