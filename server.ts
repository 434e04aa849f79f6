/**
 * The server: the parts of `lib/` put together. What one connection does is `lib/server_connection.ts`, what the server
 * does every second beside serving is `lib/server_upkeep.ts`.
 *
 *     serve(config) → certificates, trust, database → sessions that a crash left open are closed
 *                   → accounts, devices, rooms → ports → everybody is let in (`lib/server_entrance.ts`)
 */

import { keyOfRequest } from "./lib/ca.ts";
import { type Config, databaseOf, SETTINGS } from "./lib/config.ts";
import { messageOf, ProtocolError } from "./lib/errors.ts";
import { watchIdentity, watchTrust } from "./lib/identity.ts";
import { SocketTable } from "./lib/libc.ts";
import type { Log } from "./lib/logging.ts";
import { SummedLog } from "./lib/logging_summary.ts";
import { checkOptions } from "./lib/options.ts";
import { PasswordQueue } from "./lib/password.ts";
import { NOT_GOOD } from "./lib/room_heads.ts";
import type { Hub } from "./lib/room_hub.ts";
import { Accounts } from "./lib/server_accounts.ts";
import { Audit } from "./lib/server_audit.ts";
import { SummedAudit } from "./lib/server_audit_summary.ts";
import { ServerCertificate } from "./lib/server_certificate.ts";
import { ServerClock } from "./lib/server_clock.ts";
import { ConnectedClient } from "./lib/server_connection.ts";
import { Deadlines } from "./lib/server_deadline.ts";
import { Devices } from "./lib/server_devices.ts";
import { Entrance } from "./lib/server_entrance.ts";
import { type FolderBefore, lookAtFolder } from "./lib/server_folder.ts";
import { ServerIssuing } from "./lib/server_issuing.ts";
import { type CreateJournalFile, createJournalFolder } from "./lib/server_journal.ts";
import { openLogService } from "./lib/server_log_service.ts";
import { MemberLimits } from "./lib/server_limits.ts";
import { Places } from "./lib/server_places.ts";
import { Ports } from "./lib/server_ports.ts";
import { closeInterrupted } from "./lib/server_recovery.ts";
import { openRooms, serverNameOf } from "./lib/server_rooms.ts";
import type { Shared } from "./lib/server_shared.ts";
import { Spool } from "./lib/server_spool.ts";
import type { AuditEvent, AuditRow } from "./lib/server_store.ts";
import { Timers } from "./lib/server_timers.ts";
import { Turns } from "./lib/server_turns.ts";
import { Upkeep } from "./lib/server_upkeep.ts";
import { openStore } from "./lib/store_open.ts";
import { random, sleep, steadyClock, wallClock } from "./lib/system.ts";

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

/** What is opened first: the rest of the server is made of it. */
type Ground = Pick<Shared, "config" | "log" | "trust" | "store" | "clock" | "audit" | "rows" | "spool" | "journals"> & {
  readonly certificate: ServerCertificate;
};

/** Writes a row of the audit log that nothing waits for. */
type Note = (row: Omit<AuditRow, "occurredAt">) => void;

/** Opens everything and listens. Failure with what to do if something of it doesn't work. */
export async function serve(options: ServeOptions): Promise<RunningServer> {
  const { config, createJournalFile } = options;
  checkOptions("serve()", options, { config: true, log: true, createJournalFile: true });
  checkOptions<object>("the config of serve()", config, SETTINGS);
  const log = new SummedLog(options.log, steadyClock);
  const watched = await watchIdentity(config.CERT_DIR, log, { passphraseFile: config.SECURECHAT_KEY_PASSPHRASE_FILE });
  const trust = await watchTrust(config.CERT_DIR, log);
  const certificate = await ServerCertificate.check(watched, { config, log, trust });
  const opened: { hub?: Hub } = {}; // the clock may be in doubt, and right again, before there are rooms
  const ground = await openGround({ config, log, trust, certificate }, () => void opened.hub?.makeHeads());
  await closeInterrupted({ ...ground, identity: certificate.current(), now: ground.clock.now });

  const note = noteWith(ground);
  const issuing = await ServerIssuing.open(config);
  const timers = new Timers();
  const serverLog = await openLogService({
    ...{ config, log, random, store: ground.store.log, now: ground.clock.now, signer: certificate.signer },
    serverName: serverNameOf(certificate.current()),
    later: (ms, run) => timers.later(ms, run),
    isAttended: () => opened.hub?.isAttended ?? false,
    note: (event, reason) => note({ event, reason }),
  });
  const hub = opened.hub = await openRooms({ ...ground, timers, note, serverLog });
  await hub.countMade().catch((error) => log.warn("rooms made today aren't counted", { reason: messageOf(error) }));
  const ports = new Ports(config, certificate.current());
  const shared: Shared = {
    ...ground,
    identity: certificate.current,
    accounts: openAccounts(ground),
    devices: openDevices(ground, issuing, note),
    hub,
    serverLog,
    deadlines: new Deadlines(),
    turns: new Turns({ now: steadyClock, sleep }),
    limits: new MemberLimits({
      linesPerSecond: config.LINES_PER_SECOND,
      lineBytesPerSecond: config.LINE_BYTES_PER_SECOND,
    }, steadyClock),
    places: new Places(
      { all: config.MAX_CONNECTIONS, perSource: config.MAX_CONNECTIONS_PER_ADDRESS },
      steadyClock,
    ),
    createJournalFile,
  };
  return new Server({ shared, certificate, issuing, ports, timers, note });
}

/** The database, the clock and the audit log. `settled`: the clock is no longer in doubt. */
async function openGround(
  { config, log, trust, certificate }: Pick<Ground, "config" | "log" | "trust" | "certificate">,
  settled: () => void,
): Promise<Ground> {
  const before = await lookAtFolder(config.DATA_DIR);
  const store = await openStore(config);
  for (const warning of before.warnings) log.warn(warning);
  const clock = new ServerClock({
    wall: wallClock,
    steady: steadyClock,
    tell: (message) => log.error(message),
    settled,
    last: await store.latestTime().catch(() => undefined),
  });
  tellLoss(before, config, log);
  const spool = await Spool.open(config.DATA_DIR, { limit: config.SPOOL_MAX_BYTES });
  const audit = new Audit({ store, spool, random });
  const rows = new SummedAudit({ record: (row) => audit.record(row), now: clock.now, steady: steadyClock });
  const journals = `${config.DATA_DIR}/journals`;
  await createJournalFolder(journals);
  await audit.drain();
  return { config, log, trust, certificate, store, clock, audit, rows, spool, journals };
}

/** Tells the operator that a database which must have been there is gone. */
function tellLoss({ hasKey, hasDatabase }: FolderBefore, config: Config, log: Log): void {
  if (!hasKey || hasDatabase || databaseOf(config).kind !== "sqlite") return;
  log.error(
    `${config.DATA_DIR} has a room key and had no database: accounts and rooms that were there are gone; if they ` +
      "should be there, stop the server and restore a backup",
  );
}

function noteWith({ audit, clock, log }: Ground): Note {
  return (row) => {
    const kept = audit.record({ ...row, occurredAt: clock.now() });
    kept.catch((error) => log.error("an audit row could not be kept", { event: row.event, reason: messageOf(error) }));
  };
}

function openAccounts({ config, store, rows, clock, log }: Ground): Accounts {
  return new Accounts({
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
    now: clock.now,
    sleep,
  });
}

function openDevices({ config, store, clock }: Ground, issuing: ServerIssuing, note: Note): Devices {
  return new Devices({
    store: store.devices,
    issue: issuing.issue,
    issuedFor: issuing.issuedFor,
    keyOf: keyOfRequest,
    registered: (fingerprint) => store.registrationsWith(fingerprint),
    registrations: config.REGISTRATIONS_PER_CERTIFICATE,
    tell: ({ event, username, fingerprint }) =>
      note({ event, clientFingerprint: fingerprint, reason: `for ${username}` }),
    now: clock.now,
    random,
  });
}

/** Writes failures of people who log in or register into the log file, where an operator looks first. */
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

/** The parts of a running server. */
interface ServerParts {
  readonly shared: Shared;
  readonly certificate: ServerCertificate;
  readonly issuing: ServerIssuing;
  readonly ports: Ports;
  readonly timers: Timers;
  readonly note: Note;
}

/** The ports, and the clients that came in by them. */
class Server implements RunningServer {
  readonly #parts: ServerParts;
  readonly #clients = new Set<ConnectedClient>();
  readonly #entrance: Entrance;
  readonly #upkeep: Upkeep;
  #stopping: Promise<void> | undefined;

  constructor(parts: ServerParts) {
    const { shared, ports } = parts;
    this.#parts = parts;
    this.#entrance = new Entrance({
      log: shared.log,
      places: shared.places,
      maxQueuedBytes: shared.config.MAX_QUEUED_BYTES,
      refusal: () => this.#refusal(),
      sockets: SocketTable.open(),
      admit: (link, channel, place) => {
        const client = new ConnectedClient(shared, link, channel, place);
        this.#clients.add(client);
        void client.run().finally(() => this.#clients.delete(client));
        return client;
      },
    });
    this.#upkeep = new Upkeep({ ...parts, clients: this.#clients });
    ports.open((listener) => this.#entrance.accept(listener));
  }

  get host(): string {
    return this.#parts.ports.host;
  }

  get port(): number {
    return this.#parts.ports.port;
  }

  get tlsPort(): number | undefined {
    return this.#parts.ports.tlsPort;
  }

  /** Why nobody is let in now; `undefined` if people are. */
  #refusal(): ProtocolError | undefined {
    const { shared: { audit, clock }, certificate } = this.#parts;
    if (audit.full) return new ProtocolError("server-error", "The server can't keep its records now; try again later.");
    return certificate.isGood(clock.now()) ? undefined : new ProtocolError("server-error", NOT_GOOD);
  }

  reload(): Promise<void> {
    return this.#upkeep.reload();
  }

  stop(): Promise<void> {
    return this.#stopping ??= this.#stop();
  }

  async #stop(): Promise<void> {
    const { shared: { spool, store, hub, serverLog, deadlines, log }, ports, timers } = this.#parts;
    this.#letNobodyIn();
    await Promise.all([...this.#clients].map((client) => client.shutDown()));
    await ports.settled();
    deadlines.stop();
    await hub.settled();
    await serverLog?.end();
    await this.#upkeep.settled();
    timers.stop();
    await this.#upkeep.drain(true);
    log.look(true);
    spool.close();
    await store.close();
  }

  abort(): void {
    this.#stopping ??= Promise.resolve();
    this.#letNobodyIn();
    this.#parts.shared.deadlines.stop();
    for (const client of this.#clients) client.abort();
  }

  #letNobodyIn(): void {
    this.#entrance.stop();
    this.#parts.ports.close();
    this.#upkeep.stop();
  }
}
