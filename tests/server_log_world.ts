/**
 * A server's log on a store of its own, with rooms and a clock that a test turns.
 */

import { assert } from "./assert.ts";
import { temporaryFolder } from "./environment.ts";
import { identities, NOW } from "./fixtures.ts";
import { fingerprintOf } from "./room_evidence.ts";
import { append, line, newRoom } from "./room_store_contract.ts";
import { encodeHex, encodeUtf8 } from "../lib/bytes.ts";
import { sha256 } from "../lib/hash.ts";
import type { LogHead } from "../lib/log_charter.ts";
import { areTagsOf, parseTick, type Tick } from "../lib/log_tick.ts";
import { Frontier } from "../lib/log_tree.ts";
import type { ServerStore } from "../lib/server_store.ts";
import { type LogFault, ServerLog, type ServerLogOptions } from "../lib/server_log.ts";
import type { StoredNote } from "../lib/server_log_store.ts";
import { openSqliteStore } from "../lib/store_sqlite.ts";

/** In milliseconds. */
export const SECOND = 1_000;
/** SHA-256 of a text, in hex. */
export const hashOf = (text: string) => encodeHex(sha256(encodeUtf8(text)));

/** A key of a log, told apart by a digit. */
export const keyOf = (digit: string) => ({
  vkey: `localhost/log/${digit.repeat(32)}+00000000+AQ==`,
  origin: `localhost/log/${digit.repeat(32)}`,
  sign: (text: string) => Promise.resolve(`${text}\n— ${digit}\n`),
});

/** A server's log on a store of its own, with a clock that a test turns. */
export class LogWorld implements AsyncDisposable {
  now = NOW;
  isAttended = false;
  readonly faults: [LogFault, string][] = [];
  readonly failures: unknown[] = [];
  readonly closed: StoredNote[] = [];
  /** What waits for the clock: when, and what then. */
  readonly #timers: { at: number; run: () => void }[] = [];
  kept: LogHead | undefined;
  readonly #folder: ReturnType<typeof temporaryFolder>;

  private constructor(readonly store: ServerStore, folder: ReturnType<typeof temporaryFolder>) {
    this.#folder = folder;
  }

  static async create(): Promise<LogWorld> {
    const folder = temporaryFolder();
    return new LogWorld(await openSqliteStore(folder.path), folder);
  }

  /** The folder of the database. */
  get path(): string {
    return this.#folder.path;
  }

  async options(changes: Partial<ServerLogOptions> = {}): Promise<ServerLogOptions> {
    const { server } = await identities();
    return {
      store: this.store.log,
      key: keyOf("1"),
      signer: () => ({ key: server.key, fingerprint: fingerprintOf(server), ends: Infinity }),
      now: () => this.now,
      later: (ms, run) => this.#timers.push({ at: this.now + ms, run }),
      seconds: 60,
      stampSeconds: 600,
      within: 600,
      isAttended: () => this.isAttended,
      keepNewest: (note) => {
        const [origin = "", size, root = ""] = note.split("\n");
        this.kept = { origin, size: Number(size), root: encodeHex(Uint8Array.fromBase64(root)) };
        return Promise.resolve();
      },
      newestKept: () => Promise.resolve(this.kept),
      cosign: ({ note }) => Promise.resolve(`${note}— witness\n`),
      closed: (note) => this.closed.push(note),
      fault: (fault, reason) => this.faults.push([fault, reason]),
      failed: (error) => this.failures.push(error),
      ...changes,
    };
  }

  async open(changes: Partial<ServerLogOptions> = {}): Promise<ServerLog> {
    const log = await ServerLog.open(await this.options(changes));
    log.begin();
    return log;
  }

  /** Lets time pass, and runs what is due by then. */
  pass(seconds: number): void {
    this.now += seconds * SECOND;
    for (const timer of this.#timers.splice(0)) {
      if (timer.at <= this.now) timer.run();
      else this.#timers.push(timer);
    }
  }

  get timers(): readonly number[] {
    return this.#timers.map(({ at }) => at - this.now);
  }

  /** A room with a stored checkpoint of that size. */
  async room(name: string, size = 1): Promise<{ origin: string; time: number; size: number; root: string }> {
    const { origin } = newRoom(name);
    if (!await this.store.rooms.findRoom(name)) {
      await this.store.rooms.createRoom(newRoom(name));
      await append(this.store.rooms, origin, new Frontier(), [line(0)]);
    }
    const head = { time: Math.floor(this.now / 1000), size, root: hashOf(`${name} ${size}`) };
    await this.store.rooms.addCheckpoint(origin, { ...head, sig: encodeUtf8("sig"), from: "f".repeat(64) });
    return { origin, ...head };
  }

  /** The ticks of the newest log, read. */
  async ticks(): Promise<{ tick: Tick; tags: Uint8Array; leaf: Uint8Array }[]> {
    const [log] = await this.store.log.logs();
    return (await this.store.log.ticks(log?.id ?? 0, 0, 1_000)).map(({ tick, tags }) => {
      const read = parseTick(tick);
      assert(read && areTagsOf(read, tags));
      return { tick: read, tags, leaf: tick };
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store.close();
    this.#folder[Symbol.dispose]();
    assert.deepEqual(this.failures, []);
  }
}

/** What a room tells the log of its head. */
export function registered({ origin, ...head }: { origin: string; time: number; size: number; root: string }) {
  return [origin, { ...head, sig: encodeUtf8("sig"), from: "f".repeat(64) }] as const;
}
