/**
 * What a server does when a certificate is revoked: its open sessions end, it gets nothing more in any room, and the
 * audit log has a row.
 *
 * @layer outside
 */

import { encodeHex, encodeUtf8 } from "./bytes.ts";
import type { Trust } from "./certificate_path.ts";
import { messageOf, ProtocolError } from "./errors.ts";
import { sha256 } from "./hash.ts";
import type { ConnectedClient } from "./server_connection.ts";
import type { Shared } from "./server_shared.ts";
import type { AuditRow } from "./server_store.ts";

/** What revocations are followed with. */
export interface RevocationsOptions extends Pick<Shared, "trust" | "hub" | "log"> {
  /** Writes a row of the audit log that nothing waits for. */
  readonly note: (row: Omit<AuditRow, "occurredAt">) => void;
  readonly clients: ReadonlySet<ConnectedClient>;
}

/** The revocations that a server has seen. */
export class Revocations {
  readonly #options: RevocationsOptions;
  /** The lists that were looked through last. */
  #lists: Trust["revocations"] | undefined;
  /** Revocations that have their rows. */
  readonly #noted = new Set<string>();

  constructor(options: RevocationsOptions) {
    this.#options = options;
  }

  /** Looks whether there are other lists than before, and does what follows from them. What fails is tried again. */
  async look(): Promise<void> {
    const { trust, hub, log, clients } = this.#options;
    try {
      const current = await trust();
      if (current.revocations === this.#lists) return;
      for (const client of clients) await client.endIfRevoked(current);
      await hub.dropRevoked();
      this.#note(current.revocations);
      this.#lists = current.revocations;
    } catch (error) {
      if (error instanceof ProtocolError) return; // the list can't be read, which is logged, and nobody is let in
      log.error("revoked certificates could not be dropped; it is tried again", { reason: messageOf(error) });
    }
  }

  /** One row for each revocation, whoever signed the list on whatever machine: the row's key is the certificate's. */
  #note(lists: Trust["revocations"]): void {
    for (const { issuerName, revoked } of lists) {
      for (const serial of revoked.keys()) {
        const name = `${issuerName} ${serial}`;
        if (this.#noted.has(name)) continue;
        this.#noted.add(name);
        const key = encodeHex(sha256(encodeUtf8(`revoked ${name}`))).slice(0, 32);
        this.#options.note({ event: "certificate_revoked", reason: `serial number ${serial}`, key });
      }
    }
  }
}
