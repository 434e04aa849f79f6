/**
 * A session with rooms, from its welcome to its end: the client as rooms see it, and the client's own account
 * (docs/PROTOCOL.md, "Before the session" and "Requests"). Which request goes where is `server_requests.ts`.
 *
 * @layer outside
 */

import { type Bytes, encodeBase64 } from "./bytes.ts";
import { ProtocolError } from "./errors.ts";
import type { ServerConnection } from "./handshake_server.ts";
import type { Json } from "./json.ts";
import { parsePasswordChange } from "./message.ts";
import type { Attendee } from "./room_attendee.ts";
import type { Hub } from "./room_hub.ts";
import type { Account } from "./server_accounts.ts";
import type { Deadline } from "./server_deadline.ts";
import { DEVICE_CODE_LIFE } from "./server_devices.ts";
import type { LogAnswers } from "./server_log_answers.ts";
import type { Peer } from "./server_peer.ts";
import type { Shared } from "./server_shared.ts";
import type { Link } from "./transport.ts";

/** How often a client in rooms is asked to ping, in seconds. */
const PING_SECONDS = 30;

/** What a session with rooms works with. */
export interface RoomsSessionOptions {
  readonly shared: Pick<Shared, "accounts" | "devices" | "hub" | "clock" | "serverLog">;
  readonly connection: ServerConnection;
  readonly link: Pick<Link, "sendLatest" | "drained">;
  readonly peer: Peer;
  readonly account: Account;
  readonly deadline: Deadline;
  /** Ends the connection. */
  readonly end: (error: ProtocolError) => void;
}

/** A client's session with rooms. */
export class RoomsSession {
  readonly hub: Hub;
  readonly attendee: Attendee;
  readonly #options: RoomsSessionOptions;
  #lines = 0;

  private constructor(options: RoomsSessionOptions) {
    this.#options = options;
    this.hub = options.shared.hub;
    this.attendee = this.#attendee();
  }

  /** Welcomes the client. Throws if it can't be let into rooms now. */
  static async begin(options: RoomsSessionOptions): Promise<RoomsSession> {
    const { shared: { accounts, devices, serverLog }, connection, peer, account } = options;
    if (!await accounts.isCurrent(account)) {
      throw new ProtocolError("auth-failed", "The password was changed meanwhile; log in again.");
    }
    const token = await devices.makeToken(peer.shown, account);
    const log = serverLog?.log.origin;
    const limits = { ping_seconds: PING_SECONDS, ...serverLog ? { log_seconds: serverLog.log.seconds } : {} };
    connection.welcome({ username: account.username, token, limits, log });
    return new RoomsSession(options);
  }

  /** What answers about the server's log; `undefined` if the server runs without one. */
  get serverLog(): LogAnswers | undefined {
    return this.#options.shared.serverLog?.answers;
  }

  /** Tells the client of invitations that waited. */
  async attend(): Promise<void> {
    await this.hub.attend(this.attendee);
  }

  /** The session is over. */
  leave(): void {
    this.hub.leave(this.attendee);
  }

  /** How many lines of this session are durable in rooms. */
  get lines(): number {
    return this.#lines;
  }

  #attendee(): Attendee {
    const { connection, link, account: { username }, end } = this.#options;
    const { clientFingerprint: fingerprint = "", clientKey: verifying } = connection;
    if (!verifying) throw new Error("a session has a certificate");
    return {
      fingerprint,
      username,
      verifying,
      deliver: (bytes) => connection.sendLines(bytes),
      deliverLatest: (key, bytes) => link.sendLatest(key, bytes),
      drained: () => link.drained(),
      answer: (frame, id) => connection.answer(frame, id),
      seal: (value) => connection.seal(value),
      refuse: (error, id) => connection.refuseRequest(error, id),
      placed: () => this.#lines++,
      end,
    };
  }

  // Requests about the client's own account.

  /** Makes a code for a further device. */
  async makeCode(id: Json | undefined): Promise<void> {
    const { shared: { devices, clock }, peer, account, connection } = this.#options;
    clock.mustBeCertain();
    const what = { username: account.username, kind: "device", email: account.email } as const;
    const { code, expires } = await devices.makeCode(what, DEVICE_CODE_LIFE);
    await peer.audit("code_made", `for a further device of ${account.username}`);
    connection.answer({ type: "code", code: encodeBase64(code), expires }, id);
  }

  /** Issues the next certificate of the account, and what its first session goes on with. */
  async renew(csr: string, id: Json | undefined): Promise<void> {
    const { shared: { devices, clock }, peer, account, connection } = this.#options;
    clock.mustBeCertain();
    const renewed = await devices.renew(csr, account, peer.shown);
    const token = await devices.makeToken(renewed, account);
    connection.answer({ type: "renewed", pem: renewed.pem, payload: this.#sealToken(token) }, id);
  }

  /** Tells the account's address, and the salt for a change of the password. */
  async describeAccount(id: Json | undefined): Promise<void> {
    const { shared: { accounts }, account: { username, email }, connection } = this.#options;
    const salt = encodeBase64(await accounts.salt(email));
    const payload = encodeBase64(connection.seal({ username, email, salt }));
    connection.answer({ type: "account", payload }, id);
  }

  /** Sets another password: then no token of the account is good but the one that this session gets. */
  async changePassword(payload: Bytes, id: Json | undefined): Promise<void> {
    const { shared: { accounts, devices }, peer, account, connection, deadline } = this.#options;
    const plaintext = connection.open(payload);
    const change = plaintext && parsePasswordChange(plaintext);
    if (!change) throw new ProtocolError("bad-frame", "The payload can't be read, or a field in it is missing.");
    const { email, username } = account;
    const changing = accounts.changePassword({ ...peer.origin, email, isOwn: true, owner: username, ...change });
    await deadline.pauseFor(changing).finally(() => {
      for (const secret of [plaintext, change.old, change.pwd]) secret.fill(0);
    });
    const token = await devices.makeToken(peer.shown, account);
    connection.answer({ type: "password_changed", payload: this.#sealToken(token) }, id);
  }

  /** Ends the life of the session's token. */
  async logOut(id: Json | undefined): Promise<void> {
    const { shared: { devices }, peer, connection } = this.#options;
    await devices.logout(peer.shown.fingerprint);
    connection.answer({ type: "done" }, id);
  }

  /** Answers a ping. */
  pong(id: Json | undefined): Promise<void> {
    this.#options.connection.answer({ type: "pong" }, id);
    return Promise.resolve();
  }

  #sealToken(token: Bytes): string {
    const { account: { username }, connection } = this.#options;
    return encodeBase64(connection.seal({ username, session_token: encodeBase64(token) }));
  }
}
