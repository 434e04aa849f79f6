import { assert } from "./assert.ts";
import { DEPENDENCIES } from "./doors.ts";
import { ROOT } from "./environment.ts";
import {
  type Layer,
  layerOf,
  LAYERS,
  type Module,
  moduleOf,
  modulesOf,
  nameOf,
  OUTSIDE_ONLY,
  programTests,
  pureTests,
  siblings,
  sideOf,
  valueImports,
} from "./modules.ts";

const lib = modulesOf("lib");
const everything = [...lib, ...modulesOf(""), ...modulesOf("tools")];

/** The layer of each module of lib/, by name. */
const layers = new Map(lib.map((module) => [nameOf(module), layerOf(module)]));
const rankOf = (layer: Layer | undefined) => layer === undefined ? -1 : LAYERS.indexOf(layer);

/** The modules of lib/ that this one imports. */
const neighbours = (module: Module): string[] => siblings(module.imports);

/** What is wrong with the imports of a module of lib/. */
function wrongImports(module: Module): string[] {
  const own = layerOf(module);
  const wrong = neighbours(module).filter((name) => {
    const other = layers.get(name);
    return rankOf(other) > rankOf(own) || (own === "chat" && other === "protocol");
  });
  const elsewhere = module.imports.filter((specifier) => specifier.startsWith(".") && !specifier.startsWith("./"));
  return [...wrong, ...elsewhere].map((name) => `${module.path} imports ${name}`);
}

/** What a module of lib/ loads although it runs on another side. Types are not loaded. */
function foreign(module: Module): string[] {
  const own = sideOf(nameOf(module));
  return siblings(valueImports(module))
    .filter((name) => ![own, "everywhere"].includes(sideOf(name)))
    .map((name) => `${module.path} loads ${name}`);
}

function forbidden(module: Module): string | undefined {
  if (layerOf(module) === "outside") return undefined;
  const found = OUTSIDE_ONLY.exec(module.code)?.[0];
  return found === undefined ? undefined : `${module.path} contains ${found}`;
}

Deno.test("every module of lib/ declares its layer in its head comment", () => {
  assert.deepEqual(lib.filter((module) => layerOf(module) === undefined).map(({ path }) => path), []);
});

Deno.test("modules of lib/ import downwards or within their layer, and protocol and chat never each other", () => {
  assert.deepEqual(lib.flatMap(wrongImports), []);
});

Deno.test("a module of one side loads no module of another: the client, the server, the verifier", () => {
  assert.deepEqual(lib.flatMap(foreign), []);
});

Deno.test("no module of lib/ imports itself, over any way", () => {
  const edges = new Map(lib.map((module) => [nameOf(module), neighbours(module)]));
  const done = new Set<string>();
  const visit = (name: string, path: readonly string[]): string[] => {
    if (path.includes(name)) return [[...path.slice(path.indexOf(name)), name].join(" → ")];
    if (done.has(name)) return [];
    const cycles = (edges.get(name) ?? []).flatMap((next) => visit(next, [...path, name]));
    done.add(name);
    return cycles;
  };
  assert.deepEqual([...edges.keys()].flatMap((name) => visit(name, [])), []);
});

Deno.test("only the outermost layer touches a file, a socket, a clock, a timer, chance or the terminal", () => {
  assert.deepEqual(lib.flatMap((module) => forbidden(module) ?? []), []);
});

Deno.test("each dependency has one door", () => {
  const wrong = everything.flatMap(({ path, imports }) =>
    imports.filter((specifier) => {
      if (/^(?:npm|jsr|https?):/.test(specifier)) return true;
      const name = Object.keys(DEPENDENCIES).find((one) => specifier === one || specifier.startsWith(`${one}/`));
      if (name !== undefined) return !DEPENDENCIES[name]?.doors.includes(path);
      return !/^(?:\.|node:)/.test(specifier);
    }).map((specifier) => `${path} imports ${specifier}`)
  );
  assert.deepEqual(wrong, []);
});

Deno.test("the dependencies with a door are those of deno.json, and each door uses its own", () => {
  const { imports } = JSON.parse(Deno.readTextFileSync(`${ROOT}/deno.json`));
  assert.deepEqual(Object.keys(DEPENDENCIES), Object.keys(imports));
  const unused = Object.entries(DEPENDENCIES).flatMap(([name, { doors }]) =>
    doors.filter((door) => !everything.some(({ path, text }) => path === door && text.includes(`"${name}`)))
  );
  assert.deepEqual(unused, []);
});

Deno.test("flags and exits have one door", () => {
  const holds = (pattern: RegExp) => everything.filter(({ code }) => pattern.test(code)).map(({ path }) => path);
  assert.deepEqual(holds(/\bparse(?:Args|Env)\b/).filter((path) => path !== "mod.ts"), ["lib/command_line.ts"]);
  assert.deepEqual(holds(/\bDeno\.exit\b/), ["mod.ts"]);
});

Deno.test("the rules of a line have one door: no judge compares R, C or H by itself", () => {
  const compare = everything.filter(({ code }) => /\bis(?:OfLog|OpenedBy|CarriedBy)\b/.test(code));
  assert.deepEqual(compare.map(({ path }) => path), ["lib/log_line.ts", "lib/log_rules.ts"]);
});

Deno.test("the tests of pure modules are found, and those that need the outside are not", () => {
  const pure = pureTests();
  for (const name of ["frame", "json", "room", "verify_room"]) assert.ok(pure.includes(`tests/${name}_test.ts`), name);
  for (const name of ["files", "journal", "mod", "rooms_command"]) {
    assert.ok(!pure.includes(`tests/${name}_test.ts`), name);
  }
  const program = programTests();
  assert.ok(program.includes("tests/mod_test.ts") && !program.includes("tests/frame_test.ts"));
});

Deno.test("every module of lib/ begins with what it is for", () => {
  const bare = lib.filter(({ path }) => !Deno.readTextFileSync(`${ROOT}/${path}`).startsWith("/**\n"));
  assert.deepEqual(bare.map(({ path }) => path), []);
});

Deno.test("every exported symbol has its comment", () => {
  const bare = everything.flatMap(({ path }) => {
    const lines = Deno.readTextFileSync(`${ROOT}/${path}`).split("\n");
    // A constant directly below another shares its comment.
    const commented = (at: number) => /\*\/$|^export const .*;$/.test(lines[at - 1] ?? "");
    return lines.filter((line, at) => /^export (?!type \{|\{|\*)/.test(line) && !commented(at))
      .map((line) => `${path}: ${line}`);
  });
  assert.deepEqual(bare, []);
});

Deno.test("the layer rule finds what it forbids", () => {
  const at = (layer: Layer, code: string) =>
    moduleOf("lib/x.ts", `/**\n * What it is for.\n *\n * @layer ${layer}\n */\n${code}`);
  assert.equal(wrongImports(at("crypto", 'import { x } from "./frame.ts";')).length, 1);
  assert.equal(wrongImports(at("protocol", 'import type { Store } from "./server_store.ts";')).length, 1);
  assert.equal(wrongImports(at("chat", 'const x = await import("./session.ts");')).length, 1);
  assert.equal(wrongImports(at("outside", 'import { serve } from "../server.ts";')).length, 1);
  assert.equal(wrongImports(at("outside", 'import { x } from "./text.ts"; // "./nowhere.ts"')).length, 0);
  const side = (name: string, code: string) => foreign(moduleOf(`lib/${name}.ts`, code)).length;
  assert.equal(side("client_x", 'import { Room } from "./room.ts";'), 1);
  assert.equal(side("server_x", 'const { LineEditor } = await import("./client_screen.ts");'), 1);
  assert.equal(side("frame", 'import { Session } from "./client_session.ts";'), 1);
  assert.equal(side("verify_x", 'import type { Room } from "./room.ts";'), 0);
  assert.equal(side("room_x", 'import { Throttle } from "./server_throttle.ts";'), 0);
  assert.match(forbidden(at("format", "const now = Date.now();")) ?? "", /Date\.now/);
  assert.equal(forbidden(at("format", "/** Not Date.now. */ // nor Deno.exit")), undefined);
  assert.equal(forbidden(at("outside", "const now = Date.now();")), undefined);
  assert.equal(layerOf(moduleOf("lib/x.ts", "/**\n * @layer elsewhere\n */")), undefined);
});
