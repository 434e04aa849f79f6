/**
 * What a client keeps of the rooms of a server, in TRANSCRIPT_DIR/rooms/<server>/ (`client_servers.ts` says which):
 *
 *     lock                     held by the program that uses them
 *     server                   the server's key and name, and the addresses at which it was reached
 *     account                  {"username":"ada","email":"ada@example.org"}: whose records these are; the email of the last login
 *     token                    the session's token, base64: whoever has it is logged in for a day
 *     rooms                    ["#ops","@ada,@bob"]: the rooms that this client was in last
 *     current                  "#ops": the room that was looked at last
 *     devices                  one {"fingerprint":…,"username":…} a row: a certificate that was seen, and whose it is;
 *                              {"fingerprint":…,"vouched_by":…}: that one says that this one is its owner's too
 *     server_log               what was read of the server's log, a record a row: see `client_log.ts`
 *     certificates/<hex>.pem   authors and servers, with their intermediates
 *     #ops/log                 {"origin":…,"history":"all"}; "base" if the lines don't begin at 0
 *     #ops/transcript.txt      the lines, as every transcript
 *     #ops/openings.txt        index<TAB>base64(envelope): the words of lines that aren't erased
 *     #ops/bad                 one {"index":7,"reason":…} for each line that was found bad when it came, or when it was covered;
 *                              {…,"counts":true}: its effect counts all the same
 *     #ops/refused             one {"refused":"<leaf hash>"} for each line of one's own that the server has refused
 *     #ops/checkpoints         one a row, each checked; {"seen":41}: a line of one's own names the head of that size
 *     #ops/unsent              lines that are not known to be accepted: {"key":7,"ts":…,"statement":…}, signed
 *                              {"key":7,"by":…,"post":…}; {"key":7}: it is accepted, or given up
 *     #ops/lie                 at what the server was caught, and the checkpoints that convict it
 *     #ops~1/                  the same files of a log that was given up: evidence, which nothing here reads
 *
 * Only the owner can read these files. `client_room_files.ts` writes those of a room, `client_log_monitor.ts` checks
 * what they hold.
 *
 * An export takes no lock, and reads while another program writes. It reads lines before words and checkpoints, so each
 * line that it reads has its words, and it reads whole rows only.
 *
 * @layer outside
 */

import { type Bytes, encodeBase64, parseBase64 } from "./bytes.ts";
import { GrowingFile } from "./client_growing_file.ts";
import type { Pin } from "./client_pins.ts";
import { guarded, readJson, RoomFiles } from "./client_room_files.ts";
import { parsePin } from "./client_room_rows.ts";
import {
  findRecord,
  folderName,
  knownRecord,
  noteServer,
  oldRecord,
  type RecordChoice,
  type ShownServer,
} from "./client_servers.ts";
import type { ClientStore } from "./client_store.ts";
import { EXIT, Failure } from "./errors.ts";
import { createPrivateFolder, exists, lockFile, readTextFile, writeAtomically } from "./files.ts";
import { encodeJson, isJsonList, isJsonObject, type Json, type JsonObject, member, parseJson } from "./json.ts";
import { isRoomName, usernameKey } from "./names.ts";
import type { Certificate } from "./x509.ts";

/** The most of a server's log that is read, in bytes: years of it. */
const MAX_SERVER_LOG = 2 ** 31;
/** How long to wait for another program that uses the same records, in milliseconds. */
const LOCK_WAIT = 2_000;

/** All rooms of one server. */
export class RoomRecords implements ClientStore {
  /** `undefined` until the server has shown which server it is. */
  #dir: string | undefined;
  readonly #choice: RecordChoice | undefined;
  readonly #rooms = new Map<string, Promise<RoomFiles>>();
  #devices: GrowingFile | undefined;
  #serverLog: GrowingFile | undefined;
  readonly #pins: Pin[] = [];
  #writing: Promise<unknown> = Promise.resolve();
  /** A lock that is held: two programs that write the same files would spoil them. */
  #lock: Deno.FsFile | undefined;
  #open = RoomFiles.open;

  private constructor(dir: string | undefined, choice?: RecordChoice) {
    this.#dir = dir;
    this.#choice = choice;
  }

  /** Opens the record of that name below TRANSCRIPT_DIR, and makes it if it isn't there. */
  static async open(transcripts: string, name: string): Promise<RoomRecords> {
    const records = new RoomRecords(undefined);
    await records.#take(`${transcripts}/rooms/${folderName(name)}`);
    return records;
  }

  /**
   * The records of the server at an address. If it isn't known yet which server that is, they are empty, and nothing
   * is kept before {@link meet}.
   */
  static async of(choice: RecordChoice, authorities: readonly Certificate[]): Promise<RoomRecords> {
    const records = new RoomRecords(undefined, choice);
    const dir = await knownRecord(choice, authorities);
    if (dir !== undefined) await records.#take(dir);
    return records;
  }

  /** Opens records for an export, while another program may be using them: nothing is made or written. */
  static async toRead(dir: string): Promise<RoomRecords> {
    const records = new RoomRecords(dir);
    records.#open = RoomFiles.toRead;
    try {
      for await (const _ of Deno.readDir(dir)) break;
      return records;
    } catch (error) {
      const what = error instanceof Deno.errors.NotFound
        ? `Folder not found: ${dir}`
        : `The folder ${dir} can't be read`;
      throw new Failure(EXIT.usage, `${what}; name the server with --host, or the folder with --transcripts`);
    }
  }

  /**
   * The server has shown who it is. Records that belonged to no server yet are its own now, and have to be read:
   * `isNew`. Failure (4) if they are another server's.
   */
  async meet(shown: ShownServer): Promise<{ readonly isNew: boolean; readonly notice?: string }> {
    const known = this.#dir;
    const { dir, notice } = known !== undefined || !this.#choice
      ? { dir: known ?? "", notice: undefined }
      : await findRecord(this.#choice, shown);
    if (known === undefined) await this.#take(dir);
    await noteServer(dir, shown, this.#choice);
    return { isNew: known === undefined, ...(notice === undefined ? {} : { notice }) };
  }

  /** Opens a folder for writing. */
  async #take(dir: string): Promise<void> {
    await guarded(`rooms can't be kept in ${dir}`, async () => {
      await createPrivateFolder(`${dir}/certificates`);
      this.#lock = await lockOf(dir);
      this.#devices = new GrowingFile(`${dir}/devices`);
      await this.#devices.open(parsePin, (pin) => this.#pins.push(pin));
    });
    this.#dir = dir;
  }

  /** The records' folder. While it isn't known which server this is: the folder that will hold it. */
  get dir(): string {
    return this.#dir ?? this.#choice?.folder ?? "";
  }

  /** The records of the server at an address, only to read the account, while another program may be using them. */
  static async toLookAt(choice: RecordChoice, authorities: readonly Certificate[]): Promise<RoomRecords> {
    return new RoomRecords(await knownRecord(choice, authorities) ?? await oldRecord(choice));
  }

  /** Failure (2) if these are somebody else's records. */
  async mustServe(username: string): Promise<void> {
    const owner = await this.account();
    if (owner !== undefined && usernameKey(owner) !== usernameKey(username)) {
      throw new Failure(
        EXIT.usage,
        `${this.#dir} holds the rooms of ${owner}, not of ${username}; choose another folder with --transcripts`,
      );
    }
  }

  /** Notes whose records these are, and the e-mail of the login. Failure (2) if they are somebody else's. */
  async claim(username: string, email?: string): Promise<void> {
    await this.mustServe(username);
    const owner = await this.account();
    const known = await this.email();
    if (owner !== undefined && (email === undefined || email === known)) return;
    await this.#write(
      "account",
      encodeJson({ username: owner ?? username, ...(email === undefined ? {} : { email }) }),
    );
  }

  /** The e-mail address of the last login; `undefined` if none is known. */
  async email(): Promise<string | undefined> {
    const found = await this.#readJson("account");
    const email = isJsonObject(found) ? member(found, "email") : undefined;
    return typeof email === "string" ? email : undefined;
  }

  /** Whose records these are; `undefined` before anybody has claimed them. */
  async account(): Promise<string | undefined> {
    const found = await this.#readJson("account");
    const owner = isJsonObject(found) ? member(found, "username") : undefined;
    return typeof owner === "string" ? owner : undefined;
  }

  /** The token that resumes the session; `undefined` if there is none. */
  async token(): Promise<Bytes | undefined> {
    const found = await this.#readJson("token");
    return typeof found === "string" ? parseBase64(found) : undefined;
  }

  /** Whether there is a token, or will be when the server has shown who it is. */
  async mayHaveToken(): Promise<boolean> {
    if (this.#dir !== undefined) return await this.token() !== undefined;
    const old = this.#choice && await oldRecord(this.#choice);
    return old !== undefined && await exists(`${old}/token`);
  }

  /** Keeps a token; without one, forgets the last. */
  async keepToken(token: Bytes | undefined): Promise<void> {
    if (token) await this.#write("token", encodeJson(encodeBase64(token)));
    else await Deno.remove(`${this.#dir}/token`).catch(() => {});
  }

  room(name: string): Promise<RoomFiles> {
    const known = this.#rooms.get(name);
    if (known) return known;
    if (!isRoomName(name)) throw new RangeError(`${name} is no room`);
    if (this.#dir === undefined) {
      return Promise.reject(new Failure(EXIT.unavailable, "the server was not reached yet, so its rooms aren't known"));
    }
    const opening = this.#open(`${this.#dir}/${name}`);
    this.#rooms.set(name, opening);
    opening.catch(() => this.#rooms.delete(name));
    return opening;
  }

  async putAside(name: string): Promise<string> {
    await (await this.room(name)).close();
    this.#rooms.delete(name);
    const from = `${this.#dir}/${name}`;
    return await guarded(`the room can't be moved away from ${from}`, async () => {
      let n = 1;
      while (await exists(`${from}~${n}`)) n += 1; // no room's name has a tilde
      await Deno.rename(from, `${from}~${n}`);
      return `${from}~${n}`;
    });
  }

  async rooms(): Promise<readonly string[]> {
    const found = await this.#readJson("rooms");
    return found !== undefined && isJsonList(found)
      ? found.flatMap((name) => typeof name === "string" && isRoomName(name) ? [name] : [])
      : [];
  }

  keepRooms(names: readonly string[]): Promise<void> {
    const written = this.#writing.then(() => this.#write("rooms", encodeJson(names)));
    this.#writing = written.catch(() => {});
    return written;
  }

  /** The room that was looked at last; `undefined` if none was. */
  async current(): Promise<string | undefined> {
    const name = await this.#readJson("current");
    return typeof name === "string" && isRoomName(name) ? name : undefined;
  }

  keepCurrent(room: string): Promise<void> {
    const written = this.#writing.then(() => this.#write("current", encodeJson(room)));
    this.#writing = written.catch(() => {});
    return written;
  }

  async certificate(fingerprint: string): Promise<string | undefined> {
    return await readTextFile(`${this.#dir}/certificates/${fingerprint}.pem`).catch(() => undefined);
  }

  async keepCertificate(fingerprint: string, pem: string): Promise<void> {
    await this.#write(`certificates/${fingerprint}.pem`, pem);
  }

  async serverLog(): Promise<readonly JsonObject[]> {
    await this.#writing;
    return await this.#openServerLog();
  }

  keepServerLog(records: readonly JsonObject[]): Promise<void> {
    const rows = records.map((record) => `${encodeJson(record)}\n`);
    const written = this.#writing.then(() => this.#serverLog?.append(rows));
    this.#writing = written.catch(() => {});
    return written;
  }

  /** What was kept of the server's log, for somebody who only reads: another program may be writing it. */
  async readServerLog(): Promise<readonly JsonObject[]> {
    const path = `${this.#dir}/server_log`;
    if (!await exists(path)) return [];
    const rows = (await readTextFile(path, { max: MAX_SERVER_LOG })).split("\n");
    rows.pop(); // a row without its end is still being written
    return rows.map(parseRecord).filter((record) => record !== undefined);
  }

  async #openServerLog(): Promise<JsonObject[]> {
    const records: JsonObject[] = [];
    this.#serverLog?.close();
    this.#serverLog = new GrowingFile(`${this.#dir}/server_log`);
    await this.#serverLog.open(parseRecord, (record) => records.push(record));
    return records;
  }

  pins(): Promise<readonly Pin[]> {
    return Promise.resolve(this.#pins);
  }

  keepPin(pin: Pin): Promise<void> {
    const written = this.#writing.then(() => this.#devices?.append([`${encodeJson(pin)}\n`]));
    this.#writing = written.catch(() => {});
    return written;
  }

  /** Waits for writes under way, and closes all files. */
  async close(): Promise<void> {
    for (const room of this.#rooms.values()) await room.then((one) => one.close(), () => {});
    await this.#writing;
    this.#devices?.close();
    this.#serverLog?.close();
    this.#lock?.close();
    this.#lock = undefined;
  }

  async #readJson(name: string): Promise<Json | undefined> {
    return this.#dir === undefined ? undefined : await readJson(`${this.#dir}/${name}`);
  }

  async #write(name: string, text: string): Promise<void> {
    if (this.#dir === undefined) return; // nothing is kept before it is known which server this is
    await writeAtomically(`${this.#dir}/${name}`, text, { mode: 0o600, replace: true });
  }
}

async function lockOf(dir: string): Promise<Deno.FsFile> {
  const file = await Deno.open(`${dir}/lock`, { write: true, create: true, mode: 0o600 });
  if (await lockFile(file, LOCK_WAIT)) return file;
  throw new Failure(
    EXIT.unavailable,
    `securechat is already running with the rooms in ${dir}; close it, or use its commands (/export, /proof)`,
  );
}

/** A record of the server's log in a row. */
function parseRecord(row: string): JsonObject | undefined {
  const record = parseJson(row);
  return isJsonObject(record) ? record : undefined;
}
