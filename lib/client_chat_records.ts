/**
 * What a client keeps of its session, in TRANSCRIPT_DIR:
 *
 *     transcript_20231115_143022.txt         the acknowledged lines, each on the disk before its ✓ is shown
 *     receipt_20231115_143022.json           the server's receipt; only if it came and was verified
 *     client_receipt_20231115_143022.json    this side's own receipt
 *     ca_cert.pem                            the authorities that both chain to, for `verify`
 *
 * The stamp is the time at which the session began, in UTC as `created_at` of a receipt; `_2`, `_3` … follow it if
 * one of the three names is taken. Nothing is overwritten: if `ca_cert.pem` is another authority's, a copy with the stamp
 * stands beside it, and the verify command names that copy. Receipts are written under another name and then renamed, so
 * a file of that name is always whole.
 *
 * @layer outside
 */

import { encodeUtf8 } from "./bytes.ts";
import { EXIT, Failure } from "./errors.ts";
import { createPrivateFolder, exists, readTextFile, shellPath, syncFolder, writeAtomically } from "./files.ts";
import { PROGRAM } from "./program.ts";

/** Where and when a session's records begin, and what signed its certificates. */
export interface RecordsOptions {
  /** Unix milliseconds. */
  readonly startedAt: number;
  /** The authorities' certificates, PEM. */
  readonly authorities: string;
}

/** `20231115_143022`. */
function stamp(time: number): string {
  return new Date(time).toISOString().slice(0, 19).replaceAll(/[-:]/g, "").replace("T", "_");
}

/** The records of one session. */
export class Records {
  readonly #dir: string;
  readonly #stamp: string;
  readonly #file: Deno.FsFile;
  #size = 0;
  #authorities = "ca_cert.pem";

  private constructor(dir: string, stamp: string, file: Deno.FsFile) {
    this.#dir = dir;
    this.#stamp = stamp;
    this.#file = file;
  }

  /** Creates the folder, if it isn't there, and an empty transcript under a stamp of its own. */
  static async open(dir: string, { startedAt, authorities }: RecordsOptions): Promise<Records> {
    return await guarded(`no transcript can be made in ${dir}`, async () => {
      await createPrivateFolder(dir);
      for (let n = 1;; n++) {
        const name = stamp(startedAt) + (n === 1 ? "" : `_${n}`);
        const file = await create(`${dir}/transcript_${name}.txt`);
        if (!file) continue;
        const records = new Records(dir, name, file);
        if (await exists(records.serverReceipt) || await exists(records.clientReceipt)) {
          file.close();
          await Deno.remove(records.transcript);
          continue;
        }
        await records.#keepAuthorities(authorities);
        await syncFolder(records.transcript); // a file whose name is not on the disk is gone after a power cut
        return records;
      }
    });
  }

  /** The transcript's path. */
  get transcript(): string {
    return `${this.#dir}/transcript_${this.#stamp}.txt`;
  }

  /** Where the server's receipt goes. */
  get serverReceipt(): string {
    return `${this.#dir}/receipt_${this.#stamp}.json`;
  }

  /** Where this side's receipt goes. */
  get clientReceipt(): string {
    return `${this.#dir}/client_receipt_${this.#stamp}.json`;
  }

  async #keepAuthorities(pem: string): Promise<void> {
    const path = `${this.#dir}/${this.#authorities}`;
    if (!await exists(path)) {
      await writeAtomically(path, pem).catch(async (error) => {
        if (!await exists(path)) throw error; // else another chat was faster
      });
    }
    if (await readTextFile(path) === pem) return;
    this.#authorities = `ca_cert_${this.#stamp}.pem`;
    await writeAtomically(`${this.#dir}/${this.#authorities}`, pem, { replace: true });
  }

  /** Resolves once the line, given without its LF, is on the disk. What a failed write left is cut off again. */
  async append(line: string): Promise<void> {
    await guarded(`the transcript ${this.transcript} cannot be written`, async () => {
      const bytes = encodeUtf8(`${line}\n`);
      try {
        for (let at = 0; at < bytes.length;) at += await this.#file.write(bytes.subarray(at));
        await this.#file.syncData();
        this.#size += bytes.length;
      } catch (error) {
        await this.#file.truncate(this.#size).catch(() => {});
        throw error;
      }
    });
  }

  /** The bytes of the transcript as it is on the disk. */
  async readTranscript(): Promise<AsyncIterable<Uint8Array>> {
    return await guarded(`the transcript ${this.transcript} cannot be read`, async () => {
      return (await Deno.open(this.transcript)).readable;
    });
  }

  /** Writes the server's receipt: its JSON as it came. */
  async writeServerReceipt(json: string): Promise<void> {
    await this.#writeReceipt(this.serverReceipt, json);
  }

  /** Writes this side's receipt, over an earlier one of the same session. */
  async writeClientReceipt(json: string): Promise<void> {
    await this.#writeReceipt(this.clientReceipt, json);
  }

  /** The names are this session's own since it began, so what stands there is its own too. */
  async #writeReceipt(path: string, json: string): Promise<void> {
    await guarded(
      `the receipt ${path} cannot be written`,
      () => writeAtomically(path, `${json}\n`, { mode: 0o600, replace: true }),
    );
  }

  /** What a shell has to be given to verify the transcript with that receipt. */
  verifyCommand(receipt: string): string {
    const ca = this.#authorities === "ca_cert.pem" ? "" : ` --ca ${shellPath(`${this.#dir}/${this.#authorities}`)}`;
    return `${PROGRAM} verify ${shellPath(receipt)} ${shellPath(this.transcript)}${ca}`;
  }

  close(): void {
    this.#file.close();
  }
}

/** A new file that only this user can read; `undefined` if the name is taken. */
async function create(path: string): Promise<Deno.FsFile | undefined> {
  try {
    return await Deno.open(path, { write: true, createNew: true, mode: 0o600 });
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return undefined;
    throw error;
  }
}

async function guarded<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof Failure) throw error;
    throw new Failure(
      EXIT.unavailable,
      `${what} (${reason(error)}); make it writable, or choose another folder with --transcripts`,
    );
  }
}

function reason(error: unknown): string {
  if (error instanceof Deno.errors.PermissionDenied) return "permission denied";
  if (error instanceof Deno.errors.NotADirectory) return "a part of its path is a file";
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  return code === "ENOSPC" ? "the disk is full" : code === "" ? "the system refused" : code;
}
