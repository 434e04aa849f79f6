/**
 * JSON (RFC 8259) whose integers survive the way through JavaScript, and its canonical form (RFC 8785).
 *
 *     parseJson('{"A": 179769313486231590772930519, "x": 1.50}')
 *     → { A: 179769313486231590772930519n, x: OddNumber("1.50") }
 *
 * A plain run of digits is a `number` up to 2^53 - 1 and a `bigint` beyond; a number with a fraction, an exponent or a
 * sign is an {@link OddNumber}, which never passes for an integer (docs/PROTOCOL.md, "Frames"). TypeScript knows
 * neither the reviver's third argument nor `JSON.rawJSON`: both are wrapped here and nowhere else.
 *
 * @layer ground
 */

/** A number that is not a plain run of digits, as it was written. */
export class OddNumber {
  constructor(readonly source: string) {}

  /** For JSON.stringify. */
  toJSON(): unknown {
    return rawJson(this.source);
  }
}

/** What a JSON text holds. */
export type Json = null | boolean | string | number | bigint | OddNumber | readonly Json[] | JsonObject;

/** An object of {@link Json}, read by own names alone. */
export type JsonObject = { readonly [name: string]: Json };

type Reviver = (name: string, value: unknown, context: { source?: string }) => unknown;
const parseWithSource = JSON.parse as (text: string, reviver: Reviver) => Json;
const rawJson = (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON;

/**
 * What begins a number other than plain digits below 2^53: a sign, or digits up to a dot, an exponent or a sixteenth.
 */
const ODD = /\s*(?:-|[0-9]+[.eE]|[0-9]{16})/y;
const QUOTE = 0x22;
/** With no more of these a text is nested no deeper, and nothing that walks through its value exhausts the stack. */
const FEW_BRACKETS = 500;
/** With more marks than this, which may all stand in one string, looking at each costs more than the other way. */
const MANY_MARKS = 1_000_000;
/** The longest frame: no number that means something has more digits, and working one out takes ever longer. */
const MAX_DIGITS = 65_536;

/**
 * Whether a text has integers below 2^53 alone and is not deep, by what stands where a number or a value may begin, in
 * strings too. Such a text needs no look at the source of each number, which costs five times as much as the parsing.
 */
function isPlain(text: string, fewBrackets: number): boolean {
  let [brackets, marks] = [0, 0];
  for (const mark of [":", ",", "[", "{"]) {
    for (let at = text.indexOf(mark); at >= 0; at = text.indexOf(mark, at + 1)) {
      if (++marks > MANY_MARKS || ((mark === "[" || mark === "{") && ++brackets > fewBrackets)) return false;
      if (text.charCodeAt(at + 1) === QUOTE) continue; // a string, which most values are
      ODD.lastIndex = at + 1;
      if (ODD.test(text)) return false;
    }
  }
  ODD.lastIndex = 0;
  return !ODD.test(text);
}

/**
 * The value of a JSON text; `undefined` where it is not JSON, has a number of more than 65,536 digits, or is nested beyond
 * what the runtime can read, or deeper than `maxDepth`: so many lists and objects in one another.
 */
export function parseJson(text: string, maxDepth = Infinity): Json | undefined {
  try {
    if (isPlain(text, Math.min(maxDepth, FEW_BRACKETS))) return JSON.parse(text);
    const value = parseWithSource(text, (_, value, { source }) => {
      if (typeof value !== "number") return value;
      // V8 15 reads a name with an escape for another with a backslash that it has just seen, and then finds no source.
      if (source === undefined) throw new SyntaxError("a number without its source");
      if (source.length > MAX_DIGITS) throw new SyntaxError("a number without end");
      if (!/^[0-9]+$/.test(source)) return new OddNumber(source);
      return Number.isSafeInteger(value) ? value : BigInt(source);
    });
    return maxDepth < Infinity && isDeeper(value, maxDepth) ? undefined : value;
  } catch {
    return undefined; // a SyntaxError, or a RangeError from a nesting that exhausts the stack
  }
}

function isDeeper(value: Json, depth: number): boolean {
  if (!isJsonObject(value) && !isJsonList(value)) return false;
  return depth === 0 || Object.values(value).some((part) => isDeeper(part, depth - 1));
}

/** JSON in one line, bigints as plain digits and odd numbers as they were written. */
export function encodeJson(value: unknown): string {
  try {
    return JSON.stringify(value);
  } catch {
    // A bigint, which few values have, and looking at each part for one costs as much again.
    return JSON.stringify(value, (_, part) => typeof part === "bigint" ? rawJson(part.toString()) : part);
  }
}

/** {@link encodeJson} in ASCII alone: nothing in it acts on a terminal. */
export function encodeAsciiJson(value: unknown): string {
  return encodeJson(value).replace(/[\u007f-\uffff]/g, (unit) => {
    return `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

/** Whether this is an object: not null, not a list, not an {@link OddNumber}. */
export function isJsonObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof OddNumber);
}

/** The value that stands under a name of the object's own: `constructor` and `__proto__` are names like others. */
export function member(object: JsonObject, name: string): Json | undefined {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}

/**
 * The first name that stands twice in one object, anywhere inside, compared after its escapes are resolved.
 * `text` must have passed {@link parseJson}: this looks at strings and brackets alone.
 */
export function repeatedName(text: string): string | undefined {
  const names: Set<string>[] = [];
  const marks = /["{}:]/g;
  let string = "";
  for (let mark = marks.exec(text); mark; mark = marks.exec(text)) {
    if (mark[0] === "{") names.push(new Set());
    else if (mark[0] === "}") names.pop();
    else if (mark[0] === '"') {
      marks.lastIndex = endOfString(text, mark.index);
      string = text.slice(mark.index, marks.lastIndex);
    } else { // what stands before a colon is a name
      const name = JSON.parse(string) as string;
      if (names.at(-1)?.has(name)) return name;
      names.at(-1)?.add(name);
    }
  }
  return undefined;
}

/** Where the string that begins there is over. Not a regular expression: a string of megabytes exhausts its stack. */
function endOfString(text: string, begin: number): number {
  let quote = begin;
  let backslashes: number;
  do {
    quote = text.indexOf('"', quote + 1);
    for (backslashes = 0; text[quote - 1 - backslashes] === "\\"; backslashes++);
  } while (backslashes % 2 === 1);
  return quote + 1;
}

/** Whether a text, of which `value` was parsed, is its own RFC 8785 form. */
export function isCanonicalJson(text: string, value: Json): boolean {
  // Writing it again shows all but the order of names, and halves of characters, which are written as escapes.
  const isSame = !text.includes("\\u") && encodeJson(value) === text && hasSortedNames(value);
  return isSame || canonicalJson(value) === text;
}

/** Whether names are sorted everywhere inside, and every number is one whose form is its digits. */
function hasSortedNames(value: Json): boolean {
  if (typeof value === "bigint" || value instanceof OddNumber) return false;
  if (typeof value !== "object" || value === null) return true;
  if (isJsonList(value)) return value.every(hasSortedNames);
  let last = "";
  for (const name of Object.keys(value)) {
    if (name < last || !hasSortedNames(value[name] ?? null)) return false;
    last = name;
  }
  return true;
}

/** The RFC 8785 form; `undefined` where there is none: a lone surrogate, or a number beyond a double. */
export function canonicalJson(value: Json): string | undefined {
  try {
    return canonical(value);
  } catch {
    return undefined; // canonical() throws what it finds, or the stack is exhausted
  }
}

function canonical(value: Json): string {
  if (value === null || typeof value === "boolean") return String(value);
  if (typeof value === "string") {
    if (!value.isWellFormed()) throw new RangeError("lone surrogate");
    return JSON.stringify(value); // its escapes are those of RFC 8785 section 3.2.2.2
  }
  if (typeof value === "number" || typeof value === "bigint" || value instanceof OddNumber) {
    const double = Number(value instanceof OddNumber ? value.source : value);
    if (!Number.isFinite(double)) throw new RangeError("beyond a double");
    return String(double === 0 ? 0 : double); // section 3.2.2.3: -0 is 0
  }
  if (isJsonList(value)) return `[${value.map(canonical).join(",")}]`;
  // RFC 8785, section 3.2.3, sorts by UTF-16 code units, which is what sort() without an argument does.
  const members = Object.keys(value).sort().map((name) => `${canonical(name)}:${canonical(value[name] as Json)}`);
  return `{${members.join(",")}}`;
}

/** Whether this is a list: `Array.isArray` does not narrow a readonly one. */
export function isJsonList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}
