/**
 * The one writer of replies of a connection: each reply is given after all earlier ones, and after what it waits for.
 * So a line is acknowledged only when it is on the disk, and the reader goes on meanwhile.
 *
 *     replies.give({ after: journal.append(line), give: () => connection.acknowledge(seqno) })
 *
 * The queue has a bound: beyond it, the caller waits until the disk has caught up. If what a reply waits for fails, no
 * later reply is given.
 *
 * @layer chat
 */

/** How many replies of one connection may wait for the disk before the connection is no longer read. */
const MAX_DUE = 256;

/** Something to answer, once what it waits for is done. */
export interface Reply {
  readonly after: Promise<void> | undefined;
  readonly give: () => void;
}

/** The replies of one connection. */
export class Replies {
  readonly #failed: (error: unknown) => Promise<void>;
  /** What is due, in the order in which it will be given. */
  readonly #due: Reply[] = [];
  #giving: Promise<void> | undefined;
  #isStopped = false;

  /** `failed`: called with what a reply has waited for in vain. */
  constructor(failed: (error: unknown) => Promise<void>) {
    this.#failed = failed;
  }

  /** Gives a reply after all earlier ones; waits if too many are due. */
  async give(reply: Reply): Promise<void> {
    reply.after?.catch(() => {}); // handled later; this silences the unhandled-rejection warning
    this.#due.push(reply);
    this.#giving ??= this.#giveAll();
    if (this.#due.length >= MAX_DUE) await this.#giving;
  }

  /** Resolves when every reply that is due is given. */
  async settled(): Promise<void> {
    await this.#giving;
  }

  /** Gives none any more. */
  stop(): void {
    this.#isStopped = true;
  }

  async #giveAll(): Promise<void> {
    try {
      for (let reply = this.#due[0]; reply; reply = this.#due[0]) {
        await reply.after;
        this.#due.shift();
        if (!this.#isStopped) reply.give();
      }
      this.#giving = undefined;
    } catch (error) {
      this.stop();
      this.#due.length = 0;
      this.#giving = undefined;
      await this.#failed(error);
    }
  }
}
