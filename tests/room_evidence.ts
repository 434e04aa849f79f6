/**
 * A room's log in memory with its people, and whatever can be shown of it: right, or with one thing wrong.
 *
 *     const log = await talk(5, [ada, bob]);
 *     const receipt = await log.receipt({ from: 1, to: 4 });
 *     await verifyRoom({ receipt, lines: log.lines(1, 4) }, trust)
 */

import type { Identity } from "../lib/certificate_identity.ts";
import { encrypt } from "../lib/aes_cbc.ts";
import { type Bytes, encodeHex, encodeUtf8 } from "../lib/bytes.ts";
import { issueCertificate } from "../lib/ca.ts";
import { type Checkpoint, signCheckpoint } from "../lib/log_checkpoint.ts";
import { encodeEnvelope, type Head, type LogPin, type Statement } from "../lib/log_envelope.ts";
import type { Json, JsonObject } from "../lib/json.ts";
import { publicKeyOf } from "../lib/private_key.ts";
import { importSigningKey } from "../lib/pss.ts";
import { type SignerRole, signStatement } from "../lib/receipt.ts";
import { logHash, parseOrigin, signRoomLine } from "../lib/log_line.ts";
import { EMPTY_ROOT, Frontier, leafHash, type NodeReader, rangeProof } from "../lib/log_tree.ts";
import { encodeOpening, makeRoomReceipt, type Opening } from "../lib/log_receipt.ts";
import { encodeLine } from "../lib/transcript.ts";
import { authority, countingRandom, identities, issuing, key, NOW } from "./fixtures.ts";

/** Where the logs of tests are: the server's certificate is for localhost. */
export const ORIGIN = "localhost/#ops/00112233445566778899aabbccddeeff";

const DAY = 86_400_000;
const people = new Map<string, Promise<Identity>>();

/** Somebody with a certificate of their own, of the same CA; it ends after so many days from 2020 on. */
export function person(name: string, days = issuing.days, role: SignerRole = "client"): Promise<Identity> {
  const id = `${role} ${name} ${days}`;
  const known = people.get(id) ?? makePerson(name, days, role);
  people.set(id, known);
  return known;
}

async function makePerson(name: string, days: number, role: SignerRole): Promise<Identity> {
  const hosts = ["localhost"]; // in everybody's, so that it's not for want of the name that a client is no server
  const publicKey = publicKeyOf(await key(name));
  const leaf = await issueCertificate(await authority(), { role, name, hosts, publicKey }, { ...issuing, days });
  return { chain: [leaf], pem: leaf.pem, key: await importSigningKey(await key(name)) };
}

/** So many days after 2020-01-01, when every certificate begins. */
export function day(days: number): number {
  return issuing.now + days * DAY;
}

/** The fingerprint of an identity's certificate. */
export function fingerprintOf({ chain: [leaf] }: Identity): string {
  return leaf?.fingerprint ?? "";
}

/** How a line deviates from what its author's next would be. */
export interface LineOptions {
  readonly envelope?: Bytes;
  readonly origin?: string;
  readonly seqno?: number;
  readonly seen?: Head;
  /** The head of the server's log that the line names. */
  readonly log?: LogPin;
  /** What is made of the author's signature. */
  readonly signature?: (good: Bytes) => Bytes;
}

/** What is shown, and by whom; without anything all lines, by the server. */
export interface ShownOptions {
  readonly from?: number;
  readonly to?: number;
  readonly checkpoint?: Checkpoint;
  readonly checkpoints?: readonly Checkpoint[];
  readonly by?: Identity;
  readonly role?: SignerRole;
  readonly others?: readonly Identity[];
  readonly createdAt?: number;
}

interface Entry {
  readonly text: string;
  readonly envelope: Bytes;
  readonly author: Identity;
}

/** The log. Everything but keys and PSS salts is the same in each run. */
export class RoomLog {
  readonly #entries: Entry[] = [];
  readonly #nodes = new Map<string, Bytes>();
  readonly #frontier = new Frontier();
  /** By author's fingerprint. */
  readonly #heads = new Map<string, Head>();
  readonly #next = new Map<string, number>();
  readonly #random = countingRandom();

  constructor(readonly server: Identity, readonly origin = ORIGIN, public now = NOW) {}

  /** Somebody says something; the index. A second passes. */
  async say(author: Identity, statement: Statement | string, options: LineOptions = {}): Promise<number> {
    const fingerprint = fingerprintOf(author);
    const seqno = options.seqno ?? this.#next.get(fingerprint) ?? 0;
    const envelope = options.envelope ?? encodeEnvelope({
      room: parseOrigin(this.origin)?.room ?? "",
      seen: options.seen ?? this.#heads.get(fingerprint) ?? { size: 0, root: encodeHex(EMPTY_ROOT) },
      ...options.log ? { log: options.log } : {},
      statement: typeof statement === "string" ? { kind: "text", text: statement } : statement,
      salt: this.#random(16),
    });
    const body = encrypt(encodeUtf8("sixteen octets.."), this.#random(16), envelope);
    const contents = { log: logHash(options.origin ?? this.origin), envelope, body };
    const by = { key: author.key, fingerprint, seqno, ts: this.now };
    const signed = await signRoomLine(contents, by);
    const text = encodeLine({ ...signed, signature: options.signature?.(signed.signature) ?? signed.signature });
    this.#entries.push({ text, envelope, author });
    for (const { level, index, hash } of this.#frontier.append(leafHash(encodeUtf8(text)))) {
      this.#nodes.set(`${level}.${index}`, hash);
    }
    this.#next.set(fingerprint, seqno + 1);
    this.now += 1000;
    return this.#entries.length - 1;
  }

  /** The head as it is. */
  get head(): Head {
    return { size: this.#frontier.size, root: encodeHex(this.#frontier.root()) };
  }

  /** The author has a checkpoint of the log as it is, and names it from now on. */
  see(author: Identity): void {
    this.#heads.set(fingerprintOf(author), this.head);
  }

  /** A checkpoint of the log as it is. */
  checkpoint({ by = this.server, time = this.now, head = this.head } = {}): Promise<Checkpoint> {
    const signer = { key: by.key, fingerprint: fingerprintOf(by), time: Math.floor(time / 1000) };
    return signCheckpoint(this.origin, head, signer);
  }

  /** The lines from..to-1. */
  lines(from = 0, to = this.#entries.length): string[] {
    return this.#entries.slice(from, to).map(({ text }) => text);
  }

  /** The openings of these lines; without any, of all. */
  openings(indexes: readonly number[] = [...this.#entries.keys()]): Opening[] {
    return indexes.flatMap((index) => {
      const entry = this.#entries[index];
      return entry ? [{ index, envelope: entry.envelope }] : [];
    });
  }

  /** Gives the tree's nodes. */
  read: NodeReader = (places) =>
    places.map(({ level, index }) => {
      const hash = this.#nodes.get(`${level}.${index}`);
      if (!hash) throw new Error(`there is no node ${level}.${index}`);
      return hash;
    });

  /** A receipt. */
  async receipt(options: ShownOptions = {}): Promise<JsonObject> {
    const { from = 0, to = this.#entries.length, by = this.server, role = "server", others = [], checkpoints } =
      options;
    const checkpoint = options.checkpoint ?? await this.checkpoint();
    const authors = this.#entries.slice(from, to).map(({ author }) => author);
    return await makeRoomReceipt({
      ...{ role, key: by.key, pem: by.pem, fingerprint: fingerprintOf(by), origin: this.origin },
      ...{ from, count: to - from, checkpoint, ...(checkpoints ? { checkpoints } : {}) },
      proof: await rangeProof({ from, to }, checkpoint.size, this.read),
      pems: [this.server, ...authors, ...others].map(({ pem }) => pem),
      createdAt: options.createdAt ?? this.now,
    });
  }
}

/** A log of so many lines, each author's first a join, who look at the head at every second line. */
export async function talk(count: number, authors?: readonly Identity[], origin = ORIGIN): Promise<RoomLog> {
  const { server, client } = await identities();
  const log = new RoomLog(server, origin);
  const all = authors ?? [client, await person("bob")];
  for (let number = 0; number < count; number++) {
    const author = all[number % all.length] ?? client;
    if (number % 2 === 1) log.see(author);
    const name = number === 0 ? "ada" : "bob";
    await log.say(author, number < all.length ? { kind: "join", username: name } : `line ${number}`);
  }
  return log;
}

/** Openings as the rows of their file. */
export function rowsOf(openings: readonly Opening[]): string[] {
  return openings.map((opening) => encodeOpening(opening).slice(0, -1));
}

/** What a verifier is given, but for trust. */
export interface Shown {
  readonly receipt: JsonObject;
  readonly lines: readonly string[];
  readonly openings?: readonly string[];
}

/** What is shown of a log: these lines with all or some openings. */
export async function show(log: RoomLog, options: ShownOptions & { open?: readonly number[] } = {}): Promise<Shown> {
  const lines = log.lines(options.from, options.to);
  const from = options.from ?? 0;
  const all = lines.map((_, at) => from + at);
  return { receipt: await log.receipt(options), lines, openings: rowsOf(log.openings(options.open ?? all)) };
}

/** Fields changed, and signed again by the server. */
export async function restate(receipt: JsonObject, fields: Record<string, Json>, by?: Identity): Promise<JsonObject> {
  const { statement_signature: _, ...rest } = receipt;
  return await signStatement({ ...rest, ...fields }, (by ?? (await identities()).server).key);
}
