import { assert } from "./assert.ts";
import { ROOT } from "./environment.ts";

/** The layers of lib/, from the ground up. A module that is in none of them has no place yet: give it one here. */
const LAYERS: readonly (readonly string[])[] = [
  ["bytes", "errors", "group_commit", "json", "nearest", "text"],
  [
    "aes_cbc",
    "ca",
    "certificate_path",
    "certificate_signature",
    "der",
    "dh",
    "engine",
    "hash",
    "key_wrap",
    "names",
    "password",
    "private_key",
    "pss",
    "sha256",
    "x509",
  ],
  [
    "checkpoint",
    "envelope",
    "code_token",
    "fields",
    "frame",
    "log_rules",
    "message",
    "receipt",
    "room_line",
    "room_log",
    "room_message",
    "room_receipt",
    "room_state",
    "room_tree",
    "transcript",
  ],
  [
    "connection",
    "handshake_client",
    "handshake_server",
    "line_signature",
    "session",
    "transitions",
    "verdict",
    "verify",
    "verify_room",
  ],
  [
    "accounts",
    "audit",
    "command",
    "devices",
    "hub",
    "line_editor",
    "pins",
    "room",
    "room_client",
    "room_command",
    "room_epochs",
    "room_event",
    "room_heads",
    "room_member",
    "room_screen",
    "room_store",
    "room_text",
    "room_view",
    "room_tables",
    "screen",
    "sql",
    "store",
    "throttle",
  ],
  [
    "ca_folder",
    "completion",
    "config",
    "conversation",
    "deadline",
    "files",
    "identity",
    "journal",
    "libc",
    "libcrypto",
    "line_file",
    "log",
    "man_page",

    "migrations",
    "reconnect",
    "records",
    "renewal",
    "revoked",
    "room_actions",
    "room_export",
    "room_key",
    "room_records",
    "room_session",
    "signature_pool",
    "spool",
    "store_mysql",
    "store_sqlite",
    "terminal",
    "tls_socket",
    "transport",
    "verify_worker",
  ],
];

const PROTOCOL = 3;
const CHAT = 4;
const OUTSIDE = 5;

/** What only layer 5 and those above may touch: the outside world, clocks, chance and timers. */
const OUTSIDE_ONLY =
  /\bDeno\.|\bfetch\(|\bconsole\b|\bDate\.now\b|\bnew Date\(\)|\bperformance\.|\bMath\.random\b|\bgetRandomValues\b|\brandom(?:Bytes|Int|UUID)\b|\bset(?:Timeout|Interval|Immediate)\b|\bprocess\./;

/** Each dependency, and the only modules that import it. */
const DOORS: Readonly<Record<string, readonly string[]>> = {
  "mysql2": ["lib/store_mysql.ts"],
  "@peculiar/x509": ["lib/ca.ts"],
  "reflect-metadata": ["lib/ca.ts"],
  "@logtape/logtape": ["lib/log.ts"],
  "@logtape/file": ["lib/log.ts"],
  "esbuild": ["tools/compile.ts"],
  "leven": ["lib/nearest.ts"],
  "fast-check": [],
};

/** Tests of layers 0 to 4 that need a permission all the same, for folders of cases and the peer. */
const READS_FILES = ["certificate_path_test.ts", "line_signature_test.ts", "verify_test.ts"];

interface Module {
  readonly path: string;
  readonly text: string;
  /** Specifiers, static and dynamic. */
  readonly imports: readonly string[];
}

function moduleOf(path: string, source: string): Module {
  const text = source.replaceAll(/\/\*[\s\S]*?\*\//g, "").replaceAll(/(^|\s)\/\/.*$/gm, "$1");
  const imports = text.matchAll(/(?:\bfrom\s+|\bimport\s*\(?\s*)"([^"]+)"/g);
  return { path, text, imports: [...imports].map(([, specifier]) => specifier ?? "") };
}

function modulesOf(folder: string): Module[] {
  return [...Deno.readDirSync(`${ROOT}/${folder}`)]
    .filter(({ name }) => name.endsWith(".ts"))
    .map(({ name }) => ({ name, path: folder === "" ? name : `${folder}/${name}` }))
    .map(({ path }) => moduleOf(path, Deno.readTextFileSync(`${ROOT}/${path}`)));
}

const lib = modulesOf("lib");
const everything = [...lib, ...modulesOf(""), ...modulesOf("tools")];

const nameOf = ({ path }: Module) => path.replace(/^lib\/|\.ts$/g, "");
const layerOf = (name: string) => LAYERS.findIndex((layer) => layer.includes(name));

/** The modules of lib/ that this one imports. */
function neighbours(module: Module): string[] {
  return module.imports.flatMap((specifier) => /^\.\/([a-z0-9_]+)\.ts$/.exec(specifier)?.[1] ?? []);
}

/** What is wrong with the imports of a module of lib/. */
function wrongImports(module: Module): string[] {
  const own = layerOf(nameOf(module));
  const wrong = neighbours(module).filter((name) => {
    const other = layerOf(name);
    return other > own || (own === CHAT && other === PROTOCOL);
  });
  const elsewhere = module.imports.filter((specifier) => specifier.startsWith(".") && !specifier.startsWith("./"));
  return [...wrong, ...elsewhere].map((name) => `${module.path} imports ${name}`);
}

function forbidden(module: Module): string | undefined {
  if (layerOf(nameOf(module)) >= OUTSIDE) return undefined;
  const found = OUTSIDE_ONLY.exec(module.text)?.[0];
  return found === undefined ? undefined : `${module.path} contains ${found}`;
}

Deno.test("every module of lib/ has its layer, and every name in the table is a module", () => {
  const names = lib.map(nameOf);
  assert.deepEqual(names.filter((name) => layerOf(name) === -1), []);
  assert.deepEqual(LAYERS.flat().filter((name) => !names.includes(name)), []);
});

Deno.test("modules of lib/ import downwards or within their layer, and protocol and chat never each other", () => {
  assert.deepEqual(lib.flatMap(wrongImports), []);
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

Deno.test("layers 0 to 4 touch no file, socket, clock, timer, chance or terminal", () => {
  assert.deepEqual(lib.flatMap((module) => forbidden(module) ?? []), []);
});

Deno.test("each dependency has one door", () => {
  const wrong = everything.flatMap(({ path, imports }) =>
    imports.filter((specifier) => {
      if (/^(?:npm|jsr|https?):/.test(specifier)) return true;
      const door = Object.keys(DOORS).find((name) => specifier === name || specifier.startsWith(`${name}/`));
      if (door !== undefined) return !DOORS[door]?.includes(path);
      return !/^(?:\.|node:)/.test(specifier);
    }).map((specifier) => `${path} imports ${specifier}`)
  );
  assert.deepEqual(wrong, []);
});

Deno.test("flags and exits have one door", () => {
  const holds = (pattern: RegExp) => everything.filter(({ text }) => pattern.test(text)).map(({ path }) => path);
  assert.deepEqual(holds(/\bparse(?:Args|Env)\b/).filter((path) => path !== "mod.ts"), ["lib/config.ts"]);
  assert.deepEqual(holds(/\bDeno\.exit\b/), ["mod.ts"]);
});

/** Tests that start the program and take long: once, from the source, is enough. */
const LONG = ["cert_commands_test.ts", "kill_test.ts", "load_test.ts", "rooms_chaos_test.ts"];

/** The names of the tests, and what the two tasks that list some of them run. */
function tests(): { names: string[]; task: (name: string) => string } {
  const { tasks } = JSON.parse(Deno.readTextFileSync(`${ROOT}/deno.json`));
  const names = [...Deno.readDirSync(`${ROOT}/tests`)].map(({ name }) => name).filter((name) =>
    /_test\.ts$/.test(name)
  );
  return { names: names.toSorted(), task: (name) => tasks[name].command };
}

Deno.test("deno task test:pure runs the tests of layers 0 to 4 but those that read files", () => {
  const { names, task } = tests();
  const low = [...LAYERS.slice(0, OUTSIDE).flat(), "handshake"].map((name) => `${name}_test.ts`);
  const pure = names.filter((name) => low.includes(name) && !READS_FILES.includes(name));
  assert.equal(task("test:pure"), `deno test --no-prompt --quiet ${pure.map((name) => `tests/${name}`).join(" ")}`);
});

Deno.test("deno task test:program runs the tests that start the program but the long ones", () => {
  const { names, task } = tests();
  const starts = /\{[^}]*\b(?:run|program|startServer|BINARY)\b[^}]*\} from "\.\/environment\.ts"/;
  const program = names.filter((name) =>
    starts.test(Deno.readTextFileSync(`${ROOT}/tests/${name}`)) && !LONG.includes(name)
  );
  assert.equal(task("test:program"), `deno test -A --quiet ${program.map((name) => `tests/${name}`).join(" ")}`);
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
  const at = (path: string, source: string) => moduleOf(path, source);
  assert.equal(wrongImports(at("lib/hash.ts", 'import { x } from "./frame.ts";')).length, 1);
  assert.equal(wrongImports(at("lib/session.ts", 'import type { Store } from "./store.ts";')).length, 1);
  assert.equal(wrongImports(at("lib/accounts.ts", 'const x = await import("./session.ts");')).length, 1);
  assert.equal(wrongImports(at("lib/log.ts", 'import { serve } from "../server.ts";')).length, 1);
  assert.equal(wrongImports(at("lib/log.ts", 'import { x } from "./text.ts"; // "./nowhere.ts"')).length, 0);
  assert.match(forbidden(at("lib/frame.ts", "const now = Date.now();")) ?? "", /Date\.now/);
  assert.equal(forbidden(at("lib/frame.ts", "/** Not Date.now. */ // nor Deno.exit")), undefined);
  assert.equal(forbidden(at("lib/log.ts", "const now = Date.now();")), undefined);
});
