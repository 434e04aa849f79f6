/**
 * What a client does with its account over the session that stands: codes for further devices, the password, and which
 * certificates are whose (docs/PROTOCOL.md, "Codes" and "Devices and trust").
 *
 *     const { code, expires } = await account.deviceCode();      brings in a further device of one's own
 *     await account.vouch("9f86d081884c7d65");                   says in every room that this certificate is one's own
 *
 * @layer outside
 */

import { type Bytes, encodeBase64 } from "./bytes.ts";
import type { Standing } from "./client_pins.ts";
import { RequestRefused } from "./client_requests.ts";
import type { RoomRecords } from "./client_room_records.ts";
import type { ClientRooms } from "./client_rooms.ts";
import { EXIT, Failure } from "./errors.ts";
import type { ClientConnection } from "./handshake_client.ts";
import { parseAccount, parseWelcome } from "./message.ts";
import { passwordProblem } from "./password_rules.ts";
import { parseCertificates } from "./x509.ts";

/** One of somebody's certificates. */
export interface KnownDevice {
  readonly fingerprint: string;
  readonly subject: string;
  /** Unix milliseconds. */
  readonly notAfter: number;
  readonly standing: Standing;
}

/** What an account works with. */
export interface ClientAccountOptions {
  readonly rooms: ClientRooms;
  readonly records: RoomRecords;
  /** The connection that there is now. */
  readonly connection: () => ClientConnection | undefined;
  /** The fingerprint of the certificate that this client uses now. */
  readonly own: () => string;
}

/** The account of a client. */
export class ClientAccount {
  readonly #options: ClientAccountOptions;

  constructor(options: ClientAccountOptions) {
    this.#options = options;
  }

  /** A code that brings in a further device of one's own, and when it ends (unix ms). */
  async deviceCode(): Promise<{ readonly code: Bytes; readonly expires: number }> {
    const answer = await this.#options.rooms.server.request({ type: "code" });
    if (answer.type !== "code") throw new Failure(EXIT.refused, "the server gave no code");
    return { code: answer.code, expires: answer.expires };
  }

  /** Sets another password. Sessions that were resumed elsewhere need it at their next login. */
  async changePassword(old: string, password: string): Promise<void> {
    const { rooms, records, connection: current } = this.#options;
    const connection = current();
    const problem = passwordProblem(password, [rooms.username]);
    if (problem !== undefined) throw new RequestRefused("bad-frame", problem);
    const account = await rooms.server.request({ type: "account" });
    const opened = account.type === "account" ? connection?.open(account.payload) : undefined;
    const known = opened && parseAccount(opened);
    if (!known || !connection) throw new Failure(EXIT.refused, "the server didn't say the account's salt");
    const payload = encodeBase64(connection.sealPasswordChange({ old, password, salt: known.salt }));
    const answer = await rooms.server.request({ type: "password", payload });
    const sealed = answer.type === "password_changed" ? connection.open(answer.payload) : undefined;
    const welcome = sealed && parseWelcome(sealed);
    if (!welcome) throw new Failure(EXIT.refused, "the password was changed, but the server's answer can't be read");
    await records.keepToken(welcome.token);
  }

  /** Ends what resumes this session: the next one needs the password. */
  async logout(): Promise<void> {
    const { rooms, records } = this.#options;
    await rooms.server.request({ type: "logout" });
    await records.keepToken(undefined);
  }

  /** Somebody's certificates, as far as this client has seen them. */
  async whois(username: string): Promise<readonly KnownDevice[]> {
    const { rooms } = this.#options;
    const devices = await rooms.devices(username);
    const known = await Promise.all(devices.map(async ({ fingerprint, standing }) => {
      const pem = await rooms.certificates.get(fingerprint);
      const [leaf] = pem === undefined ? [] : parseCertificates(pem);
      return leaf ? [{ fingerprint, subject: leaf.subject, notAfter: leaf.notAfter, standing }] : [];
    }));
    return known.flat();
  }

  /** Says in every room that a further certificate is one's own, named by the beginning of its fingerprint. */
  async vouch(beginning: string): Promise<void> {
    const { rooms, own } = this.#options;
    const devices = await rooms.devices(rooms.username);
    const [found, ...others] = devices.filter(({ fingerprint }) => fingerprint.startsWith(beginning));
    if (!found) {
      const what = `This client has seen no certificate of yours that begins with ${beginning}`;
      throw new RequestRefused("bad-frame", `${what}; /whois ${rooms.username} lists those that it has seen.`);
    }
    if (others.length > 0) {
      throw new RequestRefused("bad-frame", "Two of your certificates begin like that: give all 64 digits.");
    }
    if (found.fingerprint === own()) {
      const what = "This client uses that certificate itself, and none can vouch for itself";
      throw new RequestRefused("bad-frame", `${what}: vouch for it on a device that the others know.`);
    }
    if (!await this.vouchFor(found.fingerprint)) {
      throw new RequestRefused("not-member", "You are in no room in which you could vouch for it.");
    }
  }

  /** Vouches for a certificate in every room that is trusted; false if there is none. */
  async vouchFor(fingerprint: string): Promise<boolean> {
    const { rooms } = this.#options;
    const trusted = rooms.joined.filter((room) => {
      const monitor = rooms.monitor(room);
      return monitor !== undefined && monitor.lie === undefined;
    });
    for (const room of trusted) await rooms.post(room, { kind: "device", fingerprint });
    return trusted.length > 0;
  }
}
