/**
 * The program's modules as they declare themselves: which layer each belongs to, what it imports, and which tests
 * follow from that.
 *
 *     deno run -A tests/modules.ts pure       runs the tests that need no permission
 *     deno run -A tests/modules.ts program    runs the tests that start the program, but for the long ones
 *     deno run -A tests/modules.ts list       names the modules of lib/ by layer, each with what it is for
 *
 * A module of lib/ names its layer in its head comment (`@layer format`). A test is pure if neither it nor anything
 * that it imports touches the outside; it starts the program if it imports that from `environment.ts`.
 */

import { ROOT } from "./environment.ts";

/** The layers of lib/, from the ground up. */
export const LAYERS = ["ground", "crypto", "format", "protocol", "chat", "outside"] as const;

/** One of {@link LAYERS}. */
export type Layer = typeof LAYERS[number];

/** Where a module of lib/ runs. What runs everywhere knows nothing of a side. */
export type Side = "client" | "server" | "verifier" | "everywhere";

/** A family of lib/: modules whose names begin alike. The prefix says where they run. */
export interface Family {
  /** What a name begins with, up to its end or an underscore. */
  readonly prefix: string;
  readonly side: Side;
  readonly holds: string;
}

/** The families of lib/. A module of none of them runs everywhere. */
export const FAMILIES: readonly Family[] = [
  { prefix: "client", side: "client", holds: "a person's client: session, rooms, records on disk, commands, screens" },
  { prefix: "handshake_client", side: "client", holds: "the client's side of the protocol" },
  { prefix: "server", side: "server", holds: "connections, accounts, devices, audit log, journals, limits" },
  { prefix: "handshake_server", side: "server", holds: "the server's side of the protocol" },
  { prefix: "room", side: "server", holds: "the server's rooms: placing lines, members, keys, heads" },
  { prefix: "store", side: "server", holds: "databases: SQLite, MySQL and MariaDB" },
  { prefix: "logging", side: "server", holds: "the server's log file" },
  { prefix: "verify", side: "verifier", holds: "the offline check of evidence" },
  {
    prefix: "log",
    side: "everywhere",
    holds: "logs of rooms and of the server: lines, envelopes, trees, checkpoints, receipts, rules, ticks",
  },
  { prefix: "witness", side: "everywhere", holds: "who cosigns a log: policies, and the witness itself" },
  { prefix: "certificate", side: "everywhere", holds: "the check of certificates" },
  { prefix: "x509", side: "everywhere", holds: "reading certificates and revocation lists" },
  { prefix: "timestamp", side: "everywhere", holds: "time-stamp tokens: asking for them, and judging them" },
  { prefix: "ca", side: "everywhere", holds: "issuing and revoking certificates" },
  { prefix: "private_key", side: "everywhere", holds: "private keys as files" },
  { prefix: "password", side: "everywhere", holds: "passwords: rules, digests, stored records" },
  { prefix: "line_signature", side: "everywhere", holds: "the signatures of many lines at once" },
];

/** The family of a module of lib/, by its name: the longest prefix. */
export function familyOf(name: string): Family | undefined {
  return FAMILIES.filter(({ prefix }) => name === prefix || name.startsWith(`${prefix}_`))
    .toSorted((a, b) => b.prefix.length - a.prefix.length)[0];
}

/** Where a module of lib/ runs, by its name. */
export const sideOf = (name: string): Side => familyOf(name)?.side ?? "everywhere";

/** A module of the program or of the tests. */
export interface Module {
  readonly path: string;
  readonly text: string;
  /** The text without comments. */
  readonly code: string;
  /** Specifiers, static and dynamic. */
  readonly imports: readonly string[];
}

/** A module out of its text. */
export function moduleOf(path: string, text: string): Module {
  const code = text.replaceAll(/\/\*[\s\S]*?\*\//g, "").replaceAll(/(^|\s)\/\/.*$/gm, "$1");
  const imports = code.matchAll(/(?:\bfrom\s+|\bimport\s*\(?\s*)"([^"]+)"/g);
  return { path, text, code, imports: [...imports].map(([, specifier]) => specifier ?? "") };
}

/** All modules of a folder: `lib`, `tools`, `tests`, or the top with an empty name. */
export function modulesOf(folder: string): Module[] {
  return [...Deno.readDirSync(`${ROOT}/${folder}`)]
    .filter(({ name }) => name.endsWith(".ts"))
    .map(({ name }) => folder === "" ? name : `${folder}/${name}`)
    .toSorted()
    .map((path) => moduleOf(path, Deno.readTextFileSync(`${ROOT}/${path}`)));
}

/** The layer that a module's head comment declares; `undefined` if it declares none that there is. */
export function layerOf({ text }: Module): Layer | undefined {
  const head = /^\/\*\*\n([^]*?)\*\//.exec(text)?.[1] ?? "";
  return LAYERS.find((layer) => layer === /^ \* @layer ([a-z]+)$/m.exec(head)?.[1]);
}

/** The name of a module of lib/: `frame`. */
export const nameOf = ({ path }: Module): string => path.replace(/^lib\/|\.ts$/g, "");

/** What only the outermost layer and those above may touch: the outside world, clocks, chance and timers. */
export const OUTSIDE_ONLY =
  /\bDeno\.(?!test\b)|\bfetch\(|\bconsole\b|\bDate\.now\b|\bnew Date\(\)|\bperformance\.|\bMath\.random\b|\bgetRandomValues\b|\brandom(?:Bytes|Int|UUID)\b|\bset(?:Timeout|Interval|Immediate)\b|\bprocess\./;

/** Tests that start the program and take long: once, from the source, is enough. */
const LONG = ["tests/cert_commands_test.ts", "tests/kill_test.ts", "tests/load_test.ts", "tests/rooms_chaos_test.ts"];

/** The names of the modules of lib/ among specifiers of one of them. */
export function siblings(specifiers: readonly string[]): string[] {
  return specifiers.flatMap((specifier) => /^\.\/([a-z0-9_]+)\.ts$/.exec(specifier)?.[1] ?? []);
}

/** The paths of the tests that need no permission at all. */
export function pureTests(): string[] {
  const lib = modulesOf("lib");
  const tests = modulesOf("tests");
  const all = new Map(
    [...lib, ...tests, ...modulesOf("tools"), ...modulesOf("")].map((module) => [module.path, module]),
  );
  const isPure = (path: string, seen: Set<string>): boolean => {
    if (seen.has(path)) return true;
    seen.add(path);
    const module = all.get(path);
    if (!module) return path.endsWith(".json");
    const layer = layerOf(module);
    if (path.startsWith("lib/")) return layer !== undefined && layer !== "outside";
    // Tests may draw random numbers and look at the clock; neither needs a permission.
    if (!path.startsWith("tests/") || /\bDeno\.(?!test\b)/.test(module.code)) return false;
    return valueImports(module).every((specifier) =>
      !specifier.startsWith(".") || isPure(resolve(path, specifier), seen)
    );
  };
  return tests.map(({ path }) => path).filter((path) => /_test\.ts$/.test(path) && isPure(path, new Set()));
}

/** What is loaded when the module is: types aren't. */
export function valueImports({ path, code }: Module): readonly string[] {
  const isOfTypes = /^(?:import|export) (?:type\b[^;]*?|\{(?:\s*type \w+,?)+\s*\}) from "[^"]+";$/gm;
  return moduleOf(path, code.replaceAll(isOfTypes, "")).imports;
}

function resolve(from: string, specifier: string): string {
  return new URL(specifier, `file:///${from}`).pathname.slice(1);
}

/** The paths of the tests that start the program, but for the long ones. */
export function programTests(): string[] {
  const starts = /\{[^}]*\b(?:run|program|startServer|BINARY)\b[^}]*\} from "\.\/environment\.ts"/;
  return modulesOf("tests").filter(({ path, text }) => /_test\.ts$/.test(path) && starts.test(text))
    .map(({ path }) => path).filter((path) => !LONG.includes(path));
}

/** The first sentence of a module's head comment. */
export function purposeOf({ text }: Module): string {
  const head = /^\/\*\*\n([^]*?)\*\//.exec(text)?.[1] ?? "";
  return /^.*?\.(?= |$)/.exec(head.replaceAll(/\s*\n? \* ?/g, " ").trim())?.[0] ?? "";
}

/** The modules of lib/ by layer, from the outermost one, each with what it is for. */
function listing(): string {
  const lib = modulesOf("lib");
  return LAYERS.toReversed().map((layer) => {
    const rows = lib.filter((module) => layerOf(module) === layer)
      .map((module) => `  ${nameOf(module).padEnd(24)} ${purposeOf(module)}`);
    return [layer, ...rows].join("\n");
  }).join("\n\n");
}

if (import.meta.main && Deno.args[0] === "list") {
  console.log(listing());
} else if (import.meta.main) {
  const lists = { pure: pureTests, program: programTests } as const;
  const [name, ...more] = Deno.args;
  if (name !== "pure" && name !== "program") throw new RangeError("pure or program is wanted");
  const permission = name === "pure" ? "--no-prompt" : "-A";
  const args = ["test", permission, "--quiet", ...more, ...lists[name]()];
  const { code } = await new Deno.Command(Deno.execPath(), { args, cwd: ROOT }).spawn().status;
  Deno.exit(code);
}
