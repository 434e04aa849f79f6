/**
 * A storm: people who post as fast as they can in one room, while their connections are cut at random every second and
 * the server is killed with -9. STORM_PEOPLE and STORM_LINES say how many, and how many lines each (4 and 60; `deno task
 * test:storm` takes ten and five hundred): afterwards every line is in every view, in one order, once.
 */

import { assert } from "./assert.ts";
import { transcriptLines } from "../lib/verify.ts";
import { verifyRoom } from "../lib/verify_room.ts";
import { CROWD_LIMITS } from "./crowd.ts";
import { startServer, temporaryFolder } from "./environment.ts";
import { authority } from "./fixtures.ts";
import { dialTcp, Person } from "./room_person.ts";
import { certificates } from "./server.ts";

const PEOPLE = Number(Deno.env.get("STORM_PEOPLE") ?? 4);
const LINES = Number(Deno.env.get("STORM_LINES") ?? 60);
const KILLS = 3;
const SECONDS = 20 + PEOPLE * LINES / 25;

Deno.test(`${PEOPLE} people posting ${LINES} lines each, cut at random, the server killed ${KILLS} times: each line everywhere, once, in one order`, async () => {
  using folder = temporaryFolder();
  const dir = folder.path;
  const certs = await certificates();
  const start = async () =>
    await startServer(["--certs", certs, "--data", `${dir}/data`], { cwd: dir, env: CROWD_LIMITS });
  let server = await start();
  const where = { port: server.port };
  const names = Array.from({ length: PEOPLE }, (_, i) => `person${i}`);
  const people = await Promise.all(names.map((name) => Person.create(name, { dir, dial: dialTcp(where) })));
  for (const { session } of people) await session.start();
  await people[0]?.session.create("#storm");
  for (const { session } of people.slice(1)) await session.join("#storm");

  let isOver = false;
  const cutting = (async () => {
    while (!isOver) {
      await new Promise((resolve) => setTimeout(resolve, 1_000 * Math.random()));
      people[Math.floor(Math.random() * PEOPLE)]?.session.disconnect();
    }
  })();
  const killing = (async () => {
    for (let kill = 0; kill < KILLS; kill++) {
      await new Promise((resolve) => setTimeout(resolve, 500 + 1_500 * Math.random()));
      await server.stop("SIGKILL");
      server = await start();
      where.port = server.port;
    }
  })();
  const said = names.map((name) => Array.from({ length: LINES }, (_, i) => `${name} ${i}`));
  await Promise.all(people.map(async ({ session }, which) => {
    for (const [i, words] of (said[which] ?? []).entries()) {
      await session.say("#storm", words);
      if (i % 5 === 0) await new Promise((resolve) => setTimeout(resolve, 30 * Math.random()));
    }
  }));
  await killing;
  isOver = true;
  await cutting;

  for (const person of people) {
    const isWhole = () => person.texts("#storm").length >= PEOPLE * LINES && person.session.unsentCount === 0;
    await person.until(isWhole, SECONDS);
    await person.until(() => person.covered === person.lines("#storm").length, SECONDS);
    assert.deepEqual(person.of("lie"), []);
    assert.deepEqual(person.of("dropped"), []);
    assert.deepEqual(person.of("bad_line"), []);
    assert.deepEqual(person.lines("#storm").map(({ index }) => index), [...person.lines("#storm").keys()]);
    assert.deepEqual(person.texts("#storm"), people[0]?.texts("#storm"));
    for (const [which, name] of names.entries()) {
      const theirs = person.lines("#storm").filter(({ username, kind }) => username === name && kind === "text");
      assert.deepEqual(theirs.map(({ text }) => text), said[which]);
    }
    assert.equal(person.asked, 1, "nobody types a password twice");
  }
  const trust = { authorities: [(await authority()).certificate], revocations: [] };
  for (const { session } of people) {
    const { receipt, transcript, openings } = await session.exportRoom("#storm", { folder: dir, open: "all" });
    const verdict = await verifyRoom({
      receipt: await Deno.readTextFile(receipt),
      lines: transcriptLines((await Deno.open(transcript)).readable),
      openings: transcriptLines((await Deno.open(openings ?? "")).readable),
    }, trust);
    assert.equal(verdict.result, "valid", JSON.stringify(verdict.checks.filter(({ outcome }) => outcome === "failed")));
    await session.stop();
  }
  await server.stop();
});
