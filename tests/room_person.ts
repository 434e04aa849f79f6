/** People with clients for rooms on real sockets: what they are told, and records of their own. */

import { assert } from "./assert.ts";
import type { Bytes, Clock } from "../lib/bytes.ts";
import type { LineEvent, RoomEvent } from "../lib/client_event.ts";
import { RoomRecords } from "../lib/client_room_records.ts";
import type { Credentials } from "../lib/client_login.ts";
import { ClientSession, type SessionTimes, type Wire } from "../lib/client_session.ts";
import { connect } from "../lib/transport.ts";
import { identities } from "./fixtures.ts";
import { personIdentity } from "./room_bench.ts";

/** Somebody's client on a real socket. */
export class Person {
  readonly events: RoomEvent[] = [];
  readonly session: ClientSession;
  readonly records: RoomRecords;
  /** Whoever else is told. */
  notice: (event: RoomEvent) => void = () => {};
  /** How often somebody had to type a password. */
  asked = 0;
  #changed = Promise.withResolvers<void>();

  private constructor(records: RoomRecords, session: (person: Person) => ClientSession) {
    this.records = records;
    this.session = session(this);
  }

  static async create(
    username: string,
    { dir, dial, times = {}, device, now = Date.now }: {
      dir: string;
      dial: () => Promise<Wire>;
      times?: Partial<SessionTimes>;
      /** A further one, and the code with which it comes in. */
      device?: { readonly name: string; readonly code: Bytes };
      now?: Clock;
    },
  ): Promise<Person> {
    const { trust } = await identities();
    const identity = await personIdentity(username, device?.name);
    const records = await RoomRecords.open(`${dir}/${username}${device ? `_${device.name}` : ""}`, "localhost");
    const isNew = await records.token() === undefined;
    const email = `${username}@example.org`;
    const make = (person: Person) =>
      new ClientSession({
        ...{ dial, host: "localhost", identity, records },
        trust: () => Promise.resolve(trust),
        credentials: () => {
          person.asked += 1;
          const account = { email, password: "correct horse", username };
          if (device) return Promise.resolve<Credentials>({ type: "enrol", ...account, code: device.code });
          return Promise.resolve<Credentials>(isNew ? { type: "register", ...account } : { type: "login", ...account });
        },
        emit: (event) => {
          person.events.push(event);
          person.notice(event);
          person.#changed.resolve();
          person.#changed = Promise.withResolvers();
        },
        now,
        random: (size) => crypto.getRandomValues(new Uint8Array(size)),
        times: { least: 20, most: 200, ...times },
      });
    return new Person(records, make);
  }

  /** Resolves when it has come to that; fails after some seconds. */
  async until(holds: (person: Person) => boolean, seconds = 10): Promise<void> {
    const late = performance.now() + 1000 * seconds;
    while (!holds(this)) {
      assert.ok(
        performance.now() < late,
        `${this.session.rooms.username} waits in vain: ${JSON.stringify(this.events.at(-1))}`,
      );
      const timer = Promise.withResolvers<void>();
      const id = setTimeout(timer.resolve, 200);
      await Promise.race([this.#changed.promise, timer.promise]);
      clearTimeout(id);
    }
  }

  lines(room: string): LineEvent[] {
    return this.events.flatMap((event) => event.event === "line" && event.room === room ? [event] : []);
  }

  texts(room: string): (string | null)[] {
    return this.lines(room).filter(({ kind }) => kind === "text").map(({ text }) => text);
  }

  get covered(): number {
    return Math.max(0, ...this.events.map((event) => event.event === "covered" ? event.size : 0));
  }

  of(type: RoomEvent["event"]): RoomEvent[] {
    return this.events.filter(({ event }) => event === type);
  }
}

/** Connects over TCP on the loopback to whatever port the server has at that moment. */
export function dialTcp(server: { readonly port: number }): () => Promise<Wire> {
  return () => connect("127.0.0.1", server.port, { timeout: 5_000, maxQueued: 1 << 22 });
}
