/**
 * How a client logs in, and what a connection that fails means for the next try.
 *
 *     const email = await login.logIn(connection, askSalt);               asks for credentials and sends them
 *     const ending = await login.endingOf(error, { usesToken, wasOnline });    try again, at once, or never
 *
 * @layer outside
 */

import type { Bytes } from "./bytes.ts";
import type { RoomRecords } from "./client_room_records.ts";
import { EXIT, Failure, ProtocolError } from "./errors.ts";
import { type ClientConnection, type ClientEvent, PeerError } from "./handshake_client.ts";
import { PROGRAM } from "./program.ts";

/** How somebody logs in if no token can resume a session. */
export type Credentials =
  | { readonly type: "login"; readonly email: string; readonly password: string }
  | { readonly type: "register"; readonly email: string; readonly username: string; readonly password: string }
  /** A further certificate of an account, with a code that one of its devices made. */
  | { readonly type: "enrol"; readonly email: string; readonly password: string; readonly code: Bytes };

/** Why a connection is over. */
export interface ConnectionEnding {
  readonly reason: string;
  /** Set if trying again makes no sense. */
  readonly failure?: Failure;
  /** Whether to try again at once. */
  readonly isImmediate?: boolean;
  /** Whether the server has kept an answer back. */
  readonly isKeptBack?: boolean;
}

/** A try to connect that failed. */
export interface FailedTry {
  /** Whether it was to resume a session with a token. */
  readonly usesToken: boolean;
  /** Whether a session has stood since the program began. */
  readonly wasOnline: boolean;
}

/** What a login works with. */
export interface LoginOptions {
  readonly records: Pick<RoomRecords, "mustServe" | "keepToken">;
  /** Asked if no token can resume a session; `undefined` ends it for good. */
  readonly credentials: () => Promise<Credentials | undefined>;
  /** Asked if the server refused the credentials: whether there are others now. */
  readonly otherCredentials?: () => Promise<boolean>;
}

/** The logins of one client. */
export class Login {
  readonly #options: LoginOptions;
  #isRegistering = false;
  /** What the server said when the name or the certificate to register was taken. */
  #taken: string | undefined;

  constructor(options: LoginOptions) {
    this.#options = options;
  }

  /** Logs in or registers; the e-mail address of the account. `salt` waits for the answer to `askSalt`. */
  async logIn(
    connection: ClientConnection,
    salt: () => Promise<ClientEvent & { readonly type: "salt" }>,
  ): Promise<string> {
    const credentials = await this.#options.credentials();
    if (!credentials) throw new Failure(EXIT.refused, "the session has ended, and there is no password to log in with");
    this.#isRegistering = credentials.type === "register" && this.#taken === undefined;
    if (credentials.type === "register" && this.#isRegistering) {
      await this.#options.records.mustServe(credentials.username);
      await connection.register(credentials);
      return credentials.email;
    }
    connection.askSalt(credentials.email);
    const sent = { ...credentials, salt: (await salt()).salt };
    if (sent.type === "enrol") await connection.enrol(sent);
    else await connection.login(sent);
    return credentials.email;
  }

  /** What an error means for the connection, and whether trying again makes sense. */
  async endingOf(error: unknown, { usesToken, wasOnline }: FailedTry): Promise<ConnectionEnding> {
    if (error instanceof PeerError) return await this.#refusal(error, usesToken);
    if (error instanceof ProtocolError) {
      const reason = `the server was refused (${error.code}): ${error.message}`;
      // A certificate that is wrong from the start is a mistake; later, another network may have put it there.
      const isWrong = !wasOnline && (error.code === "bad-cert" || error.code === "proof-fail");
      return isWrong ? { reason, failure: new Failure(EXIT.refused, reason) } : { reason };
    }
    if (error instanceof Failure) {
      return error.status === EXIT.unavailable ? { reason: error.message } : { reason: error.message, failure: error };
    }
    throw error;
  }

  /** The server ended the conversation in its own words. */
  async #refusal({ frame: { errorType, reason: words } }: PeerError, usesToken: boolean): Promise<ConnectionEnding> {
    const reason = errorType === "shutdown"
      ? "the server is shutting down"
      : `the server says: ${words} (${errorType})`;
    if (errorType === "auth-failed" && usesToken) {
      await this.#options.records.keepToken(undefined);
      return { reason, isImmediate: true };
    }
    if (errorType === "auth-failed" && await this.#options.otherCredentials?.()) return { reason, isImmediate: true };
    if (errorType === "bad-cert") {
      const mend = `${reason}; for another certificate run: ${PROGRAM} join HOST CODE`;
      return { reason: mend, failure: new Failure(EXIT.refused, mend) };
    }
    if (this.#isRegistering && ["user-exists", "auth-failed"].includes(errorType)) {
      this.#isRegistering = false;
      this.#taken = reason; // perhaps by this account, whose answer was lost: then its password logs in
      return { reason, isImmediate: true };
    }
    if (errorType === "auth-failed" && this.#taken !== undefined) {
      return { reason: this.#taken, failure: new Failure(EXIT.refused, this.#taken) };
    }
    const isFinal = ["auth-failed", "user-exists", "unexpected"].includes(errorType);
    return isFinal ? { reason, failure: new Failure(EXIT.refused, reason) } : { reason };
  }
}
