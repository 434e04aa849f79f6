/**
 * What documents show of the program's output, run again. A block that follows
 *
 *     <!-- run in tests/evidence/room_open -->
 *
 * is a conversation with a shell: each line that begins with `$ ` is a command, and what stands below it is what the
 * command printed. It runs in a copy of that folder, with `securechat` and docs/check_room.py at hand.
 *
 *     deno run -A tests/shown.ts     writes the output of these commands anew
 *
 * shown_test.ts compares.
 */

import { program, ROOT, runCommand, temporaryFolder } from "./environment.ts";
import { PAGES, pageText } from "./readme.ts";

/** A block of a document that is run. */
export interface Shown {
  readonly page: string;
  readonly folder: string;
  readonly text: string;
}

const BLOCK = /<!-- run in (\S+) -->\n\n```\n([^]*?)\n```/g;

/** Every such block. */
export function shownBlocks(): Shown[] {
  return PAGES.flatMap((page) =>
    [...pageText(page).matchAll(BLOCK)].map(([, folder = "", text = ""]) => ({ page, folder, text }))
  );
}

/** The block as it reads when its commands are run now. */
export async function rerun({ folder, text }: Shown): Promise<string> {
  using copy = temporaryFolder();
  for (const { name } of Deno.readDirSync(`${ROOT}/${folder}`)) {
    await Deno.copyFile(`${ROOT}/${folder}/${name}`, `${copy.path}/${name}`);
  }
  await Deno.copyFile(`${ROOT}/docs/check_room.py`, `${copy.path}/check_room.py`);
  const { command, args } = program();
  const shim = `securechat() { ${[command, ...args].map((word) => `'${word}'`).join(" ")} "$@"; }\n`;
  const shown: string[] = [];
  for (const [, typed = ""] of text.matchAll(/^\$ (.*)$/gm)) {
    const { stdout, stderr } = await runCommand("bash", ["-c", shim + typed], { cwd: copy.path });
    shown.push(`$ ${typed}`, `${stdout}${stderr}`.trimEnd());
  }
  return shown.filter((one) => one !== "").join("\n");
}

if (import.meta.main) {
  for (const block of shownBlocks()) {
    const anew = await rerun(block);
    const marked = (text: string) => `<!-- run in ${block.folder} -->\n\n\`\`\`\n${text}\n\`\`\``;
    Deno.writeTextFileSync(
      `${ROOT}/${block.page}`,
      pageText(block.page).replace(marked(block.text), () => marked(anew)),
    );
  }
}
