/**
 * The server's transcripts: one file a session, `DATA_DIR/journals/<session>.transcript`, where <session> is the hash
 * of the session's token. A line of docs/PROTOCOL.md, "Transcript" with its LF is appended and flushed to the disk
 * before the message is acknowledged.
 *
 *     const journal = await Journal.open("data/journals", start.tokenHash);
 *     await journal.append("0|1700055622123|AeF1…|sig…|3b1c…");   // durable now: acknowledge
 *
 * Group commit: while one flush runs, the lines that come wait together for the next, one write and one fdatasync for
 * all of them. At most once a second the file is looked at: one that was deleted or cut counts as a failed write. After
 * a failed write nobody knows what is on the disk, so the journal is spoilt for good: every waiting
 * and every later append is rejected, and the session must end without acknowledging.
 *
 * {@link recoverJournals} brings the files of sessions that a crash left open back to whole lines. It cuts only the end
 * of a file; a journal damaged further in is left as it is, and said to be. No line is ever deleted:
 * {@link removeEmptyJournal} removes what has none.
 *
 * @layer outside
 */

import { encodeUtf8 } from "./bytes.ts";
import { createPrivateFolder, explainFileError, syncFolder } from "./files.ts";
import { GroupCommit } from "./group_commit.ts";
import { recoverLines } from "./line_file.ts";
import { parseLine, TranscriptSummary } from "./transcript.ts";

/** What a journal does to its file; tests give their own. */
export interface JournalFile {
  /** Appends bytes; how many it took. */
  write(bytes: Uint8Array): Promise<number>;
  /** Resolves once everything written is on the disk. */
  syncData(): Promise<void>;
  /** What is in the folder of it; without it nobody can take it away. */
  stat?(): Promise<{ readonly size: number; readonly nlink: number | null }>;
  close(): void;
}

/** Creates a journal's file, which must not exist yet. */
export type CreateJournalFile = (path: string) => Promise<JournalFile>;

/** How often a file is looked at, in milliseconds: somebody may have deleted or cut it. */
const LOOK_INTERVAL = 1_000;

/** Where the journal of a session stands. */
export function journalPath(dir: string, session: string): string {
  if (!/^[0-9a-f]{64}$/.test(session)) throw new RangeError("a journal is named by 64 hex digits");
  return `${dir}/${session}.transcript`;
}

/** Creates the file on the disk, its name in the folder included. */
async function createFile(path: string): Promise<JournalFile> {
  const file = await Deno.open(path, { append: true, createNew: true, mode: 0o600 });
  await syncFolder(path); // a file whose name is not on the disk is gone after a power cut
  return file;
}

/** Makes the folder of the journals. */
export async function createJournalFolder(dir: string): Promise<void> {
  await createPrivateFolder(dir);
}

/** A session's transcript as it grows. */
export class Journal {
  readonly #file: JournalFile;
  readonly #group = new GroupCommit<string>((lines) => this.#write(lines));
  #failure: Error | undefined;
  #closed = false;
  #size = 0;
  #lookAt = 0;

  private constructor(file: JournalFile) {
    this.#file = file;
  }

  /** Creates the journal of a session in a folder that exists. */
  static async open(dir: string, session: string, create: CreateJournalFile = createFile): Promise<Journal> {
    return new Journal(await create(journalPath(dir, session)));
  }

  /** Resolves once the line, given without its LF, is on the disk, after all lines given before. */
  append(line: string): Promise<void> {
    return this.#closed ? Promise.reject(new Error("the journal is closed")) : this.#group.add(line);
  }

  /** Waits for the lines that were given, then closes the file. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#group.settled();
    this.#file.close();
  }

  async #write(lines: string[]): Promise<void> {
    if (this.#failure) throw this.#failure;
    try {
      let bytes = encodeUtf8(lines.join("\n") + "\n");
      this.#size += bytes.length;
      while (bytes.length > 0) bytes = bytes.subarray(await this.#file.write(bytes));
      await this.#file.syncData();
      await this.#look();
    } catch (cause) {
      throw this.#failure = new Error("the journal cannot be written", { cause });
    }
  }

  /** Throws if the lines are in no file that anybody will find. */
  async #look(): Promise<void> {
    if (performance.now() < this.#lookAt || !this.#file.stat) return;
    const { size, nlink } = await this.#file.stat();
    if (nlink === 0) throw new Error("its file was deleted while the server runs");
    if (size !== this.#size) throw new Error("its file was changed by another program while the server runs");
    this.#lookAt = performance.now() + LOOK_INTERVAL;
  }
}

/** Removes the journal of a session that is closed, where nothing stands in it; any other stays. */
export async function removeEmptyJournal(dir: string, session: string): Promise<void> {
  const path = journalPath(dir, session);
  try {
    if ((await Deno.stat(path)).size === 0) await Deno.remove(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** What a journal holds after a crash. */
export interface RecoveredJournal {
  readonly tokenHash: string;
  readonly count: number;
  readonly first: number | null;
  readonly last: number | null;
  readonly transcriptHash: string;
  readonly summary: TranscriptSummary;
  /** When the file was last written; `undefined` if there is none: then the session had not begun to speak. */
  readonly endedAt: number | undefined;
  /** Bytes of unfinished lines that were cut off the end. */
  readonly cut: number;
  /**
   * Whether a line that is none stands before one that is: then this counts the lines before it, and nothing is cut.
   */
  readonly damaged: boolean;
}

/** Cuts what a crash left at the end of each of these sessions' journals, and says what they hold. */
export async function recoverJournals(dir: string, sessions: readonly string[]): Promise<RecoveredJournal[]> {
  const journals: RecoveredJournal[] = [];
  for (const session of sessions) {
    const recovering = recoverJournal(dir, session);
    journals.push(
      await recovering.catch((error) => Promise.reject(explainFileError(error, journalPath(dir, session), "written"))),
    );
  }
  return journals;
}

async function recoverJournal(dir: string, tokenHash: string): Promise<RecoveredJournal> {
  const summary = new TranscriptSummary();
  const said = (rest: Pick<RecoveredJournal, "endedAt" | "cut" | "damaged">) => ({
    tokenHash,
    count: summary.count,
    first: summary.first,
    last: summary.last,
    transcriptHash: summary.hash(),
    summary,
    ...rest,
  });
  let file: Deno.FsFile;
  try {
    file = await Deno.open(journalPath(dir, tokenHash), { read: true, write: true });
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return said({ endedAt: undefined, cut: 0, damaged: false });
    throw error;
  }
  using _ = file;
  const endedAt = (await file.stat()).mtime?.getTime() ?? 0; // before a cut changes it
  const { cut, damaged } = await recoverLines(file, parseLine, ({ seqno, ts }, line) => summary.add(line, seqno, ts));
  return said({ endedAt, cut, damaged });
}
