import { assert } from "./assert.ts";
import { type Module, modulesOf } from "./modules.ts";
import { PAGES, pageText } from "./readme.ts";

/** A row of the glossary. */
interface Term {
  readonly word: string;
  readonly names: readonly string[];
  readonly not: readonly string[];
}

/** The rows of the table under "Glossary" in docs/ARCHITECTURE.md. */
function glossary(page: string): Term[] {
  const table = /^## Glossary$([^]*?)^## /m.exec(page)?.[1] ?? "";
  return [...table.matchAll(/^\| (.+) \|$/gm)].slice(2).map(([, row = ""]) => {
    const [word = "", , code = "", not = ""] = row.split(" | ").map((cell) => cell.trim());
    return {
      word,
      names: [...code.matchAll(/`(\w+)`/g)].map(([, name = ""]) => name),
      not: not.split(",").map((one) => one.trim()).filter(Boolean),
    };
  });
}

const terms = glossary(pageText("docs/ARCHITECTURE.md"));
const modules = ["lib", "tools", ""].flatMap(modulesOf);

/** A module's comments, each row of a comment joined to the next. */
function commentsOf({ text }: Module): string {
  return (text.match(/\/\*[^]*?\*\/|(?<=^|\s)\/\/.*$/gm) ?? []).join("\n").replaceAll(/\s*\n\s*(?:\*|\/\/)\s*/g, " ");
}

/** Where a text has a word that isn't ours, in the singular or the plural. */
function wrongWords(where: string, text: string): string[] {
  const plain = text.replaceAll(/\s+/g, " ");
  return terms.flatMap(({ word, not }) =>
    not.filter((wrong) => new RegExp(`\\b${wrong}s?\\b`, "i").test(plain))
      .map((wrong) => `${where}: "${wrong}", which is called ${word}`)
  );
}

Deno.test("the glossary has a row for each word, in the order of the alphabet", () => {
  assert.ok(terms.length > 25);
  const words = terms.map(({ word }) => word.replaceAll("`", ""));
  assert.deepEqual(words, words.toSorted());
});

Deno.test("what the glossary calls a type in code is one", () => {
  const declared = new Set(
    modulesOf("lib").flatMap(({ code }) =>
      [...code.matchAll(/\b(?:class|interface|type) (\w+)/g)].map(([, name]) => name)
    ),
  );
  assert.deepEqual(terms.flatMap(({ names }) => names).filter((name) => !declared.has(name)), []);
});

Deno.test("no document and no comment has another word for what the glossary names", () => {
  const pages = PAGES.map((path) => [path, pageText(path).replace(/^## Glossary$[^]*?(?=^## )/m, "")] as const);
  const comments = modules.map((module) => [module.path, commentsOf(module)] as const);
  assert.deepEqual([...pages, ...comments].flatMap(([where, text]) => wrongWords(where, text)), []);
});

Deno.test("a word that isn't ours is found", () => {
  assert.deepEqual(wrongWords("x", "Each participant has\na thumbprint."), [
    'x: "thumbprint", which is called fingerprint',
    'x: "participant", which is called member',
  ]);
  assert.match(commentsOf({ path: "", code: "", imports: [], text: "/**\n * A user\n * name.\n */" }), /A user name/);
});
