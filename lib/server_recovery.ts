/**
 * Sessions that a crash left open. The next start closes them with what their journals hold: their rows in the
 * database, and the server's receipt, as for every other session with messages.
 *
 * A receipt of version 2 names the session and the client, and a journal doesn't. So both are written beside the
 * journal before the first message of a session is acknowledged, and removed once there is a receipt.
 *
 *     3b1c….session.json    {"client_pem":"-----BEGIN CERTIFICATE-----…","session":"9f86…"}
 *
 * @layer outside
 */

import type { Identity } from "./certificate_identity.ts";
import type { Audit } from "./server_audit.ts";
import { EXIT, Failure } from "./errors.ts";
import { exists, writeAtomically } from "./files.ts";
import { type RecoveredJournal, recoverJournals } from "./server_journal.ts";
import { encodeJson, isJsonObject, type JsonObject, member, parseJson } from "./json.ts";
import type { Log } from "./logging.ts";
import { makeReceipt } from "./receipt.ts";
import { type Store, StoreUnavailable } from "./server_store.ts";
import { parseCertificates } from "./x509.ts";

/** What a receipt says of a session beside its lines. */
export interface SessionNote {
  readonly clientPem: string;
  /** The session's name in receipts of version 2. */
  readonly session: string | undefined;
}

/** What closing needs. */
export interface RecoveryOptions {
  readonly store: Pick<Store, "unfinishedSessions">;
  readonly audit: Audit;
  readonly log: Log;
  /** The folder of the journals. */
  readonly journals: string;
  readonly identity: Identity;
  readonly now: () => number;
}

/** Writes down what a receipt of this session will have to say, in case nobody is there to make it in time. */
export async function noteSession(journals: string, tokenHash: string, note: SessionNote): Promise<void> {
  const { clientPem, session } = note;
  const text = encodeJson({ client_pem: clientPem, ...(session === undefined ? {} : { session }) });
  await writeAtomically(notePath(journals, tokenHash), `${text}\n`, { mode: 0o600, replace: true });
}

/** Removes what {@link noteSession} wrote. */
export async function dropNote(journals: string, tokenHash: string): Promise<void> {
  try {
    await Deno.remove(notePath(journals, tokenHash));
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Where a receipt over a session lies. */
export function receiptPath(journals: string, tokenHash: string, kind: "receipt" | "client_receipt"): string {
  return `${journals}/${tokenHash}.${kind}.json`;
}

/** Closes the sessions that a crash left open. */
export async function closeInterrupted(options: RecoveryOptions): Promise<void> {
  const { store, audit, log, journals } = options;
  const unfinished = await store.unfinishedSessions().catch((error) => {
    if (!(error instanceof StoreUnavailable)) throw error;
    throw new Failure(EXIT.unavailable, "database connection failed while its open sessions were read; start again");
  });
  for (const journal of await recoverJournals(journals, unfinished)) {
    const { tokenHash, count, transcriptHash, endedAt, cut, damaged } = journal;
    if (endedAt === undefined) continue; // of another server on the same database: its journal is elsewhere
    const hasReceipt = !damaged && count > 0 && await receiptOver(journal, options);
    await audit.closeSession({ tokenHash, endedAt, messageCount: count, transcriptHash });
    await dropNote(journals, tokenHash);
    log.warn("an interrupted session was closed", {
      ...{ session: tokenHash, messages: count, cut },
      receipt: hasReceipt ? "yes" : "no",
    });
    if (damaged) log.error("a journal is damaged before its end", { session: tokenHash });
  }
}

/** Leaves the server's receipt over a journal; whether there is one. */
async function receiptOver({ tokenHash, summary }: RecoveredJournal, options: RecoveryOptions): Promise<boolean> {
  const { journals, identity: { key, pem, chain }, now } = options;
  const path = receiptPath(journals, tokenHash, "receipt");
  if (await exists(path)) return true; // it was quit, and the database didn't learn of it
  const note = await readNote(journals, tokenHash);
  const [client] = note ? parseCertificates(note.clientPem) : [];
  if (!note || !client) return false;
  const receipt: JsonObject = await makeReceipt({
    role: "server",
    ...{ key, pem, summary, fingerprint: chain[0]?.fingerprint ?? "", linePems: [note.clientPem], createdAt: now() },
    ...(note.session === undefined
      ? {}
      : { identity: { otherFingerprint: client.fingerprint, session: note.session } }),
  });
  await writeAtomically(path, `${encodeJson(receipt)}\n`, { mode: 0o600, replace: true });
  return true;
}

async function readNote(journals: string, tokenHash: string): Promise<SessionNote | undefined> {
  const text = await Deno.readTextFile(notePath(journals, tokenHash)).catch(() => undefined);
  const value = text === undefined ? undefined : parseJson(text.trim());
  if (!isJsonObject(value)) return undefined;
  const [clientPem, session] = [member(value, "client_pem"), member(value, "session")];
  if (typeof clientPem !== "string") return undefined;
  return { clientPem, session: typeof session === "string" ? session : undefined };
}

function notePath(journals: string, tokenHash: string): string {
  return `${journals}/${tokenHash}.session.json`;
}
