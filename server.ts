/**
 * The server: the only place where sockets, the protocol, accounts and the disk meet.
 *
 *     link.read → connection.receive → connection.next → event
 *     message   → journal.append (group commit) → acknowledge, in order, by the replies' chain
 *     quit      → every reply that is due → receipt → close
 *
 * One loop reads a connection and handles its events one after the other; it never waits for the disk. What must be
 * answered after a flush goes onto the connection's chain of replies, which has a bound: past it the loop reads on only
 * when the disk has caught up. A line whose flush fails is never acknowledged, and its session ends.
 *
 * Every session leaves a journal, the server's receipt over it and, where the client sent a good one, the client's, under
 * DATA_DIR/journals. A server that was killed closes its sessions at the next start with what their journals say.
 */

import { Accounts } from "./lib/accounts.ts";
import { Audit } from "./lib/audit.ts";
import { type Bytes, encodeHex, type Random } from "./lib/bytes.ts";
import { type Config, databaseOf, PROGRAM } from "./lib/config.ts";
import { type Deadline, Deadlines } from "./lib/deadline.ts";
import { type ErrorType, EXIT, Failure, ProtocolError } from "./lib/errors.ts";
import { encodeError } from "./lib/frame.ts";
import { writeAtomically } from "./lib/files.ts";
import { ServerConnection, type ServerEvent, type SigningIdentity } from "./lib/handshake_server.ts";
import { sha256 } from "./lib/hash.ts";
import { loadIdentity, watchTrust } from "./lib/identity.ts";
import { type CreateJournalFile, createJournalFolder, Journal, recoverJournals } from "./lib/journal.ts";
import { encodeJson, type JsonObject } from "./lib/json.ts";
import type { Log } from "./lib/log.ts";
import type { Credentials } from "./lib/message.ts";
import { PasswordQueue } from "./lib/password.ts";
import { Spool } from "./lib/spool.ts";
import { type AuditEvent, type Store, StoreUnavailable } from "./lib/store.ts";
import { TranscriptSummary } from "./lib/transcript.ts";
import { Link, listen } from "./lib/transport.ts";
import { findPath, type Trust } from "./lib/certificate_path.ts";

/** Replies that may wait for the disk on one connection, before it is no longer read. */
const MAX_REPLIES_DUE = 256;
/** How often rows that wait for the database are tried again, in milliseconds. */
const DRAIN_INTERVAL = 1_000;

/** What a server works with, beside its settings. */
export interface ServeOptions {
  readonly config: Config;
  readonly log: Log;
  /** Creates the sessions' journals in place of the disk: for tests of what happens when it is slow or fails. */
  readonly createJournalFile?: CreateJournalFile;
}

/** A server that runs. */
export interface RunningServer {
  readonly host: string;
  /** The port that it really listens on. */
  readonly port: number;
  /** No new connections; the open sessions get their receipts; then everything is closed. */
  stop(): Promise<void>;
  /** Closes at once, without receipts; the next start closes the sessions. */
  abort(): void;
}

/** What all conversations of a server share. */
interface Shared {
  readonly config: Config;
  readonly log: Log;
  readonly identity: SigningIdentity;
  readonly trust: () => Promise<Trust>;
  readonly store: Store;
  readonly accounts: Accounts;
  readonly audit: Audit;
  readonly spool: Spool;
  readonly deadlines: Deadlines;
  readonly journals: string;
  readonly createJournalFile: CreateJournalFile | undefined;
}

const random: Random = (size) => crypto.getRandomValues(new Uint8Array(size));
const now = () => Date.now();

/** Opens everything and listens. Failure with what to do where something of it doesn't work. */
export async function serve(options: ServeOptions): Promise<RunningServer> {
  const { config, log, createJournalFile } = options;
  const identity = await loadIdentity(config.CERT_DIR, "server", {
    passphraseFile: config.SECURECHAT_KEY_PASSPHRASE_FILE,
  });
  const trust = await watchTrust(config.CERT_DIR, log);
  await checkOwnCertificate({ identity, trust: await trust(), config, log });
  const store = await openStore(config);
  const spool = await Spool.open(config.DATA_DIR, { limit: config.SPOOL_MAX_BYTES });
  const audit = new Audit({ store, spool, random });
  const journals = `${config.DATA_DIR}/journals`;
  await createJournalFolder(journals);
  await audit.drain();
  await closeInterrupted({ store, audit, log, journals });
  const accounts = new Accounts({
    store,
    passwords: new PasswordQueue({ p: config.PASSWORD_COST, random }, { waiting: config.PASSWORD_QUEUE }),
    limits: {
      loginFailuresPerAddress: config.LOGIN_FAILURES_PER_ADDRESS,
      loginFailuresPerAccount: config.LOGIN_FAILURES_PER_ACCOUNT,
      loginDelay: config.LOGIN_DELAY_MS,
      lock: config.LOCK_SECONDS * 1000,
      registrationsPerHour: config.REGISTRATIONS_PER_HOUR,
    },
    record: (row) => audit.record(row),
    now,
    sleep,
  });
  const deadlines = new Deadlines();
  const listener = listen(config.SERVER_HOST, config.SERVER_PORT);
  const shared: Shared = {
    config,
    log,
    identity,
    trust,
    store,
    accounts,
    audit,
    spool,
    deadlines,
    journals,
    createJournalFile,
  };
  return new Server(shared, listener);
}

/** A server whose own certificate every client would refuse doesn't start; one that will soon expire says so. */
async function checkOwnCertificate(
  { identity, trust, config, log }: Pick<Shared, "identity" | "config" | "log"> & { readonly trust: Trust },
): Promise<void> {
  const path = await findPath(identity.chain, trust, { purpose: "server" });
  const [problem] = path.problems(now(), "current");
  const renew = `${PROGRAM} cert renew ${config.CERT_DIR}/server_cert.pem`;
  if (problem !== undefined) {
    throw new Failure(
      EXIT.no,
      `certificate validation failed: ${problem}; mend it with: ${renew} (or set this machine's clock, if that is wrong)`,
    );
  }
  const end = Math.min(...path.certificates(now(), "current").map(({ notAfter }) => notAfter));
  const days = Math.floor((end - now()) / 86_400_000);
  if (days < config.CERT_WARN_DAYS) log.warn(`the server certificate expires in ${days} days; run: ${renew}`);
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function openStore(config: Config): Promise<Store> {
  const database = databaseOf(config);
  if (database.kind === "sqlite") return await (await import("./lib/store_sqlite.ts")).openSqliteStore(config.DATA_DIR);
  return await (await import("./lib/store_mysql.ts")).openMysqlStore(database);
}

/** Closes the sessions that a crash left open, with what their journals say. */
async function closeInterrupted({ store, audit, log, journals }: Pick<Shared, "store" | "audit" | "log" | "journals">) {
  const unfinished = await store.unfinishedSessions().catch((error) => {
    if (!(error instanceof StoreUnavailable)) throw error;
    throw new Failure(EXIT.unavailable, "database connection failed while its open sessions were read; start again");
  });
  for (const journal of await recoverJournals(journals, unfinished)) {
    const { tokenHash, count, transcriptHash, endedAt, cut, damaged } = journal;
    if (endedAt === undefined) continue; // of another server on the same database: its journal is elsewhere
    await audit.closeSession({
      tokenHash,
      endedAt,
      messageCount: count,
      transcriptHash,
    });
    log.warn("an interrupted session was closed", { session: tokenHash, messages: count, cut });
    if (damaged) log.error("a journal is damaged before its end", { session: tokenHash });
  }
}

/** The listener and its conversations. */
class Server implements RunningServer {
  readonly host: string;
  readonly port: number;
  readonly #shared: Shared;
  readonly #listener: Deno.TcpListener;
  readonly #conversations = new Set<Conversation>();
  readonly #perAddress = new Map<string, number>();
  readonly #drainTimer: ReturnType<typeof setInterval>;
  readonly #accepting: Promise<void>;
  #stopping: Promise<void> | undefined;

  constructor(shared: Shared, listener: Deno.TcpListener) {
    this.#shared = shared;
    this.#listener = listener;
    this.host = listener.addr.hostname;
    this.port = listener.addr.port;
    this.#drainTimer = setInterval(() => void this.#drain(), DRAIN_INTERVAL);
    this.#accepting = this.#accept();
  }

  async #drain(): Promise<void> {
    try {
      await this.#shared.audit.drain();
    } catch (error) {
      this.#shared.log.error("the spool of the audit log can't be read", { reason: messageOf(error) });
    }
  }

  async #accept(): Promise<void> {
    while (this.#stopping === undefined) {
      try {
        this.#welcome(await this.#listener.accept());
      } catch (error) {
        if (this.#stopping !== undefined || error instanceof Deno.errors.BadResource) return;
        // Out of file descriptors, or a connection that was gone before it was accepted: the others go on.
        this.#shared.log.error("a connection could not be accepted", { reason: messageOf(error) });
        await sleep(100);
      }
    }
  }

  #welcome(conn: Deno.TcpConn): void {
    const { config, log, audit } = this.#shared;
    conn.setNoDelay(true);
    const link = new Link(conn, config.MAX_QUEUED_BYTES);
    const { address } = link;
    const here = this.#perAddress.get(address) ?? 0;
    const refusal = audit.full
      ? new ProtocolError("server-error", "The server can't keep its records now; try again later.")
      : this.#conversations.size >= config.MAX_CONNECTIONS || here >= config.MAX_CONNECTIONS_PER_ADDRESS
      ? new ProtocolError("busy", "There are too many connections; try again later.")
      : undefined;
    if (refusal) {
      log.warn("a connection was refused", { address, error: refusal.code });
      link.send(encodeError(refusal));
      void link.finish();
      return;
    }
    const conversation = new Conversation(this.#shared, link);
    this.#conversations.add(conversation);
    this.#perAddress.set(address, here + 1);
    void conversation.run().finally(() => {
      this.#conversations.delete(conversation);
      const left = (this.#perAddress.get(address) ?? 1) - 1;
      if (left === 0) this.#perAddress.delete(address);
      else this.#perAddress.set(address, left);
    });
  }

  stop(): Promise<void> {
    return this.#stopping ??= this.#stop();
  }

  async #stop(): Promise<void> {
    const { spool, store, deadlines } = this.#shared;
    this.#listener.close();
    clearInterval(this.#drainTimer);
    await Promise.all([...this.#conversations].map((conversation) => conversation.shutDown()));
    await this.#accepting;
    deadlines.stop();
    await this.#drain();
    spool.close();
    await store.close();
  }

  abort(): void {
    this.#stopping ??= Promise.resolve();
    this.#listener.close();
    clearInterval(this.#drainTimer);
    this.#shared.deadlines.stop();
    for (const conversation of this.#conversations) conversation.abort();
  }
}

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
class Conversation {
  readonly #shared: Shared;
  readonly #link: Link;
  readonly #connection: ServerConnection;
  readonly #deadline: Deadline;
  #session: OpenSession | undefined;
  #email: string | undefined;
  /** What is due, in the order in which it will be given. */
  readonly #replies: Reply[] = [];
  #replying: Promise<void> | undefined;
  /** Whether nothing more is read. */
  #over = false;
  /** Whether the client was told an error that ends the conversation: nothing follows it. */
  #told = false;
  /** Whether a line could not be made durable: then only the next start can say what the session came to. */
  #spoilt = false;
  #running: Promise<void> | undefined;

  constructor(shared: Shared, link: Link) {
    this.#shared = shared;
    this.#link = link;
    const { config, identity, trust } = shared;
    this.#connection = new ServerConnection({
      identity,
      trust,
      allowV1: config.ALLOW_V1,
      frameLimits: { beforeLogin: config.MAX_FRAME_BYTES_BEFORE_LOGIN, afterLogin: config.MAX_FRAME_BYTES },
      now,
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

  /** Closes at once. */
  abort(): void {
    this.#over = true;
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
    try {
      await this.#closeSession();
    } catch (error) {
      this.#shared.log.error("a session could not be closed", { ...this.#who(), reason: messageOf(error) });
    }
    await this.#link.finish();
  }

  async #read(): Promise<void> {
    for (let chunk = await this.#link.read(); chunk && !this.#over; chunk = await this.#link.read()) {
      this.#connection.receive(chunk);
      // An event that has come is always taken: the transcript's summary has counted its line.
      for (let event = await this.#connection.next(); event; event = await this.#connection.next()) {
        await this.#take(event);
        if (this.#over) return;
      }
      if (this.#connection.state === "session") this.#deadline.set(this.#shared.config.CONNECTION_TIMEOUT * 1000);
    }
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
        return log.info("session open", this.#who());
      case "message":
        log.debug("message received", { ...this.#who(), seqno: event.seqno });
        return await this.#reply({
          after: this.#openSession().journal.append(event.line),
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
      case "request":
        throw new ProtocolError("unexpected", "This server has no rooms.");
      case "error":
        log.info("the client ended the conversation", { ...this.#who(), error: event.error.errorType });
        this.#over = true;
    }
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
    const { clientFingerprint } = this.#connection;
    await this.#shared.audit.record({
      event,
      reason,
      occurredAt: now(),
      ipAddress: this.#link.address,
      ...(clientFingerprint === undefined ? {} : { clientFingerprint }),
      ...(this.#email === undefined ? {} : { email: this.#email }),
    });
  }

  // Section 4.

  async #answerCredentials(credentials: Credentials): Promise<void> {
    const { accounts, store, identity, journals, createJournalFile, log } = this.#shared;
    if (credentials.type === "salt") return this.#connection.answerSalt(await accounts.salt(credentials.email));
    if (credentials.type === "enrol" || credentials.type === "resume") {
      throw new ProtocolError("unexpected", "This server has no rooms.");
    }
    const clientFingerprint = this.#connection.clientFingerprint ?? "";
    const origin = { address: this.#link.address, clientFingerprint };
    const { userId } = credentials.type === "register"
      ? await accounts.register({ ...credentials, ...origin })
      : await accounts.login({ ...credentials, ...origin });
    this.#email = credentials.email;
    log.info(credentials.type === "register" ? "registration succeeded" : "login succeeded", this.#who());
    const tokenHash = encodeHex(sha256(random(32)));
    // The journal first: a session without one in this folder is another server's on the same database.
    const journal = await Journal.open(journals, tokenHash, createJournalFile);
    this.#session = { tokenHash, journal };
    await store.openSession({
      userId,
      tokenHash,
      clientFingerprint,
      serverFingerprint: identity.chain[0]?.fingerprint ?? "",
      startedAt: now(),
    });
    this.#connection.accept();
  }

  // Sections 6 to 8.

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
    const path = `${this.#shared.journals}/${this.#openSession().tokenHash}.${kind}.json`;
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
      log.info("conversation ended", { ...this.#who(), error: error.code, reason: error.message });
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
    // A session that ended without a quit has a receipt on the server's disk too.
    if (summary && state !== "ended") await this.#keep("receipt", await this.#connection.makeReceipt());
    await this.#shared.audit.closeSession({
      tokenHash: session.tokenHash,
      endedAt: now(),
      messageCount: summary?.count ?? 0,
      transcriptHash: (summary ?? new TranscriptSummary()).hash(),
    });
    this.#shared.log.info("session closed", { ...this.#who(), messages: summary?.count ?? 0 });
  }
}

/** Errors that leave an audit row of their own; those of credentials are recorded where they are decided. */
const AUDITED: Readonly<Partial<Record<ErrorType, AuditEvent>>> = {
  "bad-cert": "cert_invalid",
  "proof-fail": "proof_fail",
  "sig-fail": "sig_fail",
  "replay": "replay",
  "decrypt-fail": "decrypt_fail",
};

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}
