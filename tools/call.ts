/**
 * A short exchange with a server over TLS, for `join` and `invite --device`: one question and answer after the other.
 * `client.ts` is the client with which people talk.
 */

import type { Identity } from "../lib/certificate_identity.ts";
import { endingOf } from "../lib/client_chat_ending.ts";
import type { Trust } from "../lib/certificate_path.ts";
import type { ShownServer } from "../lib/client_servers.ts";
import { isOfType } from "../lib/dispatch.ts";
import { EXIT, Failure } from "../lib/errors.ts";
import { ClientConnection, type ClientEvent, PeerError } from "../lib/handshake_client.ts";
import { connectPinned } from "../lib/tls_socket.ts";
import type { Link } from "../lib/transport.ts";
import { type Certificate, MAX_CA_CERTIFICATES, parseCertificates } from "../lib/x509.ts";

/** More bytes than any question has. */
const MAX_QUEUED = 65_536;
/** Where to call. */
export interface Place {
  readonly host: string;
  readonly port: number;
  /** The CA of the server's certificate; without it any server is accepted. */
  readonly authority?: Certificate;
  /** Certificates that may come between the two: the chain of {@link askAuthorities}. */
  readonly intermediates?: readonly Certificate[];
}

/** Who calls, and how long they wait, in milliseconds. */
export interface Caller {
  /** Without one only questions before the login are possible. */
  readonly identity?: Identity;
  readonly handshakeTimeout: number;
  readonly answerTimeout: number;
}

/** A caller without a certificate. */
const NOBODY: Identity = {
  chain: [],
  pem: "",
  key: { sign: () => Promise.reject(new Error("nobody has no key")) },
};

/** One connection. */
export class Call implements Disposable {
  readonly connection: ClientConnection;
  readonly #link: Link;
  readonly #host: string;
  readonly #caller: Caller;
  /** The server, once there is a session. */
  server: ShownServer | undefined;

  private constructor(connection: ClientConnection, link: Link, host: string, caller: Caller) {
    this.connection = connection;
    this.#link = link;
    this.#host = host;
    this.#caller = caller;
  }

  /** Connects. */
  static async open({ host, port, ...pin }: Place, caller: Caller): Promise<Call> {
    const { authority } = pin;
    const link = await connectPinned(host, port, { timeout: caller.handshakeTimeout, maxQueued: MAX_QUEUED, ...pin });
    const trust: Trust = { authorities: authority ? [authority] : [], revocations: [] };
    const connection = new ClientConnection({
      identity: caller.identity ?? NOBODY,
      trust: () => Promise.resolve(trust),
      host,
      allowV1: false,
      rooms: true,
      now: Date.now,
      random: (size) => crypto.getRandomValues(new Uint8Array(size)),
      send: (bytes) => link.send(bytes),
    });
    return new Call(connection, link, host, caller);
  }

  /** Connects, up to the point where credentials are needed. */
  static async openSession(place: Place, caller: Caller): Promise<Call> {
    const call = await Call.open(place, caller);
    try {
      call.connection.hello();
      const { server, authority } = await call.expect("ready", caller.handshakeTimeout);
      call.server = { leaf: server, authority };
      if (call.connection.hasRooms) return call;
      throw new Failure(EXIT.refused, `${place.host} runs a server without rooms, which knows no invitations`);
    } catch (error) {
      call[Symbol.dispose]();
      throw error;
    }
  }

  /** The account's salt, for a login. */
  async salt(email: string) {
    this.connection.askSalt(email);
    return (await this.expect("salt")).salt;
  }

  /** The next event, which must be of that type. Throws a {@link PeerError} if the server refuses, else a Failure. */
  expect<T extends ClientEvent["type"]>(
    type: T,
    time = this.#caller.answerTimeout,
  ): Promise<Extract<ClientEvent, { type: T }>> {
    return this.#expect([type], time);
  }

  /** {@link expect}, for one of several types. */
  expectAny<T extends ClientEvent["type"]>(...types: T[]): Promise<Extract<ClientEvent, { type: T }>> {
    return this.#expect(types, this.#caller.answerTimeout);
  }

  async #expect<T extends ClientEvent["type"]>(
    types: readonly T[],
    time: number,
  ): Promise<Extract<ClientEvent, { type: T }>> {
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      this.#link.close();
    }, time);
    try {
      const event = await this.#next();
      if (event && isOfType(event, ...types)) return event;
      if (event) throw new Failure(EXIT.refused, `the server gave an unexpected answer ("${event.type}")`);
      const why = isLate ? `did not answer within ${time / 1000} s` : "closed the connection without an answer";
      throw new Failure(EXIT.unavailable, `the server ${why}; check the address, and that this is its TLS port`);
    } catch (error) {
      throw error instanceof PeerError ? error : failureOf(error, this.#host);
    } finally {
      clearTimeout(timer);
    }
  }

  async #next(): Promise<ClientEvent | undefined> {
    for (;;) {
      const event = await this.connection.next();
      if (event) return event;
      const chunk = await this.#link.read();
      if (!chunk) return undefined;
      this.connection.receive(chunk);
    }
  }

  /** Ends a session properly. It doesn't matter whether the server's receipt still arrives. */
  async quit(): Promise<void> {
    await this.connection.quit();
    await this.#link.finish();
  }

  [Symbol.dispose](): void {
    this.#link.close();
  }
}

/** The CAs that a server claims, and its certificate with intermediates, over a connection that proves nothing. */
export async function askAuthorities(
  { host, port }: Place,
  caller: Caller,
): Promise<{ readonly authorities: readonly Certificate[]; readonly chain: readonly Certificate[] }> {
  using call = await Call.open({ host, port }, caller);
  call.connection.askAuthority();
  const { pem, chain } = await call.expect("authority");
  return {
    authorities: parseCertificates(pem, MAX_CA_CERTIFICATES),
    chain: chain === "" ? [] : parseCertificates(chain),
  };
}

/** The failure with which a command ends after an error in a call. */
export function failureOf(error: unknown, host: string): Failure {
  if (error instanceof Failure) return error;
  const { status, reason } = endingOf(error, host);
  return new Failure(status, reason, error instanceof PeerError ? error.frame.errorType : undefined);
}
