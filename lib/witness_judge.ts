/**
 * What a witness answers to a request for a cosignature (docs/PROTOCOL.md, "The witness"). The checks stand in their
 * order, and nothing is changed here: whoever calls this stores what is to be cosigned, and answers then.
 *
 *     form 400 → log known 404 → signature 403 → old ≤ size 400 → old is the stored size 409 → trees fit 422 → rate 429
 *
 * @layer format
 */

import { type Bytes, encodeUtf8, parseHex } from "./bytes.ts";
import { encodeSignatureLine, type Note, type NoteHead, parseNoteHead } from "./log_note.ts";
import { cosign, type NoteKey, type NoteSigner, verifyNote } from "./log_note_key.ts";
import { EMPTY_ROOT, verifyConsistency } from "./log_tree.ts";
import { type AddCheckpoint, parseAddCheckpoint, SIZE_TYPE } from "./witness_request.ts";

/** The longest request that is read. */
export const MAX_REQUEST = 131_072;
/**
 * How many cosignatures of one log there are in a minute: so many of trees that grew, and so many of the same tree again.
 * Everybody who has a note can ask for it again, and only the log itself can grow; so nobody keeps a log waiting.
 */
export const MAX_A_MINUTE = 60;

/** The newest note of a log that this witness has cosigned: the log's signatures, then its own. */
export interface WitnessedNote {
  readonly note: Note;
  readonly head: NoteHead;
  /** When, unix seconds. */
  readonly time: number;
}

/** What a witness knows when it is asked. */
export interface WitnessKnowledge {
  readonly signer: NoteSigner;
  /** The keys of the log of that origin; none if it isn't known. */
  readonly keysOf: (origin: string) => readonly NoteKey[];
  /** The newest note that was cosigned of that log. */
  readonly newestOf: (origin: string) => WitnessedNote | undefined;
  /** Unix seconds. */
  readonly now: number;
  /** Whether this log may have another cosignature now, of a tree that grew or of the one that was cosigned last. */
  readonly mayCosign: (origin: string, hasGrown: boolean) => boolean;
}

/** An answer. */
export interface WitnessAnswer {
  readonly status: 200 | 400 | 403 | 404 | 409 | 422 | 429;
  readonly body: string;
  readonly type?: string;
  /** What is to be stored before the answer is given. */
  readonly cosigned?: WitnessedNote;
  /** A note that its log signed, with another root than the one that was cosigned for its size: to be kept. */
  readonly conflict?: { readonly note: Note; readonly head: NoteHead };
}

/** The origin in a request; `undefined` if it has another form. It says for which log to wait. */
export function originOf(request: AddCheckpoint): string | undefined {
  return parseNoteHead(request.note.text)?.origin;
}

/** The request in a body, if its form is good. */
export function readRequest(body: Uint8Array): AddCheckpoint | undefined {
  return body.length > MAX_REQUEST ? undefined : parseAddCheckpoint(body);
}

/** What refuses a request that has another form. */
export const BAD_FORM: WitnessAnswer = { status: 400, body: "the request has another form than add-checkpoint\n" };

/** Judges a request; for one log one at a time. */
export async function judge(request: AddCheckpoint, knowledge: WitnessKnowledge): Promise<WitnessAnswer> {
  const { note, old, proof } = request;
  const head = parseNoteHead(note.text);
  if (!head) return BAD_FORM;
  const keys = knowledge.keysOf(head.origin);
  if (keys.length === 0) return { status: 404, body: "this log isn't known here\n" };
  const signers = await verifyNote(note, keys);
  if (!signers?.length) return { status: 403, body: "no known key of this log has signed this note\n" };
  if (old > head.size) return { status: 400, body: "the old size is larger than the note's\n" };
  const newest = knowledge.newestOf(head.origin);
  const isOther = newest?.head.size === head.size && newest.head.root !== head.root;
  const conflict = isOther ? { conflict: { note, head } } : {};
  const stored = newest?.head.size ?? 0;
  if (old !== stored) return { status: 409, body: `${stored}\n`, type: SIZE_TYPE, ...conflict };
  if (!continues(newest?.head, head, proof)) {
    return { status: 422, body: "this tree doesn't continue the one that was cosigned\n", ...conflict };
  }
  if (!knowledge.mayCosign(head.origin, head.size > stored)) {
    return { status: 429, body: `more than ${MAX_A_MINUTE} cosignatures a minute for one log\n` };
  }
  const time = Math.max(knowledge.now, newest?.time ?? 0);
  const line = await cosign(note.text, time, knowledge.signer);
  const signatures = [...signers.map(({ signature }) => signature), line];
  return {
    status: 200,
    body: encodeSignatureLine(line),
    cosigned: { note: { text: note.text, signatures }, head, time },
  };
}

/** Whether the tree of a note begins with the one that was cosigned last; the proof is empty where none is needed. */
function continues(stored: NoteHead | undefined, head: NoteHead, proof: readonly Bytes[]): boolean {
  const of = ({ size, root }: NoteHead) => ({ size, root: parseHex(root) ?? EMPTY_ROOT });
  const newer = of(head);
  const before = stored ? of(stored) : { size: 0, root: EMPTY_ROOT };
  return verifyConsistency(before, newer, proof);
}

/** How often something was done in the last minute, by what it is. */
export class CosigningRate {
  readonly #times = new Map<string, number[]>();

  constructor(readonly max = MAX_A_MINUTE) {}

  /** Whether it may be done once more; it is counted then. `now`: unix milliseconds. */
  take(what: string, now: number): boolean {
    const times = (this.#times.get(what) ?? []).filter((time) => Math.abs(now - time) < 60_000);
    const isFree = times.length < this.max;
    this.#times.set(what, isFree ? [...times, now] : times);
    return isFree;
  }
}

/** A stored note again: `undefined` if this witness hasn't cosigned it, or no known key of the log has signed it. */
export async function readWitnessed(
  note: Note,
  keys: readonly NoteKey[],
  signer: NoteKey,
): Promise<WitnessedNote | undefined> {
  const head = parseNoteHead(note.text);
  const own = (await verifyNote(note, [signer]))?.[0];
  if (!head || own?.time === undefined) return undefined;
  return (await verifyNote(note, keys))?.length ? { note, head, time: own.time } : undefined;
}

/** What is kept of a conflict, as JSON: both notes, each signed by the log, of one size with two roots. */
export function conflictFile(stored: WitnessedNote, other: Note): string {
  const textOf = ({ text, signatures }: Note) => `${text}\n${signatures.map(encodeSignatureLine).join("")}`;
  const notes = [stored.note, other].map((note) => encodeUtf8(textOf(note)).toBase64());
  return `${JSON.stringify({ type: "conflict", notes })}\n`;
}
