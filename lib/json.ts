/**
 * JSON (RFC 8259) that keeps large integers exact in JavaScript, and its canonical form (RFC 8785).
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

/** An object of {@link Json}; only its own names count, not inherited ones. */
export type JsonObject = { readonly [name: string]: Json };

type Reviver = (name: string, value: unknown, context: { source?: string }) => unknown;
const parseWithSource = JSON.parse as (text: string, reviver: Reviver) => Json;
const rawJson = (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON;

/**
 * Matches the beginning of a number that is not plain digits below 2^53: a sign, or digits followed by a dot or an
 * exponent, or 16 digits.
 */
const ODD = /\s*(?:-|[0-9]+[.eE]|[0-9]{16})/y;
const QUOTE = 0x22;
/** A text with at most so many brackets isn't nested deeper either, so walking through its value can't exhaust the stack. */
const FEW_BRACKETS = 500;
/** Beyond so many marks (which may all be inside one string), looking at each costs more than parsing with sources. */
const MANY_MARKS = 1_000_000;
/** The length of the longest frame: no useful number has more digits, and converting one takes ever longer. */
const MAX_DIGITS = 65_536;

/**
 * Whether a text has only integers below 2^53 and isn't deep. It looks at each place where a number may begin, also
 * inside strings. Such a text can be parsed without the source of each number, which takes a fifth of the time.
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
 * The value of a JSON text; `undefined` if it is not JSON, has a number of more than 65,536 digits, or is nested deeper
 * than the runtime can read or than `maxDepth` lists and objects.
 */
export function parseJson(text: string, maxDepth = Infinity): Json | undefined {
  try {
    if (isPlain(text, Math.min(maxDepth, FEW_BRACKETS))) return JSON.parse(text);
    const value = parseWithSource(text, (_, value, { source }) => {
      if (typeof value !== "number") return value;
      // V8 15 can confuse a name that has an escape with a name that has a backslash, and then gives no source.
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
    // The value contains a bigint. Few do, and looking for one in each part would double the time.
    return JSON.stringify(value, (_, part) => typeof part === "bigint" ? rawJson(part.toString()) : part);
  }
}

/** {@link encodeJson}, in ASCII only: nothing in it has an effect on a terminal. */
export function encodeAsciiJson(value: unknown): string {
  return encodeJson(value).replace(/[\u007f-\uffff]/g, (unit) => {
    return `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

/** Whether this is an object: not null, not a list, not an {@link OddNumber}. */
export function isJsonObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof OddNumber);
}

/** The value under a name of the object's own: `constructor` and `__proto__` are names like others. */
export function member(object: JsonObject, name: string): Json | undefined {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}

/**
 * The first name that occurs twice in one object, at any depth; names are compared after their escapes are resolved.
 * `text` must have passed {@link parseJson}, since this only looks at strings and brackets.
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
    } else { // a string before a colon is a name
      const name = JSON.parse(string) as string;
      if (names.at(-1)?.has(name)) return name;
      names.at(-1)?.add(name);
    }
  }
  return undefined;
}

/** The end of the string that begins there. Not a regular expression, which exhausts its stack on megabytes. */
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
  // Encoding the value again shows every difference except the order of names and lone surrogates, which need escapes.
  const isSame = !text.includes("\\u") && encodeJson(value) === text && hasSortedNames(value);
  return isSame || canonicalJson(value) === text;
}

/** Whether names are sorted at every depth, and every number is in plain digits. */
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

/** The RFC 8785 form; `undefined` if there is none, because of a lone surrogate or a number beyond a double. */
export function canonicalJson(value: Json): string | undefined {
  try {
    return canonical(value);
  } catch {
    return undefined; // canonical() throws what it finds, or the stack is exhausted
  }
}

/**
 * Whether each number in it is the one that its canonical form says: 9007199254740993 is not, since RFC 8785 writes it
 * as 9007199254740992. Of what is signed by that form, such a number could be changed and nobody would see it.
 */
export function isExact(value: Json): boolean {
  try {
    return hasExactNumbers(value);
  } catch {
    return false; // the stack is exhausted
  }
}

function hasExactNumbers(value: Json): boolean {
  if (typeof value === "bigint" || value instanceof OddNumber) {
    const source = value instanceof OddNumber ? value.source : String(value);
    return decimal(source) === decimal(String(Number(source)));
  }
  if (typeof value !== "object" || value === null) return true;
  return (isJsonList(value) ? value : Object.values(value)).every(hasExactNumbers);
}

/** A number's sign, digits and exponent, in one spelling for each value. */
function decimal(text: string): string {
  const [, sign = "", whole = "", part = "", power = "0"] = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([-+]?\d+))?$/.exec(text) ??
    [];
  const digits = (whole + part).replace(/^0+/, "");
  const shortest = digits.replace(/0+$/, "");
  if (shortest === "") return "0";
  return `${sign}${shortest}e${Number(power) - part.length + digits.length - shortest.length}`;
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
