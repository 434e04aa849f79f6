/**
 * `securechat man`: the manual page of the whole program.
 */

import { parseCommand } from "../lib/command_line.ts";
import { EXIT, type ExitStatus } from "../lib/errors.ts";
import { manPage } from "../lib/man_page.ts";
import meta from "../deno.json" with { type: "json" };
import { catalogue } from "./commands.ts";

const SPEC = {
  name: "man",
  summary: "print the manual page",
  usage: `securechat man

The page is in mdoc(7). Put it where man looks, for example into /usr/local/share/man/man1.

Examples:
  securechat man > securechat.1
  man ./securechat.1`,
  options: {},
} as const;

/** When this version's page was written. */
const DATE = "November 29, 2026";

/** Runs the command. */
export async function run(args: string[]): Promise<ExitStatus> {
  parseCommand(args, SPEC);
  const page = manPage({ version: meta.version, date: DATE }, await catalogue());
  await Deno.stdout.write(new TextEncoder().encode(page));
  return EXIT.done;
}
