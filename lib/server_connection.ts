/**
 * One connection of the server: the link, the protocol's side of it, and what its events do to accounts and disk.
 *
 *     link.read → connection.receive → connection.next → event
 *     message   → journal.append (group commit) → acknowledge, in order, by the queue of replies
 *     quit      → every reply that is due → receipt → close
 *
 * One loop reads and handles the events one after the other; it never waits for the disk. What must be answered after a
 * flush goes onto the queue of replies, which has a bound: past it the loop reads on only when the disk has caught up.
 * A line whose flush fails is never acknowledged, and its session ends.
 *
 * A session that was quit, or had messages, leaves its journal and the server's receipt over it; one whose client sent
 * a good receipt, that as well; any other leaves no file.
 *
 * @layer outside
 */

import type { Account, Accounts, Origin } from "./server_accounts.ts";
import type { Audit } from "./server_audit.ts";
import type { SummedAudit } from "./server_audit_summary.ts";
import { type Bytes, encodeBase64, encodeHex, type Random } from "./bytes.ts";
import { isRevoked, type Trust } from "./certificate_path.ts";
import type { Config } from "./config.ts";
import type { Deadline, Deadlines } from "./server_deadline.ts";
import { DEVICE_CODE_LIFE, type Devices, Kept, type ShownCertificate } from "./server_devices.ts";
import { type ErrorType, messageOf, ProtocolError } from "./errors.ts";
import { writeAtomically } from "./files.ts";
import { type Channel, ServerConnection, type ServerEvent, type SigningIdentity } from "./handshake_server.ts";
import { sha256 } from "./hash.ts";
import type { Hub } from "./room_hub.ts";
import { Incoming } from "./server_incoming.ts";
import { type CreateJournalFile, Journal, removeEmptyJournal } from "./server_journal.ts";
import { encodeJson, type Json, type JsonObject } from "./json.ts";
import type { SummedLog } from "./logging_summary.ts";
import { type Credentials, parsePasswordChange } from "./message.ts";
import { Abandoned } from "./password.ts";
import type { Attendee } from "./room_attendee.ts";
import type { RoomRequest } from "./log_frames.ts";
import { answerRoomRequest } from "./room_requests.ts";
import type { RoomStore } from "./room_store.ts";
import { dropNote, noteSession, receiptPath } from "./server_recovery.ts";
import type { ServerClock } from "./server_clock.ts";
import type { MemberLimits } from "./server_limits.ts";
import type { Place, Standing } from "./server_places.ts";
import type { Share, Turns } from "./server_turns.ts";
import type { Spool } from "./server_spool.ts";
import { type AuditEvent, type Store, withoutStore } from "./server_store.ts";
import { partyOf } from "./server_login_limits.ts";
import { sourceOf } from "./server_throttle.ts";
import { TranscriptSummary } from "./transcript.ts";
import type { Link } from "./transport.ts";
import { parseCertificates } from "./x509.ts";

/** Replies that may wait for the disk on one connection, before it is no longer read. */
const MAX_REPLIES_DUE = 256;
/** A request counts as no more work than this, in milliseconds: some wait for the disk, or for a slow reader. */
const MAX_WORK = 20;
/** A peer in rooms that is silent for so long is gone (docs/PROTOCOL.md, "Requests"), in milliseconds. */
const ROOM_SILENCE = 90_000;
/**
 * So long before its end a certificate's last line in a room may be posted, in milliseconds: a head is to cover it
 * first.
 */
const HEAD_TIME = 5_000;
/** How often a client in rooms is asked to ping. */
const PING_SECONDS = 30;

/** What all conversations of a server share. */
export interface Shared {
  readonly config: Config;
  readonly log: SummedLog;
  /** The certificate of this moment: a renewed one is taken up while the server runs. */
  readonly identity: () => SigningIdentity;
  readonly trust: () => Promise<Trust>;
  readonly store: Store & { readonly rooms: RoomStore };
  readonly accounts: Accounts;
  readonly audit: Audit;
  /** Where audit rows of people go. */
  readonly rows: SummedAudit;
  readonly spool: Spool;
  readonly deadlines: Deadlines;
  readonly journals: string;
  readonly devices: Devices;
  readonly hub: Hub;
  readonly turns: Turns;
  readonly limits: MemberLimits;
  readonly clock: ServerClock;
  /** Whether somebody who doesn't resume a session may still come in. */
  readonly hasRoomForStrangers: () => boolean;
  readonly createJournalFile: CreateJournalFile | undefined;
}

const random: Random = (size) => crypto.getRandomValues(new Uint8Array(size));

/** An account's open session. */
interface OpenSession {
  readonly tokenHash: string;
  readonly journal: Journal;
}

/** Something to answer, once what it waits for is done. */
interface Reply {
  readonly after: Promise<void> | undefined;
  readonly give: () => void;
}

/** One connection, from its first byte to its last. */
export class Conversation {
  readonly #shared: Shared;
  readonly #link: Link;
  readonly #incoming: Incoming;
  readonly #identity: SigningIdentity;
  readonly #connection: ServerConnection;
  readonly #deadline: Deadline;
  #session: OpenSession | undefined;
  #email: string | undefined;
  #account: Account | undefined;
  #attendee: Attendee | undefined;
  /** How many lines of this session stand in rooms. */
  #lines = 0;
  /** What is due, in the order in which it will be given. */
  readonly #replies: Reply[] = [];
  #replying: Promise<void> | undefined;
  /** Whether nothing more is read. */
  #over = false;
  /** Whether the client was told an error that ends the conversation: nothing follows it. */
  #told = false;
  /** Whether a line could not be made durable: then only the next start can say what the session came to. */
  #spoilt = false;
  /** Whether a receipt over the journal lies beside it. */
  #hasReceipt = false;
  #running: Promise<void> | undefined;
  /** The place that this connection has, and the part of the server that its frames work out of. */
  readonly #place: () => Place;
  #share: Share;
  /** Ends what is waited for now: the conversation is over. */
  #stopWaiting: (() => void) | undefined;
  /** What the next start needs for a receipt, should this server be gone before it makes one. */
  #noting: Promise<void> | undefined;

  /** `channel`: what the link runs over. */
  constructor(shared: Shared, link: Link, channel: Channel, place: () => Place) {
    this.#shared = shared;
    this.#link = link;
    this.#incoming = new Incoming(link);
    this.#place = place;
    this.#share = shared.turns.share(`address ${sourceOf(link.address)}`);
    const { config, trust } = shared;
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
    this.#deadline = shared.deadlines.start(config.HANDSHAKE_TIMEOUT * 1000, () => void this.#timeOut());
  }

  /** Resolves when the connection is over and its session closed. Never rejects. */
  run(): Promise<void> {
    return this.#running ??= this.#converse();
  }

  /** Tells the client that the server stops, after every reply that is due; resolves as {@link run} does. */
  async shutDown(): Promise<void> {
    await this.#fail(new ProtocolError("shutdown", "The server is shutting down; connect again later."));
    await this.run();
  }

  /** Ends the conversation where the client's certificate is revoked by now; whether it did. */
  async endIfRevoked(trust: Trust): Promise<boolean> {
    const { clientPem } = this.#connection;
    if (clientPem === undefined || this.#over || !await isRevoked(parseCertificates(clientPem), trust)) {
      return false;
    }
    await this.#fail(new ProtocolError("bad-cert", "The client certificate was revoked."));
    return true;
  }

  /** Ends the conversation where the client's certificate has ended by now; with rooms, where it is about to. */
  async endIfExpired(): Promise<void> {
    if (this.#hasExpired()) await this.#fail(expired());
  }

  #hasExpired(): boolean {
    const { clientEnds, hasRooms } = this.#connection;
    return this.#shared.clock.now() >= clientEnds - (hasRooms ? HEAD_TIME : 0);
  }

  /** Ends it, since somebody else needs the place. */
  giveWay(): void {
    void this.#fail(new ProtocolError("busy", "Your place was given to another connection; connect again."));
  }

  /** Closes at once. */
  abort(): void {
    this.#over = true;
    this.#stopWaiting?.();
    this.#link.close();
  }

  async #converse(): Promise<void> {
    try {
      await this.#read();
      await this.#replying; // what is due stays due when the client has closed its sending side
    } catch (error) {
      await this.#fail(error);
    }
    this.#deadline.end();
    this.#share.leave();
    if (this.#attendee) this.#shared.hub.leave(this.#attendee);
    try {
      await this.#closeSession();
    } catch (error) {
      this.#shared.log.error("a session could not be closed", { ...this.#who(), reason: messageOf(error) });
    }
    this.#connection.forget();
    await this.#link.finish(this.#incoming);
  }

  async #read(): Promise<void> {
    for (let chunk = await this.#incoming.read(); chunk && !this.#over; chunk = await this.#incoming.read()) {
      if (this.#hasExpired()) throw expired();
      this.#connection.receive(chunk);
      while (await this.#takeNext()) if (this.#over) return;
      if (this.#connection.state === "session") this.#deadline.set(this.#silence());
    }
  }

  /** Takes the next event, when it is this person's turn; whether there was one. */
  async #takeNext(): Promise<boolean> {
    const share = this.#share;
    const turn = share.turn();
    if (turn) await this.#wait(turn);
    if (this.#over) {
      if (turn) void turn.then(() => share.spend(0)); // the next in the queue goes on
      return false;
    }
    const event = await this.#parse(share);
    this.#place().standing = STANDINGS[this.#connection.state] ?? "proven";
    // An event that has come is always taken: the transcript's summary has counted its line.
    if (event) await this.#take(event);
    return event !== undefined;
  }

  /** The next event; what finding it has cost, a frame that is none too, comes out of the share. */
  async #parse(share: Share): Promise<ServerEvent | undefined> {
    const began = performance.now();
    try {
      return await this.#connection.next();
    } finally {
      share.spend(Math.min(performance.now() - began, MAX_WORK));
    }
  }

  /** Waits, unless the conversation ends meanwhile. The client isn't charged for it. */
  async #wait(what: Promise<void>): Promise<void> {
    // No race with a promise of the conversation: each of many thousand waits would stay with it.
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#stopWaiting = resolve;
    void what.then(resolve);
    await this.#deadline.pauseFor(promise);
    this.#stopWaiting = undefined;
  }

  /** How long a session may be silent: with rooms both sides ping. */
  #silence(): number {
    return this.#connection.hasRooms ? ROOM_SILENCE : this.#shared.config.CONNECTION_TIMEOUT * 1000;
  }

  async #take(event: ServerEvent): Promise<void> {
    const { log } = this.#shared;
    switch (event.type) {
      case "hello":
        log.info("certificate accepted", { ...this.#who(), subject: event.subject, version: event.version });
        if (event.version === 1) await this.#audit("v1_session", "the client proves nothing before its first message");
        return;
      case "credentials":
        return await this.#deadline.pauseFor(this.#answerCredentials(event.credentials));
      case "session":
        log.info("session open", this.#who());
        return await this.#welcome();
      case "message":
        log.debug("message received", { ...this.#who(), seqno: event.seqno });
        await this.#waitForQuota(event.line.length);
        return await this.#reply({
          after: this.#append(event.line),
          give: () => this.#connection.acknowledge(event.seqno),
        });
      case "stale":
        await this.#audit("stale", event.error.message);
        return await this.#reply({ after: undefined, give: () => this.#connection.refuse(event.error) });
      case "receipt":
        return await this.#takeReceipt(event.receipt, event.problem);
      case "quit":
        return await this.#quit();
      case "authority":
        this.#over = true;
        return;
      case "certificate_request":
        return await this.#deadline.pauseFor(this.#certify(event.code, event.csr));
      case "request":
        return await this.#answerInTurn(event.request, event.id);
      case "error":
        log.info("the client ended the conversation", { ...this.#who(), error: event.error.errorType });
        this.#over = true;
    }
  }

  /** Resolves when the line is on the disk, and with the first one what a receipt over it needs. */
  async #append(line: string): Promise<void> {
    const { journal, tokenHash } = this.#openSession();
    const { clientPem = "", session } = this.#connection;
    this.#noting ??= noteSession(this.#shared.journals, tokenHash, { clientPem, session });
    await Promise.all([journal.append(line), this.#noting]);
  }

  #who(): Record<string, string> {
    const { clientFingerprint } = this.#connection;
    return {
      address: this.#link.address,
      ...(this.#email === undefined ? {} : { email: this.#email }),
      ...(clientFingerprint === undefined ? {} : { fingerprint: clientFingerprint }),
      ...(this.#session ? { session: this.#session.tokenHash } : {}),
    };
  }

  async #audit(event: AuditEvent, reason: string): Promise<void> {
    const { clientFingerprint, isProven } = this.#connection;
    const party = this.#account
      ? { name: this.#account.email, isProven: true }
      : { name: partyOf(this.#origin()), isProven };
    await this.#shared.rows.record({
      event,
      reason,
      occurredAt: this.#shared.clock.now(),
      ipAddress: this.#link.address,
      ...(clientFingerprint === undefined ? {} : { clientFingerprint }),
      ...(this.#email === undefined ? {} : { email: this.#email }),
    }, party);
  }

  /** Nothing is issued by a clock that is doubtful. */
  #mustKnowTheTime(): void {
    if (!this.#shared.clock.isDoubtful) return;
    throw new ProtocolError("server-error", "The server's clock is in doubt; try again in some minutes.");
  }

  /** Who is counted: the account, on whichever connection. */
  get #accountName(): string {
    return this.#account ? `account ${this.#account.userId}` : `address ${sourceOf(this.#link.address)}`;
  }

  // Credentials.

  async #answerCredentials(credentials: Credentials): Promise<void> {
    const { accounts, store, journals, createJournalFile, log } = this.#shared;
    if (credentials.type === "salt") return this.#connection.answerSalt(await accounts.salt(credentials.email));
    if (credentials.type !== "resume" && !this.#shared.hasRoomForStrangers()) throw full();
    const clientFingerprint = this.#connection.clientFingerprint ?? "";
    const account = await this.#incoming.whileThere((signal) => this.#authenticate(credentials, signal))
      .catch((error) => {
        if (!(error instanceof Abandoned)) throw error;
      })
      .finally(() => "pwd" in credentials && credentials.pwd.fill(0));
    if (!account) return void (this.#over = true); // the client is gone, and nobody reads an answer
    this.#account = account;
    this.#share.leave();
    this.#share = this.#shared.turns.share(this.#accountName);
    const { userId, email } = account;
    this.#email = email;
    this.#shared.limits.checkSession(this.#accountName);
    log.info(`${credentials.type === "register" ? "registration" : credentials.type} succeeded`, this.#who());
    const tokenHash = encodeHex(sha256(random(32)));
    // The journal first: a session without one in this folder is another server's on the same database.
    const journal = await Journal.open(journals, tokenHash, createJournalFile);
    this.#session = { tokenHash, journal };
    await store.openSession({
      userId,
      tokenHash,
      clientFingerprint,
      serverFingerprint: this.#identity.chain[0]?.fingerprint ?? "",
      startedAt: this.#shared.clock.now(),
    });
    this.#connection.accept();
  }

  /**
   * Who somebody is, and whether the certificate may enter that account (docs/PROTOCOL.md, "Credentials" and
   * "Before the session").
   */
  async #authenticate(credentials: Exclude<Credentials, { type: "salt" }>, signal: AbortSignal): Promise<Account> {
    const { accounts, devices } = this.#shared;
    const { hasRooms, clientPem: pem = "" } = this.#connection;
    const origin = this.#origin();
    const shown = { fingerprint: origin.clientFingerprint, pem };
    if (credentials.type === "resume") return await this.#resume(shown, credentials.token, origin);
    const givenUp = async (error: unknown): Promise<never> => {
      const event = credentials.type === "register" ? "registration_failure" : "login_failure";
      throw await accounts.givenUp(event, { ...origin, email: credentials.email }, error);
    };
    const { owner, ...known } = await devices.standing(shown).catch(givenUp);
    const standing = { ...known, owner, hasRooms };
    const attempt = { ...origin, email: credentials.email, isOwn: known.device?.email === credentials.email };
    const request = { ...attempt, owner, signal };
    const refused = (error: unknown) =>
      error instanceof ProtocolError ? accounts.refuse(attempt, error) : givenUp(error);
    if (credentials.type === "register") {
      await accounts.checkAttempt(attempt);
      if (owner !== undefined && !origin.isProven) await refused(UNPROVEN);
      const registrant = await devices.checkRegistration(shown, credentials, standing).catch(async (error) => {
        if (error instanceof Kept) {
          throw await accounts.taken(attempt, "the name or the address is kept for an invitation");
        }
        return await refused(error);
      });
      return await accounts.register({ ...credentials, ...request, registrant });
    }
    if (credentials.type === "reset") {
      await accounts.checkAttempt(attempt);
      const codeHash = await devices.checkReset(credentials.code, credentials.email, standing).catch(refused);
      const account = await accounts.resetPassword({ ...credentials, ...request, codeHash });
      await devices.checkLogin(shown, account, standing).catch(refused);
      return account;
    }
    const account = await accounts.login({ ...credentials, ...request });
    if (credentials.type === "enrol") await devices.enrol(shown, account, credentials.code).catch(refused);
    else await devices.checkLogin(shown, account, standing).catch(refused);
    return account;
  }

  /** A token that is unknown or has ended is no failed login: nobody guesses one. */
  async #resume(shown: ShownCertificate, token: Bytes, origin: Origin): Promise<Account> {
    const { accounts, devices } = this.#shared;
    accounts.checkResume(origin);
    const device = await devices.resume(shown, token).catch((error: unknown) => {
      if (error instanceof ProtocolError) accounts.countResume(origin);
      throw withoutStore(error);
    });
    return { ...device, salt: await accounts.salt(device.email) };
  }

  #origin(): Origin {
    const { clientFingerprint = "", isProven } = this.#connection;
    return { address: this.#link.address, clientFingerprint, isProven };
  }

  // Rooms.

  /** Issues a certificate to who has a code, and ends the conversation. */
  async #certify(code: Bytes, csr: string): Promise<void> {
    const { accounts, devices, log } = this.#shared;
    const origin = { address: this.#link.address, clientFingerprint: "", isProven: false };
    await accounts.checkAttempt(origin);
    this.#mustKnowTheTime();
    const issued = await devices.certify(code, csr).catch((error: unknown) => {
      if (error instanceof ProtocolError) return accounts.refuse(origin, error);
      throw withoutStore(error);
    });
    this.#connection.answerCertificate(issued);
    log.info("a certificate was issued", { address: origin.address });
    this.#over = true;
  }

  /** A session with rooms begins. */
  async #welcome(): Promise<void> {
    this.#deadline.set(this.#silence());
    const { account, shown } = this.#device();
    if (!this.#connection.hasRooms || !account) return;
    const { accounts, devices, hub } = this.#shared;
    try {
      if (!await accounts.isCurrent(account)) {
        throw new ProtocolError("auth-failed", "The password was changed meanwhile; log in again.");
      }
      const token = await devices.makeToken(shown, account);
      this.#connection.welcome({ username: account.username, token, limits: { ping_seconds: PING_SECONDS } });
      this.#attendee = this.#attend(account);
      await hub.attend(this.#attendee);
    } catch (error) {
      throw withoutStore(error);
    }
  }

  #device() {
    const { clientFingerprint: fingerprint = "", clientPem: pem = "" } = this.#connection;
    return { account: this.#account, shown: { fingerprint, pem } };
  }

  #attend({ username }: Account): Attendee {
    const connection = this.#connection;
    const { clientFingerprint: fingerprint = "", clientKey: verifying } = connection;
    if (!verifying) throw new Error("a session has a certificate");
    return {
      fingerprint,
      username,
      verifying,
      deliver: (bytes) => connection.sendLines(bytes),
      deliverLatest: (key, bytes) => this.#link.sendLatest(key, bytes),
      drained: () => this.#link.drained(),
      answer: (frame, id) => connection.answer(frame, id),
      seal: (value) => connection.seal(value),
      refuse: (error, id) => connection.refuseRequest(error, id),
      placed: () => this.#lines++,
      end: (error) => void this.#fail(error),
    };
  }

  /** The next certificate of the account, and what its first session goes on with. */
  async #renew(csr: string, id: Json | undefined): Promise<void> {
    const { devices } = this.#shared;
    const { account, shown } = this.#device();
    if (!account) throw new Error("there is no session with rooms");
    const renewed = await devices.renew(csr, account, shown);
    const token = encodeBase64(await devices.makeToken(renewed, account));
    const payload = this.#connection.seal({ username: account.username, session_token: token });
    this.#connection.answer({ type: "renewed", pem: renewed.pem, payload: encodeBase64(payload) }, id);
  }

  /** Another password: no token of the account is good any more, but the one that this session gets. */
  async #changePassword(payload: Bytes, account: Account, id: Json | undefined): Promise<void> {
    const { accounts, devices } = this.#shared;
    const { shown } = this.#device();
    const plaintext = this.#connection.open(payload);
    const change = plaintext && parsePasswordChange(plaintext);
    if (!change) throw new ProtocolError("bad-frame", "The payload can't be read, or a field in it is missing.");
    const { email } = account;
    const changing = accounts.changePassword({
      ...{ ...this.#origin(), email, isOwn: true, owner: account.username },
      ...change,
    });
    await this.#deadline.pauseFor(changing).finally(() =>
      [plaintext, change.old, change.pwd].forEach((b) => b.fill(0))
    );
    const token = encodeBase64(await devices.makeToken(shown, account));
    const answer = this.#connection.seal({ username: account.username, session_token: token });
    this.#connection.answer({ type: "password_changed", payload: encodeBase64(answer) }, id);
  }

  /** A line waits until its author's quota has room for it. */
  async #waitForQuota(bytes: number): Promise<void> {
    const wait = this.#shared.limits.timeOfLine(this.#accountName, bytes);
    if (wait > 0) await this.#wait(sleep(wait));
  }

  /** A line waits for the quota; whatever is done comes out of the account's share. */
  async #answerInTurn(request: RoomRequest, id: Json | undefined): Promise<void> {
    if (request.type === "post") {
      await this.#waitForQuota(request.body.length);
      if (this.#over) return;
    }
    const began = performance.now();
    await this.#answerRequest(request, id);
    this.#share.spend(Math.min(performance.now() - began, MAX_WORK));
  }

  async #answerRequest(request: RoomRequest, id: Json | undefined): Promise<void> {
    const { devices, hub } = this.#shared;
    const { account, shown } = this.#device();
    const attendee = this.#attendee;
    if (!attendee || !account) throw new Error("there is no session with rooms");
    try {
      this.#shared.limits.check(this.#accountName, request.type);
      if (request.type === "code" || request.type === "renew") this.#mustKnowTheTime();
      switch (request.type) {
        case "ping":
          return this.#connection.answer({ type: "pong" }, id);
        case "code": {
          const what = { username: account.username, kind: "device", email: account.email } as const;
          const { code, expires } = await devices.makeCode(what, DEVICE_CODE_LIFE);
          await this.#audit("code_made", `for a further device of ${account.username}`);
          return this.#connection.answer({ type: "code", code: encodeBase64(code), expires }, id);
        }
        case "renew":
          return await this.#renew(request.csr, id);
        case "account": {
          const salt = encodeBase64(await this.#shared.accounts.salt(account.email));
          const payload = this.#connection.seal({ username: account.username, email: account.email, salt });
          return this.#connection.answer({ type: "account", payload: encodeBase64(payload) }, id);
        }
        case "password":
          return await this.#changePassword(request.payload, account, id);
        case "logout":
          await devices.logout(shown.fingerprint);
          return this.#connection.answer({ type: "done" }, id);
        default:
          return await answerRoomRequest({ hub, attendee }, request, id);
      }
    } catch (error) {
      const refusal = withoutStore(error);
      if (!(refusal instanceof ProtocolError) || refusal.code === "sig-fail") throw refusal;
      this.#shared.log.debug("request refused", { ...this.#who(), request: request.type, error: refusal.code });
      this.#connection.refuseRequest(refusal, id);
    }
  }

  // Messages, and the end.

  /** Gives a reply after all earlier ones; waits where too many are due. */
  async #reply(reply: Reply): Promise<void> {
    reply.after?.catch(() => {}); // it is met when its turn comes, perhaps never
    this.#replies.push(reply);
    this.#replying ??= this.#giveReplies();
    if (this.#replies.length >= MAX_REPLIES_DUE) await this.#replying;
  }

  async #giveReplies(): Promise<void> {
    try {
      for (let reply = this.#replies[0]; reply; reply = this.#replies[0]) {
        await reply.after;
        this.#replies.shift();
        if (!this.#told) reply.give();
      }
      this.#replying = undefined;
    } catch (error) {
      this.#replies.length = 0;
      this.#replying = undefined;
      this.#spoilt = true;
      await this.#fail(error);
    }
  }

  async #takeReceipt(receipt: JsonObject, problem: string | undefined): Promise<void> {
    if (problem === undefined) return await this.#keep("client_receipt", receipt);
    this.#shared.log.warn("the client's receipt is wrong", { ...this.#who(), reason: problem });
    await this.#audit("receipt_invalid", problem);
  }

  async #quit(): Promise<void> {
    await this.#replying;
    if (this.#over) return;
    this.#over = true;
    const receipt = await this.#connection.makeReceipt();
    await this.#keep("receipt", receipt);
    this.#connection.sendReceipt(receipt);
  }

  #openSession(): OpenSession {
    if (!this.#session) throw new Error("there is no session");
    return this.#session;
  }

  async #keep(kind: "receipt" | "client_receipt", receipt: JsonObject): Promise<void> {
    this.#hasReceipt = true;
    const path = receiptPath(this.#shared.journals, this.#openSession().tokenHash, kind);
    await writeAtomically(path, `${encodeJson(receipt)}\n`, { mode: 0o600, replace: true });
  }

  // The end.

  async #timeOut(): Promise<void> {
    const reason = this.#session ? "The session was silent for too long." : "The handshake took too long.";
    await this.#fail(new ProtocolError("timeout", reason));
  }

  /** Tells the client what is wrong, after every reply that can still be given. Never rejects. */
  async #fail(error: unknown): Promise<void> {
    if (this.#over) return;
    this.#over = true;
    this.#stopWaiting?.();
    const answer = this.#answerTo(error);
    await this.#replying;
    const event = AUDITED[answer.code];
    try {
      if (event) await this.#audit(event, answer.message);
    } catch (failure) {
      this.#shared.log.error("an audit row could not be kept", { ...this.#who(), reason: messageOf(failure) });
    }
    this.#told = true;
    this.#connection.refuse(answer);
    void this.#link.end();
  }

  #answerTo(error: unknown): ProtocolError {
    const { log } = this.#shared;
    if (error instanceof ProtocolError) {
      // A cause is the server's own trouble.
      log[error.cause === undefined ? "info" : "error"]("conversation ended", {
        ...this.#who(),
        error: error.code,
        reason: messageOf(error),
      });
      return error;
    }
    log.error("conversation failed", { ...this.#who(), reason: messageOf(error) });
    return new ProtocolError("server-error", "The server can't go on with this conversation; try again later.");
  }

  async #closeSession(): Promise<void> {
    const session = this.#session;
    if (!session) return;
    await session.journal.close();
    if (this.#spoilt) return;
    const { summary, state } = this.#connection;
    // Messages of a session that ended without a quit have a receipt on the server's disk too.
    if (summary && summary.count > 0 && state !== "ended") {
      await this.#keep("receipt", await this.#connection.makeReceipt());
    }
    await this.#shared.audit.closeSession({
      tokenHash: session.tokenHash,
      endedAt: this.#shared.clock.now(),
      messageCount: summary?.count ?? 0,
      transcriptHash: (summary ?? new TranscriptSummary()).hash(),
    });
    if (this.#noting) await dropNote(this.#shared.journals, session.tokenHash);
    // Not before: a session that a crash leaves open is closed by its journal, an empty one too.
    if (!this.#hasReceipt) await removeEmptyJournal(this.#shared.journals, session.tokenHash);
    const lines = this.#connection.hasRooms ? { lines: this.#lines } : {};
    this.#shared.log.info("session closed", { ...this.#who(), messages: summary?.count ?? 0, ...lines });
  }
}

/** Whoever has seen a certificate can show it in version 1: it must not register what was invited with it. */
const UNPROVEN = new ProtocolError("auth-failed", "This certificate registers with protocol version 2 alone.");

/** Errors that leave an audit row of their own; those of credentials are recorded where they are decided. */
const AUDITED: Readonly<Partial<Record<ErrorType, AuditEvent>>> = {
  "bad-cert": "cert_invalid",
  "proof-fail": "proof_fail",
  "sig-fail": "sig_fail",
  "replay": "replay",
  "decrypt-fail": "decrypt_fail",
};

/**
 * What a place is worth, by the state of its conversation; whatever stands in between has shown its certificate's key.
 */
const STANDINGS: Readonly<Record<string, Standing>> = { hello: "silent", key_agreement: "silent", session: "session" };

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function full(): ProtocolError {
  return new ProtocolError("busy", "The server is full but for people who come back; try again later.");
}

function expired(): ProtocolError {
  return new ProtocolError("bad-cert", "The client certificate has expired; connect again with a renewed one.");
}
