/**
 * A log file that is rotated at a size: `server.log.1` is the newest old one. Lines stay whole. Nothing here blocks the
 * program's own thread.
 *
 * @layer outside
 */

import type { Bytes } from "./bytes.ts";

/** At which size a file is rotated, and how many old ones are kept. */
export interface RotationOptions {
  readonly maxBytes: number;
  readonly maxFiles: number;
}

/** A file that is appended to. */
export class RotatingFile {
  readonly #path: string;
  readonly #options: RotationOptions;
  #file: Deno.FsFile | undefined;
  #size = 0;

  /** Opens the file, or makes it only for its owner. */
  constructor(path: string, options: RotationOptions) {
    this.#path = path;
    this.#options = options;
    this.#file = Deno.openSync(path, OPEN);
    this.#size = this.#file.statSync().size;
  }

  /** Appends whole lines; returns how many bytes it wrote. */
  async write(lines: Bytes): Promise<number> {
    if (this.#fitting(lines) === 0) await this.#rotate();
    this.#file ??= await Deno.open(this.#path, OPEN);
    const taken = await this.#file.write(lines.subarray(0, this.#fitting(lines) || lines.indexOf(10) + 1));
    this.#size += taken;
    return taken;
  }

  /** For how many bytes of whole lines there is room; none in an empty file if the first line is too long. */
  #fitting(lines: Bytes): number {
    const room = Math.max(0, this.#options.maxBytes - this.#size);
    return lines.length <= room ? lines.length : lines.subarray(0, room).lastIndexOf(10) + 1;
  }

  async #rotate(): Promise<void> {
    if (this.#size === 0) return;
    this.close();
    for (let old = this.#options.maxFiles - 1; old >= 0; old--) {
      const name = old === 0 ? this.#path : `${this.#path}.${old}`;
      await Deno.rename(name, `${this.#path}.${old + 1}`).catch(() => {}); // there are fewer yet
    }
    this.#size = 0;
  }

  close(): void {
    this.#file?.close();
    this.#file = undefined;
  }
}

const OPEN = { append: true, create: true, mode: 0o600 } as const;
