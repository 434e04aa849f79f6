/**
 * `revoked.txt` in CERT_DIR: a second copy of what the CAs of this folder have revoked, so that nobody becomes unrevoked
 * if a list is lost:
 *
 *     5f1c0b9e4a7d22d08c3a6b51e0f4978d 2026-11-23T02:05:32Z crl.pem
 *
 * (serial number, since when, in which list). A new list contains everything in this file and in the previous list. Only
 * the signed list is given to others; this file stays with the CA.
 *
 * @layer outside
 */

import { EXIT, Failure } from "./errors.ts";
import { appendLines, exists, readTextFile } from "./files.ts";

/** The revocation list of the CA, and that of the issuing CA below it. */
export type CrlFile = "crl.pem" | "issuing_crl.pem";

/** A line of `revoked.txt`. */
export interface Revoked {
  readonly serial: string;
  /** Unix milliseconds, whole seconds. */
  readonly date: number;
  readonly file: CrlFile;
}

/** All that was revoked here. Failure if a line can't be read: skipping it would unrevoke somebody. */
export async function readRevoked(dir: string): Promise<readonly Revoked[]> {
  const path = `${dir}/revoked.txt`;
  if (!await exists(path)) return [];
  const lines = (await readTextFile(path)).split("\n").filter((line) => line !== "");
  return lines.map((line) => {
    const [, serial = "", time = "", file] = /^([0-9a-f]+) (\S+Z) (crl\.pem|issuing_crl\.pem)$/.exec(line) ?? [];
    const date = Date.parse(time);
    if (Number.isNaN(date)) {
      throw new Failure(EXIT.usage, `${path} has a line that is not "SERIAL TIME LIST"; restore it from a copy`);
    }
    return { serial, date, file: file === "crl.pem" ? file : "issuing_crl.pem" };
  });
}

/** Adds lines; they are on the disk when it resolves. */
export async function recordRevoked(dir: string, revoked: readonly Revoked[]): Promise<void> {
  if (revoked.length === 0) return;
  const lines = revoked.map(({ serial, date, file }) =>
    `${serial} ${new Date(date).toISOString().replace(/\.\d+Z$/, "Z")} ${file}`
  );
  await appendLines(`${dir}/revoked.txt`, lines, 0o644);
}
