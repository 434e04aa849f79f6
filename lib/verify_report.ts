/**
 * A verdict as a page: the answer and its rows, then the lines, then (with `--details`) the named checks.
 *
 *     report(verdict, { columns: 80, rows: 24, details: false, paint: plain })
 *     → VERIFIED   #ops on chat.example, lines 0 to 1, by 28 Nov 2026 20:17:24 UTC
 *       Authors    alice (2 lines). Exported by alice.
 *       …
 *
 *       [0] alice, 28 Nov 2026 20:17:21 UTC, had seen no line:
 *           | joined, consenting to recording {"mode":"recorded","recorded":true,"username":"alice"}
 *       [1] alice, 28 Nov 2026 20:17:24 UTC, had seen 1 line: "good morning"
 *
 * Whatever somebody wrote is a JSON string here, so that no text looks like an action, and none like another. Only our
 * own rows begin at the left edge.
 *
 * @layer protocol
 */

import { cells } from "./cell_width.ts";
import { canonicalJson } from "./json.ts";
import { isKnownKind } from "./log_envelope.ts";
import { wrap } from "./rows.ts";
import { quoted, shortName, visibleJson } from "./text.ts";
import { MAX_CLOCK_DIFFERENCE } from "./transcript.ts";
import type { BadLine } from "./verify_bad_lines.ts";
import type { OpenedLine } from "./verify_lines.ts";
import type { RoomVerdict } from "./verify_room_report.ts";
import { authorText, counted, FIRST_WORDS, momentText, periodText } from "./verify_rows.ts";
import type { Verdict } from "./verify_session_report.ts";
import type { Check, LineSigner } from "./verify_verdict.ts";

/** What a page is printed on. */
export interface Page {
  readonly columns: number;
  /** After more rows than this the answer is repeated. */
  readonly rows: number;
  /** Whether the named checks are printed, too. */
  readonly details: boolean;
  /** Colours a text. */
  readonly paint: (colour: "good" | "bad" | "open", text: string) => string;
}

/** Where the sentences of a row begin; on a narrow terminal its further rows begin further left. */
const INDENT = 11;
const NARROW = 40;

const COLOURS = { valid: "good", partly_valid: "bad", invalid: "bad", undecided: "open" } as const;

/** The page. */
export function report(verdict: Verdict | RoomVerdict, page: Page): string {
  const first = firstRow(verdict, page);
  const rows = verdict.rows.flatMap(({ name, sentences }) =>
    entry(name, sentences.join(name === "Reasons" ? "\n" : " "), page.columns)
  );
  const lines = lineRows(verdict, page);
  const details = page.details ? detailRows(verdict, page) : [];
  const all = [first, rows, ...(lines.length > 0 ? [[""], lines] : []), ...(details.length > 0 ? [[""], details] : [])];
  const printed = all.flat();
  return [...printed, ...(printed.length > page.rows ? ["", ...first] : []), ""].join("\n");
}

function firstRow({ result, sentence }: Verdict | RoomVerdict, { columns, paint }: Page): string[] {
  const words = FIRST_WORDS[result];
  const rows = entry(words, sentence.slice(words.length + 1), columns);
  return rows.map((row, at) => at === 0 ? paint(COLOURS[result], words) + row.slice(words.length) : row);
}

/** A name and what is said under it. */
function entry(name: string, text: string, columns: number): string[] {
  const head = name.length < INDENT ? name.padEnd(INDENT) : `${name}  `;
  const [first = "", ...further] = wrap(text, columns, " ".repeat(columns < NARROW ? 2 : INDENT), head.length);
  return [head + first, ...further];
}

// ---- lines

/** What begins every row that goes on from the one above: no words, however padded, begin a row like one of ours. */
const GOES_ON = "    | ";

/** Who said what, and in their places the lines that are not good, each with its reasons. */
function lineRows(verdict: Verdict | RoomVerdict, { columns, paint }: Page): string[] {
  if (verdict.result === "invalid") return [];
  const { lines } = verdict;
  const opened = "opened" in verdict ? verdict.opened : [];
  const bad: readonly (BadLine & { opened?: OpenedLine })[] = lines.bad;
  const names = namesOf([...opened, ...bad.flatMap((line) => line.opened ?? [])], verdict.signers);
  const good = opened.map((line) => ({ index: line.index, rows: openedLine(line, names, columns) }));
  const others = bad.map(({ index, faults, opened }) => {
    const rows = faults.flatMap(({ check, reason }) => {
      const [first = "", ...further] = wrap(`[${index}] NOT VERIFIED (${check}): ${reason}`, columns, GOES_ON);
      return [first.replace("NOT VERIFIED", (words) => paint("bad", words)), ...further];
    });
    return { index, rows: opened ? [...rows, ...openedLine(opened, names, columns, "    ")] : rows };
  });
  const rows = [...good, ...others].sort((one, other) => one.index - other.index).flatMap((line) => line.rows);
  const more = lines.count - lines.good - lines.bad.length;
  return more > 0 ? [...rows, `and ${counted(more, "more line")}, not verified`] : rows;
}

/** What each author is called, by the certificate's fingerprint. */
function namesOf(opened: readonly OpenedLine[], signers: readonly LineSigner[]): ReadonlyMap<string, string> {
  const all = new Map(signers.map((signer) => [signer.fingerprint, signer] as const));
  for (const { author, subject } of opened) {
    if (!all.has(author)) all.set(author, { fingerprint: author, subject, issuer: "", lines: 0 });
  }
  const everybody = [...all.values()];
  return new Map(everybody.map((signer) => [signer.fingerprint, authorText(signer, everybody)]));
}

/** What lines of each kind do; a text has no words before it. */
const ACTIONS: Readonly<Record<string, string>> = {
  topic: "set the topic",
  join: "joined, consenting to recording",
  part: "left the room",
  head: "confirmed what the log held",
  invite: "invited",
  kick: "removed",
  ban: "banned",
  mute: "muted",
  role: "gave a role",
  redact: "erased the text of line",
  device: "named another certificate as their own",
};

/** Who said what, when (by the server's word, too, if it is far from the author's) and after what: on one row, or with the words on rows of their own. */
function openedLine(line: OpenedLine, names: ReadonlyMap<string, string>, columns: number, indent = ""): string[] {
  const { index, author, ts, by, seen, kind, body } = line;
  const placed = Math.abs(by * 1000 - ts) > MAX_CLOCK_DIFFERENCE ? `, accepted by ${momentText(by * 1000)}` : "";
  const when = `${momentText(ts)}${placed}${betweenText(line)}, had seen ${seen === 0 ? "no line" : counted(seen)}`;
  const head = `${indent}[${index}] ${names.get(author)}, ${when}:`;
  const json = canonicalJson(body) ?? "";
  const action = isKnownKind(kind) ? ACTIONS[kind] : `wrote a line of an unknown kind, ${quoted(kind)}`;
  const shown = visibleJson(action === undefined ? json : body === null ? action : `${action} ${json}`);
  if (cells(head) + 1 + cells(shown) <= columns) return [`${head} ${shown}`];
  const [first = "", ...further] = wrap(shown, columns, GOES_ON, GOES_ON.length);
  return [...wrap(head, columns, GOES_ON), GOES_ON + first, ...further];
}

/** The bounds of a line's time that others than its author and its server give. */
function betweenText({ between: { since, by } = {} }: OpenedLine): string {
  if (since !== undefined && by !== undefined) {
    return `, written between ${periodText(since, by).replace(" to ", " and ")}`;
  }
  if (by !== undefined) return `, written by ${momentText(by)}`;
  return since === undefined ? "" : `, written after ${momentText(since)}`;
}

// ---- details

const MARKS = {
  passed: ["good", "passed     "],
  failed: ["bad", "FAILED     "],
  "not checked": ["open", "not checked"],
} as const;

function detailRows(verdict: Verdict | RoomVerdict, page: Page): string[] {
  const about = Object.entries(verdict.about ?? {}).flatMap(([name, value]) =>
    value === null ? [] : wrap(`${name} ${value}`, page.columns, GOES_ON)
  );
  const signers = verdict.signers.flatMap((signer) =>
    wrap(
      `${counted(signer.lines)} signed by "${shortName(signer.subject)}", issued by "${shortName(signer.issuer)}", ` +
        `SHA-256 ${signer.fingerprint}`,
      page.columns,
      GOES_ON,
    )
  );
  return [...verdict.checks.flatMap((check) => checkRows(check, page)), ...signers, ...about];
}

function checkRows({ name, outcome, reasons, expected, found }: Check, { columns, paint }: Page): string[] {
  const [colour, mark] = MARKS[outcome];
  const values = expected === undefined || found === undefined ? [] : [`expected ${expected}`, `found    ${found}`];
  const rows = [...reasons, ...values].flatMap((text) => wrap(`${" ".repeat(12)}${text}`, columns, " ".repeat(14)));
  return [`${paint(colour, mark)} ${name}`, ...rows];
}
