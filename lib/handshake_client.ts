/**
 * The client's side of a connection, from `hello` to the receipt (docs/PROTOCOL.md).
 *
 *     hello() → server_hello is checked → dh_client goes out → dh_server is checked → event "ready"
 *     askSalt() → event "salt"          register() | login() → dh_client goes out → event "session"
 *     sendText() → event "acknowledged" | "refused"          quit() → event "receipt"
 *
 * If the server does anything wrong, a ProtocolError tells this side's user what; nothing is sent then. An error frame of
 * the server throws a {@link PeerError}, except `stale`, which refuses only one message. This module knows no sockets and
 * no files. It doesn't verify the receipt: `verify.ts` does, with the lines that were kept.
 *
 * The class is longer than others, since it has one method for each step, in the order of the protocol.
 *
 * @layer protocol
 */

import { BLOCK_SIZE, decrypt, encrypt } from "./aes_cbc.ts";
import { type Bytes, encodeBase64, encodeHex, encodeUtf8 } from "./bytes.ts";
import { findPath } from "./certificate_path.ts";
import { Connection, proofInput } from "./connection.ts";
import { DhKey, type Group, GROUP_14, GROUP_2 } from "./dh.ts";
import { EXIT, Failure, ProtocolError, ROOM_ERRORS } from "./errors.ts";
import { type Frame, LIMIT_AFTER_LOGIN, type OutgoingFrame } from "./frame.ts";
import { encodeJson, type JsonObject, member, repeatedName } from "./json.ts";
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
} from "./message.ts";
import { passwordDigest } from "./password.ts";
import { normalisePassword } from "./password_rules.ts";
import { VerifyingKey } from "./pss.ts";
import { makeReceipt } from "./receipt.ts";
import { parseRoomFrame, ROOM_FRAMES } from "./log_frames.ts";
import { MAX_TEXT_OCTETS, sealMessage, type SessionKey } from "./session.ts";
import { TranscriptSummary } from "./transcript.ts";
import type { State } from "./transitions.ts";
import { type Certificate, parseCertificates } from "./x509.ts";
import { type ClientEvent, type ClientOptions, PeerError, type SentMessage } from "./handshake_client_events.ts";

export { type ClientEvent, type ClientOptions, PeerError, type SentMessage } from "./handshake_client_events.ts";

const FRAME_TYPES: ReadonlySet<string> = new Set(ROOM_FRAMES);
const REFUSALS: ReadonlySet<string> = new Set(ROOM_ERRORS);

/** The server, by its certificate. */
interface Server {
  readonly certificate: Certificate;
  readonly authority: Certificate;
  readonly verifying: VerifyingKey;
}

/** Whether this is a TLS alert, with which a TLS port answers anything else: type 21, version 3.x (RFC 8446 section 5.1). */
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
  /** How many messages have a seqno but are not sent yet, and the end of the last of them. */
  #sealing = 0;
  #sealed: Promise<unknown> = Promise.resolve();
  /** Sent messages without an answer, oldest first. */
  readonly #pending: SentMessage[] = [];
  /** Refusals whose messages aren't known yet: see {@link #settle}. */
  readonly #refusals: PeerErrorFrame[] = [];
  readonly #events: ClientEvent[] = [];
  #hasRooms = false;
  /** Whether the server has sent anything. */
  #hasHeard = false;
  /** The summary of the acknowledged lines. */
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

  /** The server's certificate, once it was checked. */
  get serverCertificate(): Certificate | undefined {
    return this.#server?.certificate;
  }

  /** What identifies the session in receipts of version 2. */
  get session(): string | undefined {
    return this.#sessionName;
  }

  /** How many messages were sent and not answered. */
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
        "this is the server's TLS port, but the connection is without TLS: add --tls, or name the server's other port",
      );
    }
    this.#hasHeard = true;
    super.receive(chunk);
  }

  /** Begins the handshake: sends `hello`. */
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
        "The server speaks only version 1, which doesn't prove that it has its certificate's key; " +
          "somebody in the middle may have removed version 2. --allow-v1 accepts that risk.",
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

  /** Sets a new password with a code that the operator made for that, and logs in; the event "welcome" follows. */
  async reset(account: { email: string; password: string; code: Bytes }): Promise<void> {
    const salt = this.#options.random(NONCE_SIZE);
    this.step("reset");
    const [code, pwd] = [encodeBase64(account.code), digestOf(salt, account.password)];
    this.#sendSealed({ type: "reset", email: account.email, code, salt: encodeBase64(salt), pwd });
    await this.#agreeSession();
  }

  /** The payload that changes the password of this session's account, whose salt the server sent. */
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

  /** Continues with the token of an earlier session; the event "welcome" follows. */
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

  /** The plaintext of what the server encrypted for this session; `undefined` if it can't be decrypted. */
  open(payload: Bytes): Bytes | undefined {
    return this.#session && decrypt(this.#session.key, payload);
  }

  /** Sends a request about a room. The answer has the same id. */
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
   * Seals and sends a text of at most 16,000 octets; messages are sent in the order of the calls. RangeError if the text
   * is longer, or has a lone surrogate.
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
    // Messages before this one must have been refused: the server may send refusals before acknowledgements.
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
   * `stale` doesn't name its message. Once there are as many refusals as unanswered messages, all of these were refused;
   * before that an acknowledgement of a later message shows which ones were.
   */
  #settle(): ClientEvent | undefined {
    if (this.#refusals.length > 0 && this.#refusals.length === this.#pending.length) {
      while (this.#pending.length > 0) this.#refuseOldest();
      // No message is under way, so the numbers of refused messages are used again, and gaps can't add up.
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

  /** This side's own receipt over the messages that were acknowledged so far. */
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

  /** Sends this side's receipt to the server. */
  sendReceipt(receipt: JsonObject): void {
    this.send({ type: "receipt", data: receipt });
  }

  /** Ends the session; the remaining acknowledgements and the event "receipt" follow. */
  async quit(): Promise<void> {
    await this.#sealed;
    this.step("quit");
    this.send({ type: "quit" });
  }

  #receiveReceipt(frame: Frame, next: State): ClientEvent {
    const receipt = parseReceiptFrame(frame.fields);
    const repeated = repeatedName(frame.text);
    if (repeated !== undefined) {
      throw new ProtocolError(
        "bad-frame",
        "A name occurs twice in the server's receipt, so it could be read in two ways.",
      );
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
