/**
 * The lines that somebody types: each waits here for its turn, and its words come back if it is refused.
 *
 *     typed.push("hello", undefined);       there is no room yet
 *     typed.belongTo("#general");           now there is one, which the writer had asked for
 *     for await (const { text, room } of typed) …
 *
 * @layer chat
 */

import type { ShownEvent } from "./client_command.ts";

/** A line as it was typed, and the room that its writer looked at; `undefined` if there was none. */
export interface TypedLine {
  readonly text: string;
  readonly room: string | undefined;
}

/** Lines that were typed, in their order. */
export class TypedLines {
  #lines: TypedLine[] = [];
  #isOver = false;
  #more = Promise.withResolvers<void>();

  /** A line was typed. */
  push(text: string, room: string | undefined): void {
    this.#lines.push({ text, room });
    this.#more.resolve();
  }

  /** What was typed before there was a room is for this one. */
  belongTo(room: string): void {
    this.#lines = this.#lines.map((line) => ({ ...line, room: line.room ?? room }));
  }

  /** Nothing more will be typed. */
  end(): void {
    this.#isOver = true;
    this.#more.resolve();
  }

  /** Each line, when its turn comes. */
  async *[Symbol.asyncIterator](): AsyncGenerator<TypedLine> {
    for (;;) {
      const line = this.#lines.shift();
      if (line) yield line;
      else if (this.#isOver) return;
      else {
        this.#more = Promise.withResolvers();
        await this.#more.promise;
      }
    }
  }
}

/** The words of lines on their way: those that the server refuses come back to whoever wrote them. */
export class WordsUnderWay {
  readonly #words = new Map<string, TypedLine>();

  /** Something happened; the words that come back because of it. */
  take(event: ShownEvent): TypedLine | undefined {
    if (event.event !== "sending" && event.event !== "accepted" && event.event !== "dropped") return undefined;
    const key = `${event.room} ${event.key}`;
    if (event.event === "sending") {
      if (event.kind === "text" && event.text) this.#words.set(key, { text: asTyped(event.text), room: event.room });
      return undefined;
    }
    const words = this.#words.get(key);
    this.#words.delete(key);
    // A line that got no answer may stand in the log: nobody is invited to say it twice.
    return event.event === "dropped" && event.error_type !== "timeout" ? words : undefined;
  }
}

/** How words are typed to be sent, and not taken for a command. */
function asTyped(text: string): string {
  return text.startsWith("/") && !/^\/me ./.test(text) ? `/${text}` : text;
}
