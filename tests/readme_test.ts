import { assert } from "./assert.ts";
import { BOT_COMMANDS } from "../lib/client_bot.ts";
import { COMMAND_NAMES } from "../lib/client_typed_command.ts";
import { catalogue } from "../tools/commands.ts";
import { ROOT, runCommand, temporaryFolder } from "./environment.ts";
import { evidenceCases } from "./evidence.ts";
import { modulesOf } from "./modules.ts";
import { anchorsOf, madeParts, PAGES, pageText, partOf } from "./readme.ts";
import { fileNames } from "./tables.ts";

const tasks: Record<string, unknown> = JSON.parse(Deno.readTextFileSync(`${ROOT}/deno.json`)).tasks;

/** Without what a formatter may change: blanks and the dashes under a table's head. */
function plain(part: string): string {
  return part.split("\n").map((line) => line.replaceAll(/\s+/g, " ").replaceAll(/-{3,}/g, "---").trim()).join("\n");
}

/** All that a pattern's first group finds in the documents, each with the page that it was found in. */
function mentioned(pattern: RegExp): { readonly page: string; readonly found: string }[] {
  return PAGES.flatMap((page) => [...pageText(page).matchAll(pattern)].map(([, found = ""]) => ({ page, found })));
}

for (const [path, parts] of Object.entries(await madeParts())) {
  for (const [name, made] of Object.entries(parts)) {
    Deno.test(`the ${name} in ${path} are those of the code`, () => {
      const advice = "write them anew: deno run -A tests/readme.ts && deno fmt";
      assert.equal(plain(partOf(pageText(path), name) ?? ""), plain(made), advice);
    });
  }
}

Deno.test("every file that docs/OPERATING.md lists is one that the code knows", () => {
  const table = /^## Files$([^]*?)^## /m.exec(pageText("docs/OPERATING.md"))?.[1] ?? "";
  const names = fileNames(table);
  assert.ok(names.length > 20);
  const code = ["lib", "tools", ""].flatMap(modulesOf).map(({ code }) => code).join("\n");
  assert.deepEqual(names.filter((name) => !code.includes(name)), []);
});

Deno.test("bots can ask for everything that can be typed, and `say`", () => {
  assert.deepEqual(Object.keys(BOT_COMMANDS).sort(), ["say", ...COMMAND_NAMES].sort());
});

Deno.test("every task that a document names is there", () => {
  const names = mentioned(/deno task (?:--quiet )?([a-z:]+)/g);
  assert.ok(names.length > 5);
  assert.deepEqual(names.filter(({ found }) => !Object.hasOwn(tasks, found)), []);
});

Deno.test("every file of this repository that a document names or points to is there", () => {
  const pointed = mentioned(/\]\((?!https?:|#)([^)#]+)/g)
    .map(({ page, found }) => ({ page, found: new URL(found, `file:///${page}`).pathname.slice(1) }));
  const named = mentioned(
    /[`"\s]\.?\/?((?:lib|tools|tests|docs|mysql|\.github|\.ci)\/[a-z0-9_./-]*[a-z0-9_/])(?=[`"\s,.:])/gi,
  );
  const names = [...pointed, ...named.filter(({ page }) => page !== "CHANGELOG.md")];
  assert.ok(names.length > 10);
  const missing = names.filter(({ found }) => {
    try {
      Deno.statSync(`${ROOT}/${found}`);
      return false;
    } catch {
      return true;
    }
  });
  assert.deepEqual(missing, []);
});

Deno.test("every command that a document shows is one, with flags that it takes", async () => {
  const pages = await catalogue();
  const blocks = mentioned(/^```[a-z]*\n([^]*?)^```/gm).flatMap(({ page, found }) =>
    // Behind a prompt or settings.
    [...found.matchAll(/^(?:\$ )?(?:[A-Z_]+=\S+ )*(securechat .+)$/gm)].map(([, typed = ""]) => ({
      page,
      found: typed,
    }))
  );
  const shown = [...mentioned(/`(securechat [^`\n]+)`/g), ...blocks].filter(({ page }) => page !== "CHANGELOG.md");
  assert.ok(shown.length > 80);
  const wrong = shown.filter(({ found }) => {
    const typed = found.split(/ {2,}#|[|>] |&&/)[0] ?? "";
    const [, name = "", part = ""] = typed.split(" ");
    const entry = pages.find((one) => one.name === `${name} ${part}`) ?? pages.find((one) => one.name === name);
    const flags = [...typed.matchAll(/ --([a-z][a-z0-9-]*)/g)].map(([, flag]) => flag);
    return entry === undefined || flags.some((flag) => !entry.flags.some(({ name }) => name === flag));
  });
  assert.deepEqual(wrong, []);
});

Deno.test("every module that a document names is there", () => {
  const here = new Set(
    ["lib", "tools", "tests", ""].flatMap((folder) =>
      [...Deno.readDirSync(`${ROOT}/${folder}`)].map(({ name }) => name)
    ),
  );
  const names = mentioned(/`([a-z0-9_]+\.ts)`/g).filter(({ page }) => page !== "CHANGELOG.md");
  assert.ok(names.length > 20);
  assert.deepEqual(names.filter(({ found }) => !here.has(found)), []);
});

Deno.test("every heading that a document points to is there", () => {
  const links = mentioned(/\]\(((?!https?:)[^)]*#[^)]+)\)/g);
  assert.ok(links.length > 10);
  const wrong = links.filter(({ page, found }) => {
    const [path = "", anchor = ""] = found.split("#");
    const target = path === "" ? page : new URL(path, `file:///${page}`).pathname.slice(1);
    return !PAGES.includes(target) || !anchorsOf(pageText(target)).includes(anchor);
  });
  assert.deepEqual(wrong, []);
});

Deno.test("the README has at most 12 KB", () => {
  assert.ok(new TextEncoder().encode(pageText("README.md")).length <= 12 * 1024);
});

Deno.test("the example of the library says of evidence what verify says, and needs to read alone", async () => {
  const code = /```ts\n(import \{[^}]*verify[^]*?)```/.exec(pageText("docs/GUIDE.md"))?.[1] ??
    assert.fail("there is no example");
  using folder = temporaryFolder();
  const file = `${folder.path}/example.ts`;
  await Deno.writeTextFile(file, code.replace('"../mod.ts"', JSON.stringify(new URL("../mod.ts", import.meta.url))));
  for (const name of ["session", "line_dropped_fail"]) {
    const evidence = evidenceCases().find((one) => one.name === name) ?? assert.fail(name);
    const args = ["run", "--quiet", "--no-prompt", "--config", `${ROOT}/deno.json`, "--allow-read", file];
    const { status, stdout, stderr } = await runCommand(Deno.execPath(), args, { cwd: evidence.folder });
    assert.equal(status, 0, stderr);
    assert.ok(stdout.startsWith(evidence.expected.status === 0 ? "valid\n" : "invalid\n"), stdout);
    for (const check of evidence.expected.failed) assert.ok(stdout.includes(`\nfailed ${check} `), stdout);
  }
});
