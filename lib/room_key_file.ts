/**
 * The file under whose key the keys of rooms are stored: `DATA_DIR/room_key`, mode 0600, 64 hex digits and an LF.
 *
 *     const keys = new AesKeyWrap(await loadRoomKey("data"), random);
 *
 * Made at the first start. Whoever has it and the database can read every room: back it up, and not beside the
 * database. Without it the lines and their proofs stay good, and what they say is lost. Servers that share a database
 * share it.
 *
 * @layer outside
 */

import { type Bytes, encodeHex, parseHex } from "./bytes.ts";
import { EXIT, Failure } from "./errors.ts";
import { createPrivateFolder, exists, readPrivateFile, writeAtomically } from "./files.ts";
import { WRAPPING_KEY_SIZE } from "./key_wrap.ts";

/** The file's name inside DATA_DIR. */
export const ROOM_KEY_FILE = "room_key";

/** The key; a new one if there is none yet. A Failure if others can read it, or it is no key. */
export async function loadRoomKey(dataDir: string): Promise<Bytes> {
  const path = `${dataDir}/${ROOM_KEY_FILE}`;
  if (!await exists(path)) await makeRoomKey(dataDir, path);
  const key = parseHex((await readPrivateFile(path)).replace(/\r?\n$/, ""));
  if (key?.length !== WRAPPING_KEY_SIZE) {
    throw new Failure(
      EXIT.usage,
      `${path} is no room key: it must be ${2 * WRAPPING_KEY_SIZE} hex digits; restore it from a backup`,
    );
  }
  return key;
}

async function makeRoomKey(dataDir: string, path: string): Promise<void> {
  await createPrivateFolder(dataDir);
  const key = encodeHex(crypto.getRandomValues(new Uint8Array(WRAPPING_KEY_SIZE)));
  try {
    await writeAtomically(path, `${key}\n`, { mode: 0o600 });
  } catch (error) {
    if (!await exists(path)) throw error; // otherwise another server was first, and its key is the key
  }
}
