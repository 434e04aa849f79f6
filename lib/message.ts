/**
 * Parses the fields of each frame, from unknown JSON to typed values (docs/PROTOCOL.md).
 *
 *     parseMsg({"type":"msg","seqno":0,"ts":1700055622123,"ct":"AeF1…","sig":"Kp3v…"})
 *     → { seqno: 0, ts: 1700055622123, body: Bytes(48), signature: Bytes(256) }
 *
 * A missing field or one of the wrong kind throws `bad-frame` with the field's name. There are two exceptions. The proof
 * `sig` of a key agreement may be malformed: that is `proof-fail`, after the group was checked (docs/PROTOCOL.md, "Version
 * 2"). And every fault in credentials gets the same answer.
 *
 * @layer format
 */

import { hasBodyForm } from "./aes_cbc.ts";
import { type Bytes, parseBase64, parseUtf8 } from "./bytes.ts";
import { badField, bytes, count, text } from "./fields.ts";
import { isJsonObject, type Json, type JsonObject, member, parseJson, repeatedName } from "./json.ts";
import { isUsername, normaliseEmail } from "./names.ts";

/** A nonce and a salt have 16 bytes. */
export const NONCE_SIZE = 16;
/** The secret of a code and of a session's token (docs/PROTOCOL.md, "Before the session"). */
export const CODE_SIZE = 16;
export const TOKEN_SIZE = 32;
/** `pwd` is a SHA-256. */
const PWD_SIZE = 32;

/** Which handshake both sides follow: 2 proves possession of the keys (docs/PROTOCOL.md, "Version 2"). */
export type Version = 1 | 2;

/** `hello` and `server_hello`: the certificate with its intermediates as PEM, and the side's highest version. */
export interface Hello {
  readonly pem: string;
  readonly version: Version;
  /** Whether the side knows rooms (docs/PROTOCOL.md, "Before the session"). */
  readonly rooms: boolean;
}

/** `dh_client`. */
export interface DhClient {
  readonly g: bigint;
  readonly p: bigint;
  readonly A: bigint;
  /** `undefined` if it is missing or malformed. */
  readonly proof: Bytes | undefined;
}

/** `dh_server`. */
export interface DhServer {
  readonly B: bigint;
  readonly proof: Bytes | undefined;
}

/** A well-formed `msg`; nothing else is checked. */
export interface Msg {
  readonly seqno: number;
  readonly ts: number;
  /** `iv || ciphertext`. */
  readonly body: Bytes;
  readonly signature: Bytes;
}

/** `msg_ack`. */
export interface MsgAck {
  readonly seqno: number;
  readonly receivedAt: number;
}

/** An `error` frame; the other side chose `type` and `reason`. */
export interface PeerErrorFrame {
  readonly errorType: string;
  readonly reason: string;
  readonly now: number | undefined;
}

/** A client's request before its session, decrypted. Addresses are trimmed and lower-cased (`names.ts`). */
export type CredentialsRequest =
  | { readonly type: "salt"; readonly email: string }
  | {
    readonly type: "register";
    readonly email: string;
    readonly username: string;
    readonly salt: Bytes;
    readonly pwd: Bytes;
  }
  | { readonly type: "login"; readonly email: string; readonly pwd: Bytes }
  /** The Python design's client; only in version 1. */
  | { readonly type: "login"; readonly email: string; readonly password: string }
  /** Instead of a login, if both sides know rooms: binds another certificate to an account. */
  | { readonly type: "enrol"; readonly email: string; readonly pwd: Bytes; readonly code: Bytes }
  /**
   * Instead of a login, if both sides know rooms: sets a new password, with a code that the operator made for that.
   */
  | { readonly type: "reset"; readonly email: string; readonly code: Bytes; readonly salt: Bytes; readonly pwd: Bytes }
  /** Instead of a login, if both sides know rooms: continues with the token of an earlier session. */
  | { readonly type: "resume"; readonly token: Bytes };

/** The fields of `hello`. */
export function parseHello(fields: JsonObject): Hello {
  return parseEitherHello(fields, "client_cert");
}

/** The fields of `server_hello`. */
export function parseServerHello(fields: JsonObject): Hello {
  return parseEitherHello(fields, "server_cert");
}

function parseEitherHello(fields: JsonObject, certificate: string): Hello {
  const pem = text(fields, certificate);
  bytes(fields, "nonce", NONCE_SIZE);
  const v = member(fields, "v");
  const isTwo = (typeof v === "number" || typeof v === "bigint") && v >= 2; // plain digits alone are one of the two
  return { pem, version: isTwo ? 2 : 1, rooms: isTwo && member(fields, "rooms") === 1 };
}

/** The fields of `dh_client`. */
export function parseDhClient(fields: JsonObject): DhClient {
  return { g: integer(fields, "g"), p: integer(fields, "p"), A: integer(fields, "A"), proof: proof(fields) };
}

/** The fields of `dh_server`. */
export function parseDhServer(fields: JsonObject): DhServer {
  return { B: integer(fields, "B"), proof: proof(fields) };
}

/** The ciphertext of `salt`, `register` and `login`. */
export function parsePayload(fields: JsonObject): Bytes {
  return bytes(fields, "payload");
}

/**
 * The decrypted payload of a frame of that type; `undefined` if anything is wrong in it, so that nobody learns what.
 * `withPassword`: also accepts the Python design's login, which contains the password itself.
 */
export function parseCredentials(
  plaintext: Uint8Array,
  type: CredentialsRequest["type"],
  withPassword: boolean,
): CredentialsRequest | undefined {
  const inner = uniqueObject(plaintext);
  if (!inner || member(inner, "type") !== type) return undefined;
  if (type === "resume") {
    const token = sized(member(inner, "token"), TOKEN_SIZE);
    return token && { type, token };
  }
  const email = normaliseEmail(member(inner, "email"));
  if (email === undefined) return undefined;
  if (type === "salt") return { type, email };
  const pwd = sized(member(inner, "pwd"), PWD_SIZE);
  if (type === "enrol") {
    const code = sized(member(inner, "code"), CODE_SIZE);
    return pwd && code && { type, email, pwd, code };
  }
  if (type === "reset") {
    const [code, salt] = [sized(member(inner, "code"), CODE_SIZE), sized(member(inner, "salt"), NONCE_SIZE)];
    return pwd && code && salt && { type, email, code, salt, pwd };
  }
  if (type === "login") {
    if (pwd) return { type, email, pwd };
    const password = member(inner, "password");
    const isSeeds = withPassword && !Object.hasOwn(inner, "pwd") && typeof password === "string" &&
      password.isWellFormed();
    return isSeeds ? { type, email, password } : undefined;
  }
  const username = member(inner, "username");
  const salt = sized(member(inner, "salt"), NONCE_SIZE);
  if (!pwd || !salt || typeof username !== "string" || !isUsername(username)) return undefined;
  return { type, email, username, salt, pwd };
}

/** The salt in a decrypted answer to `salt`; `undefined` if it is malformed. */
export function parseSaltAnswer(plaintext: Uint8Array): Bytes | undefined {
  const inner = uniqueObject(plaintext);
  return inner && sized(member(inner, "salt"), NONCE_SIZE);
}

/** What changes a password in a session, decrypted; `undefined` if it is malformed. */
export function parsePasswordChange(plaintext: Uint8Array): PasswordChange | undefined {
  const inner = uniqueObject(plaintext);
  if (!inner || member(inner, "type") !== "password") return undefined;
  const [old, pwd] = [sized(member(inner, "old"), PWD_SIZE), sized(member(inner, "pwd"), PWD_SIZE)];
  const salt = sized(member(inner, "salt"), NONCE_SIZE);
  return old && pwd && salt && { old, salt, pwd };
}

/** The digest of the password that was, and of the next one with its salt. */
export interface PasswordChange {
  readonly old: Bytes;
  readonly salt: Bytes;
  readonly pwd: Bytes;
}

/** The salt of one's own account, decrypted; `undefined` if it is malformed. */
export function parseAccount(plaintext: Uint8Array): { readonly email: string; readonly salt: Bytes } | undefined {
  const inner = uniqueObject(plaintext);
  const [email, salt] = [inner && member(inner, "email"), inner && sized(member(inner, "salt"), NONCE_SIZE)];
  return salt && typeof email === "string" ? { email, salt } : undefined;
}

/** What the server tells a session with rooms, decrypted; `undefined` if it is malformed. */
export function parseWelcome(plaintext: Uint8Array): Welcome | undefined {
  const inner = uniqueObject(plaintext);
  const username = inner && member(inner, "username");
  const token = inner && sized(member(inner, "session_token"), TOKEN_SIZE);
  if (!token || typeof username !== "string" || !isUsername(username)) return undefined;
  const log = member(inner, "log");
  const limits = member(inner, "limits");
  const seconds = isJsonObject(limits) ? member(limits, "log_seconds") : undefined;
  return {
    username,
    token,
    log: typeof log === "string" ? log : undefined,
    logSeconds: typeof seconds === "number" && seconds > 0 ? seconds : undefined,
  };
}

/** The beginning of a session with rooms: the username, and a token that resumes the session for 24 hours. */
export interface Welcome {
  readonly username: string;
  readonly token: Bytes;
  /** The origin of the server's log; `undefined` if it shows none. */
  readonly log: string | undefined;
  /** How often that log ticks at most, in seconds. */
  readonly logSeconds: number | undefined;
}

/** `request_certificate`: a code and a PKCS #10 request as PEM, in place of `hello`. */
export function parseCertificateRequest(fields: JsonObject): { readonly code: Bytes; readonly csr: string } {
  return { code: bytes(fields, "code", CODE_SIZE), csr: text(fields, "csr") };
}

/** The PEM in the answer to `ca` or `request_certificate`. */
export function parsePem(fields: JsonObject, name: "ca_cert" | "server_cert" | "pem"): string {
  return text(fields, name);
}

/** The e-mail address in the answer to `request_certificate`, as it is compared. */
export function parseEmail(fields: JsonObject): string {
  const email = text(fields, "email");
  if (normaliseEmail(email) !== email) throw badField("email", "an e-mail address, trimmed and in lower case");
  return email;
}

function uniqueObject(plaintext: Uint8Array): JsonObject | undefined {
  const json = parseUtf8(plaintext);
  const inner = json === undefined ? undefined : parseJson(json);
  return json !== undefined && isJsonObject(inner) && repeatedName(json) === undefined ? inner : undefined;
}

/** The fields of `msg`. */
export function parseMsg(fields: JsonObject): Msg {
  const [seqno, ts] = [count(fields, "seqno"), count(fields, "ts")];
  const [body, signature] = [bytes(fields, "ct"), bytes(fields, "sig")];
  if (!hasBodyForm(body)) throw badField("ct", "an IV and whole blocks of ciphertext");
  return { seqno, ts, body, signature };
}

/** The fields of `msg_ack`. */
export function parseMsgAck(fields: JsonObject): MsgAck {
  return { seqno: count(fields, "seqno"), receivedAt: count(fields, "received_at") };
}

/** The `data` of a `receipt` frame. */
export function parseReceiptFrame(fields: JsonObject): JsonObject {
  const data = member(fields, "data");
  if (!isJsonObject(data)) throw badField("data", "an object");
  return data;
}

/** What an `error` frame says. */
export function parseErrorFrame(fields: JsonObject): PeerErrorFrame {
  const [errorType, reason, now] = [member(fields, "error_type"), member(fields, "reason"), member(fields, "now")];
  return {
    errorType: typeof errorType === "string" ? errorType : "unknown",
    reason: typeof reason === "string" ? reason : "no reason was given",
    now: typeof now === "number" ? now : undefined,
  };
}

function integer(fields: JsonObject, name: string): bigint {
  const value = member(fields, name);
  if (typeof value !== "number" && typeof value !== "bigint") throw badField(name, "a plain integer");
  return BigInt(value);
}

function sized(value: Json | undefined, size: number): Bytes | undefined {
  const parsed = typeof value === "string" ? parseBase64(value) : undefined;
  return parsed?.length === size ? parsed : undefined;
}

function proof(fields: JsonObject): Bytes | undefined {
  const value = member(fields, "sig");
  return typeof value === "string" ? parseBase64(value) : undefined;
}
