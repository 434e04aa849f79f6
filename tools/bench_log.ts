/**
 * What the server's log costs: a part of `bench.ts`, in this process, on a SQLite file of its own.
 *
 *     serverlog   a tick that registers 1,000 rooms, until its note is signed; a member of 20 rooms who reads and checks
 *                 100 ticks of 200 rooms
 */

import { cpuUsage } from "node:process";
import { encodeHex, encodeUtf8 } from "../lib/bytes.ts";
import { ClientLog } from "../lib/client_log.ts";
import { importEd25519, newEd25519 } from "../lib/ed25519.ts";
import { sha256 } from "../lib/hash.ts";
import { encodeJson } from "../lib/json.ts";
import type { LogAnswer } from "../lib/log_follow_frames.ts";
import { logOrigin } from "../lib/log_charter.ts";
import { encodeNote } from "../lib/log_note.ts";
import { encodeVkey, KEY_TYPE, noteSigner, openNote, signNote } from "../lib/log_note_key.ts";
import { LogAnswers } from "../lib/server_log_answers.ts";
import { ServerLog } from "../lib/server_log.ts";
import { openSqliteStore } from "../lib/store_sqlite.ts";
import { random } from "../lib/system.ts";
import type { Contestant, Figures, Part, Setting } from "./bench_server.ts";

/** Each figure is the median of so many. */
const ROUNDS = 7;
const ROOMS = 1_000;
const FOLLOWED = { rooms: 200, ticks: 100, own: 20 };

/** The part. */
export const LOG_PARTS: Readonly<Record<string, Part>> = { serverlog };

async function serverlog({ isPeer, name }: Contestant, setting: Setting): Promise<Figures> {
  if (isPeer || !name.startsWith("Deno")) return new Map(); // it runs in this process
  const big = await openLog(setting, ROOMS);
  const ticks: number[] = [];
  for (let round = 1; round <= ROUNDS; round++) {
    await big.grow(round);
    const before = cpuUsage();
    await big.log.tick();
    const { user, system } = cpuUsage(before);
    ticks.push((user + system) / 1000);
  }
  await big.close();
  const small = await openLog(setting, FOLLOWED.rooms);
  for (let tick = 1; tick <= FOLLOWED.ticks; tick++) {
    await small.grow(tick);
    await small.log.tick();
  }
  await small.log.settled();
  const readings: number[] = [];
  for (let round = 0; round < ROUNDS; round++) readings.push(await small.follow());
  await small.close();
  return new Map([
    [`CPU ms a tick of ${ROOMS} rooms`, median(ticks)],
    [
      `CPU ms for a member of ${FOLLOWED.own} rooms, ${FOLLOWED.ticks} ticks of ${FOLLOWED.rooms} rooms`,
      median(readings),
    ],
  ]);
}

function median(all: readonly number[]): number {
  return all.toSorted((a, b) => a - b)[Math.floor(all.length / 2)] ?? 0;
}

/** A server's log with so many rooms. */
async function openLog({ folder, identity }: Setting, count: number) {
  const store = await openSqliteStore(`${folder}/${crypto.randomUUID()}`);
  const secret = await importEd25519(newEd25519(random));
  if (!secret) throw new Error("a new key can be read");
  const signer = noteSigner(logOrigin("localhost", encodeHex(random(16))), KEY_TYPE.log, secret);
  const origins = Array.from({ length: count }, (_, at) => `localhost/#r${at}/${encodeHex(random(16))}`);
  const log = await ServerLog.open({
    store: store.log,
    key: {
      vkey: encodeVkey(signer.key),
      origin: signer.key.name,
      sign: async (text) => new TextDecoder().decode(encodeNote({ text, signatures: [await signNote(text, signer)] })),
    },
    signer: () => ({ key: identity.key, fingerprint: identity.chain[0]?.fingerprint ?? "", ends: Infinity }),
    ...{ now: Date.now, later: () => {}, seconds: 60, stampSeconds: 600, within: 600, isAttended: () => false },
    keepNewest: () => Promise.resolve(),
    newestKept: () => Promise.resolve(undefined),
    cosign: ({ note }) => Promise.resolve(note),
    fault: (fault, reason) => console.error(fault, reason),
    failed: (error) => console.error(error),
  });
  for (const [at, origin] of origins.entries()) {
    await store.rooms.createRoom({ name: `#r${at}`, origin, history: "all", inviteOnly: false, createdAt: Date.now() });
  }
  await log.tick();
  const answers = new LogAnswers(log, store.log);
  /** What the server answers costs the member nothing: the first round asks, the others have it. */
  const given = new Map<string, LogAnswer>();
  return {
    log,
    /** Every room has a new checkpoint. */
    async grow(size: number): Promise<void> {
      for (const origin of origins) {
        const time = Math.floor(Date.now() / 1000);
        const root = encodeHex(sha256(encodeUtf8(`${origin} ${size}`)));
        const checkpoint = { time, size, root, sig: new Uint8Array(256), from: "0".repeat(64) };
        log.registers(origin, await store.rooms.addCheckpoint(origin, checkpoint));
      }
    },
    /** The CPU time of a member who reads and checks all ticks, in milliseconds. */
    async follow(): Promise<number> {
      const rooms = origins.slice(0, FOLLOWED.own).map((origin, at) => ({
        ...{ room: `#r${at}`, origin, problemOf: () => Promise.resolve(undefined) },
      }));
      const member = new ClientLog({
        ask: async (request) => {
          if (request.type === "log") {
            const { charter, ...begin } = await answers.answer(request, () => Promise.resolve("")) as never as {
              charter: Record<string, never>;
            };
            return { ...begin, type: "log", charter, size: 0, frontier: [] };
          }
          const key = encodeJson(request);
          const known = given.get(key) ??
            await answers.answer(request, (room) => Promise.resolve(origins[Number(room.slice(2))] ?? ""));
          given.set(key, known);
          return known;
        },
        rooms: () => rooms,
        charterProblem: () => Promise.resolve(undefined),
        judgeNote: async (note) => {
          const head = (await openNote(encodeUtf8(note), signer.key))?.head;
          return { head, isSatisfied: true };
        },
        isForeign: () => false,
        keep: () => Promise.resolve(),
        tell: ({ reason }) => console.error(reason),
        now: Date.now,
      });
      const before = cpuUsage();
      await member.follow();
      const { user, system } = cpuUsage(before);
      return (user + system) / 1000;
    },
    async close(): Promise<void> {
      await log.end();
      await store.close();
    },
  };
}
