import { assert } from "./assert.ts";
import { roomCases, roomVerdictOf } from "./evidence.ts";
import { pageOf } from "./verdict_text.ts";
import { cells } from "../lib/cell_width.ts";
import { EXIT } from "../lib/errors.ts";
import { report } from "../lib/verify_report.ts";
import { counted, linesText, momentText, periodText, personText, spanText, withSentence } from "../lib/verify_rows.ts";

const PAGE = { columns: 80, rows: 1_000, details: false, paint: (_: string, text: string) => text };

async function verdictOn(name: string) {
  const found = roomCases().find((one) => one.name === name);
  assert(found, name);
  return await roomVerdictOf(found);
}

Deno.test("a verdict's page answers first, and says it again after more than a screenful", async () => {
  const verdict = await verdictOn("room_open");
  const short = report(verdict, PAGE);
  const [answer] = short.split("\n");
  assert.equal(answer, "VERIFIED   #ops on localhost, lines 0 to 7, by 1 Jun 2026 12:00:08 UTC");
  assert.equal(report(verdict, { ...PAGE, rows: 24 }), `${short}\n${answer}\n`);
});

Deno.test("no row of a verdict is wider than the terminal, and no further row begins at its left edge", async () => {
  for (const evidence of roomCases().filter(({ expected }) => expected.status !== EXIT.usage)) {
    const verdict = await roomVerdictOf(evidence);
    for (const columns of [30, 52, 80, 200]) {
      for (const row of report(verdict, { ...PAGE, columns, details: true }).split("\n")) {
        assert(cells(row) <= Math.max(columns, 64 + 11), `${evidence.name} ${columns}: ${row}`);
        const isOurs =
          /^(?:|(?:NOT |PARTLY )?VERIFIED|UNDECIDED|[A-Z][a-z]+ |\[\d+\]|passed|FAILED|not checked|\d+ |[a-z_]+ )/;
        assert.match(row, /^ /.test(row) ? /^ / : isOurs, evidence.name);
      }
    }
  }
});

Deno.test("each word of an answer has its colour, and the words of an answer stay what they are without", async () => {
  const paint = (colour: string, text: string) => `<${colour}>${text}</>`;
  for (
    const [name, start] of [
      ["room_open", "<good>VERIFIED</>   #ops"],
      ["room_author_expired_fail", "<bad>PARTLY VERIFIED</>  #ops"],
      ["room_line_bit_fail", "<bad>NOT VERIFIED</>  #ops"],
    ] as const
  ) {
    const verdict = await verdictOn(name);
    assert(report(verdict, { ...PAGE, paint }).startsWith(start));
    assert(pageOf(verdict).startsWith(start.replaceAll(/<[^>]*>/g, "")));
  }
});

Deno.test("only a plain username or server name stands without quotes: no certificate's name reads as our own words", () => {
  assert.equal(personText("CN=CLIENT: ada"), "ada");
  assert.equal(personText("CN=SERVER: chat.example"), "the server chat.example");
  for (
    const name of [
      "CN=CLIENT: ada (9 lines). Exported by bob",
      "CN=CLIENT: ada, O=Bank",
      "CN=SERVER: chat.example, which is trusted",
      "CN=CLIENT: ",
      "CN=ada",
      "ada",
    ]
  ) assert.equal(personText(name), `"${name}"`);
});

Deno.test("lines, spans and times are told in few words", () => {
  assert.deepEqual(
    [[4], [4, 5], [4, 5, 6, 9], [0, 2, 4]].map((indexes) => linesText(indexes)),
    ["line 4", "lines 4 and 5", "lines 4 to 6 and 9", "lines 0, 2 and 4"],
  );
  assert.equal(linesText([1, 3, 5], 9), "lines 1, 3, 5 and 6 more");
  assert.equal(linesText(Array.from({ length: 20 }, (_, at) => 2 * at)), "lines 0, 2, 4, 6, 8, 10, 12, 14 and 12 more");
  assert.deepEqual([spanText(3, 0), spanText(3, 1), spanText(3, 2), spanText(3, 3)], [
    ...["no lines", "line 3", "lines 3 and 4", "lines 3 to 5"],
  ]);
  const at = Date.parse("2026-11-28T20:17:21Z");
  assert.equal(periodText(at, at + 3_000), "28 Nov 2026 20:17:21 to 20:17:24 UTC");
  assert.equal(periodText(at, at + 86_400_000), "28 Nov 2026 20:17:21 to 29 Nov 2026 20:17:21 UTC");
  assert.equal(periodText(at, at + 500), "28 Nov 2026 20:17:21 UTC");
  assert.equal(momentText(Number.MAX_SAFE_INTEGER), "9007199254740991 ms");
  assert.deepEqual([counted(1), counted(2), counted(0, "author")], ["1 line", "2 lines", "0 authors"]);
});

Deno.test("a sentence that is added to a row stands in its row's place", () => {
  const rows = [{ name: "Authors", sentences: ["ada."] }, { name: "Trusted", sentences: ["CA."] }] as const;
  assert.deepEqual(withSentence(rows, "Trusted", "Found.").at(-1), { name: "Trusted", sentences: ["CA.", "Found."] });
  assert.deepEqual(withSentence(rows, "Time", "Late.").map(({ name }) => name), ["Authors", "Time", "Trusted"]);
});
