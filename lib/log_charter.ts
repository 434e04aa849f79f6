/**
 * The charter: the server's certificate vouches for the key of the server's log (docs/PROTOCOL.md, "The server's log").
 *
 *     {"from":"<fingerprint>","sig":"<b64>","time":1700055600,"type":"log_charter","v":1,
 *      "vkey":"chat.example/log/<32 hex>+d04bb4fb+<b64>","was":[],"within":600}
 *
 * `sig` is by the certificate `from`, over `securechat/2 log`, a zero byte, and the RFC 8785 form of the object without
 * `sig`. Tick 0 of the log names SHA-256 of the form with it, so a log has one charter. `was` names the earlier logs of
 * this server, newest first, each with its newest head; `within` promises that a room's checkpoint is registered within
 * that many seconds.
 *
 * @layer format
 */

import { type Bytes, concat, encodeBase64, encodeHex, encodeUtf8, parseBase64 } from "./bytes.ts";
import { sha256 } from "./hash.ts";
import { canonicalJson, isJsonList, isJsonObject, type Json, type JsonObject, member } from "./json.ts";
import { type Head, parseHead } from "./log_envelope.ts";
import type { SigningKey, VerifyingKey } from "./pss.ts";

/** The least and the most seconds that a charter may promise. */
export const MIN_WITHIN = 60;
export const MAX_WITHIN = 86_400;
/** The most earlier logs that a charter names. */
export const MAX_EARLIER_LOGS = 50;

/** A log and one of its heads. */
export interface LogHead extends Head {
  readonly origin: string;
}

/** What a charter says. */
export interface Charter {
  /** The fingerprint of the signer's certificate. */
  readonly from: string;
  /** Unix seconds. */
  readonly time: number;
  /** The log's key as a C2SP vkey, whose name is the log's origin. */
  readonly vkey: string;
  /** The log's origin. */
  readonly origin: string;
  /** Earlier logs of this server, newest first. */
  readonly was: readonly LogHead[];
  /** Seconds within which a room's checkpoint is registered. */
  readonly within: number;
  readonly sig: Bytes;
  /** The object as it was read: with names that mean nothing here, which the signature covers too. */
  readonly object: JsonObject;
}

/** What the signer says in a charter. */
export interface NewCharter {
  /** Unix seconds. */
  readonly time: number;
  readonly vkey: string;
  readonly was: readonly LogHead[];
  readonly within: number;
}

const LABEL = encodeUtf8("securechat/2 log\0");

/** The origin of a log with these 32 hex digits, on that server. */
export function logOrigin(server: string, digits: string): string {
  return `${server}/log/${digits}`;
}

/** The parts of a log's origin; `undefined` if it has another form. */
export function parseLogOrigin(origin: string): { readonly server: string; readonly id: string } | undefined {
  const [, server, id] = /^([^/+\s]+)\/log\/([0-9a-f]{32})$/.exec(origin) ?? [];
  const isShort = encodeUtf8(origin).length <= 255;
  return server !== undefined && id !== undefined && isShort ? { server, id } : undefined;
}

/** A charter, signed by the server. */
export async function signCharter(
  { time, vkey, was, within }: NewCharter,
  { key, fingerprint }: { readonly key: SigningKey; readonly fingerprint: string },
): Promise<JsonObject> {
  const earlier = was.slice(0, MAX_EARLIER_LOGS).map(({ origin, root, size }) => ({ origin, root, size }));
  const stated = { from: fingerprint, time, type: "log_charter", v: 1, vkey, was: earlier, within };
  return { ...stated, sig: encodeBase64(await key.sign(inputOf(stated))) };
}

function inputOf({ sig: _, ...stated }: JsonObject): Bytes {
  return concat(LABEL, encodeUtf8(canonicalJson(stated) ?? ""));
}

/** SHA-256 of a charter, its `sig` included, in hex: what tick 0 names. */
export function charterHash(charter: JsonObject): string {
  return encodeHex(sha256(encodeUtf8(canonicalJson(charter) ?? "")));
}

/** The charter in an object; `undefined` if a field is missing or has another form. */
export function parseCharter(object: Json | undefined): Charter | undefined {
  if (!isJsonObject(object) || canonicalJson(object) === undefined) return undefined;
  if (member(object, "type") !== "log_charter" || member(object, "v") !== 1) return undefined;
  const [from, time, vkey, sig, within] = ["from", "time", "vkey", "sig", "within"].map((name) => member(object, name));
  if (typeof from !== "string" || !/^[0-9a-f]{64}$/.test(from) || typeof time !== "number") return undefined;
  if (typeof within !== "number" || within < MIN_WITHIN || within > MAX_WITHIN) return undefined;
  const signature = typeof sig === "string" ? parseBase64(sig) : undefined;
  const was = earlierLogs(member(object, "was"));
  if (typeof vkey !== "string" || !signature || !was) return undefined;
  const origin = vkey.split("+", 1)[0] ?? "";
  return parseLogOrigin(origin) && { from, time, vkey, origin, was, within, sig: signature, object };
}

function earlierLogs(list: Json | undefined): LogHead[] | undefined {
  if (list === undefined || !isJsonList(list) || list.length > MAX_EARLIER_LOGS) return undefined;
  const logs = list.flatMap((each) => {
    const origin = isJsonObject(each) ? member(each, "origin") : undefined;
    const head = parseHead(each);
    return typeof origin === "string" && parseLogOrigin(origin) && head ? { origin, ...head } : [];
  });
  return logs.length === list.length ? logs : undefined;
}

/** Whether the key signed the charter. */
export function isCharterSigned({ sig, object }: Charter, key: VerifyingKey): boolean {
  return key.verify(sig, inputOf(object));
}
