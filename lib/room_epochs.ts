/**
 * The keys of a room's epochs, as the server keeps them (docs/PROTOCOL.md, "Keys").
 *
 *     epoch 1 … somebody is removed … epoch 2      new lines are under 2; a line that was on its way may be under 1
 *
 * A key is stored before anybody gets it, by itself or with the lines that make it necessary. It is stored wrapped,
 * with the log and the epoch as its context. Epochs begin one after the other, whoever asks. Who gets which key is
 * decided by the room.
 *
 * @layer chat
 */

import type { Bytes, Random } from "./bytes.ts";
import type { RoomStore, StoredEpoch } from "./room_store.ts";

const KEY_SIZE = 16;

/** Wraps epoch keys for the store. */
export interface KeyWrap {
  wrap(key: Bytes, context: string): Bytes;
  /** The key; `undefined` if it was wrapped by another key file, or for another context. */
  unwrap(wrapped: Bytes, context: string): Bytes | undefined;
}

/** What the keys of a room are kept with. */
export interface EpochOptions {
  readonly origin: string;
  readonly store: Pick<RoomStore, "addEpoch" | "epochs">;
  readonly keys: KeyWrap;
  readonly random: Random;
  /** Gives everybody else a turn: a room may have very many epochs. */
  readonly turn?: () => Promise<void>;
}

/** Epochs that are read at once. */
const PAGE = 1_000;

/** The epochs of one room. */
export class RoomEpochs {
  readonly #options: EpochOptions;
  /** In their order. */
  readonly #epochs: number[] = [];
  readonly #keys = new Map<number, Bytes>();
  /** Keys that nobody has needed yet. */
  readonly #wrapped = new Map<number, Bytes>();
  #current = 0;
  /** Lines under the keys of earlier epochs are refused. */
  #oldest = 0;
  /** Whether a line may be under the current key. */
  #isUsed = true;
  #beginning: Promise<unknown> = Promise.resolve();

  private constructor(options: EpochOptions) {
    this.#options = options;
  }

  /** Reads what the store has, and makes a first key if it has none. An Error if another key file wrapped them. */
  static async load(options: EpochOptions): Promise<RoomEpochs> {
    const epochs = new RoomEpochs(options);
    await epochs.read();
    if (epochs.#current === 0) await epochs.begin();
    return epochs;
  }

  /** Reads the epochs that the store has and this object doesn't: the answer to a write may have been lost. */
  async read(): Promise<void> {
    await this.#inTurn(() => this.#read());
  }

  /** The epoch that new lines are to be of. */
  get current(): number {
    return this.#current;
  }

  /** The key of an epoch, of 16 bytes. An Error if another key file wrapped it. */
  key(epoch: number): Bytes | undefined {
    const wrapped = this.#wrapped.get(epoch);
    if (!wrapped) return this.#keys.get(epoch);
    const { origin, keys } = this.#options;
    const key = keys.unwrap(wrapped, contextOf(origin, epoch));
    if (!key) throw new Error(`the key of epoch ${epoch} of ${origin} can't be unwrapped: is this its key file?`);
    this.#wrapped.delete(epoch);
    this.#keys.set(epoch, key);
    return key;
  }

  /** The key for a line that is posted now: of the current epoch, or of the one before. */
  keyForPost(epoch: number): Bytes | undefined {
    return epoch >= this.#current - 1 && epoch >= this.#oldest ? this.key(epoch) : undefined;
  }

  /** From now on no line may be under a key before that of `epoch`. */
  retireBefore(epoch: number): void {
    this.#oldest = Math.max(this.#oldest, epoch);
  }

  /** A line was accepted. */
  use(epoch: number): void {
    if (epoch === this.#current) this.#isUsed = true;
  }

  /** The epochs from one on, upwards. */
  from(first: number): number[] {
    return this.#epochs.filter((epoch) => epoch >= first);
  }

  /** Begins another epoch; resolves once its key is stored, by `keep` where something else is to be written with it. */
  async begin(keep?: (epoch: StoredEpoch) => Promise<void>): Promise<void> {
    const { origin, store } = this.#options;
    await this.#inTurn(() =>
      this.#begin(keep ?? (({ epoch, wrappedKey }) => store.addEpoch(origin, epoch, wrappedKey)))
    );
  }

  /** Begins another epoch, unless no line is under the current key; whether it did. */
  async beginIfUsed(): Promise<boolean> {
    if (!this.#isUsed) return false;
    await this.begin();
    return true;
  }

  async #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#beginning.then(work);
    this.#beginning = done.catch(() => {});
    await done;
  }

  async #read(): Promise<void> {
    const { origin, store, turn } = this.#options;
    for (let isMore = true; isMore;) {
      const page = await store.epochs(origin, this.#current + 1, PAGE);
      for (const { epoch, wrappedKey } of page) {
        this.#wrapped.set(epoch, wrappedKey);
        this.#take(epoch);
        this.#isUsed = true; // whether a line is under it isn't known
      }
      isMore = page.length === PAGE;
      if (isMore) await turn?.();
    }
    this.key(this.#current); // whether it can be read
  }

  #take(epoch: number): void {
    this.#epochs.push(epoch);
    this.#current = epoch;
  }

  async #begin(keep: (epoch: StoredEpoch) => Promise<void>): Promise<void> {
    await this.#read();
    const { origin, keys, random } = this.#options;
    const key = random(KEY_SIZE);
    const epoch = this.#current + 1;
    await keep({ epoch, wrappedKey: keys.wrap(key, contextOf(origin, epoch)) });
    this.#keys.set(epoch, key);
    this.#take(epoch);
    this.#isUsed = false;
  }
}

function contextOf(origin: string, epoch: number): string {
  return `${origin} epoch ${epoch}`;
}
