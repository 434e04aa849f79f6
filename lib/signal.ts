/**
 * Tells whoever waits that something has changed, so that nobody has to look again and again.
 *
 *     while (rooms.unsentCount > 0) await signal.next;
 *     signal.fire();                                      all who wait go on, and look
 *
 * @layer ground
 */

/** Something that may happen again and again. */
export class Signal {
  #waiting: PromiseWithResolvers<void> | undefined;

  /** Resolves when it happens the next time. */
  get next(): Promise<void> {
    this.#waiting ??= Promise.withResolvers();
    return this.#waiting.promise;
  }

  /** It has happened. */
  fire(): void {
    this.#waiting?.resolve();
    this.#waiting = undefined;
  }
}
