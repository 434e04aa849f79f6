import fc from "fast-check";
import { cells, graphemes } from "../lib/cell_width.ts";
import { type ChatEvent, clockDifference, clockTime, eventJson, Screen, sentences } from "../lib/client_chat_screen.ts";
import { assert } from "./assert.ts";

/** A terminal that knows as much of a VT100 as the screen uses; long rows wrap as a terminal's do. */
class Vt {
  readonly rows: string[][] = [[]];
  row = 0;
  column = 0;
  wraps = true;

  constructor(readonly columns: number) {}

  write(text: string): this {
    // deno-lint-ignore no-control-regex
    const parts = text.matchAll(/\x1b\[([0-9;?]*)([A-Za-z])|([\r\n])|([^\x1b\r\n]+)/gsu);
    for (const [whole, number, letter, control, run] of parts) {
      if (letter === "A") this.row -= Number(number);
      else if (letter === "C") this.column += Number(number);
      else if (letter === "K") this.#line().splice(this.column);
      else if (letter === "J") this.#line().splice(this.column), this.rows.splice(this.row + 1);
      else if (letter === "m") continue;
      else if (number === "?7") this.wraps = letter === "h";
      else if (control === "\r") this.column = 0;
      else if (control === "\n") this.row += 1;
      else if (run !== undefined) { for (const { segment } of graphemes.segment(run)) this.#put(segment); }
      else assert.fail(`unknown to the terminal: ${JSON.stringify(whole)}`);
      assert.ok(this.row >= 0, "the cursor never goes above the screen");
    }
    return this;
  }

  /** What stands there, trailing blanks off. */
  get lines(): string[] {
    return this.rows.map((row) => row.join("").trimEnd());
  }

  #line(): string[] {
    while (this.rows.length <= this.row) this.rows.push([]);
    return this.rows[this.row] ?? [];
  }

  #put(character: string): void {
    const width = cells(character);
    assert.ok(this.wraps || this.column + width <= this.columns, "nothing is written beyond the end of a row");
    if (this.column + width > this.columns) [this.row, this.column] = [this.row + 1, 0];
    const line = this.#line();
    while (line.length < this.column) line.push(" ");
    if (width === 0) line[this.column - 1] += character;
    else line.splice(this.column, width, character, ...Array(width - 1).fill(""));
    this.column += width;
  }
}

const options = { columns: 40, rows: 24, colour: false };
const sent = (seqno: number, text: string): ChatEvent => ({ event: "sent", seqno, ts: 0, text });
const NOON = new Date(2026, 0, 2, 12, 34, 56).getTime();
const acknowledged = (seqno: number): ChatEvent => ({ event: "acknowledged", seqno, received_at: NOON });

Deno.test("Screen shows a line as sent below, and as acknowledged above with the time", () => {
  const screen = new Screen(options);
  const vt = new Vt(40).write(screen.edit("", ""));
  vt.write(screen.show(sent(0, "hello"))).write(screen.show(sent(1, "world"))).write(screen.edit("typ", "ing"));
  assert.deepEqual(vt.lines, ["→ hello", "→ world", "> typing"]);
  assert.equal(vt.column, 5);
  vt.write(screen.show(acknowledged(0)));
  assert.deepEqual(vt.lines, ["✓ 12:34:56 hello", "→ world", "> typing"]);
  assert.deepEqual([vt.row, vt.column], [2, 5]);
  vt.write(screen.show(acknowledged(1)));
  assert.deepEqual(vt.lines, ["✓ 12:34:56 hello", "✓ 12:34:56 world", "> typing"]);
});

Deno.test("Screen says of a stale line that it was refused, and by how much the clocks differ", () => {
  const screen = new Screen({ ...options, columns: 400 });
  const vt = new Vt(400).write(screen.show(sent(0, "hello")));
  const refused: ChatEvent = {
    event: "refused",
    seqno: 0,
    error_type: "stale",
    reason: "too old",
    server_time: NOON,
    own_time: NOON - 400_000,
  };
  vt.write(screen.show(refused));
  assert.match(
    vt.lines[0] ?? "",
    /^✗ hello \(refused: this clock is 6 minutes, 40 seconds behind the server's, which says 12:34:56: .*too old\)$/,
  );
  assert.equal(vt.lines[1], ">");
});

Deno.test("Screen lets nothing of another's text act on the terminal", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), (words) => {
    const screen = new Screen(options);
    const events: ChatEvent[] = [
      sent(0, words),
      { event: "refused", seqno: 0, error_type: "stale", reason: words, server_time: null, own_time: 0 },
      { event: "notice", message: words },
      { event: "warning", message: words },
      { event: "not_sent", reason: words },
      { event: "server_receipt_invalid", problems: [words] },
      { event: "connected", host: words, port: 1, version: 2, server_fingerprint: words, server: words },
    ];
    const written = [...events.map((event) => screen.show(event)), screen.edit(words, words)].join("");
    // deno-lint-ignore no-control-regex
    const others = written.replace(/\x1b\[(?:[0-9;]*[ACJK]|\?7[hl])|[\r\n]/g, "");
    assert.doesNotMatch(others, /[\p{Cc}\u202a-\u202e\u2066-\u2069]/u);
    for (const event of events) assert.match(eventJson(event), /^[ -~]*$/);
  }));
});

Deno.test("Screen keeps its live rows within the width and the cursor in sight, whatever is typed", () => {
  const text = fc.string({ unit: "grapheme", maxLength: 60 });
  fc.assert(
    fc.property(
      text,
      text,
      fc.array(text, { maxLength: 12 }),
      fc.integer({ min: 1, max: 30 }),
      (a, b, own, columns) => {
        const screen = new Screen({ ...options, columns, rows: 10 });
        const width = Math.max(5, columns);
        const vt = new Vt(width);
        own.forEach((line, seqno) => vt.write(screen.show(sent(seqno, line))));
        vt.write(screen.edit(a, b));
        assert.equal(vt.row, Math.min(own.length, 7), "every live row is one row");
        assert.ok(vt.column < width);
        assert.equal(vt.lines.length, vt.row + 1);
        vt.write(screen.clear());
        assert.deepEqual([vt.row, vt.lines], [0, [""]]);
      },
    ),
  );
});

Deno.test("Screen counts unanswered lines that it has no room for", () => {
  const screen = new Screen({ ...options, rows: 6 });
  const vt = new Vt(40);
  for (let i = 0; i < 10; i++) vt.write(screen.show(sent(i, `line ${i}`)));
  assert.deepEqual(vt.lines, ["→ line 0", "→ line 1", "→ and 8 more", ">"]);
});

Deno.test("Screen survives every size of a terminal", () => {
  for (const columns of [0, 1, 2, 3, 5, 500]) {
    for (const rows of [0, 1, 2, 3, 500]) {
      const screen = new Screen({ columns, rows, colour: true });
      for (let i = 0; i < 5; i++) screen.show(sent(i, "日本語 hello"));
      screen.resize(rows, columns);
      assert.equal(typeof screen.edit("日本語 hello", "hello 👩‍👩‍👧"), "string");
    }
  }
});

Deno.test("Screen colours nothing where colours are not wanted", () => {
  const show = (colour: boolean) => {
    const screen = new Screen({ ...options, colour });
    return screen.show(sent(0, "x")) + screen.show(acknowledged(0)) + screen.show({ event: "warning", message: "y" });
  };
  assert.doesNotMatch(show(false), /\[[0-9;]*m/);
  assert.match(show(true), /\[32m✓ 12:34:56/);
});

Deno.test("clockDifference() says how far and which way", () => {
  assert.equal(clockDifference(0, 400_000), "6 minutes, 40 seconds behind");
  assert.equal(clockDifference(3_661_000, 0), "1 hour, 1 minute, 1 second ahead of");
  assert.equal(clockDifference(86_400_000 * 400, 0), "400 days ahead of");
});

Deno.test("clockTime() has no time for what is none", () => {
  assert.equal(clockTime(NOON), "12:34:56");
  assert.equal(clockTime(Number.MAX_SAFE_INTEGER), "at no possible time");
});

Deno.test("eventJson() is one line and leaves the text of one's own lines out", () => {
  assert.equal(eventJson(sent(3, "secret")), '{"event":"sent","seqno":3,"ts":0}');
  assert.equal(eventJson({ event: "notice", message: "a\n\u202eb" }), '{"event":"notice","message":"a\\n\\u202eb"}');
  assert.equal(JSON.parse(eventJson({ event: "notice", message: "日\u{1f44d}" })).message, "日\u{1f44d}");
});

Deno.test("sentences() ends with the verify command, for whoever wants to copy it", () => {
  const end = {
    event: "end",
    status: 0,
    reason: "The session is over.",
    transcript: "t",
    server_receipt: "r",
  } as const;
  const said = sentences({ ...end, client_receipt: "c", verify: "securechat verify r t" });
  assert.equal(said.at(-1), "  securechat verify r t");
});
