/**
 * The client's side of a connection, from `hello` to the receipt (docs/PROTOCOL.md).
 *
 *     hello() → server_hello is checked → dh_client goes out → dh_server is checked → event "ready"
 *     askSalt() → event "salt"          register() | login() → dh_client goes out → event "session"
 *     sendText() → event "acknowledged" | "refused"          quit() → event "receipt"
 *
 * Everything that the server does wrong throws a ProtocolError whose message says what, for this side's own user;
 * nothing is sent for it. An error frame of the server throws a {@link PeerError}, but for `stale`, which refuses one
 * message. It knows no sockets and no files, and does not judge the receipt: `verify.ts` does, over the lines that were
 * kept.
 *
 * @layer protocol
 */

import type { Identity } from "./certificate_identity.ts";
import { BLOCK_SIZE, decrypt, encrypt } from "./aes_cbc.ts";
import { type Bytes, encodeBase64, encodeHex, encodeUtf8 } from "./bytes.ts";
import type { Clock, Random } from "./bytes.ts";
import { findPath, type Trust } from "./certificate_path.ts";
import { Connection, proofInput } from "./connection.ts";
import { DhKey, type Group, GROUP_14, GROUP_2 } from "./dh.ts";
import { EXIT, Failure, ProtocolError, ROOM_ERRORS } from "./errors.ts";
import { type Frame, LIMIT_AFTER_LOGIN, type OutgoingFrame } from "./frame.ts";
import { encodeJson, type Json, type JsonObject, member, repeatedName } from "./json.ts";
import {
  type DhServer,
  NONCE_SIZE,
  parseDhServer,
  parseEmail,
  parseErrorFrame,
  parseMsgAck,
  parsePayload,
  parsePem,
  parseReceiptFrame,
  parseSaltAnswer,
  parseServerHello,
  parseWelcome,
  type PeerErrorFrame,
  type Version,
  type Welcome,
} from "./message.ts";
import { passwordDigest } from "./password.ts";
import { normalisePassword } from "./password_rules.ts";
import { VerifyingKey } from "./pss.ts";
import { makeReceipt } from "./receipt.ts";
import { parseRoomFrame, ROOM_FRAMES, type RoomFrame } from "./log_frames.ts";
import { MAX_TEXT_OCTETS, sealMessage, type SessionKey } from "./session.ts";
import { TranscriptSummary } from "./transcript.ts";
import type { State } from "./transitions.ts";
import { type Certificate, parseCertificates } from "./x509.ts";

const FRAME_TYPES: ReadonlySet<string> = new Set(ROOM_FRAMES);
const REFUSALS: ReadonlySet<string> = new Set(ROOM_ERRORS);

/** The server ended the conversation with an error frame; its words are its own and not to be trusted. */
export class PeerError extends Error {
  constructor(readonly frame: PeerErrorFrame) {
    super(frame.reason);
    this.name = "PeerError";
  }
}

/** What a client's connection works with. */
export interface ClientOptions {
  readonly identity: Identity;
  readonly trust: () => Promise<Trust>;
  /** The name or address that the user asked for: the server's certificate must be for it. */
  readonly host: string;
  /** Whether a server of version 1, which proves nothing, is taken. */
  readonly allowV1: boolean;
  /** Whether to ask for rooms: over TLS, or on the loopback. */
  readonly rooms?: boolean;
  readonly now: Clock;
  readonly random: Random;
  readonly send: (bytes: Bytes) => void;
}

/** A message on its way: it belongs to the transcript once the server has acknowledged it. */
export interface SentMessage {
  readonly seqno: number;
  readonly ts: number;
  /** The transcript's line, without LF. */
  readonly line: string;
}

/** What happened on the connection. */
export type ClientEvent =
  /** The server is who it should be: credentials may go. */
  | {
    readonly type: "ready";
    readonly server: Certificate;
    /** The trusted CA to which it leads. */
    readonly authority: Certificate;
    readonly version: Version;
  }
  | { readonly type: "salt"; readonly salt: Bytes }
  /** Lines may be sent. */
  | { readonly type: "session" }
  /** In place of `session` where both sides know rooms. */
  | ({ readonly type: "welcome" } & Welcome)
  /** Something of a room, unchecked but for its form. */
  | { readonly type: "frame"; readonly frame: RoomFrame; readonly id: Json | undefined }
  /** The server refused a request; the session goes on. */
  | { readonly type: "request refused"; readonly error: PeerErrorFrame; readonly id: Json | undefined }
  /** The CA's certificates, and the server's with its intermediates or "", all of it unchecked. */
  | { readonly type: "authority"; readonly pem: string; readonly chain: string }
  /** The certificate that was asked for with a code. */
  /** `email`: the one address that the code is for. */
  | { readonly type: "certificate"; readonly pem: string; readonly email?: string }
  | { readonly type: "acknowledged"; readonly message: SentMessage; readonly receivedAt: number }
  /** `now` is the server's time in unix milliseconds. */
  | {
    readonly type: "refused";
    readonly message: SentMessage;
    readonly reason: string;
    readonly now: number | undefined;
  }
  /** The server's receipt, unchecked; `text` is its JSON. The connection is over. */
  | { readonly type: "receipt"; readonly receipt: JsonObject; readonly text: string };

/** The server as its certificate shows it. */
interface Server {
  readonly certificate: Certificate;
  readonly authority: Certificate;
  readonly verifying: VerifyingKey;
}

/** What a port for TLS answers to whatever isn't TLS: a record of type 21, of some version 3 (RFC 8446 section 5.1). */
function isTlsAlert(chunk: Uint8Array): boolean {
  return chunk[0] === 21 && chunk[1] === 3;
}

/** A client's connection. */
export class ClientConnection extends Connection<ClientEvent> {
  readonly #options: ClientOptions;
  #version: Version = 2;
  #server: Server | undefined;
  #dh: DhKey | undefined;
  #key: Bytes | undefined;
  #saltsDue = 0;
  #session: SessionKey | undefined;
  #sessionName: string | undefined;
  #nextSeqno = 0;
  /** Messages that have a seqno and are not sent yet, and the end of the last of them. */
  #sealing = 0;
  #sealed: Promise<unknown> = Promise.resolve();
  /** Sent and not answered, oldest first. */
  readonly #pending: SentMessage[] = [];
  /** Refusals that no message could be found for yet: see {@link #settle}. */
  readonly #refusals: PeerErrorFrame[] = [];
  readonly #events: ClientEvent[] = [];
  #hasRooms = false;
  /** Whether the server has said anything. */
  #hasHeard = false;
  /** What the acknowledged lines come to. */
  readonly summary = new TranscriptSummary();

  constructor(options: ClientOptions) {
    super("client", "start", options.send);
    this.#options = options;
  }

  /** The version that both sides speak, once the server has answered. */
  get version(): Version {
    return this.#version;
  }

  /** Whether both sides know rooms. */
  get hasRooms(): boolean {
    return this.#hasRooms;
  }

  /** The server's certificate, once it has been found good. */
  get serverCertificate(): Certificate | undefined {
    return this.#server?.certificate;
  }

  /** The session's name in receipts of version 2. */
  get session(): string | undefined {
    return this.#sessionName;
  }

  /** How many messages are sent and not answered. */
  get pendingCount(): number {
    return this.#pending.length;
  }

  override async next(): Promise<ClientEvent | undefined> {
    return this.#events.shift() ?? await super.next();
  }

  override receive(chunk: Uint8Array): void {
    if (!this.#hasHeard && isTlsAlert(chunk)) {
      throw new Failure(
        EXIT.unavailable,
        "the server speaks TLS at this port, and this connection is without TLS: add --tls, or name the server's other port",
      );
    }
    this.#hasHeard = true;
    super.receive(chunk);
  }

  /** Begins: sends `hello`. */
  hello(): void {
    this.step("hello");
    const { identity, random, rooms = false } = this.#options;
    this.send({
      type: "hello",
      client_cert: identity.pem,
      nonce: encodeBase64(random(NONCE_SIZE)),
      v: 2,
      ...(rooms ? { rooms: 1 } : {}),
    });
  }

  /** Asks for the CA's certificates instead of a session: event "authority". */
  askAuthority(): void {
    this.step("ca");
    this.send({ type: "ca" });
  }

  /** Asks for a certificate instead of a session, only over TLS: event "certificate". */
  askCertificate(request: { readonly code: Bytes; readonly csr: string }): void {
    this.step("request_certificate");
    this.send({ type: "request_certificate", code: encodeBase64(request.code), csr: request.csr });
  }

  protected override stepOf(type: string): string | undefined {
    if (this.#hasRooms && this.#session && FRAME_TYPES.has(type)) return "room frame";
    if (type === "welcome") return this.#hasRooms ? type : undefined;
    return super.stepOf(type);
  }

  protected async take(frame: Frame, next: State, before: Bytes): Promise<ClientEvent | undefined> {
    switch (frame.type) {
      case "server_hello":
        return await this.#receiveServerHello(frame.fields, next);
      case "dh_server":
        return await this.#receiveDhServer(parseDhServer(frame.fields), next, before);
      case "salt":
        return this.#receiveSalt(frame.fields);
      case "msg_ack":
        return this.#receiveAck(frame.fields);
      case "welcome":
        return this.#receiveWelcome(frame.fields);
      case "ca":
        this.move(next);
        return {
          type: "authority",
          pem: parsePem(frame.fields, "ca_cert"),
          chain: member(frame.fields, "server_cert") === undefined ? "" : parsePem(frame.fields, "server_cert"),
        };
      default:
        if (this.state === "certificate") {
          this.move(next);
          const email = member(frame.fields, "email") === undefined ? {} : { email: parseEmail(frame.fields) };
          return { type: "certificate", pem: parsePem(frame.fields, "pem"), ...email };
        }
        if (frame.type !== "receipt") return { type: "frame", ...parseRoomFrame(frame) };
        return this.#receiveReceipt(frame, next);
    }
  }

  protected takeError(frame: Frame): Promise<ClientEvent | undefined> {
    const error = parseErrorFrame(frame.fields);
    const inSession = this.state === "session" || this.state === "closing";
    const id = member(frame.fields, "id");
    if (inSession && this.#hasRooms && (id !== undefined || REFUSALS.has(error.errorType))) {
      return Promise.resolve({ type: "request refused", error, id });
    }
    if (!inSession || error.errorType !== "stale") throw new PeerError(error);
    if (this.#refusals.length === this.#pending.length) {
      throw new ProtocolError("unexpected", "The server refused a message that was never sent.");
    }
    this.#refusals.push(error);
    return Promise.resolve(this.#settle());
  }

  // Hello and certificates.

  async #receiveServerHello(fields: JsonObject, next: State): Promise<undefined> {
    const { identity, host, allowV1, now } = this.#options;
    const hello = parseServerHello(fields);
    const chain = parseCertificates(hello.pem);
    const own = identity.chain[0]?.fingerprint;
    const path = await findPath(chain, await this.#options.trust(), {
      purpose: "server",
      host,
      ...(own === undefined ? {} : { own }),
    });
    const [problem] = path.problems(now(), "current");
    if (problem !== undefined) throw new ProtocolError("bad-cert", problem);
    const certificate = chain[0];
    const authority = path.certificates(now(), "current").at(-1);
    if (!certificate?.rsa || !authority) throw new ProtocolError("bad-cert", "The certificate's key must be RSA.");
    if (hello.version === 1 && !allowV1) {
      throw new ProtocolError(
        "proof-fail",
        "The server speaks version 1 alone, which doesn't prove that it holds its certificate's key; " +
          "somebody in the middle may have stripped version 2. --allow-v1 takes that risk.",
      );
    }
    this.#version = hello.version;
    this.#hasRooms = this.#options.rooms === true && hello.rooms;
    this.#server = { certificate, authority, verifying: new VerifyingKey(certificate.rsa.modulus) };
    this.move(next);
    await this.#sendDhClient(hello.version === 2 ? GROUP_14 : GROUP_2);
    return undefined;
  }

  // The key agreements.

  async #sendDhClient(group: Group): Promise<void> {
    const dh = new DhKey(group, this.#options.random);
    this.#dh = dh;
    const value = `${group.generator},${group.prime},${dh.public}`;
    const proof = this.#version === 2
      ? {
        sig: encodeBase64(await this.#options.identity.key.sign(proofInput("dh_client", this.recordDigest(), value))),
      }
      : {};
    this.send({ type: "dh_client", g: group.generator, p: group.prime, A: dh.public, ...proof });
  }

  #receiveDhServer({ B, proof }: DhServer, next: State, before: Bytes): Promise<ClientEvent | undefined> {
    const [server, dh] = [this.#server, this.#dh];
    if (!server || !dh) {
      throw new ProtocolError("unexpected", "The server answered a key agreement that wasn't asked for.");
    }
    if (B < 2n || B > dh.group.prime - 2n) {
      throw new ProtocolError("dh-error", "The server's public value is out of range.");
    }
    if (this.#version === 2 && !(proof && server.verifying.verify(proof, proofInput("dh_server", before, `${B}`)))) {
      throw new ProtocolError("proof-fail", "The server doesn't prove that it holds its certificate's key.");
    }
    const key = dh.agree(B);
    if (!key) throw new ProtocolError("dh-error", "The server's public value gives a degenerate key.");
    this.#dh = undefined;
    const isSession = this.state === "session_key";
    this.#key = key;
    if (isSession) this.#openSession(key);
    this.move(next);
    if (isSession && this.#hasRooms) return Promise.resolve(undefined); // the welcome follows
    if (isSession) return Promise.resolve({ type: "session" });
    const { certificate, authority } = server;
    return Promise.resolve({ type: "ready", server: certificate, authority, version: this.#version });
  }

  #openSession(key: Bytes): void {
    if (this.#version === 2) this.#sessionName = encodeHex(this.recordDigest());
    this.#session = { key, version: this.#version, signer: this.#options.identity.chain[0]?.fingerprint ?? "" };
    this.closeRecord();
  }

  // Credentials.

  /** Asks for an account's salt; the answer is the event "salt". */
  askSalt(email: string): void {
    this.#saltsDue += 1;
    this.#sendSealed({ type: "salt", email });
  }

  #receiveSalt(fields: JsonObject): ClientEvent {
    const payload = parsePayload(fields);
    const plaintext = this.#key && decrypt(this.#key, payload);
    const salt = plaintext && parseSaltAnswer(plaintext);
    if (this.#saltsDue === 0) throw new ProtocolError("unexpected", "The server sent a salt that wasn't asked for.");
    if (!salt) throw new ProtocolError("bad-frame", "The server's salt can't be read.");
    this.#saltsDue -= 1;
    return { type: "salt", salt };
  }

  /** Registers a new account; the event "session" follows, or a {@link PeerError}. */
  async register(account: { email: string; username: string; password: string }): Promise<void> {
    const salt = this.#options.random(NONCE_SIZE);
    this.step("register");
    this.#sendSealed({
      type: "register",
      email: account.email,
      username: account.username,
      salt: encodeBase64(salt),
      pwd: digestOf(salt, account.password),
    });
    await this.#agreeSession();
  }

  /** Logs in with the salt that the server gave; the event "session" follows, or a {@link PeerError}. */
  async login(account: { email: string; password: string; salt: Bytes }): Promise<void> {
    this.step("login");
    const pwd = digestOf(account.salt, account.password);
    this.#sendSealed({ type: "login", email: account.email, pwd });
    await this.#agreeSession();
  }

  /** Binds this side's certificate to an account, with a code; the event "welcome" follows. */
  async enrol(account: { email: string; password: string; salt: Bytes; code: Bytes }): Promise<void> {
    this.step("enrol");
    const pwd = digestOf(account.salt, account.password);
    this.#sendSealed({ type: "enrol", email: account.email, pwd, code: encodeBase64(account.code) });
    await this.#agreeSession();
  }

  /** Sets another password with a code that the operator made for that, and logs in; the event "welcome" follows. */
  async reset(account: { email: string; password: string; code: Bytes }): Promise<void> {
    const salt = this.#options.random(NONCE_SIZE);
    this.step("reset");
    const [code, pwd] = [encodeBase64(account.code), digestOf(salt, account.password)];
    this.#sendSealed({ type: "reset", email: account.email, code, salt: encodeBase64(salt), pwd });
    await this.#agreeSession();
  }

  /** The payload that changes the password of this session's account, whose salt the server said. */
  sealPasswordChange(change: { old: string; password: string; salt: Bytes }): Bytes {
    if (!this.#session) throw new Error("there is no session");
    const salt = this.#options.random(NONCE_SIZE);
    const inner = {
      type: "password",
      old: digestOf(change.salt, change.old),
      salt: encodeBase64(salt),
      pwd: digestOf(salt, change.password),
    };
    return encrypt(this.#session.key, this.#options.random(BLOCK_SIZE), encodeUtf8(JSON.stringify(inner)));
  }

  /** Goes on with the token of an earlier session; the event "welcome" follows. */
  async resume(token: Bytes): Promise<void> {
    this.step("resume");
    this.#sendSealed({ type: "resume", token: encodeBase64(token) });
    await this.#agreeSession();
  }

  #receiveWelcome(fields: JsonObject): ClientEvent {
    const plaintext = this.open(parsePayload(fields));
    const welcome = plaintext && parseWelcome(plaintext);
    if (!welcome) throw new ProtocolError("bad-frame", "The server's welcome can't be read.");
    return { type: "welcome", ...welcome };
  }

  /** The plaintext of what the server sealed for this session; `undefined` where it can't be opened. */
  open(payload: Bytes): Bytes | undefined {
    return this.#session && decrypt(this.#session.key, payload);
  }

  /** Asks something of a room: the fields of its frame. Its answer carries the same id. */
  request(frame: OutgoingFrame): void {
    if (!this.#hasRooms || this.state !== "session") throw new Error("there is no session with rooms");
    this.send(frame);
  }

  #sendSealed(
    inner:
      & { readonly type: "salt" | "register" | "login" | "enrol" | "resume" | "reset" }
      & Readonly<Record<string, string>>,
  ): void {
    if (!this.#key) throw new Error("there is no key for the credentials");
    const payload = encrypt(this.#key, this.#options.random(BLOCK_SIZE), encodeUtf8(JSON.stringify(inner)));
    this.send({ type: inner.type, payload: encodeBase64(payload) });
  }

  async #agreeSession(): Promise<void> {
    this.reader.limit = LIMIT_AFTER_LOGIN;
    await this.#sendDhClient(GROUP_14);
  }

  // Messages, and the end.

  /**
   * Seals and sends a text of at most 16,000 octets; messages leave in the order of the calls. RangeError where it is
   * longer, or holds a lone surrogate.
   */
  sendText(text: string): Promise<SentMessage> {
    if (!text.isWellFormed()) throw new RangeError("The text is not well-formed Unicode.");
    if (encodeUtf8(text).length > MAX_TEXT_OCTETS) {
      throw new RangeError(`A message may have ${MAX_TEXT_OCTETS} octets at most.`);
    }
    this.#sealing += 1;
    const sent = this.#sealed.then(() => this.#sealAndSend(text)).finally(() => this.#sealing -= 1);
    this.#sealed = sent.catch(() => {});
    return sent;
  }

  async #sealAndSend(text: string): Promise<SentMessage> {
    if (!this.#session || this.state !== "session") throw new Error("there is no session");
    const { identity, now, random } = this.#options;
    const seqno = this.#nextSeqno++;
    const sealed = await sealMessage(this.#session, text, { seqno, signing: identity.key, now, random });
    const message = { seqno, ts: sealed.frame.ts, line: sealed.line };
    this.#pending.push(message);
    this.send(sealed.frame);
    return message;
  }

  #receiveAck(fields: JsonObject): ClientEvent | undefined {
    const { seqno, receivedAt } = parseMsgAck(fields);
    const index = this.#pending.findIndex((message) => message.seqno === seqno);
    // What is passed over must have been refused: the server answers in its own order, refusals may run ahead.
    if (index < 0 || index > this.#refusals.length) {
      throw new ProtocolError("unexpected", `The server acknowledged message ${seqno}, which wasn't due.`);
    }
    for (let i = 0; i < index; i++) this.#refuseOldest();
    const message = this.#pending.shift();
    if (message) {
      this.summary.add(message.line, message.seqno, message.ts);
      this.#events.push({ type: "acknowledged", message, receivedAt });
    }
    return this.#settle();
  }

  /**
   * `stale` doesn't name its message. Once there are as many refusals as unanswered messages, it is clear which were
   * refused; until then an acknowledgement of a later one shows it.
   */
  #settle(): ClientEvent | undefined {
    if (this.#refusals.length > 0 && this.#refusals.length === this.#pending.length) {
      while (this.#pending.length > 0) this.#refuseOldest();
      // Nothing is on its way: the numbers of what was refused serve again, so that gaps can't add up.
      if (this.#sealing === 0) this.#nextSeqno = (this.summary.last ?? -1) + 1;
    }
    return this.#events.shift();
  }

  #refuseOldest(): void {
    const [message, refusal] = [this.#pending.shift(), this.#refusals.shift()];
    if (message && refusal) {
      this.#events.push({ type: "refused", message, reason: refusal.reason, now: refusal.now });
    }
  }

  /** This side's own receipt over what was acknowledged so far. */
  async makeReceipt(): Promise<JsonObject> {
    const { identity, now } = this.#options;
    const server = this.#server?.certificate.fingerprint;
    return await makeReceipt({
      role: "client",
      key: identity.key,
      pem: identity.pem,
      fingerprint: identity.chain[0]?.fingerprint ?? "",
      linePems: this.summary.count > 0 ? [identity.pem] : [],
      summary: this.summary,
      createdAt: now(),
      ...(this.#sessionName && server ? { identity: { otherFingerprint: server, session: this.#sessionName } } : {}),
    });
  }

  /** Hands the server this side's receipt. */
  sendReceipt(receipt: JsonObject): void {
    this.send({ type: "receipt", data: receipt });
  }

  /** Ends the session; acknowledgements that are due and the event "receipt" follow. */
  async quit(): Promise<void> {
    await this.#sealed;
    this.step("quit");
    this.send({ type: "quit" });
  }

  #receiveReceipt(frame: Frame, next: State): ClientEvent {
    const receipt = parseReceiptFrame(frame.fields);
    const repeated = repeatedName(frame.text);
    if (repeated !== undefined) {
      throw new ProtocolError("bad-frame", "A name comes twice in the server's receipt: it could be read in two ways.");
    }
    if (this.#pending.length > 0) {
      throw new ProtocolError("unexpected", "The server sent its receipt before it had answered every message.");
    }
    this.move(next);
    return { type: "receipt", receipt, text: encodeJson(receipt) };
  }
}

function digestOf(salt: Bytes, password: string): string {
  return encodeBase64(passwordDigest(salt, normalisePassword(password)));
}
