/**
 * What a client says to the server alone in a session, and the receipts over it (docs/PROTOCOL.md, "Messages" and "The
 * end, and receipts"). A message is acknowledged once its line is on the disk.
 *
 * @layer outside
 */

import type { ProtocolError } from "./errors.ts";
import type { ServerConnection } from "./handshake_server.ts";
import type { JsonObject } from "./json.ts";
import type { Log } from "./logging.ts";
import type { Peer } from "./server_peer.ts";
import type { Replies } from "./server_replies.ts";
import type { ServerSession } from "./server_session.ts";

/** What messages are taken with. */
export interface MessagesOptions {
  readonly session: ServerSession;
  readonly connection: ServerConnection;
  readonly peer: Peer;
  readonly replies: Replies;
  readonly log: Pick<Log, "debug" | "info" | "warn">;
}

/** The messages of one session. */
export class SessionMessages {
  readonly #options: MessagesOptions;

  constructor(options: MessagesOptions) {
    this.#options = options;
  }

  /** Takes a message: its line goes to the disk, and then it is acknowledged. Waits if too many replies are due. */
  async take(seqno: number, line: string): Promise<void> {
    const { session, connection, replies } = this.#options;
    const { clientPem = "", session: name } = connection;
    await replies.give({
      after: session.append(line, { clientPem, session: name }),
      give: () => connection.acknowledge(seqno),
    });
  }

  /** Refuses a message whose time is wrong; the session goes on. */
  async refuseStale(error: ProtocolError): Promise<void> {
    const { connection, peer, replies } = this.#options;
    await peer.audit("stale", error.message);
    await replies.give({ after: undefined, give: () => connection.refuse(error) });
  }

  /** Keeps the client's receipt, unless something is wrong with it. */
  async takeReceipt(receipt: JsonObject, problem: string | undefined): Promise<void> {
    const { session, peer, log } = this.#options;
    if (problem === undefined) return await session.keepReceipt("client_receipt", receipt);
    log.warn("the client's receipt is wrong", { ...peer.fields, reason: problem });
    await peer.audit("receipt_invalid", problem);
  }

  /** Keeps the server's receipt and sends it. */
  async sendReceipt(): Promise<void> {
    const { session, connection } = this.#options;
    const receipt = await connection.makeReceipt();
    await session.keepReceipt("receipt", receipt);
    connection.sendReceipt(receipt);
  }

  /** A line could not be made durable. */
  spoil(): void {
    this.#options.session.spoil();
  }

  /** The session is over. `fields`: what its last row in the log file says besides. */
  async close(fields: Record<string, number>): Promise<void> {
    const { session, connection, peer, log } = this.#options;
    const { summary, state } = connection;
    const messages = summary?.count ?? 0;
    // Messages of a session that ended without a quit have a receipt on the server's disk too.
    const isReceiptDue = messages > 0 && state !== "ended";
    if (!await session.close(summary, isReceiptDue ? () => connection.makeReceipt() : undefined)) return;
    log.info("session closed", { ...peer.fields, messages, ...fields });
  }
}
