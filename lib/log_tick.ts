/**
 * The tick: one leaf of the server's log (docs/PROTOCOL.md, "The server's log"). A tick registers the newest heads of
 * rooms without naming a room, so that a server can't keep two versions of a room unseen.
 *
 *     {"audit":"<hex>","heads":{"count":2,"hashes":"<hex>","tags":"<hex>"},"note":"<hex>","tokens":["<hex>"],"v":1}
 *
 * Only somebody who knows a room's origin can compute the room's tag in a tick, and so find its head there. The tags
 * rise strictly, so a room stands in a tick once at most. A tick is the RFC 8785 form of one object, 8,192 bytes at
 * most; unknown names are kept and covered, unknown names within `heads` are refused.
 *
 * @layer format
 */

import {
  type Bytes,
  concat,
  encodeBase64,
  encodeHex,
  encodeUtf8,
  equalBytes,
  parseHex,
  parseUtf8,
  uint64,
} from "./bytes.ts";
import { sha256 } from "./hash.ts";
import {
  canonicalJson,
  isCanonicalJson,
  isJsonList,
  isJsonObject,
  type Json,
  type JsonObject,
  member,
  parseJson,
} from "./json.ts";
import type { Head } from "./log_envelope.ts";
import { Frontier, leafHash } from "./log_tree.ts";

/** The most bytes of a tick. */
export const MAX_TICK_BYTES = 8_192;
/** The most rooms that one tick registers: it bounds what a member has to read, however large the server is. */
export const MAX_TICK_HEADS = 1_024;
/** The most tokens that one tick names. */
export const MAX_TICK_TOKENS = 8;
/** How many bytes a tag has. */
export const TAG_SIZE = 8;
/** How many levels of lists and objects a tick has at most: what is unknown in it isn't looked at. */
const MAX_TICK_DEPTH = 16;

const TAG_LABEL = encodeUtf8("securechat/2 tag\0");
const HEAD_LABEL = encodeUtf8("securechat/2 head\0");
const AUDIT_LABEL = encodeUtf8("securechat/2 audit\0");
const ZERO = Uint8Array.of(0);

/** The tag of the room of that origin in the tick of that index: 8 bytes. */
export function tagOf(origin: string, tick: number): Bytes {
  return sha256(TAG_LABEL, encodeUtf8(origin), ZERO, uint64(tick)).slice(0, TAG_SIZE);
}

/** A room's head as a tick registers it: what the signature of the room's checkpoint is over. */
export interface RoomHead extends Head {
  readonly origin: string;
  /** Unix seconds. */
  readonly time: number;
}

/** The hash under which a tick registers a room's head: 32 bytes. */
export function headHash({ time, origin, size, root }: RoomHead): Bytes {
  return sha256(HEAD_LABEL, encodeUtf8(`time ${time}\n${origin}\n${size}\n${base64Of(root)}\n`));
}

/** The hash under which a tick registers the head of the audit log: 32 bytes. */
export function auditHash({ size, root }: Head): Bytes {
  return sha256(AUDIT_LABEL, encodeUtf8(`${size}\n${base64Of(root)}\n`));
}

function base64Of(hex: string): string {
  const bytes = parseHex(hex);
  if (bytes?.length !== 32) throw new RangeError("a root has 64 hex digits");
  return encodeBase64(bytes);
}

/** What a tick says of the rooms that it registers. Hashes are in hex. */
export interface TickHeads {
  /** How many rooms: 1 at least. */
  readonly count: number;
  /** The root of the tree over their heads' hashes, in the order of their tags. */
  readonly hashes: string;
  /** SHA-256 of their tags, joined. */
  readonly tags: string;
}

/** A tick. Hashes are in hex; a name is absent if there is nothing to say. */
export interface Tick {
  readonly audit?: string;
  /** Only in tick 0: SHA-256 of the charter. */
  readonly charter?: string;
  readonly heads?: TickHeads;
  /** SHA-256 of the newest closed note that no tick named before. */
  readonly note?: string;
  /** SHA-256 of each kept token that no tick named before. */
  readonly tokens?: readonly string[];
}

/** The rooms of one tick, in the order of their tags. */
export interface Registration {
  readonly heads: TickHeads;
  /** All tags, joined: what a member who looks for a room needs. */
  readonly tags: Bytes;
  /** The rooms that the tick registers, in order: those of two equal tags after the first wait for another tick. */
  readonly registered: readonly RoomHead[];
}

/**
 * Registers heads in the tick of that index, the first {@link MAX_TICK_HEADS} of those given: give those that have
 * waited longest first. `undefined` if there are none.
 */
export function registerHeads(heads: readonly RoomHead[], tick: number): Registration | undefined {
  const byTag = new Map<string, RoomHead>();
  for (const head of heads) {
    if (byTag.size === MAX_TICK_HEADS) break;
    const tag = encodeHex(tagOf(head.origin, tick));
    if (!byTag.has(tag)) byTag.set(tag, head);
  }
  if (byTag.size === 0) return undefined;
  // Hex digits sort as the bytes do.
  const sorted = [...byTag].sort(([a], [b]) => a < b ? -1 : 1);
  const tree = new Frontier();
  for (const [, head] of sorted) tree.append(leafHash(headHash(head)));
  const tags = concat(...sorted.map(([tag]) => parseHex(tag) ?? ZERO));
  const summary = { count: sorted.length, hashes: encodeHex(tree.root()), tags: encodeHex(sha256(tags)) };
  return { heads: summary, tags, registered: sorted.map(([, head]) => head) };
}

/** The tick's bytes: the leaf of the server's log. RangeError if it is longer than a tick may be. */
export function encodeTick(tick: Tick): Bytes {
  const text = canonicalJson({ ...tick, v: 1 } as unknown as JsonObject) ?? "";
  const bytes = encodeUtf8(text);
  if (bytes.length > MAX_TICK_BYTES) throw new RangeError(`a tick has ${MAX_TICK_BYTES} bytes at most`);
  return bytes;
}

/** The tick that the bytes are; `undefined` if they have another form. */
export function parseTick(bytes: Uint8Array): Tick | undefined {
  const text = bytes.length > MAX_TICK_BYTES ? undefined : parseUtf8(bytes);
  const object = text === undefined ? undefined : parseJson(text, MAX_TICK_DEPTH);
  if (text === undefined || !isJsonObject(object) || !isCanonicalJson(text, object)) return undefined;
  if (member(object, "v") !== 1) return undefined;
  const parts = [
    hashIn(object, "audit"),
    hashIn(object, "charter"),
    headsIn(object),
    hashIn(object, "note"),
    tokensIn(object),
  ];
  return parts.includes(WRONG) ? undefined : Object.assign({}, ...parts);
}

/** A part of a tick that has another form. */
const WRONG = Symbol("wrong");
type Part = Partial<Tick> | typeof WRONG;

function hashIn(object: JsonObject, name: "audit" | "charter" | "note"): Part {
  const hash = member(object, name);
  if (hash === undefined) return {};
  return isHash(hash) ? { [name]: hash } : WRONG;
}

function headsIn(object: JsonObject): Part {
  const heads = member(object, "heads");
  if (heads === undefined) return {};
  if (!isJsonObject(heads) || Object.keys(heads).join() !== "count,hashes,tags") return WRONG;
  const count = member(heads, "count");
  const hashes = member(heads, "hashes");
  const tags = member(heads, "tags");
  const isCounted = typeof count === "number" && count >= 1 && count <= MAX_TICK_HEADS;
  return isCounted && isHash(hashes) && isHash(tags) ? { heads: { count, hashes, tags } } : WRONG;
}

function tokensIn(object: JsonObject): Part {
  const tokens = member(object, "tokens");
  if (tokens === undefined) return {};
  if (!isJsonList(tokens) || tokens.length === 0 || tokens.length > MAX_TICK_TOKENS) return WRONG;
  const hashes = tokens.filter(isHash);
  return hashes.length === tokens.length && new Set(hashes).size === hashes.length ? { tokens: hashes } : WRONG;
}

function isHash(value: Json | undefined): value is string {
  return typeof value === "string" && /^[0-9a-f]{64}$/.test(value);
}

/** Whether these are the tags of the tick: as many as it counts, strictly rising, and of its hash. */
export function areTagsOf({ heads }: Tick, tags: Uint8Array): boolean {
  if (!heads) return tags.length === 0;
  if (tags.length !== TAG_SIZE * heads.count || encodeHex(sha256(tags)) !== heads.tags) return false;
  for (let at = TAG_SIZE; at < tags.length; at += TAG_SIZE) {
    if (compareTags(tags, at - TAG_SIZE, tags.subarray(at, at + TAG_SIZE)) >= 0) return false;
  }
  return true;
}

/**
 * At which place among the tags of a tick a room stands; `undefined` if the tick doesn't register it. `tags` must have
 * passed {@link areTagsOf}.
 */
export function placeOfTag(tags: Uint8Array, tag: Uint8Array): number | undefined {
  let low = 0;
  let high = tags.length / TAG_SIZE;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (compareTags(tags, TAG_SIZE * middle, tag) < 0) low = middle + 1;
    else high = middle;
  }
  const found = tags.subarray(TAG_SIZE * low, TAG_SIZE * (low + 1));
  return found.length === TAG_SIZE && equalBytes(found, tag) ? low : undefined;
}

function compareTags(tags: Uint8Array, at: number, tag: Uint8Array): number {
  for (let i = 0; i < TAG_SIZE; i++) {
    const difference = (tags[at + i] ?? 0) - (tag[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
