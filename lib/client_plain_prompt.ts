/**
 * The line that is being typed below plain rows, on a terminal: rows are written above it, and it is drawn again. Nothing
 * is written here; every method returns the characters to write.
 *
 *     [#ops 41] 14:30 ada: hello
 *     #ops> what is being ty▮
 *
 * The prompt names the room that the line goes to. A line that is entered stays above with its prompt.
 *
 * @layer chat
 */

import { cells } from "./cell_width.ts";
import { readable } from "./readable.ts";
import { fit, LEAST_FOR_WRAPPING, wrap } from "./rows.ts";

/** Whether the terminal continues a full row in the next one by itself. */
const [NO_WRAP, WRAP] = ["\x1b[?7l", "\x1b[?7h"];
/** What each further row of a line that was entered begins with. */
const FURTHER = "  | ";

/** The last row of a terminal. */
export class PlainPrompt {
  #columns: number;
  #label = "> ";
  #before = "";
  #after = "";

  constructor(columns: number) {
    this.#columns = columns;
  }

  /** The terminal has another width now. */
  resize(columns: number): string {
    this.#columns = columns;
    return this.#draw();
  }

  /** What is typed next goes to the room of that title; to none if it is "". */
  goTo(title: string): string {
    this.#label = `${title}> `;
    return this.#draw();
  }

  /** The line is another: the text before the cursor and the text after it. */
  edit(before: string, after: string): string {
    this.#before = before;
    this.#after = after;
    return this.#draw();
  }

  /** Rows that are wrapped already come above the line. */
  above(rows: readonly string[]): string {
    return ERASE + rows.map((row) => `${row}\r\n`).join("") + this.#draw();
  }

  /** A line was entered: it stays above. */
  entered(text: string): string {
    const line = `${this.#label}${text}`;
    const rows = this.#columns < LEAST_FOR_WRAPPING ? [readable(line)] : wrap(line, this.#columns - 1, FURTHER);
    this.#before = this.#after = "";
    return this.above(rows);
  }

  /** The line goes; the cursor stands at the beginning of an empty row. */
  clear(): string {
    return ERASE;
  }

  #draw(): string {
    const width = Math.max(8, this.#columns - 1);
    const label = fit(this.#label, Math.floor(width / 2), "end");
    const room = width - cells(label);
    const before = fit(onOneRow(this.#before), room, "end");
    const rest = room - cells(before);
    const after = rest > 0 && this.#after !== "" ? fit(onOneRow(this.#after), rest, "beginning") : "";
    return `${NO_WRAP}${ERASE}${label}${before}${after}\r\x1b[${cells(label) + cells(before)}C${WRAP}`;
  }
}

const ERASE = "\r\x1b[K";

function onOneRow(text: string): string {
  return text.replaceAll("\n", "⏎");
}
