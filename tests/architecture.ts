/**
 * The parts of docs/ARCHITECTURE.md that follow from the modules: the picture of layers, and the families.
 */

import {
  FAMILIES,
  familyOf,
  type Layer,
  layerOf,
  LAYERS,
  type Module,
  modulesOf,
  nameOf,
  siblings,
} from "./modules.ts";

const HOLDS: Readonly<Record<Layer, string>> = {
  outside: "sockets, files, databases, the terminal, the clock: all that needs a permission",
  chat: "rooms, on the server and in the client",
  protocol: "one side of a connection: bytes in, events out; and the offline verifier",
  format: "what travels and what is kept: frames, lines, checkpoints, receipts",
  crypto: "algorithms, keys, certificates",
  ground: "bytes, JSON, text, errors",
};

const lib = modulesOf("lib");
const layers = new Map(lib.map((module) => [nameOf(module), layerOf(module)]));

/** The families of some modules, by prefix, and how many modules have none. */
function familiesIn(modules: readonly Module[]): string[] {
  const prefixes = new Set(modules.map((module) => familyOf(nameOf(module))?.prefix));
  return FAMILIES.map(({ prefix }) => prefix).filter((prefix) => prefixes.has(prefix)).map((prefix) => `${prefix}_*`);
}

/** The layers that modules of a layer import, themselves not counted. */
function importedBy(from: Layer): Layer[] {
  const names = lib.filter((module) => layerOf(module) === from).flatMap(({ imports }) => siblings(imports));
  return LAYERS.filter((to) => to !== from && names.some((name) => layers.get(name) === to));
}

/** The picture of the layers, in Mermaid: an arrow for each layer that imports another, unless others lead there. */
export function layerPicture(): string {
  const boxes = LAYERS.toReversed().map((layer) => {
    const families = familiesIn(lib.filter((module) => layerOf(module) === layer));
    return `  ${layer}["<b>${layer}</b><br>${[HOLDS[layer], families.join(" ")].filter(Boolean).join("<br>")}"]`;
  });
  const arrows = LAYERS.toReversed().flatMap((from) => {
    const below = importedBy(from);
    // What another layer below imports as well is not drawn twice.
    return below.filter((to) => !below.some((between) => importedBy(between).includes(to)))
      .map((to) => `  ${from} --> ${to}`);
  });
  return ["flowchart TD", ...boxes, ...arrows].join("\n");
}

/** A row for each family: its prefix, where it runs, what it holds. */
export function familyRows(): string[][] {
  return FAMILIES.map(({ prefix, side, holds }) => [`\`${prefix}_\``, side, holds]);
}
