/**
 * A witness of other people's logs (docs/PROTOCOL.md, "The witness"): it knows of each log the newest note that it
 * cosigned, and cosigns a note only if its tree continues that one.
 *
 *     const witness = await Witness.open({ folder, name, policy, now, tell });
 *     await witness.answer({ method: "POST", path: "/add-checkpoint", body }) → { status: 200, body: "— name …\n" }
 *
 * @layer outside
 */

import { type Clock, encodeUtf8 } from "./bytes.ts";
import { EXIT, Failure } from "./errors.ts";
import type { HttpRequest } from "./http_request.ts";
import { encodeNote } from "./log_note.ts";
import { KEY_TYPE, type NoteKey, type NoteSigner, noteSigner } from "./log_note_key.ts";
import { quoted } from "./text.ts";
import { fileNameOf, type WitnessFolder } from "./witness_files.ts";
import {
  BAD_FORM,
  conflictFile,
  CosigningRate,
  judge,
  originOf,
  readRequest,
  readWitnessed,
  type WitnessAnswer,
  type WitnessedNote,
} from "./witness_judge.ts";
import { MAX_AHEAD, type WitnessPolicy } from "./witness_policy.ts";
import { ADD_CHECKPOINT, type AddCheckpoint, checkpointPath } from "./witness_request.ts";

/** What a witness works with. */
export interface WitnessOptions {
  readonly folder: WitnessFolder;
  /** Its key's name. */
  readonly name: string;
  /** Whose `log` lines are the logs that it knows. */
  readonly policy: WitnessPolicy;
  readonly now: Clock;
  /** What its operator has to know, in one sentence. */
  readonly tell: (sentence: string) => void;
}

/** An answer to a request. */
export interface HttpAnswer {
  readonly status: number;
  readonly type: string;
  readonly body: Uint8Array;
}

const TEXT = "text/plain; charset=utf-8";

/** A witness. */
export class Witness {
  readonly #options: WitnessOptions;
  readonly #signer: NoteSigner;
  /** The logs' keys, by origin. */
  readonly #keys: ReadonlyMap<string, readonly NoteKey[]>;
  /** Origins, by the path of their newest note. */
  readonly #paths: ReadonlyMap<string, string>;
  readonly #newest = new Map<string, WitnessedNote>();
  readonly #rate = new CosigningRate();
  /** What is under way for a log. */
  readonly #queues = new Map<string, Promise<unknown>>();
  #hasToldOfMany = false;

  private constructor(options: WitnessOptions, signer: NoteSigner) {
    this.#options = options;
    this.#signer = signer;
    this.#keys = Map.groupBy(options.policy.logs.map(({ key }) => key), ({ name }) => name);
    this.#paths = new Map([...this.#keys.keys()].map((origin) => [checkpointPath(origin), origin]));
  }

  /** Opens a witness on its folder; a {@link Failure} if what is kept there isn't this witness's, or a log is missing. */
  static async open(options: WitnessOptions): Promise<Witness> {
    const secret = await options.folder.key();
    const witness = new Witness(options, noteSigner(options.name, KEY_TYPE.witness, secret));
    await witness.#load();
    return witness;
  }

  async #load(): Promise<void> {
    const { folder, name } = this.#options;
    const origins = new Map([...this.#keys.keys()].map((origin) => [fileNameOf(origin), origin]));
    for (const { name: file, note } of await folder.logs()) {
      const path = `${folder.path}/logs/${file}.note`;
      const [said = ""] = note.text.split("\n");
      const origin = origins.get(file);
      if (origin === undefined) {
        const what = `the log ${quoted(said)} was cosigned here and isn't among the logs any more`;
        throw new Failure(
          EXIT.usage,
          `${what}: put its log line back, or begin with another name and folder (${path})`,
        );
      }
      const witnessed = await readWitnessed(note, this.#keys.get(origin) ?? [], this.#signer.key);
      if (witnessed?.head.origin !== origin) {
        const what = `${path} was cosigned under another name than ${quoted(name)}, or its log has another key now`;
        throw new Failure(EXIT.usage, `${what}, or the file is damaged; use the name and the log line of before`);
      }
      this.#newest.set(origin, witnessed);
      const ahead = witnessed.time - Math.floor(this.#options.now() / 1000);
      if (ahead > MAX_AHEAD) {
        const until = new Date(1000 * witnessed.time).toISOString();
        this.#options.tell(
          `The clock was ahead, or is behind now: ${
            quoted(origin)
          } was cosigned as of ${until}, and times never go back`,
        );
      }
    }
  }

  /** The key, for those who are to count this witness. */
  get key(): NoteKey {
    return this.#signer.key;
  }

  /** How many logs are known. */
  get logCount(): number {
    return this.#keys.size;
  }

  /** The answer to a request. */
  async answer({ method, path, body }: Pick<HttpRequest, "method" | "path" | "body">): Promise<HttpAnswer> {
    if (path === ADD_CHECKPOINT) {
      if (method !== "POST") return text(405, "add-checkpoint is a POST\n");
      return httpAnswer(await this.addCheckpoint(body));
    }
    const origin = this.#paths.get(path);
    const newest = origin === undefined ? undefined : this.#newest.get(origin);
    if (!newest) return text(404, "there is nothing here\n");
    if (method !== "GET" && method !== "HEAD") return text(405, "a checkpoint is read with GET\n");
    return { status: 200, type: TEXT, body: encodeNote(newest.note) };
  }

  /** The answer to a request for a cosignature; requests for one log wait for one another. */
  async addCheckpoint(body: Uint8Array): Promise<WitnessAnswer> {
    const request = readRequest(body);
    const origin = request && originOf(request);
    if (!request || origin === undefined) return BAD_FORM;
    if (!this.#keys.has(origin)) return await this.#judge(request);
    const turn = (this.#queues.get(origin) ?? Promise.resolve()).then(() => this.#judge(request));
    this.#queues.set(origin, turn.catch(() => {}));
    return await turn;
  }

  async #judge(request: AddCheckpoint): Promise<WitnessAnswer> {
    const { folder, now } = this.#options;
    const answer = await judge(request, {
      signer: this.#signer,
      keysOf: (origin) => this.#keys.get(origin) ?? [],
      newestOf: (origin) => this.#newest.get(origin),
      now: Math.floor(now() / 1000),
      mayCosign: (origin, hasGrown) => this.#rate.take(`${origin} ${hasGrown}`, now()),
    });
    if (answer.conflict) await this.#keepConflict(answer.conflict);
    if (answer.cosigned) {
      const { head, note } = answer.cosigned;
      await folder.keep(head.origin, note);
      this.#newest.set(head.origin, answer.cosigned);
    }
    return answer;
  }

  async #keepConflict({ note, head }: NonNullable<WitnessAnswer["conflict"]>): Promise<void> {
    const stored = this.#newest.get(head.origin);
    if (!stored) return;
    const name = `${fileNameOf(head.origin)}_${head.size}_${head.root.slice(0, 16)}`;
    const { folder, tell } = this.#options;
    const isKept = await folder.keepConflict(name, conflictFile(stored, note));
    if (isKept) {
      tell(
        `CONFLICT: ${
          quoted(head.origin)
        } signed two trees of ${head.size} leaves: ${folder.path}/conflicts/${name}.json`,
      );
    } else if (!this.#hasToldOfMany) {
      this.#hasToldOfMany = true;
      tell(`${folder.path}/conflicts is full; further conflicts are refused, and not kept`);
    }
  }
}

function httpAnswer({ status, body, type = TEXT }: WitnessAnswer): HttpAnswer {
  return { status, type, body: encodeUtf8(body) };
}

function text(status: number, body: string): HttpAnswer {
  return { status, type: TEXT, body: encodeUtf8(body) };
}
