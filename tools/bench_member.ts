/**
 * The benchmark's members of rooms: people whose accounts, certificates and lines are written into a server's store
 * before it starts, since thousands of password hashes and lines would take longer than what is to be measured; and
 * their connections, which resume, join, post lines that were signed before, and count what comes.
 */

import type { Identity } from "../lib/certificate_identity.ts";
import { encrypt } from "../lib/aes_cbc.ts";
import { type Bytes, concat, encodeHex, encodeUtf8, parseBase64, parseUtf8 } from "../lib/bytes.ts";
import { isOfType } from "../lib/dispatch.ts";
import { encodeEnvelope, type Head, type Statement } from "../lib/log_envelope.ts";
import { encodeFrame } from "../lib/frame.ts";
import { ClientConnection, type ClientEvent } from "../lib/handshake_client.ts";
import { sha256 } from "../lib/hash.ts";
import { lineHashes, logHash } from "../lib/log_line.ts";
import { Frontier, leafHash, type TreeNode } from "../lib/log_tree.ts";
import { postFrame } from "../lib/client_outbox.ts";
import type { RoomFrame } from "../lib/log_frames.ts";
import type { StoredLine } from "../lib/room_store.ts";
import { openSqliteStore } from "../lib/store_sqlite.ts";
import { random } from "../lib/system.ts";
import { encodeLine, messageInput } from "../lib/transcript.ts";
import { connectTls, type Link } from "../lib/transport.ts";
import type { BenchKey } from "./bench_key.ts";
import type { Served, Setting } from "./bench_server.ts";

/** A head of no lines: what a line may always say that it has seen. */
const NOTHING_SEEN: Head = { size: 0, root: encodeHex(sha256()) };

/** Somebody with an account, and what resumes the session. */
export interface Person {
  readonly username: string;
  readonly identity: Identity;
  readonly fingerprint: string;
  readonly token: Bytes;
}

/** A log as its members know it. */
export interface Log {
  readonly room: string;
  readonly origin: string;
  readonly epoch: number;
  readonly key: Bytes;
}

/** People who are not in any store yet. */
export async function people(issue: Setting["issue"], count: number, name = "member"): Promise<Person[]> {
  const all: Person[] = [];
  for (let i = 0; i < count; i++) {
    const username = `${name}${i}`;
    const identity = await issue(username);
    all.push({ username, identity, fingerprint: identity.chain[0]?.fingerprint ?? "", token: random(32) });
  }
  return all;
}

/** Writes accounts with their certificates and tokens into the store of a server that isn't running. */
export async function addPeople(data: string, all: readonly Person[]): Promise<void> {
  const store = await openSqliteStore(data);
  const expiresAt = Date.now() + 86_400_000;
  for (const { username, identity, fingerprint, token } of all) {
    const user = { email: `${username}@example.org`, username, salt: random(16), passwordRecord: "none" };
    const userId = await store.addUser(user, Date.now()) ?? 0;
    await store.devices.bindDevice({ fingerprint, userId, pem: identity.pem, isIssued: false }, Date.now());
    await store.devices.addToken({ hash: encodeHex(sha256(token)), userId, fingerprint, expiresAt });
  }
  await store.close();
}

/** A line that is signed. */
export interface Written {
  readonly post: Parameters<typeof postFrame>[0];
  /** The transcript's line. */
  readonly line: string;
  readonly author: string;
  readonly isAct: boolean;
}

/** Writes and signs a line. */
export function writeLine(
  { room, origin, epoch, key: roomKey }: Log,
  key: BenchKey,
  { author, seqno, ts, statement }: { author: string; seqno: number; ts: number; statement: Statement },
): Written {
  const envelope = encodeEnvelope({ room, seen: NOTHING_SEEN, statement, salt: random(16) });
  const body = encrypt(roomKey, random(16), envelope);
  const ct = lineHashes({ log: logHash(origin), envelope, body });
  const sig = key.signNow(messageInput(seqno, ts, ct));
  const line = encodeLine({ seqno, ts, body: ct, signature: sig, signer: author });
  return { post: { room, epoch, seqno, ts, ct, sig, body }, line, author, isAct: statement.kind !== "text" };
}

/** Lines in one transaction. */
const ROUND = 500;

/** Appends lines to a log that is empty, in the store of a server that isn't running. */
export async function addLines(data: string, { origin }: Log, lines: Iterable<Written>): Promise<void> {
  const store = await openSqliteStore(data);
  const frontier = new Frontier();
  let [round, nodes]: [StoredLine[], TreeNode[]] = [[], []];
  const write = async () => {
    await store.rooms.appendLines(origin, round, nodes);
    [round, nodes] = [[], []];
  };
  for (const { post: { seqno, ts, epoch, body }, line, author, isAct } of lines) {
    const index = frontier.size;
    nodes.push(...frontier.append(leafHash(encodeUtf8(line))));
    round.push({ index, author, seqno, ts, epoch, seenSize: 0, isAct, line, body, acceptedAt: ts });
    if (round.length === ROUND) await write();
  }
  await write();
  await store.close();
}

const LF = 0x0a;
/** What begins every line of the log on the wire. */
const POSTED = encodeUtf8('{"type":"posted"');
const REFUSED = encodeUtf8('{"type":"error"');

/** A person's connection. */
export class Member {
  readonly #link: Link;
  readonly #connection: ClientConnection;
  /** Lines of the log that came since {@link listen}. */
  received = 0;
  #id = 0;

  private constructor(link: Link, person: Person, { trust }: Pick<Served, "trust">) {
    this.#link = link;
    this.#connection = new ClientConnection({
      identity: person.identity,
      trust: () => Promise.resolve(trust),
      host: "localhost",
      allowV1: false,
      rooms: true,
      now: Date.now,
      random,
      send: (bytes) => link.send(bytes),
    });
  }

  /** A session that somebody's token resumes, over TLS. */
  static async arrive(server: Served, person: Person): Promise<Member> {
    const authorities = server.trust.authorities.map(({ pem }) => pem);
    const options = { timeout: 60_000, maxQueued: 1 << 28, authorities };
    const member = new Member(await connectTls("localhost", server.tlsPort, options), person, server);
    member.#connection.hello();
    await member.#expect("ready");
    await member.#connection.resume(person.token);
    await member.#expect("welcome");
    return member;
  }

  async #expect<T extends ClientEvent["type"]>(type: T): Promise<ClientEvent & { type: T }> {
    for (;;) {
      const event = await this.#connection.next();
      if (event && isOfType(event, type)) return event;
      if (event?.type === "request refused") throw new Error(event.error.reason);
      if (event && event.type !== "frame") throw new Error(`${event.type} came in place of ${type}`);
      if (event) continue;
      const chunk = await this.#link.read();
      if (!chunk) throw new Error(`the server ended the connection before ${type}`);
      this.#connection.receive(chunk);
    }
  }

  /** Asks, and waits for the answer; what comes before it is passed over. Not after {@link listen}. */
  async ask(frame: { readonly type: string } & Readonly<Record<string, unknown>>): Promise<RoomFrame> {
    const id = this.#id++;
    this.#connection.request({ ...frame, id });
    for (;;) {
      const event = await this.#expect("frame");
      if (event.id === id) return event.frame;
    }
  }

  /** Makes a room, or comes into it; what is needed to write there. */
  async enter(room: string, isNew = false): Promise<Log> {
    const policy = { mode: "recorded", history: "all", invite_only: false };
    const joined = await this.ask(isNew ? { type: "create", room, ...policy } : { type: "join", room });
    if (joined.type !== "joined") throw new Error(`${joined.type} came in place of joined`);
    const opened = JSON.parse(parseUtf8(this.#connection.open(joined.key) ?? new Uint8Array()) ?? "{}");
    return { room, origin: joined.origin, epoch: joined.epoch, key: parseBase64(opened.key) ?? new Uint8Array() };
  }

  /** Counts lines from now on, without reading what they say; `tell` is called when some have come. */
  async listen(tell: () => void): Promise<void> {
    let rest: Uint8Array = new Uint8Array();
    for (let chunk = await this.#link.read(); chunk; chunk = await this.#link.read()) {
      const bytes = rest.length === 0 ? chunk : concat(rest, chunk);
      let start = 0;
      for (let end = bytes.indexOf(LF); end >= 0; end = bytes.indexOf(LF, start)) {
        if (begins(bytes, start, POSTED)) this.received += 1;
        else if (begins(bytes, start, REFUSED)) throw new Error(parseUtf8(bytes.subarray(start, end)));
        start = end + 1;
      }
      rest = bytes.slice(start);
      tell();
    }
  }

  /** Sends frames that were made before. */
  send(frames: readonly Bytes[]): void {
    this.#link.send(frames.length === 1 ? frames[0] as Bytes : concat(...frames));
  }

  leave(): void {
    this.#link.close();
  }
}

/** Members of one room who listen. */
export class Crowd {
  readonly #members: readonly Member[];
  #waiting: { readonly isThere: () => boolean; readonly resolve: () => void }[] = [];

  constructor(members: readonly Member[]) {
    this.#members = members;
    for (const member of members) void member.listen(() => this.#look());
  }

  /** How many lines everybody has received. */
  get received(): number {
    return Math.min(...this.#members.map(({ received }) => received));
  }

  /** Resolves when everybody, or one, has received so many. */
  async haveReceived(count: number, one?: Member): Promise<void> {
    const isThere = () => (one ?? this).received >= count;
    if (!isThere()) await new Promise<void>((resolve) => this.#waiting.push({ isThere, resolve }));
  }

  #look(): void {
    this.#waiting = this.#waiting.filter(({ isThere, resolve }) => {
      if (!isThere()) return true;
      resolve();
      return false;
    });
  }
}

/** A line's frame. */
export function frameOf({ post }: Written): Bytes {
  return encodeFrame(postFrame(post));
}

function begins(bytes: Uint8Array, at: number, text: Uint8Array): boolean {
  // The middle tells frames apart, and most are lines.
  return bytes[at + 9] === text[9] && bytes[at + 10] === text[10] && bytes[at + 12] === text[12];
}
