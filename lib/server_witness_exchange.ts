/**
 * One question to one witness: whether it cosigns a note of the server's log (docs/PROTOCOL.md, "Asking a witness").
 *
 *     add-checkpoint from N ─ 200 ───────────────→ cosigned, if the line verifies and its time is about ours
 *          ↑            ├──── 409, N' ≤ ours ────→ once more, from N'
 *          └────────────┘     409, N' > ours ────→ look: it knows more than we have
 *                             422, 409 without N' → look: it knows another tree
 *                             anything else ─────→ failed, and tried with the next note
 *
 * To look is to fetch the newest note that the witness signed. Only a note that our own key signed can show that our
 * database is behind; a mere number shows nothing.
 *
 * @layer chat
 */

import { type Bytes, type Clock, encodeUtf8, parseUtf8 } from "./bytes.ts";
import { messageOf } from "./errors.ts";
import type { NoteHead, NoteSignature } from "./log_note.ts";
import { parseSignatureLines } from "./log_note.ts";
import { type NoteKey, openNote, verifySignature } from "./log_note_key.ts";
import type { OpenNote } from "./server_log.ts";
import type { PolicyWitness } from "./witness_policy.ts";
import { ADD_CHECKPOINT, checkpointPath, encodeAddCheckpoint, parseSize } from "./witness_request.ts";

/** Seconds by which a witness's clock may differ from ours. */
const MAX_SKEW = 300;
/** The longest note that is read of a witness. */
const MAX_ANSWER = 65_536;

/** What a witness answered. */
export interface WitnessReply {
  readonly status: number;
  readonly body: Bytes;
}

/** The way to a witness. Both reject with one sentence for a person. */
export interface WitnessTransport {
  post(url: string, body: Bytes): Promise<WitnessReply>;
  get(url: string): Promise<WitnessReply>;
}

/** What came of it. */
export type WitnessOutcome =
  | { readonly kind: "cosigned"; readonly signature: NoteSignature; readonly time: number }
  /** It knows a larger log than we have, of that size. `found`: a note of it that our key signed. */
  | { readonly kind: "ahead"; readonly size: number; readonly reason: string; readonly found?: NoteHead }
  /** It knows another tree than ours. */
  | { readonly kind: "conflict"; readonly reason: string; readonly found?: NoteHead }
  | { readonly kind: "failed"; readonly reason: string };

/** Whom is asked, and for whom. */
export interface WitnessExchange {
  readonly witness: PolicyWitness;
  /** The log's key. */
  readonly log: NoteKey;
  readonly transport: WitnessTransport;
  readonly now: Clock;
}

/** Asks the witness; `known` is the size that it signed last, as far as we know. Answers what it knows then, too. */
export async function askWitness(
  exchange: WitnessExchange,
  open: OpenNote,
  known: number,
): Promise<{ readonly outcome: WitnessOutcome; readonly known: number }> {
  const first = await add(exchange, open, known <= open.size ? known : 0);
  if (typeof first !== "number") return { outcome: first, known: first.kind === "cosigned" ? open.size : known };
  const second = await add(exchange, open, first);
  if (typeof second === "number") {
    const reason = `it answered 409 twice, first with ${first}, then with ${second}`;
    return { outcome: { kind: "failed", reason }, known: second };
  }
  return { outcome: second, known: second.kind === "cosigned" ? open.size : first };
}

/** The outcome, or the size from which it is to be asked once more. */
async function add(exchange: WitnessExchange, open: OpenNote, old: number): Promise<WitnessOutcome | number> {
  try {
    const body = encodeAddCheckpoint(old, await open.proof(old), encodeUtf8(open.note));
    const { status, body: answer } = await exchange.transport.post(urlOf(exchange.witness, ADD_CHECKPOINT), body);
    const text = parseUtf8(answer) ?? "";
    if (status === 200) return await readCosignature(exchange, open, text);
    if (status === 422) return await conflict(exchange, "it answered 422: it knows another tree of this log");
    if (status !== 409) return { kind: "failed", reason: `it answered ${status}` };
    const size = sizeIn(text);
    if (size === undefined) return await conflict(exchange, "it answered 409 without a size");
    if (size <= open.size) return size;
    const reason = `it has signed ${size} ticks of this log, which has ${open.size}`;
    return { kind: "ahead", size, reason, ...await look(exchange) };
  } catch (error) {
    return { kind: "failed", reason: messageOf(error) };
  }
}

/** The size in a 409; Infinity for one beyond 2^53 - 1, which is larger than ours in any case. */
function sizeIn(text: string): number | undefined {
  const digits = /^([0-9]{1,20})\n?$/.exec(text)?.[1];
  return digits === undefined ? undefined : parseSize(digits) ?? (Number(digits) >= 2 ** 53 ? Infinity : undefined);
}

async function readCosignature(
  { witness, now }: WitnessExchange,
  open: OpenNote,
  text: string,
): Promise<WitnessOutcome> {
  const { name, id } = witness.key;
  const lines = parseSignatureLines(text) ?? [];
  const signature = lines.find((line) => line.name === name && line.id === id);
  const signedText = open.note.slice(0, open.note.lastIndexOf("\n\n") + 1);
  const signer = signature && await verifySignature(signedText, signature, witness.key);
  if (!signature) return { kind: "failed", reason: "its answer has no line of its key" };
  if (!signer) return { kind: "failed", reason: "its signature doesn't verify" };
  const time = signer.time ?? 0;
  const skew = time - Math.floor(now() / 1000);
  if (Math.abs(skew) <= MAX_SKEW) return { kind: "cosigned", signature, time };
  const which = skew > 0 ? "ahead of" : "behind";
  return { kind: "failed", reason: `its clock is ${Math.abs(skew)} s ${which} ours` };
}

async function conflict(exchange: WitnessExchange, reason: string): Promise<WitnessOutcome> {
  return { kind: "conflict", reason, ...await look(exchange) };
}

/** The newest note that the witness signed, if our key has signed it, too. */
async function look({ witness, log, transport }: WitnessExchange): Promise<{ readonly found?: NoteHead }> {
  const url = urlOf(witness, checkpointPath(log.name));
  const { status, body } = await transport.get(url).catch(() => ({ status: 0, body: new Uint8Array(0) }));
  const found = status === 200 ? await openNote(body, log, MAX_ANSWER) : undefined;
  return found ? { found: found.head } : {};
}

function urlOf({ url = "" }: PolicyWitness, path: string): string {
  return `${url.replace(/\/+$/, "")}${path}`;
}
