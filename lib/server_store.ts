/**
 * What the server asks of a database: accounts, sessions and the audit log. Declared here, where it is used; SQLite and
 * MySQL stand behind it (`store_sqlite.ts`, `store_mysql.ts`), and one contract test is passed by both.
 *
 * Addresses arrive trimmed and with ASCII letters lower-cased (docs/PROTOCOL.md, "Credentials"), usernames as they were
 * typed and compared with ASCII letters lower-cased; a store compares bytes. Times are unix milliseconds. Hashes and
 * fingerprints are lower-case hex.
 *
 * @layer chat
 */

import type { Bytes } from "./bytes.ts";
import { ProtocolError } from "./errors.ts";
import type { RoomStore } from "./room_store.ts";
import type { DeviceStore } from "./server_device_store.ts";
import type { LogStore } from "./server_log_store.ts";
import { printable } from "./text.ts";

/** An account. `passwordRecord` is the slow hash with its parameters (`password.ts`), or the seed's 64 hex digits. */
export interface User {
  readonly id: number;
  readonly email: string;
  readonly username: string;
  /** 16 bytes, the client's own. */
  readonly salt: Bytes;
  readonly passwordRecord: string;
}

/** With what an account is registered: what belongs to it is written with it, or nothing is. */
export interface Registrant {
  /** Fingerprint of the certificate that registers. */
  readonly fingerprint: string;
  /** Where that certificate becomes the account's: with its intermediates, and whether this server issued it. */
  readonly device?: { readonly pem: string; readonly isIssued: boolean };
  /** Hash of the code that it was issued with, which is used up. */
  readonly code?: string;
}

/** A password that takes the place of another. */
export interface NewPassword {
  /** 16 bytes, the client's own. */
  readonly salt: Bytes;
  readonly passwordRecord: string;
  /** The record that was compared: nothing is done if another one is there by now. */
  readonly replaced?: string;
  /** Hash of the code that resets it, which is used up. */
  readonly code?: string;
}

/** A session as it begins. The token itself is never stored. */
export interface SessionStart {
  readonly userId: number;
  /** SHA-256 of the session's token, hex; names the session's journal too. */
  readonly tokenHash: string;
  readonly clientFingerprint: string;
  readonly serverFingerprint: string;
  readonly startedAt: number;
}

/** What a session came to. */
export interface SessionEnd {
  readonly tokenHash: string;
  readonly endedAt: number;
  readonly messageCount: number;
  readonly transcriptHash: string;
}

/** What the audit log can say (`event_type`). */
export type AuditEvent =
  | "registration"
  | "registration_failure"
  | "login_success"
  | "login_failure"
  | "account_locked"
  | "certificate_locked"
  | "address_limited"
  | "cert_invalid"
  | "proof_fail"
  | "v1_session"
  | "sig_fail"
  | "replay"
  | "stale"
  | "decrypt_fail"
  | "receipt_invalid"
  | "password_changed"
  | "password_reset"
  | "code_made"
  | "certificate_issued"
  | "certificate_renewed"
  | "certificate_revoked"
  | "room_created"
  | "room_closed"
  | "log_started"
  | "log_behind"
  | "log_fork"
  | "witness_conflict"
  | "tsa_refused"
  | "audit_pruned"
  | "pruned"
  | "session_start"
  | "session_end";

/** One row of the audit log. */
export interface AuditRow {
  readonly event: AuditEvent;
  readonly email?: string;
  readonly clientFingerprint?: string;
  /** At most 255 characters; a longer one is cut. */
  readonly reason?: string;
  readonly occurredAt: number;
  readonly ipAddress?: string;
  /** 32 hex digits: a row whose key is in the log already is not written again. */
  readonly key?: string;
}

/** A time as both stores keep it: `2026-01-02 03:04:05`, in UTC. */
export function formatTimestamp(time: number): string {
  return new Date(time).toISOString().slice(0, 19).replace("T", " ");
}

/**
 * The row with its texts cut to what the columns take, since a row about something overlong must not fail for that, and
 * made fit for the terminal on which the log is read: some are a stranger's.
 */
export function fitAuditRow(row: AuditRow): AuditRow {
  const fit = (name: string, text: string | undefined, size: number) =>
    text === undefined ? {} : { [name]: [...printable(text)].slice(0, size).join("") };
  return {
    ...row,
    ...fit("email", row.email, 255),
    ...fit("clientFingerprint", row.clientFingerprint, 64),
    ...fit("reason", row.reason, 255),
    ...fit("ipAddress", row.ipAddress, 45),
  };
}

/** event_type, email, client_cert_fingerprint, reason, occurred_at, ip_address, event_key. */
export function auditValues(row: AuditRow): (string | null)[] {
  const { event, email, clientFingerprint, reason, occurredAt, ipAddress, key } = fitAuditRow(row);
  return [
    event,
    email ?? null,
    clientFingerprint ?? null,
    reason ?? null,
    formatTimestamp(occurredAt),
    ipAddress ?? null,
    key ?? null,
  ];
}

/** The account in a row of `users`. */
export function userOf(row: Readonly<Record<string, unknown>>): User {
  const { id, email, username, salt, pwd_hash } = row;
  if (
    typeof id !== "number" || typeof email !== "string" || typeof username !== "string" ||
    !(salt instanceof Uint8Array) || typeof pwd_hash !== "string"
  ) {
    throw new TypeError("a row of users has another form than this program's migrations give it");
  }
  return { id, email, username, salt: new Uint8Array(salt), passwordRecord: pwd_hash };
}

/** Thrown where the database doesn't answer or can't take a write now. It may be back later. */
export class StoreUnavailable extends Error {}

/** The database's absence as a client is told of it, with the cause for the log; every other error as it is. */
export function withoutStore(error: unknown): unknown {
  if (!(error instanceof StoreUnavailable)) return error;
  const told = new ProtocolError("server-error", "The server can't reach its database now; try again in a moment.");
  return Object.assign(told, { cause: error });
}

/** A database of accounts, sessions and audit rows. Every method may throw {@link StoreUnavailable}. */
export interface Store {
  findUser(email: string): Promise<User | undefined>;
  /**
   * Adds an account and what belongs to it, all or nothing; its id, or `undefined` if the address, the username, the
   * certificate or the code is taken.
   */
  addUser(user: Omit<User, "id">, createdAt: number, registrant?: Registrant): Promise<number | undefined>;
  /** How many accounts were registered with a certificate. */
  registrationsWith(fingerprint: string): Promise<number>;
  /** Another record of the same password; false if `replaced` is no longer the account's. */
  replacePasswordRecord(userId: number, record: string, replaced: string): Promise<boolean>;
  /** Sets another password and ends every token of the account, all or nothing; false if nothing was done. */
  setPassword(userId: number, password: NewPassword): Promise<boolean>;
  /** The secret of that name, made with `make` and kept the first time it is asked for. */
  secret(name: string, make: () => Bytes): Promise<Bytes>;
  openSession(start: SessionStart): Promise<void>;
  /** Closing a session again changes nothing. */
  closeSession(end: SessionEnd): Promise<void>;
  /** Token hashes of the sessions that have no end. */
  unfinishedSessions(): Promise<readonly string[]>;
  /** Appends rows in order, all or none. */
  addAudit(rows: readonly AuditRow[]): Promise<void>;
  /** When the newest audit row was written, unix ms; `undefined` if there is none. */
  latestTime(): Promise<number | undefined>;
  /** What an operator has to know of it while it runs; asked every second. */
  trouble?(): string | undefined;
  close(): Promise<void>;
}

/** One database with everything that a server keeps in it. */
export interface ServerStore extends Store {
  readonly rooms: RoomStore;
  readonly devices: DeviceStore;
  readonly log: LogStore;
}
