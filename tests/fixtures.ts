/**
 * What tests are made of: a CA with a server and a person under it, a clock that stands still, and chance that counts.
 *
 * Keys take long to make, so they are made once for all tests of a process. The certificates are good from 2020 to
 * 2040: at {@link fixedClock} and by the machine's own clock alike.
 */

import type { Identity } from "../lib/certificate_identity.ts";
import type { Bytes, Clock, Random } from "../lib/bytes.ts";
import { type Authority, createAuthority, generateKey, issueCertificate, type Request } from "../lib/ca.ts";
import type { Trust } from "../lib/certificate_path.ts";
import { publicKeyOf } from "../lib/private_key.ts";
import { importSigningKey } from "../lib/pss.ts";
import type { Certificate } from "../lib/x509.ts";

/** The time at which tests take place. */
export const NOW = Date.parse("2026-06-01T12:00:00Z");

/** A clock that stands still at {@link NOW}. */
export const fixedClock: Clock = () => NOW;

/** Bytes that count upwards from 1: different for each call, and the same in each run. */
export function countingRandom(): Random {
  let next = 1;
  return (size) => Uint8Array.from({ length: size }, () => next++ & 0xff);
}

/** A clock that is moved by hand. */
export function handClock(start = NOW): { now: Clock; advance(ms: number): void } {
  let at = start;
  return { now: () => at, advance: (ms) => void (at += ms) };
}

const BEGIN = Date.parse("2020-01-01T00:00:00Z");
const random = countingRandom();
const issuing = { now: BEGIN, random, days: 20 * 365 };

/** What the certificates of tests are issued with. */
export { issuing };

const keys = new Map<string, Promise<Bytes>>();

/** The RSA key of that name: PKCS #8 DER. */
export function key(name: string): Promise<Bytes> {
  const known = keys.get(name) ?? generateKey();
  keys.set(name, known);
  return known;
}

let known: Promise<Authority> | undefined;

/** The CA of {@link identities}. */
export function authority(): Promise<Authority> {
  known ??= key("ca").then((pkcs8) => createAuthority("Test CA", pkcs8, issuing));
  return known;
}

/** A certificate under the CA of {@link identities}, with the key of that name. */
export async function certificate(
  keyName: string,
  request: Omit<Request, "publicKey">,
  times: Partial<typeof issuing> = {},
): Promise<Certificate> {
  const publicKey = publicKeyOf(await key(keyName));
  return await issueCertificate(await authority(), { ...request, publicKey }, { ...issuing, ...times });
}

async function identity(keyName: string, request: Omit<Request, "publicKey">): Promise<Identity> {
  const leaf = await certificate(keyName, request);
  return { chain: [leaf], pem: leaf.pem, key: await importSigningKey(await key(keyName)) };
}

/** The two sides of a conversation, and what both trust. */
export interface Identities {
  readonly server: Identity;
  readonly client: Identity;
  readonly trust: Trust;
}

let sides: Promise<Identities> | undefined;

/** A server for localhost and a person named ada, made once. */
export function identities(): Promise<Identities> {
  sides ??= (async () => ({
    server: await identity("server", { role: "server", name: "localhost", hosts: ["localhost", "127.0.0.1"] }),
    client: await identity("client", { role: "client", name: "ada" }),
    trust: { authorities: [(await authority()).certificate], revocations: [] },
  }))();
  return sides;
}
