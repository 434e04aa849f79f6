/**
 * Reads DER (ITU-T X.690 section 10) as strictly as certificates need it, and writes the little that a protected key
 * needs.
 *
 *     30 06            SEQUENCE of 6 bytes
 *        02 01 05         INTEGER 5
 *        01 01 ff         BOOLEAN true
 *
 *     const fields = new Fields(parseDer(bytes), "the example");
 *     fields.next(TAG.integer) → { tag: 2, content: 05, whole: 02 01 05 }
 *
 * Refused are: lengths that are indefinite or longer than necessary, bytes after the end, tags of more than one octet,
 * and integers, booleans, object identifiers and bit strings in any form except the shortest. Elements are parsed only
 * when a caller looks into them; an unknown extension stays bytes. A {@link DerError} names the field.
 *
 * @layer crypto
 */

import { type Bytes, concat, encodeBase64, parseHex, parseUtf8 } from "./bytes.ts";

/** The tags in use. */
export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  enumerated: 0x0a,
  utf8String: 0x0c,
  printableString: 0x13,
  teletexString: 0x14,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  bmpString: 0x1e,
  sequence: 0x30,
  set: 0x31,
} as const;

/** The tag of a context-specific field, `[number]`; constructed unless told otherwise. */
export function contextTag(number: number, constructed = true): number {
  return 0x80 | (constructed ? 0x20 : 0) | number;
}

/** What is wrong with the bytes: one phrase that names the field. */
export class DerError extends Error {}

/** One element: views into the bytes that were parsed. */
export interface Element {
  readonly tag: number;
  readonly content: Bytes;
  /** Tag, length and content. */
  readonly whole: Bytes;
}

/** Parses bytes that are exactly one element. */
export function parseDer(bytes: Bytes, what: string): Element {
  const element = readElement(bytes, 0, what);
  if (element.whole.length !== bytes.length) throw new DerError(`${what} has bytes after its end`);
  return element;
}

/** What a constructed element consists of. */
export function elements(parent: Element, what: string): Element[] {
  const found: Element[] = [];
  for (let at = 0; at < parent.content.length;) {
    const element = readElement(parent.content, at, what);
    found.push(element);
    at += element.whole.length;
  }
  return found;
}

function readElement(bytes: Bytes, start: number, what: string): Element {
  const tag = bytes[start];
  let length = bytes[start + 1];
  let at = start + 2;
  if (tag === undefined || length === undefined) throw new DerError(`${what} is cut short`);
  if ((tag & 0x1f) === 0x1f) throw new DerError(`${what} has a tag that no certificate uses`);
  if (length >= 0x80) {
    const octets = length & 0x7f;
    if (octets < 1 || octets > 3) throw new DerError(`${what} has a length that DER doesn't allow`);
    if (at + octets > bytes.length) throw new DerError(`${what} is cut short`);
    length = 0;
    for (const end = at + octets; at < end; at++) length = length * 256 + (bytes[at] ?? 0);
    const shortest = length < 0x80 ? 0 : length < 0x100 ? 1 : length < 0x10000 ? 2 : 3;
    if (octets !== shortest) throw new DerError(`${what} has a length that DER doesn't allow`);
  }
  if (at + length > bytes.length) throw new DerError(`${what} is cut short`);
  return { tag, content: bytes.subarray(at, at + length), whole: bytes.subarray(start, at + length) };
}

/** The fields of a SEQUENCE (or of a constructed element of another tag), in order. */
export class DerFields {
  readonly #elements: Element[];
  readonly #what: string;
  #at = 0;

  constructor(parent: Element, what: string, tag: number = TAG.sequence) {
    if (parent.tag !== tag) throw new DerError(`${what} is of the wrong kind`);
    this.#elements = elements(parent, what);
    this.#what = what;
  }

  /** The next field, which must be there and have one of the tags. */
  next(...tags: readonly number[]): Element {
    const element = this.#elements[this.#at];
    if (element === undefined) throw new DerError(`${this.#what} lacks a field`);
    if (!tags.includes(element.tag)) throw new DerError(`${this.#what} has a field of the wrong kind`);
    this.#at++;
    return element;
  }

  /** The next field, if it has one of the tags. */
  optional(...tags: readonly number[]): Element | undefined {
    const element = this.#elements[this.#at];
    if (element === undefined || !tags.includes(element.tag)) return undefined;
    this.#at++;
    return element;
  }

  /** Throws if another field follows. */
  end(): void {
    if (this.#at < this.#elements.length) throw new DerError(`${this.#what} has a field too many`);
  }
}

/** The content of an INTEGER or ENUMERATED as two's complement bytes in the shortest form. */
export function readInteger(element: Element, what: string): Bytes {
  const [first, second] = element.content;
  if (first === undefined) throw new DerError(`${what} is empty`);
  const padded = second !== undefined && (first === 0 ? second < 0x80 : first === 0xff && second >= 0x80);
  if (padded) throw new DerError(`${what} has needless octets`);
  return element.content;
}

/** A small INTEGER that isn't negative. */
export function readCount(element: Element, what: string): number {
  const bytes = readInteger(element, what);
  if (bytes.length > 4 || (bytes[0] ?? 0) >= 0x80) throw new DerError(`${what} is out of range`);
  return bytes.reduce((value, byte) => value * 256 + byte, 0);
}

/** A BOOLEAN. */
export function readBoolean(element: Element, what: string): boolean {
  const [value] = element.content;
  if (element.content.length !== 1 || (value !== 0 && value !== 0xff)) throw new DerError(`${what} is not a BOOLEAN`);
  return value === 0xff;
}

/** An OBJECT IDENTIFIER in dotted form. */
export function readOid(element: Element, what: string): string {
  const arcs: bigint[] = [];
  let arc = 0n;
  let fresh = true;
  for (const octet of element.content) {
    if (fresh && octet === 0x80) throw new DerError(`${what} has needless octets`);
    arc = arc << 7n | BigInt(octet & 0x7f);
    fresh = octet < 0x80;
    if (fresh) {
      arcs.push(arc);
      arc = 0n;
    }
  }
  const [first] = arcs;
  if (first === undefined || !fresh || element.content.length > 64) throw new DerError(`${what} is cut short`);
  const top = first < 40n ? 0n : first < 80n ? 1n : 2n;
  return [top, first - 40n * top, ...arcs.slice(1)].join(".");
}

/** A BIT STRING of whole octets. */
export function readOctets(element: Element, what: string): Bytes {
  if (element.content[0] !== 0) throw new DerError(`${what} is not a string of whole octets`);
  return element.content.subarray(1);
}

/** The numbers of the bits that are set in a BIT STRING of named bits. */
export function readNamedBits(element: Element, what: string): Set<number> {
  const [unused, ...octets] = element.content;
  const last = octets.at(-1);
  // X.690 section 11.2.2: no zero bits at the end, so the last bit in use is set.
  const shortest = unused !== undefined && unused < 8 &&
    (last === undefined ? unused === 0 : (last & ((2 << unused) - 1)) === 1 << unused);
  if (!shortest) throw new DerError(`${what} is not in its shortest form`);
  const bits = new Set<number>();
  octets.forEach((octet, i) => {
    for (let bit = 0; bit < 8; bit++) if (octet & (0x80 >> bit)) bits.add(8 * i + bit);
  });
  return bits;
}

/** UTCTime or GeneralizedTime in the form of RFC 5280 section 4.1.2.5, as unix milliseconds. */
export function readTime(element: Element, what: string): number {
  const text = String.fromCharCode(...element.content.subarray(0, 20));
  const form = element.tag === TAG.utcTime ? /^(\d\d)(\d{10})Z$/ : /^(\d{4})(\d{10})Z$/;
  const [, year = "", rest = ""] = form.exec(text) ?? [];
  const century = element.tag === TAG.generalizedTime ? "" : Number(year) >= 50 ? "19" : "20";
  const [month, day, hour, minute, second] = rest.match(/\d\d/g) ?? [];
  const iso = `${century}${year}-${month}-${day}T${hour}:${minute}:${second}.000Z`;
  const time = Date.parse(iso);
  // 30 February would become a day of March, so the date is written again and compared.
  if (Number.isNaN(time) || new Date(time).toISOString() !== iso) throw new DerError(`${what} is not a date`);
  return time;
}

/** A text in one of the string types of names. */
export function readText(element: Element, what: string): string {
  const { tag, content } = element;
  if (tag === TAG.bmpString && content.length % 2 === 1) throw new DerError(`${what} ends within a character`);
  const units = tag === TAG.bmpString ? pairs(content) : tag === TAG.teletexString ? content : undefined;
  const text = units === undefined ? parseUtf8(content) : String.fromCharCode(...units);
  const ascii = tag === TAG.printableString || tag === TAG.ia5String;
  // deno-lint-ignore no-control-regex
  if (text === undefined || !text.isWellFormed() || (ascii && !/^[\x00-\x7f]*$/.test(text))) {
    throw new DerError(`${what} is not a text of its stated type`);
  }
  return text;
}

function pairs(bytes: Uint8Array): number[] {
  return Array.from({ length: bytes.length >> 1 }, (_, i) => (bytes[2 * i] ?? 0) << 8 | (bytes[2 * i + 1] ?? 0));
}

/** An element of that tag around the parts. */
export function encodeDer(tag: number, ...parts: readonly Uint8Array[]): Bytes {
  const content = concat(...parts);
  const octets = parseHex(content.length.toString(16).replace(/^(?=(..)*.$)/, "0")) ?? new Uint8Array();
  const length = content.length < 0x80 ? octets : concat(Uint8Array.of(0x80 | octets.length), octets);
  return concat(Uint8Array.of(tag), length, content);
}

/** An OBJECT IDENTIFIER. */
export function encodeOid(dotted: string): Bytes {
  const [top = 0, second = 0, ...rest] = dotted.split(".").map(Number);
  const octets = [40 * top + second, ...rest].flatMap((arc) => {
    const groups = [arc & 0x7f];
    for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128)) groups.unshift(0x80 | left & 0x7f);
    return groups;
  });
  return encodeDer(TAG.oid, Uint8Array.from(octets));
}

/** An INTEGER that isn't negative. */
export function encodeCount(value: number | bigint): Bytes {
  const hex = value.toString(16).replace(/^(?=(..)*.$)/, "0").replace(/^(?=[89a-f])/, "00");
  return encodeDer(TAG.integer, parseHex(hex) ?? new Uint8Array());
}

/** The bytes as PEM (RFC 7468) with that label: 64 characters a line, LF after the last line too. */
export function encodePem(label: string, der: Uint8Array): string {
  const lines = encodeBase64(der).match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ""].join("\n");
}
