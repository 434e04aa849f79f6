/**
 * The line that is being typed, on a terminal in raw mode: bytes in, keys out (`KeyReader`), keys in, edits out
 * (`LineEditor`). What it looks like is the screen's business.
 *
 *     68 69 1b 5b 44 78   →   text "hi", left, text "x"   →   before "hx", after "i"
 *
 * Known are UTF-8, the arrows, Home, End, Delete and Backspace; Ctrl-A E (line start, end), B F (one left, right), U K
 * (erase to the start, to the end), W (erase a word), P N (history), L (draw again), D (end of input in an empty line,
 * else delete), C (interrupt), Z (suspend); Alt-B Alt-F and Ctrl-arrows (a word left, right); and bracketed paste
 * (`ESC [ 200 ~ … ESC [ 201 ~`): line ends inside a paste become part of the text, so that nothing is sent before Enter
 * is pressed, and the one at its end is dropped. Tab, Page Up, Page Down, Alt-up, Alt-down and Ctrl-O (a further line;
 * Shift-Enter and Alt-Enter where a terminal has a sequence of their own for them) are keys for whoever has rooms, and
 * nothing to the line itself. No other escape sequence inserts anything. The cursor moves by what a person takes for
 * one character (grapheme clusters).
 *
 * An ESC that is followed by nothing is the key Escape. How long that takes to be sure of is `patience`; there are no
 * timers here: whoever reads waits that long for more bytes, and calls `settle` if none come ({@link keysOf}).
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
  | "suspend"
  | "escape"
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
  "\x0f": "newline",
  "\x10": "up",
  "\x15": "erase-before",
  "\x17": "erase-word",
  "\x1a": "suspend",
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
  "[13;2u": "newline",
  "[13;3u": "newline",
  "[27;2;13~": "newline",
  "[27;3;13~": "newline",
  "[1;5C": "word-right",
  "[1;3C": "word-right",
  "[1;5D": "word-left",
  "[1;3D": "word-left",
  "b": "word-left",
  "f": "word-right",
  "\x7f": "erase-word",
};

// A control sequence, a key in application mode or of the Linux console, what terminals answer when they are asked
// something (up to BEL or ST), and Alt with a key. With Enter that is nothing: whoever presses Escape, then Enter, is
// not asking for another line.
const SEQUENCE =
  // deno-lint-ignore no-control-regex -- control characters are what this module is about
  /\x1b(\[\[[A-E]|\[[0-?]*[ -/]*[@-Z\\-~]|O[@-~]|[\]P_^X][^\x07\x1b]+(?:\x07|\x1b\\)|[^[O\]P_^X\x00-\x1f]|\r\n?|\n)/y;
/** The beginning of a sequence. */
// deno-lint-ignore no-control-regex
const BEGUN = /\x1b(?:\[\[?|\[[0-?]*[ -/]*|O|[\]P_^X][^\x07\x1b]*\x1b?)?$/y;
/** What a sequence that doesn't go on as one has inserted nothing of. */
// deno-lint-ignore no-control-regex
const BROKEN = /\x1b(?:\[[0-?]*[ -/]*|O|[\]P_^X][^\x07\x1b]*)?/y;
// deno-lint-ignore no-control-regex
const TEXT = /[^\x00-\x1f\x7f-\x9f]+/y;
/** A sequence that is longer never ends well. */
const LONGEST_SEQUENCE = 4_096;
/** For how long, in milliseconds, nothing follows an ESC that is the key Escape, or one that is Alt with a key. */
const ESCAPE_ALONE = 50;
/** The same for a sequence that has come so far that only a slow line can have cut it. */
const SEQUENCE_CUT = 500;
const PASTE_BEGIN = "[200~";
const PASTE_END = "\x1b[201~";

/** Cuts the bytes of a terminal into keys; what is not whole yet waits for the next bytes. */
export class KeyReader {
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  #rest = "";
  #pasting = false;
  #afterReturn = false;
  /** The last line end of a paste, which counts once something follows it. */
  #lineEnd = "";

  /**
   * How long to wait for the rest of a sequence before {@link settle}, in milliseconds; `undefined`: none has begun.
   */
  get patience(): number | undefined {
    if (this.#pasting || this.#rest === "") return undefined;
    return this.#rest.length <= 2 ? ESCAPE_ALONE : SEQUENCE_CUT;
  }

  /** Nothing has followed: an ESC was the key Escape, and the beginning of a sequence was nothing. */
  settle(): Key[] {
    if (this.patience === undefined) return [];
    const isEscape = this.#rest === "\x1b";
    this.#rest = "";
    return isEscape ? [{ name: "escape" }] : [];
  }

  /** The keys that these bytes complete. */
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
    if (!match) return this.#begun();
    this.#take(match[0].length);
    const sequence = (match[1] ?? "").replace(/^O/, "[");
    this.#pasting = sequence === PASTE_BEGIN;
    const name = Object.hasOwn(SEQUENCES, sequence) ? SEQUENCES[sequence] : undefined;
    return name && { name };
  }

  /** Waits for the rest of a sequence, unless it can't be one. */
  #begun(): Key | undefined {
    BEGUN.lastIndex = 0;
    if (BEGUN.test(this.#rest) && this.#rest.length <= LONGEST_SEQUENCE) return undefined;
    BROKEN.lastIndex = 0;
    const broken = this.#take(BROKEN.exec(this.#rest)?.[0].length ?? 1);
    return broken === "\x1b" ? { name: "escape" } : undefined;
  }

  #paste(): Key | undefined {
    const end = this.#rest.indexOf(PASTE_END);
    // The last characters may be the beginning of the mark, and a CR that of a CR LF.
    let length = end >= 0 ? end : Math.max(0, this.#rest.length - PASTE_END.length + 1);
    if (end < 0 && this.#rest.charAt(length - 1) === "\r") length -= 1;
    const pasted = this.#take(length).replace(/\r\n?/g, "\n").replace(OTHER_CONTROLS, "");
    const text = pasted === "" ? "" : (this.#lineEnd + pasted).replace(/\n$/, "");
    if (pasted !== "") this.#lineEnd = pasted.endsWith("\n") ? "\n" : "";
    if (end >= 0) {
      this.#take(PASTE_END.length);
      this.#pasting = false;
      this.#lineEnd = "";
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

/** The keys of a terminal as they are pressed. `wait` resolves after so many milliseconds. */
export async function* keysOf(
  chunks: AsyncIterable<Uint8Array>,
  wait: (ms: number) => Promise<void>,
): AsyncGenerator<Key> {
  const reader = new KeyReader();
  const iterator = chunks[Symbol.asyncIterator]();
  let next = iterator.next();
  for (;;) {
    const { patience } = reader;
    const chunk = patience === undefined ? await next : await Promise.race([next, wait(patience)]);
    if (!chunk) {
      yield* reader.settle();
      continue;
    }
    if (chunk.done) return;
    yield* reader.read(chunk.value);
    next = iterator.next();
  }
}

/** Tells a second press soon after the first: one Ctrl-C may be a slip, or meant for what is being typed. */
export class SecondPress {
  readonly #now: () => number;
  #first = -Infinity;
  #isOver = false;

  /** `now`: milliseconds of any clock that only goes forward. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Whether this is the second within two seconds, or comes after one. */
  press(): boolean {
    this.#isOver ||= this.#now() - this.#first <= SOON;
    this.#first = this.#now();
    return this.#isOver;
  }
}

const SOON = 2_000;

/**
 * What became of a key. `full`: not all of the text was inserted. `interrupt`: what was typed is in the history now.
 */
export type Edit =
  | { readonly type: "edited" | "full" | "redraw" | "suspend" | "nothing" }
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
        return this.#insert(key.text);
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
      case "interrupt":
        this.#submit();
        return { type: "interrupt" };
      case "redraw":
      case "suspend":
        return { type: key.name };
      default:
        return { type: "nothing" };
    }
  }

  /**
   * A line that was handed out comes back to be mended or entered again. If another is being typed, that one stays, and
   * the history has this one; `false` then.
   */
  giveBack(text: string): boolean {
    const isFree = this.#before + this.#after === "";
    const isAtEnd = this.#at === this.#history.length;
    if (text !== "" && text !== this.#history.at(-1)) this.#history.push(text);
    if (isAtEnd) this.#at = this.#history.length;
    if (isFree) this.#set(text, "");
    return isFree;
  }

  #insert(text: string): Edit {
    const room = Math.max(0, LONGEST_LINE - this.#before.length - this.#after.length);
    // Never half of a surrogate pair.
    const kept = text.length <= room ? text : text.slice(0, room).replace(/[\ud800-\udbff]$/, "");
    const edit = this.#set(this.#before + kept, this.#after);
    return kept === text ? edit : { type: "full" };
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
