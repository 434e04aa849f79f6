/**
 * What witnesses say of the server's log as the database has it, asked by a command beside the server, which need not
 * run (docs/PROTOCOL.md, "The audit log").
 *
 * The newest closed note is offered to each witness again. A new cosignature is its word that it knows nothing later
 * and nothing else. A server that runs may have made another tick meanwhile, so a witness that knows more is asked
 * again a few times, with what the database has then.
 *
 * @layer chat
 */

import { type Clock, parseUtf8 } from "./bytes.ts";
import { consistencyProof } from "./log_tree.ts";
import { encodeNote } from "./log_note.ts";
import { openNote, parseVkey } from "./log_note_key.ts";
import type { LogStore } from "./server_log_store.ts";
import { askWitness, type WitnessTransport } from "./server_witness_exchange.ts";
import { askable } from "./server_witnesses.ts";
import type { PolicyWitness, WitnessPolicy } from "./witness_policy.ts";

/** How often a witness is asked that knows more than the database. */
const TRIES = 3;
/** Until it is asked again, in milliseconds: closing a note takes five seconds at most. */
const AGAIN = 3_000;

/** What one witness said. */
export interface WitnessWord {
  readonly witness: string;
  readonly kind: "agrees" | "denies" | "silent";
  readonly reason: string;
}

/** Whom to ask about what. */
export interface WitnessesQuestion {
  readonly store: LogStore;
  readonly policy: WitnessPolicy;
  readonly transport: WitnessTransport;
  readonly now: Clock;
  /** Waits, in milliseconds. */
  readonly wait: (ms: number) => Promise<void>;
}

/** Asks every witness of the policy that has a URL. */
export async function askWitnesses(question: WitnessesQuestion): Promise<WitnessWord[]> {
  return await Promise.all(askable(question.policy).map((witness) => ask(question, witness, 1)));
}

async function ask(question: WitnessesQuestion, witness: PolicyWitness, tries: number): Promise<WitnessWord> {
  const { store, transport, now, wait } = question;
  const [log] = await store.logs();
  const closed = log && await store.closedNote(log.id);
  const key = log && parseVkey(log.vkey);
  const read = closed && key && await openNote(closed.note, key);
  const { name } = witness;
  if (!read) return { witness: name, kind: "silent", reason: "the database has no closed note to ask about" };
  const own = read.note.signatures.filter((each) => each.name === key.name && each.id === key.id).slice(0, 1);
  const { size, root } = read.head;
  const { outcome } = await askWitness({ witness, log: key, transport, now }, {
    ...{ size, root, note: parseUtf8(encodeNote({ text: read.note.text, signatures: own })) ?? "" },
    proof: (from) => consistencyProof(from, size, (places) => store.nodes(log.id, places)),
  }, 0);
  if (outcome.kind === "cosigned") return { witness: name, kind: "agrees", reason: `it signed ${size} ticks again` };
  if (outcome.kind === "failed") return { witness: name, kind: "silent", reason: outcome.reason };
  if (outcome.kind === "ahead" && tries < TRIES) {
    await wait(AGAIN);
    return await ask(question, witness, tries + 1);
  }
  return { witness: name, kind: "denies", reason: outcome.reason };
}
