/** People in rooms, for tests of the server's side: each has a certificate, signs lines, and hears what is sent. */

import { encrypt } from "../lib/aes_cbc.ts";
import { type Bytes, encodeHex, parseBase64, parseUtf8 } from "../lib/bytes.ts";
import { dispatch } from "../lib/dispatch.ts";
import { encodeEnvelope, type Head, type Statement } from "../lib/log_envelope.ts";
import { ProtocolError } from "../lib/errors.ts";
import { type OutgoingFrame, parseFrame } from "../lib/frame.ts";
import type { PostFields } from "../lib/log_requests.ts";
import type { Hub } from "../lib/room_hub.ts";
import { type HubRequest, ROOM_ANSWERS } from "../lib/room_requests.ts";
import { encodeJson, isJsonObject, type Json, type JsonObject, member, parseJson } from "../lib/json.ts";
import { importSigningKey, type SigningKey, VerifyingKey } from "../lib/pss.ts";
import type { Attendee } from "../lib/room_attendee.ts";
import { EMPTY_ROOT } from "../lib/log_tree.ts";
import { lineHashes, logHash } from "../lib/log_line.ts";
import { parseRoomFrame, type RoomFrame } from "../lib/log_frames.ts";
import { messageInput } from "../lib/transcript.ts";
import type { Certificate } from "../lib/x509.ts";
import { certificate, fixedClock, key } from "./fixtures.ts";

/** What a person knows of a room. */
interface Known {
  origin: string;
  epoch: number;
  key: Bytes;
  seqno: number;
  seen: Head;
}

const EMPTY: Head = { size: 0, root: encodeHex(EMPTY_ROOT) };

/** Somebody with a certificate. */
export class Person implements Attendee {
  readonly username: string;
  readonly certificate: Certificate;
  readonly verifying: VerifyingKey;
  readonly #signing: SigningKey;
  /** What was sent, parsed; an error as its code. */
  readonly heard: (RoomFrame | { readonly type: "error"; readonly code: string; readonly id: Json | undefined })[] = [];
  readonly rooms = new Map<string, Known>();
  ended: string | undefined;

  private constructor(username: string, leaf: Certificate, signing: SigningKey) {
    this.username = username;
    this.certificate = leaf;
    this.#signing = signing;
    this.verifying = new VerifyingKey(leaf.rsa?.modulus ?? 0n);
  }

  static readonly #leaves = new Map<string, Promise<Certificate>>();

  /**
   * A session of somebody's; the certificate is the same each time. `device`: another of the same person; `keyOf`:
   * whose key it is, where many are needed and making keys takes long.
   */
  static async create(username: string, device = "", { keyOf = username } = {}): Promise<Person> {
    const [name, keyName] = [`person ${username} ${device}`, `person ${keyOf} ${device}`];
    const leaf = Person.#leaves.get(name) ?? certificate(keyName, { role: "client", name: username });
    Person.#leaves.set(name, leaf);
    return new Person(username, await leaf, await importSigningKey(await key(keyName)));
  }

  get fingerprint(): string {
    return this.certificate.fingerprint;
  }

  deliverLatest(_: string, bytes: Bytes): void {
    this.deliver(bytes);
  }

  drained(): Promise<void> {
    return Promise.resolve();
  }
  deliver(bytes: Bytes): void {
    for (const line of (parseUtf8(bytes) ?? "").split("\n")) if (line !== "") this.#hear(line);
  }

  answer(frame: OutgoingFrame, id?: Json): void {
    this.#hear(encodeJson(id === undefined ? frame : { ...frame, id }));
  }

  /** In the clear: what a session's key would hide. */
  seal(value: JsonObject): Bytes {
    return new TextEncoder().encode(encodeJson(value));
  }

  refuse(error: ProtocolError, id?: Json): void {
    this.heard.push({ type: "error", code: error.code, id });
  }

  end(error: ProtocolError): void {
    this.ended = error.code;
  }

  #hear(text: string): void {
    const { frame } = parseRoomFrame(parseFrame(new TextEncoder().encode(text)));
    this.heard.push(frame);
    if (frame.type === "joined") {
      const { origin, nextSeqno: seqno, checkpoint } = frame;
      const seen = checkpoint ? { size: checkpoint.size, root: checkpoint.root } : EMPTY;
      this.rooms.set(frame.room, { origin, seqno, seen, ...unsealed(frame.key) });
    }
    const known = "room" in frame ? this.rooms.get(frame.room) : undefined;
    if (!known) return;
    if (frame.type === "checkpoint") known.seen = { size: frame.checkpoint.size, root: frame.checkpoint.root };
    if (frame.type === "epoch") Object.assign(known, unsealed(frame.payload));
  }

  /** A line that is good, but for what is changed. */
  async write(
    room: string,
    statement: Statement,
    change: Partial<PostFields> & { seen?: Head } = {},
  ): Promise<PostFields> {
    const known = this.rooms.get(room);
    if (!known) throw new Error(`${this.username} doesn't know ${room}`);
    const { seen = known.seen, ...fields } = change;
    const envelope = encodeEnvelope({ room, seen, statement, salt: new Uint8Array(16).fill(known.seqno) });
    const body = encrypt(known.key, new Uint8Array(16).fill(known.seqno + 1), envelope);
    const ct = lineHashes({ log: logHash(known.origin), envelope, body });
    const post = { room, epoch: known.epoch, seqno: known.seqno, ts: fixedClock(), ct, body, ...fields };
    const sig = await this.#signing.sign(messageInput(post.seqno, post.ts, post.ct));
    return { sig, ...post };
  }

  /** Asks a hub; the error's code where it refuses. */
  async ask(hub: Hub, request: HubRequest, id?: Json): Promise<string | undefined> {
    try {
      await dispatch(ROOM_ANSWERS, request, { hub, attendee: this, serverLog: undefined }, id);
      return undefined;
    } catch (error) {
      if (error instanceof ProtocolError) return error.code;
      throw error;
    }
  }

  /** Posts a line and counts it where it wasn't refused at once. */
  async say(hub: Hub, room: string, statement: Statement | string, id?: Json): Promise<string | undefined> {
    const what = typeof statement === "string" ? { kind: "text" as const, text: statement } : statement;
    const refused = await this.ask(hub, { type: "post", ...await this.write(room, what) }, id);
    const known = this.rooms.get(room);
    if (refused === undefined && known) known.seqno += 1;
    return refused;
  }

  /** Comes into a room, its join line included. */
  async enter(hub: Hub, room: string): Promise<string | undefined> {
    return await this.ask(hub, { type: "join", room }) ??
      await this.say(hub, room, { kind: "join", username: this.username });
  }

  /** What was posted, as `index:username-or-fingerprint`. */
  posted(room: string): number[] {
    return this.heard.flatMap((frame) => frame.type === "posted" && frame.room === room ? [frame.index] : []);
  }
}

function unsealed(payload: Bytes): { epoch: number; key: Bytes } {
  const value = parseJson(parseUtf8(payload) ?? "");
  if (!isJsonObject(value)) throw new Error("a key is an object");
  const [epoch, text] = [member(value, "epoch"), member(value, "key")];
  const secret = typeof text === "string" ? parseBase64(text) : undefined;
  if (typeof epoch !== "number" || !secret) throw new Error("a key has an epoch and bytes");
  return { epoch, key: secret };
}
