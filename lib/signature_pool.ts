/**
 * The signatures of a long transcript, checked on all cores: batches go to one worker a core, each of which works them
 * off in the order in which it gets them.
 *
 *     using signatures = new SignaturePool();
 *     await verify(evidence, trust, { signatures });
 *
 * Workers start only when a transcript is long enough to pay for them, and not at all on one core. A worker that fails
 * (a platform without them, memory) loses nothing: what it had is checked in this thread, and all that follows too. Where
 * this thread has an {@link engine}, each worker gets one of its own.
 */

import { engine } from "./engine.ts";
import { ONE_BY_ONE, packLines, type SignatureChecker, type SignedLine } from "./line_signature.ts";

/** Lines checked in this thread first: 100 ms, about what it takes to start a worker. */
const LINES_BEFORE_WORKERS = 1_000;

/** A batch that a worker has. */
interface Job {
  readonly batch: readonly SignedLine[];
  readonly resolve: (verdicts: readonly boolean[]) => void;
}

interface Colleague {
  readonly worker: Worker;
  /** In the order in which it answers. */
  readonly jobs: Job[];
}

/** Checks signatures in workers; ends them when it is disposed of. */
export class SignaturePool implements SignatureChecker, Disposable {
  readonly concurrency: number;
  readonly #start: () => Worker;
  #checked = 0;
  /** `undefined`: not started yet. Empty: there are none to be had. */
  #colleagues: Colleague[] | undefined;

  /** With one core, or where `start` throws, everything is checked in this thread. */
  constructor(cores: number = navigator.hardwareConcurrency, start: () => Worker = startWorker) {
    this.concurrency = Math.max(1, cores);
    this.#start = start;
  }

  check(batch: readonly SignedLine[]): Promise<readonly boolean[]> | readonly boolean[] {
    this.#checked += batch.length;
    if (this.concurrency === 1 || this.#checked <= LINES_BEFORE_WORKERS) return ONE_BY_ONE.check(batch);
    const colleague = (this.#colleagues ??= this.#startAll()).toSorted((a, b) => a.jobs.length - b.jobs.length)[0];
    if (!colleague) return ONE_BY_ONE.check(batch);
    return new Promise((resolve) => {
      colleague.jobs.push({ batch, resolve });
      const packed = packLines(batch);
      colleague.worker.postMessage(packed, [packed.bytes.buffer]);
    });
  }

  [Symbol.dispose](): void {
    for (const { worker } of this.#colleagues ?? []) worker.terminate();
    this.#colleagues = [];
  }

  #startAll(): Colleague[] {
    const colleagues: Colleague[] = [];
    try {
      for (let i = 0; i < this.concurrency; i++) colleagues.push({ worker: this.#start(), jobs: [] });
    } catch {
      // Those that did start are enough; if none did, this thread is.
    }
    for (const colleague of colleagues) {
      const { worker, jobs } = colleague;
      worker.onmessage = ({ data }: MessageEvent<readonly boolean[]>) => jobs.shift()?.resolve(data);
      const fail = (event: Event) => {
        event.preventDefault();
        this.#giveUp(colleague);
      };
      worker.onerror = fail;
      worker.onmessageerror = fail;
    }
    return colleagues;
  }

  #giveUp(colleague: Colleague): void {
    this.#colleagues = this.#colleagues?.filter((other) => other !== colleague);
    colleague.worker.terminate();
    for (const { batch, resolve } of colleague.jobs.splice(0)) resolve(ONE_BY_ONE.check(batch));
  }
}

/** The name of a worker that is to have an engine. */
export const WITH_ENGINE = "with engine";

function startWorker(): Worker {
  const name = engine() ? WITH_ENGINE : "";
  return new Worker(new URL("./verify_worker.ts", import.meta.url), { type: "module", name });
}
