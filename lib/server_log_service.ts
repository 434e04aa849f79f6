/**
 * The server's log with what it needs of the outside: its key beside the server's, the newest note on the disk, its
 * witnesses and its time-stamping authorities (docs/PROTOCOL.md, "The server's log").
 *
 *     CERT_DIR/log_key.pem        the key of this log, from its first note to its last (mode 0600)
 *     DATA_DIR/log_newest.note    the newest note that was signed; no backup of the database has it, and none is to
 *                                 take its place: it shows that a restored database is behind
 *
 * Without its key a server runs without a log and says so.
 *
 * @layer outside
 */

import { encodeHex, encodeUtf8, parseUtf8, type Random } from "./bytes.ts";
import type { Config } from "./config.ts";
import { decodeEd25519, type Ed25519Secret, importEd25519, newEd25519 } from "./ed25519.ts";
import { EXIT, Failure, messageOf } from "./errors.ts";
import { exists, readPrivateFile, readTextFile, writeAtomically } from "./files.ts";
import { sha256 } from "./hash.ts";
import { type LogHead, logOrigin, parseCharter } from "./log_charter.ts";
import { encodeNote, isKeyName, MAX_NOTE_BYTES, parseNote, parseNoteHead } from "./log_note.ts";
import { encodeVkey, KEY_TYPE, noteKey, type NoteSigner, noteSigner, openNote, signNote } from "./log_note_key.ts";
import type { Log } from "./logging.ts";
import { encodePrivateKey } from "./private_key.ts";
import { PROGRAM } from "./program.ts";
import type { HeadSigner } from "./room_heads.ts";
import { type LogFault, ServerLog, WrongLogKey } from "./server_log.ts";
import { LogAnswers } from "./server_log_answers.ts";
import type { LogStore, StoredLog, StoredNote } from "./server_log_store.ts";
import type { AuditEvent } from "./server_store.ts";
import { witnessHttp } from "./server_witness_http.ts";
import { Witnesses } from "./server_witnesses.ts";
import { imprintOf } from "./timestamp_judge.ts";
import { stamp } from "./timestamp_asking.ts";
import { loadPolicy } from "./witness_policy_file.ts";
import type { WitnessPolicy } from "./witness_policy.ts";
import { type Certificate, parseCertificateFile } from "./x509.ts";

/** The key's file in CERT_DIR. */
export const LOG_KEY_FILE = "log_key.pem";
/** The newest note's file in DATA_DIR. */
export const NEWEST_NOTE_FILE = "log_newest.note";
/** Roots of authorities that one file may have. */
const MAX_ROOTS = 64;
/** How soon an authority that gave no token is asked again, in milliseconds. */
const STAMP_RETRY = 60_000;

/** What the log is opened with. */
export interface LogServiceOptions {
  readonly config: Config;
  readonly store: LogStore;
  readonly serverName: string;
  readonly signer: () => HeadSigner;
  readonly now: () => number;
  readonly later: (ms: number, run: () => void) => void;
  readonly random: Random;
  readonly isAttended: () => boolean;
  readonly log: Log;
  /** Writes a row of the audit log. */
  readonly note: (event: AuditEvent, reason: string) => void;
}

/** The server's log, open. */
export interface LogService {
  readonly log: ServerLog;
  readonly answers: LogAnswers;
  /** What the operator asks for: where each witness is. */
  readonly witnesses: Witnesses | undefined;
  end(): Promise<void>;
}

/** Opens the server's log, or begins it; `undefined` if the server runs without one, which is told. */
export async function openLogService(options: LogServiceOptions): Promise<LogService | undefined> {
  const { config, store, log } = options;
  const policy = config.WITNESS_POLICY === undefined ? undefined : await loadPolicy(config.WITNESS_POLICY);
  const roots = config.TSA_ROOTS === undefined ? [] : await readRoots(config.TSA_ROOTS);
  const [stored] = await store.logs();
  checkSettings(config, stored);
  const signer = await loadSigner(options, stored);
  if (!signer) return undefined;
  const service = new Service(options, signer, policy, roots);
  try {
    await service.open();
  } catch (error) {
    if (!(error instanceof WrongLogKey)) throw error;
    throw new Failure(
      EXIT.unavailable,
      `${keyPath(config)} is not the key of this database's log; put the right one back, or begin another log with: ` +
        `${PROGRAM} log restart`,
    );
  }
  if (config.TSA_URLS.length > 0 && roots.length === 0) log.warn("TSA_ROOTS names no authority: no token is taken");
  return service;
}

/** A tick comes five times within what the charter promises at least. */
const TICKS_WITHIN = 5;
/** What a new log promises, in seconds, unless ticks are rarer. */
const WITHIN = 600;

/** What a new log promises: seconds within which a checkpoint is registered. */
export function withinOf({ LOG_SECONDS }: Pick<Config, "LOG_SECONDS">): number {
  return Math.max(WITHIN, TICKS_WITHIN * LOG_SECONDS);
}

function checkSettings({ LOG_SECONDS }: Config, stored: StoredLog | undefined): void {
  const within = stored && parseCharter(stored.charter)?.within;
  if (within === undefined || LOG_SECONDS <= within / TICKS_WITHIN) return;
  const most = Math.floor(within / TICKS_WITHIN);
  throw new Failure(
    EXIT.usage,
    `LOG_SECONDS is at most ${most}, since the log promises to register a room within ${within} seconds; a log with ` +
      `another promise begins with: ${PROGRAM} log restart`,
  );
}

function keyPath({ CERT_DIR }: Pick<Config, "CERT_DIR">): string {
  return `${CERT_DIR}/${LOG_KEY_FILE}`;
}

/** The roots of authorities in a PEM file. */
export async function readRoots(path: string): Promise<readonly Certificate[]> {
  return parseCertificateFile(await readTextFile(path), MAX_ROOTS);
}

/** The key of the log in the database, or a new one if there is none yet. */
async function loadSigner(options: LogServiceOptions, stored: StoredLog | undefined): Promise<NoteSigner | undefined> {
  const { config, serverName, random, log, note } = options;
  const path = keyPath(config);
  if (!await exists(path)) {
    if (stored) {
      const reason = `there is no ${path}: the server runs without a log`;
      log.error(`${reason}; put the file back, or begin another log with: ${PROGRAM} log restart`);
      note("log_behind", reason);
      return undefined;
    }
    const made = await makeKeyFile(path, random).catch((error) => {
      log.error("the key of the server's log can't be written: the server runs without a log", {
        path,
        reason: messageOf(error),
      });
      return false;
    });
    if (!made) return undefined;
  }
  const secret = await readKeyFile(path);
  if (!stored && await hasSigned(config, secret)) {
    const reason =
      `the database has no log, though ${config.DATA_DIR}/${NEWEST_NOTE_FILE} is a note of this key: the ` +
      "server runs without a log";
    log.error(`${reason}; put the newer database back, or begin another log with: ${PROGRAM} log restart`);
    note("log_behind", reason);
    return undefined;
  }
  return noteSigner(stored?.origin ?? logOrigin(serverName, encodeHex(random(16))), KEY_TYPE.log, secret);
}

/** Whether the note on the disk is one that this key signed: then it has had a log, whatever the database says. */
async function hasSigned({ DATA_DIR }: Config, { publicKey }: Ed25519Secret): Promise<boolean> {
  const path = `${DATA_DIR}/${NEWEST_NOTE_FILE}`;
  if (!await exists(path)) return false;
  const bytes = encodeUtf8(await readTextFile(path));
  const origin = parseNoteHead(parseNote(bytes)?.text ?? "")?.origin;
  if (origin === undefined || !isKeyName(origin)) return false;
  return await openNote(bytes, noteKey(origin, KEY_TYPE.log, publicKey)) !== undefined;
}

/** Makes a key file; never over another. */
export async function makeKeyFile(path: string, random: Random): Promise<boolean> {
  const pem = await encodePrivateKey(newEd25519(random), undefined, () => new Uint8Array(0));
  await writeAtomically(path, pem, { mode: 0o600 });
  return true;
}

/** The key in a file; a {@link Failure} if it has another form. */
export async function readKeyFile(path: string): Promise<Ed25519Secret> {
  const pkcs8 = decodeEd25519(await readPrivateFile(path));
  const secret = pkcs8 && await importEd25519(pkcs8);
  if (!secret) throw new Failure(EXIT.unavailable, `${path} is not an Ed25519 key; put the log's key file back`);
  return secret;
}

class Service implements LogService {
  readonly #options: LogServiceOptions;
  readonly #signer: NoteSigner;
  readonly #roots: readonly Certificate[];
  readonly witnesses: Witnesses | undefined;
  #log: ServerLog | undefined;
  #answers: LogAnswers | undefined;
  /** The size of the newest note that every authority has stamped, or was asked about. */
  #stampedAt = 0;
  #isStamping = false;
  #isEnded = false;
  #ending: Promise<unknown> = Promise.resolve();

  constructor(
    options: LogServiceOptions,
    signer: NoteSigner,
    policy: WitnessPolicy | undefined,
    roots: readonly Certificate[],
  ) {
    this.#options = options;
    this.#signer = signer;
    this.#roots = roots;
    const { now, later, log } = options;
    this.witnesses = policy && new Witnesses({
      ...{ policy, log: signer.key, transport: witnessHttp, now, later },
      size: async () => (await this.log.newestOpen()).size,
      found: async (head) => await this.#log?.compare(head),
      tell: ({ witness, kind, reason }) => {
        log.warn("a witness doesn't cosign the server's log", { witness, reason });
        if (kind === "conflict" || kind === "ahead") options.note("witness_conflict", `${witness}: ${reason}`);
      },
    });
  }

  get log(): ServerLog {
    if (!this.#log) throw new Error("the log isn't open");
    return this.#log;
  }

  get answers(): LogAnswers {
    return this.#answers ??= new LogAnswers(this.log, this.#options.store, (note) => this.#shownBy(note));
  }

  async open(): Promise<void> {
    const { config, store, signer, now, later, isAttended, log } = this.#options;
    const isNew = (await store.logs()).length === 0;
    this.#log = await ServerLog.open({
      ...{ store, signer, now, later, isAttended },
      key: {
        vkey: encodeVkey(this.#signer.key),
        origin: this.#signer.key.name,
        sign: async (text) => await this.#sign(text),
      },
      seconds: config.LOG_SECONDS,
      stampSeconds: config.STAMP_SECONDS,
      within: withinOf(config),
      keepNewest: (note) =>
        writeAtomically(`${config.DATA_DIR}/${NEWEST_NOTE_FILE}`, note, { mode: 0o600, replace: true }),
      newestKept: () => this.#newestKept(),
      cosign: (open) => this.witnesses ? this.witnesses.cosign(open) : Promise.resolve(open.note),
      closed: (note, isNews) => {
        if (isNews) this.#ending = this.#stamp(note);
      },
      fault: (fault, reason) => this.#fault(fault, reason),
      failed: (error) => log.error("the server's log could not go on; it is tried again", { reason: messageOf(error) }),
    });
    if (isNew) this.#options.note("log_started", this.#log.state.origin);
    void this.#begin();
  }

  /** Offers the newest note to the witnesses first: only they know whether the database is one of yesterday. */
  async #begin(): Promise<void> {
    const serverLog = this.log;
    try {
      if (this.witnesses && serverLog.state.size > 0) await this.witnesses.begin(() => serverLog.newestOpen());
      if (this.#isEnded) return;
      await serverLog.closeNewest();
      serverLog.begin();
      serverLog.due();
    } catch (error) {
      this.#options.log.error("the server's log can't begin; it is tried again", { reason: messageOf(error) });
      this.#options.later(STAMP_RETRY, () => void this.#begin());
    }
  }

  async #sign(text: string): Promise<string> {
    const signature = await signNote(text, this.#signer);
    return parseUtf8(encodeNote({ text, signatures: [signature] })) ?? "";
  }

  async #newestKept(): Promise<LogHead | undefined> {
    const path = `${this.#options.config.DATA_DIR}/${NEWEST_NOTE_FILE}`;
    if (!await exists(path)) return undefined;
    const bytes = encodeUtf8(await readTextFile(path));
    // A note of a log before has another name: it says nothing of this one.
    return (await openNote(bytes, this.#signer.key, MAX_NOTE_BYTES))?.head;
  }

  #fault(fault: LogFault, reason: string): void {
    const { log, note } = this.#options;
    log.error(
      `the server's log is not the one that it was, and makes no ticks: ${reason}; put the newer database back, or ` +
        `begin another log with: ${PROGRAM} log restart`,
    );
    note(fault, reason);
  }

  /** Has a closed note stamped, if it is time for that. */
  async #stamp(closed: StoredNote): Promise<void> {
    const { config, now, log, store } = this.#options;
    const isDue = now() - this.#stampedAt >= 1000 * config.STAMP_SECONDS;
    if (config.TSA_URLS.length === 0 || this.#isStamping || !isDue) return;
    this.#isStamping = true;
    try {
      const { taken, refused } = await stamp(imprintOf(closed.note), config.TSA_URLS, { roots: this.#roots }, { now });
      for (const { url, cause, reason } of refused) {
        log.warn("a time-stamping authority gave no token", { url, reason });
        if (cause === "refused") this.#options.note("tsa_refused", `${url}: ${reason}`);
      }
      const tokens = taken.map(({ token, verdict }) => ({
        ...{ size: closed.size, token, hash: encodeHex(sha256(token)), time: verdict.info.genTime },
      }));
      const certificates = taken.flatMap((each) => each.chain.map(({ pem }) => pem));
      await store.addTokens(this.log.state.id, tokens, certificates);
      this.#stampedAt = refused.length === 0 ? now() : now() - 1000 * config.STAMP_SECONDS + STAMP_RETRY;
    } catch (error) {
      log.error("a note could not be stamped", { reason: messageOf(error) });
    } finally {
      this.#isStamping = false;
    }
  }

  /** Compares a note that a member shows with the log. */
  async #shownBy(note: string): Promise<void> {
    const read = parseNote(encodeUtf8(note)) && await openNote(encodeUtf8(note), this.#signer.key);
    if (read) await this.log.compare(read.head);
  }

  async end(): Promise<void> {
    this.#isEnded = true;
    this.witnesses?.end();
    await this.log.end();
    await this.#ending;
  }
}
