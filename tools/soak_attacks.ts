/**
 * The attacks of `deno task soak --attacks`: one after the other, each by one person or from one address, and meanwhile
 * three members ping and a fourth comes back again and again.
 *
 *     attack           pings  p50 ms  p99 ms  gone  back  refused   MB
 *     none               178     1.1     9.4     0     8        0  138
 *     wrong receipts     166     1.4    34.0     0     8        0  142
 *
 * The times are for people to read: a machine is busy or not. What must hold is that nobody is put out, that whoever
 * resumes a session comes in, and that the server ends well.
 */

import { encrypt } from "../lib/aes_cbc.ts";
import { type Bytes, concat, encodeHex, encodeUtf8, parseBase64, parseUtf8 } from "../lib/bytes.ts";
import type { Identity } from "../lib/certificate_identity.ts";
import { postFrame } from "../lib/client_outbox.ts";
import { encodeEnvelope } from "../lib/log_envelope.ts";
import type { RoomFrame } from "../lib/log_frames.ts";
import { logHash, signRoomLine } from "../lib/log_line.ts";
import { EMPTY_ROOT } from "../lib/log_tree.ts";
import type { Trust } from "../lib/certificate_path.ts";
import { encodeFrame } from "../lib/frame.ts";
import { ClientConnection, type ClientEvent } from "../lib/handshake_client.ts";
import { random, sleep } from "../lib/system.ts";
import { connect, type Link } from "../lib/transport.ts";

/** Where the server is, and what everybody needs to come in. */
export interface AttackedServer {
  readonly port: number;
  readonly tlsPort: number;
  readonly trust: Trust;
  /** Resident memory in MB. */
  memory(): number;
  /** A certificate for somebody of that name. */
  readonly issue: (name: string) => Promise<Identity>;
}

/** A head of no lines: what a line may always say that it has seen. */
const NOTHING_SEEN = { size: 0, root: encodeHex(EMPTY_ROOT) };

/** Everybody has one certificate. */
const identities = new Map<string, Identity>();

/** Somebody's session with rooms. */
class Member {
  readonly link: Link;
  token: Bytes = new Uint8Array(0);
  isGone = false;
  readonly #connection: ClientConnection;
  readonly #answers = new Map<number, (frame?: RoomFrame) => void>();
  readonly #identity: Identity;
  #nextId = 0;

  private constructor(link: Link, connection: ClientConnection, identity: Identity) {
    this.#identity = identity;
    this.link = link;
    this.#connection = connection;
  }

  /** A new account, or with a token one that comes back. */
  static async enter(server: AttackedServer, name: string, token?: Bytes): Promise<Member> {
    const { port, trust, issue } = server;
    const identity = identities.get(name) ?? await issue(name);
    identities.set(name, identity);
    const link = await connect("127.0.0.1", port, { timeout: 10_000, maxQueued: 1 << 26 });
    const connection = new ClientConnection({
      ...{ identity, host: "localhost", allowV1: false, rooms: true, random },
      trust: () => Promise.resolve(trust),
      now: () => Date.now(),
      send: (bytes) => link.send(bytes),
    });
    const member = new Member(link, connection, identity);
    connection.hello();
    await member.#until("ready");
    const account = { email: `${name}@example.org`, username: name, password: "correct horse" };
    await (token ? connection.resume(token) : connection.register(account));
    const welcome = await member.#until("welcome");
    if (welcome.type === "welcome") member.token = welcome.token;
    void member.#listen();
    return member;
  }

  async #until(type: ClientEvent["type"]): Promise<ClientEvent> {
    for (;;) {
      const event = await this.#connection.next();
      if (event?.type === type) return event;
      if (event) continue;
      const chunk = await this.link.read();
      if (!chunk) throw new Error(`the server closed the connection where ${type} should come`);
      this.#connection.receive(chunk);
    }
  }

  async #listen(): Promise<void> {
    try {
      for (;;) {
        const event = await this.#until("frame");
        if (event.type === "frame" && typeof event.id === "number") this.#answers.get(event.id)?.(event.frame);
      }
    } catch {
      this.isGone = true;
      for (const answer of this.#answers.values()) answer();
    }
  }

  /** Milliseconds until the answer. */
  async ping(): Promise<number> {
    const began = performance.now();
    await this.#ask({ type: "ping" });
    return performance.now() - began;
  }

  /** The answer; `undefined` where the connection is over before it comes. */
  async #ask(frame: { readonly type: string } & Readonly<Record<string, unknown>>): Promise<RoomFrame | undefined> {
    const id = this.#nextId++;
    const answer = await new Promise<RoomFrame | undefined>((resolve) => {
      this.#answers.set(id, resolve);
      this.#connection.request({ ...frame, id });
    });
    this.#answers.delete(id);
    return answer;
  }

  /** Makes a room and signs lines for it, the first of which is the join line. */
  async signLines(room: string, text: string, count: number): Promise<Bytes[]> {
    const policy = { mode: "recorded", history: "all", invite_only: false };
    const joined = await this.#ask({ type: "create", room, ...policy });
    if (joined?.type !== "joined") throw new Error(`${room} could not be made`);
    const { key: payload, epoch, origin } = joined;
    const opened = JSON.parse(parseUtf8(this.#connection.open(payload) ?? new Uint8Array()) ?? "{}");
    const roomKey = parseBase64(opened.key) ?? new Uint8Array();
    const { key, chain: [leaf] } = this.#identity;
    const frames: Bytes[] = [];
    for (let seqno = 0; seqno < count; seqno++) {
      const statement = seqno === 0
        ? { kind: "join", username: room.slice(1) } as const
        : { kind: "text", text } as const;
      const envelope = encodeEnvelope({ room, seen: NOTHING_SEEN, statement, salt: random(16) });
      const body = encrypt(roomKey, random(16), envelope);
      const author = { key, fingerprint: leaf?.fingerprint ?? "", seqno, ts: Date.now() };
      const line = await signRoomLine({ log: logHash(origin), envelope, body }, author);
      const post = { room, epoch, seqno, ts: line.ts, ct: line.body, sig: line.signature, body };
      frames.push(encodeFrame(postFrame(post)));
    }
    return frames;
  }
}

/** What an attack does until it is told to stop. */
type Attack = (server: AttackedServer, goesOn: () => boolean) => Promise<void>;

let attackers = 0;

/** One member that sends the same frames over and over, on so many connections. */
function flood(frames: readonly Bytes[], connections = 1): Attack {
  return async (server, goesOn) => {
    const name = `mallory${attackers++}`;
    const members = [await Member.enter(server, name)];
    while (members.length < connections) members.push(await Member.enter(server, name, members.at(-1)?.token));
    const size = frames.reduce((sum, { length }) => sum + length, 0);
    const batch = concat(...Array.from({ length: Math.max(1, Math.floor(16_384 / size)) }, () => frames).flat());
    const flooding = members.map(async (member) => {
      while (goesOn() && !member.isGone) {
        member.link.send(batch);
        await member.link.drained(); // or closed
      }
    });
    while (goesOn()) await sleep(100);
    for (const member of members) member.link.close();
    await Promise.all(flooding);
  };
}

/** One member that sends lines that it has signed before, in a room of its own, as fast as they are taken. */
function lines(text: string, count: number): Attack {
  return async (server, goesOn) => {
    const name = `mallory${attackers++}`;
    const member = await Member.enter(server, name);
    const frames = await member.signLines(`#${name}`, text, count);
    for (let at = 0; at < frames.length && goesOn() && !member.isGone; at += 16) {
      member.link.send(concat(...frames.slice(at, at + 16)));
      await Promise.race([member.link.drained(), sleep(1_000)]); // a server that is at its quota reads no more
    }
    while (goesOn() && !member.isGone) await sleep(100);
    member.link.close();
  };
}

/** Strangers from one address that say so much and then wait. */
function strangers(said: string, over: "port" | "tlsPort"): Attack {
  return async (server, goesOn) => {
    await Promise.all(Array.from({ length: 90 }, async () => {
      while (goesOn()) {
        const conn = await Deno.connect({ hostname: "127.0.0.1", port: server[over] });
        const closed = (async () => {
          const buffer = new Uint8Array(1_024);
          while (await conn.read(buffer) !== null);
        })().catch(() => {});
        await conn.write(encodeUtf8(said)).catch(() => {});
        while (goesOn() && await Promise.race([closed.then(() => false), sleep(200).then(() => true)]));
        try {
          conn.close();
        } catch {
          // It is closed.
        }
        await sleep(20);
      }
    }));
  };
}

const odd = encodeUtf8(`{"type":"ping","x":[${"-1,".repeat(20_000)}-1]}\n`);
const receipt = encodeFrame({ type: "receipt", data: {} });

/** The attacks, by what they do. */
const ATTACKS: readonly (readonly [name: string, attack: Attack])[] = [
  ["none", () => Promise.resolve()],
  ["half frames", strangers(`{"type":"hello"`, "port")],
  ["half TLS", strangers("\u0016\u0003\u0001\u0002\u0000", "tlsPort")],
  ["pings", flood([encodeFrame({ type: "ping" })])],
  ["odd frames", flood([odd])],
  ["odd frames x10", flood([odd], 10)],
  ["wrong receipts", flood([receipt])],
  ["receipts x10", flood([receipt], 10)],
  ["presence", flood(["away", "online"].map((state) => encodeFrame({ type: "presence", state })))],
  ["codes", flood([encodeFrame({ type: "code" })])],
  ["logouts", flood([encodeFrame({ type: "logout" })])],
  ["lists", flood([encodeFrame({ type: "rooms", from: "" })])],
  ["short lines", lines("x", 3_000)],
  ["long lines", lines("x".repeat(15_000), 800)],
  ["guesses", flood([encodeFrame({ type: "certificate", fingerprint: "0".repeat(64) })])],
];

/** Runs all attacks, each for so many seconds; whether nobody was put out or kept out. */
export async function runAttacks(server: AttackedServer, seconds: number): Promise<boolean> {
  const members: Member[] = [];
  for (const name of ["ada", "bob", "carol"]) members.push(await Member.enter(server, name));
  let { token, link } = await Member.enter(server, "dora");
  link.close();
  let isWell = true;
  console.log("attack           pings  p50 ms  p99 ms  gone  back  refused   MB");
  for (const [name, attack] of ATTACKS) {
    const end = performance.now() + 1000 * seconds;
    const goesOn = () => performance.now() < end;
    const attacking = attack(server, goesOn).catch((error) => console.log(`${name}: ${error}`));
    const times: number[] = [];
    const ping = async (member: Member) => {
      while (goesOn() && !member.isGone) {
        times.push(await member.ping());
        await sleep(50);
      }
    };
    const [back, refused]: [string[], string[]] = [[], []];
    const comeBack = async () => {
      while (goesOn()) {
        try {
          const member = await Member.enter(server, "dora", token);
          ({ token, link } = member);
          back.push(name);
          link.close();
        } catch (error) {
          refused.push(String(error));
        }
        await sleep(500);
      }
    };
    await Promise.all([attacking, comeBack(), ...members.map(ping)]);
    times.sort((one, other) => one - other);
    const at = (share: number) => (times[Math.floor(share * (times.length - 1))] ?? NaN).toFixed(1);
    const gone = members.filter(({ isGone }) => isGone).length;
    const cells = [[times.length, 5], [at(0.5), 6], [at(0.99), 6], [gone, 4], [back.length, 4], [refused.length, 7], [
      server.memory(),
      3,
    ]];
    console.log(`${name.padEnd(15)}  ${cells.map(([cell, width]) => `${cell}`.padStart(Number(width))).join("  ")}`);
    for (const why of new Set(refused)) console.log(`  refused: ${why}`);
    isWell &&= gone === 0 && back.length > 0;
  }
  for (const member of members) member.link.close();
  return isWell;
}
