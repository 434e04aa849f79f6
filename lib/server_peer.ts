/**
 * Who is at the other end of one connection, as far as it is known: an address, then a certificate, then an account.
 * The server's log file, the audit log and the limits name the client by it.
 *
 * @layer outside
 */

import type { ServerConnection } from "./handshake_server.ts";
import type { Account } from "./server_accounts.ts";
import type { ShownCertificate } from "./server_devices.ts";
import { partyOf, type RequestOrigin } from "./server_login_limits.ts";
import type { Shared } from "./server_shared.ts";
import type { AuditEvent } from "./server_store.ts";
import { sourceOf } from "./server_throttle.ts";

/** The client of one connection. */
export class Peer {
  readonly address: string;
  readonly #shared: Pick<Shared, "rows" | "clock">;
  readonly #connection: ServerConnection;
  #account: Account | undefined;
  #session: string | undefined;

  constructor(shared: Pick<Shared, "rows" | "clock">, connection: ServerConnection, address: string) {
    this.#shared = shared;
    this.#connection = connection;
    this.address = address;
  }

  /** The account was let in. */
  enter(account: Account): void {
    this.#account = account;
  }

  /** The account has a session, which is named by the hash of its token. */
  begin(session: string): void {
    this.#session = session;
  }

  /** The account that was let in. */
  get account(): Account | undefined {
    return this.#account;
  }

  /** Where requests come from, as limits count it. */
  get origin(): RequestOrigin {
    const { clientFingerprint = "", isProven } = this.#connection;
    return { address: this.address, clientFingerprint, isProven };
  }

  /** The certificate that was shown. */
  get shown(): ShownCertificate {
    const { clientFingerprint: fingerprint = "", clientPem: pem = "" } = this.#connection;
    return { fingerprint, pem };
  }

  /** Who is counted: the account, on whichever connection; before the login, the address. */
  get countedAs(): string {
    return this.#account ? `account ${this.#account.userId}` : `address ${sourceOf(this.address)}`;
  }

  /** The fields with which the server's log file names the client. */
  get fields(): Record<string, string> {
    const { clientFingerprint } = this.#connection;
    return {
      address: this.address,
      ...(this.#account ? { email: this.#account.email } : {}),
      ...(clientFingerprint === undefined ? {} : { fingerprint: clientFingerprint }),
      ...(this.#session === undefined ? {} : { session: this.#session }),
    };
  }

  /** Writes a row of the audit log about the client. */
  async audit(event: AuditEvent, reason: string): Promise<void> {
    const { clientFingerprint, isProven } = this.#connection;
    const account = this.#account;
    const party = account ? { name: account.email, isProven: true } : { name: partyOf(this.origin), isProven };
    await this.#shared.rows.record({
      event,
      reason,
      occurredAt: this.#shared.clock.now(),
      ipAddress: this.address,
      ...(clientFingerprint === undefined ? {} : { clientFingerprint }),
      ...(account ? { email: account.email } : {}),
    }, party);
  }
}
