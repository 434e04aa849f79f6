/**
 * Chaos in a room: clients that post as fast as they can, each the shipped {@link ClientSession} over TLS, while a relay
 * in between cuts connections at random, about one a second, and the server is killed with -9 and started again on what
 * it wrote. CHAOS_CLIENTS and CHAOS_LINES say how many, and how many lines each (4 and 60; `deno task test:chaos` takes
 * ten and five hundred): afterwards every line is in every view, in one order, once, under heads that agree, and the
 * export of every member is good.
 */

import { assert } from "./assert.ts";
import { encodeUtf8 } from "../lib/bytes.ts";
import { leafHash } from "../lib/log_tree.ts";
import { LogTree } from "../lib/log_whole_tree.ts";
import { connectTls } from "../lib/transport.ts";
import { Relay } from "../tools/relay.ts";
import { CROWD_LIMITS } from "./crowd.ts";
import { freePort, run, startServer, temporaryFolder } from "./environment.ts";
import { authority } from "./fixtures.ts";
import { Person } from "./room_person.ts";
import { certificates } from "./server.ts";

const CLIENTS = Number(Deno.env.get("CHAOS_CLIENTS") ?? 4);
const LINES = Number(Deno.env.get("CHAOS_LINES") ?? 60);
const KILLS = 3;
const ALL = CLIENTS * LINES;
/** How long all of it may take, in milliseconds. */
const PATIENCE = 60_000 + 60 * ALL;

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

Deno.test(`${CLIENTS} clients posting ${LINES} lines each, cut at random, the server killed ${KILLS} times: each line everywhere, once, in one order`, async () => {
  using folder = temporaryFolder();
  const dir = folder.path;
  const certs = await certificates();
  const tlsPort = freePort();
  const start = () => {
    const args = ["--certs", certs, "--data", `${dir}/data`, "--tls-port", String(tlsPort)];
    return startServer(args, { cwd: dir, env: CROWD_LIMITS });
  };
  let server = await start();
  using relay = new Relay(tlsPort);
  const authorities = [(await authority()).certificate.pem];
  const dial = () => connectTls("localhost", relay.port, { timeout: 5_000, maxQueued: 1 << 23, authorities });
  const names = Array.from({ length: CLIENTS }, (_, i) => `client${i}`);
  const people = await Promise.all(names.map((name) => Person.create(name, { dir, dial })));
  const [first] = people;
  assert.ok(first);
  for (const { session } of people) await session.start();
  await first.session.rooms.create("#chaos");
  for (const { session } of people.slice(1)) await session.rooms.join("#chaos");

  const began = performance.now();
  const until = async (what: string, holds: () => boolean) => {
    while (!holds()) {
      const state = () =>
        people.map(({ session, events }) => [session.rooms.unsentCount, events.length, events.at(-1)]);
      assert.ok(
        performance.now() - began < PATIENCE,
        `${what}: in vain; ${JSON.stringify(state())} ${server.stderr()}`,
      );
      await sleep(50);
    }
  };
  let isOver = false;
  const cutting = (async () => {
    for (; !isOver; await sleep(2_000 * Math.random())) relay.cut();
  })();
  const killing = (async () => {
    for (let kill = 1; kill <= KILLS; kill++) {
      await until(`the lines before kill ${kill}`, () => first.texts("#chaos").length >= (ALL * kill) / (KILLS + 1));
      await server.stop("SIGKILL");
      server = await start();
    }
  })();
  const said = names.map((name) => Array.from({ length: LINES }, (_, i) => `${name} ${i}`));
  await Promise.all(people.map(async ({ session }, which) => {
    for (const words of said[which] ?? []) await session.rooms.say("#chaos", words);
  }));
  await killing;
  await until("all lines", () => people.every((one) => one.texts("#chaos").length >= ALL));
  isOver = true;
  await cutting;
  await until("all is accepted", () => people.every(({ session }) => session.rooms.unsentCount === 0));
  await until("all is covered", () => people.every((one) => one.covered === one.lines("#chaos").length));

  assert.ok(relay.cuts > 0, "nothing was cut");
  for (const person of people) {
    for (const bad of ["lie", "dropped", "bad_line", "warning"] as const) assert.deepEqual(person.of(bad), []);
    assert.deepEqual(person.lines("#chaos").map(({ index }) => index), [...person.lines("#chaos").keys()]);
    assert.deepEqual(person.texts("#chaos"), first.texts("#chaos"));
    for (const [which, name] of names.entries()) {
      const theirs = person.lines("#chaos").filter(({ username, kind }) => username === name && kind === "text");
      assert.deepEqual(theirs.map(({ text }) => text), said[which]);
    }
    assert.equal(person.asked, 1, "nobody types a password twice");
  }

  let heads = 0;
  for (const [which, { session, records }] of people.entries()) {
    const record = await records.room("#chaos");
    const checkpoints = await record.checkpoints();
    const written = await session.history.export("#chaos", { folder: `${dir}/${names[which]}`, open: "all" });
    await session.stop();
    const rows = (await Deno.readTextFile(`${record.dir}/transcript.txt`)).trimEnd().split("\n");
    const tree = new LogTree();
    for (const row of rows) tree.append(leafHash(encodeUtf8(row)));
    assert.equal(checkpoints.at(-1)?.size, rows.length);
    for (const { size, root } of checkpoints) assert.equal(tree.rootAt(size), root, `the head of ${size} lines`);
    heads += checkpoints.length;
    const { receipt, transcript, openings } = written;
    const files = [receipt, transcript, "--openings", openings ?? ""];
    const { status, stdout, stderr } = await run(["verify", ...files, "--ca", `${certs}/ca_cert.pem`]);
    assert.equal(status, 0, stdout.split("\n").slice(0, 20).join("\n") + stderr);
  }
  console.log(`${ALL} lines, ${relay.cuts} cuts, ${KILLS} kills, ${heads} signed heads kept by ${CLIENTS} clients`);
  await server.stop();
});
