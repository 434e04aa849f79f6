/**
 * The bundle: all that is shown of a record in one file (docs/PROTOCOL.md, "One file"). It is POSIX ustar, so that `tar
 * xf` and openssl are enough to look inside, and so strict that one content has one form.
 *
 *     README.txt  receipt.json  transcript.txt  openings.txt  log.json  notes/<size>.note …  tokens/<size>.<k>.tst …
 *     tsa.pem  ca.pem  crl.pem  ticks.bin  renewal/<k>.crl  renewal/<k>.tst  renewal/<k>.pem …
 *
 *     header (512 bytes, remade and compared) · content · zeros up to 512 …     at the end 1,024 zeros, and nothing more
 *
 * The members come in this order, each once; what isn't needed is left out. Numbers are decimal without leading zeros.
 * A file is read where it lies: {@link readBundle} reads the headers only, and contents are read from their places.
 * What the members say is the question of the verifier.
 *
 * @layer format
 */

import { type Bytes, encodeUtf8, equalBytes } from "./bytes.ts";

/** A block of ustar: headers have one, contents fill whole ones. */
const BLOCK = 512;
/** The zeros behind the last member. */
const END_SIZE = 2 * BLOCK;
/** The most members. */
export const MAX_MEMBERS = 20_000;
/** The most tokens over one note. */
export const MAX_NOTE_TOKENS = 9;
/** 11 octal digits. */
const MAX_MEMBER_BYTES = 8 ** 11 - 1;

const MIB = 1_048_576;
/** What ustar can't say: members without a bound of their own. */
const UNBOUNDED = MAX_MEMBER_BYTES;

/** The kinds of members in their order, each with its largest size in bytes. */
const KINDS: readonly { readonly name: RegExp; readonly max: number }[] = [
  { name: /^README\.txt$/, max: MIB },
  { name: /^receipt\.json$/, max: 16 * MIB },
  { name: /^transcript\.txt$/, max: UNBOUNDED },
  { name: /^openings\.txt$/, max: UNBOUNDED },
  { name: /^log\.json$/, max: 64 * MIB },
  { name: /^notes\/([1-9][0-9]{0,15})\.note$/, max: 49_152 },
  { name: /^tokens\/([1-9][0-9]{0,15})\.([1-9])\.tst$/, max: 4_096 },
  { name: /^tsa\.pem$/, max: MIB },
  { name: /^ca\.pem$/, max: MIB },
  { name: /^crl\.pem$/, max: MIB },
  { name: /^ticks\.bin$/, max: UNBOUNDED },
  { name: /^renewal\/([1-9][0-9]{0,4})\.(crl|tst|pem)$/, max: MIB },
];
/** Which of a renewal's files comes first. */
const RENEWAL_ORDER = ["crl", "tst", "pem"];
const RENEWAL = KINDS.length - 1;

/** The first member: what to do with the file, for somebody who has never heard of it. */
export const BUNDLE_README = `securechat evidence 1
Check this file, offline: securechat verify FILE --ca CA.pem --policy WITNESSES.txt --tsa TSA_ROOT.pem
notes/*.note are C2SP signed notes; tokens/N.K.tst is an RFC 3161 token over notes/N.note:
  openssl ts -verify -token_in -in tokens/N.K.tst -data notes/N.note -CAfile TSA_ROOT.pem -untrusted tsa.pem
renewal/K.tst is a token over all bytes of this file before its own header.
Nothing in here is trusted for being in here: CA, witnesses and time-stamping authorities are yours to name.
`;

/** A file that can be read at any place: on a disk, or in a browser. */
export interface RandomAccess {
  readonly size: number;
  /** The bytes from there on: that many, or fewer at the end. */
  read(at: number, size: number): Promise<Bytes>;
}

/** A member of a bundle. */
export interface BundleMember {
  readonly name: string;
  /** Where its header begins. */
  readonly header: number;
  /** Where its content begins. */
  readonly at: number;
  readonly size: number;
}

/** Thrown for what is no bundle, with a sentence without its full stop. */
export class BundleFault extends Error {}

/** Where a name stands in the order; `undefined` for one that no member has. */
function placeOf(name: string): readonly number[] | undefined {
  const kind = KINDS.findIndex((each) => each.name.test(name));
  const [, first = "0", second = "0"] = KINDS[kind]?.name.exec(name) ?? [];
  if (kind < 0) return undefined;
  const last = kind === RENEWAL ? RENEWAL_ORDER.indexOf(second) : Number(second);
  return Number.isSafeInteger(Number(first)) ? [kind, Number(first), last] : undefined;
}

function isBefore(a: readonly number[], b: readonly number[]): boolean {
  const at = a.findIndex((value, i) => value !== b[i]);
  return at >= 0 && (a[at] ?? 0) < (b[at] ?? 0);
}

/** The header of a member: 512 bytes. */
export function encodeHeader(name: string, size: number): Bytes {
  const header = new Uint8Array(BLOCK);
  const put = (at: number, text: string) => header.set(encodeUtf8(text), at);
  put(0, name);
  put(100, "0000644");
  put(108, "0000000");
  put(116, "0000000");
  put(124, size.toString(8).padStart(11, "0"));
  put(136, "00000000000");
  put(148, "        ");
  put(156, "0");
  put(257, "ustar\0" + "00");
  put(329, "0000000");
  put(337, "0000000");
  const sum = header.reduce((total, byte) => total + byte, 0);
  put(148, `${sum.toString(8).padStart(6, "0")}\0 `);
  return header;
}

/** How many zeros fill a content of that size up to whole blocks. */
function padding(size: number): number {
  return (BLOCK - size % BLOCK) % BLOCK;
}

/** A member that is to be written: its bytes, or what gives them piece by piece. */
export interface NewMember {
  readonly name: string;
  readonly size: number;
  readonly content: Bytes | AsyncIterable<Bytes>;
}

/** A member whose bytes are at hand. */
export function memberOf(name: string, content: Bytes): NewMember {
  return { name, size: content.length, content };
}

/**
 * A bundle, piece by piece. RangeError for members that no bundle has, or that are out of order or too large: give them
 * in the order of the head comment.
 */
export async function* encodeBundle(members: Iterable<NewMember> | AsyncIterable<NewMember>): AsyncIterable<Bytes> {
  yield* encodeMembers(members, new Order());
  yield new Uint8Array(END_SIZE);
}

/**
 * A bundle with further members behind its own, piece by piece: its bytes as they are up to its end, then these. Its own
 * members are those of {@link readBundle}.
 */
export async function* extendBundle(
  source: RandomAccess,
  members: readonly BundleMember[],
  added: readonly NewMember[],
): AsyncIterable<Bytes> {
  yield* bytesBefore(source, members, added);
  yield new Uint8Array(END_SIZE);
}

/** {@link extendBundle} without the end: what a member that follows would have before its header. */
export async function* bytesBefore(
  source: RandomAccess,
  members: readonly BundleMember[],
  added: readonly NewMember[],
): AsyncIterable<Bytes> {
  const order = members.reduce((before, { name, size }) => before.next(name, size), new Order());
  yield* streamMember(source, { name: "bundle", at: 0, size: source.size - END_SIZE });
  yield* encodeMembers(added, order);
}

async function* encodeMembers(members: Iterable<NewMember> | AsyncIterable<NewMember>, start: Order) {
  let order = start;
  for await (const { name, size, content } of members) {
    order = order.next(name, size);
    yield encodeHeader(name, size);
    let written = 0;
    for await (const piece of content instanceof Uint8Array ? [content] : content) {
      written += piece.length;
      yield piece;
    }
    if (written !== size) throw new RangeError(`${name} has ${written} bytes, not ${size}`);
    yield new Uint8Array(padding(size));
  }
}

/** The rules that members keep one after the other; what is wrong is a {@link BundleFault}. */
class Order {
  readonly #last: readonly number[] | undefined;
  readonly #count: number;

  constructor(last?: readonly number[], count = 0) {
    this.#last = last;
    this.#count = count;
  }

  next(name: string, size: number): Order {
    const place = placeOf(name);
    const [kind = 0, first = 0, second = 0] = place ?? [];
    if (!place) throw new BundleFault(`it has a member "${name}", which no bundle has`);
    if (size > (KINDS[kind]?.max ?? 0)) throw new BundleFault(`its member ${name} is too large`);
    if (this.#count === MAX_MEMBERS) throw new BundleFault(`it has more than ${MAX_MEMBERS} members`);
    if (this.#last && !isBefore(this.#last, place)) throw new BundleFault(`its member ${name} is out of order`);
    const [lastKind, lastFirst, lastSecond = 0] = this.#last ?? [];
    if (name.startsWith("tokens/")) {
      const isNext = lastKind === kind && lastFirst === first ? second === lastSecond + 1 : second === 1;
      if (!isNext) throw new BundleFault(`its tokens over note ${first} have a gap`);
    }
    return new Order(place, this.#count + 1);
  }
}

/**
 * The members of a bundle. Their headers and the zeros around them are compared byte by byte, so that every byte of the
 * file is either content of a member or what it has to be.
 */
export async function readBundle(source: RandomAccess): Promise<readonly BundleMember[]> {
  const members: BundleMember[] = [];
  let order = new Order();
  let at = 0;
  for (;;) {
    const header = await source.read(at, BLOCK);
    if (header.length < BLOCK) throw new BundleFault("it is cut off");
    if (header.every((byte) => byte === 0)) break;
    const { name, size } = readHeader(header);
    order = order.next(name, size);
    const member = { name, header: at, at: at + BLOCK, size };
    members.push(member);
    at = member.at + size;
    const zeros = await source.read(at, padding(size));
    if (zeros.length < padding(size)) throw new BundleFault("it is cut off");
    if (zeros.some((byte) => byte !== 0)) throw new BundleFault(`something stands behind its member ${name}`);
    at += zeros.length;
  }
  const end = await source.read(at, END_SIZE + 1);
  if (end.length !== END_SIZE || end.some((byte) => byte !== 0)) {
    throw new BundleFault("it doesn't end with 1,024 zero bytes and nothing behind them");
  }
  checkWhole(members);
  return members;
}

function readHeader(header: Bytes): { name: string; size: number } {
  const text = (from: number, to: number) => String.fromCharCode(...header.subarray(from, to)).replace(/\0[^]*$/, "");
  const name = text(0, 100);
  const digits = text(124, 136);
  const size = /^[0-7]{11}$/.test(digits) ? Number.parseInt(digits, 8) : NaN;
  if (!/^[\x20-\x7e]+$/.test(name) || !Number.isSafeInteger(size) || !equalBytes(encodeHeader(name, size), header)) {
    throw new BundleFault("it isn't in the form of a bundle");
  }
  return { name, size };
}

function checkWhole(members: readonly BundleMember[]): void {
  const [readme, receipt] = members;
  if (readme?.name !== "README.txt" || receipt?.name !== "receipt.json") {
    throw new BundleFault("it doesn't begin with README.txt and receipt.json");
  }
  const renewals = members.flatMap(({ name }) => {
    const [, k, kind] = /^renewal\/([0-9]+)\.(\w+)$/.exec(name) ?? [];
    return kind === undefined ? [] : [{ k: Number(k), kind }];
  });
  const tokens = renewals.filter(({ kind }) => kind === "tst").map(({ k }) => k);
  if (tokens.some((k, i) => k !== i + 1) || renewals.some(({ k }) => k > tokens.length)) {
    throw new BundleFault("its renewals have a gap");
  }
}

/** The content of a member, wholly; for members that have a bound. */
export async function readMember(source: RandomAccess, { name, at, size }: BundleMember): Promise<Bytes> {
  const content = await source.read(at, size);
  if (content.length !== size) throw new BundleFault(`its member ${name} is cut off`);
  return content;
}

/** The content of a member, piece by piece. */
export async function* streamMember(
  source: RandomAccess,
  { name, at, size }: Pick<BundleMember, "name" | "at" | "size">,
  piece = 65_536,
): AsyncIterable<Bytes> {
  for (let done = 0; done < size;) {
    const bytes = await source.read(at + done, Math.min(piece, size - done));
    if (bytes.length === 0) throw new BundleFault(`its member ${name} is cut off`);
    done += bytes.length;
    yield bytes;
  }
}

/** Whether a file may be a bundle, by its first 512 bytes. */
export function isBundle(begin: Uint8Array): boolean {
  return begin.length >= BLOCK && new TextDecoder().decode(begin.subarray(0, 11)) === "README.txt\0";
}
