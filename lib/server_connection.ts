/**
 * One connected client, from the first byte to the last. One loop reads: it cuts events out of the bytes, and handles
 * them one after the other.
 *
 *     incoming.read → connection.receive → the client's turn (`server_pace.ts`) → connection.next → event
 *     credentials → an account (`server_login.ts`) and a session on the disk (`server_session.ts`)
 *     message     → into the journal; acknowledged by the writer of replies (`server_replies.ts`)
 *     request     → rooms, or the client's own account (`server_requests.ts`)
 *     quit        → every reply that is due → receipt → close
 *
 * The loop never waits for the disk; the acknowledgement does. If a line can't be made durable, it is never
 * acknowledged, and the connection ends.
 *
 * @layer outside
 */

import type { Identity } from "./certificate_identity.ts";
import type { Bytes } from "./bytes.ts";
import { isRevoked, type Trust } from "./certificate_path.ts";
import { dispatch, type Handlers } from "./dispatch.ts";
import { type ErrorType, messageOf, ProtocolError } from "./errors.ts";
import { type Channel, ServerConnection, type ServerEvent } from "./handshake_server.ts";
import type { IdentifiedRequest } from "./log_requests.ts";
import type { Log } from "./logging.ts";
import type { CredentialsRequest } from "./message.ts";
import { Abandoned } from "./password.ts";
import type { Account } from "./server_accounts.ts";
import type { Deadline } from "./server_deadline.ts";
import { Incoming } from "./server_incoming.ts";
import { certify, logIn } from "./server_login.ts";
import { SessionMessages } from "./server_messages.ts";
import { Pace } from "./server_pace.ts";
import { Peer } from "./server_peer.ts";
import type { Place, Progress } from "./server_places.ts";
import { Replies } from "./server_replies.ts";
import { answerRequest } from "./server_requests.ts";
import { RoomsSession } from "./server_rooms_session.ts";
import { ServerSession } from "./server_session.ts";
import type { Shared } from "./server_shared.ts";
import { type AuditEvent, withoutStore } from "./server_store.ts";
import { random } from "./system.ts";
import type { JsonObject } from "./json.ts";
import type { Link } from "./transport.ts";
import { parseCertificates } from "./x509.ts";

/** How long a client in rooms may be silent before it is gone, in milliseconds (docs/PROTOCOL.md, "Requests"). */
const ROOM_SILENCE = 90_000;
/**
 * How long before the end of its certificate a client in rooms must stop, in milliseconds: a head has to cover its last
 * line before that end.
 */
const HEAD_TIME = 5_000;

/** Errors that leave an audit row of their own; those of credentials are recorded where they are decided. */
const AUDITED: Readonly<Partial<Record<ErrorType, AuditEvent>>> = {
  "bad-cert": "cert_invalid",
  "proof-fail": "proof_fail",
  "sig-fail": "sig_fail",
  "replay": "replay",
  "decrypt-fail": "decrypt_fail",
};

/** What a client's receipt counts as in the quota of bytes: most have a few kilobytes. */
const RECEIPT_BYTES = 4_096;

/** How far a connection has come, by its protocol's state; in every other state the client has proved a key. */
const PROGRESS: Readonly<Record<string, Progress>> = { hello: "silent", key_agreement: "silent", session: "session" };

/** One connected client. */
export class ConnectedClient {
  readonly #shared: Shared;
  readonly #link: Link;
  readonly #incoming: Incoming;
  readonly #identity: Identity;
  readonly #connection: ServerConnection;
  readonly #peer: Peer;
  readonly #deadline: Deadline;
  readonly #replies: Replies;
  /** The connection's place among all sockets of the server. */
  readonly #place: Place;
  readonly #pace: Pace;
  #messages: SessionMessages | undefined;
  #rooms: RoomsSession | undefined;
  /** Whether nothing more is read. */
  #isOver = false;
  #running: Promise<void> | undefined;

  /** `channel`: what the link runs over. */
  constructor(shared: Shared, link: Link, channel: Channel, place: Place) {
    const { config, trust } = shared;
    this.#shared = shared;
    this.#link = link;
    this.#incoming = new Incoming(link);
    this.#place = place;
    this.#identity = shared.identity();
    this.#connection = new ServerConnection({
      identity: this.#identity,
      trust,
      allowV1: config.ALLOW_V1 && channel !== "tls",
      channel,
      frameLimits: { beforeLogin: config.MAX_FRAME_BYTES_BEFORE_LOGIN, afterLogin: config.MAX_FRAME_BYTES },
      now: shared.clock.now,
      random,
      send: (bytes: Bytes) => link.send(bytes),
    });
    this.#peer = new Peer(shared, this.#connection, link.address);
    this.#replies = new Replies((error) => {
      this.#messages?.spoil();
      return this.#fail(error);
    });
    this.#deadline = shared.deadlines.start(config.HANDSHAKE_TIMEOUT * 1000, () => void this.#timeOut());
    this.#pace = new Pace(
      { turns: shared.turns, limits: shared.limits, deadline: this.#deadline },
      this.#peer.countedAs,
    );
  }

  // The connection's life.

  /** Resolves when the connection is over and its session closed. Never rejects. */
  run(): Promise<void> {
    return this.#running ??= this.#run();
  }

  async #run(): Promise<void> {
    try {
      await this.#read();
      await this.#replies.settled(); // what is due stays due when the client has closed its sending side
    } catch (error) {
      await this.#fail(error);
    }
    this.#deadline.end();
    this.#pace.leave();
    this.#rooms?.leave();
    try {
      const { hasRooms } = this.#connection;
      await this.#messages?.close(hasRooms ? { lines: this.#rooms?.lines ?? 0 } : {});
    } catch (error) {
      this.#shared.log.error("a session could not be closed", { ...this.#peer.fields, reason: messageOf(error) });
    }
    this.#connection.forget();
    await this.#link.finish(this.#incoming);
  }

  /** Tells the client that the server stops, after every reply that is due; resolves as {@link run} does. */
  async shutDown(): Promise<void> {
    await this.#fail(new ProtocolError("shutdown", "The server is shutting down; connect again later."));
    await this.run();
  }

  /** Ends the connection if the client's certificate is revoked by now; whether it did. */
  async endIfRevoked(trust: Trust): Promise<boolean> {
    const { clientPem } = this.#connection;
    if (clientPem === undefined || this.#isOver || !await isRevoked(parseCertificates(clientPem), trust)) return false;
    await this.#fail(new ProtocolError("bad-cert", "The client certificate was revoked."));
    return true;
  }

  /** Ends the connection if the client's certificate has ended by now, or, in rooms, is about to. */
  async endIfExpired(): Promise<void> {
    if (this.#hasExpired()) await this.#fail(expired());
  }

  #hasExpired(): boolean {
    const { clientEnds, hasRooms } = this.#connection;
    return this.#shared.clock.now() >= clientEnds - (hasRooms ? HEAD_TIME : 0);
  }

  /** Ends the connection, since somebody else needs the place. */
  giveWay(): void {
    void this.#fail(new ProtocolError("busy", "Your place was given to another connection; connect again."));
  }

  /** Closes at once. */
  abort(): void {
    this.#isOver = true;
    this.#pace.stop();
    this.#link.close();
  }

  // Reading.

  async #read(): Promise<void> {
    for (let chunk = await this.#incoming.read(); chunk && !this.#isOver; chunk = await this.#incoming.read()) {
      if (this.#hasExpired()) throw expired();
      this.#connection.receive(chunk);
      while (await this.#handleNext()) if (this.#isOver) return;
      if (this.#connection.state === "session") this.#deadline.set(this.#silence());
    }
  }

  /** Handles the next event when it is this client's turn; whether there was one. */
  async #handleNext(): Promise<boolean> {
    if (!await this.#pace.turn()) return false;
    const event = await this.#pace.charge(() => this.#connection.next()); // what is no frame costs time as well
    this.#place.progress = PROGRESS[this.#connection.state] ?? "proven";
    // An event that has come is always handled: the transcript's summary has counted its line.
    if (event) await dispatch(ConnectedClient.#HANDLERS, event, this);
    return event !== undefined;
  }

  /** How long a session may be silent: in rooms both sides ping. */
  #silence(): number {
    return this.#connection.hasRooms ? ROOM_SILENCE : this.#shared.config.CONNECTION_TIMEOUT * 1000;
  }

  // Events.

  static readonly #HANDLERS: Handlers<ServerEvent, [client: ConnectedClient], Promise<void> | void> = {
    authority: (_, client) => void (client.#isOver = true),
    certificate_request: (request, client) => client.#deadline.pauseFor(client.#certify(request)),
    hello: ({ subject, version }, client) => client.#hello(subject, version),
    credentials: ({ credentials }, client) => client.#deadline.pauseFor(client.#answerCredentials(credentials)),
    session: (_, client) => client.#beginSession(),
    request: (request, client) => client.#answer(request),
    message: ({ seqno, line }, client) => client.#takeMessage(seqno, line),
    stale: ({ error }, client) => client.#mustHaveMessages().refuseStale(error),
    receipt: ({ receipt, problem }, client) => client.#takeReceipt(receipt, problem),
    quit: (_, client) => client.#quit(),
    error: ({ error: { errorType } }, client) => client.#takeError(errorType),
  };

  async #hello(subject: string, version: number): Promise<void> {
    this.#shared.log.info("certificate accepted", { ...this.#peer.fields, subject, version });
    if (version === 1) await this.#peer.audit("v1_session", "the client proves nothing before its first message");
  }

  /** Issues a certificate to a client that has a code, and ends the connection. */
  async #certify(request: { readonly code: Bytes; readonly csr: string }): Promise<void> {
    const { address } = this.#peer;
    this.#connection.answerCertificate(await certify(request, { ...this.#shared, address }));
    this.#shared.log.info("a certificate was issued", { address });
    this.#isOver = true;
  }

  async #answerCredentials(credentials: CredentialsRequest): Promise<void> {
    const { accounts } = this.#shared;
    if (credentials.type === "salt") return this.#connection.answerSalt(await accounts.salt(credentials.email));
    if (credentials.type !== "resume" && !this.#shared.places.hasRoomForStrangers) throw full();
    const account = await this.#logIn(credentials);
    if (!account) return void (this.#isOver = true); // the client is gone, and nobody reads an answer
    // A revocation list that came while the certificate was checked was asked by nobody.
    if (await this.endIfRevoked(await this.#shared.trust())) return;
    this.#peer.enter(account);
    this.#pace.countAs(this.#peer.countedAs);
    this.#shared.limits.checkSession(this.#peer.countedAs);
    const what = credentials.type === "register" ? "registration" : credentials.type;
    this.#shared.log.info(`${what} succeeded`, this.#peer.fields);
    await this.#openSession(account);
    this.#connection.accept();
  }

  /** The account that the credentials are for; `undefined` if the client has gone meanwhile. */
  async #logIn(credentials: Exclude<CredentialsRequest, { readonly type: "salt" }>): Promise<Account | undefined> {
    const { accounts, devices } = this.#shared;
    const { origin, shown } = this.#peer;
    const { hasRooms } = this.#connection;
    try {
      return await this.#incoming.whileThere((signal) =>
        logIn(credentials, { accounts, devices, origin, shown, hasRooms, signal })
      );
    } catch (error) {
      if (error instanceof Abandoned) return undefined;
      throw error;
    } finally {
      if ("pwd" in credentials) credentials.pwd.fill(0);
    }
  }

  async #openSession({ userId }: Account): Promise<void> {
    const session = await ServerSession.open(this.#shared);
    this.#messages = new SessionMessages({
      session,
      connection: this.#connection,
      peer: this.#peer,
      replies: this.#replies,
      log: this.#shared.log,
    });
    this.#peer.begin(session.tokenHash);
    await session.register({
      userId,
      clientFingerprint: this.#peer.shown.fingerprint,
      serverFingerprint: this.#identity.chain[0]?.fingerprint ?? "",
    });
  }

  /** The session's key is agreed; with rooms the client is welcomed. */
  async #beginSession(): Promise<void> {
    this.#shared.log.info("session open", this.#peer.fields);
    this.#deadline.set(this.#silence());
    const { account } = this.#peer;
    if (!this.#connection.hasRooms || !account) return;
    try {
      this.#rooms = await RoomsSession.begin({
        shared: this.#shared,
        connection: this.#connection,
        link: this.#link,
        peer: this.#peer,
        account,
        deadline: this.#deadline,
        end: (error) => void this.#fail(error),
      });
      await this.#rooms.attend();
    } catch (error) {
      throw withoutStore(error);
    }
  }

  /** A post waits for its account's quota, and isn't answered if the connection ends meanwhile. The work is charged. */
  async #answer({ request, id }: IdentifiedRequest): Promise<void> {
    if (request.type === "post" && !await this.#pace.quota(request.body.length)) return;
    const session = this.#rooms;
    if (!session) throw new Error("there is no session with rooms");
    await this.#pace.charge(() =>
      answerRequest({ request, id }, session, { ...this.#shared, peer: this.#peer, connection: this.#connection })
    );
  }

  /** A receipt is written like a line, and is one for the quota. */
  async #takeReceipt(receipt: JsonObject, problem: string | undefined): Promise<void> {
    await this.#pace.quota(RECEIPT_BYTES);
    await this.#mustHaveMessages().takeReceipt(receipt, problem);
  }

  async #takeMessage(seqno: number, line: string): Promise<void> {
    this.#shared.log.debug("message received", { ...this.#peer.fields, seqno });
    await this.#pace.quota(line.length);
    await this.#mustHaveMessages().take(seqno, line);
  }

  async #quit(): Promise<void> {
    await this.#replies.settled();
    if (this.#isOver) return;
    this.#isOver = true;
    await this.#mustHaveMessages().sendReceipt();
  }

  #takeError(errorType: string): void {
    this.#shared.log.info("the client ended the conversation", { ...this.#peer.fields, error: errorType });
    this.#isOver = true;
  }

  #mustHaveMessages(): SessionMessages {
    if (!this.#messages) throw new Error("there is no session");
    return this.#messages;
  }

  // The end.

  async #timeOut(): Promise<void> {
    const reason = this.#messages ? "The session was silent for too long." : "The handshake took too long.";
    await this.#fail(new ProtocolError("timeout", reason));
  }

  /** Tells the client what is wrong, after every reply that can still be given; nothing follows it. Never rejects. */
  async #fail(error: unknown): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#pace.stop();
    const answer = answerTo(error, this.#shared.log, this.#peer.fields);
    await this.#replies.settled();
    const event = AUDITED[answer.code];
    try {
      if (event) await this.#peer.audit(event, answer.message);
    } catch (failure) {
      this.#shared.log.error("an audit row could not be kept", { ...this.#peer.fields, reason: messageOf(failure) });
    }
    this.#replies.stop();
    this.#connection.refuse(answer);
    void this.#link.end();
  }
}

/** What the client is told of an error, which goes into the server's log file. */
function answerTo(error: unknown, log: Log, who: Readonly<Record<string, string>>): ProtocolError {
  const reason = messageOf(error);
  if (!(error instanceof ProtocolError)) {
    log.error("conversation failed", { ...who, reason });
    return new ProtocolError("server-error", "The server can't go on with this conversation; try again later.");
  }
  const fields = { ...who, error: error.code, reason };
  if (error.cause === undefined) log.info("conversation ended", fields);
  else log.error("conversation ended", fields); // a cause is the server's own trouble
  return error;
}

function full(): ProtocolError {
  return new ProtocolError("busy", "The server is full, except for people who resume a session; try again later.");
}

function expired(): ProtocolError {
  return new ProtocolError("bad-cert", "The client certificate has expired; connect again with a renewed one.");
}
