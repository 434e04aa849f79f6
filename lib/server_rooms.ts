/**
 * The rooms of a server that runs: its name, its certificates of all days, and the key that wraps the rooms' keys.
 *
 * @layer outside
 */

import { setImmediate } from "node:timers";
import type { Identity } from "./certificate_identity.ts";
import { isRevoked, type Trust } from "./certificate_path.ts";
import { AesKeyWrap } from "./key_wrap.ts";
import { VerifyingKey } from "./pss.ts";
import { Hub } from "./room_hub.ts";
import { loadRoomKey } from "./room_key_file.ts";
import { keepCertificate, type ServerCertificate } from "./server_certificate.ts";
import type { DeviceStore } from "./server_device_store.ts";
import type { Shared } from "./server_shared.ts";
import type { AuditRow } from "./server_store.ts";
import type { Timers } from "./server_timers.ts";
import { random } from "./system.ts";
import { parseCertificates } from "./x509.ts";

/** What rooms are opened with. */
export interface RoomsOptions extends Pick<Shared, "config" | "log" | "trust" | "store" | "clock" | "serverLog"> {
  readonly certificate: ServerCertificate;
  readonly timers: Timers;
  /** Writes a row of the audit log that nothing waits for. */
  readonly note: (row: Omit<AuditRow, "occurredAt">) => void;
}

/** Opens the rooms of a server. */
export async function openRooms(options: RoomsOptions): Promise<Hub> {
  const { config, log, trust, store: { rooms, devices }, clock, serverLog, certificate, timers, note } = options;
  const own = certificate.current();
  await keepCertificate(devices, own);
  return new Hub({
    store: rooms,
    devices,
    keys: new AesKeyWrap(await loadRoomKey(config.DATA_DIR), random),
    signer: certificate.signer,
    serverName: serverNameOf(own),
    ...serverLog ? { serverLog: serverLog.log } : {},
    now: clock.now,
    clock,
    random,
    later: (ms, run) => timers.later(ms, run),
    turn: () => new Promise((resolve) => setImmediate(resolve)),
    serverKey: (fingerprint) => serverKey(fingerprint, devices),
    revoked: async (fingerprints) => await revokedAmong(fingerprints, await trust(), devices),
    made: (origin, { fingerprint, username }) =>
      note({ event: "room_created", clientFingerprint: fingerprint, reason: `${origin} by ${username}` }),
    alarm: (message, room) => log.error(message, { room }),
  });
}

/** The server's name in every origin. */
export function serverNameOf({ chain: [leaf] }: Pick<Identity, "chain">): string {
  return leaf?.hostNames?.dnsNames[0] ?? "localhost";
}

/** The key of a certificate that is or was this server's. Members' certificates are stored, too, and say whose they are. */
async function serverKey(fingerprint: string, store: DeviceStore): Promise<VerifyingKey | undefined> {
  const pem = await store.findCertificate(fingerprint);
  const [leaf] = pem === undefined ? [] : parseCertificates(pem);
  return leaf?.rsa && leaf.commonNames[0]?.startsWith("SERVER: ") ? new VerifyingKey(leaf.rsa.modulus) : undefined;
}

/** Those of these certificates that a revocation list names. */
async function revokedAmong(fingerprints: readonly string[], trust: Trust, store: DeviceStore): Promise<string[]> {
  const found: string[] = [];
  if (trust.revocations.every(({ revoked }) => revoked.size === 0)) return found;
  for (const fingerprint of fingerprints) {
    const pem = await store.findCertificate(fingerprint);
    if (pem !== undefined && await isRevoked(parseCertificates(pem), trust)) found.push(fingerprint);
  }
  return found;
}
