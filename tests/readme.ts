/**
 * The parts of the documents that are made from the code: tables of settings, exit statuses, commands and events, and
 * the diagrams of states, each between
 *
 *     <!-- settings -->
 *     …
 *     <!-- end -->
 *
 * `deno run -A tests/readme.ts && deno fmt` writes them anew; readme_test.ts compares.
 */

import { BOT_COMMANDS, BOT_EVENTS } from "../lib/client_bot.ts";
import { flagOf, type SettingName, SETTINGS } from "../lib/config.ts";
import { EXIT_MEANINGS } from "../lib/errors.ts";
import { TYPED } from "../lib/client_typed_command.ts";
import { NEXT, type Side, type Transitions } from "../lib/transitions.ts";
import { familyRows, layerPicture } from "./architecture.ts";
import { catalogue } from "../tools/commands.ts";
import { ROOT } from "./environment.ts";
import { auditRows, dependencyRows, errorRows, keyRows, lieRows, limitRows, programRows, taskRows } from "./tables.ts";
import config from "../deno.json" with { type: "json" };

/** The documents, by their paths from the top of the repository. */
export const PAGES = [
  "README.md",
  "CHANGELOG.md",
  ...[...Deno.readDirSync(`${ROOT}/docs`)].map(({ name }) => `docs/${name}`).filter((path) => path.endsWith(".md"))
    .toSorted(),
];

/** The text of a document. */
export const pageText = (path: string): string => Deno.readTextFileSync(`${ROOT}/${path}`);

/** The anchors of a document's headings, as GitHub makes them. */
export function anchorsOf(page: string): string[] {
  return [...page.replaceAll(/^```[^]*?^```$/gm, "").matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) =>
    heading.toLowerCase().replaceAll(/[^\p{L}\p{N} _-]/gu, "").replaceAll(" ", "-")
  );
}

/** A row for each setting: name, flag, default, meaning. */
export function settingRows(): string[][] {
  return (Object.keys(SETTINGS) as SettingName[]).map((name) => {
    const { fallback, describe } = SETTINGS[name];
    const flag = flagOf(name);
    return [`\`${name}\``, flag === undefined ? "" : `\`--${flag}\``, fallback ? `\`${fallback}\`` : "", describe];
  });
}

/** A row for each command of rooms: how it is typed, and what it does. */
export function commandRows(): string[][] {
  return Object.entries(TYPED).map(([name, [args, help]]) => [`\`${`/${name} ${args}`.trim()}\``, help]);
}

/** A table: the head, and then its rows. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, head.map(() => "---"), ...rows];
  return all.map((cells) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`).join("\n");
}

/** The diagram of a side's states in Mermaid: an arrow for each pair of states, with the frames that lead along it. */
export function stateDiagram(side: Side): string {
  const table: Transitions = NEXT[side];
  const arrows = Object.entries(table).flatMap(([from, steps]) =>
    [...new Set(Object.values(steps))].map((to) => {
      const frames = Object.keys(steps).filter((frame) => steps[frame] === to);
      return `  ${from} --> ${to}: ${frames.join(", ")}`;
    })
  );
  return ["stateDiagram-v2", `  [*] --> ${Object.keys(table)[0]}`, ...arrows, "  ended --> [*]"].join("\n");
}

/** A row for each field of a bot's event or command, behind its name and what it is for. */
function fieldRows(
  rows: Readonly<Record<string, { readonly about: string; readonly fields: Readonly<Record<string, string>> }>>,
): string[][] {
  return Object.entries(rows).flatMap(([name, { about, fields }]) => [
    [`\`${name}\``, "", about],
    ...Object.entries(fields).map(([field, meaning]) => ["", `\`${field}\``, meaning]),
  ]);
}

/** Each document's path, the names of its parts, and the text of each. */
export async function madeParts(): Promise<Record<string, Record<string, string>>> {
  const diagram = (side: Side) => `\`\`\`mermaid\n${stateDiagram(side)}\n\`\`\``;
  const commands = Object.entries(BOT_COMMANDS).map(([name, { does, fields }]) => [name, { about: does, fields }]);
  const events = Object.entries(BOT_EVENTS).map(([name, { says, fields }]) => [name, { about: says, fields }]);
  return {
    "docs/OPERATING.md": {
      "settings": table(["Setting", "Flag", "Default", "Meaning"], settingRows()),
      "limits": table(["What", "Limit"], limitRows()),
      "audit events": table(["Event", "Says"], auditRows()),
    },
    "docs/GUIDE.md": {
      "exit statuses": table(["Status", "Means"], EXIT_MEANINGS.map(([status, meaning]) => [`${status}`, meaning])),
      "room commands": table(["Typed", "Does"], commandRows()),
      "commands": table(["Command", "Does", "Its own flags"], programRows(await catalogue())),
      "keys": table(["Key", "Does"], keyRows()),
      "lies": table(["Lie", "What was found"], lieRows()),
    },
    "docs/ARCHITECTURE.md": {
      "layers": `\`\`\`mermaid\n${layerPicture()}\n\`\`\``,
      "families": table(["Names begin with", "Runs", "Holds"], familyRows()),
    },
    "docs/PROTOCOL.md": {
      "server states": diagram("server"),
      "client states": diagram("client"),
      "errors": table(["Error", "Means"], errorRows()),
    },
    "docs/CONTRIBUTING.md": {
      "tasks": table(["Task", "Does"], taskRows(config.tasks)),
      "dependencies": table(["Package", "Version", "For", "Imported only by"], dependencyRows(config.imports)),
    },
    "docs/BOTS.md": {
      "bot commands": table(["Command", "Field", "Means"], fieldRows(Object.fromEntries(commands))),
      "bot events": table(["Event", "Field", "Means"], fieldRows(Object.fromEntries(events))),
    },
  };
}

/** What stands between a part's marks in a document. */
export function partOf(document: string, name: string): string | undefined {
  return new RegExp(`<!-- ${name} -->\n\n([^]*?)\n\n<!-- end -->`).exec(document)?.[1];
}

if (import.meta.main) {
  for (const [path, parts] of Object.entries(await madeParts())) {
    let document = Deno.readTextFileSync(`${ROOT}/${path}`);
    for (const [name, text] of Object.entries(parts)) {
      const old = partOf(document, name);
      if (old === undefined) throw new Error(`${path} has no marks for ${name}`);
      document = document.replace(`<!-- ${name} -->\n\n${old}`, () => `<!-- ${name} -->\n\n${text}`);
    }
    Deno.writeTextFileSync(`${ROOT}/${path}`, document);
  }
}
