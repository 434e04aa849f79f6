/**
 * Group commit: while one commit runs, new items wait together for the next one. So they share the cost of a flush or a
 * transaction, and an item that comes while nothing runs doesn't wait.
 *
 *     const group = new GroupCommit<string>((lines) => writeAndFlush(lines));
 *     await group.add("a line");   // resolves, or rejects, with the commit that held it
 *
 * A failed commit rejects only its own items; the commit function decides whether later ones may succeed.
 *
 * @layer ground
 */

/** Items that are committed in the order in which they were added. */
export class GroupCommit<T> {
  readonly #commit: (items: T[]) => Promise<void>;
  #waiting: T[] = [];
  /** Settles with the commit of the waiting items. */
  #round: PromiseWithResolvers<void> | undefined;
  #running: Promise<void> | undefined;

  constructor(commit: (items: T[]) => Promise<void>) {
    this.#commit = commit;
  }

  /** Settles with the commit of this item. */
  add(item: T): Promise<void> {
    this.#waiting.push(item);
    const { promise } = this.#round ??= Promise.withResolvers<void>();
    this.#running ??= this.#run();
    return promise;
  }

  /** Resolves once everything added so far is committed or has failed. */
  async settled(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    for (let round = this.#round; round; round = this.#round) {
      const items = this.#waiting;
      this.#waiting = [];
      this.#round = undefined;
      await this.#commit(items).then(round.resolve, round.reject);
    }
    this.#running = undefined;
  }
}
