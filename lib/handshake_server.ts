/**
 * The server's side of a connection, from `hello` to the receipt (docs/PROTOCOL.md).
 *
 *     C> hello            S> server_hello      certificates, each checked against the CA
 *     C> dh_client        S> dh_server         a key for the credentials; in version 2 both prove their certificates' keys
 *     C> salt             S> salt              at most three times
 *     C> register|login|…                      decided by the caller: accept() or refuse()
 *     C> dh_client        S> dh_server         the session's key
 *     C> msg              S> msg_ack           the caller acknowledges once the line is durable
 *     C> post|history|…                        requests about rooms: answered by the caller, in any order
 *     C> quit             S> receipt
 *
 * It knows no sockets, no accounts and no disk: what needs one of them is an event, and `next` waits until the caller has
 * answered it. Everything that can be wrong with credentials gets one and the same answer.
 *
 * @layer protocol
 */

import type { Identity } from "./certificate_identity.ts";
import { BLOCK_SIZE, decrypt, encrypt } from "./aes_cbc.ts";
import { type Bytes, type Clock, encodeBase64, encodeHex, encodeUtf8, type Random } from "./bytes.ts";
import type { Trust } from "./certificate_path.ts";
import { Connection, proofInput } from "./connection.ts";
import { DhKey, type Group, GROUP_14, GROUP_2 } from "./dh.ts";
import { ProtocolError } from "./errors.ts";
import { type Frame, LIMIT_AFTER_LOGIN, LIMIT_BEFORE_LOGIN, type OutgoingFrame } from "./frame.ts";
import { judgeClient, type ShownClient } from "./handshake_server_client.ts";
import { ServerSide, type SessionEvent } from "./handshake_server_session.ts";
import { encodeJson, type Json, type JsonObject } from "./json.ts";
import { type IdentifiedRequest, parseRequest, ROOM_REQUESTS } from "./log_requests.ts";
import {
  type CredentialsRequest,
  type DhClient,
  NONCE_SIZE,
  parseCertificateRequest,
  parseCredentials,
  parseDhClient,
  parseErrorFrame,
  parseHello,
  parsePayload,
  type PeerErrorFrame,
  type Version,
} from "./message.ts";
import type { VerifyingKey } from "./pss.ts";
import type { TranscriptSummary } from "./transcript.ts";
import type { ServerStep, State } from "./transitions.ts";

const REQUEST_TYPES: ReadonlySet<string> = new Set(ROOM_REQUESTS);

/** The most `salt` requests of a connection (docs/PROTOCOL.md, "Credentials"). */
const MAX_SALTS = 3;

/** What a server's connection works with. */
export interface ServerOptions {
  readonly identity: Identity;
  /** The trust of this moment: a revocation list may have changed. */
  readonly trust: () => Promise<Trust>;
  /** Whether version-1 clients are taken. */
  readonly allowV1: boolean;
  /**
   * What carries the bytes: over TLS, and for development on the loopback, rooms are served to clients that know
   * them; a certificate is issued only over TLS (docs/PROTOCOL.md, "Before the session"). `plain` if this is left out.
   */
  readonly channel?: Channel;
  /** The most bytes of a frame, LF included; the protocol's figures, or less. */
  readonly frameLimits?: { readonly beforeLogin: number; readonly afterLogin: number };
  readonly now: Clock;
  readonly random: Random;
  readonly send: (bytes: Bytes) => void;
}

/** What carries a connection's bytes. */
export type Channel = "tls" | "loopback" | "plain";

/** What happened on the connection. */
export type ServerEvent =
  /** The CA's certificate was asked for and sent: close. */
  | { readonly type: "authority" }
  /** Answer with {@link ServerConnection.answerCertificate}, then close. */
  | { readonly type: "certificate_request"; readonly code: Bytes; readonly csr: string }
  | { readonly type: "hello"; readonly fingerprint: string; readonly subject: string; readonly version: Version }
  /**
   * Answer with {@link ServerConnection.answerSalt}, {@link ServerConnection.accept} or `refuse`, then ask for more.
   */
  | { readonly type: "credentials"; readonly credentials: CredentialsRequest }
  /** The session's key is agreed; if {@link ServerConnection.hasRooms}, welcome the client. */
  | { readonly type: "session" }
  /** Answer with {@link ServerConnection.answer}, `sendLines` or `refuseRequest`. */
  | ({ readonly type: "request" } & IdentifiedRequest)
  | SessionEvent
  /** Answer with {@link ServerConnection.sendReceipt}, then close. */
  | { readonly type: "quit" }
  /** The client ends the conversation with an error, which is never answered. */
  | { readonly type: "error"; readonly error: PeerErrorFrame };

/** Takes one frame. */
type TakeStep = (
  side: ServerConnection,
  frame: Frame,
  next: State,
  before: Bytes,
) => ServerEvent | undefined | Promise<ServerEvent | undefined>;

/** A server's connection. */
export class ServerConnection extends Connection<ServerEvent> {
  readonly #options: ServerOptions;
  #version: Version = 1;
  #client: ShownClient | undefined;
  /** The key of the agreement made last. */
  #key: Bytes | undefined;
  #salts = 0;
  #session: ServerSide | undefined;
  /** The session's name in receipts of version 2. */
  #name: string | undefined;
  #hasRooms = false;

  constructor(options: ServerOptions) {
    super("server", "hello", options.send);
    this.#options = options;
    this.reader.limit = options.frameLimits?.beforeLogin ?? LIMIT_BEFORE_LOGIN;
  }

  /** The fingerprint of the client's certificate, once it has shown one that is good. */
  get clientFingerprint(): string | undefined {
    return this.#client?.fingerprint;
  }

  /** Whether the client has proved that it holds its certificate's key. */
  get isProven(): boolean {
    return this.#version === 2 && this.#key !== undefined;
  }

  /** When the path of the client's certificate is over (unix ms); never, until it has shown a good one. */
  get clientEnds(): number {
    return this.#client?.ends ?? Infinity;
  }

  /** Whether both sides know rooms, over a channel that may carry them. */
  get hasRooms(): boolean {
    return this.#hasRooms;
  }

  /** The key that verifies what the client signs, once it has shown a good certificate. */
  get clientKey(): VerifyingKey | undefined {
    return this.#client?.verifying;
  }

  /** The session's name in receipts of version 2: hex SHA-256 of T (docs/PROTOCOL.md, "Version 2"). */
  get session(): string | undefined {
    return this.#name;
  }

  /** The PEM of the client's certificate with its intermediates. */
  get clientPem(): string | undefined {
    return this.#client?.pem;
  }

  /** What the transcript came to so far. */
  get summary(): TranscriptSummary | undefined {
    return this.#session?.summary;
  }

  protected override stepOf(type: string): string | undefined {
    if (REQUEST_TYPES.has(type)) return this.#hasRooms ? "room request" : undefined;
    if (type === "request_certificate") return this.#options.channel === "tls" ? type : undefined;
    if (type === "enrol" || type === "resume" || type === "reset") return this.#hasRooms ? type : undefined;
    return super.stepOf(type);
  }

  protected async take(frame: Frame, next: State, before: Bytes): Promise<ServerEvent | undefined> {
    const step = this.stepOf(frame.type) as ServerStep; // the table of states has taken it
    return await ServerConnection.#STEPS[step](this, frame, next, before);
  }

  /** What becomes of each frame that a state takes: the compiler proves that none is forgotten. */
  static readonly #STEPS: { readonly [Step in ServerStep]: TakeStep } = {
    hello: (side, { fields }, next) => side.#receiveHello(fields, next),
    ca: (side, _, next) => side.#sendAuthority(next),
    request_certificate: (side, { fields }, next) => side.#receiveCertificateRequest(fields, next),
    dh_client: (side, { fields }, next, before) => side.#receiveDhClient(parseDhClient(fields), next, before),
    salt: (side, { fields }) => side.#receiveCredentials("salt", fields),
    register: (side, { fields }) => side.#receiveCredentials("register", fields),
    login: (side, { fields }) => side.#receiveCredentials("login", fields),
    enrol: (side, { fields }) => side.#receiveCredentials("enrol", fields),
    resume: (side, { fields }) => side.#receiveCredentials("resume", fields),
    reset: (side, { fields }) => side.#receiveCredentials("reset", fields),
    msg: (side, { fields }) => side.#mustHaveSession().receiveMsg(fields),
    receipt: (side, frame) => side.#mustHaveSession().receiveReceipt(frame),
    "room request": (_, frame) => ({ type: "request", ...parseRequest(frame) }),
    quit: (side, _, next) => side.#receiveQuit(next),
  };

  protected takeError(frame: Frame): Promise<ServerEvent> {
    this.move("failed");
    return Promise.resolve({ type: "error", error: parseErrorFrame(frame.fields) });
  }

  // Somebody without a certificate.

  async #sendAuthority(next: State): Promise<ServerEvent> {
    const { authorities } = await this.#options.trust();
    const { pem } = this.#options.identity; // for its intermediates: who asks has seen no `server_hello`
    this.send({ type: "ca", ca_cert: authorities.map(({ pem }) => pem).join(""), server_cert: pem });
    this.move(next);
    return { type: "authority" };
  }

  #receiveCertificateRequest(fields: JsonObject, next: State): ServerEvent {
    this.move(next);
    return { type: "certificate_request", ...parseCertificateRequest(fields) };
  }

  /**
   * Answers a certificate request with the certificate and its intermediates, and the code's e-mail address if it has
   * one.
   */
  answerCertificate({ pem, email }: { readonly pem: string; readonly email?: string | undefined }): void {
    this.send({ type: "certificate", pem, ...(email === undefined ? {} : { email }) });
  }

  // Hello and certificates.

  async #receiveHello(fields: JsonObject, next: State): Promise<ServerEvent> {
    const { identity, trust, allowV1, now, random } = this.#options;
    const hello = parseHello(fields);
    const client = await judgeClient(hello.pem, { own: identity, trust: await trust(), now: now() });
    if (hello.version === 1 && !allowV1) {
      throw new ProtocolError("proof-fail", "This server takes only version 2: the client must prove its key.");
    }
    this.#version = hello.version;
    this.#hasRooms = hello.rooms && (this.#options.channel ?? "plain") !== "plain";
    this.#client = client;
    this.send({
      type: "server_hello",
      server_cert: identity.pem,
      nonce: encodeBase64(random(NONCE_SIZE)),
      ...(hello.version === 2 ? { v: 2 } : {}),
      ...(this.#hasRooms ? { rooms: 1 } : {}),
    });
    this.move(next);
    return { type: "hello", fingerprint: client.fingerprint, subject: client.subject, version: hello.version };
  }

  // The key agreements.

  async #receiveDhClient(dh: DhClient, next: State, before: Bytes): Promise<ServerEvent | undefined> {
    const isSession = this.state === "session_key";
    const group = this.#version === 2 || isSession ? GROUP_14 : GROUP_2;
    checkGroup(dh, group);
    if (this.#version === 2) this.#checkProof(dh, before);
    const mine = new DhKey(group, this.#options.random);
    const key = mine.agree(dh.A);
    if (!key) throw new ProtocolError("dh-error", "The public value is not one of the group.");
    await this.#sendDhServer(mine);
    this.#key?.fill(0); // that of the credentials, which are behind
    this.#key = key;
    if (isSession) this.#openSession(key);
    this.move(next);
    return isSession ? { type: "session" } : undefined;
  }

  #checkProof(dh: DhClient, before: Bytes): void {
    const input = proofInput("dh_client", before, `${dh.g},${dh.p},${dh.A}`);
    if (!dh.proof || !this.#client?.verifying.verify(dh.proof, input)) {
      throw new ProtocolError("proof-fail", "`sig` doesn't prove that the client holds its certificate's key.");
    }
  }

  async #sendDhServer(mine: DhKey): Promise<void> {
    const value = mine.public.toString();
    const proof = this.#version === 2
      ? {
        sig: encodeBase64(await this.#options.identity.key.sign(proofInput("dh_server", this.recordDigest(), value))),
      }
      : {};
    this.send({ type: "dh_server", B: mine.public, ...proof });
  }

  #openSession(key: Bytes): void {
    const { identity, now } = this.#options;
    const client = this.#client;
    if (!client) throw new Error("a session needs a client");
    if (this.#version === 2) this.#name = encodeHex(this.recordDigest());
    this.#session = new ServerSide({ identity, client, key, version: this.#version, name: this.#name, now });
    this.closeRecord();
  }

  // Credentials.

  #receiveCredentials(type: CredentialsRequest["type"], fields: JsonObject): ServerEvent {
    if (type === "salt" && this.#salts === MAX_SALTS) {
      throw new ProtocolError("unexpected", `A connection takes ${MAX_SALTS} salt requests at most.`);
    }
    const payload = parsePayload(fields);
    const plaintext = this.#key && decrypt(this.#key, payload);
    const credentials = plaintext && parseCredentials(plaintext, type, this.#version === 1);
    plaintext?.fill(0);
    if (!credentials) {
      throw new ProtocolError("bad-frame", "The payload can't be read, or a field in it is missing or malformed.");
    }
    return { type: "credentials", credentials };
  }

  /** Overwrites the key: the connection is over. */
  forget(): void {
    this.#key?.fill(0);
    this.#key = undefined;
  }

  /** Answers a salt request with 16 bytes. */
  answerSalt(salt: Bytes): void {
    if (!this.#key) throw new Error("there is no key for the credentials");
    this.#salts += 1;
    const plaintext = encodeUtf8(JSON.stringify({ salt: encodeBase64(salt) }));
    const payload = encrypt(this.#key, this.#options.random(BLOCK_SIZE), plaintext);
    this.send({ type: "salt", payload: encodeBase64(payload) });
  }

  /** Takes the credentials that came: frames may be longer from here. */
  accept(): void {
    this.reader.limit = this.#options.frameLimits?.afterLogin ?? LIMIT_AFTER_LOGIN;
    this.move("session_key");
  }

  // Rooms: what follows the second key agreement.

  /** Tells the client who it is and what it may resume with; the first frame of a session with rooms. */
  welcome(
    welcome: {
      readonly username: string;
      readonly token: Bytes;
      readonly limits: JsonObject;
      /** The origin of the server's log; `undefined` if it shows none. */
      readonly log: string | undefined;
    },
  ): void {
    const { username, token, limits, log } = welcome;
    this.send({
      type: "welcome",
      payload: encodeBase64(
        this.seal({ username, session_token: encodeBase64(token), limits, ...log === undefined ? {} : { log } }),
      ),
    });
  }

  /** `iv || ciphertext` of a JSON object under the session's key, which only this client can read. */
  seal(value: JsonObject): Bytes {
    if (!this.#key) throw new Error("there is no session");
    return encrypt(this.#key, this.#options.random(BLOCK_SIZE), encodeUtf8(encodeJson(value)));
  }

  /** The plaintext of what the client sealed for this session; `undefined` if it can't be opened. */
  open(payload: Bytes): Bytes | undefined {
    return this.#key && decrypt(this.#key, payload);
  }

  /** Answers a request, or tells what no request asked for. */
  answer(frame: OutgoingFrame, id?: Json): void {
    this.send(id === undefined ? frame : { ...frame, id });
  }

  /** Sends the bytes of frames that were encoded once for many. */
  sendLines(bytes: Bytes): void {
    this.sendBytes(bytes);
  }

  /** Refuses a request; the session goes on. */
  refuseRequest(error: ProtocolError, id?: Json): void {
    const { code, message, fields } = error;
    this.answer({ type: "error", error_type: code, reason: message, ...fields }, id);
  }

  // Messages, and the end.

  #receiveQuit(next: State): ServerEvent {
    this.move(next);
    return { type: "quit" };
  }

  /** Acknowledges a message whose line is durable. */
  acknowledge(seqno: number): void {
    this.send({ type: "msg_ack", seqno, received_at: this.#options.now() });
  }

  /** The receipt over everything that was accepted. */
  async makeReceipt(): Promise<JsonObject> {
    return await this.#mustHaveSession().makeReceipt();
  }

  #mustHaveSession(): ServerSide {
    if (!this.#session) throw new Error("there is no session");
    return this.#session;
  }

  /** Sends the receipt, the last frame of a session. */
  sendReceipt(receipt: JsonObject): void {
    this.send({ type: "receipt", data: receipt });
  }
}

/** Throws `dh-error` unless g, p and A are of this group (docs/PROTOCOL.md, "Primitives"). */
function checkGroup({ g, p, A }: DhClient, group: Group): void {
  if (g !== group.generator || p !== group.prime) {
    throw new ProtocolError("dh-error", `This step takes only the group ${group.name}.`);
  }
  if (A < 2n || A > group.prime - 2n) throw new ProtocolError("dh-error", "The public value is out of range.");
}
