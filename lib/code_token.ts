/**
 * A code as people see it: one word with the server's address, its CA and the secret (docs/PROTOCOL.md, "Before the
 * session").
 *
 *     sc2.q6urq6urq6urq6urq6urqwcHBwcHBwcHBwcHBwcHBwcAGXsB@chat.example.org
 *     sc2.…@chat.example.org:6001     if the TLS port isn't 5001
 *     sc2.…@[2001:db8::1]             an IPv6 address
 *
 * After the first dot comes base64url of 36 bytes: the first 16 of SHA-256 of the CA's certificate, the secret (16), the
 * kind (1), and a checksum (3): the first bytes of SHA-256 over all the rest and the text from the @ on. So an incomplete
 * or mistyped code is recognised. 16 bytes of the fingerprint are enough: nobody can find another CA whose fingerprint
 * begins with them. Whoever uses the code first is the invited person, so it must be sent as secretly as a password.
 *
 * @layer format
 */

import { Buffer } from "node:buffer";
import { type Bytes, concat, encodeHex, encodeUtf8, equalBytes, parseHex } from "./bytes.ts";
import { sha256 } from "./hash.ts";
import { CODE_SIZE } from "./message.ts";

const PREFIX = "sc2.";
const FINGERPRINT_SIZE = 16;
const CHECKSUM_SIZE = 3;
const FIXED_SIZE = FINGERPRINT_SIZE + CODE_SIZE + 1;
/** The TLS port that a code leaves out: the default of servers. */
const USUAL_TLS_PORT = 5001;
/** The kinds of codes; the byte for the kind is the position in this list. */
const KINDS = ["invitation", "device", "reset"] as const;

/** The parts of a code. */
export interface CodeToken {
  /** A host name, or an address. */
  readonly host: string;
  /** The port for TLS. */
  readonly port: number;
  readonly kind: typeof KINDS[number];
  /** The first 32 hex digits of SHA-256 of the CA's certificate: {@link authorityMark}. */
  readonly authority: string;
  /** 16 bytes. */
  readonly secret: Bytes;
}

/** The part of a CA's fingerprint that is in a code. */
export function authorityMark(fingerprint: string): string {
  return fingerprint.slice(0, 2 * FINGERPRINT_SIZE);
}

/** Whether a word looks like a code, complete or not. */
export function looksLikeCode(word: string): boolean {
  return word.startsWith(PREFIX);
}

/** The code as a word. RangeError if a part is invalid. */
export function encodeCodeToken(token: CodeToken): string {
  const { host, port, kind, authority, secret } = token;
  if (!isSound(token)) throw new RangeError("a code has a host, a port, a fingerprint and a secret");
  const body = concat(parseHex(authority) ?? new Uint8Array(), secret, Uint8Array.of(KINDS.indexOf(kind)));
  const where = `@${host.includes(":") ? `[${host}]` : host}${port === USUAL_TLS_PORT ? "" : `:${port}`}`;
  return PREFIX + Buffer.from(concat(body, checksum(body, where))).toString("base64url") + where;
}

const CODE = /^sc2\.([A-Za-z0-9_-]{48})(@(?:\[([0-9A-Fa-f:.%]{2,})\]|([^@:[\]]+))(?::([1-9][0-9]{0,4}))?)$/;

/** The parts of a code; `undefined` if it is incomplete or mistyped. */
export function parseCodeToken(line: string): CodeToken | undefined {
  const text = line.trim();
  const [, coded, where = "", address, name = "", port = USUAL_TLS_PORT] = CODE.exec(text) ?? [];
  if (coded === undefined) return undefined;
  const bytes = new Uint8Array(Buffer.from(coded, "base64url"));
  const [body, sum] = [bytes.subarray(0, FIXED_SIZE), bytes.subarray(FIXED_SIZE)];
  const kind = KINDS[body[FIXED_SIZE - 1] ?? KINDS.length];
  if (!kind || !equalBytes(sum, checksum(body, where))) return undefined;
  const token = {
    ...{ host: address ?? name, port: Number(port), kind },
    authority: encodeHex(body.subarray(0, FINGERPRINT_SIZE)),
    secret: body.slice(FINGERPRINT_SIZE, FINGERPRINT_SIZE + CODE_SIZE),
  };
  // A code has only one spelling, so it is written again and compared.
  return isSound(token) && encodeCodeToken(token) === text ? token : undefined;
}

/** Whether all parts can be in a code. */
function isSound({ host, port, authority, secret }: CodeToken): boolean {
  return Number.isInteger(port) && port > 0 && port <= 65_535 &&
    parseHex(authority)?.length === FINGERPRINT_SIZE && secret.length === CODE_SIZE &&
    /^(?:[0-9A-Fa-f:.%]*:[0-9A-Fa-f:.%]*|[!-9;-?A-Z\\^-~]{1,253})$/.test(host);
}

function checksum(body: Bytes, where: string): Bytes {
  return sha256(concat(body, encodeUtf8(where))).slice(0, CHECKSUM_SIZE);
}
