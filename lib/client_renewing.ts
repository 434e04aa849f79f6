/**
 * Renews this client's certificate while it runs, before it ends: the old certificate says in every room that the new
 * one is of the same person, and once that stands the session begins again with the new one. If anything fails, the old
 * certificate stays in use, and it is tried again later. The files are `client_renewal.ts`.
 *
 * @layer outside
 */

import type { Identity } from "./certificate_identity.ts";
import type { Clock } from "./bytes.ts";
import type { ClientAccount } from "./client_account.ts";
import type { RoomEvent } from "./client_event.ts";
import { isDue, type Renewal } from "./client_renewal.ts";
import type { RoomRecords } from "./client_room_records.ts";
import type { ClientRooms } from "./client_rooms.ts";
import { EXIT, Failure, messageOf } from "./errors.ts";
import type { ClientConnection } from "./handshake_client.ts";
import { parseWelcome } from "./message.ts";

/** How often it is looked whether the certificate ends soon, in milliseconds. */
const LOOK_EVERY = 3_600_000;
/** How long to wait until every line is accepted, in milliseconds: one that can't be sent must not stop a renewal. */
const SENT_WITHIN = 30_000;

/** What renewing works with. */
export interface RenewingOptions {
  /** Where the next certificate is made and kept. */
  readonly renewal: Pick<Renewal, "request" | "check" | "finish">;
  readonly rooms: ClientRooms;
  readonly account: ClientAccount;
  readonly records: RoomRecords;
  readonly emit: (event: RoomEvent) => void;
  readonly now: Clock;
  /** The connection that there is now. */
  readonly connection: () => ClientConnection | undefined;
  /** The certificate that this client uses now. */
  readonly identity: () => Identity;
  /** The next session shows this certificate; it is to begin at once. */
  readonly renewed: (identity: Identity) => void;
}

/** The renewals of a running client. */
export class Renewing {
  readonly #options: RenewingOptions;
  /** When to look next, unix ms. */
  #nextLook = 0;

  constructor(options: RenewingOptions) {
    this.#options = options;
  }

  /** To be called every second or so while a session stands. */
  async tick(): Promise<void> {
    const { identity, now, emit } = this.#options;
    if (now() < this.#nextLook) return;
    this.#nextLook = now() + LOOK_EVERY;
    const [old] = identity().chain;
    if (!old || !isDue(old, now())) return;
    try {
      await this.#renew();
    } catch (error) {
      const end = `The certificate ends at ${new Date(old.notAfter).toISOString()} and could not be renewed`;
      emit({ event: "warning", message: `${end}: ${messageOf(error)}` });
    }
  }

  async #renew(): Promise<void> {
    const { renewal, rooms, account, records, emit, connection, renewed } = this.#options;
    await rooms.allSent(SENT_WITHIN);
    const answer = await rooms.server.request({ type: "renew", csr: await renewal.request() });
    const opened = answer.type === "renewed" ? connection()?.open(answer.payload) : undefined;
    const welcome = opened && parseWelcome(opened);
    if (answer.type !== "renewed" || !welcome) throw new Failure(EXIT.refused, "the server gave no certificate");
    const { fingerprint, notAfter } = await renewal.check(answer.pem, rooms.username);
    await account.vouchFor(fingerprint);
    await rooms.allSent(SENT_WITHIN);
    const next = await renewal.finish(answer.pem);
    await records.keepToken(welcome.token);
    emit({ event: "renewed", fingerprint, not_after: Math.floor(notAfter / 1000) });
    renewed(next);
  }
}
