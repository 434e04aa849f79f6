/**
 * The signatures of a long transcript, checked on all cores: batches go to one worker a core, and each answer names the
 * batch that it is about.
 *
 *     using signatures = new SignaturePool();
 *     await verify(evidence, trust, { signatures });
 *
 * Workers start only when a transcript is long enough to pay for them, and not at all on one core. A worker that fails
 * (a platform without them, memory) loses nothing: what it had is checked in this thread, and all that follows too.
 * Where this thread has an {@link engine}, each worker gets one of its own.
 *
 * @layer outside
 */

import { engine } from "./engine.ts";
import { ONE_BY_ONE, type PackedLines, packLines, type SignatureChecker, type SignedLine } from "./line_signature.ts";

/** Lines checked in this thread first: 100 ms, about what it takes to start a worker. */
const LINES_BEFORE_WORKERS = 1_000;

/** A batch as a worker gets it. */
export interface Question {
  readonly id: number;
  readonly lines: PackedLines;
}

/** What a worker says of it. */
export interface Answer {
  /** That of the question. */
  readonly id: number;
  readonly verdicts: readonly boolean[];
}

/** A batch that a worker has. */
interface Job {
  readonly batch: readonly SignedLine[];
  readonly resolve: (verdicts: readonly boolean[]) => void;
}

interface Colleague {
  readonly worker: Worker;
  /** By the id of their question. */
  readonly jobs: Map<number, Job>;
}

/** Checks signatures in workers; ends them when it is disposed of. */
export class SignaturePool implements SignatureChecker, Disposable {
  readonly concurrency: number;
  readonly #start: () => Worker;
  readonly #linesBefore: number;
  #checked = 0;
  #questions = 0;
  /** `undefined`: not started yet. Empty: there are none to be had. */
  #colleagues: Colleague[] | undefined;

  /**
   * With one core, or where `start` throws, everything is checked in this thread; so are the first `linesBefore` lines.
   */
  constructor(
    cores: number = navigator.hardwareConcurrency,
    start: () => Worker = startWorker,
    linesBefore: number = LINES_BEFORE_WORKERS,
  ) {
    this.concurrency = Math.max(1, cores);
    this.#start = start;
    this.#linesBefore = linesBefore;
  }

  check(batch: readonly SignedLine[]): Promise<readonly boolean[]> | readonly boolean[] {
    this.#checked += batch.length;
    if (this.concurrency === 1 || this.#checked <= this.#linesBefore) return ONE_BY_ONE.check(batch);
    const colleague = (this.#colleagues ??= this.#startAll()).toSorted((a, b) => a.jobs.size - b.jobs.size)[0];
    if (!colleague) return ONE_BY_ONE.check(batch);
    return new Promise((resolve) => {
      const question: Question = { id: this.#questions++, lines: packLines(batch) };
      colleague.jobs.set(question.id, { batch, resolve });
      colleague.worker.postMessage(question, [question.lines.bytes.buffer]);
    });
  }

  [Symbol.dispose](): void {
    for (const { worker } of this.#colleagues ?? []) worker.terminate();
    this.#colleagues = [];
  }

  #startAll(): Colleague[] {
    const colleagues: Colleague[] = [];
    try {
      for (let i = 0; i < this.concurrency; i++) colleagues.push({ worker: this.#start(), jobs: new Map() });
    } catch {
      // Those that did start are enough; if none did, this thread is.
    }
    for (const colleague of colleagues) {
      const { worker, jobs } = colleague;
      worker.onmessage = ({ data: { id, verdicts } }: MessageEvent<Answer>) => {
        jobs.get(id)?.resolve(verdicts);
        jobs.delete(id);
      };
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
    for (const { batch, resolve } of colleague.jobs.values()) resolve(ONE_BY_ONE.check(batch));
    colleague.jobs.clear();
  }
}

/** The name of a worker that is to have an engine. */
export const WITH_ENGINE = "with engine";

function startWorker(): Worker {
  const name = engine() ? WITH_ENGINE : "";
  return new Worker(new URL("./line_signature_worker.ts", import.meta.url), { type: "module", name });
}
