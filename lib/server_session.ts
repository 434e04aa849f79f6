/**
 * One session as it lies on the server's disk: its journal, its receipts, and what the database is told of it.
 *
 *     ServerSession.open    the journal first: a session without one in this folder is another server's
 *     session.append(line)  resolves when the line is on the disk, and with the first one what a receipt over it needs
 *     session.close()       the receipt, the row in the database, and no file without messages
 *
 * A session that was quit, or that had messages, leaves its journal and the server's receipt over it; one whose client
 * sent a good receipt, that as well; any other leaves no file.
 *
 * @layer outside
 */

import { encodeHex } from "./bytes.ts";
import { writeAtomically } from "./files.ts";
import { sha256 } from "./hash.ts";
import { encodeJson, type JsonObject } from "./json.ts";
import { Journal, removeEmptyJournal } from "./server_journal.ts";
import { dropNote, noteSession, receiptPath, type SessionNote } from "./server_recovery.ts";
import type { Shared } from "./server_shared.ts";
import type { SessionStart } from "./server_store.ts";
import { random } from "./system.ts";
import { TranscriptSummary } from "./transcript.ts";

type SessionParts = Pick<Shared, "store" | "audit" | "clock" | "journals" | "createJournalFile">;

/** A session with its files. */
export class ServerSession {
  /** The hash of the session's token, which names the session. */
  readonly tokenHash: string;
  readonly #parts: SessionParts;
  readonly #journal: Journal;
  /** What the next start needs for a receipt, if this server is gone before it makes one. */
  #noting: Promise<void> | undefined;
  #hasReceipt = false;
  /** Whether a line could not be made durable: then only the next start can say what the session came to. */
  #isSpoilt = false;

  private constructor(parts: SessionParts, tokenHash: string, journal: Journal) {
    this.#parts = parts;
    this.tokenHash = tokenHash;
    this.#journal = journal;
  }

  /** Begins the files of a session; nobody else knows of it until {@link register}. */
  static async open(parts: SessionParts): Promise<ServerSession> {
    const tokenHash = encodeHex(sha256(random(32)));
    return new ServerSession(parts, tokenHash, await Journal.open(parts.journals, tokenHash, parts.createJournalFile));
  }

  /** Tells the database that the session has begun. */
  async register(start: Omit<SessionStart, "tokenHash" | "startedAt">): Promise<void> {
    const { store, clock } = this.#parts;
    await store.openSession({ ...start, tokenHash: this.tokenHash, startedAt: clock.now() });
  }

  /** Resolves when the line is on the disk, and with the first one what a receipt over it needs. */
  async append(line: string, note: SessionNote): Promise<void> {
    this.#noting ??= noteSession(this.#parts.journals, this.tokenHash, note);
    await Promise.all([this.#journal.append(line), this.#noting]);
  }

  /** A line could not be made durable. */
  spoil(): void {
    this.#isSpoilt = true;
  }

  /** Keeps the server's receipt, or the client's own. */
  async keepReceipt(kind: "receipt" | "client_receipt", receipt: JsonObject): Promise<void> {
    this.#hasReceipt = true;
    const path = receiptPath(this.#parts.journals, this.tokenHash, kind);
    await writeAtomically(path, `${encodeJson(receipt)}\n`, { mode: 0o600, replace: true });
  }

  /** Ends it. `lastReceipt` makes a receipt, if one is still to be kept. False if only the next start can end it. */
  async close(
    summary: TranscriptSummary = new TranscriptSummary(),
    lastReceipt?: () => Promise<JsonObject>,
  ): Promise<boolean> {
    const { audit, clock, journals } = this.#parts;
    await this.#journal.close();
    if (this.#isSpoilt) return false;
    if (lastReceipt) await this.keepReceipt("receipt", await lastReceipt());
    await audit.closeSession({
      tokenHash: this.tokenHash,
      endedAt: clock.now(),
      messageCount: summary.count,
      transcriptHash: summary.hash(),
    });
    if (this.#noting) await dropNote(journals, this.tokenHash);
    // Not before: a session that a crash leaves open is closed by its journal, an empty one too.
    if (!this.#hasReceipt) await removeEmptyJournal(journals, this.tokenHash);
    return true;
  }
}
