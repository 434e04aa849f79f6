/**
 * The line that is being typed, on a terminal in raw mode: bytes in, keys out (`KeyReader`), keys in, edits out
 * (`LineEditor`). What it looks like is the screen's business.
 *
 *     68 69 1b 5b 44 78   →   text "hi", left, text "x"   →   before "hx", after "i"
 *
 * Known are UTF-8, the arrows, Home, End, Delete and Backspace; Ctrl-A E (line start, end), B F (one left, right), U K
 * (erase to the start, to the end), W (erase a word), P N (history), L (draw again), D (end of input in an empty line,
 * else delete), C (interrupt); Alt-B Alt-F and Ctrl-arrows (a word left, right); and bracketed paste
 * (`ESC [ 200 ~ … ESC [ 201 ~`): line ends inside a paste become part of the text, so that nothing is sent before Enter
 * is pressed. Tab, Page Up, Page Down and Alt with Enter, up or down are keys for whoever has rooms, and nothing to the
 * line itself. Other escape sequences and control characters do nothing. The cursor moves by what a person takes for one
 * character (grapheme clusters). There are no timers: a lone ESC waits for what follows it.
 *
 * @layer chat
 */

/** What a key asks for, other than to insert a text. */
export type KeyName =
  | "enter"
  | "backspace"
  | "delete"
  | "left"
  | "right"
  | "word-left"
  | "word-right"
  | "home"
  | "end"
  | "up"
  | "down"
  | "erase-before"
  | "erase-after"
  | "erase-word"
  | "redraw"
  | "end-of-input"
  | "interrupt"
  // These mean something to who has rooms, and nothing to the line itself.
  | "tab"
  | "newline"
  | "page-up"
  | "page-down"
  | "previous-room"
  | "next-room";

/** One key, or a text as it was typed or pasted. */
export type Key = { readonly name: "text"; readonly text: string } | { readonly name: KeyName };

/** Control characters that mean something, each to its key. */
const CONTROLS: Readonly<Record<string, KeyName>> = {
  "\r": "enter",
  "\n": "enter",
  "\x7f": "backspace",
  "\b": "backspace",
  "\x01": "home",
  "\x02": "left",
  "\x03": "interrupt",
  "\x04": "end-of-input",
  "\x05": "end",
  "\t": "tab",
  "\x06": "right",
  "\x0b": "erase-after",
  "\x0c": "redraw",
  "\x0e": "down",
  "\x10": "up",
  "\x15": "erase-before",
  "\x17": "erase-word",
};

/** What follows ESC; `O` is how terminals in application mode begin what is `[` elsewhere. */
const SEQUENCES: Readonly<Record<string, KeyName>> = {
  "[A": "up",
  "[B": "down",
  "[C": "right",
  "[D": "left",
  "[H": "home",
  "[F": "end",
  "[1~": "home",
  "[7~": "home",
  "[4~": "end",
  "[8~": "end",
  "[3~": "delete",
  "[5~": "page-up",
  "[6~": "page-down",
  "[1;3A": "previous-room",
  "[1;3B": "next-room",
  "\r": "newline",
  "[1;5C": "word-right",
  "[1;3C": "word-right",
  "[1;5D": "word-left",
  "[1;3D": "word-left",
  "b": "word-left",
  "f": "word-right",
  "\x7f": "erase-word",
};

// deno-lint-ignore no-control-regex -- control characters are what this module is about
const SEQUENCE = /\x1b(\[[0-?]*[ -/]*[@-~]|O[@-~]|[^[O\x1b])/y;
// deno-lint-ignore no-control-regex
const TEXT = /[^\x00-\x1f\x7f-\x9f]+/y;
/** A sequence that is longer never ends well: its ESC is dropped. */
const LONGEST_SEQUENCE = 32;
const PASTE_BEGIN = "[200~";
const PASTE_END = "\x1b[201~";

/** Cuts the bytes of a terminal into keys; what is not whole yet waits for the next bytes. */
export class KeyReader {
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  #rest = "";
  #pasting = false;
  #afterReturn = false;

  read(bytes: Uint8Array): Key[] {
    this.#rest += this.#decoder.decode(bytes, { stream: true });
    const keys: Key[] = [];
    while (this.#rest !== "") {
      const before = this.#rest.length;
      const key = this.#pasting ? this.#paste() : this.#key();
      if (key) keys.push(key);
      if (this.#rest.length === before) break;
    }
    return keys;
  }

  #key(): Key | undefined {
    const first = this.#rest.charAt(0);
    const followsReturn = this.#afterReturn;
    this.#afterReturn = first === "\r";
    if (first === "\x1b") return this.#sequence();
    TEXT.lastIndex = 0;
    const text = TEXT.exec(this.#rest)?.[0];
    this.#take(text?.length ?? 1);
    if (text !== undefined) return { name: "text", text };
    if (first === "\n" && followsReturn) return undefined; // CR LF is one line end
    const name = Object.hasOwn(CONTROLS, first) ? CONTROLS[first] : undefined;
    return name && { name };
  }

  #sequence(): Key | undefined {
    SEQUENCE.lastIndex = 0;
    const match = SEQUENCE.exec(this.#rest);
    if (!match) {
      if (this.#rest.length > LONGEST_SEQUENCE || this.#rest.startsWith("\x1b\x1b")) this.#take(1);
      return undefined;
    }
    this.#take(match[0].length);
    const sequence = (match[1] ?? "").replace(/^O/, "[");
    this.#pasting = sequence === PASTE_BEGIN;
    const name = Object.hasOwn(SEQUENCES, sequence) ? SEQUENCES[sequence] : undefined;
    return name && { name };
  }

  #paste(): Key | undefined {
    const end = this.#rest.indexOf(PASTE_END);
    // The last characters may be the beginning of the mark, and a CR that of a CR LF.
    let length = end >= 0 ? end : Math.max(0, this.#rest.length - PASTE_END.length + 1);
    if (end < 0 && this.#rest.charAt(length - 1) === "\r") length -= 1;
    const text = this.#take(length).replace(/\r\n?/g, "\n").replace(OTHER_CONTROLS, "");
    if (end >= 0) {
      this.#take(PASTE_END.length);
      this.#pasting = false;
    }
    return text === "" ? undefined : { name: "text", text };
  }

  #take(length: number): string {
    const taken = this.#rest.slice(0, length);
    this.#rest = this.#rest.slice(length);
    return taken;
  }
}

// deno-lint-ignore no-control-regex
const OTHER_CONTROLS = /[\x00-\x08\x0b-\x1f\x7f-\x9f]/g;

/** What became of a key. */
export type Edit =
  | { readonly type: "edited" | "redraw" | "nothing" }
  | { readonly type: "line"; readonly text: string }
  | { readonly type: "end-of-input" | "interrupt" };

const graphemes = new Intl.Segmenter("en", { granularity: "grapheme" });

/** Twice what a message can hold: beyond it nothing is inserted, and Enter is answered by "too long". */
const LONGEST_LINE = 32_000;

/** How many lines the history keeps. */
const HISTORY = 200;

/** A line and the cursor in it. */
export class LineEditor {
  #before = "";
  #after = "";
  /** The lines of before, oldest first. */
  readonly #history: string[] = [];
  /** Where in the history we stand; its length means at the line that is being typed. */
  #at = 0;
  #draft = "";

  /** The text before the cursor. */
  get before(): string {
    return this.#before;
  }

  /** The text from the cursor on. */
  get after(): string {
    return this.#after;
  }

  /** Takes one key. `line` hands out the whole line and begins an empty one. */
  apply(key: Key): Edit {
    switch (key.name) {
      case "text":
        if (this.#before.length + this.#after.length > LONGEST_LINE) return { type: "nothing" };
        return this.#set(this.#before + key.text, this.#after);
      case "enter":
        return { type: "line", text: this.#submit() };
      case "backspace":
        return this.#set(this.#before.slice(0, this.#left()), this.#after);
      case "delete":
        return this.#set(this.#before, this.#after.slice(this.#right()));
      case "left":
        return this.#moveTo(this.#left());
      case "right":
        return this.#moveTo(this.#before.length + this.#right());
      case "word-left":
        return this.#moveTo(this.#wordStart());
      case "word-right":
        return this.#moveTo(this.#before.length + (/^\s*\S+/u.exec(this.#after)?.[0].length ?? this.#after.length));
      case "home":
        return this.#moveTo(0);
      case "end":
        return this.#moveTo(this.#before.length + this.#after.length);
      case "erase-before":
        return this.#set("", this.#after);
      case "erase-after":
        return this.#set(this.#before, "");
      case "erase-word":
        return this.#set(this.#before.slice(0, this.#wordStart()), this.#after);
      case "up":
        return this.#recall(this.#at - 1);
      case "down":
        return this.#recall(this.#at + 1);
      case "end-of-input":
        if (this.#before + this.#after === "") return { type: "end-of-input" };
        return this.apply({ name: "delete" });
      case "redraw":
      case "interrupt":
        return { type: key.name };
      default:
        return { type: "nothing" };
    }
  }

  #set(before: string, after: string): Edit {
    const type = before === this.#before && after === this.#after ? "nothing" : "edited";
    this.#before = before;
    this.#after = after;
    return { type };
  }

  #moveTo(index: number): Edit {
    const text = this.#before + this.#after;
    return this.#set(text.slice(0, index), text.slice(index));
  }

  /** Where the grapheme before the cursor begins. */
  #left(): number {
    return [...graphemes.segment(this.#before)].at(-1)?.index ?? 0;
  }

  /** The length of the grapheme after the cursor. */
  #right(): number {
    return graphemes.segment(this.#after).containing(0)?.segment.length ?? 0;
  }

  #wordStart(): number {
    return this.#before.length - (/\S*\s*$/u.exec(this.#before)?.[0].length ?? 0);
  }

  #recall(at: number): Edit {
    if (at < 0 || at > this.#history.length) return { type: "nothing" };
    if (this.#at === this.#history.length) this.#draft = this.#before + this.#after;
    this.#at = at;
    return this.#set(this.#history[at] ?? this.#draft, "");
  }

  #submit(): string {
    const text = this.#before + this.#after;
    this.#set("", "");
    if (text !== "" && text !== this.#history.at(-1)) this.#history.push(text);
    if (this.#history.length > HISTORY) this.#history.shift();
    this.#at = this.#history.length;
    return text;
  }
}
