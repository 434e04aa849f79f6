/**
 * The keys that sign notes, as vkeys (C2SP signed-note), and their signatures (signed-note and tlog-cosignature;
 * docs/PROTOCOL.md, "Notes").
 *
 *     witness.example/w1+fea3b187+BBOY9ixtGkV8UbpqS189vS9p/KkyFiGNyJl+QWvRfZPK
 *     name               key ID   base64(type || public key)
 *
 * The key ID is the beginning of SHA-256(name LF type public key). Base64 may contain `+`, a name can't: a vkey is split
 * at its first two. Three types are known:
 *
 * | type | signs | signature |
 * | --- | --- | --- |
 * | 0x01 | a log: the text | Ed25519 |
 * | 0x04 | a witness: `cosignature/v1` LF `time <unix s>` LF text | time (8 bytes), Ed25519 |
 * | 0x06 | a witness: `subtree/v1` LF 00, name, time, origin, 0, size, root | time (8 bytes), ML-DSA-44 |
 *
 * @layer format
 */

import {
  type Bytes,
  concat,
  encodeBase64,
  encodeHex,
  encodeUtf8,
  parseBase64,
  parseHex,
  parseInteger,
  uint64,
} from "./bytes.ts";
import { ED25519_KEY_SIZE, type Ed25519Secret, isEd25519Key, verifyEd25519 } from "./ed25519.ts";
import { sha256 } from "./hash.ts";
import { isKeyName, type Note, type NoteHead, type NoteSignature, parseNote, parseNoteHead } from "./log_note.ts";

/** The types of keys, by what they are for. */
export const KEY_TYPE = {
  /** Ed25519, of a log. */
  log: 0x01,
  /** Ed25519, of a witness. */
  witness: 0x04,
  /** ML-DSA-44, of a witness. */
  mlDsaWitness: 0x06,
} as const;

/** One of {@link KEY_TYPE}. */
export type KeyType = typeof KEY_TYPE[keyof typeof KEY_TYPE];

/** A public key that signs notes. */
export interface NoteKey {
  readonly name: string;
  /** The key ID: 8 hex digits. */
  readonly id: string;
  readonly type: KeyType;
  readonly publicKey: Bytes;
}

/** A private key that signs notes. */
export interface NoteSigner {
  readonly key: NoteKey;
  readonly secret: Ed25519Secret;
}

/** A signature that was verified. */
export interface Signer {
  readonly key: NoteKey;
  readonly signature: NoteSignature;
  /** Unix seconds, as a witness stated them; `undefined` for a log's signature. */
  readonly time: number | undefined;
}

const KEY_SIZE: Readonly<Record<KeyType, number>> = {
  [KEY_TYPE.log]: ED25519_KEY_SIZE,
  [KEY_TYPE.witness]: ED25519_KEY_SIZE,
  [KEY_TYPE.mlDsaWitness]: 1_312,
};

const TIME_SIZE = 8;
const SUBTREE_LABEL = encodeUtf8("subtree/v1\n\0");
/** Names and origins have a length of one byte in what ML-DSA signs. */
const MAX_SUBTREE_NAME = 255;

// ---- keys

/** The key of that name; RangeError for a name that no key has. */
export function noteKey(name: string, type: KeyType, publicKey: Bytes): NoteKey {
  if (!isKeyName(name)) throw new RangeError("a key's name has no white space and no +");
  const id = sha256(encodeUtf8(`${name}\n`), Uint8Array.of(type), publicKey).slice(0, 4);
  return { name, id: encodeHex(id), type, publicKey };
}

/** A key as a vkey. */
export function encodeVkey({ name, id, type, publicKey }: NoteKey): string {
  return `${name}+${id}+${encodeBase64(concat(Uint8Array.of(type), publicKey))}`;
}

/**
 * The key that a vkey names; `undefined` if it has another form, a type that isn't known, a key ID that isn't the
 * key's, or a public key for which anybody could sign.
 */
export function parseVkey(text: string): NoteKey | undefined {
  const [, name = "", id = "", base64 = ""] = /^([^+]+)\+([0-9a-f]{8})\+(.+)$/.exec(text) ?? [];
  const bytes = parseBase64(base64);
  const type = bytes?.[0];
  if (!isKeyName(name) || !bytes || !isKeyType(type) || bytes.length !== 1 + KEY_SIZE[type]) return undefined;
  const key = noteKey(name, type, bytes.slice(1));
  const isSound = type === KEY_TYPE.mlDsaWitness || isEd25519Key(key.publicKey);
  return key.id === id && isSound ? key : undefined;
}

function isKeyType(type: number | undefined): type is KeyType {
  return Object.values<number | undefined>(KEY_TYPE).includes(type);
}

/** Whether both are the same key under the same name. */
export function isSameKey(a: NoteKey, b: NoteKey): boolean {
  return encodeVkey(a) === encodeVkey(b);
}

/** Who signs notes under that name: as a log, or as a witness. */
export function noteSigner(name: string, type: 0x01 | 0x04, secret: Ed25519Secret): NoteSigner {
  return { key: noteKey(name, type, secret.publicKey), secret };
}

// ---- signing

/** A log's signature of a note's text. */
export async function signNote(text: string, { key, secret }: NoteSigner): Promise<NoteSignature> {
  return { name: key.name, id: key.id, bytes: await secret.sign(encodeUtf8(text)) };
}

/** A witness's cosignature of a note's text. `time`: unix seconds. */
export async function cosign(text: string, time: number, { key, secret }: NoteSigner): Promise<NoteSignature> {
  const signature = await secret.sign(cosignatureInput(text, time));
  return { name: key.name, id: key.id, bytes: concat(uint64(time), signature) };
}

function cosignatureInput(text: string, time: number): Bytes {
  return encodeUtf8(`cosignature/v1\ntime ${time}\n${text}`);
}

/** What ML-DSA signs; `undefined` if the text is no log's head, or a name is too long. */
function subtreeInput(text: string, time: number, witness: string): Bytes | undefined {
  const head = parseNoteHead(text);
  const [name, origin] = [encodeUtf8(witness), encodeUtf8(head?.origin ?? "")];
  if (!head || name.length > MAX_SUBTREE_NAME || origin.length > MAX_SUBTREE_NAME) return undefined;
  const root = parseHex(head.root) ?? new Uint8Array(0);
  const [nameSize, originSize] = [Uint8Array.of(name.length), Uint8Array.of(origin.length)];
  const range = [uint64(0), uint64(head.size)];
  return concat(SUBTREE_LABEL, nameSize, name, uint64(time), originSize, origin, ...range, root);
}

// ---- verifying

/**
 * Which of the keys signed the note. Lines of other keys are passed over; of two lines of one key the first counts.
 * `undefined` if a line of one of the keys doesn't verify: such a note is worth nothing at all.
 */
export async function verifyNote(note: Note, keys: readonly NoteKey[]): Promise<readonly Signer[] | undefined> {
  const signers: Signer[] = [];
  for (const key of keys) {
    const signature = note.signatures.find(({ name, id }) => name === key.name && id === key.id);
    if (!signature) continue;
    const signer = await verifySignature(note.text, signature, key);
    if (!signer) return undefined;
    signers.push(signer);
  }
  return signers;
}

/** The signer, if the signature is the key's over this text; `undefined` otherwise. */
export async function verifySignature(
  text: string,
  signature: NoteSignature,
  key: NoteKey,
): Promise<Signer | undefined> {
  if (signature.name !== key.name || signature.id !== key.id) return undefined;
  const { bytes } = signature;
  if (key.type === KEY_TYPE.log) {
    const isGood = await verifyEd25519(key.publicKey, bytes, encodeUtf8(text));
    return isGood ? { key, signature, time: undefined } : undefined;
  }
  const time = Number(parseInteger(bytes.subarray(0, TIME_SIZE)));
  if (bytes.length <= TIME_SIZE || !Number.isSafeInteger(time)) return undefined;
  return await isCosignature(text, time, bytes.slice(TIME_SIZE), key) ? { key, signature, time } : undefined;
}

/** The newest time (unix seconds) in the cosignatures of a closed note whose log kept only good ones; 0 without any. */
export function newestCosignature(closed: Uint8Array): number {
  const [, ...cosignatures] = parseNote(closed)?.signatures ?? [];
  return Math.max(0, ...cosignatures.map(({ bytes }) => Number(parseInteger(bytes.subarray(0, TIME_SIZE)))));
}

async function isCosignature(text: string, time: number, bytes: Bytes, key: NoteKey): Promise<boolean> {
  if (key.type === KEY_TYPE.witness) return await verifyEd25519(key.publicKey, bytes, cosignatureInput(text, time));
  const input = subtreeInput(text, time, key.name);
  if (!input) return false;
  const { verifyMlDsa44 } = await import("./ml_dsa.ts");
  return verifyMlDsa44(key.publicKey, bytes, input);
}

/** A note of a log, and what it says. */
export interface LogNote {
  readonly note: Note;
  readonly head: NoteHead;
}

/**
 * The note that the bytes are, if that key signed it as its log's: of the origin that is the key's name. `undefined`
 * otherwise. Cosignatures are not looked at.
 */
export async function openNote(bytes: Uint8Array, key: NoteKey, maxBytes?: number): Promise<LogNote | undefined> {
  const note = parseNote(bytes, maxBytes);
  const head = note && parseNoteHead(note.text);
  if (!note || head?.origin !== key.name) return undefined;
  return (await verifyNote(note, [key]))?.length === 1 ? { note, head } : undefined;
}

/** Whether a log's note has the form that a securechat log gives it: its own signature first, and no extensions. */
export function hasOwnForm({ note: { signatures: [first] }, head }: LogNote, { name, id }: NoteKey): boolean {
  return first?.name === name && first.id === id && head.extensions.length === 0;
}
