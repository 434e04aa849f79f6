/**
 * The signed heads of a room's log, as the server makes them (docs/PROTOCOL.md, "Checkpoints"). A head is stored before
 * it is told; there is at most one a second; times never go back; and there are never two roots for one size.
 *
 *     line durable → due() → at most a second later: sign, store, tell      what comes meanwhile is under the next head
 *
 * Heads are made one after the other, whoever asks. If the store's answer to a new head is lost, the store is read
 * before another head is signed: a size has one head, and members are told that one.
 *
 * No head is made in three cases:
 *
 * - The log is forked: the lines that were lost may have had another head of the same size.
 * - The server's certificate has ended: the next certificate signs.
 * - The clock was set back, and is more than 5 minutes behind a line's own time. Such a head and such a line would
 *   contradict each other for good, and with them everything that is shown of the room.
 *
 * @layer chat
 */

import { type Clock, encodeHex } from "./bytes.ts";
import { type Checkpoint, type CheckpointSigner, signCheckpoint } from "./log_checkpoint.ts";
import type { Head } from "./log_envelope.ts";
import { ProtocolError } from "./errors.ts";
import { isAheadOfCheckpoint } from "./log_rules.ts";
import { EMPTY_ROOT } from "./log_tree.ts";
import type { RoomStore } from "./room_store.ts";

/** How far apart heads are at least, and how long a store that failed has, in milliseconds. */
const INTERVAL = 1_000;
/** Heads that are kept at hand: a minute of a busy room. */
const RECENT = 64;

/** The server's certificate of this moment. */
export interface HeadSigner extends Omit<CheckpointSigner, "time"> {
  /** When its path is over (unix ms): a head that says a later time would convict the server. */
  readonly ends: number;
}

/** What people read if the server's certificate has ended, or everybody would refuse it. */
export const NOT_GOOD = "The server's certificate is no longer good: its operator has to renew it.";

/** What heads are made with. */
export interface HeadOptions {
  readonly origin: string;
  readonly store: Pick<RoomStore, "addCheckpoint" | "latestCheckpoint" | "signedRoot" | "settle">;
  readonly signer: () => HeadSigner;
  readonly now: Clock;
  /** Runs something later, in milliseconds. */
  readonly later: (ms: number, run: () => void) => void;
  /** What of the log is durable; `undefined` if nothing of it is to be signed. */
  readonly head: () => Head | undefined;
  /** The latest of the lines' own times, unix milliseconds. */
  readonly latestTs: () => number;
  /** No head states an earlier time than this, unix seconds. */
  readonly timeFloor?: () => number;
  /** Tells members of a head that is stored. */
  readonly tell: (checkpoint: Checkpoint) => void;
  /** What went wrong, once until a head is made. */
  readonly failed: (error: unknown) => void;
}

/** The heads of one log. */
export class RoomHeads {
  readonly #options: HeadOptions;
  #newest: Checkpoint | undefined;
  /** When a head was made last, or was tried, in unix milliseconds. */
  #madeAt = 0;
  /** Roots that were signed lately, by size: `seen` of a line mostly names one of these. */
  readonly #recent = new Map<number, string>();
  #isDue = false;
  /** Whether the last head could not be made, and the operator was told. */
  #hasFailed = false;
  /** Whether the store may hold a head that was told to nobody: its answer was lost. */
  #isUnsure = false;
  #making: Promise<void> = Promise.resolve();

  constructor(options: HeadOptions) {
    this.#options = options;
  }

  /** What the store has as the newest. */
  restore(newest: Checkpoint | undefined): void {
    if (newest && newest.size > (this.#newest?.size ?? 0)) this.#newest = newest;
    this.#madeAt = Math.max(this.#madeAt, 1000 * (newest?.time ?? 0));
  }

  /** The newest head that is stored. */
  get newest(): Checkpoint | undefined {
    return this.#newest;
  }

  /** Whether one is to be made, or tried again. */
  get isDue(): boolean {
    return this.#isDue;
  }

  /** The root that was signed for a size; `undefined` if none was. */
  async rootAt(size: number): Promise<string | undefined> {
    const { origin, store } = this.#options;
    if (size === 0) return encodeHex(EMPTY_ROOT);
    return this.#recent.get(size) ?? await store.signedRoot(origin, size);
  }

  /** Durable lines have no head yet: one is made soon. */
  due(): void {
    const { later, head, failed } = this.#options;
    if (this.#isDue || !head()) return;
    this.#isDue = true;
    later(this.#wait(), () => {
      this.make().then(
        () => {
          this.#isDue = this.#hasFailed = false;
          if ((this.#newest?.size ?? 0) < (head()?.size ?? 0)) this.due(); // lines came meanwhile
        },
        (error) => {
          if (!this.#hasFailed) failed(error);
          this.#hasFailed = true;
          later(INTERVAL, () => {
            this.#isDue = false;
            this.due();
          });
        },
      );
    });
  }

  /** Somebody comes in: makes a head at once, or soon if the last one is less than a second old. */
  async refresh(): Promise<void> {
    if ((this.#options.head()?.size ?? 0) === (this.#newest?.size ?? 0)) return;
    if (this.#isDue || this.#wait() > 0 || this.#isBehind()) this.due();
    else await this.make();
  }

  /** How long until there may be another, in milliseconds. */
  #wait(): number {
    return Math.max(0, INTERVAL - Math.max(0, this.#options.now() - this.#madeAt));
  }

  /** The time that a head has now, unix seconds. */
  get #time(): number {
    const { now, timeFloor } = this.#options;
    return Math.max(Math.floor(now() / 1000), this.#newest?.time ?? 0, timeFloor?.() ?? 0);
  }

  #isBehind(): boolean {
    return isAheadOfCheckpoint(this.#options.latestTs(), this.#time);
  }

  /** Makes a head of what is durable now, if there is none. */
  make(): Promise<void> {
    const made = this.#making.then(() => this.#make());
    this.#making = made.catch(() => {});
    return made;
  }

  async #make(): Promise<void> {
    const { origin, store, signer, now, head: headOf } = this.#options;
    if (!headOf()) return;
    if (this.#isUnsure) await this.#readNewest();
    const head = headOf();
    if (!head || head.size === (this.#newest?.size ?? 0)) return;
    this.#madeAt = now();
    if (this.#isBehind()) {
      throw new ProtocolError("server-error", "The server's clock is more than 5 minutes behind a line's time.");
    }
    const time = this.#time;
    const { key, fingerprint, ends } = signer();
    if (1000 * time >= ends) throw new ProtocolError("server-error", NOT_GOOD);
    const checkpoint = await signCheckpoint(origin, head, { key, fingerprint, time });
    this.#isUnsure = true;
    const held = await store.addCheckpoint(origin, checkpoint);
    this.#isUnsure = false;
    this.#take(held);
  }

  /** A head of one size has one time: the head in the store is told, and no other is signed for that size. */
  async #readNewest(): Promise<void> {
    const { origin, store } = this.#options;
    await store.settle(origin);
    const held = await store.latestCheckpoint(origin);
    this.#isUnsure = false;
    if (held && held.size > (this.#newest?.size ?? 0)) this.#take(held);
  }

  #take(held: Checkpoint): void {
    this.#newest = held;
    this.#recent.set(held.size, held.root);
    const [oldest] = this.#recent.keys();
    if (this.#recent.size > RECENT && oldest !== undefined) this.#recent.delete(oldest);
    this.#options.tell(held);
  }

  /** Resolves when none is being made. */
  async settled(): Promise<void> {
    await this.#making;
  }
}
