/**
 * The server: the only place where sockets, the protocol, accounts and the disk meet.
 *
 *     serve(config) → certificates, trust, database, spool, journals of a crash → listener → conversations
 *
 * What one connection does is `lib/server_connection.ts`; here they are let in, within their limits, counted, and stopped. A
 * server that was killed closes its sessions at the next start with what their journals say.
 */

import { setImmediate } from "node:timers";
import { Accounts } from "./lib/server_accounts.ts";
import { Audit } from "./lib/server_audit.ts";
import { SummedAudit } from "./lib/server_audit_summary.ts";
import { encodeHex, encodeUtf8, type Random } from "./lib/bytes.ts";
import { keyOfRequest } from "./lib/ca.ts";
import { CERTIFICATE_DAYS, certifyRequest } from "./lib/ca_folder.ts";
import { type Config, databaseOf, PROGRAM, SETTINGS } from "./lib/config.ts";
import { ConnectedClient } from "./lib/server_connection.ts";
import type { Shared } from "./lib/server_shared.ts";
import { Deadlines } from "./lib/server_deadline.ts";
import { Devices, type Issue } from "./lib/server_devices.ts";
import { EXIT, Failure, messageOf, ProtocolError } from "./lib/errors.ts";
import { exists } from "./lib/files.ts";
import type { SigningIdentity } from "./lib/handshake_server.ts";
import { sha256 } from "./lib/hash.ts";
import { Hub } from "./lib/room_hub.ts";
import { loadIssuer, type ServerIdentity, type WatchedIdentity, watchIdentity, watchTrust } from "./lib/identity.ts";
import { type CreateJournalFile, createJournalFolder } from "./lib/server_journal.ts";
import { AesKeyWrap } from "./lib/key_wrap.ts";
import { SocketTable } from "./lib/libc.ts";
import type { Log } from "./lib/logging.ts";
import { SummedLog } from "./lib/logging_summary.ts";
import { checkOptions } from "./lib/options.ts";
import { PasswordQueue } from "./lib/password.ts";
import { VerifyingKey } from "./lib/pss.ts";
import { type HeadSigner, NOT_GOOD } from "./lib/room_heads.ts";
import { loadRoomKey } from "./lib/room_key_file.ts";
import type { RoomStore, ServerStore } from "./lib/room_store.ts";
import { Spool } from "./lib/server_spool.ts";
import { type AuditEvent, type AuditRow, StoreUnavailable } from "./lib/server_store.ts";
import { Entrance } from "./lib/server_entrance.ts";
import { lookAtFolder } from "./lib/server_folder.ts";
import { closeInterrupted } from "./lib/server_recovery.ts";
import { ServerClock } from "./lib/server_clock.ts";
import { openLogService } from "./lib/server_log_service.ts";
import { MemberLimits } from "./lib/server_limits.ts";
import { Turns } from "./lib/server_turns.ts";
import { listen, listenTls, portOf } from "./lib/transport.ts";
import { parseCertificates } from "./lib/x509.ts";
import { findPath, isRevoked, type Trust } from "./lib/certificate_path.ts";

/** How often waiting audit rows are tried again, and renewals, revocations and closed logs looked for: milliseconds. */
const DRAIN_INTERVAL = 1_000;
/** So long after its end nothing is deleted, in milliseconds: a clock that was wrong for a day deletes nothing. */
const SPARED = 86_400_000;
/** How often tokens and codes that have ended, and rooms in which nobody is, are dropped: an hour, in milliseconds. */
const SWEEP_INTERVAL = 3_600_000;

/** What a server works with, beside its settings. */
export interface ServeOptions {
  readonly config: Config;
  readonly log: Log;
  /** Creates the sessions' journals in place of the disk: for tests of what happens when it is slow or fails. */
  readonly createJournalFile?: CreateJournalFile;
}

/** A server that runs. */
export interface RunningServer {
  /** The address of the port without TLS. */
  readonly host: string;
  /** The port without TLS that it really listens on; 0 where that is off. */
  readonly port: number;
  /** The same for TLS, where it is on: it listens on SERVER_HOST. */
  readonly tlsPort: number | undefined;
  /** No new connections; the open sessions get their receipts; then everything is closed. */
  stop(): Promise<void>;
  /** Closes at once, without receipts; the next start closes the sessions. */
  abort(): void;
  /**
   * Reads certificates, keys and revocation lists anew, whether or not their files look changed; a clock that has
   * jumped is believed.
   */
  reload(): Promise<void>;
}

const random: Random = (size) => crypto.getRandomValues(new Uint8Array(size));
const wall = () => Date.now();
const monotonic = () => performance.now();

/** Opens everything and listens. Failure with what to do where something of it doesn't work. */
export async function serve(options: ServeOptions): Promise<RunningServer> {
  const { config, createJournalFile } = options;
  checkOptions("serve()", options, { config: true, log: true, createJournalFile: true });
  checkOptions<object>("the config of serve()", config, SETTINGS);
  const log = new SummedLog(options.log, monotonic);
  const watched = await watchIdentity(config.CERT_DIR, log, { passphraseFile: config.SECURECHAT_KEY_PASSPHRASE_FILE });
  const identity = watched.current;
  const trust = await watchTrust(config.CERT_DIR, log);
  const signing = { current: await checkOwnCertificate({ identity, trust: await trust(), config, log }) };
  const before = await lookAtFolder(config.DATA_DIR);
  const store = await openStore(config);
  for (const warning of before.warnings) log.warn(warning);
  const clock: ServerClock = new ServerClock({
    wall,
    steady: monotonic,
    tell: (message) => log.error(message),
    settled: () => void hub.makeHeads(),
    last: await store.latestTime().catch(() => undefined),
  });
  const { now } = clock;
  const lost = before.hasKey && !before.hasDatabase && databaseOf(config).kind === "sqlite";
  if (lost) {
    log.error(
      `${config.DATA_DIR} has a room key and had no database: accounts and rooms that were there are gone; if they ` +
        "should be there, stop the server and restore a backup",
    );
  }
  const spool = await Spool.open(config.DATA_DIR, { limit: config.SPOOL_MAX_BYTES });
  const audit = new Audit({ store, spool, random });
  const rows = new SummedAudit({ record: (row) => audit.record(row), now, steady: monotonic });
  const journals = `${config.DATA_DIR}/journals`;
  await createJournalFolder(journals);
  await audit.drain();
  await closeInterrupted({ store, audit, log, journals, identity: identity(), now });
  const accounts = new Accounts({
    store,
    passwords: new PasswordQueue({ p: config.PASSWORD_COST, random }, { waiting: config.PASSWORD_QUEUE }),
    limits: {
      loginFailuresPerAddress: config.LOGIN_FAILURES_PER_ADDRESS,
      loginFailuresPerCertificate: config.LOGIN_FAILURES_PER_CERTIFICATE,
      loginFailuresPerAccount: config.LOGIN_FAILURES_PER_ACCOUNT,
      loginDelay: config.LOGIN_DELAY_MS,
      lock: config.LOCK_SECONDS * 1000,
      registrationsPerHour: config.REGISTRATIONS_PER_HOUR,
    },
    record: (row, party) => {
      warnOf(row, log);
      return rows.record(row, party);
    },
    now,
    sleep,
  });
  const note = (row: Omit<AuditRow, "occurredAt">) => {
    const kept = audit.record({ ...row, occurredAt: now() });
    kept.catch((error) => log.error("an audit row could not be kept", { event: row.event, reason: messageOf(error) }));
  };
  const issuing = await openIssuing(config);
  const devices = new Devices({
    store: store.rooms,
    issue: (csr, username) => issuing.issue(csr, username),
    issuedFor: (pem) => issuing.issuedFor(pem),
    keyOf: keyOfRequest,
    registered: (fingerprint) => store.registrationsWith(fingerprint),
    registrations: config.REGISTRATIONS_PER_CERTIFICATE,
    tell: ({ event, username, fingerprint }) =>
      note({ event, clientFingerprint: fingerprint, reason: `for ${username}` }),
    now,
    random,
  });
  const timers = new Timers();
  const serverLog = await openLogService({
    ...{ config, log, random, store: store.log, now: clock.now, serverName: nameOf(identity()) },
    signer: () => signing.current,
    later: (ms, run) => timers.later(ms, run),
    isAttended: () => hub.isAttended,
    note: (event, reason) => note({ event, reason }),
  });
  const rooms = { config, log, identity, trust, store, timers, signing, note, clock, serverLog };
  const hub: Hub = await openHub(rooms);
  await hub.countMade().catch((error) => log.warn("rooms made today aren't counted", { reason: messageOf(error) }));
  const deadlines = new Deadlines();
  const plain = openPlain(config);
  const tls = openTls(config, watched.current());
  if (!plain && !tls) {
    throw new Failure(EXIT.usage, "PLAIN_HOST and TLS_PORT are both off: there is no port to listen on");
  }
  const turns = new Turns({ now: monotonic, sleep });
  const limits = new MemberLimits({
    linesPerSecond: config.LINES_PER_SECOND,
    lineBytesPerSecond: config.LINE_BYTES_PER_SECOND,
  }, monotonic);
  const shared: Omit<Shared, "hasRoomForStrangers"> = {
    config,
    log,
    identity,
    trust,
    store,
    accounts,
    audit,
    rows,
    spool,
    deadlines,
    journals,
    devices,
    hub,
    serverLog,
    turns,
    limits,
    clock,
    createJournalFile,
  };
  return new Server(shared, { plain, tls, watched, timers, signing, issuing, note });
}

/** Failures of people who log in or register, where an operator looks first. */
function warnOf({ event, email = "", ipAddress = "", clientFingerprint = "", reason = "" }: AuditRow, log: Log): void {
  const what = WARNED[event];
  if (what) log.warn(what, { address: ipAddress, email, fingerprint: clientFingerprint, reason });
}

const WARNED: Readonly<Partial<Record<AuditEvent, string>>> = {
  login_failure: "login failed",
  registration_failure: "registration failed",
  certificate_locked: "a certificate is locked",
  account_locked: "an account is locked for protocol version 1",
  address_limited: "somebody is limited",
};

/** The listener without TLS, unless it is off. */
function openPlain({ PLAIN_HOST, SERVER_HOST, SERVER_PORT }: Config): Deno.TcpListener | undefined {
  return PLAIN_HOST === "off" ? undefined : listen(PLAIN_HOST ?? SERVER_HOST, SERVER_PORT);
}

/** The listener for TLS, unless it is off. */
function openTls(
  config: Config,
  { pem, keyPem }: ServerIdentity,
  port = tlsPort(config),
): Deno.TlsListener | undefined {
  if (port === "off") return undefined;
  return listenTls(config.SERVER_HOST, port, { cert: pem, key: keyPem });
}

/** The port for TLS that the settings say. */
export function tlsPort({ TLS_PORT, SERVER_PORT }: Config): number | "off" {
  if (TLS_PORT !== undefined || SERVER_PORT === 0) return TLS_PORT ?? 0;
  if (SERVER_PORT === 65_535) {
    throw new Failure(EXIT.usage, "there is no port behind 65535 for TLS; name one with --tls-port");
  }
  return SERVER_PORT + 1;
}

/** Where a server listens, and what its certificates are read from. */
interface Doors {
  readonly plain: Deno.TcpListener | undefined;
  readonly tls: Deno.TlsListener | undefined;
  readonly watched: WatchedIdentity;
  readonly timers: Timers;
  readonly signing: Signing;
  readonly issuing: Issuing;
  /** Writes a row of the audit log that nothing waits for. */
  readonly note: (row: Omit<AuditRow, "occurredAt">) => void;
}

/** What signs heads of rooms now. */
interface Signing {
  current: HeadSigner;
}

/** What signs with that certificate: nothing, where every client would refuse it. */
async function headSigner({ chain, key }: SigningIdentity, trust: Trust, now = wall()) {
  const path = await findPath(chain, trust, { purpose: "server" });
  const [problem] = path.problems(now, "current");
  const ends = problem === undefined ? path.ends(now, "current") : 0;
  return { key, fingerprint: chain[0]?.fingerprint ?? "", ends, problem };
}

/** A server whose own certificate every client would refuse doesn't start; one that will soon expire says so. */
async function checkOwnCertificate(
  { identity, trust, config, log }: Pick<Shared, "identity" | "config" | "log"> & { readonly trust: Trust },
): Promise<HeadSigner> {
  const { problem, ...signer } = await headSigner(identity(), trust);
  const renew = renewal(config);
  if (problem !== undefined) {
    throw new Failure(
      EXIT.no,
      `certificate validation failed: ${problem}; mend it with: ${renew} (or set this machine's clock, if that is wrong)`,
    );
  }
  const days = Math.floor((signer.ends - wall()) / 86_400_000);
  if (days < config.CERT_WARN_DAYS) log.warn(`the server certificate expires in ${days} days; run: ${renew}`);
  return signer;
}

function renewal({ CERT_DIR }: Config): string {
  return `${PROGRAM} cert renew ${CERT_DIR}/server_cert.pem`;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** What rooms put off, until the server stops. */
class Timers {
  readonly #pending = new Set<ReturnType<typeof setTimeout>>();

  later(ms: number, run: () => void): void {
    const timer = setTimeout(() => {
      this.#pending.delete(timer);
      run();
    }, ms);
    this.#pending.add(timer);
  }

  stop(): void {
    for (const timer of this.#pending) clearTimeout(timer);
  }
}

/**
 * What signs the requests of people who have a code, and knows what it signed: nothing, where CERT_DIR has no issuing
 * CA.
 */
interface Issuing {
  readonly issue: Issue;
  readonly issuedFor: (pem: string) => string | undefined;
  /** Reads the issuing CA anew; the one before stays in use where that fails. */
  readonly reload: () => Promise<void>;
}

async function openIssuing({ CERT_DIR, SECURECHAT_KEY_PASSPHRASE_FILE }: Config): Promise<Issuing> {
  const load = () => loadIssuer(CERT_DIR, { passphraseFile: SECURECHAT_KEY_PASSPHRASE_FILE });
  let issuer = await load();
  return {
    issue: async (csr, username) =>
      issuer && await certifyRequest(CERT_DIR, issuer, { csr, username, days: CERTIFICATE_DAYS }),
    issuedFor: (pem) => {
      const [leaf] = parseCertificates(pem);
      const isOurs = leaf !== undefined && leaf.issuerName === issuer?.certificate.subjectName;
      return isOurs ? leaf.commonNames[0]?.replace(/^CLIENT: /, "") : undefined;
    },
    reload: async () => {
      issuer = await load();
    },
  };
}

/** The server's name in every origin. */
function nameOf({ chain: [leaf] }: SigningIdentity): string {
  return leaf?.hostNames?.dnsNames[0] ?? "localhost";
}

/** The rooms of this server: its name, its certificates of all days, and the key that wraps the rooms' keys. */
async function openHub(
  { config, log, identity, trust, store, timers, signing, note, clock, serverLog }:
    & Pick<Shared, "config" | "log" | "identity" | "trust" | "store" | "clock" | "serverLog">
    & Pick<Doors, "timers" | "signing" | "note">,
): Promise<Hub> {
  await keepCertificate(store, identity());
  return new Hub({
    store: store.rooms,
    keys: new AesKeyWrap(await loadRoomKey(config.DATA_DIR), random),
    signer: () => signing.current,
    serverName: nameOf(identity()),
    ...serverLog ? { serverLog: serverLog.log } : {},
    now: clock.now,
    clock,
    random,
    later: (ms, run) => timers.later(ms, run),
    turn: () => new Promise((resolve) => setImmediate(resolve)),
    serverKey: async (fingerprint) => {
      const pem = await store.rooms.findCertificate(fingerprint);
      const [own] = pem === undefined ? [] : parseCertificates(pem);
      // Members' certificates are known here too; a server's says that it is one.
      return own?.rsa && own.commonNames[0]?.startsWith("SERVER: ") ? new VerifyingKey(own.rsa.modulus) : undefined;
    },
    revoked: async (fingerprints) => await revokedAmong(fingerprints, await trust(), store.rooms),
    made: (origin, { fingerprint, username }) =>
      note({ event: "room_created", clientFingerprint: fingerprint, reason: `${origin} by ${username}` }),
    alarm: (message, room) => log.error(message, { room }),
  });
}

/** Those of these devices that a revocation list names. */
async function revokedAmong(fingerprints: readonly string[], trust: Trust, store: RoomStore): Promise<string[]> {
  const found: string[] = [];
  if (trust.revocations.every(({ revoked }) => revoked.size === 0)) return found;
  for (const fingerprint of fingerprints) {
    const pem = await store.findCertificate(fingerprint);
    if (pem !== undefined && await isRevoked(parseCertificates(pem), trust)) found.push(fingerprint);
  }
  return found;
}

/** Keeps a certificate that signs checkpoints for who asks for it later. */
async function keepCertificate(store: OpenStore, { chain, pem }: SigningIdentity): Promise<void> {
  const [leaf] = chain;
  if (leaf) await store.rooms.keepCertificate(leaf.fingerprint, pem);
}

/** The database, with its rooms. */
export type OpenStore = ServerStore;

/** Opens the database that the settings name. Failure (5) where it can't be used. */
export async function openStore(config: Config): Promise<OpenStore> {
  const database = databaseOf(config);
  if (database.kind === "sqlite") return await (await import("./lib/store_sqlite.ts")).openSqliteStore(config.DATA_DIR);
  return await (await import("./lib/store_mysql.ts")).openMysqlStore(database);
}

/** The database of a server that is there, for who works beside it: a new, empty one would serve nobody. */
export async function openServersStore(config: Config): Promise<OpenStore> {
  const path = `${config.DATA_DIR}/securechat.db`;
  if (databaseOf(config).kind === "sqlite" && !await exists(path)) {
    throw new Failure(
      EXIT.usage,
      `there is no ${path}: name the server's folder with --data, or start the server once: ${PROGRAM} serve`,
    );
  }
  return await openStore(config);
}

/** The listener and its conversations. */
class Server implements RunningServer {
  readonly host: string;
  readonly port: number;
  readonly tlsPort: number | undefined;
  readonly #shared: Shared;
  readonly #listener: Deno.TcpListener | undefined;
  #tls: Deno.TlsListener | undefined;
  readonly #watched: WatchedIdentity;
  readonly #timers: Timers;
  readonly #signing: Signing;
  readonly #issuing: Issuing;
  readonly #note: Doors["note"];
  /** What has signed until it ended, which the operator was told. */
  #ended: HeadSigner | undefined;
  readonly #conversations = new Set<ConnectedClient>();
  readonly #entrance: Entrance;
  readonly #drainTimer: ReturnType<typeof setInterval>;
  readonly #accepting: Promise<void>;
  #acceptingTls: Promise<void>;
  #takingUp: Promise<void> | undefined;
  #dropping: Promise<void> | undefined;
  /** Revocations that have their rows. */
  readonly #noted = new Set<string>();
  /** What was last looked through for certificates of open sessions. */
  #revocations: Trust["revocations"] | undefined;
  #sweepAt = 0;
  #trouble: string | undefined;
  #stopping: Promise<void> | undefined;

  constructor(
    shared: Omit<Shared, "hasRoomForStrangers">,
    { plain, tls, watched, timers, signing, issuing, note }: Doors,
  ) {
    this.#shared = { ...shared, hasRoomForStrangers: () => this.#entrance.places.hasRoomForStrangers };
    this.#entrance = this.#openEntrance(shared.config);
    this.#listener = plain;
    this.#tls = tls;
    this.#watched = watched;
    this.#timers = timers;
    this.#signing = signing;
    this.#issuing = issuing;
    this.#note = note;
    this.host = plain?.addr.hostname ?? shared.config.SERVER_HOST;
    this.port = plain?.addr.port ?? 0;
    this.#drainTimer = setInterval(() => {
      void this.#drain();
      void this.#sweep();
      this.#shared.log.look();
      this.#shared.clock.look();
      this.#takingUp ??= this.#takeUpCertificate().finally(() => this.#takingUp = undefined);
      this.#lookAtEnd();
      this.#lookAtStore();
      for (const conversation of this.#conversations) void conversation.endIfExpired();
      this.#dropping ??= this.#drop().finally(() => this.#dropping = undefined);
    }, DRAIN_INTERVAL);
    this.tlsPort = tls && portOf(tls);
    this.#accepting = plain ? this.#entrance.accept(plain) : Promise.resolve();
    this.#acceptingTls = tls ? this.#entrance.accept(tls) : Promise.resolve();
  }

  #openEntrance({ MAX_CONNECTIONS, MAX_CONNECTIONS_PER_ADDRESS, MAX_QUEUED_BYTES }: Config): Entrance {
    return new Entrance({
      log: this.#shared.log,
      limits: { all: MAX_CONNECTIONS, perSource: MAX_CONNECTIONS_PER_ADDRESS, queued: MAX_QUEUED_BYTES },
      refusal: () => this.#refusal(),
      sockets: SocketTable.open(),
      admit: (link, channel, place) => {
        const conversation = new ConnectedClient(this.#shared, link, channel, place);
        this.#conversations.add(conversation);
        void conversation.run().finally(() => this.#conversations.delete(conversation));
        return conversation;
      },
    });
  }

  /** Why nobody is let in now. */
  #refusal(): ProtocolError | undefined {
    if (this.#shared.audit.full) {
      return new ProtocolError("server-error", "The server can't keep its records now; try again later.");
    }
    return this.#shared.clock.now() >= this.#signing.current.ends
      ? new ProtocolError("server-error", NOT_GOOD)
      : undefined;
  }

  /** A renewed certificate: new conversations show it, and TLS listens anew, as its listener can't change. */
  async #takeUpCertificate(isAsked = false): Promise<void> {
    const { config, log, store, trust } = this.#shared;
    try {
      const hasChanged = await this.#watched.look(isAsked);
      const current = this.#watched.current();
      if (hasChanged || current.chain[0]?.fingerprint !== this.#signing.current.fingerprint) {
        await keepCertificate(store, current);
        const { problem, ...signer } = await headSigner(current, await trust(), this.#shared.clock.now());
        if (problem !== undefined) log.error("every client refuses the new server certificate", { reason: problem });
        this.#signing.current = signer;
        this.#tls?.close();
        this.#tls = undefined;
        await this.#acceptingTls; // until then the port is taken
      } else if (this.#signing.current.ends === 0) {
        // What was wrong may be over: its time has come, or there is a newer revocation list.
        const { problem, ...signer } = await headSigner(current, await trust(), this.#shared.clock.now());
        if (problem === undefined) this.#signing.current = signer;
      }
      if (this.#tls || this.tlsPort === undefined || this.#stopping !== undefined) return;
      this.#tls = openTls(config, this.#watched.current(), this.tlsPort);
      if (this.#tls) this.#acceptingTls = this.#entrance.accept(this.#tls);
    } catch (error) {
      log.error("the renewed certificate could not be taken up; it is tried again", { reason: messageOf(error) });
    }
  }

  /** Tells the operator, once, that the server's certificate is no longer good. */
  #lookAtEnd(): void {
    const { current } = this.#signing;
    if (this.#shared.clock.now() < current.ends || this.#ended === current) return;
    this.#ended = current;
    const { config, log } = this.#shared;
    log.error(
      `the server certificate is no longer good: nobody is let in, and rooms take no lines; ${renewal(config)}`,
    );
  }

  /** Tells the operator, once, that the database's files are not those that it was opened with. */
  #lookAtStore(): void {
    const { store, log } = this.#shared;
    const trouble = store.trouble?.();
    if (trouble !== this.#trouble) log.error(trouble ?? "the database's files are in their place again");
    this.#trouble = trouble;
  }

  /** Drops tokens and codes that have ended, and rooms in which nobody is, from time to time. */
  async #sweep(): Promise<void> {
    const { clock, hub, store, log } = this.#shared;
    if (monotonic() < this.#sweepAt || this.#dropping || clock.isDoubtful) return;
    this.#sweepAt = monotonic() + SWEEP_INTERVAL;
    hub.dropIdle();
    try {
      await store.rooms.dropExpired(clock.now() - SPARED);
    } catch (error) {
      log.warn("ended tokens and codes could not be dropped", { reason: messageOf(error) });
    }
  }

  async #drop(): Promise<void> {
    await this.#dropClosedLogs();
    await this.#dropRevoked();
  }

  /** Open sessions whose certificate is revoked by now, and what it had in the rooms. */
  async #dropRevoked(): Promise<void> {
    const { trust, hub, log } = this.#shared;
    try {
      const current = await trust();
      if (current.revocations === this.#revocations) return;
      for (const conversation of this.#conversations) await conversation.endIfRevoked(current);
      await hub.dropRevoked();
      this.#noteRevocations(current.revocations);
      this.#revocations = current.revocations; // what fails is tried again
    } catch (error) {
      if (error instanceof ProtocolError) return; // the list can't be read, which is logged, and nobody is let in
      log.error("revoked certificates could not be dropped; it is tried again", { reason: messageOf(error) });
    }
  }

  /** Each revocation once, whoever signed the list on whatever machine: the row's key is that of the certificate. */
  #noteRevocations(lists: Trust["revocations"]): void {
    for (const { issuerName, revoked } of lists) {
      for (const serial of revoked.keys()) {
        if (this.#noted.has(`${issuerName} ${serial}`)) continue;
        this.#noted.add(`${issuerName} ${serial}`);
        const key = encodeHex(sha256(encodeUtf8(`revoked ${issuerName} ${serial}`))).slice(0, 32);
        this.#note({ event: "certificate_revoked", reason: `serial number ${serial}`, key });
      }
    }
  }

  /** Logs that `securechat room close` has closed. */
  async #dropClosedLogs(): Promise<void> {
    const { hub, log } = this.#shared;
    try {
      for (const origin of await hub.dropClosed()) log.warn("a room's log was closed", { origin });
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) {
        log.error("closed logs can't be looked for", { reason: messageOf(error) });
      }
    }
  }

  async #drain(isEnd = false): Promise<void> {
    try {
      await this.#shared.rows.look(isEnd);
      await this.#shared.audit.drain();
    } catch (error) {
      this.#shared.log.error("the spool of the audit log can't be read", { reason: messageOf(error) });
    }
  }

  async reload(): Promise<void> {
    const { log } = this.#shared;
    await this.#issuing.reload().catch((error) =>
      log.error("the issuing CA can't be read; the one before stays in use", { reason: messageOf(error) })
    );
    await this.#takingUp;
    await (this.#takingUp = this.#takeUpCertificate(true).finally(() => this.#takingUp = undefined));
    this.#shared.clock.confirm();
    log.info("certificates were read again");
  }

  stop(): Promise<void> {
    return this.#stopping ??= this.#stop();
  }

  async #stop(): Promise<void> {
    const { spool, store, hub, deadlines, log } = this.#shared;
    this.#entrance.stop();
    this.#listener?.close();
    this.#tls?.close();
    clearInterval(this.#drainTimer);
    await Promise.all([...this.#conversations].map((conversation) => conversation.shutDown()));
    await Promise.all([this.#accepting, this.#acceptingTls]);
    deadlines.stop();
    await hub.settled();
    await this.#shared.serverLog?.end();
    await this.#dropping;
    this.#timers.stop();
    await this.#drain(true);
    log.look(true);
    spool.close();
    await store.close();
  }

  abort(): void {
    this.#stopping ??= Promise.resolve();
    this.#entrance.stop();
    this.#listener?.close();
    this.#tls?.close();
    clearInterval(this.#drainTimer);
    this.#shared.deadlines.stop();
    for (const conversation of this.#conversations) conversation.abort();
  }
}
