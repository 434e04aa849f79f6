/**
 * The file with the key that wraps the keys of rooms: `DATA_DIR/room_key`, one line of base64, for its owner alone. It
 * is made once; without it the rooms of the database can't be opened, so it belongs into every backup, and into another
 * one than the database.
 */

import { type Bytes, encodeBase64, parseBase64, type Random } from "./bytes.ts";
import { EXIT, Failure } from "./errors.ts";
import { exists, readPrivateFile, writeAtomically } from "./files.ts";
import { AesKeyWrap, WRAPPING_KEY_SIZE } from "./key_wrap.ts";

/** The key file's name in DATA_DIR. */
export const ROOM_KEY_FILE = "room_key";

/** The wrap of this server's key file, which is made where there is none. Failure where it can't be used. */
export async function openRoomKey(dataDir: string, random: Random): Promise<AesKeyWrap> {
  const path = `${dataDir}/${ROOM_KEY_FILE}`;
  if (!await exists(path)) {
    await writeAtomically(path, `${encodeBase64(random(WRAPPING_KEY_SIZE))}\n`, { mode: 0o600 });
  }
  const key: Bytes | undefined = parseBase64((await readPrivateFile(path)).trimEnd());
  if (key?.length !== WRAPPING_KEY_SIZE) {
    throw new Failure(EXIT.usage, `${path} is not the key of this server's rooms; put it back from a backup`);
  }
  return new AesKeyWrap(key, random);
}
