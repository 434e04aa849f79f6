import { assert } from "./assert.ts";
import { ROOT } from "./environment.ts";
import { modulesOf } from "./modules.ts";

const PROTOCOL = Deno.readTextFileSync(`${ROOT}/docs/PROTOCOL.md`);
const headings = new Set([...PROTOCOL.matchAll(/^#+ (.*)$/gm)].map(([, heading]) => heading));

/** The headings of docs/PROTOCOL.md that a text names. */
function citedIn(text: string): string[] {
  const plain = text.replaceAll(/\s+(?:\*|\/\/)\s+|\s+/g, " ");
  return [...plain.matchAll(/docs\/PROTOCOL\.md((?:(?:,| and) "[^"]+")+)/g)]
    .flatMap(([, names = ""]) => [...names.matchAll(/"([^"]+)"/g)].map(([, name = ""]) => name));
}

const everything = ["lib", "tools", "tests", ""].flatMap(modulesOf);

Deno.test("every heading of docs/PROTOCOL.md that the code cites is there", () => {
  const cited = everything.flatMap(({ path, text }) => citedIn(text).map((name) => ({ path, name })));
  assert.ok(cited.length > 60);
  assert.deepEqual(cited.filter(({ name, path }) => !headings.has(name) && path !== "tests/headings_test.ts"), []);
});

Deno.test("no comment cites a page that isn't in the repository", () => {
  // A section belongs to a standard, which is named before it.
  const page = /\b(?:protocol|rooms|evidence|scale|content|architecture)\.md\b(?! *`?\))|^\s*(?:\*|\/\/) Sections? \d/;
  const wrong = everything.flatMap(({ path, text }) =>
    text.split("\n").filter((row) => page.test(row) && !path.startsWith("tests/")).map((row) =>
      `${path}: ${row.trim()}`
    )
  );
  assert.deepEqual(wrong, []);
});

Deno.test("a heading that isn't there is found", () => {
  assert.deepEqual(citedIn('(docs/PROTOCOL.md,\n * "Messages" and "Nowhere")'), ["Messages", "Nowhere"]);
  assert.ok(!headings.has("Nowhere"));
});
