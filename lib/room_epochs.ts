/**
 * The keys of a room's epochs, as the server keeps them (rooms.md section 4).
 *
 *     epoch 1 … somebody is put out … epoch 2      new lines are under 2; what was on its way may be under 1 still
 *
 * A key is stored wrapped, with the log and the epoch as its context, before anybody gets it. Epochs begin one after the
 * other, whoever asks; who gets which is the room's to say.
 */

import type { Bytes, Random } from "./bytes.ts";
import type { RoomStore } from "./room_store.ts";

const KEY_SIZE = 16;

/** Wraps epoch keys for the store. */
export interface KeyWrap {
  wrap(key: Bytes, context: string): Bytes;
  /** The key; `undefined` where it was wrapped by another key file, or for another context. */
  unwrap(wrapped: Bytes, context: string): Bytes | undefined;
}

/** What the keys of a room are kept with. */
export interface EpochOptions {
  readonly origin: string;
  readonly store: Pick<RoomStore, "addEpoch" | "epochs">;
  readonly keys: KeyWrap;
  readonly random: Random;
}

/** The epochs of one room. */
export class RoomEpochs {
  readonly #options: EpochOptions;
  readonly #keys = new Map<number, Bytes>();
  #current = 0;
  /** Whether a line may be under the current key. */
  #isUsed = true;
  #beginning: Promise<unknown> = Promise.resolve();

  private constructor(options: EpochOptions) {
    this.#options = options;
  }

  /** What the store has; a first key where that is none. An Error where another key file wrapped them. */
  static async load(options: EpochOptions): Promise<RoomEpochs> {
    const { origin, store, keys } = options;
    const epochs = new RoomEpochs(options);
    for (const { epoch, wrappedKey } of await store.epochs(origin, 0, Number.MAX_SAFE_INTEGER)) {
      const key = keys.unwrap(wrappedKey, contextOf(origin, epoch));
      if (!key) throw new Error(`the key of epoch ${epoch} of ${origin} can't be unwrapped: is this its key file?`);
      epochs.#keys.set(epoch, key);
      epochs.#current = epoch;
    }
    if (epochs.#current === 0) await epochs.begin();
    return epochs;
  }

  /** The epoch that new lines are to be of. */
  get current(): number {
    return this.#current;
  }

  /** The key of an epoch, of 16 bytes. */
  key(epoch: number): Bytes | undefined {
    return this.#keys.get(epoch);
  }

  /** The key for a line that is posted now: of the current epoch, or of the one before. */
  keyForPost(epoch: number): Bytes | undefined {
    return epoch >= this.#current - 1 ? this.#keys.get(epoch) : undefined;
  }

  /** A line was accepted. */
  use(epoch: number): void {
    if (epoch === this.#current) this.#isUsed = true;
  }

  /** The epochs from one on, upwards. */
  from(first: number): number[] {
    return [...this.#keys.keys()].filter((epoch) => epoch >= first);
  }

  /** Begins another epoch; resolves once its key is stored. */
  async begin(): Promise<void> {
    const done = this.#beginning.then(() => this.#begin());
    this.#beginning = done.catch(() => {});
    await done;
  }

  /** The same, unless no line is under the current key; whether another has begun. */
  async beginIfUsed(): Promise<boolean> {
    if (!this.#isUsed) return false;
    await this.begin();
    return true;
  }

  async #begin(): Promise<void> {
    const { origin, store, keys, random } = this.#options;
    const key = random(KEY_SIZE);
    const epoch = this.#current + 1;
    await store.addEpoch(origin, epoch, keys.wrap(key, contextOf(origin, epoch)));
    this.#keys.set(epoch, key);
    this.#current = epoch;
    this.#isUsed = false;
  }
}

function contextOf(origin: string, epoch: number): string {
  return `${origin} epoch ${epoch}`;
}
