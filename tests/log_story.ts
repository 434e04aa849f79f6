/**
 * A room's life with the server's log: people talk, the server ticks, witnesses cosign, authorities stamp, and a member
 * follows and shows what was kept.
 *
 *     await using story = await LogStory.create({ witnesses: 2 });
 *     await story.say("hello");      a line that names the log, and its checkpoint
 *     await story.tick();            registered, cosigned, followed
 *     const shown = await story.show();
 */

import type { Identity } from "../lib/certificate_identity.ts";
import { assert } from "./assert.ts";
import { person, RoomLog } from "./room_evidence.ts";
import { identities, NOW } from "./fixtures.ts";
import { LogWorld, SECOND } from "./server_log_world.ts";
import { type Bytes, encodeHex, encodeUtf8 } from "../lib/bytes.ts";
import { ClientLog, type LogNews } from "../lib/client_log.ts";
import type { LogRecord } from "../lib/client_log_records.ts";
import { chooseHead, makeLogEvidence, readLogRecords, type ShownLog } from "../lib/client_log_evidence.ts";
import { importEd25519, newEd25519 } from "../lib/ed25519.ts";
import { sha256 } from "../lib/hash.ts";
import type { JsonObject } from "../lib/json.ts";
import { logOrigin } from "../lib/log_charter.ts";
import type { Checkpoint } from "../lib/log_checkpoint.ts";
import { type LogPin, parseEnvelope } from "../lib/log_envelope.ts";
import { encodeNote, parseNote } from "../lib/log_note.ts";
import { cosign, encodeVkey, KEY_TYPE, type NoteSigner, noteSigner, openNote, signNote } from "../lib/log_note_key.ts";
import { LogAnswers } from "../lib/server_log_answers.ts";
import type { ServerLog } from "../lib/server_log.ts";
import type { LogFiles } from "../lib/verify_log.ts";
import { cosignersOf, isSatisfied, policyOf, type WitnessPolicy } from "../lib/witness_policy.ts";
import { parseCertificates } from "../lib/x509.ts";

/** A signer whose key is made of one byte. */
export async function signerOf(name: string, byte: number, type: 0x01 | 0x04): Promise<NoteSigner> {
  const secret = await importEd25519(newEd25519((size) => new Uint8Array(size).fill(byte)));
  assert(secret);
  return noteSigner(name, type, secret);
}

/** How a story goes. */
export interface StoryOptions {
  /** How many witnesses cosign. */
  readonly witnesses?: number;
  /** Gives tokens over a closed note, with the certificates that they need. */
  readonly stamp?: (
    note: Bytes,
  ) => Promise<{ tokens: readonly { token: Bytes; time: number }[]; chain: readonly string[] }>;
}

/** A room and the server's log. */
export class LogStory implements AsyncDisposable {
  readonly records: LogRecord[] = [];
  readonly news: LogNews[] = [];
  readonly checkpoints: Checkpoint[] = [];
  readonly follower: ClientLog;
  readonly #answers: LogAnswers;
  #said = 0;

  private constructor(
    readonly world: LogWorld,
    readonly log: ServerLog,
    readonly room: RoomLog,
    readonly author: Identity,
    readonly logKey: NoteSigner,
    readonly policy: WitnessPolicy | undefined,
    readonly options: StoryOptions,
  ) {
    this.#answers = new LogAnswers(log, world.store.log);
    this.follower = new ClientLog({
      ask: (request) => this.#answers.answer(request, () => Promise.resolve(room.origin)),
      rooms: () => [{ room: "#ops", origin: room.origin, problemOf: () => Promise.resolve(undefined) }],
      charterProblem: () => Promise.resolve(undefined),
      judgeNote: async (note) => {
        const opened = await openNote(encodeUtf8(note), logKey.key);
        if (!opened) return { head: undefined, isSatisfied: false };
        const cosigners = policy && await cosignersOf(opened.note, policy, world.now / SECOND);
        return { head: opened.head, isSatisfied: policy === undefined || isSatisfied(policy, cosigners ?? new Map()) };
      },
      isForeign: () => false,
      keep: (records) => Promise.resolve(void this.records.push(...records)),
      tell: (news) => this.news.push(news),
      now: () => world.now,
    });
  }

  static async create(options: StoryOptions = {}): Promise<LogStory> {
    const world = await LogWorld.create();
    const { server } = await identities();
    const logKey = await signerOf(logOrigin("localhost", "8f14e45fceea167a5a36dedd4bea2543"), 7, KEY_TYPE.log);
    const witnesses = await Promise.all(
      Array.from({ length: options.witnesses ?? 0 }, (_, i) => signerOf(`witness.example/w${i + 1}`, 8 + i, 0x04)),
    );
    const log = await world.open({
      key: {
        vkey: encodeVkey(logKey.key),
        origin: logKey.key.name,
        sign: async (text) =>
          new TextDecoder().decode(encodeNote({ text, signatures: [await signNote(text, logKey)] })),
      },
      cosign: async ({ note }) => {
        const read = parseNote(encodeUtf8(note));
        assert(read);
        const time = Math.floor(world.now / SECOND);
        const lines = await Promise.all(witnesses.map((witness) => cosign(read.text, time, witness)));
        return new TextDecoder().decode(encodeNote({ ...read, signatures: [...read.signatures, ...lines] }));
      },
    });
    const room = new RoomLog(server);
    await world.store.rooms.createRoom({
      ...{ name: "#ops", origin: room.origin, history: "all", inviteOnly: false, createdAt: NOW },
    });
    const policy = witnesses.length > 0 ? policyOf(witnesses.map(({ key }) => key)) : undefined;
    return new LogStory(world, log, room, await person("ada"), logKey, policy, options);
  }

  /** Somebody says something and names the log, unless told otherwise; the line gets a checkpoint of its own. */
  async say(text: string, pin: LogPin | undefined = this.follower.pin): Promise<number> {
    this.room.now = this.world.now;
    this.room.see(this.author);
    const statement = this.#said++ === 0 ? { kind: "join", username: "ada" } as const : text;
    const index = await this.room.say(this.author, statement, pin ? { log: pin } : {});
    await this.sign();
    if (pin) await this.follower.lineNames(pin);
    return index;
  }

  /** A checkpoint of the room as it is, at a time (unix ms). */
  async sign(time = this.world.now): Promise<Checkpoint> {
    const checkpoint = await this.room.checkpoint({ time });
    this.checkpoints.push(await this.world.store.rooms.addCheckpoint(this.room.origin, checkpoint));
    this.log.registers(this.room.origin, checkpoint);
    return checkpoint;
  }

  /** A minute passes, the server ticks, and the member follows. */
  async tick(): Promise<void> {
    this.world.now += 60 * SECOND;
    await this.log.tick();
    await this.log.settled();
    await this.#stamp();
    await this.follower.follow();
    assert.deepEqual(this.news, []);
  }

  async #stamp(): Promise<void> {
    const note = this.log.newestClosed;
    if (!note || !this.options.stamp) return;
    const { tokens, chain } = await this.options.stamp(note.note);
    const stored = tokens.map(({ token, time }) => ({ size: note.size, token, hash: encodeHex(sha256(token)), time }));
    await this.world.store.log.addTokens(this.log.state.id, stored, chain);
    this.world.isAttended = true;
  }

  /** What the member shows of all lines: the receipt, the lines with their words, and the log. */
  async show(): Promise<{ receipt: JsonObject; lines: string[]; openings: string[]; log: ShownLog }> {
    const kept = readLogRecords(this.records);
    assert(kept);
    const lines = this.room.lines();
    const openings = this.room.openings();
    const head = chooseHead(kept, this.room.origin, lines.length);
    assert(head, "no registered head covers all lines");
    const { server } = await identities();
    const pins = openings.flatMap(({ envelope }) => parseEnvelope(envelope).log ?? []);
    const log = await makeLogEvidence(kept, {
      ...{ origin: this.room.origin, checkpoints: [head.checkpoint], pins, certs: [server.pem] },
    });
    assert(log);
    const receipt = await this.room.receipt({ checkpoint: head.checkpoint, createdAt: this.world.now });
    return { receipt, lines, openings: openings.map(({ index, envelope }) => `${index}\t${envelope.toBase64()}`), log };
  }

  /** The files of what is shown, for the verifier. */
  filesOf({ files }: ShownLog): LogFiles {
    const chain = readLogRecords(this.records)?.chain ?? "";
    const certificates = chain.split(/(?<=-----END CERTIFICATE-----\n)/).filter(Boolean).flatMap((pem) =>
      parseCertificates(pem)
    );
    return {
      names: files.map(({ name }) => name),
      read: (name) => Promise.resolve(files.find((file) => file.name === name)?.bytes),
      certificates,
      revocations: [],
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.log.end();
    await this.world[Symbol.asyncDispose]();
  }
}
