/**
 * What a server does every second, beside serving: it writes the audit rows that wait, and looks whether its
 * certificate was renewed, certificates were revoked or have ended, logs were closed, and the clock and the database's
 * files are as they should be. Every hour it drops what has ended.
 *
 * @layer outside
 */

import { messageOf } from "./errors.ts";
import type { ServerCertificate } from "./server_certificate.ts";
import type { ConnectedClient } from "./server_connection.ts";
import type { ServerIssuing } from "./server_issuing.ts";
import type { Ports } from "./server_ports.ts";
import { Revocations } from "./server_revocations.ts";
import type { Shared } from "./server_shared.ts";
import { type AuditRow, StoreUnavailable } from "./server_store.ts";
import { steadyClock } from "./system.ts";

/** How often the server looks, in milliseconds. */
const INTERVAL = 1_000;
/** How often what has ended is dropped: an hour, in milliseconds. */
const SWEEP_INTERVAL = 3_600_000;
/** How long what has ended is kept, in milliseconds: a clock that was wrong for a day deletes nothing. */
const SPARED = 86_400_000;

/** What is kept up. */
export interface UpkeepOptions {
  readonly shared: Shared;
  readonly certificate: ServerCertificate;
  readonly issuing: ServerIssuing;
  readonly ports: Ports;
  readonly clients: ReadonlySet<ConnectedClient>;
  /** Writes a row of the audit log that nothing waits for. */
  readonly note: (row: Omit<AuditRow, "occurredAt">) => void;
}

/** The upkeep of a server. */
export class Upkeep {
  readonly #options: UpkeepOptions;
  readonly #revocations: Revocations;
  readonly #timer: ReturnType<typeof setInterval>;
  /** The look at the certificate that runs; one at a time does. */
  #renewing: Promise<void> | undefined;
  /** The look at closed logs and revoked certificates that runs; one at a time does. */
  #dropping: Promise<void> | undefined;
  #sweepAt = 0;
  /** What was wrong with the database's files at the last look. */
  #trouble: string | undefined;

  /** Begins. */
  constructor(options: UpkeepOptions) {
    const { shared, clients, note } = options;
    this.#options = options;
    this.#revocations = new Revocations({ ...shared, clients, note });
    this.#timer = setInterval(() => this.#look(), INTERVAL);
  }

  /** Looks no more. */
  stop(): void {
    clearInterval(this.#timer);
  }

  /** Resolves when no room is in hand any more. */
  async settled(): Promise<void> {
    await this.#dropping;
  }

  #look(): void {
    const { shared: { log, clock }, certificate, clients } = this.#options;
    void this.drain();
    void this.#sweep();
    log.look();
    clock.look();
    void this.#renew();
    certificate.tellEnd(clock.now());
    this.#lookAtStore();
    for (const client of clients) void client.endIfExpired();
    this.#dropping ??= this.#drop().finally(() => this.#dropping = undefined);
  }

  /** Writes the audit rows that wait; at the end those, too, that are counted and not yet told. */
  async drain(isEnd = false): Promise<void> {
    const { rows, audit, log } = this.#options.shared;
    try {
      await rows.look(isEnd);
      await audit.drain();
    } catch (error) {
      log.error("the spool of the audit log can't be read", { reason: messageOf(error) });
    }
  }

  /** Reads certificates and keys again, whether or not their files look changed; the clock is believed. */
  async reload(): Promise<void> {
    const { shared: { log, clock }, issuing } = this.#options;
    await issuing.reload(log);
    await this.#renewing;
    await this.#renew(true);
    clock.confirm();
    log.info("certificates were read again");
  }

  #renew(isAsked = false): Promise<void> {
    return this.#renewing ??= this.#takeUpCertificate(isAsked).finally(() => this.#renewing = undefined);
  }

  /** New connections show a renewed certificate at once; TLS listens anew. */
  async #takeUpCertificate(isAsked: boolean): Promise<void> {
    const { shared: { store, clock, log }, certificate, ports } = this.#options;
    try {
      if (await certificate.look(store.devices, clock.now, isAsked)) await ports.closeTls();
      ports.reopenTls(certificate.current());
    } catch (error) {
      log.error("the renewed certificate could not be taken up; it is tried again", { reason: messageOf(error) });
    }
  }

  /** Tells the operator, once, that the database's files are not those that it was opened with. */
  #lookAtStore(): void {
    const { store, log } = this.#options.shared;
    const trouble = store.trouble?.();
    if (trouble !== this.#trouble) log.error(trouble ?? "the database's files are in their place again");
    this.#trouble = trouble;
  }

  /** Drops tokens and codes that have ended, and rooms that nobody is in, every hour. */
  async #sweep(): Promise<void> {
    const { clock, hub, store, log } = this.#options.shared;
    if (steadyClock() < this.#sweepAt || this.#dropping || clock.isDoubtful) return;
    this.#sweepAt = steadyClock() + SWEEP_INTERVAL;
    hub.dropIdle();
    try {
      await store.devices.dropExpired(clock.now() - SPARED);
    } catch (error) {
      log.warn("ended tokens and codes could not be dropped", { reason: messageOf(error) });
    }
  }

  async #drop(): Promise<void> {
    await this.#dropClosedLogs();
    await this.#revocations.look();
  }

  /** Lets go of logs that `securechat room close` has closed. */
  async #dropClosedLogs(): Promise<void> {
    const { hub, log } = this.#options.shared;
    try {
      for (const origin of await hub.dropClosed()) log.warn("a room's log was closed", { origin });
    } catch (error) {
      if (error instanceof StoreUnavailable) return; // the next look may find it back
      log.error("closed logs can't be looked for", { reason: messageOf(error) });
    }
  }
}
