/**
 * What a witness keeps, in a folder of its own:
 *
 *     witness_key.pem             its key, which nobody else can read (mode 0600)
 *     logs/<hex>.note             of each log the newest note that was cosigned; <hex> is SHA-256 of the log's origin
 *     conflicts/<hex>_<size>_….json    two notes that one log signed for one size, with two roots; 100 at most
 *     lock                        held by the program that runs here
 *
 * A note is on the disk before its cosignature is told to anybody, so a witness that was killed never signs two trees.
 * A folder that was lost is the name and the key lost.
 *
 * @layer outside
 */

import { encodeHex, encodeUtf8 } from "./bytes.ts";
import { decodeEd25519, type Ed25519Secret, importEd25519, newEd25519 } from "./ed25519.ts";
import { encodePrivateKey } from "./private_key.ts";
import { EXIT, Failure } from "./errors.ts";
import { exists, explainFileError, lockFile, readPrivateFile, readTextFile, writeAtomically } from "./files.ts";
import { sha256 } from "./hash.ts";
import { encodeSignatureLine, type Note, parseNote } from "./log_note.ts";

/** No more conflicts are kept: one is enough to convict a log, and a disk has an end. */
export const MAX_CONFLICTS = 100;
/** Longer than any note that was cosigned. */
const MAX_STORED = 262_144;

/** The name of a log in file names. */
export function fileNameOf(origin: string): string {
  return encodeHex(sha256(encodeUtf8(origin)));
}

/** A witness's folder, as long as it is open. */
export class WitnessFolder implements Disposable {
  private constructor(readonly path: string, readonly lock: Deno.FsFile) {}

  /** Opens the folder, and makes it if there is none; a {@link Failure} if another program runs in it. */
  static async open(path: string): Promise<WitnessFolder> {
    try {
      for (const folder of [path, `${path}/logs`, `${path}/conflicts`]) {
        await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
      }
    } catch (error) {
      throw explainFileError(error, path, "made");
    }
    const lock = await Deno.open(`${path}/lock`, { create: true, write: true, mode: 0o600 }).catch((error) => {
      throw explainFileError(error, `${path}/lock`, "written");
    });
    if (!await lockFile(lock, 1_000)) {
      lock.close();
      throw new Failure(EXIT.unavailable, `another witness runs with ${path}; stop it, or name another folder`);
    }
    const folder = new WitnessFolder(path, lock);
    await folder.#clean();
    return folder;
  }

  /** Removes what a crash left half-written. */
  async #clean(): Promise<void> {
    for (const folder of [this.path, `${this.path}/logs`, `${this.path}/conflicts`]) {
      for await (const { name } of Deno.readDir(folder)) {
        if (/\.[0-9a-f-]{36}\.new$/.test(name)) await Deno.remove(`${folder}/${name}`);
      }
    }
  }

  /** The key; made if there is none and no note was cosigned yet. */
  async key(): Promise<Ed25519Secret> {
    const path = `${this.path}/witness_key.pem`;
    if (!await exists(path)) {
      if ((await this.logs()).length > 0) {
        const what =
          `there is no ${path}, although logs were cosigned with it; put it back, or begin with another folder`;
        throw new Failure(EXIT.usage, `${what} and another name`);
      }
      const pkcs8 = newEd25519((size) => crypto.getRandomValues(new Uint8Array(size)));
      await writeAtomically(path, await encodePrivateKey(pkcs8, undefined, () => new Uint8Array(0)), { mode: 0o600 });
    }
    const pkcs8 = decodeEd25519(await readPrivateFile(path));
    const secret = pkcs8 && await importEd25519(pkcs8);
    if (!secret) throw new Failure(EXIT.usage, `${path} holds no Ed25519 key without a passphrase`);
    return secret;
  }

  /** The notes that were cosigned last, each with its file's name. */
  async logs(): Promise<{ readonly name: string; readonly note: Note }[]> {
    const found: { name: string; note: Note }[] = [];
    for await (const { name } of Deno.readDir(`${this.path}/logs`)) {
      const [, hex] = /^([0-9a-f]{64})\.note$/.exec(name) ?? [];
      if (hex === undefined) continue;
      const path = `${this.path}/logs/${name}`;
      const note = parseNote(encodeUtf8(await readTextFile(path, { max: MAX_STORED })), MAX_STORED);
      if (!note) {
        throw new Failure(EXIT.usage, `${path} is damaged; put it back from a backup as new as the last answer`);
      }
      found.push({ name: hex, note });
    }
    return found;
  }

  /** Keeps the newest note of a log; resolves when it would survive a crash. */
  async keep(origin: string, { text, signatures }: Note): Promise<void> {
    const path = `${this.path}/logs/${fileNameOf(origin)}.note`;
    const whole = `${text}\n${signatures.map(encodeSignatureLine).join("")}`;
    await writeAtomically(path, whole, { mode: 0o644, replace: true });
  }

  /** Keeps a conflict, once for each root; false if there are as many as are kept already. */
  async keepConflict(name: string, json: string): Promise<boolean> {
    const path = `${this.path}/conflicts/${name}.json`;
    if (await exists(path)) return true;
    let count = 0;
    for await (const _ of Deno.readDir(`${this.path}/conflicts`)) count += 1;
    if (count >= MAX_CONFLICTS) return false;
    await writeAtomically(path, json);
    return true;
  }

  [Symbol.dispose](): void {
    this.lock.close();
  }
}
