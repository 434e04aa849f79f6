/** The log and the witness of the published vectors, and notes of theirs. */

import { type Bytes, concat, encodeHex, encodeUtf8 } from "../lib/bytes.ts";
import { type Ed25519Secret, importEd25519, newEd25519 } from "../lib/ed25519.ts";
import { sha256 } from "../lib/hash.ts";
import { encodeNote, encodeNoteHead, type Note } from "../lib/log_note.ts";
import { consistencyProof, EMPTY_ROOT, Frontier, leafHash, type NodePlace } from "../lib/log_tree.ts";
import { encodeAddCheckpoint } from "../lib/witness_request.ts";
import { KEY_TYPE, type NoteSigner, noteSigner, signNote } from "../lib/log_note_key.ts";

/** The log's origin. */
export const LOG = "chat.example/log/8f14e45fceea167a5a36dedd4bea2543";
export const LOG_VKEY = `${LOG}+d04bb4fb+AepKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs`;
export const WITNESS_VKEY = "witness.example/w1+fea3b187+BBOY9ixtGkV8UbpqS189vS9p/KkyFiGNyJl+QWvRfZPK";
/** The second note of the log: its two lines of signatures, one after the other. */
export const NOTE_2 = `${LOG}\n2\nvUHNHSSEWdCdrS4Q3ri1Dn/nAQ7aowp3n7fgLRTA03o=\n`;
export const NOTE_2_LINE =
  `— ${LOG} 0Eu0++2AEDHwytlL43F4/xQkXBQ1J2zkIRjIQ79MkTeHHYE92y2yFrF5lN09rtPjFgOtZYRU4bePbbOGNlToa9Mqxww=\n`;
export const WITNESS_LINE = "— witness.example/w1 " +
  "/qOxhwAAAABlVMpO5TeyfRVykWX67o3wUtqe7AKZma5lwQKJ+W5lBCoZ0ln/JaRiqkTQcVChMouyXWAS2SOKt1O4FVDWBDCarIILDA==\n";
export const WITNESS_TIME = 1_700_055_630;

/** The private key whose 32 bytes are all this one. */
export async function secretOf(byte: number): Promise<Ed25519Secret> {
  const secret = await importEd25519(newEd25519((size) => new Uint8Array(size).fill(byte)));
  if (!secret) throw new Error("every 32 bytes are a key");
  return secret;
}

/** The log's signer, or another log's. */
export async function logSigner(byte = 7, origin = LOG): Promise<NoteSigner> {
  return noteSigner(origin, KEY_TYPE.log, await secretOf(byte));
}

/** The witness's signer, or another one's. */
export async function witnessSigner(byte = 8, name = "witness.example/w1"): Promise<NoteSigner> {
  return noteSigner(name, KEY_TYPE.witness, await secretOf(byte));
}

/** SHA-256 of a text, in hex: a root that is no tree's. */
export const rootOf = (text: string): string => encodeHex(sha256(encodeUtf8(text)));

/** A note of a log, signed by it. */
export async function noteOf(
  size: number,
  root: string,
  signer?: NoteSigner,
  extensions: string[] = [],
): Promise<Note> {
  const log = signer ?? await logSigner();
  const text = encodeNoteHead({ origin: log.key.name, size, root, extensions });
  return { text, signatures: [await signNote(text, log)] };
}

/** The bytes of {@link noteOf}. */
export async function noteBytes(...args: Parameters<typeof noteOf>): Promise<Bytes> {
  return encodeNote(await noteOf(...args));
}

/** One byte of it changed. */
export function flipped(bytes: Uint8Array, at: number): Bytes {
  const changed = concat(bytes);
  changed[at] = (changed[at] ?? 0) ^ 1;
  return changed;
}

/** A log that grows, and proves it. */
export class GrowingLog {
  readonly #tree = new Frontier();
  readonly #nodes = new Map<string, Bytes>();
  readonly #roots: string[] = [encodeHex(EMPTY_ROOT)];

  private constructor(readonly signer: NoteSigner, readonly seed: string) {}

  /** With its first leaves. Logs of one seed are the same, others differ from the first leaf on. */
  static async create(size: number, signer?: NoteSigner, seed = ""): Promise<GrowingLog> {
    const log = new GrowingLog(signer ?? await logSigner(), seed);
    log.grow(size);
    return log;
  }

  /** To that size. */
  grow(size: number): void {
    while (this.#tree.size < size) {
      for (const { level, index, hash } of this.#tree.append(leafHash(encodeUtf8(this.leafAt(this.#tree.size))))) {
        this.#nodes.set(`${level} ${index}`, hash);
      }
      this.#roots.push(encodeHex(this.#tree.root()));
    }
  }

  /** The root at a size. */
  rootAt(size: number): string {
    return this.#roots[size] ?? "";
  }

  /** The note of a size. */
  noteAt(size: number, extensions: string[] = []): Promise<Note> {
    return noteOf(size, this.rootAt(size), this.signer, extensions);
  }

  /** The proof that the tree of one size begins with that of another. */
  proof(old: number, size: number): Promise<Bytes[]> {
    return consistencyProof(old, size, (places) => this.nodes(places));
  }

  /** The hashes of nodes. */
  nodes(places: readonly NodePlace[]): Bytes[] {
    return places.map(({ level, index }) => this.#nodes.get(`${level} ${index}`) ?? new Uint8Array(0));
  }

  /** The text of a leaf. */
  leafAt(index: number): string {
    return `${this.seed} ${index}`;
  }

  /** A request to a witness that has signed `old`. */
  async request(old: number, size: number, changes: { note?: Note; proof?: readonly Bytes[] } = {}): Promise<Bytes> {
    const proof = changes.proof ?? (old > size ? [] : await this.proof(old, size));
    return encodeAddCheckpoint(old, proof, encodeNote(changes.note ?? await this.noteAt(size)));
  }
}
