/**
 * The TSTInfo of RFC 3161 section 2.4.2: what a time-stamping authority signs (docs/PROTOCOL.md, "Time-stamp tokens").
 *
 *     30 3e   version 1, policy, imprint (hash and digest of what was stamped), serial number,
 *             genTime 32303236313132393034353532332e3132355a    "20261129045523.125Z"
 *             accuracy 30 07 02 01 01 80 02 01 f4               1.5 seconds
 *             ordering, nonce, [0] tsa, [1] extensions
 *
 * genTime may have up to nine decimals, and the accuracy counts microseconds: {@link TokenInfo.by} and `since` are whole
 * milliseconds, rounded so that neither claims more than the authority said.
 *
 * @layer crypto
 */

import { type Bytes, encodeHex } from "./bytes.ts";
import {
  contextTag,
  DerError,
  DerFields,
  type Element,
  elements,
  parseDer,
  readBoolean,
  readCount,
  readInteger,
  readOid,
  readTime,
  TAG,
} from "./der.ts";
import { HASH_SIZES, type HashName } from "./hash.ts";
import { readHash } from "./timestamp_algorithms.ts";

/** What an authority says. */
export interface TokenInfo {
  /** Under which policy it stamps: an object identifier. It decides nothing. */
  readonly policy: string;
  readonly hash: HashName;
  /** The digest of what was stamped. */
  readonly imprint: Bytes;
  /** The token's number, as it is written: hex of its DER content. */
  readonly serial: string;
  /** Unix nanoseconds. */
  readonly nanoseconds: bigint;
  /** Unix milliseconds, rounded down. */
  readonly genTime: number;
  /** What was stamped existed at this time: genTime plus accuracy, in unix milliseconds, rounded up. */
  readonly by: number;
  /** It was stamped at this time or later: genTime minus accuracy, in unix milliseconds, rounded down. */
  readonly since: number;
  /** The nonce of the request, as it is written: hex of its DER content. */
  readonly nonce: string | undefined;
}

const MILLISECOND = 1_000_000n;
/** A token that states no accuracy is taken to be right to the minute. */
const UNSTATED_ACCURACY = 60_000n * MILLISECOND;
/** 160 bits (RFC 3161 section 2.4.2). */
const MAX_SERIAL_BYTES = 20;

/** Reads a TSTInfo. */
export function parseTokenInfo(der: Bytes): TokenInfo {
  const fields = new DerFields(parseDer(der, "the time stamp"), "the time stamp");
  if (readCount(fields.next(TAG.integer), "its version") !== 1) {
    throw new DerError("the time stamp is not of version 1");
  }
  const policy = readOid(fields.next(TAG.oid), "the policy");
  const { hash, imprint } = readImprint(fields.next(TAG.sequence));
  const serial = readSerial(fields.next(TAG.integer));
  const nanoseconds = readGenTime(fields.next(TAG.generalizedTime));
  const accuracy = readAccuracy(fields.optional(TAG.sequence));
  const ordering = fields.optional(TAG.boolean);
  if (ordering && !readBoolean(ordering, "ordering")) throw new DerError("the time stamp writes a default out");
  const nonce = fields.optional(TAG.integer);
  const tsa = fields.optional(contextTag(0));
  if (tsa && elements(tsa, "the authority's name").length !== 1) throw new DerError("the authority's name is not one");
  const extensions = fields.optional(contextTag(1));
  if (extensions) checkExtensions(extensions);
  fields.end();
  return {
    policy,
    hash,
    imprint,
    serial,
    nanoseconds,
    genTime: milliseconds(nanoseconds),
    by: -milliseconds(-(nanoseconds + accuracy)),
    since: milliseconds(nanoseconds - accuracy),
    nonce: nonce && encodeHex(readInteger(nonce, "the nonce")),
  };
}

/** Rounded down, before 1970 too: an accuracy may be wider than the time is old. */
function milliseconds(nanoseconds: bigint): number {
  const rest = (nanoseconds % MILLISECOND + MILLISECOND) % MILLISECOND;
  return Number((nanoseconds - rest) / MILLISECOND);
}

/** The imprint: an AlgorithmIdentifier and a digest of its length. */
export function readImprint(element: Element): { hash: HashName; imprint: Bytes } {
  const fields = new DerFields(element, "the imprint");
  const hash = readHash(fields.next(TAG.sequence), "the imprint's hash");
  const imprint = fields.next(TAG.octetString).content;
  fields.end();
  if (imprint.length !== HASH_SIZES[hash]) throw new DerError("the imprint is not as long as its hash");
  return { hash, imprint };
}

function readSerial(element: Element): string {
  const bytes = readInteger(element, "the serial number");
  const length = bytes[0] === 0 ? bytes.length - 1 : bytes.length; // the sign's octet
  if (length > MAX_SERIAL_BYTES) throw new DerError(`the serial number has more than ${MAX_SERIAL_BYTES} bytes`);
  return encodeHex(bytes);
}

/** RFC 3161 section 2.4.2: seconds always, decimals only if they say something. Unix nanoseconds. */
function readGenTime(element: Element): bigint {
  const text = String.fromCharCode(...element.content.subarray(0, 26));
  const [, seconds = "", decimals = ""] = /^(\d{14})(?:\.(\d{0,8}[1-9]))?Z$/.exec(text) ?? [];
  const whole = Array.from(`${seconds}Z`, (c) => c.charCodeAt(0));
  const time = readTime({ ...element, content: Uint8Array.from(whole) }, "genTime");
  if (time < 0) throw new DerError("genTime is before 1970");
  return BigInt(time) * MILLISECOND + BigInt(decimals.padEnd(9, "0"));
}

function readAccuracy(element: Element | undefined): bigint {
  if (element === undefined) return UNSTATED_ACCURACY;
  const fields = new DerFields(element, "the accuracy");
  const seconds = fields.optional(TAG.integer);
  const millis = fields.optional(contextTag(0, false));
  const micros = fields.optional(contextTag(1, false));
  fields.end();
  const part = (found: Element | undefined, what: string) => {
    if (found === undefined) return 0;
    const value = readCount(found, what);
    if (value < 1 || value > 999) throw new DerError(`${what} of the accuracy is not from 1 to 999`);
    return value;
  };
  const whole = seconds === undefined ? 0 : readCount(seconds, "the accuracy");
  const thousandths = 1_000 * part(millis, "the part millis") + part(micros, "the part micros");
  return BigInt(whole) * 1_000n * MILLISECOND + BigInt(thousandths) * 1_000n;
}

function checkExtensions(wrapper: Element): void {
  const found = elements(wrapper, "the extensions");
  if (found.length === 0) throw new DerError("the extensions are empty");
  for (const extension of found) {
    const fields = new DerFields(extension, "an extension");
    const oid = readOid(fields.next(TAG.oid), "an extension");
    const critical = fields.optional(TAG.boolean);
    fields.next(TAG.octetString);
    fields.end();
    if (critical !== undefined && readBoolean(critical, "an extension")) {
      throw new DerError(`the time stamp has the critical extension ${oid}`);
    }
    if (critical !== undefined) throw new DerError("an extension writes its default out");
  }
}
