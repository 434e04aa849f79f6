/** What the faces of `chat` and `rooms` share: writing to a terminal that may go away, and drawing on one. */

import type { Edit, LineEditor } from "../lib/line_editor.ts";
import { keys, RawMode, watchSize, write } from "../lib/terminal.ts";

/** `ESC [ ? 2004 h` asks the terminal to mark what is pasted. */
export const MARK_PASTE = "\x1b[?2004h";
/** Asks it to stop that. */
export const DONT_MARK_PASTE = "\x1b[?2004l";

/** Writes to the terminal; `gone` is called, each time, if that was closed. */
export function printer(gone: () => void): (text: string) => void {
  return (text) => {
    try {
      write(text);
    } catch {
      gone();
    }
  };
}

/** What is done when a drawing begins, pauses and goes on. */
export interface Drawing {
  /** Takes everything off the terminal, before the program stops for a while or ends. */
  readonly leave: () => void;
  /** Draws again, when the program goes on. */
  readonly enter: () => void;
  /** The terminal has another size. */
  readonly resize: () => void;
}

/** A terminal on which a face draws, from {@link open} to {@link close}. */
export class DrawnTerminal {
  #open: { readonly raw: RawMode; readonly unwatch: () => void; readonly drawing: Drawing } | undefined;

  /** Whether a face draws on it now. */
  get isOpen(): boolean {
    return this.#open !== undefined;
  }

  /** Begins. The keys go to {@link eachEdit} or {@link keys} from now on. */
  open(drawing: Drawing): void {
    const { leave, enter, resize } = drawing;
    this.#open = { raw: new RawMode({ leave, enter }), unwatch: watchSize(resize), drawing };
  }

  /** Ends. */
  close(): void {
    if (!this.#open) return;
    const { raw, unwatch, drawing } = this.#open;
    this.#open = undefined;
    unwatch();
    drawing.leave();
    raw.leave();
  }
}

/**
 * Gives every key to an editor, and what comes of it to `take`, until the input ends. The keys are read whether or not
 * anybody waits for a line: Ctrl-C must be heard at any time.
 */
export async function eachEdit(
  editor: LineEditor,
  { take, end, newlines = false }: {
    readonly take: (edit: Edit) => void;
    readonly end: () => void;
    /** Whether a key for a new line writes one. */
    readonly newlines?: boolean;
  },
): Promise<void> {
  for await (const key of keys()) {
    take(editor.apply(newlines && key.name === "newline" ? { name: "text", text: "\n" } : key));
  }
  end();
}
