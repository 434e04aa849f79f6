/**
 * Reads the openings of a room's transcript line by line, together with the transcript: `index<TAB>base64(envelope)`, with
 * rising indexes (docs/PROTOCOL.md, "Openings and line proofs").
 *
 * @layer protocol
 */

import { type Opening, parseOpening } from "./log_receipt.ts";
import { lineProblem } from "./transcript.ts";
import { asLatin1 } from "./verify_verdict.ts";
import { TranscriptFormError } from "./verify_transcript.ts";
import { OPENING_CHECKS, type RoomFindings } from "./verify_findings.ts";

/** A file's lines without their LF, as `verify_transcript.ts` gives them. */
export type Rows = Iterable<string | Uint8Array> | AsyncIterable<string | Uint8Array>;

/** The openings of a file. */
export class Openings {
  readonly #rows: AsyncIterator<Opening, void>;
  readonly #findings: RoomFindings;
  #next: Opening | undefined;
  #isStarted = false;

  constructor(rows: Rows, findings: RoomFindings) {
    this.#rows = readOpenings(rows, findings);
    this.#findings = findings;
  }

  /** The opening of the line with that index. Indexes must be asked for in rising order. */
  async at(index: number): Promise<Opening | undefined> {
    await this.#skipTo(index);
    if (this.#next?.index !== index) return undefined;
    const opening = this.#next;
    await this.#advance();
    return opening;
  }

  /** Call this after the last line. */
  async end(): Promise<void> {
    await this.#skipTo(Infinity);
  }

  async #skipTo(index: number): Promise<void> {
    if (!this.#isStarted) await this.#advance();
    this.#isStarted = true;
    while (this.#next && this.#next.index < index && !this.#findings.isSettled("opening form")) {
      this.#findings.frame("opening form", `the transcript has no line ${this.#next.index}`);
      await this.#advance();
    }
  }

  async #advance(): Promise<void> {
    this.#next = (await this.#rows.next()).value ?? undefined;
  }
}

/** The openings, as far as they can be read. */
async function* readOpenings(rows: Rows, findings: RoomFindings): AsyncGenerator<Opening, void> {
  let [number, last] = [0, -1];
  const stop = (reason: string) => {
    findings.frame("opening form", reason);
    for (const name of OPENING_CHECKS) findings.skip(name, "the openings can't be read to their end");
  };
  try {
    for await (const row of rows) {
      number += 1;
      const text = typeof row === "string" ? row : asLatin1(row);
      const opening = parseOpening(text);
      if (!opening) return stop(`row ${number} of the openings ${rowProblem(text)}`);
      if (opening.index <= last) {
        return stop(`row ${number} of the openings, of line ${opening.index}, doesn't go upwards`);
      }
      last = opening.index;
      yield opening;
    }
  } catch (error) {
    if (!(error instanceof TranscriptFormError)) throw error;
    stop(`the openings: ${error.message}`);
  }
}

function rowProblem(text: string): string {
  if (/^\d+ +[A-Za-z0-9+/]+=*$/.test(text)) {
    return "has blanks instead of its tab, which an editor put there: get the file again, or restore the tabs";
  }
  return lineProblem(text, "index<TAB>base64");
}
