/**
 * The witnesses of the server's log, as the server asks them (docs/PROTOCOL.md, "Asking a witness").
 *
 *     const witnesses = new Witnesses({ policy, log, transport, now, later, found, tell });
 *     await witnesses.begin(newest);    before the first tick: has a witness seen more than the database has?
 *     const closed = await witnesses.cosign(open);        with each new note; within 5 s
 *
 * `server_log.ts` gives its notes to {@link Witnesses.cosign} and gets them back closed: the log's signature, then the
 * line of each witness that answered in time, in the order of the policy. A witness is asked one question at a time; a
 * note that comes meanwhile waits, and the newest takes the place of one that waits. No witness holds anything up.
 *
 * `found` gets every head that our key signed and a witness showed: `ServerLog.compare` says whether the database is
 * behind. `tell` gets what the operator has to know, each kind once a day for each witness.
 *
 * @layer chat
 */

import type { Clock } from "./bytes.ts";
import { EXIT, Failure } from "./errors.ts";
import {
  encodeSignatureLine,
  MAX_COSIGNATURES,
  MAX_NOTE_BYTES,
  type NoteHead,
  type NoteSignature,
} from "./log_note.ts";
import type { NoteKey } from "./log_note_key.ts";
import type { OpenNote } from "./server_log.ts";
import { askWitness, type WitnessOutcome, type WitnessTransport } from "./server_witness_exchange.ts";
import { quoted } from "./text.ts";
import { isSatisfied, type PolicyWitness, type WitnessPolicy } from "./witness_policy.ts";

/** How long a note waits for its cosignatures, in milliseconds. */
export const CLOSE_AFTER = 5_000;
/** How long the start waits for a quorum, in milliseconds. */
export const BEGIN_AFTER = 600_000;
/** How long the start waits between two rounds, in milliseconds. */
const BEGIN_ROUND = 15_000;
const DAY = 86_400_000;

/** What the operator is told of a witness. */
export interface WitnessNews {
  readonly witness: string;
  /** `crowded`: its line found no room in a note. The others are those of {@link WitnessOutcome}. */
  readonly kind: "ahead" | "conflict" | "failed" | "crowded";
  readonly reason: string;
}

/** What is known of a witness. */
export interface WitnessStatus {
  readonly witness: string;
  /** `undefined`: it has no URL in the policy, and isn't asked. */
  readonly url: string | undefined;
  /** The size that it signed last, as far as we know. */
  readonly size: number;
  /** When it last cosigned, unix seconds as it states them; `undefined` if it hasn't since the start. */
  readonly time: number | undefined;
  /** What was wrong with its last answer; `undefined` if nothing was. */
  readonly problem: string | undefined;
}

/** What the asking works with. */
export interface WitnessesOptions {
  readonly policy: WitnessPolicy;
  /** The log's key. */
  readonly log: NoteKey;
  readonly transport: WitnessTransport;
  readonly now: Clock;
  /** Runs something later, in milliseconds. */
  readonly later: (ms: number, run: () => void) => void;
  /** The log's size in the database now: another server on it may have made ticks meanwhile. */
  readonly size: () => Promise<number>;
  /** A witness showed a note of this log. */
  readonly found: (head: NoteHead) => Promise<void>;
  readonly tell: (news: WitnessNews) => void;
}

/** A policy's witnesses that can be asked; a {@link Failure} if the URL of one is none. */
export function askable({ witnesses }: WitnessPolicy): PolicyWitness[] {
  return witnesses.filter(({ name, url }) => {
    if (url === undefined) return false;
    const parsed = URL.parse(url);
    const isPlain = parsed?.search === "" && parsed.hash === "" && parsed.username === "" && parsed.password === "";
    if (isPlain && /^https?:$/.test(parsed.protocol)) return true;
    throw new Failure(EXIT.usage, `the URL of the witness ${quoted(name)} is no http:// or https:// address`);
  });
}

/** One witness, and what it was asked. */
class Asked {
  size = 0;
  time: number | undefined;
  problem: string | undefined;
  #isBusy = false;
  #waiting: { open: OpenNote; answer: (outcome: WitnessOutcome | undefined) => void } | undefined;

  constructor(readonly witness: PolicyWitness, readonly options: WitnessesOptions) {}

  /** Asks, once it isn't asked something else; `undefined` if a newer note takes this one's place. */
  ask(open: OpenNote): Promise<WitnessOutcome | undefined> {
    if (!this.#isBusy) return this.#ask(open);
    if (this.#waiting && this.#waiting.open.size > open.size) return Promise.resolve(undefined);
    this.#waiting?.answer(undefined);
    const { promise, resolve } = Promise.withResolvers<WitnessOutcome | undefined>();
    this.#waiting = { open, answer: resolve };
    return promise;
  }

  async #ask(open: OpenNote): Promise<WitnessOutcome> {
    this.#isBusy = true;
    try {
      const { outcome, known } = await askWitness({ ...this.options, witness: this.witness }, open, this.size);
      this.size = known;
      this.problem = outcome.kind === "cosigned" ? undefined : outcome.reason;
      if (outcome.kind === "cosigned") this.time = outcome.time;
      return outcome;
    } finally {
      this.#isBusy = false;
      const next = this.#waiting;
      this.#waiting = undefined;
      if (next) void this.#ask(next.open).then(next.answer);
    }
  }
}

/** The witnesses of the server's log. */
export class Witnesses {
  readonly #options: WitnessesOptions;
  readonly #asked: readonly Asked[];
  /** When what was told last: unix milliseconds. */
  readonly #told = new Map<string, number>();
  #isEnded = false;

  constructor(options: WitnessesOptions) {
    this.#options = options;
    this.#asked = askable(options.policy).map((witness) => new Asked(witness, options));
  }

  /** Every witness of the policy, in its order. */
  status(): WitnessStatus[] {
    return this.#options.policy.witnesses.map(({ name, url }) => {
      const asked = this.#asked.find(({ witness }) => witness.name === name);
      return { witness: name, url, size: asked?.size ?? 0, time: asked?.time, problem: asked?.problem };
    });
  }

  /** Closes a note: with the cosignatures that came within {@link CLOSE_AFTER}, at once if nobody is asked. */
  async cosign(open: OpenNote): Promise<string> {
    const came = new Map<Asked, NoteSignature>();
    const all = this.#asked.map(async (asked) => {
      const outcome = await this.#ask(asked, open);
      if (outcome?.kind === "cosigned") came.set(asked, outcome.signature);
    });
    const late = new Promise<void>((resolve) => {
      if (all.length > 0) this.#options.later(CLOSE_AFTER, resolve);
    });
    await Promise.race([Promise.all(all), late]);
    return this.#closed(open.note, came);
  }

  #closed(note: string, came: ReadonlyMap<Asked, NoteSignature>): string {
    let [closed, size, count] = [note, new TextEncoder().encode(note).length, 0];
    for (const asked of this.#asked) {
      const signature = came.get(asked);
      if (!signature) continue;
      const line = encodeSignatureLine(signature);
      const lineSize = new TextEncoder().encode(line).length;
      if (count === MAX_COSIGNATURES || size + lineSize > MAX_NOTE_BYTES) {
        const reason = `a note has ${MAX_COSIGNATURES} cosignatures and ${MAX_NOTE_BYTES} bytes at most`;
        this.#tell({ witness: asked.witness.name, kind: "crowded", reason });
        continue;
      }
      [closed, size, count] = [closed + line, size + lineSize, count + 1];
    }
    return closed;
  }

  async #ask(asked: Asked, open: OpenNote): Promise<WitnessOutcome | undefined> {
    const outcome = await asked.ask(open);
    if (outcome === undefined || outcome.kind === "cosigned") return outcome;
    // It cosigned a tick that another server on this database has made: nobody is accused of that.
    if (outcome.kind === "ahead" && outcome.size <= await this.#options.size()) return undefined;
    this.#tell({ witness: asked.witness.name, kind: outcome.kind, reason: outcome.reason });
    if (outcome.kind !== "failed" && outcome.found) await this.#options.found(outcome.found);
    return outcome;
  }

  #tell(news: WitnessNews): void {
    const [what, now] = [`${news.witness} ${news.kind}`, this.#options.now()];
    if (now - (this.#told.get(what) ?? -Infinity) < DAY) return;
    this.#told.set(what, now);
    this.#options.tell(news);
  }

  /**
   * Offers the newest note to all witnesses before the server's first tick; in each round the one that is the newest
   * then, since other servers on the database may tick. Resolves when those that cosigned satisfy
   * the policy, or after {@link BEGIN_AFTER}; but a witness that says that it knows a larger log is waited for, until it
   * cosigns or the server is ended: a database of yesterday must not go on under the same key.
   */
  async begin(newest: () => Promise<OpenNote>): Promise<void> {
    const { now, later, policy } = this.#options;
    const started = now();
    const cosigned = new Map<string, number>();
    const ahead = new Set<Asked>();
    while (!this.#isEnded) {
      const open = await newest();
      await Promise.all(this.#asked.map(async (asked) => {
        if (cosigned.has(asked.witness.name)) return;
        const outcome = await this.#ask(asked, open);
        if (outcome?.kind === "cosigned") cosigned.set(asked.witness.name, outcome.time);
        if (outcome?.kind === "cosigned") ahead.delete(asked);
        if (outcome?.kind === "ahead") ahead.add(asked);
      }));
      const isEnough = isSatisfied(policy, cosigned) || now() - started >= BEGIN_AFTER;
      if (ahead.size === 0 && (isEnough || this.#asked.length === 0)) return;
      await new Promise<void>((resolve) => later(BEGIN_ROUND, resolve));
    }
  }

  /** Asks nobody any more before the first tick. */
  end(): void {
    this.#isEnded = true;
  }
}
