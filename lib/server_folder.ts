/**
 * What a server's data folder looks like before the server starts: whether others may write to it, and whether the
 * files that belong together are all there.
 *
 * @layer outside
 */

import { exists } from "./files.ts";
import { ROOM_KEY_FILE } from "./room_key_file.ts";

/** The name that `store_sqlite.ts` gives the database: that module would load SQLite for a server that has none. */
const SQLITE_FILE = "securechat.db";

/** What was found. */
export interface FolderBefore {
  /** Sentences for the operator. */
  readonly warnings: readonly string[];
  /** Whether a server has run here before: it leaves the key that rooms' keys are under. */
  readonly hasKey: boolean;
  readonly hasDatabase: boolean;
}

/** Files of the folder that nobody else should write to. */
const FILES = ["", SQLITE_FILE, `${SQLITE_FILE}-wal`, "spool.jsonl", ROOM_KEY_FILE, "journals"];

/** Looks at a data folder, which may not be there yet. */
export async function lookAtFolder(dataDir: string): Promise<FolderBefore> {
  const warnings: string[] = [];
  for (const name of Deno.build.os === "windows" ? [] : FILES) {
    const path = name === "" ? dataDir : `${dataDir}/${name}`;
    const info = await Deno.stat(path).catch(() => undefined);
    if (((info?.mode ?? 0) & 0o022) === 0) continue;
    const mode = info?.isDirectory ? "700" : "600";
    warnings.push(
      `others on this machine may write to ${path}, and so change what the server keeps; run: chmod ${mode} ${path}`,
    );
  }
  const database = await Deno.stat(`${dataDir}/${SQLITE_FILE}`).catch(() => undefined);
  return { warnings, hasKey: await exists(`${dataDir}/${ROOM_KEY_FILE}`), hasDatabase: (database?.size ?? 0) > 0 };
}
