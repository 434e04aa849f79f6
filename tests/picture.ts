/**
 * The picture in the README: the client's screen of a small story, as SVG.
 *
 *     TZ=UTC deno run -A tests/picture.ts           writes docs/client.svg
 *     TZ=UTC deno run -A tests/picture.ts --print   prints it
 *
 * picture_test.ts compares. The time zone is UTC, since the screen shows local time.
 */

import { cells } from "../lib/cell_width.ts";
import type { LineEvent } from "../lib/client_event.ts";
import { RoomScreen } from "../lib/client_screen.ts";
import type { ShownEvent } from "../lib/client_command.ts";
import { KeyReader } from "../lib/line_editor.ts";
import { ROOT } from "./environment.ts";

const SIZE = { columns: 84, rows: 16 };
const NOW = Date.UTC(2026, 10, 25, 3, 54);

const at = (minute: number) => Date.UTC(2026, 10, 25, 3, minute);

function line(index: number, minute: number, username: string, text: string, act?: object): LineEvent {
  const kind = act === undefined ? "text" : index === 1 ? "topic" : "join";
  const statement = { kind, ...(act ?? { text }) };
  return {
    ...{ event: "line", room: "#ops", index, from: "", username, seqno: index, ts: at(minute), by: null },
    ...{ kind, text, statement: statement as LineEvent["statement"], seen: index, mine: username === "alice" },
    ...{ erased: false, unvouched: false, unchecked: false, bad: null },
  };
}

const MEMBERS = ["alice", "bob"].map((username) => ({ username, role: "member" }));

const STORY: readonly ShownEvent[] = [
  { event: "online", username: "alice", server_fingerprint: "5e".repeat(32) },
  { event: "joined", room: "#ops", origin: "o", mode: "recorded", history: "all", topic: "", count: 0 },
  { event: "caught_up", room: "#ops", size: 0 },
  { event: "state", room: "#ops", topic: "deploys on Friday", members: MEMBERS },
  {
    event: "present",
    room: "#ops",
    members: MEMBERS.map((member) => ({ ...member, online: true, state: "online" as const })),
  },
  line(0, 53, "alice", "", { username: "alice" }),
  line(1, 53, "alice", "deploys on Friday", { text: "deploys on Friday" }),
  line(2, 53, "bob", "", { username: "bob" }),
  line(3, 53, "bob", "good morning"),
  line(4, 53, "alice", "Is the archive complete?"),
  line(5, 54, "bob", "It is. Send it on Monday, alice."),
  { event: "covered", room: "#ops", size: 6, time: NOW / 1000 },
  { event: "sending", room: "#ops", key: 1, kind: "text", text: "Done. Grüße, 你好 👋" },
  { event: "caught_up", room: "#general", size: 12 },
  { ...line(12, 54, "carol", "who is on call?"), room: "#general" },
];

/** The rows of the story's screen, colours included. */
export function storyRows(): readonly string[] {
  const screen = new RoomScreen({ ...SIZE, colour: true, server: "chat.example.org", unsent: () => 1, now: () => NOW });
  screen.enter("#ops");
  for (const event of STORY) screen.take(event);
  for (const key of new KeyReader().read(new TextEncoder().encode("/proof"))) screen.key(key);
  return screen.picture().rows;
}

const CELL = 8.4;
const ROW = 19;
const MARGIN = 16;
const BAR = 28;

const COLOURS: Readonly<Record<string, string>> = {
  ...{ "31": "#f38ba8", "32": "#a6e3a1", "33": "#f9e2af", "34": "#89b4fa", "35": "#cba6f7", "36": "#94e2d5" },
  ...{ "91": "#f38ba8", "92": "#a6e3a1", "93": "#f9e2af", "94": "#89b4fa", "95": "#cba6f7", "96": "#94e2d5" },
};

function style(codes: string): string {
  return codes.split(";").map((code) => {
    if (code === "1") return ' font-weight="bold"';
    if (code === "2") return ' fill-opacity="0.65"';
    return COLOURS[code] === undefined ? "" : ` fill="${COLOURS[code]}"`;
  }).join("");
}

const escaped = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll(" ", "\u00a0");

/** A row with its colours as texts of SVG, each at its cell. */
function rowOf(row: string, top: number): string {
  let codes = "";
  let column = 0;
  const texts: string[] = [];
  // deno-lint-ignore no-control-regex -- colours are such sequences
  for (const part of row.split(/(\x1b\[[0-9;]*m)/)) {
    // deno-lint-ignore no-control-regex
    const code = /^\x1b\[([0-9;]*)m$/.exec(part)?.[1];
    if (code !== undefined) {
      codes = code;
      continue;
    }
    // Blanks at either end are left out: renderers disagree about their width.
    const text = part.trim();
    if (text !== "") {
      const x = (MARGIN + (column + cells(part) - cells(part.trimStart())) * CELL).toFixed(1);
      const length = (cells(text) * CELL).toFixed(1);
      texts.push(`<text x="${x}" y="${top}" textLength="${length}"${style(codes)}>${escaped(text)}</text>`);
    }
    column += cells(part);
  }
  return texts.join("");
}

/** Rows of a terminal as a picture of its window. */
export function svgOf(rows: readonly string[], columns: number): string {
  const width = Math.round(columns * CELL + 2 * MARGIN);
  const height = BAR + rows.length * ROW + MARGIN;
  const dots = ["#f38ba8", "#f9e2af", "#a6e3a1"].map((fill, at) =>
    `<circle cx="${MARGIN + 6 + at * 18}" cy="15" r="5" fill="${fill}"/>`
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" role="img">`,
    "<title>securechat rooms: alice and bob talk in #ops</title>",
    `<rect width="${width}" height="${height}" rx="8" fill="#1e1e2e"/>${dots.join("")}`,
    `<g font-family="ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="14" fill="#cdd6f4">`,
    ...rows.map((row, at) => rowOf(row, BAR + 14 + at * ROW)).filter((text) => text !== ""),
    "</g>",
    "</svg>",
    "",
  ].join("\n");
}

if (import.meta.main) {
  const svg = svgOf(storyRows(), SIZE.columns);
  if (Deno.args.includes("--print")) console.log(svg.trimEnd());
  else Deno.writeTextFileSync(`${ROOT}/docs/client.svg`, svg);
}
