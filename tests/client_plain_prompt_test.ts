import { PlainPrompt } from "../lib/client_plain_prompt.ts";
import { cells } from "../lib/cell_width.ts";
import { assert } from "./assert.ts";

/** What stands on a terminal that gets these characters: rows of any number, and the cursor's column in the last. */
function picture(text: string): { rows: string[]; column: number } {
  const rows = [""];
  let column = 0;
  // deno-lint-ignore no-control-regex -- control characters are what this is about
  for (const [part, move] of text.matchAll(/\x1b\[\??([0-9]*)[A-Za-z]|\r|\n|[^\x1b\r\n]/gu)) {
    const row = rows.at(-1) ?? "";
    if (part === "\r") column = 0;
    else if (part === "\n") rows.push("");
    else if (part === "\x1b[K") rows[rows.length - 1] = row.slice(0, column);
    else if (part.endsWith("C")) column += Number(move);
    else if (!part.startsWith("\x1b")) {
      rows[rows.length - 1] = row.slice(0, column) + part + row.slice(column + part.length);
      column += part.length;
    }
  }
  return { rows, column };
}

Deno.test("rows come above the line that is being typed, which stands again with its room and its cursor", () => {
  const prompt = new PlainPrompt(40);
  const shown = [
    prompt.goTo("#ops"),
    prompt.edit("half a ", "line"),
    prompt.above(["[#ops 41] 14:30 ada: hello", "[#ops 42] 14:30 ada: you"]),
  ].join("");
  assert.deepEqual(picture(shown), {
    rows: ["[#ops 41] 14:30 ada: hello", "[#ops 42] 14:30 ada: you", "#ops> half a line"],
    column: "#ops> half a ".length,
  });
});

Deno.test("a line that is entered stays with its room, its further rows behind a mark, and an empty line begins", () => {
  const prompt = new PlainPrompt(20);
  const shown = prompt.goTo("#ops") + prompt.edit("a line that is longer", "") +
    prompt.entered("a line that is longer");
  assert.deepEqual(picture(shown), { rows: ["#ops> a line that", "  | is longer", "#ops> "], column: 6 });
  assert.deepEqual(picture(shown + prompt.clear()).rows.at(-1), "");
});

Deno.test("the line that is being typed has one row, whatever is in it and however narrow the terminal is", () => {
  for (const columns of [10, 20, 80]) {
    for (const text of ["", "words ".repeat(40), "サーバー".repeat(40), "one\ntwo", "\u{202e}x"]) {
      const prompt = new PlainPrompt(columns);
      const { rows } = picture(prompt.goTo(`#${"o".repeat(48)}`) + prompt.edit(text, text));
      assert.equal(rows.length, 1);
      assert.ok(cells(rows[0] ?? "") < columns, `${columns}: ${rows[0]}`);
      assert.doesNotMatch(rows[0] ?? "", /\u202e/);
    }
  }
});
