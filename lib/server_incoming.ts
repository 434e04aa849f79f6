/**
 * What a connection receives, read ahead while the server works on an answer: so the server notices that the client has
 * gone, and gives up work that nobody waits for.
 *
 *     const account = await incoming.whileThere((signal) => logIn(credentials, signal));
 *
 * @layer outside
 */

import { concat } from "./bytes.ts";

/** How many bytes are read ahead; more waits in the socket until the answer is given. */
const MAX_READ_AHEAD = 65_536;

/** Where bytes come from; a `Link` is one. Bytes are good until the next read. */
export interface Source {
  read(): Promise<Uint8Array | undefined>;
}

/** The bytes of one connection, in order. */
export class Incoming {
  readonly #source: Source;
  #ahead: Uint8Array = new Uint8Array();
  /** A read that was begun while something was worked on; when it ends, what it gave is in `#ahead`. */
  #reading: Promise<void> | undefined;
  #isOver = false;

  constructor(source: Source) {
    this.#source = source;
  }

  /** The next bytes; `undefined` at the end of the stream. */
  async read(): Promise<Uint8Array | undefined> {
    while (this.#ahead.length === 0 && this.#reading) await this.#reading;
    if (this.#ahead.length > 0) {
      const chunk = this.#ahead;
      this.#ahead = new Uint8Array();
      return chunk;
    }
    return this.#isOver ? undefined : await this.#source.read();
  }

  /** Does some work, whose signal is aborted when the client closes its sending side or is gone. */
  async whileThere<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const gone = new AbortController();
    let isWorking = true;
    const readAhead = async () => {
      while (isWorking && !this.#isOver && this.#ahead.length < MAX_READ_AHEAD) {
        this.#reading ??= this.#readOne().finally(() => this.#reading = undefined);
        await this.#reading;
      }
      if (this.#isOver) gone.abort();
    };
    void readAhead();
    try {
      return await work(gone.signal);
    } finally {
      isWorking = false;
    }
  }

  async #readOne(): Promise<void> {
    const chunk = await this.#source.read();
    if (chunk) this.#ahead = concat(this.#ahead, chunk);
    else this.#isOver = true;
  }
}
