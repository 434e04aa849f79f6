/**
 * The parts of the README that are made from the code: the tables of settings, of exit statuses and of what can be typed
 * in rooms, and the diagrams of states, each between
 *
 *     <!-- settings -->
 *     …
 *     <!-- end -->
 *
 * `deno run -A tests/readme.ts && deno fmt README.md` writes them anew; readme_test.ts compares.
 */

import { flagOf, type SettingName, SETTINGS } from "../lib/config.ts";
import { EXIT_MEANINGS } from "../lib/errors.ts";
import { TYPED } from "../lib/room_command.ts";
import { NEXT, type Side, type Transitions } from "../lib/transitions.ts";
import { ROOT } from "./environment.ts";

/** The README's path. */
export const README = `${ROOT}/README.md`;

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

/** Each part's name, and its text in the README. */
export function madeParts(): Record<string, string> {
  const diagram = (side: Side) => `\`\`\`mermaid\n${stateDiagram(side)}\n\`\`\``;
  return {
    "settings": table(["Setting", "Flag", "Default", "Meaning"], settingRows()),
    "exit statuses": table(["Status", "Means"], EXIT_MEANINGS.map(([status, meaning]) => [`${status}`, meaning])),
    "room commands": table(["Typed", "Does"], commandRows()),
    "server states": diagram("server"),
    "client states": diagram("client"),
  };
}

/** What stands between a part's marks in the README. */
export function partOf(readme: string, name: string): string | undefined {
  return new RegExp(`<!-- ${name} -->\n\n([^]*?)\n\n<!-- end -->`).exec(readme)?.[1];
}

if (import.meta.main) {
  let readme = Deno.readTextFileSync(README);
  for (const [name, text] of Object.entries(madeParts())) {
    const old = partOf(readme, name);
    if (old === undefined) throw new Error(`the README has no marks for ${name}`);
    readme = readme.replace(`<!-- ${name} -->\n\n${old}`, () => `<!-- ${name} -->\n\n${text}`);
  }
  Deno.writeTextFileSync(README, readme);
}
